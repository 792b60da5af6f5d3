/*
 * receipt.c: the receipt of a ledger entry that moves a customer's money.
 *
 * A receipt says what the ledger says: amounts carry the entry's sign, times are the site's.
 * With the first digits of the entry's hash and of the last anchor before it a paper in a
 * customer's hands testifies to the chain: who rewrites the ledger cannot rewrite the paper.
 *
 * Each call is a print and leaves a row in receipt_print; the row lock on the entry makes the
 * prints of one receipt count one after the other. The second and later ones say so.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "amount.h"
#include "auth.h"
#include "capital.h"
#include "code.h"
#include "db.h"
#include "print.h"
#include "site.h"

PG_FUNCTION_INFO_V1(prepay_receipt);
PG_FUNCTION_INFO_V1(prepay_capital_figures);

/* Columns of the query in load_facts, in its order, then what is made of them. */
enum
{
	SITE,
	SITE_NAME,
	ACCOUNT,
	CUSTOMER,
	PHONE,
	PLACE,
	PLACE_NAME,
	METERS,
	SEQ,
	KIND,
	AMOUNT,
	TENDERED,
	FEE,
	DEBT_PAID,
	DEBT_LEFT,
	BALANCE_BEFORE,
	BALANCE_AFTER,
	BALANCE,
	PRICE,
	KWH,
	PURCHASE_NO,
	BOOKED_AT,
	KEY,
	TENDER,
	TILL,
	RECEIPT_NO,
	OPERATOR,
	NOTE,
	REF_SEQ,
	REF_RECEIPT_NO,
	REF_BOOKED_AT,
	HASH,
	ANCHOR,
	CURRENCY,
	PRINTED_AT,
	N_FACTS,
	TITLE = N_FACTS,
	AMOUNT_CAPITAL,
	TENDERED_CAPITAL,
	PRINTED_BY,
	PRINT_NO,
	REPRINT,
	N_VALUES,
	COPIES = N_VALUES,
	COPY
};

#define EXACT TEMPLATE_EXACT, TEMPLATE_ANYWHERE
#define FREE TEMPLATE_FREE, TEMPLATE_ANYWHERE

const TemplateName receipt_names[] = {
	[SITE] = { "site", EXACT },
	[SITE_NAME] = { "site_name", FREE },
	[ACCOUNT] = { "account", EXACT },
	[CUSTOMER] = { "customer", FREE },
	[PHONE] = { "phone", FREE },
	[PLACE] = { "place", EXACT },
	[PLACE_NAME] = { "place_name", FREE },
	[METERS] = { "meters", FREE },
	[SEQ] = { "seq", EXACT },
	[KIND] = { "kind", EXACT },
	[AMOUNT] = { "amount", EXACT },
	[TENDERED] = { "tendered", EXACT },
	[FEE] = { "fee", EXACT },
	[DEBT_PAID] = { "debt_paid", EXACT },
	[DEBT_LEFT] = { "debt_left", EXACT },
	[BALANCE_BEFORE] = { "balance_before", EXACT },
	[BALANCE_AFTER] = { "balance_after", EXACT },
	[BALANCE] = { "balance", EXACT },
	[PRICE] = { "price", EXACT },
	[KWH] = { "kwh", EXACT },
	[PURCHASE_NO] = { "purchase_no", EXACT },
	[BOOKED_AT] = { "booked_at", EXACT },
	[KEY] = { "key", FREE },
	[TENDER] = { "tender", EXACT },
	[TILL] = { "till", EXACT },
	[RECEIPT_NO] = { "receipt_no", EXACT },
	[OPERATOR] = { "operator", FREE },
	[NOTE] = { "note", FREE },
	[REF_SEQ] = { "ref_seq", EXACT },
	[REF_RECEIPT_NO] = { "ref_receipt_no", EXACT },
	[REF_BOOKED_AT] = { "ref_booked_at", EXACT },
	[HASH] = { "hash", EXACT },
	[ANCHOR] = { "anchor", EXACT },
	[CURRENCY] = { "currency", EXACT },
	[PRINTED_AT] = { "printed_at", EXACT },
	[TITLE] = { "title", EXACT },
	[AMOUNT_CAPITAL] = { "amount_capital", EXACT },
	[TENDERED_CAPITAL] = { "tendered_capital", EXACT },
	[PRINTED_BY] = { "printed_by", FREE },
	[PRINT_NO] = { "print_no", EXACT },
	[REPRINT] = { "reprint", EXACT },
	[COPIES] = { "copies", TEMPLATE_LIST, TEMPLATE_ANYWHERE },
	[COPY] = { "copy", TEMPLATE_FREE, COPIES },
	{ NULL, TEMPLATE_EXACT, TEMPLATE_ANYWHERE },
};

