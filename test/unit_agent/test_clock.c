/*
 * test_clock.c
 *		Business time: parsing, formatting, running and frozen clocks.
 */
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static int64_t
parsed(const char *text)
{
	int64_t usec;

	assert_true(clock_parse(text, &usec));
	return usec;
}

static void
parse_and_format(void **state)
{
	static const char *const wrong[] = { "",
										 "2026-01-01",
										 "2026-01-01T00:00:00",
										 "2026-13-01T00:00:00Z",
										 "2026-01-01T00:00:00+8",
										 "2026-01-01T00:00:00Zx",
										 "infinity",
										 "2026-01-01x00:00:00Z",
										 NULL };
	char out[CLOCK_TEXT_SIZE];
	int64_t usec;

	(void) state;
	assert_int_equal(parsed("1970-01-01T00:00:00Z"), 0);
	assert_int_equal(parsed("2026-01-01T00:00:00+08:00"), parsed("2025-12-31T16:00:00Z"));
	assert_int_equal(parsed("2026-01-01 00:00:00-05"), parsed("2026-01-01T05:00:00+00:00"));
	assert_int_equal(parsed("2026-01-01T00:00:00.000001Z") - parsed("2026-01-01T00:00:00Z"), 1);
	assert_int_equal(parsed("2026-01-01T00:00:00.5Z") - parsed("2026-01-01T00:00:00Z"), 500000);
	assert_string_equal(clock_format(parsed("2026-02-03T04:05:06.000789+00:00"), out),
						"2026-02-03T04:05:06.000789+00:00");
	assert_string_equal(clock_format(-1, out), "1969-12-31T23:59:59.999999+00:00");
	for (int i = 0; wrong[i]; i++)
		assert_false(clock_parse(wrong[i], &usec));
}

static void
running(void **state)
{
	Clock clock = { true, parsed("2026-01-01T00:00:00Z"), parsed("2026-11-22T12:00:00Z"),
					2880 * USEC_PER_SEC };

	(void) state;
	assert_int_equal(clock_business_at(&clock, clock.real), clock.at);
	assert_int_equal(clock_business_at(&clock, clock.real + 30 * USEC_PER_SEC),
					 parsed("2026-01-02T00:00:00Z"));
	assert_int_equal(clock_business_at(&clock, clock.real - USEC_PER_SEC),
					 clock.at - 2880 * USEC_PER_SEC);
	assert_int_equal(clock_real_span(&clock, 1800 * USEC_PER_SEC), 625000);
	assert_int_equal(clock_business_at(&clock, INT64_MAX), INT64_MAX);
}

static void
frozen_and_real(void **state)
{
	Clock frozen = { true, 1000, 5, 0 };
	Clock real = { false, 0, 0, 0 };
	Clock other = { true, 1000, 6, 0 };

	(void) state;
	assert_int_equal(clock_business(&frozen), 1000);
	assert_int_equal(clock_real_span(&frozen, 1), -1);
	assert_int_equal(clock_delay_until(&frozen, 1001), -1);
	assert_int_equal(clock_delay_until(&frozen, 1000), 0);
	assert_int_equal(clock_business_at(&real, 42), 42);
	assert_int_equal(clock_delay_until(&real, 42), 0);
	assert_true(clock_equal(&frozen, &frozen));
	assert_false(clock_equal(&frozen, &other));
	assert_false(clock_equal(&frozen, &real));
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(parse_and_format),
										cmocka_unit_test(running),
										cmocka_unit_test(frozen_and_real) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
