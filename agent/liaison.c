/*
 * liaison.c
 *		The second database connection: plan, beat, contact reports; commands use it, too.
 *
 * On each connect, in this order: LISTEN, beat (clock and revision), plan, outcomes, commands,
 * contacts. LISTEN comes before the first look into the queue, so that no command falls between;
 * the beat comes before the plan, so that no poll is stamped by a clock of yesterday.
 */
#include "liaison.h"

#include "buf.h"
#include "clock_fields.h"
#include "delivery.h"
#include "dispatch.h"
#include "log.h"
#include "pay_front.h"
#include "poll.h"
#include "store.h"
#include "topology.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BEAT_S 10
/* Without an answer from the database by then, the cached plan is used. */
#define START_GRACE_US (5 * USEC_PER_SEC)
#define START_LOOK_US (200 * USEC_PER_MSEC)
/* Collects the changes of one event, such as a gateway with 200 meters that comes back. */
#define CONTACT_DELAY_US (100 * USEC_PER_MSEC)

typedef struct SentContact
{
	bool gateway;
	int id;
	ContactState state;
} SentContact;

struct Liaison
{
	Agent *agent;
	Db *db;
	struct event *beat;
	struct event *contact;
	struct event *start;
	int64_t started_at;
	bool beating;
	bool fetching;
	bool fetch_again;
	SentContact *sent; /* the report on its way; NULL: none */
	int sent_count;
};

static void
arm(struct event *event, int64_t usec)
{
	struct timeval delay = { usec / USEC_PER_SEC, usec % USEC_PER_SEC };

	evtimer_add(event, &delay);
}

/* ---- plan ---- */

/* Clocks of meters show local time; without the zone they are neither read nor set. */
static void
take_zone(const json_t *plan)
{
	static char known[128];
	const char *zone = json_string_value(json_object_get(plan, "timezone"));

	if (!zone || strcmp(zone, known) == 0)
		return;
	text_copy(known, sizeof(known), zone);
	if (!clock_set_zone(zone))
		log_event(LEVEL_ERROR, "time_zone_unknown",
				  "timezone=%s hint=\"install the tz database (tzdata) on this host\"",
				  log_value(zone));
}

bool
liaison_apply_plan(Agent *agent, json_t *plan)
{
	JsonFault fault;
	int64_t revision = json_integer_value(json_object_get(plan, "revision"));

	if (!topology_apply(agent, plan, &fault))
	{
		log_event(LEVEL_ERROR, "plan_malformed", "fault=%s", log_value(fault.text));
		return false;
	}
	take_zone(plan);
	agent->trips_wanted = (int) json_integer_value(json_object_get(plan, "trips_per_minute"));
	pay_front_listen(agent->pay_front, json_string_value(json_object_get(plan, "payment_listen")));
	if (agent->revision != revision)
		log_event(LEVEL_INFO, "plan_applied", "revision=%lld gateways=%d meters=%d",
				  (long long) revision, agent->topology->gateway_count,
				  agent->topology->meter_count);
	agent->revision = revision;
	poll_arm_all(agent);
	poll_fresh(agent);
	return true;
}

static void
plan_done(void *arg, const DbAnswer *answer)
{
	Liaison *liaison = arg;
	Agent *agent = liaison->agent;
	json_error_t error;
	json_t *plan = NULL;

	liaison->fetching = false;
	if (answer->lost)
		return;
	if (!answer->ok)
		db_log_failure("plan_refused", answer);
	else
		plan = json_loads(PQgetvalue(answer->result, 0, 0), 0, &error);
	if (plan && liaison_apply_plan(agent, plan))
		plan_cache_save(agent, plan);
	json_decref(plan);
	dispatch_plan_applied(agent);
	if (liaison->fetch_again)
		liaison_fetch_plan(agent);
}

void
liaison_fetch_plan(Agent *agent)
{
	Liaison *liaison = agent->liaison;
	const char *values[] = { agent->config.name };

	liaison->fetch_again = liaison->fetching;
	if (liaison->fetching || !db_is_ready(liaison->db))
		return;
	liaison->fetching = true;
	db_query(liaison->db, "SELECT prepay.agent_plan($1)", 1, values, plan_done, liaison);
}

/* ---- beat ---- */

