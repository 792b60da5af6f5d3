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
 * Each change adds a version and none is ever changed or dropped; that of a row that is
 * deleted has no hash. So the versions that came since the last anchor can be anchored
 * (anchor.c): who writes a row and its hash anew is found by the anchor's.
 *
 * The key of each of these tables is its first columns, site_id the first of all.
 * Columns are hashed with their lengths and times as numbers, so no setting matters.
 */
#include "proof.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
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
#include "digest.h"

PG_FUNCTION_INFO_V1(prepay_prove_row);

#define ROWS_OF(relation, id)                                                                   \
	{                                                                                           \
		"SELECT * FROM prepay." relation " WHERE site_id = $1 AND " id " BETWEEN $2 AND $3", 3, \
		{                                                                                       \
			INT4OID, INT4OID, INT4OID                                                           \
		}                                                                                       \
	}

/* What the number a row is looked up by counts. */
typedef enum ProofOf
{
	OF_ACCOUNT,
	OF_METER,
	OF_OTHER
} ProofOf;

static struct
{
	const char *relation;
	int n_key; /* columns of the key, site_id included */
	ProofOf of;
	const char *id;		/* the column that has it; NULL: 0 for all rows */
	const char *counts; /* a column that is checked elsewhere and moves too often */
	DbQuery rows;
} proven[] = {
	{ "account_meter", 3, OF_METER, "meter_id", NULL, ROWS_OF("account_meter", "meter_id") },
	{ "anchor", 2, OF_OTHER, "anchor_id", NULL, ROWS_OF("anchor", "anchor_id") },
	{ "credit", 3, OF_ACCOUNT, "account_id", NULL, ROWS_OF("credit", "account_id") },
	{ "debt", 3, OF_ACCOUNT, "account_id", NULL, ROWS_OF("debt", "account_id") },
	{ "energy_share_line", 3, OF_ACCOUNT, "account_id", NULL,
	  ROWS_OF("energy_share_line", "account_id") },
	{ "energy_share_month", 3, OF_OTHER, "share_id", NULL,
	  ROWS_OF("energy_share_month", "share_id") },
	{ "meter_term", 3, OF_METER, "meter_id", NULL, ROWS_OF("meter_term", "meter_id") },
	{ "reading_correction", 4, OF_METER, "meter_id", NULL,
	  ROWS_OF("reading_correction", "meter_id") },
	{ "reading_kept", 2, OF_METER, "meter_id", NULL, ROWS_OF("reading_kept", "meter_id") },
	{ "reading_mark", 3, OF_METER, "meter_id", NULL, ROWS_OF("reading_mark", "meter_id") },
	{ "receipt_print", 4, OF_ACCOUNT, "account_id", NULL, ROWS_OF("receipt_print", "account_id") },
	{ "retention", 2, OF_OTHER, NULL, NULL, ROWS_OF("retention", "0") },
	{ "shift", 3, OF_OTHER, NULL, NULL, ROWS_OF("shift", "0") },
	{ "tariff", 2, OF_OTHER, "tariff_id", NULL, ROWS_OF("tariff", "tariff_id") },
	{ "tariff_assignment", 5, OF_OTHER, "target_id", NULL,
	  ROWS_OF("tariff_assignment", "target_id") },
	{ "tariff_price", 7, OF_OTHER, "tariff_id", NULL, ROWS_OF("tariff_price", "tariff_id") },
	{ "tariff_version", 3, OF_OTHER, "tariff_id", NULL, ROWS_OF("tariff_version", "tariff_id") },
	{ "till", 2, OF_OTHER, NULL, "last_receipt_no", ROWS_OF("till", "0") },
};

/* ---- one row ---- */

/* In hex, whatever the session shows. */
static char *
bytes_text(const bytea *value)
{
	int n = VARSIZE_ANY_EXHDR(value);
	char *text = palloc(2 * (Size) n + 3);

	strcpy(text, "\\x");
	text[2 + hex_encode(VARDATA_ANY(value), n, text + 2)] = '\0';
	return text;
}

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
		case BYTEAOID:
			return bytes_text(DatumGetByteaPP(value));
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

static void
put_date(StringInfo out, DateADT date)
{
	int year;
	int month;
	int day;

	j2date(date + POSTGRES_EPOCH_JDATE, &year, &month, &day);
	appendStringInfo(out, "%04d-%02d-%02d", year, month, day);
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
		else if (SPI_gettypeid(desc, column) == DATEOID && !isnull)
			put_date(&key, DatumGetDateADT(value));
		else
			appendStringInfoString(&key, column_text(row, desc, column));
	}
	return key.data;
}

