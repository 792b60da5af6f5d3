/*
 * meter_clock.h: meters' own clocks: alarm and correction by policy.
 */
#ifndef PREPAY_METER_CLOCK_H
#define PREPAY_METER_CLOCK_H

#include "site.h"

/*
 * Compare the clocks that were read last with the times of reading: alarm clock_drift past
 * setting clock_drift_alarm, command set_clock by the settings clock_correct_*. Returns the
 * number of commands queued. Takes no locks but those of the rows it inserts.
 */
extern int meter_clock_check(const Site *site);

#endif
