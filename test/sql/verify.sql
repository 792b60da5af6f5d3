-- verify() is empty on healthy books and names what somebody did to them behind our back.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('zj', '{"periods": ["peak", "valley"],
	"schedule": [{"slots": [["00:00", "valley"], ["08:00", "peak"], ["22:00", "valley"]]}],
	"tiers": {"upto": [20, 40]}, "prices": {"peak": [0.568, 0.618, 0.868], "valley": [0.288, 0.338, 0.588]}}');
SELECT prepay.set_setting('town', 'tariff', 'zj');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 3) AS n;
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1,M2}', opening_balance => 100, key => 'o1'),
	prepay.open_account('A2', 'Li', meters => '{M3}', opening_balance => 50, key => 'o2');
SET prepay.now = '2026-03-05 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT 1, m, timestamptz '2026-03-01 00:00+08' + n * interval '3 hours', m * (1.7 * n + 0.4 * (n % 2)) FROM generate_series(1, 3) AS m, generate_series(0, 34) AS n;
SELECT prepay.sell('A1', 20, 's1') IS NOT NULL AS sold, prepay.sell('A2', 30, 's2') IS NOT NULL AS sold;
SELECT prepay.tick();
SELECT account, count(*), sum(amount) FROM prepay.ledger GROUP BY account ORDER BY account;
SELECT * FROM prepay.verify();
SELECT * FROM prepay.verify('town');
SELECT * FROM prepay.verify('town', 'A1');
SELECT * FROM prepay.verify(account => 'A2');
SELECT * FROM prepay.verify(since => '2026-03-05 00:00+08');

-- A superuser with the triggers switched off; what verify() then says. All of it is undone again.
CREATE FUNCTION pg_temp.tamper(what text, statement text) RETURNS TABLE (invariant text, account text, faults bigint, detail text) LANGUAGE plpgsql AS $$
DECLARE
	n bigint;
BEGIN
	BEGIN
		SET LOCAL session_replication_role = replica;
		EXECUTE statement;
		GET DIAGNOSTICS n = ROW_COUNT;
		SET LOCAL session_replication_role = origin;
		IF n = 0 THEN
			invariant := 'NOTHING WAS CHANGED';
			RETURN NEXT;
		END IF;
		FOR invariant, account, faults, detail IN SELECT v.invariant, v.account, count(*), replace(min(v.detail), session_user, 'mine') FROM prepay.verify() v
			GROUP BY v.invariant, v.account ORDER BY v.invariant COLLATE "C", v.account LOOP
			RETURN NEXT;
		END LOOP;
		RAISE EXCEPTION USING ERRCODE = 'P0000';
	EXCEPTION WHEN SQLSTATE 'P0000' THEN
		NULL;
	END;
END $$;
\pset format unaligned
\pset tuples_only
SELECT * FROM pg_temp.tamper('a higher sale', 'UPDATE prepay.ledger_entry SET amount = amount + 100 WHERE key = ''s1''');
SELECT * FROM pg_temp.tamper('a higher sale, summed up again', $$WITH changed AS (UPDATE prepay.ledger_entry SET amount = amount + CASE WHEN key = 's1' THEN 100 ELSE 0 END,
	balance_after = balance_after + 100 WHERE account_id = 1 AND seq >= (SELECT seq FROM prepay.ledger_entry WHERE key = 's1'))
	UPDATE prepay.account_state SET posted_minor = posted_minor + 10000 WHERE account_id = 1$$);
SELECT * FROM pg_temp.tamper('another note', 'UPDATE prepay.ledger_entry SET note = ''gift'' WHERE key = ''s1''');
SELECT * FROM pg_temp.tamper('another time', 'UPDATE prepay.ledger_entry SET booked_at = booked_at - interval ''1 microsecond'' WHERE key = ''s1''');
SELECT * FROM pg_temp.tamper('another operator', 'UPDATE prepay.ledger_entry SET operator = ''somebody'' WHERE key = ''s2''');
SELECT * FROM pg_temp.tamper('the last entry cut off', 'DELETE FROM prepay.ledger_entry WHERE key = ''s2''');
SELECT * FROM pg_temp.tamper('cut off, and the head set back', $$WITH gone AS (DELETE FROM prepay.ledger_entry WHERE key = 's2' RETURNING *)
	UPDATE prepay.account_state s SET last_seq = g.seq - 1, posted_minor = s.posted_minor - 3000,
		last_hash = (SELECT hash FROM prepay.ledger_entry e WHERE e.account_id = 2 AND e.seq = g.seq - 1) FROM gone g WHERE s.account_id = 2$$);
