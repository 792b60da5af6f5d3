#include "print.h"

#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "db.h"

#define BODY_MAX_BYTES 100000
#define MAX_COPIES 9
#define LABEL_MAX_CHARS 64

PG_FUNCTION_INFO_V1(prepay_is_receipt_template);

static const struct
{
	const char *kind;
	const TemplateName *names;
} vocabulary[] = {
	{ "receipt", receipt_names },
	{ "statement", statement_names },
};

static const TemplateName *
find_vocabulary(const char *kind)
{
	int i;

	for (i = 0; i < lengthof(vocabulary); i++)
		if (strcmp(vocabulary[i].kind, kind) == 0)
			return vocabulary[i].names;
	ereport(ERROR,
			(errcode(ERRCODE_PP_BAD_TEMPLATE), errmsg("there is no kind of template \"%s\"", kind),
			 errhint("Kinds are: receipt, statement.")));
	return NULL;
}

/* code NULL: a template that is about to be written. */
static void
compile(const char *code, const char *kind, const char *body, bool html, Template *compiled)
{
	const TemplateName *names = find_vocabulary(kind);
	TemplateFault fault;

	if (template_compile(body, names, html, compiled, &fault))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_PP_BAD_TEMPLATE),
			 code ? errmsg("template \"%s\" refused at line %d: %s", code, fault.line, fault.what)
				  : errmsg("template refused at line %d: %s", fault.line, fault.what),
			 fault.unknown_name ? errdetail("A %s has: %s.", kind, template_list_names(names)) : 0,
			 fault.unknown_name && html
				 ? errhint("A brace of CSS needs a blank behind it.")
				 : errhint("Write {name}, {name:<12} for columns of text, {#name} ... {/name} for "
						   "rows or for what may be empty, and {{ for a brace.")));
}

static int
read_labels(ArrayType *labels, char ***label)
{
	Datum *value;
	bool *isnull;
	int n;
	int i;

	deconstruct_array(labels, TEXTOID, -1, false, TYPALIGN_INT, &value, &isnull, &n);
	if (n > MAX_COPIES)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
						errmsg("a template has at most %d copies, not %d", MAX_COPIES, n)));
	*label = palloc(sizeof(char *) * Max(n, 1));
	for (i = 0; i < n; i++)
	{
		(*label)[i] = isnull[i] ? NULL : TextDatumGetCString(value[i]);
		if (isnull[i] || pg_mbstrlen((*label)[i]) > LABEL_MAX_CHARS)
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
							errmsg("the label of a copy has 0 to %d characters", LABEL_MAX_CHARS),
							errhint("Give one label a copy, such as '{存根联,客户联}'.")));
	}
	return n;
}

/* Copies and the section that prints them belong together: without the one the other is void. */
static void
check_copies(const Template *compiled, int copies)
{
	bool used = false;
	int i;

	for (i = 0; compiled->names[i].name; i++)
		if (strcmp(compiled->names[i].name, "copies") == 0)
			used = template_uses(compiled, i);
	if (used && copies == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
						errmsg("the template uses {#copies} but column copies is empty"),
						errhint("Give one label a copy, such as '{存根联,客户联}'.")));
	if (!used && copies > 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
						errmsg("column copies has labels but the template has no {#copies}"),
						errhint("Put {#copies} ... {/copies} around what every copy has.")));
}

/*
 * is_receipt_template(kind, format, copies, body): raises PP081 with line and remedy unless
 * the template can be printed.
 */
Datum
prepay_is_receipt_template(PG_FUNCTION_ARGS)
{
	char *kind = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *format = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char *body = text_to_cstring(PG_GETARG_TEXT_PP(3));
	Template compiled;
	char **label;

	if (strlen(body) > BODY_MAX_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_TEMPLATE),
				 errmsg("a template has at most %d bytes, not %zu", BODY_MAX_BYTES, strlen(body))));
	compile(NULL, kind, body, strcmp(format, "html") == 0, &compiled);
	check_copies(&compiled, read_labels(PG_GETARG_ARRAYTYPE_P(2), &label));
	PG_RETURN_BOOL(true);
}

static void
no_template(const Site *site, const char *kind, const char *code)
{
	static DbQuery query = { "SELECT string_agg(DISTINCT code, ', ') FROM prepay.receipt_template"
							 " WHERE site_id IN (0, $1) AND kind = $2",
							 2,
							 { INT4OID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(kind) };
	char *codes;

	db_run(&query, args);
	codes = db_text(0, 1);
	ereport(ERROR,
			(errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no %s template \"%s\"", kind, code),
			 codes ? errdetail("Templates of this kind: %s.", codes) : 0,
			 errhint("Templates are rows of prepay.receipt_template; install() ships some.")));
}

void
print_find(const Site *site, const char *kind, const char *code, const char *language,
		   PrintForm *form)
{
	static DbQuery query = { "SELECT language, format, copies, body FROM prepay.receipt_template"
							 " WHERE site_id IN (0, $1) AND kind = $2 AND code = $3"
							 " ORDER BY language = $4 DESC, site_id = $1 DESC LIMIT 1",
							 4,
							 { INT4OID, TEXTOID, TEXTOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(kind),
					 CStringGetTextDatum(code), CStringGetTextDatum(language) };
	bool isnull;

	if (db_run(&query, args) == 0)
		no_template(site, kind, code);
	form->code = pstrdup(code);
	form->language = db_text(0, 1);
	form->font = strcmp(form->language, "zh") == 0 ? LAYOUT_CHINESE : LAYOUT_WESTERN;
	form->n_copies = read_labels(DatumGetArrayTypePCopy(db_value(0, 3, &isnull)), &form->copy);
	compile(code, kind, db_text(0, 4), strcmp(db_text(0, 2), "html") == 0, &form->compiled);
}

const char *
print_copy(const PrintForm *form, int row)
{
	Assert(row < form->n_copies);
	return form->copy[row];
}

const char *
print_word(const PrintForm *form, const char *zh, const char *en)
{
	return strcmp(form->language, "zh") == 0 ? zh : en;
}

char *
print_fill(const PrintForm *form, const TemplateSource *source)
{
	return template_render(&form->compiled, source, form->font);
}
