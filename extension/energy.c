#include "energy.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "accept.h"
#include "alarm.h"
#include "amount.h"
#include "db.h"
#include "history.h"
#include "rate.h"

#define ALARM_KIND "unowned_energy"
#define UNPAID_COLUMNS 7

PG_FUNCTION_INFO_V1(prepay_unpaid_energy);

extern Datum prepay_my_site(PG_FUNCTION_ARGS);

/* A time in which the meter belonged to no account. */
typedef struct Vacancy
{
	TimestampTz since;
	TimestampTz until;
} Vacancy;

/* Of a check meter all time; ascending. */
static int
load_vacancies(const Site *site, int32 meter_id, Vacancy **vacancy)
{
	static DbQuery query = {
		"SELECT o.valid_from, o.valid_to FROM prepay.account_meter o JOIN prepay.meter m"
		" USING (site_id, meter_id) WHERE o.site_id = $1 AND o.meter_id = $2"
		" AND o.valid_from < o.valid_to AND m.purpose = 'prepaid' ORDER BY o.valid_from",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	int terms = db_run(&query, args);
	TimestampTz since = DT_NOBEGIN;
	int n = 0;
	int i;

	*vacancy = palloc(sizeof(Vacancy) * (terms + 1));
	for (i = 0; i < terms; i++)
	{
		if (since < db_time(i, 1))
			(*vacancy)[n++] = (Vacancy){ since, db_time(i, 1) };
		since = db_time(i, 2);
	}
	if (since < DT_NOEND)
		(*vacancy)[n++] = (Vacancy){ since, DT_NOEND };
	return n;
}

/* Told of each part of the energy between two readings that lies in a time. */
typedef void (*PartTold)(void *context, const EnergyPart *part, bool alone, int64 elapsed_us);

/* The parts in time; of them those that touch [from, to), and perhaps a few more. */
static void
walk_parts(const Site *site, int32 meter_id, const Vacancy *time, TimestampTz from, TimestampTz to,
		   PartTold told, void *context)
{
	History history;
	const MeterHistory *meter;
	EnergyPart *part;
	const Believed *last = NULL;
	int i;

	history_load_meters(site, &meter_id, 1, Max(time->since, from), Min(time->until, to), &history);
	meter = history_meter(&history, meter_id);
	part = palloc(sizeof(EnergyPart) * (meter->n_cut + 1));
	for (i = 0; i < meter->n; i++)
	{
		const Believed *reading = &meter->reading[i];
		int n;
		int k;

		/* What waits for a tariff settles nothing yet. */
		if (reading->held || reading->was_waiting)
			continue;
		n = last ? history_parts(meter, last, reading, part) : 0;
		for (k = 0; k < n; k++)
			if (part[k].from >= time->since && part[k].to <= time->until && part[k].wh > 0)
				told(context, &part[k], n == 1, reading->read_at - last->read_at);
		last = reading;
	}
}

typedef struct DayWork
{
	const Site *site;
	const Vacancy *vacancy;
	int64 gap_us;
	EnergyDays *days;
} DayWork;

static void
add_day(const DayWork *work, int32 day, TimestampTz from, TimestampTz to, int64 wh, bool estimated)
{
	EnergyDays *days = work->days;
	EnergyDay *last = days->n > 0 ? &days->item[days->n - 1] : NULL;

	if (wh == 0)
		return;
	if (last == NULL || last->day != day || last->since != work->vacancy->since)
	{
		if (days->n == days->room)
		{
			days->room = Max(16, days->room * 2);
			days->item = core_realloc(days->item, sizeof(EnergyDay) * days->room);
		}
		last = &days->item[days->n++];
		*last = (EnergyDay){
			.day = day, .from = from, .since = work->vacancy->since, .until = work->vacancy->until
		};
	}
	last->to = to;
	last->wh += wh;
	if (estimated)
		last->estimated_wh += wh;
}

/* A part goes to the local days it touches as energy that is charged does: by time. */
static void
share_among_days(void *context, const EnergyPart *part, bool alone, int64 elapsed_us)
{
	const DayWork *work = context;
	const CalZone *zone = work->site->zone;
	int32 first = site_local_day(work->site, part->from);
	int32 last = site_local_day(work->site, part->to - 1);
	int n = last - first + 1;
	bool estimated = elapsed_us > work->gap_us && (n > 1 || !alone);
	TimestampTz *edge = palloc(sizeof(TimestampTz) * (n + 1));
	int64_t *elapsed = palloc(sizeof(int64_t) * n * 2);
	int64_t *share = elapsed + n;
	int i;

	edge[0] = part->from;
	for (i = 1; i < n; i++)
		edge[i] = cal_day_start(zone, first + i);
	edge[n] = part->to;
	for (i = 0; i < n; i++)
		elapsed[i] = edge[i + 1] - edge[i];
	if (!rate_share(part->wh, elapsed, n, share))
		out_of_range("energy");
	for (i = 0; i < n; i++)
		add_day(work, first + i, edge[i], edge[i + 1], share[i], estimated);
	pfree(edge);
	pfree(elapsed);
}

void
energy_unpaid(const Site *site, int32 meter_id, TimestampTz from, TimestampTz to, EnergyDays *days)
{
	Vacancy *vacancy;
	int n = load_vacancies(site, meter_id, &vacancy);
	DayWork work = { .site = site,
					 .gap_us = 2 * setting_interval_us(site, "poll_interval", 0),
					 .days = days };
	int i;

	for (i = 0; i < n; i++)
	{
		if (vacancy[i].since >= to || vacancy[i].until <= from)
			continue;
		work.vacancy = &vacancy[i];
		walk_parts(site, meter_id, &vacancy[i], from, to, share_among_days, &work);
	}
}

static void
add_part(void *context, const EnergyPart *part, bool alone, int64 elapsed_us)
{
	int64 *wh = context;

	*wh += part->wh;
}

int64
energy_since(const Site *site, int32 meter_id, TimestampTz since)
{
	Vacancy time = { since, DT_NOEND };
	int64 wh = 0;

	walk_parts(site, meter_id, &time, DT_NOBEGIN, DT_NOEND, add_part, &wh);
	return wh;
}

/* ---- the alarm ---- */

static bool
supply_is_expected(const Site *site)
{
	return strcmp(setting_text(site, "vacant_supply"), "on") == 0;
}

void
energy_watch(const Site *site, int32 meter_id)
{
	static DbQuery query = {
		"SELECT s.account_id IS NULL AND m.purpose = 'prepaid', s.ratio_e6, v.since,"
		" EXISTS (SELECT FROM prepay.alarm l WHERE l.site_id = $1 AND l.meter_id = $2"
		"  AND l.kind = '" ALARM_KIND "' AND l.acknowledged_at >= v.since)"
		" FROM prepay.meter_state s JOIN prepay.meter m USING (site_id, meter_id)"
		" CROSS JOIN LATERAL (SELECT COALESCE(max(o.valid_to), '-infinity') AS since"
		"  FROM prepay.account_meter o WHERE o.site_id = $1 AND o.meter_id = $2"
		"  AND o.valid_from < o.valid_to) v WHERE s.site_id = $1 AND s.meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	char moved[MONEY_TEXT_MAX];
	bool expected = supply_is_expected(site);
	TimestampTz since;
	int64 ratio_e6;
	int64 wh;

	db_run(&query, args);
	if (expected || !db_bool(0, 1))
	{
		(void) alarm_clear_meter(site, meter_id, ALARM_KIND);
		return;
	}
	/* Somebody has looked at this time without account. */
	if (db_bool(0, 4))
		return;
	ratio_e6 = db_int64(0, 2);
	since = db_time(0, 3);
	wh = energy_since(site, meter_id, since);
	if ((__int128) wh * 1000000 <= (__int128) DISPLAY_STEP_WH * ratio_e6)
	{
		(void) alarm_clear_meter(site, meter_id, ALARM_KIND);
		return;
	}
	minor_format(wh, 3, moved);
	(void) alarm_raise_meter(
		site, meter_id, ALARM_KIND, ALARM_WARNING,
		psprintf("%s kWh have moved since %s, and the meter belongs to no "
				 "account.",
				 moved, since == DT_NOBEGIN ? "its first reading" : timestamptz_to_str(since)));
}

void
energy_moved(const Site *site, const int32 *meter_id, int n)
{
	/* The very expressions of the index on active alarms. */
	static DbQuery query = {
		"SELECT m.meter_id FROM prepay.meter m WHERE m.site_id = $1 AND m.meter_id = ANY ($2)"
		" AND m.purpose = 'prepaid' AND NOT EXISTS (SELECT FROM prepay.alarm l"
		"  WHERE l.site_id = m.site_id AND l.kind = '" ALARM_KIND "'"
		"  AND COALESCE(l.account_id, 0) = 0 AND COALESCE(l.meter_id, 0) = m.meter_id"
		"  AND COALESCE(l.gateway_id, 0) = 0 AND COALESCE(l.agent, '') = ''"
		"  AND l.cleared_at IS NULL) ORDER BY m.meter_id",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), (Datum) 0 };
	int32 *quiet;
	int found;
	int i;

	if (n == 0 || supply_is_expected(site))
		return;
	args[1] = db_array_int32(meter_id, n);
	found = db_run(&query, args);
	quiet = palloc(sizeof(int32) * Max(found, 1));
	for (i = 0; i < found; i++)
		quiet[i] = db_int32(i, 1);
	for (i = 0; i < found; i++)
		energy_watch(site, quiet[i]);
}

void
energy_expected(const Site *site)
{
	static DbQuery query = { "UPDATE prepay.alarm SET cleared_at = $2 WHERE site_id = $1"
							 " AND kind = '" ALARM_KIND "' AND cleared_at IS NULL",
							 2,
							 { INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now) };

	if (supply_is_expected(site))
		db_run(&query, args);
}

/* ---- SQL ---- */

/* unpaid_energy(site_id, meter_id) → its unpaid energy by local day; nothing where the site is not
 * the caller's. */
Datum
prepay_unpaid_energy(PG_FUNCTION_ARGS)
{
	static DbQuery exists = { "SELECT 1 FROM prepay.meter WHERE site_id = $1 AND meter_id = $2",
							  2,
							  { INT4OID, INT4OID } };
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	Datum args[] = { PG_GETARG_DATUM(0), PG_GETARG_DATUM(1) };
	EnergyDays days = { 0 };
	DbSession session;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	if (!DatumGetBool(DirectFunctionCall1(prepay_my_site, args[0])))
		return (Datum) 0;
	db_enter(&session);
	if (db_run(&exists, args) > 0)
		energy_unpaid(site_get(PG_GETARG_INT32(0)), PG_GETARG_INT32(1), DT_NOBEGIN, DT_NOEND,
					  &days);
	for (i = 0; i < days.n; i++)
	{
		const EnergyDay *day = &days.item[i];
		bool nulls[UNPAID_COLUMNS] = {
			[5] = day->since == DT_NOBEGIN, [6] = day->until == DT_NOEND
		};
		Datum values[UNPAID_COLUMNS] = {
			DateADTGetDatum(day->day),		  Int64GetDatum(day->wh),
			Int64GetDatum(day->estimated_wh), TimestampTzGetDatum(day->from),
			TimestampTzGetDatum(day->to),	  TimestampTzGetDatum(day->since),
			TimestampTzGetDatum(day->until)
		};

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	db_leave(&session);
	return (Datum) 0;
}
