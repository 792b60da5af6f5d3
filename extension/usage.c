#include "usage.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "port/pg_bswap.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "auth.h"
#include "db.h"
#include "digest.h"
#include "tariff_store.h"
#include "tenant_identity.h"

#define USAGE_COLUMNS 11

PG_FUNCTION_INFO_V1(prepay_open_usage);
PG_FUNCTION_INFO_V1(prepay_unposted);

extern Datum prepay_my_site(PG_FUNCTION_ARGS);

typedef struct UsageRow
{
	int32 account_id;
	int32 booked_seq;
	BillLine line;
} UsageRow;

static const char *
component_name(BillComponent component)
{
	return component == BILL_ENERGY		? "energy"
		   : component == BILL_STANDING ? "standing"
										: "surcharge";
}

void
usage_add(UsageBatch *batch, int32 account_id, const BillLine *line, int32 booked_seq)
{
	UsageRow *row;

	if (batch->n == batch->room)
	{
		batch->room = Max(16, batch->room * 2);
		batch->row = core_realloc(batch->row, sizeof(UsageRow) * batch->room);
	}
	row = &batch->row[batch->n++];
	row->account_id = account_id;
	row->booked_seq = booked_seq;
	row->line = *line;
}

int
usage_compare_lines(const void *a, const void *b)
{
	const BillLine *x = a;
	const BillLine *y = b;

#define ORDER(field)          \
	if (x->field != y->field) \
	return x->field < y->field ? -1 : 1
	ORDER(day);
	ORDER(meter_id);
	ORDER(tariff_id);
	ORDER(version);
	ORDER(component);
	ORDER(index);
	ORDER(period);
	ORDER(tier);
#undef ORDER
	return 0;
}

static void
put_line(StringInfo out, const BillLine *line, int32 booked_day)
{
	const int64 number[] = { line->meter_id,	  line->day,		  line->tariff_id,
							 line->version,		  line->index,		  line->period,
							 line->tier,		  line->wh,			  booked_day,
							 line->component,	  line->estimated_wh, (int64) (line->amount >> 64),
							 (int64) line->amount };
	int i;

	for (i = 0; i < lengthof(number); i++)
	{
		uint64 net = pg_hton64((uint64) number[i]);

		appendBinaryStringInfo(out, (char *) &net, sizeof(net));
	}
}

void
usage_digest(BillLine *line, int n, int32 booked_day, uint8 *hash)
{
	StringInfoData text;
	int i;

	if (n > 1)
		qsort(line, n, sizeof(BillLine), usage_compare_lines);
	initStringInfo(&text);
	for (i = 0; i < n; i++)
		put_line(&text, &line[i], booked_day);
	digest_of(text.data, text.len, NULL, 0, hash);
	pfree(text.data);
}

void
usage_flush(const Site *site, UsageBatch *batch)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.usage_line (site_id, booked_day, account_id, meter_id, day, booked_seq,"
		" tariff_id, version, component, item, period, tier, wh, estimated_wh, amount)"
		" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15",
		2,
		13,
		{ INT4OID, DATEOID, INT4OID, INT4OID, DATEOID, INT4OID, INT4OID, INT4OID, TEXTOID, INT2OID,
		  INT2OID, INT2OID, INT8OID, INT8OID, NUMERICOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id), DateADTGetDatum(site->today) };
	DbRows rows;
	int i;

	if (batch->n == 0)
		return;
	rows = db_rows(&query, batch->n);
	for (i = 0; i < batch->n; i++)
	{
		const UsageRow *row = &batch->row[i];
		const BillLine *line = &row->line;

		rows.value[0][i] = Int32GetDatum(row->account_id);
		rows.value[1][i] = Int32GetDatum(line->meter_id);
		rows.value[2][i] = DateADTGetDatum(line->day);
		rows.value[3][i] = Int32GetDatum(row->booked_seq);
		rows.value[4][i] = Int32GetDatum(line->tariff_id);
		rows.value[5][i] = Int32GetDatum(line->version);
		rows.value[6][i] = CStringGetTextDatum(component_name(line->component));
		rows.value[7][i] = Int16GetDatum(line->index);
		rows.value[8][i] = Int16GetDatum(line->period);
		rows.value[9][i] = Int16GetDatum(line->tier);
		rows.value[10][i] = Int64GetDatum(line->wh);
		rows.value[11][i] = Int64GetDatum(line->estimated_wh);
		rows.value[12][i] = exact_numeric(line->amount);
	}
	db_run_rows(&query, fixed, &rows);
	batch->n = 0;
}

