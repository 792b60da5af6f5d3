/*
 * ledger.c: append-only entries of an account, chained by SHA-256.
 *
 * Invariants
 *   seq is 1, 2, 3, ... per account without a gap: it comes from the account's
 *   locked row, never from a sequence.
 *   balance_after(n) = balance_after(n - 1) + amount(n); the account's
 *   posted_minor equals the last balance_after.
 *   hash(n) = SHA-256(hash(n - 1) || canonical encoding of row n); hash(0) is 32
 *   zero bytes. The encoding is versioned, prefixes every field with its length
 *   and writes times as microseconds, so it does not depend on any setting.
 *
 * A crash at any point leaves either all of a statement's entries and the moved
 * heads, or nothing: both are written in one transaction.
 */
#include "ledger.h"

#include "common/cryptohash.h"
#include "access/xact.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "auth.h"
#include "db.h"

#define ENCODING_VERSION "1"

typedef struct PostedEntry
{
	int32 account_id;
	int32 seq;
	LedgerEntry entry;
	int64 balance_minor;
	uint8 hash[LEDGER_HASH_BYTES];
} PostedEntry;

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

void
ledger_hash(const uint8 *previous, const LedgerRow *row, uint8 *hash)
{
	StringInfoData text;
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	initStringInfo(&text);
	put_text(&text, ENCODING_VERSION);
	put_number(&text, row->site_id);
	put_number(&text, row->account_id);
	put_number(&text, row->seq);
	put_text(&text, row->kind);
	put_text(&text, row->amount);
	put_text(&text, row->balance_after);
	put_number(&text, row->booked_at);
	put_number(&text, row->recorded_at);
	put_number(&text, row->day);
	put_text(&text, row->key);
	put_number(&text, row->ref_seq);
	put_text(&text, row->operator_name);
	put_text(&text, row->tender);
	put_text(&text, row->till);
	put_number(&text, row->receipt_no);
	put_text(&text, row->note);
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, previous, LEDGER_HASH_BYTES) < 0 ||
		pg_cryptohash_update(context, (uint8 *) text.data, text.len) < 0 ||
		pg_cryptohash_final(context, hash, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
	pfree(text.data);
}

void
ledger_begin(Posting *posting, const Site *site)
{
	memset(posting, 0, sizeof(*posting));
	posting->site = site;
}

int32
ledger_post(Posting *posting, Account *account, const LedgerEntry *entry)
{
	PostedEntry *posted;

	Assert(posting->site != NULL);
	if (posting->n == posting->room)
	{
		posting->room = Max(8, posting->room * 2);
		posting->entry = core_realloc(posting->entry, sizeof(PostedEntry) * posting->room);
	}
	posted = &posting->entry[posting->n];
	if (pg_add_s64_overflow(account->posted_minor, entry->amount_minor, &account->posted_minor))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("the balance of the account would be out of range")));
	account->last_seq++;
	account->dirty = true;
	posted->account_id = account->account_id;
	posted->seq = account->last_seq;
	posted->entry = *entry;
	posted->balance_minor = account->posted_minor;
	{
		char amount[MONEY_TEXT_MAX];
		char balance[MONEY_TEXT_MAX];
		LedgerRow row = { .site_id = posting->site->site_id,
						  .account_id = account->account_id,
						  .seq = account->last_seq,
						  .kind = entry->kind,
						  .amount = amount,
						  .balance_after = balance,
						  .booked_at = posting->site->now,
						  .recorded_at = GetCurrentTransactionStartTimestamp(),
						  .day = entry->day,
						  .key = entry->key,
						  .ref_seq = entry->ref_seq,
						  .operator_name = auth_operator(),
						  .tender = entry->tender,
						  .till = entry->till,
						  .receipt_no = entry->receipt_no,
						  .note = entry->note };

		minor_format(entry->amount_minor, posting->site->decimals, amount);
		minor_format(account->posted_minor, posting->site->decimals, balance);
		ledger_hash(account->last_hash, &row, posted->hash);
	}
	memcpy(account->last_hash, posted->hash, LEDGER_HASH_BYTES);
	posting->n++;
	return account->last_seq;
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
set_text(DbRows *rows, int column, int row, const char *text)
{
	rows->value[column][row] = db_text_datum(text);
	rows->isnull[column][row] = text == NULL;
}

void
ledger_flush(Posting *posting)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.ledger_entry (site_id, booked_at, recorded_at, operator, account_id,"
		" seq, kind, amount, balance_after, day, key, ref_seq, tender, till, receipt_no, note,"
		" hash) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17",
		4,
		13,
		{ INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, INT4OID, INT4OID, TEXTOID, NUMERICOID,
		  NUMERICOID, DATEOID, TEXTOID, INT4OID, TEXTOID, TEXTOID, INT8OID, TEXTOID, BYTEAOID }
	};
	Datum fixed[] = { Int32GetDatum(posting->site->site_id),
					  TimestampTzGetDatum(posting->site->now),
					  TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
					  CStringGetTextDatum(auth_operator()) };
	int decimals = posting->site->decimals;
	DbRows rows;
	int i;

	if (posting->n == 0)
		return;
	rows = db_rows(&query, posting->n);
	for (i = 0; i < posting->n; i++)
	{
		const PostedEntry *posted = &posting->entry[i];
		const LedgerEntry *entry = &posted->entry;

		rows.value[0][i] = Int32GetDatum(posted->account_id);
		rows.value[1][i] = Int32GetDatum(posted->seq);
		set_text(&rows, 2, i, entry->kind);
		rows.value[3][i] = minor_numeric(entry->amount_minor, decimals);
		rows.value[4][i] = minor_numeric(posted->balance_minor, decimals);
		rows.value[5][i] = DateADTGetDatum(entry->day);
		set_text(&rows, 6, i, entry->key);
		rows.value[7][i] = Int32GetDatum(entry->ref_seq);
		rows.isnull[7][i] = entry->ref_seq == 0;
		set_text(&rows, 8, i, entry->tender);
		set_text(&rows, 9, i, entry->till);
		rows.value[10][i] = Int64GetDatum(entry->receipt_no);
		rows.isnull[10][i] = entry->receipt_no == 0;
		set_text(&rows, 11, i, entry->note);
		rows.value[12][i] = hash_datum(posted->hash);
	}
	db_run_rows(&query, fixed, &rows);
	posting->n = 0;
}
