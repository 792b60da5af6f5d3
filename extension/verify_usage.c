/*
 * verify_usage.c: what is booked and open against the readings, rated anew.
 */
#include "verify_inner.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "db.h"
#include "energy.h"

static char *
day_text(int32 day)
{
	return DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(day)));
}

/* ---- open lines ---- */

static bool
same_line(const RateLine *a, const RateLine *b)
{
	return a->meter_id == b->meter_id && a->day == b->day && a->tariff_id == b->tariff_id &&
		   a->version == b->version && a->period == b->period && a->tier == b->tier;
}

static int64
line_wh(const RateLineVec *lines, const RateLine *like)
{
	int i;

	for (i = 0; i < lines->n; i++)
		if (same_line(&lines->item[i], like))
			return lines->item[i].wh;
	return 0;
}

static void
collect_open(const Account *account, RateLineVec *open)
{
	int m;
	int i;

	for (m = 0; m < account->n_meter; m++)
		for (i = 0; i < account->meter[m]->lines.n; i++)
			(void) rate_add_line(open, &account->meter[m]->lines.item[i]);
	for (i = 0; i < account->leaving.n; i++)
		(void) rate_add_line(open, &account->leaving.item[i]);
}

/* Both ways: what should be open and is not, and what is open and should not be. */
static void
check_open_lines(Verify *verify, const Account *account, const RerateResult *result)
{
	RateLineVec open = { 0 };
	RateLineVec wanted = { 0 };
	int i;

	collect_open(account, &open);
	for (i = 0; i < result->lines.n; i++)
		if (result->lines.item[i].day >= account->sealed_to)
			(void) rate_add_line(&wanted, &result->lines.item[i]);
	for (i = 0; i < wanted.n; i++)
		if (line_wh(&open, &wanted.item[i]) != wanted.item[i].wh)
			verify_fault(verify, "open_usage",
						 "meter %d, day %s: the readings give " INT64_FORMAT
						 " Wh, open are " INT64_FORMAT " Wh (period %d, tier %d)",
						 wanted.item[i].meter_id, day_text(wanted.item[i].day), wanted.item[i].wh,
						 line_wh(&open, &wanted.item[i]), wanted.item[i].period,
						 wanted.item[i].tier + 1);
	for (i = 0; i < open.n; i++)
		if (line_wh(&wanted, &open.item[i]) == 0 && open.item[i].wh != 0)
			verify_fault(verify, "open_usage",
						 "meter %d has " INT64_FORMAT " Wh open that no reading gives",
						 open.item[i].meter_id, open.item[i].wh);
}

static void
check_registers(Verify *verify, const Account *account, const RerateResult *result)
{
	int i;
	int m;

	for (m = 0; m < account->n_meter; m++)
		for (i = 0; i < result->n_meter; i++)
		{
			const Meter *meter = account->meter[m];
			const RerateMeter *wanted = &result->meter[i];

			if (wanted->meter_id == meter->meter_id && wanted->has_register &&
				(wanted->last_read_at != meter->last_read_at ||
				 wanted->register_wh != meter->register_wh))
				verify_fault(verify, "register",
							 "meter %d does not stand at its last believed reading",
							 meter->meter_id);
		}
}

/* ---- sealed lines ---- */

static void
subtract_booked(const VerifyAccount *account, int32 from_day, BillVec *bill)
{
	int i;

	bill->capacity = bill->n + account->n_line;
	bill->item = core_realloc(bill->item, sizeof(BillLine) * Max(bill->capacity, 1));
	for (i = 0; i < account->n_line; i++)
	{
		BillLine *line;

		if (account->line[i].line.day < from_day)
			continue;
		line = &bill->item[bill->n++];
		*line = account->line[i].line;
		line->wh = -line->wh;
		line->estimated_wh = -line->estimated_wh;
		line->amount = -line->amount;
	}
}

static void
check_sealed_lines(Verify *verify, const VerifyBatch *batch, const VerifyAccount *account,
				   int32 from_day, const RerateResult *result)
{
	StandingRules rules = { .history = &batch->history, .opened = &account->whole.opened };
	BillVec bill = { 0 };
	int i;

	rerate_should_be(verify->site, account->state, from_day, account->state->sealed_to, result,
					 &rules, &bill);
	subtract_booked(account, verify->site->kept_day, &bill);
	rerate_fold(&bill);
	for (i = 0; i < bill.n; i++)
	{
		char text[EXACT_TEXT_MAX];

		exact_format(bill.item[i].amount, text);
		verify_fault(verify, "sealed_usage",
					 "meter %d, day %s: rated anew from the readings it differs by " INT64_FORMAT
					 " Wh, %s %s",
					 bill.item[i].meter_id, day_text(bill.item[i].day), bill.item[i].wh, text,
					 verify->site->currency);
	}
}

static int32
first_day(const Verify *verify, const VerifyBatch *batch, const VerifyAccount *account)
{
	const Term *term;
	int n = history_terms(&batch->history, account->account_id, &term);
	int32 day = Min(account->whole.opened, account->state->sealed_to);
	int i;

	for (i = 0; i < n; i++)
		day = Min(day, site_local_day(verify->site, term[i].from));
	return day;
}

void
verify_usage(Verify *verify, const VerifyBatch *batch, const VerifyAccount *account)
{
	RerateAsk ask = { .account_id = account->account_id,
					  .extra = &account->state->extra,
					  .from_day = first_day(verify, batch, account),
					  .gap_us = verify->gap_us,
					  .history = &batch->history,
					  .whole = &account->whole };
	RerateResult result;

	if (account->is_queued)
		return;
	/* What is sealed before that day is proven by its entries, and tells the tier positions. */
	if (ask.from_day < verify->site->kept_day)
	{
		ask.from_day = verify->site->kept_day;
		ask.whole = NULL;
	}
	rerate_compute(verify->site, &ask, &result);
	check_sealed_lines(verify, batch, account, ask.from_day, &result);
	check_open_lines(verify, account->state, &result);
	check_registers(verify, account->state, &result);
}

