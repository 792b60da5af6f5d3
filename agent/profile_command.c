/*
 * profile_command.c
 *		Parsing of a profile's commands: arguments, guard, write steps, read-back checks.
 */
#include "profile_command.h"

#include "buf.h"
#include "clock_fields.h"
#include "dlt645.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const actions[] = { "trip",		"close",	"keep_on",	   "prepaid",
									   "recharge",	"withdraw", "push_tariff", "push_limits",
									   "set_clock", NULL };

static bool
is_action(const char *name)
{
	for (const char *const *action = actions; *action; action++)
	{
		if (strcmp(*action, name) == 0)
			return true;
	}
	return false;
}

static int
find_arg(const ProfileCommand *command, const char *name)
{
	for (int i = 0; i < command->args; i++)
	{
		if (strcmp(command->arg[i].name, name) == 0)
			return i;
	}
	return -1;
}

/* {"rows": 14, "of": ["rate", "minute", "hour"]}: a byte each. */
static void
parse_fields(ProfileArg *arg, const json_t *item, const char *path, JsonFault *fault)
{
	const json_t *of = json_object_get(item, "of");
	size_t index;
	json_t *name;

	arg->rows = (int) jpath_int(fault, item, path, "rows", 1, 64, -1);
	if (!json_is_array(of) || json_array_size(of) < 1 || json_array_size(of) > PROFILE_MAX_FIELDS)
	{
		jpath_fault(fault, path, "\"of\" must be an array of 1 to %d names", PROFILE_MAX_FIELDS);
		return;
	}
	json_array_foreach(of, index, name)
	{
		if (!json_is_string(name) ||
			!text_copy(arg->field[index], sizeof(arg->field[index]), json_string_value(name)))
			jpath_fault(fault, path, "\"of\" holds what is no short name");
	}
	arg->fields = (int) json_array_size(of);
}

static void
parse_args(ProfileCommand *command, const json_t *args, const char *path, JsonFault *fault)
{
	static const char *const number[] = { "exp10", "min", "max", NULL };
	static const char *const list[] = { "rows", "of", NULL };
	int room = PROFILE_ROWS_BYTES;
	const char *key;
	json_t *item;

	if (!args)
		return;
	if (!json_is_object(args) || json_object_size(args) > PROFILE_MAX_ARGS)
	{
		jpath_fault(fault, path, "\"args\" must be an object of at most %d arguments",
					PROFILE_MAX_ARGS);
		return;
	}
	json_object_foreach((json_t *) args, key, item)
	{
		ProfileArg *arg = &command->arg[command->args];

		if (!jpath_keys(fault, item, path, json_object_get(item, "rows") ? list : number))
			return;
		if (strlen(key) >= sizeof(arg->name))
		{
			jpath_fault(fault, path, "argument name \"%.40s\" is too long", key);
			return;
		}
		strcpy(arg->name, key);
		arg->decimals = (int) -jpath_int(fault, item, path, "exp10", -6, 0, 0);
		arg->min = jpath_int(fault, item, path, "min", 0, UINT32_MAX, 0);
		arg->max = jpath_int(fault, item, path, "max", arg->min, UINT32_MAX, UINT32_MAX);
		if (json_object_get(item, "rows"))
			parse_fields(arg, item, path, fault);
		room -= arg->rows * arg->fields;
		if (room < 0)
			jpath_fault(fault, path, "lists take more than %d bytes", PROFILE_ROWS_BYTES);
		command->args++;
	}
}

/* clock(YYMMDDhhmmss), clock_bin(..), with ",+300" for so many seconds later. */
static bool
parse_clock_token(const char *text, ProfileToken *token)
{
	char ahead[12] = "";
	int used = 0;

	token->kind = TOKEN_CLOCK;
	token->binary = strncmp(text, "clock_bin(", 10) == 0;
	text += token->binary ? 10 : 6;
	if (sscanf(text, "%16[YMDWhmsw-]%n", token->format, &used) != 1)
		return false;
	text += used;
	if (*text == ',')
	{
		if (sscanf(text, ",+%9[0-9]%n", ahead, &used) != 1)
			return false;
		text += used;
		token->ahead_s = atoi(ahead);
	}
	token->width = (uint8_t) (strlen(token->format) / 2);
	return strcmp(text, ")") == 0 && clock_format_good(token->format, false);
}

