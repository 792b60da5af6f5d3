/*
 * tariff_store.h: tariffs as rows, and what is in force for a meter at a time.
 */
#ifndef PREPAY_TARIFF_STORE_H
#define PREPAY_TARIFF_STORE_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "rate.h"
#include "site.h"

typedef struct TariffVersion
{
	int32 version;
	TransactionId xmin; /* row the compiled tariff was made from */
	TimestampTz valid_from;
	TimestampTz valid_to; /* next effective version, or infinity; = valid_from: superseded */
	Tariff *tariff;
	uint64 calendar_content; /* HolidayCalendar.content the tariff has; 0: none yet */
} TariffVersion;

typedef struct TariffCode
{
	int32 tariff_id;
	char *code;
	int n;
	TariffVersion *version; /* ascending by valid_from, version */
	bool has_calendar;
	/* Time over which the calendars' days are known in a statement (Site.statement). */
	uint64 known_in;
	TimestampTz known_from;
	TimestampTz known_to;
} TariffCode;

/* Compiled versions, cached in the backend; valid until the site's next statement. */
extern TariffCode *tariff_code(const Site *site, int32 tariff_id);
/* See to it that the versions know the days of their calendars over [from, to). */
extern void tariff_know_days(const Site *site, TariffCode *code, TimestampTz from, TimestampTz to);
extern const Tariff *tariff_of_version(const Site *site, int32 tariff_id, int32 version);

/* Assignments that may concern a meter, best first. */
typedef struct TariffRule
{
	int32 rank; /* meter 0, account 1, nearest place 2, ..., site last */
	TimestampTz valid_from;
	int32 assignment;
	int32 tariff_id; /* 0: assignment ended */
} TariffRule;

typedef struct TariffRules
{
	int n;
	TariffRule *rule;
} TariffRules;

/* meter_id 0: of an account without a meter; account_id 0: of a meter without an account. */
extern TariffRules tariff_rules(const Site *site, int32 meter_id, int32 account_id);
/* The code in force at an instant and the stretch around it in which it stays so. 0: none. */
extern int32 tariff_at(const TariffRules *rules, TimestampTz instant, TimestampTz *from,
					   TimestampTz *until);
/* Versions in force over [from, to): spans that touch; tariff NULL where there is none. */
extern int tariff_spans(const Site *site, const TariffRules *rules, TimestampTz from,
						TimestampTz to, RateSpan **spans);
/* The same when one code is known to hold throughout; spans has room for `room` entries. */
extern int tariff_code_spans(const Site *site, TariffCode *code, TimestampTz from, TimestampTz to,
							 RateSpan *spans, int room);

/* Set the tariff of a target from a time on; tariff_id 0 ends the assignment. Site lock held
 * exclusively. */
extern void tariff_assign(const Site *site, const char *kind, int32 target_id, int32 tariff_id,
						  TimestampTz valid_from);
/* When an assignment made without a time begins: always for the first of a target, else now. */
extern TimestampTz tariff_first_assignment(const Site *site, const char *kind, int32 target_id);
extern int32 tariff_find(const Site *site, const char *code);

/* The site setting "tariff" was given a new value (NULL: none). */
extern void setting_tariff_changed(const Site *site, const char *value);

#endif
