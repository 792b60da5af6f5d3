#include "range.h"

#include "utils/date.h"

#define DEFAULT_DAYS 30

TimeRange
range_of_args(const Site *site, FunctionCallInfo fcinfo, int arg)
{
	TimeRange range;

	range.to = PG_ARGISNULL(arg + 1) ? site->now : PG_GETARG_TIMESTAMPTZ(arg + 1);
	range.from =
		PG_ARGISNULL(arg) ? site->now - DEFAULT_DAYS * USECS_PER_DAY : PG_GETARG_TIMESTAMPTZ(arg);
	if (TIMESTAMP_NOT_FINITE(range.from) || TIMESTAMP_NOT_FINITE(range.to) || range.from > range.to)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the time range begins after its end or is infinite"),
						errhint("Give two times, the earlier one first.")));
	range.first_day = site_local_day(site, range.from);
	range.end_day = site_local_day(site, range.to - 1) + 1;
	range.end_day = Max(range.end_day, range.first_day + 1);
	return range;
}

TimeRange
range_month(const Site *site, FunctionCallInfo fcinfo, int arg)
{
	TimeRange range = { 0 };
	int32 day = PG_ARGISNULL(arg) ? site->today : PG_GETARG_DATEADT(arg);
	int year = 0;
	int month = 0;
	int mday;

	if (!DATE_NOT_FINITE(day))
	{
		cal_civil(day, &year, &month, &mday);
		range.first_day = cal_day(year, month, 1);
	}
	if (DATE_NOT_FINITE(day) || range.first_day > site->today)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the month has not begun"),
						errhint("Give a day of this month or an earlier one.")));
	range.end_day = range.first_day + cal_days_in_month(year, month);
	range.from = cal_day_start(site->zone, range.first_day);
	range.to = cal_day_start(site->zone, range.end_day);
	return range;
}
