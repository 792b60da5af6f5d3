-- A tariff whose versions have other tiers or divide the day otherwise, and a register that is read now and
-- then: readings one by one as they come (site a) or all at once (site b) come to the same.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'UTC';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;

SET prepay.now = '2026-03-31 00:00+00';
SELECT prepay.create_site('a', 'One by one', 'UTC'), prepay.create_site('b', 'At once', 'UTC');
CREATE TEMP TABLE version (account text, valid_from timestamptz, definition jsonb);
INSERT INTO version VALUES
	-- Without tiers, then with them.
	('none', '-infinity', '{"prices": 1}'),
	('none', '2026-04-05', '{"tiers": {"accumulate": "month", "upto": [10]}, "prices": [1, 2]}'),
	-- Two periods that share the bound, then one period.
	('fewer', '-infinity', '{"periods": ["p", "q"], "schedule": [{"slots": [["00:00", "p"], ["12:00", "q"]]}],
		"tiers": {"upto": [10], "allocation": "proportional"}, "prices": {"p": [1, 2], "q": [3, 4]}}'),
	('fewer', '2026-04-05', '{"periods": ["p"], "schedule": [{"slots": [["00:00", "p"]]}],
		"tiers": {"upto": [10], "allocation": "proportional"}, "prices": {"p": [1, 2]}}'),
	-- In order of time, then shared, and back.
	('shared', '-infinity', '{"tiers": {"upto": [10]}, "prices": [1, 2]}'),
	('shared', '2026-04-05', '{"tiers": {"upto": [10], "allocation": "proportional"}, "prices": [1, 2]}'),
	-- Periods of use that go and come back.
	('back', '-infinity', '{"periods": ["p", "q"], "schedule": [{"slots": [["00:00", "p"], ["12:00", "q"]]}],
		"tiers": {"upto": [10], "allocation": "proportional"}, "prices": {"p": [1, 2], "q": [3, 4]}}'),
	('back', '2026-04-03', '{"tiers": {"upto": [10], "allocation": "proportional"}, "prices": [1, 2]}'),
	('back', '2026-04-05', '{"periods": ["q", "p"], "schedule": [{"slots": [["00:00", "p"], ["12:00", "q"]]}],
		"tiers": {"upto": [10], "allocation": "proportional"}, "prices": {"p": [1, 2], "q": [3, 4]}}'),
	-- By year, then by month: 9 kWh are 5 at 1 and 4 at 2; April had 9, so 3 at 1 and 2 at 3: 22.
	('kind', '-infinity', '{"tiers": {"accumulate": "year", "upto": [5]}, "prices": [1, 2]}'),
	('kind', '2026-04-05', '{"tiers": {"accumulate": "month", "upto": [12]}, "prices": [1, 3]}'),
	-- Prices alone.
	('reverse', '-infinity', '{"prices": 1}');
SELECT count(prepay.define_tariff(site || '/' || account, definition, NULLIF(valid_from, '-infinity')))
FROM (SELECT * FROM version ORDER BY valid_from) AS v, unnest('{a,b}'::text[]) AS site;
INSERT INTO prepay.meter (site_id, code) SELECT s, account FROM generate_series(1, 2) AS s, (SELECT DISTINCT account FROM version) AS v ORDER BY s, account;
SELECT count(prepay.open_account(site || '/' || account, 'Customer', meters => ARRAY[site || '/' || 'meter:' || account], tariff => account,
	opening_balance => 100, key => account))
FROM unnest('{a,b}'::text[]) AS site, (SELECT DISTINCT account FROM version) AS v;

-- 8 kWh on the 1st, 1 until the 5th, 5 on the 5th; the reverse register is left out once.
CREATE TEMP TABLE reading (at timestamptz, kwh numeric, reverse numeric);
INSERT INTO reading VALUES ('2026-04-01', 0, 10), ('2026-04-02', 8, 11), ('2026-04-05', 9, NULL), ('2026-04-06', 14, 15);
DO $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM reading ORDER BY at LOOP
		PERFORM set_config('prepay.now', (r.at + interval '1 minute')::text, false);
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh)
		SELECT 1, meter_id, r.at, r.kwh, CASE code WHEN 'reverse' THEN r.reverse END FROM prepay.meter WHERE site_id = 1;
	END LOOP;
END $$;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh)
SELECT 2, meter_id, r.at, r.kwh, CASE code WHEN 'reverse' THEN r.reverse END FROM prepay.meter, reading r WHERE site_id = 2;

