/*
 * ledger.h: the one place where money is posted.
 */
#ifndef PREPAY_LEDGER_H
#define PREPAY_LEDGER_H

#include "postgres.h"

#include "digest.h"
#include "state.h"

#define LEDGER_HASH_BYTES DIGEST_BYTES

/* What is posted; NULL and 0 members are left empty. Texts live until ledger_flush(). */
typedef struct LedgerEntry
{
	const char *kind;
	int64 amount_minor; /* signed: what it does to the balance */
	int32 day;			/* local day it concerns */
	const char *key;
	const char *call; /* by ledger_set_call() */
	int32 ref_seq;	  /* entry it corrects or reverses */
	const char *tender;
	const char *till;
	int64 receipt_no;
	const char *note;
	int64 debt_minor;		/* signed: what it does to the debt owed beside the balance */
	int64 fee_minor;		/* service fee: money tendered is amount + fee */
	int32 purchase_no;		/* 1, 2, 3, ... over the account's sales */
	const char *price;		/* decimal text: of one kWh when it was sold */
	int32 other_account_id; /* the other side of a transfer */
	const uint8 *usage;		/* usage_digest() of the lines it books; copied */
} LedgerEntry;

/* Entries of one statement, written together by ledger_flush(). */
typedef struct Posting
{
	const Site *site;
	int n;
	int room;
	struct PostedEntry *entry;
} Posting;

extern void ledger_begin(Posting *posting, const Site *site);
/*
 * Post to a locked account: takes the next seq, moves the account's head. Returns the
 * seq. Nothing is hashed or written before ledger_flush(), which must come before
 * account_save_all() in the same statement; until then the account stays where it is.
 */
extern int32 ledger_post(Posting *posting, Account *account, const LedgerEntry *entry);
/* What is kept of the call under the entries' key: hashed with each of them. */
extern void ledger_set_call(Posting *posting, const char *call);
extern void ledger_flush(Posting *posting);

/* One row of ledger_entry as hashed: for verify(). */
typedef struct LedgerRow
{
	int32 site_id;
	int32 account_id;
	int32 seq;
	const char *kind;
	const char *amount; /* decimal text as stored */
	const char *balance_after;
	TimestampTz booked_at;
	TimestampTz recorded_at;
	int32 day;
	const char *key;  /* NULL: empty */
	const char *call; /* of its posting; NULL: it has none */
	int32 ref_seq;	  /* 0: empty */
	const char *operator_name;
	const char *tender;
	const char *till;
	int64 receipt_no; /* 0: empty */
	const char *note;
	const char *debt; /* NULL: it does nothing to the debt */
	const char *debt_after;
	const char *fee;
	int32 purchase_no;
	const char *price;
	int32 other_account_id;
	const uint8 *usage; /* usage_digest() of its lines; NULL: it has none */
} LedgerRow;

extern void ledger_hash(const uint8 *previous, const LedgerRow *row, uint8 *hash);

#endif
