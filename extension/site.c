/*
 * site.c: sites, and the numbering of what a site configures.
 */
#include "site.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "auth.h"
#include "clock.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(prepay_create_site);
PG_FUNCTION_INFO_V1(prepay_number_row);
PG_FUNCTION_INFO_V1(prepay_site_changed);

extern Datum prepay_is_code(PG_FUNCTION_ARGS);

/* ISO 4217 minor units that are not 2. */
int
currency_decimals(const char *currency)
{
	static const char *const none[] = { "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW",
										"PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF" };
	static const char *const three[] = { "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND" };
	int i;

	for (i = 0; i < lengthof(none); i++)
		if (strcmp(currency, none[i]) == 0)
			return 0;
	for (i = 0; i < lengthof(three); i++)
		if (strcmp(currency, three[i]) == 0)
			return 3;
	return 2;
}

int32
site_local_day(const Site *site, TimestampTz instant)
{
	CalLocal local;

	cal_local(site->zone, instant, &local);
	return local.day;
}

/*
 * Sites are read once a backend, until their table changes (watch.c). The message goes
 * out before the site's lock is released; so who has taken that lock knows the present row.
 */
typedef struct KnownSite
{
	int32 site_id;
	Site site;
} KnownSite;

static Watch site_watch = { "site" };
static HTAB *known_sites = NULL;

static KnownSite *
known_site(int32 site_id)
{
	KnownSite *known;
	bool found;

	if (known_sites == NULL)
	{
		HASHCTL control = { .keysize = sizeof(int32), .entrysize = sizeof(KnownSite) };

		known_sites = hash_create("prepay sites", 16, &control, HASH_ELEM | HASH_BLOBS);
	}
	known = hash_search(known_sites, &site_id, HASH_ENTER, &found);
	if (!found)
		known->site.known_since = 0;
	return known;
}

void
site_keep_from(Site *site, TimestampTz dropped_before)
{
	site->dropped_before = site->kept_from = dropped_before;
	site->kept_day = PG_INT32_MIN;
	if (dropped_before == DT_NOBEGIN)
		return;
	site->kept_day = site_local_day(site, dropped_before);
	if (cal_day_start(site->zone, site->kept_day) < dropped_before)
		site->kept_day++;
	site->kept_from = cal_day_start(site->zone, site->kept_day);
}

static void
read_site(int32 site_id, Site *site)
{
	static DbQuery query = { "SELECT code, timezone, currency, currency_decimals::int4, revision,"
							 " (SELECT max(r.kept_from) FROM prepay.retention r"
							 "  WHERE r.site_id = $1)"
							 " FROM prepay.site WHERE site_id = $1",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site_id);
	uint64 known_since;
	char *zone;

	do
	{
		known_since = watch_changes(&site_watch);
		if (db_run_latest(&query, &arg) != 1)
			ereport(ERROR,
					(errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no site %d", site_id),
					 errhint("The sites you may use are listed in prepay.site.")));
	} while (known_since != site_watch.changes);
	memset(site, 0, sizeof(*site));
	site->site_id = site_id;
	strlcpy(site->code, db_text(0, 1), sizeof(site->code));
	zone = db_text(0, 2);
	strlcpy(site->currency, db_text(0, 3), sizeof(site->currency));
	site->decimals = db_int32(0, 4);
	site->revision = db_int64(0, 5);
	site->dropped_before = db_time_or(0, 6, DT_NOBEGIN);
	site->zone = zone_get(zone);
	if (site->zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("site \"%s\" has the unknown time zone \"%s\"", site->code, zone),
						errhint("Install the time zone data this site was created with.")));
	site_keep_from(site, site->dropped_before);
	site->known_since = known_since;
}

const Site *
site_get(int32 site_id)
{
	static uint64 statements = 0;
	KnownSite *known = known_site(site_id);
	Site *site = palloc(sizeof(Site));

	if (known->site.known_since != watch_changes(&site_watch))
	{
		read_site(site_id, site);
		known->site = *site;
	}
	*site = known->site;
	site->statement = ++statements;
	site->now = clock_now();
	site->today = site_local_day(site, site->now);
	return site;
}

/* AFTER INSERT, UPDATE, DELETE trigger of what is watched: no backend may go by the old rows. */
Datum
prepay_site_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_STATEMENT(trigger->tg_event) ||
		(!db_is_table(RelationGetRelid(trigger->tg_relation), "site") &&
		 !db_is_table(RelationGetRelid(trigger->tg_relation), "operator_site")))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("site_changed is the statement trigger of prepay.site and"
							   " prepay.operator_site")));
	CacheInvalidateRelcache(trigger->tg_relation);
	return PointerGetDatum(NULL);
}

void
site_touch(int32 site_id)
{
	static DbQuery query = { "UPDATE prepay.site SET revision = revision + 1 WHERE site_id = $1",
							 1,
							 { INT4OID } };
	Datum arg = Int32GetDatum(site_id);

	db_run(&query, &arg);
}

static void
check_currency(const char *currency)
{
	if (strlen(currency) != 3 || strspn(currency, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != 3)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("\"%s\" is not a currency", currency),
						errhint("Give a code of ISO 4217, such as 'CNY'.")));
}

