/*
 * doc_json.c: a small strict JSON reader (see doc_json.h).
 */
#include "doc_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 64

typedef struct Reader
{
	const char *p;
	int depth;
	const char *fault;
} Reader;

static bool read_value(Reader *reader, Doc *doc);

static void
free_content(Doc *doc)
{
	for (int i = 0; i < doc->n; i++)
	{
		free_content(&doc->item[i]);
		if (doc->key)
			core_free((void *) doc->key[i]);
	}
	if (doc->item)
		core_free(doc->item);
	if (doc->key)
		core_free(doc->key);
	if (doc->text)
		core_free((void *) doc->text);
}

void
doc_free(Doc *doc)
{
	free_content(doc);
	core_free(doc);
}

static bool
refuse(Reader *reader, const char *fault)
{
	if (reader->fault == NULL)
		reader->fault = fault;
	return false;
}

static void
skip_space(Reader *reader)
{
	reader->p += strspn(reader->p, " \t\r\n");
}

static char *
copy_bytes(const char *from, size_t n)
{
	char *copy = core_alloc(n + 1);

	memcpy(copy, from, n);
	return copy;
}

static size_t
digits(const char *p)
{
	return strspn(p, "0123456789");
}

static bool
read_number(Reader *reader, Doc *doc)
{
	const char *p = reader->p;

	if (*p == '-')
		p++;
	if (digits(p) == 0 || (*p == '0' && digits(p) > 1))
		return refuse(reader, "bad number");
	p += digits(p);
	if (*p == '.')
	{
		if (digits(++p) == 0)
			return refuse(reader, "bad fraction");
		p += digits(p);
	}
	if (*p == 'e' || *p == 'E')
	{
		p++;
		if (*p == '-' || *p == '+')
			p++;
		if (digits(p) == 0)
			return refuse(reader, "bad exponent");
		p += digits(p);
	}
	doc->kind = DOC_NUMBER;
	doc->text = copy_bytes(reader->p, (size_t) (p - reader->p));
	reader->p = p;
	return true;
}

static char *
put_utf8(char *to, unsigned long code)
{
	if (code < 0x80)
		*to++ = (char) code;
	else if (code < 0x800)
	{
		*to++ = (char) (0xC0 | code >> 6);
		*to++ = (char) (0x80 | (code & 0x3F));
	}
	else
	{
		*to++ = (char) (0xE0 | code >> 12);
		*to++ = (char) (0x80 | (code >> 6 & 0x3F));
		*to++ = (char) (0x80 | (code & 0x3F));
	}
	return to;
}

static bool
read_escape(Reader *reader, char **to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char into[] = "\"\\/\b\f\n\r\t";
	const char *found;

	if (*reader->p == 'u')
	{
		char hex[5] = { 0 };

		memcpy(hex, reader->p + 1, strnlen(reader->p + 1, 4));
		if (strspn(hex, "0123456789abcdefABCDEF") != 4 || strcmp(hex, "0000") == 0)
			return refuse(reader, "bad \\u escape");
		*to = put_utf8(*to, strtoul(hex, NULL, 16));
		reader->p += 5;
		return true;
	}
	found = *reader->p ? strchr(from, *reader->p) : NULL;
	if (found == NULL)
		return refuse(reader, "bad escape");
	*(*to)++ = into[found - from];
	reader->p++;
	return true;
}

static char *
read_text(Reader *reader)
{
	const char *end;
	char *text;
	char *to;

	if (*reader->p++ != '"')
	{
		refuse(reader, "text expected");
		return NULL;
	}
	for (end = reader->p; *end && *end != '"'; end++)
		if (*end == '\\' && end[1])
			end++;
	text = core_alloc((size_t) (end - reader->p) + 1);
	to = text;
	while (*reader->p != '"')
	{
		bool fine = (unsigned char) *reader->p >= 0x20;

		if (*reader->p == '\\')
		{
			reader->p++;
			fine = read_escape(reader, &to);
		}
		else if (fine)
			*to++ = *reader->p++;
		if (!fine)
		{
			refuse(reader, "unfinished text");
			core_free(text);
			return NULL;
		}
	}
	reader->p++;
	return text;
}

