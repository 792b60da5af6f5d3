/*
 * quiet.h: hours in which customers are not disturbed.
 */
#ifndef PREPAY_QUIET_H
#define PREPAY_QUIET_H

#include "cal.h"

typedef struct QuietHours
{
	int from; /* minutes of the local day; past `to`: over midnight */
	int to;
} QuietHours;

/* 'HH:MM-HH:MM'; false: it is not that, or no time lies between. */
extern bool quiet_parse(const char *text, QuietHours *hours);
/* When the hours that `now` is in end; false: it is not in them. */
extern bool quiet_end(const CalZone *zone, const QuietHours *hours, int64_t now, int64_t *end);

#endif
