/*
 * account.h: accounts and the meters that belong to them.
 */
#ifndef PREPAY_ACCOUNT_H
#define PREPAY_ACCOUNT_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "ledger.h"
#include "site.h"

/* New account with its state row; returns the id. Raises PP013 when the code is taken. Site lock
 * held exclusively. */
extern int32 account_open(const Site *site, Oid caller, const char *code, const char *customer,
						  const char *phone, const char *place_code, const char *tariff_code);
/* Raises 22023 for what is no phone number; NULL is fine. */
extern void account_check_phone(const char *phone);
/* Id of a tariff by its bare code; raises PP010. */
extern int32 account_find_tariff(const Site *site, const char *code);
/* Lock the account, compute its balance, decide alarms and supply anew. */
extern void account_redecide(const Site *site, int32 account_id);
/* Balance with open usage taken off, without a lock; false: no such account. */
extern bool account_balance(const Site *site, int32 account_id, int64 *minor);

/*
 * Set what an options object names: thresholds, limits, household, language, note,
 * customer, phone, state; JSON null empties what may be empty. A household extension holds
 * from a local day on. Raises 22023, PP021.
 */
extern void account_set(const Site *site, int32 account_id, Jsonb *changes, int32 from_day);

extern bool meter_change_runs;
/* Bring the cached facts of meter_state in line with the dated tables. */
extern void meter_refresh(const Site *site, int32 meter_id);

#endif
