/*
 * rehearse.c: supply_rehearsal(): who would be cut at a moment, who would not and why.
 *
 * It goes by the code that cuts: supply_decide() over the facts of protect.c, with the
 * balances of now and the policies of the moment. An account is skipped unread when the
 * band of balance in which nothing has to be decided lies above its cut limit: such an
 * account has money. The rest is read in batches, a few queries each, and in the memory
 * of a batch, so that a site of a million accounts is rehearsed in seconds.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "decide.h"
#include "emergency.h"
#include "money.h"
#include "protect.h"
#include "reason.h"
#include "relay.h"
#include "state.h"

PG_FUNCTION_INFO_V1(prepay_supply_rehearsal);

#define BATCH 2000

typedef struct Rehearsal
{
	const Site *site;
	TimestampTz moment;
	ReturnSetInfo *result;
	int n; /* accounts of the batch, ascending */
	int32 account_id[BATCH];
	char *code[BATCH];
	ProtectAsk ask[BATCH];
	SupplyFacts facts[BATCH];
} Rehearsal;

/* Of the BATCH numbers after `after`, the accounts that may lack money; how many. */
static int
read_accounts(Rehearsal *rehearsal, int32 after)
{
	static DbQuery query = {
		"SELECT s.account_id, a.code, round(a.credit_limit, $4)::text, a.state = 'suspended',"
		" s.emergency_minor, s.emergency_exhausted, s.used_up_at, s.used_up_by_backlog"
		" FROM prepay.account_state s JOIN prepay.account a ON a.site_id = s.site_id"
		" AND a.account_id = s.account_id WHERE s.site_id = $1 AND s.account_id > $2"
		" AND s.account_id <= $3 AND a.account_id > $2 AND a.account_id <= $3"
		" AND a.state <> 'closed' AND (s.quiet_above IS NULL OR s.emergency_exhausted"
		" OR a.state = 'suspended' OR s.quiet_above < -s.emergency_minor"
		"  - COALESCE(greatest(round(a.credit_limit, $4), 0) * 10::numeric ^ $4, $5))"
		" ORDER BY s.account_id",
		5,
		{ INT4OID, INT4OID, INT4OID, INT4OID, INT8OID }
	};
	const Site *site = rehearsal->site;
	int64 limit = Max(setting_money(site, "credit_limit", 0), 0);
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(after),
					 Int32GetDatum(after + BATCH), Int32GetDatum(site->decimals),
					 Int64GetDatum(limit) };
	SPITupleTable *rows;
	int i;

	rehearsal->n = db_run(&query, args);
	rows = SPI_tuptable;
	for (i = 0; i < rehearsal->n; i++)
	{
		SupplyFacts *facts = &rehearsal->facts[i];
		char *own_limit;

		SPI_tuptable = rows;
		memset(facts, 0, sizeof(*facts));
		rehearsal->account_id[i] = db_int32(i, 1);
		rehearsal->code[i] = db_text(i, 2);
		own_limit = db_text(i, 3);
		facts->has_account = true;
		facts->suspended = db_bool(i, 4);
		rehearsal->ask[i].account_id = rehearsal->account_id[i];
		rehearsal->ask[i].used_up_at = db_time_or(i, 7, DT_NOBEGIN);
		rehearsal->ask[i].by_backlog = db_bool(i, 8);
		if (own_limit == NULL ||
			decimal_parse(own_limit, site->decimals, &facts->credit_limit) != DECIMAL_OK)
			facts->credit_limit = limit;
		facts->credit_limit = Max(facts->credit_limit, 0);
		emergency_facts(site, rehearsal->account_id[i], db_int64(i, 5), db_bool(i, 6), facts);
	}
	return rehearsal->n;
}

