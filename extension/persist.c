#include "persist.h"

void
persist_see(PersistRun *run, const PersistRule *rule, int64_t at)
{
	if (run->samples > 0 && at <= run->last)
		return;
	if (run->samples > 0 && rule->gap_us > 0 && at - run->last >= rule->gap_us)
		run->samples = 0;
	if (run->samples == 0)
		run->since = at;
	if (run->samples < INT32_MAX)
		run->samples++;
	run->last = at;
}

bool
persist_counts(const PersistRun *run, const PersistRule *rule)
{
	return run->samples > 0 && run->samples >= rule->samples &&
		   run->last - run->since >= rule->lasting_us;
}

bool
persist_is_over(const PersistRun *run, const PersistRule *rule, int64_t at)
{
	return at - run->last >= rule->quiet_us;
}
