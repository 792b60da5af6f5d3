/*
 * profile.c
 *		Meter profile: parsing of blocks and points, decoding of registers.
 */
#include "profile.h"

#include "buf.h"
#include "clock_fields.h"
#include "dlt645.h"
#include "planner.h"
#include "profile_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct
{
	const char *name;
	PointRole role;
} roles[] = {
	{ "kwh", ROLE_KWH },
	{ "reverse_kwh", ROLE_REVERSE_KWH },
	{ "period_kwh", ROLE_PERIOD_KWH },
	{ "kw", ROLE_KW },
	{ "relay_closed", ROLE_RELAY_CLOSED },
	{ "meter_balance", ROLE_METER_BALANCE },
	{ "purchase_count", ROLE_PURCHASE_COUNT },
	{ "meter_clock", ROLE_METER_CLOCK },
};

static const struct
{
	const char *prefix;
	ValueKind kind;
	const char *bits; /* widths there are */
} value_types[] = {
	{ "u", VALUE_UNSIGNED, " 8 16 24 32 64 " },
	{ "i", VALUE_SIGNED, " 16 32 64 " },
	{ "f", VALUE_FLOAT, " 32 64 " },
	{ "bcd", VALUE_BCD, " 8 16 24 32 48 " },
	{ "sbcd", VALUE_SIGNED_BCD, " 16 24 32 " },
};

/* [["0x0051", "0x0056"]]: ranges of registers that no request may touch. */
static void
parse_forbidden(Profile *profile, const json_t *list, JsonFault *fault)
{
	size_t index;
	json_t *item;

	if (list && (!json_is_array(list) || json_array_size(list) > PROFILE_MAX_FORBIDDEN))
		jpath_fault(fault, "limits", "\"forbid\" must be an array of at most %d ranges",
					PROFILE_MAX_FORBIDDEN);
	json_array_foreach(list, index, item)
	{
		const char *first = json_string_value(json_array_get(item, 0));
		const char *last = json_string_value(json_array_get(item, 1));
		uint64_t range[2];

		if (fault->found)
			return;
		if (json_array_size(item) != 2 || !first || !last || !jpath_hex(first, &range[0]) ||
			!jpath_hex(last, &range[1]) || range[0] > range[1] || range[1] > UINT16_MAX)
			jpath_fault(fault, "limits",
						"\"forbid\" must be pairs of addresses, [\"0x..\", \"0x..\"]");
		profile->forbid[profile->forbidden].first = (uint16_t) range[0];
		profile->forbid[profile->forbidden++].last = (uint16_t) range[1];
	}
}

static void
parse_limits(Profile *profile, const json_t *limits, JsonFault *fault)
{
	static const char *const known[] = { "max_regs",  "max_gap",	"gap_ms", "timeout_ms", "tries",
										 "tou_slots", "tou_tables", "forbid", NULL };
	const char *path = "limits";

	if (limits)
		jpath_keys(fault, limits, path, known);
	profile->max_registers =
		(int) jpath_int(fault, limits, path, "max_regs", 1, FRAME_READ_MAX, 60);
	profile->max_gap = (int) jpath_int(fault, limits, path, "max_gap", 0, 64, 0);
	profile->gap_ms = (int) jpath_int(fault, limits, path, "gap_ms", 0, 5000, 0);
	profile->timeout_ms = (int) jpath_int(fault, limits, path, "timeout_ms", 10, 30000, 1000);
	profile->tries = (int) jpath_int(fault, limits, path, "tries", 1, 5, 2);
	jpath_int(fault, limits, path, "tou_slots", 0, 64, 0);
	jpath_int(fault, limits, path, "tou_tables", 0, 8, 0);
	parse_forbidden(profile, json_object_get(limits, "forbid"), fault);
}

static void
parse_serial(const json_t *serial, JsonFault *fault)
{
	static const char *const known[] = { "baud", "parity", "stop", NULL };
	char parity[4];

	if (!serial || !jpath_keys(fault, serial, "serial", known))
		return;
	jpath_int(fault, serial, "serial", "baud", 300, 921600, 9600);
	jpath_int(fault, serial, "serial", "stop", 1, 2, 1);
	jpath_text(fault, serial, "serial", "parity", true, parity, sizeof(parity));
	if (parity[0] && (parity[1] || !strchr("NEO", parity[0])))
		jpath_fault(fault, "serial", "\"parity\" must be N, E or O");
}

