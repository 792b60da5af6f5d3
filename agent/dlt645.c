/*
 * dlt645.c
 *		DL/T 645-2007 framing.
 */
#include "dlt645.h"

#include <string.h>

enum
{
	START = 0x68,
	END = 0x16,
	WAKE = 0xfe,
	ANY = 0xaa,
	MASK = 0x33,
	HEADER = 10, /* from the first 68 to L */
	ANSWER_BIT = 0x80,
	ERROR_BIT = 0x40,
	MORE_BIT = 0x20,
	IDENTIFICATION = 4
};

bool
dlt645_address(const char *text, uint8_t *address)
{
	size_t len = strlen(text);

	memset(address, 0, DLT645_ADDRESS);
	if (len == 0 || len > 2 * DLT645_ADDRESS || strspn(text, "0123456789") != len)
		return false;
	for (size_t i = 0; i < len; i++)
		address[i / 2] |= (uint8_t) ((text[len - 1 - i] - '0') << 4 * (i % 2));
	return true;
}

size_t
dlt645_read_request(uint8_t *pdu, uint32_t identification)
{
	pdu[0] = DLT645_READ;
	for (int i = 0; i < IDENTIFICATION; i++)
		pdu[1 + i] = (uint8_t) (identification >> 8 * i);
	return 1 + IDENTIFICATION;
}

static uint8_t
checksum(const uint8_t *bytes, size_t len)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < len; i++)
		sum = (uint8_t) (sum + bytes[i]);
	return sum;
}

size_t
dlt645_encode(uint8_t *out, const uint8_t *address, const uint8_t *pdu, size_t len)
{
	uint8_t *frame = out + 4;

	if (len < 1 || len - 1 > DLT645_DATA_MAX)
		return 0;
	memset(out, WAKE, 4);
	frame[0] = frame[7] = START;
	memcpy(frame + 1, address, DLT645_ADDRESS);
	frame[8] = pdu[0];
	frame[9] = (uint8_t) (len - 1);
	for (size_t i = 1; i < len; i++)
		frame[HEADER + i - 1] = (uint8_t) (pdu[i] + MASK);
	frame[HEADER + len - 1] = checksum(frame, HEADER + len - 1);
	frame[HEADER + len] = END;
	return 4 + HEADER + len + 1;
}

static bool
is_address(const uint8_t *wanted, const uint8_t *found)
{
	for (int i = 0; i < DLT645_ADDRESS; i++)
	{
		if (wanted[i] != ANY && wanted[i] != found[i])
			return false;
	}
	return true;
}

/* A frame at the very start of the bytes; FRAME_BROKEN: there is none and there will be none. */
static FrameStatus
frame_here(const uint8_t *bytes, size_t len, const uint8_t *address, size_t *data_len)
{
	if (bytes[0] != START || (len > 7 && bytes[7] != START))
		return FRAME_BROKEN;
	if (len >= HEADER && bytes[9] > DLT645_DATA_MAX)
		return FRAME_BROKEN;
	if (len < HEADER || len < HEADER + (size_t) bytes[9] + 2)
		return FRAME_MORE;
	*data_len = bytes[9];
	if (bytes[HEADER + *data_len + 1] != END ||
		bytes[HEADER + *data_len] != checksum(bytes, HEADER + *data_len) ||
		!(bytes[8] & ANSWER_BIT) || !is_address(address, bytes + 1))
		return FRAME_BROKEN;
	return FRAME_WHOLE;
}

FrameStatus
dlt645_next(const uint8_t *buffer, size_t len, const uint8_t *address, uint8_t *pdu, Frame *frame)
{
	size_t keep = len;
	size_t data_len = 0;

	for (size_t at = 0; at < len; at++)
	{
		FrameStatus status = frame_here(buffer + at, len - at, address, &data_len);

		if (status == FRAME_MORE && keep == len)
			keep = at;
		if (status != FRAME_WHOLE)
			continue;
		pdu[0] = buffer[at + 8];
		for (size_t i = 0; i < data_len; i++)
			pdu[1 + i] = (uint8_t) (buffer[at + HEADER + i] - MASK);
		frame->transaction = 0;
		frame->unit = 0;
		frame->pdu = pdu;
		frame->pdu_len = 1 + data_len;
		frame->used = at + HEADER + data_len + 2;
		return FRAME_WHOLE;
	}
	frame->used = keep;
	return keep < len ? FRAME_MORE : FRAME_BROKEN;
}

FrameAnswer
dlt645_check(const uint8_t *request, size_t request_len, const uint8_t *answer, size_t answer_len)
{
	if (answer_len < 1 || (answer[0] & 0x1f) != (request[0] & 0x1f))
		return ANSWER_WRONG_FUNCTION;
	if (answer[0] & ERROR_BIT)
		return answer_len == 2 ? ANSWER_EXCEPTION : ANSWER_WRONG_LENGTH;
	/* Values longer than a frame are read by further frames, which no profile of ours needs. */
	if (answer[0] & MORE_BIT)
		return ANSWER_WRONG_LENGTH;
	if (request[0] != DLT645_READ)
		return ANSWER_GOOD;
	if (request_len < 1 + IDENTIFICATION || answer_len <= 1 + IDENTIFICATION)
		return ANSWER_WRONG_LENGTH;
	return memcmp(answer + 1, request + 1, IDENTIFICATION) == 0 ? ANSWER_GOOD : ANSWER_WRONG_ECHO;
}

const char *
dlt645_error_text(int error)
{
	static const char *const bits[] = { "other error",
										"no such data",
										"wrong password or no right",
										"the rate of the line cannot be changed",
										"too many time zones of the year",
										"too many periods of the day",
										"too many rates" };

	for (size_t bit = 1; bit < sizeof(bits) / sizeof(bits[0]); bit++)
	{
		if (error & 1 << bit)
			return bits[bit];
	}
	return bits[0];
}
