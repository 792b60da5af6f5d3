/*
 * decide.c: from a balance to alarms and to the relays of an account's meters.
 *
 * decide_account() runs in the transaction that moved the balance, with the
 * account locked. Everything else that decides (an agent taking a command, a
 * relay seen, time passing) holds only the meter_control row and reads the balance
 * as committed. That is enough: a transaction that moves the balance across the
 * limit needs the same row before it commits, so one of the two sees the other's
 * result, whichever comes first.
 *
 * Meters that hold their own money (prepay_mode meter) cut by themselves; only an
 * operator's order or a lock gives them a desired state.
 */
#include "decide.h"

#include "utils/builtins.h"

#include "account.h"
#include "db.h"
#include "emergency.h"
#include "level.h"
#include "money.h"
#include "policy.h"
#include "protect.h"
#include "reason.h"
#include "relay.h"

/* How often is looked whether what holds a cut has ended before its time. */
#define HOLD_LOOK_US (INT64CONST(10) * 60 * USECS_PER_SEC)

static void
connect(void)
{
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
}

/* What the supply rule goes by of the account itself. */
static void
account_facts(const Site *site, int32 account_id, TimestampTz moment, SupplyFacts *facts)
{
	static DbQuery query = {
		"SELECT round(a.credit_limit, $3)::text, a.state = 'suspended', s.emergency_minor,"
		" s.emergency_exhausted, s.used_up_at, s.used_up_by_backlog FROM prepay.account a JOIN prepay.account_state s"
		" USING (site_id, account_id) WHERE a.site_id = $1 AND a.account_id = $2",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(site->decimals) };
	ProtectAsk ask = { .account_id = account_id };
	char *own_limit;
	int64 minor;

	if (db_run(&query, args) != 1)
		elog(ERROR, "account %d has no state", account_id);
	own_limit = db_text(0, 1);
	facts->suspended = db_bool(0, 2);
	ask.used_up_at = db_time_or(0, 5, DT_NOBEGIN);
	ask.by_backlog = db_bool(0, 6);
	emergency_facts(site, account_id, db_int64(0, 3), db_bool(0, 4), facts);
	if (own_limit == NULL || decimal_parse(own_limit, site->decimals, &minor) != DECIMAL_OK)
		minor = setting_money(site, "credit_limit", 0);
	facts->credit_limit = Max(minor, 0);
	protect_facts(site, &ask, 1, moment, facts);
}

void
decide_meter_facts(const RelayMeter *meter, TimestampTz moment, SupplyFacts *facts)
{
	facts->locked = meter->locked;
	facts->overload_locked = meter->watch.overload.locked;
	facts->overload_off = meter->watch.overload.until > moment;
	facts->order = meter->order;
	facts->schedule_off = meter->schedule != NULL;
	facts->tenant_off = meter->tenant_off;
}

void
decide_facts(const Site *site, const RelayMeter *meter, TimestampTz moment, SupplyFacts *facts)
{
	memset(facts, 0, sizeof(*facts));
	decide_meter_facts(meter, moment, facts);
	facts->has_account =
		meter->account_id != 0 && account_balance(site, meter->account_id, &facts->balance);
	if (facts->has_account)
		account_facts(site, meter->account_id, moment, facts);
	else
		facts->vacant_supply = strcmp(setting_text(site, "vacant_supply"), "on") == 0;
}

/* When tick() decides again: by time alone protections, part payments and overloads end, and
 * schedules switch. */
static void
keep_hold(const Site *site, RelayMeter *meter, const SupplyFacts *facts,
		  const SupplyDecision *decision)
{
	TimestampTz until = meter->schedule_until == DT_NOBEGIN ? DT_NOEND : meter->schedule_until;

	if (facts->overload_off)
		until = Min(until, meter->watch.overload.until);
	if (decision->rule == SUPPLY_HOLD || (decision->rule == SUPPLY_ON && facts->reconnected))
		until = Min(until, facts->hold_may_end ? Min(facts->hold_until, site->now + HOLD_LOOK_US)
											   : facts->hold_until);
	relay_hold_until(site, meter, until == DT_NOEND ? DT_NOBEGIN : until);
}

