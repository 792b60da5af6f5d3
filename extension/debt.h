/*
 * debt.h: what an account owes beside its balance.
 */
#ifndef PREPAY_DEBT_H
#define PREPAY_DEBT_H

#include "vend.h"

typedef struct DebtPart
{
	int32 seq;	 /* entry that added the debt */
	int64 minor; /* what is paid of it */
	int32 period_start;
} DebtPart;

typedef struct DebtPlan
{
	int n;
	DebtPart *part;
	int64 total;
} DebtPlan;

/* What a top-up pays: percentage debts up to their caps, then accumulated debts, oldest first. */
extern void debt_plan(const Site *site, const Account *account, int64 top_up, DebtPlan *plan);
/* All of it, for closing. */
extern void debt_plan_all(const Site *site, const Account *account, DebtPlan *plan);
/* Post the plan: one entry a debt, from the balance to the debt. */
extern void debt_pay(VendCall *call, Account *account, const DebtPlan *plan);

/* A payment made on a local day is taken back. */
extern void debt_unpay(const Site *site, int32 account_id, int32 seq, int64 minor, int32 day);
/* The debt was never owed. Raises PP026 when some of it has been paid. */
extern void debt_cancel(const Site *site, int32 account_id, int32 seq);

/* Sum of what the rows of debt say is owed. */
extern int64 debt_owed(const Site *site, int32 account_id);
/* Whether accumulated debt is owed: what a top-up pays in full before it reaches the balance. */
extern bool debt_is_due(const Site *site, int32 account_id);

#endif
