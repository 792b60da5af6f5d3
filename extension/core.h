/*
 * core.h: what the pure rating core needs from its surroundings.
 *
 * The core (money, cal, doc, tariff, rate, supply) is plain C11 without server
 * headers: it is unit-tested, fuzzed and benchmarked outside PostgreSQL. The
 * only thing it takes from outside is memory. In the server core_alloc is
 * palloc (an out-of-memory raises), in tests it is malloc with abort.
 */
#ifndef PREPAY_CORE_H
#define PREPAY_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Never return NULL. core_alloc returns zeroed memory. */
extern void *core_alloc(size_t size);
extern void *core_realloc(void *p, size_t size);
extern void core_free(void *p);

#endif
