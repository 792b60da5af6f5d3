/*
 * credit.c: granted credit.
 *
 * A grant adds to the balance like money, but is used up before own money and is
 * never paid out. Grants are used by priority (low first), then earliest expiry, then
 * earliest creation. A positive adjustment is a grant without expiry: what nobody
 * paid in cannot be paid out. What is left when a grant expires, or when the account is
 * closed, is taken back by an entry of kind credit.
 *
 * How much of a grant is left is nowhere stored. Every grant notes what the account
 * had spent in all when it was made and when it ended; between two such moments
 * spending takes from the grants alive in their order, then from own money. So
 * what is left is a function of these few rows and of what is spent by now, open usage
 * included, and usage pays no price for it. When spending goes back (a correction,
 * a reversed adjustment) what was taken last is given back first; what a grant that has
 * ended would get is own money.
 *
 * Spending = usage, posted or open, public energy, and negative adjustments. Refunds, transfers and
 * payments of debt are made with own money.
 *
 * Rows of `credit` are written under the account's lock.
 */
#include "credit.h"

#include "utils/builtins.h"
#include "utils/date.h"

#include "account.h"
#include "auth.h"
#include "db.h"
#include "jsonb_doc.h"

#define DEFAULT_PRIORITY 100
#define OWN_MONEY (-1)

PG_FUNCTION_INFO_V1(prepay_grant_credit);
PG_FUNCTION_INFO_V1(prepay_credit_left);

extern Datum prepay_my_site(PG_FUNCTION_ARGS);

typedef struct Grant
{
	int32 seq;
	int32 priority;
	TimestampTz expires_at; /* infinity: never */
	int64 minor;
	int64 spent_before;
	bool has_ended;
	int32 ended_seq; /* the entry, or the last one before: the end comes right after it */
	int64 ended_spent;
	bool alive; /* at the point the replay has come to */
	int64 left;
} Grant;

/* Spending in the order it was taken: from a grant, or from own money. */
typedef struct Layer
{
	int grant;
	int64 minor;
} Layer;

typedef struct Replay
{
	int n;
	Grant *grant; /* by seq */
	int *order;	  /* in which they are used up */
	int n_layer;
	int layer_room;
	Layer *layer;
	int64 spent;
} Replay;

typedef struct Event
{
	int32 seq;
	bool ends;
	int grant;
} Event;

/* ---- the replay ---- */

static void
push_layer(Replay *replay, int grant, int64 minor)
{
	if (replay->n_layer == replay->layer_room)
	{
		replay->layer_room = Max(16, replay->layer_room * 2);
		replay->layer = core_realloc(replay->layer, sizeof(Layer) * replay->layer_room);
	}
	replay->layer[replay->n_layer].grant = grant;
	replay->layer[replay->n_layer++].minor = minor;
}

static void
take(Replay *replay, int64 minor)
{
	int i;

	for (i = 0; i < replay->n && minor > 0; i++)
	{
		Grant *grant = &replay->grant[replay->order[i]];
		int64 part = grant->alive ? Min(grant->left, minor) : 0;

		if (part <= 0)
			continue;
		grant->left -= part;
		minor -= part;
		push_layer(replay, replay->order[i], part);
	}
	if (minor > 0)
		push_layer(replay, OWN_MONEY, minor);
}

static void
give_back(Replay *replay, int64 minor)
{
	while (minor > 0 && replay->n_layer > 0)
	{
		Layer *layer = &replay->layer[replay->n_layer - 1];
		int64 part = Min(layer->minor, minor);

		if (layer->grant != OWN_MONEY && replay->grant[layer->grant].alive)
			replay->grant[layer->grant].left += part;
		layer->minor -= part;
		minor -= part;
		if (layer->minor == 0)
			replay->n_layer--;
	}
}

static void
spend_to(Replay *replay, int64 spent)
{
	if (spent > replay->spent)
		take(replay, spent - replay->spent);
	else
		give_back(replay, replay->spent - spent);
	replay->spent = spent;
}

static int
compare_events(const void *a, const void *b)
{
	const Event *x = a;
	const Event *y = b;

	if (x->seq != y->seq)
		return x->seq < y->seq ? -1 : 1;
	if (x->ends != y->ends)
		return x->ends ? 1 : -1;
	return x->grant - y->grant;
}

static int
compare_use(const void *a, const void *b, void *context)
{
	const Grant *x = &((const Grant *) context)[*(const int *) a];
	const Grant *y = &((const Grant *) context)[*(const int *) b];

	if (x->priority != y->priority)
		return x->priority < y->priority ? -1 : 1;
	if (x->expires_at != y->expires_at)
		return x->expires_at < y->expires_at ? -1 : 1;
	return x->seq - y->seq;
}

