-- Meters that keep their own money: recharges by purchase count, withdrawals, reconciliation.
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
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
-- A model that gives money back: no shipped one is known to.
INSERT INTO prepay.meter_model (code, profile)
SELECT 'both-ways', jsonb_set(profile, '{commands,withdraw}', profile #> '{commands,recharge}') FROM prepay.meter_model WHERE code = 'acrel-ddsy1352';
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, prepay_mode) VALUES (1, 'M1', 1, 1, 'both-ways', 'meter'),
	(1, 'M2', 1, 2, 'both-ways', 'meter'), (1, 'ONEWAY', 1, 3, 'acrel-ddsy1352', 'meter'), (1, 'EASTRON', 1, 4, 'eastron-sdm120', 'meter'),
	(1, 'SERVER', 1, 5, 'acrel-ddsy1352', 'server'), (1, 'NEW', 1, 6, 'both-ways', 'meter'), (1, 'M7', 1, 7, 'both-ways', 'meter');
CREATE VIEW pg_temp.moves AS
	SELECT meter, action, amount, state, cause, key, purchase_count AS count, attempts, booked FROM prepay.purse_moves ORDER BY command_id;
CREATE VIEW pg_temp.purse AS
	SELECT meter, account, balance, meter_balance, purchase_count AS count, on_the_way, stuck, kept_here, withdrawn FROM prepay.own_money_meters ORDER BY meter;
CREATE VIEW pg_temp.alarms AS SELECT meter, kind, level, detail FROM prepay.alarm_active WHERE meter IS NOT NULL ORDER BY meter, kind;
-- The attempt under way, as the agent reports it: purchase count read back, whether it wrote, balance.
CREATE FUNCTION pg_temp.report(meter text, outcome text, count int DEFAULT NULL, tries int DEFAULT NULL, balance text DEFAULT NULL) RETURNS text LANGUAGE sql AS $$
	SELECT prepay.report_command('gw-host', c.command_id, c.attempts, $2, jsonb_strip_nulls(jsonb_build_object('purchase_count', $3, 'tries', $4, 'meter_balance', $5)))
	FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id) WHERE m.code = $1 AND c.status IN ('sent', 'unknown')
		AND c.action IN ('recharge', 'withdraw') ORDER BY c.command_id LIMIT 1 $$;
CREATE FUNCTION pg_temp.take() RETURNS TABLE (meter text, action text, args jsonb, attempt int, verify_only boolean) LANGUAGE sql AS $$
	UPDATE prepay.command SET not_before = NULL WHERE status IN ('queued', 'unknown') AND not_before < 'infinity';
	SELECT m.code, t.action, t.args, t.attempt, t.verify_only FROM prepay.take_commands('gw-host') t JOIN prepay.meter m USING (meter_id)
	WHERE t.action IN ('recharge', 'withdraw') ORDER BY m.code $$;
CREATE FUNCTION pg_temp.read(meter text, kwh numeric, balance numeric, count int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, meter_balance, purchase_count)
	SELECT 1, meter_id, prepay.now(), $2, $3, $4 FROM prepay.meter WHERE code = $1 $$;
\set VERBOSITY sqlstate

-- One account, one such meter; a model that cannot be recharged keeps no money.
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 50, key => 'o1');
SELECT prepay.open_account('X', 'Wu', meters => '{M2,SERVER}');
SELECT prepay.add_meter('A1', 'SERVER');
SELECT prepay.add_meter('A1', 'M2');
SELECT prepay.open_account('X', 'Wu', meters => '{EASTRON}');
\set VERBOSITY default
SELECT prepay.add_meter('A1', 'M2');
UPDATE prepay.meter SET prepay_mode = 'server' WHERE code = 'M1';
\set VERBOSITY sqlstate

