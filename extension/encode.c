/*
 * encode.c: open lines and tier positions as bytes.
 *
 * One version byte, then numbers as zigzag base-128: a line takes about a dozen
 * bytes, so a meter's row stays small, and a dump restores on any machine.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "state.h"
#include "tariff_store.h"

#define FORMAT_VERSION 1
#define MAX_NUMBER 10 /* bytes of one encoded int64 */
#define NUMBERS_PER_LINE 8

typedef struct Reader
{
	const uint8 *at;
	const uint8 *end;
} Reader;

static uint8 *
put(uint8 *at, int64 value)
{
	uint64 bits = ((uint64) value << 1) ^ (uint64) (value >> 63);

	for (; bits >= 0x80; bits >>= 7)
		*at++ = (uint8) bits | 0x80;
	*at++ = (uint8) bits;
	return at;
}

static int64
get(Reader *reader)
{
	uint64 bits = 0;
	int shift;

	for (shift = 0; shift < 70; shift += 7)
	{
		uint8 byte;

		if (reader->at >= reader->end)
			break;
		byte = *reader->at++;
		bits |= (uint64) (byte & 0x7f) << Min(shift, 63);
		if (!(byte & 0x80))
			return (int64) (bits >> 1) ^ -(int64) (bits & 1);
	}
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("stored usage state is damaged"),
					errhint("Run SELECT * FROM prepay.verify().")));
}

static bool
begin_reading(Datum bytes, Reader *reader)
{
	bytea *value = DatumGetByteaPP(bytes);

	reader->at = (const uint8 *) VARDATA_ANY(value);
	reader->end = reader->at + VARSIZE_ANY_EXHDR(value);
	if (reader->at == reader->end)
		return false;
	if (*reader->at++ != FORMAT_VERSION)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("stored usage state has an unknown format"),
						errhint("Install the library version that wrote it.")));
	return true;
}

static int
numbers_left(const Reader *reader)
{
	const uint8 *at;
	int n = 0;

	for (at = reader->at; at < reader->end; at++)
		n += !(*at & 0x80);
	return n;
}

static bytea *
begin_writing(int numbers, uint8 **at)
{
	bytea *value = palloc(VARHDRSZ + 1 + (Size) numbers * MAX_NUMBER);

	*at = (uint8 *) VARDATA(value);
	if (numbers > 0)
		*(*at)++ = FORMAT_VERSION;
	return value;
}

Datum
lines_encode(const RateLineVec *lines)
{
	uint8 *at;
	bytea *value = begin_writing(lines->n * NUMBERS_PER_LINE, &at);
	int i;

	for (i = 0; i < lines->n; i++)
	{
		const RateLine *line = &lines->item[i];

		at = put(at, line->meter_id);
		at = put(at, line->day);
		at = put(at, line->tariff_id);
		at = put(at, line->version);
		at = put(at, line->period);
		at = put(at, line->tier);
		at = put(at, line->wh);
		at = put(at, line->estimated_wh);
	}
	SET_VARSIZE(value, at - (uint8 *) value);
	return PointerGetDatum(value);
}

void
lines_decode(const Site *site, Datum bytes, RateLineVec *lines)
{
	Reader reader;

	if (!begin_reading(bytes, &reader))
		return;
	/* No more room than they take: a batch decodes thousands of lists, and most keep their length.
	 */
	lines->capacity = lines->n + (numbers_left(&reader) + NUMBERS_PER_LINE - 1) / NUMBERS_PER_LINE;
	lines->item = core_realloc(lines->item, sizeof(RateLine) * lines->capacity);
	while (reader.at < reader.end)
	{
		RateLine line = { 0 };

		line.meter_id = get(&reader);
		line.day = get(&reader);
		line.tariff_id = get(&reader);
		line.version = get(&reader);
		line.period = get(&reader);
		line.tier = get(&reader);
		line.wh = get(&reader);
		line.estimated_wh = get(&reader);
		line.tariff = tariff_of_version(site, line.tariff_id, line.version);
		line.season = tariff_season(line.tariff, line.day);
		tariff_accumulation(line.tariff, line.day, &line.accum_start, &line.accum_end);
		lines->item[lines->n++] = line;
	}
}

void
extra_decode(Datum steps, TariffExtra *extra)
{
	ArrayType *array = DatumGetArrayTypeP(steps);
	Datum *element;
	bool *isnull;
	int n;
	int i;

	extra->n = 0;
	if (ARR_NDIM(array) == 0)
		return;
	deconstruct_array(array, INT8OID, 8, FLOAT8PASSBYVAL, TYPALIGN_DOUBLE, &element, &isnull, &n);
	extra->step = palloc(sizeof(TariffExtraStep) * (n / 2 + 1));
	for (i = 0; i + 1 < n; i += 2)
	{
		TariffExtraStep *step = &extra->step[extra->n];

		if (isnull[i] || isnull[i + 1] || DatumGetInt64(element[i + 1]) < 0 ||
			DatumGetInt64(element[i]) != (int32) DatumGetInt64(element[i]) ||
			(extra->n > 0 && DatumGetInt64(element[i]) <= step[-1].from))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("stored household extension is damaged"),
							errhint("Run SELECT * FROM prepay.verify().")));
		step->from = DatumGetInt64(element[i]);
		step->wh_per_month = DatumGetInt64(element[i + 1]);
		extra->n++;
	}
}

static int32
version_of(const Site *site, const RatePosition *position)
{
	const TariffCode *code = tariff_code(site, position->tariff_id);
	int i;

	for (i = 0; i < code->n; i++)
		if (code->version[i].tariff == position->tariff)
			return code->version[i].version;
	elog(ERROR, "a tier position refers to a tariff that is not in use");
}

Datum
positions_encode(const Site *site, const RatePositionVec *positions)
{
	uint8 *at;
	bytea *value = begin_writing(positions->n * (6 + TARIFF_MAX_PERIODS), &at);
	int i;

	for (i = 0; i < positions->n; i++)
	{
		const RatePosition *position = &positions->item[i];
		int periods = TARIFF_MAX_PERIODS;
		int p;

		while (periods > 0 && position->by_period[periods - 1] == 0)
			periods--;
		at = put(at, position->tariff_id);
		at = put(at, position->accum_start);
		at = put(at, position->accum_end);
		at = put(at, version_of(site, position));
		at = put(at, position->wh);
		at = put(at, periods);
		for (p = 0; p < periods; p++)
			at = put(at, position->by_period[p]);
	}
	SET_VARSIZE(value, at - (uint8 *) value);
	return PointerGetDatum(value);
}

void
positions_decode(const Site *site, Datum bytes, RatePositionVec *positions)
{
	Reader reader;

	positions->n = 0;
	if (!begin_reading(bytes, &reader))
		return;
	while (reader.at < reader.end)
	{
		int32 tariff_id = get(&reader);
		int32 accum_start = get(&reader);
		int32 accum_end = get(&reader);
		RatePosition *position =
			rate_position_open(positions, tariff_id, accum_start, accum_end,
							   tariff_of_version(site, tariff_id, get(&reader)));
		int64 periods;
		int p;

		position->wh = get(&reader);
		periods = get(&reader);
		if (periods < 0 || periods > TARIFF_MAX_PERIODS)
			ereport(ERROR,
					(errcode(ERRCODE_DATA_CORRUPTED), errmsg("stored tier position is damaged"),
					 errhint("Run SELECT * FROM prepay.verify().")));
		for (p = 0; p < periods; p++)
			position->by_period[p] = get(&reader);
	}
}
