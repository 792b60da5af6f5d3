-- Dated facts of a meter: ratio, modulus, reverse rule, and prices that change in the past. Figures worked
-- out by hand; 1 kWh costs 1.
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
CREATE FUNCTION pg_temp.read(code text, at timestamptz, kwh numeric, reverse numeric DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, reverse_kwh)
	SELECT 1, meter_id, at, $3, $4 FROM prepay.meter WHERE code = $1;
$$;
CREATE FUNCTION pg_temp.ticks() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	WHILE prepay.tick() > 0 LOOP END LOOP;
	RETURN true;
END $$;
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'CT'), (1, 'MANY'), (1, 'SLOW');
INSERT INTO prepay.meter (site_id, code, ratio) VALUES (1, 'WRONG', 10);
INSERT INTO prepay.meter (site_id, code, reverse_energy) VALUES (1, 'BACK', 'add'), (1, 'DEAF', 'ignore');
INSERT INTO prepay.meter (site_id, code, rated_kw) VALUES (1, 'RATED', 10);
SELECT count(prepay.open_account(lower(code), 'Customer', meters => ARRAY['meter:' || code], opening_balance => 1000, key => code))
FROM prepay.meter;
CREATE VIEW pg_temp.used AS
	SELECT meter, day, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily
	GROUP BY meter, day HAVING sum(kwh) <> 0 OR sum(amount) <> 0;

-- A current transformer of 40 from 06:00 on: of 12 on the register 6 are 6 kWh, 6 are 240.
SET prepay.now = '2026-03-01 06:00+08';
SELECT pg_temp.read('CT', '2026-03-01 00:00+08', 100);
SELECT prepay.change_meter('CT', '{"ratio": 40}');
SET prepay.now = '2026-03-01 12:00+08';
SELECT pg_temp.read('CT', '2026-03-01 12:00+08', 112);
SELECT kwh FROM pg_temp.used WHERE meter = 'CT';
-- What it showed at that moment comes late: 4 + 8 x 40.
SELECT pg_temp.read('CT', '2026-03-01 06:00+08', 104);
SELECT kwh FROM pg_temp.used WHERE meter = 'CT';
SELECT ratio FROM prepay.meter_status WHERE meter = 'CT';

-- In the past: 10 until the 2nd, 1 from then on. 100 + 100 become 100 + 10; sealed lines stay.
SET prepay.now = '2026-03-03 12:00+08';
SELECT pg_temp.read('WRONG', day, kwh) FROM (VALUES (timestamptz '2026-03-01 00:00+08', 0), ('2026-03-02 00:00+08', 10), ('2026-03-03 00:00+08', 20)) AS v (day, kwh);
SELECT prepay.change_meter('WRONG', '{"ratio": 1}', '2026-03-02 00:00+08');
SELECT seq, kind, amount, day, ref_seq FROM prepay.ledger WHERE account = 'wrong' ORDER BY seq;
SELECT day, kwh FROM pg_temp.used WHERE meter = 'WRONG' ORDER BY day;
-- The same time again mends it: 2, not 1.
SELECT prepay.change_meter('WRONG', '{"ratio": 2}', '2026-03-02 00:00+08');
SELECT day, kwh FROM pg_temp.used WHERE meter = 'WRONG' ORDER BY day;
-- An earlier time: the ratio given for the 2nd holds from then on as it was, a modulus nobody gave since is
-- taken over. The first day is 5 x 10 + 5 x 5.
SELECT prepay.change_meter('WRONG', '{"ratio": "5", "register_max": 1000}', '2026-03-01 12:00+08');
SELECT day, kwh FROM pg_temp.used WHERE meter = 'WRONG' ORDER BY day;
SELECT valid_from, t.ratio, t.register_max, t.reverse_energy FROM prepay.meter_term t JOIN prepay.meter m USING (site_id, meter_id) WHERE code = 'WRONG' ORDER BY valid_from;
SELECT ratio, register_max FROM prepay.meter WHERE code = 'WRONG';
SELECT seq, kind, amount, day, ref_seq FROM prepay.ledger WHERE account = 'wrong' AND seq > 4 ORDER BY seq;

-- Reverse energy: added until noon, ignored from then on. 10 + 2, then 10.
SELECT pg_temp.read('BACK', '2026-03-03 00:00+08', 0, 0), pg_temp.read('BACK', '2026-03-03 12:00+08', 10, 2);
SELECT prepay.change_meter('BACK', '{"reverse_energy": "ignore"}');
SET prepay.now = '2026-03-04 00:00+08';
SELECT pg_temp.read('BACK', '2026-03-04 00:00+08', 20, 6);
SELECT kwh FROM pg_temp.used WHERE meter = 'BACK';
-- Since 06:00: of the 2 the first 1 counts.
SELECT prepay.change_meter('BACK', '{"reverse_energy": "ignore"}', '2026-03-03 06:00+08');
SELECT kwh FROM pg_temp.used WHERE meter = 'BACK';
-- A reverse register that falls holds a reading only where it counts.
SELECT pg_temp.read('DEAF', '2026-03-03 00:00+08', 0, 50), pg_temp.read('DEAF', '2026-03-03 12:00+08', 7, 0);
SELECT kwh FROM pg_temp.used WHERE meter = 'DEAF';
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'HELD');
SELECT prepay.add_meter('deaf', 'HELD');
SELECT pg_temp.read('HELD', '2026-03-03 00:00+08', 0, 50), pg_temp.read('HELD', '2026-03-03 12:00+08', 7, 0);
SELECT reason FROM prepay.reading_review r JOIN prepay.meter m USING (site_id, meter_id) WHERE code = 'HELD';

