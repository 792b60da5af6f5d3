/*
 * test_urdb.c: rates of the Utility Rate Database as definitions.
 *
 * Schedules are written as twelve words, one a month; a word has a letter an hour, a for
 * period 0. A word of one letter is a day of that period.
 */
#include "fixture.h"
#include "urdb.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM 60000

static char *
put(char *end, const char *text)
{
	return stpcpy(end, text);
}

static char *
put_schedule(char *end, const char *key, const char *const *month)
{
	end += sprintf(end, ", \"%s\": [", key);
	for (int m = 0; m < 12; m++)
	{
		const char *hours = month[m] ? month[m] : month[0];

		end = put(end, m > 0 ? ", [" : "[");
		for (int hour = 0; hour < 24; hour++)
			end += sprintf(end, "%s%d", hour > 0 ? "," : "",
						   (hours[1] ? hours[hour] : hours[0]) - 'a');
		end = put(end, "]");
	}
	return put(end, "]");
}

/* A rate: the members of `rest`, in single quotes, and two schedules. */
static Doc *
rate_of(const char *rest, const char *const *weekday, const char *const *weekend)
{
	char *json = malloc(ROOM);
	char *end = put(json, "{");
	char error[200];
	Doc *doc;

	for (; *rest; rest++)
		*end++ = *rest == '\'' ? '"' : *rest;
	if (weekday)
		end = put_schedule(end, "energyweekdayschedule", weekday);
	if (weekend)
		end = put_schedule(end, "energyweekendschedule", weekend);
	put(end, "}");
	doc = doc_from_json(json, error, sizeof(error));
	if (doc == NULL)
		fail_msg("%s: %s", error, json);
	free(json);
	return doc;
}

static const char *const always[12] = { "a" };

/* The definition as compact JSON, in single quotes. */
static char *
put_doc(char *end, const Doc *doc)
{
	if (doc->kind == DOC_STRING)
		return end + sprintf(end, "'%s'", doc->text);
	if (doc->kind != DOC_ARRAY && doc->kind != DOC_OBJECT)
		return put(end, doc->text);
	*end++ = doc->kind == DOC_ARRAY ? '[' : '{';
	for (int i = 0; i < doc->n; i++)
	{
		if (i > 0)
			*end++ = ',';
		if (doc->kind == DOC_OBJECT)
			end += sprintf(end, "'%s':", doc->key[i]);
		end = put_doc(end, &doc->item[i]);
	}
	*end++ = doc->kind == DOC_ARRAY ? ']' : '}';
	*end = '\0';
	return end;
}

/* Import, which must succeed and be a tariff. */
static Tariff *
imported(Doc *rate, char *json)
{
	DocFault fault;
	Doc *definition = urdb_definition(rate, &fault);
	Tariff *tariff;

	if (definition == NULL)
		fail_msg("%s: %s", fault.path, fault.what);
	put_doc(json, definition);
	tariff = tariff_load(definition, &fault);
	if (tariff == NULL)
		fail_msg("%s: %s in %s", fault.path, fault.what, json);
	doc_free(definition);
	doc_free(rate);
	return tariff;
}

static void
assert_definition(const char *rest, const char *const *weekday, const char *const *weekend,
				  const char *expected)
{
	static char json[ROOM];

	tariff_free(imported(rate_of(rest, weekday, weekend), json));
	assert_string_equal(expected, json);
}

static void
flat_rates(void **state)
{
	(void) state;
	assert_definition("'label': '539fc010ec4f024c27d8984b', 'utility': 'City of Example',"
					  " 'name': 'Residential', 'approved': true, 'startdate': 1388552400,"
					  " 'sector': 'Residential', 'voltageminimum': 120,"
					  " 'energyratestructure': [[{'rate': 0.0862, 'unit': 'kWh', 'adj': 0.0031}]],"
					  " 'fixedchargefirstmeter': 12.5, 'fixedchargeunits': '$/month',"
					  " 'flatdemandstructure': [[{'rate': 0, 'adj': 0}]],"
					  " 'flatdemandmonths': [0,0,0,0,0,0,0,0,0,0,0,0]",
					  always, always,
					  "{'prices':0.0893,'standing':[{'name':'fixed charge','amount':12.5,"
					  "'per':'month'}]}");
	/* One period needs no schedule. */
	assert_definition("'energyratestructure': [[{'rate': -0.01}]], 'fixedchargefirstmeter': 0",
					  NULL, NULL, "{'prices':-0.01}");
	assert_definition(
		"'energyratestructure': [[{'rate': 0}]], 'fixedchargefirstmeter': 0.329,"
		" 'fixedchargeunits': '$/day', 'mincharge': 0, 'usenetmetering': false,"
		" 'fueladjustmentsmonthly': [0,0,0,0,0,0,0,0,0,0,0,0.0]",
		always, always,
		"{'prices':0,'standing':[{'name':'fixed charge','amount':0.329,'per':'day'}]}");
}

