/*
 * topology.c
 *		Gateways and meters of the plan, and how a new plan replaces the old one.
 *
 * topology_apply first reads the whole plan into plain descriptions, so that a malformed plan
 * changes nothing. Then it moves the living objects over: Gateway and Meter keep their identity,
 * and with it contact state, back-off, commands and a poll in progress, as long as their id stays
 * in the plan. A poll is stopped only where its unit, profile or line changed. Lines that nobody
 * uses any more are freed last: freeing answers their jobs, and the callbacks must find the new
 * lines.
 */
#include "topology.h"

#include "buf.h"
#include "command.h"
#include "gateway_plan.h"
#include "line.h"
#include "log.h"
#include "poll.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct MeterPlan
{
	int id;
	int gateway_id;
	char code[64];
	int unit; /* -1: none */
	char address[STATION_DIGITS + 1];
	char model[PROFILE_CODE_SIZE];
} MeterPlan;

Topology *
topology_new(void)
{
	Topology *topology = mem_alloc0(sizeof(*topology));

	/* Searches expect an array even where there is nothing to find. */
	topology->gateways = mem_alloc(sizeof(*topology->gateways));
	topology->meters = mem_alloc(sizeof(*topology->meters));
	return topology;
}

/* ---- reading the plan ---- */

static MeterPlan *
parse_meters(const json_t *list, JsonFault *fault)
{
	MeterPlan *plans = mem_alloc0((json_array_size(list) + 1) * sizeof(*plans));
	size_t index;
	json_t *item;

	if (!json_is_array(list))
		jpath_fault(fault, "meters", "must be an array");
	json_array_foreach(list, index, item)
	{
		MeterPlan *plan = &plans[index];
		char path[JPATH_SIZE];

		snprintf(path, sizeof(path), "meters[%zu]", index);
		plan->id = (int) jpath_int(fault, item, path, "meter_id", 1, INT32_MAX, -1);
		plan->gateway_id = (int) jpath_int(fault, item, path, "gateway_id", 1, INT32_MAX, -1);
		plan->unit = json_is_null(json_object_get(item, "unit_id"))
						 ? -1
						 : (int) jpath_int(fault, item, path, "unit_id", 0, 255, -1);
		if (!json_is_null(json_object_get(item, "address")))
			jpath_text(fault, item, path, "address", true, plan->address, sizeof(plan->address));
		jpath_text(fault, item, path, "code", false, plan->code, sizeof(plan->code));
		jpath_text(fault, item, path, "model", false, plan->model, sizeof(plan->model));
	}
	return plans;
}

/* ---- models ---- */

static Profile *
find_profile(const Topology *topology, const char *code)
{
	for (int i = 0; i < topology->profile_count; i++)
	{
		if (strcmp(topology->profile_codes[i], code) == 0)
			return topology->profiles[i];
	}
	return NULL;
}

/* An unchanged model keeps its Profile object, so that its meters count as unchanged. */
static Profile *
model_profile(const Topology *topology, const char *code, const json_t *model)
{
	JsonFault fault;
	Profile *profile = find_profile(topology, code);
	const json_t *old = json_object_get(topology->models, code);

	if (old && json_equal((json_t *) old, (json_t *) model))
		return profile_keep(profile);
	profile = profile_parse(model, &fault);
	if (!profile)
		log_event(LEVEL_ERROR, "profile_faulty", "model=%s fault=%s", log_value(code),
				  log_value(fault.text));
	return profile;
}

static void
drop_profiles(Profile **profiles, char **codes, int count)
{
	for (int i = 0; i < count; i++)
	{
		profile_drop(profiles[i]);
		free(codes[i]);
	}
	free(profiles);
	free(codes);
}

static void
apply_models(Topology *topology, json_t *models)
{
	size_t size = json_object_size(models) + 1;
	Profile **profiles = mem_alloc(size * sizeof(*profiles));
	char **codes = mem_alloc(size * sizeof(*codes));
	const char *code;
	json_t *model;
	int count = 0;

	json_object_foreach(models, code, model)
	{
		profiles[count] = model_profile(topology, code, model);
		codes[count++] = mem_strdup(code);
	}
	drop_profiles(topology->profiles, topology->profile_codes, topology->profile_count);
	topology->profiles = profiles;
	topology->profile_codes = codes;
	topology->profile_count = count;
	json_decref(topology->models);
	topology->models = json_incref(models);
}

/* ---- gateways and meters ---- */

static int
compare_gateways(const void *left, const void *right)
{
	int a = (*(Gateway *const *) left)->id;
	int b = (*(Gateway *const *) right)->id;

	return (a > b) - (a < b);
}

static int
compare_meters(const void *left, const void *right)
{
	int a = (*(Meter *const *) left)->id;
	int b = (*(Meter *const *) right)->id;

	return (a > b) - (a < b);
}

static Gateway *
find_gateway(const Topology *topology, int id)
{
	Gateway key = { .id = id };
	Gateway *want = &key;
	Gateway **found = bsearch(&want, topology->gateways, (size_t) topology->gateway_count,
							  sizeof(*topology->gateways), compare_gateways);

	return found ? *found : NULL;
}

