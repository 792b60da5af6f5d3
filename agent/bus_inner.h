/*
 * bus_inner.h
 *		The bus as its two halves see it; private to bus*.c.
 */
#ifndef PREPAYD_BUS_INNER_H
#define PREPAYD_BUS_INNER_H

#include "bus.h"
#include "job_heap.h"

typedef enum BusState
{
	BUS_DOWN,
	BUS_OPENING,
	BUS_UP,	  /* sends while the window has room */
	BUS_PAUSE /* up, but the line must be silent: the gap of the devices, or late bytes */
} BusState;

/* Positions of a job that is not in the heap. */
#define JOB_IN_FLIGHT (SIZE_MAX - 1)
#define JOB_PARKED SIZE_MAX

/* A request on its way. */
typedef struct Flight
{
	Job *job;
	uint16_t transaction;
	uint64_t begins;  /* position of its first byte in all that was ever queued */
	int64_t sent_at;  /* real time */
	int64_t deadline; /* monotonic */
} Flight;

struct Bus
{
	struct event_base *base;
	Link *link;
	BusFraming framing;
	int char_us; /* time of one character on the line; 0: not worth counting */
	BusLimits limits;
	BusHooks hooks;

	BusState state;
	struct event *timer;
	int64_t timer_at;		   /* monotonic; 0: not armed */
	int64_t pause_ends;		   /* monotonic */
	int64_t pause_limit;	   /* bytes of others prolong it no further */
	struct event *kick;		   /* defers work to the loop */
	struct event *urgent_kick; /* for commands: activating it interrupts the normal events */

	JobHeap queue;
	Job **parked; /* jobs being answered JOB_UNREACHABLE; cancelled ones become NULL */
	size_t parked_count;
	uint64_t submitted;
	bool finishing; /* in a callback after which the bus runs anyway */

	Flight flight[BUS_WINDOW_MAX];
	int flights;
	uint16_t transaction;
	uint8_t *out; /* bytes the link has not taken yet begin at out_sent */
	size_t out_size;
	size_t out_len;
	size_t out_sent;
	uint64_t queued; /* bytes ever put into out, and of them */
	uint64_t sent;	 /* those that the link took */
	uint8_t in[2 * FRAME_ADU_MAX];
	size_t in_len;

	unsigned failures; /* connection attempts without a single answer since the last good one */
	bool heard;		   /* this connection has carried a valid frame */
	bool restore_due;  /* the next connection ends a time in which none could be made */
	int64_t tried_at;  /* monotonic time of the last attempt */
	int64_t retry_at;
	unsigned timeouts; /* in a row */
	uint32_t timeout_station;
	bool timeout_stations; /* they came from more than one meter */
	uint32_t late_station; /* streamed: may still answer a request that was given up, */
	int64_t late_until;	   /* until then */
};

/* Who answers the job: the unit, or a hash of the longer address. */
uint32_t bus_station(const Job *job);

/* The bus looks again at `when` at the latest. */
void bus_wake_at(Bus *bus, int64_t when, int64_t now);

/* Silence between two requests, in microseconds; and a time of it. */
int64_t bus_gap(const Bus *bus);
void bus_pause(Bus *bus, int64_t usec);

/* ---- bus_outcome.c ---- */

/* Ends a flight; the caller then runs the bus. */
void bus_finish(Bus *bus, int flight, JobAnswer *answer);
void bus_remove_flight(Bus *bus, int flight);
void bus_close(Bus *bus);

/* The connection is gone: of what was on its way, that which begins before `sent` may be executed.
 */
void bus_fail_flights(Bus *bus, uint64_t sent, const char *reason);
void bus_fail_queued(Bus *bus);

/* An attempt to connect failed, or the connection broke before anything was heard on it. */
void bus_attempt_failed(Bus *bus, const char *reason);
void bus_broken(Bus *bus, const char *reason);
void bus_heard(Bus *bus);

/* ---- bus_wire.c ---- */

/* Frame of a job into out, which has room for FRAME_ADU_MAX; its length. */
size_t bus_encode(const Bus *bus, const Job *job, uint16_t transaction, uint8_t *out);

/* Characters the answer to the job has on a line; the longest there are where nobody knows. */
size_t bus_answer_chars(const Job *job);

/* Answers the flights whose answers are in the buffer; the bus may be down afterwards. */
void bus_parse(Bus *bus);

#endif
