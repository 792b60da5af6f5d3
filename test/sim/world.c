/*
 * world.c: the collection of gateways and meters and their names.
 */
#include "world.h"

#include <stdlib.h>
#include <string.h>

typedef struct WorldName
{
	const char *code;
	Gateway *gateway; /* one of the two */
	Meter *meter;
} WorldName;

/* Make room for one more pointer, growing at each power of two. */
static bool
reserve(void **array, int used, size_t size)
{
	void *grown;

	if ((used & (used - 1)) != 0)
		return true;
	grown = realloc(*array, (size_t) (used == 0 ? 1 : 2 * used) * size);
	if (grown != NULL)
		*array = grown;
	return grown != NULL;
}

static bool
add_name(World *world, const char *code, Gateway *gateway, Meter *meter)
{
	if (!reserve((void **) &world->name, world->names, sizeof(*world->name)))
		return false;
	world->name[world->names++] = (WorldName){ code, gateway, meter };
	return true;
}

Gateway *
world_add_gateway(World *world, const char *code)
{
	Gateway *gateway;

	if (strlen(code) >= METER_CODE_MAX ||
		!reserve((void **) &world->gateway, world->gateways, sizeof(*world->gateway)))
		return NULL;
	gateway = calloc(1, sizeof(*gateway));
	if (gateway == NULL)
		return NULL;
	strcpy(gateway->code, code);
	world->gateway[world->gateways++] = gateway;
	return add_name(world, gateway->code, gateway, NULL) ? gateway : NULL;
}

Meter *
world_add_meter(World *world, const char *code)
{
	Meter *meter;

	if (strlen(code) >= METER_CODE_MAX ||
		!reserve((void **) &world->meter, world->meters, sizeof(*world->meter)))
		return NULL;
	meter = calloc(1, sizeof(*meter));
	if (meter == NULL)
		return NULL;
	strcpy(meter->code, code);
	world->meter[world->meters++] = meter;
	return add_name(world, meter->code, NULL, meter) ? meter : NULL;
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(((const WorldName *) a)->code, ((const WorldName *) b)->code);
}

bool
world_index(World *world, const char **duplicate)
{
	if (world->names > 0)
		qsort(world->name, (size_t) world->names, sizeof(*world->name), compare_names);
	for (int i = 1; i < world->names; i++)
		if (strcmp(world->name[i - 1].code, world->name[i].code) == 0)
		{
			*duplicate = world->name[i].code;
			return false;
		}
	return true;
}

static const WorldName *
find(const World *world, const char *code)
{
	WorldName key = { code, NULL, NULL };

	if (world->names == 0)
		return NULL;
	return bsearch(&key, world->name, (size_t) world->names, sizeof(key), compare_names);
}

Gateway *
world_find_gateway(const World *world, const char *code)
{
	const WorldName *name = find(world, code);

	return name == NULL ? NULL : name->gateway;
}

Meter *
world_find_meter(const World *world, const char *code)
{
	const WorldName *name = find(world, code);

	return name == NULL ? NULL : name->meter;
}

void
world_free(World *world)
{
	for (int i = 0; i < world->gateways; i++)
	{
		gateway_stop(world->gateway[i]);
		if (world->gateway[i]->accept_retry != NULL)
			event_free(world->gateway[i]->accept_retry);
		free(world->gateway[i]);
	}
	for (int i = 0; i < world->meters; i++)
	{
		free(world->meter[i]->journal);
		free(world->meter[i]);
	}
	free(world->gateway);
	free(world->meter);
	free(world->name);
}