static void
follow(const Site *site, RelayMeter *meter, const SupplyFacts *facts, TimestampTz not_before)
{
	SupplyDecision decision;
	RelayCause cause = { .not_before = not_before };

	supply_decide(facts, &decision);
	keep_hold(site, meter, facts, &decision);
	if (decision.side == SIDE_NONE)
	{
		/* Held: a cut that has not gone out yet waits for the next decision. */
		if (meter->queued_id != 0 && meter->queued == SIDE_OFF)
			relay_supersede(site, meter);
		return;
	}
	cause.reason = reason_text(site, meter, facts, reason_decisive(&decision));
	relay_desire(site, meter, decision.side, supply_rule_name(decision.rule));
	(void) relay_follow(site, meter, &cause);
}

/* Only a lock or an order tells a meter with its own money what to do. */
static void
follow_order(const Site *site, RelayMeter *meter, TimestampTz not_before)
{
	RelayCause cause = { .reason = "operator's order", .not_before = not_before };
	SupplyFacts facts = { .locked = meter->locked, .order = meter->order };
	SupplyDecision decision;

	if (!meter->locked && meter->order == ORDER_NONE)
	{
		relay_desire(site, meter, SIDE_NONE, "meter");
		return;
	}
	supply_decide(&facts, &decision);
	relay_desire(site, meter, decision.side, supply_rule_name(decision.rule));
	(void) relay_follow(site, meter, &cause);
}

void
decide_locked_meter(const Site *site, RelayMeter *meter, TimestampTz not_before)
{
	SupplyFacts facts;

	if (!meter->is_prepaid)
		return;
	if (!meter->is_server)
	{
		follow_order(site, meter, not_before);
		return;
	}
	decide_facts(site, meter, site->now, &facts);
	follow(site, meter, &facts, not_before);
}

void
decide_meter(const Site *site, int32 meter_id)
{
	RelayMeter *meter;

	connect();
	if (relay_lock(site, &meter_id, 1, &meter) == 1)
		decide_locked_meter(site, meter, 0);
	SPI_finish();
}

static int
prepaid_meters(const Site *site, int32 account_id, int32 **meter_id)
{
	static DbQuery query = {
		"SELECT t.meter_id FROM prepay.account_meter t JOIN prepay.meter m"
		" ON m.site_id = t.site_id AND m.meter_id = t.meter_id WHERE t.site_id = $1"
		" AND t.account_id = $2 AND t.valid_from <= $3 AND t.valid_to > $3"
		" AND m.purpose = 'prepaid' AND m.prepay_mode = 'server' ORDER BY t.meter_id",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 TimestampTzGetDatum(site->now) };
	int n = db_run(&query, args);
	int i;

	*meter_id = palloc(sizeof(int32) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*meter_id)[i] = db_int32(i, 1);
	SPI_freetuptable(SPI_tuptable);
	return n;
}

/* The moment the money was used up: what grace and notice are counted from. */
static void
note_used_up(const Site *site, LevelAccount *account, bool used_up, int64 limit, bool by_backlog)
{
	static DbQuery query = {
		"UPDATE prepay.account_state SET used_up_at = $3, used_up_by_backlog = $4"
		" WHERE site_id = $1 AND account_id = $2",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, BOOLOID }
	};
	Datum args[4] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id) };

	if (used_up == (account->used_up_at != DT_NOBEGIN))
		return;
	/* Who never was above has not come down: supply waits for the first payment. */
	if (used_up && limit >= 0 && !level_was_funded(site, account->account_id, 0))
		return;
	account->used_up_at = used_up ? site->now : DT_NOBEGIN;
	account->used_up_by_backlog = used_up && by_backlog;
	args[2] = TimestampTzGetDatum(account->used_up_at);
	args[3] = BoolGetDatum(account->used_up_by_backlog);
	db_run_nulls(&query, args, used_up ? NULL : "  n ");
}

static void
protect(const Site *site, const LevelAccount *account, SupplyFacts *facts)
{
	ProtectAsk ask = { .account_id = account->account_id,
					   .used_up_at = account->used_up_at,
					   .by_backlog = account->used_up_by_backlog };

	protect_facts(site, &ask, 1, site->now, facts);
}

