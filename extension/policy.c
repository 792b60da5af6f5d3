#include "policy.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "db.h"
#include "holiday.h"

#define DAYS_BACK 2
#define DAYS_AHEAD 400
#define USUAL_DAY_TYPE "holiday"

/* ---- days ---- */

static bool
is_type(const PolicyDays *days, const char *type)
{
	int i;

	for (i = 0; i < days->n_type; i++)
		if (strcmp(days->type[i], type) == 0)
			return true;
	return false;
}

/* A day that the calendar does not list is a weekend or a workday by its weekday. */
bool
policy_day_fits(const void *context, int32 day)
{
	const PolicyDays *days = context;
	int low = 0;
	int high = days->n;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (days->day[middle] < day)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < days->n && days->day[low] == day)
		return days->hit[low];
	return is_type(days, cal_weekday(day) >= 6 ? "weekend" : "workday");
}

void
policy_days(const Site *site, const char *calendar, Datum types, bool no_types, TimestampTz moment,
			PolicyDays *days)
{
	MemoryContext memory = CurrentMemoryContext;
	int32 moment_day = site_local_day(site, moment);
	const HolidayCalendar *holiday =
		holiday_calendar(site, calendar, Min(site->today, moment_day) - DAYS_BACK,
						 Max(site->today, moment_day) + DAYS_AHEAD);
	Datum *type;
	bool *isnull;
	int i;

	/* A query leaves us in the memory of SPI. */
	MemoryContextSwitchTo(memory);
	if (no_types)
	{
		days->n_type = 1;
		days->type = palloc(sizeof(char *));
		days->type[0] = pstrdup(USUAL_DAY_TYPE);
	}
	else
	{
		deconstruct_array(DatumGetArrayTypeP(types), TEXTOID, -1, false, TYPALIGN_INT, &type,
						  &isnull, &days->n_type);
		days->type = palloc(sizeof(char *) * Max(days->n_type, 1));
		for (i = 0; i < days->n_type; i++)
			days->type[i] = TextDatumGetCString(type[i]);
	}
	days->n = holiday->n;
	days->day = palloc(sizeof(int32) * Max(days->n, 1));
	days->hit = palloc(sizeof(bool) * Max(days->n, 1));
	for (i = 0; i < days->n; i++)
	{
		days->day[i] = holiday->day[i];
		days->hit[i] = is_type(days, holiday->day_type[i]);
	}
}

unsigned
policy_weekdays(uint64 row, int column)
{
	bool isnull;
	Datum array = db_value(row, column, &isnull);
	unsigned mask = 0;
	Datum *day;
	int n;

	if (isnull)
		return 0;
	deconstruct_array(DatumGetArrayTypeP(array), INT4OID, sizeof(int32), true, TYPALIGN_INT, &day,
					  NULL, &n);
	while (n-- > 0)
		mask |= 1u << DatumGetInt32(day[n]);
	return mask;
}

/* ---- rows ---- */

#define SELECT_POLICIES                                                            \
	"SELECT code, place_id, account_id, load_class, weekdays,"                     \
	" (extract(epoch FROM from_time) * 1000000)::bigint,"                          \
	" (extract(epoch FROM to_time) * 1000000)::bigint, calendar, day_types,"       \
	" (extract(epoch FROM grace) * 1000000)::bigint, notice,"                      \
	" (extract(epoch FROM stale_after) * 1000000)::bigint, dispute,"               \
	" (reconnect_percent * 1000000)::bigint, reconnect_days, valid_from, valid_to" \
	" FROM prepay.supply_policy WHERE site_id = $1 AND active ORDER BY policy_id"

static void
read_policy(const Site *site, uint64 row, Policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	policy->code = db_text(row, 1);
	policy->place_id = db_int32_or(row, 2, 0);
	policy->account_id = db_int32_or(row, 3, 0);
	policy->load_class = db_text(row, 4);
	policy->window.weekdays = policy_weekdays(row, 5);
	policy->window.from_us = db_int64_or(row, 6, -1);
	policy->window.to_us = db_int64_or(row, 7, -1);
	policy->window.has_time = policy->window.from_us >= 0;
	policy->grace_us = db_int64_or(row, 10, 0);
	policy->notice = db_bool(row, 11);
	policy->stale_us = db_int64_or(row, 12, 0);
	policy->dispute = db_bool(row, 13);
	policy->reconnect_e6 = db_int64_or(row, 14, 0);
	policy->reconnect_days = db_int32_or(row, 15, 0);
	policy->valid_from = db_time(row, 16);
	policy->valid_to = db_time(row, 17);
}

static void
note_conditions(PolicySet *set, const Policy *policy)
{
	set->by_place |= policy->place_id != 0;
	set->by_notice |= policy->notice;
	set->by_stale |= policy->stale_us != 0;
	set->by_payment |= policy->reconnect_e6 != 0;
}