void
agent_gauges(void *arg, Gauges *gauges)
{
	Agent *agent = arg;
	const Topology *topology = agent->topology;
	int64_t oldest = store_oldest(agent->store);

	memset(gauges, 0, sizeof(*gauges));
	gauges->gateways = topology->gateway_count;
	gauges->meters = topology->meter_count;
	for (int i = 0; i < topology->gateway_count; i++)
		gauges->gateways_lost += topology->gateways[i]->contact.state == CONTACT_LOST;
	for (int i = 0; i < topology->meter_count; i++)
	{
		const Meter *meter = topology->meters[i];

		gauges->meters_lost += meter->contact.state == CONTACT_LOST;
		gauges->meter_clocks_off += meter->clock_off;
		if (llabs(meter->clock_drift_s) > gauges->meter_clock_drift_s)
			gauges->meter_clock_drift_s = llabs(meter->clock_drift_s);
	}
	gauges->commands_active = dispatch_active(agent);
	gauges->spool_rows = store_rows(agent->store);
	gauges->spool_oldest_s = oldest ? (clock_real() - oldest) / USEC_PER_SEC : 0;
	gauges->outcomes_waiting = store_outcomes(agent->store);
	gauges->database_up = delivery_connected(agent->delivery) && db_is_ready(agent->liaison->db);
	gauges->ingest_blocked = delivery_blocked(agent->delivery);
	gauges->plan_revision = agent->revision;
	gauges->clock_skew_ms = agent->clock_skew_us / 1000;
}

static void
beat_done(void *arg, const DbAnswer *answer)
{
	Liaison *liaison = arg;
	Agent *agent = liaison->agent;
	json_error_t error;
	json_t *state;
	int64_t revision;

	liaison->beating = false;
	if (answer->lost)
		return;
	arm(liaison->beat, BEAT_S * USEC_PER_SEC);
	if (!answer->ok)
	{
		db_log_failure("beat_refused", answer);
		return;
	}
	state = json_loads(PQgetvalue(answer->result, 0, 0), 0, &error);
	revision = agent_take_state(agent, state);
	json_decref(state);
	if (revision >= 0 && revision != agent->revision)
		liaison_fetch_plan(agent);
}

static void
beat_send(Liaison *liaison)
{
	Gauges gauges;
	json_t *status;
	char *text;
	const char *values[2];

	if (liaison->beating || !db_is_ready(liaison->db))
		return;
	agent_gauges(liaison->agent, &gauges);
	status = metrics_json(&gauges);
	text = json_dumps(status, JSON_COMPACT);
	values[0] = liaison->agent->config.name;
	values[1] = text;
	liaison->beating = true;
	db_query(liaison->db, "SELECT prepay.agent_beat($1, $2::jsonb)", 2, values, beat_done, liaison);
	free(text);
	json_decref(status);
}

static void
on_beat(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	beat_send(arg);
}

void
liaison_refresh(Agent *agent)
{
	beat_send(agent->liaison);
	liaison_fetch_plan(agent);
}

/* ---- contact reports ---- */

static Contact *
find_contact(Agent *agent, bool gateway, int id)
{
	Meter *meter;

	if (!gateway)
	{
		meter = topology_meter(agent->topology, id);
		return meter ? &meter->contact : NULL;
	}
	for (int i = 0; i < agent->topology->gateway_count; i++)
	{
		if (agent->topology->gateways[i]->id == id)
			return &agent->topology->gateways[i]->contact;
	}
	return NULL;
}

static void
contact_done(void *arg, const DbAnswer *answer)
{
	Liaison *liaison = arg;

	for (int i = 0; i < liaison->sent_count; i++)
	{
		SentContact *sent = &liaison->sent[i];
		Contact *contact = find_contact(liaison->agent, sent->gateway, sent->id);

		/* A refused report would be refused again; the next change is the next chance. */
		if (contact && contact->state == sent->state && !(answer->lost || answer->retry))
			contact->unreported = false;
	}
	free(liaison->sent);
	liaison->sent = NULL;
	if (answer->lost)
		return;
	if (!answer->ok)
		db_log_failure("contact_refused", answer);
	/* Changes during the report, or a failure worth repeating. */
	arm(liaison->contact, answer->ok ? CONTACT_DELAY_US : USEC_PER_SEC);
}

static void
collect(Liaison *liaison, const Contact *contact, bool gateway, int id, Buf column[4])
{
	char stamp[CLOCK_TEXT_SIZE];
	const char *separator = liaison->sent_count == 0 ? "{" : ",";

	if (!contact->unreported)
		return;
	liaison->sent[liaison->sent_count++] = (SentContact){ gateway, id, contact->state };
	buf_printf(&column[0], "%s%s", separator, gateway ? "gateway" : "meter");
	buf_printf(&column[1], "%s%d", separator, id);
	buf_printf(&column[2], "%s%s", separator, contact->state == CONTACT_OK ? "ok" : "lost");
	buf_printf(&column[3], "%s%s", separator, clock_format(contact->since, stamp));
}

