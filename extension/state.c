#include "state.h"

#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/numeric.h"

#include "db.h"
#include "ledger.h"
#include "tariff_store.h"

#define METER_COLUMNS                                                                      \
	"s.meter_id, s.account_id, s.former_waits, s.ratio_e6, s.register_max_wh,"             \
	" s.reverse_add, s.rated_w, s.facts_from, s.tariff_id, s.tariff_from, s.tariff_until," \
	" s.last_read_at, s.register_wh, s.reverse_wh, s.kw, s.relay_closed, s.open_lines"
#define N_METER_COLUMNS 17

#define ACCOUNT_COLUMNS                                                             \
	"a.account_id, a.last_seq, a.last_hash, a.posted_minor, a.sealed_exact,"        \
	" a.sealed_to - date '2000-01-01', a.tier_base, a.tier_extra, a.leaving_lines," \
	" a.quiet_above, a.quiet_below, a.waits_from - date '2000-01-01', a.meters"
#define N_ACCOUNT_COLUMNS 13

static int64
int64_or(const Datum *value, const bool *isnull, int column, int64 absent)
{
	return isnull[column] ? absent : DatumGetInt64(value[column]);
}

static int32
int32_or(const Datum *value, const bool *isnull, int column, int32 absent)
{
	return isnull[column] ? absent : DatumGetInt32(value[column]);
}

/* Columns of METER_COLUMNS; open_lines is decoded by the caller once SPI rows are done with. */
static void
fill_meter(Meter *meter, const Datum *value, const bool *isnull, Datum *open_lines)
{
	memset(meter, 0, sizeof(*meter));
	meter->meter_id = DatumGetInt32(value[0]);
	meter->account_id = int32_or(value, isnull, 1, 0);
	meter->former_waits = DatumGetBool(value[2]);
	meter->ratio_e6 = DatumGetInt64(value[3]);
	meter->register_max_wh = int64_or(value, isnull, 4, 0);
	meter->reverse_add = DatumGetBool(value[5]);
	meter->rated_w = int64_or(value, isnull, 6, 0);
	meter->facts_from = DatumGetTimestampTz(value[7]);
	meter->tariff_id = int32_or(value, isnull, 8, 0);
	meter->tariff_from = isnull[9] ? DT_NOEND : DatumGetTimestampTz(value[9]);
	meter->tariff_until = isnull[10] ? DT_NOBEGIN : DatumGetTimestampTz(value[10]);
	meter->has_register = !isnull[11];
	meter->last_read_at = isnull[11] ? DT_NOBEGIN : DatumGetTimestampTz(value[11]);
	meter->register_wh = int64_or(value, isnull, 12, 0);
	meter->reverse_wh = int64_or(value, isnull, 13, -1);
	meter->has_kw = !isnull[14];
	if (meter->has_kw)
		meter->kw = PointerGetDatum(DatumGetNumericCopy(value[14]));
	meter->relay_closed = isnull[15] ? -1 : DatumGetBool(value[15]);
	*open_lines = value[16];
}

/* Fill from the last result; n rows. Decoding may run queries, so it comes after the rows. */
static Meter *
fill_meters(const Site *site, int n)
{
	Meter *meter = palloc(sizeof(Meter) * Max(n, 1));
	Datum *open_lines = palloc(sizeof(Datum) * Max(n, 1));
	Datum value[N_METER_COLUMNS];
	bool isnull[N_METER_COLUMNS];
	int i;

	for (i = 0; i < n; i++)
	{
		db_deform(i, value, isnull);
		fill_meter(&meter[i], value, isnull, &open_lines[i]);
	}
	for (i = 0; i < n; i++)
		lines_decode(site, open_lines[i], &meter[i].lines);
	return meter;
}

