/*
 * tou.h: a meter's own time-of-use registers (尖峰平谷) and what they say of an interval.
 *
 * Where a meter's model maps such registers, they decide how the energy of an interval
 * is shared among the periods of a tariff that knows them all by name; days and slots of
 * one period are still told apart by time. Which register is which period is a dated fact
 * of the meter (meter_term), taken from the profile when the meter gets its model.
 */
#ifndef PREPAY_TOU_H
#define PREPAY_TOU_H

#include "postgres.h"

#include "rate.h"
#include "site.h"

/* Time-of-use registers of a reading in 10^-3 kWh as displayed; n 0: none, or not all were read. */
typedef struct TouRegisters
{
	int n;
	int64 *wh;
} TouRegisters;

/* The period each register counts; n 0: the meter has none. */
typedef struct TouMap
{
	int n;
	char **name;
	int64 step_wh; /* by which a register moves */
} TouMap;

/* Registers of a reading from its period_kwh. Raises PP041 for NaN. */
extern TouRegisters tou_registers(Datum period_kwh);
/* From period_names and period_step_kwh of a term. */
extern TouMap tou_map(Datum names, Datum step_kwh);
/* The map in force at a time. */
extern TouMap tou_map_at(const Site *site, int32 meter_id, TimestampTz instant);
/* Registers of the last believed reading of a meter up to a time. */
extern TouRegisters tou_believed_at(const Site *site, int32 meter_id, TimestampTz instant);

/*
 * What each register moved by. False: not told, or their sum is not the step of the
 * total register, give or take what the displays cut off.
 */
extern bool tou_moved(const TouMap *map, const TouRegisters *from, const TouRegisters *to,
					  int64 total_wh, int64 register_max_wh, int64 *moved);
/* Both ends have registers and they contradict the total. */
extern bool tou_contradicts(const TouMap *map, const TouRegisters *from, const TouRegisters *to,
							int64 total_wh, int64 register_max_wh);
/*
 * Energy by period of a tariff, as the registers moved. False: nothing moved, or the
 * tariff lacks a period that did.
 */
extern bool tou_share(const TouMap *map, const int64 *moved, const Tariff *tariff, int64 energy,
					  int64_t *by_period);

/* Whether some version tells periods apart at all. */
extern bool tou_matters(const RateSpan *span, int n);

/* The first term of a new meter, or of one without readings, gets its model's map. */
extern void tou_set_first_term(int32 site_id, int32 meter_id);
/* A meter that has readings got another model: its map holds from now on. */
extern void tou_add_term(int32 site_id, int32 meter_id, TimestampTz now);

#endif
