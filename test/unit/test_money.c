/*
 * test_money.c: exact money.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#define EXACT_MAX_TEXT "170141183460469.231731687303715884105727"
#define EXACT_MIN_TEXT "-170141183460469.231731687303715884105728"

static void
format_and_parse_are_inverse(void **state)
{
	static const char *const texts[] = {
		"0",
		"1",
		"-1",
		"0.000000000000000000000001",
		"-0.000000000000000000000001",
		"12.3",
		"-12.3",
		"100",
		"0.538",
		EXACT_MAX_TEXT,
		EXACT_MIN_TEXT,
		"99999999999999.999999",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_exact(exact(texts[i]), texts[i]);
	assert_exact(exact("-0"), "0");
	assert_exact(exact("1e2"), "100");
	assert_exact(exact("1.50E-3"), "0.0015");
	assert_exact(exact("0e999999999999999999999999"), "0");
	assert_exact(exact("10000000000000000000000000e-25"), "1");

	for (int i = 0; i < 20000; i++)
	{
		Exact value = (Exact) ((unsigned __int128) random_next() << (random_next() % 72));
		Exact again;
		char text[EXACT_TEXT_MAX];

		if (random_next() & 1)
			value = -value;
		exact_format(value, text);
		assert_true(exact_parse(text, &again));
		assert_true(value == again);
	}
}

static void
parse_refuses(void **state)
{
	static const char *const texts[] = {
		"",
		"-",
		".",
		"1.",
		".5",
		"+1",
		"--1",
		"1 ",
		" 1",
		"1e",
		"1e+",
		"NaN",
		"Infinity",
		"0x10",
		"1,5",
		"1.2.3",
		"1e1.5",
		"170141183460469.231731687303715884105728",
		"-170141183460469.231731687303715884105729",
		"1e15",
		"1e999999999999999999999",
		"0.0000000000000000000000001",
	};
	Exact value = 7;

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (exact_parse(texts[i], &value))
			fail_msg("accepted \"%s\"", texts[i]);
	assert_true(value == 7);
}

static void
decimal_results(void **state)
{
	static const struct
	{
		const char *text;
		int decimals;
		DecimalResult result;
		int64_t value;
	} cases[] = {
		{ "0.618", 6, DECIMAL_OK, 618000 },
		{ "1e2", 6, DECIMAL_OK, 100000000 },
		{ "-3.50", 6, DECIMAL_OK, -3500000 },
		{ "0.5000000", 6, DECIMAL_OK, 500000 },
		{ "0.0000001", 6, DECIMAL_TOO_FINE, 0 },
		{ "1e-7", 6, DECIMAL_TOO_FINE, 0 },
		{ "0.0000001e1", 6, DECIMAL_OK, 1 },
		{ "13", 4, DECIMAL_OK, 130000 },
		{ "9223372036854775807", 0, DECIMAL_OK, INT64_MAX },
		{ "-9223372036854775808", 0, DECIMAL_OK, INT64_MIN },
		{ "9223372036854775808", 0, DECIMAL_OVERFLOW, 0 },
		{ "-9223372036854775809", 0, DECIMAL_OVERFLOW, 0 },
		{ "1e400", 2, DECIMAL_OVERFLOW, 0 },
		{ "1e-99999999999999999999", 2, DECIMAL_TOO_FINE, 0 },
		{ "0e400", 2, DECIMAL_OK, 0 },
		{ "-0.0", 2, DECIMAL_OK, 0 },
		{ "NaN", 2, DECIMAL_SYNTAX, 0 },
		{ "1..0", 2, DECIMAL_SYNTAX, 0 },
		{ "1e2x", 2, DECIMAL_SYNTAX, 0 },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		int64_t value = 42;
		DecimalResult result = decimal_parse(cases[i].text, cases[i].decimals, &value);

		if (result != cases[i].result)
			fail_msg("\"%s\" gives result %d", cases[i].text, (int) result);
		assert_int_equal(result == DECIMAL_OK ? cases[i].value : 42, value);
	}
}

/* Digits beyond 10^-24 are dropped, whatever follows; the rest is judged as ever. */
static void
foreign_decimals_are_cut(void **state)
{
	static const struct
	{
		const char *text;
		DecimalResult result;
		const char *amount;
	} cases[] = {
		{ "0.1234567890123456789012349", DECIMAL_OK, "0.123456789012345678901234" },
		{ "-1.3877787807814457e-17", DECIMAL_OK, "-0.000000000000000013877787" },
		{ "9e-25", DECIMAL_OK, "0" },
		{ "-9e-99999", DECIMAL_OK, "0" },
		{ "1e14", DECIMAL_OK, "100000000000000" },
		{ "1e38", DECIMAL_OVERFLOW, NULL },
		{ "0.1x", DECIMAL_SYNTAX, NULL },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		Exact value;

		assert_int_equal(cases[i].result, exact_parse_cut(cases[i].text, &value));
		if (cases[i].amount)
			assert_exact(value, cases[i].amount);
	}
}

