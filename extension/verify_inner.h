/*
 * verify_inner.h: the parts of verify().
 *
 * verify.c goes through the accounts and meters in batches; the parts look at what a batch
 * has loaded. Each tells what it finds by verify_fault() and changes nothing.
 */
#ifndef PREPAY_VERIFY_INNER_H
#define PREPAY_VERIFY_INNER_H

#include "postgres.h"

#include "funcapi.h"

#include "ledger.h"
#include "rerate.h"

typedef struct Verify
{
	ReturnSetInfo *result;
	const Site *site;
	const char *account_code; /* of the account at hand; NULL: none */
	bool is_whole;			  /* every account is looked at */
	int64 gap_us;
	MemoryContext memory; /* of what is told; it is given when a batch is done */
	struct VerifyTold *told;
	int n_told;
	int told_room;
} Verify;

/* A line of usage_line. */
typedef struct BookedLine
{
	int32 account_id;
	int32 booked_seq;
	int32 booked_day;
	BillLine line;
} BookedLine;

/* An account of the batch: what is known of it, and what its entries add up to. */
typedef struct VerifyAccount
{
	int32 account_id;
	const char *code;
	const Account *state; /* NULL: it has none */
	RerateWhole whole;
	bool is_queued; /* it waits to be rated again, and differs on purpose until then */
	bool is_closed;
	int64 debt_owed;
	int n_line; /* its lines, by booked_seq */
	const BookedLine *line;
	int32 seq; /* the rest: up to this entry */
	int64 balance;
	int64 debt;
	int64 usage_minor; /* entries that book usage */
	int32 purchases;
	int next_line;
	uint8 hash[LEDGER_HASH_BYTES];
} VerifyAccount;

typedef struct VerifyBatch
{
	int n;
	VerifyAccount *account; /* ascending */
	History history;
	int64 rows; /* readings and lines: how much memory it took */
} VerifyBatch;

extern void verify_fault(Verify *verify, const char *invariant, const char *format, ...)
	pg_attribute_printf(3, 4);

/* NULL: not in the batch. */
extern VerifyAccount *verify_find(VerifyBatch *batch, int32 account_id);

/* verify_ledger.c: the entries of a batch, with what they book and were called by. */
extern void verify_load_lines(Verify *verify, VerifyBatch *batch);
extern void verify_ledger(Verify *verify, VerifyBatch *batch);
/* Of one account, after verify_ledger(): does its state say what the entries add up to? */
extern void verify_head(Verify *verify, const VerifyAccount *account);

/* verify_usage.c: one account rated anew from its readings. */
extern void verify_usage(Verify *verify, const VerifyBatch *batch, const VerifyAccount *account);
/* Energy the meters of a batch moved against what their accounts are charged for. */
extern void verify_energy(Verify *verify, VerifyBatch *batch);

/* verify_reading.c: the chains of readings of meters; ascending, or all of the site. */
extern void verify_readings(Verify *verify, const int32 *meter_id, int n);
extern void verify_all_readings(Verify *verify);

#endif