-- Every credit is a recharge in the order of the postings; what pays a debt stays here.
SELECT amount, balance FROM prepay.sell('A1', 100, 's1');
SELECT amount, balance FROM prepay.sell('A1', 100, 's1');
SELECT debt FROM prepay.add_debt('A1', 30, 'd1');
SELECT amount, balance, debt FROM prepay.sell('A1', 40, 's2');
SELECT amount, balance FROM prepay.grant_credit('A1', 5, 'g1');
SELECT amount, balance FROM prepay.adjust('A1', 1, 'a1', 'meter was wrong');
SELECT * FROM pg_temp.moves;
SELECT * FROM pg_temp.purse;
-- The count is not known yet: nothing goes out. Neither cancelled nor superseded by anything but a reversal.
SELECT * FROM pg_temp.take();
SELECT prepay.cancel_command(min(command_id)) FROM prepay.command WHERE action = 'recharge';
SELECT status FROM prepay.control('M1', 'recharge', '{"amount": 2}');
SELECT count(*) FROM prepay.command WHERE status = 'queued';
SET prepay.now = '2026-04-01 01:00+08';
SELECT prepay.tick();
SELECT count(*) FROM prepay.command WHERE status = 'queued' AND action = 'recharge';
-- A sale that was not sent is reversed with its recharge.
SELECT kind, amount, balance FROM prepay.reverse('A1', 2, 'v1');
SELECT * FROM pg_temp.moves WHERE key = 's1';
SELECT * FROM prepay.verify();

-- The meter is read: first in, first out, the count one above its own.
SELECT pg_temp.read('M1', 0, 0, 7);
SELECT * FROM pg_temp.take();
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 8, 1, '50.00');
SELECT * FROM pg_temp.purse;
SELECT * FROM pg_temp.take();
-- The answer is lost: read back, not carried out, sent again with the same count; the report comes twice.
SELECT pg_temp.report('M1', 'unknown', 8, 1);
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'failed', 8);
SELECT * FROM pg_temp.take();
SELECT command_id AS id, attempts FROM prepay.command WHERE status = 'sent' AND action = 'recharge' \gset
SELECT prepay.report_command('gw-host', :id, :attempts, 'done', '{"purchase_count": 9, "tries": 1, "meter_balance": "60.00"}');
SELECT prepay.report_command('gw-host', :id, :attempts, 'done', '{"purchase_count": 9, "tries": 1, "meter_balance": "60.00"}');
-- The answer is lost: read back as done. What was read before the outcome became unknown means nothing.
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'unknown', 9, 1);
SELECT pg_temp.report('M1', 'unknown', 15, 1);
SELECT stuck FROM pg_temp.purse;
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 10, NULL, '65.00');
-- The agent was killed: the lease ends, the count says the rest.
SELECT * FROM pg_temp.take();
UPDATE prepay.command SET lease_until = lease_until - interval '1 hour' WHERE status = 'sent';
SELECT prepay.tick();
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 11, NULL, '66.00');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 12, 1, '68.00');
SELECT * FROM pg_temp.moves;
SELECT * FROM pg_temp.purse;
SELECT * FROM pg_temp.alarms;
SELECT * FROM prepay.verify();

-- A count nobody here gave: the command waits for a person, and so does what follows.
SELECT amount FROM prepay.sell('A1', 10, 's3');
SELECT amount FROM prepay.sell('A1', 20, 's4');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'refused', 15);
SELECT * FROM pg_temp.alarms;
SELECT * FROM pg_temp.take();
SELECT stuck, on_the_way FROM pg_temp.purse WHERE meter = 'M1';
SELECT prepay.resolve_recharge('M1', 'accept', 'seen');
SELECT prepay.resolve_recharge('M1', 'perhaps', 'seen');
SELECT prepay.resolve_recharge('M1', 'again', NULL);
SELECT prepay.resolve_recharge('M1', 'again', 'somebody recharged with the card tool');
SELECT * FROM pg_temp.alarms;
SELECT * FROM pg_temp.take();
-- Equal though nothing was written: somebody else was there again.
SELECT pg_temp.report('M1', 'done', 16);
SELECT detail FROM pg_temp.alarms;
SELECT prepay.resolve_recharge('M1', 'void', 'it is not in the meter');
SELECT kept_here FROM pg_temp.purse WHERE meter = 'M1';
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 17, 1, '88.00');
-- What is kept here goes out on a supervisor's order; beyond it, it is the house's.
SELECT status FROM prepay.control('M1', 'recharge', '{"amount": 12}', 'the rest and a little more');
SELECT amount, booked FROM pg_temp.moves WHERE cause = 'order';
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 18, 1, '100.00');
SELECT * FROM pg_temp.purse WHERE meter = 'M1';
-- The meter says no: the money stays here, in sight.
SELECT amount FROM prepay.sell('A1', 3, 's5');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'refused', 18, 1);
SELECT detail FROM pg_temp.alarms;
SELECT kept_here FROM pg_temp.purse WHERE meter = 'M1';
SELECT prepay.resolve_recharge('M1', 'done', 'x');
SELECT prepay.resolve_recharge('M1', 'accept', 'its limit was raised');
SELECT status FROM prepay.control('M1', 'recharge', '{"amount": 3}');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'failed');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 19, 1, '103.00');
SELECT * FROM prepay.verify();

