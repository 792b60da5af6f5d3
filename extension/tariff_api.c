/*
 * tariff_api.c: define_tariff, assign_tariff.
 */
#include "postgres.h"

#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

#include "auth.h"
#include "code.h"
#include "db.h"
#include "holiday.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "rerate.h"
#include "retention.h"
#include "state.h"
#include "tariff_api.h"
#include "tariff_store.h"

#define DEFINITION_MAX_BYTES (1024 * 1024)

PG_FUNCTION_INFO_V1(prepay_define_tariff);
PG_FUNCTION_INFO_V1(prepay_assign_tariff);

void
tariff_check_size(const Jsonb *definition)
{
	if (VARSIZE(definition) > DEFINITION_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_TARIFF),
				 errmsg("the tariff definition is larger than %d kB", DEFINITION_MAX_BYTES / 1024),
				 errhint("Leave out what repeats: a schedule row without season or day type holds "
						 "for all, a slot until the next.")));
}

void
tariff_refuse(const char *what, const DocFault *fault)
{
	ereport(ERROR, (errcode(ERRCODE_PP_BAD_TARIFF), errmsg("%s: %s", what, fault->what),
					errdetail("At %s.", fault->path[0] ? fault->path : "the top level"),
					fault->hint[0] ? errhint("%s", fault->hint) : 0));
}

Tariff *
tariff_check_definition(Jsonb *definition)
{
	DocFault fault;
	Tariff *tariff;

	tariff_check_size(definition);
	tariff = tariff_load(jsonb_doc(definition), &fault);
	if (tariff == NULL)
		tariff_refuse("the tariff definition is refused", &fault);
	return tariff;
}

typedef struct PriceRow
{
	const char *component;
	int item;
	int period;
	int tier;
	const char *item_name;
	const char *period_name;
	int64 value;
	bool is_percent;
} PriceRow;

static void
store_price(int32 site_id, int32 tariff_id, int32 version, const PriceRow *row)
{
	static DbQuery insert = {
		"INSERT INTO prepay.tariff_price (site_id, tariff_id, version, component, item, period, tier,"
		" item_name, period_name, price) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
		10,
		{ INT4OID, INT4OID, INT4OID, TEXTOID, INT4OID, INT4OID, INT4OID, TEXTOID, TEXTOID,
		  NUMERICOID }
	};
	Exact value;
	Datum args[] = { Int32GetDatum(site_id),		  Int32GetDatum(tariff_id),
					 Int32GetDatum(version),		  CStringGetTextDatum(row->component),
					 Int32GetDatum(row->item),		  Int32GetDatum(row->period),
					 Int32GetDatum(row->tier),		  CStringGetTextDatum(row->item_name),
					 db_text_datum(row->period_name), (Datum) 0 };
	char nulls[] = "          ";

	if (row->is_percent ? !exact_from_minor(row->value, PERCENT_DECIMALS, &value)
						: !exact_from_micro(row->value, &value))
		elog(ERROR, "price out of range");
	args[9] = exact_numeric(value);
	if (row->period_name == NULL)
		nulls[8] = 'n';
	db_run_nulls(&insert, args, nulls);
}

static void
store_prices(int32 site_id, int32 tariff_id, int32 version, const Tariff *tariff)
{
	int p;
	int t;
	int i;

	for (p = 0; p < tariff->n_period; p++)
		for (t = 0; t < tariff->n_tier; t++)
			store_price(site_id, tariff_id, version,
						&(PriceRow){ "energy", 0, p, t, "energy", tariff->period_name[p],
									 tariff->price_micro[p][t], false });
	for (i = 0; i < tariff->n_standing; i++)
		store_price(site_id, tariff_id, version,
					&(PriceRow){ "standing", i, -1, -1, tariff->standing[i].name, NULL,
								 tariff->standing[i].amount_micro, false });
	for (i = 0; i < tariff->n_surcharge; i++)
	{
		const TariffSurcharge *surcharge = &tariff->surcharge[i];

		store_price(
			site_id, tariff_id, version,
			&(PriceRow){ "surcharge", i, -1, -1, surcharge->name, NULL,
						 surcharge->is_percent ? surcharge->percent_e4 : surcharge->per_kwh_micro,
						 surcharge->is_percent });
	}
}

static int32
find_or_create(const Site *site, const char *code, int32 *last_version)
{
	static DbQuery create = {
		"INSERT INTO prepay.tariff (site_id, tariff_id, code, created_at, operator)"
		" SELECT $1, COALESCE(max(tariff_id), 0) + 1, $2, $3, prepay.operator_name()"
		" FROM prepay.tariff WHERE site_id = $1 RETURNING tariff_id",
		3,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	static DbQuery last = { "SELECT COALESCE(max(version), 0) FROM prepay.tariff_version"
							" WHERE site_id = $1 AND tariff_id = $2",
							2,
							{ INT4OID, INT4OID } };
	int32 tariff_id = tariff_find(site, code);
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(code),
					 TimestampTzGetDatum(site->now) };

	*last_version = 0;
	if (tariff_id == 0)
	{
		db_run(&create, args);
		return db_int32(0, 1);
	}
	args[1] = Int32GetDatum(tariff_id);
	db_run(&last, args);
	*last_version = db_int32(0, 1);
	return tariff_id;
}

