/*
 * tick.c: what time alone makes due.
 *
 * Idempotent and safe to run twice at once: every piece of work is a row that is
 * taken under a lock, or is skipped when somebody else is at it. One call works
 * off at most max_rows rows, so no account stays locked for long; callers repeat
 * it while it answers more than 0.
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "account.h"
#include "alarm_notice.h"
#include "anchor.h"
#include "auth.h"
#include "brake.h"
#include "clock.h"
#include "command.h"
#include "contact.h"
#include "credit.h"
#include "db.h"
#include "holiday.h"
#include "lock.h"
#include "push.h"
#include "pay.h"
#include "rerate.h"
#include "seal.h"

#define TICK_WORK 1
#define PARTITION_MONTHS_AHEAD 3

PG_FUNCTION_INFO_V1(prepay_tick);

/* Lock the accounts a query lists. */
static Account *
lock_listed(const Site *site, DbQuery *query, const Datum *args, int *n)
{
	int32 *account_id;
	int i;

	*n = db_run(query, args);
	account_id = palloc(sizeof(int32) * Max(*n, 1));
	for (i = 0; i < *n; i++)
		account_id[i] = db_int32(i, 1);
	return account_lock_all(site, account_id, *n, n);
}

/* Days whose readings did not come in time are sealed without them. */
static int
seal_overdue(const Site *site, int max)
{
	static DbQuery query = { "SELECT account_id FROM prepay.account_state WHERE site_id = $1"
							 " AND closed_on IS NULL AND sealed_to < date '2000-01-01' + $2"
							 " ORDER BY sealed_to, account_id LIMIT $3",
							 3,
							 { INT4OID, INT4OID, INT4OID } };
	int64 delay = setting_interval_us(site, "seal_delay", 0);
	int32 to = site_local_day(site, site->now - delay);
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(to), Int32GetDatum(max) };
	Account *account;
	RatingRun run;
	int n;
	int i;

	account = lock_listed(site, &query, args, &n);
	if (n == 0)
		return 0;
	rating_begin(&run, site);
	for (i = 0; i < n; i++)
		seal_days(site, &account[i], to, &run.posting, &run.usage);
	rating_finish(&run, account, n);
	return n;
}

/* Accounts whose rules changed since they were last decided. */
static int
decide_undecided(const Site *site, int max)
{
	static DbQuery query = { "SELECT account_id FROM prepay.account_state WHERE site_id = $1"
							 " AND quiet_above IS NULL ORDER BY account_id LIMIT $2",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(max) };
	Account *account;
	RatingRun run;
	int n;

	account = lock_listed(site, &query, args, &n);
	if (n == 0)
		return 0;
	rating_begin(&run, site);
	rating_finish(&run, account, n);
	return n;
}

/* Whether account work is due, of whatever kind. */
static bool
account_work_left(const Site *site)
{
	static DbQuery query = {
		"SELECT EXISTS (SELECT FROM prepay.rerate_queue WHERE site_id = $1)"
		" OR EXISTS (SELECT FROM prepay.account_state WHERE site_id = $1"
		"  AND closed_on IS NULL AND sealed_to < date '2000-01-01' + $2)"
		" OR EXISTS (SELECT FROM prepay.account_state WHERE site_id = $1 AND quiet_above IS NULL)",
		2,
		{ INT4OID, INT4OID }
	};
	int64 delay = setting_interval_us(site, "seal_delay", 0);
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(site_local_day(site, site->now - delay)) };

	db_run(&query, args);
	return db_bool(0, 1) || credit_expire_due(site);
}

/*
 * Accounts are locked in one ascending run a transaction: a second kind of work
 * could ask for a lower one while the first run is still held. So the first kind
 * that finds something is all this call does; *left says that more is due.
 */
static int
tick_accounts(const Site *site, int max, bool *left)
{
	int done = rerate_work(site, max);

	if (done == 0)
		done = seal_overdue(site, max);
	if (done == 0)
		done = credit_expire(site, max);
	if (done == 0)
		done = decide_undecided(site, max);
	*left = done > 0 && account_work_left(site);
	return done;
}