Meter *
topology_meter(const Topology *topology, int id)
{
	Meter key = { .id = id };
	Meter *want = &key;
	Meter **found = bsearch(&want, topology->meters, (size_t) topology->meter_count,
							sizeof(*topology->meters), compare_meters);

	return found ? *found : NULL;
}

static void
meter_free(Meter *meter)
{
	meter->leaving = true;
	poll_stop(meter);
	command_abort_meter(meter);
	profile_drop(meter->profile);
	free(meter);
}

static void
gateway_free(Gateway *gateway)
{
	line_leave(gateway);
	if (gateway->grid)
		event_free(gateway->grid);
	free(gateway->meters);
	free(gateway);
}

static void
gateway_update(Gateway *gateway, const GatewayPlan *plan)
{
	bool usable = !plan->fault.found;

	gateway->moved = !link_end_equal(&gateway->end, &plan->end) ||
					 gateway->framing != plan->framing || !usable || !gateway->line;
	strcpy(gateway->code, plan->code);
	gateway->interval = plan->interval;
	gateway->options = plan->options;
	gateway->meter_count = 0;
	gateway->seen = true;
	if (!gateway->moved)
		return;
	gateway->end = plan->end;
	gateway->framing = plan->framing;
	line_leave(gateway);
	line_join(gateway, usable ? NULL : plan->fault.text);
}

static void
apply_gateways(Agent *agent, const GatewayPlan *plans, size_t count)
{
	Topology *topology = agent->topology;
	Gateway **gateways = mem_alloc((size_t) (topology->gateway_count + 1) * sizeof(*gateways) +
								   count * sizeof(*gateways));
	int used = topology->gateway_count;

	/* Gateways the plan no longer names stay until their meters have moved away. */
	if (used)
		memcpy(gateways, topology->gateways, (size_t) used * sizeof(*gateways));
	for (int i = 0; i < used; i++)
	{
		gateways[i]->seen = false;
		gateways[i]->meter_count = 0;
	}
	for (size_t i = 0; i < count; i++)
	{
		Gateway *gateway = find_gateway(topology, plans[i].id);

		if (!gateway)
		{
			gateway = mem_alloc0(sizeof(*gateway));
			gateway->agent = agent;
			gateway->id = plans[i].id;
			gateways[used++] = gateway;
		}
		gateway_update(gateway, &plans[i]);
	}
	free(topology->gateways);
	topology->gateways = gateways;
	topology->gateway_count = used;
	qsort(gateways, (size_t) used, sizeof(*gateways), compare_gateways);
}

static void
free_unseen_gateways(Topology *topology)
{
	int kept = 0;

	for (int i = 0; i < topology->gateway_count; i++)
	{
		if (topology->gateways[i]->seen)
			topology->gateways[kept++] = topology->gateways[i];
		else
			gateway_free(topology->gateways[i]);
	}
	topology->gateway_count = kept;
}

static void
gateway_add_meter(Gateway *gateway, Meter *meter)
{
	/* Grown to powers of two; the count restarts at each plan, the array stays. */
	if ((gateway->meter_count & (gateway->meter_count - 1)) == 0)
		gateway->meters = mem_realloc(gateway->meters, (size_t) (2 * gateway->meter_count + 1) *
														   sizeof(*gateway->meters));
	gateway->meters[gateway->meter_count++] = meter;
}

static void
meter_update(Meter *meter, const MeterPlan *plan, Gateway *gateway, const uint8_t *station,
			 Profile *profile)
{
	uint8_t unit = plan->unit < 0 ? 0 : (uint8_t) plan->unit;

	if (meter->gateway != gateway || meter->unit != unit || meter->profile != profile ||
		memcmp(meter->station, station, DLT645_ADDRESS) != 0 || gateway->moved)
	{
		if (meter->gateway)
			poll_stop(meter);
		meter->poll.plain = false;
		meter->poll.refused = 0;
		meter->fresh = true;
	}
	strcpy(meter->code, plan->code);
	strcpy(meter->model, plan->model);
	meter->gateway = gateway;
	meter->unit = unit;
	memcpy(meter->station, station, DLT645_ADDRESS);
	if (meter->profile != profile)
	{
		profile_drop(meter->profile);
		meter->profile = profile_keep(profile);
	}
	meter->seen = true;
	gateway_add_meter(gateway, meter);
}

/* The meter's profile where it can be spoken to; station is its address under DL/T 645. */
static Profile *
usable_profile(const Topology *topology, const MeterPlan *plan, uint8_t *station)
{
	Profile *profile = find_profile(topology, plan->model);
	char text[STATION_DIGITS + 1];

	memset(station, 0, DLT645_ADDRESS);
	if (!profile)
	{
		log_event(LEVEL_ERROR, "meter_without_profile", "meter=%s model=%s", log_value(plan->code),
				  log_value(plan->model));
		return NULL;
	}
	snprintf(text, sizeof(text), "%d", plan->unit);
	if (profile->protocol == FRAME_DLT645)
	{
		if (dlt645_address(plan->address[0] ? plan->address : text, station))
			return profile;
	}
	else if (plan->unit >= 0)
		return profile;
	log_event(LEVEL_ERROR, "meter_without_address", "meter=%s model=%s hint=\"%s\"",
			  log_value(plan->code), log_value(plan->model),
			  profile->protocol == FRAME_DLT645 ? "meter.address: 1 to 12 digits"
												: "meter.unit_id: 1 to 247");
	return NULL;
}

