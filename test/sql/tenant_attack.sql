-- A tenant with SQL at hand, against another's rows: leaky functions, every table and function, arguments nobody should give.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 12:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('home', '{"prices": 1}'), prepay.set_setting('town', 'tariff', 'home'), prepay.set_setting('town', 'alarm1_amount', '100');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'P1', 'House 1'), (1, 'P2', 'secret house');
INSERT INTO prepay.meter (site_id, code, name, place_id) VALUES (1, 'M1', 'Kitchen', 1), (1, 'secret-M2', 'secret', 2);
SELECT prepay.open_account('A1', 'Zhang', '13800000001', 'P1', '{M1}', opening_balance => 20, key => 'o1'), prepay.open_account('secret-A2', 'secret customer', '13900000002', 'P2', '{secret-M2}', opening_balance => 71, key => 'o2');
SET prepay.now = '2026-03-01 15:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw) SELECT 1, m, timestamptz '2026-03-01 12:00+08' + n * interval '1 hour', n * m * 3, m FROM generate_series(1, 2) AS m, generate_series(0, 2) AS n;
INSERT INTO prepay.payment_channel (site_id, channel, merchant_id, app_id, notify_url) VALUES (1, 'alipay', '2088000000000001', '2021000000000001', 'https://pay.example/pay/alipay');
INSERT INTO prepay.payment_order (site_id, order_no, account_id, channel, scene, amount, subject, created_at, created_by, expires_at, state_at)
SELECT 1, '1P0000000000000000000' || a, a, 'alipay', 'page', 10 * a, 'x', prepay.now(), 'x', prepay.now(), prepay.now() FROM generate_series(1, 2) AS a;
SELECT (prepay.sell('A1', 30, 's1')).seq, (prepay.sell('secret-A2', 40, 's2')).seq;
SELECT prepay.create_tenant('A1', 'Blue kettle 7', 'regress_spy'), prepay.create_tenant('secret-A2', 'Red kettle 88'), prepay.set_tenant_secret(repeat('secret', 10));

