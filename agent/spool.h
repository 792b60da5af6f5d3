/*
 * spool.h
 *		The durable queue of readings and command outcomes between meters and database.
 */
#ifndef PREPAYD_SPOOL_H
#define PREPAYD_SPOOL_H

#include "buf.h"
#include "reading.h"

#include <stdbool.h>
#include <stdint.h>

#define SPOOL_UUID_SIZE 37
#define SPOOL_BATCH_ROWS 1000
/* Behind an outage: a meter's row and its account's are then written once for several readings. */
#define SPOOL_BACKLOG_ROWS 10000
#define SPOOL_COLUMNS 10

typedef struct Spool Spool;

/* The arguments of prepay.ingest from meter_id to meter_clock, as array literals. */
typedef struct SpoolBatch
{
	int64_t seq;
	int rows;
	Buf column[SPOOL_COLUMNS];
} SpoolBatch;

typedef struct SpoolOutcome
{
	int64_t id; /* in the order of their beginning */
	int64_t command_id;
	int attempt;
	char outcome[16];
	char *result; /* JSON text */
} SpoolOutcome;

typedef struct SpoolCounts
{
	uint64_t dropped; /* readings */
	uint64_t errors;
	uint64_t renewed;
} SpoolCounts;

/*
 * Opens or creates `folder`/spool.db. A file that is damaged is renamed aside and a new spool
 * begun; where none can be written, memory takes its place until one can. NULL with a reason only
 * when another process holds the spool.
 */
Spool *spool_open(const char *folder, int64_t max_rows, char *reason, size_t size);
void spool_close(Spool *spool);

const char *spool_uuid(const Spool *spool);

/* Takes the reading into memory; spool_flush makes it durable. */
void spool_add(Spool *spool, const Reading *reading, int64_t taken);

/* One transaction with all readings taken since; false when the disk refused (they are kept). */
bool spool_flush(Spool *spool);

/*
 * The oldest batch not acknowledged. Its number and content are durable before it is returned and
 * the same at every call until spool_ack. False when there is nothing to send.
 */
bool spool_batch(Spool *spool, SpoolBatch *batch);
void spool_batch_free(SpoolBatch *batch);

/* The database has stored all batches up to seq. */
void spool_ack(Spool *spool, int64_t seq);

/*
 * Compares with the last number the database has of this spool, after a (re)connect. Returns false
 * when the spool had to take a new uuid because its file is older than what the database has seen:
 * say hello again.
 */
bool spool_hello(Spool *spool, int64_t last_seq);

int64_t spool_rows(const Spool *spool);	  /* durable and in memory */
int64_t spool_oldest(const Spool *spool); /* real time the oldest of them was taken, 0: none */
const SpoolCounts *spool_counts(const Spool *spool);

/* Several of the calls below as one transaction; the second returns whether the disk has them. */
bool spool_group_begin(Spool *spool);
bool spool_group_end(Spool *spool);

/*
 * Outcomes. spool_outcome_begin notes, before the first write to the meter, that the outcome is
 * open: after a crash it is reported as unknown. spool_outcome_end replaces it.
 */
bool spool_outcome_begin(Spool *spool, int64_t command_id, int attempt);
bool spool_outcome_end(Spool *spool, int64_t command_id, int attempt, const char *outcome,
					   const char *result);
void spool_outcome_delete(Spool *spool, int64_t command_id, int attempt);

/* The first outcome to report whose id is greater than `after`; result is to be freed. */
bool spool_outcome_next(Spool *spool, int64_t after, SpoolOutcome *outcome);
int64_t spool_outcomes(const Spool *spool);

#endif
