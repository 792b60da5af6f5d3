/*
 * close.c: closing an account. 销户
 *
 *   final registers stored and believed → meters released → everything sealed, today's
 *   energy too → what is left of granted credit lapses → debts are paid
 *   → the closing entry pays the rest out, or collects what is owed → balance 0
 *
 * A meter with a final register belongs to the account up to now. One without settles at its
 * last accepted reading: the account has it up to that reading, and what flowed since
 * is nobody's, or the next account's if that one is opened with an earlier time;
 * it is reported, never charged to who has left. Standing charges fall on the days before
 * the closing day. What is under the cent stays in account_state.sealed_exact.
 *
 * The record stays. Nothing but corrections of its own time (a late or corrected reading,
 * a price for the past) is ever posted again: they go to the closed account's ledger as to any
 * other, so that nothing is lost silently. closed_accounts then shows a balance, and
 * closing the account once more settles it.
 *
 * Locks: the site exclusively, because terms of meters change; so no sale, no reading
 * and no other change runs beside it.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "account.h"
#include "auth.h"
#include "credit.h"
#include "db.h"
#include "debt.h"
#include "decide.h"
#include "jsonb_doc.h"
#include "owner.h"
#include "purse.h"
#include "seal.h"
#include "vend.h"

PG_FUNCTION_INFO_V1(prepay_close_account);

typedef struct Leaving
{
	int32 meter_id;
	TimestampTz since;
	TimestampTz last_read_at; /* -infinity: never */
	char *code;
	char *final_kwh;   /* NULL: none given */
	TimestampTz until; /* the account has it up to then */
} Leaving;

typedef struct Closing
{
	Jsonb *final_kwh; /* NULL: none */
	bool collect;
} Closing;

/* ---- final registers ---- */

static int
meters_of(const Site *site, int32 account_id, Leaving **meter)
{
	static DbQuery query = {
		"SELECT o.meter_id, o.valid_from, COALESCE(s.last_read_at, '-infinity'), m.code"
		" FROM prepay.account_meter o JOIN prepay.meter_state s USING (site_id, meter_id)"
		" JOIN prepay.meter m USING (site_id, meter_id) WHERE o.site_id = $1"
		" AND o.account_id = $2 AND o.valid_to = 'infinity' ORDER BY o.meter_id",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };
	int n = db_run(&query, args);
	int i;

	*meter = palloc0(sizeof(Leaving) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		(*meter)[i].meter_id = db_int32(i, 1);
		(*meter)[i].since = db_time(i, 2);
		(*meter)[i].last_read_at = db_time(i, 3);
		(*meter)[i].code = db_text(i, 4);
	}
	return n;
}

static void
set_final(const VendCall *call, const DbSession *session, const char *code, const char *kwh,
		  Leaving *meter, int n)
{
	CodeTarget target;
	int i;

	code_resolve(session->caller, code, KIND_METER, &target);
	for (i = 0; i < n; i++)
		if (target.site_id == call->site->site_id && target.id == meter[i].meter_id)
		{
			meter[i].final_kwh = pstrdup(kwh);
			return;
		}
	ereport(ERROR,
			(errcode(ERRCODE_PP_METER_OWNED),
			 errmsg("meter \"%s\" does not belong to account \"%s\"", code, call->target.code),
			 errhint("Give final registers of the account's own meters.")));
}

/* {"final_kwh": {"M1": 1234.5, ...}} */
static void
read_finals(const VendCall *call, const DbSession *session, Jsonb *final_kwh, Leaving *meter, int n)
{
	JsonbIterator *iterator = JsonbIteratorInit(&final_kwh->root);
	JsonbValue value;
	JsonbIteratorToken token;

	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char *code;
		char *kwh;

		if (token != WJB_KEY)
			continue;
		code = pnstrdup(value.val.string.val, value.val.string.len);
		kwh = option_text(final_kwh, code);
		if (kwh == NULL)
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("the final register of meter \"%s\" is missing", code),
							errhint("Give the kWh it shows, or leave the meter out to settle at "
									"its last reading.")));
		set_final(call, session, code, kwh, meter, n);
	}
}

/* A final register that is not believed is refused, so an older one never settles instead. */
static void
release_meters(const VendCall *call, const DbSession *session, const Closing *closing)
{
	const Site *site = call->site;
	Leaving *meter;
	int n = meters_of(site, call->target.id, &meter);
	int i;

	if (closing->final_kwh)
		read_finals(call, session, closing->final_kwh, meter, n);
	for (i = 0; i < n; i++)
	{
		meter[i].until = meter[i].final_kwh
							 ? site->now
							 : Max(meter[i].since, Min(meter[i].last_read_at, site->now));
		owner_end(site, call->target.id, meter[i].meter_id, meter[i].since, meter[i].final_kwh,
				  meter[i].until);
	}
	for (i = 0; i < n; i++)
		purse_end(site, meter[i].meter_id, "the account was closed");
	for (i = 0; i < n; i++)
		owner_rate(site, &meter[i].meter_id, 1, meter[i].until);
	for (i = 0; i < n; i++)
		decide_meter(site, meter[i].meter_id);
}

