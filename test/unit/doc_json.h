/*
 * doc_json.h: JSON text to Doc, for tests and fuzzing.
 */
#ifndef PREPAY_DOC_JSON_H
#define PREPAY_DOC_JSON_H

#include "doc.h"

/* NULL and a message in error when text is not JSON. Number text is kept; of equal keys the last
 * counts. */
extern Doc *doc_from_json(const char *text, char *error, size_t size);
extern void doc_free(Doc *doc);

/* For documents that the tests themselves wrote: a missing member or a wrong kind aborts. */
extern const Doc *doc_need(const Doc *object, const char *key);
extern int64_t doc_int(const Doc *number);
extern const char *doc_text(const Doc *string);
/* A whole file, NUL-terminated; aborts when it cannot be read. */
extern char *read_file(const char *path);

#endif
