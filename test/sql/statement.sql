-- The fee list of a month: what the books did in it, to the cent and beyond.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-02-10 09:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('full', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"accumulate": "month", "upto": [100]}, "prices": {"peak": [0.5683, 0.6183], "valley": [0.2883, 0.3383]},
	"standing": [{"name": "service", "amount": 10, "per": "month"}],
	"surcharges": [{"name": "fund", "per_kwh": 0.0237}, {"name": "vat", "percent": 13, "on": ["energy", "standing"]}]}');
SELECT prepay.set_setting('town', 'tariff', 'full');
SELECT prepay.set_setting('town', 'poll_interval', '12 hours');
INSERT INTO prepay.place (site_id, kind, code, name) VALUES (1, 'building', 'B1', 'Building 1');
INSERT INTO prepay.place (site_id, parent_id, kind, code, name) VALUES (1, 1, 'unit', 'U1', 'Unit 1'), (1, 1, 'unit', 'U2', 'Unit 2');
INSERT INTO prepay.meter (site_id, code, place_id, ratio, register_max) VALUES (1, 'M1', 2, 1, 10000), (1, 'M2', 2, 40, 10000), (1, 'M3', 3, 1, NULL);
INSERT INTO prepay.meter (site_id, code, place_id, purpose) VALUES (1, 'C1', 1, 'check');
SELECT prepay.open_account('A1', 'Zhang San', place => 'U1', meters => '{M1,M2}', opening_balance => 50, key => 'open');
SELECT prepay.open_account('A2', 'Li Si', meters => '{M3}');
-- M1 uses 0.25 kWh an hour, M2 0.4 after the ratio; every six hours.
CREATE FUNCTION pg_temp.read(from_ timestamptz, to_ timestamptz) RETURNS bigint LANGUAGE sql AS $$
	WITH done AS (INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
		SELECT 1, meter_id, at, h * CASE code WHEN 'M1' THEN 0.25 ELSE 0.01 END
		FROM prepay.meter, generate_series(from_, to_, interval '6 hours') AS at,
			LATERAL (SELECT extract(epoch FROM at - '2026-02-10 09:00+08')::int / 3600 AS h) t
		WHERE code IN ('M1', 'M2') RETURNING 1)
	SELECT count(*) FROM done;
$$;
SELECT pg_temp.read('2026-02-10 09:00+08', '2026-02-10 09:00+08');
SET prepay.now = '2026-02-12 10:00+08';
SELECT amount, balance FROM prepay.sell('A1', 100, 'sale-1', note => 'first sale');
SET prepay.now = '2026-02-28 22:00+08';
SELECT pg_temp.read('2026-02-10 15:00+08', '2026-02-28 21:00+08');
SELECT prepay.tick();
SET prepay.now = '2026-03-01 00:30+08';
SELECT prepay.tick();
-- February has closed, its last day is not booked yet.
CREATE TEMP TABLE february AS SELECT * FROM prepay.statement('A1', '2026-02-28');
SELECT line, section, text, meter, tariff, period, tier, kwh, price, amount, balance FROM february;
SET prepay.now = '2026-03-12 10:00+08';
SELECT pg_temp.read('2026-03-01 03:00+08', '2026-03-12 09:00+08');
SELECT amount, balance FROM prepay.sell('A1', 200, 'sale-2', tender => 'alipay');
SELECT prepay.correct_reading('M1', '2026-02-20 09:00+08', 60.2, 'misread');
SELECT prepay.tick();
-- It stays what it was.
SELECT * FROM february EXCEPT SELECT * FROM prepay.statement('A1', '2026-02-01');
-- March runs: the last day of February, the correction, and what is not booked yet.
SELECT line, section, text, meter, tariff, version, item, period, tier, kwh, price, amount, balance, seq, from_time, to_time FROM prepay.statement('A1', '2026-03-31') WHERE section <> 'register';
SELECT line, section, text, meter, kwh, from_time, to_time, register_from, register_to, ratio FROM prepay.statement('A1') WHERE section = 'register';
SELECT section, text, day, kwh, amount FROM prepay.statement('A1', options => '{"daily": true}') WHERE meter = 'M1' AND (section = 'correction' OR section = 'energy' AND day < '2026-03-03') ORDER BY line;

-- opening + amounts = closing, month after month, and the end is the balance.
CREATE VIEW pg_temp.tied AS
	SELECT m.month, (SELECT s.balance FROM prepay.statement('A1', m.month) s WHERE section = 'opening') AS opening,
		(SELECT sum(s.amount) FROM prepay.statement('A1', m.month) s WHERE section NOT LIKE 'unposted%') AS amounts,
		(SELECT s.balance FROM prepay.statement('A1', m.month) s WHERE section = 'closing') AS closing,
		(SELECT s.balance FROM prepay.statement('A1', m.month) s WHERE section = 'now') AS now
	FROM (VALUES (date '2026-01-01'), ('2026-02-01'), ('2026-03-01')) AS m (month);
