/*
 * review_api.c: what a person decides about readings: resolve_review, correct_reading.
 *
 * A verdict is a mark on the first reading of the review. It must make that reading
 * fit what is believed after it; then all held readings of the meter are judged again
 * in the order of their times, and what fits now is rated. Present and former owners
 * of the meter are locked one after the other, so the site is held exclusively: nobody
 * rates meanwhile.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "held.h"
#include "lock.h"
#include "oplog.h"
#include "rerate.h"
#include "retention.h"

PG_FUNCTION_INFO_V1(prepay_resolve_review);
PG_FUNCTION_INFO_V1(prepay_correct_reading);

/* ---- resolve_review ---- */

typedef struct Verdict
{
	const char *name;
	const char *mark;
	bool anew; /* what the reading follows does not matter */
} Verdict;

static const Verdict verdicts[] = { { "accept", "accepted", false },
									{ "reject", "rejected", false },
									{ "rollover", "rollover", true },
									{ "baseline", "baseline", true } };

static const Verdict *
find_verdict(const char *name)
{
	int i;

	for (i = 0; i < lengthof(verdicts); i++)
		if (strcmp(verdicts[i].name, name) == 0)
			return &verdicts[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no verdict \"%s\"", name),
			 errhint("Verdicts are: accept, reject, rollover, baseline.")));
}

typedef struct Review
{
	int64 review_id;
	int32 meter_id; /* 0: no meter of the site */
	char *reason;
} Review;

static void
load_review(const Site *site, Review *review)
{
	static DbQuery query = { "SELECT m.meter_id, r.reason, r.status FROM prepay.reading_review r"
							 " LEFT JOIN prepay.meter m USING (site_id, meter_id)"
							 " WHERE r.site_id = $1 AND r.review_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(review->review_id) };

	if (db_run(&query, args) == 0 || strcmp(db_text(0, 3), "open") != 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("site \"%s\" has no open review " INT64_FORMAT, site->code,
							   review->review_id),
						errhint("Open reviews are in prepay.reading_review.")));
	review->meter_id = db_int32_or(0, 1, 0);
	review->reason = db_text(0, 2);
	if (strcmp(review->reason, "no_tariff") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a reading that waits for a tariff needs no verdict"),
				 errdetail("Its value is believed; what is missing is a price."),
				 errhint("Assign a tariff: the reading is rated and the review ends by itself.")));
}

/* Nothing but a rejection: the readings of the review never count. */
static void
reject_all(const Site *site, const Review *review)
{
	static DbQuery query = {
		"UPDATE prepay.reading_mark SET mark = 'rejected' WHERE site_id = $1 AND review_id = $2"
		" AND mark = 'held'",
		2,
		{ INT4OID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(review->review_id) };

	db_run(&query, args);
}

/* The first reading of the review counts as the verdict says; the day that changes. */
static int32
believe_first(const Site *site, const Meter *meter, const Review *review, const Verdict *verdict)
{
	static DbQuery mark = {
		"UPDATE prepay.reading_mark SET mark = $4 WHERE site_id = $1 AND meter_id = $2"
		" AND read_at = $3",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID }
	};
	Reading *first = NULL;
	HeldList held = { 0 };
	const char *fault;
	int32 day;
	int i;

	held_load(site, meter->meter_id, &held);
	for (i = 0; i < held.n && first == NULL; i++)
		if (held.item[i].review_id == review->review_id)
			first = &held.item[i].reading;
	if (first == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("no reading is held under a review for \"%s\"", review->reason),
				 errhint("Use reject when it has been looked at; correct_reading() changes what "
						 "counts.")));
	if (strcmp(verdict->name, "rollover") == 0 &&
		(strcmp(review->reason, "fall") != 0 || meter->register_max_wh == 0))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("this reading cannot be a rollover"),
						errdetail("The reason is \"%s\", the modulus of the meter is %s.",
								  review->reason, meter->register_max_wh ? "known" : "not known"),
						errhint("Give the modulus with change_meter() first, or use baseline.")));
	/* Who accepts a spike says that so much was used; of a sum, that the total is right. */
	if (strcmp(review->reason, "period_sum") == 0)
		first->tou.n = 0;
	fault =
		held_judge(site, meter, first, verdict->anew || strcmp(review->reason, "spike") == 0, &day);
	retention_refuse(site, fault);
	if (fault)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("verdict \"%s\" does not make this reading fit (%s)", verdict->name, fault),
				 errdetail("%s", accept_detail(meter, first, fault)),
				 errhint("A fall may be a rollover or a baseline; where readings after it "
						 "are believed, correct or reject it.")));
	{
		Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
						 TimestampTzGetDatum(first->read_at), CStringGetTextDatum(verdict->mark) };

		db_run(&mark, args);
	}
	return day;
}

