/*
 * config.h
 *		The INI file: [agent] name, conninfo, spool, metrics, log_level. All else is in the
 * database.
 */
#ifndef PREPAYD_CONFIG_H
#define PREPAYD_CONFIG_H

#include "log.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct Config
{
	char name[128]; /* the agent's code: "code" or "site/code" */
	char conninfo[1024];
	char spool[512];   /* folder */
	char metrics[280]; /* host:port, "" = none */
	LogLevel log_level;
} Config;

/* False with a reason ("FILE:LINE: ...") when the file cannot be read or is wrong. */
bool config_load(Config *config, const char *file, char *reason, size_t size);

#endif
