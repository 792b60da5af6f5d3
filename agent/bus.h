/*
 * bus.h
 *		One connection to one gateway address: a priority queue of jobs, few requests in flight.
 */
#ifndef PREPAYD_BUS_H
#define PREPAYD_BUS_H

#include "dlt645.h"
#include "frame.h"
#include "link.h"

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

/* Lower goes first. Within one priority the order of `rank`, then of submission. */
typedef enum JobPriority
{
	JOB_COMMAND,
	JOB_READ_BACK,
	JOB_ON_DEMAND,
	JOB_PERIODIC,
	JOB_PROBE
} JobPriority;

typedef enum JobResult
{
	JOB_ANSWERED,	/* pdu holds the checked answer */
	JOB_EXCEPTION,	/* exception holds the code, reason its meaning */
	JOB_TIMEOUT,	/* sent, no valid answer in time */
	JOB_LOST,		/* sent at least in part, then the connection broke */
	JOB_UNREACHABLE /* certainly not sent */
} JobResult;

typedef struct JobAnswer
{
	JobResult result;
	int exception;		/* a Modbus code, also where the meter speaks DL/T 645 */
	const char *reason; /* in words, for all that is not JOB_ANSWERED */
	const uint8_t *pdu; /* valid during the callback only */
	size_t pdu_len;
	int64_t sent_at; /* real time */
	int64_t answered_at;
} JobAnswer;

typedef struct Bus Bus;
typedef struct Job Job;

/* Owned by the submitter; must stay in place until the callback or bus_cancel. */
struct Job
{
	JobPriority priority;
	uint64_t
		rank; /* the requests of one poll share a rank, so that a poll finishes before the next */
	FrameProtocol protocol;
	uint8_t unit;
	uint8_t station[DLT645_ADDRESS]; /* in place of unit where the protocol is DL/T 645 */
	int timeout_ms;
	uint16_t answer_pdu; /* PDU bytes of the answer to a vendor function; 0: unknown */
	uint8_t pdu[FRAME_PDU_MAX];
	size_t pdu_len;
	void (*done)(Job *job, const JobAnswer *answer);
	void *arg;

	/* the bus's own */
	Bus *bus;		 /* NULL: not submitted */
	size_t position; /* in the heap; meaningless while in flight */
};

typedef struct BusLimits
{
	int connect_timeout_ms;
	int gap_ms;				/* silence the devices need between requests */
	int64_t max_backoff_us; /* longest pause between connection attempts */
	int window; /* requests in flight; above 1 for native TCP that was found to bear it */
} BusLimits;

#define BUS_WINDOW_MAX 16

typedef enum BusFraming
{
	BUS_MBAP,	 /* Modbus TCP, also inside TLS */
	BUS_STREAMED /* as on a serial line: Modbus RTU and DL/T 645, told by their checksums */
} BusFraming;

typedef struct BusHooks
{
	/* A connection attempt failed, or the peer closed without having answered anything. */
	void (*failed)(void *arg, const char *reason);
	/* The first connection after one or more failures. */
	void (*restored)(void *arg);
	/* A valid frame of any unit arrived. */
	void (*heard)(void *arg);
	void *arg;
} BusHooks;

/* NULL with a reason when the end of the link cannot be right. */
Bus *bus_new(struct event_base *base, Names *names, const LinkEnd *end, BusFraming framing,
			 const BusLimits *limits, const BusHooks *hooks, char *reason, size_t size);

/* Answers every job with JOB_LOST or JOB_UNREACHABLE, then frees. */
void bus_free(Bus *bus);

void bus_set_limits(Bus *bus, const BusLimits *limits);
const char *bus_address(const Bus *bus);

/* Queues the job; the callback runs from the loop, never from within this call. */
void bus_submit(Bus *bus, Job *job);

/* Takes the job back without a callback; an answer that still comes is dropped as stale. */
void bus_cancel(Job *job);

static inline bool
bus_job_pending(const Job *job)
{
	return job->bus != NULL;
}

bool bus_job_in_flight(const Job *job);

/* Moves a queued job to another priority. */
void bus_promote(Job *job, JobPriority priority);

#endif
