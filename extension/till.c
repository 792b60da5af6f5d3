/*
 * till.c: receipt numbers without a gap, and shifts.
 *
 * Numbers without a gap can only be given one after the other: whoever takes one
 * holds the counter until his transaction has ended, for only then is it known to be
 * used. So each till has a counter of its own (its row), and nobody else's is touched.
 *
 * Who names no till works at his own, named like the role that logged in. A role with
 * many connections at once (a payment service) would wait for itself there; it takes
 * the next till of its own that is free instead ("alipay/2", "alipay/3"), made when
 * first needed. A till with an open shift is a drawer somebody will count: it is
 * always waited for. So is a till that is asked for by name.
 *
 * A shift is the receipts from one number to another. Opening and closing it hold
 * the till's row, so every receipt is in exactly one shift or in none, whatever the
 * clocks say.
 */
#include "till.h"

#include "access/htup_details.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "vend.h"

#define TILL_MAX_BYTES 64
#define SHIFT_COLUMNS 12

PG_FUNCTION_INFO_V1(prepay_open_shift);
PG_FUNCTION_INFO_V1(prepay_close_shift);

/* ---- names ---- */

static void
check_name(const char *till)
{
	Oid role;

	if (!code_is_valid(till) || strlen(till) > TILL_MAX_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" is not the name of a till", till),
						errhint("Give 1 to %d bytes without '/', ':' or control characters.",
								TILL_MAX_BYTES)));
	role = get_role_oid(till, true);
	if (OidIsValid(role) && role != GetSessionUserId())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("till \"%s\" belongs to the operator of that name", till),
				 errhint("Leave the till out to use your own, or give the name of a shared one.")));
}

char *
till_name(const char *asked)
{
	if (asked == NULL)
		return auth_operator();
	check_name(asked);
	return pstrdup(asked);
}

/* ---- receipt numbers ---- */

static char *
taken(int64 *receipt_no)
{
	*receipt_no = db_int64(0, 2);
	return db_text(0, 1);
}

/* The next number of one till, waiting for whoever holds it; made when first used. */
static char *
take_named(const Site *site, const char *till, int64 *receipt_no)
{
	static DbQuery next = { "UPDATE prepay.till SET last_receipt_no = last_receipt_no + 1"
							" WHERE site_id = $1 AND till = $2 RETURNING till, last_receipt_no",
							2,
							{ INT4OID, TEXTOID } };
	static DbQuery first = {
		"INSERT INTO prepay.till AS t (site_id, till, last_receipt_no) VALUES ($1, $2, 1)"
		" ON CONFLICT (site_id, till) DO UPDATE SET last_receipt_no = t.last_receipt_no + 1"
		" RETURNING t.till, t.last_receipt_no",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(till) };

	if (db_run(&next, args) == 0)
		db_run(&first, args);
	return taken(receipt_no);
}

/*
 * The first till of the operator that nobody holds; NULL: none. With an open shift only the
 * first. Materialized, because a row that is looked for again is another one then.
 */
static char *
take_free(const Site *site, const char *owner, int64 *receipt_no)
{
	static DbQuery query = {
		"WITH l AS MATERIALIZED (SELECT f.till FROM prepay.till f WHERE f.site_id = $1"
		"  AND f.owner = $2 AND (f.ordinal = 1 OR NOT EXISTS (SELECT FROM prepay.till d"
		"   WHERE d.site_id = $1 AND d.owner = $2 AND d.ordinal = 1 AND d.open_shift IS NOT NULL))"
		"  ORDER BY f.ordinal LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED)"
		" UPDATE prepay.till t SET last_receipt_no = t.last_receipt_no + 1 FROM l"
		" WHERE t.site_id = $1 AND t.till = l.till RETURNING t.till, t.last_receipt_no",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(owner) };

	return db_run(&query, args) == 1 ? taken(receipt_no) : NULL;
}

/* His till is a drawer to be counted, or was a shared one before there was a role of that name. */
static bool
must_wait(const Site *site, const char *owner)
{
	static DbQuery query = { "SELECT 1 FROM prepay.till WHERE site_id = $1 AND till = $2"
							 " AND (owner IS NULL OR open_shift IS NOT NULL)",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(owner) };

	return db_run(&query, args) > 0;
}

