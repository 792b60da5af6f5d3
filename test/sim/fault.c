/*
 * fault.c: parsing and drawing of faults.
 */
#include "fault.h"

#include <stdio.h>
#include <string.h>

#include "decimal.h"
#include "load.h"

#define PPM INT64_C(1000000)
#define PROBABILITY_DECIMALS 6
#define DELAY_MS_MAX 3600000
#define LATE_MS 1500   /* past the usual time-out of a master */
#define PARTIAL_MS 200 /* within it */
#define EXCEPTION_DEVICE_FAILURE 4

static const char *const kind_name[FAULT_KINDS] = { "off",		  "silence", "late", "wrong_tid",
													"wrong_unit", "partial", "glue", "exception",
													"disconnect", "refuse",	 "noise" };

static uint64_t random_seed;
static uint64_t random_drawn;

void
fault_seed(uint64_t seed)
{
	random_seed = seed;
	random_drawn = 0;
}

uint64_t
fault_random(void)
{
	return load_hash(random_seed, ++random_drawn);
}

static bool
parse_kind(const char *name, FaultKind *kind)
{
	for (int i = 0; i < FAULT_KINDS; i++)
		if (strcmp(name, kind_name[i]) == 0)
		{
			*kind = (FaultKind) i;
			return true;
		}
	return false;
}

static bool
parse_scope(const char *value, FaultScope *scope)
{
	if (strcmp(value, "any") == 0)
		*scope = FAULT_ANY;
	else if (strcmp(value, "read") == 0)
		*scope = FAULT_READS;
	else if (strcmp(value, "write") == 0)
		*scope = FAULT_WRITES;
	else
		return false;
	return true;
}

static bool
parse_option(const char *key, const char *value, Fault *fault)
{
	int64_t code;

	if (strcmp(key, "n") == 0)
	{
		fault->limited = true;
		return integer_parse(value, 1, INT64_MAX, &fault->remaining);
	}
	if (strcmp(key, "ms") == 0)
		return integer_parse(value, 0, DELAY_MS_MAX, &fault->delay_ms);
	if (strcmp(key, "p") == 0)
		return decimal_parse(value, PROBABILITY_DECIMALS, &fault->probability_ppm) &&
			   fault->probability_ppm >= 0 && fault->probability_ppm <= PPM;
	if (strcmp(key, "code") == 0 && integer_parse(value, 1, 0x7f, &code))
	{
		fault->exception_code = (uint8_t) code;
		return true;
	}
	if (strcmp(key, "lost") == 0)
	{
		fault->lose_answer = strcmp(value, "answer") == 0;
		return fault->lose_answer || strcmp(value, "request") == 0;
	}
	return strcmp(key, "on") == 0 && parse_scope(value, &fault->scope);
}

bool
fault_parse(char *const *words, int count, Fault *fault, char *error, size_t size)
{
	Fault parsed = { .exception_code = EXCEPTION_DEVICE_FAILURE, .probability_ppm = PPM };

	if (count < 1 || !parse_kind(words[0], &parsed.kind))
	{
		snprintf(error, size, "unknown fault kind %s", count < 1 ? "(none)" : words[0]);
		return false;
	}
	parsed.delay_ms = parsed.kind == FAULT_LATE ? LATE_MS : PARTIAL_MS;
	for (int i = 1; i < count; i++)
	{
		char key[32];
		const char *equals = strchr(words[i], '=');
		size_t length = equals == NULL ? sizeof(key) : (size_t) (equals - words[i]);

		if (length < sizeof(key))
		{
			memcpy(key, words[i], length);
			key[length] = '\0';
			if (parse_option(key, equals + 1, &parsed))
				continue;
		}
		snprintf(error, size, "bad fault option %s", words[i]);
		return false;
	}
	*fault = parsed;
	return true;
}

FaultKind
fault_draw(Fault *fault, bool is_write)
{
	FaultKind kind = fault->kind;

	/* A refused gateway has no connections: requests never come this far. */
	if (kind == FAULT_OFF || kind == FAULT_REFUSE)
		return FAULT_OFF;
	if ((fault->scope == FAULT_READS && is_write) || (fault->scope == FAULT_WRITES && !is_write))
		return FAULT_OFF;
	if (fault->probability_ppm < PPM &&
		(int64_t) (fault_random() % (uint64_t) PPM) >= fault->probability_ppm)
		return FAULT_OFF;
	if (fault->limited && --fault->remaining == 0)
		fault->kind = FAULT_OFF;
	return kind;
}
