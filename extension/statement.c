/*
 * statement.c: the printable fee list of one account and month (月结单).
 *
 * A statement is what the books did in a month: every line belongs to an entry booked in it,
 * so it never changes once the month is over. Amounts carry the sign they have for the
 * balance, and the running balance of the last line is that of the ledger:
 *
 *   opening                 the balance when the month began
 *   money                   entries of the month that are no usage: sales, refunds, ...
 *   earlier, correction     usage of days before the month that was booked in it: for the
 *                           first time, or to mend what was booked before
 *   energy, surcharge, standing   usage of days of the month, exact
 *   rounding                entries are in whole cents; the exact cost they stand for is not.
 *                           The remainder is carried, never lost: this line makes up for it
 *   closing                 the balance when the month ended: opening + all amounts
 *
 * A month that still runs goes on with what is not booked yet (unposted_energy,
 * unposted_surcharge, unposted_rounding) up to the balance of now. Last come the registers of
 * each meter at the month's begin and end.
 */
#include "statement.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"

#include "account.h"
#include "amount.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "history.h"
#include "jsonb_doc.h"
#include "range.h"
#include "tenant_identity.h"

PG_FUNCTION_INFO_V1(prepay_statement);
PG_FUNCTION_INFO_V1(prepay_my_statement);

/* ---- entries ---- */

/* The sum of entries booked before the month, and of usage entries booked in it. */
static void
load_sums(const Statement *statement, Exact *opening, Exact *posted_usage)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(amount) FILTER (WHERE booked_at < $3), 0),"
		" COALESCE(sum(amount) FILTER (WHERE booked_at >= $3"
		"  AND kind IN ('consumption', 'standing', 'correction')), 0)"
		" FROM prepay.ledger_entry WHERE site_id = $1 AND account_id = $2 AND booked_at < $4",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(statement->site->site_id), Int32GetDatum(statement->account.id),
					 TimestampTzGetDatum(statement->from), TimestampTzGetDatum(statement->to) };
	bool isnull;

	db_run(&query, args);
	*opening = numeric_exact(db_value(0, 1, &isnull));
	*posted_usage = numeric_exact(db_value(0, 2, &isnull));
}

static void
put_money(Statement *statement)
{
	static DbQuery query = {
		"SELECT seq, kind, amount, booked_at, concat_ws(', ', kind, tender,"
		" 'receipt ' || receipt_no, 'fee ' || NULLIF(fee, 0),"
		" 'of entry ' || ref_seq, note) FROM prepay.ledger_entry"
		" WHERE site_id = $1 AND account_id = $2 AND booked_at >= $3 AND booked_at < $4"
		" AND kind NOT IN ('consumption', 'standing', 'correction') ORDER BY seq",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(statement->site->site_id), Int32GetDatum(statement->account.id),
					 TimestampTzGetDatum(statement->from), TimestampTzGetDatum(statement->to) };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
	{
		StatementLine line = { .section = "money", .tier = -1, .has_amount = true };
		bool isnull;

		line.seq = db_int32(i, 1);
		line.item = db_text(i, 2);
		line.amount = numeric_exact(db_value(i, 3, &isnull));
		line.from = db_time(i, 4);
		line.text = db_text(i, 5);
		statement_line(statement, &line);
	}
}

/* ---- usage ---- */

#define USAGE_NAMES                                                                           \
	" JOIN prepay.tariff t ON t.site_id = u.site_id AND t.tariff_id = u.tariff_id"            \
	" LEFT JOIN prepay.tariff_price v ON v.site_id = u.site_id AND v.tariff_id = u.tariff_id" \
	"  AND v.version = u.version AND v.component = u.component AND v.item = u.item"           \
	"  AND v.period = u.period AND v.tier = u.tier"                                           \
	" LEFT JOIN prepay.meter m ON m.site_id = u.site_id AND m.meter_id = u.meter_id"

#define USAGE_COLUMNS                                                            \
	"m.code AS meter, s.day - date '2000-01-01', t.code AS tariff, u.version,"   \
	" u.component, v.item_name, v.period_name, u.tier::int4, v.price::text,"     \
	" sum(u.wh)::bigint, sum(u.estimated_wh)::bigint, sum(u.amount), s.section," \
	" min(u.day) - date '2000-01-01', max(u.day) - date '2000-01-01'"

#define USAGE_ORDER                                                                       \
	" GROUP BY s.rank, s.section, s.day, m.code, t.code, u.version, u.component, u.item," \
	"  v.item_name, u.period, v.period_name, u.tier, v.price"                             \
	" HAVING sum(u.amount) <> 0 OR sum(u.wh) <> 0"                                        \
	" ORDER BY s.rank, s.day, m.code, t.code, u.version, u.component, u.item, u.period, u.tier"

