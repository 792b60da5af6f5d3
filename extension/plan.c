/*
 * plan.c: plans for the storage as it will be, not as it happens to be.
 *
 * Rows are looked up by key, statements are planned once a backend and kept. While
 * a table holds a handful of rows every way to read it costs the same, and the
 * planner may take a scan of the table, or of an index by the site alone; kept, that
 * plan reads a whole town for each meter once the town is there. So whatever the
 * storage owner runs is planned as if every table held a million rows, and by index:
 * plans do not depend on when a backend was started. That goes for the checks of
 * foreign keys, too, which run as the owner of the table.
 *
 * A statement that reads many rows at once (db_scan) is the exception: they lie together,
 * so it goes by bitmap and sees each page once.
 *
 * "Runs as the storage owner" is asked of the server's current user, which an abort
 * sets back by itself.
 */
#include "plan.h"

#include "jit/jit.h"
#include "miscadmin.h"
#include "optimizer/cost.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"

#define LARGE_ROWS 1000000.0
#define ROWS_PER_PAGE 50
#define KEYS_PER_PAGE 200
#define LARGE_TREE_HEIGHT 2

static planner_hook_type next_planner = NULL;
static get_relation_info_hook_type next_relation_info = NULL;
static Oid storage_owner = InvalidOid;
static bool many_rows = false;

static bool
is_ours(void)
{
	return OidIsValid(storage_owner) && GetUserId() == storage_owner;
}

static void
enlarge(RelOptInfo *table)
{
	ListCell *cell;

	table->tuples = LARGE_ROWS;
	table->pages = (BlockNumber) (LARGE_ROWS / ROWS_PER_PAGE);
	foreach (cell, table->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, cell);

		if (index->indpred != NIL) /* partial: what it leaves out may be nearly all */
			continue;
		index->tuples = LARGE_ROWS;
		index->pages = (BlockNumber) (LARGE_ROWS / KEYS_PER_PAGE);
		index->tree_height = LARGE_TREE_HEIGHT;
	}
}

static void
relation_info(PlannerInfo *root, Oid relation, bool is_parent, RelOptInfo *table)
{
	if (next_relation_info)
		next_relation_info(root, relation, is_parent, table);
	if (is_ours() && !is_parent && table->tuples < LARGE_ROWS)
		enlarge(table);
}

static PlannedStmt *
plan_next(Query *parse, const char *text, int options, ParamListInfo params)
{
	return next_planner ? next_planner(parse, text, options, params)
						: standard_planner(parse, text, options, params);
}

static PlannedStmt *
plan(Query *parse, const char *text, int options, ParamListInfo params)
{
	bool seqscan = enable_seqscan;
	bool indexscan = enable_indexscan;
	bool bitmapscan = enable_bitmapscan;
	bool hashjoin = enable_hashjoin;
	bool mergejoin = enable_mergejoin;
	bool jit = jit_enabled;
	PlannedStmt *result;

	if (!is_ours())
		return plan_next(parse, text, options, params);
	enable_seqscan = false;
	enable_indexscan = !many_rows;
	enable_bitmapscan = many_rows;
	enable_hashjoin = enable_mergejoin = jit_enabled = false;
	PG_TRY();
	{
		result = plan_next(parse, text, options, params);
	}
	PG_FINALLY();
	{
		enable_seqscan = seqscan;
		enable_indexscan = indexscan;
		enable_bitmapscan = bitmapscan;
		enable_hashjoin = hashjoin;
		enable_mergejoin = mergejoin;
		jit_enabled = jit;
	}
	PG_END_TRY();
	return result;
}

void
plan_for(Oid owner)
{
	storage_owner = owner;
}

void
plan_for_many_rows(bool many)
{
	many_rows = many;
}

void
plan_init(void)
{
	next_planner = planner_hook;
	planner_hook = plan;
	next_relation_info = get_relation_info_hook;
	get_relation_info_hook = relation_info;
}