static void
tiered_rates(void **state)
{
	(void) state;
	assert_definition("'energyratestructure': [[{'max': 500, 'unit': 'kWh', 'rate': 0.0901},"
					  " {'max': 1000, 'unit': 'kWh', 'rate': 0.1099, 'adj': -0.0004},"
					  " {'unit': 'kWh', 'rate': 0.1305}]]",
					  always, always,
					  "{'tiers':{'accumulate':'month','upto':[500,1000]},"
					  "'prices':[0.0901,0.1095,0.1305]}");
	assert_definition(
		"'energyratestructure': [[{'max': 10.1, 'unit': 'kWh daily', 'rate': 0.29},"
		" {'rate': 0.37, 'unit': 'kWh daily', 'max': 1e38}]]",
		always, always,
		"{'tiers':{'accumulate':'day_allowance','upto':[10.1]},'prices':[0.29,0.37]}");
}

/* Summer, winter, and a spring and autumn that are alike but apart; weekends without a peak. */
static void
seasonal_time_of_use(void **state)
{
	static const char *const weekday[12] = {
		"c",
		"c",
		"ddddddddddddddddddcccddd",
		"ddddddddddddddddddcccddd",
		"ddddddddddddddddddcccddd",
		"aaaaaaaaaaaabbbbbbaaaaaa",
		"aaaaaaaaaaaabbbbbbaaaaaa",
		"aaaaaaaaaaaabbbbbbaaaaaa",
		"aaaaaaaaaaaabbbbbbaaaaaa",
		"ddddddddddddddddddcccddd",
		"c",
		"c",
	};
	static const char *const weekend[12] = { "c", "c", "d", "d", "d", "a",
											 "a", "a", "a", "d", "c", "c" };

	(void) state;
	assert_definition(
		"'energyratestructure': [[{'rate': 0.11}], [{'rate': 0.29}], [{'rate': 0.10}],"
		" [{'rate': 0.08}]]",
		weekday, weekend,
		"{'periods':['period 1','period 2','period 3','period 4'],"
		"'seasons':[{'name':'Mar-May','from':'03-01','to':'06-01'},"
		"{'name':'Jun-Sep','from':'06-01','to':'10-01'},{'name':'Oct','from':'10-01','to':'11-01'},"
		"{'name':'Nov-Feb','from':'11-01','to':'03-01'}],"
		"'day_types':[{'name':'weekend','days':[6,7]}],"
		"'schedule':[{'season':'Mar-May','day_type':'weekend','slots':[['00:00','period 4']]},"
		"{'season':'Mar-May','slots':[['00:00','period 4'],['18:00','period 3'],"
		"['21:00','period 4']]},"
		"{'season':'Jun-Sep','day_type':'weekend','slots':[['00:00','period 1']]},"
		"{'season':'Jun-Sep','slots':[['00:00','period 1'],['12:00','period 2'],"
		"['18:00','period 1']]},"
		"{'season':'Oct','day_type':'weekend','slots':[['00:00','period 4']]},"
		"{'season':'Oct','slots':[['00:00','period 4'],['18:00','period 3'],['21:00','period 4']]},"
		"{'season':'Nov-Feb','slots':[['00:00','period 3']]}],"
		"'prices':{'period 1':0.11,'period 2':0.29,'period 3':0.1,'period 4':0.08}}");
}

/* A season over new year is one, wherever it begins. */
static void
seasons_over_new_year(void **state)
{
	static const char *const winter[12] = { "b", "b", "a", "a", "a", "a",
											"a", "a", "a", "a", "a", "b" };
	static char json[ROOM];

	(void) state;
	tariff_free(imported(
		rate_of("'energyratestructure': [[{'rate': 1}], [{'rate': 2}]]", winter, winter), json));
	assert_non_null(strstr(json, "'seasons':[{'name':'Mar-Nov','from':'03-01','to':'12-01'},"
								 "{'name':'Dec-Feb','from':'12-01','to':'03-01'}]"));
}

#define EV "aaaaaabbbbbbbbbbccccccbb"

