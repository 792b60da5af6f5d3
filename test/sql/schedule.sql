-- Timed switching and the tenant's own switch: below every order, above money.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Europe/Berlin';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-27 12:00'; -- a Friday; clocks go forward on Sunday 29
SELECT prepay.create_site('town', 'Town', 'Europe/Berlin');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'B1', NULL), (1, 'F1', 1);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, place_id) SELECT 1, 'M' || n, 1, n, 2 FROM generate_series(1, 3) AS n;
SELECT prepay.open_account('A' || n, 'T', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n) FROM generate_series(1, 3) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
SELECT 1, m, '2026-03-27 12:00', 0, true FROM generate_series(1, 3) AS m;
SELECT meter, status FROM prepay.control('M2', 'keep_on');
CREATE VIEW pg_temp.c AS SELECT m.code AS meter, c.action, c.status, c.automatic, c.reason FROM prepay.command c
	JOIN prepay.meter m USING (site_id, meter_id) WHERE c.automatic ORDER BY command_id;

-- Off from 23:00 to 06:00 on working days in the building; a second row overlaps.
INSERT INTO prepay.switch_schedule (site_id, code, place_id, weekdays, from_time, to_time) VALUES (1, 'night', 1, '{1,2,3,4,5}', '23:00', '06:00');
INSERT INTO prepay.switch_schedule (site_id, code, meter_id, from_time, to_time) VALUES (1, 'late', 1, '05:00', '07:00');
SELECT prepay.tick();
SELECT m.code, c.hold_until FROM prepay.meter_control c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY 1;
SELECT meter, decision, supply, reasons FROM prepay.supply_decision('B1', '2026-03-27 23:00') ORDER BY meter;
-- Past midnight it is Friday's row still; on Saturday there is none; wall time on the day clocks go forward.
SELECT m AS moment, string_agg(meter || ' ' || decision, ', ' ORDER BY meter) FROM unnest('{2026-03-27 22:59:59,2026-03-28 05:59:59,2026-03-28 06:00,2026-03-28 07:00,2026-03-28 23:00,2026-03-29 01:59:59+01,2026-03-29 05:00,2026-03-29 07:00}'::timestamptz[]) AS m,
	prepay.supply_decision('B1', m) GROUP BY m ORDER BY m;

-- The clock reaches an edge: tick() switches, and not before.
SET prepay.now = '2026-03-27 22:59:59';
SELECT prepay.tick();
SELECT meter, action, status FROM pg_temp.c;
SET prepay.now = '2026-03-27 23:00';
SELECT prepay.tick();
SELECT meter, action, status, reason FROM pg_temp.c;
-- Nobody ticked for hours: what the clock says then counts.
SET prepay.now = '2026-03-28 06:30';
SELECT prepay.tick();
SELECT meter, action, status FROM pg_temp.c;
SELECT m.code, c.desired, c.desired_why, c.hold_until FROM prepay.meter_control c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY 1;
-- A row taken away switches on again.
DELETE FROM prepay.switch_schedule WHERE code = 'late';
SELECT prepay.tick();
SELECT m.code, c.desired, c.desired_why FROM prepay.meter_control c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY 1;

-- The tenant: off and on again; not on against any other cause; never against keep_on.
SELECT prepay.tenant_switch(1, 3, false), prepay.tenant_switch(1, 2, false);
SELECT meter, decision, supply, reasons[1] FROM prepay.supply_decision('B1') ORDER BY meter;
SELECT prepay.tenant_switch(1, 3, true);
SELECT prepay.tenant_switch(1, 3, false);
SELECT status FROM prepay.control('M3', 'trip');
SELECT prepay.tenant_switch(1, 3, true);
SELECT status FROM prepay.control('M3', 'prepaid');
SET prepay.now = '2026-03-28 06:40';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 3, '2026-03-28 06:40', 20, true);
SELECT decision, reasons FROM prepay.supply_decision('M3');
SELECT prepay.tenant_switch(1, 3, true);
SELECT prepay.tenant_switch(1, 99, true);
-- Money comes, the tenant's switch stays off.
SELECT balance FROM prepay.sell('A3', 50, 's3');
SELECT decision, supply FROM prepay.supply_decision('M3');
SELECT prepay.tenant_switch(1, 3, true);
SELECT * FROM prepay.verify();
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time) VALUES (1, 'never', '05:00', '05:00');
