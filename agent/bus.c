/*
 * bus.c
 *		One connection to one gateway address: a priority queue of jobs, few requests in flight.
 *
 * States: DOWN -> OPENING -> UP <-> PAUSE. One timer serves them all: reconnect, connect time-out,
 * answer deadlines, end of a pause. It is armed for the earliest of these and left to fire early
 * when that is put off, since most deadlines are: an answer comes.
 *
 * Invariants
 *   - A job is in the heap, in flight, or parked, and job->bus says whether it is one of these.
 *   - A transaction id is used once per 65535 requests. After a time-out the connection stays up
 * and the late answer is told by its id and dropped; it can never answer the next request.
 *   - On a line, where there are no ids, one request is in flight, the line is left silent after a
 *     time-out, and the meter that owes an answer is not asked again for as long as it was given.
 *   - An answer of a wrong unit, function, length or echo is dropped and waiting goes on until the
 *     deadline: a confused gateway costs time, never a false value.
 *   - JOB_UNREACHABLE is reported only when no byte of the request went to the kernel. Once a byte
 *     did, the outcome of a write is open and is reported as LOST or TIMEOUT.
 *   - Callbacks run from loop events only, and may submit, cancel and promote, but not free the
 * bus.
 */
#include "bus_inner.h"

#include "agent.h"
#include "buf.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

/* Two time-outs in a row may be one dead unit; a third on another unit means the link itself. */
#define TIMEOUTS_TO_RECONNECT 3
/* A command may cut the reconnect pause short, but not hammer a gateway that is rebooting. */
#define COMMAND_RECONNECT_US (500 * USEC_PER_MSEC)
/* After a time-out on a line: what is still under way is let pass. */
#define QUIET_US (100 * USEC_PER_MSEC)
/* Somebody who never stops talking does not stop us for longer. */
#define PAUSE_MAX_US USEC_PER_SEC
/* The standard's floor for t3.5, above 19200 baud. */
#define SILENCE_MIN_US 1750
/* Reads of one turn: a peer that sends without end must not keep the loop. */
#define RECEIVE_TURNS 8

static void bus_open(Bus *bus);
static void bus_run(Bus *bus);

/* ---- timer ---- */

void
bus_wake_at(Bus *bus, int64_t when, int64_t now)
{
	int64_t delay = when > now ? when - now : 0;
	struct timeval wait = { delay / USEC_PER_SEC, delay % USEC_PER_SEC };

	if (bus->timer_at && bus->timer_at <= when)
		return;
	bus->timer_at = when;
	evtimer_add(bus->timer, &wait);
}

void
bus_pause(Bus *bus, int64_t usec)
{
	int64_t now = clock_mono();

	bus->state = BUS_PAUSE;
	bus->pause_ends = now + usec;
	bus->pause_limit = bus->pause_ends + PAUSE_MAX_US;
	bus_wake_at(bus, bus->pause_ends, now);
}

int64_t
bus_gap(const Bus *bus)
{
	int64_t gap = bus->limits.gap_ms * USEC_PER_MSEC;
	int64_t silence = 7 * (int64_t) bus->char_us / 2;

	if (silence > 0 && silence < SILENCE_MIN_US)
		silence = SILENCE_MIN_US;
	return gap > silence ? gap : silence;
}

static int
bus_window(const Bus *bus)
{
	if (bus->framing != BUS_MBAP || bus->limits.gap_ms > 0 || bus->limits.window < 1)
		return 1;
	return bus->limits.window < BUS_WINDOW_MAX ? bus->limits.window : BUS_WINDOW_MAX;
}

/* ---- sending ---- */

static void
bus_flush(Bus *bus)
{
	ssize_t n;

	if (bus->out_sent == bus->out_len)
		return;
	n = link_send(bus->link, bus->out + bus->out_sent, bus->out_len - bus->out_sent);
	if (n < 0)
	{
		bus_broken(bus, link_reason(bus->link));
		return;
	}
	bus->out_sent += (size_t) n;
	bus->sent += (uint64_t) n;
	if (bus->out_sent == bus->out_len)
		bus->out_sent = bus->out_len = 0;
}

