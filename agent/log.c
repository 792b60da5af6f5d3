/*
 * log.c
 *		One key=value line per state change on standard error.
 */
#include "log.h"

#include "buf.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static _Atomic LogLevel log_threshold = LEVEL_INFO;
static const char *const level_names[] = { "debug", "info", "warn", "error" };

void
log_set_level(LogLevel level)
{
	log_threshold = level;
}

bool
log_parse_level(const char *name, LogLevel *level)
{
	for (int i = LEVEL_DEBUG; i <= LEVEL_ERROR; i++)
	{
		if (strcmp(name, level_names[i]) == 0)
		{
			*level = (LogLevel) i;
			return true;
		}
	}
	return false;
}

void
log_event(LogLevel level, const char *event, const char *format, ...)
{
	struct timespec now;
	struct tm utc;
	char stamp[32];
	Buf line;
	va_list args;

	if (level < log_threshold)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	buf_init(&line);
	buf_printf(&line, "%s.%03ldZ level=%s event=%s", stamp, now.tv_nsec / 1000000,
			   level_names[level], event);
	if (format[0])
	{
		buf_add(&line, " ");
		va_start(args, format);
		buf_vprintf(&line, format, args);
		va_end(args);
	}
	buf_add(&line, "\n");
	/* One write per line keeps lines whole when several processes share the descriptor. */
	if (write(STDERR_FILENO, line.data, line.len) < 0)
		log_threshold = LEVEL_ERROR;
	buf_free(&line);
}

static bool
is_bare(const char *text)
{
	if (text[0] == '\0')
		return false;
	for (const char *c = text; *c; c++)
	{
		if ((unsigned char) *c <= ' ' || *c == '"' || *c == '=' || *c == '\\' || *c == 0x7f)
			return false;
	}
	return true;
}

const char *
log_value(const char *text)
{
	static _Thread_local char slots[8][512];
	static _Thread_local unsigned next;
	char *out = slots[next++ % 8];
	size_t n = 0;

	if (!text)
		return "none";
	if (is_bare(text))
	{
		text_copy(out, sizeof(slots[0]), text);
		return out;
	}
	out[n++] = '"';
	for (const char *c = text; *c && n < sizeof(slots[0]) - 3; c++)
	{
		if (*c == '"' || *c == '\\')
			out[n++] = '\\';
		out[n++] = (unsigned char) *c < ' ' ? ' ' : *c;
	}
	out[n++] = '"';
	out[n] = '\0';
	return out;
}
