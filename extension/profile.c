#include "postgres.h"

#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "errors.h"
#include "jsonb_doc.h"
#include "money.h"
#include "profile.h"

PG_FUNCTION_INFO_V1(prepay_profile_fault);
PG_FUNCTION_INFO_V1(prepay_is_profile);

#define MAX_BLOCKS 16
#define MAX_POINTS 48
#define MAX_STEPS 4
#define MAX_CHECKS 4
#define MAX_PERIODS 8
#define MAX_FIELDS 4
#define MAX_DLT645_BYTES 196

/* A member that must be there; kind is checked. */
static const Doc *
need(const Doc *object, const char *key, DocKind kind, const char *path, DocFault *fault)
{
	const Doc *member = doc_get(object, key);
	char child[DOC_PATH_MAX];

	doc_path_key(child, path, key);
	if (member == NULL)
	{
		doc_fault(fault, child, NULL, "is missing");
		return NULL;
	}
	return doc_is(member, kind, child, NULL, fault) ? member : NULL;
}

static bool
optional(const Doc *object, const char *key, DocKind kind, const char *path, DocFault *fault)
{
	return doc_get(object, key) == NULL || need(object, key, kind, path, fault) != NULL;
}

/* An integer written 17 or "0x0011". */
static bool
read_integer(const Doc *value, int64 *number)
{
	char *end;

	if (value->kind == DOC_NUMBER)
		return decimal_parse(value->text, 0, number) == DECIMAL_OK;
	if (value->kind != DOC_STRING || strncmp(value->text, "0x", 2) != 0 ||
		strlen(value->text) < 3 || strlen(value->text) > 17 ||
		strspn(value->text + 2, "0123456789abcdefABCDEF") != strlen(value->text + 2))
		return false;
	*number = strtoll(value->text + 2, &end, 16);
	return true;
}

/* number NULL: only checked. A required member may not be absent. */
static bool
integer(const Doc *object, const char *key, int64 min, int64 max, bool required, const char *path,
		DocFault *fault, int64 *number)
{
	const Doc *member = doc_get(object, key);
	char child[DOC_PATH_MAX];
	int64 value;

	doc_path_key(child, path, key);
	if (member == NULL && !required)
		return true;
	if (member == NULL)
		doc_fault(fault, child, NULL, "is missing");
	else if (!read_integer(member, &value))
		doc_fault(fault, child, "Write 17 or \"0x0011\".", "is no integer");
	else if (value < min || value > max)
		doc_fault(fault, child, NULL, "must be %lld to %lld", (long long) min, (long long) max);
	else
	{
		if (number)
			*number = value;
		return true;
	}
	return false;
}

static bool
one_of(const char *text, const char *const *known)
{
	for (; *known; known++)
		if (strcmp(*known, text) == 0)
			return true;
	return false;
}

/* An array of min to max items. */
static const Doc *
list(const Doc *object, const char *key, int min, int max, const char *path, DocFault *fault)
{
	const Doc *items = need(object, key, DOC_ARRAY, path, fault);
	char child[DOC_PATH_MAX];

	if (items && items->n >= min && items->n <= max)
		return items;
	if (items)
	{
		doc_path_key(child, path, key);
		doc_fault(fault, child, NULL, "must have %d to %d items", min, max);
	}
	return NULL;
}

static bool
check_limits(const Doc *profile, int64 *max_registers, DocFault *fault)
{
	static const char *const known[] = { "max_regs",  "max_gap",	"gap_ms", "timeout_ms", "tries",
										 "tou_slots", "tou_tables", "forbid", NULL };
	const Doc *limits = doc_get(profile, "limits");

	*max_registers = 60;
	if (limits == NULL)
		return true;
	return doc_is(limits, DOC_OBJECT, "limits", NULL, fault) &&
		   doc_has_only(limits, known, "limits", fault) &&
		   integer(limits, "max_regs", 1, 125, false, "limits", fault, max_registers) &&
		   integer(limits, "max_gap", 0, 64, false, "limits", fault, NULL) &&
		   integer(limits, "gap_ms", 0, 5000, false, "limits", fault, NULL) &&
		   integer(limits, "timeout_ms", 10, 30000, false, "limits", fault, NULL) &&
		   integer(limits, "tries", 1, 5, false, "limits", fault, NULL);
}

