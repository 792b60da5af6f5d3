/*
 * rate_position.c: how much energy a tariff code has had in its accumulation periods.
 *
 * A period is opened for every (code, begin, end) by which some piece will be tiered,
 * and from then on takes all energy of the code on its days, whichever version priced
 * that. So versions may accumulate over different periods: a version by month and an
 * earlier one by year each find the energy of their own period, and the order in which
 * they came does not matter.
 *
 * Energy is kept apart by version because proportional allocation asks for it by
 * period of use, and versions may name those differently: by_period is counted under
 * the names of the version that wrote it and folded by name when another one asks.
 */
#include "rate_vec.h"

#include <string.h>

static bool
same_period(const RatePosition *position, int32_t tariff_id, int32_t start, int32_t end)
{
	return position->tariff_id == tariff_id && position->accum_start == start &&
		   position->accum_end == end;
}

bool
rate_position_is_open(const RatePositionVec *positions, int32_t tariff_id, int32_t start,
					  int32_t end)
{
	for (int i = 0; i < positions->n; i++)
		if (same_period(&positions->item[i], tariff_id, start, end))
			return true;
	return false;
}

static RatePosition *
find_version(const RatePositionVec *positions, const RatePosition *period, const Tariff *tariff)
{
	for (int i = 0; i < positions->n; i++)
		if (positions->item[i].tariff == tariff &&
			same_period(&positions->item[i], period->tariff_id, period->accum_start,
						period->accum_end))
			return &positions->item[i];
	return NULL;
}

RatePosition *
rate_position_open(RatePositionVec *positions, int32_t tariff_id, int32_t start, int32_t end,
				   const Tariff *tariff)
{
	RatePosition key = { .tariff_id = tariff_id, .accum_start = start, .accum_end = end };
	RatePosition *position = find_version(positions, &key, tariff);

	if (position)
		return position;
	RATE_ROOM(positions);
	position = &positions->item[positions->n++];
	*position = key;
	position->tariff = tariff;
	return position;
}

void
rate_position_open_all(RatePositionVec *positions, const RatePiece *piece, int n)
{
	for (int i = 0; i < n; i++)
	{
		const RatePiece *last = &piece[i > 0 ? i - 1 : 0];

		if (i > 0 && piece[i].accum_start == last->accum_start &&
			piece[i].accum_end == last->accum_end && piece[i].tariff_id == last->tariff_id)
			continue;
		if (!rate_position_is_open(positions, piece[i].tariff_id, piece[i].accum_start,
								   piece[i].accum_end))
			rate_position_open(positions, piece[i].tariff_id, piece[i].accum_start,
							   piece[i].accum_end, piece[i].tariff);
	}
}

bool
rate_position_add(RatePositionVec *positions, int32_t tariff_id, const Tariff *tariff, int32_t day,
				  int period, int64_t wh)
{
	int n = positions->n;

	for (int i = 0; i < n; i++)
	{
		RatePosition *position = &positions->item[i];

		if (position->tariff_id != tariff_id || day < position->accum_start ||
			day >= position->accum_end)
			continue;
		if (position->tariff != tariff)
		{
			/* Found: it has had its turn, or will have. */
			if (find_version(positions, position, tariff))
				continue;
			position = rate_position_open(positions, tariff_id, position->accum_start,
										  position->accum_end, tariff);
		}
		if (__builtin_add_overflow(position->wh, wh, &position->wh) ||
			__builtin_add_overflow(position->by_period[period], wh, &position->by_period[period]))
			return false;
	}
	return true;
}

bool
rate_position_wh(const RatePositionVec *positions, int32_t tariff_id, int32_t start, int32_t end,
				 int64_t *wh)
{
	*wh = 0;
	for (int i = 0; i < positions->n; i++)
		if (same_period(&positions->item[i], tariff_id, start, end) &&
			__builtin_add_overflow(*wh, positions->item[i].wh, wh))
			return false;
	return true;
}

bool
rate_position_by_period(const RatePositionVec *positions, int32_t tariff_id, int32_t start,
						int32_t end, const Tariff *tariff, int64_t *by_period, int64_t *unknown)
{
	*unknown = 0;
	memset(by_period, 0, TARIFF_MAX_PERIODS * sizeof(*by_period));
	for (int i = 0; i < positions->n; i++)
	{
		const RatePosition *position = &positions->item[i];
		int64_t rest = position->wh;

		if (!same_period(position, tariff_id, start, end))
			continue;
		for (int p = 0; p < position->tariff->n_period; p++)
		{
			int to = position->tariff == tariff
						 ? p
						 : rate_period(tariff, position->tariff->period_name[p]);

			rest -= position->by_period[p];
			if (__builtin_add_overflow(by_period[to < 0 ? 0 : to], position->by_period[p],
									   &by_period[to < 0 ? 0 : to]))
				return false;
		}
		if (__builtin_add_overflow(*unknown, rest, unknown))
			return false;
	}
	return true;
}

void
rate_position_close_before(RatePositionVec *positions, int32_t day)
{
	int kept = 0;

	for (int i = 0; i < positions->n; i++)
		if (positions->item[i].accum_end > day)
			positions->item[kept++] = positions->item[i];
	positions->n = kept;
}

void
rate_position_copy(const RatePositionVec *from, RatePositionVec *to)
{
	to->n = 0;
	for (int i = 0; i < from->n; i++)
	{
		RATE_ROOM(to);
		to->item[to->n++] = from->item[i];
	}
}
