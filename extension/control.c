/*
 * control.c: control(): what a person orders of meters.
 */
#include "control.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "oplog.h"
#include "target.h"

PG_FUNCTION_INFO_V1(prepay_control);

typedef struct ControlAction
{
	const char *name;
	int rights;
	void (*run)(ControlCall *call);
} ControlAction;

static const ControlAction action_table[] = {
	{ "trip", MAY_DISPATCH, control_relay },
	{ "close", MAY_DISPATCH, control_relay },
	{ "keep_on", MAY_DISPATCH, control_relay },
	{ "prepaid", MAY_DISPATCH, control_relay },
	{ "lock", MAY_DISPATCH, control_relay },
	{ "unlock", MAY_SUPERVISE, control_relay },
	{ "read", MAY_DISPATCH, control_plain },
	{ "set_clock", MAY_DISPATCH, control_plain },
	{ "push_tariff", MAY_DISPATCH, control_plain },
	{ "push_limits", MAY_DISPATCH, control_plain },
	/* It gives the meter money that no sale has paid for. */
	{ "recharge", MAY_SUPERVISE, control_plain },
};

void
control_note(ControlCall *call, ControlRow *row, int64 command_id, const char *status,
			 const char *detail)
{
	row->command_id = command_id;
	row->status = status;
	row->detail = detail ? MemoryContextStrdup(call->memory, detail) : NULL;
}

static const ControlAction *
find_action(const char *name)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < lengthof(action_table); i++)
	{
		if (strcmp(action_table[i].name, name) == 0)
			return &action_table[i];
		appendStringInfo(&list, "%s%s", i ? ", " : "", action_table[i].name);
	}
	ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION), errmsg("there is no action \"%s\"", name),
					errhint("Actions: %s.", list.data)));
}

/* Relay orders and reads take no argument; the others are checked against the meter's profile. */
static void
check_args(const ControlAction *action, Jsonb *args)
{
	if (!JB_ROOT_IS_OBJECT(args))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("arguments of \"%s\" are not an object", action->name),
						errhint("Give '{}' or an object such as '{\"amount\": \"100.00\"}'.")));
	if (JB_ROOT_COUNT(args) > 0 &&
		(action->run == control_relay || strcmp(action->name, "read") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_ACTION), errmsg("\"%s\" takes no arguments", action->name),
				 errdetail("Given: %s.", JsonbToCString(NULL, &args->root, -1)),
				 errhint("Leave them out; the reason is an argument of control() itself.")));
}

/* ---- the call as batch_status shows it ---- */

static int
count_rows(const ControlCall *call, const char *status)
{
	int n = 0;
	int i;

	for (i = 0; i < call->n; i++)
		n += call->row[i].meter && call->row[i].command_id == 0 &&
			 strcmp(call->row[i].status, status) == 0;
	return n;
}

/* "meter: why" of each meter the order was not for. */
static Datum
left_out(const ControlCall *call)
{
	Datum *text = palloc(sizeof(Datum) * Max(call->n, 1));
	int n = 0;
	int i;

	for (i = 0; i < call->n; i++)
	{
		const ControlRow *row = &call->row[i];

		if (row->meter && row->command_id == 0 && strcmp(row->status, "set") != 0)
			text[n++] = CStringGetTextDatum(psprintf("%s: %s", row->meter, row->detail));
	}
	return db_array(text, NULL, n, TEXTOID);
}

static Datum
command_ids(const ControlCall *call, bool is_new)
{
	int64 *id = palloc(sizeof(int64) * Max(call->n, 1));
	int n = 0;
	int i;

	for (i = 0; i < call->n; i++)
		if (call->row[i].command_id != 0 && call->row[i].is_new == is_new)
			id[n++] = call->row[i].command_id;
	return db_array_int64(id, n);
}

/* A row for the call; its commands carry the number. */
static void
store_batch(ControlCall *call)
{
	static DbQuery insert = {
		"INSERT INTO prepay.command_batch (site_id, target, action, args, reason, created_at,"
		" operator, meters, skipped, refused, unchanged, left_out, joined) VALUES ($1, $2, $3, $4,"
		" $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING batch_id",
		13,
		{ INT4OID, TEXTOID, TEXTOID, JSONBOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID,
		  INT4OID, INT4OID, TEXTARRAYOID, INT8ARRAYOID }
	};
	static DbQuery update = { "UPDATE prepay.command SET batch_id = $3 WHERE site_id = $1"
							  " AND command_id = ANY ($2)",
							  3,
							  { INT4OID, INT8ARRAYOID, INT8OID } };
	Datum args[] = { Int32GetDatum(call->site->site_id),
					 CStringGetTextDatum(call->target),
					 CStringGetTextDatum(call->action),
					 JsonbPGetDatum(call->args),
					 db_text_datum(call->given_reason),
					 TimestampTzGetDatum(call->site->now),
					 CStringGetTextDatum(call->operator_name),
					 Int32GetDatum(call->n),
					 Int32GetDatum(count_rows(call, "skipped")),
					 Int32GetDatum(count_rows(call, "refused")),
					 Int32GetDatum(count_rows(call, "set")),
					 left_out(call),
					 command_ids(call, false) };

	db_run_nulls(&insert, args, call->given_reason ? NULL : "    n        ");
	call->batch_id = db_int64(0, 1);
	args[1] = command_ids(call, true);
	args[2] = Int64GetDatum(call->batch_id);
	call->n_new = (int) db_run(&update, args);
}