-- Readings are judged by the facts of their time: 10 kW, ratio 1 until the 4th, then 100. The late 20 kWh
-- of half a day are no spike, 20 on the register of half a day later are one, and across the change
-- nobody can tell.
SELECT pg_temp.read('RATED', '2026-03-02 00:00+08', 0), pg_temp.read('RATED', '2026-03-03 00:00+08', 30);
SELECT prepay.change_meter('RATED', '{"ratio": 100}');
SELECT pg_temp.read('RATED', '2026-03-02 12:00+08', 20);
SET prepay.now = '2026-03-05 12:00+08';
SELECT pg_temp.read('RATED', '2026-03-05 00:00+08', 31), pg_temp.read('RATED', '2026-03-05 12:00+08', 51);
SELECT read_at, status FROM prepay.readings WHERE meter = 'RATED' ORDER BY read_at;
-- 20 + 10 on the 2nd; 1 over two days of which the second counts 100 times: 0.5 + 50.
SELECT day, kwh FROM pg_temp.used WHERE meter = 'RATED' ORDER BY day;

-- As many changes between two readings as there are hours: 50 kWh once, 50 twice.
SELECT pg_temp.read('MANY', '2026-03-01 00:00+08', 0);
SELECT count(prepay.change_meter('MANY', jsonb_build_object('ratio', 1 + n % 2), timestamptz '2026-03-01 00:00+08' + n * interval '1 hour')) FROM generate_series(0, 99) AS n;
SELECT pg_temp.read('MANY', '2026-03-05 04:00+08', 100);
SELECT sum(kwh) FROM pg_temp.used WHERE meter = 'MANY';
-- Who has left pays by the ratio of the time: 2 kWh of the first day at 3 instead of 1.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'LEFT');
SELECT prepay.add_meter('slow', 'LEFT', 0, '2026-03-04 00:00+08');
SELECT prepay.remove_meter('slow', 'LEFT', 2, '2026-03-05 00:00+08');
SELECT prepay.change_meter('LEFT', '{"ratio": 3}', '2026-03-04 00:00+08');
SELECT kwh FROM pg_temp.used WHERE meter = 'LEFT';
SELECT pg_temp.ticks();
SELECT * FROM prepay.verify();

\set VERBOSITY terse
-- Refused: the future, values out of range, a modulus the register has passed, nothing at all.
SELECT prepay.change_meter('CT', '{"ratio": 2}', '2026-03-05 12:00:00.000001+08');
SELECT prepay.change_meter('CT', '{"ratio": 2}', '-infinity');
SELECT prepay.change_meter('CT', '{"ratio": 0}');
SELECT prepay.change_meter('CT', '{"ratio": -1}');
SELECT prepay.change_meter('CT', '{"ratio": 1.0000001}');
SELECT prepay.change_meter('CT', '{"ratio": 1000001}');
SELECT prepay.change_meter('CT', '{"ratio": "NaN"}');
SELECT prepay.change_meter('CT', '{"ratio": "many"}');
SELECT prepay.change_meter('CT', '{"ratio": [1]}');
SELECT prepay.change_meter('CT', '{"register_max": 0}');
SELECT prepay.change_meter('CT', '{"register_max": 112}', '2026-03-01 12:00+08');
SELECT prepay.change_meter('CT', '{"reverse_energy": "maybe"}');
SELECT prepay.change_meter('CT', '{"rated_kw": 5}');
SELECT prepay.change_meter('CT', '{"ratio": null}');
SELECT prepay.change_meter('CT', '{}');
SELECT prepay.change_meter('CT', '[]');
SELECT prepay.change_meter('CT', NULL);
SELECT prepay.change_meter(NULL, '{"ratio": 2}');
SELECT prepay.change_meter('nothing', '{"ratio": 2}');
-- A value that is out of range is so at any time.
SELECT prepay.change_meter('WRONG', '{"ratio": 0}', '2026-03-01 13:00+08');
-- In place only while nothing is dated.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'FRESH');
UPDATE prepay.meter SET ratio = 2 WHERE code = 'FRESH';
SELECT prepay.change_meter('FRESH', '{"ratio": 3}');
UPDATE prepay.meter SET ratio = 4 WHERE code = 'FRESH';
\set VERBOSITY default
SELECT code, valid_from, t.ratio FROM prepay.meter_term t JOIN prepay.meter m USING (site_id, meter_id) WHERE code IN ('CT', 'FRESH') ORDER BY code, valid_from;

