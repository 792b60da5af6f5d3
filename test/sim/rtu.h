/*
 * rtu.h: Modbus RTU frames, as on a serial line, and their time on it.
 */
#ifndef SIM_RTU_H
#define SIM_RTU_H

#include <stdint.h>

/*
 * Length of the request at the start of the bytes: 0 when it is not whole yet, -1 when these bytes
 * are no request.
 */
extern int rtu_request_length(const uint8_t *bytes, int length);

/* Append the checksum to a frame of unit and PDU; gives the new length. */
extern int rtu_seal(uint8_t *frame, int length);

/* Milliseconds that so many characters take, and a meter's usual time to begin its answer. */
extern int64_t rtu_line_ms(int baud, int characters);

#endif
