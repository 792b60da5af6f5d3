#include "vend.h"

#include "access/htup_details.h"
#include "common/cryptohash.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

#include "account.h"
#include "auth.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"

#define KEY_MAX_BYTES 200

PG_FUNCTION_INFO_V1(prepay_sell);

static const char *const tenders[] = { "cash",	 "card",   "transfer", "cheque",
									   "alipay", "wechat", "unionpay", "other" };

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
						errhint("A sale adds money to an account; give what was paid.")));
	return minor;
}

void
vend_fingerprint(VendCall *call, const char *const *part, int n)
{
	StringInfoData text;
	pg_cryptohash_ctx *context = pg_cryptohash_create(PG_SHA256);
	int i;

	initStringInfo(&text);
	appendStringInfo(&text, "%s|%d", call->operation, call->target.id);
	for (i = 0; i < n; i++)
		appendStringInfo(&text, "|%d:%s", part[i] ? (int) strlen(part[i]) : -1,
						 part[i] ? part[i] : "");
	if (context == NULL || pg_cryptohash_init(context) < 0 ||
		pg_cryptohash_update(context, (uint8 *) text.data, text.len) < 0 ||
		pg_cryptohash_final(context, call->fingerprint, LEDGER_HASH_BYTES) < 0)
		elog(ERROR, "could not compute SHA-256");
	pg_cryptohash_free(context);
}

/* The stored result of the key, when there is one. */
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
vend_begin(VendCall *call)
{
	call->repeated = vend_find_key(call);
	if (call->repeated)
		return;
	rating_begin(&call->run, call->site);
	call->account = account_lock(call->site, call->target.id);
	/* Somebody may have used the key while we waited for the account. */
	call->repeated = vend_find_key(call);
}

static void
keep_result(VendCall *call, int32 seq, int64 balance)
{
	static DbQuery query = {
		"INSERT INTO prepay.posting (site_id, key, operation, fingerprint, account_id, seq, balance,"
		" posted_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
		8,
		{ INT4OID, TEXTOID, TEXTOID, BYTEAOID, INT4OID, INT4OID, NUMERICOID, TIMESTAMPTZOID }
	};
	bytea *fingerprint = palloc(VARHDRSZ + LEDGER_HASH_BYTES);
	Datum args[] = { Int32GetDatum(call->site->site_id),
					 CStringGetTextDatum(call->key),
					 CStringGetTextDatum(call->operation),
					 PointerGetDatum(fingerprint),
					 Int32GetDatum(call->target.id),
					 Int32GetDatum(seq),
					 minor_numeric(balance, call->site->decimals),
					 TimestampTzGetDatum(call->site->now) };

	SET_VARSIZE(fingerprint, VARHDRSZ + LEDGER_HASH_BYTES);
	memcpy(VARDATA(fingerprint), call->fingerprint, LEDGER_HASH_BYTES);
	if (db_run(&query, args) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_KEY_CONFLICT),
				 errmsg("key \"%s\" was used for another account at the same time", call->key),
				 errhint("Use a new key for a new operation.")));
}

int32
vend_post(VendCall *call, LedgerEntry *entry)
{
	int32 seq;

	entry->key = call->key;
	entry->day = entry->day ? entry->day : call->site->today;
	seq = ledger_post(&call->run.posting, call->account, entry);
	if (call->key)
		keep_result(call, seq, account_balance_of(call->site, call->account));
	rating_finish(&call->run, call->account, 1);
	return seq;
}

