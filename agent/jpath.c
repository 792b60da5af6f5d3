/*
 * jpath.c
 *		Typed reading of JSON members; the first fault is kept with its path.
 */
#include "jpath.h"

#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool
jpath_fault(JsonFault *fault, const char *path, const char *format, ...)
{
	va_list args;
	char what[160];

	if (fault->found)
		return false;
	va_start(args, format);
	vsnprintf(what, sizeof(what), format, args);
	va_end(args);
	fault->found = true;
	snprintf(fault->text, sizeof(fault->text), "%s: %s", path[0] ? path : "(top)", what);
	return false;
}

bool
jpath_keys(JsonFault *fault, const json_t *object, const char *path, const char *const *known)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return jpath_fault(fault, path, "must be an object");
	json_object_foreach((json_t *) object, key, value)
	{
		const char *const *name = known;

		while (*name && strcmp(*name, key) != 0)
			name++;
		if (!*name)
			return jpath_fault(fault, path, "unknown key \"%.60s\"", key);
	}
	return true;
}

bool
jpath_hex(const char *text, uint64_t *value)
{
	char *end;
	size_t len = strlen(text);

	if (len < 3 || len > 18 || text[0] != '0' || text[1] != 'x')
		return false;
	if (strspn(text + 2, "0123456789abcdefABCDEF") != len - 2)
		return false;
	*value = strtoull(text + 2, &end, 16);
	return true;
}

int64_t
jpath_int(JsonFault *fault, const json_t *object, const char *path, const char *key, int64_t min,
		  int64_t max, int64_t fallback)
{
	const json_t *member = json_object_get(object, key);
	uint64_t hex;
	int64_t value = fallback;

	if (json_is_integer(member))
		value = json_integer_value(member);
	else if (json_is_string(member) && jpath_hex(json_string_value(member), &hex) &&
			 hex <= INT64_MAX)
		value = (int64_t) hex;
	else if (member)
	{
		jpath_fault(fault, path, "\"%s\" must be an integer or \"0x..\"", key);
		return min;
	}
	else if (fallback < min || fallback > max)
	{
		jpath_fault(fault, path, "\"%s\" is missing", key);
		return min;
	}
	if (value < min || value > max)
	{
		jpath_fault(fault, path, "\"%s\" must be %lld to %lld", key, (long long) min,
					(long long) max);
		return min;
	}
	return value;
}

void
jpath_text(JsonFault *fault, const json_t *object, const char *path, const char *key, bool optional,
		   char *out, size_t size)
{
	const json_t *member = json_object_get(object, key);

	out[0] = '\0';
	if (!member && optional)
		return;
	if (!member)
		jpath_fault(fault, path, "\"%s\" is missing", key);
	else if (!json_is_string(member) || json_string_length(member) == 0)
		jpath_fault(fault, path, "\"%s\" must be a text", key);
	else if (!text_copy(out, size, json_string_value(member)))
		jpath_fault(fault, path, "\"%s\" is longer than %zu bytes", key, size - 1);
}

bool
jpath_bool(JsonFault *fault, const json_t *object, const char *path, const char *key, bool fallback)
{
	const json_t *member = json_object_get(object, key);

	if (!member)
		return fallback;
	if (!json_is_boolean(member))
		jpath_fault(fault, path, "\"%s\" must be true or false", key);
	return json_is_true(member);
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

size_t
jpath_bytes(const char *text, uint8_t *out, size_t size)
{
	size_t len = strlen(text);

	if (len == 0 || len % 2 || len / 2 > size)
		return 0;
	for (size_t i = 0; i < len; i += 2)
	{
		int high = hex_digit(text[i]);
		int low = hex_digit(text[i + 1]);

		if (high < 0 || low < 0)
			return 0;
		out[i / 2] = (uint8_t) (high << 4 | low);
	}
	return len / 2;
}
