/*
 * sample.h: what a reading says besides energy: power and relay.
 *
 * The way of a reading has one test: a meter without limit, with its relay closed and
 * nothing unsettled is not looked at. What is looked at is collected, and judged when the
 * statement's money is settled, a few queries for all of it.
 */
#ifndef PREPAY_SAMPLE_H
#define PREPAY_SAMPLE_H

#include "accept.h"
#include "state.h"

typedef struct Sample
{
	const Meter *meter;
	TimestampTz from; /* the reading before; DT_NOBEGIN: none */
	TimestampTz at;
	int64 wh;			  /* moved since, after the ratio */
	bool has_power;		  /* the next two are known */
	int64 shown_w;		  /* as displayed, without sign */
	int64 load_w;		  /* after the ratio */
	int relay;			  /* -1 not read, 0 open, 1 closed */
	bool open;			  /* the relay, as last known */
	int64 limit_w;		  /* at its time, 0: none; known by sample_finish */
	const char *cap_code; /* of the schedule it is by; NULL: the meter's or the site's own */
} Sample;

/* Of one statement. */
typedef struct Samples
{
	const Site *site;
	bool has_limits; /* any meter may have one */
	bool has_caps;
	int64 site_w; /* limit of meters without their own; 0: none */
	int64 cap_w;  /* the lowest cap of any schedule over the time below; 0: none */
	TimestampTz cap_from;
	TimestampTz cap_until;
	int n;
	int room;
	Sample *item; /* by meter and time */
} Samples;

extern void sample_begin(Samples *samples, const Site *site);
/* Judge what was collected. The owners of the meters are locked; entries have been written. */
extern void sample_finish(Samples *samples);

extern void sample_look(Samples *samples, const Meter *meter, const Reading *reading,
						const RegisterStep *step);

/* A believed reading, later than the one before it, which is still the meter's last. */
static inline void
sample_reading(Samples *samples, const Meter *meter, const Reading *reading,
			   const RegisterStep *step)
{
	if (meter->watched || meter->relay_closed == 0 || meter->power_limit_w > 0 ||
		(samples->has_limits && meter->power_limit_w == 0))
		sample_look(samples, meter, reading, step);
}

#endif
