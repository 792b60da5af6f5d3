/*
 * reading_chain.h: proof that the readings of a meter are those that came.
 */
#ifndef PREPAY_READING_CHAIN_H
#define PREPAY_READING_CHAIN_H

#include "postgres.h"

#include "lib/stringinfo.h"
#include "utils/timestamp.h"

#include "digest.h"
#include "site.h"

/* Columns of prepay.reading that are hashed, in this order: all but site and meter. */
#define READING_PROVEN                                                      \
	"r.read_at, r.kwh, r.reverse_kwh, r.period_kwh, r.kw, r.relay_closed, " \
	"r.meter_balance, r.purchase_count, r.meter_clock, r.source"
#define READING_PROVEN_COLUMNS 10

/* Of SHA-256, this much is kept: the row that each reading rewrites stays small. */
#define CHAIN_BYTES 16

/* Where the chains of a meter stand. */
typedef struct ReadingChain
{
	uint32 readings; /* in order of time, so far */
	TimestampTz last_read_at;
	uint8 hash[CHAIN_BYTES];
	int32 late; /* readings that came after a later one */
	uint8 late_hash[CHAIN_BYTES];
} ReadingChain;

/* Before the first reading of a meter. */
extern void reading_chain_begin(int32 site_id, int32 meter_id, ReadingChain *chain);
/* As kept in meter_state; empty: at its begin. False when they are damaged. */
extern bool reading_chain_decode(int32 site_id, int32 meter_id, Datum in_order, Datum late,
								 ReadingChain *chain);
extern Datum reading_chain_encode(const ReadingChain *chain);
extern Datum reading_chain_encode_late(const ReadingChain *chain);

/* The hashed form of a row, of READING_PROVEN. Appends. */
extern void reading_encode(const Datum *value, const bool *isnull, StringInfo out);

/* The step for a row as encoded, or for the hash of a late one. */
extern void reading_chain_next(ReadingChain *chain, TimestampTz read_at, const void *row, int n);
extern void reading_chain_late_hash(ReadingChain *chain, const uint8 *row_hash);
/* The hash of a late row. */
extern void reading_chain_row_hash(int32 site_id, int32 meter_id, const void *row, int n,
								   uint8 *hash);
/* Its first day, of the calendar month in UTC. */
extern int32 reading_chain_month(TimestampTz read_at);

/* Month ends and late readings of a statement, to be written with it. */
typedef struct ReadingChainEnd
{
	int32 meter_id;
	int32 month;
	int64 readings;
	uint8 hash[CHAIN_BYTES];
} ReadingChainEnd;

typedef struct ReadingChainLate
{
	int32 meter_id;
	int32 late_no;
	TimestampTz read_at;
	uint8 hash[CHAIN_BYTES];
} ReadingChainLate;

typedef struct ReadingChainRows
{
	int n_end;
	int end_room;
	ReadingChainEnd *end;
	int n_late;
	int late_room;
	ReadingChainLate *late;
} ReadingChainRows;

/* A reading that has just been stored, in the order of arrival; true: it is a late one. */
extern bool reading_chain_take(ReadingChainRows *rows, int32 site_id, int32 meter_id,
							   ReadingChain *chain, TimestampTz read_at, const void *row, int n);
extern void reading_chain_flush(const Site *site, ReadingChainRows *rows);

/* Put the ends of months that came since the last anchor under this one; their number. */
extern int64 reading_chain_anchor(const Site *site, int32 anchor_id);
/* A digest over the ends under an anchor. */
extern void reading_chain_digest(const Site *site, int32 anchor_id, uint8 *digest);

#endif
