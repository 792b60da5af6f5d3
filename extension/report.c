/*
 * report.c: report_command(): how an attempt ended, and what follows from it.
 *
 * For the relay what was read back decides, whatever the attempt is called: a
 * relay seen where it was wanted is done, one seen elsewhere is a failure, and
 * only an attempt after which nothing could be read is unknown. A failed attempt
 * is queued again with growing delay while anybody still wants it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/jsonb.h"

#include "agent.h"
#include "alarm.h"
#include "command.h"
#include "decide.h"
#include "lock.h"
#include "mismatch.h"
#include "money.h"
#include "recharge.h"
#include "relay.h"

PG_FUNCTION_INFO_V1(prepay_report_command);

/* A new attempt after an agent called the old one expired: its clock may be ahead of ours. */
#define AFTER_EXPIRY_US (INT64CONST(30) * USECS_PER_SEC)

typedef enum Outcome
{
	OUTCOME_DONE,
	OUTCOME_REFUSED,
	OUTCOME_FAILED,
	OUTCOME_UNKNOWN,
	OUTCOME_EXPIRED
} Outcome;

static const char *const outcome_name[] = { "done", "refused", "failed", "unknown", "expired" };

typedef struct Attempt
{
	const Site *site;
	int64 command_id;
	int32 meter_id;
	char *action;
	char *status;
	int attempts;
	bool verify;
	TimestampTz valid_until; /* DT_NOEND: none */
	Outcome outcome;
	Jsonb *result;
	char *result_text; /* NULL: none */
} Attempt;

static Outcome
parse_outcome(const char *text)
{
	int i;

	for (i = 0; i < lengthof(outcome_name); i++)
		if (strcmp(outcome_name[i], text) == 0)
			return (Outcome) i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("unknown outcome \"%s\"", text),
			 errhint("Outcomes: done, refused, failed, unknown, expired.")));
}

static JsonbValue *
result_value(const Attempt *attempt, const char *key, JsonbValue *value)
{
	if (attempt->result == NULL || !JB_ROOT_IS_OBJECT(attempt->result))
		return NULL;
	return getKeyJsonValueFromContainer(&attempt->result->root, key, strlen(key), value);
}

static SupplySide
seen_side(const Attempt *attempt)
{
	JsonbValue buffer;
	JsonbValue *value = result_value(attempt, "relay_closed", &buffer);

	if (value == NULL || value->type != jbvBool)
		return SIDE_NONE;
	return value->val.boolean ? SIDE_ON : SIDE_OFF;
}

static char *
result_string(const Attempt *attempt, const char *key)
{
	JsonbValue buffer;
	JsonbValue *value = result_value(attempt, key, &buffer);

	return value && value->type == jbvString
			   ? pnstrdup(value->val.string.val, value->val.string.len)
			   : NULL;
}

/* When the meter was read; now where the agent does not say so or is ahead of us. */
static TimestampTz
seen_at(const Attempt *attempt)
{
	char *text = result_string(attempt, "read_at");
	char buffer[MAXDATELEN + MAXDATEFIELDS];
	char *field[MAXDATEFIELDS];
	int ftype[MAXDATEFIELDS];
	int nfields;
	int dtype;
	int tz;
	struct pg_tm tm;
	fsec_t fsec;
	TimestampTz time;

	if (text == NULL || strlen(text) > MAXDATELEN ||
		ParseDateTime(text, buffer, sizeof(buffer), field, ftype, MAXDATEFIELDS, &nfields) != 0 ||
		DecodeDateTime(field, ftype, nfields, &dtype, &tm, &fsec, &tz) != 0 || dtype != DTK_DATE ||
		tm2timestamp(&tm, fsec, &tz, &time) != 0)
		return attempt->site->now;
	return Min(time, attempt->site->now);
}

static const char *
finish(const Attempt *attempt, const char *status)
{
	command_finish(attempt->site, attempt->command_id, status, attempt->result_text);
	return status;
}

