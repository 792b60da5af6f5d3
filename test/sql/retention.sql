-- Old readings are dropped: what was charged stays, what comes is charged alike, what is kept stays proven.
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET client_min_messages = notice;
SET prepay.now = '2026-01-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.create_site('port', 'Port', 'Asia/Shanghai');
SELECT prepay.define_tariff('town/zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "quarter", "upto": [300, 600]}, "standing": [{"name": "service", "amount": 0.5, "per": "day"}],
	"prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.define_tariff('port/flat', '{"prices": 0.7}');
SELECT prepay.set_setting('town', 'tariff', 'zj');
SELECT prepay.set_setting('port', 'tariff', 'flat');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 7) AS n;
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'P1');
INSERT INTO prepay.place (site_id, code, kind) VALUES (1, 'B1', 'building');
SELECT count(prepay.open_account('town/A' || n, 'Customer', meters => ARRAY['town/M' || n], opening_balance => 1000,
	key => 'open' || n)) FROM generate_series(1, 4) AS n;
SELECT prepay.open_account('port/P', 'Customer', meters => ARRAY['port/P1'], opening_balance => 1000, key => 'open');
SELECT prepay.add_meter('town/A2', 'town/M5', 10);

-- Ten months of readings: every 8 hours, M2 with a reverse register that it leaves out at times, M3 with one late.
CREATE TEMP TABLE history AS
SELECT site_id, meter_id, at AS read_at, round((meter_id * 10 + n * (1 + meter_id * 0.31) + (n % 4) * 0.2)::numeric, 3) AS kwh,
	CASE WHEN meter_id = 2 AND n % 50 = 0 THEN round(n * 0.125, 3) END AS reverse_kwh, n % 7 <> 0 AS relay_closed
FROM (VALUES (1, 1), (1, 2), (1, 3), (1, 4), (1, 5), (1, 6), (2, 1)) AS m (site_id, meter_id),
	LATERAL (SELECT timestamptz '2026-01-01 01:30+08' + n * interval '8 hours' AS at, n FROM generate_series(0, 999) AS n) AS t;
CREATE PROCEDURE pg_temp.live(first date, last date) LANGUAGE plpgsql AS $$
DECLARE
	d date;
BEGIN
	FOR d IN SELECT generate_series(first, last, '5 days')::date LOOP
		PERFORM set_config('prepay.now', (d + 5)::text || ' 00:00+08', false);
		PERFORM prepay.tick();
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh, relay_closed)
			SELECT * FROM history h WHERE read_at >= d AND read_at < d + 5 AND NOT (site_id = 1 AND meter_id = 3 AND extract(day FROM read_at) = 20)
			ORDER BY read_at, site_id, meter_id;
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh, relay_closed)
			SELECT * FROM history h WHERE read_at >= d AND read_at < d + 5 AND site_id = 1 AND meter_id = 3 AND extract(day FROM read_at) = 20;
	END LOOP;
	WHILE prepay.tick() > 0 LOOP END LOOP;
END $$;
CALL pg_temp.live('2026-01-01', '2026-08-25');
SELECT count(*) FROM prepay.reading;
SELECT * FROM prepay.verify();
-- All that is owed, and how.
CREATE VIEW pg_temp.books AS SELECT
	(SELECT md5(string_agg(l::text, '|' ORDER BY site_id, account_id, seq)) FROM (SELECT site_id, account_id, seq, kind, amount, balance_after, booked_at, day, key, ref_seq FROM prepay.ledger_entry) l) AS ledger,
	(SELECT md5(string_agg(u::text, '|' ORDER BY site, account, meter, day, booked_seq, version, component, period, tier, item)) FROM prepay.usage_daily u) AS usage,
	(SELECT md5(string_agg(s::text, '|' ORDER BY site, account)) FROM (SELECT site, account, balance, last_read_at FROM prepay.account_status) s) AS balances;
CREATE VIEW pg_temp.explained AS SELECT md5(string_agg(e::text, '|' ORDER BY a.code, e::text)) AS md5 FROM prepay.account a,
	LATERAL prepay.explain((SELECT code FROM prepay.site s WHERE s.site_id = a.site_id) || '/' || a.code, '2026-05-01 00:00+08', '2026-08-01 00:00+08') e;
