/*
 * test_bus.c
 *		The bus against a scripted server in the same loop: what a gateway may do to us.
 */
#include "bus.h"
#include "clock.h"
#include "log.h"
#include "metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>

typedef enum Behaviour
{
	ANSWERS,
	SPLITS,			  /* the answer byte by byte, over several loop turns */
	SAYS_STALE_FIRST, /* an answer to an earlier transaction glued before ours */
	SAYS_WRONG_UNIT_FIRST,
	SAYS_SHORT_FIRST, /* our transaction, too few registers */
	SAYS_OTHER_FUNCTION_FIRST,
	EXCEPTS,
	KEEPS_SILENT,
	ANSWERS_LATE, /* after the request timed out: glued before the next answer */
	TEARS,		  /* half a frame, then nothing */
	MAKES_NOISE,  /* bytes that are no Modbus */
	CLOSES
} Behaviour;

typedef struct Server
{
	struct event_base *base;
	struct evconnlistener *listener;
	struct bufferevent *peer;
	char address[32];
	const Behaviour *script;
	int scripted;
	int requests;
	int connections;
	uint8_t late[FRAME_ADU_MAX];
	size_t late_len;
	uint8_t drip[FRAME_ADU_MAX];
	size_t drip_len;
	size_t drip_sent;
	struct event *drip_timer;
} Server;

typedef struct Fixture
{
	struct event_base *base;
	Names *names;
	Server server;
	Bus *bus;
	int failed;
	int restored;
	int heard;
	int done;
	int expected;
	char order[64];
} Fixture;

typedef struct TestJob
{
	Job job;
	Fixture *fixture;
	char name;
	JobResult result;
	int exception;
	uint16_t value;
} TestJob;

/* ---- server ---- */

static void
drip(evutil_socket_t fd, short what, void *arg)
{
	Server *server = arg;
	struct timeval pause = { 0, 2000 };

	(void) fd;
	(void) what;
	bufferevent_write(server->peer, server->drip + server->drip_sent++, 1);
	if (server->drip_sent < server->drip_len)
		evtimer_add(server->drip_timer, &pause);
}

/* Every register of the answer holds its own address. */
static size_t
good_answer(const uint8_t *request, uint8_t *adu)
{
	uint8_t pdu[FRAME_PDU_MAX];
	uint16_t address = frame_get16(request + 8);
	uint16_t count = frame_get16(request + 10);

	pdu[0] = request[7];
	pdu[1] = (uint8_t) (2 * count);
	for (uint16_t i = 0; i < count; i++)
		frame_put16(pdu + 2 + 2 * i, (uint16_t) (address + i));
	return frame_mbap_encode(adu, frame_get16(request), request[6], pdu, 2U + 2U * count);
}

static void
answer(Server *server, const uint8_t *request)
{
	static const uint8_t short_answer[] = { 3, 2, 0xde, 0xad };
	static const uint8_t other_function[] = { 4, 4, 0xde, 0xad, 0xde, 0xad };
	static const uint8_t exception[] = { 0x83, 6 };
	Behaviour behaviour =
		server->requests < server->scripted ? server->script[server->requests] : ANSWERS;
	uint16_t transaction = frame_get16(request);
	uint8_t good[FRAME_ADU_MAX];
	uint8_t other[FRAME_ADU_MAX];
	size_t len = good_answer(request, good);
	size_t other_len = 0;

	server->requests++;
	if (server->late_len)
		bufferevent_write(server->peer, server->late, server->late_len);
	server->late_len = 0;
	switch (behaviour)
	{
		case SAYS_STALE_FIRST:
			memcpy(other, good, len);
			frame_put16(other, (uint16_t) (transaction - 1));
			other[9] = 0xde;
			other_len = len;
			break;
		case SAYS_WRONG_UNIT_FIRST:
			memcpy(other, good, len);
			other[6] ^= 1;
			other[9] = 0xde;
			other_len = len;
			break;
		case SAYS_SHORT_FIRST:
			other_len = frame_mbap_encode(other, transaction, request[6], short_answer,
										  sizeof(short_answer));
			break;
		case SAYS_OTHER_FUNCTION_FIRST:
			other_len = frame_mbap_encode(other, transaction, request[6], other_function,
										  sizeof(other_function));
			break;
		case EXCEPTS:
			len = frame_mbap_encode(good, transaction, request[6], exception, sizeof(exception));
			break;
		case KEEPS_SILENT:
			return;
		case ANSWERS_LATE:
			memcpy(server->late, good, len);
			server->late_len = len;
			return;
		case TEARS:
			len /= 2;
			break;
		case MAKES_NOISE:
			memset(good, 0x55, len);
			break;
		case CLOSES:
			bufferevent_free(server->peer);
			server->peer = NULL;
			return;
		case SPLITS:
			memcpy(server->drip, good, len);
			server->drip_len = len;
			server->drip_sent = 0;
			drip(-1, 0, server);
			return;
		case ANSWERS:
			break;
	}
	if (other_len)
		bufferevent_write(server->peer, other, other_len);
	bufferevent_write(server->peer, good, len);
}

