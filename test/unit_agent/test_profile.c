/*
 * test_profile.c
 *		Replay of the vectors of every shipped profile, the planner, and refusal of faulty profiles.
 */
#include "clock.h"
#include "clock_fields.h"
#include "dlt645.h"
#include "planner.h"
#include "profile.h"
#include "reading.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <glob.h>

static json_t *
load(const char *code)
{
	char path[512];
	json_error_t error;
	json_t *json;

	snprintf(path, sizeof(path), "%s/%s.json", PROFILE_FOLDER, code);
	json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	assert_non_null(json);
	return json;
}

static size_t
hex(const json_t *vector, const char *key, uint8_t *out)
{
	size_t len = jpath_bytes(json_string_value(json_object_get(vector, key)), out, FRAME_PDU_MAX);

	assert_true(len > 0);
	return len;
}

static void
assert_number(const json_t *expect, Decimal value)
{
	char text[DECIMAL_TEXT_SIZE];

	assert_int_equal(json_is_null(expect), !value.known);
	if (value.known)
		assert_string_equal(decimal_format(value, text), json_string_value(expect));
}

static void
compare(const char *name, const json_t *expect, const Reading *reading)
{
	if (strcmp(name, "kwh") == 0)
		assert_number(expect, reading->kwh);
	else if (strcmp(name, "reverse_kwh") == 0)
		assert_number(expect, reading->reverse_kwh);
	else if (strcmp(name, "kw") == 0)
		assert_number(expect, reading->kw);
	else if (strcmp(name, "meter_clock") == 0)
	{
		char text[CLOCK_TEXT_SIZE];

		assert_true(reading->meter_clock.known);
		clock_format(reading->meter_clock.units * USEC_PER_SEC, text);
		assert_string_equal(text, json_string_value(expect));
	}
	else if (strcmp(name, "meter_balance") == 0)
		assert_number(expect, reading->meter_balance);
	else if (strcmp(name, "purchase_count") == 0)
		assert_number(expect, reading->purchase_count);
	else if (strcmp(name, "relay_closed") == 0)
		assert_int_equal(reading->relay_closed,
						 json_is_null(expect) ? -1 : (int) json_is_true(expect));
	else if (strcmp(name, "period_kwh") == 0)
	{
		assert_int_equal(json_array_size(expect), reading->periods);
		for (int i = 0; i < reading->periods; i++)
			assert_number(json_array_get(expect, (size_t) i), reading->period_kwh[i]);
	}
	else
		fail_msg("vector expects an unknown point %s", name);
}

static FrameAnswer
check_answer(const Profile *profile, const uint8_t *request, size_t request_len,
			 const uint8_t *answer, size_t answer_len)
{
	return profile->protocol == FRAME_DLT645
			   ? dlt645_check(request, request_len, answer, answer_len)
			   : frame_check(request, request_len, answer, answer_len);
}

static void
replay_block(const Profile *profile, const json_t *vector)
{
	const char *id = json_string_value(json_object_get(vector, "block"));
	const ProfileBlock *block = NULL;
	uint8_t request[FRAME_PDU_MAX];
	uint8_t answer[FRAME_PDU_MAX];
	uint8_t own[FRAME_PDU_MAX];
	size_t request_len = hex(vector, "request", request);
	size_t answer_len = hex(vector, "response", answer);
	const char *name;
	const uint8_t *data;
	json_t *expect;
	ProfileRequest asked;
	Reading reading;

	for (int i = 0; i < profile->blocks; i++)
	{
		if (strcmp(profile->block[i].id, id) == 0)
			block = &profile->block[i];
	}
	assert_non_null(block);
	asked = (ProfileRequest){ block->function, block->address, block->count, false };
	assert_int_equal(profile_request_pdu(profile, &asked, own), request_len);
	assert_memory_equal(own, request, request_len);
	assert_int_equal(check_answer(profile, request, request_len, answer, answer_len), ANSWER_GOOD);
	data = profile_answer_data(profile, &asked, answer, answer_len);
	assert_non_null(data);
	reading_init(&reading, 1, profile);
	reading_decode(&reading, profile, &asked, data);
	json_object_foreach(json_object_get(vector, "expect"), name, expect)
		compare(name, expect, &reading);
}

