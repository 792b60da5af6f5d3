-- Reports of money: they tie to the ledger, to the cent, in the site's local days.
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
SELECT prepay.define_tariff('step', '{"periods": ["day", "night"], "schedule": [{"slots": [["00:00", "night"], ["08:00", "day"], ["22:00", "night"]]}],
	"tiers": {"accumulate": "month", "upto": [10]}, "prices": {"day": [0.8, 1.2], "night": [0.4, 0.6]}, "surcharges": [{"name": "vat", "percent": 10, "on": ["energy"]}]}');
SELECT prepay.create_site('mall', 'Mall', 'America/New_York', 'JPY');
SELECT prepay.open_account('town/A1', 'Zhang', meters => '{town/M1}', opening_balance => 10, key => 'o1'),
	prepay.open_account('town/A2', 'Li', meters => '{town/M2}', tariff => 'step'), prepay.open_account('town/A3', 'Wu'), prepay.open_account('mall/B1', 'Abe');
\set VERBOSITY sqlstate

-- Purchase number, price of the moment in its period and tier with what rests on energy, kWh equivalent.
SET prepay.now = '2026-03-01 09:00+08';
SELECT balance FROM prepay.sell('town/A1', 50, 's1');
SELECT balance FROM prepay.sell('town/A2', 100, 's2', 'wechat');
SET prepay.now = '2026-03-01 23:59:59+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, prepay.now(), 10);
SELECT balance FROM prepay.sell('town/A2', 100, 's3', 'wechat');
SET prepay.now = '2026-03-02 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, prepay.now(), 11);
SELECT prepay.set_setting('town', 'sale_fee_percent', '0.5');
SELECT debt FROM prepay.add_debt('town/A2', 10, 'd1');
SELECT balance FROM prepay.sell('town/A2', 100, 's4', 'cash', 'with a fee and a debt');
SELECT balance FROM prepay.sell('town/A2', 33, 's5', 'cash');
SELECT balance FROM prepay.refund('town/A2', 50, 'r1', options => '{"tender": "wechat"}');
SELECT balance FROM prepay.reverse('town/A2', (SELECT seq FROM prepay.ledger WHERE key = 's5'), 'v1');
SELECT balance FROM prepay.sell('town/A3', 7, 's6', 'card');
-- When April begins in Shanghai it is noon of the day before in New York. Yen have no decimals.
SET prepay.now = '2026-04-01 00:00+08';
SELECT balance FROM prepay.sell('town/A1', 20, 's7');
SELECT balance FROM prepay.sell('mall/B1', 1000, 's8');
SELECT prepay.sell('mall/B1', 0.5, 'x');
SELECT balance FROM prepay.refund('town/A1', 5, 'r2');
SELECT balance FROM prepay.close_account('town/A3', 'c1', '{"tender": "card"}');
SELECT balance FROM prepay.adjust('town/A1', 3, 'a1', 'goodwill');
SELECT balance FROM prepay.transfer('town/A1', 'town/A2', 4, 't1');

SELECT site, account, purchase_no, day, tendered, fee, debt_paid, amount, price, kwh, tender, receipt_no, seq, note, reversed_by_seq, currency FROM prepay.sales ORDER BY site, booked_at, account, seq;
SELECT site, account, day, kind, amount, tender, reversed_by_seq FROM prepay.refunds ORDER BY site, booked_at, account;
SELECT site, account, day, reversed_kind, amount, fee, tender, reversed_key FROM prepay.reversals ORDER BY site, account;
SELECT site, day, tender, sales, tendered, fee, refunds, refunded, reversals, reversed, closings, closed, net, currency FROM prepay.sales_daily ORDER BY site, day, tender;
SELECT site, month, tender, sales, tendered, fee, refunded, reversed, closed, net FROM prepay.sales_monthly ORDER BY site, month, tender;
SELECT site, year, tender, sales, tendered, fee, refunded, reversed, closed, net, operator = session_user AS mine FROM prepay.sales_yearly ORDER BY site, year, tender;
-- The sums are those of the ledger, day by day and in all.
SELECT count(*) AS days_that_differ FROM (SELECT site, day, tender, sum(net) AS net FROM prepay.sales_daily GROUP BY site, day, tender) r
	FULL JOIN (SELECT site, day, tender, sum(amount + COALESCE(fee, 0)) AS net FROM prepay.ledger WHERE tender IS NOT NULL GROUP BY site, day, tender) l USING (site, day, tender)
WHERE r.net IS DISTINCT FROM l.net;
SELECT r.site, sum(r.net) = sum(r.tendered - r.refunded + r.reversed + r.closed) AS adds_up FROM prepay.sales_yearly r GROUP BY r.site ORDER BY r.site;
-- Opening and closing balance of each month: one month closes where the next opens, and the parts add up.
SET prepay.now = '2026-04-03 12:00+08';
SELECT prepay.tick();
SELECT site, account, month, opening_balance, sales, refunds, transfers, adjustments, debts, usage, reversals, closings, closing_balance FROM prepay.account_monthly ORDER BY site, account, month;
SELECT count(*) AS broken FROM (SELECT *, lag(closing_balance, 1, 0.00) OVER (PARTITION BY site, account ORDER BY month) AS before FROM prepay.account_monthly) m
WHERE opening_balance <> before OR closing_balance <> opening_balance + sales + refunds + transfers + adjustments + credits + debts + usage + reversals + closings;
SELECT site, sum(posted_balance) = (SELECT sum(b.closing_balance) FROM (SELECT DISTINCT ON (account) account, closing_balance FROM prepay.account_monthly m WHERE m.site = s.site ORDER BY account, month DESC) b) AS ties
FROM prepay.account_status s GROUP BY site ORDER BY site;

-- A fee that takes everything, the minimum and the fee: what is tendered counts.
SELECT prepay.set_setting('town', 'min_sale', '10');
SELECT prepay.sell('town/A1', 9.99, 'x');
SELECT amount, fee FROM prepay.sell('town/A1', 10, 'y1');
SELECT prepay.set_setting('town', 'min_sale', NULL);
SELECT amount, fee FROM prepay.sell('town/A1', 0.99, 'y2');
SELECT amount, fee FROM prepay.sell('town/A1', 1, 'y3');
SELECT prepay.set_setting('town', 'sale_fee_percent', '100');
SELECT prepay.sell('town/A1', 10, 'x');
SELECT prepay.set_setting('town', 'sale_fee_percent', '100.5');
SELECT prepay.set_setting('town', 'sale_fee_percent', '-1');
SELECT * FROM prepay.verify();
