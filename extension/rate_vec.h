/*
 * rate_vec.h: growing the vectors of rate.h; private to the rate module.
 */
#ifndef PREPAY_RATE_VEC_H
#define PREPAY_RATE_VEC_H

#include "rate.h"

/* Most vectors of an account stay this short; a batch holds thousands of them. */
#define RATE_VEC_FIRST 1

/* The items with room for one more after n. */
static inline void *
rate_vec_room(void *item, int *capacity, int n, size_t size)
{
	size_t larger;

	if (n < *capacity)
		return item;
	/* A vector beyond int is out of memory: core_alloc raises. */
	if (*capacity > INT32_MAX / 2)
		core_alloc(SIZE_MAX);
	larger = *capacity > 0 ? (size_t) *capacity * 2 : RATE_VEC_FIRST;
	*capacity = (int) larger;
	return item ? core_realloc(item, larger * size) : core_alloc(larger * size);
}

#define RATE_ROOM(vec) \
	((vec)->item = rate_vec_room((vec)->item, &(vec)->capacity, (vec)->n, sizeof(*(vec)->item)))

/* Index of a period by name, -1 if the tariff has none. */
extern int rate_period(const Tariff *tariff, const char *name);

#endif
