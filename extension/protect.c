/*
 * protect.c: what forbids a cut of accounts whose money is used up.
 *
 * The same code serves the decision of now (one account, in the transaction that moved
 * its balance), supply_decision() at any moment and supply_rehearsal() over a site, so
 * what is rehearsed is what happens. Policies (policy.c) are pure functions of an
 * account's PolicyFacts and of a time; this file gathers those facts, for the conditions
 * that some policy has, and finds when the last protection will have gone: the chain of
 * "holds until" is followed from policy to policy until a time at which none holds.
 *
 * Partial payment is a function of the ledger alone: the first payment since the
 * crossing with which the sum paid came to its share of what was owed before starts the
 * days of supply, so small change does not prolong them.
 */
#include "protect.h"

#include "utils/builtins.h"

#include "db.h"
#include "money.h"
#include "policy.h"

#define MAX_CHAIN 1000

typedef struct ProtectRow
{
	PolicyFacts policy;
	char *load_class;
	int n_place;
	int32 *place_id; /* of the account's place and those above it that policies name */
} ProtectRow;

char *
protect_time_text(const Site *site, TimestampTz at)
{
	CalLocal local;
	int year;
	int month;
	int mday;

	if (TIMESTAMP_NOT_FINITE(at))
		return pstrdup("further notice");
	cal_local(site->zone, at, &local);
	cal_civil(local.day, &year, &month, &mday);
	return psprintf("%04d-%02d-%02d %02d:%02d", year, month, mday,
					(int) (local.us / (60 * CAL_MIN_US)), (int) (local.us / CAL_MIN_US % 60));
}

static bool
is_used_up(const SupplyFacts *facts)
{
	return facts->has_account &&
		   (facts->debts_due ||
			facts->balance <= supply_limit(facts->credit_limit, facts->emergency_credit));
}

/* ---- facts, for many accounts at once ---- */

static int
find(const int32 *account_id, int n, int32 wanted)
{
	int low = 0;

	while (n > 0)
	{
		int half = n / 2;

		if (account_id[low + half] < wanted)
		{
			low += half + 1;
			n -= half + 1;
		}
		else
			n = half;
	}
	return low;
}

