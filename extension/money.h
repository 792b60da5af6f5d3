/*
 * money.h: exact money.
 *
 * Two representations, no floating point anywhere:
 *
 *   minor   int64, the currency's smallest unit (0.01 CNY, 1 JPY, 0.001 KWD):
 *           what the ledger posts and a customer sees.
 *   Exact   signed 128 bit in 10^-24 of the currency unit: what rating
 *           computes. A price has 6 decimals per kWh, so one Wh costs a whole
 *           number of 10^-9; two nested percentages of 4 decimals add 12
 *           digits; a monthly charge divided by days is rounded once to
 *           10^-12. All of these stay whole numbers at 10^-24, and the range is
 *           still +-1.7 * 10^14 currency units.
 *
 * Functions that can overflow return false and leave the result untouched.
 */
#ifndef PREPAY_MONEY_H
#define PREPAY_MONEY_H

#include "core.h"

/* palloc aligns to 8 bytes only: without the attribute the compiler may use aligned SSE moves. */
typedef __int128 Exact __attribute__((aligned(8)));

#define EXACT_DECIMALS 24
#define EXACT_TEXT_MAX 64 /* sign, 15 digits, point, 24 decimals, NUL; rounded up */
#define MONEY_TEXT_MAX 32
#define PRICE_DECIMALS 6   /* int64 price_micro: 10^-6 currency per kWh */
#define PERCENT_DECIMALS 4 /* int64 percent_e4: 13 % is 130000 */

extern bool exact_add(Exact a, Exact b, Exact *sum);
extern bool exact_mul(Exact a, int64_t factor, Exact *product);

/* Cost of one Wh at price_micro per kWh; always in range. */
extern Exact exact_per_wh(int64_t price_micro);
/* A whole amount given in 10^-6 currency units. */
extern bool exact_from_micro(int64_t amount_micro, Exact *amount);
extern bool exact_from_minor(int64_t minor, int decimals, Exact *amount);
/* amount * percent / 100; false on overflow or when a digit beyond 10^-24 would be lost. */
extern bool exact_percent(Exact amount, int64_t percent_e4, Exact *part);
/* amount * num / den rounded half away from zero to 10^-12, den > 0, 0 <= num <= den. */
extern bool exact_ratio(Exact amount, int64_t num, int64_t den, Exact *part);

/* Round half away from zero to the currency's decimals (0..4). */
extern bool exact_to_minor(Exact amount, int decimals, int64_t *minor);

/* Decimal text. Formatting trims trailing zeros ("-12.3", "0"); buf holds EXACT_TEXT_MAX. */
extern void exact_format(Exact amount, char *buf);
extern bool exact_parse(const char *text, Exact *amount);
/* Always writes exactly `decimals` decimals: 1234, 2 -> "12.34". buf holds MONEY_TEXT_MAX. */
extern void minor_format(int64_t minor, int decimals, char *buf);

/*
 * Parse a plain or exponent decimal ("0.618", "1e2", "-3.50") into an integer of
 * 10^-decimals. Trailing zeros beyond `decimals` are fine ("0.5000000" with 6);
 * a significant digit beyond them is DECIMAL_TOO_FINE, never rounded.
 */
typedef enum DecimalResult
{
	DECIMAL_OK,
	DECIMAL_SYNTAX,
	DECIMAL_TOO_FINE,
	DECIMAL_OVERFLOW
} DecimalResult;
extern DecimalResult decimal_parse(const char *text, int decimals, int64_t *value);
/* Foreign data may carry the noise of a binary fraction: digits beyond 10^-24 are dropped. */
extern DecimalResult exact_parse_cut(const char *text, Exact *amount);

/*
 * Round num/den half away from zero (den > 0): register arithmetic with a ratio.
 * False on overflow of int64.
 */
extern bool div_round_half_away(__int128 num, __int128 den, int64_t *quotient);

#endif
