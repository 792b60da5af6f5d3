/*
 * metrics.c
 *		Counters of the process and their HTTP exposition (/metrics, /healthz).
 */
#include "metrics.h"

#include "log.h"
#include "names.h"

#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>

Counters counters;

static const int64_t histogram_bounds[HISTOGRAM_BUCKETS - 1] = { 1000,	  5000,	   10000,	25000,
																 50000,	  100000,  250000,	500000,
																 1000000, 5000000, 30000000 };

struct Metrics
{
	struct evhttp *http;
	MetricsGauges gauges;
	void *arg;
};

static const struct
{
	const char *name;
	const char *label; /* NULL: none */
	const char *help;  /* NULL: same metric as the line before */
	const uint64_t *value;
} counter_table[] = {
	{ "requests_total", NULL, "Modbus requests sent", &counters.requests },
	{ "answers_total", "result=\"ok\"", "What came back", &counters.answers },
	{ "answers_total", "result=\"exception\"", NULL, &counters.exceptions },
	{ "answers_total", "result=\"timeout\"", NULL, &counters.timeouts },
	{ "answers_total", "result=\"stale\"", NULL, &counters.stale_answers },
	{ "answers_total", "result=\"bad\"", NULL, &counters.bad_answers },
	{ "answers_total", "result=\"broken\"", NULL, &counters.broken_frames },
	{ "connects_total", "result=\"ok\"", "Connections to gateways", &counters.connects },
	{ "connects_total", "result=\"failed\"", NULL, &counters.connect_failures },
	{ "connects_total", "result=\"lost\"", NULL, &counters.disconnects },
	{ "polls_total", "result=\"ok\"", "Polls of meters", &counters.polls_ok },
	{ "polls_total", "result=\"failed\"", NULL, &counters.polls_failed },
	{ "polls_total", "result=\"late\"", NULL, &counters.polls_late },
	{ "probes_total", NULL, "Probes of lost meters", &counters.probes },
	{ "readings_total", NULL, "Readings taken", &counters.readings },
	{ "dropped_total", "why=\"invalid\"", "Readings not kept", &counters.readings_invalid },
	{ "dropped_total", "why=\"spool_full\"", NULL, &counters.spool_dropped },
	{ "spool_errors_total", NULL, "Failed spool transactions", &counters.spool_errors },
	{ "spool_renewed_total", NULL, "Spools begun anew", &counters.spool_renewed },
	{ "ingest_batches_total", NULL, "Batches acknowledged", &counters.batches },
	{ "ingest_repeated_total", NULL, "Batches the database had already",
	  &counters.batches_repeated },
	{ "ingest_rows_total", "result=\"stored\"", "Readings ingested", &counters.rows_stored },
	{ "ingest_rows_total", "result=\"filed\"", NULL, &counters.rows_filed },
	{ "ingest_errors_total", NULL, "Ingest calls that failed", &counters.ingest_errors },
	{ "ticks_total", NULL, "Calls of tick", &counters.ticks },
	{ "db_connects_total", NULL, "Connections to the database", &counters.db_connects },
	{ "commands_total", "result=\"done\"", "Commands by outcome", &counters.commands_done },
	{ "commands_total", "result=\"refused\"", NULL, &counters.commands_refused },
	{ "commands_total", "result=\"failed\"", NULL, &counters.commands_failed },
	{ "commands_total", "result=\"unknown\"", NULL, &counters.commands_unknown },
	{ "commands_total", "result=\"expired\"", NULL, &counters.commands_expired },
	{ "writes_total", NULL, "Write requests sent to meters", &counters.writes },
	{ "trips_braked_total", NULL, "Trips not carried out for their number",
	  &counters.trips_braked },
	{ "payment_messages_total", "result=\"accepted\"", "Messages of payment channels",
	  &counters.pay_accepted },
	{ "payment_messages_total", "result=\"refused\"", NULL, &counters.pay_refused },
	{ "payment_messages_total", "result=\"failed\"", NULL, &counters.pay_failed },
};

void
histogram_add(Histogram *histogram, int64_t usec)
{
	int bucket = 0;

	while (bucket < HISTOGRAM_BUCKETS - 1 && usec > histogram_bounds[bucket])
		bucket++;
	histogram->bucket[bucket]++;
	histogram->count++;
	histogram->sum_us += usec;
}

