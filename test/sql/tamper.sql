-- A superuser with the triggers switched off changes each column of a row, drops and adds rows: verify() finds each.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-02-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"upto": [20, 40]}, "prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
-- A month's public energy that one household bears.
INSERT INTO prepay.place (site_id, code, kind, area_m2) VALUES (1, 'B1', 'building', 50);
INSERT INTO prepay.meter (site_id, code, purpose, place_id) VALUES (1, 'MASTER', 'check', 1), (1, 'SHARED', 'prepaid', 1);
SELECT prepay.open_account('SHARER', 'Wu', place => 'B1', meters => '{SHARED}', opening_balance => 60, key => 'o3', tariff => 'flat');
INSERT INTO prepay.energy_share (site_id, code, place_id, master_meter_id, basis, price) VALUES (1, 'B1', 1, 1, 'area', 0.8);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-02-01 00:00+08', 0), (1, 2, '2026-02-01 00:00+08', 0);
SET prepay.now = '2026-03-01 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 00:00+08', 40), (1, 2, '2026-03-01 00:00+08', 25);
SELECT kwh, amount, seq > 0 AS posted FROM prepay.post_public_energy('town', 'B1', '2026-02-01');
SELECT prepay.set_setting('town', 'tariff', 'zj');
INSERT INTO prepay.meter (site_id, code, rated_kw) SELECT 1, 'M' || n, 50 FROM generate_series(1, 3) AS n;
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1,M2}', opening_balance => 100, key => 'o1'),
	prepay.open_account('A2', 'Li', meters => '{M3}', opening_balance => 50, key => 'o2', tariff => 'flat');
SET prepay.now = '2026-03-03 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m + 2, timestamptz '2026-03-01 00:00+08' + n * interval '3 hours', m * (1.7 * n + 0.4 * (n % 2)) FROM generate_series(1, 3) AS m, generate_series(0, 20) AS n;
SELECT prepay.sell('A1', 20, 's1', note => 'first') IS NOT NULL AS sold, prepay.sell('A2', 30, 's2') IS NOT NULL AS sold;
SELECT prepay.update_account('A1', '{"phone": "13800000001"}') IS NOT NULL, prepay.update_account('A2', '{"phone": "13800000002"}') IS NOT NULL;
SELECT prepay.add_debt('A1', 15, 'd1') IS NOT NULL, prepay.grant_credit('A2', 7, 'c1') IS NOT NULL, prepay.sell('A1', 5, 's3') IS NOT NULL;
SELECT length(prepay.receipt('A1', 1)) > 0 AS printed;
SELECT prepay.correct_reading('M3', '2026-03-02 09:00+08', 56, 'misread') IS NOT NULL;
SELECT prepay.tick();
SET prepay.now = '2026-03-05 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m + 2, timestamptz '2026-03-01 00:00+08' + n * interval '3 hours', m * (1.7 * n + 0.4 * (n % 2)) FROM generate_series(1, 3) AS m, generate_series(21, 34) AS n;
-- One comes late, one is suspect; a shift is over, another is open.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed, source) VALUES (1, 3, '2026-03-02 10:30+08', 19.3, 2.5, true, 'by hand');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, meter_balance, purchase_count, meter_clock) VALUES (1, 5, '2026-03-05 11:30+08', 99999, 12.5, 3, '2026-03-05 11:29+08');
SELECT prepay.open_shift(100) IS NOT NULL AS opened, prepay.close_shift(100) IS NOT NULL AS closed, prepay.open_shift(50) IS NOT NULL AS opened;
SELECT prepay.tick();
SELECT prepay.sell('A1', 4, 's4') IS NOT NULL AS sold, prepay.sell('A2', 3, 's5') IS NOT NULL AS sold;
SELECT * FROM prepay.drop_readings('2026-01-01');
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
		SELECT string_agg(DISTINCT concat_ws(' ', v.account, v.invariant), ', '), replace(min(v.detail) FILTER (WHERE v.invariant IN ('row', 'posting', 'reading', 'anchor')), session_user, 'mine')
		INTO seen, detail FROM prepay.verify() v;
		IF n = 0 THEN
			seen := 'NOTHING WAS CHANGED';
		END IF;
		RAISE EXCEPTION USING ERRCODE = 'P0000';
	EXCEPTION
		WHEN SQLSTATE 'P0000' THEN
			NULL;
		WHEN unique_violation OR check_violation OR not_null_violation THEN
			seen := 'the row is refused';
	END;
	seen := COALESCE(seen, 'MISSED');
	RETURN NEXT;