-- ---- what the spy puts into a query sees its own rows alone ----
CREATE SCHEMA regress_spy AUTHORIZATION regress_spy;
CREATE TABLE regress_spy.seen (what text);
GRANT ALL ON regress_spy.seen TO regress_spy;
SET SESSION AUTHORIZATION regress_spy;
CREATE FUNCTION regress_spy.leak(what text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	INSERT INTO regress_spy.seen VALUES (what);
	RETURN true;
END $$;
CREATE FUNCTION regress_spy.look(relation regclass, column_ name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	others text;
BEGIN
	DELETE FROM regress_spy.seen;
	EXECUTE format('SELECT count(*) FROM %s AS v WHERE regress_spy.leak(v.%I::text)', relation, column_);
	EXECUTE format('SELECT count(*) FROM %s AS v WHERE regress_spy.leak(v::text)', relation);
	EXECUTE format('SELECT string_agg(DISTINCT what, '', '') FROM regress_spy.seen WHERE what NOT IN (SELECT v.%2$I::text FROM %1$s AS v WHERE v.%2$I IS NOT NULL UNION SELECT v::text FROM %1$s AS v)', relation, column_) INTO others;
	RETURN others;
END $$;
SELECT c.relname, count(*) AS columns, string_agg(regress_spy.look(c.oid, a.attname), '; ') AS leaked FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'prepay_api'::regnamespace AND c.relkind = 'v' GROUP BY c.relname ORDER BY c.relname;
-- The trap works: of each view the spy sees its own.
SELECT regress_spy.look('prepay_api.my_recharges', 'amount');
SELECT * FROM regress_spy.seen;
SELECT (SELECT count(*) FROM prepay_api.my_account) AS account, (SELECT count(*) FROM prepay_api.my_meters) AS meters, (SELECT count(*) FROM prepay_api.my_usage_daily) AS days, (SELECT count(*) FROM prepay_api.my_usage_monthly) AS months,
	(SELECT count(*) FROM prepay_api.my_recharges) AS recharges, (SELECT count(*) FROM prepay_api.my_alarms) AS alarms, (SELECT count(*) FROM prepay_api.my_payment_orders) AS orders, (SELECT count(*) > 3 FROM prepay_api.my_statement()) AS statement;
RESET SESSION AUTHORIZATION;
-- Every view of the schema has the barrier, and begins with who is asking.
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'prepay_api'::regnamespace AND c.relkind = 'v'
	AND (NOT COALESCE('security_barrier=true' = ANY (c.reloptions), false) OR pg_get_viewdef(c.oid) !~ 'prepay\.tenant_accounts\(\)');
-- Without the barrier, and with the account asked for last, all would be seen: that is what the test above is for.
BEGIN;
CREATE OR REPLACE VIEW prepay_api.my_alarms WITH (security_barrier = false) AS
SELECT s.code AS site, a.code AS account, l.alarm_id, l.raised_at, l.kind, l.level, NULL::text AS meter, l.detail, l.cleared_at
FROM prepay.site s JOIN prepay.account a USING (site_id) JOIN prepay.alarm l USING (site_id, account_id)
WHERE EXISTS (SELECT FROM prepay.tenant_accounts() t WHERE t.account_id + 0 = a.account_id);
SET LOCAL SESSION AUTHORIZATION regress_spy;
SELECT regress_spy.look('prepay_api.my_alarms', 'detail') ~ '71.00' AS leaked;
ROLLBACK;

-- ---- every table and view of the office, in every way ----
SET SESSION AUTHORIZATION regress_spy;
CREATE FUNCTION pg_temp.outcome(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT w AS way, pg_temp.outcome(format(w, c.oid::regclass, a.attname)) AS outcome, count(*) > 40 AS of_many, string_agg(c.relname, ' ') FILTER (WHERE pg_temp.outcome(format(w, c.oid::regclass, a.attname)) <> '42501') AS other
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1, unnest('{SELECT * FROM %s,SELECT FROM %s,SELECT %2$I FROM %1$s,INSERT INTO %s DEFAULT VALUES,UPDATE %s SET %I = NULL,DELETE FROM %s,TRUNCATE %s,LOCK %s,CREATE TEMP VIEW v AS SELECT * FROM %s}'::text[]) WITH ORDINALITY AS u (w, n)
WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind IN ('r', 'p', 'v') GROUP BY n, w, 2 ORDER BY n, 2;
-- Its own views are for reading.
SELECT w AS way, pg_temp.outcome(format(w, c.oid::regclass, a.attname)) AS outcome, count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = 1,
	unnest('{SELECT * FROM %s,INSERT INTO %s DEFAULT VALUES,UPDATE %s SET %I = NULL,DELETE FROM %s}'::text[]) WITH ORDINALITY AS u (w, n)
WHERE c.relnamespace = 'prepay_api'::regnamespace AND c.relkind = 'v' GROUP BY n, w, 2 ORDER BY n, 2;
-- ---- every function of the office ----
SELECT pg_temp.outcome(format('SELECT %s(%s)', p.oid::regproc, (SELECT string_agg('NULL::' || t::regtype, ', ') FROM unnest(p.proargtypes) AS t))) AS outcome, count(*) > 50 AS of_many
FROM pg_proc p WHERE p.pronamespace = 'prepay'::regnamespace GROUP BY 1;
-- What the views call needs the schema to be called by name; a function of the spy's own gives it no other name.
SELECT prepay.open_usage(1, '{}', '', '{}');
CREATE AGGREGATE pg_temp.sneak (int, int) (SFUNC = prepay.balance, STYPE = numeric);
CREATE OPERATOR regress_spy.!!! (RIGHTARG = text, FUNCTION = prepay.state_color);
SET search_path = prepay, public;
SELECT balance(1, 2);
SELECT * FROM account;
RESET search_path;
CREATE TABLE prepay_api.mine ();
CREATE VIEW prepay_api.my_account2 AS SELECT 1;

-- ---- every function of its own, with what nobody should give ----
CREATE TEMP TABLE value (type text, value text);
INSERT INTO value VALUES ('text', 'NULL'), ('text', ''''''), ('text', '''secret-M2'''), ('text', '''town/secret-A2'''), ('text', 'repeat(''x'', 100000)'), ('text', '''%s%n"''''\\'''), ('text', '''; DROP TABLE prepay.site; --'''), ('text', '''en'''), ('text', '''alipay'''),
	('text', '''Blue kettle 7'''), ('boolean', 'NULL'), ('boolean', 'true'), ('date', 'NULL'), ('date', '''infinity'''), ('date', '''-infinity'''), ('date', '''5874897-12-31'''), ('date', '''4713-01-01 BC'''), ('date', '''2026-03-01'''),
	('numeric', 'NULL'), ('numeric', '''NaN'''), ('numeric', '''-Infinity'''), ('numeric', '-1'), ('numeric', '0'), ('numeric', '1e100'), ('numeric', '5'), ('jsonb', 'NULL'), ('jsonb', '''[]'''), ('jsonb', '''{"account": "secret-A2"}'''),
	('jsonb', '''{"scene": {}}'''), ('jsonb', '''{}''');
CREATE TEMP VIEW call AS SELECT p.oid::regproc::text AS name, a.value AS v1, b.value AS v2, c.value AS v3 FROM pg_proc p JOIN value a ON a.type = p.proargtypes[0]::regtype::text
	LEFT JOIN value b ON b.type = p.proargtypes[1]::regtype::text LEFT JOIN value c ON c.type = p.proargtypes[2]::regtype::text WHERE p.pronamespace = 'prepay_api'::regnamespace AND p.proname <> 'log_in';
SELECT name, outcome, count(*) FROM call, LATERAL pg_temp.outcome(format('SELECT * FROM %s(%s)', name, concat_ws(', ', v1, v2, v3))) AS outcome GROUP BY name, outcome ORDER BY name, outcome;
SET SESSION AUTHORIZATION DEFAULT;
SELECT phone FROM prepay.account ORDER BY account_id;
SELECT m.code, c.tenant_off FROM prepay.meter_control c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY 1;
SELECT account_id, count(*) FROM prepay.payment_order GROUP BY 1 ORDER BY 1;
SELECT * FROM prepay.verify();
SELECT prepay.drop_tenant('A1');
DROP OWNED BY regress_spy CASCADE;
DROP ROLE regress_spy;
