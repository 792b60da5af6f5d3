#include "notice.h"

#include "utils/builtins.h"

#include "db.h"
#include "money.h"
#include "phone.h"
#include "quiet.h"

static const char *
site_name(const Site *site)
{
	static DbQuery query = { "SELECT name FROM prepay.site WHERE site_id = $1", 1, { INT4OID } };
	Datum arg = Int32GetDatum(site->site_id);

	db_run(&query, &arg);
	return db_text(0, 1);
}

static const char *
language_of(const Site *site, const char *own)
{
	return own ? own : setting_text(site, "language");
}

/* The values as they are named in templates: what a service with texts of its own needs. */
static void
name_values(const MessageValues *values, Datum *names, Datum *texts)
{
	Datum name[MESSAGE_NAMES];
	Datum text[MESSAGE_NAMES];
	int n = 0;
	int i;

	for (i = 0; i < MESSAGE_NAMES; i++)
		if (values->text[i])
		{
			name[n] = CStringGetTextDatum(message_names[i].name);
			text[n++] = CStringGetTextDatum(values->text[i]);
		}
	*names = db_array(name, NULL, n, TEXTOID);
	*texts = db_array(text, NULL, n, TEXTOID);
}

static void
store(const Site *site, const NoticeDraft *draft, const char *phone, const char *language,
	  const char *body)
{
	static DbQuery query = {
		"INSERT INTO prepay.notification (site_id, account_id, alarm_id, template, language, phone,"
		" params, body, created_at, state_at, not_before, channel,"
		" recipient) VALUES ($1, NULLIF($2, 0),"
		" NULLIF($3, 0), $4, $5, $6, jsonb_object($7, $8), $9, $10, $10, $11, $12, $13)",
		13,
		{ INT4OID, INT4OID, INT8OID, TEXTOID, TEXTOID, TEXTOID, TEXTARRAYOID, TEXTARRAYOID, TEXTOID,
		  TIMESTAMPTZOID, TIMESTAMPTZOID, TEXTOID, TEXTOID }
	};
	const char *quiet = draft->may_wait ? setting_text(site, "quiet_hours") : NULL;
	QuietHours hours;
	TimestampTz end = 0;
	bool waits =
		quiet && quiet_parse(quiet, &hours) && quiet_end(site->zone, &hours, site->now, &end);
	Datum args[] = { Int32GetDatum(site->site_id),
					 Int32GetDatum(draft->account_id),
					 Int64GetDatum(draft->alarm_id),
					 CStringGetTextDatum(draft->template),
					 CStringGetTextDatum(language),
					 CStringGetTextDatum(phone),
					 (Datum) 0,
					 (Datum) 0,
					 CStringGetTextDatum(body),
					 TimestampTzGetDatum(site->now),
					 TimestampTzGetDatum(end),
					 CStringGetTextDatum(setting_text(site, "message_channel")),
					 CStringGetTextDatum(draft->to_staff ? "staff" : "customer") };

	name_values(&draft->values, &args[6], &args[7]);
	db_run_nulls(&query, args, waits ? NULL : "          n  ");
}

static bool
is_listed(const char *list, const char *phone)
{
	char number[PHONE_MAX_CHARS + 1];

	while (list && phone_next(&list, number))
		if (phone_same(number, phone))
			return true;
	return false;
}

void
notice_write(const Site *site, const NoticeDraft *draft, const char *phones, const char *except)
{
	const char *language = language_of(site, draft->language);
	const char *body = NULL;
	char phone[PHONE_MAX_CHARS + 1];

	while (phones && phone_next(&phones, phone))
	{
		if (is_listed(except, phone))
			continue;
		if (body == NULL)
			body = message_compose(site, draft->template, &language, &draft->values);
		store(site, draft, phone, language, body);
	}
}

void
notice_balance(const Site *site, NoticeDraft *draft, const char *account, int64 balance)
{
	const char *language = language_of(site, draft->language);
	bool yuan = strcmp(site->currency, "CNY") == 0 && strcmp(language, "zh") == 0;
	char *amount = palloc(MONEY_TEXT_MAX);

	minor_format(balance, site->decimals, amount);
	draft->values.text[MESSAGE_SITE] = site->code;
	draft->values.text[MESSAGE_SITE_NAME] = site_name(site);
	draft->values.text[MESSAGE_ACCOUNT] = account;
	draft->values.text[MESSAGE_BALANCE] = amount;
	draft->values.text[MESSAGE_CURRENCY] = yuan ? "元" : site->currency;
}

void
notice_send(const Site *site, const Notice *notice)
{
	NoticeDraft draft = { .template = notice->template,
						  .language = notice->language,
						  .account_id = notice->account_id,
						  .alarm_id = notice->alarm_id,
						  .may_wait = strcmp(notice->template, "arrears") != 0 };
	char threshold[MONEY_TEXT_MAX];
	char *staff = setting_text(site, "alarm_phones");

	if (notice->phone == NULL && staff == NULL)
		return;
	minor_format(notice->threshold, site->decimals, threshold);
	draft.values.text[MESSAGE_THRESHOLD] = threshold;
	notice_balance(site, &draft, notice->account, notice->balance);
	notice_write(site, &draft, notice->phone, NULL);
	draft.language = NULL;
	draft.may_wait = false;
	draft.to_staff = true;
	notice_balance(site, &draft, notice->account, notice->balance);
	notice_write(site, &draft, staff, notice->phone);
}
