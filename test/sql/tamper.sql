-- A superuser with the triggers switched off changes each column of a row, drops and adds rows: verify() finds each.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"upto": [20, 40]}, "prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'zj');
INSERT INTO prepay.meter (site_id, code, rated_kw) SELECT 1, 'M' || n, 50 FROM generate_series(1, 3) AS n;
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1,M2}', opening_balance => 100, key => 'o1'),
	prepay.open_account('A2', 'Li', meters => '{M3}', opening_balance => 50, key => 'o2', tariff => 'flat');
SET prepay.now = '2026-03-03 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, timestamptz '2026-03-01 00:00+08' + n * interval '3 hours', m * (1.7 * n + 0.4 * (n % 2)) FROM generate_series(1, 3) AS m, generate_series(0, 20) AS n;
SELECT prepay.sell('A1', 20, 's1', note => 'first') IS NOT NULL AS sold, prepay.sell('A2', 30, 's2') IS NOT NULL AS sold;
SELECT prepay.update_account('A1', '{"phone": "13800000001"}') IS NOT NULL, prepay.update_account('A2', '{"phone": "13800000002"}') IS NOT NULL;
SELECT prepay.add_debt('A1', 15, 'd1') IS NOT NULL, prepay.grant_credit('A2', 7, 'c1') IS NOT NULL, prepay.sell('A1', 5, 's3') IS NOT NULL;
SELECT length(prepay.receipt('A1', 1)) > 0 AS printed;
SELECT prepay.correct_reading('M3', '2026-03-02 09:00+08', 56, 'misread') IS NOT NULL;
SELECT prepay.tick();
SET prepay.now = '2026-03-05 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, timestamptz '2026-03-01 00:00+08' + n * interval '3 hours', m * (1.7 * n + 0.4 * (n % 2)) FROM generate_series(1, 3) AS m, generate_series(21, 34) AS n;
SELECT prepay.tick();
SELECT prepay.sell('A1', 4, 's4') IS NOT NULL AS sold, prepay.sell('A2', 3, 's5') IS NOT NULL AS sold;
SELECT * FROM prepay.verify();

CREATE FUNCTION pg_temp.tamper(statement text) RETURNS TABLE (seen text, detail text) LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	BEGIN
		SET LOCAL session_replication_role = replica;
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
		SET LOCAL session_replication_role = origin;
		SELECT string_agg(DISTINCT concat_ws(' ', v.account, v.invariant), ', '), min(v.detail) FILTER (WHERE v.invariant IN ('row', 'posting'))
		INTO seen, detail FROM prepay.verify() v;
		IF n = 0 THEN
			seen := 'NOTHING WAS CHANGED';
		END IF;
		RAISE EXCEPTION USING ERRCODE = 'P0000';
	EXCEPTION
		WHEN SQLSTATE 'P0000' THEN
			NULL;
		WHEN unique_violation OR check_violation THEN
			seen := 'the row is refused';
	END;
	seen := COALESCE(seen, 'MISSED');
	RETURN NEXT;
END $$;
-- Tables, and columns of which verify() cannot know: what the ledger's entries and the hashes do not cover.
CREATE TEMP TABLE target AS SELECT t, unknown FROM (VALUES
	('account_meter', '{}'::text[]), ('credit', '{}'), ('debt', '{}'), ('ledger_entry', '{}'), ('meter_term', '{}'),
	('operator_log', '{}'), ('operator_log_anchor', '{}'), ('posting', '{balance,debt}'), ('reading_correction', '{}'), ('receipt_print', '{}'), ('tariff', '{}'), ('tariff_assignment', '{}'),
	('tariff_price', '{}'), ('tariff_version', '{}'), ('usage_line', '{booked_day,booked_seq,estimated_wh}')) AS x (t, unknown);
