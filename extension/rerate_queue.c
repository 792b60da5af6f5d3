/*
 * rerate_queue.c: late readings, and accounts whose past has to be priced again.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "db.h"
#include "rerate.h"
#include "retention.h"
#include "tariff_store.h"

/* Accounts rated again at once by the call that made it necessary; tick() does the rest. */
#define AT_ONCE 50
#define FIRST_DAY (-36524) /* 1900-01-01 */

/*
 * A meter as it was when its register went from one value to another: by the dated
 * facts at the end; of several ratios the least, so that no use is called a spike.
 */
static Meter
meter_then(const Site *site, const Meter *meter, TimestampTz from, TimestampTz to)
{
	static DbQuery query = {
		"SELECT min((t.ratio * 1000000)::bigint),"
		" (array_agg((t.register_max * 1000)::bigint ORDER BY t.valid_from DESC))[1],"
		" (array_agg(t.reverse_energy = 'add' ORDER BY t.valid_from DESC))[1]"
		" FROM prepay.meter_term t WHERE t.site_id = $1 AND t.meter_id = $2 AND t.valid_from <= $4"
		" AND NOT EXISTS (SELECT FROM prepay.meter_term n WHERE n.site_id = $1 AND n.meter_id = $2"
		"  AND n.valid_from > t.valid_from AND n.valid_from <= $3)",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 TimestampTzGetDatum(from), TimestampTzGetDatum(to) };
	Meter then = *meter;

	if (from >= meter->facts_from)
		return then;
	db_run(&query, args);
	then.ratio_e6 = db_int64(0, 1);
	then.register_max_wh = db_int64_or(0, 2, 0);
	then.reverse_add = db_bool(0, 3);
	return then;
}

typedef struct Neighbour
{
	TimestampTz read_at;
	int64 wh;
	int64 reverse_wh;
	TouRegisters tou;
} Neighbour;

static const char *
judge_step(const Site *site, const Meter *meter, const Neighbour *from, const Neighbour *to,
		   int64 spike_margin_e6)
{
	Meter then = meter_then(site, meter, from->read_at, to->read_at);
	RegisterStep step;
	const char *reason = accept_step(&then, from->read_at, from->wh, from->reverse_wh, to->read_at,
									 to->wh, to->reverse_wh, spike_margin_e6, &step);

	return reason ? reason : accept_periods(site, &then, &from->tou, to->read_at, &to->tou, &step);
}

/*
 * A reading is believed when it fits between its believed neighbours. What is
 * believed already stays so: a late outlier does not overturn later readings.
 */
const char *
rerate_judge(const Site *site, const Meter *meter, const Reading *reading, bool anew,
			 int64 spike_margin_e6, int32 *from_day)
{
	static DbQuery neighbours = {
		"(SELECT r.read_at, r.register_wh, r.reverse_wh, true, r.period_kwh"
		" FROM prepay.reading_believed r"
		" WHERE r.site_id = $1 AND r.meter_id = $2 AND r.read_at < $3"
		" AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1)"
		" UNION ALL "
		"(SELECT r.read_at, r.register_wh, r.reverse_wh, false, r.period_kwh"
		" FROM prepay.reading_believed r"
		" WHERE r.site_id = $1 AND r.meter_id = $2 AND r.read_at > $3"
		" AND (r.mark IS NULL OR r.mark IN ('accepted', 'rollover'))"
		" AND r.read_at <> ALL ($4) ORDER BY r.read_at LIMIT 1)",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZARRAYOID }
	};
	/* Later late readings of the same statement are not judged yet, so they are no neighbours. */
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 TimestampTzGetDatum(reading->read_at),
					 db_array(meter->undecided, NULL, meter->n_undecided, TIMESTAMPTZOID) };
	int n = db_run(&neighbours, args);
	Neighbour own = { reading->read_at, reading->wh, reading->reverse_wh, reading->tou };
	Neighbour neighbour[2];
	bool is_before[2];
	TimestampTz day_of = reading->read_at;
	const char *reason = NULL;
	int i;

	for (i = 0; i < n; i++)
	{
		bool isnull;
		Datum registers;

		neighbour[i].read_at = db_time(i, 1);
		neighbour[i].wh = db_int64(i, 2);
		neighbour[i].reverse_wh = db_int64(i, 3);
		is_before[i] = db_bool(i, 4);
		registers = db_value(i, 5, &isnull);
		neighbour[i].tou = isnull ? (TouRegisters){ 0 } : tou_registers(registers);
		if (is_before[i])
			day_of = neighbour[i].read_at;
	}
	for (i = 0; i < n && reason == NULL; i++)
		if (!is_before[i])
			reason = judge_step(site, meter, &own, &neighbour[i], spike_margin_e6);
		else if (!anew)
			reason = judge_step(site, meter, &neighbour[i], &own, spike_margin_e6);
	*from_day = site_local_day(site, day_of);
	/* As it is now: the rows were read under a lock that drop_readings() waits for. */
	if (reason == NULL && *from_day < site_get(site->site_id)->kept_day)
		reason = RETENTION_REASON;
	return reason;
}

