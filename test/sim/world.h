/*
 * world.h: all that one simulator process simulates.
 */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include <stdbool.h>
#include <stddef.h>

#include "bclock.h"
#include "gateway.h"
#include "meter.h"

typedef struct World
{
	BusinessClock clock;
	uint64_t seed;
	Gateway **gateway; /* in the order of the file; objects never move */
	int gateways;
	Meter **meter;
	int meters;
	struct WorldName *name; /* sorted by code once world_index has run */
	int names;
	struct sockaddr_storage control_address;
	int control_length; /* 0: no control port */
} World;

/* Add an object; NULL if the code is too long or memory has run out. */
extern Gateway *world_add_gateway(World *world, const char *code);
extern Meter *world_add_meter(World *world, const char *code);

/* Sort the names; false, with the code in duplicate, if two objects share one. */
extern bool world_index(World *world, const char **duplicate);

/* Find by code among the indexed, or NULL. */
extern Gateway *world_find_gateway(const World *world, const char *code);
extern Meter *world_find_meter(const World *world, const char *code);

extern void world_free(World *world);

#endif
