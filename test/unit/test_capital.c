/*
 * test_capital.c: amounts in Chinese capital figures.
 */
#include "fixture.h"

#include <string.h>

#include "capital.h"

typedef struct Case
{
	int64_t minor;
	int decimals;
	const char *text;
} Case;

static void
check(const Case *cases, size_t n)
{
	for (size_t i = 0; i < n; i++)
	{
		char text[CAPITAL_TEXT_MAX];

		capital_figures(cases[i].minor, cases[i].decimals, text);
		assert_string_equal(text, cases[i].text);
	}
}

#define CHECK(cases) check(cases, sizeof(cases) / sizeof(*(cases)))

/* The examples that the rules of the People's Bank of China give themselves. */
static void
examples_of_the_central_bank(void **state)
{
	static const Case cases[] = {
		{ 140950, 2, "壹仟肆佰零玖元伍角整" },		{ 600714, 2, "陆仟零柒元壹角肆分" },
		{ 168032, 2, "壹仟陆佰捌拾元零叁角贰分" },	{ 10700053, 2, "壹拾万柒仟元零伍角叁分" },
		{ 1640902, 2, "壹万陆仟肆佰零玖元零贰分" }, { 32504, 2, "叁佰贰拾伍元零肆分" },
	};

	(void) state;
	CHECK(cases);
}

static void
whole_amounts(void **state)
{
	static const Case cases[] = {
		{ 0, 2, "零元整" },
		{ 100, 2, "壹元整" },
		{ 1000, 2, "壹拾元整" },
		{ 1100, 2, "壹拾壹元整" },
		{ 2000, 2, "贰拾元整" },
		{ 10000, 2, "壹佰元整" },
		{ 10100, 2, "壹佰零壹元整" },
		{ 11000, 2, "壹佰壹拾元整" },
		{ 100000, 2, "壹仟元整" },
		{ 100100, 2, "壹仟零壹元整" },
		{ 101000, 2, "壹仟零壹拾元整" },
		{ 110000, 2, "壹仟壹佰元整" },
		{ 110100, 2, "壹仟壹佰零壹元整" },
		{ 1000000, 2, "壹万元整" },
		{ 1000100, 2, "壹万零壹元整" },
		{ 1010000, 2, "壹万零壹佰元整" },
		{ 1100000, 2, "壹万壹仟元整" },
		{ 10000000, 2, "壹拾万元整" },
		{ 10001000, 2, "壹拾万零壹拾元整" },
		{ 100000000, 2, "壹佰万元整" },
		{ 100010001, 2, "壹佰万零壹佰元零壹分" },
		{ 1000000000, 2, "壹仟万元整" },
		{ 1001000000, 2, "壹仟零壹万元整" },
		{ 10000000000, 2, "壹亿元整" },
		{ 10000000100, 2, "壹亿零壹元整" },
		{ 10000010000, 2, "壹亿零壹佰元整" },
		{ 10001000000, 2, "壹亿零壹万元整" },
		{ 10001000100, 2, "壹亿零壹万零壹元整" },
		{ 10010010000, 2, "壹亿零壹拾万零壹佰元整" },
		{ 10100000000, 2, "壹亿零壹佰万元整" },
		{ 11000000000, 2, "壹亿壹仟万元整" },
		{ 100000000000, 2, "壹拾亿元整" },
		{ 12345678900, 2, "壹亿贰仟叁佰肆拾伍万陆仟柒佰捌拾玖元整" },
		{ 100000000000000, 2, "壹万亿元整" },
		{ 100000000000100, 2, "壹万亿零壹元整" },
		{ 100010000000000, 2, "壹万零壹亿元整" },
		{ 1000000000000000000, 2, "壹亿亿元整" },
	};

	(void) state;
	CHECK(cases);
}

static void
fractions(void **state)
{
	static const Case cases[] = {
		{ 1, 2, "壹分" },
		{ 10, 2, "壹角整" },
		{ 11, 2, "壹角壹分" },
		{ 50, 2, "伍角整" },
		{ 101, 2, "壹元零壹分" },
		{ 110, 2, "壹元壹角整" },
		{ 111, 2, "壹元壹角壹分" },
		{ 1001, 2, "壹拾元零壹分" },
		{ 1010, 2, "壹拾元零壹角整" },
		{ 100520, 2, "壹仟零伍元贰角整" },
		{ 100500, 2, "壹仟零伍元整" },
		{ 100005, 2, "壹仟元零伍分" },
		{ 100000001, 2, "壹佰万元零壹分" },
		{ 33333, 2, "叁佰叁拾叁元叁角叁分" },
	};

	(void) state;
	CHECK(cases);
}

static void
negative_amounts(void **state)
{
	static const Case cases[] = {
		{ -1, 2, "负壹分" },
		{ -5000, 2, "负伍拾元整" },
		{ -100520, 2, "负壹仟零伍元贰角整" },
		{ INT64_MIN, 2,
		  "负玖亿贰仟贰佰叁拾叁万柒仟贰佰零叁亿陆仟捌佰伍拾肆万柒仟柒佰伍拾捌元零捌分" },
		{ INT64_MAX, 2,
		  "玖亿贰仟贰佰叁拾叁万柒仟贰佰零叁亿陆仟捌佰伍拾肆万柒仟柒佰伍拾捌元零柒分" },
	};

	(void) state;
	CHECK(cases);
}