int32
rerate_accept_late(const Site *site, const Meter *meter, const Reading *reading,
				   int64 spike_margin_e6)
{
	int32 from_day;
	const char *reason = rerate_judge(site, meter, reading, false, spike_margin_e6, &from_day);

	if (reason == NULL)
		return from_day;
	accept_hold(site, meter->meter_id, reading->read_at, reading->wh, reason, "held",
				accept_detail(meter, reading, reason));
	return NO_RERATE;
}

static int32
day_floor(const Site *site, TimestampTz instant)
{
	/* -infinity has no day: rerate_account() takes the account's first day then. */
	return TIMESTAMP_NOT_FINITE(instant) ? FIRST_DAY : site_local_day(site, instant);
}

#define QUEUE_INSERT                                                                          \
	"INSERT INTO prepay.rerate_queue AS q (site_id, account_id, from_day, reason, queued_at)" \
	" SELECT $1, c.account_id, date '2000-01-01' + min(c.from_day), 'tariff', $2 FROM ("

#define QUEUE_END                                              \
	") c WHERE c.account_id IS NOT NULL GROUP BY c.account_id" \
	" ON CONFLICT (site_id, account_id) DO UPDATE SET"         \
	" from_day = least(q.from_day, EXCLUDED.from_day)"

/* Readings that wait for a tariff may have one now, of whomever their energy is. */
#define WAITING                                                                             \
	"SELECT o.account_id, min(k.read_at AT TIME ZONE t.timezone)::date - date '2000-01-01'" \
	" AS from_day FROM prepay.reading_mark k JOIN prepay.account_meter o"                   \
	" USING (site_id, meter_id) JOIN prepay.site t USING (site_id) WHERE k.site_id = $1"    \
	" AND k.mark = 'waiting' GROUP BY o.account_id"

/*
 * Whoever is or was in the scope of some assignments: by the meters they had, whoever has
 * those now, or by themselves, for accounts without any bear standing charges. Nothing that
 * is rated tells them all: a tariff may be new to a day that has no line at all.
 */
#define HAD " AND o.valid_to > $4"

#define QUEUE_SCOPE(scope)                                                                    \
	"WITH RECURSIVE scope (kind, id) AS (" scope "), below (place_id, depth) AS ("            \
	" SELECT id, 0 FROM scope WHERE kind = 'place' UNION ALL"                                 \
	" SELECT p.place_id, b.depth + 1 FROM below b JOIN prepay.place p"                        \
	"  ON p.site_id = $1 AND p.parent_id = b.place_id WHERE b.depth < 100),"                  \
	" had (account_id, meter_id) AS ("                                                        \
	" SELECT a.account_id, o.meter_id FROM prepay.account a LEFT JOIN prepay.account_meter o" \
	"  ON o.site_id = $1 AND o.account_id = a.account_id" HAD                                 \
	"  WHERE a.site_id = $1 AND EXISTS (SELECT FROM scope WHERE kind = 'site')"               \
	" UNION ALL SELECT o.account_id, o.meter_id FROM scope c JOIN prepay.account_meter o"     \
	"  ON o.site_id = $1 AND o.meter_id = c.id" HAD " WHERE c.kind = 'meter'"                 \
	" UNION ALL SELECT c.id, o.meter_id FROM scope c LEFT JOIN prepay.account_meter o"        \
	"  ON o.site_id = $1 AND o.account_id = c.id" HAD " WHERE c.kind = 'account'"             \
	" UNION ALL SELECT o.account_id, o.meter_id FROM below b JOIN prepay.meter m"             \
	"  ON m.site_id = $1 AND m.place_id = b.place_id JOIN prepay.account_meter o"             \
	"  ON o.site_id = $1 AND o.meter_id = m.meter_id" HAD                                     \
	" UNION ALL SELECT a.account_id, o.meter_id FROM below b JOIN prepay.account a"           \
	"  ON a.site_id = $1 AND a.place_id = b.place_id LEFT JOIN prepay.account_meter o"        \
	"  ON o.site_id = $1 AND o.account_id = a.account_id" HAD                                 \
	"  LEFT JOIN prepay.meter m ON m.site_id = $1 AND m.meter_id = o.meter_id"                \
	"  WHERE m.place_id IS NULL)" QUEUE_INSERT                                                \
	"SELECT h.account_id, $3 AS from_day FROM had h LEFT JOIN prepay.meter_state s"           \
	"  ON s.site_id = $1 AND s.meter_id = h.meter_id"                                         \
	"  WHERE $4 < $2 OR s.last_read_at > $4 UNION ALL " WAITING QUEUE_END

