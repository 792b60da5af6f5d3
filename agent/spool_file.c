/*
 * spool_file.c
 *		The SQLite file below the spool: opening, identity, and what to do when it is damaged.
 */
#include "spool_file.h"

#include "clock.h"
#include "log.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Given up when the disk is full, so that what is there can be numbered, sent and deleted. */
#define RESERVE_BYTES (4 * 1024 * 1024)
/* Without a file to write to: ten minutes of 5000 meters a minute. */
#define MEMORY_ROWS 50000
/* A disk that holds less is none. */
#define DISK_ROWS_MIN 2000
/* Given back to the file system at a time; more would hold the loop. */
#define VACUUM_PAGES "500"

static const char schema[] =
	"CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value);"
	"CREATE TABLE IF NOT EXISTS chunk(id INTEGER PRIMARY KEY AUTOINCREMENT,"
	" rows INTEGER NOT NULL, taken INTEGER NOT NULL, data BLOB NOT NULL);"
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
	spool->rows = spool_query_int(spool, "SELECT sum(rows) FROM chunk", 0);
	spool->oldest = spool_query_int(spool, "SELECT taken FROM chunk ORDER BY id LIMIT 1", 0);
	/* Commands that were running when the process ended: nobody knows how far they got. */
	if (!spool_run(spool, "UPDATE outcome SET final = 1 WHERE final = 0"))
		return false;
	spool->outcomes = spool_query_int(spool, "SELECT count(*) FROM outcome", 0);
	return sqlite3_prepare_v2(spool->db, "INSERT INTO chunk(rows, taken, data) VALUES(?,?,?)", -1,
							  &spool->insert, NULL) == SQLITE_OK;
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

typedef enum Opened
{
	OPENED,
	DAMAGED, /* to be put aside */
	IN_USE,	 /* by another process */
	UNUSABLE /* for now: read-only, full, not there */
} Opened;

static Opened
open_result(int code)
{
	switch (code)
	{
		case SQLITE_BUSY:
		case SQLITE_LOCKED:
			return IN_USE;
		case SQLITE_CANTOPEN:
		case SQLITE_READONLY:
		case SQLITE_PERM:
		case SQLITE_FULL:
		case SQLITE_IOERR:
		case SQLITE_NOMEM:
			return UNUSABLE;
		default:
			return DAMAGED;
	}
}

static int
prepare_file(Spool *spool)
{
	int result = sqlite3_exec(spool->db,
							  "PRAGMA auto_vacuum=INCREMENTAL; PRAGMA locking_mode=EXCLUSIVE;"
							  "PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=250;"
							  "PRAGMA journal_size_limit=2000000; PRAGMA synchronous=FULL;"
							  "BEGIN IMMEDIATE; COMMIT;",
							  NULL, NULL, NULL);

	if (result == SQLITE_OK)
		result = sqlite3_exec(spool->db, schema, NULL, NULL, NULL);
	if (result != SQLITE_OK)
		return result;
	if (!is_healthy(spool) || !load_state(spool))
		return sqlite3_errcode(spool->db) == SQLITE_OK ? SQLITE_CORRUPT
													   : sqlite3_errcode(spool->db);
	return SQLITE_OK;
}

