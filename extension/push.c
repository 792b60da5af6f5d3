/*
 * push.c: 电价下发 设置下发: tariff and limits for meters that price and cut by themselves.
 *
 * A profile's command names its arguments; each has one meaning, and what the command
 * does not name is not sent:
 *
 *   push_tariff  price_<period>   of one kWh, with the surcharges that rest on energy, in
 *                                 the decimals the meter has (rounded half away from zero)
 *                table1, table2 … day tables: rate, hour, minute; a rate is the place of
 *                                 its period among the profile's period_kwh
 *                seasons          month, day, table: from which day on a table holds
 *   push_limits  alarm1 alarm2 overdraft (credit limit), power_limit (kW)
 *
 * A meter has less than a tariff may say: so many slots a day, tables, seasons, no
 * tiers, one kind of day. What does not fit is refused before anything is sent, with
 * the limit and the part of the tariff that breaks it; nothing is approximated but the
 * last digit of a number. Standing charges are not the meter's: they are taken out of the
 * next recharge (purse.c).
 *
 * tick() pushes the tariff to meters that keep their own money whenever it may have
 * changed: `push_revision` is the configuration of the site it was last compared with,
 * `push_until` when the tariff in force then ends. A push that says the same as the last
 * is not repeated.
 */
#include "push.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#include "command.h"
#include "db.h"
#include "jsonb_doc.h"
#include "level.h"
#include "tariff_store.h"

#define MAX_RATES 8
#define MAX_TABLES 16
#define MAX_SEASON_ROWS 64

/* What the profile says of the meter. */
typedef struct PushModel
{
	const Doc *args; /* of the command; NULL: none */
	int n_rate;
	const char *rate[MAX_RATES]; /* period of rate i + 1 */
	int tables;					 /* day tables the command takes */
	int slots;					 /* of each */
	int seasons;				 /* rows of the season plan; 0: it has none */
} PushModel;

typedef struct SeasonRow
{
	int month;
	int day;
	int table; /* from 0 */
} SeasonRow;

/* The tariff in the meter's terms. */
typedef struct MeterPlan
{
	int n_table;
	const TariffRow *table[MAX_TABLES];
	int n_season;
	SeasonRow season[MAX_SEASON_ROWS];
} MeterPlan;

static int64
doc_number(const Doc *object, const char *key, int64 absent)
{
	const Doc *member = object ? doc_get(object, key) : NULL;
	int64 number;

	if (member == NULL || member->kind != DOC_NUMBER ||
		decimal_parse(member->text, 0, &number) != DECIMAL_OK)
		return absent;
	return number;
}

static const Doc *
arg_of(const PushModel *model, const char *name)
{
	return model->args ? doc_get(model->args, name) : NULL;
}

static void
read_rates(const Doc *points, PushModel *model)
{
	int i;

	for (i = 0; points && i < points->n; i++)
	{
		const Doc *point = &points->item[i];
		const Doc *period = doc_get(point, "period");
		int64 index = doc_number(point, "index", 0);

		if (period == NULL || period->kind != DOC_STRING || index < 1 || index > MAX_RATES)
			continue;
		model->rate[index - 1] = period->text;
		model->n_rate = Max(model->n_rate, (int) index);
	}
}

static void
read_model(const char *action, Jsonb *profile, PushModel *model)
{
	const Doc *doc = jsonb_doc(profile);
	const Doc *commands = doc_get(doc, "commands");
	const Doc *command = commands ? doc_get(commands, action) : NULL;
	const Doc *limits = doc_get(doc, "limits");

	memset(model, 0, sizeof(*model));
	model->args = command ? doc_get(command, "args") : NULL;
	read_rates(doc_get(doc, "points"), model);
	while (model->tables < MAX_TABLES &&
		   arg_of(model, psprintf("table%d", model->tables + 1)) != NULL)
		model->tables++;
	model->slots = (int) doc_number(arg_of(model, "table1"), "rows", 0);
	model->slots = (int) Min(model->slots, doc_number(limits, "tou_slots", model->slots));
	model->tables = (int) Min(model->tables, doc_number(limits, "tou_tables", model->tables));
	model->seasons = (int) doc_number(arg_of(model, "seasons"), "rows", 0);
}

