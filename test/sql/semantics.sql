-- Cases of the field worked out by hand: each goes through tables and functions, and every figure is compared with
-- what it must be. The concurrent sale and charge is an isolation test (vend_and_charge).
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-05-31 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
CREATE TEMP TABLE figure (id text, what text, got text, want text);
CREATE FUNCTION pg_temp.is(id text, what text, got anycompatible, want anycompatible) RETURNS void LANGUAGE sql AS $$
	INSERT INTO figure VALUES ($1, $2, CASE WHEN $3 = $4 THEN $4::text ELSE $3::text END, $4::text);
$$;

-- One account and one meter a case, called by its id; the case's readings are all of one statement.
CREATE FUNCTION pg_temp.begin_case(id text, tariff text, tier_start numeric DEFAULT 0, register_max numeric DEFAULT NULL, rated_kw numeric DEFAULT NULL) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.meter (site_id, code, register_max, rated_kw) VALUES (1, 'M ' || $1, $4, $5);
	SELECT prepay.open_account('town/' || $1, 'Customer', meters => ARRAY['town/M ' || $1], tariff => $2, opening_balance => 1000, key => $1,
		options => jsonb_build_object('tier_start', $3));
$$;
CREATE FUNCTION pg_temp.read(id text, VARIADIC time_kwh text[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
	SELECT 1, m.meter_id, time_kwh[2 * i - 1]::timestamptz, time_kwh[2 * i]::numeric
	FROM prepay.meter m, generate_series(1, cardinality(time_kwh) / 2) AS i WHERE m.site_id = 1 AND m.code = 'M ' || $1;
$$;
CREATE FUNCTION pg_temp.kwh(id text, period text DEFAULT NULL) RETURNS numeric LANGUAGE sql AS $$
	SELECT COALESCE(sum(kwh), 0) FROM prepay.usage_daily u WHERE u.account = $1 AND ($2 IS NULL OR u.period = $2);
$$;
CREATE FUNCTION pg_temp.charge(id text) RETURNS numeric LANGUAGE sql AS $$
	SELECT COALESCE(sum(amount), 0) FROM prepay.usage_daily u WHERE u.account = $1;
$$;
CREATE FUNCTION pg_temp.explained(id text) RETURNS numeric LANGUAGE sql AS $$
	SELECT COALESCE(sum(amount), 0) FROM prepay.explain('town/' || $1, '2026-05-31 00:00+08', '2026-06-09 00:00+08');
$$;

SELECT prepay.define_tariff('zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}], "tiers": {"accumulate": "year", "upto": [2760, 4800]},
	"prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.define_tariff('sh-' || allocation, jsonb_set('{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}], "tiers": {"accumulate": "year", "upto": [3120]},
	"prices": {"peak": [0.617, 0.677], "valley": [0.307, 0.337]}}', '{tiers,allocation}', to_jsonb(allocation)))
FROM unnest('{chronological,proportional}'::text[]) AS allocation;
SELECT prepay.define_tariff('rise', '{"prices": 0.50}'), prepay.define_tariff('rise', '{"prices": 0.60}', '2026-06-01 00:00+08');
SELECT prepay.define_tariff('one', '{"prices": 1}'), prepay.define_tariff('p538', '{"prices": 0.538}'), prepay.define_tariff('p0538', '{"prices": 0.0538}');

SELECT pg_temp.begin_case(id, 'zj', start) FROM (VALUES ('split-30min-at-08.00', 0), ('split-40min-at-22.00', 0), ('tier-cross', 2759.9),
	('tier-and-tou-cross', 4799.5), ('gap', 0)) AS v (id, start);
SELECT pg_temp.begin_case('nonadditive chronological', 'sh-chronological', 3119.8), pg_temp.begin_case('nonadditive proportional', 'sh-proportional');
SELECT pg_temp.begin_case('price-change-mid-interval', 'rise');
SELECT pg_temp.begin_case('rollover', 'one', 0, 1000000, 60), pg_temp.begin_case('rollover-vs-reset', 'one', 0, 1000000, 60), pg_temp.begin_case('meter-replacement', 'one');
SELECT pg_temp.begin_case('rounding-carry-3', 'p0538'), pg_temp.begin_case('rounding-carry-1000', 'p538'), pg_temp.begin_case('idempotent', 'one');

-- An edge within an interval shares its energy by time.
SET prepay.now = '2026-06-01 12:00+08';
SELECT pg_temp.read('split-30min-at-08.00', '2026-05-31 07:45+08', '100', '2026-05-31 08:15+08', '100.6');
SELECT pg_temp.is(id, 'valley_kwh', pg_temp.kwh(id, 'valley'), 0.300), pg_temp.is(id, 'peak_kwh', pg_temp.kwh(id, 'peak'), 0.300),
	pg_temp.is(id, 'charge', pg_temp.charge(id), 0.2568), pg_temp.is(id, 'explain', pg_temp.explained(id), 0.2568) FROM (VALUES ('split-30min-at-08.00')) AS v (id);
SELECT pg_temp.read('split-40min-at-22.00', '2026-05-31 21:40+08', '5', '2026-05-31 22:20+08', '6');
SELECT pg_temp.is('split-40min-at-22.00', 'charge', pg_temp.charge('split-40min-at-22.00'), 0.428);

-- Tiers, and tiers with time of use; the two ways to share a bound among the periods.
SELECT pg_temp.read('tier-cross', '2026-05-31 10:00+08', '0', '2026-05-31 10:30+08', '0.5');
SELECT pg_temp.is('tier-cross', 'charge', pg_temp.charge('tier-cross'), 0.304), pg_temp.is('tier-cross', 'explain', pg_temp.explained('tier-cross'), 0.304);
SELECT pg_temp.read('tier-and-tou-cross', '2026-05-31 21:30+08', '0', '2026-05-31 22:30+08', '1.2');
SELECT pg_temp.is('tier-and-tou-cross', 'charge', pg_temp.charge('tier-and-tou-cross'), 0.7486),
	pg_temp.is('tier-and-tou-cross', 'explain', pg_temp.explained('tier-and-tou-cross'), 0.7486);
-- The 3119.8 kWh before were half of peak, half of valley: 1559.9 x 0.617 + 1559.9 x 0.307 = 1441.3476.
SELECT pg_temp.read('nonadditive chronological', '2026-05-31 21:30+08', '0', '2026-05-31 22:30+08', '0.4'),
	pg_temp.read('nonadditive proportional', '2026-05-31 06:30+08', '0', '2026-05-31 09:30+08', '3119.8', '2026-05-31 21:30+08', '3119.8', '2026-05-31 22:30+08', '3120.2');
SELECT pg_temp.is('tier-and-tou-cross-nonadditive', 'charge_chronological', pg_temp.charge('nonadditive chronological'), 0.1908),
	pg_temp.is('tier-and-tou-cross-nonadditive', 'charge_proportional', pg_temp.charge('nonadditive proportional') - 1441.3476, 0.1938);

-- A version that begins within an interval.
SELECT pg_temp.read('price-change-mid-interval', '2026-05-31 23:45+08', '7', '2026-06-01 00:15+08', '7.3');
SELECT pg_temp.is('price-change-mid-interval', 'charge', pg_temp.charge('price-change-mid-interval'), 0.165);

-- The register: over its end, reset, replaced.
SELECT pg_temp.read('rollover', '2026-05-31 10:00+08', '999999.70', '2026-05-31 10:30+08', '0.30');
SELECT pg_temp.is('rollover', 'kwh', pg_temp.kwh('rollover'), 0.60);
SELECT pg_temp.read('rollover-vs-reset', '2026-05-31 10:00+08', '500000.00', '2026-05-31 10:30+08', '0.30');
SELECT pg_temp.is('rollover-vs-reset', 'accept', EXISTS (SELECT FROM prepay.readings WHERE meter = 'M rollover-vs-reset' AND kwh = 0.30 AND status = 'accepted'), false),
	pg_temp.is('rollover-vs-reset', 'status', (SELECT string_agg(kind, ',') FROM prepay.alarm_active WHERE meter = 'M rollover-vs-reset'), 'suspect'),
	pg_temp.is('rollover-vs-reset', 'kwh', pg_temp.kwh('rollover-vs-reset'), 0);
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M new');
SELECT pg_temp.read('meter-replacement', '2026-05-31 10:00+08', '12340.00');
SELECT prepay.replace_meter('M meter-replacement', 'M new', 12345.67, 3.21);
SET prepay.now = '2026-06-01 13:00+08';
SELECT pg_temp.read('new', '2026-06-01 13:00+08', '4.00');
SELECT pg_temp.is('meter-replacement', 'kwh', pg_temp.kwh('meter-replacement'), 6.46);

-- A gap is charged on arrival and marked; what really was settles it by one linked entry, the first stays.
SELECT pg_temp.read('gap', '2026-05-31 06:00+08', '100.00', '2026-05-31 10:00+08', '108.00');
SELECT pg_temp.is('gap-estimate', 'valley_kwh', pg_temp.kwh('gap', 'valley'), 4), pg_temp.is('gap-estimate', 'peak_kwh', pg_temp.kwh('gap', 'peak'), 4),
	pg_temp.is('gap-estimate', 'charge', pg_temp.charge('gap'), 3.424),
	pg_temp.is('gap-estimate', 'quality', (SELECT sum(estimated_kwh) FROM prepay.usage_daily WHERE account = 'gap'), 8);
SELECT pg_temp.read('gap', '2026-06-01 00:00+08', '108.00');
CREATE TEMP TABLE entries AS SELECT * FROM prepay.ledger_entry WHERE account_id = (SELECT account_id FROM prepay.account WHERE code = 'gap');
CREATE TEMP TABLE lines AS SELECT * FROM prepay.usage_line WHERE account_id = (SELECT account_id FROM prepay.account WHERE code = 'gap');
SELECT pg_temp.read('gap', '2026-05-31 08:00+08', '103.00');
SELECT pg_temp.is('gap-true-up', 'correct_charge', pg_temp.charge('gap'), 3.704),
	pg_temp.is('gap-true-up', 'adjustment', (SELECT -sum(amount) FROM prepay.ledger WHERE account = 'gap' AND kind = 'correction'), 0.28),
	pg_temp.is('gap-true-up', 'entries', (SELECT count(*) FROM prepay.ledger WHERE account = 'gap' AND kind = 'correction'), 1::bigint),
	pg_temp.is('gap-true-up', 'linked to', (SELECT f.kind FROM prepay.ledger e JOIN prepay.ledger f ON f.account = e.account AND f.seq = e.ref_seq
		WHERE e.account = 'gap' AND e.kind = 'correction'), 'consumption'),
	pg_temp.is('gap-true-up', 'original entries touched', (SELECT count(*) FROM (TABLE entries EXCEPT TABLE prepay.ledger_entry) AS x), 0::bigint),
	pg_temp.is('gap-true-up', 'original lines touched', (SELECT count(*) FROM (TABLE lines EXCEPT TABLE prepay.usage_line) AS x), 0::bigint);

-- Rounding is of the running total: three days of 0.0179154, booked one by one, and 1000 readings of 0.000538.
SET prepay.now = '2026-06-05 12:00+08';
SELECT pg_temp.read('rounding-carry-3', '2026-05-31 00:00+08', '0', '2026-06-01 00:00+08', '0.333', '2026-06-02 00:00+08', '0.666', '2026-06-03 00:00+08', '0.999');
SELECT pg_temp.is('rounding-carry-3', 'posted', (SELECT string_agg((-amount)::text, ' ' ORDER BY seq) FROM prepay.ledger WHERE account = 'rounding-carry-3' AND kind = 'consumption'), '0.02 0.02 0.01'),
	pg_temp.is('rounding-carry-3', 'sum', (SELECT 1000 - balance FROM prepay.account_status WHERE account = 'rounding-carry-3'), 0.05);
DO $$
BEGIN
	FOR n IN 0 .. 1000 LOOP
		PERFORM pg_temp.read('rounding-carry-1000', (timestamptz '2026-06-01 00:00+08' + n * interval '1 minute')::text, (n * 0.001)::text);
	END LOOP;
END $$;
SELECT pg_temp.is('rounding-carry-1000', 'charge', pg_temp.charge('rounding-carry-1000'), 0.538),
	pg_temp.is('rounding-carry-1000', 'sum', (SELECT 1000 - balance FROM prepay.account_status WHERE account = 'rounding-carry-1000'), 0.54);

-- A moment's reading sent twice charges once; another value for it is a conflict a person has to look at.
SELECT prepay.create_agent('gw');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G', 'gw');
UPDATE prepay.meter SET gateway_id = 1, unit_id = 1 WHERE code = 'M idempotent';
CREATE FUNCTION pg_temp.ingest(seq bigint, at timestamptz, kwh numeric) RETURNS prepay.ingest_result LANGUAGE sql AS $$
	SELECT prepay.ingest('town/gw', '00000000-0000-0000-0000-000000000001', $1, ARRAY[(SELECT meter_id FROM prepay.meter WHERE code = 'M idempotent')],
		ARRAY[$2], ARRAY[$3], '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}', '{NULL}');
$$;
SELECT stored FROM pg_temp.ingest(1, '2026-06-01 00:00Z', 10);
SELECT pg_temp.is('idempotent-same', 'first answer', stored, 1) FROM pg_temp.ingest(2, '2026-06-01 00:30Z', 10.5);
SELECT pg_temp.is('idempotent-same', 'second answer, batch', repeated, true), pg_temp.is('idempotent-same', 'stored again', stored, 0) FROM pg_temp.ingest(2, '2026-06-01 00:30Z', 10.5);
SELECT pg_temp.is('idempotent-same', 'second answer, other batch', ARRAY[stored, filed], '{0,0}') FROM pg_temp.ingest(3, '2026-06-01 00:30Z', 10.5);
SELECT pg_temp.is('idempotent-same', 'charges', pg_temp.charge('idempotent'), 0.5);
SELECT pg_temp.is('idempotent-different', 'second answer', ARRAY[stored, filed], '{0,1}') FROM pg_temp.ingest(4, '2026-06-01 00:30Z', 10.7);
SELECT pg_temp.is('idempotent-different', 'conflict', (SELECT string_agg(reason, ',') FROM prepay.reading_review JOIN prepay.meter USING (site_id, meter_id)
		WHERE code = 'M idempotent'), 'conflict'),
	pg_temp.is('idempotent-different', 'charges', pg_temp.charge('idempotent'), 0.5);
-- By INSERT both are refused with their statement.
\set VERBOSITY terse
SELECT pg_temp.read('idempotent', '2026-06-01 00:30Z', '10.5');
SELECT pg_temp.read('idempotent', '2026-06-01 00:30Z', '10.7');
\set VERBOSITY default
-- The explicit correction the conflict asks for.
SELECT prepay.correct_reading('M idempotent', '2026-06-01 00:30Z', 10.7, 'the second value was right');
SELECT pg_temp.is('idempotent-different', 'after correction', pg_temp.charge('idempotent'), 0.7);

-- One alarm a crossing, re-armed above the clear level; one relay command a crossing, when it is due.
SELECT prepay.set_setting('town', 'alarm1_amount', '20'), prepay.set_setting('town', 'alarm_margin', '5');
CREATE FUNCTION pg_temp.balance(id text, step int, wanted numeric) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
	now_ numeric := (SELECT balance FROM prepay.account_status a WHERE a.account = id);
	at timestamptz := timestamptz '2026-06-06 00:00+08' + step * interval '1 hour';
BEGIN
	PERFORM set_config('prepay.now', at::text, false);
	IF wanted > now_ THEN
		PERFORM prepay.sell(id, wanted - now_, id || step);
	ELSE
		PERFORM pg_temp.read(id, at::text, (SELECT (r.kwh + now_ - wanted)::text FROM prepay.readings r WHERE r.meter = 'M ' || id ORDER BY r.read_at DESC LIMIT 1));
	END IF;
	RETURN (SELECT balance FROM prepay.account_status a WHERE a.account = id);
END $$;
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) VALUES (1, 'M alarm', 1, 2, 'acrel-ddsy1352'), (1, 'M relay', 1, 3, 'acrel-ddsy1352');
SELECT prepay.open_account(code, 'Customer', meters => ARRAY['M ' || code], tariff => 'one', opening_balance => balance, key => code) IS NOT NULL
FROM (VALUES ('alarm', 30), ('relay', 0.10)) AS v (code, balance);
SELECT pg_temp.read('alarm', '2026-06-05 12:00+08', '0'), pg_temp.read('relay', '2026-06-05 12:00+08', '0');
CREATE TEMP TABLE step AS SELECT n, pg_temp.balance('alarm', n::int, wanted) AS balance,
	(SELECT count(*) FROM prepay.alarm_history WHERE account = 'alarm' AND kind = 'alarm1') AS alarms FROM unnest('{30,19,21,19,26,18}'::numeric[]) WITH ORDINALITY AS u (wanted, n);
SELECT pg_temp.is('alarm-hysteresis', 'balances', array_agg(balance ORDER BY n), '{30,19,21,19,26,18}') FROM step;
SELECT pg_temp.is('alarm-hysteresis', 'alarms_at', array_agg(extract(hour FROM raised_at)::int ORDER BY raised_at), '{2,6}') FROM prepay.alarm_history WHERE account = 'alarm' AND kind = 'alarm1';
SELECT pg_temp.is('disconnect-reconnect', '0.10', (SELECT count(*) FROM prepay.command JOIN prepay.meter USING (site_id, meter_id) WHERE code = 'M relay'), 0::bigint);
SELECT pg_temp.balance('relay', 7, -0.05);
SELECT action, status FROM prepay.command JOIN prepay.meter USING (site_id, meter_id) WHERE code = 'M relay';
SELECT action, attempt FROM prepay.take_commands('gw');
SELECT prepay.report_command('gw', command_id, 1, 'done', '{"relay_closed": false}') FROM prepay.command WHERE status = 'sent';
SELECT pg_temp.balance('relay', 9, 5.00);
SELECT action, attempt FROM prepay.take_commands('gw');
SELECT prepay.report_command('gw', command_id, 1, 'done', '{"relay_closed": true}') FROM prepay.command WHERE status = 'sent';
SELECT pg_temp.balance('relay', 10, 4.00);
SELECT pg_temp.is('disconnect-reconnect', 'actions', (SELECT string_agg(action || ' ' || status, ', ' ORDER BY command_id)
	FROM prepay.command JOIN prepay.meter USING (site_id, meter_id) WHERE code = 'M relay'), 'trip done, close done');

-- Hours that do not exist and hours that come twice: one reading a real hour, 1 kWh each.
SET timezone = 'America/Los_Angeles';
SELECT prepay.create_site('coast', 'Coast', 'America/Los_Angeles', 'USD');
SELECT prepay.define_tariff('coast/tou', '{"periods": ["offpeak", "rest"], "schedule": [{"slots": [["00:00", "offpeak"], ["06:00", "rest"]]}], "prices": {"offpeak": 0.1, "rest": 0.3}}');
SELECT prepay.assign_tariff('coast', 'tou');
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'spring'), (2, 'autumn');
SELECT prepay.open_account('coast/' || code, 'Customer') IS NOT NULL FROM unnest('{dst-spring-LA,dst-autumn-LA}'::text[]) AS code;
SELECT prepay.add_meter('coast/dst-spring-LA', 'coast/spring', 0, '2019-03-10 00:00'), prepay.add_meter('coast/dst-autumn-LA', 'coast/autumn', 0, '2019-11-03 00:00');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 2, 1, at, row_number() OVER (ORDER BY at) FROM generate_series(timestamptz '2019-03-10 01:00', '2019-03-11 00:00', '1 hour') AS at;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 2, 2, at, row_number() OVER (ORDER BY at) FROM generate_series(timestamptz '2019-11-03 00:00' + interval '1 hour', '2019-11-04 00:00', '1 hour') AS at;
SELECT pg_temp.is(id, 'intervals', (SELECT count(*) FROM prepay.readings WHERE meter = code) - 1, intervals),
	pg_temp.is(id, 'offpeak_kwh', pg_temp.kwh(id, 'offpeak'), offpeak), pg_temp.is(id, 'rest_kwh', pg_temp.kwh(id, 'rest'), 18)
FROM (VALUES ('dst-spring-LA', 'spring', 23::bigint, 5), ('dst-autumn-LA', 'autumn', 25, 7)) AS v (id, code, intervals, offpeak);

SELECT id, what, got, want FROM figure WHERE got IS DISTINCT FROM want;
SELECT id, count(*) AS figures FROM figure GROUP BY id ORDER BY id COLLATE "C";
SELECT * FROM prepay.verify();
