/*
 * meter_api.c: change_meter, remove_meter, replace_meter: dated facts of a meter.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "account.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "decide.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "rerate.h"
#include "vend.h"

PG_FUNCTION_INFO_V1(prepay_change_meter);
PG_FUNCTION_INFO_V1(prepay_remove_meter);
PG_FUNCTION_INFO_V1(prepay_replace_meter);

static char *
text_of(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must be given", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

static TimestampTz
effective_time(const Site *site, FunctionCallInfo fcinfo, int arg)
{
	TimestampTz effective = PG_ARGISNULL(arg) ? site->now : PG_GETARG_TIMESTAMPTZ(arg);

	if (TIMESTAMP_NOT_FINITE(effective) || effective > site->now)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is not a time up to now", timestamptz_to_str(effective)),
						errhint("Call this when it happens, or give the time when it happened.")));
	return effective;
}

/* Owner of a meter now, and when its term began; 0: none. */
static int32
owner_of(const Site *site, int32 meter_id, TimestampTz *since)
{
	static DbQuery query = { "SELECT account_id, valid_from FROM prepay.account_meter"
							 " WHERE site_id = $1 AND meter_id = $2 AND valid_to = 'infinity'",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&query, args) == 0)
		return 0;
	*since = db_time(0, 2);
	return db_int32(0, 1);
}

/*
 * The meter ceases to belong to its account. Its open energy stays with the account;
 * without a final register the account waits for the next reading to learn the rest.
 */
static void
detach(const Site *site, int32 account_id, int32 meter_id, TimestampTz since, const char *final_kwh,
	   TimestampTz effective)
{
	static DbQuery end = { "UPDATE prepay.account_meter SET valid_to = $3 WHERE site_id = $1"
						   " AND meter_id = $2 AND valid_to = 'infinity'",
						   3,
						   { INT4OID, INT4OID, TIMESTAMPTZOID } };
	static DbQuery leave = {
		"UPDATE prepay.meter_state SET open_lines = '', leaving_account_id ="
		" CASE WHEN last_read_at < $3 THEN $4 END WHERE site_id = $1 AND meter_id = $2",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(effective), Int32GetDatum(account_id) };

	if (effective < since)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the meter did not belong to the account at %s",
							   timestamptz_to_str(effective)),
						errhint("Give a time after it was added.")));
	if (final_kwh)
		account_store_register(site, meter_id, effective, final_kwh);
	(void) account_lock(site, account_id);
	db_run(&end, args);
	meter_refresh(site, meter_id);
	db_run(&leave, args);
	rerate_one(site, account_id, site_local_day(site, effective));
	decide_meter(site, meter_id);
}

static void
meter_of_account(DbSession *session, FunctionCallInfo fcinfo, CodeTarget *account,
				 CodeTarget *meter, const Site **site, TimestampTz *since)
{
	code_resolve(session->caller, text_of(fcinfo, 0, "the account"), KIND_ACCOUNT, account);
	auth_require(session->caller, MAY_SELL, account->site_id, "take a meter from an account");
	code_resolve(session->caller, text_of(fcinfo, 1, "the meter"), KIND_METER, meter);
	lock_site_exclusive(account->site_id);
	*site = site_get(account->site_id);
	if (meter->site_id != account->site_id || owner_of(*site, meter->id, since) != account->id)
		ereport(ERROR, (errcode(ERRCODE_PP_METER_OWNED),
						errmsg("meter \"%s\" does not belong to account \"%s\"", meter->code,
							   account->code),
						errhint("prepay.meter_status shows to which account a meter belongs.")));
}

/* remove_meter(account, meter, final_kwh, effective) */
Datum
prepay_remove_meter(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget account;
	CodeTarget meter;
	const Site *site;
	TimestampTz since = 0;

	db_enter(&session);
	meter_of_account(&session, fcinfo, &account, &meter, &site, &since);
	detach(site, account.id, meter.id, since,
		   PG_ARGISNULL(2) ? NULL : numeric_text(PG_GETARG_DATUM(2)),
		   effective_time(site, fcinfo, 3));
	db_leave(&session);
	PG_RETURN_VOID();
}

