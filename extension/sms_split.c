#include "sms_split.h"

#include <string.h>

#include "layout.h"

/* One septet in the GSM alphabet and the same code as in ASCII or a common one. */
static bool
is_plain(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		   (c != '\0' && strchr(" \n!\"#%&'()*+,-./:;<=>?", c) != NULL);
}

int
sms_split(const char *text, bool *unicode, SmsPart part[SMS_MAX_PARTS])
{
	size_t bytes = strlen(text);
	size_t at = 0;
	int units = 0;
	int room;
	int n = 0;

	*unicode = false;
	for (; at < bytes; at++)
		*unicode |= !is_plain(text[at]);
	for (at = 0; at < bytes; units++)
	{
		uint32_t c;

		at += layout_decode(text + at, bytes - at, &c);
		units += *unicode && c > 0xFFFF; /* two surrogates */
	}
	part[0] = (SmsPart){ text, bytes };
	if (units <= (*unicode ? 70 : 160))
		return 1;
	room = *unicode ? 67 : 153;
	for (at = 0, units = room; at < bytes;)
	{
		uint32_t c;
		int step = layout_decode(text + at, bytes - at, &c);
		int need = *unicode && c > 0xFFFF ? 2 : 1;

		if (units + need > room)
		{
			if (n == SMS_MAX_PARTS)
				return 0;
			part[n++] = (SmsPart){ text + at, 0 };
			units = 0;
		}
		part[n - 1].bytes += step;
		units += need;
		at += step;
	}
	return n;
}
