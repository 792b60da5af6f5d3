-- Policies: who is protected from a cut, until when, and what happens when protection ends.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-02 12:00+08'; -- a Monday
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'B1', NULL), (1, 'F1', 1), (1, 'B2', NULL);
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, place_id)
SELECT 1, 'M' || n, 1, n, CASE WHEN n = 1 THEN 2 ELSE 3 END FROM generate_series(1, 8) AS n;
SELECT prepay.open_account('A' || n, 'Tenant', meters => ARRAY['M' || n], opening_balance => 10, key => 'o' || n,
	phone => CASE WHEN n = 5 THEN '13800000005' END,
	options => CASE WHEN n = 3 THEN '{"load_class": "small"}' ELSE '{}' END::jsonb) FROM generate_series(1, 8) AS n;
CREATE VIEW pg_temp.d AS SELECT account, decision, supply, balance, reasons FROM prepay.supply_decision('town') ORDER BY account;
CREATE VIEW pg_temp.c AS SELECT m.code AS meter, c.action, c.status, c.reason FROM prepay.command c
	JOIN prepay.meter m USING (site_id, meter_id) ORDER BY command_id;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
SELECT 1, m, '2026-03-02 12:00+08', 0, true FROM generate_series(1, 8) AS m;

-- No cut from 18:00 to 08:00 in building B1; three days of grace for small loads; a dispute; notice first.
INSERT INTO prepay.supply_policy (site_id, code, place_id, from_time, to_time) VALUES (1, 'night', 1, '18:00', '08:00');
INSERT INTO prepay.supply_policy (site_id, code, load_class, grace) VALUES (1, 'small', 'small', '3 days');
INSERT INTO prepay.supply_policy (site_id, code, account_id, dispute, valid_to) VALUES (1, 'case 7', 4, true, '2026-03-05 10:00+08');
INSERT INTO prepay.supply_policy (site_id, code, account_id, notice) VALUES (1, 'notice', 5, true);
INSERT INTO prepay.supply_policy (site_id, code, account_id, stale_after) VALUES (1, 'stale', 6, '1 day');
SELECT prepay.tick();
SELECT prepay.tick();

-- Everybody uses everything up at 19:00.
SET prepay.now = '2026-03-02 18:30+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
SELECT 1, m, '2026-03-02 18:30+08', 9, true FROM generate_series(1, 7) AS m;
SET prepay.now = '2026-03-02 19:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
SELECT 1, m, '2026-03-02 19:00+08', 10, true FROM generate_series(1, 7) AS m;
SELECT * FROM pg_temp.d;
SELECT meter, action, status FROM pg_temp.c;
SELECT m.code, c.desired, c.desired_why, c.hold_until FROM prepay.meter_control c JOIN prepay.meter m USING (site_id, meter_id) ORDER BY 1;
-- Of another moment: the window has ended for A1, not for A3; with the present balance.
SELECT account, decision, supply FROM prepay.supply_decision('town', '2026-03-03 08:00+08') ORDER BY account;
SELECT account, decision, supply FROM prepay.supply_decision('town', '2026-03-03 07:59:59+08') ORDER BY account;
SELECT account, decision, reasons FROM prepay.supply_decision('A3', '2026-03-05 18:59+08');
SELECT account, decision FROM prepay.supply_decision('A3', '2026-03-05 19:00+08');
SELECT account, decision FROM prepay.supply_decision('A4', '2026-03-05 10:00+08');
SELECT prepay.supply_decision('A4', 'infinity');

-- Rehearsal: it says beforehand what happens then.
CREATE VIEW pg_temp.r AS SELECT account, meter, outcome, decision, held_until, balance FROM prepay.supply_rehearsal('town') ORDER BY 2;
SELECT * FROM pg_temp.r;
SELECT account, outcome, decision, reasons FROM prepay.supply_rehearsal('town', '2026-03-03 08:00+08') ORDER BY meter;
SELECT (SELECT array_agg(meter || decision ORDER BY meter) FROM prepay.supply_rehearsal('town', m))
	= (SELECT array_agg(meter || decision ORDER BY meter) FROM prepay.supply_decision('town', m) WHERE decision <> 'on') AS agrees
FROM unnest('{2026-03-02 19:00+08,2026-03-03 07:00+08,2026-03-03 08:00+08,2026-03-05 10:00+08,2026-03-05 19:00+08}'::timestamptz[]) AS m;
SELECT prepay.supply_rehearsal('town', '-infinity');
SELECT prepay.supply_rehearsal('nowhere');

-- Paying while held: nothing to switch. Who does not pay is cut when the window opens.
SELECT balance FROM prepay.sell('A2', 5, 'p2');
SELECT meter, action, status FROM pg_temp.c WHERE meter = 'M2';
SET prepay.now = '2026-03-03 07:59+08';
SELECT prepay.tick();
SELECT meter, action, status FROM pg_temp.c WHERE meter = 'M1';
SET prepay.now = '2026-03-03 08:00+08';
SELECT prepay.tick();
SELECT meter, action, status, reason FROM pg_temp.c WHERE meter = 'M1';

