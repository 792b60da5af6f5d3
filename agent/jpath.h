/*
 * jpath.h
 *		Typed reading of JSON members; the first fault is kept with its path.
 */
#ifndef PREPAYD_JPATH_H
#define PREPAYD_JPATH_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct JsonFault
{
	bool found;
	char text[256]; /* "points[3].type: unknown type \"u33\"" */
} JsonFault;

#define JPATH_SIZE 96

/* Records a fault unless one is there already; always returns false. */
bool jpath_fault(JsonFault *fault, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* False, with a fault naming the key, unless `object` is an object with only `known` keys. */
bool jpath_keys(JsonFault *fault, const json_t *object, const char *path, const char *const *known);

/*
 * Integer member; JSON integers and "0x.." strings. Takes `fallback` where it is absent; a member
 * that must be there has a fallback outside min..max.
 */
int64_t jpath_int(JsonFault *fault, const json_t *object, const char *path, const char *key,
				  int64_t min, int64_t max, int64_t fallback);

/* String member of 1 to size - 1 bytes; absent: "" when optional, else a fault. */
void jpath_text(JsonFault *fault, const json_t *object, const char *path, const char *key,
				bool optional, char *out, size_t size);

bool jpath_bool(JsonFault *fault, const json_t *object, const char *path, const char *key,
				bool fallback);

/* "0x1A" with at most 16 digits; false when text is not of that form. */
bool jpath_hex(const char *text, uint64_t *value);

/* Decodes "0a1b.." into out; returns the bytes, 0 when text is not whole hex or does not fit. */
size_t jpath_bytes(const char *text, uint8_t *out, size_t size);

#endif