static void
supply_account(const Site *site, LevelAccount *account, int64 balance, bool by_backlog,
			   QuietBand *band)
{
	SupplyFacts facts = { .has_account = true,
						  .suspended = account->is_suspended,
						  .balance = balance,
						  .credit_limit = account->credit_limit };
	int64 limit;
	int32 *meter_id;
	RelayMeter *meter;
	int n = prepaid_meters(site, account->account_id, &meter_id);
	int i;

	emergency_step(site, account, balance, &facts, band);
	limit = supply_limit(facts.credit_limit, facts.emergency_credit);
	note_used_up(site, account, balance <= limit || facts.debts_due, limit, by_backlog);
	protect(site, account, &facts);
	if (n > 0)
		n = relay_lock(site, meter_id, n, &meter);
	for (i = 0; i < n; i++)
	{
		decide_meter_facts(&meter[i], site->now, &facts);
		follow(site, &meter[i], &facts, 0);
	}
	if (balance > limit)
		band->above = Max(band->above, limit);
	else
		band->below = Min(band->below, limit + 1);
	/* Each payment may be the share that gives supply. */
	if (account->used_up_at != DT_NOBEGIN && policy_set(site, site->now)->by_payment)
		band->below = Min(band->below, balance + 1);
}

QuietBand
decide_account(const Site *site, int32 account_id, int64 balance_minor, bool by_backlog)
{
	QuietBand band = { .is_set = true, .above = PG_INT64_MIN, .below = PG_INT64_MAX };
	LevelAccount account;

	/* A connection of its own gives all memory back: one statement may decide thousands. */
	connect();
	level_load(site, account_id, &account);
	level_apply(site, &account, balance_minor, &band);
	if (account.is_open || account.is_suspended)
		supply_account(site, &account, balance_minor, by_backlog, &band);
	SPI_finish();
	Assert(band.above < balance_minor && balance_minor < band.below);
	return band;
}

/*
 * The relay state a reading shows. A change that no command explains is judged in
 * relay_seen() and set right here. A meter that belongs to nobody is decided when
 * its relay is first seen.
 * A reading that is older than what is known is passed over, so that the next one that
 * shows the same must be a change again.
 */
void
decide_observed(const Site *site, int32 meter_id, bool relay_closed, TimestampTz read_at)
{
	RelayMeter *meter;

	connect();
	if (relay_lock(site, &meter_id, 1, &meter) != 1)
		elog(ERROR, "meter %d has no control row", meter_id);
	if (relay_seen(site, meter, relay_closed, read_at) && meter->is_prepaid)
	{
		RelayCause cause = { .reason = relay_closed ? "the relay was found closed"
													: "the relay was found open" };

		if (meter->desired == SIDE_NONE && meter->account_id == 0)
			decide_locked_meter(site, meter, 0);
		else
			(void) relay_follow(site, meter, &cause);
	}
	if (relay_effective(meter) == (relay_closed ? SIDE_OFF : SIDE_ON))
		relay_show(site, meter, !relay_closed);
	SPI_finish();
}

void
decide_all_later(int32 site_id)
{
	static DbQuery accounts = {
		"UPDATE prepay.account_state s SET quiet_above = NULL, quiet_below = NULL"
		" FROM (SELECT account_id FROM prepay.account_state WHERE site_id = $1"
		" AND quiet_above IS NOT NULL ORDER BY account_id FOR NO KEY UPDATE) AS l"
		" WHERE s.site_id = $1 AND s.account_id = l.account_id",
		1,
		{ INT4OID }
	};
	static DbQuery vacant = {
		"UPDATE prepay.meter_control c SET decide_at = '-infinity' WHERE c.site_id = $1"
		" AND c.meter_id IN (SELECT l.meter_id FROM prepay.meter_control l WHERE l.site_id = $1"
		" AND NOT EXISTS (SELECT FROM prepay.account_meter t WHERE t.site_id = l.site_id"
		" AND t.meter_id = l.meter_id AND t.valid_to = 'infinity')"
		" ORDER BY l.meter_id FOR NO KEY UPDATE SKIP LOCKED)",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(site_id);

	db_run(&accounts, &arg);
	db_run(&vacant, &arg);
}
