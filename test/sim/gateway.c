/*
 * gateway.c: Modbus TCP framing over thousands of connections.
 *
 * One event per connection, one receive buffer for the process: a readable connection is drained
 * into it, every whole request is answered into one send buffer, and a single send carries the
 * answers. A connection of its own keeps only the head of a split request (less than one frame)
 * and, rarely, answers the peer was too slow to take; while it has such a backlog it is not read.
 *
 * Faults act around the meter: before it for a request that never arrived, after it for an answer
 * that is lost, late or mangled. Delayed bytes are a timer each, owned by their connection, so that
 * closing it forgets them.
 */
#include "gateway.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/buffer.h>

#include "log.h"
#include "pdu.h"
#include "rtu.h"

#define MBAP_SIZE 7
#define FRAME_MAX (MBAP_SIZE + PDU_MAX)
#define MBAP_LENGTH_MAX (1 + PDU_MAX) /* unit and PDU */
#define MBAP_LENGTH_MIN 2			  /* unit and function */
#define RECEIVE_SIZE 16384
#define SEND_SIZE 65536
#define NOISE_MIN 4
#define NOISE_MAX 19
#define ANSWER_MAX (2 * FRAME_MAX + NOISE_MAX) /* glued or noisy */
#define BACKLOG_MAX (1024 * 1024)			   /* a peer that sends but never reads */
#define LISTEN_BACKLOG 511
#define ACCEPT_RETRY_MS 200 /* when descriptors have run out */

/* Bytes to send later. */
typedef struct Delayed
{
	struct Delayed *next;
	struct Connection *connection;
	struct event *timer;
	int length;
	uint8_t bytes[FRAME_MAX];
} Delayed;

typedef struct Connection
{
	struct Connection *next;
	struct Connection *previous;
	Gateway *gateway;
	int fd;
	bool doomed; /* to be closed once its buffers are done with */
	struct event *readable;
	struct event *writable; /* exists with backlog only */
	struct evbuffer *backlog;
	Delayed *delayed;
	int head_length;
	uint8_t head[FRAME_MAX];
} Connection;

GatewayStats gateway_stats;

static struct event_base *event_loop;
static const BusinessClock *business_clock;
static uint8_t receive_buffer[FRAME_MAX + RECEIVE_SIZE];
static uint8_t send_buffer[SEND_SIZE];
static int send_length;

void
gateway_init(struct event_base *base, const BusinessClock *clock)
{
	event_loop = base;
	business_clock = clock;
}

static void
delayed_free(Delayed *delayed)
{
	event_free(delayed->timer);
	free(delayed);
}

static void
connection_close(Connection *connection)
{
	while (connection->delayed != NULL)
	{
		Delayed *delayed = connection->delayed;

		connection->delayed = delayed->next;
		delayed_free(delayed);
	}
	if (connection->previous != NULL)
		connection->previous->next = connection->next;
	else
		connection->gateway->connections = connection->next;
	if (connection->next != NULL)
		connection->next->previous = connection->previous;
	event_free(connection->readable);
	if (connection->writable != NULL)
		event_free(connection->writable);
	if (connection->backlog != NULL)
		evbuffer_free(connection->backlog);
	close(connection->fd);
	free(connection);
	gateway_stats.connections--;
}

/* The peer reads again: send the backlog, then listen to it again. */
static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	Connection *connection = arg;

	(void) what;
	if (evbuffer_write(connection->backlog, fd) < 0 && errno != EAGAIN && errno != EINTR)
		connection_close(connection);
	else if (evbuffer_get_length(connection->backlog) == 0)
	{
		event_del(connection->writable);
		event_add(connection->readable, NULL);
	}
}

static bool
backlog_append(Connection *connection, const uint8_t *bytes, size_t length)
{
	if (connection->backlog == NULL)
	{
		connection->backlog = evbuffer_new();
		connection->writable =
			event_new(event_loop, connection->fd, EV_WRITE | EV_PERSIST, on_writable, connection);
		if (connection->backlog == NULL || connection->writable == NULL)
			return false;
	}
	if (evbuffer_get_length(connection->backlog) + length > BACKLOG_MAX ||
		evbuffer_add(connection->backlog, bytes, length) != 0)
		return false;
	event_del(connection->readable);
	event_add(connection->writable, NULL);
	return true;
}

