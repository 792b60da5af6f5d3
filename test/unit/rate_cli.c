/*
 * rate_cli.c: the rating core behind a pipe, for comparison with oracle.py.
 *
 * Each line of standard input is a JSON case, each line of standard output its
 * result:
 *
 *   {"zone": {"at": [..], "offset_s": [..]}, "extra": [[from day, Wh a month]],
 *    "versions": [{"from": us, "to": us, "version": n, "definition": {..},
 *                  "calendar": [[day, type]]}],
 *    "positions": [{"accum": [day, day], "version": index, "wh": n, "by_period": [..]}],
 *    "intervals": [[meter, from, to, wh, estimated, [wh by period] or null]],
 *    "batch": pieces a walk, "standing": [[version index, day, cut]]}
 *
 *   {"lines": [[meter, day, version, period, tier, wh, estimated_wh]],
 *    "bill": [[component, index, meter, day, version, period, tier, wh, estimated_wh, amount]],
 *    "cost": text or null, "standing": bill lines}
 */
#include "doc_json.h"
#include "rate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_LINE (1 << 20)
#define MAX_VERSIONS 8
#define MAX_STEPS 8

static void
die(const char *what)
{
	fprintf(stderr, "rate_cli: %s\n", what);
	exit(1);
}

static int64_t *
int_list(const Doc *doc)
{
	int64_t *list = core_alloc((size_t) (doc->n + TARIFF_MAX_PERIODS) * sizeof(int64_t));

	for (int i = 0; i < doc->n; i++)
		list[i] = doc_int(&doc->item[i]);
	return list;
}

static void
read_zone(const Doc *doc, CalZone *zone)
{
	const Doc *offsets = doc_need(doc, "offset_s");
	int32_t *offset = core_alloc((size_t) offsets->n * sizeof(int32_t));

	for (int i = 0; i < offsets->n; i++)
		offset[i] = (int32_t) doc_int(&offsets->item[i]);
	zone->n = offsets->n - 1;
	zone->at = int_list(doc_need(doc, "at"));
	zone->offset_s = offset;
}

static bool
read_version(const Doc *doc, RateSpan *span)
{
	const Doc *calendar = doc_get(doc, "calendar");
	DocFault fault;
	Tariff *tariff = tariff_load(doc_need(doc, "definition"), &fault);

	if (tariff == NULL)
	{
		printf("{\"refused\": \"%s\"}\n", fault.path);
		return false;
	}
	if (calendar)
	{
		int32_t *day = core_alloc((size_t) calendar->n * sizeof(int32_t));
		const char **type = core_alloc((size_t) calendar->n * sizeof(char *));

		for (int i = 0; i < calendar->n; i++)
		{
			day[i] = (int32_t) doc_int(&calendar->item[i].item[0]);
			type[i] = doc_text(&calendar->item[i].item[1]);
		}
		tariff_set_calendar(tariff, calendar->n, day, type);
		core_free(day);
		core_free(type);
	}
	span->from = doc_int(doc_need(doc, "from"));
	span->to = doc_int(doc_need(doc, "to"));
	span->tariff_id = 1;
	span->version = (int32_t) doc_int(doc_need(doc, "version"));
	span->tariff = tariff;
	return true;
}

static void
read_positions(const Doc *list, const RateSpan *span, RatePositionVec *positions)
{
	for (int i = 0; i < list->n; i++)
	{
		const Doc *doc = &list->item[i];
		const Doc *accum = doc_need(doc, "accum");
		const Doc *by_period = doc_need(doc, "by_period");
		RatePosition *position = rate_position_open(
			positions, 1, (int32_t) doc_int(&accum->item[0]), (int32_t) doc_int(&accum->item[1]),
			span[doc_int(doc_need(doc, "version"))].tariff);

		position->wh = doc_int(doc_need(doc, "wh"));
		for (int p = 0; p < by_period->n; p++)
			position->by_period[p] = doc_int(&by_period->item[p]);
	}
}

static void
split(const CalZone *zone, const RateSpan *span, int n_span, const Doc *interval,
	  RatePieceVec *pieces)
{
	int32_t meter = (int32_t) doc_int(&interval->item[0]);
	int64_t from = doc_int(&interval->item[1]);
	int64_t to = doc_int(&interval->item[2]);
	bool estimated = interval->item[4].boolean;
	int64_t lacking;
	RateResult result;

	if (interval->item[5].kind == DOC_NULL)
		result = rate_split(zone, span, n_span, meter, from, to, doc_int(&interval->item[3]),
							estimated, pieces, &lacking);
	else
	{
		int64_t *wh = int_list(&interval->item[5]);

		result = rate_split_periods(zone, span, n_span, meter, from, to, wh, estimated, pieces,
									&lacking);
		core_free(wh);
	}
	if (result != RATE_OK)
		die("interval was not split");
}

