/*
 * proof.c: what makes a changed, added or lost row beside the ledger visible.
 *
 * The ledger is a chain, and readings show in the usage they give; but a tariff's
 * price list, its operator, the terms of a debt or a print of a receipt stand for
 * themselves. A trigger on their tables keeps the SHA-256 of each row in `row_proof`,
 * under its relation and key. Who changes rows with the triggers off, or restores
 * a part of them, leaves a row that is not the one its hash was taken of, a row
 * without a hash, or a hash without a row.
 *
 * The key of each of these tables is its first columns, site_id the first of all.
 * Columns are hashed with their lengths and times as numbers, so no setting matters.
 */
#include "proof.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "common/cryptohash.h"
#include "executor/spi.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "db.h"
#include "ledger.h"

PG_FUNCTION_INFO_V1(prepay_prove_row);

#define ROWS_OF(relation)                                          \
	{                                                              \
		"SELECT * FROM prepay." relation " WHERE site_id = $1", 1, \
		{                                                          \
			INT4OID                                                \
		}                                                          \
	}

static struct
{
	const char *relation;
	int n_key; /* columns of the key, site_id included */
	DbQuery rows;
} proven[] = {
	{ "account_meter", 3, ROWS_OF("account_meter") },
	{ "credit", 3, ROWS_OF("credit") },
	{ "debt", 3, ROWS_OF("debt") },
	{ "meter_term", 3, ROWS_OF("meter_term") },
	{ "reading_correction", 4, ROWS_OF("reading_correction") },
	{ "receipt_print", 4, ROWS_OF("receipt_print") },
	{ "tariff", 2, ROWS_OF("tariff") },
	{ "tariff_assignment", 5, ROWS_OF("tariff_assignment") },
	{ "tariff_price", 7, ROWS_OF("tariff_price") },
	{ "tariff_version", 3, ROWS_OF("tariff_version") },
};

/* ---- one row ---- */

static char *
column_text(HeapTuple row, TupleDesc desc, int column)
{
	bool isnull;
	Datum value = heap_getattr(row, column, desc, &isnull);
	Oid output;
	bool is_varlena;

	if (isnull)
		return NULL;
	switch (SPI_gettypeid(desc, column))
	{
		case TIMESTAMPTZOID:
			return psprintf(INT64_FORMAT, DatumGetTimestampTz(value));
		case DATEOID:
			return psprintf("%d", DatumGetDateADT(value));
		default:
			getTypeOutputInfo(SPI_gettypeid(desc, column), &output, &is_varlena);
			return OidOutputFunctionCall(output, value);
	}
}

/* In UTC, whatever the session shows. */
static void
put_time(StringInfo out, TimestampTz instant)
{
	char text[MAXDATELEN + 1];
	struct pg_tm tm;
	fsec_t fsec;

	if (TIMESTAMP_NOT_FINITE(instant))
		EncodeSpecialTimestamp(instant, text);
	else if (timestamp2tm(instant, NULL, &tm, &fsec, NULL, NULL) == 0)
		EncodeDateTime(&tm, fsec, true, 0, NULL, USE_ISO_DATES, text);
	else
		elog(ERROR, "time out of range");
	appendStringInfoString(out, text);
}

/* The key for people: its columns but site_id. */
static char *
row_key(HeapTuple row, TupleDesc desc, int n_key)
{
	StringInfoData key;
	int column;

	initStringInfo(&key);
	for (column = 2; column <= n_key; column++)
	{
		bool isnull;
		Datum value = heap_getattr(row, column, desc, &isnull);

		if (column > 2)
			appendStringInfoString(&key, ", ");
		if (SPI_gettypeid(desc, column) == TIMESTAMPTZOID && !isnull)
			put_time(&key, DatumGetTimestampTz(value));
		else
			appendStringInfoString(&key, column_text(row, desc, column));
	}
	return key.data;
}

static void
row_hash(HeapTuple row, TupleDesc desc, uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	StringInfoData text;
	int column;

	initStringInfo(&text);
	for (column = 1; column <= desc->natts; column++)
	{
		const char *value;

		if (TupleDescAttr(desc, column - 1)->attisdropped)
			continue;
		value = column_text(row, desc, column);
		appendStringInfo(&text, "%d:%s;", value ? (int) strlen(value) : -1, value ? value : "");
	}
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (uint8 *) text.data, text.len) < 0 ||
		pg_cryptohash_final(context, hash, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
}

/* ---- the trigger ---- */

static int
key_columns(Oid relation)
{
	int i;

	for (i = 0; i < lengthof(proven); i++)
		if (db_is_table(relation, proven[i].relation))
			return proven[i].n_key;
	return 0;
}

