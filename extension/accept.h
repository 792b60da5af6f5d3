/*
 * accept.h: whether a register value is believed.
 *
 * A suspect value is stored, charges nothing, never becomes the baseline and
 * waits in reading_review; the statement that brought it succeeds.
 */
#ifndef PREPAY_ACCEPT_H
#define PREPAY_ACCEPT_H

#include "postgres.h"

#include "state.h"
#include "tou.h"

/* A register moves in display steps: short intervals may show one step more than was used. */
#define DISPLAY_STEP_WH 100

/* One row of prepay.reading, registers in 10^-3 kWh as displayed. */
typedef struct Reading
{
	int32 site_id;
	int32 meter_id;
	TimestampTz read_at;
	int64 wh;
	int64 reverse_wh; /* -1: not read */
	TouRegisters tou;
	bool has_kw;
	Datum kw;
	int relay_closed; /* -1 not read, 0 open, 1 closed */
	const void *row;  /* reading_encode(), row_bytes long */
	int row_bytes;
} Reading;

/* How much the registers moved between two believed readings. */
typedef struct RegisterStep
{
	int64 wh; /* forward, as displayed, unwrapped */
	int64 reverse_wh;
	bool rollover;
} RegisterStep;

/* What one reading alone shows: NULL, or "negative", "over_modulus", "future". */
extern const char *accept_value(const Site *site, const Meter *meter, const Reading *reading,
								int64 drift_limit_us);
/*
 * The step from an earlier believed value: NULL, or "fall", "spike" or, where reverse
 * energy counts, "reverse_fall". Without rated power nothing is a spike and a fall is
 * never a rollover.
 */
extern const char *accept_step(const Meter *meter, TimestampTz from, int64 from_wh,
							   int64 from_reverse_wh, TimestampTz to, int64 to_wh,
							   int64 to_reverse_wh, int64 spike_margin_e6, RegisterStep *step);

/* "period_sum" when time-of-use registers moved by another sum than the total; else NULL. */
extern const char *accept_periods(const Site *site, const Meter *meter, const TouRegisters *from,
								  TimestampTz to_time, const TouRegisters *to,
								  const RegisterStep *step);

/* For the person who reviews it: the values and what they were measured against. */
extern const char *accept_detail(const Meter *meter, const Reading *reading, const char *reason);

/*
 * Register steps to charged Wh with the ratio, forward and reverse; telescopes, so no
 * read frequency loses a Wh.
 */
extern int64 accept_energy(const Meter *meter, int64 from_wh, const RegisterStep *step);
extern int64 accept_reverse_energy(const Meter *meter, int64 from_reverse_wh,
								   const RegisterStep *step);

/*
 * Hold a reading: one open review per meter and reason, later readings attach to
 * it; raises the meter's suspect alarm, which the last review to be resolved clears.
 */
extern void accept_hold(const Site *site, int32 meter_id, TimestampTz read_at, int64 wh,
						const char *reason, const char *mark, const char *detail);
/* Clear the suspect alarm when the meter has no open review any more. */
extern void accept_alarm_settle(const Site *site, int32 meter_id);

#endif
