-- :accounts households in one building, each with a meter that has been read twice, and a cashier.
SET client_min_messages = warning;
CREATE EXTENSION pg_prepay;
SELECT prepay.install();
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.place (site_id, code, kind) VALUES (1, 'B1', 'building');
CREATE ROLE cashier LOGIN IN ROLE prepay_cashier;
INSERT INTO prepay.operator_site (site_id, operator) VALUES (1, 'cashier');
-- In transactions of 1 000, as an import would.
SELECT format('INSERT INTO prepay.meter (site_id, code) SELECT 1, ''M'' || n FROM generate_series(%1$s, %2$s) AS n;'
	' SELECT count(prepay.open_account(''A'' || n, ''Household'', place => ''B1'', meters => ARRAY[''M'' || n],'
	' opening_balance => 100, key => ''o'' || n)) FROM generate_series(%1$s, %2$s) AS n;'
	' INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, now(), 0 FROM generate_series(%1$s, %2$s) AS n;'
	' INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, clock_timestamp(), 1 FROM generate_series(%1$s, %2$s) AS n',
	first, least(first + 999, :accounts))
FROM generate_series(1, :accounts, 1000) AS first \gexec
-- A step each batch of readings of the ingest beside the sales.
CREATE SEQUENCE public.batch;
