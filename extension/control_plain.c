/*
 * control_plain.c: commands that do not move the relay: read set_clock push_tariff
 * push_limits recharge.
 */
#include "control.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "command.h"
#include "db.h"
#include "jsonb_doc.h"
#include "purse.h"
#include "push.h"
#include "state.h"

typedef struct PlainMeter
{
	int32 meter_id;
	char *code;
	int32 account_id;
	bool reachable;
	bool own_money;
	char *model;	  /* NULL: none */
	bool able;		  /* the profile has the command */
	Jsonb *profile;	  /* NULL: none */
	Datum known_args; /* text[]: arguments the profile's command takes */
	int64 queued_id;  /* one of this kind waits already; 0: none */
} PlainMeter;

static void
load_meter(const ControlCall *call, int32 meter_id, PlainMeter *meter)
{
	static DbQuery query = {
		"SELECT m.code, t.account_id, m.gateway_id IS NOT NULL AND " METER_IS_ADDRESSED ","
		" m.prepay_mode = 'meter', m.model, COALESCE(mm.profile -> 'commands' ? $3, false),"
		" ARRAY(SELECT jsonb_object_keys(mm.profile -> 'commands' -> $3 -> 'args')),"
		" (SELECT k.command_id FROM prepay.command k WHERE k.site_id = m.site_id"
		" AND k.meter_id = m.meter_id AND k.status = 'queued' AND k.action = $3"
		" ORDER BY k.command_id LIMIT 1), mm.profile"
		" FROM prepay.meter m LEFT JOIN prepay.meter_model mm ON mm.code = m.model"
		" LEFT JOIN prepay.account_meter t ON t.site_id = m.site_id AND t.meter_id = m.meter_id"
		" AND t.valid_from <= $4 AND t.valid_to > $4"
		" WHERE m.site_id = $1 AND m.meter_id = $2",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(meter_id),
					 CStringGetTextDatum(call->action), TimestampTzGetDatum(call->site->now) };
	Datum profile;
	bool isnull;

	if (db_run(&query, args) == 0)
		elog(ERROR, "meter %d has gone", meter_id);
	meter->meter_id = meter_id;
	meter->code = db_text(0, 1);
	meter->account_id = db_int32_or(0, 2, 0);
	meter->reachable = db_bool(0, 3);
	meter->own_money = db_bool(0, 4);
	meter->model = db_text(0, 5);
	meter->able = db_bool(0, 6);
	meter->known_args = db_value(0, 7, &isnull);
	meter->queued_id = db_int64_or(0, 8, 0);
	profile = db_value(0, 9, &isnull);
	meter->profile = isnull ? NULL : DatumGetJsonbPCopy(profile);
}

static bool
is_read(const ControlCall *call)
{
	return strcmp(call->action, "read") == 0;
}

static bool
is_recharge(const ControlCall *call)
{
	return strcmp(call->action, "recharge") == 0;
}

/* An argument the meter's command does not take; NULL: all are known. */
static char *
unknown_arg(const ControlCall *call, const PlainMeter *meter)
{
	static DbQuery query = {
		"SELECT k FROM jsonb_object_keys($1) AS k WHERE k <> ALL ($2) ORDER BY k LIMIT 1",
		2,
		{ JSONBOID, TEXTARRAYOID }
	};
	Datum args[] = { JsonbPGetDatum(call->args), meter->known_args };

	return db_run(&query, args) > 0 ? db_text(0, 1) : NULL;
}

static char *
join_text(Datum array)
{
	static DbQuery query = { "SELECT array_to_string($1, ', ')", 1, { TEXTARRAYOID } };

	db_run(&query, &array);
	return db_text(0, 1);
}

/* Why the meter cannot take the command; NULL: it can. */
static const char *
obstacle(const ControlCall *call, const PlainMeter *meter)
{
	char *key;

	if (is_recharge(call) && !meter->own_money)
		return "its balance is kept in the database: use prepay.sell()";
	if (is_recharge(call) && meter->account_id == 0)
		return "it belongs to no account";
	if (!meter->reachable)
		return "it has no gateway and unit";
	if (is_read(call))
		return NULL;
	if (meter->model == NULL)
		return "it has no model: set prepay.meter.model";
	if (!meter->able)
		return psprintf("model %s has no command \"%s\"", meter->model, call->action);
	key = is_recharge(call) ? NULL : unknown_arg(call, meter);
	if (key && call->single)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("\"%s\" of model %s takes no argument \"%s\"", call->action,
							   meter->model, key),
						errhint("It takes: %s.", join_text(meter->known_args))));
	if (key)
		return psprintf("model %s takes no argument \"%s\"", meter->model, key);
	return NULL;
}