/* One more till of the operator. NULL: somebody made it at the same time. */
static char *
take_another(const Site *site, const char *owner, int64 *receipt_no)
{
	static DbQuery query = {
		"INSERT INTO prepay.till (site_id, till, owner, ordinal, last_receipt_no)"
		" SELECT $1, CASE n WHEN 1 THEN $2 ELSE $2 || '/' || n END, $2, n, 1"
		" FROM (SELECT COALESCE(max(ordinal), 0) + 1 AS n FROM prepay.till WHERE site_id = $1"
		"  AND owner = $2) AS l ON CONFLICT DO NOTHING RETURNING till, last_receipt_no",
		2,
		{ INT4OID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(owner) };

	return db_run(&query, args) == 1 ? taken(receipt_no) : NULL;
}

char *
till_take(const Site *site, const char *asked, int64 *receipt_no)
{
	char *owner = auth_operator();
	char *till;

	if (asked)
		check_name(asked);
	if (asked && strcmp(asked, owner) != 0)
		return take_named(site, asked, receipt_no);
	do
	{
		CHECK_FOR_INTERRUPTS();
		till = take_free(site, owner, receipt_no);
		if (till == NULL)
			till = must_wait(site, owner) ? take_named(site, owner, receipt_no)
										  : take_another(site, owner, receipt_no);
	} while (till == NULL);
	return till;
}

char **
till_faults(const Site *site)
{
	static DbQuery query = {
		"SELECT format('till \"%s\" has given out %s receipts, the ledger has %s up to %s',"
		" COALESCE(t.till, e.till), t.last_receipt_no, e.n, e.last)"
		" FROM (SELECT till, last_receipt_no FROM prepay.till WHERE site_id = $1) t"
		" FULL JOIN (SELECT till, count(*) AS n, max(receipt_no) AS last FROM prepay.ledger_entry"
		"  WHERE site_id = $1 AND receipt_no IS NOT NULL GROUP BY till) e USING (till)"
		" WHERE (COALESCE(e.n, 0), COALESCE(e.last, 0)) IS DISTINCT FROM"
		"  (COALESCE(t.last_receipt_no, 0), COALESCE(t.last_receipt_no, 0)) ORDER BY 1",
		1,
		{ INT4OID }
	};
	Datum arg = Int32GetDatum(site->site_id);
	int n = db_run(&query, &arg);
	char **fault = palloc0(sizeof(char *) * (n + 1));
	int i;

	for (i = 0; i < n; i++)
		fault[i] = db_text(i, 1);
	return fault;
}

/* ---- shifts ---- */

/* Lock the till's row, making it when it is new. */
static void
lock_till(const Site *site, const char *till, int32 *open_shift, int64 *last_receipt_no)
{
	static DbQuery make = {
		"INSERT INTO prepay.till (site_id, till, owner) SELECT $1, $2, CASE WHEN $2 = $3 THEN $2 END"
		" ON CONFLICT DO NOTHING",
		3,
		{ INT4OID, TEXTOID, TEXTOID }
	};
	static DbQuery lock = { "SELECT open_shift, last_receipt_no FROM prepay.till"
							" WHERE site_id = $1 AND till = $2 FOR NO KEY UPDATE",
							2,
							{ INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(till),
					 CStringGetTextDatum(auth_operator()) };

	db_run(&make, args);
	db_run(&lock, args);
	*open_shift = db_int32_or(0, 1, 0);
	*last_receipt_no = db_int64(0, 2);
}

/* Whose till may be opened and closed: one's own, a shared one; a supervisor any that is there. */
static char *
shift_till(DbSession *session, const Site *site, const char *asked)
{
	static DbQuery query = { "SELECT 1 FROM prepay.till WHERE site_id = $1 AND till = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), db_text_datum(asked) };

	if (asked && db_run(&query, args) > 0 && auth_has_right(session->caller, MAY_SUPERVISE))
		return pstrdup(asked);
	return till_name(asked);
}

static Datum
shift_result(const Site *site, const char *till, int32 shift_no, DbSession *session,
			 FunctionCallInfo fcinfo)
{
	static DbQuery query = {
		"SELECT s.code, h.till, h.shift_no, h.opened_by, h.opened_at, h.closed_at, h.closed_by,"
		" h.opening_cash, h.booked_cash, h.opening_cash + h.booked_cash, h.counted_cash,"
		" h.counted_cash - h.opening_cash - h.booked_cash"
		" FROM prepay.shift h JOIN prepay.site s USING (site_id)"
		" WHERE h.site_id = $1 AND h.till = $2 AND h.shift_no = $3",
		3,
		{ INT4OID, TEXTOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(till),
					 Int32GetDatum(shift_no) };
	Datum values[SHIFT_COLUMNS];
	bool nulls[SHIFT_COLUMNS];
	MemoryContext old;
	TupleDesc desc;
	Datum result;
	int i;

	db_run(&query, args);
	for (i = 0; i < SHIFT_COLUMNS; i++)
		values[i] = db_value(0, i + 1, &nulls[i]);
	old = MemoryContextSwitchTo(session->outer);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "shift functions return a composite type");
	result = HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
	MemoryContextSwitchTo(old);
	return result;
}

static const Site *
shift_site(DbSession *session, const char *site_code, const char *what)
{
	int32 site_id = code_site(session->caller, site_code);

	auth_require(session->caller, MAY_SELL, site_id, what);
	lock_site_shared(site_id);
	return site_get(site_id);
}

static int64
cash_arg(const Site *site, Datum amount, const char *what)
{
	int64 minor = amount_minor(site, amount, what);

	if (minor < 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_AMOUNT),
						errmsg("%s %s is negative", what, numeric_text(amount)),
						errhint("Give the money that lies in the drawer.")));
	return minor;
}

/* open_shift(opening_cash, till, site) → shift_result. 交班: the till's next receipts are its. */
Datum
prepay_open_shift(PG_FUNCTION_ARGS)
{
	static DbQuery insert = {
		"INSERT INTO prepay.shift (site_id, till, shift_no, opened_at, opened_by, opening_cash,"
		" first_receipt_no) SELECT $1, $2, COALESCE(max(shift_no), 0) + 1, $3, $4, $5, $6"
		" FROM prepay.shift WHERE site_id = $1 AND till = $2 RETURNING shift_no",
		6,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID, TEXTOID, NUMERICOID, INT8OID }
	};
	static DbQuery mark = {
		"UPDATE prepay.till SET open_shift = $3 WHERE site_id = $1 AND till = $2",
		3,
		{ INT4OID, TEXTOID, INT4OID }
	};
	DbSession session;
	const Site *site;
	char *till;
	int32 shift_no;
	int64 last_receipt_no;
	int64 cash;
	Datum result;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the opening cash must be given"), errhint("Give 0 for none.")));
	db_enter(&session);
	site = shift_site(&session, vend_text_or_null(fcinfo, 2), "open a shift");
	cash = cash_arg(site, PG_GETARG_DATUM(0), "opening cash");
	till = shift_till(&session, site, vend_text_or_null(fcinfo, 1));
	lock_till(site, till, &shift_no, &last_receipt_no);
	if (shift_no != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("shift %d of till \"%s\" is open", shift_no, till),
						errhint("Close it first with prepay.close_shift().")));
	{
		Datum args[] = { Int32GetDatum(site->site_id),		  CStringGetTextDatum(till),
						 TimestampTzGetDatum(site->now),	  CStringGetTextDatum(auth_operator()),
						 minor_numeric(cash, site->decimals), Int64GetDatum(last_receipt_no + 1) };

		db_run(&insert, args);
		shift_no = db_int32(0, 1);
		args[2] = Int32GetDatum(shift_no);
		db_run(&mark, args);
	}
	result = shift_result(site, till, shift_no, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}

