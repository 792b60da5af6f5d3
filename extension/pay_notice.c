/*
 * pay_notice.c: pay_notify(): what a payment channel posted, from signature to answer.
 *
 * The right to call it is the EXECUTE privilege (group role prepay_payment), and it is
 * worth little: only what a channel has signed has an effect.
 *
 * Each step runs under a savepoint of its own, so that whatever a message makes fail,
 * the row that logs it stays and an answer is given:
 *
 *   read    signature, merchant, form       refused: 4xx
 *   apply   credited, repeated, kept for a person, noted
 *   log     what came and what became of it
 *
 * What fails for reasons of the moment (deadlock, memory, a key that is not set) is
 * answered 500, and the channel comes again. What is kept or credited is answered with
 * the channel's yes, also when repeated, so that it stops.
 *
 * Anybody can send rubbish to an address on the Internet: a body above MAX_BODY is not
 * looked at, and of messages that nobody's keys verify only the beginning is kept, and
 * only so many an hour.
 */
#include "pay.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "auth.h"
#include "clock.h"
#include "db.h"
#include "guard.h"

#define MAX_BODY 65536
#define MAX_UNVERIFIED_KEPT 4096
#define MAX_UNVERIFIED_PER_HOUR 600
#define MAX_HEADER_BYTES 1024
#define MAX_NUMBER_BYTES 64

PG_FUNCTION_INFO_V1(prepay_pay_notify);

typedef struct Notice
{
	PayMessage message;
	const char *channel; /* as the caller said */
	const char *refusal; /* a word; NULL: verified */
	const char *outcome;
	char *detail;
	int status;
} Notice;

/* ---- steps ---- */

static void
refuse(Notice *notice, const char *word)
{
	notice->refusal = word;
	notice->outcome = "refused";
	notice->detail = pstrdup(word);
	if (strcmp(word, "too_large") == 0)
		notice->status = 413;
	else if (strcmp(word, "channel") == 0)
		notice->status = 404;
	else if (strcmp(word, "malformed") == 0 || strcmp(word, "amount") == 0)
		notice->status = 400;
	else
		notice->status = 401;
}

static void
fail(Notice *notice, const ErrorData *error)
{
	notice->outcome = "failed";
	notice->detail = pstrdup(error->message);
	notice->status = 500;
}

static void
read_step(void *arg)
{
	Notice *notice = arg;
	const PayMessage *message = &notice->message;
	const char *refusal = message->kind->read(&notice->message);

	if (refusal == NULL && (!pay_is_number(message->order_no, MAX_NUMBER_BYTES) ||
							!pay_is_number(message->transaction_no, MAX_NUMBER_BYTES)))
		refusal = "malformed";
	if (refusal)
		refuse(notice, refusal);
}

static void
apply_step(void *arg)
{
	Notice *notice = arg;
	const PayMessage *message = &notice->message;

	notice->outcome = "noted";
	notice->detail = pstrdup(message->word);
	if (message->event == PAY_PAID)
	{
		static const char *const outcome[] = {
			[PAY_CREDITED] = "credited", [PAY_REPEATED] = "repeated", [PAY_UNAPPLIED] = "unapplied"
		};
		PayTrade trade = { .kind = message->kind,
						   .site_id = message->channel->site_id,
						   .order_no = message->order_no,
						   .transaction_no = message->transaction_no,
						   .minor = message->minor,
						   .at = message->at };

		notice->outcome = outcome[pay_apply(&trade, &notice->detail)];
	}
	else if (message->event == PAY_CLOSED)
		pay_order_closed(message->channel->site_id, message->order_no);
	else if (message->event == PAY_REFUNDED &&
			 !pay_refund_settle(message->channel->site_id, message->refund_no,
								message->refund_failed, message->now))
		notice->detail = psprintf("No refund %s of ours is waiting.", message->refund_no);
}

/* ---- from a message to an outcome ---- */

static void
judge(Notice *notice)
{
	ErrorData *error;

	if (notice->message.kind == NULL)
	{
		refuse(notice, "channel");
		return;
	}
	if (notice->message.length > MAX_BODY)
	{
		refuse(notice, "too_large");
		return;
	}
	error = guard_run(read_step, notice);
	if (error && guard_is_about_content(error))
		refuse(notice, "malformed");
	else if (error)
		fail(notice, error);
	if (notice->outcome)
		return;
	notice->status = 200;
	error = guard_run(apply_step, notice);
	if (error)
		fail(notice, error);
}

/* ---- the log ---- */

/* Headers that say something about the message; none that could hold anybody's secrets. */
static Datum
kept_headers(Jsonb *headers)
{
	static DbQuery query = {
		"SELECT COALESCE(jsonb_object_agg(left(key, 100), left(value, $2)), '{}')"
		" FROM (SELECT key, value FROM jsonb_each_text(CASE jsonb_typeof($1) WHEN 'object' THEN $1"
		"  ELSE '{}' END) WHERE key ~* '^(wechatpay-|content-|user-agent$|request-id$)' LIMIT 20) h",
		2,
		{ JSONBOID, INT4OID }
	};
	Datum args[] = { headers ? JsonbPGetDatum(headers) : (Datum) 0,
					 Int32GetDatum(MAX_HEADER_BYTES) };
	bool isnull;

	db_run_nulls(&query, args, headers ? NULL : "n ");
	return db_value(0, 1, &isnull);
}

