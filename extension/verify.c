/*
 * verify.c: the invariants of the books, looked at one by one.
 *
 * Empty on a healthy database. Nothing here trusts what it checks: sums are added
 * up from the entries, hashes recomputed from the rows, usage rated anew from the
 * raw readings.
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/resowner.h"

#include "account.h"
#include "anchor.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "debt.h"
#include "energy.h"
#include "ledger.h"
#include "oplog.h"
#include "proof.h"
#include "rerate.h"
#include "seal.h"
#include "share.h"
#include "till.h"

#define ENTRY_BATCH 5000

PG_FUNCTION_INFO_V1(prepay_verify);

typedef struct Verify
{
	ReturnSetInfo *result;
	const Site *site;
	const char *account_code;
	TimestampTz since; /* accounts without a later entry are passed over */
	bool all_accounts;
	int64 gap_us;
} Verify;

static void fault(Verify *verify, const char *invariant, const char *format, ...)
	pg_attribute_printf(3, 4);

static void
fault(Verify *verify, const char *invariant, const char *format, ...)
{
	Datum values[4];
	bool nulls[4] = { false };
	char detail[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	values[0] = CStringGetTextDatum(verify->site->code);
	nulls[1] = verify->account_code == NULL;
	values[1] = db_text_datum(verify->account_code);
	values[2] = CStringGetTextDatum(invariant);
	values[3] = CStringGetTextDatum(detail);
	tuplestore_putvalues(verify->result->setResult, verify->result->setDesc, values, nulls);
}

/* ---- the ledger of one account ---- */

typedef struct ChainState
{
	int32 seq;
	int64 balance;
	uint8 hash[LEDGER_HASH_BYTES];
	int64 usage_minor; /* entries that book usage */
	int64 debt;
} ChainState;

static void
entry_row(uint64 i, const Verify *verify, int32 account_id, LedgerRow *row)
{
	bool isnull;
	Datum value;

	memset(row, 0, sizeof(*row));
	row->site_id = verify->site->site_id;
	row->account_id = account_id;
	row->seq = db_int32(i, 1);
	row->kind = db_text(i, 2);
	row->amount = db_text(i, 3);
	row->balance_after = db_text(i, 4);
	row->booked_at = db_time(i, 5);
	row->recorded_at = db_time(i, 6);
	value = db_value(i, 7, &isnull);
	row->day = DatumGetDateADT(value);
	row->key = db_text(i, 8);
	row->call = db_text(i, 22);
	row->ref_seq = db_int32_or(i, 9, 0);
	row->operator_name = db_text(i, 10);
	row->tender = db_text(i, 11);
	row->till = db_text(i, 12);
	row->receipt_no = db_int64_or(i, 13, 0);
	row->note = db_text(i, 14);
	row->debt = db_text(i, 16);
	row->debt_after = db_text(i, 17);
	row->fee = db_text(i, 18);
	row->purchase_no = db_int32_or(i, 19, 0);
	row->price = db_text(i, 20);
	row->other_account_id = db_int32_or(i, 21, 0);
}

static bool
books_usage(const char *kind)
{
	return strcmp(kind, "consumption") == 0 || strcmp(kind, "correction") == 0 ||
		   strcmp(kind, "standing") == 0;
}

static void
check_debt(Verify *verify, const LedgerRow *row, ChainState *chain)
{
	int64 debt;
	int64 after;

	if (row->debt == NULL && row->debt_after == NULL)
		return;
	if (row->debt == NULL || row->debt_after == NULL ||
		decimal_parse(row->debt, verify->site->decimals, &debt) != DECIMAL_OK ||
		decimal_parse(row->debt_after, verify->site->decimals, &after) != DECIMAL_OK)
	{
		fault(verify, "ledger_amount", "entry %d: its debt is no amount", row->seq);
		return;
	}
	if (chain->debt + debt != after)
		fault(verify, "ledger_sum", "entry %d: debt_after %s is not the sum of entries", row->seq,
			  row->debt_after);
	chain->debt = after;
}

static void
check_entry(Verify *verify, const LedgerRow *row, const uint8 *stored, ChainState *chain)
{
	int64 amount;
	int64 after;

	if (row->seq != chain->seq + 1)
		fault(verify, "ledger_seq", "entry %d follows entry %d", row->seq, chain->seq);
	if (decimal_parse(row->amount, verify->site->decimals, &amount) != DECIMAL_OK ||
		decimal_parse(row->balance_after, verify->site->decimals, &after) != DECIMAL_OK)
		fault(verify, "ledger_amount", "entry %d: %s, %s are not amounts", row->seq, row->amount,
			  row->balance_after);
	else
	{
		if (chain->balance + amount != after)
			fault(verify, "ledger_sum", "entry %d: balance_after %s is not the sum of entries",
				  row->seq, row->balance_after);
		chain->balance = after;
		if (books_usage(row->kind))
			chain->usage_minor += amount;
	}
	check_debt(verify, row, chain);
	ledger_hash(chain->hash, row, chain->hash);
	if (memcmp(chain->hash, stored, LEDGER_HASH_BYTES) != 0)
	{
		fault(verify, "ledger_hash", "entry %d or its posting was changed afterwards", row->seq);
		memcpy(chain->hash, stored, LEDGER_HASH_BYTES);
	}
	chain->seq = row->seq;
}

static void
check_chain(Verify *verify, int32 account_id, ChainState *chain)
{
	static DbQuery query = {
		"SELECT seq, kind, amount, balance_after, booked_at, recorded_at, day, key, ref_seq,"
		" operator, tender, till, receipt_no, note, hash, debt, debt_after, fee, purchase_no,"
		" price, other_account_id, (SELECT operation || ' ' || encode(fingerprint, 'hex')"
		"  FROM prepay.posting p WHERE p.site_id = $1 AND p.key = e.key)"
		" FROM prepay.ledger_entry e"
		" WHERE site_id = $1 AND account_id = $2 AND seq > $3 ORDER BY seq LIMIT " CppAsString2(
			ENTRY_BATCH),
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	int n;

	memset(chain, 0, sizeof(*chain));
	do
	{
		Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(account_id),
						 Int32GetDatum(chain->seq) };
		int i;

		n = db_run(&query, args);
		for (i = 0; i < n; i++)
		{
			LedgerRow row;
			bool isnull;
			bytea *stored = DatumGetByteaPP(db_value(i, 15, &isnull));

			CHECK_FOR_INTERRUPTS();
			entry_row(i, verify, account_id, &row);
			if (VARSIZE_ANY_EXHDR(stored) != LEDGER_HASH_BYTES)
			{
				fault(verify, "ledger_hash", "entry %d has no hash", row.seq);
				chain->seq = row.seq;
				continue;
			}
			check_entry(verify, &row, (uint8 *) VARDATA_ANY(stored), chain);
		}
	} while (n == ENTRY_BATCH);
}

static void
check_head(Verify *verify, const Account *account, const ChainState *chain)
{
	if (account->last_seq != chain->seq)
		fault(verify, "ledger_head", "the account counts %d entries, the ledger has %d",
			  account->last_seq, chain->seq);
	if (account->posted_minor != chain->balance)
		fault(verify, "balance", "the account's posted balance is not the last balance_after");
	if (account->debt_minor != chain->debt ||
		debt_owed(verify->site, account->account_id) != chain->debt)
		fault(verify, "debt",
			  "what the account and its debts say is owed is not the last debt_after");
	if (chain->seq > 0 && memcmp(account->last_hash, chain->hash, LEDGER_HASH_BYTES) != 0)
		fault(verify, "ledger_head", "the account's last hash is not that of entry %d", chain->seq);
}

/* ---- usage against the ledger and against the readings ---- */

static void
check_sealed_sum(Verify *verify, const Account *account, const ChainState *chain)
{
	static DbQuery query = { "SELECT COALESCE(sum(amount), 0) FROM prepay.usage_line"
							 " WHERE site_id = $1 AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(account->account_id) };
	char stored[EXACT_TEXT_MAX];
	char found[EXACT_TEXT_MAX];
	int64 minor;
	bool isnull;
	Exact sum;

	db_run(&query, args);
	sum = numeric_exact(db_value(0, 1, &isnull));
	exact_format(account->sealed, stored);
	exact_format(sum, found);
	if (sum != account->sealed)
		fault(verify, "sealed_cost", "sealed lines cost %s, the account says %s", found, stored);
	if (!exact_to_minor(sum, verify->site->decimals, &minor) || -minor != chain->usage_minor)
		fault(verify, "usage_posted",
			  "the entries for usage do not add up to the rounded cost of the sealed lines, %s",
			  found);
}

static bool
same_line(const RateLine *a, const RateLine *b)
{
	return a->meter_id == b->meter_id && a->day == b->day && a->tariff_id == b->tariff_id &&
		   a->version == b->version && a->period == b->period && a->tier == b->tier;
}

static int64
line_wh(const RateLineVec *lines, const RateLine *like)
{
	int i;

	for (i = 0; i < lines->n; i++)
		if (same_line(&lines->item[i], like))
			return lines->item[i].wh;
	return 0;
}

static void
collect_open(const Account *account, RateLineVec *open)
{
	int m;
	int i;

	for (m = 0; m < account->n_meter; m++)
		for (i = 0; i < account->meter[m]->lines.n; i++)
			(void) rate_add_line(open, &account->meter[m]->lines.item[i]);
	for (i = 0; i < account->leaving.n; i++)
		(void) rate_add_line(open, &account->leaving.item[i]);
}

/* Both ways: what should be open and is not, and what is open and should not be. */
static void
check_open_lines(Verify *verify, const Account *account, const RerateResult *result)
{
	RateLineVec open = { 0 };
	RateLineVec wanted = { 0 };
	int i;

	collect_open(account, &open);
	for (i = 0; i < result->lines.n; i++)
		if (result->lines.item[i].day >= account->sealed_to)
			(void) rate_add_line(&wanted, &result->lines.item[i]);
	for (i = 0; i < wanted.n; i++)
		if (line_wh(&open, &wanted.item[i]) != wanted.item[i].wh)
			fault(
				verify, "open_usage",
				"meter %d, day %s: the readings give " INT64_FORMAT " Wh, open are " INT64_FORMAT
				" Wh (period %d, tier %d)",
				wanted.item[i].meter_id,
				DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(wanted.item[i].day))),
				wanted.item[i].wh, line_wh(&open, &wanted.item[i]), wanted.item[i].period,
				wanted.item[i].tier + 1);
	for (i = 0; i < open.n; i++)
		if (line_wh(&wanted, &open.item[i]) == 0 && open.item[i].wh != 0)
			fault(verify, "open_usage",
				  "meter %d has " INT64_FORMAT " Wh open that no reading gives",
				  open.item[i].meter_id, open.item[i].wh);
}