/* Bring every grant to what is left of it after `spent`. */
static void
replay_to(Replay *replay, int64 spent)
{
	Event *event = palloc(sizeof(Event) * 2 * Max(replay->n, 1));
	int n = 0;
	int i;

	replay->order = palloc(sizeof(int) * Max(replay->n, 1));
	for (i = 0; i < replay->n; i++)
	{
		replay->order[i] = i;
		event[n++] = (Event){ .seq = replay->grant[i].seq, .grant = i };
		if (replay->grant[i].has_ended)
			event[n++] = (Event){ .seq = replay->grant[i].ended_seq, .ends = true, .grant = i };
	}
	qsort_arg(replay->order, replay->n, sizeof(int), compare_use, replay->grant);
	qsort(event, n, sizeof(Event), compare_events);
	for (i = 0; i < n; i++)
	{
		Grant *grant = &replay->grant[event[i].grant];

		spend_to(replay, event[i].ends ? grant->ended_spent : grant->spent_before);
		grant->alive = !event[i].ends;
		if (grant->alive)
			grant->left = grant->minor;
	}
	spend_to(replay, spent);
}

/* Reversed grants were never given. */
static void
load_grants(const Site *site, int32 account_id, Replay *replay)
{
	static DbQuery query = {
		"SELECT seq, priority, COALESCE(expires_at, 'infinity'), amount::text, spent_before::text,"
		" ended_at IS NOT NULL, COALESCE(ended_seq, 0), COALESCE(ended_spent, 0)::text"
		" FROM prepay.credit WHERE site_id = $1 AND account_id = $2"
		" AND ended_why IS DISTINCT FROM 'reversed' ORDER BY seq",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };
	int i;

	memset(replay, 0, sizeof(*replay));
	replay->n = db_run(&query, args);
	replay->grant = palloc0(sizeof(Grant) * Max(replay->n, 1));
	for (i = 0; i < replay->n; i++)
	{
		Grant *grant = &replay->grant[i];

		grant->seq = db_int32(i, 1);
		grant->priority = db_int32(i, 2);
		grant->expires_at = db_time(i, 3);
		grant->minor = text_minor(site, db_text(i, 4));
		grant->spent_before = text_minor(site, db_text(i, 5));
		grant->has_ended = db_bool(i, 6);
		grant->ended_seq = db_int32(i, 7);
		grant->ended_spent = text_minor(site, db_text(i, 8));
	}
	if (replay->n > 0)
		replay->spent = replay->grant[0].spent_before;
}

int64
credit_spent(const Site *site, const Account *account)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(-e.amount), 0)::text FROM prepay.ledger_entry e WHERE e.site_id = $1"
		" AND e.account_id = $2 AND (e.kind = 'public' OR e.kind = 'adjustment' AND e.amount < 0"
		"  AND NOT EXISTS (SELECT FROM prepay.ledger_entry r WHERE r.site_id = $1"
		"   AND r.account_id = $2 AND r.kind = 'reversal' AND r.ref_seq = e.seq))",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id) };

	db_run(&query, args);
	return account_used(site, account) + text_minor(site, db_text(0, 1));
}

static void
replay_account(const Site *site, const Account *account, Replay *replay)
{
	load_grants(site, account->account_id, replay);
	if (replay->n > 0)
		replay_to(replay, credit_spent(site, account));
}

static int64
left_of(const Grant *grant)
{
	return grant->alive ? grant->left : 0;
}

int64
credit_own_unspent(const Site *site, const Account *account)
{
	int64 own = account_balance_of(site, account);
	Replay replay;
	int i;

	replay_account(site, account, &replay);
	for (i = 0; i < replay.n; i++)
		own -= left_of(&replay.grant[i]);
	return own;
}

void
credit_require_own(const VendCall *call, int64 minor)
{
	int64 own = credit_own_unspent(call->site, call->account);
	int64 balance = account_balance_of(call->site, call->account);
	const char *currency = call->site->currency;

	if (minor <= own)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PP_NO_FUNDS),
			 errmsg("%s %s is more than the own unspent money of account \"%s\", %s %s",
					vend_money(call->site, minor), currency, call->target.code,
					vend_money(call->site, own), currency),
			 errdetail("The balance is %s %s with usage up to now; granted credit in it, %s %s, is "
					   "not paid out.",
					   vend_money(call->site, balance), currency,
					   vend_money(call->site, balance - own), currency),
			 errhint("Give at most the own unspent money.")));
}

/* ---- grants begin and end ---- */

