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

TouRegisters
tou_believed_at(const Site *site, int32 meter_id, TimestampTz instant)
{
	static DbQuery query = {
		"SELECT period_kwh FROM prepay.reading_believed WHERE site_id = $1 AND meter_id = $2"
		" AND read_at <= $3 AND mark IS DISTINCT FROM 'waiting' ORDER BY read_at DESC LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(instant) };
	bool isnull = true;
	Datum value = 0;

	if (db_run(&query, args) > 0)
		value = db_value(0, 1, &isnull);
	return isnull ? (TouRegisters){ 0 } : tou_registers(value);
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
	int64 *moved = palloc(sizeof(int64) * Max(map->n, 1));

	return told(map, from, to) && !tou_moved(map, from, to, total_wh, register_max_wh, moved);
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

bool
tou_share(const TouMap *map, const int64 *moved, const Tariff *tariff, int64 energy,
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

bool
tou_matters(const RateSpan *span, int n)
{
	int i;

	for (i = 0; i < n; i++)
		if (span[i].tariff && span[i].tariff->n_period > 1)
			return true;
	return false;
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
