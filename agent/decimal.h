/*
 * decimal.h
 *		Exact decimals: a scaled integer and its number of decimals.
 *
 * Registers become decimals here without a floating-point operation, also those a meter sends as
 * IEEE 754: their bits are a mantissa times a power of two, which integers scale and round exactly.
 */
#ifndef PREPAYD_DECIMAL_H
#define PREPAYD_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>

#define DECIMAL_MAX_DECIMALS 9
#define DECIMAL_TEXT_SIZE 32

typedef struct Decimal
{
	int64_t units; /* value = units / 10^decimals */
	int8_t decimals;
	bool known; /* false: the meter has no such value, or sent an invalid marker */
} Decimal;

/* integer * 10^exp10; unknown when it does not fit. exp10 -9..9. */
Decimal decimal_from_integer(__int128 integer, int exp10);

/* IEEE 754 bits of 32 or 64 bits times 10^exp10, rounded half away from zero to `decimals`. */
Decimal decimal_from_ieee(uint64_t bits, int width, int exp10, int decimals);

/* Packed BCD digits times 10^exp10; unknown when a nibble is no digit. */
Decimal decimal_from_bcd(uint64_t bits, int width, int exp10);

/* "12.34", "-0.5", "7" to units of 10^-decimals; false when it is no number or has more decimals.
 */
bool decimal_parse(const char *text, int decimals, int64_t *units);

/* Text with all its decimals, "" when unknown; out must hold DECIMAL_TEXT_SIZE. Returns out. */
const char *decimal_format(Decimal value, char *out);

#endif
