/*
 * holiday.h: the days of calendars, and what follows when somebody changes them.
 */
#ifndef PREPAY_HOLIDAY_H
#define PREPAY_HOLIDAY_H

#include "postgres.h"

#include "utils/date.h"

#include "site.h"

/* Days of a calendar within [from, to], as this statement sees them. */
typedef struct HolidayCalendar
{
	char *name;
	uint64 statement; /* Site.statement they were read in */
	DateADT from;
	DateADT to;
	uint64 content; /* number of this content; no other calendar or time has it */
	int n;
	DateADT *day;
	char **day_type;
} HolidayCalendar;

/*
 * The calendar with at least the days [from, to]: one look-up by key in prepay.holiday a
 * statement, more when the range grows. Needs an open DbSession; valid until the next call.
 */
extern const HolidayCalendar *holiday_calendar(const Site *site, const char *name, DateADT from,
											   DateADT to);

/* A site begins to rate by a calendar. Site lock held exclusively; before its first version. */
extern void holiday_adopt(const Site *site, const char *calendar);
/*
 * Queue what has been rated by days that have changed since; true when any had. Takes the
 * site's lock exclusively then, and keeps it, so nothing else should follow in the transaction.
 */
extern bool holiday_tick(const Site *site);

#endif
