/*
 * dispatch.c
 *		Taking commands from the database and reporting their outcomes.
 *
 * The table is the truth: a notification only says "look". An outcome leaves the store when the
 * database has taken it, so that a command that was executed while the database was away is
 * reported after the reconnect, before new ones are taken.
 */
#include "dispatch.h"

#include "buf.h"
#include "command.h"
#include "db.h"
#include "liaison.h"
#include "log.h"
#include "store.h"
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_US (5 * USEC_PER_SEC)
#define RETRY_US USEC_PER_SEC
#define TAKE_ROWS 32
/* Enough to keep every line busy in a mass trip; the rest stays where it can still be cancelled. */
#define ACTIVE_MAX 512

struct Commands
{
	Agent *agent;
	struct event *scan;
	struct event *retry;
	bool taking;
	bool take_again;
	int64_t reporting_id;
	int reporting_attempt;
	bool report_sent;
	int active;
	CommandOrder *orphans; /* their meter is not in the plan we have */
	int orphan_count;
};

/* ---- outcomes ---- */

static void
report_done(void *arg, const DbAnswer *answer)
{
	Commands *commands = arg;
	Agent *agent = commands->agent;

	commands->report_sent = false;
	if (answer->lost)
		return;
	if (!answer->ok && answer->retry)
	{
		struct timeval delay = { RETRY_US / USEC_PER_SEC, 0 };

		db_log_failure("report_failed", answer);
		evtimer_add(commands->retry, &delay);
		return;
	}
	if (!answer->ok)
		db_log_failure("report_refused", answer);
	store_outcome_delete(agent->store, commands->reporting_id, commands->reporting_attempt);
	dispatch_report(agent);
}

void
dispatch_report(Agent *agent)
{
	Commands *commands = agent->commands;
	const SpoolOutcome *outcome = store_outcome_next(agent->store);
	char id[24];
	char attempt[16];
	const char *values[5] = { agent->config.name, id, attempt };

	if (!outcome || commands->report_sent || !db_is_ready(liaison_db(agent->liaison)))
		return;
	commands->reporting_id = outcome->command_id;
	commands->reporting_attempt = outcome->attempt;
	snprintf(id, sizeof(id), "%lld", (long long) outcome->command_id);
	snprintf(attempt, sizeof(attempt), "%d", outcome->attempt);
	values[3] = outcome->outcome;
	values[4] = outcome->result;
	commands->report_sent = true;
	db_query(liaison_db(agent->liaison),
			 "SELECT prepay.report_command($1, $2::bigint, $3::int, $4, $5::jsonb)", 5, values,
			 report_done, commands);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	dispatch_report(((Commands *) arg)->agent);
}

/* ---- commands ---- */

static void
keep_orphan(Commands *commands, const CommandOrder *order)
{
	commands->orphans = mem_realloc(commands->orphans, (size_t) (commands->orphan_count + 1) *
														   sizeof(*commands->orphans));
	commands->orphans[commands->orphan_count++] = *order;
	liaison_fetch_plan(commands->agent);
}

static bool
order_from_row(const PGresult *result, int row, CommandOrder *order)
{
	json_error_t error;

	memset(order, 0, sizeof(*order));
	order->id = strtoll(PQgetvalue(result, row, 0), NULL, 10);
	order->meter_id = (int) strtol(PQgetvalue(result, row, 1), NULL, 10);
	text_copy(order->action, sizeof(order->action), PQgetvalue(result, row, 2));
	order->args = json_loads(PQgetvalue(result, row, 3), JSON_DECODE_ANY, &error);
	order->valid_until =
		PQgetisnull(result, row, 4) ? INT64_MAX : strtoll(PQgetvalue(result, row, 4), NULL, 10);
	order->attempt = (int) strtol(PQgetvalue(result, row, 5), NULL, 10);
	order->verify_only = PQgetvalue(result, row, 6)[0] == 't';
	return order->id > 0;
}