Datum
vend_result(VendCall *call, DbSession *session, FunctionCallInfo fcinfo)
{
	static DbQuery query = {
		"SELECT s.code, a.code, e.seq, e.kind, e.amount, e.balance_after, p.balance, e.booked_at,"
		" e.key, e.receipt_no, e.note FROM prepay.posting p"
		" JOIN prepay.ledger_entry e USING (site_id, account_id, seq)"
		" JOIN prepay.account a USING (site_id, account_id) JOIN prepay.site s USING (site_id)"
		" WHERE p.site_id = $1 AND p.key = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(call->site->site_id), CStringGetTextDatum(call->key) };
	HeapTuple row;
	TupleDesc desc;
	Datum values[11];
	bool nulls[11];
	Datum result;
	MemoryContext old;
	int i;

	if (db_run(&query, args) != 1)
		elog(ERROR, "the result of key \"%s\" is missing", call->key);
	for (i = 0; i < 11; i++)
		values[i] = db_value(0, i + 1, &nulls[i]);
	old = MemoryContextSwitchTo(session->outer);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "money functions return a composite type");
	row = heap_form_tuple(BlessTupleDesc(desc), values, nulls);
	result = HeapTupleGetDatum(row);
	MemoryContextSwitchTo(old);
	return result;
}

static void
check_tender(const char *tender)
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

void
vend_require_open(const Site *site, const CodeTarget *target)
{
	static DbQuery query = { "SELECT state FROM prepay.account WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(target->id) };

	db_run(&query, args);
	if (strcmp(db_text(0, 1), "open") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_CLOSED), errmsg("account \"%s\" is closed", target->code),
				 errhint("A closed account takes no money; open a new one.")));
}

/* The rules a sale is refused by, before anything moves. */
static void
check_sale(const VendCall *call, int64 amount)
{
	int64 minimum = setting_money(call->site, "min_sale", 0);
	int64 cap = setting_money(call->site, "hoarding_cap", PG_INT64_MAX);
	int64 balance = account_balance_of(call->site, call->account);
	char text[2][MONEY_TEXT_MAX];

	if (amount < minimum)
	{
		minor_format(amount, call->site->decimals, text[0]);
		minor_format(minimum, call->site->decimals, text[1]);
		ereport(ERROR, (errcode(ERRCODE_PP_UNDER_MINIMUM),
						errmsg("a sale of %s is below the minimum of %s", text[0], text[1]),
						errhint("Sell at least the minimum (setting min_sale).")));
	}
	if (cap != PG_INT64_MAX && balance + amount > cap)
	{
		minor_format(balance + amount, call->site->decimals, text[0]);
		minor_format(cap, call->site->decimals, text[1]);
		ereport(ERROR,
				(errcode(ERRCODE_PP_OVER_CAP),
				 errmsg("the balance would be %s, above the hoarding cap of %s", text[0], text[1]),
				 errhint("Sell less (setting hoarding_cap).")));
	}
}

/* sell(account, amount, key, tender, note, options) → money_result. 售电 */
Datum
prepay_sell(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { NULL };
	DbSession session;
	VendCall call = { .operation = "sell" };
	LedgerEntry entry = { .kind = "sale" };
	Datum result;
	char *tender;
	char *note;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("account and amount of a sale must be given")));
	if (!PG_ARGISNULL(5))
		options_check(PG_GETARG_JSONB_P(5), known);
	call.key = vend_key(fcinfo, 2);
	tender = PG_ARGISNULL(3) ? "cash" : text_to_cstring(PG_GETARG_TEXT_PP(3));
	note = PG_ARGISNULL(4) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(4));
	check_tender(tender);
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), KIND_ACCOUNT, &call.target);
	auth_require(session.caller, MAY_SELL, call.target.site_id, "sell");
	lock_site_shared(call.target.site_id);
	call.site = site_get(call.target.site_id);
	entry.amount_minor = vend_positive(call.site, PG_GETARG_DATUM(1));
	entry.tender = tender;
	entry.note = note;
	{
		char amount[MONEY_TEXT_MAX];
		const char *part[] = { amount, tender, note };

		minor_format(entry.amount_minor, call.site->decimals, amount);
		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		vend_require_open(call.site, &call.target);
		check_sale(&call, entry.amount_minor);
		vend_post(&call, &entry);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
