/*
 * purse.c: accounts whose money is in their meter.
 *
 * Data model
 *   The ledger goes on as for every account: entries, usage rated here, a balance.
 *   The meter has a balance of its own, which it uses up and cuts by, offline too.
 *   Of each such meter meter_purse says what the two differ by on purpose:
 *
 *     here       the account's money that is neither in the meter nor on its way:
 *                a recharge the meter refused; below 0, what the next recharge
 *                has to make up for (arrears brought over, standing charges)
 *     withdrawn  taken out of the meter and verified, not paid out yet
 *
 *   and purse_move has one row for each command that moves money:
 *
 *     posting     net credit of one posting (a sale less the debts it pays)
 *     carried     the balance of an account that gets the meter: a new meter begins anew
 *     order       a supervisor's recharge; `booked` is the part that was the account's
 *     withdrawal  money on its way back, asked for by withdraw()
 *
 * Invariant, per purse, looked at by verify():
 *   balance at start + entries since that are not usage = here + withdrawn
 *      + booked recharges that were not cancelled or refused - withdrawals done
 *   and the meter should show: balance - here - withdrawn - recharges that wait.
 *
 * Order of things. A credit is posted and its recharge queued in one transaction: no
 * money without a way into the meter. A debit is the other way round: withdraw()
 * queues the command, its read-back adds to `withdrawn` in the transaction of
 * report_command(), and only then refund, transfer, adjust and reverse post, up to
 * what is withdrawn. Each of the two calls has its key and may be repeated.
 *
 * A crash leaves: before the commit of either call, nothing; after a credit, a queued
 * recharge; after withdraw(), a command that will be tried until the meter's count says
 * yes or no; after its report, money that is withdrawn and can be paid out or ordered
 * back by control(…, 'recharge'). What an agent was killed over is in recharge.c.
 *
 * What nobody called for (standing charges, public energy, lapsed credit) moves the balance and not
 * the meter: it is taken out of the next recharge. `seen_seq` is how far that is done.
 *
 * Locks: account → meter_control of its meter → the purse. A report, which holds no
 * account, has the meter_control row alone. A site without such meters pays one
 * cached look.
 */
#include "purse.h"

#include "utils/builtins.h"

#include "account.h"
#include "alarm.h"
#include "auth.h"
#include "command.h"
#include "db.h"

#define SELECT_PURSE                                                                \
	"SELECT p.meter_id, p.account_id, p.start_minor, p.start_seq, p.start_command," \
	" p.here_minor, p.withdrawn_minor, p.seen_seq, p.purchase_count, p.count_at,"   \
	" p.meter_minor, p.meter_at FROM prepay.meter_purse p WHERE p.site_id = $1"

/* What is known of the site met last, as of one state of its configuration. */
static struct
{
	int32 site_id; /* 0: nothing */
	uint64 since;
	bool any;
} known;

