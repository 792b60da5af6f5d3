/*
 * explain.h: the rows of explain() and the words that go with them.
 */
#ifndef PREPAY_EXPLAIN_H
#define PREPAY_EXPLAIN_H

#include "rerate.h"

typedef enum ExplainKind
{
	EXPLAIN_ENERGY,
	EXPLAIN_WAITING,   /* an interval that is not charged yet; among the energy by time */
	EXPLAIN_SURCHARGE, /* of the energy of a day */
	EXPLAIN_STANDING   /* of a day, and the surcharges on it */
} ExplainKind;

typedef struct ExplainRow
{
	ExplainKind kind;
	BillLine line; /* period and tier -1 and meter_id 0 as in rate.h; tariff NULL in a note */
	TimestampTz from;
	TimestampTz to;
	int season; /* -1: none */
	int64 position_wh;
	bool estimated;
	const RerateInterval *interval; /* readings the energy lies between; NULL: none */
	const char *why;
} ExplainRow;

/* What is special about a reading. */
typedef struct Remark
{
	int32 meter_id;
	TimestampTz read_at;
	const char *text; /* follows "begins at" or "ends at" */
} Remark;

typedef struct Remarks
{
	int n;
	Remark *item; /* by meter and time */
} Remarks;

typedef struct Explain
{
	struct ReturnSetInfo *result;
	const Site *site;
	const char *account;
	TimestampTz from; /* rows that touch [from, to) are given */
	TimestampTz to;
	int32 first_day; /* local days that have such rows: [first_day, end_day) */
	int32 end_day;
	History history;
	Remarks remarks;
	int n_meter; /* codes of the meters, by id */
	int32 *meter_id;
	char **meter_code;
	int32 *booked; /* of each day: the day it was last booked; DATEVAL_NOEND: not yet */

	int n_interval; /* by meter and time, once sorted */
	int interval_room;
	RerateInterval *interval;
	int n_step; /* in the order of the walk; kept for proportional tiers */
	int step_room;
	RateStep *step;
	RatePiece *piece; /* of each step */
	int n_row;
	int row_room;
	ExplainRow *row;
} Explain;

/* Codes of the meters, and when each day was booked: once the history is loaded. */
extern void explain_load_names(Explain *explain, int32 account_id);
/* Give out the rows by local day and time. */
extern void explain_put_rows(Explain *explain);

/* Remarks on the readings of these meters over a time. */
extern void explain_load_remarks(const Site *site, const History *history, TimestampTz from,
								 TimestampTz to, Remarks *remarks);
/* Why a piece of energy has the Wh and the price it has. */
extern const char *explain_energy(const Remarks *remarks, const MeterFacts *facts,
								  const ExplainRow *row);
/* What a standing charge or a surcharge of one day is made of. */
extern const char *explain_charge(const BillLine *line);

#endif
