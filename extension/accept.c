#include "accept.h"

#include "utils/builtins.h"

#include "alarm.h"
#include "db.h"
#include "retention.h"

#define USECS_PER_HOUR_E6 (INT64CONST(3600) * 1000000)

const char *
accept_value(const Site *site, const Meter *meter, const Reading *reading, int64 drift_limit_us)
{
	int i;

	if (reading->wh < 0 || (reading->reverse_wh < 0 && reading->reverse_wh != -1))
		return "negative";
	for (i = 0; i < reading->tou.n; i++)
		if (reading->tou.wh[i] < 0)
			return "negative";
	if (meter->register_max_wh > 0 && reading->wh >= meter->register_max_wh)
		return "over_modulus";
	if (reading->read_at > site->now + drift_limit_us)
		return "future";
	if (reading->read_at < site->kept_from)
		return RETENTION_REASON;
	return NULL;
}

/* Wh (after the ratio) the meter could have measured in a time; only with rated power. */
static bool
plausible(const Meter *meter, int64 step_wh, int64 elapsed_us, int64 margin_e6)
{
	__int128 limit = (__int128) meter->rated_w * elapsed_us / USECS_PER_HOUR_E6 * margin_e6;
	__int128 measured = (__int128) step_wh * meter->ratio_e6;

	return measured <= limit + (__int128) DISPLAY_STEP_WH * meter->ratio_e6;
}

const char *
accept_step(const Meter *meter, TimestampTz from, int64 from_wh, int64 from_reverse_wh,
			TimestampTz to, int64 to_wh, int64 to_reverse_wh, int64 spike_margin_e6,
			RegisterStep *step)
{
	step->rollover = to_wh < from_wh;
	step->wh = to_wh - from_wh;
	step->reverse_wh = 0;
	if (step->rollover)
	{
		step->wh += meter->register_max_wh;
		if (meter->register_max_wh == 0 || meter->rated_w == 0 ||
			!plausible(meter, step->wh, to - from, spike_margin_e6))
			return "fall";
	}
	else if (meter->rated_w > 0 && !plausible(meter, step->wh, to - from, spike_margin_e6))
		return "spike";
	if (meter->reverse_add && from_reverse_wh >= 0 && to_reverse_wh >= 0)
	{
		if (to_reverse_wh < from_reverse_wh)
			return "reverse_fall";
		step->reverse_wh = to_reverse_wh - from_reverse_wh;
	}
	return NULL;
}

const char *
accept_periods(const Site *site, const Meter *meter, const TouRegisters *from, TimestampTz to_time,
			   const TouRegisters *to, const RegisterStep *step)
{
	TouMap map;

	if (from->n == 0 || to->n == 0)
		return NULL;
	map = tou_map_at(site, meter->meter_id, to_time);
	return tou_contradicts(&map, from, to, step->wh, meter->register_max_wh) ? "period_sum" : NULL;
}

static int64
scaled(int64 register_wh, int64 ratio_e6)
{
	int64 wh;

	if (!div_round_half_away((__int128) register_wh * ratio_e6, 1000000, &wh))
		out_of_range("energy");
	return wh;
}

int64
accept_energy(const Meter *meter, int64 from_wh, const RegisterStep *step)
{
	return scaled(from_wh + step->wh, meter->ratio_e6) - scaled(from_wh, meter->ratio_e6);
}

int64
accept_reverse_energy(const Meter *meter, int64 from_reverse_wh, const RegisterStep *step)
{
	if (!meter->reverse_add || step->reverse_wh <= 0)
		return 0;
	return scaled(from_reverse_wh + step->reverse_wh, meter->ratio_e6) -
		   scaled(from_reverse_wh, meter->ratio_e6);
}

const char *
accept_detail(const Meter *meter, const Reading *reading, const char *reason)
{
	char value[MONEY_TEXT_MAX];
	char last[MONEY_TEXT_MAX];

	minor_format(reading->wh, 3, value);
	if (!meter->has_register)
		return psprintf("%s kWh (%s); the meter has no believed reading yet.", value, reason);
	minor_format(meter->register_wh, 3, last);
	return psprintf("%s kWh (%s); last believed %s kWh at %s.", value, reason, last,
					timestamptz_to_str(meter->last_read_at));
}

void
accept_hold(const Site *site, int32 meter_id, TimestampTz read_at, int64 wh, const char *reason,
			const char *mark, const char *detail)
{
	static DbQuery review = {
		"INSERT INTO prepay.reading_review AS r (site_id, meter_id, read_at, reason, last_read_at,"
		" kwh, detail, opened_at) VALUES ($1, $2, $3, $4, $3, $5, $6, $7)"
		" ON CONFLICT (site_id, meter_id, reason) WHERE status = 'open' DO UPDATE SET"
		" readings = r.readings + 1, last_read_at = greatest(r.last_read_at, EXCLUDED.read_at)"
		" RETURNING review_id",
		7,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID }
	};
	static DbQuery store = {
		"INSERT INTO prepay.reading_mark (site_id, meter_id, read_at, mark, review_id)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING",
		5,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),	Int32GetDatum(meter_id),
					 TimestampTzGetDatum(read_at),	CStringGetTextDatum(reason),
					 minor_numeric(wh, 3),			CStringGetTextDatum(detail),
					 TimestampTzGetDatum(site->now) };
	Datum mark_args[] = { args[0], args[1], args[2], CStringGetTextDatum(mark), (Datum) 0 };

	db_run(&review, args);
	mark_args[4] = Int64GetDatum(db_int64(0, 1));
	db_run(&store, mark_args);
	alarm_raise_meter(site, meter_id, "suspect", ALARM_WARNING, detail);
}

void
accept_alarm_settle(const Site *site, int32 meter_id)
{
	static DbQuery open = {
		"SELECT 1 FROM prepay.reading_review WHERE site_id = $1 AND meter_id = $2"
		" AND status = 'open' LIMIT 1",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&open, args) == 0)
		alarm_clear_meter(site, meter_id, "suspect");
}
