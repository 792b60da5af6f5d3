-- close_account(): final registers, settlement to the cent, meters released; suspension; the log of changes.
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
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 100, key => 'o1'),
	prepay.open_account('A2', 'Li', meters => '{M2,M3}', opening_balance => 5, key => 'o2'),
	prepay.open_account('A3', 'Wu', meters => '{M4}', opening_balance => 30, key => 'o3'), prepay.open_account('A4', 'Zhao');
\set VERBOSITY sqlstate

-- Move out at a given register, in the middle of a day; the next one moves in at the same instant.
SET prepay.now = '2026-03-03 15:30+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-03 12:00+08', 40);
SELECT kind, amount, balance_after, balance, debt, receipt_no, till = session_user AS my_till, note
FROM prepay.close_account('A1', 'c1', '{"final_kwh": {"M1": 47.254}, "tender": "wechat", "reason": "moved out"}');
SELECT prepay.open_account('A1b', 'Qian', meters => '{M1}', opening_balance => 10, key => 'o1b');
SET prepay.now = '2026-03-03 18:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, prepay.now(), 50);
SELECT account, state, balance FROM prepay.account_status WHERE account LIKE 'A1%' ORDER BY account;
SELECT seq, kind, day, amount, balance_after, tender, key FROM prepay.ledger WHERE account = 'A1' ORDER BY seq;
SELECT account, day, kwh, amount, booked_seq FROM prepay.usage_daily WHERE account LIKE 'A1%' ORDER BY account, day;
-- The key again, other arguments, another key: closed is closed, for all there is.
SELECT kind, amount, balance, receipt_no FROM prepay.close_account('A1', 'c1', '{"final_kwh": {"M1": 47.254}, "tender": "wechat", "reason": "moved out"}');
SELECT prepay.close_account('A1', 'c1');
SELECT prepay.close_account('A1', 'c2');
SELECT prepay.sell('A1', 5, 'x');
SELECT prepay.refund('A1', 5, 'x');
SELECT prepay.adjust('A1', 5, 'x', 'y');
SELECT prepay.transfer('A1b', 'A1', 5, 'x');
SELECT prepay.transfer('A1', 'A1b', 5, 'x');
SELECT prepay.reverse('A1', 1, 'x');
SELECT prepay.add_debt('A1', 5, 'x');
SELECT prepay.grant_credit('A1', 5, 'x');
SELECT prepay.activate_emergency_credit('A1', 'x');
SELECT prepay.update_account('A1', '{"note": "x"}');
SELECT prepay.add_meter('A1', 'M5');
SELECT prepay.open_account('A1', 'Again');

-- In arrears it needs collect. Both meters settle at their last readings; what flowed since is nobody's.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, '2026-03-03 08:00+08', 8), (1, 3, '2026-03-03 16:00+08', 4.5);
SELECT prepay.close_account('A2', 'c3');
SELECT account, state, balance, meters FROM prepay.account_status WHERE account = 'A2';
SELECT kind, amount, balance_after, balance FROM prepay.close_account('A2', 'c3', '{"collect": true}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, '2026-03-03 17:59+08', 20), (1, 3, '2026-03-03 17:59+08', 20);
SELECT account, state, balance, meters FROM prepay.account_status WHERE account = 'A2';
SELECT account, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily WHERE account = 'A2' GROUP BY account;
SELECT meter, account, state, desired, desired_why FROM prepay.meter_status ORDER BY meter;

-- Debt is paid from what is left, granted credit lapses, the rest is paid out. Nothing of it while refused.
SELECT balance FROM prepay.adjust('A3', 7, 'a1', 'goodwill');
SELECT balance FROM prepay.grant_credit('A3', 6, 'g1', '{"type": "subsidy", "priority": 1}');
SELECT debt FROM prepay.add_debt('A3', 40, 'd1', '{"percent": 5, "cap": 2, "per": "month"}');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 4, prepay.now(), 10);
SELECT prepay.close_account('A3', 'c4');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M4": 9}}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M5": 10}}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M9": 10}}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M4": null}}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M4": "NaN"}}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M4": -1}}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": [10]}');
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": 10}');
SELECT prepay.close_account('A3', 'c4', '{"collect": "maybe"}');
SELECT prepay.close_account('A3', 'c4', '{"tender": "shells"}');
SELECT prepay.close_account('A3', 'c4', '{"refund": true}');
SELECT prepay.close_account('A3', NULL);
SELECT prepay.close_account(NULL, 'c4');
SELECT prepay.close_account('A9', 'c4');
SET prepay.now = '2026-03-03 19:00+08';
-- A register that cannot be believed settles nothing.
SELECT prepay.close_account('A3', 'c4', '{"final_kwh": {"M4": 9}, "collect": true}');
SELECT account, state, balance, debt, meters FROM prepay.account_status WHERE account = 'A3';
SELECT count(*) AS readings FROM prepay.readings WHERE meter = 'M4';
SELECT kind, amount, balance, debt FROM prepay.close_account('A3', 'c4', '{"final_kwh": {"M4": 10.5}, "collect": true}');
SELECT seq, kind, amount, balance_after, debt_after, ref_seq FROM prepay.ledger WHERE account = 'A3' ORDER BY seq;
-- An account without money, meters or anything.
SELECT kind, amount, balance FROM prepay.close_account('A4', 'c5');
SELECT site, account, customer, opened_at, closed_at, closed_by = session_user AS by_me, paid_out, collected, balance, receipt_no FROM prepay.closed_accounts ORDER BY account;
SELECT account, opening_balance, state FROM prepay.opened_accounts ORDER BY account;
SELECT * FROM prepay.verify();

