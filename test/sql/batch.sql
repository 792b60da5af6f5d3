-- batch_status: how a call of control() on many meters is getting on.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-02 08:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'B1', NULL), (1, 'B1-1', 1), (1, 'EMPTY', NULL);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, place_id) SELECT 1, 'M' || n, 1, n, 2 FROM generate_series(1, 8) AS n;
INSERT INTO prepay.meter (site_id, code, place_id) VALUES (1, 'OFFLINE', 2);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, place_id, purpose) VALUES (1, 'CHECK', 1, 90, 1, 'check');
SELECT count(prepay.open_account('A' || n, 'Tenant', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n)) FROM generate_series(1, 8) AS n;
SELECT prepay.open_account('A9', 'Tenant', meters => '{OFFLINE}', opening_balance => 10, key => 'o9');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(1, 8) AS m;
CREATE FUNCTION pg_temp.report(meter int, outcome text, result jsonb DEFAULT '{}') RETURNS text LANGUAGE sql AS $$
	SELECT prepay.report_command('gw-host', command_id, attempts, $2, $3) FROM prepay.command WHERE meter_id = $1 ORDER BY command_id DESC LIMIT 1 $$;
CREATE VIEW pg_temp.progress AS SELECT batch_id, meters, queued, sent, done, failed, refused, expired, superseded, unknown, cancelled, skipped, unchanged, finished_at
	FROM prepay.batch_status ORDER BY batch_id;
SELECT status, batch_id FROM prepay.control('M1', 'keep_on');
SELECT count(*) FROM prepay.take_commands('gw-host');
SELECT pg_temp.report(1, 'done', '{"relay_closed": true}');

-- A whole building: the number of the call is in each row; who is left out and why.
SET prepay.now = '2026-03-02 09:00+08';
SELECT DISTINCT batch_id, count(*), count(command_id) FROM prepay.control('B1', 'trip', reason => 'fire drill') GROUP BY batch_id;
SELECT * FROM prepay.batch_status WHERE batch_id = 2;
SELECT prepay.cancel_command(command_id) FROM prepay.command WHERE meter_id = 8 AND batch_id = 2;
SELECT count(*) FROM prepay.take_commands('gw-host', 5);
SELECT * FROM pg_temp.progress;
-- One of each end.
SELECT pg_temp.report(2, 'done', '{"relay_closed": false}');
SELECT pg_temp.report(3, 'refused', '{"error": "keep-power"}');
SELECT pg_temp.report(4, 'unknown');
SELECT pg_temp.report(5, 'failed');
SELECT status, detail, batch_id FROM prepay.control('M7', 'close');
SELECT * FROM pg_temp.progress;
-- The same once more, while some are under way: those count for both calls.
SET prepay.now = '2026-03-02 09:01+08';
SELECT meter, status, detail, batch_id FROM prepay.control('B1', 'trip', reason => 'once more');
SELECT * FROM pg_temp.progress;
UPDATE prepay.command SET not_before = NULL;
SELECT meter_id, action, verify_only FROM prepay.take_commands('gw-host');
SELECT m, pg_temp.report(m, 'done', '{"relay_closed": false}') FROM unnest('{2,3,4,5,6,7,8}'::int[]) AS m;
SELECT * FROM pg_temp.progress;
-- A trip that came too late; what the rule orders in its place is no part of the call.
SELECT batch_id FROM prepay.control('B1', 'prepaid') LIMIT 1;
SELECT count(*) FROM prepay.take_commands('gw-host');
SELECT m, pg_temp.report(m, 'done', '{"relay_closed": true}') FROM generate_series(2, 8) AS m;
SELECT status, batch_id FROM prepay.control('M2', 'trip');
SET prepay.now = '2026-03-02 10:00+08';
SELECT prepay.tick();
SELECT action, status, automatic, batch_id FROM prepay.command WHERE meter_id = 2 ORDER BY command_id DESC LIMIT 2;
-- Reads and settings; a place without meters; nothing at all to do.
SELECT batch_id, status, count(*) FROM prepay.control('G1', 'read') GROUP BY 1, 2;
SELECT batch_id, status, detail, count(*) FROM prepay.control('G1', 'push_limits') GROUP BY 1, 2, 3;
SELECT count(*) FROM prepay.control('EMPTY', 'trip');
SELECT target, action, reason, meters, queued, refused, finished_at, length(left_out) AS left_out FROM prepay.batch_status WHERE batch_id > 6 ORDER BY batch_id;