/* {"amount": …} with the currency's decimals, in minor units; the purchase count is fixed when it
 * is sent. */
static int64
recharge_amount(const ControlCall *call)
{
	char *amount = option_text(call->args, "amount");
	int64 minor;

	if (amount == NULL || JB_ROOT_COUNT(call->args) != 1 ||
		decimal_parse(amount, call->site->decimals, &minor) != DECIMAL_OK || minor <= 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("a recharge takes one argument, a positive amount"),
						errhint("Give '{\"amount\": \"100.00\"}'.")));
	return minor;
}

static bool
is_push(const ControlCall *call)
{
	return strcmp(call->action, "push_tariff") == 0 || strcmp(call->action, "push_limits") == 0;
}

/* What is in force, unless the caller says what to send. NULL: refused, and so noted. */
static const char *
args_to_send(ControlCall *call, ControlRow *row, const PlainMeter *meter)
{
	char *fault;
	char *args;

	if (!is_push(call) || JB_ROOT_COUNT(call->args) > 0)
		return JsonbToCString(NULL, &call->args->root, -1);
	args = push_args(call->site, call->action, meter->meter_id, meter->account_id, meter->profile,
					 NULL, &fault);
	if (args == NULL && call->single)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("\"%s\" cannot go to meter \"%s\"", call->action, meter->code),
						errdetail("%s (model %s).", fault, meter->model),
						errhint("Nothing was sent: change what is in force, or the meter.")));
	if (args == NULL)
		control_note(call, row, 0, "refused", fault);
	return args;
}

static void
queue_plain(ControlCall *call, ControlRow *row, const PlainMeter *meter)
{
	Command command = { .meter_id = meter->meter_id,
						.account_id = meter->account_id,
						.action = call->action,
						.reason = call->reason,
						.operator_name = call->operator_name };
	int64 command_id;

	command.args = args_to_send(call, row, meter);
	if (command.args == NULL)
		return;
	if (is_read(call))
		command_id = command_queue(call->site, &command);
	else
		/* A newer setting replaces an older one. */
		command_id = push_queue(call->site, call->action, meter->meter_id, meter->account_id,
								command.args, call->reason, call->operator_name);
	control_note(call, row, command_id, "queued", call->reason);
	row->is_new = true;
}

/* Money that no sale has paid for, or that is kept here. */
static void
queue_recharge(ControlCall *call, ControlRow *row, int32 meter_id, int64 minor)
{
	int64 command_id = purse_order(call->site, meter_id, minor, call->reason);

	if (command_id == 0)
	{
		control_note(call, row, 0, "refused", "it keeps no account's money");
		return;
	}
	control_note(call, row, command_id, "queued", call->reason);
	row->is_new = true;
}

void
control_plain(ControlCall *call)
{
	int64 minor = is_recharge(call) ? recharge_amount(call) : 0;
	int i;

	relay_make_rows(call->site, call->meter_id, call->n);
	for (i = 0; i < call->n; i++)
	{
		ControlRow *row = &call->row[i];
		PlainMeter meter;
		const char *why;

		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		load_meter(call, call->meter_id[i], &meter);
		row->meter = MemoryContextStrdup(call->memory, meter.code);
		row->account_id = meter.account_id;
		why = obstacle(call, &meter);
		if (why)
			control_note(call, row, 0, "refused", why);
		else if (is_read(call) && meter.queued_id != 0)
			control_note(call, row, meter.queued_id, "queued", "queued already");
		else if (is_recharge(call))
			queue_recharge(call, row, meter.meter_id, minor);
		else
			queue_plain(call, row, &meter);
		SPI_finish();
		CHECK_FOR_INTERRUPTS();
	}
}
