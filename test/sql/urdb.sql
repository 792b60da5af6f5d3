-- tariff_from_urdb(): a rate of OpenEI's Utility Rate Database becomes a definition, and charges as such.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'America/Los_Angeles';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-01-01 00:00-08';
SELECT prepay.create_site('coast', 'Coast', 'America/Los_Angeles', 'USD');

-- Twelve months of 24 hours: a word a month, a letter an hour, a for period 0; one letter is a whole day.
CREATE FUNCTION pg_temp.schedule(VARIADIC months text[]) RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_agg((SELECT jsonb_agg(ascii(substr(repeat(w, 24), h, 1)) - 97) FROM generate_series(1, 24) AS h) ORDER BY m)
	FROM (SELECT m, months[(m - 1) % array_length(months, 1) + 1] AS w FROM generate_series(1, 12) AS m) AS by_month $$;
CREATE TABLE rate (name text PRIMARY KEY, rate jsonb);
INSERT INTO rate VALUES ('flat', '{"label": "539fc010ec4f024c27d8984b", "utility": "City of Example", "name": "Residential", "approved": true,
	"sector": "Residential", "startdate": 1388552400, "energyratestructure": [[{"rate": 0.0862, "unit": "kWh", "adj": 0.0031}]],
	"fixedchargefirstmeter": 12.5, "fixedchargeunits": "$/month", "flatdemandstructure": [[{"rate": 0, "adj": 0}]]}'::jsonb
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('a'), 'energyweekendschedule', pg_temp.schedule('a'))),
	('two tiers', '{"energyratestructure": [[{"max": 500, "rate": 0.0901, "unit": "kWh"}, {"rate": 0.1305, "unit": "kWh"}]], "mincharge": 5, "minchargeunits": "$/month"}'::jsonb
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('a'), 'energyweekendschedule', pg_temp.schedule('a'))),
	('baseline', '{"energyratestructure": [[{"max": 10.1, "rate": 0.29122, "unit": "kWh daily"}, {"rate": 0.36625, "unit": "kWh daily"}]]}'::jsonb
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('a'), 'energyweekendschedule', pg_temp.schedule('a'))),
	('time of use', '{"energyratestructure": [[{"rate": 0.09}], [{"rate": 0.11}], [{"rate": 0.19}], [{"rate": 0.10}]]}'::jsonb
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('a', 'a', 'aaaaaaaaaaaaaaaadddddaaa', 'aaaaaaaaaaaaaaaadddddaaa',
		'aaaaaaaaaaaaaaaadddddaaa', 'bbbbbbbbbbbbccccccbbbbbb', 'bbbbbbbbbbbbccccccbbbbbb', 'bbbbbbbbbbbbccccccbbbbbb', 'bbbbbbbbbbbbccccccbbbbbb', 'a', 'a', 'a'),
		'energyweekendschedule', pg_temp.schedule('a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'b', 'a', 'a', 'a'))),
	('charging', '{"energyratestructure": [[{"rate": 0.10986, "adj": 0.00115}], [{"rate": 0.19829, "adj": 0.00115}], [{"rate": 0.38755, "adj": 0.00115}]],
	"energytoulabels": ["Super Off-Peak", "Off-Peak", "On-Peak"], "demandreactivepowercharge": 0.52, "dgrules": "Net Metering", "fixedchargefirstmeter": 0.329, "fixedchargeunits": "$/day"}'::jsonb
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('aaaaaabbbbbbbbbbccccccbb'), 'energyweekendschedule', pg_temp.schedule('aaaaaabbbbbbbbbbccccccbb'))),
	('noise', '{"energyratestructure": [[{"max": 16.4474, "unit": "kWh daily", "rate": 0.05312000000000001, "adj": -1.3877787807814457e-17}, {"rate": 0.0612345}],
		[{"max": 16.4474, "unit": "kWh daily", "rate": 0.11}, {"rate": 0.12, "sell": 0.04, "max": 99}], [{"rate": 9}]], "marsrate": [[1]]}'::jsonb
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('aaaaaabbbbbbbbbbbbbbbbbb'), 'energyweekendschedule', pg_temp.schedule('a')));

