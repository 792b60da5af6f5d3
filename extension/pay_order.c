/*
 * pay_order.c: payment orders (支付订单).
 *
 * An order is how much of whose money a channel may bring until when; it moves nothing.
 * Whether a sale of that amount would be refused is asked here, for once it is paid it
 * is credited. The number is what the channel calls it by and what a message is found
 * by: the site's number, then 100 random bits that nobody can guess.
 *
 * A row changes under the lock of its account; tick() alone, which expires orders,
 * takes only rows that nobody holds. A payment that arrives late finds the row all the
 * same: what counts is when it was paid.
 */
#include "pay.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "auth.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "pay_sign.h"
#include "sell.h"
#include "state.h"
#include "vend.h"

#define RANDOM_CHARS 20 /* 5 bits each */
#define MAX_WAITING 20	/* orders of an account that are not paid yet */
#define MAX_SUBJECT_CHARS 40
#define RESULT_COLUMNS 10

PG_FUNCTION_INFO_V1(prepay_create_payment_order);
PG_FUNCTION_INFO_V1(prepay_create_payment_order_by_id);
PG_FUNCTION_INFO_V1(prepay_close_payment_order);

/* ---- numbers ---- */

static char *
new_number(const Site *site)
{
	return psprintf("%dP%s", site->site_id, sign_random(RANDOM_CHARS));
}

int32
pay_order_site(const char *order_no)
{
	size_t digits = strspn(order_no, "0123456789");

	/* P: a payment, R: a refund (pay_refund.c) */
	if (digits == 0 || digits > 9 || (order_no[digits] != 'P' && order_no[digits] != 'R'))
		return 0;
	return atoi(order_no);
}

/* ---- rows ---- */

#define LOAD                                                                               \
	"SELECT account_id, channel, scene, subject, (amount * 100)::int8, state, created_at," \
	" expires_at, transaction_no, seq FROM prepay.payment_order"                           \
	" WHERE site_id = $1 AND order_no = $2"

PayOrder *
pay_order_load(int32 site_id, const char *order_no, bool lock)
{
	static DbQuery look = { LOAD, 2, { INT4OID, TEXTOID } };
	static DbQuery hold = { LOAD " FOR NO KEY UPDATE", 2, { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(order_no) };
	PayOrder *order;

	if (db_run(lock ? &hold : &look, args) == 0)
		return NULL;
	order = palloc0(sizeof(*order));
	order->site_id = site_id;
	order->order_no = pstrdup(order_no);
	order->account_id = db_int32(0, 1);
	order->channel = db_text(0, 2);
	order->scene = db_text(0, 3);
	order->subject = db_text(0, 4);
	order->minor = db_int64(0, 5);
	order->state = db_text(0, 6);
	order->created_at = db_time(0, 7);
	order->expires_at = db_time(0, 8);
	order->transaction_no = db_text(0, 9);
	order->seq = db_int32_or(0, 10, 0);
	order->options = doc_new(DOC_OBJECT);
	/* A bill asks for thousands. */
	SPI_freetuptable(SPI_tuptable);
	return order;
}

static void
insert_order(const Site *site, const PayOrder *order)
{
	static DbQuery query = {
		"INSERT INTO prepay.payment_order (site_id, order_no, account_id, channel, scene, amount,"
		" subject, created_at, created_by, expires_at, state_at)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $8)",
		10,
		{ INT4OID, TEXTOID, INT4OID, TEXTOID, TEXTOID, NUMERICOID, TEXTOID, TIMESTAMPTZOID, TEXTOID,
		  TIMESTAMPTZOID }
	};
	Datum args[] = {
		Int32GetDatum(site->site_id),		  CStringGetTextDatum(order->order_no),
		Int32GetDatum(order->account_id),	  CStringGetTextDatum(order->channel),
		CStringGetTextDatum(order->scene),	  minor_numeric(order->minor, site->decimals),
		CStringGetTextDatum(order->subject),  TimestampTzGetDatum(order->created_at),
		CStringGetTextDatum(auth_operator()), TimestampTzGetDatum(order->expires_at)
	};

	db_run(&query, args);
}

static void
set_state(const PayOrder *order, const char *state, TimestampTz at)
{
	static DbQuery query = { "UPDATE prepay.payment_order SET state = $3, state_at = $4"
							 " WHERE site_id = $1 AND order_no = $2",
							 4,
							 { INT4OID, TEXTOID, TEXTOID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(order->site_id), CStringGetTextDatum(order->order_no),
					 CStringGetTextDatum(state), TimestampTzGetDatum(at) };

	db_run(&query, args);
}

int
pay_order_tick(const Site *site, int max)
{
	static DbQuery query = {
		"UPDATE prepay.payment_order SET state = 'expired', state_at = $2 WHERE site_id = $1"
		" AND order_no IN (SELECT order_no FROM prepay.payment_order WHERE site_id = $1"
		" AND state = 'created' AND expires_at <= $2 ORDER BY expires_at LIMIT $3"
		" FOR NO KEY UPDATE SKIP LOCKED)",
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 Int32GetDatum(max) };

	return db_run(&query, args);
}

/* ---- a new order ---- */

static PayChannel *
require_channel(const Site *site, const PayKind *kind)
{
	PayChannel *channel = pay_channel(site->site_id, kind);

	if (channel == NULL || !channel->is_active)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_SETUP),
						errmsg("site \"%s\" takes no payments by %s", site->code, kind->name),
						errhint("Its row in prepay.payment_channel is missing or not active.")));
	if (strcmp(site->currency, PAY_CURRENCY) != 0)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_SETUP),
						errmsg("%s brings %s, site \"%s\" counts in %s", kind->name, PAY_CURRENCY,
							   site->code, site->currency),
						errhint("Use a tender that is paid in %s.", site->currency)));
	return channel;
}

