-- Accounts: opening, options, meters, changes.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 0.6}');
INSERT INTO prepay.place (site_id, code) VALUES (1, 'P1');
INSERT INTO prepay.meter (site_id, code) SELECT 1, 'M' || n FROM generate_series(1, 6) AS n;
INSERT INTO prepay.meter (site_id, code, purpose) VALUES (1, 'CHECK', 'check');
\set VERBOSITY sqlstate

-- Opened with money brought over from an old meter: an opening entry is always posted.
SELECT prepay.open_account('A1', '张三', '13800000000', 'P1', '{M1}', 'flat', 100, 'old-1');
SELECT prepay.open_account('A2', '李四', meters => '{M2,M3}');
SELECT account, seq, kind, amount, balance_after, key FROM prepay.ledger ORDER BY account, seq;
SELECT account, customer, place, phone, state, color, balance, meters FROM prepay.account_status ORDER BY account;
-- The same key and arguments give the first result; with others it is an error.
SELECT prepay.open_account('A1', '张三', '13800000000', 'P1', '{M1}', 'flat', 100, 'old-1');
SELECT prepay.open_account('A1', '张三', '13800000000', 'P1', '{M1}', 'flat', 101, 'old-1');
SELECT prepay.open_account('A9', '张三', '13800000000', 'P1', '{M1}', 'flat', 100, 'old-1');

-- Refused: and nothing of it stays.
SELECT prepay.open_account('A1', 'Again');
SELECT prepay.open_account('A/3', 'Bad code');
SELECT prepay.open_account(NULL, 'No code');
SELECT prepay.open_account('A3', NULL);
SELECT prepay.open_account('A3', 'Wang', phone => 'call me');
SELECT prepay.open_account('A3', 'Wang', place => 'P9');
SELECT prepay.open_account('A3', 'Wang', tariff => 'steep');
SELECT prepay.open_account('A3', 'Wang', meters => '{M9}');
SELECT prepay.open_account('A3', 'Wang', meters => '{NULL}');
SELECT prepay.open_account('A3', 'Wang', meters => '{M1}');
SELECT prepay.open_account('A3', 'Wang', meters => '{CHECK}');
SELECT prepay.open_account('A3', 'Wang', meters => '{M4,M4}');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 50);
SELECT prepay.open_account('A3', 'Wang', opening_balance => 50, key => '');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 50, key => repeat('k', 201));
SELECT prepay.open_account('A3', 'Wang', opening_balance => -50, key => 'old-3');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 50.001, key => 'old-3');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 'NaN', key => 'old-3');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 'Infinity', key => 'old-3');
SELECT prepay.open_account('A3', 'Wang', opening_balance => 1e20, key => 'old-3');
SELECT prepay.open_account('A3', 'Wang', opening_balance => NULL, key => 'old-3');
SELECT prepay.open_account('A3', 'Wang', options => '{"credit": 5}');
SELECT prepay.open_account('A3', 'Wang', options => '{"credit_limit": "NaN"}');
SELECT prepay.open_account('A3', 'Wang', options => '{"credit_limit": 5.005}');
SELECT prepay.open_account('A3', 'Wang', options => '{"tier_start": -1}');
SELECT prepay.open_account('A3', 'Wang', options => '{"language": "fr"}');
SELECT prepay.open_account('A3', 'Wang', options => '[]');
SELECT count(*) AS accounts, (SELECT count(*) FROM prepay.posting) AS postings,
	(SELECT count(*) FROM prepay.account_meter) AS meters FROM prepay.account;

-- Options that are understood, and changing them.
SELECT prepay.open_account('A3', 'Wang', meters => '{M4}', options => '{"alarm1_amount": 20, "alarm2_amount": "10.00",
	"credit_limit": 5, "tier_extra_kwh": 100, "tier_start": 50.5, "language": "en", "note": "corner shop"}');
SELECT prepay.update_account('A3', '{"customer": "Wang & Sons", "phone": "021-555 0100", "credit_limit": 7.5}');
SELECT prepay.update_account('A3', '{"code": "A4"}');
SELECT prepay.update_account('A3', '{"phone": "none"}');
SELECT prepay.update_account('A9', '{}');
SELECT prepay.update_account('A3', NULL);
SELECT code, customer, phone, alarm1_amount, alarm2_amount, credit_limit, tier_extra_kwh, tier_start_kwh, language, note
FROM prepay.account WHERE account_id = 3;

-- Meters join from a time on, with a register value or without; not in the future, not twice.
SELECT prepay.add_meter('A3', 'M5');
SELECT prepay.add_meter('A3', 'M5');
SELECT prepay.add_meter('A2', 'M1');
SELECT prepay.add_meter('A2', 'CHECK');
SELECT prepay.add_meter('A2', 'M6', effective => '2026-03-02 00:00+08');
SELECT prepay.add_meter('A2', 'M6', 'NaN');
SELECT prepay.add_meter('A2', 'M6', -1);
SELECT prepay.add_meter('A2', NULL);
SELECT prepay.add_meter('A9', 'M6');
SELECT prepay.add_meter('A2', 'M6', 12.5);
SELECT code, account_id, valid_from, valid_to FROM prepay.account_meter JOIN prepay.meter USING (site_id, meter_id) ORDER BY meter_id;
SELECT meter, read_at, kwh, source FROM prepay.readings;

-- Facts that rating depends on are not changed in place once a meter has been rated.
UPDATE prepay.meter SET ratio = 40 WHERE code = 'M5';
SELECT ratio FROM prepay.meter_term WHERE meter_id = 5;
UPDATE prepay.meter SET ratio = 40 WHERE code = 'M6';
UPDATE prepay.meter SET register_max = 1000 WHERE code = 'M6';
UPDATE prepay.meter SET reverse_energy = 'ignore' WHERE code = 'M6';
UPDATE prepay.meter SET ratio = 0 WHERE code = 'M5';
UPDATE prepay.meter SET ratio = 'NaN' WHERE code = 'M5';
UPDATE prepay.meter SET ratio = 1.0000001 WHERE code = 'M5';
UPDATE prepay.meter SET alarm1_amount = 'NaN' WHERE code = 'M5';
UPDATE prepay.meter SET name = 'Front' WHERE code = 'M6';
DELETE FROM prepay.meter WHERE code = 'M6';

-- States: opened at 0 and never funded is unopened, not in arrears.
SELECT account, state, color, balance FROM prepay.account_status ORDER BY account;
SELECT state, prepay.state_color(state) FROM unnest('{open,alarm1,alarm2,arrears,unopened,lost,closed,other}'::text[]) AS state;
SELECT * FROM prepay.verify();
