-- Rated readings per second beside plain SQL that writes the same rows without rating them.
-- psql -v accounts=N -v rounds=N: each round is one reading of every meter, in batches of 1 000.
\set QUIET on
\set ON_ERROR_STOP on
\pset format unaligned
\pset tuples_only on
SET client_min_messages = warning;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() \g /dev/null
SET prepay.now = '2026-01-05 00:00+08';
SELECT prepay.create_site('bench', 'Bench', 'Asia/Shanghai') \g /dev/null
SELECT prepay.define_tariff('flat', '{"prices": 0.5}') \g /dev/null
SELECT prepay.define_tariff('rich', (SELECT jsonb_build_object(
	'periods', jsonb_build_array('p1', 'p2', 'p3', 'p4', 'p5'),
	'seasons', '[{"name":"s1","from":"01-01","to":"04-01"},{"name":"s2","from":"04-01","to":"07-01"},{"name":"s3","from":"07-01","to":"10-01"},{"name":"s4","from":"10-01","to":"01-01"}]'::jsonb,
	'day_types', '[{"name":"saturday","days":[6]},{"name":"sunday","days":[7]}]'::jsonb,
	'schedule', (SELECT jsonb_agg(jsonb_build_object('season', s, 'day_type', d, 'slots',
			'[["00:00","p1"],["06:00","p2"],["09:00","p3"],["12:00","p4"],["18:00","p5"],["22:00","p1"]]'::jsonb))
		FROM unnest(ARRAY['s1', 's2', 's3', 's4']) s, unnest(ARRAY['workday', 'saturday', 'sunday']) d),
	'tiers', '{"accumulate":"month","upto":[50,100,200,400]}'::jsonb,
	'prices', '{"p1":[0.3,0.31,0.32,0.33,0.34],"p2":[0.4,0.41,0.42,0.43,0.44],"p3":[0.5,0.51,0.52,0.53,0.54],"p4":[0.6,0.61,0.62,0.63,0.64],"p5":[0.7,0.71,0.72,0.73,0.74]}'::jsonb)))
	\g /dev/null
SELECT prepay.set_setting('bench', 'tariff', :'tariff') \g /dev/null
\echo making :accounts accounts …
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || g FROM generate_series(1, :accounts) g;
CREATE PROCEDURE open_all(accounts int) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 0 .. (accounts - 1) / 1000 LOOP
		PERFORM prepay.open_account('A' || g, 'C' || g, meters => ARRAY['M' || g], opening_balance => 1000, key => 'o' || g)
			FROM generate_series(i * 1000 + 1, least(accounts, i * 1000 + 1000)) g;
		COMMIT;
	END LOOP;
END $$;
CALL open_all(:accounts);
SET prepay.now = '2026-03-01 00:00+08';

-- The plain side: the same reading table without trigger, and one row each for state, day and balance.
CREATE SCHEMA plain;
CREATE TABLE plain.reading (LIKE prepay.reading, PRIMARY KEY (site_id, meter_id, read_at)) PARTITION BY RANGE (read_at);
CREATE TABLE plain.reading_default PARTITION OF plain.reading DEFAULT;
CREATE TABLE plain.meter_state (site_id int, meter_id int, last_read_at timestamptz, register_wh bigint, kw numeric, relay_closed boolean,
	PRIMARY KEY (site_id, meter_id)) WITH (fillfactor = 60);
CREATE TABLE plain.usage_daily (site_id int, meter_id int, day date, period smallint, tier smallint, wh bigint, amount numeric,
	PRIMARY KEY (site_id, meter_id, day, period, tier)) WITH (fillfactor = 60);
CREATE TABLE plain.account (site_id int, account_id int, balance numeric, PRIMARY KEY (site_id, account_id)) WITH (fillfactor = 60);
INSERT INTO plain.meter_state SELECT 1, g, '2026-01-05 00:00+08', 0, 1.5, true FROM generate_series(1, :accounts) g;
INSERT INTO plain.account SELECT 1, g, 1000 FROM generate_series(1, :accounts) g;

CREATE PROCEDURE rated(accounts int, first int, rounds int) LANGUAGE plpgsql AS $$
BEGIN
	FOR r IN first .. first + rounds - 1 LOOP
		FOR b IN 0 .. accounts / 1000 - 1 LOOP
			INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
				SELECT 1, b * 1000 + g, timestamptz '2026-01-05 00:00+08' + r * interval '30 min', 100 + r * 0.31, 1.5, true
				FROM generate_series(1, 1000) g;
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
CREATE PROCEDURE unrated(accounts int, first int, rounds int) LANGUAGE plpgsql AS $$
DECLARE
	t timestamptz;
	id int[];
BEGIN
	FOR r IN first .. first + rounds - 1 LOOP
		t := timestamptz '2026-01-05 00:00+08' + r * interval '30 min';
		FOR b IN 0 .. accounts / 1000 - 1 LOOP
			id := ARRAY(SELECT b * 1000 + g FROM generate_series(1, 1000) g);
			INSERT INTO plain.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
				SELECT 1, u.id, t, 100 + r * 0.31, 1.5, true FROM unnest(id) u (id);
			UPDATE plain.meter_state s SET last_read_at = t, register_wh = register_wh + 310, kw = 1.5, relay_closed = true
				FROM unnest(id) u (id) WHERE s.site_id = 1 AND s.meter_id = u.id;
			INSERT INTO plain.usage_daily SELECT 1, u.id, (t AT TIME ZONE 'Asia/Shanghai')::date, 0, 0, 310, 0.155 FROM unnest(id) u (id)
				ON CONFLICT (site_id, meter_id, day, period, tier) DO UPDATE SET wh = usage_daily.wh + EXCLUDED.wh, amount = usage_daily.amount + EXCLUDED.amount;
			UPDATE plain.account a SET balance = balance - 0.155
				FROM unnest(id) u (id) WHERE a.site_id = 1 AND a.account_id = u.id;
			COMMIT;
		END LOOP;
	END LOOP;
END $$;
VACUUM ANALYZE;
CHECKPOINT;
CALL rated(:accounts, 0, 1);
CALL unrated(:accounts, 0, 1);
SELECT clock_timestamp() AS t0 \gset
CALL unrated(:accounts, 1, :rounds);
SELECT clock_timestamp() AS t1 \gset
CALL rated(:accounts, 1, :rounds);
SELECT clock_timestamp() AS t2 \gset
CALL unrated(:accounts, 1 + :rounds, :rounds);
SELECT clock_timestamp() AS t3 \gset
CALL rated(:accounts, 1 + :rounds, :rounds);
SELECT clock_timestamp() AS t4 \gset
WITH f AS (SELECT 2.0 * :accounts * :rounds AS n,
		extract(epoch FROM timestamptz :'t1' - :'t0') + extract(epoch FROM timestamptz :'t3' - :'t2') AS plain,
		extract(epoch FROM timestamptz :'t2' - :'t1') + extract(epoch FROM timestamptz :'t4' - :'t3') AS rated)
SELECT format('tariff %s, %s accounts, batches of 1000: rated %s/s, plain SQL without rating %s/s, ratio %s (reach 0.8)',
	:'tariff', :accounts, round(n / rated), round(n / plain), round(plain / rated, 2)) FROM f;
SELECT format('broken invariants: %s', count(*)) FROM prepay.verify(NULL, 'A1');
