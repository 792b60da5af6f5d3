/*
 * statement_print.c: the monthly statement on paper. 月结单
 *
 * The lines are those of statement(), asked as the caller, with amounts to the last digit; the
 * paper adds names, words and sums. Printing changes nothing and is not counted: a statement
 * is no voucher for money.
 */
#include "postgres.h"

#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "amount.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "print.h"
#include "site.h"
#include "statement.h"

PG_FUNCTION_INFO_V1(prepay_statement_print);

/* Names; the first are columns of load_head(), in its order. */
enum
{
	SITE,
	SITE_NAME,
	ACCOUNT,
	CUSTOMER,
	PHONE,
	PLACE,
	PLACE_NAME,
	CURRENCY,
	MONTH,
	LAST_SEQ,
	HASH,
	PRINTED_AT,
	N_HEAD,
	OPENING = N_HEAD,
	PAID,
	COST,
	KWH_TOTAL,
	CLOSING,
	NOW,
	TITLE,
	PRINTED_BY,
	N_VALUES,
	LINES = N_VALUES,
	SECTION,
	METER,
	TARIFF,
	PERIOD,
	TIER,
	KWH,
	PRICE,
	AMOUNT,
	BALANCE,
	SEQ,
	FROM_DAY,
	TO_DAY,
	ITEM,
	REGISTERS,
	REGISTER_METER,
	REGISTER_KWH,
	REGISTER_FROM,
	REGISTER_TO,
	RATIO,
	READ_FROM,
	READ_TO,
	COPIES,
	COPY
};

#define EXACT TEMPLATE_EXACT, TEMPLATE_ANYWHERE
#define FREE TEMPLATE_FREE, TEMPLATE_ANYWHERE
#define LIST TEMPLATE_LIST, TEMPLATE_ANYWHERE

const TemplateName statement_names[] = {
	[SITE] = { "site", EXACT },
	[SITE_NAME] = { "site_name", FREE },
	[ACCOUNT] = { "account", EXACT },
	[CUSTOMER] = { "customer", FREE },
	[PHONE] = { "phone", FREE },
	[PLACE] = { "place", EXACT },
	[PLACE_NAME] = { "place_name", FREE },
	[CURRENCY] = { "currency", EXACT },
	[MONTH] = { "month", EXACT },
	[LAST_SEQ] = { "last_seq", EXACT },
	[HASH] = { "hash", EXACT },
	[PRINTED_AT] = { "printed_at", EXACT },
	[OPENING] = { "opening", EXACT },
	[PAID] = { "paid", EXACT },
	[COST] = { "cost", EXACT },
	[KWH_TOTAL] = { "kwh_total", EXACT },
	[CLOSING] = { "closing", EXACT },
	[NOW] = { "now", EXACT },
	[TITLE] = { "title", EXACT },
	[PRINTED_BY] = { "printed_by", FREE },
	[LINES] = { "lines", LIST },
	[SECTION] = { "section", TEMPLATE_EXACT, LINES },
	[METER] = { "meter", TEMPLATE_EXACT, LINES },
	[TARIFF] = { "tariff", TEMPLATE_EXACT, LINES },
	[PERIOD] = { "period", TEMPLATE_EXACT, LINES },
	[TIER] = { "tier", TEMPLATE_EXACT, LINES },
	[KWH] = { "kwh", TEMPLATE_EXACT, LINES },
	[PRICE] = { "price", TEMPLATE_EXACT, LINES },
	[AMOUNT] = { "amount", TEMPLATE_EXACT, LINES },
	[BALANCE] = { "balance", TEMPLATE_EXACT, LINES },
	[SEQ] = { "seq", TEMPLATE_EXACT, LINES },
	[FROM_DAY] = { "from_day", TEMPLATE_EXACT, LINES },
	[TO_DAY] = { "to_day", TEMPLATE_EXACT, LINES },
	[ITEM] = { "item", TEMPLATE_FREE, LINES },
	[REGISTERS] = { "registers", LIST },
	[REGISTER_METER] = { "register_meter", TEMPLATE_EXACT, REGISTERS },
	[REGISTER_KWH] = { "register_kwh", TEMPLATE_EXACT, REGISTERS },
	[REGISTER_FROM] = { "register_from", TEMPLATE_EXACT, REGISTERS },
	[REGISTER_TO] = { "register_to", TEMPLATE_EXACT, REGISTERS },
	[RATIO] = { "ratio", TEMPLATE_EXACT, REGISTERS },
	[READ_FROM] = { "read_from", TEMPLATE_EXACT, REGISTERS },
	[READ_TO] = { "read_to", TEMPLATE_EXACT, REGISTERS },
	[COPIES] = { "copies", LIST },
	[COPY] = { "copy", TEMPLATE_FREE, COPIES },
	{ NULL, EXACT },
};

