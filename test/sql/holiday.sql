-- Holidays are a plain table: a change counts from the next statement on, and tick() mends what was rated before it.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-09-20 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
-- Workdays cost 1 a kWh, days off 0.5; one tariff of town has no calendar, mall has another calendar too.
SELECT prepay.define_tariff(code, ('{"periods": ["work", "off"], ' || calendar || '"day_types": [{"name": "weekend", "days": [6, 7]}],
	"schedule": [{"day_type": "weekend", "slots": [["00:00", "off"]]}, ' || holiday || '{"slots": [["00:00", "work"]]}],
	"prices": {"work": 1, "off": 0.5}}')::jsonb)
FROM (VALUES ('town/shop', '"calendar": "CN", ', '{"day_type": "holiday", "slots": [["00:00", "off"]]}, '),
	('town/office', '"calendar": "CN", ', '{"day_type": "holiday", "slots": [["00:00", "off"]]}, '),
	('town/plain', '', ''),
	('mall/shop', '"calendar": "HK", ', '{"day_type": "holiday", "slots": [["00:00", "off"]]}, ')) AS v (code, calendar, holiday);
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 3) AS n;
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'N1');
SELECT count(prepay.open_account(site || '/' || account, 'Customer', meters => ARRAY[site || '/' || meter], tariff => tariff, opening_balance => 1000, key => account))
FROM (VALUES ('town', 'A1', 'M1', 'shop'), ('town', 'A2', 'M2', 'office'), ('town', 'A3', 'M3', 'plain'), ('mall', 'B1', 'N1', 'shop')) AS v (site, account, meter, tariff);

