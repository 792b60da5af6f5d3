/*
 * debt.c: debt beside the balance.
 *
 * Two sorts, both added by add_debt() and paid by top-ups (sale, transfer in):
 *
 *   accumulated   paid in full, before anything reaches the balance
 *   percentage    p percent of each top-up, at most `cap` within a local day, week
 *                 (Monday to Sunday), month or year; first in the order
 *
 * A row of `debt` is a head over entries: owed = amount of the adding entry less
 * what entries that refer to it paid, less what was taken back. period_paid counts
 * what was paid since period_start, only what was really applied; it starts anew
 * with the first payment of a later period. Rows move under the account's lock.
 *
 * Percentages are taken of what is left of a top-up after the fee, rounded half
 * away from zero to the currency's decimals.
 */
#include "debt.h"

#include "utils/builtins.h"

#include "auth.h"
#include "db.h"
#include "jsonb_doc.h"

PG_FUNCTION_INFO_V1(prepay_add_debt);

/* First local day of the period that holds a day. */
static int32
period_begin(const char *per, int32 day)
{
	int year;
	int month;
	int mday;

	cal_civil(day, &year, &month, &mday);
	if (strcmp(per, "week") == 0)
		/* Day 0, 2000-01-01, was a Saturday. */
		return day - ((day + 5) % 7 + 7) % 7;
	if (strcmp(per, "month") == 0)
		return cal_day(year, month, 1);
	if (strcmp(per, "year") == 0)
		return cal_day(year, 1, 1);
	return day;
}

static void
add_part(DebtPlan *plan, int32 seq, int64 minor, int32 period_start)
{
	if (minor <= 0)
		return;
	plan->part[plan->n].seq = seq;
	plan->part[plan->n].minor = minor;
	plan->part[plan->n++].period_start = period_start;
	plan->total += minor;
}

static int
load_debts(const Site *site, const Account *account, DebtPlan *plan)
{
	static DbQuery query = {
		"SELECT seq, owed::text, (percent * 10000)::int8, cap::text, per,"
		" period_start - date '2000-01-01', period_paid::text FROM prepay.debt"
		" WHERE site_id = $1 AND account_id = $2 AND owed > 0 ORDER BY percent IS NULL, seq",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id) };
	int n = account->debt_minor > 0 ? db_run(&query, args) : 0;

	memset(plan, 0, sizeof(*plan));
	plan->part = palloc(sizeof(DebtPart) * Max(n, 1));
	return n;
}

/* What row i of the debts takes of a top-up of which `left` is left. */
static void
plan_one(const Site *site, int i, int64 top_up, int64 left, DebtPlan *plan)
{
	int64 share = Min(text_minor(site, db_text(i, 2)), left);
	int64 percent_e4 = db_int64_or(i, 3, 0);
	char *cap = db_text(i, 4);
	int32 begin = 0;

	if (percent_e4 > 0)
	{
		int64 of_top_up;

		if (!div_round_half_away((__int128) top_up * percent_e4, 1000000, &of_top_up))
			out_of_range("debt");
		share = Min(share, of_top_up);
	}
	if (cap)
	{
		int64 paid = 0;

		begin = period_begin(db_text(i, 5), site->today);
		if (db_int32_or(i, 6, PG_INT32_MIN) == begin)
			paid = text_minor(site, db_text(i, 7));
		share = Min(share, text_minor(site, cap) - paid);
	}
	add_part(plan, db_int32(i, 1), share, begin);
}

void
debt_plan(const Site *site, const Account *account, int64 top_up, DebtPlan *plan)
{
	int n = load_debts(site, account, plan);
	int i;

	for (i = 0; i < n; i++)
		plan_one(site, i, top_up, top_up - plan->total, plan);
}

void
debt_plan_all(const Site *site, const Account *account, DebtPlan *plan)
{
	int n = load_debts(site, account, plan);
	int i;

	for (i = 0; i < n; i++)
		add_part(plan, db_int32(i, 1), text_minor(site, db_text(i, 2)), 0);
}

void
debt_pay(VendCall *call, Account *account, const DebtPlan *plan)
{
	static DbQuery query = {
		"UPDATE prepay.debt SET owed = owed - $4, period_paid = CASE WHEN cap IS NULL THEN 0"
		"  WHEN period_start = date '2000-01-01' + $5 THEN period_paid + $4 ELSE $4 END,"
		" period_start = CASE WHEN cap IS NOT NULL THEN date '2000-01-01' + $5 END"
		" WHERE site_id = $1 AND account_id = $2 AND seq = $3",
		5,
		{ INT4OID, INT4OID, INT4OID, NUMERICOID, INT4OID }
	};
	int i;

	for (i = 0; i < plan->n; i++)
	{
		const DebtPart *part = &plan->part[i];
		LedgerEntry entry = { .kind = "debt",
							  .amount_minor = -part->minor,
							  .debt_minor = -part->minor,
							  .ref_seq = part->seq };
		Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(account->account_id),
						 Int32GetDatum(part->seq), minor_numeric(part->minor, call->site->decimals),
						 Int32GetDatum(part->period_start) };

		vend_post(call, account, &entry);
		db_run(&query, args);
		vend_decide(account);
	}
}

