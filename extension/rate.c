/*
 * rate.c: the walk of the pieces through the tiers, and the vectors of rate.h.
 *
 * The position of an account in the tiers is the energy it has had in the
 * accumulation period so far. A piece moves it from `before` to `before + wh`
 * and is cut at every bound on the way, so its cost is F(after) - F(before) of
 * one cumulative function: how often the meter was read, and into how many
 * batches the pieces were cut, cannot change the sum. What counts is the order
 * of the pieces, and that is total (rate_compare_pieces).
 *
 * A walk that returns an error has moved some positions and lines already; they
 * are the caller's scratch and must be thrown away.
 */
#include "rate_vec.h"

#include <stdlib.h>
#include <string.h>

static int
compare_int64(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

int
rate_compare_pieces(const void *a, const void *b)
{
	const RatePiece *x = a;
	const RatePiece *y = b;

	if (x->to != y->to)
		return compare_int64(x->to, y->to);
	if (x->from != y->from)
		return compare_int64(x->from, y->from);
	if (x->meter_id != y->meter_id)
		return compare_int64(x->meter_id, y->meter_id);
	if (x->tariff_id != y->tariff_id)
		return compare_int64(x->tariff_id, y->tariff_id);
	if (x->version != y->version)
		return compare_int64(x->version, y->version);
	return compare_int64(x->period, y->period);
}

void
rate_sort(RatePieceVec *pieces)
{
	/* Readings mostly arrive in order. */
	for (int i = 1; i < pieces->n; i++)
		if (rate_compare_pieces(&pieces->item[i - 1], &pieces->item[i]) > 0)
		{
			qsort(pieces->item, (size_t) pieces->n, sizeof(RatePiece), rate_compare_pieces);
			return;
		}
}

RateLine
rate_line_of(const RatePiece *piece)
{
	RateLine line = { .meter_id = piece->meter_id,
					  .day = piece->day,
					  .tariff_id = piece->tariff_id,
					  .version = piece->version,
					  .accum_start = piece->accum_start,
					  .accum_end = piece->accum_end,
					  .season = piece->season,
					  .period = piece->period,
					  .wh = piece->wh,
					  .tariff = piece->tariff };

	return line;
}

static bool
same_line(const RateLine *a, const RateLine *b)
{
	return a->day == b->day && a->meter_id == b->meter_id && a->period == b->period &&
		   a->tier == b->tier && a->version == b->version && a->tariff_id == b->tariff_id &&
		   a->accum_start == b->accum_start;
}

/* Latest line of [first, n) with the key of `like`, looking no further back than floor_day. */
static RateLine *
find_line(const RateLineVec *lines, int first, int n, const RateLine *like, int64_t floor_day)
{
	for (int i = n - 1; i >= first; i--)
	{
		if (same_line(&lines->item[i], like))
			return &lines->item[i];
		if (lines->item[i].day < floor_day)
			break;
	}
	return NULL;
}

static bool
add_to_line(RateLineVec *lines, RateLine *line, const RateLine *like)
{
	if (line)
		return !__builtin_add_overflow(line->wh, like->wh, &line->wh) &&
			   !__builtin_add_overflow(line->estimated_wh, like->estimated_wh, &line->estimated_wh);
	RATE_ROOM(lines);
	lines->item[lines->n++] = *like;
	return true;
}

bool
rate_add_line(RateLineVec *lines, const RateLine *like)
{
	return add_to_line(lines, find_line(lines, 0, lines->n, like, INT64_MIN), like);
}

typedef struct Walk
{
	const TariffExtra *extra;
	bool bounds_stand; /* no extension begins within the walk: bounds last a period and season */
	RatePositionVec *positions;
	RateLineVec *lines;
	int first_line;	  /* lines the walk itself has appended begin here */
	int64_t last_day; /* latest day of those; they ascend but for days that the clock repeats */
	bool ascending;
	RateTrace trace;
	void *context;

	/* bound[] is for this version, season and accumulation period. */
	const Tariff *tariff;
	int season;
	int32_t accum_start;
	int32_t accum_end;
	int64_t bound[TARIFF_MAX_TIERS - 1];
} Walk;

static bool
walk_bounds(Walk *walk, const RatePiece *piece)
{
	if (walk->bounds_stand && walk->tariff == piece->tariff && walk->season == piece->season &&
		walk->accum_start == piece->accum_start && walk->accum_end == piece->accum_end)
		return true;
	walk->tariff = piece->tariff;
	walk->season = piece->season;
	walk->accum_start = piece->accum_start;
	walk->accum_end = piece->accum_end;
	return tariff_bounds(piece->tariff, piece->season, piece->accum_start, piece->accum_end,
						 piece->day, walk->extra, walk->bound);
}

static bool
walk_add_line(Walk *walk, const RatePiece *piece, int tier, int64_t wh)
{
	RateLineVec *lines = walk->lines;
	RateLine like;
	RateLine *line;

	like.meter_id = piece->meter_id;
	like.day = piece->day;
	like.tariff_id = piece->tariff_id;
	like.version = piece->version;
	like.accum_start = piece->accum_start;
	like.accum_end = piece->accum_end;
	like.season = piece->season;
	like.period = piece->period;
	like.tier = (int16_t) tier;
	like.wh = wh;
	like.estimated_wh = piece->estimated ? wh : 0;
	like.tariff = piece->tariff;

	line = find_line(lines, walk->first_line, lines->n, &like,
					 walk->ascending ? (int64_t) piece->day - 1 : INT64_MIN);
	if (line == NULL)
	{
		line = find_line(lines, 0, walk->first_line, &like, INT64_MIN);
		if (line == NULL && piece->day < walk->last_day - 1)
			walk->ascending = false;
		if (line == NULL && piece->day > walk->last_day)
			walk->last_day = piece->day;
	}
	return add_to_line(lines, line, &like);
}

static void
walk_trace(const Walk *walk, const RatePiece *piece, int tier, int64_t position_wh, int64_t done,
		   int64_t wh)
{
	int64_t length = piece->to - piece->from;
	RateStep step;

	step.piece = piece;
	step.from = piece->from + (int64_t) ((__int128) length * done / piece->wh);
	step.to = piece->from + (int64_t) ((__int128) length * (done + wh) / piece->wh);
	step.wh = wh;
	step.position_wh = position_wh;
	step.tier = (int16_t) tier;
	walk->trace(walk->context, &step);
}

static RateResult
walk_piece(Walk *walk, const RatePiece *piece)
{
	int64_t at;
	int64_t upto;
	int64_t done = 0;
	int last_tier = 0;
	int tier = 0;

	if (!rate_position_wh(walk->positions, piece->tariff_id, piece->accum_start, piece->accum_end,
						  &at) ||
		__builtin_add_overflow(at, piece->wh, &upto) ||
		!rate_position_add(walk->positions, piece->tariff_id, piece->tariff, piece->day,
						   piece->period, piece->wh))
		return RATE_OVERFLOW;
	if (piece->tariff->allocation == ALLOCATE_CHRONOLOGICAL)
		last_tier = piece->tariff->n_tier - 1;
	if (last_tier > 0 && !walk_bounds(walk, piece))
		return RATE_OVERFLOW;

	while (done < piece->wh)
	{
		int64_t wh = piece->wh - done;

		while (tier < last_tier && at >= walk->bound[tier])
			tier++;
		if (tier < last_tier && walk->bound[tier] - at < wh)
			wh = walk->bound[tier] - at;
		if (!walk_add_line(walk, piece, tier, wh))
			return RATE_OVERFLOW;
		if (walk->trace)
			walk_trace(walk, piece, tier, at, done, wh);
		at += wh;
		done += wh;
	}
	return RATE_OK;
}

RateResult
rate_walk(const RatePiece *piece, int n, const TariffExtra *extra, RatePositionVec *positions,
		  RateLineVec *lines, RateTrace trace, void *context)
{
	Walk walk;

	walk.extra = extra;
	walk.bounds_stand = extra == NULL || extra->n == 0 || n == 0 ||
						extra->step[extra->n - 1].from <= piece[0].day - 1;
	walk.positions = positions;
	walk.lines = lines;
	walk.first_line = lines->n;
	walk.last_day = INT32_MIN;
	walk.ascending = true;
	walk.trace = trace;
	walk.context = context;
	walk.tariff = NULL;
	rate_position_open_all(positions, piece, n);
	for (int i = 0; i < n; i++)
	{
		RateResult result = walk_piece(&walk, &piece[i]);

		if (result != RATE_OK)
			return result;
	}
	return RATE_OK;
}

bool
rate_cost(const RateLine *line, int n, Exact *sum)
{
	Exact total = 0;

	for (int i = 0; i < n; i++)
	{
		Exact cost;

		if (line[i].tariff->allocation != ALLOCATE_CHRONOLOGICAL ||
			!exact_mul(line[i].tariff->unit[line[i].period][line[i].tier], line[i].wh, &cost) ||
			!exact_add(total, cost, &total))
			return false;
	}
	*sum = total;
	return true;
}
