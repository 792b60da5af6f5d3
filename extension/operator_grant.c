/*
 * operator_grant.c: group roles and sites of an operator that is there.
 */
#include "operator.h"

#include "utils/builtins.h"

#include "operator_role.h"
#include "oplog.h"

PG_FUNCTION_INFO_V1(prepay_grant_role);
PG_FUNCTION_INFO_V1(prepay_revoke_role);

typedef struct Grant
{
	DbSession session;
	Operator operator;
	const char *group; /* NULL: none */
	char *groups_before;
	char *sites_before;
	int32 *site_id;
	int n_site;
} Grant;

static void
begin_grant(Grant *grant, FunctionCallInfo fcinfo)
{
	char *name = operator_text(fcinfo, 0, "the name of the operator");

	memset(grant, 0, sizeof(*grant));
	db_enter(&grant->session);
	operator_require(&grant->session, name, &grant->operator);
	if (!PG_ARGISNULL(1))
		grant->group = role_group(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	grant->n_site = operator_sites(fcinfo, 2, &grant->session, false, &grant->site_id);
	if (grant->group == NULL && grant->n_site == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("neither a group role nor a site is given"),
						errhint("Name a group role such as cashier, or sites.")));
	grant->groups_before = role_groups(name);
	grant->sites_before = operator_site_names(grant->operator.site_id, grant->operator.n_site);
}

/* Told at the sites it had before and those it has now. */
static void
end_grant(Grant *grant, const char *action, Operator *all)
{
	Jsonb *before =
		oplog_members("roles", grant->groups_before, "sites", grant->sites_before, NULL);
	Jsonb *after =
		oplog_members("roles", role_groups(grant->operator.name), "sites",
					  operator_site_names(grant->operator.site_id, grant->operator.n_site), NULL);

	operator_log(action, all, before, after);
	db_leave(&grant->session);
}

/* grant_role(name, role, sites DEFAULT '{}'): either may be left out. Raises 42501, 22023. */
Datum
prepay_grant_role(PG_FUNCTION_ARGS)
{
	Grant grant;
	char *groups;

	begin_grant(&grant, fcinfo);
	groups = grant.groups_before;
	if (grant.group && groups &&
		role_is_agent(grant.group) != (strstr(groups, "prepay_agent") != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an agent can have no other group role"), errdetail("It has: %s.", groups),
				 errhint("Make one operator for the agent and one for the person.")));
	if (grant.group)
		role_grant(&operator_roles, grant.operator.name, grant.group);
	operator_add_sites(&grant.operator, grant.site_id, grant.n_site);
	end_grant(&grant, "grant_role", &grant.operator);
	PG_RETURN_VOID();
}

/* revoke_role(name, role, sites DEFAULT '{}'): either may be left out. Raises 42501, 22023. */
Datum
prepay_revoke_role(PG_FUNCTION_ARGS)
{
	Operator former;
	Grant grant;

	begin_grant(&grant, fcinfo);
	former = grant.operator;
	if (grant.group)
		role_revoke(&operator_roles, grant.operator.name, grant.group);
	operator_take_sites(&grant.operator, grant.site_id, grant.n_site);
	end_grant(&grant, "revoke_role", &former);
	PG_RETURN_VOID();
}