static void
histogram_text(const Histogram *histogram, const char *name, const char *help, Buf *out)
{
	uint64_t sum = 0;

	buf_printf(out, "# HELP prepayd_%s %s\n# TYPE prepayd_%s histogram\n", name, help, name);
	for (int i = 0; i < HISTOGRAM_BUCKETS - 1; i++)
	{
		sum += histogram->bucket[i];
		buf_printf(out, "prepayd_%s_bucket{le=\"%lld.%06lld\"} %llu\n", name,
				   (long long) (histogram_bounds[i] / 1000000),
				   (long long) (histogram_bounds[i] % 1000000), (unsigned long long) sum);
	}
	buf_printf(out, "prepayd_%s_bucket{le=\"+Inf\"} %llu\n", name,
			   (unsigned long long) histogram->count);
	buf_printf(out, "prepayd_%s_sum %lld.%06lld\nprepayd_%s_count %llu\n", name,
			   (long long) (histogram->sum_us / 1000000), (long long) (histogram->sum_us % 1000000),
			   name, (unsigned long long) histogram->count);
}

static void
gauge_text(const char *name, const char *label, const char *help, int64_t value, Buf *out)
{
	if (help)
		buf_printf(out, "# HELP prepayd_%s %s\n# TYPE prepayd_%s gauge\n", name, help, name);
	buf_printf(out, "prepayd_%s%s%s%s %lld\n", name, label ? "{" : "", label ? label : "",
			   label ? "}" : "", (long long) value);
}

void
metrics_text(const Gauges *gauges, Buf *out)
{
	for (size_t i = 0; i < sizeof(counter_table) / sizeof(counter_table[0]); i++)
	{
		const char *name = counter_table[i].name;
		const char *label = counter_table[i].label;

		if (counter_table[i].help)
			buf_printf(out, "# HELP prepayd_%s %s\n# TYPE prepayd_%s counter\n", name,
					   counter_table[i].help, name);
		buf_printf(out, "prepayd_%s%s%s%s %llu\n", name, label ? "{" : "", label ? label : "",
				   label ? "}" : "", (unsigned long long) *counter_table[i].value);
	}
	histogram_text(&counters.poll_lateness, "poll_lateness_seconds",
				   "Grid point to the answer that held the energy", out);
	histogram_text(&counters.command_seconds, "command_seconds", "Command taken to outcome", out);
	gauge_text("gateways", "state=\"ok\"", "Gateways of the plan",
			   gauges->gateways - gauges->gateways_lost, out);
	gauge_text("gateways", "state=\"lost\"", NULL, gauges->gateways_lost, out);
	gauge_text("meters", "state=\"ok\"", "Meters of the plan", gauges->meters - gauges->meters_lost,
			   out);
	gauge_text("meters", "state=\"lost\"", NULL, gauges->meters_lost, out);
	gauge_text("commands_active", NULL, "Commands in progress", gauges->commands_active, out);
	gauge_text("spool_records", NULL, "Readings not acknowledged yet", gauges->spool_rows, out);
	gauge_text("spool_oldest_seconds", NULL, "Age of the oldest of them", gauges->spool_oldest_s,
			   out);
	gauge_text("outcomes_waiting", NULL, "Command outcomes not reported yet",
			   gauges->outcomes_waiting, out);
	gauge_text("db_up", NULL, "Both database connections are ready", gauges->database_up, out);
	gauge_text("ingest_blocked", NULL, "The database refuses the oldest batch",
			   gauges->ingest_blocked, out);
	gauge_text("plan_revision", NULL, "Revision of the plan in use", gauges->plan_revision, out);
	buf_printf(out,
			   "# HELP prepayd_clock_skew_seconds Database clock minus this host's\n"
			   "# TYPE prepayd_clock_skew_seconds gauge\nprepayd_clock_skew_seconds %.3f\n",
			   (double) gauges->clock_skew_ms / 1000);
	gauge_text("meter_clocks_off", NULL, "Meters whose clock is wrong by over a minute",
			   gauges->meter_clocks_off, out);
	gauge_text("meter_clock_drift_seconds", NULL, "The largest error of a meter's clock",
			   gauges->meter_clock_drift_s, out);
}

