#include "db.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "core.h"
#include "install.h"
#include "plan.h"

/* No name of ours is looked up in a schema that others can write to. */
#define PINNED_PATH "pg_catalog, pg_temp"

/* The core's memory inside the server. */
void *
core_alloc(size_t size)
{
	return palloc0(size);
}

void *
core_realloc(void *p, size_t size)
{
	return p ? repalloc(p, size) : palloc(size);
}

void
core_free(void *p)
{
	if (p)
		pfree(p);
}

static Oid
relation_owner(Oid relation)
{
	HeapTuple tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

Oid
db_owner(void)
{
	Oid schema = get_namespace_oid("prepay", true);
	Oid installation = OidIsValid(schema) ? get_relname_relid("installation", schema) : InvalidOid;
	Oid owner = OidIsValid(installation) ? relation_owner(installation) : InvalidOid;

	if (!OidIsValid(owner))
		ereport(ERROR,
				(errcode(ERRCODE_PP_NOT_INSTALLED), errmsg("the prepay storage is not installed"),
				 errhint("Run: SELECT prepay.install();")));
	return owner;
}

bool
db_is_table(Oid relation, const char *name)
{
	Oid schema = get_namespace_oid("prepay", true);

	return OidIsValid(schema) && get_relname_relid(name, schema) == relation;
}

/*
 * Refuse to work on a storage version this library does not know. The answer is
 * remembered per backend for the very relation it was read from.
 */
static void
check_storage_version(void)
{
	static Oid checked = InvalidOid;
	static DbQuery query = { "SELECT storage_version FROM prepay.installation WHERE only_row", 0 };
	Oid installation = get_relname_relid("installation", get_namespace_oid("prepay", false));
	int32 version;

	if (installation == checked)
		return;
	version = db_run(&query, NULL) == 1 ? db_int32(0, 1) : 0;
	if (version != STORAGE_VERSION)
		ereport(ERROR, (errcode(ERRCODE_PP_NOT_INSTALLED),
						errmsg("the prepay storage has version %d, this library needs version %d",
							   version, STORAGE_VERSION),
						errhint("Run: SELECT prepay.install();")));
	checked = installation;
}

void
db_enter_as(DbSession *session, Oid owner)
{
	session->outer = CurrentMemoryContext;
	GetUserIdAndSecContext(&session->caller, &session->caller_context);
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	session->guc_level = 0;
	if (strcmp(namespace_search_path, PINNED_PATH) != 0)
	{
		session->guc_level = NewGUCNestLevel();
		(void) set_config_option("search_path", PINNED_PATH, PGC_USERSET, PGC_S_SESSION,
								 GUC_ACTION_SAVE, true, 0, false);
	}
	SetUserIdAndSecContext(owner, session->caller_context | SECURITY_LOCAL_USERID_CHANGE);
}

void
db_enter(DbSession *session)
{
	Oid owner = db_owner();

	plan_for(owner);
	db_enter_as(session, owner);
	check_storage_version();
}

void
db_leave(DbSession *session)
{
	SetUserIdAndSecContext(session->caller, session->caller_context);
	if (session->guc_level > 0)
		AtEOXact_GUC(false, session->guc_level);
	SPI_finish();
}

static void
prepare(DbQuery *query)
{
	SPIPlanPtr plan;

	if (query->plan)
		return;
	plan = SPI_prepare_cursor(query->sql, query->nargs, query->type, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		elog(ERROR, "cannot prepare \"%s\": %s", query->sql, SPI_result_code_string(SPI_result));
	SPI_keepplan(plan);
	query->plan = plan;
}

uint64
db_run_nulls(DbQuery *query, const Datum *args, const char *nulls)
{
	int result;

	prepare(query);
	result = SPI_execute_plan(query->plan, (Datum *) args, nulls, false, 0);
	if (result < 0)
		elog(ERROR, "cannot run \"%s\": %s", query->sql, SPI_result_code_string(result));
	return SPI_processed;
}

uint64
db_run(DbQuery *query, const Datum *args)
{
	return db_run_nulls(query, args, NULL);
}

uint64
db_run_latest(DbQuery *query, const Datum *args)
{
	int result;

	prepare(query);
	result = SPI_execute_snapshot(query->plan, (Datum *) args, NULL, GetLatestSnapshot(),
								  InvalidSnapshot, true, false, 0);
	if (result < 0)
		elog(ERROR, "cannot run \"%s\": %s", query->sql, SPI_result_code_string(result));
	return SPI_processed;
}

DbRows
db_rows(const DbRowsQuery *query, int n)
{
	DbRows rows = { .n = n };
	int column;

	for (column = 0; column < query->n_column; column++)
	{
		rows.value[column] = palloc(sizeof(Datum) * n);
		rows.isnull[column] = palloc0(sizeof(bool) * n);
	}
	return rows;
}

/* "$4 AS kwh" as "unnest($4) AS kwh", for the parameters after the first
 * n_fixed. */
static char *
over_arrays(const char *sql, int n_fixed)
{
	StringInfoData text;

	initStringInfo(&text);
	while (*sql)
	{
		size_t length = *sql == '$' ? 1 + strspn(sql + 1, "0123456789") : strcspn(sql, "$");
		bool is_column = *sql == '$' && atoi(sql + 1) > n_fixed;

		appendStringInfo(&text, is_column ? "unnest(%.*s)" : "%.*s", (int) length, sql);
		sql += length;
	}
	return MemoryContextStrdup(TopMemoryContext, text.data);
}

static void
fill_query(const DbRowsQuery *query, bool is_one, DbQuery *filled)
{
	int i;

	filled->nargs = query->n_fixed + query->n_column;
	for (i = 0; i < filled->nargs; i++)
		filled->type[i] =
			is_one || i < query->n_fixed ? query->type[i] : get_array_type(query->type[i]);
	filled->sql = is_one ? query->sql : over_arrays(query->sql, query->n_fixed);
}

uint64
db_run_rows(DbRowsQuery *query, const Datum *fixed, const DbRows *rows)
{
	bool is_one = rows->n == 1;
	DbQuery *chosen = is_one ? &query->one : &query->many;
	Datum args[DB_MAX_ARGS];
	char nulls[DB_MAX_ARGS + 1];
	int i;

	if (chosen->sql == NULL)
		fill_query(query, is_one, chosen);
	memset(nulls, ' ', sizeof(nulls));
	memcpy(args, fixed, sizeof(Datum) * query->n_fixed);
	for (i = 0; i < query->n_column; i++)
	{
		int arg = query->n_fixed + i;

		if (!is_one)
			args[arg] = db_array(rows->value[i], rows->isnull[i], rows->n, query->type[arg]);
		else if (rows->isnull[i][0])
			nulls[arg] = 'n';
		else
			args[arg] = rows->value[i][0];
	}
	return db_run_nulls(chosen, args, nulls);
}

/* Rows go from the executor to take(), without a copy of them in between. */
typedef struct ScanReceiver
{
	DestReceiver receiver;
	DbTakeRow take;
	void *context;
	MemoryContext row; /* what take() allocates */
} ScanReceiver;

static void
scan_startup(DestReceiver *self, int operation, TupleDesc desc)
{
}

static bool
scan_receive(TupleTableSlot *slot, DestReceiver *self)
{
	ScanReceiver *scan = (ScanReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(scan->row);

	slot_getallattrs(slot);
	scan->take(scan->context, slot->tts_values, slot->tts_isnull);
	MemoryContextSwitchTo(old);
	MemoryContextReset(scan->row);
	return true;
}

static void
scan_end(DestReceiver *self)
{
}

void
db_each(DbQuery *query, const Datum *args, DbTakeRow take, void *context)
{
	ScanReceiver scan = { .receiver = { scan_receive, scan_startup, scan_end, scan_end, DestNone },
						  .take = take,
						  .context = context };
	SPIExecuteOptions options = { .dest = &scan.receiver };
	int result;
	int i;

	prepare(query);
	scan.row = AllocSetContextCreate(CurrentMemoryContext, "prepay row", ALLOCSET_SMALL_SIZES);
	options.params = makeParamList(query->nargs);
	for (i = 0; i < query->nargs; i++)
	{
		options.params->params[i].value = args[i];
		options.params->params[i].isnull = false;
		options.params->params[i].pflags = PARAM_FLAG_CONST;
		options.params->params[i].ptype = query->type[i];
	}
	result = SPI_execute_plan_extended(query->plan, &options);
	if (result < 0)
		elog(ERROR, "cannot run \"%s\": %s", query->sql, SPI_result_code_string(result));
	MemoryContextDelete(scan.row);
}

void
db_scan(DbQuery *query, const Datum *args, DbTakeRow take, void *context)
{
	plan_for_many_rows(true);
	PG_TRY();
	{
		db_each(query, args, take, context);
	}
	PG_FINALLY();
	{
		plan_for_many_rows(false);
	}
	PG_END_TRY();
}

void
db_execute(const char *sql)
{
	int result = SPI_execute(sql, false, 0);

	if (result < 0)
		elog(ERROR, "cannot run \"%s\": %s", sql, SPI_result_code_string(result));
}

Datum
db_value(uint64 row, int column, bool *isnull)
{
	Assert(row < SPI_processed);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* None of our tables comes near it; columns dropped by migrations count. */
#define MAX_TABLE_COLUMNS 64

static void
find_columns(DbRecord *record, Oid type_id)
{
	int i;

	record->type = lookup_type_cache(type_id, TYPECACHE_TUPDESC);
	record->layout = record->type->tupDesc_identifier;
	if (record->type->tupDesc->natts > MAX_TABLE_COLUMNS)
		elog(ERROR, "a row has %d columns", record->type->tupDesc->natts);
	for (i = 0; i < record->n; i++)
	{
		int number = SPI_fnumber(record->type->tupDesc, record->column[i]);

		if (number <= 0)
			elog(ERROR, "a row has no column \"%s\"", record->column[i]);
		record->place[i] = number - 1;
	}
}

void
db_record(uint64 row, int column, DbRecord *record, Datum *value, bool *isnull)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(db_value(row, column, isnull));
	HeapTupleData tuple = { .t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header };
	Datum all[MAX_TABLE_COLUMNS];
	bool all_null[MAX_TABLE_COLUMNS];
	int i;

	/* Entries of the type cache stay for ever; their descriptors change with the
	 * table. */
	if (record->type == NULL || record->type->tupDesc == NULL ||
		record->type->type_id != HeapTupleHeaderGetTypeId(header) ||
		record->type->tupDesc_identifier != record->layout)
		find_columns(record, HeapTupleHeaderGetTypeId(header));
	heap_deform_tuple(&tuple, record->type->tupDesc, all, all_null);
	for (i = 0; i < record->n; i++)
	{
		value[i] = all[record->place[i]];
		isnull[i] = all_null[record->place[i]];
	}
}

static Datum
value_not_null(uint64 row, int column)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return value;
}

int32
db_int32(uint64 row, int column)
{
	return DatumGetInt32(value_not_null(row, column));
}

int32
db_int32_or(uint64 row, int column, int32 absent)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return isnull ? absent : DatumGetInt32(value);
}

int64
db_int64(uint64 row, int column)
{
	return DatumGetInt64(value_not_null(row, column));
}

int64
db_int64_or(uint64 row, int column, int64 absent)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return isnull ? absent : DatumGetInt64(value);
}