static void
drop_earlier(Doc *object, const char *key)
{
	for (int i = 0; i < object->n; i++)
		if (strcmp(object->key[i], key) == 0)
		{
			free_content(&object->item[i]);
			core_free((void *) object->key[i]);
			object->n--;
			object->item[i] = object->item[object->n];
			object->key[i] = object->key[object->n];
			return;
		}
}

/* Items of an array or members of an object, up to and with the closing bracket. */
static bool
read_items(Reader *reader, Doc *doc)
{
	bool object = doc->kind == DOC_OBJECT;
	char close = object ? '}' : ']';
	int capacity = 0;

	reader->p++;
	skip_space(reader);
	if (*reader->p == close)
	{
		reader->p++;
		return true;
	}
	for (;;)
	{
		char *key = NULL;

		skip_space(reader);
		if (object)
		{
			key = read_text(reader);
			if (key == NULL)
				return false;
			drop_earlier(doc, key);
		}
		if (doc->n == capacity)
		{
			capacity = capacity > 0 ? capacity * 2 : 4;
			doc->item = core_realloc(doc->item, (size_t) capacity * sizeof(Doc));
			if (object)
				doc->key = core_realloc(doc->key, (size_t) capacity * sizeof(*doc->key));
		}
		memset(&doc->item[doc->n], 0, sizeof(Doc));
		if (object)
			doc->key[doc->n] = key;
		doc->n++;
		skip_space(reader);
		if (object && *reader->p++ != ':')
			return refuse(reader, "colon expected");
		if (!read_value(reader, &doc->item[doc->n - 1]))
			return false;
		skip_space(reader);
		if (*reader->p == close)
		{
			reader->p++;
			return true;
		}
		if (*reader->p++ != ',')
			return refuse(reader, "comma expected");
	}
}

static bool
read_word(Reader *reader, Doc *doc, const char *word, DocKind kind, bool boolean)
{
	if (strncmp(reader->p, word, strlen(word)) != 0)
		return refuse(reader, "unknown word");
	reader->p += strlen(word);
	doc->kind = kind;
	doc->boolean = boolean;
	return true;
}

static bool
read_value(Reader *reader, Doc *doc)
{
	bool fine;

	skip_space(reader);
	switch (*reader->p)
	{
		case '{':
		case '[':
			doc->kind = *reader->p == '{' ? DOC_OBJECT : DOC_ARRAY;
			if (++reader->depth > MAX_DEPTH)
				return refuse(reader, "nested too deeply");
			fine = read_items(reader, doc);
			reader->depth--;
			return fine;
		case '"':
			doc->kind = DOC_STRING;
			doc->text = read_text(reader);
			return doc->text != NULL;
		case 't':
			return read_word(reader, doc, "true", DOC_BOOL, true);
		case 'f':
			return read_word(reader, doc, "false", DOC_BOOL, false);
		case 'n':
			return read_word(reader, doc, "null", DOC_NULL, false);
		default:
			return read_number(reader, doc);
	}
}

Doc *
doc_from_json(const char *text, char *error, size_t size)
{
	Reader reader = { text, 0, NULL };
	Doc *doc = core_alloc(sizeof(Doc));

	if (read_value(&reader, doc))
	{
		skip_space(&reader);
		if (*reader.p == '\0')
			return doc;
		refuse(&reader, "text after the end");
	}
	snprintf(error, size, "%s at byte %d", reader.fault, (int) (reader.p - text));
	doc_free(doc);
	return NULL;
}

static void
need(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "test data: %s\n", what);
	abort();
}

const Doc *
doc_need(const Doc *object, const char *key)
{
	const Doc *doc = doc_get(object, key);

	need(doc != NULL, key);
	return doc;
}

int64_t
doc_int(const Doc *number)
{
	need(number->kind == DOC_NUMBER, "number expected");
	return strtoll(number->text, NULL, 10);
}

const char *
doc_text(const Doc *string)
{
	need(string->kind == DOC_STRING || string->kind == DOC_NUMBER, "text expected");
	return string->text;
}

char *
read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	char *text;
	long size;

	need(file != NULL, path);
	fseek(file, 0, SEEK_END);
	size = ftell(file);
	need(size >= 0, path);
	rewind(file);
	text = core_alloc((size_t) size + 1);
	need(fread(text, 1, (size_t) size, file) == (size_t) size, path);
	fclose(file);
	return text;
}
