/*
 * db_value.c: values out of results and into statements.
 */
#include "db.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

Datum
db_value(uint64 row, int column, bool *isnull)
{
	Assert(row < SPI_processed);
	return SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, isnull);
}

/* None of our tables comes near it; columns dropped by migrations count. */
#define MAX_TABLE_COLUMNS 64

static void
find_columns(DbRecord *record, Oid type_id)
{
	int i;

	record->type = lookup_type_cache(type_id, TYPECACHE_TUPDESC);
	record->layout = record->type->tupDesc_identifier;
	if (record->type->tupDesc->natts > MAX_TABLE_COLUMNS)
		elog(ERROR, "a row has %d columns", record->type->tupDesc->natts);
	for (i = 0; i < record->n; i++)
	{
		int number = SPI_fnumber(record->type->tupDesc, record->column[i]);

		if (number <= 0)
			elog(ERROR, "a row has no column \"%s\"", record->column[i]);
		record->place[i] = number - 1;
	}
}

void
db_record(uint64 row, int column, DbRecord *record, Datum *value, bool *isnull)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(db_value(row, column, isnull));
	HeapTupleData tuple = { .t_len = HeapTupleHeaderGetDatumLength(header), .t_data = header };
	Datum all[MAX_TABLE_COLUMNS];
	bool all_null[MAX_TABLE_COLUMNS];
	int i;

	/* Entries of the type cache stay for ever; their descriptors change with the
	 * table. */
	if (record->type == NULL || record->type->tupDesc == NULL ||
		record->type->type_id != HeapTupleHeaderGetTypeId(header) ||
		record->type->tupDesc_identifier != record->layout)
		find_columns(record, HeapTupleHeaderGetTypeId(header));
	heap_deform_tuple(&tuple, record->type->tupDesc, all, all_null);
	for (i = 0; i < record->n; i++)
	{
		value[i] = all[record->place[i]];
		isnull[i] = all_null[record->place[i]];
	}
}

static Datum
value_not_null(uint64 row, int column)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	if (isnull)
		elog(ERROR, "unexpected null in column %d", column);
	return value;
}

int32
db_int32(uint64 row, int column)
{
	return DatumGetInt32(value_not_null(row, column));
}

int32
db_int32_or(uint64 row, int column, int32 absent)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return isnull ? absent : DatumGetInt32(value);
}

int64
db_int64(uint64 row, int column)
{
	return DatumGetInt64(value_not_null(row, column));
}

int64
db_int64_or(uint64 row, int column, int64 absent)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return isnull ? absent : DatumGetInt64(value);
}

bool
db_bool(uint64 row, int column)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return !isnull && DatumGetBool(value);
}

TimestampTz
db_time(uint64 row, int column)
{
	return DatumGetTimestampTz(value_not_null(row, column));
}

TimestampTz
db_time_or(uint64 row, int column, TimestampTz absent)
{
	bool isnull;
	Datum value = db_value(row, column, &isnull);

	return isnull ? absent : DatumGetTimestampTz(value);
}

char *
db_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}

Datum
db_array(const Datum *value, const bool *isnull, int n, Oid type)
{
	int16 length;
	bool by_value;
	char align;
	int lower = 1;

	get_typlenbyvalalign(type, &length, &by_value, &align);
	return PointerGetDatum(construct_md_array((Datum *) value, (bool *) isnull, 1, &n, &lower, type,
											  length, by_value, align));
}

/* Fixed-width arrays are laid out directly: the ingest path builds several a
 * batch. */
static ArrayType *
fixed_array(int n, Oid type, int width)
{
	Size size = ARR_OVERHEAD_NONULLS(1) + (Size) n * width;
	ArrayType *array = (ArrayType *) palloc0(size);

	SET_VARSIZE(array, size);
	array->ndim = 1;
	array->dataoffset = 0;
	array->elemtype = type;
	ARR_DIMS(array)[0] = n;
	ARR_LBOUND(array)[0] = 1;
	return array;
}