static void
check_registers(Verify *verify, const Account *account, const RerateResult *result)
{
	int i;
	int m;

	for (m = 0; m < account->n_meter; m++)
		for (i = 0; i < result->n_meter; i++)
		{
			const Meter *meter = account->meter[m];
			const RerateMeter *wanted = &result->meter[i];

			if (wanted->meter_id == meter->meter_id && wanted->has_register &&
				(wanted->last_read_at != meter->last_read_at ||
				 wanted->register_wh != meter->register_wh))
				fault(verify, "register", "meter %d does not stand at its last believed reading",
					  meter->meter_id);
		}
}

static void
check_usage(Verify *verify, const Account *account)
{
	static DbQuery queued = {
		"SELECT 1 FROM prepay.rerate_queue WHERE site_id = $1 AND account_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(account->account_id) };
	RerateAsk ask = { 0 };
	RerateResult result;
	BillVec bill = { 0 };
	int32 from_day;
	int i;

	/* An account that waits to be rated again differs on purpose until tick() has done it. */
	if (db_run(&queued, args) > 0)
		return;
	from_day = rerate_first_day(verify->site, account->account_id);
	from_day = Min(from_day, account->sealed_to);
	ask.account_id = account->account_id;
	ask.extra = &account->extra;
	ask.from_day = from_day;
	ask.gap_us = verify->gap_us;
	rerate_compute(verify->site, &ask, &result);
	rerate_differences(verify->site, account, from_day, &result, &bill);
	for (i = 0; i < bill.n; i++)
	{
		char text[EXACT_TEXT_MAX];

		exact_format(bill.item[i].amount, text);
		if (bill.item[i].wh != 0 || bill.item[i].amount != 0)
			fault(verify, "sealed_usage",
				  "meter %d, day %s: rated anew from the readings it differs by " INT64_FORMAT
				  " Wh, %s %s",
				  bill.item[i].meter_id,
				  DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(bill.item[i].day))),
				  bill.item[i].wh, text, verify->site->currency);
	}
	check_open_lines(verify, account, &result);
	check_registers(verify, account, &result);
}

