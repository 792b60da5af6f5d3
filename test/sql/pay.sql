-- Online payment: what channels post, and what becomes of it. Vectors: test/pay/vectors.mjs.
\getenv srcdir PG_ABS_SRCDIR
\set vectors :srcdir '/sql/pay_vectors.inc'
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
\set ECHO none
\i :vectors
\set ECHO all

-- Two sites of one landlord, with one contract at Alipay.
SET prepay.now = '2027-03-02 10:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai'), prepay.create_site('pier', 'Pier', 'Asia/Tokyo', 'JPY');
SELECT prepay.set_setting('town', 'hoarding_cap', '1000'), prepay.set_setting('town', 'alarm_phones', '13800000000');
SELECT prepay.open_account('town/A1', 'Zhang'), prepay.open_account('town/A2', 'Li'), prepay.open_account('town/A3', 'Wang'), prepay.open_account('mall/B1', 'Zhao');

-- A contract, then its keys: what cannot be used is refused, and nobody reads one back.
SELECT prepay.set_payment_key('town', 'alipay', 'app_private_key', 'x');
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES
	(1, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay'),
	(2, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay'),
	(1, 'wechat', '1900000001', 'wx0000000000000001', 'https://pay.example/pay/wechat'),
	(1, 'unionpay', '777290000000001', NULL, 'https://pay.example/pay/unionpay');
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, notify_url) VALUES (3, 'wechat', '1', 'https://x.example/');
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES (3, 'wechat', '1', 'x', 'http://x.example/');
SELECT prepay.set_payment_key('town', 'alipay', 'app_private_key', 'x');
SELECT prepay.set_payment_key('town', 'alipay', 'app_private_key', k.value) FROM pay_key k WHERE name = 'alipay_public_key';
SELECT prepay.set_payment_key('town', 'wechat', 'api_v3_key', 'too short'), 1;
SELECT prepay.set_payment_key('town', 'wechat', 'merchant_key', split_part(value, '-----BEGIN PRIVATE', 1)) FROM pay_key WHERE channel = 'wechat' AND name = 'merchant_key';
SELECT prepay.set_payment_key('town', 'wechat', 'platform_key', value) FROM pay_key WHERE name = 'platform_key';
SELECT prepay.set_payment_key('town', 'wechat', 'roots', value) FROM pay_key WHERE name = 'roots';
SELECT prepay.set_payment_key('town', 'paypal', 'roots', 'x');
SELECT regexp_replace(prepay.set_payment_key(s, channel, name, value, serial), '[0-9a-fA-F]{16,}', '…', 'g') FROM unnest('{town,mall}'::text[]) AS s, pay_key
WHERE s = 'town' OR channel = 'alipay';
SELECT site, channel, name, serial, set_at, set_by = session_user AS me FROM prepay.payment_keys ORDER BY site, channel, name;

-- ---- orders ----
SELECT site, account, order_no ~ '^1P[0-9A-HJKMNP-TV-Z]{20}$' AS number, channel, scene, amount, state, created_at, expires_at,
	request ->> 'method' AS method, regexp_replace(request ->> 'url', '(biz_content|sign)=[^&]*', '\1=…', 'g') AS url FROM prepay.create_payment_order('town/A1', 100, 'alipay', '{"return_url": "https://x.example/done"}');
SELECT scene, regexp_replace(request ->> 'order_string', '(biz_content|sign)=[^&]*', '\1=…', 'g') AS order_string FROM prepay.create_payment_order('town/A1', 100, 'alipay', '{"scene": "app"}');
SELECT scene, request ->> 'url' AS url, regexp_replace(request #>> '{headers,Authorization}', '(nonce_str|signature|serial_no)="[^"]*"', '\1="…"', 'g') AS authorization,
	(request ->> 'body')::jsonb - 'out_trade_no' AS body FROM prepay.create_payment_order_by_id(1, 1, 12.3, 'wechat', '{"scene": "jsapi", "openid": "o1", "subject": "March"}');
SELECT request ->> 'url' AS url, (request -> 'fields') - '{orderId,certId,signature}'::text[] AS fields FROM prepay.create_payment_order('town/A1', 0.01, 'unionpay');
SELECT jsonb_object_keys(prepay.wechat_pay_parameters('town', order_no, 'wx201410272009395522657a690389285100')) FROM prepay.payment_order WHERE channel = 'wechat';
SELECT prepay.wechat_pay_parameters('town', '1PX', 'x');
-- Refused.
SELECT prepay.create_payment_order('town/A1', 1000.01, 'alipay');
SELECT prepay.create_payment_order('town/A1', 0, 'alipay');
SELECT prepay.create_payment_order('town/A1', 1.001, 'alipay');
SELECT prepay.create_payment_order('town/A1', 'NaN', 'alipay');
SELECT prepay.create_payment_order('town/A1', 1, 'paypal');
SELECT prepay.create_payment_order('town/A1', 1, 'wechat', '{"scene": "page"}');
SELECT prepay.create_payment_order('town/A1', 1, 'wechat', '{"scene": "jsapi"}');
SELECT prepay.create_payment_order('town/A1', 1, 'alipay', '{"color": "red"}');
SELECT prepay.create_payment_order('town/A1', 1, 'alipay', '{"subject": "a\nb"}');
SELECT prepay.create_payment_order('mall/B1', 1, 'wechat');
SELECT prepay.create_payment_order_by_id(1, 99, 1, 'wechat');
SELECT prepay.create_payment_order(NULL, 1, 'wechat');
SELECT prepay.open_account('pier/C1', 'Sato');
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES (3, 'wechat', '1', 'x', 'https://x.example/');
SELECT prepay.create_payment_order('pier/C1', 1, 'wechat');
SELECT prepay.update_account('town/A2', '{"state": "suspended"}');
SELECT prepay.create_payment_order('town/A2', 1, 'alipay');
SELECT prepay.update_account('town/A2', '{"state": "open"}');
SELECT count(prepay.create_payment_order('town/A2', 1, 'alipay')) FROM generate_series(1, 20);
SELECT prepay.create_payment_order('town/A2', 1, 'alipay');
-- Given up, and over.
SELECT prepay.close_payment_order('town', order_no) FROM prepay.payments WHERE account = 'A1' AND channel = 'wechat';
SET prepay.now = '2027-03-02 10:30+08';
SELECT prepay.tick() > 0 AS worked;
SELECT account, channel, state, state_at, count(*) FROM prepay.payments GROUP BY 1, 2, 3, 4 ORDER BY 1, 2;
SELECT prepay.create_payment_order('town/A2', 1, 'alipay') IS NOT NULL AS again;

-- ---- messages ----
-- Orders with the numbers that the vectors name.
INSERT INTO prepay.payment_order (site_id, order_no, account_id, channel, scene, amount, subject, state, created_at, created_by, expires_at, state_at)
SELECT CASE no WHEN '2PALIPAY0001' THEN 2 ELSE 1 END, no, CASE no WHEN '1PALIPAY0007' THEN 3 ELSE 1 END, channel, 'page', 100, 'x', 'created', timestamptz '2027-03-02 11:50+08', 'me', timestamptz '2027-03-02 12:20+08', timestamptz '2027-03-02 11:50+08'
FROM unnest('{1PALIPAY0001,1PALIPAY0002,1PALIPAY0003,1PALIPAY0004,1PALIPAY0007,1PALIPAY0008,1PALIPAY0009,2PALIPAY0001}'::text[]) AS no, (VALUES ('alipay')) c (channel)
UNION ALL SELECT 1, no, 1, 'wechat', 'native', 100, 'x', 'created', timestamptz '2027-03-02 11:50+08', 'me', timestamptz '2027-03-02 12:20+08', timestamptz '2027-03-02 11:50+08' FROM unnest('{1PWECHAT0001,1PWECHAT0002,1PWECHAT0003}'::text[]) AS no
UNION ALL SELECT 1, no, 1, 'unionpay', 'page', 100, 'x', 'created', timestamptz '2027-03-02 11:50+08', 'me', timestamptz '2027-03-02 12:20+08', timestamptz '2027-03-02 11:50+08' FROM unnest('{1PUNIONPAY01,1PUNIONPAY02,1PUNIONPAY03}'::text[]) AS no;
INSERT INTO prepay.payment_order (site_id, order_no, account_id, channel, scene, amount, subject, state, created_at, created_by, expires_at, state_at)
SELECT 1, no, 1, 'alipay', 'page', 100, 'x', 'expired', '2027-03-02 10:00+08', 'me', '2027-03-02 10:30+08', '2027-03-02 10:30+08' FROM unnest('{1PALIPAY0005,1PALIPAY0006}'::text[]) AS no;
SET prepay.now = '2027-03-02 12:00+08';
SELECT amount FROM prepay.close_account('town/A3', 'close-a3');
CREATE FUNCTION pg_temp.post(name_ text, OUT status int, OUT body text, OUT outcome text, OUT detail text) LANGUAGE plpgsql AS $$
BEGIN
	SELECT (a.a).status, (a.a).body INTO status, body FROM (SELECT prepay.pay_notify(v.channel, v.headers, convert_to(v.body, 'UTF8')) AS a FROM pay_vector v WHERE v.name = name_) a;
	SELECT n.outcome, regexp_replace(n.detail, '\d+P[0-9A-Z]{20}', '…') INTO outcome, detail FROM prepay.payment_notice n ORDER BY notice_id DESC LIMIT 1;
END $$;
-- Alipay: paid once, whatever comes again and in which order.
SELECT v.name, p.* FROM unnest('{alipay_waiting,alipay_finished,alipay_paid,alipay_waiting,alipay_paid,alipay_signed_with_type,alipay_gbk,alipay_other_site}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
-- Refused: not signed by Alipay for us, or no form at all.
SELECT v.name, p.* FROM unnest('{alipay_other_seller,alipay_other_key,alipay_amount_broken}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
INSERT INTO pay_vector SELECT 'alipay_' || what, channel, headers, b FROM pay_vector, LATERAL (VALUES
	('one_more_cent', replace(body, 'total_amount=100.00', 'total_amount=100.01')), ('other_order', replace(body, '1PALIPAY0001', '1PALIPAY0003')),
	('unsigned', regexp_replace(body, '&sign=.*', '')), ('sign_broken', regexp_replace(body, '&sign=.*', '&sign=AAAA')), ('not_base64', regexp_replace(body, '&sign=.*', '&sign=%3C%3E')),
	('md5', replace(body, 'sign_type=RSA2', 'sign_type=MD5')), ('twice', body || '&total_amount=1'), ('escape', body || '&x=%4'), ('nul', body || '&x=%00'), ('empty', ''),
	('json', '{"total_amount": 100}'), ('many', 'a=' || (SELECT string_agg('&k' || n || '=', '') FROM generate_series(1, 100) AS n)), ('huge', repeat('a', 10 * 1024 * 1024))) AS t (what, b) WHERE name = 'alipay_paid';
SELECT v.name, p.* FROM unnest('{one_more_cent,other_order,unsigned,sign_broken,not_base64,md5,twice,escape,nul,empty,json,many,huge}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post('alipay_' || v.name) p ORDER BY n;
SELECT * FROM prepay.pay_notify('paypal', NULL, '');
SELECT * FROM prepay.pay_notify('alipay', '[]', '\x00ff');
SELECT * FROM prepay.pay_notify(NULL, '{}', '');
-- Verified, and not what was ordered: kept, and answered so that it is not repeated for ever.
SELECT v.name, p.* FROM unnest('{alipay_amount,alipay_amount,alipay_unknown,alipay_closed,alipay_paid_after_close,alipay_paid_in_time,alipay_paid_late,alipay_account_closed,alipay_paid_twice}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
SELECT prepay.set_setting('town', 'sale_fee_percent', '100');
SELECT p.* FROM pg_temp.post('alipay_fee_takes_all') p;
SELECT prepay.set_setting('town', 'sale_fee_percent', '0');
-- The credit's key used by hand before: kept as well.
SELECT account, seq, amount FROM prepay.sell('town/A1', 100, 'wechat:4200000001202703020000000004', 'wechat');
SELECT p.* FROM pg_temp.post('wechat_by_hand') p;
SELECT account, seq, amount FROM prepay.reverse('town/A1', 6, 'undo');

-- WeChat Pay.
SELECT v.name, p.* FROM unnest('{wechat_stale,wechat_future,wechat_serial,wechat_other_key,wechat_tampered,wechat_short,wechat_associated,wechat_other_merchant,wechat_other_app,wechat_currency,wechat_fraction,wechat_no_trade}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
SELECT v.name, p.* FROM unnest('{wechat_paid,wechat_paid_again,wechat_amount,wechat_unknown}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
INSERT INTO pay_vector SELECT 'wechat_' || what, channel, h, b FROM pay_vector, LATERAL (VALUES ('body', headers, replace(body, '支付', '支 付')), ('no_headers', NULL::jsonb, body), ('array', '["Wechatpay-Serial"]', body),
	('signtest', headers || '{"Wechatpay-Signature": "WECHATPAY/SIGNTEST/x"}', body), ('time', headers || '{"Wechatpay-Timestamp": "99999999999999999999"}', body),
	('lower_case', (SELECT jsonb_object_agg(lower(key), value) FROM jsonb_each(headers)), body)) AS t (what, h, b) WHERE name = 'wechat_paid';
SELECT v.name, p.* FROM unnest('{body,no_headers,array,signtest,time,lower_case}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post('wechat_' || v.name) p ORDER BY n;

-- UnionPay.
SELECT v.name, p.* FROM unnest('{unionpay_other_merchant,unionpay_rogue_root,unionpay_self_signed,unionpay_stranger,unionpay_currency,unionpay_failed,unionpay_paid,unionpay_paid,unionpay_flawed,unionpay_amount,unionpay_unknown}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
SET prepay.now = '2047-03-02 12:00+08';
SELECT p.* FROM pg_temp.post('unionpay_paid') p;
SET prepay.now = '2027-03-02 12:00+08';
-- Without a key nothing can be verified: the channel is asked to come again.
SELECT prepay.set_payment_key('town', 'unionpay', 'roots', NULL);
SELECT p.* FROM pg_temp.post('unionpay_paid') p;

-- What it came to.
SELECT account, order_no, amount, state, paid_at, transaction_no, seq FROM prepay.payments WHERE subject = 'x' ORDER BY site, order_no;
SELECT account, seq, kind, amount, balance_after, tender, note, key FROM prepay.ledger WHERE tender IS NOT NULL OR kind = 'reversal' ORDER BY site, account, seq;
SELECT unapplied_id, channel, account, order_no, amount, reason, detail, state FROM prepay.payments_unapplied ORDER BY unapplied_id;
SELECT kind, account, level, detail FROM prepay.alarm_active;
SELECT body FROM prepay.messages;
-- The log: of what nobody signed only a beginning, and no header that may be a secret.
SELECT site_id = 0 AS unverified, outcome, count(*), max(body_bytes) > 10000000 AS huge, max(octet_length(body)) AS kept FROM prepay.payment_notice GROUP BY 1, 2 ORDER BY 1, 2;
SELECT DISTINCT key FROM prepay.payment_notice, jsonb_object_keys(headers) AS key ORDER BY 1;
UPDATE prepay.payment_notice SET outcome = 'credited';
DELETE FROM prepay.payment_notice;
TRUNCATE prepay.payment_notice;
-- Rubbish is not kept for ever.
SELECT count(prepay.pay_notify('alipay', '{}', 'rubbish')) FROM generate_series(1, 700);
SELECT count(*) FROM prepay.payment_notice WHERE site_id = 0;

-- ---- a person decides ----
SELECT prepay.resolve_payment('town', 1, 'credit', note => 'the order was for 100');
SELECT prepay.resolve_payment('town', 1, 'returned');
SELECT prepay.resolve_payment('town', 2, 'credit');
SELECT prepay.resolve_payment('town', 2, 'credit', 'mall/B1');
SELECT prepay.resolve_payment('town', 2, 'credit', 'town/A3');
SELECT prepay.resolve_payment('town', 2, 'forget');
SELECT prepay.resolve_payment('town', 99, 'returned');
SELECT prepay.resolve_payment('town', 2, 'credit', 'town/A2', 'said so on the phone');
SELECT p.* FROM pg_temp.post('alipay_amount') p;
SELECT count(prepay.resolve_payment('town', unapplied_id, 'returned', note => 'paid back at the merchant page')) FROM prepay.payments_unapplied WHERE state = 'open';
SELECT unapplied_id, state, into_account, seq, note FROM prepay.payments_unapplied ORDER BY 1 LIMIT 3;
SELECT count(*) AS alarms FROM prepay.alarm_active;
-- Contracts, keys and verdicts are in the operators' log, keys by what they are alone.
SELECT action, object, count(*), bool_or(after::text ~ 'BEGIN|abcdefgh|MII') AS secret FROM prepay.operator_log WHERE object ~ '^payment' AND object !~ ':([3-9]|\d\d)$' GROUP BY 1, 2 ORDER BY action COLLATE "C", object COLLATE "C";

-- ---- money back ----
SELECT account, refund_no ~ '^1R[0-9A-Z]{20}$' AS number, channel, amount, state, seq, balance, request ->> 'url' AS url FROM prepay.refund_payment('town', '1PALIPAY0001', 30, 'refund-1', 'moved out');
SELECT account, amount, seq, balance FROM prepay.refund_payment('town', '1PALIPAY0001', 30, 'refund-1', 'moved out');
SELECT prepay.refund_payment('town', '1PALIPAY0001', 31, 'refund-1', 'moved out');
SELECT prepay.refund_payment('town', '1PALIPAY0001', 70.01, 'refund-2');
SELECT prepay.refund_payment('town', '1PALIPAY0003', 1, 'refund-2');
SELECT prepay.refund_payment('town', '1PALIPAYNONE', 1, 'refund-2');
SELECT (request ->> 'body')::jsonb - 'out_refund_no' AS body FROM prepay.refund_payment('town', '1PWECHAT0001', 30, 'refund-3');
SELECT request ->> 'body' ~ 'origQryId=642703021200001234567&' AS original FROM prepay.refund_payment('town', '1PUNIONPAY01', 30, 'refund-4');
SELECT refund_no IS NOT NULL AS refund FROM prepay.refund_payment('town', '1PWECHAT0001', 30, 'refund-5');
UPDATE prepay.payment_refund SET refund_no = '1R' || upper(translate(substr(order_no, 3), '0123456789', '')) || CASE order_no WHEN '1PUNIONPAY01' THEN '01' ELSE '000' || 1 + (seq = 15)::int END;
SELECT prepay.set_payment_key('town', 'unionpay', 'roots', value) FROM pay_key WHERE name = 'roots';
SELECT v.name, p.* FROM unnest('{alipay_refund,alipay_refund,wechat_refund_failed,wechat_refund,unionpay_refund}'::text[]) WITH ORDINALITY AS v (name, n), pg_temp.post(v.name) p ORDER BY n;
SELECT account, order_no, refund_no, amount, state, reason, seq FROM prepay.payment_refunds ORDER BY requested_at, refund_no;
SELECT order_no, amount, refunded FROM prepay.payments WHERE refunded > 0 ORDER BY 1;
SELECT account, balance FROM prepay.account_status ORDER BY site, account;
SELECT * FROM prepay.verify();
-- A superuser who marks an order as paid, moves a payment, or makes its order forget it, is seen.
BEGIN;
UPDATE prepay.payment_order SET state = 'paid', seq = 2, transaction_no = 'X', paid_at = prepay.now() WHERE order_no = '1PALIPAY0003';
UPDATE prepay.payment_order SET amount = 101 WHERE order_no = '1PALIPAY0001';
UPDATE prepay.payment_order SET state = 'created', seq = NULL, transaction_no = NULL, paid_at = NULL WHERE order_no = '1PALIPAY0002';
UPDATE prepay.payment_unapplied SET into_account_id = 3 WHERE state = 'credited' AND into_account_id = 2;
SELECT * FROM prepay.verify();
ROLLBACK;

-- ---- rights ----
CREATE ROLE regress_pay_admin IN ROLE prepay_admin;
CREATE ROLE regress_pay_cashier IN ROLE prepay_cashier;
CREATE ROLE regress_pay_front IN ROLE prepay_payment;
CREATE ROLE regress_pay_agent IN ROLE prepay_agent;
INSERT INTO prepay.operator_site (site_id, operator) SELECT 1, r FROM unnest('{regress_pay_admin,regress_pay_cashier,regress_pay_agent}'::name[]) AS r;
GRANT SELECT ON pay_key, pay_vector TO PUBLIC;
CREATE FUNCTION pg_temp.attempt(role_ text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role_);
	EXECUTE statement;
	RAISE EXCEPTION USING ERRCODE = 'P0000';
EXCEPTION
	WHEN SQLSTATE 'P0000' THEN
		RESET ROLE;
		RETURN 'yes';
	WHEN OTHERS THEN
		RESET ROLE;
		RETURN SQLSTATE;
END $$;
SELECT what, max(a) FILTER (WHERE r = 'admin') AS admin, max(a) FILTER (WHERE r = 'cashier') AS cashier, max(a) FILTER (WHERE r = 'front') AS front, max(a) FILTER (WHERE r = 'agent') AS agent
FROM (VALUES (1, 'set a key', $$SELECT prepay.set_payment_key('town', 'wechat', 'api_v3_key', repeat('a', 32))$$), (2, 'set one elsewhere', $$SELECT prepay.set_payment_key('mall', 'alipay', 'app_private_key', NULL)$$),
	(3, 'read a key', $$SELECT value FROM prepay.payment_key$$), (4, 'see which there are', $$SELECT * FROM prepay.payment_keys$$), (5, 'change a contract', $$UPDATE prepay.payment_channel SET active = false$$),
	(6, 'order', $$SELECT prepay.create_payment_order('town/A1', 1, 'wechat')$$), (7, 'order by id', $$SELECT prepay.create_payment_order_by_id(1, 1, 1, 'wechat')$$), (8, 'order elsewhere', $$SELECT prepay.create_payment_order('mall/B1', 1, 'alipay')$$),
	(9, 'order elsewhere by id', $$SELECT prepay.create_payment_order_by_id(2, 1, 1, 'alipay')$$), (10, 'post a message', $$SELECT prepay.pay_notify('alipay', NULL, 'x')$$), (11, 'refund', $$SELECT prepay.refund_payment('town', '1PALIPAY0002', 1, 'r')$$),
	(12, 'refund elsewhere', $$SELECT prepay.refund_payment('mall', '2PALIPAY0001', 1, 'r')$$), (13, 'close an order', $$SELECT prepay.close_payment_order('town', '1PALIPAY0003')$$), (14, 'decide', $$SELECT prepay.resolve_payment('town', 99, 'returned')$$),
	(15, 'settle', $$SELECT prepay.settle_payments('town', 'unionpay', '', '2027-03-02')$$), (16, 'settle elsewhere', $$SELECT prepay.settle_payments('mall', 'alipay', '')$$), (17, 'mark an order as paid', $$UPDATE prepay.payment_order SET state = 'paid'$$),
	(18, 'forge a log', $$INSERT INTO prepay.payment_notice (site_id) VALUES (1)$$), (19, 'see payments', $$SELECT * FROM prepay.payments$$)) AS d (n, what, statement),
	unnest('{admin,cashier,front,agent}'::text[]) AS r, LATERAL pg_temp.attempt('regress_pay_' || r, statement) AS a GROUP BY n, what ORDER BY n;
SET ROLE regress_pay_cashier;
SELECT DISTINCT site FROM prepay.payments;
RESET ROLE;
DROP OWNED BY regress_pay_admin, regress_pay_cashier, regress_pay_front, regress_pay_agent;
DROP ROLE regress_pay_admin, regress_pay_cashier, regress_pay_front, regress_pay_agent;
