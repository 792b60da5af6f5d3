/*
 * db.h
 *		One asynchronous connection to PostgreSQL inside the event loop.
 */
#ifndef PREPAYD_DB_H
#define PREPAYD_DB_H

#include "names.h"

#include <event2/event.h>
#include <libpq-fe.h>
#include <stdbool.h>

typedef struct Db Db;

typedef struct DbAnswer
{
	PGresult *result; /* rows; NULL unless ok. Owned by the connection */
	bool ok;
	bool lost;	/* the connection broke: the statement may or may not have been executed */
	bool retry; /* worth repeating unchanged: SQLSTATE class 08, 40, 53, 57, XX or lost */
	const char *sqlstate; /* "" when lost */
	const char *message;
	const char *hint; /* "" when there is none */
} DbAnswer;

typedef void (*DbDone)(void *arg, const DbAnswer *answer);

typedef struct DbHooks
{
	void (*ready)(void *arg);	 /* connected; queries may be sent */
	void (*lost)(void *arg);	 /* after every queued query was answered with lost */
	void (*notified)(void *arg); /* a notification on any channel; may be NULL */
	void *arg;
} DbHooks;

/* Connects at once and again, with a pause of 1 to 10 s, whenever the connection is lost. */
Db *db_new(struct event_base *base, Names *names, const char *name, const char *conninfo,
		   const char *application, const DbHooks *hooks);
void db_free(Db *db);

bool db_is_ready(const Db *db);

/* Whether an attempt to connect has failed or succeeded since the start. */
bool db_has_tried(const Db *db);

/*
 * Queues one statement with text parameters (NULL = SQL NULL); they are copied. Statements run in
 * order, one at a time, each in a transaction of its own. Not ready: answered as lost, by the loop.
 */
void db_query(Db *db, const char *sql, int count, const char *const *values, DbDone done,
			  void *arg);

/* Logs a failed answer with the server's message and hint. */
void db_log_failure(const char *event, const DbAnswer *answer);

#endif
