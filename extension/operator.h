/*
 * operator.h: what the functions that manage operators have in common.
 */
#ifndef PREPAY_OPERATOR_H
#define PREPAY_OPERATOR_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "db.h"

typedef struct Operator
{
	char *name;
	bool known;
	bool dropped;
	TimestampTz valid_until; /* of the operator, whatever its password; DT_NOEND: none */
	int32 *site_id;
	int n_site;
} Operator;

/* Argument i as text; raises 22004 when it is NULL. */
extern char *operator_text(FunctionCallInfo fcinfo, int i, const char *what);
/* Argument i as texts, none of them NULL; a NULL array has none. */
extern int operator_texts(FunctionCallInfo fcinfo, int i, const char *what, char ***list);
/* Sites by code, each one the caller may use; none given and may_be_one: its only site. */
extern int operator_sites(FunctionCallInfo fcinfo, int i, const DbSession *session, bool may_be_one,
						  int32 **site_id);

extern void operator_load(const char *name, Operator *operator);
/* An operator that works, and in none but the caller's sites; raises PP010 and 42501. */
extern void operator_require(const DbSession *session, const char *name, Operator *operator);
/* "mall, town"; NULL: none. */
extern char *operator_site_names(const int32 *site_id, int n);

extern void operator_add_sites(Operator *operator, const int32 * site_id, int n);
extern void operator_take_sites(Operator *operator, const int32 * site_id, int n);
/* Told at each of its sites; without any, to all. */
extern void operator_log(const char *action, const Operator *operator, Jsonb * before,
						 Jsonb *after);

#endif
