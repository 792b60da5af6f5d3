/*
 * place_report.c: the energy of a place, day by day: energy_by_place().
 *
 * What accounts used is summed up from their usage, so it agrees with the bills to the
 * Wh; what check meters saw, and meters while they belonged to nobody, comes from
 * energy_unpaid().
 */
#include "place_report.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "amount.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "energy.h"
#include "range.h"
#include "retention.h"

#define PLACE_COLUMNS 7
/* It is a row a day, with or without energy: a century of them. */
#define MAX_DAYS 36600

PG_FUNCTION_INFO_V1(prepay_energy_by_place);

typedef struct DayEnergy
{
	int64 wh; /* of prepaid meters */
	int64 unowned_wh;
	int64 estimated_wh;
	int64 check_wh;
} DayEnergy;

typedef struct PlaceReport
{
	const Site *site;
	CodeTarget place;
	TimeRange range;
	DayEnergy *day; /* of [range.first_day, range.end_day) */
} PlaceReport;

static DayEnergy *
day_energy(const PlaceReport *report, int32 day)
{
	return day >= report->range.first_day && day < report->range.end_day
			   ? &report->day[day - report->range.first_day]
			   : NULL;
}

/* Energy that accounts have been or will be charged for. */
static void
add_usage(PlaceReport *report)
{
	static DbQuery query = {
		PLACE_SUBTREE
		", own AS MATERIALIZED (SELECT DISTINCT o.account_id, o.meter_id FROM below b"
		" JOIN prepay.meter m ON m.site_id = $1 AND m.place_id = b.place_id"
		" JOIN prepay.account_meter o ON o.site_id = $1 AND o.meter_id = m.meter_id"
		" UNION SELECT o.account_id, o.meter_id FROM below b"
		" JOIN prepay.account a ON a.site_id = $1 AND a.place_id = b.place_id"
		" JOIN prepay.account_meter o ON o.site_id = $1 AND o.account_id = a.account_id"
		" JOIN prepay.meter m ON m.site_id = $1 AND m.meter_id = o.meter_id"
		"  AND m.place_id IS NULL)"
		"SELECT u.day - date '2000-01-01', sum(u.wh)::bigint, sum(u.estimated_wh)::bigint"
		" FROM own JOIN prepay.usage_line_all u ON u.site_id = $1"
		"  AND u.account_id = own.account_id AND u.meter_id = own.meter_id"
		" WHERE u.component = 'energy' AND u.day >= date '2000-01-01' + $3"
		" AND u.day < date '2000-01-01' + $4 GROUP BY u.day",
		4,
		{ INT4OID, INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(report->site->site_id), Int32GetDatum(report->place.id),
					 Int32GetDatum(report->range.first_day), Int32GetDatum(report->range.end_day) };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
	{
		DayEnergy *day = day_energy(report, db_int32(i, 1));

		day->wh = db_int64(i, 2);
		day->estimated_wh = db_int64(i, 3);
	}
}

/* In an SPI connection of its own: readings are gone with it. */
static void
add_meter(PlaceReport *report, int32 meter_id, bool is_check)
{
	const CalZone *zone = report->site->zone;
	EnergyDays days = { 0 };
	int i;

	CHECK_FOR_INTERRUPTS();
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	energy_unpaid(report->site, meter_id, cal_day_start(zone, report->range.first_day),
				  cal_day_start(zone, report->range.end_day), &days);
	for (i = 0; i < days.n; i++)
	{
		DayEnergy *day = day_energy(report, days.item[i].day);

		if (day && is_check)
			day->check_wh += days.item[i].wh;
		else if (day)
		{
			day->wh += days.item[i].wh;
			day->unowned_wh += days.item[i].wh;
			day->estimated_wh += days.item[i].estimated_wh;
		}
	}
	SPI_finish();
}

/* Check meters, and meters that belonged to nobody for a part of the time. */
static void
add_unbilled(PlaceReport *report)
{
	static DbQuery query = {
		PLACE_SUBTREE "SELECT m.meter_id, m.purpose = 'check' FROM below b"
					  " JOIN prepay.meter m ON m.site_id = $1 AND m.place_id = b.place_id"
					  " WHERE NOT EXISTS (SELECT FROM prepay.account_meter o WHERE o.site_id = $1"
					  "  AND o.meter_id = m.meter_id AND o.valid_from <= $3 AND o.valid_to >= $4)"
					  " ORDER BY m.meter_id",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	const CalZone *zone = report->site->zone;
	Datum args[] = { Int32GetDatum(report->site->site_id), Int32GetDatum(report->place.id),
					 TimestampTzGetDatum(cal_day_start(zone, report->range.first_day)),
					 TimestampTzGetDatum(cal_day_start(zone, report->range.end_day)) };
	int n = db_run(&query, args);
	int32 *meter_id = palloc(sizeof(int32) * Max(n, 1));
	bool *is_check = palloc(sizeof(bool) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		meter_id[i] = db_int32(i, 1);
		is_check[i] = db_bool(i, 2);
	}
	for (i = 0; i < n; i++)
		add_meter(report, meter_id[i], is_check[i]);
}

int64
place_energy(const Site *site, int32 place_id, int32 first_day, int32 end_day)
{
	PlaceReport report = { .site = site, .place = { .id = place_id } };
	int64 wh = 0;

	report.range.first_day = first_day;
	report.range.end_day = end_day;
	report.day = palloc0(sizeof(DayEnergy) * (end_day - first_day));
	add_usage(&report);
	add_unbilled(&report);
	for (int i = 0; i < end_day - first_day; i++)
		wh += report.day[i].wh;
	return wh;
}

static void
put_day(const PlaceReport *report, int32 day, ReturnSetInfo *result)
{
	const DayEnergy *energy = day_energy(report, day);
	Datum values[PLACE_COLUMNS];
	bool nulls[PLACE_COLUMNS] = { false };
	int i = 0;

	values[i++] = CStringGetTextDatum(report->site->code);
	values[i++] = CStringGetTextDatum(report->place.code);
	values[i++] = DateADTGetDatum(day);
	values[i++] = minor_numeric(energy->wh, 3);
	values[i++] = minor_numeric(energy->unowned_wh, 3);
	values[i++] = minor_numeric(energy->estimated_wh, 3);
	values[i++] = minor_numeric(energy->check_wh, 3);
	Assert(i == PLACE_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * energy_by_place(place, t0, t1) → a row for each local day that [t0, t1) touches: the whole
 * day's energy of the meters that stand at the place or anywhere below it; a meter without a
 * place stands at its account's. Reads only.
 */
Datum
prepay_energy_by_place(PG_FUNCTION_ARGS)
{
	PlaceReport report;
	DbSession session;
	int32 day;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the place must be given")));
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_PLACE, &report.place);
	auth_require(session.caller, MAY_READ, report.place.site_id, "see the energy of a place");
	report.site = site_get(report.place.site_id);
	report.range = range_of_args(report.site, fcinfo, 1);
	retention_tell(report.site, report.range.from);
	if (report.range.end_day - report.range.first_day > MAX_DAYS)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a report of %d days is too long",
							   report.range.end_day - report.range.first_day),
						errhint("Ask for at most %d days.", MAX_DAYS)));
	report.day = palloc0(sizeof(DayEnergy) * (report.range.end_day - report.range.first_day));
	add_usage(&report);
	add_unbilled(&report);
	for (day = report.range.first_day; day < report.range.end_day; day++)
		put_day(&report, day, (ReturnSetInfo *) fcinfo->resultinfo);
	db_leave(&session);
	return (Datum) 0;
}
