-- What a caller puts into a query sees no row before my_site() has let it through.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 12:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.define_tariff(s || '/secret-' || s, '{"prices": 1}'), prepay.set_setting(s, 'tariff', 'secret-' || s), prepay.set_setting(s, 'alarm_phones', '1390000000' || length(s))
FROM unnest('{town,mall}'::text[]) AS s;
INSERT INTO prepay.place (site_id, code, name) SELECT s, 'P', 'secret' || s FROM generate_series(1, 2) AS s;
SELECT prepay.create_agent('town/gw'), prepay.create_agent('mall/gw');
INSERT INTO prepay.gateway (site_id, code, agent) SELECT s, 'secret' || s, 'gw' FROM generate_series(1, 2) AS s;
INSERT INTO prepay.meter (site_id, code, place_id, gateway_id, unit_id) SELECT s, 'secret' || s, 1, 1, 1 FROM generate_series(1, 2) AS s;
SELECT prepay.open_account(s || '/secret-' || s, 'secret ' || s, phone => '1380000000' || length(s), place => 'P', meters => ARRAY[s || '/secret' || n], opening_balance => 10, key => 'o')
FROM unnest('{town,mall}'::text[]) WITH ORDINALITY AS u (s, n);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT s, 1, timestamptz '2026-03-01 12:00+08' + n * interval '1 hour', n * n * 10 FROM generate_series(1, 2) AS s, generate_series(0, 2) AS n;
SELECT prepay.update_account(s || '/secret-' || s, '{"note": "secret"}'), (prepay.sell(s || '/secret-' || s, 5, 's1')).seq, prepay.receipt(s || '/secret-' || s, 1) IS NOT NULL,
	(prepay.open_shift(0, NULL, s)).shift_no FROM unnest('{town,mall}'::text[]) AS s;
CREATE ROLE regress_prepay_spy;
GRANT prepay_admin TO regress_prepay_spy;
INSERT INTO prepay.operator_site VALUES (1, 'regress_prepay_spy'), (2, session_user), (2, 'mallrat');
INSERT INTO prepay.supply_policy (site_id, code, notice) VALUES (1, 'secret1', true), (2, 'secret2', true);
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, active) SELECT s, 'secret' || s, '01:00', '05:00', false FROM generate_series(1, 2) AS s;
SELECT account || ' ' || customer FROM prepay.account_status ORDER BY 1;

-- Every view and table the spy may read; each of its columns is handed to a function that costs nothing and remembers, and to an operator and a cast of the spy's own.
CREATE SCHEMA regress_prepay_spy AUTHORIZATION regress_prepay_spy;
CREATE TABLE regress_prepay_spy.seen (what text);
GRANT ALL ON regress_prepay_spy.seen TO regress_prepay_spy;
SET ROLE regress_prepay_spy;
CREATE FUNCTION regress_prepay_spy.leak(what text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS $$
BEGIN
	INSERT INTO regress_prepay_spy.seen VALUES (what);
	RETURN true;
END $$;
CREATE FUNCTION regress_prepay_spy.leak(what text, other int) RETURNS boolean LANGUAGE sql COST 0.0000001 AS $$ SELECT regress_prepay_spy.leak(what) $$;
CREATE OPERATOR regress_prepay_spy.<<< (LEFTARG = text, RIGHTARG = int, FUNCTION = regress_prepay_spy.leak);
CREATE FUNCTION regress_prepay_spy.look(relation regclass, column_ name) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
	others text;
BEGIN
	DELETE FROM regress_prepay_spy.seen;
	EXECUTE format('SELECT count(*) FROM %s AS v WHERE regress_prepay_spy.leak(v.%2$I::text) AND v.%2$I::text OPERATOR(regress_prepay_spy.<<<) 1', relation, column_) INTO n;
	EXECUTE format('SELECT string_agg(DISTINCT what, '', '') FROM regress_prepay_spy.seen WHERE what NOT IN (SELECT v.%2$I::text FROM %1$s AS v WHERE v.%2$I IS NOT NULL)', relation, column_) INTO others;
	RETURN others;
END $$;
RESET ROLE;
CREATE TEMP VIEW readable AS
SELECT c.oid::regclass AS relation, a.attname, a.attnum FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND has_table_privilege('regress_prepay_spy', c.oid, 'SELECT');
GRANT SELECT ON readable TO regress_prepay_spy;
SELECT count(DISTINCT relation) > 50 AS many, count(*) > 500 AS of_many_columns FROM readable;
SET ROLE regress_prepay_spy;
SELECT relation, attname, look AS leaked FROM readable, LATERAL regress_prepay_spy.look(relation, attname) WHERE look IS NOT NULL ORDER BY relation::text, attnum;
-- The trap works: what the spy may see, it sees.
SELECT regress_prepay_spy.look('prepay.account_status', 'customer');
SELECT * FROM regress_prepay_spy.seen;
RESET ROLE;
-- Without the barrier it would see all: that is what the test above is for.
BEGIN;
ALTER VIEW prepay.account_status SET (security_barrier = false);
-- The plan decides whether it leaks then: this one is for a table of sites that was never analyzed.
UPDATE pg_class SET reltuples = -1, relpages = 0 WHERE oid = 'prepay.site'::regclass;
SET LOCAL ROLE regress_prepay_spy;
SELECT regress_prepay_spy.look('prepay.account_status', 'customer');
ROLLBACK;

-- Every view that may be read has the barrier.
SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind = 'v' AND has_table_privilege('regress_prepay_spy', c.oid, 'SELECT')
	AND NOT COALESCE('security_barrier=true' = ANY (c.reloptions), false);
-- What codes, numbers and times are compared with is still pushed down to the tables, for those comparisons do not leak; a function is not.
SET ROLE regress_prepay_spy;
CREATE FUNCTION regress_prepay_spy.stays_above(condition text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
	line text;
	above boolean := false;
BEGIN
	FOR line IN EXECUTE 'EXPLAIN (COSTS off) SELECT site FROM prepay.readings WHERE ' || condition LOOP
		above := above OR line LIKE '%readings.%';
	END LOOP;
	RETURN above;
END $$;
SELECT regress_prepay_spy.stays_above($$ site = 'town' AND meter = 'secret1' AND read_at >= '2026-03-01 13:00+08' AND read_at < '2026-03-02 13:00+08' $$) AS comparisons,
	regress_prepay_spy.stays_above($$ regress_prepay_spy.leak(meter) $$) AS own_function;
RESET ROLE;

DROP OWNED BY regress_prepay_spy CASCADE;
DELETE FROM prepay.operator_site WHERE operator = 'regress_prepay_spy';
DROP ROLE regress_prepay_spy;
SELECT * FROM prepay.verify();
