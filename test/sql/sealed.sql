-- Sealed days: when they are sealed, that their lines never change, and that what comes later is booked beside them,
-- linked, in full, and back to nothing when it is taken back. Figures worked out by hand.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('tou', '{"periods": ["peak", "valley"], "schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [20]}, "prices": {"peak": [1, 2], "valley": [0.5, 1]}}');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'tou');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 8) AS n;
CREATE FUNCTION pg_temp.read(meter int, at timestamptz, kwh numeric) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, $1, $2, $3);
$$;
CREATE FUNCTION pg_temp.ticks() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	WHILE prepay.tick() > 0 LOOP END LOOP;
	RETURN true;
END $$;
CREATE FUNCTION pg_temp.ticks_at(moment timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('prepay.now', moment::text, false);
	RETURN pg_temp.ticks();
END $$;
-- Rows of lines and entries that are not there any more as they were when this was asked before.
CREATE TEMP TABLE line AS SELECT * FROM prepay.usage_line;
CREATE TEMP TABLE entry AS SELECT * FROM prepay.ledger_entry;
CREATE FUNCTION pg_temp.touched() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	SELECT (SELECT count(*) FROM (TABLE pg_temp.line EXCEPT ALL TABLE prepay.usage_line) AS x) + (SELECT count(*) FROM (TABLE pg_temp.entry EXCEPT ALL TABLE prepay.ledger_entry) AS y) INTO n;
	TRUNCATE pg_temp.line, pg_temp.entry;
	INSERT INTO pg_temp.line TABLE prepay.usage_line;
	INSERT INTO pg_temp.entry TABLE prepay.ledger_entry;
	RETURN n;
END $$;
CREATE VIEW pg_temp.entries AS SELECT account, seq, kind, amount, balance_after, day, booked_at, ref_seq FROM prepay.ledger WHERE kind <> 'opening' ORDER BY account, seq;
CREATE VIEW pg_temp.used AS
	SELECT account, meter, day, tariff, version, period, tier, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily
	GROUP BY account, meter, day, tariff, version, period, tier HAVING sum(kwh) <> 0 OR sum(amount) <> 0;

-- Two meters, one of them silent: the day waits for it, 36 hours and not a second longer. 12 kWh over a day are
-- 5 of valley and 7 of peak: 9.50.
SELECT prepay.open_account('S', 'Silent second', meters => '{M1,M2}', opening_balance => 100, key => 'S');
SELECT pg_temp.read(1, '2026-03-01 00:00+08', 0), pg_temp.read(2, '2026-03-01 00:00+08', 0);
SET prepay.now = '2026-03-02 00:00+08';
SELECT pg_temp.read(1, '2026-03-02 00:00+08', 12);
SELECT balance, posted_balance, sealed_through FROM prepay.account_status WHERE account = 'S';
SELECT pg_temp.ticks_at('2026-03-03 11:59:59.999999+08');
SELECT balance, posted_balance, sealed_through FROM prepay.account_status WHERE account = 'S';
SELECT pg_temp.ticks_at('2026-03-03 12:00+08');
SELECT balance, posted_balance, sealed_through FROM prepay.account_status WHERE account = 'S';
SELECT * FROM pg_temp.entries WHERE account = 'S';
SELECT pg_temp.touched();
-- It speaks at last: 24 kWh of the same day. In order of time 20 kWh are reached within the peak: 12 of valley and 8 of
-- peak in the first tier, 13 of peak and 3 of valley in the second: 6 + 8 + 26 + 3 = 43.
SELECT pg_temp.read(2, '2026-03-02 00:00+08', 24);
SELECT period, tier, sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used WHERE account = 'S' GROUP BY period, tier ORDER BY period, tier;
SELECT * FROM pg_temp.entries WHERE account = 'S';
SELECT pg_temp.touched();
-- As known then, and as known now; the day the energy flowed, and the day it was booked.
SELECT sum(amount) FILTER (WHERE booked_day <= '2026-03-03' AND booked_seq = 2) AS known_then, sum(amount) AS known_now FROM prepay.usage_daily WHERE account = 'S' AND day = '2026-03-01';
SELECT day, booked_day, booked_seq, meter, period, tier, kwh, amount FROM prepay.usage_daily WHERE account = 'S' ORDER BY booked_seq, meter, period, tier;
-- Booked on another day: taken back, given again. Each is one entry that points to the first of its day, and together they are nothing.
SET prepay.now = '2026-03-04 09:00+08';
CREATE TEMP TABLE before AS TABLE pg_temp.used;
SELECT prepay.correct_reading('M2', '2026-03-02 00:00+08', 0, 'read another meter');
SELECT sum(amount) FROM pg_temp.used WHERE account = 'S';
SELECT prepay.correct_reading('M2', '2026-03-02 00:00+08', 24, 'no, this one');
SELECT seq, kind, amount, balance_after, day, booked_at, ref_seq FROM pg_temp.entries WHERE account = 'S' AND seq > 3;
SELECT count(*) FROM (TABLE before EXCEPT TABLE pg_temp.used) AS x;
SELECT count(*) FROM (TABLE pg_temp.used EXCEPT TABLE before) AS x;
SELECT booked_day, sum(amount) AS amount, sum(kwh) AS kwh FROM prepay.usage_daily WHERE account = 'S' GROUP BY booked_day ORDER BY booked_day;
SELECT pg_temp.touched();
-- Nothing is left to do, however often one asks.
SELECT pg_temp.ticks(), prepay.correct_reading('M2', '2026-03-02 00:00+08', 24, 'the same again');
SELECT count(*) FROM pg_temp.entries WHERE account = 'S';
SELECT pg_temp.touched();

-- Everything that may change the past leaves what is sealed as it is: late readings, a verdict, a ratio, an owner, prices there and back.
SELECT prepay.open_account('P', 'Past', meters => '{M3}', opening_balance => 100, key => 'P');
SELECT prepay.update_account('P', '{"note": "has seen it all"}');
SELECT prepay.assign_tariff('P', 'one');
SET prepay.now = '2026-03-08 00:00+08';
SELECT pg_temp.read(3, '2026-03-04 09:00+08', 0), pg_temp.read(3, '2026-03-06 09:00+08', 48), pg_temp.read(3, '2026-03-08 00:00+08', 87);
SELECT pg_temp.ticks();
SELECT day, amount FROM pg_temp.entries WHERE account = 'P';
SELECT pg_temp.touched();
SELECT pg_temp.read(3, '2026-03-05 09:00+08', 30);
SELECT pg_temp.touched();
SELECT day, sum(kwh) AS kwh FROM pg_temp.used WHERE account = 'P' GROUP BY day ORDER BY day;
SELECT pg_temp.read(3, '2026-03-05 10:00+08', 20), pg_temp.read(3, '2026-03-05 11:00+08', 40);
SELECT prepay.resolve_review('town', review_id, 'reject') FROM prepay.reading_review WHERE status = 'open';
SELECT pg_temp.touched();
SELECT prepay.change_meter('M3', '{"ratio": 2}', '2026-03-07 00:00+08');
SELECT pg_temp.touched();
SELECT day, sum(kwh) AS kwh FROM pg_temp.used WHERE account = 'P' GROUP BY day ORDER BY day;
SELECT prepay.remove_meter('P', 'M3', NULL, '2026-03-07 12:00+08');
SELECT pg_temp.touched();
SELECT day, sum(kwh) AS kwh FROM pg_temp.used WHERE account = 'P' GROUP BY day ORDER BY day;
TRUNCATE before;
INSERT INTO before TABLE pg_temp.used;
SELECT prepay.define_tariff('one', '{"prices": 3}', '2026-03-05 00:00+08', '{"retroactive": true}');
SELECT pg_temp.ticks(), pg_temp.touched();
SELECT day, version, sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used WHERE account = 'P' GROUP BY day, version ORDER BY day, version;
SELECT prepay.define_tariff('one', '{"prices": 1}', '2026-03-05 00:00+08', '{"retroactive": true}');
SELECT pg_temp.ticks(), pg_temp.touched();
SELECT a.day, a.kwh, a.amount FROM (SELECT day, sum(kwh) AS kwh, sum(amount) AS amount FROM before WHERE account = 'P' GROUP BY day) a
	FULL JOIN (SELECT day, sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used WHERE account = 'P' GROUP BY day) b USING (day)
WHERE (a.kwh, a.amount) IS DISTINCT FROM (b.kwh, b.amount);
SELECT kind, count(*), sum(amount), bool_and(ref_seq IN (SELECT seq FROM pg_temp.entries f WHERE f.account = 'P' AND f.kind = 'consumption' AND f.day = e.day)) AS linked
FROM pg_temp.entries e WHERE account = 'P' GROUP BY kind ORDER BY kind;
SELECT balance FROM prepay.account_status WHERE account = 'P';

-- A meter that left without its last register is waited for just so: 6 kWh until noon are sealed alone, the 3 from then
-- to its leaving come to light with the next reading, which is somebody else's.
SELECT prepay.open_account('W', 'Without final', meters => '{M4}', tariff => 'one', opening_balance => 100, key => 'W');
SELECT pg_temp.read(4, '2026-03-08 00:00+08', 0);
SET prepay.now = '2026-03-08 18:00+08';
SELECT pg_temp.read(4, '2026-03-08 12:00+08', 6);
SELECT prepay.remove_meter('W', 'M4');
SELECT pg_temp.ticks_at('2026-03-10 11:59:59+08');
SELECT posted_balance, balance, sealed_through FROM prepay.account_status WHERE account = 'W';
SELECT pg_temp.ticks_at('2026-03-10 12:00+08');
SELECT posted_balance, balance, sealed_through FROM prepay.account_status WHERE account = 'W';
SELECT pg_temp.touched();
SET prepay.now = '2026-03-10 18:00+08';
SELECT pg_temp.read(4, '2026-03-10 18:00+08', 33);
SELECT seq, kind, amount, day, ref_seq FROM pg_temp.entries WHERE account = 'W';
SELECT pg_temp.touched();

-- The reading that ends a day seals it, one a microsecond before does not; today is never sealed.
SELECT prepay.open_account('E', 'Edge', meters => '{M5}', tariff => 'one', opening_balance => 100, key => 'E');
SET prepay.now = '2026-03-11 00:01+08';
SELECT pg_temp.read(5, '2026-03-10 18:00+08', 0), pg_temp.read(5, '2026-03-10 23:59:59.999999+08', 1);
SELECT sealed_through FROM prepay.account_status WHERE account = 'E';
SELECT pg_temp.read(5, '2026-03-11 00:00+08', 1);
SELECT sealed_through FROM prepay.account_status WHERE account = 'E';
SELECT pg_temp.read(5, '2026-03-11 00:01+08', 1);
SELECT sealed_through, balance, posted_balance FROM prepay.account_status WHERE account = 'E';
-- A meter that was never read holds a day up as long; another delay is another rule for all.
SELECT prepay.open_account('N', 'Never read', meters => '{M6,M7}', tariff => 'one', opening_balance => 100, key => 'N');
SELECT pg_temp.read(6, '2026-03-11 00:01+08', 0);
SET prepay.now = '2026-03-12 11:59+08';
SELECT pg_temp.read(6, '2026-03-12 00:00+08', 1);
SELECT pg_temp.ticks();
SELECT sealed_through FROM prepay.account_status WHERE account = 'N';
SELECT prepay.set_setting('town', 'seal_delay', '12 hours');
SELECT pg_temp.ticks();
SELECT sealed_through FROM prepay.account_status WHERE account = 'N';
SELECT pg_temp.ticks_at('2026-03-12 12:00+08');
SELECT sealed_through, balance, posted_balance FROM prepay.account_status WHERE account = 'N';
SELECT pg_temp.touched();
SELECT * FROM prepay.verify();
