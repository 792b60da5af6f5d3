/*
 * test_split.c: sharing the energy of an interval among the parts of its time.
 */
#include "fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_NIGHT                                                             \
	"{'periods': ['night', 'day'], 'prices': {'night': 0.288, 'day': 0.568}," \
	" 'schedule': [{'slots': [['00:00', 'night'], ['08:00', 'day'], ['22:00', 'night']]}]}"
#define MORNING                                                     \
	"{'periods': ['off', 'rest'], 'prices': {'off': 1, 'rest': 2}," \
	" 'schedule': [{'slots': [['00:00', 'off'], ['06:00', 'rest']]}]}"

static void
assert_piece(const Account *account, int index, int64_t from, int64_t to, int64_t wh, int period)
{
	const RatePiece *piece = &account->pieces.item[index];

	assert_true(index < account->pieces.n);
	assert_int_equal(from, piece->from);
	assert_int_equal(to, piece->to);
	assert_int_equal(wh, piece->wh);
	assert_int_equal(period, piece->period);
}

static void
slot_edges_are_half_open(void **state)
{
	Tariff *t = tariff(DAY_NIGHT);
	const int64_t edge = at(2023, 5, 10, 8, 0, 0);
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_add(&account, 1, edge - MINUTE_US, edge, 100);
	account_add(&account, 1, edge, edge + MINUTE_US, 100);
	account_add(&account, 1, edge - 1, edge + 1, 3);
	account_add(&account, 1, edge - USECS_PER_SECOND, edge + USECS_PER_SECOND, 3);
	account_add(&account, 1, edge - 1, edge, 1);
	account_add(&account, 1, edge, edge + 1, 1);
	assert_int_equal(8, account.pieces.n);
	assert_piece(&account, 0, edge - MINUTE_US, edge, 100, 0);
	assert_piece(&account, 1, edge, edge + MINUTE_US, 100, 1);
	/* A tie goes to the earlier part. */
	assert_piece(&account, 2, edge - 1, edge, 2, 0);
	assert_piece(&account, 3, edge, edge + 1, 1, 1);
	assert_piece(&account, 4, edge - USECS_PER_SECOND, edge, 2, 0);
	assert_piece(&account, 5, edge, edge + USECS_PER_SECOND, 1, 1);
	assert_piece(&account, 6, edge - 1, edge, 1, 0);
	assert_piece(&account, 7, edge, edge + 1, 1, 1);
	account_close(&account);
	tariff_free(t);
}

static void
midnight_divides_days(void **state)
{
	Tariff *t = tariff("{'prices': 1}");
	const int64_t midnight = at(2023, 5, 10, 0, 0, 28800);
	Account account;

	(void) state;
	account_open(&account, &zone_shanghai, t);
	account_add(&account, 1, midnight - HOUR_US, midnight + 2 * HOUR_US, 300);
	assert_int_equal(2, account.pieces.n);
	assert_piece(&account, 0, midnight - HOUR_US, midnight, 100, 0);
	assert_piece(&account, 1, midnight, midnight + 2 * HOUR_US, 200, 0);
	assert_int_equal(cal_day(2023, 5, 9), account.pieces.item[0].day);
	assert_int_equal(cal_day(2023, 5, 10), account.pieces.item[1].day);
	account_close(&account);
	tariff_free(t);
}

/* Two seconds of 1 Wh a microsecond about an edge: it is cut there, wherever they begin. */
static void
assert_edge(const char *what, const CalZone *zone, const RateSpan *span, int n_span, int64_t edge)
{
	static const int64_t shift[] = { -USECS_PER_SECOND, -1, 0, 1, USECS_PER_SECOND };

	for (size_t i = 0; i < sizeof(shift) / sizeof(*shift); i++)
	{
		const int64_t from = edge + shift[i] - USECS_PER_SECOND;
		const int64_t to = edge + shift[i] + USECS_PER_SECOND;
		RatePieceVec pieces = { 0 };
		int64_t lacking;

		assert_int_equal(RATE_OK, rate_split(zone, span, n_span, 1, from, to, to - from, true,
											 &pieces, &lacking));
		if (from == edge || to == edge)
			assert_int_equal(1, pieces.n);
		else if (pieces.n != 2 || pieces.item[0].to != edge || pieces.item[1].from != edge ||
				 pieces.item[0].wh != edge - from || pieces.item[1].wh != to - edge)
			fail_msg("%s, %+lld us: %d pieces", what, (long long) shift[i], pieces.n);
		assert_int_equal(from, pieces.item[0].from);
		assert_int_equal(to, pieces.item[pieces.n - 1].to);
		free(pieces.item);
	}
}

