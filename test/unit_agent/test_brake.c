/* The brake on mass disconnection: as many as it says in any minute, never more. */
#include "brake.h"
#include "clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka needs the three above */
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

static void
limits(void **state)
{
	(void) state;
	assert_int_equal(brake_limit(0, 0), 60);
	assert_int_equal(brake_limit(0, 599), 60);
	assert_int_equal(brake_limit(0, 5000), 500);
	assert_int_equal(brake_limit(0, 1000000), 1000);
	assert_int_equal(brake_limit(1, 5000), 1);
	assert_int_equal(brake_limit(100000, 5000), 1000);
}

static int
allowed(Brake *brake, int limit, int64_t now, int asked)
{
	int count = 0;

	for (int i = 0; i < asked; i++)
		count += brake_allows(brake, limit, now);
	return count;
}

static void
window(void **state)
{
	static Brake brake;
	int64_t now = 1000 * USEC_PER_SEC;

	(void) state;
	assert_int_equal(allowed(&brake, 3, now, 5), 3);
	assert_int_equal(allowed(&brake, 3, now + 60 * USEC_PER_SEC - 1, 5), 0);
	assert_int_equal(allowed(&brake, 3, now + 60 * USEC_PER_SEC, 1), 1);
	assert_int_equal(allowed(&brake, 3, now + 70 * USEC_PER_SEC, 5), 2);
	assert_int_equal(allowed(&brake, 3, now + 119 * USEC_PER_SEC, 5), 0);
	assert_int_equal(allowed(&brake, 3, now + 120 * USEC_PER_SEC, 5), 1);
	/* A lower limit counts what was cut under the higher one. */
	assert_int_equal(allowed(&brake, 1, now + 130 * USEC_PER_SEC, 5), 0);
	assert_int_equal(allowed(&brake, BRAKE_MAX, now + 130 * USEC_PER_SEC, 2000), BRAKE_MAX - 1);
}

static void
any_minute(void **state)
{
	static Brake brake;
	static int64_t at[20000];
	int64_t now = USEC_PER_SEC;
	int count = 0;

	(void) state;
	srandom(7);
	for (int i = 0; i < 20000; i++)
	{
		now += random() % (USEC_PER_SEC / 2);
		if (brake_allows(&brake, 17, now))
			at[count++] = now;
	}
	assert_true(count > 17 * 60);
	for (int i = 17; i < count; i++)
		assert_true(at[i] - at[i - 17] >= 60 * USEC_PER_SEC);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits),
		cmocka_unit_test(window),
		cmocka_unit_test(any_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
