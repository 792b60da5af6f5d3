/*
 * ledger.c: append-only entries of an account, chained by SHA-256.
 *
 * Invariants
 *   seq is 1, 2, 3, ... per account without a gap: it comes from the account's
 *   locked row, never from a sequence.
 *   balance_after(n) = balance_after(n - 1) + amount(n); the account's
 *   posted_minor equals the last balance_after. debt and debt_after run beside
 *   it the same way, in the entries that have them; debt_after is never negative.
 *   hash(n) = SHA-256(hash(n - 1) || canonical encoding of row n); hash(0) is 32
 *   zero bytes. The encoding is versioned, prefixes every field with its length
 *   and writes times as microseconds, so it does not depend on any setting. Of an
 *   entry that books usage it ends with the digest of the lines booked with it.
 *
 * A crash at any point leaves either all of a statement's entries and the moved
 * heads, or nothing: both are written in one transaction.
 */
#include "ledger.h"

#include "access/xact.h"
#include "common/int.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/date.h"

#include "auth.h"
#include "db.h"
#include "digest.h"
#include "login.h"

#define ENCODING_VERSION "1"

typedef struct PostedEntry
{
	Account *account;
	int32 seq;
	LedgerEntry entry;
	int64 balance_minor;
	int64 debt_after_minor;
	uint8 usage[DIGEST_BYTES];
	uint8 hash[LEDGER_HASH_BYTES];
} PostedEntry;

static void
put_text(StringInfo out, const char *text)
{
	size_t length = text ? strlen(text) : 0;
	char prefix[MAXINT8LEN + 1];

	if (text)
	{
		appendBinaryStringInfo(out, prefix, pg_ltoa((int32) length, prefix));
		appendStringInfoChar(out, ':');
		appendBinaryStringInfo(out, text, length);
	}
	else
		appendStringInfoChar(out, '-');
	appendStringInfoChar(out, ';');
}

static void
put_number(StringInfo out, int64 number)
{
	char text[MAXINT8LEN + 1];

	(void) pg_lltoa(number, text);
	put_text(out, text);
}

static void
put_digest(StringInfo out, const uint8 *digest)
{
	char hex[DIGEST_BYTES * 2 + 1];

	if (digest)
		hex[hex_encode((const char *) digest, DIGEST_BYTES, hex)] = '\0';
	put_text(out, digest ? hex : NULL);
}

void
ledger_hash(const uint8 *previous, const LedgerRow *row, uint8 *hash)
{
	StringInfoData text;

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
	put_text(&text, row->call);
	put_number(&text, row->ref_seq);
	put_text(&text, row->operator_name);
	put_text(&text, row->tender);
	put_text(&text, row->till);
	put_number(&text, row->receipt_no);
	put_text(&text, row->note);
	put_text(&text, row->debt);
	put_text(&text, row->debt_after);
	put_text(&text, row->fee);
	put_number(&text, row->purchase_no);
	put_text(&text, row->price);
	put_number(&text, row->other_account_id);
	put_digest(&text, row->usage);
	digest_of(previous, LEDGER_HASH_BYTES, text.data, text.len, hash);
	pfree(text.data);
}

void
ledger_begin(Posting *posting, const Site *site)
{
	memset(posting, 0, sizeof(*posting));
	posting->site = site;
}

/* Amount as text, or NULL for an entry that has none of it. */
static char *
amount_text(const Site *site, bool given, int64 minor)
{
	char *text;

	if (!given)
		return NULL;
	text = palloc(MONEY_TEXT_MAX);
	minor_format(minor, site->decimals, text);
	return text;
}

static void
chain(const Site *site, PostedEntry *posted)
{
	const LedgerEntry *entry = &posted->entry;
	Account *account = posted->account;
	LedgerRow row = { .site_id = site->site_id,
					  .account_id = account->account_id,
					  .seq = posted->seq,
					  .kind = entry->kind,
					  .amount = amount_text(site, true, entry->amount_minor),
					  .balance_after = amount_text(site, true, posted->balance_minor),
					  .booked_at = site->now,
					  .recorded_at = GetCurrentTransactionStartTimestamp(),
					  .day = entry->day,
					  .key = entry->key,
					  .call = entry->call,
					  .ref_seq = entry->ref_seq,
					  .operator_name = auth_operator(),
					  .tender = entry->tender,
					  .till = entry->till,
					  .receipt_no = entry->receipt_no,
					  .note = entry->note,
					  .debt = amount_text(site, entry->debt_minor != 0, entry->debt_minor),
					  .debt_after =
						  amount_text(site, entry->debt_minor != 0, posted->debt_after_minor),
					  .fee = amount_text(site, entry->fee_minor != 0, entry->fee_minor),
					  .purchase_no = entry->purchase_no,
					  .price = entry->price,
					  .other_account_id = entry->other_account_id,
					  .usage = entry->usage ? posted->usage : NULL };

	ledger_hash(account->last_hash, &row, posted->hash);
	memcpy(account->last_hash, posted->hash, LEDGER_HASH_BYTES);
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
	if (pg_add_s64_overflow(account->posted_minor, entry->amount_minor, &account->posted_minor) ||
		pg_add_s64_overflow(account->debt_minor, entry->debt_minor, &account->debt_minor))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
						errmsg("the balance of the account would be out of range")));
	if (account->debt_minor < 0)
		elog(ERROR, "debt of account %d would be negative", account->account_id);
	account->last_seq++;
	account->head_moved = true;
	posted->account = account;
	posted->seq = account->last_seq;
	posted->entry = *entry;
	posted->balance_minor = account->posted_minor;
	posted->debt_after_minor = account->debt_minor;
	if (entry->usage)
		memcpy(posted->usage, entry->usage, DIGEST_BYTES);
	posting->n++;
	return account->last_seq;
}