static void
every_edge_to_the_microsecond(void **state)
{
	static const char *const holiday[] = { "holiday" };
	const int32_t off = cal_day(2019, 5, 15);
	Tariff *t =
		tariff("{'periods': ['a', 'b', 'c', 'd'], 'calendar': 'X',"
			   " 'day_types': [{'name': 'weekend', 'days': [6, 7]}],"
			   " 'seasons': [{'name': 's', 'from': '07-02', 'to': '10-30'},"
			   " {'name': 'w', 'from': '10-30', 'to': '07-02'}], 'schedule': ["
			   " {'slots': [['00:00', 'a'], ['01:30', 'b'], ['02:30', 'a'], ['23:59', 'b']]},"
			   " {'season': 's', 'slots': [['00:00', 'c']]},"
			   " {'day_type': 'weekend', 'slots': [['00:00', 'd'], ['23:59', 'b']]},"
			   " {'day_type': 'holiday', 'slots': [['00:00', 'd'], ['23:59', 'b']]}],"
			   " 'tiers': {'anchor': '17', 'upto': [1]}, 'prices': {'a': [1, 2],"
			   " 'b': [1, 2], 'c': [1, 2], 'd': [1, 2]}}");
	Account account;

	(void) state;
	tariff_set_calendar(t, 1, &off, holiday);
	account_open(&account, &zone_los_angeles, t);
#define EDGE(what, ...) \
	assert_edge(what, account.zone, account.span, account.n_span, at(__VA_ARGS__))
	EDGE("slot", 2019, 5, 14, 1, 30, -25200);
	EDGE("last minute", 2019, 5, 14, 23, 59, -25200);
	EDGE("midnight", 2019, 5, 14, 0, 0, -25200);
	EDGE("holiday", 2019, 5, 15, 0, 0, -25200);
	EDGE("accumulation", 2019, 5, 17, 0, 0, -25200);
	EDGE("weekend", 2019, 5, 18, 0, 0, -25200);
	EDGE("week", 2019, 5, 20, 0, 0, -25200);
	EDGE("season", 2019, 7, 2, 0, 0, -25200);
	EDGE("end of season", 2019, 10, 30, 0, 0, -25200);
	/* Monday 11 March has none; Tuesday 12 November has both. */
	EDGE("slot in summer time", 2019, 3, 11, 2, 30, -25200);
	EDGE("slot in winter time", 2019, 11, 12, 2, 30, -28800);
	account.zone = &zone_sao_paulo;
	EDGE("skipped midnight", 2018, 11, 4, 0, 0, -10800);
	/* 23:59 comes twice, 23:00 after the first time. */
	EDGE("last minute, first time", 2019, 2, 16, 23, 59, -7200);
	EDGE("clocks go back", 2019, 2, 16, 23, 0, -10800);
	EDGE("end of 25 hours", 2019, 2, 17, 0, 0, -10800);
	account.zone = &zone_los_angeles;
	account.span[1] = account.span[0];
	account.span[1].version = 2;
	account.span[0].to = account.span[1].from = at(2019, 5, 14, 13, 7, -25200) + 123457;
	account.n_span = 2;
	assert_edge("version", account.zone, account.span, 2, account.span[1].from);
	account_close(&account);
	tariff_free(t);
}

