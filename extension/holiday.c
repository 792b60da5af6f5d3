/*
 * holiday.c: the days of calendars, and what follows when somebody changes them.
 *
 * prepay.holiday is a plain table that anybody with the right writes and all sites
 * share; it has no trigger, because a distributed database keeps a copy of it on
 * every node. Two things make a change count all the same.
 *
 * Rating looks the days up as they are. A statement reads the days around the
 * energy it rates by key, once per calendar: a month or two of a calendar are a
 * handful of rows. Compiled tariffs are given the days only when they differ from
 * what they have.
 *
 * What has been rated before is found by tick(). prepay.rated_holiday is a site's copy
 * of the days of the calendars that its tariffs name; where the table differs from
 * the copy, the accounts under such tariffs are queued to be rated again from the
 * first day that differs, and the copy is brought up to date by the same statement,
 * so no change falls between two snapshots. This happens under the exclusive
 * lock of the site: a statement that rates by the old days has committed before, and
 * its accounts are seen; one that starts later reads the new ones.
 */
#include "holiday.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "db.h"
#include "lock.h"
#include "rerate.h"

/* Ranges are widened to whole blocks of days, so that neighbouring statements read the same. */
#define BLOCK_DAYS 64

static MemoryContext calendar_memory = NULL;
static HolidayCalendar **calendars = NULL;
static int n_calendars = 0;

static HolidayCalendar *
find_or_create(const char *name)
{
	MemoryContext old;
	int i;

	for (i = 0; i < n_calendars; i++)
		if (strcmp(calendars[i]->name, name) == 0)
			return calendars[i];
	if (calendar_memory == NULL)
		calendar_memory =
			AllocSetContextCreate(TopMemoryContext, "prepay calendars", ALLOCSET_SMALL_SIZES);
	old = MemoryContextSwitchTo(calendar_memory);
	calendars = core_realloc(calendars, sizeof(HolidayCalendar *) * (n_calendars + 1));
	calendars[n_calendars] = palloc0(sizeof(HolidayCalendar));
	calendars[n_calendars]->name = pstrdup(name);
	MemoryContextSwitchTo(old);
	return calendars[n_calendars++];
}

static bool
same_days(const HolidayCalendar *calendar, int n)
{
	int i;

	if (calendar->content == 0 || calendar->n != n)
		return false;
	for (i = 0; i < n; i++)
	{
		bool isnull;

		if (calendar->day[i] != DatumGetDateADT(db_value(i, 1, &isnull)) ||
			strcmp(calendar->day_type[i], db_text(i, 2)) != 0)
			return false;
	}
	return true;
}

static void
forget_days(HolidayCalendar *calendar)
{
	calendar->content = 0;
	while (calendar->n > 0)
		pfree(calendar->day_type[--calendar->n]);
	if (calendar->day)
	{
		pfree(calendar->day);
		pfree(calendar->day_type);
	}
	calendar->day = NULL;
	calendar->day_type = NULL;
}

/* Take the n rows of the last query. */
static void
keep_days(HolidayCalendar *calendar, int n)
{
	static uint64 contents = 0;
	MemoryContext old = MemoryContextSwitchTo(calendar_memory);

	forget_days(calendar);
	calendar->day = palloc(sizeof(DateADT) * Max(n, 1));
	calendar->day_type = palloc(sizeof(char *) * Max(n, 1));
	for (; calendar->n < n; calendar->n++)
	{
		bool isnull;

		calendar->day[calendar->n] = DatumGetDateADT(db_value(calendar->n, 1, &isnull));
		calendar->day_type[calendar->n] = db_text(calendar->n, 2);
	}
	calendar->content = ++contents;
	MemoryContextSwitchTo(old);
}

static DateADT
block_start(DateADT day)
{
	if (DATE_NOT_FINITE(day))
		return day;
	return day < 0 ? -((BLOCK_DAYS - 1 - day) / BLOCK_DAYS) * BLOCK_DAYS
				   : day / BLOCK_DAYS * BLOCK_DAYS;
}

