/*
 * ingest.c: a batch of readings from an agent's spool, exactly once.
 *
 * Exactly once: the row of agent_spool is locked first and advanced in the
 * transaction that stores the readings. A batch at or below it is a repetition and
 * does nothing. A crash leaves both or neither.
 *
 * Never fails on content: a value that could not be stored, a meter that is not
 * the agent's, a second value for a moment that has one, all go to reading_review;
 * the rest is stored by one INSERT, which is rated by the trigger of reading.
 * Should that statement itself fail on some row (energy out of range), the batch is
 * halved under savepoints until the row is found, and that row is filed: one bad
 * row must not stop a gateway for ever. Errors that are not about content
 * (deadlock, cancel, out of memory or disk) pass through and the agent repeats.
 *
 * Locks: agent_spool is taken before everything of lock.h and by nothing else.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/resowner.h"
#include "utils/uuid.h"

#include "agent.h"
#include "review.h"

PG_FUNCTION_INFO_V1(prepay_ingest);

#define MAX_BATCH 100000
#define MAX_PERIODS 16

/* Columns of a batch after agent, spool and seq. */
typedef enum BatchColumn
{
	COL_METER,
	COL_READ_AT,
	COL_KWH,
	COL_REVERSE,
	COL_PERIODS,
	COL_KW,
	COL_RELAY,
	COL_BALANCE,
	COL_COUNT,
	COL_CLOCK,
	N_COLUMNS
} BatchColumn;

static const struct
{
	Oid type;
	const char *name;
	int digits; /* numeric: digits before the point that fit the table; 0: no numeric */
} column_table[N_COLUMNS] = {
	{ INT4OID, "meter_id", 0 },		  { TIMESTAMPTZOID, "read_at", 0 },
	{ NUMERICOID, "kwh", 12 },		  { NUMERICOID, "reverse_kwh", 12 },
	{ TEXTOID, "period_kwh", 0 },	  { NUMERICOID, "kw", 9 },
	{ BOOLOID, "relay_closed", 0 },	  { NUMERICOID, "meter_balance", 12 },
	{ INT4OID, "purchase_count", 0 }, { TIMESTAMPTZOID, "meter_clock", 0 },
};

typedef struct Batch
{
	AgentCall call;
	int n;
	Datum *value[N_COLUMNS];
	bool *isnull[N_COLUMNS];
	int n_good;
	int *good; /* rows that may be stored */
	ReviewList review;
	int stored;
} Batch;

static void
read_columns(Batch *batch, FunctionCallInfo fcinfo)
{
	int column;

	for (column = 0; column < N_COLUMNS; column++)
	{
		ArrayType *array;
		int16 length;
		bool by_value;
		char align;
		int n;

		if (PG_ARGISNULL(column + 3))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("array \"%s\" is missing", column_table[column].name)));
		array = PG_GETARG_ARRAYTYPE_P(column + 3);
		if (ARR_NDIM(array) > 1)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("array \"%s\" has %d dimensions", column_table[column].name,
								   ARR_NDIM(array))));
		get_typlenbyvalalign(column_table[column].type, &length, &by_value, &align);
		deconstruct_array(array, column_table[column].type, length, by_value, align,
						  &batch->value[column], &batch->isnull[column], &n);
		if (column == 0)
			batch->n = n;
		if (n != batch->n || n > MAX_BATCH)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("array \"%s\" has %d elements, \"%s\" has %d",
							column_table[column].name, n, column_table[0].name, batch->n),
					 errhint("All arrays have one element a reading, at most %d.", MAX_BATCH)));
	}
}

/* Whether a number fits its column; numbers are judged by their text, which is short. */
static bool
number_fits(Datum number, int digits)
{
	Numeric value = DatumGetNumeric(number);
	const char *text;
	int whole = 0;
	bool room = false;

	if (numeric_is_nan(value) || numeric_is_inf(value))
		return false;
	text = numeric_text(number);
	for (text += *text == '-'; *text >= '0' && *text <= '9'; text++)
	{
		whole += whole > 0 || *text != '0';
		room |= *text != '9';
	}
	/* All nines may round up into one digit more. */
	return whole < digits || (whole == digits && room);
}

/* '{1.00,2.00}': plain decimals, so that the cast in SQL cannot fail. */
static bool
periods_fit(const char *text)
{
	int periods = 0;

	if (*text++ != '{')
		return false;
	for (;;)
	{
		int digits;

		text += *text == '-';
		digits = (int) strspn(text, "0123456789");
		if (digits == 0 || digits > 11 || ++periods > MAX_PERIODS)
			return false;
		text += digits;
		if (*text == '.')
		{
			digits = (int) strspn(++text, "0123456789");
			if (digits == 0 || digits > 100)
				return false;
			text += digits;
		}
		if (*text == '}')
			return text[1] == '\0';
		if (*text++ != ',')
			return false;
	}
}

