/*
 * pay_front.c
 *		HTTP front of online payment: POST /pay/<channel> is handed to prepay.pay_notify().
 *
 * It understands nothing of what it passes on: the database verifies, and its answer is given as it
 * is. Whatever stands between, such as a database that is away, is answered 503, and the channel
 * comes again. It listens on loopback behind a proxy that does TLS.
 *
 * A message has a request until that is answered or its connection breaks, and a statement until
 *the database has answered; it ends with the later of the two.
 */
#include "pay_front.h"

#include "buf.h"
#include "db.h"
#include "log.h"
#include "metrics.h"
#include "names.h"

#include <ctype.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/http_struct.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A little more than the database looks at, so that it can log what is too large. */
#define MAX_BODY 131072
#define MAX_HEADERS 16384
#define READ_TIMEOUT_S 10
/* Channels wait 5 s and more for an answer. */
#define ANSWER_TIMEOUT_S 8
#define MAX_MESSAGES 64
#define HTTP_TOO_BUSY 503

typedef struct Message
{
	PayFront *front;
	struct evhttp_request *request; /* NULL: answered, or its connection is gone */
	struct event *timer;
	bool asking; /* the database has not answered */
	struct Message *next;
} Message;

struct PayFront
{
	Agent *agent;
	char *address; /* NULL: nowhere */
	struct evhttp *http;
	Db *db;
	Message *messages;
	int message_count;
};

/* ---- a message's end ---- */

static void
message_free(Message *message)
{
	Message **at = &message->front->messages;

	while (*at != message)
		at = &(*at)->next;
	*at = message->next;
	message->front->message_count--;
	event_free(message->timer);
	free(message);
}

static void
send_answer(struct evhttp_request *request, int status, const char *type, const char *body)
{
	struct evbuffer *out = evbuffer_new();

	evbuffer_add(out, body, strlen(body));
	if (*type)
		evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type", type);
	evhttp_send_reply(request, status, NULL, out);
	evbuffer_free(out);
}

static void
message_answer(Message *message, int status, const char *type, const char *body)
{
	struct evhttp_request *request = message->request;

	if (status >= 200 && status < 300)
		counters.pay_accepted++;
	else if (status < 500)
		counters.pay_refused++;
	else
		counters.pay_failed++;
	if (!request)
		return;
	message->request = NULL;
	evtimer_del(message->timer);
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), NULL, NULL);
	send_answer(request, status, type, body);
}

static void
on_closed(struct evhttp_connection *connection, void *arg)
{
	Message *message = arg;

	(void) connection;
	message->request = NULL;
	evtimer_del(message->timer);
	if (!message->asking)
		message_free(message);
}

static void
on_timeout(evutil_socket_t fd, short what, void *arg)
{
	(void) fd;
	(void) what;
	message_answer(arg, HTTP_TOO_BUSY, "", "");
}

static void
on_answered(void *arg, const DbAnswer *answer)
{
	Message *message = arg;
	int status = HTTP_TOO_BUSY;

	message->asking = false;
	if (!answer->ok && !answer->lost)
		db_log_failure("payment_failed", answer);
	if (answer->ok && PQntuples(answer->result) == 1)
		status = atoi(PQgetvalue(answer->result, 0, 0));
	if (status < 200 || status > 599 || !answer->ok)
		message_answer(message, HTTP_TOO_BUSY, "", "");
	else
		message_answer(message, status, PQgetvalue(answer->result, 0, 1),
					   PQgetvalue(answer->result, 0, 2));
	message_free(message);
}

/* ---- a message's begin ---- */

/* Names in lower case; a value that is no UTF-8 is left out. */
static char *
headers_text(struct evhttp_request *request)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(request);
	json_t *object = json_object();
	const struct evkeyval *header;
	char *text;

	for (header = headers->tqh_first; header; header = header->next.tqe_next)
	{
		char *name = mem_strdup(header->key);

		for (char *c = name; *c; c++)
			*c = (char) tolower((unsigned char) *c);
		json_object_set_new(object, name, json_string(header->value));
		free(name);
	}
	text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

/* A bytea as text. */
static void
body_text(struct evhttp_request *request, Buf *text)
{
	struct evbuffer *in = evhttp_request_get_input_buffer(request);
	size_t length = evbuffer_get_length(in);
	const unsigned char *bytes = evbuffer_pullup(in, -1);
	static const char hex[] = "0123456789abcdef";

	buf_add(text, "\\x");
	for (size_t i = 0; i < length; i++)
	{
		char two[2] = { hex[bytes[i] >> 4], hex[bytes[i] & 15] };

		buf_add_bytes(text, two, 2);
	}
}

