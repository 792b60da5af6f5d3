/*
 * history.c: readings, facts and terms, as they are stored.
 *
 * Many meters are read in one scan of prepay.reading whose rows are taken as they come;
 * corrections and marks, of which there are few, are put in afterwards. That gives what
 * view reading_believed shows, which asks both for every row.
 */
#include "history.h"

#include "utils/builtins.h"

#include "amount.h"
#include "db.h"

/* ---- terms and facts ---- */

static void
load_terms(const Site *site, const int32 *account_id, int n, TimestampTz from, History *history)
{
	static DbQuery query = {
		"SELECT a.account_id, a.meter_id, a.valid_from, a.valid_to FROM prepay.account_meter a"
		" JOIN prepay.meter m USING (site_id, meter_id)"
		" WHERE a.site_id = $1 AND a.account_id = ANY ($2) AND a.valid_to > $3"
		" AND a.valid_from < a.valid_to AND m.purpose = 'prepaid'"
		" ORDER BY a.account_id, a.meter_id, a.valid_from",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(account_id, n),
					 TimestampTzGetDatum(from) };
	int i;

	history->n_term = db_run(&query, args);
	history->term = palloc(sizeof(Term) * Max(history->n_term, 1));
	for (i = 0; i < history->n_term; i++)
	{
		history->term[i].account_id = db_int32(i, 1);
		history->term[i].meter_id = db_int32(i, 2);
		history->term[i].from = db_time(i, 3);
		history->term[i].to = db_time(i, 4);
	}
}

static MeterHistory *
find_meter(const History *history, int32 meter_id)
{
	int low = 0;
	int high = history->n_meter;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (history->meter[middle].meter_id < meter_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < history->n_meter && history->meter[low].meter_id == meter_id ? &history->meter[low]
																			  : NULL;
}

static void
load_facts(const Site *site, Datum meters, History *history)
{
	static DbQuery query = {
		"SELECT meter_id, valid_from, (ratio * 1000000)::bigint, (register_max * 1000)::bigint,"
		" reverse_energy = 'add', period_names, period_step_kwh FROM prepay.meter_term"
		" WHERE site_id = $1 AND meter_id = ANY ($2) ORDER BY meter_id, valid_from",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), meters };
	int n = db_run(&query, args);
	MeterFacts *facts = palloc(sizeof(MeterFacts) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		MeterHistory *meter = find_meter(history, db_int32(i, 1));
		bool isnull;
		Datum names = db_value(i, 6, &isnull);

		facts[i].from = db_time(i, 2);
		facts[i].ratio_e6 = db_int64(i, 3);
		facts[i].register_max_wh = db_int64_or(i, 4, 0);
		facts[i].reverse_add = db_bool(i, 5);
		facts[i].tou = isnull ? (TouMap){ 0 } : tou_map(names, db_value(i, 7, &isnull));
		if (meter->n_facts++ == 0)
			meter->facts = &facts[i];
	}
	for (i = 0; i < history->n_meter; i++)
		if (history->meter[i].n_facts == 0)
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("meter %d has no row in prepay.meter_term",
								   history->meter[i].meter_id)));
}

static void
load_cuts(const Site *site, Datum meters, History *history)
{
	static DbQuery query = {
		"SELECT meter_id, valid_from FROM prepay.meter_term WHERE site_id = $1"
		" AND meter_id = ANY ($2) AND valid_from > '-infinity'"
		" UNION SELECT meter_id, CASE side WHEN 1 THEN valid_from ELSE valid_to END"
		" FROM prepay.account_meter, generate_series(1, 2) AS side WHERE site_id = $1"
		" AND meter_id = ANY ($2) AND valid_from < valid_to AND (side = 1 OR valid_to < 'infinity')"
		" ORDER BY 1, 2",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), meters };
	int n = db_run(&query, args);
	TimestampTz *cut = palloc(sizeof(TimestampTz) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		MeterHistory *meter = find_meter(history, db_int32(i, 1));

		cut[i] = db_time(i, 2);
		if (meter->n_cut++ == 0)
			meter->cut = &cut[i];
	}
}

