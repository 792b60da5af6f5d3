/*
 * contact.c
 *		Contact state of gateways and meters: unknown, ok or lost.
 *
 * One success is contact; loss takes several failures and time, since a single lost frame on a line
 * with hundreds of meters is daily routine and an alarm is not.
 */
#include "contact.h"

#include "liaison.h"
#include "log.h"
#include "topology.h"

/* Two failures happen by chance on a busy RS-485 line, three in a row do not. */
#define FAILURES_TO_LOSE 3
/* A gateway that restarts between two polls must not raise an alarm at one-second intervals only.
 */
#define INTERVALS_TO_LOSE 2
#define PROBE_PAUSE_MAX (300 * USEC_PER_SEC)
/* Under a running clock 300 real seconds may be months: probe at least each 8th grid point. */
#define PROBE_GRID_POINTS 8

static void
contact_change(Agent *agent, Contact *contact, ContactState state, int64_t since, const char *kind,
			   const char *code)
{
	char stamp[CLOCK_TEXT_SIZE];

	contact->state = state;
	contact->since = since;
	contact->unreported = true;
	log_event(state == CONTACT_OK ? LEVEL_INFO : LEVEL_WARN,
			  state == CONTACT_OK ? "contact_ok" : "contact_lost", "%s=%s since=%s", kind,
			  log_value(code), clock_format(since, stamp));
	liaison_contact_changed(agent);
}

static void
contact_ok(Agent *agent, Contact *contact, const char *kind, const char *code)
{
	contact->failures = 0;
	if (contact->state != CONTACT_OK)
		contact_change(agent, contact, CONTACT_OK, clock_business(&agent->clock), kind, code);
}

static void
contact_failed(Agent *agent, Contact *contact, int64_t interval, const char *kind, const char *code)
{
	int64_t now = clock_business(&agent->clock);

	if (contact->failures++ == 0)
		contact->first_failure = now;
	if (contact->state != CONTACT_LOST && contact->failures >= FAILURES_TO_LOSE &&
		now - contact->first_failure >= INTERVALS_TO_LOSE * interval)
		contact_change(agent, contact, CONTACT_LOST, contact->first_failure, kind, code);
}

void
contact_meter_ok(Meter *meter)
{
	meter->probe_pause = 0;
	meter->probe_skipped = 0;
	contact_ok(meter->gateway->agent, &meter->contact, "meter", meter->code);
}

void
contact_meter_silent(Meter *meter)
{
	Agent *agent = meter->gateway->agent;
	int64_t first = clock_real_span(&agent->clock, meter->gateway->interval);

	contact_failed(agent, &meter->contact, meter->gateway->interval, "meter", meter->code);
	if (meter->contact.state != CONTACT_LOST)
		return;
	if (meter->probe_pause == 0)
		meter->probe_pause = first > USEC_PER_SEC ? first : USEC_PER_SEC;
	else
		meter->probe_pause *= 2;
	if (meter->probe_pause > PROBE_PAUSE_MAX)
		meter->probe_pause = PROBE_PAUSE_MAX;
	meter->probe_at = clock_mono() + meter->probe_pause;
	meter->probe_skipped = 0;
}

void
contact_gateway_ok(Gateway *gateway)
{
	contact_ok(gateway->agent, &gateway->contact, "gateway", gateway->code);
}

void
contact_gateway_silent(Gateway *gateway)
{
	contact_failed(gateway->agent, &gateway->contact, gateway->interval, "gateway", gateway->code);
}

bool
contact_meter_due(Meter *meter)
{
	if (meter->contact.state != CONTACT_LOST || clock_mono() >= meter->probe_at)
		return true;
	return meter->gateway->agent->clock.running && ++meter->probe_skipped >= PROBE_GRID_POINTS;
}
