/*
 * fixture.h: what the unit tests share: zones, tariffs from JSON, an account that is rated.
 */
#ifndef PREPAY_FIXTURE_H
#define PREPAY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "doc_json.h"
#include "rate.h"

#define MINUTE_US CAL_MIN_US
#define HOUR_US (60 * CAL_MIN_US)

extern const CalZone zone_utc;
extern const CalZone zone_shanghai;	   /* +08:00 for ever */
extern const CalZone zone_los_angeles; /* 2019 to 2020 */
extern const CalZone zone_sao_paulo;   /* spring forward at 00:00, fall back at 24:00 */
extern const CalZone zone_st_johns;	   /* fall back at 00:01 over midnight, 2010 */
extern const CalZone zone_havana;	   /* fall back 01:00 -> 00:00, 2019 */
extern const CalZone zone_apia;		   /* skips 2011-12-30 */
extern const CalZone zone_toronto;	   /* springs from 23:30 to 00:30, 1919 */

/* UTC instant of a wall-clock time, given the offset then in force. */
extern int64_t at(int year, int month, int day, int hour, int minute, int offset_s);

/* Compile a definition that must be right; single quotes stand for double ones. */
extern Tariff *tariff(const char *json);
/* The fault of a definition that must be refused. */
extern const DocFault *refused(const char *json);

/* One account under one tariff: feed it intervals, look at lines, cost and bill. */
typedef struct Account
{
	const CalZone *zone;
	RateSpan span[4];
	int n_span;
	TariffExtraStep extra_step; /* one extension, for ever: wh_per_month, 0 for none */
	TariffExtra extra;
	RatePieceVec pieces;
	RatePositionVec positions;
	RateLineVec lines;
} Account;

extern void account_open(Account *account, const CalZone *zone, const Tariff *tariff);
extern void account_close(Account *account);
/* Every tier bound is wider by so many Wh a month, always. */
extern void account_extend(Account *account, int64_t wh_per_month);
/* Split an interval; the pieces wait for account_walk. */
extern void account_add(Account *account, int meter, int64_t from, int64_t to, int64_t wh);
extern void account_walk(Account *account);
/* add and walk at once. */
extern void account_use(Account *account, int64_t from, int64_t to, int64_t wh);
/* Wh of the lines with this period and tier; -1: any. */
extern int64_t account_wh(const Account *account, int period, int tier);
/* Exact cost as text: the sum of the bill, which must equal rate_cost when there is one. */
extern const char *account_cost(const Account *account);
extern Exact bill_sum(const BillVec *bill);
extern Exact exact(const char *text);
extern const char *text_of(Exact amount);

#define assert_exact(amount, text) assert_string_equal(text_of(amount), text)

/* Seeded generator of the property tests. */
extern void random_seed(uint64_t seed);
extern uint64_t random_next(void);
extern int64_t random_between(int64_t low, int64_t high);

#endif