static void
read_set(const Site *site, TimestampTz moment, MemoryContext memory, PolicySet *set)
{
	static DbQuery query = { SELECT_POLICIES, 1, { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	SPITupleTable *rows;
	int i;

	memset(set, 0, sizeof(*set));
	set->n = db_run(&query, &arg);
	rows = SPI_tuptable;
	MemoryContextSwitchTo(memory);
	set->item = palloc0(sizeof(Policy) * Max(set->n, 1));
	for (i = 0; i < set->n; i++)
	{
		Policy *policy = &set->item[i];
		char *calendar;
		bool no_types;
		Datum types;

		SPI_tuptable = rows;
		read_policy(site, i, policy);
		calendar = db_text(i, 8);
		types = db_value(i, 9, &no_types);
		if (calendar)
		{
			policy_days(site, calendar, types, no_types, moment, &policy->days);
			policy->window.day = policy_day_fits;
			policy->window.context = &policy->days;
		}
		policy->has_window = policy->window.weekdays || policy->window.has_time || calendar;
		note_conditions(set, policy);
	}
	set->stale_max_us = setting_micro(site, "stale_max_days", 0) * 86400;
	set->notice_max_us = setting_micro(site, "notice_max_hours", 0) * 3600;
	set->grace_us = setting_micro(site, "grace_hours", 0) * 3600;
}

const PolicySet *
policy_set(const Site *site, TimestampTz moment)
{
	static MemoryContext memory = NULL;
	static PolicySet set;
	static uint64 statement = 0;
	static int32 site_id = 0;
	static int32 moment_day = 0;

	if (statement == site->statement && site_id == site->site_id &&
		moment_day == site_local_day(site, moment))
		return &set;
	statement = 0;
	if (memory == NULL)
		memory = AllocSetContextCreate(TopMemoryContext, "prepay policies", ALLOCSET_DEFAULT_SIZES);
	MemoryContextReset(memory);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	read_set(site, moment, memory, &set);
	SPI_finish();
	statement = site->statement;
	site_id = site->site_id;
	moment_day = site_local_day(site, moment);
	return &set;
}

/* ---- conditions ---- */

static TimestampTz
later(TimestampTz at, int64 us)
{
	return TIMESTAMP_NOT_FINITE(at) || us > DT_NOEND - at ? DT_NOEND : at + us;
}

static bool
waits_for_notice(const PolicySet *set, const PolicyFacts *facts, TimestampTz at, TimestampTz *until)
{
	TimestampTz end = later(facts->used_up_at, set->notice_max_us);

	if (facts->used_up_at == DT_NOBEGIN || facts->delivered_at != DT_NOBEGIN || at >= end)
		return false;
	*until = Min(*until, end);
	return true;
}

/* Of a time to come nobody knows whether readings will have stopped: it goes by those of now. */
static bool
is_stale(const Site *site, const PolicySet *set, const Policy *policy, const PolicyFacts *facts,
		 TimestampTz at, TimestampTz *until)
{
	TimestampTz end = later(facts->last_read_at, set->stale_max_us);

	if (facts->last_read_at == DT_NOBEGIN || at >= end ||
		Min(at, site->now) < later(facts->last_read_at, policy->stale_us))
		return false;
	*until = Min(*until, end);
	return true;
}

static bool
in_grace(TimestampTz from, int64 grace_us, TimestampTz at, TimestampTz *until)
{
	TimestampTz end = later(from, grace_us);

	if (from == DT_NOBEGIN || at >= end)
		return false;
	*until = Min(*until, end);
	return true;
}

bool
policy_holds(const Site *site, const PolicySet *set, const Policy *policy, const PolicyFacts *facts,
			 TimestampTz at, TimestampTz *until)
{
	int64 edge;

	*until = policy->valid_to;
	if (policy->reconnect_e6 != 0 || at < policy->valid_from || at >= policy->valid_to)
		return false;
	if (policy->has_window)
	{
		if (!window_holds(&policy->window, site->zone, at, &edge))
			return false;
		*until = Min(*until, edge);
	}
	if (policy->grace_us != 0 && !in_grace(facts->used_up_at, policy->grace_us, at, until))
		return false;
	if (policy->notice && !waits_for_notice(set, facts, at, until))
		return false;
	return policy->stale_us == 0 || is_stale(site, set, policy, facts, at, until);
}

bool
policy_backlog_holds(const PolicySet *set, const PolicyFacts *facts, TimestampTz at,
					 TimestampTz *until)
{
	*until = DT_NOEND;
	return facts->by_backlog && set->grace_us > 0 &&
		   in_grace(Max(facts->notice_at, facts->used_up_at), set->grace_us, at, until);
}
