/*
 * rate_bill.c: from lines of energy to lines of money.
 *
 * Everything that rests on energy is linear in the energy lines, and everything
 * that rests on standing charges is linear in those, so surcharges are formed
 * twice, once for each base, and still add up exactly.
 *
 * Proportional allocation. Let E be the energy of the accumulation period so
 * far, E[p] that of period p, T[k] the part of E that lies in tier k. The cost is
 *
 *   C = sum over p, k of  price[p][k] * T[k] * E[p] / E
 *
 * with each term rounded once to 10^-12. Energy U that was brought over from elsewhere
 * (tier_start) has no period and was paid for: the tiers begin at U. A step (the lines of one
 * meter, day and version) is billed C(after) - C(before), term by term: earlier energy moves
 * between tiers when the shares of the periods change, so a line may be
 * negative, but the sum over any run of steps is C(last) - C(first). The Wh of
 * a line are the difference of round(E[p] * (T[0] + .. + T[k]) / E) for k and
 * k - 1: over the tiers they sum to E[p], so no Wh is lost either.
 */
#include "rate_vec.h"

#include <stdlib.h>
#include <string.h>

/* The parts of an accumulation period by period and tier. */
typedef struct Shares
{
	Exact amount[TARIFF_MAX_PERIODS][TARIFF_MAX_TIERS];
	int64_t wh[TARIFF_MAX_PERIODS][TARIFF_MAX_TIERS];
} Shares;

int
rate_compare_versions(const Tariff *a, int32_t a_version, const Tariff *b, int32_t b_version)
{
	if (a->valid_from != b->valid_from)
		return a->valid_from < b->valid_from ? -1 : 1;
	return (a_version > b_version) - (a_version < b_version);
}

static int
compare_step(const RateLine *a, const RateLine *b)
{
	if (a->day != b->day)
		return a->day < b->day ? -1 : 1;
	if (a->tariff_id != b->tariff_id)
		return a->tariff_id < b->tariff_id ? -1 : 1;
	if (a->version != b->version)
		return rate_compare_versions(a->tariff, a->version, b->tariff, b->version);
	if (a->meter_id != b->meter_id)
		return a->meter_id < b->meter_id ? -1 : 1;
	return 0;
}

static int
compare_lines(const void *a, const void *b)
{
	const RateLine *x = *(const RateLine *const *) a;
	const RateLine *y = *(const RateLine *const *) b;
	int step = compare_step(x, y);

	if (step != 0)
		return step;
	if (x->period != y->period)
		return x->period < y->period ? -1 : 1;
	return (x->tier > y->tier) - (x->tier < y->tier);
}

static const RateLine **
order_lines(const RateLine *line, int n)
{
	const RateLine **order = core_alloc((size_t) n * sizeof(*order));
	bool sorted = true;

	for (int i = 0; i < n; i++)
	{
		order[i] = &line[i];
		if (i > 0 && compare_lines(&order[i - 1], &order[i]) > 0)
			sorted = false;
	}
	if (!sorted)
		qsort(order, (size_t) n, sizeof(*order), compare_lines);
	return order;
}

static BillLine *
append_bill(BillVec *bill, const RateLine *key, BillComponent component, int index)
{
	BillLine *line;

	RATE_ROOM(bill);
	line = &bill->item[bill->n++];
	memset(line, 0, sizeof(BillLine));
	line->meter_id = key->meter_id;
	line->day = key->day;
	line->tariff_id = key->tariff_id;
	line->version = key->version;
	line->component = component;
	line->index = (int16_t) index;
	line->period = -1;
	line->tier = -1;
	line->tariff = key->tariff;
	return line;
}

static void
append_energy(BillVec *bill, const RateLine *key, int period, int tier, int64_t wh,
			  int64_t estimated_wh, Exact amount)
{
	BillLine *line = append_bill(bill, key, BILL_ENERGY, 0);

	line->period = (int16_t) period;
	line->tier = (int16_t) tier;
	line->wh = wh;
	line->estimated_wh = estimated_wh;
	line->amount = amount;
}

