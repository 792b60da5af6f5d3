-- Whatever can be called is called with what nobody should hand it: no crash, a clear error.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
SELECT prepay.set_setting('town', 'tariff', 'flat');
INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M1');
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 10, key => 'o1');

-- NULL for every argument, one at a time and all at once: never an internal error.
CREATE FUNCTION pg_temp.call(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	hint text;
BEGIN
	EXECUTE statement;
	RAISE EXCEPTION USING ERRCODE = 'P0000';
EXCEPTION
	WHEN SQLSTATE 'P0000' THEN
		RETURN 'ok';
	WHEN OTHERS THEN
		RETURN SQLSTATE;
END $$;
CREATE TEMP TABLE callable AS
SELECT p.oid, p.oid::regprocedure::text AS name, p.proname, p.pronargs, p.proisstrict,
	ARRAY(SELECT t::regtype::text FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n) ORDER BY n) AS types
FROM pg_proc p WHERE p.pronamespace = 'prepay'::regnamespace AND p.prorettype <> 'trigger'::regtype AND p.proname <> 'install';
CREATE TEMP TABLE sample (type text, value text);
INSERT INTO sample VALUES ('text', '''A1'''), ('integer', '1'), ('bigint', '1'), ('numeric', '1'), ('jsonb', '''{}'''), ('timestamp with time zone', '''2026-03-01 00:00+08'''),
	('uuid', '''00000000-0000-0000-0000-000000000001'''), ('text[]', '''{}'''), ('integer[]', '''{}'''), ('numeric[]', '''{}'''), ('boolean[]', '''{}'''),
	('timestamp with time zone[]', '''{}'''), ('bytea', ''''''), ('bytea[]', '''{}'''), ('bigint[]', '''{}'''), ('boolean', 'true'), ('date', '''2026-03-01''');
SELECT DISTINCT t AS type_without_sample FROM callable, unnest(types) AS t WHERE t NOT IN (SELECT type FROM sample);
CREATE VIEW pg_temp.outcome AS
SELECT c.name, missing, pg_temp.call(format('SELECT prepay.%I(%s)', c.proname,
	(SELECT string_agg(CASE WHEN missing IN (0, n) THEN 'NULL' ELSE s.value END || '::' || t, ', ' ORDER BY n)
	FROM unnest(c.types) WITH ORDINALITY AS u (t, n) JOIN sample s ON s.type = t))) AS result
FROM callable c, generate_series(0, c.pronargs) AS missing;
SELECT name, missing, result FROM pg_temp.outcome WHERE result LIKE 'XX%' OR result IN ('42883', '42601', '0A000') ORDER BY name, missing;
SELECT count(*) > 100 AS many FROM pg_temp.outcome;