static void
load_class_and_read(const Site *site, const Datum *args, const int32 *account_id, int n,
					ProtectRow *row)
{
	static DbQuery query = {
		"SELECT a.account_id, a.load_class, (SELECT max(ms.last_read_at)"
		" FROM prepay.account_meter t JOIN prepay.meter_state ms ON ms.site_id = t.site_id"
		" AND ms.meter_id = t.meter_id WHERE t.site_id = a.site_id AND t.account_id = a.account_id"
		" AND t.valid_from <= $3 AND t.valid_to > $3) FROM prepay.account a"
		" WHERE a.site_id = $1 AND a.account_id = ANY ($2)",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	int rows = db_run(&query, args);

	while (rows-- > 0)
	{
		ProtectRow *r = &row[find(account_id, n, db_int32(rows, 1))];

		r->load_class = db_text(rows, 2);
		r->policy.last_read_at = db_time_or(rows, 3, DT_NOBEGIN);
	}
	SPI_freetuptable(SPI_tuptable);
}

/*
 * The customer's messages of the crossing; those to the site's own phones do not count.
 * While none has gone out, the time it was written stands for it.
 */
static void
load_notices(const Site *site, const Datum *args, const int32 *account_id, int n, ProtectRow *row)
{
	static DbQuery query = {
		"SELECT s.account_id, COALESCE(min(m.state_at) FILTER (WHERE m.state IN ('sent',"
		" 'delivered')), min(m.created_at)), min(m.state_at) FILTER (WHERE m.state = 'delivered')"
		" FROM prepay.account_state s JOIN prepay.notification m ON m.site_id = s.site_id"
		" AND m.account_id = s.account_id AND m.template = 'arrears'"
		" AND m.created_at >= s.used_up_at WHERE s.site_id = $1 AND s.account_id = ANY ($2)"
		" AND m.recipient = 'customer' GROUP BY s.account_id",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	int rows = db_run(&query, args);

	while (rows-- > 0)
	{
		PolicyFacts *policy = &row[find(account_id, n, db_int32(rows, 1))].policy;

		policy->notice_at = db_time_or(rows, 2, DT_NOBEGIN);
		policy->delivered_at = db_time_or(rows, 3, DT_NOBEGIN);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* Places above that some policy names; an account without a place has its meter's. */
static void
load_places(const Site *site, const Datum *args, const int32 *account_id, int n, ProtectRow *row)
{
	static DbQuery query = {
		"WITH RECURSIVE base AS MATERIALIZED (SELECT a.account_id, COALESCE(a.place_id,"
		" (SELECT min(m.place_id) FROM prepay.account_meter t JOIN prepay.meter m"
		"  ON m.site_id = t.site_id AND m.meter_id = t.meter_id WHERE t.site_id = a.site_id"
		"  AND t.account_id = a.account_id AND t.valid_from <= $3 AND t.valid_to > $3)) AS place_id"
		" FROM prepay.account a WHERE a.site_id = $1 AND a.account_id = ANY ($2)),"
		" up AS (SELECT DISTINCT place_id AS start, place_id FROM base WHERE place_id IS NOT NULL"
		" UNION SELECT u.start, p.parent_id FROM up u JOIN prepay.place p ON p.site_id = $1"
		" AND p.place_id = u.place_id WHERE p.parent_id IS NOT NULL)"
		" SELECT b.account_id, array_agg(u.place_id) FROM base b JOIN up u ON u.start = b.place_id"
		" WHERE EXISTS (SELECT FROM prepay.supply_policy p WHERE p.site_id = $1 AND p.active"
		"  AND p.place_id = u.place_id) GROUP BY b.account_id",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID }
	};
	int rows = db_run(&query, args);

	while (rows-- > 0)
	{
		ProtectRow *r = &row[find(account_id, n, db_int32(rows, 1))];
		bool isnull;
		Datum *place;
		int i;

		deconstruct_array(DatumGetArrayTypeP(db_value(rows, 2, &isnull)), INT4OID, sizeof(int32),
						  true, TYPALIGN_INT, &place, NULL, &r->n_place);
		r->place_id = palloc(sizeof(int32) * r->n_place);
		for (i = 0; i < r->n_place; i++)
			r->place_id[i] = DatumGetInt32(place[i]);
	}
	SPI_freetuptable(SPI_tuptable);
}

/* ---- judgement ---- */

static bool
is_for(const Policy *policy, int32 account_id, const ProtectRow *row)
{
	int i;

	if (policy->account_id != 0)
		return policy->account_id == account_id;
	if (policy->load_class)
		return row->load_class && strcmp(policy->load_class, row->load_class) == 0;
	if (policy->place_id == 0)
		return true;
	for (i = 0; i < row->n_place; i++)
		if (row->place_id[i] == policy->place_id)
			return true;
	return false;
}

/* The first time from `at` on at which a policy (NULL: no policy at all) does not hold. */
static TimestampTz
free_from(const Site *site, const PolicySet *set, const Policy *only, int32 account_id,
		  const ProtectRow *row, TimestampTz at)
{
	int step;

	for (step = 0; step < MAX_CHAIN && !TIMESTAMP_NOT_FINITE(at); step++)
	{
		TimestampTz end = at;
		TimestampTz until;
		int i;

		for (i = 0; i < set->n; i++)
			if ((only == NULL || only == &set->item[i]) && is_for(&set->item[i], account_id, row) &&
				policy_holds(site, set, &set->item[i], &row->policy, at, &until))
				end = Max(end, until);
		if (only == NULL && policy_backlog_holds(set, &row->policy, at, &until))
			end = Max(end, until);
		if (end == at)
			return at;
		at = end;
	}
	return at;
}

static void
add(SupplyFacts *facts, char *name)
{
	if (facts->n_protections < SUPPLY_MAX_PROTECTIONS)
		facts->protection[facts->n_protections++] = name;
}

static char *
describe(const Site *site, const Policy *policy, const PolicyFacts *facts, TimestampTz until)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "policy %s", policy->code);
	if (policy->has_window)
		appendStringInfoString(&text, ", no-cut time");
	if (policy->grace_us != 0)
		appendStringInfo(&text, ", grace since %s", protect_time_text(site, facts->used_up_at));
	if (policy->notice)
		appendStringInfoString(&text, ", notice not delivered");
	if (policy->stale_us != 0)
		appendStringInfo(&text, ", last read %s", protect_time_text(site, facts->last_read_at));
	if (policy->dispute)
		appendStringInfoString(&text, ", dispute");
	appendStringInfo(&text, ", until %s", protect_time_text(site, until));
	return text.data;
}

static void
judge(const Site *site, const PolicySet *set, const ProtectAsk *ask, const ProtectRow *row,
	  TimestampTz moment, SupplyFacts *facts)
{
	TimestampTz until;
	int i;

	for (i = 0; i < set->n; i++)
	{
		const Policy *policy = &set->item[i];

		if (!is_for(policy, ask->account_id, row) ||
			!policy_holds(site, set, policy, &row->policy, moment, &until))
			continue;
		add(facts, describe(site, policy, &row->policy,
							free_from(site, set, policy, ask->account_id, row, moment)));
		facts->hold_may_end |= policy->notice || policy->stale_us != 0;
	}
	if (policy_backlog_holds(set, &row->policy, moment, &until))
		add(facts, psprintf("grace after a crossing by backlog or correction, until %s",
							protect_time_text(site, until)));
	if (facts->n_protections > 0)
		facts->hold_until = free_from(site, set, NULL, ask->account_id, row, moment);
}

/* When the sum paid since the crossing first was this share of what had been owed. */
static TimestampTz
paid_share_at(const Site *site, const ProtectAsk *ask, const SupplyFacts *facts, int64 share_e6)
{
	static DbQuery query = {
		"SELECT min(p.booked_at) FROM (SELECT e.booked_at, sum(e.amount) OVER (ORDER BY e.seq)"
		" AS paid, COALESCE(k.balance, e.balance_after) AS balance FROM prepay.ledger_entry e"
		" LEFT JOIN prepay.posting k ON k.site_id = e.site_id AND k.key = e.key"
		" WHERE e.site_id = $1 AND e.account_id = $2 AND e.kind = 'sale' AND e.booked_at >= $3"
		" AND NOT EXISTS (SELECT FROM prepay.ledger_entry r WHERE r.site_id = e.site_id"
		" AND r.account_id = e.account_id AND r.kind = 'reversal' AND r.ref_seq = e.seq)) AS p"
		" WHERE p.paid * 100000000 >= $4 * (p.paid + greatest($5 - p.balance, 0))",
		5,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT8OID, NUMERICOID }
	};
	char limit[MONEY_TEXT_MAX];
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(ask->account_id),
					 TimestampTzGetDatum(ask->used_up_at), Int64GetDatum(share_e6), (Datum) 0 };
	TimestampTz at;

	minor_format(supply_limit(facts->credit_limit, facts->emergency_credit), site->decimals, limit);
	args[4] = numeric_from_text(limit);
	db_run(&query, args);
	at = db_time_or(0, 1, DT_NOBEGIN);
	SPI_freetuptable(SPI_tuptable);
	return at;
}

