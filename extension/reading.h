/*
 * reading.h: the new rows of a statement on prepay.reading.
 */
#ifndef PREPAY_READING_H
#define PREPAY_READING_H

#include "postgres.h"

#include "commands/trigger.h"

#include "accept.h"

typedef struct ReadingVec
{
	int n;
	int room;
	Reading *item;
} ReadingVec;

/* Read the transition table; readings are then in the order of site, meter, time. */
extern void reading_collect(TriggerData *trigger, ReadingVec *readings);

#endif
