/*
 * setting.c: the settings of a site: names, kinds, defaults.
 *
 * Settings that move money are rows with who and when, never server parameters.
 */
#include "postgres.h"

#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/datetime.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "auth.h"
#include "clock.h"
#include "code.h"
#include "db.h"
#include "decide.h"
#include "energy.h"
#include "lock.h"
#include "money.h"
#include "phone.h"
#include "quiet.h"
#include "site.h"
#include "tariff_store.h"

typedef enum SettingKind
{
	SETTING_MONEY,
	SETTING_NUMBER,
	SETTING_INTERVAL,
	SETTING_CHOICE,
	SETTING_PHONES,
	SETTING_HOURS,
	SETTING_TEXT
} SettingKind;

typedef struct Setting
{
	const char *name;
	SettingKind kind;
	const char *absent;	 /* default; NULL: none */
	const char *choices; /* SETTING_CHOICE: "a|b"; SETTING_NUMBER: "min..max" */
	bool decides;		 /* a change may alter alarms or supply of every account */
	const char *meaning;
} Setting;

static const Setting settings[] = {
	{ "agent_trips_per_minute", SETTING_NUMBER, NULL, "1..1000", false,
	  "Trips an agent carries out in a minute, whoever orders them; empty: a tenth of its meters, at most 60." },
	{ "alarm1_amount", SETTING_MONEY, NULL, NULL, true,
	  "Balance below which the first alarm rises (一级报警金额)." },
	{ "alarm2_amount", SETTING_MONEY, NULL, NULL, true,
	  "Balance below which the second alarm rises (二级报警金额)." },
	{ "alarm_margin", SETTING_MONEY, "0", NULL, true,
	  "How far above its threshold a balance must be for an alarm to end (报警回差)." },
	{ "alarm_phones", SETTING_PHONES, NULL, NULL, false,
	  "Phones that hear of every alarm of the site, parted by , or ; (报警电话)." },
	{ "balance_answers_per_hour", SETTING_NUMBER, "6", "0..1000", false,
	  "Questions for its balance a phone has answered in an hour, for each account (余额查询)." },
	{ "balance_tolerance", SETTING_MONEY, "1", NULL, false,
	  "How far the balance in a meter that keeps its own money may be off before the alarm balance_mismatch." },
	{ "clock_correct_above", SETTING_INTERVAL, NULL, NULL, false,
	  "Drift of a meter's clock from which tick() sets it; empty: never (对时)." },
	{ "clock_correct_hours", SETTING_HOURS, NULL, NULL, false,
	  "Local hours in which meters' clocks may be set, like 01:00-05:00; empty: any." },
	{ "clock_correct_max", SETTING_INTERVAL, "5 minutes", NULL, false,
	  "Drift above which a clock is not set but left to a person." },
	{ "clock_drift_alarm", SETTING_INTERVAL, "2 minutes", NULL, false,
	  "Drift of a meter's clock from which the alarm clock_drift rises." },
	{ "clock_drift_limit", SETTING_INTERVAL, "5 minutes", NULL, false,
	  "How far in the future a reading may be before it is held for review." },
	{ "credit_limit", SETTING_MONEY, "0", NULL, true,
	  "What an account may owe before its supply ends (透支金额)." },
	{ "emergency_credit", SETTING_MONEY, "0", NULL, true,
	  "Credit that keeps supply on once it is activated (应急电费)." },
	{ "escalate_after", SETTING_INTERVAL, NULL, NULL, false,
	  "Time after which an alarm nobody acknowledged goes to escalation_phones; empty: never." },
	{ "escalation_phones", SETTING_PHONES, NULL, NULL, false,
	  "Phones that hear of what nobody acknowledged, parted by , or ;." },
	{ "grace_hours", SETTING_NUMBER, "0", "0..8760", true,
	  "Hours after its notice before a crossing by backlog or correction cuts (宽限)." },
	{ "hoarding_cap", SETTING_MONEY, NULL, NULL, false,
	  "Highest balance a sale may lead to; empty: none (囤积上限)." },
	{ "language", SETTING_CHOICE, "zh", "zh|en", false,
	  "Language of messages and receipts where an account has none." },
	{ "message_channel", SETTING_CHOICE, "sms", "sms|webhook", false,
	  "How messages go: sms by Gammu, or webhook by a worker." },
	{ "min_sale", SETTING_MONEY, NULL, NULL, false, "Smallest sale; empty: none (最小购电金额)." },
	{ "notice_max_hours", SETTING_NUMBER, "48", "0..8760", true,
	  "Hours for which a cut waits at most for its message to be delivered." },
	{ "off_command_ttl", SETTING_INTERVAL, "15 minutes", NULL, false,
	  "Time after which a trip that was not carried out expires." },
	{ "overload_duration", SETTING_INTERVAL, NULL, NULL, false,
	  "Time over which readings must lie above the limit; empty: none (过载持续时间)." },
	{ "overload_restore_delay", SETTING_INTERVAL, "5 minutes", NULL, false,
	  "Time after which supply comes back after an overload (过载恢复延时)." },
	{ "overload_restores", SETTING_NUMBER, "3", "0..100", false,
	  "How often supply comes back before the meter is locked (过载恢复次数)." },
	{ "overload_samples", SETTING_NUMBER, "2", "1..100", false,
	  "Readings in a row above the limit that trip (过载判定次数)." },
	{ "password_classes", SETTING_NUMBER, "3", "1..4", false,
	  "Kinds of characters an operator's password needs: lower, upper, digit, other." },
	{ "password_days", SETTING_NUMBER, NULL, "1..3650", false,
	  "Days after which an operator's password expires; empty: never." },
	{ "password_history", SETTING_NUMBER, "5", "0..24", false,
	  "Passwords before the present one that may not come back." },
	{ "password_min_length", SETTING_NUMBER, "12", "8..128", false,
	  "Characters an operator's password needs." },
	{ "poll_interval", SETTING_INTERVAL, "30 minutes", NULL, false,
	  "How often meters are read where their gateway says nothing (抄表间隔)." },
	{ "power_limit_kw", SETTING_NUMBER, NULL, "0..1000000", false,
	  "Overload threshold in kW, after the ratio, where a meter has none (过载功率)." },
	{ "quiet_hours", SETTING_HOURS, NULL, NULL, false,
	  "Local hours in which alarm1 and alarm2 send no message, like 22:00-07:00 (免打扰)." },
	{ "sale_fee_percent", SETTING_NUMBER, "0", "0..100", false,
	  "Service fee taken out of what is tendered, in percent (手续费)." },
	{ "seal_delay", SETTING_INTERVAL, "36 hours", NULL, false,
	  "Time after which a day is sealed though readings are missing." },
	{ "spike_margin", SETTING_NUMBER, "1.2", "1..100", false,
	  "Factor over rated_kw above which a step of the register is held for review." },
	{ "stale_max_days", SETTING_NUMBER, "7", "0..366", true,
	  "Days for which stale data protects from a cut at most." },
	{ "tariff", SETTING_TEXT, NULL, NULL, false,
	  "Tariff of meters that have none by themselves, their account or place (默认电价)." },
	{ "tenant_password_min_length", SETTING_NUMBER, "8", "6..128", false,
	  "Characters a tenant's password must have (用户密码长度)." },
	{ "tenant_session", SETTING_INTERVAL, "12 hours", NULL, false,
	  "How long a tenant stays logged in: life of a token (登录有效期)." },
	{ "trip_limit_per_minute", SETTING_NUMBER, NULL, "0..100000", false,
	  "Automatic trips in a minute above which all wait for confirm_trips(); empty: none (批量拉闸限制)." },
	{ "vacant_supply", SETTING_CHOICE, "off", "on|off", true,
	  "Whether meters without an account have supply (空置供电)." },
};

