/*
 * operator.c: operators: who may log in, as what, where.
 *
 * An operator is a role of the server (operator_role.c), a row of `operator` and rows of
 * `operator_site`. An administrator manages operators all of whose sites are its own: who
 * works somewhere else as well belongs to the administrators there, too, and only someone
 * who may use all of these sites can change it. A dismissed operator keeps its name, so that
 * the ledger and the log name nobody else; it has no right left from the next statement on.
 *
 * One change of operators at a time (lock_install); nothing else waits for it.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "auth.h"
#include "clock.h"
#include "code.h"
#include "db.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "operator_role.h"
#include "oplog.h"
#include "password.h"

PG_FUNCTION_INFO_V1(prepay_create_operator);
PG_FUNCTION_INFO_V1(prepay_drop_operator);
PG_FUNCTION_INFO_V1(prepay_set_operator_password);
PG_FUNCTION_INFO_V1(prepay_grant_role);
PG_FUNCTION_INFO_V1(prepay_revoke_role);

typedef struct Operator
{
	char *name;
	bool known;
	bool dropped;
	TimestampTz valid_until; /* of the operator, whatever its password; DT_NOEND: none */
	int32 *site_id;
	int n_site;
} Operator;

/* ---- arguments ---- */

static char *
text_argument(FunctionCallInfo fcinfo, int i, const char *what)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s is missing", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static int
text_list(FunctionCallInfo fcinfo, int i, const char *what, char ***list)
{
	Datum *value;
	bool *isnull;
	int n;
	int k;

	*list = NULL;
	if (PG_ARGISNULL(i))
		return 0;
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(i), TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull,
					  &n);
	*list = palloc(sizeof(char *) * Max(n, 1));
	for (k = 0; k < n; k++)
	{
		if (isnull[k])
			ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
							errmsg("%s of an operator cannot be NULL", what)));
		(*list)[k] = TextDatumGetCString(value[k]);
	}
	return n;
}

static bool
contains(const int32 *list, int n, int32 value)
{
	int i;

	for (i = 0; i < n; i++)
		if (list[i] == value)
			return true;
	return false;
}

/* Sites by code, each one the caller may use; none given and may_be_one: its only site. */
static int
site_list(FunctionCallInfo fcinfo, int i, const DbSession *session, bool may_be_one,
		  int32 **site_id)
{
	char **code;
	int given = text_list(fcinfo, i, "a site", &code);
	int n = 0;
	int k;

	*site_id = palloc(sizeof(int32) * (given + 1));
	for (k = 0; k < given; k++)
	{
		int32 id = code_site(session->caller, code[k]);

		if (!contains(*site_id, n, id))
			(*site_id)[n++] = id;
	}
	if (n == 0 && may_be_one)
		(*site_id)[n++] = code_site(session->caller, NULL);
	return n;
}

static void
check_name(const char *name)
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

static int
group_list(FunctionCallInfo fcinfo, int i, const char ***group)
{
	char **name;
	int n = text_list(fcinfo, i, "a group role", &name);
	int k;

	*group = palloc(sizeof(char *) * Max(n, 1));
	for (k = 0; k < n; k++)
		(*group)[k] = role_group(name[k]);
	if (n == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("an operator needs a group role"),
				 errhint("Give admin, supervisor, cashier, dispatcher, analyst or agent.")));
	for (k = 0; k < n; k++)
		if (role_is_agent((*group)[k]) != role_is_agent((*group)[0]))
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("an agent can have no other group role"),
							errhint("Make one operator for the agent and one for the person.")));
	return n;
}

/* ---- what is known ---- */

static void
load_sites(Operator *operator)
{
	static DbQuery query = { "SELECT site_id FROM prepay.operator_site WHERE operator = $1"
							 " ORDER BY site_id",
							 1,
							 { NAMEOID } };
	Datum arg = db_name_datum(operator->name);
	int i;

	operator->n_site = db_run(&query, &arg);
	operator->site_id = palloc(sizeof(int32) * Max(operator->n_site, 1));
	for (i = 0; i < operator->n_site; i++)
		operator->site_id[i] = db_int32(i, 1);
}

