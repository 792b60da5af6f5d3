-- Clocks that change: local days and slots are those of PostgreSQL's own time zones, whatever these did to their clocks.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'UTC';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;

-- A zone is one of the database, by its own name; rules and abbreviations are not.
\set VERBOSITY terse
SELECT prepay.create_site('lower', 'Lower case', 'europe/berlin'), (SELECT timezone FROM prepay.site WHERE code = 'lower') IS NULL AS later;
SELECT timezone FROM prepay.site;
SELECT prepay.create_site('old', 'With digits', 'EST5EDT');
SELECT prepay.create_site('x', 'X', '+08:00');
SELECT prepay.create_site('x', 'X', 'Asia/Shangai');
SELECT prepay.create_site('x', 'X', 'Asia/Shangai+8');
SELECT prepay.create_site('x', 'X', 'CST');
SELECT prepay.create_site('x', 'X', 'CET-1CEST,M3.5.0,M10.5.0/3');
SELECT prepay.create_site('x', 'X', 'localtime');
SELECT prepay.create_site('x', 'X', 'right/UTC');
SELECT prepay.create_site('x', 'X', '../Europe/Berlin');
SELECT prepay.create_site('x', 'X', 'Europe/Berlin ');
SELECT prepay.create_site('x', 'X', '');
SELECT prepay.create_site('x', 'X', repeat('x', 300));
\set VERBOSITY default

-- Some days each around a change: forward and back, north and south, by half an hour and by two, at and over
-- midnight, with a winter time that is the summer's, and days that never were.
CREATE TEMP TABLE change (id int PRIMARY KEY, zone text, first date, last date, what text);
INSERT INTO change SELECT row_number() OVER (), * FROM (VALUES
	('Europe/Berlin', date '2026-03-28', date '2026-03-30', 'spring'), ('Europe/Berlin', '2026-10-24', '2026-10-26', 'autumn'),
	('America/New_York', '2026-03-07', '2026-03-09', 'spring'), ('America/New_York', '2026-10-31', '2026-11-02', 'autumn'),
	('Australia/Lord_Howe', '2026-10-03', '2026-10-05', 'half an hour forward'), ('Australia/Lord_Howe', '2026-04-04', '2026-04-06', 'half an hour back'),
	('America/Sao_Paulo', '2018-11-03', '2018-11-05', 'no midnight'), ('America/Sao_Paulo', '2019-02-16', '2019-02-18', '23:00 twice'),
	('Asia/Kathmandu', '1985-12-31', '1986-01-02', 'a quarter of an hour, for good'), ('Asia/Kathmandu', '2024-02-28', '2024-03-01', 'no change'),
	('Pacific/Apia', '2011-12-28', '2012-01-01', 'no 30 December'), ('Pacific/Kwajalein', '1993-08-20', '1993-08-23', 'no 21 August'),
	('America/St_Johns', '2010-11-06', '2010-11-08', 'back over midnight'), ('America/Havana', '2019-11-02', '2019-11-04', 'midnight twice'),
	('America/Havana', '2019-03-09', '2019-03-11', 'no midnight'), ('Asia/Pyongyang', '2018-05-03', '2018-05-06', 'from 23:30 to midnight'),
	('Africa/Cairo', '2023-04-27', '2023-04-29', 'no midnight'), ('Africa/Cairo', '2023-10-26', '2023-10-28', 'midnight at 24:00'),
	('Africa/Casablanca', '2024-03-09', '2024-03-11', 'Ramadan'), ('Europe/Dublin', '2026-03-28', '2026-03-30', 'winter time'),
	('Antarctica/Troll', '2026-03-28', '2026-03-30', 'two hours'), ('Antarctica/Troll', '2026-10-24', '2026-10-26', 'two hours back'),
	('Pacific/Chatham', '2026-04-04', '2026-04-06', '12:45 to 13:45'), ('Asia/Tehran', '2022-03-21', '2022-03-23', 'no midnight'),
	('Europe/Moscow', '2014-10-25', '2014-10-27', 'back for good'), ('Asia/Shanghai', '1986-05-03', '1986-05-05', 'long ago')) AS v;

-- Slots begin in the hours that some clocks skip or repeat. 1 Wh a second: an interval over all the days, and quarters of an hour.
CREATE TEMP TABLE slot (begin time, ends time, period text);
INSERT INTO slot SELECT begin, lead(begin, 1, '24:00') OVER (ORDER BY begin), period FROM (VALUES (time '00:00', 'a'), ('00:30', 'b'), ('01:15', 'c'), ('02:00', 'd'), ('02:45', 'e'),
	('03:00', 'f'), ('12:00', 'g'), ('22:50', 'h'), ('23:15', 'a'), ('23:59', 'c')) AS v (begin, period);
