-- The brake on mass disconnection: above a limit a minute a supervisor must confirm.
SET client_min_messages = warning;
SET datestyle = ISO;
SET timezone = 'Asia/Shanghai';
DROP EXTENSION IF EXISTS pg_prepay CASCADE;
CREATE EXTENSION pg_prepay;
SELECT prepay.install() IS NOT NULL AS installed;
SET prepay.now = '2026-03-02 08:00+08';
SELECT prepay.create_site('town', 'Town', 'Asia/Shanghai');
SELECT prepay.define_tariff('one', '{"prices": 1}');
SELECT prepay.set_setting('town', 'tariff', 'one');
SELECT prepay.set_setting('town', 'alarm_phones', '13800000000');
SELECT prepay.create_agent('gw-host');
INSERT INTO prepay.gateway (site_id, code, agent, address) VALUES (1, 'G1', 'gw-host', '127.0.0.1:502');
INSERT INTO prepay.place (site_id, code, name) VALUES (1, 'B1', 'Building 1');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id, place_id) SELECT 1, 'M' || lpad(n::text, 2, '0'), 1, n, 1 FROM generate_series(1, 40) AS n;
SELECT count(prepay.open_account('A' || lpad(n::text, 2, '0'), 'Tenant ' || n, meters => ARRAY['M' || lpad(n::text, 2, '0')], opening_balance => 10, key => 'o' || n))
FROM generate_series(1, 40) AS n;
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(1, 40) AS m;
CREATE FUNCTION pg_temp.take() RETURNS TABLE (action text, meters text[]) LANGUAGE sql AS $$
	SELECT t.action, array_agg(m.code ORDER BY m.code) FROM prepay.take_commands('gw-host') t
	JOIN prepay.meter m ON m.site_id = 1 AND m.meter_id = t.meter_id GROUP BY t.action ORDER BY t.action $$;
CREATE FUNCTION pg_temp.report(outcome text) RETURNS bigint LANGUAGE sql AS $$
	SELECT count(prepay.report_command('gw-host', command_id, attempts, $1,
		CASE WHEN $1 = 'done' THEN jsonb_build_object('relay_closed', action <> 'trip') ELSE '{}' END))
	FROM prepay.command WHERE status = 'sent' $$;
CREATE FUNCTION pg_temp.minute() RETURNS void LANGUAGE sql AS $$
	UPDATE prepay.command SET passed_at = passed_at - interval '1 minute', lease_until = lease_until - interval '1 minute',
		not_before = not_before - interval '10 minutes' $$;
CREATE FUNCTION pg_temp.use(first int, last int, at timestamptz, kwh int) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, at, kwh, true FROM generate_series(first, last) AS m $$;
CREATE VIEW pg_temp.waiting AS SELECT account, meter, waiting_since, decision, balance FROM prepay.trips_waiting ORDER BY meter;
CREATE VIEW pg_temp.brake_alarm AS SELECT kind, level, raised_at, cleared_at, detail FROM prepay.alarm_history WHERE kind = 'trip_brake' ORDER BY alarm_id;

-- Without a limit there is no brake; up to the limit trips go as before.
SET prepay.now = '2026-03-02 09:00+08';
SELECT pg_temp.use(1, 3, prepay.now(), 11);
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('done');
SELECT prepay.confirm_trips('town');
SELECT prepay.set_setting('town', 'trip_limit_per_minute', '2');
SELECT pg_temp.use(4, 5, prepay.now(), 11);
SELECT * FROM pg_temp.take();
SELECT pg_temp.report('done');
SELECT * FROM prepay.trips_waiting;

-- A wrong batch: two more a minute later would go, the rest waits; who waits, since when and why, and one alarm.
SELECT pg_temp.minute();
SET prepay.now = '2026-03-02 10:00+08';
SELECT pg_temp.use(6, 38, prepay.now(), 15);
SELECT * FROM pg_temp.take();
SELECT count(*), min(meter), max(meter) FROM pg_temp.waiting;
SELECT site, account, customer, place, place_name, meter, waiting_since, reason, decision, balance, currency, decided_again_at, brake_since
FROM prepay.trips_waiting WHERE meter = 'M08';
SELECT * FROM pg_temp.brake_alarm;
SELECT site, account, meter, gateway, kind, level, state FROM prepay.alarm_active WHERE kind = 'trip_brake';
SELECT template, phone, body FROM prepay.messages WHERE kind = 'trip_brake';
-- However many minutes go by, nobody follows; those that passed before pass again when the attempt failed.
SELECT pg_temp.report('failed');
SELECT pg_temp.minute();
SELECT * FROM pg_temp.take();
SELECT pg_temp.minute();
SELECT * FROM pg_temp.take();
SELECT prepay.tick();
SELECT status, count(*) FROM prepay.command WHERE meter_id > 5 GROUP BY status ORDER BY status;

