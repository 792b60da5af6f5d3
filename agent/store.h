/*
 * store.h
 *		The spool behind a thread of its own, so that a slow disk delays nothing but the disk.
 */
#ifndef PREPAYD_STORE_H
#define PREPAYD_STORE_H

#include "spool.h"

#include <event2/event.h>

typedef struct Store Store;

/* Callbacks run from the loop; none runs any more once store_close was called. */
typedef void (*StoreDone)(void *arg, bool good);

/* NULL: there is nothing to send, or the disk refused. The batch is the receiver's to free. */
typedef void (*StoreBatchDone)(void *arg, SpoolBatch *batch);

/* As spool_open; the outcomes that wait in the file are in memory afterwards. */
Store *store_open(struct event_base *base, const char *folder, int64_t max_rows, char *reason,
				  size_t size);

/* Stores what is in memory, waits for the disk, frees. */
void store_close(Store *store);

const char *store_uuid(const Store *store);
int64_t store_rows(const Store *store);	  /* readings on their way, in memory and on disk */
int64_t store_oldest(const Store *store); /* real time the oldest of them was taken, 0: none */

/* Takes the reading into memory. */
void store_add(Store *store, const Reading *reading);

/* Makes durable what was added before the call; false: the disk refused, and it is kept. */
void store_flush(Store *store, StoreDone done, void *arg);

/* spool_batch, spool_ack and spool_hello, in the order of the calls. */
void store_batch(Store *store, StoreBatchDone done, void *arg);
void store_ack(Store *store, int64_t seq);
void store_hello(Store *store, int64_t last_seq, StoreDone done, void *arg);

/*
 * Outcomes of commands. They are in memory at once and reach the disk as it comes: until then a
 * crash leaves the command to its lease, after which the database has the meter looked at, as it
 * does for one that was noted and not ended.
 */
void store_outcome_begin(Store *store, int64_t command_id, int attempt);
void store_outcome_end(Store *store, int64_t command_id, int attempt, const char *outcome,
					   const char *result);
void store_outcome_delete(Store *store, int64_t command_id, int attempt);

/* The oldest outcome to report, NULL if there is none; valid until it is deleted. */
const SpoolOutcome *store_outcome_next(const Store *store);
bool store_outcome_waiting(const Store *store, int64_t command_id);
int store_outcomes(const Store *store);

#endif
