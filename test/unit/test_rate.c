/*
 * test_rate.c: walking pieces through the tiers.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YEARLY \
	"{'tiers': {'accumulate': 'year', 'upto': [2160, 4800]}, 'prices': [0.50, 0.55, 0.80]}"
#define SHANGHAI                                                                \
	"{'periods': ['peak', 'valley'], 'prices': {'peak': [0.617, 0.677, 0.977]," \
	" 'valley': [0.307, 0.337, 0.487]}, 'tiers': {'upto': [1, 2.5]},"           \
	" 'schedule': [{'slots': [['00:00', 'valley'], ['06:00', 'peak'], ['22:00', 'valley']]}]}"

static int64_t noon;

static void
start_at(Account *account, const Tariff *t, int64_t wh)
{
	int32_t accum_start;
	int32_t accum_end;

	tariff_accumulation(t, cal_day(2023, 5, 10), &accum_start, &accum_end);
	account_open(account, &zone_utc, t);
	rate_position_open(&account->positions, 1, accum_start, accum_end, t)->wh = wh;
}

static void
assert_tiers(const Tariff *t, int64_t position, int64_t wh, int64_t first, int64_t second,
			 int64_t third)
{
	Account account;

	start_at(&account, t, position);
	account_use(&account, noon, noon + HOUR_US, wh);
	if (account_wh(&account, 0, 0) != first || account_wh(&account, 0, 1) != second ||
		account_wh(&account, 0, 2) != third)
		fail_msg("%lld Wh from %lld are %lld, %lld, %lld", (long long) wh, (long long) position,
				 (long long) account_wh(&account, 0, 0), (long long) account_wh(&account, 0, 1),
				 (long long) account_wh(&account, 0, 2));
	assert_int_equal((first > 0) + (second > 0) + (third > 0), account.lines.n);
	assert_int_equal(position + wh, account.positions.item[0].wh);
	account_close(&account);
}

static void
bounds_by_the_wh(void **state)
{
	Tariff *t = tariff(YEARLY);

	(void) state;
	assert_tiers(t, 2159999, 1, 1, 0, 0);
	assert_tiers(t, 2160000, 1, 0, 1, 0);
	assert_tiers(t, 2160001, 1, 0, 1, 0);
	assert_tiers(t, 2159999, 2, 1, 1, 0);
	assert_tiers(t, 4799999, 1, 0, 1, 0);
	assert_tiers(t, 4800000, 1, 0, 0, 1);
	assert_tiers(t, 4799999, 2, 0, 1, 1);
	assert_tiers(t, 0, 2160000, 2160000, 0, 0);
	assert_tiers(t, 0, 2160001, 2160000, 1, 0);
	assert_tiers(t, 0, 5000000, 2160000, 2640000, 200000);
	assert_tiers(t, 2159999, 2640002, 1, 2640000, 1);
	assert_tiers(t, 10000000, 5, 0, 0, 5);
	tariff_free(t);
}

static void
jumps_cost_the_difference(void **state)
{
	static const struct
	{
		int64_t from;
		int64_t to;
		const char *cost;
	} cases[] = {
		{ 2159000, 2161000, "1.05" },
		{ 2100000, 2200000, "52" },
		{ 4700000, 4900000, "135" },
		{ 0, 5000000, "2692" },
	};
	Tariff *t = tariff(YEARLY);

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		Account account;

		start_at(&account, t, cases[i].from);
		account_use(&account, noon, noon + HOUR_US, cases[i].to - cases[i].from);
		assert_string_equal(cases[i].cost, account_cost(&account));
		account_close(&account);
	}
	tariff_free(t);
}

static void
negative_and_zero_prices(void **state)
{
	Tariff *t = tariff("{'tiers': {'upto': [1, 2]}, 'prices': [-0.5, 0, 0.000001]}");
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_use(&account, noon, noon + HOUR_US, 1000);
	assert_string_equal("-0.5", account_cost(&account));
	account_use(&account, noon + HOUR_US, noon + 2 * HOUR_US, 1000);
	assert_string_equal("-0.5", account_cost(&account));
	account_use(&account, noon + 2 * HOUR_US, noon + 3 * HOUR_US, 1);
	assert_string_equal("-0.499999999", account_cost(&account));
	assert_int_equal(3, account.lines.n);
	account_close(&account);
	tariff_free(t);
}

static void
positions_start_anew_at_local_period_edges(void **state)
{
	Tariff *t = tariff("{'tiers': {'accumulate': 'year', 'upto': [1]}, 'prices': [1, 2]}");
	const int64_t new_year = at(2024, 1, 1, 0, 0, 28800);
	Account account;

	(void) state;
	account_open(&account, &zone_shanghai, t);
	account_use(&account, new_year - 2 * HOUR_US, new_year - 1, 1500);
	assert_int_equal(1000, account_wh(&account, 0, 0));
	account_use(&account, new_year - 1, new_year, 1);
	assert_int_equal(501, account_wh(&account, 0, 1));
	account_use(&account, new_year, new_year + 1, 999);
	assert_int_equal(501, account_wh(&account, 0, 1));
	assert_int_equal(2, account.positions.n);
	/* One interval over the edge. */
	account_use(&account, new_year - HOUR_US, new_year + HOUR_US, 4);
	assert_int_equal(503 + 1, account_wh(&account, 0, 1));
	account_close(&account);
	tariff_free(t);

	t = tariff("{'tiers': {'accumulate': 'month', 'anchor': '31', 'upto': [1]}, 'prices': [1, 2]}");
	account_open(&account, &zone_utc, t);
	account_use(&account, at(2024, 2, 28, 0, 0, 0), at(2024, 2, 29, 0, 0, 0), 1000);
	account_use(&account, at(2024, 2, 29, 0, 0, 0), at(2024, 3, 1, 0, 0, 0), 1000);
	assert_int_equal(2000, account_wh(&account, 0, 0));
	account_use(&account, at(2024, 3, 30, 0, 0, 0), at(2024, 3, 31, 0, 0, 0), 1);
	assert_int_equal(1, account_wh(&account, 0, 1));
	account_close(&account);
	tariff_free(t);
}