/* Columns of ACCOUNT_COLUMNS. */
static void
fill_account(Account *account, const Datum *value, const bool *isnull, Datum *leaving)
{
	memset(account, 0, sizeof(*account));
	account->account_id = DatumGetInt32(value[0]);
	account->last_seq = DatumGetInt32(value[1]);
	if (!isnull[2])
		memcpy(account->last_hash, VARDATA_ANY(DatumGetByteaPP(value[2])), LEDGER_HASH_BYTES);
	account->posted_minor = DatumGetInt64(value[3]);
	account->sealed = numeric_exact(value[4]);
	account->sealed_to = DatumGetInt32(value[5]);
	account->base_bytes = value[6];
	extra_decode(value[7], &account->extra);
	*leaving = value[8];
	account->quiet.is_set = !isnull[9];
	account->quiet.above = int64_or(value, isnull, 9, 0);
	account->quiet.below = int64_or(value, isnull, 10, 0);
	account->waits_from = int32_or(value, isnull, 11, 0);
	account->n_meter_all = DatumGetInt32(value[12]);
	account->rerate_from = PG_INT32_MAX;
}

static void
attach_meters(const Site *site, Account **account, int n_account, const int32 *account_id)
{
	static DbQuery query = { "SELECT " METER_COLUMNS " FROM prepay.meter_state s"
							 " WHERE s.site_id = $1 AND s.account_id = ANY ($2)"
							 " ORDER BY s.account_id, s.meter_id",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(account_id, n_account) };
	int n = db_run(&query, args);
	Meter *meter = fill_meters(site, n);
	Meter **list = palloc(sizeof(Meter *) * Max(n, 1));
	int a = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		while (account[a]->account_id != meter[i].account_id)
			a++;
		list[i] = &meter[i];
		if (account[a]->n_meter == 0)
			account[a]->meter = &list[i];
		account[a]->n_meter++;
		meter[i].account = account[a];
	}
}

#define ACCOUNT_SELECT                                       \
	"SELECT " ACCOUNT_COLUMNS " FROM prepay.account_state a" \
	" WHERE a.site_id = $1 AND a.account_id = ANY ($2) ORDER BY a.account_id"

