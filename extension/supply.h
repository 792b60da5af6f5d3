/*
 * supply.h: whether a meter has supply: a pure function of facts.
 *
 * Rules stand in order of precedence, the first that applies decides:
 *
 *   locked        off   lock, or overload trips used up; ended by unlock only
 *   keep_on       on    operator's last order
 *   forced_off    off   operator's last order
 *   no_account    off   unless vacant meters have supply; off while the account is suspended
 *   overload_off  off   power above the limit, restored after a while
 *   schedule_off  off   timed switching
 *   tenant_off    off   switched off by the tenant
 *   on            on    balance above -(credit limit + activated emergency credit); when that was
 *                       used up also debts cleared; or part of the arrears paid, for some days
 *   hold          stay  money is used up, but a policy protects: the relay stays as it is
 *   off_due       off   money is used up
 *
 * The decision carries every reason for and against, also those that did not
 * decide, so that a person sees what would have to change.
 */
#ifndef PREPAY_SUPPLY_H
#define PREPAY_SUPPLY_H

#include "core.h"

#define SUPPLY_MAX_PROTECTIONS 8
#define SUPPLY_MAX_REASONS (11 + SUPPLY_MAX_PROTECTIONS)

/* A relay state; SIDE_NONE is "unknown" for a relay and "leave it" for a decision. */
typedef enum SupplySide
{
	SIDE_NONE,
	SIDE_ON,
	SIDE_OFF
} SupplySide;

typedef enum SupplyOrder
{
	ORDER_NONE,
	ORDER_KEEP_ON,
	ORDER_FORCED_OFF
} SupplyOrder;

typedef enum SupplyRule
{
	SUPPLY_LOCKED,
	SUPPLY_KEEP_ON,
	SUPPLY_FORCED_OFF,
	SUPPLY_NO_ACCOUNT,
	SUPPLY_OVERLOAD_OFF,
	SUPPLY_SCHEDULE_OFF,
	SUPPLY_TENANT_OFF,
	SUPPLY_ON,
	SUPPLY_HOLD,
	SUPPLY_OFF_DUE
} SupplyRule;

typedef struct SupplyFacts
{
	bool locked;		  /* by an operator */
	bool overload_locked; /* overload trips used up */
	SupplyOrder order;
	bool has_account;
	bool suspended;		/* the account is */
	bool vacant_supply; /* meters without account have supply */
	bool overload_off;
	bool schedule_off;
	bool tenant_off;
	int64_t balance;		  /* minor units; of the account */
	int64_t credit_limit;	  /* minor units, not negative */
	int64_t emergency_credit; /* activated and not exhausted, minor units, not negative */
	bool debts_due;			  /* emergency credit was exhausted and debts are not cleared */
	int n_protections;		  /* policies that forbid a cut at this moment */
	const char *protection[SUPPLY_MAX_PROTECTIONS];
	const char *reconnected; /* policy by which a part payment gives supply; NULL: none */
	int64_t hold_until;		 /* instant at which protections and part payment have ended */
	bool hold_may_end;		 /* before that, by a message delivered or a meter read */
} SupplyFacts;

typedef enum SupplyCause
{
	CAUSE_LOCKED,
	CAUSE_OVERLOAD_LOCKED,
	CAUSE_KEEP_ON,
	CAUSE_FORCED_OFF,
	CAUSE_NO_ACCOUNT,
	CAUSE_SUSPENDED,
	CAUSE_OVERLOAD,
	CAUSE_SCHEDULE,
	CAUSE_TENANT,
	CAUSE_VACANT_SUPPLY,
	CAUSE_BALANCE_ABOVE,
	CAUSE_RECONNECTED,
	CAUSE_BALANCE_USED_UP,
	CAUSE_DEBTS_DUE,
	CAUSE_PROTECTION
} SupplyCause;

typedef struct SupplyReason
{
	SupplyCause cause;
	SupplySide side;		/* what it speaks for; SIDE_NONE: for leaving the relay alone */
	bool decides;			/* belongs to the rule that decided */
	const char *protection; /* CAUSE_PROTECTION, CAUSE_RECONNECTED: its name */
} SupplyReason;

typedef struct SupplyDecision
{
	SupplyRule rule;
	SupplySide side; /* SIDE_NONE: the relay stays as it is */
	int n_reasons;
	SupplyReason reason[SUPPLY_MAX_REASONS]; /* in order of precedence */
} SupplyDecision;

extern void supply_decide(const SupplyFacts *facts, SupplyDecision *decision);
/* Balance at and below which money is used up, in minor units. */
extern int64_t supply_limit(int64_t credit_limit, int64_t emergency_credit);
extern const char *supply_rule_name(SupplyRule rule);
extern const char *supply_side_name(SupplySide side); /* "on", "off"; NULL for SIDE_NONE */

#endif
