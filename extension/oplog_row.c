/*
 * oplog_row.c: the trigger log_rows, which writes changed rows to the operators' log.
 *
 * One statement trigger with transition tables for all tables people configure, whether by
 * a client's INSERT, UPDATE, DELETE or by our functions: a row is an entry, written in bulk.
 * An insert has the row's values in `after`, a delete in `before`, an update what differs
 * in both. Numbers of other objects are shown as their codes, as they are now.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "core.h"
#include "db.h"
#include "oplog.h"

#define CODE_MAX_BYTES (64 * MAX_MULTIBYTE_CHAR_LEN + 1)

PG_FUNCTION_INFO_V1(prepay_log_rows);

/* How a table's rows are named: {column} stands for its value, {x_id} for the code of x. */
typedef struct LoggedTable
{
	const char *table;
	const char *object;
	const char *ignored; /* columns that are no news, with spaces around */
	bool shipped;		 /* install() writes rows of its own: not an operator's */
	bool dated;			 /* the row that holds since ever comes with the object itself */
} LoggedTable;

static const LoggedTable logged_table[] = {
	{ "account", "account:{code}", " opened_at opened_by closed_at closed_by " },
	{ "account_meter", "meter:{meter_id}", " " },
	{ "energy_share", "energy_share:{code}", " " },
	{ "gateway", "gateway:{code}", " " },
	{ "holiday", "holiday:{calendar} {day}", " " },
	{ "message_template", "message_template:{template} {language}", " ", .shipped = true },
	{ "meter", "meter:{code}", " installed_at " },
	{ "meter_model", "meter_model:{code}", " loaded_at ", .shipped = true },
	{ "meter_term", "meter:{meter_id}", " ", .dated = true },
	{ "operator_site", "operator:{operator}", " granted_at granted_by " },
	{ "place", "place:{code}", " " },
	{ "reading_correction", "meter:{meter_id}", " corrected_at operator " },
	{ "receipt_template", "receipt_template:{code} {language}", " ", .shipped = true },
	{ "setting", "setting:{name}", " set_at set_by " },
	{ "shift", "shift:{till} {shift_no}", " opened_at opened_by closed_at closed_by " },
	{ "site", "site:{code}", " revision created_at " },
	{ "supply_policy", "supply_policy:{code}", " " },
	{ "switch_schedule", "switch_schedule:{code}", " " },
	{ "tariff", "tariff:{code}", " created_at operator " },
	{ "tariff_assignment", "{target_kind}:{target_id}", " assigned_at assignment operator " },
	{ "tariff_version", "tariff:{tariff_id} version {version}", " created_at operator calendar " },
};

/* ---- codes of numbered objects ---- */

#define CODE_OF(table)                                                                       \
	{                                                                                        \
		table,                                                                               \
		{                                                                                    \
			"SELECT code FROM prepay." table " WHERE site_id = $1 AND " table "_id = $2", 2, \
			{                                                                                \
				INT4OID, INT4OID                                                             \
			}                                                                                \
		}                                                                                    \
	}

/* What was found last stays known for a statement: rows that come together name the same objects.
 */
static struct
{
	const char *kind;
	DbQuery find;
	int32 site_id; /* 0: nothing is known */
	int32 id;
	char code[CODE_MAX_BYTES];
} numbered[] = {
	CODE_OF("account"),
	CODE_OF("gateway"),
	CODE_OF("meter"),
	CODE_OF("place"),
	CODE_OF("tariff"),
	{ "site", { "SELECT code FROM prepay.site WHERE site_id = $1", 2, { INT4OID, INT4OID } } }
};

static void
forget_codes(void)
{
	int i;

	for (i = 0; i < lengthof(numbered); i++)
		numbered[i].site_id = 0;
}

static char *
code_of(const char *kind, int32 site_id, int32 id)
{
	Datum args[] = { Int32GetDatum(site_id), Int32GetDatum(id) };
	int i = 0;

	while (i < lengthof(numbered) && strcmp(numbered[i].kind, kind) != 0)
		i++;
	if (i == lengthof(numbered))
		return psprintf("%d", id);
	if (numbered[i].site_id != site_id || numbered[i].id != id)
	{
		bool found = db_run(&numbered[i].find, args) == 1;

		strlcpy(numbered[i].code, found ? db_text(0, 1) : psprintf("%d", id), CODE_MAX_BYTES);
		numbered[i].site_id = site_id;
		numbered[i].id = id;
		SPI_freetuptable(SPI_tuptable);
	}
	return pstrdup(numbered[i].code);
}

/* "place" for place_id, "meter" for master_meter_id, NULL for what is no number of an object. */
static const char *
kind_of(const char *column)
{
	size_t length = strlen(column);
	int i;

	if (strcmp(column, "parent_id") == 0)
		return "place";
	for (i = 0; i < lengthof(numbered); i++)
	{
		char *ending = psprintf("%s_id", numbered[i].kind);
		const char *found = length < strlen(ending) ? NULL : column + length - strlen(ending);

		if (found && strcmp(found, ending) == 0 && (found == column || found[-1] == '_'))
			return numbered[i].kind;
	}
	return NULL;
}

