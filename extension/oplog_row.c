/*
 * oplog_row.c: the trigger log_rows, which writes changed rows to the operators' log.
 *
 * One statement trigger with transition tables for all tables people configure, whether by
 * a client's INSERT, UPDATE, DELETE or by our functions: a row is an entry, written in bulk.
 * An insert has the row's values in `after`, a delete in `before`, an update what differs
 * in both.
 */
#include "postgres.h"

#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "db.h"
#include "oplog_value.h"

/* Entries written together: what a load of any size needs of memory. */
#define LOG_BATCH 1000

PG_FUNCTION_INFO_V1(prepay_log_rows);

static const LoggedTable logged_table[] = {
	{ "account", "account:{code}", " opened_at opened_by closed_at closed_by " },
	{ "account_meter", "meter:{meter_id}", " " },
	{ "energy_share", "energy_share:{code}", " " },
	{ "gateway", "gateway:{code}", " " },
	{ "holiday", "holiday:{calendar} {day}", " " },
	{ "message_template", "message_template:{template} {language}", " ", .shipped = true },
	{ "meter", "meter:{code}", " installed_at " },
	{ "meter_model", "meter_model:{code}", " loaded_at ", .shipped = true },
	{ "meter_term", "meter:{meter_id}", " ", .dated = true },
	{ "operator_site", "operator:{operator}", " granted_at granted_by " },
	{ "payment_channel", "payment_channel:{channel}", " " },
	{ "place", "place:{code}", " " },
	{ "reading_correction", "meter:{meter_id}", " corrected_at operator " },
	{ "receipt_template", "receipt_template:{code} {language}", " ", .shipped = true },
	{ "setting", "setting:{name}", " set_at set_by " },
	{ "shift", "shift:{till} {shift_no}", " opened_at opened_by closed_at closed_by " },
	{ "site", "site:{code}", " revision created_at " },
	{ "supply_policy", "supply_policy:{code}", " " },
	{ "switch_schedule", "switch_schedule:{code}", " " },
	{ "tariff", "tariff:{code}", " created_at operator " },
	{ "tariff_assignment", "{target_kind}:{target_id}", " assigned_at assignment operator " },
	{ "tariff_version", "tariff:{tariff_id} version {version}", " created_at operator calendar " },
};

typedef struct Log
{
	MemoryContext memory; /* of the entries that are not written yet */
	int n;
	OplogEntry entry[LOG_BATCH];
} Log;

static void
flush(Log *log)
{
	MemoryContext old = MemoryContextSwitchTo(log->memory);

	oplog_write(log->entry, log->n);
	MemoryContextSwitchTo(old);
	MemoryContextReset(log->memory);
	log->n = 0;
}

static void
log_row(Log *log, const Row *old, const Row *new)
{
	MemoryContext outer = MemoryContextSwitchTo(log->memory);
	OplogEntry *entry = &log->entry[log->n];
	bool is_news = true;

	memset(entry, 0, sizeof(*entry));
	entry->site_id = (new ? new : old)->site_id;
	entry->action = psprintf("%s %s",
							 new == NULL ? "delete"
							 : old		 ? "update"
										 : "insert",
							 (new ? new : old)->layout->table->table);
	if (old && new)
		is_news = row_difference(old, new, &entry->before, &entry->after);
	else if (new)
		entry->after = row_json(new);
	else
		entry->before = row_json(old);
	if (is_news)
	{
		entry->object = row_object(old ? old : new);
		log->n++;
	}
	MemoryContextSwitchTo(outer);
	if (log->n == LOG_BATCH)
		flush(log);
}

static bool
holds_since_ever(const Row *row)
{
	bool isnull;
	Datum value = slot_getattr(row->slot, SPI_fnumber(row->layout->desc, "valid_from"), &isnull);

	return !isnull && TIMESTAMP_IS_NOBEGIN(DatumGetTimestampTz(value));
}

/* Rows of the transition tables; those of an update stand in the same order in both. */
static void
log_tables(Log *log, const TriggerData *trigger, const LoggedTable *table)
{
	TupleDesc desc = RelationGetDescr(trigger->tg_relation);
	RowLayout *layout = row_layout(table, desc);
	TupleTableSlot *old_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	TupleTableSlot *new_slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	Tuplestorestate *olds = trigger->tg_oldtable;
	Tuplestorestate *news = trigger->tg_newtable;
	Row old;
	Row new;

	if (olds)
		tuplestore_rescan(olds);
	if (news)
		tuplestore_rescan(news);
	while ((!olds || tuplestore_gettupleslot(olds, true, false, old_slot)) &&
		   (!news || tuplestore_gettupleslot(news, true, false, new_slot)))
	{
		CHECK_FOR_INTERRUPTS();
		if (olds)
			row_set(&old, layout, old_slot);
		if (news)
			row_set(&new, layout, new_slot);
		if (!(table->dated && !olds && holds_since_ever(&new)))
			log_row(log, olds ? &old : NULL, news ? &new : NULL);
	}
	flush(log);
	ExecDropSingleTupleTableSlot(old_slot);
	ExecDropSingleTupleTableSlot(new_slot);
}

static const LoggedTable *
find_table(Oid relation)
{
	int i;

	for (i = 0; i < lengthof(logged_table); i++)
		if (db_is_table(relation, logged_table[i].table))
			return &logged_table[i];
	return NULL;
}

/* AFTER trigger, each statement, of the tables above, with all transition tables of its event. */
Datum
prepay_log_rows(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	const LoggedTable *table = NULL;
	DbSession session;

	if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) &&
		(trigger->tg_newtable != NULL) != TRIGGER_FIRED_BY_DELETE(trigger->tg_event) &&
		(trigger->tg_oldtable != NULL) != TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
		!TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		table = find_table(RelationGetRelid(trigger->tg_relation));
	if (table == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("log_rows is the statement trigger of the tables people configure")));
	db_enter(&session);
	if (!(table->shipped && session.caller == db_owner() && GetOuterUserId() != session.caller))
	{
		Log *log = palloc(sizeof(Log));

		log->memory = AllocSetContextCreate(CurrentMemoryContext, "prepay log entries",
											ALLOCSET_DEFAULT_SIZES);
		log->n = 0;
		log_tables(log, trigger, table);
	}
	db_leave(&session);
	return PointerGetDatum(NULL);
}