static void
replay_command(const Profile *profile, const json_t *vector)
{
	const ProfileCommand *command =
		profile_command(profile, json_string_value(json_object_get(vector, "command")));
	uint8_t request[FRAME_PDU_MAX];
	uint8_t answer[FRAME_PDU_MAX];
	uint8_t own[FRAME_PDU_MAX];
	ProfileContext context = { INT64_C(1767584096) * USEC_PER_SEC, { 2, 0, 0, 0 }, { 1, 2, 3, 4 } };
	ProfileValue args[PROFILE_MAX_ARGS] = { { 0 } };
	uint8_t rows[PROFILE_ROWS_BYTES];
	uint8_t *room = rows;
	size_t request_len = hex(vector, "request", request);
	size_t answer_len = hex(vector, "response", answer);
	size_t len;

	assert_non_null(command);
	for (int i = 0; i < command->args; i++)
	{
		const json_t *arg = json_object_get(json_object_get(vector, "args"), command->arg[i].name);

		assert_true(profile_arg_value(&command->arg[i], arg, &args[i], &room));
	}
	len = profile_step_pdu(profile, &command->step[0], args, &context, own);
	assert_int_equal(len, request_len);
	assert_memory_equal(own, request, len);
	assert_int_equal(check_answer(profile, request, request_len, answer, answer_len), ANSWER_GOOD);
	if (command->step[0].answer_pdu)
		assert_int_equal(answer_len, command->step[0].answer_pdu);
}

static void
replay(void **state)
{
	glob_t files;
	int vectors = 0;

	(void) state;
	assert_int_equal(glob(PROFILE_FOLDER "/*.json", 0, NULL, &files), 0);
	assert_int_equal(files.gl_pathc, 14);
	for (size_t i = 0; i < files.gl_pathc; i++)
	{
		json_error_t error;
		JsonFault fault;
		json_t *json = json_load_file(files.gl_pathv[i], JSON_REJECT_DUPLICATES, &error);
		Profile *profile = profile_parse(json, &fault);
		bool covered[PROFILE_MAX_BLOCKS] = { false };
		size_t index;
		json_t *vector;

		if (!profile)
			fail_msg("%s: %s", files.gl_pathv[i], fault.text);
		json_array_foreach(json_object_get(json, "vectors"), index, vector)
		{
			if (json_object_get(vector, "command"))
				replay_command(profile, vector);
			else
				replay_block(profile, vector);
			for (int b = 0; b < profile->blocks; b++)
				covered[b] |= json_object_get(vector, "block") &&
							  strcmp(json_string_value(json_object_get(vector, "block")),
									 profile->block[b].id) == 0;
			vectors++;
		}
		for (int b = 0; b < profile->blocks; b++)
			assert_true(covered[b]);
		profile_drop(profile);
		json_decref(json);
	}
	assert_true(vectors >= 40);
	globfree(&files);
}

static Profile *
parse_changed(const char *changes)
{
	json_error_t error;
	JsonFault fault;
	json_t *json = load("acrel-ddsy1352");
	json_t *overlay = json_loads(changes, 0, &error);
	Profile *profile;

	assert_non_null(overlay);
	json_object_update(json, overlay);
	profile = profile_parse(json, &fault);
	json_decref(json);
	json_decref(overlay);
	return profile;
}

