#include "state.h"

#include "utils/date.h"
#include "utils/memutils.h"
#include "utils/numeric.h"

#include "db.h"
#include "ledger.h"

enum
{
	METER_ID,
	METER_ACCOUNT_ID,
	METER_FORMER_WAITS,
	METER_RATIO,
	METER_REGISTER_MAX,
	METER_REVERSE_ADD,
	METER_RATED_W,
	METER_POWER_LIMIT,
	METER_FACTS_FROM,
	METER_TARIFF_ID,
	METER_TARIFF_FROM,
	METER_TARIFF_UNTIL,
	METER_LAST_READ_AT,
	METER_REGISTER,
	METER_REVERSE,
	METER_KW,
	METER_RELAY_CLOSED,
	METER_OPEN_LINES,
	METER_WATCHED,
	METER_CHAIN,
	METER_LATE_CHAIN,
	N_METER_COLUMNS
};

static DbRecord meter_record = {
	.n = N_METER_COLUMNS,
	.column = { [METER_ID] = "meter_id",
				[METER_ACCOUNT_ID] = "account_id",
				[METER_FORMER_WAITS] = "former_waits",
				[METER_RATIO] = "ratio_e6",
				[METER_REGISTER_MAX] = "register_max_wh",
				[METER_REVERSE_ADD] = "reverse_add",
				[METER_RATED_W] = "rated_w",
				[METER_POWER_LIMIT] = "power_limit_w",
				[METER_FACTS_FROM] = "facts_from",
				[METER_TARIFF_ID] = "tariff_id",
				[METER_TARIFF_FROM] = "tariff_from",
				[METER_TARIFF_UNTIL] = "tariff_until",
				[METER_LAST_READ_AT] = "last_read_at",
				[METER_REGISTER] = "register_wh",
				[METER_REVERSE] = "reverse_wh",
				[METER_KW] = "kw",
				[METER_RELAY_CLOSED] = "relay_closed",
				[METER_OPEN_LINES] = "open_lines",
				[METER_WATCHED] = "watched",
				[METER_CHAIN] = "reading_chain",
				[METER_LATE_CHAIN] = "late_chain" },
};

enum
{
	ACCOUNT_ID,
	ACCOUNT_LAST_SEQ,
	ACCOUNT_LAST_HASH,
	ACCOUNT_POSTED,
	ACCOUNT_SEALED_EXACT,
	ACCOUNT_SEALED_TO,
	ACCOUNT_TIER_BASE,
	ACCOUNT_TIER_EXTRA,
	ACCOUNT_LEAVING_LINES,
	ACCOUNT_QUIET_ABOVE,
	ACCOUNT_QUIET_BELOW,
	ACCOUNT_WAITS_FROM,
	ACCOUNT_METERS,
	ACCOUNT_DEBT,
	ACCOUNT_PURCHASES,
	ACCOUNT_CLOSED_ON,
	N_ACCOUNT_COLUMNS
};

static DbRecord account_record = {
	.n = N_ACCOUNT_COLUMNS,
	.column = { [ACCOUNT_ID] = "account_id",
				[ACCOUNT_LAST_SEQ] = "last_seq",
				[ACCOUNT_LAST_HASH] = "last_hash",
				[ACCOUNT_POSTED] = "posted_minor",
				[ACCOUNT_SEALED_EXACT] = "sealed_exact",
				[ACCOUNT_SEALED_TO] = "sealed_to",
				[ACCOUNT_TIER_BASE] = "tier_base",
				[ACCOUNT_TIER_EXTRA] = "tier_extra",
				[ACCOUNT_LEAVING_LINES] = "leaving_lines",
				[ACCOUNT_QUIET_ABOVE] = "quiet_above",
				[ACCOUNT_QUIET_BELOW] = "quiet_below",
				[ACCOUNT_WAITS_FROM] = "waits_from",
				[ACCOUNT_METERS] = "meters",
				[ACCOUNT_DEBT] = "debt_minor",
				[ACCOUNT_PURCHASES] = "purchases",
				[ACCOUNT_CLOSED_ON] = "closed_on" },
};

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

