/*
 * decimal.h: exact decimals as scaled integers.
 */
#ifndef SIM_DECIMAL_H
#define SIM_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DECIMAL_TEXT_MAX 32

/*
 * Parse "12", "-0.5", "12.340" into an integer of 10^-decimals. False on any other text, on a
 * significant digit beyond `decimals`, and when |value| would exceed 10^18.
 */
extern bool decimal_parse(const char *text, int decimals, int64_t *value);

/* Write value * 10^-decimals with exactly `decimals` decimals; buf holds DECIMAL_TEXT_MAX. */
extern const char *decimal_format(int64_t value, int decimals, char *buf);

/* 10^exponent for 0 <= exponent <= 18. */
extern int64_t decimal_power10(int exponent);

/* Parse a whole number within [min, max]; decimal, or hexadecimal with 0x. */
extern bool integer_parse(const char *text, int64_t min, int64_t max, int64_t *value);

#endif
