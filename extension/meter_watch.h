/*
 * meter_watch.h: rows of meter_watch: what readings have shown of a meter's load and
 * relay and is not settled. Protected by the meter_control row, loaded with it (relay.h).
 */
#ifndef PREPAY_METER_WATCH_H
#define PREPAY_METER_WATCH_H

#include "site.h"

#include "overload.h"

/* Times are DT_NOBEGIN where there is none. */
typedef struct MeterWatch
{
	OverloadState overload;
	int64 overload_w;		/* load of the last sample above the limit */
	int64 overload_limit_w; /* limit it was above; not 0 as long as the alarm is active */
	PersistRun contrary;	/* sightings of a relay that is not where it was told to be */
	TimestampTz open_since; /* the relay is to be open, and was seen or confirmed so */
	TimestampTz flow_from;	/* energy has moved since this reading nevertheless */
	TimestampTz flow_last;	/* last reading that showed more of it */
	int64 flow_wh;
	int flow_still; /* readings since then that showed no more */
} MeterWatch;

/* Columns to select with a left join of meter_watch as w. */
#define METER_WATCH_COLUMNS                                                                         \
	"w.over_samples, w.over_since, w.over_last, w.overload_w, w.overload_limit_w, w.overload_at,"   \
	" w.overload_until, w.overload_trips, w.overload_locked, w.contrary_samples, w.contrary_since," \
	" w.contrary_last, w.open_since, w.flow_from, w.flow_last, w.flow_wh, w.flow_still"

/* The columns from `column` on of a row of the last result. */
extern void meter_watch_read(uint64 row, int column, MeterWatch *watch);
extern void meter_watch_save(const Site *site, int32 meter_id, const MeterWatch *watch);
/* Each reading of the meter is to be looked at from now on; its owner is locked. */
extern void meter_watch_mark(const Site *site, int32 meter_id, bool watched);

#endif
