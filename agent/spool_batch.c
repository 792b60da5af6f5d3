/*
 * spool_batch.c
 *		Batches of the spool: numbering, the texts that go to the database, acknowledgement.
 */
#include "spool_chunk.h"
#include "spool_file.h"

#include "clock.h"
#include "log.h"

#include <string.h>

/* Part of the transactions of flush and numbering: saves a commit of its own. */
bool
spool_delete_acknowledged(Spool *spool)
{
	if (spool->delete_through == 0)
		return true;
	return spool_run_with(spool, "DELETE FROM chunk WHERE id <= ?1", 1, &spool->delete_through) &&
		   spool_run_with(spool, "DELETE FROM batch WHERE last <= ?1", 1, &spool->delete_through);
}

/* The oldest chunks that make up a batch; false when there are none. */
static bool
choose_chunks(Spool *spool, int64_t *first, int64_t *last)
{
	int64_t after =
		spool->delete_through > spool->batch_last ? spool->delete_through : spool->batch_last;
	sqlite3_stmt *statement =
		spool_prepare(spool, "SELECT id, rows FROM chunk WHERE id > ?1 ORDER BY id", 1, &after);
	int64_t most = spool->rows > SPOOL_BACKLOG_ROWS ? SPOOL_BACKLOG_ROWS : SPOOL_BATCH_ROWS;
	int64_t rows = 0;

	*first = 0;
	while (statement && sqlite3_step(statement) == SQLITE_ROW)
	{
		rows += sqlite3_column_int64(statement, 1);
		if (*first && rows > most)
			break;
		*last = sqlite3_column_int64(statement, 0);
		if (!*first)
			*first = *last;
	}
	sqlite3_finalize(statement);
	return *first > 0;
}

static bool
number_batch(Spool *spool)
{
	int64_t range[3] = { spool->last_seq + 1, 0, 0 };

	if (!choose_chunks(spool, &range[1], &range[2]))
		return false;
	if (!spool_run(spool, "BEGIN IMMEDIATE") || !spool_delete_acknowledged(spool) ||
		!spool_run_with(spool, "INSERT INTO batch VALUES(?1, ?2, ?3)", 3, range) ||
		!spool_run_with(spool, "UPDATE meta SET value = ?1 WHERE key = 'last_seq'", 1, range) ||
		!spool_run(spool, "COMMIT"))
	{
		spool_recover(spool, "numbering a batch");
		return false;
	}
	spool->delete_through = 0;
	spool->batch_seq = spool->last_seq = range[0];
	spool->batch_first = range[1];
	spool->batch_last = range[2];
	return true;
}

/* ---- texts ---- */

static void
add_decimal(Buf *out, Decimal value)
{
	char text[DECIMAL_TEXT_SIZE];

	if (value.known)
		buf_add(out, decimal_format(value, text));
	else
		buf_add_bytes(out, "NULL", 4);
}

static void
add_periods(Buf *out, const Reading *reading)
{
	if (reading->periods == 0)
	{
		buf_add_bytes(out, "NULL", 4);
		return;
	}
	for (int i = 0; i < reading->periods; i++)
	{
		buf_add(out, i == 0 ? "\"{" : ",");
		add_decimal(out, reading->period_kwh[i]);
	}
	buf_add_bytes(out, "}\"", 2);
}

static void
add_row(void *arg, const Reading *reading)
{
	SpoolBatch *batch = arg;
	Buf *column = batch->column;
	char text[CLOCK_TEXT_SIZE];

	for (int i = 0; i < SPOOL_COLUMNS; i++)
		buf_add_bytes(&column[i], batch->rows == 0 ? "{" : ",", 1);
	add_decimal(&column[0], (Decimal){ reading->meter_id, 0, true });
	buf_add(&column[1], clock_format(reading->read_at, text));
	add_decimal(&column[2], reading->kwh);
	add_decimal(&column[3], reading->reverse_kwh);
	add_periods(&column[4], reading);
	add_decimal(&column[5], reading->kw);
	buf_add(&column[6], reading->relay_closed < 0 ? "NULL" : reading->relay_closed ? "t" : "f");
	add_decimal(&column[7], reading->meter_balance);
	add_decimal(&column[8], reading->purchase_count);
	buf_add(&column[9], reading->meter_clock.known
							? clock_format(reading->meter_clock.units * USEC_PER_SEC, text)
							: "NULL");
	batch->rows++;
}

