/*
 * spool_file.h
 *		The SQLite file below the spool; private to spool*.c.
 */
#ifndef PREPAYD_SPOOL_FILE_H
#define PREPAYD_SPOOL_FILE_H

#include "spool.h"

#include <sqlite3.h>
#include <sys/types.h>

/* A batch is made of whole chunks, so they must divide it well. */
#define SPOOL_CHUNK_ROWS 250

struct Spool
{
	char folder[512];
	char path[600];
	sqlite3 *db;
	sqlite3_stmt *insert;
	int64_t wanted_rows; /* bound as configured; */
	int64_t max_rows;	 /* lower while the disk, or memory, holds less */
	bool in_memory;		 /* there is no file to write to */
	int last_error;		 /* logged once until something succeeds */
	char uuid[SPOOL_UUID_SIZE];
	int64_t last_seq;
	int64_t batch_seq; /* numbered and not acknowledged; 0: none */
	int64_t batch_first;
	int64_t batch_last;
	int64_t delete_through; /* acknowledged ids, deleted with the next transaction; 0: none */
	int64_t rows;			/* in the file, without those acknowledged */
	int64_t oldest;
	int64_t outcomes;
	SpoolCounts counts;
	ino_t inode;
	Reading *pending;
	int64_t *pending_taken;
	int pending_count;
	int pending_size;
};

/* False on failure; spool_recover then decides what becomes of the file. */
bool spool_run(Spool *spool, const char *sql);

/* Statement with `count` integers bound to ?1..; NULL on failure. */
sqlite3_stmt *spool_prepare(Spool *spool, const char *sql, int count, const int64_t *values);
bool spool_run_with(Spool *spool, const char *sql, int count, const int64_t *values);

/* First column of the first row; fallback where there is no row or value. */
int64_t spool_query_int(Spool *spool, const char *sql, int64_t fallback);

/* Within a transaction: the rows that the database has. */
bool spool_delete_acknowledged(Spool *spool);

void spool_make_uuid(char *out);
bool spool_store_identity(Spool *spool);
void spool_close_file(Spool *spool);

/* After an error: a damaged or vanished file is replaced; anything else is tried again later. */
void spool_recover(Spool *spool, const char *what);

/* After success, when nothing waits: gives room back, and returns from memory to the file. */
void spool_tidy(Spool *spool);

/* Whether the file is still there: what is written to a deleted one would go nowhere. */
bool spool_present(Spool *spool);

#endif
