/*
 * rerate_apply.c: what follows when the books differ from what should be in them.
 */
#include "rerate.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "db.h"
#include "seal.h"
#include "tariff_store.h"

/* ---- sealed days: what is booked against what should be ---- */

static void
add_bill_line(BillVec *bill, const BillLine *line)
{
	if (bill->n == bill->capacity)
	{
		bill->capacity = Max(16, bill->capacity * 2);
		bill->item = core_realloc(bill->item, sizeof(BillLine) * bill->capacity);
	}
	bill->item[bill->n++] = *line;
}

static BillComponent
component_of(const char *name)
{
	return strcmp(name, "energy") == 0	   ? BILL_ENERGY
		   : strcmp(name, "standing") == 0 ? BILL_STANDING
										   : BILL_SURCHARGE;
}

/* What is booked for days [from, to), one line a key, with the sign turned. */
static void
subtract_booked(const Site *site, int32 account_id, int32 from, int32 to, BillVec *bill)
{
	static DbQuery query = {
		"SELECT meter_id, day - date '2000-01-01', tariff_id, version, component, item::int4,"
		" period::int4, tier::int4, sum(wh)::bigint, sum(estimated_wh)::bigint, sum(amount)"
		" FROM prepay.usage_line WHERE site_id = $1 AND account_id = $2"
		" AND day >= date '2000-01-01' + $3 AND day < date '2000-01-01' + $4"
		" GROUP BY 1, 2, 3, 4, 5, 6, 7, 8",
		4,
		{ INT4OID, INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id), Int32GetDatum(from),
					 Int32GetDatum(to) };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
	{
		BillLine line = { 0 };
		bool isnull;

		line.meter_id = db_int32(i, 1);
		line.day = db_int32(i, 2);
		line.tariff_id = db_int32(i, 3);
		line.version = db_int32(i, 4);
		line.component = component_of(db_text(i, 5));
		line.index = db_int32(i, 6);
		line.period = db_int32(i, 7);
		line.tier = db_int32(i, 8);
		line.wh = -db_int64(i, 9);
		line.estimated_wh = -db_int64(i, 10);
		line.amount = -numeric_exact(db_value(i, 11, &isnull));
		add_bill_line(bill, &line);
	}
}

/*
 * Add up lines of the same key and keep those that differ in energy or money: what is
 * marked estimated also goes by the poll interval of today, and alone mends nothing.
 */
void
rerate_fold(BillVec *bill)
{
	int kept = 0;
	int i = 0;

	if (bill->n > 1)
		qsort(bill->item, bill->n, sizeof(BillLine), usage_compare_lines);
	while (i < bill->n)
	{
		BillLine sum = bill->item[i++];

		for (; i < bill->n && usage_compare_lines(&sum, &bill->item[i]) == 0; i++)
		{
			sum.wh += bill->item[i].wh;
			sum.estimated_wh += bill->item[i].estimated_wh;
			if (!exact_add(sum.amount, bill->item[i].amount, &sum.amount))
				out_of_range("cost");
		}
		if (sum.wh != 0 || sum.amount != 0)
			bill->item[kept++] = sum;
	}
	bill->n = kept;
}

int32
rerate_opened_day(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT opened_at FROM prepay.account WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	db_run(&query, args);
	return site_local_day(site, db_time(0, 1));
}

int32
rerate_first_day(const Site *site, int32 account_id)
{
	static DbQuery query = {
		"SELECT min(valid_from) FROM prepay.account_meter WHERE site_id = $1 AND account_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };
	int32 opened = rerate_opened_day(site, account_id);
	int32 metered;

	db_run(&query, args);
	metered = site_local_day(site, db_time_or(0, 1, site->now));
	return Min(opened, metered);
}

void
rerate_standing_days(const Site *site, const Account *account, int32 opened, int32 *from_day,
					 int32 *to_day)
{
	/* A meter may have been given for a time before the account was opened. */
	*from_day = Max(*from_day, opened);
	*to_day = seal_standing_to(account, *to_day);
}

void
rerate_standing(const Site *site, const Account *account, int32 from_day, int32 to_day,
				StandingRules *rules, BillVec *bill)
{
	int32 opened;
	int32 day;

	if (from_day >= to_day || !seal_site_has_standing(site))
		return;
	opened = rules->opened ? *rules->opened : rerate_opened_day(site, account->account_id);
	rerate_standing_days(site, account, opened, &from_day, &to_day);
	for (day = from_day; day < to_day; day++)
		seal_standing_bill(site, account, rules, day, bill);
}

void
rerate_should_be(const Site *site, const Account *account, int32 from_day, int32 to_day,
				 const RerateResult *result, StandingRules *rules, BillVec *bill)
{
	int n = 0;

	while (n < result->lines.n && result->lines.item[n].day < to_day)
		n++;
	if (rate_bill(result->lines.item, n, &account->extra, &result->before, bill) != RATE_OK)
		out_of_range("cost");
	rerate_standing(site, account, from_day, to_day, rules, bill);
}

void
rerate_differences(const Site *site, const Account *account, int32 from_day,
				   const RerateResult *result, BillVec *bill)
{
	StandingRules rules = { 0 };

	rerate_should_be(site, account, from_day, account->sealed_to, result, &rules, bill);
	subtract_booked(site, account->account_id, from_day, account->sealed_to, bill);
	rerate_fold(bill);
}

static int32
first_entry_of_day(const Site *site, int32 account_id, int32 day)
{
	static DbQuery query = { "SELECT min(booked_seq) FROM prepay.usage_line WHERE site_id = $1"
							 " AND account_id = $2 AND day = date '2000-01-01' + $3",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id), Int32GetDatum(day) };

	db_run(&query, args);
	return db_int32_or(0, 1, 0);
}

