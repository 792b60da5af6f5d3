/*
 * history_parts.c: what a history that is loaded tells of an account, a time, an interval.
 */
#include "history.h"

#include "amount.h"

int
history_terms(const History *history, int32 account_id, const Term **term)
{
	int begin = 0;
	int high = history->n_term;
	int end;

	while (begin < high)
	{
		int middle = begin + (high - begin) / 2;

		if (history->term[middle].account_id < account_id)
			begin = middle + 1;
		else
			high = middle;
	}
	for (end = begin; end < history->n_term && history->term[end].account_id == account_id; end++)
		;
	*term = &history->term[begin];
	return end - begin;
}

/* Number of readings before a time. */
static int
readings_before(const MeterHistory *meter, TimestampTz time)
{
	int low = 0;
	int high = meter->n;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (meter->reading[middle].read_at < time)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool
counts(const Believed *reading)
{
	return !reading->held && !reading->was_waiting;
}

void
history_range(const MeterHistory *meter, TimestampTz from, TimestampTz to, int *begin, int *end)
{
	int first = readings_before(meter, from);
	int last = readings_before(meter, to);

	if (first == meter->n || meter->reading[first].read_at != from ||
		!counts(&meter->reading[first]))
		for (first--; first >= 0 && !counts(&meter->reading[first]); first--)
			;
	while (last < meter->n && !counts(&meter->reading[last]))
		last++;
	*begin = Max(first, 0);
	*end = Min(last + 1, meter->n);
}

const Believed *
history_reading_at(const MeterHistory *meter, TimestampTz time)
{
	const Believed *found = NULL;
	int i;

	for (i = 0; i < meter->n; i++)
	{
		if (found && meter->reading[i].read_at > time)
			break;
		if (counts(&meter->reading[i]))
			found = &meter->reading[i];
	}
	return found;
}

int32
history_first_meter(const History *history, int32 account_id, TimestampTz from, TimestampTz to)
{
	const Term *term;
	const Term *first = NULL;
	int n = history_terms(history, account_id, &term);
	int i;

	/* Terms go by meter. */
	for (i = 0; i < n; i++)
		if (term[i].from < to && term[i].to > from &&
			(first == NULL || Max(term[i].from, from) < Max(first->from, from)))
			first = &term[i];
	return first ? first->meter_id : 0;
}

bool
history_shows_cut(const History *history, int32 account_id, TimestampTz from, TimestampTz to)
{
	const Term *term;
	int n = history_terms(history, account_id, &term);
	bool open = false;
	int i;
	int k;

	for (i = 0; i < n; i++)
	{
		const MeterHistory *meter = history_meter(history, term[i].meter_id);
		TimestampTz end = Min(to, term[i].to);
		TimestampTz begin = Max(from, term[i].from);

		for (k = readings_before(meter, begin); k < meter->n && meter->reading[k].read_at < end;
			 k++)
			if (meter->reading[k].relay_closed == 1)
				return false;
			else if (meter->reading[k].relay_closed == 0)
				open = true;
	}
	return open;
}

const MeterFacts *
history_facts(const MeterHistory *meter, TimestampTz instant)
{
	int i = meter->n_facts - 1;

	while (i > 0 && meter->facts[i].from > instant)
		i--;
	return &meter->facts[i];
}

static int64
scaled(int64 register_wh, int64 ratio_e6)
{
	int64 wh = register_wh;

	if (ratio_e6 != 1000000 &&
		!div_round_half_away((__int128) register_wh * ratio_e6, 1000000, &wh))
		out_of_range("energy");
	return wh;
}

/* Shares of a whole by elapsed time. */
static void
share_by_time(int64 whole, const EnergyPart *part, int n, int64_t *share)
{
	int64_t *elapsed;
	int i;

	share[0] = whole;
	if (n == 1)
		return;
	elapsed = palloc(sizeof(int64_t) * n);
	for (i = 0; i < n; i++)
		elapsed[i] = part[i].to - part[i].from;
	(void) rate_share(whole, elapsed, n, share);
	pfree(elapsed);
}

static int
cut_interval(const MeterHistory *meter, TimestampTz from, TimestampTz to, EnergyPart *part)
{
	int n = 1;
	int i;

	part[0].from = from;
	for (i = 0; i < meter->n_cut; i++)
	{
		if (meter->cut[i] <= from || meter->cut[i] >= to)
			continue;
		part[n - 1].to = meter->cut[i];
		part[n++].from = meter->cut[i];
	}
	part[n - 1].to = to;
	return n;
}

/* Registers read at its ends tell of an interval that was not cut. */
static void
tell_periods(const Believed *from, const Believed *to, int64 wh, const MeterFacts *facts,
			 EnergyPart *part)
{
	int64 *moved;

	if (facts->tou.n == 0 || from->tou.n == 0 || to->tou.n == 0)
		return;
	moved = palloc(sizeof(int64) * facts->tou.n);
	if (!tou_moved(&facts->tou, &from->tou, &to->tou, wh, facts->register_max_wh, moved))
		return;
	part->tou = &facts->tou;
	part->moved = moved;
}

/* What the registers moved by in each part, as energy; they stood at `at` and reverse_at before. */
static void
scale_parts(const MeterHistory *meter, int64 at, const int64_t *share, int64 reverse_at,
			const int64_t *reverse_share, EnergyPart *part, int n)
{
	int i;

	for (i = 0; i < n; i++)
	{
		const MeterFacts *facts = history_facts(meter, part[i].from);

		part[i].tou = NULL;
		part[i].moved = NULL;
		part[i].reverse_wh = 0;
		if (facts->reverse_add && reverse_share[i] > 0)
			part[i].reverse_wh = scaled(reverse_at + reverse_share[i], facts->ratio_e6) -
								 scaled(reverse_at, facts->ratio_e6);
		part[i].wh = scaled(at + share[i], facts->ratio_e6) - scaled(at, facts->ratio_e6) +
					 part[i].reverse_wh;
		at += share[i];
		reverse_at += reverse_share[i];
	}
}

int
history_parts(const MeterHistory *meter, const Believed *from, const Believed *to, EnergyPart *part)
{
	int64 wh = to->wh - from->wh;
	int64 reverse =
		from->reverse_known >= 0 && to->reverse_wh >= 0 ? to->reverse_wh - from->reverse_known : 0;
	int64_t few[2];
	int64_t *share = few;
	int n;

	if (to->is_baseline)
		return 0;
	if (wh < 0)
		wh += history_facts(meter, to->read_at)->register_max_wh;
	n = cut_interval(meter, from->read_at, to->read_at, part);
	if (n > 1)
		share = palloc(sizeof(int64_t) * n * 2);
	share_by_time(Max(wh, 0), part, n, share);
	share_by_time(Max(reverse, 0), part, n, share + n);
	scale_parts(meter, from->wh, share, from->reverse_known, share + n, part, n);
	if (n > 1)
		pfree(share);
	else
		tell_periods(from, to, wh, history_facts(meter, from->read_at), part);
	return n;
}

int64
history_energy(const MeterHistory *meter, const Believed *first, const Believed *last,
			   TimestampTz from, TimestampTz to)
{
	EnergyPart *part = palloc(sizeof(EnergyPart) * (meter->n_cut + 1));
	const Believed *before = first;
	const Believed *reading;
	int64 energy = 0;

	for (reading = first + 1; reading <= last; reading++)
	{
		int n;
		int i;

		if (!counts(reading))
			continue;
		n = history_parts(meter, before, reading, part);
		for (i = 0; i < n; i++)
			if (part[i].from >= from && part[i].from < to)
				energy += part[i].wh;
		before = reading;
	}
	pfree(part);
	return energy;
}
