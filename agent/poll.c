/*
 * poll.c
 *		Polling of meters on the grid of business time, and on demand.
 *
 * Each gateway has a timer at the next multiple of its interval; when it fires, every meter behind
 * it that is not still busy with the previous poll gets one. So polls never pile up: a line that
 * cannot keep the interval skips grid points, meter by meter, and counts them as late.
 *
 * Gateways whose polls are spread have the same in slots between the points.
 *
 * A poll is a sequence of requests under one rank of the bus's queue, so that the blocks of one
 * meter are read next to each other. read_at is the middle of the transaction that carried the
 * energy.
 */
#include "poll.h"

#include "buf.h"
#include "delivery.h"
#include "log.h"
#include "meter_job.h"
#include "metrics.h"

#include <stdlib.h>

/* The wall clock may be set while a timer waits for a distant grid point: look again this often. */
#define GRID_RECHECK_US (30 * USEC_PER_SEC)

/* A minute moves no more than a minute's energy into another period. */
#define CLOCK_DRIFT_S 60
#define SLOTS_MAX 100

enum
{
	EXCEPTION_ILLEGAL_FUNCTION = 0x01,
	EXCEPTION_ILLEGAL_VALUE = 0x03,
	EXCEPTION_ACKNOWLEDGE = 0x05,
	EXCEPTION_BUSY = 0x06,
	EXCEPTION_NO_PATH = 0x0a,
	EXCEPTION_NO_TARGET = 0x0b
};

struct PollWaiter
{
	PollDone done;
	void *arg;
	PollWaiter *next;
};

static void poll_begin(Meter *meter, JobPriority priority, int64_t grid_real);
static void poll_send(Meter *meter);

static const RequestList *
poll_requests(const Meter *meter)
{
	return meter->poll.plain ? &meter->profile->plain : &meter->profile->merged;
}

static void
add_waiter(PollWaiter **list, PollDone done, void *arg)
{
	PollWaiter *waiter;

	if (!done)
		return;
	waiter = mem_alloc(sizeof(*waiter));
	*waiter = (PollWaiter){ done, arg, *list };
	*list = waiter;
}

static void
tell_waiters(PollWaiter *list, const Reading *reading, const char *why)
{
	while (list)
	{
		PollWaiter *next = list->next;

		list->done(list->arg, reading, why);
		free(list);
		list = next;
	}
}

/* Ends the poll; whoever waits is told after the state is in order, as it may poll again at once.
 */
static void
poll_end(Meter *meter, const Reading *reading, const char *why)
{
	Poll *poll = &meter->poll;
	PollWaiter *waiters = poll->waiters;
	Reading taken;

	if (reading)
		taken = *reading; /* the next poll may begin below and reuse the meter's own */
	poll->active = false;
	poll->waiters = NULL;
	if (poll->again)
	{
		poll->again = false;
		poll->waiters = poll->again_waiters;
		poll->again_waiters = NULL;
		poll_begin(meter, poll->again_priority, 0);
	}
	tell_waiters(waiters, reading ? &taken : NULL, why);
}

static void
poll_fail(Meter *meter, const char *why)
{
	counters.polls_failed++;
	log_event(LEVEL_DEBUG, "poll_failed", "meter=%s why=%s", log_value(meter->code),
			  log_value(why));
	poll_end(meter, NULL, why);
}

static void
poll_silent(Meter *meter, const char *why)
{
	contact_meter_silent(meter);
	poll_fail(meter, why);
}

/* Logged when it goes off and when it is right again; set_clock is the database's to order. */
static void
take_drift(Meter *meter, const Reading *reading)
{
	bool off;

	if (!reading->meter_clock.known)
		return;
	meter->clock_drift_s = reading->meter_clock.units - reading->read_at / USEC_PER_SEC;
	off = llabs(meter->clock_drift_s) > CLOCK_DRIFT_S;
	if (off != meter->clock_off)
		log_event(off ? LEVEL_WARN : LEVEL_INFO, off ? "meter_clock_off" : "meter_clock_right",
				  "meter=%s seconds=%lld", log_value(meter->code),
				  (long long) meter->clock_drift_s);
	meter->clock_off = off;
}

