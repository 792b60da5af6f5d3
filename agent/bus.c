/*
 * bus.c
 *		One connection to one gateway address: a priority queue of jobs, one request in flight.
 *
 * States: DOWN -> RESOLVING -> CONNECTING -> IDLE <-> BUSY, with GAP after an answer where the
 *device needs silence. One timer serves all states: reconnect, connect time-out, answer deadline,
 *gap end.
 *
 * Invariants
 *   - `current` is set exactly in BUSY; a job is either current or in the heap, and job->bus says
 *so.
 *   - A transaction id is used once per 65535 requests. After a time-out the connection stays up
 *and the late answer is told by its id and dropped; it can never answer the next request.
 *   - An answer that carries our id but a wrong unit, function, length or echo is dropped and
 *waiting goes on until the deadline: a confused gateway costs time, never a false value.
 *   - JOB_UNREACHABLE is reported only when no byte of the request went to the kernel. Once a byte
 *     did, the outcome of a write is open and is reported as LOST or TIMEOUT.
 *   - Callbacks run from loop events only, and may submit, cancel and promote, but not free the
 *bus.
 */
#include "bus.h"

#include "agent.h"
#include "buf.h"
#include "clock.h"
#include "job_heap.h"
#include "log.h"
#include "metrics.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Two time-outs in a row may be one dead unit; a third on another unit means the link itself. */
#define TIMEOUTS_TO_RECONNECT 3
#define PARKED SIZE_MAX
#define BACKOFF_FIRST_US USEC_PER_SEC
/* A command may cut the reconnect pause short, but not hammer a gateway that is rebooting. */
#define COMMAND_RECONNECT_US (500 * USEC_PER_MSEC)

typedef enum BusState
{
	BUS_DOWN,
	BUS_RESOLVING,
	BUS_CONNECTING,
	BUS_IDLE,
	BUS_BUSY,
	BUS_GAP
} BusState;

struct Bus
{
	struct event_base *base;
	Names *names;
	char address[288];
	char host[256];
	char port[16];
	BusLimits limits;
	BusHooks hooks;

	BusState state;
	int fd;
	NamesQuery *query;
	struct event *readable;
	struct event *writable;
	struct event *timer;
	struct event *kick;		   /* defers work to the loop */
	struct event *urgent_kick; /* for commands: activating it interrupts the normal events */

	JobHeap queue;
	Job **parked; /* jobs being answered JOB_UNREACHABLE; cancelled ones become NULL */
	size_t parked_count;
	uint64_t submitted;
	Job *current;
	bool finishing; /* in a callback after which the bus runs anyway */
	uint16_t transaction;
	int64_t sent_at;
	uint8_t out[FRAME_ADU_MAX];
	size_t out_len;
	size_t out_sent;
	uint8_t in[2 * FRAME_ADU_MAX];
	size_t in_len;

	unsigned failures; /* connection attempts without a single answer since the last good one */
	bool heard;		   /* this connection has carried a valid frame */
	bool urgent;	   /* the socket's events have the priority of commands */
	bool restore_due;  /* the next connection ends a time in which none could be made */
	int64_t tried_at;  /* monotonic time of the last attempt */
	int64_t retry_at;
	unsigned timeouts; /* in a row */
	uint8_t timeout_unit;
	bool timeout_units; /* they came from more than one unit */
};

static void bus_connect(Bus *bus);
static void bus_run(Bus *bus);

/* ---- timer and outcome ---- */

static void
bus_arm(Bus *bus, int64_t usec)
{
	struct timeval delay = { usec / USEC_PER_SEC, usec % USEC_PER_SEC };

	if (usec < 0)
		delay = (struct timeval){ 0, 0 };
	evtimer_add(bus->timer, &delay);
}

static void
bus_close(Bus *bus)
{
	if (bus->readable)
		event_free(bus->readable);
	if (bus->writable)
		event_free(bus->writable);
	bus->readable = bus->writable = NULL;
	if (bus->fd >= 0)
		close(bus->fd);
	bus->fd = -1;
	bus->in_len = 0;
	evtimer_del(bus->timer);
	bus->state = BUS_DOWN;
}

static void
job_answer(Job *job, const JobAnswer *answer)
{
	job->bus = NULL;
	job->done(job, answer);
}

