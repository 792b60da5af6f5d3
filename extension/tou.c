#include "tou.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "amount.h"
#include "db.h"

/* Registers of a model by index, and the coarsest step of their displays. */
#define MODEL_MAP                                                                      \
	"(SELECT array_agg(q.p ->> 'period' ORDER BY (q.p ->> 'index')::int) AS names,"    \
	" max(CASE WHEN q.p ? 'exp10' THEN 10::numeric ^ (q.p ->> 'exp10')::int"           \
	"  WHEN q.p ->> 'type' LIKE 'f%' THEN 0.01 ELSE 1 END) AS step"                    \
	" FROM prepay.meter_model d, jsonb_array_elements(d.profile -> 'points') AS q (p)" \
	" WHERE d.code = m.model AND q.p ->> 'name' = 'period_kwh')"

TouRegisters
tou_registers(Datum period_kwh)
{
	TouRegisters registers = { 0 };
	Datum *element;
	bool *isnull;
	int i;

	deconstruct_array(DatumGetArrayTypeP(period_kwh), NUMERICOID, -1, false, TYPALIGN_INT, &element,
					  &isnull, &registers.n);
	registers.wh = palloc(sizeof(int64) * Max(registers.n, 1));
	for (i = 0; i < registers.n; i++)
	{
		if (isnull[i])
			return (TouRegisters){ 0 };
		if (!numeric_to_milli(element[i], &registers.wh[i]))
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
							errmsg("a time-of-use register must be a number"),
							errhint("Leave period_kwh out when the meter gave none.")));
	}
	return registers;
}

TouMap
tou_map(Datum names, Datum step_kwh)
{
	TouMap map = { 0 };
	Datum *element;
	bool *isnull;
	int i;

	deconstruct_array(DatumGetArrayTypeP(names), TEXTOID, -1, false, TYPALIGN_INT, &element,
					  &isnull, &map.n);
	map.name = palloc(sizeof(char *) * Max(map.n, 1));
	for (i = 0; i < map.n; i++)
		map.name[i] = isnull[i] ? "" : TextDatumGetCString(element[i]);
	if (!numeric_to_milli(step_kwh, &map.step_wh))
		elog(ERROR, "step of time-of-use registers out of range");
	return map;
}

TouMap
tou_map_at(const Site *site, int32 meter_id, TimestampTz instant)
{
	static DbQuery query = {
		"SELECT period_names, period_step_kwh FROM prepay.meter_term WHERE site_id = $1"
		" AND meter_id = $2 AND valid_from <= $3 ORDER BY valid_from DESC LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(instant) };
	bool isnull = true;
	Datum names = 0;

	if (db_run(&query, args) > 0)
		names = db_value(0, 1, &isnull);
	return isnull ? (TouMap){ 0 } : tou_map(names, db_value(0, 2, &isnull));
}

void
tou_load(const Site *site, const int32 *meter_id, const int64 *read_at, int n,
		 TouRegisters *registers, TouMap *map)
{
	static DbQuery query = {
		"SELECT b.period_kwh, t.period_names, t.period_step_kwh"
		" FROM (SELECT unnest($2) AS meter_id, unnest($3) AS read_at) AS u"
		" LEFT JOIN prepay.reading_believed b ON b.site_id = $1 AND b.meter_id = u.meter_id"
		"  AND b.read_at = u.read_at"
		" LEFT JOIN LATERAL (SELECT x.period_names, x.period_step_kwh FROM prepay.meter_term x"
		"  WHERE x.site_id = $1 AND x.meter_id = u.meter_id ORDER BY x.valid_from DESC LIMIT 1)"
		"  AS t ON true",
		3,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n),
					 db_array_time(read_at, n) };
	int i;

	if (n == 0)
		return;
	if (db_run(&query, args) != n)
		elog(ERROR, "time-of-use registers of %d meters were not found", n);
	for (i = 0; i < n; i++)
	{
		Datum value[3];
		bool isnull[3];
		int column;

		for (column = 0; column < 3; column++)
			value[column] = db_value(i, column + 1, &isnull[column]);
		registers[i] = isnull[0] ? (TouRegisters){ 0 } : tou_registers(value[0]);
		map[i] = isnull[1] ? (TouMap){ 0 } : tou_map(value[1], value[2]);
	}
}

static bool
told(const TouMap *map, const TouRegisters *from, const TouRegisters *to)
{
	return map->n > 0 && from->n == map->n && to->n == map->n;
}

bool
tou_moved(const TouMap *map, const TouRegisters *from, const TouRegisters *to, int64 total_wh,
		  int64 register_max_wh, int64 *moved)
{
	__int128 excess = -(__int128) total_wh;
	__int128 tolerance = (__int128) map->step_wh * (map->n + 1);
	int i;

	if (!told(map, from, to))
		return false;
	for (i = 0; i < map->n; i++)
	{
		if (pg_sub_s64_overflow(to->wh[i], from->wh[i], &moved[i]))
			return false;
		if (moved[i] < 0)
			moved[i] += register_max_wh;
		if (moved[i] < 0)
			return false;
		excess += moved[i];
	}
	return excess < tolerance && -excess < tolerance;
}

