/*
 * refund.c: refund, transfer and adjustment: money that leaves an account, or moves by decision.
 *
 * Refund and transfer give no more than the account's own unspent money, seen with
 * the account locked and usage up to the last reading taken off: exact at the cent.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "auth.h"
#include "credit.h"
#include "db.h"
#include "debt.h"
#include "jsonb_doc.h"
#include "vend.h"

#define ADJUSTMENT_PRIORITY 100

PG_FUNCTION_INFO_V1(prepay_refund);
PG_FUNCTION_INFO_V1(prepay_adjust);
PG_FUNCTION_INFO_V1(prepay_transfer);

static void
require_amount(FunctionCallInfo fcinfo, int arg)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the amount must be given")));
}

/* refund(account, amount, key, reason, options) → money_result. options: tender, till. 退电 */
Datum
prepay_refund(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "tender", "till", NULL };
	DbSession session;
	VendCall call = { .operation = "refund" };
	LedgerEntry entry = { .kind = "refund", .tender = "cash" };
	Jsonb *options;
	char *options_text;
	char *account = vend_text(fcinfo, 0, "the account");
	int64 minor;
	Datum result;

	require_amount(fcinfo, 1);
	call.key = vend_key(fcinfo, 2);
	entry.note = vend_text_or_null(fcinfo, 3);
	options_text = vend_options(fcinfo, 4, known, &options);
	if (options)
	{
		call.till = option_text(options, "till");
		if (option_text(options, "tender"))
			entry.tender = option_text(options, "tender");
	}
	vend_check_tender(entry.tender);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SELL, "refund");
	minor = vend_positive(call.site, PG_GETARG_DATUM(1));
	{
		const char *part[] = { vend_money(call.site, minor), entry.note, options_text };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_open(&call, &call.target);
		credit_require_own(&call, minor);
		entry.amount_minor = -minor;
		vend_receipt(&call);
		vend_post_result(&call, &entry);
		vend_finish(&call);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}

/* What a supervisor gives is granted: used up before own money, never paid out. */
static void
post_adjustment(VendCall *call, LedgerEntry *entry)
{
	int64 spent = credit_spent(call->site, call->account);

	vend_post_result(call, entry);
	if (entry->amount_minor > 0)
		credit_add(call->site, call->target.id, call->seq, "adjustment", ADJUSTMENT_PRIORITY,
				   DT_NOEND, entry->amount_minor, spent);
	vend_finish(call);
}

/* adjust(account, amount, key, reason) → money_result. The amount has a sign. 调账 */
Datum
prepay_adjust(PG_FUNCTION_ARGS)
{
	DbSession session;
	VendCall call = { .operation = "adjust" };
	LedgerEntry entry = { .kind = "adjustment" };
	char *account = vend_text(fcinfo, 0, "the account");
	char *reason;
	Datum result;

	require_amount(fcinfo, 1);
	call.key = vend_key(fcinfo, 2);
	reason = vend_text(fcinfo, 3, "the reason");
	if (strspn(reason, " \t\r\n") == strlen(reason))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("the reason is empty"),
						errhint("Say why, for whoever looks at the ledger later.")));
	entry.note = reason;
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SUPERVISE, "adjust a balance");
	entry.amount_minor = amount_minor(call.site, PG_GETARG_DATUM(1), "amount");
	if (entry.amount_minor == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT), errmsg("an adjustment of 0 does nothing"),
						errhint("Give what the balance is to rise by, or to fall by with a '-'.")));
	{
		const char *part[] = { vend_money(call.site, entry.amount_minor), reason };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_not_closed(call.site, &call.target);
		post_adjustment(&call, &entry);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}

/* ---- transfer ---- */

static void
resolve_other(VendCall *call, const DbSession *session, const char *account)
{
	code_resolve(session->caller, account, KIND_ACCOUNT, &call->other);
	if (call->other.site_id != call->target.site_id)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("account \"%s\" is at another site", call->other.code),
						errhint("Money moves within a site; refund here and sell there.")));
	if (call->other.id == call->target.id)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("account \"%s\" cannot transfer to itself", call->target.code),
						errhint("Give two accounts.")));
}

static void
check_cap(const VendCall *call, int64 to_balance)
{
	const Site *site = call->site;
	int64 cap = setting_money(site, "hoarding_cap", PG_INT64_MAX);
	int64 balance = account_balance_of(site, call->other_account);

	if (cap != PG_INT64_MAX && balance + to_balance > cap)
		ereport(ERROR,
				(errcode(ERRCODE_PP_OVER_CAP),
				 errmsg("the balance of account \"%s\" would be %s, above the hoarding cap of %s",
						call->other.code, vend_money(site, balance + to_balance),
						vend_money(site, cap)),
				 errhint("Transfer less (setting hoarding_cap).")));
}

/* What comes in is a top-up: it pays the receiver's debts as a sale would. */
static void
post_transfer(VendCall *call, int64 minor)
{
	LedgerEntry out = { .kind = "transfer_out",
						.amount_minor = -minor,
						.other_account_id = call->other.id };
	LedgerEntry in = { .kind = "transfer_in",
					   .amount_minor = minor,
					   .other_account_id = call->target.id };
	DebtPlan plan;

	debt_plan(call->site, call->other_account, minor, &plan);
	check_cap(call, minor - plan.total);
	vend_post_result(call, &out);
	vend_post(call, call->other_account, &in);
	debt_pay(call, call->other_account, &plan);
	vend_finish(call);
}

/* transfer(from_account, to_account, amount, key) → money_result of the paying side. 转账 */
Datum
prepay_transfer(PG_FUNCTION_ARGS)
{
	DbSession session;
	VendCall call = { .operation = "transfer" };
	char *from = vend_text(fcinfo, 0, "the paying account");
	char *to = vend_text(fcinfo, 1, "the receiving account");
	int64 minor;
	Datum result;

	require_amount(fcinfo, 2);
	call.key = vend_key(fcinfo, 3);
	db_enter(&session);
	vend_open(&call, &session, from, MAY_SELL, "transfer");
	resolve_other(&call, &session, to);
	minor = vend_positive(call.site, PG_GETARG_DATUM(2));
	{
		const char *part[] = { psprintf("%d", call.other.id), vend_money(call.site, minor) };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_open(&call, &call.target);
		vend_require_open(&call, &call.other);
		credit_require_own(&call, minor);
		post_transfer(&call, minor);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
