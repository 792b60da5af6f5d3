/*
 * brake.h
 *		The agent's own bound on how many supplies it cuts within a minute.
 */
#ifndef PREPAYD_BRAKE_H
#define PREPAYD_BRAKE_H

#include <stdbool.h>
#include <stdint.h>

/* Nothing configures the agent to cut more than this. */
#define BRAKE_MAX 1000
#define BRAKE_LEAST 60

/* The last cuts; all zero is a brake that has seen none. */
typedef struct Brake
{
	int64_t at[BRAKE_MAX]; /* monotonic, a ring */
	int next;
	bool engaged; /* as logged */
} Brake;

/* Cuts a minute: as the site wants (0: nothing said), else a tenth of the meters or BRAKE_LEAST. */
int brake_limit(int wanted, int meters);

/* Whether one more cut may happen now; it is counted if so. */
bool brake_allows(Brake *brake, int limit, int64_t now);

#endif
