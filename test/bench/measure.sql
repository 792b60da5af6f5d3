-- How a side is driven and measured. A side goes on from the batches it has done, of 1 000 readings each: batch after batch
-- goes over all meters, in scattered order, then half an hour later over all again. The batches' days begin at
-- different moments, so that at any time one batch in 48 ends a day, as it is over a whole day.
SET client_min_messages = warning;
CREATE TABLE bench.side (side text PRIMARY KEY, done int NOT NULL DEFAULT 0);
CREATE FUNCTION bench.cpu_seconds() RETURNS numeric LANGUAGE sql VOLATILE AS $$
	SELECT split_part(pg_read_file('/proc/self/schedstat'), ' ', 1)::numeric / 1e9 $$;

CREATE PROCEDURE bench.batch(side text, nth int, accounts int) LANGUAGE plpgsql AS $$
DECLARE
	batches int := accounts / 1000;
	round int := nth / batches;
	batch int := nth::bigint * 7919 % batches;
	first int := batch * 1000 + 1;
	t timestamptz := timestamptz '2026-01-05 00:00+08' + (round + batch * 48 / batches) * interval '30 min';
	shown numeric := 100 + round * 0.31;
BEGIN
	CASE side
		WHEN 'rated' THEN
			INSERT INTO prepay.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
				SELECT 1, g, t, shown, 1.5, true FROM generate_series(first, first + 999) AS g;
		WHEN 'plain' THEN
			CALL plain.batch(first, t, shown);
		WHEN 'trigger' THEN
			INSERT INTO rowtrigger.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
				SELECT 1, g, t, shown, 1.5, true FROM generate_series(first, first + 999) AS g;
	END CASE;
	COMMIT;
END $$;

-- One sample: two batches to warm the session up, then so many measured. The result is readings, seconds, CPU seconds.
CREATE PROCEDURE bench.sample(INOUT result text, side text, accounts int, batches int) LANGUAGE plpgsql AS $$
DECLARE
	here int := (SELECT s.done FROM bench.side s WHERE s.side = sample.side);
	wall timestamptz;
	cpu numeric;
BEGIN
	FOR i IN 0 .. batches + 1 LOOP
		IF i = 2 THEN
			wall := clock_timestamp();
			cpu := bench.cpu_seconds();
		END IF;
		CALL bench.batch(side, here + i, accounts);
	END LOOP;
	result := concat_ws(',', 1000 * batches, extract(epoch FROM clock_timestamp() - wall), bench.cpu_seconds() - cpu);
	UPDATE bench.side s SET done = here + batches + 2 WHERE s.side = sample.side;
END $$;

-- The first readings of all meters: baselines, not rated.
CREATE PROCEDURE bench.begin(new_side text, accounts int) LANGUAGE plpgsql AS $$
BEGIN
	INSERT INTO bench.side VALUES (new_side);
	FOR i IN 0 .. 2 * (accounts / 1000) - 1 LOOP
		CALL bench.batch(new_side, i, accounts);
	END LOOP;
	UPDATE bench.side SET done = 2 * (accounts / 1000) WHERE side = new_side;
END $$;
