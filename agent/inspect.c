/*
 * inspect.c
 *		What prepayd shows and checks without running: profiles, configuration, plan.
 */
#include "inspect.h"

#include "agent.h"
#include "buf.h"
#include "gateway_plan.h"
#include "planner.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
inspect_profiles(char **files)
{
	int result = EXIT_SUCCESS;

	for (; *files; files++)
	{
		json_error_t error;
		JsonFault fault;
		json_t *json = json_load_file(*files, JSON_REJECT_DUPLICATES, &error);

		if (!json)
			fprintf(stderr, "%s:%d: %s\n", *files, error.line, error.text);
		else if (!profile_check(json, &fault))
			fprintf(stderr, "%s: %s\n", *files, fault.text);
		else
			printf("%s: ok\n", *files);
		if (!json || fault.found)
			result = EXIT_FAILURE;
		json_decref(json);
	}
	return result;
}

/* Gateways and models of the last plan, where there is one. */
static bool
check_cached_plan(const Config *config)
{
	json_t *cache = plan_cache_read(config->spool);
	const json_t *plan = json_object_get(cache, "plan");
	const json_t *list = json_object_get(plan, "gateways");
	JsonFault fault = { 0 };
	GatewayPlan *gateways = plan ? gateway_plan_parse(list, &fault) : NULL;
	bool good = !fault.found;
	const char *code;
	json_t *model;

	if (fault.found)
		fprintf(stderr, "cached plan: %s\n", fault.text);
	for (size_t i = 0; gateways && i < json_array_size(list); i++)
	{
		if (gateways[i].fault.found)
			fprintf(stderr, "gateway %s: %s\n", gateways[i].code, gateways[i].fault.text);
		good &= !gateways[i].fault.found;
	}
	json_object_foreach(json_object_get(plan, "models"), code, model)
	{
		if (!profile_check(model, &fault))
			fprintf(stderr, "model %s: %s\n", code, fault.text);
		good &= !fault.found;
	}
	free(gateways);
	json_decref(cache);
	return good;
}

int
inspect_config(const Config *config)
{
	char probe[600];
	FILE *file;

	snprintf(probe, sizeof(probe), "%s/.check", config->spool);
	file = fopen(probe, "w");
	if (!file)
	{
		fprintf(stderr, "spool folder %s: %s\n", config->spool, strerror(errno));
		return EXIT_FAILURE;
	}
	fclose(file);
	unlink(probe);
	if (!check_cached_plan(config))
		return EXIT_FAILURE;
	printf("agent %s, spool %s, metrics %s: ok\n", config->name, config->spool,
		   config->metrics[0] ? config->metrics : "off");
	return EXIT_SUCCESS;
}

static json_t *
plan_from_database(const Config *config)
{
	const char *values[] = { config->name };
	PGconn *connection = PQconnectdb(config->conninfo);
	PGresult *result;
	json_error_t error;
	json_t *plan = NULL;

	result =
		PQexecParams(connection, "SELECT prepay.agent_plan($1)", 1, NULL, values, NULL, NULL, 0);
	if (PQresultStatus(result) == PGRES_TUPLES_OK)
		plan = json_loads(PQgetvalue(result, 0, 0), 0, &error);
	else
		fprintf(stderr, "%s", PQerrorMessage(connection));
	PQclear(result);
	PQfinish(connection);
	return plan;
}

static void
describe_model(const char *code, const json_t *model)
{
	JsonFault fault;
	Profile *profile = profile_parse(model, &fault);
	Buf text;

	buf_init(&text);
	printf("model %s", code);
	if (!profile)
		printf(" faulty: %s\n", fault.text);
	else
	{
		printf(" rev=%d verified=%s\n", profile->revision, profile->verified ? "yes" : "no");
		planner_describe(profile, &profile->merged, "  read ", &text);
		for (int i = 0; i < profile->commands; i++)
			buf_printf(&text, "  command %s\n", profile->command[i].action);
		fputs(text.data ? text.data : "", stdout);
	}
	profile_drop(profile);
	buf_free(&text);
}

static void
describe_gateways(const json_t *list)
{
	JsonFault fault = { 0 };
	GatewayPlan *gateways = gateway_plan_parse(list, &fault);

	for (size_t i = 0; i < json_array_size(list); i++)
	{
		const GatewayPlan *gateway = &gateways[i];
		const json_t *item = json_array_get(list, i);

		printf("gateway %s %s %s every %gs %s", gateway->code,
			   json_string_value(json_object_get(item, "transport")), gateway->end.address,
			   (double) gateway->interval / (double) USEC_PER_SEC,
			   gateway->options.spread ? "spread" : "on the grid");
		if (gateway->end.kind == LINK_SERIAL)
			printf(" line=%d%c%d", gateway->end.line.baud, gateway->end.line.parity,
				   gateway->end.line.stop);
		if (gateway->options.window > 1)
			printf(" window=%d", gateway->options.window);
		printf("%s%s%s\n", gateway->end.kind == LINK_TLS ? " tls" : "",
			   gateway->fault.found ? " faulty: " : "", gateway->fault.text);
	}
	free(gateways);
}

int
inspect_plan(const Config *config)
{
	json_t *cache = plan_cache_read(config->spool);
	json_t *plan = json_incref(json_object_get(cache, "plan"));
	const char *source = "cache";
	const char *code;
	json_t *item;
	size_t index;

	json_decref(cache);
	if (!plan)
	{
		source = "database";
		plan = plan_from_database(config);
	}
	if (!plan)
		return EXIT_FAILURE;
	printf("plan revision=%lld source=%s\n",
		   (long long) json_integer_value(json_object_get(plan, "revision")), source);
	describe_gateways(json_object_get(plan, "gateways"));
	json_array_foreach(json_object_get(plan, "meters"), index, item)
		printf("meter %s gateway_id=%lld unit=%lld model=%s\n",
			   json_string_value(json_object_get(item, "code")),
			   (long long) json_integer_value(json_object_get(item, "gateway_id")),
			   (long long) json_integer_value(json_object_get(item, "unit_id")),
			   json_string_value(json_object_get(item, "model")));
	json_object_foreach(json_object_get(plan, "models"), code, item) describe_model(code, item);
	json_decref(plan);
	return EXIT_SUCCESS;
}
