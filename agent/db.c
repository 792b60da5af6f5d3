/*
 * db.c
 *		One asynchronous connection to PostgreSQL inside the event loop.
 *
 * WAITING -> RESOLVING -> CONNECTING -> READY. The socket may change at every PQconnectPoll, so its
 * event is made anew each time. connect_timeout does not work with PQconnectPoll and a dead server
 * sends nothing at all: one timer bounds the connection attempt and every statement.
 *
 * Every statement gets exactly one answer. When the connection breaks, all queued statements are
 * answered as lost before the `lost` hook runs, so that no module waits for ever.
 */
#include "db.h"

#include "agent.h"
#include "buf.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_S 10
/* Longer than any statement of ours lasts on a healthy database, tick over a backlog included. */
#define STATEMENT_TIMEOUT_S 120
#define PAUSE_FIRST_S 1
#define PAUSE_MAX_S 10

typedef enum DbState
{
	DB_WAITING,
	DB_RESOLVING,
	DB_CONNECTING,
	DB_READY
} DbState;

typedef struct DbQuery
{
	char *sql;
	char **values;
	int count;
	DbDone done;
	void *arg;
	struct DbQuery *next;
} DbQuery;

struct Db
{
	struct event_base *base;
	Names *names;
	const char *name;
	char *conninfo;
	char *application;
	DbHooks hooks;
	DbState state;
	PGconn *connection;
	PGresult *result; /* of the statement in progress, kept until the connection is idle */
	NamesQuery *resolving;
	struct event *socket;
	struct event *timer;
	struct event *kick;
	DbQuery *queue;
	DbQuery **queue_end;
	bool running; /* the head of the queue was sent */
	bool tried;
	int failures;
};

static void db_connect(Db *db);
static void db_run(Db *db);
static void db_on_socket(evutil_socket_t fd, short what, void *arg);

static void
db_arm(Db *db, int seconds)
{
	struct timeval delay = { seconds, 0 };

	evtimer_add(db->timer, &delay);
}

static void
db_watch(Db *db, short what)
{
	if (db->socket)
		event_free(db->socket);
	db->socket = event_new(db->base, PQsocket(db->connection), what, db_on_socket, db);
	event_priority_set(db->socket, PRIORITY_URGENT);
	event_add(db->socket, NULL);
}

static void
query_free(DbQuery *query)
{
	for (int i = 0; i < query->count; i++)
		free(query->values[i]);
	free(query->values);
	free(query->sql);
	free(query);
}

static void
answer_head(Db *db, const DbAnswer *answer)
{
	DbQuery *query = db->queue;

	db->queue = query->next;
	if (!db->queue)
		db->queue_end = &db->queue;
	db->running = false;
	if (query->done)
		query->done(query->arg, answer);
	query_free(query);
}

static void
answer_all_lost(Db *db, const char *reason)
{
	DbAnswer answer = {
		.lost = true, .retry = true, .sqlstate = "", .message = reason, .hint = ""
	};
	DbQuery *last = NULL;
	bool more = true;

	for (DbQuery *query = db->queue; query; query = query->next)
		last = query;
	while (db->queue && more)
	{
		more = db->queue != last; /* what a callback queues now is answered next time */
		answer_head(db, &answer);
	}
}

static void
db_disconnect(Db *db)
{
	if (db->socket)
		event_free(db->socket);
	db->socket = NULL;
	evtimer_del(db->timer);
	if (db->result)
		PQclear(db->result);
	db->result = NULL;
	if (db->connection)
		PQfinish(db->connection);
	db->connection = NULL;
	db->running = false;
}

static void
db_lost(Db *db, const char *message)
{
	bool was_ready = db->state == DB_READY;
	char reason[512];
	int pause = PAUSE_FIRST_S;

	text_copy(reason, sizeof(reason), message && message[0] ? message : "connection closed");
	reason[strcspn(reason, "\n")] = '\0';
	if (was_ready || db->failures == 0)
		log_event(LEVEL_WARN, was_ready ? "database_lost" : "database_unreachable",
				  "connection=%s reason=%s", db->name, log_value(reason));
	db_disconnect(db);
	db->state = DB_WAITING;
	db->tried = true;
	for (int i = 0; i < db->failures && pause < PAUSE_MAX_S; i++)
		pause *= 2;
	db->failures++;
	db_arm(db, pause > PAUSE_MAX_S ? PAUSE_MAX_S : pause);
	answer_all_lost(db, reason);
	if (was_ready)
		db->hooks.lost(db->hooks.arg);
}

/* ---- connecting ---- */

static void
log_notice(void *arg, const PGresult *result)
{
	(void) arg;
	log_event(LEVEL_DEBUG, "database_notice", "message=%s",
			  log_value(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY)));
}

