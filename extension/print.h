/*
 * print.h: templates as rows: which one a printed paper is made with.
 *
 * A kind of paper (receipt, statement) has a vocabulary: the names its templates may use. The
 * module that makes the paper owns it and supplies the values.
 */
#ifndef PREPAY_PRINT_H
#define PREPAY_PRINT_H

#include "postgres.h"

#include "site.h"
#include "template.h"

typedef struct PrintForm
{
	Template compiled;
	char *code;
	char *language; /* zh or en: of the words around and in the values */
	LayoutFont font;
	int n_copies;
	char **copy; /* label of each copy */
} PrintForm;

/* Vocabularies of the kinds, in receipt.c and so on. */
extern const TemplateName receipt_names[];
extern const TemplateName statement_names[];

/*
 * The template of this kind and code: the site's own in the language, the shipped one in it,
 * then either in another language. Raises PP010 when there is none, PP081 when it is not sound.
 */
extern void print_find(const Site *site, const char *kind, const char *code, const char *language,
					   PrintForm *form);
/* Label of a row of {#copies}. */
extern const char *print_copy(const PrintForm *form, int row);
/* 'zh' | 'en': the words of a language. */
extern const char *print_word(const PrintForm *form, const char *zh, const char *en);
/* Fill the form in; in the present memory context. */
extern char *print_fill(const PrintForm *form, const TemplateSource *source);

#endif
