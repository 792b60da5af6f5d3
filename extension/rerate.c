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
#include "tou.h"

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
	TouMap tou;
} Facts;

typedef struct Believed
{
	TimestampTz read_at;
	int64 wh;
	int64 reverse_wh;	 /* -1: not read */
	int64 reverse_known; /* the last one read up to here; -1: none */
	bool is_baseline;
	bool was_waiting;
	TouRegisters tou;
} Believed;

typedef struct MeterHistory
{
	int n_facts;
	Facts *facts;
	int n;
	Believed *reading;
} MeterHistory;

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
		" reverse_energy = 'add', period_names, period_step_kwh FROM prepay.meter_term"
		" WHERE site_id = $1 AND meter_id = $2 ORDER BY valid_from",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	Datum names;
	bool isnull;
	int i;

	history->n_facts = db_run(&query, args);
	history->facts = palloc(sizeof(Facts) * Max(history->n_facts, 1));
	for (i = 0; i < history->n_facts; i++)
	{
		history->facts[i].from = db_time(i, 1);
		history->facts[i].ratio_e6 = db_int64(i, 2);
		history->facts[i].register_max_wh = db_int64_or(i, 3, 0);
		history->facts[i].reverse_add = db_bool(i, 4);
		names = db_value(i, 5, &isnull);
		history->facts[i].tou = isnull ? (TouMap){ 0 } : tou_map(names, db_value(i, 6, &isnull));
	}
}

/* Believed readings from the last one at or before `from` to the first one at or after `to`. */
static void
load_readings(const Site *site, int32 meter_id, TimestampTz from, TimestampTz to,
			  MeterHistory *history)
{
	static DbQuery query = {
		"SELECT r.read_at, r.register_wh, r.reverse_wh, r.mark IS NOT DISTINCT FROM 'baseline',"
		" r.mark IS NOT DISTINCT FROM 'waiting', r.period_kwh FROM prepay.reading_believed r"
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
	Datum registers;
	bool isnull;
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
		registers = db_value(i, 6, &isnull);
		reading->tou = isnull ? (TouRegisters){ 0 } : tou_registers(registers);
	}
}

