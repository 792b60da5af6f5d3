-- Reports of money: each row or sum is one of ledger_entry, so they tie to the ledger.
-- Money in the till is amount + fee; days are the site's local days.

-- 售电明细. kwh is what the money that reached the balance buys at the price of the moment of sale.
CREATE OR REPLACE VIEW prepay.sales AS
SELECT s.code AS site, a.code AS account, a.customer, p.code AS place, e.purchase_no, e.day, e.booked_at,
	e.amount + COALESCE(e.fee, 0) AS tendered, round(COALESCE(e.fee, 0), s.currency_decimals) AS fee,
	round(d.debt_paid, s.currency_decimals) AS debt_paid, e.amount,
	e.price, round((e.amount - d.debt_paid) / e.price, 3) AS kwh, e.tender, e.operator, e.till, e.receipt_no, e.seq, e.key,
	e.note, (SELECT r.seq FROM prepay.ledger_entry r WHERE r.site_id = e.site_id AND r.account_id = e.account_id
		AND r.ref_seq = e.seq AND r.kind = 'reversal') AS reversed_by_seq, s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id)
	CROSS JOIN LATERAL (SELECT COALESCE(-sum(q.amount), 0) AS debt_paid FROM prepay.ledger_entry q
		WHERE q.site_id = e.site_id AND q.account_id = e.account_id AND q.seq > e.seq AND q.seq <= e.seq + 1000
			AND q.key = e.key AND q.kind = 'debt') d
WHERE e.kind = 'sale' AND prepay.my_site(s.site_id);

-- 退电明细: money paid out, by refund or when an account closed.
CREATE OR REPLACE VIEW prepay.refunds AS
SELECT s.code AS site, a.code AS account, a.customer, p.code AS place, e.day, e.booked_at, e.kind, -e.amount AS amount,
	e.tender, e.operator, e.till, e.receipt_no, e.seq, e.key, e.note, (SELECT r.seq FROM prepay.ledger_entry r
		WHERE r.site_id = e.site_id AND r.account_id = e.account_id AND r.ref_seq = e.seq AND r.kind = 'reversal') AS reversed_by_seq,
	s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id)
WHERE (e.kind = 'refund' OR e.kind = 'closing' AND e.amount < 0) AND prepay.my_site(s.site_id);

-- 冲正明细
CREATE OR REPLACE VIEW prepay.reversals AS
SELECT s.code AS site, a.code AS account, a.customer, p.code AS place, e.day, e.booked_at, o.kind AS reversed_kind,
	o.booked_at AS reversed_booked_at, e.amount, round(COALESCE(e.fee, 0), s.currency_decimals) AS fee,
	round(COALESCE(e.debt, 0), s.currency_decimals) AS debt, e.tender, e.operator, o.operator AS reversed_operator, e.till, e.receipt_no, e.seq, e.ref_seq, e.key, o.key AS reversed_key, e.note, s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id)
	JOIN prepay.ledger_entry o ON o.site_id = e.site_id AND o.account_id = e.account_id AND o.seq = e.ref_seq
WHERE e.kind = 'reversal' AND prepay.my_site(s.site_id);

-- 售电日报: net is what came into the till less what went out of it. Entries are first summed up by kind: one pass
-- over the index that has all that is needed.
CREATE OR REPLACE VIEW prepay.sales_daily AS
SELECT s.code AS site, g.day, g.operator, g.tender, g.sales, round(g.tendered, s.currency_decimals) AS tendered,
	round(g.fee, s.currency_decimals) AS fee, g.refunds, round(g.refunded, s.currency_decimals) AS refunded, g.reversals,
	round(g.reversed, s.currency_decimals) AS reversed, g.closings, round(g.closed, s.currency_decimals) AS closed,
	round(g.net, s.currency_decimals) AS net, s.currency
