/*
 * test_tariff.c: tariff definitions: what is accepted, what is refused, what is in force when.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#define SAMPLE                                                                                \
	"{'periods': ['peak', 'valley'],"                                                         \
	" 'seasons': [{'name': 'summer', 'from': '07-01', 'to': '09-01'},"                        \
	"             {'name': 'other', 'from': '09-01', 'to': '07-01'}],"                        \
	" 'calendar': 'CN', 'day_types': [{'name': 'weekend', 'days': [6, 7]}],"                  \
	" 'schedule': [{'season': 'summer', 'day_type': 'workday',"                               \
	"               'slots': [['00:00', 'valley'], ['08:00', 'peak'], ['22:00', 'valley']]}," \
	"              {'day_type': 'holiday', 'slots': [['00:00', 'valley']]},"                  \
	"              {'slots': [['00:00', 'valley']]}],"                                        \
	" 'tiers': {'accumulate': 'year', 'anchor': '01-01', 'upto': [2760, 4800],"               \
	"           'allocation': 'chronological'},"                                              \
	" 'prices': {'peak': [0.568, 0.618, 0.868], 'valley': [0.288, 0.338, 0.588]},"            \
	" 'standing': [{'name': 'service', 'amount': 0.50, 'per': 'day', 'while_off': true}],"    \
	" 'surcharges': [{'name': 'fund', 'per_kwh': 0.02},"                                      \
	"                {'name': 'vat', 'percent': 13, 'on': ['energy', 'standing', 'fund']}]}"

static void
sample_is_compiled(void **state)
{
	Tariff *t = tariff(SAMPLE);

	(void) state;
	assert_int_equal(2, t->n_period);
	assert_string_equal("valley", t->period_name[1]);
	assert_int_equal(2, t->n_season);
	assert_int_equal(3, t->n_day_type);
	assert_string_equal("holiday", t->day_type_name[2]);
	assert_string_equal("CN", t->calendar);
	assert_int_equal(3, t->n_row);
	assert_int_equal(ACCUMULATE_YEAR, t->accumulate);
	assert_int_equal(3, t->n_tier);
	assert_int_equal(2760000, t->upto_wh[0][0]);
	assert_int_equal(4800000, t->upto_wh[1][1]);
	assert_int_equal(868000, t->price_micro[0][2]);
	assert_true(t->standing[0].while_off);
	assert_false(t->standing[0].per_month);
	assert_int_equal(500000, t->standing[0].amount_micro);
	assert_int_equal(1, t->surcharge[1].on_surcharge);
	/* (0.568 + 0.02) * 1.13 a kWh */
	assert_exact(t->unit[0][0], "0.00066444");
	tariff_free(t);
}

static void
smallest_definitions(void **state)
{
	static const char *const definitions[] = {
		"{'prices': 0.5}",
		"{'prices': [0.5]}",
		"{'prices': {'all': 0.5}}",
		"{'prices': {'all': [0.5]}}",
		"{'prices': 5e-1}",
		"{'prices': 0.50000000}",
		"{'prices': 0.5, 'standing': [], 'surcharges': []}",
		"{'prices': 0.5, 'schedule': [{'slots': [['00:00', 'all']]}]}",
		"{'prices': 0.5, 'seasons': [{'name': 'all', 'from': '03-01', 'to': '03-01'}]}",
	};

	(void) state;
	for (size_t i = 0; i < sizeof(definitions) / sizeof(*definitions); i++)
	{
		Tariff *t = tariff(definitions[i]);

		assert_int_equal(1, t->n_period);
		assert_int_equal(1, t->n_tier);
		assert_int_equal(500000, t->price_micro[0][0]);
		assert_int_equal(ACCUMULATE_MONTH, t->accumulate);
		assert_int_equal(1, t->anchor_day);
		for (int32_t day = 0; day < 366; day++)
		{
			const TariffRow *row = tariff_row(t, day);

			assert_int_equal(1, row->n);
			assert_int_equal(0, row->slot[0].minute);
			assert_int_equal(0, row->slot[0].period);
		}
		tariff_free(t);
	}
}

static void
prices_take_three_forms(void **state)
{
	Tariff *t = tariff("{'tiers': {'upto': [10, 20]}, 'prices': 0.5}");

	(void) state;
	assert_int_equal(500000, t->price_micro[0][2]);
	tariff_free(t);
	t = tariff("{'tiers': {'upto': [10, 20]}, 'prices': [-0.5, 0, 1000000]}");
	assert_int_equal(-500000, t->price_micro[0][0]);
	assert_int_equal(0, t->price_micro[0][1]);
	assert_int_equal(INT64_C(1000000000000), t->price_micro[0][2]);
	tariff_free(t);
	t = tariff("{'periods': ['a', 'b'], 'tiers': {'upto': [10]},"
			   " 'schedule': [{'slots': [['00:00', 'a'], ['12:00', 'b']]}],"
			   " 'prices': {'b': [0.1, 0.2], 'a': 0.3}}");
	assert_int_equal(300000, t->price_micro[0][1]);
	assert_int_equal(200000, t->price_micro[1][1]);
	tariff_free(t);
}

typedef struct Refusal
{
	const char *json;
	const char *path;
	const char *what; /* part of it */
} Refusal;

#define PLAIN(rest) "{'prices': 0.5, " rest "}"
#define TWO(rest) "{'periods': ['a', 'b'], 'prices': {'a': 1, 'b': 2}, " rest "}"
#define SEASONS(list) PLAIN("'seasons': [" list "]")
#define SCHEDULE(list) TWO("'schedule': [" list "]")
#define SLOTS(list) SCHEDULE("{'slots': [" list "]}")
#define TIERS(members) "{'prices': [1, 2], 'tiers': {" members "}}"
#define SURCHARGES(list) PLAIN("'surcharges': [" list "]")
#define STANDING(members) PLAIN("'standing': [{" members "}]")
#define HALVES                                                   \
	"'seasons': [{'name': 's', 'from': '04-01', 'to': '10-01'}," \
	"{'name': 'w', 'from': '10-01', 'to': '04-01'}]"
