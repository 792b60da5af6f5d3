-- explain(), usage_daily, the ledger and the balance say the same, to the last digit.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('full', '{"periods": ["peak", "valley"],
	"seasons": [{"name": "spring", "from": "03-05", "to": "06-01"}, {"name": "other", "from": "06-01", "to": "03-05"}],
	"day_types": [{"name": "weekend", "days": [6, 7]}],
	"schedule": [{"day_type": "weekend", "slots": [["00:00", "valley"]]},
		{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [30, 60]},
	"prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]},
	"standing": [{"name": "service", "amount": 0.5, "per": "day"}, {"name": "line", "amount": 10, "per": "month", "while_off": false}],
	"surcharges": [{"name": "fund", "per_kwh": 0.02}, {"name": "vat", "percent": 13, "on": ["energy", "standing", "fund"]}]}');
SELECT prepay.define_tariff('share', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [3], "allocation": "proportional"},
	"prices": {"peak": [0.5, 0.9], "valley": [0.25, 0.45]}}');
SELECT prepay.define_tariff('plain', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'full');

-- Charges by explain() and by usage_daily, for all whole days there are: rows on which they differ.
CREATE VIEW pg_temp.booked AS
	SELECT site, account, day, meter, tariff, version, component, item, period, tier, sum(kwh) AS kwh, sum(amount) AS amount
	FROM prepay.usage_daily GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 HAVING sum(kwh) <> 0 OR sum(amount) <> 0;
CREATE VIEW pg_temp.explained AS
	SELECT e.site, a.code AS account, day, meter, tariff, version, component, item, period, tier, sum(kwh) AS kwh, sum(amount) AS amount
	FROM prepay.site s JOIN prepay.account a USING (site_id)
		CROSS JOIN LATERAL prepay.explain(s.code || '/' || a.code, '2026-03-01 00:00' AT TIME ZONE s.timezone, '2026-04-01 00:00' AT TIME ZONE s.timezone) e
	WHERE component IS NOT NULL GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 HAVING sum(kwh) <> 0 OR sum(amount) <> 0;
CREATE VIEW pg_temp.differing AS
	SELECT * FROM (SELECT * FROM pg_temp.booked EXCEPT SELECT * FROM pg_temp.explained) AS only_booked (site, account, day, meter, tariff, version, component, item, period, tier, kwh, amount)
	UNION ALL SELECT * FROM (SELECT * FROM pg_temp.explained EXCEPT SELECT * FROM pg_temp.booked) AS only_explained;
-- Each entry is the step of the rounded total of what was booked up to it.
CREATE VIEW pg_temp.untied AS
	SELECT * FROM (SELECT site, account, seq, kind, amount,
			-(round(sum(exact) OVER w, 2) - round(sum(exact) OVER w - exact, 2)) AS expected
		FROM (SELECT site, account, booked_seq AS seq, sum(amount) AS exact FROM prepay.usage_daily WHERE booked_seq IS NOT NULL GROUP BY site, account, booked_seq) u
			FULL JOIN (SELECT site, account, seq, kind, amount FROM prepay.ledger WHERE kind IN ('consumption', 'correction', 'standing')) e USING (site, account, seq)
		WINDOW w AS (PARTITION BY site, account ORDER BY seq)) t
	WHERE amount IS DISTINCT FROM expected;
-- The balance is the entries less the rounded step to what is not booked yet.
CREATE VIEW pg_temp.unbalanced AS
	SELECT s.account, s.balance, l.posted - (round(u.total, 2) - round(u.booked, 2)) AS expected
	FROM prepay.account_status s
		JOIN (SELECT site, account, sum(amount) AS posted FROM prepay.ledger GROUP BY site, account) l USING (site, account)
		JOIN (SELECT site, account, sum(amount) AS total, COALESCE(sum(amount) FILTER (WHERE booked_day IS NOT NULL), 0) AS booked
			FROM prepay.usage_daily GROUP BY site, account) u USING (site, account)
	WHERE s.balance <> l.posted - (round(u.total, 2) - round(u.booked, 2));

-- Two meters share proportional tiers before the day is sealed and after it.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'S1'), (1, 'S2');
SELECT prepay.open_account('share', 'Customer', meters => '{S1,S2}', opening_balance => 100, key => 'share', tariff => 'share');
SET prepay.now = '2026-03-02 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m, timestamptz '2026-03-01 00:00+08' + n * interval '3 hours', n * n
FROM generate_series(0, 7) AS n, generate_series(1, 2) AS m;
SELECT u.open, 100 - u.amount AS exact, s.balance
FROM (SELECT bool_and(booked_day IS NULL) AS open, sum(amount) AS amount FROM prepay.usage_daily) u, prepay.account_status s;
TABLE pg_temp.differing;
SET prepay.now = '2026-03-04 00:00+08';
SELECT prepay.tick();
SELECT u.open, 100 - u.amount AS exact, s.balance
FROM (SELECT bool_and(booked_day IS NULL) AS open, sum(amount) AS amount FROM prepay.usage_daily) u, prepay.account_status s;
TABLE pg_temp.differing;
-- A step by step account of it: the energy of the valley moves between tiers as peak grows.
SELECT from_time, to_time, meter, period, tier, kwh, position_kwh, price, amount, why
FROM prepay.explain('share', '2026-03-01 06:00+08', '2026-03-01 12:00+08');

