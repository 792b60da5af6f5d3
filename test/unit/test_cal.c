/*
 * test_cal.c: civil time.
 */
#include "fixture.h"

#include <stdio.h>

static void
civil_dates(void **state)
{
	static const struct
	{
		int year;
		int month;
		int mday;
		int32_t day;
		int weekday;
	} cases[] = {
		{ 2000, 1, 1, 0, 6 },		  { 2000, 2, 29, 59, 2 },	   { 2000, 3, 1, 60, 3 },
		{ 1999, 12, 31, -1, 5 },	  { 1970, 1, 1, -10957, 4 },   { 2019, 3, 10, 7008, 7 },
		{ 2024, 2, 29, 8825, 4 },	  { 2100, 2, 28, 36583, 7 },   { 2100, 3, 1, 36584, 1 },
		{ 1900, 3, 1, -36465, 4 },	  { 1600, 2, 29, -146038, 2 }, { 2400, 2, 29, 146156, 2 },
		{ 9999, 12, 31, 2921939, 5 }, { 1, 1, 1, -730119, 1 },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		int year;
		int month;
		int mday;

		assert_int_equal(cases[i].day, cal_day(cases[i].year, cases[i].month, cases[i].mday));
		assert_int_equal(cases[i].weekday, cal_weekday(cases[i].day));
		cal_civil(cases[i].day, &year, &month, &mday);
		assert_int_equal(cases[i].year, year);
		assert_int_equal(cases[i].month, month);
		assert_int_equal(cases[i].mday, mday);
	}
}

/* 1200 years day by day against counting. */
static void
every_day_follows_the_one_before(void **state)
{
	int year = 1400;
	int month = 1;
	int mday = 1;
	int32_t first = cal_day(year, month, mday);
	int weekday = cal_weekday(first);

	(void) state;
	for (int32_t day = first; year < 2600; day++)
	{
		int y;
		int m;
		int d;

		cal_civil(day, &y, &m, &d);
		if (y != year || m != month || d != mday || cal_day(y, m, d) != day ||
			cal_weekday(day) != weekday)
			fail_msg("day %d is %d-%d-%d, not %d-%d-%d", day, y, m, d, year, month, mday);
		weekday = weekday % 7 + 1;
		if (++mday > cal_days_in_month(year, month))
		{
			mday = 1;
			if (++month > 12)
			{
				month = 1;
				year++;
			}
		}
	}
}

static void
month_lengths(void **state)
{
	(void) state;
	assert_int_equal(31, cal_days_in_month(2023, 1));
	assert_int_equal(28, cal_days_in_month(2023, 2));
	assert_int_equal(29, cal_days_in_month(2024, 2));
	assert_int_equal(28, cal_days_in_month(1900, 2));
	assert_int_equal(29, cal_days_in_month(2000, 2));
	assert_int_equal(30, cal_days_in_month(2023, 11));
	assert_int_equal(31, cal_days_in_month(2023, 12));
}

static void
assert_local(const CalZone *zone, int64_t instant, int32_t day, int64_t us)
{
	CalLocal local;

	cal_local(zone, instant, &local);
	assert_int_equal(day, local.day);
	assert_int_equal(us, local.us);
}

static void
wall_clock(void **state)
{
	const int64_t spring = at(2019, 3, 10, 2, 0, -28800);
	const int64_t autumn = at(2019, 11, 3, 2, 0, -25200);
	CalLocal local;

	(void) state;
	assert_local(&zone_utc, 0, 0, 0);
	assert_local(&zone_utc, -1, -1, CAL_DAY_US - 1);
	assert_local(&zone_utc, CAL_DAY_US - 1, 0, CAL_DAY_US - 1);
	assert_local(&zone_utc, CAL_DAY_US, 1, 0);
	assert_local(&zone_shanghai, 16 * HOUR_US, 1, 0);
	assert_local(&zone_shanghai, 16 * HOUR_US - 1, 0, CAL_DAY_US - 1);

	assert_local(&zone_los_angeles, spring - 1, 7008, 2 * HOUR_US - 1);
	assert_local(&zone_los_angeles, spring, 7008, 3 * HOUR_US);
	assert_local(&zone_los_angeles, autumn - 1, cal_day(2019, 11, 3), 2 * HOUR_US - 1);
	assert_local(&zone_los_angeles, autumn, cal_day(2019, 11, 3), HOUR_US);

	cal_local(&zone_los_angeles, spring - 1, &local);
	assert_int_equal(spring, local.until);
	assert_int_equal(-8 * HOUR_US, local.offset_us);
	cal_local(&zone_los_angeles, spring, &local);
	assert_int_equal(autumn, local.until);
	assert_int_equal(-7 * HOUR_US, local.offset_us);
	cal_local(&zone_los_angeles, at(2020, 12, 1, 0, 0, 0), &local);
	assert_true(local.until == INT64_MAX);
	cal_local(&zone_shanghai, 0, &local);
	assert_true(local.until == INT64_MAX);
}

