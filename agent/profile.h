/*
 * profile.h
 *		Meter profile: what to read, what it means, what may be written.
 *
 * Parsed from the JSON of agent/profiles (schema: agent/profiles/README.md). Immutable after
 * parsing and counted by reference, so that a poll or command in progress outlives a new plan.
 */
#ifndef PREPAYD_PROFILE_H
#define PREPAYD_PROFILE_H

#include "decimal.h"
#include "frame.h"
#include "jpath.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROFILE_CODE_SIZE 64
#define PROFILE_NAME_SIZE 32
#define PROFILE_MAX_BLOCKS 16
#define PROFILE_MAX_POINTS 48
#define PROFILE_MAX_COMMANDS 12
#define PROFILE_MAX_STEPS 4
#define PROFILE_MAX_CHECKS 4
#define PROFILE_MAX_TOKENS 16
#define PROFILE_MAX_ARGS 8
#define PROFILE_MAX_MAPPED 8
#define PROFILE_MAX_PERIODS 8

typedef enum PointRole
{
	ROLE_OTHER, /* readable by guards, checks and vectors; not part of a reading */
	ROLE_KWH,
	ROLE_REVERSE_KWH,
	ROLE_PERIOD_KWH,
	ROLE_KW,
	ROLE_RELAY_CLOSED,
	ROLE_METER_BALANCE,
	ROLE_PURCHASE_COUNT,
	ROLE_METER_CLOCK
} PointRole;

typedef enum ValueKind
{
	VALUE_UNSIGNED,
	VALUE_SIGNED,
	VALUE_FLOAT,
	VALUE_BCD
} ValueKind;

typedef struct ProfileBlock
{
	char id[PROFILE_NAME_SIZE];
	uint8_t function;
	uint16_t address;
	uint16_t count;
	bool polled;
} ProfileBlock;

typedef struct ProfilePoint
{
	char name[PROFILE_NAME_SIZE];
	PointRole role;
	int period; /* 1.. for ROLE_PERIOD_KWH */
	int block;	/* index of the block that holds it */
	uint8_t function;
	uint16_t address;
	uint8_t registers;
	ValueKind kind;
	uint8_t order[8]; /* order[i]: significance of wire byte i, 0 = most significant */
	int exp10;
	int decimals; /* floats only: decimals kept */
	uint64_t mask;
	bool has_invalid;
	uint64_t invalid; /* raw value by which the meter says "no value" */
	int mapped;		  /* > 0: the point is a flag, known only for these raw values */
	struct
	{
		uint64_t raw;
		bool flag;
	} map[PROFILE_MAX_MAPPED];
} ProfilePoint;

typedef struct ProfileArg
{
	char name[PROFILE_NAME_SIZE];
	int decimals; /* the argument is sent as an integer of 10^-decimals */
	int64_t min;
	int64_t max;
} ProfileArg;

typedef struct ProfileToken
{
	uint8_t width; /* bytes on the wire: 2 or 4 */
	int arg;	   /* index of the argument, -1: literal */
	uint32_t literal;
} ProfileToken;

typedef struct ProfileData
{
	int tokens;
	ProfileToken token[PROFILE_MAX_TOKENS];
} ProfileData;

typedef struct ProfileStep
{
	uint8_t function;
	uint16_t address;
	uint16_t answer_pdu; /* PDU bytes of a vendor answer, 0: any */
	ProfileData data;
} ProfileStep;

typedef struct ProfileCheck
{
	int point; /* index; -1: registers are compared with `data` */
	int arg;   /* the argument the point must equal */
	uint8_t function;
	uint16_t address;
	uint16_t count;
	ProfileData data;
} ProfileCheck;

typedef struct ProfileCommand
{
	char action[PROFILE_NAME_SIZE];
	int args;
	ProfileArg arg[PROFILE_MAX_ARGS];
	bool guarded; /* counter guard: point == arg done already, == arg - 1 may write */
	int guard_point;
	int guard_arg;
	int steps;
	ProfileStep step[PROFILE_MAX_STEPS];
	int checks;
	ProfileCheck check[PROFILE_MAX_CHECKS];
	int settle_ms; /* between the write and the first read-back */
	int retry_ms;  /* between read-backs that do not agree yet */
	int tries;
} ProfileCommand;

typedef struct ProfileRequest
{
	uint8_t function;
	uint16_t address;
	uint16_t count;
	bool has_kwh;
} ProfileRequest;

typedef struct RequestList
{
	int count;
	ProfileRequest request[PROFILE_MAX_BLOCKS];
} RequestList;

typedef struct Profile
{
	int references;
	char code[PROFILE_CODE_SIZE];
	int revision;
	FrameProtocol protocol;
	bool verified;
	int max_registers;
	int max_gap; /* registers outside every block that one request may include */
	int gap_ms;	 /* silence the device needs between requests */
	int timeout_ms;
	int tries; /* attempts of a periodic read of a healthy meter */
	int blocks;
	ProfileBlock block[PROFILE_MAX_BLOCKS];
	int points;
	ProfilePoint point[PROFILE_MAX_POINTS];
	int periods; /* highest ROLE_PERIOD_KWH index */
	int commands;
	ProfileCommand command[PROFILE_MAX_COMMANDS];
	RequestList merged; /* what a poll sends */
	RequestList plain;	/* one request per block, for meters that refuse the merged ones */
} Profile;

/* A decoded point: a number, or a flag when the point has a map. */
typedef struct PointValue
{
	Decimal number;
	int flag; /* 1, 0, -1 unknown or no flag */
} PointValue;

/* NULL with a fault (path and reason) when the profile is wrong anywhere; else one reference. */
Profile *profile_parse(const json_t *json, JsonFault *fault);
bool profile_check(const json_t *json, JsonFault *fault);
Profile *profile_keep(Profile *profile);
void profile_drop(Profile *profile);

const ProfileCommand *profile_command(const Profile *profile, const char *action);
int profile_point_index(const Profile *profile, const char *name, int period);

/* Decodes `point` from the registers that an answer to (function, address, count) carries. */
bool profile_point_value(const ProfilePoint *point, uint8_t function, uint16_t address,
						 uint16_t count, const uint8_t *registers, PointValue *value);

/* Bytes of a step or comparison for these argument values; returns the length. */
size_t profile_data_bytes(const ProfileData *data, const int64_t *args, uint8_t *out);

#endif
