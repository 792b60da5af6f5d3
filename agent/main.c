/*
 * main.c
 *		prepayd: command line, start, signals, end.
 *
 * One process, one event loop, which nothing blocks after the start. The disk has a thread of its
 * own (store.c).
 */
#include "agent.h"
#include "buf.h"
#include "delivery.h"
#include "dispatch.h"
#include "inspect.h"
#include "liaison.h"
#include "log.h"
#include "metrics.h"
#include "notify.h"
#include "pay_front.h"
#include "poll.h"
#include "probe.h"
#include "store.h"
#include "topology.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef PREPAYD_VERSION
#define PREPAYD_VERSION "unknown"
#endif

/* About 30 bytes a row, 300 MB: 3000 meters at 15 minutes are away from their database for a month.
 */
#define SPOOL_MAX_ROWS 10000000
#define OPEN_FILES 65536
#define ONCE_LOOK_MS 50
#define ONCE_LIMIT_S 120
#define ONCE_CONNECT_S 15

enum
{
	EXIT_USAGE = 2,
	EXIT_UNDELIVERED = 3
};

typedef struct Service
{
	Agent agent;
	Metrics *metrics;
	struct event *terminate;
	struct event *interrupt;
	struct event *hangup;
	struct event *watchdog;
	struct event *once;
	int64_t started_at;
	int exit_code;
} Service;

static void
usage(FILE *out)
{
	fputs(
		"prepayd --config FILE             read meters, deliver, execute commands\n"
		"prepayd --config FILE --once       poll every meter once, deliver, end\n"
		"prepayd --config FILE --dump-plan  print gateways, meters and merged requests\n"
		"prepayd --config FILE --check-config\n"
		"prepayd --check-profile FILE...    check meter profiles\n"
		"prepayd --probe ADDRESS UNIT PROFILE\n"
		"                                   read one meter: host:port or /dev/tty,BAUD,PARITY,STOP\n"
		"prepayd --version\n",
		out);
}

/* ---- service ---- */

static void
stop(Service *service, int exit_code)
{
	if (service->agent.stopping)
		return;
	service->agent.stopping = true;
	service->exit_code = exit_code;
	event_base_loopexit(service->agent.base, NULL);
}

static void
on_stop_signal(evutil_socket_t number, short what, void *arg)
{
	(void) what;
	log_event(LEVEL_INFO, "stopping", "signal=%s", strsignal((int) number));
	notify_send("STOPPING=1");
	stop(arg, EXIT_SUCCESS);
}

static void
on_hangup(evutil_socket_t number, short what, void *arg)
{
	(void) number;
	(void) what;
	log_event(LEVEL_INFO, "plan_requested", "signal=SIGHUP");
	liaison_refresh(&((Service *) arg)->agent);
}

/* The watchdog lives on the loop: a loop that stands still sends nothing and is restarted. */
static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	Gauges gauges;
	char message[256];

	(void) fd;
	(void) what;
	agent_gauges(arg, &gauges);
	snprintf(
		message, sizeof(message),
		"WATCHDOG=1\nSTATUS=%d of %d meters in contact, database %s, %lld readings in the spool",
		gauges.meters - gauges.meters_lost, gauges.meters, gauges.database_up ? "up" : "down",
		(long long) gauges.spool_rows);
	notify_send(message);
}

static bool
once_polled(const Agent *agent)
{
	if (agent->revision < 0 || poll_active(agent) > 0)
		return false;
	for (int i = 0; i < agent->topology->meter_count; i++)
	{
		const Meter *meter = agent->topology->meters[i];

		if (meter->fresh && meter->profile && meter->gateway->line)
			return false;
	}
	return true;
}

static void
on_once(evutil_socket_t fd, short what, void *arg)
{
	Service *service = arg;
	Agent *agent = &service->agent;
	int64_t waited = clock_mono() - service->started_at;

	(void) fd;
	(void) what;
	if (once_polled(agent) && store_rows(agent->store) == 0)
		stop(service, counters.polls_failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS);
	else if (waited > ONCE_LIMIT_S * USEC_PER_SEC ||
			 (waited > ONCE_CONNECT_S * USEC_PER_SEC && once_polled(agent) &&
			  !delivery_connected(agent->delivery)))
	{
		log_event(LEVEL_WARN, "undelivered", "readings=%lld", (long long) store_rows(agent->store));
		stop(service, EXIT_UNDELIVERED);
	}
}

static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= OPEN_FILES)
		return;
	limit.rlim_cur = limit.rlim_max < OPEN_FILES ? limit.rlim_max : OPEN_FILES;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static struct event *
add_timer(Service *service, int64_t usec, event_callback_fn callback, void *arg)
{
	struct timeval period = { usec / USEC_PER_SEC, usec % USEC_PER_SEC };
	struct event *event = event_new(service->agent.base, -1, EV_PERSIST, callback, arg);

	evtimer_add(event, &period);
	return event;
}

static struct event *
add_signal(Service *service, int number, event_callback_fn callback)
{
	struct event *event = evsignal_new(service->agent.base, number, callback, service);

	evsignal_add(event, NULL);
	return event;
}

