/*
 * guard.c: see guard.h.
 */
#include "guard.h"

#include "access/xact.h"
#include "utils/resowner.h"

#include "errors.h"

ErrorData *
guard_run(GuardWork work, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		work(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

bool
guard_is_about_content(const ErrorData *error)
{
	switch (ERRCODE_TO_CATEGORY(error->sqlerrcode))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_PROGRAM_LIMIT_EXCEEDED:
			return true;
		default:
			return ERRCODE_TO_CATEGORY(error->sqlerrcode) ==
					   MAKE_SQLSTATE('P', 'P', '0', '0', '0') &&
				   error->sqlerrcode != ERRCODE_PP_NOT_INSTALLED &&
				   error->sqlerrcode != ERRCODE_PP_PAYMENT_SETUP;
	}
}