void
rerate_queue_tariff(const Site *site, int32 tariff_id, TimestampTz valid_from)
{
	static DbQuery query = {
		QUEUE_SCOPE("SELECT DISTINCT target_kind, target_id FROM prepay.tariff_assignment"
					" WHERE site_id = $1 AND tariff_id = $5"),
		5,
		{ INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 Int32GetDatum(day_floor(site, valid_from)), TimestampTzGetDatum(valid_from),
					 Int32GetDatum(tariff_id) };

	db_run(&query, args);
	rerate_work(site_get(site->site_id), AT_ONCE);
}

void
rerate_queue_target(const Site *site, const char *kind, int32 target_id, TimestampTz valid_from)
{
	static DbQuery query = { QUEUE_SCOPE("SELECT $5, $6"),
							 6,
							 { INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTOID,
							   INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id),
					 TimestampTzGetDatum(site->now),
					 Int32GetDatum(day_floor(site, valid_from)),
					 TimestampTzGetDatum(valid_from),
					 CStringGetTextDatum(kind),
					 Int32GetDatum(target_id) };

	db_run(&query, args);
	rerate_work(site_get(site->site_id), AT_ONCE);
}

/*
 * Accounts with energy on or after a changed day under a tariff that names the calendar,
 * or in an interval that goes on to it: what is sealed says so; of open days it is known
 * where one tariff has held throughout. Changed days before the account's first, or later
 * than anything that can have been rated, are nothing to it.
 */
void
rerate_queue_calendar(const Site *site, const char *calendar, Datum days)
{
	static DbQuery query = {
		"WITH by AS MATERIALIZED (SELECT DISTINCT v.tariff_id FROM prepay.tariff_version v"
		"  WHERE v.site_id = $1 AND v.calendar = $3)"
		"INSERT INTO prepay.rerate_queue AS q (site_id, account_id, from_day, reason, queued_at)"
		" SELECT $1, a.account_id, c.from_day, 'holiday', $2 FROM prepay.account_state a"
		" JOIN prepay.site t USING (site_id) CROSS JOIN LATERAL (SELECT min(d.day) AS from_day"
		"  FROM unnest($4) AS d (day) WHERE d.day <= $5 AND d.day >= (SELECT"
		"   min((o.valid_from AT TIME ZONE t.timezone)::date) FROM prepay.account_meter o"
		"   WHERE o.site_id = $1 AND o.account_id = a.account_id)) c"
		" WHERE a.site_id = $1 AND c.from_day IS NOT NULL AND (a.leaving_lines <> ''"
		"  OR EXISTS (SELECT FROM prepay.meter_state s WHERE s.site_id = $1"
		"   AND s.account_id = a.account_id AND s.open_lines <> ''"
		"   AND (s.tariff_id IN (SELECT b.tariff_id FROM by b) OR COALESCE("
		"    s.tariff_from > a.sealed_to::timestamp AT TIME ZONE t.timezone"
		"    OR s.tariff_until < s.last_read_at, true)))"
		"  OR EXISTS (SELECT FROM prepay.usage_line u WHERE u.site_id = $1"
		"   AND u.account_id = a.account_id AND u.day >= c.from_day"
		"   AND u.tariff_id IN (SELECT b.tariff_id FROM by b))"
		"  OR EXISTS (SELECT FROM prepay.account_meter o CROSS JOIN LATERAL ("
		"    SELECT (r.read_at AT TIME ZONE t.timezone)::date AS day FROM prepay.reading_believed r"
		"    WHERE r.site_id = o.site_id AND r.meter_id = o.meter_id"
		"    AND r.read_at < c.from_day::timestamp AT TIME ZONE t.timezone"
		"    AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1) r"
		"   JOIN prepay.usage_line u ON u.site_id = o.site_id AND u.account_id = o.account_id"
		"    AND u.day >= r.day AND u.day < c.from_day"
		"   WHERE o.site_id = $1 AND o.account_id = a.account_id"
		"   AND u.tariff_id IN (SELECT b.tariff_id FROM by b)))"
		" ON CONFLICT (site_id, account_id) DO UPDATE SET"
		" from_day = least(q.from_day, EXCLUDED.from_day)",
		5,
		{ INT4OID, TIMESTAMPTZOID, TEXTOID, DATEARRAYOID, DATEOID }
	};
	/* Nothing later than this is rated. */
	TimestampTz last = site->now + setting_interval_us(site, "clock_drift_limit", 0);
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(calendar), days,
					 DateADTGetDatum(site_local_day(site, last)) };

	db_run(&query, args);
}

