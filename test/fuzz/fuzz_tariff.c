/*
 * fuzz_tariff.c: any text as a tariff definition; what is accepted must rate any interval.
 *
 * The input is the definition up to the first NUL byte; the bytes after it
 * choose the intervals.
 */
#include "doc_json.h"
#include "rate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_INTERVALS 12
#define FIRST_US (INT64_C(6900) * CAL_DAY_US) /* November 2018 */

#define CHECK(condition)                                                    \
	do                                                                      \
	{                                                                       \
		if (!(condition))                                                   \
		{                                                                   \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort();                                                        \
		}                                                                   \
	} while (0)

/* Clock changes at 02:00, at midnight and over midnight; a skipped day. */
static const int64_t at[] = { INT64_C(605527200000000), INT64_C(626086800000000),
							  INT64_C(636940800000000), INT64_C(657417600000000),
							  INT64_C(667417600000000) };
static const int32_t offset_s[] = { -28800, -25200, -28800, -25200, -28800, 57600 };
static const CalZone zone = { 5, at, offset_s };

typedef struct Source
{
	const uint8_t *p;
	size_t left;
} Source;

static uint64_t
take(Source *source, int bytes)
{
	uint64_t value = 0;

	for (; bytes > 0 && source->left > 0; bytes--, source->left--)
		value = value << 8 | *source->p++;
	return value;
}

static void
check_text(const char *text)
{
	for (const unsigned char *p = (const unsigned char *) text; *p;)
	{
		int follow = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;

		CHECK(*p < 0x80 || *p >= 0xC0);
		for (p++; follow > 0; follow--, p++)
			CHECK((*p & 0xC0) == 0x80);
	}
}

static void
check_days(const Tariff *tariff)
{
	for (int32_t day = 8700; day < 8700 + 800; day++)
	{
		const TariffRow *row = tariff_row(tariff, day);
		int season = tariff_season(tariff, day);
		int64_t bound[TARIFF_MAX_TIERS];
		int32_t start;
		int32_t end;

		CHECK(season >= 0 && season < tariff->n_season);
		CHECK(row->n > 0 && row->slot[0].minute == 0);
		for (int i = 0; i < row->n; i++)
		{
			CHECK(row->slot[i].period >= 0 && row->slot[i].period < tariff->n_period);
			CHECK(i == 0 || row->slot[i].minute > row->slot[i - 1].minute);
			CHECK(i == 0 || row->slot[i].period != row->slot[i - 1].period);
		}
		tariff_accumulation(tariff, day, &start, &end);
		CHECK(start <= day && day < end);
		CHECK(tariff_bounds(tariff, season, start, end, day, NULL, bound));
		for (int i = 0; i < tariff->n_tier - 1; i++)
			CHECK(bound[i] > (i > 0 ? bound[i - 1] : 0));
	}
}

static int64_t
line_wh(const RateLineVec *lines)
{
	int64_t wh = 0;

	for (int i = 0; i < lines->n; i++)
	{
		CHECK(lines->item[i].estimated_wh <= lines->item[i].wh);
		wh += lines->item[i].wh;
	}
	return wh;
}

static void
check_bill(const RateLineVec *lines, bool chronological)
{
	RatePositionVec before = { 0 };
	BillVec bill = { 0 };
	int64_t wh = 0;
	Exact sum = 0;
	Exact cost;

	CHECK(rate_bill(lines->item, lines->n, NULL, &before, &bill) == RATE_OK);
	for (int i = 0; i < bill.n; i++)
	{
		if (bill.item[i].component == BILL_ENERGY)
			wh += bill.item[i].wh;
		CHECK(exact_add(sum, bill.item[i].amount, &sum));
	}
	CHECK(wh == line_wh(lines));
	if (chronological)
	{
		CHECK(rate_cost(lines->item, lines->n, &cost));
		CHECK(cost == sum);
	}
	free(bill.item);
}

static void
check_intervals(const Tariff *tariff, Source *source)
{
	RateSpan span = { INT64_MIN, INT64_MAX, 1, 1, tariff };
	RatePieceVec pieces = { 0 };
	RatePositionVec positions = { 0 };
	RateLineVec lines = { 0 };
	BillVec standing = { 0 };
	int64_t total = 0;

	for (int i = 0; i < MAX_INTERVALS && (i == 0 || source->left > 0); i++)
	{
		int64_t from = FIRST_US + (int64_t) take(source, 2) * 13 * CAL_MIN_US;
		int64_t to = from + 1 + (int64_t) (take(source, 5) % (40 * CAL_DAY_US));
		int64_t wh = (int64_t) (take(source, 3) % 200000);
		int64_t by_period[TARIFF_MAX_PERIODS] = { 0 };
		int first = pieces.n;
		int64_t lacking;

		if (wh % 3 == 0)
		{
			for (int p = 0; p < tariff->n_period; p++)
				by_period[p] = p == wh % tariff->n_period ? wh : 0;
			CHECK(rate_split_periods(&zone, &span, 1, i % 3, from, to, by_period, wh % 2 == 0,
									 &pieces, &lacking) == RATE_OK);
		}
		else
			CHECK(rate_split(&zone, &span, 1, i % 3, from, to, wh, wh % 2 == 0, &pieces,
							 &lacking) == RATE_OK);
		total += wh;
		for (; first < pieces.n; first++)
		{
			const RatePiece *piece = &pieces.item[first];

			CHECK(piece->wh > 0 && piece->from >= from && piece->to <= to &&
				  piece->from < piece->to);
			CHECK(piece->accum_start <= piece->day && piece->day < piece->accum_end);
			wh -= piece->wh;
		}
		CHECK(wh == 0);
	}
	rate_sort(&pieces);
	CHECK(rate_walk(pieces.item, pieces.n, NULL, &positions, &lines, NULL, NULL) == RATE_OK);
	CHECK(line_wh(&lines) == total);
	check_bill(&lines, tariff->allocation == ALLOCATE_CHRONOLOGICAL);
	CHECK(rate_standing(tariff, 1, 1, 7000, take(source, 1) % 3, &standing) == RATE_OK);
	free(standing.item);
	free(pieces.item);
	free(positions.item);
	free(lines.item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = core_alloc(size + 1);
	size_t used;
	char error[200];
	Doc *doc;

	memcpy(text, data, size);
	used = strlen(text);
	doc = doc_from_json(text, error, sizeof(error));
	if (doc)
	{
		DocFault fault = { "", "", "" };
		Tariff *tariff = tariff_load(doc, &fault);

		if (tariff)
		{
			static const int32_t day[] = { 7003, 6901, 8703 };
			static const char *const type[] = { "holiday", "workday", "other" };
			Source source = { data + used, size - used };

			take(&source, 1);
			if (tariff->calendar[0])
				tariff_set_calendar(tariff, 3, day, type);
			check_days(tariff);
			check_intervals(tariff, &source);
			tariff_free(tariff);
		}
		else
		{
			CHECK(fault.what[0] && fault.hint[0]);
			check_text(fault.path);
			check_text(fault.what);
			check_text(fault.hint);
		}
		doc_free(doc);
	}
	core_free(text);
	return 0;
}
