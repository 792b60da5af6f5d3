-- Every edge to the second and to the Wh. A meter uses 1 Wh a second; it is read 10 seconds before and after an
-- edge, and a second earlier and later: of 20 Wh, 10, 11 or 9 lie before the edge.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-06-01 00:00+08';
SELECT prepay.create_site('s', 'Site', 'Asia/Shanghai');
INSERT INTO prepay.holiday (calendar, day) VALUES ('X', '2026-06-10');
SELECT prepay.define_tariff('tou', '{"periods": ["day", "night", "rest", "hot"], "calendar": "X", "day_types": [{"name": "weekend", "days": [6, 7]}],
	"seasons": [{"name": "summer", "from": "06-20", "to": "09-01"}, {"name": "other", "from": "09-01", "to": "06-20"}],
	"schedule": [{"slots": [["00:00", "night"], ["08:00", "day"], ["21:59", "night"]]}, {"season": "summer", "slots": [["00:00", "hot"]]},
		{"day_type": "weekend", "slots": [["00:00", "rest"]]}, {"day_type": "holiday", "slots": [["00:00", "rest"]]}],
	"prices": {"day": 1, "night": 2, "rest": 3, "hot": 4}}');
SELECT prepay.define_tariff('versions', '{"prices": 1}'), prepay.define_tariff('versions', '{"prices": 2}', '2026-06-03 13:07:05+08');
SELECT prepay.define_tariff('month', '{"tiers": {"upto": [0.010]}, "prices": [1, 2]}');
SELECT prepay.define_tariff('other', '{"prices": 5}');
SELECT prepay.set_setting('s', 'tariff', 'tou');

-- What changes at the edge, and when.
CREATE TEMP TABLE edge (name text, tariff text, at timestamptz);
INSERT INTO edge VALUES ('slot', 'tou', '2026-06-02 08:00+08'), ('odd slot', 'tou', '2026-06-02 21:59+08'), ('midnight', 'tou', '2026-06-03 00:00+08'),
	('weekend', 'tou', '2026-06-06 00:00+08'), ('workday', 'tou', '2026-06-08 00:00+08'), ('holiday', 'tou', '2026-06-10 00:00+08'),
	('season', 'tou', '2026-06-22 00:00+08'), ('summer', 'tou', '2026-06-20 00:00+08'), ('version', 'versions', '2026-06-03 13:07:05+08'),
	('period', 'month', '2026-07-01 00:00+08'), ('assigned', 'other', '2026-06-03 13:07:05+08'),
	('ratio', 'other', '2026-06-03 13:07:05+08'), ('begin', 'other', '2026-06-03 13:07:05+08'), ('end', 'other', '2026-06-03 13:07:05+08'),
	('told', 'other', '2026-06-03 13:07:05+08');
CREATE TEMP TABLE life AS
SELECT name || ' ' || shift AS code, e.*, shift, at + shift * interval '1 second' AS middle FROM edge e, generate_series(-1, 1) AS shift;
INSERT INTO prepay.meter (site_id, code) SELECT 1, code FROM life ORDER BY code;
SELECT count(prepay.open_account(code, 'Customer', meters => CASE WHEN name = 'begin' THEN '{}' ELSE ARRAY['meter:' || code] END,
	tariff => NULLIF(tariff, 'tou'))) FROM (SELECT * FROM life ORDER BY code) AS l;
SET prepay.now = '2026-07-05 00:00+08';
SELECT count(prepay.assign_tariff('account:' || code, 'versions', at)) FROM life WHERE name = 'assigned';
SELECT count(prepay.change_meter('meter:' || code, '{"ratio": 100}', at)) FROM life WHERE name = 'ratio';
SELECT count(prepay.add_meter('account:' || code, 'meter:' || code, effective => at)) FROM life WHERE name = 'begin';
SELECT count(prepay.remove_meter('account:' || code, 'meter:' || code, effective => at)) FROM life WHERE name = 'end';
SELECT count(prepay.remove_meter('account:' || code, 'meter:' || code, 0.007, at)) FROM life WHERE name = 'told';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, meter_id, middle + s * interval '10 seconds', 0.010 * (s + 1) FROM life JOIN prepay.meter USING (code), (VALUES (-1), (1)) AS v (s);
CREATE FUNCTION pg_temp.ticks() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
	WHILE prepay.tick() > 0 LOOP END LOOP;
	RETURN true;
END $$;
SELECT pg_temp.ticks();
SELECT name, shift, day, u.tariff, version, period, tier, sum(kwh * 1000)::int AS wh, sum(amount) AS amount
FROM life LEFT JOIN prepay.usage_daily u ON account = code AND component = 'energy'
GROUP BY name, shift, day, u.tariff, version, period, tier HAVING sum(kwh) <> 0 OR day IS NULL
ORDER BY name, shift, day, u.tariff DESC, version, period, tier;
SELECT * FROM prepay.verify();

