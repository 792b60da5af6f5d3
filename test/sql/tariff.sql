-- define_tariff(): what is accepted, and what is refused with the path of the fault.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-01-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');

-- What a definition is answered with: SQLSTATE and path, and whether there is a hint.
CREATE FUNCTION pg_temp.fault(definition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	detail text;
	message text;
	hint text;
BEGIN
	PERFORM prepay.define_tariff('draft', definition::jsonb);
	RAISE EXCEPTION USING ERRCODE = 'P0000', MESSAGE = 'accepted';
EXCEPTION
	WHEN SQLSTATE 'P0000' THEN
		RETURN 'accepted';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
			hint = PG_EXCEPTION_HINT;
		RETURN concat_ws(' | ', SQLSTATE, message, nullif(detail, ''),
			CASE WHEN hint = '' THEN 'NO HINT' END);
END $$;

\pset format unaligned
-- Good ones.
SELECT what, pg_temp.fault(definition) FROM (VALUES
	('bare price', '{"prices": 0.6}'),
	('free', '{"prices": 0}'),
	('negative price', '{"prices": -0.05}'),
	('six decimals', '{"prices": 0.123456}'),
	('tiers', '{"tiers": {"upto": [100, 200]}, "prices": [0.5, 0.6, 0.9]}'),
	('tier bounds by season', '{"seasons": [{"name": "summer", "from": "07-01", "to": "09-01"},
		{"name": "other", "from": "09-01", "to": "07-01"}],
		"tiers": {"upto": {"summer": [300], "other": [200]}}, "prices": [0.5, 0.6]}'),
	('one price for all tiers', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"],
		["12:00", "b"]]}], "tiers": {"upto": [100]}, "prices": {"a": 0.5, "b": [0.1, 0.2]}}'),
	('weekend', '{"periods": ["a", "b"], "day_types": [{"name": "weekend", "days": [6, 7]}],
		"schedule": [{"day_type": "weekend", "slots": [["00:00", "a"]]}, {"slots": [["00:00", "b"]]}],
		"prices": {"a": 0.5, "b": 0.6}}'),
	('everything', '{"periods": ["peak", "valley"],
		"seasons": [{"name": "summer", "from": "07-01", "to": "09-01"}, {"name": "other", "from": "09-01", "to": "07-01"}],
		"calendar": "CN", "day_types": [{"name": "weekend", "days": [6, 7]}],
		"schedule": [{"season": "summer", "day_type": "workday", "slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]},
			{"day_type": "holiday", "slots": [["00:00", "valley"]]}, {"slots": [["00:00", "valley"]]}],
		"tiers": {"accumulate": "year", "anchor": "01-01", "upto": [2760, 4800], "allocation": "chronological"},
		"prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]},
		"standing": [{"name": "service", "amount": 0.50, "per": "day", "while_off": true}],
		"surcharges": [{"name": "fund", "per_kwh": 0.02}, {"name": "vat", "percent": 13, "on": ["energy", "standing", "fund"]}]}')
	) AS v (what, definition);

