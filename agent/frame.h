/*
 * frame.h
 *		Modbus framing: PDUs, MBAP (TCP) and RTU envelopes, and the check of an answer.
 *
 * Pure functions over byte buffers: no I/O, no clock, no allocation; safe on hostile input.
 */
#ifndef PREPAYD_FRAME_H
#define PREPAYD_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_PDU_MAX 253
#define FRAME_MBAP_HEADER 7 /* transaction 2, protocol 2, length 2, unit 1 */
#define FRAME_ADU_MAX (FRAME_MBAP_HEADER + FRAME_PDU_MAX)
#define FRAME_READ_MAX 125
#define FRAME_WRITE_MAX 123

/* What a meter speaks; both may be on one line. */
typedef enum FrameProtocol
{
	FRAME_MODBUS,
	FRAME_DLT645
} FrameProtocol;

typedef enum FrameStatus
{
	FRAME_MORE,	 /* the buffer holds no whole frame yet */
	FRAME_WHOLE, /* one frame found */
	FRAME_BROKEN /* TCP: not Modbus, the stream cannot be trusted any more; else: only noise */
} FrameStatus;

typedef struct Frame
{
	uint16_t transaction; /* TCP only */
	uint8_t unit;
	const uint8_t *pdu; /* inside the caller's buffer */
	size_t pdu_len;
	size_t used; /* bytes to take from the buffer */
} Frame;

typedef enum FrameAnswer
{
	ANSWER_GOOD,
	ANSWER_EXCEPTION, /* the code is pdu[1] */
	ANSWER_WRONG_FUNCTION,
	ANSWER_WRONG_LENGTH,
	ANSWER_WRONG_ECHO /* a write that echoes another address, count or value */
} FrameAnswer;

uint16_t frame_get16(const uint8_t *bytes);
void frame_put16(uint8_t *bytes, uint16_t value);

/* Read request of `count` (1..125) registers by function 3 or 4. Returns the PDU length, 5. */
size_t frame_read_request(uint8_t *pdu, uint8_t function, uint16_t address, uint16_t count);

/*
 * Write request carrying `len` bytes of register data: function 6 (2 bytes), function 16, or a
 * vendor function with the layout of 16. Returns the PDU length, 0 when the data does not fit.
 */
size_t frame_write_request(uint8_t *pdu, uint8_t function, uint16_t address, const uint8_t *data,
						   size_t len);

size_t frame_mbap_encode(uint8_t *adu, uint16_t transaction, uint8_t unit, const uint8_t *pdu,
						 size_t len);
FrameStatus frame_mbap_next(const uint8_t *buffer, size_t len, Frame *frame);

uint16_t frame_crc(const uint8_t *bytes, size_t len);
size_t frame_rtu_encode(uint8_t *adu, uint8_t unit, const uint8_t *pdu, size_t len);

/*
 * Looks for the answer of `unit` to `function` with `expected` PDU bytes (0: unknown), or an
 * exception, anywhere in the buffer. Whatever it says, the first `used` bytes are done with.
 */
FrameStatus frame_rtu_next(const uint8_t *buffer, size_t len, uint8_t unit, uint8_t function,
						   size_t expected, Frame *frame);

/* PDU length of the good answer to a request; 0 when only the device knows (vendor functions). */
size_t frame_answer_length(const uint8_t *request, size_t len);

FrameAnswer frame_check(const uint8_t *request, size_t request_len, const uint8_t *answer,
						size_t answer_len);

/* The field's name of an exception code, for logs and command results. */
const char *frame_exception_text(int code);

#endif
