/*
 * gateway_plan.h
 *		What the plan says about a gateway: transport, address, options.
 */
#ifndef PREPAYD_GATEWAY_PLAN_H
#define PREPAYD_GATEWAY_PLAN_H

#include "topology.h"

typedef struct GatewayPlan
{
	int id;
	char code[64];
	int64_t interval;
	GatewayOptions options;
	LinkEnd end;
	BusFraming framing;
	JsonFault fault; /* found: the gateway cannot be used, the others can */
} GatewayPlan;

/*
 * Reads the list of gateways; the result is to be freed. A fault in ids or codes is one of the
 * plan, one in transport, address or options stays with its gateway.
 */
GatewayPlan *gateway_plan_parse(const json_t *list, JsonFault *fault);

/* Whether both describe the same connection. */
bool link_end_equal(const LinkEnd *a, const LinkEnd *b);

#endif
