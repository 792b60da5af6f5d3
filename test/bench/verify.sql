-- verify() over a month of a town, loaded through the real functions: 48 readings a day, peak and valley with tiers,
-- a daily standing charge, a sale every fifth day. psql -v meters=N. Figures are scaled to 10 million rows
-- (readings, usage lines, entries, postings and proofs together): the work goes by rows, batch by batch.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() \g /dev/null
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('bench', 'Bench', 'Asia/Shanghai') \g /dev/null
SELECT prepay.define_tariff('home', '{"periods": ["peak", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}], "tiers": {"accumulate": "month", "upto": [230, 400]}, "prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}, "standing": [{"name": "service", "amount": 0.1, "per": "day"}], "surcharges": [{"name": "fund", "per_kwh": 0.02}]}') \g /dev/null
SELECT prepay.set_setting('bench', 'tariff', 'home') \g /dev/null
SELECT prepay.tick() \g /dev/null
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || g FROM generate_series(1, :meters) AS g;
CREATE PROCEDURE load_month(meters int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. (meters - 1) / 1000 LOOP
		PERFORM prepay.open_account('A' || g, 'C' || g, meters => ARRAY['M' || g], opening_balance => 100, key => 'o' || g)
		FROM generate_series(i * 1000 + 1, least(meters, i * 1000 + 1000)) AS g;
		COMMIT;
	END LOOP;
	FOR r IN 0 .. 31 * 48 LOOP
		PERFORM set_config('prepay.now', (timestamptz '2026-03-01 00:00+08' + r * interval '30 minutes')::text, false);
		FOR i IN 0 .. (meters - 1) / 1000 LOOP
			INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
			SELECT 1, g, timestamptz '2026-03-01 00:00+08' + r * interval '30 minutes', 100 + r * 0.22 + r * (g % 50) * 0.005, 0.4, true
			FROM generate_series(i * 1000 + 1, least(meters, i * 1000 + 1000)) AS g;
			COMMIT;
		END LOOP;
		IF r % 240 = 120 THEN
			PERFORM prepay.sell('A' || g, 50, 's' || r || '-' || g) FROM generate_series(1, meters) AS g;
			COMMIT;
		END IF;
		IF r % 48 = 47 THEN
			PERFORM prepay.tick();
			COMMIT;
		END IF;
	END LOOP;
END $$;
\echo loading 1 month of :meters meters …
SELECT clock_timestamp() AS t0 \gset
CALL load_month(:meters);
SELECT format('loaded in %s s', round(extract(epoch FROM clock_timestamp() - :'t0'), 1));
VACUUM ANALYZE;
CREATE VIEW spent AS SELECT extract(epoch FROM clock_timestamp()) AS wall, split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1e9 AS cpu;
SELECT (SELECT count(*) FROM prepay.reading) AS readings, (SELECT count(*) FROM prepay.usage_line) AS lines, (SELECT count(*) FROM prepay.ledger_entry) AS entries,
	(SELECT count(*) FROM prepay.posting) AS postings, (SELECT count(*) FROM prepay.row_proof) AS proofs \gset
\c
SELECT wall AS wall0, cpu AS cpu0 FROM spent \gset
SELECT count(*) AS faults FROM prepay.verify('bench', 'A7') \gset
SELECT format('verify of one account in a new session: %s ms, %s of CPU; %s faults', round((wall - :wall0) * 1e3, 1), round((cpu - :cpu0) * 1e3, 1), :faults) FROM spent;
SELECT wall AS wall0, cpu AS cpu0 FROM spent \gset
SELECT count(v) AS faults FROM generate_series(1, 100) AS g LEFT JOIN LATERAL prepay.verify('bench', 'A' || 1 + g % :meters) v ON true \gset
SELECT format('verify of one account, %s readings, %s lines: %s ms, %s of CPU (reach 10); %s faults', :readings / :meters, :lines / :meters, round((wall - :wall0) * 10, 1), round((cpu - :cpu0) * 10, 1), :faults) FROM spent;
SELECT wall AS wall0, cpu AS cpu0 FROM spent \gset
SELECT count(*) AS faults FROM prepay.verify('bench') \gset
SELECT format('verify of the site: %s readings, %s lines, %s entries, %s postings, %s proofs in %s s, %s of CPU: %s rows/s, 10 million in %s s, %s of CPU (reach 60); %s faults',
	:readings, :lines, :entries, :postings, :proofs, round(wall - :wall0, 2), round(cpu - :cpu0, 2), round(n / (wall - :wall0)), round((wall - :wall0) * 1e7 / n, 1), round((cpu - :cpu0) * 1e7 / n, 1), :faults)
FROM spent, (SELECT :readings + :lines + :entries + :postings + :proofs::numeric AS n) AS r;
\pset format aligned