static void
no_energy_gives_no_piece(void **state)
{
	Tariff *t = tariff(DAY_NIGHT);
	const int64_t midnight = at(2023, 5, 10, 0, 0, 0);
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	account_add(&account, 1, midnight, midnight + CAL_DAY_US, 0);
	assert_int_equal(0, account.pieces.n);
	/* One Wh over a day of 14 hours in the middle: that part has the largest remainder. */
	account_add(&account, 1, midnight, midnight + CAL_DAY_US, 1);
	assert_int_equal(1, account.pieces.n);
	assert_piece(&account, 0, midnight + 8 * HOUR_US, midnight + 22 * HOUR_US, 1, 1);
	account_close(&account);
	tariff_free(t);
}

static void
largest_remainders_take_the_rest(void **state)
{
	Tariff *t = tariff(DAY_NIGHT);
	const int64_t midnight = at(2023, 5, 10, 0, 0, 0);
	Account account;

	(void) state;
	account_open(&account, &zone_utc, t);
	/* 8 : 14 : 2 of 10 Wh are 3.33, 5.83, 0.83: the two Wh left go to the last two. */
	account_add(&account, 1, midnight, midnight + CAL_DAY_US, 10);
	assert_int_equal(3, account.pieces.item[0].wh);
	assert_int_equal(6, account.pieces.item[1].wh);
	assert_int_equal(1, account.pieces.item[2].wh);
	account.pieces.n = 0;
	/* Largest Wh that can be: 128 bits inside. */
	account_add(&account, 1, midnight, midnight + CAL_DAY_US, INT64_MAX);
	assert_int_equal(INT64_C(3074457345618258602), account.pieces.item[0].wh);
	assert_int_equal(INT64_C(5380300354831952554), account.pieces.item[1].wh);
	assert_int_equal(INT64_C(768614336404564651), account.pieces.item[2].wh);
	account_close(&account);
	tariff_free(t);
}

static void
load_each_hour(Account *account, int64_t from, int64_t to)
{
	for (; from < to; from += HOUR_US)
		account_add(account, 1, from, from + HOUR_US, 1000);
	account_walk(account);
}

static void
shares_by_any_weight(void **state)
{
	static const int64_t none[] = { 0, 0 };
	int64_t share[8];

	(void) state;
	assert_false(rate_share(5, none, 2, share));
	for (int round = 0; round < 2000; round++)
	{
		const int64_t whole = random_between(0, round % 2 ? 50 : INT64_MAX - 1);
		const int n = (int) random_between(1, 8);
		int64_t weight[8];
		int64_t rest = whole;
		__int128 total = 0;

		for (int i = 0; i < n; i++)
			total += weight[i] = random_between(0, 3) == 0 ? i == 0 : random_between(1, 1000);
		if (total == 0)
			continue;
		assert_true(rate_share(whole, weight, n, share));
		for (int i = 0; i < n; i++)
		{
			const int64_t floor = (int64_t) ((__int128) whole * weight[i] / total);
			const __int128 remainder = (__int128) whole * weight[i] % total;

			assert_true(share[i] == floor || (share[i] == floor + 1 && remainder > 0));
			rest -= share[i];
			/* Whoever was rounded down has no larger remainder than one before or after it. */
			for (int k = 0; k < n; k++)
				if (share[i] == floor &&
					share[k] > (int64_t) ((__int128) whole * weight[k] / total))
					assert_true(k < i ? remainder <= (__int128) whole * weight[k] % total
									  : remainder < (__int128) whole * weight[k] % total);
		}
		assert_int_equal(0, rest);
	}
}

static void
daylight_saving_days(void **state)
{
	Tariff *t = tariff(MORNING);
	Account spring;
	Account autumn;

	(void) state;
	account_open(&spring, &zone_los_angeles, t);
	load_each_hour(&spring, at(2019, 3, 10, 0, 0, -28800), at(2019, 3, 11, 0, 0, -25200));
	assert_int_equal(5000, account_wh(&spring, 0, -1));
	assert_int_equal(18000, account_wh(&spring, 1, -1));
	account_close(&spring);

	account_open(&autumn, &zone_los_angeles, t);
	load_each_hour(&autumn, at(2019, 11, 3, 0, 0, -25200), at(2019, 11, 4, 0, 0, -28800));
	assert_int_equal(7000, account_wh(&autumn, 0, -1));
	assert_int_equal(18000, account_wh(&autumn, 1, -1));
	account_close(&autumn);

	/* The same in one interval. */
	account_open(&autumn, &zone_los_angeles, t);
	account_use(&autumn, at(2019, 11, 3, 0, 0, -25200), at(2019, 11, 4, 0, 0, -28800), 25000);
	assert_int_equal(2, autumn.lines.n);
	assert_int_equal(7000, account_wh(&autumn, 0, -1));
	account_close(&autumn);
	tariff_free(t);
}