bool
db_bool(uint64 row, int column)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

TimestampTz
db_time(uint64 row, int column)
{
	return DatumGetTimestampTz(value_not_null(row, column));
}

TimestampTz
db_time_or(uint64 row, int column, TimestampTz absent)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return isnull ? absent : DatumGetTimestampTz(value);
}

char *
db_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

Datum
db_array(const Datum *value, const bool *isnull, int n, Oid type)
{
	int16 length;
	bool by_value;
	char align;
	int lower = 1;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return PointerGetDatum(construct_md_array((Datum *) value, (bool *) isnull, 1, &n, &lower, type,
											  length, by_value, align));
}

/* Fixed-width arrays are laid out directly: the ingest path builds several a
 * batch. */
static ArrayType *
fixed_array(int n, Oid type, int width)
{
	Size size = ARR_OVERHEAD_NONULLS(1) + (Size) n * width;
	ArrayType *array = (ArrayType *) palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = type;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

Datum
db_array_int32(const int32 *value, int n)
{
	ArrayType *array = fixed_array(n, INT4OID, sizeof(int32));

	memcpy(ARR_DATA_PTR(array), value, sizeof(int32) * n);
	return PointerGetDatum(array);
}

Datum
db_array_int64(const int64 *value, int n)
{
	ArrayType *array = fixed_array(n, INT8OID, sizeof(int64));

	memcpy(ARR_DATA_PTR(array), value, sizeof(int64) * n);
	return PointerGetDatum(array);
}

Datum
db_name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

Datum
db_array_time(const int64 *value, int n)
{
	ArrayType *array = fixed_array(n, TIMESTAMPTZOID, sizeof(int64));

	memcpy(ARR_DATA_PTR(array), value, sizeof(int64) * n);
	return PointerGetDatum(array);
}

Datum
db_text_datum(const char *text)
{
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

char *
numeric_text(Datum numeric)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, numeric));
}