/* replace_meter(old, new, old_final_kwh, new_start_kwh, effective): tiers and balance go on. */
Datum
prepay_replace_meter(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget old;
	CodeTarget new;
	const Site *site;
	TimestampTz since = 0;
	TimestampTz effective;
	int32 account_id;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("both registers must be given"),
				 errhint("The final kWh of the old meter, the first kWh of the new one.")));
	db_enter(&session);
	code_resolve(session.caller, text_of(fcinfo, 0, "the old meter"), KIND_METER, &old);
	auth_require(session.caller, MAY_SELL, old.site_id, "replace a meter");
	code_resolve(session.caller, text_of(fcinfo, 1, "the new meter"), KIND_METER, &new);
	lock_site_exclusive(old.site_id);
	site = site_get(old.site_id);
	account_id = owner_of(site, old.id, &since);
	if (new.site_id != old.site_id || account_id == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_METER_OWNED),
						errmsg("meter \"%s\" belongs to no account of that site", old.code),
						errhint("A meter without account needs no replacement record.")));
	effective = effective_time(site, fcinfo, 4);
	/* The new one first: an account without any meter has no day left to wait for. */
	account_attach(site, account_id, new.id, numeric_text(PG_GETARG_DATUM(3)), effective);
	detach(site, account_id, old.id, since, numeric_text(PG_GETARG_DATUM(2)), effective);
	account_redecide(site, account_id);
	db_leave(&session);
	PG_RETURN_VOID();
}

static void
store_term(const Site *site, int32 meter_id, Jsonb *changes, TimestampTz effective)
{
	static DbQuery later = { "SELECT 1 FROM prepay.meter_term WHERE site_id = $1 AND meter_id = $2"
							 " AND valid_from >= $3",
							 3,
							 { INT4OID, INT4OID, TIMESTAMPTZOID } };
	static DbQuery insert = {
		"INSERT INTO prepay.meter_term (site_id, meter_id, valid_from, ratio, register_max,"
		" reverse_energy, period_names, period_step_kwh) SELECT site_id, meter_id, $3,"
		" COALESCE($4::numeric, ratio), COALESCE($5::numeric, register_max),"
		" COALESCE($6, reverse_energy), period_names, period_step_kwh FROM prepay.meter_term"
		" WHERE site_id = $1 AND meter_id = $2 ORDER BY valid_from DESC LIMIT 1",
		6,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID }
	};
	static DbQuery update = {
		"UPDATE prepay.meter SET ratio = COALESCE($4::numeric, ratio),"
		" register_max = COALESCE($5::numeric, register_max),"
		" reverse_energy = COALESCE($6, reverse_energy) WHERE site_id = $1 AND meter_id = $2",
		6,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID }
	};
	static const char *const name[] = { "ratio", "register_max", "reverse_energy" };
	Datum args[6] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					  TimestampTzGetDatum(effective) };
	char nulls[] = "      ";
	int i;

	for (i = 0; i < lengthof(name); i++)
	{
		args[3 + i] = db_text_datum(option_text(changes, name[i]));
		nulls[3 + i] = args[3 + i] ? ' ' : 'n';
	}
	if (db_run(&later, args) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_RATED),
				 errmsg("the meter has a later change than %s", timestamptz_to_str(effective)),
				 errhint("Changes of a meter are given in the order of their times.")));
	db_run_nulls(&insert, args, nulls);
	meter_change_runs = true;
	PG_TRY();
	{
		/* The table's own constraints judge the values. */
		db_run_nulls(&update, args, nulls);
	}
	PG_FINALLY();
	{
		meter_change_runs = false;
	}
	PG_END_TRY();
}

/* change_meter(meter, changes, effective): ratio, register_max, reverse_energy from a time on. */
Datum
prepay_change_meter(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "ratio", "register_max", "reverse_energy", NULL };
	static DbQuery last = {
		"SELECT account_id FROM prepay.account_meter WHERE site_id = $1 AND meter_id = $2"
		" AND valid_to > $3",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	DbSession session;
	CodeTarget meter;
	const Site *site;
	TimestampTz effective;
	int32 *account_id;
	int n;
	int i;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the changes are missing")));
	options_check(PG_GETARG_JSONB_P(1), known);
	db_enter(&session);
	code_resolve(session.caller, text_of(fcinfo, 0, "the meter"), KIND_METER, &meter);
	auth_require(session.caller, MAY_CONFIGURE, meter.site_id, "change a meter");
	lock_site_exclusive(meter.site_id);
	site = site_get(meter.site_id);
	effective = effective_time(site, fcinfo, 2);
	store_term(site, meter.id, PG_GETARG_JSONB_P(1), effective);
	meter_refresh(site, meter.id);
	{
		Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter.id),
						 TimestampTzGetDatum(effective) };

		n = db_run(&last, args);
	}
	account_id = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		account_id[i] = db_int32(i, 1);
	for (i = 0; i < n; i++)
		rerate_one(site, account_id[i], site_local_day(site, effective));
	site_touch(meter.site_id);
	db_leave(&session);
	PG_RETURN_VOID();
}
