/*
 * vend.h: money functions: one shape for all of them.
 *
 * A money function runs once per key. VendCall carries it through: arguments
 * checked and fingerprinted → key looked up → account locked → rule checked →
 * entry posted → balance decided → result kept under the key.
 */
#ifndef PREPAY_VEND_H
#define PREPAY_VEND_H

#include "postgres.h"

#include "code.h"
#include "ledger.h"
#include "rating.h"

typedef struct VendCall
{
	const char *operation; /* "sell", ...: part of the fingerprint */
	const Site *site;
	CodeTarget target;
	const char *account_code;
	char *key;
	uint8 fingerprint[LEDGER_HASH_BYTES];
	Account *account;
	RatingRun run;
	bool repeated; /* the key was used before with the same arguments */
} VendCall;

extern char *vend_key(FunctionCallInfo fcinfo, int arg);
/* Amount argument > 0; raises PP021. Before the session is open only syntax can be told. */
extern int64 vend_positive(const Site *site, Datum amount);
/* Hash what makes two calls the same; NULL-terminated list of texts, NULL texts written as "". */
extern void vend_fingerprint(VendCall *call, const char *const *part, int n);

/* Whether the key has a result from the same arguments; raises PP020 when from others. */
extern bool vend_find_key(VendCall *call);

/*
 * Look the key up and, when it is new, lock the account. After it call->repeated
 * says whether only the stored result is to be given. Raises PP020.
 */
extern void vend_begin(VendCall *call);
/* Raises PP024 for a closed account. */
extern void vend_require_open(const Site *site, const CodeTarget *target);
/* Post, decide, write everything, keep the result under the key (only opening may have none). */
extern int32 vend_post(VendCall *call, LedgerEntry *entry);
/* money_result of an entry as a composite datum in session->outer. */
extern Datum vend_result(VendCall *call, DbSession *session, FunctionCallInfo fcinfo);

#endif