/* Damaged chunks are passed over: the rest of the batch is as true as ever. */
static int
read_chunks(Spool *spool, SpoolBatch *batch)
{
	int64_t range[2] = { spool->batch_first, spool->batch_last };
	sqlite3_stmt *statement = spool_prepare(
		spool, "SELECT data, rows FROM chunk WHERE id BETWEEN ?1 AND ?2 ORDER BY id", 2, range);
	int result = SQLITE_ERROR;

	while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW)
	{
		const void *data = sqlite3_column_blob(statement, 0);

		if (spool_chunk_decode(data, (size_t) sqlite3_column_bytes(statement, 0), add_row, batch))
			continue;
		spool->counts.dropped += (uint64_t) sqlite3_column_int64(statement, 1);
		log_event(LEVEL_ERROR, "chunk_damaged", "seq=%lld rows=%lld", (long long) batch->seq,
				  (long long) sqlite3_column_int64(statement, 1));
	}
	sqlite3_finalize(statement);
	return result;
}

bool
spool_batch(Spool *spool, SpoolBatch *batch)
{
	if (!spool_present(spool) || (spool->batch_seq == 0 && !number_batch(spool)))
		return false;
	memset(batch, 0, sizeof(*batch));
	batch->seq = spool->batch_seq;
	if (read_chunks(spool, batch) != SQLITE_DONE)
	{
		spool_batch_free(batch);
		spool_recover(spool, "reading a batch");
		return false;
	}
	for (int column = 0; column < SPOOL_COLUMNS; column++)
		buf_add(&batch->column[column], batch->rows == 0 ? "{}" : "}");
	return true;
}

void
spool_batch_free(SpoolBatch *batch)
{
	for (int column = 0; column < SPOOL_COLUMNS; column++)
		buf_free(&batch->column[column]);
}

/* ---- acknowledgement ---- */

void
spool_ack(Spool *spool, int64_t seq)
{
	int64_t range[2] = { spool->batch_first, spool->batch_last };
	sqlite3_stmt *statement;

	if (spool->batch_seq == 0 || seq < spool->batch_seq)
		return;
	statement =
		spool_prepare(spool, "SELECT sum(rows) FROM chunk WHERE id BETWEEN ?1 AND ?2", 2, range);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		spool->rows -= sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	statement = spool_prepare(spool, "SELECT taken FROM chunk WHERE id > ?1 ORDER BY id LIMIT 1", 1,
							  &spool->batch_last);
	spool->oldest =
		statement && sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : 0;
	sqlite3_finalize(statement);
	spool->delete_through = spool->batch_last;
	spool->batch_seq = 0;
}

static void
spool_renew(Spool *spool)
{
	spool_make_uuid(spool->uuid);
	spool->last_seq = 0;
	spool->batch_seq = 0;
	if (!spool_run(spool, "BEGIN IMMEDIATE") || !spool_run(spool, "DELETE FROM batch") ||
		!spool_store_identity(spool) || !spool_run(spool, "COMMIT"))
		spool_recover(spool, "taking a new uuid");
	spool->batch_last = 0;
	spool->counts.renewed++;
}

bool
spool_hello(Spool *spool, int64_t last_seq)
{
	if (last_seq > spool->last_seq)
	{
		log_event(
			LEVEL_ERROR, "spool_behind",
			"uuid=%s last_seq=%lld database=%lld action=\"sending all rows under a new uuid\"",
			spool->uuid, (long long) spool->last_seq, (long long) last_seq);
		spool_renew(spool);
		return false;
	}
	/* The last number before the one that waits was acknowledged once, and its rows are deleted. */
	if (last_seq < spool->last_seq - (spool->batch_seq > 0 ? 1 : 0))
		log_event(LEVEL_ERROR, "database_behind",
				  "uuid=%s acknowledged=%lld database=%lld hint=\"it was restored from an older "
				  "state: the meters' next registers make up for the readings between\"",
				  spool->uuid, (long long) spool->last_seq, (long long) last_seq);
	spool_ack(spool, last_seq);
	return true;
}
