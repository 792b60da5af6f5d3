/*
 * purse_verify.c: the invariant of purse.c, added up from entries and commands.
 */
#include "purse.h"

#include "utils/builtins.h"

#include "db.h"

#define MAX_MOVE_FAULTS 1000

static char *
sum_fault(const Site *site, const Purse *purse)
{
	static DbQuery entries = {
		"SELECT COALESCE(sum(e.amount), 0)::text FROM prepay.ledger_entry e WHERE e.site_id = $1"
		" AND e.account_id = $2 AND e.seq > $3 AND (e.key IS NOT NULL OR e.seq <= $4)" PURSE_NOT_USAGE,
		4,
		{ INT4OID, INT4OID, INT4OID, INT4OID }
	};
	static DbQuery moves = {
		"SELECT COALESCE(sum(CASE WHEN c.action = 'withdraw' THEN -v.amount ELSE v.booked END)"
		" FILTER (WHERE c.status = 'done' OR (c.action = 'recharge'"
		"  AND c.status IN ('queued', 'sent', 'unknown'))), 0)::text FROM prepay.purse_move v"
		" JOIN prepay.command c USING (site_id, command_id) WHERE v.site_id = $1"
		" AND v.meter_id = $2 AND v.command_id > $3",
		3,
		{ INT4OID, INT4OID, INT8OID }
	};
	Datum entry_args[] = { Int32GetDatum(site->site_id), Int32GetDatum(purse->account_id),
						   Int32GetDatum(purse->start_seq), Int32GetDatum(purse->seen_seq) };
	Datum move_args[] = { Int32GetDatum(site->site_id), Int32GetDatum(purse->meter_id),
						  Int64GetDatum(purse->start_command) };
	int64 credits;
	int64 moved;

	db_run(&entries, entry_args);
	credits = purse->start + text_minor(site, db_text(0, 1));
	db_run(&moves, move_args);
	moved = text_minor(site, db_text(0, 1));
	if (credits == purse->here + purse->withdrawn + moved)
		return NULL;
	return psprintf("meter %d: the ledger has %s for it, %s went there and %s is kept here",
					purse->meter_id, vend_money(site, credits), vend_money(site, moved),
					vend_money(site, purse->here + purse->withdrawn));
}

/* Commands about money that no entry, request or order stands behind, or of another amount. */
static int
move_faults(const Site *site, int32 account_id, char **fault, int room)
{
	static DbQuery query = {
		"SELECT c.command_id FROM prepay.command c LEFT JOIN prepay.purse_move v"
		" USING (site_id, command_id) WHERE c.site_id = $1 AND ($2 = 0 OR c.account_id = $2)"
		" AND c.action IN ('recharge', 'withdraw') AND (v.command_id IS NULL"
		"  OR v.meter_id <> c.meter_id OR v.account_id <> c.account_id"
		"  OR (c.args ->> 'amount')::numeric IS DISTINCT FROM v.amount"
		"  OR (v.cause = 'posting' AND v.amount > COALESCE((SELECT sum(e.amount)"
		"   FROM prepay.ledger_entry e WHERE e.site_id = $1 AND e.account_id = v.account_id"
		"   AND e.key = v.key), 0))) ORDER BY c.command_id LIMIT $3",
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id), Int32GetDatum(room) };
	int n = db_run(&query, args);
	int i;

	for (i = 0; i < n; i++)
		fault[i] = psprintf("command " INT64_FORMAT
							" moves money that no posting, request or order stands behind",
							db_int64(i, 1));
	return n;
}

char **
purse_faults(const Site *site, int32 account_id)
{
	static DbQuery query = { "SELECT p.account_id FROM prepay.meter_purse p WHERE p.site_id = $1"
							 " AND ($2 = 0 OR p.account_id = $2) ORDER BY p.account_id",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };
	int n = db_run(&query, args);
	int32 *id = palloc(sizeof(int32) * Max(n, 1));
	char **fault = palloc0(sizeof(char *) * (n + MAX_MOVE_FAULTS + 1));
	int found;
	int i;

	for (i = 0; i < n; i++)
		id[i] = db_int32(i, 1);
	found = move_faults(site, account_id, fault, MAX_MOVE_FAULTS);
	for (i = 0; i < n; i++)
	{
		Purse purse;

		if (purse_peek_account(site, id[i], &purse))
			fault[found] = sum_fault(site, &purse);
		found += fault[found] != NULL;
	}
	return fault;
}