#define NAME64 "1234567890123456789012345678901234567890123456789012345678901234"

static const Refusal refusals[] = {
	{ "3", "", "expected an object, found a number" },
	{ "[]", "", "found an array" },
	{ "{}", "prices", "missing" },
	{ PLAIN("'tirs': {}"), "tirs", "unknown key" },
	{ PLAIN("'tiers': null"), "tiers", "found null" },
	{ PLAIN("'notes': 'text'"), "notes", "expected an array" },
	{ PLAIN("'notes': ['a', 7]"), "notes[1]", "expected a text" },

	/* names */
	{ "{'periods': [], 'prices': 1}", "periods", "empty" },
	{ "{'periods': 'a', 'prices': 1}", "periods", "expected an array" },
	{ "{'periods': [''], 'prices': 1}", "periods[0]", "empty" },
	{ "{'periods': [1], 'prices': 1}", "periods[0]", "expected a text" },
	{ "{'periods': [' a'], 'prices': 1}", "periods[0]", "space" },
	{ "{'periods': ['a '], 'prices': 1}", "periods[0]", "space" },
	{ "{'periods': ['a\\n'], 'prices': 1}", "periods[0]", "control" },
	{ "{'periods': ['" NAME64 "'], 'prices': 1}", "periods[0]", "longer than 63" },
	{ "{'periods': ['a', 'a'], 'prices': {'a': 1}}", "periods[1]", "duplicate" },
	{ "{'periods': ['1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16','17'],"
	  "'prices': 1}",
	  "periods", "17 items" },

	/* seasons */
	{ SEASONS(""), "seasons", "empty" },
	{ SEASONS("{'name': 's', 'from': '01-01', 'to': '12-31'}"), "seasons",
	  "no season covers 12-31" },
	{ SEASONS("{'name': 's', 'from': '03-01', 'to': '02-29'}"), "seasons", "02-29" },
	{ SEASONS("{'name': 's', 'from': '03-01', 'to': '02-30'}"), "seasons[0].to", "not a day" },
	{ SEASONS("{'name': 's', 'from': '3-1', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '13-01', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '00-01', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '03-00', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '0a-01', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '03-a1', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '03/01', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '03-011', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '00-01', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': '01-00', 'to': '03-01'}"), "seasons[0].from", "not a day" },
	{ SEASONS("{'name': 's', 'from': 101, 'to': '03-01'}"), "seasons[0].from", "expected a text" },
	{ SEASONS("{'name': 's', 'from': '01-01'}"), "seasons[0].to", "missing" },
	{ SEASONS("{'from': '01-01', 'to': '01-01'}"), "seasons[0].name", "missing" },
	{ SEASONS("{'name': 's', 'from': '01-01', 'to': '01-01', 'x': 1}"), "seasons[0].x",
	  "unknown key" },
	{ SEASONS("{'name': 's', 'from': '01-01', 'to': '07-02'}, {'name': 't', 'from': '07-01', 'to': "
			  "'01-01'}"),
	  "seasons[1]", "overlaps season \"s\" on 07-01" },
	{ SEASONS("{'name': 's', 'from': '01-01', 'to': '01-01'}, {'name': 't', 'from': '07-01', 'to': "
			  "'07-01'}"),
	  "seasons[1]", "overlaps" },
	{ SEASONS("{'name': 's', 'from': '01-01', 'to': '07-01'}, {'name': 's', 'from': '07-01', 'to': "
			  "'01-01'}"),
	  "seasons[1].name", "duplicate" },

	/* day types */
	{ PLAIN("'day_types': []"), "day_types", "empty" },
	{ PLAIN("'day_types': [{'name': 'w'}]"), "day_types[0].days", "missing" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': []}]"), "day_types[0].days", "empty" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': [0]}]"), "day_types[0].days[0]", "not a day" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': [8]}]"), "day_types[0].days[0]", "out of range" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': [6.5]}]"), "day_types[0].days[0]", "whole" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': ['6']}]"), "day_types[0].days[0]",
	  "expected a number" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': [6, 6]}]"), "day_types[0].days[1]", "duplicate" },
	{ PLAIN("'day_types': [{'name': 'workday', 'days': [6]}]"), "day_types[0].name", "duplicate" },
	{ PLAIN("'day_types': [{'name': 'w', 'days': [6]}, {'name': 'w', 'days': [7]}]"),
	  "day_types[1].name", "duplicate" },
	{ PLAIN("'calendar': ''"), "calendar", "empty" },
	{ PLAIN("'calendar': 3"), "calendar", "expected a text" },

	/* schedule */
	{ "{'periods': ['a', 'b'], 'prices': {'a': 1, 'b': 2}}", "schedule", "2 periods" },
	{ SCHEDULE(""), "schedule", "empty" },
	{ SCHEDULE("{}"), "schedule[0].slots", "missing" },
	{ SCHEDULE("{'slot': []}"), "schedule[0].slot", "unknown key" },
	{ SLOTS(""), "schedule[0].slots", "empty" },
	{ SLOTS("['00:01', 'a']"), "schedule[0].slots[0][0]", "not covered" },
	{ SLOTS("['24:00', 'a']"), "schedule[0].slots[0][0]", "not a time" },
	{ SLOTS("['00:60', 'a']"), "schedule[0].slots[0][0]", "not a time" },
	{ SLOTS("['0:00', 'a']"), "schedule[0].slots[0][0]", "not a time" },
	{ SLOTS("['00:00:00', 'a']"), "schedule[0].slots[0][0]", "not a time" },
	{ SLOTS("[0, 'a']"), "schedule[0].slots[0][0]", "expected a text" },
	{ SLOTS("['00:00', 'c']"), "schedule[0].slots[0][1]", "unknown period" },
	{ SLOTS("['00:00']"), "schedule[0].slots[0]", "1 items" },
	{ SLOTS("'00:00'"), "schedule[0].slots[0]", "expected an array" },
	{ SLOTS("['00:00', 'a'], ['08:00', 'b'], ['08:00', 'a']"), "schedule[0].slots[2][0]",
	  "duplicate" },
	{ SLOTS("['00:00', 'a'], ['08:00', 'b'], ['07:00', 'a']"), "schedule[0].slots[2][0]",
	  "earlier" },
	{ SCHEDULE("{'slots': [['00:00', 'a']]}, {'slots': [['00:00', 'b']]}"), "schedule[1]",
	  "duplicate of schedule[0]" },
	{ SCHEDULE("{'season': 'x', 'slots': [['00:00', 'a']]}"), "schedule[0].season",
	  "unknown season" },
	{ SCHEDULE("{'day_type': 'holiday', 'slots': [['00:00', 'a']]}"), "schedule[0].day_type",
	  "unknown day type" },
	{ SCHEDULE(
		  "{'day_type': 'workday', 'slots': [['00:00', 'a']]}, {'day_type': 'workday', 'slots': "
		  "[['00:00', 'b']]}"),
	  "schedule[1]", "duplicate" },
	{ TWO("'day_types': [{'name': 'weekend', 'days': [6, 7]}], 'schedule': [{'day_type': "
		  "'workday', 'slots': [['00:00', 'a']]}]"),
	  "schedule", "no row for day type \"weekend\"" },
	{ TWO("'day_types': [{'name': 'sun', 'days': [7]}],"
		  "'schedule': [{'day_type': 'workday', 'slots': [['00:00', 'a']]}]"),
	  "schedule", "no row for day type \"sun\"" },
	{ TWO("'day_types': [{'name': 'mon', 'days': [1]}],"
		  "'schedule': [{'day_type': 'workday', 'slots': [['00:00', 'a']]}]"),
	  "schedule", "no row for day type \"mon\"" },
	{ TWO(HALVES ", 'schedule': [{'season': 's', 'slots': [['00:00', 'a']]}]"), "schedule",
	  "in season \"w\"" },
	{ TWO("'calendar': 'CN', 'schedule': [{'day_type': 'workday', 'slots': [['00:00', 'a']]}]"),
	  "schedule", "other day types" },
	{ TWO("'calendar': 'CN', 'day_types': [{'name': 'x', 'days': [1,2,3,4,5,6,7]}],"
		  "'schedule': [{'day_type': 'x', 'slots': [['00:00', 'a']]}]"),
	  "schedule", "\"workday\"" },

	/* tiers */
	{ TIERS(""), "tiers.upto", "missing" },
	{ TIERS("'upto': []"), "tiers.upto", "empty" },
	{ TIERS("'upto': [0]"), "tiers.upto[0]", "not above 0" },
	{ TIERS("'upto': [-1]"), "tiers.upto[0]", "not above 0" },
	{ TIERS("'upto': [10, 10]"), "tiers.upto[1]", "not above the bound before" },
	{ TIERS("'upto': [10, 9.999]"), "tiers.upto[1]", "not above the bound before" },
	{ TIERS("'upto': ['10']"), "tiers.upto[0]", "expected a number" },
	{ TIERS("'upto': [1.0001]"), "tiers.upto[0]", "more than 3 decimals" },
	{ TIERS("'upto': [1000000000001]"), "tiers.upto[0]", "out of range" },
	{ TIERS("'upto': [1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]"), "tiers.upto", "16 items" },
	{ TIERS("'upto': 10"), "tiers.upto", "expected an array" },
	{ TIERS("'upto': {'summer': [10]}"), "tiers.upto.summer", "unknown season" },
	{ TIERS("'upto': {}"), "tiers.upto.all", "missing" },
	{ TIERS("'upto': [10], 'accumulate': 'week'"), "tiers.accumulate", "unknown word" },
	{ TIERS("'upto': [10], 'accumulate': 1"), "tiers.accumulate", "expected a text" },
	{ TIERS("'upto': [10], 'allocation': 'volume'"), "tiers.allocation", "unknown word" },
	{ TIERS("'upto': [10], 'anchor': '32'"), "tiers.anchor", "not a day of the month" },
	{ TIERS("'upto': [10], 'anchor': '00'"), "tiers.anchor", "not a day of the month" },
	{ TIERS("'upto': [10], 'anchor': '1'"), "tiers.anchor", "not a day" },
	{ TIERS("'upto': [10], 'anchor': '02-30'"), "tiers.anchor", "not a day" },
	{ TIERS("'upto': [10], 'accumulate': 'year', 'anchor': '15'"), "tiers.anchor", "not a day" },
	{ TIERS("'upto': [10], 'accumulate': 'quarter', 'anchor': '15'"), "tiers.anchor", "not a day" },
	{ TIERS("'upto': [10], 'bounds': 1"), "tiers.bounds", "unknown key" },
	{ "{'prices': [1, 2], " HALVES ", 'tiers': {'upto': {'s': [10]}}}", "tiers.upto.w", "missing" },
	{ "{'prices': [1, 2], " HALVES ", 'tiers': {'upto': {'s': [10], 'w': [10, 20]}}}",
	  "tiers.upto.w", "2 bounds" },

	/* prices */
	{ "{'prices': '0.5'}", "prices", "expected a number, found a text" },
	{ "{'prices': null}", "prices", "found null" },
	{ "{'prices': 0.5000001}", "prices", "more than 6 decimals" },
	{ "{'prices': 1e-7}", "prices", "more than 6 decimals" },
	{ "{'prices': 1000000.000001}", "prices", "out of range" },
	{ "{'prices': -1000000.000001}", "prices", "out of range" },
	{ "{'prices': 1e300}", "prices", "out of range" },
	{ "{'prices': []}", "prices", "0 prices, but there are 1 tiers" },
	{ "{'prices': [1, 2]}", "prices", "2 prices, but there are 1 tiers" },
	{ "{'prices': {'all': [1, 2]}}", "prices.all", "2 prices" },
	{ "{'prices': {}}", "prices.all", "no price" },
	{ "{'prices': {'peak': 1}}", "prices.peak", "unknown period" },
	{ "{'tiers': {'upto': [10]}, 'prices': [1]}", "prices", "1 prices, but there are 2 tiers" },
	{ "{'tiers': {'upto': [10]}, 'prices': [1, '2']}", "prices[1]", "expected a number" },
	{ "{'periods': ['a', 'b'], 'prices': 1, 'schedule': [{'slots': [['00:00', 'a']]}]}", "prices",
	  "not given by period" },
	{ "{'periods': ['a', 'b'], 'prices': [1, 2], 'schedule': [{'slots': [['00:00', 'a']]}]}",
	  "prices", "not given by period" },
	{ "{'periods': ['a', 'b'], 'prices': {'a': 1}, 'schedule': [{'slots': [['00:00', 'a']]}]}",
	  "prices.b", "no price" },

	/* standing charges */
	{ STANDING(""), "standing[0].name", "missing" },
	{ STANDING("'name': 's', 'per': 'day'"), "standing[0].amount", "missing" },
	{ STANDING("'name': 's', 'amount': 1"), "standing[0].per", "missing" },
	{ STANDING("'name': 's', 'amount': 1, 'per': 'week'"), "standing[0].per", "unknown word" },
	{ STANDING("'name': 's', 'amount': '1', 'per': 'day'"), "standing[0].amount",
	  "expected a number" },
	{ STANDING("'name': 's', 'amount': 0.0000001, 'per': 'day'"), "standing[0].amount",
	  "6 decimals" },
	{ STANDING("'name': 's', 'amount': 1, 'per': 'day', 'while_off': 1"), "standing[0].while_off",
	  "expected a boolean" },
	{ STANDING("'name': 's', 'amount': 1, 'per': 'day', 'on': 1"), "standing[0].on",
	  "unknown key" },
	{ STANDING("'name': 's', 'amount': 1, 'per': 'day'}, {'name': 's', 'amount': 1, 'per': 'day'"),
	  "standing[1].name", "duplicate" },

	/* surcharges */
	{ SURCHARGES("{'percent': 1, 'on': ['energy']}"), "surcharges[0].name", "missing" },
	{ SURCHARGES("{'name': 'f'}"), "surcharges[0]", "neither" },
	{ SURCHARGES("{'name': 'f', 'per_kwh': 1, 'percent': 1}"), "surcharges[0]", "both" },
	{ SURCHARGES("{'name': 'f', 'per_kwh': 1, 'on': ['energy']}"), "surcharges[0].on",
	  "belongs to a percentage" },
	{ SURCHARGES("{'name': 'f', 'per_kwh': 0.0000001}"), "surcharges[0].per_kwh", "6 decimals" },
	{ SURCHARGES("{'name': 'f', 'percent': 0.00001, 'on': ['energy']}"), "surcharges[0].percent",
	  "4 decimals" },
	{ SURCHARGES("{'name': 'f', 'percent': '13', 'on': ['energy']}"), "surcharges[0].percent",
	  "expected a number" },
	{ SURCHARGES("{'name': 'f', 'percent': 1000.0001, 'on': ['energy']}"), "surcharges[0].percent",
	  "out of range" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': []}"), "surcharges[0].on", "empty" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': 'energy'}"), "surcharges[0].on",
	  "expected an array" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': ['x']}"), "surcharges[0].on[0]",
	  "not an earlier surcharge" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': ['f']}"), "surcharges[0].on[0]",
	  "charged on itself" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': ['g']}, {'name': 'g', 'percent': 1, 'on': "
				 "['energy']}"),
	  "surcharges[0].on[0]", "not an earlier surcharge" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': ['energy', 'energy']}"), "surcharges[0].on[1]",
	  "duplicate" },
	{ SURCHARGES("{'name': 'f', 'percent': 1, 'on': ['standing', 'standing']}"),
	  "surcharges[0].on[1]", "duplicate" },
	{ SURCHARGES("{'name': 'f', 'per_kwh': 1}, {'name': 'g', 'percent': 1, 'on': ['f', 'f']}"),
	  "surcharges[1].on[1]", "duplicate" },
	{ SURCHARGES("{'name': 'f', 'per_kwh': 1}, {'name': 'f', 'per_kwh': 1}"), "surcharges[1].name",
	  "duplicate" },
	{ SURCHARGES("{'name': 'energy', 'per_kwh': 1}"), "surcharges[0].name", "stands for a base" },
	{ SURCHARGES("{'name': 'standing', 'per_kwh': 1}"), "surcharges[0].name", "stands for a base" },
	{ SURCHARGES(
		  "{'name': 'a', 'percent': 1, 'on': ['energy']}, {'name': 'b', 'percent': 1, 'on': ['a']},"
		  "{'name': 'c', 'percent': 1, 'on': ['energy', 'b']}"),
	  "surcharges[2].on", "more than 2 percentages" },
	{ SURCHARGES("7"), "surcharges[0]", "expected an object" },
};

