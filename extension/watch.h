/*
 * watch.h: what a backend remembers of a table, until the table changes.
 */
#ifndef PREPAY_WATCH_H
#define PREPAY_WATCH_H

#include "postgres.h"

/* Static, with only `table` filled in; its site_changed trigger tells of the changes. */
typedef struct Watch
{
	const char *table; /* of the storage */
	Oid relation;
	uint64 changes;
	struct Watch *next;
} Watch;

/*
 * Looks for messages of changes; the number grows with each. What is read with
 * db_run_latest() after it holds while the number is the same.
 */
extern uint64 watch_changes(Watch *watch);

#endif
