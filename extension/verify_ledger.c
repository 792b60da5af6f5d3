/*
 * verify_ledger.c: the chains of entries of a batch of accounts, in one scan.
 *
 * An entry is hashed with the row of posting it came by and with the lines of usage_line
 * it booked, so a change in any of the three shows in its hash.
 */
#include "verify_inner.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "amount.h"
#include "db.h"

/* ---- lines ---- */

typedef struct LineWork
{
	MemoryContext memory;
	BookedLine *line;
	int64 n;
	int64 room;
} LineWork;

/* -1, which is hashed as no component is, for another name. */
static BillComponent
component_of(const char *name)
{
	return strcmp(name, "energy") == 0		? BILL_ENERGY
		   : strcmp(name, "standing") == 0	? BILL_STANDING
		   : strcmp(name, "surcharge") == 0 ? BILL_SURCHARGE
											: (BillComponent) -1;
}

static void
take_line(void *context, const Datum *value, const bool *isnull)
{
	LineWork *work = context;
	BookedLine *booked;

	if (work->n == work->room)
	{
		BookedLine *old = work->line;

		work->room = Max(1024, work->room * 2);
		work->line = MemoryContextAllocExtended(work->memory, sizeof(BookedLine) * work->room,
												MCXT_ALLOC_HUGE);
		if (old)
		{
			memcpy(work->line, old, sizeof(BookedLine) * work->n);
			pfree(old);
		}
	}
	booked = &work->line[work->n++];
	booked->account_id = DatumGetInt32(value[0]);
	booked->booked_seq = DatumGetInt32(value[1]);
	booked->booked_day = DatumGetDateADT(value[2]);
	booked->line = (BillLine){ .meter_id = DatumGetInt32(value[3]),
							   .day = DatumGetDateADT(value[4]),
							   .tariff_id = DatumGetInt32(value[5]),
							   .version = DatumGetInt32(value[6]),
							   .component = component_of(TextDatumGetCString(value[7])),
							   .index = DatumGetInt16(value[8]),
							   .period = DatumGetInt16(value[9]),
							   .tier = DatumGetInt16(value[10]),
							   .wh = DatumGetInt64(value[11]),
							   .estimated_wh = DatumGetInt64(value[12]),
							   .amount = numeric_exact(value[13]) };
}

static int
compare_booked(const void *a, const void *b)
{
	const BookedLine *x = a;
	const BookedLine *y = b;

	if (x->account_id != y->account_id)
		return x->account_id < y->account_id ? -1 : 1;
	if (x->booked_seq != y->booked_seq)
		return x->booked_seq < y->booked_seq ? -1 : 1;
	return usage_compare_lines(&x->line, &y->line);
}

static Datum
account_ids(const VerifyBatch *batch)
{
	int32 *id = palloc(sizeof(int32) * batch->n);
	int i;

	for (i = 0; i < batch->n; i++)
		id[i] = batch->account[i].account_id;
	return db_array_int32(id, batch->n);
}

void
verify_load_lines(Verify *verify, VerifyBatch *batch)
{
	static DbQuery query = {
		"SELECT account_id, booked_seq, booked_day, meter_id, day, tariff_id, version, component,"
		" item, period, tier, wh, estimated_wh, amount FROM prepay.usage_line"
		" WHERE site_id = $1 AND account_id = ANY ($2)",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), account_ids(batch) };
	LineWork work = { .memory = CurrentMemoryContext };
	int64 i;
	int a = 0;

	db_scan(&query, args, take_line, &work);
	if (work.n > 1)
		qsort(work.line, work.n, sizeof(BookedLine), compare_booked);
	for (i = 0; i < work.n; i++)
	{
		while (batch->account[a].account_id != work.line[i].account_id)
			a++;
		if (batch->account[a].n_line++ == 0)
			batch->account[a].line = &work.line[i];
	}
	batch->rows += work.n;
}

/* ---- entries ---- */

enum
{
	E_ACCOUNT,
	E_SEQ,
	E_KIND,
	E_AMOUNT,
	E_BALANCE_AFTER,
	E_BOOKED_AT,
	E_RECORDED_AT,
	E_DAY,
	E_KEY,
	E_REF_SEQ,
	E_OPERATOR,
	E_TENDER,
	E_TILL,
	E_RECEIPT_NO,
	E_NOTE,
	E_HASH,
	E_DEBT,
	E_DEBT_AFTER,
	E_FEE,
	E_PURCHASE_NO,
	E_PRICE,
	E_OTHER_ACCOUNT,
	P_OPERATION,
	P_FINGERPRINT,
	P_BALANCE,
	P_DEBT
};

#define TEXT(column) (isnull[column] ? NULL : TextDatumGetCString(value[column]))
#define NUMBER(column) (isnull[column] ? NULL : numeric_text(value[column]))

