/*
 * log.h
 *		One key=value line per state change on standard error.
 */
#ifndef PREPAYD_LOG_H
#define PREPAYD_LOG_H

#include <stdbool.h>

typedef enum LogLevel
{
	LEVEL_DEBUG,
	LEVEL_INFO,
	LEVEL_WARN,
	LEVEL_ERROR
} LogLevel;

void log_set_level(LogLevel level);
bool log_parse_level(const char *name, LogLevel *level);

/* Writes "TIME level=L event=E FORMAT..."; event is a bare word, format may be "". */
void log_event(LogLevel level, const char *event, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * Returns text as a log value, quoted and escaped where it is not a bare word. The result lives in
 * one of eight rotating buffers: use it within the same call.
 */
const char *log_value(const char *text);

#endif