-- A message that has arrived ends the wait for it, within minutes; one that never does, after notice_max_hours.
SELECT account, decision, supply FROM prepay.supply_decision('A5');
SELECT account, decision FROM prepay.supply_decision('A5', '2026-03-04 19:00+08');
UPDATE prepay.notification SET state = 'delivered', state_at = prepay.now() WHERE account_id = 5 AND template = 'arrears';
SET prepay.now = '2026-03-03 08:10+08';
SELECT prepay.tick();
SELECT meter, action, status FROM pg_temp.c WHERE meter = 'M5';

-- Fresh data let A6 be cut at once; A8 is read last on Monday and used up by a refund: stale until a week later.
SELECT meter, action, status FROM pg_temp.c WHERE meter = 'M6';
INSERT INTO prepay.supply_policy (site_id, code, account_id, stale_after) VALUES (1, 'stale8', 8, '1 day');
SET prepay.now = '2026-03-04 12:00+08';
SELECT amount, balance FROM prepay.refund('A8', 10, 'r8');
SELECT account, decision, supply, reasons FROM prepay.supply_decision('A8');
SELECT account, decision FROM prepay.supply_decision('A8', '2026-03-09 12:00+08');

-- A payment of half of what is owed gives supply for three days, no small change prolongs them.
INSERT INTO prepay.supply_policy (site_id, code, account_id, reconnect_percent, reconnect_days) VALUES (1, 'half', 7, 50, 3), (1, 'most', 7, 75, 7);
SET prepay.now = '2026-03-04 12:30+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 7, '2026-03-04 12:30+08', 110, false);
SELECT prepay.tick();
SELECT decision, balance FROM prepay.supply_decision('A7');
SELECT balance FROM prepay.sell('A7', 49, 'h1');
SELECT decision, balance FROM prepay.supply_decision('A7');
SELECT balance FROM prepay.sell('A7', 2, 'h2');
SELECT decision, supply, reasons FROM prepay.supply_decision('A7');
SELECT action, status, reason FROM pg_temp.c WHERE meter = 'M7' ORDER BY 1, 2;
SET prepay.now = '2026-03-05 12:30+08';
SELECT balance FROM prepay.sell('A7', 2, 'h3');
SELECT decision, reasons FROM prepay.supply_decision('A7');
SELECT decision FROM prepay.supply_decision('A7', '2026-03-07 12:30+08');
SET prepay.now = '2026-03-07 12:30+08';
SELECT prepay.tick();
SELECT desired, desired_why FROM prepay.meter_status WHERE meter = 'M7';

-- A crossing by the energy of a gap: grace after its notice. A crossing that could be foreseen has none.
SELECT prepay.set_setting('town', 'grace_hours', '24');
SELECT prepay.tick();
SET prepay.now = '2026-03-07 13:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) VALUES (1, 2, '2026-03-07 13:00+08', 30, true);
SELECT decision, supply, reasons FROM prepay.supply_decision('A2');
SELECT decision FROM prepay.supply_decision('A2', '2026-03-08 13:00+08');
SELECT used_up_by_backlog, used_up_at FROM prepay.account_state WHERE account_id = 2;
SELECT prepay.set_setting('town', 'grace_hours', '0');
SELECT prepay.tick();
SELECT meter, action, status FROM pg_temp.c WHERE meter = 'M2';

-- Weekends and holidays: Sunday 2026-03-08 is made a working day, Monday a holiday.
INSERT INTO prepay.supply_policy (site_id, code, account_id, calendar, day_types) VALUES (1, 'rest', 2, 'CN', '{holiday,weekend}');
INSERT INTO prepay.holiday (calendar, day, day_type) VALUES ('CN', '2026-03-08', 'workday'), ('CN', '2026-03-09', 'holiday');
SELECT m AS moment, decision, reasons[1] FROM (VALUES ('2026-03-07 13:00+08'::timestamptz), ('2026-03-08 12:00+08'), ('2026-03-09 12:00+08'), ('2026-03-10 00:00+08')) AS v (m), prepay.supply_decision('A2', m);

-- A new account that never had money has crossed nothing: grace is not for it.
SET prepay.now = '2026-03-07 13:30+08';
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M9');
SELECT prepay.open_account('A9', 'New', meters => '{M9}', options => '{"load_class": "small"}');
SELECT decision FROM prepay.supply_decision('A9');

-- What is no policy.
INSERT INTO prepay.supply_policy (site_id, code) VALUES (1, 'nothing');
INSERT INTO prepay.supply_policy (site_id, code, dispute) VALUES (1, 'endless', true);
INSERT INTO prepay.supply_policy (site_id, code, from_time) VALUES (1, 'half', '10:00');
INSERT INTO prepay.supply_policy (site_id, code, weekdays) VALUES (1, 'eight', '{8}');
INSERT INTO prepay.supply_policy (site_id, code, grace, account_id, place_id) VALUES (1, 'both', '1 day', 1, 1);
INSERT INTO prepay.supply_policy (site_id, code, grace) VALUES (1, 'month', '1 month');
INSERT INTO prepay.supply_policy (site_id, code, notice, reconnect_percent, reconnect_days) VALUES (1, 'mix', true, 50, 3);
SELECT * FROM prepay.verify();