/* From the columns of meter_record; open_lines is decoded once the rows are done with. */
static void
set_meter(int32 site_id, const Datum *value, const bool *isnull, Meter *meter, Datum *open_lines)
{
	memset(meter, 0, sizeof(*meter));
	ItemPointerSetInvalid(&meter->place);
	meter->meter_id = DatumGetInt32(value[METER_ID]);
	meter->account_id = int32_or(value, isnull, METER_ACCOUNT_ID, 0);
	meter->former_waits = DatumGetBool(value[METER_FORMER_WAITS]);
	meter->ratio_e6 = DatumGetInt64(value[METER_RATIO]);
	meter->register_max_wh = int64_or(value, isnull, METER_REGISTER_MAX, 0);
	meter->reverse_add = DatumGetBool(value[METER_REVERSE_ADD]);
	meter->rated_w = int64_or(value, isnull, METER_RATED_W, 0);
	meter->power_limit_w = int64_or(value, isnull, METER_POWER_LIMIT, 0);
	meter->watched = DatumGetBool(value[METER_WATCHED]);
	meter->facts_from = DatumGetTimestampTz(value[METER_FACTS_FROM]);
	meter->tariff_id = int32_or(value, isnull, METER_TARIFF_ID, 0);
	meter->tariff_from = int64_or(value, isnull, METER_TARIFF_FROM, DT_NOEND);
	meter->tariff_until = int64_or(value, isnull, METER_TARIFF_UNTIL, DT_NOBEGIN);
	meter->has_register = !isnull[METER_LAST_READ_AT];
	meter->last_read_at = int64_or(value, isnull, METER_LAST_READ_AT, DT_NOBEGIN);
	meter->register_wh = int64_or(value, isnull, METER_REGISTER, 0);
	meter->reverse_wh = int64_or(value, isnull, METER_REVERSE, -1);
	meter->has_kw = !isnull[METER_KW];
	if (meter->has_kw)
		meter->kw = PointerGetDatum(DatumGetNumericCopy(value[METER_KW]));
	meter->relay_closed = isnull[METER_RELAY_CLOSED] ? -1 : DatumGetBool(value[METER_RELAY_CLOSED]);
	if (!reading_chain_decode(site_id, meter->meter_id, value[METER_CHAIN], value[METER_LATE_CHAIN],
							  &meter->chain))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the stored chain of readings of meter %d is damaged", meter->meter_id),
				 errhint("Run SELECT * FROM prepay.verify().")));
	*open_lines = value[METER_OPEN_LINES];
}

/* A meter_state that is column `column` of a row. */
static void
fill_meter(int32 site_id, uint64 row, int column, Meter *meter, Datum *open_lines)
{
	Datum value[N_METER_COLUMNS];
	bool isnull[N_METER_COLUMNS];

	db_record(row, column, &meter_record, value, isnull);
	set_meter(site_id, value, isnull, meter, open_lines);
}

