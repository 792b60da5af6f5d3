/*
 * pay_verify.c: payments against the ledger: what verify() asks.
 *
 * An order is paid, or a kept payment credited, where there is a posting with the key of
 * its payment, in its account and of its amount; and every posting of a payment has one.
 */
#include "pay.h"

#include "db.h"

char **
pay_faults(const Site *site)
{
	static DbQuery query = {
		"WITH credited AS ("
		" SELECT channel || ':' || transaction_no AS key, account_id, seq, amount,"
		"  'order ' || order_no AS what FROM prepay.payment_order"
		"  WHERE site_id = $1 AND state = 'paid'"
		" UNION ALL SELECT channel || ':' || transaction_no, into_account_id, seq, amount,"
		"  'kept payment ' || unapplied_id FROM prepay.payment_unapplied"
		"  WHERE site_id = $1 AND state = 'credited')"
		" SELECT format('%s is credited, and entry %s is not that of payment \"%s\"', c.what, c.seq,"
		"  c.key) FROM credited c"
		"  LEFT JOIN prepay.posting p ON p.site_id = $1 AND p.key = c.key"
		"   AND p.account_id = c.account_id AND p.seq = c.seq"
		"  LEFT JOIN prepay.ledger_entry e ON e.site_id = $1 AND e.account_id = p.account_id"
		"   AND e.seq = p.seq AND e.amount + COALESCE(e.fee, 0) = c.amount WHERE e.seq IS NULL"
		" UNION ALL SELECT format('entry %s is of payment \"%s\", and no order has it', p.seq, p.key)"
		"  FROM prepay.posting p LEFT JOIN credited c ON c.key = p.key"
		"  WHERE p.site_id = $1 AND p.operation = 'pay' AND c.key IS NULL ORDER BY 1",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(site->site_id);
	int n = db_run(&query, &arg);
	char **fault = palloc0(sizeof(char *) * (n + 1));
	int i;

	for (i = 0; i < n; i++)
		fault[i] = db_text(i, 1);
	return fault;
}
