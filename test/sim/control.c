/*
 * control.c: commands get, set, fault, list, stats, journal.
 *
 * Every answer is one line "ok ..." or "error ..."; journal alone adds lines up to "end".
 */
#include "control.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>

#include "config.h"
#include "decimal.h"
#include "log.h"
#include "model.h"
#include "setting.h"

#define COMMAND_MAX 1024 /* bytes of a line without its end before the client is cut off */

typedef struct Client
{
	struct Client *next;
	struct bufferevent *stream;
} Client;

typedef struct Command
{
	const char *name;
	void (*run)(struct evbuffer *answer, char *const *words, int count);
} Command;

static World *world;
static struct evconnlistener *listener;
static Client *clients;

static void
answer_error(struct evbuffer *answer, const char *reason)
{
	evbuffer_add_printf(answer, "error %s\n", reason);
}

/* The meter named by the first argument, advanced to now; NULL with the error answered. */
static Meter *
meter_argument(struct evbuffer *answer, char *const *words, int count)
{
	Meter *meter = count < 2 ? NULL : world_find_meter(world, words[1]);

	if (meter == NULL)
		answer_error(answer, "unknown meter");
	else
		meter_advance(meter, bclock_now(&world->clock));
	return meter;
}

static const char *
relay_text(const Meter *meter)
{
	if (!meter->model->has_relay)
		return "none";
	return meter_conducts(meter) ? "closed" : "open";
}

static void
add_decimal(struct evbuffer *answer, const char *key, int64_t value, int decimals)
{
	char text[DECIMAL_TEXT_MAX];

	evbuffer_add_printf(answer, " %s=%s", key, decimal_format(value, decimals, text));
}

static void
run_get(struct evbuffer *answer, char *const *words, int count)
{
	Meter *meter = meter_argument(answer, words, count);
	char clock[BCLOCK_TEXT_MAX];

	if (meter == NULL)
		return;
	evbuffer_add_printf(answer, "ok");
	add_decimal(answer, "kwh", meter_register_centi(meter, meter_imported_mwh(meter)), 2);
	evbuffer_add_printf(answer, " relay=%s", relay_text(meter));
	add_decimal(answer, "kw", meter_power_mw(meter) / 1000, 3);
	add_decimal(answer, "balance", meter_balance_centi(meter), 2);
	evbuffer_add_printf(answer, " count=%u forced=%d,%d clock=%s", meter->purchase_count,
						meter->forced, meter->forced_open,
						bclock_format(&world->clock, meter->integrated_us, clock));
	add_decimal(answer, "reverse_kwh", meter_register_centi(meter, meter_exported_mwh(meter)), 2);
	add_decimal(answer, "energy", meter_imported_mwh(meter), METER_ENERGY_DECIMALS);
	add_decimal(answer, "mean_kw", meter->mean_mw, METER_POWER_DECIMALS);
	add_decimal(answer, "price", meter->price_e4, METER_PRICE_DECIMALS);
	evbuffer_add_printf(answer, " welded=%d button=%d permitted=%d\n", meter->welded, meter->button,
						meter->close_permitted);
}

static void
run_set(struct evbuffer *answer, char *const *words, int count)
{
	Gateway *gateway = count < 2 ? NULL : world_find_gateway(world, words[1]);
	char error[256];
	Meter *meter;

	if (gateway != NULL && count == 3 && strncmp(words[2], "unknown=", 8) == 0)
	{
		gateway->unknown_silent = strcmp(words[2], "unknown=silence") == 0;
		if (!gateway->unknown_silent && strcmp(words[2], "unknown=exception") != 0)
			answer_error(answer, "unknown= takes silence or exception");
		else
			evbuffer_add_printf(answer, "ok\n");
		return;
	}
	meter = meter_argument(answer, words, count);
	if (meter == NULL)
		return;
	if (count < 3)
		answer_error(answer, "expected: set METER key=value...");
	else if (!setting_apply(meter, SETTING_CONTROL, words + 2, count - 2, error, sizeof(error)))
		answer_error(answer, error);
	else
		evbuffer_add_printf(answer, "ok\n");
}

/* A gateway refuses by not listening; any other fault, or none, needs it to listen. */
static bool
follow_fault(Gateway *gateway)
{
	if (gateway->fault.kind == FAULT_REFUSE)
	{
		gateway_stop(gateway);
		return true;
	}
	return gateway_start(gateway);
}

static void
run_fault(struct evbuffer *answer, char *const *words, int count)
{
	Gateway *gateway = count < 2 ? NULL : world_find_gateway(world, words[1]);
	Meter *meter = count < 2 ? NULL : world_find_meter(world, words[1]);
	Fault fault;
	char error[256];

	if (gateway == NULL && meter == NULL)
		answer_error(answer, "unknown gateway or meter");
	else if (!fault_parse(words + 2, count - 2, &fault, error, sizeof(error)))
		answer_error(answer, error);
	else if (meter != NULL && fault.kind == FAULT_REFUSE)
		answer_error(answer, "only a gateway can refuse");
	else
	{
		if (meter != NULL)
			meter->fault = fault;
		else
			gateway->fault = fault;
		if (gateway != NULL && !follow_fault(gateway))
		{
			answer_error(answer, "the gateway cannot listen again");
			return;
		}
		log_line("event=fault target=%s kind=%s", words[1], words[2]);
		evbuffer_add_printf(answer, "ok\n");
	}
}

