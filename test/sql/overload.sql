-- Load above the limit: when it trips, when supply comes back, when it is locked; caps by the clock.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Europe/Berlin';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-02 08:00'; -- a Monday
SELECT prepay.create_site('town', 'Town', 'Europe/Berlin');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one'), prepay.set_setting('town', 'poll_interval', '10 minutes');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, poll_interval) VALUES (1, 'G2', 'gw-host', '1 minute');
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'B1', NULL), (1, 'F1', 1);
-- M2 has a transformer of 40; M3 is polled each minute; C4 checks; F5 is free; O6 holds its own money; N7 has no gateway.
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, power_limit_kw, ratio, purpose, prepay_mode, place_id) VALUES
	(1, 'M1', 1, 1, 10, 1, 'prepaid', 'server', NULL), (1, 'M2', 1, 2, 100, 40, 'prepaid', 'server', NULL),
	(1, 'M3', 2, 1, 10, 1, 'prepaid', 'server', NULL), (1, 'C4', 1, 4, 10, 1, 'check', 'server', NULL),
	(1, 'F5', 1, 5, NULL, 1, 'prepaid', 'server', 2), (1, 'O6', 1, 6, 10, 1, 'prepaid', 'meter', NULL),
	(1, 'N7', NULL, NULL, 10, 1, 'prepaid', 'server', NULL);
SELECT prepay.open_account('A' || meter_id, 'T', meters => ARRAY[code], opening_balance => 1000, key => 'o' || meter_id)
FROM prepay.meter WHERE purpose = 'prepaid' ORDER BY meter_id;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, '2026-03-02 08:00', 0, 0, true FROM generate_series(1, 7) AS m;

-- A reading, as if it came when it was taken.
CREATE FUNCTION pg_temp.read(m text, at text, power numeric, closed boolean DEFAULT true, came text DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', '2026-03-02 ' || COALESCE(came, at), false);
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
	SELECT site_id, meter_id, ('2026-03-02 ' || at)::timestamptz, 0, power, closed FROM prepay.meter WHERE code = m;
	RETURN (SELECT decision FROM prepay.supply_decision(m));
END $$;
CREATE VIEW pg_temp.alarms AS SELECT meter, kind, level, raised_at::time AS raised, cleared_at::time AS cleared, detail
	FROM prepay.alarm_history WHERE kind = 'overload' ORDER BY alarm_id;
CREATE VIEW pg_temp.commands AS SELECT m.code AS meter, c.action, c.status, c.created_at::time AS created, c.reason FROM prepay.command c
	JOIN prepay.meter m USING (site_id, meter_id) ORDER BY command_id;
CREATE VIEW pg_temp.state AS SELECT meter, load_kw, power_limit_kw, overload_until, overload_trips, overload_locked, desired, desired_why
	FROM prepay.meter_status;

-- The limit itself is allowed; one sample is nothing; two in a row are too many.
SELECT pg_temp.read('M1', '08:10', 10), pg_temp.read('M1', '08:20', 10.001), pg_temp.read('M1', '08:30', 9.9), pg_temp.read('M1', '08:40', 12);
SELECT * FROM pg_temp.alarms;
SELECT pg_temp.read('M1', '08:50', 12.5);
SELECT * FROM pg_temp.alarms;
SELECT * FROM pg_temp.commands;
SELECT * FROM pg_temp.state WHERE meter = 'M1';
SELECT decision, supply, reasons FROM prepay.supply_decision('M1');
SELECT decision, supply FROM prepay.supply_decision('M1', '2026-03-02 08:54:59');
SELECT decision, supply FROM prepay.supply_decision('M1', '2026-03-02 08:55');
-- While it is off no load is not less of it: only time restores, and tick() sees to it.
SELECT pg_temp.read('M1', '08:52', 0, false);
SET prepay.now = '2026-03-02 08:54:59';
SELECT prepay.tick();
SELECT desired, desired_why FROM pg_temp.state WHERE meter = 'M1';
SET prepay.now = '2026-03-02 08:55';
SELECT prepay.tick();
SELECT desired, desired_why, overload_until, overload_trips FROM pg_temp.state WHERE meter = 'M1';
SELECT action, status, created, reason FROM pg_temp.commands WHERE meter = 'M1';
-- The alarm stays while the relay is still open, and while the load is near the limit.
SELECT pg_temp.read('M1', '09:00', 0, false), pg_temp.read('M1', '09:10', 9.001);
SELECT meter, raised, cleared FROM pg_temp.alarms;
SELECT pg_temp.read('M1', '09:20', 9);
SELECT meter, raised, cleared FROM pg_temp.alarms;

-- Old samples never trip, and a late one neither: not at two poll intervals, but just before.
SELECT pg_temp.read('M1', '09:30', 15, came => '09:50'), pg_temp.read('M1', '09:40', 15, came => '10:00');
SELECT over_samples FROM prepay.meter_watch WHERE meter_id = 1;
SELECT pg_temp.read('M1', '10:00', 15, came => '10:19:59');
SELECT over_samples FROM prepay.meter_watch WHERE meter_id = 1;
SELECT pg_temp.read('M1', '09:55', 15, came => '10:19:59');
-- A reading without power says nothing, and one whose register is suspect is not believed.
SELECT pg_temp.read('M1', '10:01', NULL, came => '10:19:59');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) VALUES (1, 1, '2026-03-02 10:02', -1, 50, true);
SELECT over_samples FROM prepay.meter_watch WHERE meter_id = 1;
-- After a gap of two poll intervals the count begins anew, and a low sample ends it however old it is.
SELECT pg_temp.read('M1', '10:20', 15), pg_temp.read('M1', '10:25', 1, came => '10:45'), pg_temp.read('M1', '10:45', 15);
-- A batch from a spool: 30 high samples, the last of them young; in any order of its rows.
SET prepay.now = '2026-03-02 13:00';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, 1, '2026-03-02 11:00'::timestamptz + n * interval '4 minutes', 0, 20, true
	FROM generate_series(1, 25) AS n ORDER BY n % 7, n;
