/*
 * settle_bill.h: bills of payment channels (渠道账单) as rows.
 */
#ifndef PREPAY_SETTLE_BILL_H
#define PREPAY_SETTLE_BILL_H

#include "core.h"

typedef enum BillForm
{
	BILL_ALIPAY,   /* trade bill, CSV */
	BILL_WECHAT,   /* trade bill, CSV, each value after a backtick */
	BILL_UNIONPAY, /* ZM file, columns of fixed width */
	BILL_FORMS
} BillForm;

typedef struct BillRow
{
	bool is_refund;
	const char *order_no;		/* UnionPay's refunds: the refund's own number */
	const char *transaction_no; /* may be empty for a refund */
	const char *refund_no;		/* refunds */
	int64_t minor;
	const char *time; /* as written; NULL: not said */
} BillRow;

typedef struct Bill
{
	int n;
	int room;
	BillRow *row;
	const char *merchant; /* whose bill it says it is; NULL: it does not say */
	int fault_line;		  /* 0: none */
	const char *fault;
} Bill;

/*
 * Read a bill; text is changed, and the rows point into it. CSV is UTF-8. False: fault and
 * fault_line say what is wrong with which line.
 */
extern bool bill_parse(BillForm form, char *text, Bill *bill);
extern void bill_free(Bill *bill);

#endif
