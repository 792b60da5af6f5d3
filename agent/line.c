/*
 * line.c
 *		The connection that the gateways of one address share.
 */
#include "line.h"

#include "buf.h"
#include "log.h"
#include "poll.h"

#include <stdlib.h>
#include <string.h>

#define MAX_BACKOFF_US (60 * USEC_PER_SEC)
/* Under a running clock a minute may be a day: then at most this many poll intervals. */
#define MAX_BACKOFF_INTERVALS 8
#define MIN_MAX_BACKOFF_US (250 * USEC_PER_MSEC)

static void
line_failed(void *arg, const char *reason)
{
	(void) reason;
	for (Gateway *gateway = ((Line *) arg)->gateways; gateway; gateway = gateway->next_on_line)
		contact_gateway_silent(gateway);
}

static void
line_restored(void *arg)
{
	for (Gateway *gateway = ((Line *) arg)->gateways; gateway; gateway = gateway->next_on_line)
		poll_catch_up(gateway);
}

static void
line_heard(void *arg)
{
	for (Gateway *gateway = ((Line *) arg)->gateways; gateway; gateway = gateway->next_on_line)
		contact_gateway_ok(gateway);
}

static BusLimits
line_limits(const Line *line)
{
	BusLimits limits = { LINE_CONNECT_TIMEOUT_MS, 0, MAX_BACKOFF_US };

	for (const Gateway *gateway = line->gateways; gateway; gateway = gateway->next_on_line)
	{
		int64_t interval = clock_real_span(&line->agent->clock, gateway->interval);

		limits.connect_timeout_ms = gateway->options.connect_timeout_ms;
		if (gateway->options.gap_ms > limits.gap_ms)
			limits.gap_ms = gateway->options.gap_ms;
		for (int i = 0; i < gateway->meter_count; i++)
		{
			const Profile *profile = gateway->meters[i]->profile;

			if (profile && profile->gap_ms > limits.gap_ms)
				limits.gap_ms = profile->gap_ms;
		}
		if (line->agent->clock.running && interval >= 0 &&
			interval < limits.max_backoff_us / MAX_BACKOFF_INTERVALS)
			limits.max_backoff_us = interval * MAX_BACKOFF_INTERVALS;
	}
	if (limits.max_backoff_us < MIN_MAX_BACKOFF_US)
		limits.max_backoff_us = MIN_MAX_BACKOFF_US;
	return limits;
}

void
line_refresh_limits(Agent *agent)
{
	for (Line *line = agent->topology->lines; line; line = line->next)
	{
		BusLimits limits = line_limits(line);

		bus_set_limits(line->bus, &limits);
	}
}

static Line *
line_for(Agent *agent, const char *address)
{
	BusLimits limits = { LINE_CONNECT_TIMEOUT_MS, 0, MAX_BACKOFF_US };
	BusHooks hooks = { line_failed, line_restored, line_heard, NULL };
	Line *line;

	for (line = agent->topology->lines; line; line = line->next)
	{
		if (strcmp(bus_address(line->bus), address) == 0)
			return line;
	}
	line = mem_alloc0(sizeof(*line));
	line->agent = agent;
	hooks.arg = line;
	line->bus = bus_new(agent->base, agent->names, address, &limits, &hooks);
	if (!line->bus)
	{
		free(line);
		return NULL;
	}
	line->next = agent->topology->lines;
	agent->topology->lines = line;
	return line;
}

void
line_leave(Gateway *gateway)
{
	Gateway **link;

	if (!gateway->line)
		return;
	for (link = &gateway->line->gateways; *link != gateway; link = &(*link)->next_on_line)
		;
	*link = gateway->next_on_line;
	gateway->line = NULL;
	gateway->next_on_line = NULL;
}

void
line_join(Gateway *gateway)
{
	if (strcmp(gateway->transport, "tcp") != 0)
	{
		log_event(LEVEL_ERROR, "transport_not_supported",
				  "gateway=%s transport=%s hint=\"this version reads tcp gateways only\"",
				  log_value(gateway->code), log_value(gateway->transport));
		return;
	}
	gateway->line = line_for(gateway->agent, gateway->address);
	if (!gateway->line)
	{
		log_event(LEVEL_ERROR, "address_faulty", "gateway=%s address=%s hint=\"use host:port\"",
				  log_value(gateway->code), log_value(gateway->address));
		return;
	}
	gateway->next_on_line = gateway->line->gateways;
	gateway->line->gateways = gateway;
}

void
line_free_idle(Topology *topology)
{
	Line **link = &topology->lines;

	while (*link)
	{
		Line *line = *link;

		if (line->gateways)
		{
			link = &line->next;
			continue;
		}
		*link = line->next;
		bus_free(line->bus);
		free(line);
	}
}