/* Send now what the socket takes and keep the rest; dooms a connection that is gone. */
static void
connection_send(Connection *connection, const uint8_t *bytes, int length)
{
	ssize_t sent = 0;

	if (connection->doomed || length == 0)
		return;
	if (connection->backlog == NULL || evbuffer_get_length(connection->backlog) == 0)
	{
		sent = send(connection->fd, bytes, (size_t) length, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent < 0 && errno != EAGAIN && errno != EINTR)
		{
			connection->doomed = true;
			return;
		}
		sent = sent < 0 ? 0 : sent;
	}
	if (sent < length && !backlog_append(connection, bytes + sent, (size_t) (length - sent)))
		connection->doomed = true;
}

static void
flush_answers(Connection *connection)
{
	connection_send(connection, send_buffer, send_length);
	send_length = 0;
}

static void
put_answer(Connection *connection, const uint8_t *bytes, int length)
{
	if (send_length + length > SEND_SIZE)
		flush_answers(connection);
	memcpy(send_buffer + send_length, bytes, (size_t) length);
	send_length += length;
}

static void
on_delay_over(evutil_socket_t fd, short what, void *arg)
{
	Delayed *delayed = arg;
	Connection *connection = delayed->connection;
	Delayed **link = &connection->delayed;

	(void) fd;
	(void) what;
	while (*link != delayed)
		link = &(*link)->next;
	*link = delayed->next;
	connection_send(connection, delayed->bytes, delayed->length);
	delayed_free(delayed);
	if (connection->doomed)
		connection_close(connection);
}

static void
send_later(Connection *connection, const uint8_t *bytes, int length, int64_t delay_ms)
{
	struct timeval delay = { .tv_sec = delay_ms / 1000, .tv_usec = delay_ms % 1000 * 1000 };
	Delayed *delayed = malloc(sizeof(*delayed));

	if (delayed == NULL)
		return;
	delayed->timer = evtimer_new(event_loop, on_delay_over, delayed);
	if (delayed->timer == NULL)
	{
		free(delayed);
		return;
	}
	delayed->connection = connection;
	delayed->length = length;
	memcpy(delayed->bytes, bytes, (size_t) length);
	delayed->next = connection->delayed;
	connection->delayed = delayed;
	evtimer_add(delayed->timer, &delay);
}

/* No byte is 0, so a reader finds the protocol id wrong and cannot take noise for a header. */
static int
put_noise(uint8_t *bytes)
{
	int length = NOISE_MIN + (int) (fault_random() % (NOISE_MAX - NOISE_MIN + 1));

	for (int i = 0; i < length; i++)
		bytes[i] = (uint8_t) (1 + fault_random() % 255);
	return length;
}

static void
add_to_tid(uint8_t *frame, int step)
{
	uint16_t tid = (uint16_t) ((frame[0] << 8 | frame[1]) + step);

	frame[0] = (uint8_t) (tid >> 8);
	frame[1] = (uint8_t) tid;
}

/* The same answer as on a line: unit, PDU, checksum; late by the time all of it takes there. */
static void
put_line_answer(Connection *connection, const Fault *fault, FaultKind kind, uint8_t *frame,
				int length, int request_length)
{
	uint8_t answer[FRAME_MAX + NOISE_MAX];
	int offset = kind == FAULT_NOISE ? put_noise(answer) : 0;
	int line_length = length - MBAP_SIZE + 1;
	int64_t delay_ms = kind == FAULT_LATE ? fault->delay_ms : 0;
	int baud = connection->gateway->baud;

	memcpy(answer + offset, frame + MBAP_SIZE - 1, (size_t) line_length);
	if (kind == FAULT_WRONG_UNIT)
		answer[offset] ^= 1;
	line_length = offset + rtu_seal(answer + offset, line_length);
	if (kind == FAULT_PARTIAL)
		line_length /= 2;
	if (baud > 0)
		delay_ms += rtu_line_ms(baud, request_length + line_length);
	if (delay_ms > 0)
		send_later(connection, answer, line_length, delay_ms);
	else
		put_answer(connection, answer, line_length);
}

