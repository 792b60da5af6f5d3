-- relay_mismatch and supply_after_trip: what is seen of a relay that was switched, how often and for how long.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 08:00';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('vat', '{"prices": 1, "surcharges": [{"name": "vat", "percent": 13, "on": ["energy"]}]}');
SELECT prepay.define_tariff('share', '{"periods": ["peak", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["12:00", "peak"]]}],
	"tiers": {"upto": [10], "allocation": "proportional"}, "prices": {"peak": [1, 3], "valley": [0.5, 2]}}');
SELECT prepay.set_setting('town', 'tariff', 'vat'), prepay.set_setting('town', 'vacant_supply', 'on'), prepay.set_setting('town', 'alarm_phones', '13800000000');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, ratio, model) SELECT 1, 'M' || n, 1, n, CASE n WHEN 2 THEN 40 ELSE 1 END, 'acrel-ddsy1352' FROM generate_series(1, 6) AS n;
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, prepay_mode) VALUES (1, 'O7', 1, 7, 'meter');
SELECT count(prepay.open_account('A' || n, 'T', meters => ARRAY['M' || n], opening_balance => 1000, key => 'o' || n)) FROM generate_series(1, 5) AS n;
SELECT prepay.assign_tariff('A4', 'share');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) SELECT 1, m, '2026-03-01 08:00', 0, 1, true FROM generate_series(1, 7) AS m;
-- A reading as it is taken: power, relay, register.
CREATE FUNCTION pg_temp.read(m text, at text, power numeric, closed boolean, used numeric DEFAULT 0) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', at, false);
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
	SELECT site_id, meter_id, at::timestamptz, used + (SELECT register_wh / 1000.0 FROM prepay.meter_state s WHERE s.site_id = meter.site_id AND s.meter_id = meter.meter_id), power, closed
	FROM prepay.meter WHERE code = m;
	RETURN (SELECT string_agg(kind, ' ' ORDER BY kind) FROM prepay.alarm_active WHERE meter = m);
END $$;
-- Trip or close it by order; the agent takes the command and reports what it reads back.
CREATE FUNCTION pg_temp.switch(m text, at text, action text, outcome text DEFAULT 'done', closed boolean DEFAULT NULL) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', at, false);
	IF action IS NOT NULL THEN
		PERFORM prepay.control(m, action);
	END IF;
	UPDATE prepay.command SET not_before = NULL WHERE status IN ('queued', 'unknown');
	RETURN (SELECT prepay.report_command('gw-host', t.command_id, t.attempt, outcome, CASE WHEN closed IS NOT NULL THEN jsonb_build_object('relay_closed', closed) END)
		FROM prepay.take_commands('gw-host') AS t JOIN prepay.meter USING (meter_id) WHERE code = m);
END $$;
CREATE VIEW pg_temp.alarms AS SELECT meter, kind, level, raised_at::time AS raised, cleared_at::time AS cleared, detail
	FROM prepay.alarm_history ORDER BY alarm_id;
CREATE VIEW pg_temp.queue AS SELECT m.code AS meter, c.action, c.status, c.reason FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id)
	WHERE c.status IN ('queued', 'sent', 'unknown') ORDER BY command_id;

-- Confirmed open, and says so, but power flows: five sightings over two minutes. 9 W are none.
SELECT pg_temp.switch('M1', '2026-03-01 10:00', 'trip', 'done', false);
SELECT pg_temp.read('M1', '2026-03-01 10:00:05', 0.009, false), pg_temp.read('M1', '2026-03-01 10:00:10', 0.010, false),
	pg_temp.read('M1', '2026-03-01 10:00:40', 2, false), pg_temp.read('M1', '2026-03-01 10:01', 2, NULL), pg_temp.read('M1', '2026-03-01 10:01:30', 2, false),
	pg_temp.read('M1', '2026-03-01 10:02:09', 2, false);
SELECT pg_temp.read('M1', '2026-03-01 10:02:10', 2, false);
-- It is told to staff once, and no command can mend it.
SELECT * FROM pg_temp.alarms;
SELECT count(*) FROM prepay.notification;
SELECT * FROM pg_temp.queue;
-- Gone only when nothing is seen of it for five minutes.
SELECT pg_temp.read('M1', '2026-03-01 10:03', 0, false), pg_temp.read('M1', '2026-03-01 10:04', 2, false), pg_temp.read('M1', '2026-03-01 10:08:59', 0, false),
	pg_temp.read('M1', '2026-03-01 10:09', 0, false);
-- Four, one that agrees, four more: nothing. A reading without power and relay neither counts nor ends it.
SELECT pg_temp.read('M1', '2026-03-01 11:00', 2, false), pg_temp.read('M1', '2026-03-01 11:10', 2, false), pg_temp.read('M1', '2026-03-01 11:20', 2, false),
	pg_temp.read('M1', '2026-03-01 11:30', 2, false), pg_temp.read('M1', '2026-03-01 11:40', 0, false), pg_temp.read('M1', '2026-03-01 11:50', 2, false),
	pg_temp.read('M1', '2026-03-01 12:00', 2, false), pg_temp.read('M1', '2026-03-01 12:10', 2, false), pg_temp.read('M1', '2026-03-01 12:20', 2, false),
	pg_temp.read('M1', '2026-03-01 12:30', NULL, NULL);