static void
print_lines(const RateLineVec *lines)
{
	printf("{\"lines\": [");
	for (int i = 0; i < lines->n; i++)
	{
		const RateLine *line = &lines->item[i];

		printf("%s[%d, %d, %d, %d, %d, %lld, %lld]", i ? ", " : "", line->meter_id, line->day,
			   line->version, line->period, line->tier, (long long) line->wh,
			   (long long) line->estimated_wh);
	}
	printf("]");
}

static void
print_bill(const char *name, const BillVec *bill)
{
	static const char *const component[] = { "energy", "standing", "surcharge" };

	printf(", \"%s\": [", name);
	for (int i = 0; i < bill->n; i++)
	{
		const BillLine *line = &bill->item[i];
		char amount[EXACT_TEXT_MAX];

		exact_format(line->amount, amount);
		printf("%s[\"%s\", %d, %d, %d, %d, %d, %d, %lld, %lld, \"%s\"]", i ? ", " : "",
			   component[line->component], line->index, line->meter_id, line->day, line->version,
			   line->period, line->tier, (long long) line->wh, (long long) line->estimated_wh,
			   amount);
	}
	printf("]");
}

static void
rate(const Doc *doc, const CalZone *zone, const RateSpan *span, int n_span)
{
	const Doc *intervals = doc_need(doc, "intervals");
	const Doc *days = doc_need(doc, "standing");
	const Doc *steps = doc_need(doc, "extra");
	TariffExtraStep step[MAX_STEPS];
	TariffExtra extra = { steps->n, step };
	int batch = (int) doc_int(doc_need(doc, "batch"));
	RatePieceVec pieces = { 0 };
	RatePositionVec positions = { 0 };
	RatePositionVec before = { 0 };
	RateLineVec lines = { 0 };
	BillVec bill = { 0 };
	BillVec standing = { 0 };
	Exact cost;

	read_positions(doc_need(doc, "positions"), span, &before);
	rate_position_copy(&before, &positions);
	for (int i = 0; i < steps->n && i < MAX_STEPS; i++)
		step[i] = (TariffExtraStep){ (int32_t) doc_int(&steps->item[i].item[0]),
									 doc_int(&steps->item[i].item[1]) };
	for (int i = 0; i < intervals->n; i++)
		split(zone, span, n_span, &intervals->item[i], &pieces);
	rate_sort(&pieces);
	rate_position_open_all(&positions, pieces.item, pieces.n);
	for (int done = 0; done < pieces.n; done += batch)
		if (rate_walk(pieces.item + done, pieces.n - done < batch ? pieces.n - done : batch, &extra,
					  &positions, &lines, NULL, NULL) != RATE_OK)
			die("walk failed");
	if (rate_bill(lines.item, lines.n, &extra, &before, &bill) != RATE_OK)
		die("bill failed");
	for (int i = 0; i < days->n; i++)
	{
		const RateSpan *version = &span[doc_int(&days->item[i].item[0])];

		if (rate_standing(version->tariff, 1, version->version,
						  (int32_t) doc_int(&days->item[i].item[1]),
						  days->item[i].item[2].boolean ? STANDING_CUT : STANDING_SUPPLIED,
						  &standing) != RATE_OK)
			die("standing charge failed");
	}
	print_lines(&lines);
	print_bill("bill", &bill);
	print_bill("standing", &standing);
	if (rate_cost(lines.item, lines.n, &cost))
	{
		char text[EXACT_TEXT_MAX];

		exact_format(cost, text);
		printf(", \"cost\": \"%s\"}\n", text);
	}
	else
		printf(", \"cost\": null}\n");
	free(pieces.item);
	free(positions.item);
	free(before.item);
	free(lines.item);
	free(bill.item);
	free(standing.item);
}

static void
run_case(const Doc *doc)
{
	const Doc *versions = doc_need(doc, "versions");
	RateSpan span[MAX_VERSIONS];
	int n_span = 0;
	bool accepted = true;
	CalZone zone;

	if (versions->n > MAX_VERSIONS)
		die("too many versions");
	read_zone(doc_need(doc, "zone"), &zone);
	for (int i = 0; i < versions->n && accepted; i++)
	{
		accepted = read_version(&versions->item[i], &span[n_span]);
		n_span += accepted;
	}
	if (accepted)
		rate(doc, &zone, span, n_span);
	for (int i = 0; i < n_span; i++)
		tariff_free((Tariff *) span[i].tariff);
	core_free((void *) zone.at);
	core_free((void *) zone.offset_s);
}

int
main(void)
{
	char *line = core_alloc(MAX_LINE);
	char error[200];

	while (fgets(line, MAX_LINE, stdin))
	{
		Doc *doc = doc_from_json(line, error, sizeof(error));

		if (doc == NULL)
			die(error);
		run_case(doc);
		fflush(stdout);
		doc_free(doc);
	}
	core_free(line);
	return 0;
}
