-- A meter's life: given to accounts, taken away, replaced, its ratio changed; one meter after another
-- and several at once. Figures worked out by hand.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
-- 10 kWh a month at 1, the rest at 2.
SELECT prepay.define_tariff('step', '{"tiers": {"accumulate": "month", "upto": [10]}, "prices": [1, 2]}');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.set_setting('town', 'alarm1_amount', '90');
SELECT prepay.set_setting('town', 'poll_interval', '2 hours');
CREATE FUNCTION pg_temp.read(code text, at timestamptz, kwh numeric, reverse numeric DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh)
	SELECT 1, meter_id, at, $3, $4 FROM prepay.meter WHERE code = $1;
$$;
CREATE FUNCTION pg_temp.ticks() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	WHILE prepay.tick() > 0 LOOP END LOOP;
	RETURN true;
END $$;
CREATE VIEW pg_temp.used AS
	SELECT account, meter, day, tier, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily
	GROUP BY account, meter, day, tier HAVING sum(kwh) <> 0 OR sum(amount) <> 0;

-- ---- replace_meter: both registers count, tiers, balance and alarms go on ----
INSERT INTO prepay.meter (site_id, code, ratio) VALUES (1, 'R-old', 1), (1, 'R-new', 10);
SELECT prepay.open_account('R', 'Replaced', '13800000001', meters => '{R-old}', tariff => 'step', opening_balance => 95, key => 'R');
SET prepay.now = '2026-03-02 12:00+08';
SELECT pg_temp.read('R-old', '2026-03-02 00:00+08', 12340), pg_temp.read('R-old', '2026-03-02 10:00+08', 12346);
-- 6 kWh at 1: 89 is below 90.
SELECT balance, state FROM prepay.account_status WHERE account = 'R';
SELECT prepay.replace_meter('R-old', 'R-new', 12348.5, 3.21);
-- 2.5 kWh more at 1.
SELECT balance, state, meters FROM prepay.account_status WHERE account = 'R';
SELECT meter, account FROM prepay.meter_status WHERE meter LIKE 'R-%' ORDER BY meter;
-- 0.5 on the new register is 5 kWh: 1.5 reach the bound, 3.5 are beyond: 1.5 + 7 = 8.5. 95 - 6 - 2.5 - 8.5 = 78.
SET prepay.now = '2026-03-02 13:00+08';
SELECT pg_temp.read('R-new', '2026-03-02 13:00+08', 3.71);
SELECT balance, state FROM prepay.account_status WHERE account = 'R';
-- What the old one shows from now on is nobody's.
SELECT pg_temp.read('R-old', '2026-03-02 13:00+08', 12350);
SELECT * FROM pg_temp.used WHERE account = 'R' ORDER BY meter, tier;
SELECT meter, from_time, to_time, kwh, tier, position_kwh, amount FROM prepay.explain('R', '2026-03-02 00:00+08', '2026-03-03 00:00+08');
-- One crossing, one alarm, one message.
SELECT kind, raised_at, cleared_at FROM prepay.alarm_history WHERE account = 'R';
SELECT template, created_at FROM prepay.notification WHERE account_id = 1;
SELECT meter, read_at, kwh, source FROM prepay.readings WHERE source = 'register' ORDER BY read_at, meter;

-- At a past time: the old meter's readings since then were not the account's. 2 kWh before, 3 after, which
-- are given back; the new one took over at 50 and shows 54 now.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'P-old'), (1, 'P-new');
SELECT prepay.open_account('P', 'Past', meters => '{P-old}', opening_balance => 100, key => 'P');
SET prepay.now = '2026-03-04 12:00+08';
SELECT pg_temp.read('P-old', '2026-03-03 00:00+08', 0), pg_temp.read('P-old', '2026-03-03 12:00+08', 2),
	pg_temp.read('P-old', '2026-03-04 06:00+08', 5), pg_temp.read('P-new', '2026-03-04 06:00+08', 54);
