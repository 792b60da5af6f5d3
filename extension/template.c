#include "template.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define MAX_COLUMNS 255
#define MAX_DEPTH 8
#define NAME_MAX_BYTES 40

typedef enum NodeKind
{
	NODE_LITERAL,
	NODE_VALUE,
	NODE_OPEN,
	NODE_CLOSE
} NodeKind;

typedef struct TemplateNode
{
	NodeKind kind;
	const char *text; /* literal */
	size_t bytes;
	int name;
	char align;	 /* '<' '>' '^' or 0 */
	int columns; /* with align */
	int close;	 /* of an open section: its end */
} TemplateNode;

typedef struct Parser
{
	Template *result;
	TemplateFault *fault;
	const char *body;
	const char *at;
	int open[MAX_DEPTH]; /* sections not closed yet, outermost first */
	int depth;
} Parser;

typedef struct TextBuffer
{
	char *data;
	size_t bytes;
	size_t room;
} TextBuffer;

static void
put_bytes(TextBuffer *out, const char *text, size_t bytes)
{
	if (out->bytes + bytes + 1 > out->room)
	{
		out->room = (out->bytes + bytes + 1) * 2;
		out->data = core_realloc(out->data, out->room);
	}
	memcpy(out->data + out->bytes, text, bytes);
	out->bytes += bytes;
	out->data[out->bytes] = '\0';
}

static void
put_blanks(TextBuffer *out, int n)
{
	while (n-- > 0)
		put_bytes(out, " ", 1);
}

/* ---- reading a template ---- */

