/*
 * line.c
 *		The connection that the gateways of one address share.
 */
#include "line.h"

#include "buf.h"
#include "gateway_plan.h"
#include "log.h"
#include "poll.h"

#include <stdio.h>
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
	BusLimits limits = { LINE_CONNECT_TIMEOUT_MS, 0, MAX_BACKOFF_US, BUS_WINDOW_MAX };

	for (const Gateway *gateway = line->gateways; gateway; gateway = gateway->next_on_line)
	{
		int64_t interval = clock_real_span(&line->agent->clock, gateway->interval);

		limits.connect_timeout_ms = gateway->options.connect_timeout_ms;
		if (gateway->options.window < limits.window)
			limits.window = gateway->options.window;
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
line_for(Gateway *gateway, char *reason, size_t size)
{
	Agent *agent = gateway->agent;
	BusLimits limits = { LINE_CONNECT_TIMEOUT_MS, 0, MAX_BACKOFF_US, 1 };
	BusHooks hooks = { line_failed, line_restored, line_heard, NULL };
	Line *line;

	for (line = agent->topology->lines; line; line = line->next)
	{
		if (strcmp(line->end.address, gateway->end.address) != 0 || !line->gateways)
			continue;
		if (link_end_equal(&line->end, &gateway->end) && line->framing == gateway->framing)
			return line;
		snprintf(reason, size, "gateway %s uses the same address in another way",
				 line->gateways->code);
		return NULL;
	}
	line = mem_alloc0(sizeof(*line));
	line->agent = agent;
	line->end = gateway->end;
	line->framing = gateway->framing;
	hooks.arg = line;
	line->bus = bus_new(agent->base, agent->names, &line->end, line->framing, &limits, &hooks,
						reason, size);
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
line_join(Gateway *gateway, const char *fault)
{
	char reason[sizeof(gateway->fault)] = "";

	if (fault)
		text_copy(reason, sizeof(reason), fault);
	else
		gateway->line = line_for(gateway, reason, sizeof(reason));
	if (reason[0] && strcmp(reason, gateway->fault) != 0)
		log_event(LEVEL_ERROR, "gateway_faulty", "gateway=%s address=%s fault=%s",
				  log_value(gateway->code), log_value(gateway->end.address), log_value(reason));
	strcpy(gateway->fault, reason);
	if (!gateway->line)
		return;
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
