/*
 * agent.c: agents: registration, plan, signs of life.
 *
 * Take-over: while an agent is lost its gateways belong to their standbys, in everything
 * an agent may do (AGENT_SERVES). Neither side decides that by itself: the state in the
 * agent table does, so both are never in charge together. A command stays with the agent
 * that has its lease, who alone may report it; what is live is not handed out to another
 * before the lease has run out, and an agent writes nothing under a lease that has.
 */
#include "agent.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/uuid.h"

#include "alarm.h"
#include "auth.h"
#include "clock.h"
#include "code.h"
#include "command.h"
#include "decide.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "login.h"
#include "oplog.h"

PG_FUNCTION_INFO_V1(prepay_create_agent);
PG_FUNCTION_INFO_V1(prepay_agent_hello);
PG_FUNCTION_INFO_V1(prepay_agent_plan);
PG_FUNCTION_INFO_V1(prepay_agent_beat);
PG_FUNCTION_INFO_V1(prepay_config_changed);

/* Six beats: a standby hears within one that the agent it stands in for is back. */
#define HAND_OVER_US (INT64CONST(60) * USECS_PER_SEC)

void
agent_enter(AgentCall *call, FunctionCallInfo fcinfo)
{
	CodeTarget target;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the agent is missing")));
	db_enter(&call->session);
	code_resolve(call->session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_AGENT, &target);
	auth_require_agent(call->session.caller, target.site_id, target.code);
	call->site = site_get(target.site_id);
	call->code = target.code;
}

void
agent_enter_site(AgentCall *call, FunctionCallInfo fcinfo)
{
	agent_enter(call, fcinfo);
	lock_site_shared(call->site->site_id);
	/* What was configured while we waited counts. */
	call->site = site_get(call->site->site_id);
}

int
agent_own_meters(const AgentCall *call, const int32 *meter_id, int n, int32 **own)
{
	static DbQuery query = {
		"SELECT m.meter_id FROM prepay.meter m JOIN prepay.gateway g ON g.site_id = m.site_id"
		" AND g.gateway_id = m.gateway_id WHERE m.site_id = $1 AND m.meter_id = ANY ($2)"
		" AND " AGENT_SERVES("$3") " ORDER BY m.meter_id",
		3,
		{ INT4OID, INT4ARRAYOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), db_array_int32(meter_id, n),
					 CStringGetTextDatum(call->code) };
	int found = db_run(&query, args);
	int i;

	*own = palloc(sizeof(int32) * Max(found, 1));
	for (i = 0; i < found; i++)
		(*own)[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return found;
}

/* A role that is to act for an agent must exist and be a member of prepay_agent. */
static void
check_role(const char *role)
{
	Oid role_id = get_role_oid(role, true);

	if (!OidIsValid(role_id))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no role \"%s\"", role),
						errhint("CREATE ROLE … LOGIN IN ROLE prepay_agent;")));
	if (!is_member_of_role_nosuper(role_id, get_role_oid("prepay_agent", false)))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("role \"%s\" is not a member of prepay_agent", role),
						errhint("GRANT prepay_agent TO …;")));
}

static void
bind_role(int32 site_id, const char *agent, const char *role)
{
	static DbQuery bind = {
		"UPDATE prepay.agent SET role_name = $3 WHERE site_id = $1 AND code = $2",
		3,
		{ INT4OID, TEXTOID, NAMEOID }
	};
	static DbQuery grant = { "INSERT INTO prepay.operator_site (site_id, operator) VALUES ($1, $3)"
							 " ON CONFLICT DO NOTHING",
							 3,
							 { INT4OID, TEXTOID, NAMEOID } };
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(agent),
					 DirectFunctionCall1(namein, CStringGetDatum(role)) };

	check_role(role);
	db_run(&bind, args);
	db_run(&grant, args);
}