static void
load_operator(const char *name, Operator *operator)
{
	static DbQuery query = { "SELECT dropped_at IS NOT NULL, valid_until FROM prepay.operator"
							 " WHERE operator = $1",
							 1,
							 { NAMEOID } };
	Datum arg = db_name_datum(name);

	memset(operator, 0, sizeof(*operator));
	operator->name = pstrdup(name);
	operator->known = db_run(&query, &arg) == 1;
	operator->dropped = operator->known && db_bool(0, 1);
	operator->valid_until = operator->known ? db_time_or(0, 2, DT_NOEND) : DT_NOEND;
	load_sites(operator);
}

/* An operator that works, and in none but the caller's sites; raises PP010 and 42501. */
static void
require_manageable(const DbSession *session, const char *name, Operator *operator)
{
	int i;

	auth_require(session->caller, MAY_CONFIGURE, 0, "manage operators");
	lock_install();
	load_operator(name, operator);
	if (!operator->known || operator->dropped)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("there is no operator \"%s\"", name),
						operator->dropped ? errdetail("It was dismissed.") : 0,
						errhint("Operators are listed in prepay.operators.")));
	for (i = 0; i < operator->n_site; i++)
		if (!auth_has_site(session->caller, operator->site_id[i]))
			ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
							errmsg("operator \"%s\" also works at a site that is not yours", name),
							errhint("Only an administrator of all its sites can change it.")));
}

static char *
site_names(const int32 *site_id, int n)
{
	static DbQuery query = { "SELECT string_agg(code, ', ' ORDER BY code) FROM prepay.site"
							 " WHERE site_id = ANY ($1)",
							 1,
							 { INT4ARRAYOID } };
	Datum arg = db_array_int32(site_id, n);

	if (n == 0)
		return NULL;
	db_run(&query, &arg);
	return db_text(0, 1);
}

/* Told at each of its sites; without any, to all. */
static void
log_operator(const char *action, const Operator *operator, Jsonb * before, Jsonb *after)
{
	OplogEntry *entry = palloc(sizeof(OplogEntry) * Max(operator->n_site, 1));
	int n = Max(operator->n_site, 1);
	int i;

	for (i = 0; i < n; i++)
		entry[i] = (OplogEntry){ operator->n_site> 0 ? operator->site_id[i] : 0, action,
								 psprintf("operator:%s", operator->name), before, after };
	oplog_write(entry, n);
}

/* ---- changes ---- */

static void
add_sites(Operator *operator, const int32 * site_id, int n)
{
	static DbQuery query = { "INSERT INTO prepay.operator_site (site_id, operator)"
							 " SELECT unnest($1), $2 ON CONFLICT DO NOTHING",
							 2,
							 { INT4ARRAYOID, NAMEOID } };
	Datum args[] = { db_array_int32(site_id, n), db_name_datum(operator->name) };

	if (n > 0)
		db_run(&query, args);
	load_sites(operator);
}

static void
take_sites(Operator *operator, const int32 * site_id, int n)
{
	static DbQuery query = { "DELETE FROM prepay.operator_site WHERE site_id = ANY ($1)"
							 " AND operator = $2",
							 2,
							 { INT4ARRAYOID, NAMEOID } };
	Datum args[] = { db_array_int32(site_id, n), db_name_datum(operator->name) };

	if (n > 0)
		db_run(&query, args);
	load_sites(operator);
}

static TimestampTz
earlier(TimestampTz a, TimestampTz b)
{
	return a < b ? a : b;
}

/* Check the password, keep it, and give when it ends; the role is the caller's to change. */
static char *
take_password(const Operator *operator, const int32 * site_id, int n, const char *password,
			  TimestampTz *valid_until)
{
	static DbQuery query = { "UPDATE prepay.operator SET password_set_at = $2 WHERE operator = $1",
							 2,
							 { NAMEOID, TIMESTAMPTZOID } };
	PasswordRules rules = password_rules(site_id, n);
	Datum args[] = { db_name_datum(operator->name), TimestampTzGetDatum(clock_now()) };
	char *verifier;

	password_check(&rules, operator->name, password);
	verifier = password_verifier(password);
	password_remember(&rules, operator->name, verifier);
	db_run(&query, args);
	*valid_until = earlier(operator->valid_until, password_expires(&rules));
	return verifier;
}

