/*
 * decimal.c
 *		Exact decimals: a scaled integer and its number of decimals.
 */
#include "decimal.h"

#include <string.h>

static const Decimal unknown = { 0, 0, false };

static int64_t
power_of_ten(int exponent)
{
	int64_t power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

Decimal
decimal_from_integer(__int128 integer, int exp10)
{
	Decimal value = { 0, 0, true };

	if (exp10 > 0)
		integer *= power_of_ten(exp10);
	else
		value.decimals = (int8_t) -exp10;
	if (integer > INT64_MAX || integer < -(__int128) INT64_MAX)
		return unknown;
	value.units = (int64_t) integer;
	return value;
}

Decimal
decimal_from_ieee(uint64_t bits, int width, int exp10, int decimals)
{
	int fraction_bits = width == 32 ? 23 : 52;
	int exponent_max = width == 32 ? 0xff : 0x7ff;
	int exponent = (int) (bits >> fraction_bits) & exponent_max;
	bool negative = bits >> (width - 1) & 1;
	__int128 scaled = bits & ((UINT64_C(1) << fraction_bits) - 1);
	Decimal value = { 0, (int8_t) decimals, true };

	if (exponent == exponent_max || decimals + exp10 < 0)
		return unknown;
	if (exponent > 0)
		scaled |= (__int128) 1 << fraction_bits;
	else
		exponent = 1;
	exponent -= exponent_max / 2 + fraction_bits;
	/* At most 53 bits times 10^18: 113 bits, so the 128-bit product is exact. */
	scaled *= power_of_ten(decimals + exp10);
	if (exponent > 0)
	{
		if (scaled != 0 && (exponent > 63 || scaled > (INT64_MAX >> exponent)))
			return unknown;
		scaled = exponent > 63 ? 0 : scaled << exponent;
	}
	else if (exponent < -126)
		scaled = 0;
	else if (exponent < 0)
		scaled = (scaled >> -exponent) + (scaled >> (-exponent - 1) & 1);
	if (scaled > INT64_MAX)
		return unknown;
	value.units = negative ? -(int64_t) scaled : (int64_t) scaled;
	return value;
}

Decimal
decimal_from_bcd(uint64_t bits, int width, int exp10)
{
	int64_t integer = 0;

	for (int shift = width - 4; shift >= 0; shift -= 4)
	{
		int digit = (int) (bits >> shift & 0xf);

		if (digit > 9)
			return unknown;
		integer = integer * 10 + digit;
	}
	return decimal_from_integer(integer, exp10);
}

bool
decimal_parse(const char *text, int decimals, int64_t *units)
{
	bool negative = *text == '-';
	__int128 sum = 0;
	int digits = 0;
	int after = -1; /* decimals seen; -1: no point yet */

	if (*text == '-' || *text == '+')
		text++;
	for (; *text; text++)
	{
		if (*text == '.' && after < 0)
		{
			after = 0;
			continue;
		}
		if (*text < '0' || *text > '9')
			return false;
		digits++;
		if (after >= decimals && *text == '0')
			continue;
		if (after >= decimals)
			return false;
		sum = sum * 10 + (*text - '0');
		if (after >= 0)
			after++;
		if (sum > INT64_MAX)
			return false;
	}
	if (digits == 0)
		return false;
	for (int i = after < 0 ? 0 : after; i < decimals; i++)
	{
		sum *= 10;
		if (sum > INT64_MAX)
			return false;
	}
	*units = negative ? -(int64_t) sum : (int64_t) sum;
	return true;
}

const char *
decimal_format(Decimal value, char *out)
{
	uint64_t magnitude = value.units < 0 ? -(uint64_t) value.units : (uint64_t) value.units;
	char digits[DECIMAL_TEXT_SIZE];
	char *at = digits + sizeof(digits);
	int written = 0;

	out[0] = '\0';
	if (!value.known)
		return out;
	*--at = '\0';
	/* At least one digit before the point, so at least decimals + 1 in all. */
	do
	{
		if (written > 0 && written == value.decimals)
			*--at = '.';
		*--at = (char) ('0' + magnitude % 10);
		magnitude /= 10;
		written++;
	} while (magnitude > 0 || written <= value.decimals);
	if (value.units < 0)
		*--at = '-';
	return memcpy(out, at, (size_t) (digits + sizeof(digits) - at));
}
