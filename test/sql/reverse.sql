-- reverse(): a whole posting, once, with all it touched.
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
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 10, key => 'o1'),
	prepay.open_account('A2', 'Li', meters => '{M2}'), prepay.open_account('A3', 'Wu');
CREATE VIEW pg_temp.entry AS SELECT account, seq, kind, amount, balance_after, ref_seq, tender, receipt_no, debt, debt_after, fee, key, note
FROM prepay.ledger ORDER BY account, seq;
\set VERBOSITY sqlstate

-- A sale: its money, its paper; then never again, and never its reversal.
SELECT balance FROM prepay.sell('A1', 100, 's1', 'wechat');
SELECT seq, kind, amount, balance, receipt_no, note FROM prepay.reverse('A1', 2, 'v1', 'wrong account');
SELECT seq, kind, amount, balance, receipt_no, note FROM prepay.reverse('A1', 2, 'v1', 'wrong account');
SELECT prepay.reverse('A1', 2, 'v1');
SELECT prepay.reverse('A1', 2, 'v2');
SELECT prepay.reverse('A1', 3, 'v2');
SELECT prepay.reverse('A2', 2, 'v1', 'wrong account');
-- No such entry, nothing moved, no key.
SELECT prepay.reverse('A1', 99, 'x');
SELECT prepay.reverse('A1', 0, 'x');
SELECT prepay.reverse('A1', NULL, 'x');
SELECT prepay.reverse('A2', 1, 'x');
SELECT prepay.reverse('A1', 1, NULL);
SELECT prepay.reverse('A9', 1, 'x');

-- A spent sale is reversed into debt and says so; supply follows in the same transaction.
SELECT balance FROM prepay.sell('A1', 20, 's2');
SET prepay.now = '2026-03-01 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, prepay.now(), 15);
SELECT amount, balance_after, balance, note FROM prepay.reverse('A1', 4, 'v3', 'cheque bounced');
SELECT state, balance, meters_cut FROM prepay.account_status WHERE account = 'A1';
SELECT kind FROM prepay.alarm_active WHERE account = 'A1';
-- What rating posted is not reversed: readings are corrected.
SET prepay.now = '2026-03-03 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, prepay.now(), 15);
SELECT seq, kind, amount FROM prepay.ledger WHERE kind = 'consumption';
SELECT prepay.reverse('A1', 6, 'x');

-- A refund comes back; an opening, an adjustment up and down, a grant.
SELECT balance FROM prepay.sell('A1', 105, 's3');
SELECT balance FROM prepay.refund('A1', 60, 'r1');
SELECT amount, balance FROM prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE key = 'r1'), 'v4');
SELECT balance FROM prepay.adjust('A1', 7, 'a1', 'goodwill');
SELECT amount, balance FROM prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE key = 'a1'), 'v5');
SELECT balance FROM prepay.adjust('A1', -7, 'a2', 'fine');
SELECT amount, balance FROM prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE key = 'a2'), 'v6');
SELECT balance FROM prepay.grant_credit('A1', 9, 'g1');
SELECT amount, balance FROM prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE key = 'g1'), 'v7');
SELECT amount, balance, note FROM prepay.reverse('A1', 1, 'v8', 'the old meter showed 0');
SELECT type, amount, left_amount, ended_why FROM prepay.credits ORDER BY seq;
-- All of them were own money or are gone: 90 = 10 + 100 + 20 + 105 - 100 - 20 - 15 - 10.
SELECT prepay.refund('A1', 90.01, 'x');

-- A transfer: both legs, asked for from either side, once.
SELECT balance FROM prepay.transfer('A1', 'A3', 30, 't1');
SELECT account, amount, balance FROM prepay.reverse('A3', 2, 'v9', 'wrong neighbour');
SELECT prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE account = 'A1' AND key = 't1'), 'x');
SELECT account, balance FROM prepay.account_status ORDER BY account;
-- Spent by the receiver: he owes it then.
SELECT balance FROM prepay.transfer('A1', 'A3', 30, 't2');
SELECT balance FROM prepay.refund('A3', 25, 'r2');
SELECT account, amount, balance, note FROM prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE account = 'A1' AND key = 't2'), 'v10');
SELECT account, amount, balance_after, note FROM prepay.ledger WHERE key = 'v10' ORDER BY account;

-- A sale that paid debts and a fee: everything of it, from whichever of its entries.
SELECT prepay.set_setting('town', 'sale_fee_percent', '2.5');
SELECT debt, balance FROM prepay.add_debt('A2', 30, 'd1', '{"name": "rent"}');
SELECT debt FROM prepay.add_debt('A2', 40, 'd2', '{"percent": 10, "cap": 15, "per": "month"}');
SELECT amount, fee, debt, balance FROM prepay.sell('A2', 100, 's4');
SELECT seq, owed, period_paid FROM prepay.debts ORDER BY seq;
SELECT seq, kind, amount, fee, debt, balance, receipt_no FROM prepay.reverse('A2', 6, 'v11');
SELECT prepay.reverse('A2', 4, 'x');
SELECT prepay.reverse('A2', 5, 'x');
SELECT seq, owed, period_paid FROM prepay.debts ORDER BY seq;
-- A debt of which something is paid stands; otherwise it was never there.
SELECT debt, balance FROM prepay.sell('A2', 20, 's5');
SELECT prepay.reverse('A2', 2, 'x');
SELECT debt, balance FROM prepay.sell('A2', 20, 's6');
SELECT prepay.reverse('A2', 2, 'x');
SELECT debt, balance FROM prepay.reverse('A2', (SELECT seq FROM prepay.ledger WHERE key = 's6' AND kind = 'sale'), 'v14');
SELECT debt, balance FROM prepay.reverse('A2', (SELECT seq FROM prepay.ledger WHERE key = 's5' AND kind = 'sale'), 'v12');
SELECT kind, amount, debt, balance FROM prepay.reverse('A2', 2, 'v13');
SELECT seq, owed FROM prepay.debts ORDER BY seq;
SELECT prepay.reverse('A2', 2, 'x');

SELECT * FROM pg_temp.entry;
SELECT account, reversed_kind, amount, fee, debt, tender, seq, ref_seq, key, reversed_key FROM prepay.reversals ORDER BY account, seq;
-- Two entries may never reverse the same one, whoever writes them.
SELECT count(*) AS reversals, count(DISTINCT (account, ref_seq)) AS of_as_many FROM prepay.reversals;
SELECT * FROM prepay.verify();
