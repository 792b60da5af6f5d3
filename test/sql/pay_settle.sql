-- Bills of payment channels against the orders: what was missed, what differs, what is not ours.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2027-03-02 10:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.open_account('town/A1', 'Zhang'), prepay.open_account('town/A2', 'Li'), prepay.open_account('mall/B1', 'Zhao');
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES
	(1, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay'),
	(1, 'wechat', '1900000001', 'wx0000000000000001', 'https://pay.example/pay/wechat'),
	(1, 'unionpay', '777290000000001', NULL, 'https://pay.example/pay/unionpay');
INSERT INTO prepay.payment_order (site_id, order_no, account_id, channel, scene, amount, subject, created_at, created_by, expires_at, state_at)
SELECT 1, '1P' || c || n, 1 + n % 2, lower(c), 'page', 100, 'x', timestamptz '2027-03-02 11:00+08', 'me', timestamptz '2027-03-02 11:30+08', timestamptz '2027-03-02 11:00+08'
FROM unnest('{ALIPAY,WECHAT,UNIONPAY}'::text[]) AS c, generate_series(1, 5) AS n;
SET prepay.now = '2027-03-02 12:00+08';
SELECT prepay.tick() >= 0 AS worked;
-- Booked before, by hand of a superuser as a message would: order 1 of each channel, and order 5 which no bill has.
CREATE FUNCTION pg_temp.credit(no text, transaction_ text) RETURNS int LANGUAGE plpgsql AS $$
DECLARE r prepay.money_result;
BEGIN
	SELECT (prepay.sell('town/' || CASE account_id WHEN 1 THEN 'A1' ELSE 'A2' END, amount, channel || ':' || transaction_, channel)).* INTO r FROM prepay.payment_order WHERE order_no = no;
	UPDATE prepay.payment_order SET state = 'paid', paid_at = '2027-03-02 11:10+08', transaction_no = transaction_, seq = r.seq WHERE order_no = no;
	RETURN r.seq;
END $$;
SELECT c, n, pg_temp.credit('1P' || c || n, c || '-T' || n) FROM unnest('{ALIPAY,WECHAT,UNIONPAY}'::text[]) AS c, unnest('{1,5}'::int[]) AS n;
INSERT INTO prepay.payment_refund (site_id, refund_no, order_no, account_id, amount, seq, requested_at, requested_by, state_at)
SELECT 1, '1R' || c || n, '1P' || c || '1', 2, 10 * n, 2, timestamptz '2027-03-02 11:20+08', 'me', timestamptz '2027-03-02 11:20+08' FROM unnest('{ALIPAY,WECHAT,UNIONPAY}'::text[]) AS c, generate_series(1, 3) AS n;

-- ---- Alipay: GBK with tabs behind numbers ----
CREATE TEMP TABLE bill (channel text, body text);
INSERT INTO bill VALUES ('alipay', $$#支付宝业务明细查询
#账号：[20880000000000010156]
#起始日期：[2027年03月02日 00:00:00]   终止日期：[2027年03月03日 00:00:00]
#-----------------------------------------业务明细列表----------------------------------------
支付宝交易号,商户订单号,业务类型,商品名称,创建时间,完成时间,门店编号,门店名称,操作员,终端号,对方账户,订单金额（元）,商家实收（元）,退款批次号/请求号,服务费（元）,分润（元）,备注
ALIPAY-T1	,1PALIPAY1	,交易	,电费,2027-03-02 11:05:00,2027-03-02 11:05:05,	,	,	,	,*三(138******00),100.00,99.40,	,-0.60,0.00,
ALIPAY-T2	,1PALIPAY2	,交易	,"电费, A1",2027-03-02 11:06:00,2027-03-02 11:06:05,	,	,	,	,*三(138******00),100.00,99.40,	,-0.60,0.00,"says ""hi"""
ALIPAY-T3	,1PALIPAY3	,交易	,电费,2027-03-02 11:06:00,2027-03-02 11:06:05,	,	,	,	,*三,99.00,99.00,	,0.00,0.00,
ALIPAY-T4	,1PALIPAY4	,交易	,电费,2027-03-02 11:58:00,2027-03-02 11:58:05,	,	,	,	,*三,100.00,99.40,	,0.00,0.00,
ALIPAY-T6	,1PALIPAY6	,交易	,电费,2027-03-02 11:06:00,2027-03-02 11:06:05,	,	,	,	,*三,100.00,99.40,	,0.00,0.00,
ALIPAY-T7	,PARKING7	,交易	,停车,2027-03-02 11:06:00,2027-03-02 11:06:05,	,	,	,	,*三,5.00,5.00,	,0.00,0.00,
ALIPAY-T8	,2PALIPAY8	,交易	,电费,2027-03-02 11:06:00,2027-03-02 11:06:05,	,	,	,	,*四,5.00,5.00,	,0.00,0.00,
ALIPAY-T1	,1PALIPAY1	,退款	,电费,2027-03-02 11:05:00,2027-03-02 11:30:05,	,	,	,	,*三,-10.00,-10.00,1RALIPAY1	,0.06,0.00,
ALIPAY-T1	,1PALIPAY1	,退款	,电费,2027-03-02 11:05:00,2027-03-02 11:31:05,	,	,	,	,*三,-20.01,-20.01,1RALIPAY2	,0.06,0.00,
ALIPAY-T1	,1PALIPAY1	,退款	,电费,2027-03-02 11:05:00,2027-03-02 11:32:05,	,	,	,	,*三,-7.00,-7.00,1RBYHAND	,0.06,0.00,
#-----------------------------------------业务明细列表结束------------------------------------
#交易合计：7笔，商家实收共505.20元
$$);
SELECT f.* FROM bill b, prepay.settle_payments('town', b.channel, convert_to(b.body, 'GBK')) AS f WHERE b.channel = 'alipay';
SELECT order_no, state, transaction_no, seq FROM prepay.payments WHERE channel = 'alipay' ORDER BY 1;
-- Again, in UTF-8: nothing more is done, what still differs is said again.
SELECT f.* FROM bill b, prepay.settle_payments('town', b.channel, convert_to(b.body, 'UTF8')) AS f WHERE b.channel = 'alipay';
SELECT channel, from_day, to_day, payments, amount, refunds, refund_amount, credited, findings FROM prepay.settlements ORDER BY settlement_id;
SELECT refund_no, state FROM prepay.payment_refunds WHERE channel = 'alipay' ORDER BY 1;
SELECT transaction_no, order_no, account, amount, reason FROM prepay.payments_unapplied ORDER BY unapplied_id;

-- ---- WeChat Pay: backticks, and a summary at the end ----
INSERT INTO bill VALUES ('wechat', E'\uFEFF交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r
`2027-03-02 11:05:05,`wx0000000000000001,`1900000001,`0,`,`WECHAT-T1,`1PWECHAT1,`o1,`NATIVE,`SUCCESS,`OTHERS,`CNY,`100.00,`0.00,`0,`0,`0.00,`0.00,`,`,`电费,`,`0.60000,`0.60%,`100.00,`0.00,`\r
`2027-03-02 11:06:05,`wx0000000000000001,`1900000001,`0,`,`WECHAT-T2,`1PWECHAT2,`o1,`NATIVE,`SUCCESS,`OTHERS,`CNY,`95.00,`5.00,`0,`0,`0.00,`0.00,`,`,`电费,`,`0.60000,`0.60%,`100.00,`0.00,`\r
`2027-03-02 11:30:05,`wx0000000000000001,`1900000001,`0,`,`WECHAT-T1,`1PWECHAT1,`o1,`NATIVE,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50300001,`1RWECHAT1,`10.00,`0.00,`ORIGINAL,`SUCCESS,`电费,`,`-0.06000,`0.60%,`0.00,`10.00,`\r
`2027-03-02 11:30:06,`wx0000000000000001,`1900000001,`0,`,`WECHAT-T1,`1PWECHAT1,`o1,`NATIVE,`REFUND,`OTHERS,`CNY,`0.00,`0.00,`50300002,`1RWECHAT2,`20.00,`0.00,`ORIGINAL,`PROCESSING,`电费,`,`0.00000,`0.60%,`0.00,`20.00,`\r
总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r
`4,`195.00,`30.00,`0.00,`1.14000,`200.00,`30.00\r
');
SELECT f.* FROM bill b, prepay.settle_payments('town', b.channel, convert_to(b.body, 'UTF8'), '2027-03-02') AS f WHERE b.channel = 'wechat';

-- ---- UnionPay: columns of fixed width ----
INSERT INTO bill SELECT 'unionpay', string_agg(rpad(code, 3) || ' 48020000    00010000    123456 0302110500 621626********0018  ' || lpad(fen::text, 12, '0') || ' 4900 07 ' || rpad(no, 21) || ' 01 '
	|| rpad(o, 32) || ' 01 000000 0000000000 D000000000600 C000000009400 0001' || E'\n', '' ORDER BY n)
FROM (VALUES (1, 'S22', 'UNIONPAY-T1', '1PUNIONPAY1', 10000), (2, 'S22', 'UNIONPAY-T2', '1PUNIONPAY2', 10000), (3, 'S30', 'UNIONPAY-R1', '1RUNIONPAY1', 1000), (4, 'S35', 'x', 'y', 1)) AS v (n, code, no, o, fen);
SELECT f.* FROM bill b, prepay.settle_payments('town', b.channel, convert_to(b.body, 'UTF8')) AS f WHERE b.channel = 'unionpay';
SELECT f.* FROM bill b, prepay.settle_payments('town', b.channel, convert_to(b.body, 'UTF8'), '2027-03-02') AS f WHERE b.channel = 'unionpay';

-- ---- refused: nothing is done ----
SELECT prepay.settle_payments('town', 'alipay', '');
SELECT prepay.settle_payments('town', 'alipay', 'PK');
SELECT prepay.settle_payments('town', 'alipay', '\x00');
SELECT prepay.settle_payments('town', 'alipay', '\xff');
SELECT prepay.settle_payments('town', 'wechat', convert_to(body, 'UTF8')) FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'alipay', convert_to(replace(body, '20880000000000010156', '20880000000000020156'), 'UTF8')) FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'alipay', convert_to(replace(body, '订单金额', '金额'), 'UTF8')) FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'alipay', convert_to(replace(body, '99.00,99.00', 'many,99.00'), 'UTF8')) FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'alipay', convert_to(replace(body, 'ALIPAY-T3', ' '), 'UTF8')) FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'alipay', convert_to(replace(body, 'ALIPAY-T3', '电'), 'UTF8')) FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'alipay', convert_to(body, 'UTF8'), '2027-03-03') FROM bill WHERE channel = 'alipay';
SELECT prepay.settle_payments('town', 'wechat', convert_to(replace(body, '`1900000001', '`1900000002'), 'UTF8')) FROM bill WHERE channel = 'wechat';
SELECT prepay.settle_payments('town', 'unionpay', convert_to(left(body, 100), 'UTF8'), '2027-03-02') FROM bill WHERE channel = 'unionpay';
SELECT prepay.settle_payments('mall', 'alipay', '');
SELECT prepay.settle_payments('town', 'paypal', '');
SELECT prepay.settle_payments('town', 'alipay', NULL);
SELECT count(*) FROM prepay.settlements;
-- A day without trades.
SELECT finding, order_no, booked_amount FROM prepay.settle_payments('town', 'wechat', convert_to((SELECT split_part(body, '`', 1) FROM bill WHERE channel = 'wechat'), 'UTF8'), '2027-03-02');
SELECT account, tender, count(*), sum(amount) FROM prepay.ledger WHERE kind = 'sale' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM prepay.verify();
