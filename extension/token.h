/*
 * token.h: JSON Web Tokens (RFC 7519) signed with HMAC-SHA-256.
 */
#ifndef PREPAY_TOKEN_H
#define PREPAY_TOKEN_H

#include "postgres.h"

typedef struct Token
{
	const char *role;
	const char *site;
	const char *account;
	int64 issued_at;  /* seconds since 1970 */
	int64 expires_at; /* the same */
} Token;

/* "header.claims.signature" */
extern char *token_sign(const Token *token, const char *secret);

#endif
