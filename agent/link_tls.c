/*
 * link_tls.c
 *		Modbus/TCP Security: the same frames inside TLS 1.2 or later, both sides with certificates.
 */
#include "link_inner.h"

#include "agent.h"
#include "buf.h"

#include <arpa/inet.h>
#include <event2/bufferevent_ssl.h>
#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

static const char *
tls_error(void)
{
	unsigned long code = ERR_get_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;

	ERR_clear_error();
	return text ? text : "unknown error";
}

SSL_CTX *
link_tls_context(const LinkTls *files, char *reason, size_t size)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	const char *faulty = NULL;

	SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
	SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
	if (files->ca[0] ? !SSL_CTX_load_verify_locations(context, files->ca, NULL)
					 : !SSL_CTX_set_default_verify_paths(context))
		faulty = files->ca;
	else if (files->certificate[0] &&
			 SSL_CTX_use_certificate_chain_file(context, files->certificate) != 1)
		faulty = files->certificate;
	else if (files->key[0] &&
			 (SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1 ||
			  SSL_CTX_check_private_key(context) != 1))
		faulty = files->key;
	if (!faulty)
		return context;
	snprintf(reason, size, "%s cannot be used: %s", faulty, tls_error());
	SSL_CTX_free(context);
	return NULL;
}

static void
on_read(struct bufferevent *stream, void *arg)
{
	Link *link = arg;

	(void) stream;
	link->hooks.readable(link->hooks.arg);
}

static void
describe(Link *link, short what)
{
	unsigned long code = bufferevent_get_openssl_error(link->stream);
	SSL *ssl = bufferevent_openssl_get_ssl(link->stream);
	long verified = SSL_get_verify_result(ssl);

	if (verified != X509_V_OK)
		snprintf(link->reason, sizeof(link->reason), "the gateway's certificate: %s",
				 X509_verify_cert_error_string(verified));
	else if (code)
		snprintf(link->reason, sizeof(link->reason), "TLS: %s", ERR_reason_error_string(code));
	else if (what & BEV_EVENT_EOF)
		snprintf(link->reason, sizeof(link->reason), "closed by the gateway");
	else
		snprintf(link->reason, sizeof(link->reason), "%s",
				 evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

static void
on_event(struct bufferevent *stream, short what, void *arg)
{
	Link *link = arg;
	char reason[sizeof(link->reason)];

	(void) stream;
	if (what & BEV_EVENT_CONNECTED)
	{
		link_opened(link);
		return;
	}
	describe(link, what);
	if (!link->opening)
	{
		link->hooks.readable(link->hooks.arg); /* which finds the end behind the last bytes */
		return;
	}
	text_copy(reason, sizeof(reason), link->reason);
	link_fail(link, reason);
}

bool
link_tls_open(Link *link, const struct sockaddr *address, socklen_t len)
{
	SSL *ssl = SSL_new(link->tls);
	unsigned char binary[16];
	bool literal = inet_pton(AF_INET, link->end.tls.name, binary) == 1 ||
				   inet_pton(AF_INET6, link->end.tls.name, binary) == 1;

	link->reason[0] = '\0';
	if (!ssl)
		return false;
	if (literal)
		X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), link->end.tls.name);
	else
	{
		SSL_set1_host(ssl, link->end.tls.name);
		SSL_set_tlsext_host_name(ssl, link->end.tls.name);
	}
	link->stream = bufferevent_openssl_socket_new(
		link->base, link->fd, ssl, BUFFEREVENT_SSL_CONNECTING, BEV_OPT_CLOSE_ON_FREE);
	if (!link->stream)
	{
		SSL_free(ssl);
		return false;
	}
	link->fd = -1;
	bufferevent_priority_set(link->stream, link->urgent ? PRIORITY_URGENT : PRIORITY_NORMAL);
	bufferevent_setcb(link->stream, on_read, NULL, on_event, link);
	bufferevent_enable(link->stream, EV_READ | EV_WRITE);
	return bufferevent_socket_connect(link->stream, address, (int) len) == 0;
}