static void
row_hash(HeapTuple row, TupleDesc desc, int which, uint8 *hash)
{
	const char *counts = proven[which].counts;
	StringInfoData text;
	int column;

	initStringInfo(&text);
	for (column = 1; column <= desc->natts; column++)
	{
		const char *value;
		const Form_pg_attribute attribute = TupleDescAttr(desc, column - 1);

		if (attribute->attisdropped || (counts && strcmp(NameStr(attribute->attname), counts) == 0))
			continue;
		value = column_text(row, desc, column);
		appendStringInfo(&text, "%d:%s;", value ? (int) strlen(value) : -1, value ? value : "");
	}
	digest_of(text.data, text.len, NULL, 0, hash);
	pfree(text.data);
}

/* The number its proof is looked up by. */
static int32
row_id(HeapTuple row, TupleDesc desc, int which)
{
	bool isnull;

	if (proven[which].id == NULL)
		return 0;
	return DatumGetInt32(heap_getattr(row, SPI_fnumber(desc, proven[which].id), desc, &isnull));
}

/* ---- the trigger ---- */

/* -1: none of them. */
static int
which_table(Oid relation)
{
	int i;

	for (i = 0; i < lengthof(proven); i++)
		if (db_is_table(relation, proven[i].relation))
			return i;
	return -1;
}

/* The row as it is from now on; hash NULL: it is gone. */
static void
store_proof(int which, HeapTuple row, TupleDesc desc, const uint8 *hash)
{
	static DbQuery query = {
		"INSERT INTO prepay.row_proof (site_id, relation, row_id, row_key, version, hash)"
		" SELECT $1, $2, $3, $4, COALESCE(max(version), 0) + 1, $5 FROM prepay.row_proof"
		" WHERE site_id = $1 AND relation = $2 AND row_id = $3 AND row_key = $4",
		5,
		{ INT4OID, TEXTOID, INT4OID, TEXTOID, BYTEAOID }
	};
	bool isnull;
	Datum args[] = { heap_getattr(row, 1, desc, &isnull),
					 CStringGetTextDatum(proven[which].relation),
					 Int32GetDatum(row_id(row, desc, which)),
					 CStringGetTextDatum(row_key(row, desc, proven[which].n_key)),
					 hash ? digest_datum(hash) : (Datum) 0 };

	db_run_nulls(&query, args, hash ? "     " : "    n");
}

static bool
same_key(HeapTuple a, HeapTuple b, TupleDesc desc, int n_key)
{
	return strcmp(row_key(a, desc, n_key), row_key(b, desc, n_key)) == 0;
}

/* AFTER INSERT, UPDATE or DELETE trigger, each row, of the tables above. */
Datum
prepay_prove_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple row;
	DbSession session;
	TupleDesc desc;
	uint8 hash[DIGEST_BYTES];
	bool is_gone;
	int which = -1;

	if (CALLED_AS_TRIGGER(fcinfo) && TRIGGER_FIRED_AFTER(trigger->tg_event) &&
		TRIGGER_FIRED_FOR_ROW(trigger->tg_event))
		which = which_table(RelationGetRelid(trigger->tg_relation));
	if (which < 0)
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("prove_row is the trigger of the tables that have a proof")));
	desc = RelationGetDescr(trigger->tg_relation);
	row = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ? trigger->tg_newtuple : trigger->tg_trigtuple;
	is_gone = TRIGGER_FIRED_BY_DELETE(trigger->tg_event);
	db_enter(&session);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) &&
		!same_key(trigger->tg_trigtuple, row, desc, proven[which].n_key))
		store_proof(which, trigger->tg_trigtuple, desc, NULL);
	if (!is_gone)
		row_hash(row, desc, which, hash);
	store_proof(which, row, desc, is_gone ? NULL : hash);
	db_leave(&session);
	return PointerGetDatum(NULL);
}

/* ---- looking ---- */

#define KEY_BYTES 256
/* Rows are looked at by so many numbers at a time. */
#define ID_STEP 5000