static void
file_row(Batch *batch, int row, const char *reason, const char *detail)
{
	bool has_time = !batch->isnull[COL_READ_AT][row] &&
					!TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(batch->value[COL_READ_AT][row]));
	bool has_kwh = !batch->isnull[COL_KWH][row] &&
				   number_fits(batch->value[COL_KWH][row], column_table[COL_KWH].digits);

	review_add(&batch->review,
			   batch->isnull[COL_METER][row] ? 0 : DatumGetInt32(batch->value[COL_METER][row]),
			   has_time ? DatumGetTimestampTz(batch->value[COL_READ_AT][row])
						: batch->call.site->now,
			   has_kwh ? &batch->value[COL_KWH][row] : NULL, reason, detail);
}

/*
 * A row without a usable register or time is filed. Another point that cannot be
 * stored is dropped from the row and filed: its energy must not be lost with it.
 */
static bool
check_row(Batch *batch, int row)
{
	int column;

	if (batch->isnull[COL_READ_AT][row] ||
		TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(batch->value[COL_READ_AT][row])))
	{
		file_row(batch, row, "bad_value", "The reading has no time.");
		return false;
	}
	if (batch->isnull[COL_KWH][row] ||
		!number_fits(batch->value[COL_KWH][row], column_table[COL_KWH].digits))
	{
		file_row(batch, row, "bad_value",
				 batch->isnull[COL_KWH][row]
					 ? "The reading has no kwh."
					 : psprintf("kwh is %.40s.", numeric_text(batch->value[COL_KWH][row])));
		return false;
	}
	for (column = COL_REVERSE; column < N_COLUMNS; column++)
	{
		bool fits = true;

		if (batch->isnull[column][row])
			continue;
		if (column_table[column].digits > 0)
			fits = number_fits(batch->value[column][row], column_table[column].digits);
		else if (column == COL_PERIODS)
			fits = periods_fit(TextDatumGetCString(batch->value[column][row]));
		else if (column == COL_CLOCK)
			fits = !TIMESTAMP_NOT_FINITE(DatumGetTimestampTz(batch->value[column][row]));
		if (fits)
			continue;
		batch->isnull[column][row] = true;
		file_row(batch, row, "bad_value",
				 psprintf("%s cannot be stored; the register was.", column_table[column].name));
	}
	return true;
}

static int
by_int32(const void *a, const void *b)
{
	int32 x = *(const int32 *) a;
	int32 y = *(const int32 *) b;

	return (x > y) - (x < y);
}

/*
 * Rows the agent read as a standby: their time lies in an absence of the agent whose
 * meters they are, be it over by now. They come out of its spool when they come.
 */
static void
find_stood_in(const Batch *batch, int32 *meter_id, bool *stood_in)
{
	static DbQuery query = {
		"SELECT u.n::int4 FROM unnest($2, $4) WITH ORDINALITY AS u (meter_id, read_at, n)"
		" JOIN prepay.meter m ON m.site_id = $1 AND m.meter_id = u.meter_id JOIN prepay.gateway g"
		" ON g.site_id = $1 AND g.gateway_id = m.gateway_id WHERE g.standby_agent = $3"
		" AND EXISTS (SELECT FROM prepay.agent_absence a WHERE a.site_id = $1 AND a.agent = g.agent"
		" AND u.read_at >= a.lost_at AND u.read_at <= COALESCE(a.until, 'infinity'))",
		4,
		{ INT4OID, INT4ARRAYOID, TEXTOID, TIMESTAMPTZARRAYOID }
	};
	Datum args[] = { Int32GetDatum(batch->call.site->site_id), db_array_int32(meter_id, batch->n),
					 CStringGetTextDatum(batch->call.code),
					 db_array(batch->value[COL_READ_AT], batch->isnull[COL_READ_AT], batch->n,
							  TIMESTAMPTZOID) };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
		stood_in[db_int32(i, 1) - 1] = true;
}

