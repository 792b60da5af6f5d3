/*
 * oplog_value.c: a row's name and its values as members of an object.
 *
 * Numbers of other objects are shown as their codes, as they are now: place_id is the
 * member "place". Times are in ISO 8601 with the session's offset.
 */
#include "oplog_value.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/json.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "db.h"

#define CODE_MAX_BYTES (64 * MAX_MULTIBYTE_CHAR_LEN + 1)

typedef struct RowColumn
{
	bool is_news;
	bool is_number;
	char *member;	  /* what the log calls it */
	const char *kind; /* of the object whose number it is; NULL: of none, or of the row itself */
} RowColumn;

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

/* ---- columns ---- */

static bool
is_news(const LoggedTable *table, Form_pg_attribute column)
{
	const char *name = NameStr(column->attname);

	return !column->attisdropped && strcmp(name, "site_id") != 0 &&
		   strstr(table->ignored, psprintf(" %s ", name)) == NULL;
}

static void
look_at_column(const LoggedTable *table, Form_pg_attribute attribute, RowColumn *column)
{
	char *name = NameStr(attribute->attname);

	column->is_news = is_news(table, attribute);
	column->is_number = TypeCategory(attribute->atttypid) == TYPCATEGORY_NUMERIC;
	column->kind = is_own_number(table, name) ? NULL : kind_of(name);
	column->member = pstrdup(name);
	if (column->kind)
		column->member[strlen(name) - strlen("_id")] = '\0';
}

RowLayout *
row_layout(const LoggedTable *table, TupleDesc desc)
{
	RowLayout *layout = palloc(sizeof(RowLayout));
	int i;

	layout->table = table;
	layout->desc = desc;
	layout->site_column = Max(SPI_fnumber(desc, "site_id"), 0);
	layout->column = palloc0(sizeof(RowColumn) * desc->natts);
	for (i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped)
			look_at_column(table, TupleDescAttr(desc, i), &layout->column[i]);
	forget_codes();
	return layout;
}

void
row_set(Row *row, const RowLayout *layout, TupleTableSlot *slot)
{
	bool isnull;

	row->layout = layout;
	row->slot = slot;
	row->site_id = 0;
	if (layout->site_column > 0)
		row->site_id = DatumGetInt32(slot_getattr(slot, layout->site_column, &isnull));
}

/* ---- values ---- */

static char *
value_text(const Row *row, int column)
{
	Oid type = TupleDescAttr(row->layout->desc, column - 1)->atttypid;
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

/* The code where it is a number's: of target_id, by what target_kind says. */
static char *
shown_text(const Row *row, int column)
{
	char *text = value_text(row, column);
	const char *kind = row->layout->column[column - 1].kind;

	if (text && strcmp(row->layout->column[column - 1].member, "target_id") == 0)
		kind = value_text(row, SPI_fnumber(row->layout->desc, "target_kind"));
	return text && kind ? code_of(kind, row->site_id, pg_strtoint32(text)) : text;
}

char *
row_object(const Row *row)
{
	StringInfoData out;
	const char *rest = row->layout->table->object;
	const char *open;

	initStringInfo(&out);
	while ((open = strchr(rest, '{')) != NULL)
	{
		const char *close = strchr(open, '}');
		char *name = pnstrdup(open + 1, close - open - 1);
		int column = SPI_fnumber(row->layout->desc, name);
		char *text;

		if (column <= 0)
			elog(ERROR, "table \"%s\" has no column \"%s\"", row->layout->table->table, name);
		text = shown_text(row, column);
		appendBinaryStringInfo(&out, rest, open - rest);
		appendStringInfoString(&out, text ? text : "");
		rest = close + 1;
	}
	appendStringInfoString(&out, rest);
	return out.data;
}

static void
text_json(char *text, JsonbValue *json)
{
	json->type = jbvString;
	json->val.string.val = text;
	json->val.string.len = strlen(text);
}

/* Numbers, truths and documents as such, all else as text. */
static void
value_json(const Row *row, int column, JsonbValue *json)
{
	const RowColumn *shape = &row->layout->column[column - 1];
	Oid type = TupleDescAttr(row->layout->desc, column - 1)->atttypid;
	bool isnull;
	Datum value = slot_getattr(row->slot, column, &isnull);
	char *text;

	if (isnull)
	{
		json->type = jbvNull;
		return;
	}
	if (type == BOOLOID)
	{
		json->type = jbvBool;
		json->val.boolean = DatumGetBool(value);
		return;
	}
	if (type == JSONBOID && !JB_ROOT_IS_SCALAR(DatumGetJsonbP(value)))
	{
		Jsonb *document = DatumGetJsonbP(value);

		json->type = jbvBinary;
		json->val.binary.data = &document->root;
		json->val.binary.len = VARSIZE(document) - VARHDRSZ;
		return;
	}
	text = shown_text(row, column);
	if (shape->is_number && strspn(text, "-.0123456789") == strlen(text) && shape->kind == NULL)
	{
		json->type = jbvNumeric;
		json->val.numeric = DatumGetNumeric(numeric_from_text(text));
	}
	else
		text_json(text, json);
}

static void
push_member(JsonbParseState **state, const Row *row, int column)
{
	JsonbValue json;

	text_json(row->layout->column[column - 1].member, &json);
	pushJsonbValue(state, WJB_KEY, &json);
	value_json(row, column, &json);
	pushJsonbValue(state, WJB_VALUE, &json);
}

Jsonb *
row_json(const Row *row)
{
	JsonbParseState *state = NULL;
	int column;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	for (column = 1; column <= row->layout->desc->natts; column++)
	{
		bool isnull;

		if (!row->layout->column[column - 1].is_news)
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

bool
row_difference(const Row *old, const Row *new, Jsonb **before, Jsonb **after)
{
	JsonbParseState *was = NULL;
	JsonbParseState *is = NULL;
	bool found = false;
	int column;

	pushJsonbValue(&was, WJB_BEGIN_OBJECT, NULL);
	pushJsonbValue(&is, WJB_BEGIN_OBJECT, NULL);
	for (column = 1; column <= new->layout->desc->natts; column++)
	{
		if (!new->layout->column[column - 1].is_news || !differs(old, new, column))
			continue;
		push_member(&was, old, column);
		push_member(&is, new, column);
		found = true;
	}
	*before = JsonbValueToJsonb(pushJsonbValue(&was, WJB_END_OBJECT, NULL));
	*after = JsonbValueToJsonb(pushJsonbValue(&is, WJB_END_OBJECT, NULL));
	return found;
}
