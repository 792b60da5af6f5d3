/*
 * inspect.h
 *		What prepayd shows and checks without running; these may block. All return an exit status.
 */
#ifndef PREPAYD_INSPECT_H
#define PREPAYD_INSPECT_H

#include "config.h"

/* NULL-terminated list of files. */
int inspect_profiles(char **files);

/* The spool folder, and gateways and models of the cached plan. */
int inspect_config(const Config *config);

/* Gateways, meters and merged requests, of the cached plan or else of the database. */
int inspect_plan(const Config *config);

#endif