SELECT decision FROM prepay.supply_decision('M1');
SELECT meter, raised, cleared FROM pg_temp.alarms;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, 1, '2026-03-02 13:00'::timestamptz - n * interval '4 minutes', 0, 20, true
	FROM generate_series(0, 4) AS n ORDER BY n;
SELECT decision FROM prepay.supply_decision('M1');

-- The second trip of the day. Trips that are restored: two, then it is locked.
SELECT prepay.set_setting('town', 'overload_restores', '2');
SELECT overload_trips, overload_until FROM pg_temp.state WHERE meter = 'M1';
SET prepay.now = '2026-03-02 13:05';
SELECT prepay.tick();
SELECT pg_temp.read('M1', '13:10', 11), pg_temp.read('M1', '13:20', 11.5);
SELECT * FROM pg_temp.state WHERE meter = 'M1';
SELECT * FROM pg_temp.alarms;
SELECT decision, supply, reasons FROM prepay.supply_decision('M1');
-- Time does not end it, nor low readings, nor a new connection, nor an operator's order; a sale neither.
SET prepay.now = '2026-03-02 23:00';
SELECT prepay.tick();
SELECT pg_temp.read('M1', '22:59', 0, false);
SELECT status, detail FROM prepay.control('M1', 'close');
SELECT status, detail FROM prepay.control('M1', 'keep_on');
SELECT balance FROM prepay.sell('A1', 10, 's1');
\c -
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Europe/Berlin';
SET prepay.now = '2026-03-02 23:00';
SELECT decision, supply FROM prepay.supply_decision('M1');
SELECT status, detail FROM prepay.control('M1', 'unlock', reason => 'heater taken away');
SELECT overload_trips, overload_locked, desired, desired_why FROM prepay.meter_status WHERE meter = 'M1';

-- A day without a trip forgets those before: 24 hours after the last one it is the first again.
CREATE FUNCTION pg_temp.read(m text, at text, power numeric, closed boolean DEFAULT true) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', at, false);
	PERFORM prepay.tick();
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
	SELECT site_id, meter_id, at::timestamptz, 0, power, closed FROM prepay.meter WHERE code = m;
	RETURN (SELECT format('%s %s', decision, overload_trips) FROM prepay.supply_decision(m) JOIN prepay.meter_status USING (meter));
END $$;
CREATE VIEW pg_temp.alarms AS SELECT meter, kind, level, raised_at::time AS raised, cleared_at::time AS cleared, detail
	FROM prepay.alarm_history WHERE kind = 'overload' ORDER BY alarm_id;
SELECT pg_temp.read('M1', '2026-03-03 08:00', 11), pg_temp.read('M1', '2026-03-03 08:10', 11);
SELECT pg_temp.read('M1', '2026-03-04 07:50', 11), pg_temp.read('M1', '2026-03-04 08:09:59', 11);
SELECT pg_temp.read('M1', '2026-03-05 08:00', 11), pg_temp.read('M1', '2026-03-05 08:09:59', 11);
SELECT pg_temp.read('M1', '2026-03-05 08:30', 5);

