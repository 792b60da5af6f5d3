/*
 * zone.c: a time zone of PostgreSQL's tz database as the core's offset table.
 */
#include "postgres.h"

#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "db.h"
#include "site.h"

#define MAX_TRANSITIONS 1200
#define FIRST_SECOND (-INT64CONST(2208988800)) /* 1900-01-01 UTC */
#define LAST_SECOND INT64CONST(7258118400)	   /* 2200-01-01 UTC */
#define EPOCH_SHIFT_S ((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * 86400)

typedef struct KnownZone
{
	char name[TZ_STRLEN_MAX + 1];
	CalZone zone;
	struct KnownZone *next;
} KnownZone;

static KnownZone *known_zones = NULL;

static void
fill(CalZone *zone, const pg_tz *tz)
{
	int64 *at = palloc(sizeof(int64) * MAX_TRANSITIONS);
	int32 *offset = palloc(sizeof(int32) * (MAX_TRANSITIONS + 1));
	pg_time_t second = FIRST_SECOND;
	struct pg_tm *tm = pg_localtime(&second, tz);
	int n = 0;

	offset[0] = tm ? tm->tm_gmtoff : 0;
	while (n < MAX_TRANSITIONS)
	{
		long before;
		long after;
		int before_dst;
		int after_dst;
		pg_time_t boundary;

		if (pg_next_dst_boundary(&second, &before, &before_dst, &boundary, &after, &after_dst,
								 tz) != 1 ||
			boundary > LAST_SECOND)
			break;
		second = boundary;
		if (after == offset[n])
			continue;
		at[n] = ((int64) boundary - EPOCH_SHIFT_S) * USECS_PER_SEC;
		offset[++n] = after;
	}
	zone->n = n;
	zone->at = at;
	zone->offset_s = offset;
}

static pg_tz *
open_zone(const char *name)
{
	pg_tz *tz = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;

	return tz && pg_tz_acceptable(tz) ? tz : NULL;
}

/*
 * PostgreSQL takes any POSIX rule for a zone: 'Asia/Shangai+8' would be eight hours west
 * of Greenwich. A rule has digits, and is not in the database. localtime and posixrules
 * are whatever zone the machine has.
 */
const char *
zone_name(const char *name)
{
	static DbQuery query = {
		"SELECT z.name FROM pg_catalog.pg_timezone_names z WHERE lower(z.name) = lower($1)",
		1,
		{ TEXTOID }
	};
	Datum arg = CStringGetTextDatum(name);
	pg_tz *tz = open_zone(name);

	if (tz == NULL || pg_strcasecmp(name, "localtime") == 0 ||
		pg_strcasecmp(name, "posixrules") == 0)
		return NULL;
	if (strpbrk(name, "0123456789") == NULL)
		return pg_get_timezone_name(tz);
	return db_run(&query, &arg) > 0 ? db_text(0, 1) : NULL;
}

const CalZone *
zone_get(const char *name)
{
	KnownZone *known;
	pg_tz *tz;
	MemoryContext old;

	for (known = known_zones; known; known = known->next)
		if (pg_strcasecmp(known->name, name) == 0)
			return &known->zone;
	tz = open_zone(name);
	if (tz == NULL)
		return NULL;
	old = MemoryContextSwitchTo(TopMemoryContext);
	known = palloc0(sizeof(KnownZone));
	strlcpy(known->name, name, sizeof(known->name));
	fill(&known->zone, tz);
	known->next = known_zones;
	known_zones = known;
	MemoryContextSwitchTo(old);
	return &known->zone;
}
