-- Tenants: their own account through a front's token or as a role, and nothing else.
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
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('home', '{"periods": ["peak", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}], "prices": {"peak": 1, "valley": 0.4}}'), prepay.set_setting('town', 'tariff', 'home'),
	prepay.set_setting('town', 'alarm1_amount', '20');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'P1', 'House 1'), (1, 'P2', 'House 2');
INSERT INTO prepay.meter (site_id, code, name, place_id) VALUES (1, 'M1', 'Kitchen', 1), (1, 'M2', NULL, 2), (1, 'C1', NULL, 1);
UPDATE prepay.meter SET purpose = 'check' WHERE code = 'C1';
SELECT prepay.open_account('A1', 'Zhang', '13800000001', 'P1', '{M1}', opening_balance => 20, key => 'o1'), prepay.open_account('A2', 'Li', '13800000002', 'P2', '{M2}', opening_balance => 70, key => 'o2');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, '2026-03-01 00:00+08', 0, 0.5, true FROM generate_series(1, 2) AS m;
SET prepay.now = '2026-03-02 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, '2026-03-02 12:00+08', 36 * m, 0.5, true FROM generate_series(1, 2) AS m;
SELECT (prepay.sell('A1', 30, 's1', 'wechat')).seq, (prepay.sell('A2', 40, 's2')).seq, (prepay.refund('A1', 5, 'r1')).seq;

CREATE ROLE regress_front LOGIN NOINHERIT;
GRANT prepay_authenticator, prepay_tenant TO regress_front;
CREATE ROLE regress_cash LOGIN;
GRANT prepay_cashier TO regress_cash;
INSERT INTO prepay.operator_site VALUES (1, 'regress_cash');

-- ---- the office ----
SET ROLE regress_cash;
SELECT prepay.create_tenant('A1', 'short');
SELECT prepay.create_tenant('A1', 'long enough');
SELECT prepay.create_tenant('nobody', 'Long enough 1');
SELECT prepay.create_tenant('A1', NULL);
SELECT prepay.create_tenant('A1', 'Blue kettle 7');
SELECT prepay.create_tenant('A1', 'Blue kettle 7');
SELECT prepay.create_tenant('A2', 'Red kettle 88', 'prepay_x');
SELECT prepay.create_tenant('A2', 'Red kettle 88', 'regress_cash');
SELECT prepay.create_tenant('A2', 'Red kettle 88', 'regress_li');
SELECT prepay.set_tenant_secret(repeat('x', 40));
SELECT site, account, customer, role_name, password_set_at, failures, blocked_until, created_by FROM prepay.tenants ORDER BY account;
SELECT verifier FROM prepay.tenant_login;
SELECT secret FROM prepay.tenant_secret;
RESET ROLE;
SELECT rolcanlogin, rolinherit, shobj_description(oid, 'pg_authid'), (SELECT array_agg(roleid::regrole::text) FROM pg_auth_members WHERE member = r.oid) FROM pg_roles r WHERE rolname = 'regress_li';
SELECT a.rolpassword = l.verifier AS same_password FROM pg_authid a, prepay.tenant_login l WHERE a.rolname = 'regress_li' AND l.role_name = 'regress_li';

