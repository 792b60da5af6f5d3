/*
 * sample.c: from readings to samples of load and relay, and what follows from them.
 *
 *   reading, believed --sample_look--> sample --sample_finish--> relay:  mismatch.c
 *                                                                energy: flow.c
 *                                                                load:   load.c
 *
 * Two things tell the way of a reading that there is something to look at: the limits
 * (the meter's in meter_state, the site's, and the lowest cap of any schedule in force at
 * the reading's time, whomever it is for) and meter_state.watched, set as long as a run of
 * sightings or an alarm of the three is not settled. Both may say so in vain, never the
 * other way round; sample_finish goes by the meter's own facts.
 *
 * State is in meter_watch, one row for the few meters that ever had any, so a restart or a
 * dump changes nothing. It belongs to the meter_control row: whoever holds that may write
 * it. meter_state.watched is written with the meter's owner locked as well.
 *
 * Locks: accounts and meters of the statement are held, so the meter_control rows may be
 * taken in ascending order (lock.h). All of it commits with the readings or not at all.
 */
#include "sample.h"

#include "db.h"
#include "flow.h"
#include "load.h"
#include "mismatch.h"
#include "relay.h"
#include "schedule.h"

void
sample_begin(Samples *samples, const Site *site)
{
	memset(samples, 0, sizeof(*samples));
	samples->site = site;
	samples->site_w = (setting_micro(site, "power_limit_kw", 0) + 999) / 1000;
	samples->has_caps = schedule_has_caps(site);
	samples->has_limits = samples->site_w > 0 || samples->has_caps;
}

/* No limit of the meter can be lower at that time. */
static int64
lowest_limit(Samples *samples, const Meter *meter, TimestampTz at)
{
	if (samples->has_caps && (at < samples->cap_from || at >= samples->cap_until))
	{
		samples->cap_from = at;
		samples->cap_w = schedule_lowest_cap(samples->site, at, &samples->cap_until);
	}
	return overload_limit(meter->power_limit_w, samples->site_w, samples->cap_w);
}

static void
read_power(const Meter *meter, const Reading *reading, Sample *sample)
{
	int64 shown;

	sample->has_power = reading->has_kw && numeric_to_milli(reading->kw, &shown);
	if (!sample->has_power)
		return;
	sample->load_w = overload_load(shown, meter->ratio_e6, meter->reverse_add);
	sample->shown_w = overload_load(shown, 1000000, true);
}

/* Whatever the limit. */
static bool
is_news(const Sample *sample)
{
	return sample->meter->watched ||
		   (sample->open && (sample->wh > 0 || sample->shown_w >= MISMATCH_FLOW_W));
}

void
sample_look(Samples *samples, const Meter *meter, const Reading *reading, const RegisterStep *step)
{
	Sample sample = { .meter = meter,
					  .from = meter->has_register ? meter->last_read_at : DT_NOBEGIN,
					  .at = reading->read_at,
					  .relay = reading->relay_closed,
					  .open = meter->relay_closed == 0 };
	int64 limit;

	read_power(meter, reading, &sample);
	if (step->wh > 0 || step->reverse_wh > 0)
		sample.wh = accept_energy(meter, meter->register_wh, step) +
					accept_reverse_energy(meter, meter->reverse_wh, step);
	limit = meter->power_limit_w < 0 ? 0 : lowest_limit(samples, meter, sample.at);
	/* What is above in this statement is followed by what is below. */
	if (!is_news(&sample) && !(limit > 0 && sample.load_w > limit) &&
		(samples->n == 0 || samples->item[samples->n - 1].meter != meter))
		return;
	if (samples->n == samples->room)
	{
		samples->room = Max(32, samples->room * 2);
		samples->item = core_realloc(samples->item, sizeof(Sample) * samples->room);
	}
	samples->item[samples->n++] = sample;
}

/* What contradicts the side the relay was told; NULL: nothing. */
static const char *
contradiction(const RelayMeter *meter, const Sample *sample)
{
	if (meter->commanded == SIDE_OFF && sample->relay == 1)
		return "is found on";
	if (meter->commanded == SIDE_ON && sample->relay == 0)
		return "is found off";
	if (meter->commanded == SIDE_OFF && sample->has_power && sample->shown_w >= MISMATCH_FLOW_W)
		return "power flows through it";
	return NULL;
}

static void
judge_relay(const Site *site, RelayMeter *meter, const Sample *sample)
{
	const char *why = contradiction(meter, sample);

	if (why || (meter->watch.contrary.samples > 0 && (sample->relay >= 0 || sample->has_power)))
		mismatch_sighting(site, meter, why, sample->at);
}

static bool
judge_load(const Site *site, RelayMeter *meter, const Sample *sample, int64 poll_us)
{
	LoadSample load = { .at = sample->at,
						.load_w = sample->load_w,
						.limit_w = sample->limit_w,
						.cap_code = sample->cap_code,
						.relay_open = sample->open,
						.poll_us = poll_us };

	if (!sample->has_power && sample->limit_w > 0)
		return false;
	return load_sample(site, meter, &load);
}