/* ---- rows ---- */

static int
by_meter(const void *a, const void *b)
{
	const ControlRow *x = (const ControlRow *) a;
	const ControlRow *y = (const ControlRow *) b;

	if (x->meter == NULL || y->meter == NULL)
		return (x->meter == NULL) - (y->meter == NULL);
	return strcmp(x->meter, y->meter);
}

static char **
account_codes(ControlCall *call)
{
	static DbQuery query = {
		"SELECT a.code FROM unnest($2) WITH ORDINALITY AS u (account_id, n)"
		" LEFT JOIN prepay.account a ON a.site_id = $1 AND a.account_id = u.account_id"
		" ORDER BY u.n",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	int32 *id = palloc(sizeof(int32) * Max(call->n, 1));
	char **code = palloc0(sizeof(char *) * Max(call->n, 1));
	Datum args[2];
	int i;

	for (i = 0; i < call->n; i++)
		id[i] = call->row[i].account_id;
	args[0] = Int32GetDatum(call->site->site_id);
	args[1] = db_array_int32(id, call->n);
	db_run(&query, args);
	for (i = 0; i < call->n; i++)
		code[i] = db_text(i, 1);
	return code;
}

static void
give_rows(ReturnSetInfo *result, ControlCall *call)
{
	char **account;
	int i;

	if (call->n == 0)
		return;
	qsort(call->row, call->n, sizeof(ControlRow), by_meter);
	account = account_codes(call);
	for (i = 0; i < call->n; i++)
	{
		const ControlRow *row = &call->row[i];
		Datum value[] = { CStringGetTextDatum(call->site->code),
						  db_text_datum(row->meter),
						  db_text_datum(account[i]),
						  CStringGetTextDatum(call->action),
						  Int64GetDatum(row->command_id),
						  db_text_datum(row->status),
						  db_text_datum(row->detail),
						  Int64GetDatum(call->batch_id) };
		bool isnull[] = { false,
						  row->meter == NULL,
						  account[i] == NULL,
						  false,
						  row->command_id == 0,
						  row->status == NULL,
						  row->detail == NULL,
						  false };

		if (row->meter)
			tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
	}
}

/* The order as given; its commands are found by batch_id. */
static void
log_order(const ControlCall *call)
{
	const char *args =
		JB_ROOT_COUNT(call->args) ? JsonbToCString(NULL, &call->args->root, -1) : NULL;

	oplog_note(call->site->site_id, psprintf("control %s", call->action), call->target, NULL,
			   oplog_members("reason", call->given_reason, "args", args, "meters",
							 psprintf("%d", call->n), "commands", psprintf("%d", call->n_new),
							 "batch_id", psprintf(INT64_FORMAT, call->batch_id), NULL));
}

static char *
reason_given(FunctionCallInfo fcinfo)
{
	char *reason;

	if (PG_ARGISNULL(3))
		return NULL;
	reason = text_to_cstring(PG_GETARG_TEXT_PP(3));
	return *reason ? reason : NULL;
}

/*
 * control(target, action, args DEFAULT '{}', reason DEFAULT NULL) → one row a meter.
 * Locks the target's accounts, then their meters. Raises PP061 for an unknown action
 * or argument, PP060 when a single meter's supply decision forbids it.
 */
Datum
prepay_control(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	const ControlAction *action;
	ControlCall call = { 0 };
	DbSession session;
	CodeTarget target;
	int32 *meter_id;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("target and action must be given")));
	action = find_action(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	call.args = PG_ARGISNULL(2)
					? DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum("{}")))
					: PG_GETARG_JSONB_P(2);
	check_args(action, call.args);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), TARGET_KINDS, &target);
	auth_require(session.caller, action->rights, target.site_id,
				 psprintf("order \"%s\"", action->name));
	lock_site_shared(target.site_id);
	call.site = site_get(target.site_id);
	call.target = psprintf("%s:%s", code_kind_name(target.kind), target.code);
	call.action = action->name;
	call.given_reason = reason_given(fcinfo);
	call.reason = call.given_reason ? call.given_reason : psprintf("%s ordered", action->name);
	call.operator_name = auth_operator();
	call.single = target.kind == KIND_METER;
	call.n = target_meters(call.site, &target, &meter_id);
	call.meter_id = meter_id;
	call.row = palloc0(sizeof(ControlRow) * Max(call.n, 1));
	call.memory = CurrentMemoryContext;
	if (call.n > 0)
		action->run(&call);
	store_batch(&call);
	give_rows(result, &call);
	log_order(&call);
	db_leave(&session);
	return (Datum) 0;
}