static void
bus_append(Bus *bus, const uint8_t *bytes, size_t len)
{
	if (bus->out_len + len > bus->out_size)
	{
		bus->out_size = bus->out_len + len + FRAME_ADU_MAX;
		bus->out = mem_realloc(bus->out, bus->out_size);
	}
	memcpy(bus->out + bus->out_len, bytes, len);
	bus->out_len += len;
	bus->queued += len;
}

/* Time the request and the longest good answer take on the line. */
static int64_t
line_time(const Bus *bus, const Job *job, size_t request)
{
	return bus->char_us ? (int64_t) (request + bus_answer_chars(job)) * bus->char_us : 0;
}

static void
bus_start(Bus *bus, Job *job)
{
	Flight *flight = &bus->flight[bus->flights];
	uint8_t frame[FRAME_ADU_MAX];
	int64_t now = clock_mono();
	size_t len;

	job_heap_remove(&bus->queue, job);
	job->position = JOB_IN_FLIGHT;
	/* An answer to a command must not wait behind the polls of a thousand other lines. */
	link_set_urgent(bus->link, job->priority <= JOB_READ_BACK);
	if (++bus->transaction == 0)
		bus->transaction = 1; /* 0 is what simple devices send unasked */
	len = bus_encode(bus, job, bus->transaction, frame);
	flight->job = job;
	flight->transaction = bus->transaction;
	flight->begins = bus->queued;
	flight->sent_at = clock_real();
	flight->deadline = now + job->timeout_ms * USEC_PER_MSEC + line_time(bus, job, len);
	bus->flights++;
	bus_append(bus, frame, len);
	bus_wake_at(bus, flight->deadline, now);
	counters.requests++;
}

/* ---- receiving ---- */

/* Bytes while nothing is asked: on a line somebody else is talking, and is let finish. */
static void
drop_unasked(Bus *bus)
{
	int64_t gap = bus_gap(bus);
	int64_t now = clock_mono();

	counters.stale_answers++;
	bus->in_len = 0;
	if (bus->state == BUS_PAUSE && bus->pause_ends < now + gap && now + gap < bus->pause_limit)
		bus->pause_ends = now + gap;
}

static void
bus_on_readable(void *arg)
{
	Bus *bus = arg;
	size_t room;
	ssize_t n;

	for (int turn = 0; turn < RECEIVE_TURNS; turn++)
	{
		room = sizeof(bus->in) - bus->in_len;
		n = link_receive(bus->link, bus->in + bus->in_len, room);
		if (n < 0)
		{
			bus_broken(bus, link_reason(bus->link));
			return;
		}
		bus->in_len += (size_t) n;
		if (n > 0 && bus->framing == BUS_STREAMED && bus->flights == 0)
			drop_unasked(bus);
		else if (n > 0)
			bus_parse(bus);
		if (bus->state == BUS_DOWN)
			return;
		if ((size_t) n < room)
		{
			bus_run(bus);
			return;
		}
	}
	/* More is there, and its edge is spent. */
	event_active(bus->kick, EV_READ, 1);
	bus_run(bus);
}

static void
bus_on_writable(void *arg)
{
	bus_flush(arg);
}

/* ---- connecting ---- */

static void
bus_on_opened(void *arg)
{
	Bus *bus = arg;

	counters.connects++;
	bus->state = BUS_UP;
	bus->heard = false;
	bus->timeouts = 0;
	if (bus->restore_due)
	{
		bus->restore_due = false;
		log_event(LEVEL_INFO, "gateway_connected", "address=%s attempts=%u",
				  log_value(bus_address(bus)), bus->failures + 1);
		bus->hooks.restored(bus->hooks.arg);
	}
	bus_run(bus);
}

static void
bus_on_failed(void *arg, const char *reason)
{
	bus_attempt_failed(arg, reason);
}

static void
bus_open(Bus *bus)
{
	bus->tried_at = clock_mono();
	bus->state = BUS_OPENING;
	bus_wake_at(bus, bus->tried_at + bus->limits.connect_timeout_ms * USEC_PER_MSEC, bus->tried_at);
	link_open(bus->link);
}

/* ---- running ---- */

