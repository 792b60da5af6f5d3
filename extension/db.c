#include "db.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "tcop/dest.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

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