FROM prepay.site s
	CROSS JOIN LATERAL (SELECT k.day, k.operator, k.tender,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'sale'), 0)::bigint AS sales,
			COALESCE(sum(k.amount + k.fee) FILTER (WHERE k.kind = 'sale'), 0) AS tendered,
			sum(k.fee) AS fee,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'refund'), 0)::bigint AS refunds,
			COALESCE(sum(-k.amount) FILTER (WHERE k.kind = 'refund'), 0) AS refunded,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'reversal'), 0)::bigint AS reversals,
			COALESCE(sum(k.amount + k.fee) FILTER (WHERE k.kind = 'reversal'), 0) AS reversed,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'closing'), 0)::bigint AS closings,
			COALESCE(sum(k.amount) FILTER (WHERE k.kind = 'closing'), 0) AS closed,
			sum(k.amount + k.fee) AS net
		FROM (SELECT e.day, e.operator, e.tender, e.kind, count(*) AS n, sum(e.amount) AS amount, COALESCE(sum(e.fee), 0) AS fee
			FROM prepay.ledger_entry e WHERE e.site_id = s.site_id AND e.tender IS NOT NULL
			GROUP BY e.day, e.operator, e.tender, e.kind) k
		GROUP BY k.day, k.operator, k.tender) g
WHERE prepay.my_site(s.site_id);

-- 售电月报, 售电年报: by range of days, so that a month that is asked for is all that is read.
CREATE OR REPLACE VIEW prepay.sales_monthly AS
SELECT s.code AS site, m.first::date AS month, g.operator, g.tender, g.sales, round(g.tendered, s.currency_decimals) AS tendered,
	round(g.fee, s.currency_decimals) AS fee, g.refunds, round(g.refunded, s.currency_decimals) AS refunded, g.reversals,
	round(g.reversed, s.currency_decimals) AS reversed, g.closings, round(g.closed, s.currency_decimals) AS closed,
	round(g.net, s.currency_decimals) AS net, s.currency
FROM prepay.site s
	CROSS JOIN LATERAL (SELECT min(e.day) AS first, max(e.day) AS last FROM prepay.ledger_entry e
		WHERE e.site_id = s.site_id AND e.tender IS NOT NULL) d
	CROSS JOIN LATERAL generate_series(date_trunc('month', d.first::timestamp), d.last::timestamp, interval '1 month') AS m (first)
	CROSS JOIN LATERAL (SELECT k.operator, k.tender,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'sale'), 0)::bigint AS sales,
			COALESCE(sum(k.amount + k.fee) FILTER (WHERE k.kind = 'sale'), 0) AS tendered,
			sum(k.fee) AS fee,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'refund'), 0)::bigint AS refunds,
			COALESCE(sum(-k.amount) FILTER (WHERE k.kind = 'refund'), 0) AS refunded,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'reversal'), 0)::bigint AS reversals,
			COALESCE(sum(k.amount + k.fee) FILTER (WHERE k.kind = 'reversal'), 0) AS reversed,
			COALESCE(sum(k.n) FILTER (WHERE k.kind = 'closing'), 0)::bigint AS closings,
			COALESCE(sum(k.amount) FILTER (WHERE k.kind = 'closing'), 0) AS closed,
			sum(k.amount + k.fee) AS net
		FROM (SELECT e.operator, e.tender, e.kind, count(*) AS n, sum(e.amount) AS amount, COALESCE(sum(e.fee), 0) AS fee
			FROM prepay.ledger_entry e WHERE e.site_id = s.site_id AND e.tender IS NOT NULL
				AND e.day >= m.first::date AND e.day < (m.first + interval '1 month')::date
			GROUP BY e.operator, e.tender, e.kind) k
		GROUP BY k.operator, k.tender) g
WHERE prepay.my_site(s.site_id);
CREATE OR REPLACE VIEW prepay.sales_yearly AS
SELECT site, extract(year FROM month)::int AS year, operator, tender, sum(sales)::bigint AS sales, sum(tendered) AS tendered,
	sum(fee) AS fee, sum(refunds)::bigint AS refunds, sum(refunded) AS refunded, sum(reversals)::bigint AS reversals,
	sum(reversed) AS reversed, sum(closings)::bigint AS closings, sum(closed) AS closed, sum(net) AS net, currency
FROM prepay.sales_monthly GROUP BY site, currency, 2, operator, tender;

