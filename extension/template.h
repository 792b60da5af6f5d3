/*
 * template.h: texts with places for values: receipts and statements.
 *
 *   {name}                 the value
 *   {name:<12}             the value in 12 columns, left; > right, ^ centred; text only
 *   {#name} ... {/name}    once a row of a list, or once if the value is not empty
 *   {{                     one opening brace
 *
 * A brace is only special before a lower-case letter, before # or / and such a letter, or before
 * a brace, so CSS needs nothing but a blank after its braces. A section tag alone on its line
 * takes the line with it. There are no expressions: what a template can show is its vocabulary.
 *
 * Values are data, never markup or layout: control characters become blanks, characters that
 * turn the direction of writing are dropped, HTML gets its five characters escaped. A free text
 * is cut to its columns; a number, code or hash is never cut, the line grows instead.
 */
#ifndef PREPAY_TEMPLATE_H
#define PREPAY_TEMPLATE_H

#include "core.h"
#include "layout.h"

typedef enum TemplateKind
{
	TEMPLATE_EXACT, /* number, code, hash, word of ours */
	TEMPLATE_FREE,	/* what somebody typed: may be cut */
	TEMPLATE_LIST	/* has rows, and names that exist only in them */
} TemplateKind;

typedef struct TemplateName
{
	const char *name; /* [a-z][a-z0-9_]*; NULL ends a vocabulary */
	TemplateKind kind;
	int list; /* index of the list in whose rows it exists; TEMPLATE_ANYWHERE */
} TemplateName;

#define TEMPLATE_ANYWHERE (-1)
#define TEMPLATE_MAX_NAMES 64

typedef struct TemplateFault
{
	int line; /* from 1 */
	char what[200];
	bool unknown_name; /* then the vocabulary is worth showing */
} TemplateFault;

typedef struct Template
{
	const TemplateName *names;
	bool html;
	int n;
	int room;
	struct TemplateNode *node;
} Template;

/* Where the values come from. A list's rows are numbered from 0. */
typedef struct TemplateSource
{
	void *context;
	/* `row` is the present row of the name's list; NULL means empty. Valid until the next call. */
	const char *(*value)(void *context, int name, int row);
	int (*rows)(void *context, int list);
} TemplateSource;

/* False and a fault for whatever is not known or not closed. `body` must outlive the template. */
extern bool template_compile(const char *body, const TemplateName *names, bool html,
							 Template *result, TemplateFault *fault);
/* Whether a template has the name, as a value or as a section. */
extern bool template_uses(const Template *compiled, int name);
/* The text, core_alloc'ed. */
extern char *template_render(const Template *compiled, const TemplateSource *source,
							 LayoutFont font);
/* "site, account, amount, …": what a vocabulary has; core_alloc'ed. */
extern char *template_list_names(const TemplateName *names);

#endif
