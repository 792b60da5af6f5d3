/*
 * verify_reading.c: the chains of readings (reading_chain.c), walked again.
 *
 * Rows are taken as they lie, which is the order in which they came, so one scan walks
 * many meters at once and keeps a chain for each, not their rows. A meter whose rows turn
 * out to lie otherwise is walked once more in order.
 */
#include "verify_inner.h"

#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/timestamp.h"

#include "db.h"
#include "reading_chain.h"

#define METERS_AT_ONCE 10000

typedef struct LateRow
{
	int32 late_no;
	TimestampTz read_at;
	uint8 hash[CHAIN_BYTES];
	bool met;
} LateRow;

typedef struct EndRow
{
	int32 month;
	int64 readings;
	uint8 hash[CHAIN_BYTES];
} EndRow;

/* A reading that stays though those around it were dropped. */
typedef struct KeptRow
{
	TimestampTz read_at; /* 0: there is none */
	uint8 hash[CHAIN_BYTES];
	bool met;
} KeptRow;

#define KEPT_ROWS 2

typedef struct Walk
{
	int32 meter_id;
	ReadingChain stored;
	TimestampTz kept_from; /* what is earlier was dropped (retention.c) */
	ReadingChain begin;	   /* where the chain stood then, else its begin */
	KeptRow kept[KEPT_ROWS];
	ReadingChain chain; /* as found so far */
	int n_end;
	EndRow *end; /* by month */
	int next_end;
	int n_late;
	LateRow *late; /* by time */
	bool is_disordered;
	int n_kept_fault; /* of what is kept, whatever the walk finds */
	int n_fault; /* told when the walk is over: a walk in disorder finds faults that are none */
	char **fault;
} Walk;

typedef struct Walks
{
	Verify *verify;
	MemoryContext memory;
	int n;
	Walk *walk; /* ascending by meter_id */
	Walk *last;
	StringInfoData row;
	int32 stranger; /* the meter of a reading that has no state; 0: none */
} Walks;

static void add_fault(Walks *walks, Walk *walk, const char *format, ...) pg_attribute_printf(3, 4);

static void
add_fault(Walks *walks, Walk *walk, const char *format, ...)
{
	MemoryContext old = MemoryContextSwitchTo(walks->memory);
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	walk->fault = core_realloc(walk->fault, sizeof(char *) * (walk->n_fault + 1));
	walk->fault[walk->n_fault++] = pstrdup(text);
	MemoryContextSwitchTo(old);
}

static Walk *
find_walk(Walks *walks, int32 meter_id)
{
	int low = 0;
	int high = walks->n;

	if (walks->last && walks->last->meter_id == meter_id)
		return walks->last;
	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (walks->walk[middle].meter_id < meter_id)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == walks->n || walks->walk[low].meter_id != meter_id)
		return NULL;
	return walks->last = &walks->walk[low];
}

/* From where its readings are there; the list of late ones is whole. */
static void
begin_walk(Walk *walk)
{
	int32 late = walk->chain.late;
	uint8 late_hash[CHAIN_BYTES];
	int i;

	memcpy(late_hash, walk->chain.late_hash, CHAIN_BYTES);
	walk->chain = walk->begin;
	walk->chain.late = late;
	memcpy(walk->chain.late_hash, late_hash, CHAIN_BYTES);
	walk->next_end = 0;
	while (walk->next_end < walk->n_end &&
		   walk->end[walk->next_end].readings <= walk->begin.readings)
		walk->next_end++;
	for (i = 0; i < KEPT_ROWS; i++)
		walk->kept[i].met = false;
}

/* ---- what is kept of the meters ---- */

