/*
 * fixture.c: see fixture.h.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER_US (INT64_C(200000) * CAL_DAY_US)

static const int32_t offset_utc[] = { 0 };
const CalZone zone_utc = { 0, NULL, offset_utc };

static const int32_t offset_shanghai[] = { 28800 };
const CalZone zone_shanghai = { 0, NULL, offset_shanghai };

/* Seconds since 2000-01-01 UTC as published in the tz database. */
static const int64_t at_los_angeles[] = { INT64_C(605527200000000), INT64_C(626086800000000),
										  INT64_C(636976800000000), INT64_C(657536400000000) };
static const int32_t offset_los_angeles[] = { -28800, -25200, -28800, -25200, -28800 };
const CalZone zone_los_angeles = { 4, at_los_angeles, offset_los_angeles };

static const int64_t at_sao_paulo[] = { INT64_C(594615600000000), INT64_C(603684000000000) };
static const int32_t offset_sao_paulo[] = { -10800, -7200, -10800 };
const CalZone zone_sao_paulo = { 2, at_sao_paulo, offset_sao_paulo };

static const int64_t at_st_johns[] = { INT64_C(321852660000000), INT64_C(342412260000000) };
static const int32_t offset_st_johns[] = { -12600, -9000, -12600 };
const CalZone zone_st_johns = { 2, at_st_johns, offset_st_johns };

static const int64_t at_havana[] = { INT64_C(605509200000000), INT64_C(626072400000000) };
static const int32_t offset_havana[] = { -18000, -14400, -18000 };
const CalZone zone_havana = { 2, at_havana, offset_havana };

static const int64_t at_apia[] = { INT64_C(378554400000000) };
static const int32_t offset_apia[] = { -36000, 50400 };
const CalZone zone_apia = { 1, at_apia, offset_apia };

static const int64_t at_toronto[] = { INT64_C(-2548438200000000) };
static const int32_t offset_toronto[] = { -18000, -14400 };
const CalZone zone_toronto = { 1, at_toronto, offset_toronto };

int64_t
at(int year, int month, int day, int hour, int minute, int offset_s)
{
	return (int64_t) cal_day(year, month, day) * CAL_DAY_US + hour * HOUR_US + minute * MINUTE_US -
		   offset_s * USECS_PER_SECOND;
}

static Doc *
quoted(const char *json)
{
	char error[200];
	char *text = core_alloc(strlen(json) + 1);
	Doc *doc;

	for (size_t i = 0; json[i]; i++)
		text[i] = json[i] == '\'' ? '"' : json[i];
	doc = doc_from_json(text, error, sizeof(error));
	if (doc == NULL)
		fail_msg("%s: %s", error, text);
	core_free(text);
	return doc;
}

Tariff *
tariff(const char *json)
{
	Doc *doc = quoted(json);
	DocFault fault;
	Tariff *loaded = tariff_load(doc, &fault);

	if (loaded == NULL)
		fail_msg("%s: %s (%s)", fault.path, fault.what, json);
	doc_free(doc);
	return loaded;
}

const DocFault *
refused(const char *json)
{
	static DocFault fault;
	Doc *doc = quoted(json);

	memset(&fault, 0, sizeof(fault));
	if (tariff_load(doc, &fault) != NULL)
		fail_msg("accepted: %s", json);
	doc_free(doc);
	return &fault;
}

void
account_open(Account *account, const CalZone *zone, const Tariff *tariff)
{
	memset(account, 0, sizeof(*account));
	account->zone = zone;
	account->n_span = 1;
	account->span[0].from = -FOREVER_US;
	account->span[0].to = FOREVER_US;
	account->span[0].tariff_id = 1;
	account->span[0].version = 1;
	account->span[0].tariff = tariff;
}

void
account_extend(Account *account, int64_t wh_per_month)
{
	account->extra_step = (TariffExtraStep){ INT32_MIN, wh_per_month };
	account->extra = (TariffExtra){ 1, &account->extra_step };
}

void
account_close(Account *account)
{
	free(account->pieces.item);
	free(account->positions.item);
	free(account->lines.item);
}

void
account_add(Account *account, int meter, int64_t from, int64_t to, int64_t wh)
{
	int64_t lacking;

	assert_int_equal(RATE_OK, rate_split(account->zone, account->span, account->n_span, meter, from,
										 to, wh, false, &account->pieces, &lacking));
}

void
account_walk(Account *account)
{
	rate_sort(&account->pieces);
	assert_int_equal(RATE_OK, rate_walk(account->pieces.item, account->pieces.n, &account->extra,
										&account->positions, &account->lines, NULL, NULL));
	account->pieces.n = 0;
}

void
account_use(Account *account, int64_t from, int64_t to, int64_t wh)
{
	account_add(account, 1, from, to, wh);
	account_walk(account);
}

int64_t
account_wh(const Account *account, int period, int tier)
{
	int64_t wh = 0;

	for (int i = 0; i < account->lines.n; i++)
	{
		const RateLine *line = &account->lines.item[i];

		if ((period < 0 || line->period == period) && (tier < 0 || line->tier == tier))
			wh += line->wh;
	}
	return wh;
}

Exact
bill_sum(const BillVec *bill)
{
	Exact sum = 0;

	for (int i = 0; i < bill->n; i++)
		assert_true(exact_add(sum, bill->item[i].amount, &sum));
	return sum;
}

const char *
account_cost(const Account *account)
{
	BillVec bill = { 0 };
	Exact sum;
	Exact cost;

	assert_int_equal(
		RATE_OK, rate_bill(account->lines.item, account->lines.n, &account->extra, NULL, &bill));
	sum = bill_sum(&bill);
	if (rate_cost(account->lines.item, account->lines.n, &cost))
		assert_true(cost == sum);
	free(bill.item);
	return text_of(sum);
}

Exact
exact(const char *text)
{
	Exact amount;

	assert_true(exact_parse(text, &amount));
	return amount;
}

const char *
text_of(Exact amount)
{
	static char text[4][EXACT_TEXT_MAX];
	static int next;

	next = (next + 1) % 4;
	exact_format(amount, text[next]);
	return text[next];
}

static uint64_t random_state = 1;

void
random_seed(uint64_t seed)
{
	random_state = seed | 1;
}

uint64_t
random_next(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state * UINT64_C(0x9E3779B97F4A7C15) >> 8;
}

int64_t
random_between(int64_t low, int64_t high)
{
	return low + (int64_t) (random_next() % (uint64_t) (high - low + 1));
}
