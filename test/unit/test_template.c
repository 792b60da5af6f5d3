/*
 * test_template.c: texts with places for values.
 */
#include "fixture.h"

#include <string.h>

#include "template.h"

enum
{
	CUSTOMER,
	AMOUNT,
	NOTE,
	LINES,
	DAY,
	KWH,
	COPIES,
	COPY
};

static const TemplateName names[] = {
	[CUSTOMER] = { "customer", TEMPLATE_FREE, TEMPLATE_ANYWHERE },
	[AMOUNT] = { "amount", TEMPLATE_EXACT, TEMPLATE_ANYWHERE },
	[NOTE] = { "note", TEMPLATE_FREE, TEMPLATE_ANYWHERE },
	[LINES] = { "lines", TEMPLATE_LIST, TEMPLATE_ANYWHERE },
	[DAY] = { "day", TEMPLATE_EXACT, LINES },
	[KWH] = { "kwh", TEMPLATE_EXACT, LINES },
	[COPIES] = { "copies", TEMPLATE_LIST, TEMPLATE_ANYWHERE },
	[COPY] = { "copy", TEMPLATE_FREE, COPIES },
	{ NULL, TEMPLATE_EXACT, TEMPLATE_ANYWHERE },
};

typedef struct Values
{
	const char *customer;
	const char *amount;
	const char *note;
	int lines;
	int copies;
} Values;

static const char *
value(void *context, int name, int row)
{
	static const char *const days[] = { "2026-01-05", "2026-01-06", "2026-01-07" };
	static const char *const energy[] = { "1.5", "20", "-3.25" };
	static const char *const labels[] = { "存根联", "客户联", "记账联" };
	const Values *values = context;

	switch (name)
	{
		case CUSTOMER:
			return values->customer;
		case AMOUNT:
			return values->amount;
		case NOTE:
			return values->note;
		case DAY:
			return days[row];
		case KWH:
			return energy[row];
		case COPY:
			return labels[row];
	}
	fail();
	return NULL;
}

static int
rows(void *context, int list)
{
	return list == LINES ? ((Values *) context)->lines : ((Values *) context)->copies;
}

static void
assert_rendered(const char *body, bool html, Values values, const char *expected)
{
	TemplateSource source = { .context = &values, .value = value, .rows = rows };
	Template template;
	TemplateFault fault;
	char *text;

	if (!template_compile(body, names, html, &template, &fault))
		fail_msg("\"%s\" refused: %s", body, fault.what);
	text = template_render(&template, &source, LAYOUT_CHINESE);
	assert_string_equal(text, expected);
	core_free(text);
	core_free(template.node);
}

static void
assert_refused(const char *body, bool html, int line, const char *what)
{
	Template template;
	TemplateFault fault;

	assert_false(template_compile(body, names, html, &template, &fault));
	assert_string_equal(fault.what, what);
	assert_int_equal(fault.line, line);
	assert_int_equal(fault.unknown_name, strncmp(what, "there is no", 11) == 0);
	core_free(template.node);
}

static const Values plain = { "张三", "100.00", "", 3, 3 };

static void
values_take_their_place(void **state)
{
	(void) state;
	assert_rendered("", false, plain, "");
	assert_rendered("no place", false, plain, "no place");
	assert_rendered("{customer}", false, plain, "张三");
	assert_rendered("户名 {customer} 金额 {amount}元\n", false, plain, "户名 张三 金额 100.00元\n");
	assert_rendered("[{note}]", false, plain, "[]");
	assert_rendered("[{note}]", false, (Values){ .note = NULL }, "[]");
}

static void
columns(void **state)
{
	Values narrow = { "张三丰李四", "123456789.01", "x", 0, 0 };

	(void) state;
	assert_rendered("[{customer:<8}]", false, plain, "[张三    ]");
	assert_rendered("[{customer:>8}]", false, plain, "[    张三]");
	assert_rendered("[{customer:^8}]", false, plain, "[  张三  ]");
	assert_rendered("[{customer:^7}]", false, plain, "[ 张三  ]");
	assert_rendered("[{amount:>12}]", false, plain, "[      100.00]");
	assert_rendered("[{note:<3}]", false, plain, "[   ]");
	assert_rendered("[{customer:<4}]", false, plain, "[张三]");
	/* Free text is cut to whole characters and filled up; a number never is. */
	assert_rendered("[{customer:<6}]", false, narrow, "[张三丰]");
	assert_rendered("[{customer:<7}]", false, narrow, "[张三丰 ]");
	assert_rendered("[{customer:>7}]", false, narrow, "[ 张三丰]");
	assert_rendered("[{customer:<1}]", false, narrow, "[ ]");
	assert_rendered("[{amount:>6}]", false, narrow, "[123456789.01]");
	assert_rendered("[{amount:^6}]", false, narrow, "[123456789.01]");
}