static void
load_walks(Walks *walks, Datum meters)
{
	static DbQuery query = { "SELECT meter_id, reading_chain, late_chain FROM prepay.meter_state"
							 " WHERE site_id = $1 AND meter_id = ANY ($2) ORDER BY meter_id",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	int32 site_id = walks->verify->site->site_id;
	Datum args[] = { Int32GetDatum(site_id), meters };
	int i;

	walks->n = db_run(&query, args);
	walks->walk = palloc0(sizeof(Walk) * Max(walks->n, 1));
	for (i = 0; i < walks->n; i++)
	{
		Walk *walk = &walks->walk[i];
		bool isnull;

		walk->meter_id = db_int32(i, 1);
		if (!reading_chain_decode(site_id, walk->meter_id, db_value(i, 2, &isnull),
								  db_value(i, 3, &isnull), &walk->stored))
			add_fault(walks, walk, "meter %d: its chain of readings is damaged", walk->meter_id);
		reading_chain_begin(site_id, walk->meter_id, &walk->begin);
		walk->chain = walk->begin;
		walk->kept_from = DT_NOBEGIN;
	}
}

static void
decode_kept(int row, int column, KeptRow *kept)
{
	bool isnull;
	Datum hash = db_value(row, column + 1, &isnull);

	kept->read_at = db_time_or(row, column, 0);
	if (!isnull)
		(void) digest_from_bytea(hash, kept->hash, CHAIN_BYTES);
}

/* Where the chains begin of which readings were dropped. */
static void
load_kept(Walks *walks, Datum meters)
{
	static DbQuery query = { "SELECT meter_id, kept_from, readings, chain_hash, late, register_at,"
							 " register_hash, reverse_at, reverse_hash FROM prepay.reading_kept"
							 " WHERE site_id = $1 AND meter_id = ANY ($2)",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(walks->verify->site->site_id), meters };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
	{
		Walk *walk = find_walk(walks, db_int32(i, 1));
		bool isnull;

		if (walk == NULL)
			continue;
		walk->kept_from = db_time(i, 2);
		walk->begin.readings = (uint32) db_int64(i, 3);
		(void) digest_from_bytea(db_value(i, 4, &isnull), walk->begin.hash, CHAIN_BYTES);
		walk->begin.late = db_int32(i, 5);
		decode_kept(i, 6, &walk->kept[0]);
		decode_kept(i, 8, &walk->kept[1]);
	}
	for (i = 0; i < walks->n; i++)
		begin_walk(&walks->walk[i]);
}

static void
load_ends(Walks *walks, Datum meters)
{
	static DbQuery query = { "SELECT meter_id, month, readings, hash FROM prepay.reading_chain"
							 " WHERE site_id = $1 AND meter_id = ANY ($2) ORDER BY meter_id, month",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(walks->verify->site->site_id), meters };
	int n = db_run(&query, args);
	EndRow *end = palloc(sizeof(EndRow) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		Walk *walk = find_walk(walks, db_int32(i, 1));
		bool isnull;

		end[i].month = DatumGetDateADT(db_value(i, 2, &isnull));
		end[i].readings = db_int64(i, 3);
		(void) digest_from_bytea(db_value(i, 4, &isnull), end[i].hash, CHAIN_BYTES);
		if (walk && walk->n_end++ == 0)
			walk->end = &end[i];
	}
}

static int
compare_late(const void *a, const void *b)
{
	TimestampTz x = ((const LateRow *) a)->read_at;
	TimestampTz y = ((const LateRow *) b)->read_at;

	return (x > y) - (x < y);
}

/* The chain over the hashes of the late ones, in the order of arrival. */
static void
load_late(Walks *walks, Datum meters)
{
	static DbQuery query = {
		"SELECT meter_id, late_no, read_at, hash FROM prepay.reading_late"
		" WHERE site_id = $1 AND meter_id = ANY ($2) ORDER BY meter_id, late_no",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(walks->verify->site->site_id), meters };
	int n = db_run(&query, args);
	LateRow *late = palloc(sizeof(LateRow) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		Walk *walk = find_walk(walks, db_int32(i, 1));
		ReadingChain *chain;
		bool isnull;

		late[i].late_no = db_int32(i, 2);
		late[i].read_at = db_time(i, 3);
		late[i].met = false;
		(void) digest_from_bytea(db_value(i, 4, &isnull), late[i].hash, CHAIN_BYTES);
		if (walk == NULL)
			continue;
		if (walk->n_late++ == 0)
			walk->late = &late[i];
		chain = &walk->chain;
		reading_chain_late_hash(chain, late[i].hash);
		if (late[i].late_no != chain->late)
			add_fault(walks, walk, "late reading %d of meter %d is missing", chain->late,
					  walk->meter_id);
	}
	for (i = 0; i < walks->n; i++)
	{
		Walk *walk = &walks->walk[i];

		if (walk->n_late > 1)
			qsort(walk->late, walk->n_late, sizeof(LateRow), compare_late);
		if (walk->chain.late != walk->stored.late ||
			memcmp(walk->chain.late_hash, walk->stored.late_hash, CHAIN_BYTES) != 0)
			add_fault(walks, walk, "meter %d: the list of late readings is not what was kept",
					  walk->meter_id);
		walk->n_kept_fault = walk->n_fault;
	}
}

/* ---- the walk ---- */

static char *
month_text(int32 month)
{
	int year;
	int number;
	int day;

	j2date(month + POSTGRES_EPOCH_JDATE, &year, &number, &day);
	return psprintf("%04d-%02d (UTC)", year, number);
}

/* What was found at the end of a month, beside what was kept; the walk goes on from that. */
static void
compare_end(Walks *walks, Walk *walk, int32 month, int64 before, int64 readings, const uint8 *hash)
{
	ReadingChain *chain = &walk->chain;

	if (chain->readings != readings)
		add_fault(
			walks, walk,
			"meter %d, %s: " INT64_FORMAT " readings came in order, " INT64_FORMAT " are there",
			walk->meter_id, month_text(month), readings - before, (int64) chain->readings - before);
	else if (memcmp(chain->hash, hash, CHAIN_BYTES) != 0)
		add_fault(walks, walk, "meter %d, %s: a reading was changed afterwards", walk->meter_id,
				  month_text(month));
	chain->readings = (uint32) readings;
	memcpy(chain->hash, hash, CHAIN_BYTES);
}

/* Ends of months before one, of which no reading is there or all have been taken. */
static void
end_months_before(Walks *walks, Walk *walk, int32 month)
{
	while (walk->next_end < walk->n_end && walk->end[walk->next_end].month < month)
	{
		const EndRow *end = &walk->end[walk->next_end++];
		int64 before = walk->next_end > 1 ? walk->end[walk->next_end - 2].readings : 0;

		compare_end(walks, walk, end->month, before, end->readings, end->hash);
	}
}

static LateRow *
find_late(const Walk *walk, TimestampTz read_at)
{
	LateRow wanted = { .read_at = read_at };

	return walk->n_late == 0
			   ? NULL
			   : bsearch(&wanted, walk->late, walk->n_late, sizeof(LateRow), compare_late);
}

static KeptRow *
find_kept(Walk *walk, TimestampTz read_at)
{
	int i;

	for (i = 0; read_at < walk->kept_from && i < KEPT_ROWS; i++)
		if (walk->kept[i].read_at == read_at)
			return &walk->kept[i];
	return NULL;
}

static void
take_kept(Walks *walks, Walk *walk, KeptRow *kept)
{
	uint8 hash[CHAIN_BYTES];

	kept->met = true;
	reading_chain_row_hash(walks->verify->site->site_id, walk->meter_id, walks->row.data,
						   walks->row.len, hash);
	if (memcmp(hash, kept->hash, CHAIN_BYTES) != 0)
		add_fault(walks, walk, "meter %d: its kept reading of %s was changed afterwards",
				  walk->meter_id, timestamptz_to_str(kept->read_at));
}

static void
take_late(Walks *walks, Walk *walk, LateRow *late)
{
	uint8 hash[CHAIN_BYTES];

	late->met = true;
	reading_chain_row_hash(walks->verify->site->site_id, walk->meter_id, walks->row.data,
						   walks->row.len, hash);
	if (memcmp(hash, late->hash, CHAIN_BYTES) != 0)
		add_fault(walks, walk, "meter %d: its late reading of %s was changed afterwards",
				  walk->meter_id, timestamptz_to_str(late->read_at));
}

static void
take_reading(void *context, const Datum *value, const bool *isnull)
{
	Walks *walks = context;
	Walk *walk = find_walk(walks, DatumGetInt32(value[0]));
	TimestampTz read_at = DatumGetTimestampTz(value[1]);
	KeptRow *kept;
	LateRow *late;

	if (walk == NULL)
	{
		walks->stranger = DatumGetInt32(value[0]);
		return;
	}
	if (walk->is_disordered)
		return;
	resetStringInfo(&walks->row);
	reading_encode(value + 1, isnull + 1, &walks->row);
	kept = find_kept(walk, read_at);
	if (kept)
	{
		take_kept(walks, walk, kept);
		return;
	}
	late = find_late(walk, read_at);
	if (late)
	{
		take_late(walks, walk, late);
		return;
	}
	if (read_at <= walk->chain.last_read_at)
	{
		walk->is_disordered = true;
		return;
	}
	if (walk->next_end < walk->n_end)
		end_months_before(walks, walk, reading_chain_month(read_at));
	reading_chain_next(&walk->chain, read_at, walks->row.data, walks->row.len);
}

/* The last month, and what was not met. */
static void
finish(Walks *walks, Walk *walk)
{
	const ReadingChain *stored = &walk->stored;
	int i;

	if (stored->readings > 0)
	{
		end_months_before(walks, walk, PG_INT32_MAX);
		compare_end(walks, walk, reading_chain_month(stored->last_read_at),
					walk->n_end ? walk->end[walk->n_end - 1].readings : 0, stored->readings,
					stored->hash);
		if (walk->n_fault == 0 && (walk->begin.readings == stored->readings
									   ? stored->last_read_at >= walk->kept_from
									   : walk->chain.last_read_at != stored->last_read_at))
			add_fault(walks, walk, "meter %d: its last reading is of another time", walk->meter_id);
	}
	else if (walk->chain.readings > 0 || walk->n_end > 0)
		add_fault(walks, walk, "meter %d has readings, and none came", walk->meter_id);
	for (i = 0; i < KEPT_ROWS; i++)
		if (walk->kept[i].read_at != 0 && !walk->kept[i].met)
			add_fault(walks, walk, "meter %d: its kept reading of %s is missing", walk->meter_id,
					  timestamptz_to_str(walk->kept[i].read_at));
	for (i = 0; i < walk->n_late; i++)
		if (!walk->late[i].met &&
			(walk->late[i].late_no > walk->begin.late || walk->late[i].read_at >= walk->kept_from))
			add_fault(walks, walk, "meter %d: its late reading of %s is missing", walk->meter_id,
					  timestamptz_to_str(walk->late[i].read_at));
	for (i = 0; i < walk->n_fault; i++)
		verify_fault(walks->verify, "reading", "%s", walk->fault[i]);
}

#define READINGS "SELECT r.meter_id, " READING_PROVEN " FROM prepay.reading r WHERE r.site_id = $1"

/* Meters whose rows do not lie in order. */
static void
walk_in_order(Walks *walks)
{
	static DbQuery query = { READINGS " AND r.meter_id = ANY ($2) ORDER BY r.meter_id, r.read_at",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	int32 *meter_id = palloc(sizeof(int32) * Max(walks->n, 1));
	Datum args[] = { Int32GetDatum(walks->verify->site->site_id), (Datum) 0 };
	int n = 0;
	int i;
	int k;

	for (i = 0; i < walks->n; i++)
	{
		Walk *walk = &walks->walk[i];

		if (!walk->is_disordered)
			continue;
		meter_id[n++] = walk->meter_id;
		begin_walk(walk);
		walk->is_disordered = false;
		walk->n_fault = walk->n_kept_fault;
		for (k = 0; k < walk->n_late; k++)
			walk->late[k].met = false;
	}
	if (n == 0)
		return;
	args[1] = db_array_int32(meter_id, n);
	db_scan(&query, args, take_reading, walks);
}

static void
load(Walks *walks, Verify *verify, const int32 *meter_id, int n)
{
	Datum meters = db_array_int32(meter_id, n);

	memset(walks, 0, sizeof(*walks));
	walks->verify = verify;
	walks->memory = CurrentMemoryContext;
	initStringInfo(&walks->row);
	load_walks(walks, meters);
	load_ends(walks, meters);
	load_kept(walks, meters);
	load_late(walks, meters);
}

static void
finish_all(Walks *walks)
{
	int i;

	walk_in_order(walks);
	for (i = 0; i < walks->n; i++)
		finish(walks, &walks->walk[i]);
	if (walks->stranger)
		verify_fault(walks->verify, "reading", "meter %d has readings, and is none",
					 walks->stranger);
}

void
verify_readings(Verify *verify, const int32 *meter_id, int n)
{
	static DbQuery query = { READINGS " AND r.meter_id = ANY ($2)", 2, { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(verify->site->site_id), db_array_int32(meter_id, n) };
	Walks walks;

	load(&walks, verify, meter_id, n);
	db_scan(&query, args, take_reading, &walks);
	finish_all(&walks);
}

/* Up to METERS_AT_ONCE meters after one; their number. */
static int
next_meters(const Verify *verify, int32 after, int32 **meter_id)
{
	static DbQuery query = { "SELECT meter_id FROM prepay.meter_state WHERE site_id = $1"
							 " AND meter_id > $2 ORDER BY meter_id LIMIT " CppAsString2(
								 METERS_AT_ONCE),
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(after) };
	int n = db_run(&query, args);
	int i;

	*meter_id = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*meter_id)[i] = db_int32(i, 1);
	return n;
}

/* The meters after one, and whatever else has readings up to the last of them. */
static bool
verify_range(Verify *verify, int32 *after)
{
	static DbQuery query = { READINGS " AND r.meter_id > $2 AND r.meter_id <= $3",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	int32 *meter_id;
	int n = next_meters(verify, *after, &meter_id);
	int32 last = n == METERS_AT_ONCE ? meter_id[n - 1] : PG_INT32_MAX;
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(*after),
					 Int32GetDatum(last) };
	Walks walks;

	load(&walks, verify, meter_id, n);
	db_scan(&query, args, take_reading, &walks);
	finish_all(&walks);
	*after = last;
	return last != PG_INT32_MAX;
}

void
verify_all_readings(Verify *verify)
{
	int32 after = PG_INT32_MIN;
	bool more = true;

	while (more)
	{
		CHECK_FOR_INTERRUPTS();
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		more = verify_range(verify, &after);
		SPI_finish();
	}
}
