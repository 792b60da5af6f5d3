/*
 * agent.h: what the functions an agent calls have in common.
 */
#ifndef PREPAY_AGENT_H
#define PREPAY_AGENT_H

#include "db.h"
#include "site.h"

typedef struct AgentCall
{
	DbSession session;
	const Site *site;
	char *code; /* of the agent, without site */
} AgentCall;

/*
 * SQL condition: gateway g is the agent's ($ of the argument), its own or as the standby of one
 * that is lost.
 */
#define AGENT_SERVES(agent)                                                                       \
	"(g.agent = " agent " OR (g.standby_agent = " agent " AND EXISTS (SELECT FROM prepay.agent w" \
	" WHERE w.site_id = g.site_id AND w.code = g.agent AND w.state = 'lost')))"

/*
 * Open a session for argument 0, the agent's code, and check that the caller is
 * that agent. Raises PP010 for an unknown agent, 42501 for another role.
 */
extern void agent_enter(AgentCall *call, FunctionCallInfo fcinfo);
/* The same, and take the site's shared lock before any row: for calls that work on meters. */
extern void agent_enter_site(AgentCall *call, FunctionCallInfo fcinfo);
/* Those of some meters that stand behind gateways the agent serves, ascending. */
extern int agent_own_meters(const AgentCall *call, const int32 *meter_id, int n, int32 **own);
/* An agent was lost: its standbys get its gateways, until it is heard of again. */
extern void agent_lost(const Site *site, const char *code);

#endif