/* Sort rows into those to store and those to file. */
static void
sift(Batch *batch)
{
	int32 *meter_id = palloc(sizeof(int32) * Max(batch->n, 1));
	bool *mine = palloc0(sizeof(bool) * Max(batch->n, 1));
	int n_mine = 0;
	int32 *own;
	int n_own;
	int i;

	for (i = 0; i < batch->n; i++)
		meter_id[i] = batch->isnull[COL_METER][i] ? 0 : DatumGetInt32(batch->value[COL_METER][i]);
	n_own = agent_own_meters(&batch->call, meter_id, batch->n, &own);
	batch->good = palloc(sizeof(int) * Max(batch->n, 1));
	for (i = 0; i < batch->n; i++)
	{
		mine[i] = bsearch(&meter_id[i], own, n_own, sizeof(int32), by_int32) != NULL;
		n_mine += mine[i];
	}
	if (n_mine < batch->n)
		find_stood_in(batch, meter_id, mine);
	for (i = 0; i < batch->n; i++)
	{
		if (!mine[i])
			file_row(batch, i, "unknown_meter",
					 psprintf("Agent \"%s\" has no meter %d.", batch->call.code, meter_id[i]));
		else if (check_row(batch, i))
			batch->good[batch->n_good++] = i;
	}
}

/* Arguments of the bulk statements: site and the columns of good rows [begin, end). */
static void
bind_rows(const Batch *batch, int begin, int end, Datum *args)
{
	int n = end - begin;
	Datum *value = palloc(sizeof(Datum) * n);
	bool *isnull = palloc(sizeof(bool) * n);
	int column;
	int i;

	args[0] = Int32GetDatum(batch->call.site->site_id);
	for (column = 0; column < N_COLUMNS; column++)
	{
		for (i = 0; i < n; i++)
		{
			value[i] = batch->value[column][batch->good[begin + i]];
			isnull[i] = batch->isnull[column][batch->good[begin + i]];
		}
		args[1 + column] = db_array(value, isnull, n, column_table[column].type);
	}
	pfree(value);
	pfree(isnull);
}

#define ROWS                                                                                   \
	" FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) WITH ORDINALITY AS u (meter_id,"   \
	" read_at, kwh, reverse_kwh, period_kwh, kw, relay_closed, meter_balance, purchase_count," \
	" meter_clock, n)"
#define ROW_TYPES                                                                       \
	{                                                                                   \
		INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,   \
			TEXTARRAYOID, NUMERICARRAYOID, BOOLARRAYOID, NUMERICARRAYOID, INT4ARRAYOID, \
			TIMESTAMPTZARRAYOID                                                         \
	}

/*
 * Rows whose moment has another content already, in the table or earlier in the
 * batch. Asked only when fewer rows were stored than given.
 */
static void
file_conflicts(Batch *batch, Datum *args, int begin)
{
	static DbQuery query = {
		"SELECT u.n::int4, r.kwh::text" ROWS " JOIN prepay.reading r ON r.site_id = $1"
		" AND r.meter_id = u.meter_id AND r.read_at = u.read_at"
		" WHERE (r.kwh, r.reverse_kwh, r.period_kwh, r.kw, r.relay_closed, r.meter_balance,"
		" r.purchase_count, r.meter_clock) IS DISTINCT FROM (u.kwh::numeric(15,3),"
		" u.reverse_kwh::numeric(15,3), u.period_kwh::numeric(15,3)[], u.kw::numeric(12,3),"
		" u.relay_closed, u.meter_balance::numeric(14,2), u.purchase_count, u.meter_clock)",
		11, ROW_TYPES
	};
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
		file_row(
			batch, batch->good[begin + db_int32(i, 1) - 1], "conflict",
			psprintf("Another reading of %s kWh is stored for the same moment.", db_text(i, 2)));
}

static void
store_rows(Batch *batch, int begin, int end)
{
	static DbQuery query = {
		"INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh, period_kwh, kw,"
		" relay_closed, meter_balance, purchase_count, meter_clock, source)"
		" SELECT $1, meter_id, read_at, kwh, reverse_kwh, period_kwh::numeric(15,3)[], kw,"
		" relay_closed, meter_balance, purchase_count, meter_clock, $12" ROWS
		" ON CONFLICT DO NOTHING",
		12,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, NUMERICARRAYOID, NUMERICARRAYOID,
		  TEXTARRAYOID, NUMERICARRAYOID, BOOLARRAYOID, NUMERICARRAYOID, INT4ARRAYOID,
		  TIMESTAMPTZARRAYOID, TEXTOID }
	};
	Datum args[12];
	int stored;

	bind_rows(batch, begin, end, args);
	args[11] = CStringGetTextDatum(batch->call.code);
	stored = (int) db_run(&query, args);
	batch->stored += stored;
	if (stored < end - begin)
		file_conflicts(batch, args, begin);
}

/* Whether an error says something about the rows, not about the moment or the machine. */
static bool
is_about_content(int code)
{
	switch (ERRCODE_TO_CATEGORY(code))
	{
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
			return true;
		default:
			return ERRCODE_TO_CATEGORY(code) == MAKE_SQLSTATE('P', 'P', '0', '0', '0') &&
				   code != ERRCODE_PP_NOT_INSTALLED;
	}
}