static void
bounds_follow_season_days_and_household(void **state)
{
	Tariff *t = tariff(
		"{'seasons': [{'name': 's', 'from': '06-01', 'to': '07-01'},"
		" {'name': 'w', 'from': '07-01', 'to': '06-01'}], 'prices': [1, 2],"
		" 'tiers': {'accumulate': 'quarter', 'anchor': '04-01', 'upto': {'s': [5], 'w': [1]}}}");
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_use(&account, at(2023, 5, 31, 0, 0, 0), at(2023, 6, 1, 0, 0, 0), 3000);
	assert_int_equal(2000, account_wh(&account, 0, 1));
	/* The position stays at 3 kWh, the bound rises to 5. */
	account_use(&account, at(2023, 6, 1, 0, 0, 0), at(2023, 6, 2, 0, 0, 0), 3000);
	assert_int_equal(3000, account_wh(&account, 0, 1));
	assert_int_equal(3000, account_wh(&account, 0, 0));
	account_close(&account);
	tariff_free(t);

	t = tariff("{'prices': [1, 2], 'tiers': {'accumulate': 'day_allowance', 'upto': [0.1]}}");
	account_open(&account, &zone_utc, t);
	account_use(&account, at(2024, 2, 3, 0, 0, 0), at(2024, 2, 4, 0, 0, 0), 3000);
	assert_int_equal(2900, account_wh(&account, 0, 0));
	account_use(&account, at(2024, 3, 3, 0, 0, 0), at(2024, 3, 4, 0, 0, 0), 3200);
	assert_int_equal(2900 + 3100, account_wh(&account, 0, 0));
	account_close(&account);
	account_open(&account, &zone_utc, t);
	account_extend(&account, 50);
	account_use(&account, at(2024, 2, 3, 0, 0, 0), at(2024, 2, 4, 0, 0, 0), 3000);
	assert_int_equal(2950, account_wh(&account, 0, 0));
	account_close(&account);
	tariff_free(t);
}