/* Labels of the rate name its periods, unless they are no names or not different ones. */
static void
electric_vehicle_rate(void **state)
{
	static const char *const day[12] = { EV };
	static const char *const schedule =
		"'schedule':[{'slots':[['00:00','%s'],['06:00','%s'],['16:00','%s'],['22:00','%s']]}]";
	static const char *const labels[] = { "['Super Off-Peak', 'Off-Peak', 'On-Peak']",
										  "['Off', 'Off', 'On']",
										  "['Off', ' On', 'On']",
										  "['Off', 'Mid']",
										  "['a', null, 'c']",
										  "'none'" };
	static char json[ROOM];
	char rest[1000];
	char expected[1000];

	(void) state;
	for (size_t i = 0; i < sizeof(labels) / sizeof(*labels); i++)
	{
		static const char *const by_number[] = { "period 1", "period 2", "period 3" };
		static const char *const by_label[] = { "Super Off-Peak", "Off-Peak", "On-Peak" };
		const char *const *name = i == 0 ? by_label : by_number;

		sprintf(rest,
				"'energyratestructure': [[{'rate': 0.10986, 'adj': 0.00115}], [{'rate': 0.19829,"
				" 'adj': 0.00115}], [{'rate': 0.38755, 'adj': 0.00115}]], 'energytoulabels': %s,"
				" 'energycomments': 'Rate = Delivery + Generation'",
				labels[i]);
		tariff_free(imported(rate_of(rest, day, day), json));
		sprintf(expected, schedule, name[0], name[1], name[2], name[1]);
		assert_non_null(strstr(json, expected));
		assert_null(strstr(json, "notes"));
		assert_null(strstr(json, "seasons"));
		assert_null(strstr(json, "day_type"));
	}
}

#define SUMMER_WINTER "b", "b", "b", "b", "b", "a", "a", "a", "a", "b", "b", "b"

/* Months do not share energy, so each season may have its tiers. */
static void
tiers_by_season(void **state)
{
	static const char *const halves[12] = { SUMMER_WINTER };

	(void) state;
	assert_definition("'energyratestructure': [[{'max': 500, 'rate': 0.12}, {'rate': 0.16}],"
					  " [{'max': 800, 'rate': 0.09}, {'rate': 0.11}]]",
					  halves, halves,
					  "{'periods':['period 1','period 2'],"
					  "'seasons':[{'name':'Jun-Sep','from':'06-01','to':'10-01'},"
					  "{'name':'Oct-May','from':'10-01','to':'06-01'}],"
					  "'schedule':[{'season':'Jun-Sep','slots':[['00:00','period 1']]},"
					  "{'season':'Oct-May','slots':[['00:00','period 2']]}],"
					  "'tiers':{'accumulate':'month','upto':{'Jun-Sep':[500],'Oct-May':[800]}},"
					  "'prices':{'period 1':[0.12,0.16],'period 2':[0.09,0.11]}}");
	/* Another number of tiers: the bounds of both, and each price over all it covers. */
	assert_definition(
		"'energyratestructure': [[{'max': 500, 'rate': 0.12}, {'rate': 0.16}],"
		" [{'max': 300, 'rate': 0.09}, {'max': 800, 'rate': 0.10}, {'rate': 0.11}]]",
		halves, halves,
		"{'periods':['period 1','period 2'],"
		"'seasons':[{'name':'Jun-Sep','from':'06-01','to':'10-01'},"
		"{'name':'Oct-May','from':'10-01','to':'06-01'}],"
		"'schedule':[{'season':'Jun-Sep','slots':[['00:00','period 1']]},"
		"{'season':'Oct-May','slots':[['00:00','period 2']]}],"
		"'tiers':{'accumulate':'month','upto':[300,500,800]},"
		"'prices':{'period 1':[0.12,0.12,0.16,0.16],'period 2':[0.09,0.1,0.1,0.11]}}");
	/* No tiers in winter. */
	assert_definition("'energyratestructure': [[{'max': 500, 'rate': 0.12}, {'rate': 0.16}],"
					  " [{'rate': 0.09}]]",
					  halves, halves,
					  "{'periods':['period 1','period 2'],"
					  "'seasons':[{'name':'Jun-Sep','from':'06-01','to':'10-01'},"
					  "{'name':'Oct-May','from':'10-01','to':'06-01'}],"
					  "'schedule':[{'season':'Jun-Sep','slots':[['00:00','period 1']]},"
					  "{'season':'Oct-May','slots':[['00:00','period 2']]}],"
					  "'tiers':{'accumulate':'month','upto':[500]},"
					  "'prices':{'period 1':[0.12,0.16],'period 2':0.09}}");
}

