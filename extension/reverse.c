/*
 * reverse.c: taking back a whole posting, once. 冲正
 *
 * Every entry the posting made gets one reversal entry with the signs turned: amount,
 * debt and fee. Heads go along: a paid debt is owed again, an added debt or a grant was
 * never there. Reversible are the postings of people: opening, sale, refund,
 * adjustment, transfer (both sides), debt, credit. What rating posted is corrected by
 * correcting its readings; a reversal is not reversed, what it took away is posted
 * anew; a closing stands, because nothing moves a closed account's money.
 *
 * A recharge that was not sent goes with its sale; one that may be in the meter has to
 * be withdrawn first (purse.c).
 *
 * A sale is reversed also when its money is spent: the balance may fall below 0, and
 * the note says by how much.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "auth.h"
#include "credit.h"
#include "db.h"
#include "debt.h"
#include "purse.h"
#include "vend.h"

PG_FUNCTION_INFO_V1(prepay_reverse);

typedef struct Original
{
	int32 account_id;
	int32 seq;
	char *kind;
	int64 amount;
	int64 debt;
	int64 fee;
	char *tender;
	int32 ref_seq;
	int32 day;
	char *key; /* NULL: an opening without money */
	int32 other_account_id;
	bool reversed;
} Original;

#define ORIGINAL_SELECT                                                                       \
	"SELECT e.account_id, e.seq, e.kind, e.amount::text, COALESCE(e.debt, 0)::text,"          \
	" COALESCE(e.fee, 0)::text, e.tender, COALESCE(e.ref_seq, 0), e.day - date '2000-01-01'," \
	" e.key, COALESCE(e.other_account_id, 0), EXISTS (SELECT FROM prepay.ledger_entry r"      \
	"  WHERE r.site_id = e.site_id AND r.account_id = e.account_id AND r.ref_seq = e.seq"     \
	"  AND r.kind = 'reversal') FROM prepay.ledger_entry e WHERE e.site_id = $1"

static void
read_original(const Site *site, int i, Original *original)
{
	original->account_id = db_int32(i, 1);
	original->seq = db_int32(i, 2);
	original->kind = db_text(i, 3);
	original->amount = text_minor(site, db_text(i, 4));
	original->debt = text_minor(site, db_text(i, 5));
	original->fee = text_minor(site, db_text(i, 6));
	original->tender = db_text(i, 7);
	original->ref_seq = db_int32(i, 8);
	original->day = db_int32(i, 9);
	original->key = db_text(i, 10);
	original->other_account_id = db_int32(i, 11);
	original->reversed = db_bool(i, 12);
}

static void
refuse(const VendCall *call, int32 seq, const char *why, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_PP_NOT_REVERSIBLE),
					errmsg("entry %d of account \"%s\" cannot be reversed", seq, call->target.code),
					errdetail("%s", why), errhint("%s", hint)));
}

/* Raises PP026 for what is not taken back by reversing. */
static void
require_reversible(const VendCall *call, const Original *original)
{
	static const struct
	{
		const char *kind;
		const char *why;
		const char *hint;
	} never[] = {
		{ "reversal", "It is a reversal itself.", "Post what it took away anew." },
		{ "consumption", "It books energy.", "Use prepay.correct_reading()." },
		{ "correction", "It books energy.", "Use prepay.correct_reading()." },
		{ "standing", "It books standing charges.", "Use prepay.define_tariff()." },
		{ "public", "It shares public energy.", "prepay.post_public_energy() posts differences." },
		{ "closing", "It closed the account.", "Open a new account." },
	};
	int i;

	for (i = 0; i < lengthof(never); i++)
		if (strcmp(original->kind, never[i].kind) == 0)
			refuse(call, original->seq, never[i].why, never[i].hint);
	if (strcmp(original->kind, "credit") == 0 && original->amount <= 0)
		refuse(call, original->seq,
			   original->amount < 0 ? "It took back what had lapsed." : "It moved no money.",
			   "Use prepay.grant_credit() to give it again.");
	if (original->amount == 0 && original->debt == 0)
		refuse(call, original->seq, "It moved no money.", "There is nothing to take back.");
	if (original->reversed)
		refuse(call, original->seq, "It has been reversed before.",
			   "Look for its reversal in prepay.ledger.");
}

/* The entry that was named; it never changes, so no lock is needed to look. */
static void
find_original(VendCall *call, int32 seq, Original *original)
{
	static DbQuery query = { ORIGINAL_SELECT " AND e.account_id = $2 AND e.seq = $3",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(call->target.id),
					 Int32GetDatum(seq) };

	if (db_run(&query, args) != 1)
		refuse(call, seq, "There is no such entry.", "Look for it in prepay.ledger.");
	read_original(call->site, 0, original);
}

