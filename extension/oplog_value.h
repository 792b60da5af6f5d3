/*
 * oplog_value.h: rows of a logged table as the operators' log shows them.
 */
#ifndef PREPAY_OPLOG_VALUE_H
#define PREPAY_OPLOG_VALUE_H

#include "postgres.h"

#include "executor/tuptable.h"

#include "oplog.h"

/* How a table's rows are named: {column} stands for its value, {x_id} for the code of x. */
typedef struct LoggedTable
{
	const char *table;
	const char *object;
	const char *ignored; /* columns that are no news, with spaces around */
	bool shipped;		 /* install() writes rows of its own: not an operator's */
	bool dated;			 /* the row that holds since ever comes with the object itself */
} LoggedTable;

/* Its columns, looked at once a statement. */
typedef struct RowLayout
{
	const LoggedTable *table;
	TupleDesc desc;
	int site_column; /* 0: the table has none */
	struct RowColumn *column;
} RowLayout;

typedef struct Row
{
	const RowLayout *layout;
	TupleTableSlot *slot;
	int32 site_id; /* 0: of no single site */
} Row;

extern RowLayout *row_layout(const LoggedTable *table, TupleDesc desc);
extern void row_set(Row *row, const RowLayout *layout, TupleTableSlot *slot);
extern char *row_object(const Row *row);
/* All that the row says; what is NULL says nothing. */
extern Jsonb *row_json(const Row *row);
/* What an update changed; false: nothing that is news. */
extern bool row_difference(const Row *old, const Row *new, Jsonb **before, Jsonb **after);

#endif
