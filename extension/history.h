/*
 * history.h: what a meter showed over a time, and the energy between its readings.
 */
#ifndef PREPAY_HISTORY_H
#define PREPAY_HISTORY_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"
#include "tou.h"

/* Ratio, modulus, reverse rule and time-of-use registers of a meter from a time on. */
typedef struct MeterFacts
{
	TimestampTz from;
	int64 ratio_e6;
	int64 register_max_wh; /* 0: unknown */
	bool reverse_add;
	TouMap tou;
} MeterFacts;

/* A reading that counts, or that waits for a tariff. */
typedef struct Believed
{
	TimestampTz read_at;
	int64 wh;			 /* as displayed, corrections applied */
	int64 reverse_wh;	 /* -1: not read */
	int64 reverse_known; /* the last one read up to here; -1: none */
	bool is_baseline;	 /* the register begins anew: no energy up to here */
	bool was_waiting;
	TouRegisters tou;
} Believed;

typedef struct MeterHistory
{
	int32 meter_id;
	int n_facts;
	MeterFacts *facts; /* ascending, at least one */
	int n_cut;
	TimestampTz *cut; /* where a fact or the owner changes: ascending, each once */
	int n;
	Believed *reading; /* ascending */
} MeterHistory;

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

/*
 * Believed readings from the last rated one at or before `from` to the first at or
 * after `to`, both may be infinite, with all that holds of the meter.
 */
extern void history_load(const Site *site, int32 meter_id, TimestampTz from, TimestampTz to,
						 MeterHistory *history);

/* The facts in force at an instant. */
extern const MeterFacts *history_facts(const MeterHistory *history, TimestampTz instant);

/*
 * The energy between two neighbouring believed readings, cut wherever owner or facts
 * change. It depends on the meter alone, so the parts of all owners and of the times
 * without one add up to the whole. Their number is returned; 0 at a new baseline.
 */
extern int history_parts(const MeterHistory *history, const Believed *from, const Believed *to,
						 EnergyPart **part);

#endif