static void
planner(void **state)
{
	Profile *profile = parse_changed("{}");

	(void) state;
	/* main 0x0000+17 alone; money 0x004E+3, a hole of 6, control 0x0057+2: one request. */
	assert_int_equal(profile->plain.count, 3);
	assert_int_equal(profile->merged.count, 2);
	assert_int_equal(profile->merged.request[0].count, 17);
	assert_true(profile->merged.request[0].has_kwh);
	assert_int_equal(profile->merged.request[1].address, 0x4e);
	assert_int_equal(profile->merged.request[1].count, 11);
	assert_false(profile->merged.request[1].has_kwh);
	profile_drop(profile);
	profile = parse_changed("{\"limits\": {\"max_regs\": 21, \"max_gap\": 5}}");
	assert_int_equal(profile->merged.count, 3);
	profile_drop(profile);
	profile = parse_changed("{\"limits\": {\"max_regs\": 21, \"max_gap\": 6}}");
	assert_int_equal(profile->merged.count, 2);
	profile_drop(profile);
	/* A register in the hole that the meter refuses. */
	profile = parse_changed("{\"limits\": {\"max_gap\": 6, \"forbid\": [[\"0x53\", \"0x53\"]]}}");
	assert_int_equal(profile->merged.count, 3);
	profile_drop(profile);
	profile = parse_changed("{\"limits\": {\"max_gap\": 6, \"forbid\": [[\"0x59\", \"0x60\"]]}}");
	assert_int_equal(profile->merged.count, 2);
	profile_drop(profile);
}

