/*
 * tenant_identity.c: which account a tenant is.
 *
 * A tenant comes in one of two ways:
 *
 *   through a front (PostgREST and its like), which logs in as a member of
 *   prepay_authenticator, becomes prepay_tenant for a request and puts the claims of a token
 *   it has verified into request.jwt.claims. The setting alone says nothing, for everybody
 *   can write it: it counts where the session's own log-in is a front's and where the role
 *   it has become is a tenant's;
 *
 *   as a role of the server that logs in and is written in tenant_login.
 *
 * Either needs a row in tenant_login, so that dropping the tenant ends both. A claim counts
 * from the second in which it was issued: tokens_from moves on with each password.
 */
#include "tenant_identity.h"

#include "common/jsonapi.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/jsonb.h"

#include "code.h"

#define CLAIMS "request.jwt.claims"

PG_FUNCTION_INFO_V1(prepay_tenant_accounts);

typedef struct Claims
{
	char *site;
	char *account;
	Datum issued_at; /* numeric, seconds since 1970 */
} Claims;

/* ---- claims ---- */

static bool
is_member(Oid role, const char *group)
{
	Oid group_id = get_role_oid(group, true);

	return OidIsValid(group_id) && is_member_of_role_nosuper(role, group_id);
}

bool
tenant_is_front(void)
{
	return is_member(GetSessionUserId(), "prepay_authenticator");
}

static void
malformed(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg(CLAIMS " %s", what),
					errhint("A token of prepay_api.log_in() has: site and account, as texts, and "
							"iat, a number.")));
}

static bool
is_json(char *text)
{
	JsonLexContext *lex = makeJsonLexContextCstringLen(text, strlen(text), PG_UTF8, true);

	return pg_parse_json(lex, &nullSemAction) == JSON_SUCCESS;
}

/* NULL: there are none. Text that is no JSON object gives *fault. */
static Jsonb *
read_claims(bool *fault)
{
	const char *text = GetConfigOption(CLAIMS, true, false);
	Jsonb *claims;

	*fault = false;
	if (text == NULL || *text == '\0')
		return NULL;
	*fault = true;
	if (!is_json(pstrdup(text)))
		return NULL;
	claims = DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text)));
	if (!JB_ROOT_IS_OBJECT(claims))
		return NULL;
	*fault = false;
	return claims;
}

static JsonbValue *
member(Jsonb *claims, const char *name)
{
	return getKeyJsonValueFromContainer(&claims->root, name, strlen(name), NULL);
}

static char *
text_of(const JsonbValue *value)
{
	if (value == NULL || value->type != jbvString)
		return NULL;
	return pnstrdup(value->val.string.val, value->val.string.len);
}

/* A front's request without a token has claims that name no account: false. */
static bool
take_claims(Claims *taken)
{
	bool fault;
	Jsonb *claims = read_claims(&fault);
	JsonbValue *site;
	JsonbValue *account;
	JsonbValue *issued_at;

	if (fault)
		malformed("is no JSON object");
	if (claims == NULL)
		return false;
	site = member(claims, "site");
	account = member(claims, "account");
	issued_at = member(claims, "iat");
	if (site == NULL && account == NULL)
		return false;
	taken->site = text_of(site);
	taken->account = text_of(account);
	if (taken->site == NULL || taken->account == NULL)
		malformed("names no site and account as texts");
	if (issued_at == NULL || issued_at->type != jbvNumeric)
		malformed("does not say when it was issued");
	taken->issued_at = NumericGetDatum(issued_at->val.numeric);
	return true;
}

char *
tenant_claimed_account(void)
{
	bool fault;
	Jsonb *claims = read_claims(&fault);
	char *account = claims ? text_of(member(claims, "account")) : NULL;

	return account && code_is_valid(account) ? account : NULL;
}

/* ---- the account ---- */

#define FOUND                                                                             \
	"SELECT a.site_id, a.account_id, a.code, a.state = 'closed' FROM prepay.tenant_login" \
	" l JOIN prepay.account a USING (site_id, account_id)"

static uint64
find_by_claims(const Claims *claims)
{
	static DbQuery query = { FOUND " JOIN prepay.site s USING (site_id) WHERE s.code = $1"
								   " AND a.code = $2 AND extract(epoch FROM l.tokens_from) <= $3",
							 3,
							 { TEXTOID, TEXTOID, NUMERICOID } };
	Datum args[] = { CStringGetTextDatum(claims->site), CStringGetTextDatum(claims->account),
					 claims->issued_at };

	return db_run(&query, args);
}

static uint64
find_by_role(Oid role)
{
	static DbQuery query = { FOUND " WHERE l.role_name = $1", 1, { NAMEOID } };
	Datum arg = db_name_datum(GetUserNameFromId(role, false));

	return db_run(&query, &arg);
}

bool
tenant_find(Oid caller, Tenant *tenant)
{
	Claims claims;
	uint64 n = 0;

	if (tenant_is_front())
	{
		if (is_member(caller, "prepay_tenant") && take_claims(&claims))
			n = find_by_claims(&claims);
	}
	else if (caller == GetSessionUserId())
		n = find_by_role(caller);
	if (n != 1)
		return false;
	tenant->site_id = db_int32(0, 1);
	tenant->account_id = db_int32(0, 2);
	tenant->code = db_text(0, 3);
	tenant->closed = db_bool(0, 4);
	return true;
}

Tenant
tenant_require(const DbSession *session)
{
	Tenant tenant;

	if (!tenant_find(session->caller, &tenant))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("you are not logged in as a tenant"),
				 errhint("Log in with prepay_api.log_in(); a changed password ends log-ins.")));
	return tenant;
}

Tenant
tenant_require_open(const DbSession *session)
{
	Tenant tenant = tenant_require(session);

	if (tenant.closed)
		ereport(ERROR, (errcode(ERRCODE_PP_CLOSED), errmsg("account \"%s\" is closed", tenant.code),
						errhint("Its past can still be read.")));
	return tenant;
}

bool
tenant_has_site(int32 site_id)
{
	DbSession session;
	Tenant tenant;
	bool has;

	db_enter(&session);
	has = tenant_find(session.caller, &tenant) && tenant.site_id == site_id;
	db_leave(&session);
	return has;
}

/*
 * tenant_accounts() → setof (site_id, account_id): the account current_user is as a tenant, or
 * nothing. Every view of prepay_api asks it. Raises 22023 for claims that are malformed.
 */
Datum
prepay_tenant_accounts(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	DbSession session;
	Tenant tenant;

	InitMaterializedSRF(fcinfo, 0);
	db_enter(&session);
	if (tenant_find(session.caller, &tenant))
	{
		Datum values[] = { Int32GetDatum(tenant.site_id), Int32GetDatum(tenant.account_id) };
		bool nulls[] = { false, false };

		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	db_leave(&session);
	return (Datum) 0;
}