bool
tou_contradicts(const TouMap *map, const TouRegisters *from, const TouRegisters *to, int64 total_wh,
				int64 register_max_wh)
{
	return told(map, from, to) &&
		   !tou_moved(map, from, to, total_wh, register_max_wh, palloc(sizeof(int64) * map->n));
}

static int
period_of(const Tariff *tariff, const char *name)
{
	int i;

	for (i = 0; i < tariff->n_period; i++)
		if (strcmp(tariff->period_name[i], name) == 0)
			return i;
	return -1;
}

/* Energy by period of a tariff; false: nothing moved, or the tariff lacks a period that did. */
static bool
share_energy(const TouMap *map, const int64 *moved, const Tariff *tariff, int64 energy,
			 int64_t *by_period)
{
	int64_t weight[TARIFF_MAX_PERIODS] = { 0 };
	int i;

	for (i = 0; i < map->n; i++)
	{
		int period = period_of(tariff, map->name[i]);

		if (moved[i] == 0)
			continue;
		if (period < 0)
			return false;
		weight[period] += moved[i];
	}
	return rate_share(energy, weight, tariff->n_period, by_period);
}

/* Whether some version tells periods apart at all. */
static bool
has_periods(const RateSpan *span, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (span[i].tariff && span[i].tariff->n_period > 1)
			return true;
	return false;
}

/* The meter's own time-of-use registers tell the periods of all tariffs of the part apart. */
static bool
part_by_period(const EnergyPart *part, const RateSpan *span, int n, int64_t *by_period)
{
	int i;

	if (part->moved == NULL || !has_periods(span, n))
		return false;
	/* The first one last: by_period goes by the periods of its tariff. */
	for (i = n - 1; i >= 0; i--)
		if (span[i].tariff == NULL || !share_energy(part->tou, part->moved, span[i].tariff,
													part->wh - part->reverse_wh, by_period))
			return false;
	return true;
}

RateResult
tou_split(const CalZone *zone, const RateSpan *span, int n_span, int32 meter_id,
		  const EnergyPart *part, bool estimated, RatePieceVec *pieces, int64_t *lacking)
{
	int64_t by_period[TARIFF_MAX_PERIODS];
	int64_t by_time = part->wh;

	if (part_by_period(part, span, n_span, by_period))
	{
		RateResult result = rate_split_periods(zone, span, n_span, meter_id, part->from, part->to,
											   by_period, estimated, pieces, lacking);

		if (result != RATE_OK || part->reverse_wh == 0)
			return result;
		by_time = part->reverse_wh;
	}
	return rate_split(zone, span, n_span, meter_id, part->from, part->to, by_time, estimated,
					  pieces, lacking);
}

void
tou_set_first_term(int32 site_id, int32 meter_id)
{
	static DbQuery query = {
		"UPDATE prepay.meter_term t SET period_names = x.names, period_step_kwh = x.step"
		" FROM prepay.meter m LEFT JOIN LATERAL " MODEL_MAP " x ON true"
		" WHERE m.site_id = $1 AND m.meter_id = $2 AND t.site_id = $1 AND t.meter_id = $2"
		" AND t.period_names IS DISTINCT FROM x.names",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site_id), Int32GetDatum(meter_id) };

	db_run(&query, args);
}

void
tou_add_term(int32 site_id, int32 meter_id, TimestampTz now)
{
	static DbQuery query = {
		"INSERT INTO prepay.meter_term (site_id, meter_id, valid_from, ratio, register_max,"
		" reverse_energy, period_names, period_step_kwh) SELECT t.site_id, t.meter_id,"
		" greatest($3, t.valid_from), t.ratio, t.register_max, t.reverse_energy, x.names, x.step"
		" FROM prepay.meter m JOIN LATERAL (SELECT * FROM prepay.meter_term y"
		"  WHERE y.site_id = m.site_id AND y.meter_id = m.meter_id"
		"  ORDER BY y.valid_from DESC LIMIT 1) t ON true"
		" LEFT JOIN LATERAL " MODEL_MAP " x ON true"
		" WHERE m.site_id = $1 AND m.meter_id = $2"
		" AND (t.period_names IS DISTINCT FROM x.names OR t.period_step_kwh IS DISTINCT FROM x.step)"
		" ON CONFLICT (site_id, meter_id, valid_from) DO UPDATE SET"
		" period_names = EXCLUDED.period_names, period_step_kwh = EXCLUDED.period_step_kwh",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site_id), Int32GetDatum(meter_id), TimestampTzGetDatum(now) };

	db_run(&query, args);
}
