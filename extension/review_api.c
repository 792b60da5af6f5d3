/*
 * review_api.c: what a person decides about readings: resolve_review, correct_reading.
 *
 * A verdict is a mark on the first reading of the review; readings held behind it
 * are judged again in the order of their times, and what fits now is rated. Present
 * and former owners of the meter are locked one after the other, so the site is
 * held exclusively: nobody rates meanwhile.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "account.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "rerate.h"

PG_FUNCTION_INFO_V1(prepay_resolve_review);
PG_FUNCTION_INFO_V1(prepay_correct_reading);

static Meter *
meter_facts(const Site *site, int32 meter_id)
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

/* Held readings of a meter, judged again in time order; the first day that changes, or NO_RERATE.
 */
static int32
judge_held(const Site *site, const Meter *meter)
{
	static DbQuery held = {
		"SELECT r.read_at, (r.kwh * 1000)::bigint, COALESCE((r.reverse_kwh * 1000)::bigint, -1)"
		" FROM prepay.reading_mark k JOIN prepay.reading r USING (site_id, meter_id, read_at)"
		" WHERE k.site_id = $1 AND k.meter_id = $2 AND k.mark = 'held' ORDER BY r.read_at",
		2,
		{ INT4OID, INT4OID }
	};
	static DbQuery release = {
		"DELETE FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = $2"
		" AND read_at = $3 AND mark = 'held'",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[3] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id) };
	int64 margin = setting_micro(site, "spike_margin", 1000000);
	int64 drift = setting_interval_us(site, "clock_drift_limit", 0);
	int n = db_run(&held, args);
	Reading *reading = palloc0(sizeof(Reading) * Max(n, 1));
	int32 first = NO_RERATE;
	int i;

	for (i = 0; i < n; i++)
	{
		reading[i].read_at = db_time(i, 1);
		reading[i].wh = db_int64(i, 2);
		reading[i].reverse_wh = db_int64(i, 3);
	}
	for (i = 0; i < n; i++)
	{
		int32 day;

		if (accept_value(site, meter, &reading[i], drift) ||
			rerate_judge(site, meter, &reading[i], margin, &day))
			continue;
		args[2] = TimestampTzGetDatum(reading[i].read_at);
		db_run(&release, args);
		first = Min(first, day);
	}
	return first;
}

/* The register of a meter without account follows its last believed reading. */
static void
move_unowned(const Site *site, int32 meter_id)
{
	static DbQuery query = {
		"UPDATE prepay.meter_state s SET last_read_at = r.read_at, register_wh = r.register_wh,"
		" reverse_wh = r.reverse_wh FROM (SELECT * FROM prepay.reading_believed"
		"  WHERE site_id = $1 AND meter_id = $2 ORDER BY read_at DESC LIMIT 1) r"
		" WHERE s.site_id = $1 AND s.meter_id = $2 AND s.account_id IS NULL",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	db_run(&query, args);
}

/* Everybody whose energy lies around the day: the owners the meter has had since. */
static void
rate_owners(const Site *site, int32 meter_id, int32 from_day)
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
}

/* Reviews of the meter none of whose readings are held any more. */
static void
close_reviews(const Site *site, int32 meter_id, int64 review_id, const char *verdict,
			  const char *note)
{
	static DbQuery query = {
		"UPDATE prepay.reading_review r SET status = 'resolved', resolved_at = $4, verdict = $5,"
		" operator = SESSION_USER, note = $6 WHERE r.site_id = $1 AND r.meter_id = $2"
		" AND r.status = 'open' AND (r.review_id = $3 OR NOT EXISTS (SELECT FROM prepay.reading_mark k"
		"  WHERE k.site_id = $1 AND k.review_id = r.review_id AND k.mark IN ('held', 'waiting')))",
		6,
		{ INT4OID, INT4OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 Int64GetDatum(review_id),	   TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(verdict), db_text_datum(note) };
	char nulls[] = { ' ', ' ', ' ', ' ', ' ', note ? ' ' : 'n', '\0' };

	db_run_nulls(&query, args, nulls);
	accept_alarm_settle(site, meter_id);
}

static const char *
mark_of(const char *verdict)
{
	static const char *const mark[][2] = { { "accept", "accepted" },
										   { "reject", "rejected" },
										   { "rollover", "rollover" },
										   { "baseline", "baseline" } };
	int i;

	for (i = 0; i < lengthof(mark); i++)
		if (strcmp(mark[i][0], verdict) == 0)
			return mark[i][1];
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("there is no verdict \"%s\"", verdict),
					errhint("Verdicts are: accept, reject, rollover, baseline.")));
}

/* A fall cannot simply be accepted: energy is never negative. */
static void
check_verdict(const Meter *meter, const char *reason, const char *verdict)
{
	if (strcmp(verdict, "accept") == 0 && strcmp(reason, "spike") != 0 &&
		strcmp(reason, "period_sum") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a reading held for \"%s\" cannot be accepted as it is", reason),
						errhint("Use baseline (a new beginning), rollover, reject, or "
								"correct_reading().")));
	if (strcmp(verdict, "rollover") == 0 &&
		(strcmp(reason, "fall") != 0 || meter->register_max_wh == 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("this reading cannot be a rollover"),
						errdetail("The reason is \"%s\", the modulus of the meter is %s.", reason,
								  meter->register_max_wh ? "known" : "not known"),
						errhint("Give the modulus with change_meter() first, or use baseline.")));
}

