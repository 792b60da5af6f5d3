/*
 * energy.h: what a meter measured, whoever pays for it.
 *
 * Each Wh a register moves by is charged to an account, or it is unpaid: of a time when
 * the meter belonged to no account, or of a check meter. Unpaid energy is computed from
 * the readings when it is asked for, by the same sharing as the charge, so the three add
 * up to what the registers moved.
 */
#ifndef PREPAY_ENERGY_H
#define PREPAY_ENERGY_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"

/* Unpaid energy of a local day within one time without account. */
typedef struct EnergyDay
{
	int32 day;
	TimestampTz from; /* the part of the day in which it moved */
	TimestampTz to;
	int64 wh;
	int64 estimated_wh; /* of these, shared by time over a gap */
	TimestampTz since;	/* the time without account; DT_NOBEGIN: there never was one */
	TimestampTz until;	/* DT_NOEND: there is none now */
} EnergyDay;

typedef struct EnergyDays
{
	int n;
	int room;
	EnergyDay *item; /* ascending; days without energy are left out */
} EnergyDays;

/* A meter's unpaid energy by local day: of the days [from, to) touches, and perhaps others. */
extern void energy_unpaid(const Site *site, int32 meter_id, TimestampTz from, TimestampTz to,
						  EnergyDays *days);
/* Energy in Wh its believed readings show from a time on, up to the last one. */
extern int64 energy_since(const Site *site, int32 meter_id, TimestampTz since);

/*
 * The alarm unowned_energy: the present time without account has moved more than one
 * step of the meter's display, 0.1 kWh before the ratio. It rises once in such a time and
 * is cleared when an account gets the meter; none where vacant_supply is on. The meter
 * is locked, or its site.
 */
extern void energy_watch(const Site *site, int32 meter_id);
/* The same for meters whose registers have just moved; cheap where the alarm is active. */
extern void energy_moved(const Site *site, const int32 *meter_id, int n);
/* vacant_supply was switched on: energy of vacant meters is expected. */
extern void energy_expected(const Site *site);

#endif