-- Many accounts, each with a situation of its own; all have the same readings but for that.
SET prepay.now = '2026-03-02 06:00+08';
CREATE TEMP TABLE case_ (n int, code text, options jsonb);
INSERT INTO case_ (code, options) VALUES ('plain', '{}'), ('tiers', '{"tier_start": 25}'), ('extra', '{"tier_extra_kwh": 10}'),
	('gap', '{}'), ('late', '{}'), ('corrected', '{}'), ('replaced', '{}'), ('leaves', '{}'), ('comes', '{}'), ('two', '{}'),
	('off', '{}'), ('ratio', '{}'), ('rollover', '{}'), ('glitch', '{}'), ('baseline', '{}'), ('past', '{}'), ('change', '{}');
UPDATE case_ SET n = 2 + (SELECT count(*) FROM case_ c WHERE c.code <= case_.code);
INSERT INTO prepay.meter (site_id, code, register_max, rated_kw, ratio)
SELECT 1, 'M-' || code, 1000, 10, CASE code WHEN 'ratio' THEN 1.5 ELSE 1 END FROM case_ ORDER BY n;
INSERT INTO prepay.meter (site_id, code, register_max, rated_kw) VALUES (1, 'M-new', 1000, 10), (1, 'M-second', 1000, 10);
SELECT count(prepay.open_account(code, 'Customer', meters => CASE WHEN code IN ('comes', 'past') THEN '{}'::text[] ELSE ARRAY['M-' || code] END,
	opening_balance => 100, key => 'open-' || code, options => options)) FROM case_;
SELECT prepay.add_meter('two', 'M-second');
SELECT prepay.assign_tariff('change', 'plain');
-- From 2 March 06:00 to 9 March every half hour, 6 kWh at most a day; some readings are left out or differ.
CREATE TEMP TABLE history AS
SELECT code, m.meter_id, h AS n, timestamptz '2026-03-02 06:00+08' + h * interval '30 minutes' AS read_at,
	mod(CASE m.code WHEN 'M-rollover' THEN 990 ELSE 100 END + round(((h + sin(h / 8.0)) / 9.0)::numeric, 3), 1000) AS kwh
FROM prepay.meter m CROSS JOIN generate_series(0, 7 * 48) AS h WHERE m.code LIKE 'M-%' AND m.code <> 'M-new';
CREATE FUNCTION pg_temp.read(codes text[], from_n int, to_n int) RETURNS bigint LANGUAGE sql AS $$
	WITH done AS (INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
		SELECT 1, meter_id, read_at, kwh, CASE code WHEN 'M-off' THEN n < 60 OR n > 200 END FROM history
		WHERE ('M-' || code = ANY (codes) OR code = ANY (codes)) AND n BETWEEN from_n AND to_n RETURNING 1)
	SELECT count(*) FROM done;
