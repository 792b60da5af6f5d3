/*
 * brake.c
 *		The agent's own bound on how many supplies it cuts within a minute.
 *
 * The database has a brake on automatic cuts, but it is also what a mistake or an intruder would
 * give orders by. So the agent counts for itself, orders of persons too. What it does not carry
 * out it reports as failed, and the database decides anew before it asks again.
 */
#include "brake.h"

#include "clock.h"

#define WINDOW_US (60 * USEC_PER_SEC)

int
brake_limit(int wanted, int meters)
{
	int limit = wanted > 0 ? wanted : meters / 10;

	if (wanted <= 0 && limit < BRAKE_LEAST)
		limit = BRAKE_LEAST;
	return limit < BRAKE_MAX ? limit : BRAKE_MAX;
}

bool
brake_allows(Brake *brake, int limit, int64_t now)
{
	/* The cut `limit` before this one must be a minute old. */
	int64_t *before = &brake->at[(brake->next + BRAKE_MAX - limit) % BRAKE_MAX];

	if (*before != 0 && now - *before < WINDOW_US)
		return false;
	brake->at[brake->next] = now;
	brake->next = (brake->next + 1) % BRAKE_MAX;
	return true;
}
