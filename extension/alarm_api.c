/*
 * alarm_api.c: acknowledge_alarm: somebody has seen it and takes care.
 *
 * An acknowledged alarm stays active until its cause is gone and is not escalated any
 * more. unowned_energy alone ends with it: its cause, energy that was used, can never
 * go away, so looking at it is all that can be done (energy.c does not raise it again
 * for the same time without account).
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "oplog.h"
#include "relay.h"

PG_FUNCTION_INFO_V1(prepay_acknowledge_alarm);
PG_FUNCTION_INFO_V1(prepay_acknowledge_alarms);

#define MAX_NOTE_BYTES 1000

typedef struct Acknowledgement
{
	DbSession session;
	const Site *site;
	char *note; /* NULL: none */
} Acknowledgement;

static void
begin(Acknowledgement *call, FunctionCallInfo fcinfo)
{
	int32 site_id;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the alarm to acknowledge is missing")));
	call->note = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	if (call->note && strlen(call->note) > MAX_NOTE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the note has more than %d bytes", MAX_NOTE_BYTES),
						errhint("Shorten it.")));
	db_enter(&call->session);
	site_id = code_site(call->session.caller,
						PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(call->session.caller, MAY_DISPATCH, site_id, "acknowledge alarms");
	lock_site_shared(site_id);
	call->site = site_get(site_id);
}

/* Who clears an alarm holds its subject. */
static void
lock_ending(const Acknowledgement *call, DbQuery *query, Datum which)
{
	Datum args[] = { Int32GetDatum(call->site->site_id), which };
	int n = db_run(query, args);
	int32 *meter_id = palloc(sizeof(int32) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		meter_id[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	if (n > 0)
		relay_lock_owners(call->site, meter_id, n);
}

static int
acknowledge(const Acknowledgement *call, DbQuery *query, Datum which)
{
	Datum args[] = { Int32GetDatum(call->site->site_id), which,
					 TimestampTzGetDatum(call->site->now), CStringGetTextDatum(auth_operator()),
					 db_text_datum(call->note) };

	return db_run_nulls(query, args, call->note ? NULL : "    n");
}

static void
log_acknowledgement(const Acknowledgement *call, const char *object, int done)
{
	oplog_note(call->site->site_id, "acknowledge_alarm", object, NULL,
			   oplog_members("alarms", psprintf("%d", done), "note", call->note, NULL));
}

#define ENDING                                                                    \
	"SELECT meter_id FROM prepay.alarm WHERE site_id = $1 AND cleared_at IS NULL" \
	" AND acknowledged_at IS NULL AND kind = 'unowned_energy' AND meter_id IS NOT NULL"

#define ACKNOWLEDGE                                                                  \
	"UPDATE prepay.alarm SET acknowledged_at = $3, acknowledged_by = $4, note = $5," \
	" cleared_at = CASE WHEN kind = 'unowned_energy' THEN $3 END WHERE site_id = $1" \
	" AND cleared_at IS NULL AND acknowledged_at IS NULL"

/* What became of an alarm that could not be acknowledged; raises PP010 unless it is acknowledged.
 */
static void
explain_absence(const Acknowledgement *call, int64 alarm_id)
{
	static DbQuery query = { "SELECT cleared_at FROM prepay.alarm WHERE site_id = $1"
							 " AND alarm_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), Int64GetDatum(alarm_id) };
	bool known = db_run(&query, args) == 1;
	TimestampTz cleared = known ? db_time_or(0, 1, DT_NOBEGIN) : DT_NOBEGIN;

	if (known && cleared == DT_NOBEGIN)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PP_CODE_UNKNOWN),
			 errmsg("site \"%s\" has no active alarm " INT64_FORMAT, call->site->code, alarm_id),
			 known ? errdetail("It was cleared at %s.", timestamptz_to_str(cleared)) : 0,
			 errhint("Active alarms are in prepay.alarm_active.")));
}

/*
 * acknowledge_alarm(site, alarm_id, note) → 1, or 0 when somebody did so before. Raises
 * PP010 for an alarm that is not active. Locks the meter's account if that ends the alarm.
 */
Datum
prepay_acknowledge_alarm(PG_FUNCTION_ARGS)
{
	static DbQuery ending = { ENDING " AND alarm_id = $2", 2, { INT4OID, INT8OID } };
	static DbQuery query = { ACKNOWLEDGE " AND alarm_id = $2",
							 5,
							 { INT4OID, INT8OID, TIMESTAMPTZOID, TEXTOID, TEXTOID } };
	Acknowledgement call;
	int done;

	begin(&call, fcinfo);
	lock_ending(&call, &ending, PG_GETARG_DATUM(1));
	done = acknowledge(&call, &query, PG_GETARG_DATUM(1));
	if (done == 0)
		explain_absence(&call, PG_GETARG_INT64(1));
	else
		log_acknowledgement(&call, psprintf("alarm:" INT64_FORMAT, PG_GETARG_INT64(1)), done);
	db_leave(&call.session);
	PG_RETURN_INT32(done);
}

/*
 * acknowledge_alarm(site, kind, note) → how many active alarms of that kind it
 * acknowledged; those somebody is clearing at this moment are left out.
 */
Datum
prepay_acknowledge_alarms(PG_FUNCTION_ARGS)
{
	static DbQuery ending = { ENDING " AND kind = $2 ORDER BY meter_id", 2, { INT4OID, TEXTOID } };
	static DbQuery query = {
		ACKNOWLEDGE " AND alarm_id IN (SELECT alarm_id FROM prepay.alarm WHERE site_id = $1"
					" AND kind = $2 AND cleared_at IS NULL AND acknowledged_at IS NULL"
					" ORDER BY alarm_id FOR UPDATE SKIP LOCKED)",
		5,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID }
	};
	Acknowledgement call;
	int done;

	begin(&call, fcinfo);
	lock_ending(&call, &ending, PG_GETARG_DATUM(1));
	done = acknowledge(&call, &query, PG_GETARG_DATUM(1));
	if (done > 0)
		log_acknowledgement(&call, psprintf("alarms:%s", text_to_cstring(PG_GETARG_TEXT_PP(1))),
							done);
	db_leave(&call.session);
	PG_RETURN_INT32(done);
}
