/*
 * explain.c: every step from energy to money of an account, as it is rated.
 *
 * The walk of rerate_compute() tells its steps; what rests on whole days (surcharges,
 * standing charges) comes from the same functions that bill them. So rows add up to
 * usage_daily by meter, day, version, component, item, period and tier, to the last digit.
 *
 * Chronological tiers: a step is a row. Proportional tiers: the meters' steps of a day are
 * billed one after the other as rate_bill.c bills the day, and each moves earlier energy
 * between tiers: a step may be several rows, of which some are negative.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "explain.h"
#include "range.h"
#include "tariff_store.h"

PG_FUNCTION_INFO_V1(prepay_explain);

static void *
room_for(void *item, int n, int *room, Size size)
{
	if (n < *room)
		return item;
	*room = Max(64, *room * 2);
	return item ? repalloc_huge(item, *room * size)
				: MemoryContextAllocHuge(CurrentMemoryContext, *room * size);
}

static ExplainRow *
add_row(Explain *explain, ExplainKind kind, TimestampTz from, TimestampTz to)
{
	ExplainRow *row;

	explain->row = room_for(explain->row, explain->n_row, &explain->row_room, sizeof(ExplainRow));
	row = &explain->row[explain->n_row++];
	memset(row, 0, sizeof(*row));
	row->kind = kind;
	row->from = from;
	row->to = to;
	row->season = -1;
	return row;
}

/* A row that lies outside the time asked for is left out; others are given whole. */
static bool
is_wanted(const Explain *explain, TimestampTz from, TimestampTz to)
{
	return from < explain->to && to > explain->from;
}

/* ---- what the walk tells ---- */

static void
keep_interval(void *context, const RerateInterval *interval)
{
	Explain *explain = context;

	explain->interval = room_for(explain->interval, explain->n_interval, &explain->interval_room,
								 sizeof(RerateInterval));
	explain->interval[explain->n_interval++] = *interval;
}

static void
keep_step(void *context, const RateStep *step)
{
	Explain *explain = context;
	int room = explain->step_room;

	explain->step = room_for(explain->step, explain->n_step, &explain->step_room, sizeof(RateStep));
	explain->piece = room_for(explain->piece, explain->n_step, &room, sizeof(RatePiece));
	explain->step[explain->n_step] = *step;
	explain->piece[explain->n_step++] = *step->piece;
}

static int
compare_intervals(const void *a, const void *b)
{
	const RerateInterval *left = a;
	const RerateInterval *right = b;

	if (left->meter_id != right->meter_id)
		return left->meter_id < right->meter_id ? -1 : 1;
	if (left->to->read_at != right->to->read_at)
		return left->to->read_at < right->to->read_at ? -1 : 1;
	return left->term_from < right->term_from ? -1 : left->term_from > right->term_from;
}

/* The interval a piece was cut out of: the one of its term that ends first at or after it. */
static const RerateInterval *
interval_of(const Explain *explain, const RatePiece *piece)
{
	int low = 0;
	int high = explain->n_interval;

	while (low < high)
	{
		int middle = low + (high - low) / 2;
		const RerateInterval *interval = &explain->interval[middle];

		if (interval->meter_id < piece->meter_id ||
			(interval->meter_id == piece->meter_id && interval->to->read_at < piece->to))
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < explain->n_interval; low++)
		if (explain->interval[low].term_to > piece->from)
			return &explain->interval[low];
	return NULL;
}

/* ---- rows ---- */

/* Intervals for which nothing is charged until there is a tariff. */
static void
add_waiting(Explain *explain)
{
	int i;

	for (i = 0; i < explain->n_interval; i++)
	{
		const RerateInterval *interval = &explain->interval[i];
		ExplainRow *row;

		if (!interval->waits || !is_wanted(explain, interval->from->read_at, interval->to->read_at))
			continue;
		row = add_row(explain, EXPLAIN_WAITING, interval->from->read_at, interval->to->read_at);
		row->line.meter_id = interval->meter_id;
		row->line.day =
			Max(site_local_day(explain->site, interval->from->read_at), explain->first_day);
		row->interval = interval;
		row->why = "no tariff is in force for a part of this time: it waits in review";
	}
}

static void
add_energy(Explain *explain, const RateStep *step, const RatePiece *piece, const BillLine *line)
{
	ExplainRow *row;

	if (!is_wanted(explain, step->from, step->to))
		return;
	row = add_row(explain, EXPLAIN_ENERGY, step->from, step->to);
	row->line = *line;
	row->season = piece->season;
	row->position_wh = step->position_wh;
	row->estimated = piece->estimated;
	row->interval = interval_of(explain, piece);
	row->why = explain_energy(
		&explain->remarks,
		history_facts(history_meter(&explain->history, piece->meter_id), piece->from), row);
}

static void
add_chronological(Explain *explain, const RateStep *step, const RatePiece *piece)
{
	BillLine line = { .meter_id = piece->meter_id,
					  .day = piece->day,
					  .tariff_id = piece->tariff_id,
					  .version = piece->version,
					  .component = BILL_ENERGY,
					  .period = piece->period,
					  .tier = step->tier,
					  .wh = step->wh,
					  .tariff = piece->tariff };

	if (!exact_mul(exact_per_wh(piece->tariff->price_micro[piece->period][step->tier]), step->wh,
				   &line.amount))
		out_of_range("cost");
	add_energy(explain, step, piece, &line);
}

