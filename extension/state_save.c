/*
 * state_save.c: the hot rows of rating, written back in bulk.
 */
#include "state.h"

#include "utils/date.h"

#include "db.h"

/* What changes seldom: only for meters whose facts_dirty is set. */
static void
save_facts(const Site *site, Meter **meter, int n)
{
	static DbRowsQuery query = {
		"UPDATE prepay.meter_state s SET tariff_id = u.tariff_id, tariff_from = u.tariff_from,"
		" tariff_until = u.tariff_until, former_waits = u.former_waits, late_chain = u.late_chain"
		" FROM (SELECT $2 AS meter_id, $3 AS tariff_id, $4 AS tariff_from, $5 AS tariff_until,"
		" $6 AS former_waits, $7 AS late_chain) AS u"
		" WHERE s.site_id = $1 AND s.meter_id = u.meter_id",
		1,
		6,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID, BYTEAOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	DbRows rows = db_rows(&query, n);
	int i;

	for (i = 0; i < n; i++)
	{
		const Meter *m = meter[i];

		rows.value[0][i] = Int32GetDatum(m->meter_id);
		rows.value[1][i] = Int32GetDatum(m->tariff_id);
		rows.isnull[1][i] = m->tariff_id == 0;
		rows.value[2][i] = TimestampTzGetDatum(m->tariff_from);
		rows.value[3][i] = TimestampTzGetDatum(m->tariff_until);
		rows.value[4][i] = BoolGetDatum(m->former_waits);
		rows.value[5][i] = reading_chain_encode_late(&m->chain);
	}
	db_run_rows(&query, fixed, &rows);
}

#define METER_VALUES                                                                         \
	"UPDATE prepay.meter_state s SET last_read_at = u.read_at, register_wh = u.register_wh," \
	" reverse_wh = u.reverse_wh, kw = u.kw, relay_closed = u.relay_closed,"                  \
	" open_lines = u.open_lines, reading_chain = u.chain FROM (SELECT $2 AS meter_id,"       \
	" $3 AS read_at, $4 AS register_wh, $5 AS reverse_wh, $6 AS kw, $7 AS relay_closed,"     \
	" $8 AS open_lines, $9 AS chain"
#define METER_KEY " WHERE s.site_id = $1 AND s.meter_id = u.meter_id"
#define METER_TYPES \
	INT4OID, INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, NUMERICOID, BOOLOID, BYTEAOID, BYTEAOID
#define METER_PLACE 8

static DbRowsQuery meter_at_place = { METER_VALUES ", $10 AS place) AS u" METER_KEY
												   " AND s.ctid = u.place",
									  1,
									  METER_PLACE + 1,
									  { METER_TYPES, TIDOID } };
static DbRowsQuery meter_by_key = {
	METER_VALUES ") AS u" METER_KEY, 1, METER_PLACE, { METER_TYPES }
};

/*
 * By their places, when all are known: half the cost of a search by key. A place is that of
 * the row as it was locked, so it holds until this transaction writes the row; a row that is
 * not there any more under its key is found by the key, and so are all others again.
 */
static void
save_values(const Site *site, const DbRows *rows, bool by_place)
{
	Datum fixed[] = { Int32GetDatum(site->site_id) };

	if (!by_place || db_run_rows(&meter_at_place, fixed, rows) != rows->n)
		db_run_rows(&meter_by_key, fixed, rows);
}

void
meter_save_all(const Site *site, Meter **meter, int n)
{
	Meter **changed;
	ItemPointerData *place;
	bool by_place = true;
	int n_changed = 0;
	DbRows rows;
	int i;

	if (n == 0)
		return;
	rows = db_rows(&meter_at_place, n);
	changed = palloc(sizeof(Meter *) * n);
	place = palloc(sizeof(ItemPointerData) * n);
	for (i = 0; i < n; i++)
	{
		const Meter *m = meter[i];

		rows.value[0][i] = Int32GetDatum(m->meter_id);
		rows.value[1][i] = TimestampTzGetDatum(m->last_read_at);
		rows.isnull[1][i] = !m->has_register;
		rows.value[2][i] = Int64GetDatum(m->register_wh);
		rows.value[3][i] = Int64GetDatum(m->reverse_wh);
		rows.value[4][i] = m->kw;
		rows.isnull[4][i] = !m->has_kw;
		rows.value[5][i] = BoolGetDatum(m->relay_closed == 1);
		rows.isnull[5][i] = m->relay_closed < 0;
		rows.value[6][i] = lines_encode(&m->lines);
		rows.value[7][i] = reading_chain_encode(&m->chain);
		place[i] = m->place;
		rows.value[METER_PLACE][i] = PointerGetDatum(&place[i]);
		by_place &= ItemPointerIsValid(&m->place);
		if (meter[i]->facts_dirty)
			changed[n_changed++] = meter[i];
		meter[i]->facts_dirty = false;
		ItemPointerSetInvalid(&meter[i]->place);
	}
	save_values(site, &rows, by_place);
	if (n_changed > 0)
		save_facts(site, changed, n_changed);
}

/* What every posting moves, and most move nothing else. */
static void
set_head(const Account *account, DbRows *rows, int i)
{
	rows->value[0][i] = Int32GetDatum(account->account_id);
	rows->value[1][i] = Int32GetDatum(account->last_seq);
	rows->value[2][i] = digest_datum(account->last_hash);
	rows->isnull[2][i] = account->last_seq == 0;
	rows->value[3][i] = Int64GetDatum(account->posted_minor);
	rows->value[4][i] = Int64GetDatum(account->debt_minor);
	rows->value[5][i] = Int32GetDatum(account->purchases);
}

static void
save_heads(const Site *site, Account **account, int n)
{
	static DbRowsQuery query = {
		"UPDATE prepay.account_state s SET last_seq = u.last_seq, last_hash = u.last_hash,"
		" posted_minor = u.posted, debt_minor = u.debt, purchases = u.purchases"
		" FROM (SELECT $2 AS account_id, $3 AS last_seq, $4 AS last_hash, $5 AS posted,"
		" $6 AS debt, $7 AS purchases) AS u WHERE s.site_id = $1 AND s.account_id = u.account_id",
		1,
		6,
		{ INT4OID, INT4OID, INT4OID, BYTEAOID, INT8OID, INT8OID, INT4OID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	DbRows rows = db_rows(&query, n);
	int i;

	for (i = 0; i < n; i++)
		set_head(account[i], &rows, i);
	db_run_rows(&query, fixed, &rows);
}

static void
save_accounts(const Site *site, Account **account, int n)
{
	static DbRowsQuery query = {
		"UPDATE prepay.account_state s SET last_seq = u.last_seq, last_hash = u.last_hash,"
		" posted_minor = u.posted, debt_minor = u.debt, purchases = u.purchases,"
		" sealed_exact = u.sealed, sealed_to = u.sealed_to, tier_base = u.base,"
		" leaving_lines = u.leaving, quiet_above = u.above, quiet_below = u.below,"
		" waits_from = u.waits_from FROM (SELECT $2 AS account_id,"
		" $3 AS last_seq, $4 AS last_hash, $5 AS posted, $6 AS debt, $7 AS purchases,"
		" $8 AS sealed, $9 AS sealed_to, $10 AS base, $11 AS leaving, $12 AS above,"
		" $13 AS below, $14 AS waits_from) AS u"
		" WHERE s.site_id = $1 AND s.account_id = u.account_id",
		1,
		13,
		{ INT4OID, INT4OID, INT4OID, BYTEAOID, INT8OID, INT8OID, INT4OID, NUMERICOID, DATEOID,
		  BYTEAOID, BYTEAOID, INT8OID, INT8OID, DATEOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	DbRows rows = db_rows(&query, n);
	int i;

	for (i = 0; i < n; i++)
	{
		const Account *a = account[i];

		set_head(a, &rows, i);
		rows.value[6][i] = exact_numeric(a->sealed);
		rows.value[7][i] = DateADTGetDatum(a->sealed_to);
		rows.value[8][i] = positions_encode(site, &a->base);
		rows.value[9][i] = lines_encode(&a->leaving);
		rows.value[10][i] = Int64GetDatum(a->quiet.above);
		rows.value[11][i] = Int64GetDatum(a->quiet.below);
		rows.isnull[10][i] = rows.isnull[11][i] = !a->quiet.is_set;
		rows.value[12][i] = DateADTGetDatum(a->waits_from);
		rows.isnull[12][i] = a->waits_from == 0;
	}
	db_run_rows(&query, fixed, &rows);
}

void
account_save_all(const Site *site, Account *account, int n)
{
	Account **dirty = palloc(sizeof(Account *) * Max(n, 1));
	Account **moved = palloc(sizeof(Account *) * Max(n, 1));
	Meter **dirty_meter;
	int n_dirty = 0;
	int n_moved = 0;
	int n_meter = 0;
	int i;
	int m;

	for (i = 0; i < n; i++)
	{
		n_meter += account[i].n_meter;
		if (account[i].dirty)
			dirty[n_dirty++] = &account[i];
		else if (account[i].head_moved)
			moved[n_moved++] = &account[i];
		account[i].dirty = account[i].head_moved = false;
	}
	dirty_meter = palloc(sizeof(Meter *) * Max(n_meter, 1));
	n_meter = 0;
	for (i = 0; i < n; i++)
		for (m = 0; m < account[i].n_meter; m++)
			if (account[i].meter[m]->dirty)
			{
				account[i].meter[m]->dirty = false;
				dirty_meter[n_meter++] = account[i].meter[m];
			}
	if (n_dirty > 0)
		save_accounts(site, dirty, n_dirty);
	if (n_moved > 0)
		save_heads(site, moved, n_moved);
	meter_save_all(site, dirty_meter, n_meter);
}
