/*
 * zone.c: a time zone of PostgreSQL's tz database as the core's offset table.
 */
#include "postgres.h"

#include "pgtime.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

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

const CalZone *
zone_get(const char *name)
{
	KnownZone *known;
	pg_tz *tz;
	MemoryContext old;

	for (known = known_zones; known; known = known->next)
		if (pg_strcasecmp(known->name, name) == 0)
			return &known->zone;
	tz = strlen(name) <= TZ_STRLEN_MAX ? pg_tzset(name) : NULL;
	if (tz == NULL || !pg_tz_acceptable(tz))
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
