-- Rights: the group role gives the verb, operator_site the place.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.define_tariff('town/flat', '{"prices": 0.6}'), prepay.define_tariff('mall/flat', '{"prices": 0.7}');
INSERT INTO prepay.place (site_id, code) VALUES (1, 'P1'), (2, 'P1');
SELECT prepay.create_agent('town/gw'), prepay.create_agent('mall/gw');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw'), (2, 'G1', 'gw');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, model) VALUES (1, 'M1', 1, 1, 'acrel-ddsy1352'), (2, 'M1', 1, 1, 'acrel-ddsy1352');
SELECT prepay.open_account('town/A1', 'Zhang', meters => '{town/M1}', opening_balance => 10, key => 'o'),
	prepay.open_account('mall/A1', 'Li', meters => '{mall/M1}', opening_balance => 10, key => 'o'), prepay.open_account('town/B1', 'Wu');
SELECT prepay.set_setting('town', 'emergency_credit', '5');

-- Something of everything at both: settings, readings, usage, alarms, commands, reviews.
SELECT prepay.set_setting('town', 'tariff', 'flat'), prepay.set_setting('mall', 'tariff', 'flat');
SET prepay.now = '2026-03-01 12:00+08';
INSERT INTO prepay.receipt_template (site_id, code, language, body) SELECT s, 'slip', 'zh', '{account}' FROM generate_series(1, 2) AS s;
INSERT INTO prepay.switch_schedule (site_id, code, from_time, to_time, active) SELECT s, 'night', '01:00', '05:00', false FROM generate_series(1, 2) AS s;
INSERT INTO prepay.supply_policy (site_id, code, notice, active) SELECT s, 'notice', true, false FROM generate_series(1, 2) AS s;
SELECT prepay.receipt(s || '/A1', 1, 'slip') FROM unnest('{town,mall}'::text[]) AS s;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed)
SELECT s, 1, timestamptz '2026-03-01 00:00+08' + n * interval '1 hour', kwh, true FROM generate_series(1, 2) AS s, (VALUES (1, 0), (2, 50), (3, -1)) AS v (n, kwh);
INSERT INTO prepay.meter (site_id, code, purpose) VALUES (1, 'VACANT', 'prepaid'), (2, 'VACANT', 'prepaid'), (1, 'CHECK', 'check'), (2, 'CHECK', 'check');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh)
SELECT site_id, meter_id, timestamptz '2026-03-01 00:00+08' + n * interval '1 hour', n FROM prepay.meter, generate_series(1, 2) AS n WHERE code IN ('VACANT', 'CHECK');
SELECT site, account, balance FROM prepay.account_status ORDER BY site;
INSERT INTO prepay.meter (site_id, code, prepay_mode) VALUES (1, 'OWN', 'meter'), (2, 'OWN', 'meter');
SELECT prepay.open_account('town/O1', 'Sun', meters => '{town/OWN}', opening_balance => 5, key => 'o2'),
	prepay.open_account('mall/O1', 'Sun', meters => '{mall/OWN}', opening_balance => 5, key => 'o2');