static void
parse_registers(const Profile *profile, ProfileBlock *block, const json_t *item, const char *path,
				JsonFault *fault)
{
	block->function = (uint8_t) jpath_int(fault, item, path, "fc", 3, 4, -1);
	block->address = (uint32_t) jpath_int(fault, item, path, "addr", 0, UINT16_MAX, -1);
	block->count = (uint16_t) jpath_int(fault, item, path, "n", 1, profile->max_registers, -1);
	if (block->address + block->count > 65536)
		jpath_fault(fault, path, "runs past address 0xFFFF");
}

static void
parse_blocks(Profile *profile, const json_t *blocks, JsonFault *fault)
{
	static const char *const modbus[] = { "id", "fc", "addr", "n", "polled", NULL };
	static const char *const dlt645[] = { "id", "di", "n", "polled", NULL };
	bool registers = profile->protocol == FRAME_MODBUS;
	size_t index;
	json_t *item;

	if (!json_is_array(blocks) || json_array_size(blocks) == 0 ||
		json_array_size(blocks) > PROFILE_MAX_BLOCKS)
	{
		jpath_fault(fault, "blocks", "must be an array of 1 to %d blocks", PROFILE_MAX_BLOCKS);
		return;
	}
	json_array_foreach(blocks, index, item)
	{
		ProfileBlock *block = &profile->block[index];
		char path[JPATH_SIZE];

		snprintf(path, sizeof(path), "blocks[%zu]", index);
		if (!jpath_keys(fault, item, path, registers ? modbus : dlt645))
			return;
		jpath_text(fault, item, path, "id", false, block->id, sizeof(block->id));
		block->polled = jpath_bool(fault, item, path, "polled", true);
		if (registers)
			parse_registers(profile, block, item, path, fault);
		else
		{
			block->function = DLT645_READ;
			block->address = (uint32_t) jpath_int(fault, item, path, "di", 0, UINT32_MAX, -1);
			block->count = (uint16_t) jpath_int(fault, item, path, "n", 1, DLT645_DATA_MAX - 4, -1);
		}
		for (size_t other = 0; other < index; other++)
		{
			if (strcmp(profile->block[other].id, block->id) == 0)
				jpath_fault(fault, path, "id \"%s\" is used twice", block->id);
		}
		profile->blocks++;
	}
}

/* "block+offset", counted in registers, or in bytes where there are none. */
static void
parse_position(const Profile *profile, ProfilePoint *point, const char *at, const char *path,
			   JsonFault *fault)
{
	const char *plus = strchr(at, '+');
	char *end = NULL;
	long offset = plus ? strtol(plus + 1, &end, 10) : 0;
	long unit = profile->protocol == FRAME_MODBUS ? 2 : 1;

	if (!plus || end == plus + 1 || *end || offset < 0)
	{
		jpath_fault(fault, path, "\"at\" must be \"block+offset\"");
		return;
	}
	for (int i = 0; i < profile->blocks; i++)
	{
		const ProfileBlock *block = &profile->block[i];

		if (strlen(block->id) != (size_t) (plus - at) ||
			strncmp(block->id, at, (size_t) (plus - at)) != 0)
			continue;
		if (offset * unit + point->bytes > block->count * unit)
			jpath_fault(fault, path, "\"at\" runs past the end of block \"%s\"", block->id);
		point->block = i;
		point->offset = (uint16_t) (offset * unit);
		return;
	}
	jpath_fault(fault, path, "\"at\" names no block");
}

/* "CDAB": the first byte on the wire is the third most significant. */
static void
parse_order(ProfilePoint *point, const char *order, bool reversed, const char *path,
			JsonFault *fault)
{
	static const char low_first[] = "HGFEDCBA";
	size_t bytes = point->bytes;
	unsigned seen = 0;

	if (point->kind >= VALUE_CLOCK_BCD)
		return;
	if (!order[0])
		order = reversed ? low_first + sizeof(low_first) - 1 - bytes : "ABCDEFGH";
	else if (strlen(order) != bytes)
	{
		jpath_fault(fault, path, "\"order\" must have %zu letters", bytes);
		return;
	}
	for (size_t i = 0; i < bytes; i++)
	{
		unsigned letter = (unsigned) (order[i] - 'A');

		if (letter >= bytes || seen & 1U << letter)
		{
			jpath_fault(fault, path, "\"order\" must name each byte once, A the highest");
			return;
		}
		seen |= 1U << letter;
		point->order[i] = (uint8_t) letter;
	}
}

