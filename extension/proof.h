/*
 * proof.h: hashes of the rows that say what is rated and owed, kept apart from the rows.
 */
#ifndef PREPAY_PROOF_H
#define PREPAY_PROOF_H

#include "site.h"

/*
 * What differs between a site's rows and their hashes, NULL-terminated; each names the row.
 * account_id 0: all of them, else those of the account and of its meters.
 */
extern char **proof_faults(const Site *site, int32 account_id, const int32 *meter_id, int n_meter);

/* Put the hashes that came since the last anchor under this one; their number. */
extern int64 proof_anchor(const Site *site, int32 anchor_id);
/* A digest over the hashes under an anchor. */
extern void proof_digest(const Site *site, int32 anchor_id, uint8 *digest);

#endif
