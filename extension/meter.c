/*
 * meter.c: what is dated about a meter, and the guards on its row.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/spi.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/rel.h"

#include "account.h"
#include "db.h"
#include "lock.h"
#include "tou.h"

PG_FUNCTION_INFO_V1(prepay_meter_added);
PG_FUNCTION_INFO_V1(prepay_meter_changes);
PG_FUNCTION_INFO_V1(prepay_refuse_change);

/* In W, rounded up so that a limit is never 0; -1 for a check meter, which has none. */
#define POWER_LIMIT_W                                                                  \
	"CASE WHEN m.purpose = 'check' THEN -1 ELSE ceil(m.power_limit_kw * 1000)::bigint" \
	" END AS power_limit_w"

void
meter_refresh(const Site *site, int32 meter_id)
{
	/* The owner and the dated facts that hold last; facts_from is when the youngest of them began.
	 */
	static DbQuery query = {
		"UPDATE prepay.meter_state s SET account_id = f.account_id, term_from = f.term_from,"
		" ratio_e6 = (f.ratio * 1000000)::bigint, register_max_wh = (f.register_max * 1000)::bigint,"
		" reverse_add = f.reverse_energy = 'add', rated_w = (f.rated_kw * 1000)::bigint,"
		" power_limit_w = f.power_limit_w,"
		" facts_from = greatest(f.facts_from, f.term_from, f.left_at), tariff_until = '-infinity'"
		" FROM (SELECT m.site_id, m.meter_id, m.rated_kw, " POWER_LIMIT_W
		", t.ratio, t.register_max,"
		"  t.reverse_energy, t.valid_from AS facts_from, o.account_id, o.valid_from AS term_from,"
		"  (SELECT max(l.valid_to) FROM prepay.account_meter l WHERE l.site_id = m.site_id"
		"   AND l.meter_id = m.meter_id AND l.valid_to < 'infinity') AS left_at"
		"  FROM prepay.meter m"
		"  JOIN LATERAL (SELECT * FROM prepay.meter_term x WHERE x.site_id = m.site_id"
		"   AND x.meter_id = m.meter_id ORDER BY x.valid_from DESC LIMIT 1) t ON true"
		"  LEFT JOIN prepay.account_meter o ON o.site_id = m.site_id AND o.meter_id = m.meter_id"
		"   AND o.valid_to = 'infinity' AND m.purpose = 'prepaid'"
		"  WHERE m.site_id = $1 AND m.meter_id = $2) f"
		" WHERE s.site_id = f.site_id AND s.meter_id = f.meter_id",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery count = {
		"UPDATE prepay.account_state a SET meters = (SELECT count(*) FROM prepay.meter_state s"
		"  WHERE s.site_id = a.site_id AND s.account_id = a.account_id)"
		" WHERE a.site_id = $1 AND a.account_id IN (SELECT o.account_id FROM prepay.account_meter o"
		"  WHERE o.site_id = $1 AND o.meter_id = $2)",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	db_run(&query, args);
	db_run(&count, args);
}

static int32
int_column(HeapTuple row, Relation relation, const char *name)
{
	bool isnull;

	return DatumGetInt32(
		SPI_getbinval(row, relation->rd_att, SPI_fnumber(relation->rd_att, name), &isnull));
}

static TriggerData *
row_trigger(FunctionCallInfo fcinfo, const char *name)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("%s is a row trigger function", name)));
	return trigger;
}

/* AFTER INSERT row trigger of prepay.meter: its state, its control row, its first dated facts. */
Datum
prepay_meter_added(PG_FUNCTION_ARGS)
{
	static DbQuery term = {
		"INSERT INTO prepay.meter_term (site_id, meter_id, valid_from, ratio, register_max,"
		" reverse_energy) SELECT site_id, meter_id, '-infinity', ratio, register_max,"
		" reverse_energy FROM prepay.meter WHERE site_id = $1 AND meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery state = {
		"INSERT INTO prepay.meter_state (site_id, meter_id, ratio_e6, register_max_wh, reverse_add,"
		" rated_w, power_limit_w, facts_from, tariff_until) SELECT site_id, meter_id,"
		" (ratio * 1000000)::bigint, (register_max * 1000)::bigint, reverse_energy = 'add',"
		" (rated_kw * 1000)::bigint, " POWER_LIMIT_W ", '-infinity', '-infinity'"
		" FROM prepay.meter m WHERE site_id = $1 AND meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery control = {
		"INSERT INTO prepay.meter_control (site_id, meter_id) VALUES ($1, $2)",
		2,
		{ INT4OID, INT4OID }
	};
	TriggerData *trigger = row_trigger(fcinfo, "meter_added");
	Datum args[2];
	DbSession session;

	args[0] = Int32GetDatum(int_column(trigger->tg_trigtuple, trigger->tg_relation, "site_id"));
	args[1] = Int32GetDatum(int_column(trigger->tg_trigtuple, trigger->tg_relation, "meter_id"));
	db_enter(&session);
	db_run(&term, args);
	tou_set_first_term(DatumGetInt32(args[0]), DatumGetInt32(args[1]));
	db_run(&state, args);
	db_run(&control, args);
	db_leave(&session);
	return PointerGetDatum(NULL);
}

