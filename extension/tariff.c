/*
 * tariff.c: what a compiled tariff says about a local day (see tariff.h).
 */
#include "tariff.h"

#include <stdlib.h>
#include <string.h>

void
tariff_free(Tariff *tariff)
{
	if (tariff == NULL)
		return;
	for (int i = 0; i < tariff->n_row; i++)
		if (tariff->row[i].slot)
			core_free(tariff->row[i].slot);
	if (tariff->row)
		core_free(tariff->row);
	if (tariff->day)
		core_free(tariff->day);
	core_free(tariff);
}

static int
compare_days(const void *a, const void *b)
{
	int32_t x = ((const TariffDay *) a)->day;
	int32_t y = ((const TariffDay *) b)->day;

	return (x > y) - (x < y);
}

void
tariff_set_calendar(Tariff *tariff, int n, const int32_t *day, const char *const *day_type)
{
	if (tariff->day)
		core_free(tariff->day);
	tariff->day = n > 0 ? core_alloc((size_t) n * sizeof(TariffDay)) : NULL;
	tariff->n_day = n > 0 ? n : 0;

	for (int i = 0; i < n; i++)
	{
		int type = tariff->n_day_type - 1;

		while (type >= 0 && strcmp(tariff->day_type_name[type], day_type[i]) != 0)
			type--;
		tariff->day[i].day = day[i];
		tariff->day[i].day_type = (int16_t) type;
	}
	if (n > 1)
		qsort(tariff->day, (size_t) n, sizeof(TariffDay), compare_days);
}

int
tariff_day_type(const Tariff *tariff, int32_t day)
{
	int low = 0;
	int high = tariff->n_day;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (tariff->day[middle].day < day)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < tariff->n_day && tariff->day[low].day == day)
		return tariff->day[low].day_type;
	return tariff->weekday_type[cal_weekday(day)];
}

/* Months of an accumulation period. */
static int
accumulation_months(const Tariff *tariff)
{
	switch (tariff->accumulate)
	{
		case ACCUMULATE_QUARTER:
			return 3;
		case ACCUMULATE_YEAR:
			return 12;
		case ACCUMULATE_MONTH:
		case ACCUMULATE_DAY_ALLOWANCE:
			break;
	}
	return 1;
}

/* The anchor day of a month counted from the year 0; a shorter month has it on its last day. */
static int32_t
anchor_in_month(const Tariff *tariff, int months)
{
	int month = (months % 12 + 12) % 12;
	int year = (months - month) / 12;
	int mday = tariff->anchor_day;

	if (mday > 28 && mday > cal_days_in_month(year, month + 1))
		mday = cal_days_in_month(year, month + 1);
	return cal_day(year, month + 1, mday);
}

/* A local day with its civil date. */
typedef struct CivilDay
{
	int32_t day;
	int year;
	int month;
	int mday;
} CivilDay;

static CivilDay
civil_day(int32_t day)
{
	CivilDay civil = { .day = day };

	cal_civil(day, &civil.year, &civil.month, &civil.mday);
	return civil;
}

static int
season_of(const Tariff *tariff, CivilDay civil)
{
	return tariff->season_of[civil.month - 1][civil.mday - 1];
}

static const TariffRow *
row_of(const Tariff *tariff, int32_t day, int season)
{
	int type = tariff_day_type(tariff, day);

	return &tariff->row[type < 0 ? tariff->row_other[season] : tariff->row_of[season][type]];
}

static void
accumulation_of(const Tariff *tariff, CivilDay civil, int32_t *start, int32_t *end)
{
	int step = accumulation_months(tariff);
	int months = civil.year * 12 + civil.month - 1;
	int phase = (months - (tariff->anchor_month - 1)) % step;

	months -= phase < 0 ? phase + step : phase;
	*start = anchor_in_month(tariff, months);
	if (civil.day < *start)
	{
		*end = *start;
		*start = anchor_in_month(tariff, months - step);
	}
	else
		*end = anchor_in_month(tariff, months + step);
}

int
tariff_season(const Tariff *tariff, int32_t day)
{
	return season_of(tariff, civil_day(day));
}

const TariffRow *
tariff_row(const Tariff *tariff, int32_t day)
{
	return row_of(tariff, day, tariff_season(tariff, day));
}

void
tariff_accumulation(const Tariff *tariff, int32_t day, int32_t *start, int32_t *end)
{
	accumulation_of(tariff, civil_day(day), start, end);
}

void
tariff_day_facts(const Tariff *tariff, int32_t day, TariffDayFacts *facts)
{
	CivilDay civil = civil_day(day);

	facts->season = season_of(tariff, civil);
	facts->row = row_of(tariff, day, facts->season);
	if (day < facts->accum_start || day >= facts->accum_end)
		accumulation_of(tariff, civil, &facts->accum_start, &facts->accum_end);
}

static int64_t
extra_on(const TariffExtra *extra, int32_t day)
{
	int i = extra->n - 1;

	while (i >= 0 && extra->step[i].from > day)
		i--;
	return i < 0 ? 0 : extra->step[i].wh_per_month;
}

/* Sum of the extension over the months of an accumulation period, seen from a day of it. */
static bool
extra_of_period(const Tariff *tariff, const TariffExtra *extra, int32_t start, int32_t day,
				int64_t *wh)
{
	CivilDay civil = civil_day(start);
	int first = civil.year * 12 + civil.month - 1;

	*wh = 0;
	for (int month = 0; month < accumulation_months(tariff); month++)
	{
		int32_t last = anchor_in_month(tariff, first + month + 1) - 1;

		if (__builtin_add_overflow(*wh, extra_on(extra, day < last ? day : last), wh))
			return false;
	}
	return true;
}

bool
tariff_bounds(const Tariff *tariff, int season, int32_t start, int32_t end, int32_t day,
			  const TariffExtra *extra, int64_t *bound)
{
	int64_t days = tariff->accumulate == ACCUMULATE_DAY_ALLOWANCE ? (int64_t) end - start : 1;
	int64_t wider = 0;

	if (extra && extra->n > 0 && !extra_of_period(tariff, extra, start, day, &wider))
		return false;
	for (int i = 0; i < tariff->n_tier - 1; i++)
		if (__builtin_mul_overflow(tariff->upto_wh[season][i], days, &bound[i]) ||
			__builtin_add_overflow(bound[i], wider, &bound[i]))
			return false;
	return true;
}

bool
tariff_surcharges(const Tariff *tariff, int64_t wh, Exact energy, Exact standing, Exact *part)
{
	for (int i = 0; i < tariff->n_surcharge; i++)
	{
		const TariffSurcharge *surcharge = &tariff->surcharge[i];
		Exact base = 0;

		if (!surcharge->is_percent)
		{
			if (!exact_mul(exact_per_wh(surcharge->per_kwh_micro), wh, &part[i]))
				return false;
			continue;
		}
		if ((surcharge->on_energy && !exact_add(base, energy, &base)) ||
			(surcharge->on_standing && !exact_add(base, standing, &base)))
			return false;
		for (int k = 0; k < i; k++)
			if ((surcharge->on_surcharge >> k & 1) && !exact_add(base, part[k], &base))
				return false;
		if (!exact_percent(base, surcharge->percent_e4, &part[i]))
			return false;
	}
	return true;
}
