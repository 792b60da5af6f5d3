/*
 * cal.c: civil time for rating (see cal.h).
 */
#include "cal.h"

#define DAYS_400_YEARS 146097
#define DAYS_100_YEARS 36524
#define DAYS_4_YEARS 1461
/* 2000-03-01: counting years from March puts the leap day last. */
#define MARCH_2000 60
/* No zone is farther from UTC than this. */
#define OFFSET_LIMIT_US (2 * CAL_DAY_US)

static int64_t
floor_div(int64_t a, int64_t b)
{
	int64_t quotient = a / b;

	return a % b < 0 ? quotient - 1 : quotient;
}

/* Number of the offset that holds at an instant: how many changes lie at or before it. */
static int
zone_index(const CalZone *zone, int64_t instant)
{
	int low = 0;
	int high = zone->n;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (zone->at[middle] <= instant)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

void
cal_local(const CalZone *zone, int64_t instant, CalLocal *local)
{
	int index = zone_index(zone, instant);
	int64_t wall;
	int64_t day;

	local->offset_us = (int64_t) zone->offset_s[index] * USECS_PER_SECOND;
	local->until = index < zone->n ? zone->at[index] : INT64_MAX;
	wall = instant + local->offset_us;
	day = floor_div(wall, CAL_DAY_US);
	local->day = (int32_t) day;
	local->us = wall - day * CAL_DAY_US;
}

int64_t
cal_day_start(const CalZone *zone, int32_t day)
{
	int64_t utc_midnight = (int64_t) day * CAL_DAY_US;
	int index = zone_index(zone, utc_midnight + OFFSET_LIMIT_US);

	/* The last offset under which some instant still has an earlier date decides. */
	for (;; index--)
	{
		int64_t midnight = utc_midnight - (int64_t) zone->offset_s[index] * USECS_PER_SECOND;

		if (index == 0 || zone->at[index - 1] < midnight)
		{
			if (index < zone->n && zone->at[index] < midnight)
				return zone->at[index];
			return midnight;
		}
	}
}

bool
cal_day_is_skipped(const CalZone *zone, int32_t day)
{
	return cal_day_start(zone, day) == cal_day_start(zone, day + 1);
}

/* Day of a year that begins in March on which its month (0 March .. 11 February) begins. */
static int
march_month_start(int month)
{
	return (month * 153 + 2) / 5;
}

void
cal_civil(int32_t day, int *year, int *month, int *mday)
{
	int64_t since = (int64_t) day - MARCH_2000;
	int64_t cycle = floor_div(since, DAYS_400_YEARS);
	int rest = (int) (since - cycle * DAYS_400_YEARS);
	int century = rest / DAYS_100_YEARS;
	int leap_cycle;
	int year_of_cycle;
	int march_month;

	/* The last century and the last year of a leap cycle are one day longer. */
	if (century > 3)
		century = 3;
	rest -= century * DAYS_100_YEARS;
	leap_cycle = rest / DAYS_4_YEARS;
	rest -= leap_cycle * DAYS_4_YEARS;
	year_of_cycle = rest / 365;
	if (year_of_cycle > 3)
		year_of_cycle = 3;
	rest -= year_of_cycle * 365;

	march_month = (rest * 5 + 2) / 153;
	*mday = rest - march_month_start(march_month) + 1;
	*month = march_month < 10 ? march_month + 3 : march_month - 9;
	*year = (int) (2000 + cycle * 400 + century * 100 + leap_cycle * 4 + year_of_cycle +
				   (march_month < 10 ? 0 : 1));
}

int32_t
cal_day(int year, int month, int mday)
{
	int march_month = month < 3 ? month + 9 : month - 3;
	int64_t march_year = (int64_t) year - (month < 3 ? 1 : 0) - 2000;
	int64_t leap_days =
		floor_div(march_year, 4) - floor_div(march_year, 100) + floor_div(march_year, 400);

	return (int32_t) (MARCH_2000 + march_year * 365 + leap_days + march_month_start(march_month) +
					  mday - 1);
}

int
cal_days_in_month(int year, int month)
{
	static const int8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	if (month == 2 && year % 4 == 0 && (year % 100 != 0 || year % 400 == 0))
		return 29;
	return days[month - 1];
}

int
cal_weekday(int32_t day)
{
	/* 2000-01-01 was a Saturday. */
	int64_t since_monday = (int64_t) day + 5;

	return (int) (since_monday - floor_div(since_monday, 7) * 7) + 1;
}
