/*
 * form.h: bodies of type application/x-www-form-urlencoded, and the texts that payment
 * channels sign: members sorted by name and joined as name=value&name=value.
 */
#ifndef PREPAY_FORM_H
#define PREPAY_FORM_H

#include "core.h"

#define FORM_MAX_FIELDS 100

typedef struct FormField
{
	const char *name;
	const char *value;
} FormField;

/* Fields are sorted by name. */
typedef struct Form
{
	int n;
	FormField field[FORM_MAX_FIELDS];
	char *text; /* what form_parse() decoded, and its fields point to; else NULL */
} Form;

/*
 * False: a broken escape, a NUL byte, a name twice or empty, or too many fields. A '+' is a
 * space. Bytes are not checked to be of any encoding.
 */
extern bool form_parse(const char *body, size_t length, Form *form);
extern void form_free(Form *form);
extern const char *form_get(const Form *form, const char *name); /* NULL: absent */
/* Keeps the order; false: full, or the name is there. Neither text is copied. */
extern bool form_add(Form *form, const char *name, const char *value);

/* name=value&..., without the fields of the NULL-terminated list; escaped: as a body. */
extern char *form_text(const Form *form, const char *const *without, bool escaped);

#endif
