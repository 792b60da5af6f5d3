/*
 * link.c
 *		Bytes to and from one gateway: TCP here, the other kinds in files of their own.
 *
 * Sockets are watched edge-triggered. At a grid point thousands are ready at once, and the loop
 * asks the kernel again every few milliseconds for what is urgent: level-triggered, each question
 * would be answered with all that are still waiting.
 */
#include "link_inner.h"

#include "agent.h"
#include "buf.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void
free_event(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

void
link_close(Link *link)
{
	names_cancel(link->query);
	link->query = NULL;
	link->opening = false;
	free_event(&link->readable);
	free_event(&link->writable);
	evtimer_del(link->kick);
	if (link->stream)
		bufferevent_free(link->stream);
	link->stream = NULL;
	if (link->line)
	{
		modbus_close(link->line);
		modbus_free(link->line);
	}
	else if (link->fd >= 0)
		close(link->fd);
	link->line = NULL;
	link->fd = -1;
}

void
link_fail(Link *link, const char *reason)
{
	bool opening = link->opening;

	if (reason != link->reason)
		text_copy(link->reason, sizeof(link->reason), reason);
	link_close(link);
	if (opening)
		link->hooks.failed(link->hooks.arg, link->reason);
}

void
link_opened(Link *link)
{
	link->opening = false;
	link->hooks.opened(link->hooks.arg);
}

/* ---- sockets ---- */

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	Link *link = arg;

	(void) fd;
	(void) what;
	link->hooks.readable(link->hooks.arg);
}

static void
on_connected(Link *link)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error)
		link_fail(link, strerror(error));
	else
	{
		event_add(link->readable, NULL);
		link_opened(link);
	}
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	Link *link = arg;

	(void) fd;
	(void) what;
	if (link->opening)
		on_connected(link);
	else
		link->hooks.writable(link->hooks.arg);
}

void
link_watch(Link *link)
{
	short edge = link->end.kind == LINK_SERIAL ? 0 : EV_ET;

	link->readable =
		event_new(link->base, link->fd, EV_READ | EV_PERSIST | edge, on_readable, link);
	link->writable = event_new(link->base, link->fd, EV_WRITE | edge, on_writable, link);
	event_priority_set(link->readable, link->urgent ? PRIORITY_URGENT : PRIORITY_NORMAL);
}

static int
make_socket(const struct sockaddr *address)
{
	int on = 1;
	int idle = 30;
	int interval = 10;
	int probes = 3;
	unsigned user_timeout_ms = 20000;
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms, sizeof(user_timeout_ms));
	return fd;
}

static void
on_resolved(void *arg, const struct sockaddr *address, socklen_t len, const char *reason)
{
	Link *link = arg;

	link->query = NULL;
	if (!address)
	{
		link_fail(link, reason);
		return;
	}
	link->fd = make_socket(address);
	if (link->fd < 0)
		link_fail(link, strerror(errno));
	else if (link->end.kind == LINK_TLS)
	{
		if (!link_tls_open(link, address, len))
			link_fail(link, "TLS cannot be started");
	}
	else if (connect(link->fd, address, len) < 0 && errno != EINPROGRESS)
		link_fail(link, strerror(errno));
	else
	{
		link_watch(link);
		event_add(link->writable, NULL);
	}
}

static void
on_kick(evutil_socket_t fd, short what, void *arg)
{
	Link *link = arg;

	(void) fd;
	(void) what;
	if (link->fd < 0)
		link_fail(link, link->reason);
	else
	{
		event_add(link->readable, NULL);
		link_opened(link);
	}
}

void
link_open(Link *link)
{
	link_close(link);
	link->opening = true;
	if (link->end.kind != LINK_SERIAL)
	{
		link->query = names_resolve(link->names, link->host, link->port, on_resolved, link);
		return;
	}
	link_serial_open(link);
	event_active(link->kick, EV_TIMEOUT, 1);
}

/* ---- bytes ---- */

static ssize_t
broken(Link *link, const char *reason)
{
	text_copy(link->reason, sizeof(link->reason), reason);
	return -1;
}

ssize_t
link_send(Link *link, const uint8_t *bytes, size_t len)
{
	ssize_t n;

	if (link->stream)
		return bufferevent_write(link->stream, bytes, len) == 0 ? (ssize_t) len
																: broken(link, "out of memory");
	do
		n = link->line ? write(link->fd, bytes, len) : send(link->fd, bytes, len, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
		return broken(link, strerror(errno));
	if (n < 0)
		n = 0;
	if ((size_t) n < len)
		event_add(link->writable, NULL);
	return n;
}

ssize_t
link_receive(Link *link, uint8_t *out, size_t size)
{
	ssize_t n;

	if (link->stream)
	{
		n = (ssize_t) bufferevent_read(link->stream, out, size);
		return n == 0 && link->reason[0] ? -1 : n;
	}
	do
		n = link->line ? read(link->fd, out, size) : recv(link->fd, out, size, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return 0;
	if (n == 0)
		return broken(link, link->line ? "the device is gone" : "closed by the gateway");
	return n < 0 ? broken(link, strerror(errno)) : n;
}

const char *
link_reason(const Link *link)
{
	return link->reason;
}

void
link_set_urgent(Link *link, bool urgent)
{
	int priority = urgent ? PRIORITY_URGENT : PRIORITY_NORMAL;

	if (link->urgent == urgent)
		return;
	link->urgent = urgent;
	if (link->stream)
		bufferevent_priority_set(link->stream, priority);
	else if (link->readable)
	{
		event_del(link->readable);
		event_priority_set(link->readable, priority);
		event_add(link->readable, NULL);
	}
}

/* ---- life ---- */

Link *
link_new(struct event_base *base, Names *names, const LinkEnd *end, const LinkHooks *hooks,
		 char *reason, size_t size)
{
	Link *link = mem_alloc0(sizeof(*link));

	link->base = base;
	link->names = names;
	link->end = *end;
	link->hooks = *hooks;
	link->fd = -1;
	if (end->kind == LINK_SERIAL)
	{
		if (end->address[0] != '/')
			snprintf(reason, size, "address must be the path of a device, /dev/...");
	}
	else if (!names_split(end->address, link->host, sizeof(link->host), link->port,
						  sizeof(link->port)))
		snprintf(reason, size, "address must be host:port");
	else if (end->kind == LINK_TLS)
	{
		if (!link->end.tls.name[0])
			text_copy(link->end.tls.name, sizeof(link->end.tls.name), link->host);
		link->tls = link_tls_context(&end->tls, reason, size);
	}
	if ((end->kind == LINK_SERIAL && end->address[0] != '/') ||
		(end->kind != LINK_SERIAL && !link->host[0]) || (end->kind == LINK_TLS && !link->tls))
	{
		free(link);
		return NULL;
	}
	link->kick = evtimer_new(base, on_kick, link);
	return link;
}

void
link_free(Link *link)
{
	link_close(link);
	event_free(link->kick);
	SSL_CTX_free(link->tls);
	free(link);
}

const char *
link_address(const Link *link)
{
	return link->end.address;
}
