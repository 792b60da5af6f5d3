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
 *   - Nothing is written after valid_until, or when the lease has run out. The check stands
 * directly before each write.
 *   - At the first write a row for the spool says that the outcome is open. After a crash it is
 * reported as "unknown" and the database orders a read-back (verify_only); where the disk had not
 * taken the row yet, the command's lease runs out, which comes to the same.
 *   - A recharge or withdrawal is written only while the meter's purchase count is one below the
 * ordered count, so that no repetition, by us or by the database, can add money twice.
 *   - No more trips are written within a minute than the brake lets pass (brake.c).
 *   - Registers are written by the steps of the profile alone.
 */
#include "command_inner.h"

#include "buf.h"
#include "dispatch.h"
#include "log.h"
#include "metrics.h"
#include "poll.h"
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void command_start(Command *command);

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
	store_outcome_end(command->agent->store, command->order.id, command->order.attempt, outcome,
					  text);
	dispatch_report(command->agent);
	free(text);
	json_decref(result);
}

void
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

void
command_fail(Command *command, const char *outcome, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(command->error, sizeof(command->error), format, args);
	va_end(args);
	command_end(command, outcome);
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

static const ProfileArg *
take_arguments(Command *command)
{
	uint8_t *room = command->rows;

	for (int i = 0; i < command->spec->args; i++)
	{
		const ProfileArg *arg = &command->spec->arg[i];

		if (!profile_arg_value(arg, json_object_get(command->order.args, arg->name),
							   &command->arg[i], &room))
			return arg;
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
					 "argument %s is missing, malformed, out of range or has more than %d decimals",
					 wrong->name, wrong->decimals);
	else if (command->spec->guarded)
		command_guard(command);
	else if (command->order.verify_only)
		command_check(command);
	else
		command_write(command);
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
		(*end)->taken_at = clock_mono();
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
