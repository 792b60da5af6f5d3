/*
 * control_relay.c: orders for the relay: trip close keep_on prepaid lock unlock.
 *
 * An order is stored first, then the supply rule decides with it, so that what is
 * sent and what is stored can never disagree. The meters' accounts are locked.
 */
#include "control.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "command.h"
#include "db.h"
#include "decide.h"
#include "load.h"
#include "reason.h"

static bool
is_action(const ControlCall *call, const char *name)
{
	return strcmp(call->action, name) == 0;
}

static void
refuse(ControlCall *call, ControlRow *row, const RelayMeter *meter, const SupplyFacts *facts,
	   const SupplyDecision *decision)
{
	const char *why = reason_all(call->site, meter, facts, decision);

	if (call->single)
		ereport(ERROR, (errcode(ERRCODE_PP_SUPPLY_REFUSED),
						errmsg("meter \"%s\" must stay off (%s)", meter->code,
							   supply_rule_name(decision->rule)),
						errdetail("%s", why),
						errhint(facts->locked || facts->overload_locked
									? "A supervisor can unlock it: action 'unlock'."
									: "Remove the cause; keep_on overrides the balance.")));
	control_note(call, row, 0, "refused", why);
}

/* Tell what became of the order: the command under way, or why there is none. */
static void
conclude(ControlCall *call, ControlRow *row, const RelayMeter *meter, int64 command_id,
		 bool was_live, const char *why)
{
	if (command_id != 0)
	{
		row->is_new = !was_live;
		control_note(call, row, command_id, command_id == meter->flying_id ? "sent" : "queued",
					 was_live ? psprintf("%s; under way already", why) : why);
	}
	else if (!meter->is_reachable)
		control_note(call, row, 0, "set", psprintf("%s; no command: no gateway and unit", why));
	else if ((meter->desired == SIDE_OFF && !meter->can_trip) ||
			 (meter->desired == SIDE_ON && !meter->can_close))
		control_note(call, row, 0, "set",
					 psprintf("%s; no command: the meter model has no such relay command", why));
	else
		control_note(call, row, 0, "set", psprintf("%s; nothing to switch", why));
}

/* Decide with the order just stored and let the relay follow. */
static void
settle(ControlCall *call, ControlRow *row, RelayMeter *meter, const SupplyFacts *facts, bool insist)
{
	RelayCause cause = { .reason = call->reason,
						 .operator_name = call->operator_name,
						 .insist = insist };
	SupplyDecision decision;
	int64 queued_before = meter->queued_id;
	int64 command_id;
	const char *why;

	supply_decide(facts, &decision);
	why = reason_text(call->site, meter, facts, reason_decisive(&decision));
	if (decision.side == SIDE_NONE && !insist)
	{
		control_note(call, row, 0, "set", why);
		return;
	}
	/* A held relay is left alone by the rule, but a person may close it. */
	relay_desire(call->site, meter, decision.side == SIDE_NONE ? SIDE_ON : decision.side,
				 supply_rule_name(decision.rule));
	command_id = relay_follow(call->site, meter, &cause);
	conclude(call, row, meter, command_id,
			 command_id != 0 && (command_id == queued_before || command_id == meter->flying_id),
			 why);
}

