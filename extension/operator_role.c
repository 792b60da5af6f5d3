/*
 * operator_role.c: making and changing the roles of operators and of tenants.
 *
 * Only this file acts as prepay_role_keeper, a NOLOGIN role whose one attribute is
 * CREATEROLE. In PostgreSQL 15 that attribute is broad: it may change every role that is
 * no superuser. So the statements are built here alone, from a quoted name and from
 * constants, and each is preceded by a look at the role: it carries the comment
 * that it was given when it was made, has no attribute of its own and is a member of nothing but
 * group roles. A role that an administrator of the server has given more is the server's.
 */
#include "operator_role.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "code.h"
#include "db.h"

static const char *const group_roles[] = { "prepay_admin",	 "prepay_supervisor",
										   "prepay_cashier", "prepay_dispatcher",
										   "prepay_analyst", "prepay_agent" };
static const char *const tenant_groups[] = { "prepay_tenant" };

const RoleKind operator_roles = { "Operator of pg_prepay, made by create_operator()",
								  "create_operator()", group_roles, lengthof(group_roles) };
const RoleKind tenant_roles = { "Tenant of pg_prepay, made by create_tenant()", "create_tenant()",
								tenant_groups, lengthof(tenant_groups) };

/* ---- what may be touched ---- */

const char *
role_group(const char *name)
{
	int i;

	for (i = 0; i < lengthof(group_roles); i++)
		if (strcmp(name, group_roles[i]) == 0 ||
			strcmp(name, group_roles[i] + strlen("prepay_")) == 0)
			return group_roles[i];
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("\"%s\" is not a group role that can be given to an operator", name),
					errhint("Give admin, supervisor, cashier, dispatcher, analyst or agent.")));
}

bool
role_is_group(const char *name)
{
	int i;

	for (i = 0; i < lengthof(group_roles); i++)
		if (strcmp(name, group_roles[i]) == 0)
			return true;
	return strcmp(name, tenant_groups[0]) == 0;
}

bool
role_is_agent(const char *group)
{
	return strcmp(group, "prepay_agent") == 0;
}

void
role_check_name(const char *name)
{
	if (!code_is_valid(name) || strlen(name) >= NAMEDATALEN)
		ereport(ERROR, (errcode(ERRCODE_INVALID_NAME),
						errmsg("\"%s\" cannot be the name of an operator", name),
						errhint("Use 1 to %d bytes without '/' and ':'.", NAMEDATALEN - 1)));
	if (strncmp(name, "pg_", 3) == 0 || strncmp(name, "prepay_", 7) == 0 ||
		strcmp(name, "public") == 0 || strcmp(name, "none") == 0)
		ereport(ERROR, (errcode(ERRCODE_RESERVED_NAME), errmsg("the name \"%s\" is reserved", name),
						errhint("Names that begin with pg_ or prepay_ are the system's.")));
}

bool
role_exists(const char *name)
{
	return OidIsValid(get_role_oid(name, true));
}

static Datum
group_array(const RoleKind *kind)
{
	Datum value[lengthof(group_roles)];
	int i;

	for (i = 0; i < kind->n_group; i++)
		value[i] = CStringGetTextDatum(kind->group[i]);
	return db_array(value, NULL, kind->n_group, TEXTOID);
}

static void
require_kind(const RoleKind *kind, const char *name)
{
	static DbQuery query = {
		"SELECT CASE WHEN r.rolsuper THEN 'it is a superuser'"
		" WHEN r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls"
		"  THEN 'it has attributes of its own'"
		" WHEN EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g"
		"  ON g.oid = m.roleid WHERE m.member = r.oid AND g.rolname <> ALL ($2))"
		"  THEN 'it is a member of other roles'"
		" WHEN pg_catalog.shobj_description(r.oid, 'pg_authid') IS DISTINCT FROM $3"
		"  THEN 'it was not made by ' || $4 END"
		" FROM pg_catalog.pg_roles r WHERE r.rolname = $1",
		4,
		{ NAMEOID, TEXTARRAYOID, TEXTOID, TEXTOID }
	};
	Datum args[] = { db_name_datum(name), group_array(kind), CStringGetTextDatum(kind->mark),
					 CStringGetTextDatum(kind->made_by) };
	char *why;

	if (db_run(&query, args) == 0)
		why = "there is no such role";
	else
		why = db_text(0, 1);
	if (why)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						kind == &operator_roles ? errmsg("role \"%s\" is not an operator's", name)
												: errmsg("role \"%s\" is not a tenant's", name),
						errdetail("%s.", why),
						errhint("Only an administrator of the server can change it.")));
}

