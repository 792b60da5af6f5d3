/*
 * explain_why.c: the reasons explain() gives, in words.
 */
#include "explain.h"

#include "lib/stringinfo.h"

#include "db.h"

void
explain_load_remarks(const Site *site, const History *history, TimestampTz from, TimestampTz to,
					 Remarks *remarks)
{
	/* One remark a reading: a correction says more than a verdict, a verdict more than its source.
	 */
	static DbQuery query = {
		"SELECT DISTINCT ON (meter_id, read_at) meter_id, read_at, remark FROM ("
		" SELECT meter_id, read_at, 3 AS rank, 'a register value given by hand' AS remark"
		"  FROM prepay.reading WHERE site_id = $1 AND meter_id = ANY ($2) AND read_at >= $3"
		"  AND read_at <= $4 AND source = 'register'"
		" UNION ALL SELECT meter_id, read_at, 2, CASE mark WHEN 'accepted'"
		"   THEN 'a reading accepted in review' WHEN 'rollover' THEN 'a rollover confirmed in review'"
		"   ELSE 'a new baseline set in review' END"
		"  FROM prepay.reading_mark WHERE site_id = $1 AND meter_id = ANY ($2) AND read_at >= $3"
		"  AND read_at <= $4 AND mark IN ('accepted', 'rollover', 'baseline')"
		" UNION ALL SELECT meter_id, read_at, 1, 'a corrected reading (' || reason || ')' FROM"
		"  (SELECT * FROM prepay.reading_correction WHERE site_id = $1 AND meter_id = ANY ($2)"
		"   AND read_at >= $3 AND read_at <= $4 ORDER BY correction DESC) c"
		") r ORDER BY meter_id, read_at, rank",
		4,
		{ INT4OID, INT4ARRAYOID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	int32 *meter_id = palloc(sizeof(int32) * Max(history->n_meter, 1));
	Datum args[] = { Int32GetDatum(site->site_id), (Datum) 0, TimestampTzGetDatum(from),
					 TimestampTzGetDatum(to) };
	int i;

	for (i = 0; i < history->n_meter; i++)
		meter_id[i] = history->meter[i].meter_id;
	args[1] = db_array_int32(meter_id, history->n_meter);
	remarks->n = db_run(&query, args);
	remarks->item = palloc(sizeof(Remark) * Max(remarks->n, 1));
	for (i = 0; i < remarks->n; i++)
	{
		remarks->item[i].meter_id = db_int32(i, 1);
		remarks->item[i].read_at = db_time(i, 2);
		remarks->item[i].text = db_text(i, 3);
	}
}

static int
compare_remarks(const void *a, const void *b)
{
	const Remark *left = a;
	const Remark *right = b;

	if (left->meter_id != right->meter_id)
		return left->meter_id < right->meter_id ? -1 : 1;
	return left->read_at < right->read_at ? -1 : left->read_at > right->read_at;
}

static const char *
remark_on(const Remarks *remarks, int32 meter_id, TimestampTz read_at)
{
	Remark wanted = { .meter_id = meter_id, .read_at = read_at };
	const Remark *found =
		bsearch(&wanted, remarks->item, remarks->n, sizeof(Remark), compare_remarks);

	return found ? found->text : NULL;
}

/* A number of 10^-6, without trailing zeros. */
static const char *
micro_text(int64 micro)
{
	char *text = palloc(EXACT_TEXT_MAX);
	Exact value;

	if (!exact_from_micro(micro, &value))
		out_of_range("number");
	exact_format(value, text);
	return text;
}

static void
append_duration(StringInfo why, int64 us)
{
	int64 minutes = (us + USECS_PER_MINUTE / 2) / USECS_PER_MINUTE;
	int64 days = minutes / 1440;
	int64 hours = minutes / 60 % 24;

	if (minutes == 0)
		appendStringInfo(why, INT64_FORMAT " s", us / USECS_PER_SECOND);
	if (days > 0)
		appendStringInfo(why, INT64_FORMAT " d%s", days, minutes % 1440 ? " " : "");
	if (hours > 0)
		appendStringInfo(why, INT64_FORMAT " h%s", hours, minutes % 60 ? " " : "");
	if (minutes % 60 > 0)
		appendStringInfo(why, INT64_FORMAT " min", minutes % 60);
}

/* How the piece was cut out of the energy between two readings. */
static void
append_sharing(StringInfo why, const ExplainRow *row)
{
	const RerateInterval *interval = row->interval;
	TimestampTz begin = interval->from->read_at;
	TimestampTz end = interval->to->read_at;

	if (row->from == begin && row->to == end)
		return;
	appendStringInfoString(why, row->estimated ? "; gap of " : "; interval of ");
	append_duration(why, end - begin);
	appendStringInfoString(why, " shared by time");
	if (begin < interval->term_from)
		appendStringInfoString(why, ", without what lies before the account had the meter");
	if (end > interval->term_to)
		appendStringInfoString(why, ", without what lies after the account had the meter");
}

static void
append_readings(StringInfo why, const Remarks *remarks, const MeterFacts *facts,
				const RerateInterval *interval)
{
	const char *begins = remark_on(remarks, interval->meter_id, interval->from->read_at);
	const char *ends = remark_on(remarks, interval->meter_id, interval->to->read_at);

	if (interval->to->wh < interval->from->wh)
		appendStringInfoString(why, "; the register rolled over");
	if (facts->ratio_e6 != 1000000)
		appendStringInfo(why, "; ratio %s", micro_text(facts->ratio_e6));
	if (begins)
		appendStringInfo(why, "; begins at %s", begins);
	else if (interval->is_first)
		appendStringInfoString(why, "; begins at the first reading of the meter");
	if (ends)
		appendStringInfo(why, "; ends at %s", ends);
}

const char *
explain_energy(const Remarks *remarks, const MeterFacts *facts, const ExplainRow *row)
{
	const Tariff *tariff = row->line.tariff;
	StringInfoData why;

	initStringInfo(&why);
	if (tariff->n_tier == 1)
		appendStringInfoString(&why, tariff->n_period == 1 ? "one price" : "price of the period");
	else if (tariff->allocation == ALLOCATE_CHRONOLOGICAL)
		appendStringInfoString(&why, "price of the tier reached");
	else if (row->line.wh < 0)
		appendStringInfoString(&why, "the period's share of the tier shrinks");
	else
		appendStringInfoString(&why, "the period's share of the tier");
	if (row->interval)
	{
		append_sharing(&why, row);
		append_readings(&why, remarks, facts, row->interval);
	}
	return why.data;
}

/* What a percentage is charged on. */
static void
append_bases(StringInfo why, const Tariff *tariff, const TariffSurcharge *surcharge)
{
	const char *between = " % on ";
	int i;

	if (surcharge->on_energy)
	{
		appendStringInfo(why, "%senergy", between);
		between = ", ";
	}
	if (surcharge->on_standing)
	{
		appendStringInfo(why, "%sstanding", between);
		between = ", ";
	}
	for (i = 0; i < tariff->n_surcharge; i++)
		if (surcharge->on_surcharge >> i & 1)
		{
			appendStringInfo(why, "%s%s", between, tariff->surcharge[i].name);
			between = ", ";
		}
}

const char *
explain_charge(const BillLine *line)
{
	const Tariff *tariff = line->tariff;
	StringInfoData why;

	initStringInfo(&why);
	if (line->component == BILL_STANDING)
	{
		const TariffStanding *standing = &tariff->standing[line->index];

		appendStringInfo(&why, "%s a %s", micro_text(standing->amount_micro),
						 standing->per_month ? "month, one day's part" : "day");
		return why.data;
	}
	if (tariff->surcharge[line->index].is_percent)
	{
		appendStringInfoString(&why, micro_text(tariff->surcharge[line->index].percent_e4 * 100));
		append_bases(&why, tariff, &tariff->surcharge[line->index]);
	}
	else
		appendStringInfo(&why, "%s a kWh on %s kWh",
						 micro_text(tariff->surcharge[line->index].per_kwh_micro),
						 micro_text(line->wh * 1000));
	return why.data;
}
