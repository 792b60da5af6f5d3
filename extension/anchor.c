/*
 * anchor.c: what makes a rewritten or cut-off ledger visible.
 *
 * The chain of an account shows an edited entry, but who may edit one row may
 * recompute all that follow, or drop the last ones. An anchor is a hash over the
 * heads (account, seq, hash) of all accounts of the site at a moment, chained to
 * the anchor before and also written to the server log. Recomputing it from the
 * ledger as it stands fails as soon as any entry up to then was changed or lost.
 */
#include "anchor.h"

#include "common/cryptohash.h"
#include "lib/stringinfo.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"

#include "db.h"
#include "ledger.h"
#include "oplog.h"

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

static void
digest(const uint8 *previous, StringInfo heads, StringInfo hashes, uint8 *hash)
{
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, previous, LEDGER_HASH_BYTES) < 0 ||
		pg_cryptohash_update(context, (uint8 *) heads->data, heads->len) < 0 ||
		pg_cryptohash_update(context, (uint8 *) hashes->data, hashes->len) < 0 ||
		pg_cryptohash_final(context, hash, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
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
	memcpy(hash, VARDATA_ANY(DatumGetByteaPP(db_value(0, 3, &isnull))), LEDGER_HASH_BYTES);
}

void
anchor_tick(const Site *site)
{
	static DbQuery select = { "SELECT account_id, last_seq, last_hash FROM prepay.account_state"
							  " WHERE site_id = $1 AND last_seq > 0 ORDER BY account_id",
							  1,
							  { INT4OID } };
	static DbQuery insert = {
		"INSERT INTO prepay.anchor (site_id, anchor_id, anchored_at, accounts, entries, heads, hash)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7)",
		7,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID, INT8OID, BYTEAOID, BYTEAOID }
	};
	Datum arg = Int32GetDatum(site->site_id);
	StringInfoData heads;
	StringInfoData hashes;
	uint8 hash[LEDGER_HASH_BYTES];
	char hex[LEDGER_HASH_BYTES * 2 + 1];
	TimestampTz anchored_at;
	int64 entries = 0;
	int32 anchor_id;
	int n;
	int i;

	last_anchor(site, &anchor_id, &anchored_at, hash);
	if (anchor_id > 0 && site_local_day(site, anchored_at) >= site->today)
		return;
	initStringInfo(&heads);
	initStringInfo(&hashes);
	n = db_run(&select, &arg);
	if (n == 0)
		return;
	for (i = 0; i < n; i++)
	{
		bool isnull;

		put_int32(&heads, db_int32(i, 1));
		put_int32(&heads, db_int32(i, 2));
		entries += db_int32(i, 2);
		appendBinaryStringInfo(&hashes, VARDATA_ANY(DatumGetByteaPP(db_value(i, 3, &isnull))),
							   LEDGER_HASH_BYTES);
	}
	digest(hash, &heads, &hashes, hash);
	oplog_anchor(site->site_id, anchor_id + 1);
	(void) oplog_anchor_digest(site->site_id, anchor_id + 1, hash);
	{
		Datum args[] = { arg,
						 Int32GetDatum(anchor_id + 1),
						 TimestampTzGetDatum(site->now),
						 Int32GetDatum(n),
						 Int64GetDatum(entries),
						 bytes_datum(heads.data, heads.len),
						 bytes_datum(hash, LEDGER_HASH_BYTES) };

		db_run(&insert, args);
	}
	hex_encode((char *) hash, LEDGER_HASH_BYTES, hex);
	hex[LEDGER_HASH_BYTES * 2] = '\0';
	ereport(LOG, (errmsg("prepay anchor site=%s number=%d accounts=%d entries=" INT64_FORMAT
						 " sha256=%s",
						 site->code, anchor_id + 1, n, entries, hex)));
}

/* Hash of each (account, seq) of an anchor as the ledger has it now; NULL where one is missing. */
static const char *
recompute(const Site *site, bytea *heads, const uint8 *previous, uint8 *hash)
{
	static DbQuery query = {
		"SELECT u.account_id, u.seq, e.hash FROM unnest($2::int[], $3::int[])"
		" WITH ORDINALITY AS u (account_id, seq, place) LEFT JOIN prepay.ledger_entry e"
		" ON e.site_id = $1 AND e.account_id = u.account_id AND e.seq = u.seq ORDER BY u.place",
		3,
		{ INT4OID, INT4ARRAYOID, INT4ARRAYOID }
	};
	const uint32 *pair = (const uint32 *) VARDATA_ANY(heads);
	int n = VARSIZE_ANY_EXHDR(heads) / (2 * sizeof(uint32));
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	int32 *seq = palloc(sizeof(int32) * Max(n, 1));
	StringInfoData text;
	StringInfoData hashes;
	Datum args[3];
	int i;

	for (i = 0; i < n; i++)
	{
		uint32 net[2];

		memcpy(net, pair + i * 2, sizeof(net));
		account_id[i] = (int32) pg_ntoh32(net[0]);
		seq[i] = (int32) pg_ntoh32(net[1]);
	}
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(account_id, n);
	args[2] = db_array_int32(seq, n);
	n = db_run(&query, args);
	initStringInfo(&hashes);
	for (i = 0; i < n; i++)
	{
		bool isnull;
		Datum value = db_value(i, 3, &isnull);

		if (isnull)
			return psprintf("entry %d of account %d is missing", db_int32(i, 2), db_int32(i, 1));
		appendBinaryStringInfo(&hashes, VARDATA_ANY(DatumGetByteaPP(value)), LEDGER_HASH_BYTES);
	}
	initStringInfo(&text);
	appendBinaryStringInfo(&text, VARDATA_ANY(heads), VARSIZE_ANY_EXHDR(heads));
	digest(previous, &text, &hashes, hash);
	return NULL;
}

char **
anchor_faults(const Site *site)
{
	static DbQuery query = { "SELECT anchor_id, heads, hash FROM prepay.anchor WHERE site_id = $1"
							 " ORDER BY anchor_id",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	uint8 previous[LEDGER_HASH_BYTES] = { 0 };
	int n = db_run(&query, &arg);
	SPITupleTable *rows = SPI_tuptable;
	char **faults = palloc0(sizeof(char *) * (n + 1));
	int n_faults = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		bool isnull;
		int32 anchor_id = DatumGetInt32(SPI_getbinval(rows->vals[i], rows->tupdesc, 1, &isnull));
		bytea *heads = DatumGetByteaPP(SPI_getbinval(rows->vals[i], rows->tupdesc, 2, &isnull));
		bytea *stored = DatumGetByteaPP(SPI_getbinval(rows->vals[i], rows->tupdesc, 3, &isnull));
		uint8 hash[LEDGER_HASH_BYTES];
		const char *fault = recompute(site, heads, previous, hash);

		if (fault == NULL)
			fault = oplog_anchor_digest(site->site_id, anchor_id, hash);
		if (fault == NULL && memcmp(hash, VARDATA_ANY(stored), LEDGER_HASH_BYTES) != 0)
			fault = "the ledger is not the one that was anchored";
		if (fault)
			faults[n_faults++] = psprintf("anchor %d: %s", anchor_id, fault);
		memcpy(previous, VARDATA_ANY(stored), LEDGER_HASH_BYTES);
	}
	return faults;
}