static void
poll_complete(Meter *meter)
{
	Reading *reading = &meter->poll.reading;

	contact_meter_ok(meter);
	if (!reading->kwh.known)
	{
		counters.readings_invalid++;
		poll_fail(meter, "the energy register holds no value");
		return;
	}
	counters.polls_ok++;
	counters.readings++;
	take_drift(meter, reading);
	meter->last_read_at = reading->read_at;
	delivery_add(meter->gateway->agent, reading, meter->poll.waiters != NULL);
	poll_end(meter, reading, NULL);
}

static void
poll_stamp(Meter *meter, const JobAnswer *answer)
{
	Poll *poll = &meter->poll;
	int64_t middle = answer->sent_at + (answer->answered_at - answer->sent_at) / 2;

	poll->reading.read_at = clock_business_at(&meter->gateway->agent->clock, middle);
	/* A frozen clock, or one set back a little, must not give two readings one key. */
	if (poll->reading.read_at <= meter->last_read_at)
		poll->reading.read_at = meter->last_read_at + 1;
	if (poll->grid_real > 0 && answer->answered_at > poll->grid_real)
		histogram_add(&counters.poll_lateness, answer->answered_at - poll->grid_real);
}

static void
poll_take(Meter *meter, const JobAnswer *answer)
{
	Poll *poll = &meter->poll;
	const ProfileRequest *request = &poll_requests(meter)->request[poll->request];
	const uint8_t *data =
		profile_answer_data(meter->profile, request, answer->pdu, answer->pdu_len);

	if (!data)
	{
		counters.bad_answers++;
		contact_meter_ok(meter);
		poll_fail(meter, "the answer has another length than the profile says");
		return;
	}
	if (request->has_kwh)
		poll_stamp(meter, answer);
	reading_decode(&poll->reading, meter->profile, request, data);
	poll->request++;
	poll->attempts = 0;
	poll_send(meter);
}

/* 01 to 03: the profile asks for something this meter does not have. */
static void
poll_refused(Meter *meter, int exception, const char *reason)
{
	Poll *poll = &meter->poll;
	const RequestList *list = poll_requests(meter);
	const ProfileRequest *request = &list->request[poll->request];
	int priority = (int) poll->job.priority;

	log_event(LEVEL_WARN, "request_refused", "meter=%s fc=%u addr=0x%04X n=%u exception=%d%s",
			  log_value(meter->code), request->function, request->address, request->count,
			  exception,
			  !poll->plain && list->count < meter->profile->plain.count
				  ? " action=\"reading block by block\""
				  : "");
	if (!poll->plain && list->count < meter->profile->plain.count)
	{
		poll->plain = true;
		poll->refused = 0;
		poll->active = false;
		poll_begin(meter, (JobPriority) priority, poll->grid_real);
		return;
	}
	if (request->has_kwh)
	{
		contact_meter_ok(meter);
		poll_fail(meter, reason);
		return;
	}
	/* Asked once and refused: not asked again until the plan changes. */
	poll->refused |= UINT32_C(1) << poll->request;
	poll->request++;
	poll->attempts = 0;
	poll_send(meter);
}

static bool
poll_retry(Meter *meter)
{
	int tries = meter->contact.failures > 0 ? 1 : meter->profile->tries;

	if (++meter->poll.attempts >= tries)
		return false;
	bus_submit(meter->gateway->line->bus, &meter->poll.job);
	return true;
}

