-- The baseline: what an application without rating writes for a reading: the reading, the meter's state,
-- the day's energy and cost, the balance. Set-based statements by key; the reading table is laid out as ours.
SET client_min_messages = warning;
CREATE SCHEMA plain;
CREATE TABLE plain.reading (LIKE prepay.reading, PRIMARY KEY (site_id, meter_id, read_at)) PARTITION BY RANGE (read_at);
CREATE TABLE plain.reading_default PARTITION OF plain.reading DEFAULT;
CREATE TABLE plain.meter_state (
	site_id int, meter_id int, last_read_at timestamptz, register_wh bigint, kw numeric, relay_closed boolean,
	PRIMARY KEY (site_id, meter_id)
) WITH (fillfactor = 60);
CREATE TABLE plain.usage_daily (
	site_id int, meter_id int, day date, period smallint, tier smallint, wh bigint, amount numeric,
	PRIMARY KEY (site_id, meter_id, day, period, tier)
) WITH (fillfactor = 60);
CREATE TABLE plain.account (
	site_id int, account_id int, balance numeric,
	PRIMARY KEY (site_id, account_id)
) WITH (fillfactor = 60);
INSERT INTO plain.meter_state SELECT 1, g, '2026-01-05 00:00+08', 0, 1.5, true FROM generate_series(1, :accounts) AS g;
INSERT INTO plain.account SELECT 1, g, 1000 FROM generate_series(1, :accounts) AS g;

CREATE PROCEDURE plain.batch(first int, t timestamptz, shown numeric) LANGUAGE plpgsql AS $$
DECLARE
	id int[] := ARRAY(SELECT generate_series(first, first + 999));
BEGIN
	INSERT INTO plain.reading (site_id, meter_id, read_at, kwh, kw, relay_closed)
		SELECT 1, u.id, t, shown, 1.5, true FROM unnest(id) AS u (id);
	UPDATE plain.meter_state s SET last_read_at = t, register_wh = register_wh + 310, kw = 1.5, relay_closed = true
		FROM unnest(id) AS u (id) WHERE s.site_id = 1 AND s.meter_id = u.id;
	INSERT INTO plain.usage_daily SELECT 1, u.id, (t AT TIME ZONE 'Asia/Shanghai')::date, 0, 0, 310, 0.155 FROM unnest(id) AS u (id)
		ON CONFLICT (site_id, meter_id, day, period, tier)
		DO UPDATE SET wh = usage_daily.wh + EXCLUDED.wh, amount = usage_daily.amount + EXCLUDED.amount;
	UPDATE plain.account a SET balance = balance - 0.155
		FROM unnest(id) AS u (id) WHERE a.site_id = 1 AND a.account_id = u.id;
END $$;
