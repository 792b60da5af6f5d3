#include "delivery.h"

#include "utils/builtins.h"

#include "db.h"

#define MAX_TRIES 3
#define RETRY_AFTER_US (INT64CONST(5) * 60 * USECS_PER_SEC) /* business time, times the tries */

static void
cancel_pointless(const Site *site, const char *channel)
{
	static DbQuery query = {
		"UPDATE prepay.notification n SET state = 'cancelled', state_at = $3 WHERE n.site_id = $1"
		" AND n.state = 'queued' AND n.channel = $2 AND n.alarm_id IS NOT NULL"
		" AND EXISTS (SELECT FROM prepay.alarm l WHERE l.site_id = n.site_id"
		"  AND l.alarm_id = n.alarm_id AND l.cleared_at IS NOT NULL"
		"  AND l.kind <> 'unowned_energy')",
		3,
		{ INT4OID, TEXTOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(channel),
					 TimestampTzGetDatum(site->now) };

	db_run(&query, args);
}

/* Whoever took a message and did not say what became of it has lost it. */
static void
end_leases(const Site *site)
{
	static DbQuery query = {
		"UPDATE prepay.notification SET state = CASE WHEN tries < $3 THEN 'queued' ELSE 'failed'"
		" END, state_at = $4, lease_until = NULL WHERE site_id = $1 AND state = 'taken'"
		" AND lease_until < $2",
		4,
		{ INT4OID, TIMESTAMPTZOID, INT4OID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), TimestampTzGetDatum(GetCurrentTimestamp()),
					 Int32GetDatum(MAX_TRIES), TimestampTzGetDatum(site->now) };

	db_run(&query, args);
}

int
delivery_take(const Site *site, const char *channel, int max, Delivery **delivery)
{
	static DbQuery query = {
		"UPDATE prepay.notification n SET state = 'taken', state_at = $4, tries = n.tries + 1,"
		" lease_until = $5 FROM (SELECT q.notification_id FROM prepay.notification q"
		"  WHERE q.site_id = $1 AND q.state = 'queued' AND q.channel = $2"
		"  AND (q.not_before IS NULL OR q.not_before <= $4) ORDER BY q.notification_id LIMIT $3"
		"  FOR UPDATE SKIP LOCKED) d WHERE n.site_id = $1 AND n.notification_id = d.notification_id"
		" RETURNING n.notification_id, n.tries, n.phone, n.body, n.template, n.language,"
		" n.params::text, (SELECT a.code FROM prepay.account a WHERE a.site_id = $1"
		" AND a.account_id = n.account_id)",
		5,
		{ INT4OID, TEXTOID, INT4OID, TIMESTAMPTZOID, TIMESTAMPTZOID }
	};
	Datum args[] = { Int32GetDatum(site->site_id), CStringGetTextDatum(channel), Int32GetDatum(max),
					 TimestampTzGetDatum(site->now),
					 TimestampTzGetDatum(GetCurrentTimestamp() + DELIVERY_LEASE_US) };
	int n;
	int i;

	end_leases(site);
	cancel_pointless(site, channel);
	n = db_run(&query, args);
	*delivery = palloc(sizeof(Delivery) * Max(n, 1));
	for (i = 0; i < n; i++)
		(*delivery)[i] = (Delivery){ .notification_id = db_int64(i, 1),
									 .tries = db_int32(i, 2),
									 .phone = db_text(i, 3),
									 .body = db_text(i, 4),
									 .template = db_text(i, 5),
									 .language = db_text(i, 6),
									 .params = db_text(i, 7),
									 .account = db_text(i, 8) };
	return n;
}

bool
delivery_settle(const Site *site, const char *channel, int64 notification_id, int tries,
				DeliveryOutcome outcome, bool expect)
{
	static DbQuery query = { "UPDATE prepay.notification SET state = $4, lease_until = NULL,"
							 " state_at = CASE WHEN state = $4 THEN state_at ELSE $5 END,"
							 " not_before = CASE WHEN $4 = 'queued' THEN $6 ELSE not_before END,"
							 " carrier_id = CASE WHEN $7 THEN carrier_id END WHERE site_id = $1"
							 " AND notification_id = $2 AND tries = $3 AND channel = $8"
							 " AND state IN ('taken', 'sent')",
							 8,
							 { INT4OID, INT8OID, INT4OID, TEXTOID, TIMESTAMPTZOID, TIMESTAMPTZOID,
							   BOOLOID, TEXTOID } };
	static const char *const state[] = { "sent", "delivered", "queued", "failed" };
	bool again = outcome == DELIVERY_AGAIN && tries < MAX_TRIES;
	const char *next = outcome == DELIVERY_AGAIN && !again ? "failed" : state[outcome];
	Datum args[] = {
		Int32GetDatum(site->site_id),	Int64GetDatum(notification_id),
		Int32GetDatum(tries),			CStringGetTextDatum(next),
		TimestampTzGetDatum(site->now), TimestampTzGetDatum(site->now + RETRY_AFTER_US * tries),
		BoolGetDatum(expect),			CStringGetTextDatum(channel)
	};

	return db_run(&query, args) == 1;
}
