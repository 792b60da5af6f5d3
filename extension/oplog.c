/*
 * oplog.c: the operators' log (操作日志), append-only and chained by SHA-256.
 *
 * Every change of data and of rights is an entry of `operator_log`: by the trigger log_rows
 * where rows of configuration change, whoever changes them (oplog_row.c), by oplog_note()
 * where a function does what no such row shows. Money is in the ledger with its operator
 * and not written twice; readings and the agent's and tick()'s work are no operator's.
 *
 * Invariants
 *   log_no is 1, 2, 3, ... per site and operator without a gap, and
 *   hash(n) = SHA-256(hash(n - 1) || canonical encoding of row n); hash(0) is 32 zero
 *   bytes. The encoding prefixes every field with its length and writes times as numbers.
 *   `operator_log_head` has the last number and hash; its row lock makes the order.
 *
 * A chain belongs to a site, as everything does that may be distributed; what concerns no
 * single site (holidays, meter models) has site 0. The head is the last lock of all
 * (lock.h), held to the end of the transaction: two sessions that log in as the same
 * operator wait for each other's changes, never for each other's sales.
 *
 * A crash leaves entries and heads of whole transactions.
 */
#include "oplog.h"

#include "access/xact.h"
#include "common/cryptohash.h"
#include "lib/stringinfo.h"
#include "libpq/libpq-be.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#include "auth.h"
#include "clock.h"
#include "db.h"
#include "ledger.h"
#include "login.h"

#define ENCODING_VERSION "1"
#define ENTRY_BATCH 5000

typedef struct Chain
{
	int64 last_no;
	uint8 hash[LEDGER_HASH_BYTES];
} Chain;

/* A row as it is hashed; texts are NULL where the column is. */
typedef struct LogRow
{
	int32 site_id;
	int64 log_no;
	TimestampTz changed_at;
	TimestampTz recorded_at;
	const char *operator_name;
	const char *login;
	const char *role;
	const char *address;
	const char *application;
	const char *action;
	const char *object;
	const char *before;
	const char *after;
} LogRow;

/* ---- the chain ---- */

static void
put_text(StringInfo out, const char *text)
{
	if (text == NULL)
		appendStringInfoString(out, "-;");
	else
		appendStringInfo(out, "%d:%s;", (int) strlen(text), text);
}

static void
put_number(StringInfo out, int64 number)
{
	put_text(out, psprintf(INT64_FORMAT, number));
}

/* Move the chain on by a row. */
static void
chain_row(Chain *chain, const LogRow *row)
{
	StringInfoData text;
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	initStringInfo(&text);
	put_text(&text, ENCODING_VERSION);
	put_number(&text, row->site_id);
	put_text(&text, row->operator_name);
	put_number(&text, row->log_no);
	put_number(&text, row->changed_at);
	put_number(&text, row->recorded_at);
	put_text(&text, row->login);
	put_text(&text, row->role);
	put_text(&text, row->address);
	put_text(&text, row->application);
	put_text(&text, row->action);
	put_text(&text, row->object);
	put_text(&text, row->before);
	put_text(&text, row->after);
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, chain->hash, LEDGER_HASH_BYTES) < 0 ||
		pg_cryptohash_update(context, (uint8 *) text.data, text.len) < 0 ||
		pg_cryptohash_final(context, chain->hash, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
	pfree(text.data);
	chain->last_no = row->log_no;
}

static Datum
hash_datum(const uint8 *hash)
{
	bytea *value = palloc(VARHDRSZ + LEDGER_HASH_BYTES);

	SET_VARSIZE(value, VARHDRSZ + LEDGER_HASH_BYTES);
	memcpy(VARDATA(value), hash, LEDGER_HASH_BYTES);
	return PointerGetDatum(value);
}

