/*
 * log.h: one key=value line per event on stderr.
 */
#ifndef SIM_LOG_H
#define SIM_LOG_H

/* Write a line with a real-time stamp in front. */
extern void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
