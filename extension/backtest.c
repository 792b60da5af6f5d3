/*
 * backtest.c: what a draft tariff would have cost, account by account.
 */
#include "postgres.h"

#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "jsonb_doc.h"
#include "rerate.h"
#include "tariff_api.h"

PG_FUNCTION_INFO_V1(prepay_backtest);

#define BACKTEST_COLUMNS 6

typedef struct Backtest
{
	ReturnSetInfo *result;
	const Site *site;
	const Tariff *draft;
	int32 from; /* local days [from, to) */
	int32 to;
	int64 gap_us;
} Backtest;

/* Energy in Wh and exact cost as they stand, sealed and open. */
static void
actual(const Backtest *test, int32 account_id, int64 *wh, Exact *cost)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(wh) FILTER (WHERE component = 'energy'), 0)::bigint,"
		" COALESCE(sum(amount), 0) FROM prepay.usage_line_all WHERE site_id = $1"
		" AND account_id = $2 AND day >= date '2000-01-01' + $3 AND day < date '2000-01-01' + $4",
		4,
		{ INT4OID, INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(test->site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(test->from), Int32GetDatum(test->to) };
	bool isnull;

	db_run(&query, args);
	*wh = db_int64(0, 1);
	*cost = numeric_exact(db_value(0, 2, &isnull));
}

/* The same energy under the draft; tiers start where the draft's accumulation period does. */
static Exact
drafted(const Backtest *test, const Account *account)
{
	RerateAsk ask = { .account_id = account->account_id,
					  .extra = &account->extra,
					  .gap_us = test->gap_us,
					  .draft = test->draft };
	RerateResult result;
	BillVec bill = { 0 };
	Exact cost = 0;
	int32 period_end;
	int32 day;
	int i;

	tariff_accumulation(test->draft, test->from, &ask.from_day, &period_end);
	rerate_compute(test->site, &ask, &result);
	if (rate_bill(result.lines.item, result.lines.n, &account->extra, &result.before, &bill) !=
		RATE_OK)
		out_of_range("cost");
	for (day = test->from; day < test->to && test->draft->n_standing > 0; day++)
	{
		StandingDay kind =
			cal_day_is_skipped(test->site->zone, day) ? STANDING_SKIPPED : STANDING_SUPPLIED;

		if (rate_standing(test->draft, 0, 0, day, kind, &bill) != RATE_OK)
			out_of_range("cost");
	}
	for (i = 0; i < bill.n; i++)
		if (bill.item[i].day >= test->from && bill.item[i].day < test->to &&
			!exact_add(cost, bill.item[i].amount, &cost))
			out_of_range("cost");
	return cost;
}

static void
test_account(const Backtest *test, int32 account_id, const char *code)
{
	Datum values[BACKTEST_COLUMNS];
	bool nulls[BACKTEST_COLUMNS] = { false };
	Account *account;
	Exact now_cost;
	Exact draft_cost;
	Exact difference;
	int64 wh;
	int n;

	/* A connection of its own: its rows and memory are gone when the account is done. */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	account = account_read_all(test->site, &account_id, 1, &n);
	actual(test, account_id, &wh, &now_cost);
	draft_cost = drafted(test, account);
	if (!exact_add(draft_cost, -now_cost, &difference))
		out_of_range("cost");
	values[0] = CStringGetTextDatum(test->site->code);
	values[1] = CStringGetTextDatum(code);
	values[2] = minor_numeric(wh, 3);
	values[3] = exact_numeric(now_cost);
	values[4] = exact_numeric(draft_cost);
	values[5] = exact_numeric(difference);
	tuplestore_putvalues(test->result->setResult, test->result->setDesc, values, nulls);
	SPI_finish();
}

static void
test_accounts(const Backtest *test)
{
	static DbQuery query = { "SELECT account_id, code FROM prepay.account WHERE site_id = $1"
							 " ORDER BY account_id",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(test->site->site_id);
	int n = db_run(&query, &arg);
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	char **code = palloc(sizeof(char *) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		account_id[i] = db_int32(i, 1);
		code[i] = db_text(i, 2);
	}
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		test_account(test, account_id[i], code[i]);
	}
}

/*
 * backtest(site, definition, t0, t1): the local days from t0 to before t1 under a draft
 * definition, beside what they cost. Writes nothing.
 */
Datum
prepay_backtest(PG_FUNCTION_ARGS)
{
	Backtest test = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	DbSession session;
	Tariff *draft;
	int32 site_id;
	int i;

	for (i = 1; i < 4; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("definition, begin and end of a back-test must be given")));
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_READ, site_id, "back-test a tariff");
	test.site = site_get(site_id);
	draft = tariff_check_definition(PG_GETARG_JSONB_P(1));
	test.draft = draft;
	tariff_load_calendar(test.site, draft);
	if (TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(2)) ||
		TIMESTAMP_NOT_FINITE(PG_GETARG_TIMESTAMPTZ(3)) ||
		PG_GETARG_TIMESTAMPTZ(2) >= PG_GETARG_TIMESTAMPTZ(3))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the back-test begins after its end or is endless"),
						errhint("Give two times, the earlier one first.")));
	test.from = site_local_day(test.site, PG_GETARG_TIMESTAMPTZ(2));
	test.to = site_local_day(test.site, PG_GETARG_TIMESTAMPTZ(3));
	test.gap_us = 2 * setting_interval_us(test.site, "poll_interval", 0);
	test_accounts(&test);
	db_leave(&session);
	return (Datum) 0;
}
