/*
 * credit.h: the part of a balance that was given, not paid.
 */
#ifndef PREPAY_CREDIT_H
#define PREPAY_CREDIT_H

#include "vend.h"

/* What the account may pay out: balance less granted credit that is left. May be negative. */
extern int64 credit_own_unspent(const Site *site, const Account *account);
/* Raises PP023 when minor is more than that. */
extern void credit_require_own(const VendCall *call, int64 minor);

/* All the account has spent so far, on usage and by adjustments: the measure of grants. */
extern int64 credit_spent(const Site *site, const Account *account);
/* A grant posted as entry seq; spent is credit_spent() before it. */
extern void credit_add(const Site *site, int32 account_id, int32 seq, const char *type,
					   int priority, TimestampTz expires_at, int64 minor, int64 spent);
/* The grant was never given. Raises PP026 when it has ended. */
extern void credit_cancel(const VendCall *call, Account *account, int32 seq, int32 by_seq);
/* All that is left lapses, by entries of the call: closing. */
extern void credit_close(VendCall *call, Account *account);

/* Grants that have expired lapse; up to max accounts. */
extern int credit_expire(const Site *site, int max);
extern bool credit_expire_due(const Site *site);

#endif
