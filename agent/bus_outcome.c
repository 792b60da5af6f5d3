/*
 * bus_outcome.c
 *		How requests of a bus end: answered, or failed with their connection.
 */
#include "bus_inner.h"

#include "buf.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <stdlib.h>

#define BACKOFF_FIRST_US USEC_PER_SEC

uint32_t
bus_station(const Job *job)
{
	uint32_t hash = 0;

	if (job->protocol == FRAME_MODBUS)
		return job->unit;
	for (int i = 0; i < DLT645_ADDRESS; i++)
		hash = hash * 131 + job->station[i];
	return hash | UINT32_C(0x80000000);
}

void
bus_close(Bus *bus)
{
	link_close(bus->link);
	bus->in_len = 0;
	bus->out_len = bus->out_sent = 0;
	bus->queued = bus->sent;
	bus->state = BUS_DOWN;
}

static void
job_answer(Job *job, const JobAnswer *answer)
{
	job->bus = NULL;
	job->done(job, answer);
}

void
bus_remove_flight(Bus *bus, int flight)
{
	bus->flight[flight] = bus->flight[--bus->flights];
}

void
bus_finish(Bus *bus, int flight, JobAnswer *answer)
{
	Job *job = bus->flight[flight].job;
	int64_t gap = bus_gap(bus);

	answer->sent_at = bus->flight[flight].sent_at;
	answer->answered_at = clock_real();
	bus_remove_flight(bus, flight);
	if (bus->state == BUS_UP && gap > 0)
		bus_pause(bus, gap);
	bus->finishing = true;
	job_answer(job, answer);
	bus->finishing = false;
}

void
bus_fail_flights(Bus *bus, uint64_t sent, const char *reason)
{
	while (bus->flights > 0)
	{
		JobAnswer answer = { .result = sent > bus->flight[0].begins ? JOB_LOST : JOB_UNREACHABLE,
							 .reason = reason };

		bus_finish(bus, 0, &answer);
	}
}

void
bus_fail_queued(Bus *bus)
{
	JobAnswer answer = { .result = JOB_UNREACHABLE, .reason = "gateway unreachable" };
	size_t count = bus->queue.count;

	if (count == 0)
		return;
	/* Only the jobs of now, in queue order: a callback may queue new ones or cancel others. */
	bus->parked = mem_alloc(count * sizeof(*bus->parked));
	bus->parked_count = count;
	for (size_t i = 0; i < count; i++)
	{
		bus->parked[i] = bus->queue.job[0];
		job_heap_remove(&bus->queue, bus->parked[i]);
		bus->parked[i]->position = JOB_PARKED;
	}
	for (size_t i = 0; i < count; i++)
	{
		Job *job = bus->parked[i];

		bus->parked[i] = NULL;
		if (job)
			job_answer(job, &answer);
	}
	free(bus->parked);
	bus->parked = NULL;
	bus->parked_count = 0;
}

static int64_t
bus_backoff(const Bus *bus)
{
	int64_t pause = BACKOFF_FIRST_US;

	for (unsigned i = 1; i < bus->failures && pause < bus->limits.max_backoff_us; i++)
		pause *= 2;
	if (pause > bus->limits.max_backoff_us)
		pause = bus->limits.max_backoff_us;
	/* A quarter of jitter, so that the gateways behind one dead switch do not return in step. */
	return pause - (int64_t) ((uint64_t) random() % (uint64_t) (pause / 4 + 1));
}

void
bus_attempt_failed(Bus *bus, const char *reason)
{
	int64_t now = clock_mono();

	bus->failures++;
	if (bus->state == BUS_OPENING)
		bus->restore_due = true;
	counters.connect_failures++;
	bus->retry_at = now + bus_backoff(bus);
	if (bus->failures == 1)
		log_event(LEVEL_WARN, "gateway_unreachable", "address=%s reason=%s",
				  log_value(bus_address(bus)), log_value(reason));
	bus_close(bus);
	bus_wake_at(bus, bus->retry_at, now);
	bus->hooks.failed(bus->hooks.arg, reason);
	bus_fail_queued(bus);
}

void
bus_broken(Bus *bus, const char *reason)
{
	bool unheard = !bus->heard;
	uint64_t sent = bus->sent;

	counters.disconnects++;
	log_event(LEVEL_DEBUG, "gateway_disconnected", "address=%s reason=%s",
			  log_value(bus_address(bus)), log_value(reason));
	bus_close(bus);
	bus->retry_at = 0;
	bus_fail_flights(bus, sent, "connection lost");
	if (unheard)
		bus_attempt_failed(bus, reason);
	else
		event_active(bus->kick, EV_TIMEOUT, 1);
}

void
bus_heard(Bus *bus)
{
	bus->timeouts = 0;
	if (!bus->heard)
	{
		bus->heard = true;
		bus->failures = 0;
	}
	bus->hooks.heard(bus->hooks.arg);
}
