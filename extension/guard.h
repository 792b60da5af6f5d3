/*
 * guard.h: work under a savepoint.
 */
#ifndef PREPAY_GUARD_H
#define PREPAY_GUARD_H

#include "postgres.h"

typedef void (*GuardWork)(void *arg);

/*
 * NULL: done. Else what it did is undone, and why. A cancelled or terminated call goes
 * through as an error.
 */
extern ErrorData *guard_run(GuardWork work, void *arg);
/* Whether an error says something about what was given, not about the moment or the set-up. */
extern bool guard_is_about_content(const ErrorData *error);

#endif
