#include "schedule.h"

#include "utils/builtins.h"
#include "utils/memutils.h"

#include "db.h"
#include "policy.h"

/* The clock is looked at again after so long even where nothing changes. */
#define LOOK_AHEAD_US (INT64CONST(8) * USECS_PER_DAY)

typedef struct Schedule
{
	int32 schedule_id;
	char *code;
	Window window;
	PolicyDays days;
} Schedule;

typedef struct ScheduleSet
{
	int n;
	Schedule *item; /* by schedule_id */
} ScheduleSet;

#define SELECT_SCHEDULES                                                    \
	"SELECT schedule_id, code, weekdays,"                                   \
	" (extract(epoch FROM from_time) * 1000000)::bigint,"                   \
	" (extract(epoch FROM to_time) * 1000000)::bigint, calendar, day_types" \
	" FROM prepay.switch_schedule WHERE site_id = $1 AND active ORDER BY schedule_id"

static void
read_set(const Site *site, TimestampTz moment, MemoryContext memory, ScheduleSet *set)
{
	static DbQuery query = { SELECT_SCHEDULES, 1, { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	SPITupleTable *rows;
	int i;

	set->n = db_run(&query, &arg);
	rows = SPI_tuptable;
	MemoryContextSwitchTo(memory);
	set->item = palloc0(sizeof(Schedule) * Max(set->n, 1));
	for (i = 0; i < set->n; i++)
	{
		Schedule *schedule = &set->item[i];
		char *calendar;
		bool no_types;
		Datum types;

		SPI_tuptable = rows;
		schedule->schedule_id = db_int32(i, 1);
		schedule->code = db_text(i, 2);
		schedule->window.weekdays = policy_weekdays(i, 3);
		schedule->window.has_time = true;
		schedule->window.from_us = db_int64(i, 4);
		schedule->window.to_us = db_int64(i, 5);
		calendar = db_text(i, 6);
		types = db_value(i, 7, &no_types);
		if (calendar == NULL)
			continue;
		policy_days(site, calendar, types, no_types, moment, &schedule->days);
		schedule->window.day = policy_day_fits;
		schedule->window.context = &schedule->days;
	}
}

/* Active rows of the site: read once a statement. */
static const ScheduleSet *
schedule_set(const Site *site, TimestampTz moment)
{
	static MemoryContext memory = NULL;
	static ScheduleSet set;
	static uint64 statement = 0;
	static int32 moment_day = 0;

	if (statement == site->statement && moment_day == site_local_day(site, moment))
		return &set;
	statement = 0;
	if (memory == NULL)
		memory =
			AllocSetContextCreate(TopMemoryContext, "prepay schedules", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(memory);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_set(site, moment, memory, &set);
	SPI_finish();
	statement = site->statement;
	moment_day = site_local_day(site, moment);
	return &set;
}

static const Schedule *
find(const ScheduleSet *set, int32 schedule_id)
{
	int i;

	for (i = 0; i < set->n; i++)
		if (set->item[i].schedule_id == schedule_id)
			return &set->item[i];
	return NULL;
}

/* The first of these rows that switches off at a time; until: nothing changes before. */
static const Schedule *
off_by(const Site *site, const Schedule *const *row, int n, TimestampTz at, TimestampTz *until)
{
	const Schedule *off = NULL;
	int i;

	*until = DT_NOEND;
	for (i = 0; i < n; i++)
	{
		int64 edge;

		if (window_holds(&row[i]->window, site->zone, at, &edge) && off == NULL)
			off = row[i];
		*until = Min(*until, edge);
	}
	return off;
}

static void
apply(const Site *site, const Schedule *const *row, int n, TimestampTz moment, RelayMeter *meter)
{
	TimestampTz until;
	const Schedule *off = off_by(site, row, n, moment, &until);
	bool is_off = off != NULL;

	while (until < moment + LOOK_AHEAD_US)
	{
		TimestampTz next;

		if ((off_by(site, row, n, until, &next) != NULL) != is_off)
			break;
		until = next;
	}
	meter->schedule = off ? pstrdup(off->code) : NULL;
	meter->schedule_until = until;
}

/* Which rows are for which meters: by meter, account, place and all below it, or site. */
void
schedule_apply(const Site *site, TimestampTz moment, RelayMeter *meter, int n)
{
	static DbQuery query = {
		"WITH RECURSIVE base AS MATERIALIZED (SELECT u.meter_id, u.account_id, m.place_id"
		" FROM unnest($2, $3) AS u (meter_id, account_id) JOIN prepay.meter m ON m.site_id = $1"
		" AND m.meter_id = u.meter_id),"
		" up AS (SELECT DISTINCT place_id AS start, place_id FROM base WHERE place_id IS NOT NULL"
		" UNION SELECT u.start, p.parent_id FROM up u JOIN prepay.place p ON p.site_id = $1"
		" AND p.place_id = u.place_id WHERE p.parent_id IS NOT NULL)"
		" SELECT b.meter_id, s.schedule_id FROM base b JOIN prepay.switch_schedule s"
		" ON s.site_id = $1 AND s.active AND (s.meter_id = b.meter_id"
		" OR s.account_id = b.account_id OR s.place_id IN (SELECT u.place_id FROM up u"
		"  WHERE u.start = b.place_id) OR num_nonnulls(s.meter_id, s.account_id, s.place_id) = 0)"
		" ORDER BY b.meter_id, s.schedule_id",
		3,
		{ INT4OID, INT4ARRAYOID, INT4ARRAYOID }
	};
	const ScheduleSet *set = n > 0 ? schedule_set(site, moment) : NULL;
	const Schedule **row;
	int32 *meter_id;
	int32 *account_id;
	Datum args[3];
	int rows;
	int i;
	int next = 0;

	if (set == NULL || set->n == 0)
		return;
	meter_id = palloc(sizeof(int32) * n);
	account_id = palloc(sizeof(int32) * n);
	for (i = 0; i < n; i++)
	{
		meter_id[i] = meter[i].meter_id;
		account_id[i] = meter[i].account_id;
	}
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(meter_id, n);
	args[2] = db_array_int32(account_id, n);
	rows = db_run(&query, args);
	row = palloc(sizeof(Schedule *) * set->n);
	for (i = 0; i < n; i++)
	{
		int n_row = 0;

		for (; next < rows && db_int32(next, 1) == meter[i].meter_id; next++)
			if ((row[n_row] = find(set, db_int32(next, 2))) != NULL)
				n_row++;
		if (n_row > 0)
			apply(site, row, n_row, moment, &meter[i]);
	}
	SPI_freetuptable(SPI_tuptable);
}
