/*
 * store.c
 *		The spool behind a thread of its own, so that a slow disk delays nothing but the disk.
 *
 * The loop puts jobs into a queue; the thread, which alone uses the Spool, does them in order and
 * hands them back through a second queue and an eventfd. A memory card may take a second for an
 * fsync: meanwhile meters are polled, commands executed and reported, and what was read waits in
 * memory.
 *
 * What is shared are the two queues, under one mutex. A job belongs to one side at a time. What
 * the loop wants to know of the spool (uuid, rows, counts) comes as a copy with each finished job.
 *
 * Outcomes are the loop's: the list in memory is the truth while the process lives, the file is
 * its copy for the next start. Jobs about outcomes that have gathered become one transaction.
 */
#include "store.h"

#include "agent.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* What memory holds while the disk stands still: ten seconds of 5000 meters each second. */
#define ADDED_MAX 50000
/* Dropped at once, since the rest has to be moved. */
#define ADDED_DROP (ADDED_MAX / 10)

typedef enum JobKind
{
	STORE_FLUSH,
	STORE_BATCH,
	STORE_ACK,
	STORE_HELLO,
	STORE_BEGIN,
	STORE_END,
	STORE_DELETE,
	STORE_STOP
} JobKind;

/* Readings and the real times at which they were taken. */
typedef struct Added
{
	Reading *reading;
	int64_t *taken;
	int count;
	int size;
} Added;

typedef struct State
{
	char uuid[SPOOL_UUID_SIZE];
	int64_t rows;
	int64_t oldest;
	SpoolCounts counts;
} State;

typedef struct StoreJob
{
	JobKind kind;
	Added added;	/* STORE_FLUSH */
	int64_t number; /* batch or command */
	int attempt;
	char outcome[16];
	char *result; /* JSON text */

	bool good;
	SpoolBatch batch;
	State state; /* of the spool, after the job */
	StoreDone done;
	StoreBatchDone batch_done;
	void *arg;
	struct StoreJob *next;
} StoreJob;

typedef struct Queue
{
	StoreJob *first;
	StoreJob **end;
} Queue;

struct Store
{
	Spool *spool; /* the thread's */
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	Queue queue;	/* under the lock */
	Queue finished; /* under the lock */
	int signal;		/* eventfd: something is finished */
	struct event *event;

	State state;
	Added added;
	int flushing; /* readings in unfinished jobs */
	uint64_t dropped;
	SpoolOutcome *outcome; /* in the order of their end */
	int outcomes;
};

/* ---- queues ---- */

static void
queue_add(Queue *queue, StoreJob *job)
{
	job->next = NULL;
	*queue->end = job;
	queue->end = &job->next;
}

static StoreJob *
queue_take_all(Queue *queue)
{
	StoreJob *first = queue->first;

	queue->first = NULL;
	queue->end = &queue->first;
	return first;
}

static void
job_free(StoreJob *job)
{
	spool_batch_free(&job->batch);
	free(job->added.reading);
	free(job->added.taken);
	free(job->result);
	free(job);
}

static void
read_state(Spool *spool, State *state)
{
	strcpy(state->uuid, spool_uuid(spool));
	state->rows = spool_rows(spool);
	state->oldest = spool_oldest(spool);
	state->counts = *spool_counts(spool);
}

/* ---- the thread ---- */

static bool
is_outcome(const StoreJob *job)
{
	return job && (job->kind == STORE_BEGIN || job->kind == STORE_END || job->kind == STORE_DELETE);
}

static void
do_job(Spool *spool, StoreJob *job)
{
	switch (job->kind)
	{
		case STORE_FLUSH:
			for (int i = 0; i < job->added.count; i++)
				spool_add(spool, &job->added.reading[i], job->added.taken[i]);
			job->good = spool_flush(spool);
			break;
		case STORE_BATCH:
			job->good = spool_batch(spool, &job->batch);
			break;
		case STORE_ACK:
			spool_ack(spool, job->number);
			break;
		case STORE_HELLO:
			job->good = spool_hello(spool, job->number);
			break;
		case STORE_BEGIN:
			spool_outcome_begin(spool, job->number, job->attempt);
			break;
		case STORE_END:
			spool_outcome_end(spool, job->number, job->attempt, job->outcome, job->result);
			break;
		case STORE_DELETE:
			spool_outcome_delete(spool, job->number, job->attempt);
			break;
		case STORE_STOP:
			break;
	}
}

/* Does a job, or those about outcomes that stand together; returns the last of them. */
static StoreJob *
do_jobs(Spool *spool, StoreJob *job)
{
	bool grouped = is_outcome(job) && is_outcome(job->next) && spool_group_begin(spool);

	do_job(spool, job);
	while (grouped && is_outcome(job->next))
	{
		job = job->next;
		do_job(spool, job);
	}
	if (grouped)
		spool_group_end(spool);
	return job;
}

