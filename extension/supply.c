#include "supply.h"

const char *
supply_rule_name(SupplyRule rule)
{
	static const char *const name[] = {
		[SUPPLY_LOCKED] = "locked",
		[SUPPLY_KEEP_ON] = "keep_on",
		[SUPPLY_FORCED_OFF] = "forced_off",
		[SUPPLY_NO_ACCOUNT] = "no_account",
		[SUPPLY_OVERLOAD_OFF] = "overload_off",
		[SUPPLY_SCHEDULE_OFF] = "schedule_off",
		[SUPPLY_TENANT_OFF] = "tenant_off",
		[SUPPLY_ON] = "on",
		[SUPPLY_HOLD] = "hold",
		[SUPPLY_OFF_DUE] = "off_due",
	};

	return name[rule];
}

const char *
supply_side_name(SupplySide side)
{
	return side == SIDE_ON ? "on" : side == SIDE_OFF ? "off" : NULL;
}

int64_t
supply_limit(int64_t credit_limit, int64_t emergency_credit)
{
	int64_t sum;

	if (credit_limit < 0)
		credit_limit = 0;
	if (emergency_credit < 0)
		emergency_credit = 0;
	if (__builtin_add_overflow(credit_limit, emergency_credit, &sum))
		sum = INT64_MAX;
	return -sum;
}

static void
add_reason(SupplyDecision *decision, SupplyCause cause, SupplySide side, const char *protection)
{
	SupplyReason *reason = &decision->reason[decision->n_reasons++];

	reason->cause = cause;
	reason->side = side;
	reason->protection = protection;
	reason->decides = false;
}

/* The reasons collected since `from` belong to a rule; the first rule with reasons decides. */
static void
apply(SupplyDecision *decision, bool *decided, SupplyRule rule, SupplySide side, int from)
{
	if (decision->n_reasons == from || (*decided && decision->rule != rule))
		return;
	*decided = true;
	decision->rule = rule;
	decision->side = side;
	for (int i = from; i < decision->n_reasons; i++)
		decision->reason[i].decides = true;
}

static void
decide_by_money(const SupplyFacts *facts, SupplyDecision *decision, bool *decided)
{
	int from = decision->n_reasons;

	if (!facts->has_account)
	{
		if (facts->vacant_supply)
			add_reason(decision, CAUSE_VACANT_SUPPLY, SIDE_ON, NULL);
		apply(decision, decided, SUPPLY_ON, SIDE_ON, from);
		return;
	}
	if (!facts->debts_due &&
		facts->balance > supply_limit(facts->credit_limit, facts->emergency_credit))
	{
		add_reason(decision, CAUSE_BALANCE_ABOVE, SIDE_ON, NULL);
		apply(decision, decided, SUPPLY_ON, SIDE_ON, from);
		return;
	}
	if (facts->reconnected)
		add_reason(decision, CAUSE_RECONNECTED, SIDE_ON, facts->reconnected);
	apply(decision, decided, SUPPLY_ON, SIDE_ON, from);
	from = decision->n_reasons;
	for (int i = 0; i < facts->n_protections && i < SUPPLY_MAX_PROTECTIONS; i++)
		add_reason(decision, CAUSE_PROTECTION, SIDE_NONE, facts->protection[i]);
	apply(decision, decided, SUPPLY_HOLD, SIDE_NONE, from);
	from = decision->n_reasons;
	add_reason(decision, facts->debts_due ? CAUSE_DEBTS_DUE : CAUSE_BALANCE_USED_UP, SIDE_OFF,
			   NULL);
	apply(decision, decided, SUPPLY_OFF_DUE, SIDE_OFF, from);
}

void
supply_decide(const SupplyFacts *facts, SupplyDecision *decision)
{
	struct
	{
		bool holds;
		SupplyCause cause;
		SupplyRule rule;
		SupplySide side;
	} const row[] = {
		{ facts->locked, CAUSE_LOCKED, SUPPLY_LOCKED, SIDE_OFF },
		{ facts->overload_locked, CAUSE_OVERLOAD_LOCKED, SUPPLY_LOCKED, SIDE_OFF },
		{ facts->order == ORDER_KEEP_ON, CAUSE_KEEP_ON, SUPPLY_KEEP_ON, SIDE_ON },
		{ facts->order == ORDER_FORCED_OFF, CAUSE_FORCED_OFF, SUPPLY_FORCED_OFF, SIDE_OFF },
		{ !facts->has_account && !facts->vacant_supply, CAUSE_NO_ACCOUNT, SUPPLY_NO_ACCOUNT,
		  SIDE_OFF },
		{ facts->has_account && facts->suspended, CAUSE_SUSPENDED, SUPPLY_NO_ACCOUNT, SIDE_OFF },
		{ facts->overload_off, CAUSE_OVERLOAD, SUPPLY_OVERLOAD_OFF, SIDE_OFF },
		{ facts->schedule_off, CAUSE_SCHEDULE, SUPPLY_SCHEDULE_OFF, SIDE_OFF },
		{ facts->tenant_off, CAUSE_TENANT, SUPPLY_TENANT_OFF, SIDE_OFF },
	};
	bool decided = false;

	decision->n_reasons = 0;
	decision->rule = SUPPLY_OFF_DUE;
	decision->side = SIDE_OFF;
	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++)
	{
		int from = decision->n_reasons;

		if (!row[i].holds)
			continue;
		add_reason(decision, row[i].cause, row[i].side, NULL);
		apply(decision, &decided, row[i].rule, row[i].side, from);
	}
	decide_by_money(facts, decision, &decided);
}