/* Energy of the period that is sealed before a day, by version and period of use. */
static void
add_sealed(const Site *site, int32 account_id, int32 day, const RatePiece *piece,
		   RatePositionVec *positions)
{
	static DbQuery query = {
		"SELECT version, period::int4, sum(wh)::bigint FROM prepay.usage_line"
		" WHERE site_id = $1 AND account_id = $2 AND day >= date '2000-01-01' + $3"
		" AND day < date '2000-01-01' + $4 AND tariff_id = $5 AND component = 'energy'"
		" GROUP BY version, period HAVING sum(wh) <> 0",
		5,
		{ INT4OID, INT4OID, INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(piece->accum_start), Int32GetDatum(day),
					 Int32GetDatum(piece->tariff_id) };
	int n = db_run(&query, args);
	int32 *version = palloc(sizeof(int32) * Max(n, 1));
	int32 *period = palloc(sizeof(int32) * Max(n, 1));
	int64 *wh = palloc(sizeof(int64) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		version[i] = db_int32(i, 1);
		period[i] = db_int32(i, 2);
		wh[i] = db_int64(i, 3);
	}
	/* Compiling a version may run a query, so it comes after the rows. */
	for (i = 0; i < n; i++)
	{
		RatePosition *position =
			rate_position_open(positions, piece->tariff_id, piece->accum_start, piece->accum_end,
							   tariff_of_version(site, piece->tariff_id, version[i]));

		position->wh += wh[i];
		position->by_period[period[i]] += wh[i];
	}
}

/* What the account had used of the period when it was opened: tier_start_kwh. */
static int64
brought_wh(const Site *site, int32 account_id, const RatePiece *piece)
{
	static DbQuery query = {
		"SELECT round(tier_start_kwh * 1000)::bigint, opened_at FROM prepay.account"
		" WHERE site_id = $1 AND account_id = $2 AND tier_start_kwh <> 0",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };
	int32 opened;

	if (db_run(&query, args) == 0)
		return 0;
	opened = site_local_day(site, db_time(0, 2));
	return opened >= piece->accum_start && opened < piece->accum_end ? db_int64(0, 1) : 0;
}

void
usage_open_period(const Site *site, int32 account_id, int32 day, const RatePiece *piece,
				  RatePositionVec *positions)
{
	rate_position_open(positions, piece->tariff_id, piece->accum_start, piece->accum_end,
					   piece->tariff)
		->wh += brought_wh(site, account_id, piece);
	if (piece->accum_start < day)
		add_sealed(site, account_id, day, piece, positions);
}

static void
put_usage_row(ReturnSetInfo *result, const BillLine *line)
{
	Datum values[USAGE_COLUMNS];
	bool nulls[USAGE_COLUMNS] = { false };
	int i = 0;

	values[i++] = Int32GetDatum(line->meter_id);
	values[i++] = DateADTGetDatum(line->day);
	values[i++] = Int32GetDatum(line->tariff_id);
	values[i++] = Int32GetDatum(line->version);
	values[i++] = CStringGetTextDatum(component_name(line->component));
	values[i++] = Int16GetDatum(line->index);
	values[i++] = Int16GetDatum(line->period);
	values[i++] = Int16GetDatum(line->tier);
	values[i++] = Int64GetDatum(line->wh);
	values[i++] = Int64GetDatum(line->estimated_wh);
	values[i++] = exact_numeric(line->amount);
	Assert(i == USAGE_COLUMNS);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/* Open lines as stored, of all meters of an account. */
static void
decode_all(const Site *site, Datum array, RateLineVec *lines)
{
	Datum *element;
	bool *isnull;
	int n;
	int i;

	deconstruct_array(DatumGetArrayTypeP(array), BYTEAOID, -1, false, TYPALIGN_INT, &element,
					  &isnull, &n);
	for (i = 0; i < n; i++)
		if (!isnull[i])
			lines_decode(site, element[i], lines);
}

/* What is priced is in the arguments; a tenant's own views hand it in, too. */
static bool
may_see(Datum site_id)
{
	return DatumGetBool(DirectFunctionCall1(prepay_my_site, site_id)) ||
		   tenant_has_site(DatumGetInt32(site_id));
}

/*
 * open_usage(site_id, tier_extra, tier_base, open_lines[]) → setof usage_row: all
 * open lines of an account priced together: what proportional tiers make of one meter's
 * energy depends on the others'. For the views; reads tariffs only.
 */
Datum
prepay_open_usage(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbSession session;
	RateLineVec lines = { 0 };
	RatePositionVec base = { 0 };
	TariffExtra extra;
	BillVec bill = { 0 };
	const Site *site;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	if (!may_see(PG_GETARG_DATUM(0)))
		return (Datum) 0;
	db_enter(&session);
	site = site_get(PG_GETARG_INT32(0));
	decode_all(site, PG_GETARG_DATUM(3), &lines);
	extra_decode(PG_GETARG_DATUM(1), &extra);
	if (lines.n > 0)
		positions_decode(site, PG_GETARG_DATUM(2), &base);
	lines_sort(&lines);
	if (rate_bill(lines.item, lines.n, &extra, &base, &bill) != RATE_OK)
		out_of_range("cost");
	for (i = 0; i < bill.n; i++)
		put_usage_row(result, &bill.item[i]);
	db_leave(&session);
	return (Datum) 0;
}

/*
 * unposted(site_id, sealed, tier_extra, tier_base, open_lines[]) → numeric: round(S + O) -
 * round(S), for the views, which have the account's row at hand; reads tariffs only.
 */
Datum
prepay_unposted(PG_FUNCTION_ARGS)
{
	Account account = { .sealed = numeric_exact(PG_GETARG_DATUM(1)) };
	DbSession session;
	const Site *site;
	int64 balance;
	Datum result;

	if (!may_see(PG_GETARG_DATUM(0)))
		PG_RETURN_NULL();
	db_enter(&session);
	site = site_get(PG_GETARG_INT32(0));
	decode_all(site, PG_GETARG_DATUM(4), &account.leaving);
	if (account.leaving.n > 0)
	{
		extra_decode(PG_GETARG_DATUM(2), &account.extra);
		positions_decode(site, PG_GETARG_DATUM(3), &account.base);
	}
	balance = account_balance_of(site, &account);
	MemoryContextSwitchTo(session.outer);
	result = minor_numeric(-balance, site->decimals);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
