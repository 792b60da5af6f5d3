/*
 * fuzz_money.c: decimal texts and exact arithmetic against their laws.
 *
 * The first byte tells how many bytes after it are numbers; the rest is a text.
 */
#include "money.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                    \
	do                                                                      \
	{                                                                       \
		if (!(condition))                                                   \
		{                                                                   \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                   \
	} while (0)

#define STEP ((__int128) 1000000000000) /* 10^-12 */

static void
check_text(const char *text)
{
	static const int decimals[] = { 0, 3, 4, 6, 12 };
	char formatted[EXACT_TEXT_MAX];
	Exact amount;
	Exact again;

	if (exact_parse(text, &amount))
	{
		exact_format(amount, formatted);
		CHECK(strlen(formatted) < EXACT_TEXT_MAX);
		CHECK(exact_parse(formatted, &again) && again == amount);
	}
	for (int i = 0; i < 5; i++)
	{
		int64_t value;
		DecimalResult result = decimal_parse(text, decimals[i], &value);

		if (result == DECIMAL_OK)
		{
			__int128 scaled = value;

			for (int k = decimals[i]; k < EXACT_DECIMALS; k++)
				if (__builtin_mul_overflow(scaled, (__int128) 10, &scaled))
					return;
			CHECK(exact_parse(text, &amount) && amount == scaled);
		}
		else if (result == DECIMAL_SYNTAX)
			CHECK(!exact_parse(text, &amount));
	}
}

static void
check_rounding(Exact amount)
{
	for (int decimals = 0; decimals <= 4; decimals++)
	{
		__int128 unit = 1;
		char text[MONEY_TEXT_MAX];
		int64_t minor;
		Exact back;

		for (int i = decimals; i < EXACT_DECIMALS; i++)
			unit *= 10;
		if (!exact_to_minor(amount, decimals, &minor))
			continue;
		if (exact_from_minor(minor, decimals, &back))
		{
			__int128 error;

			/* Half away from zero: a tie is never rounded toward it. */
			CHECK(!__builtin_sub_overflow((__int128) amount, (__int128) back, &error));
			CHECK(2 * error <= unit && 2 * error >= -unit);
			CHECK(!(2 * error == unit && amount > 0) && !(2 * error == -unit && amount < 0));
		}
		minor_format(minor, decimals, text);
		CHECK(strlen(text) < MONEY_TEXT_MAX);
		if (exact_parse(text, &back))
			CHECK(exact_to_minor(back, decimals, &minor));
	}
}

static void
check_ratio(Exact amount, int64_t num, int64_t den)
{
	Exact part;
	Exact rest;
	Exact negative;

	if (!exact_ratio(amount, num, den, &part))
	{
		CHECK(den <= 0 || num < 0 || num > den || amount > (Exact) 1 << 126 ||
			  amount < -((Exact) 1 << 126));
		return;
	}
	CHECK(part % STEP == 0);
	/* The two parts of a whole are within half a step each of adding up to it. */
	if (exact_ratio(amount, den - num, den, &rest))
	{
		__int128 error = (__int128) amount - part - rest;

		CHECK(error <= STEP && error >= -STEP);
	}
	if (exact_ratio(-amount, num, den, &negative))
		CHECK(negative == -part);
	if (num > 0 && amount >= 0 && exact_ratio(amount, num - 1, den, &rest))
		CHECK(rest <= part);
	/* Against plain division where the product fits. */
	{
		__int128 product;
		int64_t quotient;

		if (!__builtin_mul_overflow((__int128) amount, (__int128) num, &product) &&
			(__int128) den < ((__int128) 1 << 126) / STEP &&
			div_round_half_away(product, (__int128) den * STEP, &quotient))
			CHECK(part == quotient * STEP);
	}
}

static void
check_percent(Exact amount, int64_t percent)
{
	Exact part;
	Exact twice;
	__int128 product;

	if (!exact_percent(amount, percent, &part))
		return;
	if (!__builtin_mul_overflow((__int128) amount, (__int128) percent, &product))
		CHECK((__int128) part * 1000000 == product);
	if (exact_add(amount, amount, &twice) && exact_percent(twice, percent, &twice))
		CHECK(twice == 2 * (__int128) part);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct
	{
		uint64_t low;
		uint64_t high;
		int64_t num;
		int64_t den;
	} numbers = { 0, 0, 0, 0 };
	size_t taken;
	char *text;
	Exact amount;

	if (size == 0)
		return 0;
	taken = data[0] % (sizeof(numbers) + 1);
	if (taken > size - 1)
		taken = size - 1;
	memcpy(&numbers, data + 1, taken);
	text = core_alloc(size - taken);
	memcpy(text, data + 1 + taken, size - 1 - taken);

	check_text(text);
	amount = (Exact) ((unsigned __int128) numbers.high << 64 | numbers.low);
	if (amount == (Exact) ((unsigned __int128) 1 << 127))
		amount++;
	check_rounding(amount);
	check_ratio(amount, numbers.num, numbers.den);
	if (numbers.den > 0 && numbers.num >= 0)
		check_ratio(amount, numbers.num % numbers.den, numbers.den);
	check_percent(amount, numbers.num);
	check_percent(amount, numbers.num % 10000000);
	core_free(text);
	return 0;
}