Datum
numeric_from_text(const char *text)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/*
 * The stored form of a short numeric: a word with sign, scale and weight, then
 * digits of base 10 000, the first of weight `weight`. False: another form, or
 * one that has to be rounded.
 */
#define SHORT_FORM 0x8000
#define SHORT_FORM_MASK 0xC000
#define SHORT_NEGATIVE 0x2000
#define SHORT_SCALE(word) (((word) >> 7) & 0x3F)
#define SHORT_WEIGHT(word) (((word) &0x40 ? ~0x3F : 0) | ((word) &0x3F))

static bool
short_to_milli(Datum numeric, int64 *milli)
{
	/* Of a digit of weight 0, 1, 2: values below 10^12. */
	static const int64 unit[] = { 1000, 10000000, INT64CONST(100000000000) };
	const struct varlena *stored = PG_DETOAST_DATUM_PACKED(numeric);
	const char *at = VARDATA_ANY(stored);
	int n = VARSIZE_ANY_EXHDR(stored) / sizeof(uint16) - 1;
	int64 value = 0;
	uint16 head;
	uint16 digit;
	int weight;
	int i;

	memcpy(&head, at, sizeof(head));
	weight = SHORT_WEIGHT(head);
	if ((head & SHORT_FORM_MASK) != SHORT_FORM || SHORT_SCALE(head) > 3 ||
		weight >= (int) lengthof(unit) || weight - n + 1 < -1)
		return false;
	for (i = 0; i < n; i++)
	{
		memcpy(&digit, at + (i + 1) * sizeof(digit), sizeof(digit));
		value += weight - i < 0 ? digit / 10 : digit * unit[weight - i];
	}
	*milli = head & SHORT_NEGATIVE ? -value : value;
	return true;
}

bool
numeric_to_milli(Datum numeric, int64 *milli)
{
	/* 12 integer digits and 3 decimals always fit; what has more digits is out of
	 * range. */
	const char *text;
	bool negative;
	int64 value = 0;
	int decimals = -1;

	if (short_to_milli(numeric, milli))
		return true;
	text = numeric_text(numeric);
	negative = *text == '-';

	for (text += negative; *text; text++)
	{
		if (*text == '.')
		{
			decimals = 0;
			continue;
		}
		if (*text < '0' || *text > '9')
			return false;
		if (decimals >= 3)
		{
			if (decimals++ == 3 && *text >= '5')
				value++;
			continue;
		}
		if (pg_mul_s64_overflow(value, 10, &value) ||
			pg_add_s64_overflow(value, *text - '0', &value))
			return false;
		if (decimals >= 0)
			decimals++;
	}
	for (decimals = Max(decimals, 0); decimals < 3; decimals++)
		if (pg_mul_s64_overflow(value, 10, &value))
			return false;
	*milli = negative ? -value : value;
	return true;
}
