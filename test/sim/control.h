/*
 * control.h: the control port: one command a line, one answer a line.
 */
#ifndef SIM_CONTROL_H
#define SIM_CONTROL_H

#include <stdbool.h>

#include "world.h"

/* Listen on the world's control address; false with errno set. */
extern bool control_start(struct event_base *base, World *world);

extern void control_stop(void);

#endif
