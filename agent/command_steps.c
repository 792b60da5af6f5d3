/*
 * command_steps.c
 *		Guard, write, settle and read-back of a command; the rules are in command.c.
 */
#include "command_inner.h"

#include "frame.h"
#include "log.h"
#include "meter_job.h"
#include "metrics.h"
#include "store.h"

#include <stdlib.h>
#include <string.h>

/* A gateway that restarts needs seconds; a trip should not wait much longer for its verdict. */
#define LINK_TRIES 3
#define READ_BACK_LINK_TRIES 6
#define LINK_PAUSE_US USEC_PER_SEC
#define BUSY_TRIES 10
#define WRITES_MAX 2
/* The database gives a minute, and then the command perhaps to another agent. */
#define LEASE_US (50 * USEC_PER_SEC)

enum
{
	EXCEPTION_ILLEGAL_VALUE = 0x03,
	EXCEPTION_ACKNOWLEDGE = 0x05,
	EXCEPTION_BUSY = 0x06,
	EXCEPTION_NO_PATH = 0x0a
};

static void write_step(Command *command);
static void check_read(Command *command);

/* ---- waiting and sending ---- */

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	Command *command = arg;

	(void) fd;
	(void) what;
	command->resume(command);
}

static void
command_wait(Command *command, int64_t usec, void (*resume)(Command *command))
{
	struct timeval delay = { usec / USEC_PER_SEC, usec % USEC_PER_SEC };

	command->resume = resume;
	if (!command->timer)
	{
		command->timer = evtimer_new(command->agent->base, on_timer, command);
		event_priority_set(command->timer, PRIORITY_URGENT);
	}
	evtimer_add(command->timer, &delay);
}

static bool
command_submit(Command *command, JobPriority priority,
			   void (*done)(Job *job, const JobAnswer *answer))
{
	Meter *meter = command->meter;

	if (!meter->gateway->line)
		return false;
	command->job.priority = priority;
	command->job.rank = 0;
	command->job.done = done;
	command->job.arg = command;
	bus_submit(meter->gateway->line->bus, &command->job);
	return true;
}

/* Data of a read-back, taken over into what was observed; NULL when it is not what was asked for.
 */
static const uint8_t *
observe(Command *command, const ProfileRequest *request, const JobAnswer *answer)
{
	const uint8_t *data =
		profile_answer_data(command->profile, request, answer->pdu, answer->pdu_len);

	if (!data)
		return NULL;
	reading_decode(&command->observed, command->profile, request, data);
	command->observed_at = clock_business_at(&command->agent->clock, answer->answered_at);
	return data;
}

static bool
submit_read(Command *command, JobPriority priority, const ProfileRequest *request,
			void (*done)(Job *job, const JobAnswer *answer))
{
	meter_job_init(&command->job, command->meter, command->profile);
	meter_job_read(&command->job, command->profile, request);
	return command_submit(command, priority, done);
}

/* ---- guard ---- */

static void
guard_judge(Command *command, const PointValue *value)
{
	int64_t ordered = command->arg[command->spec->guard_arg].number;
	const char *name = command->profile->point[command->spec->guard_point].name;
	int64_t own = value->number.units;

	if (!value->number.known)
		command_fail(command, command->sent ? "unknown" : "failed", "%s holds no value", name);
	else if (own == ordered)
		command_end(command, "done");
	else if (own != ordered - 1)
		command_fail(command, "refused", "%s is %lld, going to %lld needs %lld", name,
					 (long long) own, (long long) ordered, (long long) ordered - 1);
	else if (command->order.verify_only)
		command_fail(command, "failed", "not executed: %s is %lld", name, (long long) own);
	else if (command->writes >= WRITES_MAX)
		command_fail(command, "failed", "the meter did not take it: %s is still %lld", name,
					 (long long) own);
	else
		command_write(command);
}