/*
 * What the register of a meter moved is charged to an account or reported as unpaid.
 * Told once a meter: with the first of its accounts, if all are looked at.
 */
static void
check_energy(Verify *verify, int32 account_id)
{
	static DbQuery meters = {
		"SELECT DISTINCT o.meter_id FROM prepay.account_meter o JOIN prepay.meter m"
		" USING (site_id, meter_id) WHERE o.site_id = $1 AND o.account_id = $2"
		" AND m.purpose = 'prepaid' AND NOT EXISTS (SELECT FROM prepay.account_meter x"
		"  LEFT JOIN prepay.rerate_queue q USING (site_id, account_id)"
		"  WHERE x.site_id = $1 AND x.meter_id = o.meter_id"
		"  AND (q.account_id IS NOT NULL OR ($3 AND x.account_id < $2))) ORDER BY 1",
		3,
		{ INT4OID, INT4OID, BOOLOID }
	};
	static DbQuery charged = {
		"SELECT COALESCE(sum(u.wh), 0)::bigint FROM prepay.usage_line_all u WHERE u.site_id = $1"
		" AND u.account_id = ANY (ARRAY(SELECT o.account_id FROM prepay.account_meter o"
		"  WHERE o.site_id = $1 AND o.meter_id = $2)) AND u.meter_id = $2"
		" AND u.component = 'energy'",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(account_id),
					 BoolGetDatum(verify->all_accounts) };
	int n = db_run(&meters, args);
	int32 *meter_id = palloc(sizeof(int32) * Max(n, 1));
	int i;
	int k;

	for (i = 0; i < n; i++)
		meter_id[i] = db_int32(i, 1);
	for (i = 0; i < n; i++)
	{
		EnergyDays unpaid = { 0 };
		int64 moved = energy_since(verify->site, meter_id[i], DT_NOBEGIN);
		int64 accounted;

		args[1] = Int32GetDatum(meter_id[i]);
		db_run(&charged, args);
		accounted = db_int64(0, 1);
		energy_unpaid(verify->site, meter_id[i], DT_NOBEGIN, DT_NOEND, &unpaid);
		for (k = 0; k < unpaid.n; k++)
			accounted += unpaid.item[k].wh;
		if (accounted != moved)
			fault(verify, "energy",
				  "meter %d: its register moved " INT64_FORMAT " Wh, " INT64_FORMAT
				  " Wh are charged or reported as unowned",
				  meter_id[i], moved, accounted);
	}
}

