/*
 * share.c: public-area energy (公摊电量), shared exactly among the accounts of a place.
 *
 * A row of energy_share names a place, the check meter above it (master) and by what its
 * public energy is shared. For a calendar month
 *
 *   public energy = what the master measured, less what the prepaid meters of the place
 *                   and below measured, owned or not (master_measures = 'whole'),
 *                   or what the master measured by itself ('public': a lift, a hall)
 *   weight        = area x days, Wh used, or days, of each account whose place is the
 *                   place or below it, over the local days it was open in the month
 *   kWh, amount   = shares of the whole by weight: largest remainder, the lower account
 *                   number first on a tie, so that they add up to the whole to the last
 *                   Wh and cent
 *
 * So a month is a function of readings and accounts, like any other charge. A run posts
 * what each account should bear less what it has borne for that month, as an entry of
 * kind `public`: run again after a late reading it posts the differences, run twice it
 * posts nothing. A month keeps the terms of its first run: a new price is for months
 * that were not posted before.
 *
 * Locks: site shared, the row of energy_share (so that two runs do not post the same
 * difference), accounts ascending. A crash before commit leaves nothing of a run.
 */
#include "share.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"

#include "amount.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "energy.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "place_report.h"
#include "range.h"
#include "rate.h"
#include "rating.h"
#include "retention.h"
#include "vend.h"

#define SHARE_COLUMNS 17
#define AREA_SCALE 100 /* weights are whole numbers: 0.01 m2 */

PG_FUNCTION_INFO_V1(prepay_public_energy);
PG_FUNCTION_INFO_V1(prepay_post_public_energy);

/* What one account bears. Money is positive when it is charged. */
typedef struct ShareParty
{
	int32 account_id;
	char *code;
	char *customer;
	char *place;
	int64 weight;
	int64 wh;
	int64 minor;
	int64 posted_wh;
	int64 posted_minor;
	int32 seq; /* of the entry of this run; 0: none */
} ShareParty;

typedef struct Share
{
	const Site *site;
	char *code;
	TimeRange month;
	int32 share_id;
	bool is_active;
	int32 place_id;
	int32 master_id;
	char *master_code;
	bool whole; /* the master measures the sub-meters, too */
	char *basis;
	char *price; /* of one kWh, and in 10^-6 */
	int64 price_micro;
	int32 runs; /* of this month so far */
	int64 master_wh;
	int64 sub_wh;
	int64 minor; /* the amount of all */
	int n;
	ShareParty *party; /* by account_id */
} Share;

/* ---- the terms ---- */

static void
read_terms(Share *share, const char *code, bool lock)
{
	static DbQuery plain = { "SELECT share_id FROM prepay.energy_share WHERE site_id = $1"
							 " AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	static DbQuery locking = { "SELECT share_id FROM prepay.energy_share WHERE site_id = $1"
							   " AND code = $2 FOR NO KEY UPDATE",
							   2,
							   { INT4OID, TEXTOID } };
	static DbQuery terms = {
		"SELECT s.active, COALESCE(o.place_id, s.place_id), m.meter_id, m.code,"
		" COALESCE(o.master_measures, s.master_measures) = 'whole', COALESCE(o.basis, s.basis),"
		" COALESCE(o.price, s.price)::text, COALESCE(o.runs, 0)"
		" FROM prepay.energy_share s LEFT JOIN prepay.energy_share_month o"
		"  ON o.site_id = s.site_id AND o.share_id = s.share_id AND o.month = $3"
		" JOIN prepay.meter m ON m.site_id = s.site_id"
		"  AND m.meter_id = COALESCE(o.master_meter_id, s.master_meter_id)"
		" WHERE s.site_id = $1 AND s.share_id = $2",
		3,
		{ INT4OID, INT4OID, DATEOID }
	};
	Datum named[] = { Int32GetDatum(share->site->site_id), CStringGetTextDatum(code) };
	Datum args[3];

	if (db_run(lock ? &locking : &plain, named) != 1)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("there is no share \"%s\" of public energy", code),
						errhint("Rows of prepay.energy_share say what is shared and how.")));
	share->share_id = db_int32(0, 1);
	args[0] = Int32GetDatum(share->site->site_id);
	args[1] = Int32GetDatum(share->share_id);
	args[2] = DateADTGetDatum(share->month.first_day);
	db_run(&terms, args);
	share->is_active = db_bool(0, 1);
	share->place_id = db_int32(0, 2);
	share->master_id = db_int32(0, 3);
	share->master_code = db_text(0, 4);
	share->whole = db_bool(0, 5);
	share->basis = db_text(0, 6);
	share->price = db_text(0, 7);
	if (decimal_parse(share->price, PRICE_DECIMALS, &share->price_micro) != DECIMAL_OK)
		out_of_range("price");
	share->runs = db_int32(0, 8);
	share->code = pstrdup(code);
}

