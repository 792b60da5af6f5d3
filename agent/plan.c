/*
 * plan.c
 *		The state the database hands out: its clock, and the cache of the last plan.
 */
#include "agent.h"

#include "buf.h"
#include "delivery.h"
#include "liaison.h"
#include "line.h"
#include "log.h"
#include "poll.h"
#include "topology.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A difference a dispatcher should hear about; transport delay is milliseconds. */
#define SKEW_WARN_US (30 * USEC_PER_SEC)

bool
plan_clock_parse(const json_t *state, Clock *clock)
{
	const json_t *json = json_object_get(state, "clock");
	const json_t *rate = json_object_get(json, "rate");
	const char *at = json_string_value(json_object_get(json, "at"));
	const char *real = json_string_value(json_object_get(json, "real"));

	memset(clock, 0, sizeof(*clock));
	if (!json || json_is_null(json))
		return json_is_object(state);
	clock->running = true;
	if (json_is_number(rate))
		clock->rate_ppm = (int64_t) llround(json_number_value(rate) * (double) USEC_PER_SEC);
	return at && real && json_is_number(rate) && clock->rate_ppm >= 0 &&
		   clock_parse(at, &clock->at) && clock_parse(real, &clock->real);
}

void
agent_set_clock(Agent *agent, const Clock *clock)
{
	char stamp[CLOCK_TEXT_SIZE];
	bool changed = !clock_equal(&agent->clock, clock);
	bool first = !agent->clock_known;

	if (!changed && !first)
		return;
	agent->clock = *clock;
	agent->clock_known = true;
	if (changed)
	{
		log_event(LEVEL_INFO, "clock", "running=%d rate_ppm=%lld now=%s", clock->running,
				  (long long) clock->rate_ppm, clock_format(clock_business(clock), stamp));
		/* The new clock may be behind the old one: its stamps begin anew. */
		for (int i = 0; i < agent->topology->meter_count; i++)
			agent->topology->meters[i]->last_read_at = 0;
	}
	line_refresh_limits(agent);
	poll_arm_all(agent);
	poll_fresh(agent);
	delivery_clock_changed(agent);
	if (changed && !first)
		plan_cache_save(agent, NULL);
}

static void
take_skew(Agent *agent, const json_t *state)
{
	const char *text = json_string_value(json_object_get(state, "now"));
	int64_t now;
	int64_t skew;
	int64_t before = agent->clock_skew_us;

	if (!text || !clock_parse(text, &now))
		return;
	skew = clock_real_span(&agent->clock, now - clock_business(&agent->clock));
	if (agent->clock.running && agent->clock.rate_ppm == 0)
		skew = 0;
	agent->clock_skew_us = skew;
	if (llabs(skew) > SKEW_WARN_US && llabs(before) <= SKEW_WARN_US)
		log_event(LEVEL_WARN, "clock_skew",
				  "milliseconds=%lld hint=\"synchronise this host and the database by NTP\"",
				  (long long) (skew / 1000));
}

int64_t
agent_take_state(Agent *agent, const json_t *state)
{
	const json_t *revision = json_object_get(state, "revision");
	Clock clock;

	if (!plan_clock_parse(state, &clock) || !json_is_integer(revision))
	{
		log_event(LEVEL_ERROR, "state_malformed",
				  "hint=\"expected an object with clock and revision\"");
		return -1;
	}
	agent_set_clock(agent, &clock);
	take_skew(agent, state);
	return json_integer_value(revision);
}

/* ---- cache ---- */

static json_t *
clock_json(const Clock *clock)
{
	char at[CLOCK_TEXT_SIZE];
	char real[CLOCK_TEXT_SIZE];

	if (!clock->running)
		return json_null();
	clock_format(clock->at, at);
	clock_format(clock->real, real);
	return json_pack("{s:s,s:s,s:f}", "at", at, "real", real, "rate",
					 (double) clock->rate_ppm / (double) USEC_PER_SEC);
}

static bool
write_whole(const char *path, const char *text)
{
	size_t len = strlen(text);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	bool good = fd >= 0 && write(fd, text, len) == (ssize_t) len && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return good;
}

/* Makes the rename durable; without it a power cut may bring the old file back. */
static void
sync_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	fsync(fd);
	close(fd);
}

void
plan_cache_save(Agent *agent, const json_t *plan)
{
	char path[600];
	char temporary[610];
	json_t *old = plan ? NULL : plan_cache_read(agent->config.spool);
	json_t *cache;
	char *text;

	if (!plan)
		plan = json_object_get(old, "plan");
	if (!plan)
	{
		json_decref(old);
		return;
	}
	cache = json_pack("{s:s,s:o,s:O}", "agent", agent->config.name, "clock",
					  clock_json(&agent->clock), "plan", plan);
	text = json_dumps(cache, JSON_COMPACT);
	snprintf(path, sizeof(path), "%s/plan.json", agent->config.spool);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	if (text && write_whole(temporary, text) && rename(temporary, path) == 0)
		sync_folder(agent->config.spool);
	else
		log_event(LEVEL_ERROR, "plan_cache_not_written", "file=%s reason=%s", log_value(path),
				  log_value(strerror(errno)));
	free(text);
	json_decref(cache);
	json_decref(old);
}

json_t *
plan_cache_read(const char *folder)
{
	char path[600];
	json_error_t error;

	snprintf(path, sizeof(path), "%s/plan.json", folder);
	return json_load_file(path, 0, &error);
}

bool
plan_cache_load(Agent *agent)
{
	json_t *cache = plan_cache_read(agent->config.spool);
	const char *name = json_string_value(json_object_get(cache, "agent"));
	Clock clock;
	bool good = name && strcmp(name, agent->config.name) == 0 && plan_clock_parse(cache, &clock);

	if (good)
	{
		log_event(LEVEL_WARN, "plan_from_cache", "hint=\"the database does not answer\"");
		agent_set_clock(agent, &clock);
		good = liaison_apply_plan(agent, json_object_get(cache, "plan"));
	}
	json_decref(cache);
	return good;
}
