/*
 * command.c
 *		Execution of one command on one meter: guard, write, settle, read back, outcome.
 *
 *     (guard) -> write steps -> settle -> read back -> done
 *        |            |                     |
 *        |            |                     +-- disagrees: once more from the start, then failed
 *        |            |                     +-- cannot be read: unknown
 *        |            +-- exception 01..03: refused; 06: later again; nothing sent: failed
 *        |            +-- answer lost: read back decides
 *        +-- counter says done already: done; neither n nor n - 1: refused
 *
 * Rules
 *   - What happened on the meter is concluded from what the meter says afterwards, never from how a
 *     write ended. "done" needs an agreeing read-back; "failed" means certainly not in effect.
 *   - Nothing is written after valid_until. The check stands directly before each write.
 *   - Before the first write a row in the spool says that the outcome is open; a crash from there
 *on is reported as "unknown" and the database orders a read-back (verify_only).
 *   - A recharge is written only while the meter's purchase count is one below the ordered count,
 *so that no repetition, by us or by the database, can add money twice.
 *   - Registers are written by the steps of the profile alone.
 */
#include "command.h"

#include "buf.h"
#include "dispatch.h"
#include "log.h"
#include "metrics.h"
#include "poll.h"
#include "spool.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A gateway that restarts needs seconds; a trip should not wait much longer for its verdict. */
#define LINK_TRIES 3
#define READ_BACK_LINK_TRIES 6
#define LINK_PAUSE_US USEC_PER_SEC
#define BUSY_TRIES 10
#define WRITES_MAX 2

enum
{
	EXCEPTION_ILLEGAL_VALUE = 0x03,
	EXCEPTION_ACKNOWLEDGE = 0x05,
	EXCEPTION_BUSY = 0x06,
	EXCEPTION_NO_PATH = 0x0a
};

struct Command
{
	Agent *agent;
	CommandOrder order;
	Meter *meter;
	Profile *profile;
	const ProfileCommand *spec; /* NULL for "read" */
	int64_t arg[PROFILE_MAX_ARGS];
	int step;
	int check;
	int rounds; /* read-backs that disagreed since the last write */
	int link_tries;
	int busy_tries;
	int writes; /* rounds of write steps begun */
	bool sent;	/* a write may have reached the meter */
	bool noted; /* the spool says that the outcome is open */
	Reading observed;
	int64_t observed_at; /* business time, 0: nothing was read */
	int exception;
	char error[160];
	int64_t taken_at; /* monotonic */
	Job job;
	struct event *timer;
	void (*resume)(Command *command);
	Command *next; /* of the same meter */
};

static void command_start(Command *command);
static void guard_read(Command *command);
static void write_begin(Command *command);
static void write_step(Command *command);
static void check_read(Command *command);

/* ---- ending ---- */

static json_t *
command_result(const Command *command)
{
	const Reading *observed = &command->observed;
	json_t *result = json_object();
	char text[CLOCK_TEXT_SIZE];

	if (command->observed_at)
		json_object_set_new(result, "read_at",
							json_string(clock_format(command->observed_at, text)));
	if (observed->relay_closed >= 0)
		json_object_set_new(result, "relay_closed", json_boolean(observed->relay_closed));
	if (observed->purchase_count.known)
		json_object_set_new(result, "purchase_count", json_integer(observed->purchase_count.units));
	if (observed->meter_balance.known)
		json_object_set_new(result, "meter_balance",
							json_string(decimal_format(observed->meter_balance, text)));
	if (observed->kwh.known)
		json_object_set_new(result, "kwh", json_string(decimal_format(observed->kwh, text)));
	if (command->writes)
		json_object_set_new(result, "tries", json_integer(command->writes));
	if (command->exception)
		json_object_set_new(result, "exception", json_integer(command->exception));
	if (command->error[0])
		json_object_set_new(result, "error", json_string(command->error));
	return result;
}

static void
count_outcome(const char *outcome)
{
	switch (outcome[0])
	{
		case 'd':
			counters.commands_done++;
			break;
		case 'r':
			counters.commands_refused++;
			break;
		case 'f':
			counters.commands_failed++;
			break;
		case 'e':
			counters.commands_expired++;
			break;
		default:
			counters.commands_unknown++;
			break;
	}
}

