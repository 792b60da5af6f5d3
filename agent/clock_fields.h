/*
 * clock_fields.h
 *		A meter's clock: local date and time in single bytes, and the site's time zone.
 */
#ifndef PREPAYD_CLOCK_FIELDS_H
#define PREPAYD_CLOCK_FIELDS_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A format names the bytes in their order, two letters each: YY year of the century, MM month, DD
 * day, WW day of the week (1 Monday .. 7 Sunday), ww the same with Sunday 0, hh mm ss, -- anything.
 * `whole`: year, month, day, hour and minute must be there.
 */
bool clock_format_good(const char *format, bool whole);

/* The zone meters' clocks are set to, by its name in the tz database. False: this host has none. */
bool clock_set_zone(const char *name);

/* Bytes to microseconds since 1970 UTC; false when they are no date, or no zone is known. */
bool clock_from_fields(const char *format, const uint8_t *bytes, bool bcd, int64_t *usec);
bool clock_to_fields(const char *format, int64_t usec, bool bcd, uint8_t *bytes);

#endif