static void
bus_run_down(Bus *bus)
{
	int64_t now = clock_mono();

	if (bus->queue.count == 0)
		return;
	if (now >= bus->retry_at)
		bus_open(bus);
	else if (bus->queue.job[0]->priority > JOB_READ_BACK)
		bus_fail_queued(bus);
	else if (now - bus->tried_at >= COMMAND_RECONNECT_US)
		bus_open(bus);
	else
		bus_wake_at(bus, bus->tried_at + COMMAND_RECONNECT_US, now);
}

/* The next job, passing over a meter on a line that still owes an answer; NULL: none may go now. */
static Job *
next_job(Bus *bus)
{
	int64_t now;

	if (bus->queue.count == 0 || bus->late_until == 0)
		return bus->queue.count ? bus->queue.job[0] : NULL;
	now = clock_mono();
	if (now >= bus->late_until)
	{
		bus->late_until = 0;
		return bus->queue.job[0];
	}
	bus_wake_at(bus, bus->late_until, now);
	return job_heap_first_other(&bus->queue, bus->late_station);
}

static void
bus_run(Bus *bus)
{
	Job *job;

	if (bus->state == BUS_DOWN)
		bus_run_down(bus);
	if (bus->state != BUS_UP || bus->flights == bus_window(bus))
		return;
	while (bus->flights < bus_window(bus) && (job = next_job(bus)) != NULL)
		bus_start(bus, job);
	bus_flush(bus);
}

static void
bus_on_kick(evutil_socket_t fd, short what, void *arg)
{
	Bus *bus = arg;

	(void) fd;
	if (what & EV_READ && (bus->state == BUS_UP || bus->state == BUS_PAUSE))
		bus_on_readable(bus);
	else
		bus_run(bus);
}

static void
count_timeout(Bus *bus, uint32_t station)
{
	counters.timeouts++;
	if (bus->timeouts++ == 0)
		bus->timeout_stations = false;
	else if (station != bus->timeout_station)
		bus->timeout_stations = true;
	bus->timeout_station = station;
}

/* The meter may still answer: the line is left to it, and it is left alone for as long again. */
static void
expect_late(Bus *bus, const Job *job)
{
	int64_t gap = bus_gap(bus);

	if (bus->framing != BUS_STREAMED)
		return;
	bus->late_station = bus_station(job);
	bus->late_until = clock_mono() + job->timeout_ms * USEC_PER_MSEC;
	bus->in_len = 0;
	bus_pause(bus, gap > QUIET_US ? gap : QUIET_US);
}

static void
bus_timed_out(Bus *bus, int flight)
{
	JobAnswer answer = { .result = JOB_TIMEOUT, .reason = "no answer" };
	const Job *job = bus->flight[flight].job;
	bool torn = bus->framing == BUS_MBAP && bus->in_len > 0;
	bool reconnect;

	count_timeout(bus, bus_station(job));
	reconnect = bus->out_sent < bus->out_len || torn ||
				(bus->timeouts >= TIMEOUTS_TO_RECONNECT && (bus->timeout_stations || !bus->heard));
	expect_late(bus, job);
	bus_finish(bus, flight, &answer);
	if (reconnect && bus->state != BUS_DOWN && bus->flights == 0)
	{
		/* A torn frame would swallow the next answer; silence of several units may be a half-open
		 * connection. */
		counters.disconnects++;
		bus_close(bus);
		bus->retry_at = 0;
	}
}

static void
bus_check_deadlines(Bus *bus)
{
	int64_t now = clock_mono();
	int64_t next = 0;

	/* A callback may cancel others; what is passed over by that is looked at again at once. */
	for (int i = bus->flights - 1; i >= 0 && bus->state == BUS_UP; i--)
	{
		if (i < bus->flights && bus->flight[i].deadline <= now)
			bus_timed_out(bus, i);
	}
	for (int i = 0; i < bus->flights; i++)
	{
		if (next == 0 || bus->flight[i].deadline < next)
			next = bus->flight[i].deadline;
	}
	if (next)
		bus_wake_at(bus, next, now);
	bus_run(bus);
}