/* ---- energy ---- */

/* A time in which a meter belonged to an account, of all accounts. */
typedef struct Owned
{
	int32 meter_id;
	int32 account_id;
	TimestampTz from;
	TimestampTz to;
	bool is_queued;
} Owned;

static Owned *
load_owned(const Verify *verify, const History *history, int *n)
{
	static DbQuery query = {
		"SELECT o.meter_id, o.account_id, o.valid_from, o.valid_to, EXISTS (SELECT"
		"  FROM prepay.rerate_queue q WHERE q.site_id = $1 AND q.account_id = o.account_id)"
		" FROM prepay.account_meter o WHERE o.site_id = $1 AND o.meter_id = ANY ($2)"
		" ORDER BY o.meter_id, o.valid_from",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	int32 *meter_id = palloc(sizeof(int32) * Max(history->n_meter, 1));
	Datum args[] = { Int32GetDatum(verify->site->site_id), (Datum) 0 };
	Owned *owned;
	int i;

	for (i = 0; i < history->n_meter; i++)
		meter_id[i] = history->meter[i].meter_id;
	args[1] = db_array_int32(meter_id, history->n_meter);
	*n = db_run(&query, args);
	owned = palloc(sizeof(Owned) * Max(*n, 1));
	for (i = 0; i < *n; i++)
		owned[i] = (Owned){ .meter_id = db_int32(i, 1),
							.account_id = db_int32(i, 2),
							.from = db_time(i, 3),
							.to = db_time(i, 4),
							.is_queued = db_bool(i, 5) };
	return owned;
}

/* Energy the readings show for times when the meter belonged to an account. */
static int64
owned_energy(const MeterHistory *meter, const Owned *owned, int n)
{
	EnergyPart *part = palloc(sizeof(EnergyPart) * (meter->n_cut + 1));
	const Believed *last = NULL;
	int64 wh = 0;
	int i;
	int p;
	int o;

	for (i = 0; i < meter->n; i++)
	{
		const Believed *reading = &meter->reading[i];
		int parts;

		/* What waits for a tariff settles nothing yet. */
		if (reading->held || reading->was_waiting)
			continue;
		parts = last ? history_parts(meter, last, reading, part) : 0;
		for (p = 0; p < parts; p++)
			for (o = 0; o < n; o++)
				if (part[p].from >= owned[o].from && part[p].from < owned[o].to)
					wh += part[p].wh;
		last = reading;
	}
	pfree(part);
	return wh;
}

/* What an account of the batch is charged for a meter. */
static int64
charged_here(const VerifyAccount *account, int32 meter_id)
{
	RateLineVec open = { 0 };
	int64 wh = 0;
	int i;

	for (i = 0; i < account->n_line; i++)
		if (account->line[i].line.meter_id == meter_id &&
			account->line[i].line.component == BILL_ENERGY)
			wh += account->line[i].line.wh;
	collect_open(account->state, &open);
	for (i = 0; i < open.n; i++)
		if (open.item[i].meter_id == meter_id)
			wh += open.item[i].wh;
	core_free(open.item);
	return wh;
}

/* The same of all accounts the meter ever belonged to. */
static int64
charged_anywhere(const Verify *verify, int32 meter_id)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(u.wh), 0)::bigint FROM prepay.usage_line_all u WHERE u.site_id = $1"
		" AND u.account_id = ANY (ARRAY(SELECT o.account_id FROM prepay.account_meter o"
		"  WHERE o.site_id = $1 AND o.meter_id = $2)) AND u.meter_id = $2"
		" AND u.component = 'energy'",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(meter_id) };

	db_run(&query, args);
	return db_int64(0, 1);
}

/* n times of one meter, told with the lowest of its accounts, or the one that is looked at. */
static void
check_meter(Verify *verify, VerifyBatch *batch, const MeterHistory *meter, const Owned *owned,
			int n)
{
	VerifyAccount *account;
	int32 account_id = owned[0].account_id;
	bool several = false;
	int64 charged;
	int64 moved;
	int i;

	for (i = 0; i < n; i++)
	{
		/* Not all of what it moved is there to be added up; its lines are rated anew. */
		if (owned[i].is_queued || owned[i].from < verify->site->kept_from)
			return;
		several |= owned[i].account_id != account_id;
		if (verify->is_whole ? owned[i].account_id < account_id
							 : verify_find(batch, owned[i].account_id) != NULL)
			account_id = owned[i].account_id;
	}
	account = verify_find(batch, account_id);
	if (account == NULL || account->state == NULL)
		return;
	verify->account_code = account->code;
	moved = owned_energy(meter, owned, n);
	charged = several ? charged_anywhere(verify, meter->meter_id)
					  : charged_here(account, meter->meter_id);
	if (charged != moved)
		verify_fault(verify, "energy",
					 "meter %d: its register moved " INT64_FORMAT
					 " Wh while it belonged to an account, " INT64_FORMAT " Wh are charged",
					 meter->meter_id, moved, charged);
}

void
verify_energy(Verify *verify, VerifyBatch *batch)
{
	int n;
	Owned *owned = load_owned(verify, &batch->history, &n);
	int begin;
	int end;

	for (begin = 0; begin < n; begin = end)
	{
		for (end = begin; end < n && owned[end].meter_id == owned[begin].meter_id; end++)
			;
		check_meter(verify, batch, history_meter(&batch->history, owned[begin].meter_id),
					&owned[begin], end - begin);
	}
}