/* ---- energy ---- */

static void
refuse(const Share *share, const char *detail, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_PP_NOT_SHARED),
					errmsg("the public energy of \"%s\" cannot be shared", share->code),
					errdetail("%s", detail), errhint("%s", hint)));
}

static int64
master_energy(const Share *share)
{
	EnergyDays days = { 0 };
	int64 wh = 0;

	energy_unpaid(share->site, share->master_id, share->month.from, share->month.to, &days);
	for (int i = 0; i < days.n; i++)
		if (days.item[i].day >= share->month.first_day && days.item[i].day < share->month.end_day)
			wh += days.item[i].wh;
	return wh;
}

static void
measure(Share *share)
{
	retention_require(share->site, share->month.from, "the month");
	share->master_wh = master_energy(share);
	share->sub_wh = share->whole ? place_energy(share->site, share->place_id,
												share->month.first_day, share->month.end_day)
								 : 0;
	if (share->master_wh < share->sub_wh)
		refuse(share,
			   psprintf("Master meter \"%s\" measured %s kWh, the meters below it %s kWh.",
						share->master_code, numeric_text(minor_numeric(share->master_wh, 3)),
						numeric_text(minor_numeric(share->sub_wh, 3))),
			   "Check the ratios, and whether each meter stands at its place.");
}

/*
 * Meters that have not been read to the end of the month: their energy would be borne by
 * everybody. Master first; of the others those that belong to an account then.
 */
static char *
unread_meters(const Share *share)
{
	static DbQuery query = {
		PLACE_SUBTREE
		" SELECT string_agg(code, ', ' ORDER BY code) FROM (SELECT m.code FROM prepay.meter m"
		" JOIN prepay.meter_state t USING (site_id, meter_id) WHERE m.site_id = $1"
		"  AND (m.meter_id = $3 OR $5 AND m.purpose = 'prepaid'"
		"   AND EXISTS (SELECT FROM prepay.account_meter o JOIN prepay.account a"
		"    USING (site_id, account_id) WHERE o.site_id = $1 AND o.meter_id = m.meter_id"
		"    AND o.valid_from < $4 AND o.valid_to >= $4"
		"    AND COALESCE(m.place_id, a.place_id) IN (SELECT place_id FROM below)))"
		"  AND (t.last_read_at < $4 OR t.last_read_at IS NULL)"
		" ORDER BY m.code LIMIT 10) x",
		5,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, BOOLOID }
	};
	Datum args[] = { Int32GetDatum(share->site->site_id), Int32GetDatum(share->place_id),
					 Int32GetDatum(share->master_id), TimestampTzGetDatum(share->month.to),
					 BoolGetDatum(share->whole) };

	db_run(&query, args);
	return db_text(0, 1);
}

/* ---- who shares ---- */

