/*
 * flow.h: the alarm supply_after_trip: energy that moves while the relay is to be open.
 *
 * It is counted between readings that both lie FLOW_SETTLE after the relay opened, for
 * registers lag; more than a display step of it is the alarm, which tells kWh and
 * money and is brought up to date by each reading. It ends when the relay is told to
 * close, or when the register stands still in FLOW_STILL_SAMPLES readings and for FLOW_QUIET.
 */
#ifndef PREPAY_FLOW_H
#define PREPAY_FLOW_H

#include "relay.h"

/* The relay was confirmed or seen open at a time. */
extern void flow_opened(const Site *site, RelayMeter *meter, TimestampTz at);
/* It is told to close, or may be closed as it was found: what flows is no news. */
extern void flow_closed(const Site *site, RelayMeter *meter);
/* Wh, after the ratio, moved between two readings. True: meter->watch has to be saved. */
extern bool flow_sample(const Site *site, RelayMeter *meter, TimestampTz from, TimestampTz to,
						int64 wh);
/* Raise the alarm of what has flowed, or bring it up to date. step_wh: a display step. */
extern void flow_tell(const Site *site, const RelayMeter *meter, int64 step_wh);
/*
 * What the account pays for the rated energy of the meter since a reading, and how many Wh
 * these are (flow_price.c). The meter has an account.
 */
extern int64 flow_price(const Site *site, const RelayMeter *meter, TimestampTz from, int64 *wh);

#endif
