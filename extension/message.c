#include "message.h"

#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "db.h"

#define ONE_SMS_CHARS 70 /* UCS-2 */
#define BODY_MAX_CHARS 500

#define EXACT TEMPLATE_EXACT, TEMPLATE_ANYWHERE
#define FREE TEMPLATE_FREE, TEMPLATE_ANYWHERE

const TemplateName message_names[] = {
	[MESSAGE_SITE] = { "site", EXACT },			  [MESSAGE_SITE_NAME] = { "site_name", FREE },
	[MESSAGE_ACCOUNT] = { "account", EXACT },	  [MESSAGE_BALANCE] = { "balance", EXACT },
	[MESSAGE_THRESHOLD] = { "threshold", EXACT }, [MESSAGE_CURRENCY] = { "currency", EXACT },
	[MESSAGE_OBJECT] = { "object", EXACT },		  [MESSAGE_SUBJECT] = { "subject", EXACT },
	[MESSAGE_KIND] = { "kind", EXACT },			  [MESSAGE_PLACE] = { "place", FREE },
	[MESSAGE_TIME] = { "time", EXACT },			  [MESSAGE_DETAIL] = { "detail", FREE },
	[MESSAGE_MINUTES] = { "minutes", EXACT },	  { NULL, TEMPLATE_EXACT, TEMPLATE_ANYWHERE },
};

PG_FUNCTION_INFO_V1(prepay_is_message_template);

#define BIT(name) (1 << (name))
#define OF_SITE (BIT(MESSAGE_SITE) | BIT(MESSAGE_SITE_NAME))
#define OF_ACCOUNT (OF_SITE | BIT(MESSAGE_ACCOUNT) | BIT(MESSAGE_BALANCE) | BIT(MESSAGE_CURRENCY))
#define OF_ALARM                                                                \
	(OF_SITE | BIT(MESSAGE_OBJECT) | BIT(MESSAGE_SUBJECT) | BIT(MESSAGE_KIND) | \
	 BIT(MESSAGE_PLACE) | BIT(MESSAGE_TIME) | BIT(MESSAGE_DETAIL))

/* What each message has to tell. */
static const struct
{
	const char *template;
	int names;
} vocabulary[] = {
	{ "alarm1", OF_ACCOUNT | BIT(MESSAGE_THRESHOLD) },
	{ "alarm2", OF_ACCOUNT | BIT(MESSAGE_THRESHOLD) },
	{ "arrears", OF_ACCOUNT | BIT(MESSAGE_THRESHOLD) },
	{ "balance", OF_ACCOUNT },
	{ "alarm", OF_ALARM },
	{ "escalation", OF_ALARM | BIT(MESSAGE_MINUTES) },
};

static const char *
value_of(void *context, int name, int row)
{
	const MessageValues *values = context;

	return values->text[name];
}

static int
no_rows(void *context, int list)
{
	return 0;
}

char *
message_compose(const Site *site, const char *template, const char **language,
				const MessageValues *values)
{
	static DbQuery query = { "SELECT body, language FROM prepay.message_template"
							 " WHERE site_id IN (0, $1) AND template = $2"
							 " ORDER BY language = $3 DESC, site_id = $1 DESC LIMIT 1",
							 3,
							 { INT4OID, TEXTOID, TEXTOID } };
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(template),
					 CStringGetTextDatum(*language) };
	MessageValues shorter = *values;
	TemplateSource source = { .context = &shorter, .value = value_of, .rows = no_rows };
	Template compiled;
	TemplateFault fault;
	LayoutFont font;
	char *body;
	char *text;

	if (db_run(&query, args) == 0)
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
						errmsg("there is no message template \"%s\"", template),
						errhint("Run prepay.install(): it writes the shipped templates.")));
	body = db_text(0, 1);
	*language = db_text(0, 2);
	font = strcmp(*language, "zh") == 0 ? LAYOUT_CHINESE : LAYOUT_WESTERN;
	/* The table's CHECK has compiled it once. */
	if (!template_compile(body, message_names, false, &compiled, &fault))
		elog(ERROR, "message template \"%s\": %s", template, fault.what);
	text = template_render(&compiled, &source, font);
	if (pg_mbstrlen(text) <= ONE_SMS_CHARS)
		return text;
	shorter.text[MESSAGE_ACCOUNT] = NULL;
	return template_render(&compiled, &source, font);
}

static int
names_of(const char *template)
{
	int i;

	for (i = 0; i < lengthof(vocabulary); i++)
		if (strcmp(vocabulary[i].template, template) == 0)
			return vocabulary[i].names;
	ereport(ERROR,
			(errcode(ERRCODE_PP_BAD_TEMPLATE), errmsg("there is no message \"%s\"", template),
			 errhint("Messages are: alarm1, alarm2, arrears, balance, alarm, escalation.")));
}

static char *
list_names(int names)
{
	StringInfoData list;
	int i;

	initStringInfo(&list);
	for (i = 0; i < MESSAGE_NAMES; i++)
		if (names & BIT(i))
			appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", message_names[i].name);
	return list.data;
}

/* is_message_template(template, body): raises PP081 with remedy unless it can be sent. */
Datum
prepay_is_message_template(PG_FUNCTION_ARGS)
{
	char *template = text_to_cstring(PG_GETARG_TEXT_PP(0));
	char *body = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int names = names_of(template);
	Template compiled;
	TemplateFault fault;
	int i;

	if (!template_compile(body, message_names, false, &compiled, &fault))
		ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
						errmsg("message \"%s\" refused: %s", template, fault.what),
						errdetail("This message has: %s.", list_names(names)),
						errhint("Write {name}, {#name} ... {/name} for what may be empty, and {{ "
								"for a brace.")));
	for (i = 0; i < MESSAGE_NAMES; i++)
		if (!(names & BIT(i)) && template_uses(&compiled, i))
			ereport(ERROR, (errcode(ERRCODE_PP_BAD_TEMPLATE),
							errmsg("message \"%s\" has no {%s}", template, message_names[i].name),
							errdetail("This message has: %s.", list_names(names))));
	if (body[strspn(body, " \t\n")] == '\0' || pg_mbstrlen(body) > BODY_MAX_CHARS)
		ereport(ERROR,
				(errcode(ERRCODE_PP_BAD_TEMPLATE),
				 errmsg("a message has 1 to %d characters", BODY_MAX_CHARS),
				 errhint("More than 70 characters are sent, and paid for, as several SMS.")));
	PG_RETURN_BOOL(true);
}
