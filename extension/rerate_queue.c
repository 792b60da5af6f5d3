/*
 * rerate_queue.c: late readings, and accounts whose past has to be priced again.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "db.h"
#include "rerate.h"
#include "tariff_store.h"

/* Accounts rated again at once by the call that made it necessary; tick() does the rest. */
#define AT_ONCE 50
#define FIRST_DAY (-36524) /* 1900-01-01 */

/*
 * A reading is believed when it fits between its believed neighbours. What is
 * believed already stays so: a late outlier does not overturn later readings.
 */
const char *
rerate_judge(const Site *site, const Meter *meter, const Reading *reading, int64 spike_margin_e6,
			 int32 *from_day)
{
	static DbQuery neighbours = {
		"(SELECT r.read_at, r.register_wh, r.reverse_wh, true, r.period_kwh FROM prepay.reading_believed r"
		" WHERE r.site_id = $1 AND r.meter_id = $2 AND r.read_at < $3"
		" AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1)"
		" UNION ALL "
		"(SELECT r.read_at, r.register_wh, r.reverse_wh, false, r.period_kwh FROM prepay.reading_believed r"
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
	TimestampTz day_of = reading->read_at;
	const char *reason = NULL;
	TimestampTz at[2];
	int64 wh[2];
	int64 reverse[2];
	bool before[2];
	TouRegisters tou[2];
	int i;

	/* Judging asks for more, so the rows come first. */
	for (i = 0; i < n; i++)
	{
		bool isnull;
		Datum registers = db_value(i, 5, &isnull);

		at[i] = db_time(i, 1);
		wh[i] = db_int64(i, 2);
		reverse[i] = db_int64(i, 3);
		before[i] = db_bool(i, 4);
		tou[i] = isnull ? (TouRegisters){ 0 } : tou_registers(registers);
	}
	for (i = 0; i < n && reason == NULL; i++)
	{
		RegisterStep step;

		if (before[i])
		{
			day_of = at[i];
			reason = accept_step(meter, at[i], wh[i], reverse[i], reading->read_at, reading->wh,
								 reading->reverse_wh, spike_margin_e6, &step);
			if (reason == NULL)
				reason =
					accept_periods(site, meter, &tou[i], reading->read_at, &reading->tou, &step);
		}
		else
		{
			reason = accept_step(meter, reading->read_at, reading->wh, reading->reverse_wh, at[i],
								 wh[i], reverse[i], spike_margin_e6, &step);
			if (reason == NULL)
				reason = accept_periods(site, meter, &reading->tou, at[i], &tou[i], &step);
		}
	}
	*from_day = site_local_day(site, day_of);
	return reason;
}

int32
rerate_accept_late(const Site *site, const Meter *meter, const Reading *reading,
				   int64 spike_margin_e6)
{
	int32 from_day;
	const char *reason = rerate_judge(site, meter, reading, spike_margin_e6, &from_day);

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

/* Readings that wait for a tariff may have one now: from the day of the last rated one on. */
#define WAITING                                                                           \
	"SELECT s.account_id, COALESCE((s.last_read_at AT TIME ZONE t.timezone)::date"        \
	"  - date '2000-01-01', $3) AS from_day FROM prepay.meter_state s JOIN prepay.site t" \
	" USING (site_id) WHERE s.site_id = $1 AND EXISTS (SELECT FROM prepay.reading_mark k" \
	"  WHERE k.site_id = $1 AND k.meter_id = s.meter_id AND k.mark = 'waiting')"

void
rerate_queue_tariff(const Site *site, int32 tariff_id, TimestampTz valid_from)
{
	static DbQuery query = { QUEUE_INSERT
							 "SELECT s.account_id, $3 AS from_day FROM prepay.meter_state s"
							 " WHERE s.site_id = $1 AND s.last_read_at > $4 AND s.tariff_id = $5"
							 " UNION ALL SELECT u.account_id, $3 FROM prepay.usage_line u"
							 " WHERE u.site_id = $1 AND u.tariff_id = $5"
							 " AND u.day >= date '2000-01-01' + $3 AND $4 < $2"
							 " UNION ALL " WAITING QUEUE_END,
							 5,
							 { INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 Int32GetDatum(day_floor(site, valid_from)), TimestampTzGetDatum(valid_from),
					 Int32GetDatum(tariff_id) };

	db_run(&query, args);
	rerate_work(site_get(site->site_id), AT_ONCE);
}

void
rerate_queue_target(const Site *site, const char *kind, int32 target_id, TimestampTz valid_from)
{
	static DbQuery query = {
		"WITH RECURSIVE below (place_id, depth) AS ("
		" SELECT $6, 0 WHERE $5 = 'place' UNION ALL"
		" SELECT p.place_id, b.depth + 1 FROM below b JOIN prepay.place p"
		"  ON p.site_id = $1 AND p.parent_id = b.place_id WHERE b.depth < 100)" QUEUE_INSERT
		"SELECT s.account_id, $3 AS from_day FROM prepay.meter_state s"
		" JOIN prepay.meter m USING (site_id, meter_id)"
		" LEFT JOIN prepay.account a ON a.site_id = s.site_id AND a.account_id = s.account_id"
		" WHERE s.site_id = $1 AND s.last_read_at > $4 AND CASE $5 WHEN 'site' THEN true"
		"  WHEN 'meter' THEN s.meter_id = $6 WHEN 'account' THEN s.account_id = $6"
		"  ELSE COALESCE(m.place_id, a.place_id) IN (SELECT b.place_id FROM below b) END"
		" UNION ALL " WAITING QUEUE_END,
		6,
		{ INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID, TEXTOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 TimestampTzGetDatum(site->now),
					 Int32GetDatum(day_floor(site, valid_from)),
					 TimestampTzGetDatum(valid_from),
					 CStringGetTextDatum(kind),
					 Int32GetDatum(target_id) };

	db_run(&query, args);
	rerate_work(site_get(site->site_id), AT_ONCE);
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

int
rerate_work(const Site *site, int max)
{
	static DbQuery take = { "DELETE FROM prepay.rerate_queue WHERE site_id = $1 AND account_id IN ("
							" SELECT account_id FROM prepay.rerate_queue WHERE site_id = $1"
							" ORDER BY account_id LIMIT $2 FOR UPDATE SKIP LOCKED)"
							" RETURNING account_id, from_day - date '2000-01-01'",
							2,
							{ INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(max) };
	int n = db_run(&take, args);
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
	{
		account_id[i] = db_int32(i, 1);
		from_day[i] = db_int32(i, 2);
	}
	rating_begin(&run, site);
	account = account_lock_all(site, account_id, n, &found);
	for (i = 0; i < found; i++)
		for (k = 0; k < n; k++)
			if (account_id[k] == account[i].account_id)
				rerate_account(&run, &account[i], from_day[k]);
	rating_finish(&run, account, found);
	return n;
}
