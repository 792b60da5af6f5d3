/*
 * urdb.c: reads a rate of the Utility Rate Database (see urdb.h).
 *
 * A rate is judged as a whole before a definition of it is written:
 *
 *   schedules, periods, seasons, fixed charge   urdb.c
 *   tiers of the periods, bounds they share     urdb_tier.c
 *   the definition                              urdb_write.c
 *   what it does not say                        urdb_note.c
 *
 * Two rules decide what is a fault and what is a note. A kWh must cost what the
 * rate says or the import fails: tiers by kWh per kW of demand, or periods of one
 * month whose tiers end elsewhere, are faults. What is charged for something other
 * than energy used (demand, minimum bills, energy fed in) is left out and noted.
 *
 * Prices are added and rounded as decimals. URDB's numbers have often been through
 * a binary fraction (0.05312000000000001), so a price may have more than the six
 * decimals of ours; it is rounded half away from zero, and that is noted.
 */
#include "urdb_rate.h"

#include <stdio.h>
#include <string.h>

bool
urdb_holds(const UrdbRate *rate, int period, const UrdbSeason *season)
{
	/* All months of a season are alike. */
	for (int days = 0; days < URDB_DAYS; days++)
		if (memchr(rate->hour[days][season->first], period, URDB_HOURS))
			return true;
	return false;
}

const Doc *
urdb_member(const Doc *object, const char *key)
{
	const Doc *member = doc_get(object, key);

	return member && member->kind != DOC_NULL ? member : NULL;
}

bool
urdb_out_of_range(UrdbRate *rate, const char *path)
{
	doc_fault(rate->fault, path, "Check the unit and the decimal point.",
			  "the number is out of range");
	return false;
}

bool
urdb_exact(UrdbRate *rate, const Doc *number, const char *path, Exact *value)
{
	if (!doc_is(number, DOC_NUMBER, path,
				number->kind == DOC_STRING ? "Write the number without quotes." : "Write a number.",
				rate->fault))
		return false;
	switch (exact_parse_cut(number->text, value))
	{
		case DECIMAL_OK:
			return true;
		case DECIMAL_OVERFLOW:
			return urdb_out_of_range(rate, path);
		default:
			doc_fault(rate->fault, path, "Write a decimal number.", "\"%.40s\" is not a number",
					  number->text);
			return false;
	}
}

bool
urdb_round(UrdbRate *rate, Exact value, const char *path, int decimals, int64_t limit,
		   int64_t *number, int *rounded)
{
	int64_t scaled_limit = limit;
	__int128 unit = 1;

	for (int i = 0; i < decimals; i++)
		scaled_limit *= 10;
	for (int i = decimals; i < EXACT_DECIMALS; i++)
		unit *= 10;
	if (!div_round_half_away(value, unit, number) || *number > scaled_limit ||
		*number < -scaled_limit)
		return urdb_out_of_range(rate, path);
	*rounded += value % unit != 0;
	return true;
}

/* ---- schedules ---- */

/* Calls visit for every hour of a schedule; false: it is not 12 × 24 numbers of periods. */
static bool
read_schedule(UrdbRate *rate, const char *key, int n_period, int *index)
{
	static const char *const hint =
		"A schedule is 12 lists (January first) of 24 numbers of periods, counted from 0.";
	const Doc *schedule = urdb_member(rate->rate, key);

	if (schedule == NULL)
	{
		doc_fault(rate->fault, key, hint, "\"%s\" is missing", key);
		return false;
	}
	if (!doc_is(schedule, DOC_ARRAY, key, hint, rate->fault))
		return false;
	if (schedule->n != URDB_MONTHS)
	{
		doc_fault(rate->fault, key, hint, "the schedule has %d months", schedule->n);
		return false;
	}
	for (int month = 0; month < URDB_MONTHS; month++)
	{
		const Doc *hours = &schedule->item[month];
		char path[DOC_PATH_MAX];

		doc_path_item(path, key, month);
		if (!doc_is(hours, DOC_ARRAY, path, hint, rate->fault))
			return false;
		if (hours->n != URDB_HOURS)
		{
			doc_fault(rate->fault, path, hint, "the month has %d hours", hours->n);
			return false;
		}
		for (int hour = 0; hour < URDB_HOURS; hour++)
		{
			const Doc *number = &hours->item[hour];
			char child[DOC_PATH_MAX];
			int64_t value;

			doc_path_item(child, path, hour);
			if (!doc_is(number, DOC_NUMBER, child, hint, rate->fault))
				return false;
			if (decimal_parse(number->text, 0, &value) != DECIMAL_OK || value < 0 ||
				value >= n_period)
			{
				doc_fault(rate->fault, child, hint, "there is no period %.40s, only 0 to %d",
						  number->text, n_period - 1);
				return false;
			}
			*index++ = (int) value;
		}
	}
	return true;
}

