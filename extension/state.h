/*
 * state.h: the hot rows of rating, account_state and meter_state, in memory.
 *
 * Lock order: accounts ascending, then meters that belong to no account
 * ascending. A meter of an account is protected by the account's lock.
 */
#ifndef PREPAY_STATE_H
#define PREPAY_STATE_H

#include "postgres.h"

#include "storage/itemptr.h"
#include "utils/timestamp.h"

#include "amount.h"
#include "decide.h"
#include "rate.h"
#include "reading_chain.h"
#include "site.h"
#include "tou.h"

struct Account;

typedef struct Meter
{
	int32 meter_id;
	int32 account_id;  /* 0: no account */
	bool former_waits; /* a former account does not know yet what it used to the end */
	int64 ratio_e6;
	int64 register_max_wh; /* 0: unknown */
	bool reverse_add;
	int64 rated_w;			/* 0: unknown */
	int64 power_limit_w;	/* 0: the site's; -1: a check meter, never any */
	bool watched;			/* each reading is looked at by sample.c */
	TimestampTz facts_from; /* account, ratio, modulus and reverse rule hold from here on */
	int32 tariff_id;		/* in force over [tariff_from, tariff_until); 0: none */
	TimestampTz tariff_from;
	TimestampTz tariff_until;
	bool has_register; /* a reading was accepted: the next three are set */
	TimestampTz last_read_at;
	int64 register_wh; /* as displayed, before the ratio */
	int64 reverse_wh;
	bool has_kw;
	Datum kw;
	int relay_closed;			  /* -1 unknown, 0 open, 1 closed */
	TimestampTz relay_changed_at; /* in this statement; 0: not */
	TouRegisters tou;			  /* of the last believed reading, where this statement has any */
	TouMap tou_map;
	RateLineVec lines; /* not sealed yet */
	ReadingChain chain;
	bool moved; /* its register, in this statement */
	bool dirty;
	bool facts_dirty;		/* tariff window, former_waits or late readings */
	int n_undecided;		/* readings of this statement that are not judged yet */
	const Datum *undecided; /* their times */
	ItemPointerData place;	/* of its row as locked; invalid: unknown */
	struct Account *account;
} Meter;

typedef struct Account
{
	int32 account_id;
	int32 last_seq;
	uint8 last_hash[32];
	int64 posted_minor; /* sum of ledger entries */
	int64 debt_minor;	/* owed beside the balance */
	int32 purchases;	/* sales so far */
	bool is_closed;
	Exact sealed;	  /* exact cost of sealed lines */
	int32 sealed_to;  /* all local days before this one are sealed */
	Datum base_bytes; /* base as stored, until it is decoded */
	/* Tier positions at the start of sealed_to; the period of every open line is open in it. */
	RatePositionVec base;
	TariffExtra extra;	 /* household extension */
	RateLineVec leaving; /* open lines of meters that have left */
	int32 waits_from;	 /* first day a left meter's energy is not known of; 0: none */
	QuietBand quiet;
	int n_meter_all; /* meters it has now */
	int n_meter;	 /* of these, loaded */
	Meter **meter;
	RatePieceVec pieces; /* energy of this statement, not walked yet */
	int32 rerate_from;	 /* day from which it must be rated again; PG_INT32_MAX: none */
	bool by_backlog;	 /* its balance was moved by what nobody could foresee */
	bool head_moved;	 /* by an entry posted: seq, hash, sums, purchases */
	bool dirty;			 /* anything else */
} Account;

/* Lock accounts in ascending order and load them with their meters. account_id need not be sorted.
 */
extern Account *account_lock_all(const Site *site, const int32 *account_id, int n, int *n_account);
/*
 * Lock and load the accounts these meters (ascending, each once) belong to, with all their
 * meters; meters without an account are passed over. Locks nothing and gives none when a former
 * account waits for the energy of one of them: it has to be locked in the same run.
 */
extern Account *account_lock_by_meters(const Site *site, const int32 *meter_id, int n,
									   int *n_account);
/* The same without locks: to look at, never to save. */
extern Account *account_read_all(const Site *site, const int32 *account_id, int n, int *n_account);
/* One account; raises when there is none. */
extern Account *account_lock(const Site *site, int32 account_id);
/* Write back what is dirty, accounts and their meters, in bulk. */
extern void account_save_all(const Site *site, Account *account, int n);
extern void meter_save_all(const Site *site, Meter **meter, int n);
/* Lock and load meters that belong to no account. */
extern Meter *meter_lock_unowned(const Site *site, const int32 *meter_id, int n, int *n_meter);

/* Exact cost of the account's open lines. */
extern Exact account_open_cost(const Site *site, const Account *account);
/* round(S + O): all the account has used, posted or not. */
extern int64 account_used(const Site *site, const Account *account);
/* Sum of entries - (round(S + O) - round(S)). */
extern int64 account_balance_of(const Site *site, const Account *account);
/* Positions now: base plus open lines. */
extern void account_positions(const Account *account, RatePositionVec *positions);

/* Move positions on by lines sorted by day, up to the start of a day. */
extern void positions_advance(RatePositionVec *positions, const RateLineVec *lines, int32 to_day);

/* The order rate_bill takes lines in: day, version, meter. */
extern void lines_sort(RateLineVec *lines);

/* The household extension as stored: day, Wh a month, day, Wh a month ... */
extern void extra_decode(Datum steps, TariffExtra *extra);

/* Lines as stored. The form has a version byte and is the same on every machine. */
extern Datum lines_encode(const RateLineVec *lines);
/* Appends. */
extern void lines_decode(const Site *site, Datum bytes, RateLineVec *lines);
extern Datum positions_encode(const Site *site, const RatePositionVec *positions);
extern void positions_decode(const Site *site, Datum bytes, RatePositionVec *positions);

#endif
