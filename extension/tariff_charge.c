/*
 * tariff_charge.c: reads the standing charges and surcharges of a tariff definition.
 */
#include "tariff_load.h"

#include <string.h>

#define LIMIT_PERCENT 1000
#define MAX_PERCENT_DEPTH 2 /* the decimals of an Exact hold two percentages of one another */

/* Names of the entries read so far, for the check for duplicates. */
static bool
load_charge_name(TariffLoader *loader, const Doc *object, const char *path, TariffName *names,
				 int index, char *name)
{
	if (!load_new_name(loader, object, path, (const TariffName *) names, index, names[index]))
		return false;
	memcpy(name, names[index], sizeof(TariffName));
	return true;
}

static bool
load_standing_charge(TariffLoader *loader, const Doc *doc, const char *path, TariffName *names,
					 int index)
{
	static const char *const known[] = { "name", "amount", "per", "while_off", NULL };
	static const char *const hint =
		"A standing charge has \"name\", \"amount\" and \"per\" (day or month).";
	static const Choice per[] = { { "day", false }, { "month", true }, { NULL, 0 } };
	TariffStanding *standing = &loader->tariff->standing[index];
	char child[DOC_PATH_MAX];
	const Doc *member;
	int per_month;

	if (!doc_is(doc, DOC_OBJECT, path, hint, loader->fault) ||
		!doc_has_only(doc, known, path, loader->fault) ||
		!load_charge_name(loader, doc, path, names, index, standing->name))
		return false;
	doc_path_key(child, path, "amount");
	if (!load_member(loader, doc, path, "amount", hint, &member) ||
		!load_number(loader, member, child, PRICE_DECIMALS, TARIFF_MAX_AMOUNT,
					 &standing->amount_micro))
		return false;
	doc_path_key(child, path, "per");
	if (!load_member(loader, doc, path, "per", hint, &member) ||
		!load_choice(loader, member, child, per, "Use day or month.", &per_month))
		return false;
	standing->per_month = per_month != 0;

	standing->while_off = true;
	member = doc_get(doc, "while_off");
	if (member)
	{
		doc_path_key(child, path, "while_off");
		if (!doc_is(member, DOC_BOOL, child, "Use true or false.", loader->fault))
			return false;
		standing->while_off = member->boolean;
	}
	return true;
}

static bool
load_standing(TariffLoader *loader)
{
	const Doc *list = doc_get(loader->definition, "standing");
	TariffName names[TARIFF_MAX_STANDING];

	if (list == NULL)
		return true;
	if (!load_array(loader, list, "standing", 0, TARIFF_MAX_STANDING))
		return false;
	for (int i = 0; i < list->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "standing", i);
		if (!load_standing_charge(loader, &list->item[i], path, names, i))
			return false;
		loader->tariff->n_standing++;
	}
	return true;
}

/* Percentages within one another, down to the deepest; 0 for an amount per kWh. */
static int
percent_depth(const Tariff *tariff, int index)
{
	const TariffSurcharge *surcharge = &tariff->surcharge[index];
	int deepest = 0;

	if (!surcharge->is_percent)
		return 0;
	/* Bases are earlier entries, and an accepted one is at most MAX_PERCENT_DEPTH deep. */
	for (int base = 0; base < index; base++)
		if (surcharge->on_surcharge >> base & 1)
		{
			int depth = percent_depth(tariff, base);

			if (depth > deepest)
				deepest = depth;
		}
	return deepest + 1;
}

/* One word of "on": the energy, the standing charges, an earlier surcharge. */
static bool
load_base(TariffLoader *loader, const Doc *doc, const char *path, const TariffName *names,
		  int index)
{
	static const char *const hint = "Use energy, standing or the name of an earlier surcharge.";
	TariffSurcharge *surcharge = &loader->tariff->surcharge[index];
	TariffName name;
	bool duplicate;

	if (!load_name(loader, doc, path, name))
		return false;
	if (strcmp(name, "energy") == 0)
	{
		duplicate = surcharge->on_energy;
		surcharge->on_energy = true;
	}
	else if (strcmp(name, "standing") == 0)
	{
		duplicate = surcharge->on_standing;
		surcharge->on_standing = true;
	}
	else
	{
		int base = load_find(names, index, name);

		if (base < 0)
			return load_fault(loader, path, hint,
							  strcmp(name, names[index]) == 0
								  ? "surcharge \"%s\" is charged on itself"
								  : "\"%s\" is not an earlier surcharge",
							  name);
		duplicate = surcharge->on_surcharge >> base & 1;
		surcharge->on_surcharge |= UINT32_C(1) << base;
	}
	if (duplicate)
		return load_fault(loader, path, "Name each base once.", "duplicate base \"%s\"", name);
	return true;
}

