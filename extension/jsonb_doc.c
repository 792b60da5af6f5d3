#include "jsonb_doc.h"

#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

#include "db.h"

static void
scalar_doc(const JsonbValue *value, Doc *doc)
{
	switch (value->type)
	{
		case jbvBool:
			doc->kind = DOC_BOOL;
			doc->boolean = value->val.boolean;
			break;
		case jbvNumeric:
			doc->kind = DOC_NUMBER;
			doc->text = DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value->val.numeric)));
			break;
		case jbvString:
			doc->kind = DOC_STRING;
			doc->text = pnstrdup(value->val.string.val, value->val.string.len);
			break;
		default:
			doc->kind = DOC_NULL;
	}
}

/* Fill doc from the container the iterator has just entered, up to its end. */
static void
container_doc(JsonbIterator **iterator, const JsonbValue *container, Doc *doc)
{
	JsonbIteratorToken token;
	JsonbValue value;

	check_stack_depth();
	if (container->type == jbvObject)
	{
		doc->kind = DOC_OBJECT;
		doc->item = palloc0(sizeof(Doc) * Max(container->val.object.nPairs, 1));
		doc->key = palloc0(sizeof(char *) * Max(container->val.object.nPairs, 1));
	}
	else
	{
		doc->kind = DOC_ARRAY;
		doc->item = palloc0(sizeof(Doc) * Max(container->val.array.nElems, 1));
	}
	while ((token = JsonbIteratorNext(iterator, &value, false)) != WJB_END_OBJECT &&
		   token != WJB_END_ARRAY)
	{
		if (token == WJB_KEY)
		{
			doc->key[doc->n] = pnstrdup(value.val.string.val, value.val.string.len);
			continue;
		}
		if (token == WJB_BEGIN_OBJECT || token == WJB_BEGIN_ARRAY)
			container_doc(iterator, &value, &doc->item[doc->n]);
		else
			scalar_doc(&value, &doc->item[doc->n]);
		doc->n++;
	}
}

Doc *
jsonb_doc(Jsonb *jsonb)
{
	JsonbIterator *iterator = JsonbIteratorInit(&jsonb->root);
	JsonbValue value;
	Doc *doc = palloc0(sizeof(Doc));

	(void) JsonbIteratorNext(&iterator, &value, false);
	container_doc(&iterator, &value, doc);
	/* A bare scalar is stored as an array of one. */
	if (JB_ROOT_IS_SCALAR(jsonb))
		return &doc->item[0];
	return doc;
}

static void
push_doc(JsonbParseState **state, const Doc *doc, JsonbIteratorToken token, JsonbValue **result)
{
	bool is_object = doc->kind == DOC_OBJECT;
	JsonbValue value = { .type = jbvNull };
	int i;

	switch (doc->kind)
	{
		case DOC_ARRAY:
		case DOC_OBJECT:
			(void) pushJsonbValue(state, is_object ? WJB_BEGIN_OBJECT : WJB_BEGIN_ARRAY, NULL);
			for (i = 0; i < doc->n; i++)
			{
				JsonbValue key = { .type = jbvString };

				if (is_object)
				{
					key.val.string.val = (char *) doc->key[i];
					key.val.string.len = strlen(doc->key[i]);
					(void) pushJsonbValue(state, WJB_KEY, &key);
				}
				push_doc(state, &doc->item[i], is_object ? WJB_VALUE : WJB_ELEM, result);
			}
			*result = pushJsonbValue(state, is_object ? WJB_END_OBJECT : WJB_END_ARRAY, NULL);
			return;
		case DOC_STRING:
			value.type = jbvString;
			value.val.string.val = (char *) doc->text;
			value.val.string.len = strlen(doc->text);
			break;
		case DOC_NUMBER:
			value.type = jbvNumeric;
			value.val.numeric = DatumGetNumeric(numeric_from_text(doc->text));
			break;
		case DOC_BOOL:
			value.type = jbvBool;
			value.val.boolean = doc->boolean;
			break;
		case DOC_NULL:
			break;
	}
	(void) pushJsonbValue(state, token, &value);
}

Jsonb *
doc_jsonb(const Doc *doc)
{
	JsonbParseState *state = NULL;
	JsonbValue *result = NULL;

	push_doc(&state, doc, WJB_ELEM, &result);
	return JsonbValueToJsonb(result);
}

char *
option_text(Jsonb *options, const char *name)
{
	JsonbValue value;

	if (getKeyJsonValueFromContainer(&options->root, name, strlen(name), &value) == NULL)
		return NULL;
	switch (value.type)
	{
		case jbvString:
			return pnstrdup(value.val.string.val, value.val.string.len);
		case jbvNumeric:
			return DatumGetCString(
				DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
		case jbvBool:
			return pstrdup(value.val.boolean ? "true" : "false");
		case jbvNull:
			return NULL;
		default:
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("option \"%s\" must be a plain value", name),
							errhint("Give text, a number or a boolean.")));
	}
	return NULL;
}

void
options_check(Jsonb *options, const char *const *known)
{
	JsonbIterator *iterator;
	JsonbValue value;
	JsonbIteratorToken token;
	StringInfoData list;
	int i;

	if (!JB_ROOT_IS_OBJECT(options))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options must be a JSON object"), errhint("For none, give '{}'.")));
	initStringInfo(&list);
	for (i = 0; known[i]; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", known[i]);
	iterator = JsonbIteratorInit(&options->root);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		char *name;

		if (token != WJB_KEY)
			continue;
		name = pnstrdup(value.val.string.val, value.val.string.len);
		for (i = 0; known[i] && strcmp(known[i], name) != 0; i++)
			;
		if (known[i] == NULL)
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("there is no option \"%s\"", name),
							errhint("Options here: %s.", list.len ? list.data : "none")));
	}
}