-- Money leaves only what was withdrawn before, verified.
SELECT balance FROM prepay.account_status WHERE account = 'A1';
\set VERBOSITY default
SELECT prepay.refund('A1', 30, 'r1');
\set VERBOSITY sqlstate
SELECT * FROM prepay.ledger WHERE key = 'r1';
SELECT amount, state, key FROM prepay.withdraw('A1', 30, 'r1');
SELECT amount, state, key FROM prepay.withdraw('A1', 30, 'r1');
SELECT prepay.withdraw('A1', 31, 'r1');
SELECT prepay.withdraw('A1', 500, 'r2');
SELECT prepay.refund('A1', 30, 'r1');
SELECT * FROM pg_temp.take();
SELECT prepay.refund('A1', 30, 'r1');
SELECT pg_temp.report('M1', 'unknown', 19, 1);
SELECT state FROM prepay.withdraw('A1', 30, 'r1');
SELECT prepay.refund('A1', 30, 'r1');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 20, NULL, '73.00');
SELECT * FROM pg_temp.purse WHERE meter = 'M1';
SELECT state FROM prepay.withdraw('A1', 30, 'r1');
SELECT amount, balance FROM prepay.refund('A1', 30, 'r1');
SELECT amount, balance FROM prepay.refund('A1', 30, 'r1');
SELECT prepay.refund('A1', 0.01, 'r2');
-- A reversed refund goes back into the meter.
SELECT amount, balance FROM prepay.reverse('A1', (SELECT seq FROM prepay.ledger WHERE key = 'r1'), 'v2');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 21, 1, '103.00');
-- A sale that may be in the meter is not reversed before it is withdrawn.
SELECT seq AS s4 FROM prepay.ledger WHERE key = 's4' \gset
SELECT prepay.reverse('A1', :s4, 'v4');
SELECT state FROM prepay.withdraw('A1', 20, 'v4');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 22, 1, '83.00');
SELECT kind, amount FROM prepay.reverse('A1', :s4, 'v4');
-- Withdrawn in vain: refused by the meter, called off while it waits, or ordered back.
SELECT state FROM prepay.withdraw('A1', 5, 'w1');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'refused', 22, 1);
SELECT state FROM prepay.withdraw('A1', 5, 'w1');
SELECT state, command_id AS w2 FROM prepay.withdraw('A1', 5, 'w2') \gset
SELECT prepay.cancel_command(:w2);
SELECT state FROM prepay.withdraw('A1', 5, 'w2');
SELECT state FROM prepay.withdraw('A1', 5, 'w3');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 23, 1, '78.00');
SELECT status FROM prepay.control('M1', 'recharge', '{"amount": 5}');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 24, 1, '83.00');
SELECT * FROM pg_temp.purse WHERE meter = 'M1';
SELECT * FROM pg_temp.alarms;
SELECT * FROM prepay.verify();

-- Transfers: in is a recharge, out has to be withdrawn. A negative adjustment too.
SELECT prepay.open_account('A2', 'Li', meters => '{M2}'), prepay.open_account('A3', 'Wu', meters => '{SERVER}', opening_balance => 20, key => 'o3');
SELECT amount, balance FROM prepay.transfer('A3', 'A2', 5, 't1');
SELECT prepay.transfer('A1', 'A3', 5, 't2');
SELECT prepay.adjust('A1', -5, 'a2', 'mended');
SELECT state FROM prepay.withdraw('A1', 10, 't2');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M1', 'done', 25, 1, '73.00');
SELECT amount FROM prepay.transfer('A1', 'A3', 5, 't2');
SELECT amount FROM prepay.adjust('A1', -5, 'a2', 'mended');
SELECT prepay.adjust('A1', -0.01, 'a3', 'mended');
SELECT * FROM pg_temp.moves WHERE meter = 'M2';
-- The meter cuts by itself: no emergency credit, no relay orders by balance; the decision says so.
SELECT prepay.set_setting('town', 'emergency_credit', '10');
SELECT prepay.activate_emergency_credit('A2', 'e1');
SELECT decision, supply, reasons FROM prepay.supply_decision('M1');
SELECT state, balance FROM prepay.meter_status WHERE meter = 'M1';