/* Registers by address, or with DL/T 645 bytes behind an identification. */
static bool
check_place(const Doc *block, bool registers, int64 max_registers, const char *path,
			DocFault *fault)
{
	static const char *const modbus[] = { "id", "fc", "addr", "n", "polled", NULL };
	static const char *const dlt645[] = { "id", "di", "n", "polled", NULL };
	int64 address = 0;
	int64 count = 0;

	if (!doc_has_only(block, registers ? modbus : dlt645, path, fault))
		return false;
	if (!registers)
		return integer(block, "di", 0, PG_UINT32_MAX, true, path, fault, NULL) &&
			   integer(block, "n", 1, MAX_DLT645_BYTES, true, path, fault, NULL);
	if (!integer(block, "fc", 3, 4, true, path, fault, NULL) ||
		!integer(block, "addr", 0, 65535, true, path, fault, &address) ||
		!integer(block, "n", 1, max_registers, true, path, fault, &count))
		return false;
	if (address + count > 65536)
		doc_fault(fault, path, NULL, "runs past address 0xFFFF");
	return address + count <= 65536;
}

static bool
check_block(const Doc *blocks, int index, bool registers, int64 max_registers, DocFault *fault)
{
	const Doc *block = &blocks->item[index];
	const Doc *id;
	char path[DOC_PATH_MAX];
	int i;

	doc_path_item(path, "blocks", index);
	if (!doc_is(block, DOC_OBJECT, path, NULL, fault) ||
		(id = need(block, "id", DOC_STRING, path, fault)) == NULL ||
		!check_place(block, registers, max_registers, path, fault) ||
		!optional(block, "polled", DOC_BOOL, path, fault))
		return false;
	for (i = 0; i < index; i++)
		if (strcmp(doc_get(&blocks->item[i], "id")->text, id->text) == 0)
		{
			doc_fault(fault, path, NULL, "id \"%s\" is used twice", id->text);
			return false;
		}
	return true;
}

/* Bytes of a type, 0 when there is no such type. A clock has one for each two letters of format. */
static int
type_bytes(const char *type, const Doc *format)
{
	static const char *const by_bytes[][8] = { { "u8", "bcd8", NULL },
											   { "u16", "i16", "bcd16", "sbcd16", NULL },
											   { "u24", "bcd24", "sbcd24", NULL },
											   { "u32", "i32", "f32", "bcd32", "sbcd32", NULL },
											   { NULL },
											   { "bcd48", NULL },
											   { NULL },
											   { "u64", "i64", "f64", NULL } };
	int bytes;

	if (strcmp(type, "clock_bcd") == 0 || strcmp(type, "clock_bin") == 0)
		return format && strlen(format->text) <= 16 ? (int) strlen(format->text) / 2 : 0;
	for (bytes = 1; bytes <= lengthof(by_bytes); bytes++)
		if (one_of(type, by_bytes[bytes - 1]))
			return bytes;
	return 0;
}

