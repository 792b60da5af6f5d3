/*
 * explain.c: every step from energy to money of an account, as it is rated.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "rerate.h"
#include "tariff_store.h"

#define EXPLAIN_COLUMNS 17

PG_FUNCTION_INFO_V1(prepay_explain);

typedef struct Explain
{
	ReturnSetInfo *result;
	const Site *site;
	const char *account;
	TimestampTz from;
	TimestampTz to;
	int n_meter; /* codes of meters met, by id */
	int32 *meter_id;
	char **meter_code;
} Explain;

static const char *
meter_code(Explain *explain, int32 meter_id)
{
	int i;

	for (i = 0; i < explain->n_meter; i++)
		if (explain->meter_id[i] == meter_id)
			return explain->meter_code[i];
	return "?";
}

static void
load_meter_codes(Explain *explain, int32 account_id)
{
	static DbQuery query = {
		"SELECT DISTINCT m.meter_id, m.code FROM prepay.account_meter a"
		" JOIN prepay.meter m USING (site_id, meter_id) WHERE a.site_id = $1 AND a.account_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(explain->site->site_id), Int32GetDatum(account_id) };
	int i;

	explain->n_meter = db_run(&query, args);
	explain->meter_id = palloc(sizeof(int32) * Max(explain->n_meter, 1));
	explain->meter_code = palloc(sizeof(char *) * Max(explain->n_meter, 1));
	for (i = 0; i < explain->n_meter; i++)
	{
		explain->meter_id[i] = db_int32(i, 1);
		explain->meter_code[i] = db_text(i, 2);
	}
}

static char *
why(const RateStep *step)
{
	const Tariff *tariff = step->piece->tariff;
	bool has_tiers = tariff->n_tier > 1;

	if (tariff->allocation == ALLOCATE_PROPORTIONAL)
		return "tiers are shared among the periods at the end of the step";
	if (step->piece->estimated && has_tiers)
		return "shared by time over a gap; priced at the tier reached";
	if (step->piece->estimated)
		return "shared by time over a gap";
	return has_tiers ? "priced at the tier reached" : "one price";
}

static void
put_step(void *context, const RateStep *step)
{
	Explain *explain = context;
	const RatePiece *piece = step->piece;
	const Tariff *tariff = piece->tariff;
	Datum values[EXPLAIN_COLUMNS];
	bool nulls[EXPLAIN_COLUMNS] = { false };
	Exact amount = 0;
	Exact price;
	int day_type = tariff_day_type(tariff, piece->day);
	int i = 0;

	if (step->from >= explain->to || step->to <= explain->from)
		return;
	if (!exact_mul(exact_per_wh(tariff->price_micro[piece->period][step->tier]), step->wh,
				   &amount) ||
		!exact_from_micro(tariff->price_micro[piece->period][step->tier], &price))
		out_of_range("cost");
	values[i++] = CStringGetTextDatum(explain->site->code);
	values[i++] = CStringGetTextDatum(explain->account);
	values[i++] = CStringGetTextDatum(meter_code(explain, piece->meter_id));
	values[i++] = TimestampTzGetDatum(step->from);
	values[i++] = TimestampTzGetDatum(step->to);
	values[i++] = minor_numeric(step->wh, 3);
	values[i++] = CStringGetTextDatum(tariff_code(explain->site, piece->tariff_id)->code);
	values[i++] = Int32GetDatum(piece->version);
	values[i++] = CStringGetTextDatum(tariff->season_name[piece->season]);
	values[i++] = CStringGetTextDatum(day_type < 0 ? "other" : tariff->day_type_name[day_type]);
	values[i++] = CStringGetTextDatum(tariff->period_name[piece->period]);
	values[i++] = Int32GetDatum(step->tier + 1);
	values[i++] = minor_numeric(step->position_wh, 3);
	values[i++] = exact_numeric(price);
	nulls[i] = tariff->allocation == ALLOCATE_PROPORTIONAL;
	values[i] = exact_numeric(amount);
	i++;
	values[i++] = BoolGetDatum(piece->estimated);
	values[i++] = CStringGetTextDatum(why(step));
	Assert(i == EXPLAIN_COLUMNS);
	tuplestore_putvalues(explain->result->setResult, explain->result->setDesc, values, nulls);
}

/*
 * explain(account, t0, t1): the walk of the account's energy through periods and tiers,
 * step by step; amount is the energy component, exact. Reads only.
 */
Datum
prepay_explain(PG_FUNCTION_ARGS)
{
	Explain explain = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	DbSession session;
	CodeTarget target;
	RerateResult result;
	Account *account;
	RerateAsk ask = { .trace = put_step, .context = &explain };
	int n;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the account must be given")));
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_ACCOUNT, &target);
	auth_require(session.caller, MAY_READ, target.site_id, "explain a bill");
	explain.site = site_get(target.site_id);
	explain.account = target.code;
	explain.from =
		PG_ARGISNULL(1) ? explain.site->now - 30 * USECS_PER_DAY : PG_GETARG_TIMESTAMPTZ(1);
	explain.to = PG_ARGISNULL(2) ? explain.site->now : PG_GETARG_TIMESTAMPTZ(2);
	if (TIMESTAMP_NOT_FINITE(explain.from) || explain.from > explain.to)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the time range begins after its end or is infinite"),
						errhint("Give two times, the earlier one first.")));
	account = account_read_all(explain.site, &target.id, 1, &n);
	load_meter_codes(&explain, target.id);
	/* Positions before a day are known from sealed lines, so the walk starts at a sealed day. */
	ask.account_id = target.id;
	ask.extra = &account->extra;
	ask.from_day = Min(site_local_day(explain.site, explain.from), account->sealed_to);
	ask.gap_us = 2 * setting_interval_us(explain.site, "poll_interval", 0);
	rerate_compute(explain.site, &ask, &result);
	db_leave(&session);
	return (Datum) 0;
}
