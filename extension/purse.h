/*
 * purse.h: meters that keep their own money (prepay_mode meter).
 */
#ifndef PREPAY_PURSE_H
#define PREPAY_PURSE_H

#include "vend.h"

typedef struct Purse
{
	int32 meter_id;
	int32 account_id;
	int64 start;		 /* balance of the account when the meter became its purse */
	int32 start_seq;	 /* entries after this one concern it */
	int64 start_command; /* so do moves after this one */
	int64 here;		 /* the account's, neither in the meter nor on its way; below 0: owed to it */
	int64 withdrawn; /* taken out of the meter and not paid out yet */
	int32 seen_seq;	 /* entries that nobody called for are in `here` up to this one */
	bool has_count;
	int32 count;		  /* purchase count the meter is known to have */
	TimestampTz count_at; /* when it had it */
	bool has_balance;
	int64 balance; /* last read from the meter */
	TimestampTz balance_at;
} Purse;

/* A meter that may be one. A model that is not known yet is believed to be able. */
typedef struct PurseMeter
{
	bool keeps_money;
	char *code;
	char *model;
	bool can_recharge;
	bool can_withdraw;
} PurseMeter;

/* A posting's entries and what the clock alone posts; usage is measured by both sides. */
#define PURSE_NOT_USAGE " AND e.kind NOT IN ('consumption', 'correction')"

/* Whether the site has any such meter with an account: cheap, for those that have none. */
extern bool purse_any(const Site *site);
/* Lock and load; false: the account's money is not in a meter. Account locked. */
extern bool purse_lock_account(const Site *site, int32 account_id, Purse *purse);
/* The same of a meter, whose meter_control row is locked by it. */
extern bool purse_lock_meter(const Site *site, int32 meter_id, Purse *purse);
/* Load without a lock, for reports. */
extern bool purse_peek_account(const Site *site, int32 account_id, Purse *purse);
extern bool purse_peek_meter(const Site *site, int32 meter_id, Purse *purse);

extern void purse_load_meter(const Site *site, int32 meter_id, PurseMeter *meter);

/* ---- meters come and go: the site is locked exclusively ---- */

/*
 * Raises PP040 when the account would have another prepaid meter beside one that keeps
 * its own money, PP02A when the meter's model cannot be recharged. replaced: a meter
 * about to leave; 0: none.
 */
extern void purse_require_alone(const Site *site, int32 account_id, int32 meter_id, int32 replaced);
/* The meter has become the account's: its balance goes into the meter. Others pass. */
extern void purse_begin(const Site *site, int32 account_id, int32 meter_id);
/* The meter has left: orders about its money are over. Others pass. */
extern void purse_end(const Site *site, int32 meter_id, const char *why);

/* ---- money functions ---- */

/*
 * What a posting did to an account's balance: a credit is sent to its meter, a debit
 * must have been withdrawn from it before; raises PP02A. For vend_finish().
 */
extern void purse_post(const VendCall *call, const CodeTarget *target, int64 moved);
/* A posting is about to be reversed: its recharge that was not sent is cancelled. */
extern void purse_cancel(const VendCall *call, const Account *account, const char *key);
/* Before closing: nothing may be left in the meter or on its way; raises PP02A. */
extern void purse_require_empty(const Site *site, const CodeTarget *target);
/* Raises PP02A for an account whose meter keeps the money. */
extern void purse_refuse(const Site *site, const CodeTarget *target, const char *what);
/* A supervisor's recharge: the account's own money first, beyond it the house's. */
extern int64 purse_order(const Site *site, int32 meter_id, int64 minor, const char *reason);

/* ---- moves ---- */

/* Raises PP02A when the model gives no money back. */
extern void purse_require_withdrawal(const Site *site, const Purse *purse);
/* Queue a command about money; account's lock or meter's meter_control row held. */
extern int64 purse_queue(const Site *site, const Purse *purse, const char *action, int64 minor,
						 int64 booked, const char *cause, const char *key, const char *reason);
/* Sum of the account's money in recharges that wait; in_flight: some are sent or unknown. */
extern int64 purse_waiting(const Site *site, int32 meter_id, bool *in_flight);
/* Entries since seen_seq that nobody called for: standing charges, credit that lapsed. */
extern int64 purse_unseen(const Site *site, const Purse *purse, int32 *seen_seq);
/* Add to what is here and withdrawn. */
extern void purse_change(const Site *site, int32 meter_id, int64 here, int64 withdrawn);
extern void purse_set_count(const Site *site, int32 meter_id, int32 count, TimestampTz at);
extern void purse_set_balance(const Site *site, int32 meter_id, int64 minor, TimestampTz at);

/* What verify() finds wrong with purses and their commands, account 0: of the site; NULL ends. */
extern char **purse_faults(const Site *site, int32 account_id);

#endif
