/*
 * spool_chunk.c
 *		Readings as bytes: what one row of the spool holds.
 *
 * Per reading: meter, time, a set of flags, then the values that are known. Integers are written
 * seven bits a byte, signed ones folded, times as differences to the reading before, decimals as
 * their number of decimals and units. The checksum is CRC-32C of all before it: SQLite has none of
 * its own, and a page that a disk tore must not become somebody's bill.
 */
#include "spool_chunk.h"

#include <string.h>

enum
{
	HAS_REVERSE = 1,
	HAS_KW = 2,
	HAS_BALANCE = 4,
	HAS_COUNT = 8,
	HAS_CLOCK = 16,
	HAS_RELAY = 32,
	RELAY_CLOSED = 64,
	CHECKSUM = 4,
	NUMBER_MAX = 10 /* bytes of a 64-bit integer */
};

typedef struct Source
{
	const uint8_t *at;
	const uint8_t *end;
	bool good;
} Source;

static uint32_t
crc32c(const uint8_t *bytes, size_t len)
{
	static uint32_t table[256];
	uint32_t crc = 0xffffffff;

	if (!table[1])
	{
		for (uint32_t i = 0; i < 256; i++)
		{
			table[i] = i;
			for (int bit = 0; bit < 8; bit++)
				table[i] = table[i] & 1 ? table[i] >> 1 ^ 0x82f63b78 : table[i] >> 1;
		}
	}
	for (size_t i = 0; i < len; i++)
		crc = table[(crc ^ bytes[i]) & 0xff] ^ crc >> 8;
	return ~crc;
}

/* ---- writing ---- */

static void
put_number(Buf *out, int64_t value)
{
	uint64_t folded = (uint64_t) value << 1 ^ (uint64_t) (value >> 63);
	uint8_t bytes[NUMBER_MAX];
	size_t len = 0;

	while (folded >= 0x80)
	{
		bytes[len++] = (uint8_t) (folded | 0x80);
		folded >>= 7;
	}
	bytes[len++] = (uint8_t) folded;
	buf_add_bytes(out, bytes, len);
}

static void
put_decimal(Buf *out, Decimal value)
{
	put_number(out, value.decimals);
	put_number(out, value.units);
}

static int
known_periods(const Reading *reading)
{
	/* A split needs every part. */
	for (int i = 0; i < reading->periods; i++)
	{
		if (!reading->period_kwh[i].known)
			return 0;
	}
	return reading->periods;
}

static void
put_reading(Buf *out, const Reading *reading, int64_t before)
{
	int periods = known_periods(reading);
	int flags = (reading->reverse_kwh.known ? HAS_REVERSE : 0) | (reading->kw.known ? HAS_KW : 0) |
				(reading->meter_balance.known ? HAS_BALANCE : 0) |
				(reading->purchase_count.known ? HAS_COUNT : 0) |
				(reading->meter_clock.known ? HAS_CLOCK : 0) |
				(reading->relay_closed >= 0 ? HAS_RELAY : 0) |
				(reading->relay_closed > 0 ? RELAY_CLOSED : 0);

	put_number(out, reading->meter_id);
	put_number(out, reading->read_at - before);
	put_number(out, flags);
	put_decimal(out, reading->kwh);
	put_number(out, periods);
	for (int i = 0; i < periods; i++)
		put_decimal(out, reading->period_kwh[i]);
	if (flags & HAS_REVERSE)
		put_decimal(out, reading->reverse_kwh);
	if (flags & HAS_KW)
		put_decimal(out, reading->kw);
	if (flags & HAS_BALANCE)
		put_decimal(out, reading->meter_balance);
	if (flags & HAS_COUNT)
		put_decimal(out, reading->purchase_count);
	if (flags & HAS_CLOCK)
		put_decimal(out, reading->meter_clock);
}

void
spool_chunk_encode(const Reading *readings, int count, Buf *out)
{
	size_t begin = out->len;
	int64_t before = 0;
	uint32_t crc;

	put_number(out, count);
	for (int i = 0; i < count; i++)
	{
		put_reading(out, &readings[i], before);
		before = readings[i].read_at;
	}
	crc = crc32c((const uint8_t *) out->data + begin, out->len - begin);
	buf_add_bytes(out, &crc, sizeof(crc));
}

/* ---- reading ---- */

static int64_t
get_number(Source *source)
{
	uint64_t folded = 0;

	for (int shift = 0; shift < 7 * NUMBER_MAX; shift += 7)
	{
		uint8_t byte;

		if (source->at == source->end)
			break;
		byte = *source->at++;
		folded |= (uint64_t) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return (int64_t) (folded >> 1 ^ (~(folded & 1) + 1));
	}
	source->good = false;
	return 0;
}

static Decimal
get_decimal(Source *source)
{
	Decimal value = { .known = true };

	value.decimals = (int8_t) get_number(source);
	value.units = get_number(source);
	return value;
}

static void
get_reading(Source *source, Reading *reading, int64_t before)
{
	int64_t flags;
	int64_t periods;

	memset(reading, 0, sizeof(*reading));
	reading->meter_id = (int) get_number(source);
	reading->read_at = before + get_number(source);
	flags = get_number(source);
	reading->relay_closed = flags & HAS_RELAY ? (flags & RELAY_CLOSED) != 0 : -1;
	reading->kwh = get_decimal(source);
	periods = get_number(source);
	if (periods < 0 || periods > PROFILE_MAX_PERIODS)
		source->good = false;
	for (int i = 0; i < periods && source->good; i++)
		reading->period_kwh[reading->periods++] = get_decimal(source);
	if (flags & HAS_REVERSE)
		reading->reverse_kwh = get_decimal(source);
	if (flags & HAS_KW)
		reading->kw = get_decimal(source);
	if (flags & HAS_BALANCE)
		reading->meter_balance = get_decimal(source);
	if (flags & HAS_COUNT)
		reading->purchase_count = get_decimal(source);
	if (flags & HAS_CLOCK)
		reading->meter_clock = get_decimal(source);
}

bool
spool_chunk_decode(const void *bytes, size_t len, void (*take)(void *arg, const Reading *),
				   void *arg)
{
	Source source = { bytes, (const uint8_t *) bytes + len - CHECKSUM, true };
	int64_t before = 0;
	int64_t count;
	uint32_t crc;

	if (len <= CHECKSUM)
		return false;
	memcpy(&crc, source.end, sizeof(crc));
	if (crc != crc32c(bytes, len - CHECKSUM))
		return false;
	count = get_number(&source);
	for (int64_t i = 0; i < count && source.good; i++)
	{
		Reading reading;

		get_reading(&source, &reading, before);
		before = reading.read_at;
		if (source.good)
			take(arg, &reading);
	}
	return source.good;
}
