/*
 * config.h: the configuration file.
 */
#ifndef SIM_CONFIG_H
#define SIM_CONFIG_H

#include <stdbool.h>

#include "world.h"

#define CONFIG_WORDS_MAX 32

/* Read a file into a world whose clock and seed are set. On false the reason is logged. */
extern bool config_load(const char *path, World *world);

/* Cut a line into words at white space, up to a '#'; gives their number, -1 if there are too many.
 */
extern int config_split(char *line, char *words[CONFIG_WORDS_MAX]);

#endif
