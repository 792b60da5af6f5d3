/*
 * tariff_schedule.c: reads the calendar side of a tariff definition: which
 * season, day type and period a local moment has.
 *
 * Rows of the schedule are rules for (season, day type), either of which may be
 * left open. They are collected under their key, then resolved once for every
 * season and day type, most specific first, into row_of and row_other.
 */
#include "tariff_load.h"

#include <string.h>

#define LEAP_YEAR 2000 /* cal_day() of its January 1 is 0 */
#define LEAP_YEAR_DAYS 366
#define ANY 0 /* index of the open key; season and day type i are at i + 1 */
#define NO_ROW (-1)

typedef int16_t RowRules[TARIFF_MAX_SEASONS + 1][TARIFF_MAX_DAY_TYPES + 1];

static bool
load_season(TariffLoader *loader, const Doc *season, const char *path, int8_t *owner)
{
	static const char *const known[] = { "name", "from", "to", NULL };
	static const char *const hint = "A season has \"name\", \"from\" and \"to\" (exclusive).";
	Tariff *tariff = loader->tariff;
	int bound[2];
	int day;

	if (!doc_is(season, DOC_OBJECT, path, hint, loader->fault) ||
		!doc_has_only(season, known, path, loader->fault) ||
		!load_new_name(loader, season, path, tariff->season_name, tariff->n_season,
					   tariff->season_name[tariff->n_season]))
		return false;
	for (int i = 0; i < 2; i++)
	{
		const char *key = known[1 + i];
		char child[DOC_PATH_MAX];
		const Doc *edge;
		int month;
		int mday;

		doc_path_key(child, path, key);
		if (!load_member(loader, season, path, key, hint, &edge) ||
			!load_month_day(loader, edge, child, &month, &mday))
			return false;
		bound[i] = cal_day(LEAP_YEAR, month, mday);
	}

	/* from = to is the whole year: a season of no day would be of no use. */
	day = bound[0];
	do
	{
		int year;
		int month;
		int mday;

		if (owner[day] >= 0)
		{
			cal_civil(day, &year, &month, &mday);
			return load_fault(loader, path,
							  "Let a season end where the next begins: \"to\" is exclusive.",
							  "overlaps season \"%s\" on %02d-%02d",
							  tariff->season_name[owner[day]], month, mday);
		}
		owner[day] = (int8_t) tariff->n_season;
		day = (day + 1) % LEAP_YEAR_DAYS;
	} while (day != bound[1]);
	tariff->n_season++;
	return true;
}

static bool
load_seasons(TariffLoader *loader)
{
	Tariff *tariff = loader->tariff;
	const Doc *seasons = doc_get(loader->definition, "seasons");
	int8_t owner[LEAP_YEAR_DAYS];

	if (seasons == NULL)
	{
		strcpy(tariff->season_name[0], "all");
		tariff->n_season = 1;
		return true;
	}
	if (!load_array(loader, seasons, "seasons", 1, TARIFF_MAX_SEASONS))
		return false;
	memset(owner, -1, sizeof(owner));
	for (int i = 0; i < seasons->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "seasons", i);
		if (!load_season(loader, &seasons->item[i], path, owner))
			return false;
	}
	for (int day = 0; day < LEAP_YEAR_DAYS; day++)
	{
		int year;
		int month;
		int mday;

		cal_civil(day, &year, &month, &mday);
		if (owner[day] < 0)
			return load_fault(loader, "seasons", "Let a season end where the next begins.",
							  "no season covers %02d-%02d", month, mday);
		tariff->season_of[month - 1][mday - 1] = owner[day];
	}
	return true;
}

static bool
load_weekdays(TariffLoader *loader, const Doc *days, const char *path, int type)
{
	static const char *const hint = "Days are 1 (Monday) to 7 (Sunday), each once.";
	bool seen[8] = { false };

	if (!load_array(loader, days, path, 1, 7))
		return false;
	for (int i = 0; i < days->n; i++)
	{
		char child[DOC_PATH_MAX];
		int64_t day;

		doc_path_item(child, path, i);
		if (!load_number(loader, &days->item[i], child, 0, 7, &day))
			return false;
		if (day < 1)
			return load_fault(loader, child, hint, "%d is not a day of the week", (int) day);
		if (seen[day])
			return load_fault(loader, child, hint, "duplicate day %d", (int) day);
		seen[day] = true;
		/* Day types are tried in order: the first that claims a weekday has it. */
		if (loader->tariff->weekday_type[day] == TARIFF_WORKDAY)
			loader->tariff->weekday_type[day] = (uint8_t) type;
	}
	return true;
}

static bool
load_day_type(TariffLoader *loader, const Doc *day_type, const char *path)
{
	static const char *const known[] = { "name", "days", NULL };
	static const char *const hint = "A day type has \"name\" and \"days\", for example [6, 7].";
	Tariff *tariff = loader->tariff;
	char child[DOC_PATH_MAX];
	const Doc *days;

	doc_path_key(child, path, "days");
	if (!doc_is(day_type, DOC_OBJECT, path, hint, loader->fault) ||
		!doc_has_only(day_type, known, path, loader->fault) ||
		!load_new_name(loader, day_type, path, tariff->day_type_name, tariff->n_day_type,
					   tariff->day_type_name[tariff->n_day_type]) ||
		!load_member(loader, day_type, path, "days", hint, &days) ||
		!load_weekdays(loader, days, child, tariff->n_day_type))
		return false;
	tariff->n_day_type++;
	return true;
}

