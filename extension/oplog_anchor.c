/*
 * oplog_anchor.c: the operators' log as the anchors of a site cover it.
 *
 * Who may change the log's rows may also drop the last ones and set the heads back. So each
 * anchor (anchor.c) writes down how far every chain had come that moved since the one before,
 * in `operator_log_anchor`, and covers these rows together with the hashes of the entries
 * they name. Chains of what belongs to no site are covered by the anchors of every site.
 */
#include "oplog.h"

#include "catalog/pg_type.h"
#include "common/cryptohash.h"

#include "db.h"
#include "ledger.h"

void
oplog_anchor(int32 site_id, int32 anchor_id)
{
	static DbQuery query = {
		"INSERT INTO prepay.operator_log_anchor (site_id, anchor_id, chain_site_id, operator, log_no)"
		" SELECT $1, $2, h.site_id, h.operator, h.last_no FROM prepay.operator_log_head h"
		" WHERE h.site_id IN (0, $1) AND h.last_no > COALESCE((SELECT max(a.log_no)"
		"  FROM prepay.operator_log_anchor a WHERE a.site_id = $1 AND a.chain_site_id = h.site_id"
		"  AND a.operator = h.operator), 0)",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site_id), Int32GetDatum(anchor_id) };

	db_run(&query, args);
}

char *
oplog_anchor_digest(int32 site_id, int32 anchor_id, uint8 *hash)
{
	static DbQuery query = {
		"SELECT concat_ws(' ', a.chain_site_id, a.log_no, a.operator), l.hash"
		" FROM prepay.operator_log_anchor a LEFT JOIN prepay.operator_log l"
		" ON l.site_id = a.chain_site_id AND l.operator = a.operator AND l.log_no = a.log_no"
		" WHERE a.site_id = $1 AND a.anchor_id = $2"
		" ORDER BY a.chain_site_id, a.operator COLLATE \"C\"",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site_id), Int32GetDatum(anchor_id) };
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	int n = db_run(&query, args);
	char *missing = NULL;
	int i;

	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, hash, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	for (i = 0; i < n; i++)
	{
		char *chain = db_text(i, 1);
		bool isnull;
		Datum value = db_value(i, 2, &isnull);
		bytea *stored = isnull ? NULL : DatumGetByteaPP(value);

		if (stored == NULL)
			missing = psprintf("an entry of the operators' log is missing (%s)", chain);
		else if (pg_cryptohash_update(context, (uint8 *) chain, strlen(chain) + 1) < 0 ||
				 pg_cryptohash_update(context, (uint8 *) VARDATA_ANY(stored),
									  VARSIZE_ANY_EXHDR(stored)) < 0)
			elog(ERROR, "could not compute SHA-256");
	}
	if (pg_cryptohash_final(context, hash, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
	return missing;
}