/* One row to insert; NULL where the entry has none of it. */
static void
set_row(const Site *site, const PostedEntry *posted, DbRows *rows, int i)
{
	const LedgerEntry *entry = &posted->entry;
	int c = 0;

#define SET(datum, absent) \
	(rows->isnull[c][i] = (absent), rows->value[c][i] = (absent) ? (Datum) 0 : (datum), c++)
	SET(Int32GetDatum(posted->account->account_id), false);
	SET(Int32GetDatum(posted->seq), false);
	SET(CStringGetTextDatum(entry->kind), false);
	SET(minor_numeric(entry->amount_minor, site->decimals), false);
	SET(minor_numeric(posted->balance_minor, site->decimals), false);
	SET(DateADTGetDatum(entry->day), false);
	SET(CStringGetTextDatum(entry->key), entry->key == NULL);
	SET(Int32GetDatum(entry->ref_seq), entry->ref_seq == 0);
	SET(CStringGetTextDatum(entry->tender), entry->tender == NULL);
	SET(CStringGetTextDatum(entry->till), entry->till == NULL);
	SET(Int64GetDatum(entry->receipt_no), entry->receipt_no == 0);
	SET(CStringGetTextDatum(entry->note), entry->note == NULL);
	SET(digest_datum(posted->hash), false);
	SET(minor_numeric(entry->debt_minor, site->decimals), entry->debt_minor == 0);
	SET(minor_numeric(posted->debt_after_minor, site->decimals), entry->debt_minor == 0);
	SET(minor_numeric(entry->fee_minor, site->decimals), entry->fee_minor == 0);
	SET(Int32GetDatum(entry->purchase_no), entry->purchase_no == 0);
	SET(numeric_from_text(entry->price), entry->price == NULL);
	SET(Int32GetDatum(entry->other_account_id), entry->other_account_id == 0);
#undef SET
}

void
ledger_set_call(Posting *posting, const char *call)
{
	int i;

	for (i = 0; i < posting->n; i++)
		if (posting->entry[i].entry.key)
			posting->entry[i].entry.call = call;
}

void
ledger_flush(Posting *posting)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.ledger_entry (site_id, booked_at, recorded_at, operator, account_id,"
		" seq, kind, amount, balance_after, day, key, ref_seq, tender, till, receipt_no, note,"
		" hash, debt, debt_after, fee, purchase_no, price, other_account_id)"
		" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18,"
		" $19, $20, $21, $22, $23",
		4,
		19,
		{ INT4OID,	  TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID,	  INT4OID,	INT4OID,
		  TEXTOID,	  NUMERICOID,	  NUMERICOID,	  DATEOID,	  TEXTOID,	INT4OID,
		  TEXTOID,	  TEXTOID,		  INT8OID,		  TEXTOID,	  BYTEAOID, NUMERICOID,
		  NUMERICOID, NUMERICOID,	  INT4OID,		  NUMERICOID, INT4OID }
	};
	Datum fixed[] = { Int32GetDatum(posting->site->site_id),
					  TimestampTzGetDatum(posting->site->now),
					  TimestampTzGetDatum(GetCurrentTransactionStartTimestamp()),
					  CStringGetTextDatum(auth_operator()) };
	DbRows rows;
	int i;

	if (posting->n == 0)
		return;
	login_record();
	rows = db_rows(&query, posting->n);
	for (i = 0; i < posting->n; i++)
	{
		chain(posting->site, &posting->entry[i]);
		set_row(posting->site, &posting->entry[i], &rows, i);
	}
	db_run_rows(&query, fixed, &rows);
	posting->n = 0;
}
