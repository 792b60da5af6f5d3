/*
 * settle_bill.c: see settle_bill.h.
 *
 * Columns of CSV bills are found by their names: which there are, and in which order,
 * differs by product and year. Rows that are neither payment nor refund, such as
 * those about fees and coupons, are passed over.
 */
#include "settle_bill.h"

#include <string.h>

#include "money.h"

#define MAX_COLUMNS 64
#define BOM "\xef\xbb\xbf"

typedef enum Column
{
	COLUMN_TRANSACTION,
	COLUMN_ORDER,
	COLUMN_KIND,
	COLUMN_AMOUNT,
	COLUMN_TIME,
	COLUMN_REFUND,
	COLUMN_REFUND_AMOUNT,
	COLUMN_REFUND_STATE,
	COLUMN_MERCHANT,
	COLUMNS
} Column;

/* Names of a column, the first that is there; a bill without a needed one is none. */
typedef struct CsvForm
{
	const char *begin; /* first name of the line of names */
	const char *end;   /* a line that begins so ends the rows */
	const char *name[COLUMNS][2];
	const char *payment;
	const char *refund;
	bool need[COLUMNS];
} CsvForm;

static const CsvForm csv_forms[BILL_FORMS] = {
	[BILL_ALIPAY] = { .begin = "支付宝交易号",
					  .end = "#",
					  .name = { [COLUMN_TRANSACTION] = { "支付宝交易号" },
								[COLUMN_ORDER] = { "商户订单号" },
								[COLUMN_KIND] = { "业务类型" },
								[COLUMN_AMOUNT] = { "订单金额（元）", "订单金额(元)" },
								[COLUMN_TIME] = { "完成时间" },
								[COLUMN_REFUND] = { "退款批次号/请求号", "退款批次号" } },
					  .payment = "交易",
					  .refund = "退款",
					  .need = { [COLUMN_TRANSACTION] = true,
								[COLUMN_ORDER] = true,
								[COLUMN_KIND] = true,
								[COLUMN_AMOUNT] = true } },
	[BILL_WECHAT] = { .begin = "交易时间",
					  .end = "总交易单数",
					  .name = { [COLUMN_TRANSACTION] = { "微信订单号" },
								[COLUMN_ORDER] = { "商户订单号" },
								[COLUMN_KIND] = { "交易状态" },
								[COLUMN_AMOUNT] = { "订单金额", "总金额" },
								[COLUMN_TIME] = { "交易时间" },
								[COLUMN_REFUND] = { "商户退款单号" },
								[COLUMN_REFUND_AMOUNT] = { "申请退款金额", "退款金额" },
								[COLUMN_REFUND_STATE] = { "退款状态" },
								[COLUMN_MERCHANT] = { "商户号" } },
					  .payment = "SUCCESS",
					  .refund = "REFUND",
					  .need = { [COLUMN_TRANSACTION] = true,
								[COLUMN_ORDER] = true,
								[COLUMN_KIND] = true,
								[COLUMN_AMOUNT] = true } },
};

typedef struct CsvLine
{
	int n;
	char *value[MAX_COLUMNS];
} CsvLine;

static bool
fault(Bill *bill, int line, const char *what)
{
	bill->fault_line = line;
	bill->fault = what;
	return false;
}

static BillRow *
new_row(Bill *bill)
{
	if (bill->n == bill->room)
	{
		bill->room = bill->room ? 2 * bill->room : 64;
		bill->row = core_realloc(bill->row, sizeof(BillRow) * (size_t) bill->room);
	}
	memset(&bill->row[bill->n], 0, sizeof(BillRow));
	return &bill->row[bill->n++];
}

/* The text up to the end of its line, and where the next one begins; NULL: there is none. */
static char *
cut_line(char **rest)
{
	char *line = *rest;
	char *end;

	if (line == NULL || *line == '\0')
		return NULL;
	end = strchr(line, '\n');
	*rest = end ? end + 1 : NULL;
	if (end)
		*end = '\0';
	end = line + strlen(line);
	if (end > line && end[-1] == '\r')
		end[-1] = '\0';
	return line;
}

