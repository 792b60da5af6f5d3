/*
 * test_bill.c: from lines to money: surcharges, proportional allocation, standing charges.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED                                                                                 \
	"{'periods': ['peak', 'valley'],"                                                          \
	" 'prices': {'peak': [0.617, 0.677, 0.977], 'valley': [0.307, 0.337, 0.487]},"             \
	" 'tiers': {'upto': [20, 45], 'allocation': 'proportional'},"                              \
	" 'schedule': [{'slots': [['00:00', 'valley'], ['06:00', 'peak'], ['22:00', 'valley']]}]," \
	" 'surcharges': [{'name': 'vat', 'percent': 13, 'on': ['energy']}]}"

static int64_t noon;

static const BillLine *
find(const BillVec *bill, BillComponent component, int index, int period, int tier)
{
	for (int i = 0; i < bill->n; i++)
		if (bill->item[i].component == component && bill->item[i].index == index &&
			bill->item[i].period == period && bill->item[i].tier == tier)
			return &bill->item[i];
	fail_msg("no line %d/%d/%d/%d", (int) component, index, period, tier);
	return NULL;
}

static void
surcharges_rest_on_their_bases(void **state)
{
	Tariff *t =
		tariff("{'tiers': {'upto': [1]}, 'prices': [0.5, 0.6],"
			   " 'surcharges': [{'name': 'fund', 'per_kwh': 0.02},"
			   " {'name': 'levy', 'percent': 3.7, 'on': ['energy']},"
			   " {'name': 'vat', 'percent': 10, 'on': ['energy', 'standing', 'fund', 'levy']},"
			   " {'name': 'rent tax', 'percent': 5, 'on': ['standing']},"
			   " {'name': 'rebate', 'percent': -2, 'on': ['energy']}],"
			   " 'standing': [{'name': 'basic', 'amount': 0.31, 'per': 'day'}]}");
	Account account;
	BillVec bill = { 0 };
	Exact cost;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_use(&account, noon, noon + HOUR_US, 3000);
	assert_int_equal(RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, NULL, &bill));
	assert_int_equal(2 + 4, bill.n);
	assert_exact(find(&bill, BILL_ENERGY, 0, 0, 0)->amount, "0.5");
	assert_exact(find(&bill, BILL_ENERGY, 0, 0, 1)->amount, "1.2");
	assert_int_equal(2000, find(&bill, BILL_ENERGY, 0, 0, 1)->wh);
	assert_exact(find(&bill, BILL_SURCHARGE, 0, -1, -1)->amount, "0.06");
	assert_int_equal(3000, find(&bill, BILL_SURCHARGE, 0, -1, -1)->wh);
	assert_exact(find(&bill, BILL_SURCHARGE, 1, -1, -1)->amount, "0.0629");
	assert_int_equal(0, find(&bill, BILL_SURCHARGE, 1, -1, -1)->wh);
	assert_exact(find(&bill, BILL_SURCHARGE, 2, -1, -1)->amount, "0.18229");
	assert_exact(find(&bill, BILL_SURCHARGE, 4, -1, -1)->amount, "-0.034");
	assert_true(rate_cost(account.lines.item, account.lines.n, &cost));
	assert_true(cost == bill_sum(&bill));
	assert_int_equal(BILL_ENERGY, bill.item[1].component);
	assert_int_equal(BILL_SURCHARGE, bill.item[2].component);
	bill.n = 0;

	assert_int_equal(RATE_OK,
					 rate_standing(t, 9, 4, cal_day(2023, 5, 10), STANDING_SUPPLIED, &bill));
	assert_int_equal(3, bill.n);
	assert_exact(find(&bill, BILL_STANDING, 0, -1, -1)->amount, "0.31");
	assert_exact(find(&bill, BILL_SURCHARGE, 2, -1, -1)->amount, "0.031");
	assert_exact(find(&bill, BILL_SURCHARGE, 3, -1, -1)->amount, "0.0155");
	assert_int_equal(0, bill.item[0].meter_id);
	assert_int_equal(9, bill.item[2].tariff_id);
	assert_int_equal(4, bill.item[2].version);
	free(bill.item);
	account_close(&account);
	tariff_free(t);
}

static void
lines_are_billed_by_day_version_and_meter(void **state)
{
	Tariff *t = tariff("{'prices': 0.5, 'surcharges': [{'name': 'vat', 'percent': 10}]}");
	Account account;
	BillVec bill = { 0 };

	(void) state;
	account_open(&account, &zone_utc, t);
	account_add(&account, 2, noon + CAL_DAY_US, noon + CAL_DAY_US + HOUR_US, 4000);
	account_add(&account, 2, noon, noon + HOUR_US, 2000);
	account_add(&account, 1, noon, noon + 2 * HOUR_US, 1000);
	account_walk(&account);
	assert_int_equal(RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, NULL, &bill));
	assert_int_equal(6, bill.n);
	for (int i = 0; i < 6; i++)
	{
		static const int meters[3] = { 1, 2, 2 };

		assert_int_equal(meters[i % 3], bill.item[i].meter_id);
		assert_int_equal(cal_day(2023, 5, i % 3 < 2 ? 10 : 11), bill.item[i].day);
		assert_int_equal(i < 3 ? BILL_ENERGY : BILL_SURCHARGE, bill.item[i].component);
	}
	assert_exact(bill.item[4].amount, "0.1");
	free(bill.item);
	account_close(&account);
	tariff_free(t);
}

static void
standing_charges(void **state)
{
	Tariff *t = tariff(
		"{'prices': 1, 'standing': [{'name': 'rent', 'amount': 100, 'per': 'month', 'while_off': "
		"false},"
		" {'name': 'meter', 'amount': 0.25, 'per': 'day'}, {'name': 'none', 'amount': 0, 'per': "
		"'day'}]}");
	static const int months[][2] = { { 2023, 2 }, { 2024, 2 }, { 2023, 4 }, { 2023, 12 } };

	(void) state;
	for (int m = 0; m < 4; m++)
	{
		int days = cal_days_in_month(months[m][0], months[m][1]);
		BillVec bill = { 0 };
		Exact rent = 0;

		for (int mday = 1; mday <= days; mday++)
			assert_int_equal(RATE_OK,
							 rate_standing(t, 1, 1, cal_day(months[m][0], months[m][1], mday),
										   STANDING_SUPPLIED, &bill));
		assert_int_equal(2 * days, bill.n);
		for (int i = 0; i < bill.n; i++)
			if (bill.item[i].index == 0)
			{
				rent += bill.item[i].amount;
				/* Within 10^-12 of an equal share. */
				assert_true(bill.item[i].amount * days - exact("100") <=
							exact("0.000000000001") * days);
				assert_true(bill.item[i].amount * days - exact("100") >=
							exact("-0.000000000001") * days);
			}
		assert_exact(rent, "100");
		bill.n = 0;
		assert_int_equal(RATE_OK, rate_standing(t, 1, 1, cal_day(months[m][0], months[m][1], 1),
												STANDING_CUT, &bill));
		assert_int_equal(1, bill.n);
		assert_exact(bill.item[0].amount, "0.25");
		bill.n = 0;
		assert_int_equal(RATE_OK, rate_standing(t, 1, 1, cal_day(months[m][0], months[m][1], 1),
												STANDING_SKIPPED, &bill));
		assert_int_equal(1, bill.n);
		assert_int_equal(0, bill.item[0].index);
		free(bill.item);
	}
	tariff_free(t);
}