/* "block+offset" must lie inside a block; gives the block. */
static const Doc *
find_block(const Doc *blocks, const char *at, int bytes, bool registers, const char *path,
		   DocFault *fault)
{
	int unit = registers ? 2 : 1;
	const char *plus = strrchr(at, '+');
	int64 offset;
	int i;

	if (plus == NULL || plus == at || decimal_parse(plus + 1, 0, &offset) != DECIMAL_OK ||
		offset < 0)
	{
		doc_fault(fault, path, "Write \"block+offset\", the offset in registers (DL/T 645: bytes).",
				  "\"at\" is \"%.60s\"", at);
		return NULL;
	}
	for (i = 0; i < blocks->n; i++)
	{
		const char *id = doc_get(&blocks->item[i], "id")->text;
		int64 count = 0;

		if (strlen(id) != plus - at || strncmp(id, at, plus - at) != 0)
			continue;
		(void) read_integer(doc_get(&blocks->item[i], "n"), &count);
		if (offset * unit + bytes <= count * unit)
			return &blocks->item[i];
		doc_fault(fault, path, NULL, "\"at\" runs past the end of block \"%s\"", id);
		return NULL;
	}
	doc_fault(fault, path, "Name one of \"blocks\".", "\"at\" names no block");
	return NULL;
}

static bool
check_point(const Doc *blocks, const Doc *point, bool registers, const char *path, bool *has_kwh,
			DocFault *fault)
{
	static const char *const known[] = { "name",	 "index",	"period",  "at",	"type",
										 "order",	 "exp10",	"mask",	   "unit",	"map",
										 "decimals", "modulus", "invalid", "title", "obis",
										 "verified", "format",	NULL };
	const Doc *name;
	const Doc *at;
	const Doc *type;
	const Doc *block;
	const Doc *polled;
	int bytes;

	if (!doc_is(point, DOC_OBJECT, path, NULL, fault) || !doc_has_only(point, known, path, fault) ||
		(name = need(point, "name", DOC_STRING, path, fault)) == NULL ||
		(at = need(point, "at", DOC_STRING, path, fault)) == NULL ||
		(type = need(point, "type", DOC_STRING, path, fault)) == NULL ||
		!optional(point, "order", DOC_STRING, path, fault) ||
		!optional(point, "map", DOC_OBJECT, path, fault) ||
		!optional(point, "format", DOC_STRING, path, fault) ||
		!integer(point, "exp10", -9, 6, false, path, fault, NULL) ||
		!integer(point, "index", 1, MAX_PERIODS, strcmp(name->text, "period_kwh") == 0, path, fault,
				 NULL))
		return false;
	bytes = type_bytes(type->text, doc_get(point, "format"));
	if (bytes == 0 || (registers && bytes % 2 != 0))
	{
		doc_fault(
			fault, path,
			"Types: u16 u32 u64 i16 i32 i64 f32 f64 bcd16 bcd32 bcd48 sbcd16 sbcd32, clock_bcd"
			" and clock_bin with a format; with DL/T 645 also u8 u24 bcd8 bcd24 sbcd24.",
			"unknown type \"%.40s\"", type->text);
		return false;
	}
	block = find_block(blocks, at->text, bytes, registers, path, fault);
	if (block == NULL)
		return false;
	if (strcmp(name->text, "relay_closed") == 0 && doc_get(point, "map") == NULL)
	{
		doc_fault(fault, path, "Say which raw values mean closed: {\"0x00\": true}.",
				  "relay_closed needs a \"map\"");
		return false;
	}
	polled = doc_get(block, "polled");
	if (strcmp(name->text, "kwh") == 0 && (polled == NULL || polled->boolean))
		*has_kwh = true;
	return true;
}

static bool
check_points(const Doc *profile, const Doc *blocks, bool registers, DocFault *fault)
{
	const Doc *points = list(profile, "points", 1, MAX_POINTS, "", fault);
	bool has_kwh = false;
	int i;

	if (points == NULL)
		return false;
	for (i = 0; i < points->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "points", i);
		if (!check_point(blocks, &points->item[i], registers, path, &has_kwh, fault))
			return false;
	}
	if (!has_kwh)
		doc_fault(fault, "points", NULL, "a point \"kwh\" in a polled block is missing");
	return has_kwh;
}

static bool
has_point(const Doc *profile, const char *name)
{
	const Doc *points = doc_get(profile, "points");
	int i;

	for (i = 0; i < points->n; i++)
		if (strcmp(doc_get(&points->item[i], "name")->text, name) == 0)
			return true;
	return false;
}

