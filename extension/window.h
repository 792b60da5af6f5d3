/*
 * window.h: recurring times of a site's wall clock: weekdays, kinds of day, from and to.
 */
#ifndef PREPAY_WINDOW_H
#define PREPAY_WINDOW_H

#include "cal.h"

/* Whether a day is of the kind wanted. */
typedef bool (*WindowDay)(const void *context, int32_t day);

/*
 * Times from from_us to before to_us of each day that fits. Where from is not before
 * to it goes on into the next day, and belongs to the day it began on.
 */
typedef struct Window
{
	unsigned weekdays; /* bit 1 << ISO weekday; 0: any */
	WindowDay day;	   /* NULL: any */
	const void *context;
	bool has_time; /* else the whole day */
	int64_t from_us;
	int64_t to_us;
} Window;

/*
 * Whether an instant is inside, by its wall time: a skipped hour has no instants, in a
 * repeated hour each goes by its own. until: the first later instant at which it may
 * be otherwise.
 */
extern bool window_holds(const Window *window, const CalZone *zone, int64_t instant,
						 int64_t *until);

#endif
