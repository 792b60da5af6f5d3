/*
 * operator_role.h: the database roles of operators and tenants, kept by prepay_role_keeper.
 *
 * All of it needs an open DbSession. Whether the caller may do so is the caller's business
 * (operator.c, tenant_office.c); that nothing but roles made here are touched is checked here,
 * each time.
 */
#ifndef PREPAY_OPERATOR_ROLE_H
#define PREPAY_OPERATOR_ROLE_H

#include "postgres.h"

#include "utils/timestamp.h"

#define ROLE_KEEPER "prepay_role_keeper"

/* What roles of a kind are known by, and what they may be members of. */
typedef struct RoleKind
{
	const char *mark; /* comment on the role */
	const char *made_by;
	const char *const *group;
	int n_group;
} RoleKind;

extern const RoleKind operator_roles;
extern const RoleKind tenant_roles;

/* An operator's group role by its name, with or without prepay_; raises 22023 for another. */
extern const char *role_group(const char *name);
/* Whether some kind of role may be a member of it. */
extern bool role_is_group(const char *name);
/* An agent's role is nobody's: it goes with no other group role. */
extern bool role_is_agent(const char *group);

/* Raises 42602 and 42939 for what cannot be the name of a person's role. */
extern void role_check_name(const char *name);
extern bool role_exists(const char *name);
/* A role of this kind that was shut out. */
extern bool role_is_shut_out(const RoleKind *kind, const char *name);

/*
 * Each raises 42501 unless the role is as it was made here and no more than that.
 * valid_until DT_NOEND: for ever. A role that is there is taken up again.
 */
extern void role_let_in(const RoleKind *kind, const char *name, const char *verifier,
						TimestampTz valid_until);
extern void role_set_password(const RoleKind *kind, const char *name, const char *verifier,
							  TimestampTz valid_until);
/* No log-in, no password, no group role. */
extern void role_shut_out(const RoleKind *kind, const char *name);
/* group: one of the kind's. */
extern void role_grant(const RoleKind *kind, const char *name, const char *group);
extern void role_revoke(const RoleKind *kind, const char *name, const char *group);
/* Group roles an operator has, "prepay_admin, prepay_cashier"; NULL: none. */
extern char *role_groups(const char *name);

#endif