/* The notes of a rate, joined. */
static const char *
notes_of(const char *rest, const char *const *schedule)
{
	static char notes[ROOM];
	Doc *rate = rate_of(rest, schedule, schedule);
	DocFault fault;
	Doc *definition = urdb_definition(rate, &fault);
	Tariff *tariff;
	const Doc *list;

	if (definition == NULL)
		fail_msg("%s: %s", fault.path, fault.what);
	tariff = tariff_load(definition, &fault);
	assert_non_null(tariff);
	tariff_free(tariff);
	list = doc_get(definition, "notes");
	notes[0] = '\0';
	for (int i = 0; list && i < list->n; i++)
		sprintf(notes + strlen(notes), "%s%s", i ? "|" : "", list->item[i].text);
	doc_free(definition);
	doc_free(rate);
	return notes;
}

#define FLAT "'energyratestructure': [[{'rate': 0.1}]], "

static void
what_is_lost_is_said(void **state)
{
	static const struct
	{
		const char *rest;
		const char *note;
	} lost[] = {
		{ FLAT "'demandratestructure': [[{'rate': 9.5}]]", "(demandratestructure)" },
		{ FLAT "'flatdemandstructure': [[{'rate': 0}], [{'rate': 0, 'adj': 0.5}]]",
		  "(flatdemandstructure)" },
		{ FLAT "'coincidentratestructure': [[{'rate': 2}]]", "(coincidentratestructure)" },
		{ FLAT "'demandreactivepowercharge': 0.52", "(demandreactivepowercharge)" },
		{ FLAT "'fueladjustmentsmonthly': [0,0,0,0,0,0,0,0,0,0,0,0.001]",
		  "(fueladjustmentsmonthly)" },
		{ FLAT "'mincharge': 5, 'minchargeunits': '$/month'", "the minimum bill" },
		{ FLAT "'dgrules': 'Net Metering'", "(dgrules)" },
		{ FLAT "'usenetmetering': true", "(usenetmetering)" },
		{ FLAT "'energyattrs': [{'PCA': '$0.004 per kWh'}]", "(energyattrs)" },
		{ FLAT "'fixedchargeeaaddl': 3", "each further meter" },
		{ FLAT "'fixedchargefirstmeter': 120, 'fixedchargeunits': '$/year'", "\"$/year\"" },
		{ FLAT "'fixedchargefirstmeter': 120", "the fixed charge" },
		{ FLAT "'solarcharge': {'a': {'b': {'c': {'d': {'e': 0}}}}}, 'sun': 7, 'rain': 0",
		  "because not known: solarcharge, sun" },
		{ "'energyratestructure': [[{'rate': 0.1, 'sell': 0.05}]]", "(sell)" },
		{ "'energyratestructure': [[{'rate': 0.1}], [{'rate': 0.2}], []]", "schedules has: 2" },
		{ "'energyratestructure': [[{'rate': 0.1, 'max': 800}]]", "\"max\"" },
		{ "'energyratestructure': [[{'rate': 0.1, 'adj': 0.0000005}]]", "6 decimals are rounded" },
		{ "'energyratestructure': [[{'rate': 0.1, 'max': 16.4474, 'unit': 'kWh daily'},"
		  " {'rate': 0.2}]]",
		  "finer than 1 Wh" },
		{ FLAT "'fixedchargefirstmeter': 0.12345678, 'fixedchargeunits': '$/day'",
		  "the fixed charge is rounded" },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(lost) / sizeof(*lost); i++)
	{
		const char *notes = notes_of(lost[i].rest, always);

		if (strstr(notes, lost[i].note) == NULL || strchr(notes, '|'))
			fail_msg("%s\n gives %s", lost[i].rest, notes);
	}
	assert_string_equal("", notes_of(FLAT "'rain': [[0, {'a': ''}], false, null]", always));
}

/* Several periods with tiers: how they are counted is said, and only then. */
static void
reading_of_tiers_is_said(void **state)
{
	static const char *const day[12] = { "aaaaaaaabbbbbbbbbbbbaaaa" };
	static const char *const halves[12] = { SUMMER_WINTER };
	static const char *const tiered =
		"'energyratestructure': [[{'max': 500, 'rate': 0.1}, {'rate': 0.2}],"
		" [{'max': 500.000, 'rate': 0.3}, {'rate': 0.4}]]";

	(void) state;
	assert_non_null(strstr(notes_of(tiered, day), "energy of all periods"));
	assert_string_equal("", notes_of(tiered, halves));
	assert_non_null(
		strstr(notes_of("'energyratestructure': [[{'max': 500, 'rate': 0.1}, {'rate': 0.2}],"
						" [{'rate': 0.3}]]",
						day),
			   "energy of all periods"));
}

