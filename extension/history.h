/*
 * history.h: what meters showed over a time, who had them, and the energy between their readings.
 */
#ifndef PREPAY_HISTORY_H
#define PREPAY_HISTORY_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"
#include "tou.h"

/* A time in which a meter belonged to an account. */
typedef struct Term
{
	int32 account_id;
	int32 meter_id;
	TimestampTz from;
	TimestampTz to;
} Term;

/* Ratio, modulus, reverse rule and time-of-use registers of a meter from a time on. */
typedef struct MeterFacts
{
	TimestampTz from;
	int64 ratio_e6;
	int64 register_max_wh; /* 0: unknown */
	bool reverse_add;
	TouMap tou;
} MeterFacts;

/* A reading that counts, or that waits for a tariff, or that is held. */
typedef struct Believed
{
	TimestampTz read_at;
	int64 wh;			 /* as displayed, corrections applied */
	int64 reverse_wh;	 /* -1: not read */
	int64 reverse_known; /* the last one read up to here; -1: none */
	TouRegisters tou;
	int8 relay_closed; /* -1 not read, 0 open, 1 closed */
	bool held;		   /* under review or rejected: it tells nothing but the relay */
	bool is_baseline;  /* the register begins anew: no energy up to here */
	bool was_waiting;
} Believed;

typedef struct MeterHistory
{
	int32 meter_id;
	int n_facts;
	MeterFacts *facts; /* ascending, at least one */
	int n_cut;
	TimestampTz *cut; /* where a fact or the owner changes: ascending, each once */
	int n;
	int room;
	Believed *reading; /* ascending */
} MeterHistory;

typedef struct History
{
	int n_term;
	Term *term; /* by account, meter, time */
	int n_meter;
	MeterHistory *meter; /* ascending by meter_id */
} History;

/*
 * Terms of these accounts (ascending) that end after `from`, and the history of their
 * meters over [from, to): see history_load_meters(). Check meters have no term.
 */
extern void history_load(const Site *site, const int32 *account_id, int n, TimestampTz from,
						 TimestampTz to, History *history);
/*
 * What holds of these meters (ascending), and their readings from the last one that counts
 * at or before `from` to the first at or after `to`; both may be infinite.
 */
extern void history_load_meters(const Site *site, const int32 *meter_id, int n, TimestampTz from,
								TimestampTz to, History *history);

/* NULL: not loaded. */
extern const MeterHistory *history_meter(const History *history, int32 meter_id);
/* The terms of one account: their number, the first in *term. */
extern int history_terms(const History *history, int32 account_id, const Term **term);
/*
 * Readings that tell the energy of [from, to), as [*begin, *end): from the last one that
 * counts at or before `from`, else the first loaded, to the first at or after `to`.
 */
extern void history_range(const MeterHistory *meter, TimestampTz from, TimestampTz to, int *begin,
						  int *end);
/* The meter the account had first in [from, to), of several the lowest; 0: it had none. */
extern int32 history_first_meter(const History *history, int32 account_id, TimestampTz from,
								 TimestampTz to);
/*
 * Supply was off: meters of the account were seen with an open relay in [from, to), and
 * none with a closed one. All readings count for that.
 */
extern bool history_shows_cut(const History *history, int32 account_id, TimestampTz from,
							  TimestampTz to);
/* The facts in force at an instant. */
extern const MeterFacts *history_facts(const MeterHistory *meter, TimestampTz instant);

/* The last reading that counts up to a time, else the first after it; NULL: none. */
extern const Believed *history_reading_at(const MeterHistory *meter, TimestampTz time);

/*
 * The energy between two neighbouring readings that count, cut wherever owner or facts
 * change. It depends on the meter alone, so the parts of all owners and of the times
 * without one add up to the whole. part has room for n_cut + 1 entries; their number is
 * returned, 0 at a new baseline.
 */
extern int history_parts(const MeterHistory *meter, const Believed *from, const Believed *to,
						 EnergyPart *part);
/* The energy between any two readings that count, of the parts that begin in [from, to). */
extern int64 history_energy(const MeterHistory *meter, const Believed *first, const Believed *last,
							TimestampTz from, TimestampTz to);

#endif
