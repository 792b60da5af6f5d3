-- Messages: texts, several phones, quiet hours, what the staff is told, escalation.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 08:00+08';
SELECT prepay.create_site('town', 'Old Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT count(prepay.set_setting('town', name, value)) FROM (VALUES ('tariff', 'one'), ('alarm1_amount', '20'), ('alarm2_amount', '10')) AS v (name, value);
SELECT prepay.create_agent('host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'host', '127.0.0.1:502');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352' FROM generate_series(1, 3) AS n;
CREATE FUNCTION pg_temp.contact(kind text, id int, state text) RETURNS void LANGUAGE sql AS $$
	SELECT prepay.report_contact('host', ARRAY[$1], ARRAY[$2], ARRAY[$3], ARRAY[prepay.now()]);
$$;
-- Use that much within a minute.
CREATE FUNCTION pg_temp.use(meter int, kwh numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', (prepay.now() + interval '1 minute')::text, false);
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, $1, prepay.now(), COALESCE(max(r.kwh), 0) + $2 FROM prepay.reading r WHERE r.meter_id = $1;
END $$;
-- What is new since the last look.
CREATE TEMP TABLE seen (notification_id bigint);
CREATE FUNCTION pg_temp.news() RETURNS TABLE (account text, phone text, template text, language text, body text, not_before timestamptz) LANGUAGE sql AS $$
	WITH new AS (INSERT INTO seen SELECT m.notification_id FROM prepay.messages m WHERE m.notification_id NOT IN (SELECT s.notification_id FROM seen s) RETURNING *)
	SELECT m.account, m.phone, m.template, m.language, m.body, m.not_before FROM prepay.messages m WHERE m.notification_id IN (SELECT n.notification_id FROM new n) ORDER BY m.notification_id;
$$;

-- Each phone of the customer, in the customer's language; the staff in the site's, but nobody twice.
SELECT prepay.set_setting('town', 'alarm_phones', '021-555 0100; 13800000002');
SELECT prepay.open_account('A1', 'Li', '13800000001, +86 138 0000 0002;13800000003', meters => '{M1}', opening_balance => 100, key => 'o1', options => '{"language": "en"}');
SELECT prepay.open_account('A2', 'Wang', meters => '{M2}', opening_balance => 100, key => 'o2');
SELECT pg_temp.use(m, 0) FROM generate_series(1, 3) AS m;
SELECT pg_temp.use(1, 81);
SELECT * FROM pg_temp.news();
SELECT pg_temp.use(2, 100.5);
SELECT * FROM pg_temp.news();
SELECT recipient, count(*) FROM prepay.messages GROUP BY recipient ORDER BY recipient;
SELECT params FROM prepay.notification ORDER BY notification_id DESC LIMIT 1;
-- Lists of phones.
SELECT prepay.update_account('A2', '{"phone": " 13800000009 ;; "}');
SELECT prepay.update_account('A2', '{"phone": "13800000009, none"}');
SELECT prepay.update_account('A2', '{"phone": ";"}');
SELECT prepay.update_account('A2', '{"phone": "13800000009 13800000008 1"}');
SELECT prepay.set_setting('town', 'alarm_phones', '12');
SELECT prepay.set_setting('town', 'escalation_phones', '021,x');
SELECT prepay.set_setting('town', 'alarm_phones', NULL);

-- Quiet hours: alarm1 and alarm2 wait for their end, arrears does not. The alarm itself never waits.
SELECT prepay.set_setting('town', 'quiet_hours', '22:00-07:00');
SET prepay.now = '2026-03-01 21:58+08';
SELECT prepay.sell('A2', 50, 's1'); SELECT pg_temp.use(2, 35);
SELECT * FROM pg_temp.news();
SELECT pg_temp.use(2, 5);
SELECT phone, template, not_before FROM pg_temp.news();
SELECT kind, raised_at FROM prepay.alarm_active WHERE account = 'A2' ORDER BY kind;
SET prepay.now = '2026-03-02 06:58+08';
SELECT prepay.sell('A2', 50, 's2'); SELECT pg_temp.use(2, 45);
SELECT phone, template, not_before FROM pg_temp.news();
SELECT prepay.sell('A2', 50, 's3'); SELECT pg_temp.use(2, 45);
SELECT phone, template, not_before FROM pg_temp.news();
SET prepay.now = '2026-03-02 23:00+08';
SELECT pg_temp.use(2, 11);
SELECT phone, template, not_before FROM pg_temp.news();
-- Hours within a day; from, not up to.
SELECT prepay.set_setting('town', 'quiet_hours', '12:00-14:00');
SET prepay.now = '2026-03-03 11:59+08';
SELECT prepay.sell('A2', 50, 's4'); SELECT pg_temp.use(2, 40);
SET prepay.now = '2026-03-03 13:59+08';
SELECT prepay.sell('A2', 50, 's5'); SELECT pg_temp.use(2, 40);
SELECT template, not_before FROM pg_temp.news();
SELECT prepay.set_setting('town', 'quiet_hours', '22:00-22:00');
SELECT prepay.set_setting('town', 'quiet_hours', '22:00-24:00');
SELECT prepay.set_setting('town', 'quiet_hours', '22:60-07:00');
SELECT prepay.set_setting('town', 'quiet_hours', NULL);

-- The staff hears of meters, gateways and agents, in any hour: one message an alarm.
SET prepay.now = '2026-03-29 01:57+08';
SELECT pg_temp.use(m, 0) FROM generate_series(1, 3) AS m;
TRUNCATE seen; INSERT INTO seen SELECT notification_id FROM prepay.messages;
SELECT prepay.set_setting('town', 'alarm_phones', '021-1');
SELECT pg_temp.contact('meter', 1, 'lost'), pg_temp.contact('meter', 1, 'lost');
SELECT * FROM pg_temp.news();
SELECT pg_temp.contact('gateway', 1, 'lost'), pg_temp.contact('meter', 1, 'lost'), pg_temp.contact('meter', 2, 'lost');
SELECT phone, template, body FROM pg_temp.news();
SELECT kind, body FROM prepay.messages WHERE template = 'alarm' ORDER BY notification_id;
-- Nobody has acknowledged it: told to others, once; not of an account's alarm, nor of one that is taken care of.
SELECT prepay.set_setting('town', 'escalate_after', '30 minutes');
SELECT prepay.set_setting('town', 'escalation_phones', '021-9');
SET prepay.now = '2026-03-29 02:29:59+08';
SELECT prepay.tick() IS NOT NULL AS ticked;
SELECT * FROM pg_temp.news();
SET prepay.now = '2026-03-29 02:30+08';
SELECT prepay.tick() IS NOT NULL AS ticked;
SELECT prepay.tick() IS NOT NULL AS ticked;
SELECT phone, template, body FROM pg_temp.news();
SELECT pg_temp.contact('gateway', 1, 'ok'), pg_temp.contact('gateway', 1, 'lost');
SELECT prepay.acknowledge_alarm('town', 'lost');
SET prepay.now = '2026-03-29 03:30+08';
SELECT prepay.tick() IS NOT NULL AS ticked;
SELECT template, count(*) FROM pg_temp.news() GROUP BY template;

-- A site's own texts.
INSERT INTO prepay.message_template VALUES (1, 'alarm1', 'zh', '【{site_name}】{account} 余额 {balance}');
SET prepay.now = '2026-03-30 12:00+08';
SELECT prepay.sell('A2', 50, 's6'); SELECT pg_temp.use(2, 60);
SELECT language, body FROM pg_temp.news() WHERE template = 'alarm1';
SELECT count(*) FROM prepay.message_template WHERE site_id = 0;
-- The shipped ones are there again after install(), the site's own is untouched.
UPDATE prepay.message_template SET body = 'changed' WHERE site_id = 0;
SELECT prepay.install() IS NOT NULL AS installed;
SELECT count(*) FROM prepay.message_template WHERE body = 'changed';
SELECT body FROM prepay.message_template WHERE site_id = 1;
INSERT INTO prepay.message_template VALUES (1, 'alarm2', 'zh', '{acount}');
INSERT INTO prepay.message_template VALUES (1, 'alarm2', 'zh', '{kind}');
INSERT INTO prepay.message_template VALUES (1, 'alarm2', 'zh', '{#account}{account}');
INSERT INTO prepay.message_template VALUES (1, 'alarm3', 'zh', 'x');
INSERT INTO prepay.message_template VALUES (1, 'alarm2', 'fr', 'x');
INSERT INTO prepay.message_template VALUES (1, 'alarm2', 'zh', ' ');
INSERT INTO prepay.message_template VALUES (1, 'alarm2', 'zh', repeat('x', 501));
-- A code that would make two SMS of one is left out.
SELECT prepay.open_account('A' || repeat('3', 60), 'Long', '13800000004', meters => '{M3}', opening_balance => 30, key => 'o3', options => '{"language": "en"}');
SELECT pg_temp.use(3, 0); SELECT pg_temp.use(3, 11);
SELECT body FROM pg_temp.news() WHERE phone = '13800000004';
-- A day on which the clock is put forward: quiet till 7 by the wall, an hour earlier by the sun.
SET prepay.now = '2026-03-28 12:00+01';
SELECT prepay.create_site('ville', 'Ville', 'Europe/Paris', 'EUR');
SELECT count(prepay.set_setting('ville', name, value)) FROM (VALUES ('alarm1_amount', '20'), ('language', 'en'), ('quiet_hours', '22:00-07:00')) AS v (name, value);
SELECT prepay.assign_tariff('ville', prepay_tariff) FROM (SELECT 'ville/t' AS prepay_tariff, prepay.define_tariff('ville/t', '{"prices": 1}')) AS t;
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'V1');
SELECT prepay.open_account('ville/C1', 'Martin', '+33 1 55', meters => '{ville/V1}', opening_balance => 25, key => 'o1');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 2, 1, prepay.now(), 0;
SET prepay.now = '2026-03-28 23:30+01';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 2, 1, prepay.now(), 10;
SELECT body, not_before AT TIME ZONE 'Europe/Paris' AS wall, not_before - prepay.now() AS wait FROM pg_temp.news();
SELECT * FROM prepay.verify();
