/*
 * schedule.h: rows of switch_schedule: times of the clock at which meters are switched off.
 */
#ifndef PREPAY_SCHEDULE_H
#define PREPAY_SCHEDULE_H

#include "relay.h"

/*
 * Set schedule and schedule_until of n meters for a moment: the row that switches each
 * off, and when that next changes. Overlapping rows: off while any of them says so.
 */
extern void schedule_apply(const Site *site, TimestampTz moment, RelayMeter *meter, int n);

#endif
