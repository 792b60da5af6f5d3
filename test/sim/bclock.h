/*
 * bclock.h: the business clock. Energy, recharges and time stamps follow it.
 *
 * Without a definition it is real time. "T@REAL*RATE" runs from T at the real instant REAL, RATE
 * business seconds to a real one; a lone "T" stands still. Instants are microseconds since
 * 1970-01-01 UTC.
 */
#ifndef SIM_BCLOCK_H
#define SIM_BCLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define BCLOCK_TEXT_MAX 64

typedef struct BusinessClock
{
	int64_t business_us; /* T */
	int64_t real_us;	 /* REAL */
	int64_t rate_ppm;	 /* business microseconds per 10^6 real ones */
	int utc_offset_s;	 /* zone in which days, half-hours and printed times are counted */
} BusinessClock;

/* Real time in the system's zone; T is the present instant. */
extern void bclock_real(BusinessClock *clock);

/* Parse a definition; the zone is that of T. False if it is malformed or RATE is negative. */
extern bool bclock_parse(const char *text, BusinessClock *clock);

/* The present business instant; never before T, where every register's history starts. */
extern int64_t bclock_now(const BusinessClock *clock);

/* ISO 8601 with microseconds in the clock's zone; buf holds BCLOCK_TEXT_MAX. */
extern const char *bclock_format(const BusinessClock *clock, int64_t instant_us, char *buf);

#endif
