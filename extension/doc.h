/*
 * doc.h: a parsed JSON document as the core sees it.
 *
 * JSON syntax is somebody else's job (jsonb in the server, a library in the
 * tests); numbers stay decimal text so that no price ever passes through a
 * binary fraction.
 */
#ifndef PREPAY_DOC_H
#define PREPAY_DOC_H

#include "core.h"

typedef enum DocKind
{
	DOC_NULL,
	DOC_BOOL,
	DOC_NUMBER,
	DOC_STRING,
	DOC_ARRAY,
	DOC_OBJECT
} DocKind;

typedef struct Doc
{
	DocKind kind;
	bool boolean;
	const char *text; /* DOC_NUMBER: decimal text; DOC_STRING: UTF-8 */
	int n;			  /* DOC_ARRAY, DOC_OBJECT: members */
	struct Doc *item; /* n members */
	const char **key; /* DOC_OBJECT: n names, unique */
} Doc;

extern const Doc *doc_get(const Doc *object, const char *key); /* NULL: absent */

#define DOC_PATH_MAX 160

/* What is wrong with a document, for a person who has to mend it. */
typedef struct DocFault
{
	char path[DOC_PATH_MAX]; /* "schedule[2].slots[0]" */
	char what[256];			 /* lower case, no full stop */
	char hint[256];			 /* full sentence, or empty */
} DocFault;

extern void doc_fault(DocFault *fault, const char *path, const char *hint, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Path of a member or item; path holds DOC_PATH_MAX bytes and may not be parent. */
extern void doc_path_key(char *path, const char *parent, const char *key);
extern void doc_path_item(char *path, const char *parent, int index);

/* Checks that set *fault and return false. known ends with NULL. */
extern bool doc_is(const Doc *doc, DocKind kind, const char *path, const char *hint,
				   DocFault *fault);
extern bool doc_has_only(const Doc *object, const char *const *known, const char *path,
						 DocFault *fault);
extern const char *doc_kind_name(DocKind kind); /* "an array" */

/*
 * Making a document. A value owns its memory; doc_add moves it into an object, or,
 * with key NULL, into an array.
 */
#define DOC_TEXT_MAX 480
extern Doc doc_new(DocKind kind); /* DOC_ARRAY or DOC_OBJECT, empty */
extern Doc doc_new_text(const char *text); /* as it is */
/* Cut at DOC_TEXT_MAX bytes. */
extern Doc doc_new_sentence(const char *format, ...) __attribute__((format(printf, 1, 2)));
extern Doc doc_new_number(const char *text);
extern void doc_add(Doc *parent, const char *key, Doc value);

#endif