static bool
load_day_types(TariffLoader *loader)
{
	Tariff *tariff = loader->tariff;
	const Doc *calendar = doc_get(loader->definition, "calendar");
	const Doc *day_types = doc_get(loader->definition, "day_types");

	strcpy(tariff->day_type_name[TARIFF_WORKDAY], "workday");
	tariff->n_day_type = 1;
	if (calendar && !load_name(loader, calendar, "calendar", tariff->calendar))
		return false;
	if (day_types == NULL)
		return true;
	if (!load_array(loader, day_types, "day_types", 1, TARIFF_MAX_DAY_TYPES - 1))
		return false;
	for (int i = 0; i < day_types->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "day_types", i);
		if (!load_day_type(loader, &day_types->item[i], path))
			return false;
	}
	return true;
}

static bool
load_slot(TariffLoader *loader, const Doc *slot, const char *path, TariffRow *row, int *last_minute)
{
	static const char *const hint = "A slot is [\"HH:MM\", \"period\"].";
	Tariff *tariff = loader->tariff;
	char child[DOC_PATH_MAX];
	const Doc *time;
	TariffName name;
	int hour;
	int minute;
	int period;

	if (!doc_is(slot, DOC_ARRAY, path, hint, loader->fault))
		return false;
	if (slot->n != 2)
		return load_fault(loader, path, hint, "slot has %d items instead of 2", slot->n);

	time = &slot->item[0];
	doc_path_item(child, path, 0);
	if (!doc_is(time, DOC_STRING, child, hint, loader->fault))
		return false;
	if (strlen(time->text) != 5 || time->text[2] != ':' || !load_two_digits(time->text, &hour) ||
		!load_two_digits(time->text + 3, &minute) || hour > 23 || minute > 59)
		return load_fault(loader, child, "Times are \"00:00\" to \"23:59\".",
						  "\"%.40s\" is not a time of day", time->text);
	minute += hour * 60;
	if (*last_minute < 0 && minute != 0)
		return load_fault(loader, child, "Let the first slot begin at \"00:00\".",
						  "the day is not covered before %s", time->text);
	if (minute <= *last_minute)
		return load_fault(loader, child, "Let the times ascend.",
						  minute == *last_minute ? "duplicate time %s"
												 : "%s is earlier than the slot before it",
						  time->text);
	*last_minute = minute;

	doc_path_item(child, path, 1);
	if (!load_name(loader, &slot->item[1], child, name))
		return false;
	period = load_find(tariff->period_name, tariff->n_period, name);
	if (period < 0)
		return load_fault(loader, child, "Use a name from \"periods\".", "unknown period \"%s\"",
						  name);
	if (row->n > 0 && row->slot[row->n - 1].period == period)
		return true;
	row->slot[row->n].minute = (int16_t) minute;
	row->slot[row->n].period = (int16_t) period;
	row->n++;
	return true;
}

static bool
load_slots(TariffLoader *loader, const Doc *row, const char *path)
{
	Tariff *tariff = loader->tariff;
	TariffRow *compiled = &tariff->row[tariff->n_row];
	char slots_path[DOC_PATH_MAX];
	const Doc *slots;
	int last_minute = -1;

	doc_path_key(slots_path, path, "slots");
	if (!load_member(loader, row, path, "slots",
					 "List the slots of the day, for example [[\"00:00\", \"valley\"]].", &slots) ||
		!load_array(loader, slots, slots_path, 1, TARIFF_MAX_SLOTS))
		return false;
	compiled->slot = core_alloc((size_t) slots->n * sizeof(TariffSlot));
	tariff->n_row++;
	for (int i = 0; i < slots->n; i++)
	{
		char child[DOC_PATH_MAX];

		doc_path_item(child, slots_path, i);
		if (!load_slot(loader, &slots->item[i], child, compiled, &last_minute))
			return false;
	}
	return true;
}

/* Index of the season a row names, counted from 1; ANY when it names none. */
static bool
load_row_season(TariffLoader *loader, const Doc *row, const char *path, int *season)
{
	Tariff *tariff = loader->tariff;
	const Doc *doc = doc_get(row, "season");
	char child[DOC_PATH_MAX];
	TariffName name;

	*season = ANY;
	if (doc == NULL)
		return true;
	doc_path_key(child, path, "season");
	if (!load_name(loader, doc, child, name))
		return false;
	*season = 1 + load_find(tariff->season_name, tariff->n_season, name);
	if (*season == 0)
		return load_fault(loader, child, "Use a name from \"seasons\".", "unknown season \"%s\"",
						  name);
	return true;
}