static bool
bill_chronological(const RateLine *const *line, int n, BillVec *bill)
{
	for (int i = 0; i < n;)
	{
		const RateLine *key = line[i];
		int64_t wh = 0;
		int64_t estimated_wh = 0;
		Exact amount;

		for (; i < n && line[i]->period == key->period && line[i]->tier == key->tier; i++)
			if (__builtin_add_overflow(wh, line[i]->wh, &wh) ||
				__builtin_add_overflow(estimated_wh, line[i]->estimated_wh, &estimated_wh))
				return false;
		if (!exact_mul(exact_per_wh(key->tariff->price_micro[key->period][key->tier]), wh, &amount))
			return false;
		append_energy(bill, key, key->period, key->tier, wh, estimated_wh, amount);
	}
	return true;
}

static bool
share_round(int64_t whole, int64_t part, int64_t total, int64_t *share)
{
	return div_round_half_away((__int128) whole * part, total, share);
}

/* C and its energy for the energy so far by period of use, by period and tier. */
static bool
cumulate_shares(const Tariff *tariff, const int64_t *by_period, const int64_t *bound,
				Shares *shares)
{
	int64_t total = 0;
	int64_t below = 0; /* energy in the tiers before */

	memset(shares, 0, sizeof(Shares));
	for (int period = 0; period < tariff->n_period; period++)
		if (__builtin_add_overflow(total, by_period[period], &total))
			return false;
	if (total == 0)
		return true;

	for (int tier = 0; tier < tariff->n_tier; tier++)
	{
		int64_t upto = tier < tariff->n_tier - 1 && bound[tier] < total ? bound[tier] : total;

		if (upto < below)
			upto = below;
		for (int period = 0; period < tariff->n_period; period++)
		{
			int64_t energy = by_period[period];
			int64_t before;
			int64_t after;
			Exact cost;

			if (!exact_mul(exact_per_wh(tariff->price_micro[period][tier]), upto - below, &cost) ||
				!exact_ratio(cost, energy, total, &shares->amount[period][tier]) ||
				!share_round(energy, below, total, &before) ||
				!share_round(energy, upto, total, &after))
				return false;
			shares->wh[period][tier] = after - before;
		}
		below = upto;
	}
	return true;
}

/* Raw energy of the lines of one step, by period. */
static bool
sum_periods(const RateLine *const *line, int n, int64_t *wh, int64_t *estimated_wh)
{
	memset(wh, 0, TARIFF_MAX_PERIODS * sizeof(*wh));
	memset(estimated_wh, 0, TARIFF_MAX_PERIODS * sizeof(*estimated_wh));
	for (int i = 0; i < n; i++)
		if (__builtin_add_overflow(wh[line[i]->period], line[i]->wh, &wh[line[i]->period]) ||
			__builtin_add_overflow(estimated_wh[line[i]->period], line[i]->estimated_wh,
								   &estimated_wh[line[i]->period]))
			return false;
	return true;
}

/* Energy lines of one period of a step; the estimated Wh follow the lines' Wh. */
static bool
append_period_shares(BillVec *bill, const RateLine *key, int period, int64_t wh,
					 int64_t estimated_wh, const Shares *before, const Shares *after)
{
	int64_t billed = 0;
	int64_t estimated = 0;

	for (int tier = 0; tier < key->tariff->n_tier; tier++)
	{
		int64_t tier_wh = after->wh[period][tier] - before->wh[period][tier];
		int64_t estimated_upto = 0;
		Exact amount;

		billed += tier_wh;
		if (wh != 0 && !share_round(estimated_wh, billed, wh, &estimated_upto))
			return false;
		if (!exact_add(after->amount[period][tier], -before->amount[period][tier], &amount))
			return false;
		if (tier_wh != 0 || amount != 0)
			append_energy(bill, key, period, tier, tier_wh, estimated_upto - estimated, amount);
		estimated = estimated_upto;
	}
	return true;
}