SELECT ledger, usage, balances FROM pg_temp.books \gset before_
SELECT md5 AS explained FROM pg_temp.explained \gset before_
SELECT count(*) AS rows, min(read_at) FROM prepay.reading WHERE site_id = 1 AND meter_id = 1;

-- What may not go yet.
SELECT prepay.drop_readings('2026-02-02');
SELECT prepay.drop_readings('infinity');
SELECT prepay.drop_readings('2030-01-01');
SELECT prepay.drop_readings('2026-05-01'); -- the second quarter is the last whole one
SELECT prepay.drop_readings('2026-04-01'); -- which begins 8 hours earlier, local time
BEGIN;
UPDATE prepay.meter_state SET last_read_at = '2026-02-10 00:00+08' WHERE (site_id, meter_id) = (1, 4);
SELECT prepay.drop_readings('2026-03-01');
ROLLBACK;
BEGIN;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 4, '2026-02-10 00:00+08', 5);
SELECT prepay.drop_readings('2026-03-01');
ROLLBACK;
BEGIN;
INSERT INTO prepay.rerate_queue (site_id, account_id, from_day, reason, queued_at) VALUES (2, 1, '2026-08-01', 'tariff', prepay.now());
SELECT prepay.drop_readings('2026-03-01');
ROLLBACK;
BEGIN;
UPDATE prepay.account_state SET sealed_to = '2026-02-05' WHERE (site_id, account_id) = (1, 3);
SELECT prepay.drop_readings('2026-03-01');
ROLLBACK;
-- Of all sites, so by who has them all.
CREATE ROLE regress_retention LOGIN IN ROLE prepay_admin;
INSERT INTO prepay.operator_site (site_id, operator) VALUES (1, 'regress_retention');
SET ROLE regress_retention;
SELECT prepay.drop_readings('2026-03-01');
RESET ROLE;

-- What would have come without: the same two months, a late reading, a correction, a new price.
CREATE PROCEDURE pg_temp.go_on() LANGUAGE plpgsql AS $$
BEGIN
	CALL pg_temp.live('2026-08-30', '2026-10-19');
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 4, '2026-03-10 06:00+08', kwh + 0.5 FROM history
		WHERE site_id = 1 AND meter_id = 4 AND read_at = '2026-03-10 01:30+08';
	PERFORM prepay.correct_reading('town/M1', '2026-03-15 01:30+08', kwh + 0.25, 'misread') FROM history
		WHERE site_id = 1 AND meter_id = 1 AND read_at = '2026-03-15 01:30+08';
	PERFORM prepay.define_tariff('town/zj', jsonb_set(definition, '{prices,peak}', '[0.6, 0.7, 0.9]'), '2026-03-20 00:00+08', '{"retroactive": true}')
		FROM prepay.tariff_version WHERE site_id = 1 AND version = 1;
	PERFORM prepay.replace_meter('town/M3', 'town/M7', 1743, 3, '2026-10-23 20:00+08');
	WHILE prepay.tick() > 0 LOOP END LOOP;
END $$;
BEGIN;
CALL pg_temp.go_on();
SELECT ledger, usage, balances FROM pg_temp.books \gset twin_
SELECT md5 AS explained FROM pg_temp.explained \gset twin_
SELECT * FROM prepay.verify();
ROLLBACK;

-- They go.
SELECT * FROM prepay.drop_readings('2026-02-01');
SELECT * FROM prepay.drop_readings('2026-02-01');
SELECT * FROM prepay.drop_readings('2026-03-01');
SELECT count(*) AS rows, min(read_at) FROM prepay.reading WHERE site_id = 1 AND meter_id = 1;
SELECT tableoid::regclass, site_id, meter_id, read_at, reverse_kwh IS NOT NULL AS reverse FROM prepay.reading WHERE read_at < '2026-03-01 00:00+00' ORDER BY 2, 3, 4;
SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'prepay.reading'::regclass ORDER BY inhrelid::regclass::text LIMIT 3;
SELECT * FROM prepay.verify();
SELECT a.code, v.* FROM prepay.account a, LATERAL prepay.verify('town', a.code) v WHERE a.site_id = 1;
SELECT ledger = :'before_ledger' AS ledger, usage = :'before_usage' AS usage, balances = :'before_balances' AS balances FROM pg_temp.books;
SELECT md5 = :'before_explained' AS explained FROM pg_temp.explained;
SELECT site_id, kept_from, operator FROM prepay.retention ORDER BY 1, 2;
SELECT action, object, after FROM prepay.operator_log WHERE action = 'drop_readings' ORDER BY log_no;
TRUNCATE prepay.reading_default;
DELETE FROM prepay.reading WHERE read_at < '2026-03-01 00:00+00';