static TimestampTz
option_time(Jsonb *options, const char *name)
{
	char *text = option_text(options, name);

	if (text == NULL)
		return DT_NOEND;
	return DatumGetTimestampTz(DirectFunctionCall3(
		timestamptz_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

/* The name is free, or that of a dismissed operator who is to come back. */
static void
require_free(const Operator *operator, bool reinstate)
{
	if (operator->known && !operator->dropped)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_TAKEN),
						errmsg("operator \"%s\" is there already", operator->name),
						errhint("Change it with prepay.grant_role() or "
								"prepay.set_operator_password().")));
	if (operator->dropped && !reinstate)
		ereport(ERROR,
				(errcode(ERRCODE_PP_CODE_TAKEN),
				 errmsg("operator \"%s\" was dismissed, the name stays its own", operator->name),
				 errhint("Choose another name, or take the same person back with the option "
						 "'{\"reinstate\": true}'.")));
	if (!operator->known && role_exists(operator->name))
		ereport(
			ERROR,
			(errcode(ERRCODE_PP_CODE_TAKEN),
			 errmsg("role \"%s\" exists and is not an operator of this database", operator->name),
			 errhint("Choose another name.")));
}

static void
store_operator(const Operator *operator, Jsonb * options)
{
	static DbQuery query = {
		"INSERT INTO prepay.operator (operator, full_name, created_at, created_by, valid_until)"
		" VALUES ($1, $2, $3, $4, $5) ON CONFLICT (operator) DO UPDATE"
		" SET full_name = COALESCE(EXCLUDED.full_name, operator.full_name), dropped_at = NULL,"
		" dropped_by = NULL, dropped_why = NULL, dropped_sites = NULL,"
		" valid_until = EXCLUDED.valid_until",
		5,
		{ NAMEOID, TEXTOID, TIMESTAMPTZOID, TEXTOID, TIMESTAMPTZOID }
	};
	char *full_name = option_text(options, "full_name");
	Datum args[] = { db_name_datum(operator->name), db_text_datum(full_name),
					 TimestampTzGetDatum(clock_now()), CStringGetTextDatum(auth_operator()),
					 TimestampTzGetDatum(operator->valid_until) };
	char nulls[] = "     ";

	nulls[1] = full_name ? ' ' : 'n';
	nulls[4] = TIMESTAMP_IS_NOEND(operator->valid_until) ? 'n' : ' ';
	db_run_nulls(&query, args, nulls);
}

/*
 * create_operator(name, password, roles, sites DEFAULT '{}', options DEFAULT '{}') → name.
 * Options: full_name, valid_until, reinstate. Raises 42501 for a site that is not the
 * caller's, PP013 for a name in use, 28P01 for a password against the rules.
 */
Datum
prepay_create_operator(PG_FUNCTION_ARGS)
{
	static const char *const known[] = { "full_name", "valid_until", "reinstate", NULL };
	DbSession session;
	Operator operator;
	const char **group;
	char *password;
	char *name;
	char *reinstate;
	int32 *site_id;
	int n_group;
	int n_site;
	int i;

	password_hide("create_operator");
	name = text_argument(fcinfo, 0, "the name of the operator");
	password = text_argument(fcinfo, 1, "the password");
	if (PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("options are missing")));
	options_check(PG_GETARG_JSONB_P(4), known);
	db_enter(&session);
	auth_require(session.caller, MAY_CONFIGURE, 0, "manage operators");
	check_name(name);
	n_group = group_list(fcinfo, 2, &group);
	n_site = site_list(fcinfo, 3, &session, true, &site_id);
	lock_install();
	load_operator(name, &operator);
	reinstate = option_text(PG_GETARG_JSONB_P(4), "reinstate");
	require_free(&operator, reinstate && strcmp(reinstate, "true") == 0);
	operator.valid_until = option_time(PG_GETARG_JSONB_P(4), "valid_until");
	store_operator(&operator, PG_GETARG_JSONB_P(4));
	{
		TimestampTz valid_until;
		char *verifier = take_password(&operator, site_id, n_site, password, &valid_until);

		role_let_in(name, verifier, valid_until);
	}
	for (i = 0; i < n_group; i++)
		role_grant(name, group[i]);
	add_sites(&operator, site_id, n_site);
	log_operator("create_operator", &operator, NULL,
				 oplog_members("full_name", option_text(PG_GETARG_JSONB_P(4), "full_name"), "roles",
							   role_groups(name), "sites", site_names(site_id, n_site),
							   "valid_until", option_text(PG_GETARG_JSONB_P(4), "valid_until"),
							   NULL));
	db_leave(&session);
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * drop_operator(name, reason DEFAULT NULL). Sessions that are open keep nothing but their
 * connection: every statement asks for rights anew. Raises 22023 for oneself.
 */