/* positions: before the step. */
static bool
bill_proportional(const RateLine *const *line, int n, const TariffExtra *extra,
				  const RatePositionVec *positions, BillVec *bill)
{
	const RateLine *key = line[0];
	const Tariff *tariff = key->tariff;
	int64_t bound[TARIFF_MAX_TIERS - 1];
	int64_t wh[TARIFF_MAX_PERIODS];
	int64_t estimated_wh[TARIFF_MAX_PERIODS];
	int64_t by_period[TARIFF_MAX_PERIODS];
	int64_t unknown;
	Shares before;
	Shares after;

	if (!tariff_bounds(tariff, key->season, key->accum_start, key->accum_end, key->day, extra,
					   bound) ||
		!sum_periods(line, n, wh, estimated_wh) ||
		!rate_position_by_period(positions, key->tariff_id, key->accum_start, key->accum_end,
								 tariff, by_period, &unknown))
		return false;
	/* Energy brought over was paid for elsewhere: it has used up its part of the tiers. */
	for (int tier = 0; tier < tariff->n_tier - 1; tier++)
		bound[tier] = bound[tier] > unknown ? bound[tier] - unknown : 0;
	if (!cumulate_shares(tariff, by_period, bound, &before))
		return false;
	for (int period = 0; period < tariff->n_period; period++)
		if (__builtin_add_overflow(by_period[period], wh[period], &by_period[period]))
			return false;
	if (!cumulate_shares(tariff, by_period, bound, &after))
		return false;
	for (int period = 0; period < tariff->n_period; period++)
		if (!append_period_shares(bill, key, period, wh[period], estimated_wh[period], &before,
								  &after))
			return false;
	return true;
}

/* Surcharges on the energy of one step: bill lines [first, end). */
static bool
append_surcharges(BillVec *bill, int first, int end)
{
	const Tariff *tariff = bill->item[first].tariff;
	Exact part[TARIFF_MAX_SURCHARGES];
	Exact energy = 0;
	int64_t wh = 0;
	int64_t estimated_wh = 0;
	RateLine key;

	for (int i = first; i < end; i++)
		if (!exact_add(energy, bill->item[i].amount, &energy) ||
			__builtin_add_overflow(wh, bill->item[i].wh, &wh) ||
			__builtin_add_overflow(estimated_wh, bill->item[i].estimated_wh, &estimated_wh))
			return false;
	if (!tariff_surcharges(tariff, wh, energy, 0, part))
		return false;

	key.meter_id = bill->item[first].meter_id;
	key.day = bill->item[first].day;
	key.tariff_id = bill->item[first].tariff_id;
	key.version = bill->item[first].version;
	key.tariff = tariff;
	for (int i = 0; i < tariff->n_surcharge; i++)
	{
		BillLine *line;

		if (part[i] == 0)
			continue;
		line = append_bill(bill, &key, BILL_SURCHARGE, i);
		line->amount = part[i];
		if (!tariff->surcharge[i].is_percent)
		{
			line->wh = wh;
			line->estimated_wh = estimated_wh;
		}
	}
	return true;
}

static bool
same_step(const BillLine *a, const BillLine *b)
{
	return a->day == b->day && a->tariff_id == b->tariff_id && a->version == b->version &&
		   a->meter_id == b->meter_id;
}

static bool
append_all_surcharges(BillVec *bill, int first)
{
	int end = bill->n;
	int next;

	for (int i = first; i < end; i = next)
	{
		for (next = i + 1; next < end && same_step(&bill->item[i], &bill->item[next]);)
			next++;
		if (bill->item[i].tariff->n_surcharge > 0 && !append_surcharges(bill, i, next))
			return false;
	}
	return true;
}

/* Positions the steps start from, with a period open for every line. */
static void
begin_positions(const RatePositionVec *before, const RateLine *line, int n,
				RatePositionVec *positions)
{
	rate_position_copy(before, positions);
	for (int i = 0; i < n; i++)
		if (!rate_position_is_open(positions, line[i].tariff_id, line[i].accum_start,
								   line[i].accum_end))
			rate_position_open(positions, line[i].tariff_id, line[i].accum_start, line[i].accum_end,
							   line[i].tariff);
}