json_t *
metrics_json(const Gauges *gauges)
{
	return json_pack(
		"{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:i,s:i,s:i,s:i,s:I,s:I,s:b,s:I,s:i,s:I}", "polls_ok",
		(json_int_t) counters.polls_ok, "polls_failed", (json_int_t) counters.polls_failed,
		"polls_late", (json_int_t) counters.polls_late, "timeouts", (json_int_t) counters.timeouts,
		"exceptions", (json_int_t) counters.exceptions, "readings", (json_int_t) counters.readings,
		"readings_dropped", (json_int_t) counters.spool_dropped, "gateways", gauges->gateways,
		"gateways_lost", gauges->gateways_lost, "meters", gauges->meters, "meters_lost",
		gauges->meters_lost, "spool_rows", (json_int_t) gauges->spool_rows, "spool_oldest_s",
		(json_int_t) gauges->spool_oldest_s, "ingest_blocked", gauges->ingest_blocked,
		"clock_skew_ms", (json_int_t) gauges->clock_skew_ms, "meter_clocks_off",
		gauges->meter_clocks_off, "trips_braked", (json_int_t) counters.trips_braked);
}

static void
reply(struct evhttp_request *request, int code, const char *reason, const Buf *body)
{
	struct evbuffer *out = evbuffer_new();

	evbuffer_add(out, body->data, body->len);
	evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Type",
					  "text/plain; version=0.0.4; charset=utf-8");
	evhttp_send_reply(request, code, reason, out);
	evbuffer_free(out);
}

static void
serve_metrics(struct evhttp_request *request, void *arg)
{
	Metrics *metrics = arg;
	Gauges gauges = { 0 };
	Buf body;

	buf_init(&body);
	metrics->gauges(metrics->arg, &gauges);
	metrics_text(&gauges, &body);
	reply(request, HTTP_OK, "OK", &body);
	buf_free(&body);
}

/* Healthy: there is a plan to poll by and the readings find their way or a place in the spool. */
static void
serve_health(struct evhttp_request *request, void *arg)
{
	Metrics *metrics = arg;
	Gauges gauges = { 0 };
	Buf body;
	bool healthy;

	buf_init(&body);
	metrics->gauges(metrics->arg, &gauges);
	healthy = gauges.plan_revision >= 0 && !gauges.ingest_blocked;
	buf_printf(&body, "%s plan=%lld database=%s ingest=%s spool=%lld\n", healthy ? "ok" : "faulty",
			   (long long) gauges.plan_revision, gauges.database_up ? "up" : "down",
			   gauges.ingest_blocked ? "blocked" : "ok", (long long) gauges.spool_rows);
	reply(request, healthy ? HTTP_OK : HTTP_SERVUNAVAIL, healthy ? "OK" : "Service Unavailable",
		  &body);
	buf_free(&body);
}

Metrics *
metrics_new(struct event_base *base, const char *address, MetricsGauges gauges, void *arg)
{
	Metrics *metrics;
	char host[256];
	char port[16];

	if (!names_split(address, host, sizeof(host), port, sizeof(port)))
		return NULL;
	metrics = mem_alloc0(sizeof(*metrics));
	metrics->gauges = gauges;
	metrics->arg = arg;
	metrics->http = evhttp_new(base);
	evhttp_set_allowed_methods(metrics->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(metrics->http, 8192);
	evhttp_set_max_body_size(metrics->http, 1024);
	evhttp_set_timeout(metrics->http, 10);
	evhttp_set_cb(metrics->http, "/metrics", serve_metrics, metrics);
	evhttp_set_cb(metrics->http, "/healthz", serve_health, metrics);
	if (evhttp_bind_socket(metrics->http, host, (uint16_t) atoi(port)) != 0)
	{
		log_event(LEVEL_ERROR, "metrics_refused", "address=%s", log_value(address));
		metrics_free(metrics);
		return NULL;
	}
	return metrics;
}

void
metrics_free(Metrics *metrics)
{
	if (!metrics)
		return;
	evhttp_free(metrics->http);
	free(metrics);
}
