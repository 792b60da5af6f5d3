/*
 * money.c: exact money (see money.h).
 *
 * The magnitude of an Exact always fits an unsigned 128-bit word, so signs are
 * taken off first and put back last: the smallest Exact has no positive twin.
 */
#include "money.h"

#include <string.h>

typedef unsigned __int128 Magnitude;

#define EXACT_MAX ((__int128) (~(Magnitude) 0 >> 1))
#define MICRO_SCALE INT64_C(1000000000000000000) /* 10^18: from 10^-6 to 10^-24 */
#define WH_SCALE INT64_C(1000000000000000)		 /* 10^15: a thousandth of 10^-6 to 10^-24 */
#define RATIO_STEP UINT64_C(1000000000000)		 /* 10^12: 10^-12 in units of 10^-24 */
#define PERCENT_SCALE 1000000					 /* 100 times 10^PERCENT_DECIMALS */
#define MINOR_DECIMALS_MAX 4
#define EXPONENT_MAX INT64_C(1000000000000) /* beyond any text length: saturates */

static Magnitude
magnitude(__int128 value)
{
	return value < 0 ? -(Magnitude) value : (Magnitude) value;
}

static bool
with_sign(Magnitude value, bool negative, Exact *result)
{
	if (value > (Magnitude) EXACT_MAX + (negative ? 1 : 0))
		return false;
	*result = negative ? (__int128) -value : (__int128) value;
	return true;
}

