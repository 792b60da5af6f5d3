#include "lock.h"

#include "miscadmin.h"
#include "storage/lock.h"

/* The fourth field keeps our advisory locks apart from pg_advisory_lock(), which uses 1 and 2. */
#define CLASS_INSTALL 0x5050
#define CLASS_SITE 0x5051
#define CLASS_TICK 0x5052

static LockAcquireResult
acquire(uint32 site_id, uint32 detail, uint16 lock_class, LOCKMODE mode, bool no_wait)
{
	LOCKTAG tag;

	SET_LOCKTAG_ADVISORY(tag, MyDatabaseId, site_id, detail, lock_class);
	return LockAcquire(&tag, mode, false, no_wait);
}

void
lock_install(void)
{
	(void) acquire(0, 0, CLASS_INSTALL, ExclusiveLock, false);
}

void
lock_site_shared(int32 site_id)
{
	(void) acquire(site_id, 0, CLASS_SITE, ShareLock, false);
}

void
lock_site_exclusive(int32 site_id)
{
	(void) acquire(site_id, 0, CLASS_SITE, ExclusiveLock, false);
}

bool
lock_tick(int32 site_id, int32 work)
{
	return acquire(site_id, work, CLASS_TICK, ExclusiveLock, true) != LOCKACQUIRE_NOT_AVAIL;
}
