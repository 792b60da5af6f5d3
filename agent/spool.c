/*
 * spool.c
 *		The durable queue of readings and command outcomes between meters and database.
 *
 * Data model (SQLite, WAL, synchronous=FULL, exclusive lock)
 *   meta(key, value)        uuid of the spool; last_seq, the highest batch number ever given out
 *   reading(id, ...)        one row per reading; id only grows, so ids order the rows by arrival
 *   batch(seq, first, last) the one batch that is numbered and not acknowledged: ids first..last
 *   outcome(...)            command outcomes; final = 0 while the command runs
 *
 * Invariants
 *   - A row leaves memory for the file in spool_flush and may be sent only then.
 *   - A number is given to a range of ids once, in a transaction that ends before the batch is
 *sent. Rows are immutable and the trimming of a full spool spares the numbered range, so a resent
 *     batch is the same batch.
 *   - Numbers are never reused under one uuid. If the database knows a higher number than we do,
 *the file was restored from a copy: its rows get a new uuid, and the database's own key (meter,
 *     read_at) keeps those it has already from counting twice.
 *
 * What a crash leaves
 *   before flush ends        readings since the last group commit (50 ms) are lost, as if not taken
 *   after flush              they are sent at the next start
 *   after numbering          the batch is sent again under its number; the database has it or not
 *   after sending            the same: agent_hello tells; the deletion of its rows may be redone
 *   while a command runs     its row with final = 0 becomes the outcome "unknown" at the next start
 *
 * fsync blocks the loop; that is accepted: it takes the disk's few milliseconds once per group
 *commit.
 */
#include "spool_file.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What memory holds when the disk refuses: at 5000 meters a minute, ten minutes of readings. */
#define PENDING_MAX 50000

void
spool_close(Spool *spool)
{
	if (!spool)
		return;
	spool_flush(spool);
	spool_close_file(spool);
	free(spool->pending);
	free(spool->pending_taken);
	free(spool);
}

const char *
spool_uuid(const Spool *spool)
{
	return spool->uuid;
}

/* ---- writing readings ---- */

void
spool_add(Spool *spool, const Reading *reading)
{
	if (spool->pending_count == PENDING_MAX)
	{
		memmove(spool->pending, spool->pending + 1, (PENDING_MAX - 1) * sizeof(*spool->pending));
		memmove(spool->pending_taken, spool->pending_taken + 1,
				(PENDING_MAX - 1) * sizeof(*spool->pending_taken));
		spool->pending_count--;
		counters.spool_dropped++;
	}
	if (spool->pending_count == spool->pending_size)
	{
		size_t n;

		spool->pending_size = spool->pending_size ? 2 * spool->pending_size : 64;
		n = (size_t) spool->pending_size;
		spool->pending = mem_realloc(spool->pending, n * sizeof(*spool->pending));
		spool->pending_taken = mem_realloc(spool->pending_taken, n * sizeof(*spool->pending_taken));
	}
	spool->pending_taken[spool->pending_count] = clock_real();
	spool->pending[spool->pending_count++] = *reading;
}

static void
bind_decimal(sqlite3_stmt *statement, int index, Decimal value)
{
	char text[DECIMAL_TEXT_SIZE];

	if (value.known)
		sqlite3_bind_text(statement, index, decimal_format(value, text), -1, SQLITE_TRANSIENT);
	else
		sqlite3_bind_null(statement, index);
}

/* "{1.00,2.00}"; NULL unless every period is known, since a split needs them all. */
static void
bind_periods(sqlite3_stmt *statement, int index, const Reading *reading)
{
	char text[PROFILE_MAX_PERIODS * DECIMAL_TEXT_SIZE + 3];
	char number[DECIMAL_TEXT_SIZE];
	size_t len = 0;

	for (int i = 0; i < reading->periods; i++)
	{
		if (!reading->period_kwh[i].known)
		{
			sqlite3_bind_null(statement, index);
			return;
		}
		len += (size_t) snprintf(text + len, sizeof(text) - len, "%c%s", i == 0 ? '{' : ',',
								 decimal_format(reading->period_kwh[i], number));
	}
	if (len == 0)
	{
		sqlite3_bind_null(statement, index);
		return;
	}
	text[len++] = '}';
	sqlite3_bind_text(statement, index, text, (int) len, SQLITE_TRANSIENT);
}

