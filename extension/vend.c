/*
 * vend.c: the frame of every money function.
 *
 * Data model
 *   A posting is what one call with one key did: one or more entries of
 *   ledger_entry that bear the key, and one row of `posting` with the fingerprint of
 *   the arguments, the place of the entry that is the result, and the balance and
 *   debt the call left. Reversing reverses a whole posting.
 *
 *   Balance   sum of entries, less open usage. What a customer can use up.
 *   Debt      owed beside the balance (debt.c): entries move it in their column
 *             `debt`, so both sums run through one chain. A top-up pays it first.
 *   Credit    the part of the balance that was given, not paid (credit.c). It is
 *             used up before own money and is never paid out.
 *   Own unspent money = balance - credit left = opening + sales + transfers in
 *             - refunds - transfers out - usage, with usage taken from granted
 *             credit first. Refund, transfer and closing pay out no more.
 *   Fee       a share of what was tendered that never reaches the balance: a sale
 *             of 100 with 2 percent is an entry of 98 with fee 2. Money in the till
 *             is amount + fee, for the sale as for its reversal.
 *   Receipt   documents are numbered per till without a gap (till.c).
 *   Purse     where a meter keeps the money, what a posting moves is sent there, or was
 *             withdrawn from there before (purse.c).
 *
 * Invariants
 *   A key has one posting for ever. Same key, same arguments: the first result;
 *   other arguments: PP020, and nothing done. Two calls with one new key at once:
 *   the second waits for the first and gives its result.
 *   balance_after and debt_after follow from the entries before; verify() adds up.
 *
 * Locks: site shared → accounts ascending → till → key → meters of the account
 * (decide). Closing and opening hold the site exclusively. A till is waited for only
 * with the account held, and who holds a till waits for nothing but its own key
 * and meters: there is no circle.
 *
 * A crash leaves the whole posting, with its alarms and commands, or nothing of it.
 */
#include "vend.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "account.h"
#include "auth.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "purse.h"
#include "till.h"

#define KEY_MAX_BYTES 200
#define RESULT_COLUMNS 14

static const char *const tenders[] = { "cash",	 "card",   "transfer", "cheque",
									   "alipay", "wechat", "unionpay", "other" };

/* ---- arguments ---- */

char *
vend_text(FunctionCallInfo fcinfo, int arg, const char *what)
{
	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must be given", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

char *
vend_text_or_null(FunctionCallInfo fcinfo, int arg)
{
	return PG_ARGISNULL(arg) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(arg));
}

char *
vend_key(FunctionCallInfo fcinfo, int arg)
{
	char *key;

	if (PG_ARGISNULL(arg))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("the key is missing"),
						errhint("Give a text that is unique for this operation, such as the "
								"number of the payment; repeating the call with it is safe.")));
	key = text_to_cstring(PG_GETARG_TEXT_PP(arg));
	if (*key == '\0' || strlen(key) > KEY_MAX_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a key has 1 to %d bytes, not %zu", KEY_MAX_BYTES, strlen(key)),
						errhint("Give the number of the payment or another short unique text.")));
	return key;
}

int64
vend_positive(const Site *site, Datum amount)
{
	int64 minor = amount_minor(site, amount, "amount");

	if (minor <= 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
						errmsg("amount %s is not positive", numeric_text(amount)),
						errhint("Give what changes hands; the function says in which direction.")));
	return minor;
}

void
vend_check_tender(const char *tender)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < lengthof(tenders); i++)
	{
		if (strcmp(tenders[i], tender) == 0)
			return;
		appendStringInfo(&list, "%s%s", i ? ", " : "", tenders[i]);
	}
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("there is no tender \"%s\"", tender),
			 errhint("Tenders are: %s.", list.data)));
}

char *
vend_options(FunctionCallInfo fcinfo, int arg, const char *const *known, Jsonb **options)
{
	*options = NULL;
	if (PG_ARGISNULL(arg))
		return "";
	*options = PG_GETARG_JSONB_P(arg);
	options_check(*options, known);
	if (JB_ROOT_COUNT(*options) == 0)
		return "";
	return JsonbToCString(NULL, &(*options)->root, -1);
}

char *
vend_money(const Site *site, int64 minor)
{
	char *text = palloc(MONEY_TEXT_MAX);

	minor_format(minor, site->decimals, text);
	return text;
}

/* ---- the key ---- */

