/*
 * dlt645.h
 *		DL/T 645-2007 framing: FE FE FE FE 68 A0..A5 68 C L DATA CS 16, data sent with 33h added.
 *
 * A PDU is the control code and the data without that addition, so that the rest of the agent
 * treats both protocols alike. Pure functions, safe on hostile input.
 */
#ifndef PREPAYD_DLT645_H
#define PREPAYD_DLT645_H

#include "frame.h"

#define DLT645_ADDRESS 6
#define DLT645_DATA_MAX 200
#define DLT645_FRAME_MAX (4 + 12 + DLT645_DATA_MAX)

enum
{
	DLT645_READ = 0x11,
	DLT645_WRITE = 0x14,
	DLT645_RELAY = 0x1c
};

/* "202211110001" (at most 12 digits) to the six BCD bytes, low first. False: no such address. */
bool dlt645_address(const char *text, uint8_t *address);

/* Read request of a data identification, high byte first as it is printed: 0x00010000. */
size_t dlt645_read_request(uint8_t *pdu, uint32_t identification);

/* Whole frame with its four leading bytes; 0 when the PDU is too long. */
size_t dlt645_encode(uint8_t *out, const uint8_t *address, const uint8_t *pdu, size_t len);

/*
 * Looks for a frame of `address` (AA is any) anywhere in the buffer, passing over noise and frames
 * of others. The PDU is written to `pdu` (FRAME_PDU_MAX bytes), where frame->pdu points.
 */
FrameStatus dlt645_next(const uint8_t *buffer, size_t len, const uint8_t *address, uint8_t *pdu,
						Frame *frame);

FrameAnswer dlt645_check(const uint8_t *request, size_t request_len, const uint8_t *answer,
						 size_t answer_len);

/* Meaning of the error byte of an answer. */
const char *dlt645_error_text(int error);

#endif
