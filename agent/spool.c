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
#include "spool.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* What memory holds when the disk refuses: at 5000 meters a minute, ten minutes of readings. */
#define PENDING_MAX 50000

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value);"
	"CREATE TABLE IF NOT EXISTS reading(id INTEGER PRIMARY KEY AUTOINCREMENT, taken INTEGER NOT NULL,"
	" meter_id INTEGER NOT NULL, read_at INTEGER NOT NULL, kwh TEXT NOT NULL, reverse_kwh TEXT,"
	" period_kwh TEXT, kw TEXT, relay_closed INTEGER, meter_balance TEXT, purchase_count TEXT,"
	" meter_clock INTEGER);"
	"CREATE TABLE IF NOT EXISTS batch(seq INTEGER PRIMARY KEY, first INTEGER NOT NULL,"
	" last INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS outcome(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" command_id INTEGER NOT NULL UNIQUE, attempt INTEGER NOT NULL, outcome TEXT NOT NULL,"
	" result TEXT NOT NULL, final INTEGER NOT NULL);";

struct Spool
{
	char path[600];
	sqlite3 *db;
	sqlite3_stmt *insert;
	int64_t max_rows;
	char uuid[SPOOL_UUID_SIZE];
	int64_t last_seq;
	int64_t batch_seq; /* numbered and not acknowledged; 0: none */
	int64_t batch_first;
	int64_t batch_last;
	int64_t delete_through; /* acknowledged ids, deleted with the next transaction; 0: none */
	int64_t rows;			/* in the file, without those acknowledged */
	int64_t oldest;
	int64_t outcomes;
	ino_t inode;
	Reading *pending;
	int64_t *pending_taken;
	int pending_count;
	int pending_size;
};

static bool spool_begin(Spool *spool, char *reason, size_t size);

/* ---- SQLite helpers ---- */