static void
proportional_lines_of_one_day(void **state)
{
	Tariff *t = tariff(SHARED);
	const int64_t evening = at(2023, 5, 10, 22, 0, 0);
	RatePositionVec before = { 0 };
	BillVec bill = { 0 };
	Account account;
	int64_t sum = 0;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_use(&account, evening - HOUR_US, evening, 30000);
	account_use(&account, evening, evening + HOUR_US, 20000);
	assert_int_equal(2, account.lines.n);
	assert_int_equal(0, account.lines.item[0].tier + account.lines.item[1].tier);
	assert_int_equal(RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, &before, &bill));
	/* 50 kWh: 20, 25 and 5 in the tiers, three fifths of each at peak */
	assert_int_equal(12000, find(&bill, BILL_ENERGY, 0, 0, 0)->wh);
	assert_exact(find(&bill, BILL_ENERGY, 0, 0, 0)->amount, "7.404");
	assert_int_equal(15000, find(&bill, BILL_ENERGY, 0, 0, 1)->wh);
	assert_int_equal(3000, find(&bill, BILL_ENERGY, 0, 0, 2)->wh);
	assert_int_equal(8000, find(&bill, BILL_ENERGY, 0, 1, 0)->wh);
	assert_int_equal(10000, find(&bill, BILL_ENERGY, 0, 1, 1)->wh);
	assert_exact(find(&bill, BILL_ENERGY, 0, 1, 2)->amount, "0.974");
	for (int i = 0; i < bill.n; i++)
		if (bill.item[i].component == BILL_ENERGY)
			sum += bill.item[i].wh;
	assert_int_equal(50000, sum);
	assert_exact(bill_sum(&bill), "30.8377");
	free(bill.item);
	account_close(&account);
	tariff_free(t);
}