CREATE TEMP VIEW target_column AS
SELECT t, a.attnum, a.attname AS c, CASE a.atttypid::regtype::text WHEN 'text' THEN format('COALESCE(%I, '''') || ''x''', a.attname)
	WHEN 'bytea' THEN format('sha256(%I)', a.attname) WHEN 'jsonb' THEN format('COALESCE(jsonb_set(%I, ''{extra}'', ''1''), ''{}'')', a.attname)
	WHEN 'date' THEN format('COALESCE(%I, ''2026-03-02'') + 1', a.attname) WHEN 'text[]' THEN '''{x}'''
	WHEN 'timestamp with time zone' THEN format('CASE WHEN isfinite(%1$I) THEN %1$I + interval ''7 minutes'' ELSE ''2026-03-02 00:01+08'' END', a.attname)
	ELSE format('COALESCE(%I, 0) + 1', a.attname) END AS other,
	(SELECT string_agg(quote_ident(b.attname), ', ' ORDER BY b.attnum) FROM pg_index i JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = ANY (i.indkey)
	WHERE i.indrelid = a.attrelid AND i.indisprimary) AS key
FROM target JOIN pg_attribute a ON a.attrelid = ('prepay.' || t)::regclass AND a.attnum > 0 AND a.attgenerated = '' AND a.attname <> ALL (unknown);
\pset format unaligned
\pset tuples_only
-- A row in the middle, each column.
SELECT t, c, seen FROM target_column, LATERAL pg_temp.tamper(format(
	'UPDATE prepay.%1$I SET %2$I = %3$s WHERE ctid = (SELECT ctid FROM prepay.%1$I ORDER BY %4$s OFFSET (SELECT count(*) / 3 FROM prepay.%1$I) LIMIT 1)', t, c, other, key)) ORDER BY t COLLATE "C", attnum;
-- A row in the middle and the last one lost; all of them.
SELECT DISTINCT ON (t COLLATE "C", n) t, part, seen, detail FROM target_column, (VALUES (2, 'middle', 'OFFSET (SELECT count(*) / 2 FROM prepay.%1$I) LIMIT 1'),
	(3, 'last', 'OFFSET (SELECT count(*) - 1 FROM prepay.%1$I)'), (4, 'all', 'OFFSET 0')) AS p (n, part, which),
	LATERAL pg_temp.tamper(format('DELETE FROM prepay.%1$I WHERE ctid IN (SELECT ctid FROM prepay.%1$I ORDER BY %2$s ' || which || ')', t, key)) ORDER BY t COLLATE "C", n;
-- A row added: a copy under another key.
SELECT t, seen, detail FROM (VALUES ('account_meter', 'valid_from', '''2026-02-01 00:00+08'''), ('credit', 'seq', '90'), ('debt', 'seq', '90'),
	('ledger_entry', 'seq', '90'), ('meter_term', 'valid_from', '''2026-03-02 00:00+08'''), ('operator_log', 'log_no', '90'), ('operator_log_anchor', 'anchor_id', '90'), ('posting', 'key', '''forged'''), ('reading_correction', 'correction', '90'),
	('receipt_print', 'print_no', '90'), ('tariff', 'tariff_id', '90'), ('tariff_assignment', 'assignment', '90'), ('tariff_price', 'tier', '90'), ('tariff_version', 'version', '90'),
	('usage_line', 'item', '90')) AS x (t, c, value), LATERAL pg_temp.tamper(format('INSERT INTO prepay.%1$I (%2$s) SELECT %3$s FROM prepay.%1$I ORDER BY %4$s LIMIT 1', t,
	(SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('prepay.' || t)::regclass AND attnum > 0 AND attgenerated = ''),
	(SELECT string_agg(CASE attname WHEN c THEN value WHEN 'receipt_no' THEN 'NULL' ELSE quote_ident(attname) END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('prepay.' || t)::regclass AND attnum > 0 AND attgenerated = ''),
	(SELECT min(key) FROM target_column k WHERE k.t = x.t))) ORDER BY t COLLATE "C";
\pset tuples_only
\pset format aligned
-- All that has been undone.
SELECT * FROM prepay.verify();
