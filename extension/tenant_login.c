/*
 * tenant_login.c: logging in, and one's own password.
 *
 * Failures are counted under the lock of the row and stay, for a wrong password is an answer
 * and no error. Only a front may log tenants in: someone with a transaction of its own could
 * roll the count back, and guess for ever. Whether an account exists, has a log-in or is
 * blocked, the answer is the same, after the same work. All times here are real ones.
 */
#include "tenant_login.h"

#include "libpq/crypt.h"
#include "miscadmin.h"
#include "utils/builtins.h"

#include "auth.h"
#include "clock.h"
#include "code.h"
#include "db.h"
#include "operator_role.h"
#include "oplog.h"
#include "password.h"
#include "tenant_identity.h"
#include "token.h"

PG_FUNCTION_INFO_V1(prepay_log_in);
PG_FUNCTION_INFO_V1(prepay_change_my_password);

#define MAX_FAILURES 5
#define BLOCK_US (15 * USECS_PER_MINUTE)
#define SECOND_OF(time) \
	((time) / USECS_PER_SEC + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY)

/* Of no password: the work of a look at it is that of any other. */
#define ZEROES "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define NOBODYS "SCRAM-SHA-256$4096:AAAAAAAAAAAAAAAAAAAAAA==$" ZEROES ":" ZEROES

#define LOGIN_COLUMNS                                                                \
	"l.site_id, l.account_id, l.verifier, l.role_name, l.failures, l.blocked_until," \
	" extract(epoch FROM l.tokens_from)::bigint"

/* ---- rows ---- */

static void
take_row(TenantLogin *login)
{
	login->site_id = db_int32(0, 1);
	login->account_id = db_int32(0, 2);
	login->verifier = db_text(0, 3);
	login->role_name = db_text(0, 4);
	login->failures = db_int32(0, 5);
	login->blocked_until = db_time_or(0, 6, DT_NOBEGIN);
	login->tokens_from = db_int64(0, 7);
}

bool
tenant_login_lock(int32 site_id, int32 account_id, TenantLogin *login)
{
	static DbQuery query = { "SELECT " LOGIN_COLUMNS " FROM prepay.tenant_login l"
							 " WHERE l.site_id = $1 AND l.account_id = $2 FOR UPDATE",
							 2,
							 { INT4OID, INT4OID } };
	Datum args[] = { Int32GetDatum(site_id), Int32GetDatum(account_id) };

	if (db_run(&query, args) == 0)
		return false;
	take_row(login);
	return true;
}

static void
save_attempts(const TenantLogin *login)
{
	static DbQuery query = { "UPDATE prepay.tenant_login SET failures = $3, blocked_until = $4"
							 " WHERE site_id = $1 AND account_id = $2",
							 4,
							 { INT4OID, INT4OID, INT4OID, TIMESTAMPTZOID } };
	Datum args[] = { Int32GetDatum(login->site_id), Int32GetDatum(login->account_id),
					 Int32GetDatum(login->failures), TimestampTzGetDatum(login->blocked_until) };

	db_run_nulls(&query, args, TIMESTAMP_IS_NOBEGIN(login->blocked_until) ? "   n" : NULL);
}

char *
tenant_login_verifier(const Site *site, const char *account, const char *password)
{
	PasswordRules rules = password_tenant_rules(site);

	password_check(&rules, account, password);
	return password_verifier(password);
}

