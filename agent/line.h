/*
 * line.h
 *		The connection that the gateways of one address share.
 */
#ifndef PREPAYD_LINE_H
#define PREPAYD_LINE_H

#include "topology.h"

#define LINE_CONNECT_TIMEOUT_MS 5000

/*
 * Gives the gateway its line; none where its options are at fault or the address cannot be used,
 * which is logged once.
 */
void line_join(Gateway *gateway, const char *fault);
void line_leave(Gateway *gateway);

/* Frees the lines without gateways; their jobs are answered, so meters must have moved before. */
void line_free_idle(Topology *topology);

/* Plan or clock changed, and with them the gaps and reconnect pauses. */
void line_refresh_limits(Agent *agent);

#endif
