#include "quiet.h"

#include <string.h>

#define DAY_MINUTES (24 * 60)

static bool
parse_clock(const char *text, int *minute)
{
	int digit[4];
	int i;

	for (i = 0; i < 4; i++)
	{
		char c = text[i < 2 ? i : i + 1];

		if (c < '0' || c > '9')
			return false;
		digit[i] = c - '0';
	}
	*minute = (digit[0] * 10 + digit[1]) * 60 + digit[2] * 10 + digit[3];
	return text[2] == ':' && digit[2] < 6 && *minute < DAY_MINUTES;
}

bool
quiet_parse(const char *text, QuietHours *hours)
{
	return strlen(text) == strlen("22:00-07:00") && text[5] == '-' &&
		   parse_clock(text, &hours->from) && parse_clock(text + 6, &hours->to) &&
		   hours->from != hours->to;
}

bool
quiet_end(const CalZone *zone, const QuietHours *hours, int64_t now, int64_t *end)
{
	bool over_midnight = hours->from > hours->to;
	CalLocal local;
	CalLocal at_end;
	int64_t wall;
	int minute;

	cal_local(zone, now, &local);
	minute = (int) (local.us / CAL_MIN_US);
	if (over_midnight ? minute < hours->from && minute >= hours->to
					  : minute < hours->from || minute >= hours->to)
		return false;
	wall = (local.day + (over_midnight && minute >= hours->from)) * CAL_DAY_US +
		   hours->to * CAL_MIN_US;
	/* The clock may be changed meanwhile. */
	cal_local(zone, wall - local.offset_us, &at_end);
	*end = wall - at_end.offset_us;
	if (*end <= now)
		*end = wall - local.offset_us;
	return true;
}