static void
parse_map(ProfilePoint *point, const json_t *map, const char *path, JsonFault *fault)
{
	const char *key;
	json_t *value;

	if (!map)
		return;
	if (!json_is_object(map) || json_object_size(map) == 0 ||
		json_object_size(map) > PROFILE_MAX_MAPPED || point->kind != VALUE_UNSIGNED)
	{
		jpath_fault(fault, path, "\"map\" must be 1 to %d raw values of an unsigned point",
					PROFILE_MAX_MAPPED);
		return;
	}
	json_object_foreach((json_t *) map, key, value)
	{
		if (!jpath_hex(key, &point->map[point->mapped].raw) || !json_is_boolean(value))
		{
			jpath_fault(fault, path, "\"map\" must be {\"0x..\": true or false}");
			return;
		}
		point->map[point->mapped++].flag = json_is_true(value);
	}
}

static void
parse_clock_type(ProfilePoint *point, const json_t *item, const char *path, JsonFault *fault)
{
	jpath_text(fault, item, path, "format", false, point->format, sizeof(point->format));
	point->bytes = (uint8_t) (strlen(point->format) / 2);
	if (!clock_format_good(point->format, true))
		jpath_fault(fault, path, "\"format\" must name each byte: YY MM DD WW hh mm ss or --");
}

static void
parse_value_type(ProfilePoint *point, const json_t *item, const char *path, JsonFault *fault)
{
	char type[16];
	char bits[20];
	size_t prefix;

	jpath_text(fault, item, path, "type", false, type, sizeof(type));
	point->bytes = 1;
	if (strcmp(type, "clock_bcd") == 0 || strcmp(type, "clock_bin") == 0)
	{
		point->kind = type[7] == 'c' ? VALUE_CLOCK_BCD : VALUE_CLOCK_BIN;
		parse_clock_type(point, item, path, fault);
		return;
	}
	if (json_object_get(item, "format"))
		jpath_fault(fault, path, "\"format\" is for clock_bcd and clock_bin");
	prefix = strcspn(type, "0123456789");
	snprintf(bits, sizeof(bits), " %s ", type + prefix);
	for (size_t i = 0; i < sizeof(value_types) / sizeof(value_types[0]); i++)
	{
		if (strlen(value_types[i].prefix) != prefix ||
			strncmp(value_types[i].prefix, type, prefix) != 0 || !strstr(value_types[i].bits, bits))
			continue;
		point->kind = value_types[i].kind;
		point->bytes = (uint8_t) (atoi(type + prefix) / 8);
		return;
	}
	jpath_fault(fault, path, "unknown type \"%s\"", type);
}

static void
parse_scale(ProfilePoint *point, const json_t *item, const char *path, JsonFault *fault)
{
	char hex[24];

	point->exp10 = (int) jpath_int(fault, item, path, "exp10", -9, 6, 0);
	if (point->kind == VALUE_FLOAT)
	{
		int least = point->exp10 < 0 ? -point->exp10 : 0;

		point->decimals = (int) jpath_int(fault, item, path, "decimals", least,
										  DECIMAL_MAX_DECIMALS, least > 3 ? least : 3);
	}
	else if (json_object_get(item, "decimals"))
		jpath_fault(fault, path, "\"decimals\" is for f32 and f64; others have -exp10");
	jpath_text(fault, item, path, "invalid", true, hex, sizeof(hex));
	point->has_invalid = hex[0] != '\0';
	if (point->has_invalid && !jpath_hex(hex, &point->invalid))
		jpath_fault(fault, path, "\"invalid\" must be \"0x..\"");
	jpath_text(fault, item, path, "mask", true, hex, sizeof(hex));
	point->mask = UINT64_MAX;
	if (hex[0] && (point->kind != VALUE_UNSIGNED || !jpath_hex(hex, &point->mask)))
		jpath_fault(fault, path, "\"mask\" must be \"0x..\" on an unsigned point");
}

