/*
 * verify.c: the invariants of the books, looked at one by one.
 *
 * Empty on a healthy database. Nothing here trusts what it checks: sums are added
 * up from the entries, hashes recomputed from the rows, usage rated anew from the
 * raw readings.
 *
 * Accounts are taken in batches, each kind of row of a batch in one scan, so the cost goes
 * by rows, not by accounts, and memory by the batch. Rows so broken that looking at them
 * raises are a fault of their account: the batch is then taken account by account.
 */
#include "postgres.h"

#include "access/xact.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/resowner.h"

#include "anchor.h"
#include "auth.h"
#include "code.h"
#include "db.h"
#include "oplog.h"
#include "pay.h"
#include "proof.h"
#include "purse.h"
#include "share.h"
#include "till.h"
#include "verify_inner.h"

/* The readings and lines of a batch fit into some 50 MB. */
#define FIRST_BATCH 16
#define MAX_BATCH 5000
#define BATCH_ROWS INT64CONST(300000)

PG_FUNCTION_INFO_V1(prepay_verify);

struct VerifyTold
{
	const char *account_code;
	const char *invariant;
	const char *detail;
};

void
verify_fault(Verify *verify, const char *invariant, const char *format, ...)
{
	MemoryContext old = MemoryContextSwitchTo(verify->memory);
	struct VerifyTold *told;
	char detail[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (verify->n_told == verify->told_room)
	{
		verify->told_room = Max(16, verify->told_room * 2);
		verify->told = core_realloc(verify->told, sizeof(*told) * verify->told_room);
	}
	told = &verify->told[verify->n_told++];
	told->account_code = verify->account_code ? pstrdup(verify->account_code) : NULL;
	told->invariant = invariant;
	told->detail = pstrdup(detail);
	MemoryContextSwitchTo(old);
}

static void
forget_told(Verify *verify)
{
	verify->told = NULL;
	verify->n_told = verify->told_room = 0;
	MemoryContextReset(verify->memory);
}

static void
give_told(Verify *verify)
{
	int i;

	for (i = 0; i < verify->n_told; i++)
	{
		const struct VerifyTold *told = &verify->told[i];
		Datum values[] = { CStringGetTextDatum(verify->site->code),
						   db_text_datum(told->account_code), CStringGetTextDatum(told->invariant),
						   CStringGetTextDatum(told->detail) };
		bool nulls[] = { false, told->account_code == NULL, false, false };

		tuplestore_putvalues(verify->result->setResult, verify->result->setDesc, values, nulls);
	}
	forget_told(verify);
}

VerifyAccount *
verify_find(VerifyBatch *batch, int32 account_id)
{
	int low = 0;
	int high = batch->n;

	while (low < high)
	{
		int middle = low + (high - low) / 2;

		if (batch->account[middle].account_id < account_id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < batch->n && batch->account[low].account_id == account_id ? &batch->account[low]
																		  : NULL;
}

/* ---- a batch ---- */

static void
load_accounts(const Verify *verify, const int32 *account_id, int n, VerifyBatch *batch)
{
	static DbQuery query = {
		"SELECT a.account_id, a.code, a.opened_at, (a.tier_start_kwh * 1000)::bigint,"
		" EXISTS (SELECT FROM prepay.rerate_queue q WHERE q.site_id = $1"
		"  AND q.account_id = a.account_id), (SELECT COALESCE(sum(d.owed), 0)::text"
		"  FROM prepay.debt d WHERE d.site_id = $1 AND d.account_id = a.account_id),"
		" a.state = 'closed'"
		" FROM prepay.account a WHERE a.site_id = $1 AND a.account_id = ANY ($2)"
		" ORDER BY a.account_id",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), db_array_int32(account_id, n) };
	int i;

	batch->n = db_run(&query, args);
	batch->account = palloc0(sizeof(VerifyAccount) * Max(batch->n, 1));
	for (i = 0; i < batch->n; i++)
	{
		VerifyAccount *account = &batch->account[i];

		account->account_id = db_int32(i, 1);
		account->code = db_text(i, 2);
		account->whole.opened = site_local_day(verify->site, db_time(i, 3));
		account->whole.brought_wh = db_int64(i, 4);
		account->is_queued = db_bool(i, 5);
		if (decimal_parse(db_text(i, 6), verify->site->decimals, &account->debt_owed) != DECIMAL_OK)
			account->debt_owed = -1;
		account->is_closed = db_bool(i, 7);
	}
}

static void
load_states(const Verify *verify, const int32 *account_id, int n, VerifyBatch *batch)
{
	const Account *state;
	int found;
	int i;

	state = account_read_all(verify->site, account_id, n, &found);
	for (i = 0; i < found; i++)
		verify_find(batch, state[i].account_id)->state = &state[i];
	history_load(verify->site, account_id, n, DT_NOBEGIN, DT_NOEND, &batch->history);
	for (i = 0; i < batch->history.n_meter; i++)
		batch->rows += batch->history.meter[i].n;
}

/* Each account in a connection of its own: its memory is gone when it is done. */
static void
look_at_account(Verify *verify, const VerifyBatch *batch, const VerifyAccount *account)
{
	CHECK_FOR_INTERRUPTS();
	verify->account_code = account->code;
	if (account->state == NULL)
	{
		verify_fault(verify, "account_state", "the account has no state row");
		return;
	}
	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	verify_head(verify, account);
	verify_usage(verify, batch, account);
	SPI_finish();
}

static void
look_at_rows(Verify *verify, const VerifyBatch *batch)
{
	int32 *meter_id = palloc(sizeof(int32) * Max(batch->history.n_meter, 1));
	char **fault;
	int i;

	verify->account_code = NULL;
	for (i = 0; i < batch->history.n_meter; i++)
		meter_id[i] = batch->history.meter[i].meter_id;
	verify_readings(verify, meter_id, batch->history.n_meter);
	for (i = 0; i < batch->n; i++)
	{
		verify->account_code = batch->account[i].code;
		for (fault = proof_faults(verify->site, batch->account[i].account_id, meter_id,
								  batch->history.n_meter);
			 *fault; fault++)
			verify_fault(verify, "row", "%s", *fault);
	}
}

/* Returns how many rows that took. */
static int64
look_at_accounts(Verify *verify, const int32 *account_id, int n)
{
	VerifyBatch batch = { 0 };
	int i;

	if (SPI_connect() != SPI_OK_CONNECT)
		elog(ERROR, "SPI_connect failed");
	load_accounts(verify, account_id, n, &batch);
	load_states(verify, account_id, n, &batch);
	verify_load_lines(verify, &batch);
	verify_ledger(verify, &batch);
	for (i = 0; i < batch.n; i++)
		look_at_account(verify, &batch, &batch.account[i]);
	verify_energy(verify, &batch);
	/* Of all accounts the rows beside them are looked at in greater ranges. */
	if (!verify->is_whole)
		look_at_rows(verify, &batch);
	SPI_finish();
	verify->account_code = NULL;
	return batch.rows;
}

/* ---- rows that raise ---- */

static bool
is_about_data(const ErrorData *error)
{
	int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

	return category != ERRCODE_TO_CATEGORY(ERRCODE_OPERATOR_INTERVENTION) &&
		   category != ERRCODE_TO_CATEGORY(ERRCODE_INSUFFICIENT_RESOURCES);
}

/* Which accounts of the site are looked at. */
typedef struct Asked
{
	int32 account_id; /* 0: all of them */
	TimestampTz since;
} Asked;

/* NULL, or what an error says of the data; its faults are forgotten then. */
static char *
try_accounts(Verify *verify, const int32 *account_id, int n, int64 *rows)
{
	MemoryContext memory = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	char *volatile failed = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(memory);
	PG_TRY();
	{
		*rows = look_at_accounts(verify, account_id, n);
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
		failed = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(memory);
	CurrentResourceOwner = owner;
	return failed;
}

static void
look_at(Verify *verify, const int32 *account_id, char *const *code, int n, int64 *rows)
{
	char *failed = try_accounts(verify, account_id, n, rows);
	int i;

	if (failed && n > 1)
	{
		forget_told(verify);
		for (i = 0; i < n; i++)
			look_at(verify, &account_id[i], &code[i], 1, rows);
	}
	else if (failed)
	{
		verify->account_code = code[0];
		verify_fault(verify, "stored_state", "its rows cannot be used: %s", failed);
		verify->account_code = NULL;
	}
	give_told(verify);
}

/* The next accounts after one, at most n; their number. */
static int
next_accounts(const Verify *verify, const Asked *asked, int32 after, int n, int32 *account_id,
			  char **code)
{
	static DbQuery query = {
		"SELECT account_id, code FROM prepay.account a WHERE site_id = $1 AND account_id > $2"
		" AND account_id <= $3 AND ($4 = '-infinity' OR EXISTS (SELECT"
		"  FROM prepay.ledger_entry e WHERE e.site_id = $1 AND e.account_id = a.account_id"
		"  AND e.booked_at >= $4)) ORDER BY account_id LIMIT $5",
		5,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	int32 last = asked->account_id ? asked->account_id : PG_INT32_MAX;
	Datum args[] = { Int32GetDatum(verify->site->site_id), Int32GetDatum(after),
					 Int32GetDatum(last), TimestampTzGetDatum(asked->since), Int32GetDatum(n) };
	int i;

	n = db_run(&query, args);
	for (i = 0; i < n; i++)
	{
		account_id[i] = db_int32(i, 1);
		code[i] = db_text(i, 2);
	}
	return n;
}

static void
look_at_all(Verify *verify, const Asked *asked)
{
	int32 account_id[MAX_BATCH];
	int32 after = asked->account_id ? asked->account_id - 1 : PG_INT32_MIN;
	int batch = FIRST_BATCH;
	int n = batch;

	while (n == batch)
	{
		char **code;
		int64 rows = 0;

		if (SPI_connect() != SPI_OK_CONNECT)
			elog(ERROR, "SPI_connect failed");
		code = palloc(sizeof(char *) * batch);
		n = next_accounts(verify, asked, after, batch, account_id, code);
		if (n > 0)
			look_at(verify, account_id, code, n, &rows);
		SPI_finish();
		if (n < batch)
			break;
		after = account_id[n - 1];
		batch = n = (int) Min(BATCH_ROWS / Max(rows / n, 1) + 1, MAX_BATCH);
	}
}

/* ---- the site ---- */

typedef struct TextFault
{
	Verify *verify;
	const char *invariant;
} TextFault;

static void
tell_text(void *context, const char *fault)
{
	const TextFault *to = context;

	verify_fault(to->verify, to->invariant, "%s", fault);
}

static void
tell_row(void *context, const Datum *value, const bool *isnull)
{
	const TextFault *to = context;

	verify_fault(to->verify, to->invariant, "%s", TextDatumGetCString(value[0]));
}

/* Each key leads to the entry that is its result; a repeated call is answered from there. */
static void
check_postings(Verify *verify)
{
	static DbQuery query = {
		"SELECT format('key \"%s\" does not lead to its entry', p.key) FROM prepay.posting p"
		" LEFT JOIN prepay.ledger_entry e USING (site_id, account_id, seq) WHERE p.site_id = $1"
		" AND (e.key IS DISTINCT FROM p.key OR e.booked_at IS DISTINCT FROM p.posted_at)"
		" ORDER BY p.key",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(verify->site->site_id);
	TextFault to = { verify, "posting" };

	db_scan(&query, &arg, tell_row, &to);
}

/* Rows of accounts and meters that are none. */
static void
check_strangers(Verify *verify)
{
	static DbQuery query = {
		"SELECT DISTINCT format('%s has rows of account %s, which is none', x.t, x.account_id)"
		" FROM (SELECT 'ledger_entry' AS t, e.account_id FROM prepay.ledger_entry e"
		"  WHERE e.site_id = $1 AND NOT EXISTS (SELECT FROM prepay.account a WHERE a.site_id = $1"
		"   AND a.account_id = e.account_id)"
		" UNION ALL SELECT 'usage_line', u.account_id FROM prepay.usage_line u"
		"  WHERE u.site_id = $1 AND NOT EXISTS (SELECT FROM prepay.account a WHERE a.site_id = $1"
		"   AND a.account_id = u.account_id)"
		" UNION ALL SELECT 'account_state', s.account_id FROM prepay.account_state s"
		"  WHERE s.site_id = $1 AND NOT EXISTS (SELECT FROM prepay.account a WHERE a.site_id = $1"
		"   AND a.account_id = s.account_id)) AS x ORDER BY 1",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(verify->site->site_id);
	TextFault to = { verify, "account_state" };

	db_scan(&query, &arg, tell_row, &to);
}

static void
look_at_site(Verify *verify)
{
	TextFault anchor = { verify, "anchor" };
	char **fault;

	check_strangers(verify);
	verify_all_readings(verify);
	anchor_look(verify->site, tell_text, &anchor);
	check_postings(verify);
	for (fault = proof_faults(verify->site, 0, NULL, 0); *fault; fault++)
		verify_fault(verify, "row", "%s", *fault);
	for (fault = share_faults(verify->site); *fault; fault++)
		verify_fault(verify, "public_energy", "%s", *fault);
	for (fault = till_faults(verify->site); *fault; fault++)
		verify_fault(verify, "receipts", "%s", *fault);
	for (fault = oplog_faults(verify->site->site_id); *fault; fault++)
		verify_fault(verify, "operator_log", "%s", *fault);
	for (fault = pay_faults(verify->site); *fault; fault++)
		verify_fault(verify, "payments", "%s", *fault);
	give_told(verify);
}

static void
look_at_purses(Verify *verify, int32 account_id)
{
	char **fault;

	for (fault = purse_faults(verify->site, account_id); *fault; fault++)
		verify_fault(verify, "purse", "%s", *fault);
	give_told(verify);
}

static void
verify_site(Verify *verify, const Asked *asked)
{
	verify->gap_us = 2 * setting_interval_us(verify->site, "poll_interval", 0);
	verify->is_whole = asked->account_id == 0 && asked->since == DT_NOBEGIN;
	look_at_all(verify, asked);
	look_at_purses(verify, asked->account_id);
	if (asked->account_id == 0)
		look_at_site(verify);
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
	Asked asked = { 0 };
	DbSession session;
	int32 *site_id;
	int n = 1;
	int i;

	InitMaterializedSRF(fcinfo, 0);
	asked.since = PG_ARGISNULL(2) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(2);
	db_enter(&session);
	verify.memory =
		AllocSetContextCreate(CurrentMemoryContext, "prepay verify", ALLOCSET_DEFAULT_SIZES);
	if (!PG_ARGISNULL(1))
	{
		CodeTarget target;

		code_resolve(session.caller,
					 PG_ARGISNULL(0) ? text_to_cstring(PG_GETARG_TEXT_PP(1))
									 : psprintf("%s/%s", text_to_cstring(PG_GETARG_TEXT_PP(0)),
												text_to_cstring(PG_GETARG_TEXT_PP(1))),
					 KIND_ACCOUNT, &target);
		asked.account_id = target.id;
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
		verify_site(&verify, &asked);
	}
	db_leave(&session);
	return (Datum) 0;
}
