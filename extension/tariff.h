/*
 * tariff.h: a compiled tariff version: what is in force at a wall-clock moment.
 *
 * tariff_load() checks a definition (design: seasons, day types, schedule,
 * tiers, prices, standing, surcharges) completely; what it accepts can rate any
 * instant: no gaps, no overlaps, no period without a price. "notes", a list of
 * texts, is free: it is kept with the version and means nothing to rating.
 */
#ifndef PREPAY_TARIFF_H
#define PREPAY_TARIFF_H

#include "cal.h"
#include "doc.h"
#include "money.h"

#define TARIFF_MAX_PERIODS 16
#define TARIFF_MAX_TIERS 16
#define TARIFF_MAX_SEASONS 16
#define TARIFF_MAX_DAY_TYPES 16
#define TARIFF_MAX_SURCHARGES 16
#define TARIFF_MAX_STANDING 16
#define TARIFF_MAX_ROWS 512
#define TARIFF_MAX_SLOTS 256 /* per schedule row */
#define TARIFF_MAX_NOTES 64
#define TARIFF_NOTE_MAX 500					  /* characters */
#define TARIFF_NAME_MAX 64					  /* bytes, with NUL */
#define TARIFF_MAX_PRICE 1000000			  /* per kWh, in any currency */
#define TARIFF_MAX_KWH INT64_C(1000000000000) /* a bound */
#define TARIFF_MAX_AMOUNT 1000000000		  /* a standing charge, in any currency */
#define TARIFF_WORKDAY 0					  /* day type index that always exists */

typedef char TariffName[TARIFF_NAME_MAX];

typedef enum TariffAccumulate
{
	ACCUMULATE_MONTH,
	ACCUMULATE_QUARTER,
	ACCUMULATE_YEAR,
	ACCUMULATE_DAY_ALLOWANCE /* bounds are kWh a day, times the days of the accumulation month */
} TariffAccumulate;

typedef enum TariffAllocation
{
	ALLOCATE_CHRONOLOGICAL,
	ALLOCATE_PROPORTIONAL
} TariffAllocation;

/* From minute (local wall time) on, until the next slot or midnight. */
typedef struct TariffSlot
{
	int16_t minute;
	int16_t period;
} TariffSlot;

typedef struct TariffRow
{
	int n; /* slots, the first at minute 0; equal neighbours merged */
	TariffSlot *slot;
} TariffRow;

typedef struct TariffStanding
{
	char name[TARIFF_NAME_MAX];
	int64_t amount_micro;
	bool per_month; /* else per day */
	bool while_off; /* accrues while the supply is cut */
} TariffStanding;

/* Charged on a base: the energy, all standing charges, other surcharges (earlier ones only). */
typedef struct TariffSurcharge
{
	char name[TARIFF_NAME_MAX];
	bool is_percent;
	int64_t per_kwh_micro;
	int64_t percent_e4;
	bool on_energy;
	bool on_standing;
	uint32_t on_surcharge; /* bit set of surcharge indexes */
} TariffSurcharge;

/* Special days of the tariff's calendar, ascending by day. */
typedef struct TariffDay
{
	int32_t day;
	int16_t day_type;
} TariffDay;