static bool
run(Spool *spool, const char *sql)
{
	return spool->db && sqlite3_exec(spool->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* Statement with up to three integers bound; NULL on failure. */
static sqlite3_stmt *
prepare(Spool *spool, const char *sql, int count, const int64_t *values)
{
	sqlite3_stmt *statement;

	if (!spool->db || sqlite3_prepare_v2(spool->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	for (int i = 0; i < count; i++)
		sqlite3_bind_int64(statement, i + 1, values[i]);
	return statement;
}

static bool
run_with(Spool *spool, const char *sql, int count, const int64_t *values)
{
	sqlite3_stmt *statement = prepare(spool, sql, count, values);
	int result = statement ? sqlite3_step(statement) : SQLITE_ERROR;

	sqlite3_finalize(statement);
	return result == SQLITE_DONE || result == SQLITE_ROW;
}

static int64_t
query_int(Spool *spool, const char *sql, int64_t fallback)
{
	sqlite3_stmt *statement = prepare(spool, sql, 0, NULL);
	int64_t value = fallback;

	if (statement && sqlite3_step(statement) == SQLITE_ROW &&
		sqlite3_column_type(statement, 0) != SQLITE_NULL)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

static void
close_file(Spool *spool)
{
	sqlite3_finalize(spool->insert);
	sqlite3_close(spool->db);
	spool->insert = NULL;
	spool->db = NULL;
}

/* ---- opening ---- */

static void
make_uuid(char *out)
{
	uint8_t bytes[16];

	if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t) sizeof(bytes))
		abort();
	bytes[6] = (uint8_t) ((bytes[6] & 0x0f) | 0x40);
	bytes[8] = (uint8_t) ((bytes[8] & 0x3f) | 0x80);
	for (int i = 0; i < 16; i++)
	{
		out += sprintf(out, "%02x", bytes[i]);
		if (i == 3 || i == 5 || i == 7 || i == 9)
			*out++ = '-';
	}
	*out = '\0';
}

static bool
store_identity(Spool *spool)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
			 "INSERT OR REPLACE INTO meta VALUES('uuid', '%s'), ('last_seq', %lld);", spool->uuid,
			 (long long) spool->last_seq);
	return run(spool, sql);
}

static bool
load_identity(Spool *spool)
{
	sqlite3_stmt *statement = prepare(spool, "SELECT value FROM meta WHERE key = 'uuid'", 0, NULL);
	bool found = statement && sqlite3_step(statement) == SQLITE_ROW;

	if (found)
		text_copy(spool->uuid, sizeof(spool->uuid),
				  (const char *) sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	if (!found)
	{
		make_uuid(spool->uuid);
		spool->last_seq = 0;
		return store_identity(spool);
	}
	spool->last_seq = query_int(spool, "SELECT value FROM meta WHERE key = 'last_seq'", 0);
	return strlen(spool->uuid) == SPOOL_UUID_SIZE - 1;
}

static bool
load_state(Spool *spool)
{
	if (!load_identity(spool))
		return false;
	spool->batch_seq = query_int(spool, "SELECT seq FROM batch", 0);
	spool->batch_first = query_int(spool, "SELECT first FROM batch", 0);
	spool->batch_last = query_int(spool, "SELECT last FROM batch", 0);
	spool->delete_through = 0;
	spool->rows = query_int(spool, "SELECT count(*) FROM reading", 0);
	spool->oldest = query_int(spool, "SELECT taken FROM reading ORDER BY id LIMIT 1", 0);
	/* Commands that were running when the process ended: nobody knows how far they got. */
	if (!run(spool, "UPDATE outcome SET final = 1 WHERE final = 0"))
		return false;
	spool->outcomes = query_int(spool, "SELECT count(*) FROM outcome", 0);
	return sqlite3_prepare_v2(spool->db,
							  "INSERT INTO reading(taken, meter_id, read_at, kwh, reverse_kwh,"
							  " period_kwh, kw, relay_closed, meter_balance, purchase_count,"
							  " meter_clock) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
							  -1, &spool->insert, NULL) == SQLITE_OK;
}

static bool
is_healthy(Spool *spool)
{
	sqlite3_stmt *statement = prepare(spool, "PRAGMA quick_check(1)", 0, NULL);
	bool healthy = statement && sqlite3_step(statement) == SQLITE_ROW &&
				   strcmp((const char *) sqlite3_column_text(statement, 0), "ok") == 0;

	sqlite3_finalize(statement);
	return healthy;
}

/* 1: open; 0: the file is damaged; -1: the file cannot be used by this process now. */
static int
open_file(Spool *spool, char *reason, size_t size)
{
	struct stat file;
	int result =
		sqlite3_open_v2(spool->path, &spool->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_exec(spool->db,
							  "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL;"
							  "PRAGMA synchronous=FULL; BEGIN IMMEDIATE; COMMIT;",
							  NULL, NULL, NULL);
	if (result == SQLITE_OK)
		result = sqlite3_exec(spool->db, schema, NULL, NULL, NULL);
	if (result == SQLITE_OK && (!is_healthy(spool) || !load_state(spool)))
		result = SQLITE_CORRUPT;
	if (result == SQLITE_OK && stat(spool->path, &file) == 0)
	{
		spool->inode = file.st_ino;
		return 1;
	}
	snprintf(reason, size, "%s: %s", spool->path,
			 spool->db ? sqlite3_errmsg(spool->db) : "out of memory");
	if (result == SQLITE_BUSY || result == SQLITE_LOCKED)
		snprintf(reason, size, "%s: another process uses this spool", spool->path);
	close_file(spool);
	return result == SQLITE_BUSY || result == SQLITE_LOCKED || result == SQLITE_CANTOPEN ||
				   result == SQLITE_READONLY || result == SQLITE_PERM || result == SQLITE_FULL ||
				   result == SQLITE_IOERR || result == SQLITE_NOMEM
			   ? -1
			   : 0;
}

static void
move_aside(Spool *spool)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	int64_t now = clock_real();

	for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
	{
		char from[640];
		char to[680];

		snprintf(from, sizeof(from), "%s%s", spool->path, suffixes[i]);
		snprintf(to, sizeof(to), "%s.bad-%lld%s", spool->path, (long long) now, suffixes[i]);
		if (rename(from, to) == 0)
			log_event(LEVEL_ERROR, "spool_damaged", "file=%s kept_as=%s", log_value(from),
					  log_value(to));
	}
	counters.spool_renewed++;
}

static bool
spool_begin(Spool *spool, char *reason, size_t size)
{
	int opened = open_file(spool, reason, size);

	if (opened == 0)
	{
		log_event(LEVEL_ERROR, "spool_unusable", "reason=%s", log_value(reason));
		move_aside(spool);
		opened = open_file(spool, reason, size);
	}
	return opened == 1;
}

Spool *
spool_open(const char *folder, int64_t max_rows, char *reason, size_t size)
{
	Spool *spool = mem_alloc0(sizeof(*spool));

	snprintf(spool->path, sizeof(spool->path), "%s/spool.db", folder);
	spool->max_rows = max_rows;
	if (spool_begin(spool, reason, size))
		return spool;
	free(spool);
	return NULL;
}

/* After an error: a damaged or vanished file is replaced; anything else is tried again later. */
static void
spool_recover(Spool *spool, const char *what)
{
	char reason[700];
	struct stat file;
	int code = spool->db ? sqlite3_errcode(spool->db) & 0xff : SQLITE_CANTOPEN;
	bool vanished = stat(spool->path, &file) != 0 || file.st_ino != spool->inode;

	counters.spool_errors++;
	log_event(LEVEL_ERROR, "spool_error", "doing=%s reason=%s", log_value(what),
			  log_value(spool->db ? sqlite3_errmsg(spool->db) : "not open"));
	if (spool->db && !sqlite3_get_autocommit(spool->db))
		sqlite3_exec(spool->db, "ROLLBACK", NULL, NULL, NULL);
	if (spool->db && code != SQLITE_CORRUPT && code != SQLITE_NOTADB && !vanished)
		return;
	close_file(spool);
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		move_aside(spool);
	else if (vanished)
		counters.spool_renewed++;
	if (!spool_begin(spool, reason, sizeof(reason)))
		log_event(LEVEL_ERROR, "spool_unusable", "reason=%s", log_value(reason));
}

/* Somebody deleted or replaced the file: what we write would go nowhere. */
static bool
spool_present(Spool *spool)
{
	struct stat file;

	if (spool->db && stat(spool->path, &file) == 0 && file.st_ino == spool->inode)
		return true;
	spool_recover(spool, "finding the file");
	return spool->db != NULL;
}

void
spool_close(Spool *spool)
{
	if (!spool)
		return;
	spool_flush(spool);
	close_file(spool);
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
	return run_with(spool, "DELETE FROM reading WHERE id <= ?1", 1, &spool->delete_through) &&
		   run_with(spool, "DELETE FROM batch WHERE last <= ?1", 1, &spool->delete_through);
}

/* Deletes the oldest rows that no batch holds; returns how many, -1 on failure. */
static int64_t
trim_rows(Spool *spool)
{
	int64_t excess = spool->rows + spool->pending_count - spool->max_rows;
	int64_t values[2] = { spool->batch_last, excess };

	if (excess <= 0)
		return 0;
	if (!run_with(spool,
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
	good = run(spool, "BEGIN IMMEDIATE") && delete_acknowledged(spool);
	if (good)
		good = (trimmed = trim_rows(spool)) >= 0;
	for (int i = 0; i < spool->pending_count && good; i++)
		good = insert_reading(spool, &spool->pending[i], spool->pending_taken[i]);
	if (!good || !run(spool, "COMMIT"))
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
		spool->oldest = query_int(spool, "SELECT taken FROM reading ORDER BY id LIMIT 1", 0);
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

	statement = prepare(spool,
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
	if (!run(spool, "BEGIN IMMEDIATE") || !delete_acknowledged(spool) ||
		!run_with(spool, "INSERT INTO batch VALUES(?1, ?2, ?3)", 3, range) ||
		!run_with(spool, "UPDATE meta SET value = ?1 WHERE key = 'last_seq'", 1, range) ||
		!run(spool, "COMMIT"))
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
	statement = prepare(spool,
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
	statement = prepare(spool, "SELECT count(*) FROM reading WHERE id BETWEEN ?1 AND ?2", 2, range);
	if (statement && sqlite3_step(statement) == SQLITE_ROW)
		spool->rows -= sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	statement = prepare(spool, "SELECT taken FROM reading WHERE id > ?1 ORDER BY id LIMIT 1", 1,
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
	make_uuid(spool->uuid);
	spool->last_seq = 0;
	spool->batch_seq = 0;
	if (!run(spool, "BEGIN IMMEDIATE") || !run(spool, "DELETE FROM batch") ||
		!store_identity(spool) || !run(spool, "COMMIT"))
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

/* ---- outcomes ---- */

static bool
store_outcome(Spool *spool, int64_t command_id, int attempt, const char *outcome,
			  const char *result, int final)
{
	int64_t values[3] = { command_id, attempt, final };
	sqlite3_stmt *statement;
	int code;

	if (!spool_present(spool))
		return false;
	statement =
		prepare(spool,
				"INSERT OR REPLACE INTO outcome(command_id, attempt, final, outcome, result)"
				" VALUES(?1, ?2, ?3, ?4, ?5)",
				3, values);
	if (statement)
	{
		sqlite3_bind_text(statement, 4, outcome, -1, SQLITE_STATIC);
		sqlite3_bind_text(statement, 5, result, -1, SQLITE_STATIC);
	}
	code = statement ? sqlite3_step(statement) : SQLITE_ERROR;
	sqlite3_finalize(statement);
	if (code != SQLITE_DONE)
	{
		spool_recover(spool, "storing an outcome");
		return false;
	}
	spool->outcomes = query_int(spool, "SELECT count(*) FROM outcome WHERE final = 1", 0);
	return true;
}

bool
spool_outcome_begin(Spool *spool, int64_t command_id, int attempt)
{
	return store_outcome(spool, command_id, attempt, "unknown",
						 "{\"error\": \"the agent stopped while the command was in progress\"}", 0);
}

bool
spool_outcome_end(Spool *spool, int64_t command_id, int attempt, const char *outcome,
				  const char *result)
{
	return store_outcome(spool, command_id, attempt, outcome, result, 1);
}

void
spool_outcome_delete(Spool *spool, int64_t command_id, int attempt)
{
	int64_t values[2] = { command_id, attempt };

	if (!spool_present(spool))
		return;
	if (!run_with(spool, "DELETE FROM outcome WHERE command_id = ?1 AND attempt = ?2", 2, values))
		spool_recover(spool, "deleting an outcome");
	spool->outcomes = query_int(spool, "SELECT count(*) FROM outcome WHERE final = 1", 0);
}

bool
spool_outcome_next(Spool *spool, SpoolOutcome *outcome)
{
	sqlite3_stmt *statement = prepare(spool,
									  "SELECT command_id, attempt, outcome, result FROM outcome"
									  " WHERE final = 1 ORDER BY id LIMIT 1",
									  0, NULL);
	bool found = statement && sqlite3_step(statement) == SQLITE_ROW;

	if (found)
	{
		outcome->command_id = sqlite3_column_int64(statement, 0);
		outcome->attempt = sqlite3_column_int(statement, 1);
		text_copy(outcome->outcome, sizeof(outcome->outcome),
				  (const char *) sqlite3_column_text(statement, 2));
		outcome->result = mem_strdup((const char *) sqlite3_column_text(statement, 3));
	}
	sqlite3_finalize(statement);
	return found;
}

bool
spool_outcome_waiting(Spool *spool, int64_t command_id)
{
	sqlite3_stmt *statement =
		prepare(spool, "SELECT 1 FROM outcome WHERE final = 1 AND command_id = ?1", 1, &command_id);
	bool found = statement && sqlite3_step(statement) == SQLITE_ROW;

	sqlite3_finalize(statement);
	return found;
}

int64_t
spool_outcomes(const Spool *spool)
{
	return spool->outcomes;
}
