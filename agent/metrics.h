/*
 * metrics.h
 *		Counters of the process and their HTTP exposition (/metrics, /healthz).
 */
#ifndef PREPAYD_METRICS_H
#define PREPAYD_METRICS_H

#include "buf.h"

#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 12

typedef struct Histogram
{
	uint64_t bucket[HISTOGRAM_BUCKETS]; /* see histogram_bounds in metrics.c; not cumulative */
	uint64_t count;
	int64_t sum_us;
} Histogram;

/* The loop is single-threaded, so plain counters are enough. */
typedef struct Counters
{
	uint64_t requests;
	uint64_t answers;
	uint64_t exceptions;
	uint64_t timeouts;
	uint64_t stale_answers; /* transaction id of an earlier request */
	uint64_t bad_answers;	/* wrong unit, function, length or echo */
	uint64_t broken_frames;
	uint64_t connects;
	uint64_t connect_failures;
	uint64_t disconnects;

	uint64_t polls_ok;
	uint64_t polls_failed;
	uint64_t polls_late; /* grid points skipped because the previous poll was not finished */
	uint64_t probes;
	Histogram poll_lateness; /* grid point to the answer that held the energy */

	uint64_t readings;
	uint64_t readings_invalid; /* the energy register held an invalid marker */
	uint64_t spool_dropped;
	uint64_t spool_errors;
	uint64_t spool_renewed;

	uint64_t batches;
	uint64_t batches_repeated;
	uint64_t rows_stored;
	uint64_t rows_filed;
	uint64_t ingest_errors;
	uint64_t ticks;
	uint64_t db_connects;

	uint64_t commands_done;
	uint64_t commands_refused;
	uint64_t commands_failed;
	uint64_t commands_unknown;
	uint64_t commands_expired;
	uint64_t writes;
	uint64_t trips_braked; /* not carried out for their number */

	uint64_t pay_accepted;
	uint64_t pay_refused;
	uint64_t pay_failed;
	Histogram command_seconds; /* taken to outcome */
} Counters;

extern Counters counters;

void histogram_add(Histogram *histogram, int64_t usec);

/* State that is read at the moment of a scrape or beat. */
typedef struct Gauges
{
	int gateways;
	int gateways_lost;
	int meters;
	int meters_lost;
	int commands_active;
	int64_t spool_rows;
	int64_t spool_oldest_s;
	int64_t outcomes_waiting;
	bool database_up;
	bool ingest_blocked; /* the database refuses the oldest batch */
	int64_t plan_revision;
	int64_t clock_skew_ms; /* database minus this host */
	int meter_clocks_off;
	int64_t meter_clock_drift_s; /* the largest, without its sign */
} Gauges;

typedef void (*MetricsGauges)(void *arg, Gauges *gauges);

typedef struct Metrics Metrics;

/* Listens on "host:port" (a literal address); NULL when that is impossible. */
Metrics *metrics_new(struct event_base *base, const char *address, MetricsGauges gauges, void *arg);
void metrics_free(Metrics *metrics);

void metrics_text(const Gauges *gauges, Buf *out);

/* Counters for people: the status of agent_beat. */
json_t *metrics_json(const Gauges *gauges);

#endif
