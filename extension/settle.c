/*
 * settle.c: settle_payments(): the channel's bill of a day against the orders (渠道对账).
 *
 * Messages may be lost; the bill is the channel's word on what it took for the site.
 * Each of its payments is applied as its message would have been, which does nothing
 * for one that is known; then everything that differs is listed. So the call can be
 * repeated, and a bill of several days can be given as well.
 *
 * A merchant may have other business than this site's: rows whose order numbers were
 * not made here are listed as not_ours and are nobody's alarm.
 *
 * Locks: accounts of all orders that are to be credited, ascending, before the first.
 */
#include "postgres.h"

#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "pay.h"
#include "pay_sign.h"
#include "settle_bill.h"
#include "state.h"

#define FINDING_COLUMNS 7
#define MAX_BILL_BYTES (64 * 1024 * 1024)

PG_FUNCTION_INFO_V1(prepay_settle_payments);

typedef struct Settling
{
	const Site *site;
	PayChannel *channel;
	Bill bill;
	char *digest;
	int32 from_day; /* local days of Beijing that the bill is about, both included */
	int32 to_day;
	ReturnSetInfo *result;
	int payments;
	int64 paid_minor;
	int refunds;
	int64 refunded_minor;
	int credited;
	int findings;
} Settling;

/* ---- what differs ---- */

static void
find_fault(Settling *settling, const char *finding, const BillRow *row, const char *account,
		   int64 booked, const char *detail)
{
	int decimals = settling->site->decimals;
	const char *number = row->is_refund ? row->refund_no : row->order_no;
	bool nulls[FINDING_COLUMNS] = { false,			 number == NULL, false, account == NULL,
									row->minor == 0, booked == 0,	 false };
	Datum values[FINDING_COLUMNS] = { CStringGetTextDatum(finding),
									  db_text_datum(number),
									  CStringGetTextDatum(row->transaction_no),
									  db_text_datum(account),
									  minor_numeric(row->minor, decimals),
									  minor_numeric(booked, decimals),
									  CStringGetTextDatum(detail) };

	settling->findings++;
	tuplestore_putvalues(settling->result->setResult, settling->result->setDesc, values, nulls);
}

/* ---- payments ---- */

static const char *
account_of(const Settling *settling, const PayOrder *order)
{
	return order ? pay_account_code(settling->site, order->account_id) : NULL;
}

static void
settle_payment(Settling *settling, const BillRow *row)
{
	PayTrade trade = { .kind = settling->channel->kind,
					   .site_id = settling->site->site_id,
					   .order_no = row->order_no,
					   .transaction_no = row->transaction_no,
					   .minor = row->minor,
					   .at = row->time ? pay_time(row->time) : 0 };
	const PayOrder *order = pay_order_load(trade.site_id, row->order_no, false);
	bool is_paid =
		order && order->transaction_no && strcmp(order->transaction_no, row->transaction_no) == 0;
	char *detail;

	settling->payments++;
	settling->paid_minor += row->minor;
	if (is_paid && order->minor != row->minor)
		find_fault(settling, "amount_differs", row, account_of(settling, order), order->minor,
				   "The order was paid with another amount.");
	if (is_paid)
		return;
	switch (pay_apply(&trade, &detail))
	{
		case PAY_CREDITED:
			settling->credited++;
			find_fault(settling, "credited", row, account_of(settling, order), row->minor, detail);
			break;
		case PAY_UNAPPLIED:
			find_fault(settling, "unapplied", row, account_of(settling, order), 0, detail);
			break;
		case PAY_REPEATED: /* a person has it, or had it */
			break;
	}
}

/* ---- refunds ---- */