-- 1 kWh an hour, read once a day, at midnight.
CREATE FUNCTION pg_temp.read_until(until timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	at timestamptz := (SELECT COALESCE(max(read_at) + interval '1 day', '2026-09-20 00:00+08') FROM prepay.reading);
BEGIN
	WHILE at <= until LOOP
		PERFORM set_config('prepay.now', at::text, false);
		INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT site_id, meter_id, at,
			extract(epoch FROM at - '2026-09-20 00:00+08')::numeric / 3600 FROM prepay.meter;
		at := at + interval '1 day';
	END LOOP;
END $$;
CREATE FUNCTION pg_temp.work() RETURNS TABLE (calls int, entries bigint) LANGUAGE plpgsql AS $$
DECLARE
	before bigint := (SELECT count(*) FROM prepay.ledger_entry);
BEGIN
	calls := 0;
	LOOP
		EXIT WHEN prepay.tick() = 0;
		calls := calls + 1;
	END LOOP;
	entries := (SELECT count(*) FROM prepay.ledger_entry) - before;
	RETURN NEXT;
END $$;
CREATE VIEW pg_temp.days AS
SELECT site, account, day, string_agg(DISTINCT period, ', ') FILTER (WHERE kwh <> 0) AS period, sum(kwh) AS kwh, sum(amount) AS amount
FROM (SELECT site, account, day, period, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily GROUP BY 1, 2, 3, 4) AS u
GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

-- Monday the 21st to Thursday the 24th are rated and sealed; a holiday is then added on the 22nd.
SELECT pg_temp.read_until('2026-09-25 00:00+08');
CREATE TEMP TABLE sealed AS SELECT u.* FROM prepay.usage_line u;
INSERT INTO prepay.holiday (calendar, day, name) VALUES ('CN', '2026-09-22', 'added');
SELECT account, invariant FROM prepay.verify() ORDER BY 1, 2;
SELECT * FROM pg_temp.work();
SELECT account, kind, amount, day, ref_seq FROM prepay.ledger WHERE kind = 'correction' ORDER BY account;
SELECT l.account, c.day AS mends, c.kind FROM prepay.ledger l JOIN prepay.ledger c USING (site, account) WHERE l.kind = 'correction' AND c.seq = l.ref_seq ORDER BY 1;
SELECT account, day, period, amount FROM pg_temp.days WHERE site = 'town' AND day BETWEEN '2026-09-21' AND '2026-09-23';
SELECT count(*) AS lines_changed FROM (SELECT * FROM sealed EXCEPT SELECT * FROM prepay.usage_line) AS gone;
SELECT * FROM prepay.verify();

-- As known then, as known now.
SELECT account, day, booked_day, period, kwh, amount FROM prepay.usage_daily WHERE account = 'A1' AND day = '2026-09-22' ORDER BY booked_day, period;

-- Changed into a working day, and taken away again; a name alone is nothing to rate.
UPDATE prepay.holiday SET day_type = 'workday' WHERE day = '2026-09-22';
SELECT * FROM pg_temp.work();
SELECT account, day, period, amount FROM pg_temp.days WHERE site = 'town' AND day = '2026-09-22';
UPDATE prepay.holiday SET name = 'renamed' WHERE day = '2026-09-22';
SELECT * FROM pg_temp.work();
DELETE FROM prepay.holiday;
SELECT * FROM pg_temp.work();
-- Sunday the 20th becomes a working day (调休), Monday the 21st a day off: one correction an account.
INSERT INTO prepay.holiday (calendar, day, name, day_type) VALUES ('CN', '2026-09-20', 'make-up', 'workday'), ('CN', '2026-09-21', 'bridge', 'holiday');
SELECT * FROM pg_temp.work();
SELECT account, kind, amount, day, ref_seq FROM prepay.ledger WHERE kind = 'correction' AND account = 'A2' ORDER BY seq;
SELECT account, day, period, amount FROM pg_temp.days WHERE site = 'town' AND account = 'A2' AND day < '2026-09-23';
SELECT * FROM prepay.verify();

-- The open day: from the next statement on, in this session that has the tariff compiled, and then for what came before.
SET prepay.now = '2026-09-25 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT site_id, meter_id, prepay.now(), 132 FROM prepay.meter;
BEGIN;
INSERT INTO prepay.holiday (calendar, day, name) VALUES ('CN', '2026-09-25', 'Mid-Autumn'), ('HK', '2026-09-25', 'Mid-Autumn');
SET LOCAL prepay.now = '2026-09-25 18:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT site_id, meter_id, prepay.now(), 138 FROM prepay.meter;
SELECT account, period, kwh FROM prepay.usage_daily WHERE day = '2026-09-25' ORDER BY site, account, period;
ROLLBACK;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT site_id, meter_id, '2026-09-25 12:04+08', 134 FROM prepay.meter;
SELECT account, period, kwh FROM prepay.usage_daily WHERE day = '2026-09-25' ORDER BY site, account, period;
INSERT INTO prepay.holiday (calendar, day, name) VALUES ('CN', '2026-09-25', 'Mid-Autumn'), ('HK', '2026-09-25', 'Mid-Autumn');
SET prepay.now = '2026-09-25 18:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT site_id, meter_id, prepay.now(), 138 FROM prepay.meter;
SELECT account, period, kwh FROM prepay.usage_daily WHERE day = '2026-09-25' ORDER BY site, account, period;
SELECT * FROM pg_temp.work();
SELECT account, period, kwh FROM prepay.usage_daily WHERE day = '2026-09-25' ORDER BY site, account, period;
SELECT * FROM prepay.verify();

-- Days to come, and days before anybody was there, touch nobody.
INSERT INTO prepay.holiday (calendar, day) SELECT 'CN', d::date FROM generate_series('2026-10-01'::date, '2026-10-07', '1 day') AS d;
INSERT INTO prepay.holiday (calendar, day) SELECT 'CN', d::date FROM generate_series('2010-10-01'::date, '2010-10-07', '1 day') AS d;
SELECT prepay.tick() > 0 AS seen, (SELECT count(*) FROM prepay.rerate_queue) AS queued;
SELECT * FROM pg_temp.work();
-- A calendar nobody names is nobody's work; a day is a day.
INSERT INTO prepay.holiday (calendar, day) VALUES ('US', '2026-09-22');
SELECT * FROM pg_temp.work();
INSERT INTO prepay.holiday (calendar, day) VALUES ('CN', 'infinity');
INSERT INTO prepay.holiday (calendar, day, day_type) VALUES ('CN', '2026-09-22', '');

-- Who is asked: accounts with energy under a tariff of the calendar since that day, whatever their tariff is now.
SELECT prepay.assign_tariff('town/A2', 'plain', '2026-09-25 15:00+08');
SELECT pg_temp.read_until('2026-09-27 18:00+08');
INSERT INTO prepay.holiday (calendar, day) VALUES ('CN', '2026-09-23');
SELECT prepay.tick() > 0 AS seen;
SELECT account_id, from_day, reason FROM prepay.rerate_queue ORDER BY account_id;
SELECT * FROM pg_temp.work();
INSERT INTO prepay.holiday (calendar, day) VALUES ('CN', '2026-09-27');
SELECT prepay.tick() > 0 AS seen;
SELECT account_id, from_day, reason FROM prepay.rerate_queue ORDER BY account_id;
SELECT * FROM pg_temp.work();
SELECT * FROM prepay.verify();

-- A tariff that comes to a calendar later: nothing is rated again because of that.
SELECT prepay.define_tariff('mall/other', '{"periods": ["work", "off"], "calendar": "CN", "schedule": [{"day_type": "holiday", "slots": [["00:00", "off"]]},
	{"slots": [["00:00", "work"]]}], "prices": {"work": 1, "off": 0.5}}');