static int
tick_site(const Site *site, int max, bool *left)
{
	int done;

	/* A change of holidays keeps everybody else out: it is all this call does. */
	if (holiday_tick(site))
	{
		*left = true;
		return max;
	}
	lock_site_shared(site->site_id);
	done = tick_accounts(site, max, left);
	/* These skip what others hold. */
	done += contact_tick(site);
	if (done < max)
		done += command_tick(site, max - done);
	if (done < max)
		done += alarm_notice_escalate(site, max - done);
	if (done < max)
		done += push_tick(site, max - done);
	brake_tick(site);
	if (done < max)
		done += pay_order_tick(site, max - done);
	anchor_tick(site);
	return done;
}

/* ---- partitions of prepay.reading, by calendar month in UTC ---- */

static bool
default_has_rows(TimestampTz from, TimestampTz to)
{
	static DbQuery query = { "SELECT EXISTS (SELECT FROM prepay.reading_default"
							 " WHERE read_at >= $1 AND read_at < $2)",
							 2,
							 { TIMESTAMPTZOID, TIMESTAMPTZOID } };
	Datum args[] = { TimestampTzGetDatum(from), TimestampTzGetDatum(to) };

	db_run(&query, args);
	return db_bool(0, 1);
}

static void
create_partition(int year, int month, bool has_begun)
{
	char *name = psprintf("reading_%04d_%02d", year, month);
	Oid schema = get_namespace_oid("prepay", false);
	TimestampTz from = cal_day(year, month, 1) * CAL_DAY_US;
	TimestampTz to =
		(month == 12 ? cal_day(year + 1, 1, 1) : cal_day(year, month + 1, 1)) * CAL_DAY_US;

	if (OidIsValid(get_relname_relid(name, schema)) || default_has_rows(from, to))
		return;
	/*
	 * Attaching locks the default partition alone, unlike CREATE TABLE … PARTITION OF,
	 * which would make every reader and writer wait. But a writer that has chosen the default
	 * partition before and comes to it afterwards is refused, so in a month that readings
	 * arrive for writers wait at the table itself. When it is busy the next tick will do.
	 */
	if ((has_begun && !ConditionalLockRelationOid(get_relname_relid("reading", schema),
												  ShareRowExclusiveLock)) ||
		!ConditionalLockRelationOid(get_relname_relid("reading_default", schema),
									AccessExclusiveLock))
		return;
	db_execute(psprintf("CREATE TABLE prepay.%s (LIKE prepay.reading)", quote_identifier(name)));
	db_execute(psprintf("ALTER TABLE prepay.reading ATTACH PARTITION prepay.%s FOR VALUES"
						" FROM ('%04d-%02d-01 00:00+00') TO ('%04d-%02d-01 00:00+00')",
						quote_identifier(name), year, month, month == 12 ? year + 1 : year,
						month == 12 ? 1 : month + 1));
	db_execute(psprintf("CREATE TRIGGER %s BEFORE TRUNCATE ON prepay.%s FOR EACH STATEMENT"
						" EXECUTE FUNCTION prepay.refuse_change()",
						quote_identifier(psprintf("%s_not_truncated", name)),
						quote_identifier(name)));
}

static void
keep_partitions_ahead(void)
{
	int year;
	int month;
	int mday;
	int i;

	cal_civil((int32) (clock_now() / CAL_DAY_US), &year, &month, &mday);
	for (i = 0; i < PARTITION_MONTHS_AHEAD; i++)
	{
		create_partition(year, month, i == 0);
		if (++month > 12)
		{
			month = 1;
			year++;
		}
	}
}

/* tick(max_rows) → rows worked off when there may be more, else 0. */
Datum
prepay_tick(PG_FUNCTION_ARGS)
{
	int32 max = PG_GETARG_INT32(0);
	DbSession session;
	int32 *site_id;
	int n;
	int done = 0;
	bool more = false;
	int i;

	if (max < 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("max_rows must be at least 1"), errhint("The default is 1000.")));
	db_enter(&session);
	auth_require(session.caller, MAY_TICK, 0, "run tick()");
	n = auth_sites(BOOTSTRAP_SUPERUSERID, &site_id); /* due is due, whoever calls */
	for (i = 0; i < n && done < max; i++)
	{
		bool left = false;

		if (lock_tick(site_id[i], TICK_WORK))
			done += tick_site(site_get(site_id[i]), max - done, &left);
		more |= left;
	}
	keep_partitions_ahead();
	db_leave(&session);
	PG_RETURN_INT32(done >= max || more ? Max(done, 1) : 0);
}
