/*
 * code.h: what people type. [site/][account:|meter:|gateway:|place:]code
 */
#ifndef PREPAY_CODE_H
#define PREPAY_CODE_H

#include "db.h"

#define KIND_SITE 0x01
#define KIND_ACCOUNT 0x02
#define KIND_METER 0x04
#define KIND_GATEWAY 0x08
#define KIND_PLACE 0x10
#define KIND_TARIFF 0x20
#define KIND_AGENT 0x40

typedef struct CodeTarget
{
	int32 site_id;
	int kind;
	int32 id;	/* 0 for a site and an agent */
	char *code; /* without site and kind */
} CodeTarget;

/* Find the one object meant; raises PP010 unknown, PP011 ambiguous, PP012 malformed. */
extern void code_resolve(Oid caller, const char *text, int kinds, CodeTarget *target);
/*
 * The first part of it, for who takes the site's lock before looking: the site, and the
 * bare code of what must be one of these kinds. Raises as above, and code_unknown() PP010.
 */
extern char *code_split(Oid caller, const char *text, int kinds, int32 *site_id);
extern void code_unknown(const char *text, int kinds) pg_attribute_noreturn();
/* A code for a new object: its site and the bare code. */
extern void code_for_new(Oid caller, const char *text, int32 *site_id, char **code);
/* A site by its code; NULL or '' where the caller may use only one. */
extern int32 code_site(Oid caller, const char *text);
/* 1 to 64 characters without '/', ':' or control characters, no space at either end. */
extern bool code_is_valid(const char *text);
extern const char *code_kind_name(int kind);

#endif
