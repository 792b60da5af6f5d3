#include "seal.h"

#include "storage/proc.h"
#include "utils/builtins.h"

#include "db.h"
#include "tariff_store.h"

int32
seal_ready_to(const Site *site, const Account *account)
{
	int32 ready = site->today;
	int i;

	if (account->is_closed)
		return account->sealed_to;
	for (i = 0; i < account->n_meter; i++)
	{
		const Meter *meter = account->meter[i];

		if (!meter->has_register)
			return account->sealed_to;
		ready = Min(ready, site_local_day(site, meter->last_read_at));
	}
	if (account->waits_from != 0)
		ready = Min(ready, account->waits_from);
	return Max(ready, account->sealed_to);
}

/* Lines of one day move from an open list to `day_lines`. */
static bool
take_day(RateLineVec *open, int32 day, RateLineVec *day_lines)
{
	int kept = 0;
	int i;

	for (i = 0; i < open->n; i++)
	{
		if (open->item[i].day > day)
		{
			open->item[kept++] = open->item[i];
			continue;
		}
		if (!rate_add_line(day_lines, &open->item[i]))
			out_of_range("energy");
	}
	if (kept == open->n)
		return false;
	open->n = kept;
	return true;
}

static void
add_amount(Exact *sum, Exact amount)
{
	if (!exact_add(*sum, amount, sum))
		out_of_range("cost");
}

/* -(round(S') - round(S)), and S := S'. */
static int64
move_sealed(const Site *site, Account *account, Exact cost)
{
	int64 before;
	int64 after;

	if (!exact_to_minor(account->sealed, site->decimals, &before))
		elog(ERROR, "sealed cost out of range");
	add_amount(&account->sealed, cost);
	if (!exact_to_minor(account->sealed, site->decimals, &after))
		out_of_range("cost");
	return before - after;
}

void
seal_post(const Site *site, Account *account, const char *kind, int32 day, int32 ref_seq,
		  const BillVec *bill, Posting *posting, UsageBatch *usage)
{
	LedgerEntry entry = { .kind = kind, .day = day, .ref_seq = ref_seq };
	uint8 lines[DIGEST_BYTES];
	Exact cost = 0;
	int32 seq;
	int i;

	if (bill->n == 0)
		return;
	for (i = 0; i < bill->n; i++)
		add_amount(&cost, bill->item[i].amount);
	entry.amount_minor = move_sealed(site, account, cost);
	usage_digest(bill->item, bill->n, site->today, lines);
	entry.usage = lines;
	seq = ledger_post(posting, account, &entry);
	for (i = 0; i < bill->n; i++)
		usage_add(usage, account->account_id, &bill->item[i], seq);
}

/*
 * Supply was off all day: the day has readings that saw the relay open and none
 * that saw it closed. A fact of the readings, so that it rates the same for ever.
 */
static bool
cut_all_day(const Site *site, const Account *account, int32 day)
{
	static DbQuery query = {
		"SELECT bool_or(NOT r.relay_closed) AND NOT bool_or(r.relay_closed)"
		" FROM prepay.account_meter a JOIN prepay.reading r USING (site_id, meter_id)"
		" WHERE a.site_id = $1 AND a.account_id = $2 AND r.read_at >= $3 AND r.read_at < $4"
		" AND r.read_at >= a.valid_from AND r.read_at < a.valid_to",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id),
					 TimestampTzGetDatum(cal_day_start(site->zone, day)),
					 TimestampTzGetDatum(cal_day_start(site->zone, day + 1)) };

	return db_run(&query, args) == 1 && db_bool(0, 1);
}

static bool
accrues_only_on(const Tariff *tariff)
{
	int i;

	for (i = 0; i < tariff->n_standing; i++)
		if (!tariff->standing[i].while_off)
			return true;
	return false;
}

/* A fact of the day: meters that come or go later change nothing of it. 0: the account had none. */
static int32
first_meter_of_day(const Site *site, const Account *account, int32 day)
{
	static DbQuery query = {
		"SELECT o.meter_id FROM prepay.account_meter o JOIN prepay.meter m"
		" USING (site_id, meter_id) WHERE o.site_id = $1 AND o.account_id = $2"
		" AND o.valid_from < $4 AND o.valid_to > $3 AND o.valid_from < o.valid_to"
		" AND m.purpose = 'prepaid' ORDER BY greatest(o.valid_from, $3), o.meter_id LIMIT 1",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id),
					 TimestampTzGetDatum(cal_day_start(site->zone, day)),
					 TimestampTzGetDatum(cal_day_start(site->zone, day + 1)) };

	return db_run(&query, args) == 1 ? db_int32(0, 1) : 0;
}