/* Number of a period of the rate among those kept, ascending; kept when it is new. */
static bool
keep_period(UrdbRate *rate, int index)
{
	int at = rate->n_period;

	for (int i = 0; i < rate->n_period; i++)
		if (rate->period[i].index == index)
			return true;
	if (rate->n_period == TARIFF_MAX_PERIODS)
	{
		doc_fault(rate->fault, URDB_STRUCTURE,
				  "Let hours that cost the same have the same period, or make two tariffs of it.",
				  "more than %d periods are in the schedules", TARIFF_MAX_PERIODS);
		return false;
	}
	for (; at > 0 && rate->period[at - 1].index > index; at--)
		rate->period[at].index = rate->period[at - 1].index;
	rate->period[at].index = index;
	rate->n_period++;
	return true;
}

static int
find_period(const UrdbRate *rate, int index)
{
	int i = 0;

	while (rate->period[i].index != index)
		i++;
	return i;
}

static bool
load_schedules(UrdbRate *rate, int n_period)
{
	static const char *const key[URDB_DAYS] = { "energyweekdayschedule", "energyweekendschedule" };
	int index[URDB_DAYS][URDB_MONTHS][URDB_HOURS] = { 0 };
	bool always = n_period == 1 && urdb_member(rate->rate, key[URDB_WEEKDAY]) == NULL &&
				  urdb_member(rate->rate, key[URDB_WEEKEND]) == NULL;

	for (int days = 0; days < URDB_DAYS && !always; days++)
		if (!read_schedule(rate, key[days], n_period, &index[days][0][0]))
			return false;
	for (int days = 0; days < URDB_DAYS; days++)
		for (int month = 0; month < URDB_MONTHS; month++)
			for (int hour = 0; hour < URDB_HOURS; hour++)
				if (!keep_period(rate, index[days][month][hour]))
					return false;
	for (int days = 0; days < URDB_DAYS; days++)
		for (int month = 0; month < URDB_MONTHS; month++)
			for (int hour = 0; hour < URDB_HOURS; hour++)
				rate->hour[days][month][hour] =
					(int8_t) find_period(rate, index[days][month][hour]);
	rate->unused_periods = n_period - rate->n_period;
	return true;
}

/* ---- names of periods and seasons ---- */

static bool
is_name(const Doc *label)
{
	size_t length;

	if (label->kind != DOC_STRING)
		return false;
	length = strlen(label->text);
	if (length == 0 || length >= TARIFF_NAME_MAX || label->text[0] == ' ' ||
		label->text[length - 1] == ' ')
		return false;
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) label->text[i] < 0x20 || label->text[i] == 0x7F)
			return false;
	return true;
}

/* By the rate's own labels where they are good names, else by number, as URDB's pages count. */
static void
name_periods(UrdbRate *rate)
{
	const Doc *labels = urdb_member(rate->rate, "energytoulabels");
	bool named = labels && labels->kind == DOC_ARRAY;

	for (int i = 0; i < rate->n_period && named; i++)
	{
		UrdbPeriod *period = &rate->period[i];

		named = period->index < labels->n && is_name(&labels->item[period->index]);
		if (named)
			strcpy(period->name, labels->item[period->index].text);
		for (int k = 0; k < i && named; k++)
			named = strcmp(rate->period[k].name, period->name) != 0;
	}
	for (int i = 0; i < rate->n_period && !named; i++)
		snprintf(rate->period[i].name, TARIFF_NAME_MAX, "period %d", rate->period[i].index + 1);
}