/* The same edges within one batch. */
static void
bounds_change_within_a_batch(void **state)
{
	Tariff *t = tariff("{'seasons': [{'name': 's', 'from': '06-01', 'to': '07-01'},"
					   " {'name': 'w', 'from': '07-01', 'to': '06-01'}], 'prices': [1, 2],"
					   " 'tiers': {'accumulate': 'year', 'upto': {'s': [5], 'w': [1]}}}");
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_use(&account, at(2023, 5, 31, 0, 0, 0), at(2023, 6, 2, 0, 0, 0), 6000);
	/* May: 1 and 2 kWh; June from 3 to 5 and from 5 to 6 */
	assert_int_equal(1000 + 2000, account_wh(&account, 0, 0));
	assert_int_equal(2000 + 1000, account_wh(&account, 0, 1));
	account_close(&account);
	tariff_free(t);

	t = tariff("{'prices': [1, 2], 'tiers': {'accumulate': 'day_allowance', 'upto': [0.1]}}");
	account_open(&account, &zone_utc, t);
	account_use(&account, at(2024, 2, 29, 0, 0, 0), at(2024, 3, 2, 0, 0, 0), 8000);
	assert_int_equal(2900 + 3100, account_wh(&account, 0, 0));
	account_close(&account);
	tariff_free(t);
}

static void
meters_share_the_position(void **state)
{
	Tariff *t = tariff("{'tiers': {'upto': [1]}, 'prices': [1, 2]}");
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	/* Meter 7 ends earlier, meter 3 began earlier; equal ends go by start, then by meter. */
	account_add(&account, 3, noon - HOUR_US, noon + HOUR_US, 600);
	account_add(&account, 7, noon, noon + HOUR_US / 2, 600);
	account_walk(&account);
	assert_int_equal(2 + 1, account.lines.n);
	assert_int_equal(7, account.lines.item[0].meter_id);
	assert_int_equal(600, account.lines.item[0].wh);
	assert_int_equal(3, account.lines.item[1].meter_id);
	assert_int_equal(400, account.lines.item[1].wh);
	assert_int_equal(1, account.lines.item[2].tier);
	assert_int_equal(200, account.lines.item[2].wh);
	account_close(&account);

	account_open(&account, &zone_utc, t);
	account_add(&account, 2, noon, noon + HOUR_US, 1);
	account_add(&account, 1, noon, noon + HOUR_US, 1);
	account_add(&account, 5, noon - 1, noon + HOUR_US, 1);
	rate_sort(&account.pieces);
	assert_int_equal(5, account.pieces.item[0].meter_id);
	assert_int_equal(1, account.pieces.item[1].meter_id);
	assert_int_equal(2, account.pieces.item[2].meter_id);
	account_close(&account);
	tariff_free(t);
}

static void
versions_share_the_position(void **state)
{
	Tariff *old = tariff("{'tiers': {'upto': [1]}, 'prices': [1, 2]}");
	Tariff *new = tariff("{'tiers': {'upto': [1.5, 3]}, 'prices': [10, 20, 30]}");
	Account account;

	(void) state;
	account_open(&account, &zone_utc, old);
	account.span[1] = account.span[0];
	account.span[0].to = account.span[1].from = noon;
	account.span[1].version = 2;
	account.span[1].tariff = new;
	account.n_span = 2;
	account_use(&account, noon - HOUR_US, noon + HOUR_US, 2400);
	/* 1 at 1, 0.2 at 2; from 1.2 on 0.3 at 10, 0.9 at 20 */
	assert_string_equal("22.4", account_cost(&account));
	account_close(&account);
	tariff_free(old);
	tariff_free(new);
}

static void
collect(void *context, const RateStep *step)
{
	RateStep **next = context;

	*(*next)++ = *step;
}