static void
on_request(struct bufferevent *peer, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(peer);
	Server *server = arg;

	while (evbuffer_get_length(in) >= 12 && server->peer)
	{
		uint8_t request[12];

		evbuffer_remove(in, request, sizeof(request));
		answer(server, request);
	}
}

static void
on_gone(struct bufferevent *peer, short what, void *arg)
{
	(void) what;
	if (((Server *) arg)->peer == peer)
		((Server *) arg)->peer = NULL;
	bufferevent_free(peer);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
		  void *arg)
{
	Server *server = arg;

	(void) listener;
	(void) address;
	(void) len;
	server->connections++;
	server->peer = bufferevent_socket_new(server->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(server->peer, on_request, NULL, on_gone, server);
	bufferevent_enable(server->peer, EV_READ | EV_WRITE);
}

/* ---- fixture ---- */

static void
failed(void *arg, const char *reason)
{
	(void) reason;
	((Fixture *) arg)->failed++;
}

static void
restored(void *arg)
{
	((Fixture *) arg)->restored++;
}

static void
heard(void *arg)
{
	((Fixture *) arg)->heard++;
}

static int
set_up(void **state)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);
	BusLimits limits = { 500, 0, 300 * USEC_PER_MSEC, 1 };
	LinkEnd end = { .kind = LINK_TCP };
	char reason[200];
	BusHooks hooks = { failed, restored, heard, fixture };
	Server *server = &fixture->server;

	fixture->base = server->base = event_base_new();
	fixture->names = names_new(fixture->base);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	server->listener =
		evconnlistener_new_bind(fixture->base, on_accept, server, LEV_OPT_CLOSE_ON_FREE, -1,
								(struct sockaddr *) &address, sizeof(address));
	getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *) &address, &len);
	snprintf(server->address, sizeof(server->address), "127.0.0.1:%u", ntohs(address.sin_port));
	server->drip_timer = evtimer_new(fixture->base, drip, server);
	strcpy(end.address, server->address);
	fixture->bus = bus_new(fixture->base, fixture->names, &end, BUS_MBAP, &limits, &hooks, reason,
						   sizeof(reason));
	*state = fixture;
	return fixture->bus ? 0 : -1;
}

static int
tear_down(void **state)
{
	Fixture *fixture = *state;

	bus_free(fixture->bus);
	names_free(fixture->names);
	event_free(fixture->server.drip_timer);
	if (fixture->server.peer)
		bufferevent_free(fixture->server.peer);
	if (fixture->server.listener)
		evconnlistener_free(fixture->server.listener);
	event_base_free(fixture->base);
	free(fixture);
	return 0;
}

static void
job_done(Job *job, const JobAnswer *answered)
{
	TestJob *test = job->arg;
	Fixture *fixture = test->fixture;

	test->result = answered->result;
	test->exception = answered->exception;
	if (answered->result == JOB_ANSWERED)
		test->value = frame_get16(answered->pdu + 2);
	fixture->order[fixture->done++] = test->name;
	if (fixture->done >= fixture->expected)
		event_base_loopexit(fixture->base, NULL);
}

static void
prepare_job(Fixture *fixture, TestJob *test, char name, uint16_t address)
{
	memset(test, 0, sizeof(*test));
	test->fixture = fixture;
	test->name = name;
	test->job.priority = JOB_PERIODIC;
	test->job.unit = 1;
	test->job.timeout_ms = 120;
	test->job.done = job_done;
	test->job.arg = test;
	test->job.pdu_len = frame_read_request(test->job.pdu, 3, address, 2);
}

static void
run_until(Fixture *fixture, int done)
{
	struct timeval limit = { 5, 0 };

	fixture->expected = done;
	event_base_loopexit(fixture->base, &limit);
	if (fixture->done < done)
		event_base_dispatch(fixture->base);
	assert_int_equal(fixture->done, done);
}

static TestJob
run_one(Fixture *fixture, uint16_t address)
{
	TestJob test;

	prepare_job(fixture, &test, 'x', address);
	bus_submit(fixture->bus, &test.job);
	run_until(fixture, fixture->done + 1);
	return test;
}

