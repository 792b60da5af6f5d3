/*
 * amount.h: money between C and SQL.
 */
#ifndef PREPAY_AMOUNT_H
#define PREPAY_AMOUNT_H

#include "postgres.h"

#include "money.h"
#include "site.h"

/* Exact amounts as SQL numeric and back. */
extern Datum exact_numeric(Exact amount);
extern Exact numeric_exact(Datum numeric);
extern Datum minor_numeric(int64 minor, int decimals);
/* A stored amount as decimal text. */
extern int64 text_minor(const Site *site, const char *text);
/* An amount a caller gave: raises PP021 for NaN, infinity, too many decimals, overflow. */
extern int64 amount_minor(const Site *site, Datum numeric, const char *what);

/* Raises 22003 "what out of range". */
extern void out_of_range(const char *what) pg_attribute_noreturn();

#endif