static void
trace_tells_every_step(void **state)
{
	Tariff *t = tariff(YEARLY);
	RateStep step[8];
	RateStep *next = step;
	RatePiece piece;
	Account account;

	(void) state;
	start_at(&account, t, 2159000);
	account_add(&account, 1, noon, noon + 3000, 3000000);
	piece = account.pieces.item[0];
	assert_int_equal(
		RATE_OK, rate_walk(&piece, 1, NULL, &account.positions, &account.lines, collect, &next));
	assert_int_equal(3, next - step);
	for (int i = 0; i < 3; i++)
	{
		assert_ptr_equal(&piece, step[i].piece);
		assert_int_equal(i, step[i].tier);
		assert_int_equal(i == 0 ? noon : step[i - 1].to, step[i].from);
		assert_int_equal(i == 0 ? 2159000 : step[i - 1].position_wh + step[i - 1].wh,
						 step[i].position_wh);
	}
	assert_int_equal(1000, step[0].wh);
	assert_int_equal(2640000, step[1].wh);
	assert_int_equal(359000, step[2].wh);
	assert_int_equal(noon + 1, step[0].to);
	assert_int_equal(noon + 2641, step[1].to);
	assert_int_equal(noon + 3000, step[2].to);
	account_close(&account);
	tariff_free(t);
}

/* By month from June on, by year before: each finds the energy of its own period. */
static void
versions_may_accumulate_over_other_periods(void **state)
{
	Tariff *old = tariff("{'tiers': {'accumulate': 'year', 'upto': [100]}, 'prices': [1, 2]}");
	Tariff *new = tariff("{'tiers': {'accumulate': 'month', 'upto': [10]}, 'prices': [1, 10]}");
	const int64_t change = at(2023, 6, 11, 0, 0, 0);
	Account account;
	int64_t wh;

	(void) state;
	account_open(&account, &zone_utc, old);
	account.span[1] = account.span[0];
	account.span[0].to = account.span[1].from = change;
	account.span[1].version = 2;
	account.span[1].tariff = new;
	account.n_span = 2;
	account_add(&account, 1, at(2023, 5, 31, 22, 0, 0), at(2023, 5, 31, 23, 0, 0), 97000);
	account_add(&account, 1, at(2023, 6, 1, 1, 0, 0), at(2023, 6, 1, 2, 0, 0), 4000);
	account_add(&account, 1, change, change + HOUR_US, 8000);
	account_walk(&account);
	/* 100 at 1 and 1 at 2 by year; June had 4 before the change: 6 at 1, 2 at 10 */
	assert_string_equal("128", account_cost(&account));
	assert_true(
		rate_position_wh(&account.positions, 1, cal_day(2023, 1, 1), cal_day(2024, 1, 1), &wh));
	assert_int_equal(109000, wh);
	assert_true(
		rate_position_wh(&account.positions, 1, cal_day(2023, 6, 1), cal_day(2023, 7, 1), &wh));
	assert_int_equal(12000, wh);
	rate_position_close_before(&account.positions, cal_day(2023, 7, 1));
	assert_false(
		rate_position_is_open(&account.positions, 1, cal_day(2023, 6, 1), cal_day(2023, 7, 1)));
	assert_true(
		rate_position_is_open(&account.positions, 1, cal_day(2023, 1, 1), cal_day(2024, 1, 1)));
	account_close(&account);
	tariff_free(old);
	tariff_free(new);
}

/* Periods of the same begin are not the same period. */
static void
positions_differ_by_end(void **state)
{
	Tariff *t = tariff("{'prices': 1}");
	RatePositionVec positions = { 0 };
	int64_t wh;

	(void) state;
	rate_position_open(&positions, 1, 0, 31, t);
	rate_position_open(&positions, 1, 0, 366, t);
	assert_true(rate_position_add(&positions, 1, t, 30, 0, 5));
	assert_true(rate_position_add(&positions, 1, t, 31, 0, 7));
	assert_true(rate_position_add(&positions, 2, t, 31, 0, 100));
	assert_true(rate_position_wh(&positions, 1, 0, 31, &wh));
	assert_int_equal(5, wh);
	assert_true(rate_position_wh(&positions, 1, 0, 366, &wh));
	assert_int_equal(12, wh);
	assert_false(rate_position_add(&positions, 1, t, 31, 0, INT64_MAX));
	free(positions.item);
	tariff_free(t);
}