Datum
db_array_int32(const int32 *value, int n)
{
	ArrayType *array = fixed_array(n, INT4OID, sizeof(int32));

	memcpy(ARR_DATA_PTR(array), value, sizeof(int32) * n);
	return PointerGetDatum(array);
}

Datum
db_array_int64(const int64 *value, int n)
{
	ArrayType *array = fixed_array(n, INT8OID, sizeof(int64));

	memcpy(ARR_DATA_PTR(array), value, sizeof(int64) * n);
	return PointerGetDatum(array);
}

Datum
db_name_datum(const char *name)
{
	return DirectFunctionCall1(namein, CStringGetDatum(name));
}

Datum
db_array_time(const int64 *value, int n)
{
	ArrayType *array = fixed_array(n, TIMESTAMPTZOID, sizeof(int64));

	memcpy(ARR_DATA_PTR(array), value, sizeof(int64) * n);
	return PointerGetDatum(array);
}

Datum
db_text_datum(const char *text)
{
	return text ? CStringGetTextDatum(text) : (Datum) 0;
}

char *
numeric_text(Datum numeric)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, numeric));
}

Datum
numeric_from_text(const char *text)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid),
							   Int32GetDatum(-1));
}

/*
 * The stored form of a short numeric: a word with sign, scale and weight, then
 * digits of base 10 000, the first of weight `weight`. False: another form, or
 * one that has to be rounded.
 */
#define SHORT_FORM 0x8000
#define SHORT_FORM_MASK 0xC000
#define SHORT_NEGATIVE 0x2000
#define SHORT_SCALE(word) (((word) >> 7) & 0x3F)
#define SHORT_WEIGHT(word) (((word) &0x40 ? ~0x3F : 0) | ((word) &0x3F))

static bool
short_to_milli(Datum numeric, int64 *milli)
{
	/* Of a digit of weight 0, 1, 2: values below 10^12. */
	static const int64 unit[] = { 1000, 10000000, INT64CONST(100000000000) };
	const struct varlena *stored = PG_DETOAST_DATUM_PACKED(numeric);
	const char *at = VARDATA_ANY(stored);
	int n = VARSIZE_ANY_EXHDR(stored) / sizeof(uint16) - 1;
	int64 value = 0;
	uint16 head;
	uint16 digit;
	int weight;
	int i;

	memcpy(&head, at, sizeof(head));
	weight = SHORT_WEIGHT(head);
	if ((head & SHORT_FORM_MASK) != SHORT_FORM || SHORT_SCALE(head) > 3 ||
		weight >= (int) lengthof(unit) || weight - n + 1 < -1)
		return false;
	for (i = 0; i < n; i++)
	{
		memcpy(&digit, at + (i + 1) * sizeof(digit), sizeof(digit));
		value += weight - i < 0 ? digit / 10 : digit * unit[weight - i];
	}
	*milli = head & SHORT_NEGATIVE ? -value : value;
	return true;
}

bool
numeric_to_milli(Datum numeric, int64 *milli)
{
	/* 12 integer digits and 3 decimals always fit; what has more digits is out of
	 * range. */
	const char *text;
	bool negative;
	int64 value = 0;
	int decimals = -1;

	if (short_to_milli(numeric, milli))
		return true;
	text = numeric_text(numeric);
	negative = *text == '-';

	for (text += negative; *text; text++)
	{
		if (*text == '.')
		{
			decimals = 0;
			continue;
		}
		if (*text < '0' || *text > '9')
			return false;
		if (decimals >= 3)
		{
			if (decimals++ == 3 && *text >= '5')
				value++;
			continue;
		}
		if (pg_mul_s64_overflow(value, 10, &value) ||
			pg_add_s64_overflow(value, *text - '0', &value))
			return false;
		if (decimals >= 0)
			decimals++;
	}
	for (decimals = Max(decimals, 0); decimals < 3; decimals++)
		if (pg_mul_s64_overflow(value, 10, &value))
			return false;
	*milli = negative ? -value : value;
	return true;
}
