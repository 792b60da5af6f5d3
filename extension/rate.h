/*
 * rate.h: energy to money.
 *
 *   interval --rate_split--> pieces --rate_sort, rate_walk--> lines --rate_bill--> bill lines
 *
 * An interval is the energy between two neighbouring accepted register values
 * of one meter. A piece is the part of it that lies in one local day, one
 * period, one tariff version. Walking the pieces of an account in time order
 * through the tiers gives lines: Wh per (meter, day, version, period, tier).
 * Lines are what is stored; the money of a line is Wh times a fixed unit, so any
 * batching, order of arrival and read frequency gives the same sum.
 */
#ifndef PREPAY_RATE_H
#define PREPAY_RATE_H

#include "tariff.h"

/* An interval that falls into more parts than this is refused: a century of hourly slots. */
#define RATE_MAX_PARTS (1 << 20)

typedef enum RateResult
{
	RATE_OK,
	RATE_NO_TARIFF, /* part of the interval has no tariff in force */
	RATE_OVERFLOW	/* also: more than RATE_MAX_PARTS parts */
} RateResult;

/* A stretch of time under one tariff version. Spans ascend and touch; they cover the interval. */
typedef struct RateSpan
{
	int64_t from;
	int64_t to;
	int32_t tariff_id;
	int32_t version;
	const Tariff *tariff; /* NULL: no tariff in force */
} RateSpan;

typedef struct RatePiece
{
	int64_t from;
	int64_t to;
	int64_t wh;
	int32_t meter_id;
	int32_t tariff_id;
	int32_t version;
	int32_t day;
	int32_t accum_start; /* accumulation period [start, end) in days */
	int32_t accum_end;
	int16_t season;
	int16_t period;
	bool estimated;
	const Tariff *tariff;
} RatePiece;

typedef struct RatePieceVec
{
	int n;
	int capacity;
	RatePiece *item;
} RatePieceVec;

/*
 * Energy so far of one version in one accumulation period of its tariff code. The
 * tier position of the period is the sum over the versions; see rate_position.c.
 * wh beyond the sum of by_period[] is energy of which no period of use is known.
 */
typedef struct RatePosition
{
	int32_t tariff_id;
	int32_t accum_start; /* accumulation period [start, end) in days */
	int32_t accum_end;
	const Tariff *tariff; /* the version; by_period has its indexes */
	int64_t wh;
	int64_t by_period[TARIFF_MAX_PERIODS];
} RatePosition;

typedef struct RatePositionVec
{
	int n;
	int capacity;
	RatePosition *item;
} RatePositionVec;

/* For proportional versions tier is 0 and wh the raw energy of the period; rate_bill shares it. */
typedef struct RateLine
{
	int32_t meter_id;
	int32_t day;
	int32_t tariff_id;
	int32_t version;
	int32_t accum_start;
	int32_t accum_end;
	int16_t season;
	int16_t period;
	int16_t tier; /* from 0 */
	int64_t wh;
	int64_t estimated_wh;
	const Tariff *tariff;
} RateLine;

typedef struct RateLineVec
{
	int n;
	int capacity;
	RateLine *item;
} RateLineVec;

/* One step of the walk: a piece, or the part of it within one tier. */
typedef struct RateStep
{
	const RatePiece *piece;
	int64_t from; /* part of the piece, by energy */
	int64_t to;
	int64_t wh;
	int64_t position_wh; /* tier position before the step */
	int16_t tier;
} RateStep;

typedef void (*RateTrace)(void *context, const RateStep *step);

typedef enum BillComponent
{
	BILL_ENERGY,
	BILL_STANDING,
	BILL_SURCHARGE
} BillComponent;

typedef struct BillLine
{
	int32_t meter_id; /* 0: the account itself (standing charges and what rests on them) */
	int32_t day;
	int32_t tariff_id;
	int32_t version;
	BillComponent component;
	int16_t index;	/* standing or surcharge number; 0 for energy */
	int16_t period; /* energy only, else -1 */
	int16_t tier;	/* energy only, else -1 */
	int64_t wh;		/* energy and per-kWh surcharges, else 0 */
	int64_t estimated_wh;
	Exact amount;
	const Tariff *tariff;
} BillLine;

typedef struct BillVec
{
	int n;
	int capacity;
	BillLine *item;
} BillVec;

/*
 * Append the pieces of one interval [from, to), from < to, wh >= 0. Wh are
 * shared by elapsed microseconds, largest remainder, the earlier part first on
 * a tie; neighbouring parts of the same day, version and period are one part.
 * Parts of 0 Wh are dropped (an interval of 0 Wh gives none). estimated marks
 * the pieces when the interval had to be shared among more than one.
 * RATE_NO_TARIFF sets *lacking to the first instant without one and appends nothing.
 */
extern RateResult rate_split(const CalZone *zone, const RateSpan *span, int n_span,
							 int32_t meter_id, int64_t from, int64_t to, int64_t wh, bool estimated,
							 RatePieceVec *pieces, int64_t *lacking);