void
credit_add(const Site *site, int32 account_id, int32 seq, const char *type, int priority,
		   TimestampTz expires_at, int64 minor, int64 spent)
{
	static DbQuery query = {
		"INSERT INTO prepay.credit (site_id, account_id, seq, type, priority, expires_at, amount,"
		" spent_before) VALUES ($1, $2, $3, $4, $5, NULLIF($6, 'infinity'), $7, $8)",
		8,
		{ INT4OID, INT4OID, INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, NUMERICOID, NUMERICOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(account_id),
					 Int32GetDatum(seq),
					 CStringGetTextDatum(type),
					 Int32GetDatum(priority),
					 TimestampTzGetDatum(expires_at),
					 minor_numeric(minor, site->decimals),
					 minor_numeric(spent, site->decimals) };

	db_run(&query, args);
}

static void
end_grant(const Site *site, int32 account_id, int32 seq, int32 ended_seq, int64 spent,
		  const char *why)
{
	static DbQuery query = {
		"UPDATE prepay.credit SET ended_at = $4, ended_seq = $5, ended_spent = $6, ended_why = $7"
		" WHERE site_id = $1 AND account_id = $2 AND seq = $3 AND ended_at IS NULL",
		7,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID, NUMERICOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(seq),		   TimestampTzGetDatum(site->now),
					 Int32GetDatum(ended_seq),	   minor_numeric(spent, site->decimals),
					 CStringGetTextDatum(why) };

	if (db_run(&query, args) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_PP_NOT_REVERSIBLE),
				 errmsg("the credit of entry %d has ended; what was left of it has lapsed", seq),
				 errhint("Use prepay.adjust() to mend a mistake.")));
}

void
credit_cancel(const VendCall *call, Account *account, int32 seq, int32 by_seq)
{
	end_grant(call->site, account->account_id, seq, by_seq, credit_spent(call->site, account),
			  "reversed");
}

/* One grant ends: what is left of it is taken back. call NULL: by time. */
static void
lapse(VendCall *call, Posting *posting, Account *account, const Grant *grant, int64 spent,
	  const char *why)
{
	const Site *site = posting->site;
	LedgerEntry entry = { .kind = "credit",
						  .amount_minor = -left_of(grant),
						  .day = site->today,
						  .ref_seq = grant->seq,
						  .note = "granted credit has lapsed" };
	int32 seq = account->last_seq;

	if (entry.amount_minor != 0)
		seq = call ? vend_post(call, account, &entry) : ledger_post(posting, account, &entry);
	end_grant(site, account->account_id, grant->seq, seq, spent, why);
}

void
credit_close(VendCall *call, Account *account)
{
	int64 spent = credit_spent(call->site, account);
	Replay replay;
	int i;

	replay_account(call->site, account, &replay);
	for (i = 0; i < replay.n; i++)
		if (!replay.grant[i].has_ended)
			lapse(call, &call->run.posting, account, &replay.grant[i], spent, "closed");
}

/* ---- by time ---- */

bool
credit_expire_due(const Site *site)
{
	static DbQuery query = { "SELECT 1 FROM prepay.credit WHERE site_id = $1"
							 " AND ended_at IS NULL AND expires_at <= $2 LIMIT 1",
							 2,
							 { INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now) };

	return db_run(&query, args) > 0;
}

static void
expire_account(RatingRun *run, Account *account)
{
	int64 spent = credit_spent(run->site, account);
	Replay replay;
	int i;

	replay_account(run->site, account, &replay);
	for (i = 0; i < replay.n; i++)
		if (!replay.grant[i].has_ended && replay.grant[i].expires_at <= run->site->now)
			lapse(NULL, &run->posting, account, &replay.grant[i], spent, "expired");
}

int
credit_expire(const Site *site, int max)
{
	static DbQuery query = {
		"SELECT DISTINCT account_id FROM prepay.credit WHERE site_id = $1 AND ended_at IS NULL"
		" AND expires_at <= $2 ORDER BY account_id LIMIT $3",
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now),
					 Int32GetDatum(max) };
	int n = db_run(&query, args);
	int32 *account_id = palloc(sizeof(int32) * Max(n, 1));
	Account *account;
	RatingRun run;
	int i;

	if (n == 0)
		return 0;
	for (i = 0; i < n; i++)
		account_id[i] = db_int32(i, 1);
	account = account_lock_all(site, account_id, n, &n);
	rating_begin(&run, site);
	for (i = 0; i < n; i++)
		expire_account(&run, &account[i]);
	rating_finish(&run, account, n);
	return n;
}

/* ---- SQL ---- */

