#include "phone.h"

#include <string.h>

#define DIGITS "0123456789"
#define LOCAL_MIN_DIGITS 7
#define COUNTRY_MAX_DIGITS 3

/* The bounds of the next entry, trimmed; false: no more. Empty entries do not count. */
static bool
next_entry(const char **list, const char **begin, size_t *bytes)
{
	*begin = *list + strspn(*list, ",; ");
	*bytes = strcspn(*begin, ",;");
	*list = *begin + *bytes;
	while (*bytes > 0 && (*begin)[*bytes - 1] == ' ')
		(*bytes)--;
	return *bytes > 0;
}

bool
phone_next(const char **list, char number[PHONE_MAX_CHARS + 1])
{
	const char *begin;
	size_t bytes;

	while (next_entry(list, &begin, &bytes))
		if (bytes <= PHONE_MAX_CHARS)
		{
			memcpy(number, begin, bytes);
			number[bytes] = '\0';
			return true;
		}
	return false;
}

const char *
phone_fault(const char *list)
{
	const char *begin;
	const char *at = list;
	size_t bytes;

	if (strlen(list) > PHONE_LIST_MAX || list[strspn(list, ",; ")] == '\0')
		return list;
	while (next_entry(&at, &begin, &bytes))
		if (bytes < 3 || bytes > PHONE_MAX_CHARS || strspn(begin, "+- " DIGITS) < bytes)
			return begin;
	return NULL;
}

void
phone_dialled(const char *number, char dialled[PHONE_MAX_CHARS + 1])
{
	int n = 0;

	if (*number == '+')
		dialled[n++] = '+';
	for (; *number && n < PHONE_MAX_CHARS; number++)
		if (strchr(DIGITS, *number))
			dialled[n++] = *number;
	dialled[n] = '\0';
}

/* Whether `full`, with its country code, is `local`, with or without a trunk 0. */
static bool
is_local_of(const char *full, const char *local)
{
	size_t digits;
	size_t all = strlen(full);

	local += strspn(local, "0");
	digits = strlen(local);
	return digits >= LOCAL_MIN_DIGITS && all > digits + 1 &&
		   all <= 1 + COUNTRY_MAX_DIGITS + digits && strcmp(full + all - digits, local) == 0;
}

bool
phone_same(const char *a, const char *b)
{
	char x[PHONE_MAX_CHARS + 1];
	char y[PHONE_MAX_CHARS + 1];

	phone_dialled(a, x);
	phone_dialled(b, y);
	if (*x == '+' && *y != '+')
		return is_local_of(x, y);
	if (*y == '+' && *x != '+')
		return is_local_of(y, x);
	return *x && strcmp(x, y) == 0;
}
