/*
 * protect.h: from policies and facts to what forbids a cut at a moment.
 */
#ifndef PREPAY_PROTECT_H
#define PREPAY_PROTECT_H

#include "site.h"
#include "supply.h"

typedef struct ProtectAsk
{
	int32 account_id;
	TimestampTz used_up_at; /* DT_NOBEGIN: its balance has come from nowhere above */
	bool by_backlog;
} ProtectAsk;

/*
 * Fill protections, partial payment and hold_until of the accounts whose money, by the
 * rest of their facts, is used up; the others are left as they are. A set of any size
 * costs the same few queries. With the balance of now, whatever the moment.
 */
extern void protect_facts(const Site *site, const ProtectAsk *ask, int n, TimestampTz moment,
						  SupplyFacts *facts);

/* A time as people of the site read it. */
extern char *protect_time_text(const Site *site, TimestampTz at);

#endif
