/*
 * recharge.c: commands that move money, decided by the meter's purchase count alone.
 *
 * The meter takes a recharge or withdrawal only with count = its own + 1, and then
 * has that count. So the count is the key that makes a repetition harmless:
 *
 *   fixed when first handed out, to one more than the meter is known to have, and kept
 *   for all attempts; the agent reads the meter's count before it writes
 *
 *   read back  = n      done, if we may have written it; else somebody else did
 *              = n - 1  not carried out: handed out again, or refused by the meter
 *              other    nobody knows: alarm purchase_count, the command stays unknown
 *                       and, being first of its queue, holds up all that follow
 *                       until a person decides (resolve_recharge)
 *
 * Commands about money are one queue per meter, first in first out, never superseded,
 * never expired. The count belongs to the physical meter: a purse that begins knows
 * none, and takes it from the first reading.
 *
 * An agent killed at any point: before its write, the lease runs out, the next attempt
 * reads n - 1 and writes; after it, reads n and is done; in either case one of the two,
 * because nothing else writes that count. `written` remembers that an attempt wrote.
 * A report that comes twice, or late, is of another attempt or finds the command ended,
 * and changes nothing (report.c).
 */
#include "recharge.h"

#include "utils/builtins.h"

#include "alarm.h"
#include "amount.h"
#include "auth.h"
#include "code.h"
#include "command.h"
#include "db.h"
#include "lock.h"
#include "money.h"
#include "oplog.h"
#include "purse.h"

PG_FUNCTION_INFO_V1(prepay_resolve_recharge);

bool
recharge_is(const char *action)
{
	return strcmp(action, "recharge") == 0 || strcmp(action, "withdraw") == 0;
}

/* The count of the newest reading; false: none was ever read. */
static bool
count_read(const Site *site, int32 meter_id, int32 *count, TimestampTz *at)
{
	static DbQuery query = {
		"SELECT purchase_count, read_at FROM prepay.reading WHERE site_id = $1 AND meter_id = $2"
		" AND purchase_count IS NOT NULL ORDER BY read_at DESC LIMIT 1",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&query, args) == 0)
		return false;
	*count = db_int32(0, 1);
	*at = db_time(0, 2);
	return true;
}

bool
recharge_fix_count(const Site *site, int32 meter_id, int64 command_id)
{
	static DbQuery query = { "UPDATE prepay.command SET args = args || jsonb_build_object('count',"
							 " $3) WHERE site_id = $1 AND command_id = $2",
							 3,
							 { INT4OID, INT8OID, INT4OID } };
	Purse purse;
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(command_id), (Datum) 0 };

	if (!purse_peek_meter(site, meter_id, &purse))
		return false;
	if (!purse.has_count)
	{
		if (!count_read(site, meter_id, &purse.count, &purse.count_at))
			return false;
		purse_set_count(site, meter_id, purse.count, purse.count_at);
	}
	args[2] = Int32GetDatum(purse.count + 1);
	return db_run(&query, args) == 1;
}

/* ---- outcomes ---- */

typedef struct Move
{
	bool has_count;
	int32 count; /* fixed */
	int64 amount;
	int64 booked;
	bool written;
} Move;

