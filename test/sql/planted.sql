-- What an operator plants in its temporary schema and in its own, before it calls: nothing of it is ever used in its stead.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.5}'), prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1'), (1, 'M2');
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 20, key => 'o1');
SELECT prepay.create_operator('regress_planter', 'Sesame-open-26', '{admin}');
CREATE SCHEMA regress_planted AUTHORIZATION regress_planter;
SET prepay.now = '2026-03-01 06:00+08';

-- Tables, views and types of our names with rows that would pay, functions and operators of the server's names that tell who called them.
-- (A new session: nothing is planned yet.)
\c
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
SET prepay.now = '2026-03-01 06:00+08';
SET SESSION AUTHORIZATION regress_planter;
CREATE TABLE regress_planted.caught (what text, by_role name DEFAULT current_user);
GRANT INSERT ON regress_planted.caught TO PUBLIC;
GRANT USAGE ON SCHEMA regress_planted TO PUBLIC;
CREATE FUNCTION regress_planted.plant(schema_ text) RETURNS void LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT relname FROM pg_class WHERE relnamespace = 'prepay'::regnamespace AND relkind IN ('r', 'v', 'p') AND NOT relispartition LOOP
		EXECUTE format('CREATE TABLE %s.%I (site_id int, account_id int, meter_id int, code text, name text, value text, balance numeric)', schema_, r.relname);
	END LOOP;
	FOR r IN SELECT DISTINCT t.typname FROM pg_type t WHERE t.typnamespace = 'pg_catalog'::regnamespace AND t.typname IN ('text', 'jsonb', 'numeric', 'int4', 'timestamptz', 'date', 'interval', 'bytea', 'regclass', 'regnamespace') LOOP
		EXECUTE format('CREATE DOMAIN %s.%I AS pg_catalog.text CHECK (false)', schema_, r.typname);
	END LOOP;
	FOR r IN SELECT * FROM (VALUES ('now', '', 'timestamptz'), ('now', 'int', 'timestamptz'), ('clock_timestamp', '', 'timestamptz'), ('round', 'numeric, int', 'numeric'), ('length', 'text', 'int'), ('cardinality', 'anyarray', 'int'),
		('my_site', 'int', 'boolean'), ('operator_name', '', 'text'), ('jsonb_populate_record', 'anyelement, jsonb', 'anyelement'), ('array_position', 'anyarray, anyelement', 'int'), ('encode', 'bytea, text', 'text'), ('num_nonnulls', 'anyarray', 'int'),
		('jsonb_object_keys', 'jsonb', 'text'), ('to_jsonb', 'anyelement', 'jsonb'), ('array_to_string', 'anyarray, text', 'text'), ('max', 'int', 'int'), ('date_trunc', 'text, timestamp', 'timestamp'), ('balance', 'int, int', 'numeric')) AS f (name, args, result) LOOP
		EXECUTE format('CREATE FUNCTION %1$s.%2$I(%3$s) RETURNS %4$s LANGUAGE plpgsql AS %5$L', schema_, r.name, r.args, r.result, format('BEGIN INSERT INTO regress_planted.caught VALUES (%L); RETURN NULL; END', r.name || '(' || r.args || ')'));
	END LOOP;
	FOR r IN SELECT o.name, t.l, t.r, row_number() OVER () AS n FROM unnest('{=,<>,<,>,>=,<=,||,+,-}'::text[]) AS o (name),
			(VALUES ('int4', 'int4'), ('int8', 'int8'), ('text', 'text'), ('numeric', 'numeric'), ('timestamptz', 'timestamptz'), ('name', 'name'), ('date', 'int4'), ('date', 'date'), ('jsonb', 'jsonb'), ('jsonb', 'text')) AS t (l, r) LOOP
		EXECUTE format('CREATE FUNCTION %1$s.planted_%2$s(pg_catalog.%3$I, pg_catalog.%4$I) RETURNS boolean LANGUAGE plpgsql AS %5$L', schema_, r.n, r.l, r.r,
			format('BEGIN INSERT INTO regress_planted.caught VALUES (%L); RETURN NULL; END', r.l || ' ' || r.name || ' ' || r.r));
		EXECUTE format('CREATE OPERATOR %1$s.%2$s (LEFTARG = pg_catalog.%3$I, RIGHTARG = pg_catalog.%4$I, FUNCTION = %1$s.planted_%5$s)', schema_, r.name, r.l, r.r, r.n);
	END LOOP;
