/*
 * command.h: the queue of orders to meters.
 *
 *   queued -> sent -> done | refused | failed | unknown | expired
 *   queued -> superseded | cancelled | expired
 *
 * The table is the truth, the notification on prepay_command only a hint. Relay
 * commands (trip close keep_on prepaid) of a meter are changed by whoever holds
 * its meter_control row (relay.h); commands of the other kinds are changed by
 * statements that name the status they expect.
 */
#ifndef PREPAY_COMMAND_H
#define PREPAY_COMMAND_H

#include "site.h"

#define COMMAND_LEASE_S 60
#define COMMAND_MAX_ATTEMPTS 10
#define COMMAND_RETRY_S 900 /* a relay command that failed for good is decided anew after this */

/* SQL condition: meter m can be told from the others behind its gateway. */
#define METER_IS_ADDRESSED "(m.unit_id IS NOT NULL OR m.address IS NOT NULL)"
#define COMMAND_RELAY_ACTIONS "'trip', 'close', 'keep_on', 'prepaid'"
#define COMMAND_AUTOMATIC "supply" /* operator of what the supply rule queues */

typedef struct Command
{
	int32 meter_id;
	int32 account_id; /* 0: none */
	const char *action;
	const char *args; /* JSON; NULL: {} */
	const char *reason;
	const char *operator_name; /* NULL: queued by the supply rule */
	TimestampTz valid_until;   /* business time; 0: for ever */
	TimestampTz not_before;	   /* real time; 0: at once */
} Command;

extern int64 command_queue(const Site *site, const Command *command);
/* End a live command; result may be NULL. */
extern void command_finish(const Site *site, int64 command_id, const char *status,
						   const char *result);
/* Real time at which the next attempt may be made. */
extern TimestampTz command_back_off(int attempts);
extern bool command_is_relay(const char *action);

/*
 * What time makes due: leases that ran out, commands that expired, supply to be
 * decided again. Returns the number of things done. Takes meter_control rows: in
 * a transaction that locks accounts too, it comes last.
 */
extern int command_tick(const Site *site, int max_rows);

#endif
