/*
 * urdb_rate.h: shared by the files that import a URDB rate; private to the urdb module.
 */
#ifndef PREPAY_URDB_RATE_H
#define PREPAY_URDB_RATE_H

#include "tariff.h"
#include "urdb.h"

#define URDB_STRUCTURE "energyratestructure"
#define URDB_MONTHS 12
#define URDB_HOURS 24
#define URDB_KWH_DECIMALS 3

typedef enum UrdbDays
{
	URDB_WEEKDAY,
	URDB_WEEKEND,
	URDB_DAYS
} UrdbDays;

typedef struct UrdbPeriod
{
	int index; /* in energyratestructure */
	TariffName name;
	int n_tier;
	int64_t upto_wh[TARIFF_MAX_TIERS]; /* n_tier - 1 used */
	int64_t price_micro[TARIFF_MAX_TIERS];
} UrdbPeriod;

/* Neighbouring months, over new year too, whose hours have the same periods. */
typedef struct UrdbSeason
{
	int first; /* month, from 0 */
	int last;
	int n_bound; /* of the periods that hold in it, later those of the definition */
	int64_t upto_wh[TARIFF_MAX_TIERS];
} UrdbSeason;

typedef enum UrdbBoundUnit
{
	URDB_NO_BOUND,
	URDB_PER_MONTH,
	URDB_PER_DAY
} UrdbBoundUnit;

typedef struct UrdbRate
{
	const Doc *rate;
	DocFault *fault;
	int n_period; /* those that hold at some hour, by index */
	UrdbPeriod period[TARIFF_MAX_PERIODS];
	int8_t hour[URDB_DAYS][URDB_MONTHS][URDB_HOURS]; /* which of period[] holds */
	int n_season;
	UrdbSeason season[URDB_MONTHS];
	UrdbBoundUnit bound_unit;
	int n_bound;		   /* of the definition, in every season */
	bool by_season;		   /* and other ones in some */
	const char *fixed_per; /* "day" or "month"; NULL: no fixed charge */
	int64_t fixed_micro;

	/* What has to be said. */
	int rounded_prices;
	int rounded_bounds;
	int rounded_amounts;
	int unused_periods;
	const char *fixed_units; /* of a fixed charge that cannot be carried; NULL: none */
	bool has_last_max;		 /* a last tier with an end */
	bool has_sell;
	bool has_shared_tiers; /* several periods hold in a month that has tiers */
} UrdbRate;

/* urdb.c; the numeric ones describe the fault and return false. */
extern bool urdb_holds(const UrdbRate *rate, int period, const UrdbSeason *season);
/* Member of an object; NULL when it is absent or null. */
extern const Doc *urdb_member(const Doc *object, const char *key);
extern bool urdb_out_of_range(UrdbRate *rate, const char *path); /* false */
extern bool urdb_exact(UrdbRate *rate, const Doc *number, const char *path, Exact *value);
/* To 10^-decimals, half away from zero; *rounded counts up when a digit was lost. */
extern bool urdb_round(UrdbRate *rate, Exact value, const char *path, int decimals, int64_t limit,
					   int64_t *number, int *rounded);

/* urdb_tier.c; urdb_set_bounds makes bounds that mean the same for every period. */
extern bool urdb_load_tiers(UrdbRate *rate, const Doc *tiers, UrdbPeriod *period);
extern bool urdb_set_bounds(UrdbRate *rate);
extern int64_t urdb_price_micro(const UrdbRate *rate, int period, int tier);

/* urdb_write.c */
extern void urdb_season_name(const UrdbSeason *season, char *name);
extern Doc urdb_write(const UrdbRate *rate);

/* urdb_note.c: what of the rate the definition does not say as URDB does. */
/* Whether a value says nothing: 0, false, an empty text, a list of such. */
extern bool urdb_is_nothing(const Doc *value);
extern void urdb_write_notes(const UrdbRate *rate, Doc *notes);

#endif
