/*
 * lock.h: the one lock order of the system.
 *
 *   1  site configuration   advisory, shared to rate and to post, exclusive to change
 *                           anything that rating depends on; then a row of energy_share,
 *                           to share a month of public energy
 *   2  accounts             row lock on account_state, ascending account_id
 *   3  meters               row lock on meter_state, ascending meter_id
 *   4  everything else      inserts, and updates of rows that belong to a locked account or meter
 *   5  operator's log       row lock on operator_log_head, ascending site_id: the last thing a
 *                           statement does, or done by who has the site exclusively
 *
 * Whoever holds a later lock never asks for an earlier one.
 */
#ifndef PREPAY_LOCK_H
#define PREPAY_LOCK_H

#include "postgres.h"

extern void lock_install(void);
extern void lock_site_shared(int32 site_id);
extern void lock_site_exclusive(int32 site_id);
/* One tick at a time does a site's work of a kind; false: somebody else is at it. */
extern bool lock_tick(int32 site_id, int32 work);

#endif
