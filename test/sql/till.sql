-- Receipts without a gap per till, shifts that tie to them.
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
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.open_account('town/A1', 'Zhang', meters => '{town/M1}', opening_balance => 10, key => 'o1'), prepay.open_account('town/A2', 'Li'),
	prepay.open_account('mall/B1', 'Wu');
CREATE VIEW pg_temp.receipt AS SELECT site, replace(till, session_user, 'mine') AS till, receipt_no, kind, amount, fee, tender FROM prepay.ledger WHERE receipt_no IS NOT NULL ORDER BY 1, 2, 3;
\set VERBOSITY sqlstate

-- One's own till is named like oneself; another is named by the call, and made by its first use. Sites count for themselves.
SELECT till = session_user AS mine, receipt_no FROM prepay.sell('town/A1', 20, 's1');
SELECT till, receipt_no FROM prepay.sell('town/A1', 30, 's2', options => '{"till": "counter 1"}');
SELECT till, receipt_no FROM prepay.sell('town/A1', 5, 's3', 'wechat', options => '{"till": "counter 1"}');
SELECT till = session_user AS mine, receipt_no FROM prepay.sell('mall/B1', 20, 's1');
SELECT prepay.sell('town/A1', 5, 'x', options => '{"till": ""}');
SELECT prepay.sell('town/A1', 5, 'x', options => '{"till": "a/2"}');
SELECT prepay.sell('town/A1', 5, 'x', options => jsonb_build_object('till', repeat('k', 65)));
SELECT prepay.sell('town/A1', 5, 'x', options => '{"till": 7}');
SELECT prepay.sell('town/A1', 5, 'x2', options => '{"till": "prepay_cashier"}');
SELECT till, receipt_no FROM prepay.sell('town/A1', 5, 'x', options => '{"till": "counter 1"}');
-- A refused call, a repeated call and one that is rolled back take no number.
SELECT prepay.refund('town/A1', 1000, 'r1', options => '{"till": "counter 1"}');
BEGIN;
SELECT receipt_no FROM prepay.sell('town/A1', 5, 's4', options => '{"till": "counter 1"}');
ROLLBACK;
SELECT receipt_no FROM prepay.sell('town/A1', 30, 's2', options => '{"till": "counter 1"}');
SELECT receipt_no FROM prepay.refund('town/A1', 10, 'r1', options => '{"till": "counter 1"}');
-- Papers are for opening with money, sale, refund, reversal of such, closing; nothing else takes a number.
SELECT receipt_no FROM prepay.transfer('town/A1', 'town/A2', 1, 't1');
SELECT receipt_no FROM prepay.adjust('town/A1', 1, 'a1', 'x');
SELECT receipt_no FROM prepay.add_debt('town/A2', 1, 'd1');
SELECT receipt_no FROM prepay.grant_credit('town/A1', 1, 'g1');
SELECT receipt_no FROM prepay.reverse('town/A1', (SELECT seq FROM prepay.ledger WHERE account = 'A1' AND key = 't1'), 'v1');
SELECT receipt_no FROM prepay.reverse('town/A1', (SELECT seq FROM prepay.ledger WHERE key = 'r1'), 'v2');
SELECT receipt_no FROM prepay.close_account('town/A2', 'c1', '{"collect": true, "till": "counter 1"}');
SELECT * FROM pg_temp.receipt;

-- A shift: the receipts from here to there. Cash is counted, the rest is told.
SELECT prepay.open_shift(NULL, site => 'town');
SELECT prepay.open_shift(-1, site => 'town');
SELECT prepay.open_shift(0.001, site => 'town');
SELECT prepay.open_shift(100);
SELECT prepay.open_shift(100, 'prepay_cashier', 'town');
SELECT prepay.close_shift(100, site => 'town');
SET prepay.now = '2026-03-01 08:00+08';
SELECT site, till, shift_no, opened_at, closed_at, opening_cash, booked_cash, expected_cash, counted_cash, difference FROM prepay.open_shift(100, 'counter 1', 'town');
SELECT prepay.open_shift(100, 'counter 1', 'town');
SELECT prepay.set_setting('town', 'sale_fee_percent', '1');
SELECT receipt_no FROM prepay.sell('town/A1', 50, 'h1', options => '{"till": "counter 1"}');
SELECT receipt_no FROM prepay.sell('town/A1', 40, 'h2', 'alipay', options => '{"till": "counter 1"}');
SELECT receipt_no FROM prepay.sell('town/A1', 60, 'h3', options => '{"till": "counter 1"}');
SELECT receipt_no FROM prepay.refund('town/A1', 20.5, 'h4', options => '{"till": "counter 1"}');
SELECT receipt_no FROM prepay.refund('town/A1', 7, 'h5', options => '{"till": "counter 1", "tender": "alipay"}');
SELECT till = session_user AS mine FROM prepay.sell('town/A1', 500, 'h6');
SELECT till = session_user AS mine FROM prepay.reverse('town/A1', (SELECT seq FROM prepay.ledger WHERE key = 'h1'), 'h7');
SELECT till, shift_no, booked_cash, expected_cash, counted_cash, difference, first_receipt_no, last_receipt_no FROM prepay.shifts;
SELECT till, tender, receipts, sales, refunds, reversals, closings, net FROM prepay.shift_totals ORDER BY tender;
SET prepay.now = '2026-03-01 18:00+08';
SELECT prepay.close_shift(NULL, 'counter 1', site => 'town');
SELECT prepay.close_shift(-1, 'counter 1', site => 'town');
SELECT prepay.close_shift('NaN', 'counter 1', site => 'town');
SELECT closed_at, opening_cash, booked_cash, expected_cash, counted_cash, difference FROM prepay.close_shift(189, 'counter 1', 'one note short', 'town');
SELECT prepay.close_shift(189, 'counter 1', site => 'town');
-- The next shift has the next receipts, whatever its clock says; what is between belongs to none.
SELECT receipt_no FROM prepay.sell('town/A1', 1, 'h8', options => '{"till": "counter 1"}');
SELECT shift_no FROM prepay.open_shift(189, 'counter 1', 'town');
SELECT receipt_no FROM prepay.sell('town/A1', 2, 'h9', options => '{"till": "counter 1"}');
SELECT booked_cash, difference FROM prepay.close_shift(191, 'counter 1', site => 'town');
-- One's own till, open: its sales are in it.
SELECT till = session_user AS mine, shift_no FROM prepay.open_shift(site => 'town');
SELECT till = session_user AS mine FROM prepay.sell('town/A1', 3, 'h10');
SELECT till = session_user AS mine, booked_cash, difference FROM prepay.close_shift(3, site => 'town');
SELECT site, replace(till, session_user, 'mine') AS till, shift_no, opened_by = session_user AS by_me, opened_at, closed_at, first_receipt_no, last_receipt_no, opening_cash,
	booked_cash, expected_cash, counted_cash, difference, note FROM prepay.shifts ORDER BY till, shift_no;
SELECT till, count(*) = max(receipt_no) AS gapless FROM pg_temp.receipt GROUP BY site, till ORDER BY site, till;
-- Whoever takes a receipt away, or counts one too many, is seen.
SELECT invariant, detail FROM prepay.verify();
UPDATE prepay.till SET last_receipt_no = last_receipt_no + 1 WHERE till = 'counter 1';
SELECT invariant, detail FROM prepay.verify();
