-- A day's work of each group role, and what is refused beside it. The operators are made by create_operator().
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-01 00:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai'), prepay.create_site('mall', 'Mall', 'Asia/Shanghai');
SELECT prepay.create_operator('regress_work_' || r, 'Sesame-open-26', ARRAY[r], '{town}') FROM unnest('{admin,supervisor,cashier,dispatcher,analyst,agent}'::text[]) AS r;
SELECT prepay.create_operator('regress_work_agent2', 'Sesame-open-26', '{agent}', '{town}');
SELECT prepay.define_tariff('mall/flat', '{"prices": 1}'), prepay.set_setting('mall', 'tariff', 'flat');
INSERT INTO prepay.meter (site_id, code) VALUES (2, 'M1');
SELECT prepay.open_account('mall/A1', 'Stranger', meters => '{mall/M1}', opening_balance => 100, key => 'o1');

-- What is refused: each with its SQLSTATE; nothing of it happens.
CREATE FUNCTION public.refused(VARIADIC statements text[]) RETURNS TABLE (n int, answer text) LANGUAGE plpgsql AS $$
DECLARE
	rows_ bigint;
BEGIN
	FOR i IN 1..cardinality(statements) LOOP
		n := i;
		BEGIN
			EXECUTE statements[i];
			GET DIAGNOSTICS rows_ = ROW_COUNT;
			answer := CASE rows_ WHEN 0 THEN 'no row is there: ' ELSE 'IT DID: ' END || statements[i];
		EXCEPTION WHEN OTHERS THEN
			answer := SQLSTATE || ' ' || SQLERRM;
		END;
		RETURN NEXT;
	END LOOP;
END $$;
\pset tuples_only
\pset format unaligned

-- The administrator sets the town up.
SET SESSION AUTHORIZATION regress_work_admin;
SELECT prepay.define_tariff('flat', '{"prices": 0.5}'), prepay.set_setting('town', 'tariff', 'flat'), prepay.set_setting('town', 'alarm1_amount', '10');
INSERT INTO prepay.place (site_id, code) VALUES (1, 'B1');
SELECT prepay.create_agent('gw', '{"role": "regress_work_agent"}'), prepay.create_agent('gw2', '{"role": "regress_work_agent2"}');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw'), (1, 'G2', 'gw2');
INSERT INTO prepay.meter (site_id, code, place_id, gateway_id, unit_id, model) VALUES (1, 'M1', 1, 1, 1, 'acrel-ddsy1352'), (1, 'M2', 1, 2, 1, 'acrel-ddsy1352');
SELECT count(*) FROM prepay.meter_status;
SELECT * FROM public.refused('SELECT prepay.install()', 'SELECT prepay.set_setting(''mall'', ''tariff'', NULL)', 'UPDATE prepay.site SET name = ''mine''', 'INSERT INTO prepay.setting VALUES (1, ''credit_limit'', ''1000'')',
	'INSERT INTO prepay.meter (site_id, code) VALUES (2, ''M9'')', 'UPDATE prepay.meter SET site_id = 2', 'DELETE FROM prepay.meter', 'SELECT prepay.sell(''mall/A1'', 5, ''x'')',
	'UPDATE prepay.meter_model SET profile = ''{}''', 'INSERT INTO prepay.holiday (calendar, day) VALUES (''CN'', ''2026-10-01'')', 'SELECT * FROM prepay.account', 'SELECT * FROM prepay.operator_log', 'DELETE FROM prepay.operator_log',
	'SET prepay.now = ''2030-01-01 00:00+08''', 'SELECT prepay.take_commands(''gw'')', 'CREATE TABLE prepay.mine (n int)', 'ALTER TABLE prepay.meter DISABLE TRIGGER ALL', 'SET session_replication_role = replica');