static void
parse_role(Profile *profile, ProfilePoint *point, const json_t *item, const char *path,
		   JsonFault *fault)
{
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
	{
		if (strcmp(roles[i].name, point->name) == 0)
			point->role = roles[i].role;
	}
	if (point->role == ROLE_PERIOD_KWH)
	{
		point->period = (int) jpath_int(fault, item, path, "index", 1, PROFILE_MAX_PERIODS, -1);
		if (point->period > profile->periods)
			profile->periods = point->period;
	}
	else if (json_object_get(item, "index") || json_object_get(item, "period"))
		jpath_fault(fault, path, "\"index\" and \"period\" belong to period_kwh only");
	if ((point->role == ROLE_RELAY_CLOSED) != (point->mapped > 0) && point->role != ROLE_OTHER)
		jpath_fault(fault, path, "relay_closed needs a \"map\", the other readings have none");
	if ((point->role == ROLE_PURCHASE_COUNT || point->role == ROLE_METER_CLOCK) &&
		(point->kind == VALUE_FLOAT || point->exp10 != 0))
		jpath_fault(fault, path, "must be an integer without exp10");
	if (point->kind >= VALUE_CLOCK_BCD && point->role != ROLE_METER_CLOCK)
		jpath_fault(fault, path, "a clock is the \"meter_clock\"");
	for (int other = 0; other < profile->points; other++)
	{
		if (strcmp(profile->point[other].name, point->name) == 0 &&
			profile->point[other].period == point->period)
			jpath_fault(fault, path, "point \"%s\" is there twice", point->name);
	}
}

static void
parse_point(Profile *profile, const json_t *item, const char *path, JsonFault *fault)
{
	static const char *const known[] = { "name",	 "index",	"period",  "at",	"type",
										 "order",	 "exp10",	"mask",	   "unit",	"map",
										 "decimals", "modulus", "invalid", "title", "obis",
										 "verified", "format",	NULL };
	ProfilePoint *point = &profile->point[profile->points];
	char at[PROFILE_NAME_SIZE + 8];
	char order[12];
	char text[64];

	if (!jpath_keys(fault, item, path, known))
		return;
	jpath_text(fault, item, path, "name", false, point->name, sizeof(point->name));
	jpath_text(fault, item, path, "at", false, at, sizeof(at));
	jpath_text(fault, item, path, "order", true, order, sizeof(order));
	jpath_text(fault, item, path, "unit", true, text, sizeof(text));
	jpath_text(fault, item, path, "period", true, text, sizeof(text));
	jpath_text(fault, item, path, "title", true, text, sizeof(text));
	jpath_text(fault, item, path, "obis", true, text, sizeof(text));
	jpath_text(fault, item, path, "modulus", true, text, sizeof(text));
	jpath_bool(fault, item, path, "verified", true);
	parse_value_type(point, item, path, fault);
	if (profile->protocol == FRAME_MODBUS && point->bytes % 2 && !fault->found)
		jpath_fault(fault, path, "the type must fill whole registers");
	parse_position(profile, point, at, path, fault);
	parse_order(point, order, profile->protocol == FRAME_DLT645, path, fault);
	parse_scale(point, item, path, fault);
	parse_map(point, json_object_get(item, "map"), path, fault);
	parse_role(profile, point, item, path, fault);
	profile->points++;
}

static void
parse_points(Profile *profile, const json_t *points, JsonFault *fault)
{
	size_t index;
	json_t *item;
	int kwh;

	if (!json_is_array(points) || json_array_size(points) > PROFILE_MAX_POINTS)
	{
		jpath_fault(fault, "points", "must be an array of 1 to %d points", PROFILE_MAX_POINTS);
		return;
	}
	json_array_foreach(points, index, item)
	{
		char path[JPATH_SIZE];

		snprintf(path, sizeof(path), "points[%zu]", index);
		parse_point(profile, item, path, fault);
		if (fault->found)
			return;
	}
	kwh = profile_point_index(profile, "kwh", 0);
	if (kwh < 0 || !profile->block[profile->point[kwh].block].polled)
		jpath_fault(fault, "points", "a point \"kwh\" in a polled block is missing");
	for (int period = 1; period <= profile->periods; period++)
	{
		if (profile_point_index(profile, "period_kwh", period) < 0)
			jpath_fault(fault, "points", "period_kwh has no index %d", period);
	}
}

