/*
 * overload.h: load above a limit, supply off for a while, back, and locked in the end: a
 * pure function of samples and times.
 *
 *   load above the limit in enough samples  ->  trip: off until restore_us later
 *   that time comes                         ->  supply again, no sample needed: power reads 0 while
 * off one trip more than `restores`           ->  locked until a person unlocks OVERLOAD_FORGET_US
 * without a trip       ->  the restores count from the beginning
 */
#ifndef PREPAY_OVERLOAD_H
#define PREPAY_OVERLOAD_H

#include "persist.h"

#define OVERLOAD_FORGET_US (INT64_C(24) * 3600 * 1000000)
#define OVERLOAD_CLEAR_PERCENT 90 /* at or below so much of the limit the alarm is over */

typedef struct OverloadRule
{
	PersistRule run;
	int64_t restore_us;
	int restores; /* before it is locked */
} OverloadRule;

typedef struct OverloadState
{
	PersistRun run;	 /* samples above the limit */
	int trips;		 /* not forgotten yet */
	int64_t trip_at; /* of the last one */
	int64_t until;	 /* off before this time; INT64_MIN: never tripped */
	bool locked;
} OverloadState;

/* The lowest of the meter's own limit, else the site's, and the cap in force; W, 0: none. */
extern int64_t overload_limit(int64_t own_w, int64_t site_w, int64_t cap_w);
/* Displayed power in W to the load in W; reverse power is load where reverse energy is charged. */
extern int64_t overload_load(int64_t displayed_w, int64_t ratio_e6, bool reverse_counts);
extern bool overload_is_low(int64_t load_w, int64_t limit_w);
/* Whether a sample may count: younger than two poll intervals. */
extern bool overload_is_fresh(int64_t at, int64_t now, int64_t poll_us);
/* Trips that count against the restores at a time. */
extern int overload_trips(const OverloadState *state, int64_t now);
/* The load was above the limit for long enough: off, or locked when the restores are used up. */
extern void overload_trip(OverloadState *state, const OverloadRule *rule, int64_t now);

#endif
