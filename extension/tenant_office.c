/*
 * tenant_office.c: who of the customers may log in, as the office decides it.
 *
 * Nothing here needs the site's configuration to stand still: the row of tenant_login is
 * what is locked, and the operators' log comes last. The log has no password and no secret.
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "auth.h"
#include "clock.h"
#include "code.h"
#include "db.h"
#include "lock.h"
#include "operator_role.h"
#include "oplog.h"
#include "password.h"
#include "tenant_login.h"

extern Datum prepay_all_sites(PG_FUNCTION_ARGS);

PG_FUNCTION_INFO_V1(prepay_create_tenant);
PG_FUNCTION_INFO_V1(prepay_drop_tenant);
PG_FUNCTION_INFO_V1(prepay_set_tenant_password);
PG_FUNCTION_INFO_V1(prepay_set_tenant_secret);

#define MIN_SECRET_BYTES 32 /* of HMAC-SHA-256: RFC 7518 §3.2 */

static char *
require_text(FunctionCallInfo fcinfo, int i, const char *what)
{
	if (PG_ARGISNULL(i))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s is missing", what)));
	return text_to_cstring(PG_GETARG_TEXT_PP(i));
}

static void
find_account(const DbSession *session, const char *code, CodeTarget *account)
{
	code_resolve(session->caller, code, KIND_ACCOUNT, account);
	auth_require(session->caller, MAY_SELL, account->site_id, "manage tenants");
}

static void
require_login(const CodeTarget *account, TenantLogin *login)
{
	if (!tenant_login_lock(account->site_id, account->id, login))
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
						errmsg("account \"%s\" has no log-in", account->code),
						errhint("Give it one: SELECT prepay.create_tenant(…);")));
}

static void
note(const CodeTarget *account, const char *action, Jsonb *before, Jsonb *after)
{
	oplog_note(account->site_id, action, psprintf("account:%s", account->code), before, after);
}

/* A name that is free, or of a tenant's role that was shut out. */
static void
require_free_role(const char *role)
{
	role_check_name(role);
	if (role_exists(role) && !role_is_shut_out(&tenant_roles, role))
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_TAKEN), errmsg("role \"%s\" exists", role),
						errhint("Choose another name.")));
}

static void
insert_login(const CodeTarget *account, const char *verifier, const char *role)
{
	static DbQuery query = {
		"INSERT INTO prepay.tenant_login (site_id, account_id, verifier, role_name,"
		" password_set_at, tokens_from, created_at, created_by) VALUES ($1, $2, $3, $4, $5,"
		" date_trunc('second', clock_timestamp()) + interval '1 second', $5, $6)"
		" ON CONFLICT (site_id, account_id) DO NOTHING",
		6,
		{ INT4OID, INT4OID, TEXTOID, NAMEOID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { Int32GetDatum(account->site_id),  Int32GetDatum(account->id),
					 CStringGetTextDatum(verifier),	   role ? db_name_datum(role) : (Datum) 0,
					 TimestampTzGetDatum(clock_now()), CStringGetTextDatum(auth_operator()) };

	if (db_run_nulls(&query, args, role ? NULL : "   n  ") == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_TAKEN),
						errmsg("account \"%s\" has a log-in already", account->code),
						errhint("Change it with prepay.set_tenant_password() or "
								"prepay.drop_tenant().")));
}

/*
 * create_tenant(account, password, role DEFAULT NULL) → code of the account. With role, a role
 * of the server that may log in and is its tenant. Raises 42501, PP010, PP013, 28P01.
 */