static void
hand_back(Store *store, StoreJob *first, StoreJob *last)
{
	uint64_t one = 1;

	read_state(store->spool, &last->state);
	for (StoreJob *job = first; job != last; job = job->next)
		job->state = last->state;
	last->next = NULL;
	pthread_mutex_lock(&store->lock);
	*store->finished.end = first;
	store->finished.end = &last->next;
	pthread_mutex_unlock(&store->lock);
	if (write(store->signal, &one, sizeof(one)) < 0)
		abort();
}

static void *
run(void *arg)
{
	Store *store = arg;
	bool stop = false;

	while (!stop)
	{
		StoreJob *job;

		pthread_mutex_lock(&store->lock);
		while (!store->queue.first)
			pthread_cond_wait(&store->wake, &store->lock);
		job = queue_take_all(&store->queue);
		pthread_mutex_unlock(&store->lock);
		while (job)
		{
			StoreJob *last = do_jobs(store->spool, job);
			StoreJob *next = last->next;

			stop |= last->kind == STORE_STOP;
			hand_back(store, job, last);
			job = next;
		}
	}
	return NULL;
}

/* ---- the loop's side ---- */

static void
post(Store *store, StoreJob *job)
{
	pthread_mutex_lock(&store->lock);
	queue_add(&store->queue, job);
	pthread_cond_signal(&store->wake);
	pthread_mutex_unlock(&store->lock);
}

static StoreJob *
new_job(JobKind kind, int64_t number)
{
	StoreJob *job = mem_alloc0(sizeof(*job));

	job->kind = kind;
	job->number = number;
	return job;
}

static void
publish_counts(const Store *store)
{
	counters.spool_dropped = store->state.counts.dropped + store->dropped;
	counters.spool_errors = store->state.counts.errors;
	counters.spool_renewed = store->state.counts.renewed;
}

static void
finish(Store *store, StoreJob *job)
{
	SpoolBatch batch = job->batch;

	store->state = job->state;
	store->flushing -= job->added.count;
	publish_counts(store);
	if (job->done)
		job->done(job->arg, job->good);
	if (job->batch_done)
	{
		memset(&job->batch, 0, sizeof(job->batch));
		job->batch_done(job->arg, job->good ? &batch : NULL);
	}
	job_free(job);
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	Store *store = arg;
	StoreJob *job;
	uint64_t count;

	(void) what;
	if (read((int) fd, &count, sizeof(count)) < 0)
		return;
	pthread_mutex_lock(&store->lock);
	job = queue_take_all(&store->finished);
	pthread_mutex_unlock(&store->lock);
	while (job)
	{
		StoreJob *next = job->next;

		finish(store, job);
		job = next;
	}
}

const char *
store_uuid(const Store *store)
{
	return store->state.uuid;
}

int64_t
store_rows(const Store *store)
{
	return store->state.rows + store->flushing + store->added.count;
}

int64_t
store_oldest(const Store *store)
{
	if (store->state.oldest > 0)
		return store->state.oldest;
	return store->added.count > 0 ? store->added.taken[0] : 0;
}

/* ---- readings ---- */

static void
added_drop(Added *added, int count)
{
	size_t left = (size_t) (added->count - count);

	memmove(added->reading, added->reading + count, left * sizeof(*added->reading));
	memmove(added->taken, added->taken + count, left * sizeof(*added->taken));
	added->count -= count;
}

void
store_add(Store *store, const Reading *reading)
{
	Added *added = &store->added;

	if (added->count == ADDED_MAX)
	{
		added_drop(added, ADDED_DROP);
		store->dropped += ADDED_DROP;
		publish_counts(store);
		log_event(LEVEL_ERROR, "disk_stands_still", "dropped=%d", ADDED_DROP);
	}
	if (added->count == added->size)
	{
		added->size = added->size ? 2 * added->size : 64;
		added->reading =
			mem_realloc(added->reading, (size_t) added->size * sizeof(*added->reading));
		added->taken = mem_realloc(added->taken, (size_t) added->size * sizeof(*added->taken));
	}
	added->taken[added->count] = clock_real();
	added->reading[added->count++] = *reading;
}

void
store_flush(Store *store, StoreDone done, void *arg)
{
	StoreJob *job = new_job(STORE_FLUSH, 0);

	job->added = store->added;
	job->done = done;
	job->arg = arg;
	memset(&store->added, 0, sizeof(store->added));
	store->flushing += job->added.count;
	post(store, job);
}

