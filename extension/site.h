/*
 * site.h: what the work of one statement needs to know about a site.
 */
#ifndef PREPAY_SITE_H
#define PREPAY_SITE_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "cal.h"

typedef struct Site
{
	int32 site_id;
	char code[256];
	char currency[4];
	int decimals;	/* of the currency */
	int64 revision; /* grows with each change of configuration */
	uint64
		known_since; /* what is derived from this reading of the row holds while it is the same */
	const CalZone *zone;
	TimestampTz dropped_before; /* readings are gone up to here, see retention.c */
	TimestampTz kept_from;		/* begin of kept_day */
	int32 kept_day;				/* first local day that can be rated anew */
	uint64 statement; /* grows with each site_get(): marks what is read once a statement */
	int32 today;	  /* local day of the business clock */
	TimestampTz now;  /* business clock */
} Site;

/*
 * Needs an open DbSession. Raises PP010 for an unknown id. Valid for the present
 * transaction; with the site's lock it is the site as committed last.
 */
extern const Site *site_get(int32 site_id);
/* Let a copy of the site be as if readings were dropped up to here. */
extern void site_keep_from(Site *site, TimestampTz dropped_before);
/* Something rating or the agents depend on has changed. */
extern void site_touch(int32 site_id);
extern int32 site_local_day(const Site *site, TimestampTz instant);

/* A zone of the tz database: its name as the database writes it; NULL: no such zone. */
extern const char *zone_name(const char *name);
/* The same as offset table. Kept for the backend's life. */
extern const CalZone *zone_get(const char *name);

/*
 * Settings of a site, with their defaults (setting.c has the list). Money is in
 * minor units. The _or forms give `absent` where neither site nor default has a value.
 */
extern int64 setting_money(const Site *site, const char *name, int64 absent);
extern int64 setting_micro(const Site *site, const char *name,
						   int64 absent); /* plain number x 10^6 */
extern int64 setting_interval_us(const Site *site, const char *name, int64 absent);
extern char *setting_text(const Site *site, const char *name);
/* Raises PP062 for an unknown name or a value that does not fit; NULL: the default. */
extern void setting_check(const Site *site, const char *name, const char *value);

/* Currency exponent of ISO 4217 (2 for codes without an exception). */
extern int currency_decimals(const char *currency);

#endif