static Message *
message_new(PayFront *front, struct evhttp_request *request)
{
	static const struct timeval limit = { ANSWER_TIMEOUT_S, 0 };
	Message *message = mem_alloc0(sizeof(*message));

	message->front = front;
	message->request = request;
	message->timer = evtimer_new(front->agent->base, on_timeout, message);
	message->next = front->messages;
	front->messages = message;
	front->message_count++;
	evtimer_add(message->timer, &limit);
	evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_closed, message);
	return message;
}

static void
serve(PayFront *front, const char *channel, struct evhttp_request *request)
{
	static const char sql[] = "SELECT status, content_type, body"
							  " FROM prepay.pay_notify($1, $2::jsonb, $3::bytea)";
	const char *values[3] = { channel, NULL, NULL };
	char *headers;
	Buf body;
	Message *message;

	if (front->message_count >= MAX_MESSAGES || !db_is_ready(front->db))
	{
		counters.pay_failed++;
		send_answer(request, HTTP_TOO_BUSY, "", "");
		return;
	}
	headers = headers_text(request);
	buf_init(&body);
	body_text(request, &body);
	values[1] = headers;
	values[2] = body.data;
	message = message_new(front, request);
	message->asking = true;
	db_query(front->db, sql, 3, values, on_answered, message);
	free(headers);
	buf_free(&body);
}

static void
serve_alipay(struct evhttp_request *request, void *arg)
{
	serve(arg, "alipay", request);
}

static void
serve_wechat(struct evhttp_request *request, void *arg)
{
	serve(arg, "wechat", request);
}

static void
serve_unionpay(struct evhttp_request *request, void *arg)
{
	serve(arg, "unionpay", request);
}

/* ---- life ---- */

static void
on_ready(void *arg)
{
	(void) arg;
}

static void
stop_listening(PayFront *front)
{
	if (front->http)
		evhttp_free(front->http);
	front->http = NULL;
	db_free(front->db);
	front->db = NULL;
	while (front->messages)
		message_free(front->messages);
	free(front->address);
	front->address = NULL;
}

static bool
bind_address(PayFront *front, const char *address)
{
	char host[256];
	char port[16];

	if (!names_split(address, host, sizeof(host), port, sizeof(port)))
		return false;
	front->http = evhttp_new(front->agent->base);
	evhttp_set_allowed_methods(front->http, EVHTTP_REQ_POST);
	evhttp_set_max_headers_size(front->http, MAX_HEADERS);
	evhttp_set_max_body_size(front->http, MAX_BODY);
	evhttp_set_timeout(front->http, READ_TIMEOUT_S);
	evhttp_set_cb(front->http, "/pay/alipay", serve_alipay, front);
	evhttp_set_cb(front->http, "/pay/wechat", serve_wechat, front);
	evhttp_set_cb(front->http, "/pay/unionpay", serve_unionpay, front);
	return evhttp_bind_socket(front->http, host, (uint16_t) atoi(port)) == 0;
}

void
pay_front_listen(PayFront *front, const char *address)
{
	DbHooks hooks = { on_ready, on_ready, NULL, front };
	char application[160];

	if (!front || (address && front->address ? strcmp(address, front->address) == 0
											 : address == front->address))
		return;
	stop_listening(front);
	if (!address)
		return;
	if (!bind_address(front, address))
	{
		log_event(LEVEL_ERROR, "payment_refused", "address=%s", log_value(address));
		stop_listening(front);
		return;
	}
	front->address = mem_strdup(address);
	snprintf(application, sizeof(application), "prepayd/%s payment", front->agent->config.name);
	front->db = db_new(front->agent->base, front->agent->names, "payment",
					   front->agent->config.conninfo, application, &hooks);
	log_event(LEVEL_INFO, "payment_listening", "address=%s", log_value(address));
}

PayFront *
pay_front_new(Agent *agent)
{
	PayFront *front = mem_alloc0(sizeof(*front));

	front->agent = agent;
	return front;
}

void
pay_front_free(PayFront *front)
{
	if (!front)
		return;
	stop_listening(front);
	free(front);
}