/* The state holds for the transaction: whoever changes it has the site exclusively. */
static void
find_account(VendCall *call, const char *text)
{
	static DbQuery query = { "SELECT account_id, state FROM prepay.account"
							 " WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(call->target.site_id), CStringGetTextDatum(call->target.code) };

	if (db_run(&query, args) == 0)
		code_unknown(text, KIND_ACCOUNT);
	call->target.id = db_int32(0, 1);
	call->state = db_text(0, 2);
}

void
vend_open(VendCall *call, const DbSession *session, const char *account, int rights,
		  const char *what)
{
	CodeTarget *target = &call->target;

	target->kind = KIND_ACCOUNT;
	target->code = code_split(session->caller, account, KIND_ACCOUNT, &target->site_id);
	auth_require(session->caller, rights, target->site_id, what);
	if (call->exclusive)
		lock_site_exclusive(target->site_id);
	else
		lock_site_shared(target->site_id);
	call->site = site_get(target->site_id);
	find_account(call, account);
}

void
vend_fingerprint(VendCall *call, const char *const *part, int n)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	appendStringInfo(&text, "%s|%d", call->operation, call->target.id);
	for (i = 0; i < n; i++)
		appendStringInfo(&text, "|%d:%s", part[i] ? (int) strlen(part[i]) : -1,
						 part[i] ? part[i] : "");
	digest_of(text.data, text.len, "", 0, call->fingerprint);
}

bool
vend_find_key(VendCall *call)
{
	static DbQuery query = { "SELECT fingerprint, account_id, operation FROM prepay.posting"
							 " WHERE site_id = $1 AND key = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->key) };
	bool isnull;
	bytea *fingerprint;

	if (db_run(&query, args) == 0)
		return false;
	fingerprint = DatumGetByteaPP(db_value(0, 1, &isnull));
	if (VARSIZE_ANY_EXHDR(fingerprint) != LEDGER_HASH_BYTES ||
		memcmp(VARDATA_ANY(fingerprint), call->fingerprint, LEDGER_HASH_BYTES) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_KEY_CONFLICT),
				 errmsg("key \"%s\" was used for another operation", call->key),
				 errdetail("It belongs to a %s with other arguments; nothing was done now.",
						   db_text(0, 3)),
				 errhint("Use a new key for a new operation, or repeat the first call exactly.")));
	return true;
}

void
vend_lock(VendCall *call)
{
	int32 id[2] = { call->target.id, call->other.id };
	int i;

	rating_begin(&call->run, call->site);
	call->locked = account_lock_all(call->site, id, call->other.id ? 2 : 1, &call->n_locked);
	for (i = 0; i < call->n_locked; i++)
	{
		if (call->locked[i].account_id == call->target.id)
			call->account = &call->locked[i];
		else
			call->other_account = &call->locked[i];
	}
	if (call->account == NULL || (call->other.id && call->other_account == NULL))
		elog(ERROR, "an account of site %d has no state", call->site->site_id);
}

void
vend_begin(VendCall *call)
{
	/* The lock first: somebody may use the key while we wait for the account. */
	vend_lock(call);
	call->repeated = vend_find_key(call);
}

static char *
account_state_name(const Site *site, const CodeTarget *target)
{
	static DbQuery query = { "SELECT state FROM prepay.account WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(target->id) };

	db_run(&query, args);
	return db_text(0, 1);
}

bool
vend_is_closed(const Site *site, const CodeTarget *target)
{
	return strcmp(account_state_name(site, target), "closed") == 0;
}

static void
refuse_closed(const CodeTarget *target)
{
	ereport(ERROR, (errcode(ERRCODE_PP_CLOSED), errmsg("account \"%s\" is closed", target->code),
					errhint("A closed account takes no money; open a new one.")));
}

void
vend_require_not_closed(const Site *site, const CodeTarget *target)
{
	if (vend_is_closed(site, target))
		refuse_closed(target);
}

void
vend_require_open(const VendCall *call, const CodeTarget *target)
{
	const char *state =
		target == &call->target ? call->state : account_state_name(call->site, target);

	if (strcmp(state, "closed") == 0)
		refuse_closed(target);
	if (strcmp(state, "suspended") == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_SUSPENDED), errmsg("account \"%s\" is suspended", target->code),
				 errhint("Resume it first: SELECT prepay.update_account('%s', "
						 "'{\"state\": \"open\"}').",
						 target->code)));
}

/* ---- posting ---- */

void
vend_receipt(VendCall *call)
{
	call->till = till_take(call->site, call->till, &call->receipt_no);
}

/* The row of the posting, as its entries are hashed with it; verify() writes the same. */
static char *
call_text(const VendCall *call)
{
	char hex[LEDGER_HASH_BYTES * 2 + 1];

	hex[hex_encode((const char *) call->fingerprint, LEDGER_HASH_BYTES, hex)] = '\0';
	return psprintf("%s %s %s %s", call->operation, hex, vend_money(call->site, call->balance),
					vend_money(call->site, call->debt));
}

int32
vend_post(VendCall *call, Account *account, LedgerEntry *entry)
{
	if (call->receipt_no == 0)
		call->till = till_name(call->till);
	entry->key = call->key;
	entry->day = call->site->today;
	entry->till = call->till;
	*(account == call->account ? &call->moved : &call->other_moved) += entry->amount_minor;
	return ledger_post(&call->run.posting, account, entry);
}

int32
vend_post_result(VendCall *call, LedgerEntry *entry)
{
	Assert(call->seq == 0);
	entry->receipt_no = call->receipt_no;
	call->seq = vend_post(call, call->account, entry);
	call->entry = *entry;
	call->balance_after = call->account->posted_minor;
	return call->seq;
}