static bool
insert_reading(Spool *spool, const Reading *reading, int64_t taken)
{
	sqlite3_stmt *statement = spool->insert;
	int result;

	sqlite3_bind_int64(statement, 1, taken);
	sqlite3_bind_int(statement, 2, reading->meter_id);
	sqlite3_bind_int64(statement, 3, reading->read_at);
	bind_decimal(statement, 4, reading->kwh);
	bind_decimal(statement, 5, reading->reverse_kwh);
	bind_periods(statement, 6, reading);
	bind_decimal(statement, 7, reading->kw);
	if (reading->relay_closed >= 0)
		sqlite3_bind_int(statement, 8, reading->relay_closed);
	else
		sqlite3_bind_null(statement, 8);
	bind_decimal(statement, 9, reading->meter_balance);
	bind_decimal(statement, 10, reading->purchase_count);
	if (reading->meter_clock.known)
		sqlite3_bind_int64(statement, 11, reading->meter_clock.units);
	else
		sqlite3_bind_null(statement, 11);
	result = sqlite3_step(statement);
	sqlite3_reset(statement);
	return result == SQLITE_DONE;
}

/* Part of the transactions of flush and numbering: saves a commit of its own. */
static bool
delete_acknowledged(Spool *spool)
{
	if (spool->delete_through == 0)
		return true;
	return spool_run_with(spool, "DELETE FROM reading WHERE id <= ?1", 1, &spool->delete_through) &&
		   spool_run_with(spool, "DELETE FROM batch WHERE last <= ?1", 1, &spool->delete_through);
}

/* Deletes the oldest rows that no batch holds; returns how many, -1 on failure. */
static int64_t
trim_rows(Spool *spool)
{
	int64_t excess = spool->rows + spool->pending_count - spool->max_rows;
	int64_t values[2] = { spool->batch_last, excess };

	if (excess <= 0)
		return 0;
	if (!spool_run_with(spool,
						"DELETE FROM reading WHERE id IN (SELECT id FROM reading WHERE id > ?1"
						" ORDER BY id LIMIT ?2)",
						2, values))
		return -1;
	return sqlite3_changes(spool->db);
}

bool
spool_flush(Spool *spool)
{
	int64_t trimmed = 0;
	bool good;

	if (spool->pending_count == 0 && spool->delete_through == 0)
		return true;
	if (!spool_present(spool))
		return false;
	good = spool_run(spool, "BEGIN IMMEDIATE") && delete_acknowledged(spool);
	if (good)
		good = (trimmed = trim_rows(spool)) >= 0;
	for (int i = 0; i < spool->pending_count && good; i++)
		good = insert_reading(spool, &spool->pending[i], spool->pending_taken[i]);
	if (!good || !spool_run(spool, "COMMIT"))
	{
		spool_recover(spool, "storing readings");
		return false;
	}
	spool->delete_through = 0;
	spool->rows += spool->pending_count - trimmed;
	spool->pending_count = 0;
	counters.spool_dropped += (uint64_t) trimmed;
	if (trimmed > 0)
		log_event(LEVEL_ERROR, "spool_full", "dropped=%lld", (long long) trimmed);
	if (spool->oldest == 0 || trimmed > 0)
		spool->oldest = spool_query_int(spool, "SELECT taken FROM reading ORDER BY id LIMIT 1", 0);
	return true;
}

int64_t
spool_rows(const Spool *spool)
{
	return spool->rows + spool->pending_count;
}

int64_t
spool_oldest(const Spool *spool)
{
	if (spool->rows > 0)
		return spool->oldest;
	return spool->pending_count > 0 ? spool->pending_taken[0] : 0;
}

/* ---- batches ---- */