SELECT * FROM pg_temp.tamper('an entry in the middle deleted', 'DELETE FROM prepay.ledger_entry WHERE account_id = 1 AND seq = 2');
SELECT * FROM pg_temp.tamper('an entry put in', $$INSERT INTO prepay.ledger_entry SELECT site_id, account_id, seq + 1, 'sale', 500, balance_after + 500, booked_at, recorded_at, day, 'forged',
	NULL, operator, 'cash', NULL, NULL, NULL, hash FROM prepay.ledger_entry WHERE key = 's2'$$);
SELECT * FROM pg_temp.tamper('all entries of an account gone', 'DELETE FROM prepay.ledger_entry WHERE account_id = 2');
SELECT * FROM pg_temp.tamper('a balance', 'UPDATE prepay.account_state SET posted_minor = posted_minor + 1 WHERE account_id = 2');
SELECT * FROM pg_temp.tamper('a reading', 'UPDATE prepay.reading SET kwh = kwh - 1 WHERE meter_id = 3 AND read_at = ''2026-03-02 09:00+08''');
SELECT * FROM pg_temp.tamper('a reading moved', 'UPDATE prepay.reading SET read_at = read_at + interval ''1 hour'' WHERE meter_id = 3 AND read_at = ''2026-03-02 06:00+08''');
SELECT * FROM pg_temp.tamper('a reading gone', 'DELETE FROM prepay.reading WHERE meter_id = 1 AND read_at = ''2026-03-03 06:00+08''');
SELECT * FROM pg_temp.tamper('the last reading', 'UPDATE prepay.reading SET kwh = kwh + 1 WHERE meter_id = 1 AND read_at = (SELECT max(read_at) FROM prepay.reading)');
SELECT * FROM pg_temp.tamper('a usage line', 'UPDATE prepay.usage_line SET amount = amount - 0.01 WHERE (account_id, day, period, tier) = (2, ''2026-03-01'', 0, 0)');
SELECT * FROM pg_temp.tamper('a usage line''s energy', 'UPDATE prepay.usage_line SET wh = wh - 1 WHERE (account_id, day, period, tier) = (2, ''2026-03-01'', 0, 0)');
SELECT * FROM pg_temp.tamper('a usage line gone', 'DELETE FROM prepay.usage_line WHERE (account_id, day, period, tier) = (2, ''2026-03-01'', 0, 0)');
SELECT * FROM pg_temp.tamper('open usage', 'UPDATE prepay.meter_state SET open_lines = '''' WHERE meter_id = 3');
SELECT * FROM pg_temp.tamper('a price', 'UPDATE prepay.tariff_version SET definition = jsonb_set(definition, ''{prices,peak,0}'', ''0.5'')');
SELECT * FROM pg_temp.tamper('an anchor', 'UPDATE prepay.anchor SET hash = sha256(hash)');
SELECT * FROM pg_temp.tamper('what it covers', 'UPDATE prepay.anchor SET heads = substr(heads, 9)');
-- Without the anchors an emptied ledger still misses the entries its account counts.
SELECT count(*) > 0 AS found FROM pg_temp.tamper('all entries of an account gone, and the anchors',
	'WITH gone AS (DELETE FROM prepay.anchor) DELETE FROM prepay.ledger_entry WHERE account_id = 2') WHERE account = 'A2';
SELECT * FROM pg_temp.tamper('the state of an account', 'DELETE FROM prepay.account_state WHERE account_id = 2');
\pset tuples_only
\pset format aligned
-- All that has been undone.
SELECT * FROM prepay.verify();
