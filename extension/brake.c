/*
 * brake.c: the brake on mass disconnection.
 *
 * A wrong tariff, setting or batch of readings can use up the money of a whole town in
 * one transaction. So trips that the rule queues for want of money or of an account are
 * counted when an agent takes them: up to trip_limit_per_minute of a site pass in a minute
 * of real time. The next one puts the brake on. From then on none of them goes out by
 * itself, whatever its minute: a limit that let the rest follow more slowly would cut the
 * same people by the morning. They wait, seen in prepay.trips_waiting and in one alarm,
 * until a supervisor calls confirm_trips(), which lets those go that wait at that moment
 * and releases the brake, or until none of them is wanted any more.
 *
 * What a person ordered (trip, lock, timed switching, the tenant) and what protects the
 * installation (overload) passes at once and is not counted. Whatever passed once passes
 * again when the attempt failed.
 *
 * A waiting trip is an ordinary queued command: a payment supersedes it. It does not
 * expire but is decided anew each off_command_ttl, and once more when it is handed out,
 * so a confirmation cuts nobody whom the rule has let go in the meantime.
 *
 * State: trip_brake, a row a site, locked by whoever counts. It is asked for after
 * meter_control rows and commands; its holder waits for no row that others may hold:
 * commands held by others are skipped.
 */
#include "brake.h"

#include "commands/async.h"
#include "utils/builtins.h"

#include "alarm.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "oplog.h"

#define ALARM_KIND "trip_brake"
#define MAX_NOTE_BYTES 1000

PG_FUNCTION_INFO_V1(prepay_confirm_trips);

static int64
trip_limit(const Site *site)
{
	int64 micro = setting_micro(site, "trip_limit_per_minute", -1);

	return micro < 0 ? -1 : micro / 1000000;
}

/* ---- the row ---- */

