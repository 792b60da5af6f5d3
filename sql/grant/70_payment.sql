-- Online payment. prepay_payment: an HTTP front; it can post what a channel has signed, and nothing else.
GRANT USAGE ON SCHEMA prepay TO prepay_payment;
GRANT EXECUTE ON FUNCTION prepay.pay_notify(text, jsonb, bytea) TO prepay_payment;
GRANT EXECUTE ON FUNCTION prepay.create_payment_order(text, numeric, text, jsonb), prepay.create_payment_order_by_id(int, int, numeric, text, jsonb),
	prepay.close_payment_order(text, text), prepay.wechat_pay_parameters(text, text, text),
	prepay.refund_payment(text, text, numeric, text, text)
	TO prepay_admin, prepay_supervisor, prepay_cashier;
GRANT EXECUTE ON FUNCTION prepay.resolve_payment(text, bigint, text, text, text), prepay.settle_payments(text, text, bytea, date)
	TO prepay_admin, prepay_supervisor;
GRANT EXECUTE ON FUNCTION prepay.set_payment_key(text, text, text, text, text) TO prepay_admin;
GRANT SELECT, INSERT, UPDATE ON prepay.payment_channel TO prepay_admin;
GRANT SELECT ON prepay.payment_channel, prepay.payment_keys, prepay.payments, prepay.payments_unapplied, prepay.payment_refunds,
	prepay.payment_notices, prepay.settlements
	TO prepay_admin, prepay_supervisor, prepay_cashier, prepay_dispatcher, prepay_analyst;
