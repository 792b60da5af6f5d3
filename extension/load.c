#include "load.h"

#include "alarm.h"
#include "decide.h"
#include "money.h"
#include "protect.h"

#define ALARM_KIND "overload"

static OverloadRule
rule_of(const Site *site, int64 poll_us)
{
	OverloadRule rule = {
		.run = { .samples = (int) (setting_micro(site, "overload_samples", 1000000) / 1000000),
				 .lasting_us = setting_interval_us(site, "overload_duration", 0),
				 .gap_us = 2 * poll_us },
		.restore_us = setting_interval_us(site, "overload_restore_delay", 0),
		.restores = (int) (setting_micro(site, "overload_restores", 0) / 1000000),
	};

	return rule;
}

static char *
kw_text(int64 w)
{
	char *text = palloc(MONEY_TEXT_MAX);

	minor_format(w, 3, text);
	return text;
}

/* Why the load of a meter is an alarm only; NULL: it can be tripped. */
static const char *
untouchable(const RelayMeter *meter)
{
	if (meter->order == ORDER_KEEP_ON)
		return "it is kept on by order";
	if (!meter->is_server)
		return "it holds its own money and its own limit";
	if (!meter->is_reachable || !meter->can_trip)
		return "it cannot be switched from here";
	if (meter->desired == SIDE_OFF)
		return "it is to be off already";
	return NULL;
}

static char *
consequence(const Site *site, const RelayMeter *meter, const OverloadRule *rule)
{
	const OverloadState *state = &meter->watch.overload;
	const char *why = untouchable(meter);

	if (why)
		return pstrdup(why);
	if (state->locked)
		return pstrdup("its restores are used up, it is off until it is unlocked");
	return psprintf("it is off until %s, restore %d of %d", protect_time_text(site, state->until),
					state->trips, rule->restores);
}

/* One alarm from the first trip on; being locked is another, for it takes a person. */
static void
tell(const Site *site, const RelayMeter *meter, const LoadSample *sample, const OverloadRule *rule)
{
	bool locked = meter->watch.overload.locked;
	const char *detail =
		psprintf("The load of %s kW at %s is above the limit of %s kW%s%s: %s.",
				 kw_text(sample->load_w), protect_time_text(site, sample->at),
				 kw_text(sample->limit_w), sample->cap_code ? " by schedule " : "",
				 sample->cap_code ? sample->cap_code : "", consequence(site, meter, rule));

	if (locked)
		(void) alarm_clear_meter(site, meter->meter_id, ALARM_KIND);
	if (alarm_raise_meter(site, meter->meter_id, ALARM_KIND,
						  locked ? ALARM_CRITICAL : ALARM_WARNING, detail) == 0)
		alarm_retell_meter(site, meter->meter_id, ALARM_KIND, detail);
}

static bool
sample_above(const Site *site, RelayMeter *meter, const LoadSample *sample)
{
	MeterWatch *watch = &meter->watch;
	OverloadRule rule = rule_of(site, sample->poll_us);
	bool trips;
	bool news;

	if (!overload_is_fresh(sample->at, site->now, sample->poll_us))
		return false;
	persist_see(&watch->overload.run, &rule.run, sample->at);
	if (!persist_counts(&watch->overload.run, &rule.run))
		return true; /* to be saved */
	trips = untouchable(meter) == NULL;
	news = trips || watch->overload_limit_w == 0;
	watch->overload_w = sample->load_w;
	watch->overload_limit_w = sample->limit_w;
	if (trips)
		overload_trip(&watch->overload, &rule, site->now);
	if (news)
		tell(site, meter, sample, &rule);
	meter_watch_save(site, meter->meter_id, watch);
	if (trips)
		decide_locked_meter(site, meter, 0);
	return false;
}

static bool
sample_below(const Site *site, RelayMeter *meter, const LoadSample *sample)
{
	MeterWatch *watch = &meter->watch;
	bool changed = watch->overload.run.samples > 0;

	watch->overload.run.samples = 0;
	if (watch->overload_limit_w > 0 && !sample->relay_open &&
		(sample->limit_w == 0 || overload_is_low(sample->load_w, sample->limit_w)))
	{
		(void) alarm_clear_meter(site, meter->meter_id, ALARM_KIND);
		watch->overload_limit_w = 0;
		changed = true;
	}
	return changed;
}

bool
load_sample(const Site *site, RelayMeter *meter, const LoadSample *sample)
{
	const OverloadState *state = &meter->watch.overload;

	/* Off by overload: no load is not less of it. */
	if (!meter->is_prepaid || state->locked || state->until > site->now)
		return false;
	if (sample->limit_w > 0 && sample->load_w > sample->limit_w)
		return sample_above(site, meter, sample);
	return sample_below(site, meter, sample);
}

void
load_unlock(const Site *site, RelayMeter *meter)
{
	OverloadState *state = &meter->watch.overload;

	if (!state->locked && state->trips == 0)
		return;
	state->locked = false;
	state->trips = 0;
	state->until = DT_NOBEGIN;
	state->run.samples = 0;
	meter_watch_save(site, meter->meter_id, &meter->watch);
}

void
load_hand_over(const Site *site, RelayMeter *from, RelayMeter *to)
{
	if (from->watch.overload.trips > 0)
	{
		to->watch.overload = from->watch.overload;
		to->watch.overload_w = from->watch.overload_w;
		to->watch.overload_limit_w = from->watch.overload_limit_w;
		meter_watch_save(site, to->meter_id, &to->watch);
		meter_watch_mark(site, to->meter_id, true);
		if (from->watch.overload.locked)
			(void) alarm_raise_meter(
				site, to->meter_id, ALARM_KIND, ALARM_CRITICAL,
				psprintf("Taken over from meter \"%s\": %s.", from->code, load_reason(site, from)));
	}
	(void) alarm_clear_meter(site, from->meter_id, ALARM_KIND);
	from->watch.overload_limit_w = 0;
	load_unlock(site, from);
}

char *
load_reason(const Site *site, const RelayMeter *meter)
{
	const MeterWatch *watch = &meter->watch;
	const OverloadState *state = &watch->overload;
	char *load =
		psprintf("the load of %s kW at %s was above the limit of %s kW", kw_text(watch->overload_w),
				 protect_time_text(site, state->trip_at), kw_text(watch->overload_limit_w));

	if (state->locked)
		return psprintf("the meter is locked: its restores after overload are used up, %s", load);
	return psprintf("%s, off until %s", load, protect_time_text(site, state->until));
}