SELECT balance FROM prepay.account_status WHERE account = 'P';
SELECT prepay.replace_meter('P-old', 'P-new', 2, 50, '2026-03-03 12:00+08');
-- 2 + 4 kWh; of the new one 12 of 18 hours lie on the 3rd: 2.667.
SELECT * FROM pg_temp.used WHERE account = 'P' ORDER BY day, meter;
SELECT seq, kind, amount, balance_after, day, ref_seq FROM prepay.ledger WHERE account = 'P' ORDER BY seq;
SELECT balance FROM prepay.account_status WHERE account = 'P';
\set VERBOSITY terse
-- Refused, and nothing of it stays: a register that cannot be, owners that do not fit, missing values.
SELECT prepay.replace_meter('P-new', 'R-old', 53, 12350);
SELECT prepay.replace_meter('P-new', 'R-old', 60, 1);
SELECT prepay.replace_meter('P-new', 'R-new', 60, 4);
SELECT prepay.replace_meter('P-new', 'P-new', 60, 60);
SELECT prepay.replace_meter('P-old', 'R-old', 60, 4);
SELECT prepay.replace_meter('P-new', 'R-old', NULL, 12350);
SELECT prepay.replace_meter('P-new', 'R-old', 60, NULL);
SELECT prepay.replace_meter('P-new', 'R-old', 'NaN', 12350);
SELECT prepay.replace_meter('P-new', 'R-old', 60, -1);
SELECT prepay.replace_meter('P-new', 'R-old', 60, 12350, '2026-03-04 12:00:00.000001+08');
SELECT prepay.replace_meter('P-new', 'R-old', 54, 12350, '2026-03-03 11:59+08');
SELECT prepay.replace_meter('P-new', 'R-old', 60, 12350, 'infinity');
SELECT prepay.replace_meter('P-new', 'nothing', 60, 12350);
\set VERBOSITY default
SELECT meter, account FROM prepay.meter_status WHERE meter LIKE 'P-%' ORDER BY meter;
SELECT count(*) FROM prepay.readings WHERE source = 'register';
SELECT count(*) FROM prepay.reading_review;
SELECT balance FROM prepay.account_status WHERE account = 'P';

-- What was settled for the supply point goes on: place, thresholds, a tariff of the meter's own, orders.
INSERT INTO prepay.place (site_id, code) VALUES (1, 'Shop 7');
INSERT INTO prepay.meter (site_id, code, place_id, alarm1_amount, power_limit_kw) VALUES (1, 'K-old', 1, 70, 5);
INSERT INTO prepay.meter (site_id, code, alarm1_amount) VALUES (1, 'K-new', 60);
SELECT prepay.open_account('K', 'Kept on', meters => '{K-old}', opening_balance => 100, key => 'K');
SELECT prepay.assign_tariff('K-old', 'step');
SELECT action, status FROM prepay.control('K-old', 'keep_on', reason => 'cold store');
SELECT prepay.replace_meter('K-old', 'K-new', 20, 0);
SELECT meter, place, operator_order, desired FROM prepay.meter_status WHERE meter LIKE 'K-%' ORDER BY meter;
SELECT code, alarm1_amount, power_limit_kw FROM prepay.meter WHERE code LIKE 'K-%' ORDER BY code;
SET prepay.now = '2026-03-04 13:00+08';
SELECT pg_temp.read('K-new', prepay.now(), 11);
SELECT tier, kwh, amount FROM pg_temp.used WHERE account = 'K' ORDER BY tier;

