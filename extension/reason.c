#include "reason.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "decide.h"
#include "load.h"
#include "money.h"
#include "protect.h"
#include "purse.h"
#include "state.h"
#include "target.h"

PG_FUNCTION_INFO_V1(prepay_supply_decision);

const SupplyReason *
reason_decisive(const SupplyDecision *decision)
{
	int i;

	for (i = 0; i < decision->n_reasons; i++)
		if (decision->reason[i].decides)
			return &decision->reason[i];
	elog(ERROR, "supply decision without reason");
}

static char *
with_note(const char *what, const char *who, const char *note)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfoString(&text, what);
	if (who)
		appendStringInfo(&text, " by %s", who);
	if (note && *note)
		appendStringInfo(&text, " (%s)", note);
	return text.data;
}

static char *
balance_text(const Site *site, const SupplyFacts *facts, const char *relation)
{
	char balance[MONEY_TEXT_MAX];
	char limit[MONEY_TEXT_MAX];

	minor_format(facts->balance, site->decimals, balance);
	minor_format(supply_limit(facts->credit_limit, facts->emergency_credit), site->decimals, limit);
	return psprintf("balance %s %s is %s %s %s", balance, site->currency, relation, limit,
					site->currency);
}

static char *
cause_text(const Site *site, const RelayMeter *meter, const SupplyFacts *facts,
		   const SupplyReason *reason)
{
	switch (reason->cause)
	{
		case CAUSE_LOCKED:
			return with_note("the meter is locked", NULL, meter->locked_reason);
		case CAUSE_OVERLOAD_LOCKED:
			return load_reason(site, meter);
		case CAUSE_KEEP_ON:
			return with_note("keep-on was ordered", meter->order_by, meter->order_reason);
		case CAUSE_FORCED_OFF:
			return with_note("off was ordered", meter->order_by, meter->order_reason);
		case CAUSE_NO_ACCOUNT:
			return pstrdup("the meter belongs to no account");
		case CAUSE_SUSPENDED:
			return pstrdup("the account is suspended");
		case CAUSE_OVERLOAD:
			return load_reason(site, meter);
		case CAUSE_SCHEDULE:
			return psprintf("switching schedule %s says off until %s", meter->schedule,
							protect_time_text(site, meter->schedule_until));
		case CAUSE_TENANT:
			return pstrdup("the tenant switched it off");
		case CAUSE_VACANT_SUPPLY:
			return pstrdup("meters without account have supply here");
		case CAUSE_BALANCE_ABOVE:
			return balance_text(site, facts, "above");
		case CAUSE_RECONNECTED:
			return psprintf("supply by %s", reason->protection);
		case CAUSE_BALANCE_USED_UP:
			return balance_text(site, facts, "at or below");
		case CAUSE_DEBTS_DUE:
			return pstrdup("emergency credit is used up and debts are not cleared");
		case CAUSE_PROTECTION:
			return psprintf("protected by %s", reason->protection);
	}
	elog(ERROR, "unknown supply cause %d", (int) reason->cause);
}

char *
reason_text(const Site *site, const RelayMeter *meter, const SupplyFacts *facts,
			const SupplyReason *reason)
{
	const char *side = supply_side_name(reason->side);

	return psprintf("%s: %s", side ? side : "hold", cause_text(site, meter, facts, reason));
}

char *
reason_all(const Site *site, const RelayMeter *meter, const SupplyFacts *facts,
		   const SupplyDecision *decision)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	for (i = 0; i < decision->n_reasons; i++)
		appendStringInfo(&text, "%s%s", i ? "\n" : "",
						 reason_text(site, meter, facts, &decision->reason[i]));
	return text.data;
}

static char *
account_code(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT code FROM prepay.account WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	return account_id != 0 && db_run(&query, args) == 1 ? db_text(0, 1) : NULL;
}

static char *
own_text(const Site *site, const RelayMeter *meter)
{
	const char *what = "meter: it keeps its own money and cuts by itself";
	char balance[MONEY_TEXT_MAX];
	Purse purse;

	if (!purse_peek_meter(site, meter->meter_id, &purse) || !purse.has_balance)
		return pstrdup(what);
	minor_format(purse.balance, site->decimals, balance);
	return psprintf("%s; it had %s %s at %s", what, balance, site->currency,
					protect_time_text(site, purse.balance_at));
}

static void
put_decision(ReturnSetInfo *result, const Site *site, const RelayMeter *meter, TimestampTz moment)
{
	SupplyFacts facts;
	SupplyDecision decision;
	Datum reason[SUPPLY_MAX_REASONS];
	Datum value[9] = { 0 };
	bool isnull[9] = { false };
	char *account = account_code(site, meter->account_id);
	/* Of a meter that keeps its own money only a lock or an order is ours to decide. */
	bool own = !meter->is_server && !meter->locked && meter->order == ORDER_NONE;
	const char *side;
	int i;

	decide_facts(site, meter, moment, &facts);
	supply_decide(&facts, &decision);
	for (i = 0; i < decision.n_reasons; i++)
		reason[i] = CStringGetTextDatum(reason_text(site, meter, &facts, &decision.reason[i]));
	side = supply_side_name(decision.side);
	if (own)
	{
		reason[0] = CStringGetTextDatum(own_text(site, meter));
		decision.n_reasons = 1;
	}
	value[0] = CStringGetTextDatum(site->code);
	value[1] = CStringGetTextDatum(meter->code);
	value[2] = db_text_datum(account);
	value[3] = CStringGetTextDatum(own ? "meter" : supply_rule_name(decision.rule));
	value[4] = CStringGetTextDatum(own ? "meter" : side ? side : "hold");
	value[5] = db_array(reason, NULL, decision.n_reasons, TEXTOID);
	value[6] = facts.has_account ? minor_numeric(facts.balance, site->decimals) : (Datum) 0;
	value[7] = db_text_datum(supply_side_name(meter->desired));
	value[8] = db_text_datum(supply_side_name(meter->observed));
	for (i = 0; i < lengthof(value); i++)
		isnull[i] = value[i] == (Datum) 0;
	tuplestore_putvalues(result->setResult, result->setDesc, value, isnull);
}

/*
 * supply_decision(target, moment) → one row a prepaid meter. With a moment the
 * meters' accounts, policies and what ends or begins by time are those of that time;
 * orders and balances are the present ones.
 */
Datum
prepay_supply_decision(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbSession session;
	CodeTarget target;
	const Site *site;
	RelayMeter *meter;
	TimestampTz moment;
	int32 *meter_id;
	int n;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the target is missing")));
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), TARGET_KINDS, &target);
	auth_require(session.caller, MAY_READ, target.site_id, "see supply decisions");
	site = site_get(target.site_id);
	n = target_meters(site, &target, &meter_id);
	moment = PG_ARGISNULL(1) ? site->now : PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(moment))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("the moment of a supply decision must be finite"),
						errhint("Leave it out for now, or give a time.")));
	n = relay_peek(site, meter_id, n, moment, &meter);
	for (i = 0; i < n; i++)
		if (meter[i].is_prepaid)
			put_decision(result, site, &meter[i], moment);
	db_leave(&session);
	return (Datum) 0;
}
