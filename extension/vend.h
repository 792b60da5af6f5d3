/*
 * vend.h: money functions: one shape for all of them.
 *
 * A money function runs once per key. VendCall carries it through:
 *
 *   vend_open      caller's right, site, account
 *   vend_fingerprint   what makes two calls the same
 *   vend_begin     account locked, key looked up; repeated: only the result is given
 *   (the function's own rules: raises, or goes on)
 *   vend_receipt   a receipt number, where the customer gets a paper
 *   vend_post_result, vend_post   the entry that is the result, and what goes with it
 *   vend_finish    result kept under the key, days sealed, alarms and supply decided, all written
 *   vend_result    money_result of the kept result
 */
#ifndef PREPAY_VEND_H
#define PREPAY_VEND_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "code.h"
#include "ledger.h"
#include "rating.h"

typedef struct VendCall
{
	const char *operation; /* "sell", ...: part of the fingerprint */
	const Site *site;
	CodeTarget target;
	const char *state; /* of this account */
	CodeTarget other;  /* the other side of a transfer; id 0: none */
	char *key;
	uint8 fingerprint[LEDGER_HASH_BYTES];
	Account *account; /* locked */
	Account *other_account;
	Account *locked; /* both, ascending */
	int n_locked;
	RatingRun run;
	bool exclusive;	   /* hold the site exclusively, to change terms of meters */
	bool repeated;	   /* the key was used before with the same arguments */
	const char *till;  /* asked for, then the one it is; NULL: the operator's own */
	int64 receipt_no;  /* 0: none taken */
	int64 moved;	   /* what its entries did to the account's balance, */
	int64 other_moved; /* and to the other account's */
	int32 seq;		   /* of the result; what it is, and what the call left: */
	LedgerEntry entry;
	int64 balance_after;
	int64 balance;
	int64 debt;
} VendCall;

/* ---- arguments ---- */

/* Raises 22004 naming what is missing. */
extern char *vend_text(FunctionCallInfo fcinfo, int arg, const char *what);
extern char *vend_text_or_null(FunctionCallInfo fcinfo, int arg);
/* Raises 22004 when missing, 22023 when empty or over-long. */
extern char *vend_key(FunctionCallInfo fcinfo, int arg);
/* Amount argument > 0; raises PP021. */
extern int64 vend_positive(const Site *site, Datum amount);
/* Raises 22023 for what is no tender; the list is fixed. */
extern void vend_check_tender(const char *tender);
/* Canonical text of an options argument, "" for none; raises 22023 for unknown ones. */
extern char *vend_options(FunctionCallInfo fcinfo, int arg, const char *const *known,
						  Jsonb **options);
/* Amount as text of the currency's decimals. */
extern char *vend_money(const Site *site, int64 minor);

/* ---- the call ---- */

/* Require a right of the caller, share the site's lock, find the account. Session is open. */
extern void vend_open(VendCall *call, const DbSession *session, const char *account, int rights,
					  const char *what);
/* Hash what makes two calls the same: operation, account and these texts, NULL unlike "". */
extern void vend_fingerprint(VendCall *call, const char *const *part, int n);
/* Whether the key has a result from the same arguments; raises PP020 when from others. */
extern bool vend_find_key(VendCall *call);
/*
 * Lock the account (and the other one), then look the key up. After it
 * call->repeated says whether only the stored result is to be given. Raises PP020.
 */
extern void vend_begin(VendCall *call);
/* Lock the account (and the other one): the part of vend_begin() after the key. */
extern void vend_lock(VendCall *call);
/* Raises PP024 for a closed account, PP027 for a suspended one: the call's or the other one. */
extern void vend_require_open(const VendCall *call, const CodeTarget *target);
extern bool vend_is_closed(const Site *site, const CodeTarget *target);
/* Raises PP024 for a closed account. */
extern void vend_require_not_closed(const Site *site, const CodeTarget *target);
/* Take the till's next receipt number for this call. Nothing is posted before it. */
extern void vend_receipt(VendCall *call);
/* Post to a locked account under the call's key. */
extern int32 vend_post(VendCall *call, Account *account, LedgerEntry *entry);
/* The same for the one entry of call->account that the call gives back, with the receipt number. */
extern int32 vend_post_result(VendCall *call, LedgerEntry *entry);
/* Keep the result, seal, decide, write everything. Only an opening may have no key. */
extern void vend_finish(VendCall *call);
/* money_result of the call's key as a composite datum in session->outer. */
extern Datum vend_result(VendCall *call, DbSession *session, FunctionCallInfo fcinfo);

/* Alarms and supply are decided anew at the end, wherever the balance ends. */
extern void vend_decide(Account *account);

#endif