-- 期初期末: what moved each account's posted balance in a month, by the local day of booking.
CREATE OR REPLACE VIEW prepay.account_monthly AS
SELECT s.code AS site, a.code AS account, a.customer, m.month, m.opening_balance,
	round(m.sales, s.currency_decimals) AS sales, round(m.refunds, s.currency_decimals) AS refunds,
	round(m.transfers, s.currency_decimals) AS transfers, round(m.adjustments, s.currency_decimals) AS adjustments,
	round(m.credits, s.currency_decimals) AS credits, round(m.debts, s.currency_decimals) AS debts,
	round(m.usage, s.currency_decimals) AS usage, round(m.reversals, s.currency_decimals) AS reversals,
	round(m.closings, s.currency_decimals) AS closings, m.closing_balance, s.currency,
	round(m.public_energy, s.currency_decimals) AS public_energy
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	CROSS JOIN LATERAL (SELECT date_trunc('month', e.booked_at AT TIME ZONE s.timezone)::date AS month,
			(array_agg(e.balance_after - e.amount ORDER BY e.seq))[1] AS opening_balance,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind IN ('opening', 'sale')), 0) AS sales,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'refund'), 0) AS refunds,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind IN ('transfer_in', 'transfer_out')), 0) AS transfers,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'adjustment'), 0) AS adjustments,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'credit'), 0) AS credits,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'debt'), 0) AS debts,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind IN ('consumption', 'standing', 'correction')), 0) AS usage,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'public'), 0) AS public_energy,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'reversal'), 0) AS reversals,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'closing'), 0) AS closings,
			(array_agg(e.balance_after ORDER BY e.seq DESC))[1] AS closing_balance
		FROM prepay.ledger_entry e WHERE e.site_id = a.site_id AND e.account_id = a.account_id GROUP BY 1) m
WHERE prepay.my_site(s.site_id);

-- 班次: an open shift shows what is booked so far.
CREATE OR REPLACE VIEW prepay.shift_totals AS
SELECT s.code AS site, h.till, h.shift_no, h.opened_by, h.opened_at, h.closed_at, g.tender, g.receipts,
	round(g.sales, s.currency_decimals) AS sales, round(g.refunds, s.currency_decimals) AS refunds,
	round(g.reversals, s.currency_decimals) AS reversals, round(g.closings, s.currency_decimals) AS closings, g.net, s.currency
FROM prepay.site s
	JOIN prepay.shift h USING (site_id)
	CROSS JOIN LATERAL (SELECT e.tender, count(*) AS receipts,
			COALESCE(sum(e.amount + COALESCE(e.fee, 0)) FILTER (WHERE e.kind = 'sale'), 0) AS sales,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'refund'), 0) AS refunds,
			COALESCE(sum(e.amount + COALESCE(e.fee, 0)) FILTER (WHERE e.kind = 'reversal'), 0) AS reversals,
			COALESCE(sum(e.amount) FILTER (WHERE e.kind = 'closing'), 0) AS closings,
			sum(e.amount + COALESCE(e.fee, 0)) AS net
		FROM prepay.ledger_entry e WHERE e.site_id = h.site_id AND e.till = h.till AND e.tender IS NOT NULL
			AND e.receipt_no BETWEEN h.first_receipt_no AND COALESCE(h.last_receipt_no, 9223372036854775807)
		GROUP BY e.tender) g
WHERE prepay.my_site(s.site_id);
CREATE OR REPLACE VIEW prepay.shifts AS
SELECT s.code AS site, h.till, h.shift_no, h.opened_by, h.opened_at, h.closed_by, h.closed_at, h.first_receipt_no,
	COALESCE(h.last_receipt_no, t.last_receipt_no) AS last_receipt_no, h.opening_cash, b.booked_cash,
	h.opening_cash + b.booked_cash AS expected_cash, h.counted_cash,
	h.counted_cash - h.opening_cash - b.booked_cash AS difference, h.note, s.currency
