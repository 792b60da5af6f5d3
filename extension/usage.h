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
 * Tier positions at the start of a local day from what is sealed before it,
 * for one code and accumulation period; includes the account's tier_start_kwh.
 */
extern void usage_position(const Site *site, int32 account_id, int32 day, RatePosition *position,
						   const Tariff *tariff);

#endif