$$;
SELECT array_agg('M-' || code) AS regular FROM case_ WHERE code NOT IN ('gap', 'late', 'leaves', 'comes', 'past', 'glitch', 'baseline', 'replaced') \gset
SET prepay.now = '2026-03-09 08:00+08';
SELECT pg_temp.read(:'regular', 0, 336) + pg_temp.read('{M-second,M-comes,M-past}', 0, 336);
-- A gap of three days, seen from its end; a late reading fills the other one a while later.
SELECT pg_temp.read('{M-gap,M-late}', 0, 40), pg_temp.read('{M-gap,M-late}', 180, 336);
-- The meter is replaced in the middle of a day, leaves for another account in the middle of an interval.
SELECT pg_temp.read('{M-replaced}', 0, 100), pg_temp.read('{M-leaves}', 0, 100);
SET prepay.now = '2026-03-04 08:20+08';
SELECT prepay.replace_meter('M-replaced', 'M-new', 111.5, 5, '2026-03-04 08:10+08');
SELECT prepay.remove_meter('leaves', 'M-leaves', effective => '2026-03-04 08:10+08'), prepay.add_meter('comes', 'M-leaves', effective => '2026-03-04 08:20+08');
SET prepay.now = '2026-03-09 08:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m.meter_id, read_at, kwh - 106 FROM history h, prepay.meter m WHERE h.code = 'M-replaced' AND n > 110 AND m.code = 'M-new';
SELECT pg_temp.read('{M-leaves}', 101, 336);
-- A glitch is held; a fall is accepted as a new baseline by a person.
SELECT pg_temp.read('{M-glitch,M-baseline}', 0, 150);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-03-05 09:10+08', 3 FROM prepay.meter WHERE code IN ('M-glitch', 'M-baseline');
SELECT pg_temp.read('{M-glitch}', 151, 336);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, meter_id, read_at, kwh - 100 FROM history WHERE code = 'M-baseline' AND n BETWEEN 152 AND 336;
SELECT count(prepay.resolve_review('town', review_id, 'baseline')) FROM prepay.reading_review r JOIN prepay.meter m USING (site_id, meter_id)
WHERE m.code = 'M-baseline' AND r.status = 'open';
-- A meter that was there before the account, another ratio, another tariff.
SELECT prepay.add_meter('past', 'M-past', effective => '2026-03-01 12:00+08');
SELECT prepay.change_meter('M-ratio', '{"ratio": 2.5}', '2026-03-06 10:11+08');
SELECT prepay.assign_tariff('change', 'full', '2026-03-05 13:00+08');
SELECT prepay.tick();
SELECT account, count(*) AS rows FROM pg_temp.differing GROUP BY account;
TABLE pg_temp.untied;
TABLE pg_temp.unbalanced;
SELECT * FROM prepay.verify();
SELECT count(*) > 500 AS many, count(DISTINCT account) AS accounts, count(DISTINCT component) AS components FROM pg_temp.explained;

-- A back-test of the tariff in force differs for nobody but those who had another.
SELECT account, amount > 0 AS charged, difference <> 0 AS differs FROM prepay.backtest('town', (SELECT definition FROM prepay.tariff_version v JOIN prepay.tariff t USING (site_id, tariff_id)
	WHERE t.code = 'full'), '2026-03-01 00:00+08', '2026-03-10 00:00+08') WHERE difference <> 0 OR amount = 0 OR kwh = 0 ORDER BY account;
SELECT b.account, b.kwh = u.kwh AS kwh, b.amount = u.amount AS amount FROM prepay.backtest('town', '{"prices": 1, "standing": [{"name": "s", "amount": 2, "per": "day"}]}', '2026-03-03 12:00+08', '2026-03-06 00:00+08') b
	JOIN (SELECT account, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily WHERE day BETWEEN '2026-03-03' AND '2026-03-05' GROUP BY account) u USING (account)
WHERE b.kwh <> u.kwh OR b.amount <> u.amount OR b.draft_amount <> u.kwh + 3 * 2 OR b.difference <> b.draft_amount - b.amount;
SELECT account, draft_amount FROM prepay.backtest('town', (SELECT definition FROM prepay.tariff_version v JOIN prepay.tariff t USING (site_id, tariff_id) WHERE t.code = 'share'), '2026-03-01 00:00+08', '2026-03-02 00:00+08') WHERE account = 'share';

-- What was booked by the evening of 10 March stays to be seen when more comes to light.
CREATE TEMP TABLE known_then AS SELECT * FROM prepay.usage_daily WHERE booked_day IS NOT NULL;
SET prepay.now = '2026-03-11 08:00+08';
SELECT pg_temp.read('{M-late}', 41, 179);
SELECT prepay.correct_reading('M-corrected', '2026-03-04 12:00+08', 112.05, 'misread by the agent');
SELECT prepay.define_tariff('full', jsonb_set(definition, '{prices,peak}', '[0.668, 0.718, 0.968]'), '2026-03-05 13:00+08', '{"retroactive": true}')
FROM prepay.tariff_version v JOIN prepay.tariff t USING (site_id, tariff_id) WHERE t.code = 'full';
SELECT prepay.tick();
SELECT account, count(*) AS rows FROM pg_temp.differing GROUP BY account;
TABLE pg_temp.untied;
TABLE pg_temp.unbalanced;
SELECT * FROM prepay.verify();
-- A back-test sees readings as they are known now; without the second version the gap is shared otherwise.
SELECT account FROM prepay.backtest('town', (SELECT definition FROM prepay.tariff_version v JOIN prepay.tariff t USING (site_id, tariff_id)
	WHERE t.code = 'full' AND version = 1), '2026-03-01 00:00+08', '2026-03-05 00:00+08') WHERE difference <> 0 ORDER BY account;
