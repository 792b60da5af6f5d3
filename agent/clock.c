/*
 * clock.c
 *		Real, monotonic and business time, all in microseconds.
 */
#include "clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int64_t
clock_read(clockid_t id)
{
	struct timespec now;

	clock_gettime(id, &now);
	return (int64_t) now.tv_sec * USEC_PER_SEC + now.tv_nsec / 1000;
}

int64_t
clock_real(void)
{
	return clock_read(CLOCK_REALTIME);
}

int64_t
clock_mono(void)
{
	return clock_read(CLOCK_MONOTONIC);
}

int64_t
clock_business_at(const Clock *clock, int64_t real)
{
	__int128 moment;

	if (!clock->running)
		return real;
	moment = (__int128) (real - clock->real) * clock->rate_ppm / USEC_PER_SEC + clock->at;
	if (moment > INT64_MAX)
		return INT64_MAX;
	if (moment < INT64_MIN)
		return INT64_MIN;
	return (int64_t) moment;
}

int64_t
clock_business(const Clock *clock)
{
	return clock_business_at(clock, clock_real());
}

int64_t
clock_real_span(const Clock *clock, int64_t span)
{
	__int128 real;

	if (!clock->running)
		return span;
	if (clock->rate_ppm <= 0)
		return -1;
	real = (__int128) span * USEC_PER_SEC / clock->rate_ppm;
	return real > INT64_MAX ? INT64_MAX : (int64_t) real;
}

int64_t
clock_delay_until(const Clock *clock, int64_t business)
{
	int64_t now = clock_business(clock);
	int64_t delay;

	if (business <= now)
		return 0;
	delay = clock_real_span(clock, business - now);
	/* Round up: a timer that fires a microsecond early would find nothing due. */
	return delay < 0 || delay == INT64_MAX ? delay : delay + 1;
}

bool
clock_equal(const Clock *a, const Clock *b)
{
	if (!a->running && !b->running)
		return true;
	return a->running == b->running && a->at == b->at && a->real == b->real &&
		   a->rate_ppm == b->rate_ppm;
}

/* Reads "[.ffffff]" and returns the position behind it; digits past microseconds are dropped. */
static const char *
parse_fraction(const char *text, int64_t *usec)
{
	int64_t unit = USEC_PER_SEC / 10;

	*usec = 0;
	if (*text != '.')
		return text;
	for (text++; *text >= '0' && *text <= '9'; text++)
	{
		*usec += (*text - '0') * unit;
		unit /= 10;
	}
	return text;
}

static bool
parse_zone(const char *text, int *offset_s)
{
	int hours = 0;
	int minutes = 0;
	int used = 0;
	int sign = *text == '-' ? -1 : 1;

	*offset_s = 0;
	if (strcmp(text, "Z") == 0)
		return true;
	if (*text != '+' && *text != '-')
		return false;
	text++;
	if (sscanf(text, "%2d:%2d%n", &hours, &minutes, &used) != 2 || text[used])
	{
		minutes = 0;
		used = 0;
		if (sscanf(text, "%2d%n", &hours, &used) != 1 || used != 2 || text[used])
			return false;
	}
	if (hours < 0 || hours > 15 || minutes < 0 || minutes > 59)
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

bool
clock_parse(const char *text, int64_t *usec)
{
	struct tm tm;
	char separator;
	int used = 0;
	int64_t fraction;
	int offset;

	memset(&tm, 0, sizeof(tm));
	if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &separator,
			   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used) != 7 ||
		used != 19 || (separator != 'T' && separator != ' '))
		return false;
	if (tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 || tm.tm_hour > 23 ||
		tm.tm_min > 59 || tm.tm_sec > 60)
		return false;
	if (!parse_zone(parse_fraction(text + used, &fraction), &offset))
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	*usec = ((int64_t) timegm(&tm) - offset) * USEC_PER_SEC + fraction;
	return true;
}

/* Two or four decimal digits. */
static char *
put_digits(char *out, int64_t value, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
	{
		out[i] = (char) ('0' + value % 10);
		value /= 10;
	}
	return out + digits;
}

/* Called for each reading: days are turned into a date once a day. */
const char *
clock_format(int64_t usec, char *out)
{
	static _Thread_local int64_t known_day = INT64_MIN;
	static _Thread_local char date[11];
	int64_t second = usec / USEC_PER_SEC - (usec % USEC_PER_SEC < 0);
	int64_t day = second / 86400 - (second % 86400 < 0);
	int64_t of_day = second - day * 86400;
	char *at = out + 10;

	if (day != known_day)
	{
		time_t midnight = (time_t) (day * 86400);
		struct tm utc;

		if (!gmtime_r(&midnight, &utc))
			return strcpy(out, "1970-01-01T00:00:00+00:00");
		put_digits(date, utc.tm_year + 1900, 4);
		put_digits(date + 5, utc.tm_mon + 1, 2);
		put_digits(date + 8, utc.tm_mday, 2);
		date[4] = date[7] = '-';
		known_day = day;
	}
	memcpy(out, date, 10);
	*at++ = 'T';
	at = put_digits(at, of_day / 3600, 2);
	*at++ = ':';
	at = put_digits(at, of_day / 60 % 60, 2);
	*at++ = ':';
	at = put_digits(at, of_day % 60, 2);
	*at++ = '.';
	at = put_digits(at, usec - second * USEC_PER_SEC, 6);
	strcpy(at, "+00:00");
	return out;
}