static void
faults_are_refused_with_their_path(void **state)
{
	(void) state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
	{
		const DocFault *fault = refused(refusals[i].json);

		if (strcmp(fault->path, refusals[i].path) != 0 ||
			strstr(fault->what, refusals[i].what) == NULL)
			fail_msg("%s\n gives %s: %s\n not   %s: %s", refusals[i].json, fault->path, fault->what,
					 refusals[i].path, refusals[i].what);
		if (fault->hint[0] == '\0' || fault->hint[strlen(fault->hint) - 1] != '.')
			fail_msg("no hint for %s", refusals[i].json);
	}
}

static void
not_a_number_is_refused(void **state)
{
	Doc price = { .kind = DOC_NUMBER, .text = "NaN" };
	const char *key = "prices";
	Doc definition = { .kind = DOC_OBJECT, .n = 1, .item = &price, .key = &key };
	DocFault fault;

	(void) state;
	assert_null(tariff_load(&definition, &fault));
	assert_string_equal("prices", fault.path);
	price.text = "-Infinity";
	assert_null(tariff_load(&definition, &fault));
	price.text = "1";
	tariff_free(tariff_load(&definition, &fault));
}

static void
limits_are_inclusive(void **state)
{
	char json[20000];
	int used;
	Tariff *t;

	(void) state;
	t = tariff(
		"{'periods': ['1','2','3','4','5','6','7','8','9','10','11','12','13','14','15','16'],"
		" 'schedule': [{'slots': [['00:00', '16']]}], 'tiers': {'upto': [1,2,3,4,5,6,7,8,9,10,11,"
		"12,13,14,1000000000000]},"
		" 'prices': {'1':1,'2':1,'3':1,'4':1,'5':1,'6':1,'7':1,'8':1,'9':1,'10':1,'11':1,'12':1,"
		"'13':1,'14':1,'15':1,'16':-1000000}}");
	assert_int_equal(16, t->n_period);
	assert_int_equal(16, t->n_tier);
	tariff_free(t);
	t = tariff("{'prices': 1, 'tiers': {'upto': [0.001, 0.002]}}");
	assert_int_equal(1, t->upto_wh[0][0]);
	assert_int_equal(2, t->upto_wh[0][1]);
	tariff_free(t);

	for (int slots = 256; slots <= 257; slots++)
	{
		used = sprintf(
			json, "{'periods': ['a', 'b'], 'prices': {'a': 1, 'b': 2}, 'schedule': [{'slots': [");
		for (int i = 0; i < slots; i++)
			used += sprintf(json + used, "%s['%02d:%02d', '%s']", i ? "," : "", i / 60, i % 60,
							i % 2 ? "b" : "a");
		sprintf(json + used, "]}]}");
		if (slots == 257)
			assert_string_equal("schedule[0].slots", refused(json)->path);
		else
		{
			t = tariff(json);
			assert_int_equal(256, tariff_row(t, 0)->n);
			tariff_free(t);
		}
	}

	/* Workday, 15 of the calendar, then one too many. */
	used =
		sprintf(json, "{'calendar': 'X', 'prices': 1, 'schedule': [{'slots': [['00:00', 'all']]}");
	for (int i = 1; i <= 15; i++)
		used += sprintf(json + used, ",{'day_type': 'type %d', 'slots': [['00:00', 'all']]}", i);
	strcpy(json + used, "]}");
	t = tariff(json);
	assert_int_equal(16, t->n_day_type);
	tariff_free(t);
	strcpy(json + used, ",{'day_type': 'one more', 'slots': [['00:00', 'all']]}]}");
	assert_string_equal("schedule[16].day_type", refused(json)->path);
}