static void
take_order(Commands *commands, CommandOrder *order)
{
	Agent *agent = commands->agent;
	Meter *meter = topology_meter(agent->topology, order->meter_id);

	/* Executed before; the outcome is on its way. */
	if (store_outcome_waiting(agent->store, order->id))
	{
		json_decref(order->args);
		return;
	}
	if (meter)
		command_begin(agent, meter, order);
	else
		keep_orphan(commands, order);
}

static void
take_done(void *arg, const DbAnswer *answer)
{
	Commands *commands = arg;
	int rows = answer->ok ? PQntuples(answer->result) : 0;

	commands->taking = false;
	if (answer->lost)
		return;
	if (!answer->ok)
		db_log_failure("take_refused", answer);
	for (int row = 0; row < rows; row++)
	{
		CommandOrder order;

		if (order_from_row(answer->result, row, &order))
			take_order(commands, &order);
	}
	if (rows == TAKE_ROWS || commands->take_again)
		dispatch_take(commands->agent);
}

void
dispatch_take(Agent *agent)
{
	static const char sql[] =
		"SELECT command_id, meter_id, action, coalesce(args, '{}'),"
		" CASE WHEN isfinite(valid_until) THEN (extract(epoch FROM valid_until) * 1000000)::bigint"
		" END, attempt, verify_only FROM prepay.take_commands($1, $2::int)"
		" ORDER BY command_id";
	Commands *commands = agent->commands;
	int room = ACTIVE_MAX - commands->active;
	char rows[16];
	const char *values[] = { agent->config.name, rows };

	commands->take_again = commands->taking;
	if (commands->taking || room <= 0 || agent->once || agent->stopping ||
		!db_is_ready(liaison_db(agent->liaison)))
		return;
	snprintf(rows, sizeof(rows), "%d", room < TAKE_ROWS ? room : TAKE_ROWS);
	commands->taking = true;
	db_query(liaison_db(agent->liaison), sql, 2, values, take_done, commands);
}

void
dispatch_plan_applied(Agent *agent)
{
	Commands *commands = agent->commands;
	CommandOrder *orphans = commands->orphans;
	int count = commands->orphan_count;

	commands->orphans = NULL;
	commands->orphan_count = 0;
	for (int i = 0; i < count; i++)
	{
		Meter *meter = topology_meter(agent->topology, orphans[i].meter_id);

		if (meter)
			command_begin(agent, meter, &orphans[i]);
		else
			command_refuse_orphan(agent, &orphans[i]);
	}
	free(orphans);
}

static void
on_scan(evutil_socket_t fd, short what, void *arg)
{
	Commands *commands = arg;

	(void) fd;
	(void) what;
	dispatch_report(commands->agent);
	dispatch_take(commands->agent);
}

void
dispatch_connected(Agent *agent)
{
	dispatch_report(agent);
	dispatch_take(agent);
}

void
dispatch_disconnected(Agent *agent)
{
	agent->commands->take_again = false;
	evtimer_del(agent->commands->retry);
}

void
dispatch_started(Agent *agent)
{
	agent->commands->active++;
}

void
dispatch_ended(Agent *agent)
{
	/* At the limit nobody else asks for more. */
	if (agent->commands->active-- == ACTIVE_MAX)
		dispatch_take(agent);
}

int
dispatch_active(const Agent *agent)
{
	return agent->commands->active;
}

Commands *
dispatch_new(Agent *agent)
{
	Commands *commands = mem_alloc0(sizeof(*commands));
	struct timeval scan = { SCAN_US / USEC_PER_SEC, 0 };

	commands->agent = agent;
	commands->scan = event_new(agent->base, -1, EV_PERSIST, on_scan, commands);
	commands->retry = evtimer_new(agent->base, on_retry, commands);
	evtimer_add(commands->scan, &scan);
	return commands;
}

void
dispatch_free(Commands *commands)
{
	if (!commands)
		return;
	for (int i = 0; i < commands->orphan_count; i++)
		json_decref(commands->orphans[i].args);
	free(commands->orphans);
	event_free(commands->scan);
	event_free(commands->retry);
	free(commands);
}