static void
command_free(Command *command)
{
	bus_cancel(&command->job);
	if (command->timer)
		event_free(command->timer);
	profile_drop(command->profile);
	json_decref(command->order.args);
	free(command);
}

static void
store_outcome(const Command *command, const char *outcome)
{
	json_t *result = command_result(command);
	char *text = json_dumps(result, JSON_COMPACT);

	log_event(strcmp(outcome, "done") == 0 ? LEVEL_INFO : LEVEL_WARN, "command_ended",
			  "command=%lld meter=%s action=%s outcome=%s attempt=%d%s%s",
			  (long long) command->order.id, log_value(command->meter ? command->meter->code : ""),
			  command->order.action, outcome, command->order.attempt,
			  command->error[0] ? " error=" : "",
			  command->error[0] ? log_value(command->error) : "");
	count_outcome(outcome);
	histogram_add(&counters.command_seconds, clock_mono() - command->taken_at);
	spool_outcome_end(command->agent->spool, command->order.id, command->order.attempt, outcome,
					  text);
	dispatch_report(command->agent);
	free(text);
	json_decref(result);
}

/* Ends the command with its outcome and begins the meter's next. */
static void
command_end(Command *command, const char *outcome)
{
	Agent *agent = command->agent;
	Meter *meter = command->meter;
	bool look = (command->sent || command->order.verify_only) && !meter->leaving;

	store_outcome(command, outcome);
	meter->command = command->next;
	command_free(command);
	dispatch_ended(agent);
	/* The database shall see the relay and the balance without waiting for the grid. */
	if (look)
		poll_now(meter, JOB_ON_DEMAND, NULL, NULL);
	if (meter->command)
		command_start(meter->command);
}

static void command_fail(Command *command, const char *outcome, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void
command_fail(Command *command, const char *outcome, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(command->error, sizeof(command->error), format, args);
	va_end(args);
	command_end(command, outcome);
}

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
	int timeout_ms = meter->gateway->options.timeout_ms;

	if (!meter->gateway->line)
		return false;
	command->job.priority = priority;
	command->job.rank = 0;
	command->job.unit = meter->unit;
	command->job.timeout_ms = timeout_ms ? timeout_ms : command->profile->timeout_ms;
	command->job.done = done;
	command->job.arg = command;
	bus_submit(meter->gateway->line->bus, &command->job);
	return true;
}

static void
observe(Command *command, uint8_t function, uint16_t address, uint16_t count,
		const JobAnswer *answer)
{
	reading_decode(&command->observed, command->profile, function, address, count, answer->pdu + 2);
	command->observed_at = clock_business_at(&command->agent->clock, answer->answered_at);
}

/* ---- guard ---- */

static void
guard_judge(Command *command, const PointValue *value)
{
	int64_t ordered = command->arg[command->spec->guard_arg];
	const char *name = command->profile->point[command->spec->guard_point].name;
	int64_t own = value->number.units;

	if (!value->number.known)
		command_fail(command, command->sent ? "unknown" : "failed", "%s holds no value", name);
	else if (own == ordered)
		command_end(command, "done");
	else if (own != ordered - 1)
		command_fail(command, "refused", "%s is %lld, a recharge to %lld needs %lld", name,
					 (long long) own, (long long) ordered, (long long) ordered - 1);
	else if (command->order.verify_only)
		command_fail(command, "failed", "not executed: %s is %lld", name, (long long) own);
	else if (command->writes >= WRITES_MAX)
		command_fail(command, "failed", "the meter did not take it: %s is still %lld", name,
					 (long long) own);
	else
		write_begin(command);
}

static void
guard_answered(Job *job, const JobAnswer *answer)
{
	Command *command = job->arg;
	const ProfilePoint *point = &command->profile->point[command->spec->guard_point];
	const ProfileBlock *block = &command->profile->block[point->block];
	PointValue value;

	if (answer->result == JOB_ANSWERED)
	{
		observe(command, block->function, block->address, block->count, answer);
		profile_point_value(point, block->function, block->address, block->count, answer->pdu + 2,
							&value);
		guard_judge(command, &value);
		return;
	}
	command->exception = answer->result == JOB_EXCEPTION ? answer->exception : 0;
	if (++command->link_tries < (command->sent ? READ_BACK_LINK_TRIES : LINK_TRIES))
		command_wait(command, LINK_PAUSE_US, guard_read);
	else
		command_fail(command, command->sent || command->order.verify_only ? "unknown" : "failed",
					 "%s cannot be read: %s", point->name, answer->reason);
}

