/*
 * form.c: see form.h.
 */
#include "form.h"

#include <string.h>

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* Decode length bytes in place; a NUL byte is written after what is left. False: broken. */
static bool
unescape(char *text, size_t length)
{
	char *to = text;
	size_t i;

	for (i = 0; i < length; i++)
	{
		char c = text[i] == '+' ? ' ' : text[i];

		if (c == '%')
		{
			int high = length - i > 2 ? hex_value(text[i + 1]) : -1;
			int low = length - i > 2 ? hex_value(text[i + 2]) : -1;

			if (high < 0 || low < 0)
				return false;
			c = (char) (high * 16 + low);
			i += 2;
		}
		if (c == '\0')
			return false;
		*to++ = c;
	}
	*to = '\0';
	return true;
}

bool
form_add(Form *form, const char *name, const char *value)
{
	int at = form->n;
	int i;

	if (form->n == FORM_MAX_FIELDS || *name == '\0')
		return false;
	while (at > 0 && strcmp(form->field[at - 1].name, name) > 0)
		at--;
	if (at > 0 && strcmp(form->field[at - 1].name, name) == 0)
		return false;
	for (i = form->n++; i > at; i--)
		form->field[i] = form->field[i - 1];
	form->field[at].name = name;
	form->field[at].value = value;
	return true;
}

/* A field from `name` to `stop`, where a byte may be written. */
static bool
take_field(Form *form, char *name, char *stop)
{
	char *equal = memchr(name, '=', (size_t) (stop - name));
	char *value = equal ? equal + 1 : stop;

	if (!unescape(value, (size_t) (stop - value)) ||
		!unescape(name, (size_t) ((equal ? equal : stop) - name)))
		return false;
	return form_add(form, name, value);
}

bool
form_parse(const char *body, size_t length, Form *form)
{
	char *at;
	char *end;

	form->n = 0;
	at = form->text = core_alloc(length + 1);
	end = at + length;
	memcpy(at, body, length);
	while (at < end)
	{
		char *stop = memchr(at, '&', (size_t) (end - at));

		if (stop == NULL)
			stop = end;
		if (!take_field(form, at, stop))
		{
			form_free(form);
			return false;
		}
		at = stop + 1;
	}
	return true;
}

void
form_free(Form *form)
{
	core_free(form->text);
	form->text = NULL;
	form->n = 0;
}

const char *
form_get(const Form *form, const char *name)
{
	int i;

	for (i = 0; i < form->n; i++)
		if (strcmp(form->field[i].name, name) == 0)
			return form->field[i].value;
	return NULL;
}

static bool
is_listed(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static char *
put(char *at, const char *text, bool escaped)
{
	static const char hex[] = "0123456789ABCDEF";

	for (; *text; text++)
	{
		unsigned char c = (unsigned char) *text;
		bool plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
					 strchr("-_.~", c) != NULL;

		if (!escaped || plain)
		{
			*at++ = (char) c;
			continue;
		}
		*at++ = '%';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	return at;
}

char *
form_text(const Form *form, const char *const *without, bool escaped)
{
	size_t room = 1;
	char *text;
	char *at;
	int i;

	for (i = 0; i < form->n; i++)
		room += 3 * (strlen(form->field[i].name) + strlen(form->field[i].value)) + 2;
	at = text = core_alloc(room);
	for (i = 0; i < form->n; i++)
	{
		if (is_listed(form->field[i].name, without))
			continue;
		if (at > text)
			*at++ = '&';
		at = put(at, form->field[i].name, escaped);
		*at++ = '=';
		at = put(at, form->field[i].value, escaped);
	}
	*at = '\0';
	return text;
}
