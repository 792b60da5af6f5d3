/*
 * sell.h: the sale, for those who sell by other ways.
 */
#ifndef PREPAY_SELL_H
#define PREPAY_SELL_H

#include "vend.h"

/* Raises PP022 or PP025 where a sale of what is tendered would be refused now. */
extern void sell_check(const VendCall *call, int64 tendered);
/*
 * Post a sale to call->account, with its tender set in entry; limited: raises as
 * sell_check(). Ends the call (vend_finish).
 */
extern void sell_post(VendCall *call, int64 tendered, bool limited, LedgerEntry *entry);

#endif