static void
sections(void **state)
{
	Values empty = { "张三", "1", "", 0, 0 };
	Values noted = { "张三", "1", "late", 1, 1 };

	(void) state;
	assert_rendered("{#lines}{day} {kwh:>6};{/lines}", false, plain,
					"2026-01-05    1.5;2026-01-06     20;2026-01-07  -3.25;");
	assert_rendered("a{#lines}{day}{/lines}b", false, empty, "ab");
	/* A value opens a section when there is one. */
	assert_rendered("{#note}note: {note}{/note}", false, plain, "");
	assert_rendered("{#note}note: {note}{/note}", false, noted, "note: late");
	/* Lists in lists: each has its own row. */
	assert_rendered("{#copies}{copy}:{#lines}{day}@{copy} {/lines}/ {/copies}", false,
					(Values){ "", "", "", 2, 2 },
					"存根联:2026-01-05@存根联 2026-01-06@存根联 / "
					"客户联:2026-01-05@客户联 2026-01-06@客户联 / ");
	/* Twice in a row, and one after the other. */
	assert_rendered("{#lines}x{/lines}{#lines}y{/lines}", false, plain, "xxxyyy");
}

/* A tag alone on its line leaves no empty line behind. */
static void
section_lines_vanish(void **state)
{
	Values two = { "张三", "1", "", 2, 2 };

	(void) state;
	assert_rendered("head\n{#lines}\n{day}\n{/lines}\nfoot\n", false, two,
					"head\n2026-01-05\n2026-01-06\nfoot\n");
	assert_rendered("  {#lines}  \n{day}\n\t{/lines}", false, two, "2026-01-05\n2026-01-06\n");
	assert_rendered("head\r\n{#note}\r\n{note}\r\n{/note}\r\nfoot\r\n", false, two,
					"head\r\nfoot\r\n");
	assert_rendered("{#copies}\n{#lines}\n{day}\n{/lines}\n--\n{/copies}\n", false, two,
					"2026-01-05\n2026-01-06\n--\n2026-01-05\n2026-01-06\n--\n");
	/* With something else on the line, the line is text like any other. */
	assert_rendered("x {#lines}\n{day} {/lines}\ny", false, two, "x \n2026-01-05 \n2026-01-06 \ny");
	assert_rendered(" {amount}\n", false, two, " 1\n");
}

static void
braces(void **state)
{
	(void) state;
	assert_rendered("{{customer}", false, plain, "{customer}");
	assert_rendered("{{{customer}}", false, plain, "{张三}");
	assert_rendered("{ customer } {} {1} {A} { {", false, plain, "{ customer } {} {1} {A} { {");
	assert_rendered("@page { size: 241mm 93.1mm }", true, plain, "@page { size: 241mm 93.1mm }");
	assert_rendered("@media print {\n p { color: #000 } }", true, plain,
					"@media print {\n p { color: #000 } }");
	assert_rendered("a{/* x */}{#1}", true, plain, "a{/* x */}{#1}");
}

static void
values_are_data(void **state)
{
	Values attack = { "<script>alert('1&2')</script>", "{customer}", "{#lines}{{", 0, 0 };
	Values control = { "a\x1b[2J\r\nb\tc\x7f\xc2\x9b\xe2\x80\xa8.", "1", "", 0, 0 };
	Values turned = { "\xe2\x80\xae"
					  "gpj\xe2\x80\xac\xe2\x81\xa6 \xef\xbb\xbfשלום",
					  "1", "", 0, 0 };

	(void) state;
	assert_rendered("<b>{customer}</b>", true, attack,
					"<b>&lt;script&gt;alert(&#39;1&amp;2&#39;)&lt;/script&gt;</b>");
	assert_rendered("<i title=\"{customer}\">", true, (Values){ .customer = "\" onload=\"x" },
					"<i title=\"&quot; onload=&quot;x\">");
	assert_rendered("{customer}", false, attack, "<script>alert('1&2')</script>");
	/* What a value says is never read as a template. */
	assert_rendered("{amount}{note}", false, attack, "{customer}{#lines}{{");
	/* No control character comes through: no new line, no escape sequence. */
	assert_rendered("[{customer}]", false, control, "[a [2J  b c   .]");
	assert_rendered("[{customer:<13}]", false, control, "[a [2J  b c   ]");
	assert_rendered("[{customer}]", true, control, "[a [2J  b c   .]");
	assert_rendered("[{customer}]", false, turned, "[gpj שלום]");
	assert_rendered("[{customer:<10}]", false, turned, "[gpj שלום  ]");
}

