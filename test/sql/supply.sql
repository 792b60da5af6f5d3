-- Supply: a crossing queues the relay command in its own transaction; paying closes.
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
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model)
SELECT 1, 'M' || n, 1, n, 'acrel-ddsy1352' FROM generate_series(1, 6) AS n;
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, purpose) VALUES (1, 'C7', 1, 7, 'acrel-ddsy1352', 'check');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M8');
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1,M2}', opening_balance => 10, key => 'o1');
SELECT prepay.open_account('A2', 'Li', meters => '{M3}', opening_balance => 10, key => 'o2', options => '{"credit_limit": 5}');
SELECT prepay.open_account('A3', 'Wang', meters => '{M4}');
SELECT prepay.open_account('A4', 'Zhao', meters => '{M8}', opening_balance => 10, key => 'o4');
CREATE VIEW pg_temp.commands AS
	SELECT m.code AS meter, c.action, c.status, c.automatic, c.operator, c.reason,
		extract(epoch FROM c.valid_until - c.created_at) / 60 AS minutes, c.account_id
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY command_id;
-- An account that never paid has no supply; one with money has.
SELECT meter, account, desired, desired_why, commanded FROM prepay.meter_status ORDER BY meter;
SELECT * FROM pg_temp.commands;
SELECT prepay.tick();

-- The relays are closed; readings begin.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
SELECT 1, m, '2026-03-01 00:00+08', 0, true FROM generate_series(1, 8) AS m;
SELECT * FROM pg_temp.commands;
SET prepay.now = '2026-03-01 01:00+08';
-- 9.99 used, 0.01 left: nothing. One more step and both meters of the account are to be cut.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 1, '2026-03-01 01:00+08', 9.99, true);
SELECT count(*) FROM prepay.command WHERE meter_id IN (1, 2);
BEGIN;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 2, '2026-03-01 01:00+08', 0.01, true);
SELECT account, state, balance, meters_cut FROM prepay.account_status WHERE account = 'A1';
SELECT * FROM pg_temp.commands WHERE meter IN ('M1', 'M2');
ROLLBACK;
SELECT count(*) FROM prepay.command WHERE meter_id IN (1, 2);
SET prepay.now = '2026-03-01 02:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 2, '2026-03-01 02:00+08', 0.01, true);
SELECT * FROM pg_temp.commands WHERE meter IN ('M1', 'M2');
-- More use while the cut is queued queues nothing more.
SET prepay.now = '2026-03-01 02:10+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 2, '2026-03-01 02:10+08', 1, true);
SELECT count(*) FROM pg_temp.commands WHERE meter IN ('M1', 'M2');
-- A payment that is not enough changes nothing; one that is supersedes the cut before it is sent.
SELECT balance FROM prepay.sell('A1', 0.5, 's1');
SELECT status FROM pg_temp.commands WHERE meter IN ('M1', 'M2');
SELECT balance FROM prepay.sell('A1', 1, 's2');
SELECT * FROM pg_temp.commands WHERE meter IN ('M1', 'M2');

-- Used up again: this time the agent takes the cut, reads it back, and paying closes at once.
SET prepay.now = '2026-03-01 03:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 2, '2026-03-01 03:00+08', 9, true);
SELECT gateway_id, meter_id, action, args, created_at, valid_until, attempt, verify_only FROM prepay.take_commands('gw-host');
SELECT prepay.take_commands('gw-host');
SELECT meter, desired, commanded, acknowledged, observed FROM prepay.meter_status WHERE account = 'A1' ORDER BY meter;
SELECT prepay.report_command('gw-host', command_id, 1, 'done', '{"relay_closed": false, "read_at": "2026-03-01 03:00:01+08"}')
FROM prepay.command WHERE status = 'sent' AND meter_id IN (1, 2);
SELECT meter, desired, commanded, acknowledged, observed, observed_at FROM prepay.meter_status WHERE account = 'A1' ORDER BY meter;
SELECT balance FROM prepay.sell('A1', 50, 's3');
SELECT action, status, automatic, reason, minutes FROM pg_temp.commands WHERE meter = 'M1';
SELECT meter_id, action, valid_until, attempt FROM prepay.take_commands('gw-host') WHERE meter_id IN (1, 2);
SELECT prepay.report_command('gw-host', command_id, 1, 'done', '{"relay_closed": true, "read_at": "2026-03-01 03:10:00+08"}')
FROM prepay.command WHERE status = 'sent' AND meter_id IN (1, 2);
SELECT meter, desired, commanded, acknowledged, observed FROM prepay.meter_status WHERE account = 'A1' ORDER BY meter;