-- ---- prices of the past ----
SELECT prepay.define_tariff('dear', '{"prices": 3, "standing": [{"name": "service", "amount": 2, "per": "day"}]}');
SELECT prepay.define_tariff('plain', '{"prices": 1, "standing": [{"name": "service", "amount": 1, "per": "day"}]}');
-- An open day whose only interval was cut by a change of facts: 4 kWh at 1, then at 3.
SET prepay.now = '2026-03-06 00:00+08';
SELECT prepay.assign_tariff('SLOW', 'plain');
SET prepay.now = '2026-03-06 10:00+08';
SELECT pg_temp.read('SLOW', '2026-03-06 00:00+08', 0);
SELECT prepay.change_meter('SLOW', '{"ratio": 2}');
SET prepay.now = '2026-03-06 20:00+08';
SELECT pg_temp.read('SLOW', '2026-03-06 10:00+08', 2), pg_temp.read('SLOW', '2026-03-06 20:00+08', 3);
SELECT amount FROM pg_temp.used WHERE meter = 'SLOW';
SELECT prepay.define_tariff('plain', '{"prices": 3}', '2026-03-06 00:00+08', '{"retroactive": true}');
SELECT amount FROM pg_temp.used WHERE meter = 'SLOW';
SELECT * FROM prepay.verify();
-- A meter's own tariff, given for a time when another account had it: 2 kWh x 3 at 3 instead of 1.
SELECT prepay.assign_tariff('LEFT', 'dear', '2026-03-04 00:00+08');
SELECT pg_temp.ticks();
SELECT kwh, amount FROM pg_temp.used WHERE meter = 'LEFT';
SELECT * FROM prepay.verify();
-- An account without meters bears standing charges: 2 a day instead of none since it was opened.
SELECT prepay.open_account('bare', 'No meter yet', opening_balance => 10, key => 'bare');
SET prepay.now = '2026-03-08 12:00+08';
SELECT pg_temp.ticks();
SELECT prepay.assign_tariff('bare', 'dear', '2026-03-06 00:00+08');
SELECT pg_temp.ticks();
SELECT seq, kind, amount, day FROM prepay.ledger WHERE account = 'bare' ORDER BY seq;
-- They begin with the day of the opening, whatever a meter had been given for before: 3 kWh x 3 of the 4th and 5th
-- come to it, no more charges.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'EARLY');
SELECT pg_temp.read('EARLY', '2026-03-04 00:00+08', 0), pg_temp.read('EARLY', '2026-03-06 00:00+08', 3);
SELECT prepay.add_meter('bare', 'EARLY', effective => '2026-03-04 00:00+08');
SELECT prepay.assign_tariff('EARLY', 'dear');
SELECT pg_temp.ticks();
SELECT day, component, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily WHERE account = 'bare' GROUP BY day, component ORDER BY day;
-- They go by the meter the account had that day, whatever became of it since: 2 for the 8th to the 10th, then none.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'GONE');
SELECT prepay.open_account('moved', 'Customer', meters => '{GONE}', opening_balance => 100, key => 'moved');
SELECT prepay.assign_tariff('GONE', 'dear');
SET prepay.now = '2026-03-10 12:00+08';
SELECT pg_temp.read('GONE', '2026-03-08 12:00+08', 0), pg_temp.read('GONE', '2026-03-10 12:00+08', 2);
SELECT prepay.remove_meter('moved', 'GONE', 2);
SELECT * FROM prepay.verify();
SELECT pg_temp.read('GONE', '2026-03-09 00:00+08', 1);
SET prepay.now = '2026-03-13 12:00+08';
SELECT pg_temp.ticks();
SELECT day, component, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily WHERE account = 'moved' GROUP BY day, component HAVING sum(amount) <> 0 ORDER BY day, component;
-- And by one that is told of later: 2 for the 11th and the 12th.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'TARDY');
SELECT prepay.assign_tariff('TARDY', 'dear');
SELECT prepay.add_meter('moved', 'TARDY', effective => '2026-03-11 00:00+08');
SELECT day, amount FROM prepay.usage_daily WHERE account = 'moved' AND component = 'standing' ORDER BY day;
-- Replaced at noon by one with a tariff of its own, without any: that day still goes by the first, the next by the second.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'NEWER');
SELECT prepay.assign_tariff('NEWER', 'one');
SELECT prepay.replace_meter('TARDY', 'NEWER', 0, 0);
SET prepay.now = '2026-03-16 12:00+08';
SELECT pg_temp.ticks();
SELECT day, amount FROM prepay.usage_daily WHERE account = 'moved' AND component = 'standing' AND day > '2026-03-11' ORDER BY day;
SELECT * FROM prepay.verify();