static void
settle_refund(Settling *settling, const BillRow *row)
{
	static DbQuery query = {
		"SELECT (f.amount * 100)::int8, f.state, a.code FROM prepay.payment_refund f"
		" JOIN prepay.account a USING (site_id, account_id)"
		" WHERE f.site_id = $1 AND f.refund_no = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(settling->site->site_id),
					 CStringGetTextDatum(row->refund_no ? row->refund_no : "") };
	bool known = db_run(&query, args) == 1;
	int64 minor = known ? db_int64(0, 1) : 0;
	char *state = known ? db_text(0, 2) : NULL;
	char *account = known ? db_text(0, 3) : NULL;

	SPI_freetuptable(SPI_tuptable);
	settling->refunds++;
	settling->refunded_minor += row->minor;
	if (!known)
		find_fault(settling, "refund_unknown", row, NULL, 0,
				   "The channel paid back what was not refunded here.");
	else if (minor != row->minor)
		find_fault(settling, "amount_differs", row, account, minor,
				   "The refund is of another amount.");
	else if (strcmp(state, "failed") == 0)
		find_fault(settling, "refund_unknown", row, account, minor,
				   "The channel paid back what it had said to have failed.");
	else if (pay_refund_settle(settling->site->site_id, row->refund_no, false, settling->site->now))
		find_fault(settling, "refund_done", row, account, minor, "The channel has paid it back.");
}

/* ---- what the bill lacks ---- */

typedef struct Numbers
{
	int n;
	const char **number;
} Numbers;

static int
compare_numbers(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static Numbers
numbers_of(const Bill *bill, bool refunds)
{
	Numbers numbers = { 0, palloc(sizeof(char *) * Max(bill->n, 1)) };
	int i;

	for (i = 0; i < bill->n; i++)
	{
		const char *number = refunds ? bill->row[i].refund_no : bill->row[i].transaction_no;

		if (bill->row[i].is_refund == refunds && number)
			numbers.number[numbers.n++] = number;
	}
	qsort(numbers.number, numbers.n, sizeof(char *), compare_numbers);
	return numbers;
}

#define DAYS                                                                    \
	"BETWEEN ((date '2000-01-01' + $3)::timestamp AT TIME ZONE '" PAY_ZONE "')" \
	" AND ((date '2000-01-01' + $4 + 1)::timestamp AT TIME ZONE '" PAY_ZONE     \
	"') - interval '1 microsecond'"

static void
find_missing(Settling *settling, bool refunds)
{
	static DbQuery paid = {
		"SELECT o.order_no, o.transaction_no, a.code, (o.amount * 100)::int8, o.transaction_no"
		" FROM prepay.payment_order o JOIN prepay.account a USING (site_id, account_id)"
		" WHERE o.site_id = $1 AND o.channel = $2 AND o.state = 'paid' AND o.paid_at " DAYS
		" ORDER BY o.paid_at, o.order_no",
		4,
		{ INT4OID, TEXTOID, INT4OID, INT4OID }
	};
	static DbQuery refunded = {
		"SELECT f.refund_no, o.transaction_no, a.code, (f.amount * 100)::int8, f.refund_no"
		" FROM prepay.payment_refund f JOIN prepay.payment_order o USING (site_id, order_no)"
		" JOIN prepay.account a ON a.site_id = f.site_id AND a.account_id = f.account_id"
		" WHERE f.site_id = $1 AND o.channel = $2 AND f.state <> 'failed' AND f.requested_at " DAYS
		" ORDER BY f.requested_at, f.refund_no",
		4,
		{ INT4OID, TEXTOID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(settling->site->site_id),
					 CStringGetTextDatum(settling->channel->kind->name),
					 Int32GetDatum(settling->from_day), Int32GetDatum(settling->to_day) };
	Numbers numbers = numbers_of(&settling->bill, refunds);
	int n = db_run(refunds ? &refunded : &paid, args);
	int i;

	for (i = 0; i < n; i++)
	{
		const char *number = db_text(i, 5);
		BillRow row = { .is_refund = refunds,
						.order_no = db_text(i, 1),
						.refund_no = db_text(i, 1),
						.transaction_no = db_text(i, 2) };

		if (bsearch(&number, numbers.number, numbers.n, sizeof(char *), compare_numbers) == NULL)
			find_fault(settling, refunds ? "refund_not_in_bill" : "not_in_bill", &row,
					   db_text(i, 3), db_int64(i, 4),
					   refunds ? "The channel has not paid it back in these days."
							   : "The bill does not have what was credited.");
	}
}

/* ---- the bill ---- */

/* Bills are UTF-8 or, as Alipay packs them, GBK. */
static char *
bill_text(bytea *bytes)
{
	int length = VARSIZE_ANY_EXHDR(bytes);
	char *text;

	if (length > MAX_BILL_BYTES)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_BILL),
						errmsg("the bill has %d bytes, more than %d", length, MAX_BILL_BYTES),
						errhint("Give the bill of one day.")));
	text = palloc(length + 1);
	memcpy(text, VARDATA_ANY(bytes), length);
	text[length] = '\0';
	if (length >= 2 && (strncmp(text, "PK", 2) == 0 || strncmp(text, "\x1f\x8b", 2) == 0))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_BILL), errmsg("the bill is packed"),
						errhint("Unpack it and give the file with the trades.")));
	if (memchr(text, '\0', length))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_BILL), errmsg("the bill is no text"),
						errhint("Unpack the bill first: it is text in UTF-8 or GBK.")));
	return text;
}

