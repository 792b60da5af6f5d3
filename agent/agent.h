/*
 * agent.h
 *		The agent as a whole: what its modules share.
 */
#ifndef PREPAYD_AGENT_H
#define PREPAYD_AGENT_H

#include "brake.h"
#include "clock.h"
#include "config.h"
#include "names.h"

#include <event2/event.h>
#include <jansson.h>

typedef struct Agent Agent;
typedef struct Topology Topology;
typedef struct Store Store;
typedef struct Delivery Delivery;
typedef struct Liaison Liaison;
typedef struct Commands Commands;
typedef struct PayFront PayFront;

/*
 * Event priorities. At a grid point thousands of sockets are ready at once; the database
 * connections and whatever belongs to a command go first, every few milliseconds.
 */
enum
{
	PRIORITY_URGENT,
	PRIORITY_NORMAL,
	PRIORITIES
};

struct Agent
{
	struct event_base *base;
	Config config;
	Clock clock;
	bool clock_known;	   /* polls wait for it, so that no reading gets a stamp of another clock */
	int64_t clock_skew_us; /* database minus this host, real time */
	int64_t revision;	   /* of the plan in use; -1: no plan */
	int trips_wanted;	   /* trips a minute as the plan says; 0: nothing said */
	Brake brake;
	bool once; /* poll every meter once, deliver, end */
	bool stopping;
	Names *names;
	Topology *topology;
	Store *store;
	Delivery *delivery;
	Liaison *liaison;
	Commands *commands;
	PayFront *pay_front; /* NULL with --once */
};

/*
 * Takes the state that agent_hello and agent_beat return: clock, revision, the database's time.
 * Returns the revision, -1 when the answer is not usable.
 */
int64_t agent_take_state(Agent *agent, const json_t *state);

/* Makes `clock` the business clock; re-arms everything that waits for business time. */
void agent_set_clock(Agent *agent, const Clock *clock);

/* The plan cache: the last plan and clock, read where the database cannot be asked. */
bool plan_cache_load(Agent *agent);
json_t *plan_cache_read(const char *folder);
void plan_cache_save(Agent *agent, const json_t *plan);

/* Clock of a state object ("clock" null or {at, real, rate}); false when it is malformed. */
bool plan_clock_parse(const json_t *state, Clock *clock);

#endif