-- Bad ones: nothing of them stays.
SELECT what, pg_temp.fault(definition) FROM (VALUES
	('not an object', '[]'),
	('empty', '{}'),
	('prices null', '{"prices": null}'),
	('number as text', '{"prices": "0.6"}'),
	('seven decimals', '{"prices": 0.1234567}'),
	('too large', '{"prices": 10000000}'),
	('huge exponent', '{"prices": 1e400}'),
	('unknown key', '{"prices": 0.6, "price": 0.7}'),
	('unknown key below', '{"tiers": {"upto": [100], "up_to": [5]}, "prices": [0.5, 0.6]}'),
	('period without price', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["12:00", "b"]]}],
		"prices": {"a": 0.5}}'),
	('price without period', '{"periods": ["a"], "schedule": [{"slots": [["00:00", "a"]]}],
		"prices": {"a": 0.5, "b": 0.6}}'),
	('period named twice', '{"periods": ["a", "a"], "schedule": [{"slots": [["00:00", "a"]]}], "prices": {"a": 0.5}}'),
	('two periods, no schedule', '{"periods": ["a", "b"], "prices": {"a": 0.5, "b": 0.6}}'),
	('no periods', '{"periods": [], "prices": 0.5}'),
	('too few tier prices', '{"tiers": {"upto": [100, 200]}, "prices": [0.5, 0.6]}'),
	('too many tier prices', '{"tiers": {"upto": [100]}, "prices": [0.5, 0.6, 0.7]}'),
	('falling bounds', '{"tiers": {"upto": [200, 100]}, "prices": [0.5, 0.6, 0.9]}'),
	('equal bounds', '{"tiers": {"upto": [100, 100]}, "prices": [0.5, 0.6, 0.9]}'),
	('bound 0', '{"tiers": {"upto": [0]}, "prices": [0.5, 0.6]}'),
	('bound with 4 decimals', '{"tiers": {"upto": [100.0001]}, "prices": [0.5, 0.6]}'),
	('accumulation unknown', '{"tiers": {"accumulate": "week", "upto": [100]}, "prices": [0.5, 0.6]}'),
	('anchor impossible', '{"tiers": {"anchor": "02-30", "upto": [100]}, "prices": [0.5, 0.6]}'),
	('allocation unknown', '{"tiers": {"allocation": "random", "upto": [100]}, "prices": [0.5, 0.6]}'),
	('slots begin late', '{"periods": ["a"], "schedule": [{"slots": [["01:00", "a"]]}], "prices": {"a": 0.5}}'),
	('slots not ascending', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["12:00", "b"],
		["12:00", "a"]]}], "prices": {"a": 0.5, "b": 0.6}}'),
	('no such hour', '{"periods": ["a"], "schedule": [{"slots": [["00:00", "a"], ["24:00", "a"]]}], "prices": {"a": 0.5}}'),
	('slot of unknown period', '{"periods": ["a"], "schedule": [{"slots": [["00:00", "b"]]}], "prices": {"a": 0.5}}'),
	('no slots', '{"periods": ["a"], "schedule": [{"slots": []}], "prices": {"a": 0.5}}'),
	('two rows alike', '{"periods": ["a"], "schedule": [{"slots": [["00:00", "a"]]}, {"slots": [["00:00", "a"]]}],
		"prices": {"a": 0.5}}'),
	('season without row', '{"periods": ["a"], "seasons": [{"name": "s", "from": "01-01", "to": "07-01"},
		{"name": "t", "from": "07-01", "to": "01-01"}], "schedule": [{"season": "s", "slots": [["00:00", "a"]]}],
		"prices": {"a": 0.5}}'),
	('day type without row', '{"periods": ["a"], "day_types": [{"name": "weekend", "days": [6, 7]}],
		"schedule": [{"day_type": "weekend", "slots": [["00:00", "a"]]}], "prices": {"a": 0.5}}'),
	('unknown season', '{"periods": ["a"], "schedule": [{"season": "s", "slots": [["00:00", "a"]]}], "prices": {"a": 0.5}}'),
	('unknown day type', '{"periods": ["a"], "schedule": [{"day_type": "fair", "slots": [["00:00", "a"]]},
		{"slots": [["00:00", "a"]]}], "prices": {"a": 0.5}}'),
	('gap between seasons', '{"seasons": [{"name": "s", "from": "01-01", "to": "06-30"},
		{"name": "t", "from": "07-01", "to": "01-01"}], "prices": 0.5}'),
	('seasons overlap', '{"seasons": [{"name": "s", "from": "01-01", "to": "07-02"},
		{"name": "t", "from": "07-01", "to": "01-01"}], "prices": 0.5}'),
	('gap on 29 February', '{"seasons": [{"name": "s", "from": "03-01", "to": "02-29"}], "prices": 0.5}'),
	('weekday 8', '{"periods": ["a"], "day_types": [{"name": "w", "days": [8]}], "schedule": [{"slots": [["00:00", "a"]]}],
		"prices": {"a": 0.5}}'),
	('standing as text', '{"prices": 0.5, "standing": [{"name": "s", "amount": "1", "per": "day"}]}'),
	('standing per week', '{"prices": 0.5, "standing": [{"name": "s", "amount": 1, "per": "week"}]}'),
	('percent with 5 decimals', '{"prices": 0.5, "surcharges": [{"name": "v", "percent": 1.23456, "on": ["energy"]}]}'),
	('surcharge on itself', '{"prices": 0.5, "surcharges": [{"name": "v", "percent": 1, "on": ["v"]}]}'),
	('surcharge on a later one', '{"prices": 0.5, "surcharges": [{"name": "v", "percent": 1, "on": ["w"]},
		{"name": "w", "per_kwh": 0.1}]}'),
	('two names alike', '{"prices": 0.5, "surcharges": [{"name": "v", "per_kwh": 1}, {"name": "v", "per_kwh": 2}]}'),
	('per kWh and percent', '{"prices": 0.5, "surcharges": [{"name": "v", "per_kwh": 1, "percent": 2}]}'),
	('deep nesting', '{"prices": ' || repeat('[', 500) || repeat(']', 500) || '}'),
	('many periods', '{"periods": ' || (SELECT jsonb_agg('p' || n) FROM generate_series(1, 1000) AS n)::text || ', "prices": 1}')
	) AS v (what, definition);
