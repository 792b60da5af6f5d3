/*
 * tariff_cache.c: compiled tariffs of the backend.
 *
 * Versions are immutable rows, so a compiled version stays good as long as the
 * row it was made from is the one in the table (same xmin). The list of versions
 * is read again when the site's revision has grown, and after any rollback:
 * a revision number taken back may come again with other content. Holidays have
 * no revision: a tariff with a calendar is given the days around the energy that
 * is to be rated in each statement anew (holiday.c).
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/hsearch.h"
#include "utils/jsonb.h"
#include "utils/memutils.h"

#include "db.h"
#include "holiday.h"
#include "jsonb_doc.h"
#include "tariff_api.h"
#include "tariff_store.h"

typedef struct CacheKey
{
	int32 site_id;
	int32 tariff_id;
} CacheKey;

typedef struct CacheEntry
{
	CacheKey key;
	Oid storage; /* relation the rows came from: another install is another truth */
	int64 revision;
	uint64 forced_reads;
	TariffCode code;
} CacheEntry;

static HTAB *cache = NULL;
static MemoryContext cache_memory = NULL;
/* Grows when lists have to be read again though no revision says so: after a rollback. */
static uint64 forced_reads = 0;

static void
count_abort(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT)
		forced_reads++;
}

static void
count_subabort(SubXactEvent event, SubTransactionId mine, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB)
		forced_reads++;
}

static void
create_cache(void)
{
	HASHCTL control = { 0 };

	cache_memory =
		AllocSetContextCreate(TopMemoryContext, "prepay tariffs", ALLOCSET_DEFAULT_SIZES);
	control.keysize = sizeof(CacheKey);
	control.entrysize = sizeof(CacheEntry);
	control.hcxt = cache_memory;
	cache = hash_create("prepay tariffs", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	RegisterXactCallback(count_abort, NULL);
	RegisterSubXactCallback(count_subabort, NULL);
}

static Tariff *
compile(int32 site_id, int32 tariff_id, int32 version, Jsonb *definition)
{
	DocFault fault;
	Doc *doc = jsonb_doc(definition);
	MemoryContext old = MemoryContextSwitchTo(cache_memory);
	Tariff *tariff = tariff_load(doc, &fault);

	MemoryContextSwitchTo(old);
	if (tariff == NULL)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_TARIFF),
						errmsg("stored tariff version %d/%d/%d cannot be used: %s at %s", site_id,
							   tariff_id, version, fault.what, fault.path),
						errhint("Run SELECT * FROM prepay.verify().")));
	return tariff;
}

/* What an old list compiled is kept for rows that are still the same. */
static Tariff *
keep_compiled(const TariffCode *old, int32 version, TransactionId xmin)
{
	int i;

	for (i = 0; i < old->n; i++)
		if (old->version[i].version == version && old->version[i].xmin == xmin &&
			old->version[i].tariff)
		{
			Tariff *tariff = old->version[i].tariff;

			old->version[i].tariff = NULL;
			return tariff;
		}
	return NULL;
}

static void
read_versions(const Site *site, CacheEntry *entry)
{
	static DbQuery query = {
		"SELECT t.code, v.version, v.valid_from, v.xmin, v.definition"
		" FROM prepay.tariff_version v JOIN prepay.tariff t USING (site_id, tariff_id)"
		" WHERE v.site_id = $1 AND v.tariff_id = $2 ORDER BY v.valid_from, v.version",
		2,
		{ INT4OID, INT4OID }
	};
	Datum args[] = { Int32GetDatum(entry->key.site_id), Int32GetDatum(entry->key.tariff_id) };
	TariffCode fresh = { 0 };
	int n = db_run_latest(&query, args);
	int i;

	fresh.tariff_id = entry->key.tariff_id;
	fresh.version = MemoryContextAllocZero(cache_memory, sizeof(TariffVersion) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		TariffVersion *version = &fresh.version[i];
		bool isnull;

		version->version = db_int32(i, 2);
		version->valid_from = db_time(i, 3);
		version->xmin = DatumGetTransactionId(db_value(i, 4, &isnull));
		version->tariff = keep_compiled(&entry->code, version->version, version->xmin);
		if (version->tariff == NULL)
			version->tariff = compile(site->site_id, entry->key.tariff_id, version->version,
									  DatumGetJsonbP(db_value(i, 5, &isnull)));
		fresh.has_calendar |= version->tariff->calendar[0] != '\0';
		version->tariff->valid_from = version->valid_from;
	}
	fresh.n = n;
	fresh.code = n ? MemoryContextStrdup(cache_memory, db_text(0, 1)) : NULL;
	/* Of versions that start together the last one made holds. */
	for (i = 0; i < n; i++)
		fresh.version[i].valid_to = i + 1 < n ? fresh.version[i + 1].valid_from : DT_NOEND;
	if (entry->code.version)
	{
		for (i = 0; i < entry->code.n; i++)
			if (entry->code.version[i].tariff)
				tariff_free(entry->code.version[i].tariff);
		pfree(entry->code.version);
	}
	if (entry->code.code)
		pfree(entry->code.code);
	entry->code = fresh;
}

