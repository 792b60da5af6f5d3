/*
 * control.h: one call of control(): shared by relay orders and plain commands.
 */
#ifndef PREPAY_CONTROL_H
#define PREPAY_CONTROL_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "relay.h"
#include "site.h"

typedef struct ControlRow
{
	const char *meter;
	int32 account_id;
	int64 command_id;	/* 0: none */
	bool is_new;		/* the command was made by this call */
	const char *status; /* of the command, or set, skipped, refused */
	const char *detail;
} ControlRow;

typedef struct ControlCall
{
	const Site *site;
	const char *target; /* as people type it, without the site */
	const char *action;
	Jsonb *args;
	const char *reason;		  /* never NULL */
	const char *given_reason; /* NULL: none */
	const char *operator_name;
	bool single; /* the target is one meter */
	int n;
	const int32 *meter_id; /* n, ascending */
	ControlRow *row;	   /* n; filled in the memory context below */
	MemoryContext memory;
	int64 batch_id;
	int n_new; /* commands this call has made */
} ControlCall;

/* trip close keep_on prepaid lock unlock */
extern void control_relay(ControlCall *call);
/* read set_clock push_tariff push_limits recharge */
extern void control_plain(ControlCall *call);

extern void control_note(ControlCall *call, ControlRow *row, int64 command_id, const char *status,
						 const char *detail);

#endif