void
debt_unpay(const Site *site, int32 account_id, int32 seq, int64 minor, int32 day)
{
	static DbQuery query = {
		"UPDATE prepay.debt SET owed = owed + $4, period_paid = period_paid"
		"  - CASE WHEN period_start <= date '2000-01-01' + $5 THEN $4 ELSE 0 END"
		" WHERE site_id = $1 AND account_id = $2 AND seq = $3",
		5,
		{ INT4OID, INT4OID, INT4OID, NUMERICOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id), Int32GetDatum(seq),
					 minor_numeric(minor, site->decimals), Int32GetDatum(day) };

	if (db_run(&query, args) != 1)
		elog(ERROR, "debt %d of account %d is missing", seq, account_id);
}

void
debt_cancel(const Site *site, int32 account_id, int32 seq)
{
	static DbQuery query = { "UPDATE prepay.debt SET owed = 0 WHERE site_id = $1"
							 " AND account_id = $2 AND seq = $3 AND owed = amount",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id), Int32GetDatum(seq) };

	if (db_run(&query, args) != 1)
		ereport(ERROR, (errcode(ERRCODE_PP_NOT_REVERSIBLE),
						errmsg("some of the debt of entry %d has been paid", seq),
						errhint("Reverse the sales that paid it first.")));
}

int64
debt_owed(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT COALESCE(sum(owed), 0)::text FROM prepay.debt"
							 " WHERE site_id = $1 AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	db_run(&query, args);
	return text_minor(site, db_text(0, 1));
}

bool
debt_is_due(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT 1 FROM prepay.debt WHERE site_id = $1 AND account_id = $2"
							 " AND owed > 0 AND percent IS NULL LIMIT 1",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	return db_run(&query, args) > 0;
}

/* ---- SQL ---- */

typedef struct DebtTerms
{
	char *name;
	char *percent;
	char *cap;
	char *per;
} DebtTerms;

static void
bad_terms(const char *fault, const char *hint)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("%s", fault), errhint("%s", hint)));
}

static void
read_terms(const Site *site, Jsonb *options, DebtTerms *terms)
{
	int64 number;

	memset(terms, 0, sizeof(*terms));
	if (options == NULL)
		return;
	terms->name = option_text(options, "name");
	terms->percent = option_text(options, "percent");
	terms->cap = option_text(options, "cap");
	terms->per = option_text(options, "per");
	if (terms->percent && (decimal_parse(terms->percent, PERCENT_DECIMALS, &number) != DECIMAL_OK ||
						   number <= 0 || number > 1000000))
		bad_terms(psprintf("\"percent\" of a debt cannot be %s", terms->percent),
				  "Give a share of each top-up above 0 and up to 100, with at most 4 decimals.");
	if (terms->cap && amount_minor(site, numeric_from_text(terms->cap), "cap") <= 0)
		bad_terms(psprintf("\"cap\" of a debt cannot be %s", terms->cap),
				  "Give the most that top-ups pay within a period.");
	if (terms->per && strcmp(terms->per, "day") != 0 && strcmp(terms->per, "week") != 0 &&
		strcmp(terms->per, "month") != 0 && strcmp(terms->per, "year") != 0)
		bad_terms(psprintf("there is no period \"%s\"", terms->per),
				  "Periods are: day, week, month, year.");
	if (!terms->cap != !terms->per || (terms->cap && !terms->percent))
		bad_terms("a cap belongs to a percentage and to a period",
				  "Give all three, such as {\"percent\": 20, \"cap\": 50.00, \"per\": \"month\"}.");
}

static void
store_debt(const VendCall *call, int64 minor, const DebtTerms *terms)
{
	static DbQuery query = {
		"INSERT INTO prepay.debt (site_id, account_id, seq, name, amount, owed, percent, cap, per)"
		" VALUES ($1, $2, $3, $4, $5, $5, $6::numeric, $7::numeric, $8)",
		8,
		{ INT4OID, INT4OID, INT4OID, TEXTOID, NUMERICOID, TEXTOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id),
					 Int32GetDatum(call->target.id),
					 Int32GetDatum(call->seq),
					 db_text_datum(terms->name),
					 minor_numeric(minor, call->site->decimals),
					 db_text_datum(terms->percent),
					 db_text_datum(terms->cap),
					 db_text_datum(terms->per) };
	char nulls[] = "        ";

	nulls[3] = terms->name ? ' ' : 'n';
	nulls[5] = terms->percent ? ' ' : 'n';
	nulls[6] = terms->cap ? ' ' : 'n';
	nulls[7] = terms->per ? ' ' : 'n';
	db_run_nulls(&query, args, nulls);
}

/*
 * add_debt(account, amount, key, terms) → money_result. Owed beside the balance:
 * the entry moves no balance, its `debt` is the amount. terms: name, percent, cap, per.
 */
Datum
prepay_add_debt(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "name", "percent", "cap", "per", NULL };
	DbSession session;
	VendCall call = { .operation = "add_debt" };
	LedgerEntry entry = { .kind = "debt" };
	DebtTerms terms;
	Jsonb *options;
	char *terms_text;
	char *account = vend_text(fcinfo, 0, "the account");
	Datum result;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the amount of the debt must be given")));
	call.key = vend_key(fcinfo, 2);
	terms_text = vend_options(fcinfo, 3, known, &options);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SUPERVISE, "add debt to an account");
	entry.debt_minor = vend_positive(call.site, PG_GETARG_DATUM(1));
	read_terms(call.site, options, &terms);
	entry.note = terms.name;
	{
		const char *part[] = { vend_money(call.site, entry.debt_minor), terms_text };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_not_closed(call.site, &call.target);
		vend_post_result(&call, &entry);
		store_debt(&call, entry.debt_minor, &terms);
		vend_decide(call.account);
		vend_finish(&call);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
