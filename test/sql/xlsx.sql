-- Export of a query as a workbook: what is refused. (What is in the file: test/t/023_xlsx.pl)
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET prepay.now = '2026-03-02 09:15:07+08';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SELECT substr(prepay.xlsx('VALUES (1)'), 1, 2) = 'PK' AS is_zip;
SELECT prepay.xlsx(NULL);
\set VERBOSITY sqlstate
SELECT prepay.xlsx('');
SELECT prepay.xlsx('SELECT 1; SELECT 2');
SELECT prepay.xlsx('BEGIN');
SELECT prepay.xlsx('CREATE TABLE t (a int)');
SELECT prepay.xlsx('INSERT INTO prepay.holiday (calendar, day, name, day_type) VALUES (''CN'', ''2026-10-01'', ''国庆'', ''holiday'') RETURNING day');
SELECT prepay.xlsx('WITH gone AS (DELETE FROM prepay.holiday RETURNING day) SELECT * FROM gone');
SELECT prepay.xlsx('SELECT * FROM prepay.site FOR UPDATE');
SELECT prepay.xlsx('SELECT * INTO t FROM prepay.site');
SELECT prepay.xlsx('EXPLAIN SELECT 1');
SELECT prepay.xlsx('COPY prepay.site TO STDOUT');
SELECT prepay.xlsx('SELECT $1');
SELECT prepay.xlsx('SELECT');
SELECT prepay.xlsx('SELECT * FROM nothing_there');
SELECT prepay.xlsx('SELECT repeat(''长'', 32768) AS note');
SELECT substr(prepay.xlsx('SELECT repeat(''长'', 32767) AS note'), 1, 2) = 'PK' AS fits;
-- The query runs with the caller's rights.
CREATE ROLE xlsx_clerk;
GRANT prepay_cashier TO xlsx_clerk;
SET ROLE xlsx_clerk;
SELECT substr(prepay.xlsx('SELECT * FROM prepay.sales'), 1, 2) = 'PK' AS is_zip;
SELECT prepay.xlsx('SELECT * FROM prepay.ledger_entry');
RESET ROLE;
REVOKE prepay_cashier FROM xlsx_clerk;
DROP ROLE xlsx_clerk;