const HolidayCalendar *
holiday_calendar(const Site *site, const char *name, DateADT from, DateADT to)
{
	static DbQuery query = { "SELECT day, day_type FROM prepay.holiday WHERE calendar = $1"
							 " AND day BETWEEN $2 AND $3 ORDER BY day",
							 3,
							 { TEXTOID, DATEOID, DATEOID } };
	HolidayCalendar *calendar = find_or_create(name);
	Datum args[3];
	int n;

	if (calendar->statement == site->statement)
	{
		if (from >= calendar->from && to <= calendar->to)
			return calendar;
		from = Min(from, calendar->from);
		to = Max(to, calendar->to);
	}
	from = block_start(from);
	to = DATE_NOT_FINITE(to) ? to : block_start(to) + BLOCK_DAYS - 1;
	args[0] = CStringGetTextDatum(name);
	args[1] = DateADTGetDatum(from);
	args[2] = DateADTGetDatum(to);
	n = db_run(&query, args);
	if (!same_days(calendar, n))
		keep_days(calendar, n);
	calendar->statement = site->statement;
	calendar->from = from;
	calendar->to = to;
	return calendar;
}

/* ---- changes ---- */

void
holiday_adopt(const Site *site, const char *calendar)
{
	static DbQuery query = {
		"INSERT INTO prepay.rated_holiday (site_id, calendar, day, day_type)"
		" SELECT $1, h.calendar, h.day, h.day_type FROM prepay.holiday h WHERE h.calendar = $2"
		" AND NOT EXISTS (SELECT FROM prepay.tariff_version v WHERE v.site_id = $1"
		"  AND v.calendar = $2)",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(calendar) };

	if (calendar[0])
		db_run(&query, args);
}

/* Days of the site's calendars that are not as they were rated; now_type NULL: no holiday now. */
#define CHANGED                                                                                  \
	"SELECT h.calendar, h.day, h.day_type AS now_type FROM prepay.holiday h WHERE h.calendar IN" \
	" (SELECT v.calendar FROM prepay.tariff_version v WHERE v.site_id = $1)"                     \
	" AND NOT EXISTS (SELECT FROM prepay.rated_holiday r WHERE r.site_id = $1"                   \
	"  AND r.calendar = h.calendar AND r.day = h.day AND r.day_type = h.day_type)"               \
	" UNION ALL SELECT r.calendar, r.day, NULL FROM prepay.rated_holiday r WHERE r.site_id = $1" \
	" AND NOT EXISTS (SELECT FROM prepay.holiday h WHERE h.calendar = r.calendar AND h.day = r.day)"

static bool
some_changed(const Site *site)
{
	static DbQuery query = { "SELECT EXISTS (" CHANGED ")", 1, { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	db_run(&query, &arg);
	return db_bool(0, 1);
}

bool
holiday_tick(const Site *site)
{
	static DbQuery query = {
		"WITH changed AS MATERIALIZED (" CHANGED "), kept AS ("
		" INSERT INTO prepay.rated_holiday AS r (site_id, calendar, day, day_type)"
		" SELECT $1, c.calendar, c.day, c.now_type FROM changed c WHERE c.now_type IS NOT NULL"
		" ON CONFLICT (site_id, calendar, day) DO UPDATE SET day_type = EXCLUDED.day_type),"
		"gone AS (DELETE FROM prepay.rated_holiday r USING changed c WHERE r.site_id = $1"
		" AND r.calendar = c.calendar AND r.day = c.day AND c.now_type IS NULL)"
		"SELECT c.calendar, array_agg(c.day) FROM changed c GROUP BY c.calendar",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(site->site_id);
	char **calendar;
	Datum *days;
	int n;
	int i;

	if (!some_changed(site))
		return false;
	lock_site_exclusive(site->site_id);
	n = db_run(&query, &arg);
	calendar = palloc(sizeof(char *) * Max(n, 1));
	days = palloc(sizeof(Datum) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		bool isnull;

		calendar[i] = db_text(i, 1);
		days[i] = PointerGetDatum(DatumGetArrayTypePCopy(db_value(i, 2, &isnull)));
	}
	for (i = 0; i < n; i++)
		rerate_queue_calendar(site, calendar[i], days[i]);
	return true;
}