/* Back to the queue, or waiting to be read back. */
static const char *
requeue(const Attempt *attempt, const char *status, bool verify)
{
	static DbQuery query = {
		"UPDATE prepay.command SET status = $3, verify = $4, not_before = $5,"
		" result = COALESCE($6::jsonb, result) WHERE site_id = $1 AND command_id = $2",
		6,
		{ INT4OID, INT8OID, TEXTOID, BOOLOID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(attempt->site->site_id),
					 Int64GetDatum(attempt->command_id),
					 CStringGetTextDatum(status),
					 BoolGetDatum(verify),
					 TimestampTzGetDatum(command_back_off(attempt->attempts)),
					 db_text_datum(attempt->result_text) };

	db_run_nulls(&query, args, attempt->result_text ? NULL : "     n");
	return status;
}

static void
raise_mismatch(const Attempt *attempt, RelayMeter *meter, const char *what)
{
	char *error = result_string(attempt, "error");

	mismatch_refused(attempt->site, meter,
					 psprintf("Command %lld (%s) %s%s%s.", (long long) attempt->command_id,
							  attempt->action, what, error ? ": " : "", error ? error : ""));
}

/* A person is told; what stood in the way may be gone when the rule tries anew after a while. */
static void
give_up(const Attempt *attempt, RelayMeter *meter, const char *what)
{
	raise_mismatch(attempt, meter, what);
	relay_decide_at(attempt->site, meter->meter_id,
					GetCurrentTimestamp() + COMMAND_RETRY_S * USECS_PER_SEC);
}

/* Certainly not carried out: try again unless nobody wants it any more. */
static const char *
retry(const Attempt *attempt, RelayMeter *meter)
{
	SupplySide side = relay_action_side(attempt->action);

	if (command_is_relay(attempt->action) &&
		(meter->queued_id != 0 ||
		 (side != SIDE_NONE && meter->desired != SIDE_NONE && side != meter->desired)))
		return finish(attempt, "superseded");
	if (attempt->valid_until <= attempt->site->now)
		return finish(attempt, "expired");
	if (attempt->attempts < COMMAND_MAX_ATTEMPTS)
		return requeue(attempt, "queued", false);
	if (command_is_relay(attempt->action))
		give_up(attempt, meter, "failed for good");
	return finish(attempt, "failed");
}

static const char *
settle_relay(const Attempt *attempt, RelayMeter *meter)
{
	SupplySide wanted = relay_action_side(attempt->action);
	SupplySide seen = seen_side(attempt);
	Outcome outcome = attempt->outcome;
	const char *status;

	if (outcome != OUTCOME_REFUSED && outcome != OUTCOME_EXPIRED && seen != SIDE_NONE &&
		wanted != SIDE_NONE)
		outcome = seen == wanted ? OUTCOME_DONE : OUTCOME_FAILED;
	switch (outcome)
	{
		case OUTCOME_DONE:
			status = finish(attempt, "done");
			if (wanted != SIDE_NONE)
			{
				relay_acknowledged(attempt->site, meter, wanted);
				relay_show(attempt->site, meter, wanted == SIDE_ON);
			}
			break;
		case OUTCOME_REFUSED:
			status = finish(attempt, "refused");
			give_up(attempt, meter, "was refused by the meter");
			break;
		case OUTCOME_EXPIRED:
			status = finish(attempt, "expired");
			break;
		case OUTCOME_UNKNOWN:
			status = requeue(attempt, "unknown", true);
			break;
		default:
			status = retry(attempt, meter);
			break;
	}
	/* The command flies no more: what was seen is judged and followed in its own right. */
	relay_refresh(attempt->site, meter);
	if (seen != SIDE_NONE && outcome != OUTCOME_DONE)
		relay_show(attempt->site, meter, seen == SIDE_ON);
	if (seen != SIDE_NONE)
		(void) relay_seen(attempt->site, meter, seen == SIDE_ON, seen_at(attempt));
	if (outcome == OUTCOME_DONE && seen == SIDE_NONE)
		mismatch_sighting(attempt->site, meter, NULL, attempt->site->now);
	/* Asking again at once would only be refused again. */
	if (outcome != OUTCOME_REFUSED && strcmp(status, "failed") != 0)
		decide_locked_meter(attempt->site, meter,
							outcome == OUTCOME_EXPIRED ? GetCurrentTimestamp() + AFTER_EXPIRY_US
													   : 0);
	return status;
}

/* A number of the result that fits; false: it has none. */
static bool
result_int(const Attempt *attempt, const char *key, int32 *number)
{
	JsonbValue buffer;
	JsonbValue *value = result_value(attempt, key, &buffer);
	int64 whole;

	if (value == NULL || value->type != jbvNumeric ||
		decimal_parse(numeric_text(NumericGetDatum(value->val.numeric)), 0, &whole) != DECIMAL_OK ||
		whole < 0 || whole > PG_INT32_MAX)
		return false;
	*number = (int32) whole;
	return true;
}

/* Until a person decides: the agent is not given it again, nor what waits behind it. */
static const char *
hold_up(const Attempt *attempt)
{
	static DbQuery query = { "UPDATE prepay.command SET not_before = 'infinity' WHERE site_id = $1"
							 " AND command_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(attempt->site->site_id), Int64GetDatum(attempt->command_id) };
	const char *status = requeue(attempt, "unknown", true);

	db_run(&query, args);
	return status;
}

/* Money that was paid for is tried until the meter's count says yes or no. */
static const char *
settle_recharge(const Attempt *attempt)
{
	static const RechargeOutcome said[] = { [OUTCOME_DONE] = RECHARGE_DONE,
											[OUTCOME_REFUSED] = RECHARGE_REFUSED,
											[OUTCOME_FAILED] = RECHARGE_AGAIN,
											[OUTCOME_UNKNOWN] = RECHARGE_ASK,
											[OUTCOME_EXPIRED] = RECHARGE_AGAIN };
	int32 tries;
	RechargeReport report = { .command_id = attempt->command_id,
							  .meter_id = attempt->meter_id,
							  .action = attempt->action,
							  .said = said[attempt->outcome],
							  .verify = attempt->verify,
							  .meter_balance = result_string(attempt, "meter_balance"),
							  .error = result_string(attempt, "error"),
							  .seen_at = seen_at(attempt) };

	report.has_count = result_int(attempt, "purchase_count", &report.count);
	report.has_written = result_int(attempt, "tries", &tries) && tries > 0;
	switch (recharge_report(attempt->site, &report))
	{
		case RECHARGE_DONE:
			return finish(attempt, "done");
		case RECHARGE_REFUSED:
			return finish(attempt, "refused");
		case RECHARGE_AGAIN:
			return requeue(attempt, "queued", false);
		case RECHARGE_CONFLICT:
			return hold_up(attempt);
		default:
			return requeue(attempt, "unknown", true);
	}
}

static const char *
settle_plain(const Attempt *attempt, RelayMeter *meter)
{
	switch (attempt->outcome)
	{
		case OUTCOME_DONE:
		case OUTCOME_REFUSED:
		case OUTCOME_EXPIRED:
			return finish(attempt, outcome_name[attempt->outcome]);
		case OUTCOME_UNKNOWN:
			/* Reading twice does no harm. */
			if (strcmp(attempt->action, "read") != 0)
				return requeue(attempt, "unknown", true);
			return retry(attempt, meter);
		default:
			return retry(attempt, meter);
	}
}

/* The command must be one the agent was given. */
static int32
command_meter(const AgentCall *call, int64 command_id, bool *is_relay)
{
	static DbQuery query = {
		"SELECT meter_id, action FROM prepay.command WHERE site_id = $1 AND command_id = $2"
		" AND agent = $3",
		3,
		{ INT4OID, INT8OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), Int64GetDatum(command_id),
					 CStringGetTextDatum(call->code) };

	if (db_run(&query, args) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_PP_CODE_UNKNOWN),
				 errmsg("agent \"%s\" has no command %lld", call->code, (long long) command_id),
				 errhint("It may have been given to another agent meanwhile.")));
	*is_relay = command_is_relay(db_text(0, 2));
	return db_int32(0, 1);
}

