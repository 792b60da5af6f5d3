/*
 * job_heap.h
 *		Priority queue of a bus's jobs; a job knows its position, so any can be taken out.
 */
#ifndef PREPAYD_JOB_HEAP_H
#define PREPAYD_JOB_HEAP_H

#include "bus.h"

typedef struct JobHeap
{
	Job **job; /* job[0] goes next */
	size_t count;
	size_t size;
} JobHeap;

void job_heap_add(JobHeap *heap, Job *job);
void job_heap_remove(JobHeap *heap, Job *job);

/* The first job for another station (bus_station), NULL when there is none; looks at all. */
Job *job_heap_first_other(const JobHeap *heap, uint32_t station);

#endif
