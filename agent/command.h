/*
 * command.h
 *		Execution of one command on one meter: guard, write, settle, read back, outcome.
 */
#ifndef PREPAYD_COMMAND_H
#define PREPAYD_COMMAND_H

#include "agent.h"
#include "topology.h"

/* A command as the database hands it out. */
typedef struct CommandOrder
{
	int64_t id;
	int meter_id;
	char action[PROFILE_NAME_SIZE];
	json_t *args;		 /* owned */
	int64_t valid_until; /* business time; INT64_MAX: for ever */
	int attempt;
	bool verify_only; /* an earlier attempt ended unknown: look, do not write */
} CommandOrder;

/* Takes over order->args. Commands of one meter run one after the other, in this order. */
void command_begin(Agent *agent, Meter *meter, CommandOrder *order);

/* Reports an order whose meter is not in the plan as failed. */
void command_refuse_orphan(Agent *agent, CommandOrder *order);

/* The meter leaves the plan: ends its commands as failed, or unknown where a write was sent. */
void command_abort_meter(Meter *meter);

#endif
