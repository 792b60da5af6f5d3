/*
 * contact.c: contact with agents, gateways and meters.
 *
 * Three sources: an agent beats every 10 s of real time; it reports gateways and
 * meters it has lost or found; and tick() notices meters of which no reading has
 * come for long although agent and gateway are well. A lost gateway or agent
 * speaks for its meters: their own alarms are not raised while it is lost, and
 * the active ones are cleared.
 *
 * meter_state rows are written with the meter's owner locked (relay_lock_owners).
 */
#include "contact.h"

#include "catalog/pg_type.h"
#include "commands/async.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "agent.h"
#include "alarm.h"
#include "lock.h"
#include "meter_clock.h"
#include "relay.h"

PG_FUNCTION_INFO_V1(prepay_report_contact);

#define AGENT_SILENT_US (INT64CONST(60) * USECS_PER_SEC)	  /* real: six beats missed */
#define METER_SILENT_US (INT64CONST(10) * 60 * USECS_PER_SEC) /* business; or three polls */
#define CHECK_EVERY_US (INT64CONST(5) * 60 * USECS_PER_SEC)	  /* business: it reads all meters */
#define CHECK_AT_MOST_US (INT64CONST(2) * USECS_PER_SEC)	  /* real: under a fast clock */
#define CHECK_ROWS 2000

typedef struct ContactReport
{
	int32 id;
	bool lost;
	TimestampTz since;
} ContactReport;

static void
set_gateway(const Site *site, const ContactReport *report)
{
	static DbQuery query = {
		"INSERT INTO prepay.gateway_state AS s (site_id, gateway_id, contact, contact_since)"
		" VALUES ($1, $2, $3, $4) ON CONFLICT (site_id, gateway_id) DO UPDATE SET"
		" contact_since = CASE WHEN s.contact = EXCLUDED.contact THEN s.contact_since"
		" ELSE EXCLUDED.contact_since END, contact = EXCLUDED.contact",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	static DbQuery silence = {
		"UPDATE prepay.alarm SET cleared_at = $3 WHERE site_id = $1 AND kind = 'lost'"
		" AND cleared_at IS NULL AND meter_id IN (SELECT meter_id FROM prepay.meter"
		" WHERE site_id = $1 AND gateway_id = $2)",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	AlarmSubject subject = { .gateway_id = report->id };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(report->id),
					 CStringGetTextDatum(report->lost ? "lost" : "ok"),
					 TimestampTzGetDatum(report->since) };

	db_run(&query, args);
	if (!report->lost)
	{
		(void) alarm_clear(site, &subject, "lost");
		return;
	}
	(void) alarm_raise(site, &subject, "lost", ALARM_WARNING, "The gateway does not answer.");
	args[2] = TimestampTzGetDatum(site->now);
	db_run(&silence, args);
}

static bool
meter_is_silenced(const Site *site, int32 meter_id)
{
	static DbQuery query = {
		"SELECT 1 FROM prepay.meter m JOIN prepay.gateway g ON g.site_id = m.site_id"
		" AND g.gateway_id = m.gateway_id LEFT JOIN prepay.gateway_state s"
		" ON s.site_id = g.site_id AND s.gateway_id = g.gateway_id LEFT JOIN prepay.agent a"
		" ON a.site_id = g.site_id AND a.code = g.agent LEFT JOIN prepay.agent b"
		" ON b.site_id = g.site_id AND b.code = g.standby_agent"
		" WHERE m.site_id = $1 AND m.meter_id = $2"
		" AND (s.contact = 'lost' OR (a.state = 'lost' AND b.state IS DISTINCT FROM 'ok'))",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	return db_run(&query, args) > 0;
}

static void
set_meter(const Site *site, const ContactReport *report, const char *why)
{
	static DbQuery query = {
		"UPDATE prepay.meter_state SET contact = $3, contact_since = $4 WHERE site_id = $1"
		" AND meter_id = $2 AND contact <> $3",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(report->id),
					 CStringGetTextDatum(report->lost ? "lost" : "ok"),
					 TimestampTzGetDatum(report->since) };

	db_run(&query, args);
	if (!report->lost)
		(void) alarm_clear_meter(site, report->id, "lost");
	else if (!meter_is_silenced(site, report->id))
		(void) alarm_raise_meter(site, report->id, "lost", ALARM_WARNING, why);
}

/* Commands that wait for their next attempt go at once: the meter answers again. */
static void
wake(const Site *site, const int32 *meter_id, int n)
{
	static DbQuery commands = {
		"UPDATE prepay.command SET not_before = NULL WHERE site_id = $1 AND meter_id = ANY ($2)"
		" AND status IN ('queued', 'unknown') AND not_before IS NOT NULL",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	static DbQuery decisions = {
		"UPDATE prepay.meter_control SET decide_at = '-infinity' WHERE site_id = $1"
		" AND meter_id = ANY ($2) AND decide_at IS NOT NULL",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	RelayMeter *meter;
	int32 *held;
	int i;

	n = relay_lock_free(site, meter_id, n, &meter);
	if (n == 0)
		return;
	held = palloc(sizeof(int32) * n);
	for (i = 0; i < n; i++)
		held[i] = meter[i].meter_id;
	{
		Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(held, n) };

		if (db_run(&commands, args) > 0)
			Async_Notify("prepay_command", "");
		db_run(&decisions, args);
	}
}

/* ---- what an agent reports ---- */

static int
array_items(FunctionCallInfo fcinfo, int arg, Oid type, Datum **item)
{
	ArrayType *array;
	bool *isnull;
	int16 length;
	bool by_value;
	char align;
	int n;

	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("an array of the report is missing")));
	array = PG_GETARG_ARRAYTYPE_P(arg);
	get_typlenbyvalalign(type, &length, &by_value, &align);
	deconstruct_array(array, type, length, by_value, align, item, &isnull, &n);
	if (array_contains_nulls(array))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("an array of the report contains a null")));
	return n;
}