/* {"point": "purchase_count", "arg": "count"}: both must exist. */
static bool
check_reference(const Doc *profile, const Doc *command, const Doc *reference, const char *path,
				DocFault *fault)
{
	static const char *const known[] = { "point", "arg", NULL };
	const Doc *args = doc_get(command, "args");
	const Doc *point;
	const Doc *arg;

	if (!doc_is(reference, DOC_OBJECT, path, NULL, fault) ||
		!doc_has_only(reference, known, path, fault) ||
		(point = need(reference, "point", DOC_STRING, path, fault)) == NULL ||
		(arg = need(reference, "arg", DOC_STRING, path, fault)) == NULL)
		return false;
	if (!has_point(profile, point->text))
		doc_fault(fault, path, NULL, "\"%.40s\" is no point of the profile", point->text);
	else if (args == NULL || doc_get(args, arg->text) == NULL)
		doc_fault(fault, path, NULL, "\"%.40s\" is no argument of the command", arg->text);
	else
		return true;
	return false;
}

static bool
check_step(const Doc *step, bool registers, const char *path, DocFault *fault)
{
	static const char *const modbus[] = { "fc", "addr", "data", "answer_pdu", NULL };
	static const char *const dlt645[] = { "fc", "data", NULL };
	int64 function = 0;

	if (!doc_is(step, DOC_OBJECT, path, NULL, fault) ||
		!doc_has_only(step, registers ? modbus : dlt645, path, fault) ||
		!integer(step, "fc", 6, 127, true, path, fault, &function) ||
		!integer(step, "addr", 0, 65535, registers, path, fault, NULL) ||
		need(step, "data", DOC_STRING, path, fault) == NULL ||
		!integer(step, "answer_pdu", 0, 253, false, path, fault, NULL))
		return false;
	if (!registers && function != 0x14 && function != 0x1c)
	{
		doc_fault(fault, path, NULL, "\"fc\" must be 0x14 or 0x1C");
		return false;
	}
	if (!registers || function == 6 || function == 16 || function >= 0x20)
		return true;
	doc_fault(fault, path, NULL, "\"fc\" must be 6, 16 or a vendor function from 0x20");
	return false;
}

static bool
check_read_back(const Doc *profile, const Doc *command, const Doc *check, const char *path,
				DocFault *fault)
{
	static const char *const known[] = { "fc", "addr", "n", "eq", NULL };
	static const char *const by_flag[] = { "point", "is", NULL };
	static const char *const by_clock[] = { "point", "within_s", NULL };
	const Doc *point;

	if (!doc_is(check, DOC_OBJECT, path, NULL, fault))
		return false;
	if (doc_get(check, "is") || doc_get(check, "within_s"))
	{
		if (!doc_has_only(check, doc_get(check, "is") ? by_flag : by_clock, path, fault) ||
			(point = need(check, "point", DOC_STRING, path, fault)) == NULL ||
			!optional(check, "is", DOC_BOOL, path, fault) ||
			!integer(check, "within_s", 1, 3600, false, path, fault, NULL))
			return false;
		if (has_point(profile, point->text))
			return true;
		doc_fault(fault, path, NULL, "\"%.40s\" is no point of the profile", point->text);
		return false;
	}
	if (doc_get(check, "point"))
		return check_reference(profile, command, check, path, fault);
	return doc_has_only(check, known, path, fault) &&
		   integer(check, "fc", 3, 4, true, path, fault, NULL) &&
		   integer(check, "addr", 0, 65535, true, path, fault, NULL) &&
		   integer(check, "n", 1, 125, true, path, fault, NULL) &&
		   need(check, "eq", DOC_STRING, path, fault) != NULL;
}

