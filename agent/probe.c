/*
 * probe.c
 *		prepayd --probe: one meter read by hand, to see whether wiring and profile are right.
 *
 * It goes through libmodbus and not through the bus, on purpose: where both see the same, neither
 * is at fault. Nothing is written to the meter.
 */
#include "probe.h"

#include "clock.h"
#include "names.h"
#include "profile.h"
#include "reading.h"

#include <errno.h>
#include <modbus.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef PREPAYD_PROFILES
#define PREPAYD_PROFILES "/usr/local/share/prepayd/profiles"
#endif

#define REGISTERS_MAX 125

static Profile *
load_profile(const char *name)
{
	char path[600];
	json_error_t error;
	JsonFault fault;
	json_t *json;
	Profile *profile;

	if (strchr(name, '/') || access(name, R_OK) == 0)
		snprintf(path, sizeof(path), "%s", name);
	else
		snprintf(path, sizeof(path), "%s/%s.json", PREPAYD_PROFILES, name);
	json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!json)
	{
		fprintf(stderr, "%s: %s\n", path, error.text);
		return NULL;
	}
	profile = profile_parse(json, &fault);
	json_decref(json);
	if (!profile)
		fprintf(stderr, "%s: %s\n", path, fault.text);
	else if (profile->protocol != FRAME_MODBUS)
	{
		fprintf(stderr, "%s: --probe speaks Modbus only\n", path);
		profile_drop(profile);
		return NULL;
	}
	return profile;
}

/* A device takes its line settings as /dev/ttyS0,9600,E,1. */
static modbus_t *
make_serial(const char *address)
{
	char device[256];
	int baud = 9600;
	char parity = 'N';
	int stop = 1;

	if (sscanf(address, "%255[^,],%d,%c,%d", device, &baud, &parity, &stop) < 1)
		return NULL;
	return modbus_new_rtu(device, baud, parity, 8, stop);
}

static modbus_t *
make_connection(const char *address)
{
	char host[256];
	char port[16];

	if (address[0] == '/')
		return make_serial(address);
	if (!names_split(address, host, sizeof(host), port, sizeof(port)))
	{
		fprintf(stderr, "%s: expected host:port or a device\n", address);
		return NULL;
	}
	return modbus_new_tcp_pi(host, port);
}

static void
print_point(const Profile *profile, const ProfilePoint *point, const ProfileRequest *request,
			const uint8_t *data)
{
	PointValue value;
	char text[CLOCK_TEXT_SIZE];

	if (!profile_point_value(profile, point, request, data, &value))
		return;
	if (point->mapped)
		snprintf(text, sizeof(text), "%s",
				 value.flag < 0 ? "unknown"
				 : value.flag	? "true"
								: "false");
	else if (!value.number.known)
		snprintf(text, sizeof(text), "unknown");
	else if (point->role == ROLE_METER_CLOCK)
		clock_format(value.number.units * USEC_PER_SEC, text);
	else
		decimal_format(value.number, text);
	printf("  %s", point->name);
	if (point->period)
		printf(" %d", point->period);
	printf(" = %s\n", text);
}

static bool
read_block(modbus_t *connection, const Profile *profile, const ProfileBlock *block)
{
	ProfileRequest request = { block->function, block->address, block->count, false };
	uint16_t registers[REGISTERS_MAX];
	uint8_t data[2 * REGISTERS_MAX];
	int count =
		block->function == 4
			? modbus_read_input_registers(connection, (int) block->address, block->count, registers)
			: modbus_read_registers(connection, (int) block->address, block->count, registers);

	printf("block %s: fc=%u addr=0x%04X n=%u", block->id, block->function, block->address,
		   block->count);
	if (count != block->count)
	{
		printf(": %s\n", modbus_strerror(errno));
		return false;
	}
	printf(" :");
	for (int i = 0; i < count; i++)
	{
		frame_put16(data + 2 * i, registers[i]);
		printf(" %04X", registers[i]);
	}
	printf("\n");
	for (int i = 0; i < profile->points; i++)
		print_point(profile, &profile->point[i], &request, data);
	return true;
}

int
probe(const char *address, const char *unit, const char *name)
{
	Profile *profile = load_profile(name);
	modbus_t *connection = profile ? make_connection(address) : NULL;
	char *end;
	long number = strtol(unit, &end, 10);
	int result = EXIT_SUCCESS;

	if (!profile || !connection || *end || number < 0 || number > 255)
	{
		if (profile && connection)
			fprintf(stderr, "%s: a unit is a number of 0 to 255\n", unit);
		profile_drop(profile);
		modbus_free(connection);
		return 2;
	}
	modbus_set_slave(connection, (int) number);
	modbus_set_response_timeout(connection, (uint32_t) profile->timeout_ms / 1000,
								(uint32_t) profile->timeout_ms % 1000 * 1000);
	if (modbus_connect(connection) != 0)
	{
		fprintf(stderr, "%s: %s\n", address, modbus_strerror(errno));
		result = EXIT_FAILURE;
	}
	for (int i = 0; i < profile->blocks && modbus_get_socket(connection) >= 0; i++)
	{
		if (!read_block(connection, profile, &profile->block[i]))
			result = EXIT_FAILURE;
	}
	modbus_close(connection);
	modbus_free(connection);
	profile_drop(profile);
	return result;
}