-- A bound met by one Wh less, exactly, and by one more; in one interval or in two; in order of time or shared.
SELECT prepay.define_tariff('order', '{"tiers": {"upto": [1, 2]}, "prices": [1, 10, 100]}');
SELECT prepay.define_tariff('shared', '{"tiers": {"upto": [1, 2], "allocation": "proportional"}, "prices": [1, 10, 100]}');
CREATE TEMP TABLE met AS
SELECT format('%s %s %s', tariff, bound, past) AS code, tariff, bound * 1000 + past AS wh, bound, past
FROM unnest('{order,shared}'::text[]) AS tariff, generate_series(1, 2) AS bound, generate_series(-1, 1) AS past;
INSERT INTO prepay.meter (site_id, code) SELECT 1, code || n FROM met, unnest('{a,b}'::text[]) AS n ORDER BY code, n;
SELECT count(prepay.open_account(code || n, 'Customer', meters => ARRAY['meter:' || code || n], tariff => tariff))
FROM (SELECT * FROM met, unnest('{a,b}'::text[]) AS n ORDER BY code, n) AS m;
SET prepay.now = '2026-07-06 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-07-05 08:00+08', 0 FROM prepay.meter JOIN met ON meter.code IN (met.code || 'a', met.code || 'b');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-07-05 09:00+08', (wh - 500) / 1000.0 FROM prepay.meter JOIN met ON meter.code = met.code || 'b';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-07-05 10:00+08', wh / 1000.0 FROM prepay.meter JOIN met ON meter.code IN (met.code || 'a', met.code || 'b');
SELECT met.tariff, bound, past, tier, (kwh * 1000)::int AS wh, amount, string_agg(DISTINCT right(account, 1), '') AS met_in
FROM met JOIN prepay.usage_daily u ON account IN (code || 'a', code || 'b')
GROUP BY met.tariff, bound, past, tier, kwh, amount ORDER BY met.tariff, bound, past, tier;
SELECT * FROM prepay.verify();

-- What is believed: a register below the modulus, a time up to the drift of clocks, energy up to 1.2 times the
-- rated power (12 kWh in an hour, 0.012 more in 3.6 s) and a step of the display, a fall that is a rollover within that.
SELECT prepay.set_setting('s', 'clock_drift_limit', '5 minutes');
CREATE TEMP TABLE told (code text, register_max numeric, rated_kw numeric, first numeric, second numeric, at timestamptz);
INSERT INTO told VALUES ('top', 1000, NULL, 0, 999.999, '2026-07-05 10:00+08'), ('over', 1000, NULL, 0, 1000, '2026-07-05 10:00+08'),
	('drift', NULL, NULL, 0, 1, '2026-07-06 00:05+08'), ('future', NULL, NULL, 0, 1, '2026-07-06 00:05:00.000001+08'),
	('most', NULL, 10, 0, 12.100, '2026-07-05 10:00+08'), ('spike', NULL, 10, 0, 12.101, '2026-07-05 10:00+08'),
	('later', NULL, 10, 0, 12.112, '2026-07-05 10:00:03.6+08'), ('too soon', NULL, 10, 0, 12.112, '2026-07-05 10:00:03.5+08'),
	('same', NULL, NULL, 5, 5, '2026-07-05 10:00+08'), ('fall', NULL, NULL, 5, 4.999, '2026-07-05 10:00+08'),
	('roll', 1000, 10, 990, 2.100, '2026-07-05 10:00+08'), ('reset', 1000, 10, 990, 2.101, '2026-07-05 10:00+08'),
	('unknown', 1000, NULL, 999, 0, '2026-07-05 10:00+08');
INSERT INTO prepay.meter (site_id, code, register_max, rated_kw) SELECT 1, code, register_max, rated_kw FROM told ORDER BY code;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-07-05 09:00+08', first FROM told JOIN prepay.meter USING (code);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, at, second FROM told JOIN prepay.meter USING (code);
SELECT code, second, COALESCE(reason, 'believed') AS judged FROM told JOIN prepay.meter m USING (code)
	LEFT JOIN prepay.reading_review r ON r.site_id = m.site_id AND r.meter_id = m.meter_id ORDER BY code;

-- A gap of two poll intervals is none yet; a microsecond more is an estimate where it is shared.
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'gap 0'), (1, 'gap 1');
SELECT count(prepay.open_account(code, 'Customer', tariff => 'tou')) FROM prepay.meter WHERE code LIKE 'gap _';
SELECT count(prepay.add_meter('account:' || code, 'meter:' || code, effective => '2026-07-01 00:00+08')) FROM prepay.meter WHERE code LIKE 'gap _';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, at, kwh FROM prepay.meter,
	(VALUES ('gap 0', timestamptz '2026-07-03 23:30+08', 0), ('gap 0', '2026-07-04 00:30+08', 2), ('gap 1', '2026-07-03 23:30+08', 0), ('gap 1', '2026-07-04 00:30:00.000001+08', 2)) AS r (meter, at, kwh) WHERE code = meter;
SELECT meter, day, kwh, estimated_kwh FROM prepay.usage_daily WHERE meter LIKE 'gap _' ORDER BY meter, day;

-- A day is sealed by a reading at its end, not before; without one 36 hours after its end.
SET prepay.now = '2026-07-08 12:00+08';
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'seal 0'), (1, 'seal 1'), (1, 'seal 2');
SELECT count(prepay.open_account(code, 'Customer', meters => ARRAY['meter:' || code])) FROM prepay.meter WHERE code LIKE 'seal _';
SET prepay.now = '2026-07-09 00:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, '2026-07-08 12:00+08', 0 FROM prepay.meter WHERE code LIKE 'seal _';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, meter_id, CASE code WHEN 'seal 0' THEN timestamptz '2026-07-08 23:59:59.999999+08' ELSE '2026-07-09 00:00+08' END, 1
FROM prepay.meter WHERE code IN ('seal 0', 'seal 1');
SELECT account, sealed_through FROM prepay.account_status WHERE account LIKE 'seal _' ORDER BY account;
SET prepay.now = '2026-07-10 11:59:59.999999+08';
SELECT pg_temp.ticks();
SELECT account, sealed_through FROM prepay.account_status WHERE account LIKE 'seal _' ORDER BY account;
SET prepay.now = '2026-07-10 12:00+08';
SELECT pg_temp.ticks();
SELECT account, sealed_through FROM prepay.account_status WHERE account LIKE 'seal _' ORDER BY account;