static void
check_account(Verify *verify, int32 account_id)
{
	ChainState chain;
	Account *account;
	int n;

	/* A connection of its own: its rows and memory are gone when the account is done. */
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	account = account_read_all(verify->site, &account_id, 1, &n);
	if (n == 0)
		fault(verify, "account_state", "the account has no state row");
	else
	{
		check_chain(verify, account_id, &chain);
		check_head(verify, account, &chain);
		check_sealed_sum(verify, account, &chain);
		check_usage(verify, account);
		check_energy(verify, account_id);
	}
	SPI_finish();
}

/* Each key leads to the entry that is its result; a repeated call is answered from there. */
static void
check_postings(Verify *verify)
{
	static DbQuery query = {
		"SELECT p.key FROM prepay.posting p LEFT JOIN prepay.ledger_entry e"
		" USING (site_id, account_id, seq) WHERE p.site_id = $1 AND (e.key IS DISTINCT FROM p.key"
		"  OR e.booked_at IS DISTINCT FROM p.posted_at) ORDER BY p.key",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(verify->site->site_id);
	int n = db_run(&query, &arg);
	int i;

	for (i = 0; i < n; i++)
		fault(verify, "posting", "key \"%s\" does not lead to its entry", db_text(i, 1));
}

static bool
is_about_data(const ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
		   category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES);
}

