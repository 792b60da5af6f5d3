/*
 * persist.h: how long a thing has to be seen before it counts.
 *
 * What meters show flickers: one reading proves nothing. A run is the sightings of a
 * thing one after the other, in time; whoever sees the opposite ends it.
 */
#ifndef PREPAY_PERSIST_H
#define PREPAY_PERSIST_H

#include "core.h"

typedef struct PersistRule
{
	int samples;		/* at least so many sightings */
	int64_t lasting_us; /* the first and the last so far apart; 0: any time */
	int64_t gap_us;		/* none so long after the one before it; 0: any time */
	int64_t quiet_us;	/* over when nothing was seen for so long */
} PersistRule;

typedef struct PersistRun
{
	int samples; /* 0: nothing is being seen */
	int64_t since;
	int64_t last;
} PersistRun;

/* Seen once more; what is not later than the last sighting is passed over. */
extern void persist_see(PersistRun *run, const PersistRule *rule, int64_t at);
/* Whether it counts by now. */
extern bool persist_counts(const PersistRun *run, const PersistRule *rule);
/* Whether the opposite, seen at a time, ends what counted. */
extern bool persist_is_over(const PersistRun *run, const PersistRule *rule, int64_t at);

#endif