/* Fill from the last result; n rows. Decoding may run queries, so it comes after the rows. */
static Meter *
fill_meters(const Site *site, int n)
{
	Meter *meter = palloc(sizeof(Meter) * Max(n, 1));
	Datum *open_lines = palloc(sizeof(Datum) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		fill_meter(site->site_id, i, 1, &meter[i], &open_lines[i]);
	for (i = 0; i < n; i++)
		lines_decode(site, open_lines[i], &meter[i].lines);
	return meter;
}

/* From the columns of account_record. */
static void
set_account(const Datum *value, const bool *isnull, Account *account, Datum *leaving)
{
	memset(account, 0, sizeof(*account));
	account->account_id = DatumGetInt32(value[ACCOUNT_ID]);
	account->last_seq = DatumGetInt32(value[ACCOUNT_LAST_SEQ]);
	if (!isnull[ACCOUNT_LAST_HASH])
		memcpy(account->last_hash, VARDATA_ANY(DatumGetByteaPP(value[ACCOUNT_LAST_HASH])),
			   LEDGER_HASH_BYTES);
	account->posted_minor = DatumGetInt64(value[ACCOUNT_POSTED]);
	account->sealed = numeric_exact(value[ACCOUNT_SEALED_EXACT]);
	account->sealed_to = DatumGetDateADT(value[ACCOUNT_SEALED_TO]);
	account->base_bytes = value[ACCOUNT_TIER_BASE];
	extra_decode(value[ACCOUNT_TIER_EXTRA], &account->extra);
	*leaving = value[ACCOUNT_LEAVING_LINES];
	account->quiet.is_set = !isnull[ACCOUNT_QUIET_ABOVE];
	account->quiet.above = int64_or(value, isnull, ACCOUNT_QUIET_ABOVE, 0);
	account->quiet.below = int64_or(value, isnull, ACCOUNT_QUIET_BELOW, 0);
	account->waits_from = int32_or(value, isnull, ACCOUNT_WAITS_FROM, 0);
	account->n_meter_all = DatumGetInt32(value[ACCOUNT_METERS]);
	account->debt_minor = DatumGetInt64(value[ACCOUNT_DEBT]);
	account->purchases = DatumGetInt32(value[ACCOUNT_PURCHASES]);
	account->is_closed = !isnull[ACCOUNT_CLOSED_ON];
	account->rerate_from = PG_INT32_MAX;
}

/* An account_state that is column `column` of a row. */
static void
fill_account(uint64 row, int column, Account *account, Datum *leaving)
{
	Datum value[N_ACCOUNT_COLUMNS];
	bool isnull[N_ACCOUNT_COLUMNS];

	db_record(row, column, &account_record, value, isnull);
	set_account(value, isnull, account, leaving);
}

/* One id as it is, several as an array: plans for one are much cheaper to start. */
static Datum
ids_datum(const int32 *id, int n)
{
	return n == 1 ? Int32GetDatum(id[0]) : db_array_int32(id, n);
}

static void
attach_meters(const Site *site, Account **account, int n_account, const int32 *account_id)
{
	static DbQuery one = { "SELECT s FROM prepay.meter_state s WHERE s.site_id = $1"
						   " AND s.account_id = $2 ORDER BY s.meter_id",
						   2,
						   { INT4OID, INT4OID } };
	static DbQuery many = { "SELECT s FROM prepay.meter_state s"
							" WHERE s.site_id = $1 AND s.account_id = ANY ($2)"
							" ORDER BY s.account_id, s.meter_id",
							2,
							{ INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), ids_datum(account_id, n_account) };
	int n = db_run(n_account == 1 ? &one : &many, args);
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

#define SELECT_ACCOUNTS(which) \
	"SELECT a FROM prepay.account_state a WHERE a.site_id = $1 AND a.account_id " which
#define SEVERAL "= ANY ($2) ORDER BY a.account_id"

static Account *
load_accounts(const Site *site, const int32 *account_id, int n, bool lock, int *n_account)
{
	static DbQuery lock_one = { SELECT_ACCOUNTS("= $2") " FOR NO KEY UPDATE",
								2,
								{ INT4OID, INT4OID } };
	static DbQuery lock_many = { SELECT_ACCOUNTS(SEVERAL) " FOR NO KEY UPDATE",
								 2,
								 { INT4OID, INT4ARRAYOID } };
	static DbQuery read_many = { SELECT_ACCOUNTS(SEVERAL), 2, { INT4OID, INT4ARRAYOID } };
	bool is_one = lock && n == 1;
	Datum args[] = { Int32GetDatum(site->site_id),
					 is_one ? Int32GetDatum(account_id[0]) : db_array_int32(account_id, n) };
	DbQuery *query = is_one ? &lock_one : lock ? &lock_many : &read_many;
	Account *account;
	Datum *leaving;
	int32 *sorted;
	int i;

	*n_account = n == 0 ? 0 : db_run(query, args);
	account = palloc(sizeof(Account) * Max(*n_account, 1));
	leaving = palloc(sizeof(Datum) * Max(*n_account, 1));
	sorted = palloc(sizeof(int32) * Max(*n_account, 1));
	for (i = 0; i < *n_account; i++)
	{
		fill_account(i, 1, &account[i], &leaving[i]);
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

/*
 * Both rows are locked: a meter row read under a snapshot from before the account's
 * lock was granted could be stale. Rows come, and are locked, by account.
 */
#define LOCK_BY_METERS(columns, which)                                         \
	"SELECT " columns " FROM prepay.meter_state s JOIN prepay.account_state a" \
	" ON a.site_id = s.site_id AND a.account_id = s.account_id"                \
	" WHERE s.site_id = $1 AND " which " FOR NO KEY UPDATE OF a, s"

/* Rows of meters with their accounts, as they come. */
typedef struct Locked
{
	int32 site_id;
	int n_meter;
	int n_account;
	Meter *meter;
	Meter **list; /* what the accounts point into */
	Datum *lines;
	Account *account;
	Datum *leaving;
	MemoryContext keep;
} Locked;

static void
begin_locked(const Site *site, int room, Locked *locked)
{
	memset(locked, 0, sizeof(*locked));
	locked->site_id = site->site_id;
	locked->meter = palloc(sizeof(Meter) * room);
	locked->list = palloc(sizeof(Meter *) * room);
	locked->lines = palloc(sizeof(Datum) * room);
	locked->account = palloc(sizeof(Account) * room);
	locked->leaving = palloc(sizeof(Datum) * room);
	locked->keep = CurrentMemoryContext;
}

/* The meter filled last belongs to the account filled last. */
static void
join_locked(Locked *locked)
{
	Account *account = &locked->account[locked->n_account - 1];
	Meter **meter = &locked->list[locked->n_meter - 1];

	*meter = &locked->meter[locked->n_meter - 1];
	(*meter)->account = account;
	if (account->n_meter++ == 0)
		account->meter = meter;
}

static bool
is_next_account(const Locked *locked, int32 account_id)
{
	return locked->n_account == 0 ||
		   locked->account[locked->n_account - 1].account_id != account_id;
}

static Datum
kept_bytes(Datum bytes)
{
	return PointerGetDatum(DatumGetByteaPCopy(bytes));
}

/* A row of several: place, then the columns of meter_record and account_record. */
static void
take_locked(void *context, const Datum *value, const bool *isnull)
{
	Locked *locked = context;
	const int account_at = 1 + N_METER_COLUMNS;
	MemoryContext old = MemoryContextSwitchTo(locked->keep);
	Meter *meter = &locked->meter[locked->n_meter];
	Datum *lines = &locked->lines[locked->n_meter++];

	set_meter(locked->site_id, value + 1, isnull + 1, meter, lines);
	meter->place = *(ItemPointer) DatumGetPointer(value[0]);
	*lines = kept_bytes(*lines);
	if (is_next_account(locked, meter->account_id))
	{
		Account *account = &locked->account[locked->n_account];
		Datum *leaving = &locked->leaving[locked->n_account++];

		set_account(value + account_at, isnull + account_at, account, leaving);
		account->base_bytes = kept_bytes(account->base_bytes);
		*leaving = kept_bytes(*leaving);
	}
	join_locked(locked);
	MemoryContextSwitchTo(old);
}

static void
lock_by_meter(int32 meter_id, Locked *locked)
{
	static DbQuery query = { LOCK_BY_METERS("s, a, s.ctid",
											"s.meter_id = $2 AND NOT s.former_waits"),
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(locked->site_id), Int32GetDatum(meter_id) };
	bool isnull;

	if (db_run(&query, args) == 0)
		return;
	fill_meter(locked->site_id, 0, 1, &locked->meter[0], &locked->lines[0]);
	fill_account(0, 2, &locked->account[0], &locked->leaving[0]);
	locked->meter[0].place = *(ItemPointer) DatumGetPointer(db_value(0, 3, &isnull));
	locked->n_meter = locked->n_account = 1;
	join_locked(locked);
}

/* The wanted columns of a table, each qualified by its alias. */
static char *
column_list(const char *alias, const DbRecord *record)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < record->n; i++)
		appendStringInfo(&list, "%s%s.%s", i > 0 ? ", " : "", alias, record->column[i]);
	return list.data;
}

#define LOCK_SEVERAL(which)                                                                       \
	LOCK_BY_METERS("s.ctid, %s, %s",                                                              \
				   which " AND NOT EXISTS (SELECT FROM prepay.meter_state f WHERE f.site_id = $1" \
						 " AND f.meter_id = ANY ($2) AND f.former_waits)"                         \
						 " ORDER BY a.account_id, s.meter_id")

/*
 * Named columns: a whole row would be put together for each, copied and taken apart again.
 * Ids without a gap, as those of one gateway's meters often are, take one search of the index.
 */
static void
lock_by_many(const int32 *meter_id, int n, Locked *locked)
{
	static DbQuery scattered = { NULL, 2, { INT4OID, INT4ARRAYOID } };
	static DbQuery in_a_row = { NULL, 4, { INT4OID, INT4ARRAYOID, INT4OID, INT4OID } };
	bool no_gap = meter_id[n - 1] - meter_id[0] == n - 1;
	DbQuery *query = no_gap ? &in_a_row : &scattered;
	Datum args[] = { Int32GetDatum(locked->site_id), db_array_int32(meter_id, n),
					 Int32GetDatum(meter_id[0]), Int32GetDatum(meter_id[n - 1]) };

	if (query->sql == NULL)
		query->sql = MemoryContextStrdup(
			TopMemoryContext,
			psprintf(no_gap ? LOCK_SEVERAL("s.meter_id BETWEEN $3 AND $4")
							: LOCK_SEVERAL("s.meter_id = ANY ($2)"),
					 column_list("s", &meter_record), column_list("a", &account_record)));
	db_each(query, args, take_locked, locked);
}

Account *
account_lock_by_meters(const Site *site, const int32 *meter_id, int n, int *n_account)
{
	Locked locked;
	int i;

	begin_locked(site, n, &locked);
	if (n == 1)
		lock_by_meter(meter_id[0], &locked);
	else
		lock_by_many(meter_id, n, &locked);
	for (i = 0; i < locked.n_meter; i++)
		lines_decode(site, locked.lines[i], &locked.meter[i].lines);
	for (i = 0; i < locked.n_account; i++)
	{
		lines_decode(site, locked.leaving[i], &locked.account[i].leaving);
		positions_decode(site, locked.account[i].base_bytes, &locked.account[i].base);
	}
	load_other_meters(site, locked.account, locked.n_account);
	*n_account = locked.n_account;
	return locked.account;
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
	static DbQuery query = { "SELECT s FROM prepay.meter_state s"
							 " WHERE s.site_id = $1 AND s.meter_id = ANY ($2)"
							 " AND s.account_id IS NULL"
							 " ORDER BY s.meter_id FOR NO KEY UPDATE OF s",
							 2,
							 { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(meter_id, n) };

	*n_meter = db_run(&query, args);
	return fill_meters(site, *n_meter);
}
