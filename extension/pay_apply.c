/*
 * pay_apply.c: payments that a channel vouches for.
 *
 * Invariants
 *   A payment, named by the channel's transaction number, is credited once or kept
 *   once: its posting has the key "channel:transaction", the order and the kept payment
 *   are unique by it, and all of this is looked at with the order's account locked.
 *   Money that came in is never refused: what cannot be credited as ordered is a row of
 *   payment_unapplied, an alarm of the site, and a person's to decide.
 *   Limits of a sale were asked when it was ordered; they do not hold up what is paid.
 *
 * Locks: site shared → account → order or kept payment → channels of the site. The last
 * are held by whoever raises or clears the alarm payment_unapplied.
 *
 * A crash leaves the credit with its order marked as paid, or nothing; then the channel,
 * which had no answer, repeats its message.
 */
#include "pay.h"

#include "utils/builtins.h"

#include "alarm.h"
#include "auth.h"
#include "db.h"
#include "guard.h"
#include "lock.h"
#include "oplog.h"
#include "sell.h"

#define ALARM_KIND "payment_unapplied"
#define LATE_US (INT64CONST(600) * USECS_PER_SEC) /* clocks of channel and site may differ so */

PG_FUNCTION_INFO_V1(prepay_resolve_payment);

static char *
key_of(const char *channel, const char *transaction_no)
{
	return psprintf("%s:%s", channel, transaction_no);
}

char *
pay_account_code(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT code FROM prepay.account WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	if (db_run(&query, args) != 1)
		elog(ERROR, "site %d has no account %d", site->site_id, account_id);
	return db_text(0, 1);
}

/* ---- kept for a person ---- */

