/*
 * bus_wire.c
 *		The bus's frames: from jobs to bytes, and from bytes to checked answers.
 *
 * Native TCP tells answers by transaction id. On a line there is only the shape of an answer: its
 * address, function, length and checksum. One request is in flight there, bytes that arrive when
 * none is are dropped, and a meter that did not answer in time is left alone until a late answer
 * can no longer be taken for that of another request (bus.c).
 */
#include "bus_inner.h"

#include "metrics.h"

#include <string.h>

enum
{
	EXCEPTION_ADDRESS = 0x02,
	EXCEPTION_VALUE = 0x03,
	DLT645_NO_DATA = 0x02, /* bit of the error byte */
	RECENT_TRANSACTIONS = 256
};

size_t
bus_encode(const Bus *bus, const Job *job, uint16_t transaction, uint8_t *out)
{
	if (job->protocol == FRAME_DLT645)
		return dlt645_encode(out, job->station, job->pdu, job->pdu_len);
	if (bus->framing == BUS_MBAP)
		return frame_mbap_encode(out, transaction, job->unit, job->pdu, job->pdu_len);
	return frame_rtu_encode(out, job->unit, job->pdu, job->pdu_len);
}

static size_t
expected_pdu(const Job *job)
{
	size_t known = frame_answer_length(job->pdu, job->pdu_len);

	return known ? known : job->answer_pdu;
}

size_t
bus_answer_chars(const Job *job)
{
	size_t pdu = expected_pdu(job);

	if (job->protocol == FRAME_DLT645)
		return DLT645_FRAME_MAX;
	return (pdu ? pdu : FRAME_PDU_MAX) + 3;
}

static FrameAnswer
check_modbus(const Job *job, const Frame *frame, JobAnswer *answer)
{
	FrameAnswer checked = frame_check(job->pdu, job->pdu_len, frame->pdu, frame->pdu_len);

	if (checked == ANSWER_EXCEPTION)
	{
		answer->exception = frame->pdu[1];
		answer->reason = frame_exception_text(answer->exception);
	}
	return checked;
}

static FrameAnswer
check_dlt645(const Job *job, const Frame *frame, JobAnswer *answer)
{
	FrameAnswer checked = dlt645_check(job->pdu, job->pdu_len, frame->pdu, frame->pdu_len);

	if (checked == ANSWER_EXCEPTION)
	{
		answer->exception = frame->pdu[1] & DLT645_NO_DATA ? EXCEPTION_ADDRESS : EXCEPTION_VALUE;
		answer->reason = dlt645_error_text(frame->pdu[1]);
	}
	return checked;
}

/* Returns whether the frame answers the flight. */
static bool
take_frame(Bus *bus, int flight, const Frame *frame)
{
	const Job *job = bus->flight[flight].job;
	uint8_t pdu[FRAME_PDU_MAX];
	JobAnswer answer = { .pdu = pdu, .pdu_len = frame->pdu_len };
	FrameAnswer checked = job->protocol == FRAME_DLT645 ? check_dlt645(job, frame, &answer)
														: check_modbus(job, frame, &answer);

	if (checked != ANSWER_GOOD && checked != ANSWER_EXCEPTION)
	{
		counters.bad_answers++;
		return false;
	}
	answer.result = checked == ANSWER_GOOD ? JOB_ANSWERED : JOB_EXCEPTION;
	if (checked == ANSWER_GOOD)
		counters.answers++;
	else
		counters.exceptions++;
	/* The callback may lead to a new read into the buffer, so it gets a copy. */
	memcpy(pdu, frame->pdu, frame->pdu_len);
	bus_heard(bus);
	bus_finish(bus, flight, &answer);
	return true;
}

static void
drop_bytes(Bus *bus, size_t count)
{
	memmove(bus->in, bus->in + count, bus->in_len - count);
	bus->in_len -= count;
}

/* ---- native TCP ---- */

static void
take_by_transaction(Bus *bus, const Frame *frame)
{
	int flight = 0;

	while (flight < bus->flights && bus->flight[flight].transaction != frame->transaction)
		flight++;
	if (flight == bus->flights || bus->sent <= bus->flight[flight].begins)
		counters.stale_answers++;
	else if (frame->unit != bus->flight[flight].job->unit)
		counters.bad_answers++;
	else
		take_frame(bus, flight, frame);
}

/* Whether these bytes may be the beginning of an answer to a request of the last while. */
static bool
may_follow(const Bus *bus, const uint8_t *bytes, size_t len)
{
	if (len >= 2 && (uint16_t) (bus->transaction - frame_get16(bytes)) >= RECENT_TRANSACTIONS)
		return false;
	if (len >= 4 && frame_get16(bytes + 2) != 0)
		return false;
	return len < 6 || (bytes[4] == 0 && bytes[5] >= 3 && bytes[5] <= FRAME_PDU_MAX + 1);
}

static void
parse_mbap(Bus *bus)
{
	Frame frame;
	FrameStatus status;
	size_t used = 0;

	while ((status = frame_mbap_next(bus->in + used, bus->in_len - used, &frame)) == FRAME_WHOLE)
	{
		used += frame.used;
		/* Where a gateway lost a part of an answer the next fills the hole, as nothing but what
		 * follows tells: Modbus TCP has no checksum. */
		if (bus->flights > 1 && !may_follow(bus, bus->in + used, bus->in_len - used))
		{
			status = FRAME_BROKEN;
			break;
		}
		take_by_transaction(bus, &frame);
		if (bus->state == BUS_DOWN)
			return;
	}
	if (status == FRAME_BROKEN)
	{
		counters.broken_frames++;
		bus_broken(bus, "answer is not Modbus TCP: is this a gateway for rtu_over_tcp?");
		return;
	}
	drop_bytes(bus, used);
}

/* ---- lines ---- */

static FrameStatus
next_on_line(Bus *bus, const Job *job, uint8_t *pdu, Frame *frame)
{
	if (job->protocol == FRAME_DLT645)
		return dlt645_next(bus->in, bus->in_len, job->station, pdu, frame);
	return frame_rtu_next(bus->in, bus->in_len, job->unit, job->pdu[0], expected_pdu(job), frame);
}

static void
parse_line(Bus *bus)
{
	uint8_t pdu[FRAME_PDU_MAX];
	Frame frame;
	FrameStatus status = FRAME_MORE;

	while (bus->flights > 0 && bus->in_len > 0)
	{
		status = next_on_line(bus, bus->flight[0].job, pdu, &frame);
		if (status != FRAME_WHOLE)
			break;
		if (take_frame(bus, 0, &frame))
			break;
		drop_bytes(bus, frame.used);
	}
	if (bus->state == BUS_DOWN)
		return;
	if (bus->flights == 0)
	{
		/* Behind an answer, or to nobody. */
		if (status != FRAME_WHOLE)
			counters.stale_answers++;
		bus->in_len = 0;
		return;
	}
	if (status == FRAME_BROKEN)
		counters.broken_frames++;
	if (bus->in_len > 0 && status != FRAME_WHOLE)
		drop_bytes(bus, frame.used);
	/* No frame is this long: what looks like a beginning is none. */
	if (bus->in_len > FRAME_ADU_MAX)
		drop_bytes(bus, bus->in_len - FRAME_ADU_MAX);
}

void
bus_parse(Bus *bus)
{
	if (bus->framing == BUS_MBAP)
		parse_mbap(bus);
	else
		parse_line(bus);
}