/* Accounts open on a day of the month, and those that have borne something of it. */
static void
load_parties(Share *share)
{
	static DbQuery query = {
		PLACE_SUBTREE
		", line AS (SELECT l.account_id, sum(l.wh)::bigint AS wh, -sum(e.amount) AS amount"
		"  FROM prepay.energy_share_line l JOIN prepay.ledger_entry e"
		"  USING (site_id, account_id, seq) WHERE l.site_id = $1 AND l.share_id = $3"
		"  AND l.month = date '2000-01-01' + $4 GROUP BY l.account_id),"
		" party AS (SELECT a.account_id, a.code, a.customer, p.code AS place, p.area_m2,"
		"  CASE WHEN a.place_id IN (SELECT place_id FROM below) THEN"
		"   LEAST(t.closed_on - date '2000-01-01', $5)"
		"   - GREATEST((a.opened_at AT TIME ZONE s.timezone)::date - date '2000-01-01', $4) END AS days"
		"  FROM prepay.site s JOIN prepay.account a USING (site_id)"
		"  JOIN prepay.account_state t USING (site_id, account_id)"
		"  LEFT JOIN prepay.place p ON p.site_id = a.site_id AND p.place_id = a.place_id"
		"  WHERE a.site_id = $1 AND (a.place_id IN (SELECT place_id FROM below)"
		"   OR a.account_id IN (SELECT account_id FROM line)))"
		" SELECT q.account_id, q.code, q.customer, q.place, GREATEST(q.days, 0),"
		"  (q.area_m2 * 100)::bigint, COALESCE(u.wh, 0), COALESCE(line.wh, 0),"
		"  COALESCE(line.amount, 0)::text FROM party q LEFT JOIN line USING (account_id)"
		" CROSS JOIN LATERAL (SELECT CASE WHEN q.days > 0 AND $6 THEN (SELECT sum(l.wh)"
		"   FROM prepay.usage_line_all l WHERE l.site_id = $1 AND l.account_id = q.account_id"
		"   AND l.component = 'energy' AND l.day >= date '2000-01-01' + $4"
		"   AND l.day < date '2000-01-01' + $5)::bigint END AS wh) u"
		" WHERE q.days > 0 OR line.account_id IS NOT NULL ORDER BY q.account_id",
		6,
		{ INT4OID, INT4OID, INT4OID, INT4OID, INT4OID, BOOLOID }
	};
	const Site *site = share->site;
	bool by_area = strcmp(share->basis, "area") == 0;
	bool by_energy = strcmp(share->basis, "energy") == 0;
	Datum args[] = { Int32GetDatum(site->site_id),		  Int32GetDatum(share->place_id),
					 Int32GetDatum(share->share_id),	  Int32GetDatum(share->month.first_day),
					 Int32GetDatum(share->month.end_day), BoolGetDatum(by_energy) };

	share->n = db_run(&query, args);
	share->party = palloc0(sizeof(ShareParty) * Max(share->n, 1));
	for (int i = 0; i < share->n; i++)
	{
		ShareParty *party = &share->party[i];
		int64 days = db_int32_or(i, 5, 0);
		int64 area = db_int64_or(i, 6, 0);

		party->account_id = db_int32(i, 1);
		party->code = db_text(i, 2);
		party->customer = db_text(i, 3);
		party->place = db_text(i, 4);
		if (by_area && days > 0 && area == 0)
			refuse(
				share,
				psprintf("Place \"%s\" of account \"%s\" has no area.", party->place, party->code),
				"Set prepay.place.area_m2, in square metres.");
		party->weight = by_energy ? Max(db_int64(i, 7), 0) : by_area ? area * days : days;
		party->posted_wh = db_int64(i, 8);
		party->posted_minor = text_minor(site, db_text(i, 9));
	}
}

static int64
whole_amount(const Share *share, int64 wh)
{
	Exact cost;
	int64 minor;

	if (!exact_mul(exact_per_wh(share->price_micro), wh, &cost) ||
		!exact_to_minor(cost, share->site->decimals, &minor))
		out_of_range("amount");
	return minor;
}

static void
share_out(Share *share)
{
	int64 wh = share->master_wh - share->sub_wh;
	int64 *weight = palloc(sizeof(int64) * Max(share->n, 1));
	int64 *part = palloc(sizeof(int64) * Max(share->n, 1));

	for (int i = 0; i < share->n; i++)
		weight[i] = share->party[i].weight;
	share->minor = whole_amount(share, wh);
	if (wh == 0)
		return;
	if (!rate_share(wh, weight, share->n, part))
		refuse(share, "There is nobody to bear it: all weights are 0.",
			   "Accounts whose place is the place or below it share; see prepay.account.");
	for (int i = 0; i < share->n; i++)
		share->party[i].wh = part[i];
	(void) rate_share(share->minor, weight, share->n, part);
	for (int i = 0; i < share->n; i++)
		share->party[i].minor = part[i];
}

/* ---- a run ---- */

