/*
 * till.h: issuing points of receipts, and the shifts of those who sit at them.
 */
#ifndef PREPAY_TILL_H
#define PREPAY_TILL_H

#include "site.h"

/*
 * The next receipt number of a till: `asked`, or where it is NULL the operator's own.
 * Returns the till's name. Locks the till's row to the end of the transaction; the
 * account is locked before. Raises 22023 for what is no name, 42501 for the till of
 * another operator.
 */
extern char *till_take(const Site *site, const char *asked, int64 *receipt_no);
/* The till a posting without receipt is made at; raises like till_take(). */
extern char *till_name(const char *asked);

/* Sentences about tills whose receipts have gaps, NULL at the end. */
extern char **till_faults(const Site *site);

#endif
