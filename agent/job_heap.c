/*
 * job_heap.c
 *		Priority queue of a bus's jobs.
 */
#include "job_heap.h"

#include "buf.h"
#include "bus_inner.h"

static bool
job_before(const Job *a, const Job *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->rank < b->rank;
}

static void
heap_put(JobHeap *heap, size_t position, Job *job)
{
	heap->job[position] = job;
	job->position = position;
}

static void
heap_up(JobHeap *heap, size_t position)
{
	Job *job = heap->job[position];

	while (position > 0 && job_before(job, heap->job[(position - 1) / 2]))
	{
		heap_put(heap, position, heap->job[(position - 1) / 2]);
		position = (position - 1) / 2;
	}
	heap_put(heap, position, job);
}

static void
heap_down(JobHeap *heap, size_t position)
{
	Job *job = heap->job[position];

	for (;;)
	{
		size_t child = 2 * position + 1;

		if (child >= heap->count)
			break;
		if (child + 1 < heap->count && job_before(heap->job[child + 1], heap->job[child]))
			child++;
		if (!job_before(heap->job[child], job))
			break;
		heap_put(heap, position, heap->job[child]);
		position = child;
	}
	heap_put(heap, position, job);
}

void
job_heap_add(JobHeap *heap, Job *job)
{
	if (heap->count == heap->size)
	{
		heap->size = heap->size ? 2 * heap->size : 16;
		heap->job = mem_realloc(heap->job, heap->size * sizeof(*heap->job));
	}
	heap->job[heap->count++] = job;
	heap_up(heap, heap->count - 1);
}

void
job_heap_remove(JobHeap *heap, Job *job)
{
	size_t position = job->position;
	Job *last = heap->job[--heap->count];

	if (last == job)
		return;
	heap_put(heap, position, last);
	heap_up(heap, position);
	heap_down(heap, last->position);
}

Job *
job_heap_first_other(const JobHeap *heap, uint32_t station)
{
	Job *first = NULL;

	for (size_t i = 0; i < heap->count; i++)
	{
		Job *job = heap->job[i];

		if (bus_station(job) != station && (!first || job_before(job, first)))
			first = job;
	}
	return first;
}
