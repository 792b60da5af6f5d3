/*
 * statement_line.c: one line of a statement.
 */
#include "statement.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "amount.h"
#include "db.h"

#define STATEMENT_COLUMNS 24

typedef struct Output
{
	Datum value[STATEMENT_COLUMNS];
	bool isnull[STATEMENT_COLUMNS];
	int n;
} Output;

static void
put(Output *output, bool present, Datum value)
{
	output->isnull[output->n] = !present;
	output->value[output->n++] = present ? value : (Datum) 0;
}

static void
put_text(Output *output, const char *text)
{
	put(output, text != NULL, text ? CStringGetTextDatum(text) : (Datum) 0);
}

/* An amount of money: with the currency's decimals where it has no finer ones. */
static Datum
money_numeric(const Site *site, Exact amount)
{
	int64 minor;
	Exact whole;

	if (exact_to_minor(amount, site->decimals, &minor) &&
		exact_from_minor(minor, site->decimals, &whole) && whole == amount)
		return minor_numeric(minor, site->decimals);
	return exact_numeric(amount);
}

static Datum
micro_numeric(int64 micro)
{
	Exact value;

	if (!exact_from_micro(micro, &value))
		out_of_range("ratio");
	return exact_numeric(value);
}

void
statement_line(Statement *statement, const StatementLine *line)
{
	Output output = { .n = 0 };

	if (line->has_amount && !exact_add(statement->balance, line->amount, &statement->balance))
		out_of_range("balance");
	put_text(&output, statement->site->code);
	put_text(&output, statement->account.code);
	put(&output, true, DateADTGetDatum(statement->first_day));
	put(&output, true, Int32GetDatum(++statement->line));
	put_text(&output, line->section);
	put_text(&output, line->text);
	put_text(&output, line->meter);
	put(&output, line->has_day, DateADTGetDatum(line->day));
	put_text(&output, line->tariff);
	put(&output, line->tariff != NULL, Int32GetDatum(line->version));
	put_text(&output, line->item);
	put_text(&output, line->period);
	put(&output, line->tier >= 0 && line->period, Int32GetDatum(line->tier + 1));
	put(&output, line->has_energy || line->has_register, minor_numeric(line->wh, 3));
	put(&output, line->price != NULL, line->price ? numeric_from_text(line->price) : (Datum) 0);
	put(&output, line->has_amount, money_numeric(statement->site, line->amount));
	put(&output, line->has_amount || line->has_balance,
		money_numeric(statement->site, statement->balance));
	put(&output, line->seq != 0, Int32GetDatum(line->seq));
	put(&output, line->from != 0, TimestampTzGetDatum(line->from));
	put(&output, line->to != 0, TimestampTzGetDatum(line->to));
	put(&output, line->has_register, minor_numeric(line->register_from, 3));
	put(&output, line->has_register, minor_numeric(line->register_to, 3));
	put(&output, line->has_register, micro_numeric(line->ratio_e6));
	put(&output, line->has_energy, minor_numeric(line->estimated_wh, 3));
	Assert(output.n == STATEMENT_COLUMNS);
	tuplestore_putvalues(statement->result->setResult, statement->result->setDesc, output.value,
						 output.isnull);
}

const char *
statement_time(const Site *site, TimestampTz instant)
{
	CalLocal local;
	int year;
	int month;
	int mday;

	cal_local(site->zone, instant, &local);
	cal_civil(local.day, &year, &month, &mday);
	return psprintf("%04d-%02d-%02d %02d:%02d", year, month, mday,
					(int) (local.us / USECS_PER_HOUR),
					(int) (local.us % USECS_PER_HOUR / USECS_PER_MINUTE));
}

void
statement_balance(Statement *statement, const char *section, TimestampTz at)
{
	StatementLine line = { .section = section, .tier = -1, .has_balance = true, .from = at };

	line.text = psprintf("balance at %s", statement_time(statement->site, at));
	statement_line(statement, &line);
}