/* Each is a row, and something the channel waits for. */
static void
require_few_waiting(const Site *site, const CodeTarget *account)
{
	static DbQuery query = {
		"SELECT count(*) FROM prepay.payment_order WHERE site_id = $1 AND account_id = $2"
		" AND created_at > $3 - interval '1 day' AND state = 'created' AND expires_at > $3",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->id),
					 TimestampTzGetDatum(site->now) };

	db_run(&query, args);
	if (db_int64(0, 1) >= MAX_WAITING)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("account \"%s\" has %d orders that are not paid", account->code,
							   MAX_WAITING),
						errhint("Pay one of them, or wait until they expire.")));
}

/* A sale of the amount would not be refused now. */
static void
require_sellable(const Site *site, const CodeTarget *account, int64 minor)
{
	VendCall call = { .operation = "order", .site = site, .target = *account };
	int n;

	vend_require_open(&call, account);
	call.account = account_read_all(site, &account->id, 1, &n);
	if (n != 1)
		elog(ERROR, "account %d of site %d has no state", account->id, site->site_id);
	sell_check(&call, minor);
}

static const char *
chosen_scene(const PayKind *kind, const char *asked)
{
	char *list = "";
	int i;

	if (asked == NULL)
		return kind->scenes[0];
	for (i = 0; kind->scenes[i]; i++)
	{
		if (strcmp(kind->scenes[i], asked) == 0)
			return kind->scenes[i];
		list = psprintf("%s%s%s", list, i ? ", " : "", kind->scenes[i]);
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("channel %s has no scene \"%s\"", kind->name, asked),
					errhint("Its scenes are: %s.", list)));
}

/* Texts go to the channel as they are: no control characters, and short enough for all. */
static void
check_option(const char *name, const char *value, int max_chars)
{
	const char *c;

	if (value == NULL)
		return;
	for (c = value; *c; c++)
		if ((unsigned char) *c < ' ' || *c == 0x7f)
			break;
	if (*c || *value == '\0' || pg_mbstrlen(value) > max_chars)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("option \"%s\" has 1 to %d printable characters", name, max_chars),
						errhint("Shorten it, or leave the option out.")));
}

static void
take_options(PayOrder *order, Jsonb *options)
{
	static const char *const known[] = { "scene",  "subject",	"return_url",
										 "openid", "client_ip", NULL };
	static const char *const passed[] = { "return_url", "openid", "client_ip" };
	const char *subject;
	int i;

	order->options = doc_new(DOC_OBJECT);
	if (options == NULL)
		return;
	options_check(options, known);
	subject = option_text(options, "subject");
	check_option("subject", subject, MAX_SUBJECT_CHARS);
	if (subject)
		order->subject = subject;
	order->scene = option_text(options, "scene");
	for (i = 0; i < lengthof(passed); i++)
	{
		const char *value = option_text(options, passed[i]);

		check_option(passed[i], value, 200);
		if (value)
			doc_add(&order->options, passed[i], doc_new_text(value));
	}
}

PayOrder *
pay_order_create(const Site *site, const CodeTarget *account, Datum amount, const char *channel,
				 Jsonb *options)
{
	const PayKind *kind = pay_kind_require(channel);
	PayChannel *contract = require_channel(site, kind);
	PayOrder *order = palloc0(sizeof(*order));

	order->site_id = site->site_id;
	order->account_id = account->id;
	order->channel = kind->name;
	order->minor = vend_positive(site, amount);
	order->subject = psprintf("电费 %s", account->code);
	take_options(order, options);
	order->scene = chosen_scene(kind, order->scene);
	require_sellable(site, account, order->minor);
	require_few_waiting(site, account);
	order->order_no = new_number(site);
	order->state = "created";
	order->created_at = site->now;
	order->expires_at = site->now + contract->order_ttl_us;
	insert_order(site, order);
	return order;
}

