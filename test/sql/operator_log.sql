-- The operators' log: who changed what, from where, before and after; append-only, chained, proven by verify().
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
SET application_name = 'office';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
-- What install() writes is nobody's work.
SELECT count(*) FROM prepay.operator_log;
SET prepay.now = '2026-03-01 12:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
CREATE ROLE regress_log_admin LOGIN;
CREATE ROLE regress_log_cashier LOGIN;
GRANT prepay_admin TO regress_log_admin;
GRANT prepay_cashier TO regress_log_cashier;
INSERT INTO prepay.operator_site VALUES (1, 'regress_log_admin'), (2, 'regress_log_admin'), (1, 'regress_log_cashier');
\set log 'SELECT site, log_no, action, object, before, after FROM prepay.operator_changes WHERE operator = session_user ORDER BY recorded_at, site, log_no'

-- Every way an administrator changes something.
SET SESSION AUTHORIZATION regress_log_admin;
SELECT prepay.define_tariff('town/flat', '{"prices": 0.6}'), prepay.define_tariff('town/flat', '{"prices": 0.7}', '2026-04-01 00:00+08', '{"note": "more"}');
SELECT prepay.set_setting('town', 'tariff', 'flat'), prepay.set_setting('town', 'credit_limit', '5'), prepay.set_setting('town', 'credit_limit', '6'), prepay.set_setting('town', 'credit_limit', NULL);
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'B1', 'Building'), (2, 'B1', 'Hall');
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'B1-1', 1);
SELECT prepay.create_agent('town/gw');
INSERT INTO prepay.gateway (site_id, code, agent, address, poll_interval) VALUES (1, 'G1', 'gw', '10.0.0.1:502', '5 minutes');
INSERT INTO prepay.meter (site_id, code, place_id, gateway_id, unit_id, ratio) VALUES (1, 'M1', 2, 1, 1, 1), (1, 'M2', 2, 1, 2, 40), (1, 'M3', 2, NULL, NULL, 1);
UPDATE prepay.meter SET power_limit_kw = meter_id, name = 'Shop ' || meter_id WHERE site_id = 1 AND meter_id < 3;
UPDATE prepay.meter SET name = name WHERE site_id = 1;
UPDATE prepay.meter SET code = 'M3b' WHERE code = 'M3';
UPDATE prepay.place SET name = 'x' WHERE site_id = 99;
INSERT INTO prepay.meter_import (site, building, unit, meter) VALUES ('town', 'B2', 'B2-1', 'M4');
INSERT INTO prepay.holiday (calendar, day, name) VALUES ('CN', '2026-10-01', '国庆节');
DELETE FROM prepay.holiday;
INSERT INTO prepay.supply_policy (site_id, code, weekdays, from_time, to_time) VALUES (1, 'night', '{1,2,3,4,5}', '22:00', '06:00');
UPDATE prepay.supply_policy SET active = false;
INSERT INTO prepay.switch_schedule (site_id, code, place_id, from_time, to_time) VALUES (1, 'lights', 1, '23:00', '05:00');
DELETE FROM prepay.switch_schedule;
INSERT INTO prepay.message_template (site_id, template, language, body) SELECT 1, template, language, body FROM prepay.message_template WHERE template = 'alarm1' AND language = 'en';
SELECT prepay.open_account('town/A1', 'Zhang', place => 'B1-1', meters => '{town/M1}', opening_balance => 10, key => 'o1');
SELECT prepay.update_account('town/A1', '{"phone": "13800000000", "alarm1_amount": 5}');
SELECT prepay.assign_tariff('town/A1', 'flat', '2026-03-02 00:00+08');
SELECT prepay.add_meter('town/A1', 'town/M2');
SELECT prepay.change_meter('town/M2', '{"ratio": 60}');
SELECT prepay.remove_meter('town/A1', 'town/M2');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 10:00+08', 100), (1, 1, '2026-03-01 11:00+08', 101), (1, 1, '2026-03-01 11:30+08', 50);
SELECT prepay.resolve_review('town', min(review_id), 'reject', 'nonsense') FROM prepay.reading_review WHERE site_id = 1 AND status = 'open';
SELECT prepay.correct_reading('town/M1', '2026-03-01 11:00+08', 102, 'misread');
SELECT count(*) FROM prepay.control('town/B1', 'trip', reason => 'fire drill');
SELECT count(*) FROM prepay.control('town/M1', 'prepaid');
SELECT prepay.cancel_command(max(command_id), 'town') FROM prepay.command WHERE status = 'queued';
SELECT prepay.acknowledge_alarm('town', 'suspect', 'seen');
SELECT count(*) FROM prepay.tick();
INSERT INTO prepay.operator_site (site_id, operator) VALUES (2, 'regress_log_cashier');
DELETE FROM prepay.operator_site WHERE site_id = 2 AND operator = 'regress_log_cashier';
:log;

