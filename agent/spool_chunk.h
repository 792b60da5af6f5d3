/*
 * spool_chunk.h
 *		Readings as bytes: what one row of the spool holds.
 */
#ifndef PREPAYD_SPOOL_CHUNK_H
#define PREPAYD_SPOOL_CHUNK_H

#include "buf.h"
#include "reading.h"

/* Appends the readings, about 25 bytes each, with a checksum behind them. */
void spool_chunk_encode(const Reading *readings, int count, Buf *out);

/* False, with nothing called, when the bytes are damaged. */
bool spool_chunk_decode(const void *bytes, size_t len, void (*take)(void *arg, const Reading *),
						void *arg);

#endif