typedef struct CreditTerms
{
	char *type;
	int32 priority;
	TimestampTz expires_at;
} CreditTerms;

static void
bad_expiry(const char *text)
{
	ereport(
		ERROR,
		(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("credit cannot expire at \"%s\"", text),
		 errhint("Give a later date, such as 2026-12-31: the credit holds through that local day; "
				 "or a later time with its offset from UTC.")));
}

/* No session setting may decide what is meant, so a time needs its offset. */
static TimestampTz
expiry(const Site *site, const char *text)
{
	bool is_day = strlen(text) == 10;
	TimestampTz at;

	if (strlen(text) < 10 || strspn(text, "0123456789") != 4 || text[4] != '-' || text[7] != '-' ||
		(!is_day && strpbrk(text + 10, "+-Z") == NULL))
		bad_expiry(text);
	if (is_day)
		at = cal_day_start(
			site->zone, DatumGetDateADT(DirectFunctionCall1(date_in, CStringGetDatum(text))) + 1);
	else
		at = DatumGetTimestampTz(DirectFunctionCall3(timestamptz_in, CStringGetDatum(text),
													 ObjectIdGetDatum(InvalidOid),
													 Int32GetDatum(-1)));
	if (at <= site->now)
		bad_expiry(text);
	return at;
}

static void
read_terms(const Site *site, Jsonb *options, CreditTerms *terms)
{
	char *priority = options ? option_text(options, "priority") : NULL;
	char *expires = options ? option_text(options, "expires") : NULL;
	int64 number = DEFAULT_PRIORITY;

	terms->type = options ? option_text(options, "type") : NULL;
	if (terms->type == NULL)
		terms->type = "credit";
	if (priority &&
		(decimal_parse(priority, 0, &number) != DECIMAL_OK || number < 0 || number > 1000000))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"priority\" of a credit cannot be %s", priority),
						errhint("Give a whole number from 0 (used first) to 1000000.")));
	terms->priority = (int32) number;
	terms->expires_at = expires ? expiry(site, expires) : DT_NOEND;
}

/*
 * grant_credit(account, amount, key, terms) → money_result. terms: type, priority
 * (low first, 100 by default), expires (a time, or a date through which it holds).
 */
Datum
prepay_grant_credit(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "type", "priority", "expires", NULL };
	DbSession session;
	VendCall call = { .operation = "grant_credit" };
	LedgerEntry entry = { .kind = "credit" };
	CreditTerms terms;
	Jsonb *options;
	char *terms_text;
	char *account = vend_text(fcinfo, 0, "the account");
	Datum result;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the amount of the credit must be given")));
	call.key = vend_key(fcinfo, 2);
	terms_text = vend_options(fcinfo, 3, known, &options);
	db_enter(&session);
	vend_open(&call, &session, account, MAY_SUPERVISE, "grant credit");
	entry.amount_minor = vend_positive(call.site, PG_GETARG_DATUM(1));
	{
		const char *part[] = { vend_money(call.site, entry.amount_minor), terms_text };

		vend_fingerprint(&call, part, lengthof(part));
	}
	vend_begin(&call);
	if (!call.repeated)
	{
		int64 spent = credit_spent(call.site, call.account);

		vend_require_not_closed(call.site, &call.target);
		read_terms(call.site, options, &terms);
		entry.note = terms.type;
		vend_post_result(&call, &entry);
		credit_add(call.site, call.target.id, call.seq, terms.type, terms.priority,
				   terms.expires_at, entry.amount_minor, spent);
		vend_finish(&call);
	}
	result = vend_result(&call, &session, fcinfo);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}

/* credit_left(site_id, account_id, seq) → numeric: what is left of a grant. For the views. */
Datum
prepay_credit_left(PG_FUNCTION_ARGS)
{
	int32 account_id = PG_GETARG_INT32(1);
	DbSession session;
	const Site *site;
	Account *account;
	Replay replay;
	int64 left = 0;
	Datum result;
	int n;
	int i;

	if (!DatumGetBool(DirectFunctionCall1(prepay_my_site, PG_GETARG_DATUM(0))))
		PG_RETURN_NULL();
	db_enter(&session);
	site = site_get(PG_GETARG_INT32(0));
	account = account_read_all(site, &account_id, 1, &n);
	if (n == 1)
	{
		replay_account(site, account, &replay);
		for (i = 0; i < replay.n; i++)
			if (replay.grant[i].seq == PG_GETARG_INT32(2))
				left = left_of(&replay.grant[i]);
	}
	MemoryContextSwitchTo(session.outer);
	result = minor_numeric(left, site->decimals);
	db_leave(&session);
	PG_RETURN_DATUM(result);
}