Datum
prepay_create_tenant(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget account;
	char *code;
	char *password;
	char *role = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	const char *verifier;
	text *result;
	MemoryContext old;

	password_hide("create_tenant");
	code = require_text(fcinfo, 0, "the account");
	password = require_text(fcinfo, 1, "the password");
	db_enter(&session);
	find_account(&session, code, &account);
	verifier = tenant_login_verifier(site_get(account.site_id), account.code, password);
	if (role)
	{
		lock_install();
		require_free_role(role);
	}
	insert_login(&account, verifier, role);
	if (role)
	{
		role_let_in(&tenant_roles, role, verifier, DT_NOEND);
		role_grant(&tenant_roles, role, "prepay_tenant");
	}
	note(&account, "create_tenant", NULL, oplog_members("role", role, NULL));
	old = MemoryContextSwitchTo(session.outer);
	result = cstring_to_text(account.code);
	MemoryContextSwitchTo(old);
	db_leave(&session);
	PG_RETURN_TEXT_P(result);
}

/* drop_tenant(account): ends the log-in, tokens and sessions alike. Raises 42501, PP010. */
Datum
prepay_drop_tenant(PG_FUNCTION_ARGS)
{
	static DbQuery query = { "DELETE FROM prepay.tenant_login WHERE site_id = $1"
							 " AND account_id = $2",
							 2,
							 { INT4OID, INT4OID } };
	char *code = require_text(fcinfo, 0, "the account");
	DbSession session;
	CodeTarget account;
	TenantLogin login;

	db_enter(&session);
	find_account(&session, code, &account);
	lock_install();
	require_login(&account, &login);
	{
		Datum args[] = { Int32GetDatum(account.site_id), Int32GetDatum(account.id) };

		db_run(&query, args);
	}
	if (login.role_name && role_exists(login.role_name))
		role_shut_out(&tenant_roles, login.role_name);
	note(&account, "drop_tenant", oplog_members("role", login.role_name, NULL), NULL);
	db_leave(&session);
	PG_RETURN_VOID();
}

/* set_tenant_password(account, password): ends tokens and a block. Raises 42501, PP010, 28P01. */
Datum
prepay_set_tenant_password(PG_FUNCTION_ARGS)
{
	DbSession session;
	CodeTarget account;
	TenantLogin login;
	const char *verifier;
	char *code;
	char *password;

	password_hide("set_tenant_password");
	code = require_text(fcinfo, 0, "the account");
	password = require_text(fcinfo, 1, "the password");
	db_enter(&session);
	find_account(&session, code, &account);
	verifier = tenant_login_verifier(site_get(account.site_id), account.code, password);
	require_login(&account, &login);
	tenant_login_set(&login, verifier);
	note(&account, "set_tenant_password", NULL, NULL);
	db_leave(&session);
	PG_RETURN_VOID();
}

static void
store_secret(const char *secret)
{
	static DbQuery query = {
		"INSERT INTO prepay.tenant_secret (secret, set_at, set_by) VALUES ($1, $2, $3)"
		" ON CONFLICT (only_row) DO UPDATE SET secret = $1, set_at = $2, set_by = $3",
		3,
		{ TEXTOID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { CStringGetTextDatum(secret), TimestampTzGetDatum(clock_now()),
					 CStringGetTextDatum(auth_operator()) };

	db_run(&query, args);
}

/*
 * set_tenant_secret(secret): what signs tokens, for all sites; another one ends all tokens.
 * By a superuser, or an administrator of all sites. Raises 42501, 22023 under 32 bytes.
 */
Datum
prepay_set_tenant_secret(PG_FUNCTION_ARGS)
{
	DbSession session;
	char *secret;
	bool all = DatumGetBool(DirectFunctionCall1(prepay_all_sites, (Datum) 0));

	password_hide("set_tenant_secret");
	secret = require_text(fcinfo, 0, "the secret");
	if (strlen(secret) < MIN_SECRET_BYTES)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the secret has fewer than %d bytes", MIN_SECRET_BYTES),
						errhint("Take random ones, such as of: openssl rand -base64 48")));
	db_enter(&session);
	auth_require(session.caller, MAY_CONFIGURE, 0, "set the secret of tokens");
	if (!all)
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("the secret is of all sites, and not all are yours"),
						errhint("An administrator of all sites can set it.")));
	store_secret(secret);
	oplog_note(0, "set_tenant_secret", "tenant_secret", NULL, NULL);
	db_leave(&session);
	PG_RETURN_VOID();
}