static bool
check_sequences(const Doc *profile, const Doc *command, const char *path, DocFault *fault)
{
	const Doc *steps = list(command, "steps", 1, MAX_STEPS, path, fault);
	const Doc *checks = steps ? list(command, "verify", 1, MAX_CHECKS, path, fault) : NULL;
	bool registers = strcmp(doc_get(profile, "protocol")->text, "modbus") == 0;
	char items[DOC_PATH_MAX];
	char item[DOC_PATH_MAX];
	int i;

	if (checks == NULL)
		return false;
	doc_path_key(items, path, "steps");
	for (i = 0; i < steps->n; i++)
	{
		doc_path_item(item, items, i);
		if (!check_step(&steps->item[i], registers, item, fault))
			return false;
	}
	doc_path_key(items, path, "verify");
	for (i = 0; i < checks->n; i++)
	{
		doc_path_item(item, items, i);
		if (!check_read_back(profile, command, &checks->item[i], item, fault))
			return false;
	}
	return true;
}

/* A number {"exp10", "min", "max"}, or a list {"rows": 14, "of": ["rate", "minute", "hour"]}. */
static bool
check_argument(const Doc *arg, const char *path, DocFault *fault)
{
	static const char *const number[] = { "exp10", "min", "max", NULL };
	static const char *const rows[] = { "rows", "of", NULL };
	bool is_list = arg->kind == DOC_OBJECT && doc_get(arg, "rows") != NULL;
	const Doc *of;
	int i;

	if (!doc_is(arg, DOC_OBJECT, path, NULL, fault) ||
		!doc_has_only(arg, is_list ? rows : number, path, fault))
		return false;
	if (!is_list)
		return integer(arg, "exp10", -6, 0, false, path, fault, NULL) &&
			   integer(arg, "min", 0, PG_UINT32_MAX, false, path, fault, NULL) &&
			   integer(arg, "max", 0, PG_UINT32_MAX, false, path, fault, NULL);
	of = list(arg, "of", 1, MAX_FIELDS, path, fault);
	if (of == NULL || !integer(arg, "rows", 1, 64, true, path, fault, NULL))
		return false;
	for (i = 0; i < of->n; i++)
		if (!doc_is(&of->item[i], DOC_STRING, path, NULL, fault))
			return false;
	return true;
}

static bool
check_arguments(const Doc *command, const char *path, DocFault *fault)
{
	const Doc *args = doc_get(command, "args");
	char items[DOC_PATH_MAX];
	char item[DOC_PATH_MAX];
	int i;

	doc_path_key(items, path, "args");
	for (i = 0; args && i < args->n; i++)
	{
		doc_path_key(item, items, args->key[i]);
		if (!check_argument(&args->item[i], item, fault))
			return false;
	}
	return true;
}

static bool
check_command(const Doc *profile, const char *action, const Doc *command, DocFault *fault)
{
	static const char *const known[] = { "args",	 "guard", "steps",	  "verify", "settle_ms",
										 "retry_ms", "tries", "verified", NULL };
	static const char *const actions[] = { "trip",		"close",	"keep_on",	   "prepaid",
										   "recharge",	"withdraw", "push_tariff", "push_limits",
										   "set_clock", NULL };
	const Doc *guard = doc_get(command, "guard");
	char path[DOC_PATH_MAX];

	doc_path_key(path, "commands", action);
	if (!one_of(action, actions))
	{
		doc_fault(fault, path,
				  "Actions: trip close keep_on prepaid recharge withdraw push_tariff push_limits"
				  " set_clock.",
				  "is no action");
		return false;
	}
	if (!doc_is(command, DOC_OBJECT, path, NULL, fault) ||
		!doc_has_only(command, known, path, fault) ||
		!optional(command, "args", DOC_OBJECT, path, fault) ||
		!check_arguments(command, path, fault) ||
		!integer(command, "settle_ms", 0, 30000, false, path, fault, NULL) ||
		!integer(command, "retry_ms", 10, 30000, false, path, fault, NULL) ||
		!integer(command, "tries", 1, 20, false, path, fault, NULL) ||
		!check_sequences(profile, command, path, fault))
		return false;
	if (guard && !check_reference(profile, command, guard, path, fault))
		return false;
	if (guard == NULL && (strcmp(action, "recharge") == 0 || strcmp(action, "withdraw") == 0))
	{
		doc_fault(fault, path, NULL, "a %s needs a \"guard\" on the purchase count", action);
		return false;
	}
	return true;
}

