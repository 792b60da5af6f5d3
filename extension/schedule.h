/*
 * schedule.h: rows of switch_schedule: times of the clock at which meters are switched off
 * or have a cap on their load.
 */
#ifndef PREPAY_SCHEDULE_H
#define PREPAY_SCHEDULE_H

#include "relay.h"

/*
 * Set schedule and schedule_until of n meters for a moment: the row that switches each
 * off, and when that next changes. Overlapping rows: off while any of them says so.
 */
extern void schedule_apply(const Site *site, TimestampTz moment, RelayMeter *meter, int n);

/* Caps on the load, W. They change nothing by themselves: each sample goes by the caps of its time.
 */
typedef struct ScheduleCaps
{
	int n;
	const struct Schedule **row;
} ScheduleCaps;

/* Whether any active row is a cap; known as long as the site's row is the same. */
extern bool schedule_has_caps(const Site *site);
/* The lowest cap at a time over all rows, 0: none; until: nothing changes before. */
extern int64 schedule_lowest_cap(const Site *site, TimestampTz at, TimestampTz *until);
/* The rows for each of n meters, valid in the present statement. */
extern ScheduleCaps *schedule_caps(const Site *site, const int32 *meter_id, const int32 *account_id,
								   int n);
/* The lowest of them at a time, and by which row it is; 0: none. */
extern int64 schedule_cap(const Site *site, const ScheduleCaps *caps, TimestampTz at,
						  const char **code);

#endif