static void
guard_answered(Job *job, const JobAnswer *answer)
{
	Command *command = job->arg;
	const Profile *profile = command->profile;
	const ProfilePoint *point = &profile->point[command->spec->guard_point];
	ProfileRequest request = profile_point_request(profile, command->spec->guard_point);
	const uint8_t *data =
		answer->result == JOB_ANSWERED ? observe(command, &request, answer) : NULL;
	PointValue value;

	if (data)
	{
		profile_point_value(profile, point, &request, data, &value);
		guard_judge(command, &value);
		return;
	}
	command->exception = answer->result == JOB_EXCEPTION ? answer->exception : 0;
	if (++command->link_tries < (command->sent ? READ_BACK_LINK_TRIES : LINK_TRIES))
		command_wait(command, LINK_PAUSE_US, command_guard);
	else
		command_fail(command, command->sent || command->order.verify_only ? "unknown" : "failed",
					 "%s cannot be read: %s", point->name,
					 answer->reason ? answer->reason : "wrong length");
}

void
command_guard(Command *command)
{
	ProfileRequest request = profile_point_request(command->profile, command->spec->guard_point);

	if (!submit_read(command, command->sent ? JOB_READ_BACK : JOB_COMMAND, &request,
					 guard_answered))
		command_fail(command, command->sent ? "unknown" : "failed",
					 "the gateway has no connection");
}

/* ---- read-back ---- */

void
command_check(Command *command)
{
	command->check = 0;
	command->link_tries = 0;
	check_read(command);
}

static void
checks_disagree(Command *command)
{
	if (++command->rounds < command->spec->tries && !command->order.verify_only)
	{
		command_wait(command, command->spec->retry_ms * USEC_PER_MSEC, command_check);
		return;
	}
	if (command->order.verify_only)
		command_fail(command, "failed", "not executed: the read-back shows another state");
	else if (command->writes >= WRITES_MAX)
		command_fail(command, "failed", "written %d times, the read-back shows another state",
					 command->writes);
	else if (command->spec->guarded)
		command_guard(command);
	else
		command_write(command);
}

static bool
value_agrees(const Command *command, const ProfileCheck *check, const PointValue *value)
{
	int64_t off;

	if (check->is >= 0)
		return value->flag == check->is;
	if (check->within_s == 0)
		return value->number.known && value->number.units == command->arg[check->arg].number;
	off = clock_business(&command->agent->clock) / USEC_PER_SEC - value->number.units;
	return value->number.known && llabs(off) <= check->within_s;
}

static bool
check_agrees(const Command *command, const ProfileCheck *check, const uint8_t *data)
{
	ProfileContext none = { 0 };
	uint8_t wanted[PROFILE_DATA_BYTES];
	PointValue value;

	if (check->point < 0)
		return memcmp(data, wanted,
					  profile_data_bytes(&check->data, command->arg, &none, wanted)) == 0;
	return profile_point_value(command->profile, &command->profile->point[check->point],
							   &check->request, data, &value) &&
		   value_agrees(command, check, &value);
}

static void
check_answered(Job *job, const JobAnswer *answer)
{
	Command *command = job->arg;
	const ProfileCheck *check = &command->spec->check[command->check];
	const uint8_t *data =
		answer->result == JOB_ANSWERED ? observe(command, &check->request, answer) : NULL;

	if (!data)
	{
		command->exception = answer->result == JOB_EXCEPTION ? answer->exception : 0;
		if (++command->link_tries < READ_BACK_LINK_TRIES)
			command_wait(command, LINK_PAUSE_US, check_read);
		else
			command_fail(command, "unknown", "the read-back failed: %s",
						 answer->reason ? answer->reason : "wrong length");
		return;
	}
	if (!check_agrees(command, check, data))
	{
		checks_disagree(command);
		return;
	}
	if (++command->check < command->spec->checks)
	{
		check_read(command);
		return;
	}
	command->exception = 0;
	command_end(command, "done");
}

static void
check_read(Command *command)
{
	const ProfileCheck *check = &command->spec->check[command->check];

	if (!submit_read(command, JOB_READ_BACK, &check->request, check_answered))
		command_fail(command, "unknown", "the gateway has no connection any more");
}

/* ---- writing ---- */