static bool
is_padding(char c)
{
	return c == ' ' || c == '\t' || c == '`';
}

/* Without padding, and without the backtick that keeps spreadsheets from rounding numbers. */
static char *
trim(char *value)
{
	char *end;

	while (is_padding(*value))
		value++;
	end = value + strlen(value);
	while (end > value && is_padding(end[-1]))
		*--end = '\0';
	return value;
}

/* A value in quotes, in place; the rest of the line after it. */
static char *
unquote(char *value)
{
	char *to = value;
	char *from = value + 1;

	for (; *from && (*from != '"' || from[1] == '"'); from++)
	{
		if (*from == '"')
			from++;
		*to++ = *from;
	}
	if (*from == '"')
		from++;
	/* What stands in the way up to the comma is dropped. */
	from += strcspn(from, ",");
	if (*from == ',')
	{
		*to = '\0';
		return from + 1;
	}
	*to = '\0';
	return NULL;
}

static void
split(char *line, CsvLine *values)
{
	char *next = line;

	values->n = 0;
	while (next && values->n < MAX_COLUMNS)
	{
		char *value = next;

		if (*value == '"')
			next = unquote(value);
		else
		{
			char *comma = strchr(value, ',');

			next = comma ? comma + 1 : NULL;
			if (comma)
				*comma = '\0';
		}
		values->value[values->n++] = trim(value);
	}
}

static int
find(const CsvLine *names, const char *const *name)
{
	int n;
	int i;

	for (n = 0; n < 2 && name[n]; n++)
		for (i = 0; i < names->n; i++)
			if (strcmp(names->value[i], name[n]) == 0)
				return i;
	return -1;
}

static const char *
value_of(const CsvLine *line, const int *place, Column column)
{
	return place[column] >= 0 && place[column] < line->n ? line->value[place[column]] : NULL;
}

/* An amount in yuan without its sign; false: none. */
static bool
yuan(const char *text, int64_t *minor)
{
	if (text == NULL || decimal_parse(text, 2, minor) != DECIMAL_OK || *minor == INT64_MIN)
		return false;
	if (*minor < 0)
		*minor = -*minor;
	return *minor > 0;
}

static bool
is_given(const char *text)
{
	return text && *text && strcmp(text, "0") != 0;
}

static bool
take_csv_row(const CsvForm *form, const CsvLine *line, const int *place, int number, Bill *bill)
{
	const char *kind = value_of(line, place, COLUMN_KIND);
	const char *state = value_of(line, place, COLUMN_REFUND_STATE);
	BillRow row = { 0 };
	const char *amount = value_of(line, place, COLUMN_AMOUNT);

	if (kind == NULL)
		return fault(bill, number, "a row is too short");
	row.is_refund = strcmp(kind, form->refund) == 0;
	if (!row.is_refund && strcmp(kind, form->payment) != 0)
		return true;
	if (row.is_refund && is_given(state) && strcmp(state, "SUCCESS") != 0)
		return true;
	row.order_no = value_of(line, place, COLUMN_ORDER);
	row.transaction_no = value_of(line, place, COLUMN_TRANSACTION);
	row.time = value_of(line, place, COLUMN_TIME);
	row.refund_no = value_of(line, place, COLUMN_REFUND);
	if (row.is_refund && value_of(line, place, COLUMN_REFUND_AMOUNT))
		amount = value_of(line, place, COLUMN_REFUND_AMOUNT);
	if (!is_given(row.order_no) || !is_given(row.transaction_no))
		return fault(bill, number, "a row has no order or transaction number");
	if (!yuan(amount, &row.minor))
		return fault(bill, number, "a row has no amount");
	if (bill->merchant == NULL)
		bill->merchant = value_of(line, place, COLUMN_MERCHANT);
	*new_row(bill) = row;
	return true;
}

