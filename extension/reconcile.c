/*
 * reconcile.c: 比对: balance and purchase count of a meter against the ledger.
 *
 *   count    must be the one the last command left, or the one a command in flight
 *            brings; anything else is the alarm purchase_count, ended by a person
 *            (resolve_recharge) and never by a later reading: money was put in, or
 *            taken out, without a sale.
 *   balance  must be balance of the account - what is kept here - recharges that wait,
 *            give or take `balance_tolerance`: the alarm balance_mismatch rises beyond
 *            it and is cleared within half of it.
 *
 * What the tolerance is for: the meter prices each pulse with prices of its own digits
 * (push_tariff rounds to them), the ledger prices registers of 0.01 kWh with prices of
 * six decimals. Half a digit of 0.0001 a kWh is 0.50 in 10 000 kWh. A larger difference
 * has a cause: another tariff in the meter, tiers, energy of a gap shared otherwise, a hand
 * at the meter.
 *
 * Only the newest reading counts, and only one taken after the last command that
 * moved money was read back: a reading that was long on its way shows the past. While a
 * command is in flight the balance is not judged.
 */
#include "reconcile.h"

#include "utils/builtins.h"

#include "account.h"
#include "alarm.h"
#include "db.h"
#include "purse.h"
#include "vend.h"

/* What one reading shows of money. */
typedef struct Shown
{
	TimestampTz read_at;
	bool has_count;
	int32 count;
	bool has_balance;
	int64 balance;
} Shown;

static bool
load_shown(const Site *site, int32 meter_id, TimestampTz read_at, Shown *shown)
{
	static DbQuery query = {
		"SELECT round(meter_balance, $4)::text, purchase_count FROM prepay.reading"
		" WHERE site_id = $1 AND meter_id = $2 AND read_at = $3",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(read_at), Int32GetDatum(site->decimals) };
	char *balance;

	if (db_run(&query, args) != 1)
		return false;
	shown->read_at = read_at;
	balance = db_text(0, 1);
	shown->has_balance =
		balance && decimal_parse(balance, site->decimals, &shown->balance) == DECIMAL_OK;
	shown->count = db_int32_or(0, 2, -1);
	shown->has_count = shown->count >= 0;
	return shown->has_balance || shown->has_count;
}

/* Whether the count is what a command in flight leaves behind. */
static bool
count_in_flight(const Site *site, int32 meter_id, int32 count)
{
	static DbQuery query = { "SELECT 1 FROM prepay.command WHERE site_id = $1 AND meter_id = $2"
							 " AND status IN ('queued', 'sent', 'unknown')"
							 " AND action IN ('recharge', 'withdraw')"
							 " AND (args ->> 'count')::int = $3",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id), Int32GetDatum(count) };

	return db_run(&query, args) > 0;
}

static void
check_count(const Site *site, const Purse *purse, const Shown *shown)
{
	if (!shown->has_count || shown->read_at <= purse->count_at)
		return;
	if (!purse->has_count)
		purse_set_count(site, purse->meter_id, shown->count, shown->read_at);
	else if (shown->count != purse->count && !count_in_flight(site, purse->meter_id, shown->count))
		(void) alarm_raise_meter(site, purse->meter_id, "purchase_count", ALARM_CRITICAL,
								 psprintf("The meter has purchase count %d, the ledger's is %d; "
										  "somebody decides with resolve_recharge().",
										  shown->count, purse->count));
}

static void
check_balance(const Site *site, const Account *account, const Purse *purse, const Shown *shown)
{
	int64 tolerance = setting_money(site, "balance_tolerance", 0);
	bool in_flight;
	int64 waiting = purse_waiting(site, purse->meter_id, &in_flight);
	int32 seen_seq;
	int64 expected;
	int64 off;

	/* The account's balance is that of its last reading, which has to be this one. */
	if (in_flight || shown->read_at <= purse->count_at || account->n_meter != 1 ||
		account->meter[0]->last_read_at != shown->read_at)
		return;
	expected = account_balance_of(site, account) - purse_unseen(site, purse, &seen_seq) -
			   purse->here - purse->withdrawn - waiting;
	/* A meter whose money is used up shows 0 and cuts; the ledger may stand a little below. */
	off = shown->balance - Max(expected, 0);
	if (off > tolerance || off < -tolerance)
		(void) alarm_raise_meter(site, purse->meter_id, "balance_mismatch", ALARM_WARNING,
								 psprintf("The meter has %s, by the ledger it should have %s %s.",
										  vend_money(site, shown->balance),
										  vend_money(site, expected), site->currency));
	else if (off <= tolerance / 2 && off >= -(tolerance / 2))
		(void) alarm_clear_meter(site, purse->meter_id, "balance_mismatch");
}

/* The newest reading of a meter in this statement; 0: none. */
static TimestampTz
newest(const Reading *reading, int n, int32 meter_id)
{
	TimestampTz read_at = DT_NOBEGIN;
	int i;

	for (i = 0; i < n; i++)
		if (reading[i].meter_id == meter_id)
			read_at = Max(read_at, reading[i].read_at);
	return read_at;
}

static void
reconcile(const Site *site, const Account *account, const Reading *reading, int n)
{
	Purse purse;
	Shown shown;
	TimestampTz read_at;

	if (!purse_peek_account(site, account->account_id, &purse))
		return;
	read_at = newest(reading, n, purse.meter_id);
	if (read_at == DT_NOBEGIN || read_at > site->now ||
		!load_shown(site, purse.meter_id, read_at, &shown) ||
		!purse_lock_meter(site, purse.meter_id, &purse) || read_at <= purse.balance_at)
		return;
	check_count(site, &purse, &shown);
	if (!shown.has_balance)
		return;
	check_balance(site, account, &purse, &shown);
	purse_set_balance(site, purse.meter_id, shown.balance, read_at);
}

void
reconcile_readings(const Site *site, Account *account, int n_account, const Reading *reading, int n)
{
	static DbQuery query = {
		"SELECT u.n::int - 1 FROM unnest($2) WITH ORDINALITY AS u (account_id, n)"
		" JOIN prepay.meter_purse p ON p.site_id = $1 AND p.account_id = u.account_id",
		2,
		{ INT4OID, INT4ARRAYOID }
	};
	Datum args[2];
	int32 *id;
	int found;
	int i;

	if (n_account == 0 || !purse_any(site))
		return;
	id = palloc(sizeof(int32) * n_account);
	for (i = 0; i < n_account; i++)
		id[i] = account[i].account_id;
	args[0] = Int32GetDatum(site->site_id);
	args[1] = db_array_int32(id, n_account);
	found = db_run(&query, args);
	for (i = 0; i < found; i++)
		id[i] = db_int32(i, 1);
	for (i = 0; i < found; i++)
		reconcile(site, &account[id[i]], reading, n);
}