static void
poll_exception(Meter *meter, int exception, const char *reason)
{
	if (exception >= EXCEPTION_ILLEGAL_FUNCTION && exception <= EXCEPTION_ILLEGAL_VALUE)
		poll_refused(meter, exception, reason);
	else if (exception == EXCEPTION_NO_PATH || exception == EXCEPTION_NO_TARGET)
		poll_silent(meter, reason);
	else if ((exception == EXCEPTION_ACKNOWLEDGE || exception == EXCEPTION_BUSY) &&
			 poll_retry(meter))
		return;
	else
	{
		contact_meter_ok(meter);
		poll_fail(meter, reason);
	}
}

static void
poll_answered(Job *job, const JobAnswer *answer)
{
	Meter *meter = job->arg;

	switch (answer->result)
	{
		case JOB_ANSWERED:
			poll_take(meter, answer);
			break;
		case JOB_EXCEPTION:
			poll_exception(meter, answer->exception, answer->reason);
			break;
		case JOB_TIMEOUT:
			if (poll_retry(meter))
				break;
			contact_gateway_silent(meter->gateway);
			/* Energy that was read is worth more than a complete row. */
			if (meter->poll.reading.kwh.known)
				poll_complete(meter);
			else
				poll_silent(meter, "no answer");
			break;
		case JOB_LOST:
			if (!poll_retry(meter))
				poll_fail(meter, "connection lost");
			break;
		case JOB_UNREACHABLE:
			poll_fail(meter, "gateway unreachable");
			break;
	}
}

static void
poll_send(Meter *meter)
{
	Poll *poll = &meter->poll;
	const RequestList *list = poll_requests(meter);
	const ProfileRequest *request;

	while (poll->request < list->count && poll->refused & UINT32_C(1) << poll->request)
		poll->request++;
	if (poll->request >= list->count)
	{
		poll_complete(meter);
		return;
	}
	request = &list->request[poll->request];
	meter_job_read(&poll->job, meter->profile, request);
	bus_submit(meter->gateway->line->bus, &poll->job);
}

static void
poll_begin(Meter *meter, JobPriority priority, int64_t grid_real)
{
	Poll *poll = &meter->poll;

	poll->active = true;
	meter_job_init(&poll->job, meter, meter->profile);
	poll->request = 0;
	poll->attempts = 0;
	poll->grid_real = grid_real;
	reading_init(&poll->reading, meter->id, meter->profile);
	poll->job.priority = priority;
	poll->job.rank = 0;
	poll->job.done = poll_answered;
	poll->job.arg = meter;
	meter->fresh = false;
	if (priority == JOB_PROBE)
		counters.probes++;
	poll_send(meter);
}

static bool
poll_possible(const Meter *meter)
{
	return meter->profile && meter->gateway->line;
}

void
poll_now(Meter *meter, JobPriority priority, PollDone done, void *arg)
{
	Poll *poll = &meter->poll;

	if (!poll_possible(meter))
	{
		if (done)
			done(arg, NULL,
				 meter->profile ? "the gateway cannot be used" : "the meter's profile is faulty");
		return;
	}
	if (!poll->active)
	{
		add_waiter(&poll->waiters, done, arg);
		poll_begin(meter, priority, 0);
		return;
	}
	add_waiter(&poll->again_waiters, done, arg);
	if (!poll->again || priority < poll->again_priority)
		poll->again_priority = priority;
	poll->again = true;
	if (priority < poll->job.priority)
		bus_promote(&poll->job, priority);
}

void
poll_stop(Meter *meter)
{
	Poll *poll = &meter->poll;
	PollWaiter *waiters = poll->waiters;
	PollWaiter *again = poll->again_waiters;

	bus_cancel(&poll->job);
	poll->active = false;
	poll->again = false;
	poll->waiters = NULL;
	poll->again_waiters = NULL;
	tell_waiters(waiters, NULL, "the plan changed");
	tell_waiters(again, NULL, "the plan changed");
}

