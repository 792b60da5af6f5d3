/*
 * rate_split.c: from the energy of an interval to the energy of its parts.
 *
 * Time is a line of UTC instants; what is in force is read off the wall clock.
 * A stretch is the longest run of instants that shares one offset, one local
 * day, one slot and one tariff version. The stepper goes from stretch to
 * stretch: between two changes of the offset the wall clock runs evenly, so the
 * next edge is a subtraction; at a change the wall clock is read anew, which is
 * all there is to skipped and repeated hours. Neighbouring stretches of the same
 * day, version and period are one part.
 *
 * The Wh of the interval go to the parts by their microseconds: whole quotients
 * first, then one Wh each to the largest remainders, the earlier part first on a
 * tie. So the parts sum to the interval, and a part's share depends on nothing
 * but the interval itself.
 */
#include "rate_vec.h"

#include <stdlib.h>
#include <string.h>

#define SEARCH_US (7 * CAL_DAY_US) /* how far from an interval a slot of a period is looked for */
#define REMAINDERS_ON_STACK 32

/* The stretch [at, end) and what is in force in it. */
typedef struct Stepper
{
	const CalZone *zone;
	const Tariff *tariff;
	CalLocal local; /* the wall clock at `at` */
	int64_t at;
	int64_t end;
	TariffDayFacts facts; /* of local.day */
	int slot;
} Stepper;

static void
stepper_enter_day(Stepper *stepper)
{
	tariff_day_facts(stepper->tariff, stepper->local.day, &stepper->facts);
	stepper->slot = 0;
}

/* Find the slot of the wall clock, not before the slot at hand, and where the stretch ends. */
static void
stepper_find_end(Stepper *stepper)
{
	const TariffRow *row = stepper->facts.row;
	const CalLocal *local = &stepper->local;
	int64_t wall_end = CAL_DAY_US;
	int64_t left;

	while (stepper->slot + 1 < row->n &&
		   row->slot[stepper->slot + 1].minute * CAL_MIN_US <= local->us)
		stepper->slot++;
	if (stepper->slot + 1 < row->n)
		wall_end = row->slot[stepper->slot + 1].minute * CAL_MIN_US;
	left = wall_end - local->us;
	stepper->end = local->until - left < stepper->at ? local->until : stepper->at + left;
}

static void
stepper_start(Stepper *stepper, const CalZone *zone, const Tariff *tariff, int64_t at)
{
	stepper->zone = zone;
	stepper->tariff = tariff;
	stepper->at = at;
	stepper->facts.accum_start = 0;
	stepper->facts.accum_end = 0;
	cal_local(zone, at, &stepper->local);
	stepper_enter_day(stepper);
	stepper_find_end(stepper);
}

static void
stepper_next(Stepper *stepper)
{
	int32_t day = stepper->local.day;

	if (stepper->end == stepper->local.until)
	{
		cal_local(stepper->zone, stepper->end, &stepper->local);
		stepper->slot = 0;
	}
	else
	{
		stepper->local.us += stepper->end - stepper->at;
		if (stepper->local.us == CAL_DAY_US)
		{
			stepper->local.day++;
			stepper->local.us = 0;
		}
	}
	stepper->at = stepper->end;
	if (stepper->local.day != day)
		stepper_enter_day(stepper);
	stepper_find_end(stepper);
}

static int
stepper_period(const Stepper *stepper)
{
	return stepper->facts.row->slot[stepper->slot].period;
}

/* First instant of [from, to) that no span with a tariff covers. */
static bool
find_lacking(const RateSpan *span, int n_span, int64_t from, int64_t to, int64_t *lacking)
{
	for (int i = 0; i < n_span && from < to; i++)
	{
		if (span[i].to <= from)
			continue;
		if (span[i].from > from || span[i].tariff == NULL)
			break;
		from = span[i].to;
	}
	*lacking = from;
	return from < to;
}

static bool
append_part(RatePieceVec *pieces, int first, const Stepper *stepper, const RateSpan *span,
			int32_t meter_id, int64_t end)
{
	int period = stepper_period(stepper);
	RatePiece *piece;

	if (pieces->n > first)
	{
		piece = &pieces->item[pieces->n - 1];
		if (piece->day == stepper->local.day && piece->period == period &&
			piece->version == span->version && piece->tariff_id == span->tariff_id)
		{
			piece->to = end;
			return true;
		}
	}
	if (pieces->n - first >= RATE_MAX_PARTS)
		return false;

	RATE_ROOM(pieces);

	piece = &pieces->item[pieces->n++];
	piece->from = stepper->at;
	piece->to = end;
	piece->wh = 0;
	piece->meter_id = meter_id;
	piece->tariff_id = span->tariff_id;
	piece->version = span->version;
	piece->day = stepper->local.day;
	piece->accum_start = stepper->facts.accum_start;
	piece->accum_end = stepper->facts.accum_end;
	piece->season = (int16_t) stepper->facts.season;
	piece->period = (int16_t) period;
	piece->estimated = false;
	piece->tariff = span->tariff;
	return true;
}

