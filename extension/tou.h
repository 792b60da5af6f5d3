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

/* Energy after the ratio of a part of an interval in which neither owner nor facts change. */
typedef struct EnergyPart
{
	TimestampTz from;
	TimestampTz to;
	int64 wh;
	int64 reverse_wh;	/* of these, by the reverse register */
	const TouMap *tou;	/* of the facts in force */
	const int64 *moved; /* what the time-of-use registers moved by; NULL: they do not tell */
} EnergyPart;

/* Registers of a reading from its period_kwh. Raises PP041 for NaN. */
extern TouRegisters tou_registers(Datum period_kwh);
/* From period_names and period_step_kwh of a term. */
extern TouMap tou_map(Datum names, Datum step_kwh);
/* The map in force at a time. */
extern TouMap tou_map_at(const Site *site, int32 meter_id, TimestampTz instant);
/* Registers of the last believed reading of a meter up to a time. */
extern TouRegisters tou_believed_at(const Site *site, int32 meter_id, TimestampTz instant);

/*
 * For n meters: the registers of their readings of these times, and the map that holds
 * last; in the order given.
 */
extern void tou_load(const Site *site, const int32 *meter_id, const int64 *read_at, int n,
					 TouRegisters *registers, TouMap *map);

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
 * Append the pieces of a part, as rate_split() does: by the periods its registers tell
 * where they tell those of all spans apart, else by time.
 */
extern RateResult tou_split(const CalZone *zone, const RateSpan *span, int n_span, int32 meter_id,
							const EnergyPart *part, bool estimated, RatePieceVec *pieces,
							int64_t *lacking);

/* The first term of a new meter, or of one without readings, gets its model's map. */
extern void tou_set_first_term(int32 site_id, int32 meter_id);
/* A meter that has readings got another model: its map holds from now on. */
extern void tou_add_term(int32 site_id, int32 meter_id, TimestampTz now);

#endif