/* ---- a tariff in the meter's terms ---- */

static bool
same_day(const TariffRow *a, const TariffRow *b)
{
	return a == b || (a->n == b->n && memcmp(a->slot, b->slot, sizeof(TariffSlot) * a->n) == 0);
}

/* The slots of all days of a season; NULL: they differ by the kind of day. */
static const TariffRow *
season_day(const Tariff *tariff, int season)
{
	const TariffRow *row = &tariff->row[tariff->row_of[season][TARIFF_WORKDAY]];
	int i;

	for (i = 1; i < tariff->n_day_type; i++)
		if (!same_day(row, &tariff->row[tariff->row_of[season][i]]))
			return NULL;
	if (tariff->calendar[0] && !same_day(row, &tariff->row[tariff->row_other[season]]))
		return NULL;
	return row;
}

static char *
plan_tables(const Tariff *tariff, const PushModel *model, int *table_of, MeterPlan *plan)
{
	int season;

	for (season = 0; season < tariff->n_season; season++)
	{
		const TariffRow *day = season_day(tariff, season);
		int i;

		if (day == NULL)
			return psprintf("season \"%s\" has days of several kinds, the meter's tables go by "
							"season alone",
							tariff->season_name[season]);
		if (day->n > model->slots)
			return psprintf("a day of season \"%s\" has %d slots, the meter's tables have %d",
							tariff->season_name[season], day->n, model->slots);
		for (i = 0; i < plan->n_table && !same_day(plan->table[i], day); i++)
			;
		if (i == plan->n_table)
			plan->table[plan->n_table++] = day;
		table_of[season] = i;
	}
	if (plan->n_table > model->tables)
		return psprintf("its seasons need %d day tables, the meter has %d", plan->n_table,
						model->tables);
	return NULL;
}

/* From which days on which table holds, over a year. */
static char *
plan_seasons(const Tariff *tariff, const PushModel *model, const int *table_of, MeterPlan *plan)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	int last = table_of[tariff->season_of[11][30]];
	int month;
	int day;

	for (month = 0; month < 12; month++)
		for (day = 0; day < days[month]; day++)
		{
			int table = table_of[tariff->season_of[month][day]];

			if (table != last && plan->n_season < MAX_SEASON_ROWS)
				plan->season[plan->n_season++] = (SeasonRow){ month + 1, day + 1, table };
			last = table;
		}
	if (plan->n_season == 0)
		plan->season[plan->n_season++] = (SeasonRow){ 1, 1, last };
	if (plan->n_season > Max(model->seasons, 1))
		return psprintf("its tables change %d times a year, the meter's season plan has %d rows",
						plan->n_season, model->seasons);
	return NULL;
}

static int
rate_named(const PushModel *model, const char *name)
{
	int i;

	for (i = 0; i < model->n_rate; i++)
		if (model->rate[i] && strcmp(model->rate[i], name) == 0)
			return i + 1;
	return 0;
}

/* The rate of a period; 0: the meter has none. With one period any would do: the flat one. */
static int
rate_of(const Tariff *tariff, const PushModel *model, int period)
{
	int rate = rate_named(model, tariff->period_name[period]);

	if (rate == 0 && tariff->n_period == 1)
		rate = Max(rate_named(model, "flat"), 1);
	return rate;
}

static char *
rate_names(const PushModel *model)
{
	StringInfoData text;
	int i;

	initStringInfo(&text);
	for (i = 0; i < model->n_rate; i++)
		appendStringInfo(&text, "%s%s", i ? ", " : "", model->rate[i] ? model->rate[i] : "-");
	return text.data;
}

