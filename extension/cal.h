/*
 * cal.h: civil time for rating.
 *
 * An instant is int64 microseconds since 2000-01-01 00:00 UTC (PostgreSQL's
 * timestamptz), a day is int32 days since 2000-01-01 (PostgreSQL's date). Time
 * is keyed in UTC and classified by the wall clock of a zone, given as a table
 * of UTC offsets so that the core needs no time zone database.
 */
#ifndef PREPAY_CAL_H
#define PREPAY_CAL_H

#include "core.h"

#define USECS_PER_SECOND INT64_C(1000000)
#define CAL_DAY_US (INT64_C(86400) * 1000000)
#define CAL_MIN_US (INT64_C(60) * 1000000)

/*
 * offset_s[0] holds before at[0], offset_s[i + 1] from at[i] (inclusive) on:
 * n + 1 offsets, seconds east of UTC. at[] ascends strictly.
 */
typedef struct CalZone
{
	int n;
	const int64_t *at;
	const int32_t *offset_s;
} CalZone;

typedef struct CalLocal
{
	int32_t day;	   /* wall-clock date */
	int64_t us;		   /* wall-clock microseconds since local midnight, 0 .. 86399999999 */
	int64_t offset_us; /* east of UTC */
	int64_t until;	   /* first instant at which this offset no longer holds; INT64_MAX: never */
} CalLocal;

extern void cal_local(const CalZone *zone, int64_t instant, CalLocal *local);

/*
 * The instant from which on every wall-clock date is >= day: local midnight, or
 * the end of the skipped hour if midnight does not exist, or the later of two midnights
 * if the clock falls back to the day before in between.
 */
extern int64_t cal_day_start(const CalZone *zone, int32_t day);
/* The clock went over this date. */
extern bool cal_day_is_skipped(const CalZone *zone, int32_t day);

extern void cal_civil(int32_t day, int *year, int *month, int *mday); /* proleptic Gregorian */
extern int32_t cal_day(int year, int month, int mday);
extern int cal_days_in_month(int year, int month);
extern int cal_weekday(int32_t day); /* ISO: 1 Monday .. 7 Sunday */

#endif