/* Slot edges at 01:30 and 02:30 on the days the clock moves. */
static void
edges_in_moved_hours(void **state)
{
	Tariff *t =
		tariff("{'periods': ['a', 'b', 'c'], 'prices': {'a': 1, 'b': 2, 'c': 3},"
			   " 'schedule': [{'slots': [['00:00', 'a'], ['01:30', 'b'], ['02:30', 'c']]}]}");
	const int64_t spring = at(2019, 3, 10, 2, 0, -28800);
	const int64_t autumn = at(2019, 11, 3, 2, 0, -25200);
	Account account;

	(void) state;
	account_open(&account, &zone_los_angeles, t);
	/* 02:30 does not exist: c begins when the hour has been skipped. */
	account_add(&account, 1, spring - HOUR_US, spring + HOUR_US, 7200);
	assert_int_equal(3, account.pieces.n);
	assert_piece(&account, 0, spring - HOUR_US, spring - HOUR_US / 2, 1800, 0);
	assert_piece(&account, 1, spring - HOUR_US / 2, spring, 1800, 1);
	assert_piece(&account, 2, spring, spring + HOUR_US, 3600, 2);
	account.pieces.n = 0;
	/* 01:00 to 02:00 is lived twice, each time with a and b. */
	account_add(&account, 1, autumn - HOUR_US, autumn + 2 * HOUR_US, 10800);
	assert_int_equal(5, account.pieces.n);
	assert_piece(&account, 0, autumn - HOUR_US, autumn - HOUR_US / 2, 1800, 0);
	assert_piece(&account, 1, autumn - HOUR_US / 2, autumn, 1800, 1);
	assert_piece(&account, 2, autumn, autumn + HOUR_US / 2, 1800, 0);
	assert_piece(&account, 3, autumn + HOUR_US / 2, autumn + HOUR_US * 3 / 2, 3600, 1);
	assert_piece(&account, 4, autumn + HOUR_US * 3 / 2, autumn + 2 * HOUR_US, 1800, 2);
	account_close(&account);
	tariff_free(t);
}

static void
clock_changes_at_midnight(void **state)
{
	Tariff *t = tariff(MORNING);
	const int64_t spring = at(2018, 11, 4, 1, 0, -7200);
	const int64_t autumn = at(2019, 2, 17, 0, 0, -10800);
	const int64_t over = at(2010, 11, 7, 0, 1, -9000);
	Account account;

	(void) state;
	account_open(&account, &zone_sao_paulo, t);
	account_add(&account, 1, spring - HOUR_US, spring + 6 * HOUR_US, 7000);
	assert_int_equal(3, account.pieces.n);
	assert_piece(&account, 0, spring - HOUR_US, spring, 1000, 1);
	/* The day begins at 01:00: five hours until 06:00. */
	assert_piece(&account, 1, spring, spring + 5 * HOUR_US, 5000, 0);
	assert_int_equal(cal_day(2018, 11, 4), account.pieces.item[1].day);
	account.pieces.n = 0;
	account_add(&account, 1, autumn - 2 * HOUR_US, autumn + HOUR_US, 3000);
	assert_int_equal(2, account.pieces.n);
	assert_piece(&account, 0, autumn - 2 * HOUR_US, autumn, 2000, 1);
	assert_int_equal(cal_day(2019, 2, 16), account.pieces.item[0].day);
	account_close(&account);

	/* A minute of the 7th, an hour of the 6th again, then the 7th. */
	account_open(&account, &zone_st_johns, t);
	account_add(&account, 1, over - 2 * MINUTE_US, over + 60 * MINUTE_US, 62);
	assert_int_equal(4, account.pieces.n);
	assert_piece(&account, 0, over - 2 * MINUTE_US, over - MINUTE_US, 1, 1);
	assert_piece(&account, 1, over - MINUTE_US, over, 1, 0);
	assert_int_equal(cal_day(2010, 11, 7), account.pieces.item[1].day);
	assert_piece(&account, 2, over, over + 59 * MINUTE_US, 59, 1);
	assert_int_equal(cal_day(2010, 11, 6), account.pieces.item[2].day);
	assert_piece(&account, 3, over + 59 * MINUTE_US, over + 60 * MINUTE_US, 1, 0);
	account_walk(&account);
	assert_int_equal(2, account.lines.n);
	account_close(&account);

	/* Apia went from the 29th to the 31st. */
	account_open(&account, &zone_apia, t);
	account_add(&account, 1, at(2011, 12, 29, 23, 0, -36000), at(2011, 12, 31, 1, 0, 50400), 2000);
	assert_int_equal(2, account.pieces.n);
	assert_int_equal(cal_day(2011, 12, 29), account.pieces.item[0].day);
	assert_int_equal(cal_day(2011, 12, 31), account.pieces.item[1].day);
	account_close(&account);
	tariff_free(t);
}

