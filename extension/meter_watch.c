#include "meter_watch.h"

#include "db.h"

#define N_ARGS 19

void
meter_watch_read(uint64 row, int column, MeterWatch *watch)
{
	OverloadState *overload = &watch->overload;

	overload->run.samples = db_int32_or(row, column, 0);
	overload->run.since = db_time_or(row, column + 1, DT_NOBEGIN);
	overload->run.last = db_time_or(row, column + 2, DT_NOBEGIN);
	watch->overload_w = db_int64_or(row, column + 3, 0);
	watch->overload_limit_w = db_int64_or(row, column + 4, 0);
	overload->trip_at = db_time_or(row, column + 5, DT_NOBEGIN);
	overload->until = db_time_or(row, column + 6, DT_NOBEGIN);
	overload->trips = db_int32_or(row, column + 7, 0);
	overload->locked = db_bool(row, column + 8);
	watch->contrary.samples = db_int32_or(row, column + 9, 0);
	watch->contrary.since = db_time_or(row, column + 10, DT_NOBEGIN);
	watch->contrary.last = db_time_or(row, column + 11, DT_NOBEGIN);
	watch->open_since = db_time_or(row, column + 12, DT_NOBEGIN);
	watch->flow_from = db_time_or(row, column + 13, DT_NOBEGIN);
	watch->flow_last = db_time_or(row, column + 14, DT_NOBEGIN);
	watch->flow_wh = db_int64_or(row, column + 15, 0);
	watch->flow_still = db_int32_or(row, column + 16, 0);
}

static void
put_time(Datum *args, char *nulls, int place, TimestampTz time)
{
	args[place] = TimestampTzGetDatum(time);
	nulls[place] = time == DT_NOBEGIN ? 'n' : ' ';
}

static void
put_run(Datum *args, char *nulls, int place, const PersistRun *run)
{
	args[place] = Int32GetDatum(run->samples);
	put_time(args, nulls, place + 1, run->samples > 0 ? run->since : DT_NOBEGIN);
	put_time(args, nulls, place + 2, run->samples > 0 ? run->last : DT_NOBEGIN);
}

void
meter_watch_save(const Site *site, int32 meter_id, const MeterWatch *watch)
{
	static DbQuery query = {
		"INSERT INTO prepay.meter_watch AS w (site_id, meter_id, over_samples, over_since,"
		" over_last, overload_w, overload_limit_w, overload_at, overload_until, overload_trips,"
		" overload_locked, contrary_samples, contrary_since, contrary_last, open_since, flow_from,"
		" flow_last, flow_wh, flow_still) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11,"
		" $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT (site_id, meter_id) DO UPDATE SET"
		" over_samples = EXCLUDED.over_samples, over_since = EXCLUDED.over_since,"
		" over_last = EXCLUDED.over_last, overload_w = EXCLUDED.overload_w,"
		" overload_limit_w = EXCLUDED.overload_limit_w, overload_at = EXCLUDED.overload_at,"
		" overload_until = EXCLUDED.overload_until, overload_trips = EXCLUDED.overload_trips,"
		" overload_locked = EXCLUDED.overload_locked,"
		" contrary_samples = EXCLUDED.contrary_samples,"
		" contrary_since = EXCLUDED.contrary_since, contrary_last = EXCLUDED.contrary_last,"
		" open_since = EXCLUDED.open_since, flow_from = EXCLUDED.flow_from,"
		" flow_last = EXCLUDED.flow_last, flow_wh = EXCLUDED.flow_wh,"
		" flow_still = EXCLUDED.flow_still",
		N_ARGS,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT8OID,
		  TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, BOOLOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		  TIMESTAMPTZOID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT8OID, INT4OID }
	};
	Datum args[N_ARGS] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	char nulls[N_ARGS + 1];

	memset(nulls, ' ', N_ARGS);
	nulls[N_ARGS] = '\0';
	put_run(args, nulls, 2, &watch->overload.run);
	args[5] = Int64GetDatum(watch->overload_w);
	nulls[5] = watch->overload_w == 0 ? 'n' : ' ';
	args[6] = Int64GetDatum(watch->overload_limit_w);
	nulls[6] = watch->overload_limit_w == 0 ? 'n' : ' ';
	put_time(args, nulls, 7, watch->overload.trip_at);
	put_time(args, nulls, 8, watch->overload.until);
	args[9] = Int32GetDatum(watch->overload.trips);
	args[10] = BoolGetDatum(watch->overload.locked);
	put_run(args, nulls, 11, &watch->contrary);
	put_time(args, nulls, 14, watch->open_since);
	put_time(args, nulls, 15, watch->flow_from);
	put_time(args, nulls, 16, watch->flow_last);
	args[17] = Int64GetDatum(watch->flow_wh);
	args[18] = Int32GetDatum(watch->flow_still);
	db_run_nulls(&query, args, nulls);
}

void
meter_watch_mark(const Site *site, int32 meter_id, bool watched)
{
	static DbQuery query = { "UPDATE prepay.meter_state SET watched = $3 WHERE site_id = $1"
							 " AND meter_id = $2 AND watched <> $3",
							 3,
							 { INT4OID, INT4OID, BOOLOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id), BoolGetDatum(watched) };

	db_run(&query, args);
}
