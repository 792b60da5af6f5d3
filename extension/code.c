#include "code.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "auth.h"

#define CODE_MAX_CHARS 64
#define MAX_CANDIDATES 10

PG_FUNCTION_INFO_V1(prepay_is_code);

/* One query a kind; all take (site_id, code) and give the object's id. */
static struct
{
	int kind;
	const char *name;
	DbQuery find;
} kind_table[] = {
	{ KIND_ACCOUNT,
	  "account",
	  { "SELECT account_id FROM prepay.account WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID } } },
	{ KIND_METER,
	  "meter",
	  { "SELECT meter_id FROM prepay.meter WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID } } },
	{ KIND_GATEWAY,
	  "gateway",
	  { "SELECT gateway_id FROM prepay.gateway WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID } } },
	{ KIND_PLACE,
	  "place",
	  { "SELECT place_id FROM prepay.place WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID } } },
	{ KIND_TARIFF,
	  "tariff",
	  { "SELECT tariff_id FROM prepay.tariff WHERE site_id = $1 AND code = $2",
		2,
		{ INT4OID, TEXTOID } } },
	{ KIND_AGENT,
	  "agent",
	  { "SELECT 0 FROM prepay.agent WHERE site_id = $1 AND code = $2", 2, { INT4OID, TEXTOID } } },
};

const char *
code_kind_name(int kind)
{
	int i;

	for (i = 0; i < lengthof(kind_table); i++)
		if (kind_table[i].kind == kind)
			return kind_table[i].name;
	return "site";
}

/* 1 to 64 characters without '/', ':' or control characters, no space at either end. */
static bool
is_code(const char *text, int length)
{
	int i;

	if (length == 0 || pg_mbstrlen_with_len(text, length) > CODE_MAX_CHARS)
		return false;
	for (i = 0; i < length; i++)
		if (text[i] == '/' || text[i] == ':' || (unsigned char) text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return text[0] != ' ' && text[length - 1] != ' ';
}

bool
code_is_valid(const char *text)
{
	return is_code(text, strlen(text));
}

Datum
prepay_is_code(PG_FUNCTION_ARGS)
{
	text *code = PG_GETARG_TEXT_PP(0);

	PG_RETURN_BOOL(is_code(VARDATA_ANY(code), VARSIZE_ANY_EXHDR(code)));
}

static void
malformed(const char *text)
{
	ereport(ERROR,
			(errcode(ERRCODE_PP_CODE_MALFORMED), errmsg("\"%s\" is not a code", text),
			 errdetail("A code has 1 to 64 characters and no '/', ':' or control character."),
			 errhint("Write [site/][account:|meter:|gateway:|place:]code.")));
}

static int32
find_site(Oid caller, const char *code)
{
	static DbQuery query = { "SELECT site_id FROM prepay.site WHERE code = $1", 1, { TEXTOID } };
	Datum arg = CStringGetTextDatum(code);
	int32 site_id;

	if (db_run(&query, &arg) == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no site \"%s\"", code),
						errhint("The sites you may use are listed in prepay.site.")));
	site_id = db_int32(0, 1);
	if (!auth_has_site(caller, site_id))
		ereport(ERROR, (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("you have no right on site \"%s\"", code),
						errhint("An administrator can add you to prepay.operator_site.")));
	return site_id;
}

static int32
only_site(Oid caller, const char *text)
{
	static DbQuery query = { "SELECT code FROM prepay.site WHERE site_id = ANY ($1) ORDER BY code",
							 1,
							 { INT4ARRAYOID } };
	int32 *site;
	int n = auth_sites(caller, &site);
	StringInfoData list;
	Datum arg;
	uint64 i;

	if (n == 1)
		return site[0];
	if (n == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN), errmsg("there is no site you may use"),
						errhint("Create one with prepay.create_site(), or have an administrator "
								"add you to prepay.operator_site.")));
	arg = db_array_int32(site, n);
	db_run(&query, &arg);
	initStringInfo(&list);
	for (i = 0; i < SPI_processed && i < MAX_CANDIDATES; i++)
		appendStringInfo(&list, "%s%s", i ? ", " : "", db_text(i, 1));
	ereport(ERROR,
			(errcode(ERRCODE_PP_CODE_AMBIGUOUS),
			 errmsg("\"%s\" does not say which site is meant", text),
			 errdetail("Sites you may use: %s%s.", list.data, n > MAX_CANDIDATES ? ", …" : ""),
			 errhint("Write site/code.")));
}

int32
code_site(Oid caller, const char *text)
{
	if (text == NULL || *text == '\0')
		return only_site(caller, "");
	if (!is_code(text, strlen(text)))
		malformed(text);
	return find_site(caller, text);
}

/* Split off "site/"; the rest is returned. */
static const char *
split_site(Oid caller, const char *text, int32 *site_id)
{
	const char *slash = strchr(text, '/');

	if (slash == NULL)
	{
		*site_id = only_site(caller, text);
		return text;
	}
	if (!is_code(text, slash - text))
		malformed(text);
	*site_id = find_site(caller, pnstrdup(text, slash - text));
	return slash + 1;
}

void
code_for_new(Oid caller, const char *text, int32 *site_id, char **code)
{
	const char *rest = split_site(caller, text, site_id);

	if (!is_code(rest, strlen(rest)))
		malformed(text);
	*code = pstrdup(rest);
}

/* The kind in front of the colon, which must be among those that make sense here. */
static const char *
split_kind(const char *text, const char *rest, int *kinds)
{
	const char *colon = strchr(rest, ':');
	int i;

	if (colon == NULL)
		return rest;
	for (i = 0; i < lengthof(kind_table); i++)
		if (strlen(kind_table[i].name) == colon - rest &&
			strncmp(kind_table[i].name, rest, colon - rest) == 0 && (kind_table[i].kind & *kinds))
		{
			*kinds = kind_table[i].kind;
			return colon + 1;
		}
	malformed(text);
	return NULL;
}

static char *
kind_list(int kinds)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < lengthof(kind_table); i++)
		if (kind_table[i].kind & kinds)
			appendStringInfo(&list, "%s%s", list.len ? " or " : "", kind_table[i].name);
	if (kinds & KIND_SITE)
		appendStringInfo(&list, "%ssite", list.len ? " or " : "");
	return list.data;
}

void
code_unknown(const char *text, int kinds)
{
	ereport(ERROR, (errcode(ERRCODE_PP_CODE_UNKNOWN),
					errmsg("there is no %s \"%s\"", kind_list(kinds), text),
					errhint("Codes are exact, upper and lower case differ.")));
}

static void
resolve_in_site(const char *text, const char *code, int kinds, CodeTarget *target)
{
	StringInfoData candidates;
	int found = 0;
	int i;

	initStringInfo(&candidates);
	for (i = 0; i < lengthof(kind_table); i++)
	{
		Datum args[] = { Int32GetDatum(target->site_id), CStringGetTextDatum(code) };

		if (!(kind_table[i].kind & kinds) || db_run(&kind_table[i].find, args) == 0)
			continue;
		target->kind = kind_table[i].kind;
		target->id = db_int32(0, 1);
		appendStringInfo(&candidates, "%s%s:%s", found ? ", " : "", kind_table[i].name, code);
		found++;
	}
	if (found == 0)
		code_unknown(text, kinds);
	if (found > 1)
		ereport(ERROR, (errcode(ERRCODE_PP_CODE_AMBIGUOUS),
						errmsg("\"%s\" may mean several objects", text),
						errdetail("Candidates: %s.", candidates.data),
						errhint("Put the kind in front, as listed.")));
}

/* Leaves in kinds those that the text may mean. */
static char *
split(Oid caller, const char *text, int *kinds, int32 *site_id)
{
	const char *rest = split_site(caller, text, site_id);

	rest = split_kind(text, rest, kinds);
	if (!is_code(rest, strlen(rest)))
		malformed(text);
	return pstrdup(rest);
}

char *
code_split(Oid caller, const char *text, int kinds, int32 *site_id)
{
	return split(caller, text, &kinds, site_id);
}

void
code_resolve(Oid caller, const char *text, int kinds, CodeTarget *target)
{
	memset(target, 0, sizeof(*target));
	if ((kinds & KIND_SITE) && strchr(text, ':') == NULL && is_code(text, strlen(text)))
	{
		static DbQuery query = { "SELECT site_id FROM prepay.site WHERE code = $1",
								 1,
								 { TEXTOID } };
		Datum arg = CStringGetTextDatum(text);

		/* A bare word that is a site's code means the site. */
		if (db_run(&query, &arg) == 1 && auth_has_site(caller, (target->site_id = db_int32(0, 1))))
		{
			target->kind = KIND_SITE;
			target->code = pstrdup(text);
			return;
		}
	}
	target->code = split(caller, text, &kinds, &target->site_id);
	resolve_in_site(text, target->code, kinds, target);
}
