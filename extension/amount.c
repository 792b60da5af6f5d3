#include "amount.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "db.h"

Datum
exact_numeric(Exact amount)
{
	char text[EXACT_TEXT_MAX];

	exact_format(amount, text);
	return numeric_from_text(text);
}

Exact
numeric_exact(Datum numeric)
{
	Exact amount;

	if (!exact_parse(numeric_text(numeric), &amount))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("stored amount %s is out of range", numeric_text(numeric)),
						errhint("Run SELECT * FROM prepay.verify().")));
	return amount;
}

Datum
minor_numeric(int64 minor, int decimals)
{
	return NumericGetDatum(int64_div_fast_to_numeric(minor, decimals));
}

int64
text_minor(const Site *site, const char *text)
{
	int64 minor;

	if (text == NULL || decimal_parse(text, site->decimals, &minor) != DECIMAL_OK)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("stored amount %s is out of range", text ? text : "NULL"),
						errhint("Run SELECT * FROM prepay.verify().")));
	return minor;
}

int64
amount_minor(const Site *site, Datum numeric, const char *what)
{
	const char *text = numeric_text(numeric);
	int64 minor;

	switch (decimal_parse(text, site->decimals, &minor))
	{
		case DECIMAL_OK:
			/* Leaves room for sums: a ledger of 10^15 minor units can never overflow int64. */
			if (minor > -INT64CONST(1000000000000000) && minor < INT64CONST(1000000000000000))
				return minor;
			/* FALLTHROUGH */
		case DECIMAL_OVERFLOW:
			ereport(ERROR,
					(errcode(ERRCODE_PP_BAD_AMOUNT), errmsg("%s %s is out of range", what, text),
					 errhint("Give an amount a ledger can hold.")));
			break;
		case DECIMAL_TOO_FINE:
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
							errmsg("%s %s has more decimals than %s", what, text, site->currency),
							errdetail("%s has %d decimals.", site->currency, site->decimals),
							errhint("Round the amount before you hand it in.")));
			break;
		case DECIMAL_SYNTAX:
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
							errmsg("%s %s is not an amount of money", what, text),
							errhint("Give a finite number.")));
			break;
	}
	return 0;
}

void
out_of_range(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("%s out of range", what),
					errhint("A value this large is most likely a typing or metering error.")));
}
