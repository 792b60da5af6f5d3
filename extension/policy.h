/*
 * policy.h: rows of supply_policy: what protects an account from a cut, and until when.
 */
#ifndef PREPAY_POLICY_H
#define PREPAY_POLICY_H

#include "site.h"
#include "window.h"

/* The kinds of day of a calendar that a rule means, over the range that was loaded. */
typedef struct PolicyDays
{
	int n_type;
	char **type;
	int n;
	int32 *day; /* listed in the calendar, ascending ... */
	bool *hit;	/* ... and whether as one of the types */
} PolicyDays;

typedef struct Policy
{
	char *code;
	int32 place_id; /* with all below it; 0: not by place */
	int32 account_id;
	char *load_class; /* NULL: not by class */
	bool has_window;
	Window window;
	PolicyDays days;
	int64 grace_us; /* 0: not used; so with the others */
	bool notice;
	int64 stale_us;
	bool dispute;
	int64 reconnect_e6; /* percent x 10^6 */
	int32 reconnect_days;
	TimestampTz valid_from;
	TimestampTz valid_to;
} Policy;

/* What policies ask of an account whose money is used up. DT_NOBEGIN: never, unknown. */
typedef struct PolicyFacts
{
	TimestampTz used_up_at;	  /* when the balance came to its limit */
	bool by_backlog;		  /* by energy of a gap, late readings or a correction */
	TimestampTz notice_at;	  /* when the customer's message of it went out or was written */
	TimestampTz delivered_at; /* when it arrived */
	TimestampTz last_read_at; /* newest reading of any of its meters */
} PolicyFacts;

typedef struct PolicySet
{
	int n;
	Policy *item;
	bool by_place; /* some row has this condition */
	bool by_notice;
	bool by_stale;
	bool by_payment;
	int64 stale_max_us;
	int64 notice_max_us;
	int64 grace_us; /* after a crossing by backlog */
} PolicySet;

/* Active rows of the site with the days around now and moment: read once a statement. */
extern const PolicySet *policy_set(const Site *site, TimestampTz moment);
/* Whether a row's conditions all hold at a time; until: where that may end, at the earliest. */
extern bool policy_holds(const Site *site, const PolicySet *set, const Policy *policy,
						 const PolicyFacts *facts, TimestampTz at, TimestampTz *until);
/* The rule that is no row: time after a crossing that the customer could not foresee. */
extern bool policy_backlog_holds(const PolicySet *set, const PolicyFacts *facts, TimestampTz at,
								 TimestampTz *until);

/* A weekday array as mask, a time as microseconds; for rules of the same form. */
extern unsigned policy_weekdays(uint64 row, int column);
extern void policy_days(const Site *site, const char *calendar, Datum types, bool no_types,
						TimestampTz moment, PolicyDays *days);
extern bool policy_day_fits(const void *days, int32 day);

#endif