static bool
load_percent(TariffLoader *loader, const Doc *doc, const char *path, const TariffName *names,
			 int index)
{
	TariffSurcharge *surcharge = &loader->tariff->surcharge[index];
	const Doc *on = doc_get(doc, "on");
	char child[DOC_PATH_MAX];

	doc_path_key(child, path, "percent");
	surcharge->is_percent = true;
	if (!load_number(loader, doc_get(doc, "percent"), child, PERCENT_DECIMALS, LIMIT_PERCENT,
					 &surcharge->percent_e4))
		return false;
	if (on == NULL)
	{
		surcharge->on_energy = true;
		return true;
	}
	doc_path_key(child, path, "on");
	if (!load_array(loader, on, child, 1, TARIFF_MAX_SURCHARGES + 2))
		return false;
	for (int i = 0; i < on->n; i++)
	{
		char item[DOC_PATH_MAX];

		doc_path_item(item, child, i);
		if (!load_base(loader, &on->item[i], item, names, index))
			return false;
	}
	if (percent_depth(loader->tariff, index) > MAX_PERCENT_DEPTH)
		return load_fault(loader, child, "Charge it on the energy, with one rate for both.",
						  "more than %d percentages of one another", MAX_PERCENT_DEPTH);
	return true;
}

static bool
load_surcharge(TariffLoader *loader, const Doc *doc, const char *path, TariffName *names, int index)
{
	static const char *const known[] = { "name", "per_kwh", "percent", "on", NULL };
	static const char *const hint =
		"A surcharge has \"name\" and either \"per_kwh\" or \"percent\".";
	TariffSurcharge *surcharge = &loader->tariff->surcharge[index];
	const Doc *per_kwh;
	char child[DOC_PATH_MAX];

	if (!doc_is(doc, DOC_OBJECT, path, hint, loader->fault) ||
		!doc_has_only(doc, known, path, loader->fault) ||
		!load_charge_name(loader, doc, path, names, index, surcharge->name))
		return false;
	doc_path_key(child, path, "name");
	if (strcmp(surcharge->name, "energy") == 0 || strcmp(surcharge->name, "standing") == 0)
		return load_fault(loader, child, "Choose another name.",
						  "\"%s\" stands for a base in \"on\"", surcharge->name);

	per_kwh = doc_get(doc, "per_kwh");
	if ((per_kwh != NULL) == (doc_get(doc, "percent") != NULL))
		return load_fault(loader, path, hint, "surcharge has %s \"per_kwh\" %s \"percent\"",
						  per_kwh ? "both" : "neither", per_kwh ? "and" : "nor");
	if (per_kwh == NULL)
		return load_percent(loader, doc, path, (const TariffName *) names, index);
	if (doc_get(doc, "on"))
	{
		doc_path_key(child, path, "on");
		return load_fault(loader, child, "Leave it out: an amount per kWh is charged on energy.",
						  "\"on\" belongs to a percentage");
	}
	doc_path_key(child, path, "per_kwh");
	return load_number(loader, per_kwh, child, PRICE_DECIMALS, TARIFF_MAX_PRICE,
					   &surcharge->per_kwh_micro);
}

static bool
load_surcharges(TariffLoader *loader)
{
	const Doc *list = doc_get(loader->definition, "surcharges");
	TariffName names[TARIFF_MAX_SURCHARGES];

	if (list == NULL)
		return true;
	if (!load_array(loader, list, "surcharges", 0, TARIFF_MAX_SURCHARGES))
		return false;
	for (int i = 0; i < list->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "surcharges", i);
		if (!load_surcharge(loader, &list->item[i], path, names, i))
			return false;
		loader->tariff->n_surcharge++;
	}
	return true;
}

static bool
compile_units(TariffLoader *loader)
{
	Tariff *tariff = loader->tariff;

	for (int period = 0; period < tariff->n_period; period++)
		for (int tier = 0; tier < tariff->n_tier; tier++)
		{
			Exact part[TARIFF_MAX_SURCHARGES];
			Exact unit = exact_per_wh(tariff->price_micro[period][tier]);
			bool fits = tariff_surcharges(tariff, 1, unit, 0, part);

			for (int i = 0; fits && i < tariff->n_surcharge; i++)
				fits = exact_add(unit, part[i], &unit);
			if (!fits)
				return load_fault(loader, "surcharges", "Check the percentages.",
								  "price with surcharges is out of range");
			tariff->unit[period][tier] = unit;
		}
	return true;
}

bool
load_charges(TariffLoader *loader)
{
	return load_standing(loader) && load_surcharges(loader) && compile_units(loader);
}