static void
parse_number_token(const ProfileCommand *command, const char *text, ProfileToken *token,
				   const char *path, JsonFault *fault)
{
	char inner[PROFILE_NAME_SIZE + 2];
	int width;
	int used = 0;
	char *end;
	unsigned long literal;

	if (sscanf(text, "u%2d(%33[^)])%n", &width, inner, &used) != 2 || text[used] ||
		(width != 16 && width != 32))
	{
		jpath_fault(fault, path, "\"%.40s\" is neither hex digits nor u16(..), u32(..), clock(..)",
					text);
		return;
	}
	token->width = (uint8_t) (width / 8);
	if (inner[0] == '$')
	{
		token->kind = TOKEN_ARG;
		token->arg = find_arg(command, inner + 1);
		if (token->arg < 0)
			jpath_fault(fault, path, "\"%s\" is no argument of the command", inner);
		else if (command->arg[token->arg].rows > 0)
			jpath_fault(fault, path, "\"%s\" is a list: write rows(%s)", inner, inner);
		else if (width == 16 && command->arg[token->arg].max > UINT16_MAX)
			jpath_fault(fault, path, "\"%s\" needs a \"max\" of at most 65535", inner);
		return;
	}
	literal = strtoul(inner, &end, 10);
	if (*end || (width == 16 && literal > UINT16_MAX) || literal > UINT32_MAX)
		jpath_fault(fault, path, "\"%s\" is no number that fits", inner);
	token->literal = (uint32_t) literal;
}

/* rows($table): all bytes of a list. */
static void
parse_rows_token(const ProfileCommand *command, const char *text, ProfileToken *token,
				 const char *path, JsonFault *fault)
{
	char name[PROFILE_NAME_SIZE + 2];
	int used = 0;

	token->kind = TOKEN_ROWS;
	token->arg = sscanf(text, "rows($%33[^)])%n", name, &used) == 1 && text[used] == '\0'
					 ? find_arg(command, name)
					 : -1;
	if (token->arg < 0 || command->arg[token->arg].rows == 0)
	{
		jpath_fault(fault, path, "\"%.40s\" names no list of the command", text);
		return;
	}
	token->width = (uint8_t) (command->arg[token->arg].rows * command->arg[token->arg].fields);
}

/* A word of data: hex digits of a register or byte, a number, a clock, or a secret of the gateway.
 */
static void
parse_token(const Profile *profile, const ProfileCommand *command, const char *text,
			ProfileToken *token, const char *path, JsonFault *fault)
{
	size_t unit = profile->protocol == FRAME_MODBUS ? 2 : 1;
	uint8_t bytes[2];

	if (strlen(text) == 2 * unit && jpath_bytes(text, bytes, sizeof(bytes)) == unit)
	{
		token->width = (uint8_t) unit;
		token->literal = unit == 2 ? frame_get16(bytes) : bytes[0];
	}
	else if (strncmp(text, "rows(", 5) == 0)
		parse_rows_token(command, text, token, path, fault);
	else if (strncmp(text, "clock", 5) == 0)
	{
		if (!parse_clock_token(text, token))
			jpath_fault(fault, path, "\"%.40s\" must be clock(YYMMDDhhmmss) or the like", text);
	}
	else if (unit == 1 && (strcmp(text, "$password") == 0 || strcmp(text, "$operator") == 0))
	{
		token->kind = text[1] == 'p' ? TOKEN_PASSWORD : TOKEN_OPERATOR;
		token->width = 4;
	}
	else
		parse_number_token(command, text, token, path, fault);
}

