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
/* For qsort(): the order of a line's key. */
extern int usage_compare_lines(const void *a, const void *b);
/*
 * SHA-256 of all columns of the lines one entry books, in the order of their key: part of
 * the entry's hash. Orders the lines.
 */
extern void usage_digest(BillLine *line, int n, int32 booked_day, uint8 *hash);
extern void usage_flush(const Site *site, UsageBatch *batch);

/*
 * Open the accumulation period of a piece in positions: what is sealed of its tariff
 * code on the period's days before `day`, and the account's tier_start_kwh where the
 * account was opened in the period.
 */
extern void usage_open_period(const Site *site, int32 account_id, int32 day, const RatePiece *piece,
							  RatePositionVec *positions);

#endif