StaticAssertDecl(lengthof(receipt_names) <= TEMPLATE_MAX_NAMES, "too many names of a receipt");

typedef struct Receipt
{
	const Site *site;
	int32 account_id;
	int32 seq;
	int32 print_no;
	PrintForm form;
	const char *value[N_VALUES];
} Receipt;

typedef struct Word
{
	const char *word; /* as stored */
	const char *zh;
	const char *en;
} Word;

static const Word titles[] = {
	{ "opening", "开户收据", "Account opening receipt" },
	{ "sale", "售电收据", "Electricity sale receipt" },
	{ "refund", "退电凭证", "Refund voucher" },
	{ "reversal", "冲正凭证", "Reversal voucher" },
	{ "closing", "销户结算凭证", "Account closing voucher" },
};

static const Word tenders[] = {
	{ "cash", "现金", "Cash" },
	{ "card", "银行卡", "Card" },
	{ "transfer", "银行转账", "Bank transfer" },
	{ "cheque", "支票", "Cheque" },
	{ "alipay", "支付宝", "Alipay" },
	{ "wechat", "微信支付", "WeChat Pay" },
	{ "unionpay", "银联", "UnionPay" },
	{ "other", "其他", "Other" },
};

/* NULL: the table does not have it. */
static const char *
in_words(const PrintForm *form, const Word *table, int n, const char *word)
{
	int i;

	for (i = 0; i < n; i++)
		if (strcmp(table[i].word, word) == 0)
			return print_word(form, table[i].zh, table[i].en);
	return NULL;
}

static bool
has_receipt(const char *kind)
{
	int i;

	for (i = 0; i < lengthof(titles); i++)
		if (strcmp(titles[i].word, kind) == 0)
			return true;
	return false;
}

/* A posting of several entries has one receipt; `head` is the entry that has it. */
static void
refuse(const Receipt *receipt, const char *account, const char *kind, int32 head)
{
	if (!has_receipt(kind))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("entry %d of account \"%s\" has no receipt: it is of kind %s",
							   receipt->seq, account, kind),
						errdetail("Receipts are printed of an opening, sale, refund, reversal or "
								  "closing."),
						errhint("Usage is on the month's statement: "
								"prepay.statement_print().")));
	if (head != receipt->seq)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("entry %d of account \"%s\" has no receipt: it belongs to entry %d",
							   receipt->seq, account, head),
						errhint("Print the receipt of entry %d, which speaks of the whole "
								"posting.",
								head)));
}

/* Lock the entry, so that its prints are counted one by one; gives the language of the account. */
static char *
lock_entry(const Receipt *receipt, const char *account)
{
	static DbQuery query = {
		"SELECT e.kind, a.language, COALESCE((SELECT q.seq FROM prepay.posting q"
		"  WHERE q.site_id = e.site_id AND q.key = e.key AND q.account_id = e.account_id), e.seq)"
		" FROM prepay.ledger_entry e JOIN prepay.account a USING (site_id, account_id)"
		" WHERE e.site_id = $1 AND e.account_id = $2 AND e.seq = $3 FOR NO KEY UPDATE OF e",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(receipt->site->site_id), Int32GetDatum(receipt->account_id),
					 Int32GetDatum(receipt->seq) };

	if (db_run(&query, args) == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("account \"%s\" has no entry %d", account, receipt->seq),
						errhint("Its entries are listed in prepay.ledger.")));
	refuse(receipt, account, db_text(0, 1), db_int32(0, 3));
	return db_text(0, 2);
}