static void
version_switch(void **state)
{
	Tariff *old = tariff("{'prices': 0.5}");
	Tariff *new = tariff("{'prices': 0.6}");
	const int64_t change = at(2026, 6, 1, 0, 0, 28800) + 1;
	Account account;

	(void) state;
	account_open(&account, &zone_shanghai, old);
	account.span[1] = account.span[0];
	account.span[0].to = account.span[1].from = change;
	account.span[1].version = 2;
	account.span[1].tariff = new;
	account.n_span = 2;
	account_add(&account, 1, change - 10, change + 10, 20);
	assert_int_equal(3, account.pieces.n);
	assert_piece(&account, 0, change - 10, change - 1, 9, 0);
	assert_piece(&account, 1, change - 1, change, 1, 0);
	assert_piece(&account, 2, change, change + 10, 10, 0);
	assert_int_equal(1, account.pieces.item[1].version);
	assert_int_equal(2, account.pieces.item[2].version);
	assert_ptr_equal(new, account.pieces.item[2].tariff);
	account_close(&account);
	tariff_free(old);
	tariff_free(new);
}

static void
lacking_tariff(void **state)
{
	Tariff *t = tariff("{'prices': 0.5}");
	RateSpan span[3] = { { 100, 200, 1, 1, t }, { 200, 300, 1, 2, NULL }, { 300, 400, 1, 3, t } };
	RatePieceVec pieces = { 0 };
	int64_t lacking = 7;

	(void) state;
	assert_int_equal(RATE_OK,
					 rate_split(&zone_utc, span, 3, 1, 100, 200, 5, false, &pieces, &lacking));
	assert_int_equal(1, pieces.n);
	assert_int_equal(RATE_NO_TARIFF,
					 rate_split(&zone_utc, span, 3, 1, 100, 201, 5, false, &pieces, &lacking));
	assert_int_equal(200, lacking);
	assert_int_equal(RATE_NO_TARIFF,
					 rate_split(&zone_utc, span, 3, 1, 250, 400, 5, false, &pieces, &lacking));
	assert_int_equal(250, lacking);
	assert_int_equal(RATE_NO_TARIFF,
					 rate_split(&zone_utc, span, 3, 1, 99, 150, 5, false, &pieces, &lacking));
	assert_int_equal(99, lacking);
	assert_int_equal(RATE_NO_TARIFF,
					 rate_split(&zone_utc, span, 3, 1, 350, 401, 5, false, &pieces, &lacking));
	assert_int_equal(400, lacking);
	assert_int_equal(RATE_NO_TARIFF,
					 rate_split(&zone_utc, span, 0, 1, 350, 401, 0, false, &pieces, &lacking));
	assert_int_equal(350, lacking);
	assert_int_equal(1, pieces.n);
	free(pieces.item);
	tariff_free(t);
}

