/*
 * install.c: prepay.install() creates the storage, which is not a member of the extension.
 *
 * Triggers on member tables would fire while a dump is being loaded and charge
 * customers twice, and indexes, policies and partitions of member tables are
 * not dumped. So CREATE EXTENSION makes code only, and this function runs, as
 * the NOLOGIN role prepay_owner:
 *
 *   sql/storage/   once, in order: tables, indexes, triggers
 *   sql/replay/    at every call: views, row security; then sql/comment/ and sql/grant/
 *
 * Storage of an older version is migrated step by step; each call is one
 * transaction, so a failure leaves what was there.
 */
#include "postgres.h"

#include "install.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "comment.h"
#include "db.h"
#include "lock.h"
#include "operator_role.h"
#include "storage_sql.h"

PG_FUNCTION_INFO_V1(prepay_install);

static const char *const role_names[] = {
	"prepay_owner",			"prepay_admin",	  "prepay_supervisor", "prepay_cashier",
	"prepay_dispatcher",	"prepay_analyst", "prepay_agent",	   "prepay_tenant",
	"prepay_authenticator", "prepay_payment", ROLE_KEEPER
};

static void
create_roles(void)
{
	int i;

	for (i = 0; i < lengthof(role_names); i++)
		if (!OidIsValid(get_role_oid(role_names[i], true)))
			db_execute(psprintf("CREATE ROLE %s NOLOGIN", quote_identifier(role_names[i])));
	/* What makes and changes the roles of operators, and can do nothing else. */
	db_execute("ALTER ROLE " ROLE_KEEPER " CREATEROLE NOINHERIT");
#if PG_VERSION_NUM >= 160000
	for (i = 0; i < lengthof(role_names); i++)
		if (role_is_group(role_names[i]))
			db_execute(psprintf("GRANT %s TO " ROLE_KEEPER
								" WITH ADMIN TRUE, INHERIT FALSE, SET FALSE",
								quote_identifier(role_names[i])));
#endif
	CommandCounterIncrement();
}

/*
 * Roles that were there before are taken as they are, but for what would give more than
 * they are for: each runs or owns something here, and whoever may become it runs it too.
 */
static void
check_roles(void)
{
	static DbQuery query = {
		"SELECT r.rolname, CASE WHEN r.rolsuper THEN 'is a superuser'"
		" WHEN r.rolcreaterole AND r.rolname <> '" ROLE_KEEPER
		"' THEN 'may create roles' WHEN r.rolbypassrls THEN 'bypasses row security'"
		" WHEN r.rolcanlogin THEN 'may log in' ELSE 'has members' END"
		" FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1) AND (r.rolsuper"
		"  OR r.rolname <> '" ROLE_KEEPER "' AND r.rolcreaterole"
		"  OR r.rolname IN ('prepay_owner', '" ROLE_KEEPER "') AND (r.rolcanlogin OR r.rolbypassrls"
		"   OR EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles x"
		"    ON x.oid = m.member WHERE m.roleid = r.oid AND NOT x.rolsuper)))"
		" ORDER BY r.rolname LIMIT 1",
		1,
		{ TEXTARRAYOID }
	};
	Datum name[lengthof(role_names)];
	Datum arg;
	int i;

	for (i = 0; i < lengthof(role_names); i++)
		name[i] = CStringGetTextDatum(role_names[i]);
	arg = db_array(name, NULL, lengthof(role_names), TEXTOID);
	if (db_run(&query, &arg) > 0)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" %s", db_text(0, 1), db_text(0, 2)),
						errdetail("It was there before, and would give that to the storage."),
						errhint("Take it away with ALTER ROLE or REVOKE, or rename the role, then "
								"call prepay.install() again.")));
}

static int32
stored_version(void)
{
	Oid schema = get_namespace_oid("prepay", false);

	if (!OidIsValid(get_relname_relid("installation", schema)))
		return 0;
	if (SPI_execute("SELECT storage_version FROM prepay.installation", true, 1) != SPI_OK_SELECT ||
		SPI_processed != 1)
		return 0;
	return db_int32(0, 1);
}

static void
run_parts(const StoragePart *part, int n)
{
	int i;

	for (i = 0; i < n; i++)
		db_execute(part[i].sql);
}

