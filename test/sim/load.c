/*
 * load.c: load shapes built on a real demand series.
 *
 * The measured series gives the rhythm of a day; each kind of customer is that rhythm seen
 * through its own hours: a shop's trading hours, an office's working hours, a home's mornings and
 * evenings, above a stand-by load. All weights are whole numbers of 10^-6.
 */
#include "load.h"

#include <string.h>

#include "load_halfhour.h"

#define PPM INT64_C(1000000)
#define DAYS_PER_WEEK 7
#define EPOCH_WEEKDAY 3 /* 1970-01-01 was a Thursday; Monday is 0 */
#define SATURDAY 5
#define SUNRISE_SLOT 12
#define DAYLIGHT_SLOTS 24
#define EXPORT_SALT UINT64_C(0x5eed0e5907a1)

static int64_t weight[LOAD_SHAPES][2][LOAD_SLOTS_PER_DAY];
static int64_t daylight[LOAD_SLOTS_PER_DAY];

static const char *const shape_name[LOAD_SHAPES] = { "flat", "shop", "office", "home" };

/* Hour by hour: s spike, p peak, f flat, v valley. */
static const char band_of_hour[] = "vvvvvvvfpppfffffffpsspfv";

static bool
slot_within(int slot, int from, int to)
{
	return slot >= from && slot < to;
}

static int64_t
raw_weight(LoadShape shape, bool weekend, int slot, int64_t rhythm)
{
	switch (shape)
	{
		case LOAD_SHOP:
			return 120000 + (slot_within(slot, 20, 43) ? 500000 + rhythm / 2 : 0);
		case LOAD_OFFICE:
			return 100000 + (!weekend && slot_within(slot, 16, 37) ? 400000 + rhythm / 2 : 0);
		case LOAD_HOME:
			return 200000 + rhythm * 2 / 5 + (slot_within(slot, 35, 46) ? 500000 : 0) +
				   (slot_within(slot, 13, 17) ? 250000 : 0);
		default:
			return PPM;
	}
}

static void
init_shape(LoadShape shape, int64_t lowest, int64_t highest)
{
	int64_t week = 0;

	for (int day = 0; day < 2; day++)
		for (int slot = 0; slot < LOAD_SLOTS_PER_DAY; slot++)
		{
			int64_t demand = load_halfhour_mw[day * LOAD_SLOTS_PER_DAY + slot];
			int64_t rhythm = (demand - lowest) * PPM / (highest - lowest);

			weight[shape][day][slot] = raw_weight(shape, day == 1, slot, rhythm);
			week += weight[shape][day][slot] * (day == 1 ? 2 : DAYS_PER_WEEK - 2);
		}
	for (int day = 0; day < 2; day++)
		for (int slot = 0; slot < LOAD_SLOTS_PER_DAY; slot++)
			weight[shape][day][slot] =
				weight[shape][day][slot] * (LOAD_SLOTS_PER_DAY * DAYS_PER_WEEK) * PPM / week;
}

static void
init_daylight(void)
{
	int64_t day = 0;

	for (int i = 0; i < DAYLIGHT_SLOTS; i++)
	{
		daylight[SUNRISE_SLOT + i] = (i + 1) * (DAYLIGHT_SLOTS - i);
		day += daylight[SUNRISE_SLOT + i];
	}
	for (int slot = 0; slot < LOAD_SLOTS_PER_DAY; slot++)
		daylight[slot] = daylight[slot] * LOAD_SLOTS_PER_DAY * PPM / day;
}

void
load_init(void)
{
	int64_t lowest = load_halfhour_mw[0];
	int64_t highest = load_halfhour_mw[0];

	for (int i = 1; i < 2 * LOAD_SLOTS_PER_DAY; i++)
	{
		lowest = load_halfhour_mw[i] < lowest ? load_halfhour_mw[i] : lowest;
		highest = load_halfhour_mw[i] > highest ? load_halfhour_mw[i] : highest;
	}
	for (int shape = 0; shape < LOAD_SHAPES; shape++)
		init_shape((LoadShape) shape, lowest, highest);
	init_daylight();
}

bool
load_shape_parse(const char *name, LoadShape *shape)
{
	for (int i = 0; i < LOAD_SHAPES; i++)
		if (strcmp(name, shape_name[i]) == 0)
		{
			*shape = (LoadShape) i;
			return true;
		}
	return false;
}

/* Division rounding down, so that instants before the epoch fall into the right slot. */
static int64_t
floor_div(int64_t a, int64_t b)
{
	return a / b - (a % b < 0);
}

int64_t
load_slot(int64_t local_us)
{
	return floor_div(local_us, LOAD_SLOT_US);
}

static int
slot_of_day(int64_t slot)
{
	return (int) (slot - floor_div(slot, LOAD_SLOTS_PER_DAY) * LOAD_SLOTS_PER_DAY);
}

static bool
slot_on_weekend(int64_t slot)
{
	int64_t day = floor_div(slot, LOAD_SLOTS_PER_DAY) + EPOCH_WEEKDAY;

	return day - floor_div(day, DAYS_PER_WEEK) * DAYS_PER_WEEK >= SATURDAY;
}

uint64_t
load_hash(uint64_t key, uint64_t value)
{
	uint64_t mixed = key ^ (value * UINT64_C(0x9e3779b97f4a7c15));

	mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
	return mixed ^ (mixed >> 31);
}

/* A factor of mean 1 within 1 +- spread, in 10^-6. */
static int64_t
noise_ppm(uint64_t key, int64_t slot, int64_t spread)
{
	return PPM - spread + (int64_t) (load_hash(key, (uint64_t) slot) % (uint64_t) (2 * spread + 1));
}

int64_t
load_import_mw(LoadShape shape, int64_t mean_mw, uint64_t noise_key, int64_t slot)
{
	int64_t expected;

	if (shape == LOAD_FLAT)
		return mean_mw;
	expected = mean_mw * weight[shape][slot_on_weekend(slot)][slot_of_day(slot)] / PPM;
	return expected * noise_ppm(noise_key, slot, PPM / 4) / PPM;
}

int64_t
load_export_mw(int64_t mean_mw, uint64_t noise_key, int64_t slot)
{
	if (mean_mw == 0)
		return 0;
	return mean_mw * daylight[slot_of_day(slot)] / PPM *
		   noise_ppm(noise_key ^ EXPORT_SALT, slot, PPM / 2) / PPM;
}

int
load_band(int64_t slot)
{
	switch (band_of_hour[slot_of_day(slot) / 2])
	{
		case 's':
			return 0;
		case 'p':
			return 1;
		case 'f':
			return 2;
		default:
			return 3;
	}
}
