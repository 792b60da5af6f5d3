/*
 * topology.h
 *		Gateways and meters of the plan, and how a new plan replaces the old one.
 */
#ifndef PREPAYD_TOPOLOGY_H
#define PREPAYD_TOPOLOGY_H

#include "agent.h"
#include "bus.h"
#include "contact.h"
#include "profile.h"
#include "reading.h"

typedef struct Gateway Gateway;
typedef struct Meter Meter;
typedef struct Line Line;
typedef struct Command Command;
typedef struct PollWaiter PollWaiter;

/* Gateways of one address share one connection: cheap ones allow only a few sessions. */
struct Line
{
	Agent *agent;
	LinkEnd end;
	BusFraming framing;
	Bus *bus;
	Gateway *gateways; /* by next_on_line */
	Line *next;
};

#define STATION_DIGITS 12

/* gateway.options; the keys are in prepayd(8) */
typedef struct GatewayOptions
{
	int timeout_ms; /* 0: the profile's */
	int gap_ms;		/* 0: none */
	int connect_timeout_ms;
	int window;
	bool spread;	  /* polls over the interval instead of all at its grid point */
	char password[9]; /* DL/T 645: level and password as on the wire, in hex */
	char operator_code[9];
} GatewayOptions;

struct Gateway
{
	Agent *agent;
	int id;
	char code[64];
	int64_t interval; /* business microseconds between polls */
	GatewayOptions options;
	LinkEnd end;
	BusFraming framing;
	Line *line;		 /* NULL: it cannot be used, */
	char fault[256]; /* because of this; "" else */
	Gateway *next_on_line;
	Meter **meters;
	int meter_count;
	Contact contact;
	struct event *grid;
	int64_t next_grid; /* business time */
	int slot;		   /* of that moment: which meters' it is */
	bool seen;		   /* named by the plan that is being applied */
	bool moved;		   /* that plan gave it another line, so its meters' polls begin anew */
};

typedef struct Poll
{
	bool active;
	bool plain;		  /* the meter refused merged requests */
	uint32_t refused; /* requests, by index, the meter does not know */
	int request;
	int attempts;
	int64_t grid_real; /* real time of the grid point, 0: on demand */
	Reading reading;
	Job job;
	PollWaiter *waiters;
	bool again; /* start anew when finished: somebody needs a reading begun later than this one */
	JobPriority again_priority;
	PollWaiter *again_waiters;
} Poll;

struct Meter
{
	int id;
	char code[64];
	Gateway *gateway;
	uint8_t unit;
	uint8_t station[DLT645_ADDRESS]; /* its address where it speaks DL/T 645 */
	char model[PROFILE_CODE_SIZE];
	Profile *profile; /* NULL: the model's profile is faulty */
	Contact contact;
	Poll poll;
	int64_t last_read_at;
	int64_t clock_drift_s; /* meter's clock minus ours at the last poll that read it */
	bool clock_off;		   /* by more than is daily routine, as logged */
	int64_t probe_at;	   /* monotonic; a lost meter is left alone until then */
	int64_t probe_pause;
	int probe_skipped; /* grid points since the last probe */
	Command *command;  /* in progress; further ones wait behind it */
	bool seen;
	bool fresh;	  /* not polled yet since it appeared or changed */
	bool leaving; /* no longer in the plan: begins nothing any more */
};

struct Topology
{
	Gateway **gateways; /* by id */
	int gateway_count;
	Meter **meters; /* by id */
	int meter_count;
	Line *lines;
	json_t *models;		/* of the plan in use */
	Profile **profiles; /* parallel to profile_codes */
	char **profile_codes;
	int profile_count;
};

Topology *topology_new(void);
void topology_free(Agent *agent);

/*
 * Replaces the plan. What is unchanged keeps its connection, contact state and poll in progress.
 * Returns false with a fault, and changes nothing, when the plan is malformed; a faulty model only
 * silences its meters.
 */
bool topology_apply(Agent *agent, const json_t *plan, JsonFault *fault);

Meter *topology_meter(const Topology *topology, int id);

#endif