/* As vend.c wrote it. */
static const char *
call_text(const Datum *value, const bool *isnull)
{
	const bytea *fingerprint;
	StringInfoData call;

	if (isnull[P_OPERATION])
		return NULL;
	fingerprint = DatumGetByteaPP(value[P_FINGERPRINT]);
	initStringInfo(&call);
	appendStringInfo(&call, "%s ", TextDatumGetCString(value[P_OPERATION]));
	enlargeStringInfo(&call, VARSIZE_ANY_EXHDR(fingerprint) * 2 + 1);
	call.len +=
		hex_encode(VARDATA_ANY(fingerprint), VARSIZE_ANY_EXHDR(fingerprint), call.data + call.len);
	call.data[call.len] = '\0';
	appendStringInfo(&call, " %s %s", numeric_text(value[P_BALANCE]), numeric_text(value[P_DEBT]));
	return call.data;
}

static void
entry_row(const Verify *verify, const Datum *value, const bool *isnull, LedgerRow *row)
{
	*row =
		(LedgerRow){ .site_id = verify->site->site_id,
					 .account_id = DatumGetInt32(value[E_ACCOUNT]),
					 .seq = DatumGetInt32(value[E_SEQ]),
					 .kind = TEXT(E_KIND),
					 .amount = NUMBER(E_AMOUNT),
					 .balance_after = NUMBER(E_BALANCE_AFTER),
					 .booked_at = DatumGetTimestampTz(value[E_BOOKED_AT]),
					 .recorded_at = DatumGetTimestampTz(value[E_RECORDED_AT]),
					 .day = DatumGetDateADT(value[E_DAY]),
					 .key = TEXT(E_KEY),
					 .call = call_text(value, isnull),
					 .ref_seq = isnull[E_REF_SEQ] ? 0 : DatumGetInt32(value[E_REF_SEQ]),
					 .operator_name = TEXT(E_OPERATOR),
					 .tender = TEXT(E_TENDER),
					 .till = TEXT(E_TILL),
					 .receipt_no = isnull[E_RECEIPT_NO] ? 0 : DatumGetInt64(value[E_RECEIPT_NO]),
					 .note = TEXT(E_NOTE),
					 .debt = NUMBER(E_DEBT),
					 .debt_after = NUMBER(E_DEBT_AFTER),
					 .fee = NUMBER(E_FEE),
					 .purchase_no = isnull[E_PURCHASE_NO] ? 0 : DatumGetInt32(value[E_PURCHASE_NO]),
					 .price = NUMBER(E_PRICE),
					 .other_account_id =
						 isnull[E_OTHER_ACCOUNT] ? 0 : DatumGetInt32(value[E_OTHER_ACCOUNT]) };
}

static bool
books_usage(const char *kind)
{
	return strcmp(kind, "consumption") == 0 || strcmp(kind, "correction") == 0 ||
		   strcmp(kind, "standing") == 0;
}

static void
stray_line(Verify *verify, const BookedLine *booked)
{
	verify_fault(verify, "usage_posted",
				 "usage of meter %d, day %s is booked under entry %d, which is none",
				 booked->line.meter_id,
				 DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(booked->line.day))),
				 booked->booked_seq);
}

/* The digest of the lines booked under an entry; false: there are none. */
static bool
lines_of_entry(Verify *verify, VerifyAccount *account, int32 seq, uint8 *digest)
{
	const BookedLine *booked;
	BillLine *line;
	int n = 0;
	int i;

	for (;
		 account->next_line < account->n_line && account->line[account->next_line].booked_seq < seq;
		 account->next_line++)
		stray_line(verify, &account->line[account->next_line]);
	booked = &account->line[account->next_line];
	while (account->next_line + n < account->n_line && booked[n].booked_seq == seq)
		n++;
	if (n == 0)
		return false;
	account->next_line += n;
	line = palloc(sizeof(BillLine) * n);
	for (i = 0; i < n; i++)
	{
		line[i] = booked[i].line;
		if (booked[i].booked_day != booked[0].booked_day)
			verify_fault(verify, "usage_posted", "the lines of entry %d were booked on two days",
						 seq);
	}
	usage_digest(line, n, booked[0].booked_day, digest);
	return true;
}

static void
check_debt(Verify *verify, VerifyAccount *account, const LedgerRow *row)
{
	int64 debt;
	int64 after;

	if (row->debt == NULL && row->debt_after == NULL)
		return;
	if (row->debt == NULL || row->debt_after == NULL ||
		decimal_parse(row->debt, verify->site->decimals, &debt) != DECIMAL_OK ||
		decimal_parse(row->debt_after, verify->site->decimals, &after) != DECIMAL_OK)
	{
		verify_fault(verify, "ledger_amount", "entry %d: its debt is no amount", row->seq);
		return;
	}
	if (account->debt + debt != after)
		verify_fault(verify, "ledger_sum", "entry %d: debt_after %s is not the sum of entries",
					 row->seq, row->debt_after);
	account->debt = after;
}

