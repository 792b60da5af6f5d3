/*
 * withdraw.c: money taken out of a meter that keeps its own, so that it can be paid out.
 *
 * The first of two calls, each with a key of its own that may be the same text: withdraw()
 * moves money from the meter to where the ledger can pay it out, and books nothing;
 * refund, transfer, adjust and reverse then book it. Repeating withdraw() with its key
 * tells how far it is and never withdraws twice.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "auth.h"
#include "db.h"
#include "oplog.h"
#include "purse.h"

PG_FUNCTION_INFO_V1(prepay_withdraw);

#define RESULT_COLUMNS 8

/* Whether the key was used by the same call; raises PP020 when by another. */
static bool
find_request(const VendCall *call, int64 minor)
{
	static DbQuery query = { "SELECT account_id, amount::text FROM prepay.purse_move"
							 " WHERE site_id = $1 AND key = $2 AND cause = 'withdrawal'",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->key) };

	if (db_run(&query, args) == 0)
		return false;
	if (db_int32(0, 1) != call->target.id || text_minor(call->site, db_text(0, 2)) != minor)
		ereport(ERROR,
				(errcode(ERRCODE_PP_KEY_CONFLICT),
				 errmsg("key \"%s\" was used for another withdrawal", call->key),
				 errhint("Use a new key for a new operation, or repeat the first call exactly.")));
	return true;
}

/* What the meter had when it was last read, with what is on its way there. */
static void
require_covered(const VendCall *call, const Purse *purse, int64 minor)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(CASE c.action WHEN 'recharge' THEN v.amount ELSE -v.amount END), 0)::text"
		" FROM prepay.command c JOIN prepay.purse_move v USING (site_id, command_id)"
		" WHERE c.site_id = $1 AND c.meter_id = $2 AND c.status IN ('queued', 'sent', 'unknown')",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(purse->meter_id) };
	int64 there;

	db_run(&query, args);
	there = purse->balance + text_minor(call->site, db_text(0, 1));
	if (!purse->has_balance || minor <= there)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PP_NO_FUNDS),
			 errmsg("%s %s is more than the meter has, %s %s", vend_money(call->site, minor),
					call->site->currency, vend_money(call->site, there), call->site->currency),
			 errdetail("It was last read at %s; what is on its way counts.",
					   timestamptz_to_str(purse->balance_at)),
			 errhint("Withdraw less, or have it read again.")));
}

static void
request(VendCall *call, int64 minor, const char *reason)
{
	Purse purse;

	vend_require_not_closed(call->site, &call->target);
	if (!purse_lock_account(call->site, call->target.id, &purse))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_ACTION),
						errmsg("the money of account \"%s\" is not in a meter", call->target.code),
						errhint("Pay it out at once: prepay.refund().")));
	purse_require_withdrawal(call->site, &purse);
	require_covered(call, &purse, minor);
	(void) purse_queue(call->site, &purse, "withdraw", minor, minor, "withdrawal", call->key,
					   reason ? reason : psprintf("withdrawal %s", call->key));
	oplog_note(call->site->site_id, "withdraw", psprintf("account:%s", call->target.code), NULL,
			   oplog_members("amount", vend_money(call->site, minor), "key", call->key, NULL));
}

static Datum
give_state(const VendCall *call, DbSession *session, FunctionCallInfo fcinfo)
{
	static DbQuery query = {
		"SELECT s.code, a.code, m.code, v.amount, c.status, c.command_id, v.key,"
		" c.result ->> 'error' FROM prepay.purse_move v JOIN prepay.command c USING (site_id, command_id)"
		" JOIN prepay.site s USING (site_id)"
		" JOIN prepay.account a ON a.site_id = v.site_id AND a.account_id = v.account_id"
		" JOIN prepay.meter m ON m.site_id = v.site_id AND m.meter_id = v.meter_id"
		" WHERE v.site_id = $1 AND v.key = $2 AND v.cause = 'withdrawal'",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->key) };
	Datum value[RESULT_COLUMNS];
	bool isnull[RESULT_COLUMNS];
	MemoryContext old;
	TupleDesc desc;
	Datum result;
	int i;

	if (db_run(&query, args) != 1)
		elog(ERROR, "the request of key \"%s\" is missing", call->key);
	for (i = 0; i < RESULT_COLUMNS; i++)
		value[i] = db_value(0, i + 1, &isnull[i]);
	old = MemoryContextSwitchTo(session->outer);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "withdraw() returns a composite type");
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), value, isnull));
	MemoryContextSwitchTo(old);
	return result;
}

/*
 * withdraw(account, amount, key, reason DEFAULT NULL) → withdrawal_result: where it stands.
 * Raises PP020 PP021 PP023 PP024, PP02A when the model gives no money back, PP061
 * when the money is in no meter. Locks the account, then the meter's meter_control row.
 */
Datum
prepay_withdraw(PG_FUNCTION_ARGS)
{
	DbSession session;
	VendCall call = { .operation = "withdraw" };
	char *account = vend_text(fcinfo, 0, "the account");
	int64 minor;
	Datum result;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the amount must be given")));
	call.key = vend_key(fcinfo, 2);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SELL, "withdraw money from a meter");
	minor = vend_positive(call.site, PG_GETARG_DATUM(1));
	vend_lock(&call);
	if (!find_request(&call, minor))
		request(&call, minor, vend_text_or_null(fcinfo, 3));
	result = give_state(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
