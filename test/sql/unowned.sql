-- Energy no account pays for: of times when a meter belonged to none, and of check meters. It is never charged
-- and always reported; with what is charged it adds up to what the registers moved. Figures worked out by hand.
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
SELECT prepay.set_setting('town', 'poll_interval', '6 hours');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'P1', 'Shop 1');
CREATE FUNCTION pg_temp.read(code text, at timestamptz, kwh numeric, reverse numeric DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh)
	SELECT 1, meter_id, at, $3, $4 FROM prepay.meter WHERE code = $1;
$$;
CREATE VIEW pg_temp.alarms AS
	SELECT meter, level, raised_at, cleared_at, detail FROM prepay.alarm_history WHERE kind = 'unowned_energy' ORDER BY alarm_id;
-- Set the clock and read.
CREATE FUNCTION pg_temp.at(moment timestamptz, code text, kwh numeric, reverse numeric DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', moment::text, false);
	PERFORM pg_temp.read(code, moment, kwh, reverse);
END $$;

-- Never anybody's: 3 kWh, then 6 over a day of two halves. One alarm, when more than a step of its display has moved.
INSERT INTO prepay.meter (site_id, code, place_id) VALUES (1, 'VACANT', 1);
SELECT pg_temp.at('2026-03-01 00:00+08', 'VACANT', 10), pg_temp.at('2026-03-01 06:00+08', 'VACANT', 10.1);
SELECT count(*) FROM pg_temp.alarms;
SELECT pg_temp.at('2026-03-01 12:00+08', 'VACANT', 13), pg_temp.at('2026-03-02 12:00+08', 'VACANT', 19);
SELECT meter, place, place_name, day, kwh, estimated_kwh, from_time, to_time, since, until FROM prepay.unowned_energy ORDER BY day;
SELECT * FROM pg_temp.alarms;
SELECT count(*) FROM prepay.usage_daily;
-- A step of the display is one before the ratio.
INSERT INTO prepay.meter (site_id, code, ratio) VALUES (1, 'LARGE', 40);
SELECT pg_temp.at('2026-03-02 13:00+08', 'LARGE', 0), pg_temp.at('2026-03-02 14:00+08', 'LARGE', 0.1);
SELECT count(*) FROM pg_temp.alarms WHERE meter = 'LARGE';
SELECT pg_temp.at('2026-03-02 15:00+08', 'LARGE', 0.101);
SELECT raised_at, detail FROM pg_temp.alarms WHERE meter = 'LARGE';
SELECT kwh FROM prepay.unowned_energy WHERE meter = 'LARGE';

-- Let, vacated at noon with its final register, let again at midnight without: 12, 3, and of 12 in as many hours 6 and 6.
INSERT INTO prepay.meter (site_id, code) SELECT 1, code FROM unnest('{LET,LATE,FIXED,OTHER}'::text[]) AS code;
SET prepay.now = '2026-03-03 00:00+08';
SELECT count(prepay.open_account(code, 'Customer', opening_balance => 100, key => code)) FROM unnest('{A,B,C}'::text[]) AS code;
SELECT prepay.add_meter('A', 'LET', 0);
SELECT pg_temp.at('2026-03-03 06:00+08', 'LET', 6);
SET prepay.now = '2026-03-03 12:00+08';
SELECT prepay.remove_meter('A', 'LET', 12);
SELECT pg_temp.at('2026-03-03 18:00+08', 'LET', 15);
SELECT raised_at, cleared_at, detail FROM pg_temp.alarms WHERE meter = 'LET';
SET prepay.now = '2026-03-04 00:00+08';
SELECT prepay.add_meter('B', 'LET');
SELECT raised_at, cleared_at FROM pg_temp.alarms WHERE meter = 'LET';
SELECT pg_temp.at('2026-03-04 06:00+08', 'LET', 27);
SELECT day, kwh, from_time, to_time, since, until FROM prepay.unowned_energy WHERE meter = 'LET' ORDER BY day;
SELECT account, sum(kwh) FROM prepay.usage_daily WHERE meter = 'LET' GROUP BY account ORDER BY account;
-- Vacant once more: an episode of its own, with an alarm of its own.
SELECT prepay.remove_meter('B', 'LET', 27);
SELECT pg_temp.at('2026-03-04 12:00+08', 'LET', 28), pg_temp.at('2026-03-04 18:00+08', 'LET', 29);
SELECT raised_at, cleared_at FROM pg_temp.alarms WHERE meter = 'LET';
SELECT day, kwh, from_time, to_time, since, until FROM prepay.unowned_energy WHERE meter = 'LET' ORDER BY since;
-- Acknowledged: it does not rise again before somebody has had the meter.
SELECT prepay.acknowledge_alarm('town', alarm_id, 'meter room checked') FROM prepay.alarm_active WHERE meter = 'LET';
SELECT state, acknowledged_at, cleared_at, note FROM prepay.alarm_history WHERE meter = 'LET' ORDER BY alarm_id DESC LIMIT 1;
SELECT pg_temp.at('2026-03-05 00:00+08', 'LET', 35);
SELECT count(*) FROM pg_temp.alarms WHERE meter = 'LET';
SELECT prepay.add_meter('C', 'LET', 35);
SET prepay.now = '2026-03-05 06:00+08';
SELECT prepay.remove_meter('C', 'LET', 36);
SELECT pg_temp.at('2026-03-05 12:00+08', 'LET', 37);
SELECT count(*) FROM pg_temp.alarms WHERE meter = 'LET';

-- Told late that it had been vacated: what was charged is given back and reported, the alarm rises with it; told that
-- somebody had it after all: cleared with it.
SELECT prepay.add_meter('A', 'LATE', 0);
SELECT pg_temp.at('2026-03-05 18:00+08', 'LATE', 6), pg_temp.at('2026-03-06 00:00+08', 'LATE', 12);
SELECT prepay.remove_meter('A', 'LATE', 6, '2026-03-05 18:00+08');
SELECT day, kwh, since FROM prepay.unowned_energy WHERE meter = 'LATE';
SELECT sum(kwh) FROM prepay.usage_daily WHERE meter = 'LATE';
SELECT raised_at, cleared_at FROM pg_temp.alarms WHERE meter = 'LATE';
SELECT prepay.add_meter('B', 'LATE', 6, '2026-03-05 18:00+08');
SELECT count(*) FROM prepay.unowned_energy WHERE meter = 'LATE';
SELECT account, sum(kwh) FROM prepay.usage_daily WHERE meter = 'LATE' GROUP BY account ORDER BY account;
SELECT raised_at, cleared_at FROM pg_temp.alarms WHERE meter = 'LATE';
-- A correction takes the cause away, another brings it back.
SELECT pg_temp.at('2026-03-06 01:00+08', 'FIXED', 100), pg_temp.at('2026-03-06 02:00+08', 'FIXED', 150);
SELECT prepay.correct_reading('FIXED', '2026-03-06 02:00+08', 100, 'misread');
SELECT raised_at, cleared_at FROM pg_temp.alarms WHERE meter = 'FIXED';
SELECT count(*) FROM prepay.unowned_energy WHERE meter = 'FIXED';
SELECT prepay.correct_reading('FIXED', '2026-03-06 02:00+08', 101, 'misread after all');
SELECT count(*) FROM pg_temp.alarms WHERE meter = 'FIXED';
SELECT kwh FROM prepay.unowned_energy WHERE meter = 'FIXED';
-- Late readings move the shares, not the sum: 4 of 6 kWh came in the first hour of two.
SELECT pg_temp.at('2026-03-06 23:00+08', 'OTHER', 0), pg_temp.at('2026-03-07 01:00+08', 'OTHER', 6);
SELECT day, kwh FROM prepay.unowned_energy WHERE meter = 'OTHER' ORDER BY day;
SELECT pg_temp.read('OTHER', '2026-03-07 00:00+08', 4);
SELECT day, kwh FROM prepay.unowned_energy WHERE meter = 'OTHER' ORDER BY day;
-- One that waits for review moves nothing.
SELECT pg_temp.at('2026-03-07 02:00+08', 'OTHER', 5);
SELECT sum(kwh) FROM prepay.unowned_energy WHERE meter = 'OTHER';

-- Where vacant units have supply their energy is reported and no alarm.
SELECT prepay.set_setting('town', 'vacant_supply', 'on');
SELECT count(*) FROM prepay.alarm_active WHERE kind = 'unowned_energy';
SELECT pg_temp.at('2026-03-07 03:00+08', 'OTHER', 9);
SELECT count(*) FROM prepay.alarm_active WHERE kind = 'unowned_energy';
SELECT sum(kwh) FROM prepay.unowned_energy WHERE meter = 'OTHER';
SELECT prepay.set_setting('town', 'vacant_supply', NULL);
SELECT pg_temp.at('2026-03-07 04:00+08', 'OTHER', 10);
SELECT meter FROM prepay.alarm_active WHERE kind = 'unowned_energy';

-- Ratio, rollover, reverse energy and a new beginning count as they do when they are charged:
-- (2 + 0.5) x 10, then x 20: 10 over the end of the register, 5 after it began anew.
INSERT INTO prepay.meter (site_id, code, ratio, register_max, rated_kw) VALUES (1, 'ALL', 10, 1000, 300);
SELECT pg_temp.at('2026-03-07 05:00+08', 'ALL', 990, 0), pg_temp.at('2026-03-07 06:00+08', 'ALL', 992, 0.5);
SELECT prepay.change_meter('ALL', '{"ratio": 20}');
SELECT pg_temp.at('2026-03-07 07:00+08', 'ALL', 2, 0.5), pg_temp.at('2026-03-07 08:00+08', 'ALL', 500, 0.5), pg_temp.at('2026-03-07 09:00+08', 'ALL', 505, 0.5);
SELECT prepay.resolve_review('town', review_id, 'baseline') FROM prepay.reading_review WHERE reason = 'spike' AND status = 'open' AND kwh = 500;
SELECT kwh FROM prepay.unowned_energy WHERE meter = 'ALL';

-- Check meters: energy only, by day.
INSERT INTO prepay.meter (site_id, code, name, purpose, ratio, place_id) VALUES (1, 'CHECK', 'Main feed', 'check', 20, 1);
SELECT pg_temp.at('2026-03-07 12:00+08', 'CHECK', 0), pg_temp.at('2026-03-08 12:00+08', 'CHECK', 10);
SELECT site, meter, name, place, day, kwh, estimated_kwh FROM prepay.check_energy ORDER BY day;
SELECT count(*) FROM prepay.unowned_energy WHERE meter = 'CHECK';
SELECT count(*) FROM pg_temp.alarms WHERE meter = 'CHECK';
SELECT count(*) FROM prepay.usage_daily WHERE meter = 'CHECK';

-- All that the registers of whole meters moved is charged, reported as unowned or measured by check meters.
WITH moved AS (
	SELECT meter, (max(COALESCE(corrected_kwh, r.kwh)) - min(COALESCE(corrected_kwh, r.kwh))) * ratio AS kwh FROM prepay.readings r JOIN prepay.meter m ON m.code = meter
	WHERE status = 'accepted' AND meter <> 'ALL' GROUP BY meter, ratio)
SELECT m.meter, m.kwh AS moved, sum(e.kwh) AS accounted FROM moved m LEFT JOIN (
	SELECT meter, kwh FROM prepay.usage_daily WHERE component = 'energy'
	UNION ALL SELECT meter, kwh FROM prepay.unowned_energy UNION ALL SELECT meter, kwh FROM prepay.check_energy) e USING (meter)
GROUP BY m.meter, m.kwh ORDER BY m.meter COLLATE "C";
SELECT * FROM prepay.verify();
-- A gap of a century: every day of it.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'OLD');
SELECT pg_temp.read('OLD', '1926-03-01 00:00+08', 0), pg_temp.read('OLD', '2026-03-01 00:00+08', 36.525);
SELECT count(*), sum(kwh) FROM prepay.unowned_energy WHERE meter = 'OLD';

-- Other sites' energy is nobody's business, asked for by view or by number.
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
CREATE ROLE regress_prepay_mall;
GRANT prepay_analyst TO regress_prepay_mall;
INSERT INTO prepay.operator_site (site_id, operator) VALUES (2, 'regress_prepay_mall');
SET ROLE regress_prepay_mall;
SELECT count(*) FROM prepay.unowned_energy;
SELECT count(*) FROM prepay.check_energy;
SELECT count(*) FROM prepay.unpaid_energy(1, 1);
SELECT count(*) FROM prepay.unpaid_energy(2, 99);
RESET ROLE;
SELECT count(*) FROM prepay.unpaid_energy(1, 99);
SELECT count(*) FROM prepay.unpaid_energy(99, 1);
SELECT count(*) FROM prepay.unpaid_energy(NULL, 1);
DROP OWNED BY regress_prepay_mall;
DROP ROLE regress_prepay_mall;
