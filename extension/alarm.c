#include "alarm.h"

#include "utils/builtins.h"

#include "alarm_notice.h"
#include "db.h"

/* The very expressions of the unique index on active alarms. */
#define ACTIVE                                                         \
	" site_id = $1 AND kind = $2 AND COALESCE(account_id, 0) = $3"     \
	" AND COALESCE(meter_id, 0) = $4 AND COALESCE(gateway_id, 0) = $5" \
	" AND COALESCE(agent, '') = $6 AND cleared_at IS NULL"

#define SUBJECT_ARGS                                                                             \
	Int32GetDatum(site->site_id), CStringGetTextDatum(kind), Int32GetDatum(subject->account_id), \
		Int32GetDatum(subject->meter_id), Int32GetDatum(subject->gateway_id),                    \
		CStringGetTextDatum(subject->agent ? subject->agent : "")

int64
alarm_raise(const Site *site, const AlarmSubject *subject, const char *kind, int level,
			const char *detail)
{
	static DbQuery query = {
		"INSERT INTO prepay.alarm (site_id, kind, account_id, meter_id, gateway_id, agent, level,"
		" raised_at, detail) VALUES ($1, $2, NULLIF($3, 0), NULLIF($4, 0), NULLIF($5, 0),"
		" NULLIF($6, ''), $7, $8, $9) ON CONFLICT DO NOTHING RETURNING alarm_id",
		9,
		{ INT4OID, TEXTOID, INT4OID, INT4OID, INT4OID, TEXTOID, INT2OID, TIMESTAMPTZOID, TEXTOID }
	};
	Datum args[] = { SUBJECT_ARGS, Int16GetDatum(level), TimestampTzGetDatum(site->now),
					 CStringGetTextDatum(detail) };
	int64 alarm_id;

	/* The common case, active already, must not burn an id and leave a dead row. */
	if (alarm_is_active(site, subject, kind))
		return 0;
	alarm_id = db_run(&query, args) == 1 ? db_int64(0, 1) : 0;
	if (alarm_id != 0 && subject->account_id == 0 && level >= ALARM_WARNING)
		alarm_notice_send(site, alarm_id);
	return alarm_id;
}

bool
alarm_clear(const Site *site, const AlarmSubject *subject, const char *kind)
{
	static DbQuery query = { "UPDATE prepay.alarm SET cleared_at = $7 WHERE" ACTIVE,
							 7,
							 { INT4OID, TEXTOID, INT4OID, INT4OID, INT4OID, TEXTOID,
							   TIMESTAMPTZOID } };
	Datum args[] = { SUBJECT_ARGS, TimestampTzGetDatum(site->now) };

	return db_run(&query, args) > 0;
}

bool
alarm_is_active(const Site *site, const AlarmSubject *subject, const char *kind)
{
	static DbQuery query = { "SELECT 1 FROM prepay.alarm WHERE" ACTIVE,
							 6,
							 { INT4OID, TEXTOID, INT4OID, INT4OID, INT4OID, TEXTOID } };
	Datum args[] = { SUBJECT_ARGS };

	return db_run(&query, args) > 0;
}

int64
alarm_raise_meter(const Site *site, int32 meter_id, const char *kind, int level, const char *detail)
{
	AlarmSubject subject = { .meter_id = meter_id };

	return alarm_raise(site, &subject, kind, level, detail);
}

bool
alarm_clear_meter(const Site *site, int32 meter_id, const char *kind)
{
	AlarmSubject subject = { .meter_id = meter_id };

	return alarm_clear(site, &subject, kind);
}

void
alarm_retell_meter(const Site *site, int32 meter_id, const char *kind, const char *detail)
{
	static DbQuery query = { "UPDATE prepay.alarm SET detail = $7 WHERE" ACTIVE " AND detail <> $7",
							 7,
							 { INT4OID, TEXTOID, INT4OID, INT4OID, INT4OID, TEXTOID, TEXTOID } };
	AlarmSubject to = { .meter_id = meter_id };
	const AlarmSubject *subject = &to;
	Datum args[] = { SUBJECT_ARGS, CStringGetTextDatum(detail) };

	db_run(&query, args);
}