/* All entries of its posting, in both accounts of a transfer. */
static int
find_posting(const VendCall *call, const Original *original, Original **part)
{
	static DbQuery query = { ORIGINAL_SELECT " AND e.account_id IN ($2, $3) AND e.key = $4"
											 " ORDER BY e.account_id, e.seq",
							 4,
							 { INT4OID, INT4OID, INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(call->target.id),
					 Int32GetDatum(call->other.id), db_text_datum(original->key) };
	int n;
	int i;

	if (original->key == NULL)
	{
		*part = palloc(sizeof(Original));
		(*part)[0] = *original;
		return 1;
	}
	n = db_run(&query, args);
	*part = palloc(sizeof(Original) * n);
	for (i = 0; i < n; i++)
		read_original(call->site, i, &(*part)[i]);
	return n;
}

/* A debt is paid from two sides: find the account a debt payment came in with. */
static void
find_other_side(VendCall *call, const Original *original)
{
	static DbQuery query = {
		"SELECT e.other_account_id, a.code FROM prepay.ledger_entry e JOIN prepay.account a"
		" ON a.site_id = e.site_id AND a.account_id = e.other_account_id WHERE e.site_id = $1"
		" AND e.account_id = $2 AND e.key = $3 AND e.other_account_id IS NOT NULL LIMIT 1",
		3,
		{ INT4OID, INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), Int32GetDatum(call->target.id),
					 db_text_datum(original->key) };

	if (original->key == NULL || db_run(&query, args) == 0)
		return;
	call->other.site_id = call->site->site_id;
	call->other.kind = KIND_ACCOUNT;
	call->other.id = db_int32(0, 1);
	call->other.code = db_text(0, 2);
}

/* ---- posting ---- */

/* Before the entry is posted: it is here that what cannot be taken back is refused. */
static void
turn_heads(VendCall *call, Account *account, const Original *part)
{
	const Site *site = call->site;
	int32 by_seq = account->last_seq + 1;

	if (strcmp(part->kind, "debt") == 0 && part->debt < 0)
		debt_unpay(site, account->account_id, part->ref_seq, -part->debt, part->day);
	else if (strcmp(part->kind, "debt") == 0)
		debt_cancel(site, account->account_id, part->seq);
	if ((strcmp(part->kind, "credit") == 0 || strcmp(part->kind, "adjustment") == 0) &&
		part->amount > 0)
		credit_cancel(call, account, part->seq, by_seq);
	if (part->debt != 0)
		vend_decide(account);
}

/* The reason, and what the account then owes. */
static char *
note_text(const VendCall *call, const Account *account, const Original *part, int n,
		  const char *reason)
{
	int64 balance = account_balance_of(call->site, account);
	char *owes;
	int i;

	for (i = 0; i < n; i++)
		if (part[i].account_id == account->account_id)
			balance -= part[i].amount;
	if (balance >= 0)
		return reason ? pstrdup(reason) : NULL;
	owes = psprintf("the account owes %s %s now", vend_money(call->site, -balance),
					call->site->currency);
	return reason ? psprintf("%s; %s", reason, owes) : owes;
}

static void
reverse_part(VendCall *call, const Original *part, bool is_result, const char *note)
{
	Account *account = part->account_id == call->target.id ? call->account : call->other_account;
	LedgerEntry entry = { .kind = "reversal",
						  .amount_minor = -part->amount,
						  .debt_minor = -part->debt,
						  .fee_minor = -part->fee,
						  .tender = part->tender,
						  .ref_seq = part->seq,
						  .other_account_id = part->other_account_id,
						  .note = note };

	turn_heads(call, account, part);
	if (is_result)
		vend_post_result(call, &entry);
	else
		vend_post(call, account, &entry);
}

/* The entry whose reversal is the result and bears the paper: where money changed hands, else the
 * one that was named. */
static const Original *
head_of(const VendCall *call, const Original *named, const Original *part, int n)
{
	const Original *head = NULL;
	int i;

	for (i = 0; i < n; i++)
		if (part[i].account_id == call->target.id &&
			(part[i].tender != NULL || (head == NULL && part[i].seq == named->seq)))
			head = &part[i];
	return head;
}

static void
reverse_posting(VendCall *call, const Original *original, const char *reason)
{
	Original *part;
	int n = find_posting(call, original, &part);
	const Original *head = head_of(call, original, part, n);
	char *note = note_text(call, call->account, part, n, reason);
	char *other_note =
		call->other_account ? note_text(call, call->other_account, part, n, reason) : NULL;
	int i;

	for (i = 0; i < n; i++)
		require_reversible(call, &part[i]);
	for (i = 0; i < call->n_locked; i++)
		purse_cancel(call, &call->locked[i], original->key);
	if (head->tender != NULL || strcmp(head->kind, "opening") == 0)
		vend_receipt(call);
	reverse_part(call, head, true, note);
	for (i = 0; i < n; i++)
		if (&part[i] != head)
			reverse_part(call, &part[i], false,
						 part[i].account_id == call->target.id ? note : other_note);
	vend_finish(call);
}

/*
 * reverse(account, seq, key, reason) → money_result: the reversal of the entry by which
 * money changed hands, else of the one named.
 */
Datum
prepay_reverse(PG_FUNCTION_ARGS)
{
	DbSession session;
	VendCall call = { .operation = "reverse" };
	Original original;
	char *account = vend_text(fcinfo, 0, "the account");
	char *reason;
	int32 seq;
	Datum result;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the entry to reverse must be given"),
						errhint("Give its seq, see prepay.ledger.")));
	seq = PG_GETARG_INT32(1);
	call.key = vend_key(fcinfo, 2);
	reason = vend_text_or_null(fcinfo, 3);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SUPERVISE, "reverse a posting");
	{
		const char *part[] = { psprintf("%d", seq), reason };

		vend_fingerprint(&call, part, lengthof(part));
	}
	find_original(&call, seq, &original);
	find_other_side(&call, &original);
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_not_closed(call.site, &call.target);
		if (call.other.id)
			vend_require_not_closed(call.site, &call.other);
		require_reversible(&call, &original);
		reverse_posting(&call, &original, reason);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
