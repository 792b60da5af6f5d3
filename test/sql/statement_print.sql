-- The month's statement on paper: the lines of statement(), words, sums, columns.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-02-10 09:00+08';
SELECT prepay.create_site('town', '滨江商业小镇', 'Asia/Shanghai'), prepay.create_site('mall', 'Harbour Mall', 'America/Los_Angeles', 'USD');
SELECT prepay.define_tariff('town/full', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [100]}, "prices": {"peak": [0.5683, 0.6183], "valley": [0.2883, 0.3383]},
	"standing": [{"name": "service", "amount": 10, "per": "month"}],
	"surcharges": [{"name": "vat", "percent": 13, "on": ["energy", "standing"]}]}'), prepay.define_tariff('mall/flat', '{"prices": 0.25}');
SELECT prepay.set_setting('town', 'tariff', 'full'), prepay.set_setting('mall', 'tariff', 'flat'), prepay.set_setting('mall', 'language', 'en');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'B1', '一号楼');
INSERT INTO prepay.meter (site_id, code, ratio) VALUES (1, 'M1', 1), (2, 'M1', 1), (1, 'M2', 40);
SELECT prepay.open_account('town/A1', '杭州某某餐饮管理有限公司', '13800000000', 'B1', '{town/M1,town/M2}', opening_balance => 50, key => 'o1'),
	prepay.open_account('mall/A1', 'Joe''s Diner', meters => '{mall/M1}'), prepay.open_account('town/A2', 'nobody');
CREATE FUNCTION pg_temp.read(from_ timestamptz, to_ timestamptz) RETURNS bigint LANGUAGE sql AS $$
	WITH done AS (INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
		SELECT site_id, meter_id, at, h * CASE WHEN ratio = 1 THEN 0.25 ELSE 0.01 END
		FROM prepay.meter, generate_series(from_, to_, interval '6 hours') AS at,
			LATERAL (SELECT extract(epoch FROM at - '2026-02-10 09:00+08')::int / 3600 AS h) t RETURNING 1)
	SELECT count(*) FROM done;
$$;
SELECT pg_temp.read('2026-02-10 09:00+08', '2026-02-10 09:00+08');
SET prepay.now = '2026-02-12 10:00+08';
SELECT balance FROM prepay.sell('town/A1', 100, 's1');
SET prepay.now = '2026-02-28 22:00+08';
SELECT pg_temp.read('2026-02-10 15:00+08', '2026-02-28 21:00+08');
SELECT prepay.tick();
SET prepay.now = '2026-03-12 10:00+08';
SELECT pg_temp.read('2026-03-01 03:00+08', '2026-03-12 09:00+08');
SELECT balance FROM prepay.sell('town/A1', 200, 's2', 'alipay');
SELECT balance FROM prepay.sell('mall/A1', 75, 's1', 'card');
SELECT prepay.correct_reading('town/M1', '2026-02-20 09:00+08', 60.2, 'misread');
SELECT prepay.tick();