/* Each fault is named with its path. */
static void
faulty(void **state)
{
	static const struct
	{
		const char *key;
		const char *value;
		const char *says;
	} cases[] = {
		{ "colour", "\"red\"", "(top): unknown key \"colour\"" },
		{ "protocol", "\"dlms\"", "\"protocol\" must be modbus or dlt645" },
		{ "limits", "{\"forbid\": [[\"0x09\", \"0x08\"]]}", "limits: \"forbid\"" },
		{ "rev", "0", "\"rev\" must be" },
		{ "limits", "{\"max_regs\": 126}", "limits: \"max_regs\"" },
		{ "limits", "{\"maxregs\": 12}", "limits: unknown key" },
		{ "serial", "{\"parity\": \"X\"}", "serial: \"parity\"" },
		{ "blocks", "[]", "blocks: must be an array" },
		{ "blocks", "[{\"id\": \"a\", \"fc\": 5, \"addr\": 0, \"n\": 1}]", "blocks[0]: \"fc\"" },
		{ "blocks", "[{\"id\": \"a\", \"fc\": 3, \"addr\": \"0xFFFF\", \"n\": 2}]", "runs past" },
		{ "blocks", "[{\"id\": \"a\", \"fc\": 3, \"addr\": 0, \"n\": 2, \"polled\": false}]",
		  "points[0]: \"at\" names no block" },
		{ "points", "[]", "a point \"kwh\"" },
		{ "points", "[{\"name\": \"kwh\", \"at\": \"main+16\", \"type\": \"u32\"}]",
		  "points[0]: \"at\" runs past the end of block \"main\"" },
		{ "points", "[{\"name\": \"kwh\", \"at\": \"main+0\", \"type\": \"u33\"}]",
		  "unknown type" },
		{ "points",
		  "[{\"name\": \"kwh\", \"at\": \"main+0\", \"type\": \"u32\", \"order\": \"AABB\"}]",
		  "\"order\" must name each byte once" },
		{ "points",
		  "[{\"name\": \"kwh\", \"at\": \"main+0\", \"type\": \"u32\", \"order\": \"AB\"}]",
		  "\"order\" must have 4 letters" },
		{ "points",
		  "[{\"name\": \"kwh\", \"at\": \"main+0\", \"type\": \"u32\"},"
		  "{\"name\": \"kwh\", \"at\": \"main+2\", \"type\": \"u32\"}]",
		  "points[1]: point \"kwh\" is there twice" },
		{ "points",
		  "[{\"name\": \"kwh\", \"at\": \"main+0\", \"type\": \"u32\"},"
		  "{\"name\": \"period_kwh\", \"index\": 2, \"at\": \"main+2\", \"type\": \"u32\"}]",
		  "period_kwh has no index 1" },
		{ "points", "[{\"name\": \"relay_closed\", \"at\": \"control+0\", \"type\": \"u16\"}]",
		  "relay_closed needs a \"map\"" },
		{ "commands", "{\"explode\": {}}", "unknown action \"explode\"" },
		{ "commands", "{\"trip\": {\"steps\": []}}", "commands.trip: \"steps\"" },
		{ "commands",
		  "{\"trip\": {\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"12\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "commands.trip.steps[0]: \"12\" is neither" },
		{ "commands",
		  "{\"trip\": {\"steps\": [{\"fc\": 7, \"addr\": 1, \"data\": \"0012\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "commands.trip.steps[0]: \"fc\"" },
		{ "commands",
		  "{\"trip\": {\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"0012\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 2, \"eq\": \"0001\"}]}}",
		  "commands.trip.verify[0]: \"eq\" must be 2 registers" },
		{ "commands",
		  "{\"trip\": {\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"u16($x)\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "\"$x\" is no argument" },
		{ "commands", "{\"push_tariff\": {\"args\": {\"t\": {\"rows\": 65, \"of\": [\"rate\"]}}}}",
		  "commands.push_tariff: \"rows\"" },
		{ "commands", "{\"push_tariff\": {\"args\": {\"t\": {\"rows\": 14}}}}",
		  "\"of\" must be an array" },
		{ "commands",
		  "{\"push_tariff\": {\"args\": {\"t\": {\"rows\": 64, \"of\": [\"a\", \"b\", \"c\", \"d\"]}}}}",
		  "lists take more than 192 bytes" },
		{ "commands",
		  "{\"push_tariff\": {\"args\": {\"t\": {\"rows\": 2, \"of\": [\"a\"]}},"
		  "\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"u16($t)\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "\"$t\" is a list" },
		{ "commands",
		  "{\"push_tariff\": {\"args\": {\"t\": {}},"
		  "\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"rows($t)\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "names no list" },
		{ "commands",
		  "{\"withdraw\": {\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"0012\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "a withdraw needs a \"guard\"" },
		{ "commands",
		  "{\"recharge\": {\"steps\": [{\"fc\": 16, \"addr\": 1, \"data\": \"0012\"}],"
		  "\"verify\": [{\"fc\": 3, \"addr\": 1, \"n\": 1, \"eq\": \"0001\"}]}}",
		  "needs a \"guard\"" },
		{ "vectors", "[]", "vectors: must be" },
		{ "vectors", "[{\"block\": \"main\", \"request\": \"03\", \"response\": \"0x\"}]",
		  "vectors[0]: \"response\"" },
		{ "source", "\"me\"", "source: must be" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
	{
		json_t *json = load("acrel-ddsy1352");
		json_error_t error;
		JsonFault fault;

		json_object_set_new(json, cases[i].key,
							json_loads(cases[i].value, JSON_DECODE_ANY, &error));
		assert_false(profile_check(json, &fault));
		if (!strstr(fault.text, cases[i].says))
			fail_msg("case %zu says \"%s\", not \"%s\"", i, fault.text, cases[i].says);
		json_decref(json);
	}
}

/* A relay state and a value outside the block of an answer stay unknown. */
static void
partial_answer(void **state)
{
	static const uint8_t registers[] = { 0, 0, 0, 100 };
	Profile *profile = parse_changed("{}");
	ProfileRequest request = { 3, 0x0000, 2, true };
	Reading reading;

	(void) state;
	reading_init(&reading, 9, profile);
	reading_decode(&reading, profile, &request, registers);
	assert_true(reading.kwh.known);
	assert_int_equal(reading.kwh.units, 100);
	assert_false(reading.period_kwh[0].known);
	assert_false(reading.meter_balance.known);
	assert_int_equal(reading.relay_closed, -1);
	reading_init(&reading, 9, profile);
	request.function = 4;
	reading_decode(&reading, profile, &request, registers);
	assert_false(reading.kwh.known);
	profile_drop(profile);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(replay), cmocka_unit_test(planner),
										cmocka_unit_test(faulty),
										cmocka_unit_test(partial_answer) };

	assert_true(clock_set_zone("Asia/Shanghai"));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
