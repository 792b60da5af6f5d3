-- Rating: every rule of pricing once, with the result worked out by hand.
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
	"tiers": {"accumulate": "year", "upto": [2760, 4800]},
	"prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'zj');
-- Gaps of more than two poll intervals are marked as estimated.
SELECT prepay.set_setting('town', 'poll_interval', '2 hours');

-- One account a case; the meter's first reading is its baseline.
CREATE FUNCTION pg_temp.read(code text, at timestamptz, kwh numeric) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, meter_id, at, $3 FROM prepay.meter WHERE code = 'M-' || $1;
$$;
CREATE VIEW pg_temp.used AS
	SELECT account, day, tariff, version, period, tier, sum(kwh) AS kwh, sum(amount) AS amount,
		sum(estimated_kwh) AS estimated
	FROM prepay.usage_daily GROUP BY account, day, tariff, version, period, tier;
CREATE TEMP TABLE opening (code text, tier_start numeric, rated_kw numeric, ratio numeric, reverse text);
INSERT INTO opening (code, tier_start) VALUES ('tier', 2759.9), ('cross', 4799.5), ('bound', 2759), ('shared', 2759);
INSERT INTO opening (code, rated_kw) VALUES ('edge', 10), ('midnight', 10), ('change', 10), ('roll', 10),
	('reset', 10), ('glitch', 10), ('spike', 10), ('batch', 10), ('gap', 10), ('late', 10), ('often', 10),
	('seldom', 10), ('year', NULL);
INSERT INTO opening (code, tier_start) VALUES ('jump', 2759);
INSERT INTO opening (code, ratio, reverse) VALUES ('ratio', 40, 'add'), ('add', 1, 'add'), ('reverse', 1, 'add'), ('ignore', 1, 'ignore');
INSERT INTO prepay.meter (site_id, code, register_max, rated_kw, ratio, reverse_energy)
SELECT 1, 'M-' || code, 100000, rated_kw, COALESCE(ratio, 1), COALESCE(reverse, 'add') FROM opening;
SELECT count(prepay.open_account(code, 'Customer', meters => ARRAY['M-' || code], opening_balance => 100,
	key => 'open-' || code, options => jsonb_build_object('tier_start', COALESCE(tier_start, 0))))
FROM opening;

-- A time-of-use edge inside the interval: shared by elapsed time. 0.3 x 0.288 + 0.3 x 0.568 = 0.2568
SET prepay.now = '2026-03-04 00:00+08';
SELECT pg_temp.read('edge', '2026-03-01 07:45+08', 1000), pg_temp.read('edge', '2026-03-01 08:15+08', 1000.6);
SELECT * FROM pg_temp.used WHERE account = 'edge' ORDER BY day, period;
SELECT account, balance, posted_balance FROM prepay.account_status WHERE account = 'edge';
-- Slots are half-open: an interval that ends or begins on the edge has no part beyond it.
SELECT pg_temp.read('edge', '2026-03-01 22:00+08', 1001.6), pg_temp.read('edge', '2026-03-01 23:00+08', 1002.6);
SELECT * FROM pg_temp.used WHERE account = 'edge' ORDER BY day, period;

-- Midnight inside the interval: by local day, and the odd Wh goes to the larger remainder.
-- 23:50 to 00:20, 0.1 kWh: 33.3 Wh and 66.7 Wh.
SELECT pg_temp.read('midnight', '2026-03-01 23:50+08', 5), pg_temp.read('midnight', '2026-03-02 00:20+08', 5.1);
SELECT * FROM pg_temp.used WHERE account = 'midnight' ORDER BY day, period;

