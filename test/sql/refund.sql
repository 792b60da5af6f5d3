-- refund(), transfer(), adjust(): never more than own unspent money, exact at the cent.
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
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 6) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, '2026-03-01 00:00+08', 0 FROM generate_series(1, 6) AS n;
SELECT prepay.open_account('town/A1', 'Zhang', meters => '{M1}', opening_balance => 10, key => 'o1'),
	prepay.open_account('town/A2', 'Li', meters => '{M2}'), prepay.open_account('town/A3', 'Wu');
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai'), prepay.open_account('mall/B1', 'Zhao');
CREATE VIEW pg_temp.entry AS SELECT account, seq, kind, amount, balance_after, ref_seq, tender, key, other_account, note
FROM prepay.ledger WHERE site = 'town' ORDER BY account, seq;
\set VERBOSITY sqlstate

-- 110 paid in, 20.004 used and not sealed: 89.996 is left, which is 90.00 with usage rounded to 20.00.
SELECT balance FROM prepay.sell('town/A1', 100, 's1');
SET prepay.now = '2026-03-01 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, prepay.now(), 20.004);
SELECT prepay.refund('town/A1', 90.01, 'r1');
SELECT kind, amount, balance_after, balance, receipt_no, note FROM prepay.refund('town/A1', 89.99, 'r1', 'moving');
SELECT prepay.refund('town/A1', 0.02, 'r2');
SELECT amount, balance FROM prepay.refund('town/A1', 0.01, 'r2', options => '{"tender": "wechat", "till": "counter"}');
SELECT prepay.refund('town/A1', 0.01, 'r3');
-- Usage overdraws; there is nothing to refund then.
SET prepay.now = '2026-03-01 13:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 13:00+08', 25), (1, 1, '2026-03-01 11:00+08', 20);
SELECT prepay.refund('town/A1', 0.01, 'r3');
SELECT account, balance, posted_balance FROM prepay.account_status WHERE account = 'A1';
-- A day sealed changes nothing about it.
SET prepay.now = '2026-03-03 13:00+08';
SELECT prepay.tick();
SELECT prepay.refund('town/A1', 0.01, 'r3');
SELECT balance FROM prepay.sell('town/A1', 10, 's2');
SELECT prepay.refund('town/A1', 5.01, 'r3');
SELECT balance FROM prepay.refund('town/A1', 5, 'r3');

-- Bad arguments; nothing is posted.
SELECT prepay.refund('town/A1', 0, 'x');
SELECT prepay.refund('town/A1', -1, 'x');
SELECT prepay.refund('town/A1', 0.001, 'x');
SELECT prepay.refund('town/A1', 'NaN', 'x');
SELECT prepay.refund('town/A1', 'Infinity', 'x');
SELECT prepay.refund('town/A1', 1e20, 'x');
SELECT prepay.refund('town/A1', NULL, 'x');
SELECT prepay.refund(NULL, 1, 'x');
SELECT prepay.refund('town/A1', 1, NULL);
SELECT prepay.refund('town/A1', 1, '');
SELECT prepay.refund('town/A1', 1, repeat('k', 201));
SELECT prepay.refund('town/A9', 1, 'x');
SELECT prepay.refund('town/A1', 1, 'x', options => '{"tender": "shells"}');
SELECT prepay.refund('town/A1', 1, 'x', options => '{"tenders": "cash"}');
SELECT prepay.refund('town/A1', 1, 'x', options => '[]');
SELECT prepay.refund('town/A1', 1, 'x', options => '{"till": "a/b"}');
-- The key: the first result again, or an error.
SELECT seq, amount, balance FROM prepay.refund('town/A1', 89.99, 'r1', 'moving');
SELECT prepay.refund('town/A1', 89.98, 'r1', 'moving');
SELECT prepay.refund('town/A1', 89.99, 'r1');
SELECT prepay.refund('town/A1', 0.01, 'r2', options => '{"tender": "cash", "till": "counter"}');
SELECT prepay.sell('town/A1', 89.99, 'r1');

