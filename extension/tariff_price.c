/*
 * tariff_price.c: reads the tiers and prices of a tariff definition.
 */
#include "tariff_load.h"

#include <string.h>

#define KWH_DECIMALS 3

static bool
load_bounds(TariffLoader *loader, const Doc *upto, const char *path, int64_t *bound)
{
	if (!load_array(loader, upto, path, 1, TARIFF_MAX_TIERS - 1))
		return false;
	for (int i = 0; i < upto->n; i++)
	{
		char child[DOC_PATH_MAX];

		doc_path_item(child, path, i);
		if (!load_number(loader, &upto->item[i], child, KWH_DECIMALS, TARIFF_MAX_KWH, &bound[i]))
			return false;
		if (bound[i] <= (i > 0 ? bound[i - 1] : 0))
			return load_fault(loader, child, "Let the bounds ascend, in kWh.",
							  i > 0 ? "%.40s is not above the bound before it"
									: "%.40s is not above 0",
							  upto->item[i].text);
	}
	return true;
}

static bool
load_bounds_by_season(TariffLoader *loader, const Doc *upto, const char *path)
{
	Tariff *tariff = loader->tariff;
	const Doc *first = NULL;

	for (int i = 0; i < upto->n; i++)
		if (load_find(tariff->season_name, tariff->n_season, upto->key[i]) < 0)
		{
			char child[DOC_PATH_MAX];

			doc_path_key(child, path, upto->key[i]);
			return load_fault(loader, child, "Use the names from \"seasons\".",
							  "unknown season \"%.100s\"", upto->key[i]);
		}
	for (int season = 0; season < tariff->n_season; season++)
	{
		char child[DOC_PATH_MAX];
		const Doc *bounds;

		doc_path_key(child, path, tariff->season_name[season]);
		if (!load_member(loader, upto, path, tariff->season_name[season],
						 "Give the bounds of every season.", &bounds) ||
			!load_bounds(loader, bounds, child, tariff->upto_wh[season]))
			return false;
		if (first == NULL)
			first = bounds;
		if (bounds->n != first->n)
			return load_fault(loader, child, "Give every season the same number of bounds.",
							  "has %d bounds, another season has %d", bounds->n, first->n);
		tariff->n_tier = bounds->n + 1;
	}
	return true;
}

static bool
load_upto(TariffLoader *loader, const Doc *upto)
{
	Tariff *tariff = loader->tariff;
	static const char *const path = "tiers.upto";

	if (upto->kind == DOC_OBJECT)
		return load_bounds_by_season(loader, upto, path);
	if (!load_bounds(loader, upto, path, tariff->upto_wh[0]))
		return false;
	for (int season = 1; season < tariff->n_season; season++)
		memcpy(tariff->upto_wh[season], tariff->upto_wh[0], sizeof(tariff->upto_wh[0]));
	tariff->n_tier = upto->n + 1;
	return true;
}

static bool
load_anchor(TariffLoader *loader, const Doc *anchor)
{
	Tariff *tariff = loader->tariff;
	static const char *const path = "tiers.anchor";
	bool monthly =
		tariff->accumulate == ACCUMULATE_MONTH || tariff->accumulate == ACCUMULATE_DAY_ALLOWANCE;

	if (monthly && anchor->kind == DOC_STRING && strlen(anchor->text) == 2)
	{
		if (load_two_digits(anchor->text, &tariff->anchor_day) && tariff->anchor_day >= 1 &&
			tariff->anchor_day <= 31)
			return true;
		return load_fault(loader, path, "Write the day of the month like \"01\".",
						  "\"%s\" is not a day of the month", anchor->text);
	}
	return load_month_day(loader, anchor, path, &tariff->anchor_month, &tariff->anchor_day);
}