-- What comes is charged as if nothing had gone.
BEGIN;
CALL pg_temp.go_on();
SELECT ledger = :'twin_ledger' AS ledger, usage = :'twin_usage' AS usage, balances = :'twin_balances' AS balances FROM pg_temp.books;
SELECT md5 = :'twin_explained' AS explained FROM pg_temp.explained;
SELECT * FROM prepay.verify();
ROLLBACK;

-- What would change a time of which the readings are gone.
SELECT prepay.correct_reading('town/M1', '2026-02-15 01:30+08', 70, 'misread');
SELECT prepay.correct_reading('town/M1', read_at, kwh + 0.1, 'misread') FROM prepay.reading WHERE site_id = 1 AND meter_id = 1 AND read_at < '2026-03-01 00:00+00';
SELECT prepay.correct_reading('town/M1', read_at, kwh + 0.1, 'misread') FROM (SELECT * FROM prepay.reading
	WHERE site_id = 1 AND meter_id = 1 AND read_at >= '2026-03-01 00:00+00' ORDER BY read_at LIMIT 1) r;
SELECT prepay.define_tariff('town/zj', '{"prices": 0.9}', '2026-02-15 00:00+08', '{"retroactive": true}');
SELECT prepay.assign_tariff('town/A1', 'zj', '2026-02-15 00:00+08');
SELECT prepay.change_meter('town/M1', '{"ratio": 2}', '2026-02-15 00:00+08');
SELECT prepay.add_meter('town/A1', 'town/M6', effective => '2026-02-15 00:00+08');
SELECT count(*) FROM prepay.explain('town/A1', '2026-02-01 00:00+08', '2026-04-01 00:00+08');
SELECT count(*) FROM prepay.backtest('town', '{"prices": 0.9}', '2026-02-01 00:00+08', '2026-04-01 00:00+08');
SELECT count(*) FROM prepay.reading_history('town/M1', '2026-02-01 00:00+08', '2026-03-03 00:00+08');
SELECT count(*) FROM prepay.register_difference('town/M1', '2026-02-01 00:00+08', '2026-03-03 00:00+08');
SELECT count(*) FROM prepay.energy_by_place('town/B1', '2026-02-01 00:00+08', '2026-03-03 00:00+08');
SELECT count(DISTINCT day) FROM prepay.usage_daily WHERE account = 'A1' AND day < '2026-03-01';
\set VERBOSITY terse
-- Late ones are held; of a meter that was never read, too, and they can be rejected alone.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-02-15 04:00+08', 70), (1, 6, '2026-02-15 04:00+08', 70), (1, 7, '2026-02-15 04:00+08', 70),
	(1, 1, '2026-03-01 11:00+08', 270);