static void
settle(Command *command)
{
	command->rounds = 0;
	command_wait(command, command->spec->settle_ms * USEC_PER_MSEC, command_check);
}

static void
write_exception(Command *command, int exception, const char *reason)
{
	command->exception = exception;
	if (exception <= EXCEPTION_ILLEGAL_VALUE && command->step == 0)
		command_fail(command, "refused", "the meter refused: %s", reason);
	else if (exception == EXCEPTION_BUSY && ++command->busy_tries < BUSY_TRIES)
		command_wait(command, LINK_PAUSE_US, write_step);
	else if ((exception == EXCEPTION_BUSY || exception == EXCEPTION_NO_PATH) && !command->sent)
		command_fail(command, "failed", "not executed: %s", reason);
	else
	{
		/* 05 means "begun"; after 04 and 0B the meter may have acted: look. */
		command->sent = true;
		settle(command);
	}
}

static void
write_answered(Job *job, const JobAnswer *answer)
{
	Command *command = job->arg;

	switch (answer->result)
	{
		case JOB_ANSWERED:
			command->sent = true;
			command->exception = 0;
			command->link_tries = 0;
			if (++command->step < command->spec->steps)
				write_step(command);
			else
				settle(command);
			break;
		case JOB_EXCEPTION:
			write_exception(command, answer->exception, answer->reason);
			break;
		case JOB_TIMEOUT:
		case JOB_LOST:
			command->sent = true;
			settle(command);
			break;
		case JOB_UNREACHABLE:
			if (++command->link_tries < LINK_TRIES)
				command_wait(command, LINK_PAUSE_US, write_step);
			else if (command->sent)
				settle(command);
			else
				command_fail(command, "failed", "gateway unreachable");
			break;
	}
}

/* Ends the command where its time, or our right to it, has passed. */
static bool
still_valid(Command *command)
{
	if (clock_mono() - command->taken_at > LEASE_US)
	{
		command_fail(command, command->sent ? "unknown" : "failed",
					 "not carried out within its lease");
		return false;
	}
	if (clock_business(&command->agent->clock) <= command->order.valid_until)
		return true;
	if (command->sent)
		command_fail(command, "failed", "not in effect, and valid_until has passed");
	else
		command_fail(command, "expired", "valid_until has passed");
	return false;
}

static void
write_step(Command *command)
{
	const ProfileStep *step = &command->spec->step[command->step];

	if (!still_valid(command))
		return;
	meter_job_init(&command->job, command->meter, command->profile);
	if (!meter_job_write(&command->job, command->meter, command->profile, step, command->arg))
	{
		command_fail(command, command->sent ? "unknown" : "failed",
					 "the time zone of the site is not known on this host");
		return;
	}
	if (!command->noted)
		store_outcome_begin(command->agent->store, command->order.id, command->order.attempt);
	command->noted = true;
	counters.writes++;
	if (!command_submit(command, JOB_COMMAND, write_answered))
		command_fail(command, command->sent ? "unknown" : "failed",
					 "the gateway has no connection");
}

/* Ends the command where too many supplies were cut within the minute. */
static bool
brake_lets_pass(Command *command)
{
	Agent *agent = command->agent;
	int limit = brake_limit(agent->trips_wanted, agent->topology->meter_count);
	bool passes;

	if (command->writes > 0 || strcmp(command->order.action, "trip") != 0)
		return true;
	passes = brake_allows(&agent->brake, limit, clock_mono());
	if (agent->brake.engaged == passes)
		log_event(passes ? LEVEL_INFO : LEVEL_ERROR, passes ? "brake_off" : "brake_on",
				  "trips_per_minute=%d", limit);
	agent->brake.engaged = !passes;
	if (passes)
		return true;
	counters.trips_braked++;
	command_fail(command, "failed", "braked: this agent cuts no more than %d supplies a minute",
				 limit);
	return false;
}

void
command_write(Command *command)
{
	if (!still_valid(command) || !brake_lets_pass(command))
		return;
	command->step = 0;
	command->link_tries = 0;
	command->busy_tries = 0;
	command->writes++;
	write_step(command);
}
