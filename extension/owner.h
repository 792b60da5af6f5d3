/*
 * owner.h: which account a meter's energy belongs to, and what a change of it moves.
 *
 * A change is made in two steps: the rows first (owner_begin, owner_end), then
 * owner_rate once for all meters concerned, so that each account sees one balance and
 * gets one correction. All need the site's lock exclusively.
 */
#ifndef PREPAY_OWNER_H
#define PREPAY_OWNER_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"

/* Raises 22023 for a time that is not finite or not up to now. */
extern void owner_require_past(const Site *site, TimestampTz effective);
/* The account a meter belongs to now, and since when; 0: none. */
extern int32 owner_of(const Site *site, int32 meter_id, TimestampTz *since);

/*
 * The meter belongs to the account from `effective` on. start_kwh NULL: its register
 * then is not known, an interval that straddles is shared by time. Raises PP040 when it
 * belongs to another account then or later, PP041 for a register that cannot be, 22023
 * for a time that is not finite or not up to now.
 */
extern void owner_begin(const Site *site, int32 account_id, int32 meter_id, const char *start_kwh,
						TimestampTz effective);
/*
 * The meter ceases to belong to its account, whose it has been since `since`. Its energy
 * up to then stays with the account; final_kwh NULL: the next reading tells the rest.
 * Raises PP041, 22023.
 */
extern void owner_end(const Site *site, int32 account_id, int32 meter_id, TimestampTz since,
					  const char *final_kwh, TimestampTz effective);
/*
 * Rate again the accounts whose energy changes of these meters at `instant` move: of
 * owner or of dated facts. Intervals that straddle it are shared anew as a whole.
 */
extern void owner_rate(const Site *site, const int32 *meter_id, int n, TimestampTz instant);

#endif
