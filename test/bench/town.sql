-- A town of :accounts households with one meter each, under the tariff :tariff (flat or rich).
SET client_min_messages = warning;
CREATE EXTENSION pg_prepay;
SELECT prepay.install();
SET prepay.now = '2026-01-05 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.5}');
-- Four seasons, three day types, five periods, five tiers.
SELECT prepay.define_tariff('rich', jsonb_build_object(
	'periods', jsonb_build_array('p1', 'p2', 'p3', 'p4', 'p5'),
	'seasons', '[{"name": "s1", "from": "01-01", "to": "04-01"}, {"name": "s2", "from": "04-01", "to": "07-01"},
		{"name": "s3", "from": "07-01", "to": "10-01"}, {"name": "s4", "from": "10-01", "to": "01-01"}]'::jsonb,
	'day_types', '[{"name": "saturday", "days": [6]}, {"name": "sunday", "days": [7]}]'::jsonb,
	'schedule', (SELECT jsonb_agg(jsonb_build_object('season', s, 'day_type', d, 'slots',
			'[["00:00", "p1"], ["06:00", "p2"], ["09:00", "p3"], ["12:00", "p4"], ["18:00", "p5"], ["22:00", "p1"]]'::jsonb))
		FROM unnest(ARRAY['s1', 's2', 's3', 's4']) AS s, unnest(ARRAY['workday', 'saturday', 'sunday']) AS d),
	'tiers', '{"accumulate": "month", "upto": [5, 10, 20, 40]}'::jsonb,
	'prices', '{"p1": [0.3, 0.31, 0.32, 0.33, 0.34], "p2": [0.4, 0.41, 0.42, 0.43, 0.44], "p3": [0.5, 0.51, 0.52, 0.53, 0.54],
		"p4": [0.6, 0.61, 0.62, 0.63, 0.64], "p5": [0.7, 0.71, 0.72, 0.73, 0.74]}'::jsonb));
SELECT prepay.set_setting('town', 'tariff', :'tariff');
SELECT prepay.set_setting('town', 'alarm1_amount', '5');

-- In transactions of 1 000, as an import would.
CREATE SCHEMA bench;
CREATE PROCEDURE bench.open_town(accounts int) LANGUAGE plpgsql AS $$
BEGIN
	FOR n IN 1 .. accounts BY 1000 LOOP
		INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || g FROM generate_series(n, least(n + 999, accounts)) AS g;
		PERFORM prepay.open_account('A' || g, 'Customer ' || g, meters => ARRAY['M' || g], opening_balance => 1000, key => 'open' || g)
			FROM generate_series(n, least(n + 999, accounts)) AS g;
		COMMIT;
	END LOOP;
END $$;
CALL bench.open_town(:accounts);
