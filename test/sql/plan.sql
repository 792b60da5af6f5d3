-- Plans are made while the tables are empty, and kept: a town that came later is still read by key.
SET client_min_messages = warning;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
\o /dev/null
SELECT prepay.install();
SET prepay.now = '2026-01-05 00:00';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.5, "standing": [{"name": "service", "amount": 0.5, "per": "day", "while_off": true}]}');
SELECT prepay.define_tariff('other', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'flat');

-- Each of these is about one account and its meter.
CREATE TEMP TABLE operation (n int GENERATED ALWAYS AS IDENTITY, sql text, failed text, read_widely text);
INSERT INTO operation (sql) VALUES
	($$INSERT INTO prepay.meter (site_id, code, place_id, gateway_id, unit_id, rated_kw) VALUES (1, 'N' || :n, 1, 1, :n % 255, 10)$$),
	($$INSERT INTO prepay.meter (site_id, code) VALUES (1, 'O' || :n)$$),
	($$SELECT prepay.open_account('B' || :n, 'Customer', place => 'P1', meters => ARRAY['N' || :n], tariff => 'flat', opening_balance => 100, key => 'b' || :n)$$),
	($$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, :n, '2026-01-06 00:00', 10)$$),
	($$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, :n, '2026-01-06 10:00', 11)$$),
	($$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, :n, '2026-01-06 11:00'::timestamptz + h * interval '1 hour', 12 + h FROM generate_series(0, 4) AS h$$),
	($$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, :n, '2026-01-06 10:30', 11.5)$$),
	($$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, :n, '2026-01-06 10:40', 99)$$),
	($$SELECT prepay.resolve_review('town', (SELECT max(review_id) FROM prepay.reading_review), 'reject')$$),
	($$SELECT prepay.correct_reading('M' || :n, '2026-01-06 10:30', 11.4, 'misread')$$),
	($$SELECT prepay.sell('A' || :n, 10, 's' || :n)$$),
	($$SELECT prepay.change_meter('M' || :n, '{"ratio": 2}', '2026-01-06 11:30')$$),
	($$SELECT prepay.assign_tariff('account:A' || :n, 'other', '2026-01-06 12:00')$$),
	($$SELECT prepay.assign_tariff('meter:M' || :n, 'flat', '2026-01-06 13:00')$$),
	($$SELECT prepay.update_account('A' || :n, '{"tier_extra_kwh": 5}')$$),
	($$SELECT prepay.control('M' || :n, 'trip')$$),
	($$SELECT prepay.add_meter('A' || :n, 'O' || :n)$$),
	($$SELECT prepay.remove_meter('A' || :n, 'O' || :n)$$),
	($$SELECT count(*) FROM prepay.explain('A' || :n, '2026-01-05', '2026-01-07')$$),
	($$SELECT count(*) FROM prepay.verify('town', 'A' || :n)$$);

-- Rows this session has read so far of each table.
CREATE VIEW pg_temp.rows_read AS
	SELECT relname, COALESCE(seq_tup_read, 0) + COALESCE(idx_tup_fetch, 0) AS n FROM pg_stat_xact_all_tables WHERE schemaname = 'prepay';
CREATE PROCEDURE pg_temp.work(meter int, measure boolean) LANGUAGE plpgsql AS $$
DECLARE
	o record;
	before jsonb;
BEGIN
	FOR o IN SELECT * FROM operation ORDER BY n LOOP
		before := (SELECT jsonb_object_agg(relname, n) FROM pg_temp.rows_read);
		BEGIN
			EXECUTE replace(o.sql, ':n', meter::text);
		EXCEPTION WHEN OTHERS THEN
			UPDATE operation SET failed = SQLERRM WHERE n = o.n;
		END;
		UPDATE operation SET read_widely = (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_temp.rows_read r
			WHERE r.n - COALESCE((before ->> relname)::int, 0) > 100) WHERE n = o.n AND measure;
	END LOOP;
END $$;
INSERT INTO prepay.place (site_id, kind, code, name) VALUES (1, 'unit', 'P1', 'Unit 1');
INSERT INTO prepay.gateway (site_id, code) VALUES (1, 'G1');
INSERT INTO prepay.meter (site_id, code, rated_kw) VALUES (1, 'M1', 10);
SELECT prepay.open_account('A1', 'Customer', meters => '{M1}', tariff => 'flat', opening_balance => 100, key => 'a1');
SET prepay.now = '2026-01-07 00:00';
CALL pg_temp.work(1, false);
INSERT INTO prepay.place (site_id, kind, code, name) SELECT 1, 'unit', 'P' || g, 'Unit ' || g FROM generate_series(2, 300) AS g;
SET prepay.now = '2026-01-05 00:00';
INSERT INTO prepay.meter (site_id, meter_id, code, place_id, rated_kw) SELECT 1, g, 'M' || g, g, 10 FROM generate_series(4, 300) AS g;
SELECT prepay.open_account('A' || g, 'Customer', place => 'P' || g, meters => ARRAY['M' || g], tariff => 'flat', opening_balance => 100, key => 'a' || g)
	FROM generate_series(4, 300) AS g;
SET prepay.now = '2026-01-07 00:00';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, g, '2026-01-05 12:00', 9 FROM generate_series(4, 300) AS g;
CALL pg_temp.work(250, true);
\o
SELECT n, failed, read_widely FROM operation WHERE failed IS NOT NULL OR read_widely IS NOT NULL ORDER BY n;
SELECT * FROM prepay.verify();
