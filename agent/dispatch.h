/*
 * dispatch.h
 *		Taking commands from the database and reporting their outcomes.
 */
#ifndef PREPAYD_DISPATCH_H
#define PREPAYD_DISPATCH_H

#include "agent.h"

Commands *dispatch_new(Agent *agent);
void dispatch_free(Commands *commands);

/* The connection is there: report what waits, then look into the queue. */
void dispatch_connected(Agent *agent);
void dispatch_disconnected(Agent *agent);

/* There may be commands to take: a notification, a command that ended, the fallback scan. */
void dispatch_take(Agent *agent);

/* An outcome is in the spool. */
void dispatch_report(Agent *agent);

/* Commands that named a meter the plan did not have are looked at again. */
void dispatch_plan_applied(Agent *agent);

void dispatch_started(Agent *agent);
void dispatch_ended(Agent *agent);
int dispatch_active(const Agent *agent);

#endif