static bool
move_positions(RatePositionVec *positions, const RateLine *const *line, int n)
{
	for (int i = 0; i < n; i++)
		if (!rate_position_add(positions, line[i]->tariff_id, line[i]->tariff, line[i]->day,
							   line[i]->period, line[i]->wh))
			return false;
	return true;
}

/* The energy lines of all steps, in order; positions is NULL when no step asks for them. */
static bool
append_all_energy(const RateLine *const *line, int n, const TariffExtra *extra,
				  RatePositionVec *positions, BillVec *bill)
{
	int next;

	for (int i = 0; i < n; i = next)
	{
		bool billed;

		for (next = i + 1; next < n && compare_step(line[i], line[next]) == 0;)
			next++;
		if (line[i]->tariff->allocation == ALLOCATE_PROPORTIONAL)
			billed = bill_proportional(line + i, next - i, extra, positions, bill);
		else
			billed = bill_chronological(line + i, next - i, bill);
		if (!billed || (positions && !move_positions(positions, line + i, next - i)))
			return false;
	}
	return true;
}

RateResult
rate_bill(const RateLine *line, int n, const TariffExtra *extra, const RatePositionVec *before,
		  BillVec *bill)
{
	int first = bill->n;
	bool positioned = false;
	bool billed;
	RatePositionVec positions = { 0 };
	const RateLine **order;

	if (n == 0)
		return RATE_OK;
	for (int i = 0; i < n; i++)
		if (line[i].tariff->allocation == ALLOCATE_PROPORTIONAL)
			positioned = true;
	if (positioned)
		begin_positions(before, line, n, &positions);
	order = order_lines(line, n);
	billed = append_all_energy(order, n, extra, positioned ? &positions : NULL, bill) &&
			 append_all_surcharges(bill, first);
	core_free(order);
	if (positions.item)
		core_free(positions.item);
	if (billed)
		return RATE_OK;
	bill->n = first;
	return RATE_OVERFLOW;
}

/* What one day bears of a standing charge. */
static bool
standing_amount(const TariffStanding *standing, int32_t day, Exact *amount)
{
	int year;
	int month;
	int mday;
	int days;
	Exact whole;
	Exact upto;
	Exact before;

	if (!exact_from_micro(standing->amount_micro, &whole))
		return false;
	if (!standing->per_month)
	{
		*amount = whole;
		return true;
	}
	cal_civil(day, &year, &month, &mday);
	days = cal_days_in_month(year, month);
	return exact_ratio(whole, mday, days, &upto) && exact_ratio(whole, mday - 1, days, &before) &&
		   exact_add(upto, -before, amount);
}

static bool
append_standing(const RateLine *key, StandingDay kind, BillVec *bill)
{
	const Tariff *tariff = key->tariff;
	Exact part[TARIFF_MAX_SURCHARGES];
	Exact total = 0;

	for (int i = 0; i < tariff->n_standing; i++)
	{
		const TariffStanding *standing = &tariff->standing[i];
		BillLine *line;
		Exact amount;

		if ((kind == STANDING_CUT && !standing->while_off) ||
			(kind == STANDING_SKIPPED && !standing->per_month))
			continue;
		if (!standing_amount(standing, key->day, &amount) || !exact_add(total, amount, &total))
			return false;
		if (amount == 0)
			continue;
		line = append_bill(bill, key, BILL_STANDING, i);
		line->amount = amount;
	}
	if (!tariff_surcharges(tariff, 0, 0, total, part))
		return false;
	for (int i = 0; i < tariff->n_surcharge; i++)
	{
		BillLine *line;

		if (part[i] == 0)
			continue;
		line = append_bill(bill, key, BILL_SURCHARGE, i);
		line->amount = part[i];
	}
	return true;
}

RateResult
rate_standing(const Tariff *tariff, int32_t tariff_id, int32_t version, int32_t day,
			  StandingDay kind, BillVec *bill)
{
	int first = bill->n;
	RateLine key = {
		.meter_id = 0, .day = day, .tariff_id = tariff_id, .version = version, .tariff = tariff
	};

	if (append_standing(&key, kind, bill))
		return RATE_OK;
	bill->n = first;
	return RATE_OVERFLOW;
}
