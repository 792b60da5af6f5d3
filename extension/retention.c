/*
 * retention.c: old readings are dropped, and what rests on them stays proven.
 *
 * drop_readings(before) takes the readings of all sites from before a month (UTC, as the
 * partitions go) away for ever. Nothing else goes: entries, sealed lines and ends of chains
 * stay, so balances, tier positions and usage are what they were.
 *
 * What remains of the readings
 *   prepay.reading  each meter keeps the last one that counts from before, from which the
 *                   next is measured, and, where that one left the reverse register out,
 *                   the last one that had it. They lie in the default partition.
 *   reading_kept    a row a meter: where its chain stood (reading_chain.c), how many late
 *                   ones had come, and the hashes of the kept readings. The walk of
 *                   verify() starts from there. Proven by row_proof, as is
 *   retention       a row a site and drop: the last says what is gone.
 *
 * The first whole local day at or after that moment (Site.kept_day) is the first that can
 * be computed again: every interval that touches it ends in a reading that is there. Days
 * before it never change any more, nor does an interval that began before it:
 *   drop_readings()  refuses while one could: a meter of an account without a reading on or
 *                    after that day, a reading under review, a day not sealed, an account in
 *                    the queue; and while less than a whole accumulation period would stay;
 *   accept_value(), rerate_judge()  hold late readings and refuse corrections that would;
 *   rerate_compute() refuses to start earlier; rerate_work() starts at that day instead;
 *   verify()         rates from that day on, by the tier positions of the sealed lines,
 *                    which are proven by the hashes of their entries.
 *
 * Lock: prepay.reading alone, against everybody, taken first: whoever has looked a reading
 * up or stores one is waited for, at most LOCK_WAIT, and who comes later finds the new
 * limit. The site's lock is not taken, as who holds it may wait for this table. What is done
 * under the lock goes by the number of meters, not of readings; files are unlinked after it.
 *
 * All of it is one transaction: after a crash all is gone or nothing is.
 */
#include "retention.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/datetime.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"

#include "auth.h"
#include "clock.h"
#include "db.h"
#include "oplog.h"
#include "reading_chain.h"
#include "tariff_store.h"

#define LOCK_WAIT "5s"
/* So many reasons against it are told at once. */
#define REASONS_TOLD "5"
#define RESULT_COLUMNS 4

PG_FUNCTION_INFO_V1(prepay_drop_readings);

/* ---- the limit ---- */

static char *
limit_text(const Site *site)
{
	return pstrdup(timestamptz_to_str(site->kept_from));
}

void
retention_require(const Site *site, TimestampTz from, const char *what)
{
	if (from >= site->kept_from)
		return;
	ereport(ERROR, (errcode(ERRCODE_PP_DROPPED),
					errmsg("%s reaches into a time of which the readings are gone", what),
					errdetail("Readings are kept from %s on.", limit_text(site)),
					errhint("Begin there or later; usage_daily has the days before, and adjust() "
							"settles what an account is owed for them.")));
}

void
retention_refuse(const Site *site, const char *reason)
{
	if (reason && strcmp(reason, RETENTION_REASON) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_DROPPED),
				 errmsg("this reading tells of a time of which the readings are gone"),
				 /* As it is now: the caller may have waited for the drop. */
				 errdetail("No interval that began before %s changes any more.",
						   limit_text(site_get(site->site_id))),
				 errhint("Reject it where it is under review; adjust() settles what an account is "
						 "owed.")));
}

void
retention_tell(const Site *site, TimestampTz from)
{
	if (from < site->kept_from)
		ereport(NOTICE, (errmsg("readings before %s were dropped", limit_text(site)),
						 errdetail("What goes by readings is not complete before."),
						 errhint("usage_daily has all days.")));
}

/* ---- what may not go yet ---- */

