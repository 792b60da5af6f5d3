/*
 * link_inner.h
 *		What the kinds of links share; private to link*.c.
 */
#ifndef PREPAYD_LINK_INNER_H
#define PREPAYD_LINK_INNER_H

#include "link.h"

#include <event2/bufferevent.h>
#include <modbus.h>
#include <openssl/ssl.h>

struct Link
{
	struct event_base *base;
	Names *names;
	LinkEnd end;
	char host[256];
	char port[16];
	LinkHooks hooks;
	bool opening;
	bool urgent;
	int fd; /* -1: closed, or the stream's own */
	NamesQuery *query;
	struct event *readable;
	struct event *writable;
	struct event *kick; /* ends the opening of a serial line from the loop */
	modbus_t *line;		/* serial: holds the device open */
	SSL_CTX *tls;
	struct bufferevent *stream; /* TLS */
	char reason[200];
};

/* Reads and writes fd by the link's hooks; the readable event is edge-triggered on sockets. */
void link_watch(Link *link);

/* Closes, and answers an opening with failed. */
void link_fail(Link *link, const char *reason);
void link_opened(Link *link);

bool link_serial_open(Link *link);

SSL_CTX *link_tls_context(const LinkTls *files, char *reason, size_t size);
bool link_tls_open(Link *link, const struct sockaddr *address, socklen_t len);

#endif
