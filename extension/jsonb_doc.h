/*
 * jsonb_doc.h: a jsonb value as the core's document; numbers keep their decimal text.
 */
#ifndef PREPAY_JSONB_DOC_H
#define PREPAY_JSONB_DOC_H

#include "postgres.h"

#include "utils/jsonb.h"

#include "doc.h"

extern Doc *jsonb_doc(Jsonb *jsonb);
extern Jsonb *doc_jsonb(const Doc *doc); /* an object or an array */

/* Text of a member of an options object, NULL when absent or null; numbers give their digits. */
extern char *option_text(Jsonb *options, const char *name);
/* Raises 22023 when options is no object or has a key not in the NULL-terminated list. */
extern void options_check(Jsonb *options, const char *const *known);

#endif