-- As known then: booked up to a day. As known now: everything.
SELECT count(*) AS rows FROM (SELECT * FROM prepay.usage_daily WHERE booked_day <= '2026-03-10' EXCEPT TABLE known_then) d;
SELECT count(*) AS rows FROM (TABLE known_then EXCEPT SELECT * FROM prepay.usage_daily WHERE booked_day <= '2026-03-10') d;
SELECT account, day, sum(amount) FILTER (WHERE booked_day <= '2026-03-10') AS known_then, sum(amount) AS known_now
FROM prepay.usage_daily WHERE account = 'late' AND day BETWEEN '2026-03-02' AND '2026-03-07' GROUP BY account, day ORDER BY day;

-- In words.
SELECT from_time, to_time, kwh, tariff, version, season, day_type, period, tier, position_kwh, price, amount, estimated, why
FROM prepay.explain('gap', '2026-03-03 00:00+08', '2026-03-04 00:00+08');
SELECT DISTINCT component, item, price, amount, why FROM prepay.explain('off', '2026-03-02 00:00+08', '2026-03-06 00:00+08') WHERE component <> 'energy' ORDER BY component, item, amount;
SELECT day, item, amount FROM prepay.explain('off', '2026-03-02 00:00+08', '2026-03-08 00:00+08') WHERE component = 'standing';
SELECT meter, from_time, to_time, kwh, component, reading_from, reading_to, register_from, register_to, why
FROM prepay.explain('replaced', '2026-03-04 07:50+08', '2026-03-04 13:10+08') WHERE component IS DISTINCT FROM 'standing' AND component IS DISTINCT FROM 'surcharge';
SELECT account_code, from_time, to_time, kwh, component, reading_from, reading_to, why
FROM (VALUES ('leaves'), ('comes')) v (code) CROSS JOIN LATERAL prepay.explain(code, '2026-03-04 07:50+08', '2026-03-04 08:40+08') WHERE component IS NULL OR component = 'energy';
SELECT account_code, why FROM (VALUES ('past', '2026-03-02 06:00+08', '2026-03-02 06:30+08'), ('baseline', '2026-03-05 09:00+08', '2026-03-05 11:00+08'), ('glitch', '2026-03-05 09:00+08', '2026-03-05 09:30+08'),
	('corrected', '2026-03-04 11:40+08', '2026-03-04 12:30+08'), ('rollover', '2026-03-03 00:00+08', '2026-03-07 00:00+08'), ('ratio', '2026-03-06 10:00+08', '2026-03-06 10:30+08')) v (code, t0, t1)
	CROSS JOIN LATERAL prepay.explain(code, t0::timestamptz, t1::timestamptz) WHERE component IS NULL OR component = 'energy' GROUP BY account_code, why ORDER BY account_code, min(from_time);
SELECT from_time, to_time, tariff, version, price, day, booked_day FROM prepay.explain('change', '2026-03-05 12:30+08', '2026-03-05 13:30+08') WHERE component = 'energy';
-- Nothing in an empty range; a range backwards is refused.
SELECT count(*) FROM prepay.explain('gap', '2026-03-03 00:00+08', '2026-03-03 00:00+08');
SELECT * FROM prepay.explain('gap', '2026-03-04 00:00+08', '2026-03-03 00:00+08');

-- A site without tariff, where the clock skips an hour on 8 March: what waits is said, then rated.
SELECT prepay.create_site('east', 'East', 'America/New_York', 'USD');
INSERT INTO prepay.meter (site_id, code, rated_kw) VALUES (2, 'M1', 10);
SET prepay.now = '2026-03-07 12:00-05';
SELECT prepay.open_account('east/one', 'Customer', meters => '{east/M1}');
SET prepay.now = '2026-03-09 12:00-04';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 2, meter_id, timestamptz '2026-03-07 12:00-05' + h * interval '50 minutes', h * h / 100.0 FROM prepay.meter, generate_series(0, 56) AS h WHERE site_id = 2;
SELECT why, count(*), min(from_time), max(to_time), sum(amount) FROM prepay.explain('east/one', '2026-03-07 00:00-05', '2026-03-10 00:00-04') GROUP BY why;
SELECT prepay.define_tariff('east/full', definition) FROM prepay.tariff_version WHERE site_id = 1 AND tariff_id = 1 AND version = 1;
SELECT prepay.set_setting('east', 'tariff', 'full');
SELECT prepay.tick();
SELECT count(*) > 50 AS rated FROM prepay.explain('east/one', '2026-03-07 00:00-05', '2026-03-10 00:00-04');
SELECT from_time AT TIME ZONE 'America/New_York' AS "from", to_time AT TIME ZONE 'America/New_York' AS "to", kwh, period, day, why
FROM prepay.explain('east/one', '2026-03-08 01:00-05', '2026-03-08 05:00-04') WHERE component = 'energy';
SELECT site, account, count(*) AS rows FROM pg_temp.differing GROUP BY site, account;
TABLE pg_temp.untied;
TABLE pg_temp.unbalanced;
SELECT * FROM prepay.verify();