static void
endless_intervals_are_refused(void **state)
{
	Tariff *t = tariff(DAY_NIGHT);
	RateSpan span = { INT64_MIN, INT64_MAX, 1, 1, t };
	RatePieceVec pieces = { 0 };
	int64_t lacking;

	(void) state;
	assert_int_equal(RATE_OVERFLOW,
					 rate_split(&zone_utc, &span, 1, 1, -211813488000000000,
								INT64_C(9223371331199999999), 5, false, &pieces, &lacking));
	assert_int_equal(RATE_OVERFLOW,
					 rate_split(&zone_utc, &span, 1, 1, 0, CAL_DAY_US * RATE_MAX_PARTS, 5, false,
								&pieces, &lacking));
	/* Three parts a day. */
	assert_int_equal(RATE_OVERFLOW,
					 rate_split(&zone_utc, &span, 1, 1, 0, CAL_DAY_US * (RATE_MAX_PARTS / 3 + 1), 5,
								false, &pieces, &lacking));
	assert_int_equal(0, pieces.n);
	assert_int_equal(RATE_OK,
					 rate_split(&zone_utc, &span, 1, 1, 0, CAL_DAY_US * (RATE_MAX_PARTS / 3),
								INT64_C(10000000), false, &pieces, &lacking));
	assert_int_equal(RATE_MAX_PARTS / 3 * 3, pieces.n);
	free(pieces.item);
	tariff_free(t);
}

static void
estimated_only_when_shared(void **state)
{
	Tariff *t = tariff(DAY_NIGHT);
	RateSpan span = { INT64_MIN, INT64_MAX, 1, 1, t };
	const int64_t edge = at(2023, 5, 10, 8, 0, 0);
	RatePieceVec pieces = { 0 };
	int64_t lacking;

	(void) state;
	rate_split(&zone_utc, &span, 1, 1, edge, edge + HOUR_US, 5, true, &pieces, &lacking);
	assert_false(pieces.item[0].estimated);
	rate_split(&zone_utc, &span, 1, 1, edge - HOUR_US, edge + HOUR_US, 6, true, &pieces, &lacking);
	assert_true(pieces.item[1].estimated && pieces.item[2].estimated);
	/* Shared as well when one of the parts then has nothing. */
	rate_split(&zone_utc, &span, 1, 1, edge - HOUR_US, edge + HOUR_US, 1, true, &pieces, &lacking);
	assert_int_equal(4, pieces.n);
	assert_true(pieces.item[3].estimated);
	rate_split(&zone_utc, &span, 1, 1, edge - HOUR_US, edge + HOUR_US, 6, false, &pieces, &lacking);
	assert_false(pieces.item[4].estimated || pieces.item[5].estimated);
	rate_split(&zone_utc, &span, 1, 1, edge, edge + HOUR_US, 5, true, &pieces, &lacking);
	assert_int_equal(7, pieces.n);
	assert_false(pieces.item[6].estimated);
	free(pieces.item);
	tariff_free(t);
}

