/*
 * layout.h: UTF-8 text in columns of a fixed width, as on a terminal or a dot-matrix printer.
 *
 * A Chinese, Japanese or Korean character and an emoji take two columns, a combining mark or
 * format character none, anything else one. Characters that Chinese fonts draw wide and
 * Western ones narrow (Unicode's East Asian Ambiguous: · “ — × Ω é) take two with
 * LAYOUT_CHINESE: then the columns of a text are its bytes in GBK, as its printers count.
 */
#ifndef PREPAY_LAYOUT_H
#define PREPAY_LAYOUT_H

#include "core.h"

typedef enum LayoutFont
{
	LAYOUT_WESTERN,
	LAYOUT_CHINESE
} LayoutFont;

/* Decode one character of valid UTF-8; returns its bytes (1 for a byte that begins none). */
extern int layout_decode(const char *text, size_t bytes, uint32_t *codepoint);
extern int layout_columns(const char *text, size_t bytes, LayoutFont font);
/* Bytes at the begin of text that fit into `columns`, with the marks of the last character. */
extern size_t layout_fit(const char *text, size_t bytes, int columns, LayoutFont font, int *used);
/* A control character, line or paragraph separator: nothing a value may contain. */
extern bool layout_is_control(uint32_t codepoint);
/* An invisible character that turns or hides what stands around it. */
extern bool layout_is_trick(uint32_t codepoint);

#endif