/* Where the agent takes messages of payment channels; "": nowhere. */
static void
set_payment_listen(int32 site_id, const char *agent, const char *address)
{
	static DbQuery query = {
		"UPDATE prepay.agent SET payment_listen = NULLIF($3, '') WHERE site_id = $1 AND code = $2"
		" AND $3 ~ '^((127\\.\\d{1,3}\\.\\d{1,3}\\.\\d{1,3}|\\[::1\\]):\\d{1,5})?$'",
		3,
		{ INT4OID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(agent),
					 CStringGetTextDatum(address) };

	if (db_run(&query, args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("payment_listen \"%s\" is no loopback address with a port", address),
				 errhint("Give 127.0.0.1:PORT, with a proxy that does TLS in front of it.")));
}

/*
 * create_agent(name, options DEFAULT '{}') → site/code: registers an agent, or
 * changes the role or payment_listen of one that is registered.
 */
Datum
prepay_create_agent(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "role", "payment_listen", NULL };
	static DbQuery insert = { "INSERT INTO prepay.agent (site_id, code) VALUES ($1, $2)"
							  " ON CONFLICT DO NOTHING",
							  2,
							  { INT4OID, TEXTOID } };
	DbSession session;
	char *role = NULL;
	char *payment_listen = NULL;
	char *code;
	char *full;
	int32 site_id;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the name of the agent is missing")));
	if (!PG_ARGISNULL(1))
	{
		options_check(PG_GETARG_JSONB_P(1), known);
		role = option_text(PG_GETARG_JSONB_P(1), "role");
		payment_listen = option_text(PG_GETARG_JSONB_P(1), "payment_listen");
	}
	db_enter(&session);
	code_for_new(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), &site_id, &code);
	auth_require(session.caller, MAY_CONFIGURE, site_id, "register an agent");
	lock_site_exclusive(site_id);
	{
		Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(code) };

		db_run(&insert, args);
	}
	if (role)
		bind_role(site_id, code, role);
	if (payment_listen)
		set_payment_listen(site_id, code, payment_listen);
	site_touch(site_id);
	oplog_note(site_id, "create_agent", psprintf("agent:%s", code), NULL,
			   oplog_members("role", role, NULL));
	full = MemoryContextStrdup(session.outer, psprintf("%s/%s", site_get(site_id)->code, code));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(full));
}

/* The common answer: revision, site, business clock; last_seq where a spool is given. */
static Datum
greeting(const AgentCall *call, Datum last_seq, bool has_seq)
{
	static DbQuery query = {
		"SELECT jsonb_build_object('revision', $1::bigint, 'site', $2::text, 'site_id', $3::int,"
		" 'now', $4::timestamptz, 'clock', CASE WHEN $5 THEN jsonb_build_object('at',"
		" $6::timestamptz, 'real', $7::timestamptz, 'rate', trim_scale($8::numeric / 1000000)) END)"
		" || CASE WHEN $9 THEN jsonb_build_object('last_seq', $10::bigint) ELSE '{}' END",
		10,
		{ INT8OID, TEXTOID, INT4OID, TIMESTAMPTZOID, BOOLOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		  INT8OID, BOOLOID, INT8OID }
	};
	const Clock *clock = clock_setting();
	TimestampTz real = GetCurrentTimestamp();
	bool frozen = clock->rate_e6 == 0;
	bool isnull;
	Datum args[] = { Int64GetDatum(call->site->revision),
					 CStringGetTextDatum(call->site->code),
					 Int32GetDatum(call->site->site_id),
					 TimestampTzGetDatum(clock_from_real(real)),
					 BoolGetDatum(clock->is_set),
					 TimestampTzGetDatum(clock->at),
					 TimestampTzGetDatum(frozen ? real : clock->real),
					 Int64GetDatum(clock->rate_e6),
					 BoolGetDatum(has_seq),
					 last_seq };
	MemoryContext inner;
	Datum answer;

	db_run(&query, args);
	answer = db_value(0, 1, &isnull);
	inner = MemoryContextSwitchTo(call->session.outer);
	answer = PointerGetDatum(PG_DETOAST_DATUM_COPY(answer));
	MemoryContextSwitchTo(inner);
	return answer;
}

