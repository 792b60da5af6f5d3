-- Plans are made while the tables are empty, and kept: a town that came later is still read by key.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
\o /dev/null
SELECT prepay.install();
SET prepay.now = '2026-01-05 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.5}');
SELECT prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.place (site_id, kind, code, name) SELECT 1, 'unit', 'P' || g, 'Unit ' || g FROM generate_series(1, 300) g;
INSERT INTO prepay.meter (site_id, code, place_id) SELECT 1, 'M' || g, g FROM generate_series(1, 300) g;
SELECT prepay.open_account('A1', 'Customer', place => 'P1', meters => '{M1}', tariff => 'flat', opening_balance => 100, key => 'o1');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, prepay.now(), 10);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, g, prepay.now() + interval '1 minute', 10 FROM generate_series(1, 5) g;
SELECT prepay.sell('A1', 10, 's1');
SELECT prepay.open_account('A' || g, 'Customer', place => 'P' || g, meters => ARRAY['M' || g], tariff => 'flat', opening_balance => 100, key => 'o' || g)
	FROM generate_series(2, 299) g;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, g, prepay.now() + interval '2 minutes', 11 FROM generate_series(1, 300) g;
\o

-- What this transaction has read more rows of than one meter and its account can have.
CREATE VIEW pg_temp.read_widely AS
	SELECT relname, seq_tup_read, idx_tup_fetch FROM pg_stat_xact_all_tables
	WHERE schemaname = 'prepay' AND COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) > 40 ORDER BY relname;
SELECT pg_stat_force_next_flush();

BEGIN;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 250, '2026-01-05 00:03+08', 12);
SELECT * FROM pg_temp.read_widely;
COMMIT;
SELECT pg_stat_force_next_flush();
BEGIN;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, g, '2026-01-05 00:04+08', 13 FROM generate_series(200, 204) g;
SELECT * FROM pg_temp.read_widely;
COMMIT;
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT seq, amount, balance FROM prepay.sell('A77', 25, 's77');
SELECT * FROM pg_temp.read_widely;
COMMIT;
SELECT pg_stat_force_next_flush();
BEGIN;
SELECT prepay.open_account('A300', 'Customer', place => 'P300', meters => '{M300}', tariff => 'flat', opening_balance => 100, key => 'o300');
SELECT * FROM pg_temp.read_widely;
COMMIT;
-- The check that its place exists is no exception.
SELECT pg_stat_force_next_flush();
BEGIN;
INSERT INTO prepay.meter (site_id, code, place_id) VALUES (1, 'M301', 300);
SELECT * FROM pg_temp.read_widely;
COMMIT;