static void
load_command(Attempt *attempt)
{
	static DbQuery query = {
		"SELECT action, status, attempts, verify, valid_until FROM prepay.command"
		" WHERE site_id = $1 AND command_id = $2 FOR NO KEY UPDATE",
		2,
		{ INT4OID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(attempt->site->site_id), Int64GetDatum(attempt->command_id) };

	db_run(&query, args);
	attempt->action = db_text(0, 1);
	attempt->status = db_text(0, 2);
	attempt->attempts = db_int32(0, 3);
	attempt->verify = db_bool(0, 4);
	attempt->valid_until = db_time_or(0, 5, DT_NOEND);
}

/*
 * report_command(agent, command_id, attempt, outcome, result) → status the command
 * now has. A report of an attempt that is not the present one changes nothing.
 */
Datum
prepay_report_command(PG_FUNCTION_ARGS)
{
	AgentCall call;
	Attempt attempt = { 0 };
	RelayMeter *meter;
	const char *status;
	char *answer;
	bool is_relay;
	int i;

	for (i = 1; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("command, attempt and outcome must be given")));
	attempt.outcome = parse_outcome(text_to_cstring(PG_GETARG_TEXT_PP(3)));
	attempt.command_id = PG_GETARG_INT64(1);
	if (!PG_ARGISNULL(4))
	{
		attempt.result = PG_GETARG_JSONB_P(4);
		attempt.result_text = JsonbToCString(NULL, &attempt.result->root, -1);
	}
	agent_enter_site(&call, fcinfo);
	attempt.site = call.site;
	attempt.meter_id = command_meter(&call, attempt.command_id, &is_relay);
	if (is_relay)
		relay_lock_owners(call.site, &attempt.meter_id, 1);
	(void) relay_lock(call.site, &attempt.meter_id, 1, &meter);
	load_command(&attempt);
	if (attempt.attempts != PG_GETARG_INT32(2) ||
		(strcmp(attempt.status, "sent") != 0 && strcmp(attempt.status, "unknown") != 0))
		status = attempt.status;
	else if (is_relay)
		status = settle_relay(&attempt, meter);
	else if (recharge_is(attempt.action))
		status = settle_recharge(&attempt);
	else
		status = settle_plain(&attempt, meter);
	answer = MemoryContextStrdup(call.session.outer, status);
	db_leave(&call.session);
	PG_RETURN_TEXT_P(cstring_to_text(answer));
}
