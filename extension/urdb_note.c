/*
 * urdb_note.c: what of a URDB rate its definition does not carry, in words.
 *
 * Every member of the rate is known here: priced by the definition, a description
 * that charges nothing, or a charge that is named. One that is not known is named too.
 */
#include "urdb_rate.h"

#include <stdio.h>
#include <string.h>

#define NOTHING_DEPTH 4 /* lists of lists of tiers with members */

/* Carried, or nothing to carry: identity, applicability, and how demand is measured. */
static const char *const silent[] = {
	"energyratestructure",
	"energyweekdayschedule",
	"energyweekendschedule",
	"energytoulabels",
	"energycomments",
	"fixedchargefirstmeter",
	"fixedchargeunits",
	"minchargeunits",
	"label",
	"uri",
	"type",
	"revisions",
	"approved",
	"is_default",
	"startdate",
	"enddate",
	"supercedes",
	"supersedes",
	"utility",
	"eiaid",
	"name",
	"country",
	"sector",
	"servicetype",
	"description",
	"source",
	"sourceparent",
	"basicinformationcomments",
	"peakkwcapacitymin",
	"peakkwcapacitymax",
	"peakkwcapacityhistory",
	"peakkwhusagemin",
	"peakkwhusagemax",
	"peakkwhusagehistory",
	"voltageminimum",
	"voltagemaximum",
	"voltagecategory",
	"phasewiring",
	"demandunits",
	"flatdemandunit",
	"flatdemandmonths",
	"demandrateunit",
	"demandweekdayschedule",
	"demandweekendschedule",
	"demandtoulabels",
	"demandratchetpercentage",
	"demandwindow",
	"demandcomments",
	"demandattrs",
	"coincidentrateunit",
	"coincidentrateschedule",
	"lookbackpercent",
	"lookbackrange",
	"lookbackmonths",
};

typedef struct Lost
{
	const char *key;
	const char *what;
} Lost;

static const Lost lost[] = {
	{ "flatdemandstructure", "demand charges by month" },
	{ "demandratestructure", "demand charges by time of use" },
	{ "demandreactivepowercharge", "the charge for reactive power" },
	{ "coincidentratestructure", "charges for demand at the system's peak" },
	{ "fueladjustmentsmonthly", "fuel adjustments by month, per kWh" },
	{ "energyattrs", "terms of the energy price in words" },
	{ "fixedattrs", "terms of the fixed charge in words" },
	{ "fixedchargeeaaddl", "the fixed charge of each further meter" },
	{ "mincharge", "the minimum bill" },
	{ "dgrules", "credit for energy fed in" },
	{ "usenetmetering", "credit for energy fed in" },
};

static bool
nothing(const Doc *value, int depth)
{
	switch (value->kind)
	{
		case DOC_NULL:
			return true;
		case DOC_BOOL:
			return !value->boolean;
		case DOC_NUMBER:
			return value->text[strcspn(value->text, "123456789")] == '\0';
		case DOC_STRING:
			return value->text[0] == '\0';
		case DOC_ARRAY:
		case DOC_OBJECT:
			break;
	}
	for (int i = 0; i < value->n; i++)
		if (depth == NOTHING_DEPTH || !nothing(&value->item[i], depth + 1))
			return false;
	return true;
}

bool
urdb_is_nothing(const Doc *value)
{
	return nothing(value, 0);
}

static bool
is_known(const char *key)
{
	for (size_t i = 0; i < sizeof(silent) / sizeof(*silent); i++)
		if (strcmp(silent[i], key) == 0)
			return true;
	for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++)
		if (strcmp(lost[i].key, key) == 0)
			return true;
	return false;
}

static void
note_unknown(const UrdbRate *rate, Doc *notes)
{
	char list[DOC_TEXT_MAX / 2] = "";
	size_t used = 0;

	for (int i = 0; i < rate->rate->n && used < sizeof(list); i++)
		if (!is_known(rate->rate->key[i]) && !urdb_is_nothing(&rate->rate->item[i]))
			used += (size_t) snprintf(list + used, sizeof(list) - used, "%s%.60s", used ? ", " : "",
									  rate->rate->key[i]);
	if (used > 0)
		doc_add(notes, NULL, doc_new_sentence("not carried, because not known: %s", list));
}

static void
note_lost(const UrdbRate *rate, Doc *notes)
{
	for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++)
	{
		const Doc *value = doc_get(rate->rate, lost[i].key);

		if (value && !urdb_is_nothing(value))
			doc_add(notes, NULL,
					doc_new_sentence("not carried: %s (%s)", lost[i].what, lost[i].key));
	}
	if (rate->has_sell)
		doc_add(notes, NULL, doc_new_sentence("not carried: prices of energy fed in (sell)"));
	if (rate->fixed_units)
		doc_add(notes, NULL,
				doc_new_sentence("not carried: the fixed charge, because it is neither $/month nor"
								 " $/day but \"%.40s\" (fixedchargefirstmeter)",
								 rate->fixed_units));
	if (rate->unused_periods > 0)
		doc_add(notes, NULL,
				doc_new_sentence("not carried: periods that no hour of the schedules has: %d",
								 rate->unused_periods));
}

void
urdb_write_notes(const UrdbRate *rate, Doc *notes)
{
	note_lost(rate, notes);
	note_unknown(rate, notes);
	if (rate->has_shared_tiers)
		doc_add(notes, NULL,
				doc_new_sentence("tiers count the energy of all periods of a month together, in the"
								 " order it is used; URDB does not say whether each period counts"
								 " its own"));
	if (rate->has_last_max)
		doc_add(notes, NULL,
				doc_new_sentence("energy above the last tier's \"max\" is priced as in that tier"));
	if (rate->rounded_prices > 0)
		doc_add(
			notes, NULL,
			doc_new_sentence("prices with more than %d decimals are rounded, half away from 0: %d",
							 PRICE_DECIMALS, rate->rounded_prices));
	if (rate->rounded_bounds > 0)
		doc_add(
			notes, NULL,
			doc_new_sentence("bounds of tiers finer than 1 Wh are rounded, half away from 0: %d",
							 rate->rounded_bounds));
	if (rate->rounded_amounts > 0)
		doc_add(notes, NULL,
				doc_new_sentence("the fixed charge is rounded to %d decimals, half away from 0",
								 PRICE_DECIMALS));
}
