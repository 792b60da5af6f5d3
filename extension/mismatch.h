/*
 * mismatch.h: the alarm relay_mismatch: a relay that is not where it was told to be.
 *
 * Meters show the old state, or no power, for a while after they have switched, so the
 * contradiction has to be seen MISMATCH_SAMPLES times over MISMATCH_LASTING, and to be
 * gone for MISMATCH_QUIET before the alarm ends (reference/domain.md, 3.11). Nothing is sent:
 * that a relay found elsewhere is told again is the business of decide.c.
 */
#ifndef PREPAY_MISMATCH_H
#define PREPAY_MISMATCH_H

#include "relay.h"

/* Displayed power from which a relay that says it is open is not: above what meters show at rest.
 */
#define MISMATCH_FLOW_W 10

/*
 * What a reading or a command's read-back shows against what the relay was told. why: what
 * contradicts, a clause; NULL: nothing. The meter's owner is locked.
 */
extern void mismatch_sighting(const Site *site, RelayMeter *meter, const char *why, TimestampTz at);
/* The meter itself, or all attempts to switch it, said no: raised at once. detail: a sentence. */
extern void mismatch_refused(const Site *site, RelayMeter *meter, const char *detail);
/* The relay is about to be told another side: what was seen before counts no more. */
extern void mismatch_forget(const Site *site, RelayMeter *meter);

#endif
