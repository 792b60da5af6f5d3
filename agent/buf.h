/*
 * buf.h
 *		Growable text buffer and the allocation helpers of the agent.
 */
#ifndef PREPAYD_BUF_H
#define PREPAYD_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct Buf
{
	char *data; /* always NUL-terminated once something was added */
	size_t len;
	size_t size;
} Buf;

void buf_init(Buf *buf);
void buf_free(Buf *buf);
void buf_reset(Buf *buf);
void buf_add(Buf *buf, const char *text);
void buf_add_bytes(Buf *buf, const void *bytes, size_t len);
void buf_printf(Buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(Buf *buf, const char *format, va_list args);

/* Allocation that ends the process when memory is exhausted: the service manager restarts it. */
void *mem_alloc(size_t size);
void *mem_alloc0(size_t size);
void *mem_realloc(void *old, size_t size);
char *mem_strdup(const char *text);

/* Copies at most size - 1 bytes and always terminates; returns false when text was cut. */
bool text_copy(char *out, size_t size, const char *text);

#endif
