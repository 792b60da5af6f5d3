/*
 * test_line.c
 *		The bus on lines, where answers carry no number: Modbus RTU and DL/T 645 side by side,
 *noise, late answers, strangers. Also the window of native TCP, and a serial line through a pty.
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
#include <fcntl.h>
#include <netinet/in.h>
#include <termios.h>
#include <unistd.h>

typedef enum Behaviour
{
	ANSWERS,
	SPLITS,
	NOISY,	 /* bytes in front that look like the beginning of the answer */
	FOREIGN, /* another unit's whole answer in front */
	DAMAGED, /* wrong checksum, then nothing */
	SILENT,
	LATE, /* after the time-out */
	EXCEPTS,
	TEARS,	/* half the answer, and the next ones right behind */
	BABBLES /* the answer, then bytes without end for a while */
} Behaviour;

typedef struct Fixture
{
	struct event_base *base;
	Names *names;
	struct evconnlistener *listener;
	struct bufferevent *peer;
	char address[32];
	const Behaviour *script;
	int scripted;
	int requests;
	int most_waiting; /* requests seen together */
	bool native;
	uint8_t held[4 * FRAME_ADU_MAX];
	size_t held_len;
	struct event *later;
	int babble;
	Bus *bus;
	int done;
	int expected;
} Fixture;

typedef struct TestJob
{
	Job job;
	Fixture *fixture;
	JobResult result;
	int exception;
	uint8_t pdu[FRAME_PDU_MAX];
	size_t pdu_len;
} TestJob;

/* ---- the other side ---- */

static void
send_held(evutil_socket_t fd, short what, void *arg)
{
	Fixture *fixture = arg;
	struct timeval pause = { 0, 3000 };

	(void) fd;
	(void) what;
	if (!fixture->peer)
		return;
	bufferevent_write(fixture->peer, fixture->held, fixture->held_len);
	if (fixture->babble-- > 0)
		evtimer_add(fixture->later, &pause);
}

static void
hold(Fixture *fixture, const uint8_t *bytes, size_t len, int ms)
{
	struct timeval pause = { 0, ms * 1000 };

	memcpy(fixture->held, bytes, len);
	fixture->held_len = len;
	evtimer_add(fixture->later, &pause);
}

static size_t
rtu_answer(const uint8_t *request, uint8_t *adu)
{
	uint16_t address = frame_get16(request + 2);
	uint16_t count = frame_get16(request + 4);
	uint8_t pdu[FRAME_PDU_MAX] = { request[1], (uint8_t) (2 * count) };

	for (uint16_t i = 0; i < count; i++)
		frame_put16(pdu + 2 + 2 * i, (uint16_t) (address + i));
	return frame_rtu_encode(adu, request[0], pdu, 2U + 2U * count);
}

static size_t
dlt645_answer(const uint8_t *request, uint8_t *frame)
{
	/* 123456.78 kWh to whatever was asked, by the layout of the standard. */
	static const uint8_t value[] = { 0x78, 0x56, 0x34, 0x12 };
	uint8_t pdu[9] = { 0x91 };

	for (int i = 0; i < 4; i++)
		pdu[1 + i] = (uint8_t) (request[14 + i] - 0x33);
	memcpy(pdu + 5, value, 4);
	return dlt645_encode(frame, request + 5, pdu, sizeof(pdu));
}