static void
record_print(Receipt *receipt)
{
	static DbQuery query = {
		"INSERT INTO prepay.receipt_print (site_id, account_id, seq, print_no, printed_at,"
		" operator, template, language)"
		" SELECT $1, $2, $3, COALESCE(max(print_no), 0) + 1, $4, $5, $6, $7"
		" FROM prepay.receipt_print WHERE site_id = $1 AND account_id = $2 AND seq = $3"
		" RETURNING print_no",
		7,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(receipt->site->site_id),
					 Int32GetDatum(receipt->account_id),
					 Int32GetDatum(receipt->seq),
					 TimestampTzGetDatum(receipt->site->now),
					 CStringGetTextDatum(auth_operator()),
					 CStringGetTextDatum(receipt->form.code),
					 CStringGetTextDatum(receipt->form.language) };

	db_run(&query, args);
	receipt->print_no = db_int32(0, 1);
}

/*
 * Everything as text, in the order of the enum; NULL where there is nothing. Balances and
 * debt are those around the whole posting, which may pay debts with entries of its own.
 */
static void
load_facts(Receipt *receipt)
{
	static DbQuery query = {
		"SELECT s.code, s.name, a.code, a.customer, a.phone, p.code, p.name,"
		" (SELECT string_agg(m.code, ' ' ORDER BY m.code) FROM prepay.account_meter o"
		"  JOIN prepay.meter m USING (site_id, meter_id) WHERE o.site_id = e.site_id"
		"  AND o.account_id = e.account_id AND o.valid_from <= e.booked_at"
		"  AND (o.valid_to > e.booked_at OR e.kind = 'closing' AND o.valid_to = e.booked_at)),"
		" e.seq::text, e.kind, round(e.amount, s.currency_decimals)::text,"
		" round(e.amount + COALESCE(e.fee, 0), s.currency_decimals)::text,"
		" round(NULLIF(e.fee, 0), s.currency_decimals)::text,"
		" round(NULLIF(w.debt_paid, 0), s.currency_decimals)::text,"
		" round(NULLIF(q.debt, 0), s.currency_decimals)::text,"
		" round(w.before, s.currency_decimals)::text, round(w.after, s.currency_decimals)::text,"
		" round(COALESCE(q.balance, w.after), s.currency_decimals)::text, e.price::text,"
		" round((e.amount - w.debt_paid) / e.price, 3)::text, e.purchase_no::text,"
		" to_char(e.booked_at AT TIME ZONE s.timezone, 'YYYY-MM-DD HH24:MI:SS'), e.key, e.tender,"
		" e.till, e.receipt_no::text, e.operator, e.note, r.seq::text, r.receipt_no::text,"
		" to_char(r.booked_at AT TIME ZONE s.timezone, 'YYYY-MM-DD HH24:MI:SS'),"
		" substr(encode(e.hash, 'hex'), 1, 16), n.anchor, s.currency,"
		" to_char($4 AT TIME ZONE s.timezone, 'YYYY-MM-DD HH24:MI:SS')"
		" FROM prepay.ledger_entry e JOIN prepay.site s USING (site_id)"
		" JOIN prepay.account a USING (site_id, account_id)"
		" LEFT JOIN prepay.place p ON p.site_id = a.site_id AND p.place_id = a.place_id"
		" LEFT JOIN prepay.posting q ON q.site_id = e.site_id AND q.key = e.key"
		"  AND q.account_id = e.account_id"
		" LEFT JOIN prepay.ledger_entry r ON r.site_id = e.site_id"
		"  AND r.account_id = e.account_id AND r.seq = e.ref_seq"
		" CROSS JOIN LATERAL (SELECT COALESCE(-sum(x.debt), 0) AS debt_paid,"
		"  (array_agg(x.balance_after - x.amount ORDER BY x.seq))[1] AS before,"
		"  (array_agg(x.balance_after ORDER BY x.seq DESC))[1] AS after"
		"  FROM prepay.ledger_entry x WHERE x.site_id = e.site_id"
		"  AND x.account_id = e.account_id AND x.seq BETWEEN e.seq - 1000 AND e.seq + 1000"
		"  AND (x.seq = e.seq OR x.key = e.key)) w"
		" LEFT JOIN LATERAL (SELECT x.anchor_id || '/' || substr(encode(x.hash, 'hex'), 1, 16)"
		"  AS anchor FROM prepay.anchor x WHERE x.site_id = e.site_id"
		"  AND x.anchored_at <= e.booked_at ORDER BY x.anchor_id DESC LIMIT 1) n ON true"
		" WHERE e.site_id = $1 AND e.account_id = $2 AND e.seq = $3",
		4,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(receipt->site->site_id), Int32GetDatum(receipt->account_id),
					 Int32GetDatum(receipt->seq), TimestampTzGetDatum(receipt->site->now) };
	int i;

	if (db_run(&query, args) != 1)
		elog(ERROR, "entry %d is gone", receipt->seq);
	for (i = 0; i < N_FACTS; i++)
		receipt->value[i] = db_text(0, i + 1);
}