/* agent_hello(agent, spool) → jsonb */
Datum
prepay_agent_hello(PG_FUNCTION_ARGS)
{
	static DbQuery query = { "SELECT last_seq FROM prepay.agent_spool WHERE site_id = $1"
							 " AND agent = $2 AND spool = $3",
							 3,
							 { INT4OID, TEXTOID, UUIDOID } };
	AgentCall call;
	Datum answer;
	Datum args[3];
	int64 last_seq;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the spool is missing")));
	agent_enter(&call, fcinfo);
	login_record();
	args[0] = Int32GetDatum(call.site->site_id);
	args[1] = CStringGetTextDatum(call.code);
	args[2] = PG_GETARG_DATUM(1);
	last_seq = db_run(&query, args) == 1 ? db_int64(0, 1) : 0;
	answer = greeting(&call, Int64GetDatum(last_seq), true);
	db_leave(&call.session);
	return answer;
}

/* agent_plan(agent) → jsonb. Meters without unit or model cannot be read and are left out. */
Datum
prepay_agent_plan(PG_FUNCTION_ARGS)
{
	static DbQuery query = {
		"WITH g AS (SELECT gateway_id, code, transport, address, options,"
		" EXTRACT(epoch FROM COALESCE(poll_interval, $4::bigint * interval '1 microsecond'))"
		" AS poll_s FROM prepay.gateway g WHERE site_id = $1 AND " AGENT_SERVES(
			"$2") "),"
				  " m AS (SELECT m.meter_id, m.code, m.gateway_id, m.unit_id, m.address, m.model, m.prepay_mode"
				  " FROM g JOIN prepay.meter m ON m.site_id = $1 AND m.gateway_id = g.gateway_id"
				  " WHERE " METER_IS_ADDRESSED " AND m.model IS NOT NULL)"
				  " SELECT jsonb_build_object('revision', $3::bigint, 'trips_per_minute',"
				  " NULLIF($5::bigint / 1000000, 0), 'timezone', (SELECT timezone FROM"
				  " prepay.site WHERE site_id = $1), 'payment_listen', (SELECT payment_listen FROM"
				  " prepay.agent WHERE site_id = $1 AND code = $2), 'gateways', COALESCE((SELECT"
				  " jsonb_agg(jsonb_build_object('gateway_id', gateway_id, 'code', code, 'transport',"
				  " transport, 'address', address, 'poll_interval_s', trim_scale(poll_s), 'options',"
				  " options) ORDER BY gateway_id) FROM g), '[]'), 'meters', COALESCE((SELECT"
				  " jsonb_agg(jsonb_build_object('meter_id', meter_id, 'code', code,"
				  " 'gateway_id', gateway_id,"
				  " 'unit_id', unit_id, 'address', address, 'model', model, 'prepay_mode', prepay_mode) ORDER BY meter_id)"
				  " FROM m), '[]'), 'models', COALESCE((SELECT jsonb_object_agg(mm.code, mm.profile)"
				  " FROM prepay.meter_model mm WHERE mm.code IN (SELECT model FROM m)), '{}'))",
		5,
		{ INT4OID, TEXTOID, INT8OID, INT8OID, INT8OID }
	};
	AgentCall call;
	Datum answer;
	bool isnull;

	agent_enter(&call, fcinfo);
	{
		Datum args[] = { Int32GetDatum(call.site->site_id), CStringGetTextDatum(call.code),
						 Int64GetDatum(call.site->revision),
						 Int64GetDatum(setting_interval_us(call.site, "poll_interval",
														   INT64CONST(1800) * USECS_PER_SEC)),
						 Int64GetDatum(setting_micro(call.site, "agent_trips_per_minute", 0)) };
		MemoryContext inner;

		db_run(&query, args);
		answer = db_value(0, 1, &isnull);
		inner = MemoryContextSwitchTo(call.session.outer);
		answer = PointerGetDatum(PG_DETOAST_DATUM_COPY(answer));
		MemoryContextSwitchTo(inner);
	}
	db_leave(&call.session);
	return answer;
}