static bool fail(Parser *parser, const char *at, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static bool
fail(Parser *parser, const char *at, const char *format, ...)
{
	va_list args;

	parser->fault->line = 1;
	for (const char *p = parser->body; p < at; p++)
		parser->fault->line += *p == '\n';
	va_start(args, format);
	vsnprintf(parser->fault->what, sizeof(parser->fault->what), format, args);
	va_end(args);
	return false;
}

static TemplateNode *
add_node(Parser *parser, NodeKind kind)
{
	Template *result = parser->result;
	TemplateNode *node;

	if (result->n == result->room)
	{
		result->room = result->room ? result->room * 2 : 32;
		result->node = core_realloc(result->node, sizeof(TemplateNode) * result->room);
	}
	node = &result->node[result->n++];
	memset(node, 0, sizeof(*node));
	node->kind = kind;
	return node;
}

static void
add_literal(Parser *parser, const char *text, const char *end)
{
	TemplateNode *node;

	if (end == text)
		return;
	node = add_node(parser, NODE_LITERAL);
	node->text = text;
	node->bytes = end - text;
}

static bool
is_letter(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool
begins_tag(const char *brace)
{
	return is_letter(brace[1]) || ((brace[1] == '#' || brace[1] == '/') && is_letter(brace[2]));
}

/* Whether the name may stand here: names of a list's rows only inside its section. */
static bool
in_scope(const Parser *parser, const TemplateName *name)
{
	if (name->list == TEMPLATE_ANYWHERE)
		return true;
	for (int i = 0; i < parser->depth; i++)
		if (parser->result->node[parser->open[i]].name == name->list)
			return true;
	return false;
}

static bool
parse_name(Parser *parser, const char *tag, int *name)
{
	const TemplateName *names = parser->result->names;
	const char *begin = parser->at;
	size_t bytes = strspn(begin, "abcdefghijklmnopqrstuvwxyz0123456789_");
	int shown = bytes > NAME_MAX_BYTES ? NAME_MAX_BYTES : (int) bytes;

	for (int i = 0; names[i].name; i++)
	{
		if (strlen(names[i].name) != bytes || memcmp(names[i].name, begin, bytes) != 0)
			continue;
		if (!in_scope(parser, &names[i]))
			return fail(parser, tag, "{%s} exists only between {#%s} and {/%s}", names[i].name,
						names[names[i].list].name, names[names[i].list].name);
		parser->at += bytes;
		*name = i;
		return true;
	}
	parser->fault->unknown_name = true;
	return fail(parser, tag, "there is no placeholder {%.*s}", shown, begin);
}

/* ":<12" */
static bool
parse_columns(Parser *parser, const char *tag, TemplateNode *node)
{
	const char *name = parser->result->names[node->name].name;
	char align = parser->at[1];

	if (parser->result->html)
		return fail(parser, tag, "{%s} has columns, which HTML has not: use CSS", name);
	if (align != '<' && align != '>' && align != '^')
		return fail(parser, tag,
					"the columns of {%s} must be written like {%s:<12}, with <, > or ^", name,
					name);
	parser->at += 2;
	while (*parser->at >= '0' && *parser->at <= '9' && node->columns <= MAX_COLUMNS)
		node->columns = node->columns * 10 + (*parser->at++ - '0');
	if (node->columns < 1 || node->columns > MAX_COLUMNS)
		return fail(parser, tag, "{%s} must have 1 to %d columns", name, MAX_COLUMNS);
	node->align = align;
	return true;
}

static bool
parse_value(Parser *parser, const char *tag)
{
	TemplateNode *node;
	int name;

	if (!parse_name(parser, tag, &name))
		return false;
	if (parser->result->names[name].kind == TEMPLATE_LIST)
		return fail(parser, tag, "{%s} is a list: write {#%s} ... {/%s}",
					parser->result->names[name].name, parser->result->names[name].name,
					parser->result->names[name].name);
	node = add_node(parser, NODE_VALUE);
	node->name = name;
	return *parser->at != ':' || parse_columns(parser, tag, node);
}

static bool
parse_section(Parser *parser, const char *tag, bool opens)
{
	int name;

	if (!parse_name(parser, tag, &name))
		return false;
	if (opens)
	{
		if (parser->depth == MAX_DEPTH)
			return fail(parser, tag, "sections are nested more than %d deep", MAX_DEPTH);
		for (int i = 0; i < parser->depth; i++)
			if (parser->result->node[parser->open[i]].name == name)
				return fail(parser, tag, "{#%s} stands inside itself",
							parser->result->names[name].name);
		parser->open[parser->depth++] = parser->result->n;
		add_node(parser, NODE_OPEN)->name = name;
		return true;
	}
	if (parser->depth == 0 || parser->result->node[parser->open[parser->depth - 1]].name != name)
		return fail(parser, tag, "{/%s} closes nothing", parser->result->names[name].name);
	parser->result->node[parser->open[--parser->depth]].close = parser->result->n;
	add_node(parser, NODE_CLOSE)->name = name;
	return true;
}

/* A section tag alone on its line takes the line with it; returns where the literal before ends. */
static const char *
swallow_line(Parser *parser, const char *literal, const char *tag, const char **rest)
{
	const char *begin = tag;
	const char *end = parser->at;

	*rest = parser->at;
	while (begin > literal && (begin[-1] == ' ' || begin[-1] == '\t'))
		begin--;
	while (*end == ' ' || *end == '\t' || *end == '\r')
		end++;
	if ((begin > parser->body && begin[-1] != '\n') || (*end != '\n' && *end != '\0'))
		return tag;
	*rest = *end ? end + 1 : end;
	return begin;
}

/* One tag; parser->at stands on its brace, the literal before begins at `literal`. */
static bool
parse_tag(Parser *parser, const char **literal)
{
	const char *tag = parser->at;
	char sign = tag[1];
	bool section = !is_letter(sign);
	int before = parser->result->n;
	const char *end;

	/* Made first, so that it stands before the tag; its end is known when the tag has been read. */
	add_literal(parser, *literal, tag);
	parser->at += section ? 2 : 1;
	if (!(section ? parse_section(parser, tag, sign == '#') : parse_value(parser, tag)))
		return false;
	if (*parser->at != '}')
		return fail(parser, tag, "a placeholder is not closed by }");
	parser->at++;
	if (!section)
	{
		*literal = parser->at;
		return true;
	}
	/* Of a literal before the tag; without one there is nothing to take off. */
	end = swallow_line(parser, *literal, tag, literal);
	parser->result->node[before].bytes -= tag - end;
	parser->at = *literal;
	return true;
}

bool
template_compile(const char *body, const TemplateName *names, bool html, Template *result,
				 TemplateFault *fault)
{
	Parser parser = { .result = result, .fault = fault, .body = body, .at = body };
	const char *literal = body;

	memset(result, 0, sizeof(*result));
	memset(fault, 0, sizeof(*fault));
	result->names = names;
	result->html = html;
	while ((parser.at = strchr(parser.at, '{')) != NULL)
	{
		if (begins_tag(parser.at))
		{
			if (!parse_tag(&parser, &literal))
				return false;
		}
		else if (parser.at[1] == '{')
		{
			add_literal(&parser, literal, parser.at + 1);
			parser.at += 2;
			literal = parser.at;
		}
		else
			parser.at++;
	}
	add_literal(&parser, literal, literal + strlen(literal));
	if (parser.depth > 0)
	{
		const char *name = names[result->node[parser.open[parser.depth - 1]].name].name;

		return fail(&parser, body + strlen(body), "{#%s} has no {/%s}", name, name);
	}
	return true;
}

bool
template_uses(const Template *compiled, int name)
{
	for (int i = 0; i < compiled->n; i++)
		if (compiled->node[i].kind != NODE_LITERAL && compiled->node[i].name == name)
			return true;
	return false;
}

char *
template_list_names(const TemplateName *names)
{
	TextBuffer out = { 0 };

	put_bytes(&out, "", 0);
	for (int i = 0; names[i].name; i++)
	{
		if (i > 0)
			put_bytes(&out, ", ", 2);
		put_bytes(&out, names[i].name, strlen(names[i].name));
	}
	return out.data;
}

/* ---- filling it in ---- */

typedef struct Renderer
{
	const Template *compiled;
	const TemplateSource *source;
	LayoutFont font;
	int row[TEMPLATE_MAX_NAMES]; /* present row of each list */
	TextBuffer out;
	TextBuffer clean; /* the value being put */
} Renderer;

/* What is left of a value that is nothing but data. */
static void
clean_value(TextBuffer *clean, const char *value)
{
	size_t bytes = strlen(value);

	clean->bytes = 0;
	put_bytes(clean, "", 0);
	for (size_t at = 0; at < bytes;)
	{
		uint32_t codepoint;
		int length = layout_decode(value + at, bytes - at, &codepoint);

		if (layout_is_control(codepoint))
			put_bytes(clean, " ", 1);
		else if (!layout_is_trick(codepoint))
			put_bytes(clean, value + at, length);
		at += length;
	}
}

static void
put_escaped(TextBuffer *out, const TextBuffer *value)
{
	static const char *const special = "&<>\"'";
	static const char *const entity[] = { "&amp;", "&lt;", "&gt;", "&quot;", "&#39;" };

	for (size_t i = 0; i < value->bytes; i++)
	{
		const char *found = strchr(special, value->data[i]);

		if (found)
			put_bytes(out, entity[found - special], strlen(entity[found - special]));
		else
			put_bytes(out, &value->data[i], 1);
	}
}

static void
put_in_columns(Renderer *renderer, const TemplateNode *node)
{
	const TextBuffer *value = &renderer->clean;
	bool cut = renderer->compiled->names[node->name].kind == TEMPLATE_FREE;
	size_t bytes = value->bytes;
	int used = layout_columns(value->data, bytes, renderer->font);
	int left;

	if (used > node->columns && cut)
		bytes = layout_fit(value->data, bytes, node->columns, renderer->font, &used);
	left = used >= node->columns ? 0 : node->columns - used;
	if (node->align == '>')
		put_blanks(&renderer->out, left);
	else if (node->align == '^')
		put_blanks(&renderer->out, left / 2);
	put_bytes(&renderer->out, value->data, bytes);
	if (node->align == '<')
		put_blanks(&renderer->out, left);
	else if (node->align == '^')
		put_blanks(&renderer->out, left - left / 2);
}

static const char *
value_of(Renderer *renderer, int name)
{
	int list = renderer->compiled->names[name].list;
	const char *value = renderer->source->value(renderer->source->context, name,
												list < 0 ? 0 : renderer->row[list]);

	return value ? value : "";
}

static void
put_value(Renderer *renderer, const TemplateNode *node)
{
	clean_value(&renderer->clean, value_of(renderer, node->name));
	if (renderer->compiled->html)
		put_escaped(&renderer->out, &renderer->clean);
	else if (node->align)
		put_in_columns(renderer, node);
	else
		put_bytes(&renderer->out, renderer->clean.data, renderer->clean.bytes);
}

static void
put_nodes(Renderer *renderer, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		const TemplateNode *node = &renderer->compiled->node[i];
		int rows;

		switch (node->kind)
		{
			case NODE_LITERAL:
				put_bytes(&renderer->out, node->text, node->bytes);
				break;
			case NODE_VALUE:
				put_value(renderer, node);
				break;
			case NODE_OPEN:
				if (renderer->compiled->names[node->name].kind == TEMPLATE_LIST)
					rows = renderer->source->rows(renderer->source->context, node->name);
				else
					rows = *value_of(renderer, node->name) != '\0';
				for (int row = 0; row < rows; row++)
				{
					renderer->row[node->name] = row;
					put_nodes(renderer, i + 1, node->close);
				}
				i = node->close;
				break;
			case NODE_CLOSE:
				break;
		}
	}
}

char *
template_render(const Template *compiled, const TemplateSource *source, LayoutFont font)
{
	Renderer renderer = { .compiled = compiled, .source = source, .font = font };

	put_bytes(&renderer.out, "", 0);
	put_nodes(&renderer, 0, compiled->n);
	core_free(renderer.clean.data);
	return renderer.out.data;
}
