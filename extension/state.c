#include "state.h"

#include "utils/builtins.h"
#include "utils/numeric.h"

#include "db.h"
#include "ledger.h"
#include "tariff_store.h"

#define METER_COLUMNS                                                                              \
	"s.meter_id, s.account_id, s.leaving_account_id, s.ratio_e6, s.register_max_wh,"               \
	" s.reverse_add, s.rated_w, s.facts_from, s.tariff_id, s.tariff_from, s.tariff_until,"         \
	" s.last_read_at, s.register_wh, s.reverse_wh, s.kw, s.relay_closed, s.open_lines"

Datum
exact_numeric(Exact amount)
{
	char text[EXACT_TEXT_MAX];

	exact_format(amount, text);
	return numeric_from_text(text);
}

Exact
numeric_exact(Datum numeric)
{
	Exact amount;

	if (!exact_parse(numeric_text(numeric), &amount))
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("stored amount %s is out of range", numeric_text(numeric)),
						errhint("Run SELECT * FROM prepay.verify().")));
	return amount;
}

Datum
minor_numeric(int64 minor, int decimals)
{
	char text[MONEY_TEXT_MAX];

	minor_format(minor, decimals, text);
	return numeric_from_text(text);
}

int64
amount_minor(const Site *site, Datum numeric, const char *what)
{
	const char *text = numeric_text(numeric);
	int64 minor;

	switch (decimal_parse(text, site->decimals, &minor))
	{
		case DECIMAL_OK:
			/* Leaves room for sums: a ledger of 10^15 minor units can never overflow int64. */
			if (minor > -INT64CONST(1000000000000000) && minor < INT64CONST(1000000000000000))
				return minor;
			/* FALLTHROUGH */
		case DECIMAL_OVERFLOW:
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
							errmsg("%s %s is out of range", what, text),
							errhint("Give an amount a ledger can hold.")));
			break;
		case DECIMAL_TOO_FINE:
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
							errmsg("%s %s has more decimals than %s", what, text, site->currency),
							errdetail("%s has %d decimals.", site->currency, site->decimals),
							errhint("Round the amount before you hand it in.")));
			break;
		case DECIMAL_SYNTAX:
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
							errmsg("%s %s is not an amount of money", what, text),
							errhint("Give a finite number.")));
			break;
	}
	return 0;
}

/* Columns of METER_COLUMNS; open_lines is decoded by the caller once SPI rows are done with. */
static void
fill_meter(Meter *meter, uint64 row, Datum *open_lines)
{
	bool isnull;
	Datum value;

	memset(meter, 0, sizeof(*meter));
	meter->meter_id = db_int32(row, 1);
	meter->account_id = db_int32_or(row, 2, 0);
	meter->leaving_account_id = db_int32_or(row, 3, 0);
	meter->ratio_e6 = db_int64(row, 4);
	meter->register_max_wh = db_int64_or(row, 5, 0);
	meter->reverse_add = db_bool(row, 6);
	meter->rated_w = db_int64_or(row, 7, 0);
	meter->facts_from = db_time(row, 8);
	meter->tariff_id = db_int32_or(row, 9, 0);
	meter->tariff_from = db_time_or(row, 10, DT_NOEND);
	meter->tariff_until = db_time_or(row, 11, DT_NOBEGIN);
	value = db_value(row, 12, &isnull);
	meter->has_register = !isnull;
	meter->last_read_at = isnull ? DT_NOBEGIN : DatumGetTimestampTz(value);
	meter->register_wh = db_int64_or(row, 13, 0);
	meter->reverse_wh = db_int64_or(row, 14, 0);
	value = db_value(row, 15, &isnull);
	meter->has_kw = !isnull;
	if (!isnull)
		meter->kw = PointerGetDatum(DatumGetNumericCopy(value));
	value = db_value(row, 16, &isnull);
	meter->relay_closed = isnull ? -1 : DatumGetBool(value);
	*open_lines = db_value(row, 17, &isnull);
}