-- Each is a definition as it comes, and its notes stay with the version.
\pset format unaligned
SELECT name, jsonb_pretty(prepay.tariff_from_urdb(rate)) FROM rate WHERE name IN ('flat', 'two tiers', 'time of use');
SELECT name, prepay.tariff_from_urdb(rate) FROM rate WHERE name IN ('baseline', 'charging', 'noise') ORDER BY name;
\pset format aligned
SET client_min_messages = error;
SELECT name, prepay.define_tariff(name, prepay.tariff_from_urdb(rate)) FROM rate ORDER BY name;
SELECT t.code, jsonb_array_length(v.definition -> 'notes') AS notes FROM prepay.tariff_version v JOIN prepay.tariff t USING (site_id, tariff_id) ORDER BY 1;
SET client_min_messages = warning;

-- What a month costs is what the rate says: January at 1 kWh an hour, and a week in summer.
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 6) AS n;
SELECT count(prepay.open_account(replace(name, ' ', '_'), name, meters => ARRAY['M' || row_number], tariff => name))
FROM (SELECT name, row_number() OVER (ORDER BY name) FROM rate) AS r;
SET prepay.now = '2026-07-20 00:00-07';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m, at, extract(epoch FROM at - '2026-01-01 00:00-08')::numeric / 3600 FROM generate_series(1, 6) AS m,
	unnest(ARRAY['2026-01-01 00:00-08', '2026-02-01 00:00-08', '2026-07-06 00:00-07', '2026-07-13 00:00-07']::timestamptz[]) AS at;
SELECT account, component, period, tier, sum(kwh) AS kwh, max(price) AS price, sum(amount) AS amount FROM prepay.usage_daily
WHERE day < '2026-02-01' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4;
SELECT account, period, sum(kwh) AS kwh, sum(amount) AS amount FROM prepay.usage_daily
WHERE day >= '2026-07-06' AND day < '2026-07-13' AND account = 'time_of_use' GROUP BY 1, 2 ORDER BY 1, 2;
SELECT * FROM prepay.verify();

-- Faults name the place and what would mend it.
SELECT prepay.tariff_from_urdb(NULL);
SELECT prepay.tariff_from_urdb('7');
SELECT prepay.tariff_from_urdb('{"items": [{"energyratestructure": [[{"rate": 0.1}]]}]}');
SELECT prepay.tariff_from_urdb('{"energyratestructure": [[{"rate": "0.1"}]]}');
SELECT prepay.tariff_from_urdb('{"energyratestructure": [[{"adj": 0.1}]]}');
SELECT prepay.tariff_from_urdb('{"energyratestructure": [[{"rate": 0.1, "max": 200, "unit": "kWh/kW"}, {"rate": 0.2}]]}');
SELECT prepay.tariff_from_urdb(rate || jsonb_build_object('energyweekdayschedule', '[[0]]'::jsonb)) FROM rate WHERE name = 'flat';
SELECT prepay.tariff_from_urdb(rate || jsonb_build_object('energyweekdayschedule', pg_temp.schedule('aaaae'))) FROM rate WHERE name = 'time of use';
SELECT prepay.tariff_from_urdb('{"energyratestructure": [[{"max": 500, "rate": 0.1}, {"rate": 0.2}], [{"max": 600, "rate": 0.1}, {"rate": 0.2}]]}'
	|| jsonb_build_object('energyweekdayschedule', pg_temp.schedule('ab'), 'energyweekendschedule', pg_temp.schedule('a')));
SELECT prepay.tariff_from_urdb(jsonb_build_object('energyratestructure', '[[{"rate": 0.1}]]'::jsonb, 'description', repeat('x', 1100000)));
DROP TABLE rate;
