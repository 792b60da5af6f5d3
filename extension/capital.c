#include "capital.h"

#include <string.h>

#define FRACTION_DIGITS 4

static const char *const digit_name[] = {
	"零", "壹", "贰", "叁", "肆", "伍", "陆", "柒", "捌", "玖"
};

static char *
put(char *end, const char *text)
{
	size_t length = strlen(text);

	memcpy(end, text, length + 1);
	return end + length;
}

/* A whole number above 0: what stands before the largest unit, the unit, then the rest. */
static char *
put_whole(char *end, uint64_t value)
{
	static const struct
	{
		uint64_t size;
		const char *name;
	} unit[] = {
		{ 100000000, "亿" }, { 10000, "万" }, { 1000, "仟" }, { 100, "佰" }, { 10, "拾" },
	};

	for (size_t i = 0; i < sizeof(unit) / sizeof(*unit); i++)
	{
		uint64_t rest = value % unit[i].size;

		if (value < unit[i].size)
			continue;
		end = put(put_whole(end, value / unit[i].size), unit[i].name);
		if (rest > 0 && rest < unit[i].size / 10)
			end = put(end, digit_name[0]);
		return rest > 0 ? put_whole(end, rest) : end;
	}
	return put(end, digit_name[value]);
}

/* Digits after the point; `zero` tells whether one 零 is due before the next digit. */
static char *
put_fraction(char *end, const int *digit, bool after_whole, bool zero)
{
	static const char *const name[] = { "角", "分", "厘", "毫" };
	int last = -1;

	for (int i = 0; i < FRACTION_DIGITS; i++)
	{
		if (digit[i] == 0)
		{
			zero = after_whole || last >= 0;
			continue;
		}
		if (zero)
			end = put(end, digit_name[0]);
		end = put(put(end, digit_name[digit[i]]), name[i]);
		zero = false;
		last = i;
	}
	return last <= 0 ? put(end, "整") : end;
}

void
capital_figures(int64_t minor, int decimals, char *buf)
{
	uint64_t magnitude = minor < 0 ? -(uint64_t) minor : (uint64_t) minor;
	uint64_t whole = magnitude;
	int digit[FRACTION_DIGITS] = { 0 };
	char *end = buf;

	for (int i = decimals - 1; i >= 0; i--)
	{
		digit[i] = whole % 10;
		whole /= 10;
	}
	if (minor < 0)
		end = put(end, "负");
	if (whole > 0)
		end = put(put_whole(end, whole), "元");
	else if (magnitude == 0)
		end = put(end, "零元");
	put_fraction(end, digit, whole > 0, whole > 0 && whole % 10 == 0);
}