SELECT *, opening + amounts = closing AS ties, now = (SELECT balance FROM prepay.account_status WHERE account = 'A1') AS is_balance FROM pg_temp.tied;
SELECT closing = (SELECT balance_after FROM prepay.ledger WHERE account = 'A1' ORDER BY seq DESC LIMIT 1) AS ledger FROM pg_temp.tied WHERE month = '2026-03-01';
-- Day by day it is the same.
SELECT sum(amount) FILTER (WHERE daily), sum(amount) FILTER (WHERE NOT daily) FROM (VALUES (true), (false)) AS v (daily)
	CROSS JOIN LATERAL prepay.statement('A1', '2026-03-01', jsonb_build_object('daily', daily));
-- Nothing happened.
SELECT line, section, text, amount, balance FROM prepay.statement('A2', '2026-03-01');
SELECT prepay.statement('A1', '2026-04-01');
SELECT prepay.statement('A1', 'infinity');
SELECT prepay.statement('A1', '2026-03-01', '{"weekly": true}');
SELECT prepay.statement('A1', '2026-03-01', '{"daily": 1}');
SELECT prepay.statement(NULL, '2026-03-01');
SELECT prepay.statement('nobody', '2026-03-01');
SELECT * FROM prepay.verify();

-- Every household's month, as known now; it is usage_daily added up.
SELECT site, account, customer, place, month, kwh, energy_amount, surcharge_amount, standing_amount, amount, unposted_amount FROM prepay.usage_monthly ORDER BY account, month;
SELECT m.account, m.month FROM prepay.usage_monthly m JOIN (SELECT account, date_trunc('month', day)::date AS month, sum(kwh) AS kwh, sum(amount) AS amount, sum(estimated_kwh) AS estimated_kwh
	FROM prepay.usage_daily GROUP BY 1, 2) d USING (account, month) WHERE (m.kwh, m.amount, m.estimated_kwh) IS DISTINCT FROM (COALESCE(d.kwh, 0), d.amount, COALESCE(d.estimated_kwh, 0));

-- Readings: as displayed, what became of them, the energy since the one before.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-12 09:30+08', 20);
SELECT read_at, kwh, corrected_kwh, source, status, correction_reason, energy_kwh FROM prepay.reading_history('M1', '2026-02-20 03:00+08', '2026-02-20 21:01+08');
SELECT read_at, kwh, status, energy_kwh FROM prepay.reading_history('M1', '2026-03-12 00:00+08');
SELECT count(*), sum(energy_kwh) FROM prepay.reading_history('M2', '2026-02-01 00:00+08', '2026-04-01 00:00+08');
SELECT count(*) FROM prepay.reading_history('M3', '2026-02-01 00:00+08', '2026-04-01 00:00+08');
-- Registers at two times; the energy between them has the ratio in force at each time.
SELECT prepay.change_meter('M2', '{"ratio": 80}', '2026-03-10 09:00+08');
SELECT * FROM prepay.register_difference('M2', '2026-03-01 00:00+08', '2026-04-01 00:00+08');
SELECT * FROM prepay.register_difference('M1', '2026-03-12 09:10+08', '2026-03-12 10:00+08');
SELECT * FROM prepay.register_difference('M3', '2026-03-01 00:00+08', '2026-04-01 00:00+08');
-- A building by day: what was billed, what nobody owned, check meters apart.
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, 4, at, n * 7 FROM generate_series(0, 3) AS n, LATERAL (SELECT timestamptz '2026-03-09 12:00+08' + n * interval '1 day' AS at) t;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 3, '2026-03-09 12:00+08', 0);
SELECT prepay.remove_meter('A2', 'M3', effective => '2026-03-10 12:00+08');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 3, '2026-03-11 12:00+08', 48);
SELECT prepay.tick();
-- The meter left in the middle of an interval: its former account has half of it.
SELECT text, kwh, register_from, register_to FROM prepay.statement('A2') WHERE section = 'register';
SELECT * FROM prepay.energy_by_place('B1', '2026-03-08 12:00+08', '2026-03-12 12:00+08');
SELECT day, kwh FROM prepay.energy_by_place('place:U1', '2026-03-09 00:00+08', '2026-03-11 00:00+08');
SELECT e.day, e.kwh - e.unowned_kwh - u.kwh AS difference FROM prepay.energy_by_place('B1', '2026-02-01 00:00+08', '2026-03-12 12:00+08') e
	JOIN (SELECT day, sum(kwh) AS kwh FROM prepay.usage_daily GROUP BY day) u USING (day) WHERE e.kwh - e.unowned_kwh <> u.kwh;
SELECT sum(kwh) AS kwh, sum(check_kwh) AS check_kwh FROM prepay.energy_by_place('B1', '2026-02-01 00:00+08', '2026-03-12 12:00+08');
SELECT * FROM prepay.energy_by_place('B1', '2026-03-12 12:00+08', '2026-03-12 11:00+08');
SELECT * FROM prepay.energy_by_place('A1');
SELECT * FROM prepay.verify();