static void
refuse_drop(const Site *site, const char *reasons, const char *hint)
{
	ereport(ERROR, (errcode(ERRCODE_PP_DROPPED),
					errmsg("readings of site \"%s\" from before %s cannot be dropped yet",
						   site->code, limit_text(site)),
					errdetail("%s.", reasons), errhint("%s", hint)));
}

typedef struct Obstacle
{
	DbQuery query; /* of site, first instant and first day that stay */
	const char *hint;
} Obstacle;

#define REASONS(select, order)                                   \
	"SELECT string_agg(t, '; ' ORDER BY n) FROM (SELECT " select \
	" AS t, row_number() OVER (ORDER BY " order ") AS n FROM "
#define REASONS_END " ORDER BY n LIMIT " REASONS_TOLD ") r"

static Obstacle obstacles[] = {
	{ { REASONS(
			"format('review %s of meter %s is open', k.review_id, m.code)",
			"k.review_id, k.read_at") "prepay.reading_mark k JOIN prepay.meter m"
									  " USING (site_id, meter_id) WHERE k.site_id = $1 AND k.read_at < $2"
									  " AND k.mark IN ('held', 'waiting')" REASONS_END,
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID } },
	  "Decide with resolve_review(), assign the tariff that is missing, or choose an earlier "
	  "month." },
	{ { REASONS("format('account %s waits to be rated again', a.code)",
				"a.account_id") "prepay.rerate_queue q JOIN prepay.account a"
								" USING (site_id, account_id) WHERE q.site_id = $1" REASONS_END,
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID } },
	  "Call tick() until it returns 0." },
	{ { REASONS(
			"format('account %s is sealed up to %s alone', a.code, s.sealed_to)",
			"a.account_id") "prepay.account_state s JOIN prepay.account a"
							" USING (site_id, account_id) WHERE s.site_id = $1 AND s.closed_on IS NULL"
							" AND s.sealed_to < date '2000-01-01' + $3" REASONS_END,
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID } },
	  "Call tick() until it returns 0, or choose an earlier month." },
	{ { REASONS(
			"format('meter %s was last read at %s', m.code, s.last_read_at)",
			"m.meter_id") "prepay.meter_state s JOIN prepay.meter m"
						  " USING (site_id, meter_id) WHERE s.site_id = $1 AND s.last_read_at < $2"
						  " AND (s.account_id IS NOT NULL OR s.former_waits)" REASONS_END,
		3,
		{ INT4OID, TIMESTAMPTZOID, INT4OID } },
	  "What it used since is charged when it is read: read it, replace it, take it from its "
	  "account with its final register, or choose an earlier month." },
};

/* The begin of the last whole period in which a tariff counts its tiers; days as of today. */
static int32
last_whole_period(const Site *site, const Tariff *tariff)
{
	int32_t start;
	int32_t end;

	tariff_accumulation(tariff, site->today, &start, &end);
	tariff_accumulation(tariff, start - 1, &start, &end);
	return start;
}

static void
require_period(const Site *site)
{
	static DbQuery query = { "SELECT v.tariff_id, v.version, t.code FROM prepay.tariff_version v"
							 " JOIN prepay.tariff t USING (site_id, tariff_id)"
							 " WHERE v.site_id = $1 AND EXISTS (SELECT"
							 "  FROM prepay.tariff_assignment a WHERE a.site_id = $1"
							 "  AND a.tariff_id = v.tariff_id) ORDER BY 1, 2",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);
	int n = db_run(&query, &arg);
	int32 *tariff_id = palloc(sizeof(int32) * Max(n, 1));
	int32 *version = palloc(sizeof(int32) * Max(n, 1));
	char **code = palloc(sizeof(char *) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
	{
		tariff_id[i] = db_int32(i, 1);
		version[i] = db_int32(i, 2);
		code[i] = db_text(i, 3);
	}
	for (i = 0; i < n; i++)
	{
		int32 start = last_whole_period(site, tariff_of_version(site, tariff_id[i], version[i]));

		if (site->kept_day > start)
			refuse_drop(
				site,
				psprintf("The last whole period in which tariff %s counts tiers began on "
						 "%s",
						 code[i],
						 DatumGetCString(DirectFunctionCall1(date_out, DateADTGetDatum(start)))),
				"Choose a month that leaves it whole.");
	}
}

/* Whether every interval that could still change lies in what stays. */
static void
require_settled(const Site *site)
{
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->kept_from),
					 Int32GetDatum(site->kept_day) };
	int i;

	if (site->kept_day > site->today)
		refuse_drop(site, "The time is not over", "Choose an earlier month.");
	require_period(site);
	for (i = 0; i < lengthof(obstacles); i++)
	{
		char *reasons;

		db_run(&obstacles[i].query, args);
		reasons = db_text(0, 1);
		if (reasons)
			refuse_drop(site, reasons, obstacles[i].hint);
	}
}

