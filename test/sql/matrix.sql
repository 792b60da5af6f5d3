-- Who may call, read and write what: role × function × table, as the catalogue has it.
SET client_min_messages = warning;
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
CREATE ROLE regress_prepay_nobody;
CREATE TEMP TABLE who (letter text, role_ name);
INSERT INTO who VALUES ('A', 'prepay_admin'), ('S', 'prepay_supervisor'), ('C', 'prepay_cashier'), ('D', 'prepay_dispatcher'), ('N', 'prepay_analyst'),
	('G', 'prepay_agent'), ('T', 'prepay_tenant'), ('W', 'prepay_authenticator'), ('X', 'regress_prepay_nobody');
\pset format unaligned
\pset tuples_only
\pset fieldsep ' '

-- Functions: A admin, S supervisor, C cashier, D dispatcher, N analyst, G agent, T tenant, W web front, X anybody.
SELECT rpad(COALESCE((SELECT string_agg(w.letter, '' ORDER BY position(w.letter IN 'ASCDNGTWX')) FROM who w WHERE has_function_privilege(w.role_, p.oid, 'EXECUTE')), '-'), 8),
	p.oid::regprocedure
FROM pg_proc p WHERE p.pronamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) ORDER BY p.oid::regprocedure::text COLLATE "C";

-- Tables and views: the same after r(ead), i(nsert), u(pdate), d(elete); the prepay_owner's own are left out.
CREATE FUNCTION pg_temp.may(relation oid, privilege text) RETURNS text LANGUAGE sql AS $$
	SELECT rpad(CASE privilege WHEN 'SELECT' THEN 'r' ELSE lower(left(privilege, 1)) END || ':' || COALESCE(string_agg(w.letter, '' ORDER BY position(w.letter IN 'ASCDNGTWX')), '-'), 8)
	FROM who w WHERE has_table_privilege(w.role_, relation, privilege) OR privilege <> 'DELETE' AND has_any_column_privilege(w.role_, relation, privilege) $$;
SELECT c.relkind, pg_temp.may(c.oid, 'SELECT'), pg_temp.may(c.oid, 'INSERT'), pg_temp.may(c.oid, 'UPDATE'), pg_temp.may(c.oid, 'DELETE'), c.relname
FROM pg_class c WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition ORDER BY c.relname COLLATE "C";

-- Nobody truncates, refers to, or hangs a trigger on anything; partitions are reached through their table alone.
SELECT c.relname, w.role_ FROM pg_class c, who w WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p', 'v')
	AND (has_table_privilege(w.role_, c.oid, 'TRUNCATE, REFERENCES, TRIGGER') OR c.relispartition AND has_table_privilege(w.role_, c.oid, 'SELECT, INSERT, UPDATE, DELETE'));
SELECT c.relname, w.role_ FROM pg_class c, who w WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind = 'S' AND has_sequence_privilege(w.role_, c.oid, 'USAGE, SELECT, UPDATE');
-- The schema: who may use it, and that nobody may put something into it.
SELECT w.letter, n, has_schema_privilege(w.role_, n, 'USAGE') AS usage, has_schema_privilege(w.role_, n, 'CREATE') AS create FROM who w, unnest('{prepay,prepay_api}'::text[]) AS n ORDER BY position(w.letter IN 'ASCDNGTWX'), n;
-- A table that can be written by a client has its sites looked after by row security, or, readings, by its trigger.
SELECT c.relname FROM pg_class c WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p') AND NOT c.relrowsecurity
	AND has_table_privilege('prepay_admin', c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1;
-- A table that can be written by a client, other than by readings, is in the operators' log for each way it can be written.
SELECT c.relname, e.privilege FROM pg_class c, (VALUES ('INSERT', 4), ('UPDATE', 16), ('DELETE', 8)) AS e (privilege, bit)
WHERE c.relnamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND c.relkind IN ('r', 'p') AND c.relname <> 'reading' AND has_table_privilege('prepay_admin', c.oid, e.privilege)
	AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgfoid = 'prepay.log_rows()'::regprocedure AND t.tgtype::int & e.bit <> 0);
-- Nothing runs with the rights of its owner, and the owner and the keeper of the roles are nobody.
SELECT p.oid::regprocedure FROM pg_proc p WHERE p.pronamespace IN ('prepay'::regnamespace, 'prepay_api'::regnamespace) AND p.prosecdef;
SELECT rolname, rolsuper, rolcreaterole, rolcreatedb, rolcanlogin, rolbypassrls, rolreplication, (SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE m.roleid = o.oid AND NOT r.rolsuper) AS members,
	(SELECT count(*) FROM pg_auth_members m WHERE m.member = o.oid AND NOT m.admin_option) AS member_of
FROM pg_roles o WHERE rolname IN ('prepay_owner', 'prepay_role_keeper') ORDER BY 1;
SELECT count(*) AS owned_by_keeper FROM pg_shdepend WHERE refobjid = 'prepay_role_keeper'::regrole AND deptype = 'o';
\pset tuples_only
DROP ROLE regress_prepay_nobody;
