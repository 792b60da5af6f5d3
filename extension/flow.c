#include "flow.h"

#include "alarm.h"
#include "money.h"
#include "protect.h"

#define ALARM_KIND "supply_after_trip"
#define FLOW_SETTLE_US (120 * USECS_PER_SEC)
#define FLOW_QUIET_US (300 * USECS_PER_SEC)
#define FLOW_STILL_SAMPLES 5

void
flow_opened(const Site *site, RelayMeter *meter, TimestampTz at)
{
	if (meter->watch.open_since != DT_NOBEGIN)
		return;
	meter->watch.open_since = at;
	meter_watch_save(site, meter->meter_id, &meter->watch);
}

static void
forget(const Site *site, RelayMeter *meter)
{
	MeterWatch *watch = &meter->watch;

	if (watch->flow_wh != 0)
		(void) alarm_clear_meter(site, meter->meter_id, ALARM_KIND);
	watch->flow_wh = 0;
	watch->flow_still = 0;
	watch->flow_from = DT_NOBEGIN;
	watch->flow_last = DT_NOBEGIN;
}

void
flow_closed(const Site *site, RelayMeter *meter)
{
	if (meter->watch.open_since == DT_NOBEGIN)
		return;
	forget(site, meter);
	meter->watch.open_since = DT_NOBEGIN;
	meter_watch_save(site, meter->meter_id, &meter->watch);
}

bool
flow_sample(const Site *site, RelayMeter *meter, TimestampTz from, TimestampTz to, int64 wh)
{
	MeterWatch *watch = &meter->watch;

	if (watch->open_since == DT_NOBEGIN || from < watch->open_since + FLOW_SETTLE_US)
		return false;
	if (wh > 0)
	{
		if (watch->flow_wh == 0)
			watch->flow_from = from;
		watch->flow_wh += wh;
		watch->flow_last = to;
		watch->flow_still = 0;
		return true;
	}
	if (watch->flow_wh == 0)
		return false;
	watch->flow_still++;
	if (watch->flow_still >= FLOW_STILL_SAMPLES && to - watch->flow_last >= FLOW_QUIET_US)
		forget(site, meter);
	return true;
}

/* "6.000 kWh (6.78 CNY)": the rated energy and its cost; without account what the register moved.
 */
static char *
amount_text(const Site *site, const RelayMeter *meter)
{
	char kwh[MONEY_TEXT_MAX];
	char money[MONEY_TEXT_MAX];
	int64 wh;
	int64 minor;

	if (meter->account_id == 0)
	{
		minor_format(meter->watch.flow_wh, 3, kwh);
		return psprintf("%s kWh (of no account)", kwh);
	}
	minor = flow_price(site, meter, meter->watch.flow_from, &wh);
	minor_format(wh, 3, kwh);
	minor_format(minor, site->decimals, money);
	return psprintf("%s kWh (%s %s)", kwh, money, site->currency);
}

void
flow_tell(const Site *site, const RelayMeter *meter, int64 step_wh)
{
	const char *detail;

	if (meter->watch.flow_wh <= step_wh)
		return;
	detail = psprintf("%s have flowed since %s although the relay is to be open.",
					  amount_text(site, meter), protect_time_text(site, meter->watch.flow_from));
	if (alarm_raise_meter(site, meter->meter_id, ALARM_KIND, ALARM_CRITICAL, detail) == 0)
		alarm_retell_meter(site, meter->meter_id, ALARM_KIND, detail);
}
