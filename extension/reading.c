#include "reading.h"

#include "executor/spi.h"
#include "executor/tuptable.h"
#include "utils/datum.h"
#include "utils/numeric.h"
#include "utils/rel.h"
#include "utils/tuplestore.h"

#include "db.h"
#include "reading_chain.h"

typedef struct ReadingColumns
{
	int site_id;
	int meter_id;
	int read_at;
	int kwh;
	int reverse_kwh;
	int period_kwh;
	int kw;
	int relay_closed;
	int proven[READING_PROVEN_COLUMNS];
} ReadingColumns;

static int
place_of(TupleDesc desc, const char *name, int known)
{
	if (known > 0 && known <= desc->natts && !TupleDescAttr(desc, known - 1)->attisdropped &&
		strcmp(NameStr(TupleDescAttr(desc, known - 1)->attname), name) == 0)
		return known;
	return SPI_fnumber(desc, name);
}

/* Where the columns stand; looked at first where they stood the last time. */
static const ReadingColumns *
find_columns(TupleDesc desc)
{
	/* As READING_PROVEN. */
	static const char *const proven[READING_PROVEN_COLUMNS] = {
		"read_at",		"kwh",			 "reverse_kwh",	   "period_kwh",  "kw",
		"relay_closed", "meter_balance", "purchase_count", "meter_clock", "source"
	};
	static ReadingColumns columns;
	int i;

	columns.site_id = place_of(desc, "site_id", columns.site_id);
	columns.meter_id = place_of(desc, "meter_id", columns.meter_id);
	for (i = 0; i < READING_PROVEN_COLUMNS; i++)
		columns.proven[i] = place_of(desc, proven[i], columns.proven[i]);
	columns.read_at = columns.proven[0];
	columns.kwh = columns.proven[1];
	columns.reverse_kwh = columns.proven[2];
	columns.period_kwh = columns.proven[3];
	columns.kw = columns.proven[4];
	columns.relay_closed = columns.proven[5];
	return &columns;
}

static int64
register_value(Datum kwh)
{
	int64 wh;

	if (!numeric_to_milli(kwh, &wh))
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_READING), errmsg("a register value must be a number"),
				 errhint("Leave the reading out when the meter gave none.")));
	return wh;
}

static void
read_slot(TupleTableSlot *slot, const ReadingColumns *columns, Reading *reading)
{
	bool isnull;
	Datum value;

	reading->site_id = DatumGetInt32(slot_getattr(slot, columns->site_id, &isnull));
	reading->meter_id = DatumGetInt32(slot_getattr(slot, columns->meter_id, &isnull));
	reading->read_at = DatumGetTimestampTz(slot_getattr(slot, columns->read_at, &isnull));
	if (TIMESTAMP_NOT_FINITE(reading->read_at))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING), errmsg("a reading needs a finite time"),
						errhint("Give the time at which the register was read.")));
	reading->wh = register_value(slot_getattr(slot, columns->kwh, &isnull));
	value = slot_getattr(slot, columns->reverse_kwh, &isnull);
	reading->reverse_wh = isnull ? -1 : register_value(value);
	if (!isnull && reading->reverse_wh == -1)
		reading->reverse_wh = -2; /* -0.001 kWh was displayed: negative, not absent */
	value = slot_getattr(slot, columns->period_kwh, &isnull);
	reading->tou = isnull ? (TouRegisters){ 0 } : tou_registers(value);
	value = slot_getattr(slot, columns->kw, &isnull);
	reading->has_kw = !isnull;
	if (!isnull)
	{
		reading->kw = datumCopy(value, false, -1);
		if (numeric_is_nan(DatumGetNumeric(reading->kw)))
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING), errmsg("power must be a number"),
							errhint("Leave kw NULL when the meter gave none.")));
	}
	value = slot_getattr(slot, columns->relay_closed, &isnull);
	reading->relay_closed = isnull ? -1 : DatumGetBool(value);
}

/* What of the row is hashed, kept in one piece. */
static void
encode_row(TupleTableSlot *slot, const ReadingColumns *columns, StringInfo row, Reading *reading)
{
	Datum value[READING_PROVEN_COLUMNS];
	bool isnull[READING_PROVEN_COLUMNS];
	int i;

	for (i = 0; i < READING_PROVEN_COLUMNS; i++)
		value[i] = slot_getattr(slot, columns->proven[i], &isnull[i]);
	resetStringInfo(row);
	reading_encode(value, isnull, row);
	reading->row = memcpy(palloc(row->len), row->data, row->len);
	reading->row_bytes = row->len;
}

static int
compare_readings(const void *a, const void *b)
{
	const Reading *left = a;
	const Reading *right = b;

	if (left->site_id != right->site_id)
		return left->site_id < right->site_id ? -1 : 1;
	if (left->meter_id != right->meter_id)
		return left->meter_id < right->meter_id ? -1 : 1;
	return left->read_at < right->read_at ? -1 : left->read_at > right->read_at;
}

void
reading_collect(TriggerData *trigger, ReadingVec *readings)
{
	const ReadingColumns *columns = find_columns(RelationGetDescr(trigger->tg_relation));
	StringInfoData row;
	TupleTableSlot *slot =
		MakeSingleTupleTableSlot(RelationGetDescr(trigger->tg_relation), &TTSOpsMinimalTuple);

	initStringInfo(&row);
	/* The tuplestore is shared by all triggers of the statement: begin at its begin. */
	tuplestore_rescan(trigger->tg_newtable);
	while (tuplestore_gettupleslot(trigger->tg_newtable, true, false, slot))
	{
		if (readings->n == readings->room)
		{
			readings->room = Max(64, readings->room * 2);
			readings->item = core_realloc(readings->item, sizeof(Reading) * readings->room);
		}
		read_slot(slot, columns, &readings->item[readings->n]);
		encode_row(slot, columns, &row, &readings->item[readings->n++]);
	}
	ExecDropSingleTupleTableSlot(slot);
	if (readings->n > 1)
		qsort(readings->item, readings->n, sizeof(Reading), compare_readings);
}