/* Deliver an answer as the fault mangles it. */
static void
put_faulty_answer(Connection *connection, const Fault *fault, FaultKind kind, uint8_t *frame,
				  int length)
{
	uint8_t answer[ANSWER_MAX];
	int offset;

	switch (kind)
	{
		case FAULT_LATE:
			send_later(connection, frame, length, fault->delay_ms);
			return;
		case FAULT_PARTIAL:
			put_answer(connection, frame, length / 2);
			if (fault->delay_ms > 0)
				send_later(connection, frame + length / 2, length - length / 2, fault->delay_ms);
			return;
		case FAULT_GLUE:
			memcpy(answer, frame, (size_t) length);
			add_to_tid(answer, -1);
			memcpy(answer + length, frame, (size_t) length);
			put_answer(connection, answer, 2 * length);
			return;
		case FAULT_NOISE:
			offset = put_noise(answer);
			memcpy(answer + offset, frame, (size_t) length);
			put_answer(connection, answer, offset + length);
			return;
		case FAULT_WRONG_TID:
			add_to_tid(frame, 1);
			break;
		case FAULT_WRONG_UNIT:
			frame[6] ^= 1;
			break;
		default:
			break;
	}
	put_answer(connection, frame, length);
}

/* Complete the header of an answer whose PDU is in place; gives the frame's length. */
static int
frame_answer(const uint8_t *request, int pdu_length, uint8_t *frame)
{
	memcpy(frame, request, 4);
	frame[4] = (uint8_t) ((pdu_length + 1) >> 8);
	frame[5] = (uint8_t) (pdu_length + 1);
	frame[6] = request[6];
	return MBAP_SIZE + pdu_length;
}

static int
serve_meter(Meter *meter, const uint8_t *request, int pdu_length, uint8_t *response)
{
	meter_advance(meter, bclock_now(business_clock));
	return pdu_serve(meter, request + MBAP_SIZE, pdu_length, response);
}

/* Whose fault hits this request, the meter's before its gateway's. */
static const Fault *
draw_fault(Gateway *gateway, Meter *meter, bool is_write, FaultKind *kind)
{
	*kind = meter == NULL ? FAULT_OFF : fault_draw(&meter->fault, is_write);
	if (*kind != FAULT_OFF)
		return &meter->fault;
	*kind = fault_draw(&gateway->fault, is_write);
	return &gateway->fault;
}

static void
handle_request(Connection *connection, const uint8_t *request, int length)
{
	Gateway *gateway = connection->gateway;
	Meter *meter = gateway->meter[request[6]];
	uint8_t function = request[MBAP_SIZE];
	bool is_write = pdu_is_write(function);
	uint8_t frame[FRAME_MAX];
	uint8_t *response = frame + MBAP_SIZE;
	FaultKind kind;
	const Fault *fault = draw_fault(gateway, meter, is_write, &kind);
	bool loses = kind == FAULT_SILENCE || kind == FAULT_DISCONNECT;
	int pdu_length = 0;

	gateway_stats.requests++;
	gateway_stats.writes += is_write;
	gateway_stats.faults += kind != FAULT_OFF;
	if (kind == FAULT_EXCEPTION)
		pdu_length = pdu_exception(function, fault->exception_code, response);
	else if (loses && !fault->lose_answer)
		pdu_length = 0;
	else if (meter != NULL)
		pdu_length = serve_meter(meter, request, length - MBAP_SIZE, response);
	else if (!gateway->unknown_silent)
		pdu_length = pdu_exception(function, PDU_TARGET_SILENT, response);
	if (kind == FAULT_DISCONNECT)
	{
		flush_answers(connection);
		connection->doomed = true;
	}
	if (pdu_length > 0 && !loses && gateway->rtu)
		put_line_answer(connection, fault, kind, frame, frame_answer(request, pdu_length, frame),
						length);
	else if (pdu_length > 0 && !loses)
		put_faulty_answer(connection, fault, kind, frame, frame_answer(request, pdu_length, frame));
}

