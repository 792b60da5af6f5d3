/*
 * bclock.c: the business clock.
 */
#include "bclock.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "decimal.h"

#define US_PER_SECOND INT64_C(1000000)
#define RATE_DECIMALS 6

static int64_t
real_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * US_PER_SECOND + now.tv_nsec / 1000;
}

void
bclock_real(BusinessClock *clock)
{
	time_t now;
	struct tm local;

	clock->real_us = clock->business_us = real_now_us();
	clock->rate_ppm = US_PER_SECOND;
	now = (time_t) (clock->real_us / US_PER_SECOND);
	clock->utc_offset_s = localtime_r(&now, &local) != NULL ? (int) local.tm_gmtoff : 0;
}

/* "Z", "+08", "+0800" or "+08:00". */
static bool
parse_zone(const char *text, int *offset_s)
{
	int hours;
	int minutes = 0;
	int used = 0;
	int sign = text[0] == '-' ? -1 : 1;

	if (strcmp(text, "Z") == 0)
	{
		*offset_s = 0;
		return true;
	}
	if (text[0] != '+' && text[0] != '-')
		return false;
	text++;
	if (sscanf(text, "%2d%n", &hours, &used) != 1 || used != 2)
		return false;
	text += used;
	text += *text == ':';
	if (*text != '\0' && (sscanf(text, "%2d%n", &minutes, &used) != 1 || text[used] != '\0'))
		return false;
	if (hours < 0 || hours > 15 || minutes < 0 || minutes > 59)
		return false;
	*offset_s = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* A fraction ".5", read as microseconds. */
static const char *
parse_fraction(const char *text, int64_t *fraction_us)
{
	int64_t unit = US_PER_SECOND / 10;

	*fraction_us = 0;
	if (*text != '.')
		return text;
	for (text++; isdigit((unsigned char) *text); text++, unit /= 10)
		*fraction_us += (*text - '0') * unit;
	return text;
}

static bool
parse_instant(const char *text, int64_t *instant_us, int *offset_s)
{
	struct tm local = { 0 };
	int64_t fraction_us;
	int used = 0;
	char separator;

	if (sscanf(text, "%4d-%2d-%2d%c%2d:%2d:%2d%n", &local.tm_year, &local.tm_mon, &local.tm_mday,
			   &separator, &local.tm_hour, &local.tm_min, &local.tm_sec, &used) != 7)
		return false;
	if ((separator != 'T' && separator != ' ') || local.tm_mon < 1 || local.tm_mon > 12 ||
		local.tm_mday < 1 || local.tm_mday > 31 || local.tm_hour > 23 || local.tm_min > 59 ||
		local.tm_sec > 60)
		return false;
	text = parse_fraction(text + used, &fraction_us);
	if (!parse_zone(text, offset_s))
		return false;
	local.tm_year -= 1900;
	local.tm_mon -= 1;
	*instant_us = ((int64_t) timegm(&local) - *offset_s) * US_PER_SECOND + fraction_us;
	return true;
}

bool
bclock_parse(const char *text, BusinessClock *clock)
{
	char copy[128];
	char *real;
	char *rate;
	int ignored;

	if (strlen(text) >= sizeof(copy))
		return false;
	strcpy(copy, text);
	real = strchr(copy, '@');
	if (real == NULL)
	{
		clock->real_us = real_now_us();
		clock->rate_ppm = 0;
		return parse_instant(copy, &clock->business_us, &clock->utc_offset_s);
	}
	*real++ = '\0';
	rate = strchr(real, '*');
	if (rate == NULL)
		return false;
	*rate++ = '\0';
	return parse_instant(copy, &clock->business_us, &clock->utc_offset_s) &&
		   parse_instant(real, &clock->real_us, &ignored) &&
		   decimal_parse(rate, RATE_DECIMALS, &clock->rate_ppm) && clock->rate_ppm >= 0;
}

int64_t
bclock_now(const BusinessClock *clock)
{
	int64_t elapsed = real_now_us() - clock->real_us;

	if (elapsed <= 0)
		return clock->business_us;
	return clock->business_us + (int64_t) ((__int128) elapsed * clock->rate_ppm / US_PER_SECOND);
}

const char *
bclock_format(const BusinessClock *clock, int64_t instant_us, char *buf)
{
	int64_t local_us = instant_us + clock->utc_offset_s * US_PER_SECOND;
	int64_t fraction_us = ((local_us % US_PER_SECOND) + US_PER_SECOND) % US_PER_SECOND;
	time_t seconds = (time_t) ((local_us - fraction_us) / US_PER_SECOND);
	int offset_min = abs(clock->utc_offset_s) / 60;
	struct tm local;
	char date[24];

	gmtime_r(&seconds, &local);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &local);
	snprintf(buf, BCLOCK_TEXT_MAX, "%s.%06d%c%02d:%02d", date, (int) fraction_us,
			 clock->utc_offset_s < 0 ? '-' : '+', offset_min / 60, offset_min % 60);
	return buf;
}