/* Store rows under a savepoint; NULL, or what was wrong with them. */
static ErrorData *
try_rows(Batch *batch, int begin, int end)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int stored = batch->stored;
	int reviews = batch->review.n;
	ErrorData *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		store_rows(batch, begin, end);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		batch->stored = stored;
		batch->review.n = reviews;
		if (!is_about_content(error->sqlerrcode))
			ReThrowError(error);
	}
	PG_END_TRY();
	return error;
}

static void
store_or_file(Batch *batch, int begin, int end)
{
	ErrorData *error;

	if (begin == end)
		return;
	error = try_rows(batch, begin, end);
	if (error == NULL)
		return;
	if (end - begin == 1)
	{
		file_row(batch, batch->good[begin], "bad_value",
				 psprintf("Refused by the database: %s.", error->message));
		return;
	}
	store_or_file(batch, begin, begin + (end - begin) / 2);
	store_or_file(batch, begin + (end - begin) / 2, end);
}

/* Lock the spool's row; the last batch stored of it. */
static int64
lock_spool(const AgentCall *call, Datum spool)
{
	static DbQuery make = {
		"INSERT INTO prepay.agent_spool (site_id, agent, spool, last_seq, last_at)"
		" VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING",
		4,
		{ INT4OID, TEXTOID, UUIDOID, TIMESTAMPTZOID }
	};
	static DbQuery lock = { "SELECT last_seq FROM prepay.agent_spool WHERE site_id = $1"
							" AND agent = $2 AND spool = $3 FOR NO KEY UPDATE",
							3,
							{ INT4OID, TEXTOID, UUIDOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->code), spool,
					 TimestampTzGetDatum(call->site->now) };

	if (db_run(&lock, args) == 0)
	{
		db_run(&make, args);
		db_run(&lock, args);
	}
	return db_int64(0, 1);
}

static void
advance_spool(const AgentCall *call, Datum spool, int64 seq)
{
	static DbQuery query = {
		"UPDATE prepay.agent_spool SET last_seq = $4, last_at = $5 WHERE site_id = $1"
		" AND agent = $2 AND spool = $3",
		5,
		{ INT4OID, TEXTOID, UUIDOID, INT8OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->code), spool,
					 Int64GetDatum(seq), TimestampTzGetDatum(call->site->now) };

	db_run(&query, args);
}

static Datum
ingest_result(FunctionCallInfo fcinfo, int64 last_seq, int stored, int filed, bool repeated)
{
	TupleDesc type;
	bool isnull[4] = { false };
	Datum value[] = { Int64GetDatum(last_seq), Int32GetDatum(stored), Int32GetDatum(filed),
					  BoolGetDatum(repeated) };

	if (get_call_result_type(fcinfo, NULL, &type) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "ingest must return prepay.ingest_result");
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(type), value, isnull));
}

/*
 * ingest(agent, spool, seq, columns...) → ingest_result. Raises 22023 when the
 * arrays do not fit each other or seq is not positive; content never raises.
 */
Datum
prepay_ingest(PG_FUNCTION_ARGS)
{
	Batch batch = { 0 };
	int64 seq;
	int64 last_seq;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("spool and seq of a batch must be given")));
	seq = PG_GETARG_INT64(2);
	if (seq < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("batch number %lld is not positive", (long long) seq),
						errhint("Batches of a spool count 1, 2, 3, …")));
	read_columns(&batch, fcinfo);
	agent_enter_site(&batch.call, fcinfo);
	last_seq = lock_spool(&batch.call, PG_GETARG_DATUM(1));
	if (seq <= last_seq)
	{
		db_leave(&batch.call.session);
		return ingest_result(fcinfo, last_seq, 0, 0, true);
	}
	/*
	 * The spool deletes what was acknowledged, so batches that are missing here were stored in a
	 * state of this database that is gone. Refusing would stop the agent for ever.
	 */
	if (seq > last_seq + 1 && last_seq > 0)
		ereport(LOG,
				(errmsg("agent \"%s\" goes on with batch %lld after %lld", batch.call.code,
						(long long) seq, (long long) last_seq),
				 errdetail("The batches between were stored in a state of the database that was"
						   " replaced by an older one."),
				 errhint("prepay.lost_meters and the readings' times show what is missing;"
						 " energy is charged by the next registers.")));
	sift(&batch);
	store_or_file(&batch, 0, batch.n_good);
	review_store(batch.call.site, &batch.review);
	advance_spool(&batch.call, PG_GETARG_DATUM(1), seq);
	db_leave(&batch.call.session);
	return ingest_result(fcinfo, seq, batch.stored, batch.review.n, false);
}