static void
keep_month(const Share *share)
{
	static DbQuery query = {
		"INSERT INTO prepay.energy_share_month (site_id, share_id, month, place_id,"
		" master_meter_id, master_measures, basis, price, master_wh, sub_wh, runs, run_at, operator)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 1, $11, $12)"
		" ON CONFLICT (site_id, share_id, month) DO UPDATE SET master_wh = EXCLUDED.master_wh,"
		" sub_wh = EXCLUDED.sub_wh, runs = energy_share_month.runs + 1, run_at = EXCLUDED.run_at,"
		" operator = EXCLUDED.operator",
		12,
		{ INT4OID, INT4OID, DATEOID, INT4OID, INT4OID, TEXTOID, TEXTOID, NUMERICOID, INT8OID,
		  INT8OID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(share->site->site_id),
					 Int32GetDatum(share->share_id),
					 DateADTGetDatum(share->month.first_day),
					 Int32GetDatum(share->place_id),
					 Int32GetDatum(share->master_id),
					 CStringGetTextDatum(share->whole ? "whole" : "public"),
					 CStringGetTextDatum(share->basis),
					 numeric_from_text(share->price),
					 Int64GetDatum(share->master_wh),
					 Int64GetDatum(share->sub_wh),
					 TimestampTzGetDatum(share->site->now),
					 CStringGetTextDatum(auth_operator()) };

	db_run(&query, args);
}

static void
keep_lines(const Share *share)
{
	static DbRowsQuery query = {
		.sql = "INSERT INTO prepay.energy_share_line (site_id, share_id, month, run, account_id,"
			   " seq, wh) SELECT $1, $2, $3, $4, $5, $6, $7",
		.n_fixed = 4,
		.n_column = 3,
		.type = { INT4OID, INT4OID, DATEOID, INT4OID, INT4OID, INT4OID, INT8OID }
	};
	Datum fixed[] = { Int32GetDatum(share->site->site_id), Int32GetDatum(share->share_id),
					  DateADTGetDatum(share->month.first_day), Int32GetDatum(share->runs + 1) };
	DbRows rows;
	int n = 0;

	for (int i = 0; i < share->n; i++)
		n += share->party[i].seq > 0;
	if (n == 0)
		return;
	rows = db_rows(&query, n);
	n = 0;
	for (int i = 0; i < share->n; i++)
	{
		const ShareParty *party = &share->party[i];

		if (party->seq == 0)
			continue;
		rows.value[0][n] = Int32GetDatum(party->account_id);
		rows.value[1][n] = Int32GetDatum(party->seq);
		rows.value[2][n] = Int64GetDatum(party->wh - party->posted_wh);
		n++;
	}
	db_run_rows(&query, fixed, &rows);
}

static char *
entry_note(const Share *share, const ShareParty *party)
{
	int year;
	int month;
	int mday;

	cal_civil(share->month.first_day, &year, &month, &mday);
	return psprintf("public energy %s %04d-%02d: %s kWh at %s", share->code, year, month,
					numeric_text(minor_numeric(party->wh - party->posted_wh, 3)), share->price);
}

/* Nobody could foresee it: a balance that it moves below a threshold has the days of grace. */
static void
post_differences(Share *share)
{
	RatingRun run;
	Account *account;
	int32 *id = palloc(sizeof(int32) * Max(share->n, 1));
	int n = 0;

	for (int i = 0; i < share->n; i++)
		if (share->party[i].minor != share->party[i].posted_minor)
			id[n++] = share->party[i].account_id;
	if (n == 0)
		return;
	rating_begin(&run, share->site);
	account = account_lock_all(share->site, id, n, &n);
	for (int i = 0, at = 0; i < n; i++)
	{
		ShareParty *party;
		LedgerEntry entry = { .kind = "public", .day = share->month.end_day - 1 };

		while (share->party[at].account_id < account[i].account_id)
			at++;
		party = &share->party[at];
		entry.amount_minor = party->posted_minor - party->minor;
		entry.note = entry_note(share, party);
		party->seq = ledger_post(&run.posting, &account[i], &entry);
		account[i].by_backlog = true;
	}
	rating_finish(&run, account, n);
}

static bool
accepts_missing(FunctionCallInfo fcinfo)
{
	static const char *const known[] = { "missing", NULL };
	Jsonb *options;
	const char *missing;

	vend_options(fcinfo, 3, known, &options);
	missing = options ? option_text(options, "missing") : NULL;
	if (missing && strcmp(missing, "accept") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"missing\" cannot be \"%s\"", missing),
						errhint("Use \"accept\", or leave it out.")));
	return missing != NULL;
}

static void
require_complete(const Share *share, bool accept_missing)
{
	char *unread;

	if (share->month.to > share->site->now)
		refuse(share, "The month is not over.", "Post it when it is; public_energy() looks ahead.");
	if (!share->is_active && share->runs == 0)
		refuse(share, "It is not active.", "Set prepay.energy_share.active.");
	unread = accept_missing ? NULL : unread_meters(share);
	if (unread)
		refuse(share, psprintf("Not read to the end of the month: %s.", unread),
			   "Wait for their readings; or option {\"missing\": \"accept\"} shares what is known, "
			   "and a later run posts the differences.");
}

