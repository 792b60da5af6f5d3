/*
 * tenant_identity.h: which account a tenant is.
 */
#ifndef PREPAY_TENANT_IDENTITY_H
#define PREPAY_TENANT_IDENTITY_H

#include "postgres.h"

#include "db.h"

typedef struct Tenant
{
	int32 site_id;
	int32 account_id;
	char *code; /* of the account */
	bool closed;
} Tenant;

/* Whether the session is a front's, which logs in once for all tenants. */
extern bool tenant_is_front(void);
/* The account the caller is; false: none. Needs an open DbSession; raises 22023. */
extern bool tenant_find(Oid caller, Tenant *tenant);
/* The same; raises 42501 where there is none. */
extern Tenant tenant_require(const DbSession *session);
/* The same, and PP024 where it is closed. */
extern Tenant tenant_require_open(const DbSession *session);
/* Whether the account the caller is stands at a site. */
extern bool tenant_has_site(int32 site_id);
/* Code of the account a front's claims name, to be written down; NULL: none. */
extern char *tenant_claimed_account(void);

#endif