static void
lock_channels(const Site *site)
{
	static DbQuery query = { "SELECT FROM prepay.payment_channel WHERE site_id = $1"
							 " ORDER BY channel FOR NO KEY UPDATE",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	db_run(&query, &arg);
}

static bool
is_kept(const Site *site, const PayTrade *trade)
{
	static DbQuery query = { "SELECT FROM prepay.payment_unapplied WHERE site_id = $1"
							 " AND channel = $2 AND transaction_no = $3",
							 3,
							 { INT4OID, TEXTOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(trade->kind->name),
					 CStringGetTextDatum(trade->transaction_no) };

	return db_run(&query, args) > 0;
}

static PayApplied
keep(const Site *site, const PayTrade *trade, int32 account_id, const char *reason,
	 const char *detail)
{
	static DbQuery query = {
		"INSERT INTO prepay.payment_unapplied (site_id, channel, transaction_no, order_no,"
		" account_id, amount, paid_at, kept_at, reason, detail)"
		" VALUES ($1, $2, $3, $4, NULLIF($5, 0), $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
		10,
		{ INT4OID, TEXTOID, TEXTOID, TEXTOID, INT4OID, NUMERICOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
		  TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 CStringGetTextDatum(trade->kind->name),
					 CStringGetTextDatum(trade->transaction_no),
					 CStringGetTextDatum(trade->order_no),
					 Int32GetDatum(account_id),
					 minor_numeric(trade->minor, site->decimals),
					 TimestampTzGetDatum(trade->at ? trade->at : site->now),
					 TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(reason),
					 CStringGetTextDatum(detail) };
	AlarmSubject subject = { 0 };

	lock_channels(site);
	if (db_run(&query, args) == 0)
		return PAY_REPEATED;
	alarm_raise(site, &subject, ALARM_KIND, ALARM_WARNING,
				psprintf("%s %s of %s: %s", trade->kind->name, trade->transaction_no,
						 vend_money(site, trade->minor), detail));
	return PAY_UNAPPLIED;
}

/* ---- credited ---- */

static void
mark_paid(const PayOrder *order, const PayTrade *trade, int32 seq, TimestampTz now)
{
	static DbQuery query = {
		"UPDATE prepay.payment_order SET state = 'paid', state_at = $3, paid_at = $4,"
		" transaction_no = $5, seq = $6 WHERE site_id = $1 AND order_no = $2",
		6,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(order->site_id),
					 CStringGetTextDatum(order->order_no),
					 TimestampTzGetDatum(now),
					 TimestampTzGetDatum(trade->at ? trade->at : now),
					 CStringGetTextDatum(trade->transaction_no),
					 Int32GetDatum(seq) };

	db_run(&query, args);
}

/* Why a payment of a locked order is not credited, as a word and a sentence; NULL: it is. */
static const char *
objection(const VendCall *call, const PayOrder *order, const PayTrade *trade, char **detail)
{
	if (strcmp(order->state, "paid") == 0)
	{
		*detail =
			psprintf("Order %s was paid by %s before.", order->order_no, order->transaction_no);
		return "paid_twice";
	}
	if (order->minor != trade->minor)
	{
		*detail =
			psprintf("Order %s is of %s.", order->order_no, vend_money(call->site, order->minor));
		return "amount";
	}
	if (strcmp(order->state, "closed") == 0)
	{
		*detail = psprintf("Order %s had been closed.", order->order_no);
		return "order_closed";
	}
	/* Where the channel does not say when, it kept to the order's time. */
	if (trade->at > order->expires_at + LATE_US)
	{
		*detail = psprintf("Order %s had expired when it was paid.", order->order_no);
		return "order_expired";
	}
	if (vend_is_closed(call->site, &call->target))
	{
		*detail = psprintf("Account %s is closed.", call->target.code);
		return "account_closed";
	}
	return NULL;
}

static void
begin_call(VendCall *call, const Site *site, int32 account_id, const PayTrade *trade)
{
	const char *part[] = { vend_money(site, trade->minor), trade->kind->name, trade->order_no };

	call->operation = "pay";
	call->site = site;
	call->target.site_id = site->site_id;
	call->target.kind = KIND_ACCOUNT;
	call->target.id = account_id;
	call->target.code = pay_account_code(site, account_id);
	call->key = key_of(trade->kind->name, trade->transaction_no);
	vend_fingerprint(call, part, lengthof(part));
	vend_lock(call);
}

/* The sale; raises PP020 where somebody has used the payment's key by hand. */
static void
credit(VendCall *call, const PayTrade *trade)
{
	LedgerEntry entry = { .kind = "sale", .tender = trade->kind->name };

	if (vend_find_key(call))
		elog(ERROR, "payment \"%s\" is posted and its order is not paid", call->key);
	entry.note = psprintf("%s %s", trade->order_no, trade->transaction_no);
	sell_post(call, trade->minor, false, &entry);
}

/* A payment on its way into the ledger. */
typedef struct Attempt
{
	const PayTrade *trade;
	const Site *site;
	const PayOrder *order; /* as seen without a lock */
	PayApplied applied;
	char *detail;
} Attempt;

static PayApplied
apply(const Site *site, const PayOrder *order, const PayTrade *trade, char **detail)
{
	VendCall call = { 0 };
	const char *reason;

	if (order == NULL || strcmp(order->channel, trade->kind->name) != 0)
	{
		*detail = psprintf("There is no order %s of this channel.", trade->order_no);
		return keep(site, trade, 0, "order_unknown", *detail);
	}
	begin_call(&call, site, order->account_id, trade);
	order = pay_order_load(trade->site_id, trade->order_no, true);
	if ((order->transaction_no && strcmp(order->transaction_no, trade->transaction_no) == 0) ||
		is_kept(site, trade))
		return PAY_REPEATED;
	reason = objection(&call, order, trade, detail);
	if (reason)
		return keep(site, trade, order->account_id, reason, *detail);
	credit(&call, trade);
	mark_paid(order, trade, call.seq, site->now);
	*detail = psprintf("Entry %d of account %s.", call.seq, call.target.code);
	return PAY_CREDITED;
}

static void
attempt_step(void *arg)
{
	Attempt *attempt = arg;

	attempt->applied = apply(attempt->site, attempt->order, attempt->trade, &attempt->detail);
}

PayApplied
pay_apply(const PayTrade *trade, char **detail)
{
	Attempt attempt = { .trade = trade };
	ErrorData *error;

	lock_site_shared(trade->site_id);
	attempt.site = site_get(trade->site_id);
	attempt.order = pay_order_load(trade->site_id, trade->order_no, false);
	error = guard_run(attempt_step, &attempt);
	if (error && !guard_is_about_content(error))
		ReThrowError(error);
	if (error)
	{
		/* Money came in all the same. */
		attempt.detail = error->message;
		attempt.applied = keep(attempt.site, trade, attempt.order ? attempt.order->account_id : 0,
							   "refused", error->message);
	}
	*detail = attempt.applied == PAY_REPEATED ? "It was applied before." : attempt.detail;
	return attempt.applied;
}

/* ---- a person decides ---- */

typedef struct Kept
{
	int64 id;
	const char *state;
	int32 account_id;
	PayTrade trade;
} Kept;

static void
load_kept(const Site *site, int64 id, Kept *kept)
{
	static DbQuery query = {
		"SELECT channel, transaction_no, order_no, COALESCE(account_id, 0), (amount * 100)::int8,"
		" paid_at, state FROM prepay.payment_unapplied WHERE site_id = $1 AND unapplied_id = $2"
		" FOR NO KEY UPDATE",
		2,
		{ INT4OID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(id) };

	if (db_run(&query, args) != 1)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("site \"%s\" has kept no payment " INT64_FORMAT, site->code, id),
						errhint("They are in prepay.payments_unapplied.")));
	kept->id = id;
	kept->trade.kind = pay_kind_require(db_text(0, 1));
	kept->trade.site_id = site->site_id;
	kept->trade.transaction_no = db_text(0, 2);
	kept->trade.order_no = db_text(0, 3);
	kept->account_id = db_int32(0, 4);
	kept->trade.minor = db_int64(0, 5);
	kept->trade.at = db_time(0, 6);
	kept->state = db_text(0, 7);
	if (strcmp(kept->state, "open") != 0)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_STATE),
						errmsg("payment " INT64_FORMAT " is %s already", id, kept->state),
						errhint("prepay.payments_unapplied lists those that wait.")));
}