-- Who gives supply, and who orders by name, is not held up; what protects by another rule neither.
SELECT balance FROM prepay.sell('A01', 20, 's1');
SELECT meter, status, detail FROM prepay.control('M09', 'trip', reason => 'works');
INSERT INTO prepay.switch_schedule (site_id, code, meter_id, from_time, to_time) VALUES (1, 'ten', 10, '10:00', '10:01');
SELECT prepay.tick();
SELECT * FROM pg_temp.take();
SELECT operator, action, automatic, status FROM prepay.command WHERE meter_id = 9 ORDER BY command_id;
SELECT pg_temp.report('done');
-- He who pays leaves, and so does he whom a policy protects when the trip is decided again.
SELECT balance FROM prepay.sell('A08', 20, 's8');
INSERT INTO prepay.supply_policy (site_id, code, account_id, from_time, to_time) VALUES (1, 'noon', 11, '10:05', '13:00');
SELECT prepay.tick();
SELECT count(*) FROM pg_temp.waiting;
SET prepay.now = '2026-03-02 10:15+08';
SELECT prepay.tick();
SELECT count(*), min(decided_again_at), max(decided_again_at), min(waiting_since) FROM prepay.trips_waiting;
SELECT meter_id, status FROM prepay.command WHERE meter_id IN (8, 11) ORDER BY 1;
SELECT detail FROM pg_temp.brake_alarm;
SELECT count(*) FROM prepay.command WHERE status = 'expired';

-- Confirmation: for those that wait now. It is logged.
\set VERBOSITY sqlstate
SELECT prepay.confirm_trips('nowhere');
SELECT prepay.confirm_trips('town', repeat('x', 1001));
\set VERBOSITY default
SELECT prepay.confirm_trips('town', 'tariff was checked');
SELECT count(*) FROM prepay.trips_waiting;
SELECT detail, cleared_at FROM pg_temp.brake_alarm;
SELECT site, confirmed_at, operator = session_user AS by_me, trips, brake_since, note, done, dropped, live FROM prepay.trip_confirmations;
-- Each is decided once more when it goes: one is protected since.
INSERT INTO prepay.supply_policy (site_id, code, account_id, from_time, to_time) VALUES (1, 'since', 20, '10:15', '18:00');
-- All others go, with time to do so. New ones are counted anew: the confirmed do not count.
SELECT pg_temp.use(39, 40, prepay.now(), 15);
SELECT balance FROM prepay.sell('A12', 20, 's12');
SELECT action, cardinality(meters), meters[1] AS first, meters[cardinality(meters)] AS last FROM pg_temp.take();
SELECT valid_until, count(*) FROM prepay.command WHERE status = 'sent' AND confirmation_id IS NOT NULL GROUP BY valid_until;
SELECT pg_temp.report('done');
SELECT * FROM prepay.trips_waiting;
SELECT trips, done, dropped, live FROM prepay.trip_confirmations;
SELECT prepay.confirm_trips('town');
-- The next mistake is an alarm of its own; when all have paid it ends by itself.
SET prepay.now = '2026-03-02 11:00+08';
SELECT s.balance FROM generate_series(13, 16) AS n, prepay.sell('A' || n, 100, 't' || n) AS s;
SELECT count(*) FROM pg_temp.take();
SELECT pg_temp.report('done');
SELECT pg_temp.minute();
SELECT pg_temp.use(13, 16, prepay.now(), 215);
SELECT * FROM pg_temp.take();
SELECT account, meter FROM pg_temp.waiting;
SELECT prepay.tick();
SELECT s.balance FROM generate_series(15, 16) AS n, prepay.sell('A' || n, 200, 'u' || n) AS s;
SELECT account, meter FROM pg_temp.waiting;
SELECT prepay.tick();
SELECT * FROM pg_temp.brake_alarm;
-- A limit of nothing: every one needs a supervisor. Without a limit the brake lets go.
SELECT prepay.set_setting('town', 'trip_limit_per_minute', '0');
SET prepay.now = '2026-03-02 11:30+08';
SELECT pg_temp.use(15, 15, prepay.now(), 900);
SELECT pg_temp.report('done');
SELECT * FROM pg_temp.take();
SELECT account, meter FROM pg_temp.waiting;
SELECT prepay.set_setting('town', 'trip_limit_per_minute', NULL);
SELECT prepay.tick() >= 0 AS ticked;
SELECT account, meter FROM pg_temp.waiting;
SELECT * FROM pg_temp.take();
SELECT kind, cleared_at FROM pg_temp.brake_alarm;

-- Closes go before trips, so a flood of cuts keeps nobody waiting who has paid.
SELECT pg_temp.report('done');
SET prepay.now = '2026-03-02 12:00+08';
SELECT pg_temp.use(17, 17, prepay.now(), 15);
SELECT balance FROM prepay.sell('A18', 100, 'v18');
INSERT INTO prepay.meter (site_id, code, gateway_id, unit_id) VALUES (1, 'V1', 1, 41), (1, 'V2', 1, 42);
INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, relay_closed) SELECT 1, m, prepay.now(), 0, true FROM generate_series(41, 42) AS m;
SELECT status FROM prepay.control('M19', 'read');
SELECT meter_id, action FROM prepay.take_commands('gw-host') WITH ORDINALITY ORDER BY ordinality;
