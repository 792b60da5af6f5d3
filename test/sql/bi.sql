-- What a BI tool relies on: report views have plain columns that say what they are, and people's words stay in place.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
CREATE TEMP VIEW report AS SELECT c.oid, c.relname FROM pg_class c WHERE c.relkind = 'v'
	AND (c.relnamespace = 'prepay'::regnamespace AND has_table_privilege('prepay_analyst', c.oid, 'SELECT') OR c.relnamespace = 'prepay_api'::regnamespace);
-- No arrays, no json, no records in what an analyst sees.
SELECT r.relname, a.attname, format_type(a.atttypid, a.atttypmod) FROM report r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
	JOIN pg_type t ON t.oid = a.atttypid
WHERE t.typcategory IN ('A', 'C', 'P') OR t.typname IN ('json', 'jsonb', 'xml') ORDER BY 1, 2;
-- Views begin with the site.
SELECT r.relname, a.attname FROM report r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum = 1 WHERE a.attname <> 'site' ORDER BY 1;
-- A name means one kind of value everywhere, so that reports can be joined.
SELECT a.attname, string_agg(DISTINCT format_type(a.atttypid, -1), ', ') AS types, string_agg(DISTINCT r.relname, ', ') AS views
FROM report r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 JOIN pg_type t ON t.oid = a.atttypid GROUP BY a.attname
HAVING count(DISTINCT t.typcategory) > 1 ORDER BY 1;
-- Money and energy say their unit: currency, kWh or kW stands in the comment of each number that is one.
SELECT r.relname, a.attname, col_description(r.oid, a.attnum) AS comment FROM report r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0
WHERE (a.attname ~ 'kwh' AND col_description(r.oid, a.attnum) !~ 'kWh' OR a.attname ~ '(^|_)kw$' AND col_description(r.oid, a.attnum) !~ 'kW')
ORDER BY 1, 2;
-- Every setting says what it means, and what a setting can be.
SELECT name, kind FROM prepay.known_settings() WHERE meaning IS NULL OR meaning !~ '\.$' OR kind = 'choice' AND range IS NULL;
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai') AS site;
SELECT prepay.set_setting('town', 'hoarding_cap', '2000');
SELECT name, value, is_default, default_value, kind, range FROM prepay.settings WHERE name IN ('hoarding_cap', 'language', 'seal_delay', 'min_sale') ORDER BY name;
\set VERBOSITY sqlstate
SELECT prepay.set_setting('town', 'hording_cap', '2000');