void
seal_standing_bill(const Site *site, const Account *account, StandingRules *rules, int32 day,
				   BillVec *bill)
{
	TimestampTz begin = cal_day_start(site->zone, day);
	TimestampTz end = cal_day_start(site->zone, day + 1);
	const History *history = rules->history;
	int32 meter_id = history ? history_first_meter(history, account->account_id, begin, end)
							 : first_meter_of_day(site, account, day);
	StandingDay kind = STANDING_SUPPLIED;
	RateSpan *span;

	if (!rules->is_known || rules->meter_id != meter_id)
	{
		rules->is_known = true;
		rules->meter_id = meter_id;
		rules->rules = tariff_rules(site, meter_id, account->account_id);
	}
	/* The tariff in force when the day begins bears its standing charges. */
	tariff_spans(site, &rules->rules, begin, begin + 1, &span);
	if (span[0].tariff == NULL || span[0].tariff->n_standing == 0)
		return;
	if (cal_day_is_skipped(site->zone, day))
		kind = STANDING_SKIPPED;
	else if (accrues_only_on(span[0].tariff) &&
			 (history ? history_shows_cut(history, account->account_id, begin, end)
					  : cut_all_day(site, account, day)))
		kind = STANDING_CUT;
	if (rate_standing(span[0].tariff, span[0].tariff_id, span[0].version, day, kind, bill) !=
		RATE_OK)
		out_of_range("cost");
}

static void
seal_energy(const Site *site, Account *account, int32 day, Posting *posting, UsageBatch *usage)
{
	RateLineVec lines = { 0 };
	BillVec bill = { 0 };
	int i;

	for (i = 0; i < account->n_meter; i++)
		if (take_day(&account->meter[i]->lines, day, &lines))
			account->meter[i]->dirty = true;
	take_day(&account->leaving, day, &lines);
	if (lines.n == 0)
		return;
	lines_sort(&lines);
	if (rate_bill(lines.item, lines.n, &account->extra, &account->base, &bill) != RATE_OK)
		out_of_range("cost");
	seal_post(site, account, "consumption", day, 0, &bill, posting, usage);
	positions_advance(&account->base, &lines, day + 1);
	core_free(lines.item);
	core_free(bill.item);
}

/* Whether any tariff of the site has standing charges: asked once a transaction. */
bool
seal_site_has_standing(const Site *site)
{
	static DbQuery query = { "SELECT EXISTS (SELECT FROM prepay.tariff_version"
							 " WHERE site_id = $1 AND definition ? 'standing')",
							 1,
							 { INT4OID } };
	static LocalTransactionId known_lxid = InvalidLocalTransactionId;
	static int32 known_site = 0;
	static int64 known_revision = 0;
	static bool known = false;
	Datum arg = Int32GetDatum(site->site_id);

	if (known_lxid != MyProc->lxid || known_site != site->site_id ||
		known_revision != site->revision)
	{
		db_run(&query, &arg);
		known = db_bool(0, 1);
		known_lxid = MyProc->lxid;
		known_site = site->site_id;
		known_revision = site->revision;
	}
	return known;
}

void
seal_days(const Site *site, Account *account, int32 to, Posting *posting, UsageBatch *usage)
{
	StandingRules rules = { 0 };
	bool has_standing;
	int32 day;

	if (to <= account->sealed_to)
		return;
	has_standing = seal_site_has_standing(site);
	for (day = account->sealed_to; day < to; day++)
	{
		seal_energy(site, account, day, posting, usage);
		if (has_standing)
		{
			BillVec bill = { 0 };

			seal_standing_bill(site, account, &rules, day, &bill);
			seal_post(site, account, "standing", day, 0, &bill, posting, usage);
		}
	}
	account->sealed_to = to;
	account->dirty = true;
}

void
seal_close(const Site *site, Account *account, Posting *posting, UsageBatch *usage)
{
	seal_days(site, account, site->today, posting, usage);
	/* The last day bears its energy, no standing charge. */
	seal_energy(site, account, site->today, posting, usage);
	account->sealed_to = Max(account->sealed_to, site->today + 1);
	account->waits_from = 0;
	account->dirty = true;
}

int32
seal_standing_to(const Account *account, int32 to_day)
{
	return account->is_closed ? Min(to_day, account->sealed_to - 1) : to_day;
}