/*
 * close_shift(counted_cash, till, note, site) → shift_result: cash booked on the
 * shift's receipts against the cash counted.
 */
Datum
prepay_close_shift(PG_FUNCTION_ARGS)
{
	static DbQuery close = {
		"UPDATE prepay.shift h SET closed_at = $4, closed_by = $5, last_receipt_no = $6,"
		" counted_cash = $7, note = $8, booked_cash = round((SELECT COALESCE(sum(e.amount"
		"   + COALESCE(e.fee, 0)), 0) FROM prepay.ledger_entry e WHERE e.site_id = $1 AND e.till = $2"
		"  AND e.receipt_no BETWEEN h.first_receipt_no AND $6 AND e.tender = 'cash'), $9)"
		" WHERE h.site_id = $1 AND h.till = $2 AND h.shift_no = $3",
		9,
		{ INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, TEXTOID, INT8OID, NUMERICOID, TEXTOID,
		  INT4OID }
	};
	static DbQuery mark = {
		"UPDATE prepay.till SET open_shift = NULL WHERE site_id = $1 AND till = $2",
		2,
		{ INT4OID, TEXTOID }
	};
	DbSession session;
	const Site *site;
	char *till;
	char *note = vend_text_or_null(fcinfo, 2);
	int32 shift_no;
	int64 last_receipt_no;
	int64 cash;
	Datum result;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the counted cash must be given"), errhint("Count the drawer.")));
	db_enter(&session);
	site = shift_site(&session, vend_text_or_null(fcinfo, 3), "close a shift");
	cash = cash_arg(site, PG_GETARG_DATUM(0), "counted cash");
	till = shift_till(&session, site, vend_text_or_null(fcinfo, 1));
	lock_till(site, till, &shift_no, &last_receipt_no);
	if (shift_no == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("no shift of till \"%s\" is open", till),
						errhint("Open one with prepay.open_shift().")));
	{
		Datum args[] = { Int32GetDatum(site->site_id),
						 CStringGetTextDatum(till),
						 Int32GetDatum(shift_no),
						 TimestampTzGetDatum(site->now),
						 CStringGetTextDatum(auth_operator()),
						 Int64GetDatum(last_receipt_no),
						 minor_numeric(cash, site->decimals),
						 db_text_datum(note),
						 Int32GetDatum(site->decimals) };
		char nulls[] = { ' ', ' ', ' ', ' ', ' ', ' ', ' ', note ? ' ' : 'n', ' ', '\0' };

		db_run_nulls(&close, args, nulls);
		db_run(&mark, args);
	}
	result = shift_result(site, till, shift_no, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
