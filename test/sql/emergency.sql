-- Emergency credit: available, active, used, exhausted, repaid, available again.
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
SELECT prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n) FROM generate_series(1, 4) AS n;
CREATE VIEW pg_temp.status AS SELECT account, state, balance, debt, emergency_credit, emergency_exhausted AS exhausted, meters_cut FROM prepay.account_status ORDER BY account;
-- The register that leaves account A<meter> with a balance.
CREATE FUNCTION pg_temp.use(n int, kwh numeric) RETURNS void LANGUAGE SQL AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, n, prepay.now(), register_kwh + kwh FROM prepay.meter_status WHERE meter = 'M' || n $$;
\set VERBOSITY sqlstate

-- Off unless configured.
SET prepay.now = '2026-03-01 01:00+08';
SELECT pg_temp.use(1, 10);
SELECT prepay.activate_emergency_credit('A1', 'e1');
SELECT prepay.set_setting('town', 'emergency_credit', '200');
-- Not while there is money.
SELECT prepay.activate_emergency_credit('A2', 'x');
SELECT * FROM pg_temp.status WHERE account = 'A1';
-- Balance 0, 200 of it: supply comes back at once. A second time it is refused, the same call is not.
SELECT kind, amount, balance, note FROM prepay.activate_emergency_credit('A1', 'e1');
SELECT * FROM pg_temp.status WHERE account = 'A1';
SELECT kind, amount, balance, note FROM prepay.activate_emergency_credit('A1', 'e1');
SELECT prepay.activate_emergency_credit('A1', 'e2');
SELECT prepay.activate_emergency_credit('A2', 'e1');
-- Use 150, pay 100: 50 owed, still on.
SET prepay.now = '2026-03-01 02:00+08';
SELECT pg_temp.use(1, 150);
SELECT balance FROM prepay.sell('A1', 100, 's1');
SELECT * FROM pg_temp.status WHERE account = 'A1';
-- Use up the rest: off. Paying less than all that is owed does not bring it back, nor does it a second activation.
SET prepay.now = '2026-03-01 03:00+08';
SELECT pg_temp.use(1, 149.99);
SELECT * FROM pg_temp.status WHERE account = 'A1';
SET prepay.now = '2026-03-01 04:00+08';
SELECT pg_temp.use(1, 0.01);
SELECT * FROM pg_temp.status WHERE account = 'A1';
SELECT decision, supply, reasons FROM prepay.supply_decision('A1');
SELECT balance FROM prepay.sell('A1', 199, 's2');
SELECT prepay.activate_emergency_credit('A1', 'e2');
SELECT balance FROM prepay.sell('A1', 1, 's3');
SELECT * FROM pg_temp.status WHERE account = 'A1';
-- All of it and more: on, and available again only when the balance has fallen again.
SELECT balance FROM prepay.sell('A1', 0.01, 's4');
SELECT * FROM pg_temp.status WHERE account = 'A1';
SELECT prepay.activate_emergency_credit('A1', 'e2');
SET prepay.now = '2026-03-01 05:00+08';
SELECT pg_temp.use(1, 0.01);
SELECT note FROM prepay.activate_emergency_credit('A1', 'e2');
SELECT * FROM pg_temp.status WHERE account = 'A1';

-- Debts have to be cleared too, which top-ups do first; instalments are no such debt.
SELECT pg_temp.use(2, 10);
SELECT note FROM prepay.activate_emergency_credit('A2', 'e3');
SET prepay.now = '2026-03-01 06:00+08';
SELECT pg_temp.use(2, 250);
SELECT debt FROM prepay.add_debt('A2', 300, 'd1', '{"percent": 10}');
SELECT debt FROM prepay.add_debt('A2', 30, 'd2');
SELECT balance FROM prepay.adjust('A2', 260, 'a1', 'a mistake of ours');
SELECT * FROM pg_temp.status WHERE account = 'A2';
SELECT decision, supply, reasons FROM prepay.supply_decision('A2');
SELECT balance, debt FROM prepay.sell('A2', 30, 's5');
SELECT decision, supply, reasons FROM prepay.supply_decision('A2');
SELECT balance, debt FROM prepay.sell('A2', 10, 's6');
SELECT * FROM pg_temp.status WHERE account = 'A2';
SELECT decision, supply, reasons FROM prepay.supply_decision('A2');

-- With a credit limit the cut is at -(limit + emergency credit), the return above -limit. An amount of
-- its own; the one of activation counts. It becomes available with the second alarm.
SELECT prepay.update_account('A3', '{"credit_limit": 20, "emergency_credit": 30, "alarm2_amount": 5}');
SELECT prepay.activate_emergency_credit('A3', 'e4');
SET prepay.now = '2026-03-01 07:00+08';
SELECT pg_temp.use(3, 5);
SELECT note FROM prepay.activate_emergency_credit('A3', 'e4');
SELECT prepay.update_account('A3', '{"emergency_credit": 1}');
SET prepay.now = '2026-03-01 08:00+08';
SELECT pg_temp.use(3, 54.99);
SELECT * FROM pg_temp.status WHERE account = 'A3';
SET prepay.now = '2026-03-01 09:00+08';
SELECT pg_temp.use(3, 0.01);
SELECT * FROM pg_temp.status WHERE account = 'A3';
SELECT balance FROM prepay.sell('A3', 30, 's7');
SELECT * FROM pg_temp.status WHERE account = 'A3';
SELECT balance FROM prepay.sell('A3', 0.01, 's8');
SELECT * FROM pg_temp.status WHERE account = 'A3';
-- Owing more than it would give, it gives nothing.
SET prepay.now = '2026-03-01 10:00+08';
SELECT pg_temp.use(3, 40);
SELECT prepay.activate_emergency_credit('A3', 'e5');

-- Repaid without having been used up, it ends as well; closing ends it.
SELECT pg_temp.use(4, 10);
SELECT note FROM prepay.activate_emergency_credit('A4', 'e6');
SELECT balance FROM prepay.sell('A4', 5, 's9');
SELECT * FROM pg_temp.status WHERE account = 'A4';
SET prepay.now = '2026-03-01 11:00+08';
SELECT pg_temp.use(4, 5);
SELECT note FROM prepay.activate_emergency_credit('A4', 'e7');
SELECT balance FROM prepay.close_account('A4', 'c1');
SELECT * FROM pg_temp.status WHERE account = 'A4';
SELECT prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE key = 'e2'), 'x');
SELECT prepay.activate_emergency_credit(NULL, 'x');
SELECT prepay.activate_emergency_credit('A1', NULL);
SELECT prepay.activate_emergency_credit('A9', 'x');
SELECT account, count(*), sum(amount) FROM prepay.ledger WHERE kind = 'credit' GROUP BY account ORDER BY account;
SELECT * FROM prepay.verify();
