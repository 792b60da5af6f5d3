/*
 * reading_report.c: what one meter showed, and what it used: reading_history(),
 * register_difference().
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"

#include "amount.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "history.h"
#include "range.h"
#include "retention.h"

#define HISTORY_COLUMNS 15
#define READING_COLUMNS 12
#define DIFFERENCE_COLUMNS 8

PG_FUNCTION_INFO_V1(prepay_reading_history);
PG_FUNCTION_INFO_V1(prepay_register_difference);

/* One meter and the time asked for. */
typedef struct MeterAsk
{
	const Site *site;
	CodeTarget target;
	TimeRange range;
	History history;
} MeterAsk;

static void
take_ask(DbSession *session, FunctionCallInfo fcinfo, const char *what, MeterAsk *ask)
{
	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the meter must be given")));
	code_resolve(session->caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_METER, &ask->target);
	auth_require(session->caller, MAY_READ, ask->target.site_id, what);
	ask->site = site_get(ask->target.site_id);
	ask->range = range_of_args(ask->site, fcinfo, 1);
	retention_tell(ask->site, ask->range.from);
	/* A little earlier, so that the reading before one at the very begin is known, too. */
	history_load_meters(ask->site, &ask->target.id, 1, ask->range.from - 1, ask->range.to,
						&ask->history);
}

/* Energy from the reading that counted before up to this one; false: it counts for nothing. */
static bool
energy_up_to(const MeterHistory *meter, const Believed *reading, int64 *wh)
{
	const Believed *before = reading - 1;

	if (reading->held || reading->was_waiting)
		return false;
	while (before >= meter->reading && (before->held || before->was_waiting))
		before--;
	if (before < meter->reading)
		return false;
	*wh = history_energy(meter, before, reading, DT_NOBEGIN, DT_NOEND);
	return true;
}

/*
 * reading_history(meter, t0, t1) → the readings of [t0, t1) in order, as displayed, what
 * became of each, and the energy since the one that counted before. Reads only.
 */
Datum
prepay_reading_history(PG_FUNCTION_ARGS)
{
	static DbQuery query = {
		"SELECT r.read_at, r.kwh, c.kwh, r.reverse_kwh, r.kw, r.relay_closed, r.meter_balance,"
		" r.purchase_count, r.meter_clock, r.source, COALESCE(k.mark, 'accepted'), c.reason"
		" FROM prepay.reading r LEFT JOIN prepay.reading_mark k USING (site_id, meter_id, read_at)"
		" LEFT JOIN LATERAL (SELECT x.kwh, x.reason FROM prepay.reading_correction x"
		"  WHERE x.site_id = r.site_id AND x.meter_id = r.meter_id AND x.read_at = r.read_at"
		"  ORDER BY x.correction DESC LIMIT 1) c ON true"
		" WHERE r.site_id = $1 AND r.meter_id = $2 AND r.read_at >= $3 AND r.read_at < $4"
		" ORDER BY r.read_at",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbSession session;
	MeterAsk ask;
	const MeterHistory *meter;
	Datum args[4];
	int reading = 0;
	int n;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	take_ask(&session, fcinfo, "see the readings of a meter", &ask);
	meter = &ask.history.meter[0];
	args[0] = Int32GetDatum(ask.site->site_id);
	args[1] = Int32GetDatum(ask.target.id);
	args[2] = TimestampTzGetDatum(ask.range.from);
	args[3] = TimestampTzGetDatum(ask.range.to);
	n = db_run(&query, args);
	for (i = 0; i < n; i++)
	{
		Datum values[HISTORY_COLUMNS];
		bool nulls[HISTORY_COLUMNS] = { false };
		int64 wh = 0;
		int c;

		while (meter->reading[reading].read_at < db_time(i, 1))
			reading++;
		values[0] = CStringGetTextDatum(ask.site->code);
		values[1] = CStringGetTextDatum(ask.target.code);
		for (c = 0; c < READING_COLUMNS; c++)
			values[2 + c] = db_value(i, c + 1, &nulls[2 + c]);
		nulls[14] = !energy_up_to(meter, &meter->reading[reading], &wh);
		values[14] = minor_numeric(wh, 3);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	db_leave(&session);
	return (Datum) 0;
}

/*
 * register_difference(meter, t0, t1) → one row: the registers that count at t0 and t1 (the
 * last reading up to then, else the first after it) and the energy between them, with every
 * ratio, rollover and new baseline on the way. Reads only.
 */
Datum
prepay_register_difference(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbSession session;
	MeterAsk ask;
	const MeterHistory *meter;
	const Believed *first;
	const Believed *last;
	Datum values[DIFFERENCE_COLUMNS];
	bool nulls[DIFFERENCE_COLUMNS] = { false };
	Exact ratio;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	take_ask(&session, fcinfo, "see the registers of a meter", &ask);
	meter = &ask.history.meter[0];
	first = history_reading_at(meter, ask.range.from);
	last = history_reading_at(meter, ask.range.to);
	values[0] = CStringGetTextDatum(ask.site->code);
	values[1] = CStringGetTextDatum(ask.target.code);
	for (i = 2; i < DIFFERENCE_COLUMNS; i++)
		nulls[i] = first == NULL;
	if (first)
	{
		if (!exact_from_micro(history_facts(meter, last->read_at)->ratio_e6, &ratio))
			out_of_range("ratio");
		values[2] = TimestampTzGetDatum(first->read_at);
		values[3] = minor_numeric(first->wh, 3);
		values[4] = TimestampTzGetDatum(last->read_at);
		values[5] = minor_numeric(last->wh, 3);
		values[6] = exact_numeric(ratio);
		values[7] = minor_numeric(history_energy(meter, first, last, DT_NOBEGIN, DT_NOEND), 3);
	}
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	db_leave(&session);
	return (Datum) 0;
}
