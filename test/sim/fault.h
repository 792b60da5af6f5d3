/*
 * fault.h: how a meter or a gateway misbehaves.
 */
#ifndef SIM_FAULT_H
#define SIM_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum FaultKind
{
	FAULT_OFF,
	FAULT_SILENCE,	  /* no answer */
	FAULT_LATE,		  /* the answer comes after delay_ms */
	FAULT_WRONG_TID,  /* answer with another transaction id */
	FAULT_WRONG_UNIT, /* answer from another unit */
	FAULT_PARTIAL,	  /* half the answer, the rest after delay_ms; never with 0 */
	FAULT_GLUE,		  /* a stale answer and the true one in one segment */
	FAULT_EXCEPTION,  /* exception answer, request not carried out */
	FAULT_DISCONNECT, /* connection closed instead of an answer */
	FAULT_REFUSE,	  /* gateway only: nobody listens, connections are closed */
	FAULT_NOISE,	  /* random bytes in front of the answer */
	FAULT_KINDS
} FaultKind;

typedef enum FaultScope
{
	FAULT_ANY,
	FAULT_READS,
	FAULT_WRITES
} FaultScope;

typedef struct Fault
{
	FaultKind kind;
	FaultScope scope;
	bool limited;
	bool lose_answer; /* silence, disconnect: the request is carried out, its answer is lost */
	uint8_t exception_code;
	int64_t remaining; /* requests it still hits, if limited */
	int64_t delay_ms;
	int64_t probability_ppm;
} Fault;

/*
 * Parse a kind and its options (n=, ms=, p=, code=, lost=request|answer, on=any|read|write). On
 * false, error says why and the fault is unchanged.
 */
extern bool fault_parse(char *const *words, int count, Fault *fault, char *error, size_t size);

/* The kind to apply to this request, FAULT_OFF for none; counts down a limited fault. */
extern FaultKind fault_draw(Fault *fault, bool is_write);

/* Start the random numbers behind probabilities and noise. */
extern void fault_seed(uint64_t seed);
extern uint64_t fault_random(void);

#endif
