-- CREATE EXTENSION, install() and its repetition, DROP EXTENSION, the clock.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
DROP SCHEMA IF EXISTS prepay CASCADE;
\set VERBOSITY sqlstate

-- A schema planted beforehand is an error, not something to build in.
CREATE SCHEMA prepay;
CREATE EXTENSION pg_prepay;
DROP SCHEMA prepay;
CREATE EXTENSION pg_prepay;

-- Before install() the functions say what is missing.
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');

-- Only a superuser installs.
CREATE ROLE regress_prepay_nobody;
GRANT USAGE ON SCHEMA prepay TO regress_prepay_nobody;
GRANT EXECUTE ON FUNCTION prepay.install() TO regress_prepay_nobody;
SET ROLE regress_prepay_nobody;
SELECT prepay.install();
RESET ROLE;
REVOKE EXECUTE ON FUNCTION prepay.install() FROM regress_prepay_nobody;
REVOKE USAGE ON SCHEMA prepay FROM regress_prepay_nobody;
DROP ROLE regress_prepay_nobody;

SELECT prepay.install() ~ 'version \d+ installed' AS installed;

-- Everything the storage is made of, to compare with after the second call.
CREATE TEMP VIEW catalogue AS
SELECT 'relation' AS kind, format('%s %s', c.relname, c.relkind) AS object, c.relacl::text AS rights
FROM pg_class c WHERE c.relnamespace = 'prepay'::regnamespace
UNION ALL
SELECT 'column', format('%s.%s', a.attrelid::regclass, a.attname), format_type(a.atttypid, a.atttypmod)
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE c.relnamespace = 'prepay'::regnamespace AND a.attnum > 0
UNION ALL
SELECT 'constraint', format('%s.%s', conrelid::regclass, conname), pg_get_constraintdef(oid)
FROM pg_constraint WHERE connamespace = 'prepay'::regnamespace
UNION ALL
SELECT 'trigger', format('%s.%s', tgrelid::regclass, tgname), pg_get_triggerdef(t.oid)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'prepay'::regnamespace AND NOT tgisinternal
UNION ALL
SELECT 'policy', format('%s.%s', polrelid::regclass, polname), pg_get_expr(polqual, polrelid)
FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid WHERE c.relnamespace = 'prepay'::regnamespace
UNION ALL
SELECT 'function', p.oid::regprocedure::text, p.proacl::text
FROM pg_proc p WHERE p.pronamespace = 'prepay'::regnamespace
UNION ALL
SELECT 'model', code, profile::text FROM prepay.meter_model;
CREATE TEMP TABLE before AS SELECT * FROM catalogue;
SELECT kind, count(*) > 0 AS some FROM before GROUP BY kind ORDER BY kind;

SELECT prepay.install() ~ 'is current' AS current;
SELECT * FROM before EXCEPT SELECT * FROM catalogue;
SELECT * FROM catalogue EXCEPT SELECT * FROM before;

-- The second call keeps what is stored, and puts back a view that somebody dropped.
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
DROP VIEW prepay.ledger;
SELECT prepay.install() ~ 'is current' AS current;
SELECT code FROM prepay.site;
SELECT count(*) FROM prepay.ledger;

-- Storage newer than the library is refused.
UPDATE prepay.installation SET storage_version = 1000000;
SELECT prepay.install();
\c
\set VERBOSITY sqlstate
SELECT prepay.create_site('other', 'Other', 'Asia/Shanghai');
UPDATE prepay.installation SET storage_version = 1;

-- Storage belongs to a role nobody logs in with; money survives an accidental DROP.
SELECT DISTINCT c.relowner::regrole, r.rolcanlogin, r.rolsuper
FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind IN ('r', 'p', 'v');
DROP EXTENSION pg_prepay;

-- Members of the extension hold no data.
SELECT count(*) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid
WHERE d.deptype = 'e' AND d.classid = 'pg_class'::regclass AND c.relkind IN ('r', 'p', 'S')
	AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'pg_prepay');
SELECT extconfig, extnamespace::regnamespace, extrelocatable FROM pg_extension
WHERE extname = 'pg_prepay';

-- The clock: transaction time, frozen, running, malformed, and not for everybody.
SELECT prepay.now() = now() AS real_time;
SET prepay.now = '2026-01-01 00:00+08';
SELECT prepay.now();
SET prepay.now = '2026-01-01 00:00+08@2000-01-01 00:00+00*0';
SELECT prepay.now();
SET prepay.now = '2026-01-01 00:00+08@2000-01-01 00:00+00*2';
SELECT prepay.now() - '2026-01-01 00:00+08' = 2 * (now() - '2000-01-01 00:00+00') AS twice_as_fast;
SET prepay.now = 'tomorrow or so';
SET prepay.now = '2026-01-01 00:00+08@2000-01-01 00:00+00';
SET prepay.now = '2026-01-01 00:00+08@2000-01-01 00:00+00*-1';
SET prepay.now = '2026-01-01 00:00+08@2000-01-01 00:00+00*NaN';
SET prepay.now = '';
SELECT prepay.now() = now() AS real_time;
CREATE ROLE regress_prepay_nobody;
SET ROLE regress_prepay_nobody;
SET prepay.now = '2026-01-01 00:00+08';
RESET ROLE;
DROP ROLE regress_prepay_nobody;