/* Notes may say anything, in so many characters of whatever length. */
static void
notes_are_kept_apart_from_rating(void **state)
{
	char json[4000];

	(void) state;
	tariff_free(tariff("{'prices': 1, 'notes': []}"));
	tariff_free(tariff("{'prices': 1, 'notes': ['', ' free\\ntext ']}"));
	for (int length = 500; length <= 501; length++)
	{
		char *end = stpcpy(json, "{'prices': 1, 'notes': ['x', '");

		for (int i = 0; i < length; i++)
			end = stpcpy(end, "\xe7\x94\xb5");
		strcpy(end, "']}");
		if (length == 500)
			tariff_free(tariff(json));
		else
			assert_string_equal("notes[1]", refused(json)->path);
	}
	for (int n = 64; n <= 65; n++)
	{
		char *end = stpcpy(json, "{'prices': 1, 'notes': ['x'");

		for (int i = 1; i < n; i++)
			end = stpcpy(end, ", 'x'");
		strcpy(end, "]}");
		if (n == 64)
			tariff_free(tariff(json));
		else
			assert_string_equal("notes", refused(json)->path);
	}
}

/* Two nested percentages are exact in the smallest price. */
static void
nested_percentages_are_exact(void **state)
{
	Tariff *t = tariff(
		"{'prices': 0.000001, 'surcharges': [{'name': 'a', 'percent': 0.0001, 'on': ['energy']},"
		"{'name': 'k', 'per_kwh': 0.000001}, {'name': 'b', 'percent': 0.0001, 'on': ['a', 'k']},"
		"{'name': 'd', 'percent': -50}]}");

	(void) state;
	/* 10^-9 for the energy and as much for k; a is 10^-15, b 10^-15 + 10^-21, d half the energy
	 * back */
	assert_exact(t->unit[0][0], "0.000000001500002000001");
	assert_true(t->surcharge[3].on_energy);
	tariff_free(t);
}