-- Size: whatever is handed in is judged in a moment.
SET statement_timeout = '5s';
CREATE FUNCTION pg_temp.slots(n int, minutes int, period text DEFAULT 'b') RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_array(to_char(time '00:00' + i * minutes * interval '1 minute', 'HH24:MI'), CASE i % 2 WHEN 0 THEN 'a' ELSE period END) ORDER BY i)
	FROM generate_series(0, n - 1) AS i $$;
CREATE FUNCTION pg_temp.seasons(n int) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg(jsonb_build_object('name', 's' || i, 'from', to_char(date '2000-01-01' + 30 * i, 'MM-DD'), 'to', to_char(date '2000-01-01' + 30 * (i + 1) % (30 * n), 'MM-DD')) ORDER BY i)
	FROM generate_series(0, n - 1) AS i $$;
SELECT what, left(pg_temp.fault(definition::text), 300) FROM (VALUES
	('10 000 slots in 40 rows', jsonb_build_object('periods', '["a", "b"]'::jsonb, 'prices', '{"a": 1, "b": 2}'::jsonb, 'calendar', 'CN', 'seasons', pg_temp.seasons(12),
		'schedule', '[{"slots": [["00:00", "a"]]}]' || (SELECT jsonb_agg(jsonb_build_object('season', 's' || i % 12, 'day_type', 'd' || i / 12, 'slots', pg_temp.slots(250, 5))) FROM generate_series(0, 39) AS i))),
	('10 000 slots in a row', jsonb_build_object('periods', '["a", "b"]'::jsonb, 'prices', '{"a": 1, "b": 2}'::jsonb, 'schedule', jsonb_build_array(jsonb_build_object('slots', pg_temp.slots(10000, 1))))),
	('257 slots', jsonb_build_object('periods', '["a", "b"]'::jsonb, 'prices', '{"a": 1, "b": 2}'::jsonb, 'schedule', jsonb_build_array(jsonb_build_object('slots', pg_temp.slots(257, 5))))),
	('10 000 rows', jsonb_build_object('prices', 1, 'schedule', (SELECT jsonb_agg('{"slots": [["00:00", "all"]]}'::jsonb) FROM generate_series(1, 10000)))),
	('10 000 prices', jsonb_build_object('prices', (SELECT jsonb_agg(i) FROM generate_series(1, 10000) AS i))),
	('10 000 prices by name', jsonb_build_object('prices', (SELECT jsonb_object_agg('p' || i, i) FROM generate_series(1, 10000) AS i))),
	('10 000 unknown keys', (SELECT jsonb_object_agg('k' || i, i) FROM generate_series(1, 10000) AS i)),
	('10 000 surcharges', jsonb_build_object('prices', 1, 'surcharges', (SELECT jsonb_agg(jsonb_build_object('name', 's' || i, 'per_kwh', i)) FROM generate_series(1, 10000) AS i))),
	('1 MB of text', jsonb_build_object('prices', 1, 'notes', jsonb_build_array(repeat('x', 1024 * 1024)))),
	('just below', jsonb_build_object('prices', 1, 'notes', jsonb_build_array(repeat('x', 1024 * 1024 - 100)))),
	('long name of a key', jsonb_build_object(repeat('电', 1000), 1)),
	('NaN', jsonb_build_object('prices', 'NaN'::numeric)),
	('infinity', jsonb_build_object('prices', ARRAY['Infinity'::float8])),
	('vanishing', '{"prices": 1e-400}'::jsonb)
	) AS v (what, definition);
