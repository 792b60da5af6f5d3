/*
 * test_frame.c
 *		Framing and the check of answers: whole, partial, glued, foreign, hostile.
 */
#include "frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static const uint8_t read_request[] = { 3, 0x00, 0x57, 0x00, 0x02 };
static const uint8_t read_answer[] = { 3, 4, 0, 1, 0, 1 };

static size_t
answer_adu(uint8_t *out, uint16_t transaction)
{
	return frame_mbap_encode(out, transaction, 17, read_answer, sizeof(read_answer));
}

static void
requests(void **state)
{
	static const uint8_t many[] = { 16, 0, 0x57, 0, 2, 4, 0, 1, 0, 1 };
	static const uint8_t one[] = { 6, 0x0b, 0x25, 0, 2 };
	static const uint8_t data[] = { 0, 1, 0, 1 };
	uint8_t pdu[FRAME_PDU_MAX];
	uint8_t big[2 * FRAME_WRITE_MAX + 2] = { 0 };

	(void) state;
	assert_int_equal(frame_read_request(pdu, 3, 0x57, 2), 5);
	assert_memory_equal(pdu, read_request, 5);
	assert_int_equal(frame_write_request(pdu, 16, 0x57, data, 4), sizeof(many));
	assert_memory_equal(pdu, many, sizeof(many));
	assert_int_equal(frame_write_request(pdu, 6, 0x0b25, (const uint8_t[]){ 0, 2 }, 2), 5);
	assert_memory_equal(pdu, one, sizeof(one));
	assert_int_equal(frame_write_request(pdu, 6, 1, data, 4), 0);
	assert_int_equal(frame_write_request(pdu, 16, 1, data, 3), 0);
	assert_int_equal(frame_write_request(pdu, 16, 1, data, 0), 0);
	assert_int_equal(frame_write_request(pdu, 16, 1, big, sizeof(big)), 0);
	assert_int_equal(frame_write_request(pdu, 16, 1, big, 2 * FRAME_WRITE_MAX), 252);
}

static void
mbap_every_split(void **state)
{
	uint8_t adu[FRAME_ADU_MAX];
	size_t len = answer_adu(adu, 0x1234);
	Frame frame;

	(void) state;
	assert_int_equal(len, 13);
	for (size_t n = 0; n < len; n++)
		assert_int_equal(frame_mbap_next(adu, n, &frame), FRAME_MORE);
	assert_int_equal(frame_mbap_next(adu, len, &frame), FRAME_WHOLE);
	assert_int_equal(frame.transaction, 0x1234);
	assert_int_equal(frame.unit, 17);
	assert_int_equal(frame.used, len);
	assert_int_equal(frame.pdu_len, sizeof(read_answer));
	assert_memory_equal(frame.pdu, read_answer, sizeof(read_answer));
}

static void
mbap_glued(void **state)
{
	uint8_t buffer[2 * FRAME_ADU_MAX];
	size_t first = answer_adu(buffer, 1);
	size_t second = answer_adu(buffer + first, 2);
	Frame frame;

	(void) state;
	assert_int_equal(frame_mbap_next(buffer, first + second, &frame), FRAME_WHOLE);
	assert_int_equal(frame.transaction, 1);
	assert_int_equal(frame_mbap_next(buffer + frame.used, second, &frame), FRAME_WHOLE);
	assert_int_equal(frame.transaction, 2);
}

static void
mbap_broken(void **state)
{
	uint8_t adu[FRAME_ADU_MAX];
	size_t len = answer_adu(adu, 1);
	Frame frame;

	(void) state;
	adu[3] = 1; /* another protocol */
	assert_int_equal(frame_mbap_next(adu, len, &frame), FRAME_BROKEN);
	answer_adu(adu, 1);
	frame_put16(adu + 4, 2); /* no room for a function and its data */
	assert_int_equal(frame_mbap_next(adu, len, &frame), FRAME_BROKEN);
	frame_put16(adu + 4, 255);
	assert_int_equal(frame_mbap_next(adu, len, &frame), FRAME_BROKEN);
	/* What an RTU gateway on this port would send. */
	len = frame_rtu_encode(adu, 17, read_answer, sizeof(read_answer));
	assert_int_equal(frame_mbap_next(adu, len, &frame), FRAME_BROKEN);
}