/* ---- what is kept of a meter ---- */

typedef struct Kept
{
	int32 meter_id;
	ReadingChain chain;		 /* as it stood */
	TimestampTz register_at; /* 0: no reading counts */
	uint8 register_hash[CHAIN_BYTES];
	TimestampTz reverse_at; /* 0: the same one, or none */
	uint8 reverse_hash[CHAIN_BYTES];
} Kept;

typedef struct KeptWork
{
	int32 site_id;
	int n;
	Kept *kept; /* ascending by meter_id */
	int next;
	StringInfoData row;
} KeptWork;

/* Chains as they stood at the end of the last month that goes. */
static void
load_chains(const Site *site, TimestampTz cut, KeptWork *work)
{
	static DbQuery query = {
		"SELECT s.meter_id, s.reading_chain, s.late_chain, e.readings, e.hash"
		" FROM prepay.meter_state s LEFT JOIN LATERAL (SELECT c.readings, c.hash"
		"  FROM prepay.reading_chain c WHERE c.site_id = $1 AND c.meter_id = s.meter_id"
		"  AND c.month < $2 ORDER BY c.month DESC LIMIT 1) e ON true"
		" WHERE s.site_id = $1 AND s.reading_chain <> '' ORDER BY s.meter_id",
		2,
		{ INT4OID, DATEOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id),
					 DateADTGetDatum((DateADT) (cut / USECS_PER_DAY)) };
	int n = db_run(&query, args);
	int i;

	work->n = n;
	work->kept = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(Kept) * Max(n, 1));
	memset(work->kept, 0, sizeof(Kept) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		Kept *kept = &work->kept[i];
		bool isnull;
		ReadingChain begin;

		kept->meter_id = db_int32(i, 1);
		if (!reading_chain_decode(site->site_id, kept->meter_id, db_value(i, 2, &isnull),
								  db_value(i, 3, &isnull), &kept->chain))
			ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
							errmsg("meter %d: its chain of readings is damaged", kept->meter_id),
							errhint("See what verify() finds.")));
		if (kept->chain.last_read_at < cut)
			continue;
		reading_chain_begin(site->site_id, kept->meter_id, &begin);
		kept->chain.readings = (uint32) db_int64_or(i, 4, 0);
		memcpy(kept->chain.hash, begin.hash, CHAIN_BYTES);
		if (kept->chain.readings > 0)
			(void) digest_from_bytea(db_value(i, 5, &isnull), kept->chain.hash, CHAIN_BYTES);
	}
}

/* A kept reading, by meter and time: the last one that counts, or the one before it. */
static void
take_kept(void *context, const Datum *value, const bool *isnull)
{
	KeptWork *work = context;
	int32 meter_id = DatumGetInt32(value[0]);
	Kept *kept;

	while (work->next < work->n && work->kept[work->next].meter_id < meter_id)
		work->next++;
	kept = &work->kept[work->next];
	if (work->next == work->n || kept->meter_id != meter_id)
		elog(ERROR, "meter %d has readings without a chain", meter_id);
	resetStringInfo(&work->row);
	reading_encode(value + 1, isnull + 1, &work->row);
	kept->reverse_at = kept->register_at;
	memcpy(kept->reverse_hash, kept->register_hash, CHAIN_BYTES);
	kept->register_at = DatumGetTimestampTz(value[1]);
	reading_chain_row_hash(work->site_id, meter_id, work->row.data, work->row.len,
						   kept->register_hash);
}

