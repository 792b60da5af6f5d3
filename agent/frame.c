/*
 * frame.c
 *		Modbus framing: PDUs, MBAP (TCP) and RTU envelopes, and the check of an answer.
 */
#include "frame.h"

#include <string.h>

enum
{
	READ_HOLDING = 3,
	READ_INPUT = 4,
	WRITE_ONE = 6,
	WRITE_MANY = 16,
	EXCEPTION_BIT = 0x80
};

uint16_t
frame_get16(const uint8_t *bytes)
{
	return (uint16_t) (bytes[0] << 8 | bytes[1]);
}

void
frame_put16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t) (value >> 8);
	bytes[1] = (uint8_t) value;
}

size_t
frame_read_request(uint8_t *pdu, uint8_t function, uint16_t address, uint16_t count)
{
	pdu[0] = function;
	frame_put16(pdu + 1, address);
	frame_put16(pdu + 3, count);
	return 5;
}

size_t
frame_write_request(uint8_t *pdu, uint8_t function, uint16_t address, const uint8_t *data,
					size_t len)
{
	pdu[0] = function;
	frame_put16(pdu + 1, address);
	if (function == WRITE_ONE)
	{
		if (len != 2)
			return 0;
		memcpy(pdu + 3, data, 2);
		return 5;
	}
	if (len == 0 || len % 2 || len > 2 * FRAME_WRITE_MAX)
		return 0;
	frame_put16(pdu + 3, (uint16_t) (len / 2));
	pdu[5] = (uint8_t) len;
	memcpy(pdu + 6, data, len);
	return 6 + len;
}

size_t
frame_mbap_encode(uint8_t *adu, uint16_t transaction, uint8_t unit, const uint8_t *pdu, size_t len)
{
	frame_put16(adu, transaction);
	frame_put16(adu + 2, 0);
	frame_put16(adu + 4, (uint16_t) (len + 1));
	adu[6] = unit;
	memcpy(adu + FRAME_MBAP_HEADER, pdu, len);
	return FRAME_MBAP_HEADER + len;
}

FrameStatus
frame_mbap_next(const uint8_t *buffer, size_t len, Frame *frame)
{
	size_t length;

	if (len < 6)
		return FRAME_MORE;
	length = frame_get16(buffer + 4);
	/* Shortest answer: unit, function, one byte. An RTU gateway on this port fails here at once. */
	if (frame_get16(buffer + 2) != 0 || length < 3 || length > FRAME_PDU_MAX + 1)
	{
		frame->used = len;
		return FRAME_BROKEN;
	}
	if (len < 6 + length)
		return FRAME_MORE;
	frame->transaction = frame_get16(buffer);
	frame->unit = buffer[6];
	frame->pdu = buffer + FRAME_MBAP_HEADER;
	frame->pdu_len = length - 1;
	frame->used = 6 + length;
	return FRAME_WHOLE;
}

uint16_t
frame_crc(const uint8_t *bytes, size_t len)
{
	uint16_t crc = 0xffff;

	for (size_t i = 0; i < len; i++)
	{
		crc ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (uint16_t) (crc & 1 ? crc >> 1 ^ 0xa001 : crc >> 1);
	}
	return crc;
}

size_t
frame_rtu_encode(uint8_t *adu, uint8_t unit, const uint8_t *pdu, size_t len)
{
	uint16_t crc;

	adu[0] = unit;
	memcpy(adu + 1, pdu, len);
	crc = frame_crc(adu, len + 1);
	adu[len + 1] = (uint8_t) crc;
	adu[len + 2] = (uint8_t) (crc >> 8);
	return len + 3;
}

static bool
rtu_crc_good(const uint8_t *adu, size_t len)
{
	uint16_t crc = frame_crc(adu, len - 2);

	return adu[len - 2] == (uint8_t) crc && adu[len - 1] == (uint8_t) (crc >> 8);
}