bool
purse_any(const Site *site)
{
	static DbQuery query = { "SELECT EXISTS (SELECT FROM prepay.meter_purse WHERE site_id = $1)",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	/* A purse that begins changes the configuration, so that everybody looks again. */
	if (known.site_id != site->site_id || known.since != site->known_since)
	{
		db_run(&query, &arg);
		known.any = db_bool(0, 1);
		known.site_id = site->site_id;
		known.since = site->known_since;
	}
	return known.any;
}

static void
read_purse(Purse *purse)
{
	purse->meter_id = db_int32(0, 1);
	purse->account_id = db_int32(0, 2);
	purse->start = db_int64(0, 3);
	purse->start_seq = db_int32(0, 4);
	purse->start_command = db_int64(0, 5);
	purse->here = db_int64(0, 6);
	purse->withdrawn = db_int64(0, 7);
	purse->seen_seq = db_int32(0, 8);
	purse->count = db_int32_or(0, 9, -1);
	purse->has_count = purse->count >= 0;
	purse->count_at = db_time_or(0, 10, DT_NOBEGIN);
	purse->balance_at = db_time_or(0, 12, DT_NOBEGIN);
	purse->has_balance = purse->balance_at != DT_NOBEGIN;
	purse->balance = db_int64_or(0, 11, 0);
}

bool
purse_peek_account(const Site *site, int32 account_id, Purse *purse)
{
	static DbQuery query = { SELECT_PURSE " AND p.account_id = $2", 2, { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id) };

	if (db_run(&query, args) == 0)
		return false;
	read_purse(purse);
	return true;
}

bool
purse_peek_meter(const Site *site, int32 meter_id, Purse *purse)
{
	static DbQuery query = { SELECT_PURSE " AND p.meter_id = $2", 2, { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&query, args) == 0)
		return false;
	read_purse(purse);
	return true;
}

bool
purse_lock_meter(const Site *site, int32 meter_id, Purse *purse)
{
	static DbQuery lock = { "SELECT 1 FROM prepay.meter_control WHERE site_id = $1"
							" AND meter_id = $2 FOR NO KEY UPDATE",
							2,
							{ INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	db_run(&lock, args);
	return purse_peek_meter(site, meter_id, purse);
}

bool
purse_lock_account(const Site *site, int32 account_id, Purse *purse)
{
	return purse_any(site) && purse_peek_account(site, account_id, purse) &&
		   purse_lock_meter(site, purse->meter_id, purse);
}

/* ---- its numbers ---- */

void
purse_change(const Site *site, int32 meter_id, int64 here, int64 withdrawn)
{
	static DbQuery query = {
		"UPDATE prepay.meter_purse SET here_minor = here_minor + $3,"
		" withdrawn_minor = withdrawn_minor + $4 WHERE site_id = $1 AND meter_id = $2",
		4,
		{ INT4OID, INT4OID, INT8OID, INT8OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id), Int64GetDatum(here),
					 Int64GetDatum(withdrawn) };

	db_run(&query, args);
}

void
purse_set_count(const Site *site, int32 meter_id, int32 count, TimestampTz at)
{
	static DbQuery query = {
		"UPDATE prepay.meter_purse SET purchase_count = $3, count_at = $4 WHERE site_id = $1"
		" AND meter_id = $2",
		4,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id), Int32GetDatum(count),
					 TimestampTzGetDatum(at) };

	db_run(&query, args);
}

void
purse_set_balance(const Site *site, int32 meter_id, int64 minor, TimestampTz at)
{
	static DbQuery query = { "UPDATE prepay.meter_purse SET meter_minor = $3, meter_at = $4"
							 " WHERE site_id = $1 AND meter_id = $2",
							 4,
							 { INT4OID, INT4OID, INT8OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id), Int64GetDatum(minor),
					 TimestampTzGetDatum(at) };

	db_run(&query, args);
}

int64
purse_unseen(const Site *site, const Purse *purse, int32 *seen_seq)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(e.amount), 0)::text, max(e.seq) FROM prepay.ledger_entry e"
		" WHERE e.site_id = $1 AND e.account_id = $2 AND e.seq > $3 AND e.key IS NULL" PURSE_NOT_USAGE,
		3,
		{ INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(purse->account_id),
					 Int32GetDatum(purse->seen_seq) };

	db_run(&query, args);
	*seen_seq = db_int32_or(0, 2, purse->seen_seq);
	return text_minor(site, db_text(0, 1));
}

int64
purse_waiting(const Site *site, int32 meter_id, bool *in_flight)
{
	static DbQuery query = {
		"SELECT COALESCE(sum(v.booked) FILTER (WHERE c.action = 'recharge'"
		" AND c.status = 'queued'), 0)::text, bool_or(c.status <> 'queued')"
		" FROM prepay.command c JOIN prepay.purse_move v USING (site_id, command_id)"
		" WHERE c.site_id = $1 AND c.meter_id = $2 AND c.status IN ('queued', 'sent', 'unknown')",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };
	bool isnull;

	db_run(&query, args);
	*in_flight = DatumGetBool(db_value(0, 2, &isnull)) && !isnull;
	return text_minor(site, db_text(0, 1));
}

/* ---- moves ---- */

int64
purse_queue(const Site *site, const Purse *purse, const char *action, int64 minor, int64 booked,
			const char *cause, const char *key, const char *reason)
{
	static DbQuery query = {
		"INSERT INTO prepay.purse_move (site_id, command_id, meter_id, account_id, cause, key,"
		" amount, booked) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		8,
		{ INT4OID, INT8OID, INT4OID, INT4OID, TEXTOID, TEXTOID, NUMERICOID, NUMERICOID }
	};
	Command command = { .meter_id = purse->meter_id,
						.account_id = purse->account_id,
						.action = action,
						.reason = reason,
						.operator_name = auth_operator() };
	Datum args[8];

	command.args = psprintf("{\"amount\": \"%s\"}", vend_money(site, minor));
	args[0] = Int32GetDatum(site->site_id);
	args[1] = Int64GetDatum(command_queue(site, &command));
	args[2] = Int32GetDatum(purse->meter_id);
	args[3] = Int32GetDatum(purse->account_id);
	args[4] = CStringGetTextDatum(cause);
	args[5] = db_text_datum(key);
	args[6] = minor_numeric(minor, site->decimals);
	args[7] = minor_numeric(booked, site->decimals);
	db_run_nulls(&query, args, key ? NULL : "     n  ");
	return DatumGetInt64(args[1]);
}

/* ---- meters come and go ---- */