static char *
check_tariff(const Tariff *tariff, const PushModel *model)
{
	int i;

	if (tariff->n_tier > 1)
		return psprintf("it has %d tiers, the meter prices all energy alike", tariff->n_tier);
	for (i = 0; i < tariff->n_period; i++)
		if (rate_of(tariff, model, i) == 0)
			return psprintf("period \"%s\" is none of the meter's rates: %s",
							tariff->period_name[i], rate_names(model));
	if (tariff->n_period > 1 && model->tables == 0)
		return psprintf("it has %d periods, the model takes no day tables", tariff->n_period);
	return NULL;
}

/* ---- arguments ---- */

static void
put_key(StringInfo out, const char *key)
{
	appendStringInfo(out, "%s\"%s\": ", out->len > 1 ? ", " : "", key);
}

/* A value in the decimals of the argument; a fault where it does not fit. */
static char *
put_value(StringInfo out, const char *key, const Doc *arg, Exact value)
{
	int decimals = (int) -doc_number(arg, "exp10", 0);
	char text[EXACT_TEXT_MAX];
	__int128 scale = 1;
	int64 one = 1;
	int64 units;
	int i;

	for (i = decimals; i < EXACT_DECIMALS; i++)
		scale *= 10;
	for (i = 0; i < decimals; i++)
		one *= 10;
	if (value < 0 || !div_round_half_away(value, scale, &units) ||
		units < doc_number(arg, "min", 0) || units > doc_number(arg, "max", PG_UINT32_MAX))
	{
		exact_format(value, text);
		return psprintf("%s of %s is out of the meter's range", key, text);
	}
	put_key(out, key);
	if (decimals > 0)
		appendStringInfo(out, "\"" INT64_FORMAT ".%0*d\"", units / one, decimals,
						 (int) (units % one));
	else
		appendStringInfo(out, "\"" INT64_FORMAT "\"", units);
	return NULL;
}

/* A rate the tariff does not use has its highest price: no energy is ever cheap by a mistake. */
static char *
put_price(StringInfo out, const Tariff *tariff, const char *key, const Doc *arg)
{
	Exact price = 0;
	int i;

	for (i = 0; i < tariff->n_period; i++)
	{
		Exact own;
		bool is_it = strcmp(key + strlen("price_"), tariff->period_name[i]) == 0;

		if (!exact_mul(tariff->unit[i][0], 1000, &own))
			return psprintf("the price of period \"%s\" is out of range", tariff->period_name[i]);
		if (i == 0 || is_it || own > price)
			price = own;
		if (is_it)
			break;
	}
	return put_value(out, key, arg, price);
}

static void
put_table(StringInfo out, const Tariff *tariff, const PushModel *model, const TariffRow *day)
{
	int i;

	appendStringInfoChar(out, '[');
	for (i = 0; day && i < day->n; i++)
		appendStringInfo(out, "%s{\"rate\": %d, \"hour\": %d, \"minute\": %d}", i ? ", " : "",
						 rate_of(tariff, model, day->slot[i].period), day->slot[i].minute / 60,
						 day->slot[i].minute % 60);
	appendStringInfoChar(out, ']');
}

static void
put_seasons(StringInfo out, const MeterPlan *plan)
{
	int i;

	appendStringInfoChar(out, '[');
	for (i = 0; i < plan->n_season; i++)
		appendStringInfo(out, "%s{\"month\": %d, \"day\": %d, \"table\": %d}", i ? ", " : "",
						 plan->season[i].month, plan->season[i].day, plan->season[i].table + 1);
	appendStringInfoChar(out, ']');
}

static char *
put_tariff(StringInfo out, const Tariff *tariff, const PushModel *model)
{
	int table_of[TARIFF_MAX_SEASONS];
	MeterPlan plan = { 0 };
	char *fault = check_tariff(tariff, model);
	int i;

	if (fault == NULL && model->tables > 0)
		fault = plan_tables(tariff, model, table_of, &plan);
	if (fault == NULL && model->tables > 0)
		fault = plan_seasons(tariff, model, table_of, &plan);
	for (i = 0; fault == NULL && model->args && i < model->args->n; i++)
	{
		const char *key = model->args->key[i];
		int table = strncmp(key, "table", 5) == 0 ? atoi(key + 5) - 1 : -1;

		if (strncmp(key, "price_", 6) == 0)
		{
			fault = put_price(out, tariff, key, &model->args->item[i]);
			continue;
		}
		put_key(out, key);
		if (table >= 0)
			put_table(out, tariff, model, table < plan.n_table ? plan.table[table] : NULL);
		else
			put_seasons(out, &plan);
	}
	return fault;
}

