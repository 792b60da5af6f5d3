-- Receipts: what they say, in which columns, how often they were printed, and templates.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 08:00+08';
SELECT prepay.create_site('town', '滨江商业小镇', 'Asia/Shanghai'), prepay.create_site('mall', 'Harbour Mall', 'America/Los_Angeles', 'USD'),
	prepay.create_site('depot', '倉庫', 'Asia/Tokyo', 'JPY');
SELECT prepay.set_setting('mall', 'language', 'en'), prepay.define_tariff('town/one', '{"prices": 1}'), prepay.set_setting('town', 'tariff', 'one');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'B1', '一号楼'), (2, 'B1', 'North wing');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M001'), (1, 'M002'), (2, 'M001');
SELECT prepay.open_account('town/A-101', '杭州某某餐饮管理有限公司', '13800000000', 'B1', '{town/M001,town/M002}', opening_balance => 1005.20, key => 'o1'),
	prepay.open_account('mall/A-101', 'Joe''s Diner', '+1 555 0100', 'B1', '{mall/M001}'),
	prepay.open_account('depot/A-1', '山田', opening_balance => 10000, key => 'o1');
SELECT prepay.tick();
SET prepay.now = '2026-03-02 09:15:07+08';
SELECT site, seq, balance FROM prepay.sell('town/A-101', 100.50, 's1', 'wechat', '首次购电');
SELECT site, seq, balance FROM prepay.sell('mall/A-101', 50, 's1', 'card', 'first');

-- Every line has 80 columns, and a receipt has the 22 lines of a third of a page.
CREATE FUNCTION pg_temp.shape(receipt text) RETURNS text LANGUAGE sql AS $$
	SELECT count(*) || ' lines of ' || string_agg(DISTINCT octet_length(convert_to(line, 'GBK'))::text, ',')
	FROM regexp_split_to_table(rtrim(receipt, E'\n'), E'\n') AS line $$;
-- Shown without what differs from run to run.
CREATE FUNCTION pg_temp.show(receipt text) RETURNS text LANGUAGE sql AS $$
	SELECT regexp_replace(replace(receipt, session_user, rpad('me', length(session_user))), '[0-9a-f]{16}', 'hhhhhhhhhhhhhhhh', 'g') $$;
\pset format unaligned
\pset tuples_only on
SELECT pg_temp.show(prepay.receipt('town/A-101', 1));
SELECT pg_temp.show(prepay.receipt('town/A-101', 2));
SELECT pg_temp.show(prepay.receipt('mall/A-101', 2));
\pset format aligned
\pset tuples_only off
SELECT pg_temp.shape(prepay.receipt('town/A-101', 1)), pg_temp.shape(prepay.receipt('mall/A-101', 1)), pg_temp.shape(prepay.receipt('depot/A-1', 1));
SELECT prepay.receipt('depot/A-1', 1) ~ 'JPY +壹万元整' AS yen_in_capitals, prepay.receipt('depot/A-1', 1) ~ '本次金额 +10000 ' AS without_decimals;

-- The hash and the anchor on the paper are those of the books.
SELECT prepay.receipt('town/A-101', 2) LIKE '%' || left(encode(hash, 'hex'), 16) || '%' AS hash FROM prepay.ledger WHERE key = 's1' AND site = 'town';
SELECT prepay.receipt('town/A-101', 2) LIKE '%1/' || left(encode(hash, 'hex'), 16) || '%' AS anchor FROM prepay.anchor WHERE site_id = 1 AND anchor_id = 1;

-- Every call is a print; the first is the original.
SELECT prepay.receipt('town/A-101', 2) ~ '补打第3次' AS reprint_3, prepay.receipt('mall/A-101', 2) ~ 'REPRINT 1 ' AS reprint_1;
SELECT site, account, seq, print_no, reprint, printed_at, operator = session_user AS by_me, template, language, kind, amount FROM prepay.receipt_prints ORDER BY 1, 2, 3, 4;

-- The language is the account's, else the site's.
SELECT prepay.update_account('town/A-101', '{"language": "en"}');
SELECT prepay.receipt('town/A-101', 2) ~ 'WeChat Pay' AS english, pg_temp.shape(prepay.receipt('town/A-101', 2));
SELECT prepay.update_account('town/A-101', '{"language": "zh"}');

-- HTML: three labelled copies on a third of a page.
SELECT regexp_count(h, '<div class="copy">') AS copies, regexp_count(h, '存根联') + regexp_count(h, '客户联') + regexp_count(h, '记账联') AS labels,
	h ~ 'size: 241mm 93.1mm' AS page, regexp_count(h, '壹佰元零伍角整') AS amounts
