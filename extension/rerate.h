/*
 * rerate.h: rating an account again from its readings.
 */
#ifndef PREPAY_RERATE_H
#define PREPAY_RERATE_H

#include "history.h"
#include "rating.h"
#include "seal.h"

/*
 * Compute the account from a local day on, as if all its readings had just come
 * in order; sealed days that differ get correction lines and one linked
 * correction entry, open days are replaced.
 */
extern void rerate_account(RatingRun *run, Account *account, int32 from_day);

/* Where a meter's register stands after its last rated reading. */
typedef struct RerateMeter
{
	int32 meter_id;
	bool has_register;
	TimestampTz last_read_at;
	int64 register_wh;
	int64 reverse_wh; /* -1: none read in the time looked at */
} RerateMeter;

/* A reading that begins or ceases to wait for a tariff. */
typedef struct RerateWaiting
{
	int32 meter_id;
	TimestampTz read_at;
	int64 wh;
	bool waits;
} RerateWaiting;

typedef struct RerateResult
{
	RateLineVec lines;		/* all days >= from_day, by (day, version, meter) */
	RatePositionVec before; /* tier positions at the start of from_day */
	int n_meter;
	RerateMeter *meter;
	int n_waiting;
	int waiting_room;
	RerateWaiting *waiting;
	int32 waits_from; /* see Account */
} RerateResult;

/* The time between two neighbouring readings of a meter while the account had it. */
typedef struct RerateInterval
{
	int32 meter_id;
	const Believed *from;
	const Believed *to;
	bool is_first;		   /* `from` is the meter's first reading that counts */
	TimestampTz term_from; /* the account had the meter over [term_from, term_to) */
	TimestampTz term_to;
	bool waits; /* a part of it has no tariff */
} RerateInterval;

typedef void (*RerateIntervalTrace)(void *context, const RerateInterval *interval);

/* What is known of an account that is computed from its first day on: nothing is sealed before. */
typedef struct RerateWhole
{
	int32 opened;	  /* local day */
	int64 brought_wh; /* see usage_open_period() */
} RerateWhole;

/* What to compute; what may be NULL or 0 is left out. */
typedef struct RerateAsk
{
	int32 account_id;
	const TariffExtra *extra;
	int32 from_day;				  /* the walk starts at the begin of this local day */
	TimestampTz until;			  /* and ends where a local day begins; 0: at the last reading */
	int64 gap_us;				  /* see RatingRun */
	const History *history;		  /* of the account from from_day to until; NULL: load it */
	const RerateWhole *whole;	  /* from_day is at or before the account's first; NULL: ask */
	const Tariff *draft;		  /* a tariff that holds throughout, instead of those in force */
	RateTrace trace;			  /* told of every step */
	RerateIntervalTrace interval; /* told of every interval, term by term, before any step */
	void *context;
} RerateAsk;

/* What the account's usage should be from a local day on. Changes nothing. */
extern void rerate_compute(const Site *site, const RerateAsk *ask, RerateResult *result);

/* The first local day the account can owe anything for: of its opening, or of its first meter. */
extern int32 rerate_first_day(const Site *site, int32 account_id);
/* Narrow a range of days to those on which standing charges fall. */
extern void rerate_standing_days(const Site *site, const Account *account, int32 opened,
								 int32 *from_day, int32 *to_day);
/* Local day of the account's opening. */
extern int32 rerate_opened_day(const Site *site, int32 account_id);
/* Standing charges of the days [from_day, to_day) from the account's opening on, with surcharges.
 */
extern void rerate_standing(const Site *site, const Account *account, int32 from_day, int32 to_day,
							StandingRules *rules, BillVec *bill);
/* Bill lines the days [from_day, to_day) should have. */
extern void rerate_should_be(const Site *site, const Account *account, int32 from_day, int32 to_day,
							 const RerateResult *result, StandingRules *rules, BillVec *bill);
/* Of lines and booked lines with the sign turned, one for each key that differs. */
extern void rerate_fold(BillVec *bill);
/* Should-be minus booked of the sealed days from from_day on; empty when they agree. */
extern void rerate_differences(const Site *site, const Account *account, int32 from_day,
							   const RerateResult *result, BillVec *bill);

/*
 * NULL when a reading fits between its believed neighbours, else why not; anew: what it
 * follows does not matter. from_day is the local day from which its meter's account has
 * to be rated again.
 */
extern const char *rerate_judge(const Site *site, const Meter *meter, const Reading *reading,
								bool anew, int64 spike_margin_e6, int32 *from_day);
/* Judge a reading earlier than the meter's last; returns the day to rate again from, or NO_RERATE.
 */
extern int32 rerate_accept_late(const Site *site, const Meter *meter, const Reading *reading,
								int64 spike_margin_e6);

/* Queue accounts whose price changed for the past; tick() works them off. */
extern void rerate_queue_tariff(const Site *site, int32 tariff_id, TimestampTz valid_from);
extern void rerate_queue_target(const Site *site, const char *kind, int32 target_id,
								TimestampTz valid_from);
/* The same for the days (date[]) of a calendar that have changed. Site lock held exclusively. */
extern void rerate_queue_calendar(const Site *site, const char *calendar, Datum days);
extern void rerate_later(RerateLater *later, int32 account_id, int32 from_day);
extern void rerate_store_later(const Site *site, const RerateLater *later);
/* Lock one account and rate it again from a local day on, at once. */
extern void rerate_one(const Site *site, int32 account_id, int32 from_day);
/* Up to max accounts from the queue; returns how many were done. */
extern int rerate_work(const Site *site, int max);

#endif
