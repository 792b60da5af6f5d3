/*
 * alarm_notice.h: messages to the staff about meters, gateways and agents.
 */
#ifndef PREPAY_ALARM_NOTICE_H
#define PREPAY_ALARM_NOTICE_H

#include "site.h"

/* Tells alarm_phones of an alarm that has just been raised. */
extern void alarm_notice_send(const Site *site, int64 alarm_id);
/*
 * Tells escalation_phones, once, of alarms nobody has acknowledged for escalate_after;
 * of at most max. Returns their number. Skips what others hold.
 */
extern int alarm_notice_escalate(const Site *site, int max);

#endif