/* Length of a whole frame at the start of the bytes, 0 when there is none, or none yet. */
static size_t
rtu_length(const uint8_t *bytes, size_t len, size_t expected)
{
	bool exception = len > 1 && bytes[1] & EXCEPTION_BIT;
	size_t want = exception ? 5 : expected + 3;

	if (exception || expected > 0)
		return len >= want && rtu_crc_good(bytes, want) ? want : 0;
	/* A vendor's answer of unknown length ends where its checksum fits. */
	for (want = 4; want <= len && want <= FRAME_PDU_MAX + 3; want++)
	{
		if (rtu_crc_good(bytes, want))
			return want;
	}
	return 0;
}

static bool
rtu_may_begin(const uint8_t *bytes, size_t len, uint8_t unit, uint8_t function, size_t expected)
{
	if (bytes[0] != unit || (len > 1 && (bytes[1] & ~EXCEPTION_BIT) != function))
		return false;
	if (len > 1 && bytes[1] & EXCEPTION_BIT)
		return len < 5;
	return len < (expected > 0 ? expected : FRAME_PDU_MAX) + 3;
}

FrameStatus
frame_rtu_next(const uint8_t *buffer, size_t len, uint8_t unit, uint8_t function, size_t expected,
			   Frame *frame)
{
	size_t keep = len;

	/* Noise may look like the beginning of an answer, so the answer is looked for behind it, too.
	 */
	for (size_t at = 0; at < len; at++)
	{
		size_t left = len - at;
		size_t want;

		if (buffer[at] != unit || (left > 1 && (buffer[at + 1] & ~EXCEPTION_BIT) != function))
			continue;
		want = rtu_length(buffer + at, left, expected);
		if (want > 0)
		{
			frame->transaction = 0;
			frame->unit = unit;
			frame->pdu = buffer + at + 1;
			frame->pdu_len = want - 3;
			frame->used = at + want;
			return FRAME_WHOLE;
		}
		if (keep == len && rtu_may_begin(buffer + at, left, unit, function, expected))
			keep = at;
	}
	frame->used = keep;
	return keep < len || len == 0 ? FRAME_MORE : FRAME_BROKEN;
}

size_t
frame_answer_length(const uint8_t *request, size_t len)
{
	if (len < 5)
		return 0;
	switch (request[0])
	{
		case READ_HOLDING:
		case READ_INPUT:
			return 2 + 2 * (size_t) frame_get16(request + 3);
		case WRITE_ONE:
		case WRITE_MANY:
			return 5;
		default:
			return 0;
	}
}

FrameAnswer
frame_check(const uint8_t *request, size_t request_len, const uint8_t *answer, size_t answer_len)
{
	size_t expected = frame_answer_length(request, request_len);

	if (answer_len < 2)
		return ANSWER_WRONG_LENGTH;
	if (answer[0] == (request[0] | EXCEPTION_BIT))
		return answer_len == 2 ? ANSWER_EXCEPTION : ANSWER_WRONG_LENGTH;
	if (answer[0] != request[0])
		return ANSWER_WRONG_FUNCTION;
	if (expected == 0)
		return ANSWER_GOOD;
	if (answer_len != expected)
		return ANSWER_WRONG_LENGTH;
	if (request[0] == READ_HOLDING || request[0] == READ_INPUT)
		return answer[1] == answer_len - 2 ? ANSWER_GOOD : ANSWER_WRONG_LENGTH;
	return memcmp(answer + 1, request + 1, 4) == 0 ? ANSWER_GOOD : ANSWER_WRONG_ECHO;
}

const char *
frame_exception_text(int code)
{
	switch (code)
	{
		case 0x01:
			return "illegal function";
		case 0x02:
			return "illegal data address";
		case 0x03:
			return "illegal data value";
		case 0x04:
			return "device failure";
		case 0x05:
			return "acknowledge";
		case 0x06:
			return "device busy";
		case 0x08:
			return "memory parity error";
		case 0x0a:
			return "gateway path unavailable";
		case 0x0b:
			return "gateway target did not respond";
		default:
			return "unknown exception";
	}
}