-- Tiers: 0.1 kWh at the first price and 0.4 at the second. 0.0568 + 0.2472 = 0.304
SELECT pg_temp.read('tier', '2026-03-01 10:00+08', 0), pg_temp.read('tier', '2026-03-01 10:30+08', 0.5);
SELECT * FROM pg_temp.used WHERE account = 'tier' ORDER BY tier;
-- Time of use first, then tiers in order of time: peak 0.5 tier 2 + 0.1 tier 3, valley 0.6 tier 3.
-- 0.309 + 0.0868 + 0.3528 = 0.7486
SELECT pg_temp.read('cross', '2026-03-01 21:30+08', 0), pg_temp.read('cross', '2026-03-01 22:30+08', 1.2);
SELECT * FROM pg_temp.used WHERE account = 'cross' ORDER BY period, tier;
-- The bound itself belongs to the lower tier; a jump may cross two bounds.
SELECT pg_temp.read('bound', '2026-03-01 10:00+08', 0), pg_temp.read('bound', '2026-03-01 10:30+08', 1),
	pg_temp.read('bound', '2026-03-01 11:00+08', 1.001);
SELECT * FROM pg_temp.used WHERE account = 'bound' ORDER BY tier;
SELECT pg_temp.read('jump', '2026-03-01 10:00+08', 0), pg_temp.read('jump', '2026-03-01 10:30+08', 2042);
SELECT * FROM pg_temp.used WHERE account = 'jump' ORDER BY tier;
-- The account's meters share its tier position: 0.6 + 0.6 kWh meet the bound after 1 kWh.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M-shared2');
SELECT prepay.add_meter('shared', 'M-shared2', effective => '2026-03-01 00:00+08');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, meter_id, at, kwh FROM prepay.meter, (VALUES (timestamptz '2026-03-01 10:00+08', 0),
	('2026-03-01 11:00+08', 0.6)) AS v (at, kwh) WHERE code IN ('M-shared', 'M-shared2');
SELECT meter, tier, kwh, price, amount FROM prepay.usage_daily WHERE account = 'shared' ORDER BY meter, tier;
SET prepay.now = '2027-01-02 00:00+08';
-- A new year begins at 0: 0.5 kWh before midnight in tier 3, 0.5 after it in tier 1.
SELECT pg_temp.read('year', '2026-03-01 10:00+08', 0), pg_temp.read('year', '2026-03-01 22:00+08', 5000);
SELECT pg_temp.read('year', '2026-12-31 23:00+08', 5001), pg_temp.read('year', '2027-01-01 01:00+08', 5002);
SELECT day, period, tier, kwh, amount FROM pg_temp.used WHERE account = 'year' AND day >= '2026-12-31' ORDER BY day, tier;
SET prepay.now = '2026-03-02 00:00+08';

-- A price change at an instant: the new version from then on, in the same interval.
SELECT prepay.define_tariff('flat', '{"prices": 0.9}', '2026-03-02 12:00+08');
SELECT prepay.assign_tariff('change', 'flat');
SET prepay.now = '2026-03-03 00:00+08';
SELECT pg_temp.read('change', '2026-03-02 11:00+08', 0), pg_temp.read('change', '2026-03-02 13:00+08', 2);
SELECT * FROM pg_temp.used WHERE account = 'change' ORDER BY version;
-- A tariff given to the meter goes before the account's, from its time on.
SELECT prepay.assign_tariff('M-change', 'zj', '2026-03-02 14:00+08');
SELECT pg_temp.read('change', '2026-03-02 15:00+08', 4);
SELECT tariff, version, period, sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used
WHERE account = 'change' GROUP BY tariff, version, period ORDER BY tariff, version;

-- Ratio: registers as displayed, energy times 40.
SELECT pg_temp.read('ratio', '2026-03-02 10:00+08', 12.34), pg_temp.read('ratio', '2026-03-02 10:30+08', 12.59);
SELECT * FROM pg_temp.used WHERE account = 'ratio';
-- Reverse energy is added by default, ignored where the meter says so.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh)
SELECT 1, meter_id, at, kwh, reverse FROM prepay.meter, (VALUES (timestamptz '2026-03-02 10:00+08', 10, 5),
	('2026-03-02 11:00+08', 11, 5.5)) AS v (at, kwh, reverse) WHERE code IN ('M-add', 'M-ignore');
SELECT * FROM pg_temp.used WHERE account IN ('add', 'ignore') ORDER BY account;

