/*
 * explain_row.c: the rows of explain(), put in order and given out.
 */
#include "explain.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/memutils.h"

#include "db.h"
#include "tariff_store.h"

#define EXPLAIN_COLUMNS 25

static int
compare_rows(const void *a, const void *b)
{
	const ExplainRow *x = a;
	const ExplainRow *y = b;

#define ORDER(left, right) \
	if ((left) != (right)) \
	return (left) < (right) ? -1 : 1
	ORDER(x->line.day, y->line.day);
	ORDER(Max(x->kind, EXPLAIN_WAITING), Max(y->kind, EXPLAIN_WAITING));
	ORDER(x->from, y->from);
	ORDER(x->line.meter_id, y->line.meter_id);
	ORDER(x->to, y->to);
	ORDER(x->line.tariff_id, y->line.tariff_id);
	ORDER(x->line.version, y->line.version);
	ORDER(x->line.component, y->line.component);
	ORDER(x->line.index, y->line.index);
	ORDER(x->line.period, y->line.period);
	ORDER(x->line.tier, y->line.tier);
#undef ORDER
	return 0;
}

static void
load_meter_codes(Explain *explain)
{
	static DbQuery query = { "SELECT meter_id, code FROM prepay.meter"
							 " WHERE site_id = $1 AND meter_id = ANY ($2)",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	int32 *meter_id = palloc(sizeof(int32) * Max(explain->history.n_meter, 1));
	Datum args[2] = { Int32GetDatum(explain->site->site_id) };
	int i;

	for (i = 0; i < explain->history.n_meter; i++)
		meter_id[i] = explain->history.meter[i].meter_id;
	args[1] = db_array_int32(meter_id, explain->history.n_meter);
	explain->n_meter = db_run(&query, args);
	explain->meter_id = meter_id;
	explain->meter_code = palloc(sizeof(char *) * Max(explain->n_meter, 1));
	for (i = 0; i < explain->n_meter; i++)
	{
		explain->meter_id[i] = db_int32(i, 1);
		explain->meter_code[i] = db_text(i, 2);
	}
}

static const char *
meter_code(const Explain *explain, int32 meter_id)
{
	int i;

	for (i = 0; i < explain->n_meter; i++)
		if (explain->meter_id[i] == meter_id)
			return explain->meter_code[i];
	return NULL;
}

/* When what stands in the books for each day was booked last. */
static void
load_booked(Explain *explain, int32 account_id)
{
	static DbQuery query = {
		"SELECT day - date '2000-01-01', max(booked_day) - date '2000-01-01'"
		" FROM prepay.usage_line WHERE site_id = $1 AND account_id = $2"
		" AND day >= date '2000-01-01' + $3 AND day < date '2000-01-01' + $4 GROUP BY day",
		4,
		{ INT4OID, INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(explain->site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(explain->first_day), Int32GetDatum(explain->end_day) };
	int n = db_run(&query, args);
	int i;

	explain->booked = palloc(sizeof(int32) * (explain->end_day - explain->first_day));
	for (i = 0; i < explain->end_day - explain->first_day; i++)
		explain->booked[i] = DATEVAL_NOEND;
	for (i = 0; i < n; i++)
		explain->booked[db_int32(i, 1) - explain->first_day] = db_int32(i, 2);
}

void
explain_load_names(Explain *explain, int32 account_id)
{
	load_meter_codes(explain);
	load_booked(explain, account_id);
}

static int32
booked_day(const Explain *explain, int32 day)
{
	return day >= explain->first_day && day < explain->end_day
			   ? explain->booked[day - explain->first_day]
			   : DATEVAL_NOEND;
}

typedef struct Output
{
	Datum value[EXPLAIN_COLUMNS];
	bool isnull[EXPLAIN_COLUMNS];
	int n;
} Output;

static void
put(Output *output, bool present, Datum value)
{
	output->isnull[output->n] = !present;
	output->value[output->n++] = value;
}

static void
put_text(Output *output, const char *text)
{
	put(output, text != NULL, text ? CStringGetTextDatum(text) : (Datum) 0);
}

static void
put_milli(Output *output, bool present, int64 milli)
{
	put(output, present, present ? minor_numeric(milli, 3) : (Datum) 0);
}

static Datum
price_of(const BillLine *line)
{
	const Tariff *tariff = line->tariff;
	Exact price;
	bool fits;

	if (line->component == BILL_ENERGY)
		fits = exact_from_micro(tariff->price_micro[line->period][line->tier], &price);
	else if (line->component == BILL_STANDING)
		fits = exact_from_micro(tariff->standing[line->index].amount_micro, &price);
	else if (tariff->surcharge[line->index].is_percent)
		fits =
			exact_from_minor(tariff->surcharge[line->index].percent_e4, PERCENT_DECIMALS, &price);
	else
		fits = exact_from_micro(tariff->surcharge[line->index].per_kwh_micro, &price);
	if (!fits)
		out_of_range("price");
	return exact_numeric(price);
}

static const char *
component_of(const ExplainRow *row)
{
	return row->kind == EXPLAIN_WAITING			  ? NULL
		   : row->line.component == BILL_ENERGY	  ? "energy"
		   : row->line.component == BILL_STANDING ? "standing"
												  : "surcharge";
}

static const char *
item_of(const ExplainRow *row)
{
	return row->kind == EXPLAIN_WAITING			? NULL
		   : row->line.component == BILL_ENERGY ? "energy"
		   : row->line.component == BILL_STANDING
			   ? row->line.tariff->standing[row->line.index].name
			   : row->line.tariff->surcharge[row->line.index].name;
}

static void
put_row(const Explain *explain, const ExplainRow *row)
{
	const BillLine *line = &row->line;
	const Tariff *tariff = line->tariff;
	const RerateInterval *interval = row->interval;
	bool energy = row->kind == EXPLAIN_ENERGY;
	bool billed = row->kind != EXPLAIN_WAITING;
	int day_type = energy ? tariff_day_type(tariff, line->day) : 0;
	int32 booked = booked_day(explain, line->day);
	Output output = { .n = 0 };

	put_text(&output, explain->site->code);
	put_text(&output, explain->account);
	put_text(&output, meter_code(explain, line->meter_id));
	put(&output, true, TimestampTzGetDatum(row->from));
	put(&output, true, TimestampTzGetDatum(row->to));
	put_milli(&output, energy, line->wh);
	put_text(&output, billed ? tariff_code(explain->site, line->tariff_id)->code : NULL);
	put(&output, billed, Int32GetDatum(line->version));
	put_text(&output, energy ? tariff->season_name[row->season] : NULL);
	put_text(&output, !energy ? NULL : day_type < 0 ? "other" : tariff->day_type_name[day_type]);
	put_text(&output, energy ? tariff->period_name[line->period] : NULL);
	put(&output, energy, Int32GetDatum(line->tier + 1));
	put_milli(&output, energy, row->position_wh);
	put(&output, billed, billed ? price_of(line) : (Datum) 0);
	put(&output, billed, billed ? exact_numeric(line->amount) : (Datum) 0);
	put(&output, energy, BoolGetDatum(row->estimated));
	put_text(&output, row->why);
	put_text(&output, component_of(row));
	put_text(&output, item_of(row));
	put(&output, true, DateADTGetDatum(line->day));
	put(&output, billed && booked != DATEVAL_NOEND, DateADTGetDatum(booked));
	put(&output, interval != NULL, interval ? TimestampTzGetDatum(interval->from->read_at) : 0);
	put(&output, interval != NULL, interval ? TimestampTzGetDatum(interval->to->read_at) : 0);
	put_milli(&output, interval != NULL, interval ? interval->from->wh : 0);
	put_milli(&output, interval != NULL, interval ? interval->to->wh : 0);
	Assert(output.n == EXPLAIN_COLUMNS);
	tuplestore_putvalues(explain->result->setResult, explain->result->setDesc, output.value,
						 output.isnull);
}

void
explain_put_rows(Explain *explain)
{
	MemoryContext memory =
		AllocSetContextCreate(CurrentMemoryContext, "prepay explain row", ALLOCSET_SMALL_SIZES);
	int i;

	qsort(explain->row, explain->n_row, sizeof(ExplainRow), compare_rows);
	for (i = 0; i < explain->n_row; i++)
	{
		MemoryContext old = MemoryContextSwitchTo(memory);

		put_row(explain, &explain->row[i]);
		MemoryContextSwitchTo(old);
		MemoryContextReset(memory);
	}
}