/*
 * The settings of the sites this backend has met. set_setting() writes the site's
 * row as well, so they hold for as long as that row does (site.c).
 */
typedef struct KnownSettings
{
	int32 site_id;
	uint64 known_since; /* Site.known_since they belong to; 0: to none */
	MemoryContext memory;
	const char *text[lengthof(settings)]; /* stored or default; NULL: neither */
	bool has_number[lengthof(settings)];
	int64 number[lengthof(settings)]; /* minor units, millionths or microseconds, by kind */
} KnownSettings;

PG_FUNCTION_INFO_V1(prepay_set_setting);
PG_FUNCTION_INFO_V1(prepay_known_settings);

static const Setting *
find_setting(const char *name)
{
	int i;

	for (i = 0; i < lengthof(settings); i++)
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	return NULL;
}

static bool
parse_interval(const char *value, int64 *us)
{
	Interval *interval;

	interval = DatumGetIntervalP(DirectFunctionCall3(
		interval_in, CStringGetDatum(value), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	if (interval->month != 0)
		return false;
	*us = interval->time + interval->day * USECS_PER_DAY;
	return *us > 0;
}

/* What a setting amounts to; false: it is no number, or out of range. */
static bool
parse_number(const Site *site, const Setting *setting, const char *value, int64 *number)
{
	switch (setting->kind)
	{
		case SETTING_MONEY:
			return decimal_parse(value, site->decimals, number) == DECIMAL_OK;
		case SETTING_NUMBER:
			return decimal_parse(value, 6, number) == DECIMAL_OK;
		case SETTING_INTERVAL:
			return parse_interval(value, number);
		default:
			return false;
	}
}

static void
read_settings(const Site *site, KnownSettings *known)
{
	static DbQuery query = { "SELECT name, value FROM prepay.setting WHERE site_id = $1",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	int n = db_run_latest(&query, &arg);
	int i;

	known->known_since = 0;
	MemoryContextReset(known->memory);
	for (i = 0; i < lengthof(settings); i++)
		known->text[i] = settings[i].absent;
	while (n-- > 0)
	{
		const Setting *setting = find_setting(db_text(n, 1));

		if (setting)
			known->text[setting - settings] = MemoryContextStrdup(known->memory, db_text(n, 2));
	}
	for (i = 0; i < lengthof(settings); i++)
		known->has_number[i] =
			known->text[i] && parse_number(site, &settings[i], known->text[i], &known->number[i]);
	known->known_since = site->known_since;
}

static const KnownSettings *
known_settings(const Site *site)
{
	static HTAB *table = NULL;
	KnownSettings *known;
	bool found;

	if (table == NULL)
	{
		HASHCTL control = { .keysize = sizeof(int32), .entrysize = sizeof(KnownSettings) };

		table = hash_create("prepay settings", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	known = hash_search(table, &site->site_id, HASH_ENTER, &found);
	if (!found)
	{
		known->known_since = 0;
		known->memory = NULL;
	}
	if (known->memory == NULL)
		known->memory = AllocSetContextCreate(TopMemoryContext, "prepay settings of a site",
											  ALLOCSET_SMALL_SIZES);
	if (known->known_since != site->known_since)
		read_settings(site, known);
	return known;
}

static int
setting_index(const char *name)
{
	const Setting *setting = find_setting(name);

	if (setting == NULL)
		elog(ERROR, "unknown setting \"%s\"", name);
	return (int) (setting - settings);
}

static int64
number_or(const Site *site, const char *name, SettingKind kind, int64 absent)
{
	const KnownSettings *known = known_settings(site);
	int i = setting_index(name);

	Assert(settings[i].kind == kind);
	return known->has_number[i] ? known->number[i] : absent;
}

char *
setting_text(const Site *site, const char *name)
{
	const char *text = known_settings(site)->text[setting_index(name)];

	return text ? pstrdup(text) : NULL;
}

int64
setting_money(const Site *site, const char *name, int64 absent)
{
	return number_or(site, name, SETTING_MONEY, absent);
}

int64
setting_micro(const Site *site, const char *name, int64 absent)
{
	return number_or(site, name, SETTING_NUMBER, absent);
}

int64
setting_interval_us(const Site *site, const char *name, int64 absent)
{
	return number_or(site, name, SETTING_INTERVAL, absent);
}

static bool
in_choices(const char *choices, const char *value)
{
	const char *found = strstr(choices, value);
	size_t length = strlen(value);

	return found && length > 0 && (found == choices || found[-1] == '|') &&
		   (found[length] == '\0' || found[length] == '|');
}

static bool
number_fits(const Setting *setting, const char *value)
{
	int64 micro;
	int low;
	int high;

	if (decimal_parse(value, 6, &micro) != DECIMAL_OK ||
		sscanf(setting->choices, "%d..%d", &low, &high) != 2)
		return false;
	return micro >= low * INT64CONST(1000000) && micro <= high * INT64CONST(1000000);
}

void
setting_check(const Site *site, const char *name, const char *value)
{
	const Setting *setting = find_setting(name);
	QuietHours hours;
	int64 ignored;
	bool fits = true;
	const char *wanted = "";

	if (setting == NULL)
	{
		StringInfoData list;
		int i;

		initStringInfo(&list);
		for (i = 0; i < lengthof(settings); i++)
			appendStringInfo(&list, "%s%s", i ? ", " : "", settings[i].name);
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_SETTING), errmsg("there is no setting \"%s\"", name),
						errdetail("Settings: %s.", list.data),
						errhint("SELECT * FROM prepay.settings says what each means.")));
	}
	if (value == NULL)
		return;
	switch (setting->kind)
	{
		case SETTING_MONEY:
			fits = decimal_parse(value, site->decimals, &ignored) == DECIMAL_OK;
			wanted = psprintf("an amount in %s with at most %d decimals", site->currency,
							  site->decimals);
			break;
		case SETTING_NUMBER:
			fits = number_fits(setting, value);
			wanted = psprintf("a number in %s", setting->choices);
			break;
		case SETTING_INTERVAL:
			fits = parse_interval(value, &ignored);
			wanted = "a positive interval of days and time, such as '36 hours'";
			break;
		case SETTING_CHOICE:
			fits = in_choices(setting->choices, value);
			wanted = psprintf("one of %s", setting->choices);
			break;
		case SETTING_PHONES:
			fits = phone_fault(value) == NULL;
			wanted = "phone numbers with ',' or ';' between them";
			break;
		case SETTING_HOURS:
			fits = quiet_parse(value, &hours);
			wanted = "local times such as '22:00-07:00'";
			break;
		case SETTING_TEXT:
			break;
	}
	if (!fits)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_SETTING),
						errmsg("\"%s\" does not fit setting \"%s\"", value, name),
						errhint("Give %s.", wanted)));
}

