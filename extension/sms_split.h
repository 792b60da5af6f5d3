/*
 * sms_split.h: a text as one or several short messages (3GPP TS 23.038, 23.040).
 *
 * A text whose characters are all of one septet in the GSM alphabet takes 160 characters,
 * or 153 a part; any other goes as UCS-2 with 70 units, or 67 a part. A part begins with
 * the header 05 00 03, reference, number of parts, part.
 */
#ifndef PREPAY_SMS_SPLIT_H
#define PREPAY_SMS_SPLIT_H

#include "core.h"

#define SMS_MAX_PARTS 255

typedef struct SmsPart
{
	const char *text; /* into the text given */
	size_t bytes;
} SmsPart;

/* Number of parts, or 0 for more than SMS_MAX_PARTS. text is valid UTF-8. */
extern int sms_split(const char *text, bool *unicode, SmsPart part[SMS_MAX_PARTS]);

#endif