-- Reconciliation: within the tolerance, beyond it, back within half of it.
SELECT * FROM pg_temp.purse WHERE meter = 'M1';
SET prepay.now = '2026-04-01 02:00+08';
SELECT pg_temp.read('M1', 10, 58.40, 25);
SELECT kind, detail FROM pg_temp.alarms;
SET prepay.now = '2026-04-01 03:00+08';
SELECT pg_temp.read('M1', 20, 45.00, 25);
SELECT kind, detail FROM pg_temp.alarms;
SET prepay.now = '2026-04-01 04:00+08';
SELECT pg_temp.read('M1', 20, 48.20, 25);
SELECT kind, detail FROM pg_temp.alarms;
SET prepay.now = '2026-04-01 05:00+08';
SELECT pg_temp.read('M1', 21, 48.40, 25);
SELECT kind, detail FROM pg_temp.alarms;
-- A recharge that is queued is not expected in the meter, one that is sent is not judged, a late reading neither.
SELECT amount FROM prepay.sell('A1', 100, 's6');
SET prepay.now = '2026-04-01 06:00+08';
SELECT pg_temp.read('M1', 22, 47.40, 25);
SELECT * FROM pg_temp.take();
SET prepay.now = '2026-04-01 06:20+08';
SELECT pg_temp.read('M1', 22, 47.40, 25);
SELECT kind, detail FROM pg_temp.alarms;
SET prepay.now = '2026-04-01 06:30+08';
SELECT pg_temp.read('M1', 22, 147.40, 26);
SELECT pg_temp.report('M1', 'done', 26, 1, '147.40');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, meter_balance, purchase_count) VALUES (1, 1, '2026-04-01 06:15+08', 22, 47.40, 25);
SELECT meter_balance FROM pg_temp.purse WHERE meter = 'M1';
SELECT kind, detail FROM pg_temp.alarms;
-- A count that moved without the ledger: stays until somebody decides, though the meter looks right again.
SET prepay.now = '2026-04-01 07:00+08';
SELECT pg_temp.read('M1', 22, 147.40, 27);
SET prepay.now = '2026-04-01 07:30+08';
SELECT pg_temp.read('M1', 22, 147.40, 26);
SELECT kind, detail FROM pg_temp.alarms;
SELECT prepay.resolve_recharge('M1', 'accept', 'a bad read');
SELECT kind FROM pg_temp.alarms;
SELECT meter_balance, count FROM pg_temp.purse WHERE meter = 'M1';

-- Standing charges the meter does not know are taken out of the next recharge.
SELECT prepay.define_tariff('service', '{"prices": 1, "standing": [{"name": "service", "amount": 2, "per": "day"}]}', '2026-04-02 00:00+08');
SELECT prepay.assign_tariff('A2', 'service', '2026-04-02 00:00+08');
SELECT pg_temp.read('M2', 0, 0, 0);
-- In and out of a meter are one queue.
SELECT state FROM prepay.withdraw('A2', 5, 'w6');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('M2', 'done', 1, 1, '5.00');
SELECT prepay.cancel_command((prepay.withdraw('A2', 5, 'w6')).command_id);
SET prepay.now = '2026-04-04 12:00+08';
SELECT pg_temp.read('M2', 1, 4.00, 1);
SELECT kind FROM pg_temp.alarms;
SELECT balance, meter_balance, kept_here FROM pg_temp.purse WHERE meter = 'M2';
SELECT amount, balance FROM prepay.sell('A2', 50, 's7');
SELECT amount, balance FROM prepay.sell('A2', 10, 's8');
SELECT key, amount FROM pg_temp.moves WHERE meter = 'M2' AND state = 'queued';
SELECT * FROM pg_temp.purse WHERE meter = 'M2';
SELECT * FROM prepay.verify();

