/*
 * auth.h: who may do what, where.
 *
 * A group role gives the verb, a row in operator_site the place. Superusers may
 * do everything. The caller is always current_user at the call, never the
 * storage owner the work then runs as.
 */
#ifndef PREPAY_AUTH_H
#define PREPAY_AUTH_H

#include "postgres.h"

#include "db.h"

#define RIGHT_ADMIN 0x01
#define RIGHT_SUPERVISOR 0x02
#define RIGHT_CASHIER 0x04
#define RIGHT_DISPATCHER 0x08
#define RIGHT_ANALYST 0x10
#define RIGHT_AGENT 0x20

/* What a verb needs; an admin may do all, a supervisor what cashiers and dispatchers may. */
#define MAY_CONFIGURE RIGHT_ADMIN
#define MAY_SUPERVISE (RIGHT_ADMIN | RIGHT_SUPERVISOR)
#define MAY_SELL (RIGHT_ADMIN | RIGHT_SUPERVISOR | RIGHT_CASHIER)
#define MAY_DISPATCH (RIGHT_ADMIN | RIGHT_SUPERVISOR | RIGHT_DISPATCHER)
#define MAY_READ (MAY_SELL | RIGHT_DISPATCHER | RIGHT_ANALYST)
#define MAY_TICK (MAY_READ | RIGHT_AGENT)

/* Raises 42501 unless caller has one of the rights and the site; site_id 0: any site. */
extern void auth_require(Oid caller, int rights, int32 site_id, const char *what);
/* Whether caller has one of the rights, wherever. */
extern bool auth_has_right(Oid caller, int rights);
/* Sites the caller may use, ascending; needs an open DbSession. */
extern int auth_sites(Oid caller, int32 **site_id);
extern bool auth_has_site(Oid caller, int32 site_id);
/* Agent code of a site may be used by the caller; raises 42501. */
extern void auth_require_agent(Oid caller, int32 site_id, const char *agent);
/*
 * Who is written down as having done it: the role that logged in, whatever SET ROLE it did;
 * for a login of prepay_authenticator, which serves many people, the role it has become, and
 * of tenants, who share theirs, the account ("account:A1").
 */
extern char *auth_operator(void);

#endif