static Account *
load_accounts(const Site *site, const int32 *account_id, int n, bool lock, int *n_account)
{
	static DbQuery locking = { ACCOUNT_SELECT " FOR NO KEY UPDATE", 2, { INT4OID, INT4ARRAYOID } };
	static DbQuery reading = { ACCOUNT_SELECT, 2, { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(account_id, n) };
	Account *account;
	Datum *leaving;
	int32 *sorted;
	Datum value[N_ACCOUNT_COLUMNS];
	bool isnull[N_ACCOUNT_COLUMNS];
	int i;

	*n_account = n == 0 ? 0 : db_run(lock ? &locking : &reading, args);
	account = palloc(sizeof(Account) * Max(*n_account, 1));
	leaving = palloc(sizeof(Datum) * Max(*n_account, 1));
	sorted = palloc(sizeof(int32) * Max(*n_account, 1));
	for (i = 0; i < *n_account; i++)
	{
		db_deform(i, value, isnull);
		fill_account(&account[i], value, isnull, &leaving[i]);
		sorted[i] = account[i].account_id;
	}
	for (i = 0; i < *n_account; i++)
	{
		lines_decode(site, leaving[i], &account[i].leaving);
		positions_decode(site, account[i].base_bytes, &account[i].base);
	}
	if (*n_account > 0)
	{
		Account **all = palloc(sizeof(Account *) * *n_account);

		for (i = 0; i < *n_account; i++)
			all[i] = &account[i];
		attach_meters(site, all, *n_account, sorted);
	}
	return account;
}

Account *
account_lock_all(const Site *site, const int32 *account_id, int n, int *n_account)
{
	return load_accounts(site, account_id, n, true, n_account);
}

Account *
account_read_all(const Site *site, const int32 *account_id, int n, int *n_account)
{
	return load_accounts(site, account_id, n, false, n_account);
}

/* Meters of these accounts that are not loaded yet; for accounts with several meters. */
static void
load_other_meters(const Site *site, Account *account, int n_account)
{
	int32 *several = palloc(sizeof(int32) * Max(n_account, 1));
	Account **owner = palloc(sizeof(Account *) * Max(n_account, 1));
	int n = 0;
	int i;

	for (i = 0; i < n_account; i++)
		if (account[i].n_meter < account[i].n_meter_all)
		{
			owner[n] = &account[i];
			several[n++] = account[i].account_id;
		}
	if (n == 0)
		return;
	for (i = 0; i < n; i++)
		owner[i]->n_meter = 0;
	attach_meters(site, owner, n, several);
}

Account *
account_lock_by_meters(const Site *site, const int32 *meter_id, int n, int *n_account)
{
	/*
	 * Both rows are locked: a meter row read under a snapshot from before the
	 * account's lock was granted could be stale. Rows come, and are locked, by account.
	 */
	static DbQuery query = { "SELECT " METER_COLUMNS ", " ACCOUNT_COLUMNS
							 " FROM prepay.meter_state s JOIN prepay.account_state a"
							 " ON a.site_id = s.site_id AND a.account_id = s.account_id"
							 " WHERE s.site_id = $1 AND s.meter_id = ANY ($2)"
							 " ORDER BY a.account_id, s.meter_id FOR NO KEY UPDATE OF a, s",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };
	int found = db_run(&query, args);
	Meter *meter = palloc(sizeof(Meter) * Max(found, 1));
	Meter **list = palloc(sizeof(Meter *) * Max(found, 1));
	Account *account = palloc(sizeof(Account) * Max(found, 1));
	Datum *lines = palloc(sizeof(Datum) * Max(found, 1));
	Datum *leaving = palloc(sizeof(Datum) * Max(found, 1));
	Datum value[N_METER_COLUMNS + N_ACCOUNT_COLUMNS];
	bool isnull[N_METER_COLUMNS + N_ACCOUNT_COLUMNS];
	int a = -1;
	int i;

	for (i = 0; i < found; i++)
	{
		db_deform(i, value, isnull);
		fill_meter(&meter[i], value, isnull, &lines[i]);
		if (a < 0 || account[a].account_id != meter[i].account_id)
		{
			a++;
			fill_account(&account[a], value + N_METER_COLUMNS, isnull + N_METER_COLUMNS,
						 &leaving[a]);
			account[a].meter = &list[i];
		}
		list[i] = &meter[i];
		meter[i].account = &account[a];
		account[a].n_meter++;
	}
	*n_account = a + 1;
	for (i = 0; i < found; i++)
		lines_decode(site, lines[i], &meter[i].lines);
	for (i = 0; i <= a; i++)
	{
		lines_decode(site, leaving[i], &account[i].leaving);
		positions_decode(site, account[i].base_bytes, &account[i].base);
	}
	load_other_meters(site, account, *n_account);
	return account;
}

Account *
account_lock(const Site *site, int32 account_id)
{
	int n;
	Account *account = account_lock_all(site, &account_id, 1, &n);

	if (n != 1)
		elog(ERROR, "account %d of site %d has no state", account_id, site->site_id);
	return account;
}

Meter *
meter_lock_unowned(const Site *site, const int32 *meter_id, int n, int *n_meter)
{
	static DbQuery query = { "SELECT " METER_COLUMNS " FROM prepay.meter_state s"
							 " WHERE s.site_id = $1 AND s.meter_id = ANY ($2)"
							 " AND s.account_id IS NULL"
							 " ORDER BY s.meter_id FOR NO KEY UPDATE OF s",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };

	*n_meter = db_run(&query, args);
	return fill_meters(site, *n_meter);
}

/* What changes seldom: only for meters whose facts_dirty is set. */
static void
save_facts(const Site *site, Meter **meter, int n)
{
	static DbRowsQuery query = {
		"UPDATE prepay.meter_state s SET tariff_id = u.tariff_id, tariff_from = u.tariff_from,"
		" tariff_until = u.tariff_until, former_waits = u.former_waits"
		" FROM (SELECT $2 AS meter_id, $3 AS tariff_id, $4 AS tariff_from, $5 AS tariff_until,"
		" $6 AS former_waits) AS u WHERE s.site_id = $1 AND s.meter_id = u.meter_id",
		1,
		5,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, BOOLOID }
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
	}
	db_run_rows(&query, fixed, &rows);
}

