-- Take-over of a lost agent's gateways: what a standby may do, and only while the agent is lost.
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
CREATE ROLE regress_standby_a LOGIN IN ROLE prepay_agent;
CREATE ROLE regress_standby_b LOGIN IN ROLE prepay_agent;
CREATE ROLE regress_standby_c LOGIN IN ROLE prepay_agent;
SELECT prepay.create_agent(n, jsonb_build_object('role', 'regress_standby_' || n)) FROM unnest('{a,b,c}'::text[]) AS n;
INSERT INTO prepay.gateway (site_id, code, agent, standby_agent, address) VALUES (1, 'G1', 'a', 'b', '127.0.0.1:502'),
	(1, 'G2', 'b', NULL, '127.0.0.1:503'), (1, 'G3', 'a', NULL, '127.0.0.1:504');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) SELECT 1, 'M' || n, n, n, 'acrel-ddsy1352' FROM generate_series(1, 3) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100, key => 'o' || n)) FROM generate_series(1, 3) AS n;
-- What makes no sense is refused.
\set VERBOSITY sqlstate
UPDATE prepay.gateway SET standby_agent = 'a' WHERE code = 'G1';
UPDATE prepay.gateway SET standby_agent = 'nobody' WHERE code = 'G1';
UPDATE prepay.gateway SET transport = 'rtu', address = '/dev/ttyS0' WHERE code = 'G1';

CREATE VIEW pg_temp.plans AS SELECT agent, (SELECT string_agg(g ->> 'code', ' ') FROM jsonb_array_elements(prepay.agent_plan(agent) -> 'gateways') AS g) AS gateways
	FROM unnest('{a,b,c}'::text[]) AS agent;
CREATE FUNCTION pg_temp.deliver(agent text, seq int, meter int, at timestamptz, kwh numeric) RETURNS text LANGUAGE sql AS $$
	SELECT format('stored %s, filed %s', stored, filed) FROM prepay.ingest($1, (repeat($1, 8) || '-0000-4000-8000-000000000000')::uuid, $2, ARRAY[$3], ARRAY[$4], ARRAY[$5],
		'{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}');
$$;
CREATE FUNCTION pg_temp.lose(agent text) RETURNS int LANGUAGE sql AS $$
	UPDATE prepay.agent SET last_beat_at = clock_timestamp() - interval '2 minutes' WHERE code = $1;
	SELECT prepay.tick();
$$;
SELECT count(prepay.agent_beat(agent, '{}')) FROM unnest('{a,b,c}'::text[]) AS agent;
SELECT * FROM pg_temp.plans;
SELECT pg_temp.deliver('a', 1, 1, prepay.now(), 10), pg_temp.deliver('b', 1, 1, prepay.now() + interval '1 second', 10);
SELECT revision AS before FROM prepay.site \gset

-- Lost: the standby has its gateway that names it, and no other; nobody else has.
SET prepay.now = '2026-03-01 01:00+08';
SELECT pg_temp.lose('a') >= 0 AS ticked;
SELECT * FROM pg_temp.plans;
SELECT gateway, agent, agent_state, standby_agent, served_by FROM prepay.gateway_status ORDER BY gateway;
SELECT revision > :before AS plans_are_fetched_anew FROM prepay.site;
SELECT count(*) FROM prepay.control('town', 'read');
SET ROLE regress_standby_c;
SELECT meter_id FROM prepay.take_commands('c');
SELECT prepay.agent_plan('a');
RESET ROLE;
SET ROLE regress_standby_b;
SELECT meter_id, action FROM prepay.take_commands('b') ORDER BY meter_id;
SELECT pg_temp.deliver('b', 2, 1, '2026-03-01 01:10+08', 11), pg_temp.deliver('b', 3, 3, '2026-03-01 01:10+08', 11);
SELECT prepay.report_contact('b', '{gateway,meter}', '{1,1}', '{lost,lost}', '{2026-03-01 01:20+08,2026-03-01 01:20+08}');
RESET ROLE;
SELECT gateway, state FROM prepay.gateway_status ORDER BY gateway;
SET ROLE regress_standby_b;
SELECT prepay.report_contact('b', '{gateway,meter}', '{1,1}', '{ok,ok}', '{2026-03-01 01:30+08,2026-03-01 01:30+08}');
RESET ROLE;
-- A meter the standby cannot reach is no part of the agent's silence.
SET ROLE regress_standby_b;
SELECT prepay.report_contact('b', '{meter}', '{1}', '{lost}', '{2026-03-01 01:40+08}');
RESET ROLE;
SELECT meter, kind FROM prepay.alarm_active WHERE kind = 'lost' AND meter IS NOT NULL;

-- Back: the agent has its gateways again, at once and alone.
SET prepay.now = '2026-03-01 02:00+08';
SELECT count(*) FROM prepay.control('M1', 'trip');
SELECT meter_id, action, attempt FROM prepay.take_commands('b');
SET ROLE regress_standby_a;
SELECT count(prepay.agent_beat('a', '{}'));
-- What the standby was handed stays with it until its lease is over: no second hand at one relay.
SELECT meter_id, action FROM prepay.take_commands('a') ORDER BY meter_id;
RESET ROLE;
SELECT command_id AS trip FROM prepay.command WHERE action = 'trip' \gset
SET ROLE regress_standby_a;
SELECT prepay.report_command('a', :trip, 1, 'done', '{"relay_closed": false}');
RESET ROLE;
SET ROLE regress_standby_b;
SELECT prepay.report_command('b', :trip, 1, 'done', '{"relay_closed": false}');
SELECT meter_id FROM prepay.take_commands('b');
-- Its spool empties later: readings of the time it stood in are stored, later ones are not its business.
SELECT pg_temp.deliver('b', 5, 1, '2026-03-01 01:50+08', 12), pg_temp.deliver('b', 6, 1, '2026-03-01 03:00+08', 13);
SELECT prepay.report_contact('b', '{gateway}', '{1}', '{lost}', '{2026-03-01 02:00+08}');
RESET ROLE;
SELECT * FROM pg_temp.plans;
SELECT gateway, state, served_by FROM prepay.gateway_status ORDER BY gateway;
SELECT meter_id, kwh, source FROM prepay.reading ORDER BY meter_id, read_at;
SELECT agent, lost_at, until FROM prepay.agent_absence;
SELECT count(*) FROM prepay.control('M1', 'close');
SELECT meter_id FROM prepay.take_commands('b');
SELECT meter_id, action FROM prepay.take_commands('a');
SELECT * FROM prepay.verify();
DROP ROLE regress_standby_a, regress_standby_b, regress_standby_c;
