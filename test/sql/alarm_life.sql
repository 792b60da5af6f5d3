-- Raised, acknowledged, cleared; one message a crossing; what a lost gateway silences.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 08:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.set_setting('town', 'language', 'en');
SELECT prepay.set_setting('town', 'alarm1_amount', '20');
SELECT prepay.set_setting('town', 'alarm_margin', '5');
SELECT prepay.create_agent('host');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'P1', 'Shop 1');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'host', '127.0.0.1:502');
INSERT INTO prepay.gateway (site_id, code, agent, address, place_id) VALUES (1, 'G2', 'host', '127.0.0.1:503', 1);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, place_id)
SELECT 1, 'M' || n, CASE WHEN n < 5 THEN 1 ELSE 2 END, n, 'acrel-ddsy1352', CASE WHEN n = 1 THEN 1 END FROM generate_series(1, 5) AS n;
SELECT prepay.open_account('A1', 'Li', '13800000001', meters => '{M1}', opening_balance => 100, key => 'o1');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, prepay.now(), 0 FROM generate_series(1, 5) AS m;
-- kind of object, its number, its contact
CREATE FUNCTION pg_temp.contact(kind text, id int, state text) RETURNS void LANGUAGE sql AS $$
	SELECT prepay.report_contact('host', ARRAY[$1], ARRAY[$2], ARRAY[$3], ARRAY[prepay.now()]);
$$;
CREATE VIEW pg_temp.lost AS
	SELECT COALESCE(meter, gateway, agent) AS subject, state, acknowledged_by IS NOT NULL AS seen, note, duration
	FROM prepay.alarm_history WHERE kind = 'lost' ORDER BY alarm_id;

-- One message a crossing, however often and however finely the balance moves below the threshold.
CREATE FUNCTION pg_temp.use(kwh numeric) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', (prepay.now() + interval '1 minute')::text, false);
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, 1, prepay.now(), max(r.kwh) + $1 FROM prepay.reading r WHERE meter_id = 1;
END $$;
SELECT pg_temp.use(79.99);
SELECT count(*) FROM prepay.notification;
SELECT count(pg_temp.use(0.01)) FROM generate_series(1, 200);
SELECT balance FROM prepay.account_status;
SELECT template, count(*) FROM prepay.notification GROUP BY template;
-- Up into the band of the margin and down again: the same crossing. Above it: a new one.
SELECT prepay.sell('A1', 6, 's1'); SELECT pg_temp.use(8);
SELECT template, count(*) FROM prepay.notification GROUP BY template;
SELECT prepay.sell('A1', 10, 's2'); SELECT pg_temp.use(8);
SELECT template, count(*) FROM prepay.notification GROUP BY template;
SELECT alarm_id, kind, state FROM prepay.alarm_history WHERE account = 'A1' ORDER BY alarm_id;
-- Charged in another batching, or acknowledged, it is still one crossing.
SELECT prepay.acknowledge_alarm('town', 'alarm1');
SELECT count(pg_temp.use(0.01)) FROM generate_series(1, 20);
SELECT template, count(*) FROM prepay.notification GROUP BY template;
SELECT state, acknowledged_by = session_user AS by_me FROM prepay.alarm_active WHERE kind = 'alarm1';

-- Acknowledged once; the second to do so learns that somebody was first, and changes nothing.
SELECT pg_temp.contact('meter', 2, 'lost'), pg_temp.contact('meter', 3, 'lost'), pg_temp.contact('meter', 4, 'lost');
SELECT prepay.acknowledge_alarm('town', alarm_id, 'electrician sent') FROM prepay.alarm_active WHERE meter = 'M2';
SELECT prepay.acknowledge_alarm('town', alarm_id, 'me too') FROM prepay.alarm_active WHERE meter = 'M2';
SELECT * FROM pg_temp.lost;
SELECT prepay.acknowledge_alarm('town', 'lost', 'all looked at');
SELECT prepay.acknowledge_alarm('town', 'lost');
SELECT * FROM pg_temp.lost;
-- Acknowledging ends nothing but energy nobody owned; the cause does.
SET prepay.now = '2026-03-01 18:00+08';
SELECT pg_temp.contact('meter', 2, 'ok');
SELECT * FROM pg_temp.lost;
SELECT meter, account, customer, place, place_name, gateway, cause, lost_since, last_read_at, register_kwh FROM prepay.lost_meters ORDER BY meter;

-- A lost gateway is one alarm: it ends those of its meters, acknowledged or not, and none of them rises while it is lost.
SELECT pg_temp.contact('gateway', 1, 'lost');
SELECT pg_temp.contact('meter', m, 'lost') FROM generate_series(1, 4) AS m;
SELECT * FROM pg_temp.lost WHERE state <> 'cleared';
-- It silences its meters' contact alone.
SELECT kind, count(*) FROM prepay.alarm_active WHERE kind <> 'lost' GROUP BY kind ORDER BY kind;
-- and no other gateway's
SELECT pg_temp.contact('meter', 5, 'lost');
SELECT * FROM pg_temp.lost WHERE state <> 'cleared';
SELECT gateway, place, address, cause, lost_since, meters FROM prepay.lost_gateways ORDER BY gateway;
SELECT meter, account, gateway, cause, lost_since FROM prepay.lost_meters ORDER BY meter;
-- Back again, one meter without it.
SELECT pg_temp.contact('gateway', 1, 'ok');
SELECT pg_temp.contact('meter', m, 'ok') FROM generate_series(1, 3) AS m;
SELECT meter, cause FROM prepay.lost_meters ORDER BY meter;
-- All of an agent's.
UPDATE prepay.agent SET state = 'ok', last_beat_at = clock_timestamp() - interval '2 minutes';
SELECT prepay.tick() IS NOT NULL AS ticked;
SELECT agent, gateway, cause, lost_since FROM prepay.lost_gateways ORDER BY gateway;
SELECT cause, count(*) FROM prepay.lost_meters GROUP BY cause;
SELECT subject, state FROM pg_temp.lost WHERE state <> 'cleared';

-- Refused.
SELECT prepay.acknowledge_alarm('town', 1);
SELECT prepay.acknowledge_alarm('town', 99999);
SELECT prepay.acknowledge_alarm('town', NULL::bigint);
SELECT prepay.acknowledge_alarm('nowhere', 1);
SELECT prepay.acknowledge_alarm('town', 1, repeat('x', 1001));
CREATE ROLE prepay_test_reader;
GRANT prepay_analyst TO prepay_test_reader;
INSERT INTO prepay.operator_site (operator, site_id) VALUES ('prepay_test_reader', 1);
SET ROLE prepay_test_reader;
SELECT count(*) > 0 AS sees FROM prepay.lost_meters;
SELECT prepay.acknowledge_alarm('town', 'lost');
RESET ROLE;
DELETE FROM prepay.operator_site;
DROP ROLE prepay_test_reader;
SELECT * FROM prepay.verify();
