/*
 * tariff_api.h: definitions as callers hand them in.
 */
#ifndef PREPAY_TARIFF_API_H
#define PREPAY_TARIFF_API_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "site.h"
#include "tariff.h"

/* Definitions and what they are made of are held to a size; raises PP030. */
extern void tariff_check_size(const Jsonb *definition);
extern void tariff_refuse(const char *what, const DocFault *fault) pg_attribute_noreturn();
/* Compile a definition in the current memory; raises PP030 with path and hint. */
extern Tariff *tariff_check_definition(Jsonb *definition);
/* Give a compiled tariff of the current memory all days of its calendar; needs an open DbSession.
 */
extern void tariff_load_calendar(const Site *site, Tariff *tariff);

#endif
