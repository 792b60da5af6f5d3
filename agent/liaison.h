/*
 * liaison.h
 *		The second database connection: plan, beat, contact reports; commands use it, too.
 */
#ifndef PREPAYD_LIAISON_H
#define PREPAYD_LIAISON_H

#include "agent.h"
#include "db.h"
#include "metrics.h"

Liaison *liaison_new(Agent *agent);
void liaison_free(Liaison *liaison);

Db *liaison_db(Liaison *liaison);

/* Asks for the plan, unless that is under way. */
void liaison_fetch_plan(Agent *agent);

/* Asks for clock and plan now, as on a reload. */
void liaison_refresh(Agent *agent);

/* A contact state changed; it is reported soon, several at once. */
void liaison_contact_changed(Agent *agent);

/* Makes `plan` the plan in use; false, with a log line, when it is malformed. */
bool liaison_apply_plan(Agent *agent, json_t *plan);

void agent_gauges(void *agent, Gauges *gauges);

#endif