/* create_site(code, name, timezone, currency DEFAULT 'CNY') → site_id */
Datum
prepay_create_site(PG_FUNCTION_ARGS)
{
	static DbQuery insert = {
		"INSERT INTO prepay.site (site_id, code, name, timezone, currency, currency_decimals)"
		" SELECT COALESCE(max(site_id), 0) + 1, $1, $2, $3, $4, $5 FROM prepay.site"
		" RETURNING site_id",
		5,
		{ TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT2OID }
	};
	static DbQuery taken = { "SELECT 1 FROM prepay.site WHERE code = $1", 1, { TEXTOID } };
	static DbQuery grant = { "INSERT INTO prepay.operator_site (site_id, operator) VALUES ($1, $2)",
							 2,
							 { INT4OID, NAMEOID } };
	DbSession session;
	char *value[4];
	const char *zone;
	int32 site_id;
	int i;

	for (i = 0; i < 4; i++)
	{
		if (PG_ARGISNULL(i))
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("code, name, time zone and currency of a site must be given")));
		value[i] = text_to_cstring(PG_GETARG_TEXT_PP(i));
	}
	db_enter(&session);
	auth_require(session.caller, MAY_CONFIGURE, 0, "create a site");
	lock_install();
	zone = zone_name(value[2]);
	if (zone == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("there is no time zone \"%s\"", value[2]),
						errhint("Give a name of pg_timezone_names, such as 'Asia/Shanghai'.")));
	check_currency(value[3]);
	if (!DatumGetBool(DirectFunctionCall1(prepay_is_code, CStringGetTextDatum(value[0]))))
		ereport(ERROR,
				(errcode(ERRCODE_PP_CODE_MALFORMED), errmsg("\"%s\" is not a code", value[0]),
				 errhint("Use 1 to 64 characters without '/' and ':'.")));
	{
		Datum args[] = { CStringGetTextDatum(value[0]), CStringGetTextDatum(value[1]),
						 CStringGetTextDatum(zone), CStringGetTextDatum(value[3]),
						 Int16GetDatum(currency_decimals(value[3])) };

		if (db_run(&taken, args) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_PP_CODE_TAKEN), errmsg("site code \"%s\" is in use", value[0]),
					 errhint("Choose another code.")));
		db_run(&insert, args);
		site_id = db_int32(0, 1);
	}
	if (!superuser_arg(session.caller))
	{
		Datum args[] = { Int32GetDatum(site_id),
						 db_name_datum(GetUserNameFromId(session.caller, false)) };

		db_run(&grant, args);
	}
	/* So few rows change that autovacuum never looks: reports would be planned for many sites. */
	db_execute("ANALYZE prepay.site");
	db_leave(&session);
	PG_RETURN_INT32(site_id);
}

/* A bulk load inserts thousands of rows: one new version of the site's row is enough. */
static void
touch_once(int32 site_id)
{
	static LocalTransactionId touched_lxid = InvalidLocalTransactionId;
	static SubTransactionId touched_subxid = InvalidSubTransactionId;
	static int32 touched_site = 0;

	if (touched_lxid == MyProc->lxid && touched_subxid == GetCurrentSubTransactionId() &&
		touched_site == site_id)
		return;
	site_touch(site_id);
	touched_lxid = MyProc->lxid;
	touched_subxid = GetCurrentSubTransactionId();
	touched_site = site_id;
}

#define NEXT_NUMBER(table) \
	"SELECT COALESCE(max(" table "_id), 0) + 1 FROM prepay." table " WHERE site_id = $1"

static struct
{
	const char *table;
	const char *column;
	DbQuery next;
} numbered[] = {
	{ "place", "place_id", { NEXT_NUMBER("place"), 1, { INT4OID } } },
	{ "gateway", "gateway_id", { NEXT_NUMBER("gateway"), 1, { INT4OID } } },
	{ "meter", "meter_id", { NEXT_NUMBER("meter"), 1, { INT4OID } } },
};

/*
 * number_row: BEFORE INSERT trigger of place, gateway and meter. Gives the row the
 * next number of its site, from 1, in the order rows are made. The site's lock
 * keeps two sessions from taking the same number.
 */
Datum
prepay_number_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc desc;
	HeapTuple row;
	int column;
	bool isnull;
	Datum site_id;
	Datum number;
	DbSession session;
	int i = 0;

	if (CALLED_AS_TRIGGER(fcinfo))
		while (i < lengthof(numbered) &&
			   !db_is_table(RelationGetRelid(trigger->tg_relation), numbered[i].table))
			i++;
	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_BY_INSERT(trigger->tg_event) || !TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		i == lengthof(numbered))
		ereport(ERROR, (errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
						errmsg("number_row is the insert trigger of places, gateways and meters")));
	desc = RelationGetDescr(trigger->tg_relation);
	row = trigger->tg_trigtuple;
	column = SPI_fnumber(desc, numbered[i].column);
	site_id = SPI_getbinval(row, desc, SPI_fnumber(desc, "site_id"), &isnull);
	if (isnull)
		return PointerGetDatum(row); /* the NOT NULL constraint says it better */
	(void) SPI_getbinval(row, desc, column, &isnull);
	db_enter(&session);
	lock_site_exclusive(DatumGetInt32(site_id));
	touch_once(DatumGetInt32(site_id));
	if (isnull)
	{
		db_run(&numbered[i].next, &site_id);
		number = Int32GetDatum(db_int32(0, 1));
		MemoryContextSwitchTo(session.outer);
		isnull = false;
		row = heap_modify_tuple_by_cols(row, desc, 1, &column, &number, &isnull);
	}
	db_leave(&session);
	return PointerGetDatum(row);
}