static void
rounding_is_half_away_from_zero(void **state)
{
	static const struct
	{
		const char *amount;
		int decimals;
		int64_t minor;
	} cases[] = {
		{ "0.005", 2, 1 },
		{ "-0.005", 2, -1 },
		{ "0.004999999999999999999999", 2, 0 },
		{ "-0.004999999999999999999999", 2, 0 },
		{ "0.015", 2, 2 },
		{ "0.5", 0, 1 },
		{ "-0.5", 0, -1 },
		{ "1.4", 0, 1 },
		{ "1.0005", 3, 1001 },
		{ "1.00005", 4, 10001 },
		{ EXACT_MAX_TEXT, 2, INT64_C(17014118346046923) },
		{ EXACT_MIN_TEXT, 4, INT64_C(-1701411834604692317) },
	};
	int64_t minor = 42;
	int64_t quotient = 42;

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		assert_true(exact_to_minor(exact(cases[i].amount), cases[i].decimals, &minor));
		assert_int_equal(cases[i].minor, minor);
	}
	assert_false(exact_to_minor(exact("1"), 5, &minor));
	assert_false(exact_to_minor(exact("1"), -1, &minor));

	assert_true(div_round_half_away(7, 2, &quotient) && quotient == 4);
	assert_true(div_round_half_away(-7, 2, &quotient) && quotient == -4);
	assert_true(div_round_half_away(1, 3, &quotient) && quotient == 0);
	assert_true(div_round_half_away(-5, 3, &quotient) && quotient == -2);
	assert_true(div_round_half_away((__int128) INT64_MAX * 10 + 4, 10, &quotient));
	assert_int_equal(INT64_MAX, quotient);
	assert_false(div_round_half_away((__int128) INT64_MAX * 10 + 5, 10, &quotient));
	assert_true(div_round_half_away((__int128) INT64_MIN * 10 - 4, 10, &quotient));
	assert_int_equal(INT64_MIN, quotient);
	assert_false(div_round_half_away((__int128) INT64_MIN * 10 - 5, 10, &quotient));
	assert_false(div_round_half_away(1, 0, &quotient));
	assert_int_equal(INT64_MIN, quotient);
}

static void
minor_text(void **state)
{
	char text[MONEY_TEXT_MAX];

	(void) state;
	minor_format(1234, 2, text);
	assert_string_equal(text, "12.34");
	minor_format(-5, 2, text);
	assert_string_equal(text, "-0.05");
	minor_format(0, 2, text);
	assert_string_equal(text, "0.00");
	minor_format(7, 0, text);
	assert_string_equal(text, "7");
	minor_format(0, 0, text);
	assert_string_equal(text, "0");
	minor_format(-1, 3, text);
	assert_string_equal(text, "-0.001");
	minor_format(INT64_MIN, 4, text);
	assert_string_equal(text, "-922337203685477.5808");
}

static void
percentages_lose_no_digit(void **state)
{
	Exact part = 42;

	(void) state;
	assert_true(exact_percent(exact("100"), 130000, &part));
	assert_exact(part, "13");
	assert_true(exact_percent(exact("-0.000000001"), 1, &part));
	assert_exact(part, "-0.000000000000001");
	assert_true(exact_percent(exact("-100"), -5000, &part));
	assert_exact(part, "0.5");
	/* The product passes 128 bits, the result does not. */
	assert_true(exact_percent(exact("100000000000000"), 130000, &part));
	assert_exact(part, "13000000000000");
	assert_true(exact_percent(exact(EXACT_MAX_TEXT), 1000000, &part));
	assert_exact(part, EXACT_MAX_TEXT);
	part = 42;
	assert_false(exact_percent(exact(EXACT_MAX_TEXT), 1000001, &part));
	assert_false(exact_percent(exact("170000000000000"), 1010000, &part));
	assert_false(exact_percent(1, 1, &part));
	assert_false(exact_percent(999999, 999999, &part));
	assert_true(part == 42);
}