/* Plans are fetched anew where gateways change hands. */
static void
hands_changed(const Site *site, const char *code)
{
	static DbQuery query = { "SELECT 1 FROM prepay.gateway WHERE site_id = $1 AND agent = $2"
							 " AND standby_agent IS NOT NULL LIMIT 1",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(code) };

	if (db_run(&query, args) > 0)
		site_touch(site->site_id);
}

void
agent_lost(const Site *site, const char *code)
{
	static DbQuery query = { "INSERT INTO prepay.agent_absence (site_id, agent, lost_at)"
							 " VALUES ($1, $2, $3) ON CONFLICT (site_id, agent, lost_at)"
							 " DO UPDATE SET until = NULL",
							 3,
							 { INT4OID, TEXTOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(code),
					 TimestampTzGetDatum(site->now) };

	db_run(&query, args);
	hands_changed(site, code);
}

/* A standby learns of the return at its next beat, so what it reads until then counts, too. */
static void
agent_returned(const AgentCall *call)
{
	static DbQuery lost = { "SELECT 1 FROM prepay.agent WHERE site_id = $1 AND code = $2"
							" AND state = 'lost'",
							2,
							{ INT4OID, TEXTOID } };
	static DbQuery end = { "UPDATE prepay.agent_absence SET until = $3 WHERE site_id = $1"
						   " AND agent = $2 AND until IS NULL",
						   3,
						   { INT4OID, TEXTOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->code),
					 TimestampTzGetDatum(clock_from_real(GetCurrentTimestamp() + HAND_OVER_US)) };

	if (db_run(&lost, args) == 0)
		return;
	db_run(&end, args);
	hands_changed(call->site, call->code);
}

/* agent_beat(agent, status) → jsonb: the agent lives; times are real. */
Datum
prepay_agent_beat(PG_FUNCTION_ARGS)
{
	static DbQuery query = {
		"UPDATE prepay.agent SET last_beat_at = $3, status = COALESCE($4, '{}'::jsonb),"
		" state_since = CASE WHEN state = 'ok' THEN state_since ELSE $3 END, state = 'ok'"
		" WHERE site_id = $1 AND code = $2",
		4,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID, JSONBOID }
	};
	AgentCall call;
	AlarmSubject subject = { 0 };
	Datum answer;

	agent_enter(&call, fcinfo);
	subject.agent = call.code;
	agent_returned(&call);
	{
		Datum args[] = { Int32GetDatum(call.site->site_id), CStringGetTextDatum(call.code),
						 TimestampTzGetDatum(GetCurrentTimestamp()),
						 PG_ARGISNULL(1) ? (Datum) 0 : PG_GETARG_DATUM(1) };

		db_run_nulls(&query, args, PG_ARGISNULL(1) ? "   n" : NULL);
	}
	(void) alarm_clear(call.site, &subject, "lost");
	answer = greeting(&call, (Datum) 0, false);
	db_leave(&call.session);
	return answer;
}

/*
 * Accounts and vacant meters of meters that were changed are decided anew. The
 * account rows are few: configuration is changed by hand.
 */
static void
decide_later(int32 site_id, const int32 *meter_id, int n)
{
	static DbQuery accounts = {
		"UPDATE prepay.account_state s SET quiet_above = NULL, quiet_below = NULL"
		" FROM (SELECT l.account_id FROM prepay.account_state l WHERE l.site_id = $1"
		" AND l.account_id IN (SELECT t.account_id FROM prepay.account_meter t WHERE t.site_id = $1"
		" AND t.meter_id = ANY ($2) AND t.valid_to = 'infinity')"
		" ORDER BY l.account_id FOR NO KEY UPDATE) AS d"
		" WHERE s.site_id = $1 AND s.account_id = d.account_id",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	static DbQuery meters = {
		"UPDATE prepay.meter_control c SET decide_at = '-infinity' WHERE c.site_id = $1"
		" AND c.meter_id IN (SELECT l.meter_id FROM prepay.meter_control l WHERE l.site_id = $1"
		" AND l.meter_id = ANY ($2) ORDER BY l.meter_id FOR NO KEY UPDATE SKIP LOCKED)",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site_id), db_array_int32(meter_id, n) };

	db_run(&accounts, args);
	db_run(&meters, args);
}

