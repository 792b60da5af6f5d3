-- Operators: made, changed and dismissed by administrators of their sites, with passwords that keep the rules.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 12:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
\set VERBOSITY terse

-- A superuser makes the first administrators; an administrator makes the others.
SELECT prepay.create_operator('regress_op_boss', 'Sesame-open-26', '{admin}', '{town}', '{"full_name": "Boss of the town"}');
SELECT prepay.create_operator('regress_op_mall', 'Sesame-open-26', '{admin}', '{mall}');
SELECT prepay.create_operator('regress_op_both', 'Sesame-open-26', '{prepay_admin}', '{town,mall,town}');
SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolinherit, rolreplication, rolbypassrls, rolvaliduntil, rolconnlimit FROM pg_roles WHERE rolname LIKE 'regress\_op\_%' ORDER BY 1;
SELECT rolpassword LIKE 'SCRAM-SHA-256$%' AS scram, count(*) FROM pg_authid WHERE rolname LIKE 'regress\_op\_%' GROUP BY 1;
SET SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.create_operator('regress_op_zhang', 'Sesame-open-26', '{cashier}');
SELECT prepay.create_operator('regress_op_li', 'Sesame-open-26', '{dispatcher,analyst}', '{town}', '{"valid_until": "2090-01-01 00:00+08"}');
SELECT prepay.create_operator('regress_op_agent', 'Sesame-open-26', '{agent}', '{town}');
SELECT site, operator, full_name, roles, state, replace(created_by, :'USER', 'superuser') AS created_by, password_set_at, password_valid_until, valid_until FROM prepay.operators ORDER BY operator;
-- Only names and roles that are an operator's.
SELECT prepay.create_operator(n, 'Sesame-open-26', '{cashier}') FROM unnest(ARRAY['prepay_owner', 'prepay_x', 'pg_read_all_data', 'public', 'none', '', ' x', 'a/b', repeat('x', 64), E'a\nb']) AS n;
SELECT prepay.create_operator('', 'Sesame-open-26', '{cashier}');
SELECT prepay.create_operator('prepay_x', 'Sesame-open-26', '{cashier}');
SELECT prepay.create_operator('pg_x', 'Sesame-open-26', '{cashier}');
SELECT prepay.create_operator(repeat('x', 64), 'Sesame-open-26', '{cashier}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', ARRAY[r]) FROM unnest('{prepay_owner}'::text[]) AS r;
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{role_keeper}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{authenticator}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{tenant}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{pg_read_all_data}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{cashier,NULL}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', NULL);
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{agent,cashier}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{cashier}', '{mall}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{cashier}', '{town,mall}');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{cashier}', '{town}', '{"superuser": true}');
SELECT prepay.create_operator('regress_op_zhang', 'Sesame-open-26', '{admin}');
SELECT prepay.create_operator(session_user::text, 'Sesame-open-26', '{admin}');
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_op_foreign LOGIN;
SET SESSION AUTHORIZATION regress_op_both;
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{cashier}');
SELECT prepay.create_operator('regress_op_foreign', 'Sesame-open-26', '{cashier}', '{town}');
-- A quoted name is a name.
SELECT prepay.create_operator('regress_op_" SUPERUSER', 'Sesame-open-26', '{cashier}', '{town}');
SELECT rolname, rolsuper FROM pg_roles WHERE rolname LIKE 'regress\_op\_"%';
SELECT prepay.drop_operator('regress_op_" SUPERUSER');

