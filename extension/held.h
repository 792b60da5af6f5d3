/*
 * held.h: readings that wait in reading_review, judged again after a person decided.
 *
 * The site's lock is held exclusively, so nobody rates meanwhile.
 */
#ifndef PREPAY_HELD_H
#define PREPAY_HELD_H

#include "postgres.h"

#include "accept.h"

typedef struct HeldReading
{
	Reading reading; /* with the value that counts */
	int64 review_id;
	const char *reason; /* as judged last; NULL: it fits now */
} HeldReading;

typedef struct HeldList
{
	int n;
	HeldReading *item; /* ascending */
	int64 by_total;	   /* review whose readings are judged by their totals alone; 0: none */
} HeldList;

/* The meter as it stands, locked by itself or with its account. */
extern Meter *held_meter(const Site *site, int32 meter_id);
/* Its held readings. */
extern void held_load(const Site *site, int32 meter_id, HeldList *held);
/* NULL when a reading fits, else why not; anew and day: see rerate_judge(). */
extern const char *held_judge(const Site *site, const Meter *meter, const Reading *reading,
							  bool anew, int32 *day);
/*
 * All held readings judged again in time order, each with the verdicts on those before
 * it; what fits now counts. first: the local day to rate again from, lowered.
 */
extern void held_judge_again(const Site *site, const Meter *meter, HeldList *held, int32 *first);
/*
 * Reviews whose readings all fit now are done; what is still held of the one that was
 * decided (0: none) waits in a review of its own.
 */
extern void held_sort_out(const Site *site, const Meter *meter, const HeldList *held,
						  int64 decided);
/* A review of which nothing is held any more is done. */
extern void held_close(const Site *site, int64 review_id, const char *verdict, const char *note);
/* Rate everybody whose energy lies around the day: the owners the meter has had since. */
extern void held_rate(const Site *site, int32 meter_id, int32 from_day);

#endif
