/*
 * push_tariff.c: a tariff in the terms of a meter; push.c has the rules.
 */
#include "push_inner.h"

#define MAX_SEASON_ROWS 64

typedef struct SeasonRow
{
	int month;
	int day;
	int table; /* from 0 */
} SeasonRow;

/* The tariff in the meter's terms. */
typedef struct MeterPlan
{
	int n_table;
	const TariffRow *table[PUSH_MAX_TABLES];
	int n_season;
	SeasonRow season[MAX_SEASON_ROWS];
} MeterPlan;

static bool
same_day(const TariffRow *a, const TariffRow *b)
{
	return a == b || (a->n == b->n && memcmp(a->slot, b->slot, sizeof(TariffSlot) * a->n) == 0);
}

/* The slots of all days of a season; NULL: they differ by the kind of day. */
static const TariffRow *
season_day(const Tariff *tariff, int season)
{
	const TariffRow *row = &tariff->row[tariff->row_of[season][TARIFF_WORKDAY]];
	int i;

	for (i = 1; i < tariff->n_day_type; i++)
		if (!same_day(row, &tariff->row[tariff->row_of[season][i]]))
			return NULL;
	if (tariff->calendar[0] && !same_day(row, &tariff->row[tariff->row_other[season]]))
		return NULL;
	return row;
}

static char *
plan_tables(const Tariff *tariff, const PushModel *model, int *table_of, MeterPlan *plan)
{
	int season;

	for (season = 0; season < tariff->n_season; season++)
	{
		const TariffRow *day = season_day(tariff, season);
		int i;

		if (day == NULL)
			return psprintf("season \"%s\" has days of several kinds, the meter's tables go by "
							"season alone",
							tariff->season_name[season]);
		if (day->n > model->slots)
			return psprintf("a day of season \"%s\" has %d slots, the meter's tables have %d",
							tariff->season_name[season], day->n, model->slots);
		for (i = 0; i < plan->n_table && !same_day(plan->table[i], day); i++)
			;
		if (i == plan->n_table)
			plan->table[plan->n_table++] = day;
		table_of[season] = i;
	}
	if (plan->n_table > model->tables)
		return psprintf("its seasons need %d day tables, the meter has %d", plan->n_table,
						model->tables);
	return NULL;
}

/* From which days on which table holds, over a year. */
static char *
plan_seasons(const Tariff *tariff, const PushModel *model, const int *table_of, MeterPlan *plan)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int last = table_of[tariff->season_of[11][30]];
	int month;
	int day;

	for (month = 0; month < 12; month++)
		for (day = 0; day < days[month]; day++)
		{
			int table = table_of[tariff->season_of[month][day]];

			if (table != last && plan->n_season < MAX_SEASON_ROWS)
				plan->season[plan->n_season++] = (SeasonRow){ month + 1, day + 1, table };
			last = table;
		}
	if (plan->n_season == 0)
		plan->season[plan->n_season++] = (SeasonRow){ 1, 1, last };
	if (plan->n_season > Max(model->seasons, 1))
		return psprintf("its tables change %d times a year, the meter's season plan has %d rows",
						plan->n_season, model->seasons);
	return NULL;
}

static int
rate_named(const PushModel *model, const char *name)
{
	int i;

	for (i = 0; i < model->n_rate; i++)
		if (model->rate[i] && strcmp(model->rate[i], name) == 0)
			return i + 1;
	return 0;
}

/* The rate of a period; 0: the meter has none. With one period any would do: the flat one. */
static int
rate_of(const Tariff *tariff, const PushModel *model, int period)
{
	int rate = rate_named(model, tariff->period_name[period]);

	if (rate == 0 && tariff->n_period == 1)
		rate = Max(rate_named(model, "flat"), 1);
	return rate;
}

static char *
rate_names(const PushModel *model)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	for (i = 0; i < model->n_rate; i++)
		appendStringInfo(&text, "%s%s", i ? ", " : "", model->rate[i] ? model->rate[i] : "-");
	return text.data;
}

static char *
check_tariff(const Tariff *tariff, const PushModel *model)
{
	int i;

	if (tariff->n_tier > 1)
		return psprintf("it has %d tiers, the meter prices all energy alike", tariff->n_tier);
	for (i = 0; i < tariff->n_period; i++)
		if (rate_of(tariff, model, i) == 0)
			return psprintf("period \"%s\" is none of the meter's rates: %s",
							tariff->period_name[i], rate_names(model));
	if (tariff->n_period > 1 && model->tables == 0)
		return psprintf("it has %d periods, the model takes no day tables", tariff->n_period);
	return NULL;
}

/* A rate the tariff does not use has its highest price: no energy is ever cheap by a mistake. */
static char *
put_price(StringInfo out, const Tariff *tariff, const char *key, const Doc *arg)
{
	Exact price = 0;
	int i;

	for (i = 0; i < tariff->n_period; i++)
	{
		Exact own;
		bool is_it = strcmp(key + strlen("price_"), tariff->period_name[i]) == 0;

		if (!exact_mul(tariff->unit[i][0], 1000, &own))
			return psprintf("the price of period \"%s\" is out of range", tariff->period_name[i]);
		if (i == 0 || is_it || own > price)
			price = own;
		if (is_it)
			break;
	}
	return push_value(out, key, arg, price);
}

static void
put_table(StringInfo out, const Tariff *tariff, const PushModel *model, const TariffRow *day)
{
	int i;

	appendStringInfoChar(out, '[');
	for (i = 0; day && i < day->n; i++)
		appendStringInfo(out, "%s{\"rate\": %d, \"hour\": %d, \"minute\": %d}", i ? ", " : "",
						 rate_of(tariff, model, day->slot[i].period), day->slot[i].minute / 60,
						 day->slot[i].minute % 60);
	appendStringInfoChar(out, ']');
}

static void
put_seasons(StringInfo out, const MeterPlan *plan)
{
	int i;

	appendStringInfoChar(out, '[');
	for (i = 0; i < plan->n_season; i++)
		appendStringInfo(out, "%s{\"month\": %d, \"day\": %d, \"table\": %d}", i ? ", " : "",
						 plan->season[i].month, plan->season[i].day, plan->season[i].table + 1);
	appendStringInfoChar(out, ']');
}

char *
push_tariff(StringInfo out, const Tariff *tariff, const PushModel *model)
{
	int table_of[TARIFF_MAX_SEASONS];
	MeterPlan plan = { 0 };
	char *fault = check_tariff(tariff, model);
	int i;

	if (fault == NULL && model->tables > 0)
		fault = plan_tables(tariff, model, table_of, &plan);
	if (fault == NULL && model->tables > 0)
		fault = plan_seasons(tariff, model, table_of, &plan);
	for (i = 0; fault == NULL && model->args && i < model->args->n; i++)
	{
		const char *key = model->args->key[i];
		int table = strncmp(key, "table", 5) == 0 ? atoi(key + 5) - 1 : -1;

		if (strncmp(key, "price_", 6) == 0)
		{
			fault = put_price(out, tariff, key, &model->args->item[i]);
			continue;
		}
		push_key(out, key);
		if (table >= 0)
			put_table(out, tariff, model, table < plan.n_table ? plan.table[table] : NULL);
		else
			put_seasons(out, &plan);
	}
	return fault;
}
