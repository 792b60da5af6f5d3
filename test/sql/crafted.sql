-- Every function, each argument in turn with values nobody should hand it, by an administrator and by a superuser:
-- a clear error or an answer, never an internal error, a crash or an endless loop.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}'), prepay.set_setting('town', 'tariff', 'flat'), prepay.create_agent('gw');
INSERT INTO prepay.place (site_id, code) VALUES (1, 'P1');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw');
INSERT INTO prepay.meter (site_id, code, place_id, gateway_id, unit_id, model, rated_kw) VALUES (1, 'M1', 1, 1, 1, 'acrel-ddsy1352', 10), (1, 'M2', 1, 1, 2, 'acrel-ddsy1352', 10);
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 10, key => 'o1', place => 'P1');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, m, timestamptz '2026-02-28 00:00+08' + n * interval '3 hours', CASE n WHEN 7 THEN 900 ELSE n END
FROM generate_series(1, 2) AS m, generate_series(0, 8) AS n;
SELECT count(*) FROM prepay.control('M1', 'read');
CREATE ROLE regress_prepay_crafter;
GRANT prepay_admin TO regress_prepay_crafter;
INSERT INTO prepay.operator_site VALUES (1, 'regress_prepay_crafter');

-- What fits, by the name of the argument where the type does not say it.
CREATE TEMP TABLE fitting (type text, argument text, value text);
INSERT INTO fitting VALUES ('text', NULL, '''A1'''), ('text', 'site', '''town'''), ('text', 'meter', '''M1'''), ('text', 'old', '''M1'''), ('text', 'new', '''M2'''), ('text', 'agent', '''gw'''),
	('text', 'place', '''P1'''), ('text', 'timezone', '''Asia/Shanghai'''), ('text', 'currency', '''CNY'''), ('text', 'tariff', '''flat'''), ('text', 'action', '''read'''), ('text', 'verdict', '''reject'''), ('text', 'key', '''k'''), ('text', 'reason', '''because'''),
	('text', 'password', '''Sesame-open-26'''), ('text', 'role', '''cashier'''), ('text', 'tender', '''cash'''), ('text', 'target', '''A1'''), ('text', 'outcome', '''done'''),
	('text[]', 'roles', '''{cashier}'''), ('text[]', 'sites', '''{town}'''), ('jsonb', 'definition', '''{"prices": 1}'''),
	('integer', NULL, '1'), ('bigint', NULL, '1'), ('numeric', NULL, '1'), ('jsonb', NULL, '''{}'''), ('date', NULL, '''2026-03-01'''), ('boolean', NULL, 'true'), ('bytea', NULL, ''''''),
	('timestamp with time zone', NULL, '''2026-02-28 12:00+08'''), ('uuid', NULL, '''00000000-0000-0000-0000-000000000001'''), ('text[]', NULL, '''{}'''), ('integer[]', NULL, '''{1}'''),
	('numeric[]', NULL, '''{1}'''), ('boolean[]', NULL, '''{true}'''), ('timestamp with time zone[]', NULL, '''{2026-03-01 00:00+08}'''), ('bytea[]', NULL, '''{}'''), ('bigint[]', NULL, '''{}''');
-- What does not.
CREATE TEMP TABLE unfit (type text, value text);
INSERT INTO unfit VALUES ('text', ''''''), ('text', 'repeat(''x'', 100000)'), ('text', '''a/b/c'''), ('text', '''account:meter:A1'''), ('text', '''%s%n%s"''''\\'''), ('text', 'repeat(''电'', 300)'),
	('text', 'E''\u0001\u001b[2J'''), ('text', '''; DROP TABLE prepay.site; --'''), ('text', '''../../etc/passwd'''), ('text', '''/'''), ('text', ''':'''),
	('integer', '0'), ('integer', '-1'), ('integer', '2147483647'), ('integer', '(-2147483648)'), ('bigint', '0'), ('bigint', '9223372036854775807'), ('bigint', '(-9223372036854775808)'),
	('numeric', '''NaN'''), ('numeric', '''Infinity'''), ('numeric', '''-Infinity'''), ('numeric', '0'), ('numeric', '-0.005'), ('numeric', '1e130000'), ('numeric', '1e-16000'), ('numeric', '99999999999999999999'),
	('jsonb', '''null'''), ('jsonb', '''[]'''), ('jsonb', '''"x"'''), ('jsonb', '''1e400'''), ('jsonb', '''{"": {"": [null, {}]}}'''), ('jsonb', '(repeat(''['', 3000) || repeat('']'', 3000))::jsonb'),
	('jsonb', '(repeat(''{"prices":'', 3000) || ''1'' || repeat(''}'', 3000))'), ('jsonb', '(SELECT jsonb_object_agg(''k'' || n, n) FROM generate_series(1, 5000) AS n)'),
	('jsonb', '''{"prices": {"all": [1, "NaN", null]}, "tiers": {"upto": [-1, 1e99]}}'''), ('jsonb', '''{"name": null, "terms": 1, "percent": "x", "till": [], "prices": ""}'''),
	('timestamp with time zone', '''infinity'''), ('timestamp with time zone', '''-infinity'''), ('timestamp with time zone', '''4713-01-01 00:00+00 BC'''), ('timestamp with time zone', '''294276-12-31 00:00+00'''),
	('date', '''infinity'''), ('date', '''-infinity'''), ('date', '''5874897-12-31'''), ('date', '''4713-01-01 BC'''), ('uuid', '''ffffffff-ffff-ffff-ffff-ffffffffffff'''),
	('text[]', '''{NULL}'''), ('text[]', '''{{A1,M1},{A1,M1}}'''), ('text[]', '''[5:6]={A1,M1}'''), ('text[]', 'array_fill(''x''::text, ARRAY[20000])'), ('text[]', 'ARRAY[repeat(''x'', 100000)]'),
	('integer[]', '''{}'''), ('integer[]', '''{NULL}'''), ('integer[]', '''{{1,2},{3,4}}'''), ('integer[]', '''[-3:-2]={1,-1}'''), ('integer[]', 'array_fill(1, ARRAY[20000])'), ('integer[]', '''{2147483647,-2147483648}'''),
	('bigint[]', '''{NULL,1}'''), ('bigint[]', '''{{1,2},{3,4}}'''), ('bigint[]', '''{9223372036854775807,-9223372036854775808}'''), ('bigint[]', 'array_fill(1::bigint, ARRAY[20001])'),
	('numeric[]', '''{}'''), ('numeric[]', '''{NULL}'''), ('numeric[]', '''{NaN}'''), ('numeric[]', '''{Infinity}'''), ('numeric[]', '''{{1,2},{3,4}}'''), ('numeric[]', '''{1e130000}'''),
	('boolean[]', '''{}'''), ('boolean[]', '''{NULL}'''), ('boolean[]', '''{{true,false}}'''), ('timestamp with time zone[]', '''{}'''), ('timestamp with time zone[]', '''{NULL}'''),
	('timestamp with time zone[]', '''{infinity}'''), ('timestamp with time zone[]', '''{{-infinity,infinity}}'''),
	('bytea', '''\xffffffffffffffffffffffffffffffff'''), ('bytea', '''\x00'''), ('bytea', 'decode(repeat(''ff'', 100000), ''hex'')'), ('bytea[]', '''{NULL}'''), ('bytea[]', '''{{"\\x01"},{"\\xff"}}'''),
	('bytea[]', '''{"\\xffffffffffffffffffffffffffffffff"}'''), ('boolean', 'false');