static bool
same_hours(const UrdbRate *rate, int month, int other)
{
	for (int days = 0; days < URDB_DAYS; days++)
		if (memcmp(rate->hour[days][month], rate->hour[days][other], URDB_HOURS) != 0)
			return false;
	return true;
}

static void
find_seasons(UrdbRate *rate)
{
	int first = 0;
	int month = 0;

	/* Begin where the hours change, so that a season over new year stays whole. */
	while (first < URDB_MONTHS && same_hours(rate, first, (first + URDB_MONTHS - 1) % URDB_MONTHS))
		first++;
	if (first == URDB_MONTHS)
		first = 0;
	while (month < URDB_MONTHS)
	{
		UrdbSeason *season = &rate->season[rate->n_season++];

		season->first = (first + month) % URDB_MONTHS;
		do
			season->last = (first + month++) % URDB_MONTHS;
		while (month < URDB_MONTHS &&
			   same_hours(rate, season->first, (first + month) % URDB_MONTHS));
	}
}

static bool
load_rate(UrdbRate *rate)
{
	const Doc *structure = urdb_member(rate->rate, URDB_STRUCTURE);

	if (structure == NULL)
	{
		doc_fault(
			rate->fault, URDB_STRUCTURE,
			doc_get(rate->rate, "items")
				? "This is the answer of the API: give one rate of it, such as"
				  " answer -> 'items' -> 0."
				: "Give a rate with prices of energy, in the form of version 7 or 8 of the API.",
			"\"%s\" is missing", URDB_STRUCTURE);
		return false;
	}
	if (!doc_is(structure, DOC_ARRAY, URDB_STRUCTURE, "It is a list of periods.", rate->fault))
		return false;
	if (structure->n == 0)
	{
		doc_fault(rate->fault, URDB_STRUCTURE, "Give the prices of at least one period.",
				  "list is empty");
		return false;
	}
	if (!load_schedules(rate, structure->n))
		return false;
	for (int i = 0; i < rate->n_period; i++)
		if (!urdb_load_tiers(rate, &structure->item[rate->period[i].index], &rate->period[i]))
			return false;
	name_periods(rate);
	find_seasons(rate);
	return urdb_set_bounds(rate);
}

static bool
load_fixed_charge(UrdbRate *rate)
{
	static const char *const path = "fixedchargefirstmeter";
	const Doc *charge = urdb_member(rate->rate, path);
	const Doc *units = urdb_member(rate->rate, "fixedchargeunits");
	Exact amount;

	if (charge == NULL || urdb_is_nothing(charge))
		return true;
	if (!urdb_exact(rate, charge, path, &amount) ||
		!urdb_round(rate, amount, path, PRICE_DECIMALS, TARIFF_MAX_AMOUNT, &rate->fixed_micro,
					&rate->rounded_amounts))
		return false;
	if (units && units->kind == DOC_STRING && strcmp(units->text, "$/month") == 0)
		rate->fixed_per = "month";
	else if (units && units->kind == DOC_STRING && strcmp(units->text, "$/day") == 0)
		rate->fixed_per = "day";
	else
	{
		rate->fixed_units = units && units->kind == DOC_STRING ? units->text : "";
		rate->rounded_amounts = 0;
	}
	return true;
}

Doc *
urdb_definition(const Doc *source, DocFault *fault)
{
	UrdbRate *rate;
	Doc *definition = NULL;

	if (!doc_is(source, DOC_OBJECT, "", "A rate is a JSON object.", fault))
		return NULL;
	rate = core_alloc(sizeof(UrdbRate));
	rate->rate = source;
	rate->fault = fault;
	if (load_rate(rate) && load_fixed_charge(rate))
	{
		definition = core_alloc(sizeof(Doc));
		*definition = urdb_write(rate);
	}
	core_free(rate);
	return definition;
}