-- Transfer: two legs, one key; the paying side is the result.
SELECT balance FROM prepay.sell('town/A2', 50, 's3');
SELECT account, seq, kind, amount, balance, receipt_no FROM prepay.transfer('town/A2', 'town/A3', 20.5, 't1');
SELECT account, seq, kind, amount, balance FROM prepay.transfer('town/A2', 'town/A3', 20.50, 't1');
SELECT prepay.transfer('town/A2', 'town/A3', 20.51, 't1');
SELECT prepay.transfer('town/A3', 'town/A2', 20.5, 't1');
SELECT prepay.transfer('town/A2', 'town/A3', 29.51, 't2');
SELECT balance FROM prepay.transfer('town/A2', 'town/A3', 29.50, 't2');
SELECT prepay.transfer('town/A2', 'town/A2', 1, 'x');
SELECT prepay.transfer('town/A3', 'mall/B1', 1, 'x');
SELECT prepay.transfer('town/A3', 'town/A9', 1, 'x');
SELECT prepay.transfer('town/A3', 'town/A2', 0, 'x');
SELECT prepay.transfer('town/A3', 'town/A2', -1, 'x');
SELECT prepay.transfer('town/A3', 'town/A2', 1.001, 'x');
SELECT prepay.transfer('town/A3', 'town/A2', NULL, 'x');
SELECT prepay.transfer('town/A3', NULL, 1, 'x');
SELECT prepay.transfer('town/A3', 'town/A2', 1, NULL);
-- What comes in is money of one's own; the cap counts for it as for a sale.
SELECT balance FROM prepay.refund('town/A3', 10, 'r4');
SELECT prepay.set_setting('town', 'hoarding_cap', '39.99');
SELECT prepay.transfer('town/A3', 'town/A1', 40, 't3');
SELECT prepay.set_setting('town', 'hoarding_cap', NULL);
SELECT balance FROM prepay.transfer('town/A3', 'town/A1', 40, 't3');

-- Adjustments have a sign and a reason; what was given is used up first and not paid out.
SELECT prepay.adjust('town/A2', 30, 'a1', NULL);
SELECT prepay.adjust('town/A2', 30, 'a1', ' ');
SELECT prepay.adjust('town/A2', 0, 'a1', 'nothing');
SELECT prepay.adjust('town/A2', 'NaN', 'a1', 'x');
SELECT prepay.adjust('town/A2', 0.005, 'a1', 'x');
SELECT prepay.adjust('town/A2', NULL, 'a1', 'x');
SELECT kind, amount, balance, note FROM prepay.adjust('town/A2', 30, 'a1', 'meter was wrong');
SELECT kind, amount, balance, note FROM prepay.adjust('town/A2', 30, 'a1', 'meter was wrong');
SELECT prepay.adjust('town/A2', 30, 'a1', 'meter was right');
SELECT prepay.refund('town/A2', 0.01, 'r5');
SELECT balance FROM prepay.sell('town/A2', 20, 's4');
SELECT prepay.refund('town/A2', 20.01, 'r5');
SELECT prepay.transfer('town/A2', 'town/A3', 20.01, 't4');
SET prepay.now = '2026-03-03 14:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, prepay.now(), 25);
SELECT prepay.refund('town/A2', 20.01, 'r5');
SELECT amount, balance FROM prepay.adjust('town/A2', -8, 'a2', 'a broken seal');
SELECT prepay.refund('town/A2', 17.01, 'r5');
SELECT balance FROM prepay.refund('town/A2', 17, 'r5');
SELECT amount, balance FROM prepay.adjust('town/A2', -5, 'a3', 'a broken door');

-- Money that is in a meter is not paid out here: not refunded, not moved away, not settled.
INSERT INTO prepay.meter (site_id, code, prepay_mode) VALUES (1, 'OWN', 'meter');
SELECT prepay.open_account('town/A4', 'Qian', meters => '{town/OWN}', opening_balance => 50, key => 'o4');
SELECT prepay.refund('town/A4', 1, 'm1');
SELECT prepay.transfer('town/A4', 'town/A3', 1, 'm1');
SELECT prepay.close_account('town/A4', 'm1');
\set VERBOSITY default
SELECT prepay.refund('town/A4', 1, 'm1');
\set VERBOSITY sqlstate
UPDATE prepay.meter SET prepay_mode = 'server' WHERE code = 'OWN';
SELECT prepay.remove_meter('town/A4', 'town/OWN');
SELECT amount, balance FROM prepay.refund('town/A4', 1, 'm1');
SELECT amount, balance FROM prepay.close_account('town/A4', 'm3');

SELECT * FROM pg_temp.entry;
SELECT site, account, kind, amount, tender, till = session_user AS my_till, receipt_no, note FROM prepay.refunds ORDER BY till, receipt_no;
SELECT * FROM prepay.verify();
