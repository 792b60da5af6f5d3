/*
 * test_layout.c: columns of text.
 */
#include "fixture.h"

#include <string.h>

#include "layout.h"

static int
western(const char *text)
{
	return layout_columns(text, strlen(text), LAYOUT_WESTERN);
}

static int
chinese(const char *text)
{
	return layout_columns(text, strlen(text), LAYOUT_CHINESE);
}

static void
columns_of_characters(void **state)
{
	static const struct
	{
		const char *text;
		int western;
		int chinese;
	} cases[] = {
		{ "", 0, 0 },
		{ "A-101", 5, 5 },
		{ "张三", 4, 4 },
		{ "电费¥", 5, 5 },
		{ "電價カナ한글", 12, 12 },
		{ "ｶﾅ", 2, 2 },	  /* halfwidth kana */
		{ "Ａ１", 4, 4 }, /* fullwidth Latin */
		{ "，。（）《》", 12, 12 },
		{ "𠮷", 2, 2 }, /* beyond the basic plane */
		{ "😀", 2, 2 },
		{ "阿卜杜拉·买买提", 15, 16 },
		{ "“”…—×", 5, 10 },
		{ "café", 4, 5 },
		{ "Ωα", 2, 4 },
		{ "e\xcc\x81", 1, 1 }, /* e and a combining acute */
		{ "\xcc\x81", 0, 0 },
		{ "שלום", 4, 4 },
		{ "مرحبا", 5, 5 },
		{ "म्", 1, 1 }, /* Devanagari: m and the sign that takes its vowel */
		{ "\x1b[31m", 4, 4 },
		{ "a\tb\n", 2, 2 },
		{ "\xe2\x80\xae", 0, 0 }, /* right-to-left override */
		{ "\xef\xbb\xbf", 0, 0 },
	};

	(void) state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
	{
		assert_int_equal(western(cases[i].text), cases[i].western);
		assert_int_equal(chinese(cases[i].text), cases[i].chinese);
	}
}

/* Bytes that fit, and the columns they take. */
static void
assert_fit(const char *text, int columns, const char *expected, int used)
{
	int got;
	size_t bytes = layout_fit(text, strlen(text), columns, LAYOUT_CHINESE, &got);

	assert_int_equal(bytes, strlen(expected));
	assert_memory_equal(text, expected, bytes);
	assert_int_equal(got, used);
}

static void
cutting_splits_no_character(void **state)
{
	(void) state;
	assert_fit("张三丰", 6, "张三丰", 6);
	assert_fit("张三丰", 7, "张三丰", 6);
	assert_fit("张三丰", 5, "张三", 4);
	assert_fit("张三丰", 1, "", 0);
	assert_fit("张三丰", 0, "", 0);
	assert_fit("张a三", 3, "张a", 3);
	assert_fit("张a三", 4, "张a", 3);
	/* What comes behind a character that does not fit is not pulled forward. */
	assert_fit("a三b", 2, "a", 1);
	/* Marks stay with their letter, at the very end too. */
	assert_fit("ne\xcc\x81t", 2, "ne\xcc\x81", 2);
	assert_fit("e\xcc\x81\xcc\xa7t", 1, "e\xcc\x81\xcc\xa7", 1);
	assert_fit("𠮷𠮷", 3, "𠮷", 2);
}

/* Any text, any width: whole characters, no column too many, and the next would not fit. */
static void
fitting_is_greedy_and_whole(void **state)
{
	static const char *const pieces[] = { "a", "张",		   "é", "·", "𠮷", "\xcc\x81", "😀",
										  "ﾊ", "\xe2\x80\x8d", "שׁ", " " };

	(void) state;
	for (int i = 0; i < 20000; i++)
	{
		char text[200] = "";
		int columns = (int) random_between(0, 30);
		LayoutFont font = random_next() & 1 ? LAYOUT_CHINESE : LAYOUT_WESTERN;
		size_t bytes;
		size_t whole = 0;
		uint32_t codepoint;
		int used;
		int total;

		for (int n = (int) random_between(0, 24); n > 0; n--)
			strcat(text, pieces[random_next() % (sizeof(pieces) / sizeof(*pieces))]);
		total = layout_columns(text, strlen(text), font);
		bytes = layout_fit(text, strlen(text), columns, font, &used);
		assert_true(used <= columns && used <= total);
		assert_int_equal(layout_columns(text, bytes, font), used);
		while (whole < bytes)
			whole += layout_decode(text + whole, strlen(text) - whole, &codepoint);
		assert_int_equal(whole, bytes);
		if (bytes == strlen(text))
			assert_int_equal(used, total);
		else
		{
			int length = layout_decode(text + bytes, strlen(text) - bytes, &codepoint);

			assert_true(used + layout_columns(text + bytes, length, font) > columns);
		}
	}
}

static void
decoding(void **state)
{
	uint32_t codepoint;

	(void) state;
	assert_int_equal(layout_decode("A", 1, &codepoint), 1);
	assert_int_equal(codepoint, 'A');
	assert_int_equal(layout_decode("é", 2, &codepoint), 2);
	assert_int_equal(codepoint, 0xE9);
	assert_int_equal(layout_decode("张", 3, &codepoint), 3);
	assert_int_equal(codepoint, 0x5F20);
	assert_int_equal(layout_decode("𠮷", 4, &codepoint), 4);
	assert_int_equal(codepoint, 0x20BB7);
	/* Cut short or out of place: one byte, never past the end. */
	assert_int_equal(layout_decode("\xe5\xbc", 2, &codepoint), 1);
	assert_int_equal(layout_decode("\x80", 1, &codepoint), 1);
	assert_int_equal(layout_decode("\xff", 1, &codepoint), 1);
}

static void
unprintable(void **state)
{
	static const uint32_t controls[] = { 0x00, 0x07, 0x09, 0x0A, 0x1B,	 0x1F,	0x7F,
										 0x80, 0x85, 0x9B, 0x9F, 0x2028, 0x2029 };
	static const uint32_t tricks[] = { 0x061C, 0x200B, 0x200E, 0x200F, 0x202A, 0x202E,
									   0x2060, 0x2066, 0x2069, 0xFEFF, 0xFFF9, 0xE0041 };
	static const uint32_t fine[] = { ' ', 'a', 0xA0, 0xE9, 0x200C, 0x200D, 0x5F20, 0x627, 0x1F600 };

	(void) state;
	for (size_t i = 0; i < sizeof(controls) / sizeof(*controls); i++)
		assert_true(layout_is_control(controls[i]) && !layout_is_trick(controls[i]));
	for (size_t i = 0; i < sizeof(tricks) / sizeof(*tricks); i++)
		assert_true(layout_is_trick(tricks[i]) && !layout_is_control(tricks[i]));
	for (size_t i = 0; i < sizeof(fine) / sizeof(*fine); i++)
		assert_false(layout_is_trick(fine[i]) || layout_is_control(fine[i]));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns_of_characters),
		cmocka_unit_test(cutting_splits_no_character),
		cmocka_unit_test(fitting_is_greedy_and_whole),
		cmocka_unit_test(decoding),
		cmocka_unit_test(unprintable),
	};

	random_seed(20260302);
	return cmocka_run_group_tests_name("layout", tests, NULL, NULL);
}
