/*
 * pdu.h: a meter's answer to a Modbus request.
 *
 * A PDU is function code and data, without unit, transaction header or checksum.
 */
#ifndef SIM_PDU_H
#define SIM_PDU_H

#include <stdbool.h>
#include <stdint.h>

#include "meter.h"

#define PDU_MAX 253

/* Exceptions that are the gateway's, not the meter's. */
#define PDU_TARGET_SILENT 0x0B

/* Serve a request against a meter already advanced; response holds PDU_MAX. Gives its length. */
extern int pdu_serve(Meter *meter, const uint8_t *request, int length, uint8_t *response);

/* Build an exception answer; gives its length. */
extern int pdu_exception(uint8_t function, uint8_t code, uint8_t *response);

/* Whether a function changes the meter. */
extern bool pdu_is_write(uint8_t function);

#endif