static void
poll_at_grid(Meter *meter, int64_t grid_real)
{
	bool lost = meter->contact.state == CONTACT_LOST;

	if (!poll_possible(meter))
		return;
	if (meter->poll.active)
	{
		counters.polls_late++;
		/* A probe that has waited a whole interval on a busy line would wait for ever. */
		if (meter->poll.job.priority == JOB_PROBE)
			bus_promote(&meter->poll.job, JOB_PERIODIC);
		return;
	}
	if (contact_meter_due(meter))
		poll_begin(meter, lost ? JOB_PROBE : JOB_PERIODIC, lost ? 0 : grid_real);
}

/* Polls that are spread have moments of their own within the interval, a few meters each. */
static int
grid_slots(const Gateway *gateway)
{
	if (!gateway->options.spread || gateway->meter_count < 2)
		return 1;
	return gateway->meter_count < SLOTS_MAX ? gateway->meter_count : SLOTS_MAX;
}

static void
grid_fire(evutil_socket_t fd, short what, void *arg)
{
	Gateway *gateway = arg;
	Agent *agent = gateway->agent;
	int64_t late = clock_business(&agent->clock) - gateway->next_grid;

	(void) fd;
	(void) what;
	if (late >= 0)
	{
		int64_t grid_real = clock_real() - clock_real_span(&agent->clock, late);

		for (int i = gateway->slot; i < gateway->meter_count; i += grid_slots(gateway))
			poll_at_grid(gateway->meters[i], grid_real);
	}
	poll_arm_grid(gateway);
}

/* The next point of the grid, or of the slots between two points. */
static void
next_moment(Gateway *gateway, int64_t now)
{
	int slots = grid_slots(gateway);
	int64_t step = gateway->interval / slots;
	/* Business time may lie before 1970 only in a test; round down there, too. */
	int64_t begun = now - (now % gateway->interval + gateway->interval) % gateway->interval;
	int64_t slot = (now - begun) / step + 1;

	gateway->slot = slot < slots ? (int) slot : 0;
	gateway->next_grid = slot < slots ? begun + slot * step : begun + gateway->interval;
}

void
poll_arm_grid(Gateway *gateway)
{
	Clock *clock = &gateway->agent->clock;
	int64_t now = clock_business(clock);
	int64_t delay;
	struct timeval wait;

	if (!gateway->grid)
		gateway->grid = evtimer_new(gateway->agent->base, grid_fire, gateway);
	evtimer_del(gateway->grid);
	if (!gateway->agent->clock_known || gateway->agent->once || gateway->agent->stopping ||
		gateway->meter_count == 0)
		return;
	next_moment(gateway, now);
	delay = clock_delay_until(clock, gateway->next_grid);
	if (delay < 0)
		return;
	if (delay > GRID_RECHECK_US)
		delay = GRID_RECHECK_US;
	wait = (struct timeval){ delay / USEC_PER_SEC, delay % USEC_PER_SEC };
	evtimer_add(gateway->grid, &wait);
}

void
poll_arm_all(Agent *agent)
{
	for (int i = 0; i < agent->topology->gateway_count; i++)
		poll_arm_grid(agent->topology->gateways[i]);
}

void
poll_fresh(Agent *agent)
{
	if (!agent->clock_known)
		return;
	for (int i = 0; i < agent->topology->meter_count; i++)
	{
		Meter *meter = agent->topology->meters[i];

		if (meter->fresh && !meter->poll.active && poll_possible(meter))
			poll_begin(meter, JOB_PERIODIC, 0);
	}
}

void
poll_catch_up(Gateway *gateway)
{
	for (int i = 0; i < gateway->meter_count; i++)
	{
		Meter *meter = gateway->meters[i];

		if (!meter->poll.active && poll_possible(meter) && !gateway->agent->once)
			poll_begin(meter, JOB_PERIODIC, 0);
	}
}

int
poll_active(const Agent *agent)
{
	int active = 0;

	for (int i = 0; i < agent->topology->meter_count; i++)
		active += agent->topology->meters[i]->poll.active;
	return active;
}