SELECT * FROM pg_temp.work();

-- A draft sees all days of its calendar.
SELECT draft_amount FROM prepay.backtest('mall', '{"periods": ["work", "off"], "calendar": "CN", "schedule": [{"day_type": "holiday", "slots": [["00:00", "off"]]},
	{"slots": [["00:00", "work"]]}], "prices": {"work": 1, "off": 0.5}}', '2026-09-21 00:00+08', '2026-09-26 00:00+08');

-- 1 Wh over three days goes to the longest stretch: a day off is one, and takes it from the day before.
SELECT prepay.define_tariff('town/split', '{"periods": ["a", "b"], "calendar": "CN", "schedule": [{"day_type": "holiday", "slots": [["00:00", "b"]]},
	{"slots": [["00:00", "a"], ["08:00", "b"], ["16:00", "a"]]}], "prices": {"a": 1, "b": 2}}');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M4');
SELECT prepay.open_account('town/A4', 'Customer', meters => '{town/M4}', tariff => 'split');
SET prepay.now = '2026-11-30 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 4, '2026-11-10 15:00+08', 0), (1, 4, '2026-11-12 15:00+08', 0.001), (1, 4, '2026-11-20 00:00+08', 0.001);
INSERT INTO prepay.holiday (calendar, day) VALUES ('CN', '2026-11-11');
SELECT * FROM pg_temp.work();
SELECT day, booked_day, period, kwh FROM prepay.usage_daily WHERE account = 'A4' ORDER BY 1, 2, 3;
SELECT * FROM prepay.verify();

-- Over new year, with tiers by year and seasons that change there.
SELECT prepay.create_site('edge', 'Edge', 'Asia/Shanghai');
SELECT prepay.define_tariff('edge/year', '{"periods": ["work", "off"], "calendar": "CN", "seasons": [{"name": "first", "from": "01-01", "to": "07-01"},
	{"name": "second", "from": "07-01", "to": "01-01"}], "schedule": [{"season": "first", "day_type": "holiday", "slots": [["00:00", "off"]]}, {"slots": [["00:00", "work"]]}],
	"tiers": {"accumulate": "year", "upto": [36], "allocation": "proportional"}, "prices": {"work": [1, 2], "off": [0.5, 0.75]}}');
INSERT INTO prepay.meter (site_id, code) VALUES (3, 'E1');
SET prepay.now = '2026-12-30 00:00+08';
SELECT prepay.open_account('edge/E', 'Customer', meters => '{edge/E1}', tariff => 'year');
SET prepay.now = '2027-01-04 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 3, 1, at, 24 * n FROM generate_series('2026-12-30 00:00+08'::timestamptz, '2027-01-03 00:00+08', '1 day') WITH ORDINALITY AS s (at, n);
SELECT account, day, period, amount FROM pg_temp.days WHERE site = 'edge';
INSERT INTO prepay.holiday (calendar, day) VALUES ('CN', '2026-12-31'), ('CN', '2027-01-01');
SELECT * FROM pg_temp.work();
SELECT account, day, period, amount FROM pg_temp.days WHERE site = 'edge';
SELECT kind, amount, day, ref_seq FROM prepay.ledger WHERE site = 'edge' ORDER BY seq;
UPDATE prepay.holiday SET day = '2027-01-02' WHERE day = '2027-01-01';
SELECT * FROM pg_temp.work();
SELECT account, day, period, amount FROM pg_temp.days WHERE site = 'edge';
SELECT * FROM prepay.verify();
