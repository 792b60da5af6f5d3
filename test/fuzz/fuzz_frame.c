/*
 * fuzz_frame.c
 *		What a gateway or a line may send: Modbus TCP, RTU and DL/T 645 frames, and their check.
 */
#include "dlt645.h"
#include "frame.h"

#include <stdlib.h>
#include <string.h>

static void
require(int condition)
{
	if (!condition)
		abort();
}

static void
check(const Frame *frame)
{
	static const uint8_t requests[][16] = { { 3, 0, 0, 0, 2 },
											{ 16, 0, 0x57, 0, 2, 4, 0, 1, 0, 1 },
											{ 0x20, 1, 0, 0, 4, 8 } };

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		frame_check(requests[i], 10, frame->pdu, frame->pdu_len);
	frame_exception_text(frame->pdu[0]);
}

static void
modbus_tcp(const uint8_t *bytes, size_t len)
{
	Frame frame;
	size_t at = 0;

	while (frame_mbap_next(bytes + at, len - at, &frame) == FRAME_WHOLE)
	{
		require(frame.used > FRAME_MBAP_HEADER && at + frame.used <= len);
		require(frame.pdu + frame.pdu_len == bytes + at + frame.used);
		check(&frame);
		at += frame.used;
	}
}

static void
modbus_rtu(const uint8_t *bytes, size_t len, uint8_t unit, uint8_t function, size_t expected)
{
	Frame frame;
	size_t at = 0;

	while (frame_rtu_next(bytes + at, len - at, unit, function, expected, &frame) == FRAME_WHOLE)
	{
		require(frame.used > 3 && at + frame.used <= len);
		require(frame.pdu + frame.pdu_len + 2 == bytes + at + frame.used);
		check(&frame);
		at += frame.used;
	}
	require(frame.used <= len - at);
}

static void
dlt645(const uint8_t *bytes, size_t len, const uint8_t *address)
{
	uint8_t request[FRAME_PDU_MAX];
	uint8_t pdu[FRAME_PDU_MAX];
	size_t request_len = dlt645_read_request(request, 0x00010000);
	Frame frame;
	size_t at = 0;

	while (dlt645_next(bytes + at, len - at, address, pdu, &frame) == FRAME_WHOLE)
	{
		require(frame.used >= 12 && at + frame.used <= len);
		require(frame.pdu_len >= 1 && frame.pdu_len <= 1 + DLT645_DATA_MAX);
		dlt645_check(request, request_len, frame.pdu, frame.pdu_len);
		at += frame.used;
	}
	require(frame.used <= len - at);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t any[DLT645_ADDRESS] = { 0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa };
	uint8_t out[DLT645_FRAME_MAX];

	if (size < 4)
		return 0;
	modbus_tcp(data, size);
	modbus_rtu(data + 3, size - 3, data[0], data[1] & 0x7f, data[2]);
	dlt645(data, size, any);
	/* What is encoded is found again. */
	if (size <= 1 + DLT645_DATA_MAX)
	{
		size_t len = dlt645_encode(out, any, data, size);

		dlt645(out, len, any);
	}
	return 0;
}