-- A new meter begins with its own count and gets the balance; what was under way to the old one is over.
SELECT * FROM pg_temp.take();
SELECT prepay.replace_meter('M2', 'NEW', 1, 0);
SELECT * FROM pg_temp.moves WHERE meter IN ('M2', 'NEW');
SELECT pg_temp.report('M2', 'done', 2, 1);
SET prepay.now = '2026-04-04 13:00+08';
SELECT pg_temp.read('NEW', 0, 0, 3);
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('NEW', 'done', 4, 1, '60.00');
SELECT * FROM pg_temp.purse WHERE account = 'A2';
SELECT * FROM prepay.verify();

-- Closing: an empty meter, then what the ledger says.
\set VERBOSITY default
SELECT prepay.close_account('A2', 'c1');
\set VERBOSITY sqlstate
SELECT state FROM prepay.withdraw('A2', 60, 'c1');
SELECT prepay.close_account('A2', 'c1');
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('NEW', 'done', 5, 1, '0.00');
SELECT amount, balance FROM prepay.close_account('A2', 'c1');
SELECT amount, balance FROM prepay.close_account('A2', 'c1');
SELECT count(*) FROM pg_temp.purse WHERE account = 'A2';
SELECT prepay.withdraw('A2', 1, 'c2');
-- One that gives nothing back: the meter is taken down, then the money is here.
SELECT prepay.open_account('A4', 'Qian', meters => '{ONEWAY}', opening_balance => 9, key => 'o4');
SELECT pg_temp.read('ONEWAY', 0, 0, 0);
SELECT count(*) FROM pg_temp.take() WHERE meter = 'ONEWAY';
SELECT pg_temp.report('ONEWAY', 'done', 1, 1, '9.00');
\set VERBOSITY default
SELECT prepay.withdraw('A4', 9, 'w4');
SELECT prepay.refund('A4', 9, 'w4');
SELECT prepay.close_account('A4', 'c4');
\set VERBOSITY sqlstate
SELECT prepay.remove_meter('A4', 'ONEWAY', 0);
SELECT amount, balance FROM prepay.close_account('A4', 'c4');
-- Arrears brought to such a meter are made up for by the next sale.
SELECT prepay.open_account('A5', 'Sun');
SELECT balance FROM prepay.sell('A5', 1, 's9');
SELECT balance FROM prepay.adjust('A5', -5, 'a5', 'a broken seal');
SELECT prepay.add_meter('A5', 'M7');
SELECT balance FROM prepay.sell('A5', 3, 's10');
SELECT balance FROM prepay.sell('A5', 7, 's11');
SELECT key, amount FROM pg_temp.moves WHERE meter = 'M7';
SELECT prepay.withdraw('A3', 1, 'w5');
SELECT prepay.withdraw('A5', 0, 'w5');
SELECT prepay.withdraw('A5', 0.001, 'w5');
SELECT prepay.withdraw('A5', 1, NULL);
SELECT prepay.withdraw('A5', NULL, 'w5');
SELECT prepay.withdraw('A9', 1, 'w5');
SELECT action, object, after FROM prepay.operator_changes WHERE action IN ('withdraw', 'resolve_recharge') ORDER BY log_no LIMIT 3;
SELECT prepay.resolve_recharge('SERVER', 'accept', 'x');
SELECT prepay.resolve_recharge('A5', 'accept', 'x');
SELECT * FROM prepay.verify();

-- verify() sees a purse or a recharge that somebody mended by hand.
UPDATE prepay.meter_purse SET withdrawn_minor = withdrawn_minor + 100 WHERE meter_id = 1;
SELECT account, invariant, detail FROM prepay.verify();
UPDATE prepay.meter_purse SET withdrawn_minor = withdrawn_minor - 100 WHERE meter_id = 1;
BEGIN;
UPDATE prepay.command SET args = args || '{"amount": "1000.00"}' WHERE action = 'recharge' AND status = 'queued' AND account_id = 5;
SELECT account, invariant, detail FROM prepay.verify('town', 'A5');
ROLLBACK;
BEGIN;
UPDATE prepay.purse_move SET amount = amount + 1 WHERE key = 's11';
UPDATE prepay.command SET args = jsonb_set(args, '{amount}', '"6.00"') WHERE command_id = (SELECT command_id FROM prepay.purse_move WHERE key = 's11');
SELECT invariant FROM prepay.verify('town', 'A5');
ROLLBACK;
BEGIN;
DELETE FROM prepay.purse_move WHERE key = 's11';
SELECT invariant FROM prepay.verify('town', 'A5');
ROLLBACK;

