/*
 * brake.h: the brake on mass disconnection: trip_limit_per_minute.
 */
#ifndef PREPAY_BRAKE_H
#define PREPAY_BRAKE_H

#include "relay.h"
#include "site.h"

/* What a mistake in a tariff, a setting or a reading can switch off for many at once. */
#define BRAKE_RULES "'off_due', 'no_account'"

/* Of a command c and its meter_control k: a trip that the brake, when it is on, holds back. */
#define BRAKE_WAITS                                                                       \
	"(c.status = 'queued' AND c.action = 'trip' AND c.automatic AND c.passed_at IS NULL " \
	"AND c.confirmation_id IS NULL AND k.desired_why IN (" BRAKE_RULES "))"

/* The trips of one take_commands(). Begins as { 0 }. */
typedef struct Brake
{
	bool is_locked;
	bool is_limited;
	bool is_on;
	bool went_on; /* by this call */
	int64 left;	  /* trips that may still pass in this minute */
	int n_passed;
	int64 *passed;
} Brake;

/*
 * Whether an automatic trip, just decided anew, may be handed out. Takes the site's
 * trip_brake row; called with the meter_control row locked.
 */
extern bool brake_passes(const Site *site, Brake *brake, const RelayMeter *meter, int64 command_id);
/* Write down what has passed; raises the alarm when the brake went on. */
extern void brake_finish(const Site *site, Brake *brake);

/* A trip that waits for a supervisor does not expire: it is decided anew instead, here given time.
 */
extern void brake_prolong(const Site *site, int32 meter_id);
/* Release the brake where nothing waits any more; keep the alarm's number right. */
extern void brake_tick(const Site *site);

#endif