/* meter_id of a meter itself: its number, not another's. */
static bool
is_own_number(const LoggedTable *table, const char *column)
{
	size_t length = strlen(table->table);

	return strncmp(column, table->table, length) == 0 && strcmp(column + length, "_id") == 0;
}

/* ---- a row ---- */

typedef struct Row
{
	const LoggedTable *table;
	TupleDesc desc;
	TupleTableSlot *slot;
	int32 site_id; /* 0: the table has none */
} Row;

static char *
value_text(const Row *row, int column)
{
	Oid type = TupleDescAttr(row->desc, column - 1)->atttypid;
	bool isnull;
	Datum value = slot_getattr(row->slot, column, &isnull);
	char buffer[MAXDATELEN + 1];
	Oid output;
	bool is_varlena;

	if (isnull)
		return NULL;
	if (type == TIMESTAMPTZOID || type == DATEOID)
		return pstrdup(JsonEncodeDateTime(buffer, value, type, NULL));
	getTypeOutputInfo(type, &output, &is_varlena);
	return OidOutputFunctionCall(output, value);
}

static int
column_number(const Row *row, const char *name)
{
	int column = SPI_fnumber(row->desc, name);

	if (column <= 0)
		elog(ERROR, "table \"%s\" has no column \"%s\"", row->table->table, name);
	return column;
}

static char *
named_value(const Row *row, const char *name)
{
	char *text = value_text(row, column_number(row, name));
	const char *kind = kind_of(name);

	if (text == NULL)
		return pstrdup("");
	if (strcmp(name, "target_id") == 0)
		kind = named_value(row, "target_kind");
	return kind ? code_of(kind, row->site_id, pg_strtoint32(text)) : text;
}

static char *
object_name(const Row *row)
{
	StringInfoData out;
	const char *rest = row->table->object;
	const char *open;

	initStringInfo(&out);
	while ((open = strchr(rest, '{')) != NULL)
	{
		const char *close = strchr(open, '}');

		appendBinaryStringInfo(&out, rest, open - rest);
		appendStringInfoString(&out, named_value(row, pnstrdup(open + 1, close - open - 1)));
		rest = close + 1;
	}
	appendStringInfoString(&out, rest);
	return out.data;
}

static void
set_row(Row *row, const LoggedTable *table, TupleDesc desc, TupleTableSlot *slot)
{
	int site = SPI_fnumber(desc, "site_id");
	bool isnull = true;

	row->table = table;
	row->desc = desc;
	row->slot = slot;
	row->site_id = site > 0 ? DatumGetInt32(slot_getattr(slot, site, &isnull)) : 0;
}

/* ---- values as members of an object ---- */

static bool
is_news(const LoggedTable *table, Form_pg_attribute column)
{
	const char *name = NameStr(column->attname);

	return !column->attisdropped && strcmp(name, "site_id") != 0 &&
		   strstr(table->ignored, psprintf(" %s ", name)) == NULL;
}

/* Numbers, truths and documents as such, all else as text; the code where it is a number's. */
static void
value_json(const Row *row, int column, JsonbValue *json)
{
	Form_pg_attribute attribute = TupleDescAttr(row->desc, column - 1);
	const char *kind = kind_of(NameStr(attribute->attname));
	bool isnull;
	Datum value = slot_getattr(row->slot, column, &isnull);
	char *text;

	if (isnull)
	{
		json->type = jbvNull;
		return;
	}
	switch (attribute->atttypid)
	{
		case BOOLOID:
			json->type = jbvBool;
			json->val.boolean = DatumGetBool(value);
			return;
		case JSONBOID:
		{
			Jsonb *document = DatumGetJsonbP(value);

			json->type = jbvBinary;
			json->val.binary.data = &document->root;
			json->val.binary.len = VARSIZE(document) - VARHDRSZ;
			return;
		}
		default:
			text = value_text(row, column);
	}
	if (kind && !is_own_number(row->table, NameStr(attribute->attname)))
		text = code_of(kind, row->site_id, pg_strtoint32(text));
	else if (strcmp(NameStr(attribute->attname), "target_id") == 0)
		text = named_value(row, "target_id");
	else if (TypeCategory(attribute->atttypid) == TYPCATEGORY_NUMERIC &&
			 strspn(text, "-.0123456789") == strlen(text))
	{
		json->type = jbvNumeric;
		json->val.numeric = DatumGetNumeric(numeric_from_text(text));
		return;
	}
	json->type = jbvString;
	json->val.string.val = text;
	json->val.string.len = strlen(text);
}

/* The name of a member: place for place_id, but meter_id of a meter itself. */
static void
name_json(const Row *row, int column, JsonbValue *json)
{
	char *name = pstrdup(NameStr(TupleDescAttr(row->desc, column - 1)->attname));
	const char *kind = kind_of(name);

	if (kind && !is_own_number(row->table, name))
		name[strlen(name) - strlen("_id")] = '\0';
	json->type = jbvString;
	json->val.string.val = name;
	json->val.string.len = strlen(name);
}