FROM prepay.receipt('town/A-101', 2, 'receipt-html') AS h;
SELECT regexp_count(h, '>Stub <') + regexp_count(h, '>Customer <') + regexp_count(h, '>Accounts <') AS labels FROM prepay.receipt('mall/A-101', 2, 'receipt-html') AS h;

-- What has no receipt.
\set VERBOSITY terse
SET prepay.now = '2026-03-05 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, t, 0 + extract(day FROM t) FROM generate_series(1, 2) AS m, generate_series('2026-03-02 00:00+08'::timestamptz, '2026-03-05 00:00+08', '1 day') AS t;
SELECT prepay.tick();
SELECT kind, amount FROM prepay.ledger WHERE site = 'town' AND seq = 3;
SELECT prepay.receipt('town/A-101', 3);
SELECT prepay.receipt('town/A-101', 0);
SELECT prepay.receipt('town/A-101', -1);
SELECT prepay.receipt('town/A-101', 2147483647);
SELECT prepay.receipt('town/A-999', 1);
SELECT prepay.receipt('town/A-101', NULL);
SELECT prepay.receipt(NULL, 1);
SELECT prepay.receipt('town/A-101', 2, 'letter');
SELECT prepay.receipt('town/A-101', 2, '');
\set VERBOSITY default
\set SHOW_CONTEXT never
SELECT prepay.receipt('town/A-101', 3);
SELECT prepay.receipt('town/A-101', 2, 'letter');
\set VERBOSITY terse
-- A later sale: with another anchor, without a meter that was taken away, after usage that is not posted yet. The paper of before says what it said.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-05 10:00+08', 12.50);
SELECT prepay.remove_meter('town/A-101', 'town/M002');
SELECT balance_after - balance AS open_usage FROM prepay.sell('town/A-101', 20, 's2');
CREATE FUNCTION pg_temp.part(receipt text, pattern text) RETURNS text LANGUAGE sql AS $$ SELECT (regexp_match(receipt, pattern))[1] $$;
SELECT e.seq, pg_temp.part(r, '电表 +([M0-9 ]+?) *\n') AS meters, pg_temp.part(r, '账本 +(\d+/)') AS anchor, pg_temp.part(r, '账面余额 +([\d.]+)') AS posted,
	pg_temp.part(r, '当前余额 +([\d.]+)') AS balance, e.balance_after - pg_temp.part(r, '当前余额 +([\d.]+)')::numeric AS open_usage
FROM prepay.ledger e, LATERAL prepay.receipt('town/A-101', e.seq) AS r WHERE e.site = 'town' AND e.kind = 'sale' ORDER BY 1;
-- Nothing of what was refused was counted as a print.
SELECT count(*) AS prints FROM prepay.receipt_prints WHERE site = 'town';
UPDATE prepay.receipt_print SET print_no = 9;
DELETE FROM prepay.receipt_print;
TRUNCATE prepay.receipt_print;

-- Shipped texts: sound, and every character is one that a Chinese printer has.
SELECT code, language, kind, format, copies, prepay.is_receipt_template(kind, format, copies, body) AS sound,
	octet_length(convert_to(body, 'GBK')) > 500 AND octet_length(convert_to(body, 'GB18030')) > 500 AS printable FROM prepay.receipt_template ORDER BY 1, 2;
SELECT octet_length(convert_to(prepay.receipt('town/A-101', 2), 'GB18030')) = 22 * 81 AS bytes_are_columns;

-- A site's own template goes before the shipped one, in its language.
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'receipt', 'zh', E'[{customer:<10}|{amount:>9}|{amount_capital}]{#reprint} {reprint}{/reprint}\n'),
	(1, 'slip', 'en', 'own {title}'), (2, 'slip', 'en', 'other'), (2, 'theirs', 'zh', 'other');