static void
positions_follow_periods_by_name(void **state)
{
	Tariff *old = tariff(
		"{'periods': ['a', 'b', 'c'], 'prices': {'a': 1, 'b': 1, 'c': 1}, 'schedule': [{'slots': "
		"[['00:00', 'a']]}]}");
	Tariff *new = tariff(
		"{'periods': ['c', 'a'], 'prices': {'a': 1, 'c': 1}, 'schedule': [{'slots': [['00:00', "
		"'a']]}]}");
	RatePositionVec positions = { 0 };
	int64_t by_period[TARIFF_MAX_PERIODS];
	int64_t unknown;

	(void) state;
	rate_position_open(&positions, 1, 0, 31, old)->wh = 5; /* of no known period */
	for (int p = 0; p < 3; p++)
		assert_true(rate_position_add(&positions, 1, old, 3, p, 10 * (p + 1)));
	assert_true(rate_position_add(&positions, 1, new, 4, 1, 100));
	assert_true(rate_position_by_period(&positions, 1, 0, 31, new, by_period, &unknown));
	assert_int_equal(5, unknown);
	assert_int_equal(20 + 30, by_period[0]);
	assert_int_equal(10 + 100, by_period[1]);
	assert_int_equal(0, by_period[2]);
	/* Nothing was lost on the way: b is b again for a version that knows it. */
	assert_true(rate_position_by_period(&positions, 1, 0, 31, old, by_period, &unknown));
	assert_int_equal(5, unknown);
	assert_int_equal(10 + 100, by_period[0]);
	assert_int_equal(20, by_period[1]);
	assert_int_equal(30, by_period[2]);
	free(positions.item);
	tariff_free(old);
	tariff_free(new);
}

static void
lines_are_unique(void **state)
{
	Tariff *t = tariff("{'prices': 1}");
	RateLineVec lines = { 0 };
	RateLine line = { .meter_id = 1,
					  .day = 5,
					  .tariff_id = 1,
					  .version = 1,
					  .wh = 10,
					  .estimated_wh = 3,
					  .tariff = t };
	RateLine other = line;

	(void) state;
	assert_true(rate_add_line(&lines, &line));
	for (int i = 0; i < 6; i++)
	{
		other = line;
		switch (i)
		{
			case 0:
				other.meter_id = 2;
				break;
			case 1:
				other.day = 4;
				break;
			case 2:
				other.tariff_id = 2;
				break;
			case 3:
				other.version = 2;
				break;
			case 4:
				other.period = 1;
				break;
			case 5:
				other.tier = 1;
				break;
		}
		assert_true(rate_add_line(&lines, &other));
		assert_int_equal(i + 2, lines.n);
	}
	assert_true(rate_add_line(&lines, &line));
	assert_int_equal(7, lines.n);
	assert_int_equal(20, lines.item[0].wh);
	assert_int_equal(6, lines.item[0].estimated_wh);
	line.wh = INT64_MAX;
	assert_false(rate_add_line(&lines, &line));
	free(lines.item);
	tariff_free(t);
}

