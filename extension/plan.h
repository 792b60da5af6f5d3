/*
 * plan.h: planning of the storage owner's statements.
 */
#ifndef PREPAY_PLAN_H
#define PREPAY_PLAN_H

#include "postgres.h"

/* Take part in planning; once, when the library is loaded. */
extern void plan_init(void);

/* From now on plan what this role runs by the rules of plan.c. */
extern void plan_for(Oid owner);

/* The statements planned until this is taken back read many rows. */
extern void plan_for_many_rows(bool many);

#endif