static void
faults(void **state)
{
	(void) state;
	assert_refused("{customr}", false, 1, "there is no placeholder {customr}");
	assert_refused("one\ntwo {#line}", false, 2, "there is no placeholder {line}");
	assert_refused("{/x}", false, 1, "there is no placeholder {x}");
	assert_refused("{customer_name_that_is_very_long_indeed_and_longer}", false, 1,
				   "there is no placeholder {customer_name_that_is_very_long_indeed_a}");
	assert_refused("{amount", false, 1, "a placeholder is not closed by }");
	assert_refused("{amount }", false, 1, "a placeholder is not closed by }");
	assert_refused("{amount:>12", false, 1, "a placeholder is not closed by }");
	assert_refused("{amount:>12x}", false, 1, "a placeholder is not closed by }");
	assert_refused("{amount:12}", false, 1,
				   "the columns of {amount} must be written like {amount:<12}, with <, > or ^");
	assert_refused("{amount:}", false, 1,
				   "the columns of {amount} must be written like {amount:<12}, with <, > or ^");
	assert_refused("{amount:>}", false, 1, "{amount} must have 1 to 255 columns");
	assert_refused("{amount:>0}", false, 1, "{amount} must have 1 to 255 columns");
	assert_refused("{amount:>256}", false, 1, "{amount} must have 1 to 255 columns");
	assert_refused("{amount:>99999999999999999999}", false, 1,
				   "{amount} must have 1 to 255 columns");
	assert_refused("{amount:>-5}", false, 1, "{amount} must have 1 to 255 columns");
	assert_refused("{amount:>5}", true, 1, "{amount} has columns, which HTML has not: use CSS");
	assert_refused("{lines}", false, 1, "{lines} is a list: write {#lines} ... {/lines}");
	assert_refused("{day}", false, 1, "{day} exists only between {#lines} and {/lines}");
	assert_refused("{#lines}{/lines}\n{day}", false, 2,
				   "{day} exists only between {#lines} and {/lines}");
	assert_refused("{#copies}{#day}", false, 1, "{day} exists only between {#lines} and {/lines}");
	assert_refused("{#lines}\n{day}\n", false, 3, "{#lines} has no {/lines}");
	assert_refused("{/lines}", false, 1, "{/lines} closes nothing");
	assert_refused("{#lines}{#copies}{/lines}{/copies}", false, 1, "{/lines} closes nothing");
	assert_refused("{#lines}{#lines}{/lines}{/lines}", false, 1, "{#lines} stands inside itself");
	assert_refused("p{color:red}", true, 1, "there is no placeholder {color}");
}

/* Whatever a template says: refused or rendered, never read past its end. */
static void
any_template(void **state)
{
	static const char *const pieces[] = {
		"{",		"}",		 "{{",		  "}}",		   "{#",	 "{/",
		"customer", "amount",	 "lines",	  "day",	   "copies", ":",
		"<",		">",		 "^",		  "12",		   "\n",	 " ",
		"{amount}", "{note}",	 "{#lines}",  "{/lines}",  "{day}",	 "{#note}",
		"{/note}",	"{#copies}", "{/copies}", "{copy:<9}", "张",	 "\xe5",
	};
	int rendered = 0;

	(void) state;
	for (int i = 0; i < 50000; i++)
	{
		Values values = { "张三<&", "12.30", random_next() & 1 ? "n" : "", 2, 3 };
		TemplateSource source = { .context = &values, .value = value, .rows = rows };
		bool html = random_next() & 1;
		char body[400] = "";
		char *exact;
		Template template;
		TemplateFault fault;

		for (int n = (int) random_between(0, 14); n > 0; n--)
			strcat(body, pieces[random_next() % (sizeof(pieces) / sizeof(*pieces))]);
		/* Without room behind it, so that the sanitizer sees a read past the end. */
		exact = core_alloc(strlen(body) + 1);
		strcpy(exact, body);
		if (template_compile(exact, names, html, &template, &fault))
		{
			core_free(template_render(&template, &source, LAYOUT_WESTERN));
			rendered++;
		}
		else
			assert_true(fault.what[0] != '\0' && fault.line >= 1);
		core_free(template.node);
		core_free(exact);
	}
	assert_true(rendered > 5000);
}

static void
vocabulary(void **state)
{
	char *list = template_list_names(names);
	Template template;
	TemplateFault fault;

	(void) state;
	assert_string_equal(list, "customer, amount, note, lines, day, kwh, copies, copy");
	core_free(list);
	assert_true(template_compile("{#copies}{amount}{/copies}", names, false, &template, &fault));
	assert_true(template_uses(&template, COPIES));
	assert_true(template_uses(&template, AMOUNT));
	assert_false(template_uses(&template, CUSTOMER));
	core_free(template.node);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values_take_their_place),
		cmocka_unit_test(columns),
		cmocka_unit_test(sections),
		cmocka_unit_test(section_lines_vanish),
		cmocka_unit_test(braces),
		cmocka_unit_test(values_are_data),
		cmocka_unit_test(faults),
		cmocka_unit_test(any_template),
		cmocka_unit_test(vocabulary),
	};

	random_seed(20260303);
	return cmocka_run_group_tests_name("template", tests, NULL, NULL);
}