/* Days come back, as they do where a clock repeats midnight: their lines are found again. */
static void
walks_find_lines_of_any_day(void **state)
{
	Tariff *t = tariff("{'prices': 1}");

	(void) state;
	for (int round = 0; round < 200; round++)
	{
		RatePiece piece[40];
		RatePositionVec positions = { 0 };
		RateLineVec lines = { 0 };
		int64_t wh[8] = { 0 };
		int done = 0;

		for (int i = 0; i < 40; i++)
		{
			int32_t day = (int32_t) random_between(0, 7);

			piece[i] = (RatePiece){ .from = i,
									.to = i + 1,
									.wh = random_between(1, 100),
									.meter_id = 1,
									.tariff_id = 1,
									.version = 1,
									.day = day,
									.accum_start = 0,
									.accum_end = 8,
									.tariff = t };
			wh[day] += piece[i].wh;
		}
		while (done < 40)
		{
			int n = (int) random_between(1, 40 - done);

			assert_int_equal(RATE_OK,
							 rate_walk(piece + done, n, NULL, &positions, &lines, NULL, NULL));
			done += n;
		}
		for (int i = 0; i < lines.n; i++)
		{
			assert_int_equal(wh[lines.item[i].day], lines.item[i].wh);
			wh[lines.item[i].day] = 0;
		}
		for (int day = 0; day < 8; day++)
			assert_int_equal(0, wh[day]);
		free(lines.item);
		free(positions.item);
	}
	tariff_free(t);
}

static void
overflow_is_an_error(void **state)
{
	Tariff *t = tariff("{'tiers': {'upto': [1]}, 'prices': [1, 1000000]}");
	Account account;
	Exact sum;

	(void) state;
	start_at(&account, t, INT64_MAX - 5);
	account_add(&account, 1, noon, noon + 1, 6);
	assert_int_equal(RATE_OVERFLOW, rate_walk(account.pieces.item, 1, NULL, &account.positions,
											  &account.lines, NULL, NULL));
	account_close(&account);

	account_open(&account, &zone_utc, t);
	account_extend(&account, INT64_MAX);
	account_add(&account, 1, noon, noon + 1, 6);
	assert_int_equal(RATE_OVERFLOW, rate_walk(account.pieces.item, 1, &account.extra,
											  &account.positions, &account.lines, NULL, NULL));
	account_close(&account);

	account_open(&account, &zone_utc, t);
	account_use(&account, noon, noon + 1, INT64_C(1000000000000));
	assert_false(rate_cost(account.lines.item, account.lines.n, &sum));
	{
		BillVec bill = { 0 };

		assert_int_equal(RATE_OVERFLOW,
						 rate_bill(account.lines.item, account.lines.n, NULL, NULL, &bill));
		assert_int_equal(0, bill.n);
		free(bill.item);
	}
	account_close(&account);
	tariff_free(t);
}

static void
assert_same_lines(const Account *a, const Account *b)
{
	assert_int_equal(a->lines.n, b->lines.n);
	for (int i = 0; i < a->lines.n; i++)
	{
		const RateLine *x = &a->lines.item[i];
		int k = 0;

		while (k < b->lines.n &&
			   (b->lines.item[k].meter_id != x->meter_id || b->lines.item[k].day != x->day ||
				b->lines.item[k].version != x->version || b->lines.item[k].period != x->period ||
				b->lines.item[k].tier != x->tier))
			k++;
		assert_true(k < b->lines.n);
		assert_int_equal(x->wh, b->lines.item[k].wh);
	}
	assert_int_equal(a->positions.n, b->positions.n);
	for (int i = 0; i < a->positions.n; i++)
		assert_int_equal(a->positions.item[i].wh, b->positions.item[i].wh);
	assert_string_equal(account_cost(a), account_cost(b));
}

/* Reading more often at the same load changes nothing: shares are whole, so lines are equal. */
static void
refining_an_interval_changes_nothing(void **state)
{
	Tariff *t = tariff(SHANGHAI);

	(void) state;
	for (int round = 0; round < 300; round++)
	{
		int64_t from = at(2019, 3, 8, 0, 0, 0) + random_between(0, 300 * 1440) * MINUTE_US;
		int minutes = (int) random_between(2, 5000);
		int64_t wh_per_minute = random_between(1, 50);
		Account coarse;
		Account fine;

		account_open(&coarse, &zone_los_angeles, t);
		account_open(&fine, &zone_los_angeles, t);
		account_use(&coarse, from, from + minutes * MINUTE_US, minutes * wh_per_minute);
		for (int done = 0; done < minutes;)
		{
			int more = (int) random_between(1, minutes - done);

			account_use(&fine, from + done * MINUTE_US, from + (done + more) * MINUTE_US,
						more * wh_per_minute);
			done += more;
		}
		assert_same_lines(&coarse, &fine);
		account_close(&coarse);
		account_close(&fine);
	}
	tariff_free(t);
}