static void
registers_decide_the_split(void **state)
{
	Tariff *t = tariff(DAY_NIGHT);
	RateSpan span = { INT64_MIN, INT64_MAX, 1, 1, t };
	const int64_t midnight = at(2023, 5, 10, 0, 0, 0);
	const int64_t day_and_night[2] = { 30, 70 };
	const int64_t night_only[2] = { 100, 0 };
	Account account;
	int64_t lacking;

	(void) state;
	account_open(&account, &zone_utc, t);
	/* 24 h: night 8 + 2 hours, day 14. */
	rate_split_periods(&zone_utc, &span, 1, 1, midnight, midnight + CAL_DAY_US, day_and_night, true,
					   &account.pieces, &lacking);
	assert_int_equal(3, account.pieces.n);
	assert_piece(&account, 0, midnight, midnight + 8 * HOUR_US, 24, 0);
	assert_piece(&account, 1, midnight + 8 * HOUR_US, midnight + 22 * HOUR_US, 70, 1);
	assert_piece(&account, 2, midnight + 22 * HOUR_US, midnight + CAL_DAY_US, 6, 0);
	assert_true(account.pieces.item[0].estimated);
	assert_false(account.pieces.item[1].estimated);
	account.pieces.n = 0;

	/* The meter says night, our clock says day: keep its period, at the nearer end. */
	rate_split_periods(&zone_utc, &span, 1, 1, midnight + 9 * HOUR_US, midnight + 10 * HOUR_US,
					   night_only, true, &account.pieces, &lacking);
	assert_int_equal(1, account.pieces.n);
	assert_piece(&account, 0, midnight + 9 * HOUR_US, midnight + 10 * HOUR_US, 100, 0);
	account.pieces.n = 0;
	rate_split_periods(&zone_utc, &span, 1, 1, midnight + 6 * HOUR_US, midnight + 7 * HOUR_US,
					   day_and_night, true, &account.pieces, &lacking);
	assert_int_equal(2, account.pieces.n);
	assert_piece(&account, 0, midnight + 6 * HOUR_US, midnight + 7 * HOUR_US, 30, 0);
	assert_piece(&account, 1, midnight + 6 * HOUR_US, midnight + 7 * HOUR_US, 70, 1);
	account_close(&account);
	tariff_free(t);
}

/* c is in force from 18:00 to 24:00; the intervals lie in a and b. */
static void
energy_of_an_absent_period_goes_to_the_nearer_end(void **state)
{
	Tariff *t = tariff(
		"{'periods': ['a', 'b', 'c', 'never'], 'prices': {'a': 1, 'b': 2, 'c': 3, 'never': 4},"
		" 'schedule': [{'slots': [['00:00', 'a'], ['06:00', 'b'], ['18:00', 'c']]}]}");
	RateSpan span = { INT64_MIN, INT64_MAX, 1, 1, t };
	const int64_t midnight = at(2023, 5, 10, 0, 0, 0);
	static const int64_t c[4] = { 0, 0, 100, 0 };
	static const int64_t never[4] = { 0, 0, 0, 100 };
	Account account;
	int64_t lacking;

	(void) state;
	account_open(&account, &zone_utc, t);
	/* c ends 5 h 30 before and begins 4 h 30 after: the end is nearer. */
	rate_split_periods(&zone_utc, &span, 1, 1, midnight + 11 * HOUR_US / 2,
					   midnight + 27 * HOUR_US / 2, c, false, &account.pieces, &lacking);
	assert_int_equal(1, account.pieces.n);
	assert_piece(&account, 0, midnight + 6 * HOUR_US, midnight + 27 * HOUR_US / 2, 100, 2);
	account.pieces.n = 0;
	/* 4 h before and 6 h after: the beginning is. */
	rate_split_periods(&zone_utc, &span, 1, 1, midnight + 4 * HOUR_US, midnight + 12 * HOUR_US, c,
					   false, &account.pieces, &lacking);
	assert_piece(&account, 0, midnight + 4 * HOUR_US, midnight + 6 * HOUR_US, 100, 2);
	account.pieces.n = 0;
	/* 5 h both ways: the earlier. */
	rate_split_periods(&zone_utc, &span, 1, 1, midnight + 5 * HOUR_US, midnight + 13 * HOUR_US, c,
					   false, &account.pieces, &lacking);
	assert_piece(&account, 0, midnight + 5 * HOUR_US, midnight + 6 * HOUR_US, 100, 2);
	account.pieces.n = 0;
	rate_split_periods(&zone_utc, &span, 1, 1, midnight + 5 * HOUR_US, midnight + 13 * HOUR_US,
					   never, false, &account.pieces, &lacking);
	assert_piece(&account, 0, midnight + 5 * HOUR_US, midnight + 6 * HOUR_US, 100, 3);
	account_close(&account);
	tariff_free(t);
}