SELECT a.account, a.balance, b.balance = a.balance AS same_at_once
FROM prepay.account_status a JOIN prepay.account_status b ON a.account = b.account AND a.site = 'a' AND b.site = 'b'
WHERE a.account NOT IN ('fewer', 'back') ORDER BY a.account;
-- How a bound is shared with a period that is gone is one thing; that both ways agree is another.
SELECT a.account, b.balance = a.balance AS same_at_once
FROM prepay.account_status a JOIN prepay.account_status b ON a.account = b.account AND a.site = 'a' AND b.site = 'b'
WHERE a.account IN ('fewer', 'back') ORDER BY a.account;
SELECT account, day, version, period, tier, kwh, amount FROM prepay.usage_daily WHERE site = 'a' AND account NOT IN ('fewer', 'back') AND kwh <> 0
EXCEPT SELECT account, day, version, period, tier, kwh, amount FROM prepay.usage_daily WHERE site = 'b';
SELECT * FROM prepay.verify();
-- And again when a late reading makes everything be rated anew.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT site_id, meter_id, '2026-04-05 12:00', 11.5 FROM prepay.meter;
SELECT count(DISTINCT balance) = 1 AS same FROM prepay.account_status GROUP BY account;
SELECT * FROM prepay.verify();
-- A household extension holds from the day it is given: what was priced before stays, however it is rated again.
SET prepay.now = '2026-05-01 12:00';
SELECT prepay.define_tariff('a/family', '{"tiers": {"accumulate": "year", "upto": [10]}, "prices": [1, 2]}');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'family');
SELECT prepay.open_account('a/family', 'Customer', meters => '{a/meter:family}', tariff => 'family', opening_balance => 100, key => 'family');
SET prepay.now = '2026-05-02 12:00';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, t.at, t.kwh FROM prepay.meter,
	(VALUES (timestamptz '2026-05-01 12:00', 0), ('2026-05-02', 12)) AS t (at, kwh) WHERE site_id = 1 AND code = 'family';
SET prepay.now = '2026-05-04 12:00';
-- 2 a month for May and the seven months after it: the bound is 26 from now on; 12 are used.
SELECT prepay.update_account('a/account:family', '{"tier_extra_kwh": 5}');
SELECT prepay.update_account('a/account:family', '{"tier_extra_kwh": 2}');
SELECT tier_extra FROM prepay.account_state s JOIN prepay.account USING (site_id, account_id) WHERE code = 'family';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, t.at, t.kwh FROM prepay.meter,
	(VALUES (timestamptz '2026-05-04', 12), ('2026-05-04 12:00', 27)) AS t (at, kwh) WHERE site_id = 1 AND code = 'family';
SELECT day, tier, kwh, amount FROM prepay.usage_daily WHERE account = 'family' ORDER BY day, tier;
SELECT * FROM prepay.verify();
SET prepay.now = '2026-05-07';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, t.at, t.kwh FROM prepay.meter,
	(VALUES (timestamptz '2026-05-05', 27), ('2026-05-03', 12)) AS t (at, kwh) WHERE site_id = 1 AND code = 'family';
SELECT prepay.tick();
SELECT day, tier, kwh, amount FROM prepay.usage_daily WHERE account = 'family' ORDER BY day, tier;
SELECT kind, amount FROM prepay.ledger WHERE account = 'family' ORDER BY seq;
SELECT * FROM prepay.verify();

-- A version that was made last may hold first: the energy of a day is taken in the order of time. 2 kWh at 5 in
-- the morning, then 2 kWh beyond the bound at 10.
SET prepay.now = '2026-06-03 00:00';
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'order');
SELECT prepay.define_tariff('a/order', '{"prices": 1}') AS one,
	prepay.define_tariff('a/order', '{"tiers": {"upto": [2], "allocation": "proportional"}, "prices": [0, 10]}', '2026-06-01 12:00', '{"retroactive": true}') AS two,
	prepay.define_tariff('a/order', '{"prices": 5}', '2026-06-01 00:00', '{"retroactive": true}') AS three;
SELECT prepay.open_account('a/order', 'Customer', tariff => 'order') > 0 AS opened;
SELECT prepay.add_meter('a/account:order', 'a/meter:order', effective => '2026-06-01 00:00');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, meter_id, at, kwh FROM prepay.meter, (VALUES (timestamptz '2026-06-01 00:00', 0), ('2026-06-01 12:00', 2), ('2026-06-02 00:00', 4)) AS v (at, kwh) WHERE site_id = 1 AND code = 'order';
SELECT version, tier, kwh, amount FROM prepay.usage_daily WHERE account = 'order' ORDER BY version;
SELECT version, tier, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.explain('a/account:order') GROUP BY version, tier ORDER BY version;
