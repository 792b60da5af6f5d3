/*
 * pay_refund.c: money back the way it came (原路退款).
 *
 * The refund is posted at once, under the rules of every refund, and the channel is asked
 * by a signed request that a worker outside sends. The channel's message or its bill says
 * that it was done. One that failed has left the ledger and not reached the payer: the
 * office reverses its entry (prepay.reverse) or pays in another way.
 */
#include "pay.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "auth.h"
#include "credit.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "pay_sign.h"
#include "vend.h"

#define RANDOM_CHARS 20
#define RESULT_COLUMNS 10

PG_FUNCTION_INFO_V1(prepay_refund_payment);

static int64
refunded_before(const PayOrder *order)
{
	static DbQuery query = {
		"SELECT COALESCE(sum((amount * 100)::int8), 0)::int8 FROM prepay.payment_refund"
		" WHERE site_id = $1 AND order_no = $2 AND state <> 'failed'",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(order->site_id), CStringGetTextDatum(order->order_no) };

	db_run(&query, args);
	return db_int64(0, 1);
}

static void
require_left(const Site *site, const PayOrder *order, int64 minor)
{
	int64 left = order->minor - refunded_before(order);

	if (minor > left)
		ereport(ERROR, (errcode(ERRCODE_PP_NO_FUNDS),
						errmsg("order \"%s\" has %s left to refund, not %s", order->order_no,
							   vend_money(site, left), vend_money(site, minor)),
						errhint("Refund less, or by another tender with prepay.refund().")));
}

static void
insert_refund(const VendCall *call, const PayRefund *refund)
{
	static DbQuery query = {
		"INSERT INTO prepay.payment_refund (site_id, refund_no, order_no, account_id, amount, seq,"
		" requested_at, requested_by, state_at, reason)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $7, $9)",
		9,
		{ INT4OID, TEXTOID, TEXTOID, INT4OID, NUMERICOID, INT4OID, TIMESTAMPTZOID, TEXTOID,
		  TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id),
					 CStringGetTextDatum(refund->refund_no),
					 CStringGetTextDatum(refund->order->order_no),
					 Int32GetDatum(call->target.id),
					 minor_numeric(refund->minor, call->site->decimals),
					 Int32GetDatum(call->seq),
					 TimestampTzGetDatum(refund->at),
					 CStringGetTextDatum(auth_operator()),
					 db_text_datum(refund->reason) };

	db_run_nulls(&query, args, refund->reason ? NULL : "        n");
}

static void
post(VendCall *call, PayRefund *refund)
{
	LedgerEntry entry = { .kind = "refund",
						  .tender = refund->order->channel,
						  .amount_minor = -refund->minor,
						  .note = refund->reason };

	vend_require_not_closed(call->site, &call->target);
	require_left(call->site, refund->order, refund->minor);
	credit_require_own(call, refund->minor);
	vend_receipt(call);
	vend_post_result(call, &entry);
	vend_finish(call);
	refund->refund_no = psprintf("%dR%s", call->site->site_id, sign_random(RANDOM_CHARS));
	insert_refund(call, refund);
}

/* The refund that the key's first call made. */
static void
load_posted(VendCall *call, PayRefund *refund, char **state)
{
	static DbQuery query = {
		"SELECT f.refund_no, f.state, f.seq, (p.balance * 100)::int8 FROM prepay.posting p"
		" JOIN prepay.payment_refund f ON f.site_id = p.site_id AND f.account_id = p.account_id"
		" AND f.seq = p.seq WHERE p.site_id = $1 AND p.key = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->key) };

	if (db_run(&query, args) != 1)
		elog(ERROR, "the refund of key \"%s\" is missing", call->key);
	refund->refund_no = db_text(0, 1);
	*state = db_text(0, 2);
	call->seq = db_int32(0, 3);
	call->balance = db_int64(0, 4);
}

static Datum
result_of(const VendCall *call, const PayRefund *refund, const char *state, DbSession *session,
		  FunctionCallInfo fcinfo)
{
	const PayKind *kind = pay_kind_require(refund->order->channel);
	Doc request = kind->refund_request(pay_channel(call->site->site_id, kind), refund);
	int decimals = call->site->decimals;
	Datum values[RESULT_COLUMNS] = { CStringGetTextDatum(call->site->code),
									 CStringGetTextDatum(call->target.code),
									 CStringGetTextDatum(refund->order->order_no),
									 CStringGetTextDatum(refund->refund_no),
									 CStringGetTextDatum(kind->name),
									 minor_numeric(refund->minor, decimals),
									 CStringGetTextDatum(state),
									 Int32GetDatum(call->seq),
									 minor_numeric(call->balance, decimals),
									 JsonbPGetDatum(doc_jsonb(&request)) };
	bool nulls[RESULT_COLUMNS] = { false };
	MemoryContext old = MemoryContextSwitchTo(session->outer);
	TupleDesc desc;
	Datum result;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "a refund is a composite type");
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	MemoryContextSwitchTo(old);
	return result;
}

static PayOrder *
require_paid(const Site *site, const char *order_no)
{
	PayOrder *order = pay_order_load(site->site_id, order_no, false);

	if (order == NULL)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("site \"%s\" has no order \"%s\"", site->code, order_no),
						errhint("Orders are in prepay.payments.")));
	if (strcmp(order->state, "paid") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_PAYMENT_STATE), errmsg("order \"%s\" is not paid", order_no),
				 errhint("What has not been paid cannot be paid back.")));
	return order;
}

/*
 * refund_payment(site, order_no, amount, key, reason) → payment_refund_result. Raises PP010,
 * PP020, PP021, PP023, PP024, PP02A, PP090, PP091.
 */
Datum
prepay_refund_payment(PG_FUNCTION_ARGS)
{
	DbSession session;
	VendCall call = { .operation = "refund_payment" };
	PayRefund refund = { 0 };
	char *order_no = vend_text(fcinfo, 1, "the order");
	char *state = "requested";
	Datum result;
	int32 site_id;

	if (PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the amount must be given")));
	call.key = vend_key(fcinfo, 3);
	refund.reason = vend_text_or_null(fcinfo, 4);
	db_enter(&session);
	site_id = code_site(session.caller, vend_text_or_null(fcinfo, 0));
	auth_require(session.caller, MAY_SELL, site_id, "refund");
	lock_site_shared(site_id);
	call.site = site_get(site_id);
	refund.order = require_paid(call.site, order_no);
	refund.at = call.site->now;
	refund.minor = vend_positive(call.site, PG_GETARG_DATUM(2));
	call.target = (CodeTarget){ .site_id = site_id,
								.kind = KIND_ACCOUNT,
								.id = refund.order->account_id,
								.code = pay_account_code(call.site, refund.order->account_id) };
	{
		const char *part[] = { order_no, vend_money(call.site, refund.minor), refund.reason };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (call.repeated)
		load_posted(&call, &refund, &state);
	else
		post(&call, &refund);
	result = result_of(&call, &refund, state, &session, fcinfo);
	db_leave(&session);
	return result;
}

bool
pay_refund_settle(int32 site_id, const char *refund_no, bool failed, TimestampTz at)
{
	static DbQuery query = { "UPDATE prepay.payment_refund SET state = $3, state_at = $4"
							 " WHERE site_id = $1 AND refund_no = $2 AND state = 'requested'",
							 4,
							 { INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(refund_no),
					 CStringGetTextDatum(failed ? "failed" : "done"), TimestampTzGetDatum(at) };

	return db_run(&query, args) > 0;
}
