/*
 * urdb_write.c: writes the definition of a URDB rate that was read.
 */
#include "urdb_rate.h"

#include <stdio.h>
#include <string.h>

static const char *const month_name[URDB_MONTHS] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
													 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

void
urdb_season_name(const UrdbSeason *season, char *name)
{
	if (season->first == season->last)
		snprintf(name, TARIFF_NAME_MAX, "%s", month_name[season->first]);
	else
		snprintf(name, TARIFF_NAME_MAX, "%s-%s", month_name[season->first],
				 month_name[season->last]);
}

static Doc
season_name(const UrdbSeason *season)
{
	TariffName name;

	urdb_season_name(season, name);
	return doc_new_text(name);
}

static Doc
month_begin(int month)
{
	return doc_new_sentence("%02d-01", month % URDB_MONTHS + 1);
}

static Doc
micro_number(int64_t micro)
{
	char text[EXACT_TEXT_MAX];
	Exact value;

	(void) exact_from_micro(micro, &value);
	exact_format(value, text);
	return doc_new_number(text);
}

static Doc
kwh_number(int64_t wh)
{
	char text[EXACT_TEXT_MAX];
	Exact value;

	(void) exact_from_minor(wh, URDB_KWH_DECIMALS, &value);
	exact_format(value, text);
	return doc_new_number(text);
}

static void
write_periods(const UrdbRate *rate, Doc *definition)
{
	Doc periods = doc_new(DOC_ARRAY);

	if (rate->n_period == 1)
		return;
	for (int i = 0; i < rate->n_period; i++)
		doc_add(&periods, NULL, doc_new_text(rate->period[i].name));
	doc_add(definition, "periods", periods);
}

static void
write_seasons(const UrdbRate *rate, Doc *definition)
{
	Doc seasons = doc_new(DOC_ARRAY);

	if (rate->n_season == 1)
		return;
	for (int i = 0; i < rate->n_season; i++)
	{
		Doc season = doc_new(DOC_OBJECT);

		doc_add(&season, "name", season_name(&rate->season[i]));
		doc_add(&season, "from", month_begin(rate->season[i].first));
		doc_add(&season, "to", month_begin(rate->season[i].last + 1));
		doc_add(&seasons, NULL, season);
	}
	doc_add(definition, "seasons", seasons);
}

static void
write_row(const UrdbRate *rate, const UrdbSeason *season, UrdbDays days, bool says_days,
		  Doc *schedule)
{
	const int8_t *hour = rate->hour[days][season->first];
	Doc row = doc_new(DOC_OBJECT);
	Doc slots = doc_new(DOC_ARRAY);

	if (rate->n_season > 1)
		doc_add(&row, "season", season_name(season));
	if (says_days)
		doc_add(&row, "day_type", doc_new_text("weekend"));
	for (int i = 0; i < URDB_HOURS; i++)
		if (i == 0 || hour[i] != hour[i - 1])
		{
			Doc slot = doc_new(DOC_ARRAY);

			doc_add(&slot, NULL, doc_new_sentence("%02d:00", i));
			doc_add(&slot, NULL, doc_new_text(rate->period[hour[i]].name));
			doc_add(&slots, NULL, slot);
		}
	doc_add(&row, "slots", slots);
	doc_add(schedule, NULL, row);
}

static void
write_day_types(Doc *definition)
{
	Doc day_types = doc_new(DOC_ARRAY);
	Doc weekend = doc_new(DOC_OBJECT);
	Doc days = doc_new(DOC_ARRAY);

	doc_add(&days, NULL, doc_new_number("6"));
	doc_add(&days, NULL, doc_new_number("7"));
	doc_add(&weekend, "name", doc_new_text("weekend"));
	doc_add(&weekend, "days", days);
	doc_add(&day_types, NULL, weekend);
	doc_add(definition, "day_types", day_types);
}

static void
write_schedule(const UrdbRate *rate, Doc *definition)
{
	Doc schedule = doc_new(DOC_ARRAY);
	bool has_weekend = false;

	if (rate->n_period == 1)
		return;
	for (int i = 0; i < rate->n_season; i++)
	{
		const UrdbSeason *season = &rate->season[i];
		bool differs = memcmp(rate->hour[URDB_WEEKDAY][season->first],
							  rate->hour[URDB_WEEKEND][season->first], URDB_HOURS) != 0;

		if (differs)
			write_row(rate, season, URDB_WEEKEND, true, &schedule);
		write_row(rate, season, URDB_WEEKDAY, false, &schedule);
		has_weekend = has_weekend || differs;
	}
	if (has_weekend)
		write_day_types(definition);
	doc_add(definition, "schedule", schedule);
}

static Doc
bounds_list(const UrdbRate *rate, const UrdbSeason *season)
{
	Doc list = doc_new(DOC_ARRAY);

	for (int i = 0; i < rate->n_bound; i++)
		doc_add(&list, NULL, kwh_number(season->upto_wh[i]));
	return list;
}

static void
write_tiers(const UrdbRate *rate, Doc *definition)
{
	Doc tiers = doc_new(DOC_OBJECT);
	Doc by_season = doc_new(DOC_OBJECT);

	if (rate->n_bound == 0)
		return;
	doc_add(&tiers, "accumulate",
			doc_new_text(rate->bound_unit == URDB_PER_DAY ? "day_allowance" : "month"));
	for (int i = 0; i < rate->n_season && rate->by_season; i++)
	{
		TariffName name;

		urdb_season_name(&rate->season[i], name);
		doc_add(&by_season, name, bounds_list(rate, &rate->season[i]));
	}
	doc_add(&tiers, "upto", rate->by_season ? by_season : bounds_list(rate, rate->season));
	doc_add(definition, "tiers", tiers);
}

static Doc
prices_of(const UrdbRate *rate, int period)
{
	Doc list = doc_new(DOC_ARRAY);

	if (rate->period[period].n_tier == 1)
		return micro_number(rate->period[period].price_micro[0]);
	for (int tier = 0; tier <= rate->n_bound; tier++)
		doc_add(&list, NULL, micro_number(urdb_price_micro(rate, period, tier)));
	return list;
}

static void
write_prices(const UrdbRate *rate, Doc *definition)
{
	Doc prices = doc_new(DOC_OBJECT);

	if (rate->n_period == 1)
	{
		doc_add(definition, "prices", prices_of(rate, 0));
		return;
	}
	for (int i = 0; i < rate->n_period; i++)
		doc_add(&prices, rate->period[i].name, prices_of(rate, i));
	doc_add(definition, "prices", prices);
}

static void
write_standing(const UrdbRate *rate, Doc *definition)
{
	Doc list = doc_new(DOC_ARRAY);
	Doc charge = doc_new(DOC_OBJECT);

	if (rate->fixed_per == NULL)
		return;
	doc_add(&charge, "name", doc_new_text("fixed charge"));
	doc_add(&charge, "amount", micro_number(rate->fixed_micro));
	doc_add(&charge, "per", doc_new_text(rate->fixed_per));
	doc_add(&list, NULL, charge);
	doc_add(definition, "standing", list);
}

Doc
urdb_write(const UrdbRate *rate)
{
	Doc definition = doc_new(DOC_OBJECT);
	Doc notes = doc_new(DOC_ARRAY);

	write_periods(rate, &definition);
	write_seasons(rate, &definition);
	write_schedule(rate, &definition);
	write_tiers(rate, &definition);
	write_prices(rate, &definition);
	write_standing(rate, &definition);
	urdb_write_notes(rate, &notes);
	if (notes.n > 0)
		doc_add(&definition, "notes", notes);
	return definition;
}
