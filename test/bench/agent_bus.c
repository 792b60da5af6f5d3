/*
 * agent_bus.c
 *		Requests a second of the agent's buses alone: CONNECTIONS SECONDS REGISTERS WINDOW PORT.
 *
 * One bus a connection, each always with its next request ready, as a poller without readings,
 * spool or database would be: what pymodbus, jsmodbus and modbus-serial do in the same run.
 */
#include "agent.h"
#include "bus.h"
#include "clock.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static uint64_t answered;
static uint64_t failed;
static uint16_t registers;

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
done(Job *job, const JobAnswer *answer)
{
	if (answer->result == JOB_ANSWERED && answer->pdu_len == 2U + 2U * registers)
		answered++;
	else
		failed++;
	job->rank = 0;
	bus_submit(job->arg, job);
}

static void
stop(evutil_socket_t fd, short what, void *base)
{
	(void) fd;
	(void) what;
	event_base_loopbreak(base);
}

static double
run(struct event_base *base, int milliseconds)
{
	struct timeval span = { milliseconds / 1000, milliseconds % 1000 * 1000 };
	int64_t begun = clock_mono();

	event_base_once(base, -1, EV_TIMEOUT, stop, base, &span);
	event_base_dispatch(base);
	return (double) (clock_mono() - begun) / 1e6;
}

int
main(int argc, char **argv)
{
	struct rlimit limit = { 65536, 65536 };
	struct event_config *config = event_config_new();
	struct event_base *base = event_base_new_with_config(config);
	BusHooks hooks = { ignore_reason, ignore, ignore, NULL };
	BusLimits limits = { 5000, 0, USEC_PER_SEC, 1 };
	int connections = argc == 6 ? atoi(argv[1]) : 0;
	struct rusage usage;
	double seconds;

	if (connections == 0)
		return 2;
	setrlimit(RLIMIT_NOFILE, &limit);
	signal(SIGPIPE, SIG_IGN);
	event_base_priority_init(base, PRIORITIES);
	registers = (uint16_t) atoi(argv[3]);
	limits.window = atoi(argv[4]);
	for (int i = 0; i < connections; i++)
	{
		LinkEnd end = { .kind = LINK_TCP };
		char reason[200];
		Bus *bus;

		snprintf(end.address, sizeof(end.address), "127.0.0.1:%d", atoi(argv[5]) + i);
		bus = bus_new(base, names_new(base), &end, BUS_MBAP, &limits, &hooks, reason,
					  sizeof(reason));
		for (int n = 0; n < limits.window; n++)
		{
			Job *job = calloc(1, sizeof(*job));

			job->priority = JOB_PERIODIC;
			job->unit = 1;
			job->timeout_ms = 2000;
			job->pdu_len = frame_read_request(job->pdu, 3, 0, registers);
			job->done = done;
			job->arg = bus;
			bus_submit(bus, job);
		}
	}
	run(base, 1000);
	answered = failed = 0;
	getrusage(RUSAGE_SELF, &usage);
	seconds = -(double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) -
			  (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
	{
		double span = run(base, 1000 * atoi(argv[2]));

		getrusage(RUSAGE_SELF, &usage);
		seconds += (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				   (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
		printf("%.0f %.1f %.1f %llu\n", (double) answered / span,
			   1e6 * seconds / (double) answered, (double) usage.ru_maxrss / 1024,
			   (unsigned long long) failed);
	}
	return 0;
}
