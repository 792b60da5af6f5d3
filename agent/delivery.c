/*
 * delivery.c
 *		From the spool to prepay.ingest, and the calls of prepay.tick.
 *
 * After each (re)connect agent_hello says the last batch the database has of our spool; only then
 * batches flow, one at a time. The database records the batch number in the transaction that stores
 * the rows, so a batch whose answer was lost is either below last_seq at the next hello, or
 * repeated and stored then: never both.
 */
#include "delivery.h"

#include "buf.h"
#include "db.h"
#include "log.h"
#include "metrics.h"
#include "store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Group commit: what a crash may lose, and how often a full disk is tried again. */
#define FLUSH_US (50 * USEC_PER_MSEC)
#define RETRY_US USEC_PER_SEC
#define REFUSED_RETRY_US (10 * USEC_PER_SEC)
#define TICK_US (10 * USEC_PER_SEC)
#define TICK_BUSINESS_US (300 * USEC_PER_SEC)
#define TICK_MIN_US (250 * USEC_PER_MSEC)

struct Delivery
{
	Agent *agent;
	Db *db;
	struct event *flush;
	struct event *pump; /* retry after a refused hello or batch */
	struct event *tick;
	char greeted[SPOOL_UUID_SIZE]; /* uuid that hello was said for; "": none on this connection */
	bool greeting;
	bool flushing;
	bool flush_again;
	bool preparing;	 /* the store makes up a batch */
	int64_t sending; /* number of the batch on its way; 0: none */
	bool blocked;
	bool ticking;
};

static void delivery_pump(Delivery *delivery);

static void
arm(struct event *event, int64_t usec)
{
	struct timeval delay = { usec / USEC_PER_SEC, usec % USEC_PER_SEC };

	if (!evtimer_pending(event, NULL))
		evtimer_add(event, &delay);
}

/* ---- hello ---- */

static void
hello_taken(void *arg, bool same)
{
	Delivery *delivery = arg;

	delivery->greeting = false;
	/* On a connection that broke meanwhile nothing was said yet. */
	if (same && db_is_ready(delivery->db))
		strcpy(delivery->greeted, store_uuid(delivery->agent->store));
	delivery_pump(delivery);
}

static void
hello_done(void *arg, const DbAnswer *answer)
{
	Delivery *delivery = arg;
	json_error_t error;
	json_t *state;

	if (answer->lost || !answer->ok)
		delivery->greeting = false;
	if (answer->lost)
		return;
	if (!answer->ok)
	{
		db_log_failure("hello_refused", answer);
		arm(delivery->pump, REFUSED_RETRY_US);
		return;
	}
	state = json_loads(PQgetvalue(answer->result, 0, 0), 0, &error);
	if (!json_is_object(state))
	{
		log_event(LEVEL_ERROR, "hello_malformed", "answer=%s",
				  log_value(PQgetvalue(answer->result, 0, 0)));
		json_decref(state);
		delivery->greeting = false;
		arm(delivery->pump, REFUSED_RETRY_US);
		return;
	}
	agent_take_state(delivery->agent, state);
	store_hello(delivery->agent->store, json_integer_value(json_object_get(state, "last_seq")),
				hello_taken, delivery);
	json_decref(state);
}

static void
say_hello(Delivery *delivery)
{
	const char *values[] = { delivery->agent->config.name, store_uuid(delivery->agent->store) };

	delivery->greeting = true;
	db_query(delivery->db, "SELECT prepay.agent_hello($1, $2::uuid)", 2, values, hello_done,
			 delivery);
}

/* ---- batches ---- */

static void
batch_stored(Delivery *delivery, int64_t seq, const PGresult *result)
{
	counters.batches++;
	counters.rows_stored += strtoull(PQgetvalue(result, 0, 1), NULL, 10);
	counters.rows_filed += strtoull(PQgetvalue(result, 0, 2), NULL, 10);
	if (PQgetvalue(result, 0, 3)[0] == 't')
		counters.batches_repeated++;
	if (delivery->blocked)
		log_event(LEVEL_INFO, "ingest_resumed", "seq=%lld", (long long) seq);
	delivery->blocked = false;
	store_ack(delivery->agent->store, seq);
	/* The deletion rides on the next commit; without one it would wait for the next reading. */
	arm(delivery->flush, FLUSH_US);
}

static void
ingest_done(void *arg, const DbAnswer *answer)
{
	Delivery *delivery = arg;
	int64_t seq = delivery->sending;

	delivery->sending = 0;
	if (answer->lost)
		return;
	if (answer->ok && PQntuples(answer->result) == 1 &&
		strtoll(PQgetvalue(answer->result, 0, 0), NULL, 10) >= seq)
	{
		batch_stored(delivery, seq, answer->result);
		delivery_pump(delivery);
		return;
	}
	counters.ingest_errors++;
	if (answer->ok)
		log_event(LEVEL_ERROR, "ingest_not_acknowledged", "seq=%lld", (long long) seq);
	else
		db_log_failure("ingest_refused", answer);
	delivery->blocked = !answer->retry;
	arm(delivery->pump, answer->retry ? RETRY_US : REFUSED_RETRY_US);
}

