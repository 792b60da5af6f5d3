#include "history.h"

#include "amount.h"
#include "db.h"

static void
load_facts(const Site *site, MeterHistory *history)
{
	static DbQuery query = {
		"SELECT valid_from, (ratio * 1000000)::bigint, (register_max * 1000)::bigint,"
		" reverse_energy = 'add', period_names, period_step_kwh FROM prepay.meter_term"
		" WHERE site_id = $1 AND meter_id = $2 ORDER BY valid_from",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(history->meter_id) };
	Datum names;
	bool isnull;
	int i;

	history->n_facts = db_run(&query, args);
	history->facts = palloc(sizeof(MeterFacts) * Max(history->n_facts, 1));
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

static void
load_cuts(const Site *site, MeterHistory *history)
{
	static DbQuery query = {
		"SELECT valid_from FROM prepay.meter_term WHERE site_id = $1 AND meter_id = $2"
		" AND valid_from > '-infinity'"
		" UNION SELECT CASE side WHEN 1 THEN valid_from ELSE valid_to END"
		" FROM prepay.account_meter, generate_series(1, 2) AS side WHERE site_id = $1"
		" AND meter_id = $2 AND valid_from < valid_to AND (side = 1 OR valid_to < 'infinity')"
		" ORDER BY 1",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(history->meter_id) };
	int i;

	history->n_cut = db_run(&query, args);
	history->cut = palloc(sizeof(TimestampTz) * Max(history->n_cut, 1));
	for (i = 0; i < history->n_cut; i++)
		history->cut[i] = db_time(i, 1);
}

static void
load_readings(const Site *site, TimestampTz from, TimestampTz to, MeterHistory *history)
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
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(history->meter_id),
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
carry_reverse(const Site *site, MeterHistory *history)
{
	int64 known = -1;
	int i;

	for (i = 0; i < history->n; i++)
	{
		Believed *reading = &history->reading[i];

		if (reading->reverse_wh >= 0 || reading->is_baseline)
			known = reading->reverse_wh;
		else if (i == 0)
			known = reverse_before(site, history->meter_id, reading->read_at);
		reading->reverse_known = known;
	}
}

void
history_load(const Site *site, int32 meter_id, TimestampTz from, TimestampTz to,
			 MeterHistory *history)
{
	memset(history, 0, sizeof(*history));
	history->meter_id = meter_id;
	load_facts(site, history);
	load_cuts(site, history);
	load_readings(site, from, to, history);
	carry_reverse(site, history);
}

const MeterFacts *
history_facts(const MeterHistory *history, TimestampTz instant)
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

/* Shares of a whole by elapsed time. */
static int64_t *
share_by_time(int64 whole, const EnergyPart *part, int n)
{
	int64_t *share = palloc(sizeof(int64_t) * n * 2);
	int64_t *elapsed = share + n;
	int i;

	for (i = 0; i < n; i++)
		elapsed[i] = part[i].to - part[i].from;
	(void) rate_share(whole, elapsed, n, share);
	return share;
}

static int
cut_interval(const MeterHistory *history, TimestampTz from, TimestampTz to, EnergyPart **part)
{
	int n = 1;
	int i;

	*part = palloc0(sizeof(EnergyPart) * (history->n_cut + 1));
	(*part)[0].from = from;
	for (i = 0; i < history->n_cut; i++)
	{
		if (history->cut[i] <= from || history->cut[i] >= to)
			continue;
		(*part)[n - 1].to = history->cut[i];
		(*part)[n++].from = history->cut[i];
	}
	(*part)[n - 1].to = to;
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

int
history_parts(const MeterHistory *history, const Believed *from, const Believed *to,
			  EnergyPart **part)
{
	int64 wh = to->wh - from->wh;
	int64 reverse =
		from->reverse_known >= 0 && to->reverse_wh >= 0 ? to->reverse_wh - from->reverse_known : 0;
	int64 at = from->wh;
	int64 reverse_at = from->reverse_known;
	int64_t *share;
	int64_t *reverse_share;
	int n;
	int i;

	if (to->is_baseline)
		return 0;
	if (wh < 0)
		wh += history_facts(history, to->read_at)->register_max_wh;
	n = cut_interval(history, from->read_at, to->read_at, part);
	share = share_by_time(Max(wh, 0), *part, n);
	reverse_share = share_by_time(Max(reverse, 0), *part, n);
	for (i = 0; i < n; i++)
	{
		const MeterFacts *facts = history_facts(history, (*part)[i].from);

		(*part)[i].wh = scaled(at + share[i], facts->ratio_e6) - scaled(at, facts->ratio_e6);
		if (facts->reverse_add && reverse_share[i] > 0)
			(*part)[i].reverse_wh = scaled(reverse_at + reverse_share[i], facts->ratio_e6) -
									scaled(reverse_at, facts->ratio_e6);
		(*part)[i].wh += (*part)[i].reverse_wh;
		at += share[i];
		reverse_at += reverse_share[i];
		if (n == 1)
			tell_periods(from, to, wh, facts, &(*part)[i]);
	}
	pfree(share);
	pfree(reverse_share);
	return n;
}