/* ---- readings ---- */

static int
compare_readings(const void *a, const void *b)
{
	const Believed *left = a;
	const Believed *right = b;

	return left->read_at < right->read_at ? -1 : left->read_at > right->read_at;
}

static void
sort_readings(MeterHistory *meter)
{
	int i;

	/* Rows mostly lie in the order in which they came. */
	for (i = 1; i < meter->n; i++)
		if (meter->reading[i - 1].read_at > meter->reading[i].read_at)
		{
			qsort(meter->reading, meter->n, sizeof(Believed), compare_readings);
			return;
		}
}

typedef struct TakeReading
{
	History *history;
	MemoryContext memory;
	MeterHistory *last; /* neighbouring rows are often of neighbouring meters */
} TakeReading;

static MeterHistory *
meter_of_row(TakeReading *take, int32 meter_id)
{
	MeterHistory *meter = take->last;
	const MeterHistory *end = take->history->meter + take->history->n_meter;

	if (meter && meter->meter_id != meter_id && meter + 1 < end)
		meter++;
	if (meter == NULL || meter->meter_id != meter_id)
		meter = find_meter(take->history, meter_id);
	take->last = meter;
	return meter;
}

static Believed *
append_reading(MeterHistory *meter, MemoryContext memory)
{
	if (meter->n == meter->room)
	{
		int room = Max(16, meter->room * 2);
		Believed *reading =
			MemoryContextAllocExtended(memory, sizeof(Believed) * (Size) room, MCXT_ALLOC_HUGE);

		if (meter->n > 0)
		{
			memcpy(reading, meter->reading, sizeof(Believed) * meter->n);
			pfree(meter->reading);
		}
		meter->reading = reading;
		meter->room = room;
	}
	return &meter->reading[meter->n++];
}

#define READING_COLUMNS "r.meter_id, r.read_at, r.kwh, r.reverse_kwh, r.relay_closed, r.period_kwh"

/* A row of READING_COLUMNS. */
static void
take_reading(void *context, const Datum *value, const bool *isnull)
{
	TakeReading *take = context;
	Believed *reading = append_reading(meter_of_row(take, DatumGetInt32(value[0])), take->memory);

	memset(reading, 0, sizeof(*reading));
	reading->read_at = DatumGetTimestampTz(value[1]);
	reading->reverse_wh = -1;
	if (!numeric_to_milli(value[2], &reading->wh) ||
		(!isnull[3] && !numeric_to_milli(value[3], &reading->reverse_wh)))
		out_of_range("register value");
	reading->relay_closed = isnull[4] ? -1 : DatumGetBool(value[4]);
	if (!isnull[5])
	{
		TouRegisters tou = tou_registers(value[5]);

		reading->tou.n = tou.n;
		reading->tou.wh = MemoryContextAlloc(take->memory, sizeof(int64) * Max(tou.n, 1));
		memcpy(reading->tou.wh, tou.wh, sizeof(int64) * tou.n);
	}
}

/* For each meter the times of the outermost readings wanted. */
static void
find_edges(const Site *site, Datum meters, int n, TimestampTz from, TimestampTz to,
		   TimestampTz *first, TimestampTz *last)
{
	static DbQuery query = {
		"SELECT COALESCE((SELECT r.read_at FROM prepay.reading_believed r"
		"  WHERE r.site_id = $1 AND r.meter_id = m.meter_id AND r.read_at <= $3"
		"  AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1), '-infinity'),"
		" CASE WHEN $4 = 'infinity' THEN $4 ELSE COALESCE("
		"  (SELECT r.read_at FROM prepay.reading_believed r"
		"  WHERE r.site_id = $1 AND r.meter_id = m.meter_id AND r.read_at >= $4"
		"  AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at LIMIT 1), 'infinity') END"
		" FROM unnest($2) WITH ORDINALITY AS m (meter_id, n) ORDER BY m.n",
		4,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), meters, TimestampTzGetDatum(from),
					 TimestampTzGetDatum(to) };
	int i;

	db_run(&query, args);
	for (i = 0; i < n; i++)
	{
		first[i] = db_time(i, 1);
		last[i] = db_time(i, 2);
	}
}

