/*
 * level.c: alarm1, alarm2 and arrears of an account.
 *
 * Each kind has a threshold of its own and lives by itself: it is raised when the
 * balance comes to or below the threshold and cleared when the balance is above
 * threshold + margin again, so a deeper alarm leaves the shallower ones active.
 * alarm_level of the account is the deepest active kind (0 none, 3 arrears).
 *
 * One step of the balance over several thresholds is one crossing: each kind gets
 * its alarm, the customer gets one message, for the deepest.
 *
 * An account starts at 0 and has crossed nothing by being opened. Until its ledger
 * has ever stood above 0 it cannot have come from above a threshold of 0 or more,
 * so only thresholds below 0 (a credit limit, a negative alarm amount) can be
 * crossed. Supply does not ask: an unfunded account without credit is off, and its
 * state is `unopened`, not `arrears`.
 */
#include "level.h"

#include "common/int.h"
#include "utils/builtins.h"

#include "alarm.h"
#include "db.h"
#include "money.h"
#include "notice.h"

#define ARREARS 2

static const char *const kind_name[LEVEL_KINDS] = { "alarm1", "alarm2", "arrears" };

/* An amount of configuration in minor units; false: none is given, or it is out of range. */
static bool
amount_given(const Site *site, const char *text, int64 *minor)
{
	return text && decimal_parse(text, site->decimals, minor) == DECIMAL_OK;
}

static void
set_threshold(const Site *site, Level *level, const char *own, const char *of_meter,
			  const char *setting)
{
	int64 absent = PG_INT64_MIN;

	level->has_threshold = true;
	if (amount_given(site, own, &level->threshold) ||
		amount_given(site, of_meter, &level->threshold))
		return;
	level->threshold = setting_money(site, setting, absent);
	level->has_threshold = level->threshold != absent;
}

void
level_load(const Site *site, int32 account_id, LevelAccount *account)
{
	static DbQuery query = {
		"SELECT a.code, a.phone, a.language, a.state = 'open', s.alarm_level::int4,"
		" round(a.credit_limit, $4)::text, round(a.alarm1_amount, $4)::text,"
		" round(a.alarm2_amount, $4)::text, round(m.alarm1, $4)::text, round(m.alarm2, $4)::text,"
		" a.state = 'suspended', s.emergency_minor, s.emergency_exhausted, s.used_up_at,"
		" s.used_up_by_backlog"
		" FROM prepay.account a JOIN prepay.account_state s ON s.site_id = a.site_id"
		" AND s.account_id = a.account_id LEFT JOIN LATERAL (SELECT max(m.alarm1_amount) AS alarm1,"
		" max(m.alarm2_amount) AS alarm2 FROM prepay.account_meter t JOIN prepay.meter m"
		" ON m.site_id = t.site_id AND m.meter_id = t.meter_id WHERE t.site_id = a.site_id"
		" AND t.account_id = a.account_id AND t.valid_from <= $3 AND t.valid_to > $3"
		" AND m.purpose = 'prepaid') m ON true"
		" WHERE a.site_id = $1 AND a.account_id = $2",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 TimestampTzGetDatum(site->now), Int32GetDatum(site->decimals) };
	char *amount[5];
	int64 margin = Max(setting_money(site, "alarm_margin", 0), 0);
	int i;

	if (db_run(&query, args) != 1)
		elog(ERROR, "account %d has no state", account_id);
	memset(account, 0, sizeof(*account));
	account->account_id = account_id;
	account->code = db_text(0, 1);
	account->phone = db_text(0, 2);
	account->language = db_text(0, 3);
	account->is_open = db_bool(0, 4);
	account->stored_level = db_int32(0, 5);
	for (i = 0; i < lengthof(amount); i++)
		amount[i] = db_text(0, 6 + i);
	account->is_suspended = db_bool(0, 11);
	account->emergency = db_int64(0, 12);
	account->exhausted = db_bool(0, 13);
	account->used_up_at = db_time_or(0, 14, DT_NOBEGIN);
	account->used_up_by_backlog = db_bool(0, 15);
	SPI_freetuptable(SPI_tuptable);

	if (!amount_given(site, amount[0], &account->credit_limit))
		account->credit_limit = setting_money(site, "credit_limit", 0);
	account->credit_limit = Max(account->credit_limit, 0);
	for (i = 0; i < LEVEL_KINDS; i++)
	{
		account->level[i].kind = kind_name[i];
		account->level[i].margin = i == ARREARS ? 0 : margin;
	}
	set_threshold(site, &account->level[0], amount[1], amount[3], "alarm1_amount");
	set_threshold(site, &account->level[1], amount[2], amount[4], "alarm2_amount");
	account->level[ARREARS].has_threshold = true;
	account->level[ARREARS].threshold = -account->credit_limit;
}

