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

#include "utils/builtins.h"

#include "command.h"
#include "db.h"
#include "jsonb_doc.h"
#include "level.h"
#include "push_inner.h"
#include "tariff_store.h"

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

		if (period == NULL || period->kind != DOC_STRING || index < 1 || index > PUSH_MAX_RATES)
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
	while (model->tables < PUSH_MAX_TABLES &&
		   arg_of(model, psprintf("table%d", model->tables + 1)) != NULL)
		model->tables++;
	model->slots = (int) doc_number(arg_of(model, "table1"), "rows", 0);
	model->slots = (int) Min(model->slots, doc_number(limits, "tou_slots", model->slots));
	model->tables = (int) Min(model->tables, doc_number(limits, "tou_tables", model->tables));
	model->seasons = (int) doc_number(arg_of(model, "seasons"), "rows", 0);
}

/* ---- arguments ---- */

void
push_key(StringInfo out, const char *key)
{
	appendStringInfo(out, "%s\"%s\": ", out->len > 1 ? ", " : "", key);
}

char *
push_value(StringInfo out, const char *key, const Doc *arg, Exact value)
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
	push_key(out, key);
	if (decimals > 0)
		appendStringInfo(out, "\"" INT64_FORMAT ".%0*d\"", units / one, decimals,
						 (int) (units % one));
	else
		appendStringInfo(out, "\"" INT64_FORMAT "\"", units);
	return NULL;
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
		fault = push_value(out, key, &model->args->item[i], value);
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
		*fault = push_tariff(&out, tariff, &model);
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