END $$;
SELECT regress_planted.plant('regress_planted'), regress_planted.plant('pg_temp');
-- The trap works.
SET search_path = regress_planted, pg_catalog;
SELECT 1 WHERE 1 = 1;
SELECT now();
SELECT what FROM regress_planted.caught;
RESET search_path;
DELETE FROM regress_planted.caught;

-- The whole of the work with both in front of everything else.
SET search_path = pg_temp, regress_planted, prepay, pg_catalog;
SELECT prepay.open_account('A2'::pg_catalog.text, 'Wang', NULL, NULL, '{M2}', NULL, 20, 'o2', '{}');
SELECT (prepay.sell('A1', 50, 's1')).balance;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 00:00+08', 0), (1, 1, '2026-03-01 05:00+08', 30), (1, 1, '2026-03-01 05:30+08', -1);
COPY prepay.reading (site_id, meter_id, read_at, kwh) FROM stdin;
1	1	2026-03-01 06:00+08	40
\.
SELECT prepay.update_account('A1', '{"note": "x", "tier_extra_kwh": 10}'), prepay.set_setting('town', 'alarm1_amount', '100');
SELECT pg_catalog.count(*) FROM prepay.control('M1', 'trip');
SELECT pg_catalog.count(*) FROM prepay.control('M1', 'close');
UPDATE prepay.meter SET name = 'planted';
INSERT INTO prepay.meter_import (site, building, unit, meter) VALUES ('town', 'B1', 'B1-1', 'M3');
SELECT prepay.change_meter('M2', '{"ratio": 2}'), prepay.assign_tariff('A1', 'flat');
SELECT prepay.correct_reading('M1', '2026-03-01 05:00+08', 29, 'x');
SELECT (prepay.reverse('A1', 2, 'v1')).balance, (prepay.adjust('A1', 1, 'a1', 'x')).balance, (prepay.grant_credit('A1', 1, 'g1')).balance, pg_catalog.length(prepay.receipt('A1', 2)) OPERATOR(pg_catalog.>) 0;
SELECT prepay.tick() OPERATOR(pg_catalog.>=) 0;
SELECT account, balance, state FROM prepay.account_status ORDER BY account;
SELECT pg_catalog.sum(amount) FROM prepay.usage_daily;
SELECT pg_catalog.count(*) FROM prepay.explain('A1'::pg_catalog.text);
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM prepay.statement('A1'::pg_catalog.text);
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM prepay.backtest('town', '{"prices": 1}', '2026-03-01 00:00+08', '2026-03-02 00:00+08');
SELECT prepay.create_operator('regress_planted_x', 'Sesame-open-26', '{cashier}'), prepay.grant_role('regress_planted_x', 'analyst'), prepay.drop_operator('regress_planted_x');
SELECT pg_catalog.count(*) OPERATOR(pg_catalog.>) 0 FROM prepay.operator_work;
SELECT * FROM prepay.verify();
SELECT DISTINCT what, by_role FROM regress_planted.caught;
SELECT pg_catalog.count(*) FROM pg_temp.account;
RESET search_path;
RESET SESSION AUTHORIZATION;
-- A superuser who looks at the books with the trap in its path.
SET search_path = regress_planted, prepay, pg_catalog;
SELECT * FROM prepay.verify();
SELECT prepay.install() IS NOT NULL;
RESET search_path;
SELECT DISTINCT what, by_role FROM regress_planted.caught;
SELECT * FROM prepay.verify();
DROP SCHEMA regress_planted CASCADE;
\c
SET client_min_messages = warning;
DROP OWNED BY regress_planter, regress_planted_x CASCADE;
DROP ROLE regress_planter, regress_planted_x;
