/*
 * backtest.c: what a draft tariff would have cost, account by account.
 *
 * Days are rated under the draft by the same walk that rates them in earnest, from the
 * begin of the draft's accumulation period on, so tiers stand where they would have stood.
 * Where the draft is the tariff that was in force all that time, nothing differs.
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
/* Accounts are tested in batches whose readings fit into some 30 MB. */
#define FIRST_BATCH 16
#define MAX_BATCH 10000
#define BATCH_READINGS INT64CONST(400000)

typedef struct Backtest
{
	ReturnSetInfo *result;
	const Site *site;
	const Tariff *draft;
	int32 from; /* local days [from, to) */
	int32 to;
	int32 walk_from; /* where the draft's accumulation period of `from` begins */
	int64 gap_us;
} Backtest;

/* What the days cost an account: as they stand, and under the draft. */
typedef struct AccountTest
{
	int32 account_id;
	const char *code;
	int64 wh;
	Exact actual;
	Exact drafted;
} AccountTest;

/* Accounts that were open on one of the days, ascending. */
static AccountTest *
load_accounts(const Backtest *test, int *n)
{
	static DbQuery query = { "SELECT account_id, code FROM prepay.account WHERE site_id = $1"
							 " AND opened_at < $3 AND COALESCE(closed_at, 'infinity') >= $2"
							 " ORDER BY account_id",
							 3,
							 { INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(test->site->site_id),
					 TimestampTzGetDatum(cal_day_start(test->site->zone, test->from)),
					 TimestampTzGetDatum(cal_day_start(test->site->zone, test->to)) };
	AccountTest *account;
	int i;

	*n = db_run(&query, args);
	account = palloc0(sizeof(AccountTest) * Max(*n, 1));
	for (i = 0; i < *n; i++)
	{
		account[i].account_id = db_int32(i, 1);
		account[i].code = db_text(i, 2);
	}
	return account;
}

/* Energy in Wh and exact cost as they stand, sealed and open. */
static void
load_actual(const Backtest *test, const int32 *account_id, AccountTest *account, int n)
{
	static DbQuery query = {
		"SELECT account_id, COALESCE(sum(wh) FILTER (WHERE component = 'energy'), 0)::bigint,"
		" sum(amount) FROM prepay.usage_line_all WHERE site_id = $1 AND account_id = ANY ($2)"
		" AND day >= date '2000-01-01' + $3 AND day < date '2000-01-01' + $4 GROUP BY account_id"
		" ORDER BY account_id",
		4,
		{ INT4OID, INT4ARRAYOID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(test->site->site_id), db_array_int32(account_id, n),
					 Int32GetDatum(test->from), Int32GetDatum(test->to) };
	int found = db_run(&query, args);
	int i;
	int a = 0;

	for (i = 0; i < found; i++)
	{
		bool isnull;

		while (account[a].account_id != db_int32(i, 1))
			a++;
		account[a].wh = db_int64(i, 2);
		account[a].actual = numeric_exact(db_value(i, 3, &isnull));
	}
}

/* Standing charges fall on the days that are sealed, as they do in the books. */
static void
add_standing(const Backtest *test, const Account *account, const History *history, BillVec *bill)
{
	const CalZone *zone = test->site->zone;
	int32 from = test->from;
	int32 to = Min(test->to, account->sealed_to);
	int32 day;

	if (test->draft->n_standing == 0)
		return;
	rerate_standing_days(test->site, account, rerate_opened_day(test->site, account->account_id),
						 &from, &to);
	for (day = from; day < to; day++)
	{
		StandingDay kind = STANDING_SUPPLIED;

		if (cal_day_is_skipped(zone, day))
			kind = STANDING_SKIPPED;
		else if (history_shows_cut(history, account->account_id, cal_day_start(zone, day),
								   cal_day_start(zone, day + 1)))
			kind = STANDING_CUT;
		if (rate_standing(test->draft, 0, 0, day, kind, bill) != RATE_OK)
			out_of_range("cost");
	}
}

/* The same energy under the draft. */
static Exact
drafted(const Backtest *test, const Account *account, const History *history)
{
	RerateAsk ask = { .account_id = account->account_id,
					  .extra = &account->extra,
					  .from_day = test->walk_from,
					  .until = cal_day_start(test->site->zone, test->to),
					  .gap_us = test->gap_us,
					  .history = history,
					  .draft = test->draft };
	RerateResult result;
	BillVec bill = { 0 };
	Exact cost = 0;
	int i;

	rerate_compute(test->site, &ask, &result);
	if (rate_bill(result.lines.item, result.lines.n, &account->extra, &result.before, &bill) !=
		RATE_OK)
		out_of_range("cost");
	add_standing(test, account, history, &bill);
	for (i = 0; i < bill.n; i++)
		if (bill.item[i].day >= test->from && bill.item[i].day < test->to &&
			!exact_add(cost, bill.item[i].amount, &cost))
			out_of_range("cost");
	return cost;
}

static void
put_account(const Backtest *test, const AccountTest *account)
{
	Datum values[BACKTEST_COLUMNS];
	bool nulls[BACKTEST_COLUMNS] = { false };
	Exact difference;

	if (!exact_add(account->drafted, -account->actual, &difference))
		out_of_range("cost");
	values[0] = CStringGetTextDatum(test->site->code);
	values[1] = CStringGetTextDatum(account->code);
	values[2] = minor_numeric(account->wh, 3);
	values[3] = exact_numeric(account->actual);
	values[4] = exact_numeric(account->drafted);
	values[5] = exact_numeric(difference);
	tuplestore_putvalues(test->result->setResult, test->result->setDesc, values, nulls);
}

/* SPI connections of their own: rows and memory are gone with the batch, and with each account. */
static void
spi_connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* Test n accounts; returns how many readings that took. */
static int64
test_batch(const Backtest *test, AccountTest *account, int n)
{
	int32 *account_id;
	Account *state;
	History history;
	int64 readings = 0;
	int i;

	spi_connect();
	account_id = palloc(sizeof(int32) * n);
	for (i = 0; i < n; i++)
		account_id[i] = account[i].account_id;
	state = account_read_all(test->site, account_id, n, &n);
	load_actual(test, account_id, account, n);
	history_load(test->site, account_id, n, cal_day_start(test->site->zone, test->walk_from),
				 cal_day_start(test->site->zone, test->to), &history);
	for (i = 0; i < history.n_meter; i++)
		readings += history.meter[i].n;
	for (i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		spi_connect();
		account[i].drafted = drafted(test, &state[i], &history);
		put_account(test, &account[i]);
		SPI_finish();
	}
	SPI_finish();
	return readings;
}

static void
test_accounts(const Backtest *test)
{
	int n;
	AccountTest *account = load_accounts(test, &n);
	int batch = FIRST_BATCH;
	int done;

	for (done = 0; done < n;)
	{
		int size = Min(batch, n - done);
		int64 readings = test_batch(test, account + done, size);

		done += size;
		batch = (int) Min(BATCH_READINGS / Max(readings / size, 1) + 1, MAX_BATCH);
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
	int32 period_end;
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
	tariff_accumulation(draft, test.from, &test.walk_from, &period_end);
	test.gap_us = 2 * setting_interval_us(test.site, "poll_interval", 0);
	test_accounts(&test);
	db_leave(&session);
	return (Datum) 0;
}