static void
guard_read(Command *command)
{
	const ProfilePoint *point = &command->profile->point[command->spec->guard_point];
	const ProfileBlock *block = &command->profile->block[point->block];

	command->job.pdu_len =
		frame_read_request(command->job.pdu, block->function, block->address, block->count);
	if (!command_submit(command, command->sent ? JOB_READ_BACK : JOB_COMMAND, guard_answered))
		command_fail(command, command->sent ? "unknown" : "failed",
					 "the gateway has no connection");
}

/* ---- read-back ---- */

static void
checks_begin(Command *command)
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
		command_wait(command, command->spec->retry_ms * USEC_PER_MSEC, checks_begin);
		return;
	}
	if (command->order.verify_only)
		command_fail(command, "failed", "not executed: the read-back shows another state");
	else if (command->writes >= WRITES_MAX)
		command_fail(command, "failed", "written %d times, the read-back shows another state",
					 command->writes);
	else if (command->spec->guarded)
		guard_read(command);
	else
		write_begin(command);
}

static bool
check_agrees(const Command *command, const ProfileCheck *check, const JobAnswer *answer)
{
	uint8_t wanted[4 * PROFILE_MAX_TOKENS];
	PointValue value;
	size_t len;

	if (check->point < 0)
	{
		len = profile_data_bytes(&check->data, command->arg, wanted);
		return memcmp(answer->pdu + 2, wanted, len) == 0;
	}
	profile_point_value(&command->profile->point[check->point], check->function, check->address,
						check->count, answer->pdu + 2, &value);
	return value.number.known && value.number.units == command->arg[check->arg];
}

static void
check_answered(Job *job, const JobAnswer *answer)
{
	Command *command = job->arg;
	const ProfileCheck *check = &command->spec->check[command->check];

	if (answer->result != JOB_ANSWERED)
	{
		command->exception = answer->result == JOB_EXCEPTION ? answer->exception : 0;
		if (++command->link_tries < READ_BACK_LINK_TRIES)
			command_wait(command, LINK_PAUSE_US, check_read);
		else
			command_fail(command, "unknown", "the read-back failed: %s", answer->reason);
		return;
	}
	observe(command, check->function, check->address, check->count, answer);
	if (!check_agrees(command, check, answer))
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

	command->job.pdu_len =
		frame_read_request(command->job.pdu, check->function, check->address, check->count);
	if (!command_submit(command, JOB_READ_BACK, check_answered))
		command_fail(command, "unknown", "the gateway has no connection any more");
}

/* ---- writing ---- */