/* Answer every whole request; gives the bytes consumed, or -1 when it is no Modbus TCP. */
static int
handle_stream(Connection *connection, const uint8_t *bytes, int length)
{
	int used = 0;

	while (length - used >= MBAP_SIZE && !connection->doomed)
	{
		const uint8_t *frame = bytes + used;
		int protocol = frame[2] << 8 | frame[3];
		int counted = frame[4] << 8 | frame[5];

		if (protocol != 0 || counted < MBAP_LENGTH_MIN || counted > MBAP_LENGTH_MAX)
			return -1;
		if (length - used < MBAP_SIZE - 1 + counted)
			break;
		handle_request(connection, frame, MBAP_SIZE - 1 + counted);
		used += MBAP_SIZE - 1 + counted;
	}
	return used;
}

/* The same for serial frames; what is no request is passed over byte by byte. */
static int
handle_line(Connection *connection, const uint8_t *bytes, int length)
{
	uint8_t request[FRAME_MAX] = { 0 };
	int used = 0;

	while (used < length && !connection->doomed)
	{
		int whole = rtu_request_length(bytes + used, length - used);

		if (whole == 0)
			break;
		if (whole > 0)
		{
			memcpy(request + MBAP_SIZE - 1, bytes + used, (size_t) whole - 2);
			handle_request(connection, request, MBAP_SIZE - 1 + whole - 2);
		}
		used += whole > 0 ? whole : 1;
	}
	return used;
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	Connection *connection = arg;
	int length = connection->head_length;
	int used;
	ssize_t received;

	(void) what;
	received = recv(fd, receive_buffer + length, RECEIVE_SIZE, MSG_DONTWAIT);
	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (received <= 0)
	{
		connection_close(connection);
		return;
	}
	memcpy(receive_buffer, connection->head, (size_t) length);
	length += (int) received;
	used = connection->gateway->rtu ? handle_line(connection, receive_buffer, length)
									: handle_stream(connection, receive_buffer, length);
	flush_answers(connection);
	if (used < 0)
		gateway_stats.bad_frames++;
	if (used < 0 || connection->doomed)
	{
		connection_close(connection);
		return;
	}
	connection->head_length = length - used;
	memcpy(connection->head, receive_buffer + used, (size_t) connection->head_length);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
		  int peer_length, void *arg)
{
	Gateway *gateway = arg;
	Connection *connection = calloc(1, sizeof(*connection));
	int yes = 1;

	(void) listener;
	(void) peer;
	(void) peer_length;
	if (connection == NULL)
	{
		close(fd);
		return;
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	connection->readable = event_new(event_loop, fd, EV_READ | EV_PERSIST, on_readable, connection);
	if (connection->readable == NULL)
	{
		free(connection);
		close(fd);
		return;
	}
	connection->gateway = gateway;
	connection->fd = fd;
	connection->next = gateway->connections;
	if (connection->next != NULL)
		connection->next->previous = connection;
	gateway->connections = connection;
	gateway_stats.connections++;
	event_add(connection->readable, NULL);
}

static void
on_accept_retry(evutil_socket_t fd, short what, void *arg)
{
	Gateway *gateway = arg;

	(void) fd;
	(void) what;
	if (gateway->listener != NULL)
		evconnlistener_enable(gateway->listener);
}

/* Without a pause the loop would spin on the connection that cannot be accepted. */
static void
on_accept_error(struct evconnlistener *listener, void *arg)
{
	Gateway *gateway = arg;
	struct timeval pause = { 0, ACCEPT_RETRY_MS * 1000 };

	log_line("event=accept_failed gateway=%s error=\"%s\"", gateway->code, strerror(errno));
	evconnlistener_disable(listener);
	evtimer_add(gateway->accept_retry, &pause);
}

bool
gateway_start(Gateway *gateway)
{
	if (gateway->listener != NULL)
		return true;
	if (gateway->accept_retry == NULL)
		gateway->accept_retry = evtimer_new(event_loop, on_accept_retry, gateway);
	gateway->listener = evconnlistener_new_bind(
		event_loop, on_accept, gateway,
		LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE, LISTEN_BACKLOG,
		(struct sockaddr *) &gateway->address, gateway->address_length);
	if (gateway->listener == NULL || gateway->accept_retry == NULL)
		return false;
	evconnlistener_set_error_cb(gateway->listener, on_accept_error);
	return true;
}

void
gateway_stop(Gateway *gateway)
{
	if (gateway->listener != NULL)
		evconnlistener_free(gateway->listener);
	gateway->listener = NULL;
	while (gateway->connections != NULL)
		connection_close(gateway->connections);
}
