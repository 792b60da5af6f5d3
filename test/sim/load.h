/*
 * load.h: how much power a meter's customer draws, half-hour by half-hour.
 *
 * Power is constant within a half-hour of local time and depends only on the customer's mean
 * load, the shape of the day, the half-hour and the meter's noise key: never on who asked when.
 */
#ifndef SIM_LOAD_H
#define SIM_LOAD_H

#include <stdbool.h>
#include <stdint.h>

#define LOAD_SLOT_US (INT64_C(1800) * 1000000)
#define LOAD_SLOTS_PER_DAY 48
#define LOAD_BANDS 4 /* the field's order: spike, peak, flat, valley */

typedef enum LoadShape
{
	LOAD_FLAT, /* exactly the mean, no noise */
	LOAD_SHOP,
	LOAD_OFFICE,
	LOAD_HOME,
	LOAD_SHAPES
} LoadShape;

/* Normalise the shapes so that each has mean 1 over a week; call once before the others. */
extern void load_init(void);

extern bool load_shape_parse(const char *name, LoadShape *shape);

/* Slot number of a local instant (microseconds since the epoch, zone already applied). */
extern int64_t load_slot(int64_t local_us);

/* Power drawn in a slot, mW, for a mean load in mW (at most 10^10). */
extern int64_t load_import_mw(LoadShape shape, int64_t mean_mw, uint64_t noise_key, int64_t slot);

/* Power fed in by a roof of the given mean output, mW: daylight hours only. */
extern int64_t load_export_mw(int64_t mean_mw, uint64_t noise_key, int64_t slot);

/* The tariff band 0..LOAD_BANDS-1 of the meter's built-in day table. */
extern int load_band(int64_t slot);

/* A well mixed 64-bit value of two; the source of all deterministic noise. */
extern uint64_t load_hash(uint64_t key, uint64_t value);

#endif
