/*
 * config.c
 *		The INI file: [agent] name, conninfo, spool, metrics, log_level.
 */
#include "config.h"

#include "buf.h"
#include "names.h"

#include <errno.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <string.h>

static char *
trim(char *text)
{
	size_t len;

	text += strspn(text, " \t\r\n");
	len = strlen(text);
	while (len > 0 && strchr(" \t\r\n", text[len - 1]))
		text[--len] = '\0';
	return text;
}

static const char *
set_value(Config *config, const char *key, const char *value)
{
	const struct
	{
		const char *key;
		char *out;
		size_t size;
	} options[] = { { "name", config->name, sizeof(config->name) },
					{ "conninfo", config->conninfo, sizeof(config->conninfo) },
					{ "spool", config->spool, sizeof(config->spool) },
					{ "metrics", config->metrics, sizeof(config->metrics) } };

	if (strcmp(key, "log_level") == 0)
		return log_parse_level(value, &config->log_level)
				   ? NULL
				   : "log_level must be debug, info, warn or error";
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
	{
		if (strcmp(key, options[i].key) == 0)
			return text_copy(options[i].out, options[i].size, value) ? NULL : "value is too long";
	}
	return "unknown key; there are name, conninfo, spool, metrics, log_level";
}

static const char *
parse_line(Config *config, char *line, bool *in_agent)
{
	char *text = trim(line);
	char *equals;

	if (text[0] == '\0' || text[0] == '#' || text[0] == ';')
		return NULL;
	if (text[0] == '[')
	{
		*in_agent = strcmp(text, "[agent]") == 0;
		return *in_agent ? NULL : "unknown section; there is only [agent]";
	}
	equals = strchr(text, '=');
	if (!*in_agent || !equals)
		return "expected \"key = value\" below [agent]";
	*equals = '\0';
	return set_value(config, trim(text), trim(equals + 1));
}

static const char *
check_whole(const Config *config)
{
	static char reason[512];
	char host[256];
	char port[16];
	char *message = NULL;
	PQconninfoOption *options;

	if (!config->name[0])
		return "name is missing";
	if (!config->conninfo[0])
		return "conninfo is missing";
	if (!config->spool[0])
		return "spool is missing";
	if (config->metrics[0] && !names_split(config->metrics, host, sizeof(host), port, sizeof(port)))
		return "metrics must be host:port";
	options = PQconninfoParse(config->conninfo, &message);
	if (options)
	{
		PQconninfoFree(options);
		return NULL;
	}
	snprintf(reason, sizeof(reason), "conninfo: %s", message ? trim(message) : "out of memory");
	PQfreemem(message);
	return reason;
}

bool
config_load(Config *config, const char *file, char *reason, size_t size)
{
	FILE *in = fopen(file, "re");
	char line[2048];
	int number = 0;
	bool in_agent = false;
	const char *fault = NULL;

	memset(config, 0, sizeof(*config));
	config->log_level = LEVEL_INFO;
	if (!in)
	{
		snprintf(reason, size, "%s: %s", file, strerror(errno));
		return false;
	}
	while (!fault && fgets(line, sizeof(line), in))
	{
		number++;
		fault = parse_line(config, line, &in_agent);
	}
	fclose(in);
	if (fault)
	{
		snprintf(reason, size, "%s:%d: %s", file, number, fault);
		return false;
	}
	fault = check_whole(config);
	if (fault)
		snprintf(reason, size, "%s: %s", file, fault);
	return fault == NULL;
}