-- A reverse register that is first seen later begins where it stands, also after a late reading.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-03-02 12:00+08', 13 FROM prepay.meter WHERE code = 'M-reverse';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-03-02 11:00+08', 12 FROM prepay.meter WHERE code = 'M-reverse';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh) SELECT 1, meter_id, '2026-03-02 13:00+08', 14, 500 FROM prepay.meter WHERE code = 'M-reverse';
SELECT kwh, amount FROM pg_temp.used WHERE account = 'reverse';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh) SELECT 1, meter_id, '2026-03-02 14:00+08', 15, 501 FROM prepay.meter WHERE code = 'M-reverse';
SELECT kwh, amount FROM pg_temp.used WHERE account = 'reverse';

-- Rollover: 99999.500 to 0.300 of 100000 is 0.8 kWh; within what 10 kW can have used.
SELECT pg_temp.read('roll', '2026-03-02 10:00+08', 99999.5), pg_temp.read('roll', '2026-03-02 10:30+08', 0.3);
SELECT kwh, amount FROM pg_temp.used WHERE account = 'roll';
-- A reset is no rollover: 60000 kWh in half an hour cannot be. It waits, charges nothing, and
-- the register goes on from the last believed value when a plausible one comes.
SELECT pg_temp.read('reset', '2026-03-02 10:00+08', 40000), pg_temp.read('reset', '2026-03-02 10:30+08', 0.3);
SELECT count(*) FROM pg_temp.used WHERE account = 'reset';
SELECT meter_id, reason, status, readings, kwh FROM prepay.reading_review ORDER BY review_id;
-- A glitch: 1000, 1001, 0, 1002, 1003 is 3 kWh.
SELECT pg_temp.read('glitch', timestamptz '2026-03-02 10:00+08' + n * interval '30 minutes', kwh)
FROM (VALUES (0, 1000), (1, 1001), (2, 0), (3, 1002), (4, 1003)) AS v (n, kwh);
SELECT sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used WHERE account = 'glitch';
-- A spike: 1000, 1001, 9000, 1002: the 9000 waits, the meter used 2 kWh.
SELECT pg_temp.read('spike', timestamptz '2026-03-02 10:00+08' + n * interval '30 minutes', kwh)
FROM (VALUES (0, 1000), (1, 1001), (2, 9000), (3, 1002)) AS v (n, kwh);
SELECT sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used WHERE account = 'spike';
-- Several in one statement are judged as if they had come one by one.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, meter_id, timestamptz '2026-03-02 10:00+08' + n * interval '30 minutes', kwh FROM prepay.meter,
	(VALUES (0, 1000), (1, 1001), (2, 0), (3, 9000), (4, 1002), (5, 1003)) AS v (n, kwh) WHERE code = 'M-batch';
SELECT sum(kwh) AS kwh, sum(amount) AS amount FROM pg_temp.used WHERE account = 'batch';
SELECT m.code AS meter, r.reason, r.status, r.readings, r.kwh, r.read_at, r.last_read_at
FROM prepay.reading_review r JOIN prepay.meter m USING (site_id, meter_id) ORDER BY review_id;
SELECT meter, read_at, kwh, status FROM prepay.readings WHERE status <> 'accepted' ORDER BY meter, read_at;

-- A gap loses no energy: charged on arrival, shared by time, marked as estimated.
-- 16 hours from 06:00, 0.5 kWh each: 1 kWh of valley, 7 of peak.
SELECT pg_temp.read('gap', '2026-03-02 06:00+08', 100), pg_temp.read('gap', '2026-03-02 22:00+08', 108);
SELECT * FROM pg_temp.used WHERE account = 'gap' ORDER BY period;
-- A reading of the middle that comes later settles how it was shared: true-up, same energy.
SELECT pg_temp.read('late', '2026-03-02 06:00+08', 100), pg_temp.read('late', '2026-03-02 10:00+08', 104);
SELECT * FROM pg_temp.used WHERE account = 'late' ORDER BY period;
SELECT pg_temp.read('late', '2026-03-02 08:00+08', 103);
SELECT * FROM pg_temp.used WHERE account = 'late' ORDER BY period;

