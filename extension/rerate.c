/*
 * rerate.c: an account's usage computed from its readings, and what follows when
 * that differs from what stands in the books.
 *
 * This is the definition of the charge: terms (which meter belonged to the account
 * when), believed readings, dated facts of the meters and tariffs in force go in,
 * lines come out; the order in which anything arrived does not exist here. The
 * fast way of rating.c is a shortcut to the same lines.
 *
 * Applying it
 *   days before sealed_to: lines in usage_line never change; the difference is
 *     added as further lines, booked today, under one correction entry that
 *     points at the entry of the first day it mends;
 *   later days: open lines are replaced.
 * The walk always starts at the begin of a local day. Every accumulation period
 * starts there too, so the tier positions at that moment follow from the sealed
 * lines before it.
 */
#include "rerate.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "db.h"
#include "seal.h"
#include "tariff_store.h"

/* A meter that belonged to the account for a time. */
typedef struct Term
{
	int32 meter_id;
	TimestampTz from;
	TimestampTz to;
} Term;

/* Ratio, modulus and reverse rule of a meter from a time on. */
typedef struct Facts
{
	TimestampTz from;
	int64 ratio_e6;
	int64 register_max_wh;
	bool reverse_add;
} Facts;

typedef struct Believed
{
	TimestampTz read_at;
	int64 wh;
	int64 reverse_wh;	/* -1: not read */
	bool is_baseline;
	bool was_waiting;
} Believed;

typedef struct MeterHistory
{
	int n_facts;
	Facts *facts;
	int n;
	Believed *reading;
} MeterHistory;

static void
out_of_range(const char *what)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("%s out of range", what)));
}

static int
load_terms(const Site *site, int32 account_id, TimestampTz from, Term **terms)
{
	static DbQuery query = {
		"SELECT a.meter_id, a.valid_from, a.valid_to FROM prepay.account_meter a"
		" JOIN prepay.meter m USING (site_id, meter_id)"
		" WHERE a.site_id = $1 AND a.account_id = $2 AND a.valid_to > $3"
		" AND a.valid_from < a.valid_to AND m.purpose = 'prepaid'"
		" ORDER BY a.meter_id, a.valid_from",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 TimestampTzGetDatum(from) };
	int n = db_run(&query, args);
	int i;

	*terms = palloc(sizeof(Term) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		(*terms)[i].meter_id = db_int32(i, 1);
		(*terms)[i].from = db_time(i, 2);
		(*terms)[i].to = db_time(i, 3);
	}
	return n;
}

