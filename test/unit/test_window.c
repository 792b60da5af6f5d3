/*
 * test_window.c: recurring times of the wall clock, and the edge at which they change next.
 */
#include "fixture.h"

#include "window.h"

static int64_t
clock_us(int hour, int minute)
{
	return (hour * 60 + minute) * MINUTE_US;
}

static Window
between(int from, int to)
{
	Window window = { .has_time = true, .from_us = clock_us(from, 0), .to_us = clock_us(to, 0) };

	return window;
}

static bool
holds(const Window *window, const CalZone *zone, int64_t instant)
{
	int64_t until;

	return window_holds(window, zone, instant, &until);
}

static int64_t
until(const Window *window, const CalZone *zone, int64_t instant)
{
	int64_t edge;

	(void) window_holds(window, zone, instant, &edge);
	return edge;
}

static void
half_open(void **state)
{
	Window window = between(8, 17);

	(void) state;
	assert_false(holds(&window, &zone_shanghai, at(2026, 3, 2, 8, 0, 8 * 3600) - 1));
	assert_true(holds(&window, &zone_shanghai, at(2026, 3, 2, 8, 0, 8 * 3600)));
	assert_true(holds(&window, &zone_shanghai, at(2026, 3, 2, 17, 0, 8 * 3600) - 1));
	assert_false(holds(&window, &zone_shanghai, at(2026, 3, 2, 17, 0, 8 * 3600)));
}

static void
edges_come_next(void **state)
{
	Window window = between(8, 17);

	(void) state;
	assert_true(until(&window, &zone_shanghai, at(2026, 3, 2, 7, 0, 28800)) ==
				at(2026, 3, 2, 8, 0, 28800));
	assert_true(until(&window, &zone_shanghai, at(2026, 3, 2, 8, 0, 28800)) ==
				at(2026, 3, 2, 17, 0, 28800));
	/* The end of the day is an edge: another weekday, another kind of day. */
	assert_true(until(&window, &zone_shanghai, at(2026, 3, 2, 17, 0, 28800)) ==
				at(2026, 3, 3, 0, 0, 28800));
}

static void
past_midnight_belongs_to_the_day_it_began_on(void **state)
{
	Window window = between(22, 6);

	(void) state;
	window.weekdays = 1u << 5; /* Fridays; 2026-03-06 is one */
	assert_true(holds(&window, &zone_shanghai, at(2026, 3, 6, 22, 0, 28800)));
	assert_true(holds(&window, &zone_shanghai, at(2026, 3, 7, 5, 59, 28800)));
	assert_false(holds(&window, &zone_shanghai, at(2026, 3, 7, 6, 0, 28800)));
	assert_false(holds(&window, &zone_shanghai, at(2026, 3, 6, 5, 59, 28800)));
	assert_false(holds(&window, &zone_shanghai, at(2026, 3, 7, 22, 0, 28800)));
}

static void
to_midnight(void **state)
{
	Window window = between(22, 0);

	(void) state;
	assert_true(holds(&window, &zone_utc, at(2026, 3, 6, 23, 59, 0)));
	assert_false(holds(&window, &zone_utc, at(2026, 3, 7, 0, 0, 0)));
	assert_true(until(&window, &zone_utc, at(2026, 3, 6, 23, 0, 0)) == at(2026, 3, 7, 0, 0, 0));
}

static bool
is_odd(const void *context, int32_t day)
{
	return day % 2 == *(const int *) context;
}

static void
whole_days_of_a_kind(void **state)
{
	int odd = 1;
	Window window = { .day = is_odd, .context = &odd };
	int64_t noon = at(2026, 3, 6, 12, 0, 0);

	(void) state;
	assert_true(holds(&window, &zone_utc, noon) != holds(&window, &zone_utc, noon + CAL_DAY_US));
	window.weekdays = 1u << 1; /* both have to fit: Mondays that are odd */
	assert_false(holds(&window, &zone_utc, noon));
}

/* Clocks go from 02:00 to 03:00 on 2019-03-10: nothing is at 02:30. */
static void
a_skipped_hour(void **state)
{
	Window window = between(2, 3);
	int64_t change = at(2019, 3, 10, 2, 0, -8 * 3600);

	(void) state;
	assert_false(holds(&window, &zone_los_angeles, change - 1));
	assert_false(holds(&window, &zone_los_angeles, change));
	window.to_us = clock_us(3, 30);
	assert_true(holds(&window, &zone_los_angeles, change));
	assert_true(until(&window, &zone_los_angeles, change) == change + 30 * MINUTE_US);
	/* The change itself is an edge. */
	assert_true(until(&window, &zone_los_angeles, change - MINUTE_US) == change);
}

/* Clocks go back from 02:00 to 01:00 on 2019-11-03: 01:30 is twice. */
static void
a_repeated_hour(void **state)
{
	Window window = { .has_time = true, .from_us = clock_us(1, 15), .to_us = clock_us(1, 45) };
	int64_t first = at(2019, 11, 3, 1, 0, -7 * 3600);

	(void) state;
	for (int hour = 0; hour < 2; hour++)
	{
		int64_t begin = first + hour * HOUR_US;

		assert_false(holds(&window, &zone_los_angeles, begin + 14 * MINUTE_US));
		assert_true(holds(&window, &zone_los_angeles, begin + 15 * MINUTE_US));
		assert_true(holds(&window, &zone_los_angeles, begin + 44 * MINUTE_US));
		assert_false(holds(&window, &zone_los_angeles, begin + 45 * MINUTE_US));
		assert_true(until(&window, &zone_los_angeles, begin) == begin + 15 * MINUTE_US);
	}
	assert_true(until(&window, &zone_los_angeles, first + 45 * MINUTE_US) == first + HOUR_US);
}

/* Whatever the window, nothing changes before the edge that was told, minute by minute. */
static void
constant_up_to_the_edge(void **state)
{
	const CalZone *zones[] = { &zone_los_angeles, &zone_sao_paulo, &zone_havana };

	(void) state;
	for (int z = 0; z < 3; z++)
		for (int from = 0; from < 24; from++)
			for (int length = 1; length < 24; length += 7)
			{
				Window window = between(from, (from + length) % 24);
				int64_t now = at(2019, 11, 1, 0, 0, 0);
				int64_t end = now + 4 * CAL_DAY_US;

				while (now < end)
				{
					int64_t edge = until(&window, zones[z], now);
					bool inside = holds(&window, zones[z], now);

					assert_true(edge > now);
					for (; now < edge; now += 15 * MINUTE_US)
						assert_true(holds(&window, zones[z], now) == inside);
					now = edge;
				}
			}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_open),
		cmocka_unit_test(edges_come_next),
		cmocka_unit_test(past_midnight_belongs_to_the_day_it_began_on),
		cmocka_unit_test(to_midnight),
		cmocka_unit_test(whole_days_of_a_kind),
		cmocka_unit_test(a_skipped_hour),
		cmocka_unit_test(a_repeated_hour),
		cmocka_unit_test(constant_up_to_the_edge),
	};

	return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