static void
run_list(struct evbuffer *answer, char *const *words, int count)
{
	(void) words;
	(void) count;
	evbuffer_add_printf(answer, "ok");
	for (int i = 0; i < world->meters; i++)
		evbuffer_add_printf(answer, " %s", world->meter[i]->code);
	evbuffer_add_printf(answer, "\n");
}

static void
run_stats(struct evbuffer *answer, char *const *words, int count)
{
	(void) words;
	(void) count;
	evbuffer_add_printf(answer,
						"ok requests=%" PRIu64 " writes=%" PRIu64 " faults=%" PRIu64
						" bad_frames=%" PRIu64 " connections=%" PRId64 "\n",
						gateway_stats.requests, gateway_stats.writes, gateway_stats.faults,
						gateway_stats.bad_frames, gateway_stats.connections);
}

static void
add_journal_entry(struct evbuffer *answer, const JournalEntry *entry)
{
	char stamp[BCLOCK_TEXT_MAX];
	int kept = entry->count < METER_JOURNAL_REGS ? entry->count : METER_JOURNAL_REGS;

	evbuffer_add_printf(answer, "%s fc=0x%02x addr=0x%04x n=%u regs=",
						bclock_format(&world->clock, entry->business_us, stamp), entry->function,
						entry->address, entry->count);
	for (int i = 0; i < kept; i++)
		evbuffer_add_printf(answer, "%s0x%04x", i == 0 ? "" : ",", entry->regs[i]);
	if (entry->result == WRITE_OK || entry->result == WRITE_REPEATED)
		evbuffer_add_printf(answer, " result=%s\n", entry->result == WRITE_OK ? "ok" : "repeated");
	else
		evbuffer_add_printf(answer, " result=exception_%d\n", entry->result);
}

static void
run_journal(struct evbuffer *answer, char *const *words, int count)
{
	Meter *meter = meter_argument(answer, words, count);

	if (meter == NULL)
		return;
	evbuffer_add_printf(answer, "ok entries=%u\n", meter->journal_used);
	for (uint32_t i = 0; i < meter->journal_used; i++)
		add_journal_entry(answer, &meter->journal[i]);
	evbuffer_add_printf(answer, "end\n");
}

static const Command commands[] = { { "get", run_get },		{ "set", run_set },
									{ "fault", run_fault }, { "list", run_list },
									{ "stats", run_stats }, { "journal", run_journal } };

static void
run_line(struct evbuffer *answer, char *line)
{
	char *words[CONFIG_WORDS_MAX];
	int count = config_split(line, words);

	for (size_t i = 0; count > 0 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(words[0], commands[i].name) == 0)
		{
			commands[i].run(answer, words, count);
			return;
		}
	answer_error(answer, "unknown command; one of get set fault list stats journal");
}

static void
client_close(Client *client)
{
	Client **link = &clients;

	while (*link != client)
		link = &(*link)->next;
	*link = client->next;
	bufferevent_free(client->stream);
	free(client);
}

static void
on_command(struct bufferevent *stream, void *arg)
{
	struct evbuffer *input = bufferevent_get_input(stream);
	char *line;

	while ((line = evbuffer_readln(input, NULL, EVBUFFER_EOL_CRLF)) != NULL)
	{
		run_line(bufferevent_get_output(stream), line);
		free(line);
	}
	if (evbuffer_get_length(input) > COMMAND_MAX)
		client_close(arg);
}

static void
on_client_event(struct bufferevent *stream, short what, void *arg)
{
	(void) stream;
	if ((what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) != 0)
		client_close(arg);
}

static void
on_client(struct evconnlistener *from, evutil_socket_t fd, struct sockaddr *peer, int peer_length,
		  void *arg)
{
	struct event_base *base = evconnlistener_get_base(from);
	Client *client = calloc(1, sizeof(*client));

	(void) peer;
	(void) peer_length;
	(void) arg;
	if (client != NULL)
		client->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (client == NULL || client->stream == NULL)
	{
		free(client);
		evutil_closesocket(fd);
		return;
	}
	client->next = clients;
	clients = client;
	bufferevent_setcb(client->stream, on_command, NULL, on_client_event, client);
	bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

bool
control_start(struct event_base *base, World *controlled)
{
	world = controlled;
	listener = evconnlistener_new_bind(
		base, on_client, NULL, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE,
		-1, (struct sockaddr *) &world->control_address, world->control_length);
	return listener != NULL;
}

void
control_stop(void)
{
	while (clients != NULL)
		client_close(clients);
	if (listener != NULL)
		evconnlistener_free(listener);
	listener = NULL;
}
