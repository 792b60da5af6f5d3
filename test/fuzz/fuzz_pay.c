/*
 * fuzz_pay.c: forms and bills of payment channels, which come from outside.
 *
 * The first byte says what the rest is: a form, or a bill of one of the channels.
 */
#include "form.h"
#include "settle_bill.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                    \
	do                                                                      \
	{                                                                       \
		if (!(condition))                                                   \
		{                                                                   \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                   \
	} while (0)

/* Written and read again a form is the same, and sorted. */
static void
check_form(const char *body, size_t length)
{
	static const char *const none[] = { NULL };
	Form form;
	Form again;

	if (!form_parse(body, length, &form))
		return;
	char *text = form_text(&form, none, true);

	CHECK(form_parse(text, strlen(text), &again) && again.n == form.n);
	for (int i = 0; i < form.n; i++)
	{
		CHECK(i == 0 || strcmp(form.field[i - 1].name, form.field[i].name) < 0);
		CHECK(strcmp(form.field[i].name, again.field[i].name) == 0);
		CHECK(strcmp(form.field[i].value, again.field[i].value) == 0);
		CHECK(form_get(&form, again.field[i].name) == form.field[i].value);
	}
	core_free(text);
	form_free(&again);
	form_free(&form);
}

/* A row has its numbers and an amount; a fault has a line. */
static void
check_bill(BillForm kind, char *text)
{
	Bill bill;

	if (!bill_parse(kind, text, &bill))
	{
		CHECK(bill.fault && bill.fault_line >= 0);
		bill_free(&bill);
		return;
	}
	for (int i = 0; i < bill.n; i++)
	{
		CHECK(*bill.row[i].order_no && *bill.row[i].transaction_no);
		CHECK(bill.row[i].minor > 0);
	}
	bill_free(&bill);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	if (data[0] % 4 == BILL_FORMS)
		check_form(text, size - 1);
	else
		check_bill((BillForm) (data[0] % 4), text);
	free(text);
	return 0;
}