static void
finish_review(const Site *site, const Review *review, const Verdict *verdict, const char *note)
{
	static DbQuery query = {
		"UPDATE prepay.reading_review SET status = 'resolved', resolved_at = $3, verdict = $4,"
		" operator = $6, note = $5 WHERE site_id = $1 AND review_id = $2",
		6,
		{ INT4OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int64GetDatum(review->review_id),
					 TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(verdict->name),
					 db_text_datum(note),
					 CStringGetTextDatum(auth_operator()) };

	db_run_nulls(&query, args, note ? NULL : "    n ");
}

/*
 * resolve_review(site, review_id, verdict, note): a verdict on the first reading of the
 * review, reject: on all. Raises PP010 for a review that is not open, 22023 for a
 * verdict that does not make the reading fit.
 */
Datum
prepay_resolve_review(PG_FUNCTION_ARGS)
{
	DbSession session;
	const Site *site;
	const Meter *meter;
	const Verdict *verdict;
	Review review;
	int32 site_id;
	int32 day = NO_RERATE;
	char *note = PG_ARGISNULL(3) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(3));

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("review and verdict must be given")));
	review.review_id = PG_GETARG_INT64(1);
	verdict = find_verdict(text_to_cstring(PG_GETARG_TEXT_PP(2)));
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_SUPERVISE, site_id, "resolve a review");
	lock_site_exclusive(site_id);
	site = site_get(site_id);
	load_review(site, &review);
	meter = review.meter_id ? held_meter(site, review.meter_id) : NULL;
	if (strcmp(verdict->name, "reject") == 0)
		reject_all(site, &review);
	else if (meter)
		day = believe_first(site, meter, &review, verdict);
	else
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the review is about a meter that does not exist"),
						errhint("Use reject when it has been looked at.")));
	finish_review(site, &review, verdict, note);
	if (meter)
	{
		HeldList held = { 0 };

		if (strcmp(review.reason, "period_sum") == 0 && strcmp(verdict->name, "accept") == 0)
			held.by_total = review.review_id;
		held_judge_again(site, meter, &held, &day);
		held_sort_out(site, meter, &held, review.review_id);
	}
	if (day != NO_RERATE)
		held_rate(site, review.meter_id, day);
	oplog_note(
		site_id, "resolve_review", psprintf("review:" INT64_FORMAT, review.review_id), NULL,
		oplog_members("reason", review.reason, "verdict", verdict->name, "note", note, NULL));
	db_leave(&session);
	PG_RETURN_VOID();
}

/* ---- correct_reading ---- */