-- A reading of its time that is corrected later is charged to the closed account, and settled by closing again.
SET prepay.now = '2026-03-10 09:00+08';
SELECT prepay.tick() >= 0 AS ticked;
SELECT prepay.correct_reading('M1', '2026-03-03 15:30+08', 46.254, 'misread by 1');
SELECT account, balance FROM prepay.closed_accounts ORDER BY account;
SELECT kind, amount, balance FROM prepay.close_account('A1', 'c6', '{"tender": "cash"}');
SELECT prepay.close_account('A1', 'c7');
SELECT prepay.correct_reading('M4', '2026-03-03 19:00+08', 11, 'misread');
SELECT prepay.close_account('A3', 'c8');
SELECT kind, amount, balance FROM prepay.close_account('A3', 'c8', '{"collect": true}');
SELECT account, paid_out, collected, balance FROM prepay.closed_accounts ORDER BY account;
SELECT account, balance FROM prepay.account_status WHERE account = 'A1b';
SELECT * FROM prepay.verify();

-- Suspended: nothing is sold, supply is off, the balance stays; each change is in the log.
SELECT prepay.open_account('B1', 'Sun', '13800000001', meters => '{M5}', opening_balance => 20, key => 'b1');
SELECT prepay.update_account('B1', '{"customer": "Sun & Co", "phone": null, "credit_limit": 5}');
SELECT decision FROM prepay.supply_decision('B1');
SELECT prepay.update_account('B1', '{"state": "suspended"}');
SELECT decision, reasons FROM prepay.supply_decision('B1');
SELECT state, color, balance, meters_cut FROM prepay.account_status WHERE account = 'B1';
SELECT state FROM prepay.meter_status WHERE meter = 'M5';
SELECT prepay.sell('B1', 5, 'x');
SELECT prepay.refund('B1', 5, 'x');
SELECT prepay.transfer('B1', 'A1b', 5, 'x');
SELECT prepay.transfer('A1b', 'B1', 5, 'x');
SELECT prepay.activate_emergency_credit('B1', 'x');
SELECT balance FROM prepay.adjust('B1', 5, 'b2', 'what a supervisor decides');
SELECT prepay.update_account('B1', '{"state": "open"}');
SELECT decision FROM prepay.supply_decision('B1');
SELECT balance FROM prepay.sell('B1', 5, 'b3');
SELECT prepay.update_account('B1', '{"state": "closed"}');
SELECT prepay.update_account('B1', '{"state": null}');
SELECT prepay.update_account('B1', '{"customer": null}');
SELECT prepay.update_account('B1', '{"credit_limit": 0.001}');
SELECT prepay.update_account('B1', '{"credit_limit": null}');
SELECT prepay.update_account('B1', '{}');
SELECT prepay.update_account('B1', '{"state": "suspended"}');
SELECT kind, amount, balance FROM prepay.close_account('B1', 'b4');
SELECT account, change_no, changed_at, operator = session_user AS by_me, field, before, after FROM prepay.account_changes WHERE account = 'B1' ORDER BY change_no;
SELECT * FROM prepay.verify();