static void
db_connected(Db *db)
{
	db->state = DB_READY;
	db->failures = 0;
	db->tried = true;
	evtimer_del(db->timer);
	PQsetnonblocking(db->connection, 1);
	counters.db_connects++;
	db_watch(db, EV_READ | EV_PERSIST);
	log_event(LEVEL_INFO, "database_connected", "connection=%s", db->name);
	db->hooks.ready(db->hooks.arg);
}

static void
db_poll_connect(Db *db)
{
	switch (PQconnectPoll(db->connection))
	{
		case PGRES_POLLING_READING:
			db_watch(db, EV_READ);
			break;
		case PGRES_POLLING_WRITING:
			db_watch(db, EV_WRITE);
			break;
		case PGRES_POLLING_OK:
			db_connected(db);
			break;
		default:
			db_lost(db, PQerrorMessage(db->connection));
			break;
	}
}

/* hostaddr NULL: conninfo needs no look-up. */
static void
db_start_connect(Db *db, const char *hostaddr)
{
	/* Later entries win: what conninfo says overrides our defaults, hostaddr completes its host. */
	const char *keys[] = { "fallback_application_name",
						   "keepalives_idle",
						   "tcp_user_timeout",
						   "client_encoding",
						   "dbname",
						   "hostaddr",
						   NULL };
	const char *values[] = { db->application, "30", "20000", "UTF8", db->conninfo, hostaddr, NULL };

	db->state = DB_CONNECTING;
	db->connection = PQconnectStartParams(keys, values, 1);
	if (!db->connection || PQstatus(db->connection) == CONNECTION_BAD)
	{
		db_lost(db, db->connection ? PQerrorMessage(db->connection) : "out of memory");
		return;
	}
	PQsetNoticeReceiver(db->connection, log_notice, db);
	db_arm(db, CONNECT_TIMEOUT_S);
	db_watch(db, EV_WRITE);
}

static void
db_resolved(void *arg, const struct sockaddr *address, socklen_t len, const char *reason)
{
	Db *db = arg;
	char text[NI_MAXHOST];

	db->resolving = NULL;
	if (!address)
		db_lost(db, reason);
	else if (getnameinfo(address, len, text, sizeof(text), NULL, 0, NI_NUMERICHOST) != 0)
		db_lost(db, "address cannot be printed");
	else
		db_start_connect(db, text);
}

/* The host that needs a look-up, "" if none: libpq itself would block the loop for it. */
static void
host_to_resolve(const char *conninfo, char *host, size_t size)
{
	PQconninfoOption *options = PQconninfoParse(conninfo, NULL);
	bool addressed = false;
	unsigned char binary[16];

	host[0] = '\0';
	for (PQconninfoOption *option = options; option && option->keyword; option++)
	{
		if (option->val && strcmp(option->keyword, "host") == 0)
			text_copy(host, size, option->val);
		addressed |= option->val && strcmp(option->keyword, "hostaddr") == 0;
	}
	PQconninfoFree(options);
	/* A list of hosts is libpq's to try in turn; its names should be in /etc/hosts. */
	if (addressed || host[0] == '/' || host[0] == '@' || strchr(host, ',') ||
		inet_pton(AF_INET, host, binary) == 1 || inet_pton(AF_INET6, host, binary) == 1)
		host[0] = '\0';
}

static void
db_connect(Db *db)
{
	char host[256];

	host_to_resolve(db->conninfo, host, sizeof(host));
	if (!host[0])
	{
		db_start_connect(db, NULL);
		return;
	}
	db->state = DB_RESOLVING;
	db->resolving = names_resolve(db->names, host, "5432", db_resolved, db);
}

/* ---- statements ---- */

static void
answer_result(Db *db)
{
	PGresult *result = db->result;
	ExecStatusType status = PQresultStatus(result);
	DbAnswer answer = { .result = result };

	db->result = NULL;
	answer.ok = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
	answer.sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
	answer.message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
	answer.hint = PQresultErrorField(result, PG_DIAG_MESSAGE_HINT);
	if (!answer.sqlstate)
		answer.sqlstate = "";
	if (!answer.message)
		answer.message = answer.ok ? "" : PQresultErrorMessage(result);
	if (!answer.hint)
		answer.hint = "";
	if (!answer.ok)
	{
		static const char *const classes[] = { "08", "40", "53", "57", "XX" };

		for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
			answer.retry |= strncmp(answer.sqlstate, classes[i], 2) == 0;
	}
	answer_head(db, &answer);
	PQclear(result);
}

