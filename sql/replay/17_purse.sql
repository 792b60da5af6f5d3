-- Meters that keep their own money, beside the books.

CREATE OR REPLACE VIEW prepay.own_money_meters AS
SELECT s.code AS site, m.code AS meter, a.code AS account, a.customer, prepay.balance(p.site_id, p.account_id) AS balance,
	round(p.meter_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals) AS meter_balance,
	p.meter_at AS meter_balance_at, p.purchase_count,
	COALESCE(w.waiting, round(0, s.currency_decimals)) AS on_the_way, w.stuck,
	round(p.here_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals) AS kept_here,
	round(p.withdrawn_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals) AS withdrawn, s.currency,
	CASE WHEN p.push_fault IS NOT NULL THEN 'unfit' WHEN NOT COALESCE(d.profile -> 'commands' ? 'push_tariff', false) THEN 'by hand'
		ELSE COALESCE(t.status, 'never') END AS tariff_push, p.push_fault AS tariff_push_fault
FROM prepay.site s
	JOIN prepay.meter_purse p USING (site_id)
	JOIN prepay.meter m USING (site_id, meter_id)
	JOIN prepay.account a ON a.site_id = p.site_id AND a.account_id = p.account_id
	LEFT JOIN prepay.meter_model d ON d.code = m.model
	LEFT JOIN LATERAL (SELECT l.status FROM prepay.command l WHERE l.site_id = p.site_id AND l.meter_id = p.meter_id
		AND l.action = 'push_tariff' ORDER BY l.created_at DESC, l.command_id DESC LIMIT 1) t ON true
	CROSS JOIN LATERAL (SELECT sum(v.amount) FILTER (WHERE c.action = 'recharge') AS waiting,
			COALESCE(bool_or(c.not_before = 'infinity'), false) AS stuck
		FROM prepay.command c JOIN prepay.purse_move v USING (site_id, command_id)
		WHERE c.site_id = p.site_id AND c.meter_id = p.meter_id AND c.status IN ('queued', 'sent', 'unknown')) w
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.purse_moves AS
SELECT s.code AS site, m.code AS meter, a.code AS account, c.action, v.amount, c.status AS state, v.cause, v.key,
	(c.args ->> 'count')::int AS purchase_count, c.created_at, c.sent_at, c.finished_at, c.attempts, c.operator,
	c.reason, c.result ->> 'error' AS error, v.booked, c.command_id, s.currency
FROM prepay.site s
	JOIN prepay.purse_move v USING (site_id)
	JOIN prepay.command c USING (site_id, command_id)
	JOIN prepay.meter m ON m.site_id = v.site_id AND m.meter_id = v.meter_id
	JOIN prepay.account a ON a.site_id = v.site_id AND a.account_id = v.account_id
WHERE prepay.my_site(s.site_id);