SELECT contrary_samples FROM prepay.meter_watch WHERE meter_id = 1;
-- Told to close: what was seen before counts no more.
SELECT pg_temp.switch('M1', '2026-03-01 12:40', 'close', 'done', true);
SELECT pg_temp.read('M1', '2026-03-01 12:50', 2, true);
SELECT contrary_samples, open_since FROM prepay.meter_watch WHERE meter_id = 1;
SELECT watched FROM prepay.meter_state WHERE meter_id = 1;

-- Found closed after a confirmed trip: told again, by the rule and not by the alarm; nothing is judged meanwhile.
SELECT pg_temp.switch('M3', '2026-03-01 13:00', 'trip', 'done', false);
-- A reading from before the trip that comes late says nothing.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed) VALUES (1, 3, '2026-03-01 12:59:58', 0, 2, NULL), (1, 3, '2026-03-01 12:59:59', 0, 2, true);
SELECT contrary_samples FROM prepay.meter_watch WHERE meter_id = 3;
SELECT pg_temp.read('M3', '2026-03-01 13:01', 2, true);
SELECT * FROM pg_temp.queue;
SELECT action FROM prepay.take_commands('gw-host');
SELECT pg_temp.read('M3', '2026-03-01 13:01:10', 2, true), pg_temp.read('M3', '2026-03-01 13:05', 2, true);
SELECT contrary_samples FROM prepay.meter_watch WHERE meter_id = 3;
-- Three read-backs say closed: each is a sighting.
SELECT prepay.report_command('gw-host', command_id, attempts, 'failed', '{"relay_closed": true}') FROM prepay.command WHERE status = 'sent';
SELECT pg_temp.switch('M3', '2026-03-01 13:06', NULL, 'failed', true);
SELECT pg_temp.switch('M3', '2026-03-01 13:07', NULL, 'failed', true);
SELECT contrary_samples FROM prepay.meter_watch WHERE meter_id = 3;
SELECT meter, kind, raised, cleared, detail FROM pg_temp.alarms WHERE meter = 'M3';
SELECT pg_temp.switch('M3', '2026-03-01 13:08', NULL, 'failed', true);
SELECT meter, kind, raised, cleared, detail FROM pg_temp.alarms WHERE meter = 'M3';
-- Then it opens: the alarm ends after five minutes without a contradiction.
SELECT pg_temp.switch('M3', '2026-03-01 13:09', NULL, 'done', false);
SELECT pg_temp.read('M3', '2026-03-01 13:10', 0, false), pg_temp.read('M3', '2026-03-01 13:13', 0, false);
-- Once more closed by hand; the order is taken back: it may be closed, the alarm is no more.
SELECT pg_temp.read('M3', '2026-03-01 14:00', 2, true), pg_temp.read('M3', '2026-03-01 14:01', 2, true), pg_temp.read('M3', '2026-03-01 14:02', 2, true),
	pg_temp.read('M3', '2026-03-01 14:03', 2, true), pg_temp.read('M3', '2026-03-01 14:04', 2, true);
SELECT status FROM prepay.control('M3', 'prepaid');
SELECT pg_temp.read('M3', '2026-03-01 14:05', 2, true), pg_temp.read('M3', '2026-03-01 14:09', 2, true);
SELECT * FROM pg_temp.queue;
-- The meter itself said no: that is an alarm at once, until it does as told.
SELECT pg_temp.switch('M3', '2026-03-01 15:00', 'trip', 'refused');
SELECT pg_temp.read('M3', '2026-03-01 15:01', 2, true);
SELECT pg_temp.switch('M3', '2026-03-01 15:02', 'trip', 'done', false);
SELECT pg_temp.read('M3', '2026-03-01 15:03', 0, false);
SELECT meter, kind, raised, cleared, detail FROM pg_temp.alarms WHERE meter = 'M3' AND raised >= '15:00';

-- Energy after a trip, through a transformer of 40: the first two minutes are left out, a display step is nothing.
SELECT pg_temp.switch('M2', '2026-03-02 08:00', 'trip', 'done', false);
SELECT pg_temp.read('M2', '2026-03-02 08:01:59', 0, false, 5), pg_temp.read('M2', '2026-03-02 08:02', 0, false, 5), pg_temp.read('M2', '2026-03-02 08:30', 0, false, 0.1);
SELECT pg_temp.read('M2', '2026-03-02 09:00', 0, false, 0.05);
SELECT kind, level, raised, cleared, detail FROM pg_temp.alarms WHERE meter = 'M2';
-- Brought up to date, told once; it survives a new connection.
SELECT count(*) FROM prepay.notification WHERE params::text LIKE '%分闸后仍用电%';
SELECT pg_temp.read('M2', '2026-03-02 09:30', 0, false, 1);
SELECT kind, level, raised, cleared, detail FROM pg_temp.alarms WHERE meter = 'M2';
SELECT count(*) FROM prepay.notification WHERE params::text LIKE '%分闸后仍用电%';
-- The money is what explain() charges for it.
SELECT sum(amount), round(sum(amount) * 1.13, 2) FROM prepay.explain('A2', '2026-03-02 08:02', '2026-03-02 09:30') WHERE component = 'energy' AND from_time >= '2026-03-02 08:02';
-- It stands still: five readings and five minutes later it is over; if it moves again that is another.
SELECT pg_temp.read('M2', '2026-03-02 09:30:30', 0, false), pg_temp.read('M2', '2026-03-02 09:31', 0, false), pg_temp.read('M2', '2026-03-02 09:32', 0, false),
	pg_temp.read('M2', '2026-03-02 09:33', 0, false), pg_temp.read('M2', '2026-03-02 09:34:59', 0, false), pg_temp.read('M2', '2026-03-02 09:35', 0, false);