static void
push_member(JsonbParseState **state, const Row *row, int column)
{
	JsonbValue json;

	name_json(row, column, &json);
	pushJsonbValue(state, WJB_KEY, &json);
	value_json(row, column, &json);
	pushJsonbValue(state, WJB_VALUE, &json);
}

/* All that the row says; what is NULL says nothing. */
static Jsonb *
whole_row(const Row *row)
{
	JsonbParseState *state = NULL;
	int column;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (column = 1; column <= row->desc->natts; column++)
	{
		bool isnull;

		if (!is_news(row->table, TupleDescAttr(row->desc, column - 1)))
			continue;
		(void) slot_getattr(row->slot, column, &isnull);
		if (!isnull)
			push_member(&state, row, column);
	}
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

static bool
differs(const Row *old, const Row *new, int column)
{
	char *before = value_text(old, column);
	char *after = value_text(new, column);

	if (before == NULL || after == NULL)
		return before != after;
	return strcmp(before, after) != 0;
}

/* What an update changed; false: nothing that is news. */
static bool
difference(const Row *old, const Row *new, OplogEntry *entry)
{
	JsonbParseState *before = NULL;
	JsonbParseState *after = NULL;
	bool found = false;
	int column;

	pushJsonbValue(&before, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&after, WJB_BEGIN_OBJECT, NULL);
	for (column = 1; column <= new->desc->natts; column++)
	{
		if (!is_news(new->table, TupleDescAttr(new->desc, column - 1)) ||
			!differs(old, new, column))
			continue;
		push_member(&before, old, column);
		push_member(&after, new, column);
		found = true;
	}
	entry->before = JsonbValueToJsonb(pushJsonbValue(&before, WJB_END_OBJECT, NULL));
	entry->after = JsonbValueToJsonb(pushJsonbValue(&after, WJB_END_OBJECT, NULL));
	return found;
}

static bool
holds_since_ever(const Row *row)
{
	bool isnull;
	Datum value = slot_getattr(row->slot, column_number(row, "valid_from"), &isnull);

	return !isnull && TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(value));
}

/* ---- the trigger ---- */

typedef struct Log
{
	OplogEntry *entry;
	int n;
	int room;
} Log;

static OplogEntry *
next_entry(Log *log)
{
	if (log->n == log->room)
	{
		log->room = Max(8, log->room * 2);
		log->entry = core_realloc(log->entry, sizeof(OplogEntry) * log->room);
	}
	memset(&log->entry[log->n], 0, sizeof(OplogEntry));
	return &log->entry[log->n];
}

static void
log_row(Log *log, const Row *old, const Row *new)
{
	const Row *row = new ? new : old;
	OplogEntry *entry = next_entry(log);

	entry->site_id = row->site_id;
	entry->action = psprintf("%s %s",
							 new == NULL ? "delete"
							 : old		 ? "update"
										 : "insert",
							 row->table->table);
	if (old && new)
	{
		if (!difference(old, new, entry))
			return;
	}
	else if (new)
		entry->after = whole_row(new);
	else
		entry->before = whole_row(old);
	entry->object = object_name(old ? old : new);
	log->n++;
}

/* Rows of the transition tables; those of an update stand in the same order in both. */
static void
log_tables(Log *log, const TriggerData *trigger, const LoggedTable *table)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	TupleTableSlot *old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	Tuplestorestate *olds = trigger->tg_oldtable;
	Tuplestorestate *news = trigger->tg_newtable;
	Row old;
	Row new;

	if (olds)
		tuplestore_rescan(olds);
	if (news)
		tuplestore_rescan(news);
	while ((!olds || tuplestore_gettupleslot(olds, true, false, old_slot)) &&
		   (!news || tuplestore_gettupleslot(news, true, false, new_slot)))
	{
		CHECK_FOR_INTERRUPTS();
		if (olds)
			set_row(&old, table, desc, old_slot);
		if (news)
			set_row(&new, table, desc, new_slot);
		if (!(table->dated && !olds && holds_since_ever(&new)))
			log_row(log, olds ? &old : NULL, news ? &new : NULL);
	}
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

static const LoggedTable *
find_table(Oid relation)
{
	int i;

	for (i = 0; i < lengthof(logged_table); i++)
		if (db_is_table(relation, logged_table[i].table))
			return &logged_table[i];
	return NULL;
}

/* AFTER trigger, each statement, of the tables above, with all transition tables of its event. */
Datum
prepay_log_rows(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const LoggedTable *table = NULL;
	DbSession session;
	Log log = { 0 };

	if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		(trigger->tg_newtable != NULL) != TRIGGER_FIRED_BY_DELETE(trigger->tg_event) &&
		(trigger->tg_oldtable != NULL) != TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
		!TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		table = find_table(RelationGetRelid(trigger->tg_relation));
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("log_rows is the statement trigger of the tables people configure")));
	db_enter(&session);
	if (!(table->shipped && session.caller == db_owner() && GetOuterUserId() != session.caller))
	{
		forget_codes();
		log_tables(&log, trigger, table);
		oplog_write(log.entry, log.n);
	}
	db_leave(&session);
	return PointerGetDatum(NULL);
}