/* The same for the day type; with a calendar a new name declares a type of the calendar. */
static bool
load_row_day_type(TariffLoader *loader, const Doc *row, const char *path, int *day_type)
{
	Tariff *tariff = loader->tariff;
	const Doc *doc = doc_get(row, "day_type");
	char child[DOC_PATH_MAX];
	TariffName name;

	*day_type = ANY;
	if (doc == NULL)
		return true;
	doc_path_key(child, path, "day_type");
	if (!load_name(loader, doc, child, name))
		return false;
	*day_type = 1 + load_find(tariff->day_type_name, tariff->n_day_type, name);
	if (*day_type > 0)
		return true;
	if (tariff->calendar[0] == '\0')
		return load_fault(
			loader, child,
			"Declare it in \"day_types\", or name the \"calendar\" that lists its days.",
			"unknown day type \"%s\"", name);
	if (tariff->n_day_type == TARIFF_MAX_DAY_TYPES)
		return load_fault(loader, child, "Use fewer day types.", "more than %d day types",
						  TARIFF_MAX_DAY_TYPES);
	memcpy(tariff->day_type_name[tariff->n_day_type++], name, sizeof(name));
	*day_type = tariff->n_day_type;
	return true;
}

static bool
load_row(TariffLoader *loader, const Doc *row, const char *path, RowRules rules)
{
	static const char *const known[] = { "season", "day_type", "slots", NULL };
	int season;
	int day_type;

	if (!doc_is(row, DOC_OBJECT, path,
				"A row has \"slots\" and, if need be, \"season\" and \"day_type\".",
				loader->fault) ||
		!doc_has_only(row, known, path, loader->fault) ||
		!load_row_season(loader, row, path, &season) ||
		!load_row_day_type(loader, row, path, &day_type))
		return false;
	if (rules[season][day_type] != NO_ROW)
		return load_fault(loader, path, "Keep one of them.",
						  "duplicate of schedule[%d]: same season and day type",
						  rules[season][day_type]);
	rules[season][day_type] = (int16_t) loader->tariff->n_row;
	return load_slots(loader, row, path);
}

/* Can a day have this type? Without a calendar only the weekdays make types. */
static bool
day_type_occurs(const Tariff *tariff, int day_type)
{
	if (tariff->calendar[0])
		return true;
	for (int weekday = 1; weekday <= 7; weekday++)
		if (tariff->weekday_type[weekday] == day_type)
			return true;
	return false;
}

/* Fill row_of and row_other; a day that no row covers is a fault. */
static bool
resolve_rows(TariffLoader *loader, RowRules rules)
{
	static const char *const hint = "Add a row for it, or one without season and day type.";
	Tariff *tariff = loader->tariff;

	for (int season = 0; season < tariff->n_season; season++)
	{
		int16_t fallback = rules[season + 1][ANY];

		if (fallback == NO_ROW)
			fallback = rules[ANY][ANY];
		for (int type = 0; type < tariff->n_day_type; type++)
		{
			int16_t row = rules[season + 1][type + 1];

			if (row == NO_ROW)
				row = rules[ANY][type + 1];
			if (row == NO_ROW)
				row = fallback;
			if (row == NO_ROW && day_type_occurs(tariff, type))
				return load_fault(loader, "schedule", hint,
								  "no row for day type \"%s\" in season \"%s\"",
								  tariff->day_type_name[type], tariff->season_name[season]);
			tariff->row_of[season][type] = row == NO_ROW ? 0 : row;
		}
		if (fallback == NO_ROW && tariff->calendar[0])
			return load_fault(loader, "schedule", "Add a row without day type.",
							  "no row for other day types of calendar \"%s\" in season \"%s\"",
							  tariff->calendar, tariff->season_name[season]);
		tariff->row_other[season] = fallback == NO_ROW ? 0 : fallback;
	}
	return true;
}

static bool
load_schedule(TariffLoader *loader)
{
	Tariff *tariff = loader->tariff;
	const Doc *schedule = doc_get(loader->definition, "schedule");
	RowRules rules;

	if (schedule == NULL)
	{
		if (tariff->n_period > 1)
			return load_fault(loader, "schedule", "Say when each period is in force.",
							  "\"schedule\" is missing, but there are %d periods",
							  tariff->n_period);
		tariff->row = core_alloc(sizeof(TariffRow));
		tariff->row->slot = core_alloc(sizeof(TariffSlot));
		tariff->row->n = 1;
		tariff->n_row = 1;
		return true;
	}

	if (!load_array(loader, schedule, "schedule", 1, TARIFF_MAX_ROWS))
		return false;
	memset(rules, NO_ROW, sizeof(RowRules));
	tariff->row = core_alloc((size_t) schedule->n * sizeof(TariffRow));
	for (int i = 0; i < schedule->n; i++)
	{
		char path[DOC_PATH_MAX];

		doc_path_item(path, "schedule", i);
		if (!load_row(loader, &schedule->item[i], path, rules))
			return false;
	}
	return resolve_rows(loader, rules);
}

bool
load_calendar_and_schedule(TariffLoader *loader)
{
	return load_seasons(loader) && load_day_types(loader) && load_schedule(loader);
}