-- Money is in the ledger with its operator; one list unites it with the changes and the prints.
SET SESSION AUTHORIZATION regress_log_cashier;
SELECT (prepay.open_shift(100)).shift_no, (prepay.sell('A1', 5, 's1')).seq, length(prepay.receipt('A1', 1)) > 0 AS printed, prepay.update_account('A1', '{"note": "friendly"}');
SELECT (prepay.close_shift(105)).difference;
RESET SESSION AUTHORIZATION;
SELECT site, done_at, action, object, amount, detail FROM prepay.operator_work WHERE operator = 'regress_log_cashier' ORDER BY action COLLATE "C", object;
SELECT address IS NOT NULL AS from_somewhere, application, login, role, recorded_at BETWEEN now() - interval '1 hour' AND clock_timestamp() AS at_real_time, count(*)
FROM prepay.operator_log WHERE operator = 'regress_log_cashier' GROUP BY 1, 2, 3, 4, 5;
-- What is refused, and what is rolled back, has not happened.
BEGIN;
UPDATE prepay.site SET name = 'Never';
ROLLBACK;
SELECT count(*) FROM prepay.operator_log WHERE object = 'site:town' AND action LIKE 'update%';
UPDATE prepay.site SET name = 'Town!' WHERE code = 'town';
SELECT before, after FROM prepay.operator_log WHERE action = 'update site';

-- Who it was: SET ROLE does not hide it, nor may a front that serves many people put it on itself.
GRANT regress_log_cashier TO regress_log_admin;
SET SESSION AUTHORIZATION regress_log_admin;
SET ROLE regress_log_cashier;
SELECT prepay.update_account('town/A1', '{"note": "as another"}'), prepay.operator_name();
RESET SESSION AUTHORIZATION;
CREATE ROLE regress_log_front LOGIN NOINHERIT;
GRANT prepay_authenticator, regress_log_cashier TO regress_log_front;
SET SESSION AUTHORIZATION regress_log_front;
SET ROLE regress_log_cashier;
SELECT prepay.update_account('A1', '{"note": "by the front"}'), prepay.operator_name(), (prepay.sell('A1', 5, 's2')).seq;
RESET ROLE;
RESET SESSION AUTHORIZATION;
SELECT operator, login, role, after FROM prepay.operator_log WHERE action = 'update account' ORDER BY recorded_at;
SELECT operator, key FROM prepay.ledger WHERE key LIKE 's_' ORDER BY key;

-- Nobody changes it, and who does so with the triggers off is seen.
\set VERBOSITY sqlstate
UPDATE prepay.operator_log SET operator = 'somebody';
DELETE FROM prepay.operator_log;
TRUNCATE prepay.operator_log;
SET ROLE prepay_owner;
DELETE FROM prepay.operator_log;
RESET ROLE;
DELETE FROM prepay.log_in;
\set VERBOSITY default
SELECT * FROM prepay.verify();
BEGIN;
SET LOCAL session_replication_role = replica;
UPDATE prepay.operator_log SET after = '{"note": "friendlier"}' WHERE after = '{"note": "friendly"}';
SELECT invariant, detail FROM prepay.verify('town');
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM prepay.operator_log WHERE operator = 'regress_log_cashier' AND log_no = (SELECT max(log_no) FROM prepay.operator_log WHERE operator = 'regress_log_cashier');
SELECT invariant, detail FROM prepay.verify('town');
ROLLBACK;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM prepay.operator_log WHERE site_id = 0;
SELECT site, invariant, detail FROM prepay.verify('mall');
ROLLBACK;

-- Cut off to the end, with the head set back: the day's anchor knows better.
SET prepay.now = '2026-03-02 12:00+08';
SELECT prepay.tick() >= 0 AS ticked;
BEGIN;
SET LOCAL session_replication_role = replica;
DELETE FROM prepay.operator_log WHERE operator = 'regress_log_cashier' AND log_no = (SELECT max(log_no) FROM prepay.operator_log WHERE operator = 'regress_log_cashier');
UPDATE prepay.operator_log_head h SET last_no = l.log_no, last_hash = l.hash FROM prepay.operator_log l
WHERE h.operator = 'regress_log_cashier' AND l.operator = h.operator AND l.site_id = h.site_id AND l.log_no = h.last_no - 1;
SELECT invariant, detail FROM prepay.verify('town');
ROLLBACK;
SELECT * FROM prepay.verify();

-- A load of thousands of rows is one insert of entries, each row its own; what they say is the rows.
INSERT INTO prepay.place (site_id, code) SELECT 1 + n % 2, 'P' || n FROM generate_series(1, 3000) AS n;
SELECT site_id, count(*), count(DISTINCT recorded_at) < 10 AS in_batches, min(object), max(object), max(log_no) - min(log_no) + 1 = count(*) AS in_a_row FROM prepay.operator_log WHERE object LIKE 'place:P%' GROUP BY 1 ORDER BY 1;
SELECT count(*) FROM prepay.operator_log l JOIN prepay.place p USING (site_id) WHERE l.object = 'place:' || p.code AND l.after ->> 'code' = p.code AND (l.after ->> 'place_id')::int = p.place_id AND p.code LIKE 'P%';
-- A dump restores it as it was: the triggers come after the rows, and times do not depend on the zone.
SET timezone = 'America/New_York';
SET datestyle = 'SQL, DMY';
SELECT * FROM prepay.verify();
DROP OWNED BY regress_log_admin, regress_log_cashier, regress_log_front;
DROP ROLE regress_log_admin, regress_log_cashier, regress_log_front;
