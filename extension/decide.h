/*
 * decide.h: what a balance means: alarms, supply, relay commands.
 *
 * Called with the account's lock held, in the transaction that moved its balance.
 */
#ifndef PREPAY_DECIDE_H
#define PREPAY_DECIDE_H

#include "site.h"

struct RelayMeter;
struct SupplyFacts;

/* Balances strictly between above and below need no new decision. */
typedef struct QuietBand
{
	bool is_set;
	int64 above;
	int64 below;
} QuietBand;

/*
 * Raise and clear the account's alarms, write messages, set the desired relay
 * state of its meters and queue the commands that follow. Returns the band in
 * which nothing of this would change. by_backlog: the balance was moved by energy
 * of a gap, by late readings or by a correction, which nobody could foresee. Entries of
 * the ledger have been written.
 */
extern QuietBand decide_account(const Site *site, int32 account_id, int64 balance_minor,
								bool by_backlog);

/* The relay of a meter was seen; called only when it differs from what was seen before. */
extern void decide_observed(const Site *site, int32 meter_id, bool relay_closed,
							TimestampTz read_at);

/* A setting or rule has changed: every account of the site is decided anew at its next occasion. */
extern void decide_all_later(int32 site_id);

/* A meter has just left its account: with its account's or its own lock held. */
extern void decide_meter(const Site *site, int32 meter_id);

/*
 * The supply of one meter whose meter_control row is locked, with the balance as
 * it is visible now: whoever moves it later decides after us. A command that
 * follows waits until not_before (real time; 0: at once).
 */
extern void decide_locked_meter(const Site *site, struct RelayMeter *meter, TimestampTz not_before);

/* Of these facts, those of the meter itself. */
extern void decide_meter_facts(const struct RelayMeter *meter, TimestampTz moment,
							   struct SupplyFacts *facts);
/* What the supply rule goes by, as visible now, with the policies of a moment. */
extern void decide_facts(const Site *site, const struct RelayMeter *meter, TimestampTz moment,
						 struct SupplyFacts *facts);

#endif