/* ---- settlement ---- */

/* The balance is brought to 0; what was owed has to be collected. */
static void
settle(VendCall *call, const Closing *closing, LedgerEntry *entry)
{
	Account *account = call->account;
	DebtPlan plan;

	vend_receipt(call);
	credit_close(call, account);
	debt_plan_all(call->site, account, &plan);
	debt_pay(call, account, &plan);
	entry->amount_minor = -account->posted_minor;
	if (entry->amount_minor > 0 && !closing->collect)
		ereport(ERROR,
				(errcode(ERRCODE_PP_ARREARS),
				 errmsg("account \"%s\" owes %s %s", call->target.code,
						vend_money(call->site, entry->amount_minor), call->site->currency),
				 errdetail("Usage up to the final registers and debt are in it."),
				 errhint("Collect it and close with {\"collect\": true}, or let it be adjusted.")));
	if (entry->amount_minor == 0)
		entry->tender = NULL; /* nothing goes through the till */
	vend_post_result(call, entry);
}

static void
mark_closed(const VendCall *call)
{
	static DbQuery account = {
		"UPDATE prepay.account SET state = 'closed', closed_at = $3, closed_by = $4"
		" WHERE site_id = $1 AND account_id = $2",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID }
	};
	static DbQuery state = {
		"UPDATE prepay.account_state SET closed_on = date '2000-01-01' + $3, emergency_minor = 0,"
		" emergency_exhausted = false WHERE site_id = $1 AND account_id = $2",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(call->target.id),
					 TimestampTzGetDatum(call->site->now), CStringGetTextDatum(auth_operator()) };

	db_run(&account, args);
	args[2] = Int32GetDatum(call->site->today);
	db_run(&state, args);
}

static void
close_open_account(VendCall *call, const DbSession *session, const Closing *closing,
				   LedgerEntry *entry)
{
	purse_require_empty(call->site, &call->target);
	release_meters(call, session, closing);
	vend_lock(call);
	seal_close(call->site, call->account, &call->run.posting, &call->run.usage);
	settle(call, closing, entry);
	call->account->is_closed = true;
	mark_closed(call);
	vend_decide(call->account);
	vend_finish(call);
}

/* Corrections have moved the balance since it was closed: settle them. */
static void
close_again(VendCall *call, const Closing *closing, LedgerEntry *entry)
{
	vend_lock(call);
	if (call->account->posted_minor == 0)
		vend_require_not_closed(call->site, &call->target);
	settle(call, closing, entry);
	vend_finish(call);
}

/* ---- SQL ---- */

static void
read_options(Jsonb *options, VendCall *call, Closing *closing, LedgerEntry *entry)
{
	JsonbValue value;
	char *collect;

	memset(closing, 0, sizeof(*closing));
	if (options == NULL)
		return;
	if (getKeyJsonValueFromContainer(&options->root, "final_kwh", strlen("final_kwh"), &value))
	{
		if (value.type == jbvBinary)
			closing->final_kwh = JsonbValueToJsonb(&value);
		if (closing->final_kwh == NULL || !JB_ROOT_IS_OBJECT(closing->final_kwh))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("\"final_kwh\" must be an object"),
					 errhint("Give registers by meter: {\"final_kwh\": {\"M1\": 1234.5}}.")));
	}
	collect = option_text(options, "collect");
	if (collect && strcmp(collect, "true") != 0 && strcmp(collect, "false") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"collect\" cannot be %s", collect),
						errhint("Give true when the arrears are paid at the till now.")));
	closing->collect = collect && strcmp(collect, "true") == 0;
	call->till = option_text(options, "till");
	if (option_text(options, "tender"))
		entry->tender = option_text(options, "tender");
	entry->note = option_text(options, "reason");
}

/*
 * close_account(account, key, options) → money_result: the closing entry, negative what
 * is paid out, positive what is collected. options: final_kwh, collect, tender, till, reason.
 */
Datum
prepay_close_account(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "final_kwh", "collect", "tender", "till", "reason", NULL };
	DbSession session;
	VendCall call = { .operation = "close_account", .exclusive = true };
	LedgerEntry entry = { .kind = "closing", .tender = "cash" };
	Closing closing;
	Jsonb *options;
	const char *options_text;
	char *account = vend_text(fcinfo, 0, "the account");
	Datum result;

	call.key = vend_key(fcinfo, 1);
	options_text = vend_options(fcinfo, 2, known, &options);
	read_options(options, &call, &closing, &entry);
	vend_check_tender(entry.tender);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SELL, "close an account");
	vend_fingerprint(&call, &options_text, 1);
	call.repeated = vend_find_key(&call);
	if (!call.repeated)
	{
		if (vend_is_closed(call.site, &call.target))
			close_again(&call, &closing, &entry);
		else
			close_open_account(&call, &session, &closing, &entry);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
