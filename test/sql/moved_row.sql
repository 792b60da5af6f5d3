-- Rows of meters are written where they were locked; one that has moved since is found by its key.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai') IS NOT NULL AS created;
SELECT prepay.define_tariff('flat', '{"prices": 0.5}') IS NOT NULL AS defined;
SELECT prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 5) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100, key => 'a' || n))
	FROM generate_series(1, 5) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, '2026-03-01 00:00', 0 FROM generate_series(1, 5) AS n;

-- Accounts are written before meters: from now on that moves some of the meters' rows, or all.
CREATE FUNCTION move_rows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	UPDATE prepay.meter_state SET contact = contact WHERE meter_id >= TG_ARGV[0]::int;
	RETURN NULL;
END $$;
CREATE TRIGGER move_rows AFTER UPDATE ON prepay.account_state FOR EACH STATEMENT EXECUTE FUNCTION move_rows(3);

-- A day ends with each statement, so accounts are written. Neighbours, others, one.
SET prepay.now = '2026-03-02 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, '2026-03-02 00:00', n FROM generate_series(1, 5) AS n;
SELECT meter_id, last_read_at, register_wh FROM prepay.meter_state ORDER BY meter_id;
SET prepay.now = '2026-03-03 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, '2026-03-03 00:00', 2 * n FROM unnest(ARRAY[1, 3, 5]) AS n;
SELECT meter_id, last_read_at, register_wh FROM prepay.meter_state ORDER BY meter_id;
SET prepay.now = '2026-03-04 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 4, '2026-03-04 00:00', 12);
SELECT meter_id, last_read_at, register_wh FROM prepay.meter_state ORDER BY meter_id;
SELECT account, balance FROM prepay.account_status ORDER BY account;

DROP TRIGGER move_rows ON prepay.account_state;
DROP FUNCTION move_rows();
SELECT * FROM prepay.verify();
