-- Clocks of meters: alarm, and correction by policy, never across an edge of time of use.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('tou', '{"periods": ["peak", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}], "prices": {"peak": 1, "valley": 0.5}}');
SELECT prepay.define_tariff('flat', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'flat'), prepay.create_agent('gw'), prepay.set_setting('town', 'vacant_supply', 'on');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw', '127.0.0.1:502');
-- D1 to D4 have clocks that can be set, T1 time of use beside, M1 no clock at all.
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model)
SELECT 1, code, 1, n, CASE code WHEN 'M1' THEN 'eastron-sdm630' ELSE 'dlt645-2007' END FROM unnest('{D1,D2,D3,D4,T1,M1}'::text[]) WITH ORDINALITY AS u (code, n);
SELECT prepay.assign_tariff('meter:T1', 'tou');
CREATE FUNCTION pg_temp.read_at(at timestamptz, VARIADIC error interval[]) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('prepay.now', at::text, false);
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, meter_clock) SELECT 1, n, at, 0, at + e FROM unnest(error) WITH ORDINALITY AS u (e, n);
	DELETE FROM prepay.contact_check;
	SELECT prepay.tick();
$$;
CREATE VIEW pg_temp.alarms AS SELECT meter, kind, detail FROM prepay.alarm_active WHERE kind = 'clock_drift' ORDER BY meter;
CREATE VIEW pg_temp.orders AS SELECT m.code AS meter, c.status, c.reason, c.operator, c.created_at, c.valid_until FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE action = 'set_clock' ORDER BY command_id;

-- Off unless it is asked for; the alarm is always there.
SELECT pg_temp.read_at('2026-03-02 12:00+08', '5 s', '-3 minutes', '12 minutes', '0 s', '-40 s', NULL);
TABLE pg_temp.alarms;
TABLE pg_temp.orders;
\set VERBOSITY sqlstate
SELECT prepay.set_setting('town', 'clock_correct_above', 'soon');
SELECT prepay.set_setting('town', 'clock_correct_hours', '03:00');
SELECT prepay.set_setting('town', 'clock_correct_above', '10 seconds');
-- Small errors are let be, great ones are for a person.
SELECT pg_temp.read_at('2026-03-02 12:10+08', '5 s', '-3 minutes', '12 minutes', '0 s', '-40 s', NULL);
TABLE pg_temp.orders;
-- Not while one is under way, and once a day; one that nobody took is no reason to wait.
SELECT meter_id, action FROM prepay.take_commands('gw', 1);
SELECT pg_temp.read_at('2026-03-02 12:30+08', '5 s', '-3 minutes', '12 minutes', '0 s', '-40 s', NULL);
SELECT meter, status, created_at FROM pg_temp.orders;
SELECT meter_id, action FROM prepay.take_commands('gw');
SELECT prepay.report_command('gw', command_id, 1, 'done', '{}') FROM prepay.command WHERE status = 'sent' ORDER BY command_id;
SELECT pg_temp.read_at('2026-03-02 12:40+08', '5 s', '-1 s', '12 minutes', '0 s', '-11 s', NULL);
TABLE pg_temp.alarms;
SELECT count(*) FROM pg_temp.orders;
-- Edges of time of use: 08:00 is one of T1's and none of D1's. Midnight is everybody's.
CREATE FUNCTION pg_temp.ordered(at timestamptz, d1 interval, t1 interval) RETURNS text LANGUAGE sql AS $$
	DELETE FROM prepay.command;
	SELECT pg_temp.read_at($1, $2, '0 s', '0 s', '0 s', $3, NULL);
	SELECT string_agg(meter, ' ') FROM pg_temp.orders;
$$;
SELECT at, d1, t1, pg_temp.ordered(('2026-03-03 ' || at || '+08')::timestamptz, d1::interval, t1::interval) FROM (VALUES
	('07:30', '15 s', '-70 s'), ('07:48:49', '15 s', '70 s'), ('07:48:51', '15 s', '70 s'), ('08:00', '15 s', '70 s'), ('08:11:09', '15 s', '-70 s'),
	('08:11:11', '15 s', '-70 s'), ('21:45:01', '0 s', '299 s'), ('21:44:59', '0 s', '299 s'), ('23:49:44', '15 s', '0 s'), ('23:49:46', '15 s', '0 s')) AS v (at, d1, t1);
SELECT pg_temp.ordered('2026-03-04 00:10:14+08', '15 s', '0 s'), pg_temp.ordered('2026-03-04 00:10:16+08', '15 s', '0 s');
SELECT meter, status, created_at, valid_until FROM pg_temp.orders;
-- In hours of its own.
SELECT prepay.set_setting('town', 'clock_correct_hours', '02:00-04:00');
SELECT pg_temp.read_at('2026-03-05 12:00+08', '60 s', '60 s', '60 s', '60 s', '60 s', NULL);
SELECT meter, created_at FROM pg_temp.orders;
SELECT pg_temp.read_at('2026-03-06 02:30+08', '60 s', '60 s', '60 s', '60 s', '60 s', NULL);
SELECT meter, created_at FROM pg_temp.orders;
TABLE pg_temp.alarms;
SELECT * FROM prepay.verify();
