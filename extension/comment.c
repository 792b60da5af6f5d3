#include "postgres.h"

#include "comment.h"
#include "db.h"

#include "utils/builtins.h"
#include "utils/hsearch.h"

#define NAME_BYTES (2 * NAMEDATALEN + 2)

typedef struct Comment
{
	char name[NAME_BYTES]; /* "relation", "relation.column" or "*.column" */
	const char *text;
} Comment;

static HTAB *
read_catalogue(const char *catalogue)
{
	HASHCTL control = { .keysize = NAME_BYTES, .entrysize = sizeof(Comment) };
	HTAB *table = hash_create("prepay comments", 512, &control, HASH_ELEM | HASH_STRINGS);
	char *copy = pstrdup(catalogue);
	char *line;
	char *rest = copy;

	while ((line = strsep(&rest, "\n")) != NULL)
	{
		char *colon = strstr(line, ": ");

		if (*line == '#' || colon == NULL)
			continue;
		*colon = '\0';
		((Comment *) hash_search(table, line, HASH_ENTER, NULL))->text = colon + 2;
	}
	return table;
}

static const char *
find_comment(HTAB *table, const char *relation, const char *column)
{
	char name[NAME_BYTES];
	Comment *comment;

	snprintf(name, sizeof(name), column ? "%s.%s" : "%s", relation, column);
	comment = hash_search(table, name, HASH_FIND, NULL);
	if (comment == NULL && column)
	{
		snprintf(name, sizeof(name), "*.%s", column);
		comment = hash_search(table, name, HASH_FIND, NULL);
	}
	return comment ? comment->text : NULL;
}

void
comment_apply(const char *catalogue)
{
	static DbQuery query = {
		"SELECT c.relname, c.relkind::text, NULL, c.relnamespace::regnamespace::text"
		" FROM pg_catalog.pg_class c WHERE c.relnamespace IN ("
		" 'prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p', 'v')"
		" AND NOT c.relispartition"
		" UNION ALL SELECT c.relname, c.relkind::text, a.attname,"
		" c.relnamespace::regnamespace::text FROM pg_catalog.pg_class c"
		" JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
		" AND NOT a.attisdropped"
		" WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace)"
		" AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition",
		0
	};
	HTAB *table = read_catalogue(catalogue);
	uint64 n = db_run(&query, NULL);
	SPITupleTable *rows = SPI_tuptable;
	uint64 i;

	for (i = 0; i < n; i++)
	{
		char *relation = SPI_getvalue(rows->vals[i], rows->tupdesc, 1);
		char *kind = SPI_getvalue(rows->vals[i], rows->tupdesc, 2);
		char *column = SPI_getvalue(rows->vals[i], rows->tupdesc, 3);
		char *schema = SPI_getvalue(rows->vals[i], rows->tupdesc, 4);
		const char *text = find_comment(table, relation, column);

		if (text == NULL)
			continue;
		if (column)
			db_execute(psprintf("COMMENT ON COLUMN %s.%s.%s IS %s", schema,
								quote_identifier(relation), quote_identifier(column),
								quote_literal_cstr(text)));
		else
			db_execute(psprintf("COMMENT ON %s %s.%s IS %s", *kind == 'v' ? "VIEW" : "TABLE",
								schema, quote_identifier(relation), quote_literal_cstr(text)));
	}
	hash_destroy(table);
}
