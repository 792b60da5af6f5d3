/*
 * oplog.h: the operators' log: who changed what, when, from where.
 */
#ifndef PREPAY_OPLOG_H
#define PREPAY_OPLOG_H

#include "postgres.h"

#include "utils/jsonb.h"

/* One change; object reads kind:code, before and after are objects or NULL. */
typedef struct OplogEntry
{
	int32 site_id; /* 0: of no single site */
	const char *action;
	const char *object;
	Jsonb *before;
	Jsonb *after;
} OplogEntry;

/*
 * Append to the present operator's chains, in the order given. Needs an open DbSession;
 * locks the heads of the chains (lock.h, 5) to the end of the transaction.
 */
extern void oplog_write(OplogEntry *entry, int n);
/*
 * One entry about a function's work. before and after: "name", "value", …, NULL; members
 * without value are left out; an empty list is none.
 */
extern void oplog_note(int32 site_id, const char *action, const char *object, Jsonb *before,
					   Jsonb *after);
extern Jsonb *oplog_members(const char *name, ...);

/* What is wrong with the chains of a site and of what belongs to no site; NULL-terminated. */
extern char **oplog_faults(int32 site_id);

/* Write down how far the chains have come, for an anchor of a site. */
extern void oplog_anchor(int32 site_id, int32 anchor_id);
/* Take into hash what an anchor covers of the log; an entry that is missing, or NULL. */
extern char *oplog_anchor_digest(int32 site_id, int32 anchor_id, uint8 *hash);

#endif