static void
play(Fixture *fixture, const Behaviour *script, int count)
{
	fixture->server.script = script;
	fixture->server.scripted = count;
	fixture->server.requests = 0;
}

/* ---- tests ---- */

/* However the answer is wrapped, the value is the one asked for, on one connection. */
static void
true_values_only(void **state)
{
	static const Behaviour script[] = { ANSWERS,		  SPLITS,
										SAYS_STALE_FIRST, SAYS_WRONG_UNIT_FIRST,
										SAYS_SHORT_FIRST, SAYS_OTHER_FUNCTION_FIRST };
	Fixture *fixture = *state;
	uint64_t stale = counters.stale_answers;
	uint64_t bad = counters.bad_answers;

	play(fixture, script, 6);
	for (uint16_t i = 0; i < 6; i++)
	{
		TestJob test = run_one(fixture, (uint16_t) (100 * i));

		assert_int_equal(test.result, JOB_ANSWERED);
		assert_int_equal(test.value, 100 * i);
	}
	assert_int_equal(fixture->server.connections, 1);
	assert_int_equal(counters.stale_answers - stale, 1);
	assert_int_equal(counters.bad_answers - bad, 3);
	assert_int_equal(fixture->heard, 6);
}

/* The one-behind bug of many masters: a late answer must not become the answer of the next. */
static void
late_answer(void **state)
{
	static const Behaviour script[] = { ANSWERS, ANSWERS_LATE, ANSWERS };
	Fixture *fixture = *state;
	TestJob test;

	play(fixture, script, 3);
	run_one(fixture, 1);
	test = run_one(fixture, 1000);
	assert_int_equal(test.result, JOB_TIMEOUT);
	test = run_one(fixture, 2000);
	assert_int_equal(test.result, JOB_ANSWERED);
	assert_int_equal(test.value, 2000);
	assert_int_equal(fixture->server.connections, 1);
}

static void
exception(void **state)
{
	static const Behaviour script[] = { EXCEPTS };
	TestJob test;

	play(*state, script, 1);
	test = run_one(*state, 5);
	assert_int_equal(test.result, JOB_EXCEPTION);
	assert_int_equal(test.exception, 6);
}

/* After a torn frame or noise only a new connection is in step again. */
static void
torn_and_noisy(void **state)
{
	static const Behaviour script[] = { ANSWERS, TEARS, ANSWERS, MAKES_NOISE, ANSWERS };
	Fixture *fixture = *state;

	play(fixture, script, 5);
	assert_int_equal(run_one(fixture, 1).result, JOB_ANSWERED);
	assert_int_equal(run_one(fixture, 2).result, JOB_TIMEOUT);
	assert_int_equal(run_one(fixture, 3).value, 3);
	assert_int_equal(run_one(fixture, 4).result, JOB_LOST);
	assert_int_equal(run_one(fixture, 5).value, 5);
	assert_int_equal(fixture->server.connections, 3);
}

static void
closed(void **state)
{
	static const Behaviour script[] = { ANSWERS, CLOSES, ANSWERS };
	Fixture *fixture = *state;

	play(fixture, script, 3);
	run_one(fixture, 1);
	assert_int_equal(run_one(fixture, 2).result, JOB_LOST);
	assert_int_equal(run_one(fixture, 3).value, 3);
	assert_int_equal(fixture->failed, 0);
}

/* Commands overtake; polls keep their order; probes come last; rank keeps a poll together. */
static void
priorities(void **state)
{
	Fixture *fixture = *state;
	TestJob jobs[6];

	for (int i = 0; i < 6; i++)
		prepare_job(fixture, &jobs[i], (char) ('a' + i), (uint16_t) i);
	jobs[0].job.priority = JOB_PROBE;
	jobs[3].job.priority = JOB_ON_DEMAND;
	jobs[4].job.priority = JOB_COMMAND;
	jobs[5].job.priority = JOB_READ_BACK;
	for (int i = 0; i < 6; i++)
		bus_submit(fixture->bus, &jobs[i].job);
	run_until(fixture, 6);
	assert_string_equal(fixture->order, "efdbca");
	fixture->done = 0;
	memset(fixture->order, 0, sizeof(fixture->order));
	for (int i = 0; i < 3; i++)
	{
		prepare_job(fixture, &jobs[i], (char) ('a' + i), (uint16_t) i);
		bus_submit(fixture->bus, &jobs[i].job);
	}
	prepare_job(fixture, &jobs[3], 'd', 3);
	jobs[3].job.rank = jobs[0].job.rank; /* the second request of a's poll */
	bus_submit(fixture->bus, &jobs[3].job);
	bus_promote(&jobs[2].job, JOB_ON_DEMAND);
	run_until(fixture, 4);
	assert_true(strcmp(fixture->order, "cadb") == 0 || strcmp(fixture->order, "cdab") == 0);
}

