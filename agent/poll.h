/*
 * poll.h
 *		Polling of meters on the grid of business time, and on demand.
 */
#ifndef PREPAYD_POLL_H
#define PREPAYD_POLL_H

#include "topology.h"

/* reading NULL: the poll failed, why says how. The reading is durable when this is called. */
typedef void (*PollDone)(void *arg, const Reading *reading, const char *why);

/*
 * Polls the meter now. A poll in progress is not joined, since it may have begun before the event
 * whose effect is to be seen: another follows it. done may be NULL.
 */
void poll_now(Meter *meter, JobPriority priority, PollDone done, void *arg);

/* Ends a poll without a result; its waiters are told. */
void poll_stop(Meter *meter);

/* (Re-)arms the gateway's grid timer for the present clock and interval. */
void poll_arm_grid(Gateway *gateway);
void poll_arm_all(Agent *agent);

/* Polls the meters that have not been polled yet. */
void poll_fresh(Agent *agent);

/* The gateway's connection is back: polls the meters that missed their grid point. */
void poll_catch_up(Gateway *gateway);

/* Polls in progress. */
int poll_active(const Agent *agent);

#endif
