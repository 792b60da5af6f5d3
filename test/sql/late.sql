-- Late and out-of-order readings, retroactive tariffs: what is owed is a function of the set of readings.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [30, 60]},
	"prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.set_setting('town', 'tariff', 'zj');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 4) AS n;
SELECT count(prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n], opening_balance => 100,
	key => 'open' || n)) FROM generate_series(1, 4) AS n;
CREATE VIEW pg_temp.owed AS
	SELECT account, day, period, tier, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily
	GROUP BY account, day, period, tier HAVING sum(kwh) <> 0 OR sum(amount) <> 0;

-- The readings of four days, every 6 hours: 5 kWh, with 9 at noon.
CREATE TEMP TABLE history AS
SELECT timestamptz '2026-03-01 00:00+08' + n * interval '6 hours' AS at,
	100 + n * 5 + 4 * ((n + 2) / 4) AS kwh, n
FROM generate_series(0, 16) AS n;
SET prepay.now = '2026-03-05 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 1, at, kwh FROM history;
SELECT * FROM pg_temp.owed WHERE account = 'A1' ORDER BY day, period, tier;

-- The last first, the rest backwards, one by one.
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM history ORDER BY n DESC LOOP
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 2, r.at, r.kwh);
	END LOOP;
END $$;
SELECT a.day, a.period, a.tier FROM pg_temp.owed a
	FULL JOIN (SELECT * FROM pg_temp.owed WHERE account = 'A2') b USING (day, period, tier)
WHERE a.account = 'A1' AND (a.kwh, a.amount) IS DISTINCT FROM (b.kwh, b.amount);
SELECT account, balance FROM prepay.account_status WHERE account IN ('A1', 'A2') ORDER BY account;
SELECT account, kind, count(*), sum(amount) FROM prepay.ledger WHERE account IN ('A1', 'A2') GROUP BY account, kind ORDER BY account, kind;

-- Days are sealed with a gap; the reading of the middle comes a week later. Sealed lines stay as
-- they are, correction lines and one linked entry follow.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 3, at, kwh FROM history WHERE n IN (0, 3, 16);
SELECT prepay.tick();
SELECT seq, kind, amount, balance_after, day, ref_seq FROM prepay.ledger WHERE account = 'A3' ORDER BY seq;
CREATE TEMP TABLE sealed AS SELECT * FROM prepay.usage_line WHERE account_id = 3;
SET prepay.now = '2026-03-12 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 3, at, kwh FROM history WHERE n IN (6, 7);
SELECT prepay.tick();
SELECT seq, kind, amount, balance_after, day, ref_seq FROM prepay.ledger WHERE account = 'A3' ORDER BY seq;
TABLE sealed EXCEPT TABLE prepay.usage_line;
SELECT count(*) > 0 AS corrected, count(DISTINCT booked_seq) AS entries, count(DISTINCT booked_day) AS days
FROM prepay.usage_line WHERE account_id = 3 AND booked_day = '2026-03-12';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 3, at, kwh FROM history WHERE n NOT IN (0, 3, 6, 7, 16);
SELECT prepay.tick();
SELECT a.day, a.period, a.tier, a.kwh, b.kwh FROM (SELECT * FROM pg_temp.owed WHERE account = 'A1') a
	FULL JOIN (SELECT * FROM pg_temp.owed WHERE account = 'A3') b USING (day, period, tier)
WHERE (a.kwh, a.amount) IS DISTINCT FROM (b.kwh, b.amount);
SELECT DISTINCT balance FROM prepay.account_status WHERE account IN ('A1', 'A2', 'A3');

-- A reading before the baseline becomes the baseline: the energy since then is charged.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 4, at, kwh FROM history WHERE n >= 8;
SELECT prepay.tick();
SELECT sum(kwh) FROM pg_temp.owed WHERE account = 'A4';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 4, at, kwh FROM history WHERE n < 8;
SELECT prepay.tick();
SELECT sum(kwh) FROM pg_temp.owed WHERE account = 'A4';
SELECT DISTINCT balance FROM prepay.account_status;

-- A late reading that cannot be true changes nothing.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-02 09:00+08', 5), (1, 1, '2026-03-02 10:00+08', 5000);
SELECT DISTINCT balance FROM prepay.account_status;
SELECT meter, read_at, kwh, status FROM prepay.readings WHERE status <> 'accepted' ORDER BY read_at;

-- A retroactive price: the difference is posted as corrections, for all accounts alike.
SELECT prepay.define_tariff('zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [30, 60]},
	"prices": {"peak": [0.668, 0.718, 0.968], "valley": [0.288, 0.338, 0.588]}}',
	'2026-03-03 00:00+08', '{"retroactive": true}');
SELECT prepay.tick();
SELECT DISTINCT balance FROM prepay.account_status;
-- Peak of 3 and 4 March at 0.1 more.
SELECT DISTINCT account, sum(kwh) * 0.1 AS more FROM pg_temp.owed WHERE period = 'peak' AND day >= '2026-03-03' GROUP BY account ORDER BY account;
SELECT account, seq, kind, amount, day FROM prepay.ledger WHERE booked_at >= '2026-03-12 00:00+08' AND account = 'A1' ORDER BY seq;

-- Nothing is left to do, and doing it again does nothing.
SELECT prepay.tick(), prepay.tick();
SELECT * FROM prepay.verify();

-- Two meters of an account in one statement, after days were sealed without them: one goes on from before
-- those days, one fills in a later day. Both are rated, whichever comes first: 24 kWh from the 20th to the 22nd.
SET prepay.now = '2026-03-20 00:00+08';
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M5'), (1, 'M6'), (1, 'M7'), (1, 'M8');
SELECT prepay.open_account('A5', 'Customer', meters => '{M5,M6}') > 0, prepay.open_account('A6', 'Customer', meters => '{M7,M8}') > 0;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, '2026-03-20 00:00+08', 0 FROM generate_series(5, 8) AS m;
SET prepay.now = '2026-03-24 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, at, kwh
FROM unnest('{6,7}'::int[]) AS m, (VALUES (timestamptz '2026-03-22 06:00+08', 0), ('2026-03-23 12:00+08', 0)) AS r (at, kwh);
SELECT prepay.tick();
SELECT account, sealed_through FROM prepay.account_status WHERE account IN ('A5', 'A6');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
VALUES (1, 5, '2026-03-22 00:00+08', 24), (1, 6, '2026-03-22 12:00+08', 0), (1, 7, '2026-03-22 12:00+08', 0), (1, 8, '2026-03-22 00:00+08', 24);
SELECT account, meter, day, sum(kwh) AS kwh FROM prepay.usage_daily WHERE account IN ('A5', 'A6') GROUP BY account, meter, day ORDER BY account, day;
SELECT * FROM prepay.verify();