static void
check_sums(Verify *verify, VerifyAccount *account, const LedgerRow *row)
{
	int64 amount;
	int64 after;

	if (row->seq != account->seq + 1)
		verify_fault(verify, "ledger_seq", "entry %d follows entry %d", row->seq, account->seq);
	if (decimal_parse(row->amount, verify->site->decimals, &amount) != DECIMAL_OK ||
		decimal_parse(row->balance_after, verify->site->decimals, &after) != DECIMAL_OK)
		verify_fault(verify, "ledger_amount", "entry %d: %s, %s are not amounts", row->seq,
					 row->amount, row->balance_after);
	else
	{
		if (account->balance + amount != after)
			verify_fault(verify, "ledger_sum",
						 "entry %d: balance_after %s is not the sum of entries", row->seq,
						 row->balance_after);
		account->balance = after;
		if (books_usage(row->kind))
			account->usage_minor += amount;
	}
	check_debt(verify, account, row);
}

typedef struct EntryWork
{
	Verify *verify;
	VerifyBatch *batch;
} EntryWork;

static void
take_entry(void *context, const Datum *value, const bool *isnull)
{
	const EntryWork *work = context;
	Verify *verify = work->verify;
	VerifyAccount *account = verify_find(work->batch, DatumGetInt32(value[E_ACCOUNT]));
	uint8 lines[DIGEST_BYTES];
	uint8 stored[LEDGER_HASH_BYTES];
	LedgerRow row;

	verify->account_code = account->code;
	entry_row(verify, value, isnull, &row);
	check_sums(verify, account, &row);
	if (lines_of_entry(verify, account, row.seq, lines))
		row.usage = lines;
	account->seq = row.seq;
	account->purchases = Max(account->purchases, row.purchase_no);
	ledger_hash(account->hash, &row, account->hash);
	if (!digest_from_datum(value[E_HASH], stored))
		verify_fault(verify, "ledger_hash", "entry %d has no hash", row.seq);
	else if (memcmp(account->hash, stored, LEDGER_HASH_BYTES) != 0)
		verify_fault(verify, "ledger_hash",
					 "entry %d, its posting or the usage it books was changed afterwards", row.seq);
	memcpy(account->hash, stored, LEDGER_HASH_BYTES);
}

void
verify_ledger(Verify *verify, VerifyBatch *batch)
{
	static DbQuery query = {
		"SELECT e.account_id, e.seq, e.kind, e.amount, e.balance_after, e.booked_at, e.recorded_at,"
		" e.day, e.key, e.ref_seq, e.operator, e.tender, e.till, e.receipt_no, e.note, e.hash,"
		" e.debt, e.debt_after, e.fee, e.purchase_no, e.price, e.other_account_id, p.operation,"
		" p.fingerprint, p.balance, p.debt FROM prepay.ledger_entry e LEFT JOIN prepay.posting p"
		" ON p.site_id = $1 AND p.key = e.key WHERE e.site_id = $1 AND e.account_id = ANY ($2)"
		" ORDER BY e.account_id, e.seq",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[] = { Int32GetDatum(verify->site->site_id), account_ids(batch) };
	EntryWork work = { .verify = verify, .batch = batch };

	db_scan(&query, args, take_entry, &work);
}

static void
check_state(Verify *verify, const VerifyAccount *account)
{
	const Account *state = account->state;

	if (state->n_meter_all != state->n_meter)
		verify_fault(verify, "account_state", "the account counts %d meters, it has %d",
					 state->n_meter_all, state->n_meter);
	if (state->purchases != account->purchases)
		verify_fault(verify, "account_state", "the account counts %d sales, the ledger has %d",
					 state->purchases, account->purchases);
	if (state->is_closed != account->is_closed)
		verify_fault(verify, "account_state", "the account is %sclosed, its state says otherwise",
					 account->is_closed ? "" : "not ");
}

void
verify_head(Verify *verify, const VerifyAccount *account)
{
	const Account *state = account->state;
	Exact sum = 0;
	char stored[EXACT_TEXT_MAX];
	char found[EXACT_TEXT_MAX];
	int64 minor;
	int i;

	check_state(verify, account);
	for (i = account->next_line; i < account->n_line; i++)
		stray_line(verify, &account->line[i]);
	if (state->last_seq != account->seq)
		verify_fault(verify, "ledger_head", "the account counts %d entries, the ledger has %d",
					 state->last_seq, account->seq);
	if (state->posted_minor != account->balance)
		verify_fault(verify, "balance",
					 "the account's posted balance is not the last balance_after");
	if (state->debt_minor != account->debt || account->debt_owed != account->debt)
		verify_fault(verify, "debt",
					 "what the account and its debts say is owed is not the last debt_after");
	if (account->seq > 0 && memcmp(state->last_hash, account->hash, LEDGER_HASH_BYTES) != 0)
		verify_fault(verify, "ledger_head", "the account's last hash is not that of entry %d",
					 account->seq);
	for (i = 0; i < account->n_line; i++)
		if (!exact_add(sum, account->line[i].line.amount, &sum))
			out_of_range("cost");
	exact_format(state->sealed, stored);
	exact_format(sum, found);
	if (sum != state->sealed)
		verify_fault(verify, "sealed_cost", "sealed lines cost %s, the account says %s", found,
					 stored);
	if (!exact_to_minor(sum, verify->site->decimals, &minor) || -minor != account->usage_minor)
		verify_fault(verify, "usage_posted",
					 "the entries for usage do not add up to the rounded cost of the sealed "
					 "lines, %s",
					 found);
}