static void
prices_are_decimals(void **state)
{
	static const struct
	{
		const char *tier;
		const char *price;
	} prices[] = {
		{ "'rate': 0.05312000000000001", "0.05312" },
		{ "'rate': 0.0531, 'adj': -1.3877787807814457e-17", "0.0531" },
		{ "'rate': 0.1, 'adj': 0.2", "0.3" },
		{ "'rate': 0.0000005", "0.000001" },
		{ "'rate': -0.0000005", "-0.000001" },
		{ "'rate': 0.0000014999999999999999999999999999999", "0.000001" },
		{ "'rate': 0.00000025, 'adj': 0.00000025", "0.000001" },
		{ "'rate': 1e-1, 'adj': null", "0.1" },
		{ "'rate': 999999.9999994", "999999.999999" },
	};
	static char json[ROOM];

	(void) state;
	for (size_t i = 0; i < sizeof(prices) / sizeof(*prices); i++)
	{
		char rest[200];
		char expected[100];

		sprintf(rest, "'energyratestructure': [[{%s}]]", prices[i].tier);
		sprintf(expected, "{'prices':%s", prices[i].price);
		tariff_free(imported(rate_of(rest, always, always), json));
		if (strncmp(expected, json, strlen(expected)) != 0)
			fail_msg("%s gives %s", rest, json);
	}
}

typedef struct Refusal
{
	const char *rest;
	const char *path;
	const char *what;
} Refusal;

#define ONE(tiers) "'energyratestructure': [[" tiers "]]"
#define TWO_TIERS(first) ONE("{" first "}, {'rate': 0.2}")

static void
assert_refused(Doc *rate, const char *path, const char *what)
{
	DocFault fault = { "", "", "" };

	if (urdb_definition(rate, &fault))
		fail_msg("accepted, not %s: %s", path, what);
	doc_free(rate);
	if (strcmp(fault.path, path) != 0 || strstr(fault.what, what) == NULL)
		fail_msg("gives %s: %s\n not %s: %s", fault.path, fault.what, path, what);
	if (fault.hint[0] == '\0' || fault.hint[strlen(fault.hint) - 1] != '.')
		fail_msg("no hint for %s: %s", fault.path, fault.what);
}

