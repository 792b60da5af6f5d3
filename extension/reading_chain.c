/*
 * reading_chain.c: proof that the readings of a meter are those that came.
 *
 * Readings can change without any charge changing: their power, the time on the meter's
 * clock, a value between two others. So they have a chain of their own.
 *
 *   in order  hash(n) = SHA-256(hash(n - 1) || row n) over the readings that are later
 *             than all before them, as nearly all are. Its end stands in meter_state,
 *             written with the register; when a new month (UTC, as the partitions go)
 *             begins, the end of the old one becomes a row of reading_chain. So a fault
 *             is told by month, and what remains is proven when old months are dropped.
 *   late      readings that came after a later one each have a row in reading_late with
 *             a hash of their own, and these hashes are chained in the order of arrival.
 *             A late reading of any month disturbs no month's end.
 *
 * Both chains begin with site and meter. The order of arrival is that of the lock under
 * which the meter's row is written, and within a statement that of time, so it follows
 * from the rows alone: no reading carries a number.
 *
 * What one who may write everything can still do is to compute all of it again from the
 * reading he changed. The rows of months that have ended are anchored (anchor.c).
 *
 * A crash leaves readings, chain ends and rows of one transaction, or none of them.
 */
#include "reading_chain.h"

#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/numeric.h"

#include "core.h"
#include "db.h"

#define IN_ORDER_BYTES (8 + 4 + CHAIN_BYTES)
#define LATE_BYTES (4 + CHAIN_BYTES)

/* ---- where it stands ---- */

void
reading_chain_begin(int32 site_id, int32 meter_id, ReadingChain *chain)
{
	const uint32 begin[] = { pg_hton32((uint32) site_id), pg_hton32((uint32) meter_id) };

	memset(chain, 0, sizeof(*chain));
	chain->last_read_at = DT_NOBEGIN;
	memcpy(chain->hash, begin, sizeof(begin));
	memcpy(chain->late_hash, begin, sizeof(begin));
}

bool
reading_chain_decode(int32 site_id, int32 meter_id, Datum in_order, Datum late, ReadingChain *chain)
{
	const bytea *main = DatumGetByteaPP(in_order);
	const bytea *other = DatumGetByteaPP(late);
	const char *at = VARDATA_ANY(main);
	uint64 time;
	uint32 count;

	reading_chain_begin(site_id, meter_id, chain);
	if ((VARSIZE_ANY_EXHDR(main) != 0 && VARSIZE_ANY_EXHDR(main) != IN_ORDER_BYTES) ||
		(VARSIZE_ANY_EXHDR(other) != 0 && VARSIZE_ANY_EXHDR(other) != LATE_BYTES))
		return false;
	if (VARSIZE_ANY_EXHDR(main) != 0)
	{
		memcpy(&time, at, sizeof(time));
		memcpy(&count, at + sizeof(time), sizeof(count));
		memcpy(chain->hash, at + sizeof(time) + sizeof(count), CHAIN_BYTES);
		chain->last_read_at = (TimestampTz) pg_ntoh64(time);
		chain->readings = pg_ntoh32(count);
	}
	if (VARSIZE_ANY_EXHDR(other) != 0)
	{
		memcpy(&count, VARDATA_ANY(other), sizeof(count));
		chain->late = (int32) pg_ntoh32(count);
		memcpy(chain->late_hash, VARDATA_ANY(other) + sizeof(count), CHAIN_BYTES);
	}
	return true;
}

Datum
reading_chain_encode(const ReadingChain *chain)
{
	const uint64 time = pg_hton64((uint64) chain->last_read_at);
	const uint32 count = pg_hton32(chain->readings);
	bytea *value = palloc(VARHDRSZ + IN_ORDER_BYTES);
	char *at = VARDATA(value);

	if (chain->readings == 0)
	{
		SET_VARSIZE(value, VARHDRSZ);
		return PointerGetDatum(value);
	}
	SET_VARSIZE(value, VARHDRSZ + IN_ORDER_BYTES);
	memcpy(at, &time, sizeof(time));
	memcpy(at + sizeof(time), &count, sizeof(count));
	memcpy(at + sizeof(time) + sizeof(count), chain->hash, CHAIN_BYTES);
	return PointerGetDatum(value);
}

Datum
reading_chain_encode_late(const ReadingChain *chain)
{
	const uint32 count = pg_hton32((uint32) chain->late);
	bytea *value = palloc(VARHDRSZ + LATE_BYTES);

	if (chain->late == 0)
	{
		SET_VARSIZE(value, VARHDRSZ);
		return PointerGetDatum(value);
	}
	SET_VARSIZE(value, VARHDRSZ + LATE_BYTES);
	memcpy(VARDATA(value), &count, sizeof(count));
	memcpy(VARDATA(value) + sizeof(count), chain->late_hash, CHAIN_BYTES);
	return PointerGetDatum(value);
}

/* ---- a row ---- */

