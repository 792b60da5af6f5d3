/*
 * range.h: the time a report is asked for.
 */
#ifndef PREPAY_RANGE_H
#define PREPAY_RANGE_H

#include "postgres.h"

#include "fmgr.h"
#include "utils/timestamp.h"

#include "site.h"

typedef struct TimeRange
{
	TimestampTz from; /* [from, to), both finite */
	TimestampTz to;
	int32 first_day; /* local days it touches: [first_day, end_day), at least one */
	int32 end_day;
} TimeRange;

/*
 * Arguments arg and arg + 1; NULL: the last 30 days, up to now. Raises 22023 for a range
 * that is endless or runs backwards.
 */
extern TimeRange range_of_args(const Site *site, FunctionCallInfo fcinfo, int arg);

/* The calendar month that holds a date argument's day; NULL: this month. Raises 22023 for one to
 * come. */
extern TimeRange range_month(const Site *site, FunctionCallInfo fcinfo, int arg);

#endif
