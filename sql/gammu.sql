-- Short messages by Gammu SMSD: its schema in this database, in schema smsd, for a role of its own that
-- can do nothing else here. Run by a superuser with psql, once:
--
--   psql -d DATABASE -v gammu=FILE -f sql/gammu.sql
--
-- where FILE is the pgsql.sql that comes with Gammu SMSD (Debian: in its folder of /usr/share/doc). Then give the
-- role a password (\password smsd), name it in the daemon's configuration (service = sql, driver = native_pgsql,
-- user = smsd, database = DATABASE), and call prepay.sms_exchange() every few seconds.
\set ON_ERROR_STOP on
SELECT NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'smsd') AS new_role \gset
\if :new_role
CREATE ROLE smsd LOGIN NOINHERIT;
\endif
CREATE SCHEMA smsd AUTHORIZATION smsd;
-- Gammu names its tables without a schema.
SELECT format('ALTER ROLE smsd IN DATABASE %I SET search_path = smsd', current_database()) \gexec
SET ROLE smsd;
SET search_path = smsd;
-- It makes the language plpgsql, which is there.
\set ON_ERROR_STOP off
\i :gammu
\set ON_ERROR_STOP on
RESET ROLE;
RESET search_path;
SELECT "Version" AS gammu_schema FROM smsd.gammu;
