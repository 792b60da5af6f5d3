/*
 * notify.h
 *		The service manager's notification socket and watchdog.
 */
#ifndef PREPAYD_NOTIFY_H
#define PREPAYD_NOTIFY_H

#include <stdint.h>

/* Sends "READY=1", "STATUS=..." and the like; does nothing without $NOTIFY_SOCKET. */
void notify_send(const char *message);

/* Microseconds between watchdog messages, half of what the manager allows; 0: no watchdog. */
int64_t notify_watchdog_us(void);

#endif