/* More valley energy moves peak energy into dearer tiers: the lines of a day may be negative. */
static void
proportional_lines_may_be_negative(void **state)
{
	Tariff *t = tariff(SHARED);
	RatePositionVec before = { 0 };
	RatePosition *position =
		rate_position_open(&before, 1, cal_day(2023, 5, 1), cal_day(2023, 6, 1), t);
	BillVec bill = { 0 };
	Account account;

	(void) state;
	position->wh = 20000;
	position->by_period[0] = 20000;
	account_open(&account, &zone_utc, t);
	account_use(&account, at(2023, 5, 10, 0, 0, 0), at(2023, 5, 10, 5, 0, 0), 20000);
	assert_int_equal(RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, &before, &bill));
	assert_int_equal(-10000, find(&bill, BILL_ENERGY, 0, 0, 0)->wh);
	assert_exact(find(&bill, BILL_ENERGY, 0, 0, 0)->amount, "-6.17");
	assert_int_equal(10000, find(&bill, BILL_ENERGY, 0, 0, 1)->wh);
	assert_int_equal(10000, find(&bill, BILL_ENERGY, 0, 1, 0)->wh);
	assert_int_equal(10000, find(&bill, BILL_ENERGY, 0, 1, 1)->wh);
	assert_int_equal(20000, before.item[0].wh);
	bill.n = 0;

	/* 20 kWh brought over have used up the first tier; own energy alone is shared. */
	position->by_period[0] = 0;
	assert_int_equal(RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, &before, &bill));
	assert_int_equal(BILL_ENERGY, bill.item[0].component);
	assert_int_equal(20000, bill.item[0].wh);
	assert_int_equal(1, bill.item[0].period);
	assert_int_equal(1, bill.item[0].tier);
	free(bill.item);
	free(before.item);
	account_close(&account);
	tariff_free(t);
}

/* A later version with other period indexes goes on from the energy by name. */
static void
proportional_versions_share_the_position(void **state)
{
	Tariff *old = tariff(SHARED);
	Tariff *new =
		tariff("{'periods': ['valley', 'peak'], 'prices': {'peak': [1, 2], 'valley': [3, 4]},"
			   " 'tiers': {'upto': [20], 'allocation': 'proportional'},"
			   " 'schedule': [{'slots': [['00:00', 'valley'], ['06:00', 'peak']]}]}");
	RatePositionVec before = { 0 };
	BillVec bill = { 0 };
	Account account;
	int first = 0;

	(void) state;
	account_open(&account, &zone_utc, old);
	account.span[1] = account.span[0];
	account.span[0].to = account.span[1].from = at(2023, 5, 11, 0, 0, 0);
	account.span[1].version = 2;
	account.span[1].tariff = new;
	account.n_span = 2;
	account_use(&account, at(2023, 5, 10, 6, 0, 0), at(2023, 5, 10, 22, 0, 0), 10000);
	account_use(&account, at(2023, 5, 11, 0, 0, 0), at(2023, 5, 11, 6, 0, 0), 30000);
	assert_int_equal(RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, &before, &bill));
	while (bill.item[first].version == 1)
		first++;
	/* Before: 10 kWh of peak in tier 0. After: 40 kWh, half in each tier, a quarter of it peak. */
	bill.n -= first;
	memmove(bill.item, bill.item + first, (size_t) bill.n * sizeof(BillLine));
	assert_int_equal(15000, find(&bill, BILL_ENERGY, 0, 0, 0)->wh);
	assert_int_equal(15000, find(&bill, BILL_ENERGY, 0, 0, 1)->wh);
	assert_int_equal(-5000, find(&bill, BILL_ENERGY, 0, 1, 0)->wh);
	assert_int_equal(5000, find(&bill, BILL_ENERGY, 0, 1, 1)->wh);
	free(bill.item);
	account_close(&account);
	tariff_free(old);
	tariff_free(new);
}