static void
extreme_percentages_fit(void **state)
{
	char json[4000];
	int used = sprintf(json, "{'prices': 1000000, 'surcharges': [");
	Tariff *t;

	(void) state;
	for (int i = 0; i < 15; i++)
		used += sprintf(json + used, "{'name': 's%d', 'percent': 1000, 'on': ['energy']},", i);
	used += sprintf(json + used, "{'name': 'all', 'percent': 1000, 'on': ['energy'");
	for (int i = 0; i < 15; i++)
		used += sprintf(json + used, ",'s%d'", i);
	strcpy(json + used, "]}]}");
	t = tariff(json);
	/* 1000 a Wh, 15 times tenfold, and ten times the sum */
	assert_exact(t->unit[0][0], "1661000");
	tariff_free(t);
}

static int
period_at(const Tariff *t, int32_t day, int minute)
{
	const TariffRow *row = tariff_row(t, day);
	int period = row->slot[0].period;

	for (int i = 0; i < row->n; i++)
		if (row->slot[i].minute <= minute)
			period = row->slot[i].period;
	return period;
}

static void
rows_by_specificity(void **state)
{
	Tariff *t = tariff(
		"{'periods': ['neither', 'season', 'type', 'both'], 'calendar': 'X'," HALVES ","
		"'day_types': [{'name': 'sunday', 'days': [7]}, {'name': 'weekend', 'days': [6, 7]}],"
		"'schedule': [{'slots': [['00:00', 'neither']]}, {'season': 's', 'slots': [['00:00', "
		"'season']]},"
		"{'day_type': 'sunday', 'slots': [['00:00', 'type']]},"
		"{'season': 's', 'day_type': 'sunday', 'slots': [['00:00', 'both']]}],"
		"'prices': {'neither': 1, 'season': 2, 'type': 3, 'both': 4}}");
	const int32_t winter_sunday = cal_day(2023, 1, 1);
	const int32_t summer_sunday = cal_day(2023, 7, 2);

	(void) state;
	assert_int_equal(2, period_at(t, winter_sunday, 0));
	assert_int_equal(0, period_at(t, winter_sunday + 1, 0));
	assert_int_equal(0, period_at(t, winter_sunday - 1, 0));
	assert_int_equal(3, period_at(t, summer_sunday, 0));
	assert_int_equal(1, period_at(t, summer_sunday + 1, 0));
	assert_int_equal(1, period_at(t, summer_sunday - 1, 0));
	/* Sunday is claimed by the first day type that lists it. */
	assert_int_equal(1, tariff_day_type(t, winter_sunday));
	assert_int_equal(2, tariff_day_type(t, winter_sunday - 1));
	assert_int_equal(TARIFF_WORKDAY, tariff_day_type(t, winter_sunday + 1));
	tariff_free(t);
}