static void
faults_of_prices(void **state)
{
	static const Refusal refusals[] = {
		{ "'name': 'x'", "energyratestructure", "missing" },
		{ "'items': []", "energyratestructure", "missing" },
		{ "'energyratestructure': null", "energyratestructure", "missing" },
		{ "'energyratestructure': {}", "energyratestructure", "expected an array" },
		{ "'energyratestructure': []", "energyratestructure", "empty" },
		{ "'energyratestructure': [7]", "energyratestructure[0]", "expected an array" },
		{ "'energyratestructure': [[]]", "energyratestructure[0]", "0 tiers" },
		{ ONE("7"), "energyratestructure[0][0]", "expected an object" },
		{ ONE("{}"), "energyratestructure[0][0].rate", "missing" },
		{ ONE("{'rate': null}"), "energyratestructure[0][0].rate", "missing" },
		{ ONE("{'rate': '0.1'}"), "energyratestructure[0][0].rate", "found a text" },
		{ ONE("{'adj': 0.1}"), "energyratestructure[0][0].rate", "missing" },
		{ ONE("{'rate': 0.1, 'adj': '0'}"), "energyratestructure[0][0].adj", "found a text" },
		{ ONE("{'rate': 1000000.0000005}"), "energyratestructure[0][0].rate", "out of range" },
		{ ONE("{'rate': 1e300}"), "energyratestructure[0][0].rate", "out of range" },
		{ ONE("{'rate': -1e14, 'adj': -1e14}"), "energyratestructure[0][0].rate", "out of range" },
		{ ONE("{'rate': 0.1, 'max': 'none'}"), "energyratestructure[0][0].max", "found a text" },
		{ ONE("{'rate': 0.1, 'unit': 7}"), "energyratestructure[0][0].unit", "found a number" },
		{ ONE("{'rate': 0.1, 'unit': 'kVAh'}"), "energyratestructure[0][0].unit", "unknown unit" },
		{ TWO_TIERS("'rate': 0.1"), "energyratestructure[0][0].max", "missing" },
		{ TWO_TIERS("'rate': 0.1, 'max': 0"), "energyratestructure[0][0].max", "not above 0" },
		{ TWO_TIERS("'rate': 0.1, 'max': 0.0004"), "energyratestructure[0][0].max", "not above 0" },
		{ TWO_TIERS("'rate': 0.1, 'max': -5"), "energyratestructure[0][0].max", "not above 0" },
		{ TWO_TIERS("'rate': 0.1, 'max': 1e38"), "energyratestructure[0][0].max", "out of range" },
		{ TWO_TIERS("'rate': 0.1, 'max': 200, 'unit': 'kWh/kW'"), "energyratestructure[0][0].unit",
		  "depend on the demand" },
		{ TWO_TIERS("'rate': 0.1, 'max': 200, 'unit': 'kWh/kW daily'"),
		  "energyratestructure[0][0].unit", "depend on the demand" },
		{ ONE("{'rate': 1, 'max': 9}, {'rate': 1, 'max': 9}, {'rate': 1}"),
		  "energyratestructure[0][1].max", "not above the tier before" },
		{ ONE("{'rate': 1, 'max': 9}, {'rate': 1, 'max': 10, 'unit': 'kWh daily'}, {'rate': 1}"),
		  "energyratestructure[0][1].unit", "mixed" },
		{ FLAT "'fixedchargefirstmeter': '5'", "fixedchargefirstmeter", "found a text" },
		{ FLAT "'fixedchargefirstmeter': 1e10, 'fixedchargeunits': '$/day'",
		  "fixedchargefirstmeter", "out of range" },
	};
	Doc list = { .kind = DOC_ARRAY };
	DocFault fault;

	(void) state;
	for (size_t i = 0; i < sizeof(refusals) / sizeof(*refusals); i++)
		assert_refused(rate_of(refusals[i].rest, always, always), refusals[i].path,
					   refusals[i].what);
	assert_null(urdb_definition(&list, &fault));
	assert_string_equal("", fault.path);
	/* The answer of the API holds a list of rates. */
	assert_refused(rate_of("'items': [{}]", NULL, NULL), "energyratestructure", "missing");
}

static void
faults_of_schedules(void **state)
{
	static const char *const mixed[12] = { "aaaaaaaaaaaabbbbbbbbbbbb" };
	static const char *const beyond[12] = { "a", "a", "aaaacaaaaaaaaaaaaaaaaaaa" };
	static const char *const many[12] = { "abcdefghijklmnopqrstuvwx" };
	static const char *const halves[12] = { SUMMER_WINTER };
	static const char *const two = "'energyratestructure': [[{'rate': 0.1}], [{'rate': 0.2}]]";
	char rest[4000];
	char *end;

	(void) state;
	assert_refused(rate_of(two, NULL, NULL), "energyweekdayschedule", "missing");
	assert_refused(rate_of(two, always, NULL), "energyweekendschedule", "missing");
	assert_refused(rate_of(FLAT "'a': 1", NULL, always), "energyweekdayschedule", "missing");
	sprintf(rest, "%s, 'energyweekdayschedule': 7", two);
	assert_refused(rate_of(rest, NULL, always), "energyweekdayschedule", "expected an array");
	sprintf(rest, "%s, 'energyweekdayschedule': [[0]]", two);
	assert_refused(rate_of(rest, NULL, always), "energyweekdayschedule", "1 months");
	sprintf(rest, "%s, 'energyweekdayschedule': [0,0,0,0,0,0,0,0,0,0,0,0]", two);
	assert_refused(rate_of(rest, NULL, always), "energyweekdayschedule[0]", "expected an array");
	sprintf(rest, "%s, 'energyweekdayschedule': [[0],0,0,0,0,0,0,0,0,0,0,0]", two);
	assert_refused(rate_of(rest, NULL, always), "energyweekdayschedule[0]", "1 hours");
	assert_refused(rate_of(two, always, beyond), "energyweekendschedule[2][4]", "no period 2");
	end = put(rest, two);
	end = put(end, ", 'energyweekdayschedule': [[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,");
	for (const char *const *bad = (const char *const[]){ "-1", "1.5", "'1'", "2", "1e30", NULL };
		 *bad; bad++)
	{
		char *at = put(end, *bad);

		put(at, "],0,0,0,0,0,0,0,0,0,0,0]");
		assert_refused(rate_of(rest, NULL, always), "energyweekdayschedule[0][23]", "");
	}

	/* Two periods of one month whose tiers end elsewhere have no common meaning. */
	strcpy(rest, "'energyratestructure': [[{'max': 500, 'rate': 0.1}, {'rate': 0.2}],"
				 " [{'max': 501, 'rate': 0.3}, {'rate': 0.4}]]");
	assert_refused(rate_of(rest, mixed, mixed), "energyratestructure[1]", "both hold in Jan-Dec");
	assert_refused(rate_of(rest, always, halves), "energyratestructure[1]", "both hold in Oct-May");

	end = put(rest, "'energyratestructure': [");
	for (int i = 0; i < 24; i++)
		end += sprintf(end, "%s[{'rate': 0.%d}]", i ? "," : "", i + 1);
	put(end, "]");
	assert_refused(rate_of(rest, many, many), "energyratestructure", "more than 16 periods");
	end = put(rest, "'energyratestructure': [[");
	for (int i = 0; i < 17; i++)
		end += sprintf(end, "%s{'rate': 0.1, 'max': %d}", i ? "," : "", i + 1);
	put(end, "]]");
	assert_refused(rate_of(rest, always, always), "energyratestructure[0]", "17 tiers");

	/* Ten bounds in summer and as many other ones and one more in winter. */
	end = put(rest, "'energyratestructure': [[");
	for (int i = 0; i < 11; i++)
		end += sprintf(end, "%s{'rate': 0.1, 'max': %d}", i ? "," : "", 2 * i + 2);
	end = put(end, "], [");
	for (int i = 0; i < 12; i++)
		end += sprintf(end, "%s{'rate': 0.1, 'max': %d}", i ? "," : "", 2 * i + 1);
	put(end, "]]");
	assert_refused(rate_of(rest, halves, halves), "energyratestructure", "more than 16 tiers");
}