/* The same pieces, arriving in any order, walked in one batch or in many. */
static void
batches_and_order_of_arrival_change_nothing(void **state)
{
	Tariff *t = tariff(SHANGHAI);

	(void) state;
	for (int round = 0; round < 200; round++)
	{
		RatePieceVec all = { 0 };
		Account once;
		Account batched;
		int64_t lacking;

		account_open(&once, &zone_st_johns, t);
		account_open(&batched, &zone_st_johns, t);
		for (int meter = 1; meter <= 3; meter++)
		{
			int64_t from = at(2010, 11, 5, 0, 0, 0) + random_between(0, CAL_DAY_US);

			for (int i = 0; i < 12; i++)
			{
				int64_t to = from + random_between(1, 8 * HOUR_US);

				assert_int_equal(RATE_OK,
								 rate_split(once.zone, once.span, 1, meter, from, to,
											random_between(0, 500), false, &all, &lacking));
				from = to;
			}
		}
		for (int i = all.n - 1; i > 0; i--)
		{
			int k = (int) random_between(0, i);
			RatePiece swap = all.item[i];

			all.item[i] = all.item[k];
			all.item[k] = swap;
		}
		rate_sort(&all);
		for (int i = 1; i < all.n; i++)
			assert_true(rate_compare_pieces(&all.item[i - 1], &all.item[i]) < 0);
		rate_walk(all.item, all.n, NULL, &once.positions, &once.lines, NULL, NULL);
		for (int done = 0; done < all.n;)
		{
			int more = (int) random_between(1, all.n - done);

			rate_walk(all.item + done, more, NULL, &batched.positions, &batched.lines, NULL, NULL);
			done += more;
		}
		assert_same_lines(&once, &batched);
		free(all.item);
		account_close(&once);
		account_close(&batched);
	}
	tariff_free(t);
}

/* With prices that only rise, more energy never costs less. */
static void
cost_grows_with_energy(void **state)
{
	Tariff *t = tariff(YEARLY);
	Exact last = 0;

	(void) state;
	for (int64_t wh = 2159990; wh < 2160010; wh++)
	{
		Account account;
		Exact cost;

		account_open(&account, &zone_utc, t);
		account_use(&account, noon, noon + HOUR_US, wh);
		assert_true(rate_cost(account.lines.item, account.lines.n, &cost));
		assert_true(cost > last);
		if (wh > 2159990)
			assert_exact(cost - last, wh <= 2160000 ? "0.0005" : "0.00055");
		last = cost;
		account_close(&account);
	}
	tariff_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bounds_by_the_wh),
		cmocka_unit_test(jumps_cost_the_difference),
		cmocka_unit_test(negative_and_zero_prices),
		cmocka_unit_test(positions_start_anew_at_local_period_edges),
		cmocka_unit_test(bounds_follow_season_days_and_household),
		cmocka_unit_test(bounds_change_within_a_batch),
		cmocka_unit_test(meters_share_the_position),
		cmocka_unit_test(versions_share_the_position),
		cmocka_unit_test(trace_tells_every_step),
		cmocka_unit_test(versions_may_accumulate_over_other_periods),
		cmocka_unit_test(positions_differ_by_end),
		cmocka_unit_test(positions_follow_periods_by_name),
		cmocka_unit_test(lines_are_unique),
		cmocka_unit_test(walks_find_lines_of_any_day),
		cmocka_unit_test(overflow_is_an_error),
		cmocka_unit_test(refining_an_interval_changes_nothing),
		cmocka_unit_test(batches_and_order_of_arrival_change_nothing),
		cmocka_unit_test(cost_grows_with_energy),
	};

	noon = at(2023, 5, 10, 12, 0, 0);
	random_seed(314159);
	return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