DO $$
DECLARE
	c record;
	where_ text;
BEGIN
	FOR c IN SELECT *, first::timestamp AT TIME ZONE zone AS t0, (last + 1)::timestamp AT TIME ZONE zone AS t1 FROM change ORDER BY id LOOP
		where_ := 's' || c.id;
		PERFORM set_config('prepay.now', c.t0::text, false);
		PERFORM prepay.create_site(where_, c.what, c.zone);
		PERFORM prepay.define_tariff(where_ || '/t', jsonb_build_object('periods', '["a", "b", "c", "d", "e", "f", "g", "h"]'::jsonb,
			'schedule', jsonb_build_array(jsonb_build_object('slots', (SELECT jsonb_agg(jsonb_build_array(to_char(begin, 'HH24:MI'), period) ORDER BY begin) FROM slot))),
			'prices', '{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8}'::jsonb,
			'standing', '[{"name": "day", "amount": 1, "per": "day"}, {"name": "month", "amount": 31, "per": "month"}]'::jsonb));
		PERFORM prepay.set_setting(where_, 'tariff', 't');
		INSERT INTO prepay.meter (site_id, code) SELECT site_id, 'M' || n FROM prepay.site, generate_series(1, 2) AS n WHERE code = where_;
		PERFORM prepay.open_account(where_ || '/A' || n, 'Customer', meters => ARRAY[where_ || '/M' || n]) FROM generate_series(1, 2) AS n;
		PERFORM set_config('prepay.now', (c.t1 + interval '2 days')::text, false);
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
		SELECT site_id, 1, at, extract(epoch FROM at - c.t0)::numeric / 1000 FROM prepay.site, unnest(ARRAY[c.t0, c.t1]) AS at WHERE code = where_;
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
		SELECT site_id, 2, at, extract(epoch FROM at - c.t0)::numeric / 1000 FROM prepay.site, generate_series(c.t0, c.t1, '15 minutes') AS at WHERE code = where_;
	END LOOP;
END $$;

-- Minute by minute as PostgreSQL tells the time.
CREATE TEMP TABLE model AS
SELECT c.id, w.wall::date AS day, s.period, count(*) * 0.06 AS kwh
FROM change c CROSS JOIN LATERAL generate_series(c.first::timestamp AT TIME ZONE c.zone, (c.last + 1)::timestamp AT TIME ZONE c.zone - interval '1 minute', '1 minute') AS at
CROSS JOIN LATERAL (SELECT at AT TIME ZONE c.zone AS wall) AS w JOIN slot s ON w.wall::time >= s.begin AND w.wall::time < s.ends GROUP BY 1, 2, 3;
CREATE VIEW pg_temp.rated AS
SELECT substr(site, 2)::int AS id, account, day, period, sum(kwh) AS kwh FROM prepay.usage_daily WHERE component = 'energy' GROUP BY 1, 2, 3, 4;
SELECT c.zone, c.what, account, count(*) AS differences FROM change c JOIN
	((SELECT id, account, day, period, kwh FROM model, (VALUES ('A1'), ('A2')) AS a (account) EXCEPT SELECT * FROM pg_temp.rated)
	UNION ALL (SELECT * FROM pg_temp.rated EXCEPT SELECT id, account, day, period, kwh FROM model, (VALUES ('A1'), ('A2')) AS a (account))) AS d USING (id)
GROUP BY c.id, c.zone, c.what, account ORDER BY c.id, account;
-- How long the days were, and what a day and a month cost beside the energy: a day that never was costs nothing.
SELECT c.zone, c.what, string_agg(to_char(day, 'MM-DD') || ' ' || hours, ', ' ORDER BY day) FILTER (WHERE hours <> 24) AS hours
FROM change c JOIN (SELECT id, day, trim_scale(sum(kwh) / 3.6) AS hours FROM pg_temp.rated WHERE account = 'A1' GROUP BY id, day) AS d USING (id) GROUP BY c.id, c.zone, c.what ORDER BY c.id;
SELECT c.zone, c.what, u.item, u.days, u.amount FROM change c JOIN (SELECT substr(site, 2)::int AS id, item, count(DISTINCT day) AS days, sum(amount) AS amount
	FROM prepay.usage_daily WHERE component = 'standing' AND account = 'A1' GROUP BY 1, 2) AS u USING (id)
WHERE u.days <> c.last - c.first + 1 ORDER BY c.id, u.item;
SELECT * FROM prepay.verify();