/* Of each meter the readings from its first to its last time. */
static void
scan_around(const Site *site, Datum meters, const TimestampTz *first, const TimestampTz *last,
			int n, TakeReading *take)
{
	static DbQuery query = {
		"SELECT " READING_COLUMNS " FROM unnest($2::int[], $3::timestamptz[], $4::timestamptz[])"
		" AS m (meter_id, first, last) JOIN prepay.reading r ON r.site_id = $1"
		" AND r.meter_id = m.meter_id AND r.read_at >= m.first AND r.read_at <= m.last",
		4,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), meters, db_array_time(first, n),
					 db_array_time(last, n) };

	db_scan(&query, args, take_reading, take);
}

/* What lies in [from, to) is read for all meters at once, what lies around it for each. */
static void
scan_readings(const Site *site, Datum meters, int n, TimestampTz from, TimestampTz to,
			  TakeReading *take)
{
	static DbQuery query = { "SELECT " READING_COLUMNS " FROM prepay.reading r WHERE r.site_id = $1"
							 " AND r.meter_id = ANY ($2) AND r.read_at >= $3 AND r.read_at < $4",
							 4,
							 { INT4OID, INT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID } };
	Datum args[4] = { Int32GetDatum(site->site_id), meters, TimestampTzGetDatum(from),
					  TimestampTzGetDatum(to) };
	TimestampTz *first = palloc(sizeof(TimestampTz) * n);
	TimestampTz *last = palloc(sizeof(TimestampTz) * n);
	TimestampTz *bound = palloc(sizeof(TimestampTz) * n);
	int i;

	find_edges(site, meters, n, from, to, first, last);
	for (i = 0; i < n; i++)
		bound[i] = from == DT_NOBEGIN ? from : from - 1;
	scan_around(site, meters, first, bound, n, take);
	db_scan(&query, args, take_reading, take);
	if (to == DT_NOEND)
		return;
	for (i = 0; i < n; i++)
		bound[i] = to;
	scan_around(site, meters, bound, last, n, take);
}

static Believed *
find_reading(const History *history, int32 meter_id, TimestampTz read_at)
{
	Believed wanted = { .read_at = read_at };
	MeterHistory *meter = find_meter(history, meter_id);

	return meter->n == 0
			   ? NULL
			   : bsearch(&wanted, meter->reading, meter->n, sizeof(Believed), compare_readings);
}

static void
apply_marks(const Site *site, Datum meters, History *history)
{
	static DbQuery query = { "SELECT meter_id, read_at, mark FROM prepay.reading_mark"
							 " WHERE site_id = $1 AND meter_id = ANY ($2)",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), meters };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
	{
		Believed *reading = find_reading(history, db_int32(i, 1), db_time(i, 2));
		const char *mark = db_text(i, 3);

		if (reading == NULL)
			continue;
		reading->held = strcmp(mark, "held") == 0 || strcmp(mark, "rejected") == 0;
		reading->is_baseline = strcmp(mark, "baseline") == 0;
		reading->was_waiting = strcmp(mark, "waiting") == 0;
		/* Where a person had to decide about the total, the registers read with it tell nothing. */
		if (strcmp(mark, "accepted") == 0)
			reading->tou.n = 0;
	}
}