static const char *
usage_text(const StatementLine *line, const char *component)
{
	if (strcmp(component, "energy") != 0)
		return line->item;
	if (line->tier < 0 || line->period == NULL)
		return component;
	return psprintf("%s, tier %d", line->period, line->tier + 1);
}

/* Rows of USAGE_COLUMNS, of the last statement run; returns their cost. */
static Exact
put_usage(Statement *statement, int n)
{
	Exact cost = 0;
	StatementLine *line = palloc0(sizeof(StatementLine) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		const char *component = db_text(i, 5);
		bool isnull;

		line[i].meter = db_text(i, 1);
		line[i].day = db_int32_or(i, 2, 0);
		(void) db_value(i, 2, &isnull);
		line[i].has_day = !isnull;
		line[i].tariff = db_text(i, 3);
		line[i].version = db_int32(i, 4);
		line[i].item = db_text(i, 6);
		line[i].period = db_text(i, 7);
		line[i].tier = db_int32(i, 8);
		line[i].price = db_text(i, 9);
		line[i].has_energy = strcmp(component, "energy") == 0;
		line[i].wh = db_int64(i, 10);
		line[i].estimated_wh = db_int64(i, 11);
		line[i].has_amount = true;
		line[i].amount = -numeric_exact(db_value(i, 12, &isnull));
		line[i].section = db_text(i, 13);
		line[i].from = cal_day_start(statement->site->zone, db_int32(i, 14));
		line[i].to = cal_day_start(statement->site->zone, db_int32(i, 15) + 1);
		line[i].text = usage_text(&line[i], component);
		if (!exact_add(cost, -line[i].amount, &cost))
			out_of_range("cost");
		statement_line(statement, &line[i]);
	}
	return cost;
}

/* Usage booked in the month: of its days, and of earlier ones. */
static Exact
put_booked(Statement *statement)
{
	static DbQuery query = {
		"WITH u AS MATERIALIZED (SELECT * FROM prepay.usage_line WHERE site_id = $1"
		"  AND account_id = $2 AND booked_day >= date '2000-01-01' + $5 - 1)"
		"SELECT " USAGE_COLUMNS " FROM u JOIN prepay.ledger_entry e ON e.site_id = u.site_id"
		" AND e.account_id = u.account_id AND e.seq = u.booked_seq" USAGE_NAMES
		" CROSS JOIN LATERAL (SELECT CASE WHEN u.day < date '2000-01-01' + $5"
		"   THEN CASE e.kind WHEN 'correction' THEN 'correction' ELSE 'earlier' END"
		"   ELSE u.component END AS section) k"
		" CROSS JOIN LATERAL (SELECT k.section, CASE k.section WHEN 'earlier' THEN 1"
		"   WHEN 'correction' THEN 2 WHEN 'energy' THEN 3 WHEN 'surcharge' THEN 4 ELSE 5 END AS rank,"
		"  CASE WHEN $6 THEN u.day END AS day) s"
		" WHERE e.booked_at >= $3 AND e.booked_at < $4" USAGE_ORDER,
		6,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID, BOOLOID }
	};
	Datum args[] = { Int32GetDatum(statement->site->site_id), Int32GetDatum(statement->account.id),
					 TimestampTzGetDatum(statement->from),	  TimestampTzGetDatum(statement->to),
					 Int32GetDatum(statement->first_day),	  BoolGetDatum(statement->by_day) };

	return put_usage(statement, db_run(&query, args));
}

/* What entries, in whole cents, take off less than the exact cost. */
static void
put_rounding(Statement *statement, const char *section, Exact amount)
{
	StatementLine line = { .section = section,
						   .text = "carried to the next rounding",
						   .tier = -1,
						   .has_amount = true,
						   .amount = amount };

	if (amount != 0)
		statement_line(statement, &line);
}

/* Usage that no entry has taken off yet, up to the balance of now. */
static void
put_unposted(Statement *statement)
{
	static DbQuery query = {
		"SELECT " USAGE_COLUMNS " FROM prepay.usage_line_all u" USAGE_NAMES
		" CROSS JOIN LATERAL (SELECT 'unposted_' || u.component AS section, CASE u.component"
		"  WHEN 'energy' THEN 1 WHEN 'surcharge' THEN 2 ELSE 3 END AS rank,"
		"  CASE WHEN $3 THEN u.day END AS day) s"
		" WHERE u.site_id = $1 AND u.account_id = $2 AND u.booked_day IS NULL" USAGE_ORDER,
		3,
		{ INT4OID, INT4OID, BOOLOID }
	};
	const Site *site = statement->site;
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(statement->account.id),
					 BoolGetDatum(statement->by_day) };
	int64 minor;
	Exact balance;

	(void) put_usage(statement, db_run(&query, args));
	if (!account_balance(site, statement->account.id, &minor) ||
		!exact_from_minor(minor, site->decimals, &balance) ||
		!exact_add(balance, -statement->balance, &balance))
		out_of_range("balance");
	put_rounding(statement, "unposted_rounding", balance);
	statement_balance(statement, "now", site->now);
}