/* Ends the request in flight and enters IDLE or GAP; the caller then runs the bus. */
static void
bus_finish(Bus *bus, JobAnswer *answer)
{
	Job *job = bus->current;

	bus->current = NULL;
	answer->sent_at = bus->sent_at;
	answer->answered_at = clock_real();
	if (bus->state == BUS_BUSY)
	{
		bus->state = bus->limits.gap_ms > 0 ? BUS_GAP : BUS_IDLE;
		if (bus->state == BUS_GAP)
			bus_arm(bus, bus->limits.gap_ms * USEC_PER_MSEC);
		else
			evtimer_del(bus->timer);
	}
	bus->finishing = true;
	job_answer(job, answer);
	bus->finishing = false;
}

static void
bus_fail_queued(Bus *bus)
{
	JobAnswer answer = { .result = JOB_UNREACHABLE };
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
		bus->parked[i]->position = PARKED;
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

/* An attempt to connect failed, or the connection broke before anything was heard on it. */
static void
bus_attempt_failed(Bus *bus, const char *reason)
{
	int64_t pause;

	bus->failures++;
	if (bus->state == BUS_RESOLVING || bus->state == BUS_CONNECTING)
		bus->restore_due = true;
	counters.connect_failures++;
	pause = bus_backoff(bus);
	bus->retry_at = clock_mono() + pause;
	if (bus->failures == 1)
		log_event(LEVEL_WARN, "gateway_unreachable", "address=%s reason=%s",
				  log_value(bus->address), log_value(reason));
	bus_close(bus);
	bus_arm(bus, pause);
	bus->hooks.failed(bus->hooks.arg, reason);
	bus_fail_queued(bus);
}

/* The connection broke. The request in flight may have been executed. */
static void
bus_broken(Bus *bus, const char *reason)
{
	bool unheard = !bus->heard;
	JobAnswer answer = { .result = bus->out_sent > 0 ? JOB_LOST : JOB_UNREACHABLE };

	counters.disconnects++;
	log_event(LEVEL_DEBUG, "gateway_disconnected", "address=%s reason=%s", log_value(bus->address),
			  log_value(reason));
	bus_close(bus);
	bus->retry_at = 0;
	if (bus->current)
		bus_finish(bus, &answer);
	if (unheard)
		bus_attempt_failed(bus, reason);
	else
		event_active(bus->kick, EV_TIMEOUT, 1);
}

/* ---- sending ---- */

static void
bus_flush(Bus *bus)
{
	while (bus->out_sent < bus->out_len)
	{
		ssize_t n =
			send(bus->fd, bus->out + bus->out_sent, bus->out_len - bus->out_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		{
			event_add(bus->writable, NULL);
			return;
		}
		if (n < 0)
		{
			bus_broken(bus, strerror(errno));
			return;
		}
		bus->out_sent += (size_t) n;
	}
}

/* An answer to a command must not wait behind the polls of a thousand other lines. */
static void
bus_set_urgent(Bus *bus, bool urgent)
{
	if (bus->urgent == urgent)
		return;
	event_del(bus->readable);
	event_priority_set(bus->readable, urgent ? PRIORITY_URGENT : PRIORITY_NORMAL);
	event_add(bus->readable, NULL);
	bus->urgent = urgent;
}

static void
bus_start(Bus *bus)
{
	Job *job = bus->queue.job[0];

	job_heap_remove(&bus->queue, job);
	bus->current = job;
	bus->state = BUS_BUSY;
	bus_set_urgent(bus, job->priority <= JOB_READ_BACK);
	if (++bus->transaction == 0)
		bus->transaction = 1; /* 0 is what simple devices send unasked */
	bus->out_len = frame_mbap_encode(bus->out, bus->transaction, job->unit, job->pdu, job->pdu_len);
	bus->out_sent = 0;
	bus->sent_at = clock_real();
	counters.requests++;
	bus_arm(bus, job->timeout_ms * USEC_PER_MSEC);
	bus_flush(bus);
}

/* ---- receiving ---- */

static void
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

static void
bus_take_frame(Bus *bus, const Frame *frame)
{
	Job *job = bus->current;
	uint8_t pdu[FRAME_PDU_MAX];
	JobAnswer answer = { .pdu = pdu, .pdu_len = frame->pdu_len };

	if (!job || frame->transaction != bus->transaction || bus->out_sent < bus->out_len)
	{
		counters.stale_answers++;
		return;
	}
	if (frame->unit != job->unit)
	{
		counters.bad_answers++;
		return;
	}
	switch (frame_check(job->pdu, job->pdu_len, frame->pdu, frame->pdu_len))
	{
		case ANSWER_GOOD:
			answer.result = JOB_ANSWERED;
			counters.answers++;
			break;
		case ANSWER_EXCEPTION:
			answer.result = JOB_EXCEPTION;
			answer.exception = frame->pdu[1];
			counters.exceptions++;
			break;
		default:
			counters.bad_answers++;
			return;
	}
	/* The callback may lead to a new read into the buffer, so it gets a copy. */
	memcpy(pdu, frame->pdu, frame->pdu_len);
	bus_heard(bus);
	bus_finish(bus, &answer);
}

static void
bus_parse(Bus *bus)
{
	Frame frame;
	FrameStatus status;

	while ((status = frame_mbap_next(bus->in, bus->in_len, &frame)) == FRAME_WHOLE)
	{
		size_t used = frame.used;

		bus_take_frame(bus, &frame);
		if (bus->state == BUS_DOWN)
			return;
		memmove(bus->in, bus->in + used, bus->in_len - used);
		bus->in_len -= used;
	}
	if (status == FRAME_BROKEN)
	{
		counters.broken_frames++;
		bus_broken(bus, "answer is not Modbus TCP");
	}
}

static void
bus_on_readable(evutil_socket_t fd, short what, void *arg)
{
	Bus *bus = arg;
	ssize_t n;

	(void) what;
	n = recv(fd, bus->in + bus->in_len, sizeof(bus->in) - bus->in_len, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return;
	if (n <= 0)
	{
		bus_broken(bus, n == 0 ? "closed by the gateway" : strerror(errno));
		return;
	}
	bus->in_len += (size_t) n;
	bus_parse(bus);
	bus_run(bus);
}

/* ---- connecting ---- */

static void
bus_connected(Bus *bus)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(bus->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
	{
		bus_attempt_failed(bus, strerror(error));
		return;
	}
	counters.connects++;
	evtimer_del(bus->timer);
	bus->state = BUS_IDLE;
	bus->heard = false;
	bus->timeouts = 0;
	bus->urgent = false;
	event_add(bus->readable, NULL);
	if (bus->restore_due)
	{
		bus->restore_due = false;
		log_event(LEVEL_INFO, "gateway_connected", "address=%s attempts=%u",
				  log_value(bus->address), bus->failures + 1);
		bus->hooks.restored(bus->hooks.arg);
	}
	bus_run(bus);
}

static void
bus_on_writable(evutil_socket_t fd, short what, void *arg)
{
	Bus *bus = arg;

	(void) fd;
	(void) what;
	if (bus->state == BUS_CONNECTING)
		bus_connected(bus);
	else if (bus->state == BUS_BUSY)
		bus_flush(bus);
}

static int
bus_socket(const struct sockaddr *address)
{
	int on = 1;
	int idle = 30;
	int interval = 10;
	int probes = 3;
	unsigned user_timeout_ms = 20000;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
	return fd;
}

static void
bus_resolved(void *arg, const struct sockaddr *address, socklen_t len, const char *reason)
{
	Bus *bus = arg;

	bus->query = NULL;
	if (!address)
	{
		bus_attempt_failed(bus, reason);
		return;
	}
	bus->fd = bus_socket(address);
	if (bus->fd < 0 || (connect(bus->fd, address, len) < 0 && errno != EINPROGRESS))
	{
		bus_attempt_failed(bus, strerror(errno));
		return;
	}
	bus->state = BUS_CONNECTING;
	bus->readable = event_new(bus->base, bus->fd, EV_READ | EV_PERSIST, bus_on_readable, bus);
	bus->writable = event_new(bus->base, bus->fd, EV_WRITE, bus_on_writable, bus);
	event_add(bus->writable, NULL);
	bus_arm(bus, bus->limits.connect_timeout_ms * USEC_PER_MSEC);
}

static void
bus_connect(Bus *bus)
{
	evtimer_del(bus->timer);
	bus->tried_at = clock_mono();
	bus->state = BUS_RESOLVING;
	bus->query = names_resolve(bus->names, bus->host, bus->port, bus_resolved, bus);
}

/* ---- running ---- */

static void
bus_run_down(Bus *bus)
{
	int64_t now = clock_mono();

	if (bus->queue.count == 0)
		return;
	if (now >= bus->retry_at)
		bus_connect(bus);
	else if (bus->queue.job[0]->priority > JOB_READ_BACK)
		bus_fail_queued(bus);
	else if (now - bus->tried_at >= COMMAND_RECONNECT_US)
		bus_connect(bus);
	else
		bus_arm(bus, bus->tried_at + COMMAND_RECONNECT_US - now);
}

static void
bus_run(Bus *bus)
{
	if (bus->state == BUS_DOWN)
		bus_run_down(bus);
	else if (bus->state == BUS_IDLE && bus->queue.count > 0)
		bus_start(bus);
}

static void
bus_on_kick(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	bus_run(arg);
}

static void
bus_timed_out(Bus *bus)
{
	JobAnswer answer = { .result = JOB_TIMEOUT };
	uint8_t unit = bus->current->unit;
	bool reconnect;

	counters.timeouts++;
	if (bus->timeouts++ == 0)
		bus->timeout_units = false;
	else if (unit != bus->timeout_unit)
		bus->timeout_units = true;
	bus->timeout_unit = unit;
	reconnect = bus->out_sent < bus->out_len || bus->in_len > 0 ||
				(bus->timeouts >= TIMEOUTS_TO_RECONNECT && (bus->timeout_units || !bus->heard));
	bus_finish(bus, &answer);
	if (reconnect && bus->state != BUS_DOWN && !bus->current)
	{
		/* A torn frame would swallow the next answer; silence of several units may be a half-open
		 * connection. */
		counters.disconnects++;
		bus_close(bus);
		bus->retry_at = 0;
	}
	bus_run(bus);
}

static void
bus_on_timer(evutil_socket_t fd, short what, void *arg)
{
	Bus *bus = arg;

	(void) fd;
	(void) what;
	switch (bus->state)
	{
		case BUS_DOWN:
			bus_connect(bus);
			break;
		case BUS_CONNECTING:
			bus_attempt_failed(bus, "connection timed out");
			break;
		case BUS_BUSY:
			bus_timed_out(bus);
			break;
		case BUS_GAP:
			bus->state = BUS_IDLE;
			bus_run(bus);
			break;
		case BUS_RESOLVING:
		case BUS_IDLE:
			break;
	}
}

/* ---- public ---- */

Bus *
bus_new(struct event_base *base, Names *names, const char *address, const BusLimits *limits,
		const BusHooks *hooks)
{
	Bus *bus = mem_alloc0(sizeof(*bus));

	if (!names_split(address, bus->host, sizeof(bus->host), bus->port, sizeof(bus->port)))
	{
		free(bus);
		return NULL;
	}
	text_copy(bus->address, sizeof(bus->address), address);
	bus->base = base;
	bus->names = names;
	bus->limits = *limits;
	bus->hooks = *hooks;
	bus->fd = -1;
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
	JobAnswer answer = { .result = bus->out_sent > 0 ? JOB_LOST : JOB_UNREACHABLE };

	names_cancel(bus->query);
	bus_close(bus);
	if (bus->current)
		bus_finish(bus, &answer);
	bus_fail_queued(bus);
	event_free(bus->timer);
	event_free(bus->kick);
	event_free(bus->urgent_kick);
	free(bus->queue.job);
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
	return bus->address;
}

void
bus_submit(Bus *bus, Job *job)
{
	bus->submitted++;
	if (job->rank == 0)
		job->rank = bus->submitted;
	job->bus = bus;
	job_heap_add(&bus->queue, job);
	if (!bus->finishing && (bus->state == BUS_DOWN || bus->state == BUS_IDLE))
		event_active(job->priority <= JOB_READ_BACK ? bus->urgent_kick : bus->kick, EV_TIMEOUT, 1);
}

void
bus_cancel(Job *job)
{
	Bus *bus = job->bus;

	if (!bus)
		return;
	job->bus = NULL;
	if (bus->current != job)
	{
		if (job->position != PARKED)
			job_heap_remove(&bus->queue, job);
		for (size_t i = 0; i < bus->parked_count; i++)
		{
			if (bus->parked[i] == job)
				bus->parked[i] = NULL;
		}
		return;
	}
	bus->current = NULL;
	bus->state = BUS_IDLE;
	evtimer_del(bus->timer);
	/* A request half sent cannot be taken back: only a new connection gets the stream in step. */
	if (bus->out_sent < bus->out_len)
		bus_close(bus);
	event_active(bus->kick, EV_TIMEOUT, 1);
}

bool
bus_job_in_flight(const Job *job)
{
	return job->bus && job->bus->current == job;
}

void
bus_promote(Job *job, JobPriority priority)
{
	Bus *bus = job->bus;

	if (!bus || bus->current == job || job->position == PARKED)
	{
		job->priority = priority;
		return;
	}
	job_heap_remove(&bus->queue, job);
	job->priority = priority;
	job_heap_add(&bus->queue, job);
}
