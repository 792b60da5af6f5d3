/*
 * usage.h: priced energy as rows: sealed in usage_line, open in the meters' state.
 */
#ifndef PREPAY_USAGE_H
#define PREPAY_USAGE_H

#include "postgres.h"

#include "state.h"

/* Bill lines of one account waiting to be inserted into usage_line. */
typedef struct UsageBatch
{
	int n;
	int room;
	struct UsageRow *row;
} UsageBatch;

extern void usage_add(UsageBatch *batch, int32 account_id, const BillLine *line, int32 booked_seq);
extern void usage_flush(const Site *site, UsageBatch *batch);

/*
 * Open the accumulation period of a piece in positions: what is sealed of its tariff
 * code on the period's days before `day`, and the account's tier_start_kwh where the
 * account was opened in the period.
 */
extern void usage_open_period(const Site *site, int32 account_id, int32 day, const RatePiece *piece,
							  RatePositionVec *positions);

#endif
