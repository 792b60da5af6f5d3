/*
 * flow_price.c: what energy of a meter since a reading costs its account, with the
 * surcharges on it: the lines of the account's own walk that are of this energy. Under
 * proportional tiers it is priced after all other energy of the same days.
 */
#include "flow.h"

#include "amount.h"
#include "money.h"
#include "rerate.h"
#include "state.h"

typedef struct FlowWalk
{
	int32 meter_id;
	TimestampTz from;
	RateLineVec lines; /* of the energy asked for */
	RatePieceVec other;
	int64 wh; /* of the lines */
} FlowWalk;

static void
keep_other(RatePieceVec *other, const RateStep *step)
{
	if (other->n == other->capacity)
	{
		other->capacity = Max(64, other->capacity * 2);
		other->item = core_realloc(other->item, sizeof(RatePiece) * other->capacity);
	}
	other->item[other->n] = *step->piece;
	other->item[other->n++].wh = step->wh;
}

static void
keep_step(void *context, const RateStep *step)
{
	FlowWalk *walk = context;
	const RatePiece *piece = step->piece;
	RateLine line = rate_line_of(piece);

	line.tier = step->tier;
	line.wh = step->wh;
	if (piece->meter_id != walk->meter_id || piece->from < walk->from)
	{
		keep_other(&walk->other, step);
		return;
	}
	walk->wh += step->wh;
	if (!rate_add_line(&walk->lines, &line))
		out_of_range("energy");
}

static int64
price_lines(const Site *site, FlowWalk *walk, const TariffExtra *extra,
			const RatePositionVec *before)
{
	RatePositionVec positions = { 0 };
	BillVec bill = { 0 };
	Exact sum = 0;
	int64 minor;
	int i;

	rate_position_copy(before, &positions);
	rate_position_open_all(&positions, walk->other.item, walk->other.n);
	for (i = 0; i < walk->other.n; i++)
	{
		const RatePiece *piece = &walk->other.item[i];

		if (!rate_position_add(&positions, piece->tariff_id, piece->tariff, piece->day,
							   piece->period, piece->wh))
			out_of_range("energy");
	}
	lines_sort(&walk->lines);
	if (rate_bill(walk->lines.item, walk->lines.n, extra, &positions, &bill) != RATE_OK)
		out_of_range("cost");
	for (i = 0; i < bill.n; i++)
		if (!exact_add(sum, bill.item[i].amount, &sum))
			out_of_range("cost");
	if (!exact_to_minor(sum, site->decimals, &minor))
		out_of_range("cost");
	return minor;
}

int64
flow_price(const Site *site, const RelayMeter *meter, TimestampTz from, int64 *wh)
{
	FlowWalk walk = { .meter_id = meter->meter_id, .from = from };
	RerateAsk ask = { .account_id = meter->account_id, .trace = keep_step, .context = &walk };
	RerateResult result;
	Account *account;
	int n;

	account = account_read_all(site, &meter->account_id, 1, &n);
	/* Positions before a day are known from sealed lines, so the walk starts at a sealed day. */
	ask.from_day = Min(site_local_day(site, from), account->sealed_to);
	ask.extra = &account->extra;
	ask.gap_us = 2 * setting_interval_us(site, "poll_interval", 0);
	rerate_compute(site, &ask, &result);
	*wh = walk.wh;
	return price_lines(site, &walk, &account->extra, &result.before);
}