bool
role_is_shut_out(const RoleKind *kind, const char *name)
{
	static DbQuery query = {
		"SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = $1 AND NOT r.rolcanlogin"
		" AND pg_catalog.shobj_description(r.oid, 'pg_authid') = $2",
		2,
		{ NAMEOID, TEXTOID }
	};
	Datum args[] = { db_name_datum(name), CStringGetTextDatum(kind->mark) };

	return db_run(&query, args) == 1;
}

/* ---- acting ---- */

static void
run_as_keeper(const char *sql)
{
	Oid keeper = get_role_oid(ROLE_KEEPER, true);
	Oid user;
	int context;

	if (!OidIsValid(keeper))
		ereport(ERROR, (errcode(ERRCODE_PP_NOT_INSTALLED),
						errmsg("role \"%s\" does not exist", ROLE_KEEPER),
						errhint("Run: SELECT prepay.install();")));
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(keeper, context | SECURITY_LOCAL_USERID_CHANGE);
	db_execute(sql);
	SetUserIdAndSecContext(user, context);
	CommandCounterIncrement();
}

static char *
valid_until_clause(TimestampTz valid_until)
{
	if (TIMESTAMP_IS_NOEND(valid_until))
		return "'infinity'";
	return quote_literal_cstr(timestamptz_to_str(valid_until));
}

void
role_set_password(const RoleKind *kind, const char *name, const char *verifier,
				  TimestampTz valid_until)
{
	require_kind(kind, name);
	run_as_keeper(psprintf("ALTER ROLE %s PASSWORD %s VALID UNTIL %s", quote_identifier(name),
						   quote_literal_cstr(verifier), valid_until_clause(valid_until)));
}

void
role_let_in(const RoleKind *kind, const char *name, const char *verifier, TimestampTz valid_until)
{
	if (!role_exists(name))
	{
		run_as_keeper(psprintf("CREATE ROLE %s NOLOGIN", quote_identifier(name)));
		run_as_keeper(psprintf("COMMENT ON ROLE %s IS %s", quote_identifier(name),
							   quote_literal_cstr(kind->mark)));
	}
	role_set_password(kind, name, verifier, valid_until);
	run_as_keeper(psprintf("ALTER ROLE %s LOGIN", quote_identifier(name)));
}

void
role_grant(const RoleKind *kind, const char *name, const char *group)
{
	require_kind(kind, name);
	run_as_keeper(psprintf("GRANT %s TO %s", quote_identifier(group), quote_identifier(name)));
}

void
role_revoke(const RoleKind *kind, const char *name, const char *group)
{
	require_kind(kind, name);
	run_as_keeper(psprintf("REVOKE %s FROM %s", quote_identifier(group), quote_identifier(name)));
}

void
role_shut_out(const RoleKind *kind, const char *name)
{
	int i;

	require_kind(kind, name);
	run_as_keeper(psprintf("ALTER ROLE %s NOLOGIN PASSWORD NULL", quote_identifier(name)));
	for (i = 0; i < kind->n_group; i++)
		if (is_member_of_role_nosuper(get_role_oid(name, false),
									  get_role_oid(kind->group[i], false)))
			role_revoke(kind, name, kind->group[i]);
}

char *
role_groups(const char *name)
{
	static DbQuery query = {
		"SELECT pg_catalog.string_agg(g.rolname, ', ' ORDER BY g.rolname)"
		" FROM pg_catalog.pg_roles r JOIN pg_catalog.pg_auth_members m ON m.member = r.oid"
		" JOIN pg_catalog.pg_roles g ON g.oid = m.roleid AND g.rolname = ANY ($2)"
		" WHERE r.rolname = $1",
		2,
		{ NAMEOID, TEXTARRAYOID }
	};
	Datum args[] = { db_name_datum(name), group_array(&operator_roles) };

	db_run(&query, args);
	return db_text(0, 1);
}