static void
parse_data(const Profile *profile, const ProfileCommand *command, const json_t *item,
		   const char *key, ProfileData *data, const char *path, JsonFault *fault)
{
	char text[256];
	char *save = NULL;

	jpath_text(fault, item, path, key, false, text, sizeof(text));
	for (char *word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
	{
		if (data->tokens == PROFILE_MAX_TOKENS)
		{
			jpath_fault(fault, path, "\"%s\" has more than %d words", key, PROFILE_MAX_TOKENS);
			return;
		}
		parse_token(profile, command, word, &data->token[data->tokens++], path, fault);
	}
}

static int
data_bytes(const ProfileData *data)
{
	int bytes = 0;

	for (int i = 0; i < data->tokens; i++)
		bytes += data->token[i].width;
	return bytes;
}

static void
parse_step(const Profile *profile, ProfileCommand *command, const json_t *item, const char *path,
		   JsonFault *fault)
{
	static const char *const modbus[] = { "fc", "addr", "data", "answer_pdu", NULL };
	static const char *const dlt645[] = { "fc", "data", NULL };
	bool registers = profile->protocol == FRAME_MODBUS;
	ProfileStep *step = &command->step[command->steps++];

	if (!jpath_keys(fault, item, path, registers ? modbus : dlt645))
		return;
	step->function = (uint8_t) jpath_int(fault, item, path, "fc", 6, 0x7f, -1);
	parse_data(profile, command, item, "data", &step->data, path, fault);
	if (!registers)
	{
		if (step->function != DLT645_WRITE && step->function != DLT645_RELAY)
			jpath_fault(fault, path, "\"fc\" must be 0x14 or 0x1C");
		return;
	}
	step->address = (uint16_t) jpath_int(fault, item, path, "addr", 0, UINT16_MAX, -1);
	step->answer_pdu = (uint16_t) jpath_int(fault, item, path, "answer_pdu", 0, FRAME_PDU_MAX, 0);
	if (step->function != 6 && step->function != 16 && step->function < 0x20)
		jpath_fault(fault, path, "\"fc\" must be 6, 16 or a vendor function from 0x20");
	if (data_bytes(&step->data) > PROFILE_DATA_BYTES)
		jpath_fault(fault, path, "\"data\" is longer than %d bytes", PROFILE_DATA_BYTES);
	if (data_bytes(&step->data) % 2)
		jpath_fault(fault, path, "\"data\" must fill whole registers");
	if (step->function == 6 && data_bytes(&step->data) != 2)
		jpath_fault(fault, path, "function 6 writes exactly one register");
}

static void
parse_point_ref(const Profile *profile, const ProfileCommand *command, const json_t *item,
				int *point, int *arg, const char *path, JsonFault *fault)
{
	char name[PROFILE_NAME_SIZE];
	char argument[PROFILE_NAME_SIZE];

	jpath_text(fault, item, path, "point", false, name, sizeof(name));
	jpath_text(fault, item, path, "arg", false, argument, sizeof(argument));
	*point = profile_point_index(profile, name, 0);
	*arg = find_arg(command, argument);
	if (*point < 0)
		jpath_fault(fault, path, "\"%s\" is no point of the profile", name);
	else if (profile->point[*point].mapped || profile->point[*point].kind == VALUE_FLOAT)
		jpath_fault(fault, path, "point \"%s\" is no integer", name);
	if (*arg < 0)
		jpath_fault(fault, path, "\"%s\" is no argument of the command", argument);
	else if (command->arg[*arg].rows > 0)
		jpath_fault(fault, path, "\"%s\" is a list, no number", argument);
	else if (*point >= 0 && -profile->point[*point].exp10 != command->arg[*arg].decimals)
		jpath_fault(fault, path, "point and argument differ in exp10");
}

/* {"point", "arg"}: equal; {"point", "is"}: a flag; {"point", "within_s"}: a clock that is right.
 */
static void
parse_point_check(const Profile *profile, ProfileCommand *command, ProfileCheck *check,
				  const json_t *item, const char *path, JsonFault *fault)
{
	static const char *const by_arg[] = { "point", "arg", NULL };
	static const char *const by_flag[] = { "point", "is", NULL };
	static const char *const by_clock[] = { "point", "within_s", NULL };
	bool flag = json_object_get(item, "is") != NULL;
	bool clock = json_object_get(item, "within_s") != NULL;
	char name[PROFILE_NAME_SIZE];

	if (!jpath_keys(fault, item, path, flag ? by_flag : clock ? by_clock : by_arg))
		return;
	if (!flag && !clock)
		parse_point_ref(profile, command, item, &check->point, &check->arg, path, fault);
	else
	{
		jpath_text(fault, item, path, "point", false, name, sizeof(name));
		check->point = profile_point_index(profile, name, 0);
		if (check->point < 0)
			jpath_fault(fault, path, "\"%s\" is no point of the profile", name);
		else if (flag != (profile->point[check->point].mapped > 0))
			jpath_fault(fault, path, "\"is\" is for points with a map, \"within_s\" for clocks");
		if (flag)
			check->is = jpath_bool(fault, item, path, "is", false);
		else
			check->within_s = (int) jpath_int(fault, item, path, "within_s", 1, 3600, -1);
	}
	if (check->point >= 0)
		check->request = profile_point_request(profile, check->point);
}

static void
parse_check(const Profile *profile, ProfileCommand *command, const json_t *item, const char *path,
			JsonFault *fault)
{
	static const char *const by_registers[] = { "fc", "addr", "n", "eq", NULL };
	ProfileCheck *check = &command->check[command->checks++];

	check->point = -1;
	check->arg = -1;
	check->is = -1;
	if (json_object_get(item, "point") || profile->protocol != FRAME_MODBUS)
	{
		parse_point_check(profile, command, check, item, path, fault);
		return;
	}
	if (!jpath_keys(fault, item, path, by_registers))
		return;
	check->request.function = (uint8_t) jpath_int(fault, item, path, "fc", 3, 4, -1);
	check->request.address = (uint32_t) jpath_int(fault, item, path, "addr", 0, UINT16_MAX, -1);
	check->request.count =
		(uint16_t) jpath_int(fault, item, path, "n", 1, profile->max_registers, -1);
	parse_data(profile, command, item, "eq", &check->data, path, fault);
	if (data_bytes(&check->data) > PROFILE_DATA_BYTES ||
		data_bytes(&check->data) != 2 * check->request.count)
		jpath_fault(fault, path, "\"eq\" must be %u registers long", check->request.count);
}

static bool
is_list(const json_t *list, const char *name, size_t max, const char *path, JsonFault *fault)
{
	if (json_is_array(list) && json_array_size(list) >= 1 && json_array_size(list) <= max)
		return true;
	return jpath_fault(fault, path, "\"%s\" must be an array of 1 to %zu", name, max);
}

static void
parse_sequences(Profile *profile, ProfileCommand *command, const json_t *json, const char *path,
				JsonFault *fault)
{
	const json_t *steps = json_object_get(json, "steps");
	const json_t *checks = json_object_get(json, "verify");
	char item_path[JPATH_SIZE + 40];
	size_t index;
	json_t *item;

	if (!is_list(steps, "steps", PROFILE_MAX_STEPS, path, fault) ||
		!is_list(checks, "verify", PROFILE_MAX_CHECKS, path, fault))
		return;
	json_array_foreach(steps, index, item)
	{
		snprintf(item_path, sizeof(item_path), "%s.steps[%zu]", path, index);
		parse_step(profile, command, item, item_path, fault);
	}
	json_array_foreach(checks, index, item)
	{
		snprintf(item_path, sizeof(item_path), "%s.verify[%zu]", path, index);
		parse_check(profile, command, item, item_path, fault);
	}
}

static void
parse_command(Profile *profile, const char *action, const json_t *json, JsonFault *fault)
{
	static const char *const known[] = { "args",	 "guard", "steps",	  "verify", "settle_ms",
										 "retry_ms", "tries", "verified", NULL };
	static const char *const guard_keys[] = { "point", "arg", NULL };
	ProfileCommand *command = &profile->command[profile->commands++];
	const json_t *guard = json_object_get(json, "guard");
	char path[JPATH_SIZE];

	snprintf(path, sizeof(path), "commands.%s", action);
	strcpy(command->action, action);
	if (!jpath_keys(fault, json, path, known))
		return;
	jpath_bool(fault, json, path, "verified", true);
	command->settle_ms = (int) jpath_int(fault, json, path, "settle_ms", 0, 30000, 0);
	command->retry_ms = (int) jpath_int(fault, json, path, "retry_ms", 10, 30000, 500);
	command->tries = (int) jpath_int(fault, json, path, "tries", 1, 20, 3);
	parse_args(command, json_object_get(json, "args"), path, fault);
	if (guard && jpath_keys(fault, guard, path, guard_keys))
	{
		command->guarded = true;
		parse_point_ref(profile, command, guard, &command->guard_point, &command->guard_arg, path,
						fault);
	}
	parse_sequences(profile, command, json, path, fault);
	if ((strcmp(action, "recharge") == 0 || strcmp(action, "withdraw") == 0) && !command->guarded)
		jpath_fault(fault, path, "a %s needs a \"guard\" on the purchase count", action);
}

void
profile_parse_commands(Profile *profile, const json_t *commands, JsonFault *fault)
{
	const char *action;
	json_t *item;

	if (!commands)
		return;
	if (!json_is_object(commands) || json_object_size(commands) > PROFILE_MAX_COMMANDS)
	{
		jpath_fault(fault, "commands", "must be an object of at most %d actions",
					PROFILE_MAX_COMMANDS);
		return;
	}
	json_object_foreach((json_t *) commands, action, item)
	{
		if (!is_action(action))
			jpath_fault(fault, "commands", "unknown action \"%.40s\"", action);
		else
			parse_command(profile, action, item, fault);
		if (fault->found)
			return;
	}
}