/*
 * set_setting(site, name, value): value NULL takes the setting back to its default.
 */
Datum
prepay_set_setting(PG_FUNCTION_ARGS)
{
	static DbQuery store = {
		"INSERT INTO prepay.setting AS s (site_id, name, value) VALUES ($1, $2, $3)"
		" ON CONFLICT (site_id, name) DO UPDATE SET value = EXCLUDED.value,"
		" set_at = EXCLUDED.set_at, set_by = EXCLUDED.set_by",
		3,
		{ INT4OID, TEXTOID, TEXTOID }
	};
	static DbQuery remove = { "DELETE FROM prepay.setting WHERE site_id = $1 AND name = $2",
							  2,
							  { INT4OID, TEXTOID } };
	DbSession session;
	const Site *site;
	char *name;
	char *value;
	int32 site_id;

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the name of the setting is missing")));
	name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	value = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	db_enter(&session);
	site_id =
		code_site(session.caller, PG_ARGISNULL(0) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(0)));
	auth_require(session.caller, MAY_CONFIGURE, site_id, "change settings");
	lock_site_exclusive(site_id);
	site = site_get(site_id);
	setting_check(site, name, value);
	if (strcmp(name, "tariff") == 0)
		setting_tariff_changed(site, value);
	{
		Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(name), db_text_datum(value) };

		db_run(value ? &store : &remove, args);
	}
	site_touch(site_id);
	if (find_setting(name)->decides)
		decide_all_later(site_id);
	if (strcmp(name, "vacant_supply") == 0)
		energy_expected(site_get(site_id));
	db_leave(&session);
	PG_RETURN_VOID();
}

/* known_settings() → name, kind, default, range and meaning of every setting. For the view. */
Datum
prepay_known_settings(PG_FUNCTION_ARGS)
{
	static const char *const kind[] = {
		[SETTING_MONEY] = "money",	 [SETTING_NUMBER] = "number", [SETTING_INTERVAL] = "interval",
		[SETTING_CHOICE] = "choice", [SETTING_PHONES] = "phones", [SETTING_HOURS] = "hours",
		[SETTING_TEXT] = "text",
	};
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; i < lengthof(settings); i++)
	{
		const Setting *setting = &settings[i];
		const char *text[] = { setting->name, kind[setting->kind], setting->absent,
							   setting->choices, setting->meaning };
		Datum values[lengthof(text)];
		bool nulls[lengthof(text)];

		for (int c = 0; c < lengthof(text); c++)
		{
			nulls[c] = text[c] == NULL;
			values[c] = text[c] ? CStringGetTextDatum(text[c]) : (Datum) 0;
		}
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	return (Datum) 0;
}