static void
calendar_days_have_their_listed_type(void **state)
{
	Tariff *t = tariff(SAMPLE);
	const int32_t wednesday = cal_day(2023, 7, 5);
	const int32_t saturday = wednesday + 3;
	const int32_t days[] = { saturday, wednesday + 14, wednesday, wednesday + 7 };
	const char *const types[] = { "workday", "weekend", "holiday", "festival" };

	(void) state;
	assert_int_equal(0, period_at(t, wednesday, 8 * 60));
	assert_int_equal(1, period_at(t, wednesday, 8 * 60 - 1));
	assert_int_equal(0, period_at(t, wednesday, 22 * 60 - 1));
	assert_int_equal(1, period_at(t, wednesday, 22 * 60));
	assert_int_equal(1, period_at(t, saturday, 12 * 60));
	tariff_set_calendar(t, 4, days, types);
	assert_int_equal(1, period_at(t, wednesday, 12 * 60));
	assert_int_equal(0, period_at(t, saturday, 12 * 60));
	assert_int_equal(2, tariff_day_type(t, wednesday));
	assert_int_equal(TARIFF_WORKDAY, tariff_day_type(t, saturday));
	assert_int_equal(1, tariff_day_type(t, wednesday + 14));
	/* A type that the tariff does not name takes the rows without day type. */
	assert_int_equal(-1, tariff_day_type(t, wednesday + 7));
	assert_int_equal(1, period_at(t, wednesday + 7, 12 * 60));
	assert_int_equal(TARIFF_WORKDAY, tariff_day_type(t, wednesday + 1));
	tariff_set_calendar(t, 0, NULL, NULL);
	assert_int_equal(TARIFF_WORKDAY, tariff_day_type(t, wednesday));
	tariff_free(t);
}

/* A type no weekday has need not be in the schedule when there is no calendar. */
static void
weekdays_may_all_have_declared_types(void **state)
{
	Tariff *t = tariff(
		TWO("'day_types': [{'name': 'x', 'days': [1,2,3,4,5]}, {'name': 'y', 'days': [6,7]}],"
			"'schedule': [{'day_type': 'x', 'slots': [['00:00', 'a']]}, {'day_type': 'y', 'slots': "
			"[['00:00', 'b']]}]"));

	(void) state;
	assert_int_equal(1, period_at(t, cal_day(2023, 1, 1), 0));
	assert_int_equal(0, period_at(t, cal_day(2023, 1, 2), 0));
	tariff_free(t);
}

static void
seasons_are_half_open_and_wrap(void **state)
{
	Tariff *t = tariff("{'prices': 1, 'seasons': [{'name': 'leap', 'from': '02-29', 'to': '03-01'},"
					   "{'name': 'rest', 'from': '03-01', 'to': '02-29'}]}");

	(void) state;
	assert_int_equal(0, tariff_season(t, cal_day(2024, 2, 29)));
	assert_int_equal(1, tariff_season(t, cal_day(2024, 2, 28)));
	assert_int_equal(1, tariff_season(t, cal_day(2024, 3, 1)));
	assert_int_equal(1, tariff_season(t, cal_day(2023, 2, 28)));
	assert_int_equal(1, tariff_season(t, cal_day(2023, 3, 1)));
	tariff_free(t);
	t = tariff("{'prices': 1, " HALVES "}");
	assert_int_equal(1, tariff_season(t, cal_day(2023, 3, 31)));
	assert_int_equal(0, tariff_season(t, cal_day(2023, 4, 1)));
	assert_int_equal(0, tariff_season(t, cal_day(2023, 9, 30)));
	assert_int_equal(1, tariff_season(t, cal_day(2023, 10, 1)));
	assert_int_equal(1, tariff_season(t, cal_day(2023, 12, 31)));
	assert_int_equal(1, tariff_season(t, cal_day(2024, 1, 1)));
	tariff_free(t);
}

static void
equal_neighbour_slots_are_merged(void **state)
{
	Tariff *t = tariff(
		SLOTS("['00:00', 'a'], ['06:00', 'a'], ['12:00', 'b'], ['18:00', 'b'], ['23:59', 'a']"));

	(void) state;
	assert_int_equal(3, tariff_row(t, 0)->n);
	assert_int_equal(12 * 60, tariff_row(t, 0)->slot[1].minute);
	assert_int_equal(23 * 60 + 59, tariff_row(t, 0)->slot[2].minute);
	tariff_free(t);
}

static void
assert_accumulation(const Tariff *t, int32_t day, int32_t start, int32_t end)
{
	int32_t s;
	int32_t e;

	tariff_accumulation(t, day, &s, &e);
	assert_int_equal(start, s);
	assert_int_equal(end, e);
}