static void
apply_corrections(const Site *site, Datum meters, History *history)
{
	static DbQuery query = { "SELECT meter_id, read_at, (kwh * 1000)::bigint"
							 " FROM prepay.reading_correction"
							 " WHERE site_id = $1 AND meter_id = ANY ($2) ORDER BY correction",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), meters };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
	{
		Believed *reading = find_reading(history, db_int32(i, 1), db_time(i, 2));

		if (reading == NULL)
			continue;
		reading->wh = db_int64(i, 3);
		reading->tou.n = 0;
	}
}

/* The reverse register as last read before a time; -1: none since the last new beginning. */
static int64
reverse_before(const Site *site, int32 meter_id, TimestampTz read_at)
{
	static DbQuery query = {
		"SELECT r.reverse_wh FROM prepay.reading_believed r WHERE r.site_id = $1"
		" AND r.meter_id = $2 AND r.read_at < $3 AND (r.reverse_wh >= 0 OR r.mark = 'baseline')"
		" AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(read_at) };

	return db_run(&query, args) == 1 ? db_int64(0, 1) : -1;
}

static bool
reads_reverse(const MeterHistory *meter)
{
	int i;

	for (i = 0; i < meter->n; i++)
		if (meter->reading[i].reverse_wh >= 0)
			return true;
	return false;
}

/*
 * A meter may leave its reverse register out now and then: what it moved by since it
 * was last read then belongs to the interval at whose end it is read again.
 */
static void
carry_reverse(const Site *site, MeterHistory *meter)
{
	bool reads = reads_reverse(meter);
	bool begun = !reads;
	int64 known = -1;
	int i;

	for (i = 0; i < meter->n; i++)
	{
		Believed *reading = &meter->reading[i];

		if (reads && !reading->held)
		{
			if (reading->reverse_wh >= 0 || reading->is_baseline)
				known = reading->reverse_wh;
			else if (!begun)
				known = reverse_before(site, meter->meter_id, reading->read_at);
			begun = true;
		}
		reading->reverse_known = known;
	}
}

/* ---- all of it ---- */

void
history_load_meters(const Site *site, const int32 *meter_id, int n, TimestampTz from,
					TimestampTz to, History *history)
{
	TakeReading take = { .history = history, .memory = CurrentMemoryContext };
	Datum meters = db_array_int32(meter_id, n);
	int i;

	history->n_meter = n;
	history->meter = palloc0(sizeof(MeterHistory) * Max(n, 1));
	if (n == 0)
		return;
	for (i = 0; i < n; i++)
		history->meter[i].meter_id = meter_id[i];
	load_facts(site, meters, history);
	load_cuts(site, meters, history);
	scan_readings(site, meters, n, from, to, &take);
	for (i = 0; i < n; i++)
		sort_readings(&history->meter[i]);
	apply_marks(site, meters, history);
	apply_corrections(site, meters, history);
	for (i = 0; i < n; i++)
		carry_reverse(site, &history->meter[i]);
}

static int
compare_ids(const void *a, const void *b)
{
	int32 left = *(const int32 *) a;
	int32 right = *(const int32 *) b;

	return left < right ? -1 : left > right;
}

void
history_load(const Site *site, const int32 *account_id, int n, TimestampTz from, TimestampTz to,
			 History *history)
{
	int32 *meter_id;
	int n_meter = 0;
	int i;

	load_terms(site, account_id, n, from, history);
	meter_id = palloc(sizeof(int32) * Max(history->n_term, 1));
	for (i = 0; i < history->n_term; i++)
		meter_id[i] = history->term[i].meter_id;
	qsort(meter_id, history->n_term, sizeof(int32), compare_ids);
	for (i = 0; i < history->n_term; i++)
		if (n_meter == 0 || meter_id[n_meter - 1] != meter_id[i])
			meter_id[n_meter++] = meter_id[i];
	history_load_meters(site, meter_id, n_meter, from, to, history);
}

const MeterHistory *
history_meter(const History *history, int32 meter_id)
{
	return find_meter(history, meter_id);
}