static void
day_starts(void **state)
{
	(void) state;
	assert_int_equal(0, cal_day_start(&zone_utc, 0));
	assert_int_equal(-8 * HOUR_US, cal_day_start(&zone_shanghai, 0));
	assert_int_equal(at(2019, 3, 10, 0, 0, -28800), cal_day_start(&zone_los_angeles, 7008));
	assert_int_equal(at(2019, 3, 11, 0, 0, -25200), cal_day_start(&zone_los_angeles, 7009));
	assert_int_equal(23 * HOUR_US, cal_day_start(&zone_los_angeles, 7009) -
									   cal_day_start(&zone_los_angeles, 7008));
	assert_int_equal(25 * HOUR_US, cal_day_start(&zone_los_angeles, cal_day(2019, 11, 4)) -
									   cal_day_start(&zone_los_angeles, cal_day(2019, 11, 3)));
	/* Midnight is skipped: the day begins at 01:00. */
	assert_int_equal(at(2018, 11, 4, 1, 0, -7200),
					 cal_day_start(&zone_sao_paulo, cal_day(2018, 11, 4)));
	/* At 24:00 the clock falls back to 23:00: midnight comes once, an hour later. */
	assert_int_equal(at(2019, 2, 17, 0, 0, -10800),
					 cal_day_start(&zone_sao_paulo, cal_day(2019, 2, 17)));
	/* At 00:01 the clock falls back to 23:01 of the day before: the second midnight counts. */
	assert_int_equal(at(2010, 11, 7, 0, 0, -12600),
					 cal_day_start(&zone_st_johns, cal_day(2010, 11, 7)));
	/* 00:00 to 01:00 is repeated, but the date never falls back: the first midnight counts. */
	assert_int_equal(at(2019, 11, 3, 0, 0, -14400),
					 cal_day_start(&zone_havana, cal_day(2019, 11, 3)));
	/* From 23:30 the clock springs to 00:30 of the next day. */
	assert_int_equal(at(1919, 3, 30, 23, 30, -18000),
					 cal_day_start(&zone_toronto, cal_day(1919, 3, 31)));
	assert_int_equal(at(1919, 4, 1, 0, 0, -14400),
					 cal_day_start(&zone_toronto, cal_day(1919, 4, 1)));
	/* A day that never was begins when the next does. */
	assert_int_equal(at(2011, 12, 31, 0, 0, 50400),
					 cal_day_start(&zone_apia, cal_day(2011, 12, 30)));
	assert_int_equal(at(2011, 12, 31, 0, 0, 50400),
					 cal_day_start(&zone_apia, cal_day(2011, 12, 31)));
}

/* The definition: from its start on the date is never earlier, just before it was. */
static void
day_start_is_the_last_change_to_the_day(void **state)
{
	static const CalZone *const zones[] = { &zone_utc,		 &zone_shanghai, &zone_los_angeles,
											&zone_sao_paulo, &zone_st_johns, &zone_havana,
											&zone_apia,		 &zone_toronto };
	static const int years[] = { 1919, 2010, 2011, 2018, 2019, 2020 };

	(void) state;
	for (size_t z = 0; z < sizeof(zones) / sizeof(*zones); z++)
		for (size_t y = 0; y < sizeof(years) / sizeof(*years); y++)
			for (int32_t day = cal_day(years[y], 1, 1); day < cal_day(years[y] + 1, 1, 3); day++)
			{
				int64_t start = cal_day_start(zones[z], day);
				CalLocal local;

				cal_local(zones[z], start - 1, &local);
				assert_true(local.day < day);
				assert_int_equal(zones[z] == &zone_apia && day == cal_day(2011, 12, 30),
								 cal_day_is_skipped(zones[z], day));
				for (int64_t after = 0; after <= 26 * HOUR_US; after += HOUR_US / 4)
				{
					cal_local(zones[z], start + after, &local);
					assert_true(local.day >= day);
				}
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(civil_dates),	 cmocka_unit_test(every_day_follows_the_one_before),
		cmocka_unit_test(month_lengths), cmocka_unit_test(wall_clock),
		cmocka_unit_test(day_starts),	 cmocka_unit_test(day_start_is_the_last_change_to_the_day),
	};

	return cmocka_run_group_tests_name("cal", tests, NULL, NULL);
}