Datum
prepay_drop_operator(PG_FUNCTION_ARGS)
{
	static DbQuery query = {
		"UPDATE prepay.operator SET dropped_at = $2, dropped_by = $3, dropped_why = $4,"
		" dropped_sites = $5 WHERE operator = $1",
		5,
		{ NAMEOID, TIMESTAMPTZOID, TEXTOID, TEXTOID, INT4ARRAYOID }
	};
	char *name = text_argument(fcinfo, 0, "the name of the operator");
	char *reason = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	DbSession session;
	Operator operator;
	Operator former;
	Jsonb *before;

	db_enter(&session);
	require_manageable(&session, name, &operator);
	if (strcmp(name, GetUserNameFromId(session.caller, false)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("nobody can dismiss itself"),
				 errhint("Have another administrator do it.")));
	before = oplog_members("roles", role_groups(name), "sites",
						   site_names(operator.site_id, operator.n_site), NULL);
	former = operator;
	{
		Datum args[] = { db_name_datum(name), TimestampTzGetDatum(clock_now()),
						 CStringGetTextDatum(auth_operator()), db_text_datum(reason),
						 db_array_int32(operator.site_id, operator.n_site) };

		db_run_nulls(&query, args, reason ? NULL : "   n ");
	}
	role_shut_out(name);
	take_sites(&operator, former.site_id, former.n_site);
	log_operator("drop_operator", &former, before, oplog_members("reason", reason, NULL));
	db_leave(&session);
	PG_RETURN_VOID();
}

/*
 * set_operator_password(name, password): of another by an administrator, of oneself by
 * every operator. Raises 28P01 for a password against the rules of its sites.
 */
Datum
prepay_set_operator_password(PG_FUNCTION_ARGS)
{
	DbSession session;
	Operator operator;
	TimestampTz valid_until;
	char *password;
	char *name;
	char *verifier;
	bool own;

	password_hide("set_operator_password");
	name = text_argument(fcinfo, 0, "the name of the operator");
	password = text_argument(fcinfo, 1, "the password");
	db_enter(&session);
	own = strcmp(name, GetUserNameFromId(session.caller, false)) == 0;
	if (own)
	{
		lock_install();
		load_operator(name, &operator);
	}
	if (!own || !operator.known || operator.dropped)
		require_manageable(&session, name, &operator);
	verifier = take_password(&operator, operator.site_id, operator.n_site, password, &valid_until);
	role_set_password(name, verifier, valid_until);
	log_operator("set_operator_password", &operator, NULL, NULL);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* ---- group roles and sites ---- */

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
	char *name = text_argument(fcinfo, 0, "the name of the operator");

	memset(grant, 0, sizeof(*grant));
	db_enter(&grant->session);
	require_manageable(&grant->session, name, &grant->operator);
	if (!PG_ARGISNULL(1))
		grant->group = role_group(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	grant->n_site = site_list(fcinfo, 2, &grant->session, false, &grant->site_id);
	if (grant->group == NULL && grant->n_site == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("neither a group role nor a site is given")));
	grant->groups_before = role_groups(name);
	grant->sites_before = site_names(grant->operator.site_id, grant->operator.n_site);
}

/* Told at the sites it had before and those it has now. */
static void
end_grant(Grant *grant, const char *action, Operator *all)
{
	Jsonb *before =
		oplog_members("roles", grant->groups_before, "sites", grant->sites_before, NULL);
	Jsonb *after = oplog_members("roles", role_groups(grant->operator.name), "sites",
								 site_names(grant->operator.site_id, grant->operator.n_site), NULL);

	log_operator(action, all, before, after);
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
		role_grant(grant.operator.name, grant.group);
	add_sites(&grant.operator, grant.site_id, grant.n_site);
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
		role_revoke(grant.operator.name, grant.group);
	take_sites(&grant.operator, grant.site_id, grant.n_site);
	end_grant(&grant, "revoke_role", &former);
	PG_RETURN_VOID();
}