static void
rtu(void **state)
{
	/* The specification's example: unit 1 reads 10 registers from 0. */
	static const uint8_t example[] = { 1, 3, 0, 0, 0, 10, 0xc5, 0xcd };
	static const uint8_t exception[] = { 0x83, 2 };
	uint8_t adu[FRAME_ADU_MAX];
	uint8_t noisy[FRAME_ADU_MAX] = { 0xff, 17, 3 };
	size_t len = frame_rtu_encode(adu, 1, example + 1, 5);
	Frame frame;

	(void) state;
	assert_int_equal(len, sizeof(example));
	assert_memory_equal(adu, example, sizeof(example));
	/* The noise before the answer looks like the beginning of one. */
	len = frame_rtu_encode(noisy + 3, 17, read_answer, sizeof(read_answer)) + 3;
	assert_int_equal(frame_rtu_next(noisy, len, 17, 3, 6, &frame), FRAME_WHOLE);
	assert_int_equal(frame.used, len);
	assert_int_equal(frame_rtu_next(noisy, len - 1, 17, 3, 6, &frame), FRAME_MORE);
	assert_int_equal(frame.used, 3);
	assert_int_equal(frame_rtu_next(noisy, len, 17, 3, 0, &frame), FRAME_WHOLE);
	assert_int_equal(frame.used, len);
	assert_memory_equal(frame.pdu, read_answer, sizeof(read_answer));
	for (size_t n = 0; n < len - 3; n++)
		assert_int_equal(frame_rtu_next(noisy + 3, n, 17, 3, 6, &frame), FRAME_MORE);
	noisy[len - 1] ^= 1;
	assert_int_equal(frame_rtu_next(noisy + 3, len - 3, 17, 3, 6, &frame), FRAME_BROKEN);
	assert_int_equal(frame_rtu_next(noisy + 3, len - 3, 18, 3, 6, &frame), FRAME_BROKEN);
	len = frame_rtu_encode(adu, 17, exception, sizeof(exception));
	assert_int_equal(frame_rtu_next(adu, len, 17, 3, 6, &frame), FRAME_WHOLE);
	assert_int_equal(frame.pdu_len, 2);
}

static void
answers(void **state)
{
	static const uint8_t write_request[] = { 16, 0, 0x57, 0, 2, 4, 0, 1, 0, 1 };
	static const uint8_t vendor_request[] = { 0x20, 1, 0, 0, 4, 8, 0, 0, 0x27, 0x10, 0, 8, 0, 0 };
	static const struct
	{
		const uint8_t *request;
		size_t request_len;
		uint8_t answer[16];
		size_t len;
		FrameAnswer expect;
	} cases[] = {
		{ read_request, 5, { 3, 4, 0, 1, 0, 1 }, 6, ANSWER_GOOD },
		{ read_request, 5, { 3, 4, 0, 1, 0 }, 5, ANSWER_WRONG_LENGTH },
		{ read_request, 5, { 3, 2, 0, 1 }, 4, ANSWER_WRONG_LENGTH },
		{ read_request, 5, { 3, 2, 0, 1, 0, 1 }, 6, ANSWER_WRONG_LENGTH },
		{ read_request, 5, { 3, 4, 0, 1, 0, 1, 0, 0 }, 8, ANSWER_WRONG_LENGTH },
		{ read_request, 5, { 4, 4, 0, 1, 0, 1 }, 6, ANSWER_WRONG_FUNCTION },
		{ read_request, 5, { 0x83, 2 }, 2, ANSWER_EXCEPTION },
		{ read_request, 5, { 0x83, 2, 0 }, 3, ANSWER_WRONG_LENGTH },
		{ read_request, 5, { 0x90, 2 }, 2, ANSWER_WRONG_FUNCTION },
		{ read_request, 5, { 3 }, 1, ANSWER_WRONG_LENGTH },
		{ write_request, 10, { 16, 0, 0x57, 0, 2 }, 5, ANSWER_GOOD },
		{ write_request, 10, { 16, 0, 0x58, 0, 2 }, 5, ANSWER_WRONG_ECHO },
		{ write_request, 10, { 16, 0, 0x57, 0, 1 }, 5, ANSWER_WRONG_ECHO },
		{ write_request, 10, { 16, 0, 0x57, 0 }, 4, ANSWER_WRONG_LENGTH },
		{ write_request, 10, { 0x90, 6 }, 2, ANSWER_EXCEPTION },
		{ vendor_request, 14, { 0x20, 1, 0, 0, 4, 6, 0, 0, 1, 2, 0, 8 }, 12, ANSWER_GOOD },
		{ vendor_request, 14, { 0xa0, 3 }, 2, ANSWER_EXCEPTION },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(
			frame_check(cases[i].request, cases[i].request_len, cases[i].answer, cases[i].len),
			cases[i].expect);
}

/* Random bytes, valid headers included, in exactly sized blocks: the sanitizers watch. */
static void
hostile(void **state)
{
	(void) state;
	srandom(11);
	for (int i = 0; i < 200000; i++)
	{
		size_t len = (size_t) random() % 300;
		uint8_t *bytes = malloc(len ? len : 1);
		Frame frame;

		for (size_t n = 0; n < len; n++)
			bytes[n] = (uint8_t) random();
		if (len > 6 && i % 2)
		{
			frame_put16(bytes + 2, 0);
			frame_put16(bytes + 4, (uint16_t) (random() % 300));
		}
		if (frame_mbap_next(bytes, len, &frame) == FRAME_WHOLE)
		{
			assert_true(frame.used <= len && frame.pdu + frame.pdu_len == bytes + frame.used);
			frame_check(read_request, sizeof(read_request), frame.pdu, frame.pdu_len);
		}
		if (frame_rtu_next(bytes, len, len ? bytes[0] : 0, 3, (size_t) random() % 253, &frame) ==
			FRAME_WHOLE)
			assert_true(frame.used <= len);
		free(bytes);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests),	  cmocka_unit_test(mbap_every_split),
		cmocka_unit_test(mbap_glued), cmocka_unit_test(mbap_broken),
		cmocka_unit_test(rtu),		  cmocka_unit_test(answers),
		cmocka_unit_test(hostile)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
