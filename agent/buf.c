/*
 * buf.c
 *		Growable text buffer and the allocation helpers of the agent.
 */
#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *
mem_realloc(void *old, size_t size)
{
	void *result = realloc(old, size ? size : 1);

	if (!result)
	{
		fputs("level=error event=out_of_memory\n", stderr);
		abort();
	}
	return result;
}

void *
mem_alloc(size_t size)
{
	return mem_realloc(NULL, size);
}

void *
mem_alloc0(size_t size)
{
	return memset(mem_alloc(size), 0, size);
}

char *
mem_strdup(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(mem_alloc(size), text, size);
}

bool
text_copy(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);
	bool whole = len < size;

	if (!whole)
		len = size - 1;
	memcpy(out, text, len);
	out[len] = '\0';
	return whole;
}

void
buf_init(Buf *buf)
{
	memset(buf, 0, sizeof(*buf));
}

void
buf_free(Buf *buf)
{
	free(buf->data);
	buf_init(buf);
}

void
buf_reset(Buf *buf)
{
	buf->len = 0;
	if (buf->data)
		buf->data[0] = '\0';
}

static void
buf_reserve(Buf *buf, size_t more)
{
	size_t need = buf->len + more + 1;

	if (need <= buf->size)
		return;
	if (buf->size == 0)
		buf->size = 128;
	while (buf->size < need)
		buf->size *= 2;
	buf->data = mem_realloc(buf->data, buf->size);
}

void
buf_add_bytes(Buf *buf, const void *bytes, size_t len)
{
	buf_reserve(buf, len);
	if (len)
		memcpy(buf->data + buf->len, bytes, len);
	buf->len += len;
	buf->data[buf->len] = '\0';
}

void
buf_add(Buf *buf, const char *text)
{
	buf_add_bytes(buf, text, strlen(text));
}

void
buf_vprintf(Buf *buf, const char *format, va_list args)
{
	va_list again;
	int len;

	va_copy(again, args);
	buf_reserve(buf, 64);
	len = vsnprintf(buf->data + buf->len, buf->size - buf->len, format, args);
	if (len >= 0 && (size_t) len >= buf->size - buf->len)
	{
		buf_reserve(buf, (size_t) len);
		vsnprintf(buf->data + buf->len, buf->size - buf->len, format, again);
	}
	va_end(again);
	if (len > 0)
		buf->len += (size_t) len;
}

void
buf_printf(Buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_vprintf(buf, format, args);
	va_end(args);
}
