#include "postgres.h"

#include "fmgr.h"
#include "utils/guc.h"

#include "clock.h"
#include "login.h"
#include "plan.h"

PG_MODULE_MAGIC;

extern PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	clock_init();
	plan_init();
	MarkGUCPrefixReserved("prepay");
	login_preloaded();
}