static Magnitude
power_of_ten(int exponent)
{
	Magnitude power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

bool
exact_add(Exact a, Exact b, Exact *sum)
{
	__int128 result;

	if (__builtin_add_overflow((__int128) a, (__int128) b, &result))
		return false;
	*sum = result;
	return true;
}

bool
exact_mul(Exact a, int64_t factor, Exact *product)
{
	__int128 result;

	if (__builtin_mul_overflow((__int128) a, (__int128) factor, &result))
		return false;
	*product = result;
	return true;
}

Exact
exact_per_wh(int64_t price_micro)
{
	return (__int128) price_micro * WH_SCALE;
}

bool
exact_from_micro(int64_t amount_micro, Exact *amount)
{
	*amount = (__int128) amount_micro * MICRO_SCALE;
	return true;
}

bool
exact_from_minor(int64_t minor, int decimals, Exact *amount)
{
	__int128 result;

	if (decimals < 0 || decimals > MINOR_DECIMALS_MAX)
		return false;
	if (__builtin_mul_overflow((__int128) minor, (__int128) power_of_ten(EXACT_DECIMALS - decimals),
							   &result))
		return false;
	*amount = result;
	return true;
}

bool
exact_percent(Exact amount, int64_t percent_e4, Exact *part)
{
	/* whole and rest have the same sign, so their parts cannot overflow and then return. */
	__int128 whole = (__int128) amount / PERCENT_SCALE;
	__int128 rest = (__int128) amount % PERCENT_SCALE * percent_e4;
	__int128 result;

	if (rest % PERCENT_SCALE != 0)
		return false;
	if (__builtin_mul_overflow(whole, (__int128) percent_e4, &result) ||
		__builtin_add_overflow(result, rest / PERCENT_SCALE, &result))
		return false;
	*part = result;
	return true;
}

/* floor(a * num / den) for num <= den: the product needs 192 bits, the quotient 128. */
static Magnitude
mul_div(Magnitude a, uint64_t num, uint64_t den, uint64_t *remainder)
{
	Magnitude low = (Magnitude) (uint64_t) a * num;
	Magnitude high = (a >> 64) * num + (low >> 64);
	Magnitude quotient;

	if (high >> 64 == 0)
	{
		Magnitude product = high << 64 | (uint64_t) low;

		*remainder = (uint64_t) (product % den);
		return product / den;
	}

	/* num <= den keeps the quotient of the upper 128 bits below 2^64. */
	quotient = high / den;
	low = high % den << 64 | (uint64_t) low;
	*remainder = (uint64_t) (low % den);
	return (quotient << 64) + low / den;
}

bool
exact_ratio(Exact amount, int64_t num, int64_t den, Exact *part)
{
	Magnitude quotient;
	Magnitude steps;
	Magnitude rest;
	uint64_t remainder;

	if (den <= 0 || num < 0 || num > den)
		return false;

	quotient = mul_div(magnitude(amount), (uint64_t) num, (uint64_t) den, &remainder);
	steps = quotient / RATIO_STEP;
	rest = quotient % RATIO_STEP * (uint64_t) den + remainder;
	if (2 * rest >= (Magnitude) RATIO_STEP * (uint64_t) den)
		steps++;
	return with_sign(steps * RATIO_STEP, amount < 0, part);
}

bool
div_round_half_away(__int128 num, __int128 den, int64_t *quotient)
{
	__int128 result;
	Magnitude rest;

	if (den <= 0)
		return false;
	result = num / den;
	rest = magnitude(num % den);
	if (rest >= (Magnitude) den - rest)
		result += num < 0 ? -1 : 1;
	if (result < INT64_MIN || result > INT64_MAX)
		return false;
	*quotient = (int64_t) result;
	return true;
}

bool
exact_to_minor(Exact amount, int decimals, int64_t *minor)
{
	if (decimals < 0 || decimals > MINOR_DECIMALS_MAX)
		return false;
	return div_round_half_away(amount, (__int128) power_of_ten(EXACT_DECIMALS - decimals), minor);
}

/* Decimal digits of value, at least `least` of them, ending at `end`; gives their start. */
static char *
put_digits(Magnitude value, int least, char *end)
{
	while (value > 0 || least > 0)
	{
		*--end = (char) ('0' + (int) (value % 10));
		value /= 10;
		least--;
	}
	return end;
}

void
exact_format(Exact amount, char *buf)
{
	char digits[EXACT_TEXT_MAX];
	char *end = digits + sizeof(digits);
	char *start = put_digits(magnitude(amount), EXACT_DECIMALS + 1, end);
	int whole = (int) (end - start) - EXACT_DECIMALS;

	while (end > start + whole && end[-1] == '0')
		end--;
	if (amount < 0)
		*buf++ = '-';
	memcpy(buf, start, (size_t) whole);
	buf += whole;
	start += whole;
	if (end > start)
	{
		*buf++ = '.';
		memcpy(buf, start, (size_t) (end - start));
		buf += end - start;
	}
	*buf = '\0';
}

void
minor_format(int64_t minor, int decimals, char *buf)
{
	char digits[MONEY_TEXT_MAX];
	char *end = digits + sizeof(digits);
	char *start;
	int whole;

	if (decimals < 0 || decimals > MINOR_DECIMALS_MAX)
		decimals = 0;
	start = put_digits(magnitude(minor), decimals + 1, end);
	whole = (int) (end - start) - decimals;
	if (minor < 0)
		*buf++ = '-';
	memcpy(buf, start, (size_t) whole);
	buf += whole;
	if (decimals > 0)
	{
		*buf++ = '.';
		memcpy(buf, start + whole, (size_t) decimals);
		buf += decimals;
	}
	*buf = '\0';
}

/* The parts of a decimal text: digits with at most one point, and a power of ten. */
typedef struct DecimalText
{
	bool negative;
	const char *digits;
	const char *end;
	int64_t whole; /* digits before the point */
	int64_t exponent;
} DecimalText;

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool
scan_exponent(const char *p, int64_t *exponent)
{
	bool negative = *p == '-';

	if (*p == '-' || *p == '+')
		p++;
	if (!is_digit(*p))
		return false;
	*exponent = 0;
	for (; is_digit(*p); p++)
		if (*exponent < EXPONENT_MAX)
			*exponent = *exponent * 10 + (*p - '0');
	if (negative)
		*exponent = -*exponent;
	return *p == '\0';
}

static bool
scan_decimal(const char *p, DecimalText *decimal)
{
	decimal->negative = *p == '-';
	if (decimal->negative)
		p++;
	decimal->digits = p;
	while (is_digit(*p))
		p++;
	decimal->whole = p - decimal->digits;
	if (decimal->whole == 0)
		return false;
	if (*p == '.')
	{
		if (!is_digit(*++p))
			return false;
		while (is_digit(*p))
			p++;
	}
	decimal->end = p;
	decimal->exponent = 0;
	if (*p == 'e' || *p == 'E')
		return scan_exponent(p + 1, &decimal->exponent);
	return *p == '\0';
}

/* |text| in units of 10^-decimals; finer digits are dropped when cut is set, else a fault. */
static DecimalResult
read_decimal(const char *text, int decimals, bool cut, Magnitude *value, bool *negative)
{
	DecimalText decimal;
	Magnitude result = 0;
	int64_t weight; /* power of ten of the digit at hand, in units of 10^-decimals */

	if (!scan_decimal(text, &decimal))
		return DECIMAL_SYNTAX;
	*negative = decimal.negative;
	weight = decimal.whole - 1 + decimal.exponent + decimals;
	for (const char *p = decimal.digits; p < decimal.end; p++)
	{
		if (*p == '.')
			continue;
		if (weight < 0 && *p != '0' && !cut)
			return DECIMAL_TOO_FINE;
		if (weight >= 0 && (__builtin_mul_overflow(result, (Magnitude) 10, &result) ||
							__builtin_add_overflow(result, (Magnitude) (*p - '0'), &result)))
			return DECIMAL_OVERFLOW;
		weight--;
	}
	for (; weight >= 0 && result != 0; weight--)
		if (__builtin_mul_overflow(result, (Magnitude) 10, &result))
			return DECIMAL_OVERFLOW;
	*value = result;
	return DECIMAL_OK;
}

bool
exact_parse(const char *text, Exact *amount)
{
	Magnitude value;
	bool negative;

	if (read_decimal(text, EXACT_DECIMALS, false, &value, &negative) != DECIMAL_OK)
		return false;
	return with_sign(value, negative, amount);
}

DecimalResult
exact_parse_cut(const char *text, Exact *amount)
{
	Magnitude value;
	bool negative;
	DecimalResult outcome = read_decimal(text, EXACT_DECIMALS, true, &value, &negative);

	if (outcome != DECIMAL_OK)
		return outcome;
	return with_sign(value, negative, amount) ? DECIMAL_OK : DECIMAL_OVERFLOW;
}

DecimalResult
decimal_parse(const char *text, int decimals, int64_t *value)
{
	Magnitude result;
	bool negative;
	DecimalResult outcome = read_decimal(text, decimals, false, &result, &negative);

	if (outcome != DECIMAL_OK)
		return outcome;
	if (result > (Magnitude) INT64_MAX + (negative ? 1 : 0))
		return DECIMAL_OVERFLOW;
	*value = negative ? (int64_t) -result : (int64_t) result;
	return DECIMAL_OK;
}
