-- The views people and BI tools see. They begin with the site and only ever gain columns at the end.

-- For the library alone: readings that count or wait for a tariff, with the value that counts. Where a
-- person had to decide about the total, the time-of-use registers read with it tell nothing.
CREATE OR REPLACE VIEW prepay.reading_believed AS
SELECT r.site_id, r.meter_id, r.read_at,
	(COALESCE((SELECT x.kwh FROM prepay.reading_correction x WHERE x.site_id = r.site_id
		AND x.meter_id = r.meter_id AND x.read_at = r.read_at ORDER BY x.correction DESC LIMIT 1), r.kwh) * 1000)::bigint AS register_wh,
	COALESCE((r.reverse_kwh * 1000)::bigint, -1) AS reverse_wh, k.mark,
	CASE WHEN r.period_kwh IS NOT NULL AND k.mark IS DISTINCT FROM 'accepted' AND NOT EXISTS (SELECT FROM prepay.reading_correction x
		WHERE x.site_id = r.site_id AND x.meter_id = r.meter_id AND x.read_at = r.read_at) THEN r.period_kwh END AS period_kwh
FROM prepay.reading r
	LEFT JOIN prepay.reading_mark k USING (site_id, meter_id, read_at)
WHERE k.mark IS NULL OR k.mark IN ('accepted', 'rollover', 'baseline', 'waiting');

-- A reading as it counts: with its correction, and with the mark that keeps it from counting.
CREATE OR REPLACE VIEW prepay.readings AS
SELECT s.code AS site, m.code AS meter, r.read_at, r.kwh, c.kwh AS corrected_kwh, r.reverse_kwh, r.kw,
	r.relay_closed, r.meter_balance, r.purchase_count, r.meter_clock, r.source,
	COALESCE(k.mark, 'accepted') AS status
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	JOIN prepay.reading r USING (site_id, meter_id)
	LEFT JOIN prepay.reading_mark k USING (site_id, meter_id, read_at)
	LEFT JOIN LATERAL (SELECT x.kwh FROM prepay.reading_correction x
		WHERE x.site_id = r.site_id AND x.meter_id = r.meter_id AND x.read_at = r.read_at
		ORDER BY x.correction DESC LIMIT 1) c ON true
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.usage_line_all AS
SELECT u.site_id, u.account_id, u.meter_id, u.day, u.booked_day, NULLIF(u.booked_seq, 0) AS booked_seq,
	u.tariff_id, u.version, u.component, u.item, u.period, u.tier, u.wh, u.estimated_wh, u.amount
FROM prepay.usage_line u
UNION ALL
SELECT a.site_id, a.account_id, o.meter_id, o.day, NULL, NULL, o.tariff_id, o.version, o.component,
	o.item, o.period, o.tier, o.wh, o.estimated_wh, o.amount
FROM prepay.account_state a
	CROSS JOIN LATERAL prepay.open_usage(a.site_id, a.tier_extra, a.tier_base,
		ARRAY(SELECT m.open_lines FROM prepay.meter_state m WHERE m.site_id = a.site_id
			AND m.account_id = a.account_id AND m.open_lines <> '') || a.leaving_lines) o;

CREATE OR REPLACE VIEW prepay.usage_daily AS
SELECT s.code AS site, a.code AS account, m.code AS meter, u.day, u.booked_day, t.code AS tariff,
	u.version, u.component,
	v.period_name AS period,
	CASE WHEN u.tier >= 0 THEN u.tier + 1 END AS tier,
	CASE WHEN u.component = 'energy' THEN round(u.wh / 1000.0, 3) END AS kwh,
	v.price, u.amount, v.item_name AS item,
	CASE WHEN u.component = 'energy' THEN round(u.estimated_wh / 1000.0, 3) END AS estimated_kwh,
	u.booked_seq
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.usage_line_all u USING (site_id, account_id)
	JOIN prepay.tariff t USING (site_id, tariff_id)
	LEFT JOIN prepay.tariff_price v USING (site_id, tariff_id, version, component, item, period, tier)
	LEFT JOIN prepay.meter m ON m.site_id = u.site_id AND m.meter_id = u.meter_id
