-- Tiers by month, quarter and year from any day, over a leap year and the changes of the clock.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'UTC';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2023-12-01 00:00+01';
SELECT prepay.create_site('town', 'Town', 'Europe/Berlin', 'EUR');

CREATE TEMP TABLE kind (code text PRIMARY KEY, accumulate text, months int, month int, day int, upto int[]);
INSERT INTO kind VALUES
	('month01', 'month', 1, 1, 1, '{300, 500}'), ('month29', 'month', 1, 1, 29, '{300, 500}'), ('month31', 'month', 1, 1, 31, '{300, 500}'),
	('day31', 'day_allowance', 1, 1, 31, '{10, 17}'), ('day01', 'day_allowance', 1, 1, 1, '{10, 17}'),
	('quarter0131', 'quarter', 3, 1, 31, '{700, 1500}'), ('quarter0229', 'quarter', 3, 2, 29, '{700, 1500}'), ('quarter1231', 'quarter', 3, 12, 31, '{700, 1500}'),
	('year0101', 'year', 12, 1, 1, '{3000, 7000}'), ('year0131', 'year', 12, 1, 31, '{3000, 7000}'), ('year0229', 'year', 12, 2, 29, '{3000, 7000}'),
	('year1231', 'year', 12, 12, 31, '{3000, 7000}'), ('year0301', 'year', 12, 3, 1, '{3000, 7000}'), ('year0430', 'year', 12, 4, 30, '{3000, 7000}');
SELECT count(prepay.define_tariff(code, jsonb_build_object('prices', '[1, 2, 3]'::jsonb, 'tiers', jsonb_build_object('accumulate', accumulate,
	'anchor', to_char(month, 'fm00-') || to_char(day, 'fm00'), 'upto', to_jsonb(upto))))) FROM kind;
-- Another bound on 29 February alone.
SELECT prepay.define_tariff('leap', '{"seasons": [{"name": "leap", "from": "02-29", "to": "03-01"}, {"name": "rest", "from": "03-01", "to": "02-29"}],
	"tiers": {"accumulate": "month", "upto": {"leap": [10, 680], "rest": [300, 500]}}, "prices": [1, 2, 3]}');
INSERT INTO kind VALUES ('leap', 'month', 1, 1, 1, '{300, 500}');
INSERT INTO prepay.meter (site_id, code) SELECT 1, code FROM kind ORDER BY code;
SELECT count(prepay.open_account('A-' || code, 'Customer', meters => ARRAY['meter:' || code], tariff => code)) FROM kind;

-- 1 kWh an hour for sixteen months, read at whole hours now and then, so that intervals jump bounds and begins.
SET prepay.now = '2025-04-10 00:00+02';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m.meter_id, '2023-12-01 00:00+01'::timestamptz + h * interval '1 hour', h FROM prepay.meter m, (SELECT DISTINCT least(n * (97 + m.meter_id % 5 * 60), 11663) AS h, m.meter_id
	FROM generate_series(0, 121) AS n, prepay.meter m) AS r WHERE r.meter_id = m.meter_id;

-- Hour by hour: the period a local day lies in begins on the last day listed up to it; what it has had decides the tier.
CREATE TEMP TABLE model AS
WITH hour AS (
	SELECT h, (('2023-12-01 00:00+01'::timestamptz + h * interval '1 hour') AT TIME ZONE 'Europe/Berlin')::date AS day FROM generate_series(0, 11662) AS h
), begin AS (
	SELECT k.code, b.begin, lead(b.begin) OVER (PARTITION BY k.code ORDER BY b.begin) AS ends FROM kind k CROSS JOIN LATERAL (
		SELECT m.first + least(k.day, extract(day FROM m.first + interval '1 month' - interval '1 day')::int) - 1 AS begin
		FROM (SELECT f::date AS first FROM generate_series('2022-01-01'::timestamp, '2026-12-01', '1 month') AS f) AS m
		WHERE (extract(month FROM m.first)::int - k.month + 12) % k.months = 0) AS b
), period AS MATERIALIZED (
	SELECT k.code, d.day, b.begin, CASE WHEN k.code = 'leap' AND to_char(d.day, 'MM-DD') = '02-29' THEN '{10, 680}'
		WHEN k.accumulate = 'day_allowance' THEN ARRAY[k.upto[1] * (b.ends - b.begin), k.upto[2] * (b.ends - b.begin)] ELSE k.upto END AS upto
	FROM kind k CROSS JOIN (SELECT DISTINCT day FROM hour) AS d JOIN begin b ON b.code = k.code AND d.day >= b.begin AND d.day < b.ends
), used AS (
	SELECT p.code, p.day, p.upto, row_number() OVER (PARTITION BY p.code, p.begin ORDER BY h.h) - 1 AS before FROM period p JOIN hour h USING (day)
)
SELECT 'A-' || code AS account, day, 1 + (before >= upto[1])::int + (before >= upto[2])::int AS tier, count(*)::numeric AS kwh FROM used GROUP BY 1, 2, 3;
CREATE TEMP TABLE rated AS SELECT account, day, tier, sum(kwh) AS kwh FROM prepay.usage_daily WHERE component = 'energy' GROUP BY 1, 2, 3 HAVING sum(kwh) <> 0;
SELECT account, count(*) AS differences FROM ((SELECT * FROM model EXCEPT SELECT * FROM rated) UNION ALL (SELECT * FROM rated EXCEPT SELECT * FROM model)) AS d GROUP BY account;
SELECT account, sum(kwh) FILTER (WHERE tier = 1) AS first, sum(kwh) FILTER (WHERE tier = 2) AS second, sum(kwh) FILTER (WHERE tier = 3) AS third FROM rated GROUP BY account ORDER BY account;
SELECT account, tier, kwh FROM rated WHERE account IN ('A-leap', 'A-month29', 'A-year0229') AND day BETWEEN '2024-02-28' AND '2024-03-01' ORDER BY account, day, tier;
SELECT * FROM prepay.verify();
