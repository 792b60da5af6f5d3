-- Tenants: for the office who may log in, for a tenant its own account. Each view of prepay_api begins with
-- tenant_accounts(), which is one account or none, and goes on by its key: another's rows are never read.

CREATE OR REPLACE VIEW prepay.tenants AS
SELECT s.code AS site, a.code AS account, a.customer, l.role_name::text AS role_name, l.password_set_at, l.failures, l.blocked_until,
	l.created_at, l.created_by
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.tenant_login l USING (site_id, account_id)
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay_api.my_account WITH (security_barrier = true) AS
SELECT c.site, s.name AS site_name, c.account, c.customer, c.phone, a.language, c.place, c.place_name, c.opened_at, c.state, c.color,
	c.balance, c.currency, c.debt, c.emergency_credit, c.last_read_at, c.kw, c.closed_at,
	COALESCE(a.alarm1_amount, (SELECT g.value::numeric FROM prepay.setting g WHERE g.site_id = a.site_id AND g.name = 'alarm1_amount')) AS alarm1_amount,
	COALESCE(a.alarm2_amount, (SELECT g.value::numeric FROM prepay.setting g WHERE g.site_id = a.site_id AND g.name = 'alarm2_amount')) AS alarm2_amount
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	CROSS JOIN LATERAL (SELECT x.* FROM prepay.account_status_all x
		WHERE x.site_id = t.site_id AND x.account_id = t.account_id OFFSET 0) c;

CREATE OR REPLACE VIEW prepay_api.my_meters WITH (security_barrier = true) AS
SELECT s.code AS site, m.code AS meter, m.name, p.code AS place, round(n.register_wh / 1000.0, 3) AS register_kwh, n.kw,
	CASE n.relay_closed WHEN true THEN 'closed' WHEN false THEN 'open' END AS relay,
	COALESCE(c.desired, c.observed) AS supply, COALESCE(c.tenant_off, false) AS switched_off,
	m.purpose = 'prepaid' AND m.prepay_mode = 'server' AND a.state <> 'closed' AS may_switch, n.last_read_at, m.ratio,
	f.code AS tariff
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	JOIN prepay.meter_state n USING (site_id, account_id)
	JOIN prepay.meter m USING (site_id, meter_id)
	LEFT JOIN prepay.meter_control c USING (site_id, meter_id)
	LEFT JOIN prepay.place p ON p.site_id = m.site_id AND p.place_id = COALESCE(m.place_id, a.place_id)
	LEFT JOIN prepay.tariff f ON f.site_id = n.site_id AND f.tariff_id = n.tariff_id;

-- Lines that mend others are in the same row as what they mend.
CREATE OR REPLACE VIEW prepay_api.my_usage_daily WITH (security_barrier = true) AS
SELECT s.code AS site, a.code AS account, u.day, m.code AS meter, v.period_name AS period,
	CASE WHEN u.tier >= 0 THEN u.tier + 1 END AS tier,
	CASE WHEN u.component = 'energy' THEN round(sum(u.wh) / 1000.0, 3) END AS kwh, v.price, sum(u.amount) AS amount,
	u.component, v.item_name AS item, f.code AS tariff
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	CROSS JOIN LATERAL (SELECT x.* FROM prepay.usage_line_all x
		WHERE x.site_id = t.site_id AND x.account_id = t.account_id OFFSET 0) u
	JOIN prepay.tariff f ON f.site_id = u.site_id AND f.tariff_id = u.tariff_id
	LEFT JOIN prepay.tariff_price v ON v.site_id = u.site_id AND v.tariff_id = u.tariff_id AND v.version = u.version
		AND v.component = u.component AND v.item = u.item AND v.period = u.period AND v.tier = u.tier
	LEFT JOIN prepay.meter m ON m.site_id = u.site_id AND m.meter_id = u.meter_id
GROUP BY s.code, a.code, u.day, m.code, v.period_name, u.tier, u.component, v.item_name, v.price, f.code
HAVING sum(u.wh) <> 0 OR sum(u.amount) <> 0;

CREATE OR REPLACE VIEW prepay_api.my_usage_monthly WITH (security_barrier = true) AS
SELECT s.code AS site, a.code AS account, date_trunc('month', u.day::timestamp)::date AS month,
	round(COALESCE(sum(u.wh) FILTER (WHERE u.component = 'energy'), 0) / 1000.0, 3) AS kwh, sum(u.amount) AS amount, s.currency
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	CROSS JOIN LATERAL (SELECT x.* FROM prepay.usage_line_all x
		WHERE x.site_id = t.site_id AND x.account_id = t.account_id OFFSET 0) u
GROUP BY s.code, a.code, s.currency, 3;

-- Money in and out, as sales and refunds have it.
CREATE OR REPLACE VIEW prepay_api.my_recharges WITH (security_barrier = true) AS
SELECT s.code AS site, a.code AS account, e.seq, e.booked_at, e.kind,
	CASE WHEN e.tender IS NOT NULL THEN e.amount + COALESCE(e.fee, 0) END AS tendered, round(e.fee, s.currency_decimals) AS fee,
	CASE WHEN e.kind = 'sale' THEN round(d.debt_paid, s.currency_decimals) END AS debt_paid, e.amount,
	CASE WHEN e.kind = 'sale' THEN round((e.amount - d.debt_paid) / e.price, 3) END AS kwh, e.tender, e.receipt_no, e.till, e.ref_seq,
	e.balance_after, s.currency
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id)
	CROSS JOIN LATERAL (SELECT COALESCE(-sum(q.amount), 0) AS debt_paid FROM prepay.ledger_entry q
		WHERE e.kind = 'sale' AND q.site_id = e.site_id AND q.account_id = e.account_id AND q.seq > e.seq AND q.seq <= e.seq + 1000
			AND q.key = e.key AND q.kind = 'debt') d
WHERE e.kind IN ('opening', 'sale', 'refund', 'reversal', 'transfer_in', 'transfer_out', 'adjustment', 'credit', 'closing');

CREATE OR REPLACE VIEW prepay_api.my_alarms WITH (security_barrier = true) AS
SELECT s.code AS site, a.code AS account, l.alarm_id, l.raised_at, l.kind, l.level, m.code AS meter, l.detail, l.cleared_at
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	JOIN prepay.alarm l USING (site_id, account_id)
	LEFT JOIN prepay.meter m ON m.site_id = l.site_id AND m.meter_id = l.meter_id;

CREATE OR REPLACE VIEW prepay_api.my_payment_orders WITH (security_barrier = true) AS
SELECT s.code AS site, a.code AS account, o.order_no, o.created_at, o.channel, o.scene, o.amount, o.state, o.expires_at, o.paid_at,
	e.receipt_no, s.currency
FROM prepay.tenant_accounts() t
	JOIN prepay.account a USING (site_id, account_id)
	JOIN prepay.site s USING (site_id)
	JOIN prepay.payment_order o USING (site_id, account_id)
	LEFT JOIN prepay.ledger_entry e ON e.site_id = o.site_id AND e.account_id = o.account_id AND e.seq = o.seq;
