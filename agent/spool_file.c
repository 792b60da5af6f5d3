/*
 * spool_file.c
 *		The SQLite file below the spool: opening, identity, and what to do when it is damaged.
 */
#include "spool_file.h"

#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value);"
	"CREATE TABLE IF NOT EXISTS reading(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" taken INTEGER NOT NULL, meter_id INTEGER NOT NULL, read_at INTEGER NOT NULL,"
	" kwh TEXT NOT NULL, reverse_kwh TEXT,"
	" period_kwh TEXT, kw TEXT, relay_closed INTEGER, meter_balance TEXT, purchase_count TEXT,"
	" meter_clock INTEGER);"
	"CREATE TABLE IF NOT EXISTS batch(seq INTEGER PRIMARY KEY, first INTEGER NOT NULL,"
	" last INTEGER NOT NULL);"
	"CREATE TABLE IF NOT EXISTS outcome(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" command_id INTEGER NOT NULL UNIQUE, attempt INTEGER NOT NULL, outcome TEXT NOT NULL,"
	" result TEXT NOT NULL, final INTEGER NOT NULL);";

bool
spool_run(Spool *spool, const char *sql)
{
	return spool->db && sqlite3_exec(spool->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

sqlite3_stmt *
spool_prepare(Spool *spool, const char *sql, int count, const int64_t *values)
{
	sqlite3_stmt *statement;

	if (!spool->db || sqlite3_prepare_v2(spool->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return NULL;
	for (int i = 0; i < count; i++)
		sqlite3_bind_int64(statement, i + 1, values[i]);
	return statement;
}

bool
spool_run_with(Spool *spool, const char *sql, int count, const int64_t *values)
{
	sqlite3_stmt *statement = spool_prepare(spool, sql, count, values);
	int result = statement ? sqlite3_step(statement) : SQLITE_ERROR;

	sqlite3_finalize(statement);
	return result == SQLITE_DONE || result == SQLITE_ROW;
}

int64_t
spool_query_int(Spool *spool, const char *sql, int64_t fallback)
{
	sqlite3_stmt *statement = spool_prepare(spool, sql, 0, NULL);
	int64_t value = fallback;

	if (statement && sqlite3_step(statement) == SQLITE_ROW &&
		sqlite3_column_type(statement, 0) != SQLITE_NULL)
		value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	return value;
}

void
spool_close_file(Spool *spool)
{
	sqlite3_finalize(spool->insert);
	sqlite3_close(spool->db);
	spool->insert = NULL;
	spool->db = NULL;
}

/* ---- opening ---- */

void
spool_make_uuid(char *out)
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

bool
spool_store_identity(Spool *spool)
{
	char sql[256];

	snprintf(sql, sizeof(sql),
			 "INSERT OR REPLACE INTO meta VALUES('uuid', '%s'), ('last_seq', %lld);", spool->uuid,
			 (long long) spool->last_seq);
	return spool_run(spool, sql);
}

static bool
load_identity(Spool *spool)
{
	sqlite3_stmt *statement =
		spool_prepare(spool, "SELECT value FROM meta WHERE key = 'uuid'", 0, NULL);
	bool found = statement && sqlite3_step(statement) == SQLITE_ROW;

	if (found)
		text_copy(spool->uuid, sizeof(spool->uuid),
				  (const char *) sqlite3_column_text(statement, 0));
	sqlite3_finalize(statement);
	if (!found)
	{
		spool_make_uuid(spool->uuid);
		spool->last_seq = 0;
		return spool_store_identity(spool);
	}
	spool->last_seq = spool_query_int(spool, "SELECT value FROM meta WHERE key = 'last_seq'", 0);
	return strlen(spool->uuid) == SPOOL_UUID_SIZE - 1;
}

static bool
load_state(Spool *spool)
{
	if (!load_identity(spool))
		return false;
	spool->batch_seq = spool_query_int(spool, "SELECT seq FROM batch", 0);
	spool->batch_first = spool_query_int(spool, "SELECT first FROM batch", 0);
	spool->batch_last = spool_query_int(spool, "SELECT last FROM batch", 0);
	spool->delete_through = 0;
	spool->rows = spool_query_int(spool, "SELECT count(*) FROM reading", 0);
	spool->oldest = spool_query_int(spool, "SELECT taken FROM reading ORDER BY id LIMIT 1", 0);
	/* Commands that were running when the process ended: nobody knows how far they got. */
	if (!spool_run(spool, "UPDATE outcome SET final = 1 WHERE final = 0"))
		return false;
	spool->outcomes = spool_query_int(spool, "SELECT count(*) FROM outcome", 0);
	return sqlite3_prepare_v2(spool->db,
							  "INSERT INTO reading(taken, meter_id, read_at, kwh, reverse_kwh,"
							  " period_kwh, kw, relay_closed, meter_balance, purchase_count,"
							  " meter_clock) VALUES(?,?,?,?,?,?,?,?,?,?,?)",
							  -1, &spool->insert, NULL) == SQLITE_OK;
}

static bool
is_healthy(Spool *spool)
{
	sqlite3_stmt *statement = spool_prepare(spool, "PRAGMA quick_check(1)", 0, NULL);
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
	spool_close_file(spool);
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

void
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
	spool_close_file(spool);
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		move_aside(spool);
	else if (vanished)
		counters.spool_renewed++;
	if (!spool_begin(spool, reason, sizeof(reason)))
		log_event(LEVEL_ERROR, "spool_unusable", "reason=%s", log_value(reason));
}

bool
spool_present(Spool *spool)
{
	struct stat file;

	if (spool->db && stat(spool->path, &file) == 0 && file.st_ino == spool->inode)
		return true;
	spool_recover(spool, "finding the file");
	return spool->db != NULL;
}
