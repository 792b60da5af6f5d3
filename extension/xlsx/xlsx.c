/*
 * xlsx.c: the rows of a query as an Excel workbook.
 *
 * A library of its own, so that the core does not need libxlsxwriter. The query runs
 * with the caller's rights, may only read, and is fetched in batches; the workbook
 * grows in temporary files, so memory does not grow with the rows. Only the finished
 * file is held whole, because it is returned as one value.
 */
#include "postgres.h"

#include <sys/stat.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "commands/comment.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgtime.h"
#include "storage/fd.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/timestamp.h"
#include "utils/wait_event.h"

#include "sheet.h"

#define BATCH_ROWS 1000
#define MAX_TITLE 24 /* bytes: room for a number within the 31 characters of a sheet's name */

PG_MODULE_MAGIC;
PG_FUNCTION_INFO_V1(prepay_xlsx);

/* ---- the query ---- */

static void
refuse_query(const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("xlsx() takes one query that returns rows"), errdetail("%s", detail),
			 errhint("For example: xlsx('SELECT * FROM prepay.sales_daily ORDER BY day').")));
}

static SPIPlanPtr
prepare(const char *query)
{
	SPIPlanPtr plan = SPI_prepare(query, 0, NULL);

	if (plan == NULL)
		refuse_query(SPI_result_code_string(SPI_result));
	if (list_length(SPI_plan_get_plan_sources(plan)) != 1)
		refuse_query("There is not exactly one statement.");
	if (!SPI_is_cursor_plan(plan))
		refuse_query("The statement returns no rows.");
	return plan;
}

/* The query as parsed: its result's columns know which table or view they come from. */
static Query *
parsed(SPIPlanPtr plan)
{
	CachedPlanSource *source = linitial(SPI_plan_get_plan_sources(plan));

	return linitial_node(Query, source->query_list);
}

static void
require_reading(const Query *query)
{
	if (query->commandType != CMD_SELECT || query->hasModifyingCTE || query->rowMarks != NIL)
		refuse_query("The statement does more than read.");
	if (query->targetList == NIL)
		refuse_query("The query has no columns.");
}

/* Comments of the columns, and of times the zone they are shown in. */
static const char **
column_notes(const Query *query, TupleDesc row)
{
	const char **note = palloc0(row->natts * sizeof(char *));
	ListCell *cell;

	foreach (cell, query->targetList)
	{
		TargetEntry *entry = lfirst_node(TargetEntry, cell);
		int i = entry->resno - 1;

		if (entry->resjunk || i >= row->natts)
			continue;
		if (OidIsValid(entry->resorigtbl))
			note[i] = GetComment(entry->resorigtbl, RelationRelationId, entry->resorigcol);
		if (TupleDescAttr(row, i)->atttypid == TIMESTAMPTZOID)
			note[i] = psprintf("%s%s%s", note[i] ? note[i] : "", note[i] ? "\n" : "",
							   pg_get_timezone_name(session_timezone));
	}
	return note;
}

/* The sheet is named after what the first column comes from. */
static char *
sheet_title(const Query *query)
{
	TargetEntry *first = linitial_node(TargetEntry, query->targetList);
	char *name = get_rel_name(first->resorigtbl);

	if (name == NULL)
		return pstrdup("query");
	name[pg_mbcliplen(name, strlen(name), MAX_TITLE)] = '\0';
	for (char *at = name; *at != '\0'; at++)
		if (strchr("[]:*?/\\'", *at) != NULL)
			*at = ' ';
	return pstrdup(pg_server_to_any(name, strlen(name), PG_UTF8));
}

/* ---- the file ---- */

/* A file that goes away with the transaction whatever happens, and counts as temporary. */
static char *
temporary_file(File *file)
{
	*file = OpenTemporaryFile(false);
	return pstrdup(FilePathName(*file));
}

static bytea *
file_value(File file)
{
	off_t size = FileSize(file);
	bytea *value;

	if (size < 0 || size > (off_t) (MaxAllocSize - VARHDRSZ))
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("the workbook is too large for one value"),
						errdetail("It has %lld bytes.", (long long) size),
						errhint("Export in parts with a WHERE clause, or use COPY for CSV.")));
	value = palloc(size + VARHDRSZ);
	SET_VARSIZE(value, size + VARHDRSZ);
	if (FileRead(file, VARDATA(value), size, 0, WAIT_EVENT_BUFFILE_READ) != size)
		ereport(ERROR,
				(errcode_for_file_access(), errmsg("the finished workbook cannot be read: %m")));
	return value;
}

static void
write_rows(Sheet *sheet, Portal portal)
{
	int n_column = portal->tupDesc->natts;
	Datum *value = palloc(n_column * sizeof(Datum));
	bool *isnull = palloc(n_column * sizeof(bool));

	do
	{
		SPI_cursor_fetch(portal, true, BATCH_ROWS);
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			heap_deform_tuple(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, value, isnull);
			sheet_row(sheet, value, isnull);
		}
		CHECK_FOR_INTERRUPTS();
		SPI_freetuptable(SPI_tuptable);
	} while (SPI_processed > 0);
}

static void
write_workbook(const char *path, SPIPlanPtr plan, const Query *query)
{
	char *title = sheet_title(query);
	Portal portal = SPI_cursor_open(NULL, plan, NULL, NULL, true);
	Sheet *sheet = sheet_begin(path, title, portal->tupDesc, column_notes(query, portal->tupDesc));

	PG_TRY();
	{
		write_rows(sheet, portal);
		sheet_finish(sheet);
	}
	PG_FINALLY();
	{
		sheet_abandon(sheet);
	}
	PG_END_TRY();
	SPI_cursor_close(portal);
}

/*
 * xlsx(query text) → bytea: see its COMMENT. 22023: not one query that reads; 54000: a text too
 * long for a cell, a file over 1 GB.
 */
Datum
prepay_xlsx(PG_FUNCTION_ARGS)
{
	MemoryContext outer = CurrentMemoryContext;
	SPIPlanPtr plan;
	Query *query;
	File file;
	char *path;
	bytea *value;

	if (PG_ARGISNULL(0))
		refuse_query("The query is NULL.");
	SPI_connect();
	plan = prepare(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	query = parsed(plan);
	require_reading(query);
	path = temporary_file(&file);
	write_workbook(path, plan, query);
	MemoryContextSwitchTo(outer);
	value = file_value(file);
	FileClose(file);
	SPI_finish();
	PG_RETURN_BYTEA_P(value);
}