/* What one more piece costs under proportional tiers, at the position the bill has reached. */
static void
add_proportional(Explain *explain, RateStep *step, const RatePiece *piece, const TariffExtra *extra,
				 const RatePositionVec *positions)
{
	RateLine line = rate_line_of(piece);
	BillVec bill = { 0 };
	int i;

	if (!rate_position_wh(positions, piece->tariff_id, piece->accum_start, piece->accum_end,
						  &step->position_wh) ||
		rate_bill(&line, 1, extra, positions, &bill) != RATE_OK)
		out_of_range("cost");
	for (i = 0; i < bill.n; i++)
		if (bill.item[i].component == BILL_ENERGY)
			add_energy(explain, step, piece, &bill.item[i]);
	if (bill.item)
		pfree(bill.item);
}

/* The order of the bill; steps of one meter, day and version stay in the order of the walk. */
static int
compare_steps(const void *a, const void *b, void *pieces)
{
	int left = *(const int *) a;
	int right = *(const int *) b;
	const RatePiece *x = (RatePiece *) pieces + left;
	const RatePiece *y = (RatePiece *) pieces + right;

	if (x->day != y->day)
		return x->day < y->day ? -1 : 1;
	if (x->tariff_id != y->tariff_id)
		return x->tariff_id < y->tariff_id ? -1 : 1;
	if (x->version != y->version)
		return rate_compare_versions(x->tariff, x->version, y->tariff, y->version);
	if (x->meter_id != y->meter_id)
		return x->meter_id < y->meter_id ? -1 : 1;
	return left < right ? -1 : 1;
}

static void
add_steps(Explain *explain, const RatePositionVec *before, const TariffExtra *extra)
{
	RatePositionVec positions = { 0 };
	int *order = palloc(sizeof(int) * Max(explain->n_step, 1));
	int i;

	for (i = 0; i < explain->n_step; i++)
		order[i] = i;
	qsort_arg(order, explain->n_step, sizeof(int), compare_steps, explain->piece);
	rate_position_copy(before, &positions);
	rate_position_open_all(&positions, explain->piece, explain->n_step);
	for (i = 0; i < explain->n_step; i++)
	{
		RateStep *step = &explain->step[order[i]];
		const RatePiece *piece = &explain->piece[order[i]];

		if (piece->tariff->allocation == ALLOCATE_PROPORTIONAL)
			add_proportional(explain, step, piece, extra, &positions);
		else
			add_chronological(explain, step, piece);
		if (!rate_position_add(&positions, piece->tariff_id, piece->tariff, piece->day,
							   piece->period, step->wh))
			out_of_range("energy");
	}
}

static void
add_charge(Explain *explain, ExplainKind kind, const BillLine *line)
{
	TimestampTz from = cal_day_start(explain->site->zone, line->day);
	TimestampTz to = cal_day_start(explain->site->zone, line->day + 1);
	ExplainRow *row;

	if (!is_wanted(explain, from, to))
		return;
	row = add_row(explain, kind, from, to);
	row->line = *line;
	row->why = explain_charge(line);
}

static void
add_charges(Explain *explain, const Account *account, const RerateResult *result)
{
	BillVec bill = { 0 };
	BillVec standing = { 0 };
	StandingRules rules = { 0 };
	int i;

	if (rate_bill(result->lines.item, result->lines.n, &account->extra, &result->before, &bill) !=
		RATE_OK)
		out_of_range("cost");
	for (i = 0; i < bill.n; i++)
		if (bill.item[i].component != BILL_ENERGY)
			add_charge(explain, EXPLAIN_SURCHARGE, &bill.item[i]);
	/* Standing charges are due once the day is sealed. */
	rerate_standing(explain->site, account, explain->first_day,
					Min(explain->end_day, account->sealed_to), &rules, &standing);
	for (i = 0; i < standing.n; i++)
		add_charge(explain, EXPLAIN_STANDING, &standing.item[i]);
}

/* ---- all of it ---- */

static void
explain_account(Explain *explain, int32 account_id)
{
	const Site *site = explain->site;
	RerateAsk ask = { .account_id = account_id,
					  .trace = keep_step,
					  .interval = keep_interval,
					  .context = explain,
					  .history = &explain->history };
	RerateResult result;
	TimestampTz from;
	Account *account;
	int n;

	account = account_read_all(site, &account_id, 1, &n);
	/* Positions before a day are known from sealed lines, so the walk starts at a sealed day. */
	ask.from_day = Min(explain->first_day, account->sealed_to);
	ask.until = cal_day_start(site->zone, explain->end_day);
	ask.extra = &account->extra;
	ask.gap_us = 2 * setting_interval_us(site, "poll_interval", 0);
	from = cal_day_start(site->zone, ask.from_day);
	history_load(site, &account_id, 1, from, ask.until, &explain->history);
	explain_load_remarks(site, &explain->history, from, ask.until, &explain->remarks);
	explain_load_names(explain, account_id);
	rerate_compute(site, &ask, &result);
	qsort(explain->interval, explain->n_interval, sizeof(RerateInterval), compare_intervals);
	add_waiting(explain);
	add_steps(explain, &result.before, &account->extra);
	add_charges(explain, account, &result);
}

/*
 * explain(account, t0, t1): what touches [t0, t1), by local day and time. Rows of component
 * energy, standing and surcharge are the charge; rows without one wait for a tariff.
 * Reads only.
 */
Datum
prepay_explain(PG_FUNCTION_ARGS)
{
	Explain explain = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	DbSession session;
	CodeTarget target;
	TimeRange range;

	if (PG_ARGISNULL(0))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the account must be given")));
	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_ACCOUNT, &target);
	auth_require(session.caller, MAY_READ, target.site_id, "explain a bill");
	explain.site = site_get(target.site_id);
	explain.account = target.code;
	range = range_of_args(explain.site, fcinfo, 1);
	explain.from = range.from;
	explain.to = range.to;
	explain.first_day = range.first_day;
	explain.end_day = range.end_day;
	explain_account(&explain, target.id);
	explain_put_rows(&explain);
	db_leave(&session);
	return (Datum) 0;
}