static void
read_hash(uint64 row, int column, uint8 *hash)
{
	bool isnull;
	bytea *value = DatumGetByteaPP(db_value(row, column, &isnull));

	memset(hash, 0, LEDGER_HASH_BYTES);
	memcpy(hash, VARDATA_ANY(value), Min(VARSIZE_ANY_EXHDR(value), LEDGER_HASH_BYTES));
}

static void
lock_chain(int32 site_id, const char *operator_name, Chain *chain)
{
	static DbQuery query = {
		"INSERT INTO prepay.operator_log_head AS h (site_id, operator, last_no, last_hash)"
		" VALUES ($1, $2, 0, $3) ON CONFLICT (site_id, operator) DO UPDATE SET last_no = h.last_no"
		" RETURNING last_no, last_hash",
		3,
		{ INT4OID, TEXTOID, BYTEAOID }
	};
	uint8 zero[LEDGER_HASH_BYTES] = { 0 };
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(operator_name), hash_datum(zero) };

	db_run(&query, args);
	chain->last_no = db_int64(0, 1);
	read_hash(0, 2, chain->hash);
}

static void
save_chain(int32 site_id, const char *operator_name, const Chain *chain)
{
	static DbQuery query = { "UPDATE prepay.operator_log_head SET last_no = $3, last_hash = $4"
							 " WHERE site_id = $1 AND operator = $2",
							 4,
							 { INT4OID, TEXTOID, INT8OID, BYTEAOID } };
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(operator_name),
					 Int64GetDatum(chain->last_no), hash_datum(chain->hash) };

	db_run(&query, args);
}

/* ---- writing ---- */

static const char *
json_text(Jsonb *json)
{
	return json ? JsonbToCString(NULL, &json->root, VARSIZE(json)) : NULL;
}

/* Who, when and from where; what is filled in by entry. */
static LogRow
present_row(void)
{
	LogRow row = { .changed_at = clock_now(),
				   .recorded_at = GetCurrentTimestamp(),
				   .operator_name = auth_operator(),
				   .login = GetUserNameFromId(GetSessionUserId(), false),
				   .role = GetUserNameFromId(GetOuterUserId(), false),
				   .address = MyProcPort ? MyProcPort->remote_host : NULL };

	if (application_name && *application_name)
		row.application = application_name;
	return row;
}

static void
set_row(DbRows *rows, int i, const OplogEntry *entry, const Chain *chain)
{
	int c = 0;

#define SET(datum, absent) \
	(rows->isnull[c][i] = (absent), rows->value[c][i] = (absent) ? (Datum) 0 : (datum), c++)
	SET(Int32GetDatum(entry->site_id), false);
	SET(Int64GetDatum(chain->last_no), false);
	SET(CStringGetTextDatum(entry->action), false);
	SET(CStringGetTextDatum(entry->object), false);
	SET(JsonbPGetDatum(entry->before), entry->before == NULL);
	SET(JsonbPGetDatum(entry->after), entry->after == NULL);
	SET(hash_datum(chain->hash), false);
#undef SET
}

static void
insert_rows(const LogRow *row, const DbRows *rows)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.operator_log (operator, changed_at, recorded_at, login, role, address,"
		" application, site_id, log_no, action, object, before, after, hash)"
		" SELECT $1, $2, $3, $4, $5, NULLIF($6, ''), NULLIF($7, ''), $8, $9, $10, $11, $12, $13, $14",
		7,
		7,
		{ TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT4OID,
		  INT8OID, TEXTOID, TEXTOID, JSONBOID, JSONBOID, BYTEAOID }
	};
	Datum fixed[] = { CStringGetTextDatum(row->operator_name),
					  TimestampTzGetDatum(row->changed_at),
					  TimestampTzGetDatum(row->recorded_at),
					  CStringGetTextDatum(row->login),
					  CStringGetTextDatum(row->role),
					  CStringGetTextDatum(row->address ? row->address : ""),
					  CStringGetTextDatum(row->application ? row->application : "") };

	db_run_rows(&query, fixed, rows);
}