END $$;
-- What of the storage is not proven, and why; a table or column that is neither here nor seen below fails the test.
CREATE TEMP TABLE exempt (t text, c text, why text);
INSERT INTO exempt SELECT t, NULL, why FROM (VALUES
	('set-up: plain tables that people change as they like; what is rated by them is rated anew, what is dated is in proven tables',
		'{installation,site,setting,place,energy_share,operator_site,holiday,meter_model,agent,gateway,meter,supply_policy,switch_schedule,receipt_template,message_template}'::text[]),
	('names and terms of people; each change is a row of operator_log, which is proven', '{account}'),
	('contact, commands, alarms and messages: neither money nor energy', '{agent_spool,agent_absence,gateway_state,contact_check,alarm,meter_control,meter_watch,command,command_batch,trip_brake,trip_confirmation,notification}'),
	('which part of a proven balance is in a meter: added up against entries and commands, see metermode', '{meter_purse,purse_move}'),
	('work to do: a row too many rates an account again, a row too few leaves a difference that is seen', '{rerate_queue}'),
	('what tick() compares holidays with: a wrong row has accounts rated again', '{rated_holiday}'),
	('who may work here: each change is a row of operator_log, which is chained and anchored', '{operator,operator_password,log_in,operator_log_head}'),
	('tenants: what logs in, changes are told in operator_log', '{tenant_login,tenant_secret}'),
	('payments: orders and kept ones are held against proven postings (test pay), contracts and keys are told in operator_log, the rest are logs beside the money', '{payment_channel,payment_key,payment_notice,payment_order,payment_refund,payment_settlement,payment_unapplied}'),
	('questions to a person; the verdict is a proven mark', '{reading_review}')) AS x (why, tables), unnest(tables) AS t;
INSERT INTO exempt SELECT t, c, why FROM (VALUES
	('account_state', 'written anew from what is proven whenever something is decided', '{quiet_above,quiet_below,alarm_level,used_up_at,used_up_by_backlog}'::text[]),
	('account_state', 'a limit of supply, no money: its activation is an entry, which is proven', '{emergency_minor,emergency_exhausted}'),
	('account_state', 'how long sealing waits; a day that was sealed too early is corrected', '{waits_from}'),
	('meter_state', 'copies of proven terms, prices and readings: what the next reading costs by them is seen when it is rated anew',
		'{term_from,former_waits,ratio_e6,register_max_wh,reverse_add,reverse_wh,rated_w,facts_from,tariff_id,tariff_from,tariff_until}'),
	('meter_state', 'what the meter showed last, beside the proven reading, and what is watched', '{kw,relay_closed,contact,contact_since,watched,power_limit_w}')) AS x (t, why, columns), unnest(columns) AS c;
-- A row is added to each of these as a copy under another key.
CREATE TEMP TABLE copied (t text, c text, value text);
INSERT INTO copied VALUES ('account_meter', 'valid_from', '''2026-02-01 00:00+08'''), ('account_state', 'account_id', '90'), ('anchor', 'anchor_id', '90'),
	('credit', 'seq', '90'), ('debt', 'seq', '90'), ('energy_share_line', 'seq', '90'), ('energy_share_month', 'month', '''2026-01-01'''), ('ledger_entry', 'seq', '90'), ('meter_state', 'meter_id', '90'), ('meter_term', 'valid_from', '''2026-03-02 00:00+08'''), ('operator_log', 'log_no', '90'), ('operator_log_anchor', 'anchor_id', '90'), ('posting', 'key', '''forged'''),
	('reading', 'read_at', '''2026-03-02 00:01+08'''), ('reading_chain', 'month', '''2026-01-01'''), ('reading_correction', 'correction', '90'), ('reading_late', 'late_no', '90'),
	('reading_kept', 'meter_id', '90'), ('retention', 'kept_from', '''2025-01-01 00:00+00'''),
	('reading_mark', 'read_at', '''2026-03-02 00:00+08'''), ('receipt_print', 'print_no', '90'), ('row_proof', 'row_key', '''forged'''), ('shift', 'shift_no', '90'), ('tariff', 'tariff_id', '90'),
	('tariff_assignment', 'assignment', '90'), ('tariff_price', 'tier', '90'), ('tariff_version', 'version', '90'), ('till', 'till', '''forged'''), ('usage_line', 'item', '90');
