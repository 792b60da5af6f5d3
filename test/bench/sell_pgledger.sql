-- The accounts of pgledger for the same sales: a household each, and a till for each client as ours have.
CREATE TABLE bench_account (n int PRIMARY KEY, id text NOT NULL);
INSERT INTO bench_account SELECT n, (pgledger_create_account('a' || n, 'CNY')).id FROM generate_series(1, :accounts) AS n;
INSERT INTO bench_account SELECT -n, (pgledger_create_account('t' || n, 'CNY')).id FROM generate_series(1, 16) AS n;
