/*
 * db.h: the way every module talks to storage.
 *
 * An SQL-callable function opens a DbSession: from then on statements run as the
 * storage owner with search_path pinned to pg_catalog, whoever called. Checking
 * the caller's right (auth.h) comes first. A DbQuery is planned once per backend.
 */
#ifndef PREPAY_DB_H
#define PREPAY_DB_H

#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/timestamp.h"

#include "errors.h"

#define DB_MAX_ARGS 24
#define DB_MAX_COLUMNS 24

typedef struct DbQuery
{
	const char *sql;
	int nargs;
	Oid type[DB_MAX_ARGS];
	SPIPlanPtr plan;
} DbQuery;

/*
 * A statement over rows that are in memory, written for one row: its parameters are
 * first n_fixed values that are the same for all rows, then n_column values of the
 * row, each named once and in a select list. For several rows the columns are passed
 * as arrays, and unnest() stands in the place of each value. (In FROM, each array
 * would first be written to a store of its own.)
 */
typedef struct DbRowsQuery
{
	const char *sql;
	int n_fixed;
	int n_column;
	Oid type[DB_MAX_ARGS];
	DbQuery one;
	DbQuery many;
} DbRowsQuery;

typedef struct DbRows
{
	int n;
	Datum *value[DB_MAX_ARGS]; /* by column, then row */
	bool *isnull[DB_MAX_ARGS];
} DbRows;

/*
 * Columns of a table's rows that are selected whole ("SELECT s FROM ... s"): with many
 * columns that is cheaper than naming each, most of all for a single row.
 */
typedef struct DbRecord
{
	int n;
	const char *column[DB_MAX_COLUMNS];
	struct TypeCacheEntry *type; /* of the rows met last, and where the columns stand in them */
	uint64 layout;
	int place[DB_MAX_COLUMNS];
} DbRecord;

typedef struct DbSession
{
	Oid caller; /* current_user of the caller: whose rights count */
	int caller_context;
	int guc_level;		 /* 0: the search_path was pinned already */
	MemoryContext outer; /* the caller's memory: results go here */
} DbSession;

extern void db_enter(DbSession *session);
extern void db_leave(DbSession *session);
/* For install() alone: before the storage exists or is known to be current. */
extern void db_enter_as(DbSession *session, Oid owner);

/* Whether a relation is this table of the storage: trigger functions serve no other. */
extern bool db_is_table(Oid relation, const char *name);

extern Oid db_owner(void); /* storage owner; raises ERRCODE_PP_NOT_INSTALLED */

/* Run a statement; rows are then in SPI_tuptable, their number is returned. args may be NULL. */
extern uint64 db_run(DbQuery *query, const Datum *args);
extern uint64 db_run_nulls(DbQuery *query, const Datum *args, const char *nulls);
/* A query that sees what is committed now, in REPEATABLE READ, too: for what outlives the
 * transaction. */
extern uint64 db_run_latest(DbQuery *query, const Datum *args);
/* Room for n rows without NULLs, and the statement run over them; n > 0. */
extern DbRows db_rows(const DbRowsQuery *query, int n);
extern uint64 db_run_rows(DbRowsQuery *query, const Datum *fixed, const DbRows *rows);
/*
 * Hand each row to take() as it comes, in memory that is gone after it: for many rows.
 * take() must not run statements; args may not be NULL.
 */
typedef void (*DbTakeRow)(void *context, const Datum *value, const bool *isnull);
extern void db_scan(DbQuery *query, const Datum *args, DbTakeRow take, void *context);
/* The same for rows that are looked up by key. */
extern void db_each(DbQuery *query, const Datum *args, DbTakeRow take, void *context);
/* Statement built at run time; identifiers in it must come from quote_identifier(). */
extern void db_execute(const char *sql);

/* The wanted columns of row `row` of the last result, whose column `column` (from 1) is a record.
 */
extern void db_record(uint64 row, int column, DbRecord *record, Datum *value, bool *isnull);
/* Value of a column (from 1) of row i of the last result. */
extern Datum db_value(uint64 row, int column, bool *isnull);
extern int32 db_int32(uint64 row, int column); /* not NULL */
extern int32 db_int32_or(uint64 row, int column, int32 absent);
extern int64 db_int64(uint64 row, int column);
extern int64 db_int64_or(uint64 row, int column, int64 absent);
extern bool db_bool(uint64 row, int column);
extern TimestampTz db_time(uint64 row, int column);
extern TimestampTz db_time_or(uint64 row, int column, TimestampTz absent);
extern char *db_text(uint64 row, int column); /* palloc'ed; NULL for NULL */

/* Arrays for bulk statements. */
extern Datum db_array_int32(const int32 *value, int n);
extern Datum db_array_time(const int64 *value, int n);
extern Datum db_array_int64(const int64 *value, int n);
extern Datum db_array(const Datum *value, const bool *isnull, int n, Oid type);

extern Datum db_name_datum(const char *name);
extern Datum db_text_datum(const char *text); /* text, or 0 for NULL: use with DB_NULLS */

/* Exact decimals: text of a numeric and back. */
extern char *numeric_text(Datum numeric);
extern Datum numeric_from_text(const char *text);
/* numeric kWh or kW to integer thousandths, rounded half away; false: NaN, infinite or out of range
 */
extern bool numeric_to_milli(Datum numeric, int64 *milli);

#endif