static bool
lock_row(const Site *site, bool wait)
{
	static DbQuery make = { "INSERT INTO prepay.trip_brake (site_id) SELECT $1 WHERE NOT EXISTS"
							" (SELECT FROM prepay.trip_brake WHERE site_id = $1)"
							" ON CONFLICT DO NOTHING",
							1,
							{ INT4OID } };
	static DbQuery lock = { "SELECT on_since IS NOT NULL FROM prepay.trip_brake WHERE site_id = $1"
							" FOR UPDATE",
							1,
							{ INT4OID } };
	static DbQuery try_on = { "SELECT true FROM prepay.trip_brake WHERE site_id = $1"
							  " AND on_since IS NOT NULL FOR UPDATE SKIP LOCKED",
							  1,
							  { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	if (!wait)
		return db_run(&try_on, &arg) == 1;
	db_run(&make, &arg);
	db_run(&lock, &arg);
	return db_bool(0, 1);
}

static void
switch_brake(const Site *site, bool on)
{
	static DbQuery query = { "UPDATE prepay.trip_brake SET on_since = $2 WHERE site_id = $1",
							 2,
							 { INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now) };
	AlarmSubject whole_site = { 0 };

	db_run_nulls(&query, args, on ? NULL : " n");
	if (!on)
		(void) alarm_clear(site, &whole_site, ALARM_KIND);
}

static int64
count_waiting(const Site *site)
{
	static DbQuery query = { "SELECT count(*) FROM prepay.command c JOIN prepay.meter_control k"
							 " ON k.site_id = c.site_id AND k.meter_id = c.meter_id"
							 " WHERE c.site_id = $1 AND " BRAKE_WAITS,
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	db_run(&query, &arg);
	return db_int64(0, 1);
}

/* One alarm as long as the brake is on; it tells how many wait now and what to do. */
static void
tell(const Site *site, int64 waiting)
{
	static DbQuery query = {
		"UPDATE prepay.alarm SET detail = $3 WHERE site_id = $1 AND kind = $2"
		" AND COALESCE(account_id, 0) = 0 AND COALESCE(meter_id, 0) = 0"
		" AND COALESCE(gateway_id, 0) = 0 AND COALESCE(agent, '') = '' AND cleared_at IS NULL"
		" AND detail <> $3",
		3,
		{ INT4OID, TEXTOID, TEXTOID }
	};
	AlarmSubject whole_site = { 0 };
	const char *detail =
		psprintf(INT64_FORMAT " automatic %s for a supervisor: more than " INT64_FORMAT
							  " in a minute. See prepay.trips_waiting, then SELECT"
							  " prepay.confirm_trips('%s').",
				 waiting, waiting == 1 ? "trip waits" : "trips wait", trip_limit(site), site->code);
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(ALARM_KIND),
					 CStringGetTextDatum(detail) };

	if (alarm_raise(site, &whole_site, ALARM_KIND, ALARM_CRITICAL, detail) == 0)
		db_run(&query, args);
}

/* ---- handing out ---- */

static void
begin(const Site *site, Brake *brake)
{
	static DbQuery query = { "SELECT count(*) FROM prepay.command WHERE site_id = $1"
							 " AND passed_at > $2",
							 2,
							 { INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id),
					 TimestampTzGetDatum(GetCurrentTimestamp() - USECS_PER_MINUTE) };
	int64 limit = trip_limit(site);

	brake->is_locked = true;
	brake->is_limited = limit >= 0;
	if (!brake->is_limited)
		return;
	brake->is_on = lock_row(site, true);
	db_run(&query, args);
	brake->left = Max(limit - db_int64(0, 1), 0);
}

static bool
is_counted(const RelayMeter *meter)
{
	return meter->desired_why && (strcmp(meter->desired_why, "off_due") == 0 ||
								  strcmp(meter->desired_why, "no_account") == 0);
}

bool
brake_passes(const Site *site, Brake *brake, const RelayMeter *meter, int64 command_id)
{
	if (!is_counted(meter))
		return true;
	if (!brake->is_locked)
		begin(site, brake);
	if (!brake->is_limited)
		return true;
	if (!brake->is_on && brake->left == 0)
		brake->is_on = brake->went_on = true;
	if (brake->is_on)
		return false;
	brake->left--;
	brake->passed = brake->passed ? repalloc(brake->passed, sizeof(int64) * (brake->n_passed + 1))
								  : palloc(sizeof(int64));
	brake->passed[brake->n_passed++] = command_id;
	return true;
}

void
brake_finish(const Site *site, Brake *brake)
{
	static DbQuery query = { "UPDATE prepay.command SET passed_at = $3 WHERE site_id = $1"
							 " AND command_id = ANY ($2)",
							 3,
							 { INT4OID, INT8ARRAYOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), (Datum) 0,
					 TimestampTzGetDatum(GetCurrentTimestamp()) };

	if (brake->n_passed > 0)
	{
		args[1] = db_array_int64(brake->passed, brake->n_passed);
		db_run(&query, args);
	}
	if (!brake->went_on)
		return;
	switch_brake(site, true);
	tell(site, count_waiting(site));
}

/* ---- waiting ---- */

void
brake_prolong(const Site *site, int32 meter_id)
{
	static DbQuery query = {
		"UPDATE prepay.command c SET valid_until = $4 FROM prepay.meter_control k"
		" WHERE c.site_id = $1 AND c.meter_id = $2 AND c.valid_until <= $3 AND k.site_id = $1"
		" AND k.meter_id = $2 AND " BRAKE_WAITS " AND EXISTS (SELECT FROM prepay.trip_brake b"
		" WHERE b.site_id = $1 AND b.on_since IS NOT NULL)",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(site->now), TimestampTzGetDatum(relay_trip_until(site)) };

	db_run(&query, args);
}

void
brake_tick(const Site *site)
{
	int64 waiting;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (lock_row(site, false))
	{
		waiting = count_waiting(site);
		if (waiting > 0 && trip_limit(site) >= 0)
			tell(site, waiting);
		else
		{
			switch_brake(site, false);
			Async_Notify("prepay_command", "");
		}
	}
	SPI_finish();
}

/* ---- confirmation ---- */

/* Trips that wait, but for those somebody else is just changing; 0 and no row of the log: none. */
static int
confirm(const Site *site, const char *note)
{
	static DbQuery query = {
		"WITH waiting AS MATERIALIZED (SELECT c.command_id FROM prepay.command c"
		" JOIN prepay.meter_control k ON k.site_id = c.site_id AND k.meter_id = c.meter_id"
		" WHERE c.site_id = $1 AND " BRAKE_WAITS " FOR UPDATE OF c SKIP LOCKED),"
		" log AS (INSERT INTO prepay.trip_confirmation (site_id, confirmed_at, operator, trips,"
		" brake_since, note) SELECT $1, $2, $3, count(*), (SELECT on_since FROM prepay.trip_brake"
		" WHERE site_id = $1), $4 FROM waiting HAVING count(*) > 0 RETURNING confirmation_id)"
		" UPDATE prepay.command c SET confirmation_id = l.confirmation_id, valid_until = $5"
		" FROM waiting w, log l WHERE c.site_id = $1 AND c.command_id = w.command_id",
		5,
		{ INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(auth_operator()), db_text_datum(note),
					 TimestampTzGetDatum(relay_trip_until(site)) };

	return (int) db_run_nulls(&query, args, note ? NULL : "   n ");
}

/*
 * confirm_trips(site, note DEFAULT NULL) → how many trips it lets go: those that wait at
 * this moment, but for any that is just being changed. 0 where the brake is not on.
 * Locks the site's trip_brake row.
 */
Datum
prepay_confirm_trips(PG_FUNCTION_ARGS)
{
	DbSession session;
	const Site *site;
	char *note = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32 site_id;
	int confirmed = 0;

	if (note && strlen(note) > MAX_NOTE_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the note has more than %d bytes", MAX_NOTE_BYTES),
						errhint("Shorten it.")));
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_SUPERVISE, site_id, "confirm trips");
	lock_site_shared(site_id);
	site = site_get(site_id);
	if (lock_row(site, true))
	{
		int64 waiting;

		confirmed = confirm(site, note);
		waiting = count_waiting(site);
		if (waiting == 0)
			switch_brake(site, false);
		else
			tell(site, waiting);
		if (confirmed > 0)
			Async_Notify("prepay_command", "");
		oplog_note(site_id, "confirm_trips", psprintf("site:%s", site->code), NULL,
				   oplog_members("trips", psprintf("%d", confirmed), "note", note, NULL));
	}
	db_leave(&session);
	PG_RETURN_INT32(confirmed);
}
