#include "owner.h"

#include "utils/builtins.h"

#include "account.h"
#include "amount.h"
#include "db.h"
#include "energy.h"
#include "rerate.h"
#include "retention.h"

int32
owner_of(const Site *site, int32 meter_id, TimestampTz *since)
{
	static DbQuery query = { "SELECT account_id, valid_from FROM prepay.account_meter"
							 " WHERE site_id = $1 AND meter_id = $2 AND valid_to = 'infinity'",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id) };

	if (db_run(&query, args) == 0)
		return 0;
	*since = db_time(0, 2);
	return db_int32(0, 1);
}

void
owner_require_past(const Site *site, TimestampTz effective)
{
	if (TIMESTAMP_NOT_FINITE(effective) || effective > site->now)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("%s is not a time up to now", timestamptz_to_str(effective)),
						errhint("Call this when it happens, or give the time when it happened.")));
	retention_require(site, effective, "the change");
}

static void
require_free(const Site *site, int32 meter_id, TimestampTz effective)
{
	static DbQuery owner = {
		"SELECT a.code, o.valid_from FROM prepay.account_meter o JOIN prepay.account a"
		" USING (site_id, account_id) WHERE o.site_id = $1 AND o.meter_id = $2 AND o.valid_to > $3"
		" ORDER BY o.valid_from LIMIT 1",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery purpose = { "SELECT code FROM prepay.meter WHERE site_id = $1 AND meter_id = $2"
							   " AND purpose <> 'prepaid'",
							   2,
							   { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(effective) };

	if (db_run(&owner, args) > 0)
		ereport(ERROR, (errcode(ERRCODE_PP_METER_OWNED),
						errmsg("the meter belongs to account \"%s\"", db_text(0, 1)),
						errdetail("It has belonged to that account since %s.",
								  timestamptz_to_str(db_time(0, 2))),
						errhint("Remove it there first, with its final register.")));
	if (db_run(&purpose, args) > 0)
		ereport(ERROR, (errcode(ERRCODE_PP_METER_OWNED),
						errmsg("meter \"%s\" is a check meter", db_text(0, 1)),
						errdetail("Check meters measure energy only; no account pays for them."),
						errhint("Set its purpose to 'prepaid' before it has readings.")));
}

/* A register told by a person is right or refused: what is held for review settles nothing. */
static void
require_believed(const Site *site, const Datum *args, const char *kwh)
{
	static DbQuery query = {
		"SELECT r.detail FROM prepay.reading_mark k JOIN prepay.reading_review r"
		" USING (site_id, review_id) WHERE k.site_id = $1 AND k.meter_id = $2 AND k.read_at = $3"
		" AND k.mark IN ('held', 'rejected')",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};

	if (db_run(&query, args) > 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_READING),
				 errmsg("the register cannot have shown %s kWh at %s", kwh,
						timestamptz_to_str(DatumGetTimestampTz(args[2]))),
				 errdetail("%s", db_text(0, 1)),
				 errhint("Give what the meter showed then. If its register began anew, store that "
						 "reading first and resolve its review as baseline.")));
}

/* The register at a moment, told by a person: stored as a reading unless it is there already. */
static void
store_register(const Site *site, int32 meter_id, TimestampTz read_at, const char *kwh)
{
	static DbQuery find = {
		"SELECT COALESCE((SELECT c.kwh FROM prepay.reading_correction c WHERE c.site_id = $1"
		" AND c.meter_id = $2 AND c.read_at = $3 ORDER BY c.correction DESC LIMIT 1), r.kwh)"
		" = $4::numeric(15,3) FROM prepay.reading r"
		" WHERE r.site_id = $1 AND r.meter_id = $2 AND r.read_at = $3",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, NUMERICOID }
	};
	static DbQuery insert = { "INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, source)"
							  " VALUES ($1, $2, $3, $4, 'register')",
							  4,
							  { INT4OID, INT4OID, TIMESTAMPTZOID, NUMERICOID } };
	int64 milli;
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(read_at), numeric_from_text(kwh) };

	if (!numeric_to_milli(args[3], &milli) || milli < 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_READING), errmsg("\"%s\" is not a register value", kwh),
				 errhint("Give the kWh the meter shows.")));
	if (db_run(&find, args) == 0)
		db_run(&insert, args);
	else if (!db_bool(0, 1))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_READING),
						errmsg("the meter has another reading at %s", timestamptz_to_str(read_at)),
						errhint("Give the value that was read, or another time.")));
	require_believed(site, args, kwh);
}

