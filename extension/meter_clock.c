/*
 * meter_clock.c: meters' own clocks: alarm and correction by policy.
 *
 * A clock that is set moves energy between time-of-use registers when an edge lies between
 * the old time and the new: put forward over 22:00 the meter counts minutes of peak as
 * valley, put back it counts them twice. So a clock is set only where no edge of the
 * meter's tariff, no midnight and no change of the offset lies within the error and a
 * margin on either side of now, and the command is valid no longer than the margin.
 * Greater errors than clock_correct_max are for a person: a meter that is a day off is
 * broken, or shows another time zone.
 */
#include "meter_clock.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#include "alarm.h"
#include "command.h"
#include "db.h"
#include "quiet.h"
#include "tariff_store.h"

#define MARGIN_US (INT64CONST(10) * 60 * USECS_PER_SEC)
/* What is older says nothing about the clock now. */
#define SEEN_WITHIN_US USECS_PER_DAY

typedef struct MeterClock
{
	int32 meter_id;
	int32 account_id; /* 0: none */
	int64 error_us;	  /* meter minus ours; positive: it is fast */
	bool can_set;	  /* the profile has set_clock and no such command of today is there */
	bool alarmed;
} MeterClock;

typedef struct Policy
{
	int64 alarm_us;
	int64 above_us; /* correct errors greater than this; 0: never */
	int64 most_us;
	bool has_hours;
	QuietHours hours;
} Policy;

/* Meters whose newest reading of the last day has a clock. */
static int
load_clocks(const Site *site, MeterClock **clock)
{
	static DbQuery query = {
		"SELECT m.meter_id, t.account_id,"
		" (extract(epoch FROM r.meter_clock - r.read_at) * 1000000)::int8,"
		" mm.can_set AND " METER_IS_ADDRESSED " AND NOT EXISTS (SELECT FROM prepay.command k"
		"  WHERE k.site_id = $1 AND k.meter_id = m.meter_id AND k.action = 'set_clock'"
		"  AND k.created_at > r.read_at - interval '20 hours'"
		"  AND k.status NOT IN ('superseded', 'cancelled', 'expired')),"
		" EXISTS (SELECT FROM prepay.alarm l WHERE l.site_id = $1 AND l.meter_id = m.meter_id"
		"  AND l.kind = 'clock_drift' AND l.cleared_at IS NULL)"
		" FROM (SELECT code, profile -> 'commands' ? 'set_clock' AS can_set"
		"  FROM prepay.meter_model WHERE profile @> '{\"points\": [{\"name\": \"meter_clock\"}]}')"
		" AS mm JOIN prepay.meter m ON m.site_id = $1 AND m.model = mm.code"
		" JOIN LATERAL (SELECT read_at, meter_clock FROM prepay.reading WHERE site_id = $1"
		"  AND meter_id = m.meter_id AND read_at > $2 AND read_at <= $3"
		"  ORDER BY read_at DESC LIMIT 1) AS r ON r.meter_clock IS NOT NULL"
		" LEFT JOIN prepay.account_meter t ON t.site_id = $1 AND t.meter_id = m.meter_id"
		" AND t.valid_from <= $3 AND t.valid_to > $3 ORDER BY m.meter_id",
		3,
		{ INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now - SEEN_WITHIN_US),
					 TimestampTzGetDatum(site->now) };
	int n = db_run(&query, args);
	int i;

	*clock = palloc(sizeof(MeterClock) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		MeterClock *c = &(*clock)[i];

		c->meter_id = db_int32(i, 1);
		c->account_id = db_int32_or(i, 2, 0);
		c->error_us = db_int64(i, 3);
		c->can_set = db_bool(i, 4);
		c->alarmed = db_bool(i, 5);
	}
	SPI_freetuptable(SPI_tuptable);
	return n;
}

static void
load_policy(const Site *site, Policy *policy)
{
	char *hours = setting_text(site, "clock_correct_hours");

	policy->alarm_us = setting_interval_us(site, "clock_drift_alarm", 0);
	policy->above_us = setting_interval_us(site, "clock_correct_above", 0);
	policy->most_us = setting_interval_us(site, "clock_correct_max", 0);
	policy->has_hours = hours && quiet_parse(hours, &policy->hours);
}

static char *
describe(int64 error_us)
{
	int64 second = Abs(error_us) / USECS_PER_SEC;

	return psprintf("The meter's clock is %lld min %lld s %s.", (long long) second / 60,
					(long long) second % 60, error_us > 0 ? "fast" : "slow");
}

static void
judge(const Site *site, const Policy *policy, const MeterClock *clock)
{
	bool off = Abs(clock->error_us) > policy->alarm_us;

	if (off && !clock->alarmed)
		(void) alarm_raise_meter(site, clock->meter_id, "clock_drift", ALARM_WARNING,
								 describe(clock->error_us));
	else if (!off && clock->alarmed)
		(void) alarm_clear_meter(site, clock->meter_id, "clock_drift");
}

/* Whether a day, an offset or a slot of the tariff begins within [from, to]. */
static bool
has_edge(const Site *site, const TariffRules *rules, TimestampTz from, TimestampTz to)
{
	CalLocal first;
	CalLocal last;
	RateSpan *span;
	const TariffRow *row;
	int n = tariff_spans(site, rules, from, to, &span);
	int i;

	cal_local(site->zone, from, &first);
	cal_local(site->zone, to, &last);
	if (n != 1 || first.day != last.day || first.offset_us != last.offset_us)
		return true;
	if (span[0].tariff == NULL)
		return false;
	tariff_know_days(site, tariff_code(site, span[0].tariff_id), from, to);
	row = tariff_row(span[0].tariff, first.day);
	for (i = 0; i < row->n; i++)
	{
		int64 at = row->slot[i].minute * INT64CONST(60) * USECS_PER_SEC;

		if (at >= first.us && at <= last.us)
			return true;
	}
	return false;
}

static bool
may_correct(const Site *site, const Policy *policy, const MeterClock *clock)
{
	int64 error = Abs(clock->error_us);
	TariffRules rules;

	if (!clock->can_set || policy->above_us == 0 || error <= policy->above_us ||
		error > policy->most_us)
		return false;
	rules = tariff_rules(site, clock->meter_id, clock->account_id);
	return !has_edge(site, &rules, site->now - error - MARGIN_US, site->now + error + MARGIN_US);
}

int
meter_clock_check(const Site *site)
{
	Policy policy;
	MeterClock *clock;
	int64_t end;
	bool in_hours;
	int n;
	int queued = 0;
	int i;

	load_policy(site, &policy);
	in_hours = !policy.has_hours || quiet_end(site->zone, &policy.hours, site->now, &end);
	n = load_clocks(site, &clock);
	for (i = 0; i < n; i++)
	{
		Command command = { .meter_id = clock[i].meter_id,
							.account_id = clock[i].account_id,
							.action = "set_clock",
							.operator_name = "clock",
							.valid_until = site->now + MARGIN_US };

		judge(site, &policy, &clock[i]);
		if (!in_hours || !may_correct(site, &policy, &clock[i]))
			continue;
		command.reason = describe(clock[i].error_us);
		(void) command_queue(site, &command);
		queued++;
	}
	return queued;
}