/* ---- registers ---- */

static const char *
meter_code(const Site *site, int32 meter_id)
{
	static DbQuery query = { "SELECT code FROM prepay.meter WHERE site_id = $1 AND meter_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	db_run(&query, args);
	return db_text(0, 1);
}

/*
 * Where the account's energy of a term ends, up to the end of the month: what a meter used
 * that left without a final register is told by its next reading. NULL: there is none.
 */
static const Believed *
last_reading(const Statement *statement, const MeterHistory *meter, const Term *term)
{
	const Believed *last = history_reading_at(meter, Min(term->to, statement->to));
	const Believed *next;

	if (last == NULL || term->to > statement->to || last->read_at >= term->to)
		return last;
	for (next = last + 1; next < meter->reading + meter->n; next++)
		if (!next->held && !next->was_waiting)
			return next;
	return last;
}

static void
put_registers(Statement *statement)
{
	History history;
	const Site *site = statement->site;
	int i;

	history_load(site, &statement->account.id, 1, statement->from, statement->to, &history);
	for (i = 0; i < history.n_term; i++)
	{
		const Term *term = &history.term[i];
		const MeterHistory *meter = history_meter(&history, term->meter_id);
		const Believed *first = history_reading_at(meter, Max(term->from, statement->from));
		const Believed *last = last_reading(statement, meter, term);
		StatementLine line = { .section = "register", .tier = -1, .has_register = true };

		if (term->from >= statement->to || first == NULL || last->read_at < first->read_at)
			continue;
		/* Owned energy alone: of an interval that straddles the term its part. */
		line.wh = history_energy(meter, first, last, term->from, term->to);
		line.meter = meter_code(site, term->meter_id);
		line.from = first->read_at;
		line.to = last->read_at;
		line.register_from = first->wh;
		line.register_to = last->wh;
		line.ratio_e6 = history_facts(meter, last->read_at)->ratio_e6;
		line.text = psprintf("read at %s and %s", statement_time(site, first->read_at),
							 statement_time(site, last->read_at));
		statement_line(statement, &line);
	}
}

/* ---- all of it ---- */

static void
take_month(Statement *statement, FunctionCallInfo fcinfo, int arg)
{
	TimeRange month = range_month(statement->site, fcinfo, arg);

	statement->first_day = month.first_day;
	statement->end_day = month.end_day;
	statement->from = month.from;
	statement->to = month.to;
}

static void
put_all(Statement *statement)
{
	Exact posted;
	Exact cost;

	load_sums(statement, &statement->balance, &posted);
	statement_balance(statement, "opening", statement->from);
	put_money(statement);
	cost = put_booked(statement);
	if (!exact_add(posted, cost, &posted))
		out_of_range("cost");
	put_rounding(statement, "rounding", posted);
	statement_balance(statement, "closing", Min(statement->to, statement->site->now));
	if (statement->to > statement->site->now)
		put_unposted(statement);
	put_registers(statement);
}

static bool
daily_option(Jsonb *options)
{
	const char *text = option_text(options, "daily");

	if (text && strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("option \"daily\" cannot be %s", text), errhint("Use true or false.")));
	return text && strcmp(text, "true") == 0;
}

/*
 * statement(account, month, options) → lines in order. month: any day of it; NULL: this month.
 * Option "daily": usage day by day. Raises 22023 for a month to come or a bad option.
 */
Datum
prepay_statement(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "daily", NULL };
	Statement statement = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	DbSession session;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the account and the options must be given")));
	options_check(PG_GETARG_JSONB_P(2), known);
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_ACCOUNT,
				 &statement.account);
	auth_require(session.caller, MAY_READ, statement.account.site_id, "print a statement");
	statement.site = site_get(statement.account.site_id);
	statement.by_day = daily_option(PG_GETARG_JSONB_P(2));
	take_month(&statement, fcinfo, 1);
	put_all(&statement);
	db_leave(&session);
	return (Datum) 0;
}

/* my_statement(month) → the same of the tenant's own account, summed up over the month. */
Datum
prepay_my_statement(PG_FUNCTION_ARGS)
{
	Statement statement = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	DbSession session;
	Tenant tenant;

	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	tenant = tenant_require(&session);
	statement.account =
		(CodeTarget){ tenant.site_id, KIND_ACCOUNT, tenant.account_id, tenant.code };
	statement.site = site_get(tenant.site_id);
	take_month(&statement, fcinfo, 0);
	put_all(&statement);
	db_leave(&session);
	return (Datum) 0;
}