-- One role a verb, all at the town; the stranger has none.
CREATE FUNCTION pg_temp.make(role_ text, group_ text, sites int[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('CREATE ROLE %I', role_);
	IF group_ IS NOT NULL THEN
		EXECUTE format('GRANT %I TO %I', group_, role_);
	END IF;
	INSERT INTO prepay.operator_site (site_id, operator) SELECT s, role_ FROM unnest(sites) AS s;
	EXECUTE format('GRANT USAGE ON SCHEMA %s TO %I', (SELECT nspname FROM pg_namespace WHERE oid = pg_my_temp_schema()), role_);
END $$;
SELECT pg_temp.make('regress_prepay_' || verb, 'prepay_' || verb, '{1}')
FROM unnest('{admin,supervisor,cashier,dispatcher,analyst}'::text[]) AS verb;
SELECT pg_temp.make('regress_prepay_agent', 'prepay_agent', '{}');
SELECT pg_temp.make('regress_prepay_agent2', 'prepay_agent', '{1,2}');
SELECT pg_temp.make('regress_prepay_placeless', 'prepay_cashier', '{}');
SELECT pg_temp.make('regress_prepay_stranger', NULL, '{1}');
SELECT prepay.create_agent('town/gw', '{"role": "regress_prepay_agent"}');

-- What each of them gets when they try each thing.
CREATE FUNCTION pg_temp.attempt(role_ text, statement text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role_);
	EXECUTE statement;
	RAISE EXCEPTION USING ERRCODE = 'P0000';
EXCEPTION
	WHEN SQLSTATE 'P0000' THEN
		RESET ROLE;
		RETURN 'yes';
	WHEN OTHERS THEN
		RESET ROLE;
		RETURN SQLSTATE;
END $$;
CREATE TEMP TABLE deed (n int GENERATED ALWAYS AS IDENTITY, what text, statement text);
INSERT INTO deed (what, statement) VALUES
	('create a site', $$SELECT prepay.create_site('new', 'New', 'Asia/Shanghai')$$),
	('define a tariff', $$SELECT prepay.define_tariff('town/new', '{"prices": 1}')$$),
	('define one elsewhere', $$SELECT prepay.define_tariff('mall/new', '{"prices": 1}')$$),
	('assign a tariff', $$SELECT prepay.assign_tariff('town/A1', 'flat')$$),
	('change a setting', $$SELECT prepay.set_setting('town', 'credit_limit', '1000')$$),
	('open an account', $$SELECT prepay.open_account('town/A2', 'Wang')$$),
	('open one elsewhere', $$SELECT prepay.open_account('mall/A2', 'Wang')$$),
	('add a meter', $$SELECT prepay.add_meter('town/A1', 'town/M1')$$),
	('change an account', $$SELECT prepay.update_account('town/A1', '{"note": "x"}')$$),
	('sell', $$SELECT prepay.sell('town/A1', 5, 's')$$),
	('refund', $$SELECT prepay.refund('town/A1', 1, 'r')$$),
	('refund elsewhere', $$SELECT prepay.refund('mall/A1', 1, 'r')$$),
	('withdraw from a meter', $$SELECT prepay.withdraw('town/O1', 1, 'w')$$),
	('withdraw elsewhere', $$SELECT prepay.withdraw('mall/O1', 1, 'w')$$),
	('decide about a count', $$SELECT prepay.resolve_recharge('town/OWN', 'accept', 'x')$$),
	('decide one elsewhere', $$SELECT prepay.resolve_recharge('mall/OWN', 'accept', 'x')$$),
	('reverse', $$SELECT prepay.reverse('town/A1', 1, 'v')$$),
	('adjust', $$SELECT prepay.adjust('town/A1', 1, 'a', 'x')$$),
	('transfer', $$SELECT prepay.transfer('town/A1', 'town/B1', 1, 't')$$),
	('add debt', $$SELECT prepay.add_debt('town/A1', 1, 'd')$$),
	('grant credit', $$SELECT prepay.grant_credit('town/A1', 1, 'g')$$),
	('ask for emergency credit', $$SELECT prepay.activate_emergency_credit('town/B1', 'e')$$),
	('close an account', $$SELECT prepay.close_account('town/B1', 'c')$$),
	('close one elsewhere', $$SELECT prepay.close_account('mall/A1', 'c')$$),
	('open a shift', $$SELECT prepay.open_shift(0, 'counter', 'town')$$),
	('another''s till', $$SELECT prepay.sell('town/A1', 5, 'st', options => '{"till": "regress_prepay_analyst"}')$$),
	('sell elsewhere', $$SELECT prepay.sell('mall/A1', 5, 's')$$),
	('print a receipt', $$SELECT prepay.receipt('town/A1', 1)$$),
	('print one elsewhere', $$SELECT prepay.receipt('mall/A1', 1)$$),
	('add a template', $$INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (1, 'own', 'zh', 'x')$$),
	('add one elsewhere', $$INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (2, 'own', 'zh', 'x')$$),
	('ship a template', $$INSERT INTO prepay.receipt_template (site_id, code, language, body) VALUES (0, 'own', 'zh', 'x')$$),
	('make one shipped', $$UPDATE prepay.receipt_template SET site_id = 0 WHERE code = 'slip'$$),
	('forget a print', $$DELETE FROM prepay.receipt_print$$),
	('cut a meter', $$SELECT prepay.control('town/M1', 'trip')$$),
	('read a meter', $$SELECT prepay.control('town/M1', 'read')$$),
	('cancel a command', $$SELECT prepay.cancel_command(min(command_id)) FROM prepay.command WHERE site_id = 1$$),
	('confirm trips', $$SELECT prepay.confirm_trips('town')$$),
	('cancel one elsewhere', $$SELECT prepay.cancel_command(2)$$),
	('cut one elsewhere', $$SELECT prepay.control('mall/M1', 'trip')$$),
	('unlock a meter', $$SELECT prepay.control('town/M1', 'unlock')$$),
	('supply_decision', $$SELECT prepay.supply_decision('town/M1')$$),
	('verify', $$SELECT prepay.verify('town')$$),
	('verify elsewhere', $$SELECT prepay.verify('mall')$$),
	('explain', $$SELECT prepay.explain('town/A1')$$),
	('explain elsewhere', $$SELECT prepay.explain('mall/A1')$$),
	('statement', $$SELECT prepay.statement('town/A1')$$),
	('statement elsewhere', $$SELECT prepay.statement('mall/A1')$$),
	('back-test', $$SELECT prepay.backtest('town', '{"prices": 1}', '2026-03-01 00:00+08', '2026-03-02 00:00+08')$$),
	('back-test elsewhere', $$SELECT prepay.backtest('mall', '{"prices": 1}', '2026-03-01 00:00+08', '2026-03-02 00:00+08')$$),
	('reading_history', $$SELECT prepay.reading_history('town/M1'), prepay.register_difference('town/M1')$$),
	('history elsewhere', $$SELECT prepay.reading_history('mall/M1')$$),
	('registers elsewhere', $$SELECT prepay.register_difference('mall/M1')$$),
	('energy_by_place', $$SELECT prepay.energy_by_place('town/P1')$$),
	('energy elsewhere', $$SELECT prepay.energy_by_place('mall/P1')$$),
	('tick', $$SELECT prepay.tick()$$),
	('insert a reading', $$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 11:00+08', 51)$$),
	('insert one elsewhere', $$INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (2, 1, '2026-03-01 11:00+08', 51)$$),
	('into a partition', $$INSERT INTO prepay.reading_default (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 11:00+08', 51)$$),
	('insert a meter', $$INSERT INTO prepay.meter (site_id, code) VALUES (1, 'M2')$$),
	('insert one elsewhere', $$INSERT INTO prepay.meter (site_id, code) VALUES (2, 'M2')$$),
	('import a meter', $$INSERT INTO prepay.meter_import (site, meter) VALUES ('town', 'M2')$$),
	('import one elsewhere', $$INSERT INTO prepay.meter_import (site, meter) VALUES ('mall', 'M2')$$),
	('register an agent', $$SELECT prepay.create_agent('town/new')$$),
	('be the agent', $$SELECT prepay.agent_plan('town/gw')$$),
	('be another agent', $$SELECT prepay.agent_plan('mall/gw')$$),
	('take commands', $$SELECT prepay.take_commands('town/gw')$$),
	('read the ledger', $$SELECT * FROM prepay.ledger$$),
	('read accounts', $$SELECT * FROM prepay.account$$),
	('read entries', $$SELECT * FROM prepay.ledger_entry$$),
	('read readings', $$SELECT * FROM prepay.reading$$),
	('read messages', $$SELECT * FROM prepay.notification$$),
	('read keys', $$SELECT * FROM prepay.posting$$),
	('write an entry', $$INSERT INTO prepay.ledger_entry (site_id, account_id, seq, kind, amount, balance_after, booked_at, recorded_at, day, operator, hash)
		VALUES (1, 1, 9, 'sale', 100, 100, now(), now(), '2026-01-01', 'me', '')$$),
	('change a balance', $$UPDATE prepay.account_state SET posted_minor = 1000000$$),
	('write a command', $$INSERT INTO prepay.command (site_id, meter_id, action, reason, created_at, operator) VALUES (1, 1, 'trip', 'x', now(), 'me')$$),
	('add a holiday for all', $$INSERT INTO prepay.holiday (calendar, day) VALUES ('CN', '2026-05-01')$$),
	('give itself a site', $$INSERT INTO prepay.operator_site (site_id, operator) VALUES (2, current_user)$$),
	('set the clock', $$SET LOCAL prepay.now = '2030-01-01 00:00+08'$$),
	('install', $$SELECT prepay.install()$$),
	('open_usage', $$SELECT prepay.open_usage(1, '{}', '', '{}')$$),
	('unposted', $$SELECT prepay.unposted(1, 0, '{}', '', '{}')$$),
	('unpaid_energy', $$SELECT prepay.unpaid_energy(1, 1)$$);
SELECT what, r.admin, r.supervisor, r.cashier, r.dispatcher, r.analyst, r.agent, r.agent2, r.placeless, r.stranger
FROM deed CROSS JOIN LATERAL (SELECT
	pg_temp.attempt('regress_prepay_admin', statement) AS admin, pg_temp.attempt('regress_prepay_supervisor', statement) AS supervisor,
	pg_temp.attempt('regress_prepay_cashier', statement) AS cashier, pg_temp.attempt('regress_prepay_dispatcher', statement) AS dispatcher,
	pg_temp.attempt('regress_prepay_analyst', statement) AS analyst, pg_temp.attempt('regress_prepay_agent', statement) AS agent,
	pg_temp.attempt('regress_prepay_agent2', statement) AS agent2, pg_temp.attempt('regress_prepay_placeless', statement) AS placeless,
	pg_temp.attempt('regress_prepay_stranger', statement) AS stranger) AS r
ORDER BY n;
SELECT count(*) FROM prepay.ledger_entry;

-- A shipped template is read by all, and changed by nobody but install(): its rows are not there to change.
SET ROLE regress_prepay_admin;
BEGIN;
WITH u AS (UPDATE prepay.receipt_template SET body = 'mine' RETURNING site_id) SELECT array_agg(site_id) AS updated FROM u;
WITH d AS (DELETE FROM prepay.receipt_template RETURNING site_id) SELECT array_agg(site_id) AS deleted FROM d;
SELECT site_id, count(*) FROM prepay.receipt_template GROUP BY 1;
ROLLBACK;
RESET ROLE;

-- Rows of other sites do not exist: what each view and table shows.
CREATE FUNCTION pg_temp.sees(role_ text, relation text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
	seen text;
BEGIN
	EXECUTE format('SET LOCAL ROLE %I', role_);
	EXECUTE format('SELECT coalesce(string_agg(DISTINCT site_, '','' ORDER BY site_), ''-'') FROM (SELECT to_jsonb(x) ->> CASE WHEN to_jsonb(x) ? ''site''
		THEN ''site'' ELSE ''site_id'' END AS site_ FROM %s AS x) AS s', relation) INTO seen;
	RESET ROLE;
	RETURN seen;
EXCEPTION WHEN OTHERS THEN
	RESET ROLE;
	RETURN SQLSTATE;
END $$;
\pset format unaligned
SELECT c.relname, pg_temp.sees('regress_prepay_admin', c.oid::regclass::text) AS admin,
	pg_temp.sees('regress_prepay_cashier', c.oid::regclass::text) AS cashier,
	pg_temp.sees('regress_prepay_analyst', c.oid::regclass::text) AS analyst,
	pg_temp.sees('regress_prepay_placeless', c.oid::regclass::text) AS placeless,
	pg_temp.sees('regress_prepay_agent', c.oid::regclass::text) AS agent,
	pg_temp.sees('regress_prepay_stranger', c.oid::regclass::text) AS stranger
FROM pg_class c WHERE c.relnamespace = 'prepay'::regnamespace AND c.relkind IN ('r', 'v', 'p') AND NOT c.relispartition
	AND c.relname NOT IN ('installation', 'holiday', 'meter_model')
ORDER BY c.relkind, c.relname COLLATE "C";
\pset format aligned

-- A caller with one site leaves it out; the other site is not there for it.
SET ROLE regress_prepay_cashier;
SELECT site, account, balance FROM prepay.account_status;
SELECT site, amount, balance FROM prepay.sell('A1', 5, 's1');
SELECT operator = session_user AS by_login FROM prepay.ledger WHERE key = 's1';
RESET ROLE;

DO $$
DECLARE
	r text;
BEGIN
	FOR r IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress\_prepay%' LOOP
		EXECUTE format('DROP OWNED BY %I', r);
		EXECUTE format('DROP ROLE %I', r);
	END LOOP;
END $$;
SELECT * FROM prepay.verify();