static void
other_currencies(void **state)
{
	static const Case cases[] = {
		{ 100, 0, "壹佰元整" },
		{ 10005, 0, "壹万零伍元整" },
		{ INT64_MAX, 0,
		  "玖佰贰拾贰亿叁仟叁佰柒拾贰万零叁佰陆拾捌亿伍仟肆佰柒拾柒万伍仟捌佰零柒元整" },
		{ 1234, 3, "壹元贰角叁分肆厘" },
		{ 1004, 3, "壹元零肆厘" },
		{ 1204, 3, "壹元贰角零肆厘" },
		{ 4, 3, "肆厘" },
		{ 12345, 4, "壹元贰角叁分肆厘伍毫" },
		{ 10005, 4, "壹元零伍毫" },
		{ 1005, 4, "壹角零伍毫" },
		{ 100000, 4, "壹拾元整" },
		{ 5, 1, "伍角整" },
	};

	(void) state;
	CHECK(cases);
}

/* ---- reading figures back, by other rules than they are written ---- */

static const char *rest;

static bool
take(const char *word)
{
	size_t length = strlen(word);

	if (strncmp(rest, word, length) != 0)
		return false;
	rest += length;
	return true;
}

static int
take_digit(void)
{
	static const char *const names[] = {
		"零", "壹", "贰", "叁", "肆", "伍", "陆", "柒", "捌", "玖"
	};

	for (int i = 0; i < 10; i++)
		if (take(names[i]))
			return i;
	return -1;
}

/* Sections of four digits, each closed by 万, 亿 or the end. */
static unsigned __int128
read_whole(void)
{
	unsigned __int128 value = 0;   /* all that 亿 has closed */
	unsigned __int128 section = 0; /* since the last 亿 */
	int part = 0;				   /* since the last 万 */
	int digit = 0;

	for (;;)
	{
		int next;

		if (take("仟"))
			part += digit * 1000, digit = 0;
		else if (take("佰"))
			part += digit * 100, digit = 0;
		else if (take("拾"))
			part += digit * 10, digit = 0;
		else if (take("万"))
			section = (section + part + digit) * 10000, part = digit = 0;
		else if (take("亿"))
		{
			value = (value + section + part + digit) * 100000000;
			section = part = digit = 0;
		}
		else if ((next = take_digit()) >= 0)
			digit = next;
		else
			return value + section + part + digit;
	}
}

static int64_t
read_back(const char *text)
{
	bool negative;
	unsigned __int128 minor = 0;
	int digit;

	rest = text;
	negative = take("负");
	if (strstr(text, "元"))
	{
		minor = read_whole() * 10000;
		assert_true(take("元"));
	}
	while ((digit = take_digit()) >= 0)
	{
		if (digit == 0)
			continue;
		assert_true((take("角") && (minor += digit * 1000)) ||
					(take("分") && (minor += digit * 100)) ||
					(take("厘") && (minor += digit * 10)) || (take("毫") && (minor += digit)));
	}
	(void) take("整");
	assert_string_equal(rest, "");
	return negative ? -(int64_t) minor : (int64_t) minor;
}

static void
figures_read_back_are_the_amount(void **state)
{
	(void) state;
	for (int i = 0; i < 200000; i++)
	{
		int64_t minor = (int64_t) (random_next() >> (1 + random_next() % 62));
		char text[CAPITAL_TEXT_MAX];

		/* Many zeros: keep some of the decimal digits only. */
		for (int64_t unit = 1; unit <= minor / 10; unit *= 10)
			if (random_next() % 3)
				minor -= minor / unit % 10 * unit;
		if (random_next() & 1)
			minor = -minor;
		capital_figures(minor, 4, text);
		assert_true(read_back(text) == minor);
		assert_null(strstr(text, "零零"));
		assert_null(strstr(text, "零万"));
		assert_null(strstr(text, "零亿"));
		assert_true(minor == 0 || strstr(text, "零元") == NULL);
		assert_null(strstr(text, "零整"));
	}
}

static void
nothing_overruns(void **state)
{
	(void) state;
	for (int decimals = 0; decimals <= 4; decimals++)
	{
		char text[CAPITAL_TEXT_MAX];

		capital_figures(INT64_MIN, decimals, text);
		assert_true(strlen(text) < CAPITAL_TEXT_MAX - 16);
		capital_figures(-8888888888888888888, decimals, text);
		assert_true(strlen(text) < CAPITAL_TEXT_MAX - 16);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_of_the_central_bank),
		cmocka_unit_test(whole_amounts),
		cmocka_unit_test(fractions),
		cmocka_unit_test(negative_amounts),
		cmocka_unit_test(other_currencies),
		cmocka_unit_test(figures_read_back_are_the_amount),
		cmocka_unit_test(nothing_overruns),
	};

	random_seed(20260301);
	return cmocka_run_group_tests_name("capital", tests, NULL, NULL);
}