WHERE prepay.my_site(s.site_id);

-- Energy of times when a meter belonged to no account: never charged, reported here.
CREATE OR REPLACE VIEW prepay.unowned_energy AS
SELECT s.code AS site, m.code AS meter, u.day, round(u.wh / 1000.0, 3) AS kwh, u.from_time, u.to_time,
	u.since, u.until, round(u.estimated_wh / 1000.0, 3) AS estimated_kwh, p.code AS place, p.name AS place_name,
	m.name
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	CROSS JOIN LATERAL prepay.unpaid_energy(m.site_id, m.meter_id) u
WHERE prepay.my_site(s.site_id) AND m.purpose = 'prepaid';

-- What check meters measured: energy only.
CREATE OR REPLACE VIEW prepay.check_energy AS
SELECT s.code AS site, m.code AS meter, u.day, round(u.wh / 1000.0, 3) AS kwh,
	round(u.estimated_wh / 1000.0, 3) AS estimated_kwh, p.code AS place, p.name AS place_name, m.name, m.circuit
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	CROSS JOIN LATERAL prepay.unpaid_energy(m.site_id, m.meter_id) u
WHERE prepay.my_site(s.site_id) AND m.purpose = 'check';

-- One row a household and month: what a landlord prints. Periods and tiers have names of their own in each
-- tariff, so their breakdown is usage_daily, or statement() for one account. Months are counted off, so that
-- one account or one month reads no more usage than its own.
CREATE OR REPLACE VIEW prepay.usage_monthly AS
SELECT s.code AS site, a.code AS account, a.customer, p.code AS place, g.month::date AS month,
	round(u.wh / 1000.0, 3) AS kwh, u.energy_amount, u.surcharge_amount, u.standing_amount, u.amount, s.currency,
	round(u.estimated_wh / 1000.0, 3) AS estimated_kwh, u.unposted_amount, p.name AS place_name
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.account_state t USING (site_id, account_id)
	LEFT JOIN prepay.place p ON p.site_id = a.site_id AND p.place_id = a.place_id
	CROSS JOIN LATERAL (SELECT min(f.day) AS day FROM prepay.usage_line f
		WHERE f.site_id = a.site_id AND f.account_id = a.account_id) f
	CROSS JOIN LATERAL generate_series(date_trunc('month', least(f.day, t.sealed_to)::timestamp),
		prepay.now() AT TIME ZONE s.timezone, interval '1 month') AS g (month)
	CROSS JOIN LATERAL (SELECT count(*) AS lines,
			COALESCE(sum(l.wh) FILTER (WHERE l.component = 'energy'), 0) AS wh,
			COALESCE(sum(l.estimated_wh) FILTER (WHERE l.component = 'energy'), 0) AS estimated_wh,
			COALESCE(sum(l.amount) FILTER (WHERE l.component = 'energy'), 0) AS energy_amount,
			COALESCE(sum(l.amount) FILTER (WHERE l.component = 'surcharge'), 0) AS surcharge_amount,
			COALESCE(sum(l.amount) FILTER (WHERE l.component = 'standing'), 0) AS standing_amount,
			sum(l.amount) AS amount, COALESCE(sum(l.amount) FILTER (WHERE l.booked_day IS NULL), 0) AS unposted_amount
		FROM prepay.usage_line_all l WHERE l.site_id = a.site_id AND l.account_id = a.account_id
			AND l.day >= g.month::date AND l.day < (g.month + interval '1 month')::date) u
WHERE prepay.my_site(s.site_id) AND u.lines > 0;

CREATE OR REPLACE VIEW prepay.ledger AS
SELECT s.code AS site, a.code AS account, e.seq, e.kind, e.amount, e.balance_after, e.booked_at, e.day,
	e.key, e.ref_seq, e.operator, e.tender, e.till, e.receipt_no, e.note, a.customer, e.recorded_at, e.hash,
	e.debt, e.debt_after, e.fee, e.purchase_no, e.price, o.code AS other_account
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id)
	LEFT JOIN prepay.account o ON o.site_id = e.site_id AND o.account_id = e.other_account_id
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.receipt_prints AS
SELECT s.code AS site, a.code AS account, r.seq, r.print_no, r.print_no > 1 AS reprint, r.printed_at, r.operator,
	r.template, r.language, e.kind, e.amount, e.receipt_no
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.receipt_print r USING (site_id, account_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id, seq)
WHERE prepay.my_site(s.site_id);

