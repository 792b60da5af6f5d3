/*
 * load.h: the alarm overload, trips by it and what ends them.
 *
 * Samples of load above the limit of their time, one after the other and each younger
 * than two poll intervals, trip a meter that the supply rule may switch; one that is
 * kept on, holds its own money or has no relay is only an alarm. The alarm ends with
 * a sample of no more than OVERLOAD_CLEAR_PERCENT of the limit while the relay is closed.
 */
#ifndef PREPAY_LOAD_H
#define PREPAY_LOAD_H

#include "relay.h"

typedef struct LoadSample
{
	TimestampTz at;
	int64 load_w;
	int64 limit_w;		  /* at that time; 0: none */
	const char *cap_code; /* the switching schedule it is by; NULL: meter's or site's own */
	bool relay_open;	  /* the load tells nothing */
	int64 poll_us;
} LoadSample;

/* True: meter->watch has to be saved. The supply follows; the meter's owner is locked. */
extern bool load_sample(const Site *site, RelayMeter *meter, const LoadSample *sample);
/* A person unlocks: the restores count from the beginning. */
extern void load_unlock(const Site *site, RelayMeter *meter);
/* The supply point gets another meter: locks and trips go with it. Both are locked. */
extern void load_hand_over(const Site *site, RelayMeter *from, RelayMeter *to);
/* Why it is off or locked, with kW, limit and time; a clause. */
extern char *load_reason(const Site *site, const RelayMeter *meter);

#endif