static void
correct_sealed_days(RatingRun *run, Account *account, int32 from_day, const RerateResult *result)
{
	BillVec bill = { 0 };

	/* Positions at sealed_to follow from the lines before it. */
	rate_position_copy(&result->before, &account->base);
	positions_advance(&account->base, &result->lines, account->sealed_to);
	account->dirty = true;
	if (from_day >= account->sealed_to)
		return;
	rerate_differences(run->site, account, from_day, result, &bill);
	account->by_backlog |= bill.n > 0;
	if (bill.n > 0)
		seal_post(run->site, account, "correction", bill.item[0].day,
				  first_entry_of_day(run->site, account->account_id, bill.item[0].day), &bill,
				  &run->posting, &run->usage);
}

static void
replace_open_days(Account *account, const RerateResult *result)
{
	int i;
	int m;

	for (m = 0; m < account->n_meter; m++)
	{
		account->meter[m]->lines.n = 0;
		account->meter[m]->dirty = true;
	}
	account->leaving.n = 0;
	account->dirty = true;
	for (i = 0; i < result->lines.n; i++)
	{
		RateLineVec *lines = &account->leaving;

		if (result->lines.item[i].day < account->sealed_to)
			continue;
		for (m = 0; m < account->n_meter; m++)
			if (account->meter[m]->meter_id == result->lines.item[i].meter_id)
				lines = &account->meter[m]->lines;
		if (!rate_add_line(lines, &result->lines.item[i]))
			out_of_range("energy");
	}
}

static void
move_registers(Account *account, const RerateResult *result)
{
	int i;
	int m;

	for (m = 0; m < account->n_meter; m++)
		for (i = 0; i < result->n_meter; i++)
			if (result->meter[i].meter_id == account->meter[m]->meter_id &&
				result->meter[i].has_register)
			{
				account->meter[m]->has_register = true;
				account->meter[m]->last_read_at = result->meter[i].last_read_at;
				account->meter[m]->register_wh = result->meter[i].register_wh;
				if (result->meter[i].reverse_wh >= 0)
					account->meter[m]->reverse_wh = result->meter[i].reverse_wh;
			}
	account->waits_from = result->waits_from;
}

/* Readings without a tariff wait in review; those that have one now leave it. */
static void
keep_waiting_marks(const Site *site, const RerateResult *result)
{
	static DbQuery release = {
		"WITH gone AS (DELETE FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = $2"
		" AND read_at = $3 AND mark = 'waiting' RETURNING review_id)"
		"UPDATE prepay.reading_review r SET status = 'resolved', resolved_at = $4,"
		" verdict = 'accept', operator = 'prepay', note = 'a tariff is in force now'"
		" FROM gone WHERE r.site_id = $1 AND r.review_id = gone.review_id AND r.status = 'open'"
		" AND NOT EXISTS (SELECT FROM prepay.reading_mark k WHERE k.site_id = $1"
		"  AND k.meter_id = $2 AND k.review_id = r.review_id AND k.read_at <> $3)",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	int i;

	for (i = 0; i < result->n_waiting; i++)
	{
		const RerateWaiting *entry = &result->waiting[i];
		Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(entry->meter_id),
						 TimestampTzGetDatum(entry->read_at), TimestampTzGetDatum(site->now) };

		if (entry->waits)
			accept_hold(
				site, entry->meter_id, entry->read_at, entry->wh, "no_tariff", "waiting",
				"No tariff is in force for a part of the time since the last rated reading.");
		else
		{
			db_run(&release, args);
			accept_alarm_settle(site, entry->meter_id);
		}
	}
}

void
rerate_account(RatingRun *run, Account *account, int32 from_day)
{
	RerateAsk ask = { .account_id = account->account_id,
					  .extra = &account->extra,
					  .gap_us = run->gap_us };
	RerateResult result;
	int32 first;

	/* It was closed before all that can be rated anew. */
	if (account->sealed_to < run->site->kept_day)
	{
		account->pieces.n = 0;
		account->rerate_from = NO_RERATE;
		return;
	}
	/* Entries and lines of this statement must be seen by the queries below. */
	ledger_flush(&run->posting);
	usage_flush(run->site, &run->usage);
	first = rerate_first_day(run->site, account->account_id);
	from_day = Max(from_day, first);
	from_day = Min(from_day, account->sealed_to);
	ask.from_day = from_day;
	rerate_compute(run->site, &ask, &result);
	correct_sealed_days(run, account, from_day, &result);
	replace_open_days(account, &result);
	move_registers(account, &result);
	keep_waiting_marks(run->site, &result);
	account->pieces.n = 0;
	account->rerate_from = NO_RERATE;
}
