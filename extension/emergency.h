/*
 * emergency.h: emergency credit: supply below the cut limit, asked for, to be repaid.
 */
#ifndef PREPAY_EMERGENCY_H
#define PREPAY_EMERGENCY_H

#include "level.h"
#include "supply.h"

/*
 * Move an account's emergency credit on to a balance: exhausted, repaid. Fills what
 * the supply rule needs of it and narrows the band to where nothing of this changes.
 * Account locked.
 */
extern void emergency_step(const Site *site, LevelAccount *account, int64 balance,
						   SupplyFacts *facts, QuietBand *band);
/* The same facts as they are stored, for deciders that hold no account. */
extern void emergency_facts(const Site *site, int32 account_id, int64 amount, bool exhausted,
							SupplyFacts *facts);

#endif
