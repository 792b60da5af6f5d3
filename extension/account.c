/*
 * account.c: opening accounts and giving them meters. account_change.c changes them,
 * close.c closes them.
 */
#include "account.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/jsonb.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "owner.h"
#include "phone.h"
#include "purse.h"
#include "rerate.h"
#include "tariff_store.h"
#include "vend.h"

PG_FUNCTION_INFO_V1(prepay_open_account);
PG_FUNCTION_INFO_V1(prepay_add_meter);
PG_FUNCTION_INFO_V1(prepay_balance);
PG_FUNCTION_INFO_V1(prepay_state_color);

extern Datum prepay_my_site(PG_FUNCTION_ARGS);

void
account_check_phone(const char *phone)
{
	const char *fault = phone ? phone_fault(phone) : NULL;

	if (fault)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" is not a phone number", fault),
						errhint("Use digits, spaces and '-', with '+' in front of a country code, "
								"and ',' or ';' between several numbers.")));
}

static int32
find_place(const Site *site, const char *code)
{
	static DbQuery query = { "SELECT place_id FROM prepay.place WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	const char *bare = strchr(code, ':') ? strchr(code, ':') + 1 : code;
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(bare) };

	if (db_run(&query, args) == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no place \"%s\"", code),
						errhint("Add it to prepay.place first.")));
	return db_int32(0, 1);
}

int32
account_find_tariff(const Site *site, const char *code)
{
	int32 tariff_id = tariff_find(site, code);

	if (tariff_id == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no tariff \"%s\"", code),
						errhint("Define it with prepay.define_tariff().")));
	return tariff_id;
}

int32
account_open(const Site *site, Oid caller, const char *code, const char *customer,
			 const char *phone, const char *place_code, const char *tariff_code)
{
	static DbQuery taken = { "SELECT 1 FROM prepay.account WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	static DbQuery insert = {
		"INSERT INTO prepay.account (site_id, account_id, code, customer, phone, place_id,"
		" opened_at, opened_by) SELECT $1, COALESCE(max(account_id), 0) + 1, $2, $3, $4, NULLIF($5, 0),"
		" $6, prepay.operator_name() FROM prepay.account WHERE site_id = $1 RETURNING account_id",
		6,
		{ INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery state = { "INSERT INTO prepay.account_state (site_id, account_id, sealed_to)"
							 " VALUES ($1, $2, date '2000-01-01' + $3)",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id),
					 CStringGetTextDatum(code),
					 CStringGetTextDatum(customer),
					 db_text_datum(phone),
					 Int32GetDatum(place_code ? find_place(site, place_code) : 0),
					 TimestampTzGetDatum(site->now) };
	char nulls[] = "      ";
	int32 account_id;

	account_check_phone(phone);
	if (db_run(&taken, args) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_CODE_TAKEN), errmsg("account code \"%s\" is in use", code),
				 errhint("Codes of closed accounts stay taken; choose another.")));
	if (phone == NULL)
		nulls[3] = 'n';
	db_run_nulls(&insert, args, nulls);
	account_id = db_int32(0, 1);
	args[1] = Int32GetDatum(account_id);
	args[2] = Int32GetDatum(site->today);
	db_run(&state, args);
	if (tariff_code)
		tariff_assign(site, "account", account_id, account_find_tariff(site, tariff_code),
					  DT_NOBEGIN);
	return account_id;
}

bool
account_balance(const Site *site, int32 account_id, int64 *minor)
{
	Account *account;
	int n;

	account = account_read_all(site, &account_id, 1, &n);
	if (n == 0)
		return false;
	*minor = account_balance_of(site, account);
	return true;
}

void
account_redecide(const Site *site, int32 account_id)
{
	Account *account = account_lock(site, account_id);

	account->quiet = decide_account(site, account_id, account_balance_of(site, account), false);
	account->dirty = true;
	account_save_all(site, account, 1);
}

/* ---- SQL ---- */

static void
attach_list(DbSession *session, const Site *site, int32 account_id, ArrayType *meters)
{
	Datum *code;
	bool *isnull;
	int n;
	int i;

	deconstruct_array(meters, TEXTOID, -1, false, TYPALIGN_INT, &code, &isnull, &n);
	for (i = 0; i < n; i++)
	{
		CodeTarget target;

		if (isnull[i])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("a meter in the list is NULL"), errhint("Leave it out.")));
		code_resolve(session->caller, TextDatumGetCString(code[i]), KIND_METER, &target);
		if (target.site_id != site->site_id)
			ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
							errmsg("meter \"%s\" stands at another site", target.code),
							errhint("An account and its meters belong to one site.")));
		purse_require_alone(site, account_id, target.id, 0);
		owner_begin(site, account_id, target.id, NULL, site->now);
		owner_rate(site, &target.id, 1, site->now);
		purse_begin(site, account_id, target.id);
	}
}