static void
cancelled(void **state)
{
	static const Behaviour script[] = { ANSWERS, KEEPS_SILENT, ANSWERS };
	Fixture *fixture = *state;
	TestJob silent;
	TestJob queued;
	TestJob last;

	play(fixture, script, 3);
	run_one(fixture, 1);
	prepare_job(fixture, &silent, 's', 2);
	prepare_job(fixture, &queued, 'q', 3);
	prepare_job(fixture, &last, 'l', 4);
	bus_submit(fixture->bus, &silent.job);
	bus_submit(fixture->bus, &queued.job);
	bus_submit(fixture->bus, &last.job);
	while (fixture->server.requests < 2)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	assert_true(bus_job_in_flight(&silent.job));
	bus_cancel(&queued.job);
	bus_cancel(&silent.job);
	assert_false(bus_job_pending(&silent.job) || bus_job_pending(&queued.job));
	run_until(fixture, 2);
	assert_int_equal(last.value, 4);
	assert_string_equal(fixture->order, "xl");
}

/* Nobody listens: certainly not sent; polls fail at once, the link is tried again and comes back.
 */
static void
unreachable(void **state)
{
	Fixture *fixture = *state;
	Server *server = &fixture->server;
	struct sockaddr_in address = { .sin_family = AF_INET };
	int64_t begun;

	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	address.sin_port = htons((uint16_t) atoi(strchr(server->address, ':') + 1));
	evconnlistener_free(server->listener);
	server->listener = NULL;
	assert_int_equal(run_one(fixture, 1).result, JOB_UNREACHABLE);
	assert_int_equal(fixture->failed, 1);
	begun = clock_mono();
	assert_int_equal(run_one(fixture, 2).result, JOB_UNREACHABLE);
	assert_true(clock_mono() - begun < 50 * USEC_PER_MSEC);
	assert_int_equal(fixture->failed, 1);
	server->listener = evconnlistener_new_bind(fixture->base, on_accept, server,
											   LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1,
											   (struct sockaddr *) &address, sizeof(address));
	assert_non_null(server->listener);
	while (fixture->restored == 0 && clock_mono() - begun < 5 * USEC_PER_SEC)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	assert_int_equal(fixture->restored, 1);
	assert_int_equal(run_one(fixture, 3).value, 3);
}

/* A command does not wait for the whole reconnect pause. */
static void
command_reconnects(void **state)
{
	Fixture *fixture = *state;
	BusLimits slow = { 500, 0, 60 * USEC_PER_SEC, 1 };
	TestJob command;
	int64_t begun;

	evconnlistener_free(fixture->server.listener);
	fixture->server.listener = NULL;
	bus_set_limits(fixture->bus, &slow);
	for (int i = 0; i < 2; i++)
	{
		prepare_job(fixture, &command, 'c', 1);
		command.job.priority = JOB_COMMAND;
		begun = clock_mono();
		bus_submit(fixture->bus, &command.job);
		run_until(fixture, i + 1);
		assert_int_equal(command.result, JOB_UNREACHABLE);
	}
	assert_in_range(clock_mono() - begun, 400 * USEC_PER_MSEC, 700 * USEC_PER_MSEC);
	assert_int_equal(fixture->failed, 2);
}

static void
gap(void **state)
{
	Fixture *fixture = *state;
	BusLimits limits = { 500, 30, USEC_PER_SEC, 1 };
	TestJob jobs[3];
	int64_t begun;

	bus_set_limits(fixture->bus, &limits);
	for (int i = 0; i < 3; i++)
	{
		prepare_job(fixture, &jobs[i], 'g', 1);
		bus_submit(fixture->bus, &jobs[i].job);
	}
	begun = clock_mono();
	run_until(fixture, 3);
	assert_true(clock_mono() - begun >= 60 * USEC_PER_MSEC);
}

int
main(void)
{
#define BUS_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = { BUS_TEST(true_values_only),
										BUS_TEST(late_answer),
										BUS_TEST(exception),
										BUS_TEST(torn_and_noisy),
										BUS_TEST(closed),
										BUS_TEST(priorities),
										BUS_TEST(cancelled),
										BUS_TEST(unreachable),
										BUS_TEST(command_reconnects),
										BUS_TEST(gap) };

	log_set_level(LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