/* The samples of one meter; its control row is locked. */
static void
judge_meter(const Site *site, RelayMeter *meter, const Sample *sample, int n, int64 poll_us)
{
	const MeterWatch *state = &meter->watch;
	bool changed = false;
	bool flowed = false;
	int i;

	for (i = 0; i < n; i++)
	{
		judge_relay(site, meter, &sample[i]);
		/* Of a reading that waits for a tariff the energy comes with a later one. */
		if (sample[i].at <= sample[i].meter->last_read_at)
			flowed |= flow_sample(site, meter, sample[i].from, sample[i].at, sample[i].wh);
		changed |= judge_load(site, meter, &sample[i], poll_us);
	}
	if (flowed)
		flow_tell(site, meter, DISPLAY_STEP_WH * sample->meter->ratio_e6 / 1000000);
	if (flowed || changed)
		meter_watch_save(site, meter->meter_id, &meter->watch);
	meter_watch_mark(site, meter->meter_id,
					 state->overload.run.samples > 0 || state->overload_limit_w > 0 ||
						 state->contrary.samples > 0 || state->flow_wh > 0);
}

/* Poll intervals of meters in order of their ids. */
static int64 *
poll_intervals(const Site *site, const int32 *meter_id, int n)
{
	static DbQuery query = {
		"SELECT COALESCE((extract(epoch FROM g.poll_interval) * 1000000)::bigint, $3)"
		" FROM prepay.meter m LEFT JOIN prepay.gateway g ON g.site_id = m.site_id"
		" AND g.gateway_id = m.gateway_id WHERE m.site_id = $1 AND m.meter_id = ANY ($2)"
		" ORDER BY m.meter_id",
		3,
		{ INT4OID, INT4ARRAYOID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n),
					 Int64GetDatum(setting_interval_us(site, "poll_interval", 0)) };
	int64 *poll_us = palloc(sizeof(int64) * n);
	int i;

	if (db_run(&query, args) != n)
		elog(ERROR, "a meter has gone");
	for (i = 0; i < n; i++)
		poll_us[i] = db_int64(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return poll_us;
}

static int
sampled_meters(const Samples *samples, int32 *meter_id, int32 *account_id)
{
	int n = 0;
	int i;

	for (i = 0; i < samples->n; i++)
	{
		const Meter *meter = samples->item[i].meter;

		if (n > 0 && meter_id[n - 1] == meter->meter_id)
			continue;
		meter_id[n] = meter->meter_id;
		account_id[n++] = meter->account_id;
	}
	return n;
}

static void
set_limit(const Samples *samples, const ScheduleCaps *caps, Sample *sample)
{
	int64 cap_w = caps ? schedule_cap(samples->site, caps, sample->at, &sample->cap_code) : 0;

	sample->limit_w = overload_limit(sample->meter->power_limit_w, samples->site_w, cap_w);
	if (sample->limit_w != cap_w)
		sample->cap_code = NULL;
}

/* Set the limits, and drop the meters that are below theirs and have nothing else to tell. */
static void
set_limits(Samples *samples)
{
	int32 *meter_id = palloc(sizeof(int32) * samples->n);
	int32 *account_id = palloc(sizeof(int32) * samples->n);
	int n = sampled_meters(samples, meter_id, account_id);
	ScheduleCaps *caps =
		samples->has_caps ? schedule_caps(samples->site, meter_id, account_id, n) : NULL;
	int kept = 0;
	int begin = 0;
	int end;
	int i;

	for (i = 0; i < n; i++, begin = end)
	{
		bool needed = false;

		for (end = begin; end < samples->n && samples->item[end].meter->meter_id == meter_id[i];
			 end++)
		{
			Sample *sample = &samples->item[end];

			set_limit(samples, caps ? &caps[i] : NULL, sample);
			needed |= is_news(sample) || (sample->limit_w > 0 && sample->load_w > sample->limit_w);
		}
		if (!needed)
			continue;
		memmove(samples->item + kept, samples->item + begin, sizeof(Sample) * (end - begin));
		kept += end - begin;
	}
	samples->n = kept;
}

static void
judge_all(const Samples *samples)
{
	int32 *meter_id = palloc(sizeof(int32) * samples->n);
	int32 *account_id = palloc(sizeof(int32) * samples->n);
	int n = sampled_meters(samples, meter_id, account_id);
	int64 *poll_us = poll_intervals(samples->site, meter_id, n);
	RelayMeter *meter;
	int begin = 0;
	int end;
	int i;

	if (relay_lock(samples->site, meter_id, n, &meter) != n)
		elog(ERROR, "a meter has no control row");
	for (i = 0; i < n; i++, begin = end)
	{
		for (end = begin; end < samples->n && samples->item[end].meter->meter_id == meter_id[i];
			 end++)
			;
		judge_meter(samples->site, &meter[i], samples->item + begin, end - begin, poll_us[i]);
	}
}

void
sample_finish(Samples *samples)
{
	if (samples->n == 0)
		return;
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	set_limits(samples);
	if (samples->n > 0)
		judge_all(samples);
	SPI_finish();
}
