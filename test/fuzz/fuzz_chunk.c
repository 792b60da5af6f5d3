/*
 * fuzz_chunk.c
 *		Readings from the spool's file, whatever a disk made of them; and meter profiles.
 */
#include "profile.h"
#include "spool_chunk.h"

#include <stdlib.h>
#include <string.h>

static void
take(void *arg, const Reading *reading)
{
	Buf *again = arg;

	if (reading->periods < 0 || reading->periods > PROFILE_MAX_PERIODS)
		abort();
	spool_chunk_encode(reading, 1, again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_error_t error;
	JsonFault fault;
	json_t *json;
	Buf again;

	buf_init(&again);
	spool_chunk_decode(data, size, take, &again);
	buf_free(&again);
	json = json_loadb((const char *) data, size, JSON_REJECT_DUPLICATES, &error);
	if (json)
		profile_check(json, &fault);
	json_decref(json);
	return 0;
}