/* The rows of one site, starting at *row; rows are sorted by site. */
static void
site_changed(const int32 *site, const int32 *meter, int n, bool meters, bool rules)
{
	int begin;
	int end;

	for (begin = 0; begin < n; begin = end)
	{
		for (end = begin; end < n && site[end] == site[begin]; end++)
			;
		site_touch(site[begin]);
		if (meters)
			decide_later(site[begin], meter + begin, end - begin);
		else if (rules)
			decide_all_later(site[begin]);
	}
}

/* site_id and meter_id (0 for a gateway) of the rows of a transition table. */
static int
changed_rows(const TriggerData *trigger, bool has_meter, int32 **site_id, int32 **meter_id)
{
	Tuplestorestate *changed = trigger->tg_newtable ? trigger->tg_newtable : trigger->tg_oldtable;
	TupleDesc type = RelationGetDescr(trigger->tg_relation);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(type, &TTSOpsMinimalTuple);
	int site_column = SPI_fnumber(type, "site_id");
	int meter_column = has_meter ? SPI_fnumber(type, "meter_id") : 0;
	int room = (int) tuplestore_tuple_count(changed);
	int n = 0;
	bool isnull;

	*site_id = palloc(sizeof(int32) * Max(room, 1));
	*meter_id = palloc0(sizeof(int32) * Max(room, 1));
	/* Another trigger may have read it before us. */
	tuplestore_rescan(changed);
	while (n < room && tuplestore_gettupleslot(changed, true, false, slot))
	{
		(*site_id)[n] = DatumGetInt32(slot_getattr(slot, site_column, &isnull));
		if (has_meter)
			(*meter_id)[n] = DatumGetInt32(slot_getattr(slot, meter_column, &isnull));
		n++;
	}
	ExecDropSingleTupleTableSlot(slot);
	return n;
}

/*
 * config_changed: AFTER statement trigger of gateway, meter and the rules of supply,
 * with a transition table named changed. Inserts of gateways and meters are touched by
 * number_row.
 */
Datum
prepay_config_changed(PG_FUNCTION_ARGS)
{
	static DbQuery sorted = { "SELECT DISTINCT s, m FROM unnest($1, $2) AS u (s, m) ORDER BY s, m",
							  2,
							  { INT4ARRAYOID, INT4ARRAYOID } };
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	DbSession session;
	Oid table;
	bool has_meter;
	bool rules;
	int32 *site_id;
	int32 *meter_id;
	int n;
	int i;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		!TRIGGER_FIRED_AFTER(trigger->tg_event) ||
		(trigger->tg_newtable == NULL && trigger->tg_oldtable == NULL))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("config_changed is a statement trigger with a transition table")));
	table = RelationGetRelid(trigger->tg_relation);
	rules = db_is_table(table, "supply_policy") || db_is_table(table, "switch_schedule");
	if (!rules && !db_is_table(table, "meter") && !db_is_table(table, "gateway"))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("config_changed does not serve this table")));
	has_meter = !rules && SPI_fnumber(RelationGetDescr(trigger->tg_relation), "meter_id") > 0;
	n = changed_rows(trigger, has_meter, &site_id, &meter_id);
	if (n == 0)
		return PointerGetDatum(NULL);
	db_enter(&session);
	{
		Datum args[] = { db_array_int32(site_id, n), db_array_int32(meter_id, n) };

		n = db_run(&sorted, args);
	}
	for (i = 0; i < n; i++)
	{
		site_id[i] = db_int32(i, 1);
		meter_id[i] = db_int32(i, 2);
	}
	site_changed(site_id, meter_id, n, has_meter, rules);
	db_leave(&session);
	return PointerGetDatum(NULL);
}