static bool
one_of(const char *text, const char *yes, const char *no)
{
	if (strcmp(text, yes) != 0 && strcmp(text, no) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" is neither %s nor %s", text, yes, no)));
	return strcmp(text, yes) == 0;
}

static int
by_id(const void *a, const void *b)
{
	int32 x = ((const ContactReport *) a)->id;
	int32 y = ((const ContactReport *) b)->id;

	return (x > y) - (x < y);
}

static int
own_gateways(const AgentCall *call, const int32 *id, int n, int32 **own)
{
	static DbQuery query = { "SELECT gateway_id FROM prepay.gateway g WHERE site_id = $1"
							 " AND gateway_id = ANY ($2) AND " AGENT_SERVES(
								 "$3") " ORDER BY gateway_id",
							 3,
							 { INT4OID, INT4ARRAYOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), db_array_int32(id, n),
					 CStringGetTextDatum(call->code) };
	int found = db_run(&query, args);
	int i;

	*own = palloc(sizeof(int32) * Max(found, 1));
	for (i = 0; i < found; i++)
		(*own)[i] = db_int32(i, 1);
	return found;
}

/* Meters that answer again, by themselves or with their gateway. */
static void
wake_found(const AgentCall *call, const ContactReport *report, int n, bool gateways)
{
	static DbQuery behind = { "SELECT meter_id FROM prepay.meter WHERE site_id = $1"
							  " AND gateway_id = ANY ($2) ORDER BY meter_id",
							  2,
							  { INT4OID, INT4ARRAYOID } };
	int32 *id = palloc(sizeof(int32) * Max(n, 1));
	int found = 0;
	int i;

	for (i = 0; i < n; i++)
		if (!report[i].lost)
			id[found++] = report[i].id;
	if (found > 0 && gateways)
	{
		Datum args[] = { Int32GetDatum(call->site->site_id), db_array_int32(id, found) };

		found = db_run(&behind, args);
		id = palloc(sizeof(int32) * Max(found, 1));
		for (i = 0; i < found; i++)
			id[i] = db_int32(i, 1);
	}
	if (found > 0)
		wake(call->site, id, found);
}

/* Reports of one kind, sorted by id; objects of other agents are passed over. */
static void
apply_reports(const AgentCall *call, ContactReport *report, int n, bool gateways)
{
	int32 *id = palloc(sizeof(int32) * Max(n, 1));
	int32 *own;
	int n_own;
	int kept = 0;
	int k = 0;
	int i;

	qsort(report, n, sizeof(ContactReport), by_id);
	for (i = 0; i < n; i++)
		id[i] = report[i].id;
	n_own = gateways ? own_gateways(call, id, n, &own) : agent_own_meters(call, id, n, &own);
	if (!gateways && n_own > 0)
		relay_lock_owners(call->site, own, n_own);
	for (i = 0; i < n; i++)
	{
		while (k < n_own && own[k] < report[i].id)
			k++;
		if (k == n_own || own[k] != report[i].id)
			continue;
		if (gateways)
			set_gateway(call->site, &report[i]);
		else
			set_meter(call->site, &report[i], "The meter does not answer.");
		report[kept++] = report[i];
	}
	wake_found(call, report, kept, gateways);
}

