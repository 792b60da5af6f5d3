/*
 * config.c: lines "gateway", "meter" and "control".
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "decimal.h"
#include "log.h"
#include "model.h"
#include "setting.h"

#define LINE_MAX_BYTES 1024
#define DEFAULT_PRICE_E4 6000
#define DEFAULT_MEAN_MW 1000000 /* 1 kW */
#define UNIT_MAX 247

int
config_split(char *line, char *words[CONFIG_WORDS_MAX])
{
	int count = 0;

	line[strcspn(line, "#\r\n")] = '\0';
	for (;;)
	{
		while (isspace((unsigned char) *line))
			*line++ = '\0';
		if (*line == '\0')
			return count;
		if (count == CONFIG_WORDS_MAX)
			return -1;
		words[count++] = line;
		while (*line != '\0' && !isspace((unsigned char) *line))
			line++;
	}
}

static bool
parse_address(const char *text, struct sockaddr_storage *address, int *length)
{
	*length = (int) sizeof(*address);
	return strchr(text, ':') != NULL &&
		   evutil_parse_sockaddr_port(text, (struct sockaddr *) address, length) == 0;
}

/* gateway CODE HOST:PORT [unknown=silence|unknown=exception|rtu|rtu=BAUD] */
static bool
add_gateway(World *world, char *const *words, int count, char *error, size_t size)
{
	Gateway *gateway;

	if (count < 3 || count > 4)
	{
		snprintf(
			error, size,
			"expected: gateway CODE HOST:PORT [unknown=silence|unknown=exception|rtu|rtu=BAUD]");
		return false;
	}
	gateway = world_add_gateway(world, words[1]);
	if (gateway == NULL || strlen(words[2]) >= sizeof(gateway->address_text) ||
		!parse_address(words[2], &gateway->address, &gateway->address_length))
	{
		snprintf(error, size, "bad code or address: %s %s", words[1], words[2]);
		return false;
	}
	strcpy(gateway->address_text, words[2]);
	if (count == 4)
	{
		int64_t baud = 0;

		gateway->rtu =
			strcmp(words[3], "rtu") == 0 ||
			(strncmp(words[3], "rtu=", 4) == 0 && integer_parse(words[3] + 4, 300, 921600, &baud));
		gateway->baud = (int) baud;
		gateway->unknown_silent = gateway->rtu || strcmp(words[3], "unknown=silence") == 0;
		if (!gateway->unknown_silent && strcmp(words[3], "unknown=exception") != 0)
		{
			snprintf(error, size, "unknown setting %s", words[3]);
			return false;
		}
	}
	return true;
}

static uint64_t
code_hash(const char *code)
{
	uint64_t hash = 0;

	for (; *code != '\0'; code++)
		hash = load_hash(hash, (uint8_t) *code);
	return hash;
}

/* Gateways come before their meters, so the last one is almost always the one looked for. */
static Gateway *
find_gateway(const World *world, const char *code)
{
	for (int i = world->gateways - 1; i >= 0; i--)
		if (strcmp(world->gateway[i]->code, code) == 0)
			return world->gateway[i];
	return NULL;
}

static bool
init_meter(const World *world, Meter *meter, char *const *settings, int count, char *error,
		   size_t size)
{
	meter->shape = LOAD_FLAT;
	meter->mean_mw = DEFAULT_MEAN_MW;
	meter->noise_key = load_hash(world->seed, code_hash(meter->code));
	meter->utc_offset_s = world->clock.utc_offset_s;
	meter->integrated_us = world->clock.business_us;
	meter->ratio = 1;
	meter->rollover = decimal_power10(meter->model->digits);
	meter->price_e4 = DEFAULT_PRICE_E4;
	meter->contact_closed = true;
	if (!setting_apply(meter, SETTING_CONFIG, settings, count, error, size))
		return false;
	/* A meter that was given money lives on it; any other is the server's. */
	if (!setting_given(settings, count, "forced"))
		meter->forced = meter->model->has_relay && meter->balance_e10 <= 0;
	meter->contact_closed = true;
	meter->close_permitted = false;
	meter_settle(meter);
	return true;
}

/* meter CODE GATEWAY UNIT MODEL key=value... */
static bool
add_meter(World *world, char *const *words, int count, char *error, size_t size)
{
	Gateway *gateway;
	Meter *meter;
	int64_t unit;

	if (count < 5)
	{
		snprintf(error, size, "expected: meter CODE GATEWAY UNIT MODEL key=value...");
		return false;
	}
	gateway = find_gateway(world, words[2]);
	if (gateway == NULL)
		snprintf(error, size, "unknown gateway %s", words[2]);
	else if (!integer_parse(words[3], 1, UNIT_MAX, &unit))
		snprintf(error, size, "unit %s is not within 1 and %d", words[3], UNIT_MAX);
	else if (gateway->meter[unit] != NULL)
		snprintf(error, size, "unit %s of gateway %s is taken", words[3], words[2]);
	else if (model_find(words[4]) == NULL)
		snprintf(error, size, "unknown model %s", words[4]);
	else if ((meter = world_add_meter(world, words[1])) == NULL)
		snprintf(error, size, "bad meter code %s", words[1]);
	else
	{
		meter->model = model_find(words[4]);
		meter->unit = (uint8_t) unit;
		gateway->meter[unit] = meter;
		return init_meter(world, meter, words + 5, count - 5, error, size);
	}
	return false;
}

static bool
handle_line(World *world, char *line, char *error, size_t size)
{
	char *words[CONFIG_WORDS_MAX];
	int count = config_split(line, words);

	if (count == 0)
		return true;
	if (count > 0 && strcmp(words[0], "gateway") == 0)
		return add_gateway(world, words, count, error, size);
	if (count > 0 && strcmp(words[0], "meter") == 0)
		return add_meter(world, words, count, error, size);
	if (count == 2 && strcmp(words[0], "control") == 0 && world->control_length == 0 &&
		parse_address(words[1], &world->control_address, &world->control_length))
		return true;
	snprintf(error, size, "expected a gateway, meter or (once) control HOST:PORT line");
	return false;
}

static bool
load_lines(FILE *file, const char *path, World *world)
{
	char line[LINE_MAX_BYTES];
	char error[256];

	for (int number = 1; fgets(line, sizeof(line), file) != NULL; number++)
	{
		if (strchr(line, '\n') == NULL && !feof(file))
			snprintf(error, sizeof(error), "line is too long");
		else if (handle_line(world, line, error, sizeof(error)))
			continue;
		log_line("event=config_error file=%s line=%d error=\"%s\"", path, number, error);
		return false;
	}
	return ferror(file) == 0;
}

bool
config_load(const char *path, World *world)
{
	FILE *file = fopen(path, "re");
	const char *duplicate;
	bool loaded;

	if (file == NULL)
	{
		log_line("event=config_error file=%s error=\"%s\"", path, strerror(errno));
		return false;
	}
	loaded = load_lines(file, path, world);
	fclose(file);
	if (loaded && !world_index(world, &duplicate))
	{
		log_line("event=config_error file=%s error=\"code %s is used twice\"", path, duplicate);
		return false;
	}
	return loaded;
}