typedef struct Tariff
{
	int64_t valid_from; /* of the version, by whoever keeps versions: the order of their energy */
	int n_period;
	char period_name[TARIFF_MAX_PERIODS][TARIFF_NAME_MAX];

	int n_season;
	char season_name[TARIFF_MAX_SEASONS][TARIFF_NAME_MAX];
	int8_t season_of[12][31]; /* by month - 1, day - 1 */

	int n_day_type; /* [0] is "workday" */
	char day_type_name[TARIFF_MAX_DAY_TYPES][TARIFF_NAME_MAX];
	uint8_t weekday_type[8]; /* by ISO weekday 1..7: the day type when no calendar says otherwise */
	char calendar[TARIFF_NAME_MAX]; /* empty: none */
	int n_day;
	TariffDay *day; /* set by tariff_set_calendar */

	int n_row;
	TariffRow *row;
	int16_t row_of[TARIFF_MAX_SEASONS][TARIFF_MAX_DAY_TYPES];
	int16_t row_other[TARIFF_MAX_SEASONS]; /* for a calendar's day type the tariff does not name */

	TariffAccumulate accumulate;
	int anchor_month; /* 1..12 */
	int anchor_day;	  /* 1..31; a shorter month starts on its last day */
	int n_tier;
	int64_t upto_wh[TARIFF_MAX_SEASONS][TARIFF_MAX_TIERS - 1]; /* ascending, n_tier - 1 used */
	TariffAllocation allocation;

	int64_t price_micro[TARIFF_MAX_PERIODS][TARIFF_MAX_TIERS];

	int n_standing;
	TariffStanding standing[TARIFF_MAX_STANDING];
	int n_surcharge;
	TariffSurcharge surcharge[TARIFF_MAX_SURCHARGES];

	/* Exact cost of one Wh with every surcharge that rests on energy, by period and tier. */
	Exact unit[TARIFF_MAX_PERIODS][TARIFF_MAX_TIERS];
} Tariff;

/* NULL and *fault set when the definition is refused. core_alloc'ed in the caller's memory. */
extern Tariff *tariff_load(const Doc *definition, DocFault *fault);
extern void tariff_free(Tariff *tariff);

/*
 * Give the days of tariff->calendar (any order, unique). A day type the tariff
 * does not name is kept as "other" and takes the rows without a day type.
 */
extern void tariff_set_calendar(Tariff *tariff, int n, const int32_t *day,
								const char *const *day_type);

/* Season and day type of a local day. day_type is -1 for a type the tariff does not name. */
extern int tariff_season(const Tariff *tariff, int32_t day);
extern int tariff_day_type(const Tariff *tariff, int32_t day);

/* Slots of a local day: never NULL, first slot at minute 0. */
extern const TariffRow *tariff_row(const Tariff *tariff, int32_t day);

/* Accumulation period that holds a local day: [*start, *end) in days. */
extern void tariff_accumulation(const Tariff *tariff, int32_t day, int32_t *start, int32_t *end);

/*
 * All of that at once. An accumulation period in *facts that holds the day is
 * kept: zero *facts before the first day of a tariff.
 */
typedef struct TariffDayFacts
{
	int season;
	const TariffRow *row;
	int32_t accum_start;
	int32_t accum_end;
} TariffDayFacts;
extern void tariff_day_facts(const Tariff *tariff, int32_t day, TariffDayFacts *facts);

/*
 * Household extension (一户多人口): how much wider every tier bound of an account is for
 * each month, from a day on. Steps ascend by day; nothing before the first.
 */
typedef struct TariffExtraStep
{
	int32_t from;
	int64_t wh_per_month;
} TariffExtraStep;

typedef struct TariffExtra
{
	int n;
	TariffExtraStep *step;
} TariffExtra;

/*
 * Tier bounds in Wh of the accumulation period [start, end) as they stand on a day of it,
 * for the day's season: day allowances multiplied out, and wider by the extension (NULL:
 * none) of each month of the period: a month that is over keeps what it had at its end,
 * later ones have what is in force on the day. bound has n_tier - 1 entries. False on
 * overflow.
 */
extern bool tariff_bounds(const Tariff *tariff, int season, int32_t start, int32_t end, int32_t day,
						  const TariffExtra *extra, int64_t *bound);

/*
 * Surcharges on wh, their energy cost and standing charges: part has n_surcharge
 * entries. Linear, so parts of a whole add up exactly. False on overflow.
 */
extern bool tariff_surcharges(const Tariff *tariff, int64_t wh, Exact energy, Exact standing,
							  Exact *part);

#endif
