-- Readings that are refused, and readings that are stored but wait for a person.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-02 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.meter (site_id, code, register_max, rated_kw) SELECT 1, 'M' || n, 10000, 10 FROM generate_series(1, 3) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100,
	key => 'open' || n)) FROM generate_series(1, 3) AS n;
SET prepay.now = '2026-03-03 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 10:00+08', 100);
\set VERBOSITY sqlstate

-- Refused with their statement: unknown meter or site, no number, no time, the same moment twice.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 9, '2026-03-02 11:00+08', 1);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (9, 1, '2026-03-02 11:00+08', 1);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 11:00+08', 'NaN');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 11:00+08', 'Infinity');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 11:00+08', '-Infinity');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 11:00+08', 1e30);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 11:00+08', NULL);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, 'infinity', 101);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, NULL, 101);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh) VALUES (1, 1, '2026-03-02 11:00+08', 101, 'NaN');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, period_kwh) VALUES (1, 1, '2026-03-02 11:00+08', 101, '{1,NaN}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw) VALUES (1, 1, '2026-03-02 11:00+08', 101, 'NaN');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 10:00+08', 100);
-- One bad row refuses its whole statement.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
VALUES (1, 1, '2026-03-02 11:00+08', 101), (1, 2, '2026-03-02 11:00+08', 1), (1, 9, '2026-03-02 11:00+08', 1);
COPY prepay.reading (site_id, meter_id, read_at, kwh) FROM stdin;
1	1	2026-03-02 11:00+08	101
1	9	2026-03-02 11:00+08	1
\.
SELECT count(*) FROM prepay.reading;
SELECT count(*) FROM prepay.usage_daily;

-- Stored and held: negative, beyond the modulus, from the future, a fall, a spike.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES
	(1, 1, '2026-03-02 11:00+08', -5), (1, 1, '2026-03-02 11:10+08', 10000), (1, 1, '2026-03-02 11:20+08', 12345.678),
	(1, 1, '2026-03-02 11:30+08', 50), (1, 1, '2026-03-02 11:40+08', 900), (1, 1, '2026-03-03 00:05:00.000001+08', 101),
	(1, 1, '2026-03-09 00:00+08', 102);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh) VALUES (1, 1, '2026-03-02 11:50+08', 101, -1);
SELECT read_at, kwh, status FROM prepay.readings WHERE meter = 'M1' ORDER BY read_at;
-- One open review per meter and reason; later readings attach to it.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 12:00+08', -6);
SELECT reason, status, readings, read_at, last_read_at, kwh FROM prepay.reading_review ORDER BY review_id;
SELECT count(*) FROM prepay.usage_daily;
SELECT account, balance, last_read_at FROM prepay.account_status WHERE account = 'A1';

-- None of them became the baseline: the next good one goes on from 100. Five minutes of drift are fine.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 13:00+08', 101);
SELECT kwh, amount FROM prepay.usage_daily;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, '2026-03-03 00:05+08', 7);
SELECT status FROM prepay.readings WHERE meter = 'M2';

-- A first reading that is no value is no baseline.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES
	(1, 3, '2026-03-02 10:00+08', -1), (1, 3, '2026-03-02 11:00+08', 500), (1, 3, '2026-03-02 12:00+08', 501);
SELECT kwh, amount FROM prepay.usage_daily WHERE meter = 'M3';

-- What a held reading shows besides energy is not lost: COPY with all columns, and zero rows.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 1, now(), 1 WHERE false;
COPY prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh, period_kwh, kw, relay_closed, meter_balance, purchase_count, meter_clock, source) FROM stdin;
1	3	2026-03-02 13:00+08	502.005	0	{500.001,2.004}	1.234	t	12.34	7	2026-03-02 13:00:01+08	file
\.
SELECT r.kwh, s.kw, s.relay, s.last_read_at FROM prepay.meter_status s JOIN prepay.readings r USING (meter)
WHERE meter = 'M3' AND read_at = last_read_at;
-- Any time can be stored: no partition has to be made first.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, '1999-12-31 23:59+08', 1), (1, 2, '2026-02-28 00:00+08', 2);
SELECT tableoid::regclass, count(*) FROM prepay.reading GROUP BY tableoid ORDER BY count(*) DESC LIMIT 1;
SELECT * FROM prepay.verify();
