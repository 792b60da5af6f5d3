/*
 * link.h
 *		Bytes to and from one gateway: a TCP connection, TLS over it, or a serial line.
 */
#ifndef PREPAYD_LINK_H
#define PREPAYD_LINK_H

#include "names.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum LinkKind
{
	LINK_TCP,
	LINK_TLS,
	LINK_SERIAL
} LinkKind;

/* Files of this host; the certificate is ours, shown to gateways that ask for one. */
typedef struct LinkTls
{
	char ca[256];
	char certificate[256];
	char key[256];
	char name[256]; /* the name or address the gateway's certificate must carry */
} LinkTls;

typedef struct LinkLine
{
	int baud;
	char parity; /* N, E, O */
	int stop;
	bool rs485; /* the driver switches the transmitter */
} LinkLine;

typedef struct LinkEnd
{
	LinkKind kind;
	char address[288]; /* host:port, or the path of a device */
	LinkLine line;
	LinkTls tls;
} LinkEnd;

typedef struct LinkHooks
{
	void (*opened)(void *arg);
	void (*failed)(void *arg, const char *reason); /* could not be opened; it is closed */
	void (*readable)(void *arg);
	void (*writable)(void *arg); /* after link_send took less than all */
	void *arg;
} LinkHooks;

typedef struct Link Link;

/* NULL with a reason when the address or a file cannot be right. */
Link *link_new(struct event_base *base, Names *names, const LinkEnd *end, const LinkHooks *hooks,
			   char *reason, size_t size);
void link_free(Link *link);
const char *link_address(const Link *link);

/* Answers by opened or failed, never from within this call. */
void link_open(Link *link);
void link_close(Link *link);

/* Bytes taken, at most len; -1 when the link is broken: link_reason says why. */
ssize_t link_send(Link *link, const uint8_t *bytes, size_t len);

/*
 * Bytes read, 0 when there are none now, -1 when the link is broken. The hook comes once for what
 * has arrived: read until less than `size` comes.
 */
ssize_t link_receive(Link *link, uint8_t *out, size_t size);
const char *link_reason(const Link *link);

/* Whether its events go before those of other links. */
void link_set_urgent(Link *link, bool urgent);

#endif
