/*
 * reconcile.h: the meter's money against the books, at each reading.
 */
#ifndef PREPAY_RECONCILE_H
#define PREPAY_RECONCILE_H

#include "rating.h"

/*
 * Compare what readings of these accounts' meters show of money with the ledger: alarms
 * balance_mismatch and purchase_count. Nothing to do at sites without such meters.
 * Accounts locked, their balances up to date.
 */
extern void reconcile_readings(const Site *site, Account *account, int n_account,
							   const Reading *reading, int n);

#endif