/*
 * Intervals that straddle the begin of a day are shared anew as a whole when a fact
 * within them changes, so the account is rated from the day on which they began.
 */
static int32
begin_of_intervals(const Site *site, int32 account_id, int32 day)
{
	static DbQuery query = {
		"SELECT min(greatest(o.valid_from, b.read_at)) FROM prepay.account_meter o"
		" CROSS JOIN LATERAL (SELECT r.read_at FROM prepay.reading_believed r"
		"  WHERE r.site_id = o.site_id AND r.meter_id = o.meter_id AND r.read_at <= $3"
		"  AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1) b"
		" WHERE o.site_id = $1 AND o.account_id = $2 AND o.valid_from < $3 AND o.valid_to >= $3"
		" AND EXISTS (SELECT FROM prepay.reading_believed n WHERE n.site_id = o.site_id"
		"  AND n.meter_id = o.meter_id AND n.read_at > $3)",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	TimestampTz begin = cal_day_start(site->zone, day);
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 TimestampTzGetDatum(begin) };

	db_run(&query, args);
	return site_local_day(site, db_time_or(0, 1, begin));
}

void
rerate_one(const Site *site, int32 account_id, int32 from_day)
{
	RatingRun run;
	Account *account;

	rating_begin(&run, site);
	account = account_lock(site, account_id);
	rerate_account(&run, account, from_day);
	rating_finish(&run, account, 1);
}

void
rerate_later(RerateLater *later, int32 account_id, int32 from_day)
{
	if (later->n == later->room)
	{
		later->room = Max(8, later->room * 2);
		later->account_id = core_realloc(later->account_id, sizeof(int32) * later->room);
		later->from_day = core_realloc(later->from_day, sizeof(int32) * later->room);
	}
	later->account_id[later->n] = account_id;
	later->from_day[later->n++] = from_day;
}

void
rerate_store_later(const Site *site, const RerateLater *later)
{
	static DbQuery query = {
		"INSERT INTO prepay.rerate_queue AS q (site_id, account_id, from_day, reason, queued_at)"
		" SELECT $1, u.account_id, date '2000-01-01' + min(u.from_day), 'reading', $2"
		" FROM unnest($3::int[], $4::int[]) AS u (account_id, from_day)"
		" GROUP BY u.account_id ORDER BY u.account_id"
		" ON CONFLICT (site_id, account_id) DO UPDATE SET"
		" from_day = least(q.from_day, EXCLUDED.from_day)",
		4,
		{ INT4OID, TIMESTAMPTZOID, INT4ARRAYOID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 db_array_int32(later->account_id, later->n),
					 db_array_int32(later->from_day, later->n) };

	if (later->n > 0)
		db_run(&query, args);
}

/* Accounts before their rows in the queue: whoever rates an account may queue another. */
int
rerate_work(const Site *site, int max)
{
	static DbQuery list = { "SELECT account_id FROM prepay.rerate_queue WHERE site_id = $1"
							" ORDER BY account_id LIMIT $2",
							2,
							{ INT4OID, INT4OID } };
	static DbQuery take = { "DELETE FROM prepay.rerate_queue WHERE site_id = $1"
							" AND account_id = ANY ($2)"
							" RETURNING account_id, from_day - date '2000-01-01'",
							2,
							{ INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(max) };
	int n = db_run(&list, args);
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	int32 *from_day = palloc(sizeof(int32) * Max(n, 1));
	Account *account;
	RatingRun run;
	int found;
	int i;
	int k;

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		account_id[i] = db_int32(i, 1);
	rating_begin(&run, site);
	account = account_lock_all(site, account_id, n, &found);
	args[1] = db_array_int32(account_id, n);
	n = db_run(&take, args);
	for (i = 0; i < n; i++)
	{
		account_id[i] = db_int32(i, 1);
		from_day[i] = db_int32(i, 2);
	}
	for (i = 0; i < found; i++)
		for (k = 0; k < n; k++)
			if (account_id[k] == account[i].account_id)
				rerate_account(
					&run, &account[i],
					Max(begin_of_intervals(site, account_id[k], from_day[k]), site->kept_day));
	rating_finish(&run, account, found);
	return n;
}
