-- Speed of reports over :accounts accounts, each with a meter, 1 000 to a building, and :entries ledger entries over
-- a year: written by generate_series with the triggers off, so the rows say nothing but what the reports need.
-- Each figure stands beside the same question asked of the same rows in plain SQL. psql -v accounts=N -v entries=N.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() \g /dev/null
SET prepay.now = '2026-12-31 12:00+08';
SELECT prepay.create_site('books', 'Books', 'Asia/Shanghai') \g /dev/null
SELECT prepay.define_tariff('flat', '{"prices": 0.6}') \g /dev/null
SELECT prepay.set_setting('books', 'tariff', 'flat') \g /dev/null
SELECT prepay.tick() \g /dev/null
-- One account through the functions: its state is the pattern of all.
INSERT INTO prepay.place (site_id, kind, code) VALUES (1, 'building', 'B1');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1');
SELECT prepay.open_account('A1', 'Customer', place => 'B1', meters => '{M1}', opening_balance => 100, key => 'o1') \g /dev/null
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw) VALUES (1, 1, '2026-12-31 12:00+08', 0, 0.4);
SET prepay.now = '2026-12-31 13:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw) VALUES (1, 1, '2026-12-31 13:00+08', 1, 0.4);
\echo writing :accounts accounts and :entries entries …
SET session_replication_role = replica;
SET synchronous_commit = off;
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS meter_columns FROM pg_attribute WHERE attrelid = 'prepay.meter'::regclass AND attnum > 4 AND NOT attisdropped \gset
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS ms_columns FROM pg_attribute WHERE attrelid = 'prepay.meter_state'::regclass AND attnum > 3 AND NOT attisdropped \gset
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS mc_columns FROM pg_attribute WHERE attrelid = 'prepay.meter_control'::regclass AND attnum > 2 AND NOT attisdropped \gset
SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) AS as_columns FROM pg_attribute WHERE attrelid = 'prepay.account_state'::regclass AND attnum > 2 AND NOT attisdropped \gset
INSERT INTO prepay.place (site_id, place_id, kind, code) SELECT 1, g, 'building', 'B' || g FROM generate_series(2, 1 + :accounts / 1000) AS g;
INSERT INTO prepay.meter (site_id, meter_id, code, name, :meter_columns) SELECT 1, g, 'M' || g, name, :meter_columns FROM prepay.meter, generate_series(2, :accounts) AS g WHERE meter_id = 1;
INSERT INTO prepay.meter_state (site_id, meter_id, account_id, :ms_columns) SELECT 1, g, g, :ms_columns FROM prepay.meter_state, generate_series(2, :accounts) AS g WHERE meter_id = 1;
INSERT INTO prepay.meter_control (site_id, meter_id, :mc_columns) SELECT 1, g, :mc_columns FROM prepay.meter_control, generate_series(2, :accounts) AS g WHERE meter_id = 1;
INSERT INTO prepay.account (site_id, account_id, code, customer, place_id, opened_at, opened_by)
	SELECT 1, g, 'A' || g, 'Customer ' || g, 1 + g / 1000, opened_at, opened_by FROM prepay.account, generate_series(2, :accounts) AS g WHERE account_id = 1;
INSERT INTO prepay.account_meter (site_id, meter_id, valid_from, account_id) SELECT 1, g, valid_from, g FROM prepay.account_meter, generate_series(2, :accounts) AS g WHERE account_id = 1;
INSERT INTO prepay.account_state (site_id, account_id, :as_columns) SELECT 1, g, :as_columns FROM prepay.account_state, generate_series(2, :accounts) AS g WHERE account_id = 1;
-- Of ten entries one is a sale; the days come in order, as they do in life.
INSERT INTO prepay.ledger_entry (site_id, account_id, seq, kind, amount, balance_after, booked_at, recorded_at, day, key, operator, tender, till, receipt_no, hash, purchase_no, price)
	SELECT 1, 1 + g % :accounts, 2 + g / :accounts, CASE WHEN sold THEN 'sale' ELSE 'consumption' END, CASE WHEN sold THEN 50 ELSE -5.55 END::numeric(12,2), 100.00,
		at, at, (at AT TIME ZONE 'Asia/Shanghai')::date, CASE WHEN sold THEN 's' || g END, CASE WHEN sold THEN 'cashier' || g / 10 % 12 ELSE 'meter' END,
		CASE WHEN sold THEN (ARRAY['cash', 'alipay', 'wechat'])[1 + g / 10 % 3] END, CASE WHEN sold THEN 'till' || g / 10 % 12 END, CASE WHEN sold THEN g / 10 END,
		'\x00', CASE WHEN sold THEN 1 + g / :accounts END, CASE WHEN sold THEN 0.6 END
	FROM (SELECT g, g % 10 = 3 AS sold, timestamptz '2026-01-01 00:00+08' + g * (interval '364 days' / :entries) AS at FROM generate_series(0, :entries - 2) AS g) AS x;
