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
#include "operator.h"

#include "miscadmin.h"
#include "utils/builtins.h"

#include "auth.h"
#include "clock.h"
#include "code.h"
#include "jsonb_doc.h"
#include "lock.h"
#include "operator_role.h"
#include "oplog.h"
#include "password.h"

PG_FUNCTION_INFO_V1(prepay_create_operator);
PG_FUNCTION_INFO_V1(prepay_drop_operator);
PG_FUNCTION_INFO_V1(prepay_set_operator_password);

static int
group_list(FunctionCallInfo fcinfo, int i, const char ***group)
{
	char **name;
	int n = operator_texts(fcinfo, i, "a group role", &name);
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
	name = operator_text(fcinfo, 0, "the name of the operator");
	password = operator_text(fcinfo, 1, "the password");
	if (PG_ARGISNULL(4))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("options are missing")));
	options_check(PG_GETARG_JSONB_P(4), known);
	db_enter(&session);
	auth_require(session.caller, MAY_CONFIGURE, 0, "manage operators");
	role_check_name(name);
	n_group = group_list(fcinfo, 2, &group);
	n_site = operator_sites(fcinfo, 3, &session, true, &site_id);
	lock_install();
	operator_load(name, &operator);
	reinstate = option_text(PG_GETARG_JSONB_P(4), "reinstate");
	require_free(&operator, reinstate && strcmp(reinstate, "true") == 0);
	operator.valid_until = option_time(PG_GETARG_JSONB_P(4), "valid_until");
	store_operator(&operator, PG_GETARG_JSONB_P(4));
	{
		TimestampTz valid_until;
		char *verifier = take_password(&operator, site_id, n_site, password, &valid_until);

		role_let_in(&operator_roles, name, verifier, valid_until);
	}
	for (i = 0; i < n_group; i++)
		role_grant(&operator_roles, name, group[i]);
	operator_add_sites(&operator, site_id, n_site);
	operator_log("create_operator", &operator, NULL,
				 oplog_members("full_name", option_text(PG_GETARG_JSONB_P(4), "full_name"), "roles",
							   role_groups(name), "sites", operator_site_names(site_id, n_site),
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
	char *name = operator_text(fcinfo, 0, "the name of the operator");
	char *reason = PG_ARGISNULL(1) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(1));
	DbSession session;
	Operator operator;
	Operator former;
	Jsonb *before;

	db_enter(&session);
	operator_require(&session, name, &operator);
	if (strcmp(name, GetUserNameFromId(session.caller, false)) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("nobody can dismiss itself"),
				 errhint("Have another administrator do it.")));
	before = oplog_members("roles", role_groups(name), "sites",
						   operator_site_names(operator.site_id, operator.n_site), NULL);
	former = operator;
	{
		Datum args[] = { db_name_datum(name), TimestampTzGetDatum(clock_now()),
						 CStringGetTextDatum(auth_operator()), db_text_datum(reason),
						 db_array_int32(operator.site_id, operator.n_site) };

		db_run_nulls(&query, args, reason ? NULL : "   n ");
	}
	role_shut_out(&operator_roles, name);
	operator_take_sites(&operator, former.site_id, former.n_site);
	operator_log("drop_operator", &former, before, oplog_members("reason", reason, NULL));
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
	name = operator_text(fcinfo, 0, "the name of the operator");
	password = operator_text(fcinfo, 1, "the password");
	db_enter(&session);
	own = strcmp(name, GetUserNameFromId(session.caller, false)) == 0;
	if (own)
	{
		lock_install();
		operator_load(name, &operator);
	}
	if (!own || !operator.known || operator.dropped)
		operator_require(&session, name, &operator);
	verifier = take_password(&operator, operator.site_id, operator.n_site, password, &valid_until);
	role_set_password(&operator_roles, name, verifier, valid_until);
	operator_log("set_operator_password", &operator, NULL, NULL);
	db_leave(&session);
	PG_RETURN_VOID();
}