INSERT INTO unfit SELECT DISTINCT type, 'NULL' FROM fitting;

CREATE TEMP TABLE callable AS
SELECT p.oid, p.proname, a.n, a.type, COALESCE(f.value, g.value) AS value
FROM pg_proc p CROSS JOIN LATERAL (SELECT n, t::regtype::text AS type, p.proargnames[n] AS argument FROM unnest(p.proargtypes) WITH ORDINALITY AS u (t, n)) AS a
	LEFT JOIN fitting f ON f.type = a.type AND f.argument = a.argument LEFT JOIN fitting g ON g.type = a.type AND g.argument IS NULL
WHERE p.pronamespace = 'prepay'::regnamespace AND p.prokind = 'f' AND p.prorettype <> 'trigger'::regtype AND p.proname <> 'install';
-- A function with an argument of a type that is not thought of here would not be tried.
SELECT DISTINCT type AS type_without_values FROM callable WHERE value IS NULL OR type NOT IN (SELECT type FROM unfit) ORDER BY 1;
CREATE TEMP TABLE attempt AS
SELECT row_number() OVER (ORDER BY c.proname, c.oid, c.n, u.value) AS n, c.oid::regprocedure::text AS function_, c.n AS argument, u.value,
	format('SELECT prepay.%I(%s)', c.proname, (SELECT string_agg(CASE WHEN d.n = c.n THEN u.value ELSE d.value END || '::' || d.type, ', ' ORDER BY d.n) FROM callable d WHERE d.oid = c.oid)) AS statement
FROM callable c JOIN unfit u USING (type);
SELECT count(*) > 1500 AS many, count(DISTINCT function_) > 60 AS of_many FROM attempt;

CREATE FUNCTION pg_temp.outcome(role_ text, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	message text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role_);
	EXECUTE statement;
	RAISE EXCEPTION USING ERRCODE = 'P0000';
EXCEPTION
	WHEN SQLSTATE 'P0000' THEN
		RETURN 'ok';
	WHEN OTHERS OR query_canceled THEN
		GET STACKED DIAGNOSTICS message = MESSAGE_TEXT;
		RETURN SQLSTATE || ' ' || message;
END $$;
SET statement_timeout = '60s';
CREATE TEMP TABLE outcome AS SELECT function_, argument, value, r.role_, left(pg_temp.outcome(r.role_, statement), 100) AS outcome
FROM attempt, (VALUES ('regress_prepay_crafter'), (session_user::text)) AS r (role_) ORDER BY attempt.n, r.role_;
-- Internal errors, a constraint of ours that had to step in, memory that gave out, a statement that did not end or is no SQL.
-- (XX001 is what open_usage() and unposted() answer to stored state that is damaged; the tables of Gammu are not here; xlsx() takes a query.)
SELECT role_ = session_user AS by_superuser, function_, argument, left(value, 60) AS value, outcome FROM outcome
WHERE outcome ~ '^(XX|23|53|54|57|42601|42883|42P|0A|25|26|2F|3[0-8])' AND NOT (function_ ~ '^prepay.(open_usage|unposted)[(]' AND outcome LIKE 'XX001%')
	AND NOT (function_ LIKE 'prepay.sms_exchange(%' AND outcome LIKE '42P01%') AND NOT (function_ LIKE 'prepay.xlsx(%' AND outcome LIKE '42601%') ORDER BY 1, 2, 3, 4;
SELECT count(*) FILTER (WHERE outcome = 'ok') > 200 AS some_went_well, count(*) FILTER (WHERE outcome ~ '^(22|PP|42)') > 1000 AS most_were_refused FROM outcome;
-- All that was undone: nothing has moved.
SELECT * FROM prepay.verify();
DROP OWNED BY regress_prepay_crafter;
DROP ROLE regress_prepay_crafter;
