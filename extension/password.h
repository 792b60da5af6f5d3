/*
 * password.h: what an operator's or a tenant's password must be, and what is kept of it.
 *
 * The rules are settings of the sites (password_min_length password_classes password_days
 * password_history); of several sites the strictest holds. Kept are SCRAM-SHA-256 verifiers.
 */
#ifndef PREPAY_PASSWORD_H
#define PREPAY_PASSWORD_H

#include "postgres.h"

#include "utils/timestamp.h"

#include "site.h"

typedef struct PasswordRules
{
	int min_length; /* characters */
	const char *length_setting;
	int classes; /* of lower, upper, digit, other */
	int days;	 /* it expires after; 0: never */
	int history; /* passwords before it that may not come back */
} PasswordRules;

/* Take a clear password out of what the server shows and logs of the running statement. */
extern void password_hide(const char *function);
extern PasswordRules password_rules(const int32 *site_id, int n);
/* A tenant's: shorter, without an end, and it may come back. */
extern PasswordRules password_tenant_rules(const Site *site);
/* Raises 28P01 for a password that breaks a rule, or was used before; NULL-free texts. */
extern void password_check(const PasswordRules *rules, const char *name, const char *password);
/* SCRAM verifier of it, and whether a password is the one. */
extern char *password_verifier(const char *password);
extern bool password_matches(const char *verifier, const char *password);
/* Put it into the history and forget what is older than the rules ask for. */
extern void password_remember(const PasswordRules *rules, const char *name, const char *verifier);
/* When it expires, by the real clock; DT_NOEND: never. */
extern TimestampTz password_expires(const PasswordRules *rules);

#endif
