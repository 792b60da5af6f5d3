-- Public-area energy: master less sub-meters, shared to the last Wh and cent, posted by differences.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-01-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": {"all": 1}}');
SELECT prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.place (site_id, code, kind, parent_id, area_m2) VALUES (1, 'B1', 'building', NULL, NULL), (1, 'F1', 'floor', 1, NULL),
	(1, 'U1', 'unit', 2, 50), (1, 'U2', 'unit', 2, 30.5), (1, 'U3', 'unit', 1, 19.5), (1, 'B2', 'building', NULL, 100);
INSERT INTO prepay.meter (site_id, code, purpose, place_id, ratio) VALUES (1, 'MASTER', 'check', 1, 10), (1, 'LIFT', 'check', 1, 1);
INSERT INTO prepay.meter (site_id, code, place_id) SELECT 1, 'M' || n, CASE n WHEN 4 THEN 1 WHEN 5 THEN 6 ELSE n + 2 END FROM generate_series(1, 5) AS n;
SELECT prepay.open_account('A' || n, 'Customer ' || n, place => CASE n WHEN 5 THEN 'B2' ELSE 'U' || n END, meters => ARRAY['M' || n],
	opening_balance => 100, key => 'o' || n) FROM unnest('{1,2,3,5}'::int[]) AS n;
INSERT INTO prepay.energy_share (site_id, code, place_id, master_meter_id, basis, price) VALUES (1, 'B1', 1, 1, 'area', 0.8),
	(1, 'lift', 1, 2, 'equal', 1.0625);
UPDATE prepay.energy_share SET master_measures = 'public' WHERE code = 'lift';
-- Every midnight: M1 10, M2 5, M3 1 kWh a day, M4 (a vacant shop) 2, M5 (elsewhere) 7; the master 2.001, times 10.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m.id, '2026-01-01 00:00+08', 0 FROM generate_series(1, 7) AS m (id);
CREATE FUNCTION pg_temp.read(until timestamptz) RETURNS void LANGUAGE sql AS $$
	SELECT set_config('prepay.now', until::text, false);
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, m.id, d, m.rate * extract(day FROM d - timestamptz '2026-01-01 00:00+08')
	FROM (VALUES (1, 2.001), (2, 3), (3, 10), (4, 5), (5, 1), (6, 2), (7, 7)) AS m (id, rate),
		generate_series(timestamptz '2026-01-02 00:00+08', until, interval '1 day') AS d