/* Shipped profiles: a newer revision replaces an older one, a site's own models are left alone. */
static void
load_profiles(void)
{
	static DbQuery query = {
		"INSERT INTO prepay.meter_model AS m (code, profile) VALUES ($1, $2::jsonb)"
		" ON CONFLICT (code) DO UPDATE SET profile = EXCLUDED.profile, loaded_at = pg_catalog.now()"
		" WHERE (m.profile ->> 'rev')::numeric < (EXCLUDED.profile ->> 'rev')::numeric",
		2,
		{ TEXTOID, TEXTOID }
	};
	uint64 changed = 0;
	int i;

	for (i = 0; i < lengthof(profile_parts); i++)
	{
		Datum args[] = { CStringGetTextDatum(profile_parts[i].name),
						 CStringGetTextDatum(profile_parts[i].sql) };

		changed += db_run(&query, args);
	}
	/* meter_model has no trigger: agents learn of new profiles by the sites' revision. */
	if (changed > 0)
		db_execute("UPDATE prepay.site SET revision = revision + 1");
}

/*
 * Where a view shows the caller's sites only, by itself or by a view it stands on, nothing the
 * caller puts into a query may see a row before that has been asked: a function of its own
 * could tell what it is given. (A view that is nothing but a UNION ALL is taken apart in spite
 * of this: ask outside of the union.)
 */
static void
guard_views(void)
{
	static DbQuery query = {
		"WITH RECURSIVE guarded AS (SELECT c.oid FROM pg_catalog.pg_class c"
		"  WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind = 'v'"
		"  AND pg_catalog.pg_get_viewdef(c.oid) LIKE '%prepay.my_site(%'"
		"  UNION SELECT r.ev_class FROM guarded g JOIN pg_catalog.pg_depend d"
		"  ON d.refclassid = 'pg_class'::regclass AND d.refobjid = g.oid"
		"  AND d.classid = 'pg_rewrite'::regclass JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid)"
		" SELECT DISTINCT c.oid::regclass::text FROM guarded JOIN pg_catalog.pg_class c USING (oid)"
		" WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind = 'v' ORDER BY 1",
		0
	};
	uint64 n = db_run(&query, NULL);
	SPITupleTable *rows = SPI_tuptable;
	uint64 i;

	for (i = 0; i < n; i++)
		db_execute(psprintf("ALTER VIEW %s SET (security_barrier = true)",
							SPI_getvalue(rows->vals[i], rows->tupdesc, 1)));
}

static void
set_version(void)
{
	db_execute(psprintf("INSERT INTO prepay.installation (storage_version) VALUES (%d)"
						" ON CONFLICT (only_row) DO UPDATE SET storage_version = %d",
						STORAGE_VERSION, STORAGE_VERSION));
}

Datum
prepay_install(PG_FUNCTION_ARGS)
{
	DbSession session;
	int32 version;
	Oid superuser_id = GetUserId();
	int sec_context;
	Oid ignored;

	if (!superuser())
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("only a superuser may install the prepay storage"),
						errhint("It creates roles; afterwards no superuser is needed.")));
	db_enter_as(&session, superuser_id);
	/* Replayed parts say "does not exist, skipping" and the like: nothing a person has to read. */
	(void) set_config_option("client_min_messages", "warning", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	lock_install();
	create_roles();
	check_roles();
	db_execute("GRANT USAGE, CREATE ON SCHEMA prepay, prepay_api TO prepay_owner");
	db_execute("GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA prepay, prepay_api TO prepay_owner");
	version = stored_version();
	if (version > STORAGE_VERSION)
		ereport(ERROR, (errcode(ERRCODE_PP_NOT_INSTALLED),
						errmsg("the prepay storage has version %d, newer than this library's %d",
							   version, STORAGE_VERSION),
						errhint("Install the newer pg_prepay package.")));

	GetUserIdAndSecContext(&ignored, &sec_context);
	SetUserIdAndSecContext(get_role_oid("prepay_owner", false), sec_context);
	if (version == 0)
		run_parts(storage_parts, lengthof(storage_parts));
	set_version();
	run_parts(replay_parts, lengthof(replay_parts));
	guard_views();
	comment_apply(comment_parts[0].sql);
	load_profiles();
	SetUserIdAndSecContext(superuser_id, sec_context);
	run_parts(grant_parts, lengthof(grant_parts));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(psprintf(version == 0 ? "prepay storage version %d installed"
														   : "prepay storage version %d is current",
											  STORAGE_VERSION)));
}