static void
send_batch(Delivery *delivery, const SpoolBatch *batch)
{
	static const char sql[] =
		"SELECT last_seq, stored, filed, repeated FROM prepay.ingest($1, $2::uuid, $3::bigint,"
		" $4::int[], $5::timestamptz[], $6::numeric[], $7::numeric[], $8::text[], $9::numeric[],"
		" $10::boolean[], $11::numeric[], $12::int[], $13::timestamptz[])";
	const char *values[3 + SPOOL_COLUMNS];
	char seq[24];

	snprintf(seq, sizeof(seq), "%lld", (long long) batch->seq);
	values[0] = delivery->agent->config.name;
	values[1] = delivery->greeted;
	values[2] = seq;
	for (int i = 0; i < SPOOL_COLUMNS; i++)
		values[3 + i] = batch->column[i].data;
	delivery->sending = batch->seq;
	db_query(delivery->db, sql, 3 + SPOOL_COLUMNS, values, ingest_done, delivery);
}

static bool
is_greeted(const Delivery *delivery)
{
	return strcmp(delivery->greeted, store_uuid(delivery->agent->store)) == 0;
}

static void
batch_ready(void *arg, SpoolBatch *batch)
{
	Delivery *delivery = arg;

	delivery->preparing = false;
	if (batch && db_is_ready(delivery->db) && is_greeted(delivery))
		send_batch(delivery, batch);
	else if (batch)
		delivery_pump(delivery); /* it keeps its number and is asked for again after the hello */
	if (batch)
		spool_batch_free(batch);
}

static void
delivery_pump(Delivery *delivery)
{
	if (!db_is_ready(delivery->db) || delivery->greeting || delivery->preparing ||
		delivery->sending)
		return;
	if (evtimer_pending(delivery->pump, NULL))
		return;
	/* A spool that had to be begun anew has another uuid, which the database must learn first. */
	if (!is_greeted(delivery))
	{
		say_hello(delivery);
		return;
	}
	delivery->preparing = true;
	store_batch(delivery->agent->store, batch_ready, delivery);
}

static void
on_pump(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	delivery_pump(arg);
}

static void
flushed(void *arg, bool good)
{
	Delivery *delivery = arg;

	delivery->flushing = false;
	if (!good)
		arm(delivery->flush, RETRY_US);
	else if (delivery->flush_again)
		arm(delivery->flush, FLUSH_US);
	delivery->flush_again = false;
	delivery_pump(delivery);
}

static void
flush(Delivery *delivery)
{
	delivery->flush_again = delivery->flushing;
	if (delivery->flushing)
		return;
	delivery->flushing = true;
	store_flush(delivery->agent->store, flushed, delivery);
}

static void
on_flush(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	flush(arg);
}

void
delivery_add(Agent *agent, const Reading *reading, bool now)
{
	Delivery *delivery = agent->delivery;

	store_add(agent->store, reading);
	if (now)
		flush(delivery);
	else
		arm(delivery->flush, FLUSH_US);
}

/* ---- tick ---- */

static int64_t
tick_pause(const Delivery *delivery)
{
	int64_t pause = clock_real_span(&delivery->agent->clock, TICK_BUSINESS_US);

	if (pause < 0 || pause > TICK_US)
		return TICK_US;
	return pause < TICK_MIN_US ? TICK_MIN_US : pause;
}

static void tick_send(Delivery *delivery);

static void
tick_done(void *arg, const DbAnswer *answer)
{
	Delivery *delivery = arg;

	delivery->ticking = false;
	if (answer->lost)
		return;
	if (!answer->ok)
		db_log_failure("tick_failed", answer);
	else
	{
		counters.ticks++;
		if (strtol(PQgetvalue(answer->result, 0, 0), NULL, 10) > 0)
		{
			tick_send(delivery);
			return;
		}
	}
	arm(delivery->tick, tick_pause(delivery));
}

static void
tick_send(Delivery *delivery)
{
	if (delivery->ticking || !db_is_ready(delivery->db))
		return;
	delivery->ticking = true;
	db_query(delivery->db, "SELECT prepay.tick()", 0, NULL, tick_done, delivery);
}

static void
on_tick(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	tick_send(arg);
}

void
delivery_clock_changed(Agent *agent)
{
	Delivery *delivery = agent->delivery;

	if (!delivery || !evtimer_pending(delivery->tick, NULL))
		return;
	evtimer_del(delivery->tick);
	arm(delivery->tick, tick_pause(delivery));
}

/* ---- life ---- */

static void
on_ready(void *arg)
{
	Delivery *delivery = arg;

	delivery->greeted[0] = '\0';
	delivery_pump(delivery);
	if (!delivery->agent->once)
		tick_send(delivery);
}

static void
on_lost(void *arg)
{
	Delivery *delivery = arg;

	delivery->greeted[0] = '\0';
	evtimer_del(delivery->pump);
	evtimer_del(delivery->tick);
}

Delivery *
delivery_new(Agent *agent)
{
	Delivery *delivery = mem_alloc0(sizeof(*delivery));
	DbHooks hooks = { on_ready, on_lost, NULL, delivery };
	char application[160];

	snprintf(application, sizeof(application), "prepayd/%s ingest", agent->config.name);
	delivery->agent = agent;
	delivery->flush = evtimer_new(agent->base, on_flush, delivery);
	delivery->pump = evtimer_new(agent->base, on_pump, delivery);
	delivery->tick = evtimer_new(agent->base, on_tick, delivery);
	delivery->db =
		db_new(agent->base, agent->names, "ingest", agent->config.conninfo, application, &hooks);
	return delivery;
}

void
delivery_free(Delivery *delivery)
{
	if (!delivery)
		return;
	event_free(delivery->flush);
	event_free(delivery->pump);
	event_free(delivery->tick);
	db_free(delivery->db);
	free(delivery);
}

bool
delivery_connected(const Delivery *delivery)
{
	return db_is_ready(delivery->db);
}

bool
delivery_blocked(const Delivery *delivery)
{
	return delivery->blocked;
}
