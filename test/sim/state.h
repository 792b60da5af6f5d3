/*
 * state.h: what meters remember while the simulator is off.
 */
#ifndef SIM_STATE_H
#define SIM_STATE_H

#include <stdbool.h>

#include "world.h"

/* Restore meters from a file; a missing file is fine. On false the reason is logged. */
extern bool state_load(const char *path, World *world);

/* Replace the file atomically with the meters at the present instant. */
extern bool state_save(const char *path, World *world);

#endif
