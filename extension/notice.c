#include "notice.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

#include "db.h"
#include "money.h"

#define MESSAGE_MAX_CHARS 70 /* one SMS in UCS-2 */

typedef struct Template
{
	const char *name;
	const char *language;
	const char *body; /* {account} {balance} {threshold} {currency} */
} Template;

static const Template template_table[] = {
	{ "alarm1", "zh",
	  "账户{account}电费余额{balance}{currency},"
	  "已低于{threshold}{currency},请及时充值。" },
	{ "alarm2", "zh",
	  "账户{account}电费余额仅{balance}{currency},"
	  "已低于{threshold}{currency},请尽快充值以免停电。" },
	{ "arrears", "zh",
	  "账户{account}电费余额{balance}{currency},"
	  "已欠费,即将停电,请立即充值。" },
	{ "alarm1", "en",
	  "{account}: balance {balance} {currency}, below {threshold}. Please top up." },
	{ "alarm2", "en", "{account}: only {balance} {currency} left. Top up to keep supply." },
	{ "arrears", "en", "{account}: balance {balance} {currency} used up. Supply will be cut." },
};

static const char *
find_body(const char *name, const char *language)
{
	const char *body = NULL;
	int i;

	for (i = 0; i < lengthof(template_table); i++)
		if (strcmp(template_table[i].name, name) == 0 &&
			(body == NULL || strcmp(template_table[i].language, language) == 0))
			body = template_table[i].body;
	if (body == NULL)
		elog(ERROR, "no message text \"%s\"", name);
	return body;
}

/* Puts the values in; a code too long for one SMS is left out rather than cut. */
static char *
fill_in(const char *body, const char *const *key, const char *const *value, int n)
{
	StringInfoData out;
	int i;

	initStringInfo(&out);
	while (*body)
	{
		for (i = 0; i < n; i++)
			if (strncmp(body, key[i], strlen(key[i])) == 0)
				break;
		if (i == n)
			appendStringInfoChar(&out, *body++);
		else
		{
			appendStringInfoString(&out, value[i]);
			body += strlen(key[i]);
		}
	}
	return out.data;
}

static char *
compose(const Site *site, const Notice *notice, const char *language)
{
	static const char *const key[] = { "{account}: ", "{account}", "{balance}", "{threshold}",
									   "{currency}" };
	char balance[MONEY_TEXT_MAX];
	char threshold[MONEY_TEXT_MAX];
	bool yuan = strcmp(site->currency, "CNY") == 0 && strcmp(language, "zh") == 0;
	const char *body = find_body(notice->template, language);
	const char *value[] = { psprintf("%s: ", notice->account), notice->account, balance, threshold,
							yuan ? "元" : site->currency };
	char *text;

	minor_format(notice->balance, site->decimals, balance);
	minor_format(notice->threshold, site->decimals, threshold);
	text = fill_in(body, key, value, lengthof(key));
	if (pg_mbstrlen(text) <= MESSAGE_MAX_CHARS)
		return text;
	value[0] = value[1] = "";
	return fill_in(body, key, value, lengthof(key));
}

static void
store(const Site *site, const Notice *notice, const char *phone, const char *language,
	  const char *body)
{
	static DbQuery query = {
		"INSERT INTO prepay.notification (site_id, account_id, alarm_id, template, language, phone,"
		" params, body, created_at, state_at) VALUES ($1, $2, $3, $4, $5, $6,"
		" jsonb_build_object('account', $7::text, 'balance', $8::text, 'threshold', $9::text,"
		" 'currency', $10::text), $11, $12, $12)",
		12,
		{ INT4OID, INT4OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID,
		  TEXTOID, TIMESTAMPTZOID }
	};
	char balance[MONEY_TEXT_MAX];
	char threshold[MONEY_TEXT_MAX];

	minor_format(notice->balance, site->decimals, balance);
	minor_format(notice->threshold, site->decimals, threshold);
	{
		Datum args[] = { Int32GetDatum(site->site_id),
						 Int32GetDatum(notice->account_id),
						 Int64GetDatum(notice->alarm_id),
						 CStringGetTextDatum(notice->template),
						 CStringGetTextDatum(language),
						 CStringGetTextDatum(phone),
						 CStringGetTextDatum(notice->account),
						 CStringGetTextDatum(balance),
						 CStringGetTextDatum(threshold),
						 CStringGetTextDatum(site->currency),
						 CStringGetTextDatum(body),
						 TimestampTzGetDatum(site->now) };

		db_run(&query, args);
	}
}

void
notice_send(const Site *site, const Notice *notice)
{
	char *site_language = setting_text(site, "language");
	const char *language = notice->language ? notice->language : site_language;
	char *phones = setting_text(site, "alarm_phones");
	char *save = NULL;
	char *phone;

	if (notice->phone && *notice->phone)
		store(site, notice, notice->phone, language, compose(site, notice, language));
	if (phones == NULL)
		return;
	for (phone = strtok_r(phones, ", ;", &save); phone; phone = strtok_r(NULL, ", ;", &save))
		if (notice->phone == NULL || strcmp(phone, notice->phone) != 0)
			store(site, notice, phone, site_language, compose(site, notice, site_language));
}