static void
db_read(Db *db)
{
	PGnotify *notify;
	bool notified = false;

	if (!PQconsumeInput(db->connection))
	{
		db_lost(db, PQerrorMessage(db->connection));
		return;
	}
	while (db->running && !PQisBusy(db->connection))
	{
		PGresult *result = PQgetResult(db->connection);

		if (result)
		{
			/* Only the first counts; a fatal error at shutdown may follow it. */
			if (!db->result)
				db->result = result;
			else
				PQclear(result);
			continue;
		}
		evtimer_del(db->timer);
		if (db->result)
			answer_result(db);
		else
		{
			db_lost(db, "the server sent no result");
			return;
		}
	}
	while ((notify = PQnotifies(db->connection)) != NULL)
	{
		notified = true;
		PQfreemem(notify);
	}
	if (PQstatus(db->connection) == CONNECTION_BAD)
	{
		db_lost(db, PQerrorMessage(db->connection));
		return;
	}
	if (notified && db->hooks.notified)
		db->hooks.notified(db->hooks.arg);
	db_run(db);
}

static void
db_flush(Db *db)
{
	int more = PQflush(db->connection);

	if (more < 0)
		db_lost(db, PQerrorMessage(db->connection));
	else
		db_watch(db, (short) (EV_READ | EV_PERSIST | (more ? EV_WRITE : 0)));
}

static void
db_on_socket(evutil_socket_t fd, short what, void *arg)
{
	Db *db = arg;

	(void) fd;
	if (db->state == DB_CONNECTING)
	{
		db_poll_connect(db);
		return;
	}
	/* Read before writing: a server that waits for us to read would never take more. */
	if (what & EV_READ)
		db_read(db);
	if (what & EV_WRITE && db->state == DB_READY)
		db_flush(db);
}

static void
db_run(Db *db)
{
	DbQuery *query = db->queue;

	if (db->state != DB_READY || db->running || !query)
		return;
	db->running = true;
	db_arm(db, STATEMENT_TIMEOUT_S);
	if (!PQsendQueryParams(db->connection, query->sql, query->count, NULL,
						   (const char *const *) query->values, NULL, NULL, 0))
		db_lost(db, PQerrorMessage(db->connection));
	else if (PQflush(db->connection) != 0)
		db_flush(db);
}

static void
db_on_kick(evutil_socket_t fd, short what, void *arg)
{
	Db *db = arg;

	(void) fd;
	(void) what;
	if (db->state == DB_READY)
		db_run(db);
	else
		answer_all_lost(db, "not connected");
}

static void
db_on_timer(evutil_socket_t fd, short what, void *arg)
{
	Db *db = arg;

	(void) fd;
	(void) what;
	if (db->state == DB_WAITING)
		db_connect(db);
	else
		db_lost(db, db->state == DB_READY ? "statement timed out" : "connection timed out");
}

void
db_query(Db *db, const char *sql, int count, const char *const *values, DbDone done, void *arg)
{
	DbQuery *query = mem_alloc0(sizeof(*query));

	query->sql = mem_strdup(sql);
	query->count = count;
	query->values = mem_alloc0((size_t) (count + 1) * sizeof(*query->values));
	for (int i = 0; i < count; i++)
		query->values[i] = values[i] ? mem_strdup(values[i]) : NULL;
	query->done = done;
	query->arg = arg;
	*db->queue_end = query;
	db->queue_end = &query->next;
	if (!db->running)
		event_active(db->kick, EV_TIMEOUT, 1);
}

/* ---- life ---- */

Db *
db_new(struct event_base *base, Names *names, const char *name, const char *conninfo,
	   const char *application, const DbHooks *hooks)
{
	Db *db = mem_alloc0(sizeof(*db));

	db->base = base;
	db->names = names;
	db->name = name;
	db->conninfo = mem_strdup(conninfo);
	db->application = mem_strdup(application);
	db->hooks = *hooks;
	db->queue_end = &db->queue;
	db->timer = evtimer_new(base, db_on_timer, db);
	db->kick = evtimer_new(base, db_on_kick, db);
	event_priority_set(db->kick, PRIORITY_URGENT);
	db_arm(db, 0);
	return db;
}

void
db_free(Db *db)
{
	if (!db)
		return;
	names_cancel(db->resolving);
	db_disconnect(db);
	while (db->queue)
	{
		DbQuery *next = db->queue->next;

		query_free(db->queue);
		db->queue = next;
	}
	event_free(db->timer);
	event_free(db->kick);
	free(db->conninfo);
	free(db->application);
	free(db);
}

bool
db_is_ready(const Db *db)
{
	return db->state == DB_READY;
}

bool
db_has_tried(const Db *db)
{
	return db->tried;
}

void
db_log_failure(const char *event, const DbAnswer *answer)
{
	log_event(LEVEL_ERROR, event, "sqlstate=%s message=%s hint=%s", log_value(answer->sqlstate),
			  log_value(answer->message), log_value(answer->hint));
}