/* The same with the energy by period known from the meter's own TOU registers:
 * period_wh[] by the period index of the first span's tariff, summing to wh. Each
 * period's energy is shared by time among that period's stretches; a period that
 * has energy but no stretch (the meter's clock differs from ours) goes to the
 * stretch nearest to a slot of that period, keeping its period. */
extern RateResult rate_split_periods(const CalZone *zone, const RateSpan *span, int n_span,
									 int32_t meter_id, int64_t from, int64_t to,
									 const int64_t *period_wh, bool estimated, RatePieceVec *pieces,
									 int64_t *lacking);

/*
 * Share a whole in proportion to n weights >= 0: largest remainder, the earlier first
 * on a tie. False when all weights are 0.
 */
extern bool rate_share(int64_t whole, const int64_t *weight, int n, int64_t *share);

/* Order of the walk: by end, start, meter_id (then version and period: the order is total). */
extern int rate_compare_pieces(const void *a, const void *b);
/* Order in which versions of a code hold: one that was made later may have been put before. */
extern int rate_compare_versions(const Tariff *a, int32_t a_version, const Tariff *b,
								 int32_t b_version);
extern void rate_sort(RatePieceVec *pieces);
/* A line of all of a piece, without tier and amount. */
extern RateLine rate_line_of(const RatePiece *piece);

/*
 * Walk sorted pieces: moves the positions on and adds to the lines. A period that is
 * not open yet is opened at 0 before the first step. trace may be NULL.
 */
extern RateResult rate_walk(const RatePiece *piece, int n, const TariffExtra *extra,
							RatePositionVec *positions, RateLineVec *lines, RateTrace trace,
							void *context);

/*
 * Turn lines into bill lines with exact amounts. before holds the positions at
 * the start of the first line's day (needed by proportional versions only, may
 * then not be NULL); a period that is not open there begins at 0. Lines are taken by
 * day, begin of the version, meter. Energy lines come first, then the surcharges that
 * rest on energy per (meter, day, version). The sum over all bill lines is exact; for
 * chronological versions it equals sum of wh * tariff->unit[period][tier].
 */
extern RateResult rate_bill(const RateLine *line, int n, const TariffExtra *extra,
							const RatePositionVec *before, BillVec *bill);

/* What a local day was like to standing charges. */
typedef enum StandingDay
{
	STANDING_SUPPLIED,
	STANDING_CUT,	 /* supply was off the whole day */
	STANDING_SKIPPED /* the clock went over the date, as Apia's did on 2011-12-30 */
} StandingDay;

/*
 * Standing charges of one local day and the surcharges that rest on them. Monthly
 * amounts are shared over the dates of the calendar month so that they add up to the
 * cent and beyond (telescoped at 10^-12); a date that was skipped bears its share of
 * them, and nothing by day.
 */
extern RateResult rate_standing(const Tariff *tariff, int32_t tariff_id, int32_t version,
								int32_t day, StandingDay kind, BillVec *bill);

/* Sum of the exact cost of lines without expanding them; chronological versions only. */
extern bool rate_cost(const RateLine *line, int n, Exact *sum);

/* Whether a period of a code is open: takes the energy of its days. */
extern bool rate_position_is_open(const RatePositionVec *positions, int32_t tariff_id,
								  int32_t start, int32_t end);
/* What a version has had in a period, opened at 0 when absent. */
extern RatePosition *rate_position_open(RatePositionVec *positions, int32_t tariff_id,
										int32_t start, int32_t end, const Tariff *tariff);
/* Open the accumulation periods of these pieces that are not open yet. */
extern void rate_position_open_all(RatePositionVec *positions, const RatePiece *piece, int n);
/* Add energy to every open period of the code that holds the day. False on overflow. */
extern bool rate_position_add(RatePositionVec *positions, int32_t tariff_id, const Tariff *tariff,
							  int32_t day, int period, int64_t wh);
/* Tier position of a period; 0 when it is not open. False on overflow. */
extern bool rate_position_wh(const RatePositionVec *positions, int32_t tariff_id, int32_t start,
							 int32_t end, int64_t *wh);
/* The same by period of use, under the names of a version: energy of a name it lacks counts
 * under its first. by_period has TARIFF_MAX_PERIODS entries; unknown: of no known period. */
extern bool rate_position_by_period(const RatePositionVec *positions, int32_t tariff_id,
									int32_t start, int32_t end, const Tariff *tariff,
									int64_t *by_period, int64_t *unknown);
/* Forget the periods that are over when a day begins. */
extern void rate_position_close_before(RatePositionVec *positions, int32_t day);
extern void rate_position_copy(const RatePositionVec *from, RatePositionVec *to);
/* Add wh to the line with the key of `like`, appending it when absent. */
extern bool rate_add_line(RateLineVec *lines, const RateLine *like);

#endif
