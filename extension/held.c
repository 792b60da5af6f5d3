#include "held.h"

#include "utils/builtins.h"

#include "db.h"
#include "energy.h"
#include "rerate.h"

Meter *
held_meter(const Site *site, int32 meter_id)
{
	static DbQuery owner = {
		"SELECT account_id FROM prepay.meter_state WHERE site_id = $1 AND meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	int32 account_id;
	Account *account;
	int n;
	int i;

	db_run(&owner, args);
	account_id = db_int32_or(0, 1, 0);
	if (account_id == 0)
		return meter_lock_unowned(site, &meter_id, 1, &n);
	account = account_lock(site, account_id);
	for (i = 0; i < account->n_meter; i++)
		if (account->meter[i]->meter_id == meter_id)
			return account->meter[i];
	elog(ERROR, "meter %d is not among the meters of its account", meter_id);
}

void
held_load(const Site *site, int32 meter_id, HeldList *held)
{
	static DbQuery query = {
		"SELECT k.read_at, b.wh, COALESCE((r.reverse_kwh * 1000)::bigint, -1), k.review_id,"
		" r.period_kwh"
		" FROM prepay.reading_mark k JOIN prepay.reading r USING (site_id, meter_id, read_at)"
		" CROSS JOIN LATERAL (SELECT (COALESCE((SELECT c.kwh FROM prepay.reading_correction c"
		"  WHERE c.site_id = k.site_id AND c.meter_id = k.meter_id AND c.read_at = k.read_at"
		"  ORDER BY c.correction DESC LIMIT 1), r.kwh) * 1000)::bigint AS wh) b"
		" WHERE k.site_id = $1 AND k.meter_id = $2 AND k.mark = 'held' ORDER BY k.read_at",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	int i;

	held->n = db_run(&query, args);
	held->item = palloc0(sizeof(HeldReading) * Max(held->n, 1));
	for (i = 0; i < held->n; i++)
	{
		bool isnull;
		Datum registers = db_value(i, 5, &isnull);

		if (!isnull)
			held->item[i].reading.tou = tou_registers(registers);
		held->item[i].reading.meter_id = meter_id;
		held->item[i].reading.read_at = db_time(i, 1);
		held->item[i].reading.wh = db_int64(i, 2);
		held->item[i].reading.reverse_wh = db_int64(i, 3);
		held->item[i].review_id = db_int64(i, 4);
	}
}

const char *
held_judge(const Site *site, const Meter *meter, const Reading *reading, bool anew, int32 *day)
{
	const char *reason =
		accept_value(site, meter, reading, setting_interval_us(site, "clock_drift_limit", 0));

	if (reason == NULL)
		reason = rerate_judge(site, meter, reading, anew,
							  setting_micro(site, "spike_margin", 1000000), day);
	return reason;
}

void
held_judge_again(const Site *site, const Meter *meter, HeldList *held, int32 *first)
{
	static DbQuery release = {
		"DELETE FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = $2"
		" AND read_at = $3 AND mark = 'held'",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[3] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id) };
	int32 day;
	int i;

	held_load(site, meter->meter_id, held);
	for (i = 0; i < held->n; i++)
	{
		if (held->item[i].review_id == held->by_total)
			held->item[i].reading.tou.n = 0;
		held->item[i].reason = held_judge(site, meter, &held->item[i].reading, false, &day);
		if (held->item[i].reason)
			continue;
		args[2] = TimestampTzGetDatum(held->item[i].reading.read_at);
		db_run(&release, args);
		*first = Min(*first, day);
	}
}

/* The register of a meter without account follows its last believed reading. */
static void
move_unowned(const Site *site, int32 meter_id)
{
	static DbQuery query = {
		"UPDATE prepay.meter_state s SET last_read_at = r.read_at, register_wh = r.register_wh,"
		" reverse_wh = COALESCE((SELECT v.reverse_wh FROM prepay.reading_believed v"
		"  WHERE v.site_id = $1 AND v.meter_id = $2 AND v.reverse_wh >= 0"
		"  ORDER BY v.read_at DESC LIMIT 1), -1) FROM (SELECT * FROM prepay.reading_believed"
		"  WHERE site_id = $1 AND meter_id = $2 ORDER BY read_at DESC LIMIT 1) r"
		" WHERE s.site_id = $1 AND s.meter_id = $2 AND s.account_id IS NULL",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	db_run(&query, args);
}

void
held_rate(const Site *site, int32 meter_id, int32 from_day)
{
	static DbQuery query = {
		"SELECT DISTINCT account_id FROM prepay.account_meter WHERE site_id = $1 AND meter_id = $2"
		" AND valid_to > $3 ORDER BY account_id",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(cal_day_start(site->zone, from_day)) };
	int n = db_run(&query, args);
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		account_id[i] = db_int32(i, 1);
	for (i = 0; i < n; i++)
		rerate_one(site, account_id[i], from_day);
	move_unowned(site, meter_id);
	energy_watch(site, meter_id);
}

void
held_close(const Site *site, int64 review_id, const char *verdict, const char *note)
{
	static DbQuery query = {
		"UPDATE prepay.reading_review r SET status = 'resolved', resolved_at = $3, verdict = $4,"
		" operator = prepay.operator_name(), note = $5 WHERE r.site_id = $1 AND r.review_id = $2"
		" AND r.status = 'open' AND NOT EXISTS (SELECT FROM prepay.reading_mark k"
		"  WHERE k.site_id = $1 AND k.review_id = $2 AND k.mark IN ('held', 'waiting'))",
		5,
		{ INT4OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(review_id),
					 TimestampTzGetDatum(site->now), CStringGetTextDatum(verdict),
					 db_text_datum(note) };

	db_run_nulls(&query, args, note ? NULL : "    n");
}

void
held_sort_out(const Site *site, const Meter *meter, const HeldList *held, int64 decided)
{
	static DbQuery detach = {
		"DELETE FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = $2 AND read_at = $3",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	int i;

	for (i = 0; i < held->n; i++)
	{
		const HeldReading *item = &held->item[i];
		Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
						 TimestampTzGetDatum(item->reading.read_at) };

		if (item->review_id == decided && item->reason)
		{
			db_run(&detach, args);
			accept_hold(site, meter->meter_id, item->reading.read_at, item->reading.wh,
						item->reason, "held", accept_detail(meter, &item->reading, item->reason));
		}
		else if (item->review_id != decided && item->reason == NULL)
			held_close(site, item->review_id, "accept", "fits by now");
	}
	accept_alarm_settle(site, meter->meter_id);
}
