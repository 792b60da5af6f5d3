/*
 * seal.h: closing local days of an account.
 */
#ifndef PREPAY_SEAL_H
#define PREPAY_SEAL_H

#include "history.h"
#include "ledger.h"
#include "tariff_store.h"
#include "usage.h"

/* First local day that cannot be sealed yet by the readings there are. */
extern int32 seal_ready_to(const Site *site, const Account *account);
/*
 * Seal all days before `to`: moves their open lines to usage_line, adds standing
 * charges, posts one consumption entry a day. No-op when to <= sealed_to.
 */
extern void seal_days(const Site *site, Account *account, int32 to, Posting *posting,
					  UsageBatch *usage);

/*
 * Seal everything, today's energy too: the account closes. Standing charges fall on
 * the days before today.
 */
extern void seal_close(const Site *site, Account *account, Posting *posting, UsageBatch *usage);
/* The day before which standing charges fall, of the days before to_day. */
extern int32 seal_standing_to(const Account *account, int32 to_day);

/* Post the bill lines of one day as one entry; the seq is kept with each line. */
extern void seal_post(const Site *site, Account *account, const char *kind, int32 day,
					  int32 ref_seq, const BillVec *bill, Posting *posting, UsageBatch *usage);
/* Whether any tariff of the site has standing charges. */
extern bool seal_site_has_standing(const Site *site);
/*
 * What the standing charges of an account's days go by; all zero before the first day, but
 * for what is known already.
 */
typedef struct StandingRules
{
	const History *history; /* of the account over these days; NULL: ask the tables */
	const int32 *opened;	/* local day of its opening; NULL: ask */
	bool is_known;
	int32 meter_id;
	TariffRules rules;
} StandingRules;

/*
 * Standing charges of a day under the tariff in force when it begins, of the first meter
 * the account had that day. rules is kept from day to day.
 */
extern void seal_standing_bill(const Site *site, const Account *account, StandingRules *rules,
							   int32 day, BillVec *bill);

#endif
