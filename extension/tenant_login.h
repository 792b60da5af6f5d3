/*
 * tenant_login.h: what a tenant logs in with.
 */
#ifndef PREPAY_TENANT_LOGIN_H
#define PREPAY_TENANT_LOGIN_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"

typedef struct TenantLogin
{
	int32 site_id;
	int32 account_id;
	char *verifier;
	char *role_name; /* NULL: none */
	int failures;
	TimestampTz blocked_until; /* real time; DT_NOBEGIN: not */
	int64 tokens_from;		   /* seconds since 1970 */
} TenantLogin;

/* The account's log-in, its row locked; false: it has none. */
extern bool tenant_login_lock(int32 site_id, int32 account_id, TenantLogin *login);
/* Check a password against the rules of the site (28P01) and give its verifier. */
extern char *tenant_login_verifier(const Site *site, const char *account, const char *password);
/* Another password: for the row, and the role where there is one. It ends all tokens and blocks. */
extern void tenant_login_set(const TenantLogin *login, const char *verifier);

#endif