static char *
text_arg(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

/* Opening calls carry a key when money is brought over; the account's id is the result. */
static bool
opened_before(VendCall *call, int32 *account_id)
{
	static DbQuery query = {
		"SELECT account_id FROM prepay.posting WHERE site_id = $1 AND key = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), (Datum) 0 };

	if (call->key == NULL || !vend_find_key(call))
		return false;
	args[1] = CStringGetTextDatum(call->key);
	db_run(&query, args);
	*account_id = db_int32(0, 1);
	return true;
}

/* open_account(code, customer, phone, place, meters, tariff, opening_balance, key, options) →
 * account_id */
Datum
prepay_open_account(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "alarm1_amount",
										 "alarm2_amount",
										 "credit_limit",
										 "emergency_credit",
										 "tier_extra_kwh",
										 "tier_start",
										 "language",
										 "note",
										 "load_class",
										 "till",
										 NULL };
	DbSession session;
	VendCall call = { .operation = "open_account" };
	LedgerEntry entry = { .kind = "opening", .note = "opening balance" };
	int32 site_id;
	int32 account_id;
	char *code;
	char *customer = text_arg(fcinfo, 1);
	char *options_text;
	Jsonb *options;

	if (PG_ARGISNULL(0) || customer == NULL || PG_ARGISNULL(6))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("code, customer and opening balance of an account must be given")));
	options_text = vend_options(fcinfo, 8, known, &options);
	call.till = options ? option_text(options, "till") : NULL;
	call.key = PG_ARGISNULL(7) ? NULL : vend_key(fcinfo, 7);
	db_enter(&session);
	code_for_new(session.caller, text_arg(fcinfo, 0), &site_id, &code);
	auth_require(session.caller, MAY_SELL, site_id, "open an account");
	lock_site_exclusive(site_id);
	call.site = site_get(site_id);
	entry.amount_minor = amount_minor(call.site, PG_GETARG_DATUM(6), "opening balance");
	if (entry.amount_minor < 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
						errmsg("opening balance %s is negative", numeric_text(PG_GETARG_DATUM(6))),
						errhint("Bring over what is left, or open the account at 0.")));
	if (entry.amount_minor > 0 && call.key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("an opening balance needs a key"),
				 errhint("Give a text that is unique for it: repeating the call is then safe.")));
	{
		const char *part[] = { code,
							   customer,
							   text_arg(fcinfo, 2),
							   text_arg(fcinfo, 3),
							   PG_ARGISNULL(4)
								   ? NULL
								   : OidOutputFunctionCall(F_ARRAY_OUT, PG_GETARG_DATUM(4)),
							   text_arg(fcinfo, 5),
							   numeric_text(PG_GETARG_DATUM(6)),
							   options_text };

		vend_fingerprint(&call, part, lengthof(part));
	}
	if (opened_before(&call, &account_id))
	{
		db_leave(&session);
		PG_RETURN_INT32(account_id);
	}
	account_id = account_open(call.site, session.caller, code, customer, text_arg(fcinfo, 2),
							  text_arg(fcinfo, 3), text_arg(fcinfo, 5));
	if (options && JB_ROOT_COUNT(options) > 0)
		account_set(call.site, account_id, options, PG_INT32_MIN);
	if (!PG_ARGISNULL(4))
		attach_list(&session, call.site, account_id, PG_GETARG_ARRAYTYPE_P(4));
	call.target.site_id = site_id;
	call.target.id = account_id;
	vend_lock(&call);
	if (entry.amount_minor > 0)
		vend_receipt(&call);
	vend_post_result(&call, &entry);
	vend_finish(&call);
	db_leave(&session);
	PG_RETURN_INT32(account_id);
}

/* add_meter(account, meter, start_kwh, effective) */
Datum
prepay_add_meter(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget account;
	CodeTarget meter;
	const Site *site;
	TimestampTz effective;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("account and meter must be given")));
	db_enter(&session);
	code_resolve(session.caller, text_arg(fcinfo, 0), KIND_ACCOUNT, &account);
	auth_require(session.caller, MAY_SELL, account.site_id, "add a meter to an account");
	code_resolve(session.caller, text_arg(fcinfo, 1), KIND_METER, &meter);
	if (meter.site_id != account.site_id)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("meter \"%s\" stands at another site", meter.code),
						errhint("An account and its meters belong to one site.")));
	lock_site_exclusive(account.site_id);
	site = site_get(account.site_id);
	vend_require_not_closed(site, &account);
	effective = PG_ARGISNULL(3) ? site->now : PG_GETARG_TIMESTAMPTZ(3);
	purse_require_alone(site, account.id, meter.id, 0);
	owner_begin(site, account.id, meter.id,
				PG_ARGISNULL(2) ? NULL : numeric_text(PG_GETARG_DATUM(2)), effective);
	owner_rate(site, &meter.id, 1, effective);
	account_redecide(site, account.id);
	purse_begin(site, account.id, meter.id);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* balance(site_id, account_id) → numeric: posted entries less open usage. For the views. */
Datum
prepay_balance(PG_FUNCTION_ARGS)
{
	DbSession session;
	const Site *site;
	int64 minor;
	Datum result;
	bool found;

	if (!DatumGetBool(DirectFunctionCall1(prepay_my_site, PG_GETARG_DATUM(0))))
		PG_RETURN_NULL();
	db_enter(&session);
	site = site_get(PG_GETARG_INT32(0));
	found = account_balance(site, PG_GETARG_INT32(1), &minor);
	MemoryContextSwitchTo(session.outer);
	result = found ? minor_numeric(minor, site->decimals) : (Datum) 0;
	db_leave(&session);
	if (!found)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* state_color(state) → the colour the state is shown in */
Datum
prepay_state_color(PG_FUNCTION_ARGS)
{
	static const char *const color[][2] = {
		{ "open", "green" },	 { "alarm1", "yellow" }, { "alarm2", "orange" },
		{ "arrears", "red" },	 { "unopened", "grey" }, { "lost", "purple" },
		{ "suspended", "blue" }, { "closed", "black" },
	};
	char *state = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int i;

	for (i = 0; i < lengthof(color); i++)
		if (strcmp(color[i][0], state) == 0)
			PG_RETURN_TEXT_P(cstring_to_text(color[i][1]));
	PG_RETURN_NULL();
}
