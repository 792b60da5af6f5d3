/*
 * review.h: rows of a batch that could not become readings, for people to look at.
 */
#ifndef PREPAY_REVIEW_H
#define PREPAY_REVIEW_H

#include "db.h"
#include "site.h"

typedef struct ReviewRow
{
	int32 meter_id; /* 0: none was named */
	TimestampTz read_at;
	bool has_kwh;
	Datum kwh;
	const char *reason;
	const char *detail;
} ReviewRow;

typedef struct ReviewList
{
	int n;
	int room;
	ReviewRow *row;
} ReviewList;

/* kwh NULL: none that can be shown. The texts are kept, not copied. */
extern void review_add(ReviewList *list, int32 meter_id, TimestampTz read_at, const Datum *kwh,
					   const char *reason, const char *detail);
/* One open review per meter and reason: further readings attach to it. */
extern void review_store(const Site *site, ReviewList *list);

#endif