RESET statement_timeout;

-- Edges of the calendar: any minute, 24:00 only as the end it is, seasons over new year and at 29 February.
SELECT what, pg_temp.fault(definition) FROM (VALUES
	('every minute counts', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["00:01", "b"], ["13:37", "a"], ["23:59", "b"]]}], "prices": {"a": 1, "b": 2}}'),
	('24:00 first', '{"periods": ["a"], "schedule": [{"slots": [["24:00", "a"]]}], "prices": {"a": 1}}'),
	('seconds', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["12:00:30", "b"]]}], "prices": {"a": 1, "b": 2}}'),
	('minute 60', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["12:60", "b"]]}], "prices": {"a": 1, "b": 2}}'),
	('digits of another script', '{"periods": ["a", "b"], "schedule": [{"slots": [["00:00", "a"], ["１２:00", "b"]]}], "prices": {"a": 1, "b": 2}}'),
	('over new year', '{"seasons": [{"name": "w", "from": "12-31", "to": "01-02"}, {"name": "r", "from": "01-02", "to": "12-31"}], "prices": 1}'),
	('one day, 29 February', '{"seasons": [{"name": "leap", "from": "02-29", "to": "03-01"}, {"name": "r", "from": "03-01", "to": "02-29"}], "prices": 1}'),
	('30 February', '{"seasons": [{"name": "s", "from": "02-30", "to": "02-30"}], "prices": 1}'),
	('31 April', '{"seasons": [{"name": "s", "from": "04-31", "to": "04-31"}], "prices": 1}'),
	('season all year', '{"seasons": [{"name": "s", "from": "02-29", "to": "02-29"}], "prices": 1}'),
	('all year twice', '{"seasons": [{"name": "s", "from": "02-29", "to": "02-29"}, {"name": "t", "from": "01-01", "to": "01-01"}], "prices": 1}'),
	('seasons meet over new year', '{"seasons": [{"name": "s", "from": "07-01", "to": "01-02"}, {"name": "t", "from": "01-01", "to": "07-01"}], "prices": 1}'),
	('year from 29 February', '{"tiers": {"accumulate": "year", "anchor": "02-29", "upto": [1]}, "prices": [1, 2]}'),
	('quarter from 31 January', '{"tiers": {"accumulate": "quarter", "anchor": "01-31", "upto": [1]}, "prices": [1, 2]}'),
	('month from the 31st', '{"tiers": {"accumulate": "month", "anchor": "31", "upto": [1]}, "prices": [1, 2]}'),
	('month from the 32nd', '{"tiers": {"accumulate": "month", "anchor": "32", "upto": [1]}, "prices": [1, 2]}'),
	('empty lists', '{"prices": 1, "standing": [], "surcharges": [], "notes": []}'),
	('empty tiers', '{"prices": 1, "tiers": {}}'),
	('empty bounds', '{"prices": 1, "tiers": {"upto": []}}'),
	('empty schedule', '{"prices": 1, "schedule": []}'),
	('empty name', '{"periods": [""], "prices": 1}'),
	('weekday 0', '{"prices": 1, "day_types": [{"name": "w", "days": [0]}]}'),
	('weekday twice', '{"prices": 1, "day_types": [{"name": "w", "days": [6, 6]}]}'),
	('weekday 6.0', '{"prices": 1, "day_types": [{"name": "w", "days": [6.0]}], "schedule": [{"slots": [["00:00", "all"]]}]}'),
	('period null', '{"periods": [null], "prices": 1}'),
	('true for a price', '{"prices": true}'),
	('note of 501 characters', jsonb_build_object('prices', 1, 'notes', jsonb_build_array(repeat('电', 501)))::text),
	('note of 500 characters', jsonb_build_object('prices', 1, 'notes', jsonb_build_array(repeat('电', 500)))::text)
	) AS v (what, definition);
