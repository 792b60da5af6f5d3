/*
 * digest.h: SHA-256 of short texts, many of them.
 */
#ifndef PREPAY_DIGEST_H
#define PREPAY_DIGEST_H

#include "postgres.h"

#define DIGEST_BYTES 32

/* SHA-256 of two pieces, one after the other; hash may be one of them. */
extern void digest_of(const void *first, size_t n_first, const void *second, size_t n_second,
					  uint8 *hash);

/* A bytea of n bytes of it, palloc'ed. */
extern Datum digest_bytea(const uint8 *hash, int n);
#define digest_datum(hash) digest_bytea(hash, DIGEST_BYTES)
/* From a stored one; false, and zeros, when it has another length. */
extern bool digest_from_bytea(Datum value, uint8 *hash, int n);
#define digest_from_datum(value, hash) digest_from_bytea(value, hash, DIGEST_BYTES)

#endif