-- The cashier opens accounts and the till, sells and gives back.
SET SESSION AUTHORIZATION regress_work_cashier;
SELECT prepay.open_account('A1', 'Zhang', meters => '{M1}', opening_balance => 20, key => 'o1'), prepay.open_account('A2', 'Wang', meters => '{M2}');
SELECT (prepay.open_shift(100)).till;
SELECT kind, amount, balance FROM prepay.sell('A1', 50, 's1');
SELECT kind, amount, balance FROM prepay.sell('A2', 50, 's2', 'wechat');
SELECT kind, amount, balance FROM prepay.refund('A1', 5, 'r1', 'moving out');
SELECT kind, amount FROM prepay.transfer('A1', 'A2', 5, 't1');
SELECT length(prepay.receipt('A1', 2)) > 0 AS printed;
SELECT prepay.update_account('A1', '{"phone": "13800000000"}');
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT tender, sales, net FROM prepay.sales_daily ORDER BY tender;
SELECT difference FROM prepay.close_shift(145);
SELECT * FROM public.refused('SELECT prepay.reverse(''A1'', 2, ''v1'')', 'SELECT prepay.adjust(''A1'', 1000, ''a1'', ''gift'')', 'SELECT prepay.grant_credit(''A1'', 100, ''g1'')', 'SELECT prepay.add_debt(''A1'', 5, ''d1'')',
	'SELECT prepay.sell(''mall/A1'', 5, ''x'')', 'SELECT prepay.open_account(''mall/A9'', ''X'')', 'SELECT prepay.control(''M1'', ''trip'')', 'SELECT prepay.control(''M1'', ''unlock'')', 'SELECT prepay.set_setting(''town'', ''credit_limit'', ''1000'')',
	'SELECT prepay.define_tariff(''cheap'', ''{"prices": 0}'')', 'UPDATE prepay.meter SET ratio = 0.1', 'INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, now(), 1)', 'SELECT prepay.correct_reading(''M1'', now(), 1, ''x'')',
	'INSERT INTO prepay.ledger_entry SELECT * FROM prepay.ledger_entry', 'SELECT prepay.sell(''A1'', 5, ''s9'', options => ''{"till": "regress_work_supervisor"}'')', 'SELECT * FROM prepay.operator_changes', 'SELECT prepay.cancel_command(1)', 'SELECT prepay.create_operator(''regress_work_x'', ''Sesame-open-26'', ''{admin}'')');

-- The agent reads its own meters, and reports its own commands.
SET SESSION AUTHORIZATION regress_work_agent;
SELECT prepay.agent_hello('gw', '00000000-0000-0000-0000-000000000001') ->> 'site';
SELECT jsonb_path_query_array(prepay.agent_plan('gw'), '$.gateways[*].code');
RESET SESSION AUTHORIZATION;
SET prepay.now = '2026-03-01 12:00+08';
SET SESSION AUTHORIZATION regress_work_agent;
SELECT stored, filed, repeated FROM prepay.ingest('gw', '00000000-0000-0000-0000-000000000001', 1, '{1,1,2}', '{2026-03-01 01:00+08,2026-03-01 11:00+08,2026-03-01 11:00+08}', '{0,100,5}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', '{1,1,1}', '{true,true,true}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}', '{NULL,NULL,NULL}');
SELECT prepay.tick() >= 0;
SELECT * FROM public.refused('SELECT prepay.agent_plan(''gw2'')', 'SELECT prepay.take_commands(''gw2'')', 'SELECT prepay.agent_plan(''mall/gw'')', 'SELECT prepay.report_command(''gw'', 1, 1, ''done'', ''{}'')', 'SELECT prepay.sell(''A1'', 5, ''x'')',
	'SELECT prepay.control(''M1'', ''close'')', 'SELECT * FROM prepay.account_status', 'SELECT * FROM prepay.meter', 'SELECT * FROM prepay.command', 'SELECT * FROM prepay.reading', 'INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, now(), 1)',
	'SELECT prepay.statement(''A1'')', 'SELECT prepay.explain(''A1'')', 'SELECT prepay.balance(1, 1)', 'SELECT prepay.my_site(1)', 'SELECT prepay.verify()', 'SELECT prepay.set_operator_password(''regress_work_agent'', ''Sesame-open-27'')', 'UPDATE prepay.command SET status = ''done''');

