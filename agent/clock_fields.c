/*
 * clock_fields.c
 *		A meter's clock: local date and time in single bytes, and the site's time zone.
 *
 * The zone is that of the process (TZ): an agent serves one site. Log lines are in UTC whatever it
 * is.
 */
#include "clock_fields.h"

#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static bool zone_known;

enum
{
	YEAR,
	MONTH,
	DAY,
	WEEKDAY,
	HOUR,
	MINUTE,
	SECOND,
	WEEKDAY_FROM_0,
	FIELDS
};

static const char *const field_names[FIELDS] = { "YY", "MM", "DD", "WW", "hh", "mm", "ss", "ww" };

static int
field_of(const char *format)
{
	for (int field = 0; field < FIELDS; field++)
	{
		if (strncmp(format, field_names[field], 2) == 0)
			return field;
	}
	return -1;
}

bool
clock_format_good(const char *format, bool whole)
{
	unsigned seen = 0;
	unsigned needed = 1U << YEAR | 1U << MONTH | 1U << DAY | 1U << HOUR | 1U << MINUTE;

	if (strlen(format) % 2)
		return false;
	for (; *format; format += 2)
	{
		int field = field_of(format);

		if (field < 0 ? strncmp(format, "--", 2) != 0 : (seen >> field & 1) != 0)
			return false;
		if (field >= 0)
			seen |= 1U << field;
	}
	return whole ? (seen & needed) == needed : seen != 0;
}

bool
clock_set_zone(const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "/usr/share/zoneinfo/%s", name);
	zone_known = name[0] && !strstr(name, "..") && access(path, R_OK) == 0;
	if (zone_known)
	{
		setenv("TZ", name, 1);
		tzset();
	}
	return zone_known;
}

static int
from_bcd(uint8_t byte)
{
	return byte >> 4 <= 9 && (byte & 0xf) <= 9 ? 10 * (byte >> 4) + (byte & 0xf) : -1;
}

bool
clock_from_fields(const char *format, const uint8_t *bytes, bool bcd, int64_t *usec)
{
	int value[FIELDS] = { 0 };
	struct tm local = { .tm_isdst = -1 };
	time_t seconds;

	for (; *format; format += 2, bytes++)
	{
		int field = field_of(format);

		if (field >= 0)
			value[field] = bcd ? from_bcd(*bytes) : *bytes;
	}
	if (!zone_known || value[YEAR] < 0 || value[YEAR] > 99 || value[MONTH] < 1 ||
		value[MONTH] > 12 || value[DAY] < 1 || value[DAY] > 31 || value[HOUR] < 0 ||
		value[HOUR] > 23 || value[MINUTE] < 0 || value[MINUTE] > 59 || value[SECOND] < 0 ||
		value[SECOND] > 59)
		return false;
	local.tm_year = 100 + value[YEAR];
	local.tm_mon = value[MONTH] - 1;
	local.tm_mday = value[DAY];
	local.tm_hour = value[HOUR];
	local.tm_min = value[MINUTE];
	local.tm_sec = value[SECOND];
	seconds = mktime(&local);
	*usec = (int64_t) seconds * USEC_PER_SEC;
	return seconds != (time_t) -1;
}

bool
clock_to_fields(const char *format, int64_t usec, bool bcd, uint8_t *bytes)
{
	time_t seconds = (time_t) (usec / USEC_PER_SEC);
	struct tm local;

	if (!zone_known || !localtime_r(&seconds, &local))
		return false;
	for (; *format; format += 2)
	{
		const int value[FIELDS] = { local.tm_year % 100, local.tm_mon + 1,
									local.tm_mday,		 local.tm_wday == 0 ? 7 : local.tm_wday,
									local.tm_hour,		 local.tm_min,
									local.tm_sec,		 local.tm_wday };
		int field = field_of(format);
		int byte = field < 0 ? 0 : value[field];

		*bytes++ = (uint8_t) (bcd ? byte / 10 << 4 | byte % 10 : byte);
	}
	return true;
}