-- push_tariff: what is in force, in the meter's terms; a meter's limits are told before anything is sent.
\set VERBOSITY default
SELECT prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.define_tariff('mall/flat', '{"prices": 0.61}'), prepay.set_setting('mall', 'tariff', 'flat'), prepay.create_agent('mall/gw');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (2, 'G1', 'gw');
-- Everything a profile may name.
INSERT INTO prepay.meter_model (code, profile)
SELECT 'full', jsonb_set(jsonb_set(profile, '{commands,push_tariff,args}', profile #> '{commands,push_tariff,args}' ||
	'{"price_peak": {"exp10": -4, "max": 99999}, "price_valley": {"exp10": -4, "max": 99999}, "price_spike": {"exp10": -4, "max": 99999}}'),
	'{commands,push_limits}', (profile #> '{commands,trip}') || '{"args": {"alarm1": {"exp10": -2}, "alarm2": {"exp10": -2}, "overdraft": {"exp10": -2}, "power_limit": {"exp10": -1, "max": 600}}}')
FROM prepay.meter_model WHERE code = 'acrel-dtsy1352';
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model, prepay_mode) VALUES (2, 'F1', 1, 1, 'full', 'meter'), (2, 'F2', 1, 2, 'acrel-ddsy1352', 'meter'),
	(2, 'F3', 1, 3, 'eastron-sdm120', 'server');
-- The first such meter of a site that has sold before.
SELECT prepay.open_account('mall/S1', 'Qian', opening_balance => 1, key => 'o1');
SELECT prepay.open_account('mall/F1', 'Zhao', meters => '{mall/F1}', opening_balance => 5, key => 'o2'), prepay.open_account('mall/F2', 'Zhao', meters => '{mall/F2}');
SELECT meter, amount, key FROM prepay.purse_moves WHERE site = 'mall';
CREATE VIEW pg_temp.pushes AS SELECT m.code AS meter, c.action, c.status, c.automatic, jsonb_pretty(c.args) AS args FROM prepay.command c JOIN prepay.meter m USING (site_id, meter_id)
	WHERE c.site_id = 2 AND c.action LIKE 'push%' ORDER BY c.command_id;
-- tick() pushes it by itself, once.
SELECT prepay.tick();
SELECT prepay.tick();
SELECT * FROM pg_temp.pushes;
SELECT meter, tariff_push, tariff_push_fault FROM prepay.own_money_meters WHERE site = 'mall' ORDER BY meter;
-- A change of the tariff at a time to come: pushed when it comes. Seasons, surcharges, digits of the meter.
SELECT prepay.define_tariff('mall/flat', '{"periods": ["peak", "valley"],
	"seasons": [{"name": "summer", "from": "07-01", "to": "09-01"}, {"name": "other", "from": "09-01", "to": "07-01"}],
	"schedule": [{"season": "summer", "slots": [["00:00", "valley"], ["08:30", "peak"], ["22:00", "valley"]]}, {"slots": [["00:00", "valley"], ["07:00", "peak"]]}],
	"prices": {"peak": 1.00005, "valley": 0.45}, "surcharges": [{"name": "fund", "per_kwh": 0.02}]}', '2026-04-10 00:00+08');
SELECT prepay.tick();
SELECT count(*) FROM pg_temp.pushes;
SET prepay.now = '2026-04-10 00:00+08';
SELECT prepay.tick();
SELECT meter, status, automatic FROM pg_temp.pushes;
SELECT args FROM prepay.command WHERE site_id = 2 AND status = 'queued' AND action = 'push_tariff' ORDER BY meter_id;
-- What a meter cannot do, by name.
CREATE FUNCTION pg_temp.misfit(definition jsonb) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	what text;
BEGIN
	PERFORM prepay.define_tariff('mall/odd', definition), prepay.assign_tariff('mall/account:F1', 'odd');
	PERFORM prepay.control('mall/meter:F1', 'push_tariff');
	RAISE EXCEPTION 'it fits' USING ERRCODE = 'P0000';
EXCEPTION
	WHEN SQLSTATE 'P0000' THEN
		RETURN 'it fits';
	WHEN OTHERS THEN
		GET STACKED DIAGNOSTICS what = PG_EXCEPTION_DETAIL;
		RETURN SQLERRM || E'\n' || what;
END $$;
SELECT pg_temp.misfit('{"tiers": {"accumulate": "month", "upto": [100]}, "prices": {"all": [1, 2]}}');
SELECT pg_temp.misfit('{"periods": ["peak", "night"], "schedule": [{"slots": [["00:00", "night"], ["08:00", "peak"]]}], "prices": {"peak": 1, "night": 0.5}}');
SELECT pg_temp.misfit('{"periods": ["peak", "valley"], "day_types": [{"name": "weekend", "days": [6, 7]}], "schedule": [{"day_type": "weekend", "slots": [["00:00", "valley"]]}, {"slots": [["00:00", "valley"], ["08:00", "peak"]]}], "prices": {"peak": 1, "valley": 0.5}}');
SELECT pg_temp.misfit(jsonb_build_object('periods', '["peak", "valley"]'::jsonb, 'prices', '{"peak": 1, "valley": 0.5}'::jsonb, 'schedule', jsonb_build_array(jsonb_build_object('slots',
	(SELECT jsonb_agg(jsonb_build_array(to_char(n, 'FM00') || ':00', CASE n % 2 WHEN 0 THEN 'valley' ELSE 'peak' END)) FROM generate_series(0, 14) AS n)))));
SELECT pg_temp.misfit('{"periods": ["peak", "valley"], "seasons": [{"name": "a", "from": "01-01", "to": "04-01"}, {"name": "b", "from": "04-01", "to": "09-01"}, {"name": "c", "from": "09-01", "to": "01-01"}],
	"schedule": [{"season": "a", "slots": [["00:00", "valley"]]}, {"season": "b", "slots": [["00:00", "peak"]]}, {"season": "c", "slots": [["00:00", "valley"], ["08:00", "peak"]]}], "prices": {"peak": 1, "valley": 0.5}}');
SELECT pg_temp.misfit('{"prices": -0.1}');
SELECT pg_temp.misfit('{"prices": 10}');
SELECT pg_temp.misfit('{"prices": 9.99994}');
-- One that does not fit is told by tick() as well, and by a place row by row.
SELECT prepay.define_tariff('mall/steps', '{"tiers": {"accumulate": "month", "upto": [100]}, "prices": {"all": [1, 2]}}'), prepay.assign_tariff('mall/account:F1', 'steps');
SELECT prepay.tick();
SELECT meter, tariff_push, tariff_push_fault FROM prepay.own_money_meters WHERE site = 'mall' ORDER BY meter;
SELECT meter, status, detail FROM prepay.control('mall/G1', 'push_tariff');
-- push_limits: thresholds of the account, credit limit, power.
SELECT prepay.control('mall/meter:F1', 'push_limits');
SELECT prepay.set_setting('mall', 'power_limit_kw', '5.55'), prepay.set_setting('mall', 'alarm1_amount', '20'), prepay.update_account('mall/account:F1', '{"alarm2_amount": 7.5, "credit_limit": 3}');
SELECT meter, status FROM prepay.control('mall/meter:F1', 'push_limits');
SELECT args FROM prepay.command WHERE action = 'push_limits' AND site_id = 2;
UPDATE prepay.meter SET power_limit_kw = 61 WHERE code = 'F1';
SELECT prepay.control('mall/meter:F1', 'push_limits');
UPDATE prepay.meter SET power_limit_kw = 60 WHERE code = 'F1';
SELECT status FROM prepay.control('mall/meter:F1', 'push_limits');
SELECT status, args ->> 'power_limit' AS power FROM prepay.command WHERE action = 'push_limits' AND site_id = 2 ORDER BY command_id;
-- What a person gives is sent as it is.
SELECT status FROM prepay.control('mall/meter:F1', 'push_limits', '{"alarm1": "5.00"}');
SELECT prepay.control('mall/meter:F1', 'push_limits', '{"alarm3": "5.00"}');
SELECT * FROM prepay.verify();