void
purse_load_meter(const Site *site, int32 meter_id, PurseMeter *meter)
{
	static DbQuery query = {
		"SELECT m.code, m.model, m.prepay_mode = 'meter' AND m.purpose = 'prepaid',"
		" mm.code IS NULL OR COALESCE(mm.profile -> 'commands' ? 'recharge', false),"
		" mm.code IS NULL OR COALESCE(mm.profile -> 'commands' ? 'withdraw', false)"
		" FROM prepay.meter m LEFT JOIN prepay.meter_model mm ON mm.code = m.model"
		" WHERE m.site_id = $1 AND m.meter_id = $2",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&query, args) != 1)
		elog(ERROR, "meter %d has gone", meter_id);
	meter->code = db_text(0, 1);
	meter->model = db_text(0, 2);
	meter->keeps_money = db_bool(0, 3);
	meter->can_recharge = db_bool(0, 4);
	meter->can_withdraw = db_bool(0, 5);
}

void
purse_require_alone(const Site *site, int32 account_id, int32 meter_id, int32 replaced)
{
	static DbQuery others = {
		"SELECT m.code, m.prepay_mode = 'meter' FROM prepay.account_meter o JOIN prepay.meter m"
		" USING (site_id, meter_id) WHERE o.site_id = $1 AND o.account_id = $2"
		" AND o.valid_to = 'infinity' AND o.meter_id NOT IN ($3, $4) AND m.purpose = 'prepaid'"
		" ORDER BY m.prepay_mode = 'meter' DESC, m.meter_id LIMIT 1",
		4,
		{ INT4OID, INT4OID, INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(account_id),
					 Int32GetDatum(meter_id), Int32GetDatum(replaced) };
	PurseMeter meter;

	purse_load_meter(site, meter_id, &meter);
	if (meter.keeps_money && !meter.can_recharge)
		ereport(ERROR,
				(errcode(ERRCODE_PP_IN_METER),
				 errmsg("meter \"%s\" cannot keep money: model %s has no command \"recharge\"",
						meter.code, meter.model),
				 errhint("Set its prepay_mode to 'server', or give it the model that it is.")));
	if (db_run(&others, args) == 0 || (!meter.keeps_money && !db_bool(0, 2)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PP_METER_OWNED),
			 errmsg("the account already has meter \"%s\"", db_text(0, 1)),
			 errdetail("Meter \"%s\" keeps the account's money, and it cannot be in two meters.",
					   meter.keeps_money ? meter.code : db_text(0, 1)),
			 errhint("Give the meter an account of its own, or use prepay_mode 'server'.")));
}

void
purse_begin(const Site *site, int32 account_id, int32 meter_id)
{
	static DbQuery query = {
		"INSERT INTO prepay.meter_purse (site_id, meter_id, account_id, started_at, start_minor,"
		" start_seq, start_command, here_minor, seen_seq) SELECT $1, $2, $3, $4, $5, s.last_seq,"
		" COALESCE((SELECT max(command_id) FROM prepay.purse_move WHERE site_id = $1"
		"  AND meter_id = $2), 0), $5, s.last_seq"
		" FROM prepay.account_state s WHERE s.site_id = $1 AND s.account_id = $3",
		5,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, INT8OID }
	};
	PurseMeter meter;
	Purse purse;
	int64 balance = 0;
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 Int32GetDatum(account_id), TimestampTzGetDatum(site->now), (Datum) 0 };

	purse_load_meter(site, meter_id, &meter);
	if (!meter.keeps_money)
		return;
	(void) account_lock(site, account_id);
	(void) account_balance(site, account_id, &balance);
	args[4] = Int64GetDatum(balance);
	db_run(&query, args);
	site_touch(site->site_id);
	known.site_id = 0;
	if (balance <= 0 || !purse_peek_meter(site, meter_id, &purse))
		return;
	purse_change(site, meter_id, -balance, 0);
	(void) purse_queue(site, &purse, "recharge", balance, balance, "carried", NULL,
					   "balance brought over to the meter");
}

void
purse_end(const Site *site, int32 meter_id, const char *why)
{
	static DbQuery orders = {
		"UPDATE prepay.command SET status = 'cancelled', finished_at = $3,"
		" result = COALESCE(result, '{}') || jsonb_build_object('error', $4)"
		" WHERE site_id = $1 AND meter_id = $2 AND action IN ('recharge', 'withdraw')"
		" AND status IN ('queued', 'sent', 'unknown')",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, TEXTOID }
	};
	static DbQuery end = { "DELETE FROM prepay.meter_purse WHERE site_id = $1 AND meter_id = $2",
						   2,
						   { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(site->now), CStringGetTextDatum(why) };
	Purse purse;

	if (!purse_any(site) || !purse_lock_meter(site, meter_id, &purse))
		return;
	db_run(&orders, args);
	db_run(&end, args);
	(void) alarm_clear_meter(site, meter_id, "balance_mismatch");
	(void) alarm_clear_meter(site, meter_id, "purchase_count");
}
