/*
 * delivery.h
 *		From the spool to prepay.ingest, and the calls of prepay.tick.
 */
#ifndef PREPAYD_DELIVERY_H
#define PREPAYD_DELIVERY_H

#include "agent.h"
#include "reading.h"

Delivery *delivery_new(Agent *agent);
void delivery_free(Delivery *delivery);

/* Spools the reading. now: it must be durable when this returns, since somebody waits for it. */
void delivery_add(Agent *agent, const Reading *reading, bool now);

/* The business clock changed, and with it how often tick is due. */
void delivery_clock_changed(Agent *agent);

bool delivery_connected(const Delivery *delivery);
bool delivery_blocked(const Delivery *delivery);

#endif
