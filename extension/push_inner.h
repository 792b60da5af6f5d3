/*
 * push_inner.h: a tariff as arguments; private to push*.c.
 */
#ifndef PREPAY_PUSH_INNER_H
#define PREPAY_PUSH_INNER_H

#include "postgres.h"

#include "lib/stringinfo.h"

#include "doc.h"
#include "tariff.h"

#define PUSH_MAX_RATES 8
#define PUSH_MAX_TABLES 16

/* What the profile says of the meter. */
typedef struct PushModel
{
	const Doc *args; /* of the command; NULL: none */
	int n_rate;
	const char *rate[PUSH_MAX_RATES]; /* period of rate i + 1 */
	int tables;						  /* day tables the command takes */
	int slots;						  /* of each */
	int seasons;					  /* rows of the season plan; 0: it has none */
} PushModel;

/* Begin a member of an object. */
extern void push_key(StringInfo out, const char *key);
/* A value in the decimals of the argument; a fault where it does not fit. */
extern char *push_value(StringInfo out, const char *key, const Doc *arg, Exact value);
/* All arguments of push_tariff; a fault where the tariff does not fit the meter. */
extern char *push_tariff(StringInfo out, const Tariff *tariff, const PushModel *model);

#endif
