/*
 * bench_rate.c: what it costs to split and walk one half-hour interval.
 */
#include "doc_json.h"
#include "rate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HALF_HOUR_US (30 * CAL_MIN_US)
#define ROUNDS 2000000

static double
seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static Tariff *
load(const char *json)
{
	char error[200];
	DocFault fault;
	Doc *doc = doc_from_json(json, error, sizeof(error));
	Tariff *tariff = doc ? tariff_load(doc, &fault) : NULL;

	if (tariff == NULL)
	{
		fprintf(stderr, "%s\n", doc ? fault.what : error);
		exit(1);
	}
	doc_free(doc);
	return tariff;
}

/* Four seasons, three day types, five periods, five tiers. */
static Tariff *
load_rich(void)
{
	static const char *const season[] = { "spring", "summer", "autumn", "winter" };
	static const char *const type[] = { "workday", "saturday", "sunday" };
	char json[8000];
	int used = sprintf(json, "{\"periods\": [\"a\",\"b\",\"c\",\"d\",\"e\"], \"seasons\": [");

	for (int s = 0; s < 4; s++)
		used +=
			sprintf(json + used, "%s{\"name\": \"%s\", \"from\": \"%02d-01\", \"to\": \"%02d-01\"}",
					s ? "," : "", season[s], s * 3 + 1, (s + 1) % 4 * 3 + 1);
	used += sprintf(json + used, "], \"day_types\": [{\"name\": \"saturday\", \"days\": [6]},"
								 "{\"name\": \"sunday\", \"days\": [7]}], \"schedule\": [");
	for (int row = 0; row < 12; row++)
		used +=
			sprintf(json + used,
					"%s{\"season\": \"%s\", \"day_type\": \"%s\", \"slots\": [[\"00:00\",\"a\"],"
					"[\"06:00\",\"b\"],[\"09:00\",\"c\"],[\"12:00\",\"d\"],[\"15:00\",\"e\"],"
					"[\"18:00\",\"c\"],[\"22:00\",\"a\"]]}",
					row ? "," : "", season[row / 3], type[row % 3]);
	used += sprintf(json + used,
					"], \"tiers\": {\"accumulate\": \"year\", \"upto\": [100,200,300,400]},"
					"\"prices\": {");
	for (int p = 0; p < 5; p++)
		used += sprintf(json + used, "%s\"%c\": [0.1,0.2,0.3,0.4,0.5]", p ? "," : "", 'a' + p);
	sprintf(json + used, "}}");
	return load(json);
}

/* Nanoseconds for an interval; the clock changes of 40 years are in the zone. */
static double
measure(const Tariff *tariff, int64_t shift)
{
	static int64_t at[80];
	static int32_t offset[81];
	RateSpan span = { INT64_MIN, INT64_MAX, 1, 1, tariff };
	RatePieceVec pieces = { 0 };
	RatePositionVec positions = { 0 };
	RateLineVec lines = { 0 };
	CalZone zone = { 80, at, offset };
	double best = 1e9;

	for (int i = 0; i < 80; i++)
	{
		at[i] = (int64_t) (i * 182 + 80) * CAL_DAY_US;
		offset[i + 1] = i % 2 ? 28800 : 32400;
	}
	offset[0] = 28800;
	for (int repeat = 0; repeat < 5; repeat++)
	{
		double start = seconds();

		for (int i = 0; i < ROUNDS / 5; i++)
		{
			/* One meter a while at a time of day, so that a line is found as in a batch. */
			int64_t from = INT64_C(8000) * CAL_DAY_US + (i / 1000 % 300) * CAL_DAY_US +
						   (i % 48) * HALF_HOUR_US + shift;
			int64_t lacking;

			pieces.n = 0;
			if (i % 48 == 0)
				lines.n = positions.n = 0;
			if (rate_split(&zone, &span, 1, 1, from, from + HALF_HOUR_US, 500, false, &pieces,
						   &lacking) != RATE_OK ||
				rate_walk(pieces.item, pieces.n, NULL, &positions, &lines, NULL, NULL) != RATE_OK)
				exit(1);
		}
		start = (seconds() - start) / (ROUNDS / 5) * 1e9;
		if (start < best)
			best = start;
	}
	core_free(pieces.item);
	core_free(positions.item);
	core_free(lines.item);
	return best;
}

int
main(void)
{
	Tariff *flat = load("{\"prices\": 0.5}");
	Tariff *rich = load_rich();
	double flat_ns = measure(flat, 0);
	double rich_ns = measure(rich, 0);
	double crossing_ns = measure(rich, 15 * CAL_MIN_US);

	printf("flat tariff                       %6.1f ns an interval\n", flat_ns);
	printf("4 seasons, 3 types, 5 x 5 prices  %6.1f ns, %.2f times\n", rich_ns, rich_ns / flat_ns);
	printf("  a slot edge in one of seven     %6.1f ns\n", crossing_ns);
	tariff_free(flat);
	tariff_free(rich);
	return 0;
}