/* Fill from the last result; n rows. Decoding may run queries, so it comes after the rows. */
static Meter *
fill_meters(const Site *site, int n)
{
	Meter *meter = palloc(sizeof(Meter) * Max(n, 1));
	Datum *open_lines = palloc(sizeof(Datum) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		fill_meter(&meter[i], i, &open_lines[i]);
	for (i = 0; i < n; i++)
		lines_decode(site, open_lines[i], &meter[i].lines);
	return meter;
}

static void
fill_account(Account *account, uint64 row, Datum *leaving)
{
	bool isnull;
	Datum value;

	memset(account, 0, sizeof(*account));
	account->account_id = db_int32(row, 1);
	account->last_seq = db_int32(row, 2);
	value = db_value(row, 3, &isnull);
	if (!isnull)
		memcpy(account->last_hash, VARDATA_ANY(DatumGetByteaPP(value)), LEDGER_HASH_BYTES);
	account->posted_minor = db_int64(row, 4);
	account->sealed = numeric_exact(db_value(row, 5, &isnull));
	account->sealed_to = db_int32(row, 6);
	positions_decode(db_value(row, 7, &isnull), &account->base);
	account->tier_extra_wh = db_int64(row, 8);
	*leaving = db_value(row, 9, &isnull);
	value = db_value(row, 10, &isnull);
	account->quiet.is_set = !isnull;
	account->quiet.above = isnull ? 0 : DatumGetInt64(value);
	account->quiet.below = db_int64_or(row, 11, 0);
	account->waits_from = db_int32_or(row, 12, 0);
	account->rerate_from = PG_INT32_MAX;
}

static void
attach_meters(const Site *site, Account *account, int n_account, const int32 *account_id)
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
		while (account[a].account_id != meter[i].account_id)
			a++;
		list[i] = &meter[i];
		if (account[a].n_meter == 0)
			account[a].meter = &list[i];
		account[a].n_meter++;
		meter[i].account = &account[a];
	}
}

#define ACCOUNT_SELECT                                                                             \
	"SELECT account_id, last_seq, last_hash, posted_minor, sealed_exact,"                          \
	" sealed_to - date '2000-01-01', tier_base, tier_extra_wh, leaving_lines, quiet_above,"        \
	" quiet_below, waits_from - date '2000-01-01' FROM prepay.account_state"                       \
	" WHERE site_id = $1 AND account_id = ANY ($2) ORDER BY account_id"

static Account *
load_accounts(const Site *site, const int32 *account_id, int n, bool lock, int *n_account)
{
	static DbQuery locking = { ACCOUNT_SELECT " FOR NO KEY UPDATE", 2, { INT4OID, INT4ARRAYOID } };
	static DbQuery reading = { ACCOUNT_SELECT, 2, { INT4OID, INT4ARRAYOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_array_int32(account_id, n) };
	Account *account;
	Datum *leaving;
	int32 *sorted;
	int i;

	*n_account = n == 0 ? 0 : db_run(lock ? &locking : &reading, args);
	account = palloc(sizeof(Account) * Max(*n_account, 1));
	leaving = palloc(sizeof(Datum) * Max(*n_account, 1));
	sorted = palloc(sizeof(int32) * Max(*n_account, 1));
	for (i = 0; i < *n_account; i++)
	{
		fill_account(&account[i], i, &leaving[i]);
		sorted[i] = account[i].account_id;
	}
	for (i = 0; i < *n_account; i++)
		lines_decode(site, leaving[i], &account[i].leaving);
	if (*n_account > 0)
		attach_meters(site, account, *n_account, sorted);
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

void
meter_save_all(const Site *site, Meter **meter, int n)
{
	static DbQuery query = {
		"UPDATE prepay.meter_state s SET last_read_at = u.read_at, register_wh = u.register_wh,"
		" reverse_wh = u.reverse_wh, kw = u.kw, relay_closed = u.relay_closed,"
		" open_lines = u.open_lines, tariff_id = NULLIF(u.tariff_id, 0),"
		" tariff_from = u.tariff_from, tariff_until = u.tariff_until,"
		" leaving_account_id = NULLIF(u.leaving, 0)"
		" FROM unnest($2::int[], $3::timestamptz[], $4::bigint[], $5::bigint[], $6::numeric[],"
		" $7::boolean[], $8::bytea[], $9::int[], $10::timestamptz[], $11::timestamptz[],"
		" $12::int[]) AS u (meter_id, read_at, register_wh, reverse_wh, kw, relay_closed,"
		" open_lines, tariff_id, tariff_from, tariff_until, leaving)"
		" WHERE s.site_id = $1 AND s.meter_id = u.meter_id",
		12,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, INT8ARRAYOID, INT8ARRAYOID, NUMERICARRAYOID,
		  BOOLARRAYOID, BYTEAARRAYOID, INT4ARRAYOID, TIMESTAMPTZARRAYOID, TIMESTAMPTZARRAYOID,
		  INT4ARRAYOID }
	};
	Datum *column[12];
	bool *isnull[12];
	Datum args[12];
	static const Oid type[12] = { 0,		 INT4OID, TIMESTAMPTZOID, INT8OID,		  INT8OID,
								  NUMERICOID, BOOLOID, BYTEAOID,	  INT4OID,		  TIMESTAMPTZOID,
								  TIMESTAMPTZOID, INT4OID };
	int c;
	int i;

	if (n == 0)
		return;
	for (c = 1; c < 12; c++)
	{
		column[c] = palloc(sizeof(Datum) * n);
		isnull[c] = palloc0(sizeof(bool) * n);
	}
	for (i = 0; i < n; i++)
	{
		const Meter *m = meter[i];

		column[1][i] = Int32GetDatum(m->meter_id);
		column[2][i] = TimestampTzGetDatum(m->last_read_at);
		column[3][i] = Int64GetDatum(m->register_wh);
		column[4][i] = Int64GetDatum(m->reverse_wh);
		isnull[2][i] = isnull[3][i] = isnull[4][i] = !m->has_register;
		column[5][i] = m->kw;
		isnull[5][i] = !m->has_kw;
		column[6][i] = BoolGetDatum(m->relay_closed == 1);
		isnull[6][i] = m->relay_closed < 0;
		column[7][i] = lines_encode(&m->lines);
		column[8][i] = Int32GetDatum(m->tariff_id);
		column[9][i] = TimestampTzGetDatum(m->tariff_from);
		column[10][i] = TimestampTzGetDatum(m->tariff_until);
		column[11][i] = Int32GetDatum(m->leaving_account_id);
	}
	args[0] = Int32GetDatum(site->site_id);
	for (c = 1; c < 12; c++)
		args[c] = db_array(column[c], isnull[c], n, type[c]);
	db_run(&query, args);
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
		column[7][i] = positions_encode(&a->base);
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

static bool
add_cost(const RateLineVec *lines, Exact *sum)
{
	Exact cost;

	return rate_cost(lines->item, lines->n, &cost) && exact_add(*sum, cost, sum);
}

static bool
has_proportional(const RateLineVec *lines)
{
	int i;

	for (i = 0; i < lines->n; i++)
		if (lines->item[i].tariff->allocation == ALLOCATE_PROPORTIONAL)
			return true;
	return false;
}

static void
append_lines(RateLineVec *all, const RateLineVec *more)
{
	int i;

	for (i = 0; i < more->n; i++)
		if (!rate_add_line(all, &more->item[i]))
			elog(ERROR, "energy out of range");
}

static int
compare_lines(const void *a, const void *b)
{
	const RateLine *left = a;
	const RateLine *right = b;

	if (left->day != right->day)
		return left->day < right->day ? -1 : 1;
	if (left->tariff_id != right->tariff_id)
		return left->tariff_id < right->tariff_id ? -1 : 1;
	if (left->version != right->version)
		return left->version < right->version ? -1 : 1;
	return left->meter_id < right->meter_id ? -1 : left->meter_id > right->meter_id;
}

void
lines_sort(RateLineVec *lines)
{
	if (lines->n > 1)
		qsort(lines->item, lines->n, sizeof(RateLine), compare_lines);
}

/* Proportional lines have no cost of their own: they are priced from the positions before them. */
static Exact
bill_cost(const Account *account)
{
	RateLineVec all = { 0 };
	BillVec bill = { 0 };
	Exact sum = 0;
	int i;

	for (i = 0; i < account->n_meter; i++)
		append_lines(&all, &account->meter[i]->lines);
	append_lines(&all, &account->leaving);
	lines_sort(&all);
	if (rate_bill(all.item, all.n, account->tier_extra_wh, &account->base, &bill) != RATE_OK)
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("cost out of range")));
	for (i = 0; i < bill.n; i++)
		if (!exact_add(sum, bill.item[i].amount, &sum))
			ereport(ERROR,
					(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("cost out of range")));
	return sum;
}

