/*
 * urdb_tier.c: reads the tiers of a URDB rate and makes one set of them for all periods.
 *
 * A definition has one list of bounds for the account, URDB one for each period.
 * They say the same where all tiered periods of a month have the same bounds,
 * counted on the energy of all periods of the month together, in the order in
 * which it was used (so does the reference calculator of SAM under net billing,
 * and it refuses rates whose bounds differ within a month). Months do not share
 * energy, so bounds may change from season to season.
 */
#include "urdb_rate.h"

#include <string.h>
#include <strings.h>

/* A tier by kWh per kW would need the demand of the month, which is known when it is over. */
static bool
load_unit(UrdbRate *rate, const Doc *tier, const char *path, UrdbBoundUnit *unit)
{
	static const char *const hint =
		"Tiers can end at kWh a month (\"kWh\") or at kWh a day (\"kWh daily\").";
	const Doc *doc = urdb_member(tier, "unit");
	char child[DOC_PATH_MAX];

	*unit = URDB_PER_MONTH;
	if (doc == NULL)
		return true;
	doc_path_key(child, path, "unit");
	if (!doc_is(doc, DOC_STRING, child, hint, rate->fault))
		return false;
	if (strcasecmp(doc->text, "kWh") == 0)
		return true;
	if (strcasecmp(doc->text, "kWh daily") == 0)
	{
		*unit = URDB_PER_DAY;
		return true;
	}
	if (strcasecmp(doc->text, "kWh/kW") == 0 || strcasecmp(doc->text, "kWh/kW daily") == 0)
		doc_fault(rate->fault, child, hint, "tiers in %s depend on the demand of the month",
				  doc->text);
	else
		doc_fault(rate->fault, child, hint, "unknown unit \"%.100s\"", doc->text);
	return false;
}

static bool
load_price(UrdbRate *rate, const Doc *tier, const char *path, int64_t *price_micro)
{
	const Doc *base = urdb_member(tier, "rate");
	const Doc *adjustment = urdb_member(tier, "adj");
	char child[DOC_PATH_MAX];
	Exact price;
	Exact added = 0;

	doc_path_key(child, path, "adj");
	if (adjustment && !urdb_exact(rate, adjustment, child, &added))
		return false;
	doc_path_key(child, path, "rate");
	if (base == NULL)
	{
		doc_fault(rate->fault, child, "Give the price of a kWh; 0 is allowed.",
				  "\"rate\" is missing");
		return false;
	}
	if (!urdb_exact(rate, base, child, &price))
		return false;
	if (!exact_add(price, added, &price))
		return urdb_out_of_range(rate, child);
	return urdb_round(rate, price, child, PRICE_DECIMALS, TARIFF_MAX_PRICE, price_micro,
					  &rate->rounded_prices);
}

static bool
load_bound(UrdbRate *rate, const Doc *tier, const char *path, UrdbBoundUnit unit,
		   const int64_t *before, int64_t *upto_wh)
{
	const Doc *max = urdb_member(tier, "max");
	char child[DOC_PATH_MAX];
	Exact kwh;

	doc_path_key(child, path, "max");
	if (max == NULL)
	{
		doc_fault(rate->fault, child, "Say at how many kWh the next tier begins.",
				  "\"max\" is missing, but a tier follows");
		return false;
	}
	if (!urdb_exact(rate, max, child, &kwh) ||
		!urdb_round(rate, kwh, child, URDB_KWH_DECIMALS, TARIFF_MAX_KWH, upto_wh,
					&rate->rounded_bounds))
		return false;
	if (*upto_wh <= (before ? *before : 0))
	{
		doc_fault(rate->fault, child, "Let the tiers ascend.",
				  before ? "%.40s is not above the tier before it" : "%.40s is not above 0",
				  max->text);
		return false;
	}
	if (rate->bound_unit != URDB_NO_BOUND && rate->bound_unit != unit)
	{
		doc_path_key(child, path, "unit");
		doc_fault(rate->fault, child, "Let all tiers end at kWh a month, or all at kWh a day.",
				  "tiers in kWh and in kWh daily are mixed");
		return false;
	}
	rate->bound_unit = unit;
	return true;
}

/* Energy above the last tier is priced as in it: there is no other price. */
static bool
check_last_tier(UrdbRate *rate, const Doc *tier, const char *path)
{
	const Doc *max = urdb_member(tier, "max");
	char child[DOC_PATH_MAX];
	Exact no_end;
	Exact kwh;

	doc_path_key(child, path, "max");
	if (max == NULL)
		return true;
	if (!doc_is(max, DOC_NUMBER, child, "Write a number.", rate->fault))
		return false;
	/* 1e38 and the like say "no end". */
	if (exact_parse_cut(max->text, &kwh) == DECIMAL_OK &&
		exact_from_micro(TARIFF_MAX_KWH, &no_end) && kwh / 1000000 < no_end)
		rate->has_last_max = true;
	return true;
}

static bool
load_tier(UrdbRate *rate, const Doc *tier, const char *path, int number, bool is_last,
		  UrdbPeriod *period)
{
	const Doc *sell = urdb_member(tier, "sell");
	UrdbBoundUnit unit;

	if (!doc_is(tier, DOC_OBJECT, path, "A tier has \"rate\" and, if another follows, \"max\".",
				rate->fault) ||
		!load_unit(rate, tier, path, &unit) ||
		!load_price(rate, tier, path, &period->price_micro[number]))
		return false;
	if (sell && !urdb_is_nothing(sell))
		rate->has_sell = true;
	if (is_last)
		return check_last_tier(rate, tier, path);
	return load_bound(rate, tier, path, unit, number > 0 ? &period->upto_wh[number - 1] : NULL,
					  &period->upto_wh[number]);
}