-- The dispatcher looks after supply and alarms.
SET SESSION AUTHORIZATION regress_work_dispatcher;
SELECT meter, status FROM prepay.control('M1', 'trip', reason => 'works on the cable') ORDER BY meter;
SELECT meter, status FROM prepay.control('B1', 'read') ORDER BY meter;
SELECT meter, decision FROM prepay.supply_decision('M1');
SELECT prepay.cancel_command(min(command_id)) FROM prepay.command WHERE status = 'queued' AND action = 'read';
SELECT meter, status FROM prepay.control('M1', 'close') ORDER BY meter;
SELECT prepay.acknowledge_alarm('town', 'overload');
SELECT count(*) FROM prepay.alarm_active;
SELECT * FROM public.refused('SELECT prepay.control(''mall/M1'', ''trip'')', 'SELECT prepay.control(''M1'', ''unlock'')', 'SELECT prepay.control(''M1'', ''recharge'', ''{"amount": "100"}'')', 'SELECT prepay.sell(''A1'', 5, ''x'')', 'SELECT prepay.refund(''A1'', 5, ''x'')',
	'SELECT prepay.update_account(''A1'', ''{"credit_limit": 100}'')', 'SELECT prepay.open_account(''A9'', ''X'')', 'INSERT INTO prepay.supply_policy (site_id, code, notice) VALUES (1, ''mine'', true)', 'INSERT INTO prepay.command (site_id, meter_id, action, reason, created_at, operator) VALUES (1, 1, ''trip'', ''x'', now(), ''me'')',
	'SELECT prepay.cancel_command(1, ''mall'')', 'SELECT prepay.resolve_review(''town'', 1, ''accept'', NULL)', 'SELECT * FROM prepay.log_in_history', 'UPDATE prepay.meter_control SET locked = false');

-- A stolen agent's credential: another agent's command and contact are out of its reach, and what it takes is its own.
RESET SESSION AUTHORIZATION;
SELECT max(command_id) AS others FROM prepay.command WHERE site_id = 1 AND meter_id = 2 \gset
SET SESSION AUTHORIZATION regress_work_agent;
SELECT * FROM public.refused(format('SELECT prepay.report_command(''gw'', %s, 1, ''done'', ''{}'')', :others), format('SELECT prepay.report_command(''gw2'', %s, 1, ''done'', ''{}'')', :others), 'SELECT prepay.report_contact(''gw2'', ''{gateway}'', ''{2}'', ''{lost}'', ''{2026-03-01 12:00+08}'')');
SELECT prepay.report_contact('gw', '{gateway,meter,gateway,meter}', '{2,2,99,99}', '{lost,lost,lost,lost}', '{2026-03-01 12:00+08,2026-03-01 12:00+08,2026-03-01 12:00+08,2026-03-01 12:00+08}');
SELECT DISTINCT meter_id FROM prepay.take_commands('gw', 100);
RESET SESSION AUTHORIZATION;
SELECT count(*) FILTER (WHERE contact = 'lost') FROM prepay.gateway_state;
SELECT count(*) FILTER (WHERE contact = 'lost') FROM prepay.meter_state;
SELECT status FROM prepay.command WHERE site_id = 1 AND command_id = :others;