typedef struct Proof
{
	char key[KEY_BYTES];
	uint8 hash[DIGEST_BYTES];
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
load_proofs(const Site *site, int which, int32 first, int32 last)
{
	static DbQuery query = {
		"SELECT DISTINCT ON (row_id, row_key) row_key, hash FROM prepay.row_proof"
		" WHERE site_id = $1 AND relation = $2 AND row_id BETWEEN $3 AND $4"
		" ORDER BY row_id, row_key, version DESC",
		4,
		{ INT4OID, TEXTOID, INT4OID, INT4OID }
	};
	HASHCTL control = { .keysize = KEY_BYTES,
						.entrysize = sizeof(Proof),
						.hcxt = CurrentMemoryContext };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(proven[which].relation),
					 Int32GetDatum(first), Int32GetDatum(last) };
	int n = db_run(&query, args);
	HTAB *table = hash_create("proofs", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	int i;

	for (i = 0; i < n; i++)
	{
		bool isnull;
		Datum hash = db_value(i, 2, &isnull);
		Proof *proof;

		if (isnull)
			continue;
		proof = hash_search(table, db_text(i, 1), HASH_ENTER, NULL);
		(void) digest_from_datum(hash, proof->hash);
		proof->met = false;
	}
	return table;
}

/* The rows whose number is in [first, last]. */
static void
compare(const Site *site, int which, int32 first, int32 last, Faults *faults)
{
	const char *relation = proven[which].relation;
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(first), Int32GetDatum(last) };
	HTAB *table = load_proofs(site, which, first, last);
	int n = db_run(&proven[which].rows, args);
	SPITupleTable *rows = SPI_tuptable;
	HASH_SEQ_STATUS scan;
	Proof *proof;
	int i;

	for (i = 0; i < n; i++)
	{
		char *key = row_key(rows->vals[i], rows->tupdesc, proven[which].n_key);
		uint8 hash[DIGEST_BYTES];

		CHECK_FOR_INTERRUPTS();
		proof = hash_search(table, key, HASH_FIND, NULL);
		if (proof == NULL)
		{
			add_fault(faults, psprintf("%s (%s) was added behind our back", relation, key));
			continue;
		}
		proof->met = true;
		row_hash(rows->vals[i], rows->tupdesc, which, hash);
		if (memcmp(hash, proof->hash, DIGEST_BYTES) != 0)
			add_fault(faults, psprintf("%s (%s) was changed behind our back", relation, key));
	}
	hash_seq_init(&scan, table);
	while ((proof = hash_seq_search(&scan)) != NULL)
		if (!proof->met)
			add_fault(faults, psprintf("%s (%s) is missing", relation, proof->key));
	hash_destroy(table);
	SPI_freetuptable(rows);
}

/* Faults outlive the rows they were found in. */
static void
compare_apart(const Site *site, int which, int32 first, int32 last, Faults *faults)
{
	MemoryContext outer = CurrentMemoryContext;
	Faults found = { 0 };
	int i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	compare(site, which, first, last, &found);
	MemoryContextSwitchTo(outer);
	for (i = 0; i < found.n; i++)
		add_fault(faults, pstrdup(found.text[i]));
	SPI_finish();
}

static int32
last_id(const Site *site, int which)
{
	static DbQuery query = {
		"SELECT COALESCE(max(row_id), 0) FROM prepay.row_proof WHERE site_id = $1 AND relation = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(proven[which].relation) };

	db_run(&query, args);
	return db_int32(0, 1);
}

static void
compare_all(const Site *site, int which, Faults *faults)
{
	int32 end = proven[which].id ? last_id(site, which) : 0;
	int32 first = PG_INT32_MIN;
	int32 last;

	for (last = ID_STEP; last < end; last += ID_STEP)
	{
		compare_apart(site, which, first, last, faults);
		first = last + 1;
	}
	/* What lies beyond the proofs was added. */
	compare_apart(site, which, first, PG_INT32_MAX, faults);
}

char **
proof_faults(const Site *site, int32 account_id, const int32 *meter_id, int n_meter)
{
	Faults faults = { .room = 8, .text = palloc0(sizeof(char *) * 8) };
	int which;
	int m;

	for (which = 0; which < lengthof(proven); which++)
		if (account_id == 0)
			compare_all(site, which, &faults);
		else if (proven[which].of == OF_ACCOUNT)
			compare_apart(site, which, account_id, account_id, &faults);
		else if (proven[which].of == OF_METER)
			for (m = 0; m < n_meter; m++)
				compare_apart(site, which, meter_id[m], meter_id[m], &faults);
	return faults.text;
}

/* ---- what an anchor covers ---- */

int64
proof_anchor(const Site *site, int32 anchor_id)
{
	static DbQuery query = {
		"UPDATE prepay.row_proof SET anchor_id = $2 WHERE site_id = $1 AND anchor_id IS NULL",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(anchor_id) };

	return db_run(&query, args);
}

static void
add_to_digest(void *context, const Datum *value, const bool *isnull)
{
	uint8 *digest = context;
	char *head = psprintf("%s;%d;%s;%d;", TextDatumGetCString(value[0]), DatumGetInt32(value[1]),
						  TextDatumGetCString(value[2]), DatumGetInt32(value[3]));
	uint8 hash[DIGEST_BYTES] = { 0 };

	if (!isnull[4])
		(void) digest_from_datum(value[4], hash);
	digest_of(digest, DIGEST_BYTES, head, strlen(head), digest);
	digest_of(digest, DIGEST_BYTES, hash, DIGEST_BYTES, digest);
}

void
proof_digest(const Site *site, int32 anchor_id, uint8 *digest)
{
	static DbQuery query = {
		"SELECT relation, row_id, row_key, version, hash FROM prepay.row_proof"
		" WHERE site_id = $1 AND anchor_id = $2"
		" ORDER BY relation COLLATE \"C\", row_id, row_key COLLATE \"C\", version",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(anchor_id) };

	memset(digest, 0, DIGEST_BYTES);
	db_scan(&query, args, add_to_digest, digest);
}
