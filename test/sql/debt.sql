-- add_debt(): debt beside the balance, and the order a top-up pays in.
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
SELECT prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n]) FROM generate_series(1, 5) AS n;
\set VERBOSITY sqlstate

-- The worked example: 10 percent, at most 5 a week from Monday to Sunday, 10 paid each day.
SELECT kind, amount, balance, debt FROM prepay.add_debt('A1', 100, 'd1', '{"name": "old meter", "percent": 10, "cap": 5, "per": "week"}');
SET prepay.now = '2026-03-02 09:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'mon');
SET prepay.now = '2026-03-03 09:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'tue');
SET prepay.now = '2026-03-04 09:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'wed');
SET prepay.now = '2026-03-05 09:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'thu');
SET prepay.now = '2026-03-06 09:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'fri');
SET prepay.now = '2026-03-07 09:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'sat');
-- The last moment of the local week, and the first of the next: 16:00 in Greenwich.
SET prepay.now = '2026-03-08 23:59:59.999999+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'sun');
SET prepay.now = '2026-03-09 00:00+08';
SELECT balance, debt FROM prepay.sell('A1', 10, 'mon2');
-- A share rounded half away from zero, and a payment of which the share is larger than the cap.
SELECT balance, debt FROM prepay.sell('A1', 0.05, 'mon3');
SELECT balance, debt FROM prepay.sell('A1', 1000, 'mon4');
SELECT owed, period_start, period_paid FROM prepay.debts WHERE account = 'A1';

-- Without a cap; month, year, day begin anew in local time.
SELECT debt FROM prepay.add_debt('A2', 1000, 'd2', '{"percent": 50, "cap": 20, "per": "month"}');
SET prepay.now = '2026-03-31 23:59+08';
SELECT balance, debt FROM prepay.sell('A2', 100, 'm1');
SELECT balance, debt FROM prepay.sell('A2', 100, 'm2');
SET prepay.now = '2026-04-01 00:00+08';
SELECT balance, debt FROM prepay.sell('A2', 100, 'm3');
SELECT debt FROM prepay.add_debt('A3', 50, 'd3', '{"percent": 33.3333}');
SELECT balance, debt FROM prepay.sell('A3', 100, 'n1');
SELECT balance, debt FROM prepay.sell('A3', 100, 'n2');

-- Percentage debts first, in the order they were made, then accumulated debt, then the balance.
SELECT debt FROM prepay.add_debt('A4', 30, 'd4');
SELECT debt FROM prepay.add_debt('A4', 100, 'd5', '{"percent": 20}');
SELECT debt FROM prepay.add_debt('A4', 40, 'd6', '{"percent": 90}');
SELECT debt FROM prepay.add_debt('A4', 5, 'd7');
SELECT balance, debt FROM prepay.sell('A4', 50, 'p1');
SELECT seq, owed FROM prepay.debts WHERE account = 'A4' ORDER BY seq;
SELECT balance, debt FROM prepay.sell('A4', 50, 'p2');
SELECT seq, owed FROM prepay.debts WHERE account = 'A4' ORDER BY seq;
SELECT seq, kind, amount, balance_after, ref_seq, debt, debt_after FROM prepay.ledger WHERE account = 'A4' ORDER BY seq;
-- A transfer in is a top-up too; an adjustment and a grant are none.
SELECT debt FROM prepay.add_debt('A5', 12, 'd8');
SELECT balance, debt FROM prepay.adjust('A5', 3, 'a1', 'goodwill');
SELECT balance, debt FROM prepay.grant_credit('A5', 4, 'g1');
SELECT balance FROM prepay.transfer('A4', 'A5', 2, 't1');
SELECT account, balance, debt FROM prepay.account_status ORDER BY account;
-- The hoarding cap counts what reaches the balance.
SELECT prepay.set_setting('town', 'hoarding_cap', '10');
SELECT prepay.sell('A5', 13.01, 'c1');
SELECT balance, debt FROM prepay.sell('A5', 13, 'c1');
SELECT prepay.set_setting('town', 'hoarding_cap', NULL);

-- Terms that make no sense, amounts, keys.
SELECT prepay.add_debt('A1', 1, 'x', '{"cap": 5, "per": "month"}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 5, "cap": 5}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 5, "per": "month"}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 5, "cap": 5, "per": "fortnight"}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 0}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 100.1}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": -5}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 0.00001}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": "NaN"}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 5, "cap": 0, "per": "month"}');
SELECT prepay.add_debt('A1', 1, 'x', '{"percent": 5, "cap": 0.001, "per": "month"}');
SELECT prepay.add_debt('A1', 1, 'x', '{"interest": 5}');
SELECT prepay.add_debt('A1', 1, 'x', '[]');
SELECT prepay.add_debt('A1', 0, 'x');
SELECT prepay.add_debt('A1', -1, 'x');
SELECT prepay.add_debt('A1', 'NaN', 'x');
SELECT prepay.add_debt('A1', 'Infinity', 'x');
SELECT prepay.add_debt('A1', 0.001, 'x');
SELECT prepay.add_debt('A1', NULL, 'x');
SELECT prepay.add_debt(NULL, 1, 'x');
SELECT prepay.add_debt('A1', 1, NULL);
SELECT prepay.add_debt('A9', 1, 'x');
SELECT amount, debt FROM prepay.add_debt('A4', 5, 'd7');
SELECT prepay.add_debt('A4', 5, 'd7', '{"name": "rent"}');
SELECT count(*), sum(owed) = (SELECT sum(debt) FROM prepay.account_status) AS as_the_accounts_say FROM prepay.debts;
SELECT * FROM prepay.verify();