/* report_contact(agent, kind[], id[], state[], since[]): only changes are reported. */
Datum
prepay_report_contact(PG_FUNCTION_ARGS)
{
	AgentCall call;
	Datum *kind;
	Datum *id;
	Datum *state;
	Datum *since;
	ContactReport *gateway;
	ContactReport *meter;
	int n_gateway = 0;
	int n_meter = 0;
	int n = array_items(fcinfo, 1, TEXTOID, &kind);
	int i;

	if (array_items(fcinfo, 2, INT4OID, &id) != n || array_items(fcinfo, 3, TEXTOID, &state) != n ||
		array_items(fcinfo, 4, TIMESTAMPTZOID, &since) != n)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the arrays of the report differ in length")));
	gateway = palloc(sizeof(ContactReport) * Max(n, 1));
	meter = palloc(sizeof(ContactReport) * Max(n, 1));
	agent_enter_site(&call, fcinfo);
	for (i = 0; i < n; i++)
	{
		ContactReport report = { DatumGetInt32(id[i]),
								 one_of(TextDatumGetCString(state[i]), "lost", "ok"),
								 Min(DatumGetTimestampTz(since[i]), call.site->now) };

		if (one_of(TextDatumGetCString(kind[i]), "gateway", "meter"))
			gateway[n_gateway++] = report;
		else
			meter[n_meter++] = report;
	}
	/* Accounts before gateway_state: lost gateways must still silence meters lost with them. */
	if (n_meter > 0)
	{
		int32 *meter_id = palloc(sizeof(int32) * n_meter);
		int32 *own;

		for (i = 0; i < n_meter; i++)
			meter_id[i] = meter[i].id;
		n = agent_own_meters(&call, meter_id, n_meter, &own);
		if (n > 0)
			relay_lock_owners(call.site, own, n);
	}
	apply_reports(&call, gateway, n_gateway, true);
	apply_reports(&call, meter, n_meter, false);
	db_leave(&call.session);
	PG_RETURN_VOID();
}

/* ---- what time shows ---- */

