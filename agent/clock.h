/*
 * clock.h
 *		Real, monotonic and business time, all in microseconds.
 *
 * Business time stamps readings, sets the poll grid and ends commands. It is real time unless the
 * database runs a clock: business = at + (real - real0) * rate. Time-outs and back-off never use
 * it.
 */
#ifndef PREPAYD_CLOCK_H
#define PREPAYD_CLOCK_H

#include <stdbool.h>
#include <stdint.h>

#define USEC_PER_SEC INT64_C(1000000)
#define USEC_PER_MSEC INT64_C(1000)
#define CLOCK_TEXT_SIZE 40

typedef struct Clock
{
	bool running; /* false: business time is real time */
	int64_t at;	  /* business time, microseconds since 1970-01-01 UTC, at real time `real` */
	int64_t real;
	int64_t rate_ppm; /* business microseconds per real second; 0: frozen */
} Clock;

int64_t clock_real(void);
int64_t clock_mono(void);

/* Business time of a moment of real time. Saturates instead of overflowing. */
int64_t clock_business_at(const Clock *clock, int64_t real);
int64_t clock_business(const Clock *clock);

/* Real microseconds until business time reaches `business`; 0 when past, -1 when it never does. */
int64_t clock_delay_until(const Clock *clock, int64_t business);

/* Real microseconds that `span` business microseconds last; -1 under a frozen clock. */
int64_t clock_real_span(const Clock *clock, int64_t span);

bool clock_equal(const Clock *a, const Clock *b);

/* ISO 8601 with zone (Z, +HH, +HH:MM) to microseconds; false if text is anything else. */
bool clock_parse(const char *text, int64_t *usec);

/* "2026-01-01T00:00:00.000001+00:00"; out must hold CLOCK_TEXT_SIZE. Returns out. */
const char *clock_format(int64_t usec, char *out);

#endif
