-- Every table, view and column says what it holds: that is the user interface.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SELECT c.relkind, c.relname AS without_comment FROM pg_class c
WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
	AND obj_description(c.oid, 'pg_class') IS NULL
ORDER BY c.relname;
SELECT c.relname, count(*) AS columns_without_comment, string_agg(a.attname, ' ' ORDER BY a.attnum) AS columns FROM pg_class c
	JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p', 'v') AND NOT c.relispartition
	AND col_description(c.oid, a.attnum) IS NULL
GROUP BY c.relname ORDER BY c.relname;
SELECT p.oid::regprocedure AS without_comment FROM pg_proc p
WHERE p.pronamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND obj_description(p.oid, 'pg_proc') IS NULL ORDER BY p.proname;
SELECT t.typname AS without_comment FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
WHERE t.typnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND t.typelem = 0 AND (c.relkind IS NULL OR c.relkind = 'c')
	AND obj_description(t.oid, 'pg_type') IS NULL ORDER BY t.typname;
SELECT obj_description('prepay'::regnamespace, 'pg_namespace') IS NOT NULL AND obj_description('prepay_api'::regnamespace, 'pg_namespace') IS NOT NULL AS schema,
	obj_description((SELECT oid FROM pg_extension WHERE extname = 'pg_prepay'), 'pg_extension') IS NOT NULL AS extension;