FROM prepay.site s
	JOIN prepay.shift h USING (site_id)
	JOIN prepay.till t USING (site_id, till)
	CROSS JOIN LATERAL (SELECT round(COALESCE(h.booked_cash, sum(e.amount + COALESCE(e.fee, 0)), 0), s.currency_decimals) AS booked_cash
		FROM prepay.ledger_entry e WHERE e.site_id = h.site_id AND e.till = h.till AND e.tender = 'cash'
			AND e.receipt_no BETWEEN h.first_receipt_no AND COALESCE(h.last_receipt_no, 9223372036854775807)) b
WHERE prepay.my_site(s.site_id);

-- 开户明细, 销户明细. A closed account's balance is what corrections have moved since: close it again to settle.
CREATE OR REPLACE VIEW prepay.opened_accounts AS
SELECT s.code AS site, a.code AS account, a.customer, a.phone, p.code AS place, a.opened_at, a.opened_by,
	e.amount AS opening_balance, e.receipt_no, e.till, a.state, s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	LEFT JOIN prepay.ledger_entry e ON e.site_id = a.site_id AND e.account_id = a.account_id AND e.seq = 1 AND e.kind = 'opening'
WHERE prepay.my_site(s.site_id);
CREATE OR REPLACE VIEW prepay.closed_accounts AS
SELECT s.code AS site, a.code AS account, a.customer, a.phone, p.code AS place, a.opened_at, a.closed_at, a.closed_by,
	round(c.paid_out, s.currency_decimals) AS paid_out, round(c.collected, s.currency_decimals) AS collected, prepay.balance(a.site_id, a.account_id) AS balance, c.receipt_no, c.till, s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	LEFT JOIN prepay.place p USING (site_id, place_id)
	CROSS JOIN LATERAL (SELECT COALESCE(sum(-e.amount) FILTER (WHERE e.amount < 0), 0) AS paid_out,
			COALESCE(sum(e.amount) FILTER (WHERE e.amount > 0), 0) AS collected,
			(array_agg(e.receipt_no ORDER BY e.seq))[1] AS receipt_no, (array_agg(e.till ORDER BY e.seq))[1] AS till
		FROM prepay.ledger_entry e WHERE e.site_id = a.site_id AND e.account_id = a.account_id AND e.kind = 'closing') c
WHERE a.state = 'closed' AND prepay.my_site(s.site_id);

-- From the operators' log: one row a field.
CREATE OR REPLACE VIEW prepay.account_changes AS
SELECT s.code AS site, a.code AS account,
	(row_number() OVER (PARTITION BY s.code, a.code ORDER BY l.changed_at, l.recorded_at, l.log_no, b.key))::int AS change_no,
	l.changed_at, l.operator, b.key AS field, b.value AS before, n.value AS after
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.operator_log l ON l.site_id = a.site_id AND l.object = 'account:' || a.code AND l.action = 'update account'
	CROSS JOIN LATERAL jsonb_each_text(l.before) AS b
	JOIN LATERAL jsonb_each_text(l.after) AS n ON n.key = b.key
WHERE prepay.my_site(s.site_id);

-- 欠费, 补贴
CREATE OR REPLACE VIEW prepay.debts AS
SELECT s.code AS site, a.code AS account, a.customer, d.seq, d.name, d.amount, round(d.owed, s.currency_decimals) AS owed, d.percent, d.cap, d.per,
	d.period_start, round(d.period_paid, s.currency_decimals) AS period_paid, e.booked_at, e.operator, s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.debt d USING (site_id, account_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id, seq)
WHERE prepay.my_site(s.site_id);
CREATE OR REPLACE VIEW prepay.credits AS
SELECT s.code AS site, a.code AS account, a.customer, c.seq, c.type, c.priority, c.expires_at, c.amount,
	CASE WHEN c.ended_at IS NULL THEN prepay.credit_left(c.site_id, c.account_id, c.seq)
		ELSE round(0::numeric, s.currency_decimals) END AS left_amount,
	c.ended_at, c.ended_why, e.booked_at, e.operator, s.currency
FROM prepay.site s
	JOIN prepay.account a USING (site_id)
	JOIN prepay.credit c USING (site_id, account_id)
	JOIN prepay.ledger_entry e USING (site_id, account_id, seq)
WHERE prepay.my_site(s.site_id);