static int
lose_agents(const Site *site)
{
	static DbQuery silent = {
		"SELECT code FROM prepay.agent WHERE site_id = $1 AND state = 'ok' AND last_beat_at < $2"
		" ORDER BY code FOR NO KEY UPDATE SKIP LOCKED",
		2,
		{ INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery lose = {
		"UPDATE prepay.agent SET state = 'lost', state_since = $2 WHERE site_id = $1 AND code = $3",
		3,
		{ INT4OID, TIMESTAMPTZOID, TEXTOID }
	};
	static DbQuery silence = {
		"UPDATE prepay.alarm SET cleared_at = $2 WHERE site_id = $1 AND kind = 'lost'"
		" AND cleared_at IS NULL AND meter_id IN (SELECT m.meter_id FROM prepay.gateway g"
		" JOIN prepay.meter m ON m.site_id = g.site_id AND m.gateway_id = g.gateway_id"
		" WHERE g.site_id = $1 AND g.agent = $3)",
		3,
		{ INT4OID, TIMESTAMPTZOID, TEXTOID }
	};
	TimestampTz real = GetCurrentTimestamp();
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(real - AGENT_SILENT_US),
					 (Datum) 0 };
	int n = db_run(&silent, args);
	char **code = palloc(sizeof(char *) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		code[i] = db_text(i, 1);
	for (i = 0; i < n; i++)
	{
		AlarmSubject subject = { .agent = code[i] };

		args[1] = TimestampTzGetDatum(real);
		args[2] = CStringGetTextDatum(code[i]);
		db_run(&lose, args);
		agent_lost(site, code[i]);
		(void) alarm_raise(site, &subject, "lost", ALARM_CRITICAL,
						   "The agent has not been heard of for a minute.");
		args[1] = TimestampTzGetDatum(site->now);
		db_run(&silence, args);
	}
	return n;
}

static bool
check_is_due(const Site *site)
{
	static DbQuery query = { "SELECT checked_at, checked_real FROM prepay.contact_check"
							 " WHERE site_id = $1",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	if (db_run(&query, &arg) == 0)
		return true;
	/* A clock that was set back starts anew. */
	return (site->now < db_time(0, 1) || site->now >= db_time(0, 1) + CHECK_EVERY_US) &&
		   GetCurrentTimestamp() >= db_time(0, 2) + CHECK_AT_MOST_US;
}

static void
check_done(const Site *site)
{
	static DbQuery query = {
		"INSERT INTO prepay.contact_check (site_id, checked_at, checked_real) VALUES ($1, $2, $3)"
		" ON CONFLICT (site_id) DO UPDATE SET checked_at = EXCLUDED.checked_at,"
		" checked_real = EXCLUDED.checked_real",
		3,
		{ INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 TimestampTzGetDatum(GetCurrentTimestamp()) };

	db_run(&query, args);
}

/*
 * Meters whose contact is not what readings show: silent although nothing above
 * them is, heard of again, or lost behind a gateway that has come back without
 * them. A suspect reading is a sign of life too; a register told by a person is
 * none, so a meter known by that alone has not fallen silent.
 */
static int
find_meters(const Site *site, int32 **meter_id, bool **lost)
{
	static DbQuery query = {
		"WITH m AS (SELECT m.meter_id, s.contact, s.contact_since, s.last_read_at,"
		" $2 - greatest(3 * COALESCE(g.poll_interval, $3 * interval '1 microsecond'),"
		" $4 * interval '1 microsecond') AS limit_at,"
		" COALESCE(gs.contact, 'never') <> 'lost' AND (COALESCE(a.state, 'never') <> 'lost'"
		" OR b.state = 'ok')"
		" AND NOT EXISTS (SELECT FROM prepay.reading r WHERE r.site_id = s.site_id"
		"  AND r.meter_id = s.meter_id AND r.read_at = s.last_read_at"
		"  AND r.source = 'register') AS well,"
		" COALESCE(gs.contact_since, '-infinity') AS well_since,"
		" COALESCE(a.state_since, '-infinity') < $5 AS agent_settled"
		" FROM prepay.meter m JOIN prepay.meter_state s ON s.site_id = m.site_id"
		" AND s.meter_id = m.meter_id JOIN prepay.gateway g ON g.site_id = m.site_id"
		" AND g.gateway_id = m.gateway_id LEFT JOIN prepay.gateway_state gs"
		" ON gs.site_id = g.site_id AND gs.gateway_id = g.gateway_id LEFT JOIN prepay.agent a"
		" ON a.site_id = g.site_id AND a.code = g.agent LEFT JOIN prepay.agent b"
		" ON b.site_id = g.site_id AND b.code = g.standby_agent WHERE m.site_id = $1),"
		" lost AS (SELECT m.meter_id, true AS lost FROM m WHERE m.well AND m.agent_settled"
		" AND m.well_since < m.limit_at AND (m.contact <> 'lost' AND m.last_read_at < m.limit_at"
		" AND COALESCE(m.contact_since, '-infinity') < m.limit_at"
		" OR m.contact = 'lost' AND NOT EXISTS (SELECT FROM prepay.alarm l WHERE l.site_id = $1"
		" AND l.kind = 'lost' AND COALESCE(l.account_id, 0) = 0"
		" AND COALESCE(l.meter_id, 0) = m.meter_id AND COALESCE(l.gateway_id, 0) = 0"
		" AND COALESCE(l.agent, '') = '' AND l.cleared_at IS NULL))"
		" AND NOT EXISTS (SELECT FROM prepay.reading r WHERE r.site_id = $1"
		" AND r.meter_id = m.meter_id AND r.read_at >= m.limit_at)),"
		" found AS (SELECT m.meter_id, false AS lost FROM m WHERE m.contact = 'lost'"
		" AND EXISTS (SELECT FROM prepay.reading r WHERE r.site_id = $1"
		" AND r.meter_id = m.meter_id AND r.read_at > m.contact_since AND r.read_at >= m.limit_at))"
		" SELECT meter_id, lost FROM (SELECT * FROM lost UNION ALL SELECT * FROM found) AS c"
		" ORDER BY meter_id LIMIT $6",
		6,
		{ INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 TimestampTzGetDatum(site->now),
					 Int64GetDatum(setting_interval_us(site, "poll_interval", METER_SILENT_US)),
					 Int64GetDatum(METER_SILENT_US),
					 TimestampTzGetDatum(GetCurrentTimestamp() - AGENT_SILENT_US),
					 Int32GetDatum(CHECK_ROWS) };
	int n = db_run(&query, args);
	int i;

	*meter_id = palloc(sizeof(int32) * Max(n, 1));
	*lost = palloc(sizeof(bool) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		(*meter_id)[i] = db_int32(i, 1);
		(*lost)[i] = db_bool(i, 2);
	}
	SPI_freetuptable(SPI_tuptable);
	return n;
}

static int
check_meters(const Site *site)
{
	int32 *meter_id;
	bool *lost;
	int32 *held;
	int n = find_meters(site, &meter_id, &lost);
	int n_held = relay_lock_free_owners(site, meter_id, n, &held);
	int k = 0;
	int i;

	for (i = 0; i < n && k < n_held; i++)
	{
		ContactReport report = { meter_id[i], lost[i], site->now };

		if (held[k] != meter_id[i])
			continue;
		set_meter(site, &report, "No reading has come for a long time.");
		k++;
	}
	if (n < CHECK_ROWS)
		check_done(site);
	return k;
}

int
contact_tick(const Site *site)
{
	int done;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	done = lose_agents(site);
	if (check_is_due(site))
	{
		done += meter_clock_check(site);
		done += check_meters(site);
	}
	SPI_finish();
	return done;
}