SELECT pg_temp.read('M2', '2026-03-02 10:00', 0, false, 0.2);
-- Told to close, whatever was read back: over.
SELECT pg_temp.switch('M2', '2026-03-02 10:10', 'close', 'done');
SELECT kind, raised, cleared, detail FROM pg_temp.alarms WHERE meter = 'M2';
SELECT pg_temp.read('M2', '2026-03-02 10:30', 5, true, 3);
SELECT open_since, flow_wh FROM prepay.meter_watch WHERE meter_id = 2;

-- Proportional tiers: priced after the other energy of the day. Used up by the cut: 8 kWh, then 4 of which 2 are in the second tier.
SELECT pg_temp.read('M4', '2026-03-02 11:00', 0, true, 8);
SELECT pg_temp.switch('M4', '2026-03-02 11:00', 'trip', 'done', false);
SELECT pg_temp.read('M4', '2026-03-02 11:30', 0, false), pg_temp.read('M4', '2026-03-02 12:00', 0, false, 4);
SELECT detail FROM pg_temp.alarms WHERE meter = 'M4';
SELECT from_time::time, kwh, amount FROM prepay.explain('A4', '2026-03-02 11:30', '2026-03-02 12:00') WHERE component = 'energy';
-- Of no account.
SELECT pg_temp.switch('M6', '2026-03-02 13:00', 'trip', 'done', false);
SELECT pg_temp.read('M6', '2026-03-02 13:30', 0, false), pg_temp.read('M6', '2026-03-02 14:00', 0, false, 0.2);
SELECT kind, detail FROM pg_temp.alarms WHERE meter = 'M6';
-- Without a tariff readings wait, and with them what flowed: it is counted once, and priced when it is.
SELECT pg_temp.switch('M5', '2026-03-02 16:00', 'trip', 'done', false);
SELECT pg_temp.read('M5', '2026-03-02 16:30', 0, false), pg_temp.read('M5', '2026-03-02 17:00', 0, false, 1);
SELECT prepay.set_setting('town', 'tariff', NULL);
SELECT pg_temp.read('M5', '2026-03-02 17:30', 0, false, 1), pg_temp.read('M5', '2026-03-02 18:00', 0, false, 2);
SELECT flow_wh FROM prepay.meter_watch WHERE meter_id = 5;
SELECT prepay.assign_tariff('A5', 'vat', '2026-03-01'), prepay.assign_tariff('A1', 'vat', '2026-03-01');
SELECT prepay.tick();
SELECT pg_temp.read('M5', '2026-03-02 18:30', 0, false, 1);
SELECT kind, detail FROM pg_temp.alarms WHERE meter = 'M5' AND kind <> 'suspect';
-- Opened by hand and closed by hand again while it may be on: nothing is after a trip.
SELECT pg_temp.read('M1', '2026-03-02 19:00', 0, false), pg_temp.read('M1', '2026-03-02 19:30', 2, true, 9), pg_temp.read('M1', '2026-03-02 20:00', 2, true, 9);
SELECT open_since, flow_wh FROM prepay.meter_watch WHERE meter_id = 1;
-- A meter with its own money: once the order is taken back it closes when it likes.
SELECT pg_temp.switch('O7', '2026-03-03 08:00', 'trip', 'done', false);
SELECT pg_temp.read('O7', '2026-03-03 09:00', 2, true), pg_temp.read('O7', '2026-03-03 09:01', 2, true);
SELECT contrary_samples FROM prepay.meter_watch WHERE meter_id = 7;
SELECT pg_temp.switch('O7', '2026-03-03 09:05', 'prepaid', 'done');
SELECT pg_temp.read('O7', '2026-03-03 10:00', 2, true, 1), pg_temp.read('O7', '2026-03-03 10:30', 2, true, 1), pg_temp.read('O7', '2026-03-03 11:00', 2, true, 1),
	pg_temp.read('O7', '2026-03-03 11:30', 2, true, 1), pg_temp.read('O7', '2026-03-03 12:00', 2, true, 1);
SELECT contrary_samples, open_since, flow_wh FROM prepay.meter_watch WHERE meter_id = 7;
SELECT * FROM prepay.verify();