/* Energy and amount of all lines by (period, tier). */
typedef struct Totals
{
	int64_t wh[2][3];
	Exact amount[2][3];
	Exact surcharge;
	int64_t estimated_wh;
} Totals;

static void
add_totals(Totals *totals, const BillVec *bill)
{
	for (int i = 0; i < bill->n; i++)
	{
		const BillLine *line = &bill->item[i];

		if (line->component != BILL_ENERGY)
		{
			totals->surcharge += line->amount;
			continue;
		}
		totals->wh[line->period][line->tier] += line->wh;
		totals->amount[line->period][line->tier] += line->amount;
		totals->estimated_wh += line->estimated_wh;
	}
}

/* Billed day by day and meter by meter or all in one step: the same to the last digit. */
static void
proportional_steps_telescope(void **state)
{
	Tariff *t = tariff(SHARED);

	(void) state;
	for (int round = 0; round < 300; round++)
	{
		RatePositionVec none = { 0 };
		BillVec bill = { 0 };
		RateLineVec merged = { 0 };
		Totals once = { 0 };
		Totals daily = { 0 };
		Account account;
		int64_t period_wh[2] = { 0, 0 };
		int64_t estimated_wh = 0;
		int done = 0;
		RatePositionVec before = { 0 };

		account_open(&account, &zone_utc, t);
		for (int meter = 1; meter <= 2; meter++)
			for (int i = 0; i < 30; i++)
			{
				int64_t from = at(2023, 5, 1, 0, 0, 0) + i * 9 * HOUR_US;
				int64_t lacking;

				rate_split(account.zone, account.span, 1, meter, from, from + 9 * HOUR_US,
						   random_between(0, 2500), random_between(0, 3) == 0, &account.pieces,
						   &lacking);
			}
		account_walk(&account);

		for (int i = 0; i < account.lines.n; i++)
		{
			RateLine line = account.lines.item[i];

			period_wh[line.period] += line.wh;
			estimated_wh += line.estimated_wh;
			line.meter_id = 1;
			line.day = account.lines.item[0].day;
			assert_true(rate_add_line(&merged, &line));
		}
		assert_int_equal(RATE_OK, rate_bill(merged.item, merged.n, NULL, &none, &bill));
		add_totals(&once, &bill);
		bill.n = 0;

		/* Batches of whole days, each from the positions the one before left. */
		while (done < account.lines.n)
		{
			int32_t last = account.lines.item[done].day + (int32_t) random_between(0, 3);
			int end = done;

			while (end < account.lines.n && account.lines.item[end].day <= last)
				end++;
			assert_int_equal(
				RATE_OK, rate_bill(account.lines.item + done, end - done, NULL, &before, &bill));
			for (; done < end; done++)
			{
				const RateLine *line = &account.lines.item[done];

				rate_position_open(&before, 1, line->accum_start, line->accum_end, t);
				assert_true(rate_position_add(&before, 1, t, line->day, line->period, line->wh));
			}
		}
		add_totals(&daily, &bill);

		for (int p = 0; p < 2; p++)
		{
			int64_t wh = 0;

			for (int k = 0; k < 3; k++)
			{
				assert_int_equal(once.wh[p][k], daily.wh[p][k]);
				assert_true(once.amount[p][k] == daily.amount[p][k]);
				wh += daily.wh[p][k];
			}
			assert_int_equal(period_wh[p], wh);
		}
		assert_true(once.surcharge == daily.surcharge);
		assert_int_equal(estimated_wh, daily.estimated_wh);
		assert_int_equal(estimated_wh, once.estimated_wh);
		free(before.item);
		free(merged.item);
		free(bill.item);
		account_close(&account);
	}
	tariff_free(t);
}