/* Which kinds are active now. */
static void
active_kinds(const Site *site, int32 account_id, bool *active)
{
	static DbQuery query = {
		"SELECT kind FROM prepay.alarm WHERE site_id = $1"
		" AND kind IN ('alarm1', 'alarm2', 'arrears') AND COALESCE(account_id, 0) = $2"
		" AND COALESCE(meter_id, 0) = 0 AND COALESCE(gateway_id, 0) = 0"
		" AND COALESCE(agent, '') = '' AND cleared_at IS NULL",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };
	int n = db_run(&query, args);
	int i;
	int kind;

	memset(active, 0, sizeof(bool) * LEVEL_KINDS);
	for (i = 0; i < n; i++)
		for (kind = 0; kind < LEVEL_KINDS; kind++)
			if (strcmp(db_text(i, 1), kind_name[kind]) == 0)
				active[kind] = true;
	SPI_freetuptable(SPI_tuptable);
}

bool
level_was_funded(const Site *site, int32 account_id, int64 balance)
{
	static DbQuery query = {
		"SELECT 1 FROM prepay.ledger_entry WHERE site_id = $1 AND account_id = $2"
		" AND balance_after > 0 LIMIT 1",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	return balance > 0 || db_run(&query, args) > 0;
}

static int64
saturating_add(int64 a, int64 b)
{
	int64 sum;

	return pg_add_s64_overflow(a, b, &sum) ? (a > 0 ? PG_INT64_MAX : PG_INT64_MIN) : sum;
}

static void
store_level(const Site *site, const LevelAccount *account, const bool *active)
{
	static DbQuery query = { "UPDATE prepay.account_state SET alarm_level = $3"
							 " WHERE site_id = $1 AND account_id = $2",
							 3,
							 { INT4OID, INT4OID, INT2OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account->account_id), (Datum) 0 };
	int level = LEVEL_KINDS;

	while (level > 0 && !active[level - 1])
		level--;
	if (level == account->stored_level)
		return;
	args[2] = Int16GetDatum(level);
	db_run(&query, args);
}

static int64
raise_level(const Site *site, const LevelAccount *account, const Level *level, int64 balance)
{
	AlarmSubject subject = { .account_id = account->account_id };
	char have[MONEY_TEXT_MAX];
	char limit[MONEY_TEXT_MAX];
	int depth = (int) (level - account->level) + 1;

	minor_format(balance, site->decimals, have);
	minor_format(level->threshold, site->decimals, limit);
	return alarm_raise(site, &subject, level->kind, depth,
					   psprintf("The balance of %s %s is at or below %s %s.", have, site->currency,
								limit, site->currency));
}

static void
send_notice(const Site *site, const LevelAccount *account, const Level *level, int64 alarm_id,
			int64 balance)
{
	Notice notice = { .template = level->kind,
					  .account_id = account->account_id,
					  .alarm_id = alarm_id,
					  .account = account->code,
					  .phone = account->phone,
					  .language = account->language,
					  .balance = balance,
					  .threshold = level->threshold };

	notice_send(site, &notice);
}

/* Narrow the band by one level that has just been brought up to date. */
static void
narrow(const Level *level, bool active, bool suppressed, QuietBand *band)
{
	if (active)
		band->below =
			Min(band->below, saturating_add(saturating_add(level->threshold, level->margin), 1));
	else if (suppressed)
		band->below = Min(band->below, 1);
	else
		band->above = Max(band->above, level->threshold);
}

void
level_apply(const Site *site, const LevelAccount *account, int64 balance, QuietBand *band)
{
	AlarmSubject subject = { .account_id = account->account_id };
	bool active[LEVEL_KINDS];
	const Level *crossed = NULL;
	int64 alarm_id = 0;
	int funded = -1;
	int i;

	active_kinds(site, account->account_id, active);
	for (i = 0; i < LEVEL_KINDS; i++)
	{
		const Level *level = &account->level[i];
		bool wanted = account->is_open && level->has_threshold;
		bool suppressed = false;

		if (active[i] && (!wanted || balance > saturating_add(level->threshold, level->margin)))
		{
			(void) alarm_clear(site, &subject, level->kind);
			active[i] = false;
		}
		else if (!active[i] && wanted && balance <= level->threshold)
		{
			if (level->threshold >= 0 && funded < 0)
				funded = level_was_funded(site, account->account_id, balance);
			suppressed = level->threshold >= 0 && !funded;
			if (!suppressed)
			{
				alarm_id = raise_level(site, account, level, balance);
				crossed = level;
				active[i] = true;
			}
		}
		if (wanted)
			narrow(level, active[i], suppressed, band);
	}
	if (crossed)
		send_notice(site, account, crossed, alarm_id, balance);
	store_level(site, account, active);
}