void
tenant_login_set(const TenantLogin *login, const char *verifier)
{
	static DbQuery query = {
		"UPDATE prepay.tenant_login SET verifier = $3, password_set_at = $4, failures = 0,"
		" blocked_until = NULL, tokens_from = greatest(tokens_from,"
		"  date_trunc('second', clock_timestamp())) + interval '1 second'"
		" WHERE site_id = $1 AND account_id = $2",
		4,
		{ INT4OID, INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(login->site_id), Int32GetDatum(login->account_id),
					 CStringGetTextDatum(verifier), TimestampTzGetDatum(clock_now()) };

	db_run(&query, args);
	if (login->role_name)
		role_set_password(&tenant_roles, login->role_name, verifier, DT_NOEND);
}

/* ---- a password is tried ---- */

/* login NULL: of an account that cannot log in. */
static bool
is_right(TenantLogin *login, const char *password)
{
	bool matches = password_matches(login ? login->verifier : NOBODYS, password);
	TimestampTz now = GetCurrentTimestamp();

	if (login == NULL || login->blocked_until > now)
		return false;
	login->blocked_until = DT_NOBEGIN;
	login->failures = matches ? 0 : login->failures + 1;
	if (login->failures == MAX_FAILURES)
	{
		login->failures = 0;
		login->blocked_until = now + BLOCK_US;
	}
	save_attempts(login);
	return matches;
}

/* ---- logging in ---- */

typedef struct Found
{
	TenantLogin login;
	char *site;
	char *account;
} Found;

/* [site/][account:]code; the site may be left out where there is one. */
static bool
find_login(const char *text, Found *found)
{
	static DbQuery query = {
		"SELECT " LOGIN_COLUMNS ", s.code, a.code AS account FROM prepay.tenant_login l"
		" JOIN prepay.site s USING (site_id) JOIN prepay.account a USING (site_id, account_id)"
		" WHERE a.code = $2 AND s.code = COALESCE($1, (SELECT min(x.code) FROM prepay.site x"
		"  HAVING count(*) = 1)) FOR UPDATE OF l",
		2,
		{ TEXTOID, TEXTOID }
	};
	const char *slash = strchr(text, '/');
	const char *code = slash ? slash + 1 : text;
	Datum args[2];

	if (strncmp(code, "account:", strlen("account:")) == 0)
		code += strlen("account:");
	args[0] = slash ? CStringGetTextDatum(pnstrdup(text, slash - text)) : (Datum) 0;
	args[1] = CStringGetTextDatum(code);
	if (db_run_nulls(&query, args, slash ? NULL : "n ") == 0)
		return false;
	take_row(&found->login);
	found->site = db_text(0, 8);
	found->account = db_text(0, 9);
	return true;
}

static const char *
require_secret(void)
{
	static DbQuery query = { "SELECT secret FROM prepay.tenant_secret", 0 };

	if (db_run(&query, NULL) == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("tenants cannot log in yet: no secret signs their tokens"),
						errhint("An administrator sets it: SELECT prepay.set_tenant_secret(…); it "
								"is the same as the front's.")));
	return db_text(0, 1);
}

static char *
new_token(const Found *found, const char *secret)
{
	const Site *site = site_get(found->login.site_id);
	int64 now = SECOND_OF(GetCurrentTimestamp());
	Token token = { .role = "prepay_tenant", .site = found->site, .account = found->account };

	token.issued_at = Max(now, found->login.tokens_from);
	token.expires_at =
		token.issued_at + setting_interval_us(site, "tenant_session", 0) / USECS_PER_SEC;
	return token_sign(&token, secret);
}

static void
require_texts(FunctionCallInfo fcinfo, const char *what)
{
	if (PG_ARGISNULL(0) || PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("%s must be given", what)));
}

/*
 * log_in(account, password) → token; NULL: account or password are wrong, or the account is
 * blocked. Five failures in a row block it for 15 minutes of real time. Raises 42501 for
 * who is no front, 55000 without a secret.
 */
Datum
prepay_log_in(PG_FUNCTION_ARGS)
{
	DbSession session;
	const char *secret;
	Found found;
	text *token = NULL;
	char *password;

	password_hide("log_in");
	require_texts(fcinfo, "account and password");
	password = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (!tenant_is_front())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE), errmsg("only a front logs tenants in"),
				 errhint("The session's log-in must be a member of prepay_authenticator.")));
	db_enter(&session);
	secret = require_secret();
	if (!find_login(text_to_cstring(PG_GETARG_TEXT_PP(0)), &found))
		(void) is_right(NULL, password);
	else if (is_right(&found.login, password))
	{
		char *signed_token = new_token(&found, secret);
		MemoryContext old = MemoryContextSwitchTo(session.outer);

		token = cstring_to_text(signed_token);
		MemoryContextSwitchTo(old);
	}
	db_leave(&session);
	if (token == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(token);
}

/*
 * change_my_password(old_password, new_password) → whether the old one was right; a wrong one
 * counts as a failure to log in. Raises 28P01 for a new one against the rules.
 */
Datum
prepay_change_my_password(PG_FUNCTION_ARGS)
{
	DbSession session;
	Tenant tenant;
	TenantLogin login;
	const char *verifier;
	bool right;

	password_hide("change_my_password");
	require_texts(fcinfo, "both passwords");
	db_enter(&session);
	tenant = tenant_require(&session);
	verifier = tenant_login_verifier(site_get(tenant.site_id), tenant.code,
									 text_to_cstring(PG_GETARG_TEXT_PP(1)));
	right = tenant_login_lock(tenant.site_id, tenant.account_id, &login) &&
			is_right(&login, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (right)
	{
		tenant_login_set(&login, verifier);
		oplog_note(tenant.site_id, "change_my_password", psprintf("account:%s", tenant.code), NULL,
				   NULL);
	}
	db_leave(&session);
	PG_RETURN_BOOL(right);
}
