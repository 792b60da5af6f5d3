/*
 * tariff_load.c: checks a tariff definition and compiles it.
 *
 * A definition is refused as a whole or accepted as a whole: what tariff_load()
 * lets through can rate any instant without a further test, so every table of
 * Tariff is filled here for every season, day type, period and tier. The parts
 * are read in the order in which they refer to each other:
 *
 *   periods, seasons, calendar, day types, schedule   tariff_schedule.c
 *   tiers, prices                                     tariff_price.c
 *   standing charges, surcharges                      tariff_charge.c
 *
 * The document may come from anyone. Depth is bounded because nothing here
 * recurses, time because every list is held to its limit before it is read and
 * every object to its known keys.
 */
#include "tariff_load.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool
load_fault(TariffLoader *loader, const char *path, const char *hint, const char *format, ...)
{
	char what[sizeof(loader->fault->what)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(what, sizeof(what), format, arguments);
	va_end(arguments);
	doc_fault(loader->fault, path, hint, "%s", what);
	return false;
}

int
load_find(const TariffName *names, int n, const char *name)
{
	for (int i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

bool
load_name(TariffLoader *loader, const Doc *doc, const char *path, char *name)
{
	size_t length;

	if (!doc_is(doc, DOC_STRING, path, "A name is a text in double quotes.", loader->fault))
		return false;
	length = strlen(doc->text);
	if (length == 0)
		return load_fault(loader, path, "Give it a name.", "name is empty");
	if (length >= TARIFF_NAME_MAX)
		return load_fault(loader, path, "Shorten it.", "name is longer than %d bytes",
						  TARIFF_NAME_MAX - 1);
	for (size_t i = 0; i < length; i++)
		if ((unsigned char) doc->text[i] < 0x20 || doc->text[i] == 0x7F)
			return load_fault(loader, path, "Use letters, digits and signs only.",
							  "name holds a control character");
	if (doc->text[0] == ' ' || doc->text[length - 1] == ' ')
		return load_fault(loader, path, "Remove the space.", "name begins or ends with a space");
	memcpy(name, doc->text, length + 1);
	return true;
}

bool
load_new_name(TariffLoader *loader, const Doc *object, const char *path, const TariffName *names,
			  int n, char *name)
{
	char child[DOC_PATH_MAX];
	const Doc *doc;
	TariffName found;

	if (!load_member(loader, object, path, "name", "Give it a name.", &doc))
		return false;
	doc_path_key(child, path, "name");
	if (!load_name(loader, doc, child, found))
		return false;
	if (load_find(names, n, found) >= 0)
		return load_fault(loader, child, "Names must differ.", "duplicate name \"%s\"", found);
	memcpy(name, found, sizeof(found));
	return true;
}

bool
load_number(TariffLoader *loader, const Doc *doc, const char *path, int decimals, int64_t limit,
			int64_t *number)
{
	int64_t scaled_limit = limit;
	int64_t value = 0;

	if (!doc_is(doc, DOC_NUMBER, path,
				doc->kind == DOC_STRING ? "Write the number without quotes." : "Write a number.",
				loader->fault))
		return false;
	for (int i = 0; i < decimals; i++)
		scaled_limit *= 10;
	switch (decimal_parse(doc->text, decimals, &value))
	{
		case DECIMAL_OK:
			break;
		case DECIMAL_SYNTAX:
			return load_fault(loader, path, "Write a decimal number.", "\"%.40s\" is not a number",
							  doc->text);
		case DECIMAL_TOO_FINE:
			if (decimals == 0)
				return load_fault(loader, path, "Write a whole number.",
								  "%.40s is not a whole number", doc->text);
			return load_fault(loader, path, "Round it.", "%.40s has more than %d decimals",
							  doc->text, decimals);
		case DECIMAL_OVERFLOW:
			value = INT64_MAX;
			break;
	}
	if (value > scaled_limit || value < -scaled_limit)
		return load_fault(loader, path, "Check the unit and the decimal point.",
						  "%.40s is out of range, the limit is %lld", doc->text, (long long) limit);
	*number = value;
	return true;
}

bool
load_member(TariffLoader *loader, const Doc *object, const char *path, const char *key,
			const char *hint, const Doc **member)
{
	char child[DOC_PATH_MAX];

	*member = doc_get(object, key);
	if (*member)
		return true;
	doc_path_key(child, path, key);
	return load_fault(loader, child, hint, "\"%s\" is missing", key);
}

bool
load_array(TariffLoader *loader, const Doc *doc, const char *path, int least, int most)
{
	if (!doc_is(doc, DOC_ARRAY, path, "Write a list in square brackets.", loader->fault))
		return false;
	if (doc->n < least)
		return load_fault(loader, path, "Fill it, or leave the key out.", "list is empty");
	if (doc->n > most)
		return load_fault(loader, path, "Shorten it.", "list has %d items, at most %d are allowed",
						  doc->n, most);
	return true;
}

bool
load_two_digits(const char *text, int *value)
{
	if (text[0] < '0' || text[0] > '9' || text[1] < '0' || text[1] > '9')
		return false;
	*value = (text[0] - '0') * 10 + (text[1] - '0');
	return true;
}

bool
load_month_day(TariffLoader *loader, const Doc *doc, const char *path, int *month, int *mday)
{
	static const char *const hint = "Write month and day like \"07-01\".";

	if (!doc_is(doc, DOC_STRING, path, hint, loader->fault))
		return false;
	if (strlen(doc->text) != 5 || doc->text[2] != '-' || !load_two_digits(doc->text, month) ||
		!load_two_digits(doc->text + 3, mday) || *month < 1 || *month > 12 || *mday < 1 ||
		*mday > cal_days_in_month(2000, *month))
		return load_fault(loader, path, hint, "\"%.40s\" is not a day of the year", doc->text);
	return true;
}

bool
load_choice(TariffLoader *loader, const Doc *doc, const char *path, const Choice *choice,
			const char *hint, int *value)
{
	if (!doc_is(doc, DOC_STRING, path, hint, loader->fault))
		return false;
	for (; choice->word; choice++)
		if (strcmp(choice->word, doc->text) == 0)
		{
			*value = choice->value;
			return true;
		}
	return load_fault(loader, path, hint, "unknown word \"%.100s\"", doc->text);
}

static bool
load_periods(TariffLoader *loader)
{
	Tariff *tariff = loader->tariff;
	const Doc *periods = doc_get(loader->definition, "periods");

	if (periods == NULL)
	{
		strcpy(tariff->period_name[0], "all");
		tariff->n_period = 1;
		return true;
	}
	if (!load_array(loader, periods, "periods", 1, TARIFF_MAX_PERIODS))
		return false;
	for (int i = 0; i < periods->n; i++)
	{
		char path[DOC_PATH_MAX];
		TariffName name;

		doc_path_item(path, "periods", i);
		if (!load_name(loader, &periods->item[i], path, name))
			return false;
		if (load_find(tariff->period_name, tariff->n_period, name) >= 0)
			return load_fault(loader, path, "Name each period once.", "duplicate period \"%s\"",
							  name);
		memcpy(tariff->period_name[tariff->n_period++], name, sizeof(name));
	}
	return true;
}

static int
characters(const char *text)
{
	int n = 0;

	for (; *text; text++)
		n += (*text & 0xC0) != 0x80;
	return n;
}

/* Notes say nothing to rating: they stay with the version for the people who read it. */
static bool
check_notes(TariffLoader *loader)
{
	const Doc *notes = doc_get(loader->definition, "notes");

	if (notes == NULL)
		return true;
	if (!load_array(loader, notes, "notes", 0, TARIFF_MAX_NOTES))
		return false;
	for (int i = 0; i < notes->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "notes", i);
		if (!doc_is(&notes->item[i], DOC_STRING, path, "A note is a text in double quotes.",
					loader->fault))
			return false;
		if (characters(notes->item[i].text) > TARIFF_NOTE_MAX)
			return load_fault(loader, path, "Shorten it, or make two of it.",
							  "note is longer than %d characters", TARIFF_NOTE_MAX);
	}
	return true;
}

Tariff *
tariff_load(const Doc *definition, DocFault *fault)
{
	static const char *const known[] = { "periods",	   "seasons", "calendar", "day_types",
										 "schedule",   "tiers",	  "prices",	  "standing",
										 "surcharges", "notes",	  NULL };
	TariffLoader loader = { definition, NULL, fault };

	if (!doc_is(definition, DOC_OBJECT, "", "A tariff definition is a JSON object.", fault) ||
		!doc_has_only(definition, known, "", fault))
		return NULL;

	loader.tariff = core_alloc(sizeof(Tariff));
	if (check_notes(&loader) && load_periods(&loader) && load_calendar_and_schedule(&loader) &&
		load_tiers_and_prices(&loader) && load_charges(&loader))
		return loader.tariff;
	tariff_free(loader.tariff);
	return NULL;
}
