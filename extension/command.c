#include "command.h"

#include "commands/async.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

#include "auth.h"
#include "brake.h"
#include "code.h"
#include "db.h"
#include "decide.h"
#include "lock.h"
#include "oplog.h"
#include "relay.h"

#define BACK_OFF_FIRST_S 5
#define BACK_OFF_MOST_S 300

PG_FUNCTION_INFO_V1(prepay_command_notify);
PG_FUNCTION_INFO_V1(prepay_cancel_command);

bool
command_is_relay(const char *action)
{
	return strcmp(action, "trip") == 0 || strcmp(action, "close") == 0 ||
		   strcmp(action, "keep_on") == 0 || strcmp(action, "prepaid") == 0;
}

int64
command_queue(const Site *site, const Command *command)
{
	static DbQuery query = {
		"INSERT INTO prepay.command (site_id, meter_id, account_id, action, args, reason, operator,"
		" automatic, created_at, valid_until, not_before) VALUES ($1, $2, NULLIF($3, 0), $4,"
		" $5::jsonb, $6, $7, $8, $9, $10, $11) RETURNING command_id",
		11,
		{ INT4OID, INT4OID, INT4OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, BOOLOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(command->meter_id),
					 Int32GetDatum(command->account_id),
					 CStringGetTextDatum(command->action),
					 CStringGetTextDatum(command->args ? command->args : "{}"),
					 CStringGetTextDatum(command->reason),
					 CStringGetTextDatum(command->operator_name ? command->operator_name
																: COMMAND_AUTOMATIC),
					 BoolGetDatum(command->operator_name == NULL),
					 TimestampTzGetDatum(site->now),
					 TimestampTzGetDatum(command->valid_until),
					 TimestampTzGetDatum(command->not_before) };
	char nulls[] = "           ";

	nulls[9] = command->valid_until ? ' ' : 'n';
	nulls[10] = command->not_before ? ' ' : 'n';
	db_run_nulls(&query, args, nulls);
	return db_int64(0, 1);
}

void
command_finish(const Site *site, int64 command_id, const char *status, const char *result)
{
	static DbQuery query = {
		"UPDATE prepay.command SET status = $3, finished_at = $4,"
		" result = COALESCE($5::jsonb, result) WHERE site_id = $1 AND command_id = $2"
		" AND status IN ('queued', 'sent', 'unknown')",
		5,
		{ INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(command_id),
					 CStringGetTextDatum(status), TimestampTzGetDatum(site->now),
					 db_text_datum(result) };

	db_run_nulls(&query, args, result ? NULL : "    n");
}

TimestampTz
command_back_off(int attempts)
{
	int64 seconds = BACK_OFF_FIRST_S;
	int i;

	for (i = 1; i < attempts && seconds < BACK_OFF_MOST_S; i++)
		seconds *= 2;
	return GetCurrentTimestamp() + Min(seconds, BACK_OFF_MOST_S) * USECS_PER_SEC;
}

/*
 * command_notify: AFTER INSERT statement trigger of command. A hint without
 * payload, once a transaction; a statement that inserted nothing sends none.
 */
Datum
prepay_command_notify(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		trigger->tg_newtable == NULL)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("command_notify is a statement trigger with a new table")));
	if (tuplestore_tuple_count(trigger->tg_newtable) > 0)
		Async_Notify("prepay_command", "");
	return PointerGetDatum(NULL);
}

/* The site a command is in; raises PP010. */
static int32
find_command(Oid caller, int64 command_id, const char *site_code, int32 *meter_id, char **action)
{
	static DbQuery query = {
		"SELECT site_id, meter_id, action FROM prepay.command WHERE command_id = $1"
		" AND site_id = ANY ($2)",
		2,
		{ INT8OID, INT4ARRAYOID }
	};
	int32 *site_id;
	int n;

	if (site_code)
	{
		site_id = palloc(sizeof(int32));
		*site_id = code_site(caller, site_code);
		n = 1;
	}
	else
		n = auth_sites(caller, &site_id);
	{
		Datum args[] = { Int64GetDatum(command_id), db_array_int32(site_id, n) };

		if (db_run(&query, args) != 1)
			ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
							errmsg("there is no command %lld", (long long) command_id),
							errhint("Commands are listed in prepay.command.")));
	}
	*meter_id = db_int32(0, 2);
	*action = db_text(0, 3);
	return db_int32(0, 1);
}

/*
 * cancel_command(command_id, site DEFAULT NULL) → text: withdraws a queued command.
 * Raises PP061 when it is not queued any more or is a recharge.
 */