/* Chronological: the expanded bill is Wh times unit, whatever the surcharges. */
static void
bills_equal_wh_times_unit(void **state)
{
	Tariff *t = tariff(
		"{'periods': ['a', 'b'], 'prices': {'a': [0.123456, 0.9, -0.1], 'b': [1, 2, 3]},"
		" 'tiers': {'upto': [1.001, 2.5]}, 'schedule': [{'slots': [['00:00', 'a'], ['07:30', "
		"'b'], ['19:45', 'a']]}],"
		" 'surcharges': [{'name': 'x', 'per_kwh': -0.000001}, {'name': 'y', 'percent': 3.1234, "
		"'on': ['energy', 'x']},"
		" {'name': 'z', 'percent': 99.9999, 'on': ['y', 'standing']}]}");

	(void) state;
	for (int round = 0; round < 200; round++)
	{
		Account account;
		BillVec bill = { 0 };
		Exact cost;
		int64_t from = noon;

		account_open(&account, &zone_los_angeles, t);
		for (int i = 0; i < 20; i++)
		{
			int64_t to = from + random_between(1, CAL_DAY_US);

			account_add(&account, (int) random_between(1, 3), from, to, random_between(0, 400));
			from = to;
		}
		account_walk(&account);
		assert_int_equal(RATE_OK,
						 rate_bill(account.lines.item, account.lines.n, NULL, NULL, &bill));
		assert_true(rate_cost(account.lines.item, account.lines.n, &cost));
		assert_true(cost == bill_sum(&bill));
		assert_true(cost != 0);
		free(bill.item);
		account_close(&account);
	}
	tariff_free(t);
}

/* With one period there is nothing to share: both ways cost the same, also beside a bound. */
static void
one_period_shares_nothing(void **state)
{
	Tariff *ways[] = { tariff("{'tiers': {'upto': [1, 2.5]}, 'prices': [0.5, -1, 7]}"),
					   tariff("{'tiers': {'upto': [1, 2.5], 'allocation': 'proportional'},"
							  " 'prices': [0.5, -1, 7]}") };

	(void) state;
	for (int round = 0; round < 200; round++)
	{
		int64_t wh[8];
		BillVec bill[2] = { { 0 } };

		for (int i = 0; i < 8; i++)
			wh[i] = random_between(0, 2) == 0 ? random_between(0, 1) : random_between(498, 502);
		for (int way = 0; way < 2; way++)
		{
			Account account;
			RatePositionVec none = { 0 };

			account_open(&account, &zone_utc, ways[way]);
			for (int i = 0; i < 8; i++)
				account_use(&account, noon + i * 6 * HOUR_US, noon + (i + 1) * 6 * HOUR_US, wh[i]);
			assert_int_equal(
				RATE_OK, rate_bill(account.lines.item, account.lines.n, NULL, &none, &bill[way]));
			account_close(&account);
		}
		assert_int_equal(bill[0].n, bill[1].n);
		for (int i = 0; i < bill[0].n; i++)
		{
			assert_int_equal(bill[0].item[i].day, bill[1].item[i].day);
			assert_int_equal(bill[0].item[i].tier, bill[1].item[i].tier);
			assert_int_equal(bill[0].item[i].wh, bill[1].item[i].wh);
			assert_true(bill[0].item[i].amount == bill[1].item[i].amount);
		}
		free(bill[0].item);
		free(bill[1].item);
	}
	tariff_free(ways[0]);
	tariff_free(ways[1]);
}

static void
nothing_gives_nothing(void **state)
{
	BillVec bill = { 0 };
	Exact sum = 7;

	(void) state;
	assert_int_equal(RATE_OK, rate_bill(NULL, 0, NULL, NULL, &bill));
	assert_int_equal(0, bill.n);
	assert_true(rate_cost(NULL, 0, &sum));
	assert_true(sum == 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(surcharges_rest_on_their_bases),
		cmocka_unit_test(lines_are_billed_by_day_version_and_meter),
		cmocka_unit_test(standing_charges),
		cmocka_unit_test(proportional_lines_of_one_day),
		cmocka_unit_test(proportional_lines_may_be_negative),
		cmocka_unit_test(proportional_versions_share_the_position),
		cmocka_unit_test(proportional_steps_telescope),
		cmocka_unit_test(bills_equal_wh_times_unit),
		cmocka_unit_test(one_period_shares_nothing),
		cmocka_unit_test(nothing_gives_nothing),
	};

	noon = at(2023, 5, 10, 12, 0, 0);
	random_seed(271828);
	return cmocka_run_group_tests_name("bill", tests, NULL, NULL);
}
