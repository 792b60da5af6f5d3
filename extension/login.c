/*
 * login.c: the history of log-ins (登录记录), table `log_in`.
 *
 * PostgreSQL 15 calls nothing of ours when somebody logs in, so a session is written down
 *   by its first change that goes to the ledger or to the operators' log, in the same
 *   transaction: if it is rolled back, the next one does it; or
 *   at once, also if it only reads, where the database loads this library by
 *   session_preload_libraries = 'pg_prepay'. That it cannot write, on a standby or because
 *   something is broken, stops nobody from logging in.
 * The end is written when the backend exits; a backend that was killed, or a server that
 * crashed, leaves it open. Failed attempts never reach a backend's session: they are in
 * the server's log.
 */
#include "login.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/namespace.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

#include "db.h"

static bool recorded = false;  /* and committed */
static bool recording = false; /* in the present transaction */
static int64 log_in_id = 0;

static bool
is_session(void)
{
	return MyProcPort != NULL && !RecoveryInProgress() && !XactReadOnly;
}

static bool
has_table(void)
{
	Oid schema = get_namespace_oid("prepay", true);

	return OidIsValid(schema) && OidIsValid(get_relname_relid("log_in", schema));
}

/* ---- the end of a session ---- */

static void
write_end(void)
{
	static DbQuery query = { "UPDATE prepay.log_in SET ended_at = pg_catalog.clock_timestamp()"
							 " WHERE log_in_id = $1 AND backend_pid = $2",
							 2,
							 { INT8OID, INT4OID } };
	Datum args[] = { Int64GetDatum(log_in_id), Int32GetDatum(MyProcPid) };
	DbSession session;

	db_enter(&session);
	db_run(&query, args);
	db_leave(&session);
}

static void
session_ends(int code, Datum unused)
{
	if (!recorded || RecoveryInProgress())
		return;
	AbortOutOfAnyTransaction();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (has_table() && !XactReadOnly)
		write_end();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

/* ---- its beginning ---- */

static void
transaction_ends(XactEvent event, void *unused)
{
	if (event == XACT_EVENT_COMMIT && recording)
		recorded = true;
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		recording = false;
}

static void
watch_session(void)
{
	static bool watched = false;

	if (watched)
		return;
	RegisterXactCallback(transaction_ends, NULL);
	before_shmem_exit(session_ends, (Datum) 0);
	watched = true;
}

static void
insert_log_in(void)
{
	static DbQuery query = {
		"INSERT INTO prepay.log_in (login, logged_in_at, address, application, encrypted,"
		" backend_pid) VALUES ($1, $2, $3, NULLIF($4, ''), $5, $6) RETURNING log_in_id",
		6,
		{ TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, BOOLOID, INT4OID }
	};
	Datum args[] = { CStringGetTextDatum(GetUserNameFromId(GetSessionUserId(), false)),
					 TimestampTzGetDatum(MyStartTimestamp),
					 CStringGetTextDatum(MyProcPort->remote_host ? MyProcPort->remote_host : ""),
					 CStringGetTextDatum(application_name ? application_name : ""),
					 BoolGetDatum(MyProcPort->ssl_in_use),
					 Int32GetDatum(MyProcPid) };

	db_run(&query, args);
	log_in_id = db_int64(0, 1);
}

static void
record(void)
{
	DbSession session;

	watch_session();
	recording = true;
	db_enter(&session); /* a level of its own: the caller's rows stay as they are */
	insert_log_in();
	db_leave(&session);
}

void
login_record(void)
{
	/* What a savepoint might undo is left to a later call. */
	if (!recorded && !recording && is_session() && GetCurrentTransactionNestLevel() == 1)
		record();
}

/* ---- preloaded ---- */

/*
 * The server loads the library in the transaction in which it sets a session up, before it
 * is in normal processing. An error there would refuse the log-in: it is logged instead.
 */
void
login_preloaded(void)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (!IsInitProcessingMode() || !IsTransactionState() || !is_session() || !has_table())
		return;
	BeginInternalSubTransaction(NULL);
	PG_TRY();
	{
		PushActiveSnapshot(GetTransactionSnapshot());
		record();
		PopActiveSnapshot();
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		recording = false;
		ereport(LOG_SERVER_ONLY, (errcode(error->sqlerrcode),
								  errmsg("the log-in could not be recorded: %s", error->message)));
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
}
