/*
 * test_dlt645.c
 *		Frames of DL/T 645-2007 worked out by hand from the layout of the standard.
 */
#include "dlt645.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

/* Reads 00010000 of meter 202211110001; 17 is the sum from the first 68, modulo 256. */
static const uint8_t request[] = { 0xfe, 0xfe, 0xfe, 0xfe, 0x68, 0x01, 0x00, 0x11, 0x11, 0x22,
								   0x20, 0x68, 0x11, 0x04, 0x33, 0x33, 0x34, 0x33, 0x17, 0x16 };
/* 123456.78 kWh: 78 56 34 12, each with 33 added. */
static const uint8_t answer[] = { 0xfe, 0x68, 0x01, 0x00, 0x11, 0x11, 0x22, 0x20, 0x68, 0x91, 0x08,
								  0x33, 0x33, 0x34, 0x33, 0xab, 0x89, 0x67, 0x45, 0x7b, 0x16 };
static const uint8_t refusal[] = { 0x68, 0x01, 0x00, 0x11, 0x11, 0x22, 0x20,
								   0x68, 0xd1, 0x01, 0x35, 0x3c, 0x16 };

static void
address(void **state)
{
	static const uint8_t expected[] = { 0x01, 0x00, 0x11, 0x11, 0x22, 0x20 };
	uint8_t bytes[DLT645_ADDRESS];

	(void) state;
	assert_true(dlt645_address("202211110001", bytes));
	assert_memory_equal(bytes, expected, sizeof(bytes));
	assert_true(dlt645_address("17", bytes));
	assert_int_equal(bytes[0], 0x17);
	assert_int_equal(bytes[1], 0);
	assert_false(dlt645_address("", bytes));
	assert_false(dlt645_address("1234567890123", bytes));
	assert_false(dlt645_address("12A", bytes));
}

static void
encode(void **state)
{
	uint8_t pdu[FRAME_PDU_MAX];
	uint8_t frame[DLT645_FRAME_MAX];
	uint8_t station[DLT645_ADDRESS];
	size_t len = dlt645_read_request(pdu, 0x00010000);

	(void) state;
	assert_int_equal(len, 5);
	dlt645_address("202211110001", station);
	assert_int_equal(dlt645_encode(frame, station, pdu, len), sizeof(request));
	assert_memory_equal(frame, request, sizeof(request));
	assert_int_equal(dlt645_encode(frame, station, pdu, DLT645_DATA_MAX + 2), 0);
}

static void
decode(void **state)
{
	static const uint8_t value[] = { 0x91, 0x00, 0x00, 0x01, 0x00, 0x78, 0x56, 0x34, 0x12 };
	uint8_t buffer[2 + sizeof(answer)] = { 0x68, 0x33 };
	uint8_t pdu[FRAME_PDU_MAX];
	uint8_t asked[FRAME_PDU_MAX];
	uint8_t station[DLT645_ADDRESS];
	size_t asked_len = dlt645_read_request(asked, 0x00010000);
	Frame frame;

	(void) state;
	dlt645_address("202211110001", station);
	memcpy(buffer + 2, answer, sizeof(answer)); /* behind noise that looks like a start */
	for (size_t n = 1; n < sizeof(buffer); n++)
		assert_int_not_equal(dlt645_next(buffer, n, station, pdu, &frame), FRAME_WHOLE);
	assert_int_equal(dlt645_next(buffer, sizeof(buffer), station, pdu, &frame), FRAME_WHOLE);
	assert_int_equal(frame.used, sizeof(buffer));
	assert_int_equal(frame.pdu_len, sizeof(value));
	assert_memory_equal(frame.pdu, value, sizeof(value));
	assert_int_equal(dlt645_check(asked, asked_len, frame.pdu, frame.pdu_len), ANSWER_GOOD);
	asked[3] = 2; /* another identification was asked */
	assert_int_equal(dlt645_check(asked, asked_len, frame.pdu, frame.pdu_len), ANSWER_WRONG_ECHO);
	/* Our own request, echoed by an adapter, is no answer; nor is that of another meter. */
	assert_int_equal(dlt645_next(request, sizeof(request), station, pdu, &frame), FRAME_BROKEN);
	station[0] = 2;
	assert_int_equal(dlt645_next(answer, sizeof(answer), station, pdu, &frame), FRAME_BROKEN);
	memset(station, 0xaa, sizeof(station));
	assert_int_equal(dlt645_next(answer, sizeof(answer), station, pdu, &frame), FRAME_WHOLE);
	buffer[15] ^= 1;
	assert_int_equal(dlt645_next(buffer, sizeof(buffer), station, pdu, &frame), FRAME_BROKEN);
}

static void
refused(void **state)
{
	uint8_t pdu[FRAME_PDU_MAX];
	uint8_t asked[FRAME_PDU_MAX];
	uint8_t any[DLT645_ADDRESS];
	size_t asked_len = dlt645_read_request(asked, 0x00010000);
	Frame frame;

	(void) state;
	memset(any, 0xaa, sizeof(any));
	assert_int_equal(dlt645_next(refusal, sizeof(refusal), any, pdu, &frame), FRAME_WHOLE);
	assert_int_equal(dlt645_check(asked, asked_len, frame.pdu, frame.pdu_len), ANSWER_EXCEPTION);
	assert_string_equal(dlt645_error_text(frame.pdu[1]), "no such data");
}

static void
hostile(void **state)
{
	uint8_t any[DLT645_ADDRESS];

	(void) state;
	memset(any, 0xaa, sizeof(any));
	srandom(7);
	for (int i = 0; i < 200000; i++)
	{
		size_t len = (size_t) random() % 300;
		uint8_t *bytes = malloc(len ? len : 1);
		uint8_t pdu[FRAME_PDU_MAX];
		Frame frame;

		for (size_t n = 0; n < len; n++)
			bytes[n] = (uint8_t) (random() % 3 ? random() : 0x68);
		if (dlt645_next(bytes, len, any, pdu, &frame) == FRAME_WHOLE)
			assert_true(frame.pdu_len <= 1 + DLT645_DATA_MAX);
		assert_true(frame.used <= len || len == 0);
		free(bytes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(address), cmocka_unit_test(encode),
										cmocka_unit_test(decode), cmocka_unit_test(refused),
										cmocka_unit_test(hostile) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