SELECT regexp_replace(prepay.receipt('town/A-101', 2), '第\d+次', '第N次') AS own, prepay.receipt('town/A-101', 2, 'slip') AS own_other_language, pg_temp.shape(prepay.receipt('depot/A-1', 1)) AS shipped;
SELECT prepay.receipt('town/A-101', 2, 'theirs');
SELECT prepay.update_account('town/A-101', '{"language": "en"}');
SELECT pg_temp.shape(prepay.receipt('town/A-101', 2)) AS shipped, prepay.receipt('town/A-101', 2, 'slip') AS own;
SELECT prepay.update_account('town/A-101', '{"language": "zh"}');
INSERT INTO prepay.receipt_template (site_id, code, language, format, copies, body)
SELECT 1, code, language, format, '{客户联}', replace(body, '{site_name}', '{site_name}物业') FROM prepay.receipt_template WHERE site_id = 0 AND code = 'receipt-html' AND language = 'zh';
SELECT regexp_count(h, '<div class="copy">') AS copies, h ~ '滨江商业小镇物业' AS own FROM prepay.receipt('town/A-101', 2, 'receipt-html') AS h;
-- install() brings the shipped ones back and leaves a site's own alone.
UPDATE prepay.receipt_template SET body = 'spoilt' WHERE code = 'receipt';
DELETE FROM prepay.receipt_template WHERE site_id = 0 AND code = 'receipt-html';
SELECT prepay.install();
SELECT site_id, code, language, length(body) > 500 AS shipped_text FROM prepay.receipt_template ORDER BY 1, 2, 3;
DELETE FROM prepay.receipt_template WHERE site_id > 0;

-- A template that could not be printed is refused when it is written, with its line.
\set VERBOSITY default
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', E'one\ntwo {custmer}');
INSERT INTO prepay.receipt_template (site_id, code, language, format, body) VALUES (1, 'x', 'zh', 'html', 'p{color:red}');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', '{#copies}{copy}{/copies}');
INSERT INTO prepay.receipt_template (site_id, code, language, copies, body) VALUES (1, 'x', 'zh', '{a,b}', 'none');
\set VERBOSITY terse
INSERT INTO prepay.receipt_template (site_id, code, language, copies, body) VALUES (1, 'x', 'zh', '{a,NULL}', '{#copies}{/copies}');
INSERT INTO prepay.receipt_template (site_id, code, language, copies, body) VALUES (1, 'x', 'zh', '{1,2,3,4,5,6,7,8,9,10}', '{#copies}{/copies}');
INSERT INTO prepay.receipt_template (site_id, code, language, copies, body) VALUES (1, 'x', 'zh', ARRAY[repeat('联', 65)], '{#copies}{/copies}');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', '{copy}');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', '{amount:>12'), (1, 'y', 'zh', '{amount');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', '{amount:>0}');
INSERT INTO prepay.receipt_template (site_id, code, language, format, body) VALUES (1, 'x', 'zh', 'html', '{amount:>12}');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', repeat('x', 100001));
INSERT INTO prepay.receipt_template (site_id, code, language, kind, body) VALUES (1, 'x', 'zh', 'letter', '');
INSERT INTO prepay.receipt_template (site_id, code, language, format, body) VALUES (1, 'x', 'zh', 'pdf', '');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'fr', '');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'a/b', 'zh', '');
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'x', 'zh', NULL);
UPDATE prepay.receipt_template SET body = '{nothing}' WHERE site_id = 0;
SELECT count(*) FROM prepay.receipt_template WHERE site_id > 0;

-- Names that mean harm: nothing gets out of its field, no line moves, nothing is taken for markup.
SELECT prepay.open_account('town/X' || n, name, opening_balance => 1, key => 'x' || n) > 0 AS opened
FROM unnest(ARRAY['<script>alert("1")</script>&''', '{amount}{{{#copies}', E'a\nb\tc\r\n\x1b[2J\x07d', repeat('长', 3000), repeat('W', 3000),
	U&'\202Egnp.exe\202C\2066x\FEFF', U&'\0627\0644\0639\0631\0628\064A\0629 123', '阿卜杜拉·买买提“吐尔逊”', U&'e\0301' || U&'\0301\0301', ' ']) WITH ORDINALITY AS u (name, n);
CREATE FUNCTION pg_temp.name_line(receipt text) RETURNS text LANGUAGE sql AS $$ SELECT rtrim((regexp_match(receipt, '户名[^\n]*'))[1]) $$;
SELECT account, CASE WHEN account IN ('X7', 'X9') THEN 'not in GBK' ELSE pg_temp.shape(r) END AS shape, regexp_count(r, E'\n') AS lines, left(pg_temp.name_line(r), 40) AS name
FROM prepay.account_status, LATERAL prepay.receipt('town/' || account, 1) AS r WHERE account ~ '^X' ORDER BY account COLLATE "C";
SELECT account, h ~ '<script>|\{amount\}</bdi>.*\{#' AS broken, left((regexp_match(h, '<bdi>(.*?)</bdi>'))[1], 70) AS name
FROM prepay.account_status, LATERAL prepay.receipt('town/' || account, 1, 'receipt-html') AS h WHERE account ~ '^X' ORDER BY account COLLATE "C";
-- The rarest characters of a name reach a printer of GB18030.
SELECT prepay.open_account('town/RARE', '𠮷野䶮𬱖', opening_balance => 1, key => 'rare') > 0 AS opened;
SELECT position('\x9534b235'::bytea IN convert_to(prepay.receipt('town/RARE', 1), 'GB18030')) > 0 AS rare;

