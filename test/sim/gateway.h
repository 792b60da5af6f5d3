/*
 * gateway.h: a Modbus gateway: a listening port with meters behind it.
 */
#ifndef SIM_GATEWAY_H
#define SIM_GATEWAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <event2/event.h>
#include <event2/listener.h>

#include "bclock.h"
#include "fault.h"
#include "meter.h"

#define GATEWAY_UNITS 256

struct Connection;

typedef struct Gateway
{
	char code[METER_CODE_MAX];
	char address_text[64];
	struct sockaddr_storage address;
	int address_length;
	bool unknown_silent; /* an unknown unit gets no answer instead of exception 0x0B */
	bool rtu;			 /* serial frames over the connection */
	int baud;			 /* with rtu: answers take the time of such a line; 0: none */
	Meter *meter[GATEWAY_UNITS];
	Fault fault;
	struct evconnlistener *listener;
	struct event *accept_retry;
	struct Connection *connections;
} Gateway;

typedef struct GatewayStats
{
	uint64_t requests;
	uint64_t writes;
	uint64_t faults;
	uint64_t bad_frames;
	int64_t connections; /* open now */
} GatewayStats;

extern GatewayStats gateway_stats;

/* Set what all gateways share; call before the others. */
extern void gateway_init(struct event_base *base, const BusinessClock *clock);

/* Listen, or go on listening after gateway_stop; false with errno set. */
extern bool gateway_start(Gateway *gateway);

/* Stop listening and close all connections: a dead gateway. */
extern void gateway_stop(Gateway *gateway);

#endif