/* ---- SQL ---- */

static void
put_party(const Share *share, const ShareParty *party, ReturnSetInfo *result)
{
	int decimals = share->site->decimals;
	Datum values[SHARE_COLUMNS];
	bool nulls[SHARE_COLUMNS] = { false };
	int i = 0;

	values[i++] = CStringGetTextDatum(share->site->code);
	values[i++] = CStringGetTextDatum(share->code);
	values[i++] = DateADTGetDatum(share->month.first_day);
	values[i++] = CStringGetTextDatum(party->code);
	values[i++] = CStringGetTextDatum(party->customer);
	nulls[i] = party->place == NULL;
	values[i++] = party->place ? CStringGetTextDatum(party->place) : (Datum) 0;
	values[i++] = CStringGetTextDatum(share->basis);
	values[i++] = Int64GetDatum(party->weight);
	values[i++] = minor_numeric(party->wh, 3);
	values[i++] = numeric_from_text(share->price);
	values[i++] = minor_numeric(party->minor, decimals);
	values[i++] = minor_numeric(party->posted_minor, decimals);
	values[i++] = minor_numeric(party->minor - party->posted_minor, decimals);
	nulls[i] = party->seq == 0;
	values[i++] = Int32GetDatum(party->seq);
	values[i++] = minor_numeric(share->master_wh, 3);
	values[i++] = minor_numeric(share->sub_wh, 3);
	values[i++] = minor_numeric(share->master_wh - share->sub_wh, 3);
	Assert(i == SHARE_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
run_share(FunctionCallInfo fcinfo, bool post)
{
	Share share = { 0 };
	DbSession session;
	char *code = vend_text(fcinfo, 1, "the share");
	char *site_code = vend_text_or_null(fcinfo, 0);
	bool accept_missing = post && accepts_missing(fcinfo);
	int32 site_id;

	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	site_id = code_site(session.caller, site_code);
	auth_require(session.caller, post ? MAY_SUPERVISE : MAY_READ, site_id,
				 post ? "post public energy" : "see public energy");
	if (post)
		lock_site_shared(site_id);
	share.site = site_get(site_id);
	share.month = range_month(share.site, fcinfo, 2);
	read_terms(&share, code, post);
	if (post)
		require_complete(&share, accept_missing);
	measure(&share);
	load_parties(&share);
	share_out(&share);
	if (post)
	{
		post_differences(&share);
		keep_month(&share);
		keep_lines(&share);
	}
	for (int i = 0; i < share.n; i++)
		put_party(&share, &share.party[i], (ReturnSetInfo *) fcinfo->resultinfo);
	db_leave(&session);
	return (Datum) 0;
}

/*
 * public_energy(site, share, month) → a row an account: what it bears of the month's public
 * energy by what is known now, and what is posted. Reads only. PP010, PP042, 22023.
 */
Datum
prepay_public_energy(PG_FUNCTION_ARGS)
{
	return run_share(fcinfo, false);
}

/*
 * post_public_energy(site, share, month, options) → the same rows; the differences are posted.
 * Option missing = accept: also while meters are not read to the end of the month. PP010,
 * PP042, 22023.
 */
Datum
prepay_post_public_energy(PG_FUNCTION_ARGS)
{
	return run_share(fcinfo, true);
}

/* ---- proof ---- */

char **
share_faults(const Site *site)
{
	static DbQuery query = {
		"SELECT format('account %s, entry %s of kind public has no line of a share, or a line has"
		" no such entry', COALESCE(e.account_id, l.account_id), COALESCE(e.seq, l.seq))"
		" FROM (SELECT account_id, seq FROM prepay.ledger_entry WHERE site_id = $1"
		"  AND kind = 'public') e FULL JOIN (SELECT account_id, seq FROM prepay.energy_share_line"
		"  WHERE site_id = $1) l USING (account_id, seq)"
		" WHERE e.seq IS NULL OR l.seq IS NULL ORDER BY 1",
		1,
		{ INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id) };
	int n = db_run(&query, args);
	char **fault = palloc0(sizeof(char *) * (n + 1));

	for (int i = 0; i < n; i++)
		fault[i] = db_text(i, 1);
	return fault;
}
