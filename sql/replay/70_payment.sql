-- Online payment: what a person sees.
ALTER TABLE prepay.payment_channel ENABLE ROW LEVEL SECURITY;
DROP POLICY IF EXISTS by_site ON prepay.payment_channel;
CREATE POLICY by_site ON prepay.payment_channel USING (prepay.my_site(site_id));

CREATE OR REPLACE VIEW prepay.payment_keys AS
SELECT s.code AS site, k.channel, k.name, NULLIF(k.serial, '') AS serial, k.about, k.set_at, k.set_by
FROM prepay.site s JOIN prepay.payment_key k USING (site_id)
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.payments AS
SELECT s.code AS site, a.code AS account, a.customer, o.order_no, o.channel, o.scene, o.amount, o.subject, o.state,
	o.created_at, o.created_by, o.expires_at, o.state_at, o.paid_at, o.transaction_no, o.seq, e.till, e.receipt_no,
	COALESCE(r.refunded, 0) AS refunded
FROM prepay.site s
	JOIN prepay.payment_order o USING (site_id)
	JOIN prepay.account a ON a.site_id = o.site_id AND a.account_id = o.account_id
	LEFT JOIN prepay.ledger_entry e ON e.site_id = o.site_id AND e.account_id = o.account_id AND e.seq = o.seq
	LEFT JOIN LATERAL (SELECT sum(f.amount) AS refunded FROM prepay.payment_refund f
		WHERE f.site_id = o.site_id AND f.order_no = o.order_no AND f.state <> 'failed') r ON true
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.payments_unapplied AS
SELECT s.code AS site, u.unapplied_id, u.channel, u.transaction_no, u.order_no, a.code AS account, a.customer, u.amount,
	u.paid_at, u.kept_at, u.reason, u.detail, u.state, u.resolved_at, u.resolved_by, u.note, i.code AS into_account, u.seq
FROM prepay.site s
	JOIN prepay.payment_unapplied u USING (site_id)
	LEFT JOIN prepay.account a ON a.site_id = u.site_id AND a.account_id = u.account_id
	LEFT JOIN prepay.account i ON i.site_id = u.site_id AND i.account_id = u.into_account_id
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.payment_refunds AS
SELECT s.code AS site, a.code AS account, a.customer, o.channel, f.order_no, o.transaction_no, f.refund_no, f.amount,
	f.state, f.requested_at, f.requested_by, f.state_at, f.reason, f.seq
FROM prepay.site s
	JOIN prepay.payment_refund f USING (site_id)
	JOIN prepay.payment_order o ON o.site_id = f.site_id AND o.order_no = f.order_no
	JOIN prepay.account a ON a.site_id = f.site_id AND a.account_id = f.account_id
WHERE prepay.my_site(s.site_id);

-- Messages that nobody's keys verified belong to no site: superusers see them in the table.
CREATE OR REPLACE VIEW prepay.payment_notices AS
SELECT s.code AS site, n.notice_id, n.channel, n.received_at, n.outcome, n.detail, n.http_status, n.order_no, n.transaction_no,
	n.amount, n.sender, n.body_bytes
FROM prepay.site s JOIN prepay.payment_notice n USING (site_id)
WHERE prepay.my_site(s.site_id);

CREATE OR REPLACE VIEW prepay.settlements AS
SELECT s.code AS site, t.settlement_id, t.channel, t.from_day, t.to_day, t.settled_at, t.settled_by, t.payments, t.amount,
	t.refunds, t.refund_amount, t.credited, t.findings, t.bill_digest
FROM prepay.site s JOIN prepay.payment_settlement t USING (site_id)
WHERE prepay.my_site(s.site_id);