static Opened
open_file(Spool *spool, char *reason, size_t size)
{
	struct stat file;
	int result =
		sqlite3_open_v2(spool->path, &spool->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
	Opened opened;

	if (result == SQLITE_OK)
		result = prepare_file(spool);
	if (result == SQLITE_OK && stat(spool->path, &file) == 0)
	{
		spool->inode = file.st_ino;
		spool->in_memory = false;
		return OPENED;
	}
	opened = open_result(result & 0xff);
	snprintf(reason, size, "%s: %s", spool->path,
			 opened == IN_USE ? "another process uses this spool"
			 : spool->db	  ? sqlite3_errmsg(spool->db)
							  : "out of memory");
	spool_close_file(spool);
	return opened;
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
	spool->counts.renewed++;
}

/* A place for readings while there is no file: they still reach the database, each once. */
static bool
open_memory(Spool *spool)
{
	if (sqlite3_open(":memory:", &spool->db) != SQLITE_OK ||
		sqlite3_exec(spool->db, schema, NULL, NULL, NULL) != SQLITE_OK || !load_state(spool))
		return false;
	spool->in_memory = true;
	spool->max_rows = MEMORY_ROWS;
	return true;
}

static void
reserve_path(const Spool *spool, char *path, size_t size)
{
	snprintf(path, size, "%s.reserve", spool->path);
}

static void
make_reserve(const Spool *spool)
{
	char path[640];
	int fd;

	reserve_path(spool, path, sizeof(path));
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	if (posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
		unlink(path);
	close(fd);
}

static Opened
spool_begin(Spool *spool, char *reason, size_t size)
{
	Opened opened = open_file(spool, reason, size);

	spool->max_rows = spool->wanted_rows;
	if (opened == DAMAGED)
	{
		log_event(LEVEL_ERROR, "spool_unusable", "reason=%s", log_value(reason));
		move_aside(spool);
		opened = open_file(spool, reason, size);
	}
	if (opened == OPENED)
		make_reserve(spool);
	else if (opened != IN_USE && open_memory(spool))
	{
		log_event(LEVEL_ERROR, "spool_in_memory",
				  "reason=%s hint=\"readings are lost when the process ends: see to the disk\"",
				  log_value(reason));
		opened = OPENED;
	}
	return opened;
}

Spool *
spool_open(const char *folder, int64_t max_rows, char *reason, size_t size)
{
	Spool *spool = mem_alloc0(sizeof(*spool));

	text_copy(spool->folder, sizeof(spool->folder), folder);
	snprintf(spool->path, sizeof(spool->path), "%s/spool.db", folder);
	spool->wanted_rows = max_rows;
	if (spool_begin(spool, reason, size) == OPENED)
		return spool;
	free(spool);
	return NULL;
}

/* From now on the bound is what the disk holds: new readings take the place of the oldest. */
static void
disk_full(Spool *spool)
{
	char path[640];

	reserve_path(spool, path, sizeof(path));
	unlink(path);
	if (spool->max_rows > spool->rows)
		spool->max_rows = spool->rows > DISK_ROWS_MIN ? spool->rows : DISK_ROWS_MIN;
}

void
spool_recover(Spool *spool, const char *what)
{
	char reason[700];
	struct stat file;
	int code = spool->db ? sqlite3_errcode(spool->db) & 0xff : SQLITE_CANTOPEN;
	bool vanished =
		!spool->in_memory && (stat(spool->path, &file) != 0 || file.st_ino != spool->inode);

	spool->counts.errors++;
	if (code != spool->last_error)
		log_event(LEVEL_ERROR, "spool_error", "doing=%s reason=%s", log_value(what),
				  log_value(spool->db ? sqlite3_errmsg(spool->db) : "not open"));
	spool->last_error = code;
	if (spool->db && !sqlite3_get_autocommit(spool->db))
		sqlite3_exec(spool->db, "ROLLBACK", NULL, NULL, NULL);
	if (code == SQLITE_FULL)
		disk_full(spool);
	if (spool->db && code != SQLITE_CORRUPT && code != SQLITE_NOTADB && !vanished)
		return;
	spool_close_file(spool);
	if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
		move_aside(spool);
	else if (vanished)
		spool->counts.renewed++;
	if (spool_begin(spool, reason, sizeof(reason)) != OPENED)
		log_event(LEVEL_ERROR, "spool_unusable", "reason=%s", log_value(reason));
}

void
spool_tidy(Spool *spool)
{
	char reason[700];

	spool->last_error = SQLITE_OK;
	if (spool->rows > 0 || spool->pending_count > 0 || spool->outcomes > 0)
		return;
	if (spool->in_memory)
	{
		if (access(spool->folder, W_OK) != 0)
			return;
		/* Nothing is in it: the file gets its chance, and a log line where it fails again. */
		spool_close_file(spool);
		if (spool_begin(spool, reason, sizeof(reason)) == OPENED && !spool->in_memory)
			log_event(LEVEL_INFO, "spool_on_disk", "file=%s", log_value(spool->path));
		return;
	}
	spool_run(spool, "PRAGMA incremental_vacuum(" VACUUM_PAGES ")");
	if (spool->max_rows < spool->wanted_rows)
	{
		make_reserve(spool);
		spool->max_rows = spool->wanted_rows;
	}
}

bool
spool_present(Spool *spool)
{
	struct stat file;

	if (spool->in_memory && spool->db)
		return true;
	if (spool->db && stat(spool->path, &file) == 0 && file.st_ino == spool->inode)
		return true;
	spool_recover(spool, "finding the file");
	return spool->db != NULL;
}
