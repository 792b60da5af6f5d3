/*
 * statement.h: the lines of a statement, as they are given out.
 */
#ifndef PREPAY_STATEMENT_H
#define PREPAY_STATEMENT_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "code.h"
#include "money.h"
#include "site.h"

typedef struct Statement
{
	struct ReturnSetInfo *result;
	const Site *site;
	CodeTarget account;
	int32 first_day; /* local days [first_day, end_day) of the month */
	int32 end_day;
	TimestampTz from;
	TimestampTz to; /* of the month, or now */
	bool by_day;	/* usage day by day instead of summed up over the month */
	Exact balance;	/* up to the last line */
	int line;
} Statement;

/* One line; what is NULL, or 0 where it says so, is left empty. */
typedef struct StatementLine
{
	const char *section;
	const char *text;
	const char *meter;
	const char *tariff; /* version counts with it */
	int32 version;
	const char *item;
	const char *period;
	int32 tier; /* from 0; -1: none */
	bool has_day;
	int32 day;
	bool has_energy;
	int64 wh;
	int64 estimated_wh;
	const char *price;
	bool has_amount;
	Exact amount;
	bool has_balance;
	int32 seq; /* 0: none */
	TimestampTz from;
	TimestampTz to; /* 0: none */
	bool has_register;
	int64 register_from;
	int64 register_to;
	int64 ratio_e6;
} StatementLine;

/* Give out a line; its amount moves the balance. */
extern void statement_line(Statement *statement, const StatementLine *line);
/* The balance that has been reached, as a line. */
extern void statement_balance(Statement *statement, const char *section, TimestampTz at);
/* "2026-03-01 00:00" on the site's clock. */
extern const char *statement_time(const Site *site, TimestampTz instant);

#endif