-- The supervisor puts right, gives credit, judges readings and looks at what the others did.
RESET SESSION AUTHORIZATION;
SET prepay.now = '2026-03-01 13:00+08';
SET SESSION AUTHORIZATION regress_work_supervisor;
SELECT kind, amount FROM prepay.reverse('A1', 2, 'v1', 'wrong account');
SELECT kind, amount FROM prepay.adjust('A1', -1, 'a1', 'broken seal');
SELECT kind, amount FROM prepay.grant_credit('A2', 10, 'g1');
SELECT kind, amount FROM prepay.add_debt('A2', 5, 'd1');
SELECT prepay.correct_reading('M1', '2026-03-01 11:00+08', 90, 'misread');
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (1, 1, '2026-03-01 12:00+08', 10);
SELECT prepay.resolve_review('town', review_id, 'reject', 'nonsense') FROM prepay.reading_review WHERE status = 'open' AND reason = 'fall';
SELECT meter, status FROM prepay.control('M1', 'lock') ORDER BY meter;
SELECT meter, status FROM prepay.control('M1', 'unlock') ORDER BY meter;
INSERT INTO prepay.supply_policy (site_id, code, notice) VALUES (1, 'told', true);
SELECT operator, action, object, amount FROM prepay.operator_work WHERE operator LIKE 'regress\_work\_%' AND done_at >= '2026-03-01 00:00+08' AND operator <> 'regress_work_admin' ORDER BY operator, done_at, action COLLATE "C", object, amount;
SELECT * FROM public.refused('SELECT prepay.set_setting(''town'', ''credit_limit'', ''1000'')', 'SELECT prepay.define_tariff(''cheap'', ''{"prices": 0}'')', 'SELECT prepay.assign_tariff(''A1'', ''flat'')', 'SELECT prepay.change_meter(''M1'', ''{"ratio": 2}'')', 'INSERT INTO prepay.meter (site_id, code) VALUES (1, ''M9'')',
	'SELECT prepay.reverse(''mall/A1'', 1, ''x'')', 'SELECT prepay.adjust(''mall/A1'', 1, ''x'', ''y'')', 'INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh) VALUES (2, 1, now(), 1)', 'INSERT INTO prepay.supply_policy (site_id, code, notice) VALUES (2, ''told'', true)', 'SELECT prepay.drop_operator(''regress_work_cashier'')',
	'INSERT INTO prepay.operator_site (site_id, operator) VALUES (1, ''x'')', 'DELETE FROM prepay.operator_log', 'SELECT prepay.create_agent(''gw9'')', 'SELECT prepay.create_site(''x'', ''X'', ''Asia/Shanghai'')');

-- The analyst reads, and nothing else.
SET SESSION AUTHORIZATION regress_work_analyst;
SELECT account, balance FROM prepay.account_status ORDER BY account;
SELECT sum(kwh), sum(amount) FROM prepay.usage_daily;
SELECT count(*) > 0, count(DISTINCT site) FROM prepay.ledger;
SELECT count(*) FROM prepay.reading_history('M1');
SELECT count(*) > 0 FROM prepay.explain('A1');
SELECT count(*) > 0 FROM prepay.statement('A1', '2026-03-01');
SELECT count(*) FROM prepay.energy_by_place('B1', '2026-03-01 00:00+08', '2026-03-02 00:00+08');
SELECT count(*) > 0 FROM prepay.backtest('town', '{"prices": 1}', '2026-03-01 00:00+08', '2026-03-02 00:00+08');
SELECT count(*) FROM prepay.verify();
SELECT * FROM public.refused('SELECT prepay.sell(''A1'', 5, ''x'')', 'SELECT prepay.update_account(''A1'', ''{}'')', 'SELECT prepay.control(''M1'', ''read'')', 'SELECT prepay.cancel_command(1)', 'SELECT prepay.acknowledge_alarm(''town'', ''lost'')', 'SELECT prepay.receipt(''A1'', 1)', 'INSERT INTO prepay.place (site_id, code) VALUES (1, ''x'')',
	'SELECT prepay.explain(''mall/A1'')', 'SELECT prepay.statement(''mall/A1'')', 'SELECT prepay.verify(''mall'')', 'SELECT 1 WHERE prepay.balance(2, 1) IS NOT NULL', 'SELECT * FROM prepay.unpaid_energy(2, 1)', 'SELECT 1 WHERE prepay.credit_left(2, 1, 1) IS NOT NULL', 'SELECT * FROM prepay.open_usage(2, ''{}'', '''', ''{}'')', 'SELECT * FROM prepay.usage_line_all', 'SELECT * FROM prepay.operator_work', 'SELECT * FROM prepay.notification');
RESET SESSION AUTHORIZATION;
-- No change of any of them is missing in the log, and none is of the agent.
SELECT operator, count(*) FROM prepay.operator_log WHERE operator LIKE 'regress\_work%' GROUP BY 1 ORDER BY 1;
SELECT * FROM prepay.verify();
DROP FUNCTION public.refused(text[]);
DO $$
DECLARE
	r text;
BEGIN
	FOR r IN SELECT rolname FROM pg_roles WHERE rolname LIKE 'regress\_work\_%' LOOP
		EXECUTE format('DROP OWNED BY %I', r);
		EXECUTE format('DROP ROLE %I', r);
	END LOOP;
END $$;
