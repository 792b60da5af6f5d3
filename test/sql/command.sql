-- The agent takes commands and reports: outcomes, repetition, read-back, foreign commands.
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
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
SELECT prepay.create_agent('other');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G2', 'other', '127.0.0.1:503');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model)
SELECT 1, 'M' || n, CASE WHEN n = 6 THEN 2 ELSE 1 END, n, 'acrel-ddsy1352' FROM generate_series(1, 6) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n))
FROM generate_series(1, 6) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(1, 6) AS m;
CREATE VIEW pg_temp.commands AS
	SELECT m.code AS meter, c.action, c.status, c.attempts, c.verify, c.result, c.not_before > clock_timestamp() AS backs_off, c.finished_at
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY command_id;
CREATE FUNCTION pg_temp.report(meter text, outcome text, result jsonb DEFAULT '{}', attempt int DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT prepay.report_command('gw-host', c.command_id, COALESCE($4, c.attempts), outcome, $3)
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE m.code = $1 ORDER BY command_id DESC LIMIT 1;
$$;
\set VERBOSITY sqlstate

-- Only its own meters' commands, once each, most urgent first: relays before reads.
SELECT count(*) FROM prepay.control('town', 'read');
SELECT count(*) FROM prepay.control('M2', 'trip');
SELECT count(*) FROM prepay.control('M6', 'trip');
SELECT meter_id, action, attempt FROM prepay.take_commands('gw-host', 2);
SELECT meter_id, action, attempt FROM prepay.take_commands('gw-host');
SELECT count(*) FROM prepay.take_commands('gw-host');
SELECT meter_id, action FROM prepay.take_commands('other');
SELECT prepay.take_commands('gw-host', 0);
SELECT prepay.take_commands('nobody');
SELECT prepay.take_commands(NULL);

-- Done with the relay read back as wanted; a repeated report changes nothing.
SELECT pg_temp.report('M2', 'done', '{"relay_closed": false, "tries": 1}');
SELECT pg_temp.report('M2', 'done', '{"relay_closed": false, "tries": 1}');
SELECT pg_temp.report('M2', 'failed', '{"error": "late"}');
SELECT * FROM pg_temp.commands WHERE meter = 'M2' AND action = 'trip';
-- Reads.
SELECT pg_temp.report('M1', 'done');
SELECT pg_temp.report('M3', 'refused', '{"exception": 2}');
SELECT pg_temp.report('M4', 'failed', '{"error": "no answer"}');
SELECT meter, action, status, attempts, backs_off FROM pg_temp.commands WHERE meter IN ('M1', 'M3', 'M4');

-- Perhaps executed: unknown; the next attempt reads back first, and its answer settles it.
SELECT status FROM prepay.control('M1', 'trip');
SELECT meter_id, action, attempt, verify_only FROM prepay.take_commands('gw-host') WHERE meter_id = 1;
SELECT pg_temp.report('M1', 'unknown', '{"error": "answer lost"}');
SELECT status, verify FROM pg_temp.commands WHERE meter = 'M1' AND action = 'trip';
UPDATE prepay.command SET not_before = NULL WHERE status IN ('queued', 'unknown');
SELECT meter_id, action, attempt, verify_only FROM prepay.take_commands('gw-host') WHERE meter_id = 1;
SELECT pg_temp.report('M1', 'done', '{"relay_closed": false}');
SELECT observed FROM prepay.meter_status WHERE meter = 'M1';
-- Read back as not done: it is sent again, with a write.
SELECT status FROM prepay.control('M3', 'trip');
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id = 3;
SELECT pg_temp.report('M3', 'unknown');
UPDATE prepay.command SET not_before = NULL WHERE status IN ('queued', 'unknown');
SELECT meter_id, action, attempt, verify_only FROM prepay.take_commands('gw-host') WHERE meter_id = 3;
SELECT pg_temp.report('M3', 'done', '{"relay_closed": true}');
UPDATE prepay.command SET not_before = NULL WHERE status IN ('queued', 'unknown');
SELECT meter_id, action, attempt, verify_only FROM prepay.take_commands('gw-host') WHERE meter_id = 3;
SELECT pg_temp.report('M3', 'done', '{"relay_closed": false}');
SELECT action, status, attempts FROM pg_temp.commands WHERE meter = 'M3';

-- A cut that is on its way when the customer pays: resolved by read-back, then closed.
SET prepay.now = '2026-03-01 01:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 5, prepay.now(), 11, true);
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id = 5;
SELECT balance FROM prepay.sell('A5', 20, 's5');
SELECT action, status FROM pg_temp.commands WHERE meter = 'M5' AND action <> 'read';
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id = 5;
SELECT prepay.report_command('gw-host', command_id, 1, 'done', '{"relay_closed": false}') FROM prepay.command WHERE meter_id = 5 AND action = 'trip';
SELECT meter_id, action FROM prepay.take_commands('gw-host') WHERE meter_id = 5;
SELECT prepay.report_command('gw-host', command_id, 1, 'done', '{"relay_closed": true}') FROM prepay.command WHERE meter_id = 5 AND action = 'close';
SELECT desired, commanded, acknowledged, observed FROM prepay.meter_status WHERE meter = 'M5';
-- A cut that was queued while he paid in another way is not handed out any more.
SET prepay.now = '2026-03-01 02:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 5, prepay.now(), 40, true);
UPDATE prepay.account SET credit_limit = 100 WHERE code = 'A5';
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id = 5;
SELECT action, status FROM pg_temp.commands WHERE meter = 'M5' AND action <> 'read';
-- It lived too long: the agent says so, and a cut still due is queued anew.
UPDATE prepay.account SET credit_limit = 0 WHERE code = 'A5';
SELECT prepay.set_setting('town', 'alarm_margin', '0');
SELECT prepay.tick();
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id = 5;
SELECT pg_temp.report('M5', 'expired');
SELECT action, status FROM pg_temp.commands WHERE meter = 'M5' AND action = 'trip';

-- The brake on mass disconnection: so many automatic cuts a minute, then a supervisor must confirm; a person's order goes on.
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352' FROM generate_series(7, 10) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n))
FROM generate_series(7, 10) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(7, 10) AS m;
UPDATE prepay.command SET lease_until = NULL;
SELECT prepay.set_setting('town', 'trip_limit_per_minute', '2');
SET prepay.now = '2026-03-01 03:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 30, true FROM generate_series(7, 9) AS m;
SELECT count(*) FROM prepay.command WHERE meter_id IN (7, 8, 9) AND action = 'trip' AND status = 'queued';
SELECT count(*) FROM prepay.control('M10', 'trip');
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id IN (7, 8, 9);
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id IN (7, 8, 9);
SELECT status FROM prepay.command WHERE meter_id = 10;
UPDATE prepay.command SET lease_until = lease_until - interval '1 minute', passed_at = passed_at - interval '1 minute' WHERE status = 'sent';
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id IN (7, 8, 9);
SELECT prepay.confirm_trips('town');
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id IN (7, 8, 9);

-- A lease that ran out without a report: it is unknown what became of it.
SELECT prepay.tick();
SELECT status, verify, count(*) FROM prepay.command WHERE meter_id IN (7, 8, 9) GROUP BY status, verify ORDER BY status;

-- Foreign, unknown, malformed.
SELECT prepay.report_command('other', command_id, 1, 'done', '{}') FROM prepay.command WHERE meter_id = 1 ORDER BY command_id LIMIT 1;
SELECT prepay.report_command('gw-host', -1, 1, 'done', '{}');
SELECT pg_temp.report('M10', 'perhaps');
SELECT pg_temp.report('M10', NULL);
SELECT pg_temp.report('M10', 'done', '[]');
SELECT pg_temp.report('M10', 'done', '{"relay_closed": false}', 7);
SELECT pg_temp.report('M10', 'done', '{"relay_closed": "maybe"}');
SELECT status FROM prepay.command WHERE meter_id = 10;
SELECT count(*) FROM prepay.control('M9', 'read');
SELECT count(*) FROM prepay.take_commands('gw-host') WHERE meter_id = 9 AND action = 'read';
SELECT pg_temp.report('M9', 'done', '{"read_at": "yesterday-ish"}');

-- Contact: lost and found; a lost gateway silences its meters.
SELECT prepay.report_contact('gw-host', '{meter,meter,meter}', '{1,6,99}', '{lost,lost,lost}', ARRAY[prepay.now(), prepay.now(), prepay.now()]);
SELECT meter, state, contact FROM prepay.meter_status WHERE state = 'lost';
SELECT meter, gateway, kind, level FROM prepay.alarm_active WHERE kind = 'lost' ORDER BY meter, gateway;
SELECT prepay.report_contact('gw-host', '{gateway,meter}', '{1,2}', '{lost,lost}', ARRAY[prepay.now(), prepay.now()]);
SELECT gateway, state, color, meters_lost FROM prepay.gateway_status ORDER BY gateway;
SELECT meter, gateway FROM prepay.alarm_active WHERE kind = 'lost' ORDER BY meter, gateway;
SELECT prepay.report_contact('gw-host', '{gateway,meter,meter}', '{1,1,2}', '{ok,ok,ok}', ARRAY[prepay.now(), prepay.now(), prepay.now()]);
SELECT count(*) FROM prepay.alarm_active WHERE kind = 'lost';
SELECT prepay.report_contact('gw-host', '{pump}', '{1}', '{lost}', ARRAY[prepay.now()]);
SELECT prepay.report_contact('gw-host', '{meter}', '{1}', '{tired}', ARRAY[prepay.now()]);
SELECT prepay.report_contact('gw-host', '{meter}', '{1,2}', '{lost}', ARRAY[prepay.now()]);

-- The agent's session: revision, clock, plan.
SELECT prepay.agent_hello('gw-host', '00000000-0000-0000-0000-000000000001') - 'now' - 'revision' - 'clock' AS hello;
SELECT prepay.agent_hello('gw-host', NULL);
SELECT prepay.agent_hello('nobody', '00000000-0000-0000-0000-000000000001');
SELECT prepay.agent_beat('gw-host', '{"polls": 5}') ->> 'site' AS site;
SELECT code, state, status FROM prepay.agent ORDER BY code;
SELECT jsonb_path_query_array(plan, '$.gateways[*].code') AS gateways, jsonb_path_query_array(plan, '$.meters[*].code') AS meters,
	(SELECT array_agg(k) FROM jsonb_object_keys(plan -> 'models') AS k) AS models FROM prepay.agent_plan('gw-host') AS plan;
SELECT prepay.agent_plan('other') ->> 'revision' AS revision \gset before_
UPDATE prepay.gateway SET poll_interval = '5 minutes' WHERE code = 'G2';
SELECT (prepay.agent_beat('other', '{}') ->> 'revision')::bigint > :before_revision AS newer;
SELECT prepay.agent_plan('other') #> '{gateways,0}' AS gateway;
SELECT prepay.create_agent('gw-host', '{"role": "regress_no_such_role"}');
SELECT prepay.create_agent('gw-host', '{"colour": "red"}');
SELECT prepay.create_agent(NULL);
SELECT * FROM prepay.verify();

-- A refusal stands for a quarter of an hour, then the rule tries anew: what stood in the way may be gone.
SELECT status FROM prepay.control('M4', 'trip');
SELECT action FROM prepay.take_commands('gw-host') WHERE meter_id = 4;
SELECT prepay.report_command('gw-host', command_id, attempts, 'refused', '{"error": "current too high"}') FROM prepay.command WHERE meter_id = 4 AND status = 'sent' AND action = 'trip';
SELECT kind, detail FROM prepay.alarm_active WHERE meter = 'M4' AND kind = 'relay_mismatch';
SELECT prepay.tick() >= 0 AS ticked;
SELECT action, status FROM prepay.command WHERE meter_id = 4 AND action = 'trip' ORDER BY command_id;
UPDATE prepay.meter_control SET decide_at = decide_at - interval '15 minutes' WHERE meter_id = 4;
SELECT prepay.tick() >= 0 AS ticked;
SELECT action, status FROM prepay.command WHERE meter_id = 4 AND action = 'trip' ORDER BY command_id;