static void
parse_bill(Settling *settling, bytea *bytes)
{
	const PayKind *kind = settling->channel->kind;
	BillForm form = kind == &pay_alipay	  ? BILL_ALIPAY
					: kind == &pay_wechat ? BILL_WECHAT
										  : BILL_UNIONPAY;
	char *text = bill_text(bytes);

	settling->digest = sign_digest(text);
	if (form != BILL_UNIONPAY && !pg_verify_mbstr(PG_UTF8, text, strlen(text), true))
		text = (char *) pg_do_encoding_conversion((unsigned char *) text, strlen(text), PG_GB18030,
												  PG_UTF8);
	if (!bill_parse(form, text, &settling->bill))
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_BILL),
				 errmsg("this is no bill of %s: line %d", kind->name, settling->bill.fault_line),
				 errdetail("%s.", settling->bill.fault),
				 errhint("Give the trade bill of the channel (trades, not the summary).")));
	if (settling->bill.merchant && strncmp(settling->bill.merchant, settling->channel->merchant_id,
										   strlen(settling->channel->merchant_id)) != 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_BILL),
						errmsg("the bill is of merchant \"%s\"", settling->bill.merchant),
						errhint("The site's merchant is \"%s\".", settling->channel->merchant_id)));
}

/* Numbers go into tables and on screens: what is none of a channel's is no bill. */
static void
check_numbers(const Settling *settling)
{
	int i;

	for (i = 0; i < settling->bill.n; i++)
	{
		const BillRow *row = &settling->bill.row[i];

		if (!pay_is_number(row->order_no, 64) || !pay_is_number(row->transaction_no, 64) ||
			(row->refund_no && *row->refund_no && !pay_is_number(row->refund_no, 64)))
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_BILL),
							errmsg("payment %d of the bill has a broken number", i + 1),
							errhint("Fetch the bill of that day again.")));
	}
}

static int32
beijing_day(TimestampTz at)
{
	int64 local = at + 8 * USECS_PER_HOUR;

	return (int32) (local >= 0 ? local / CAL_DAY_US : -((-local + CAL_DAY_US - 1) / CAL_DAY_US));
}

static void
take_days(Settling *settling, bool has_day, int32 day)
{
	int i;

	settling->from_day = has_day ? day : PG_INT32_MAX;
	settling->to_day = has_day ? day : PG_INT32_MIN;
	for (i = 0; i < settling->bill.n; i++)
	{
		const char *time = settling->bill.row[i].time;
		int32 at = time && pay_time(time) ? beijing_day(pay_time(time)) : day;

		if (has_day && at != day)
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_BILL),
							errmsg("the bill has a payment of another day: %s", time),
							errhint("Leave the day out, or give the bill of that day.")));
		if (!has_day && (time == NULL || pay_time(time) == 0))
			break;
		settling->from_day = Min(settling->from_day, at);
		settling->to_day = Max(settling->to_day, at);
	}
	if (i < settling->bill.n || settling->from_day > settling->to_day)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the bill does not say of which day it is"), errhint("Give the day.")));
}