/* The account of the order, without a lock: accounts are locked before the payment. */
static int32
kept_account(const Site *site, int64 id)
{
	static DbQuery query = { "SELECT COALESCE(account_id, 0) FROM prepay.payment_unapplied"
							 " WHERE site_id = $1 AND unapplied_id = $2",
							 2,
							 { INT4OID, INT8OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(id) };

	return db_run(&query, args) == 1 ? db_int32(0, 1) : 0;
}

static void
finish_kept(const Site *site, const Kept *kept, const char *state, const VendCall *call,
			const char *note)
{
	static DbQuery query = {
		"UPDATE prepay.payment_unapplied SET state = $3, resolved_at = $4, resolved_by = $5,"
		" note = $6, into_account_id = NULLIF($7, 0), seq = NULLIF($8, 0)"
		" WHERE site_id = $1 AND unapplied_id = $2",
		8,
		{ INT4OID, INT8OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4OID, INT4OID }
	};
	static DbQuery open = { "SELECT FROM prepay.payment_unapplied WHERE site_id = $1"
							" AND state = 'open' LIMIT 1",
							1,
							{ INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int64GetDatum(kept->id),
					 CStringGetTextDatum(state),
					 TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(auth_operator()),
					 db_text_datum(note),
					 Int32GetDatum(call ? call->target.id : 0),
					 Int32GetDatum(call ? call->seq : 0) };
	AlarmSubject subject = { 0 };

	db_run_nulls(&query, args, note ? NULL : "     n  ");
	lock_channels(site);
	if (db_run(&open, args) == 0)
		(void) alarm_clear(site, &subject, ALARM_KIND);
	oplog_note(site->site_id, "resolve_payment", psprintf("payment:" INT64_FORMAT, kept->id), NULL,
			   oplog_members("state", state, "account", call ? call->target.code : NULL, "note",
							 note, NULL));
}

/* Credit it to an account; raises PP024 for a closed one. */
static void
credit_kept(const Site *site, int64 id, int32 account_id, const char *note)
{
	VendCall call = { .operation = "pay", .site = site };
	int32 into = account_id ? account_id : kept_account(site, id);
	Kept kept = { 0 };

	if (into == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("nobody knows whose payment " INT64_FORMAT " is", id),
						errhint("Name the account to credit.")));
	call.target = (CodeTarget){ .site_id = site->site_id, .kind = KIND_ACCOUNT, .id = into };
	call.target.code = pay_account_code(site, into);
	vend_lock(&call);
	load_kept(site, id, &kept);
	vend_require_not_closed(site, &call.target);
	{
		const char *part[] = { vend_money(site, kept.trade.minor), kept.trade.kind->name,
							   kept.trade.order_no };

		call.key = key_of(kept.trade.kind->name, kept.trade.transaction_no);
		vend_fingerprint(&call, part, lengthof(part));
	}
	credit(&call, &kept.trade);
	finish_kept(site, &kept, "credited", &call, note);
}

static void
return_kept(const Site *site, int64 id, const char *note)
{
	Kept kept = { 0 };

	load_kept(site, id, &kept);
	finish_kept(site, &kept, "returned", NULL, note);
}

/*
 * resolve_payment(site, unapplied_id, verdict, account, note) → its state. Raises PP010,
 * PP024, PP091, 22023.
 */
Datum
prepay_resolve_payment(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget account = { 0 };
	const Site *site;
	char *verdict;
	char *note = vend_text_or_null(fcinfo, 4);
	bool is_credit;
	int32 site_id;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("payment and verdict must be given")));
	verdict = text_to_cstring(PG_GETARG_TEXT_PP(2));
	is_credit = strcmp(verdict, "credit") == 0;
	if (!is_credit && strcmp(verdict, "returned") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no verdict \"%s\"", verdict),
						errhint("Verdicts are: credit, returned.")));
	db_enter(&session);
	site_id = code_site(session.caller, vend_text_or_null(fcinfo, 0));
	auth_require(session.caller, MAY_SUPERVISE, site_id, "decide on payments");
	if (!PG_ARGISNULL(3))
		code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(3)), KIND_ACCOUNT, &account);
	lock_site_shared(site_id);
	site = site_get(site_id);
	if (account.id && (!is_credit || account.site_id != site_id))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("account \"%s\" cannot get this payment", account.code),
						errhint("Name an account of the same site, with verdict credit.")));
	if (is_credit)
		credit_kept(site, PG_GETARG_INT64(1), account.id, note);
	else
		return_kept(site, PG_GETARG_INT64(1), note);
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(is_credit ? "credited" : "returned"));
}