static bool
number_batch(Spool *spool)
{
	int64_t after =
		spool->delete_through > spool->batch_last ? spool->delete_through : spool->batch_last;
	int64_t values[2] = { after, SPOOL_BATCH_ROWS };
	sqlite3_stmt *statement;
	int64_t first = 0;
	int64_t last = 0;
	int64_t range[3];

	statement = spool_prepare(spool,
							  "SELECT min(id), max(id) FROM (SELECT id FROM reading WHERE id > ?1"
							  " ORDER BY id LIMIT ?2)",
							  2, values);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
	{
		first = sqlite3_column_int64(statement, 0);
		last = sqlite3_column_int64(statement, 1);
	}
	sqlite3_finalize(statement);
	if (last == 0)
		return false;
	range[0] = spool->last_seq + 1;
	range[1] = first;
	range[2] = last;
	if (!spool_run(spool, "BEGIN IMMEDIATE") || !delete_acknowledged(spool) ||
		!spool_run_with(spool, "INSERT INTO batch VALUES(?1, ?2, ?3)", 3, range) ||
		!spool_run_with(spool, "UPDATE meta SET value = ?1 WHERE key = 'last_seq'", 1, range) ||
		!spool_run(spool, "COMMIT"))
	{
		spool_recover(spool, "numbering a batch");
		return false;
	}
	spool->delete_through = 0;
	spool->batch_seq = spool->last_seq = range[0];
	spool->batch_first = first;
	spool->batch_last = last;
	return true;
}

static void
add_element(SpoolBatch *batch, int column, const char *text)
{
	Buf *out = &batch->column[column];

	buf_add(out, batch->rows == 0 ? "{" : ",");
	buf_add(out, text ? text : "NULL");
}

static void
add_row(SpoolBatch *batch, sqlite3_stmt *row)
{
	char stamp[CLOCK_TEXT_SIZE];
	char quoted[PROFILE_MAX_PERIODS * DECIMAL_TEXT_SIZE + 8];

	for (int column = 0; column < SPOOL_COLUMNS; column++)
	{
		const char *text = (const char *) sqlite3_column_text(row, column);

		if (!text)
			add_element(batch, column, NULL);
		else if (column == 1)
			add_element(batch, column, clock_format(sqlite3_column_int64(row, column), stamp));
		else if (column == 4)
		{
			snprintf(quoted, sizeof(quoted), "\"%s\"", text);
			add_element(batch, column, quoted);
		}
		else if (column == 6)
			add_element(batch, column, text[0] == '1' ? "t" : "f");
		else if (column == 9)
			add_element(batch, column,
						clock_format(sqlite3_column_int64(row, column) * USEC_PER_SEC, stamp));
		else
			add_element(batch, column, text);
	}
	batch->rows++;
}

bool
spool_batch(Spool *spool, SpoolBatch *batch)
{
	int64_t range[2];
	sqlite3_stmt *statement;
	int result = SQLITE_ERROR;

	if (!spool_present(spool) || (spool->batch_seq == 0 && !number_batch(spool)))
		return false;
	range[0] = spool->batch_first;
	range[1] = spool->batch_last;
	memset(batch, 0, sizeof(*batch));
	batch->seq = spool->batch_seq;
	statement =
		spool_prepare(spool,
					  "SELECT meter_id, read_at, kwh, reverse_kwh, period_kwh, kw, relay_closed,"
					  " meter_balance, purchase_count, meter_clock FROM reading"
					  " WHERE id BETWEEN ?1 AND ?2 ORDER BY id",
					  2, range);
	while (statement && (result = sqlite3_step(statement)) == SQLITE_ROW)
		add_row(batch, statement);
	sqlite3_finalize(statement);
	if (result != SQLITE_DONE || batch->rows == 0)
	{
		spool_batch_free(batch);
		spool_recover(spool, "reading a batch");
		return false;
	}
	for (int column = 0; column < SPOOL_COLUMNS; column++)
		buf_add(&batch->column[column], "}");
	return true;
}

void
spool_batch_free(SpoolBatch *batch)
{
	for (int column = 0; column < SPOOL_COLUMNS; column++)
		buf_free(&batch->column[column]);
}

void
spool_ack(Spool *spool, int64_t seq)
{
	int64_t range[2] = { spool->batch_first, spool->batch_last };
	sqlite3_stmt *statement;

	if (spool->batch_seq == 0 || seq < spool->batch_seq)
		return;
	statement =
		spool_prepare(spool, "SELECT count(*) FROM reading WHERE id BETWEEN ?1 AND ?2", 2, range);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		spool->rows -= sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	statement = spool_prepare(spool, "SELECT taken FROM reading WHERE id > ?1 ORDER BY id LIMIT 1",
							  1, &spool->batch_last);
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
	counters.spool_renewed++;
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
	spool_ack(spool, last_seq);
	return true;
}