static struct event_base *
make_base(void)
{
	/* How long normal events run before urgent ones are looked for. Each look asks epoll for all
	 * that is ready, so counting callbacks instead would cost a quadratic time at a grid point. */
	const struct timeval interval = { 0, 1000 };
	struct event_config *config = event_config_new();
	struct event_base *base;

	event_config_set_max_dispatch_interval(config, &interval, -1, PRIORITY_NORMAL);
	base = event_base_new_with_config(config);
	event_base_priority_init(base, PRIORITIES);
	event_config_free(config);
	return base;
}

static bool
service_start(Service *service)
{
	Agent *agent = &service->agent;
	char reason[768];

	signal(SIGPIPE, SIG_IGN);
	raise_file_limit();
	srandom((unsigned) (clock_real() ^ getpid()));
	agent->revision = -1;
	agent->base = make_base();
	agent->topology = topology_new();
	agent->store =
		store_open(agent->base, agent->config.spool, SPOOL_MAX_ROWS, reason, sizeof(reason));
	if (!agent->store)
	{
		log_event(LEVEL_ERROR, "spool_unusable", "reason=%s", log_value(reason));
		return false;
	}
	agent->names = names_new(agent->base);
	agent->commands = dispatch_new(agent);
	agent->delivery = delivery_new(agent);
	if (!agent->once)
		agent->pay_front = pay_front_new(agent);
	agent->liaison = liaison_new(agent);
	if (agent->config.metrics[0])
		service->metrics = metrics_new(agent->base, agent->config.metrics, agent_gauges, agent);
	service->terminate = add_signal(service, SIGTERM, on_stop_signal);
	service->interrupt = add_signal(service, SIGINT, on_stop_signal);
	service->hangup = add_signal(service, SIGHUP, on_hangup);
	if (notify_watchdog_us() > 0)
		service->watchdog = add_timer(service, notify_watchdog_us(), on_watchdog, agent);
	if (agent->once)
		service->once = add_timer(service, ONCE_LOOK_MS * USEC_PER_MSEC, on_once, service);
	service->started_at = clock_mono();
	log_event(LEVEL_INFO, "started", "agent=%s version=%s method=%s spool=%s waiting=%lld",
			  log_value(agent->config.name), PREPAYD_VERSION, event_base_get_method(agent->base),
			  store_uuid(agent->store), (long long) store_rows(agent->store));
	notify_send("READY=1");
	return true;
}

static void
free_event(struct event *event)
{
	if (event)
		event_free(event);
}

static void
service_end(Service *service)
{
	Agent *agent = &service->agent;

	agent->stopping = true;
	topology_free(agent);
	store_close(agent->store);
	metrics_free(service->metrics);
	pay_front_free(agent->pay_front);
	liaison_free(agent->liaison);
	delivery_free(agent->delivery);
	dispatch_free(agent->commands);
	names_free(agent->names);
	free_event(service->terminate);
	free_event(service->interrupt);
	free_event(service->hangup);
	free_event(service->watchdog);
	free_event(service->once);
	event_base_free(agent->base);
	log_event(LEVEL_INFO, "stopped", "code=%d", service->exit_code);
}

static int
serve(const Config *config, bool once)
{
	Service service;

	memset(&service, 0, sizeof(service));
	service.agent.config = *config;
	service.agent.once = once;
	service.exit_code = EXIT_FAILURE;
	if (!service_start(&service))
		return EXIT_FAILURE;
	event_base_dispatch(service.agent.base);
	service_end(&service);
	return service.exit_code;
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
											 { "once", no_argument, NULL, 'o' },
											 { "dump-plan", no_argument, NULL, 'd' },
											 { "check-config", no_argument, NULL, 'k' },
											 { "check-profile", no_argument, NULL, 'p' },
											 { "probe", no_argument, NULL, 'r' },
											 { "version", no_argument, NULL, 'v' },
											 { "help", no_argument, NULL, 'h' },
											 { NULL, 0, NULL, 0 } };
	const char *file = NULL;
	char reason[1200];
	Config config;
	int mode = 0;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
	{
		if (option == 'c')
			file = optarg;
		else if (option == '?')
			return EXIT_USAGE;
		else
			mode = option;
	}
	if (mode == 'h')
	{
		usage(stdout);
		return EXIT_SUCCESS;
	}
	if (mode == 'v')
	{
		puts("prepayd " PREPAYD_VERSION);
		return EXIT_SUCCESS;
	}
	if (mode == 'p')
		return inspect_profiles(argv + optind);
	if (mode == 'r' && optind + 3 == argc)
		return probe(argv[optind], argv[optind + 1], argv[optind + 2]);
	if (!file || optind < argc)
	{
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!config_load(&config, file, reason, sizeof(reason)))
	{
		fprintf(stderr, "%s\n", reason);
		return EXIT_USAGE;
	}
	log_set_level(config.log_level);
	if (mode == 'k')
		return inspect_config(&config);
	if (mode == 'd')
		return inspect_plan(&config);
	return serve(&config, mode == 'o');
}