/* A piece of energy may be placed by a slot a week away; another day for the time zone. */
#define MARGIN_DAYS 9

static DateADT
day_of(TimestampTz instant)
{
	return (DateADT) (instant / USECS_PER_DAY);
}

void
tariff_load_calendar(const Site *site, Tariff *tariff)
{
	if (tariff->calendar[0])
	{
		const HolidayCalendar *calendar =
			holiday_calendar(site, tariff->calendar, DATEVAL_NOBEGIN, DATEVAL_NOEND);

		tariff_set_calendar(tariff, calendar->n, calendar->day,
							(const char *const *) calendar->day_type);
	}
}

void
tariff_know_days(const Site *site, TariffCode *code, TimestampTz from, TimestampTz to)
{
	DateADT first;
	DateADT last;
	int i;

	if (!code->has_calendar ||
		(code->known_in == site->statement && from >= code->known_from && to <= code->known_to))
		return;
	if (code->known_in == site->statement)
	{
		from = Min(from, code->known_from);
		to = Max(to, code->known_to);
	}
	first = day_of(from) - MARGIN_DAYS;
	last = day_of(to) + MARGIN_DAYS;
	for (i = 0; i < code->n; i++)
	{
		TariffVersion *version = &code->version[i];
		const HolidayCalendar *calendar;
		MemoryContext old;

		if (version->tariff->calendar[0] == '\0')
			continue;
		calendar = holiday_calendar(site, version->tariff->calendar, first, last);
		if (version->calendar_content == calendar->content)
			continue;
		old = MemoryContextSwitchTo(cache_memory);
		tariff_set_calendar(version->tariff, calendar->n, calendar->day,
							(const char *const *) calendar->day_type);
		MemoryContextSwitchTo(old);
		version->calendar_content = calendar->content;
	}
	code->known_in = site->statement;
	code->known_from = from;
	code->known_to = to;
}

TariffCode *
tariff_code(const Site *site, int32 tariff_id)
{
	static DbQuery storage = { "SELECT 'prepay.tariff_version'::regclass::oid", 0 };
	static CacheEntry *last = NULL;
	CacheKey key = { site->site_id, tariff_id };
	CacheEntry *entry = last;
	bool found = true;
	int i;

	if (entry == NULL || memcmp(&entry->key, &key, sizeof(key)) != 0)
	{
		if (cache == NULL)
			create_cache();
		entry = hash_search(cache, &key, HASH_ENTER, &found);
		if (!found)
			memset((char *) entry + sizeof(key), 0, sizeof(*entry) - sizeof(key));
		last = entry;
	}
	if (entry->revision != site->revision || entry->forced_reads != forced_reads || !found)
	{
		bool isnull;
		Oid relation;

		db_run(&storage, NULL);
		relation = DatumGetObjectId(db_value(0, 1, &isnull));
		if (relation != entry->storage)
			for (i = 0; i < entry->code.n; i++)
				entry->code.version[i].xmin = InvalidTransactionId;
		read_versions(site, entry);
		entry->storage = relation;
		entry->revision = site->revision;
		entry->forced_reads = forced_reads;
	}
	return &entry->code;
}

static const Tariff *
find_version(const TariffCode *code, int32 version)
{
	int i;

	for (i = code->n - 1; i >= 0; i--)
		if (code->version[i].version == version)
			return code->version[i].tariff;
	return NULL;
}

const Tariff *
tariff_of_version(const Site *site, int32 tariff_id, int32 version)
{
	const Tariff *tariff = find_version(tariff_code(site, tariff_id), version);

	if (tariff == NULL)
	{
		/* Added by somebody we waited for after the site's revision had been read. */
		forced_reads++;
		tariff = find_version(tariff_code(site, tariff_id), version);
	}
	if (tariff == NULL)
		elog(ERROR, "tariff %d of site %d has no version %d", tariff_id, site->site_id, version);
	return tariff;
}
