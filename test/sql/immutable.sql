-- Rows that are written once stay as they are, for every role.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1');
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 10, key => 'o1');
SET prepay.now = '2026-03-03 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, 1, timestamptz '2026-03-01 00:00+08' + n * interval '12 hours', n FROM generate_series(0, 4) AS n;
SELECT prepay.tick();
SELECT prepay.receipt('A1', 1) IS NOT NULL AS printed;
SELECT (SELECT count(*) > 0 FROM prepay.ledger_entry) AS entries, (SELECT count(*) > 0 FROM prepay.usage_line) AS lines,
	(SELECT count(*) > 0 FROM prepay.anchor) AS anchors;
\set VERBOSITY sqlstate

CREATE FUNCTION pg_temp.attempt(statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE statement;
	RETURN 'done';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT relation, pg_temp.attempt(format('UPDATE prepay.%I SET site_id = site_id', relation)) AS update,
	pg_temp.attempt(format('DELETE FROM prepay.%I', relation)) AS delete,
	pg_temp.attempt(format('TRUNCATE prepay.%I CASCADE', relation)) AS truncate
FROM unnest('{ledger_entry,usage_line,reading,posting,tariff_version,anchor,receipt_print}'::text[]) AS relation;
SELECT pg_temp.attempt('TRUNCATE prepay.reading_default') AS truncate_partition,
	pg_temp.attempt('DELETE FROM prepay.reading_default') AS delete_partition,
	pg_temp.attempt('TRUNCATE prepay.site CASCADE') AS truncate_all,
	pg_temp.attempt('UPDATE prepay.ledger_entry SET amount = amount + 1 WHERE seq = 1') AS raise_amount,
	pg_temp.attempt('UPDATE prepay.reading SET kwh = kwh WHERE kwh = 1') AS touch;
-- Also the month's own partitions, that tick() made.
SELECT pg_temp.attempt(format('TRUNCATE %s', inhrelid::regclass)) AS truncate, count(*) >= 1 AS partitions
FROM pg_inherits WHERE inhparent = 'prepay.reading'::regclass GROUP BY 1;
-- The owner of the storage is refused alike.
SET ROLE prepay_owner;
DELETE FROM prepay.ledger_entry;
UPDATE prepay.reading SET kwh = 0;
TRUNCATE prepay.usage_line;
RESET ROLE;
-- A statement that changes no row is none.
DELETE FROM prepay.ledger_entry WHERE seq > 100;
SELECT count(*), sum(amount) FROM prepay.ledger_entry;
SELECT * FROM prepay.verify();