/* Somebody has committed the key since it was looked up, for another account than ours. */
static void
used_meanwhile(const VendCall *call)
{
	ereport(ERROR, (errcode(ERRCODE_PP_KEY_CONFLICT),
					errmsg("key \"%s\" was used for another account at the same time", call->key),
					errhint("Use a new key for a new operation.")));
}

static void
keep_result(VendCall *call)
{
	static DbQuery query = {
		"INSERT INTO prepay.posting (site_id, key, operation, fingerprint, account_id, seq, balance,"
		" posted_at, debt) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		9,
		{ INT4OID, TEXTOID, TEXTOID, BYTEAOID, INT4OID, INT4OID, NUMERICOID, TIMESTAMPTZOID,
		  NUMERICOID }
	};
	Datum balance = minor_numeric(call->balance, call->site->decimals);
	Datum args[] = { Int32GetDatum(call->site->site_id),
					 CStringGetTextDatum(call->key),
					 CStringGetTextDatum(call->operation),
					 digest_datum(call->fingerprint),
					 Int32GetDatum(call->target.id),
					 Int32GetDatum(call->seq),
					 balance,
					 TimestampTzGetDatum(call->site->now),
					 minor_numeric(call->debt, call->site->decimals) };

	/* ON CONFLICT would look for the key once more, and write more. */
	PG_TRY();
	{
		db_run(&query, args);
	}
	PG_CATCH();
	{
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		used_meanwhile(call);
	}
	PG_END_TRY();
}

void
vend_finish(VendCall *call)
{
	Assert(call->seq > 0);
	call->balance = account_balance_of(call->site, call->account);
	call->debt = call->account->debt_minor;
	if (call->key)
	{
		ledger_set_call(&call->run.posting, call_text(call));
		keep_result(call);
	}
	purse_post(call, &call->target, call->moved);
	if (call->other_account)
		purse_post(call, &call->other, call->other_moved);
	rating_finish(&call->run, call->locked, call->n_locked);
}

void
vend_decide(Account *account)
{
	account->quiet.is_set = false;
}

/* What the key's first call gave. */
static void
stored_result(const VendCall *call, Datum *values, bool *nulls)
{
	static DbQuery query = {
		"SELECT s.code, a.code, e.seq, e.kind, e.amount, e.balance_after, p.balance, e.booked_at,"
		" e.key, e.receipt_no, e.note, e.till, e.fee, p.debt FROM prepay.posting p"
		" JOIN prepay.ledger_entry e USING (site_id, account_id, seq)"
		" JOIN prepay.account a USING (site_id, account_id) JOIN prepay.site s USING (site_id)"
		" WHERE p.site_id = $1 AND p.key = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->key) };
	int i;

	if (db_run(&query, args) != 1)
		elog(ERROR, "the result of key \"%s\" is missing", call->key);
	for (i = 0; i < RESULT_COLUMNS; i++)
		values[i] = db_value(0, i + 1, &nulls[i]);
}

/* The same without asking for what was just written. */
static void
posted_result(const VendCall *call, Datum *values, bool *nulls)
{
	const LedgerEntry *entry = &call->entry;
	int decimals = call->site->decimals;
	int c = 0;

#define GIVE(datum, absent) (nulls[c] = (absent), values[c] = (absent) ? (Datum) 0 : (datum), c++)
	GIVE(CStringGetTextDatum(call->site->code), false);
	GIVE(CStringGetTextDatum(call->target.code), false);
	GIVE(Int32GetDatum(call->seq), false);
	GIVE(CStringGetTextDatum(entry->kind), false);
	GIVE(minor_numeric(entry->amount_minor, decimals), false);
	GIVE(minor_numeric(call->balance_after, decimals), false);
	GIVE(minor_numeric(call->balance, decimals), false);
	GIVE(TimestampTzGetDatum(call->site->now), false);
	GIVE(CStringGetTextDatum(call->key), false);
	GIVE(Int64GetDatum(entry->receipt_no), entry->receipt_no == 0);
	GIVE(CStringGetTextDatum(entry->note), entry->note == NULL);
	GIVE(CStringGetTextDatum(entry->till), entry->till == NULL);
	GIVE(minor_numeric(entry->fee_minor, decimals), entry->fee_minor == 0);
	GIVE(minor_numeric(call->debt, decimals), false);
#undef GIVE
}

Datum
vend_result(VendCall *call, DbSession *session, FunctionCallInfo fcinfo)
{
	HeapTuple row;
	TupleDesc desc;
	Datum values[RESULT_COLUMNS];
	bool nulls[RESULT_COLUMNS];
	Datum result;
	MemoryContext old;

	if (call->repeated)
		stored_result(call, values, nulls);
	else
		posted_result(call, values, nulls);
	old = MemoryContextSwitchTo(session->outer);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "money functions return a composite type");
	row = heap_form_tuple(BlessTupleDesc(desc), values, nulls);
	result = HeapTupleGetDatum(row);
	MemoryContextSwitchTo(old);
	return result;
}