SELECT meter_id, read_at, reason, status FROM prepay.reading_review ORDER BY 1, 2;
SELECT prepay.resolve_review('town', min(review_id), 'accept') FROM prepay.reading_review WHERE meter_id = 1;
SELECT prepay.resolve_review('town', min(review_id), 'baseline') FROM prepay.reading_review WHERE meter_id = 7;
SELECT prepay.drop_readings('2026-04-01');
SELECT count(prepay.resolve_review('town', review_id, 'reject')) FROM prepay.reading_review WHERE status = 'open';
SELECT * FROM prepay.verify();
-- A holiday of that time, and a tariff for always, count from the first kept day on.
SELECT ledger, usage, balances FROM pg_temp.books \gset before_
SELECT prepay.assign_tariff('town/A1', 'zj', '-infinity');
SELECT prepay.tick();
SELECT ledger = :'before_ledger' AS ledger, usage = :'before_usage' AS usage FROM pg_temp.books;
-- A tariff of another price for always: days from the first kept one on are charged again.
BEGIN;
SELECT prepay.define_tariff('town/dear', '{"prices": 9}');
SELECT prepay.assign_tariff('town/A1', 'dear', '-infinity');
SELECT min(day), count(DISTINCT day) FROM prepay.usage_daily WHERE account = 'A1' AND tariff = 'dear';
SELECT * FROM prepay.verify();
ROLLBACK;
-- Once more, with what was held.
CALL pg_temp.live('2026-08-30', '2026-10-19');
SELECT * FROM prepay.drop_readings('2026-04-01');
SELECT * FROM prepay.drop_readings('2026-06-01');
SELECT * FROM prepay.verify();

-- What is kept cannot be changed unseen.
CREATE FUNCTION pg_temp.tamper(change text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text;
BEGIN
	BEGIN
		SET session_replication_role = replica;
		EXECUTE change;
		SET session_replication_role = origin;
		SELECT string_agg(DISTINCT invariant, ', ') INTO seen FROM prepay.verify();
		RAISE EXCEPTION USING ERRCODE = 'P0000';
	EXCEPTION WHEN SQLSTATE 'P0000' THEN NULL;
	END;
	RETURN COALESCE(seen, 'MISSED');
END $$;
SELECT what, pg_temp.tamper(what) FROM (VALUES
	('UPDATE prepay.reading SET kw = 3 WHERE site_id = 1 AND meter_id = 1 AND read_at < ''2026-06-01 00:00+00'''),
	('UPDATE prepay.reading SET kwh = kwh + 0.001 WHERE site_id = 1 AND meter_id = 1 AND read_at < ''2026-06-01 00:00+00'''),
	('DELETE FROM prepay.reading WHERE site_id = 1 AND meter_id = 1 AND read_at < ''2026-06-01 00:00+00'''),
	('DELETE FROM prepay.reading WHERE site_id = 1 AND meter_id = 2 AND read_at = (SELECT min(read_at) FROM prepay.reading WHERE site_id = 1 AND meter_id = 2)'),
	('INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, ''2026-02-03 00:00+08'', 60)'),
	('UPDATE prepay.reading SET kw = 3 WHERE site_id = 1 AND meter_id = 1 AND read_at = ''2026-06-10 01:30+08'''),
	('DELETE FROM prepay.reading WHERE site_id = 1 AND meter_id = 3 AND read_at = ''2026-06-20 01:30+08'''),
	('DELETE FROM prepay.reading WHERE site_id = 1 AND meter_id = 6 AND read_at = ''2026-06-10 01:30+08'''),
	('UPDATE prepay.usage_line SET wh = wh + 1 WHERE site_id = 1 AND account_id = 1 AND day = ''2026-02-10'' AND component = ''energy'''),
	('UPDATE prepay.usage_line SET amount = amount + 1 WHERE site_id = 1 AND account_id = 1 AND day = ''2026-08-10'' AND component = ''energy'''),
	('DELETE FROM prepay.reading_late WHERE site_id = 1 AND meter_id = 3 AND late_no = 1'),
	('UPDATE prepay.reading_chain SET readings = readings + 1 WHERE site_id = 1 AND meter_id = 1 AND month = ''2026-06-01'''),
	('UPDATE prepay.reading_kept SET readings = readings + 1 WHERE site_id = 1 AND meter_id = 1'),
	('DELETE FROM prepay.reading_kept WHERE site_id = 1 AND meter_id = 1'),
	('UPDATE prepay.retention SET kept_from = ''2026-08-01 00:00+00'' WHERE site_id = 1 AND kept_from = ''2026-04-01 00:00+00'''),
	('DELETE FROM prepay.retention WHERE site_id = 1')) AS t (what);
SET bytea_output = escape;
SELECT * FROM prepay.verify();
DROP VIEW pg_temp.explained, pg_temp.books;
DELETE FROM prepay.operator_site WHERE operator = 'regress_retention';
DROP ROLE regress_retention;