/* resolve_review(site, review_id, verdict, note) */
Datum
prepay_resolve_review(PG_FUNCTION_ARGS)
{
	static DbQuery find = { "SELECT meter_id, reason, status FROM prepay.reading_review"
							" WHERE site_id = $1 AND review_id = $2",
							2,
							{ INT4OID, INT8OID } };
	static DbQuery mark_first = {
		"UPDATE prepay.reading_mark SET mark = $3 WHERE site_id = $1 AND review_id = $2"
		" AND mark = 'held' AND ($3 = 'rejected' OR read_at = (SELECT min(k.read_at)"
		"  FROM prepay.reading_mark k WHERE k.site_id = $1 AND k.review_id = $2 AND k.mark = 'held'))"
		" RETURNING read_at",
		3,
		{ INT4OID, INT8OID, TEXTOID }
	};
	static DbQuery before = {
		"SELECT read_at FROM prepay.reading_believed WHERE site_id = $1 AND meter_id = $2"
		" AND read_at < $3 ORDER BY read_at DESC LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	DbSession session;
	const Site *site;
	const Meter *meter;
	int32 site_id;
	int32 meter_id;
	int32 day = NO_RERATE;
	char *verdict;
	char *reason;
	const char *mark;
	char *note = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("review and verdict must be given")));
	verdict = text_to_cstring(PG_GETARG_TEXT_PP(2));
	mark = mark_of(verdict);
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_SUPERVISE, site_id, "resolve a review");
	lock_site_exclusive(site_id);
	site = site_get(site_id);
	{
		Datum args[] = { Int32GetDatum(site_id), PG_GETARG_DATUM(1), CStringGetTextDatum(mark) };

		if (db_run(&find, args) == 0 || strcmp(db_text(0, 3), "open") != 0)
			ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
							errmsg("there is no open review " INT64_FORMAT, PG_GETARG_INT64(1)),
							errhint("Open reviews are in prepay.reading_review.")));
		meter_id = db_int32_or(0, 1, 0);
		reason = db_text(0, 2);
		if (meter_id != 0)
		{
			meter = meter_facts(site, meter_id);
			check_verdict(meter, reason, verdict);
			if (db_run(&mark_first, args) > 0)
			{
				Datum near[] = { args[0], Int32GetDatum(meter_id),
								 TimestampTzGetDatum(db_time(0, 1)) };
				TimestampTz at = db_time(0, 1);

				if (db_run(&before, near) > 0)
					at = db_time(0, 1);
				if (strcmp(mark, "rejected") != 0)
					day = site_local_day(site, at);
			}
			day = Min(day, judge_held(site, meter));
		}
	}
	close_reviews(site, meter_id, PG_GETARG_INT64(1), verdict, note);
	if (day != NO_RERATE)
		rate_owners(site, meter_id, day);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* correct_reading(meter, read_at, kwh, reason): the value that counts from now on. */
Datum
prepay_correct_reading(PG_FUNCTION_ARGS)
{
	static DbQuery find = { "SELECT COALESCE((reverse_kwh * 1000)::bigint, -1) FROM prepay.reading"
							" WHERE site_id = $1 AND meter_id = $2 AND read_at = $3",
							3,
							{ INT4OID, INT4OID, TIMESTAMPTZOID } };
	static DbQuery insert = {
		"INSERT INTO prepay.reading_correction (site_id, meter_id, read_at, correction, kwh, reason,"
		" corrected_at, operator) SELECT $1, $2, $3, COALESCE(max(correction), 0) + 1, $4, $5, $6,"
		" SESSION_USER FROM prepay.reading_correction WHERE site_id = $1 AND meter_id = $2"
		" AND read_at = $3",
		6,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID }
	};
	static DbQuery unmark = { "DELETE FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = $2"
							  " AND read_at = $3",
							  3,
							  { INT4OID, INT4OID, TIMESTAMPTZOID } };
	DbSession session;
	CodeTarget target;
	const Site *site;
	const Meter *meter;
	Reading reading = { 0 };
	const char *fault;
	int32 day;
	int i;

	for (i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("meter, time, value and reason of a correction must be given")));
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_METER, &target);
	auth_require(session.caller, MAY_SUPERVISE, target.site_id, "correct a reading");
	lock_site_exclusive(target.site_id);
	site = site_get(target.site_id);
	meter = meter_facts(site, target.id);
	reading.read_at = PG_GETARG_TIMESTAMPTZ(1);
	{
		Datum args[] = { Int32GetDatum(target.site_id),
						 Int32GetDatum(target.id),
						 PG_GETARG_DATUM(1),
						 PG_GETARG_DATUM(2),
						 PG_GETARG_DATUM(3),
						 TimestampTzGetDatum(site->now) };

		if (db_run(&find, args) == 0)
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
							errmsg("meter \"%s\" has no reading at %s", target.code,
								   timestamptz_to_str(reading.read_at)),
							errhint("Its readings are in prepay.readings.")));
		reading.reverse_wh = db_int64(0, 1);
		if (!numeric_to_milli(PG_GETARG_DATUM(2), &reading.wh) ||
			accept_value(site, meter, &reading, setting_interval_us(site, "clock_drift_limit", 0)))
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
							errmsg("%s is not a register value of this meter",
								   numeric_text(PG_GETARG_DATUM(2))),
							errhint("Give the kWh as displayed, from 0 up to the modulus.")));
		fault =
			rerate_judge(site, meter, &reading, setting_micro(site, "spike_margin", 1000000), &day);
		if (fault)
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
							errmsg("the corrected value does not fit its neighbours (%s)", fault),
							errdetail("%s", accept_detail(meter, &reading, fault)),
							errhint("Correct or review the neighbouring readings first.")));
		db_run(&insert, args);
		db_run(&unmark, args);
	}
	day = Min(day, judge_held(site, meter));
	close_reviews(site, target.id, 0, "accept", "reading corrected");
	rate_owners(site, target.id, day);
	db_leave(&session);
	PG_RETURN_VOID();
}
