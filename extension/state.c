#include "state.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "db.h"
#include "ledger.h"
#include "tariff_store.h"

#define METER_COLUMNS                                                                      \
	"s.meter_id, s.account_id, s.former_waits, s.ratio_e6, s.register_max_wh,"             \
	" s.reverse_add, s.rated_w, s.facts_from, s.tariff_id, s.tariff_from, s.tariff_until," \
	" s.last_read_at, s.register_wh, s.reverse_wh, s.kw, s.relay_closed, s.open_lines"
#define N_METER_COLUMNS 17

#define ACCOUNT_COLUMNS                                                                \
	"a.account_id, a.last_seq, a.last_hash, a.posted_minor, a.sealed_exact,"           \
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
	static DbQuery query = {
		"UPDATE prepay.meter_state s SET tariff_id = NULLIF(u.tariff_id, 0),"
		" tariff_from = u.tariff_from, tariff_until = u.tariff_until,"
		" former_waits = u.former_waits"
		" FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[], $6::bool[])"
		" AS u (meter_id, tariff_id, tariff_from, tariff_until, former_waits)"
		" WHERE s.site_id = $1 AND s.meter_id = u.meter_id",
		6,
		{ INT4OID, INT4ARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
		  BOOLARRAYOID }
	};
	int32 *id = palloc(sizeof(int32) * n);
	int32 *tariff = palloc(sizeof(int32) * n);
	int64 *from = palloc(sizeof(int64) * n);
	int64 *until = palloc(sizeof(int64) * n);
	Datum *former_waits = palloc(sizeof(Datum) * n);
	Datum args[6];
	int kept = 0;
	int i;

	for (i = 0; i < n; i++)
	{
		if (!meter[i]->facts_dirty)
			continue;
		meter[i]->facts_dirty = false;
		id[kept] = meter[i]->meter_id;
		tariff[kept] = meter[i]->tariff_id;
		from[kept] = meter[i]->tariff_from;
		until[kept] = meter[i]->tariff_until;
		former_waits[kept++] = BoolGetDatum(meter[i]->former_waits);
	}
	if (kept == 0)
		return;
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(id, kept);
	args[2] = db_array_int32(tariff, kept);
	args[3] = db_array_time(from, kept);
	args[4] = db_array_time(until, kept);
	args[5] = db_array(former_waits, NULL, kept, BOOLOID);
	db_run(&query, args);
}

void
meter_save_all(const Site *site, Meter **meter, int n)
{
	static DbQuery query = {
		"UPDATE prepay.meter_state s SET last_read_at = NULLIF(u.read_at, '-infinity'),"
		" register_wh = u.register_wh, reverse_wh = u.reverse_wh, kw = u.kw,"
		" relay_closed = u.relay_closed, open_lines = u.open_lines"
		" FROM unnest($2::int[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::numeric[],"
		" $7::boolean[], $8::bytea[]) AS u (meter_id, read_at, register_wh, reverse_wh, kw,"
		" relay_closed, open_lines) WHERE s.site_id = $1 AND s.meter_id = u.meter_id",
		8,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID,
		  BOOLARRAYOID, BYTEAARRAYOID }
	};
	int32 *id = palloc(sizeof(int32) * Max(n, 1));
	int64 *read_at = palloc(sizeof(int64) * Max(n, 1));
	int64 *register_wh = palloc(sizeof(int64) * Max(n, 1));
	int64 *reverse_wh = palloc(sizeof(int64) * Max(n, 1));
	Datum *column[3];
	bool *isnull[3];
	Datum args[8];
	int c;
	int i;

	if (n == 0)
		return;
	for (c = 0; c < 3; c++)
	{
		column[c] = palloc(sizeof(Datum) * n);
		isnull[c] = palloc0(sizeof(bool) * n);
	}
	for (i = 0; i < n; i++)
	{
		const Meter *m = meter[i];

		id[i] = m->meter_id;
		read_at[i] = m->has_register ? m->last_read_at : DT_NOBEGIN;
		register_wh[i] = m->register_wh;
		reverse_wh[i] = m->reverse_wh;
		column[0][i] = m->kw;
		isnull[0][i] = !m->has_kw;
		column[1][i] = BoolGetDatum(m->relay_closed == 1);
		isnull[1][i] = m->relay_closed < 0;
		column[2][i] = lines_encode(&m->lines);
	}
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(id, n);
	args[2] = db_array_time(read_at, n);
	args[3] = db_array_int64(register_wh, n);
	args[4] = db_array_int64(reverse_wh, n);
	args[5] = db_array(column[0], isnull[0], n, NUMERICOID);
	args[6] = db_array(column[1], isnull[1], n, BOOLOID);
	args[7] = db_array(column[2], isnull[2], n, BYTEAOID);
	db_run(&query, args);
	save_facts(site, meter, n);
}

