-- Trips that wait for a supervisor, and how calls of control() are getting on.

CREATE OR REPLACE VIEW prepay.trips_waiting AS
SELECT s.code AS site, a.code AS account, a.customer, p.code AS place, p.name AS place_name, m.code AS meter,
	c.created_at AS waiting_since, c.reason, k.desired_why AS decision,
	CASE WHEN a.account_id IS NOT NULL THEN prepay.balance(a.site_id, a.account_id) END AS balance, s.currency,
	a.phone, c.valid_until AS decided_again_at, b.on_since AS brake_since, c.command_id
FROM prepay.site s
	JOIN prepay.trip_brake b USING (site_id)
	JOIN prepay.command c USING (site_id)
	JOIN prepay.meter_control k USING (site_id, meter_id)
	JOIN prepay.meter m USING (site_id, meter_id)
	LEFT JOIN prepay.account a ON a.site_id = c.site_id AND a.account_id = c.account_id
	LEFT JOIN prepay.place p ON p.site_id = m.site_id AND p.place_id = COALESCE(m.place_id, a.place_id)
WHERE b.on_since IS NOT NULL AND c.status = 'queued' AND c.action = 'trip' AND c.automatic AND c.passed_at IS NULL
	AND c.confirmation_id IS NULL AND k.desired_why IN ('off_due', 'no_account') AND prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.trip_confirmations AS
SELECT s.code AS site, t.confirmed_at, t.operator, t.trips, t.brake_since, t.note,
	c.done, c.trips - c.done - c.live AS dropped, c.live, t.confirmation_id
FROM prepay.site s
	JOIN prepay.trip_confirmation t USING (site_id)
	CROSS JOIN LATERAL (SELECT count(*) AS trips, count(*) FILTER (WHERE c.status = 'done') AS done,
			count(*) FILTER (WHERE c.status IN ('queued', 'sent', 'unknown')) AS live
		FROM prepay.command c WHERE c.site_id = t.site_id AND c.confirmation_id = t.confirmation_id) c
WHERE prepay.my_site(s.site_id);

-- A command that was under way already when the call was made counts for it as well.
CREATE OR REPLACE VIEW prepay.batch_status AS
SELECT s.code AS site, b.batch_id, b.target, b.action, b.args::text AS args, b.reason, b.created_at, b.operator, b.meters,
	c.queued, c.sent, c.done, c.failed, b.refused + c.refused AS refused, c.expired, c.superseded, c.unknown,
	c.cancelled, b.skipped, b.unchanged,
	CASE WHEN c.queued + c.sent + c.unknown = 0 THEN COALESCE(c.finished_at, b.created_at) END AS finished_at,
	array_to_string(b.left_out, E'\n') AS left_out
FROM prepay.site s
	JOIN prepay.command_batch b USING (site_id)
	CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE c.status = 'queued') AS queued,
			count(*) FILTER (WHERE c.status = 'sent') AS sent, count(*) FILTER (WHERE c.status = 'done') AS done,
			count(*) FILTER (WHERE c.status = 'failed') AS failed, count(*) FILTER (WHERE c.status = 'refused') AS refused,
			count(*) FILTER (WHERE c.status = 'expired') AS expired,
			count(*) FILTER (WHERE c.status = 'superseded') AS superseded,
			count(*) FILTER (WHERE c.status = 'unknown') AS unknown,
			count(*) FILTER (WHERE c.status = 'cancelled') AS cancelled, max(c.finished_at) AS finished_at
		FROM (SELECT n.status, n.finished_at FROM prepay.command n
				WHERE n.site_id = b.site_id AND n.batch_id = b.batch_id
			UNION ALL SELECT j.status, j.finished_at FROM prepay.command j
				WHERE j.site_id = b.site_id AND j.command_id = ANY (b.joined)) c) c
WHERE prepay.my_site(s.site_id);