static void
contact_send(Liaison *liaison)
{
	static const char sql[] =
		"SELECT prepay.report_contact($1, $2::text[], $3::int[], $4::text[], $5::timestamptz[])";
	const Topology *topology = liaison->agent->topology;
	Buf column[4];
	const char *values[5] = { liaison->agent->config.name };

	if (liaison->sent || !db_is_ready(liaison->db))
		return;
	for (int i = 0; i < 4; i++)
		buf_init(&column[i]);
	liaison->sent_count = 0;
	liaison->sent = mem_alloc((size_t) (topology->gateway_count + topology->meter_count + 1) *
							  sizeof(*liaison->sent));
	for (int i = 0; i < topology->gateway_count; i++)
		collect(liaison, &topology->gateways[i]->contact, true, topology->gateways[i]->id, column);
	for (int i = 0; i < topology->meter_count; i++)
		collect(liaison, &topology->meters[i]->contact, false, topology->meters[i]->id, column);
	if (liaison->sent_count > 0)
	{
		for (int i = 0; i < 4; i++)
		{
			buf_add(&column[i], "}");
			values[1 + i] = column[i].data;
		}
		db_query(liaison->db, sql, 5, values, contact_done, liaison);
	}
	else
	{
		free(liaison->sent);
		liaison->sent = NULL;
	}
	for (int i = 0; i < 4; i++)
		buf_free(&column[i]);
}

static void
on_contact(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	contact_send(arg);
}

void
liaison_contact_changed(Agent *agent)
{
	if (agent->liaison && !evtimer_pending(agent->liaison->contact, NULL))
		arm(agent->liaison->contact, CONTACT_DELAY_US);
}

/* ---- life ---- */

static void
on_ready(void *arg)
{
	Liaison *liaison = arg;
	Agent *agent = liaison->agent;

	db_query(liaison->db, "LISTEN prepay_command", 0, NULL, NULL, NULL);
	beat_send(liaison);
	liaison_fetch_plan(agent);
	if (!agent->once)
		dispatch_connected(agent);
	contact_send(liaison);
}

static void
on_lost(void *arg)
{
	Liaison *liaison = arg;

	evtimer_del(liaison->beat);
	liaison->fetch_again = false;
	/* A standby may report them meanwhile as it sees them. */
	for (int i = 0; i < liaison->agent->topology->gateway_count; i++)
	{
		Contact *contact = &liaison->agent->topology->gateways[i]->contact;

		contact->unreported |= contact->state != CONTACT_UNKNOWN;
	}
	dispatch_disconnected(liaison->agent);
}

static void
on_notified(void *arg)
{
	dispatch_take(((Liaison *) arg)->agent);
}

/* The database did not answer: start from what it said last time. */
static void
on_start(evutil_socket_t fd, short what, void *arg)
{
	Liaison *liaison = arg;
	bool refused = db_has_tried(liaison->db) && !db_is_ready(liaison->db);

	(void) fd;
	(void) what;
	if (liaison->agent->revision >= 0)
		return;
	if (refused || clock_mono() - liaison->started_at > START_GRACE_US)
	{
		if (!plan_cache_load(liaison->agent))
			log_event(LEVEL_WARN, "no_plan", "hint=\"waiting for the database\"");
		return;
	}
	arm(liaison->start, START_LOOK_US);
}

Liaison *
liaison_new(Agent *agent)
{
	Liaison *liaison = mem_alloc0(sizeof(*liaison));
	DbHooks hooks = { on_ready, on_lost, on_notified, liaison };
	char application[160];

	snprintf(application, sizeof(application), "prepayd/%s command", agent->config.name);
	liaison->agent = agent;
	liaison->started_at = clock_mono();
	liaison->beat = evtimer_new(agent->base, on_beat, liaison);
	liaison->contact = evtimer_new(agent->base, on_contact, liaison);
	liaison->start = evtimer_new(agent->base, on_start, liaison);
	arm(liaison->start, START_LOOK_US);
	liaison->db =
		db_new(agent->base, agent->names, "command", agent->config.conninfo, application, &hooks);
	return liaison;
}

void
liaison_free(Liaison *liaison)
{
	if (!liaison)
		return;
	event_free(liaison->beat);
	event_free(liaison->contact);
	event_free(liaison->start);
	db_free(liaison->db);
	free(liaison->sent);
	free(liaison);
}

Db *
liaison_db(Liaison *liaison)
{
	return liaison->db;
}