/* "#账号：[20886544321000010156]": the merchant's number and 0156 for its currency. */
static void
take_preamble(char *line, Bill *bill)
{
	static const char label[] = "#账号";
	char *begin = strchr(line, '[');
	char *end = begin ? strchr(begin, ']') : NULL;

	if (strncmp(line, label, strlen(label)) != 0 || end == NULL)
		return;
	*end = '\0';
	bill->merchant = begin + 1;
}

static bool
parse_csv(const CsvForm *form, char *text, Bill *bill)
{
	int place[COLUMNS] = { 0 };
	bool named = false;
	CsvLine line;
	char *begin;
	int number = 0;
	int i;

	if (strncmp(text, BOM, 3) == 0)
		text += 3;
	while ((begin = cut_line(&text)) != NULL)
	{
		number++;
		if (!named && strncmp(begin, form->begin, strlen(form->begin)) == 0)
		{
			split(begin, &line);
			for (i = 0; i < COLUMNS; i++)
			{
				place[i] = find(&line, form->name[i]);
				if (place[i] < 0 && form->need[i])
					return fault(bill, number, form->name[i][0]);
			}
			named = true;
		}
		else if (!named)
			take_preamble(begin, bill);
		else if (strncmp(begin, form->end, strlen(form->end)) == 0)
			break;
		else if (*trim(begin) != '\0')
		{
			split(begin, &line);
			if (!take_csv_row(form, &line, place, number, bill))
				return false;
		}
	}
	return named || fault(bill, number, "there is no line of column names");
}

/* ---- UnionPay ---- */

#define ZM_CODE_AT 0
#define ZM_CODE_WIDTH 3
#define ZM_AMOUNT_AT 66
#define ZM_AMOUNT_WIDTH 12
#define ZM_QUERY_AT 87
#define ZM_QUERY_WIDTH 21
#define ZM_ORDER_AT 112
#define ZM_ORDER_WIDTH 32
#define ZM_PAYMENT "S22"
#define ZM_REFUND "S30"

/* A column in place: between two there is a space, at the end a NUL byte. */
static char *
column_text(char *line, int at, int width)
{
	line[at + width] = '\0';
	return trim(line + at);
}

static bool
take_zm_row(char *line, int number, Bill *bill)
{
	BillRow row = { 0 };
	const char *code;

	if (strlen(line) < ZM_ORDER_AT + ZM_ORDER_WIDTH)
		return fault(bill, number, "a row is too short");
	code = column_text(line, ZM_CODE_AT, ZM_CODE_WIDTH);
	row.is_refund = strcmp(code, ZM_REFUND) == 0;
	if (!row.is_refund && strcmp(code, ZM_PAYMENT) != 0)
		return true;
	row.order_no = column_text(line, ZM_ORDER_AT, ZM_ORDER_WIDTH);
	row.transaction_no = column_text(line, ZM_QUERY_AT, ZM_QUERY_WIDTH);
	row.refund_no = row.is_refund ? row.order_no : NULL;
	if (*row.order_no == '\0' || *row.transaction_no == '\0')
		return fault(bill, number, "a row has no order or transaction number");
	if (decimal_parse(column_text(line, ZM_AMOUNT_AT, ZM_AMOUNT_WIDTH), 0, &row.minor) !=
			DECIMAL_OK ||
		row.minor <= 0)
		return fault(bill, number, "a row has no amount");
	*new_row(bill) = row;
	return true;
}

static bool
parse_zm(char *text, Bill *bill)
{
	char *line;
	int number = 0;

	while ((line = cut_line(&text)) != NULL)
	{
		number++;
		if (line[strspn(line, " \t")] != '\0' && !take_zm_row(line, number, bill))
			return false;
	}
	return true;
}

bool
bill_parse(BillForm form, char *text, Bill *bill)
{
	memset(bill, 0, sizeof(*bill));
	if (form == BILL_UNIONPAY)
		return parse_zm(text, bill);
	return parse_csv(&csv_forms[form], text, bill);
}

void
bill_free(Bill *bill)
{
	core_free(bill->row);
	memset(bill, 0, sizeof(*bill));
}