SELECT count(*) FROM prepay.tariff;
\pset format aligned

-- Versions: the first holds always, later ones from now, the past only when asked for.
\set VERBOSITY sqlstate
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.define_tariff('flat', '{"prices": 0.7}', '2026-02-01 00:00+08');
SELECT prepay.define_tariff('flat', '{"prices": 0.8}', '2025-12-01 00:00+08');
SELECT prepay.define_tariff('flat', '{"prices": 0.8}', '2025-12-01 00:00+08', '{"retroactive": false}');
SELECT prepay.define_tariff('flat', '{"prices": 0.8}', '2025-12-01 00:00+08', '{"backwards": true}');
SELECT prepay.define_tariff('flat', '{"prices": 0.8}', '2025-12-01 00:00+08', '{"retroactive": true, "note": "tender"}');
SELECT prepay.define_tariff('flat', '{"prices": 0.9}', '2026-01-01 00:00+08');
SELECT version, valid_from, definition, note FROM prepay.tariff_version ORDER BY version;
SELECT version, period, tier, item_name, period_name, price FROM prepay.tariff_price ORDER BY version;
SELECT prepay.define_tariff('flat', '{"prices": 0.9}', 'infinity');
SELECT prepay.define_tariff('never', '{"prices": 0.9}', 'infinity');
SELECT prepay.define_tariff('fl/at/x', '{"prices": 0.6}');
SELECT prepay.define_tariff(NULL, '{"prices": 0.6}');
SELECT prepay.define_tariff('flat', NULL);

-- Assignment: what it may be given to.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1');
INSERT INTO prepay.place (site_id, code) VALUES (1, 'P1');
SELECT prepay.open_account('A1', 'Zhang', place => 'P1', meters => '{M1}');
SELECT prepay.assign_tariff('town', 'flat');
SELECT prepay.assign_tariff('P1', 'flat', '2026-01-01 00:00+08');
SELECT prepay.assign_tariff('A1', 'flat', '2026-01-01 00:00+08');
SELECT prepay.assign_tariff('M1', 'flat', '2026-01-01 00:00+08');
SELECT prepay.assign_tariff('M1', NULL, '2026-06-01 00:00+08');
SELECT prepay.assign_tariff('M1', 'steep');
SELECT prepay.assign_tariff('M1', 'flat', 'infinity');
SELECT prepay.assign_tariff('M2', 'flat');
SELECT prepay.assign_tariff(NULL, 'flat');
SELECT target_kind, target_id, valid_from, tariff_id FROM prepay.tariff_assignment
ORDER BY target_kind, target_id, valid_from, assignment;
SELECT * FROM prepay.verify();
