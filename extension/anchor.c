/*
 * anchor.c: what makes a rewritten or cut-off ledger visible.
 *
 * The chain of an account shows an edited entry, but who may edit one row may
 * recompute all that follow, or drop the last ones. An anchor is a hash over the
 * heads (account, seq, hash) of all accounts of the site at a moment, chained to
 * the anchor before and also written to the server log. Recomputing it from the
 * ledger as it stands fails as soon as any entry up to then was changed or lost.
 *
 * Beside the heads an anchor covers the row hashes (proof.c) and the ends of months of
 * readings (reading_chain.c) that came since the one before: they carry its number.
 */
#include "anchor.h"

#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "db.h"
#include "digest.h"
#include "ledger.h"
#include "oplog.h"
#include "proof.h"
#include "reading_chain.h"

static Datum
bytes_datum(const void *data, int n)
{
	bytea *value = palloc(VARHDRSZ + n);

	SET_VARSIZE(value, VARHDRSZ + n);
	memcpy(VARDATA(value), data, n);
	return PointerGetDatum(value);
}

static void
put_int32(StringInfo out, int32 value)
{
	uint32 net = pg_hton32((uint32) value);

	appendBinaryStringInfo(out, (char *) &net, sizeof(net));
}

/* What is said of an anchor besides what it covers. */
typedef struct Anchor
{
	int32 anchor_id;
	TimestampTz anchored_at;
	int32 accounts;
	int64 entries;
	int64 proofs;
	StringInfoData heads;  /* account and seq of each */
	StringInfoData hashes; /* of these entries */
} Anchor;

/* NULL, or what is missing of the operators' log. */
static const char *
anchor_digest(const Site *site, const uint8 *previous, const Anchor *anchor, uint8 *hash)
{
	uint8 covered[DIGEST_BYTES];
	char *text =
		psprintf("%d;" INT64_FORMAT ";%d;" INT64_FORMAT ";" INT64_FORMAT ";", anchor->anchor_id,
				 anchor->anchored_at, anchor->accounts, anchor->entries, anchor->proofs);

	digest_of(previous, DIGEST_BYTES, text, strlen(text), hash);
	digest_of(hash, DIGEST_BYTES, anchor->heads.data, anchor->heads.len, hash);
	digest_of(hash, DIGEST_BYTES, anchor->hashes.data, anchor->hashes.len, hash);
	proof_digest(site, anchor->anchor_id, covered);
	digest_of(hash, DIGEST_BYTES, covered, DIGEST_BYTES, hash);
	reading_chain_digest(site, anchor->anchor_id, covered);
	digest_of(hash, DIGEST_BYTES, covered, DIGEST_BYTES, hash);
	return oplog_anchor_digest(site->site_id, anchor->anchor_id, hash);
}