static void
reply(Fixture *fixture, uint8_t *answer, size_t len)
{
	static const uint8_t strange[] = { 99, 3, 2, 0xde, 0xad };
	Behaviour behaviour =
		fixture->requests < fixture->scripted ? fixture->script[fixture->requests] : ANSWERS;
	uint8_t other[FRAME_ADU_MAX];
	uint8_t exception[] = { 0x83, 2 };

	fixture->requests++;
	switch (behaviour)
	{
		case SPLITS:
			bufferevent_write(fixture->peer, answer, len - 3);
			hold(fixture, answer + len - 3, 3, 10);
			return;
		case NOISY:
			bufferevent_write(fixture->peer, answer, 3);
			break;
		case FOREIGN:
			bufferevent_write(fixture->peer, other,
							  frame_rtu_encode(other, strange[0], strange + 1, 4));
			break;
		case DAMAGED:
			answer[len - 2] ^= 1;
			break;
		case SILENT:
			return;
		case TEARS:
			len /= 2;
			break;
		case LATE:
			hold(fixture, answer, len, 200);
			return;
		case EXCEPTS:
			len = frame_rtu_encode(answer, answer[0], exception, 2);
			break;
		case BABBLES:
			bufferevent_write(fixture->peer, answer, len);
			fixture->babble = 30;
			hold(fixture, strange, sizeof(strange), 3);
			return;
		case ANSWERS:
			break;
	}
	bufferevent_write(fixture->peer, answer, len);
}

static size_t
native_request(Fixture *fixture, struct evbuffer *in)
{
	uint8_t request[12];
	uint8_t answer[FRAME_ADU_MAX];
	uint8_t rtu[FRAME_ADU_MAX];
	size_t len;

	evbuffer_remove(in, request, sizeof(request));
	len = rtu_answer(request + 6, rtu);
	len = frame_mbap_encode(answer, frame_get16(request), request[6], rtu + 1, len - 3);
	reply(fixture, answer, len);
	return sizeof(request);
}

static void
on_request(struct bufferevent *peer, void *arg)
{
	struct evbuffer *in = bufferevent_get_input(peer);
	Fixture *fixture = arg;
	int waiting = (int) (evbuffer_get_length(in) / 12);
	uint8_t answer[FRAME_ADU_MAX];
	uint8_t request[64];

	if (waiting > fixture->most_waiting)
		fixture->most_waiting = waiting;
	while (fixture->native && evbuffer_get_length(in) >= 12)
		native_request(fixture, in);
	while (!fixture->native && evbuffer_copyout(in, request, 8) == 8)
	{
		bool meter = request[0] == 0xfe;
		size_t want = meter ? 20 : 8;

		if (evbuffer_get_length(in) < want)
			return;
		evbuffer_remove(in, request, want);
		reply(fixture, answer,
			  meter ? dlt645_answer(request, answer) : rtu_answer(request, answer));
	}
}

static void
on_gone(struct bufferevent *peer, short what, void *arg)
{
	(void) what;
	((Fixture *) arg)->peer = NULL;
	bufferevent_free(peer);
}

