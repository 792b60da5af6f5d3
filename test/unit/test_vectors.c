/*
 * test_vectors.c: published and hand-worked examples, from the tables in data/.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OFFSET_S 28800

static const char *case_id;

static int64_t
wall_time(const Doc *doc)
{
	int year;
	int month;
	int mday;
	int hour;
	int minute;

	assert_int_equal(5,
					 sscanf(doc_text(doc), "%d-%d-%d %d:%d", &year, &month, &mday, &hour, &minute));
	return at(year, month, mday, hour, minute, OFFSET_S);
}

static int64_t
wh_of(const Doc *kwh)
{
	int64_t wh;

	assert_int_equal(DECIMAL_OK, decimal_parse(doc_text(kwh), 3, &wh));
	return wh;
}

static Tariff *
load(const Doc *definition)
{
	DocFault fault;
	Tariff *t = tariff_load(definition, &fault);

	if (t == NULL)
		fail_msg("%s: %s: %s", case_id, fault.path, fault.what);
	return t;
}

static void
start_position(RatePositionVec *positions, const Tariff *t, int64_t from, const Doc *start)
{
	const Doc *by_period = doc_get(start, "by_period");
	RatePosition *position;
	CalLocal local;
	int32_t accum_start;
	int32_t accum_end;

	cal_local(&zone_shanghai, from, &local);
	tariff_accumulation(t, local.day, &accum_start, &accum_end);
	position = rate_position_open(positions, 1, accum_start, accum_end, t);
	position->wh = wh_of(doc_need(start, "kwh"));
	for (int p = 0; by_period && p < t->n_period; p++)
		position->by_period[p] = wh_of(doc_need(by_period, t->period_name[p]));
}

static Exact
standing_of_month(const Tariff *t, const Doc *month)
{
	BillVec bill = { 0 };
	Exact sum;
	int year;
	int m;

	assert_int_equal(2, sscanf(doc_text(month), "%d-%d", &year, &m));
	for (int mday = 1; mday <= cal_days_in_month(year, m); mday++)
		assert_int_equal(RATE_OK,
						 rate_standing(t, 1, 1, cal_day(year, m, mday), STANDING_SUPPLIED, &bill));
	sum = bill_sum(&bill);
	free(bill.item);
	return sum;
}

static void
check_cost(Exact sum, const Doc *expect)
{
	const char *rounding = doc_text(doc_need(expect, "round"));
	int decimals = (int) doc_int(doc_need(expect, "decimals"));
	Exact want = exact(doc_text(doc_need(expect, "cost")));
	Exact got = sum;

	if (strcmp(rounding, "exact") != 0)
	{
		int64_t minor;
		Exact half_unit = 5;

		/* Rounding down is rounding what is half a unit less, but for halves: step past them. */
		for (int i = decimals + 1; i < EXACT_DECIMALS; i++)
			half_unit *= 10;
		if (strcmp(rounding, "floor") == 0)
			got -= half_unit - 1;
		assert_true(exact_to_minor(got, decimals, &minor));
		assert_true(exact_from_minor(minor, decimals, &got));
	}
	if (got != want)
		fail_msg("%s: %s instead of %s (%s)", case_id, text_of(sum), text_of(want), rounding);
}

static void
check_wh(const Account *account, const Tariff *t, const Doc *wh)
{
	for (int i = 0; i < wh->n; i++)
		for (int p = 0; p < t->n_period; p++)
			if (strcmp(t->period_name[p], wh->key[i]) == 0 &&
				account_wh(account, p, -1) != doc_int(&wh->item[i]))
				fail_msg("%s: %lld Wh in %s", case_id, (long long) account_wh(account, p, -1),
						 wh->key[i]);
}

static void
run_case(const Doc *doc)
{
	const Doc *intervals = doc_need(doc, "intervals");
	const Doc *expect = doc_need(doc, "expect");
	const Doc *later = doc_get(doc, "later");
	Tariff *t = load(doc_need(doc, "definition"));
	Tariff *next = later ? load(doc_need(later, "definition")) : NULL;
	RatePositionVec before = { 0 };
	BillVec bill = { 0 };
	Account account;
	Exact sum;

	account_open(&account, &zone_shanghai, t);
	if (next)
	{
		account.span[1] = account.span[0];
		account.span[0].to = account.span[1].from = wall_time(doc_need(later, "from"));
		account.span[1].version = 2;
		account.span[1].tariff = next;
		account.n_span = 2;
	}
	if (doc_get(doc, "extra_kwh"))
		account_extend(&account, wh_of(doc_get(doc, "extra_kwh")));
	if (doc_get(doc, "start"))
	{
		start_position(&account.positions, t, wall_time(&intervals->item[0].item[0]),
					   doc_get(doc, "start"));
		start_position(&before, t, wall_time(&intervals->item[0].item[0]), doc_get(doc, "start"));
	}
	for (int i = 0; i < intervals->n; i++)
	{
		const Doc *interval = &intervals->item[i];

		account_add(&account, 1, wall_time(&interval->item[0]), wall_time(&interval->item[1]),
					wh_of(&interval->item[2]));
	}
	account_walk(&account);
	assert_int_equal(
		RATE_OK, rate_bill(account.lines.item, account.lines.n, &account.extra, &before, &bill));
	sum = bill_sum(&bill);
	if (doc_get(doc, "standing_month"))
		sum += standing_of_month(t, doc_get(doc, "standing_month"));
	check_cost(sum, expect);
	if (doc_get(expect, "wh"))
		check_wh(&account, t, doc_get(expect, "wh"));
	free(bill.item);
	free(before.item);
	account_close(&account);
	tariff_free(t);
	tariff_free(next);
}

static void
run_table(const char *name, int least)
{
	const char *folder = getenv("DATA") ? getenv("DATA") : "data";
	char path[1000];
	char error[200];
	char *text;
	Doc *doc;
	const Doc *cases;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	text = read_file(path);
	doc = doc_from_json(text, error, sizeof(error));
	if (doc == NULL)
		fail_msg("%s: %s", path, error);
	cases = doc_need(doc, "cases");
	assert_true(cases->n >= least);
	for (int i = 0; i < cases->n; i++)
	{
		case_id = doc_text(doc_need(&cases->item[i], "id"));
		run_case(&cases->item[i]);
	}
	doc_free(doc);
	core_free(text);
}

static void
published_examples(void **state)
{
	(void) state;
	run_table("worked_examples.json", 85);
}

static void
hand_worked_cases(void **state)
{
	(void) state;
	run_table("semantics.json", 24);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(published_examples),
		cmocka_unit_test(hand_worked_cases),
	};

	return cmocka_run_group_tests_name("vectors", tests, NULL, NULL);
}
