-- All that has happened since :since, one line an event: key, business time, text.
-- The caller prints each key once.
WITH who AS (
	SELECT account, account || ' ' || customer AS label FROM prepay.account_status
), happened(key, at, rank, what, text) AS (
	SELECT 'raised ' || alarm_id, raised_at, 2,
		CASE kind WHEN 'alarm1' THEN 'alarm 1' WHEN 'alarm2' THEN 'alarm 2' ELSE kind END,
		COALESCE(label, 'gateway ' || gateway, 'meter ' || meter, 'agent ' || agent) || ': ' || detail
	FROM prepay.alarm_history LEFT JOIN who USING (account)

	UNION ALL
	SELECT 'cleared ' || min(alarm_id), cleared_at, 2, 'cleared',
		COALESCE(label, 'gateway ' || gateway, 'meter ' || meter, 'agent ' || agent) || ': '
			|| string_agg(kind, ', ' ORDER BY alarm_id)
	FROM prepay.alarm_history LEFT JOIN who USING (account)
	WHERE cleared_at IS NOT NULL
	GROUP BY cleared_at, label, gateway, meter, agent

	UNION ALL
	SELECT 'message ' || n.notification_id, n.created_at, 3, 'message', 'to ' || n.phone || ': ' || n.body
	FROM prepay.notification n JOIN prepay.account a USING (site_id, account_id)
	WHERE n.template = 'arrears' AND n.phone = a.phone

	UNION ALL
	SELECT 'queued ' || c.command_id, c.created_at, 4, c.action || ' queued',
		COALESCE(label, m.code) || ': ' || c.reason
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id)
		LEFT JOIN prepay.account a USING (site_id, account_id)
		LEFT JOIN who ON who.account = a.code
	WHERE c.automatic

	UNION ALL
	SELECT c.status || ' ' || c.command_id, c.finished_at, 5, c.action || ' ' || c.status,
		COALESCE(label, m.code) || ': sent ' || COALESCE(to_char(c.sent_at, 'HH24:MI'), 'never')
			|| CASE c.result ->> 'relay_closed'
				WHEN 'true' THEN ', read back at the meter: relay closed'
				WHEN 'false' THEN ', read back at the meter: relay open'
				ELSE COALESCE(', ' || (c.result ->> 'error'), '') END
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id)
		LEFT JOIN prepay.account a USING (site_id, account_id)
		LEFT JOIN who ON who.account = a.code
	WHERE c.finished_at IS NOT NULL AND c.automatic

	UNION ALL
	SELECT 'sold ' || account || ' ' || seq, booked_at, 1, 'sale',
		label || ': ' || amount || ' CNY, balance now ' || balance_after || ' CNY'
	FROM prepay.ledger JOIN who USING (account)
	WHERE kind = 'sale'

	UNION ALL
	SELECT 'review ' || review_id, opened_at, 6, 'review', m.code || ': ' || reason || ', ' || detail
	FROM prepay.reading_review LEFT JOIN prepay.meter m USING (site_id, meter_id)

	UNION ALL
	SELECT 'balance ' || floor(extract(epoch FROM prepay.now()) / 28800), prepay.now(), 7, 'balances CNY',
		string_agg(account || ' ' || balance, '   ' ORDER BY account)
	FROM prepay.account_status
	WHERE account IN ('A-101', 'B-102', 'C-203', 'D-103', 'F-201')
)
SELECT key, to_char(at, 'Dy DD HH24:MI') || '  ' || rpad(what, 15) || text
FROM happened
WHERE at > :'since'
ORDER BY at, rank, key;
