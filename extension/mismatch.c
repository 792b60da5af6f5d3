#include "mismatch.h"

#include "alarm.h"

#define ALARM_KIND "relay_mismatch"

static const PersistRule rule = { .samples = 5,
								  .lasting_us = 120 * USECS_PER_SEC,
								  .quiet_us = 300 * USECS_PER_SEC };

static void
save(const Site *site, const RelayMeter *meter)
{
	meter_watch_save(site, meter->meter_id, &meter->watch);
}

/*
 * Nothing is judged while a command flies, nor by a reading from before the meter was
 * told. What was never told, or is wanted no more, contradicts nothing: a meter with its
 * own money may do as it likes once an order is taken back.
 */
static bool
is_judged(const RelayMeter *meter, TimestampTz at)
{
	bool confirmed =
		meter->acknowledged == meter->commanded && meter->acknowledged_at >= meter->commanded_at;

	return meter->commanded != SIDE_NONE && meter->flying_id == 0 &&
		   at >= (confirmed ? meter->acknowledged_at : meter->commanded_at);
}

void
mismatch_sighting(const Site *site, RelayMeter *meter, const char *why, TimestampTz at)
{
	PersistRun *run = &meter->watch.contrary;

	if (!is_judged(meter, at))
		return;
	if (why && meter->desired == meter->commanded)
	{
		persist_see(run, &rule, at);
		save(site, meter);
		meter_watch_mark(site, meter->meter_id, true);
		if (persist_counts(run, &rule))
			(void) alarm_raise_meter(site, meter->meter_id, ALARM_KIND, ALARM_CRITICAL,
									 psprintf("The relay was switched %s, but %s.",
											  supply_side_name(meter->commanded), why));
	}
	else if (!persist_counts(run, &rule) || persist_is_over(run, &rule, at))
		mismatch_forget(site, meter);
}

void
mismatch_refused(const Site *site, RelayMeter *meter, const char *detail)
{
	(void) alarm_raise_meter(site, meter->meter_id, ALARM_KIND, ALARM_CRITICAL, detail);
	persist_see(&meter->watch.contrary, &rule, site->now);
	save(site, meter);
	meter_watch_mark(site, meter->meter_id, true);
}

void
mismatch_forget(const Site *site, RelayMeter *meter)
{
	(void) alarm_clear_meter(site, meter->meter_id, ALARM_KIND);
	if (meter->watch.contrary.samples == 0)
		return;
	meter->watch.contrary.samples = 0;
	save(site, meter);
}
