/*
 * clock.h: the business clock. Every "now" that touches money comes from here.
 */
#ifndef PREPAY_CLOCK_H
#define PREPAY_CLOCK_H

#include "postgres.h"

#include "utils/timestamp.h"

typedef struct Clock
{
	bool is_set;	  /* false: business time is real time */
	TimestampTz at;	  /* business time ... */
	TimestampTz real; /* ... at this real time */
	int64 rate_e6;	  /* business microseconds per real second; 0: frozen */
} Clock;

extern void clock_init(void); /* define the setting; from _PG_init */
extern const Clock *clock_setting(void);
extern TimestampTz clock_now(void); /* of the present transaction */
extern TimestampTz clock_from_real(TimestampTz real);

#endif
