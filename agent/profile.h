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
#define PROFILE_MAX_ARGS 16
#define PROFILE_MAX_MAPPED 8
#define PROFILE_MAX_PERIODS 8
#define PROFILE_MAX_FORBIDDEN 8
#define PROFILE_CLOCK_BYTES 8
#define PROFILE_MAX_FIELDS 4   /* of a row of a list */
#define PROFILE_ROWS_BYTES 192 /* of all lists of a command */
#define PROFILE_DATA_BYTES (PROFILE_MAX_TOKENS * PROFILE_CLOCK_BYTES + PROFILE_ROWS_BYTES)

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
	VALUE_BCD,
	VALUE_SIGNED_BCD, /* the top bit is the sign */
	VALUE_CLOCK_BCD,  /* a local date and time, by `format` */
	VALUE_CLOCK_BIN
} ValueKind;

typedef struct ProfileBlock
{
	char id[PROFILE_NAME_SIZE];
	uint8_t function;
	uint32_t address; /* of the first register; DL/T 645: the identification */
	uint16_t count;	  /* registers; DL/T 645: bytes behind the identification */
	bool polled;
} ProfileBlock;

typedef struct ProfilePoint
{
	char name[PROFILE_NAME_SIZE];
	PointRole role;
	int period;		 /* 1.. for ROLE_PERIOD_KWH */
	int block;		 /* index of the block that holds it */
	uint16_t offset; /* bytes into the block's data */
	uint8_t bytes;
	ValueKind kind;
	uint8_t order[8]; /* order[i]: significance of wire byte i, 0 = most significant */
	char format[2 * PROFILE_CLOCK_BYTES + 1]; /* clocks: what each byte is, as YYMMDDWWhhmmss */
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
	int rows;	/* 0: a number; else a list of at most so many rows, missing ones are zeros */
	int fields; /* of a row, a byte each, in the order of the wire */
	char field[PROFILE_MAX_FIELDS][12];
} ProfileArg;

/* What an argument was given as. */
typedef struct ProfileValue
{
	int64_t number;
	const uint8_t *rows; /* of a list: its bytes */
} ProfileValue;

typedef enum TokenKind
{
	TOKEN_LITERAL,
	TOKEN_ARG,
	TOKEN_ROWS,
	TOKEN_CLOCK, /* the local date and time of the write */
	TOKEN_PASSWORD,
	TOKEN_OPERATOR
} TokenKind;

typedef struct ProfileToken
{
	TokenKind kind;
	uint8_t width; /* bytes on the wire */
	int arg;	   /* index of the argument */
	uint32_t literal;
	int ahead_s; /* clock: seconds added */
	bool binary; /* clock: not BCD */
	char format[2 * PROFILE_CLOCK_BYTES + 1];
} ProfileToken;

/* What the data of a write may hold besides literals and arguments. */
typedef struct ProfileContext
{
	int64_t now;		 /* business time */
	uint8_t password[4]; /* DL/T 645, of the gateway's options */
	uint8_t operator_code[4];
} ProfileContext;

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

typedef struct ProfileRequest
{
	uint8_t function;
	uint32_t address;
	uint16_t count;
	bool has_kwh;
} ProfileRequest;

typedef struct ProfileCheck
{
	int point;	  /* index; -1: registers are compared with `data` */
	int arg;	  /* the argument the point must equal; -1: none, then */
	int is;		  /* 1, 0: the flag it must be; -1: none, then */
	int within_s; /* it is a clock that may be off by so much */
	ProfileRequest request;
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
	int max_gap; /* registers outside every block that one request may include, */
	int forbidden;
	struct
	{
		uint16_t first;
		uint16_t last;
	} forbid[PROFILE_MAX_FORBIDDEN]; /* but none of these: the meter refuses them */
	int gap_ms;						 /* silence the device needs between requests */
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

/* Whole PDU that asks for the request; its length. */
size_t profile_request_pdu(const Profile *profile, const ProfileRequest *request, uint8_t *pdu);

/* Data of the checked answer to it, NULL when there is not what was asked for. */
const uint8_t *profile_answer_data(const Profile *profile, const ProfileRequest *request,
								   const uint8_t *pdu, size_t len);

/* The request for the block that holds a point. */
ProfileRequest profile_point_request(const Profile *profile, int point);

/* Decodes `point` from the data of the answer to a request; false when it is not in there. */
bool profile_point_value(const Profile *profile, const ProfilePoint *point,
						 const ProfileRequest *request, const uint8_t *data, PointValue *value);

/*
 * Takes an argument as it was given: an integer or a decimal text, or a list of objects. The
 * bytes of a list go to *room, which is moved on. False: missing, malformed or out of range.
 */
bool profile_arg_value(const ProfileArg *arg, const json_t *given, ProfileValue *value,
					   uint8_t **room);

/* Bytes of a step or comparison for these argument values; the length, 0 when the time is unknown.
 */
size_t profile_data_bytes(const ProfileData *data, const ProfileValue *args,
						  const ProfileContext *context, uint8_t *out);

/* Whole PDU of a write step; 0 when it does not fit or the time is unknown. */
size_t profile_step_pdu(const Profile *profile, const ProfileStep *step, const ProfileValue *args,
						const ProfileContext *context, uint8_t *pdu);

#endif
