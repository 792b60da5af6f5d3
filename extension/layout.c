#include "layout.h"

#include "layout_table.h"

static bool
in_table(const CharRange *table, size_t n, uint32_t codepoint)
{
	size_t low = 0;

	while (low < n)
	{
		size_t middle = (low + n) / 2;

		if (codepoint > table[middle].last)
			low = middle + 1;
		else if (codepoint < table[middle].first)
			n = middle;
		else
			return true;
	}
	return false;
}

#define IN_TABLE(table, codepoint) in_table(table, sizeof(table) / sizeof(*(table)), codepoint)

static int
char_columns(uint32_t codepoint, LayoutFont font)
{
	if (codepoint < 0x80)
		return codepoint >= 0x20 && codepoint != 0x7F;
	if (codepoint < 0xA0 || IN_TABLE(zero_width, codepoint))
		return 0;
	if (IN_TABLE(wide, codepoint) || (font == LAYOUT_CHINESE && IN_TABLE(ambiguous, codepoint)))
		return 2;
	return 1;
}

int
layout_decode(const char *text, size_t bytes, uint32_t *codepoint)
{
	unsigned char lead = text[0];
	int length = lead < 0xC0 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;

	if (length == 1 || (size_t) length > bytes)
	{
		*codepoint = lead;
		return 1;
	}
	*codepoint = lead & (0x7F >> length);
	for (int i = 1; i < length; i++)
		*codepoint = *codepoint << 6 | (text[i] & 0x3F);
	return length;
}

size_t
layout_fit(const char *text, size_t bytes, int columns, LayoutFont font, int *used)
{
	size_t at = 0;

	*used = 0;
	while (at < bytes)
	{
		uint32_t codepoint;
		int length = layout_decode(text + at, bytes - at, &codepoint);
		int wide = char_columns(codepoint, font);

		if (wide > columns - *used)
			break;
		*used += wide;
		at += length;
	}
	return at;
}

int
layout_columns(const char *text, size_t bytes, LayoutFont font)
{
	int used;

	(void) layout_fit(text, bytes, INT32_MAX, font, &used);
	return used;
}

bool
layout_is_control(uint32_t codepoint)
{
	return codepoint < 0x20 || (codepoint >= 0x7F && codepoint < 0xA0) || codepoint == 0x2028 ||
		   codepoint == 0x2029;
}

/* Direction marks, overrides and isolates, zero-width spaces, tags; not the joiners of scripts. */
bool
layout_is_trick(uint32_t codepoint)
{
	return codepoint == 0x061C || codepoint == 0x200B || codepoint == 0x200E ||
		   codepoint == 0x200F || (codepoint >= 0x202A && codepoint <= 0x202E) ||
		   (codepoint >= 0x2060 && codepoint <= 0x206F) || codepoint == 0xFEFF ||
		   (codepoint >= 0xFFF9 && codepoint <= 0xFFFB) ||
		   (codepoint >= 0xE0000 && codepoint <= 0xE007F);
}
