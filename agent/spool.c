/*
 * spool.c
 *		The durable queue of readings and command outcomes between meters and database.
 *
 * Data model (SQLite, WAL, synchronous=FULL, exclusive lock)
 *   meta(key, value)        uuid of the spool; last_seq, the highest batch number ever given out
 *   chunk(id, rows, taken, data)  up to 250 readings of one group commit, with a checksum; id only
 *                           grows, so ids order them by arrival
 *   batch(seq, first, last) the one batch that is numbered and not acknowledged: chunks first..last
 *   outcome(...)            command outcomes; final = 0 while the command runs
 *
 * Invariants
 *   - A reading leaves memory for the file in spool_flush and may be sent only then.
 *   - A number is given to a range of chunks once, in a transaction that ends before the batch is
 *     sent. Chunks are immutable and the trimming of a full spool spares the numbered range, so a
 *     resent batch is the same batch.
 *   - Numbers are never reused under one uuid. If the database knows a higher number than we do,
 * the file was restored from a copy: its rows get a new uuid, and the database's own key (meter,
 *     read_at) keeps those it has already from counting twice.
 *
 * What is bounded: rows in the file (the oldest chunks go first; outcomes are few and never go),
 * and rows in memory while the disk refuses (again the oldest). Both are counted and logged.
 *
 * What a crash leaves
 *   before flush ends        readings since the last group commit (50 ms) are lost, as if not taken
 *   after flush              they are sent at the next start
 *   after numbering          the batch is sent again under its number; the database has it or not
 *   after sending            the same: agent_hello tells; the deletion of its rows may be redone
 *   while a command runs     its row with final = 0 becomes the outcome "unknown" at the next start
 *
 * A call takes as long as the disk: store.c has them made by a thread of their own.
 */
#include "spool_chunk.h"
#include "spool_file.h"

#include "clock.h"
#include "log.h"

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
spool_add(Spool *spool, const Reading *reading, int64_t taken)
{
	if (spool->pending_count == PENDING_MAX)
	{
		memmove(spool->pending, spool->pending + 1, (PENDING_MAX - 1) * sizeof(*spool->pending));
		memmove(spool->pending_taken, spool->pending_taken + 1,
				(PENDING_MAX - 1) * sizeof(*spool->pending_taken));
		spool->pending_count--;
		spool->counts.dropped++;
	}
	if (spool->pending_count == spool->pending_size)
	{
		size_t n;

		spool->pending_size = spool->pending_size ? 2 * spool->pending_size : 64;
		n = (size_t) spool->pending_size;
		spool->pending = mem_realloc(spool->pending, n * sizeof(*spool->pending));
		spool->pending_taken = mem_realloc(spool->pending_taken, n * sizeof(*spool->pending_taken));
	}
	spool->pending_taken[spool->pending_count] = taken;
	spool->pending[spool->pending_count++] = *reading;
}

static bool
insert_chunk(Spool *spool, int first, int count)
{
	sqlite3_stmt *statement = spool->insert;
	Buf data;
	int result;

	buf_init(&data);
	spool_chunk_encode(spool->pending + first, count, &data);
	sqlite3_bind_int(statement, 1, count);
	sqlite3_bind_int64(statement, 2, spool->pending_taken[first]);
	sqlite3_bind_blob(statement, 3, data.data, (int) data.len, SQLITE_STATIC);
	result = sqlite3_step(statement);
	sqlite3_reset(statement);
	buf_free(&data);
	return result == SQLITE_DONE;
}

static bool
insert_pending(Spool *spool)
{
	for (int first = 0; first < spool->pending_count; first += SPOOL_CHUNK_ROWS)
	{
		int left = spool->pending_count - first;

		if (!insert_chunk(spool, first, left < SPOOL_CHUNK_ROWS ? left : SPOOL_CHUNK_ROWS))
			return false;
	}
	return true;
}

/* Deletes the oldest chunks that no batch holds; returns how many rows were in them, -1 on failure.
 */
static int64_t
trim_rows(Spool *spool)
{
	int64_t excess = spool->rows + spool->pending_count - spool->max_rows;
	int64_t through = 0;
	int64_t trimmed = 0;
	sqlite3_stmt *statement;

	if (excess <= 0)
		return 0;
	statement = spool_prepare(spool, "SELECT id, rows FROM chunk WHERE id > ?1 ORDER BY id", 1,
							  &spool->batch_last);
	while (statement && trimmed < excess && sqlite3_step(statement) == SQLITE_ROW)
	{
		through = sqlite3_column_int64(statement, 0);
		trimmed += sqlite3_column_int64(statement, 1);
	}
	sqlite3_finalize(statement);
	if (!spool_run_with(spool, "DELETE FROM chunk WHERE id > ?1 AND id <= ?2", 2,
						(int64_t[]){ spool->batch_last, through }))
		return -1;
	return trimmed;
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
	good = spool_run(spool, "BEGIN IMMEDIATE") && spool_delete_acknowledged(spool);
	if (good)
		good = (trimmed = trim_rows(spool)) >= 0;
	if (!good || !insert_pending(spool) || !spool_run(spool, "COMMIT"))
	{
		spool_recover(spool, "storing readings");
		return false;
	}
	spool->delete_through = 0;
	spool->rows += spool->pending_count - trimmed;
	spool->pending_count = 0;
	spool->counts.dropped += (uint64_t) trimmed;
	if (trimmed > 0)
		log_event(LEVEL_ERROR, "spool_full", "dropped=%lld", (long long) trimmed);
	spool_tidy(spool);
	if (spool->oldest == 0 || trimmed > 0)
		spool->oldest = spool_query_int(spool, "SELECT taken FROM chunk ORDER BY id LIMIT 1", 0);
	return true;
}

const SpoolCounts *
spool_counts(const Spool *spool)
{
	return &spool->counts;
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