bool
urdb_load_tiers(UrdbRate *rate, const Doc *tiers, UrdbPeriod *period)
{
	static const char *const hint = "A period is a list of 1 to 16 tiers.";
	char path[DOC_PATH_MAX];

	doc_path_item(path, URDB_STRUCTURE, period->index);
	if (!doc_is(tiers, DOC_ARRAY, path, hint, rate->fault))
		return false;
	if (tiers->n < 1 || tiers->n > TARIFF_MAX_TIERS)
	{
		doc_fault(rate->fault, path, hint, "the period has %d tiers", tiers->n);
		return false;
	}
	period->n_tier = tiers->n;
	for (int i = 0; i < tiers->n; i++)
	{
		char child[DOC_PATH_MAX];

		doc_path_item(child, path, i);
		if (!load_tier(rate, &tiers->item[i], child, i, i == tiers->n - 1, period))
			return false;
	}
	return true;
}

/* ---- bounds that mean the same for all ---- */

static bool
same_bounds(const int64_t *a, int n_a, const int64_t *b, int n_b)
{
	return n_a == n_b && memcmp(a, b, (size_t) n_a * sizeof(int64_t)) == 0;
}

/* Bounds of the tiered periods that hold in a season. */
static bool
bounds_of_season(UrdbRate *rate, UrdbSeason *season)
{
	const UrdbPeriod *tiered = NULL;
	int holding = 0;

	for (int i = 0; i < rate->n_period; i++)
	{
		const UrdbPeriod *period = &rate->period[i];
		char path[DOC_PATH_MAX];
		TariffName months;

		if (!urdb_holds(rate, i, season))
			continue;
		holding++;
		if (period->n_tier == 1)
			continue;
		if (tiered == NULL)
		{
			tiered = period;
			season->n_bound = period->n_tier - 1;
			memcpy(season->upto_wh, period->upto_wh, sizeof(season->upto_wh));
			continue;
		}
		if (same_bounds(season->upto_wh, season->n_bound, period->upto_wh, period->n_tier - 1))
			continue;
		doc_path_item(path, URDB_STRUCTURE, period->index);
		urdb_season_name(season, months);
		doc_fault(rate->fault, path,
				  "Tiers count the energy of all periods of a month together: give them the same"
				  " \"max\".",
				  "its tiers end elsewhere than those of period %d, and both hold in %s",
				  tiered->index, months);
		return false;
	}
	if (season->n_bound > 0 && holding > 1)
		rate->has_shared_tiers = true;
	return true;
}

/* Add a season's bounds to the union of all; false: there are too many. */
static bool
merge_bounds(const UrdbSeason *season, int64_t *upto_wh, int *n)
{
	for (int i = 0; i < season->n_bound; i++)
	{
		int at = 0;

		while (at < *n && upto_wh[at] < season->upto_wh[i])
			at++;
		if (at < *n && upto_wh[at] == season->upto_wh[i])
			continue;
		if (*n == TARIFF_MAX_TIERS - 1)
			return false;
		memmove(&upto_wh[at + 1], &upto_wh[at], (size_t) (*n - at) * sizeof(int64_t));
		upto_wh[at] = season->upto_wh[i];
		(*n)++;
	}
	return true;
}

/* Seasons of as many tiers keep their own; otherwise all get the union, which prices the same. */
static bool
share_bounds(UrdbRate *rate)
{
	const UrdbSeason *model = NULL;
	int64_t all[TARIFF_MAX_TIERS];
	int n_all = 0;
	bool as_many = true;

	for (int i = 0; i < rate->n_season; i++)
	{
		const UrdbSeason *season = &rate->season[i];

		if (season->n_bound == 0)
			continue;
		if (model == NULL)
			model = season;
		as_many = as_many && season->n_bound == model->n_bound;
		rate->by_season = rate->by_season || !same_bounds(season->upto_wh, season->n_bound,
														  model->upto_wh, model->n_bound);
	}
	if (model == NULL)
		return true;
	rate->n_bound = model->n_bound;
	memcpy(all, model->upto_wh, sizeof(all));
	if (!as_many)
	{
		rate->by_season = false;
		for (int i = 0; i < rate->n_season; i++)
			if (!merge_bounds(&rate->season[i], all, &n_all))
			{
				doc_fault(rate->fault, URDB_STRUCTURE, "Make a tariff for each season.",
						  "the seasons together have more than %d tiers", TARIFF_MAX_TIERS);
				return false;
			}
		rate->n_bound = n_all;
	}
	/* Where no period of a season has tiers any bounds will do. */
	for (int i = 0; i < rate->n_season; i++)
		if (!rate->by_season || rate->season[i].n_bound == 0)
		{
			rate->season[i].n_bound = rate->n_bound;
			memcpy(rate->season[i].upto_wh, all, sizeof(all));
		}
	return true;
}

bool
urdb_set_bounds(UrdbRate *rate)
{
	for (int i = 0; i < rate->n_season; i++)
		if (!bounds_of_season(rate, &rate->season[i]))
			return false;
	return share_bounds(rate);
}

int64_t
urdb_price_micro(const UrdbRate *rate, int period, int tier)
{
	const UrdbPeriod *of = &rate->period[period];
	const UrdbSeason *season = rate->season;
	int i = 0;

	if (tier == rate->n_bound)
		return of->price_micro[of->n_tier - 1];
	while (!urdb_holds(rate, period, season))
		season++;
	while (i < of->n_tier - 1 && of->upto_wh[i] < season->upto_wh[tier])
		i++;
	return of->price_micro[i];
}
