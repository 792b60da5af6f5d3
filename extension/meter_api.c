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
#include "flow.h"
#include "jsonb_doc.h"
#include "load.h"
#include "lock.h"
#include "mismatch.h"
#include "owner.h"
#include "purse.h"
#include "relay.h"
#include "tariff_store.h"

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
time_or_now(const Site *site, FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? site->now : PG_GETARG_TIMESTAMPTZ(arg);
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
	TimestampTz effective;

	db_enter(&session);
	meter_of_account(&session, fcinfo, &account, &meter, &site, &since);
	effective = time_or_now(site, fcinfo, 3);
	owner_end(site, account.id, meter.id, since,
			  PG_ARGISNULL(2) ? NULL : numeric_text(PG_GETARG_DATUM(2)), effective);
	owner_rate(site, &meter.id, 1, effective);
	account_redecide(site, account.id);
	purse_end(site, meter.id, "the meter was removed: its money is kept here");
	decide_meter(site, meter.id);
	db_leave(&session);
	PG_RETURN_VOID();
}

/*
 * What was settled for the supply point goes on with the new meter, unless it says
 * something itself: place, thresholds, a tariff of the meter's own, orders and locks.
 */
static void
hand_over(const Site *site, int32 old, int32 new, TimestampTz effective)
{
	static DbQuery facts = {
		"UPDATE prepay.meter n SET place_id = COALESCE(n.place_id, o.place_id),"
		" alarm1_amount = COALESCE(n.alarm1_amount, o.alarm1_amount),"
		" alarm2_amount = COALESCE(n.alarm2_amount, o.alarm2_amount),"
		" power_limit_kw = COALESCE(n.power_limit_kw, o.power_limit_kw)"
		" FROM prepay.meter o WHERE o.site_id = $1 AND o.meter_id = $2 AND n.site_id = $1"
		" AND n.meter_id = $3",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	static DbQuery tariff = {
		"SELECT a.tariff_id FROM prepay.tariff_assignment a WHERE a.site_id = $1"
		" AND a.target_kind = 'meter' AND a.target_id = $2 AND a.valid_from <= $4"
		" AND NOT EXISTS (SELECT FROM prepay.tariff_assignment n WHERE n.site_id = $1"
		"  AND n.target_kind = 'meter' AND n.target_id = $3)"
		" ORDER BY a.valid_from DESC, a.assignment DESC LIMIT 1",
		4,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery take = {
		"UPDATE prepay.meter_control n SET locked = o.locked, locked_reason = o.locked_reason,"
		" order_kind = o.order_kind, order_at = o.order_at, order_by = o.order_by,"
		" order_reason = o.order_reason FROM prepay.meter_control o WHERE o.site_id = $1"
		" AND o.meter_id = $2 AND n.site_id = $1 AND n.meter_id = $3"
		" AND (o.locked OR o.order_kind IS NOT NULL) AND NOT n.locked AND n.order_kind IS NULL",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	static DbQuery leave = {
		"UPDATE prepay.meter_control SET locked = false, locked_reason = NULL, order_kind = NULL,"
		" order_at = NULL, order_by = NULL, order_reason = NULL"
		" WHERE site_id = $1 AND meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(old), Int32GetDatum(new),
					 TimestampTzGetDatum(effective) };
	int32 both[] = { old, new };
	RelayMeter *meter;
	int32 tariff_id;

	db_run(&facts, args);
	if (db_run(&tariff, args) == 1 && (tariff_id = db_int32_or(0, 1, 0)) != 0)
		tariff_assign(site, "meter", new, tariff_id, effective);
	(void) relay_lock(site, both, lengthof(both), &meter);
	load_hand_over(site, &meter[old > new], &meter[old < new]);
	mismatch_forget(site, &meter[old > new]);
	flow_closed(site, &meter[old > new]);
	db_run(&take, args);
	db_run(&leave, args);
}

/*
 * replace_meter(old, new, old_final_kwh, new_start_kwh, effective): balance, tier
 * position and tariff go on, and what was settled for the supply point. A meter that keeps
 * its own money begins with a new purchase count and gets the balance as a recharge.
 */
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
	effective = time_or_now(site, fcinfo, 4);
	purse_require_alone(site, account_id, new.id, old.id);
	/* The new one first: an account without any meter has no day left to wait for. */
	owner_begin(site, account_id, new.id, numeric_text(PG_GETARG_DATUM(3)), effective);
	owner_end(site, account_id, old.id, since, numeric_text(PG_GETARG_DATUM(2)), effective);
	hand_over(site, old.id, new.id, effective);
	{
		int32 both[] = { old.id, new.id };

		owner_rate(site, both, 2, effective);
	}
	account_redecide(site, account_id);
	purse_end(site, old.id, psprintf("replaced by meter %s: its money goes there", new.code));
	purse_begin(site, account_id, new.id);
	decide_meter(site, old.id);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* The facts change_meter() dates. */
typedef enum Fact
{
	FACT_RATIO,
	FACT_REGISTER_MAX,
	FACT_REVERSE,
	N_FACTS
} Fact;

static const char *const fact_name[] = { "ratio", "register_max", "reverse_energy" };

/* The ranges of the table's own columns, told as an error a person understands. */
static void
check_fact(Fact fact, const char *text)
{
	int64 number;

	if (fact == FACT_RATIO && (decimal_parse(text, 6, &number) != DECIMAL_OK || number <= 0 ||
							   number > INT64CONST(1000000) * 1000000))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the ratio of a meter cannot be %s", text),
						errhint("Give CT x PT: above 0, up to 1000000, with at most 6 decimals.")));
	if (fact == FACT_REGISTER_MAX && (decimal_parse(text, 3, &number) != DECIMAL_OK ||
									  number <= 0 || number > INT64CONST(999999999999) * 1000))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the modulus of a register cannot be %s", text),
						errhint("Give the kWh at which it shows 0 again, such as 1000000 for six "
								"digits.")));
	if (fact == FACT_REVERSE && strcmp(text, "add") != 0 && strcmp(text, "ignore") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no rule \"%s\" for reverse energy", text),
						errhint("Rules are: add, ignore.")));
}