static bool
check_commands(const Doc *profile, DocFault *fault)
{
	const Doc *commands = doc_get(profile, "commands");
	int i;

	if (commands == NULL)
		return true;
	if (!doc_is(commands, DOC_OBJECT, "commands", NULL, fault))
		return false;
	for (i = 0; i < commands->n; i++)
		if (!check_command(profile, commands->key[i], &commands->item[i], fault))
			return false;
	return true;
}

bool
profile_check(const Doc *profile, DocFault *fault)
{
	static const char *const known[] = { "profile",	 "rev",		"title",  "protocol", "serial",
										 "limits",	 "blocks",	"points", "commands", "source",
										 "verified", "vectors", "notes",  NULL };
	const Doc *blocks;
	const Doc *protocol;
	int64 max_registers;
	bool registers;
	int i;

	if (!doc_is(profile, DOC_OBJECT, "", NULL, fault) || !doc_has_only(profile, known, "", fault) ||
		need(profile, "profile", DOC_STRING, "", fault) == NULL ||
		need(profile, "title", DOC_STRING, "", fault) == NULL ||
		(protocol = need(profile, "protocol", DOC_STRING, "", fault)) == NULL ||
		!integer(profile, "rev", 1, 1000000, true, "", fault, NULL) ||
		need(profile, "verified", DOC_BOOL, "", fault) == NULL ||
		!optional(profile, "serial", DOC_OBJECT, "", fault) ||
		!optional(profile, "notes", DOC_STRING, "", fault) ||
		!check_limits(profile, &max_registers, fault) ||
		(blocks = list(profile, "blocks", 1, MAX_BLOCKS, "", fault)) == NULL)
		return false;
	registers = strcmp(protocol->text, "modbus") == 0;
	if (!registers && strcmp(protocol->text, "dlt645") != 0)
	{
		doc_fault(fault, "protocol", NULL, "must be modbus or dlt645");
		return false;
	}
	for (i = 0; i < blocks->n; i++)
		if (!check_block(blocks, i, registers, max_registers, fault))
			return false;
	return check_points(profile, blocks, registers, fault) && check_commands(profile, fault) &&
		   list(profile, "source", 1, 1000, "", fault) != NULL &&
		   list(profile, "vectors", 1, 1000, "", fault) != NULL;
}

/* profile_fault(profile) → what is wrong, with its path; NULL when it is sound. */
Datum
prepay_profile_fault(PG_FUNCTION_ARGS)
{
	DocFault fault = { 0 };

	if (profile_check(jsonb_doc(PG_GETARG_JSONB_P(0)), &fault))
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(
		cstring_to_text(*fault.path ? psprintf("%s: %s", fault.path, fault.what) : fault.what));
}

/* is_profile(profile): raises PP080 with path and hint unless the profile is sound. */
Datum
prepay_is_profile(PG_FUNCTION_ARGS)
{
	DocFault fault = { 0 };

	if (!profile_check(jsonb_doc(PG_GETARG_JSONB_P(0)), &fault))
		ereport(
			ERROR,
			(errcode(ERRCODE_PP_BAD_PROFILE),
			 errmsg("profile refused at \"%s\": %s", *fault.path ? fault.path : "$", fault.what),
			 *fault.hint ? errhint("%s", fault.hint)
						 : errhint("The form is described in agent/profiles/README.md.")));
	PG_RETURN_BOOL(true);
}
