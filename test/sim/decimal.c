/*
 * decimal.c: exact decimals as scaled integers.
 */
#include "decimal.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define DECIMAL_LIMIT INT64_C(1000000000000000000)

int64_t
decimal_power10(int exponent)
{
	int64_t power = 1;

	while (exponent-- > 0)
		power *= 10;
	return power;
}

static bool
append_digit(int64_t *value, int digit)
{
	if (*value > (DECIMAL_LIMIT - digit) / 10)
		return false;
	*value = *value * 10 + digit;
	return true;
}

bool
decimal_parse(const char *text, int decimals, int64_t *value)
{
	int64_t magnitude = 0;
	int after_point = 0;
	bool point = false;
	bool digits = false;
	bool negative = *text == '-';

	if (*text == '-' || *text == '+')
		text++;
	for (; *text != '\0'; text++)
	{
		if (*text == '.' && !point)
		{
			point = true;
			continue;
		}
		if (!isdigit((unsigned char) *text))
			return false;
		digits = true;
		if (point && after_point == decimals)
		{
			if (*text != '0')
				return false;
			continue;
		}
		if (!append_digit(&magnitude, *text - '0'))
			return false;
		after_point += point;
	}
	if (!digits)
		return false;
	for (; after_point < decimals; after_point++)
		if (!append_digit(&magnitude, 0))
			return false;
	*value = negative ? -magnitude : magnitude;
	return true;
}

const char *
decimal_format(int64_t value, int decimals, char *buf)
{
	uint64_t magnitude = value < 0 ? -(uint64_t) value : (uint64_t) value;
	uint64_t unit = (uint64_t) decimal_power10(decimals);
	const char *sign = value < 0 ? "-" : "";

	if (decimals == 0)
		snprintf(buf, DECIMAL_TEXT_MAX, "%s%llu", sign, (unsigned long long) magnitude);
	else
		snprintf(buf, DECIMAL_TEXT_MAX, "%s%llu.%0*llu", sign,
				 (unsigned long long) (magnitude / unit), decimals,
				 (unsigned long long) (magnitude % unit));
	return buf;
}

bool
integer_parse(const char *text, int64_t min, int64_t max, int64_t *value)
{
	char *end;
	long long parsed;
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;

	if (!isdigit((unsigned char) *text) && *text != '-')
		return false;
	errno = 0;
	parsed = strtoll(text, &end, base);
	if (errno != 0 || end == text || *end != '\0' || parsed < min || parsed > max)
		return false;
	*value = parsed;
	return true;
}
