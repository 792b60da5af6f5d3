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
#include "retention.h"
#include "seal.h"
#include "tariff_store.h"

typedef struct IntervalWork
{
	const Site *site;
	const Term *term;
	const MeterHistory *history;
	const RateSpan *span; /* in force, from before the interval at hand on */
	int n_span;
	bool is_draft; /* a draft holds for every account */
	int64 gap_us;
	EnergyPart *part; /* room for the parts of an interval */
	RatePieceVec *pieces;
} IntervalWork;

static RateResult
part_pieces(const IntervalWork *work, const EnergyPart *part, bool estimated)
{
	const RateSpan *span = work->span;
	const RateSpan *end = work->span + work->n_span;
	int64_t lacking;
	int n = 1;

	for (; span + 1 < end && span->to <= part->from; span++)
		;
	for (; span + n < end && span[n].from < part->to; n++)
		;
	return tou_split(work->site->zone, span, n, work->term->meter_id, part, estimated, work->pieces,
					 &lacking);
}

/* Whether another account's part of an interval lacks a tariff: its reading waits for all. */
static bool
other_part_waits(const IntervalWork *work, const EnergyPart *part)
{
	static DbQuery query = {
		"SELECT account_id FROM prepay.account_meter WHERE site_id = $1 AND meter_id = $2"
		" AND valid_from <= $3 AND valid_to > $3",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(work->site->site_id), Int32GetDatum(work->term->meter_id),
					 TimestampTzGetDatum(part->from) };
	TariffRules rules;
	RateSpan *span;
	int n;

	if (work->is_draft || part->wh == 0 || db_run(&query, args) == 0)
		return false;
	rules = tariff_rules(work->site, work->term->meter_id, db_int32(0, 1));
	n = tariff_spans(work->site, &rules, part->from, part->to, &span);
	while (n > 0 && span[n - 1].tariff)
		n--;
	return n > 0;
}

