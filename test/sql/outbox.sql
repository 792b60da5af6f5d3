-- The outbox for workers: leases, outcomes, rights.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 22:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.create_site('ville', 'Ville', 'Europe/Paris', 'EUR');
SELECT prepay.define_tariff('town/one', '{"prices": 1}');
SELECT count(prepay.set_setting('town', name, value)) FROM (VALUES ('tariff', 'one'), ('alarm1_amount', '20'), ('language', 'en'), ('message_channel', 'webhook'), ('quiet_hours', '22:00-07:00')) AS v (name, value);
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 5) AS n;
SELECT count(prepay.open_account('town/A' || n, 'Customer', '1380000000' || n, meters => ARRAY['town/M' || n], opening_balance => 25, key => 'o' || n)) FROM generate_series(1, 5) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, prepay.now(), 0 FROM generate_series(1, 5) AS m;
SET prepay.now = '2026-03-01 23:00+08';
-- Four balances fall into the night's quiet hours, the fifth into arrears.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, prepay.now(), CASE m WHEN 5 THEN 30 ELSE 10 END FROM generate_series(1, 5) AS m;
CREATE VIEW pg_temp.outbox AS SELECT account, template, state, tries, not_before FROM prepay.messages ORDER BY notification_id;

SELECT site_code, try, account, phone, template, language, body, params FROM prepay.take_messages('town');
SELECT * FROM pg_temp.outbox;
SELECT count(*) FROM prepay.take_messages('town');
SELECT count(*) FROM prepay.take_messages('ville');
-- One has paid before the morning.
SELECT prepay.sell('town/A4', 50, 's1');
SET prepay.now = '2026-03-02 07:00+08';
SELECT account FROM prepay.take_messages('town', 2) ORDER BY account;
SELECT account FROM prepay.take_messages('town', 2) ORDER BY account;
SELECT * FROM pg_temp.outbox;

-- Outcomes; a report that comes twice, or late, changes nothing.
CREATE FUNCTION pg_temp.report(account text, try int, outcome text) RETURNS boolean LANGUAGE sql AS $$
	SELECT prepay.report_message('town', notification_id, $2, $3) FROM prepay.messages m WHERE m.account = $1;
$$;
SELECT pg_temp.report('A1', 1, 'sent');
SELECT pg_temp.report('A1', 1, 'delivered');
SELECT pg_temp.report('A1', 1, 'failed');
SELECT pg_temp.report('A2', 1, 'retry');
SELECT pg_temp.report('A2', 1, 'sent');
SELECT pg_temp.report('A3', 2, 'sent');
SELECT pg_temp.report('A4', 0, 'sent');
SELECT pg_temp.report('A5', 1, 'failed');
SELECT * FROM pg_temp.outbox;
SELECT count(*) FROM prepay.take_messages('town');
SET prepay.now = '2026-03-02 07:05+08';
SELECT account, try FROM prepay.take_messages('town') ORDER BY account;
-- A worker that says nothing has lost its message: A3's goes to another, three times in all.
UPDATE prepay.notification SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'taken' AND account_id = 3;
SELECT account, try FROM prepay.take_messages('town') ORDER BY account;
SELECT pg_temp.report('A3', 1, 'delivered');
SELECT pg_temp.report('A2', 2, 'retry');
UPDATE prepay.notification SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'taken';
SET prepay.now = '2026-03-02 07:15+08';
SELECT account, try FROM prepay.take_messages('town') ORDER BY account;
SELECT pg_temp.report('A2', 3, 'retry');
UPDATE prepay.notification SET lease_until = clock_timestamp() - interval '1 second' WHERE state = 'taken';
SELECT count(*) FROM prepay.take_messages('town');
SELECT * FROM pg_temp.outbox;

-- Refused.
SELECT prepay.take_messages('town', 0);
SELECT prepay.take_messages('nowhere');
SELECT prepay.report_message('town', 1, 1, 'perhaps');
SELECT prepay.report_message('town', 1, NULL, 'sent');
SELECT prepay.report_message('town', 99999, 1, 'sent');
-- The worker's role: the two functions, at its site.
CREATE ROLE regress_prepay_worker;
GRANT USAGE ON SCHEMA prepay TO regress_prepay_worker;
SET ROLE regress_prepay_worker;
SELECT prepay.take_messages('town');
RESET ROLE;
GRANT EXECUTE ON FUNCTION prepay.take_messages(text, int), prepay.report_message(text, bigint, int, text) TO regress_prepay_worker;
INSERT INTO prepay.operator_site (operator, site_id) VALUES ('regress_prepay_worker', 1);
SET ROLE regress_prepay_worker;
SELECT count(*) FROM prepay.take_messages();
SELECT prepay.take_messages('ville');
SELECT count(*) FROM prepay.messages;
RESET ROLE;
DELETE FROM prepay.operator_site;
DROP OWNED BY regress_prepay_worker;
DROP ROLE regress_prepay_worker;
SELECT * FROM prepay.verify();
