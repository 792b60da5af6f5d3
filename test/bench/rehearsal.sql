-- supply_rehearsal() over :accounts accounts, one in ten without money, under policies of time, place and notice. The
-- rows are copied past the triggers from two accounts that came about as they should.
SET client_min_messages = warning;
\o /dev/null
CREATE EXTENSION pg_prepay;
SELECT prepay.install();
SET prepay.now = '2026-03-02 08:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('flat', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'flat');
SELECT prepay.set_setting('town', 'alarm1_amount', '5');
INSERT INTO prepay.place (site_id, code, parent_id) VALUES (1, 'B1', NULL), (1, 'B2', NULL);
SELECT prepay.create_agent('gw');
INSERT INTO prepay.gateway (site_id, code, agent) VALUES (1, 'G1', 'gw');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, place_id) SELECT 1, 'M' || n, 1, n, n FROM generate_series(1, 2) AS n;
SELECT prepay.open_account('A' || n, 'Household', place => 'B' || n, phone => '13900000001', meters => ARRAY['M' || n],
	opening_balance => CASE n WHEN 1 THEN 100 ELSE 10 END, key => 'o' || n) FROM generate_series(1, 2) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, n, prepay.now(), 0, true FROM generate_series(1, 2) AS n;
SET prepay.now = '2026-03-02 12:00+08';
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, n, prepay.now(), 15, true FROM generate_series(1, 2) AS n;
INSERT INTO prepay.supply_policy (site_id, code, from_time, to_time) VALUES (1, 'night', '18:00', '08:00');
INSERT INTO prepay.supply_policy (site_id, code, place_id, grace) VALUES (1, 'grace', 1, '1 day');
INSERT INTO prepay.supply_policy (site_id, code, load_class, notice) VALUES (1, 'notice', 'small', true);
SELECT prepay.tick();

CREATE FUNCTION pg_temp.multiply(relation regclass, id text, set_ jsonb, accounts int) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	EXECUTE format('INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM generate_series(3, %s) AS n JOIN %s t ON t.site_id = 1 AND t.%I = CASE n %% 10 WHEN 0 THEN 2 ELSE 1 END',
		relation, string_agg(quote_ident(attname), ', ' ORDER BY attnum),
		string_agg(COALESCE(set_ ->> attname, 't.' || quote_ident(attname)), ', ' ORDER BY attnum), accounts, relation, id)
	FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped AND attgenerated = '';
END $$;
SET session_replication_role = replica;
SELECT pg_temp.multiply('prepay.account', 'account_id', '{"account_id": "n", "code": "''A'' || n"}', :accounts);
SELECT pg_temp.multiply('prepay.account_state', 'account_id', '{"account_id": "n"}', :accounts);
SELECT pg_temp.multiply('prepay.meter', 'meter_id', '{"meter_id": "n", "code": "''M'' || n", "gateway_id": "n / 200 + 10", "unit_id": "n % 200 + 1"}', :accounts);
SELECT pg_temp.multiply('prepay.meter_state', 'meter_id', '{"meter_id": "n", "account_id": "n"}', :accounts);
SELECT pg_temp.multiply('prepay.meter_control', 'meter_id', '{"meter_id": "n"}', :accounts);
SELECT pg_temp.multiply('prepay.account_meter', 'meter_id', '{"meter_id": "n", "account_id": "n"}', :accounts);
SELECT pg_temp.multiply('prepay.notification', 'account_id', '{"account_id": "n", "notification_id": "n + 1000000"}', :accounts);
RESET session_replication_role;
VACUUM ANALYZE;
\o
SELECT 'accounts: ' || count(*) || ', without money: ' || count(*) FILTER (WHERE used_up_at IS NOT NULL) FROM prepay.account_state;
SET prepay.now = '2026-03-02 12:30+08';
\timing on
SELECT 'rehearsal at noon: ' || count(*) FILTER (WHERE outcome = 'cut') || ' cut, ' || count(*) FILTER (WHERE outcome = 'spared') || ' spared'
FROM prepay.supply_rehearsal('town');
SELECT 'rehearsal of the night: ' || count(*) FILTER (WHERE outcome = 'cut') || ' cut, ' || count(*) FILTER (WHERE outcome = 'spared') || ' spared'
FROM prepay.supply_rehearsal('town', '2026-03-02 22:00+08');
SELECT 'decision of one account: ' || decision FROM prepay.supply_decision('A777');
