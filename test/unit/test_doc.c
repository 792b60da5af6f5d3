/*
 * test_doc.c: reading documents and describing their faults.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

static void
members_by_name(void **state)
{
	char error[100];
	Doc *doc = doc_from_json("{\"a\": 1.50, \"b\": [true, null, \"x\\u00e9\\n\"], \"a\": 2e-3}",
							 error, sizeof(error));
	const Doc *b;

	(void) state;
	assert_non_null(doc);
	assert_string_equal(doc_text(doc_get(doc, "a")), "2e-3");
	assert_null(doc_get(doc, "c"));
	b = doc_get(doc, "b");
	assert_int_equal(3, b->n);
	assert_null(doc_get(b, "a"));
	assert_int_equal(DOC_BOOL, b->item[0].kind);
	assert_int_equal(DOC_NULL, b->item[1].kind);
	assert_string_equal(b->item[2].text, "x\xC3\xA9\n");
	doc_free(doc);
}

static void
reader_refuses(void **state)
{
	static const char *const texts[] = {
		"",	   "{",		  "[1,]", "{\"a\"}", "{\"a\":}", "01",	  "1.",		   "-",	  "1e",
		"\"a", "\"\\x\"", "tru",  "[1] 2",	 "{a:1}",	 "[1 2]", "\"\\u12\"", "nul", "\"\t\"",
	};
	char error[100];

	(void) state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (doc_from_json(texts[i], error, sizeof(error)))
			fail_msg("accepted %s", texts[i]);
}

static void
paths(void **state)
{
	char path[DOC_PATH_MAX];
	char child[DOC_PATH_MAX];

	(void) state;
	doc_path_key(path, "", "schedule");
	assert_string_equal(path, "schedule");
	doc_path_item(child, path, 2);
	assert_string_equal(child, "schedule[2]");
	doc_path_key(path, child, "slots");
	assert_string_equal(path, "schedule[2].slots");
}

/* A cut text stays valid UTF-8: no half characters. */
static void
assert_whole_characters(const char *text)
{
	for (const unsigned char *p = (const unsigned char *) text; *p;)
	{
		int follow = *p >= 0xF0 ? 3 : *p >= 0xE0 ? 2 : *p >= 0xC0 ? 1 : 0;

		assert_true(*p < 0x80 || *p >= 0xC0);
		for (p++; follow > 0; follow--, p++)
			assert_true((*p & 0xC0) == 0x80);
	}
}

static void
long_texts_are_cut_at_characters(void **state)
{
	char name[1000] = "";
	DocFault fault;

	(void) state;
	for (int pad = 0; pad < 4; pad++)
	{
		memset(name, 'x', (size_t) pad);
		name[pad] = '\0';
		while (strlen(name) < 900)
			strcat(name, "\xE7\x94\xB5");
		doc_fault(&fault, name, name, "unknown key \"%.100s\" and %s", name, name);
		assert_whole_characters(fault.path);
		assert_whole_characters(fault.what);
		assert_whole_characters(fault.hint);
		assert_int_equal(sizeof(fault.path) - 1, strlen(fault.path));
	}
	doc_fault(&fault,
			  "a\xFF"
			  "b",
			  NULL, "%s", "\x80\xC3");
	assert_string_equal(fault.path, "a?b");
	assert_string_equal(fault.what, "??");
	assert_string_equal(fault.hint, "");
}

static void
documents_are_made(void **state)
{
	Doc *doc = core_alloc(sizeof(Doc));
	Doc list = doc_new(DOC_ARRAY);

	(void) state;
	*doc = doc_new(DOC_OBJECT);
	for (int i = 0; i < 9; i++)
	{
		char number[20];

		sprintf(number, "%d.5", i);
		doc_add(&list, NULL, doc_new_number(number));
	}
	doc_add(doc, "list", list);
	doc_add(doc, "text", doc_new_sentence("%s %d", "some", 7));
	doc_add(doc, "plain", doc_new_text("100 %s"));
	doc_add(doc, "long", doc_new_sentence("%479s\xE7\x94\xB5", "x"));
	assert_int_equal(4, doc->n);
	assert_int_equal(9, doc_get(doc, "list")->n);
	assert_string_equal("8.5", doc_get(doc, "list")->item[8].text);
	assert_string_equal("some 7", doc_get(doc, "text")->text);
	assert_string_equal("100 %s", doc_get(doc, "plain")->text);
	assert_int_equal(DOC_TEXT_MAX, strlen(doc_get(doc, "long")->text));
	assert_whole_characters(doc_get(doc, "long")->text);
	doc_free(doc);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_by_name),
		cmocka_unit_test(reader_refuses),
		cmocka_unit_test(paths),
		cmocka_unit_test(long_texts_are_cut_at_characters),
		cmocka_unit_test(documents_are_made),
	};

	return cmocka_run_group_tests_name("doc", tests, NULL, NULL);
}