-- Trigger functions called by hand, or put on a table they were not made for.
SELECT p.proname, pg_temp.call(format('SELECT prepay.%I()', p.proname)) AS result FROM pg_proc p
WHERE p.pronamespace = 'prepay'::regnamespace AND p.prorettype = 'trigger'::regtype ORDER BY p.proname;
CREATE TABLE victim (id int);
CREATE FUNCTION pg_temp.misuse(function_ text, events text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE TRIGGER misused %s EXECUTE FUNCTION prepay.%I()', events, function_);
	INSERT INTO victim VALUES (1);
	DROP TRIGGER misused ON victim;
	RETURN 'ok';
EXCEPTION WHEN OTHERS THEN
	RETURN SQLSTATE;
END $$;
SELECT p.proname, pg_temp.misuse(p.proname, 'BEFORE INSERT ON victim FOR EACH ROW') AS before_row,
	pg_temp.misuse(p.proname, 'AFTER INSERT ON victim FOR EACH ROW') AS after_row,
	pg_temp.misuse(p.proname, 'AFTER INSERT ON victim FOR EACH STATEMENT') AS statement,
	pg_temp.misuse(p.proname, 'AFTER INSERT ON victim REFERENCING NEW TABLE AS new_readings FOR EACH STATEMENT') AS transition
FROM pg_proc p WHERE p.pronamespace = 'prepay'::regnamespace AND p.prorettype = 'trigger'::regtype ORDER BY p.proname;
DROP TABLE victim;

-- Stored state of a meter, crafted: refused, not believed and not crashed on.
SELECT length(v) AS bytes, pg_temp.call(format('SELECT prepay.open_usage(1, ''{}'', '''', ARRAY[%L::bytea])', v)) AS lines, pg_temp.call(format('SELECT prepay.open_usage(1, ''{}'', %L::bytea, ''{}'')', v)) AS base
FROM unnest(ARRAY['\x00', '\x01', '\xff', '\x0102', '\xffffffff', '\x01ffffffff', '\x01ffffffffffffffffffffffff', '\x7fffffff7fffffff7fffffff7fffffff']::bytea[]) AS v;
SELECT v, pg_temp.call(format('SELECT prepay.open_usage(1, %L, '''', ''{}'')', v)) AS extra FROM unnest('{"{1}","{NULL,1}","{1,-1}","{5,1,5,2}","{9999999999,1}","{{1,2},{3,4}}"}'::text[]) AS v;
SELECT pg_temp.call('SELECT prepay.open_usage(99, ''{}'', '''', ''{}'')') AS no_site, pg_temp.call('SELECT prepay.balance(1, 99)') AS no_account, pg_temp.call('SELECT prepay.balance(99, 1)') AS no_site,
	pg_temp.call('SELECT prepay.my_site(99)') AS site, pg_temp.call('SELECT prepay.tick(0)') AS no_rows, pg_temp.call('SELECT prepay.tick(-1)') AS fewer;

-- Meter profiles: sound ones are taken, others say what is wrong.
SELECT prepay.profile_fault(jsonb_set(profile, '{commands,push_tariff,args,table1}', arg)) AS fault FROM prepay.meter_model,
	jsonb_array_elements('[7, {"rows": 65, "of": ["rate"]}, {"rows": 14}, {"rows": 14, "of": []}, {"rows": 14, "of": [1]}, {"rows": 14, "of": ["a", "b", "c", "d", "e"]},
		{"exp10": 1}, {"min": -1}, {"colour": 1}]') AS arg WHERE code = 'acrel-ddsy1352';
SELECT prepay.profile_fault(profile #- '{commands,recharge,guard}'), prepay.profile_fault(jsonb_set(profile, '{commands,withdraw}', (profile #> '{commands,recharge}') - 'guard')) AS withdraw
FROM prepay.meter_model WHERE code = 'acrel-ddsy1352';
SELECT count(*) FILTER (WHERE prepay.profile_fault(profile) IS NOT NULL) AS faulty, count(*) >= 10 AS shipped FROM prepay.meter_model;
SELECT p, prepay.profile_fault(p::jsonb) IS NOT NULL AS faulty, pg_temp.call(format('SELECT prepay.is_profile(%L)', p)) AS checked,
	pg_temp.call(format('INSERT INTO prepay.meter_model (code, profile) VALUES (''bad'', %L)', p)) AS stored
FROM unnest(ARRAY['{}', '[]', 'null', '"x"', '{"blocks": 5}', '{"blocks": [{"function": 99}]}', '{"rev": 1, "blocks": [], "points": {}}']) AS p;

-- Planted where a careless name lookup would find them: nothing of this is ever called.
CREATE SCHEMA regress_prepay_trap;
CREATE FUNCTION regress_prepay_trap.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION regress_prepay_trap.round(numeric, int) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION regress_prepay_trap.greatest(timestamptz, timestamptz) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION regress_prepay_trap.equal(int, int) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION regress_prepay_trap.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE OPERATOR regress_prepay_trap.= (LEFTARG = int, RIGHTARG = int, FUNCTION = regress_prepay_trap.equal);
CREATE OPERATOR regress_prepay_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_prepay_trap.equal);
CREATE TABLE regress_prepay_trap.site (site_id int);
\c
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
SET prepay.now = '2026-03-01 01:00+08';
SET search_path = regress_prepay_trap, pg_catalog;
SELECT balance FROM prepay.sell('A1', 5, 's1');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 00:30+08', 0), (1, 1, '2026-03-01 01:00+08', 1);
SELECT balance FROM prepay.account_status;
SELECT count(*) FROM prepay.control('M1', 'trip');
SELECT prepay.tick();
SELECT count(*) FROM prepay.verify();
SELECT prepay.install() IS NOT NULL AS installed;
RESET search_path;
DROP SCHEMA regress_prepay_trap CASCADE;
-- The same while the extension is being created.
DROP EXTENSION pg_prepay CASCADE;
CREATE SCHEMA regress_prepay_trap;
CREATE FUNCTION regress_prepay_trap.now() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE FUNCTION regress_prepay_trap.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE OPERATOR regress_prepay_trap.= (LEFTARG = text, RIGHTARG = text, FUNCTION = regress_prepay_trap.equal);
SET search_path = regress_prepay_trap, pg_catalog;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
RESET search_path;
DROP SCHEMA regress_prepay_trap CASCADE;
SELECT count(*) FROM prepay.site;

-- A schema, a table, a function or an operator that is there before: refused, not taken over.
DROP EXTENSION pg_prepay CASCADE;
CREATE SCHEMA prepay;
CREATE TABLE prepay.site (site_id int);
CREATE FUNCTION prepay.equal(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'caught'; END $$;
CREATE OPERATOR prepay.= (LEFTARG = text, RIGHTARG = text, FUNCTION = prepay.equal);
CREATE EXTENSION pg_prepay;
DROP SCHEMA prepay CASCADE;
CREATE EXTENSION pg_prepay;
-- Tables planted between the two steps.
CREATE TABLE prepay.site (site_id int);
\set SHOW_CONTEXT never
SELECT prepay.install();
\set SHOW_CONTEXT errors
DROP TABLE prepay.site;
-- Roles that are more than they should be, or that somebody may become.
BEGIN;
ALTER ROLE prepay_owner SUPERUSER;
SELECT prepay.install();
ROLLBACK;
BEGIN;
ALTER ROLE prepay_owner LOGIN;
SELECT prepay.install();
ROLLBACK;
BEGIN;
CREATE ROLE regress_prepay_heir;
GRANT prepay_owner TO regress_prepay_heir;
SELECT prepay.install();
ROLLBACK;
BEGIN;
ALTER ROLE prepay_role_keeper LOGIN;
SELECT prepay.install();
ROLLBACK;
BEGIN;
CREATE ROLE regress_prepay_heir;
GRANT prepay_role_keeper TO regress_prepay_heir;
SELECT prepay.install();
ROLLBACK;
BEGIN;
ALTER ROLE prepay_admin CREATEROLE;
SELECT prepay.install();
ROLLBACK;
BEGIN;
ALTER ROLE prepay_cashier SUPERUSER;
SELECT prepay.install();
ROLLBACK;
SELECT prepay.install() IS NOT NULL AS installed;