void
meter_save_all(const Site *site, Meter **meter, int n)
{
	static DbRowsQuery query = {
		"UPDATE prepay.meter_state s SET last_read_at = u.read_at, register_wh = u.register_wh,"
		" reverse_wh = u.reverse_wh, kw = u.kw, relay_closed = u.relay_closed,"
		" open_lines = u.open_lines FROM (SELECT $2 AS meter_id, $3 AS read_at,"
		" $4 AS register_wh, $5 AS reverse_wh, $6 AS kw, $7 AS relay_closed, $8 AS open_lines)"
		" AS u WHERE s.site_id = $1 AND s.meter_id = u.meter_id",
		1,
		7,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT8OID, INT8OID, NUMERICOID, BOOLOID, BYTEAOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	Meter **changed;
	int n_changed = 0;
	DbRows rows;
	int i;

	if (n == 0)
		return;
	rows = db_rows(&query, n);
	changed = palloc(sizeof(Meter *) * n);
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
		if (meter[i]->facts_dirty)
			changed[n_changed++] = meter[i];
		meter[i]->facts_dirty = false;
	}
	db_run_rows(&query, fixed, &rows);
	if (n_changed > 0)
		save_facts(site, changed, n_changed);
}

static void
save_accounts(const Site *site, Account **account, int n)
{
	static DbRowsQuery query = {
		"UPDATE prepay.account_state s SET last_seq = u.last_seq, last_hash = u.last_hash,"
		" posted_minor = u.posted, sealed_exact = u.sealed, sealed_to = u.sealed_to,"
		" tier_base = u.base, leaving_lines = u.leaving, quiet_above = u.above,"
		" quiet_below = u.below, waits_from = u.waits_from FROM (SELECT $2 AS account_id,"
		" $3 AS last_seq, $4 AS last_hash, $5 AS posted, $6 AS sealed, $7 AS sealed_to,"
		" $8 AS base, $9 AS leaving, $10 AS above, $11 AS below, $12 AS waits_from) AS u"
		" WHERE s.site_id = $1 AND s.account_id = u.account_id",
		1,
		11,
		{ INT4OID, INT4OID, INT4OID, BYTEAOID, INT8OID, NUMERICOID, DATEOID, BYTEAOID, BYTEAOID,
		  INT8OID, INT8OID, DATEOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id) };
	DbRows rows = db_rows(&query, n);
	int i;

	for (i = 0; i < n; i++)
	{
		const Account *a = account[i];
		bytea *hash = palloc(VARHDRSZ + LEDGER_HASH_BYTES);

		SET_VARSIZE(hash, VARHDRSZ + LEDGER_HASH_BYTES);
		memcpy(VARDATA(hash), a->last_hash, LEDGER_HASH_BYTES);
		rows.value[0][i] = Int32GetDatum(a->account_id);
		rows.value[1][i] = Int32GetDatum(a->last_seq);
		rows.value[2][i] = PointerGetDatum(hash);
		rows.isnull[2][i] = a->last_seq == 0;
		rows.value[3][i] = Int64GetDatum(a->posted_minor);
		rows.value[4][i] = exact_numeric(a->sealed);
		rows.value[5][i] = DateADTGetDatum(a->sealed_to);
		rows.value[6][i] = positions_encode(site, &a->base);
		rows.value[7][i] = lines_encode(&a->leaving);
		rows.value[8][i] = Int64GetDatum(a->quiet.above);
		rows.value[9][i] = Int64GetDatum(a->quiet.below);
		rows.isnull[8][i] = rows.isnull[9][i] = !a->quiet.is_set;
		rows.value[10][i] = DateADTGetDatum(a->waits_from);
		rows.isnull[10][i] = a->waits_from == 0;
	}
	db_run_rows(&query, fixed, &rows);
}

void
account_save_all(const Site *site, Account *account, int n)
{
	Account **dirty = palloc(sizeof(Account *) * Max(n, 1));
	Meter **dirty_meter;
	int n_dirty = 0;
	int n_meter = 0;
	int i;
	int m;

	for (i = 0; i < n; i++)
	{
		n_meter += account[i].n_meter;
		if (account[i].dirty)
			dirty[n_dirty++] = &account[i];
		account[i].dirty = false;
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
	meter_save_all(site, dirty_meter, n_meter);
}