static void
put_int64(StringInfo out, int64 value)
{
	uint64 net = pg_hton64((uint64) value);

	appendBinaryStringInfo(out, (char *) &net, sizeof(net));
}

/*
 * A stored numeric is 16-bit words, one form for one value and scale; the columns fix the
 * scale. Taken in network order they are the same on every machine, and taking them is
 * ten times as fast as a decimal text.
 */
static void
put_numeric(StringInfo out, Datum value)
{
	const struct varlena *numeric = PG_DETOAST_DATUM_PACKED(value);
	const char *at = VARDATA_ANY(numeric);
	int n = VARSIZE_ANY_EXHDR(numeric) / sizeof(uint16);
	int i;

	appendStringInfoCharMacro(out, (char) n);
	enlargeStringInfo(out, n * sizeof(uint16));
	for (i = 0; i < n; i++)
	{
		uint16 word;

		memcpy(&word, at + i * sizeof(word), sizeof(word));
		word = pg_hton16(word);
		appendBinaryStringInfoNT(out, (char *) &word, sizeof(word));
	}
}

static void
put_numerics(StringInfo out, Datum value)
{
	ArrayType *array = DatumGetArrayTypeP(value);
	Datum *element;
	bool *isnull;
	int n;
	int i;

	for (i = 0; i < ARR_NDIM(array); i++)
	{
		put_int64(out, ARR_DIMS(array)[i]);
		put_int64(out, ARR_LBOUND(array)[i]);
	}
	deconstruct_array(array, NUMERICOID, -1, false, TYPALIGN_INT, &element, &isnull, &n);
	put_int64(out, n);
	for (i = 0; i < n; i++)
	{
		appendStringInfoCharMacro(out, isnull[i] ? '-' : '+');
		if (!isnull[i])
			put_numeric(out, element[i]);
	}
}

