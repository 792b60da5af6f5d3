-- Seconds of backtest() per 10 000 meters and milliseconds of explain() over one month of 48 readings a
-- day. psql -v meters=N: the month is loaded for N meters; the figures are scaled to 10 000.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() \g /dev/null
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('bench', 'Bench', 'Asia/Shanghai') \g /dev/null
\set definition '{"periods": ["peak", "flat", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["12:00", "flat"], ["17:00", "peak"], ["22:00", "valley"]]}], "tiers": {"accumulate": "month", "upto": [230, 400]}, "prices": {"peak": [0.568, 0.618, 0.868], "flat": [0.468, 0.518, 0.768], "valley": [0.288, 0.338, 0.588]}, "standing": [{"name": "service", "amount": 0.1, "per": "day"}], "surcharges": [{"name": "fund", "per_kwh": 0.02}]}'
SELECT prepay.define_tariff('home', :'definition') \g /dev/null
SELECT prepay.set_setting('bench', 'tariff', 'home') \g /dev/null
SELECT prepay.tick() \g /dev/null
\echo loading 1 month of :meters meters …
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || g FROM generate_series(1, :meters) AS g;
CREATE PROCEDURE load_month(meters int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. (meters - 1) / 1000 LOOP
		PERFORM prepay.open_account('A' || g, 'C' || g, meters => ARRAY['M' || g], opening_balance => 1000, key => 'o' || g)
		FROM generate_series(i * 1000 + 1, least(meters, i * 1000 + 1000)) AS g;
		COMMIT;
	END LOOP;
	SET prepay.now = '2026-04-01 00:00+08';
	FOR r IN 0 .. 31 * 48 LOOP
		FOR i IN 0 .. (meters - 1) / 1000 LOOP
			INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
			SELECT 1, g, timestamptz '2026-03-01 00:00+08' + r * interval '30 minutes', 100 + r * 0.22 + r * (g % 50) * 0.005
			FROM generate_series(i * 1000 + 1, least(meters, i * 1000 + 1000)) AS g;
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
CALL load_month(:meters);
SET prepay.now = '2026-04-01 00:00+08';
VACUUM ANALYZE;
-- Wall and CPU seconds of the backend so far: a machine is seldom idle.
CREATE VIEW spent AS SELECT extract(epoch FROM clock_timestamp()) AS wall, split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1e9 AS cpu;
SELECT wall AS wall0, cpu AS cpu0 FROM spent \gset
SELECT count(*) FILTER (WHERE difference <> 0) AS differing
FROM prepay.backtest('bench', :'definition', '2026-03-01 00:00+08', '2026-04-01 00:00+08') \gset
SELECT format('backtest of a month, %s meters x 48 readings a day: %s s per 10 000 meters, %s of CPU (reach 30); %s accounts differ under the tariff in force',
	:meters, round((wall - :wall0) * 10000 / :meters, 1), round((cpu - :cpu0) * 10000 / :meters, 1), :differing) FROM spent;
SELECT wall AS wall0, cpu AS cpu0 FROM spent \gset
SELECT count(*) AS rows FROM generate_series(1, 100) AS g
	CROSS JOIN LATERAL prepay.explain('A' || 1 + g % :meters, '2026-03-01 00:00+08', '2026-04-01 00:00+08') \gset
SELECT format('explain of one account''s month, %s rows: %s ms, %s of CPU (reach 20)', :rows / 100, round((wall - :wall0) * 10, 1), round((cpu - :cpu0) * 10, 1)) FROM spent;