void
store_batch(Store *store, StoreBatchDone done, void *arg)
{
	StoreJob *job = new_job(STORE_BATCH, 0);

	job->batch_done = done;
	job->arg = arg;
	post(store, job);
}

void
store_ack(Store *store, int64_t seq)
{
	post(store, new_job(STORE_ACK, seq));
}

void
store_hello(Store *store, int64_t last_seq, StoreDone done, void *arg)
{
	StoreJob *job = new_job(STORE_HELLO, last_seq);

	job->done = done;
	job->arg = arg;
	post(store, job);
}

/* ---- outcomes ---- */

static void
keep_outcome(Store *store, const SpoolOutcome *outcome)
{
	store->outcome =
		mem_realloc(store->outcome, (size_t) (store->outcomes + 1) * sizeof(*store->outcome));
	store->outcome[store->outcomes++] = *outcome;
}

void
store_outcome_begin(Store *store, int64_t command_id, int attempt)
{
	StoreJob *job = new_job(STORE_BEGIN, command_id);

	job->attempt = attempt;
	post(store, job);
}

void
store_outcome_end(Store *store, int64_t command_id, int attempt, const char *outcome,
				  const char *result)
{
	StoreJob *job = new_job(STORE_END, command_id);
	SpoolOutcome kept = { .command_id = command_id, .attempt = attempt };

	text_copy(kept.outcome, sizeof(kept.outcome), outcome);
	kept.result = mem_strdup(result);
	keep_outcome(store, &kept);
	job->attempt = attempt;
	text_copy(job->outcome, sizeof(job->outcome), outcome);
	job->result = mem_strdup(result);
	post(store, job);
}

void
store_outcome_delete(Store *store, int64_t command_id, int attempt)
{
	StoreJob *job = new_job(STORE_DELETE, command_id);
	int kept = 0;

	for (int i = 0; i < store->outcomes; i++)
	{
		SpoolOutcome *outcome = &store->outcome[i];

		if (outcome->command_id == command_id && outcome->attempt == attempt)
			free(outcome->result);
		else
			store->outcome[kept++] = *outcome;
	}
	store->outcomes = kept;
	job->attempt = attempt;
	post(store, job);
}

const SpoolOutcome *
store_outcome_next(const Store *store)
{
	return store->outcomes > 0 ? &store->outcome[0] : NULL;
}

bool
store_outcome_waiting(const Store *store, int64_t command_id)
{
	for (int i = 0; i < store->outcomes; i++)
	{
		if (store->outcome[i].command_id == command_id)
			return true;
	}
	return false;
}

int
store_outcomes(const Store *store)
{
	return store->outcomes;
}

/* ---- life ---- */

static void
load_outcomes(Store *store)
{
	SpoolOutcome outcome = { 0 };

	while (spool_outcome_next(store->spool, outcome.id, &outcome))
		keep_outcome(store, &outcome);
}

/* Signals are the loop's. */
static void
start_thread(Store *store)
{
	sigset_t all;
	sigset_t before;
	int code;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	code = pthread_create(&store->thread, NULL, run, store);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (code == 0)
		return;
	log_event(LEVEL_ERROR, "no_thread", "reason=%s", log_value(strerror(code)));
	abort();
}

Store *
store_open(struct event_base *base, const char *folder, int64_t max_rows, char *reason, size_t size)
{
	Store *store;
	Spool *spool = spool_open(folder, max_rows, reason, size);

	if (!spool)
		return NULL;
	store = mem_alloc0(sizeof(*store));
	store->spool = spool;
	store->queue.end = &store->queue.first;
	store->finished.end = &store->finished.first;
	read_state(spool, &store->state);
	load_outcomes(store);
	pthread_mutex_init(&store->lock, NULL);
	pthread_cond_init(&store->wake, NULL);
	store->signal = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (store->signal < 0)
		abort();
	store->event = event_new(base, store->signal, EV_READ | EV_PERSIST, on_finished, store);
	event_priority_set(store->event, PRIORITY_URGENT);
	event_add(store->event, NULL);
	start_thread(store);
	return store;
}

void
store_close(Store *store)
{
	StoreJob *job;

	if (!store)
		return;
	store_flush(store, NULL, NULL);
	post(store, new_job(STORE_STOP, 0));
	pthread_join(store->thread, NULL);
	while ((job = store->finished.first) != NULL)
	{
		store->finished.first = job->next;
		job_free(job);
	}
	for (int i = 0; i < store->outcomes; i++)
		free(store->outcome[i].result);
	free(store->outcome);
	event_free(store->event);
	close(store->signal);
	pthread_cond_destroy(&store->wake);
	pthread_mutex_destroy(&store->lock);
	spool_close(store->spool);
	free(store);
}