-- States and colours: open green, alarm1 yellow, alarm2 orange, arrears red, unopened grey, lost
-- purple, suspended blue, closed black.
CREATE OR REPLACE VIEW prepay.account_status_all AS
SELECT s.site_id, a.account_id, s.code AS site, a.code AS account, a.customer, p.code AS place, x.state,
	prepay.state_color(x.state) AS color, round(t.posted_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals)
		- prepay.unposted(a.site_id, t.sealed_exact, t.tier_extra, t.tier_base, COALESCE(m.open_lines, '{}') || t.leaving_lines) AS balance, m.last_read_at, a.phone, s.currency,
	m.meters, m.meters_cut, m.kw, round(t.posted_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals) AS posted_balance,
	t.sealed_to - 1 AS sealed_through, a.opened_at, a.closed_at, p.name AS place_name,
	round(t.debt_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals) AS debt,
	round(t.emergency_minor / 10::numeric ^ s.currency_decimals, s.currency_decimals) AS emergency_credit, t.emergency_exhausted
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.account_state t USING (site_id, account_id)
	LEFT JOIN prepay.place p ON p.site_id = a.site_id AND p.place_id = a.place_id
	CROSS JOIN LATERAL (SELECT max(n.last_read_at) AS last_read_at, count(*) AS meters, array_agg(n.open_lines) AS open_lines,
			count(*) FILTER (WHERE c.desired = 'off') AS meters_cut, round(sum(n.kw * n.ratio_e6) / 1000000, 3) AS kw,
			bool_or(n.contact = 'lost' OR g.contact = 'lost') AS lost
		FROM prepay.meter_state n
			JOIN prepay.meter_control c USING (site_id, meter_id)
			JOIN prepay.meter d USING (site_id, meter_id)
			LEFT JOIN prepay.gateway_state g ON g.site_id = d.site_id AND g.gateway_id = d.gateway_id
		WHERE n.site_id = a.site_id AND n.account_id = a.account_id) m
	CROSS JOIN LATERAL (SELECT CASE WHEN a.state <> 'open' THEN a.state WHEN m.lost THEN 'lost'
		WHEN t.alarm_level = 3 THEN 'arrears' WHEN t.alarm_level = 2 THEN 'alarm2'
		WHEN t.alarm_level = 1 THEN 'alarm1'
		WHEN NOT EXISTS (SELECT FROM prepay.ledger_entry f WHERE f.site_id = a.site_id
			AND f.account_id = a.account_id AND f.balance_after > 0) THEN 'unopened' ELSE 'open' END AS state) x;
CREATE OR REPLACE VIEW prepay.account_status AS
SELECT site, account, customer, place, state, color, balance, last_read_at, phone, currency, meters, meters_cut, kw, posted_balance,
	sealed_through, opened_at, closed_at, place_name, debt, emergency_credit, emergency_exhausted
FROM prepay.account_status_all WHERE prepay.my_site(site_id);

CREATE OR REPLACE VIEW prepay.meter_status AS
SELECT s.code AS site, m.code AS meter, a.code AS account, a.customer, p.code AS place, x.state,
	prepay.state_color(x.state) AS color, n.last_read_at,
	round(n.register_wh / 1000.0, 3) AS register_kwh, n.kw,
	CASE n.relay_closed WHEN true THEN 'closed' WHEN false THEN 'open' END AS relay,
	c.desired, c.desired_why, c.commanded, c.acknowledged, c.observed, c.observed_at,
	c.order_kind AS operator_order, c.locked, m.purpose, m.prepay_mode, m.model, g.code AS gateway,
	m.unit_id, n.contact, n.contact_since, m.ratio, m.name, m.circuit,
	CASE WHEN a.account_id IS NOT NULL THEN prepay.balance(a.site_id, a.account_id) END AS balance,
	s.currency, round(n.kw * n.ratio_e6 / 1000000, 3) AS load_kw, m.power_limit_kw,
	CASE WHEN w.overload_until > prepay.now() THEN w.overload_until END AS overload_until,
	CASE WHEN w.overload_locked OR w.overload_at > prepay.now() - interval '24 hours' THEN w.overload_trips ELSE 0 END AS overload_trips, COALESCE(w.overload_locked, false) AS overload_locked