/* Rows so broken that rating them raises are a fault of the account, not of this call. */
static void
verify_account(Verify *verify, int32 account_id, const char *code)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	verify->account_code = code;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		check_account(verify, account_id);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData *error;

		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		if (!is_about_data(error))
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		fault(verify, "stored_state", "its rows cannot be used: %s", error->message);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
}

static void
verify_site(Verify *verify, int32 account_id)
{
	static DbQuery accounts = {
		"SELECT account_id, code FROM prepay.account a WHERE site_id = $1"
		" AND account_id BETWEEN $2 AND $3 AND ($4 = '-infinity' OR EXISTS (SELECT"
		"  FROM prepay.ledger_entry e WHERE e.site_id = $1 AND e.account_id = a.account_id"
		"  AND e.booked_at >= $4)) ORDER BY account_id",
		4,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(account_id ? account_id : PG_INT32_MAX),
					 TimestampTzGetDatum(verify->since) };
	int n = db_run(&accounts, args);
	int32 *id = palloc(sizeof(int32) * Max(n, 1));
	char **code = palloc(sizeof(char *) * Max(n, 1));
	char **faults;
	int i;

	for (i = 0; i < n; i++)
	{
		id[i] = db_int32(i, 1);
		code[i] = db_text(i, 2);
	}
	verify->gap_us = 2 * setting_interval_us(verify->site, "poll_interval", 0);
	verify->all_accounts = account_id == 0 && verify->since == DT_NOBEGIN;
	for (i = 0; i < n; i++)
		verify_account(verify, id[i], code[i]);
	verify->account_code = NULL;
	if (account_id != 0)
		return;
	for (faults = anchor_faults(verify->site); *faults; faults++)
		fault(verify, "anchor", "%s", *faults);
	check_postings(verify);
	for (faults = proof_faults(verify->site); *faults; faults++)
		fault(verify, "row", "%s", *faults);
	for (faults = share_faults(verify->site); *faults; faults++)
		fault(verify, "public_energy", "%s", *faults);
	for (faults = till_faults(verify->site); *faults; faults++)
		fault(verify, "receipts", "%s", *faults);
	for (faults = oplog_faults(verify->site->site_id); *faults; faults++)
		fault(verify, "operator_log", "%s", *faults);
}

/*
 * verify(site, account, since) → setof verify_row: what is broken. NULL site: every
 * site the caller may use; NULL account: every account; since: accounts with an
 * entry booked from then on, each checked whole. Reads only.
 */
Datum
prepay_verify(PG_FUNCTION_ARGS)
{
	Verify verify = { .result = (ReturnSetInfo *) fcinfo->resultinfo };
	DbSession session;
	int32 *site_id;
	int32 account_id = 0;
	int n = 1;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	verify.since = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2);
	db_enter(&session);
	if (!PG_ARGISNULL(1))
	{
		CodeTarget target;

		code_resolve(session.caller,
					 PG_ARGISNULL(0) ? text_to_cstring(PG_GETARG_TEXT_PP(1))
									 : psprintf("%s/%s", text_to_cstring(PG_GETARG_TEXT_PP(0)),
												text_to_cstring(PG_GETARG_TEXT_PP(1))),
					 KIND_ACCOUNT, &target);
		account_id = target.id;
		site_id = palloc(sizeof(int32));
		site_id[0] = target.site_id;
	}
	else if (!PG_ARGISNULL(0))
	{
		site_id = palloc(sizeof(int32));
		site_id[0] = code_site(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	}
	else
		n = auth_sites(session.caller, &site_id);
	for (i = 0; i < n; i++)
	{
		auth_require(session.caller, MAY_READ, site_id[i], "verify the books");
		verify.site = site_get(site_id[i]);
		verify_site(&verify, account_id);
	}
	db_leave(&session);
	return (Datum) 0;
}
