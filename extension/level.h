/*
 * level.h: alarm levels of an account.
 */
#ifndef PREPAY_LEVEL_H
#define PREPAY_LEVEL_H

#include "decide.h"

#define LEVEL_KINDS 3

/* A threshold of the account, from shallow to deep: alarm1, alarm2, arrears. */
typedef struct Level
{
	const char *kind;
	bool has_threshold;
	int64 threshold; /* minor units: crossed at and below it */
	int64 margin;	 /* cleared only above threshold + margin */
} Level;

typedef struct LevelAccount
{
	int32 account_id;
	char *code;
	char *phone;	/* NULL: none */
	char *language; /* NULL: the site's */
	bool is_open;
	bool is_suspended;
	int64 credit_limit;		/* minor units */
	int64 emergency;		/* activated emergency credit, minor units; 0: none */
	bool exhausted;			/* it is used up and not repaid */
	TimestampTz used_up_at; /* when the balance came to the cut limit; DT_NOBEGIN: it has not */
	bool used_up_by_backlog;
	int stored_level; /* account_state.alarm_level */
	Level level[LEVEL_KINDS];
} LevelAccount;

/* Load an account and its thresholds: its own, else its strictest meter's, else the site's. */
extern void level_load(const Site *site, int32 account_id, LevelAccount *account);
/*
 * Raise and clear alarms and write messages for a balance; narrows the band to
 * where nothing of this changes.
 */
extern void level_apply(const Site *site, const LevelAccount *account, int64 balance,
						QuietBand *band);
/* Whether the account's ledger ever stood above 0. */
extern bool level_was_funded(const Site *site, int32 account_id, int64 balance);

#endif
