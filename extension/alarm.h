/*
 * alarm.h: what a person should look at: raised, acknowledged, cleared, in the
 * transaction of its cause. At most one alarm of a kind is active per subject.
 *
 * Whoever raises or clears holds the lock of the subject: the account's lock,
 * the meter_control row, the gateway_state row, the agent row; for the site the row of what
 * it is about.
 */
#ifndef PREPAY_ALARM_H
#define PREPAY_ALARM_H

#include "site.h"

#define ALARM_NOTICE 1
#define ALARM_WARNING 2
#define ALARM_CRITICAL 3

/* One member is set; none: the alarm is about the site. */
typedef struct AlarmSubject
{
	int32 account_id;
	int32 meter_id;
	int32 gateway_id;
	const char *agent;
} AlarmSubject;

/*
 * The new alarm's id, or 0 where one of this kind is active already. detail: a sentence.
 * The staff hears of warnings about anything but an account; the account's customer
 * and they are told by level.c.
 */
extern int64 alarm_raise(const Site *site, const AlarmSubject *subject, const char *kind, int level,
						 const char *detail);
/* False: none was active. */
extern bool alarm_clear(const Site *site, const AlarmSubject *subject, const char *kind);
/* Another detail for the alarm that is active; nobody is told again. */
extern void alarm_retell_meter(const Site *site, int32 meter_id, const char *kind,
							   const char *detail);
extern bool alarm_is_active(const Site *site, const AlarmSubject *subject, const char *kind);

extern int64 alarm_raise_meter(const Site *site, int32 meter_id, const char *kind, int level,
							   const char *detail);
extern bool alarm_clear_meter(const Site *site, int32 meter_id, const char *kind);

#endif
