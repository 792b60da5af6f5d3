-- Online payment.
CREATE TYPE prepay.payment_order_result AS (
	site text,
	account text,
	order_no text,
	channel text,
	scene text,
	amount numeric,
	state text,
	created_at timestamptz,
	expires_at timestamptz,
	request jsonb
);
COMMENT ON TYPE prepay.payment_order_result IS 'An order, and what its client sends (支付订单). request: order_string; or method and url; or these with headers and body to be sent as they are; or url and fields of a form.';

CREATE TYPE prepay.payment_refund_result AS (
	site text,
	account text,
	order_no text,
	refund_no text,
	channel text,
	amount numeric,
	state text,
	seq int,
	balance numeric,
	request jsonb
);
COMMENT ON TYPE prepay.payment_refund_result IS 'A refund the way the money came (原路退款), its ledger entry, and what a worker sends to the channel.';

CREATE TYPE prepay.payment_answer AS (
	status int,
	content_type text,
	body text
);
COMMENT ON TYPE prepay.payment_answer IS 'HTTP answer to a payment channel, to be given as it is.';

CREATE TYPE prepay.payment_finding AS (
	finding text,
	order_no text,
	transaction_no text,
	account text,
	bill_amount numeric,
	booked_amount numeric,
	detail text
);
COMMENT ON TYPE prepay.payment_finding IS 'Something a bill says that was not known here, or the other way round (对账差异). finding: credited, unapplied, refund_done, not_in_bill, amount_differs, refund_unknown, refund_not_in_bill.';

CREATE FUNCTION prepay.set_payment_key(site text, channel text, name text, value text, serial text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_set_payment_key' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.set_payment_key(text, text, text, text, text) IS
	'Set or, with NULL, remove a key of a payment channel (设置支付密钥); says what it is. Nobody can read it back. alipay: app_private_key, alipay_public_key; wechat: merchant_key (certificate and private key), api_v3_key, platform_key by serial; unionpay: merchant_key (certificate and private key), roots.';

CREATE FUNCTION prepay.create_payment_order(account text, amount numeric, channel text, options jsonb DEFAULT '{}') RETURNS prepay.payment_order_result
	AS 'MODULE_PATHNAME', 'prepay_create_payment_order' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.create_payment_order(text, numeric, text, jsonb) IS
	'An order to be paid by alipay, wechat or unionpay (支付下单), and what the payer''s client sends. Options: scene (alipay: page, wap, app; wechat: native, jsapi, h5, app; unionpay: page, wap), subject, return_url, openid (jsapi), client_ip (h5).';

CREATE FUNCTION prepay.create_payment_order_by_id(site_id int, account_id int, amount numeric, channel text, options jsonb DEFAULT '{}') RETURNS prepay.payment_order_result
	AS 'MODULE_PATHNAME', 'prepay_create_payment_order_by_id' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.create_payment_order_by_id(int, int, numeric, text, jsonb) IS 'The same by ids, for programs.';

CREATE FUNCTION prepay.close_payment_order(site text, order_no text) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_close_payment_order' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.close_payment_order(text, text) IS
	'Give an order up that is not paid (关闭订单); returns its state. Money that comes all the same is kept for a person.';

CREATE FUNCTION prepay.wechat_pay_parameters(site text, order_no text, prepay_id text) RETURNS jsonb
	AS 'MODULE_PATHNAME', 'prepay_wechat_pay_parameters' LANGUAGE C VOLATILE STRICT;
COMMENT ON FUNCTION prepay.wechat_pay_parameters(text, text, text) IS
	'What a WeChat client of scene jsapi or app is called with, once the channel has answered an order with its prepay_id (调起支付参数).';

CREATE FUNCTION prepay.pay_notify(channel text, headers jsonb, body bytea) RETURNS prepay.payment_answer
	AS 'MODULE_PATHNAME', 'prepay_pay_notify' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.pay_notify(text, jsonb, bytea) IS
	'A message of a payment channel as an HTTP front received it (支付通知): verified, logged, credited exactly once; returns what is to be answered. Never fails on content.';

CREATE FUNCTION prepay.resolve_payment(site text, unapplied_id bigint, verdict text, account text DEFAULT NULL, note text DEFAULT NULL) RETURNS text
	AS 'MODULE_PATHNAME', 'prepay_resolve_payment' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.resolve_payment(text, bigint, text, text, text) IS
	'Decide on a payment that was not credited (未入账支付处理): credit it to an account, the order''s where none is named, or say that it was returned to the payer. Verdicts: credit, returned.';

CREATE FUNCTION prepay.refund_payment(site text, order_no text, amount numeric, key text, reason text DEFAULT NULL) RETURNS prepay.payment_refund_result
	AS 'MODULE_PATHNAME', 'prepay_refund_payment' LANGUAGE C VOLATILE;
COMMENT ON FUNCTION prepay.refund_payment(text, text, numeric, text, text) IS
	'Pay back of an order the way it came (原路退款): at most what was paid by it and the account''s own unspent money. Posts the refund and gives the signed request for the channel; repeated with its key the first result, signed anew.';

CREATE FUNCTION prepay.settle_payments(site text, channel text, bill bytea, day date DEFAULT NULL) RETURNS SETOF prepay.payment_finding
	AS 'MODULE_PATHNAME', 'prepay_settle_payments' LANGUAGE C VOLATILE ROWS 100;
COMMENT ON FUNCTION prepay.settle_payments(text, text, bytea, date) IS
	'Compare the channel''s bill (Alipay and WeChat: trade bill as CSV, UTF-8 or GBK; UnionPay: ZM file) with the orders (渠道对账): credits what was missed and lists all that differs. day: of the bill, where it is empty; else its rows tell. Repeating it does nothing more.';
