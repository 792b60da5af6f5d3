/*
 * log.c: event lines.
 */
#include "log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

void
log_line(const char *format, ...)
{
	char stamp[32];
	char line[1024];
	struct timespec now;
	struct tm utc;
	va_list args;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &utc);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &utc);
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "ts=%s.%03ldZ %s\n", stamp, now.tv_nsec / 1000000, line);
}
