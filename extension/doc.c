/*
 * doc.c: reading parsed JSON documents (see doc.h).
 */
#include "doc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const Doc *
doc_get(const Doc *object, const char *key)
{
	if (object->kind != DOC_OBJECT)
		return NULL;
	for (int i = 0; i < object->n; i++)
		if (strcmp(object->key[i], key) == 0)
			return &object->item[i];
	return NULL;
}

/* A cut may have halved a character: make every byte sequence valid UTF-8 again. */
static void
mend_characters(char *text)
{
	unsigned char *p = (unsigned char *) text;

	while (*p)
	{
		int follow = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;
		int found = 0;

		while (found < follow && (p[1 + found] & 0xC0) == 0x80)
			found++;
		if (found < follow || (follow == 0 && *p >= 0x80))
			*p = '?';
		p += found == follow ? 1 + follow : 1;
	}
}

static void
copy_text(char *to, size_t size, const char *from)
{
	size_t length = strlen(from);

	if (length >= size)
		length = size - 1;
	memmove(to, from, length);
	to[length] = '\0';
	mend_characters(to);
}

void
doc_fault(DocFault *fault, const char *path, const char *hint, const char *format, ...)
{
	va_list arguments;

	copy_text(fault->path, sizeof(fault->path), path);
	copy_text(fault->hint, sizeof(fault->hint), hint ? hint : "");
	va_start(arguments, format);
	vsnprintf(fault->what, sizeof(fault->what), format, arguments);
	va_end(arguments);
	mend_characters(fault->what);
}

void
doc_path_key(char *path, const char *parent, const char *key)
{
	char joined[2 * DOC_PATH_MAX];

	snprintf(joined, sizeof(joined), "%.*s%s%.*s", DOC_PATH_MAX - 1, parent, *parent ? "." : "",
			 DOC_PATH_MAX - 1, key);
	copy_text(path, DOC_PATH_MAX, joined);
}

void
doc_path_item(char *path, const char *parent, int index)
{
	char joined[2 * DOC_PATH_MAX];

	snprintf(joined, sizeof(joined), "%.*s[%d]", DOC_PATH_MAX - 1, parent, index);
	copy_text(path, DOC_PATH_MAX, joined);
}

const char *
doc_kind_name(DocKind kind)
{
	static const char *const name[] = {
		[DOC_NULL] = "null",	 [DOC_BOOL] = "a boolean", [DOC_NUMBER] = "a number",
		[DOC_STRING] = "a text", [DOC_ARRAY] = "an array", [DOC_OBJECT] = "an object",
	};

	return name[kind];
}

bool
doc_is(const Doc *doc, DocKind kind, const char *path, const char *hint, DocFault *fault)
{
	if (doc->kind == kind)
		return true;
	doc_fault(fault, path, hint, "expected %s, found %s", doc_kind_name(kind),
			  doc_kind_name(doc->kind));
	return false;
}

bool
doc_has_only(const Doc *object, const char *const *known, const char *path, DocFault *fault)
{
	for (int i = 0; i < object->n; i++)
	{
		char child[DOC_PATH_MAX];
		char hint[256];
		size_t used;
		int k = 0;

		while (known[k] && strcmp(known[k], object->key[i]) != 0)
			k++;
		if (known[k])
			continue;

		used = (size_t) snprintf(hint, sizeof(hint), "Allowed here:");
		for (k = 0; known[k] && used < sizeof(hint); k++)
			used += (size_t) snprintf(hint + used, sizeof(hint) - used, "%s %s", k ? "," : "",
									  known[k]);
		if (used + 1 < sizeof(hint))
			strcpy(hint + used, ".");
		doc_path_key(child, path, object->key[i]);
		doc_fault(fault, child, hint, "unknown key \"%.100s\"", object->key[i]);
		return false;
	}
	return true;
}

static char *
copy_of(const char *text)
{
	size_t size = strlen(text) + 1;

	return memcpy(core_alloc(size), text, size);
}

Doc
doc_new(DocKind kind)
{
	Doc doc = { .kind = kind };

	return doc;
}

Doc
doc_new_text(const char *text)
{
	Doc doc = { .kind = DOC_STRING, .text = copy_of(text) };

	return doc;
}

Doc
doc_new_sentence(const char *format, ...)
{
	char text[DOC_TEXT_MAX + 1];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	mend_characters(text);
	return doc_new_text(text);
}

Doc
doc_new_number(const char *text)
{
	Doc doc = { .kind = DOC_NUMBER, .text = copy_of(text) };

	return doc;
}

void
doc_add(Doc *parent, const char *key, Doc value)
{
	/* Room doubles whenever the members fill a power of two. */
	if ((parent->n & (parent->n - 1)) == 0)
	{
		size_t room = parent->n > 0 ? 2 * (size_t) parent->n : 1;

		parent->item = core_realloc(parent->item, room * sizeof(Doc));
		if (parent->kind == DOC_OBJECT)
			parent->key = core_realloc(parent->key, room * sizeof(char *));
	}
	parent->item[parent->n] = value;
	if (parent->kind == DOC_OBJECT)
		parent->key[parent->n] = copy_of(key);
	parent->n++;
}