static void
save_accounts(const Site *site, Account **account, int n)
{
	static DbQuery query = {
		"UPDATE prepay.account_state s SET last_seq = u.last_seq, last_hash = u.last_hash,"
		" posted_minor = u.posted, sealed_exact = u.sealed,"
		" sealed_to = date '2000-01-01' + u.sealed_to, tier_base = u.base,"
		" leaving_lines = u.leaving, quiet_above = u.above, quiet_below = u.below,"
		" waits_from = date '2000-01-01' + NULLIF(u.waits_from, 0)"
		" FROM unnest($2::int[], $3::int[], $4::bytea[], $5::bigint[], $6::numeric[], $7::int[],"
		" $8::bytea[], $9::bytea[], $10::bigint[], $11::bigint[], $12::int[]) AS u (account_id,"
		" last_seq, last_hash, posted, sealed, sealed_to, base, leaving, above, below, waits_from)"
		" WHERE s.site_id = $1 AND s.account_id = u.account_id",
		12,
		{ INT4OID, INT4ARRAYOID, INT4ARRAYOID, BYTEAARRAYOID, INT8ARRAYOID, NUMERICARRAYOID,
		  INT4ARRAYOID, BYTEAARRAYOID, BYTEAARRAYOID, INT8ARRAYOID, INT8ARRAYOID, INT4ARRAYOID }
	};
	static const Oid type[12] = { 0,	   INT4OID,	 INT4OID,  BYTEAOID, INT8OID, NUMERICOID,
								  INT4OID, BYTEAOID, BYTEAOID, INT8OID,	 INT8OID, INT4OID };
	Datum *column[12];
	bool *isnull[12];
	Datum args[12];
	int c;
	int i;

	for (c = 1; c < 12; c++)
	{
		column[c] = palloc(sizeof(Datum) * n);
		isnull[c] = palloc0(sizeof(bool) * n);
	}
	for (i = 0; i < n; i++)
	{
		const Account *a = account[i];
		bytea *hash = palloc(VARHDRSZ + LEDGER_HASH_BYTES);

		SET_VARSIZE(hash, VARHDRSZ + LEDGER_HASH_BYTES);
		memcpy(VARDATA(hash), a->last_hash, LEDGER_HASH_BYTES);
		column[1][i] = Int32GetDatum(a->account_id);
		column[2][i] = Int32GetDatum(a->last_seq);
		column[3][i] = PointerGetDatum(hash);
		isnull[3][i] = a->last_seq == 0;
		column[4][i] = Int64GetDatum(a->posted_minor);
		column[5][i] = exact_numeric(a->sealed);
		column[6][i] = Int32GetDatum(a->sealed_to);
		column[7][i] = positions_encode(site, &a->base);
		column[8][i] = lines_encode(&a->leaving);
		column[9][i] = Int64GetDatum(a->quiet.above);
		column[10][i] = Int64GetDatum(a->quiet.below);
		isnull[9][i] = isnull[10][i] = !a->quiet.is_set;
		column[11][i] = Int32GetDatum(a->waits_from);
	}
	args[0] = Int32GetDatum(site->site_id);
	for (c = 1; c < 12; c++)
		args[c] = db_array(column[c], isnull[c], n, type[c]);
	db_run(&query, args);
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