static void
load_facts(const Site *site, int32 meter_id, MeterHistory *history)
{
	static DbQuery query = {
		"SELECT valid_from, (ratio * 1000000)::bigint, (register_max * 1000)::bigint,"
		" reverse_energy = 'add' FROM prepay.meter_term"
		" WHERE site_id = $1 AND meter_id = $2 ORDER BY valid_from",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	int i;

	history->n_facts = db_run(&query, args);
	history->facts = palloc(sizeof(Facts) * Max(history->n_facts, 1));
	for (i = 0; i < history->n_facts; i++)
	{
		history->facts[i].from = db_time(i, 1);
		history->facts[i].ratio_e6 = db_int64(i, 2);
		history->facts[i].register_max_wh = db_int64_or(i, 3, 0);
		history->facts[i].reverse_add = db_bool(i, 4);
	}
}

/* Believed readings from the last one at or before `from` to the first one at or after `to`. */
static void
load_readings(const Site *site, int32 meter_id, TimestampTz from, TimestampTz to,
			  MeterHistory *history)
{
	static DbQuery query = {
		"SELECT r.read_at, r.register_wh, r.reverse_wh, r.mark IS NOT DISTINCT FROM 'baseline',"
		" r.mark IS NOT DISTINCT FROM 'waiting' FROM prepay.reading_believed r"
		" WHERE r.site_id = $1 AND r.meter_id = $2"
		" AND r.read_at >= COALESCE((SELECT p.read_at FROM prepay.reading_believed p"
		"  WHERE p.site_id = $1 AND p.meter_id = $2 AND p.read_at <= $3"
		"  AND p.mark IS DISTINCT FROM 'waiting' ORDER BY p.read_at DESC LIMIT 1), '-infinity')"
		" AND r.read_at <= COALESCE((SELECT p.read_at FROM prepay.reading_believed p"
		"  WHERE p.site_id = $1 AND p.meter_id = $2 AND p.read_at >= $4"
		"  AND p.mark IS DISTINCT FROM 'waiting' ORDER BY p.read_at LIMIT 1), 'infinity')"
		" ORDER BY r.read_at",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(from), TimestampTzGetDatum(to) };
	int i;

	history->n = db_run(&query, args);
	history->reading = palloc(sizeof(Believed) * Max(history->n, 1));
	for (i = 0; i < history->n; i++)
	{
		Believed *reading = &history->reading[i];

		reading->read_at = db_time(i, 1);
		reading->wh = db_int64(i, 2);
		reading->reverse_wh = db_int64(i, 3);
		reading->is_baseline = db_bool(i, 4);
		reading->was_waiting = db_bool(i, 5);
	}
}

static const Facts *
facts_at(const MeterHistory *history, TimestampTz instant)
{
	int i = history->n_facts - 1;

	while (i > 0 && history->facts[i].from > instant)
		i--;
	return &history->facts[i];
}

static int64
scaled(int64 register_wh, int64 ratio_e6)
{
	int64 wh;

	if (!div_round_half_away((__int128) register_wh * ratio_e6, 1000000, &wh))
		out_of_range("energy");
	return wh;
}

/* Instants inside (from, to) at which the ratio or the owner changes; ascending, at most `room`. */
static int
cut_points(const MeterHistory *history, const Term *term, TimestampTz from, TimestampTz to,
		   TimestampTz *cut, int room)
{
	int n = 0;
	int i;
	int k;

	for (i = 0; i < history->n_facts + 2; i++)
	{
		TimestampTz at = i < history->n_facts ? history->facts[i].from
						 : i == history->n_facts ? term->from
												 : term->to;

		if (at <= from || at >= to)
			continue;
		if (n == room)
			elog(ERROR, "too many changes of a meter in one interval");
		for (k = n; k > 0 && cut[k - 1] > at; k--)
			cut[k] = cut[k - 1];
		if (k > 0 && cut[k - 1] == at)
			continue;
		cut[k] = at;
		n++;
	}
	return n;
}

/* Shares of a whole by elapsed time: largest remainder, the earlier part first on a tie. */
static void
share_by_time(int64 whole, const TimestampTz *edge, int parts, int64 *share)
{
	__int128 total = edge[parts] - edge[0];
	int64 left = whole;
	int i;

	for (i = 0; i < parts; i++)
	{
		share[i] = (int64) ((__int128) whole * (edge[i + 1] - edge[i]) / total);
		left -= share[i];
	}
	while (left > 0)
	{
		__int128 best = -1;
		int best_i = 0;

		for (i = 0; i < parts; i++)
		{
			__int128 remainder = (__int128) whole * (edge[i + 1] - edge[i]) - (__int128) share[i] * total;

			if (remainder > best)
			{
				best = remainder;
				best_i = i;
			}
		}
		share[best_i]++;
		left--;
	}
}

typedef struct IntervalWork
{
	const Site *site;
	const Term *term;
	const MeterHistory *history;
	const TariffRules *rules;
	int64 gap_us;
	RatePieceVec *pieces;
} IntervalWork;

#define MAX_CUTS 64

/* Pieces of the energy between two neighbouring believed readings, the owner's part only. */
static RateResult
interval_pieces(const IntervalWork *work, const Believed *from, const Believed *to)
{
	TimestampTz edge[MAX_CUTS + 2];
	int64 share[MAX_CUTS + 1];
	int64 reverse_share[MAX_CUTS + 1];
	int64 wh = to->wh - from->wh;
	int64 reverse = from->reverse_wh >= 0 && to->reverse_wh >= 0 ? to->reverse_wh - from->reverse_wh : 0;
	int64 at_wh = from->wh;
	int64 at_reverse = from->reverse_wh;
	int parts;
	int i;

	if (to->is_baseline)
		return RATE_OK;
	if (wh < 0)
		wh += facts_at(work->history, to->read_at)->register_max_wh;
	edge[0] = from->read_at;
	parts = cut_points(work->history, work->term, from->read_at, to->read_at, edge + 1, MAX_CUTS) + 1;
	edge[parts] = to->read_at;
	share_by_time(Max(wh, 0), edge, parts, share);
	share_by_time(Max(reverse, 0), edge, parts, reverse_share);
	for (i = 0; i < parts; i++)
	{
		const Facts *facts = facts_at(work->history, edge[i]);
		int64 energy = scaled(at_wh + share[i], facts->ratio_e6) - scaled(at_wh, facts->ratio_e6);
		RateSpan *span;
		int64_t lacking;
		int n;
		RateResult result;

		if (facts->reverse_add && reverse_share[i] > 0)
			energy += scaled(at_reverse + reverse_share[i], facts->ratio_e6) -
					  scaled(at_reverse, facts->ratio_e6);
		at_wh += share[i];
		at_reverse += reverse_share[i];
		if (edge[i] < work->term->from || edge[i] >= work->term->to)
			continue;
		n = tariff_spans(work->site, work->rules, edge[i], edge[i + 1], &span);
		result = rate_split(work->site->zone, span, n, work->term->meter_id, edge[i], edge[i + 1],
							energy, to->read_at - from->read_at > work->gap_us, work->pieces,
							&lacking);
		if (result != RATE_OK)
			return result;
	}
	return RATE_OK;
}

static void
note_waiting(RerateResult *result, int32 meter_id, const Believed *reading, bool waits)
{
	RerateWaiting *entry;

	if (waits == reading->was_waiting)
		return;
	if (result->n_waiting == result->waiting_room)
	{
		result->waiting_room = Max(8, result->waiting_room * 2);
		result->waiting = core_realloc(result->waiting, sizeof(RerateWaiting) * result->waiting_room);
	}
	entry = &result->waiting[result->n_waiting++];
	entry->meter_id = meter_id;
	entry->read_at = reading->read_at;
	entry->wh = reading->wh;
	entry->waits = waits;
}

static RerateMeter *
result_meter(RerateResult *result, int32 meter_id)
{
	int i;

	for (i = 0; i < result->n_meter; i++)
		if (result->meter[i].meter_id == meter_id)
			return &result->meter[i];
	result->meter = core_realloc(result->meter, sizeof(RerateMeter) * (result->n_meter + 1));
	memset(&result->meter[result->n_meter], 0, sizeof(RerateMeter));
	result->meter[result->n_meter].meter_id = meter_id;
	return &result->meter[result->n_meter++];
}

static void
term_pieces(const Site *site, int32 account_id, const Term *term, TimestampTz from, int64 gap_us,
			RatePieceVec *pieces, RerateResult *result)
{
	MeterHistory history = { 0 };
	TariffRules rules = tariff_rules(site, term->meter_id, account_id);
	IntervalWork work = { site, term, &history, &rules, gap_us, pieces };
	RerateMeter *meter = result_meter(result, term->meter_id);
	const Believed *last = NULL;
	int i;

	load_facts(site, term->meter_id, &history);
	load_readings(site, term->meter_id, Max(from, term->from), term->to, &history);
	for (i = 0; i < history.n; i++)
	{
		const Believed *reading = &history.reading[i];
		int before = pieces->n;

		if (last)
		{
			RateResult split = interval_pieces(&work, last, reading);

			if (split == RATE_OVERFLOW)
				out_of_range("energy");
			note_waiting(result, term->meter_id, reading, split == RATE_NO_TARIFF);
			if (split == RATE_NO_TARIFF)
			{
				pieces->n = before;
				continue;
			}
		}
		last = reading;
	}
	if (last == NULL)
		return;
	meter->has_register = true;
	meter->last_read_at = last->read_at;
	meter->register_wh = last->wh;
	for (i = 0; i < history.n && history.reading[i].read_at <= last->read_at; i++)
		if (history.reading[i].reverse_wh >= 0)
			meter->reverse_wh = history.reading[i].reverse_wh;
	/* What a meter used until it left is known once it was read at or after that moment. */
	if (term->to != DT_NOEND && last->read_at < term->to)
	{
		int32 day = site_local_day(site, last->read_at);

		if (result->waits_from == 0 || day < result->waits_from)
			result->waits_from = day;
	}
}

static void
drop_pieces_before(RatePieceVec *pieces, int32 day)
{
	int kept = 0;
	int i;

	for (i = 0; i < pieces->n; i++)
		if (pieces->item[i].day >= day)
			pieces->item[kept++] = pieces->item[i];
	pieces->n = kept;
}

/* Positions at the start of from_day for every period the pieces fall into. */
static void
seed_positions(const Site *site, int32 account_id, const RatePieceVec *pieces, int32 from_day,
			   RatePositionVec *positions)
{
	int i;

	for (i = 0; i < pieces->n; i++)
	{
		const RatePiece *piece = &pieces->item[i];
		int before = positions->n;
		RatePosition seed = { .tariff_id = piece->tariff_id, .accum_start = piece->accum_start };

		(void) rate_position(positions, piece->tariff_id, piece->accum_start);
		if (positions->n == before || piece->accum_start > from_day)
			continue;
		usage_position(site, account_id, from_day, &seed, piece->tariff);
		*rate_position(positions, seed.tariff_id, seed.accum_start) = seed;
	}
}

static void
copy_positions(const RatePositionVec *from, RatePositionVec *to)
{
	int i;

	for (i = 0; i < from->n; i++)
		*rate_position(to, from->item[i].tariff_id, from->item[i].accum_start) = from->item[i];
}

void
rerate_compute(const Site *site, int32 account_id, int64 tier_extra_wh, int32 from_day, int64 gap_us,
			   RateTrace trace, void *context, RerateResult *result)
{
	TimestampTz from = cal_day_start(site->zone, from_day);
	RatePieceVec pieces = { 0 };
	RatePositionVec positions = { 0 };
	Term *term;
	int n;
	int i;

	memset(result, 0, sizeof(*result));
	n = load_terms(site, account_id, from, &term);
	for (i = 0; i < n; i++)
		term_pieces(site, account_id, &term[i], from, gap_us, &pieces, result);
	drop_pieces_before(&pieces, from_day);
	rate_sort(&pieces);
	seed_positions(site, account_id, &pieces, from_day, &positions);
	copy_positions(&positions, &result->before);
	if (rate_walk(pieces.item, pieces.n, tier_extra_wh, &positions, &result->lines, trace,
				  context) != RATE_OK)
		out_of_range("energy");
	lines_sort(&result->lines);
}

/* ---- sealed days: what is booked against what should be ---- */

static int
compare_bill(const void *a, const void *b)
{
	const BillLine *x = a;
	const BillLine *y = b;

#define ORDER(field)                                                                               \
	if (x->field != y->field)                                                                      \
	return x->field < y->field ? -1 : 1
	ORDER(day);
	ORDER(meter_id);
	ORDER(tariff_id);
	ORDER(version);
	ORDER(component);
	ORDER(index);
	ORDER(period);
	ORDER(tier);
#undef ORDER
	return 0;
}

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

/* Add up lines of the same key and keep those that are not nothing. */
static void
fold(BillVec *bill)
{
	int kept = 0;
	int i = 0;

	if (bill->n > 1)
		qsort(bill->item, bill->n, sizeof(BillLine), compare_bill);
	while (i < bill->n)
	{
		BillLine sum = bill->item[i++];

		for (; i < bill->n && compare_bill(&sum, &bill->item[i]) == 0; i++)
		{
			sum.wh += bill->item[i].wh;
			sum.estimated_wh += bill->item[i].estimated_wh;
			if (!exact_add(sum.amount, bill->item[i].amount, &sum.amount))
				out_of_range("cost");
		}
		if (sum.wh != 0 || sum.amount != 0 || sum.estimated_wh != 0)
			bill->item[kept++] = sum;
	}
	bill->n = kept;
}

void
rerate_should_be(const Site *site, const Account *account, int32 from_day, int32 to_day,
				 const RerateResult *result, BillVec *bill)
{
	int n = 0;
	int32 day;

	while (n < result->lines.n && result->lines.item[n].day < to_day)
		n++;
	if (rate_bill(result->lines.item, n, account->tier_extra_wh, &result->before, bill) != RATE_OK)
		out_of_range("cost");
	if (seal_site_has_standing(site))
	{
		TariffRules rules = tariff_rules(site, account->n_meter ? account->meter[0]->meter_id : 0,
										 account->account_id);

		for (day = from_day; day < to_day; day++)
			seal_standing_bill(site, account, &rules, day, bill);
	}
}

void
rerate_differences(const Site *site, const Account *account, int32 from_day,
				   const RerateResult *result, BillVec *bill)
{
	rerate_should_be(site, account, from_day, account->sealed_to, result, bill);
	subtract_booked(site, account->account_id, from_day, account->sealed_to, bill);
	fold(bill);
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
	int i;

	/* Positions at sealed_to follow from the lines before it. */
	copy_positions(&result->before, &account->base);
	account->dirty = true;
	if (from_day >= account->sealed_to)
		return;
	rerate_differences(run->site, account, from_day, result, &bill);
	if (bill.n > 0)
		seal_post(run->site, account, "correction", bill.item[0].day,
				  first_entry_of_day(run->site, account->account_id, bill.item[0].day), &bill,
				  &run->posting, &run->usage);
	for (i = 0; i < result->lines.n && result->lines.item[i].day < account->sealed_to; i++)
	{
		const RateLine *line = &result->lines.item[i];
		RatePosition *position;

		if (line->accum_end <= account->sealed_to)
			continue;
		position = rate_position(&account->base, line->tariff_id, line->accum_start);
		position->wh += line->wh;
		position->by_period[line->period] += line->wh;
	}
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
			accept_hold(site, entry->meter_id, entry->read_at, entry->wh, "no_tariff", "waiting",
						"No tariff is in force for a part of the time since the last rated reading.");
		else
			db_run(&release, args);
	}
}

void
rerate_account(RatingRun *run, Account *account, int32 from_day)
{
	static DbQuery opened = {
		"SELECT min(valid_from) FROM prepay.account_meter WHERE site_id = $1 AND account_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(run->site->site_id), Int32GetDatum(account->account_id) };
	TimestampTz first;
	RerateResult result;

	/* Entries and lines of this statement must be seen by the queries below. */
	ledger_flush(&run->posting);
	usage_flush(run->site, &run->usage);
	db_run(&opened, args);
	first = db_time_or(0, 1, run->site->now);
	from_day = Max(from_day, site_local_day(run->site, first));
	from_day = Min(from_day, account->sealed_to);
	rerate_compute(run->site, account->account_id, account->tier_extra_wh, from_day, run->gap_us,
				   NULL, NULL, &result);
	correct_sealed_days(run, account, from_day, &result);
	replace_open_days(account, &result);
	move_registers(account, &result);
	keep_waiting_marks(run->site, &result);
	account->pieces.n = 0;
	account->rerate_from = NO_RERATE;
}