void
owner_begin(const Site *site, int32 account_id, int32 meter_id, const char *start_kwh,
			TimestampTz effective)
{
	/* A term that was ended where it began says nothing, and its place is needed. */
	static DbQuery forget = {
		"DELETE FROM prepay.account_meter WHERE site_id = $1 AND meter_id = $2"
		" AND valid_from = $3 AND valid_to = $3",
		3,
		{ INT4OID, INT4OID, TIMESTAMPTZOID }
	};
	static DbQuery insert = {
		"INSERT INTO prepay.account_meter (site_id, meter_id, valid_from, account_id)"
		" VALUES ($1, $2, $3, $4)",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(effective), Int32GetDatum(account_id) };

	owner_require_past(site, effective);
	require_free(site, meter_id, effective);
	if (start_kwh)
		store_register(site, meter_id, effective, start_kwh);
	db_run(&forget, args);
	db_run(&insert, args);
	meter_refresh(site, meter_id);
}

void
owner_end(const Site *site, int32 account_id, int32 meter_id, TimestampTz since,
		  const char *final_kwh, TimestampTz effective)
{
	static DbQuery end = { "UPDATE prepay.account_meter SET valid_to = $3 WHERE site_id = $1"
						   " AND meter_id = $2 AND valid_to = 'infinity'",
						   3,
						   { INT4OID, INT4OID, TIMESTAMPTZOID } };
	/* Its open energy is the account's; owner_rate finds it again from the readings. */
	static DbQuery leave = { "UPDATE prepay.meter_state SET open_lines = '',"
							 " former_waits = former_waits OR COALESCE(last_read_at < $3, false)"
							 " WHERE site_id = $1 AND meter_id = $2",
							 3,
							 { INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(effective) };

	owner_require_past(site, effective);
	if (effective < since)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the meter did not belong to the account at %s",
							   timestamptz_to_str(effective)),
						errhint("Give a time after it was added.")));
	if (final_kwh)
		store_register(site, meter_id, effective, final_kwh);
	(void) account_lock(site, account_id);
	db_run(&end, args);
	meter_refresh(site, meter_id);
	db_run(&leave, args);
}

typedef struct Concerned
{
	int32 account_id;
	int32 from_day;
} Concerned;

/*
 * Accounts with a term that touches the stretch from the last reading before the
 * instant on, where there is a later reading, where the term ends there, or where the
 * day is sealed: its standing charges may go by another meter now.
 */
static int
find_concerned(const Site *site, int32 meter_id, TimestampTz instant, Concerned **concerned, int n)
{
	static DbQuery query = {
		"SELECT o.account_id, greatest(p.read_at, o.valid_from) FROM (SELECT COALESCE((SELECT b.read_at"
		"  FROM prepay.reading_believed b WHERE b.site_id = $1 AND b.meter_id = $2"
		"  AND b.read_at <= $3 AND b.mark IS DISTINCT FROM 'waiting'"
		"  ORDER BY b.read_at DESC LIMIT 1), $3) AS read_at) p"
		" JOIN prepay.account_meter o ON o.valid_to >= p.read_at"
		" JOIN prepay.account_state a ON a.site_id = o.site_id AND a.account_id = o.account_id"
		" WHERE o.site_id = $1 AND o.meter_id = $2"
		" AND (o.valid_to = $3 OR a.sealed_to > date '2000-01-01' + $4"
		"  OR EXISTS (SELECT FROM prepay.reading_believed b"
		"  WHERE b.site_id = $1 AND b.meter_id = $2 AND b.read_at > $3))",
		4,
		{ INT4OID, INT4OID, TIMESTAMPTZOID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int32GetDatum(meter_id),
					 TimestampTzGetDatum(instant), Int32GetDatum(site_local_day(site, instant)) };
	int found = db_run(&query, args);
	int i;
	int k;

	*concerned = core_realloc(*concerned, sizeof(Concerned) * (n + found + 1));
	for (i = 0; i < found; i++)
	{
		int32 account_id = db_int32(i, 1);
		int32 day = site_local_day(site, db_time(i, 2));

		for (k = 0; k < n && (*concerned)[k].account_id != account_id; k++)
			;
		if (k == n)
			(*concerned)[n++] = (Concerned){ account_id, day };
		(*concerned)[k].from_day = Min((*concerned)[k].from_day, day);
	}
	return n;
}

static int
by_account(const void *a, const void *b)
{
	int32 left = ((const Concerned *) a)->account_id;
	int32 right = ((const Concerned *) b)->account_id;

	return left < right ? -1 : left > right;
}

void
owner_rate(const Site *site, const int32 *meter_id, int n, TimestampTz instant)
{
	Concerned *concerned = NULL;
	int found = 0;
	int i;

	for (i = 0; i < n; i++)
		found = find_concerned(site, meter_id[i], instant, &concerned, found);
	if (found > 1)
		qsort(concerned, found, sizeof(Concerned), by_account);
	for (i = 0; i < found; i++)
		rerate_one(site, concerned[i].account_id, concerned[i].from_day);
	for (i = 0; i < n; i++)
		energy_watch(site, meter_id[i]);
}