static void
bus_on_timer(evutil_socket_t fd, short what, void *arg)
{
	Bus *bus = arg;
	int64_t now = clock_mono();
	int64_t due = 0;

	(void) fd;
	(void) what;
	bus->timer_at = 0;
	switch (bus->state)
	{
		case BUS_DOWN:
			due = bus->retry_at;
			if (bus->queue.count > 0)
				bus_run_down(bus);
			else if (due && now >= due)
				bus_open(bus);
			break;
		case BUS_OPENING:
			due = bus->tried_at + bus->limits.connect_timeout_ms * USEC_PER_MSEC;
			if (now >= due)
				bus_attempt_failed(bus, "connection timed out");
			break;
		case BUS_UP:
			bus_check_deadlines(bus);
			return;
		case BUS_PAUSE:
			due = bus->pause_ends;
			if (now >= due)
			{
				bus->state = BUS_UP;
				bus_check_deadlines(bus);
			}
			break;
	}
	if (now < due && bus->state != BUS_UP)
		bus_wake_at(bus, due, now);
}

/* ---- public ---- */

Bus *
bus_new(struct event_base *base, Names *names, const LinkEnd *end, BusFraming framing,
		const BusLimits *limits, const BusHooks *hooks, char *reason, size_t size)
{
	Bus *bus = mem_alloc0(sizeof(*bus));
	LinkHooks link_hooks = { bus_on_opened, bus_on_failed, bus_on_readable, bus_on_writable, bus };

	bus->link = link_new(base, names, end, &link_hooks, reason, size);
	if (!bus->link)
	{
		free(bus);
		return NULL;
	}
	bus->base = base;
	bus->framing = framing;
	/* Start, eight bits, parity or a second stop bit, stop. */
	bus->char_us = end->line.baud > 0 ? (11 * 1000000 + end->line.baud - 1) / end->line.baud : 0;
	bus->limits = *limits;
	bus->hooks = *hooks;
	bus->transaction = (uint16_t) random();
	bus->timer = evtimer_new(base, bus_on_timer, bus);
	bus->kick = evtimer_new(base, bus_on_kick, bus);
	bus->urgent_kick = evtimer_new(base, bus_on_kick, bus);
	event_priority_set(bus->urgent_kick, PRIORITY_URGENT);
	return bus;
}

void
bus_free(Bus *bus)
{
	uint64_t sent = bus->sent;

	bus_close(bus);
	bus_fail_flights(bus, sent, "the connection was given up");
	bus_fail_queued(bus);
	event_free(bus->timer);
	event_free(bus->kick);
	event_free(bus->urgent_kick);
	link_free(bus->link);
	free(bus->queue.job);
	free(bus->out);
	free(bus);
}

void
bus_set_limits(Bus *bus, const BusLimits *limits)
{
	bus->limits = *limits;
}

const char *
bus_address(const Bus *bus)
{
	return link_address(bus->link);
}

void
bus_submit(Bus *bus, Job *job)
{
	bus->submitted++;
	if (job->rank == 0)
		job->rank = bus->submitted;
	job->bus = bus;
	job_heap_add(&bus->queue, job);
	if (!bus->finishing &&
		(bus->state == BUS_DOWN || (bus->state == BUS_UP && bus->flights < bus_window(bus))))
		event_active(job->priority <= JOB_READ_BACK ? bus->urgent_kick : bus->kick, EV_TIMEOUT, 1);
}

static void
cancel_flight(Bus *bus, const Job *job)
{
	int flight = 0;

	while (bus->flight[flight].job != job)
		flight++;
	bus_remove_flight(bus, flight);
	expect_late(bus, job);
	event_active(bus->kick, EV_TIMEOUT, 1);
}

void
bus_cancel(Job *job)
{
	Bus *bus = job->bus;

	if (!bus)
		return;
	job->bus = NULL;
	if (job->position == JOB_IN_FLIGHT)
		cancel_flight(bus, job);
	else if (job->position != JOB_PARKED)
		job_heap_remove(&bus->queue, job);
	for (size_t i = 0; i < bus->parked_count; i++)
	{
		if (bus->parked[i] == job)
			bus->parked[i] = NULL;
	}
}

bool
bus_job_in_flight(const Job *job)
{
	return job->bus && job->position == JOB_IN_FLIGHT;
}

void
bus_promote(Job *job, JobPriority priority)
{
	Bus *bus = job->bus;

	if (!bus || job->position == JOB_IN_FLIGHT || job->position == JOB_PARKED)
	{
		job->priority = priority;
		return;
	}
	job_heap_remove(&bus->queue, job);
	job->priority = priority;
	job_heap_add(&bus->queue, job);
}
