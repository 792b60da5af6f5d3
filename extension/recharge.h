/*
 * recharge.h: a command that moves money into a meter or out of it, from taking to outcome.
 */
#ifndef PREPAY_RECHARGE_H
#define PREPAY_RECHARGE_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"

#define RECHARGE_ACTIONS "'recharge', 'withdraw'"

typedef enum RechargeOutcome
{
	RECHARGE_DONE,
	RECHARGE_REFUSED, /* the meter said no: certainly not carried out, and would not be again */
	RECHARGE_AGAIN,	  /* certainly not carried out */
	RECHARGE_ASK,	  /* perhaps carried out: read the count back */
	RECHARGE_CONFLICT /* the count is none that we know of: a person decides */
} RechargeOutcome;

/* What an agent reports of an attempt. */
typedef struct RechargeReport
{
	int64 command_id;
	int32 meter_id;
	const char *action;
	RechargeOutcome said; /* done refused failed unknown, in the agent's words */
	bool verify;		  /* an earlier attempt may have written */
	bool has_count;
	int32 count; /* as last read back */
	bool has_written;
	const char *meter_balance; /* decimal text, as last read back; NULL: not read */
	const char *error;		   /* NULL: none */
	TimestampTz seen_at;
} RechargeReport;

extern bool recharge_is(const char *action);
/*
 * Fix the purchase count of a command about to be handed out: one more than the meter is
 * known to have. False: not known yet, the command waits. meter_control row locked.
 */
extern bool recharge_fix_count(const Site *site, int32 meter_id, int64 command_id);
/* Judge a report and move the purse. meter_control row locked; the caller ends the command. */
extern RechargeOutcome recharge_report(const Site *site, const RechargeReport *report);

#endif
