-- What a person decides about readings: resolve_review and correct_reading; what waited behind them is rated.
-- Figures worked out by hand; 1 kWh costs 1, 10 kW are rated, the register has four digits.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.define_tariff('town/one', '{"prices": 1}');
SELECT prepay.assign_tariff('town', 'one');
SELECT prepay.create_agent('town/gw');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G', 'gw');
INSERT INTO prepay.meter (site_id, code, register_max, rated_kw, gateway_id, unit_id) SELECT 1, 'M' || n, 10000, 10, 1, n FROM generate_series(1, 20) AS n;
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'N1');
SELECT count(prepay.open_account('town/A' || n, 'Customer', meters => ARRAY['town/M' || n], opening_balance => 1000, key => 'open' || n)) FROM generate_series(1, 20) AS n WHERE n <> 17;
-- Readings of hours of 1 March.
CREATE FUNCTION pg_temp.read(meter int, VARIADIC hour_kwh numeric[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, $1, timestamptz '2026-03-01 00:00+08' + hour_kwh[2 * i - 1] * interval '1 hour', hour_kwh[2 * i] FROM generate_series(1, cardinality(hour_kwh) / 2) AS i;
$$;
CREATE FUNCTION pg_temp.at(hour numeric) RETURNS timestamptz LANGUAGE sql AS $$SELECT timestamptz '2026-03-01 00:00+08' + hour * interval '1 hour'$$;
CREATE FUNCTION pg_temp.review(meter int, reason text) RETURNS bigint LANGUAGE sql AS $$
	SELECT max(review_id) FROM prepay.reading_review WHERE site_id = 1 AND meter_id = $1 AND reason = $2 AND status = 'open';
$$;
CREATE FUNCTION pg_temp.resolve(meter int, reason text, verdict text) RETURNS void LANGUAGE sql AS $$
	SELECT prepay.resolve_review('town', pg_temp.review($1, $2), $3, 'looked at');
$$;
CREATE VIEW pg_temp.used AS
	SELECT substr(meter, 2)::int AS meter, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily GROUP BY meter;
CREATE VIEW pg_temp.reviews AS
	SELECT meter_id AS meter, reason, status, readings, kwh, verdict, note, read_at, last_read_at FROM prepay.reading_review WHERE site_id = 1 ORDER BY review_id;
CREATE VIEW pg_temp.suspect AS SELECT meter, raised_at, cleared_at FROM prepay.alarm_history WHERE kind = 'suspect';
SET prepay.now = '2026-03-02 00:00+08';

-- Accept: 500 in an hour cannot be by rated power, nor what comes after it. A person says it was: from 100 to 620.
SELECT pg_temp.read(1, 0, 100, 1, 600), pg_temp.read(1, 2, 610, 3, 620);
SELECT * FROM pg_temp.used WHERE meter = 1;
SELECT reason, readings, read_at, last_read_at, kwh FROM pg_temp.reviews WHERE meter = 1;
SELECT count(*) FROM pg_temp.suspect WHERE meter = 'M1' AND cleared_at IS NULL;
SELECT pg_temp.resolve(1, 'spike', 'accept');
SELECT * FROM pg_temp.used WHERE meter = 1;
SELECT reason, status, verdict, note FROM pg_temp.reviews WHERE meter = 1;
SELECT read_at, kwh, status FROM prepay.readings WHERE meter = 'M1' ORDER BY read_at;
SELECT count(*) FROM pg_temp.suspect WHERE meter = 'M1' AND cleared_at IS NULL;
-- Reject: none of them counts; the next good one goes on from 100.
SELECT pg_temp.read(2, 0, 100, 1, 600, 2, 610);
SELECT pg_temp.resolve(2, 'spike', 'reject');
SELECT pg_temp.read(2, 3, 103);
SELECT * FROM pg_temp.used WHERE meter = 2;
SELECT read_at, kwh, status FROM prepay.readings WHERE meter = 'M2' ORDER BY read_at;
-- Rollover: 9900 to 100 over 1 hour cannot be by rated power; a person says it was. 200, then 5.
SELECT pg_temp.read(3, 0, 9900, 1, 100, 2, 105);
SELECT reason, readings FROM pg_temp.reviews WHERE meter = 3;
SELECT pg_temp.resolve(3, 'fall', 'rollover');
SELECT * FROM pg_temp.used WHERE meter = 3;
-- Baseline: the register begins anew at 0; 7 before, 3 after.
SELECT pg_temp.read(4, 0, 500, 1, 507, 2, 0, 3, 1, 4, 3);
SELECT reason, readings FROM pg_temp.reviews WHERE meter = 4;
SELECT pg_temp.resolve(4, 'fall', 'baseline');
SELECT * FROM pg_temp.used WHERE meter = 4;
SELECT read_at, kwh, status FROM prepay.readings WHERE meter = 'M4' ORDER BY read_at;

-- What still does not fit after the verdict waits in a review of its own: 600 and 5000 are two spikes.
SELECT pg_temp.read(5, 0, 100, 1, 600, 2, 5000, 3, 610);
SELECT pg_temp.resolve(5, 'spike', 'accept');
SELECT reason, status, readings, kwh FROM pg_temp.reviews WHERE meter = 5;
SELECT read_at, kwh, status FROM prepay.readings WHERE meter = 'M5' ORDER BY read_at;
SELECT * FROM pg_temp.used WHERE meter = 5;
SELECT count(*) FROM pg_temp.suspect WHERE meter = 'M5' AND cleared_at IS NULL;
SELECT pg_temp.resolve(5, 'spike', 'reject');
SELECT count(*) FROM pg_temp.suspect WHERE meter = 'M5' AND cleared_at IS NULL;

-- Later readings that were believed speak against a verdict: 1000, 1001, a glitch, 1002.
SELECT pg_temp.read(6, 0, 1000, 1, 1001, 2, 0, 3, 1002);
SELECT pg_temp.read(7, 0, 1000, 1, 1001, 2, 5000, 3, 1002);
\set VERBOSITY terse
SELECT pg_temp.resolve(6, 'fall', 'rollover');
SELECT pg_temp.resolve(6, 'fall', 'baseline');
SELECT pg_temp.resolve(6, 'fall', 'accept');
SELECT pg_temp.resolve(7, 'spike', 'accept');
SELECT pg_temp.resolve(7, 'spike', 'rollover');
\set VERBOSITY default
SELECT * FROM pg_temp.used WHERE meter IN (6, 7) ORDER BY meter;
SELECT pg_temp.resolve(6, 'fall', 'reject'), pg_temp.resolve(7, 'spike', 'reject');
SELECT * FROM pg_temp.used WHERE meter IN (6, 7) ORDER BY meter;

-- From the future: accepted once its time has come, not before.
SELECT pg_temp.read(8, 0, 10), pg_temp.read(8, 30, 15);
\set VERBOSITY terse
SELECT pg_temp.resolve(8, 'future', 'accept');
SELECT pg_temp.resolve(8, 'future', 'baseline');
\set VERBOSITY default
SET prepay.now = '2026-03-02 06:00+08';
SELECT pg_temp.resolve(8, 'future', 'accept');
SELECT * FROM pg_temp.used WHERE meter = 8;
-- Beyond the modulus, which was wrong: with the right one it fits, as does the fall of another register.
SELECT pg_temp.read(9, 0, 9995, 1, 10001), pg_temp.read(10, 0, 995, 1, 1);
SELECT prepay.change_meter('town/M9', '{"register_max": 100000}', pg_temp.at(0)), prepay.change_meter('town/M10', '{"register_max": 1000}', pg_temp.at(0));
SELECT pg_temp.resolve(9, 'over_modulus', 'accept'), pg_temp.resolve(10, 'fall', 'accept');
SELECT * FROM pg_temp.used WHERE meter IN (9, 10) ORDER BY meter;
-- Negative values are no registers, whatever the verdict.
SELECT pg_temp.read(11, 0, 10, 1, -5, 2, 12);
\set VERBOSITY terse
SELECT pg_temp.resolve(11, 'negative', 'accept');
SELECT pg_temp.resolve(11, 'negative', 'baseline');
SELECT pg_temp.resolve(11, 'negative', 'rollover');
\set VERBOSITY default
SELECT pg_temp.resolve(11, 'negative', 'reject');
SELECT * FROM pg_temp.used WHERE meter = 11;

-- In a day that is sealed: a spike that was none, and a last value that was. 1 kWh was booked, 201 should be.
SELECT pg_temp.read(12, 0, 100, 10, 300, 24, 101);
SELECT kind, amount FROM prepay.ledger WHERE account = 'A12' AND seq > 1 ORDER BY seq;
CREATE TEMP TABLE sealed AS SELECT * FROM prepay.usage_line WHERE account_id = 12;
SELECT prepay.correct_reading('town/M12', pg_temp.at(24), 301, 'read 101 instead of 301');
SELECT pg_temp.resolve(12, 'spike', 'accept');
SELECT seq, kind, amount, day, ref_seq FROM prepay.ledger WHERE account = 'A12' AND seq > 1 ORDER BY seq;
TABLE sealed EXCEPT TABLE prepay.usage_line;
SELECT * FROM pg_temp.used WHERE meter = 12;

-- ---- correct_reading ----
-- The first, the last, one between; twice; and back: 10, 20, 30, 40 on the register.
SELECT pg_temp.read(13, 0, 10, 8, 20, 16, 30, 28, 40);
SELECT * FROM pg_temp.used WHERE meter = 13;
SELECT prepay.correct_reading('town/M13', pg_temp.at(0), 12, 'first');
SELECT * FROM pg_temp.used WHERE meter = 13;
SELECT prepay.correct_reading('town/M13', pg_temp.at(28), 45, 'last');
SELECT * FROM pg_temp.used WHERE meter = 13;
SELECT register_kwh FROM prepay.meter_status WHERE meter = 'M13';
SELECT day, sum(kwh) FROM prepay.usage_daily WHERE meter = 'M13' GROUP BY day ORDER BY day;
-- Of 30 to 45 over 12 hours 8 lie on the 1st; with 39 there, 4 of 6.
SELECT prepay.correct_reading('town/M13', pg_temp.at(16), 39, 'between');
SELECT day, sum(kwh) FROM prepay.usage_daily WHERE meter = 'M13' GROUP BY day ORDER BY day;
SELECT prepay.correct_reading('town/M13', pg_temp.at(16), 30, 'it was right'), prepay.correct_reading('town/M13', pg_temp.at(28), 40, 'it was right'),
	prepay.correct_reading('town/M13', pg_temp.at(0), 10, 'it was right');
SELECT day, sum(kwh) FROM prepay.usage_daily WHERE meter = 'M13' GROUP BY day ORDER BY day;
SELECT sum(amount) FILTER (WHERE kind = 'correction') FROM prepay.ledger WHERE account = 'A13';
SELECT read_at, kwh, corrected_kwh FROM prepay.readings WHERE meter = 'M13' ORDER BY read_at;
SELECT read_at, correction, kwh, reason FROM prepay.reading_correction WHERE meter_id = 13 ORDER BY read_at, correction;
-- A register goes on from the corrected value.
SELECT prepay.correct_reading('town/M13', pg_temp.at(28), 42, 'again');
SELECT pg_temp.read(13, 29, 44);
SELECT * FROM pg_temp.used WHERE meter = 13;
-- What waited behind it fits now: 90 was read instead of 9.
SELECT pg_temp.read(14, 0, 5, 8, 80, 9, 9, 10, 11);
SELECT reason, readings FROM pg_temp.reviews WHERE meter = 14;
SELECT prepay.correct_reading('town/M14', pg_temp.at(8), 8, 'a digit too much');
SELECT * FROM pg_temp.used WHERE meter = 14;
SELECT reason, status, verdict FROM pg_temp.reviews WHERE meter = 14;
-- A held reading is corrected: it counts, its review is done. One that began the register anew still does.
SELECT pg_temp.read(15, 0, 100, 1, -5, 2, 102);
SELECT prepay.correct_reading('town/M15', pg_temp.at(1), 101, 'sign');
SELECT status FROM pg_temp.reviews WHERE meter = 15;
SELECT prepay.correct_reading('town/M4', pg_temp.at(2), 0.5, 'began at 0.5');
SELECT * FROM pg_temp.used WHERE meter IN (4, 15) ORDER BY meter;
-- Reviews of other things stay open: a second value for a moment, a number that is none.
SELECT stored, filed FROM prepay.ingest('town/gw', '00000000-0000-0000-0000-000000000001', 1, '{16,16,16,99}',
	ARRAY[pg_temp.at(0), pg_temp.at(0), pg_temp.at(1), pg_temp.at(1)], '{10,11,NaN,5}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}',
	'{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}', '{NULL,NULL,NULL,NULL}');
SELECT pg_temp.read(16, 2, 900, 3, 12);
SELECT pg_temp.resolve(16, 'spike', 'reject');
SELECT prepay.correct_reading('town/M16', pg_temp.at(0), 9, 'the other value was right, nearly');
SELECT meter, reason, status FROM pg_temp.reviews WHERE meter IN (16, 99);
SELECT * FROM pg_temp.used WHERE meter = 16;
\set VERBOSITY terse
SELECT pg_temp.resolve(16, 'conflict', 'accept');
SELECT pg_temp.resolve(16, 'conflict', 'baseline');
SELECT pg_temp.resolve(99, 'unknown_meter', 'accept');
SELECT pg_temp.resolve(99, 'unknown_meter', 'rollover');
\set VERBOSITY default
SELECT pg_temp.resolve(16, 'conflict', 'reject'), pg_temp.resolve(16, 'bad_value', 'reject'), pg_temp.resolve(99, 'unknown_meter', 'reject');
SELECT count(*) FROM pg_temp.reviews WHERE meter IN (16, 99) AND status = 'open';
SELECT count(*) FROM pg_temp.suspect WHERE meter = 'M16' AND cleared_at IS NULL;
-- A meter without account has its readings judged just so.
SELECT pg_temp.read(17, 0, 100, 1, 600, 2, 610);
SELECT pg_temp.resolve(17, 'spike', 'accept');
SELECT register_kwh FROM prepay.meter_status WHERE meter = 'M17';
SELECT prepay.correct_reading('town/M17', pg_temp.at(2), 605, 'wrong');
SELECT register_kwh FROM prepay.meter_status WHERE meter = 'M17';
-- Without rated power nothing is a spike and no fall is a rollover, however near the end of the register.
UPDATE prepay.meter SET rated_kw = NULL WHERE code = 'M20';
SELECT pg_temp.read(20, 0, 10, 1, 9999, 2, 1);
SELECT * FROM pg_temp.used WHERE meter = 20;
SELECT reason, readings FROM pg_temp.reviews WHERE meter = 20;
SELECT pg_temp.resolve(20, 'fall', 'rollover');
SELECT * FROM pg_temp.used WHERE meter = 20;
-- One that waits for a tariff waits on: no verdict gives it a price.
SELECT prepay.open_account('mall/A1', 'Customer', meters => '{mall/N1}');
SET prepay.now = '2026-03-02 08:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (2, 1, pg_temp.at(30), 0), (2, 1, pg_temp.at(31), 5);
SELECT reason, status FROM prepay.reading_review WHERE site_id = 2;
\set VERBOSITY terse
SELECT prepay.resolve_review('mall', review_id, 'accept') FROM prepay.reading_review WHERE site_id = 2;
SELECT prepay.resolve_review('mall', review_id, 'reject') FROM prepay.reading_review WHERE site_id = 2;

-- Refused: resolved before, another site's, no such review, verdict or value.
SELECT pg_temp.read(18, 0, 100, 1, 600);
SELECT prepay.resolve_review('mall', pg_temp.review(18, 'spike'), 'reject');
SELECT prepay.resolve_review('nowhere', pg_temp.review(18, 'spike'), 'reject');
SELECT prepay.resolve_review(NULL, pg_temp.review(18, 'spike'), 'reject');
SELECT prepay.resolve_review('town', pg_temp.review(18, 'spike'), 'maybe');
SELECT prepay.resolve_review('town', pg_temp.review(18, 'spike'), NULL);
SELECT prepay.resolve_review('town', NULL, 'reject');
SELECT prepay.resolve_review('town', 999999, 'reject');
SELECT review_id AS spike FROM prepay.reading_review WHERE site_id = 1 AND meter_id = 18 \gset
SELECT prepay.resolve_review('town', :spike, 'reject');
SELECT prepay.resolve_review('town', :spike, 'reject');
SELECT prepay.resolve_review('town', :spike, 'accept');
SELECT pg_temp.read(19, 0, 100, 4, 104, 8, 108);
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), 99, 'falls');
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), 109, 'makes the next one fall');
SELECT prepay.correct_reading('town/M19', pg_temp.at(8), 900, 'cannot be');
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), -1, 'negative');
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), 10000, 'beyond');
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), 'NaN', 'none');
SELECT prepay.correct_reading('town/M19', pg_temp.at(5), 105, 'no reading there');
SELECT prepay.correct_reading('town/M19', 'infinity', 105, 'no time');
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), 105, NULL);
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), 105, '');
SELECT prepay.correct_reading('town/M19', pg_temp.at(4), NULL, 'nothing');
SELECT prepay.correct_reading('town/nothing', pg_temp.at(4), 105, 'no meter');
SELECT count(*) FROM prepay.reading_correction WHERE meter_id = 19;
SELECT * FROM pg_temp.used WHERE meter = 19;
SELECT * FROM prepay.verify();