/* Over a version switch the registers are those of the first version, matched by name. */
static void
registers_over_a_version_switch(void **state)
{
	Tariff *old = tariff(DAY_NIGHT);
	Tariff *new = tariff(
		"{'periods': ['day', 'night'], 'prices': {'night': 0.3, 'day': 0.6},"
		" 'schedule': [{'slots': [['00:00', 'night'], ['08:00', 'day'], ['22:00', 'night']]}]}");
	const int64_t change = at(2023, 5, 10, 10, 0, 0);
	RateSpan span[2] = { { INT64_MIN, change, 1, 1, old }, { change, INT64_MAX, 1, 2, new } };
	const int64_t wh[2] = { 40, 60 };
	Account account;
	int64_t lacking;

	(void) state;
	account_open(&account, &zone_utc, old);
	rate_split_periods(&zone_utc, span, 2, 1, change - 4 * HOUR_US, change + 4 * HOUR_US, wh, false,
					   &account.pieces, &lacking);
	assert_int_equal(3, account.pieces.n);
	assert_piece(&account, 0, change - 4 * HOUR_US, change - 2 * HOUR_US, 40, 0);
	assert_piece(&account, 1, change - 2 * HOUR_US, change, 20, 1);
	assert_piece(&account, 2, change, change + 4 * HOUR_US, 40, 0);
	account_close(&account);
	tariff_free(old);
	tariff_free(new);
}

static void
parts_sum_to_the_whole(void **state)
{
	Tariff *t =
		tariff("{'periods': ['a', 'b', 'c'], 'prices': {'a': 1, 'b': 2, 'c': 3},"
			   " 'day_types': [{'name': 'w', 'days': [6, 7]}],"
			   " 'schedule': [{'day_type': 'w', 'slots': [['00:00', 'c'], ['02:30', 'a']]},"
			   " {'slots': [['00:00', 'a'], ['01:30', 'b'], ['02:30', 'c'], ['17:07', 'a']]}]}");
	static const CalZone *const zones[] = { &zone_shanghai, &zone_los_angeles, &zone_st_johns,
											&zone_sao_paulo };

	(void) state;
	for (int i = 0; i < 20000; i++)
	{
		int64_t from = at(2019, 1, 1, 0, 0, 0) + random_between(0, 400 * CAL_DAY_US);
		int64_t to =
			from + random_between(1, random_between(0, 9) ? 2 * CAL_DAY_US : 40 * CAL_DAY_US);
		int64_t wh = random_between(0, random_between(0, 1) ? 20 : 5000000);
		int64_t length = to - from;
		int64_t sum = 0;
		Account account;

		account_open(&account, zones[i % 4], t);
		account_add(&account, 1, from, to, wh);
		for (int p = 0; p < account.pieces.n; p++)
		{
			const RatePiece *piece = &account.pieces.item[p];
			__int128 share = (__int128) wh * (piece->to - piece->from);

			assert_true(piece->wh > 0);
			assert_true(piece->from >= from && piece->to <= to && piece->from < piece->to);
			assert_true(p == 0 || piece->from >= piece[-1].to);
			/* Within one Wh of the exact share. */
			assert_true(((__int128) piece->wh - 1) * length < share);
			assert_true(((__int128) piece->wh + 1) * length > share);
			sum += piece->wh;
		}
		assert_int_equal(wh, sum);
		account_close(&account);
	}
	tariff_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slot_edges_are_half_open),
		cmocka_unit_test(midnight_divides_days),
		cmocka_unit_test(every_edge_to_the_microsecond),
		cmocka_unit_test(no_energy_gives_no_piece),
		cmocka_unit_test(largest_remainders_take_the_rest),
		cmocka_unit_test(shares_by_any_weight),
		cmocka_unit_test(daylight_saving_days),
		cmocka_unit_test(edges_in_moved_hours),
		cmocka_unit_test(clock_changes_at_midnight),
		cmocka_unit_test(version_switch),
		cmocka_unit_test(lacking_tariff),
		cmocka_unit_test(endless_intervals_are_refused),
		cmocka_unit_test(estimated_only_when_shared),
		cmocka_unit_test(registers_decide_the_split),
		cmocka_unit_test(energy_of_an_absent_period_goes_to_the_nearer_end),
		cmocka_unit_test(registers_over_a_version_switch),
		cmocka_unit_test(parts_sum_to_the_whole),
	};

	random_seed(800815);
	return cmocka_run_group_tests_name("split", tests, NULL, NULL);
}