/* The last reverse register read before a time; -1: none. */
static int64
reverse_before(const Site *site, int32 meter_id, TimestampTz read_at)
{
	static DbQuery query = {
		"SELECT r.reverse_wh FROM prepay.reading_believed r WHERE r.site_id = $1"
		" AND r.meter_id = $2 AND r.read_at < $3 AND r.reverse_wh >= 0"
		" AND r.mark IS DISTINCT FROM 'waiting' ORDER BY r.read_at DESC LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(read_at) };

	return db_run(&query, args) == 1 ? db_int64(0, 1) : -1;
}

/*
 * A meter may leave its reverse register out now and then: what it moved by since it
 * was last read then belongs to the interval at whose end it is read again.
 */
static void
carry_reverse(const Site *site, int32 meter_id, MeterHistory *history)
{
	int64 known = -1;
	int i;

	for (i = 0; i < history->n; i++)
	{
		Believed *reading = &history->reading[i];

		if (reading->reverse_wh >= 0 || reading->is_baseline)
			known = reading->reverse_wh;
		else if (i == 0)
			known = reverse_before(site, meter_id, reading->read_at);
		reading->reverse_known = known;
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
		TimestampTz at = i < history->n_facts	 ? history->facts[i].from
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

#define MAX_CUTS 64

/* Shares of a whole by elapsed time. */
static void
share_by_time(int64 whole, const TimestampTz *edge, int parts, int64_t *share)
{
	int64_t elapsed[MAX_CUTS + 1];
	int i;

	for (i = 0; i < parts; i++)
		elapsed[i] = edge[i + 1] - edge[i];
	(void) rate_share(whole, elapsed, parts, share);
}

typedef struct IntervalWork
{
	const Site *site;
	const Term *term;
	const MeterHistory *history;
	const TariffRules *rules;
	const Tariff *draft; /* holds throughout instead of what is in force; NULL: none */
	int64 gap_us;
	RatePieceVec *pieces;
} IntervalWork;

/* What flowed between two instants without a change of the meter's facts or owner. */
typedef struct Flow
{
	TimestampTz from;
	TimestampTz to;
	int64 forward;	/* Wh by the forward register */
	int64 reverse;	/* Wh by the reverse register that count */
	bool estimated; /* marks energy that has to be shared by time */
	const TouMap *tou;
	const int64 *moved; /* by the time-of-use registers; NULL: not told */
} Flow;

/* The meter's own time-of-use registers tell the periods of all tariffs of the flow apart. */
static bool
flow_by_period(const Flow *flow, const RateSpan *span, int n, int64_t *by_period)
{
	int i;

	if (flow->moved == NULL || !tou_matters(span, n))
		return false;
	/* The first one last: by_period goes by the periods of its tariff. */
	for (i = n - 1; i >= 0; i--)
		if (span[i].tariff == NULL ||
			!tou_share(flow->tou, flow->moved, span[i].tariff, flow->forward, by_period))
			return false;
	return true;
}

static RateResult
flow_pieces(const IntervalWork *work, const Flow *flow)
{
	RateSpan drafted = { .from = flow->from, .to = flow->to, .tariff = work->draft };
	RateSpan *span = &drafted;
	int32 meter_id = work->term->meter_id;
	const CalZone *zone = work->site->zone;
	int64_t by_period[TARIFF_MAX_PERIODS];
	int64_t lacking;
	int64 by_time = flow->forward + flow->reverse;
	int n = 1;

	if (work->draft == NULL)
		n = tariff_spans(work->site, work->rules, flow->from, flow->to, &span);
	if (flow_by_period(flow, span, n, by_period))
	{
		RateResult result = rate_split_periods(zone, span, n, meter_id, flow->from, flow->to,
											   by_period, flow->estimated, work->pieces, &lacking);

		if (result != RATE_OK || flow->reverse == 0)
			return result;
		by_time = flow->reverse;
	}
	return rate_split(zone, span, n, meter_id, flow->from, flow->to, by_time, flow->estimated,
					  work->pieces, &lacking);
}

/* Pieces of the energy between two neighbouring believed readings, the owner's part only. */
static RateResult
interval_pieces(const IntervalWork *work, const Believed *from, const Believed *to)
{
	TimestampTz edge[MAX_CUTS + 2];
	int64 share[MAX_CUTS + 1];
	int64 reverse_share[MAX_CUTS + 1];
	int64 wh = to->wh - from->wh;
	int64 reverse =
		from->reverse_known >= 0 && to->reverse_wh >= 0 ? to->reverse_wh - from->reverse_known : 0;
	int64 at_wh = from->wh;
	int64 at_reverse = from->reverse_known;
	int64 *moved = NULL;
	int parts;
	int i;

	if (to->is_baseline)
		return RATE_OK;
	if (wh < 0)
		wh += facts_at(work->history, to->read_at)->register_max_wh;
	edge[0] = from->read_at;
	parts =
		cut_points(work->history, work->term, from->read_at, to->read_at, edge + 1, MAX_CUTS) + 1;
	edge[parts] = to->read_at;
	share_by_time(Max(wh, 0), edge, parts, share);
	share_by_time(Max(reverse, 0), edge, parts, reverse_share);
	for (i = 0; i < parts; i++)
	{
		const Facts *facts = facts_at(work->history, edge[i]);
		Flow flow = { .from = edge[i],
					  .to = edge[i + 1],
					  .estimated = to->read_at - from->read_at > work->gap_us,
					  .tou = &facts->tou };
		RateResult result;

		flow.forward = scaled(at_wh + share[i], facts->ratio_e6) - scaled(at_wh, facts->ratio_e6);
		if (facts->reverse_add && reverse_share[i] > 0)
			flow.reverse = scaled(at_reverse + reverse_share[i], facts->ratio_e6) -
						   scaled(at_reverse, facts->ratio_e6);
		at_wh += share[i];
		at_reverse += reverse_share[i];
		if (edge[i] < work->term->from || edge[i] >= work->term->to)
			continue;
		/* Registers read at the ends say nothing of the parts of an interval that was cut. */
		if (parts == 1 && facts->tou.n > 0 && to->tou.n > 0)
		{
			moved = palloc(sizeof(int64) * facts->tou.n);
			if (tou_moved(&facts->tou, &from->tou, &to->tou, wh, facts->register_max_wh, moved))
				flow.moved = moved;
		}
		result = flow_pieces(work, &flow);
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
		result->waiting =
			core_realloc(result->waiting, sizeof(RerateWaiting) * result->waiting_room);
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
	result->meter[result->n_meter].reverse_wh = -1;
	return &result->meter[result->n_meter++];
}

static void
term_pieces(const Site *site, const RerateAsk *ask, const Term *term, TimestampTz from,
			RatePieceVec *pieces, RerateResult *result)
{
	MeterHistory history = { 0 };
	TariffRules rules = tariff_rules(site, term->meter_id, ask->account_id);
	IntervalWork work = { site, term, &history, &rules, ask->draft, ask->gap_us, pieces };
	RerateMeter *meter = result_meter(result, term->meter_id);
	const Believed *last = NULL;
	int i;

	load_facts(site, term->meter_id, &history);
	load_readings(site, term->meter_id, Max(from, term->from), term->to, &history);
	carry_reverse(site, term->meter_id, &history);
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
open_positions(const Site *site, int32 account_id, const RatePieceVec *pieces, int32 from_day,
			   RatePositionVec *positions)
{
	int i;

	for (i = 0; i < pieces->n; i++)
	{
		const RatePiece *piece = &pieces->item[i];

		if (!rate_position_is_open(positions, piece->tariff_id, piece->accum_start,
								   piece->accum_end))
			usage_open_period(site, account_id, from_day, piece, positions);
	}
}

void
rerate_compute(const Site *site, const RerateAsk *ask, RerateResult *result)
{
	TimestampTz from = cal_day_start(site->zone, ask->from_day);
	RatePieceVec pieces = { 0 };
	RatePositionVec positions = { 0 };
	Term *term;
	int n;
	int i;

	memset(result, 0, sizeof(*result));
	n = load_terms(site, ask->account_id, from, &term);
	for (i = 0; i < n; i++)
		term_pieces(site, ask, &term[i], from, &pieces, result);
	drop_pieces_before(&pieces, ask->from_day);
	rate_sort(&pieces);
	open_positions(site, ask->account_id, &pieces, ask->from_day, &result->before);
	rate_position_copy(&result->before, &positions);
	if (rate_walk(pieces.item, pieces.n, ask->extra, &positions, &result->lines, ask->trace,
				  ask->context) != RATE_OK)
		out_of_range("energy");
	lines_sort(&result->lines);
}