-- As text, a month that is over and one that runs.
CREATE FUNCTION pg_temp.show(paper text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(replace(paper, session_user, rpad('me', length(session_user))), '[0-9a-f]{16}', 'hhhhhhhhhhhhhhhh', 'g') $$;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.show(prepay.statement_print('town/A1', '2026-02-10'));
SELECT pg_temp.show(prepay.statement_print('town/A1'));
SELECT pg_temp.show(prepay.statement_print('mall/A1', '2026-03-31'));
\pset format aligned
\pset tuples_only off

-- Every line has 80 columns; the words and the exact amounts are those of statement(), the sums tie.
CREATE FUNCTION pg_temp.widths(paper text) RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(DISTINCT octet_length(convert_to(line, 'GBK'))::text, ',') FROM regexp_split_to_table(rtrim(paper, E'\n'), E'\n') AS line $$;
SELECT account, month, pg_temp.widths(prepay.statement_print(account, month)) AS columns FROM unnest('{town/A1,town/A2,mall/A1}'::text[]) AS account, unnest('{2026-02-01,2026-03-01}'::date[]) AS month;
SELECT month, count(*) AS lines, count(*) FILTER (WHERE amount IS NOT NULL AND position(to_char(from_time, 'YYYY-MM-DD') IN paper) = 0) AS days_missing,
	count(*) FILTER (WHERE position(amount::text IN paper) = 0) AS amounts_missing, count(*) FILTER (WHERE position(kwh::text IN paper) = 0) AS kwh_missing
FROM unnest('{2026-02-01,2026-03-01}'::date[]) AS month, LATERAL prepay.statement_print('town/A1', month) AS paper, LATERAL prepay.statement('town/A1', month) GROUP BY month ORDER BY month;
INSERT INTO prepay.receipt_template (site_id, code, language, kind, body) VALUES (1, 'sums', 'zh', 'statement', '{month}|{opening}|{paid}|{cost}|{closing}|{now}|{kwh_total}|{last_seq}{#lines}|{section}:{meter}:{tariff}:{period}:{tier}:{balance}:{seq}:{to_day}{/lines}');
SELECT v[1] AS month, v[2]::numeric + v[3]::numeric - v[4]::numeric = v[5]::numeric AS ties, v[5] AS closing, v[6] AS now, v[7] AS kwh,
	v[5]::numeric = (SELECT sum(amount) FROM prepay.ledger WHERE account = 'A1' AND site = 'town' AND booked_at < (v[1] || '-01')::date + interval '1 month') AS is_ledger, v[8]::int = (SELECT max(seq) FROM prepay.ledger
		WHERE account = 'A1' AND site = 'town' AND booked_at < (v[1] || '-01')::date + interval '1 month') AS last_seq
FROM unnest('{2026-02-01,2026-03-01}'::date[]) AS month, LATERAL string_to_array(prepay.statement_print('town/A1', month, 'sums'), '|') AS v;
SELECT line FROM string_to_table(prepay.statement_print('town/A1', '2026-03-01', 'sums'), '|') WITH ORDINALITY AS v (line, n) WHERE n > 8 AND n % 6 = 4;

-- HTML: pages of A4, a row a line.
SELECT h ~ 'size: A4' AS a4, regexp_count(h, '<tr><td>2026-') AS dated_rows, h ~ '电费月结单 2026-02' AS title FROM prepay.statement_print('town/A1', '2026-02-01', 'statement-html') AS h;
-- A statement is no voucher: its prints are not counted.
SELECT count(*) FROM prepay.receipt_prints;

-- Refused.
\set VERBOSITY terse
SELECT prepay.statement_print(NULL);
SELECT prepay.statement_print('town/A9');
SELECT prepay.statement_print('town/A1', '2026-04-01');
SELECT prepay.statement_print('town/A1', 'infinity');
SELECT prepay.statement_print('town/A1', '2026-03-01', 'receipt');
SELECT prepay.receipt('town/A1', 1, 'statement');
\set VERBOSITY default
SELECT prepay.statement_print('town/A1', '2026-03-01', 'letter');
INSERT INTO prepay.receipt_template (site_id, code, language, kind, body) VALUES (1, 'x', 'zh', 'statement', '{receipt_no}');
INSERT INTO prepay.receipt_template (site_id, code, language, kind, body) VALUES (1, 'x', 'zh', 'statement', '{#lines}{ratio}{/lines}');

-- Whoever may read may print, of his own sites; nobody else.
CREATE ROLE regress_prepay_analyst;
CREATE ROLE regress_prepay_stranger;
GRANT prepay_analyst TO regress_prepay_analyst;
INSERT INTO prepay.operator_site (site_id, operator) VALUES (1, 'regress_prepay_analyst');
SET ROLE regress_prepay_analyst;
SELECT length(prepay.statement_print('town/A1')) > 1000 AS printed;
SELECT prepay.statement_print('mall/A1');
SET ROLE regress_prepay_stranger;
SELECT prepay.statement_print('town/A1');
RESET ROLE;
DROP OWNED BY regress_prepay_analyst, regress_prepay_stranger;
DROP ROLE regress_prepay_analyst, regress_prepay_stranger;

-- Names that mean harm.
SELECT prepay.update_account('town/A1', jsonb_build_object('customer', E'<b>{amount}\n\x1b[2J' || U&'\202E' || repeat('长', 100)));
SELECT pg_temp.widths(p), regexp_count(p, E'\n') - regexp_count(prepay.statement_print('town/A1'), E'\n') AS more_lines, split_part(p, E'\n', 3) AS name FROM prepay.statement_print('town/A1') AS p;
SELECT (regexp_match(h, '<bdi>(.{40})'))[1] AS name FROM prepay.statement_print('town/A1', NULL, 'statement-html') AS h;
SELECT * FROM prepay.verify();
