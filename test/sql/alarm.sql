-- Alarms of accounts: thresholds, hysteresis, one message a crossing.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.set_setting('town', 'language', 'en');
SELECT prepay.set_setting('town', 'alarm1_amount', '20');
SELECT prepay.set_setting('town', 'alarm_margin', '5');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 8) AS n;

-- A balance that is to be: sold up to, or used down to, an hour later. Tells what it then is,
-- the account's state and its active alarms.
CREATE FUNCTION pg_temp.go(which int, wanted numeric) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	s record;
	used numeric;
	at timestamptz := prepay.now() + interval '1 hour';
BEGIN
	PERFORM set_config('prepay.now', at::text, false);
	SELECT balance INTO s FROM prepay.account_status WHERE account = 'A' || which;
	IF wanted > s.balance THEN
		PERFORM prepay.sell('A' || which, wanted - s.balance, which || ' ' || at);
	ELSE
		SELECT COALESCE(max(kwh), 0) INTO used FROM prepay.reading WHERE meter_id = which;
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, which, at, used + s.balance - wanted);
	END IF;
	RETURN (SELECT format('%s %s {%s}', a.balance, a.state,
			(SELECT string_agg(l.kind, ' ' ORDER BY l.kind) FROM prepay.alarm_active l WHERE l.account = a.account))
		FROM prepay.account_status a WHERE account = 'A' || which);
END $$;
CREATE VIEW pg_temp.alarms AS
	SELECT account, kind, level, extract(epoch FROM raised_at - '2026-03-01 00:00+08') / 3600 AS raised,
		extract(epoch FROM cleared_at - '2026-03-01 00:00+08') / 3600 AS cleared
	FROM prepay.alarm_history ORDER BY alarm_id;

-- Low at 20, clear above 25: of 30 19 21 19 26 18 the 2nd and the 6th raise it.
SELECT prepay.open_account('A1', 'Zhang', '13800000001', meters => '{M1}', opening_balance => 30, key => 'o1');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 00:00+08', 0);
SELECT n, balance, pg_temp.go(1, balance) FROM unnest('{30,19,21,19,26,18}'::numeric[]) WITH ORDINALITY AS v (balance, n);
SELECT * FROM pg_temp.alarms;
SELECT account, kind, level, raised_at, detail FROM prepay.alarm_active;
SELECT template, language, phone, body, state, created_at FROM prepay.notification ORDER BY notification_id;
-- The margin counts from the threshold: 25.00 does not clear it, 25.01 does.
SELECT pg_temp.go(1, balance) FROM unnest('{25,25.01,20.01,20}'::numeric[]) AS balance;

-- Two thresholds and arrears: each kind once, a step over several is one message for the deepest.
SELECT prepay.set_setting('town', 'alarm2_amount', '10');
SELECT prepay.open_account('A2', 'Li', '13800000002', meters => '{M2}', opening_balance => 100, key => 'o2');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 2, prepay.now(), 0;
SELECT pg_temp.go(2, balance) FROM unnest('{19,9,0,-5,0.01,40,-3}'::numeric[]) AS balance;
SELECT kind, level, raised, cleared FROM pg_temp.alarms WHERE account = 'A2';
SELECT template, body FROM prepay.notification WHERE account_id = 2 ORDER BY notification_id;

-- The account's own thresholds go before its strictest meter's, that before the site's.
UPDATE prepay.meter SET alarm1_amount = 50 WHERE code = 'M3';
UPDATE prepay.meter SET alarm1_amount = 60 WHERE code = 'M8';
SELECT prepay.open_account('A3', 'Wang', meters => '{M3,M8}', opening_balance => 100, key => 'o3');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, prepay.now(), 0 FROM (VALUES (3), (8)) AS v (m);
SELECT pg_temp.go(3, 60.01);
SELECT pg_temp.go(3, 60);
SELECT prepay.update_account('A3', '{"alarm1_amount": 30}');
SELECT kind FROM prepay.alarm_active WHERE account = 'A3';
SELECT pg_temp.go(3, 30);

-- A credit limit moves arrears, not the thresholds.
SELECT prepay.open_account('A4', 'Zhao', meters => '{M4}', opening_balance => 30, key => 'o4', options => '{"credit_limit": 10, "language": "zh", "alarm2_amount": 0}');
SELECT prepay.update_account('A4', '{"phone": "13800000004"}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 4, prepay.now(), 0;
SELECT pg_temp.go(4, -9.99);
SELECT pg_temp.go(4, -10);
SELECT template, language, body, char_length(body) <= 70 AS one_sms FROM prepay.notification WHERE account_id = 4 ORDER BY notification_id;

-- Opened at 0: nothing is crossed by that, nor by using without ever having paid.
SELECT prepay.open_account('A5', 'Sun', '13800000005', meters => '{M5}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 5, prepay.now(), 0;
SELECT pg_temp.go(5, -1);
SELECT pg_temp.go(5, 100);
SELECT pg_temp.go(5, 15);
SELECT kind FROM prepay.alarm_active WHERE account = 'A5';

-- A setting that changes is applied by the next tick.
SELECT prepay.set_setting('town', 'alarm1_amount', '5');
SELECT kind FROM prepay.alarm_active WHERE account = 'A5';
SELECT prepay.tick();
SELECT kind FROM prepay.alarm_active WHERE account = 'A5';
-- Copies go to the staff's phones.
SELECT prepay.set_setting('town', 'alarm_phones', '021-1, 021-2');
SELECT pg_temp.go(5, 4);
SELECT phone, template FROM prepay.notification WHERE account_id = 5 ORDER BY phone;
-- An alarm and its cause are one transaction.
BEGIN;
SELECT pg_temp.go(5, -20);
SELECT count(*) FROM prepay.alarm_active WHERE account = 'A5';
ROLLBACK;
SELECT count(*) FROM prepay.alarm_active WHERE account = 'A5';
SELECT * FROM prepay.verify();
