-- A ledger-like table of 100 000 rows of 10 columns as a workbook, beside the same rows as CSV. CPU time of the
-- backend is what counts on a busy machine.
\set QUIET on
\pset footer off
CREATE TEMP TABLE row AS
SELECT 'town' AS site, 'A' || g AS account, g AS seq, (ARRAY['sale', 'refund', 'consumption'])[g % 3 + 1] AS kind,
	(g % 90000 * 0.37)::numeric(14,2) AS amount, (g % 70000 * 1.13)::numeric(14,2) AS balance,
	timestamptz '2026-01-01 00:00+08' + g * interval '97 s' AS booked_at, date '2026-01-01' + g % 365 AS day,
	'客户' || g AS customer, g % 2 = 0 AS printed
FROM generate_series(1, 100000) AS g;
CREATE TEMP TABLE sample (side text, seconds numeric);
DO $$
DECLARE
	began timestamptz;
BEGIN
	FOR i IN 1..5 LOOP
		began := clock_timestamp();
		PERFORM length(prepay.xlsx('SELECT * FROM pg_temp.row'));
		INSERT INTO sample VALUES ('xlsx', extract(epoch FROM clock_timestamp() - began));
		began := clock_timestamp();
		COPY pg_temp.row TO '/dev/null' CSV;
		INSERT INTO sample VALUES ('csv', extract(epoch FROM clock_timestamp() - began));
	END LOOP;
END $$;
SELECT round(min(seconds) FILTER (WHERE side = 'xlsx'), 2) AS "xlsx of 100k x 10, s (want < 1.5)",
	round(min(seconds) FILTER (WHERE side = 'csv'), 2) AS "csv, s",
	round(min(seconds) FILTER (WHERE side = 'xlsx') / min(seconds) FILTER (WHERE side = 'csv'), 1) AS ratio
FROM sample;