static void
judge_payment(const Site *site, const PolicySet *set, const ProtectAsk *ask, const ProtectRow *row,
			  TimestampTz moment, SupplyFacts *facts)
{
	int i;

	if (ask->used_up_at == DT_NOBEGIN)
		return;
	for (i = 0; i < set->n; i++)
	{
		const Policy *policy = &set->item[i];
		TimestampTz paid_at;
		TimestampTz until;

		if (policy->reconnect_e6 == 0 || moment < policy->valid_from ||
			moment >= policy->valid_to || !is_for(policy, ask->account_id, row))
			continue;
		paid_at = paid_share_at(site, ask, facts, policy->reconnect_e6);
		until = paid_at + policy->reconnect_days * USECS_PER_DAY;
		if (paid_at == DT_NOBEGIN || moment >= until)
			continue;
		facts->reconnected =
			psprintf("policy %s, part of the arrears paid %s, until %s", policy->code,
					 protect_time_text(site, paid_at), protect_time_text(site, until));
		facts->hold_until = Max(facts->hold_until, until);
	}
}

void
protect_facts(const Site *site, const ProtectAsk *ask, int n, TimestampTz moment,
			  SupplyFacts *facts)
{
	const PolicySet *set = policy_set(site, moment);
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	ProtectRow *row = palloc0(sizeof(ProtectRow) * Max(n, 1));
	bool backlog = false;
	bool any = false;
	Datum args[3];
	int i;

	for (i = 0; i < n; i++)
	{
		account_id[i] = ask[i].account_id;
		row[i].policy.used_up_at = ask[i].used_up_at;
		row[i].policy.by_backlog = ask[i].by_backlog;
		row[i].policy.notice_at = DT_NOBEGIN;
		row[i].policy.delivered_at = DT_NOBEGIN;
		row[i].policy.last_read_at = DT_NOBEGIN;
		facts[i].hold_until = DT_NOBEGIN;
		any |= is_used_up(&facts[i]);
		backlog |= ask[i].by_backlog && set->grace_us > 0;
	}
	if (!any || (set->n == 0 && !backlog))
		return;
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(account_id, n);
	args[2] = TimestampTzGetDatum(site->now);
	load_class_and_read(site, args, account_id, n, row);
	if (set->by_notice || backlog)
		load_notices(site, args, account_id, n, row);
	if (set->by_place)
		load_places(site, args, account_id, n, row);
	for (i = 0; i < n; i++)
	{
		if (!is_used_up(&facts[i]))
			continue;
		judge(site, set, &ask[i], &row[i], moment, &facts[i]);
		if (set->by_payment)
			judge_payment(site, set, &ask[i], &row[i], moment, &facts[i]);
	}
}