static void
load_kept(TimestampTz cut, KeptWork *work)
{
	static DbQuery query = {
		"SELECT r.meter_id, " READING_PROVEN " FROM (SELECT s.meter_id, k.read_at"
		"  FROM prepay.meter_state s CROSS JOIN LATERAL ("
		"   (SELECT b.read_at FROM prepay.reading_believed b WHERE b.site_id = $1"
		"    AND b.meter_id = s.meter_id AND b.read_at < $2 ORDER BY b.read_at DESC LIMIT 1)"
		"   UNION (SELECT b.read_at FROM prepay.reading_believed b WHERE s.reverse_wh >= 0"
		"    AND b.site_id = $1 AND b.meter_id = s.meter_id AND b.read_at < $2"
		"    AND (b.reverse_wh >= 0 OR b.mark = 'baseline') ORDER BY b.read_at DESC LIMIT 1)) k"
		"  WHERE s.site_id = $1) k JOIN prepay.reading r ON r.site_id = $1"
		" AND r.meter_id = k.meter_id AND r.read_at = k.read_at ORDER BY r.meter_id, r.read_at",
		2,
		{ INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(work->site_id), TimestampTzGetDatum(cut) };

	initStringInfo(&work->row);
	db_scan(&query, args, take_kept, work);
}

static void
store_kept(const Site *site, TimestampTz cut, const KeptWork *work)
{
	static DbRowsQuery query = {
		"INSERT INTO prepay.reading_kept (site_id, kept_from, meter_id, readings, chain_hash,"
		" late, register_at, register_hash, reverse_at, reverse_hash)"
		" SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10 ON CONFLICT (site_id, meter_id)"
		" DO UPDATE SET kept_from = EXCLUDED.kept_from, readings = EXCLUDED.readings,"
		" chain_hash = EXCLUDED.chain_hash, late = EXCLUDED.late,"
		" register_at = EXCLUDED.register_at, register_hash = EXCLUDED.register_hash,"
		" reverse_at = EXCLUDED.reverse_at, reverse_hash = EXCLUDED.reverse_hash",
		2,
		8,
		{ INT4OID, TIMESTAMPTZOID, INT4OID, INT8OID, BYTEAOID, INT4OID, TIMESTAMPTZOID, BYTEAOID,
		  TIMESTAMPTZOID, BYTEAOID }
	};
	Datum fixed[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(cut) };
	DbRows rows;
	int i;

	if (work->n == 0)
		return;
	rows = db_rows(&query, work->n);
	for (i = 0; i < work->n; i++)
	{
		const Kept *kept = &work->kept[i];

		rows.value[0][i] = Int32GetDatum(kept->meter_id);
		rows.value[1][i] = Int64GetDatum(kept->chain.readings);
		rows.value[2][i] = digest_bytea(kept->chain.hash, CHAIN_BYTES);
		rows.value[3][i] = Int32GetDatum(kept->chain.late);
		rows.value[4][i] = TimestampTzGetDatum(kept->register_at);
		rows.value[5][i] = digest_bytea(kept->register_hash, CHAIN_BYTES);
		rows.value[6][i] = TimestampTzGetDatum(kept->reverse_at);
		rows.value[7][i] = digest_bytea(kept->reverse_hash, CHAIN_BYTES);
		rows.isnull[4][i] = rows.isnull[5][i] = kept->register_at == 0;
		rows.isnull[6][i] = rows.isnull[7][i] = kept->reverse_at == 0;
	}
	db_run_rows(&query, fixed, &rows);
}

static void
store_limit(const Site *site, TimestampTz cut)
{
	static DbQuery query = {
		"INSERT INTO prepay.retention (site_id, kept_from, dropped_at, operator)"
		" VALUES ($1, $2, $3, $4)",
		4,
		{ INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID }
	};
	/* Marks decide about readings; a reading that comes once more is not decided by an old one. */
	static DbQuery unmark = {
		"DELETE FROM prepay.reading_mark k WHERE k.site_id = $1 AND k.read_at < $2"
		" AND NOT EXISTS (SELECT FROM prepay.reading_kept x WHERE x.site_id = $1"
		"  AND x.meter_id = k.meter_id AND k.read_at IN (x.register_at, x.reverse_at))",
		2,
		{ INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(cut),
					 TimestampTzGetDatum(site->now), CStringGetTextDatum(auth_operator()) };

	db_run(&query, args);
	db_run(&unmark, args);
}

/* Returns the number of its meters that have readings. */
static int
keep_site(int32 site_id, TimestampTz cut)
{
	Site site = *site_get(site_id);
	KeptWork work = { .site_id = site_id };

	if (site.dropped_before >= cut)
		ereport(ERROR,
				(errcode(ERRCODE_PP_DROPPED),
				 errmsg("readings from before that month are gone already"),
				 errdetail("Site \"%s\" keeps them from %s on.", site.code, limit_text(&site)),
				 errhint("Choose a later month.")));
	site_keep_from(&site, cut);
	require_settled(&site);
	load_chains(&site, cut, &work);
	load_kept(cut, &work);
	store_kept(&site, cut, &work);
	store_limit(&site, cut);
	return work.n;
}

/* ---- the table ---- */

static void
lock_readings(void)
{
	int level = NewGUCNestLevel();

	(void) set_config_option("lock_timeout", LOCK_WAIT, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE,
							 true, 0, false);
	db_execute("LOCK TABLE prepay.reading IN ACCESS EXCLUSIVE MODE");
	AtEOXact_GUC(true, level);
}

/* A new default partition of what stays of the old one and of what is kept. */
static int
renew_default(TimestampTz cut)
{
	static DbQuery stays = { "INSERT INTO prepay.reading_default_new"
							 " SELECT * FROM prepay.reading_default WHERE read_at >= $1",
							 1,
							 { TIMESTAMPTZOID } };
	static DbQuery kept = {
		"INSERT INTO prepay.reading_default_new SELECT r.* FROM prepay.reading_kept k"
		" JOIN prepay.reading r ON r.site_id = k.site_id AND r.meter_id = k.meter_id"
		" AND r.read_at IN (k.register_at, k.reverse_at) WHERE r.read_at < $1",
		1,
		{ TIMESTAMPTZOID }
	};
	Datum arg = TimestampTzGetDatum(cut);
	int n;

	db_execute("CREATE TABLE prepay.reading_default_new (LIKE prepay.reading)");
	db_run(&stays, &arg);
	n = db_run(&kept, &arg);
	SPI_freeplan(stays.plan);
	SPI_freeplan(kept.plan);
	stays.plan = kept.plan = NULL;
	db_execute("ALTER TABLE prepay.reading DETACH PARTITION prepay.reading_default");
	db_execute("DROP TABLE prepay.reading_default");
	return n;
}

static void
attach_default(void)
{
	db_execute("ALTER TABLE prepay.reading_default_new RENAME TO reading_default");
	db_execute("ALTER TABLE prepay.reading ATTACH PARTITION prepay.reading_default DEFAULT");
	db_execute("CREATE TRIGGER reading_default_not_truncated BEFORE TRUNCATE"
			   " ON prepay.reading_default FOR EACH STATEMENT"
			   " EXECUTE FUNCTION prepay.refuse_change()");
}

/* Partitions of months before the one given; their number. */
static int
drop_partitions(int year, int month)
{
	static DbQuery query = { "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c"
							 " ON c.oid = i.inhrelid"
							 " WHERE i.inhparent = 'prepay.reading'::regclass"
							 " AND c.relname ~ '^reading_[0-9]{4}_[0-9]{2}$'"
							 " AND c.relname < $1 ORDER BY 1",
							 1,
							 { TEXTOID } };
	Datum arg = CStringGetTextDatum(psprintf("reading_%04d_%02d", year, month));
	int n = db_run(&query, &arg);
	char **name = palloc(sizeof(char *) * Max(n, 1));
	int i;

	for (i = 0; i < n; i++)
		name[i] = db_text(i, 1);
	for (i = 0; i < n; i++)
		db_execute(psprintf("DROP TABLE prepay.%s", quote_identifier(name[i])));
	return n;
}

/* Somebody may have made partitions of another width. */
static void
require_gone(TimestampTz cut, int kept)
{
	static DbQuery query = { "SELECT count(*) FROM prepay.reading WHERE read_at < $1",
							 1,
							 { TIMESTAMPTZOID } };
	Datum arg = TimestampTzGetDatum(cut);

	db_run(&query, &arg);
	if (db_int64(0, 1) != kept)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("a partition of prepay.reading is none that tick() makes"),
						errdetail("Of readings that go " INT64_FORMAT " would stay.",
								  db_int64(0, 1) - kept),
						errhint("Partitions are calendar months in UTC, named reading_YYYY_MM.")));
}