Datum
pay_order_result(const Site *site, const char *account, const PayOrder *order, DbSession *session,
				 FunctionCallInfo fcinfo)
{
	const PayKind *kind = pay_kind_require(order->channel);
	Doc request = kind->order_request(pay_channel(site->site_id, kind), order);
	Datum values[RESULT_COLUMNS] = {
		CStringGetTextDatum(site->code),		CStringGetTextDatum(account),
		CStringGetTextDatum(order->order_no),	CStringGetTextDatum(order->channel),
		CStringGetTextDatum(order->scene),		minor_numeric(order->minor, site->decimals),
		CStringGetTextDatum(order->state),		TimestampTzGetDatum(order->created_at),
		TimestampTzGetDatum(order->expires_at), JsonbPGetDatum(doc_jsonb(&request))
	};
	bool nulls[RESULT_COLUMNS] = { false };
	MemoryContext old = MemoryContextSwitchTo(session->outer);
	TupleDesc desc;
	Datum result;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "an order is a composite type");
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	MemoryContextSwitchTo(old);
	return result;
}

static Datum
create(FunctionCallInfo fcinfo, int arg, DbSession *session, const CodeTarget *account)
{
	const Site *site;
	PayOrder *order;
	Datum result;

	auth_require(session->caller, MAY_SELL, account->site_id, "order payments");
	lock_site_shared(account->site_id);
	site = site_get(account->site_id);
	order = pay_order_create(site, account, PG_GETARG_DATUM(arg),
							 text_to_cstring(PG_GETARG_TEXT_PP(arg + 1)),
							 PG_ARGISNULL(arg + 2) ? NULL : PG_GETARG_JSONB_P(arg + 2));
	result = pay_order_result(site, account->code, order, session, fcinfo);
	db_leave(session);
	return result;
}

static void
require_arguments(FunctionCallInfo fcinfo, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("account, amount and channel of an order must be given")));
}

/* create_payment_order(account, amount, channel, options) → payment_order_result */
Datum
prepay_create_payment_order(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget account;

	require_arguments(fcinfo, 3);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_ACCOUNT, &account);
	return create(fcinfo, 1, &session, &account);
}

/* create_payment_order_by_id(site_id, account_id, amount, channel, options): the twin by ids. */
Datum
prepay_create_payment_order_by_id(PG_FUNCTION_ARGS)
{
	static DbQuery query = { "SELECT code FROM prepay.account WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	DbSession session;
	CodeTarget account = { .kind = KIND_ACCOUNT };
	Datum args[2];

	require_arguments(fcinfo, 4);
	args[0] = PG_GETARG_DATUM(0);
	args[1] = PG_GETARG_DATUM(1);
	account.site_id = PG_GETARG_INT32(0);
	account.id = PG_GETARG_INT32(1);
	db_enter(&session);
	auth_require(session.caller, MAY_SELL, account.site_id, "order payments");
	if (db_run(&query, args) != 1)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("site %d has no account %d", account.site_id, account.id),
						errhint("prepay.account_status lists the accounts.")));
	account.code = db_text(0, 1);
	return create(fcinfo, 2, &session, &account);
}

/* ---- given up ---- */

/* The order, with its account locked. */
static PayOrder *
hold(const Site *site, const PayOrder *order)
{
	int n;

	(void) account_lock_all(site, &order->account_id, 1, &n);
	return pay_order_load(site->site_id, order->order_no, true);
}

static void
close_waiting(const Site *site, PayOrder *order)
{
	if (strcmp(order->state, "created") != 0)
		return;
	order->state = "closed";
	set_state(order, order->state, site->now);
}

void
pay_order_closed(int32 site_id, const char *order_no)
{
	PayOrder *order;
	const Site *site;

	lock_site_shared(site_id);
	site = site_get(site_id);
	order = pay_order_load(site_id, order_no, false);
	if (order)
		close_waiting(site, hold(site, order));
}

/* close_payment_order(site, order_no) → its state. Raises PP010, PP091. */
Datum
prepay_close_payment_order(PG_FUNCTION_ARGS)
{
	DbSession session;
	PayOrder *order;
	const Site *site;
	char *state;
	int32 site_id;

	if (PG_ARGISNULL(1))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the order must be given")));
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_SELL, site_id, "close payment orders");
	lock_site_shared(site_id);
	site = site_get(site_id);
	order = pay_order_load(site_id, text_to_cstring(PG_GETARG_TEXT_PP(1)), false);
	if (order == NULL)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("site \"%s\" has no order \"%s\"", site->code,
							   text_to_cstring(PG_GETARG_TEXT_PP(1))),
						errhint("Orders are in prepay.payments.")));
	order = hold(site, order);
	if (strcmp(order->state, "paid") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_PAYMENT_STATE), errmsg("order \"%s\" is paid", order->order_no),
				 errhint("Pay it back with prepay.refund_payment().")));
	close_waiting(site, order);
	state = MemoryContextStrdup(session.outer, order->state);
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(state));
}
