/*
 * operator_role.h: the database roles of operators, kept by prepay_role_keeper.
 *
 * All of it needs an open DbSession. Whether the caller may do so is the caller's business
 * (operator.c); that nothing but an operator's role is touched is checked here, each time.
 */
#ifndef PREPAY_OPERATOR_ROLE_H
#define PREPAY_OPERATOR_ROLE_H

#include "postgres.h"

#include "utils/timestamp.h"

#define ROLE_KEEPER "prepay_role_keeper"

/* Group role by its name, with or without prepay_; raises 22023 for what cannot be granted. */
extern const char *role_group(const char *name);
extern bool role_is_group(const char *name);
/* An agent's role is nobody's: it goes with no other group role. */
extern bool role_is_agent(const char *group);

extern bool role_exists(const char *name);
/* Raises 42501 unless the role is as create_operator() made it and no more than that. */
extern void role_require_operator(const char *name);

/* valid_until DT_NOEND: for ever. A role that is there is taken up again. */
extern void role_let_in(const char *name, const char *verifier, TimestampTz valid_until);
extern void role_set_password(const char *name, const char *verifier, TimestampTz valid_until);
/* No log-in, no password, no group role. */
extern void role_shut_out(const char *name);
extern void role_grant(const char *name, const char *group);
extern void role_revoke(const char *name, const char *group);
/* Group roles it has, "prepay_admin, prepay_cashier"; NULL: none. */
extern char *role_groups(const char *name);

#endif