Datum
prepay_cancel_command(PG_FUNCTION_ARGS)
{
	static DbQuery cancel = {
		"UPDATE prepay.command SET status = 'cancelled', finished_at = $3 WHERE site_id = $1"
		" AND command_id = $2 AND status = 'queued'",
		3,
		{ INT4OID, INT8OID, TIMESTAMPTZOID }
	};
	static DbQuery status = {
		"SELECT status FROM prepay.command WHERE site_id = $1 AND command_id = $2",
		2,
		{ INT4OID, INT8OID }
	};
	DbSession session;
	const Site *site;
	RelayMeter *meter;
	int64 command_id;
	int32 site_id;
	int32 meter_id;
	char *action;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the number of the command is missing")));
	command_id = PG_GETARG_INT64(0);
	db_enter(&session);
	site_id = find_command(session.caller, command_id,
						   PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1)),
						   &meter_id, &action);
	auth_require(session.caller, MAY_DISPATCH, site_id, "cancel commands");
	if (strcmp(action, "recharge") == 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_PP_BAD_ACTION),
			 errmsg("command %lld is a recharge", (long long) command_id),
			 errhint("Reverse its sale while it is queued; resolve_recharge() decides about one "
					 "whose outcome nobody knows.")));
	lock_site_shared(site_id);
	site = site_get(site_id);
	(void) relay_lock(site, &meter_id, 1, &meter);
	{
		Datum args[] = { Int32GetDatum(site_id), Int64GetDatum(command_id),
						 TimestampTzGetDatum(site->now) };

		if (db_run(&cancel, args) != 1)
		{
			db_run(&status, args);
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
							errmsg("command %lld is %s", (long long) command_id, db_text(0, 1)),
							errhint("Only a queued command can be cancelled.")));
		}
	}
	oplog_note(site_id, "cancel_command", psprintf("command:" INT64_FORMAT, command_id),
			   oplog_members("status", "queued", "action", action, NULL),
			   oplog_members("status", "cancelled", NULL));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text("cancelled"));
}

/* Meters found by a query whose only column is meter_id. */
static int
due_meters(DbQuery *query, Datum *args, int32 **meter_id)
{
	int n = db_run(query, args);
	int i;

	*meter_id = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*meter_id)[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return n;
}

/* The agent has been silent for too long: whether the command was carried out is unknown. */
static int
end_leases(const Site *site, int max_rows)
{
	static DbQuery due = {
		"SELECT DISTINCT meter_id FROM (SELECT meter_id FROM prepay.command WHERE site_id = $1"
		" AND status = 'sent' AND lease_until < $2 ORDER BY lease_until LIMIT $3) AS d",
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	static DbQuery end = {
		"UPDATE prepay.command SET status = CASE WHEN action = 'read' THEN 'queued' ELSE 'unknown'"
		" END, verify = action <> 'read' WHERE site_id = $1 AND meter_id = $3 AND status = 'sent'"
		" AND lease_until < $2",
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(GetCurrentTimestamp()),
					 Int32GetDatum(max_rows) };
	RelayMeter *meter;
	int32 *meter_id;
	int n = due_meters(&due, args, &meter_id);
	int done = 0;
	int i;

	n = relay_lock_free(site, meter_id, n, &meter);
	for (i = 0; i < n; i++)
	{
		args[2] = Int32GetDatum(meter[i].meter_id);
		done += (int) db_run(&end, args);
	}
	return done;
}

/*
 * Commands past their valid_until; a trip that is still due is queued anew, or stays when
 * it waits for a supervisor.
 */
static int
expire(const Site *site, int max_rows)
{
	static DbQuery due = {
		"SELECT DISTINCT meter_id FROM (SELECT meter_id FROM prepay.command WHERE site_id = $1"
		" AND status = 'queued' AND valid_until <= $2 ORDER BY valid_until LIMIT $3) AS d",
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	static DbQuery end = { "UPDATE prepay.command SET status = 'expired', finished_at = $2"
						   " WHERE site_id = $1 AND meter_id = $3 AND status = 'queued'"
						   " AND valid_until <= $2",
						   3,
						   { INT4OID, TIMESTAMPTZOID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 Int32GetDatum(max_rows) };
	RelayMeter *meter;
	int32 *meter_id;
	int n = due_meters(&due, args, &meter_id);
	int done = 0;
	int i;

	n = relay_lock_free(site, meter_id, n, &meter);
	for (i = 0; i < n; i++)
	{
		args[2] = Int32GetDatum(meter[i].meter_id);
		brake_prolong(site, meter[i].meter_id);
		done += (int) db_run(&end, args);
		relay_refresh(site, &meter[i]);
		decide_locked_meter(site, &meter[i], 0);
	}
	return done;
}

static int
decide_due(const Site *site, int max_rows)
{
	static DbQuery due = { "(SELECT meter_id FROM prepay.meter_control WHERE site_id = $1"
						   " AND decide_at <= $2 ORDER BY decide_at LIMIT $3) UNION"
						   " (SELECT meter_id FROM prepay.meter_control WHERE site_id = $1"
						   " AND hold_until <= $4 ORDER BY hold_until LIMIT $3)",
						   4,
						   { INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID } };
	static DbQuery done = { "UPDATE prepay.meter_control SET"
							" decide_at = CASE WHEN decide_at <= $2 THEN NULL ELSE decide_at END,"
							" hold_until = CASE WHEN hold_until <= $4 THEN NULL ELSE hold_until END"
							" WHERE site_id = $1 AND meter_id = $3",
							4,
							{ INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(GetCurrentTimestamp()),
					 Int32GetDatum(max_rows), TimestampTzGetDatum(site->now) };
	RelayMeter *meter;
	int32 *meter_id;
	int n = due_meters(&due, args, &meter_id);
	int i;

	n = relay_lock_free(site, meter_id, n, &meter);
	for (i = 0; i < n; i++)
	{
		args[2] = Int32GetDatum(meter[i].meter_id);
		db_run(&done, args);
		if (meter[i].hold_until <= site->now)
			meter[i].hold_until = DT_NOBEGIN;
		decide_locked_meter(site, &meter[i], 0);
	}
	return n;
}

int
command_tick(const Site *site, int max_rows)
{
	int done = 0;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	done += end_leases(site, max_rows);
	if (done < max_rows)
		done += expire(site, max_rows - done);
	if (done < max_rows)
		done += decide_due(site, max_rows - done);
	SPI_finish();
	return done;
}