SELECT c.relname AS neither_proven_nor_exempt FROM pg_class c WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	AND c.relname NOT IN (SELECT t FROM copied) AND c.relname NOT IN (SELECT t FROM exempt WHERE c IS NULL) ORDER BY 1;
SELECT t, c AS exempt_but_not_there FROM exempt WHERE to_regclass('prepay.' || t) IS NULL OR c IS NOT NULL
	AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('prepay.' || t) AND attname = c AND NOT attisdropped);
CREATE TEMP VIEW target_column AS
SELECT t, a.attnum, a.attname AS c, CASE a.atttypid::regtype::text WHEN 'text' THEN format('COALESCE(%I, '''') || ''x''', a.attname)
	WHEN 'bytea' THEN format('sha256(COALESCE(%I, ''''))', a.attname) WHEN 'jsonb' THEN format('COALESCE(jsonb_set(%I, ''{extra}'', ''1''), ''{}'')', a.attname)
	WHEN 'date' THEN format('COALESCE(%I, ''2026-03-02'') + 1', a.attname) WHEN 'text[]' THEN '''{x}''' WHEN 'numeric[]' THEN '''{7}''' WHEN 'bigint[]' THEN '''{9000,7}'''
	WHEN 'boolean' THEN format('NOT COALESCE(%I, false)', a.attname)
	WHEN 'timestamp with time zone' THEN format('CASE WHEN isfinite(%1$I) THEN %1$I + interval ''7 minutes'' ELSE ''2026-03-02 00:01+08'' END', a.attname)
	ELSE format('COALESCE(%I, 0) + 1', a.attname) END AS other,
	(SELECT string_agg(quote_ident(b.attname), ', ' ORDER BY b.attnum) FROM pg_index i JOIN pg_attribute b ON b.attrelid = i.indrelid AND b.attnum = ANY (i.indkey)
	WHERE i.indrelid = a.attrelid AND i.indisprimary) AS key
FROM copied JOIN pg_attribute a ON a.attrelid = ('prepay.' || t)::regclass AND a.attnum > 0 AND a.attgenerated = '' AND NOT a.attisdropped
WHERE NOT EXISTS (SELECT FROM exempt x WHERE x.t = copied.t AND x.c = a.attname);
\pset format unaligned
\pset tuples_only
-- A row in the middle, each column.
SELECT t, c, seen FROM target_column, LATERAL pg_temp.tamper(format(
	'UPDATE prepay.%1$I SET %2$I = %3$s WHERE (%4$s) = (SELECT %4$s FROM prepay.%1$I ORDER BY %4$s OFFSET (SELECT count(*) / 3 FROM prepay.%1$I) LIMIT 1)', t, c, other, key)) ORDER BY t COLLATE "C", attnum;
-- A row in the middle and the last one lost; all of them.
SELECT DISTINCT ON (t COLLATE "C", n) t, part, seen, detail FROM target_column, (VALUES (2, 'middle', 'OFFSET (SELECT count(*) / 2 FROM prepay.%1$I) LIMIT 1'),
	(3, 'last', 'OFFSET (SELECT count(*) - 1 FROM prepay.%1$I)'), (4, 'all', 'OFFSET 0')) AS p (n, part, which),
	LATERAL pg_temp.tamper(format('DELETE FROM prepay.%1$I WHERE (%2$s) IN (SELECT %2$s FROM prepay.%1$I ORDER BY %2$s ' || which || ')', t, key)) ORDER BY t COLLATE "C", n;
-- A row added: a copy under another key.
SELECT t, seen, detail FROM copied AS x, LATERAL pg_temp.tamper(format('INSERT INTO prepay.%1$I (%2$s) SELECT %3$s FROM prepay.%1$I ORDER BY %4$s LIMIT 1', t,
	(SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('prepay.' || t)::regclass AND attnum > 0 AND attgenerated = ''),
	(SELECT string_agg(CASE attname WHEN c THEN value WHEN 'receipt_no' THEN 'NULL' ELSE quote_ident(attname) END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = ('prepay.' || t)::regclass AND attnum > 0 AND attgenerated = ''),
	(SELECT min(key) FROM target_column k WHERE k.t = x.t))) ORDER BY t COLLATE "C";
\pset tuples_only
\pset format aligned
-- All that has been undone.
SELECT * FROM prepay.verify();