-- ---- logging in ----
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT prepay_api.log_in('A1', 'Blue kettle 7');
RESET SESSION AUTHORIZATION;
SELECT prepay.set_tenant_secret('short');
SELECT prepay.set_tenant_secret('a secret of at least 32 bytes, as RFC 7518 wants it');
SELECT prepay_api.log_in('A1', 'Blue kettle 7');
CREATE FUNCTION public.claims(token text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT convert_from(decode(rpad(c, (length(c) + 3) / 4 * 4, '='), 'base64'), 'UTF8')::jsonb FROM translate(split_part(token, '.', 2), '-_', '+/') AS c $$;
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT prepay_api.log_in('A1', 'Blue kettle 7') AS token \gset
SELECT claims(:'token') - 'iat' - 'exp' AS claims, (claims(:'token') ->> 'exp')::bigint - (claims(:'token') ->> 'iat')::bigint AS lives, abs((claims(:'token') ->> 'iat')::bigint - extract(epoch FROM clock_timestamp())) < 60 AS issued_now,
	length(split_part(:'token', '.', 3)) AS signature, :'token' ~ '^[A-Za-z0-9_.-]+$' AS url_safe;
SELECT prepay_api.log_in('town/A1', 'Blue kettle 7') IS NOT NULL, prepay_api.log_in('town/account:A1', 'Blue kettle 7') IS NOT NULL, prepay_api.log_in('account:A1', 'Blue kettle 7') IS NOT NULL;
SELECT prepay_api.log_in('A1', 'Blue kettle 8'), prepay_api.log_in('nobody', 'x'), prepay_api.log_in('mall/A1', 'Blue kettle 7'), prepay_api.log_in('', ''), prepay_api.log_in('/', repeat('x', 100000)), prepay_api.log_in('a/b/c', 'x');
SELECT prepay_api.log_in(NULL, 'x');

-- ---- one's own account ----
SELECT count(*) FROM prepay_api.my_account;
SELECT set_config('request.jwt.claims', claims(:'token')::text, false) <> '' AS logged_in;
\x
SELECT * FROM prepay_api.my_account;
SELECT * FROM prepay_api.my_meters;
\x
SELECT day, meter, period, tier, kwh, price, amount FROM prepay_api.my_usage_daily ORDER BY day, period;
SELECT month, kwh, amount FROM prepay_api.my_usage_monthly;
SELECT booked_at, kind, tendered, fee, debt_paid, amount, kwh, tender, receipt_no FROM prepay_api.my_recharges ORDER BY seq;
SELECT raised_at, kind, level, detail, cleared_at FROM prepay_api.my_alarms;
SELECT line, section, text, kwh, amount, balance FROM prepay_api.my_statement();
SELECT line, section, amount, balance FROM prepay_api.my_statement('2026-02-10');
SELECT * FROM prepay_api.my_statement('2027-01-01');

-- ---- switching ----
SELECT prepay_api.switch_my_meter('M1', false);
SELECT supply, switched_off, may_switch FROM prepay_api.my_meters;
SELECT prepay_api.switch_my_meter('M1', true);
SELECT prepay_api.switch_my_meter('M2', false);
SELECT prepay_api.switch_my_meter('nothing', false);
SELECT prepay_api.switch_my_meter('C1', false);
SELECT prepay_api.switch_my_meter(NULL, false);
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM prepay.control('M1', 'lock');
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT prepay_api.switch_my_meter('M1', true);
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM prepay.control('M1', 'unlock');
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;

-- ---- personal data ----
SELECT prepay_api.change_my_data('13911112222', 'en');
SELECT phone, language FROM prepay_api.my_account;
SELECT prepay_api.change_my_data('call me', 'en');
SELECT prepay_api.change_my_data('13911112222', 'fr');
SELECT prepay_api.change_my_data(NULL, NULL);
SELECT phone, language FROM prepay_api.my_account;

-- ---- payment orders ----
SELECT prepay_api.create_payment_order(50, 'alipay');
RESET SESSION AUTHORIZATION;
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES (1, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay');
SELECT regexp_replace(prepay.set_payment_key('town', channel, name, value, serial), '[0-9a-fA-F]{16,}', '…', 'g') FROM pay_key WHERE channel = 'alipay' AND name = 'app_private_key';
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT account, order_no ~ '^1P' AS number, amount, channel, scene, state, request ->> 'method' AS method, request ->> 'url' ~ '^https://.*sign=' AS signed FROM prepay_api.create_payment_order(50, 'alipay', '{"scene": "wap"}');
SELECT prepay_api.create_payment_order(-50, 'alipay');
SELECT prepay_api.create_payment_order(50, 'paypal');
SELECT prepay_api.create_payment_order(50, NULL);
SELECT account, amount, channel, scene, state, expires_at, paid_at, receipt_no FROM prepay_api.my_payment_orders;

-- ---- the password: a new one ends what was issued before, at once ----
SELECT prepay_api.change_my_password('wrong', 'Green kettle 9');
SELECT prepay_api.change_my_password('Blue kettle 7', 'green');
SELECT prepay_api.change_my_password('Blue kettle 7', 'Green kettle 9');
SELECT count(*) FROM prepay_api.my_account;
SELECT prepay_api.switch_my_meter('M1', false);
SELECT prepay_api.log_in('A1', 'Blue kettle 7');
SELECT prepay_api.log_in('A1', 'Green kettle 9') AS token \gset
SELECT set_config('request.jwt.claims', claims(:'token')::text, false) <> '' AS logged_in;
SELECT account, customer FROM prepay_api.my_account;
RESET SESSION AUTHORIZATION;
SELECT prepay.set_tenant_password('A1', 'Green kettle 10'), prepay.set_tenant_password('A1', 'Green kettle 9');
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT count(*) FROM prepay_api.my_account;
SELECT prepay_api.log_in('A1', 'Green kettle 9') AS token \gset
SELECT set_config('request.jwt.claims', claims(:'token')::text, false) <> '' AS logged_in;
SELECT count(*) FROM prepay_api.my_account;

-- ---- five wrong ones in a row ----
SELECT n, prepay_api.log_in('A1', 'guess ' || n) FROM generate_series(1, 4) AS n;
SELECT prepay_api.log_in('A1', 'Green kettle 9') IS NOT NULL AS then_right;
SELECT n, prepay_api.log_in('A1', 'guess ' || n) FROM generate_series(1, 5) AS n;
SELECT prepay_api.log_in('A1', 'Green kettle 9');
-- (a token lives on: it was earned)
SELECT count(*) FROM prepay_api.my_account;
RESET SESSION AUTHORIZATION;
SELECT failures, blocked_until BETWEEN clock_timestamp() + interval '14 minutes' AND clock_timestamp() + interval '15 minutes' AS blocked FROM prepay.tenants WHERE account = 'A1';
UPDATE prepay.tenant_login SET blocked_until = clock_timestamp() - interval '1 second' WHERE account_id = 1;
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT prepay_api.log_in('A1', 'Green kettle 9') IS NOT NULL AS after_the_block;
RESET SESSION AUTHORIZATION;
SELECT failures, blocked_until FROM prepay.tenants WHERE account = 'A1';

-- ---- claims of odd kinds ----
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
CREATE FUNCTION pg_temp.try(claims text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n int;
BEGIN
	PERFORM set_config('request.jwt.claims', claims, true);
	SELECT count(*) INTO n FROM prepay_api.my_account;
	RETURN n;
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE || ' ' || SQLERRM;
END $$;
SELECT c, pg_temp.try(c) FROM unnest(ARRAY['', '{}', '{"role": "prepay_tenant"}', 'null', '[]', '"x"', '{', '{"site": "town"}', '{"account": "A1"}', '{"site": "town", "account": "A1"}',
	'{"site": "town", "account": "A1", "iat": "99999999999"}', '{"site": "town", "account": "A1", "iat": true}', '{"site": "town", "account": "A1", "iat": null}', '{"site": "town", "account": "A1", "iat": 0}',
	'{"site": "town", "account": "A1", "iat": -1e30}', '{"site": "town", "account": "A1", "iat": 1e30}', '{"site": 1, "account": 1, "iat": 1e30}', '{"site": "town", "account": ["A1"], "iat": 1e30}',
	'{"site": "town", "account": {"code": "A1"}, "iat": 1e30}', '{"site": "town", "account": null, "iat": 1e30}', '{"site": "town", "account": "a1", "iat": 1e30}', '{"site": "town", "account": "A1 ", "iat": 1e30}',
	'{"site": "town", "account": "A%", "iat": 1e30}', '{"site": "", "account": "", "iat": 1e30}', '{"site": "town", "account": "A1'' OR true --", "iat": 1e30}', '{"site": "mall", "account": "A1", "iat": 1e30}',
	'{"site": "town", "account": "A1\u0000", "iat": 1e30}', '{"site": "town", "account": "A1", "iat": 1e400000}']) AS c;
-- The front itself, before it becomes a tenant, and as something else.
SELECT set_config('request.jwt.claims', claims(:'token')::text, false) <> '' AS logged_in;
SELECT count(*) FROM prepay_api.my_account;
RESET ROLE;
SELECT count(*) FROM prepay_api.my_account;
RESET SESSION AUTHORIZATION;
-- The same claims without a front count for nothing, whoever says them.
SELECT count(*) FROM prepay_api.my_account;
SET ROLE prepay_tenant;
SELECT count(*) FROM prepay_api.my_account;
RESET ROLE;

-- ---- as a role of the server ----
SET SESSION AUTHORIZATION regress_li;
SELECT account, customer, balance FROM prepay_api.my_account;
SELECT set_config('request.jwt.claims', '{"site": "town", "account": "A1", "iat": 1e30}', false) <> '' AS forged;
SELECT account FROM prepay_api.my_account;
SELECT prepay_api.switch_my_meter('M1', false);
SELECT prepay_api.switch_my_meter('M2', false);
SELECT prepay_api.log_in('A1', 'Green kettle 9');
SELECT prepay_api.change_my_password('Red kettle 88', 'Red kettle 99');
SET ROLE prepay_tenant;
SELECT count(*) FROM prepay_api.my_account;
SET ROLE prepay_cashier;
SET ROLE prepay_owner;
SET ROLE regress_front;
RESET ROLE;
SET SESSION AUTHORIZATION regress_front;
RESET SESSION AUTHORIZATION;
SELECT a.rolpassword = l.verifier AS same_password FROM pg_authid a, prepay.tenant_login l WHERE a.rolname = 'regress_li' AND l.role_name = 'regress_li';

-- ---- who did it ----
SELECT operator, login, role, action, object, before, after FROM prepay.operator_log WHERE action !~ '^(insert|update (site|setting))' ORDER BY recorded_at, log_no;
SELECT count(*) AS secrets FROM prepay.operator_log WHERE operator_log::text ~ 'kettle|SCRAM|RFC 7518';

-- ---- another site, the same code of an account ----
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai'), prepay.open_account('mall/A1', 'Wang', opening_balance => 5, key => 'o1');
SELECT prepay.create_tenant('mall/A1', 'Blue kettle 7');
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT prepay_api.log_in('A1', 'Green kettle 9') AS which_site, prepay_api.log_in('mall/A1', 'Green kettle 9') AS of_the_other;
SELECT prepay_api.log_in('mall/A1', 'Blue kettle 7') AS token \gset
SELECT set_config('request.jwt.claims', claims(:'token')::text, false) <> '' AS logged_in;
SELECT site, account, customer, balance FROM prepay_api.my_account;
SELECT count(*) FROM prepay_api.my_meters;
RESET SESSION AUTHORIZATION;
-- The office of one site does not reach the other.
SET ROLE regress_cash;
SELECT prepay.set_tenant_password('mall/A1', 'Blue kettle 7');
SELECT prepay.drop_tenant('mall/A1');
SELECT site, account FROM prepay.tenants ORDER BY 1, 2;
RESET ROLE;

-- ---- closed: the past stays ----
SELECT (prepay.close_account('mall/A1', 'c1')).kind;
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT state, balance FROM prepay_api.my_account;
SELECT kind, amount FROM prepay_api.my_recharges ORDER BY seq;
SELECT prepay_api.switch_my_meter('M1', false);
SELECT prepay_api.create_payment_order(50, 'alipay');
SELECT prepay_api.change_my_data(NULL, NULL);
RESET SESSION AUTHORIZATION;

-- ---- dropped: nothing is left ----
SELECT prepay.drop_tenant('mall/A1'), prepay.drop_tenant('town/A2');
SELECT prepay.drop_tenant('town/A2');
SET SESSION AUTHORIZATION regress_front;
SET ROLE prepay_tenant;
SELECT count(*) FROM prepay_api.my_account;
RESET SESSION AUTHORIZATION;
SET SESSION AUTHORIZATION regress_li;
SELECT count(*) FROM prepay_api.my_account;
RESET SESSION AUTHORIZATION;
SELECT rolcanlogin, (SELECT count(*) FROM pg_auth_members WHERE member = r.oid) AS groups FROM pg_roles r WHERE rolname = 'regress_li';
-- The role comes back with a tenant; one that was given more does not.
SELECT prepay.create_tenant('town/A2', 'Red kettle 88', 'regress_li'), prepay.drop_tenant('town/A2');
ALTER ROLE regress_li CREATEDB;
SELECT prepay.create_tenant('town/A2', 'Red kettle 88', 'regress_li');
SELECT * FROM prepay.verify();
DROP FUNCTION public.claims(text);
DROP ROLE regress_li, regress_front, regress_cash;