static void
accumulation_periods(void **state)
{
	Tariff *t = tariff(TIERS("'upto': [10], 'anchor': '31'"));

	(void) state;
	assert_accumulation(t, cal_day(2023, 1, 30), cal_day(2022, 12, 31), cal_day(2023, 1, 31));
	assert_accumulation(t, cal_day(2023, 1, 31), cal_day(2023, 1, 31), cal_day(2023, 2, 28));
	assert_accumulation(t, cal_day(2023, 2, 28), cal_day(2023, 2, 28), cal_day(2023, 3, 31));
	assert_accumulation(t, cal_day(2024, 2, 28), cal_day(2024, 1, 31), cal_day(2024, 2, 29));
	assert_accumulation(t, cal_day(2024, 2, 29), cal_day(2024, 2, 29), cal_day(2024, 3, 31));
	assert_accumulation(t, cal_day(2023, 4, 30), cal_day(2023, 4, 30), cal_day(2023, 5, 31));
	tariff_free(t);

	t = tariff(TIERS("'upto': [10], 'anchor': '07-15'"));
	assert_accumulation(t, cal_day(2023, 1, 14), cal_day(2022, 12, 15), cal_day(2023, 1, 15));
	assert_accumulation(t, cal_day(2023, 1, 15), cal_day(2023, 1, 15), cal_day(2023, 2, 15));
	tariff_free(t);

	t = tariff(TIERS("'upto': [10], 'accumulate': 'quarter', 'anchor': '02-15'"));
	assert_accumulation(t, cal_day(2023, 2, 14), cal_day(2022, 11, 15), cal_day(2023, 2, 15));
	assert_accumulation(t, cal_day(2023, 2, 15), cal_day(2023, 2, 15), cal_day(2023, 5, 15));
	assert_accumulation(t, cal_day(2023, 12, 31), cal_day(2023, 11, 15), cal_day(2024, 2, 15));
	assert_accumulation(t, cal_day(2024, 1, 1), cal_day(2023, 11, 15), cal_day(2024, 2, 15));
	tariff_free(t);

	t = tariff(TIERS("'upto': [10], 'accumulate': 'quarter', 'anchor': '12-31'"));
	assert_accumulation(t, cal_day(2023, 6, 29), cal_day(2023, 3, 31), cal_day(2023, 6, 30));
	assert_accumulation(t, cal_day(2023, 6, 30), cal_day(2023, 6, 30), cal_day(2023, 9, 30));
	tariff_free(t);

	t = tariff(TIERS("'upto': [10], 'accumulate': 'year', 'anchor': '02-29'"));
	assert_accumulation(t, cal_day(2024, 2, 28), cal_day(2023, 2, 28), cal_day(2024, 2, 29));
	assert_accumulation(t, cal_day(2024, 2, 29), cal_day(2024, 2, 29), cal_day(2025, 2, 28));
	assert_accumulation(t, cal_day(2025, 2, 28), cal_day(2025, 2, 28), cal_day(2026, 2, 28));
	tariff_free(t);

	t = tariff(TIERS("'upto': [10], 'accumulate': 'year'"));
	assert_accumulation(t, cal_day(2023, 12, 31), cal_day(2023, 1, 1), cal_day(2024, 1, 1));
	assert_accumulation(t, cal_day(2024, 1, 1), cal_day(2024, 1, 1), cal_day(2025, 1, 1));
	assert_accumulation(t, cal_day(1999, 6, 1), cal_day(1999, 1, 1), cal_day(2000, 1, 1));
	tariff_free(t);
}

/* First day of the accumulation period that a day lies in, by listing them. */
static int32_t
listed_begin(int step, int anchor_month, int anchor_day, int32_t day)
{
	int32_t begin = INT32_MIN;
	int year;
	int month;
	int mday;

	cal_civil(day, &year, &month, &mday);
	for (int y = year - 2; y <= year; y++)
		for (int m = 1; m <= 12; m++)
		{
			int last = cal_days_in_month(y, m);
			int32_t candidate = cal_day(y, m, anchor_day < last ? anchor_day : last);

			if ((m - anchor_month + 12) % step == 0 && candidate <= day && candidate > begin)
				begin = candidate;
		}
	return begin;
}

/* Over leap years, and years that are none though divisible by four. */
static void
accumulation_periods_as_listed(void **state)
{
	static const struct
	{
		const char *kind;
		int step;
	} kinds[] = { { "month", 1 }, { "day_allowance", 1 }, { "quarter", 3 }, { "year", 12 } };
	static const int anchors[][2] = { { 1, 1 },	  { 1, 31 }, { 2, 28 },	 { 2, 29 }, { 3, 30 },
									  { 11, 30 }, { 12, 1 }, { 12, 31 }, { 8, 31 }, { 7, 15 } };
	static const int years[][2] = { { 2023, 2030 }, { 2096, 2105 }, { 1999, 2001 } };

	(void) state;
	for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
		for (size_t a = 0; a < sizeof(anchors) / sizeof(*anchors); a++)
			for (size_t y = 0; y < sizeof(years) / sizeof(*years); y++)
			{
				char json[200];
				Tariff *t;

				sprintf(json, TIERS("'upto': [10], 'accumulate': '%s', 'anchor': '%02d-%02d'"),
						kinds[k].kind, anchors[a][0], anchors[a][1]);
				t = tariff(json);
				for (int32_t day = cal_day(years[y][0], 1, 1); day < cal_day(years[y][1], 1, 1);
					 day++)
				{
					int32_t start;
					int32_t end;

					tariff_accumulation(t, day, &start, &end);
					assert_int_equal(listed_begin(kinds[k].step, anchors[a][0], anchors[a][1], day),
									 start);
					assert_int_equal(
						end, listed_begin(kinds[k].step, anchors[a][0], anchors[a][1], end));
					assert_true(end > day);
				}
				tariff_free(t);
			}
}