/* Entries first to first + n are of one site. */
static void
write_site(const OplogEntry *entry, int n)
{
	/* db_rows() wants to know the columns alone. */
	static const DbRowsQuery shape = { .n_column = 7 };
	LogRow row = present_row();
	DbRows rows = db_rows(&shape, n);
	Chain chain;
	int i;

	row.site_id = entry->site_id;
	lock_chain(row.site_id, row.operator_name, &chain);
	for (i = 0; i < n; i++)
	{
		row.log_no = chain.last_no + 1;
		row.action = entry[i].action;
		row.object = entry[i].object;
		row.before = json_text(entry[i].before);
		row.after = json_text(entry[i].after);
		chain_row(&chain, &row);
		set_row(&rows, i, &entry[i], &chain);
		CHECK_FOR_INTERRUPTS();
	}
	insert_rows(&row, &rows);
	save_chain(row.site_id, row.operator_name, &chain);
}

typedef struct Numbered
{
	OplogEntry entry;
	int place;
} Numbered;

static int
by_site(const void *a, const void *b)
{
	const Numbered *x = a;
	const Numbered *y = b;

	if (x->entry.site_id != y->entry.site_id)
		return x->entry.site_id < y->entry.site_id ? -1 : 1;
	return x->place - y->place;
}

static void
sort_by_site(OplogEntry *entry, int n)
{
	Numbered *numbered = palloc(sizeof(Numbered) * n);
	int i;

	for (i = 0; i < n; i++)
		numbered[i] = (Numbered){ entry[i], i };
	qsort(numbered, n, sizeof(Numbered), by_site);
	for (i = 0; i < n; i++)
		entry[i] = numbered[i].entry;
	pfree(numbered);
}

void
oplog_write(OplogEntry *entry, int n)
{
	int first = 0;
	int i;

	if (n > 0)
		login_record();
	if (n > 1)
		sort_by_site(entry, n);
	for (i = 1; i <= n; i++)
		if (i == n || entry[i].site_id != entry[first].site_id)
		{
			write_site(entry + first, i - first);
			first = i;
		}
}

void
oplog_note(int32 site_id, const char *action, const char *object, Jsonb *before, Jsonb *after)
{
	OplogEntry entry = { site_id, action, object, before, after };

	oplog_write(&entry, 1);
}

Jsonb *
oplog_members(const char *name, ...)
{
	JsonbParseState *state = NULL;
	va_list args;
	int n = 0;

	pushJsonbValue(&state, WJB_BEGIN_OBJECT, NULL);
	va_start(args, name);
	for (; name; name = va_arg(args, const char *))
	{
		const char *value = va_arg(args, const char *);
		JsonbValue member = { .type = jbvString };

		if (value == NULL)
			continue;
		member.val.string.val = unconstify(char *, name);
		member.val.string.len = strlen(name);
		pushJsonbValue(&state, WJB_KEY, &member);
		member.val.string.val = unconstify(char *, value);
		member.val.string.len = strlen(value);
		pushJsonbValue(&state, WJB_VALUE, &member);
		n++;
	}
	va_end(args);
	if (n == 0)
		return NULL;
	return JsonbValueToJsonb(pushJsonbValue(&state, WJB_END_OBJECT, NULL));
}

/* ---- looking ---- */

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

static void
stored_row(uint64 i, LogRow *row)
{
	row->log_no = db_int64(i, 1);
	row->changed_at = db_time(i, 2);
	row->recorded_at = db_time(i, 3);
	row->login = db_text(i, 4);
	row->role = db_text(i, 5);
	row->address = db_text(i, 6);
	row->application = db_text(i, 7);
	row->action = db_text(i, 8);
	row->object = db_text(i, 9);
	row->before = db_text(i, 10);
	row->after = db_text(i, 11);
}