RESET session_replication_role;
VACUUM (FREEZE, ANALYZE);
-- Best of five, in ms, for what is asked and for its baseline.
CREATE PROCEDURE timed(what text, ours text, plain text, reach int) LANGUAGE plpgsql AS $$
DECLARE
	t timestamptz;
	best numeric[] := '{1e9,1e9}';
	n bigint[] := '{0,0}';
	r bigint;
BEGIN
	FOR i IN 1 .. 5 LOOP
		FOR k IN 1 .. 2 LOOP
			t := clock_timestamp();
			EXECUTE CASE k WHEN 1 THEN ours ELSE plain END;
			GET DIAGNOSTICS r = ROW_COUNT;
			n[k] := r;
			best[k] := least(best[k], 1000 * extract(epoch FROM clock_timestamp() - t));
		END LOOP;
	END LOOP;
	RAISE NOTICE '%: % ms (reach %), % rows; plain SQL % ms, % rows: % x', what, round(best[1], 1), reach, n[1], round(best[2], 1), n[2], round(best[1] / best[2], 2);
END $$;
SET client_min_messages = notice;
\set VERBOSITY terse
CALL timed('account_status of one building', $$SELECT * FROM prepay.account_status WHERE place = 'B77'$$,
	$$SELECT a.code, a.customer, p.code, s.posted_minor, m.last_read_at, m.kw FROM prepay.place p JOIN prepay.account a USING (site_id, place_id) JOIN prepay.account_state s USING (site_id, account_id)
		JOIN prepay.meter_state m USING (site_id, account_id) WHERE p.code = 'B77'$$, 50);
CALL timed('account_status of one building, by its site', $$SELECT * FROM prepay.account_status WHERE site = 'books' AND place = 'B77'$$,
	$$SELECT a.code, a.customer, p.code, s.posted_minor, m.last_read_at, m.kw FROM prepay.site t JOIN prepay.place p USING (site_id) JOIN prepay.account a USING (site_id, place_id)
		JOIN prepay.account_state s USING (site_id, account_id) JOIN prepay.meter_state m USING (site_id, account_id) WHERE t.code = 'books' AND p.code = 'B77'$$, 50);
CALL timed('sales_monthly of one month', $$SELECT * FROM prepay.sales_monthly WHERE month = '2026-07-01'$$,
	$$SELECT operator, tender, count(*), sum(amount + COALESCE(fee, 0)) FROM prepay.ledger_entry WHERE site_id = 1 AND tender IS NOT NULL AND day >= '2026-07-01' AND day < '2026-08-01' GROUP BY 1, 2$$, 2000);
CALL timed('sales_monthly of all months', $$SELECT * FROM prepay.sales_monthly$$,
	$$SELECT date_trunc('month', day), operator, tender, count(*), sum(amount + COALESCE(fee, 0)) FROM prepay.ledger_entry WHERE site_id = 1 AND tender IS NOT NULL GROUP BY 1, 2, 3$$, 2000);
CALL timed('sales_daily of one day', $$SELECT * FROM prepay.sales_daily WHERE day = '2026-07-09'$$,
	$$SELECT operator, tender, count(*), sum(amount + COALESCE(fee, 0)) FROM prepay.ledger_entry WHERE site_id = 1 AND tender IS NOT NULL AND day = '2026-07-09' GROUP BY 1, 2$$, 2000);
CALL timed('sales_yearly', $$SELECT * FROM prepay.sales_yearly WHERE year = 2026$$,
	$$SELECT operator, tender, count(*), sum(amount + COALESCE(fee, 0)) FROM prepay.ledger_entry WHERE site_id = 1 AND tender IS NOT NULL AND day >= '2026-01-01' AND day < '2027-01-01' GROUP BY 1, 2$$, 2000);