/* Append the parts of [from, to), without energy. */
static RateResult
append_parts(const CalZone *zone, const RateSpan *span, int n_span, int32_t meter_id, int64_t from,
			 int64_t to, RatePieceVec *pieces, int64_t *lacking)
{
	int first = pieces->n;
	int64_t length;

	if (find_lacking(span, n_span, from, to, lacking))
		return RATE_NO_TARIFF;
	if (__builtin_sub_overflow(to, from, &length) || length / CAL_DAY_US >= RATE_MAX_PARTS)
		return RATE_OVERFLOW;

	for (int i = 0; i < n_span && span[i].from < to; i++)
	{
		int64_t end = span[i].to < to ? span[i].to : to;
		Stepper stepper;

		if (end <= from)
			continue;
		stepper_start(&stepper, zone, span[i].tariff, span[i].from > from ? span[i].from : from);
		while (stepper.end < end)
		{
			if (!append_part(pieces, first, &stepper, &span[i], meter_id, stepper.end))
			{
				pieces->n = first;
				return RATE_OVERFLOW;
			}
			stepper_next(&stepper);
		}
		if (!append_part(pieces, first, &stepper, &span[i], meter_id, end))
		{
			pieces->n = first;
			return RATE_OVERFLOW;
		}
	}
	return RATE_OK;
}

int
rate_period(const Tariff *tariff, const char *name)
{
	for (int period = 0; period < tariff->n_period; period++)
		if (strcmp(tariff->period_name[period], name) == 0)
			return period;
	return -1;
}

/* Which parts share an amount of energy: those of one period of a tariff, or all (NULL). */
typedef struct ShareOf
{
	const Tariff *tariff;
	int period;
} ShareOf;

static bool
has_share(const ShareOf *of, const RatePiece *part)
{
	if (of->tariff == NULL)
		return true;
	if (of->tariff == part->tariff)
		return part->period == of->period;
	return strcmp(of->tariff->period_name[of->period], part->tariff->period_name[part->period]) ==
		   0;
}

typedef struct Remainder
{
	int64_t us_wh; /* of the share's division */
	int index;
} Remainder;

static int
compare_remainders(const void *a, const void *b)
{
	const Remainder *x = a;
	const Remainder *y = b;

	if (x->us_wh != y->us_wh)
		return x->us_wh < y->us_wh ? 1 : -1;
	return (x->index > y->index) - (x->index < y->index);
}

/* One Wh more for each of the largest remainders. */
static void
give_rest(RatePiece *part, Remainder *remainder, int n, int64_t rest)
{
	if (n > REMAINDERS_ON_STACK)
	{
		qsort(remainder, (size_t) n, sizeof(Remainder), compare_remainders);
		for (int i = 0; i < rest; i++)
			part[remainder[i].index].wh++;
		return;
	}
	for (; rest > 0; rest--)
	{
		int largest = 0;

		for (int i = 1; i < n; i++)
			if (remainder[i].us_wh > remainder[largest].us_wh)
				largest = i;
		part[remainder[largest].index].wh++;
		remainder[largest].us_wh = -1;
	}
}

/* Share wh by time among those of the n parts that have a share; false: none has. */
static bool
share_energy(RatePiece *part, int n, const ShareOf *of, int64_t wh, bool estimated)
{
	Remainder on_stack[REMAINDERS_ON_STACK];
	Remainder *remainder = on_stack;
	int64_t total_us = 0;
	int64_t rest = wh;
	int sharing = 0;

	for (int i = 0; i < n; i++)
		if (has_share(of, &part[i]))
		{
			total_us += part[i].to - part[i].from;
			sharing++;
		}
	if (sharing == 0)
		return false;
	if (sharing > REMAINDERS_ON_STACK)
		remainder = core_alloc((size_t) sharing * sizeof(Remainder));

	sharing = 0;
	for (int i = 0; i < n; i++)
	{
		int64_t us = part[i].to - part[i].from;
		int64_t product;

		if (!has_share(of, &part[i]))
			continue;
		remainder[sharing].index = i;
		if (__builtin_mul_overflow(wh, us, &product))
		{
			__int128 wide = (__int128) wh * us;

			part[i].wh = (int64_t) (wide / total_us);
			remainder[sharing].us_wh = (int64_t) (wide % total_us);
		}
		else
		{
			part[i].wh = product / total_us;
			remainder[sharing].us_wh = product % total_us;
		}
		rest -= part[i].wh;
		sharing++;
	}
	give_rest(part, remainder, sharing, rest);
	for (int i = 0; i < sharing && estimated && sharing > 1; i++)
		part[remainder[i].index].estimated = true;
	if (remainder != on_stack)
		core_free(remainder);
	return true;
}

