-- Time-of-use registers of the meter: where the model maps them they decide which period energy belongs to.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('tou', '{"periods": ["peak", "flat", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["12:00", "flat"], ["22:00", "valley"]]}],
	"prices": {"peak": 1, "flat": 0.6, "valley": 0.3}}');
SELECT prepay.define_tariff('other', '{"periods": ["day", "night"], "schedule": [{"slots": [["00:00", "night"], ["08:00", "day"]]}], "prices": {"day": 1, "night": 0.5}}');
SELECT prepay.define_tariff('one', '{"prices": 1}');
-- acrel-dtsy1352 maps spike, peak, flat and valley in that order, 0.01 kWh a step; the third meter has no model.
INSERT INTO prepay.meter (site_id, code, model) VALUES (1, 'M1', 'acrel-dtsy1352'), (1, 'M2', 'acrel-dtsy1352'), (1, 'M3', NULL), (1, 'M4', 'acrel-dtsy1352');
INSERT INTO prepay.meter (site_id, code, model, ratio) VALUES (1, 'M5', 'acrel-dtsy1352', 30);
SELECT meter_id, period_names, round(period_step_kwh, 3) AS step FROM prepay.meter_term ORDER BY meter_id;
SELECT prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], tariff => t, opening_balance => 1000, key => 'o' || n)
FROM (VALUES (1, 'tou'), (2, 'other'), (3, 'tou'), (4, 'one'), (5, 'tou')) AS a (n, t);
SET prepay.now = '2026-03-02 00:00+08';
-- 06:00 to 14:00 on the 1st: 2 h valley, 4 h peak, 2 h flat by the clock; by the meter 1, 6 and 1 of 8 kWh.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) SELECT 1, m, '2026-03-01 06:00', 100, '{0,40,30,30}' FROM generate_series(1, 5) AS m;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) SELECT 1, m, '2026-03-01 14:00', 108, '{0,46,31,31}' FROM generate_series(1, 5) AS m;
-- A1 and A5 (ratio 30) by the registers; A2 has periods the meter does not know, A3 no map, A4 one period.
SELECT account, period, kwh, price, amount FROM prepay.usage_daily ORDER BY account, period;
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT * FROM prepay.verify();

-- A sum that is not the total's step: held, charges nothing; a step of the display more or less is fine.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-01 15:00', 110, '{0,46,32,31}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 2, '2026-03-01 15:00', 110, '{0,46,32.97,31.00}');
SELECT meter_id, reason, status, kwh FROM prepay.reading_review;
SELECT kind, meter FROM prepay.alarm_active WHERE kind = 'suspect';
-- A register that falls, one that is missing, and the next good reading, which takes all since the last believed one.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-01 15:30', 110, '{0,45,34,31}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-01 16:00', 110, '{0,46,33,31}');
SELECT period, kwh FROM prepay.usage_daily WHERE account = 'A1' ORDER BY period;
-- Not all registers read: shared by the clock; then the registers tell again, from where they were last read to now.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-01 17:00', 111, '{0,46,NULL,31}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 18:00', 112);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-01 19:00', 113, '{0,49,33,31}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-01 20:00', 114, '{0,50,33,31}');
SELECT period, kwh FROM prepay.usage_daily WHERE account = 'A1' ORDER BY period;
SELECT * FROM prepay.verify();

-- What was held can be accepted (its energy is real, its registers are not), rejected, or made a new beginning.
SELECT prepay.resolve_review('town', (SELECT review_id FROM prepay.reading_review WHERE reason = 'period_sum' AND status = 'open'), 'accept');
SELECT reason, status, verdict FROM prepay.reading_review;
SELECT count(*) FROM prepay.alarm_active WHERE kind = 'suspect';
SELECT period, kwh FROM prepay.usage_daily WHERE account = 'A1' ORDER BY period;
SELECT * FROM prepay.verify();

-- Late ones are judged between their neighbours.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 5, '2026-03-01 10:00', 104, '{0,45,30,30}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 5, '2026-03-01 11:00', 105, '{0,43,31,31}');
SELECT meter_id, reason FROM prepay.reading_review WHERE status = 'open';
-- The first 4 kWh now are 5 of peak to the meter: contradicted, so not believed.
SELECT read_at, status FROM prepay.readings WHERE meter = 'M5' ORDER BY read_at;

-- Which register counts what is dated: another model holds from now on, an edited profile changes no history.
UPDATE prepay.meter_model SET profile = replace(profile::text, '"period": "peak"', '"period": "sharp"')::jsonb WHERE code = 'acrel-dtsy1352';
UPDATE prepay.meter SET model = NULL WHERE code = 'M1';
SELECT valid_from, period_names FROM prepay.meter_term WHERE meter_id = 1 ORDER BY valid_from;
SET prepay.now = '2026-03-02 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-02 09:00', 115, '{0,50,34,31}'), (1, 1, '2026-03-02 11:00', 117, '{0,50,36,31}');
SELECT day, period, kwh FROM prepay.usage_daily WHERE account = 'A1' AND day = '2026-03-02' ORDER BY period;
SELECT * FROM prepay.verify();
-- Crafted values.
\set VERBOSITY sqlstate
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 5, '2026-03-02 10:00', 120, '{NaN,1,1,1}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 5, '2026-03-02 10:00', 120, '{-1,1,1,1}'),
	(1, 5, '2026-03-02 10:10', 121, '{}'), (1, 5, '2026-03-02 10:20', 122, '{1,2,3,4,5,6,7,8,9}'), (1, 5, '2026-03-02 10:30', 123, '{{1,2},{3,4}}'),
	(1, 5, '2026-03-02 10:40', 124, '{999999999999.999,999999999999.999,999999999999.999,999999999999.999}');
SELECT read_at, status FROM prepay.readings WHERE meter = 'M5' AND read_at > '2026-03-02' ORDER BY read_at;
SELECT * FROM prepay.verify();