/* Accumulation periods tile time: each day lies in its own, and the next begins where it ends. */
static void
accumulation_periods_touch(void **state)
{
	static const char *const kinds[] = { "month", "quarter", "year", "day_allowance" };
	static const char *const anchors[] = { "01-01", "01-31", "02-29", "12-30", "11-15" };

	(void) state;
	for (size_t k = 0; k < 4; k++)
		for (size_t a = 0; a < 5; a++)
		{
			char json[200];
			Tariff *t;
			int32_t end = 0;

			sprintf(json, TIERS("'upto': [10], 'accumulate': '%s', 'anchor': '%s'"), kinds[k],
					anchors[a]);
			t = tariff(json);
			for (int32_t day = cal_day(1898, 1, 1); day < cal_day(1906, 1, 1); day++)
			{
				int32_t s;
				int32_t e;

				tariff_accumulation(t, day, &s, &e);
				assert_true(s <= day && day < e);
				assert_true(end == 0 || e == end || s == end);
				end = e;
			}
			tariff_free(t);
		}
}

/* Bounds on the first day of a period, wider by so many Wh a month for ever. */
static bool
bounds(const Tariff *t, int season, int32_t start, int32_t end, int64_t wh_per_month,
	   int64_t *bound)
{
	TariffExtraStep step = { INT32_MIN, wh_per_month };
	TariffExtra extra = { 1, &step };

	return tariff_bounds(t, season, start, end, start, &extra, bound);
}

/* A month that is over keeps its extension; the others have what is in force on the day. */
static void
extension_changes_within_a_year(void **state)
{
	Tariff *t = tariff(TIERS("'upto': [100], 'accumulate': 'year', 'anchor': '01-31'"));
	TariffExtraStep step[] = { { cal_day(2024, 2, 15), 1000 }, { cal_day(2024, 6, 1), 3000 } };
	TariffExtra extra = { 2, step };
	const int32_t start = cal_day(2024, 1, 31);
	const int32_t end = cal_day(2025, 1, 31);
	int64_t bound[TARIFF_MAX_TIERS];

	(void) state;
	assert_true(tariff_bounds(t, 0, start, end, start, NULL, bound));
	assert_int_equal(100000, bound[0]);
	assert_true(tariff_bounds(t, 0, start, end, cal_day(2024, 2, 14), &extra, bound));
	assert_int_equal(100000, bound[0]);
	/* Of the month that begins on 31 January the extension counts whole. */
	assert_true(tariff_bounds(t, 0, start, end, cal_day(2024, 2, 15), &extra, bound));
	assert_int_equal(112000, bound[0]);
	assert_true(tariff_bounds(t, 0, start, end, cal_day(2024, 5, 31), &extra, bound));
	assert_int_equal(112000, bound[0]);
	/* Four months are over at 1000, the one that begins on 31 May and seven more have 3000. */
	assert_true(tariff_bounds(t, 0, start, end, cal_day(2024, 6, 1), &extra, bound));
	assert_int_equal(100000 + 4 * 1000 + 8 * 3000, bound[0]);
	assert_true(tariff_bounds(t, 0, start, end, end - 1, &extra, bound));
	assert_int_equal(100000 + 4 * 1000 + 8 * 3000, bound[0]);
	tariff_free(t);
}

static void
bounds_by_kind(void **state)
{
	Tariff *t = tariff(TIERS("'upto': [10.5], 'accumulate': 'day_allowance'"));
	int64_t bound[TARIFF_MAX_TIERS];

	(void) state;
	assert_true(bounds(t, 0, cal_day(2024, 2, 1), cal_day(2024, 3, 1), 100000, bound));
	assert_int_equal(29 * 10500 + 100000, bound[0]);
	assert_true(bounds(t, 0, cal_day(2024, 3, 1), cal_day(2024, 4, 1), 0, bound));
	assert_int_equal(31 * 10500, bound[0]);
	assert_false(bounds(t, 0, 0, 31, INT64_MAX, bound));
	tariff_free(t);

	t = tariff("{'prices': [1, 2, 3], " HALVES
			   ", 'tiers': {'accumulate': 'year', 'upto': {'s': [1, 2], 'w': [3, 4]}}}");
	assert_true(bounds(t, 1, 0, 366, 100000, bound));
	assert_int_equal(1203000, bound[0]);
	assert_int_equal(1204000, bound[1]);
	assert_true(bounds(t, 0, 0, 366, 0, bound));
	assert_int_equal(2000, bound[1]);
	assert_false(bounds(t, 0, 0, 366, INT64_MAX / 6, bound));
	tariff_free(t);

	t = tariff(TIERS("'upto': [10], 'accumulate': 'quarter'"));
	assert_true(bounds(t, 0, 0, 91, 1000, bound));
	assert_int_equal(13000, bound[0]);
	tariff_free(t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sample_is_compiled),
		cmocka_unit_test(smallest_definitions),
		cmocka_unit_test(prices_take_three_forms),
		cmocka_unit_test(faults_are_refused_with_their_path),
		cmocka_unit_test(not_a_number_is_refused),
		cmocka_unit_test(limits_are_inclusive),
		cmocka_unit_test(notes_are_kept_apart_from_rating),
		cmocka_unit_test(nested_percentages_are_exact),
		cmocka_unit_test(extreme_percentages_fit),
		cmocka_unit_test(rows_by_specificity),
		cmocka_unit_test(calendar_days_have_their_listed_type),
		cmocka_unit_test(weekdays_may_all_have_declared_types),
		cmocka_unit_test(seasons_are_half_open_and_wrap),
		cmocka_unit_test(equal_neighbour_slots_are_merged),
		cmocka_unit_test(accumulation_periods),
		cmocka_unit_test(accumulation_periods_as_listed),
		cmocka_unit_test(accumulation_periods_touch),
		cmocka_unit_test(bounds_by_kind),
		cmocka_unit_test(extension_changes_within_a_year),
	};

	return cmocka_run_group_tests_name("tariff", tests, NULL, NULL);
}