static void
drop_empty(RatePieceVec *pieces, int first)
{
	int kept = first;

	for (int i = first; i < pieces->n; i++)
		if (pieces->item[i].wh > 0)
		{
			if (kept < i)
				pieces->item[kept] = pieces->item[i];
			kept++;
		}
	pieces->n = kept;
}

RateResult
rate_split(const CalZone *zone, const RateSpan *span, int n_span, int32_t meter_id, int64_t from,
		   int64_t to, int64_t wh, bool estimated, RatePieceVec *pieces, int64_t *lacking)
{
	static const ShareOf everything = { NULL, 0 };
	int first = pieces->n;
	RateResult result = append_parts(zone, span, n_span, meter_id, from, to, pieces, lacking);

	if (result != RATE_OK)
		return result;
	if (pieces->n - first == 1)
		pieces->item[first].wh = wh;
	else
		share_energy(pieces->item + first, pieces->n - first, &everything, wh, estimated);
	drop_empty(pieces, first);
	return RATE_OK;
}

bool
rate_share(int64_t whole, const int64_t *weight, int n, int64_t *share)
{
	__int128 total = 0;
	int64_t rest = whole;

	for (int i = 0; i < n; i++)
		total += weight[i];
	if (total == 0)
		return false;
	for (int i = 0; i < n; i++)
	{
		share[i] = (int64_t) ((__int128) whole * weight[i] / total);
		rest -= share[i];
	}
	for (; rest > 0; rest--)
	{
		__int128 largest = -1;
		int of = 0;

		for (int i = 0; i < n; i++)
		{
			__int128 remainder = (__int128) whole * weight[i] - (__int128) share[i] * total;

			if (remainder > largest)
			{
				largest = remainder;
				of = i;
			}
		}
		share[of]++;
	}
	return true;
}

/* Time from the last slot of a period before an interval, or to the first one after it. */
static int64_t
slot_distance(const CalZone *zone, const Tariff *tariff, const char *name, int64_t from, int64_t to,
			  bool before)
{
	int period = rate_period(tariff, name);
	int64_t distance = INT64_MAX;
	Stepper stepper;

	if (period < 0)
		return distance;
	stepper_start(&stepper, zone, tariff, from);
	while (stepper.at < to)
	{
		if (stepper_period(&stepper) == period)
		{
			if (!before)
				return stepper.at - from;
			distance = stepper.end < to ? to - stepper.end : 0;
		}
		stepper_next(&stepper);
	}
	return distance;
}

/*
 * The meter registered a period that our clock does not see in the interval:
 * its clock is ahead or behind, so the energy belongs at that end of the
 * interval to which a slot of the period is nearer.
 */
static RatePiece
place_period(const CalZone *zone, const RatePiece *part, int n, const char *name, int64_t wh)
{
	const RatePiece *head = &part[0];
	const RatePiece *tail = &part[n - 1];
	int64_t before =
		slot_distance(zone, head->tariff, name, head->from - SEARCH_US, head->from, true);
	int64_t after = slot_distance(zone, tail->tariff, name, tail->to, tail->to + SEARCH_US, false);
	RatePiece piece = after < before ? *tail : *head;
	int period = rate_period(piece.tariff, name);

	piece.period = (int16_t) (period < 0 ? 0 : period);
	piece.wh = wh;
	piece.estimated = false;
	return piece;
}

RateResult
rate_split_periods(const CalZone *zone, const RateSpan *span, int n_span, int32_t meter_id,
				   int64_t from, int64_t to, const int64_t *period_wh, bool estimated,
				   RatePieceVec *pieces, int64_t *lacking)
{
	RatePiece placed[TARIFF_MAX_PERIODS];
	int n_placed = 0;
	int first = pieces->n;
	RateResult result = append_parts(zone, span, n_span, meter_id, from, to, pieces, lacking);
	const Tariff *tariff;
	int n;

	if (result != RATE_OK)
		return result;
	tariff = pieces->item[first].tariff;
	n = pieces->n - first;
	for (int period = 0; period < tariff->n_period; period++)
	{
		ShareOf of = { tariff, period };

		if (period_wh[period] == 0)
			continue;
		if (!share_energy(pieces->item + first, n, &of, period_wh[period], estimated))
			placed[n_placed++] = place_period(zone, pieces->item + first, n,
											  tariff->period_name[period], period_wh[period]);
	}
	drop_empty(pieces, first);
	for (int i = 0; i < n_placed; i++)
	{
		RATE_ROOM(pieces);
		pieces->item[pieces->n++] = placed[i];
	}
	return RATE_OK;
}