/* ---- any rate: the tariff charges what the rate says ---- */

#define MAX_RANDOM_PERIODS 6
#define MAX_RANDOM_TIERS 4

typedef struct RandomRate
{
	int n_period;
	int n_tier[MAX_RANDOM_PERIODS];
	int64_t wh[MAX_RANDOM_PERIODS][MAX_RANDOM_TIERS];
	int64_t price_e8[MAX_RANDOM_PERIODS][MAX_RANDOM_TIERS];
	char hour[2][12][25];
	bool daily;
} RandomRate;

static void
random_periods(RandomRate *rate)
{
	static const int64_t bounds[] = { 1, 100000, 300500, 500000, 1000001, 2000000 };

	for (int p = 0; p < rate->n_period; p++)
	{
		int at = 0;

		rate->n_tier[p] = (int) random_between(1, MAX_RANDOM_TIERS);
		/* Often the same bounds as another period, else the rate is mostly refused. */
		if (p > 0 && random_between(0, 3) > 0)
		{
			rate->n_tier[p] = random_between(0, 4) ? rate->n_tier[0] : 1;
			memcpy(rate->wh[p], rate->wh[0], sizeof(rate->wh[0]));
		}
		else
			for (int t = 0; t < rate->n_tier[p] - 1; t++)
			{
				at = (int) random_between(at, 2 + t);
				rate->wh[p][t] = bounds[at++];
			}
		for (int t = 0; t < rate->n_tier[p]; t++)
			rate->price_e8[p][t] = random_between(-200, 5000) * random_between(1, 20000);
	}
}

static void
random_hours(RandomRate *rate)
{
	for (int days = 0; days < 2; days++)
		for (int month = 0; month < 12; month++)
		{
			char *hours = rate->hour[days][month];
			int p = (int) random_between(0, rate->n_period - 1);

			if (days == 1 && random_between(0, 1))
				memcpy(hours, rate->hour[0][month], 25);
			else if (month > 0 && random_between(0, 3))
				memcpy(hours, rate->hour[days][month - 1], 25);
			else
				for (int hour = 0; hour < 24; hour++)
				{
					if (random_between(0, 7) == 0)
						p = (int) random_between(0, rate->n_period - 1);
					hours[hour] = (char) ('a' + p);
				}
			hours[24] = '\0';
		}
}

