-- sell(): amounts, keys, caps, tenders.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.open_account('A1', 'Zhang', opening_balance => 10, key => 'old-1');
SELECT prepay.open_account('A2', 'Li');
\set VERBOSITY sqlstate

-- The result says it all, and the same call again gives the same.
SET prepay.now = '2026-03-01 09:00+08';
SELECT site, account, seq, kind, amount, balance_after, balance, booked_at, key, receipt_no, note, till = session_user AS my_till, fee, debt FROM prepay.sell('A1', 50, 's1', 'wechat', 'corner shop');
SET prepay.now = '2026-03-02 09:00+08';
SELECT site, account, seq, kind, amount, balance_after, balance, booked_at, key, receipt_no, note, till = session_user AS my_till, fee, debt FROM prepay.sell('A1', 50.00, 's1', 'wechat', 'corner shop');
SELECT seq, balance_after, balance FROM prepay.sell('A1', 0.01, 's2');
SELECT site, account, seq, kind, amount, balance_after, balance, booked_at, key, receipt_no, note, till = session_user AS my_till, fee, debt FROM prepay.sell('A1', 50, 's1', 'wechat', 'corner shop');
SELECT account, seq, kind, amount, balance_after, booked_at, key, operator = session_user AS by_me, tender, note
FROM prepay.ledger ORDER BY account, seq;

-- A key belongs to one operation with its arguments, over all money functions and accounts.
SELECT prepay.sell('A1', 51, 's1', 'wechat', 'corner shop');
SELECT prepay.sell('A1', 50, 's1', 'cash', 'corner shop');
SELECT prepay.sell('A1', 50, 's1', 'wechat', 'other shop');
SELECT prepay.sell('A1', 50, 's1', 'wechat');
SELECT prepay.sell('A2', 50, 's1', 'wechat', 'corner shop');
SELECT prepay.sell('A1', 10, 'old-1');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 50, key => 's1');
SELECT prepay.sell('A1', 50, NULL);
SELECT prepay.sell('A1', 50, '');
SELECT prepay.sell('A1', 50, repeat('k', 201));
SELECT prepay.sell('A1', 50, repeat('钥', 67));
SELECT seq FROM prepay.sell('A1', 0.02, repeat('k', 200));

-- Amounts.
SELECT prepay.sell('A1', 'NaN', 'x1');
SELECT prepay.sell('A1', 'Infinity', 'x1');
SELECT prepay.sell('A1', '-Infinity', 'x1');
SELECT prepay.sell('A1', -5, 'x1');
SELECT prepay.sell('A1', 0, 'x1');
SELECT prepay.sell('A1', 0.001, 'x1');
SELECT prepay.sell('A1', 5.555, 'x1');
SELECT prepay.sell('A1', 1e30, 'x1');
SELECT prepay.sell('A1', 92233720368547758.07, 'x1');
SELECT prepay.sell('A1', 1e-2000, 'x1');
SELECT prepay.sell('A1', NULL, 'x1');
SELECT prepay.sell(NULL, 5, 'x1');
SELECT amount FROM prepay.sell('A1', 5.500000, 'x2');
SELECT prepay.sell('A1', 5, 'x1', 'shells');
SELECT prepay.sell('A1', 5, 'x1', options => '{"discount": 1}');
SELECT prepay.sell('A1', 5, 'x1', options => '[]');
SELECT seq FROM prepay.sell('A1', 5, 'x3', NULL, NULL, NULL);
SELECT seq, tender, note FROM prepay.ledger WHERE key = 'x3';

-- Limits are settings: below the minimum, beyond the hoarding cap; refused before anything moves.
SELECT prepay.set_setting('town', 'min_sale', '2.00');
SELECT prepay.set_setting('town', 'hoarding_cap', '100');
SELECT prepay.sell('A1', 1.99, 'c1');
SELECT prepay.sell('A1', 29.48, 'c1');
SELECT balance FROM prepay.sell('A1', 29.47, 'c1');
SELECT prepay.sell('A1', 2, 'c2');
SELECT prepay.set_setting('town', 'hoarding_cap', NULL);
SELECT balance FROM prepay.sell('A1', 2, 'c2');

-- A closed account takes no money.
WITH a AS (UPDATE prepay.account SET state = 'closed', closed_at = prepay.now() WHERE code = 'A2' RETURNING site_id, account_id)
	UPDATE prepay.account_state s SET closed_on = prepay.now()::date FROM a WHERE (s.site_id, s.account_id) = (a.site_id, a.account_id);
SELECT prepay.sell('A2', 5, 'x4');
-- An account nobody opened.
SELECT prepay.sell('A9', 5, 'x4');

-- The largest balance is exact, and one step further is an error, not a wrap.
SELECT prepay.open_account('RICH', 'Midas', opening_balance => 900000000000.00, key => 'old-rich');
SELECT prepay.sell('RICH', 92233720368547758.00, 'x5');

SELECT account, count(*), sum(amount), max(seq) FROM prepay.ledger GROUP BY account ORDER BY account;
SELECT key IS NOT NULL AS with_key, operation, count(*) FROM prepay.posting GROUP BY 1, 2 ORDER BY 2;
SELECT account, state, balance, posted_balance FROM prepay.account_status ORDER BY account;
SELECT * FROM prepay.verify();
