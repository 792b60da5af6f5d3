-- grant_credit(): typed credit, used up before own money, never paid out.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 6) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) SELECT 1, n, '2026-03-01 00:00+08', 0 FROM generate_series(1, 6) AS n;
SELECT prepay.open_account('A' || n, 'Customer', meters => ARRAY['M' || n]) FROM generate_series(1, 4) AS n;
CREATE VIEW pg_temp.bucket AS SELECT account, type, amount, left_amount, ended_at, ended_why FROM prepay.credits ORDER BY account, seq;
CREATE FUNCTION pg_temp.reads(meter int, register numeric) RETURNS void LANGUAGE SQL AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, meter, prepay.now(), register) $$;
\set VERBOSITY sqlstate

-- By priority, then expiry, then creation; own money last.
SELECT balance FROM prepay.sell('A1', 100, 's1');
SELECT kind, amount, balance, note FROM prepay.grant_credit('A1', 10, 'g1', '{"type": "late", "priority": 50, "expires": "2026-03-31"}');
SELECT balance FROM prepay.grant_credit('A1', 10, 'g2', '{"type": "soon", "priority": 50, "expires": "2026-03-05"}');
SELECT balance FROM prepay.grant_credit('A1', 10, 'g3', '{"type": "last"}');
SELECT balance FROM prepay.grant_credit('A1', 10, 'g4', '{"type": "last too"}');
SELECT balance FROM prepay.grant_credit('A1', 10, 'g5', '{"type": "first", "priority": 0, "expires": "2026-12-31"}');
SELECT * FROM pg_temp.bucket;
SET prepay.now = '2026-03-02 00:00+08';
SELECT pg_temp.reads(1, 12);
SELECT * FROM pg_temp.bucket;
SET prepay.now = '2026-03-02 12:00+08';
SELECT pg_temp.reads(1, 35);
SELECT * FROM pg_temp.bucket;
SELECT prepay.refund('A1', 100.01, 'r1');
SELECT balance FROM prepay.refund('A1', 99, 'r1');
-- Own money goes only when all that was given has gone: 15.5 is more than the 15 left.
SET prepay.now = '2026-03-03 12:00+08';
SELECT pg_temp.reads(1, 50.5);
SELECT * FROM pg_temp.bucket;
SELECT prepay.refund('A1', 0.51, 'r2');
SELECT balance FROM prepay.refund('A1', 0.5, 'r2');
-- A corrected reading gives back what was taken last.
SELECT prepay.correct_reading('M1', '2026-03-03 12:00+08', 44, 'misread');
SELECT * FROM pg_temp.bucket;
SELECT prepay.refund('A1', 0.51, 'r3');
SELECT balance FROM prepay.refund('A1', 0.5, 'r3');

-- What is left when it expires lapses with the next tick(): through the local day named.
SELECT balance FROM prepay.grant_credit('A2', 20, 'h1', '{"type": "subsidy", "expires": "2026-03-04"}');
SELECT balance FROM prepay.sell('A2', 5, 's2');
SET prepay.now = '2026-03-04 23:59:59+08';
SELECT pg_temp.reads(2, 8);
SELECT prepay.tick();
SELECT * FROM pg_temp.bucket WHERE account = 'A2';
SET prepay.now = '2026-03-05 00:00+08';
SELECT prepay.tick();
SELECT * FROM pg_temp.bucket WHERE account = 'A2';
SELECT prepay.tick();
SELECT seq, kind, amount, balance_after, ref_seq, operator = session_user AS mine, note FROM prepay.ledger WHERE account = 'A2' ORDER BY seq;
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT prepay.refund('A2', 5.01, 'r4');
-- A late reading for the time before it: what the grant had paid then is own money again.
SELECT prepay.correct_reading('M2', '2026-03-04 23:59:59+08', 6, 'misread');
SELECT balance FROM prepay.refund('A2', 5, 'r4');
-- Nothing is left of one that was used up: it ends without an entry; supply is decided when money lapses.
SELECT balance FROM prepay.grant_credit('A3', 6, 'h2', '{"expires": "2026-03-05 18:00+08"}');
SELECT balance FROM prepay.grant_credit('A4', 6, 'h3', '{"expires": "2026-03-05T10:00:00Z"}');
SET prepay.now = '2026-03-05 12:00+08';
SELECT pg_temp.reads(3, 6), pg_temp.reads(4, 1);
SELECT account, state, balance, meters_cut FROM prepay.account_status WHERE account IN ('A3', 'A4') ORDER BY account;
SET prepay.now = '2026-03-05 18:00+08';
SELECT prepay.tick() > 0 AS more;
SELECT prepay.tick();
SELECT account, state, balance, meters_cut FROM prepay.account_status WHERE account IN ('A3', 'A4') ORDER BY account;
SELECT * FROM pg_temp.bucket WHERE account IN ('A3', 'A4');
-- What has lapsed is not brought back by reversing, neither the grant nor the lapse.
SELECT prepay.reverse('A4', 2, 'x');
SELECT prepay.reverse('A4', (SELECT seq FROM prepay.ledger WHERE account = 'A4' AND kind = 'credit' AND amount < 0), 'x');

SELECT prepay.grant_credit('A1', 1, 'x', '{"expires": "2026-03-04"}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"expires": "2026-03-05 17:00"}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"expires": "tomorrow"}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"expires": "31.12.2026"}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"expires": "2026-13-31"}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"priority": -1}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"priority": 1.5}');
SELECT prepay.grant_credit('A1', 1, 'x', '{"colour": "red"}');
SELECT prepay.grant_credit('A1', 0, 'x');
SELECT prepay.grant_credit('A1', -1, 'x');
SELECT prepay.grant_credit('A1', 'NaN', 'x');
SELECT prepay.grant_credit('A1', 0.001, 'x');
SELECT prepay.grant_credit('A1', NULL, 'x');
SELECT prepay.grant_credit(NULL, 1, 'x');
SELECT prepay.grant_credit('A1', 1, NULL);
SELECT prepay.grant_credit('A9', 1, 'x');
-- A key keeps its result also after the grant's time.
SELECT amount, balance FROM prepay.grant_credit('A2', 20, 'h1', '{"type": "subsidy", "expires": "2026-03-04"}');
SELECT prepay.grant_credit('A2', 20, 'h1', '{"type": "subsidy", "expires": "2026-03-05"}');
SELECT * FROM prepay.verify();