-- ---- remove_meter and add_meter ----
-- With the final register: 3 kWh are the account's, what follows is nobody's.
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 9) AS n;
SET prepay.now = '2026-03-05 00:00+08';
SELECT count(prepay.open_account(code, 'Customer', opening_balance => 100, key => code)) FROM unnest('{A,B,C,D,E,F}'::text[]) AS code;
SELECT prepay.add_meter('A', 'M1'), prepay.add_meter('A', 'M2');
SET prepay.now = '2026-03-05 12:00+08';
SELECT pg_temp.read('M1', '2026-03-05 00:00+08', 10), pg_temp.read('M1', '2026-03-05 10:00+08', 12), pg_temp.read('M2', '2026-03-05 00:00+08', 0);
SELECT prepay.remove_meter('A', 'M1', 13);
SET prepay.now = '2026-03-05 14:00+08';
SELECT pg_temp.read('M1', '2026-03-05 14:00+08', 20), pg_temp.read('M2', '2026-03-05 14:00+08', 4);
SELECT meter, kwh, amount FROM pg_temp.used WHERE account = 'A' ORDER BY meter;
SELECT balance, meters FROM prepay.account_status WHERE account = 'A';
SELECT account, desired, desired_why FROM prepay.meter_status WHERE meter = 'M1';
-- Without it: the interval is shared by time, by the next reading: 2 of 4 hours, 2 of 4 kWh. A reading that
-- is held meanwhile settles nothing.
SELECT prepay.add_meter('B', 'M3', 100, '2026-03-05 14:00+08');
SET prepay.now = '2026-03-05 16:00+08';
SELECT prepay.remove_meter('B', 'M3');
SELECT pg_temp.read('M3', '2026-03-05 15:59+08', -1);
SELECT count(*) FROM pg_temp.used WHERE account = 'B';
SET prepay.now = '2026-03-05 18:00+08';
SELECT pg_temp.read('M3', '2026-03-05 17:00+08', -1);
SELECT pg_temp.read('M3', '2026-03-05 18:00+08', 104);
SELECT meter, kwh, amount FROM pg_temp.used WHERE account = 'B';
-- A late reading from the time before settles it anew, at the next tick(): 1.5 + 1/3 x 2.5.
SELECT pg_temp.read('M3', '2026-03-05 15:00+08', 101.5);
SELECT pg_temp.ticks();
SELECT meter, kwh, amount FROM pg_temp.used WHERE account = 'B';
SELECT pg_temp.read('M3', '2026-03-05 16:00+08', 103);
SELECT pg_temp.ticks();
SELECT meter, kwh, amount FROM pg_temp.used WHERE account = 'B';
-- A late reading from before it left, while nothing newer is there.
SELECT prepay.add_meter('B', 'M4', 0, '2026-03-05 18:00+08');
SET prepay.now = '2026-03-05 22:00+08';
SELECT prepay.remove_meter('B', 'M4', effective => '2026-03-05 21:00+08');
SELECT pg_temp.read('M4', '2026-03-05 20:00+08', 2);
SELECT kwh FROM pg_temp.used WHERE account = 'B' AND meter = 'M4';
SELECT pg_temp.read('M4', '2026-03-05 22:00+08', 4);
SELECT kwh FROM pg_temp.used WHERE account = 'B' AND meter = 'M4';
SELECT pg_temp.ticks();
SELECT * FROM prepay.verify();

-- Moved out and in within a day, and again, with nothing read in between: 24 kWh over a day, out of A at
-- 06:00, B from 06:00 to 12:00, C from 18:00 on. 6 kWh each, 6 are nobody's.
SET prepay.now = '2026-03-06 00:00+08';
SELECT prepay.add_meter('A', 'M5', 0);
SET prepay.now = '2026-03-06 06:00+08';
SELECT prepay.remove_meter('A', 'M5'), prepay.add_meter('B', 'M5');
SET prepay.now = '2026-03-06 12:00+08';
SELECT prepay.remove_meter('B', 'M5');
SET prepay.now = '2026-03-06 18:00+08';
SELECT prepay.add_meter('C', 'M5');
SET prepay.now = '2026-03-07 00:00+08';
SELECT pg_temp.read('M5', '2026-03-07 00:00+08', 24);
SELECT account, kwh, amount, estimated_kwh FROM prepay.usage_daily WHERE meter = 'M5' ORDER BY account;
-- The parts of an interval add up to it, however small: 1 Wh among three.
SELECT prepay.add_meter('D', 'M6', 0, '2026-03-06 00:00+08');
SELECT prepay.remove_meter('D', 'M6', NULL, '2026-03-06 08:00+08'), prepay.add_meter('E', 'M6', NULL, '2026-03-06 08:00+08');
SELECT prepay.remove_meter('E', 'M6', NULL, '2026-03-06 16:00+08'), prepay.add_meter('F', 'M6', NULL, '2026-03-06 16:00+08');
SELECT pg_temp.read('M6', '2026-03-07 00:00+08', 0.001);
SELECT account, kwh FROM pg_temp.used WHERE meter = 'M6';
SELECT * FROM prepay.verify();
-- A change in the past moves the shares of days that are sealed: 100 Wh over 3 days are 34, 33, 33; with
-- the end at noon of the third 83 Wh of 100 are the account's: 33, 33, 17.
SELECT prepay.add_meter('D', 'M7', 0, '2026-03-04 00:00+08');
SELECT pg_temp.read('M7', '2026-03-07 00:00+08', 0.1);
SELECT pg_temp.ticks();
SELECT day, kwh FROM pg_temp.used WHERE meter = 'M7' ORDER BY day;
SELECT prepay.remove_meter('D', 'M7', NULL, '2026-03-06 12:00+08');
SELECT day, kwh FROM pg_temp.used WHERE meter = 'M7' ORDER BY day;
-- So does a price that changes in the past.
SELECT prepay.add_meter('E', 'M8', 0, '2026-03-04 00:00+08');
SELECT pg_temp.read('M8', '2026-03-07 00:00+08', 0.1);
SELECT pg_temp.ticks();
SELECT prepay.assign_tariff('M8', 'step', '2026-03-06 12:00+08');
SELECT pg_temp.ticks();
SELECT day, sum(kwh) AS kwh FROM pg_temp.used WHERE meter = 'M8' GROUP BY day ORDER BY day;
SELECT * FROM prepay.verify();