static void
order_server_meter(ControlCall *call, ControlRow *row, RelayMeter *meter)
{
	SupplyFacts facts;
	SupplyDecision trial;

	decide_facts(call->site, meter, call->site->now, &facts);
	if (is_action(call, "close") && facts.order == ORDER_FORCED_OFF)
		facts.order = ORDER_NONE;
	if (is_action(call, "prepaid"))
		facts.order = ORDER_NONE;
	if (is_action(call, "keep_on"))
		facts.order = ORDER_KEEP_ON;
	if (is_action(call, "trip"))
		facts.order = ORDER_FORCED_OFF;
	if (is_action(call, "lock"))
		facts.locked = true;
	if (is_action(call, "unlock"))
	{
		load_unlock(call->site, meter);
		decide_meter_facts(meter, call->site->now, &facts);
		facts.locked = false;
	}

	supply_decide(&facts, &trial);
	if ((is_action(call, "close") || is_action(call, "keep_on")) && trial.side == SIDE_OFF)
	{
		refuse(call, row, meter, &facts, &trial);
		return;
	}
	if (facts.order != meter->order || is_action(call, "trip") || is_action(call, "keep_on"))
		relay_set_order(call->site, meter, facts.order, call->operator_name, call->given_reason);
	if (is_action(call, "lock") || is_action(call, "unlock"))
		relay_set_lock(call->site, meter, facts.locked, call->given_reason);
	settle(call, row, meter, &facts,
		   is_action(call, "trip") || is_action(call, "close") || is_action(call, "keep_on"));
}

/* A meter with its own money: the order goes to the meter itself, which obeys it before its
 * balance. */
static void
order_own_meter(ControlCall *call, ControlRow *row, RelayMeter *meter)
{
	RelayCause cause = { .reason = call->reason, .operator_name = call->operator_name };
	const char *send = call->action;
	SupplyOrder order = ORDER_NONE;
	bool able = meter->can_close;

	if (meter->locked && (is_action(call, "close") || is_action(call, "keep_on")))
	{
		SupplyFacts facts = { .locked = true,
							  .has_account = meter->account_id != 0,
							  .vacant_supply = true,
							  .balance = 1 };
		SupplyDecision decision;

		supply_decide(&facts, &decision);
		decision.n_reasons = 1;
		refuse(call, row, meter, &facts, &decision);
		return;
	}
	if (is_action(call, "trip"))
		order = ORDER_FORCED_OFF;
	if (is_action(call, "keep_on"))
		order = ORDER_KEEP_ON;
	if (is_action(call, "lock") || is_action(call, "unlock"))
	{
		relay_set_lock(call->site, meter, is_action(call, "lock"), call->given_reason);
		order = meter->order;
		send = is_action(call, "lock") || order == ORDER_FORCED_OFF ? "trip" : "prepaid";
	}
	else
		relay_set_order(call->site, meter, order, call->operator_name, call->given_reason);
	if (meter->locked)
		send = "trip";
	if (strcmp(send, "keep_on") == 0 && !meter->can_keep_on)
		send = "close";
	if (strcmp(send, "prepaid") == 0)
		able = meter->can_prepaid;
	else if (strcmp(send, "trip") == 0)
		able = meter->can_trip;
	relay_desire(call->site, meter,
				 meter->locked || order == ORDER_FORCED_OFF ? SIDE_OFF
				 : order == ORDER_KEEP_ON					? SIDE_ON
															: SIDE_NONE,
				 call->action);
	conclude(call, row, meter,
			 meter->is_reachable && able ? relay_send(call->site, meter, send, &cause) : 0, false,
			 call->reason);
}

static void
order_meter(ControlCall *call, ControlRow *row, RelayMeter *meter)
{
	row->meter = MemoryContextStrdup(call->memory, meter->code);
	row->account_id = meter->account_id;
	if (!meter->is_prepaid)
		control_note(call, row, 0, "skipped", "check meter: it measures only");
	else if (!call->single && is_action(call, "trip") && meter->order == ORDER_KEEP_ON)
		control_note(call, row, 0, "skipped", "kept on by order; trip it by its own code");
	else if (meter->is_server)
		order_server_meter(call, row, meter);
	else
		order_own_meter(call, row, meter);
}

void
control_relay(ControlCall *call)
{
	RelayMeter *meter;
	int n;
	int i;

	relay_lock_owners(call->site, call->meter_id, call->n);
	n = relay_lock(call->site, call->meter_id, call->n, &meter);
	for (i = 0; i < n; i++)
	{
		/* Its memory goes with it: a site has many meters. */
		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		order_meter(call, &call->row[i], &meter[i]);
		SPI_finish();
		CHECK_FOR_INTERRUPTS();
	}
}
