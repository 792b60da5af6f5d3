/*
 * names.c
 *		Host names to addresses without blocking the loop (evdns, /etc/hosts, literals).
 */
#include "names.h"

#include "buf.h"

#include <event2/dns.h>
#include <event2/util.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

struct Names
{
	struct event_base *base;
	struct evdns_base *dns; /* made at the first real name: literals need no resolver */
};

struct NamesQuery
{
	Names *names;
	struct event *start; /* defers the look-up to the loop */
	struct evdns_getaddrinfo_request *request;
	bool cancelled;
	bool asking; /* evdns may answer from within the call that asks */
	bool answered;
	char host[256];
	char port[16];
	NamesDone done;
	void *arg;
};

Names *
names_new(struct event_base *base)
{
	Names *names = mem_alloc0(sizeof(*names));

	names->base = base;
	return names;
}

void
names_free(Names *names)
{
	if (!names)
		return;
	if (names->dns)
		evdns_base_free(names->dns, 0);
	free(names);
}

static struct evdns_base *
names_dns(Names *names)
{
	if (!names->dns)
	{
		names->dns = evdns_base_new(names->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
		/* A host without name servers still has /etc/hosts, so a failure here is no error. */
		if (names->dns)
			evdns_base_resolv_conf_parse(names->dns, DNS_OPTIONS_ALL, "/etc/resolv.conf");
	}
	return names->dns;
}

static void
query_free(NamesQuery *query)
{
	event_free(query->start);
	free(query);
}

static void
query_answer(int error, struct evutil_addrinfo *list, void *arg)
{
	NamesQuery *query = arg;

	query->request = NULL;
	if (!query->cancelled && error == 0 && list)
		query->done(query->arg, list->ai_addr, (socklen_t) list->ai_addrlen, NULL);
	else if (!query->cancelled)
		query->done(query->arg, NULL, 0, error ? evutil_gai_strerror(error) : "no address");
	if (list)
		evutil_freeaddrinfo(list);
	query->answered = true;
	if (!query->asking)
		query_free(query);
}

static void
query_start(evutil_socket_t fd, short what, void *arg)
{
	NamesQuery *query = arg;
	struct evutil_addrinfo hints;
	struct evutil_addrinfo *list = NULL;

	(void) fd;
	(void) what;
	memset(&hints, 0, sizeof(hints));
	hints.ai_socktype = SOCK_STREAM;
	hints.ai_protocol = IPPROTO_TCP;
	hints.ai_flags = EVUTIL_AI_NUMERICHOST | EVUTIL_AI_NUMERICSERV;
	if (evutil_getaddrinfo(query->host, query->port, &hints, &list) == 0)
	{
		query_answer(0, list, query);
		return;
	}
	hints.ai_flags = EVUTIL_AI_NUMERICSERV;
	if (!names_dns(query->names))
	{
		query_answer(EVUTIL_EAI_FAIL, NULL, query);
		return;
	}
	query->asking = true;
	query->request =
		evdns_getaddrinfo(query->names->dns, query->host, query->port, &hints, query_answer, query);
	query->asking = false;
	if (query->answered)
		query_free(query);
}

NamesQuery *
names_resolve(Names *names, const char *host, const char *port, NamesDone done, void *arg)
{
	NamesQuery *query = mem_alloc0(sizeof(*query));

	query->names = names;
	query->done = done;
	query->arg = arg;
	text_copy(query->host, sizeof(query->host), host);
	text_copy(query->port, sizeof(query->port), port);
	query->start = evtimer_new(names->base, query_start, query);
	event_active(query->start, EV_TIMEOUT, 1);
	return query;
}

void
names_cancel(NamesQuery *query)
{
	if (!query)
		return;
	query->cancelled = true;
	if (query->request)
		evdns_getaddrinfo_cancel(query->request);
	else
		query_free(query);
}

bool
names_split(const char *address, char *host, size_t host_size, char *port, size_t port_size)
{
	const char *colon = strrchr(address, ':');
	const char *end = colon;
	size_t len;

	if (!colon || colon == address || !colon[1] ||
		strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return false;
	if (address[0] == '[' && colon[-1] == ']')
	{
		address++;
		end--;
	}
	len = (size_t) (end - address);
	if (len == 0 || len >= host_size || !text_copy(port, port_size, colon + 1))
		return false;
	memcpy(host, address, len);
	host[len] = '\0';
	return true;
}
