#include "alarm_notice.h"

#include "utils/builtins.h"

#include "db.h"
#include "notice.h"

typedef struct Word
{
	const char *word; /* as stored */
	const char *zh;
	const char *en;
} Word;

static const Word words[] = {
	{ "meter", "电表", "meter" },
	{ "gateway", "网关", "gateway" },
	{ "agent", "采集程序", "agent" },
	{ "site", "项目", "site" },
	{ "lost", "失联", "lost" },
	{ "overload", "过载", "overload" },
	{ "suspect", "读数可疑", "suspect reading" },
	{ "relay_mismatch", "继电器状态不符", "relay mismatch" },
	{ "supply_after_trip", "分闸后仍用电", "supply after trip" },
	{ "unowned_energy", "空置用电", "unowned energy" },
	{ "purchase_count", "购电次数不符", "purchase count" },
	{ "balance_mismatch", "表内余额不符", "balance mismatch" },
	{ "clock_drift", "时钟偏差", "clock drift" },
	{ "trip_brake", "批量拉闸待确认", "trips to confirm" },
	{ "payment_unapplied", "支付未入账", "payment not credited" },
};

static const char *
in_language(const char *word, const char *language)
{
	int i;

	for (i = 0; i < lengthof(words); i++)
		if (strcmp(words[i].word, word) == 0)
			return strcmp(language, "zh") == 0 ? words[i].zh : words[i].en;
	return word;
}

static void
write_about(const Site *site, int64 alarm_id, const char *template, const char *phones)
{
	static DbQuery query = {
		"SELECT s.name, l.kind, COALESCE(m.code, g.code, l.agent, s.code), CASE WHEN l.meter_id"
		" IS NOT NULL THEN 'meter' WHEN l.gateway_id IS NOT NULL THEN 'gateway'"
		" WHEN l.agent IS NOT NULL THEN 'agent' ELSE 'site' END,"
		" COALESCE(p.name, p.code), to_char(l.raised_at AT TIME ZONE s.timezone, 'MM-DD HH24:MI'),"
		" l.detail, floor(extract(epoch FROM $3 - l.raised_at) / 60)::int8::text"
		" FROM prepay.alarm l JOIN prepay.site s USING (site_id)"
		" LEFT JOIN prepay.meter m ON m.site_id = l.site_id AND m.meter_id = l.meter_id"
		" LEFT JOIN prepay.gateway g ON g.site_id = l.site_id AND g.gateway_id = l.gateway_id"
		" LEFT JOIN prepay.place p ON p.site_id = l.site_id"
		" AND p.place_id = COALESCE(m.place_id, g.place_id)"
		" WHERE l.site_id = $1 AND l.alarm_id = $2",
		3,
		{ INT4OID, INT8OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), Int64GetDatum(alarm_id),
					 TimestampTzGetDatum(site->now) };
	const char *language = setting_text(site, "language");
	NoticeDraft draft = {
		.template = template, .language = language, .alarm_id = alarm_id, .to_staff = true
	};
	const char **text = draft.values.text;

	if (db_run(&query, args) != 1)
		elog(ERROR, "alarm " INT64_FORMAT " is gone", alarm_id);
	text[MESSAGE_SITE] = site->code;
	text[MESSAGE_SITE_NAME] = db_text(0, 1);
	text[MESSAGE_KIND] = in_language(db_text(0, 2), language);
	text[MESSAGE_SUBJECT] = db_text(0, 3);
	text[MESSAGE_OBJECT] = in_language(db_text(0, 4), language);
	text[MESSAGE_PLACE] = db_text(0, 5);
	text[MESSAGE_TIME] = db_text(0, 6);
	text[MESSAGE_DETAIL] = db_text(0, 7);
	text[MESSAGE_MINUTES] = strcmp(template, "escalation") == 0 ? db_text(0, 8) : NULL;
	notice_write(site, &draft, phones, NULL);
}

void
alarm_notice_send(const Site *site, int64 alarm_id)
{
	const char *phones = setting_text(site, "alarm_phones");

	if (phones)
		write_about(site, alarm_id, "alarm", phones);
}

int
alarm_notice_escalate(const Site *site, int max)
{
	/* The very condition of the index. */
	static DbQuery due = {
		"UPDATE prepay.alarm SET escalated_at = $3 WHERE site_id = $1 AND alarm_id IN"
		" (SELECT alarm_id FROM prepay.alarm WHERE site_id = $1 AND raised_at <= $2"
		" AND account_id IS NULL AND level > 1 AND cleared_at IS NULL AND acknowledged_at IS NULL"
		" AND escalated_at IS NULL ORDER BY raised_at LIMIT $4 FOR UPDATE SKIP LOCKED)"
		" RETURNING alarm_id",
		4,
		{ INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID, INT4OID }
	};
	const char *phones = setting_text(site, "escalation_phones");
	int64 after = setting_interval_us(site, "escalate_after", 0);
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(site->now - after),
					 TimestampTzGetDatum(site->now), Int32GetDatum(max) };
	int64 *alarm_id;
	int n;
	int i;

	if (phones == NULL || after == 0)
		return 0;
	n = db_run(&due, args);
	alarm_id = palloc(sizeof(int64) * Max(n, 1));
	for (i = 0; i < n; i++)
		alarm_id[i] = db_int64(i, 1);
	for (i = 0; i < n; i++)
		write_about(site, alarm_id[i], "escalation", phones);
	return n;
}
