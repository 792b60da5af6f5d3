-- Stand-ins for the functions prepayd calls, for tests of the agent without the extension.
-- They keep the promises of the interface (exactly-once batches, leases, verify_only) and no more.
CREATE SCHEMA prepay;

CREATE TABLE prepay.mock_state(revision int, plan jsonb, clock jsonb, ingest_error text);
INSERT INTO prepay.mock_state
	VALUES (1, '{"gateways": [], "meters": [], "models": {}}', NULL, NULL);
CREATE TABLE prepay.mock_spool(spool uuid PRIMARY KEY, last_seq bigint NOT NULL);
CREATE TABLE prepay.mock_batch(spool uuid, seq bigint, rows int, PRIMARY KEY (spool, seq));
CREATE TABLE prepay.mock_reading(meter_id int, read_at timestamptz, kwh numeric NOT NULL,
	reverse_kwh numeric, period_kwh numeric[], kw numeric, relay_closed boolean,
	meter_balance numeric, purchase_count int, meter_clock timestamptz,
	PRIMARY KEY (meter_id, read_at));
CREATE TABLE prepay.mock_command(command_id bigserial PRIMARY KEY, gateway_id int, meter_id int,
	action text, args jsonb DEFAULT '{}', created_at timestamptz DEFAULT now(),
	valid_until timestamptz DEFAULT 'infinity', status text DEFAULT 'queued',
	attempts int DEFAULT 0,
	verify_only boolean DEFAULT false, result jsonb, sent_at timestamptz, finished_at timestamptz);
CREATE TABLE prepay.mock_report(command_id bigint, attempt int, outcome text, result jsonb,
	at timestamptz DEFAULT clock_timestamp());
CREATE TABLE prepay.mock_contact(kind text, id int, state text, since timestamptz,
	at timestamptz DEFAULT clock_timestamp());
CREATE TABLE prepay.mock_beat(at timestamptz, status jsonb);

CREATE FUNCTION prepay.mock_now() RETURNS timestamptz LANGUAGE sql AS $$
	SELECT CASE WHEN clock IS NULL THEN clock_timestamp()
		ELSE (clock->>'at')::timestamptz
			+ (clock_timestamp() - (clock->>'real')::timestamptz) * (clock->>'rate')::float8 END
	FROM prepay.mock_state
$$;

CREATE FUNCTION prepay.mock_answer() RETURNS jsonb LANGUAGE sql AS $$
	SELECT jsonb_build_object('revision', revision, 'site', 'town', 'site_id', 1,
		'clock', clock, 'now', prepay.mock_now()) FROM prepay.mock_state
$$;

CREATE FUNCTION prepay.agent_hello(agent text, spool uuid) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO prepay.mock_spool VALUES (agent_hello.spool, 0) ON CONFLICT DO NOTHING;
	RETURN prepay.mock_answer() || (SELECT jsonb_build_object('last_seq', last_seq)
		FROM prepay.mock_spool s WHERE s.spool = agent_hello.spool);
END $$;

CREATE FUNCTION prepay.agent_plan(agent text) RETURNS jsonb LANGUAGE sql AS $$
	SELECT plan || jsonb_build_object('revision', revision) FROM prepay.mock_state
$$;

CREATE FUNCTION prepay.agent_beat(agent text, status jsonb) RETURNS jsonb LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO prepay.mock_beat VALUES (clock_timestamp(), status);
	RETURN prepay.mock_answer();
END $$;

CREATE TYPE prepay.ingest_result AS (last_seq bigint, stored int, filed int, repeated boolean);
CREATE FUNCTION prepay.ingest(agent text, spool uuid, seq bigint, meter_id int[],
	read_at timestamptz[], kwh numeric[], reverse_kwh numeric[], period_kwh text[], kw numeric[],
	relay_closed boolean[], meter_balance numeric[], purchase_count int[],
	meter_clock timestamptz[]) RETURNS prepay.ingest_result LANGUAGE plpgsql AS $$
DECLARE
	done prepay.ingest_result;
	failure text;
BEGIN
	SELECT ingest_error INTO failure FROM prepay.mock_state;
	IF failure IS NOT NULL THEN
		RAISE EXCEPTION 'the mock refuses' USING ERRCODE = failure,
			HINT = 'clear mock_state.ingest_error';
	END IF;
	SELECT s.last_seq INTO done.last_seq FROM prepay.mock_spool s
		WHERE s.spool = ingest.spool FOR UPDATE;
	IF NOT FOUND THEN
		RAISE EXCEPTION 'spool % has not said hello', spool USING ERRCODE = '55000';
	END IF;
	done.stored := 0;
	done.filed := 0;
	done.repeated := seq <= done.last_seq;
	IF done.repeated THEN
		RETURN done;
	END IF;
	-- A duplicate key is a failure of the agent here, so there is no ON CONFLICT.
	INSERT INTO prepay.mock_reading
		SELECT m, r, k, rk, p::numeric[], w, c, b, n, t
		FROM unnest(meter_id, read_at, kwh, reverse_kwh, period_kwh, kw, relay_closed,
			meter_balance, purchase_count, meter_clock) AS u(m, r, k, rk, p, w, c, b, n, t);
	GET DIAGNOSTICS done.stored = ROW_COUNT;
	INSERT INTO prepay.mock_batch VALUES (spool, seq, done.stored);
	UPDATE prepay.mock_spool s SET last_seq = seq WHERE s.spool = ingest.spool;
	done.last_seq := seq;
	RETURN done;
END $$;

CREATE TYPE prepay.agent_command AS (command_id bigint, gateway_id int, meter_id int, action text,
	args jsonb, created_at timestamptz, valid_until timestamptz, attempt int, verify_only boolean);
CREATE FUNCTION prepay.take_commands(agent text, max_rows int DEFAULT 32)
	RETURNS SETOF prepay.agent_command LANGUAGE sql AS $$
	UPDATE prepay.mock_command c SET status = 'sent', attempts = attempts + 1,
		sent_at = clock_timestamp()
	WHERE command_id IN (SELECT command_id FROM prepay.mock_command
		WHERE status IN ('queued', 'unknown') 
			OR (status = 'sent' AND sent_at < clock_timestamp() - interval '20 s')
		ORDER BY command_id FOR UPDATE SKIP LOCKED LIMIT max_rows)
	RETURNING command_id, gateway_id, meter_id, action, args, created_at, valid_until, attempts,
		verify_only
$$;

CREATE FUNCTION prepay.report_command(agent text, command_id bigint, attempt int, outcome text,
	result jsonb) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO prepay.mock_report VALUES (command_id, attempt, outcome, result);
	UPDATE prepay.mock_command c SET status = outcome, result = report_command.result,
		verify_only = outcome = 'unknown', finished_at = clock_timestamp()
	WHERE c.command_id = report_command.command_id;
	RETURN outcome;
END $$;

CREATE FUNCTION prepay.report_contact(agent text, kind text[], id int[], state text[],
	since timestamptz[]) RETURNS void LANGUAGE sql AS $$
	INSERT INTO prepay.mock_contact SELECT * FROM unnest(kind, id, state, since)
$$;

CREATE FUNCTION prepay.tick(max_rows int DEFAULT 1000) RETURNS int LANGUAGE sql AS 'SELECT 0';

CREATE FUNCTION prepay.mock_notify() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	NOTIFY prepay_command;
	RETURN NULL;
END $$;
CREATE TRIGGER mock_notify AFTER INSERT ON prepay.mock_command
	FOR EACH STATEMENT EXECUTE FUNCTION prepay.mock_notify();