/* ---- all of it ---- */

static void
require_all_sites(Oid caller, const int32 *site_id, int n)
{
	int i;

	auth_require(caller, MAY_CONFIGURE, 0, "drop readings");
	for (i = 0; i < n; i++)
		auth_require(caller, MAY_CONFIGURE, site_id[i], "drop readings");
}

static void
check_month(DateADT before, int *year, int *month)
{
	int day;

	if (DATE_NOT_FINITE(before))
		day = 0;
	else
		j2date(before + POSTGRES_EPOCH_JDATE, year, month, &day);
	if (day != 1)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("readings are dropped by whole months"),
						errhint("Give the first day of the first month that stays (UTC).")));
}

/*
 * drop_readings(before) → what went and stays: take the readings of all sites from before
 * a month (its first day, UTC) away for ever. Needs the right to configure every site. Raises
 * PP043 with the reasons while something may not go yet, 55P03 when prepay.reading stays
 * busy, 22023 for a day within a month.
 */
Datum
prepay_drop_readings(PG_FUNCTION_ARGS)
{
	DateADT before = PG_GETARG_DATEADT(0);
	Datum values[RESULT_COLUMNS];
	bool nulls[RESULT_COLUMNS] = { false };
	DbSession session;
	TupleDesc desc;
	TimestampTz cut;
	int32 *site_id;
	int year;
	int month;
	int meters = 0;
	int partitions;
	int kept;
	int n;
	int i;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "drop_readings gives a row");
	check_month(before, &year, &month);
	cut = before * USECS_PER_DAY;
	db_enter(&session);
	n = auth_sites(BOOTSTRAP_SUPERUSERID, &site_id);
	require_all_sites(session.caller, site_id, n);
	lock_readings();
	for (i = 0; i < n; i++)
		meters += keep_site(site_id[i], cut);
	kept = renew_default(cut);
	partitions = drop_partitions(year, month);
	attach_default();
	require_gone(cut, kept);
	CacheInvalidateRelcacheByRelid(get_relname_relid("site", get_namespace_oid("prepay", false)));
	oplog_note(0, "drop_readings", "reading", NULL,
			   oplog_members("before", psprintf("%04d-%02d-01", year, month), "partitions",
							 psprintf("%d", partitions), "kept", psprintf("%d", kept), NULL));
	db_leave(&session);
	values[0] = TimestampTzGetDatum(cut);
	values[1] = Int32GetDatum(partitions);
	values[2] = Int32GetDatum(meters);
	values[3] = Int32GetDatum(kept);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}