static void
load_move(const Site *site, int64 command_id, Move *move)
{
	static DbQuery query = {
		"SELECT (c.args ->> 'count')::int, v.amount::text, v.booked::text, v.written"
		" FROM prepay.command c JOIN prepay.purse_move v USING (site_id, command_id)"
		" WHERE c.site_id = $1 AND c.command_id = $2",
		2,
		{ INT4OID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(command_id) };

	if (db_run(&query, args) != 1)
		elog(ERROR, "command " INT64_FORMAT " moves no money", command_id);
	move->count = db_int32_or(0, 1, -1);
	move->has_count = move->count >= 0;
	move->amount = text_minor(site, db_text(0, 2));
	move->booked = text_minor(site, db_text(0, 3));
	move->written = db_bool(0, 4);
}

static void
note_written(const Site *site, int64 command_id)
{
	static DbQuery query = { "UPDATE prepay.purse_move SET written = true WHERE site_id = $1"
							 " AND command_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(command_id) };

	db_run(&query, args);
}

/*
 * An agent's "unknown" may carry a count read before its write: nothing follows from it.
 * Without a count the agent's word stands, which by its own rules needs a read-back.
 */
static RechargeOutcome
judge(const RechargeReport *report, const Move *move)
{
	bool may_be_ours = report->has_written || report->verify || move->written;

	if (report->said == RECHARGE_ASK || !report->has_count || !move->has_count)
		return report->said;
	if (report->count == move->count)
		return may_be_ours ? RECHARGE_DONE : RECHARGE_CONFLICT;
	if (report->count != move->count - 1)
		return RECHARGE_CONFLICT;
	return report->said == RECHARGE_DONE ? RECHARGE_ASK : report->said;
}

static void
note_seen(const Site *site, const RechargeReport *report)
{
	int64 minor;

	if (report->meter_balance &&
		decimal_parse(report->meter_balance, site->decimals, &minor) == DECIMAL_OK)
		purse_set_balance(site, report->meter_id, minor, report->seen_at);
}

static void
count_alarm(const Site *site, int32 meter_id, const char *detail)
{
	(void) alarm_raise_meter(site, meter_id, "purchase_count", ALARM_CRITICAL, detail);
}

static void
stop(const Site *site, const RechargeReport *report, const Move *move)
{
	count_alarm(site, report->meter_id,
				psprintf("Command " INT64_FORMAT " (%s of %s) goes from count %d to %d, the meter "
						 "has %d; somebody decides with resolve_recharge().",
						 report->command_id, report->action, vend_money(site, move->amount),
						 move->count - 1, move->count, report->count));
}

/* The money stays here, and is seen to do so. */
static void
refused(const Site *site, const RechargeReport *report, const Move *move)
{
	if (strcmp(report->action, "withdraw") == 0)
		return;
	purse_change(site, report->meter_id, move->booked, 0);
	count_alarm(site, report->meter_id,
				psprintf("Recharge " INT64_FORMAT " of %s was refused: %s. The money is kept here "
						 "until it is ordered again.",
						 report->command_id, vend_money(site, move->amount),
						 report->error ? report->error : "no reason given"));
}

RechargeOutcome
recharge_report(const Site *site, const RechargeReport *report)
{
	RechargeOutcome outcome;
	Move move;

	load_move(site, report->command_id, &move);
	outcome = judge(report, &move);
	if (report->has_written && !move.written)
		note_written(site, report->command_id);
	switch (outcome)
	{
		case RECHARGE_DONE:
			if (strcmp(report->action, "withdraw") == 0)
				purse_change(site, report->meter_id, 0, move.amount);
			if (move.has_count)
				purse_set_count(site, report->meter_id, move.count, report->seen_at);
			note_seen(site, report);
			break;
		case RECHARGE_REFUSED:
			refused(site, report, &move);
			break;
		case RECHARGE_CONFLICT:
			stop(site, report, &move);
			break;
		default:
			break;
	}
	return outcome;
}

/* ---- resolve_recharge() ---- */

/* The command that holds up the meter's queue; 0: none does. */
static int64
stuck_command(const Site *site, int32 meter_id, char **action)
{
	static DbQuery query = {
		"SELECT command_id, action FROM prepay.command WHERE site_id = $1 AND meter_id = $2"
		" AND status = 'unknown' AND action IN (" RECHARGE_ACTIONS ") AND not_before = 'infinity'"
		" ORDER BY command_id LIMIT 1",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&query, args) == 0)
		return 0;
	*action = db_text(0, 2);
	return db_int64(0, 1);
}

static void
send_again(const Site *site, int64 command_id)
{
	static DbQuery query = { "UPDATE prepay.command SET status = 'queued', verify = false,"
							 " not_before = NULL, args = args - 'count' WHERE site_id = $1"
							 " AND command_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	static DbQuery fresh = { "UPDATE prepay.purse_move SET written = false WHERE site_id = $1"
							 " AND command_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(command_id) };

	db_run(&query, args);
	db_run(&fresh, args);
}

static void
settle_stuck(const Site *site, int32 meter_id, int64 command_id, const char *action,
			 const char *verdict, const char *result)
{
	bool withdraw = strcmp(action, "withdraw") == 0;
	Move move;

	load_move(site, command_id, &move);
	if (strcmp(verdict, "again") == 0)
		send_again(site, command_id);
	else if (strcmp(verdict, "done") == 0)
	{
		if (withdraw)
			purse_change(site, meter_id, 0, move.amount);
		command_finish(site, command_id, "done", result);
	}
	else
	{
		if (!withdraw)
			purse_change(site, meter_id, move.booked, 0);
		command_finish(site, command_id, "refused", result);
	}
}

static void
require_verdict(const char *verdict, const char *meter, int64 command_id)
{
	if (strcmp(verdict, "accept") != 0 && strcmp(verdict, "done") != 0 &&
		strcmp(verdict, "again") != 0 && strcmp(verdict, "void") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no verdict \"%s\"", verdict),
				 errhint("Verdicts: accept (the meter's count is right, nothing waits), done, "
						 "again, void (of the command that waits).")));
	if ((strcmp(verdict, "accept") == 0) != (command_id == 0))
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_ACTION),
				 command_id == 0
					 ? errmsg("no recharge of meter \"%s\" waits for a decision", meter)
					 : errmsg("command " INT64_FORMAT " of meter \"%s\" waits for a decision",
							  command_id, meter),
				 command_id == 0
					 ? errhint("Accept the meter's count: verdict 'accept'.")
					 : errhint("Say whether the meter has the money: done; or not: again "
							   "to send it once more, void to keep it here.")));
}

