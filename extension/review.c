#include "review.h"

#include "utils/builtins.h"

void
review_add(ReviewList *list, int32 meter_id, TimestampTz read_at, const Datum *kwh,
		   const char *reason, const char *detail)
{
	ReviewRow *row;

	if (list->n == list->room)
	{
		list->room = Max(2 * list->room, 16);
		list->row = list->row ? repalloc(list->row, sizeof(ReviewRow) * list->room)
							  : palloc(sizeof(ReviewRow) * list->room);
	}
	row = &list->row[list->n++];
	row->meter_id = meter_id;
	row->read_at = read_at;
	row->has_kwh = kwh != NULL;
	row->kwh = kwh ? *kwh : (Datum) 0;
	row->reason = reason;
	row->detail = detail;
}

/* By meter, reason, time: also the order in which concurrent batches lock reviews. */
static int
by_key(const void *a, const void *b)
{
	const ReviewRow *x = (const ReviewRow *) a;
	const ReviewRow *y = (const ReviewRow *) b;
	int reason = strcmp(x->reason, y->reason);

	if (x->meter_id != y->meter_id)
		return x->meter_id < y->meter_id ? -1 : 1;
	if (reason != 0)
		return reason;
	return (x->read_at > y->read_at) - (x->read_at < y->read_at);
}

static void
store_group(const Site *site, const ReviewRow *row, int n)
{
	static DbQuery query = {
		"INSERT INTO prepay.reading_review AS r (site_id, meter_id, read_at, reason, last_read_at,"
		" readings, kwh, detail, opened_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
		" ON CONFLICT (site_id, meter_id, reason) WHERE status = 'open' DO UPDATE SET"
		" readings = r.readings + EXCLUDED.readings,"
		" last_read_at = greatest(r.last_read_at, EXCLUDED.last_read_at)",
		9,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID, INT4OID, NUMERICOID, TEXTOID,
		  TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(row->meter_id),
					 TimestampTzGetDatum(row->read_at),
					 CStringGetTextDatum(row->reason),
					 TimestampTzGetDatum(row[n - 1].read_at),
					 Int32GetDatum(n),
					 row->kwh,
					 CStringGetTextDatum(row->detail),
					 TimestampTzGetDatum(site->now) };

	db_run_nulls(&query, args, row->has_kwh ? NULL : "      n  ");
}

void
review_store(const Site *site, ReviewList *list)
{
	int begin;
	int end;

	if (list->n == 0)
		return;
	qsort(list->row, list->n, sizeof(ReviewRow), by_key);
	for (begin = 0; begin < list->n; begin = end)
	{
		const ReviewRow *first = &list->row[begin];

		for (end = begin + 1; end < list->n && list->row[end].meter_id == first->meter_id &&
							  strcmp(list->row[end].reason, first->reason) == 0;
			 end++)
			;
		store_group(site, first, end - begin);
	}
}