static const Tariff *
tariff_now(const Site *site, int32 meter_id, int32 account_id, char **name, TimestampTz *until)
{
	TariffRules rules = tariff_rules(site, meter_id, account_id);
	TimestampTz from;
	TimestampTz to;
	int32 tariff_id = tariff_at(&rules, site->now, &from, &to);
	TariffCode *code;
	RateSpan span;
	int i;

	if (until)
		*until = to;
	if (tariff_id == 0)
		return NULL;
	code = tariff_code(site, tariff_id);
	*name = code->code;
	for (i = 0; until && i < code->n; i++)
		if (code->version[i].valid_from > site->now)
			*until = Min(*until, code->version[i].valid_from);
	if (tariff_code_spans(site, code, site->now, site->now + 1, &span, 1) != 1)
		return NULL;
	return span.tariff;
}

/* ---- limits ---- */

/* What the meter, the account or the site goes by; false: nothing is set. */
static bool
limit_of(const Site *site, const char *key, int32 meter_id, const LevelAccount *account,
		 Exact *value)
{
	static DbQuery query = {
		"SELECT round(power_limit_kw, 6)::text FROM prepay.meter WHERE site_id = $1"
		" AND meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	int64 minor;
	int i;

	if (strcmp(key, "power_limit") == 0)
	{
		int64 micro = setting_micro(site, "power_limit_kw", -1);
		char *own;

		db_run(&query, args);
		own = db_text(0, 1);
		if (own)
			return exact_parse(own, value);
		return micro >= 0 && exact_from_micro(micro, value);
	}
	minor = strcmp(key, "overdraft") == 0 ? account->credit_limit : 0;
	for (i = 0; i < 2; i++)
		if (strcmp(key, account->level[i].kind) == 0 && account->level[i].has_threshold)
			minor = Max(account->level[i].threshold, 0);
	return exact_from_minor(minor, site->decimals, value);
}

static char *
put_limits(StringInfo out, const Site *site, int32 meter_id, int32 account_id,
		   const PushModel *model)
{
	LevelAccount account;
	int i;

	if (account_id == 0)
		return pstrdup("the meter belongs to no account");
	level_load(site, account_id, &account);
	for (i = 0; model->args && i < model->args->n; i++)
	{
		const char *key = model->args->key[i];
		Exact value;
		char *fault;

		if (!limit_of(site, key, meter_id, &account, &value))
			return psprintf("%s is not set, for the meter or for the site", key);
		fault = put_value(out, key, &model->args->item[i], value);
		if (fault)
			return fault;
	}
	return NULL;
}

char *
push_args(const Site *site, const char *action, int32 meter_id, int32 account_id, Jsonb *profile,
		  TimestampTz *until, char **fault)
{
	PushModel model;
	StringInfoData out;
	const Tariff *tariff;
	char *name = NULL;

	read_model(action, profile, &model);
	initStringInfo(&out);
	appendStringInfoChar(&out, '{');
	if (strcmp(action, "push_limits") == 0)
		*fault = put_limits(&out, site, meter_id, account_id, &model);
	else if ((tariff = tariff_now(site, meter_id, account_id, &name, until)) == NULL)
		*fault = pstrdup("no tariff is in force");
	else
	{
		*fault = put_tariff(&out, tariff, &model);
		if (*fault)
			*fault = psprintf("tariff \"%s\" does not fit: %s", name, *fault);
	}
	appendStringInfoChar(&out, '}');
	return *fault ? NULL : out.data;
}

int64
push_queue(const Site *site, const char *action, int32 meter_id, int32 account_id, const char *args,
		   const char *reason, const char *operator_name)
{
	static DbQuery query = {
		"UPDATE prepay.command SET status = 'superseded', finished_at = $4 WHERE site_id = $1"
		" AND command_id IN (SELECT command_id FROM prepay.command WHERE site_id = $1"
		" AND meter_id = $2 AND action = $3 AND status = 'queued' FOR UPDATE SKIP LOCKED)",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum key[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					CStringGetTextDatum(action), TimestampTzGetDatum(site->now) };
	Command command = { .meter_id = meter_id,
						.account_id = account_id,
						.action = action,
						.args = args,
						.reason = reason,
						.operator_name = operator_name };

	db_run(&query, key);
	return command_queue(site, &command);
}

/* ---- by time ---- */

typedef struct Due
{
	int32 meter_id;
	int32 account_id;
	Jsonb *profile;
} Due;

/* Whether the meter has, or is about to have, what these arguments say. */
static bool
is_pushed(const Site *site, int32 meter_id, const char *args)
{
	static DbQuery query = {
		"SELECT l.args = $3::jsonb AND l.status IN ('queued', 'sent', 'unknown', 'done') FROM"
		" (SELECT args, status FROM prepay.command WHERE site_id = $1 AND meter_id = $2"
		"  AND action = 'push_tariff' ORDER BY created_at DESC, command_id DESC LIMIT 1) l",
		3,
		{ INT4OID, INT4OID, TEXTOID }
	};
	Datum key[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					CStringGetTextDatum(args) };

	return db_run(&query, key) == 1 && db_bool(0, 1);
}

static void
note_push(const Site *site, int32 meter_id, TimestampTz until, const char *fault)
{
	static DbQuery query = {
		"UPDATE prepay.meter_purse SET push_revision = $3, push_until = $4, push_fault = $5"
		" WHERE site_id = $1 AND meter_id = $2",
		5,
		{ INT4OID, INT4OID, INT8OID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 Int64GetDatum(site->revision), TimestampTzGetDatum(until),
					 db_text_datum(fault) };

	db_run_nulls(&query, args, fault ? NULL : "    n");
}

static void
push_one(const Site *site, const Due *due)
{
	TimestampTz until = DT_NOEND;
	char *fault = NULL;
	char *args = push_args(site, "push_tariff", due->meter_id, due->account_id, due->profile,
						   &until, &fault);

	if (args && !is_pushed(site, due->meter_id, args))
		(void) push_queue(site, "push_tariff", due->meter_id, due->account_id, args,
						  "the tariff has changed", NULL);
	note_push(site, due->meter_id, until, fault);
}

int
push_tick(const Site *site, int max)
{
	static DbQuery query = {
		"SELECT p.meter_id, p.account_id, d.profile FROM prepay.meter_control c"
		" JOIN prepay.meter_purse p USING (site_id, meter_id)"
		" JOIN prepay.meter m USING (site_id, meter_id)"
		" JOIN prepay.meter_model d ON d.code = m.model"
		" WHERE c.site_id = $1 AND (p.push_revision IS DISTINCT FROM $2 OR p.push_until <= $3)"
		" AND d.profile -> 'commands' ? 'push_tariff' ORDER BY c.meter_id LIMIT $4"
		" FOR NO KEY UPDATE OF c SKIP LOCKED",
		4,
		{ INT4OID, INT8OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(site->revision),
					 TimestampTzGetDatum(site->now), Int32GetDatum(max) };
	bool isnull;
	Due *due;
	int n;
	int i;

	n = db_run(&query, args);
	due = palloc(sizeof(Due) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		due[i].meter_id = db_int32(i, 1);
		due[i].account_id = db_int32(i, 2);
		due[i].profile = DatumGetJsonbPCopy(db_value(i, 3, &isnull));
	}
	for (i = 0; i < n; i++)
		push_one(site, &due[i]);
	return n;
}
