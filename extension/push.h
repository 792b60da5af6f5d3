/*
 * push.h: what a meter prices and warns by, as arguments of its profile's commands.
 */
#ifndef PREPAY_PUSH_H
#define PREPAY_PUSH_H

#include "postgres.h"

#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "site.h"

/*
 * Arguments of push_tariff or push_limits as the profile's command names them, for the
 * facts in force now: JSON text. NULL: *fault says which limit of the meter they break, and
 * by what part of them. *until (may be NULL): when the tariff in force ends.
 */
extern char *push_args(const Site *site, const char *action, int32 meter_id, int32 account_id,
					   Jsonb *profile, TimestampTz *until, char **fault);

/* Queue a push, instead of one that still waits; returns the command. */
extern int64 push_queue(const Site *site, const char *action, int32 meter_id, int32 account_id,
						const char *args, const char *reason, const char *operator_name);

/* Tariffs of meters that keep their own money are pushed as they change; up to max of them. */
extern int push_tick(const Site *site, int max);

#endif