-- Rounding carries: 100 readings of 0.007 kWh cost what one of 0.7 kWh costs, to the last digit.
SET prepay.now = '2026-03-04 00:00+08';
SELECT count(pg_temp.read('often', timestamptz '2026-03-03 12:00+08' + n * interval '1 minute', 0.007 * n))
FROM generate_series(0, 100) AS n;
SELECT pg_temp.read('seldom', '2026-03-03 12:00+08', 0), pg_temp.read('seldom', '2026-03-03 13:40+08', 0.7);
SELECT account, kwh, amount FROM pg_temp.used WHERE account IN ('often', 'seldom') ORDER BY account;
SELECT account, balance FROM prepay.account_status WHERE account IN ('often', 'seldom') ORDER BY account;

-- Energy from before the meter belonged to the account is not charged: half of 2 kWh.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M-before');
SELECT pg_temp.read('before', '2026-03-03 11:00+08', 10);
SELECT prepay.open_account('before', 'Customer') > 0 AS opened;
SELECT prepay.add_meter('before', 'M-before', effective => '2026-03-03 12:00+08');
SELECT pg_temp.read('before', '2026-03-03 13:00+08', 12);
SELECT kwh, amount FROM pg_temp.used WHERE account = 'before';
-- Unless a register value was given: 12 - 11.9.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M-given');
SELECT pg_temp.read('given', '2026-03-03 11:00+08', 10);
SELECT prepay.open_account('given', 'Customer') > 0 AS opened;
SELECT prepay.add_meter('given', 'M-given', 11.9, '2026-03-03 12:00+08');
SELECT pg_temp.read('given', '2026-03-03 13:00+08', 12);
SELECT kwh, amount FROM pg_temp.used WHERE account = 'given';
-- That day is over for both accounts: what it cost is booked at once.
SELECT account, seq, kind, amount, day FROM prepay.ledger WHERE account IN ('before', 'given') ORDER BY account, seq;
SELECT * FROM prepay.verify();

-- Sealing: when each meter has a reading at or after the end of the day, the day is booked once.
SELECT account, seq, kind, amount, balance_after, day FROM prepay.ledger WHERE account IN ('edge', 'gap') ORDER BY account, seq;
SET prepay.now = '2026-03-06 00:00+08';
SELECT pg_temp.read('gap', '2026-03-03 00:00+08', 110);
SELECT account, seq, kind, amount, balance_after, booked_at, day FROM prepay.ledger WHERE account = 'gap' ORDER BY seq;
SELECT day, booked_day, booked_seq, period, kwh, amount FROM prepay.usage_daily WHERE account = 'gap' ORDER BY day, period;
SELECT prepay.tick();
SELECT account, sum(amount) FILTER (WHERE kind = 'consumption') AS consumption, max(balance_after) AS most,
	min(balance_after) AS least FROM prepay.ledger GROUP BY account ORDER BY account;
SELECT account, balance, posted_balance, sealed_through FROM prepay.account_status ORDER BY site, account;
-- No tariff: the reading waits in review, is neither priced at 0 nor skipped, and rates itself.
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'M1');
SELECT prepay.open_account('mall/A1', 'Customer', meters => '{mall/M1}', opening_balance => 100, key => 'open') > 0 AS opened;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
VALUES (2, 1, '2026-03-06 00:00+08', 0);
SET prepay.now = '2026-03-06 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (2, 1, '2026-03-06 11:00+08', 1);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (2, 1, '2026-03-06 12:00+08', 3);
SELECT site, balance FROM prepay.account_status WHERE site = 'mall';
SELECT reason, status, readings FROM prepay.reading_review WHERE site_id = 2;
SELECT count(*) FROM prepay.usage_daily WHERE site = 'mall';
SELECT prepay.define_tariff('mall/flat', '{"prices": 0.5}');
SELECT prepay.assign_tariff('mall', 'flat');
SELECT prepay.tick();
SELECT site, balance FROM prepay.account_status WHERE site = 'mall';
SELECT reason, status, verdict, readings FROM prepay.reading_review WHERE site_id = 2;
SELECT day, kwh, amount FROM prepay.usage_daily WHERE site = 'mall';

SELECT * FROM prepay.verify();