static int
place_of(const Rehearsal *rehearsal, int32 account_id)
{
	int low = 0;
	int high = rehearsal->n - 1;

	while (low < high)
	{
		int middle = (low + high) / 2;

		if (rehearsal->account_id[middle] < account_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Keep the accounts that have no supply by their money; the others leave the batch. */
static void
keep_without_money(Rehearsal *rehearsal)
{
	const Site *site = rehearsal->site;
	int found;
	Account *account = account_read_all(site, rehearsal->account_id, rehearsal->n, &found);
	int kept = 0;
	int i;

	for (i = 0; i < found; i++)
		rehearsal->facts[place_of(rehearsal, account[i].account_id)].balance =
			account_balance_of(site, &account[i]);
	for (i = 0; i < rehearsal->n; i++)
	{
		const SupplyFacts *facts = &rehearsal->facts[i];

		if (!facts->debts_due && !facts->suspended &&
			facts->balance > supply_limit(facts->credit_limit, facts->emergency_credit))
			continue;
		rehearsal->account_id[kept] = rehearsal->account_id[i];
		rehearsal->code[kept] = rehearsal->code[i];
		rehearsal->ask[kept] = rehearsal->ask[i];
		rehearsal->facts[kept++] = *facts;
	}
	rehearsal->n = kept;
}

static int
read_meters(const Rehearsal *rehearsal, RelayMeter **meter)
{
	static DbQuery query = {
		"SELECT t.meter_id FROM prepay.account_meter t JOIN prepay.meter m ON m.site_id = t.site_id"
		" AND m.meter_id = t.meter_id WHERE t.site_id = $1 AND t.account_id = ANY ($2)"
		" AND t.valid_from <= $3 AND t.valid_to > $3 AND m.purpose = 'prepaid'"
		" AND m.prepay_mode = 'server'",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(rehearsal->site->site_id),
					 db_array_int32(rehearsal->account_id, rehearsal->n),
					 TimestampTzGetDatum(rehearsal->moment) };
	int n = db_run(&query, args);
	int32 *meter_id = palloc(sizeof(int32) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		meter_id[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return relay_peek(rehearsal->site, meter_id, n, rehearsal->moment, meter);
}

static void
put_meter(const Rehearsal *rehearsal, const RelayMeter *meter)
{
	const Site *site = rehearsal->site;
	int place = place_of(rehearsal, meter->account_id);
	SupplyFacts facts = rehearsal->facts[place];
	SupplyDecision decision;
	Datum reason[SUPPLY_MAX_REASONS];
	Datum value[8] = { 0 };
	bool isnull[8] = { false };
	const char *outcome = "spared";
	int i;

	decide_meter_facts(meter, rehearsal->moment, &facts);
	supply_decide(&facts, &decision);
	if (decision.side == SIDE_OFF)
		outcome = relay_effective(meter) == SIDE_OFF ? "off" : "cut";
	for (i = 0; i < decision.n_reasons; i++)
		reason[i] = CStringGetTextDatum(reason_text(site, meter, &facts, &decision.reason[i]));
	value[0] = CStringGetTextDatum(site->code);
	value[1] = CStringGetTextDatum(rehearsal->code[place]);
	value[2] = CStringGetTextDatum(meter->code);
	value[3] = CStringGetTextDatum(outcome);
	value[4] = CStringGetTextDatum(supply_rule_name(decision.rule));
	value[5] = TimestampTzGetDatum(facts.hold_until);
	isnull[5] = decision.rule != SUPPLY_HOLD && !(decision.rule == SUPPLY_ON && facts.reconnected);
	value[6] = minor_numeric(facts.balance, site->decimals);
	value[7] = db_array(reason, NULL, decision.n_reasons, TEXTOID);
	tuplestore_putvalues(rehearsal->result->setResult, rehearsal->result->setDesc, value, isnull);
}

static int32
last_account(const Site *site)
{
	static DbQuery query = { "SELECT max(account_id) FROM prepay.account_state WHERE site_id = $1",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	db_run(&query, &arg);
	return db_int32_or(0, 1, 0);
}

/* Rehearse the accounts numbered after `after`, as many as a batch holds. */
static void
rehearse_batch(Rehearsal *rehearsal, int32 after)
{
	RelayMeter *meter;
	int n;
	int i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	if (read_accounts(rehearsal, after) > 0)
	{
		keep_without_money(rehearsal);
		protect_facts(rehearsal->site, rehearsal->ask, rehearsal->n, rehearsal->moment,
					  rehearsal->facts);
		n = read_meters(rehearsal, &meter);
		for (i = 0; i < n; i++)
			put_meter(rehearsal, &meter[i]);
	}
	SPI_finish();
}

/*
 * supply_rehearsal(site, moment) → one row a meter whose account has no supply by its
 * money: cut, spared or off already. moment NULL: now. Takes no locks.
 */
Datum
prepay_supply_rehearsal(PG_FUNCTION_ARGS)
{
	DbSession session;
	Rehearsal *rehearsal = palloc(sizeof(Rehearsal));
	int32 site_id;
	int32 last;
	int32 after;

	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_READ, site_id, "rehearse supply");
	rehearsal->site = site_get(site_id);
	rehearsal->result = (ReturnSetInfo *) fcinfo->resultinfo;
	rehearsal->moment = PG_ARGISNULL(1) ? rehearsal->site->now : PG_GETARG_TIMESTAMPTZ(1);
	if (TIMESTAMP_NOT_FINITE(rehearsal->moment))
		ereport(ERROR, (errcode(ERRCODE_DATETIME_VALUE_OUT_OF_RANGE),
						errmsg("the moment of a rehearsal must be finite"),
						errhint("Leave it out for now, or give a time.")));
	last = last_account(rehearsal->site);
	for (after = 0; after < last; after += BATCH)
	{
		rehearse_batch(rehearsal, after);
		CHECK_FOR_INTERRUPTS();
	}
	db_leave(&session);
	return (Datum) 0;
}
