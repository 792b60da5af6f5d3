/*
 * names.h
 *		Host names to addresses without blocking the loop (evdns, /etc/hosts, literals).
 */
#ifndef PREPAYD_NAMES_H
#define PREPAYD_NAMES_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/socket.h>

typedef struct Names Names;
typedef struct NamesQuery NamesQuery;

/* address NULL: not found, reason says why. The query is gone when the callback runs. */
typedef void (*NamesDone)(void *arg, const struct sockaddr *address, socklen_t len,
						  const char *reason);

Names *names_new(struct event_base *base);
void names_free(Names *names);

/* Always answers through the loop, never from within the call. */
NamesQuery *names_resolve(Names *names, const char *host, const char *port, NamesDone done,
						  void *arg);
void names_cancel(NamesQuery *query);

/* Splits "host:port" or "[v6]:port"; false when it is neither. */
bool names_split(const char *address, char *host, size_t host_size, char *port, size_t port_size);

#endif