static void
last_anchor(const Site *site, int32 *anchor_id, TimestampTz *anchored_at, uint8 *hash)
{
	static DbQuery query = { "SELECT anchor_id, anchored_at, hash FROM prepay.anchor"
							 " WHERE site_id = $1 ORDER BY anchor_id DESC LIMIT 1",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	bool isnull;

	memset(hash, 0, LEDGER_HASH_BYTES);
	*anchor_id = 0;
	*anchored_at = DT_NOBEGIN;
	if (db_run(&query, &arg) == 0)
		return;
	*anchor_id = db_int32(0, 1);
	*anchored_at = db_time(0, 2);
	(void) digest_from_datum(db_value(0, 3, &isnull), hash);
}

/* The heads as they stand. */
static void
take_heads(const Site *site, Anchor *anchor)
{
	static DbQuery query = { "SELECT account_id, last_seq, last_hash FROM prepay.account_state"
							 " WHERE site_id = $1 AND last_seq > 0 ORDER BY account_id",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	int i;

	anchor->accounts = db_run(&query, &arg);
	for (i = 0; i < anchor->accounts; i++)
	{
		uint8 hash[DIGEST_BYTES];
		bool isnull;

		put_int32(&anchor->heads, db_int32(i, 1));
		put_int32(&anchor->heads, db_int32(i, 2));
		anchor->entries += db_int32(i, 2);
		(void) digest_from_datum(db_value(i, 3, &isnull), hash);
		appendBinaryStringInfo(&anchor->hashes, (char *) hash, DIGEST_BYTES);
	}
}

static void
store(const Site *site, const Anchor *anchor, const uint8 *hash)
{
	static DbQuery query = {
		"INSERT INTO prepay.anchor (site_id, anchor_id, anchored_at, accounts, entries, proofs,"
		" heads, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		8,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID, INT8OID, INT8OID, BYTEAOID, BYTEAOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(anchor->anchor_id),
					 TimestampTzGetDatum(anchor->anchored_at),
					 Int32GetDatum(anchor->accounts),
					 Int64GetDatum(anchor->entries),
					 Int64GetDatum(anchor->proofs),
					 bytes_datum(anchor->heads.data, anchor->heads.len),
					 digest_datum(hash) };
	char hex[DIGEST_BYTES * 2 + 1];

	db_run(&query, args);
	hex[hex_encode((const char *) hash, DIGEST_BYTES, hex)] = '\0';
	ereport(LOG, (errmsg("prepay anchor site=%s number=%d accounts=%d entries=" INT64_FORMAT
						 " proofs=" INT64_FORMAT " sha256=%s",
						 site->code, anchor->anchor_id, anchor->accounts, anchor->entries,
						 anchor->proofs, hex)));
}

void
anchor_tick(const Site *site)
{
	uint8 hash[DIGEST_BYTES];
	TimestampTz anchored_at;
	Anchor anchor = { .anchored_at = site->now };

	last_anchor(site, &anchor.anchor_id, &anchored_at, hash);
	if (anchor.anchor_id > 0 && site_local_day(site, anchored_at) >= site->today)
		return;
	initStringInfo(&anchor.heads);
	initStringInfo(&anchor.hashes);
	take_heads(site, &anchor);
	if (anchor.accounts == 0)
		return;
	anchor.anchor_id++;
	anchor.proofs =
		proof_anchor(site, anchor.anchor_id) + reading_chain_anchor(site, anchor.anchor_id);
	oplog_anchor(site->site_id, anchor.anchor_id);
	(void) anchor_digest(site, hash, &anchor, hash);
	store(site, &anchor, hash);
}

/* ---- looking ---- */

typedef struct HeadWork
{
	Anchor *anchor;
	int32 account_id; /* of the entry that is missing; 0: none */
	int32 seq;
} HeadWork;

static void
take_head(void *context, const Datum *value, const bool *isnull)
{
	HeadWork *work = context;
	uint8 hash[DIGEST_BYTES] = { 0 };

	if (!isnull[2])
		(void) digest_from_datum(value[2], hash);
	else if (work->account_id == 0)
	{
		work->account_id = DatumGetInt32(value[0]);
		work->seq = DatumGetInt32(value[1]);
	}
	appendBinaryStringInfo(&work->anchor->hashes, (char *) hash, DIGEST_BYTES);
}

/* Hashes of an anchor's heads as the ledger has them now; a fault where one is missing. */
static const char *
find_heads(const Site *site, Anchor *anchor)
{
	static DbQuery query = {
		"SELECT u.account_id, u.seq, e.hash FROM unnest($2::int[], $3::int[])"
		" WITH ORDINALITY AS u (account_id, seq, place) LEFT JOIN prepay.ledger_entry e"
		" ON e.site_id = $1 AND e.account_id = u.account_id AND e.seq = u.seq ORDER BY u.place",
		3,
		{ INT4OID, INT4ARRAYOID, INT4ARRAYOID }
	};
	int n = anchor->heads.len / (2 * sizeof(uint32));
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	int32 *seq = palloc(sizeof(int32) * Max(n, 1));
	HeadWork work = { .anchor = anchor };
	Datum args[3];
	int i;

	for (i = 0; i < n; i++)
	{
		uint32 net[2];

		memcpy(net, anchor->heads.data + i * sizeof(net), sizeof(net));
		account_id[i] = (int32) pg_ntoh32(net[0]);
		seq[i] = (int32) pg_ntoh32(net[1]);
	}
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(account_id, n);
	args[2] = db_array_int32(seq, n);
	db_scan(&query, args, take_head, &work);
	return work.account_id == 0
			   ? NULL
			   : psprintf("entry %d of account %d is missing", work.seq, work.account_id);
}

/* The next anchor after one, and its stored hash; false: there is none. */
static bool
next_anchor(const Site *site, int32 after, Anchor *anchor, uint8 *stored)
{
	static DbQuery query = {
		"SELECT anchor_id, anchored_at, accounts, entries, proofs, heads, hash FROM prepay.anchor"
		" WHERE site_id = $1 AND anchor_id > $2 ORDER BY anchor_id LIMIT 1",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(after) };
	bytea *heads;
	bool isnull;

	if (db_run(&query, args) == 0)
		return false;
	anchor->anchor_id = db_int32(0, 1);
	anchor->anchored_at = db_time(0, 2);
	anchor->accounts = db_int32(0, 3);
	anchor->entries = db_int64(0, 4);
	anchor->proofs = db_int64(0, 5);
	initStringInfo(&anchor->heads);
	initStringInfo(&anchor->hashes);
	heads = DatumGetByteaPP(db_value(0, 6, &isnull));
	appendBinaryStringInfo(&anchor->heads, VARDATA_ANY(heads), VARSIZE_ANY_EXHDR(heads));
	(void) digest_from_datum(db_value(0, 7, &isnull), stored);
	return true;
}

/* One anchor a call, in memory that is gone after it: heads of a large site are many. */
static bool
look_at_next(const Site *site, int32 *anchor_id, uint8 *previous, const char **fault)
{
	MemoryContext outer = CurrentMemoryContext;
	Anchor anchor;
	uint8 stored[DIGEST_BYTES];
	uint8 hash[DIGEST_BYTES];
	bool found;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	*fault = NULL;
	found = next_anchor(site, *anchor_id, &anchor, stored);
	if (found)
	{
		const char *missing;

		*fault = find_heads(site, &anchor);
		missing = anchor_digest(site, previous, &anchor, hash);
		if (*fault == NULL)
			*fault = missing;
		if (anchor.anchor_id != *anchor_id + 1)
			*fault = "the one before it is missing";
		else if (*fault == NULL && memcmp(hash, stored, DIGEST_BYTES) != 0)
			*fault = "it, or what it covers, is not what was anchored";
		*anchor_id = anchor.anchor_id;
		memcpy(previous, stored, DIGEST_BYTES);
		if (*fault)
			*fault = MemoryContextStrdup(outer, *fault);
	}
	SPI_finish();
	return found;
}

void
anchor_look(const Site *site, AnchorFault told, void *context)
{
	uint8 previous[DIGEST_BYTES] = { 0 };
	int32 anchor_id = 0;
	const char *fault;

	while (look_at_next(site, &anchor_id, previous, &fault))
		if (fault)
			told(context, psprintf("anchor %d: %s", anchor_id, fault));
}