static const char *
in_capitals(const Receipt *receipt, const char *amount)
{
	char *figures = palloc(CAPITAL_TEXT_MAX);
	int64 minor;

	if (decimal_parse(amount, receipt->site->decimals, &minor) != DECIMAL_OK)
		elog(ERROR, "entry %d has no amount", receipt->seq);
	capital_figures(minor, receipt->site->decimals, figures);
	return figures;
}

/* What is said in words of the template's language. */
static void
put_into_words(Receipt *receipt)
{
	const PrintForm *form = &receipt->form;
	const char **value = receipt->value;
	const char *tender = value[TENDER];

	if (tender)
		tender = in_words(form, tenders, lengthof(tenders), tender);
	if (tender)
		value[TENDER] = tender;
	value[AMOUNT_CAPITAL] = in_capitals(receipt, value[AMOUNT]);
	value[TENDERED_CAPITAL] = in_capitals(receipt, value[TENDERED]);
	value[TITLE] = in_words(form, titles, lengthof(titles), value[KIND]);
	if (strcmp(value[CURRENCY], "CNY") == 0)
		value[CURRENCY] = print_word(form, "人民币", "CNY");
	value[PRINTED_BY] = auth_operator();
	value[PRINT_NO] = psprintf("%d", receipt->print_no);
	if (receipt->print_no > 1)
		value[REPRINT] =
			psprintf(print_word(form, "补打第%d次", "REPRINT %d"), receipt->print_no - 1);
}

static const char *
receipt_value(void *context, int name, int row)
{
	const Receipt *receipt = context;

	if (name == COPY)
		return print_copy(&receipt->form, row);
	return receipt->value[name];
}

static int
receipt_rows(void *context, int list)
{
	Assert(list == COPIES);
	return ((const Receipt *) context)->form.n_copies;
}

/* receipt(account, seq, template DEFAULT 'receipt') → text; records the print. 收据 */
Datum
prepay_receipt(PG_FUNCTION_ARGS)
{
	Receipt receipt = { 0 };
	TemplateSource source = { &receipt, receipt_value, receipt_rows };
	DbSession session;
	CodeTarget target;
	char *code;
	char *language;
	text *result;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("account and seq of the entry must be given")));
	receipt.seq = PG_GETARG_INT32(1);
	code = PG_ARGISNULL(2) ? "receipt" : text_to_cstring(PG_GETARG_TEXT_PP(2));
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_ACCOUNT, &target);
	auth_require(session.caller, MAY_SELL, target.site_id, "print a receipt");
	receipt.site = site_get(target.site_id);
	receipt.account_id = target.id;
	language = lock_entry(&receipt, target.code);
	if (language == NULL)
		language = setting_text(receipt.site, "language");
	print_find(receipt.site, "receipt", code, language, &receipt.form);
	record_print(&receipt);
	load_facts(&receipt);
	put_into_words(&receipt);
	MemoryContextSwitchTo(session.outer);
	result = cstring_to_text(print_fill(&receipt.form, &source));
	db_leave(&session);
	PG_RETURN_TEXT_P(result);
}

/* capital_figures(amount) → text; raises PP021 for what is no amount of at most 4 decimals. */
Datum
prepay_capital_figures(PG_FUNCTION_ARGS)
{
	char *text = numeric_text(PG_GETARG_DATUM(0));
	char figures[CAPITAL_TEXT_MAX];
	int decimals;
	int64 minor;

	/* As few decimals as it takes: the fewer, the larger an amount has room. */
	for (decimals = 0; decimals <= 4; decimals++)
		if (decimal_parse(text, decimals, &minor) == DECIMAL_OK)
		{
			capital_figures(minor, decimals, figures);
			PG_RETURN_TEXT_P(cstring_to_text(figures));
		}
	ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT), errmsg("%s is not an amount of money", text),
					errhint("Give a finite number of at most 4 decimals and 14 digits before "
							"them.")));
	PG_RETURN_NULL();
}