static void
ratios_are_rounded_once(void **state)
{
	Exact part = 42;

	(void) state;
	assert_false(exact_ratio(1, 1, 0, &part));
	assert_false(exact_ratio(1, -1, 2, &part));
	assert_false(exact_ratio(1, 3, 2, &part));
	assert_true(part == 42);
	assert_true(exact_ratio(exact("10"), 1, 3, &part));
	assert_exact(part, "3.333333333333");
	assert_true(exact_ratio(exact("20"), 1, 3, &part));
	assert_exact(part, "6.666666666667");
	assert_true(exact_ratio(exact("-20"), 1, 3, &part));
	assert_exact(part, "-6.666666666667");
	assert_true(exact_ratio(exact("0.000000000001"), 1, 2, &part));
	assert_exact(part, "0.000000000001");
	assert_true(exact_ratio(exact("-0.000000000001"), 1, 2, &part));
	assert_exact(part, "-0.000000000001");
	assert_true(exact_ratio(exact("0.000000000001"), 499999999, 1000000000, &part));
	assert_exact(part, "0");
	assert_true(exact_ratio(exact("123.456"), 7, 7, &part));
	assert_exact(part, "123.456");
	/* The product needs 192 bits. */
	assert_true(exact_ratio(exact("170000000000000"), INT64_MAX - 1, INT64_MAX, &part));
	assert_exact(part, "169999999999999.999981568563");
	assert_true(exact_ratio(exact("-170141183460469.2317316873034"), INT64_MAX, INT64_MAX, &part));
	assert_exact(part, "-170141183460469.231731687303");
	/* Rounded, the largest amount is out of range. */
	assert_false(exact_ratio(exact(EXACT_MAX_TEXT), 1, 1, &part));
	assert_false(exact_ratio(exact(EXACT_MIN_TEXT), 1, 1, &part));
	assert_true(exact_ratio(exact(EXACT_MIN_TEXT), 0, INT64_MAX, &part));
	assert_exact(part, "0");
}

static void
sums_and_products_overflow(void **state)
{
	Exact result = 42;
	int64_t micro = 618000;

	(void) state;
	assert_false(exact_add(exact(EXACT_MAX_TEXT), 1, &result));
	assert_false(exact_add(exact(EXACT_MIN_TEXT), -1, &result));
	assert_false(exact_mul(exact(EXACT_MAX_TEXT), 2, &result));
	assert_false(exact_mul(exact(EXACT_MIN_TEXT), -1, &result));
	assert_false(exact_from_minor(INT64_MAX, 2, &result));
	assert_false(exact_from_minor(1, 5, &result));
	assert_true(result == 42);
	assert_true(exact_from_minor(-1234, 2, &result));
	assert_exact(result, "-12.34");
	assert_true(exact_from_minor(INT64_C(170141183460469), 0, &result));
	assert_true(exact_from_micro(INT64_MIN, &result));
	assert_exact(result, "-9223372036854.775808");
	assert_exact(exact_per_wh(micro), "0.000618");
	assert_exact(exact_per_wh(1), "0.000000001");
	assert_exact(exact_per_wh(INT64_MIN), "-9223372036.854775808");
}

/* Posting the difference of rounded running totals keeps every prefix within half a unit. */
static void
posted_differences_sum_to_the_rounded_total(void **state)
{
	Exact total = 0;
	int64_t posted = 0;
	int64_t minor;
	int64_t posts[3];
	Exact unit = exact_per_wh(538000);

	(void) state;
	for (int i = 0; i < 1000; i++)
	{
		assert_true(exact_add(total, unit, &total));
		assert_true(exact_to_minor(total, 2, &minor));
		posted += minor - posted;
	}
	assert_int_equal(54, posted);

	total = 0;
	posted = 0;
	for (int i = 0; i < 3; i++)
	{
		/* 0.0333 kWh is 33.3 Wh: a tenth of 333 Wh. */
		assert_true(exact_add(total, unit / 10 * 333, &total));
		assert_true(exact_to_minor(total, 2, &minor));
		posts[i] = minor - posted;
		posted = minor;
	}
	assert_int_equal(2, posts[0]);
	assert_int_equal(2, posts[1]);
	assert_int_equal(1, posts[2]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_and_parse_are_inverse),
		cmocka_unit_test(parse_refuses),
		cmocka_unit_test(decimal_results),
		cmocka_unit_test(foreign_decimals_are_cut),
		cmocka_unit_test(rounding_is_half_away_from_zero),
		cmocka_unit_test(minor_text),
		cmocka_unit_test(percentages_lose_no_digit),
		cmocka_unit_test(ratios_are_rounded_once),
		cmocka_unit_test(sums_and_products_overflow),
		cmocka_unit_test(posted_differences_sum_to_the_rounded_total),
	};

	random_seed(20240229);
	return cmocka_run_group_tests_name("money", tests, NULL, NULL);
}