/* -infinity is "always"; what begins at infinity never holds. */
static void
require_begin(TimestampTz valid_from)
{
	if (TIMESTAMP_IS_NOEND(valid_from))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("a tariff cannot begin at infinity"),
						errhint("Give the time from which it holds.")));
}

/*
 * define_tariff(code, definition, valid_from, options) → version
 * A version is immutable and holds until the next one's valid_from.
 */
Datum
prepay_define_tariff(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "retroactive", "note", NULL };
	static DbQuery insert = {
		"INSERT INTO prepay.tariff_version (site_id, tariff_id, version, valid_from, definition,"
		" created_at, operator, note) VALUES ($1, $2, $3, $4, $5, $6, prepay.operator_name(), $7)",
		7,
		{ INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID, JSONBOID, TIMESTAMPTZOID, TEXTOID }
	};
	DbSession session;
	const Site *site;
	int32 site_id;
	int32 tariff_id;
	int32 version;
	char *code;
	char *retroactive;
	TimestampTz valid_from;
	Tariff *tariff;
	Jsonb *options;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(1) || PG_ARGISNULL(3))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("code and definition of a tariff must be given")));
	options = PG_GETARG_JSONB_P(3);
	options_check(options, known);
	retroactive = option_text(options, "retroactive");
	db_enter(&session);
	code_for_new(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)), &site_id, &code);
	auth_require(session.caller, MAY_CONFIGURE, site_id, "define a tariff");
	tariff = tariff_check_definition(PG_GETARG_JSONB_P(1));
	lock_site_exclusive(site_id);
	site = site_get(site_id);
	tariff_id = find_or_create(site, code, &version);
	if (!PG_ARGISNULL(2))
		valid_from = PG_GETARG_TIMESTAMPTZ(2);
	else
		valid_from = version == 0 ? DT_NOBEGIN : site->now;
	require_begin(valid_from);
	if (version > 0 && valid_from < site->now && !(retroactive && strcmp(retroactive, "true") == 0))
		ereport(ERROR,
				(errcode(ERRCODE_PP_RATED), errmsg("tariff \"%s\" cannot change in the past", code),
				 errdetail("It would hold from %s; now is %s.", timestamptz_to_str(valid_from),
						   pstrdup(timestamptz_to_str(site->now))),
				 errhint("To price past energy again, give options "
						 "'{\"retroactive\": true}'.")));
	if (version > 0 && !TIMESTAMP_NOT_FINITE(valid_from))
		retention_require(site, valid_from, "the new version");
	holiday_adopt(site, tariff->calendar);
	{
		Datum args[] = { Int32GetDatum(site_id),
						 Int32GetDatum(tariff_id),
						 Int32GetDatum(version + 1),
						 TimestampTzGetDatum(valid_from),
						 PG_GETARG_DATUM(1),
						 TimestampTzGetDatum(site->now),
						 db_text_datum(option_text(options, "note")) };
		char nulls[] = "       ";

		if (args[6] == 0)
			nulls[6] = 'n';
		db_run_nulls(&insert, args, nulls);
	}
	store_prices(site_id, tariff_id, version + 1, tariff);
	site_touch(site_id);
	rerate_queue_tariff(site, tariff_id, valid_from);
	db_leave(&session);
	PG_RETURN_INT32(version + 1);
}

/* assign_tariff(target, tariff, valid_from): target is a site, place, account or meter. */
Datum
prepay_assign_tariff(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget target;
	const Site *site;
	int32 tariff_id = 0;
	TimestampTz valid_from;
	char *tariff = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("the target of a tariff assignment must be given")));
	db_enter(&session);
	code_resolve(session.caller, text_to_cstring(PG_GETARG_TEXT_PP(0)),
				 KIND_SITE | KIND_PLACE | KIND_ACCOUNT | KIND_METER, &target);
	auth_require(session.caller, MAY_CONFIGURE, target.site_id, "assign a tariff");
	lock_site_exclusive(target.site_id);
	site = site_get(target.site_id);
	if (tariff)
	{
		const char *slash = strchr(tariff, '/');

		tariff_id = tariff_find(site, slash ? slash + 1 : tariff);
		if (tariff_id == 0)
			ereport(ERROR,
					(errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no tariff \"%s\"", tariff),
					 errhint("Define it with prepay.define_tariff().")));
	}
	valid_from = PG_ARGISNULL(2)
					 ? tariff_first_assignment(site, code_kind_name(target.kind), target.id)
					 : PG_GETARG_TIMESTAMPTZ(2);
	require_begin(valid_from);
	if (!TIMESTAMP_NOT_FINITE(valid_from))
		retention_require(site, valid_from, "the assignment");
	tariff_assign(site, code_kind_name(target.kind), target.id, tariff_id, valid_from);
	site_touch(target.site_id);
	rerate_queue_target(site, code_kind_name(target.kind), target.id, valid_from);
	db_leave(&session);
	PG_RETURN_VOID();
}

void
setting_tariff_changed(const Site *site, const char *value)
{
	int32 tariff_id = value ? tariff_find(site, value) : 0;
	TimestampTz valid_from = tariff_first_assignment(site, "site", 0);

	if (value && tariff_id == 0)
		ereport(ERROR,
				(errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no tariff \"%s\"", value),
				 errhint("Define it with prepay.define_tariff().")));
	tariff_assign(site, "site", 0, tariff_id, valid_from);
	rerate_queue_target(site, "site", 0, valid_from);
}