static Doc *
random_rate(RandomRate *rate)
{
	const char *schedule[2][12];
	char rest[8000];
	char *end = put(rest, "'energyratestructure': [");

	memset(rate, 0, sizeof(*rate));
	rate->n_period = (int) random_between(1, MAX_RANDOM_PERIODS);
	rate->daily = random_between(0, 3) == 0;
	random_periods(rate);
	random_hours(rate);
	for (int p = 0; p < rate->n_period; p++)
	{
		end = put(end, p ? ", [" : "[");
		for (int t = 0; t < rate->n_tier[p]; t++)
		{
			int64_t adjustment = random_between(-300000, 300000);

			end += sprintf(end, "%s{'rate': %lldE-8, 'adj': %lldE-8", t ? ", " : "",
						   (long long) (rate->price_e8[p][t] - adjustment), (long long) adjustment);
			if (t < rate->n_tier[p] - 1)
				end += sprintf(end, ", 'max': %lldE-3, 'unit': '%s'", (long long) rate->wh[p][t],
							   rate->daily ? "kWh daily" : "kWh");
			end = put(end, "}");
		}
		end = put(end, "]");
	}
	put(end, "]");
	for (int i = 0; i < 24; i++)
		schedule[i / 12][i % 12] = rate->hour[i / 12][i % 12];
	return rate_of(rest, schedule[0], schedule[1]);
}

/* 10^-8 to 10^-6, half away from zero. */
static int64_t
rounded(int64_t price_e8)
{
	return price_e8 < 0 ? -((-price_e8 + 50) / 100) : (price_e8 + 50) / 100;
}

static void
check_position(const RandomRate *rate, const Tariff *t, int32_t day, int slot_period, int p,
			   int64_t wh)
{
	int64_t bound[TARIFF_MAX_TIERS];
	int32_t start;
	int32_t end;
	int tier = 0;
	int wanted = 0;

	tariff_accumulation(t, day, &start, &end);
	assert_true(tariff_bounds(t, tariff_season(t, day), start, end, day, NULL, bound));
	while (tier < t->n_tier - 1 && bound[tier] <= wh)
		tier++;
	while (wanted < rate->n_tier[p] - 1 &&
		   rate->wh[p][wanted] * (rate->daily ? end - start : 1) <= wh)
		wanted++;
	assert_int_equal(rounded(rate->price_e8[p][wanted]), t->price_micro[slot_period][tier]);
}

static void
check_day(const RandomRate *rate, const Tariff *t, int32_t day, const char *hours)
{
	const TariffRow *row = tariff_row(t, day);
	int slot = 0;
	int year;
	int month;
	int mday;

	cal_civil(day, &year, &month, &mday);
	for (int hour = 0; hour < 24; hour++)
	{
		int p = hours[hour] - 'a';

		while (slot + 1 < row->n && row->slot[slot + 1].minute <= hour * 60)
			slot++;
		for (int t0 = 0; t0 < rate->n_tier[p]; t0++)
		{
			int64_t at = rate->wh[p][t0] * (rate->daily ? cal_days_in_month(year, month) : 1);

			check_position(rate, t, day, row->slot[slot].period, p, at);
			if (at > 0)
				check_position(rate, t, day, row->slot[slot].period, p, at - 1);
		}
	}
}

static void
any_rate_is_carried_or_refused(void **state)
{
	static char json[ROOM];
	int carried = 0;

	(void) state;
	random_seed(20260105);
	for (int i = 0; i < 3000; i++)
	{
		RandomRate rate;
		Doc *doc = random_rate(&rate);
		DocFault fault = { "", "", "" };
		Doc *definition = urdb_definition(doc, &fault);
		Tariff *t;

		if (definition == NULL)
		{
			assert_non_null(strstr(fault.what, "its tiers end elsewhere"));
			doc_free(doc);
			continue;
		}
		doc_free(definition);
		t = imported(doc, json);
		carried++;
		for (int month = 1; month <= 12; month++)
		{
			int32_t first = cal_day(2024, month, 1);

			for (int32_t day = first; day < first + 7; day++)
				check_day(&rate, t, day, rate.hour[cal_weekday(day) > 5][month - 1]);
		}
		tariff_free(t);
	}
	assert_true(carried > 800 && carried < 2900);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flat_rates),
		cmocka_unit_test(tiered_rates),
		cmocka_unit_test(seasonal_time_of_use),
		cmocka_unit_test(seasons_over_new_year),
		cmocka_unit_test(electric_vehicle_rate),
		cmocka_unit_test(tiers_by_season),
		cmocka_unit_test(what_is_lost_is_said),
		cmocka_unit_test(reading_of_tiers_is_said),
		cmocka_unit_test(prices_are_decimals),
		cmocka_unit_test(faults_of_prices),
		cmocka_unit_test(faults_of_schedules),
		cmocka_unit_test(any_rate_is_carried_or_refused),
	};

	return cmocka_run_group_tests_name("urdb", tests, NULL, NULL);
}