-- The transformer's ratio counts: 2.5 kW displayed are 100. Reverse power is load where reverse energy is charged.
SELECT pg_temp.read('M2', '2026-03-05 09:00', 2.5), pg_temp.read('M2', '2026-03-05 09:10', 2.5);
SELECT pg_temp.read('M2', '2026-03-05 09:20', 2.501), pg_temp.read('M2', '2026-03-05 09:30', -2.6);
SELECT load_kw, power_limit_kw FROM prepay.meter_status WHERE meter = 'M2';
SELECT kw FROM prepay.account_status WHERE account = 'A2';
-- Not in a row: one below is between them, in the same statement.
SELECT pg_temp.read('M2', '2026-03-05 10:00', 0);
SET prepay.now = '2026-03-05 10:10';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) VALUES
	(1, 2, '2026-03-05 10:06', 0, 3, true), (1, 2, '2026-03-05 10:08', 0, 2, true), (1, 2, '2026-03-05 10:10', 0, 3, true);
SELECT decision FROM prepay.supply_decision('M2');
SELECT pg_temp.read('M2', '2026-03-05 10:20', 0);
-- A poll interval of the gateway's own: one minute, so samples four minutes apart are none in a row.
SELECT pg_temp.read('M3', '2026-03-05 10:00', 15), pg_temp.read('M3', '2026-03-05 10:04', 15), pg_temp.read('M3', '2026-03-05 10:05', 15);
-- Not less than two minutes, where that is asked for.
SELECT prepay.set_setting('town', 'overload_duration', '2 minutes');
SELECT pg_temp.read('M3', '2026-03-05 11:00', 15), pg_temp.read('M3', '2026-03-05 11:01', 15), pg_temp.read('M3', '2026-03-05 11:01:59', 15), pg_temp.read('M3', '2026-03-05 11:02', 15);
SELECT prepay.set_setting('town', 'overload_duration', NULL);

SELECT prepay.set_setting('town', 'overload_restores', NULL);

-- Check meters never; what cannot or must not be tripped is an alarm: kept on, own money, no gateway.
SELECT m, pg_temp.read(m, '2026-03-06 09:00', 50) FROM unnest('{C4,O6,N7}'::text[]) AS m;
SELECT m, pg_temp.read(m, '2026-03-06 09:10', 50) FROM unnest('{C4,O6,N7}'::text[]) AS m;
SELECT status FROM prepay.control('M3', 'keep_on');
SELECT pg_temp.read('M3', '2026-03-06 09:11', 50), pg_temp.read('M3', '2026-03-06 09:12', 50), pg_temp.read('M3', '2026-03-06 09:13', 50);
SELECT meter, level, raised, cleared, detail FROM pg_temp.alarms WHERE meter IN ('C4', 'O6', 'N7', 'M3') AND cleared IS NULL;
-- No longer kept on: the next sample trips.
SELECT status FROM prepay.control('M3', 'prepaid');
SELECT pg_temp.read('M3', '2026-03-06 09:14', 50);
-- Kept on again meanwhile: an order is above it.
SELECT status, detail FROM prepay.control('M3', 'keep_on');
SELECT decision, supply, reasons FROM prepay.supply_decision('M3');
-- A limit that is taken away ends the alarm.
UPDATE prepay.meter SET power_limit_kw = NULL WHERE code = 'N7';
SELECT pg_temp.read('N7', '2026-03-06 09:20', 50);
SELECT cleared IS NOT NULL AS over FROM pg_temp.alarms WHERE meter = 'N7';

-- The site's limit is for meters without their own; 0 and NULL are none.
SELECT pg_temp.read('F5', '2026-03-06 10:00', 500), pg_temp.read('F5', '2026-03-06 10:10', 500);
SELECT prepay.set_setting('town', 'power_limit_kw', '0');
SELECT pg_temp.read('F5', '2026-03-06 10:20', 500), pg_temp.read('F5', '2026-03-06 10:30', 500);
SELECT prepay.set_setting('town', 'power_limit_kw', '20');
SELECT pg_temp.read('F5', '2026-03-06 10:40', 20.001), pg_temp.read('F5', '2026-03-06 10:50', 20.001);
SELECT prepay.set_setting('town', 'power_limit_kw', NULL);
SELECT pg_temp.read('F5', '2026-03-06 11:00', 20.001);

