/*
 * watch.c: how a backend learns that what it remembers of a table is old.
 *
 * A statement trigger of the table sends a relcache invalidation, which every backend
 * gets: the sender's own one with the next command, others when they look for messages,
 * as each watch_changes() does. Messages of a transaction go out when it has committed,
 * before its locks are released and before its client is told. So
 *
 *   who has waited for a lock of the sender's knows what it committed;
 *   who is called after the sender's COMMIT was answered knows it, too;
 *   a rollback sends the own messages once more, and what was read meanwhile is forgotten.
 *
 * What is remembered must be read under a snapshot taken after the number: one of a
 * transaction in REPEATABLE READ may be older than a message that came already, and
 * what it shows would be taken for the present state by all later transactions.
 */
#include "watch.h"

#include "catalog/namespace.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

static Watch *watches = NULL;

static void
note_change(Datum unused, Oid relation)
{
	Watch *watch;

	for (watch = watches; watch; watch = watch->next)
		if (relation == watch->relation || !OidIsValid(relation))
		{
			watch->relation = InvalidOid; /* it may have been dropped: looked for anew */
			watch->changes++;
		}
}

uint64
watch_changes(Watch *watch)
{
	if (watch->changes == 0)
	{
		if (watches == NULL)
			CacheRegisterRelcacheCallback(note_change, (Datum) 0);
		watch->changes = 1;
		watch->next = watches;
		watches = watch;
	}
	AcceptInvalidationMessages();
	if (!OidIsValid(watch->relation))
		watch->relation = get_relname_relid(watch->table, get_namespace_oid("prepay", false));
	return watch->changes;
}