Exact
account_open_cost(const Site *site, const Account *account)
{
	Exact sum = 0;
	bool proportional = has_proportional(&account->leaving);
	bool fits = true;
	int i;

	for (i = 0; i < account->n_meter && !proportional; i++)
		proportional = has_proportional(&account->meter[i]->lines);
	if (proportional)
		return bill_cost(account);
	for (i = 0; i < account->n_meter && fits; i++)
		fits = add_cost(&account->meter[i]->lines, &sum);
	if (!fits || !add_cost(&account->leaving, &sum))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("cost out of range")));
	return sum;
}

int64
account_balance_of(const Site *site, const Account *account)
{
	Exact total;
	int64 with_open;
	int64 sealed;

	if (!exact_add(account->sealed, account_open_cost(site, account), &total) ||
		!exact_to_minor(total, site->decimals, &with_open) ||
		!exact_to_minor(account->sealed, site->decimals, &sealed))
		ereport(ERROR, (errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE), errmsg("cost out of range")));
	return account->posted_minor - (with_open - sealed);
}

static void
add_positions(const RateLineVec *lines, RatePositionVec *positions)
{
	int i;

	for (i = 0; i < lines->n; i++)
	{
		const RateLine *line = &lines->item[i];
		RatePosition *position = rate_position(positions, line->tariff_id, line->accum_start);

		position->wh += line->wh;
		position->by_period[line->period] += line->wh;
	}
}

void
account_positions(const Account *account, RatePositionVec *positions)
{
	int i;

	positions->n = 0;
	for (i = 0; i < account->base.n; i++)
		*rate_position(positions, account->base.item[i].tariff_id,
					   account->base.item[i].accum_start) = account->base.item[i];
	for (i = 0; i < account->n_meter; i++)
		add_positions(&account->meter[i]->lines, positions);
	add_positions(&account->leaving, positions);
}
