/*
 * pdu.c: Modbus functions 03, 04, 06, 16 and the prepaid meters' recharge function 0x20.
 *
 * A model that gives money back takes the same at start 0200.
 *
 * Recharge request:  20, start 0100, quantity 0004, bytes 08, amount u32 (0.01), count u16, 0000.
 * Recharge answer:   20, start 0100, quantity 0004, bytes 06, balance u32 (0.01), count u16;
 *                    on a serial line that is 15 bytes with unit and checksum.
 */
#include "pdu.h"

#include <string.h>

#include "model.h"

#define FC_READ_HOLDING 0x03
#define FC_READ_INPUT 0x04
#define FC_WRITE_SINGLE 0x06
#define FC_WRITE_MULTIPLE 0x10
#define FC_RECHARGE 0x20

#define READ_REGS_MAX 125
#define WRITE_REGS_MAX 123
#define RECHARGE_START 0x0100
#define WITHDRAW_START 0x0200 /* of the model that gives money back */
#define RECHARGE_REGS 4

static uint16_t
get_u16(const uint8_t *bytes)
{
	return (uint16_t) (bytes[0] << 8 | bytes[1]);
}

static void
put_u16(uint8_t *bytes, uint16_t value)
{
	bytes[0] = (uint8_t) (value >> 8);
	bytes[1] = (uint8_t) value;
}

int
pdu_exception(uint8_t function, uint8_t code, uint8_t *response)
{
	response[0] = function | 0x80;
	response[1] = code;
	return 2;
}

bool
pdu_is_write(uint8_t function)
{
	return function == FC_WRITE_SINGLE || function == FC_WRITE_MULTIPLE || function == FC_RECHARGE;
}

static int
serve_read(Meter *meter, const uint8_t *request, int length, uint8_t *response)
{
	uint16_t regs[READ_REGS_MAX];
	int count;

	if (length != 5)
		return pdu_exception(request[0], WRITE_ILLEGAL_VALUE, response);
	count = get_u16(request + 3);
	if (count < 1 || count > READ_REGS_MAX)
		return pdu_exception(request[0], WRITE_ILLEGAL_VALUE, response);
	if (!model_read(meter, get_u16(request + 1), count, regs))
		return pdu_exception(request[0], WRITE_ILLEGAL_ADDRESS, response);
	response[0] = request[0];
	response[1] = (uint8_t) (2 * count);
	for (int i = 0; i < count; i++)
		put_u16(response + 2 + 2 * i, regs[i]);
	return 2 + 2 * count;
}

/* Apply and journal; the echo of the first five bytes is both functions' answer. */
static int
finish_write(Meter *meter, const uint8_t *request, uint16_t address, const uint16_t *regs,
			 int count, uint8_t *response)
{
	WriteResult result = meter->model->write(meter, address, regs, count);

	meter_record(meter, request[0], address, regs, count, result);
	if (result != WRITE_OK)
		return pdu_exception(request[0], (uint8_t) result, response);
	memcpy(response, request, 5);
	return 5;
}

static int
serve_write_single(Meter *meter, const uint8_t *request, int length, uint8_t *response)
{
	uint16_t value;

	if (length != 5)
		return pdu_exception(request[0], WRITE_ILLEGAL_VALUE, response);
	value = get_u16(request + 3);
	return finish_write(meter, request, get_u16(request + 1), &value, 1, response);
}

static int
serve_write_multiple(Meter *meter, const uint8_t *request, int length, uint8_t *response)
{
	uint16_t regs[WRITE_REGS_MAX];
	int count;

	if (length < 6)
		return pdu_exception(request[0], WRITE_ILLEGAL_VALUE, response);
	count = get_u16(request + 3);
	if (count < 1 || count > WRITE_REGS_MAX || request[5] != 2 * count || length != 6 + 2 * count)
		return pdu_exception(request[0], WRITE_ILLEGAL_VALUE, response);
	for (int i = 0; i < count; i++)
		regs[i] = get_u16(request + 6 + 2 * i);
	return finish_write(meter, request, get_u16(request + 1), regs, count, response);
}

static WriteResult
apply_recharge(Meter *meter, const uint8_t *request, const uint16_t *regs)
{
	uint32_t amount = (uint32_t) regs[0] << 16 | regs[1];
	bool withdraws = get_u16(request + 1) == WITHDRAW_START && meter->model->gives_back;

	if (get_u16(request + 1) != RECHARGE_START && !withdraws)
		return WRITE_ILLEGAL_ADDRESS;
	if (regs[3] != 0)
		return WRITE_ILLEGAL_VALUE;
	return withdraws ? meter_withdraw(meter, amount, regs[2])
					 : meter_recharge(meter, amount, regs[2]);
}

static int
serve_recharge(Meter *meter, const uint8_t *request, int length, uint8_t *response)
{
	uint16_t regs[RECHARGE_REGS];
	WriteResult result;
	uint32_t balance;

	if (length != 6 + 2 * RECHARGE_REGS || get_u16(request + 3) != RECHARGE_REGS ||
		request[5] != 2 * RECHARGE_REGS)
		return pdu_exception(request[0], WRITE_ILLEGAL_VALUE, response);
	for (int i = 0; i < RECHARGE_REGS; i++)
		regs[i] = get_u16(request + 6 + 2 * i);
	result = apply_recharge(meter, request, regs);
	meter_record(meter, request[0], get_u16(request + 1), regs, RECHARGE_REGS, result);
	if (result != WRITE_OK && result != WRITE_REPEATED)
		return pdu_exception(request[0], (uint8_t) result, response);
	balance = (uint32_t) meter_balance_centi(meter);
	memcpy(response, request, 5);
	response[5] = 6;
	put_u16(response + 6, (uint16_t) (balance >> 16));
	put_u16(response + 8, (uint16_t) balance);
	put_u16(response + 10, meter->purchase_count);
	return 12;
}

int
pdu_serve(Meter *meter, const uint8_t *request, int length, uint8_t *response)
{
	uint8_t function = request[0];

	if (function == meter->model->read_function)
		return serve_read(meter, request, length, response);
	if (function == FC_WRITE_SINGLE && meter->model->write != NULL)
		return serve_write_single(meter, request, length, response);
	if (function == FC_WRITE_MULTIPLE && meter->model->write != NULL)
		return serve_write_multiple(meter, request, length, response);
	if (function == FC_RECHARGE && meter->model->prepaid)
		return serve_recharge(meter, request, length, response);
	return pdu_exception(function, WRITE_ILLEGAL_FUNCTION, response);
}