static void
check_row(uint64 i, const LogRow *row, Chain *chain, Faults *faults)
{
	uint8 stored[LEDGER_HASH_BYTES];

	read_hash(i, 12, stored);
	if (row->log_no != chain->last_no + 1)
		add_fault(faults,
				  psprintf("operator %s: entry " INT64_FORMAT " follows entry " INT64_FORMAT,
						   row->operator_name, row->log_no, chain->last_no));
	chain_row(chain, row);
	if (memcmp(chain->hash, stored, LEDGER_HASH_BYTES) != 0)
		add_fault(faults, psprintf("operator %s: entry " INT64_FORMAT " was changed afterwards",
								   row->operator_name, row->log_no));
	memcpy(chain->hash, stored, LEDGER_HASH_BYTES);
}

static void
check_chain(int32 site_id, const char *operator_name, Chain *chain, Faults *faults)
{
	static DbQuery query = {
		"SELECT log_no, changed_at, recorded_at, login, role, address, application, action,"
		" object, before, after, hash FROM prepay.operator_log WHERE site_id = $1"
		" AND operator = $2 AND log_no > $3 ORDER BY log_no LIMIT " CppAsString2(ENTRY_BATCH),
		3,
		{ INT4OID, TEXTOID, INT8OID }
	};
	int n;

	memset(chain, 0, sizeof(*chain));
	do
	{
		Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(operator_name),
						 Int64GetDatum(chain->last_no) };
		LogRow row = { .site_id = site_id, .operator_name = operator_name };
		int i;

		n = db_run(&query, args);
		for (i = 0; i < n; i++)
		{
			CHECK_FOR_INTERRUPTS();
			stored_row(i, &row);
			check_row(i, &row, chain, faults);
		}
		SPI_freetuptable(SPI_tuptable);
	} while (n == ENTRY_BATCH);
}

static void
check_site(int32 site_id, Faults *faults)
{
	static DbQuery heads = {
		"SELECT COALESCE(h.operator, l.operator), COALESCE(h.last_no, 0), COALESCE(h.last_hash, '')"
		" FROM (SELECT operator, last_no, last_hash FROM prepay.operator_log_head"
		"  WHERE site_id = $1) h FULL JOIN (SELECT DISTINCT operator FROM prepay.operator_log"
		"  WHERE site_id = $1) l USING (operator) ORDER BY 1",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(site_id);
	int n = db_run(&heads, &arg);
	char **name = palloc(sizeof(char *) * Max(n, 1));
	Chain *head = palloc(sizeof(Chain) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		name[i] = db_text(i, 1);
		head[i].last_no = db_int64(i, 2);
		read_hash(i, 3, head[i].hash);
	}
	for (i = 0; i < n; i++)
	{
		Chain chain;

		check_chain(site_id, name[i], &chain, faults);
		if (chain.last_no != head[i].last_no ||
			memcmp(chain.hash, head[i].hash, LEDGER_HASH_BYTES) != 0)
			add_fault(faults, psprintf("operator %s: the log ends with entry " INT64_FORMAT
									   ", its head says " INT64_FORMAT,
									   name[i], chain.last_no, head[i].last_no));
	}
}

static void
check_anchored(int32 site_id, Faults *faults)
{
	static DbQuery query = {
		"SELECT DISTINCT a.anchor_id FROM prepay.operator_log_anchor a WHERE a.site_id = $1"
		" AND NOT EXISTS (SELECT FROM prepay.anchor n WHERE n.site_id = $1"
		"  AND n.anchor_id = a.anchor_id) ORDER BY 1",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(site_id);
	int n = db_run(&query, &arg);
	int i;

	for (i = 0; i < n; i++)
		add_fault(faults,
				  psprintf("anchor %d, which covered the log, is not there", db_int32(i, 1)));
}

char **
oplog_faults(int32 site_id)
{
	Faults faults = { .room = 8, .text = palloc0(sizeof(char *) * 8) };

	check_site(0, &faults);
	check_site(site_id, &faults);
	check_anchored(site_id, &faults);
	return faults.text;
}