-- Caps: 1.5 kW in the building at night, 0.5 kW on Saturdays in the small hours; the lowest counts.
INSERT INTO prepay.switch_schedule (site_id, code, place_id, from_time, to_time, action, cap_kw) VALUES (1, 'night', 1, '23:00', '06:00', 'cap', 1.5);
INSERT INTO prepay.switch_schedule (site_id, code, meter_id, weekdays, from_time, to_time, action, cap_kw) VALUES (1, 'dark', 5, '{6}', '01:00', '04:00', 'cap', 0.5);
SELECT pg_temp.read('F5', '2026-03-06 22:49', 2), pg_temp.read('F5', '2026-03-06 22:59:59', 2), pg_temp.read('F5', '2026-03-06 23:00', 2);
-- M1 is not in the building.
SELECT pg_temp.read('M1', '2026-03-06 23:01', 9), pg_temp.read('M1', '2026-03-06 23:02', 9);
SELECT pg_temp.read('F5', '2026-03-06 23:10', 1.501);
SELECT detail FROM pg_temp.alarms WHERE meter = 'F5' AND cleared IS NULL;
SELECT pg_temp.read('F5', '2026-03-07 00:50', 1.4), pg_temp.read('F5', '2026-03-07 00:59:59', 1.4), pg_temp.read('F5', '2026-03-07 01:00', 1.4);
SELECT pg_temp.read('F5', '2026-03-07 01:10', 0.4), pg_temp.read('F5', '2026-03-07 03:50', 0.6), pg_temp.read('F5', '2026-03-07 04:00', 0.6);
SELECT pg_temp.read('F5', '2026-03-14 03:50', 0.6), pg_temp.read('F5', '2026-03-14 03:59:59', 0.6);
SELECT detail FROM pg_temp.alarms WHERE meter = 'F5' AND cleared IS NULL;
SELECT pg_temp.read('F5', '2026-03-14 04:10', 0.1);
-- A sample goes by the cap of its own time, though it comes after the edge.
SELECT pg_temp.read('F5', '2026-03-15 05:40', 1.6);
SET prepay.now = '2026-03-15 06:05';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) VALUES (1, 5, '2026-03-15 05:50', 0, 1.6, true), (1, 5, '2026-03-15 06:00', 0, 1.6, true);
SELECT decision FROM prepay.supply_decision('F5');
SELECT pg_temp.read('F5', '2026-03-15 06:10', 0.1), pg_temp.read('F5', '2026-03-15 06:20', 0.1);
UPDATE prepay.meter SET power_limit_kw = 1 WHERE code = 'F5';
SELECT pg_temp.read('F5', '2026-03-16 06:10', 1.1), pg_temp.read('F5', '2026-03-16 06:19', 1.1);
SELECT detail FROM pg_temp.alarms WHERE meter = 'F5' AND cleared IS NULL;
SELECT pg_temp.read('F5', '2026-03-16 06:25', 0.1);
-- The night clocks go forward: 01:59:59 is followed by 03:00; a cap from 02:30 to 03:30 begins at 03:00.
UPDATE prepay.meter SET power_limit_kw = NULL WHERE code = 'F5';
UPDATE prepay.switch_schedule SET from_time = '02:30', to_time = '03:30' WHERE code = 'night';
SELECT pg_temp.read('F5', '2026-03-29 01:50', 2), pg_temp.read('F5', '2026-03-29 01:59:59', 2);
SELECT pg_temp.read('F5', '2026-03-29 03:00', 2), pg_temp.read('F5', '2026-03-29 03:10', 2), pg_temp.read('F5', '2026-03-29 03:30', 0.2);
-- The night they go back 02:30 comes twice, and the cap with it.
SELECT pg_temp.read('F5', '2026-10-25 02:35+02', 2), pg_temp.read('F5', '2026-10-25 02:45+02', 2);
SELECT pg_temp.read('F5', '2026-10-25 02:00+01', 2), pg_temp.read('F5', '2026-10-25 02:10+01', 2), pg_temp.read('F5', '2026-10-25 02:20+01', 2);
SELECT pg_temp.read('F5', '2026-10-25 02:30+01', 2), pg_temp.read('F5', '2026-10-25 02:40+01', 2);
-- A cap is no switch: it changes no supply by itself.
SELECT decision FROM prepay.supply_decision('A5', '2026-10-26 02:45');
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, action) VALUES (1, 'x', '02:30', '03:30', 'cap');
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, cap_kw) VALUES (1, 'x', '02:30', '03:30', 5);
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, action, cap_kw) VALUES (1, 'x', '02:30', '03:30', 'cap', 0);
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, action, cap_kw) VALUES (1, 'x', '02:30', '03:30', 'dim', 5);
SELECT * FROM prepay.verify();
-- A meter that is replaced hands its lock on.
SELECT prepay.set_setting('town', 'overload_restores', '0');
SELECT pg_temp.read('M2', '2026-10-26 09:00', 3), pg_temp.read('M2', '2026-10-26 09:10', 3);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id) VALUES (1, 'M8', 1, 8);
SELECT prepay.replace_meter('M2', 'M8', 0, 0);
SELECT meter, account, overload_locked, overload_trips, desired, desired_why FROM prepay.meter_status WHERE meter IN ('M2', 'M8') ORDER BY 1;
SELECT meter, level, detail FROM pg_temp.alarms WHERE meter IN ('M2', 'M8') AND cleared IS NULL;