StaticAssertDecl(lengthof(statement_names) <= TEMPLATE_MAX_NAMES, "too many names of a statement");

/* Columns of a line as statement() gives them; texts first. */
enum
{
	C_SECTION,
	C_METER,
	C_TARIFF,
	C_ITEM,
	C_PERIOD,
	C_TIER,
	C_KWH,
	C_PRICE,
	C_AMOUNT,
	C_BALANCE,
	C_SEQ,
	C_REGISTER_FROM,
	C_REGISTER_TO,
	C_RATIO,
	N_TEXTS,
	C_FROM = N_TEXTS,
	C_TO,
	C_MONTH_BEGIN
};

/* Column a name of a line or of a register shows. */
#define FIRST_OF_LINE SECTION
static const int line_columns[] = {
	[SECTION - FIRST_OF_LINE] = C_SECTION,
	[METER - FIRST_OF_LINE] = C_METER,
	[TARIFF - FIRST_OF_LINE] = C_TARIFF,
	[PERIOD - FIRST_OF_LINE] = C_PERIOD,
	[TIER - FIRST_OF_LINE] = C_TIER,
	[KWH - FIRST_OF_LINE] = C_KWH,
	[PRICE - FIRST_OF_LINE] = C_PRICE,
	[AMOUNT - FIRST_OF_LINE] = C_AMOUNT,
	[BALANCE - FIRST_OF_LINE] = C_BALANCE,
	[SEQ - FIRST_OF_LINE] = C_SEQ,
	[REGISTER_METER - FIRST_OF_LINE] = C_METER,
	[REGISTER_KWH - FIRST_OF_LINE] = C_KWH,
	[REGISTER_FROM - FIRST_OF_LINE] = C_REGISTER_FROM,
	[REGISTER_TO - FIRST_OF_LINE] = C_REGISTER_TO,
	[RATIO - FIRST_OF_LINE] = C_RATIO,
};

typedef struct Line
{
	const char *text[N_TEXTS]; /* NULL: nothing there */
	TimestampTz from;		   /* DT_NOBEGIN: none */
	TimestampTz to;
	const char *item; /* what it is, in words */
} Line;

typedef struct StatementPrint
{
	const Site *site;
	PrintForm form;
	const char *value[N_VALUES];
	int32 month_begin;
	int n;
	Line *line;
	int n_shown; /* rows of {#lines}, and their places in line[] */
	int *shown;
	int n_register; /* of {#registers} */
	int *registers;
} StatementPrint;

/* ---- what there is to print ---- */

/* As the caller, because statement() looks at his rights. */
static void
load_lines(StatementPrint *print, const DbSession *session, const char *account,
		   const NullableDatum *month)
{
	static DbQuery query = {
		"SELECT section, meter, tariff, item, period, tier, kwh, price, amount, balance, seq,"
		" register_from, register_to, ratio, from_time, to_time, month_begin"
		" FROM prepay.statement($1, $2)",
		2,
		{ TEXTOID, DATEOID }
	};
	Datum args[] = { CStringGetTextDatum(account), month->value };
	char nulls[] = { ' ', month->isnull ? 'n' : ' ', '\0' };
	Oid owner;
	int owner_context;
	int i;
	int c;

	GetUserIdAndSecContext(&owner, &owner_context);
	SetUserIdAndSecContext(session->caller, session->caller_context);
	print->n = db_run_nulls(&query, args, nulls);
	SetUserIdAndSecContext(owner, owner_context);
	print->line = palloc0(sizeof(Line) * Max(print->n, 1));
	for (i = 0; i < print->n; i++)
	{
		Line *line = &print->line[i];

		for (c = 0; c < N_TEXTS; c++)
			line->text[c] = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, c + 1);
		line->from = db_time_or(i, C_FROM + 1, DT_NOBEGIN);
		line->to = db_time_or(i, C_TO + 1, DT_NOBEGIN);
		print->month_begin = db_int32(i, C_MONTH_BEGIN + 1);
	}
}

