-- Who logged in when: by the first change of a session, or at once where the database preloads the library.
SET client_min_messages = warning;
SET datestyle = ISO;
SET application_name = 'office';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
\set seen 'SELECT operator = session_user AS me, application, encrypted, address IS NOT NULL AS from_somewhere, logged_in_at BETWEEN now() - interval \'1 hour\' AND clock_timestamp() AS of_late, ended_at IS NOT NULL AS ended, backend_pid = pg_backend_pid() AS this_one FROM prepay.log_in_history ORDER BY logged_in_at'
CREATE FUNCTION public.wait_for_end() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1..3000 LOOP
		EXIT WHEN NOT EXISTS (SELECT FROM prepay.log_in WHERE ended_at IS NULL AND backend_pid <> pg_backend_pid());
		PERFORM pg_sleep(0.01);
	END LOOP;
END $$;

-- A session that only looks is not seen, nor one whose change was rolled back.
SELECT count(*) FROM prepay.verify();
BEGIN;
SELECT prepay.create_site('gone', 'Gone', 'Asia/Shanghai');
ROLLBACK;
SELECT count(*) FROM prepay.log_in;
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
INSERT INTO prepay.place (site_id, code) VALUES (1, 'P1');
:seen;
\c
SET client_min_messages = warning;
SET datestyle = ISO;
SELECT public.wait_for_end();
:seen;
-- A sale is a change as well; a frozen business clock does not matter: log-ins are by the real one.
SET prepay.now = '2026-03-01 12:00+08';
SELECT prepay.open_account('A1', 'Zhang');
SELECT (prepay.sell('A1', 5, 's1')).seq;
SELECT count(*), count(ended_at) AS ended FROM prepay.log_in;

-- Preloaded, every session is seen, also one that only looks; where it cannot be written down, the log-in goes on.
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET session_preload_libraries = ''pg_prepay''', current_database()); END $$;
\c
SET client_min_messages = warning;
SET datestyle = ISO;
SELECT public.wait_for_end();
SELECT count(*), count(ended_at) AS ended FROM prepay.log_in;
INSERT INTO prepay.place (site_id, code) VALUES (1, 'P2');
SELECT count(*), count(ended_at) AS ended FROM prepay.log_in;
ALTER TABLE prepay.log_in ADD CONSTRAINT full_up CHECK (false) NOT VALID;
\c
SET client_min_messages = warning;
SELECT count(*) FROM prepay.log_in;
DROP EXTENSION pg_prepay CASCADE;
\c
SET client_min_messages = warning;
SELECT to_regclass('prepay.log_in') IS NULL AS gone;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET session_preload_libraries', current_database()); END $$;
DROP FUNCTION public.wait_for_end();