static void
apply_meters(Agent *agent, const MeterPlan *plans, size_t count)
{
	Topology *topology = agent->topology;
	Meter **meters = mem_alloc((count + 1) * sizeof(*meters));
	int used = 0;

	for (int i = 0; i < topology->meter_count; i++)
		topology->meters[i]->seen = false;
	for (size_t i = 0; i < count; i++)
	{
		Gateway *gateway = find_gateway(topology, plans[i].gateway_id);
		Meter *meter = topology_meter(topology, plans[i].id);
		uint8_t station[DLT645_ADDRESS];
		Profile *profile = usable_profile(topology, &plans[i], station);

		if (!meter)
		{
			meter = mem_alloc0(sizeof(*meter));
			meter->id = plans[i].id;
		}
		meter_update(meter, &plans[i], gateway, station, profile);
		meters[used++] = meter;
	}
	for (int i = 0; i < topology->meter_count; i++)
	{
		if (!topology->meters[i]->seen)
			meter_free(topology->meters[i]);
	}
	free(topology->meters);
	topology->meters = meters;
	topology->meter_count = used;
	qsort(meters, (size_t) used, sizeof(*meters), compare_meters);
}

static int
compare_ints(const void *left, const void *right)
{
	return (*(const int *) left > *(const int *) right) -
		   (*(const int *) left < *(const int *) right);
}

/* Ids are unique and every meter's gateway is in the plan. */
static bool
check_references(const GatewayPlan *gateways, size_t gateway_count, const MeterPlan *meters,
				 size_t meter_count, JsonFault *fault)
{
	int *ids = mem_alloc((gateway_count + meter_count + 1) * sizeof(*ids));
	int *meter_ids = ids + gateway_count;

	for (size_t i = 0; i < gateway_count; i++)
		ids[i] = gateways[i].id;
	for (size_t i = 0; i < meter_count; i++)
		meter_ids[i] = meters[i].id;
	qsort(ids, gateway_count, sizeof(*ids), compare_ints);
	qsort(meter_ids, meter_count, sizeof(*ids), compare_ints);
	for (size_t i = 1; i < gateway_count; i++)
	{
		if (ids[i] == ids[i - 1])
			jpath_fault(fault, "gateways", "gateway_id %d is there twice", ids[i]);
	}
	for (size_t i = 1; i < meter_count; i++)
	{
		if (meter_ids[i] == meter_ids[i - 1])
			jpath_fault(fault, "meters", "meter_id %d is there twice", meter_ids[i]);
	}
	for (size_t i = 0; i < meter_count; i++)
	{
		if (!bsearch(&meters[i].gateway_id, ids, gateway_count, sizeof(*ids), compare_ints))
			jpath_fault(fault, "meters", "meter %d names gateway %d, which is not in the plan",
						meters[i].id, meters[i].gateway_id);
	}
	free(ids);
	return !fault->found;
}

bool
topology_apply(Agent *agent, const json_t *plan, JsonFault *fault)
{
	json_t *gateway_list = json_object_get(plan, "gateways");
	json_t *meter_list = json_object_get(plan, "meters");
	json_t *models = json_object_get(plan, "models");
	size_t gateway_count = json_array_size(gateway_list);
	size_t meter_count = json_array_size(meter_list);
	GatewayPlan *gateways;
	MeterPlan *meters;

	fault->found = false;
	gateways = gateway_plan_parse(gateway_list, fault);
	meters = parse_meters(meter_list, fault);
	if (!json_is_object(models))
		jpath_fault(fault, "models", "must be an object");
	if (!fault->found && check_references(gateways, gateway_count, meters, meter_count, fault))
	{
		apply_models(agent->topology, models);
		apply_gateways(agent, gateways, gateway_count);
		apply_meters(agent, meters, meter_count);
		free_unseen_gateways(agent->topology);
		line_free_idle(agent->topology);
		line_refresh_limits(agent);
	}
	free(gateways);
	free(meters);
	return !fault->found;
}

void
topology_free(Agent *agent)
{
	Topology *topology = agent->topology;

	for (int i = 0; i < topology->meter_count; i++)
		meter_free(topology->meters[i]);
	free(topology->meters);
	for (int i = 0; i < topology->gateway_count; i++)
		gateway_free(topology->gateways[i]);
	free(topology->gateways);
	line_free_idle(topology);
	drop_profiles(topology->profiles, topology->profile_codes, topology->profile_count);
	json_decref(topology->models);
	free(topology);
	agent->topology = NULL;
}