/* Gives the language of the account; NULL: none of its own. */
static char *
load_head(StatementPrint *print, int32 account_id)
{
	static DbQuery query = {
		"SELECT s.code, s.name, a.code, a.customer, a.phone, p.code, p.name, s.currency,"
		" to_char(m.begin, 'YYYY-MM'), e.seq::text, substr(encode(e.hash, 'hex'), 1, 16),"
		" to_char($4 AT TIME ZONE s.timezone, 'YYYY-MM-DD HH24:MI:SS'), a.language"
		" FROM prepay.site s JOIN prepay.account a USING (site_id)"
		" CROSS JOIN LATERAL (SELECT (date '2000-01-01' + $3)::timestamp AS begin) m"
		" LEFT JOIN prepay.place p ON p.site_id = a.site_id AND p.place_id = a.place_id"
		" LEFT JOIN LATERAL (SELECT x.seq, x.hash FROM prepay.ledger_entry x"
		"  WHERE x.site_id = a.site_id AND x.account_id = a.account_id"
		"  AND x.booked_at < (m.begin + interval '1 month') AT TIME ZONE s.timezone"
		"  ORDER BY x.seq DESC LIMIT 1) e ON true"
		" WHERE a.site_id = $1 AND a.account_id = $2",
		4,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(print->site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(print->month_begin), TimestampTzGetDatum(print->site->now) };
	int i;

	if (db_run(&query, args) != 1)
		elog(ERROR, "account %d is gone", account_id);
	for (i = 0; i < N_HEAD; i++)
		print->value[i] = db_text(0, i + 1);
	return db_text(0, N_HEAD + 1);
}

/* ---- sums ---- */

static void
add(Exact *sum, const char *text)
{
	Exact value;

	if (text && (!exact_parse(text, &value) || !exact_add(*sum, value, sum)))
		out_of_range("sum");
}

/* Posted amounts are whole in the currency's decimals, and so are their sums. */
static char *
money_text(const Site *site, Exact amount)
{
	char *text = palloc(MONEY_TEXT_MAX);
	int64 minor;

	if (!exact_to_minor(amount, site->decimals, &minor))
		out_of_range("sum");
	minor_format(minor, site->decimals, text);
	return text;
}

/* Sort the lines into lists and add them up. */
static void
take_lines(StatementPrint *print)
{
	Exact paid = 0;
	Exact cost = 0;
	Exact kwh = 0;
	char *kwh_text = palloc(EXACT_TEXT_MAX);
	int i;

	print->shown = palloc(sizeof(int) * Max(print->n, 1));
	print->registers = palloc(sizeof(int) * Max(print->n, 1));
	for (i = 0; i < print->n; i++)
	{
		const char *const *text = print->line[i].text;
		const char *section = text[C_SECTION];

		if (strcmp(section, "opening") == 0)
			print->value[OPENING] = text[C_BALANCE];
		else if (strcmp(section, "closing") == 0)
			print->value[CLOSING] = text[C_BALANCE];
		else if (strcmp(section, "now") == 0)
			print->value[NOW] = text[C_BALANCE];
		else if (strcmp(section, "register") == 0)
			print->registers[print->n_register++] = i;
		else
		{
			print->shown[print->n_shown++] = i;
			if (strncmp(section, "unposted_", 9) != 0)
				add(strcmp(section, "money") == 0 ? &paid : &cost, text[C_AMOUNT]);
			if (strcmp(section, "energy") == 0 || strcmp(section, "unposted_energy") == 0)
				add(&kwh, text[C_KWH]);
		}
	}
	print->value[PAID] = money_text(print->site, paid);
	print->value[COST] = money_text(print->site, -cost);
	exact_format(kwh, kwh_text);
	print->value[KWH_TOTAL] = kwh_text;
}

/* ---- words ---- */

static const char *
entry_word(const PrintForm *form, const char *kind)
{
	static const struct
	{
		const char *kind;
		const char *zh;
		const char *en;
	} words[] = {
		{ "opening", "开户", "opening" },
		{ "sale", "售电", "sale" },
		{ "refund", "退电", "refund" },
		{ "reversal", "冲正", "reversal" },
		{ "adjustment", "调账", "adjustment" },
		{ "transfer_in", "转入", "transfer in" },
		{ "transfer_out", "转出", "transfer out" },
		{ "debt", "欠款", "debt" },
		{ "credit", "补贴", "credit" },
		{ "closing", "销户", "closing" },
	};
	int i;

	for (i = 0; i < lengthof(words); i++)
		if (strcmp(words[i].kind, kind) == 0)
			return print_word(form, words[i].zh, words[i].en);
	return kind;
}

/* "peak tier 2", or the name of a surcharge or standing charge */
static const char *
usage_word(const PrintForm *form, const Line *line)
{
	const char *period = line->text[C_PERIOD];
	const char *tier = line->text[C_TIER];

	if (period == NULL)
		return line->text[C_ITEM];
	/* A tariff without periods has one of this name. */
	if (strcmp(period, "all") == 0)
		period = print_word(form, "电费", "energy");
	return tier ? psprintf(print_word(form, "%s 第%s档", "%s tier %s"), period, tier) : period;
}

/* The meter comes last: it is the first to be cut in a narrow column. */
static const char *
item_text(const PrintForm *form, const Line *line)
{
	const char *section = line->text[C_SECTION];
	const char *meter = line->text[C_METER];
	const char *when = "";

	if (strcmp(section, "money") == 0)
		return psprintf(print_word(form, "%s (账目 %s)", "%s (entry %s)"),
						entry_word(form, line->text[C_ITEM]), line->text[C_SEQ]);
	if (strcmp(section, "rounding") == 0 || strcmp(section, "unposted_rounding") == 0)
		return print_word(form, "尾差结转", "carried in rounding");
	if (strcmp(section, "earlier") == 0)
		when = print_word(form, "补记 ", "late, ");
	else if (strcmp(section, "correction") == 0)
		when = print_word(form, "更正 ", "corr., ");
	else if (strncmp(section, "unposted_", 9) == 0)
		when = print_word(form, "未结 ", "open, ");
	return psprintf("%s%s%s%s", when, usage_word(form, line),
					meter ? print_word(form, " ", ", ") : "", meter ? meter : "");
}

static void
put_into_words(StatementPrint *print)
{
	const PrintForm *form = &print->form;
	int i;

	print->value[TITLE] = print_word(form, "电费月结单", "Monthly statement");
	if (strcmp(print->value[CURRENCY], "CNY") == 0)
		print->value[CURRENCY] = print_word(form, "人民币", "CNY");
	print->value[PRINTED_BY] = auth_operator();
	for (i = 0; i < print->n_shown; i++)
		print->line[print->shown[i]].item = item_text(form, &print->line[print->shown[i]]);
}

/* ---- the paper ---- */

static const char *
day_text(const Site *site, TimestampTz instant)
{
	return TIMESTAMP_NOT_FINITE(instant) ? NULL : pnstrdup(statement_time(site, instant), 10);
}

static const char *
time_text(const Site *site, TimestampTz instant)
{
	return TIMESTAMP_NOT_FINITE(instant) ? NULL : statement_time(site, instant);
}

static const char *
line_value(const StatementPrint *print, int name, const Line *line)
{
	switch (name)
	{
		case FROM_DAY:
			return day_text(print->site, line->from);
		case TO_DAY:
			return line->to == DT_NOBEGIN ? NULL : day_text(print->site, line->to - 1);
		case READ_FROM:
			return time_text(print->site, line->from);
		case READ_TO:
			return time_text(print->site, line->to);
		case ITEM:
			return line->item;
		default:
			return line->text[line_columns[name - FIRST_OF_LINE]];
	}
}

static const char *
statement_value(void *context, int name, int row)
{
	const StatementPrint *print = context;

	switch (statement_names[name].list)
	{
		case LINES:
			return line_value(print, name, &print->line[print->shown[row]]);
		case REGISTERS:
			return line_value(print, name, &print->line[print->registers[row]]);
		case COPIES:
			return print_copy(&print->form, row);
		default:
			return print->value[name];
	}
}

static int
statement_rows(void *context, int list)
{
	const StatementPrint *print = context;

	if (list == LINES)
		return print->n_shown;
	return list == REGISTERS ? print->n_register : print->form.n_copies;
}

/* statement_print(account, month, template DEFAULT 'statement') → text. 月结单 */
Datum
prepay_statement_print(PG_FUNCTION_ARGS)
{
	StatementPrint print = { 0 };
	TemplateSource source = { &print, statement_value, statement_rows };
	DbSession session;
	CodeTarget target;
	char *account;
	char *code;
	char *language;
	text *result;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the account must be given")));
	account = text_to_cstring(PG_GETARG_TEXT_PP(0));
	code = PG_ARGISNULL(2) ? "statement" : text_to_cstring(PG_GETARG_TEXT_PP(2));
	db_enter(&session);
	code_resolve(session.caller, account, KIND_ACCOUNT, &target);
	auth_require(session.caller, MAY_READ, target.site_id, "print a statement");
	print.site = site_get(target.site_id);
	load_lines(&print, &session, account, &fcinfo->args[1]);
	language = load_head(&print, target.id);
	if (language == NULL)
		language = setting_text(print.site, "language");
	print_find(print.site, "statement", code, language, &print.form);
	take_lines(&print);
	put_into_words(&print);
	MemoryContextSwitchTo(session.outer);
	result = cstring_to_text(print_fill(&print.form, &source));
	db_leave(&session);
	PG_RETURN_TEXT_P(result);
}