/* The mark of a reading and its review; NULL: none. */
static char *
mark_of(const Site *site, const Reading *reading, int64 *review_id)
{
	static DbQuery query = { "SELECT mark, review_id FROM prepay.reading_mark WHERE site_id = $1"
							 " AND meter_id = $2 AND read_at = $3",
							 3,
							 { INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(reading->meter_id),
					 TimestampTzGetDatum(reading->read_at) };

	if (db_run(&query, args) == 0)
		return NULL;
	*review_id = db_int64(0, 2);
	return db_text(0, 1);
}

/* The reading as it stands, with the value that is to count; raises PP041 when there is none. */
static void
corrected(const Site *site, const Meter *meter, const char *code, TimestampTz read_at, Datum kwh,
		  Reading *reading)
{
	static DbQuery query = { "SELECT COALESCE((reverse_kwh * 1000)::bigint, -1) FROM prepay.reading"
							 " WHERE site_id = $1 AND meter_id = $2 AND read_at = $3",
							 3,
							 { INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter->meter_id),
					 TimestampTzGetDatum(read_at) };

	memset(reading, 0, sizeof(*reading));
	reading->meter_id = meter->meter_id;
	reading->read_at = read_at;
	retention_require(site, read_at, "the correction");
	if (db_run(&query, args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_READING),
				 errmsg("meter \"%s\" has no reading at %s", code, timestamptz_to_str(read_at)),
				 errhint("Its readings are in prepay.readings.")));
	reading->reverse_wh = db_int64(0, 1);
	if (!numeric_to_milli(kwh, &reading->wh))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
						errmsg("%s is not a register value", numeric_text(kwh)),
						errhint("Give the kWh as displayed, from 0 up to the modulus.")));
}

static void
store_correction(const Site *site, const Reading *reading, Datum kwh, const char *reason,
				 bool keep_mark)
{
	static DbQuery insert = {
		"INSERT INTO prepay.reading_correction (site_id, meter_id, read_at, correction, kwh, reason,"
		" corrected_at, operator) SELECT $1, $2, $3, COALESCE(max(correction), 0) + 1, $4, $5, $6,"
		" $7 FROM prepay.reading_correction WHERE site_id = $1 AND meter_id = $2"
		" AND read_at = $3",
		7,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID, TEXTOID }
	};
	static DbQuery unmark = { "DELETE FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = $2"
							  " AND read_at = $3",
							  3,
							  { INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id),			Int32GetDatum(reading->meter_id),
					 TimestampTzGetDatum(reading->read_at), kwh,
					 CStringGetTextDatum(reason),			TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(auth_operator()) };

	db_run(&insert, args);
	if (!keep_mark)
		db_run(&unmark, args);
}

/*
 * correct_reading(meter, read_at, kwh, reason): the value that counts from now on, for a
 * reading of any standing; a new baseline or rollover stays one. What waited behind it
 * is rated. Raises PP041 for a value that does not fit its believed neighbours.
 */
Datum
prepay_correct_reading(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget target;
	const Site *site;
	const Meter *meter;
	Reading reading;
	HeldList held = { 0 };
	const char *fault;
	char *reason;
	char *mark;
	bool anew;
	int64 review_id = 0;
	int32 day;
	int i;

	for (i = 0; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("meter, time, value and reason of a correction must be given")));
	reason = text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (reason[strspn(reason, " ")] == '\0')
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the reason of a correction is empty"),
						errhint("Say why the value read was wrong; it is kept with the reading.")));
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_METER, &target);
	auth_require(session.caller, MAY_SUPERVISE, target.site_id, "correct a reading");
	lock_site_exclusive(target.site_id);
	site = site_get(target.site_id);
	meter = held_meter(site, target.id);
	corrected(site, meter, target.code, PG_GETARG_TIMESTAMPTZ(1), PG_GETARG_DATUM(2), &reading);
	mark = mark_of(site, &reading, &review_id);
	anew = mark && (strcmp(mark, "baseline") == 0 || strcmp(mark, "rollover") == 0);
	fault = held_judge(site, meter, &reading, anew, &day);
	retention_refuse(site, fault);
	if (fault)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
						errmsg("%s kWh does not fit (%s)", numeric_text(PG_GETARG_DATUM(2)), fault),
						errdetail("%s", accept_detail(meter, &reading, fault)),
						errhint("Correct or review the neighbouring readings first.")));
	store_correction(site, &reading, PG_GETARG_DATUM(2), reason, anew);
	held_judge_again(site, meter, &held, &day);
	if (mark && !anew)
		held_close(site, review_id, "accept", "reading corrected");
	held_sort_out(site, meter, &held, 0);
	held_rate(site, target.id, day);
	db_leave(&session);
	PG_RETURN_VOID();
}
