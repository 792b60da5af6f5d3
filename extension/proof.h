/*
 * proof.h: hashes of the rows that say what is rated and owed, kept apart from the rows.
 */
#ifndef PREPAY_PROOF_H
#define PREPAY_PROOF_H

#include "site.h"

/* What differs between a site's rows and their hashes, NULL-terminated; each names the row. */
extern char **proof_faults(const Site *site);

#endif