FROM prepay.site s
	JOIN prepay.meter m USING (site_id)
	JOIN prepay.meter_state n USING (site_id, meter_id)
	JOIN prepay.meter_control c USING (site_id, meter_id)
	LEFT JOIN prepay.meter_watch w ON w.site_id = m.site_id AND w.meter_id = m.meter_id
	LEFT JOIN prepay.account a ON a.site_id = n.site_id AND a.account_id = n.account_id
	LEFT JOIN prepay.account_state t ON t.site_id = n.site_id AND t.account_id = n.account_id
	LEFT JOIN prepay.place p ON p.site_id = m.site_id AND p.place_id = COALESCE(m.place_id, a.place_id)
	LEFT JOIN prepay.gateway g ON g.site_id = m.site_id AND g.gateway_id = m.gateway_id
	LEFT JOIN prepay.gateway_state h ON h.site_id = m.site_id AND h.gateway_id = m.gateway_id
	CROSS JOIN LATERAL (SELECT CASE WHEN n.contact = 'lost' OR h.contact = 'lost' THEN 'lost'
		WHEN a.account_id IS NULL AND m.purpose = 'prepaid' THEN 'unopened'
		WHEN a.state = 'suspended' THEN 'suspended'
		WHEN t.alarm_level = 3 THEN 'arrears' WHEN t.alarm_level = 2 THEN 'alarm2'
		WHEN t.alarm_level = 1 THEN 'alarm1'
		WHEN a.account_id IS NOT NULL AND NOT EXISTS (SELECT FROM prepay.ledger_entry f
			WHERE f.site_id = a.site_id AND f.account_id = a.account_id AND f.balance_after > 0)
			THEN 'unopened' ELSE 'open' END AS state) x
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.gateway_status AS
SELECT s.code AS site, g.code AS gateway, g.name, p.code AS place, h.contact AS state,
	CASE h.contact WHEN 'ok' THEN 'green' WHEN 'lost' THEN 'purple' ELSE 'grey' END AS color,
	h.contact_since, g.transport, g.address, g.agent, m.meters, m.meters_lost, m.last_read_at,
	e.state AS agent_state, e.last_beat_at, g.standby_agent,
	CASE WHEN e.state = 'lost' AND g.standby_agent IS NOT NULL THEN g.standby_agent ELSE g.agent END AS served_by
FROM prepay.site s
	JOIN prepay.gateway g USING (site_id)
	LEFT JOIN prepay.gateway_state h USING (site_id, gateway_id)
	LEFT JOIN prepay.place p ON p.site_id = g.site_id AND p.place_id = g.place_id
	LEFT JOIN prepay.agent e ON e.site_id = g.site_id AND e.code = g.agent
	CROSS JOIN LATERAL (SELECT count(*) AS meters, count(*) FILTER (WHERE n.contact = 'lost') AS meters_lost,
			max(n.last_read_at) AS last_read_at
		FROM prepay.meter d JOIN prepay.meter_state n USING (site_id, meter_id)
		WHERE d.site_id = g.site_id AND d.gateway_id = g.gateway_id) m
WHERE prepay.my_site(s.site_id);

-- 参数设置: every setting of every site, set or not.
CREATE OR REPLACE VIEW prepay.settings AS
SELECT s.code AS site, k.name, COALESCE(v.value, k.default_value) AS value, v.name IS NULL AS is_default, k.default_value, k.kind, k.range,
	k.meaning, v.set_at, v.set_by
FROM prepay.site s
	CROSS JOIN prepay.known_settings() k
	LEFT JOIN prepay.setting v ON v.site_id = s.site_id AND v.name = k.name
WHERE prepay.my_site(s.site_id);