static void
on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int len,
		  void *arg)
{
	Fixture *fixture = arg;

	(void) listener;
	(void) address;
	(void) len;
	fixture->peer = bufferevent_socket_new(fixture->base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(fixture->peer, on_request, NULL, on_gone, fixture);
	bufferevent_enable(fixture->peer, EV_READ | EV_WRITE);
}

/* ---- fixture ---- */

static void
ignore_reason(void *arg, const char *reason)
{
	(void) arg;
	(void) reason;
}

static void
ignore(void *arg)
{
	(void) arg;
}

static void
make_bus(Fixture *fixture, const LinkEnd *end, BusFraming framing, int window)
{
	BusLimits limits = { 500, 0, 300 * USEC_PER_MSEC, window };
	BusHooks hooks = { ignore_reason, ignore, ignore, NULL };
	char reason[200];

	fixture->bus = bus_new(fixture->base, fixture->names, end, framing, &limits, &hooks, reason,
						   sizeof(reason));
	assert_non_null(fixture->bus);
}

static void
make_tcp_bus(Fixture *fixture, BusFraming framing, int window)
{
	LinkEnd end = { .kind = LINK_TCP };

	strcpy(end.address, fixture->address);
	fixture->native = framing == BUS_MBAP;
	make_bus(fixture, &end, framing, window);
}

static int
set_up(void **state)
{
	Fixture *fixture = calloc(1, sizeof(*fixture));
	struct sockaddr_in address = { .sin_family = AF_INET };
	socklen_t len = sizeof(address);

	fixture->base = event_base_new();
	fixture->names = names_new(fixture->base);
	address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fixture->listener =
		evconnlistener_new_bind(fixture->base, on_accept, fixture, LEV_OPT_CLOSE_ON_FREE, -1,
								(struct sockaddr *) &address, sizeof(address));
	getsockname(evconnlistener_get_fd(fixture->listener), (struct sockaddr *) &address, &len);
	snprintf(fixture->address, sizeof(fixture->address), "127.0.0.1:%u", ntohs(address.sin_port));
	fixture->later = evtimer_new(fixture->base, send_held, fixture);
	*state = fixture;
	return 0;
}

static int
tear_down(void **state)
{
	Fixture *fixture = *state;

	bus_free(fixture->bus);
	names_free(fixture->names);
	event_free(fixture->later);
	if (fixture->peer)
		bufferevent_free(fixture->peer);
	evconnlistener_free(fixture->listener);
	event_base_free(fixture->base);
	free(fixture);
	return 0;
}

static void
job_done(Job *job, const JobAnswer *answered)
{
	TestJob *test = job->arg;

	test->result = answered->result;
	test->exception = answered->exception;
	test->pdu_len = answered->pdu_len;
	if (answered->pdu_len)
		memcpy(test->pdu, answered->pdu, answered->pdu_len);
	test->fixture->done++;
}

static void
prepare(Fixture *fixture, TestJob *test, uint8_t unit, uint16_t address)
{
	memset(test, 0, sizeof(*test));
	test->fixture = fixture;
	test->job.priority = JOB_PERIODIC;
	test->job.unit = unit;
	test->job.timeout_ms = 160;
	test->job.done = job_done;
	test->job.arg = test;
	test->job.pdu_len = frame_read_request(test->job.pdu, 3, address, 2);
}

static void
run(Fixture *fixture, int jobs)
{
	int64_t limit = clock_mono() + 5 * USEC_PER_SEC;

	fixture->expected = fixture->done + jobs;
	while (fixture->done < fixture->expected && clock_mono() < limit)
		event_base_loop(fixture->base, EVLOOP_ONCE);
	assert_int_equal(fixture->done, fixture->expected);
}

static TestJob
ask(Fixture *fixture, uint8_t unit, uint16_t address)
{
	TestJob test;

	prepare(fixture, &test, unit, address);
	bus_submit(fixture->bus, &test.job);
	run(fixture, 1);
	return test;
}

static void
play(Fixture *fixture, const Behaviour *script, int count)
{
	fixture->script = script;
	fixture->scripted = count;
	fixture->requests = 0;
}

/* ---- tests ---- */

static void
true_values_only(void **state)
{
	static const Behaviour script[] = { ANSWERS, SPLITS, NOISY, FOREIGN, EXCEPTS, ANSWERS };
	Fixture *fixture = *state;

	make_tcp_bus(fixture, BUS_STREAMED, 1);
	play(fixture, script, 6);
	for (uint16_t i = 0; i < 6; i++)
	{
		TestJob test = ask(fixture, 5, (uint16_t) (100 * i));

		assert_int_equal(test.result, script[i] == EXCEPTS ? JOB_EXCEPTION : JOB_ANSWERED);
		if (script[i] == EXCEPTS)
			assert_int_equal(test.exception, 2);
		else
			assert_int_equal(frame_get16(test.pdu + 2), 100 * i);
	}
}

/* What comes late must not be taken for the answer to the next question, which looks the same. */
static void
late_answer(void **state)
{
	static const Behaviour script[] = { LATE, ANSWERS, ANSWERS };
	Fixture *fixture = *state;
	TestJob late;
	TestJob again;
	TestJob other;

	make_tcp_bus(fixture, BUS_STREAMED, 1);
	play(fixture, script, 3);
	late = ask(fixture, 5, 1000);
	assert_int_equal(late.result, JOB_TIMEOUT);
	prepare(fixture, &again, 5, 2000);
	prepare(fixture, &other, 6, 3000);
	bus_submit(fixture->bus, &again.job);
	bus_submit(fixture->bus, &other.job);
	run(fixture, 1);
	/* The other meter need not wait for it. */
	assert_int_equal(other.result, JOB_ANSWERED);
	assert_int_equal(frame_get16(other.pdu + 2), 3000);
	assert_true(bus_job_pending(&again.job));
	run(fixture, 1);
	assert_int_equal(again.result, JOB_ANSWERED);
	assert_int_equal(frame_get16(again.pdu + 2), 2000);
}

static void
damaged_and_silent(void **state)
{
	static const Behaviour script[] = { DAMAGED, ANSWERS, SILENT, ANSWERS };
	Fixture *fixture = *state;

	make_tcp_bus(fixture, BUS_STREAMED, 1);
	play(fixture, script, 4);
	assert_int_equal(ask(fixture, 5, 1).result, JOB_TIMEOUT);
	assert_int_equal(ask(fixture, 5, 2).result, JOB_ANSWERED);
	assert_int_equal(ask(fixture, 5, 3).result, JOB_TIMEOUT);
	assert_int_equal(ask(fixture, 5, 4).result, JOB_ANSWERED);
}

/* Somebody talks all the time: the answers between are still found. */
static void
babble(void **state)
{
	static const Behaviour script[] = { BABBLES, ANSWERS, ANSWERS };
	Fixture *fixture = *state;
	uint64_t stale = counters.stale_answers;
	struct timeval idle = { 0, 20000 };

	make_tcp_bus(fixture, BUS_STREAMED, 1);
	play(fixture, script, 3);
	for (uint16_t i = 0; i < 3; i++)
	{
		TestJob test = ask(fixture, 5, (uint16_t) (10 * i));

		assert_int_equal(test.result, JOB_ANSWERED);
		assert_int_equal(frame_get16(test.pdu + 2), 10 * i);
		event_base_loopexit(fixture->base, &idle);
		event_base_dispatch(fixture->base);
	}
	assert_true(counters.stale_answers > stale);
}

static void
both_protocols(void **state)
{
	Fixture *fixture = *state;
	TestJob meter;
	TestJob modbus;

	make_tcp_bus(fixture, BUS_STREAMED, 1);
	prepare(fixture, &meter, 0, 0);
	meter.job.protocol = FRAME_DLT645;
	assert_true(dlt645_address("202211110001", meter.job.station));
	meter.job.pdu_len = dlt645_read_request(meter.job.pdu, 0x00010000);
	prepare(fixture, &modbus, 5, 77);
	bus_submit(fixture->bus, &meter.job);
	bus_submit(fixture->bus, &modbus.job);
	run(fixture, 2);
	assert_int_equal(meter.result, JOB_ANSWERED);
	assert_int_equal(meter.pdu_len, 9);
	assert_int_equal(meter.pdu[8], 0x12);
	assert_int_equal(modbus.result, JOB_ANSWERED);
	assert_int_equal(frame_get16(modbus.pdu + 2), 77);
}

/* Native TCP with room for four: they go out together, and each gets its own answer. */
static void
window(void **state)
{
	static const Behaviour script[] = { ANSWERS, ANSWERS, SILENT };
	Fixture *fixture = *state;
	TestJob jobs[9];

	make_tcp_bus(fixture, BUS_MBAP, 4);
	ask(fixture, 1, 0);
	play(fixture, script, 3);
	for (uint16_t i = 0; i < 9; i++)
	{
		prepare(fixture, &jobs[i], (uint8_t) (1 + i), (uint16_t) (100 * i));
		bus_submit(fixture->bus, &jobs[i].job);
	}
	run(fixture, 9);
	assert_int_equal(fixture->most_waiting, 4);
	for (uint16_t i = 0; i < 9; i++)
	{
		assert_int_equal(jobs[i].result, i == 2 ? JOB_TIMEOUT : JOB_ANSWERED);
		if (i != 2)
			assert_int_equal(frame_get16(jobs[i].pdu + 2), 100 * i);
	}
}

/* Half an answer and then the others: the hole is not filled with what belongs to them. */
static void
torn_window(void **state)
{
	static const Behaviour script[] = { TEARS };
	Fixture *fixture = *state;
	TestJob jobs[4];

	make_tcp_bus(fixture, BUS_MBAP, 4);
	ask(fixture, 1, 0);
	play(fixture, script, 1);
	for (uint16_t i = 0; i < 4; i++)
	{
		prepare(fixture, &jobs[i], (uint8_t) (1 + i), (uint16_t) (0x1100 * (i + 1)));
		jobs[i].job.pdu_len =
			frame_read_request(jobs[i].job.pdu, 3, (uint16_t) (0x1100 * (i + 1)), 20);
		bus_submit(fixture->bus, &jobs[i].job);
	}
	run(fixture, 4);
	for (uint16_t i = 0; i < 4; i++)
	{
		for (uint16_t n = 0; n < 20 && jobs[i].result == JOB_ANSWERED; n++)
			assert_int_equal(frame_get16(jobs[i].pdu + 2 + 2 * n), 0x1100 * (i + 1) + n);
	}
	assert_int_not_equal(jobs[0].result, JOB_ANSWERED);
}

static void
answer_pty(evutil_socket_t fd, short what, void *arg)
{
	Fixture *fixture = arg;
	uint8_t request[64];
	uint8_t answer[FRAME_ADU_MAX];

	(void) what;
	if (read(fd, request, sizeof(request)) != 8)
		return;
	fixture->requests++;
	assert_int_equal(write(fd, answer, rtu_answer(request, answer)), 9);
}

/* A line of 9600 baud keeps three and a half characters of silence between frames. */
static void
serial(void **state)
{
	Fixture *fixture = *state;
	LinkEnd end = { .kind = LINK_SERIAL, .line = { 9600, 'E', 1, false } };
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK);
	struct event *other;
	struct termios raw;
	TestJob jobs[20];
	int64_t begun;

	assert_true(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
	strcpy(end.address, ptsname(master));
	tcgetattr(master, &raw);
	cfmakeraw(&raw);
	tcsetattr(master, TCSANOW, &raw);
	other = event_new(fixture->base, master, EV_READ | EV_PERSIST, answer_pty, fixture);
	event_add(other, NULL);
	make_bus(fixture, &end, BUS_STREAMED, 1);
	begun = clock_mono();
	for (uint16_t i = 0; i < 20; i++)
	{
		prepare(fixture, &jobs[i], 9, i);
		bus_submit(fixture->bus, &jobs[i].job);
	}
	run(fixture, 20);
	for (uint16_t i = 0; i < 20; i++)
		assert_int_equal(frame_get16(jobs[i].pdu + 2), i);
	assert_true(clock_mono() - begun >= 19 * 4009);
	event_free(other);
	close(master);
}

static void
no_device(void **state)
{
	Fixture *fixture = *state;
	LinkEnd end = { .kind = LINK_SERIAL, .address = "/dev/none", .line = { 9600, 'N', 1, false } };

	make_bus(fixture, &end, BUS_STREAMED, 1);
	assert_int_equal(ask(fixture, 1, 1).result, JOB_UNREACHABLE);
}

int
main(void)
{
#define LINE_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
	const struct CMUnitTest tests[] = { LINE_TEST(true_values_only),   LINE_TEST(late_answer),
										LINE_TEST(damaged_and_silent), LINE_TEST(babble),
										LINE_TEST(both_protocols),	   LINE_TEST(window),
										LINE_TEST(torn_window),		   LINE_TEST(serial),
										LINE_TEST(no_device) };

	log_set_level(LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