/* ---- the call ---- */

static bool
is_ours(const Settling *settling, const BillRow *row)
{
	return pay_order_site(row->order_no) == settling->site->site_id;
}

/* Accounts of orders that are to be credited, all before the first. */
static void
lock_accounts(const Settling *settling)
{
	int32 *account_id = palloc(sizeof(int32) * Max(settling->bill.n, 1));
	int n = 0;
	int i;

	for (i = 0; i < settling->bill.n; i++)
	{
		const BillRow *row = &settling->bill.row[i];
		const PayOrder *order =
			row->is_refund ? NULL : pay_order_load(settling->site->site_id, row->order_no, false);

		if (order && strcmp(order->state, "paid") != 0)
			account_id[n++] = order->account_id;
	}
	if (n > 0)
		(void) account_lock_all(settling->site, account_id, n, &n);
}

static void
write_settlement(const Settling *settling)
{
	static DbQuery query = {
		"INSERT INTO prepay.payment_settlement (site_id, channel, settled_at, settled_by, from_day,"
		" to_day, bill_digest, payments, amount, refunds, refund_amount, credited, findings)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
		13,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, DATEOID, DATEOID, TEXTOID, INT4OID, NUMERICOID,
		  INT4OID, NUMERICOID, INT4OID, INT4OID }
	};
	int decimals = settling->site->decimals;
	Datum args[] = { Int32GetDatum(settling->site->site_id),
					 CStringGetTextDatum(settling->channel->kind->name),
					 TimestampTzGetDatum(settling->site->now),
					 CStringGetTextDatum(auth_operator()),
					 DateADTGetDatum(settling->from_day),
					 DateADTGetDatum(settling->to_day),
					 CStringGetTextDatum(settling->digest),
					 Int32GetDatum(settling->payments),
					 minor_numeric(settling->paid_minor, decimals),
					 Int32GetDatum(settling->refunds),
					 minor_numeric(settling->refunded_minor, decimals),
					 Int32GetDatum(settling->credited),
					 Int32GetDatum(settling->findings) };

	db_run(&query, args);
}

static void
settle(Settling *settling)
{
	int i;

	lock_accounts(settling);
	for (i = 0; i < settling->bill.n; i++)
	{
		const BillRow *row = &settling->bill.row[i];

		CHECK_FOR_INTERRUPTS();
		if (!is_ours(settling, row))
			find_fault(settling, "not_ours", row, NULL, 0,
					   "The order number was not made at this site.");
		else if (row->is_refund)
			settle_refund(settling, row);
		else
			settle_payment(settling, row);
	}
	find_missing(settling, false);
	find_missing(settling, true);
	write_settlement(settling);
}

/*
 * settle_payments(site, channel, bill, day) → setof payment_finding. Raises PP090, PP092,
 * 22023.
 */
Datum
prepay_settle_payments(PG_FUNCTION_ARGS)
{
	DbSession session;
	Settling settling = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	const PayKind *kind;
	int32 site_id;

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("channel and bill must be given")));
	kind = pay_kind_require(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_SUPERVISE, site_id, "settle payments");
	lock_site_shared(site_id);
	settling.site = site_get(site_id);
	settling.channel = pay_channel(site_id, kind);
	if (settling.channel == NULL)
		ereport(ERROR, (errcode(ERRCODE_PP_PAYMENT_SETUP),
						errmsg("site \"%s\" has no channel %s", settling.site->code, kind->name),
						errhint("A row of prepay.payment_channel sets it up.")));
	parse_bill(&settling, PG_GETARG_BYTEA_PP(2));
	check_numbers(&settling);
	take_days(&settling, !PG_ARGISNULL(3), PG_ARGISNULL(3) ? 0 : PG_GETARG_DATEADT(3));
	settle(&settling);
	db_leave(&session);
	return (Datum) 0;
}
