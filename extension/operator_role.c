/*
 * operator_role.c: making and changing the roles of operators.
 *
 * Only this file acts as prepay_role_keeper, a NOLOGIN role whose one attribute is
 * CREATEROLE. In PostgreSQL 15 that attribute is broad: it may change every role that is
 * no superuser. So the statements are built here alone, from a quoted name and from
 * constants, and each is preceded by a look at the role: it carries the comment that
 * create_operator() gave it, has no attribute of its own and is a member of nothing but
 * group roles. A role that an administrator of the server has given more is the server's.
 */
#include "operator_role.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "db.h"

#define MARK "Operator of pg_prepay, made by create_operator()"

static const char *const group_roles[] = { "prepay_admin",	 "prepay_supervisor",
										   "prepay_cashier", "prepay_dispatcher",
										   "prepay_analyst", "prepay_agent" };

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
	return false;
}

bool
role_is_agent(const char *group)
{
	return strcmp(group, "prepay_agent") == 0;
}

bool
role_exists(const char *name)
{
	return OidIsValid(get_role_oid(name, true));
}

static Datum
group_array(void)
{
	Datum value[lengthof(group_roles)];
	int i;

	for (i = 0; i < lengthof(group_roles); i++)
		value[i] = CStringGetTextDatum(group_roles[i]);
	return db_array(value, NULL, lengthof(group_roles), TEXTOID);
}

void
role_require_operator(const char *name)
{
	static DbQuery query = {
		"SELECT CASE WHEN r.rolsuper THEN 'it is a superuser'"
		" WHEN r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls"
		"  THEN 'it has attributes of its own'"
		" WHEN EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g"
		"  ON g.oid = m.roleid WHERE m.member = r.oid AND g.rolname <> ALL ($2))"
		"  THEN 'it is a member of other roles'"
		" WHEN pg_catalog.shobj_description(r.oid, 'pg_authid') IS DISTINCT FROM '" MARK "'"
		"  THEN 'it was not made by create_operator()' END"
		" FROM pg_catalog.pg_roles r WHERE r.rolname = $1",
		2,
		{ NAMEOID, TEXTARRAYOID }
	};
	Datum args[] = { db_name_datum(name), group_array() };
	char *why;

	if (db_run(&query, args) == 0)
		why = "there is no such role";
	else
		why = db_text(0, 1);
	if (why)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("role \"%s\" is not an operator's", name), errdetail("%s.", why),
						errhint("Only an administrator of the server can change it.")));
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
role_set_password(const char *name, const char *verifier, TimestampTz valid_until)
{
	role_require_operator(name);
	run_as_keeper(psprintf("ALTER ROLE %s PASSWORD %s VALID UNTIL %s", quote_identifier(name),
						   quote_literal_cstr(verifier), valid_until_clause(valid_until)));
}

void
role_let_in(const char *name, const char *verifier, TimestampTz valid_until)
{
	if (!role_exists(name))
	{
		run_as_keeper(psprintf("CREATE ROLE %s NOLOGIN", quote_identifier(name)));
		run_as_keeper(
			psprintf("COMMENT ON ROLE %s IS %s", quote_identifier(name), quote_literal_cstr(MARK)));
	}
	role_set_password(name, verifier, valid_until);
	run_as_keeper(psprintf("ALTER ROLE %s LOGIN", quote_identifier(name)));
}

void
role_grant(const char *name, const char *group)
{
	role_require_operator(name);
	run_as_keeper(
		psprintf("GRANT %s TO %s", quote_identifier(role_group(group)), quote_identifier(name)));
}

void
role_revoke(const char *name, const char *group)
{
	role_require_operator(name);
	run_as_keeper(
		psprintf("REVOKE %s FROM %s", quote_identifier(role_group(group)), quote_identifier(name)));
}

void
role_shut_out(const char *name)
{
	int i;

	role_require_operator(name);
	run_as_keeper(psprintf("ALTER ROLE %s NOLOGIN PASSWORD NULL", quote_identifier(name)));
	for (i = 0; i < lengthof(group_roles); i++)
		if (is_member_of_role_nosuper(get_role_oid(name, false),
									  get_role_oid(group_roles[i], false)))
			role_revoke(name, group_roles[i]);
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
	Datum args[] = { db_name_datum(name), group_array() };

	db_run(&query, args);
	return db_text(0, 1);
}
