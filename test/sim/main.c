/*
 * main.c: prepay-sim, a simulator of Modbus TCP gateways with prepaid meters behind them.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "config.h"
#include "control.h"
#include "decimal.h"
#include "log.h"
#include "state.h"

typedef struct Options
{
	const char *config;
	const char *clock;
	const char *state;
	int64_t seed;
} Options;

static const char usage[] =
	"usage: prepay-sim --config FILE [--clock 'T@REAL*RATE'] [--seed N] [--state FILE]\n";

static bool
parse_options(int argc, char **argv, Options *options)
{
	static const struct option known[] = { { "config", required_argument, NULL, 'c' },
										   { "clock", required_argument, NULL, 't' },
										   { "seed", required_argument, NULL, 'n' },
										   { "state", required_argument, NULL, 's' },
										   { NULL, 0, NULL, 0 } };
	int option;

	*options = (Options){ .seed = 1 };
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
	{
		if (option == 'c')
			options->config = optarg;
		else if (option == 't')
			options->clock = optarg;
		else if (option == 's')
			options->state = optarg;
		else if (option != 'n' || !integer_parse(optarg, 0, INT64_MAX, &options->seed))
			return false;
	}
	return options->config != NULL && optind == argc;
}

/* A connection is a descriptor: take all the system gives. */
static void
raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
	{
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

static void
on_stop(evutil_socket_t signal_number, short what, void *arg)
{
	(void) what;
	log_line("event=stop signal=%d", (int) signal_number);
	event_base_loopbreak(arg);
}

static bool
listen_all(struct event_base *base, World *world)
{
	gateway_init(base, &world->clock);
	for (int i = 0; i < world->gateways; i++)
		if (!gateway_start(world->gateway[i]))
		{
			log_line("event=listen_failed gateway=%s addr=%s error=\"%s\"", world->gateway[i]->code,
					 world->gateway[i]->address_text, strerror(errno));
			return false;
		}
	if (world->control_length > 0 && !control_start(base, world))
	{
		log_line("event=listen_failed control=1 error=\"%s\"", strerror(errno));
		return false;
	}
	return true;
}

static bool
serve(struct event_base *base, World *world)
{
	struct event *term = evsignal_new(base, SIGTERM, on_stop, base);
	struct event *interrupt = evsignal_new(base, SIGINT, on_stop, base);
	bool served = false;

	if (term != NULL && interrupt != NULL && evsignal_add(term, NULL) == 0 &&
		evsignal_add(interrupt, NULL) == 0 && listen_all(base, world))
	{
		log_line("event=start gateways=%d meters=%d seed=%" PRIu64, world->gateways, world->meters,
				 world->seed);
		printf("ready gateways=%d meters=%d\n", world->gateways, world->meters);
		fflush(stdout);
		served = event_base_dispatch(base) == 0;
	}
	if (term != NULL)
		event_free(term);
	if (interrupt != NULL)
		event_free(interrupt);
	return served;
}

static bool
prepare(const Options *options, World *world)
{
	if (options->clock == NULL)
		bclock_real(&world->clock);
	else if (!bclock_parse(options->clock, &world->clock))
	{
		log_line("event=clock_error clock=\"%s\"", options->clock);
		return false;
	}
	world->seed = (uint64_t) options->seed;
	load_init();
	fault_seed(world->seed);
	return config_load(options->config, world) &&
		   (options->state == NULL || state_load(options->state, world));
}

int
main(int argc, char **argv)
{
	static World world;
	struct event_base *base;
	Options options;
	bool done = false;

	if (!parse_options(argc, argv, &options))
	{
		fputs(usage, stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	raise_descriptor_limit();
	base = event_base_new();
	if (base != NULL && prepare(&options, &world))
	{
		done = serve(base, &world);
		if (done && options.state != NULL)
			done = state_save(options.state, &world);
	}
	control_stop();
	world_free(&world);
	if (base != NULL)
		event_base_free(base);
	libevent_global_shutdown();
	return done ? 0 : 1;
}
