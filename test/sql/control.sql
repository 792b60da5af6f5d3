-- control(): what people order, of one meter and of a whole building.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
CREATE ROLE regress_prepay_boss SUPERUSER;
SET SESSION AUTHORIZATION regress_prepay_boss;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
INSERT INTO prepay.place (site_id, kind, code) VALUES (1, 'building', 'B1');
INSERT INTO prepay.place (site_id, kind, code, parent_id) VALUES (1, 'floor', 'B1-1', 1), (1, 'floor', 'B1-2', 1);
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'S101', 2), (1, 'S102', 2), (1, 'S201', 3);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, place_id)
VALUES (1, 'M1', 1, 1, 'acrel-ddsy1352', 4), (1, 'M2', 1, 2, 'acrel-ddsy1352', 5), (1, 'M3', 1, 3, 'acrel-ddsy1352', 6),
	(1, 'M4', 1, 4, 'eastron-sdm630', 6);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, place_id, purpose) VALUES (1, 'C5', 1, 5, 'acrel-ddsy1352', 1, 'check');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, prepay_mode) VALUES (1, 'OWN', 1, 6, 'acrel-ddsy1352', 'meter');
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n))
FROM generate_series(1, 4) AS n;
SELECT prepay.open_account('A6', 'Customer', meters => '{OWN}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(1, 6) AS m;
CREATE VIEW pg_temp.commands AS
	SELECT m.code AS meter, c.action, c.status, c.automatic, c.args, c.reason, c.valid_until
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY command_id;
CREATE VIEW pg_temp.meters AS
	SELECT meter, operator_order, locked, desired, desired_why, commanded, observed FROM prepay.meter_status WHERE meter <> 'OWN' ORDER BY meter;
\set VERBOSITY sqlstate

-- A person's cut: stays until a person ends it; a payment does not close it.
SELECT * FROM prepay.control('M1', 'trip', reason => 'works on the riser');
SELECT meter, action, status, automatic, reason, valid_until FROM pg_temp.commands;
SELECT balance FROM prepay.sell('A1', 5, 's1');
SELECT * FROM pg_temp.meters WHERE meter = 'M1';
SELECT decision, supply, reasons FROM prepay.supply_decision('M1');
-- The same order again makes no second command; close ends it and supersedes the queued cut.
SELECT status, detail FROM prepay.control('M1', 'trip');
SELECT status, detail FROM prepay.control('M1', 'close', reason => 'done');
SELECT meter, action, status, reason FROM pg_temp.commands;
SELECT * FROM pg_temp.meters WHERE meter = 'M1';

-- Close is refused while the money is used up, with the reasons; keep_on overrides the balance.
SET prepay.now = '2026-03-01 01:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 2, prepay.now(), 12, true);
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT * FROM prepay.control('M2', 'close');
\set VERBOSITY sqlstate
SELECT status, detail FROM prepay.control('A2', 'close');
SELECT * FROM prepay.control('M2', 'keep_on', reason => 'hospital');
SELECT * FROM pg_temp.meters WHERE meter = 'M2';
SELECT decision, reasons FROM prepay.supply_decision('M2');
-- Back to the rule: it is off by the balance.
SELECT status, detail FROM prepay.control('M2', 'prepaid');
SELECT * FROM pg_temp.meters WHERE meter = 'M2';

-- A lock goes before everything; only unlock ends it.
SELECT status, detail FROM prepay.control('M3', 'lock', reason => 'tampering');
SELECT * FROM pg_temp.meters WHERE meter = 'M3';
SELECT * FROM prepay.control('M3', 'close');
SELECT * FROM prepay.control('M3', 'keep_on');
SELECT balance FROM prepay.sell('A3', 100, 's3');
SELECT decision, supply, reasons FROM prepay.supply_decision('M3');
SELECT status, detail FROM prepay.control('M3', 'unlock');
SELECT * FROM pg_temp.meters WHERE meter = 'M3';

-- A place switches all below it, skips check meters and kept-on meters and says so.
SELECT count(*) FROM prepay.control('M1', 'keep_on');
SELECT meter, account, action, status, detail FROM prepay.control('B1', 'trip', reason => 'fire drill');
SELECT count(DISTINCT batch_id) AS batches, count(*) FROM prepay.command WHERE reason = 'fire drill';
SELECT meter, status, detail FROM prepay.control('B1-1', 'close');
SELECT meter, status FROM prepay.control('S201', 'prepaid');
SELECT * FROM pg_temp.meters;
-- By its own code a kept-on meter is cut.
SELECT status, detail FROM prepay.control('M1', 'trip');

-- Reads and settings: queued once, or refused with the reason.
SELECT meter, status, detail FROM prepay.control('G1', 'read');
SELECT meter, status, detail FROM prepay.control('M1', 'read');
SELECT meter, status, detail FROM prepay.control('G1', 'set_clock');
SELECT meter, status FROM prepay.control('G1', 'push_limits');
SELECT meter, status, detail FROM prepay.control('M1', 'recharge', '{"amount": 10}');
SELECT meter, status, detail FROM prepay.control('OWN', 'recharge', '{"amount": "10.50"}');
SELECT meter, action, status, args FROM pg_temp.commands WHERE action = 'recharge';
SELECT prepay.control('OWN', 'recharge');
SELECT prepay.control('OWN', 'recharge', '{"amount": -1}');
SELECT prepay.control('OWN', 'recharge', '{"amount": "NaN"}');
SELECT prepay.control('OWN', 'recharge', '{"amount": 1.005}');
SELECT prepay.control('OWN', 'recharge', '{"amount": 1, "count": 7}');
-- A meter that holds its own money is told by the orders themselves.
SELECT status, detail FROM prepay.control('OWN', 'trip');
SELECT status, detail FROM prepay.control('OWN', 'prepaid');
SELECT action, status FROM pg_temp.commands WHERE meter = 'OWN' AND action <> 'read' ORDER BY action, status;

-- What is no order.
\set VERBOSITY default
SELECT prepay.control('M1', 'explode');
\set VERBOSITY sqlstate
SELECT prepay.control('M1', NULL);
SELECT prepay.control('M1', 'trip', '[]');
SELECT prepay.control('M1', 'trip', '"now"');
SELECT prepay.control('M1', 'trip', '{"delay": 5}');
SELECT prepay.control('M1', 'read', '{"fast": true}');
SELECT prepay.control('M1', 'set_clock', '{"zone": "UTC"}');
SELECT status FROM prepay.control('M1', 'read', NULL);

-- Withdrawing a queued command, once, and not a recharge.
SELECT prepay.cancel_command(command_id) FROM prepay.command WHERE action = 'read' AND meter_id = 1;
SELECT prepay.cancel_command(command_id) FROM prepay.command WHERE action = 'read' AND meter_id = 1;
SELECT prepay.cancel_command(command_id) FROM prepay.command WHERE action = 'recharge';
SELECT prepay.cancel_command(-1);
SELECT prepay.cancel_command(NULL);
SELECT prepay.cancel_command(command_id, 'town') FROM prepay.command WHERE action = 'read' AND meter_id = 2;
SELECT status, count(*) FROM prepay.command WHERE action = 'read' GROUP BY status ORDER BY status;
SELECT * FROM prepay.verify();
RESET SESSION AUTHORIZATION;
DROP OWNED BY regress_prepay_boss;
DROP ROLE regress_prepay_boss;