/* change_meter() brings the row in line with the dated fact it has just stored. */
bool meter_change_runs = false;

/* Columns that rating depends on: dated facts, never changed in place once there is a reading. */
static const char *const dated_columns[] = { "ratio", "register_max", "reverse_energy", "purpose" };

static bool
column_changed(TriggerData *trigger, const char *name)
{
	int column = SPI_fnumber(trigger->tg_relation->rd_att, name);
	Form_pg_attribute attribute = TupleDescAttr(trigger->tg_relation->rd_att, column - 1);
	bool old_null;
	bool new_null;
	Datum old =
		SPI_getbinval(trigger->tg_trigtuple, trigger->tg_relation->rd_att, column, &old_null);
	Datum new =
		SPI_getbinval(trigger->tg_newtuple, trigger->tg_relation->rd_att, column, &new_null);

	if (old_null || new_null)
		return old_null != new_null;
	return !datumIsEqual(old, new, attribute->attbyval, attribute->attlen);
}

/*
 * AFTER UPDATE row trigger of prepay.meter: facts that rating depends on may be
 * mended in place only while the meter has no reading.
 */
Datum
prepay_meter_changes(PG_FUNCTION_ARGS)
{
	static DbQuery rated = { "SELECT 1 FROM prepay.reading WHERE site_id = $1 AND meter_id = $2"
							 " UNION ALL SELECT 1 FROM prepay.meter_term WHERE site_id = $1"
							 " AND meter_id = $2 AND valid_from > '-infinity' LIMIT 1",
							 2,
							 { INT4OID, INT4OID } };
	static DbQuery term = {
		"UPDATE prepay.meter_term t SET ratio = m.ratio, register_max = m.register_max,"
		" reverse_energy = m.reverse_energy FROM prepay.meter m WHERE m.site_id = $1"
		" AND m.meter_id = $2 AND t.site_id = m.site_id AND t.meter_id = m.meter_id",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery band = {
		"UPDATE prepay.account_state a SET quiet_above = NULL, quiet_below = NULL"
		" FROM prepay.meter_state s WHERE s.site_id = $1 AND s.meter_id = $2"
		" AND a.site_id = s.site_id AND a.account_id = s.account_id",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery owned = {
		"SELECT a.code FROM prepay.account_meter o JOIN prepay.account a USING (site_id, account_id)"
		" WHERE o.site_id = $1 AND o.meter_id = $2 AND o.valid_to = 'infinity'",
		2,
		{ INT4OID, INT4OID }
	};
	TriggerData *trigger = row_trigger(fcinfo, "meter_changes");
	Datum args[2];
	DbSession session;
	const Site *site;
	const char *dated = NULL;
	int i;

	args[0] = Int32GetDatum(int_column(trigger->tg_newtuple, trigger->tg_relation, "site_id"));
	args[1] = Int32GetDatum(int_column(trigger->tg_newtuple, trigger->tg_relation, "meter_id"));
	if (column_changed(trigger, "site_id") || column_changed(trigger, "meter_id"))
		ereport(ERROR,
				(errcode(ERRCODE_PP_IMMUTABLE), errmsg("the number of a meter cannot change"),
				 errhint("Change its code instead.")));
	for (i = 0; i < lengthof(dated_columns); i++)
		if (column_changed(trigger, dated_columns[i]))
			dated = dated_columns[i];
	db_enter(&session);
	lock_site_exclusive(DatumGetInt32(args[0]));
	if (dated && !meter_change_runs && db_run(&rated, args) > 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_PP_RATED),
			 errmsg("%s of a meter that has readings or dated changes cannot be changed in place",
					dated),
			 errhint("Use prepay.change_meter() with the time from which it holds.")));
	if (column_changed(trigger, "prepay_mode") && db_run(&owned, args) > 0)
		ereport(
			ERROR,
			(errcode(ERRCODE_PP_METER_OWNED),
			 errmsg("the meter belongs to account \"%s\"", db_text(0, 1)),
			 errdetail("Where the money is kept cannot change while an account has it there."),
			 errhint("Remove the meter with its final register, change prepay_mode, add it again; "
					 "do it in one transaction.")));
	if (dated && !meter_change_runs)
		db_run(&term, args);
	site = site_get(DatumGetInt32(args[0]));
	if (column_changed(trigger, "model") && !meter_change_runs)
	{
		if (db_run(&rated, args) > 0)
			tou_add_term(site->site_id, DatumGetInt32(args[1]), site->now);
		else
			tou_set_first_term(site->site_id, DatumGetInt32(args[1]));
	}
	meter_refresh(site, DatumGetInt32(args[1]));
	db_run(&band, args);
	db_leave(&session);
	return PointerGetDatum(NULL);
}

/* BEFORE UPDATE, DELETE or TRUNCATE trigger of rows that are written once. */
Datum
prepay_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("refuse_change is a trigger function")));
	ereport(ERROR, (errcode(ERRCODE_PP_IMMUTABLE),
					errmsg("rows of %s are written once",
						   quote_qualified_identifier(
							   "prepay", RelationGetRelationName(trigger->tg_relation))),
					errdetail("UPDATE, DELETE and TRUNCATE are refused for every role."),
					errhint("Post a correction instead; what is booked stays provable.")));
	return PointerGetDatum(NULL);
}
