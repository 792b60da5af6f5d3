/*
 * rating.h: from stored readings to balances, in the statement that stored them.
 */
#ifndef PREPAY_RATING_H
#define PREPAY_RATING_H

#include "accept.h"
#include "ledger.h"
#include "sample.h"
#include "state.h"
#include "usage.h"

#define NO_RERATE PG_INT32_MAX

/* Accounts to be rated again by tick(), with the local day to begin at. */
typedef struct RerateLater
{
	int n;
	int room;
	int32 *account_id;
	int32 *from_day;
} RerateLater;

/* Work on the locked accounts of one statement at one site. */
typedef struct RatingRun
{
	const Site *site;
	Posting posting;
	UsageBatch usage;
	int64 drift_limit_us;
	int64 spike_margin_e6;
	int64 gap_us;			   /* an interval longer than this is marked estimated when shared */
	RatePositionVec positions; /* of the account being walked */
	Account *account;		   /* locked accounts, ascending */
	int n_account;
	Samples samples;
	ReadingChainRows chain;
	RerateLater later; /* accounts that are not locked and have to be rated again */
} RatingRun;

extern void rating_begin(RatingRun *run, const Site *site);
/* Seal what can be sealed, decide what the balance calls for, write everything back. */
extern void rating_finish(RatingRun *run, Account *account, int n_account);

#endif