static void
settle(Command *command)
{
	command->rounds = 0;
	command_wait(command, command->spec->settle_ms * USEC_PER_MSEC, checks_begin);
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

/* Ends the command where its time has passed. */
static bool
still_valid(Command *command)
{
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
	const ProfileStep *step;
	uint8_t data[4 * PROFILE_MAX_TOKENS];
	size_t len;

	step = &command->spec->step[command->step];
	if (!still_valid(command))
		return;
	if (!command->noted)
		spool_outcome_begin(command->agent->spool, command->order.id, command->order.attempt);
	command->noted = true;
	len = profile_data_bytes(&step->data, command->arg, data);
	command->job.pdu_len =
		frame_write_request(command->job.pdu, step->function, step->address, data, len);
	counters.writes++;
	if (!command_submit(command, JOB_COMMAND, write_answered))
		command_fail(command, command->sent ? "unknown" : "failed",
					 "the gateway has no connection");
}

static void
write_begin(Command *command)
{
	if (!still_valid(command))
		return;
	command->step = 0;
	command->link_tries = 0;
	command->busy_tries = 0;
	command->writes++;
	write_step(command);
}

/* ---- beginning ---- */

static void
read_done(void *arg, const Reading *reading, const char *why)
{
	Command *command = arg;

	if (!reading && command->agent->stopping)
		return; /* command_abort_meter leaves it to the database */
	if (!reading)
	{
		command_fail(command, "failed", "%s", why);
		return;
	}
	command->observed = *reading;
	command->observed_at = reading->read_at;
	command_end(command, "done");
}

static bool
take_argument(const json_t *args, const ProfileArg *arg, int64_t *value)
{
	const json_t *member = json_object_get(args, arg->name);
	char text[40];

	if (json_is_integer(member))
		snprintf(text, sizeof(text), "%lld", (long long) json_integer_value(member));
	else if (!json_is_string(member) || !text_copy(text, sizeof(text), json_string_value(member)))
		return false;
	return decimal_parse(text, arg->decimals, value) && *value >= arg->min && *value <= arg->max;
}

static const ProfileArg *
take_arguments(Command *command)
{
	for (int i = 0; i < command->spec->args; i++)
	{
		if (!take_argument(command->order.args, &command->spec->arg[i], &command->arg[i]))
			return &command->spec->arg[i];
	}
	return NULL;
}

static void
command_execute(Command *command)
{
	const ProfileArg *wrong;

	command->spec = profile_command(command->profile, command->order.action);
	if (!command->spec)
	{
		command_fail(command, "refused", "profile %s has no command %s", command->profile->code,
					 command->order.action);
		return;
	}
	wrong = take_arguments(command);
	if (wrong)
		command_fail(command, "refused",
					 "argument %s is missing, out of range or has more than %d decimals",
					 wrong->name, wrong->decimals);
	else if (command->spec->guarded)
		guard_read(command);
	else if (command->order.verify_only)
		checks_begin(command);
	else
		write_begin(command);
}

static void
command_start(Command *command)
{
	Meter *meter = command->meter;

	if (meter->leaving)
		command_fail(command, "failed", "the meter left the agent's plan");
	else if (!meter->gateway->line)
		command_fail(command, "failed", "gateway %s cannot be used: see the agent's log",
					 meter->gateway->code);
	else if (!meter->profile)
		command_fail(command, "refused", "the profile of model %s is missing or faulty",
					 meter->model);
	else
	{
		command->profile = profile_keep(meter->profile);
		reading_init(&command->observed, meter->id, command->profile);
		if (strcmp(command->order.action, "read") == 0)
			poll_now(meter, JOB_ON_DEMAND, read_done, command);
		else
			command_execute(command);
	}
}

void
command_begin(Agent *agent, Meter *meter, CommandOrder *order)
{
	Command *command;
	Command **end;

	for (end = &meter->command; *end; end = &(*end)->next)
	{
		if ((*end)->order.id != order->id)
			continue;
		/* Leased again while it runs: one execution answers both. */
		(*end)->order.attempt = order->attempt;
		json_decref(order->args);
		return;
	}
	command = mem_alloc0(sizeof(*command));
	command->agent = agent;
	command->meter = meter;
	command->order = *order;
	command->taken_at = clock_mono();
	command->observed.relay_closed = -1;
	*end = command;
	dispatch_started(agent);
	log_event(LEVEL_INFO, "command_taken", "command=%lld meter=%s action=%s attempt=%d%s",
			  (long long) order->id, log_value(meter->code), order->action, order->attempt,
			  order->verify_only ? " verify_only=1" : "");
	if (meter->command == command)
		command_start(command);
}

void
command_refuse_orphan(Agent *agent, CommandOrder *order)
{
	Command command = { .agent = agent, .order = *order, .taken_at = clock_mono() };

	command.observed.relay_closed = -1;
	snprintf(command.error, sizeof(command.error), "meter %d is not in the agent's plan",
			 order->meter_id);
	store_outcome(&command, "failed");
	json_decref(order->args);
}

static bool
write_in_flight(const Command *command)
{
	/* Functions 3 and 4 read. */
	return bus_job_in_flight(&command->job) && command->job.pdu[0] > 4;
}

void
command_abort_meter(Meter *meter)
{
	while (meter->command)
	{
		Command *command = meter->command;
		bool open = command->sent || write_in_flight(command);

		/* At shutdown what was not sent stays with the database: its lease runs out. */
		if (!meter->gateway->agent->stopping || open)
		{
			command_fail(command, open ? "unknown" : "failed", "the meter left the agent's plan");
			continue;
		}
		meter->command = command->next;
		dispatch_ended(command->agent);
		command_free(command);
	}
}