static void
store_proof(const char *relation, HeapTuple row, TupleDesc desc, int n_key)
{
	static DbQuery query = {
		"INSERT INTO prepay.row_proof (site_id, relation, row_key, hash) VALUES ($1, $2, $3, $4)"
		" ON CONFLICT (site_id, relation, row_key) DO UPDATE SET hash = EXCLUDED.hash",
		4,
		{ INT4OID, TEXTOID, TEXTOID, BYTEAOID }
	};
	bytea *hash = palloc(VARHDRSZ + LEDGER_HASH_BYTES);
	bool isnull;
	Datum args[] = { heap_getattr(row, 1, desc, &isnull), CStringGetTextDatum(relation),
					 CStringGetTextDatum(row_key(row, desc, n_key)), PointerGetDatum(hash) };

	SET_VARSIZE(hash, VARHDRSZ + LEDGER_HASH_BYTES);
	row_hash(row, desc, (uint8 *) VARDATA(hash));
	db_run(&query, args);
}

static void
drop_proof(const char *relation, HeapTuple row, TupleDesc desc, int n_key)
{
	static DbQuery query = {
		"DELETE FROM prepay.row_proof WHERE site_id = $1 AND relation = $2 AND row_key = $3",
		3,
		{ INT4OID, TEXTOID, TEXTOID }
	};
	bool isnull;
	Datum args[] = { heap_getattr(row, 1, desc, &isnull), CStringGetTextDatum(relation),
					 CStringGetTextDatum(row_key(row, desc, n_key)) };

	db_run(&query, args);
}

/* AFTER INSERT, UPDATE or DELETE trigger, each row, of the tables above. */
Datum
prepay_prove_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	DbSession session;
	const char *relation;
	TupleDesc desc;
	int n_key = 0;

	if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		n_key = key_columns(RelationGetRelid(trigger->tg_relation));
	if (n_key == 0)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("prove_row is the trigger of the tables that have a proof")));
	relation = RelationGetRelationName(trigger->tg_relation);
	desc = RelationGetDescr(trigger->tg_relation);
	db_enter(&session);
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		drop_proof(relation, trigger->tg_trigtuple, desc, n_key);
	if (!TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		store_proof(relation,
					TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple
															   : trigger->tg_trigtuple,
					desc, n_key);
	db_leave(&session);
	return PointerGetDatum(NULL);
}

/* ---- looking ---- */

#define KEY_BYTES 256

typedef struct Proof
{
	char key[KEY_BYTES];
	uint8 hash[LEDGER_HASH_BYTES];
	bool met;
} Proof;

typedef struct Faults
{
	int n;
	int room;
	char **text;
} Faults;

static void
add_fault(Faults *faults, char *text)
{
	if (faults->n + 1 >= faults->room)
	{
		faults->room = Max(8, faults->room * 2);
		faults->text = core_realloc(faults->text, sizeof(char *) * faults->room);
	}
	faults->text[faults->n++] = text;
	faults->text[faults->n] = NULL;
}

static HTAB *
load_proofs(const Site *site, const char *relation)
{
	static DbQuery query = {
		"SELECT row_key, hash FROM prepay.row_proof WHERE site_id = $1 AND relation = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	HASHCTL control = { .keysize = KEY_BYTES,
						.entrysize = sizeof(Proof),
						.hcxt = CurrentMemoryContext };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(relation) };
	int n = db_run(&query, args);
	HTAB *table = hash_create("proofs", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	int i;

	for (i = 0; i < n; i++)
	{
		bool isnull;
		Proof *proof = hash_search(table, db_text(i, 1), HASH_ENTER, NULL);
		bytea *hash = DatumGetByteaPP(db_value(i, 2, &isnull));

		memset(proof->hash, 0, LEDGER_HASH_BYTES);
		memcpy(proof->hash, VARDATA_ANY(hash), Min(VARSIZE_ANY_EXHDR(hash), LEDGER_HASH_BYTES));
		proof->met = false;
	}
	return table;
}

static void
compare(const Site *site, int which, Faults *faults)
{
	const char *relation = proven[which].relation;
	Datum arg = Int32GetDatum(site->site_id);
	HTAB *table = load_proofs(site, relation);
	int n = db_run(&proven[which].rows, &arg);
	SPITupleTable *rows = SPI_tuptable;
	HASH_SEQ_STATUS scan;
	Proof *proof;
	int i;

	for (i = 0; i < n; i++)
	{
		char *key = row_key(rows->vals[i], rows->tupdesc, proven[which].n_key);
		uint8 hash[LEDGER_HASH_BYTES];

		CHECK_FOR_INTERRUPTS();
		proof = hash_search(table, key, HASH_FIND, NULL);
		if (proof == NULL)
		{
			add_fault(faults, psprintf("%s (%s) was added behind our back", relation, key));
			continue;
		}
		proof->met = true;
		row_hash(rows->vals[i], rows->tupdesc, hash);
		if (memcmp(hash, proof->hash, LEDGER_HASH_BYTES) != 0)
			add_fault(faults, psprintf("%s (%s) was changed behind our back", relation, key));
	}
	hash_seq_init(&scan, table);
	while ((proof = hash_seq_search(&scan)) != NULL)
		if (!proof->met)
			add_fault(faults, psprintf("%s (%s) is missing", relation, proof->key));
	hash_destroy(table);
	SPI_freetuptable(rows);
}

char **
proof_faults(const Site *site)
{
	Faults faults = { .room = 8, .text = palloc0(sizeof(char *) * 8) };
	int i;

	for (i = 0; i < lengthof(proven); i++)
		compare(site, i, &faults);
	return faults.text;
}
