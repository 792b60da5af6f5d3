#include "schedule.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#include "db.h"
#include "policy.h"

/* The clock is looked at again after so long even where nothing changes. */
#define LOOK_AHEAD_US (INT64CONST(8) * USECS_PER_DAY)

typedef struct Schedule
{
	int32 schedule_id;
	char *code;
	int64 cap_w; /* 0: it switches off */
	Window window;
	PolicyDays days;
} Schedule;

typedef struct ScheduleSet
{
	int n;
	bool has_off;
	Schedule *item; /* by schedule_id */
} ScheduleSet;

#define SELECT_SCHEDULES                                                     \
	"SELECT schedule_id, code, weekdays,"                                    \
	" (extract(epoch FROM from_time) * 1000000)::bigint,"                    \
	" (extract(epoch FROM to_time) * 1000000)::bigint, calendar, day_types," \
	" COALESCE((cap_kw * 1000)::bigint, 0)"                                  \
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
	set->has_off = false;
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
		schedule->cap_w = db_int64(i, 8);
		set->has_off |= schedule->cap_w == 0;
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

/* Rows for meters, by meter and row: by meter, account, place and all below it, or site. */
static int
select_rows(const Site *site, const int32 *meter_id, const int32 *account_id, int n)
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
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n),
					 db_array_int32(account_id, n) };

	return (int) db_run(&query, args);
}

/* Of the selected rows, those of one kind for the next meter; *next moves on behind them. */
static int
take_rows(const ScheduleSet *set, int32 meter_id, bool caps, int rows, int *next,
		  const Schedule **row)
{
	int n = 0;

	for (; *next < rows && db_int32(*next, 1) == meter_id; (*next)++)
	{
		const Schedule *schedule = find(set, db_int32(*next, 2));

		if (schedule && (schedule->cap_w > 0) == caps)
			row[n++] = schedule;
	}
	return n;
}

void
schedule_apply(const Site *site, TimestampTz moment, RelayMeter *meter, int n)
{
	const ScheduleSet *set = n > 0 ? schedule_set(site, moment) : NULL;
	const Schedule **row;
	int32 *meter_id;
	int32 *account_id;
	int rows;
	int next = 0;
	int i;

	if (set == NULL || !set->has_off)
		return;
	meter_id = palloc(sizeof(int32) * n);
	account_id = palloc(sizeof(int32) * n);
	for (i = 0; i < n; i++)
	{
		meter_id[i] = meter[i].meter_id;
		account_id[i] = meter[i].account_id;
	}
	rows = select_rows(site, meter_id, account_id, n);
	row = palloc(sizeof(Schedule *) * set->n);
	for (i = 0; i < n; i++)
	{
		int n_row = take_rows(set, meter[i].meter_id, false, rows, &next, row);

		if (n_row > 0)
			apply(site, row, n_row, moment, &meter[i]);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* ---- caps ---- */

typedef struct KnownCaps
{
	int32 site_id;
	uint64 known_since; /* Site.known_since it belongs to; 0: to none */
	bool has_caps;
} KnownCaps;

bool
schedule_has_caps(const Site *site)
{
	static HTAB *table = NULL;
	static DbQuery query = { "SELECT EXISTS (SELECT FROM prepay.switch_schedule"
							 " WHERE site_id = $1 AND active AND action = 'cap')",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	KnownCaps *known;
	bool found;

	if (table == NULL)
	{
		HASHCTL control = { .keysize = sizeof(int32), .entrysize = sizeof(KnownCaps) };

		table = hash_create("prepay caps", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	known = hash_search(table, &site->site_id, HASH_ENTER, &found);
	if (!found)
		known->known_since = 0;
	if (known->known_since != site->known_since)
	{
		known->known_since = 0;
		db_run(&query, &arg);
		known->has_caps = db_bool(0, 1);
		known->known_since = site->known_since;
	}
	return known->has_caps;
}

/* The lowest cap in force of these rows; NULL: none. */
static const Schedule *
cap_by(const Site *site, const Schedule *const *row, int n, TimestampTz at, TimestampTz *until)
{
	const Schedule *lowest = NULL;
	int i;

	*until = DT_NOEND;
	for (i = 0; i < n; i++)
	{
		int64 edge;

		if (row[i]->cap_w == 0)
			continue;
		if (window_holds(&row[i]->window, site->zone, at, &edge) &&
			(lowest == NULL || row[i]->cap_w < lowest->cap_w))
			lowest = row[i];
		*until = Min(*until, edge);
	}
	return lowest;
}

int64
schedule_lowest_cap(const Site *site, TimestampTz at, TimestampTz *until)
{
	const ScheduleSet *set = schedule_set(site, site->now);
	const Schedule **row = palloc(sizeof(Schedule *) * Max(set->n, 1));
	const Schedule *lowest;
	int i;

	for (i = 0; i < set->n; i++)
		row[i] = &set->item[i];
	lowest = cap_by(site, row, set->n, at, until);
	pfree(row);
	return lowest ? lowest->cap_w : 0;
}

ScheduleCaps *
schedule_caps(const Site *site, const int32 *meter_id, const int32 *account_id, int n)
{
	const ScheduleSet *set = schedule_set(site, site->now);
	ScheduleCaps *caps = palloc(sizeof(ScheduleCaps) * n);
	int rows = select_rows(site, meter_id, account_id, n);
	int next = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		caps[i].row = palloc(sizeof(Schedule *) * Max(set->n, 1));
		caps[i].n = take_rows(set, meter_id[i], true, rows, &next, caps[i].row);
	}
	SPI_freetuptable(SPI_tuptable);
	return caps;
}

int64
schedule_cap(const Site *site, const ScheduleCaps *caps, TimestampTz at, const char **code)
{
	TimestampTz until;
	const Schedule *lowest = cap_by(site, caps->row, caps->n, at, &until);

	*code = lowest ? lowest->code : NULL;
	return lowest ? lowest->cap_w : 0;
}
