/*
 * test_supply.c: the supply decision: precedence, limit, reasons.
 */
#include "fixture.h"

#include <stdio.h>

#include "supply.h"

static SupplyFacts
paid(void)
{
	SupplyFacts facts = { .has_account = true, .balance = 1000 };

	return facts;
}

static const char *
decided(const SupplyFacts *facts)
{
	SupplyDecision decision;

	supply_decide(facts, &decision);
	return supply_rule_name(decision.rule);
}

static SupplySide
side(const SupplyFacts *facts)
{
	SupplyDecision decision;

	supply_decide(facts, &decision);
	return decision.side;
}

/* One fact against a paid account, in the order of precedence. */
static void
each_fact_alone(void **state)
{
	SupplyFacts facts = paid();

	(void) state;
	assert_string_equal("on", decided(&facts));
	assert_int_equal(SIDE_ON, side(&facts));

	facts = paid();
	facts.locked = true;
	assert_string_equal("locked", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts = paid();
	facts.overload_locked = true;
	assert_string_equal("locked", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts = paid();
	facts.order = ORDER_FORCED_OFF;
	assert_string_equal("forced_off", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts = paid();
	facts.order = ORDER_KEEP_ON;
	facts.balance = -1000;
	assert_string_equal("keep_on", decided(&facts));
	assert_int_equal(SIDE_ON, side(&facts));

	facts = paid();
	facts.has_account = false;
	assert_string_equal("no_account", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));
	facts.vacant_supply = true;
	assert_string_equal("on", decided(&facts));
	assert_int_equal(SIDE_ON, side(&facts));

	facts = paid();
	facts.overload_off = true;
	assert_string_equal("overload_off", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts = paid();
	facts.schedule_off = true;
	assert_string_equal("schedule_off", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts = paid();
	facts.tenant_off = true;
	assert_string_equal("tenant_off", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts = paid();
	facts.balance = 0;
	assert_string_equal("off_due", decided(&facts));
	assert_int_equal(SIDE_OFF, side(&facts));

	facts.n_protections = 1;
	facts.protection[0] = "weekend";
	assert_string_equal("hold", decided(&facts));
	assert_int_equal(SIDE_NONE, side(&facts));
}

static void
the_limit_itself_is_used_up(void **state)
{
	SupplyFacts facts = paid();

	(void) state;
	facts.balance = 1;
	assert_string_equal("on", decided(&facts));
	facts.balance = 0;
	assert_string_equal("off_due", decided(&facts));
	facts.credit_limit = 500;
	assert_string_equal("on", decided(&facts));
	facts.balance = -499;
	assert_string_equal("on", decided(&facts));
	facts.balance = -500;
	assert_string_equal("off_due", decided(&facts));
	facts.emergency_credit = 200;
	assert_string_equal("on", decided(&facts));
	facts.balance = -699;
	assert_string_equal("on", decided(&facts));
	facts.balance = -700;
	assert_string_equal("off_due", decided(&facts));
}

static void
limits_do_not_wrap(void **state)
{
	SupplyFacts facts = paid();

	(void) state;
	assert_int_equal(0, supply_limit(0, 0));
	assert_int_equal(-700, supply_limit(500, 200));
	assert_int_equal(0, supply_limit(-500, -1));
	assert_int_equal(-INT64_MAX, supply_limit(INT64_MAX, 1));
	assert_int_equal(-INT64_MAX, supply_limit(INT64_MAX, INT64_MAX));
	facts.credit_limit = INT64_MAX;
	facts.emergency_credit = INT64_MAX;
	facts.balance = -INT64_MAX + 1;
	assert_string_equal("on", decided(&facts));
	facts.balance = INT64_MIN;
	assert_string_equal("off_due", decided(&facts));
}

/* The rules once more, as the words of the contract put them: the first that holds. */
static const char *
expected_rule(const SupplyFacts *f, SupplySide *expected)
{
	bool has_money = f->balance > 0 && !f->debts_due;

	*expected = SIDE_OFF;
	if (f->locked || f->overload_locked)
		return "locked";
	if (f->order == ORDER_KEEP_ON)
	{
		*expected = SIDE_ON;
		return "keep_on";
	}
	if (f->order == ORDER_FORCED_OFF)
		return "forced_off";
	if (!f->has_account && !f->vacant_supply)
		return "no_account";
	if (f->has_account && f->suspended)
		return "no_account";
	if (f->overload_off)
		return "overload_off";
	if (f->schedule_off)
		return "schedule_off";
	if (f->tenant_off)
		return "tenant_off";
	if (!f->has_account || has_money)
	{
		*expected = SIDE_ON;
		return "on";
	}
	if (f->n_protections > 0)
	{
		*expected = SIDE_NONE;
		return "hold";
	}
	return "off_due";
}

/* How many reasons there are to tell, whatever decided. */
static int
expected_reasons(const SupplyFacts *f)
{
	bool used_up = f->has_account && (f->balance <= 0 || f->debts_due);

	return f->locked + f->overload_locked + (f->order != ORDER_NONE) + f->overload_off +
		   f->schedule_off + f->tenant_off + (f->has_account && f->suspended) +
		   (f->has_account ? 1 + (used_up ? f->n_protections : 0) : 1);
}

/* How many of them are the deciding rule's own. */
static int
expected_deciding(const SupplyFacts *f, SupplyRule rule)
{
	if (rule == SUPPLY_LOCKED)
		return f->locked + f->overload_locked;
	return rule == SUPPLY_HOLD ? f->n_protections : 1;
}

static void
check_reasons(const SupplyFacts *facts, const SupplyDecision *decision)
{
	int deciding = 0;
	bool any = false;
	bool after = false;

	assert_int_equal(expected_reasons(facts), decision->n_reasons);
	for (int i = 0; i < decision->n_reasons; i++)
	{
		const SupplyReason *reason = &decision->reason[i];

		/* What decided speaks for the decision, in one run; nothing before it has precedence. */
		deciding += reason->decides;
		if (reason->decides)
		{
			assert_false(after);
			assert_int_equal(decision->side, reason->side);
			any = true;
		}
		else
		{
			assert_true(any);
			after = true;
		}
		assert_int_equal(reason->cause == CAUSE_PROTECTION, reason->protection != NULL);
		for (int j = 0; j < i; j++)
			if (reason->cause != CAUSE_PROTECTION)
				assert_int_not_equal(reason->cause, decision->reason[j].cause);
	}
	assert_true(any);
	assert_int_equal(expected_deciding(facts, decision->rule), deciding);
}

static void
every_combination(void **state)
{
	(void) state;
	for (int bits = 0; bits < 1 << 10; bits++)
		for (int order = ORDER_NONE; order <= ORDER_FORCED_OFF; order++)
			for (int balance = -1; balance <= 1; balance++)
				for (int protections = 0; protections <= SUPPLY_MAX_PROTECTIONS; protections += 4)
				{
					SupplyFacts facts = { .locked = bits & 1,
										  .overload_locked = bits & 2,
										  .order = (SupplyOrder) order,
										  .has_account = bits & 4,
										  .vacant_supply = bits & 8,
										  .overload_off = bits & 16,
										  .schedule_off = bits & 32,
										  .tenant_off = bits & 64,
										  .suspended = bits & 256,
										  .debts_due = bits & 512,
										  .balance = balance,
										  .n_protections = bits & 128 ? protections : 0 };
					SupplyDecision decision;
					SupplySide expected;
					const char *rule = expected_rule(&facts, &expected);

					for (int i = 0; i < facts.n_protections; i++)
						facts.protection[i] = "policy";
					supply_decide(&facts, &decision);
					assert_string_equal(rule, supply_rule_name(decision.rule));
					assert_int_equal(expected, decision.side);
					check_reasons(&facts, &decision);
				}
}

static void
reasons_of_a_cut_that_is_overruled(void **state)
{
	SupplyFacts facts = { .has_account = true,
						  .balance = -10,
						  .order = ORDER_KEEP_ON,
						  .tenant_off = true,
						  .n_protections = 2,
						  .protection = { "night", "dispute" } };
	SupplyDecision decision;

	(void) state;
	supply_decide(&facts, &decision);
	assert_int_equal(5, decision.n_reasons);
	assert_int_equal(CAUSE_KEEP_ON, decision.reason[0].cause);
	assert_int_equal(SIDE_ON, decision.reason[0].side);
	assert_true(decision.reason[0].decides);
	assert_int_equal(CAUSE_TENANT, decision.reason[1].cause);
	assert_int_equal(SIDE_OFF, decision.reason[1].side);
	assert_string_equal("night", decision.reason[2].protection);
	assert_string_equal("dispute", decision.reason[3].protection);
	assert_int_equal(SIDE_NONE, decision.reason[3].side);
	assert_int_equal(CAUSE_BALANCE_USED_UP, decision.reason[4].cause);
	for (int i = 1; i < 5; i++)
		assert_false(decision.reason[i].decides);
}

static void
more_protections_than_room(void **state)
{
	SupplyFacts facts = { .locked = true,
						  .overload_locked = true,
						  .order = ORDER_FORCED_OFF,
						  .has_account = true,
						  .overload_off = true,
						  .schedule_off = true,
						  .tenant_off = true,
						  .n_protections = 1000 };
	SupplyDecision decision;

	(void) state;
	for (int i = 0; i < SUPPLY_MAX_PROTECTIONS; i++)
		facts.protection[i] = "policy";
	supply_decide(&facts, &decision);
	assert_true(decision.n_reasons <= SUPPLY_MAX_REASONS);
	assert_int_equal(7 + SUPPLY_MAX_PROTECTIONS, decision.n_reasons);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fact_alone),
		cmocka_unit_test(the_limit_itself_is_used_up),
		cmocka_unit_test(limits_do_not_wrap),
		cmocka_unit_test(every_combination),
		cmocka_unit_test(reasons_of_a_cut_that_is_overruled),
		cmocka_unit_test(more_protections_than_room),
	};

	return cmocka_run_group_tests_name("supply", tests, NULL, NULL);
}