static bool
load_tiers(TariffLoader *loader)
{
	static const char *const known[] = { "accumulate", "anchor", "upto", "allocation", NULL };
	static const Choice accumulate[] = { { "month", ACCUMULATE_MONTH },
										 { "quarter", ACCUMULATE_QUARTER },
										 { "year", ACCUMULATE_YEAR },
										 { "day_allowance", ACCUMULATE_DAY_ALLOWANCE },
										 { NULL, 0 } };
	static const Choice allocation[] = { { "chronological", ALLOCATE_CHRONOLOGICAL },
										 { "proportional", ALLOCATE_PROPORTIONAL },
										 { NULL, 0 } };
	Tariff *tariff = loader->tariff;
	const Doc *tiers = doc_get(loader->definition, "tiers");
	const Doc *member;
	int value;

	tariff->accumulate = ACCUMULATE_MONTH;
	tariff->anchor_month = 1;
	tariff->anchor_day = 1;
	tariff->n_tier = 1;
	tariff->allocation = ALLOCATE_CHRONOLOGICAL;
	if (tiers == NULL)
		return true;
	if (!doc_is(tiers, DOC_OBJECT, "tiers", "Write \"tiers\": {\"upto\": [...]}.", loader->fault) ||
		!doc_has_only(tiers, known, "tiers", loader->fault))
		return false;

	member = doc_get(tiers, "accumulate");
	if (member)
	{
		if (!load_choice(loader, member, "tiers.accumulate", accumulate,
						 "Use month, quarter, year or day_allowance.", &value))
			return false;
		tariff->accumulate = (TariffAccumulate) value;
	}
	member = doc_get(tiers, "anchor");
	if (member && !load_anchor(loader, member))
		return false;
	member = doc_get(tiers, "allocation");
	if (member)
	{
		if (!load_choice(loader, member, "tiers.allocation", allocation,
						 "Use chronological or proportional.", &value))
			return false;
		tariff->allocation = (TariffAllocation) value;
	}
	return load_member(loader, tiers, "tiers", "upto",
					   "Give the upper bounds in kWh, or leave \"tiers\" out.", &member) &&
		   load_upto(loader, member);
}

/* Prices of one period: a number for all tiers, or a list with one for each. */
static bool
load_period_prices(TariffLoader *loader, const Doc *prices, const char *path, int period)
{
	Tariff *tariff = loader->tariff;
	int64_t *price = tariff->price_micro[period];

	if (prices->kind != DOC_ARRAY)
	{
		if (!load_number(loader, prices, path, PRICE_DECIMALS, TARIFF_MAX_PRICE, &price[0]))
			return false;
		for (int tier = 1; tier < tariff->n_tier; tier++)
			price[tier] = price[0];
		return true;
	}
	if (prices->n != tariff->n_tier)
		return load_fault(loader, path,
						  "Give one price for each tier: one more than there are bounds.",
						  "has %d prices, but there are %d tiers", prices->n, tariff->n_tier);
	for (int tier = 0; tier < prices->n; tier++)
	{
		char child[DOC_PATH_MAX];

		doc_path_item(child, path, tier);
		if (!load_number(loader, &prices->item[tier], child, PRICE_DECIMALS, TARIFF_MAX_PRICE,
						 &price[tier]))
			return false;
	}
	return true;
}

static bool
load_prices(TariffLoader *loader)
{
	Tariff *tariff = loader->tariff;
	const Doc *prices;

	if (!load_member(loader, loader->definition, "", "prices",
					 "Give the price of a kWh, by period if there are several.", &prices))
		return false;
	if (prices->kind != DOC_OBJECT)
	{
		if (tariff->n_period > 1)
			return load_fault(loader, "prices", "Write {\"period\": price, ...}.",
							  "prices are not given by period, but there are %d periods",
							  tariff->n_period);
		return load_period_prices(loader, prices, "prices", 0);
	}
	for (int i = 0; i < prices->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_key(path, "prices", prices->key[i]);
		if (load_find(tariff->period_name, tariff->n_period, prices->key[i]) < 0)
			return load_fault(loader, path, "Use the names from \"periods\".",
							  "unknown period \"%.100s\"", prices->key[i]);
	}
	for (int period = 0; period < tariff->n_period; period++)
	{
		char path[DOC_PATH_MAX];
		const Doc *member = doc_get(prices, tariff->period_name[period]);

		doc_path_key(path, "prices", tariff->period_name[period]);
		if (member == NULL)
			return load_fault(loader, path, "Give every period a price; 0 is allowed.",
							  "period \"%s\" has no price", tariff->period_name[period]);
		if (!load_period_prices(loader, member, path, period))
			return false;
	}
	return true;
}

bool
load_tiers_and_prices(TariffLoader *loader)
{
	return load_tiers(loader) && load_prices(loader);
}