-- Amounts of any size: a number is never cut.
SELECT prepay.open_account('town/RICH', 'Midas', opening_balance => 9999999999999.99, key => 'rich') > 0 AS opened;
SELECT pg_temp.shape(r), (regexp_match(r, '大写金额 +人民币 +([^ ]+)'))[1] AS capital FROM prepay.receipt('town/RICH', 1) AS r;

-- Capital figures by themselves.
SELECT a, prepay.capital_figures(a) FROM unnest('{100,1005.20,-0.05,0,0.1234,107000.53,1680.320000,9223372036854775807,922337203685477.5807}'::numeric[]) AS a;
SELECT prepay.capital_figures('NaN');
SELECT prepay.capital_figures('Infinity');
SELECT prepay.capital_figures(0.12345);
SELECT prepay.capital_figures(1e19);
SELECT prepay.capital_figures(NULL) IS NULL AS none;
SELECT * FROM prepay.verify();

-- The life of an account's money: fee and debt in a sale, refund, reversals, closing. A receipt speaks of the whole posting.
SET prepay.now = '2026-03-06 10:00+08';
SELECT prepay.open_account('town/LIFE', '王五', opening_balance => 0, key => 'l0') > 0 AS opened;
SELECT prepay.set_setting('town', 'sale_fee_percent', '2'), (prepay.add_debt('town/LIFE', 50, 'l1', '{"name": "old rent", "percent": 30}')).seq;
SELECT seq, amount, balance, fee, debt FROM prepay.sell('town/LIFE', 100, 'l2', 'alipay', options => '{"till": "counter 1"}');
SELECT seq, kind, amount FROM prepay.refund('town/LIFE', 8.60, 'l3', 'moving out', '{"till": "counter 1"}');
SELECT seq, kind, amount FROM prepay.reverse('town/LIFE', 5, 'l4', 'stays');
SELECT seq, kind, amount FROM prepay.reverse('town/LIFE', 3, 'l5', 'wrong account');
SELECT seq, kind, amount FROM prepay.sell('town/LIFE', 200, 'l6', options => '{"till": "counter 1"}');
SELECT seq, kind, amount, debt FROM prepay.close_account('town/LIFE', 'l7', '{"till": "counter 1", "tender": "transfer"}');
SELECT seq, kind, amount, debt, fee, balance_after, ref_seq, receipt_no FROM prepay.ledger WHERE account = 'LIFE' ORDER BY seq;
INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'facts', 'zh', '{seq}|{title}|{tendered}|{tendered_capital}|{amount}|{fee}|{debt_paid}|{debt_left}|{balance_before}|{balance_after}|{balance}|{price}|{kwh}|{purchase_no}|{till}|{receipt_no}|{ref_seq}|{ref_receipt_no}|{tender}|{note}');
\pset format unaligned
SELECT pg_temp.show(prepay.receipt('town/LIFE', seq, 'facts')) FROM unnest('{1,3,5,6,7,9,11}'::int[]) AS seq;
\pset tuples_only on
SELECT pg_temp.show(prepay.receipt('town/LIFE', 3));
SELECT prepay.update_account('mall/A-101', '{"language": "en"}'), prepay.set_setting('mall', 'sale_fee_percent', '1.5');
SELECT seq FROM prepay.sell('mall/A-101', 60, 'm1', options => '{"till": "desk"}');
SELECT pg_temp.show(prepay.receipt('mall/A-101', 3));
\pset format aligned
\pset tuples_only off
SELECT seq, pg_temp.shape(prepay.receipt('town/LIFE', seq)), regexp_count(prepay.receipt('town/LIFE', seq, 'receipt-html'), '<tr>') AS rows
FROM unnest('{1,3,5,6,7,9,11}'::int[]) AS seq;
SELECT unnest(regexp_matches(h, '(?:其中|备注)</td>[^\n]*', 'g')) AS row FROM prepay.receipt('town/LIFE', 3, 'receipt-html') AS h LIMIT 2;
SELECT unnest(regexp_matches(h, '(?:其中|备注)</td>[^\n]*', 'g')) AS row FROM prepay.receipt('town/LIFE', 6, 'receipt-html') AS h LIMIT 2;
\set VERBOSITY default
SELECT prepay.receipt('town/LIFE', 4);
SELECT prepay.receipt('town/LIFE', 8);
SELECT * FROM prepay.verify();
