#include "window.h"

static bool
fits(const Window *window, int32_t day)
{
	if (window->weekdays != 0 && !(window->weekdays & (1u << cal_weekday(day))))
		return false;
	return window->day == NULL || window->day(window->context, day);
}

static bool
covers(const Window *window, const CalLocal *local)
{
	int64_t us = local->us;

	if (!window->has_time)
		return fits(window, local->day);
	if (window->from_us < window->to_us)
		return us >= window->from_us && us < window->to_us && fits(window, local->day);
	if (us >= window->from_us)
		return fits(window, local->day);
	return us < window->to_us && fits(window, local->day - 1);
}

static int64_t
nearer(int64_t edge, int64_t us, int64_t best)
{
	return edge > us && edge < best ? edge : best;
}

bool
window_holds(const Window *window, const CalZone *zone, int64_t instant, int64_t *until)
{
	CalLocal local;
	int64_t edge = CAL_DAY_US;

	cal_local(zone, instant, &local);
	if (window->has_time)
	{
		edge = nearer(window->from_us, local.us, edge);
		edge = nearer(window->to_us, local.us, edge);
	}
	*until = instant + (edge - local.us);
	if (local.until < *until)
		*until = local.until;
	return covers(window, &local);
}