-- Two meters of one account share its tiers, in order of time: 8 kWh of one end at noon, 8 of the other at one.
SELECT prepay.assign_tariff('F', 'step');
SET prepay.now = '2026-03-08 00:00+08';
SELECT prepay.remove_meter('F', 'M6', 0.001);
SELECT prepay.add_meter('F', 'M6', 0.001), prepay.add_meter('F', 'M9', 50);
SET prepay.now = '2026-03-08 14:00+08';
SELECT pg_temp.read('M9', '2026-03-08 13:00+08', 58), pg_temp.read('M6', '2026-03-08 12:00+08', 8.001);
SELECT meter, tier, kwh, amount FROM pg_temp.used WHERE account = 'F' AND day = '2026-03-08' ORDER BY meter, tier;
-- One that comes back to its account: both times count.
SELECT prepay.remove_meter('F', 'M9', 58);
SET prepay.now = '2026-03-08 16:00+08';
SELECT prepay.add_meter('F', 'M9', 61);
SET prepay.now = '2026-03-08 17:00+08';
SELECT pg_temp.read('M9', '2026-03-08 17:00+08', 62);
SELECT sum(kwh) FROM pg_temp.used WHERE account = 'F' AND meter = 'M9';
-- Given to the wrong account and put right at the same moment.
SELECT prepay.remove_meter('F', 'M9', 62), prepay.add_meter('A', 'M9'), prepay.remove_meter('A', 'M9'), prepay.add_meter('B', 'M9', 62);
SET prepay.now = '2026-03-08 18:00+08';
SELECT pg_temp.read('M9', '2026-03-08 18:00+08', 65);
SELECT account, sum(kwh) FROM pg_temp.used WHERE meter = 'M9' GROUP BY account ORDER BY account;
SELECT account, meters FROM prepay.account_status WHERE account IN ('A', 'B', 'F') ORDER BY account;
\set VERBOSITY terse
-- Refused.
SELECT prepay.remove_meter('A', 'M9');
SELECT prepay.remove_meter('B', 'M9', 60);
SELECT prepay.remove_meter('B', 'M9', 'NaN');
SELECT prepay.remove_meter('B', 'M9', 65, '2026-03-08 16:59+08');
SELECT prepay.remove_meter('B', 'M9', 66, '2026-03-08 18:01+08');
SELECT prepay.remove_meter('B', 'M9', 66, '-infinity');
SELECT prepay.remove_meter(NULL, 'M9');
SELECT prepay.add_meter('C', 'M9');
SELECT prepay.add_meter('C', 'M9', effective => '2026-03-08 15:00+08');
SELECT prepay.add_meter('C', 'M1', effective => '-infinity');
SELECT prepay.add_meter('C', 'M1', 19);
SELECT prepay.add_meter('C', 'M1', 21, '2026-03-05 14:00+08');
\set VERBOSITY default
SELECT account, meters FROM prepay.account_status WHERE account IN ('B', 'C') ORDER BY account;
SELECT * FROM prepay.verify();

-- A reading whose energy was two accounts' waits for both: one of them has no tariff yet.
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.define_tariff('mall/one', '{"prices": 1}');
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'N1');
SET prepay.now = '2026-03-09 00:00+08';
SELECT prepay.open_account('mall/A', 'Customer') > 0 AS a, prepay.open_account('mall/B', 'Customer', tariff => 'one') > 0 AS b;
SELECT prepay.add_meter('mall/A', 'mall/N1', 0);
SET prepay.now = '2026-03-09 12:00+08';
SELECT prepay.remove_meter('mall/A', 'mall/N1'), prepay.add_meter('mall/B', 'mall/N1');
SET prepay.now = '2026-03-10 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (2, 1, '2026-03-10 00:00+08', 24);
SELECT count(*) FROM prepay.usage_daily WHERE site = 'mall';
SELECT reason, status FROM prepay.reading_review WHERE site_id = 2;
SELECT prepay.assign_tariff('mall/A', 'one');
SELECT pg_temp.ticks();
SELECT account, kwh FROM prepay.usage_daily WHERE site = 'mall' ORDER BY account;
SELECT reason, status FROM prepay.reading_review WHERE site_id = 2;
SELECT * FROM prepay.verify();
