/*
 * core_malloc.c: memory for the rating core outside the server.
 */
#include "core.h"

#include <stdlib.h>

void *
core_alloc(size_t size)
{
	void *p = calloc(1, size > 0 ? size : 1);

	if (p == NULL)
		abort();
	return p;
}

void *
core_realloc(void *p, size_t size)
{
	p = realloc(p, size > 0 ? size : 1);
	if (p == NULL)
		abort();
	return p;
}

void
core_free(void *p)
{
	free(p);
}