static bool
is_log_full(TimestampTz now)
{
	static DbQuery query = {
		"SELECT count(*) FROM (SELECT FROM prepay.payment_notice WHERE site_id = 0"
		" AND received_at > $1 - interval '1 hour' LIMIT $2) n",
		2,
		{ TIMESTAMPTZOID, INT8OID }
	};
	Datum args[] = { TimestampTzGetDatum(now), Int64GetDatum(MAX_UNVERIFIED_PER_HOUR) };

	db_run(&query, args);
	return db_int64(0, 1) >= MAX_UNVERIFIED_PER_HOUR;
}

static void
write_log(const Notice *notice)
{
	static DbQuery query = {
		"INSERT INTO prepay.payment_notice (site_id, channel, received_at, sender, headers, body,"
		" body_bytes, outcome, detail, http_status, order_no, transaction_no, amount)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		13,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, JSONBOID, BYTEAOID, INT8OID, TEXTOID, TEXTOID,
		  INT4OID, TEXTOID, TEXTOID, NUMERICOID }
	};
	const PayMessage *message = &notice->message;
	bool verified = message->channel != NULL;
	int kept = verified ? (int) message->length : (int) Min(message->length, MAX_UNVERIFIED_KEPT);
	bytea *body = palloc(VARHDRSZ + kept);
	Datum args[] = { Int32GetDatum(verified ? message->channel->site_id : 0),
					 CStringGetTextDatum(notice->channel),
					 TimestampTzGetDatum(message->now),
					 CStringGetTextDatum(auth_operator()),
					 kept_headers(message->headers),
					 PointerGetDatum(body),
					 Int64GetDatum(message->length),
					 CStringGetTextDatum(notice->outcome),
					 CStringGetTextDatum(notice->detail),
					 Int32GetDatum(notice->status),
					 db_text_datum(verified ? message->order_no : NULL),
					 db_text_datum(verified ? message->transaction_no : NULL),
					 verified ? numeric_from_text(pay_yuan(message->minor)) : (Datum) 0 };

	if (!verified && is_log_full(message->now))
		return;
	SET_VARSIZE(body, VARHDRSZ + kept);
	memcpy(VARDATA(body), message->body, kept);
	db_run_nulls(&query, args, verified ? NULL : "          nnn");
}

/* ---- the call ---- */

static Datum
answer(const Notice *notice, DbSession *session, FunctionCallInfo fcinfo)
{
	const PayKind *kind = notice->message.kind;
	const char *refusal = notice->refusal;
	Datum values[3];
	bool nulls[3] = { false };
	MemoryContext old = MemoryContextSwitchTo(session->outer);
	TupleDesc desc;
	Datum result;

	if (refusal == NULL && notice->status == 500)
		refusal = "again";
	values[0] = Int32GetDatum(notice->status);
	values[1] = CStringGetTextDatum(kind ? kind->content_type : "text/plain");
	values[2] = CStringGetTextDatum(kind ? kind->answer(refusal) : "no such channel");
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "an answer is a composite type");
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	MemoryContextSwitchTo(old);
	return result;
}

/* At most MAX_BODY bytes are detoasted, however large it is; a NUL byte follows them. */
static void
take_body(Notice *notice, Datum body)
{
	bytea *bytes;
	char *copy;

	notice->message.length = toast_raw_datum_size(body) - VARHDRSZ;
	bytes = DatumGetByteaPSlice(body, 0, MAX_BODY);
	copy = palloc(VARSIZE_ANY_EXHDR(bytes) + 1);
	memcpy(copy, VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes));
	copy[VARSIZE_ANY_EXHDR(bytes)] = '\0';
	notice->message.body = copy;
}

/* pay_notify(channel, headers, body) → payment_answer. Raises 22004 for a missing argument. */
Datum
prepay_pay_notify(PG_FUNCTION_ARGS)
{
	DbSession session;
	Notice notice = { 0 };
	Datum result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("channel and body of a message must be given")));
	notice.channel = text_to_cstring(PG_GETARG_TEXT_PP(0));
	if (strlen(notice.channel) > MAX_NUMBER_BYTES)
		notice.channel = "?";
	notice.message.headers = PG_ARGISNULL(1) ? NULL : PG_GETARG_JSONB_P(1);
	db_enter(&session);
	notice.message.now = clock_now();
	notice.message.kind = pay_kind(notice.channel);
	take_body(&notice, PG_GETARG_DATUM(2));
	judge(&notice);
	write_log(&notice);
	result = answer(&notice, &session, fcinfo);
	db_leave(&session);
	return result;
}