static bool
same_text(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/*
 * A fact holds from `effective` on until a later change of the same fact: later terms
 * that only carried the old value on take the new one over.
 */
static void
store_terms(const Site *site, int32 meter_id, char *const *value, TimestampTz effective)
{
	static DbQuery begin = {
		"INSERT INTO prepay.meter_term (site_id, meter_id, valid_from, ratio, register_max,"
		" reverse_energy, period_names, period_step_kwh) SELECT site_id, meter_id, $3, ratio,"
		" register_max, reverse_energy, period_names, period_step_kwh FROM prepay.meter_term"
		" WHERE site_id = $1 AND meter_id = $2 AND valid_from <= $3"
		" ORDER BY valid_from DESC LIMIT 1 ON CONFLICT DO NOTHING",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery list = {
		"SELECT valid_from, trim_scale(ratio)::text, trim_scale(register_max)::text,"
		" reverse_energy FROM prepay.meter_term WHERE site_id = $1 AND meter_id = $2"
		" AND valid_from >= $3 ORDER BY valid_from",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery set = { "UPDATE prepay.meter_term SET ratio = COALESCE($4::numeric, ratio),"
						   " register_max = COALESCE($5::numeric, register_max),"
						   " reverse_energy = COALESCE($6, reverse_energy)"
						   " WHERE site_id = $1 AND meter_id = $2 AND valid_from = $3",
						   6,
						   { INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID } };
	Datum args[6] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					  TimestampTzGetDatum(effective) };
	bool carries[N_FACTS];
	char *old[N_FACTS];
	TimestampTz *from;
	char **stored;
	int n;
	int i;
	int fact;

	db_run(&begin, args);
	n = db_run(&list, args);
	from = palloc(sizeof(TimestampTz) * n);
	stored = palloc(sizeof(char *) * n * N_FACTS);
	for (i = 0; i < n; i++)
	{
		from[i] = db_time(i, 1);
		for (fact = 0; fact < N_FACTS; fact++)
			stored[i * N_FACTS + fact] = db_text(i, 2 + fact);
	}
	for (fact = 0; fact < N_FACTS; fact++)
	{
		old[fact] = stored[fact];
		carries[fact] = value[fact] != NULL;
	}
	for (i = 0; i < n; i++)
	{
		char nulls[] = "      ";

		args[2] = TimestampTzGetDatum(from[i]);
		for (fact = 0; fact < N_FACTS; fact++)
		{
			carries[fact] &= same_text(stored[i * N_FACTS + fact], old[fact]);
			args[3 + fact] = db_text_datum(value[fact]);
			nulls[3 + fact] = carries[fact] ? ' ' : 'n';
		}
		db_run_nulls(&set, args, nulls);
	}
}

/* The row of the meter shows what holds last. */
static void
show_last_term(const Site *site, int32 meter_id)
{
	static DbQuery query = {
		"UPDATE prepay.meter m SET ratio = t.ratio, register_max = t.register_max,"
		" reverse_energy = t.reverse_energy FROM (SELECT * FROM prepay.meter_term"
		"  WHERE site_id = $1 AND meter_id = $2 ORDER BY valid_from DESC LIMIT 1) t"
		" WHERE m.site_id = $1 AND m.meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	meter_change_runs = true;
	PG_TRY();
	{
		db_run(&query, args);
	}
	PG_FINALLY();
	{
		meter_change_runs = false;
	}
	PG_END_TRY();
}

/* A register that was read at or beyond its modulus has another one. */
static void
check_modulus(const Site *site, int32 meter_id, TimestampTz effective)
{
	static DbQuery query = {
		"SELECT b.read_at, round(b.register_wh / 1000.0, 3)::text FROM prepay.reading_believed b"
		" CROSS JOIN LATERAL (SELECT t.register_max FROM prepay.meter_term t"
		"  WHERE t.site_id = b.site_id AND t.meter_id = b.meter_id AND t.valid_from <= b.read_at"
		"  ORDER BY t.valid_from DESC LIMIT 1) f"
		" WHERE b.site_id = $1 AND b.meter_id = $2 AND b.read_at >= $3"
		" AND b.register_wh >= f.register_max * 1000 ORDER BY b.read_at LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(effective) };

	if (db_run(&query, args) > 0)
		ereport(ERROR, (errcode(ERRCODE_PP_RATED),
						errmsg("the register has shown %s kWh, which is not below that modulus",
							   db_text(0, 2)),
						errdetail("It was read so at %s.", timestamptz_to_str(db_time(0, 1))),
						errhint("Give a larger register_max, a later time, or correct that "
								"reading first.")));
}

/*
 * change_meter(meter, changes, effective): ratio, register_max, reverse_energy from a
 * time up to now on; the same time again mends what was given before. Energy since is
 * rated again. Raises 22023 for a time or value that cannot be, PP032 for a modulus the
 * register has passed.
 */
Datum
prepay_change_meter(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "ratio", "register_max", "reverse_energy", NULL };
	DbSession session;
	CodeTarget meter;
	const Site *site;
	TimestampTz effective;
	char *value[N_FACTS];
	bool changes = false;
	int fact;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the changes are missing")));
	options_check(PG_GETARG_JSONB_P(1), known);
	for (fact = 0; fact < N_FACTS; fact++)
	{
		value[fact] = option_text(PG_GETARG_JSONB_P(1), fact_name[fact]);
		if (value[fact] == NULL)
			continue;
		check_fact(fact, value[fact]);
		changes = true;
	}
	if (!changes)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("nothing is changed"),
						errhint("Give ratio, register_max or reverse_energy with a value.")));
	db_enter(&session);
	code_resolve(session.caller, text_of(fcinfo, 0, "the meter"), KIND_METER, &meter);
	auth_require(session.caller, MAY_CONFIGURE, meter.site_id, "change a meter");
	lock_site_exclusive(meter.site_id);
	site = site_get(meter.site_id);
	effective = time_or_now(site, fcinfo, 2);
	owner_require_past(site, effective);
	store_terms(site, meter.id, value, effective);
	show_last_term(site, meter.id);
	check_modulus(site, meter.id, effective);
	owner_rate(site, &meter.id, 1, effective);
	site_touch(meter.site_id);
	db_leave(&session);
	PG_RETURN_VOID();
}