/* What the meter is known to have: as the stuck command found it, else as read since. */
static void
accept_count(const Site *site, const Purse *purse, int64 command_id)
{
	static DbQuery query = { "SELECT (result ->> 'purchase_count')::int FROM prepay.command"
							 " WHERE site_id = $1 AND command_id = $2"
							 " AND jsonb_typeof(result -> 'purchase_count') = 'number'",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(command_id) };
	int32 count;
	TimestampTz at;

	if (db_run(&query, args) == 1)
		purse_set_count(site, purse->meter_id, db_int32(0, 1), site->now);
	else if (count_read(site, purse->meter_id, &count, &at) && at > purse->count_at)
		purse_set_count(site, purse->meter_id, count, at);
}

static char *
text_arg(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must be given", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* A reason is a sentence of somebody's; the result of the command keeps it. */
static char *
verdict_result(const char *verdict, const char *reason)
{
	static DbQuery query = {
		"SELECT jsonb_build_object('verdict', $1, 'reason', $2, 'operator', $3)::text",
		3,
		{ TEXTOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { CStringGetTextDatum(verdict), CStringGetTextDatum(reason),
					 CStringGetTextDatum(auth_operator()) };

	db_run(&query, args);
	return db_text(0, 1);
}

/*
 * resolve_recharge(meter, verdict, reason) → what became of it. accept: the count last
 * read is right and nothing waits; done, again, void: of the command that waits. Raises
 * PP061 when the other is the case, PP010, 42501. Supervisors.
 */
Datum
prepay_resolve_recharge(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget meter;
	const Site *site;
	Purse purse;
	char *code = text_arg(fcinfo, 0, "the meter");
	char *verdict = text_arg(fcinfo, 1, "the verdict");
	char *reason = text_arg(fcinfo, 2, "the reason");
	char *action = NULL;
	int64 command_id;

	db_enter(&session);
	code_resolve(session.caller, code, KIND_METER, &meter);
	auth_require(session.caller, MAY_SUPERVISE, meter.site_id, "decide about recharges");
	lock_site_shared(meter.site_id);
	site = site_get(meter.site_id);
	if (!purse_lock_meter(site, meter.id, &purse))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("meter \"%s\" keeps no account's money", meter.code),
						errhint("View own_money_meters lists those that do.")));
	command_id = stuck_command(site, meter.id, &action);
	require_verdict(verdict, meter.code, command_id);
	accept_count(site, &purse, command_id);
	if (command_id != 0)
		settle_stuck(site, meter.id, command_id, action, verdict, verdict_result(verdict, reason));
	(void) alarm_clear_meter(site, meter.id, "purchase_count");
	oplog_note(meter.site_id, "resolve_recharge", psprintf("meter:%s", meter.code), NULL,
			   oplog_members("verdict", verdict, "reason", reason, NULL));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(strcmp(verdict, "again") == 0	? "queued"
									 : strcmp(verdict, "done") == 0 ? "done"
									 : strcmp(verdict, "void") == 0 ? "void"
																	: "accepted"));
}
