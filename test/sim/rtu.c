/*
 * rtu.c: Modbus RTU frames, as on a serial line, and their time on it.
 */
#include "rtu.h"

#define TURNAROUND_MS 30
#define BITS_PER_CHARACTER 11
#define WRITE_HEAD 7 /* unit, function, address, count, byte count */
#define READ_REQUEST 8

static uint16_t
checksum(const uint8_t *bytes, int length)
{
	uint16_t sum = 0xffff;

	for (int i = 0; i < length; i++)
	{
		sum ^= bytes[i];
		for (int bit = 0; bit < 8; bit++)
			sum = (sum & 1) != 0 ? (uint16_t) (sum >> 1 ^ 0xa001) : (uint16_t) (sum >> 1);
	}
	return sum;
}

int
rtu_request_length(const uint8_t *bytes, int length)
{
	int whole = READ_REQUEST;
	uint16_t sum;

	if (length < 2)
		return 0;
	if (bytes[1] == 16 || bytes[1] >= 0x20)
	{
		if (length < WRITE_HEAD)
			return 0;
		whole = WRITE_HEAD + bytes[6] + 2;
	}
	if (whole > 256)
		return -1;
	if (length < whole)
		return 0;
	sum = checksum(bytes, whole - 2);
	return bytes[whole - 2] == (uint8_t) sum && bytes[whole - 1] == sum >> 8 ? whole : -1;
}

int
rtu_seal(uint8_t *frame, int length)
{
	uint16_t sum = checksum(frame, length);

	frame[length] = (uint8_t) sum;
	frame[length + 1] = (uint8_t) (sum >> 8);
	return length + 2;
}

int64_t
rtu_line_ms(int baud, int characters)
{
	return TURNAROUND_MS + (int64_t) characters * BITS_PER_CHARACTER * 1000 / baud;
}