/* Pieces of the energy between two neighbouring believed readings, the owner's part only. */
static RateResult
interval_pieces(const IntervalWork *work, const Believed *from, const Believed *to)
{
	const EnergyPart *part = work->part;
	int parts = history_parts(work->history, from, to, work->part);
	bool estimated = to->read_at - from->read_at > work->gap_us;
	int i;

	for (i = 0; i < parts; i++)
	{
		int first = work->pieces->n;
		RateResult result;

		if (part[i].from < work->term->from || part[i].from >= work->term->to)
		{
			if (other_part_waits(work, &part[i]))
				return RATE_NO_TARIFF;
			continue;
		}
		result = part_pieces(work, &part[i], estimated);
		if (result != RATE_OK)
			return result;
		/* A part of a gap is an estimate even where it is one piece. */
		for (; estimated && parts > 1 && first < work->pieces->n; first++)
			work->pieces->item[first].estimated = true;
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

static TimestampTz
ask_until(const RerateAsk *ask)
{
	return ask->until == 0 ? DT_NOEND : ask->until;
}

/* What is in force for a meter of the account over [from, to). */
static int
spans_in_force(const Site *site, const RerateAsk *ask, int32 meter_id, TimestampTz from,
			   TimestampTz to, RateSpan **span)
{
	TariffRules rules;

	if (ask->draft == NULL)
	{
		rules = tariff_rules(site, meter_id, ask->account_id);
		return tariff_spans(site, &rules, from, to, span);
	}
	*span = palloc0(sizeof(RateSpan));
	(*span)->from = from;
	(*span)->to = to;
	(*span)->tariff = ask->draft;
	return 1;
}

/* Where the meter stands after its last rated reading, and whether more is to come. */
static void
note_register(const Site *site, const Term *term, const MeterHistory *history, int begin,
			  const Believed *last, RerateResult *result)
{
	RerateMeter *meter = result_meter(result, term->meter_id);
	const Believed *reading;

	meter->has_register = true;
	meter->last_read_at = last->read_at;
	meter->register_wh = last->wh;
	for (reading = &history->reading[begin]; reading <= last; reading++)
		if (reading->reverse_wh >= 0 && !reading->held)
			meter->reverse_wh = reading->reverse_wh;
	/* What a meter used until it left is known once it was read at or after that moment. */
	if (term->to != DT_NOEND && last->read_at < term->to)
	{
		int32 day = site_local_day(site, last->read_at);

		if (result->waits_from == 0 || day < result->waits_from)
			result->waits_from = day;
	}
}

static void
term_pieces(const Site *site, const RerateAsk *ask, const History *all, const Term *term,
			TimestampTz from, RatePieceVec *pieces, RerateResult *result)
{
	const MeterHistory *history = history_meter(all, term->meter_id);
	IntervalWork work = { .site = site,
						  .term = term,
						  .history = history,
						  .is_draft = ask->draft != NULL,
						  .gap_us = ask->gap_us,
						  .pieces = pieces };
	RerateInterval interval = { .meter_id = term->meter_id,
								.term_from = term->from,
								.term_to = term->to };
	RateSpan *span;
	const Believed *last = NULL;
	int begin;
	int end;
	int i;

	(void) result_meter(result, term->meter_id);
	history_range(history, Max(from, term->from), Min(term->to, ask_until(ask)), &begin, &end);
	if (begin == end)
		return;
	work.n_span = spans_in_force(site, ask, term->meter_id, history->reading[begin].read_at,
								 history->reading[end - 1].read_at, &span);
	work.span = span;
	work.part = palloc(sizeof(EnergyPart) * (history->n_cut + 1));
	for (i = begin; i < end; i++)
	{
		const Believed *reading = &history->reading[i];
		int before = pieces->n;
		RateResult split;

		if (reading->held)
			continue;
		if (last == NULL)
		{
			last = reading;
			interval.is_first = reading->read_at > Max(from, term->from);
			continue;
		}
		for (; work.n_span > 1 && work.span->to <= last->read_at; work.n_span--)
			work.span++;
		split = interval_pieces(&work, last, reading);
		if (split == RATE_OVERFLOW)
			out_of_range("energy");
		note_waiting(result, term->meter_id, reading, split == RATE_NO_TARIFF);
		interval.from = last;
		interval.to = reading;
		interval.waits = split == RATE_NO_TARIFF;
		if (ask->interval)
			ask->interval(ask->context, &interval);
		if (interval.waits)
		{
			pieces->n = before;
			continue;
		}
		last = reading;
		interval.is_first = false;
	}
	if (last)
		note_register(site, term, history, begin, last, result);
	pfree(work.part);
	pfree(span);
}

/* What begins before the first day, or at or after the end, is not asked for. */
static void
drop_pieces_outside(RatePieceVec *pieces, int32 from_day, TimestampTz until)
{
	int kept = 0;
	int i;

	for (i = 0; i < pieces->n; i++)
		if (pieces->item[i].day >= from_day && pieces->item[i].from < until)
			pieces->item[kept++] = pieces->item[i];
	pieces->n = kept;
}

/* Positions at the start of from_day for every period the pieces fall into. */
static void
open_positions(const Site *site, const RerateAsk *ask, const RatePieceVec *pieces,
			   RatePositionVec *positions)
{
	const RerateWhole *whole = ask->whole;
	int i;

	for (i = 0; i < pieces->n; i++)
	{
		const RatePiece *piece = &pieces->item[i];

		if (rate_position_is_open(positions, piece->tariff_id, piece->accum_start,
								  piece->accum_end))
			continue;
		if (whole == NULL)
			usage_open_period(site, ask->account_id, ask->from_day, piece, positions);
		else
			rate_position_open(positions, piece->tariff_id, piece->accum_start, piece->accum_end,
							   piece->tariff)
				->wh += whole->opened >= piece->accum_start && whole->opened < piece->accum_end
							? whole->brought_wh
							: 0;
	}
}

void
rerate_compute(const Site *site, const RerateAsk *ask, RerateResult *result)
{
	TimestampTz from = cal_day_start(site->zone, ask->from_day);
	RatePieceVec pieces = { 0 };
	RatePositionVec positions = { 0 };
	History own;
	const History *history = ask->history;
	const Term *term;
	int n;
	int i;

	memset(result, 0, sizeof(*result));
	if (history == NULL)
	{
		history_load(site, &ask->account_id, 1, from, ask_until(ask), &own);
		history = &own;
	}
	n = history_terms(history, ask->account_id, &term);
	for (i = 0; i < n; i++)
		if (term[i].to > from && term[i].from < Min(site->kept_from, ask_until(ask)))
			retention_require(site, from, "rating anew");
	for (i = 0; i < n; i++)
		if (term[i].to > from && term[i].from < ask_until(ask))
			term_pieces(site, ask, history, &term[i], from, &pieces, result);
	drop_pieces_outside(&pieces, ask->from_day, ask_until(ask));
	rate_sort(&pieces);
	open_positions(site, ask, &pieces, &result->before);
	rate_position_copy(&result->before, &positions);
	if (rate_walk(pieces.item, pieces.n, ask->extra, &positions, &result->lines, ask->trace,
				  ask->context) != RATE_OK)
		out_of_range("energy");
	lines_sort(&result->lines);
}