/* The replay of vectors is the tests' work; here only their shape is checked. */
static void
check_vectors(const json_t *vectors, JsonFault *fault)
{
	static const char *const known[] = { "block",	"command",	"args",	  "title",
										 "request", "response", "expect", NULL };
	size_t index;
	json_t *item;

	if (!json_is_array(vectors) || json_array_size(vectors) == 0)
	{
		jpath_fault(fault, "vectors", "must be an array with at least one vector");
		return;
	}
	json_array_foreach(vectors, index, item)
	{
		char path[JPATH_SIZE];
		char hex[2 * FRAME_ADU_MAX + 1];
		uint8_t bytes[FRAME_ADU_MAX];

		snprintf(path, sizeof(path), "vectors[%zu]", index);
		if (!jpath_keys(fault, item, path, known))
			return;
		jpath_text(fault, item, path, "request", false, hex, sizeof(hex));
		if (!fault->found && jpath_bytes(hex, bytes, sizeof(bytes)) == 0)
			jpath_fault(fault, path, "\"request\" is no hex PDU");
		jpath_text(fault, item, path, "response", false, hex, sizeof(hex));
		if (!fault->found && jpath_bytes(hex, bytes, sizeof(bytes)) == 0)
			jpath_fault(fault, path, "\"response\" is no hex PDU");
	}
}

static void
check_source(const json_t *source, JsonFault *fault)
{
	static const char *const known[] = { "what", "ref", NULL };
	size_t index;
	json_t *item;

	if (!json_is_array(source) || json_array_size(source) == 0)
	{
		jpath_fault(fault, "source", "must be an array of {\"what\", \"ref\"}");
		return;
	}
	json_array_foreach(source, index, item)
	{
		char path[JPATH_SIZE];
		char text[512];

		snprintf(path, sizeof(path), "source[%zu]", index);
		if (!jpath_keys(fault, item, path, known))
			return;
		jpath_text(fault, item, path, "what", false, text, sizeof(text));
		jpath_text(fault, item, path, "ref", false, text, sizeof(text));
	}
}

Profile *
profile_parse(const json_t *json, JsonFault *fault)
{
	static const char *const known[] = { "profile",	 "rev",		"title",  "protocol", "serial",
										 "limits",	 "blocks",	"points", "commands", "source",
										 "verified", "vectors", "notes",  NULL };
	Profile *profile = mem_alloc0(sizeof(*profile));
	char text[512];

	fault->found = false;
	fault->text[0] = '\0';
	profile->references = 1;
	if (jpath_keys(fault, json, "", known))
	{
		jpath_text(fault, json, "", "profile", false, profile->code, sizeof(profile->code));
		jpath_text(fault, json, "", "title", false, text, sizeof(text));
		jpath_text(fault, json, "", "protocol", false, text, sizeof(text));
		profile->protocol = strcmp(text, "dlt645") == 0 ? FRAME_DLT645 : FRAME_MODBUS;
		if (!fault->found && strcmp(text, "modbus") != 0 && strcmp(text, "dlt645") != 0)
			jpath_fault(fault, "", "\"protocol\" must be modbus or dlt645");
		profile->revision = (int) jpath_int(fault, json, "", "rev", 1, 1000000, -1);
		profile->verified = jpath_bool(fault, json, "", "verified", false);
		if (!json_object_get(json, "verified"))
			jpath_fault(fault, "", "\"verified\" is missing");
		parse_serial(json_object_get(json, "serial"), fault);
		parse_limits(profile, json_object_get(json, "limits"), fault);
	}
	if (!fault->found)
		parse_blocks(profile, json_object_get(json, "blocks"), fault);
	if (!fault->found)
		parse_points(profile, json_object_get(json, "points"), fault);
	if (!fault->found)
		profile_parse_commands(profile, json_object_get(json, "commands"), fault);
	if (!fault->found)
		check_source(json_object_get(json, "source"), fault);
	if (!fault->found)
		check_vectors(json_object_get(json, "vectors"), fault);
	if (fault->found)
	{
		profile_drop(profile);
		return NULL;
	}
	planner_merge(profile);
	return profile;
}

bool
profile_check(const json_t *json, JsonFault *fault)
{
	Profile *profile = profile_parse(json, fault);

	profile_drop(profile);
	return !fault->found;
}

Profile *
profile_keep(Profile *profile)
{
	if (profile)
		profile->references++;
	return profile;
}

void
profile_drop(Profile *profile)
{
	if (profile && --profile->references == 0)
		free(profile);
}

const ProfileCommand *
profile_command(const Profile *profile, const char *action)
{
	for (int i = 0; i < profile->commands; i++)
	{
		if (strcmp(profile->command[i].action, action) == 0)
			return &profile->command[i];
	}
	return NULL;
}

int
profile_point_index(const Profile *profile, const char *name, int period)
{
	for (int i = 0; i < profile->points; i++)
	{
		if (strcmp(profile->point[i].name, name) == 0 &&
			(period == 0 || profile->point[i].period == period))
			return i;
	}
	return -1;
}