-- A credit limit: on while the balance is above -5.
SELECT account, decision, supply, balance, reasons FROM prepay.supply_decision('M3');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 3, '2026-03-01 03:00+08', 14.99, true);
SELECT decision, supply, balance FROM prepay.supply_decision('M3');
SET prepay.now = '2026-03-01 04:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 3, '2026-03-01 04:00+08', 15, true);
SELECT decision, supply, balance, reasons FROM prepay.supply_decision('M3');
SELECT action, status FROM pg_temp.commands WHERE meter = 'M3';

-- A cut lives for off_command_ttl; when it has expired and is still due, it is queued anew.
SET prepay.now = '2026-03-01 04:14:59+08';
SELECT prepay.tick();
SELECT action, status, minutes FROM pg_temp.commands WHERE meter = 'M3';
SET prepay.now = '2026-03-01 04:15+08';
SELECT prepay.tick();
SELECT action, status, minutes FROM pg_temp.commands WHERE meter = 'M3';

-- Nobody's meters: off unless vacant_supply is on. Check meters are left alone.
SELECT meter, decision, supply FROM prepay.supply_decision('town') WHERE account IS NULL ORDER BY meter;
SELECT prepay.set_setting('town', 'vacant_supply', 'on');
SELECT prepay.tick();
SELECT meter, decision, supply FROM prepay.supply_decision('town') WHERE account IS NULL ORDER BY meter;
SELECT meter, action, status FROM pg_temp.commands WHERE meter IN ('M5', 'M6', 'C7');

-- A relay that somebody opened by hand is closed again where supply is on.
SET prepay.now = '2026-03-01 05:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 1, '2026-03-01 05:00+08', 10, false);
SELECT action, status, reason FROM pg_temp.commands WHERE meter = 'M1' AND status = 'queued';
-- Seen once it is no alarm yet (relay_alarm.sql).
SELECT meter, kind, detail FROM prepay.alarm_active WHERE meter = 'M1';

-- A meter nobody can reach is decided all the same, and has no command.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 8, '2026-03-01 05:00+08', 20);
SELECT desired, desired_why, commanded FROM prepay.meter_status WHERE meter = 'M8';
SELECT count(*) FROM pg_temp.commands WHERE meter = 'M8';
-- At a moment before the account had it, it was nobody's.
SELECT account, decision, reasons FROM prepay.supply_decision('M1', '2026-02-01 00:00+08');
SELECT * FROM prepay.verify();

-- The command is part of the transaction in which the money was used up.
SET prepay.now = '2026-03-20 00:00+08';
SELECT prepay.open_account('A9', 'Sun', opening_balance => 5, key => 'o9');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id) VALUES (1, 'M9', 1, 9);
SELECT prepay.add_meter('A9', 'M9', 0);
SET prepay.now = '2026-03-20 01:00+08';
BEGIN;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, meter_id, prepay.now(), 6, true FROM prepay.meter WHERE code = 'M9';
SELECT action, status, c.xmin::text = pg_current_xact_id()::text AS of_this_transaction FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE m.code = 'M9';
ROLLBACK;
SELECT count(*) FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE m.code = 'M9';

-- A reading older than a confirmation is passed over; when the next one shows the same, it is not.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, meter_id, prepay.now(), 1, false FROM prepay.meter WHERE code = 'M9';
SET prepay.now = '2026-03-20 02:00+08';
SELECT action FROM prepay.take_commands('gw-host') t JOIN prepay.meter m USING (meter_id) WHERE m.code = 'M9';
SELECT prepay.report_command('gw-host', c.command_id, c.attempts, 'done', '{"relay_closed": true, "read_at": "2026-03-20T01:59:00+08:00"}')
FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE m.code = 'M9';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, meter_id, '2026-03-20 01:59:30+08', 1, false FROM prepay.meter WHERE code = 'M9';
SELECT action, status FROM pg_temp.commands WHERE meter = 'M9';
SET prepay.now = '2026-03-20 03:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, meter_id, prepay.now(), 1, false FROM prepay.meter WHERE code = 'M9';
SELECT action, status FROM pg_temp.commands WHERE meter = 'M9';