static void
put_text(StringInfo out, Datum value)
{
	const text *string = DatumGetTextPP(value);

	put_int64(out, VARSIZE_ANY_EXHDR(string));
	appendBinaryStringInfo(out, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
}

void
reading_encode(const Datum *value, const bool *isnull, StringInfo out)
{
	uint16 present = 0;
	int i;

	for (i = 0; i < READING_PROVEN_COLUMNS; i++)
		present = (uint16) (present << 1 | !isnull[i]);
	present = pg_hton16(present);
	appendBinaryStringInfo(out, (char *) &present, sizeof(present));
	put_int64(out, DatumGetTimestampTz(value[0]));
	put_numeric(out, value[1]);
	if (!isnull[2])
		put_numeric(out, value[2]);
	if (!isnull[3])
		put_numerics(out, value[3]);
	if (!isnull[4])
		put_numeric(out, value[4]);
	if (!isnull[5])
		appendStringInfoCharMacro(out, DatumGetBool(value[5]) ? 1 : 0);
	if (!isnull[6])
		put_numeric(out, value[6]);
	if (!isnull[7])
		put_int64(out, DatumGetInt32(value[7]));
	if (!isnull[8])
		put_int64(out, DatumGetTimestampTz(value[8]));
	if (!isnull[9])
		put_text(out, value[9]);
}

/* ---- the chains ---- */

static void
move_on(uint8 *hash, const void *row, int n)
{
	uint8 whole[DIGEST_BYTES];

	digest_of(hash, CHAIN_BYTES, row, n, whole);
	memcpy(hash, whole, CHAIN_BYTES);
}

void
reading_chain_next(ReadingChain *chain, TimestampTz read_at, const void *row, int n)
{
	chain->readings++;
	chain->last_read_at = read_at;
	move_on(chain->hash, row, n);
}

void
reading_chain_late_hash(ReadingChain *chain, const uint8 *row_hash)
{
	chain->late++;
	move_on(chain->late_hash, row_hash, CHAIN_BYTES);
}

void
reading_chain_row_hash(int32 site_id, int32 meter_id, const void *row, int n, uint8 *hash)
{
	ReadingChain chain;

	reading_chain_begin(site_id, meter_id, &chain);
	move_on(chain.hash, row, n);
	memcpy(hash, chain.hash, CHAIN_BYTES);
}

int32
reading_chain_month(TimestampTz read_at)
{
	/* The month asked for last: readings come month by month. */
	static TimestampTz from = DT_NOEND;
	static TimestampTz to = DT_NOBEGIN;
	static int32 month = 0;
	struct pg_tm tm;
	fsec_t fsec;

	if (read_at >= from && read_at < to)
		return month;
	if (timestamp2tm(read_at, NULL, &tm, &fsec, NULL, NULL) != 0)
		elog(ERROR, "time out of range");
	month = date2j(tm.tm_year, tm.tm_mon, 1) - POSTGRES_EPOCH_JDATE;
	from = month * USECS_PER_DAY;
	to = (date2j(tm.tm_year + tm.tm_mon / 12, tm.tm_mon % 12 + 1, 1) - POSTGRES_EPOCH_JDATE) *
		 USECS_PER_DAY;
	return month;
}

/* The month of the last reading is over. */
static void
end_month(ReadingChainRows *rows, int32 meter_id, const ReadingChain *chain)
{
	ReadingChainEnd *end;

	if (rows->n_end == rows->end_room)
	{
		rows->end_room = Max(64, rows->end_room * 2);
		rows->end = core_realloc(rows->end, sizeof(ReadingChainEnd) * rows->end_room);
	}
	end = &rows->end[rows->n_end++];
	end->meter_id = meter_id;
	end->month = reading_chain_month(chain->last_read_at);
	end->readings = chain->readings;
	memcpy(end->hash, chain->hash, CHAIN_BYTES);
}

bool
reading_chain_take(ReadingChainRows *rows, int32 site_id, int32 meter_id, ReadingChain *chain,
				   TimestampTz read_at, const void *row, int n)
{
	ReadingChainLate *late;

	if (read_at > chain->last_read_at)
	{
		if (chain->readings > 0 &&
			reading_chain_month(read_at) != reading_chain_month(chain->last_read_at))
			end_month(rows, meter_id, chain);
		reading_chain_next(chain, read_at, row, n);
		return false;
	}
	if (rows->n_late == rows->late_room)
	{
		rows->late_room = Max(64, rows->late_room * 2);
		rows->late = core_realloc(rows->late, sizeof(ReadingChainLate) * rows->late_room);
	}
	late = &rows->late[rows->n_late++];
	late->meter_id = meter_id;
	late->read_at = read_at;
	reading_chain_row_hash(site_id, meter_id, row, n, late->hash);
	reading_chain_late_hash(chain, late->hash);
	late->late_no = chain->late;
	return true;
}

static void
store_ends(const Site *site, const ReadingChainRows *rows)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.reading_chain (site_id, meter_id, month, readings, hash)"
		" SELECT $1, $2, $3, $4, $5",
		1,
		4,
		{ INT4OID, INT4OID, DATEOID, INT8OID, BYTEAOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	DbRows values = db_rows(&query, rows->n_end);
	int i;

	for (i = 0; i < rows->n_end; i++)
	{
		values.value[0][i] = Int32GetDatum(rows->end[i].meter_id);
		values.value[1][i] = DateADTGetDatum(rows->end[i].month);
		values.value[2][i] = Int64GetDatum(rows->end[i].readings);
		values.value[3][i] = digest_bytea(rows->end[i].hash, CHAIN_BYTES);
	}
	db_run_rows(&query, fixed, &values);
}

static void
store_late(const Site *site, const ReadingChainRows *rows)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.reading_late (site_id, meter_id, late_no, read_at, hash)"
		" SELECT $1, $2, $3, $4, $5",
		1,
		4,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, BYTEAOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	DbRows values = db_rows(&query, rows->n_late);
	int i;

	for (i = 0; i < rows->n_late; i++)
	{
		values.value[0][i] = Int32GetDatum(rows->late[i].meter_id);
		values.value[1][i] = Int32GetDatum(rows->late[i].late_no);
		values.value[2][i] = TimestampTzGetDatum(rows->late[i].read_at);
		values.value[3][i] = digest_bytea(rows->late[i].hash, CHAIN_BYTES);
	}
	db_run_rows(&query, fixed, &values);
}

void
reading_chain_flush(const Site *site, ReadingChainRows *rows)
{
	if (rows->n_end > 0)
		store_ends(site, rows);
	if (rows->n_late > 0)
		store_late(site, rows);
	rows->n_end = 0;
	rows->n_late = 0;
}

/* ---- what an anchor covers ---- */

int64
reading_chain_anchor(const Site *site, int32 anchor_id)
{
	static DbQuery query = {
		"UPDATE prepay.reading_chain SET anchor_id = $2 WHERE site_id = $1 AND anchor_id IS NULL",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(anchor_id) };

	return db_run(&query, args);
}

static void
add_to_digest(void *context, const Datum *value, const bool *isnull)
{
	uint8 *digest = context;
	char *text = psprintf("%d;%d;" INT64_FORMAT ";", DatumGetInt32(value[0]),
						  DatumGetDateADT(value[1]), DatumGetInt64(value[2]));
	uint8 hash[CHAIN_BYTES];

	(void) digest_from_bytea(value[3], hash, CHAIN_BYTES);
	digest_of(digest, DIGEST_BYTES, text, strlen(text), digest);
	digest_of(digest, DIGEST_BYTES, hash, CHAIN_BYTES, digest);
}

void
reading_chain_digest(const Site *site, int32 anchor_id, uint8 *digest)
{
	static DbQuery query = { "SELECT meter_id, month, readings, hash FROM prepay.reading_chain"
							 " WHERE site_id = $1 AND anchor_id = $2 ORDER BY meter_id, month",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(anchor_id) };

	memset(digest, 0, DIGEST_BYTES);
	db_scan(&query, args, add_to_digest, digest);
}