$$;
\set SHOW_CONTEXT never
SELECT account, weight, kwh, amount, posted, difference, master_kwh, sub_kwh, public_kwh FROM prepay.public_energy('town', 'B1');
SELECT pg_temp.read('2026-01-31 00:00+08');
SELECT prepay.post_public_energy('town', 'B1', '2026-01-15');
SET prepay.now = '2026-02-01 00:00+08';
SELECT prepay.post_public_energy('town', 'B1', '2026-01-15');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m.id, '2026-02-01 00:00+08', m.rate * 31 FROM (VALUES (1, 2.001), (2, 3), (3, 10), (4, 5), (5, 1), (6, 2), (7, 7)) AS m (id, rate);
SELECT account, weight, kwh, amount, posted, difference, seq, master_kwh, sub_kwh, public_kwh FROM prepay.public_energy('town', 'B1', '2026-01-31');
SELECT account, kwh, amount, posted, difference, seq > 0 AS posted_now FROM prepay.post_public_energy('town', 'B1', '2026-01-31');
-- Parts add up to the whole; a second run posts nothing.
SELECT sum(kwh) = min(public_kwh) AS all_kwh, sum(amount) = round(min(public_kwh) * 0.8, 2) AS all_money, bool_and(difference = 0 AND seq IS NULL)
FROM prepay.post_public_energy('town', 'B1', '2026-01-01');
SELECT account, month, kwh, amount, run FROM prepay.public_energy_lines ORDER BY account, seq;
SELECT share, month, place, master_meter, basis, price, master_kwh, sub_kwh, public_kwh, amount, accounts, runs FROM prepay.public_energy_months;
SELECT account, kind, amount, day, note FROM prepay.ledger WHERE kind = 'public' ORDER BY account;
SELECT account, month, opening_balance + sales + refunds + transfers + adjustments + credits + debts + usage + reversals + closings + public_energy = closing_balance AS ties
FROM prepay.account_monthly ORDER BY 1, 2;
-- Equal shares by days: the lift's own meter needs no sub-meters.
SELECT account, weight, kwh, amount FROM prepay.public_energy('town', 'lift', '2026-01-31');
-- A master corrected afterwards: the difference is given back. A new price is for new months.
UPDATE prepay.energy_share SET price = 2, basis = 'equal' WHERE code = 'B1';
SELECT prepay.correct_reading('MASTER', '2026-02-01 00:00+08', 61, 'misread');
SELECT account, kwh, price, amount, posted, difference FROM prepay.post_public_energy('town', 'B1', '2026-01-31');
SELECT share, price, basis, master_kwh, public_kwh, amount, runs FROM prepay.public_energy_months;
-- Granted credit pays for public energy first, and gets back first what comes back.
SELECT kind, amount FROM prepay.grant_credit('A2', 10, 'grant');
SELECT prepay.correct_reading('MASTER', '2026-02-01 00:00+08', 62.031, 'read again');
SELECT account, difference FROM prepay.post_public_energy('town', 'B1', '2026-01-31');
SELECT account, amount, left_amount FROM prepay.credits;
-- By energy; a place without area; nobody; a master below its meters.
UPDATE prepay.energy_share SET basis = 'energy', master_measures = 'public', master_meter_id = 2 WHERE code = 'B1';
SET prepay.now = '2026-02-02 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m.id, '2026-02-02 00:00+08', m.rate * 32 FROM (VALUES (2, 3), (3, 10), (4, 5), (5, 1), (6, 2), (7, 7)) AS m (id, rate);
SELECT account, weight, kwh, amount FROM prepay.public_energy('town', 'B1');
UPDATE prepay.energy_share SET basis = 'area' WHERE code = 'B1';
UPDATE prepay.place SET area_m2 = NULL WHERE code = 'U2';
SELECT * FROM prepay.public_energy('town', 'B1');
UPDATE prepay.energy_share SET place_id = 4, basis = 'equal', master_measures = 'whole' WHERE code = 'B1';
SELECT * FROM prepay.public_energy('town', 'B1');
\set VERBOSITY sqlstate
SELECT * FROM prepay.public_energy('town', 'B1', '2026-03-01');
SELECT * FROM prepay.public_energy('town', 'none', '2026-01-01');
SELECT * FROM prepay.public_energy('town', 'B1', 'infinity');
SELECT * FROM prepay.post_public_energy('town', 'B1', '2026-01-01', '{"missing": "ignore"}');
SELECT * FROM prepay.post_public_energy('town', 'lift', '2026-02-01');
SELECT * FROM prepay.reverse('A2', 3, 'r');
UPDATE prepay.energy_share_line SET wh = 0;
\set VERBOSITY default
UPDATE prepay.energy_share SET active = false WHERE code = 'lift';
SELECT * FROM prepay.post_public_energy('town', 'lift', '2026-01-01');
-- A meter that nobody reads any more would be paid for by all.
UPDATE prepay.energy_share SET active = true WHERE code = 'lift';
SET prepay.now = '2026-03-02 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, prepay.now(), 120.06), (1, 2, prepay.now(), 180);
UPDATE prepay.energy_share SET place_id = 1, master_meter_id = 1 WHERE code = 'B1';
SELECT * FROM prepay.post_public_energy('town', 'B1', '2026-02-01');
SELECT account, kwh, amount, difference FROM prepay.post_public_energy('town', 'B1', '2026-02-01', '{"missing": "accept"}');
SELECT * FROM prepay.verify();
-- The dimensions.
SELECT place, kind, parent, building, floor, unit, path, area_m2 FROM prepay.places ORDER BY path;
SELECT prepay.define_tariff('shop', '{"prices": {"all": 2}}');
SELECT prepay.assign_tariff('place:F1', 'shop', '2026-03-01 00:00+08');
SELECT prepay.assign_tariff('meter:M2', 'flat', '2026-03-01 00:00+08');
SELECT meter, account, place, tariff, version, source, assigned_from FROM prepay.meter_tariff ORDER BY meter;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw) VALUES (1, 1, prepay.now() - interval '1 minute', 120.05, 0.5), (1, 3, prepay.now(), 500, 1.5);
UPDATE prepay.meter SET circuit = 'C1' WHERE code IN ('MASTER', 'M1');
SET prepay.now = '2026-03-02 01:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw) VALUES (1, 1, prepay.now(), 120.16, 0.75), (1, 3, prepay.now(), 501, 1.25);
SELECT meter, building, unit, account, register_kwh, load_kw, today_kwh, state FROM prepay.meter_export ORDER BY meter;
SELECT circuit, meters, load_kw, today_kwh, last_read_at FROM prepay.circuit_live ORDER BY circuit;