-- Passwords.
SET SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.set_operator_password('regress_op_zhang', p) FROM unnest('{Short-1}'::text[]) AS p;
SELECT prepay.set_operator_password('regress_op_zhang', 'onlylowercaseletters');
SELECT prepay.set_operator_password('regress_op_zhang', 'Regress_Op_Zhang-26');
SELECT prepay.set_operator_password('regress_op_zhang', 'Sesame-open-26');
SELECT prepay.set_operator_password('regress_op_zhang', 'md5' || repeat('0', 32));
SELECT prepay.set_operator_password('regress_op_zhang', NULL);
SELECT prepay.set_operator_password('regress_op_zhang', repeat('Aa1-', 100));
SELECT prepay.set_operator_password('regress_op_zhang', '电表电表电表电表电表Aa');
SELECT prepay.set_setting('town', 'password_min_length', '8'), prepay.set_setting('town', 'password_classes', '1'), prepay.set_setting('town', 'password_days', '90'), prepay.set_setting('town', 'password_history', '2');
SELECT prepay.set_operator_password('regress_op_zhang', 'lowercase');
SELECT prepay.set_operator_password('regress_op_zhang', 'uppercase');
SELECT prepay.set_operator_password('regress_op_zhang', 'lowercase');
SELECT prepay.set_operator_password('regress_op_zhang', 'Sesame-open-26');
SELECT prepay.set_operator_password('regress_op_zhang', 'lowercase');
SELECT operator, password_valid_until BETWEEN now() + interval '89 days' AND now() + interval '91 days' AS in_90_days FROM prepay.operators WHERE operator = 'regress_op_zhang';
RESET SESSION AUTHORIZATION;
SELECT operator, count(*) FROM prepay.operator_password GROUP BY 1 ORDER BY 1;
-- Its own password everybody may set, nobody else's; of several sites the strictest rules.
SET SESSION AUTHORIZATION regress_op_zhang;
SELECT prepay.set_operator_password('regress_op_zhang', 'mine-alone');
SELECT prepay.set_operator_password('regress_op_li', 'Sesame-open-27');
SELECT prepay.grant_role('regress_op_zhang', 'admin');
SELECT prepay.create_operator('regress_op_x', 'Sesame-open-26', '{cashier}');
SELECT prepay.drop_operator('regress_op_li');
SET SESSION AUTHORIZATION regress_op_both;
SELECT prepay.set_operator_password('regress_op_both', 'lowercase');
-- The statement shows no password.
RESET SESSION AUTHORIZATION;
CREATE FUNCTION pg_temp.shown(password text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	PERFORM prepay.set_operator_password('regress_op_both', password);
	RETURN (SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid());
END $$;
SELECT pg_temp.shown('Sesame-open-27');

-- Who also works elsewhere is changed by who may use all its sites.
SET SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.set_operator_password('regress_op_both', 'Sesame-open-28');
SELECT prepay.grant_role('regress_op_both', 'cashier');
SELECT prepay.revoke_role('regress_op_both', 'admin');
SELECT prepay.drop_operator('regress_op_both');
SELECT prepay.set_operator_password('regress_op_mall', 'Sesame-open-28');
SELECT prepay.drop_operator('regress_op_mall');
SELECT prepay.grant_role('regress_op_zhang', NULL, '{mall}');
SELECT prepay.drop_operator('regress_op_boss');
SELECT prepay.set_operator_password('regress_op_foreign', 'Sesame-open-28');
SELECT prepay.grant_role('prepay_owner', 'cashier');
SELECT prepay.grant_role('regress_op_li', 'owner');
SELECT prepay.grant_role('regress_op_li', 'agent');
SELECT prepay.grant_role('regress_op_agent', 'cashier');
SELECT prepay.grant_role('regress_op_li', NULL);
SELECT prepay.grant_role(NULL, 'cashier');
SELECT prepay.grant_role('regress_op_li', 'cashier');
SELECT prepay.revoke_role('regress_op_li', 'analyst');
SELECT prepay.revoke_role('regress_op_li', 'supervisor');
SET SESSION AUTHORIZATION regress_op_both;
SELECT prepay.grant_role('regress_op_li', 'supervisor', '{mall}');
SELECT site, operator, roles FROM prepay.operators WHERE operator = 'regress_op_li' ORDER BY site;
SELECT prepay.revoke_role('regress_op_li', NULL, '{mall}');

-- What an administrator of the server has given more is not touched.
RESET SESSION AUTHORIZATION;
BEGIN;
ALTER ROLE regress_op_zhang CREATEROLE;
SET LOCAL SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.set_operator_password('regress_op_zhang', 'Sesame-open-28');
ROLLBACK;
BEGIN;
GRANT pg_read_all_data TO regress_op_zhang;
SET LOCAL SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.set_operator_password('regress_op_zhang', 'Sesame-open-28');
ROLLBACK;
BEGIN;
ALTER ROLE regress_op_zhang SUPERUSER;
SET LOCAL SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.drop_operator('regress_op_zhang');
ROLLBACK;
BEGIN;
ALTER ROLE regress_op_zhang RENAME TO regress_op_gone;
CREATE ROLE regress_op_zhang;
SET LOCAL SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.grant_role('regress_op_zhang', 'admin');
ROLLBACK;
-- A role of the keeper is nobody's to become.
SET SESSION AUTHORIZATION regress_op_boss;
SET ROLE prepay_role_keeper;
CREATE ROLE regress_op_own;
ALTER ROLE regress_op_zhang PASSWORD 'x';
SELECT * FROM prepay.operator_password;
UPDATE prepay.operator SET valid_until = 'infinity';

-- Dismissed: no right from the next statement on, the name stays taken, the person may come back.
SET SESSION AUTHORIZATION regress_op_zhang;
SELECT count(*) FROM prepay.account_status;
SET SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.drop_operator('regress_op_zhang', 'left the town');
SELECT prepay.drop_operator('regress_op_zhang');
SELECT prepay.set_operator_password('regress_op_zhang', 'Sesame-open-28');
SELECT prepay.grant_role('regress_op_zhang', 'cashier');
SELECT prepay.create_operator('regress_op_zhang', 'Sesame-open-29', '{cashier}');
SELECT operator, roles, state, dropped_at, dropped_by, dropped_why FROM prepay.operators WHERE operator = 'regress_op_zhang';
SET SESSION AUTHORIZATION regress_op_zhang;
SELECT count(*) FROM prepay.account_status;
SELECT prepay.set_operator_password('regress_op_zhang', 'Sesame-open-28');
RESET SESSION AUTHORIZATION;
SELECT rolcanlogin, rolpassword FROM pg_authid WHERE rolname = 'regress_op_zhang';
SET SESSION AUTHORIZATION regress_op_boss;
SELECT prepay.create_operator('regress_op_zhang', 'mine-alone', '{analyst}', '{town}', '{"reinstate": true}');
SELECT prepay.create_operator('regress_op_zhang', 'Sesame-open-29', '{analyst}', '{town}', '{"reinstate": true}');
SELECT operator, roles, state, dropped_at, dropped_why FROM prepay.operators WHERE operator = 'regress_op_zhang';

-- All of it is in the log, told at each site, and no password is.
SELECT site, replace(operator, :'USER', 'superuser') AS operator, action, object, before, after FROM prepay.operator_changes WHERE object LIKE 'operator:%' AND action NOT LIKE '% operator_site' ORDER BY recorded_at, site, log_no;
RESET SESSION AUTHORIZATION;
SELECT count(*) FILTER (WHERE l::text ~ 'open-2|lowercase|mine-alone') AS with_password, count(*) FILTER (WHERE l::text ~ 'SCRAM') AS with_verifier FROM prepay.operator_log l;
SELECT * FROM prepay.verify();
DO $$
DECLARE
	r text;
BEGIN
	FOR r IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress\_op\_%' LOOP
		EXECUTE format('DROP OWNED BY %I', r);
		EXECUTE format('DROP ROLE %I', r);
	END LOOP;
END $$;
