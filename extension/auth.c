#include "auth.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "tenant_identity.h"
#include "watch.h"

PG_FUNCTION_INFO_V1(prepay_my_site);
PG_FUNCTION_INFO_V1(prepay_all_sites);
PG_FUNCTION_INFO_V1(prepay_operator_name);

static const struct
{
	int right;
	const char *role;
} group_role[] = {
	{ RIGHT_ADMIN, "prepay_admin" },	 { RIGHT_SUPERVISOR, "prepay_supervisor" },
	{ RIGHT_CASHIER, "prepay_cashier" }, { RIGHT_DISPATCHER, "prepay_dispatcher" },
	{ RIGHT_ANALYST, "prepay_analyst" }, { RIGHT_AGENT, "prepay_agent" },
};

static bool
has_right(Oid caller, int rights)
{
	int i;

	for (i = 0; i < lengthof(group_role); i++)
	{
		Oid role;

		if (!(rights & group_role[i].right))
			continue;
		role = get_role_oid(group_role[i].role, true);
		if (OidIsValid(role) && has_privs_of_role(caller, role))
			return true;
	}
	return false;
}

bool
auth_has_right(Oid caller, int rights)
{
	return superuser_arg(caller) || has_right(caller, rights);
}

/*
 * The sites of one caller, the last one asked about. Rights go by the role's name: who
 * has been renamed is somebody else.
 */
typedef struct KnownCaller
{
	uint64 known_since; /* 0: nobody is known */
	bool is_superuser;	/* all sites, whatever the name */
	NameData name;
	int n;
	int32 *site_id; /* ascending */
} KnownCaller;

static KnownCaller known;
static Watch site_watch = { "site" };
static Watch operator_watch = { "operator_site" };

/* Either grows, so their sum is the same only while both are. */
static uint64
changes_of_rights(void)
{
	return watch_changes(&site_watch) + watch_changes(&operator_watch);
}

static bool
is_known(bool is_superuser, const char *name)
{
	return known.known_since == changes_of_rights() && known.is_superuser == is_superuser &&
		   (is_superuser || strcmp(NameStr(known.name), name) == 0);
}

static void
read_sites(bool is_superuser, const char *name)
{
	static DbQuery all = { "SELECT site_id FROM prepay.site ORDER BY site_id", 0 };
	static DbQuery own = { "SELECT s.site_id FROM prepay.operator_site s"
						   " WHERE s.operator = $1 ORDER BY s.site_id",
						   1,
						   { NAMEOID } };
	Datum arg = db_name_datum(name);
	uint64 known_since;
	int i;

	known.known_since = 0;
	do
	{
		known_since = changes_of_rights();
		known.n = is_superuser ? db_run_latest(&all, NULL) : db_run_latest(&own, &arg);
	} while (known_since != changes_of_rights());
	if (known.site_id)
		pfree(known.site_id);
	known.site_id = NULL;
	known.site_id = MemoryContextAlloc(TopMemoryContext, sizeof(int32) * Max(known.n, 1));
	for (i = 0; i < known.n; i++)
		known.site_id[i] = db_int32(i, 1);
	known.is_superuser = is_superuser;
	namestrcpy(&known.name, name);
	known.known_since = known_since;
}

static void
know(Oid caller)
{
	bool is_superuser = superuser_arg(caller);
	const char *name = GetUserNameFromId(caller, false);

	if (!is_known(is_superuser, name))
		read_sites(is_superuser, name);
}

static bool
is_known_site(int32 site_id)
{
	int i;

	for (i = 0; i < known.n; i++)
		if (known.site_id[i] == site_id)
			return true;
	return false;
}

int
auth_sites(Oid caller, int32 **site_id)
{
	know(caller);
	*site_id = palloc(sizeof(int32) * Max(known.n, 1));
	memcpy(*site_id, known.site_id, sizeof(int32) * known.n);
	return known.n;
}

bool
auth_has_site(Oid caller, int32 site_id)
{
	know(caller);
	return is_known_site(site_id);
}

void
auth_require(Oid caller, int rights, int32 site_id, const char *what)
{
	if (superuser_arg(caller))
		return;
	if (!has_right(caller, rights))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" may not %s", GetUserNameFromId(caller, false), what),
						errhint("An administrator can grant the group role for this work.")));
	if (site_id != 0 && !auth_has_site(caller, site_id))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" has no right on this site", GetUserNameFromId(caller, false)),
				 errhint("An administrator can add the role to prepay.operator_site.")));
}

void
auth_require_agent(Oid caller, int32 site_id, const char *agent)
{
	static DbQuery query = { "SELECT role_name FROM prepay.agent WHERE site_id = $1 AND code = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site_id), CStringGetTextDatum(agent) };
	uint64 n = db_run(&query, args);
	char *role_name = n ? db_text(0, 1) : NULL;

	if (n == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no agent \"%s\"", agent),
						errhint("Register it: SELECT prepay.create_agent('%s');", agent)));
	if (superuser_arg(caller))
		return;
	if (!has_right(caller, RIGHT_AGENT) || role_name == NULL ||
		get_role_oid(role_name, true) != caller)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("role \"%s\" is not agent \"%s\"", GetUserNameFromId(caller, false), agent),
				 errhint("create_agent(name, '{\"role\": \"…\"}') binds an agent to its role.")));
}

/* A front that logs in once for all its users is no person: whom it has become is. */
char *
auth_operator(void)
{
	Oid login = GetSessionUserId();
	Oid role = GetOuterUserId();

	if (role != login)
	{
		Oid front = get_role_oid("prepay_authenticator", true);

		if (OidIsValid(front) && is_member_of_role_nosuper(login, front))
		{
			char *account =
				role == get_role_oid("prepay_tenant", true) ? tenant_claimed_account() : NULL;

			if (account)
				return psprintf("account:%s", account);
			login = role;
		}
	}
	return GetUserNameFromId(login, false);
}

/* all_sites() → boolean: whether current_user may use every site there is. */
Datum
prepay_all_sites(PG_FUNCTION_ARGS)
{
	static DbQuery query = { "SELECT NOT EXISTS (SELECT FROM prepay.site s WHERE NOT EXISTS (SELECT"
							 "  FROM prepay.operator_site o WHERE o.site_id = s.site_id"
							 "  AND o.operator = $1))",
							 1,
							 { NAMEOID } };
	Oid caller = GetUserId();
	DbSession session;
	Datum name;
	bool all;

	if (superuser_arg(caller) || caller == db_owner())
		PG_RETURN_BOOL(true);
	db_enter(&session);
	name = db_name_datum(GetUserNameFromId(caller, false));
	db_run(&query, &name);
	all = db_bool(0, 1);
	db_leave(&session);
	PG_RETURN_BOOL(all);
}

/* operator_name() → text: who is written down for what this session does. */
Datum
prepay_operator_name(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(auth_operator()));
}

/* my_site(site_id) → boolean: whether current_user may see a site. Every view asks it once a site.
 */
Datum
prepay_my_site(PG_FUNCTION_ARGS)
{
	Oid caller = GetUserId();

	if (superuser_arg(caller) || caller == db_owner())
		PG_RETURN_BOOL(true);
	if (!is_known(false, GetUserNameFromId(caller, false)))
	{
		DbSession session;

		db_enter(&session);
		know(caller);
		db_leave(&session);
	}
	PG_RETURN_BOOL(is_known_site(PG_GETARG_INT32(0)));
}
