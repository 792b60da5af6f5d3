/*
 * gateway_plan.c
 *		What the plan says about a gateway: transport, address, options.
 */
#include "gateway_plan.h"

#include "buf.h"
#include "line.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const option_keys[] = {
	"timeout_ms", "gap_ms", "connect_timeout_ms", "window",	  "poll", "baud", "parity", "stop",
	"rs485",	  "tls",	"password",			  "operator", NULL
};

static void
parse_line(const json_t *options, LinkLine *line, JsonFault *fault)
{
	static const int rates[] = { 300,	600,   1200,  2400,	 4800,	 9600,
								 14400, 19200, 38400, 57600, 115200, 230400 };
	bool known = false;
	char parity[4];

	line->baud = (int) jpath_int(fault, options, "options", "baud", 300, 230400, 9600);
	line->stop = (int) jpath_int(fault, options, "options", "stop", 1, 2, 1);
	line->rs485 = jpath_bool(fault, options, "options", "rs485", false);
	jpath_text(fault, options, "options", "parity", true, parity, sizeof(parity));
	line->parity = parity[0] ? parity[0] : 'N';
	if (parity[0] && (parity[1] || !strchr("NEO", parity[0])))
		jpath_fault(fault, "options", "\"parity\" must be N, E or O");
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++)
		known |= rates[i] == line->baud;
	if (!known)
		jpath_fault(fault, "options", "\"baud\" %d is no rate of a serial line", line->baud);
}

static void
parse_tls(const json_t *tls, LinkTls *out, JsonFault *fault)
{
	static const char *const known[] = { "ca", "certificate", "key", "name", NULL };

	if (!jpath_keys(fault, tls, "options.tls", known))
		return;
	jpath_text(fault, tls, "options.tls", "ca", true, out->ca, sizeof(out->ca));
	jpath_text(fault, tls, "options.tls", "certificate", true, out->certificate,
			   sizeof(out->certificate));
	jpath_text(fault, tls, "options.tls", "key", true, out->key, sizeof(out->key));
	jpath_text(fault, tls, "options.tls", "name", true, out->name, sizeof(out->name));
	if (!out->certificate[0] != !out->key[0])
		jpath_fault(fault, "options.tls", "\"certificate\" and \"key\" belong together");
}

/* Eight hex digits, as they go over the line. */
static void
parse_secret(const json_t *options, const char *key, char *out, size_t size, JsonFault *fault)
{
	uint8_t bytes[4];

	jpath_text(fault, options, "options", key, true, out, size);
	if (out[0] && jpath_bytes(out, bytes, sizeof(bytes)) != sizeof(bytes))
		jpath_fault(fault, "options", "\"%s\" must be 8 hex digits", key);
}

static void
parse_options(const json_t *options, GatewayPlan *plan, JsonFault *fault)
{
	GatewayOptions *out = &plan->options;
	char poll[8];

	out->connect_timeout_ms = LINE_CONNECT_TIMEOUT_MS;
	out->window = 1;
	if (!json_is_object(options))
		return;
	jpath_keys(fault, options, "options", option_keys);
	out->timeout_ms = (int) jpath_int(fault, options, "options", "timeout_ms", 0, 60000, 0);
	out->gap_ms = (int) jpath_int(fault, options, "options", "gap_ms", 0, 5000, 0);
	out->connect_timeout_ms = (int) jpath_int(fault, options, "options", "connect_timeout_ms", 10,
											  60000, LINE_CONNECT_TIMEOUT_MS);
	out->window = (int) jpath_int(fault, options, "options", "window", 1, BUS_WINDOW_MAX, 1);
	jpath_text(fault, options, "options", "poll", true, poll, sizeof(poll));
	out->spread = strcmp(poll, "spread") == 0;
	if (poll[0] && !out->spread && strcmp(poll, "grid") != 0)
		jpath_fault(fault, "options", "\"poll\" must be grid or spread");
	parse_secret(options, "password", out->password, sizeof(out->password), fault);
	parse_secret(options, "operator", out->operator_code, sizeof(out->operator_code), fault);
}

static void
parse_end(const json_t *item, GatewayPlan *plan, JsonFault *fault)
{
	const json_t *options = json_object_get(item, "options");
	const json_t *tls = json_object_get(options, "tls");
	char transport[16];

	jpath_text(fault, item, "", "transport", false, transport, sizeof(transport));
	jpath_text(fault, item, "", "address", false, plan->end.address, sizeof(plan->end.address));
	plan->framing = BUS_STREAMED;
	plan->end.kind = LINK_TCP;
	if (strcmp(transport, "tcp") == 0)
		plan->framing = BUS_MBAP;
	else if (strcmp(transport, "rtu") == 0)
		plan->end.kind = LINK_SERIAL;
	else if (strcmp(transport, "rtu_over_tcp") != 0)
		jpath_fault(fault, "", "transport \"%s\" is not known: tcp, rtu, rtu_over_tcp", transport);
	if (plan->end.kind == LINK_SERIAL || json_object_get(options, "baud"))
		parse_line(options, &plan->end.line, fault);
	if (!tls)
		return;
	if (plan->end.kind == LINK_SERIAL)
		jpath_fault(fault, "options", "\"tls\" is for tcp and rtu_over_tcp");
	plan->end.kind = LINK_TLS;
	parse_tls(tls, &plan->end.tls, fault);
}

/* Seconds, with a fraction where somebody wants one, to microseconds. */
static int64_t
parse_interval(const json_t *seconds, JsonFault *fault)
{
	double value = json_is_number(seconds) ? json_number_value(seconds) : 1800;

	if (value >= 1 && value <= 366 * 86400)
		return (int64_t) llround(value * (double) USEC_PER_SEC);
	jpath_fault(fault, "", "\"poll_interval_s\" must be 1 to %d", 366 * 86400);
	return 1800 * USEC_PER_SEC;
}

GatewayPlan *
gateway_plan_parse(const json_t *list, JsonFault *fault)
{
	GatewayPlan *plans = mem_alloc0((json_array_size(list) + 1) * sizeof(*plans));
	size_t index;
	json_t *item;

	if (!json_is_array(list))
		jpath_fault(fault, "gateways", "must be an array");
	json_array_foreach(list, index, item)
	{
		GatewayPlan *plan = &plans[index];
		char path[JPATH_SIZE];

		snprintf(path, sizeof(path), "gateways[%zu]", index);
		plan->id = (int) jpath_int(fault, item, path, "gateway_id", 1, INT32_MAX, -1);
		plan->interval = parse_interval(json_object_get(item, "poll_interval_s"), &plan->fault);
		jpath_text(fault, item, path, "code", false, plan->code, sizeof(plan->code));
		parse_end(item, plan, &plan->fault);
		parse_options(json_object_get(item, "options"), plan, &plan->fault);
	}
	return plans;
}

bool
link_end_equal(const LinkEnd *a, const LinkEnd *b)
{
	return a->kind == b->kind && strcmp(a->address, b->address) == 0 &&
		   a->line.baud == b->line.baud && a->line.parity == b->line.parity &&
		   a->line.stop == b->line.stop && a->line.rs485 == b->line.rs485 &&
		   strcmp(a->tls.ca, b->tls.ca) == 0 &&
		   strcmp(a->tls.certificate, b->tls.certificate) == 0 &&
		   strcmp(a->tls.key, b->tls.key) == 0 && strcmp(a->tls.name, b->tls.name) == 0;
}
